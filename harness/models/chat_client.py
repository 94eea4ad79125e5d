"""Ask an OpenAI-compatible server: as many requests under way as it likes, and each again where that helps.

One client for models that are served and for judges:

- every reply is handed on as it arrives, and the next request takes its place: nobody waits for the slowest;
- how many are under way at once follows from the server's speed and refusals (`harness.models.pace`);
- an answer is never made of what is none (`harness.models.chat_reply`); what passes (429, a server's error, also inside
  a 200, a lost connection, a reply that breaks off) is asked again, waiting as long as the server says. A server that
  is only busy is asked on for as long as it answers others. A request that is late is sent once more;
- redirects, deadlines and keys are `harness.models.chat_wire`'s.

Hosted servers refuse arguments of others: where one wants `max_completion_tokens`, no temperature, or none of the
`DISPENSABLE` arguments, its 400 says so, and the client asks that way from then on and says it once.
"""

from __future__ import annotations

import asyncio
import json
import queue
import re
import threading
from collections.abc import Callable, Coroutine, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, TypeVar, cast

from harness.errors import ConfigError
from harness.models.chat_reply import one_line
from harness.models.chat_wire import Got, Outcome, Server, Wire
from harness.models.clock import Clock
from harness.models.pace import Gate, Pace

NEUTRAL: Mapping[str, float] = {"top_p": 1.0, "top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
"""Values that change nothing, for arguments that vLLM and SGLang else fill from the model's generation_config.json.

-1 and not 0 for `top_k`: every version of both takes it for all tokens.
"""
KEEPS_TOKENS: Mapping[str, bool] = {"skip_special_tokens": False}
"""What makes vLLM and SGLang leave in a reply what a family marks boxes with: `<|box_start|>`, `<box>`, `<loc_12>`."""
DISPENSABLE: Mapping[str, float] = {**NEUTRAL, **KEEPS_TOKENS}
"""Arguments without which a server is asked that refuses them."""
_MOST_ADAPTATIONS = 8
"""Times that one request is written anew because the server refuses an argument."""
_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 8.0
_LONGEST_ASKED_WAIT_S = 60.0
"""A server that asks for a longer wait is not waited for."""
_MOST_LATE_RETRIES = 1
"""One that was late may have met a hung connection, or too many others; twice late is its own slowness."""
_MOST_TRIES_WHILE_BUSY = 20
"""A server that is busy and answers others is asked no more often than this."""
_MOST_LIST_RETRIES = 2
_PROBE_TIMEOUT_S = 30.0
"""Whoever is there tells its list of models within this time."""
_MOST_AHEAD = 8
"""Requests that stand ready beside those under way, so that a place that becomes free is taken at once."""
_ENGINES = ("vllm", "sglang")
"""Servers that tell what they are as the owner of their models, and know `KEEPS_TOKENS`."""
_REFUSES = re.compile(
    r"unsupported|not support|unknown|unrecognized|not allowed|only the default|deprecated", re.IGNORECASE
)
"""Words of a server that refuses an argument."""

Body: TypeAlias = dict[str, Any]
"""A chat completion request as JSON."""
Tag = TypeVar("Tag")
"""Whatever tells whose request it is."""


@dataclass(slots=True)
class Terms:
    """How a server wants its requests written, as far as its refusals have told."""

    budget_field: str = "max_tokens"
    """Under which name the token budget goes."""
    left_out: set[str] = field(default_factory=set[str])
    """Arguments that it refuses and that are left out, as long as that changes nothing or is said to."""

    def written(self, body: Mapping[str, Any]) -> Body:
        """Return a request as the server wants it; `body` has our own names."""
        names = {"max_tokens": self.budget_field}
        return {
            names.get(name, name): value
            for name, value in body.items()
            if name not in self.left_out or not _may_go(name, value)
        }


def _may_go(name: str, value: object) -> bool:
    """Whether an argument may be left out: stop strings, as they are cut here too, greedy's temperature, `DISPENSABLE`.

    Never one that a person asked for: the answers would be others than the run says.
    """
    return name == "stop" or value == {"temperature": 0, **DISPENSABLE}.get(name)


class ChatClient:
    """Asks one server; used by one thread at a time, with requests under way in a thread of its own."""

    def __init__(
        self,
        server: Server,
        *,
        secrets: Sequence[str] = (),
        say: Callable[[str], None] = lambda _: None,
        clock: Clock | None = None,
    ) -> None:
        """Check address and key; nothing is sent yet.

        Args:
            server: Where to ask.
            secrets: Further keys to cut out of replies, beside the server's own.
            say: Takes a line for the person who watches.
            clock: The time; None for the machine's own.

        Raises:
            ConfigError: the address or the key cannot be one.
        """
        self.server = server
        self.terms = Terms()
        self.engine = ""
        """What the server says it is, such as `vllm`; empty until `model_names` asked, or where it does not say."""
        self.tries = 0
        """Requests sent so far, those that were sent again among them."""
        self._clock = clock or Clock()
        self._wire = Wire(server, self._clock, secrets)
        self.gate = Gate(Pace(server.concurrency, timeout_s=server.timeout_s, begin_s=self._clock.now_s()), self._clock)
        self._answers = 0
        self._neutral_is_settled = False
        self._say = say
        self._loop = asyncio.new_event_loop()
        # a thread of its own: notebooks have a loop at work already, and a second one cannot run in its thread
        threading.Thread(target=self._loop.run_forever, name="satori-ask", daemon=True).start()

    def ask_each(self, requests: Iterator[tuple[Tag, Callable[[], Body]]]) -> Generator[tuple[Tag, Outcome]]:
        """Ask for each request; yield its tag and what became of it, as the replies arrive.

        Args:
            requests: Tags and what makes the request under our own names; called in a thread when its turn is near.
                Requests are taken in the thread that iterates here, and only as there is room for them; after their end
                more may come for as long as any is under way.
        """
        arrived: queue.SimpleQueue[tuple[Tag, Outcome | BaseException]] = queue.SimpleQueue()
        under_way: set[Future[None]] = set()

        async def work(tag: Tag, make: Callable[[], Body]) -> None:
            try:
                arrived.put((tag, await self._outcome(await asyncio.to_thread(make))))
            except Exception as fault:  # noqa: BLE001 - raised where the reply would have been yielded
                arrived.put((tag, fault))

        try:
            owed = 0
            while True:
                while owed < self._room and (request := next(requests, None)) is not None:
                    asked = asyncio.run_coroutine_threadsafe(work(*request), self._loop)
                    under_way.add(asked)
                    asked.add_done_callback(under_way.discard)
                    owed += 1
                if not owed:
                    return
                tag, found = arrived.get()
                owed -= 1
                if isinstance(found, BaseException):
                    raise found
                yield tag, found
        finally:
            for asked in tuple(under_way):
                asked.cancel()

    @property
    def _room(self) -> int:
        """How many requests may be made ready or be under way."""
        limit = self.gate.pace.limit
        return limit + min(_MOST_AHEAD, 1 + limit // 4)

    def is_there(self) -> bool:
        """Whether somebody replies at the address at all, whatever it is."""
        got = self._wait(self._wire.send("GET", "models", None, min(_PROBE_TIMEOUT_S, self.server.timeout_s)))
        return got.how in {"replied", "elsewhere"}

    def model_names(self) -> list[str]:
        """Return the names that the server lists; none where it keeps no list.

        Raises:
            ConfigError: no server answers, it refuses the key, sends to another host, or is no such API.
        """
        shown = self.server.shown_url
        got = self._wait(self._listed())
        outcome, listed = got.outcome(read=False), got.value
        why = outcome.reply.failure
        if outcome.status in {401, 403}:
            raise ConfigError(f"{shown} refuses the key: {why}. Give it with --api-key")
        if outcome.kind in {"lost", "late"}:
            raise ConfigError(f"no server answers at {shown} ({why}). Start one, for instance: vllm serve MODEL")
        if outcome.kind == "elsewhere":
            raise ConfigError(f"{shown} {why}. If that is where the model is, give that address with --base-url")
        if outcome.status != 200:
            return []
        entries: object = listed
        if isinstance(listed, dict):
            entries = cast("dict[str, object]", listed).get("data")
        if not isinstance(entries, list):
            raise ConfigError(
                f"{shown} answers, but not as an OpenAI-compatible API does ({why}). Most have their root at /v1"
            )
        models = [
            cast("dict[str, object]", entry) for entry in cast("list[object]", entries) if isinstance(entry, dict)
        ]
        owners = {str(model.get("owned_by")).lower() for model in models}
        self.engine = next((engine for engine in _ENGINES if engine in owners), "")
        names = [model.get("id") for model in models]
        return [one_line(name, 200) for name in names if isinstance(name, str)]

    def _wait(self, asked: Coroutine[Any, Any, Got]) -> Got:
        """Wait for something that the other thread does."""
        under_way = asyncio.run_coroutine_threadsafe(asked, self._loop)
        try:
            return under_way.result()
        finally:
            under_way.cancel()

    async def _listed(self) -> Got:
        """Ask for the list of models, a few times: whoever mistyped an address is to hear of it soon."""
        patience = _Patience(min(_MOST_LIST_RETRIES, self.server.retries))
        while True:
            got = await self._wire.send("GET", "models", None, self.server.timeout_s)
            wait_s = patience.wait_s(got, got.outcome(read=False), answers=0)
            if wait_s is None:
                return got
            await self._clock.sleep(wait_s)

    async def _outcome(self, body: Body) -> Outcome:
        """Ask until there is an answer, or no hope of one, also without the neutral arguments.

        Some servers refuse a field that they do not know without naming it. What a request brings without all of them
        tells, until the server has answered one with them, or refused one without them in the same words: then these
        fields are not what it minds.
        """
        outcome = await self._asked(body)
        neutral = self._neutral_in(self.terms.written(body))
        if not neutral:
            return outcome
        if outcome.kind == "answer":
            self._neutral_is_settled = True
        if outcome.status not in {400, 422} or self._neutral_is_settled:
            return outcome
        bare = await self._asked({name: value for name, value in body.items() if name not in neutral})
        if bare.kind == "answer":
            self._leave_out(neutral, outcome.reply.failure or "")
        elif bare.reply.failure == outcome.reply.failure:
            self._neutral_is_settled = True
        return outcome if bare.status in {400, 422} else bare

    async def _asked(self, body: Body) -> Outcome:
        """Ask until there is an answer, or no hope of one."""
        patience, adaptations = _Patience(self.server.retries), 0
        while True:
            written = self.terms.written(body)
            got, outcome = await self._tried(written)
            if got.status in {400, 422} and adaptations < _MOST_ADAPTATIONS:
                adaptations += 1
                self._adapt(written, outcome.reply.failure or "")
                if self.terms.written(body) != written:  # learnt just now, or from another request meanwhile
                    continue
            wait_s = patience.wait_s(got, outcome, answers=self._answers)
            if wait_s is None:
                return outcome
            await self._clock.sleep(wait_s)

    async def _tried(self, written: Body) -> tuple[Got, Outcome]:
        """Send a request once its turn comes, and let the pace hear of it."""
        content = json.dumps(written).encode("ascii")
        async with self.gate:
            sent_s = self._clock.now_s()
            self.tries += 1
            got = await self._wire.send("POST", "chat/completions", content, self.server.timeout_s)
            now_s = self._clock.now_s()
            outcome = got.outcome(takes_calls=self.server.takes_calls)
            if got.how == "replied":
                outcome = replace(outcome, latency_s=now_s - sent_s)
            if outcome.kind == "answer":
                self._answers += 1
                reply = outcome.reply
                words = len(reply.text) / 4 if reply.output_tokens is None else reply.output_tokens
                self.gate.pace.answered(sent_s=sent_s, now_s=now_s, words=words, is_full=self.gate.is_full)
            elif got.says_busy(outcome):
                self.gate.pace.overloaded(sent_s=sent_s, now_s=now_s)
                asked_s = _asked_wait_s(got, outcome)
                if asked_s is not None and asked_s <= _LONGEST_ASKED_WAIT_S:
                    self.gate.pause(asked_s)
        return got, outcome

    def _adapt(self, sent: Body, words: str) -> None:
        """Learn from the words of a refusal how the server wants its requests."""
        if "max_tokens" in sent and "max_completion_tokens" in words and self.terms.budget_field == "max_tokens":
            self.terms.budget_field = "max_completion_tokens"
            self._say(f"{self.server.model} refuses max_tokens: the budget goes as max_completion_tokens from here on")
            return
        neutral = [name for name in self._neutral_in(sent) if re.search(rf"\b{name}\b", words)]
        if neutral:
            self._leave_out(neutral, words)
        if not _REFUSES.search(words):
            return
        # Left out only where the words name it and the answer is the same without it, or said to be another: a greedy
        # run's temperature, and stop strings, which are cut here as well.
        if sent.get("temperature") == 0 and "temperature" in words and "temperature" not in self.terms.left_out:
            self.terms.left_out.add("temperature")
            self._say(
                f"warning: {self.server.model} refuses temperature 0 ({words}): it is left out from here on, so the "
                "server samples at a temperature of its own and a second run may answer otherwise; "
                "this stands in the run's manifest"
            )
        if "stop" in sent and re.search(r"\bstop\b", words) and "stop" not in self.terms.left_out:
            self.terms.left_out.add("stop")
            self._say(f"{self.server.model} refuses stop strings: texts are cut at them here")

    def _neutral_in(self, sent: Body) -> list[str]:
        """Return the arguments of a request without which it may go."""
        return [name for name, value in DISPENSABLE.items() if name in sent and sent[name] == value]

    def _leave_out(self, neutral: Sequence[str], words: str) -> None:
        """Ask without these arguments from here on."""
        new = [name for name in neutral if name not in self.terms.left_out]
        self.terms.left_out.update(new)
        if new:
            self._say(
                f"{self.server.model} refuses {', '.join(new)} ({words}): left out from here on, where the value would "
                "change nothing; this stands in the run's manifest"
            )
        if lost := sorted(KEEPS_TOKENS.keys() & set(new)):
            self._say(
                f"warning: without {', '.join(lost)} the server may cut special tokens out of its replies: boxes that "
                "a family marks with some (<|box_start|>) are then not read as such"
            )


class _Patience:
    """How often one request is asked again, and how long is waited before."""

    def __init__(self, retries: int) -> None:
        self._retries = retries
        self._tries = 0
        self._all_tries = 0
        self._late = 0
        self._answers = 0

    def wait_s(self, got: Got, outcome: Outcome, *, answers: int) -> float | None:
        """Return the seconds to wait before the next try; None where there is to be none.

        Args:
            got: What the last try brought.
            outcome: The same, read.
            answers: What the server has answered so far, to anybody. A try is not counted while it answers others.
        """
        asked_s = _asked_wait_s(got, outcome)
        if (asked_s or 0.0) > _LONGEST_ASKED_WAIT_S:
            return None
        if got.how == "late":
            self._late += 1
            return 0.0 if self._late <= min(_MOST_LATE_RETRIES, self._retries) else None
        if got.how != "lost" and not outcome.reply.passing:
            return None
        if not (got.how == "replied" and got.says_busy(outcome) and answers > self._answers):
            self._tries += 1
        self._answers = answers
        self._all_tries += 1
        if self._tries > self._retries or self._all_tries > max(self._retries, _MOST_TRIES_WHILE_BUSY):
            return None
        return min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2 ** (self._all_tries - 1)) if asked_s is None else asked_s


def _asked_wait_s(got: Got, outcome: Outcome) -> float | None:
    """Return the seconds that the server asks to wait, in its head or in its reply."""
    return got.wait_s if got.wait_s is not None else outcome.reply.retry_after_s
