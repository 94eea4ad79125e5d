"""Served models: against the same model in this process, what the client costs, and requests under way against 8.

Three tables, with servers of ours in a process of their own:

1. A server that holds a random Qwen2.5-VL and answers what has arrived as one batch, and the same checkpoint in this
   process, on the same samples and in batches of the same size. Pictures of 640x480, all different; texts must be
   equal. Arms take turns; median of the ratios. At least 0.9x.
2. A server that answers at once: what a request costs the client, in milliseconds of CPU.
3. A server that answers 32 at a time and lets others wait (or is slower altogether with more): as many under way as it
   likes against 8, 16 and 32.

    python -P tests/bench/bench_served.py [cost_of_a_request | under_way | against_this_process]
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
import os
import queue
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from PIL import Image

from harness.models.base import Prompt, Turn
from harness.models.decoding import Decoding

SAMPLES, BATCH, NEW_TOKENS, ROUNDS = 24, 8, 16, 3
REQUESTS, WAITING = 200, 600
BEST = 32
DELAY_S = (0.1, 0.5)
"""What the simulated server needs for a reply, drawn evenly, with no more than `BEST` under way."""


# --- the servers -------------------------------------------------------------------------------------------------


class Answers:
    """What a server says to a request; replays, with delays, as many at once as it likes."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.under_way = 0
        self.slots = asyncio.Semaphore(BEST)
        self.rng = random.Random(0)

    async def to(self, body: dict) -> str:
        if self.kind == "at once":
            return "<answer>A</answer>"
        need_s = self.rng.uniform(*DELAY_S)
        self.under_way += 1
        try:
            if self.kind == "waits":
                async with self.slots:
                    await asyncio.sleep(need_s)
            else:  # slower altogether with more than it likes
                await asyncio.sleep(need_s * max(1.0, self.under_way / BEST) ** 1.5)
        finally:
            self.under_way -= 1
        return "<answer>A</answer>" * 3


class ModelAnswers:
    """Answers with a checkpoint: whatever has arrived, up to a batch, is asked together."""

    def __init__(self, checkpoint: str) -> None:
        import torch

        from harness.models.hf import SatoriHF

        torch.set_num_threads(1)
        self.model = SatoriHF(checkpoint, device="cpu", batch_size=BATCH)
        self.model._features.serves = False  # a later round would find its pictures known
        self.arrived: queue.SimpleQueue = queue.SimpleQueue()
        threading.Thread(target=self.work, daemon=True).start()

    async def to(self, body: dict) -> str:
        loop, done = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()
        self.arrived.put((body, loop, done))
        return await done

    def work(self) -> None:
        while True:
            batch = [self.arrived.get()]
            with contextlib.suppress(queue.Empty):
                while len(batch) < BATCH:
                    batch.append(self.arrived.get(timeout=0.02))
            try:
                texts = [one.text for one in self.model.generate_batch([self.prompt(body) for body, _, _ in batch])]
            except BaseException:  # noqa: BLE001 - told, and the end
                traceback.print_exc()
                os._exit(1)  # whoever asks is not to wait for ever
            for (_, loop, done), text in zip(batch, texts, strict=True):
                loop.call_soon_threadsafe(done.set_result, text)

    def prompt(self, body: dict) -> Prompt:
        turns = []
        for message in body["messages"]:
            parts = message["content"] if isinstance(message["content"], list) else [message["content"]]
            turns.append(Turn(message["role"], tuple(map(self.part, parts))))
        return Prompt("t", 0, 0, tuple(turns), Decoding(body["max_tokens"]))

    @staticmethod
    def part(part: object) -> object:
        if isinstance(part, str):
            return part
        if part["type"] == "text":
            return part["text"]
        packed = part["image_url"]["url"].removeprefix("data:image/png;base64,")
        return Image.open(io.BytesIO(base64.b64decode(packed))).convert("RGB")


async def serve(answers: Answers | ModelAnswers) -> None:
    """Serve HTTP, as little of it as our client needs, until standard input ends."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                size = int(head.partition("content-length:")[2].split("\r\n")[0] or 0)
                sent = await reader.readexactly(size)
                if head.startswith("get"):
                    found: dict = {"data": [{"id": "tiny"}]}
                else:
                    body = {} if isinstance(answers, Answers) else json.loads(sent)
                    message = {"role": "assistant", "content": await answers.to(body)}
                    choice = {"index": 0, "finish_reason": "stop", "message": message}
                    usage = {"prompt_tokens": 1, "completion_tokens": 8}
                    found = {"model": "tiny", "choices": [choice], "usage": usage}
                reply = json.dumps(found).encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(reply) + reply)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0, limit=2**24, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    os._exit(0)  # with whatever connections are still open


@contextlib.contextmanager
def served(kind: str) -> Iterator[str]:
    """Start a server in a process of its own; yields its address."""
    process = subprocess.Popen(
        [sys.executable, "-P", __file__, "serve", kind], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        port = next(line for line in process.stdout if line.strip().isdigit())
        yield f"http://127.0.0.1:{port.strip()}/v1"
    finally:
        process.stdin.close()
        process.wait(20)


# --- the arms ----------------------------------------------------------------------------------------------------


def prompts(count: int, size: tuple[int, int] | None = (640, 480)) -> list[Prompt]:
    """Questions about pictures that are all different."""
    from skimage import data as photographs

    photograph = None if size is None else Image.fromarray(photographs.astronaut()).resize(size)
    made = []
    for place in range(count):
        shown = () if photograph is None else (photograph.rotate(place * 1.7),)
        turns = (Turn("user", (*shown, f"Question {place}: what is it?")),)
        made.append(Prompt("t", place, 0, turns, Decoding(NEW_TOKENS)))
    return made


def asked(url: str, todo: list[Prompt], **options: object) -> tuple[float, float, list[str], dict]:
    """Ask a server; return seconds, seconds of CPU of this process, texts in order and what the model tells of it."""
    from harness.models.served import SatoriServed

    model = SatoriServed("tiny", url, **options)
    cpu, started = time.process_time(), time.perf_counter()
    found = {prompt.doc_id: generation for prompt, generation in model.answer_stream(iter(todo))}
    took, cpu = time.perf_counter() - started, time.process_time() - cpu
    assert all(generation.error is None for generation in found.values())
    return took, cpu, [found[place].text for place in sorted(found)], model.facts()


def against_this_process() -> None:
    import torch

    from harness.images.grid import fit_to_grid
    from harness.models.hf import SatoriHF
    from training.loop.tiny_model import TinyShape, build_tiny_qwen2_5_vl

    torch.set_num_threads(1)
    shape = TinyShape(hidden=256, layers=4, heads=4, feed_forward=704, vision_layers=4)
    with tempfile.TemporaryDirectory() as folder:
        path = build_tiny_qwen2_5_vl(Path(folder), ["Where is it? <answer>A</answer> [[0, 1, 2, 3]]"] * 50, shape=shape)
        model = SatoriHF(str(path), device="cpu", batch_size=BATCH)
        model._features.serves = False
        limits = model.pixel_limits
        todo = [
            replace(p, turns=(Turn("user", (fit_to_grid(p.images[0], limits), p.turns[0].parts[1])),))
            for p in prompts(SAMPLES)
        ]
        ratios = []
        print(f"{SAMPLES} samples       here, s   served, s   of it CPU of the client   served is")
        with served(str(path)) as url:
            asked(url, todo[:BATCH])
            for _ in range(ROUNDS):
                started = time.perf_counter()
                here = [one.text for n in range(0, SAMPLES, BATCH) for one in model.generate_batch(todo[n : n + BATCH])]
                here_s = time.perf_counter() - started
                served_s, cpu_s, texts, facts = asked(url, todo, batch_size=2 * BATCH)
                ratios.append(here_s / served_s)
                print(f"              {here_s:9.1f}   {served_s:9.1f}   {cpu_s:23.2f}   {ratios[-1]:8.2f}x")
                equal = sum(one == other for one, other in zip(here, texts, strict=True))
                assert equal == SAMPLES, f"{equal} of {SAMPLES} texts are equal"
    ratio = statistics.median(ratios)
    print(f"median {ratio:.2f}x (at least 0.9x); latency {facts['latency_s']}")
    assert ratio >= 0.9, f"{ratio:.2f}x, and 0.9x is promised"


def cost_of_a_request() -> None:
    todo = prompts(REQUESTS)
    print("\na request of 640x480, ms of CPU of the client      to this machine   to another")
    with served("at once") as url:
        asked(url, todo[:8])
        here = min(asked(url, todo)[1] for _ in range(3))
        elsewhere = min(asked(url.replace("127.0.0.1", "0.0.0.0"), todo)[1] for _ in range(3))
        print(f"{'':50} {1000 * here / REQUESTS:15.1f}   {1000 * elsewhere / REQUESTS:10.1f}")
        texts = prompts(REQUESTS, None)
        bare = min(asked(url, texts)[1] for _ in range(3))
        print(f"{'a question without a picture':50} {1000 * bare / REQUESTS:15.1f}")


def under_way() -> None:
    todo = prompts(WAITING, None)
    ideal_s = WAITING * sum(DELAY_S) / 2 / BEST
    print(
        f"\n{WAITING} requests, the best is {BEST} under way ({ideal_s:.1f} s)   seconds   most under way   against 8"
    )
    for kind in ("waits", "slows down"):
        with served(kind) as url:
            took = {}
            for name, bound in {"8": 8, "16": 16, "32": 32, "as it likes": 256}.items():
                took[name], _, _, facts = asked(url, todo, concurrency=bound)
                ratio = took["8"] / took[name]
                print(f"{kind:12} {name:45} {took[name]:8.1f}   {facts['most_under_way']:14}   {ratio:8.2f}x")
            assert took["as it likes"] < 0.5 * took["8"], "not twice as fast as with 8 under way"
            assert took["as it likes"] < 1.4 * took["32"], "far from what a person who knows the server would set"


async def replay(kind: str) -> None:
    await serve(Answers(kind))


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        asyncio.run(serve(ModelAnswers(sys.argv[2])) if Path(sys.argv[2]).exists() else replay(sys.argv[2]))
    for table in (cost_of_a_request, under_way, against_this_process):
        if sys.argv[1:] in ([], [table.__name__]):
            table()
