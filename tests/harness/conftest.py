"""Requests to ask a model with, a recorder that remembers, and a chat server of ours."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from PIL import Image

from harness.models.clock import Clock
from harness.runs.manifest import stamp_hashes
from harness.runs.store import StoredRun, open_run
from harness.values import Generation


@dataclass
class Handle:
    """An image that is opened on demand, and counts how often."""

    image: Image.Image | None
    opened: int = 0

    def open(self) -> Image.Image:
        self.opened += 1
        if self.image is None:
            raise OSError("image file is truncated")
        return self.image


@dataclass
class MemoryRecorder:
    """Keeps generations in a dict, in the order in which they came."""

    kept: dict[tuple[str, int], Generation] = field(default_factory=dict)
    looked_up: list[tuple[str, int]] = field(default_factory=list)

    def lookup(self, task: str, doc_id: int) -> Generation | None:
        self.looked_up.append((task, doc_id))
        return self.kept.get((task, doc_id))

    def record(self, task: str, doc_id: int, generation: Generation, images=()) -> None:
        assert (task, doc_id) not in self.kept, "recorded twice"
        self.kept[task, doc_id] = generation


@dataclass
class Asked:
    """Documents of one task and the requests that lmms-eval would make of them."""

    images: list
    questions: list[str]
    system: str = ""
    task: str = "satori_probe"

    def ask(self, model, repeats: int = 1, **arguments) -> list:
        """Ask every document and return lmms-eval's results."""
        from lmms_eval.api.instance import Instance

        docs = [{"image": image, "question": text} for image, text in zip(self.images, self.questions, strict=True)]
        model.task_dict = {self.task: {"test": docs}}
        requests = [
            Instance(
                request_type="generate_until",
                arguments=("", self.messages, dict(arguments), doc_id, self.task, "test"),
                idx=0,
                metadata={"task": self.task, "doc_id": doc_id, "repeats": repeats},
            )
            for doc_id in range(len(docs))
            for _ in range(repeats)
        ]
        return model.generate_until(requests)

    def messages(self, doc) -> list[dict]:
        parts = [] if doc["image"] is None else [{"type": "image", "url": doc["image"]}]
        user = {"role": "user", "content": [*parts, {"type": "text", "text": doc["question"]}]}
        system = {"role": "system", "content": [{"type": "text", "text": self.system}]}
        return [system, user] if self.system else [user]


@pytest.fixture(scope="session")
def photos() -> list[Image.Image]:
    """Three sizes: a drawn canvas, a real photograph, a strip."""
    from skimage import data

    photo = Image.fromarray(data.astronaut()).resize((640, 480))
    canvas = Image.new("RGB", (56, 56), "white")
    canvas.paste((255, 0, 0), (4, 4, 28, 28))
    return [canvas, photo, photo.crop((100, 100, 130, 300))]


@pytest.fixture
def three(photos) -> Asked:
    questions = ["What colour is the square?", "How many people are there, and where do they look?", "Left?"]
    return Asked([Handle(photo) for photo in photos], questions, system="Answer in one word.")


@pytest.fixture
def recorder() -> MemoryRecorder:
    return MemoryRecorder()


@pytest.fixture(scope="session")
def tiny_answers(tiny_qwen2_5_vl, photos):
    """A function from a checkpoint's folder to texts and input sizes for two pictures; `of_today`: of the tiny one."""

    def answers(folder) -> list[tuple]:
        from harness.models.hf import SatoriHF

        model = SatoriHF(str(folder), device="cpu", batch_size=2, min_pixels=784, max_pixels=50_176)
        model.recorder = recorder = MemoryRecorder()
        asked = Asked([Handle(photo) for photo in photos[:2]], ["What colour is it?", "Who is it?"])
        asked.ask(model, max_new_tokens=12)
        return [(kept.text, kept.input_size) for _, kept in sorted(recorder.kept.items())]

    answers.of_today = answers(tiny_qwen2_5_vl)
    return answers


# --- a chat server of ours ----------------------------------------------------------------------------------------

ANSWER = "<caption>a red circle</caption>\n<bbox>[[1, 2, 30, 40]]</bbox>\n<answer>red</answer>"


class HandClock(Clock):
    """A time that passes when somebody sleeps, or when the test says so; deadlines end by `advance` alone."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.slept: list[float] = []
        """What was waited, in order."""
        self._deadlines: set[tuple[float, asyncio.Timeout, asyncio.AbstractEventLoop]] = set()

    def now_s(self) -> float:
        return self.seconds

    def today(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds
        await asyncio.sleep(0)

    @asynccontextmanager
    async def deadline(self, seconds: float) -> AsyncGenerator[None]:
        async with asyncio.timeout(None) as limit:
            entry = (self.seconds + seconds, limit, asyncio.get_running_loop())
            self._deadlines.add(entry)
            try:
                yield
            finally:
                self._deadlines.discard(entry)

    def advance(self, seconds: float) -> None:
        """Let time pass: whatever is past its deadline ends."""
        self.seconds += seconds
        for until, limit, loop in tuple(self._deadlines):
            if until <= self.seconds:
                loop.call_soon_threadsafe(lambda limit=limit, loop=loop: limit.reschedule(loop.time()))


@pytest.fixture
def hand_clock() -> HandClock:
    return HandClock()


@dataclass
class Reaction:
    """What the server does with one request, in place of answering."""

    body: object = None
    """The reply: bytes as they are, anything else as JSON."""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    drip_s: float = 0.0
    """Seconds between two bytes of the body; the head comes at once."""
    hang_s: float = 0.0
    """Seconds before the first byte."""
    hangs: bool = False
    """Whether nothing comes before the deadline, which is at once on the server's clock."""
    sent_bytes: int | None = None
    """So much of the body is sent before the connection ends; None: all. -1: not even the head."""


@dataclass
class ChatServer:
    """An OpenAI-compatible server on this machine: what it does, and what it saw."""

    url: str = ""
    models: list[str] | None = field(default_factory=lambda: ["tiny", "other"])
    """None: it keeps no list."""
    owner: str | None = None
    """Who owns the models in the list: engines tell their names so."""
    reply: str | None = ANSWER
    finish: object = "stop"
    message: dict | None = None
    """The whole message, in place of one with `reply` as its content."""
    named: str | None = None
    """The model that replies say they are of; None: the one that was asked."""
    react: Callable[[dict, int], Reaction | None] = lambda body, place: None
    """From a request and its place to what is done with it; None: a completion."""
    fail: dict[str, list[int]] = field(default_factory=dict)
    """By a word in the question: statuses to answer with, one a request, before it succeeds."""
    delay_s: float = 0.0
    raw: bytes | None = None
    """The whole reply, in place of a completion."""
    listed: bytes | None = None
    """The whole list of models, in place of one."""
    seen: list[dict] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    most_at_once: int = 0
    stop: Callable[[], object] = lambda: None
    clock: HandClock = field(default_factory=HandClock)
    """A time for whoever asks, so that waiting costs none."""
    over: threading.Event = field(default_factory=threading.Event)
    """Set when the test is over: whoever hangs may go."""


class _ChatHandler(BaseHTTPRequestHandler):
    served: ChatServer
    lock = threading.Lock()
    at_once = 0

    def do_GET(self):
        models = self.served.models
        owner = {} if self.served.owner is None else {"owned_by": self.served.owner}
        found = {"object": "list", "data": [{"id": name, "object": "model", **owner} for name in models or []]}
        self.answer(
            Reaction(found if self.served.listed is None else self.served.listed, 404 if models is None else 200)
        )

    def do_POST(self):
        served, kind = self.served, type(self)
        sent = self.rfile.read(int(self.headers["Content-Length"]))
        if not sent:
            return None  # whoever asked has gone away
        body = json.loads(sent)
        with self.lock:
            kind.at_once += 1
            served.most_at_once = max(served.most_at_once, kind.at_once)
            served.seen.append(body)
            place = len(served.seen) - 1
            served.keys.add(self.headers["Authorization"])
            waiting = next((left for word, left in served.fail.items() if word in json.dumps(body) and left), None)
            status = waiting.pop(0) if waiting else 200
        time.sleep(served.delay_s)
        with self.lock:
            kind.at_once -= 1
        reaction = served.react(body, place)
        if reaction is not None:
            return self.answer(reaction)
        if status != 200:
            return self.answer(Reaction({"error": {"message": f"said {status}"}}, status))
        return self.answer(Reaction(completion_for(served, body) if served.raw is None else served.raw))

    def answer(self, reaction: Reaction):
        time.sleep(reaction.hang_s)
        if reaction.hangs:
            self.served.clock.advance(10**6)
            self.served.over.wait(10)
        if reaction.hangs or reaction.sent_bytes == -1:
            self.close_connection = True
            return
        body = reaction.body
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        try:
            self.send_response_only(reaction.status)
            for name, value in {"Content-Type": "application/json", **reaction.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if reaction.sent_bytes is not None:
                content, self.close_connection = content[: reaction.sent_bytes], True
            for byte in content if reaction.drip_s else [content]:
                self.wfile.write(bytes([byte]) if reaction.drip_s else byte)
                self.wfile.flush()
                time.sleep(reaction.drip_s)
        except OSError:
            self.close_connection = True  # whoever asked has gone away

    def log_message(self, *arguments):
        pass


class _Listener(ThreadingHTTPServer):
    request_queue_size = 128  # connections that wait to be taken; five are too few for requests that come at once


def completion_for(served: ChatServer, body: dict) -> dict:
    message = served.message or {"role": "assistant", "content": served.reply}
    choice = {"index": 0, "finish_reason": served.finish, "message": message}
    usage = {"prompt_tokens": 70, "completion_tokens": 21, "total_tokens": 91}
    named = served.named or body["model"]
    return {"id": "1", "object": "chat.completion", "created": 0, "model": named, "choices": [choice], "usage": usage}


@pytest.fixture
def served():
    """A server that answers `ANSWER` to everything."""
    found = ChatServer()
    handler = type("OneHandler", (_ChatHandler,), {"served": found})
    httpd = _Listener(("127.0.0.1", 0), handler)
    threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True).start()  # seconds until it sees its end
    found.url = f"http://127.0.0.1:{httpd.server_port}/v1"
    found.stop = lambda: (httpd.shutdown(), httpd.server_close())
    yield found
    found.over.set()
    found.stop()


@pytest.fixture
def reaction() -> type[Reaction]:
    """Makes what a server does with one request."""
    return Reaction


@pytest.fixture
def make_shards(tmp_path):
    """Make shards of a finished run, each with the records at some places; returns their folder."""

    def make(whole: StoredRun, held: Sequence[Sequence[int]], asked: Sequence[int] | None = None) -> Path:
        records = list(whole.records())
        (task,) = whole.manifest.tasks
        for number, places in enumerate(held, 1):
            samples = len(places) if asked is None else asked[number - 1]
            tasks = {task: replace(whole.manifest.tasks[task], samples=samples)}
            manifest = replace(whole.manifest, shard=f"{number}/{len(held)}", tasks=tasks, partial=True)
            now = datetime(2026, 1, number, tzinfo=UTC)
            with open_run(tmp_path / "shards", stamp_hashes(manifest), now=now, resume=False) as run:
                for place in places:
                    run.journal.append(records[place])
                run.publish({"schema": 1, "tasks": {}}, now=now)
        return tmp_path / "shards"

    return make
