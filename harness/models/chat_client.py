"""Ask an OpenAI-compatible server: many requests under way, each with one deadline, tried again where that helps.

One client for models that are served and for judges. It keeps four promises:

- a request ends at its deadline, however slowly the server drips its reply; the others go on;
- an answer is never made of what is none (`harness.models.chat_reply`); what passes (429, a server's error, also inside
a
  200) is asked again, waiting as long as the server says;
- the key goes to the given host alone: redirects elsewhere are not followed but named;
- the key is cut out of everything that comes back.

Hosted servers refuse arguments of others: where one wants `max_completion_tokens`, no temperature, or none of the
`NEUTRAL` arguments, its 400 says so, and the client asks that way from then on and says it once.
"""

from __future__ import annotations

import asyncio
import json
import queue
import re
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, cast

import httpx

from harness.errors import ConfigError
from harness.models.chat_reply import PASSING_STATUSES, ChatReply, error_words, failed, one_line, read_reply, seconds
from harness.web_address import address_of, joined, removable, secret_values, shown_url, without_secrets

DEFAULT_TIMEOUT_S = 600.0
"""Seconds that one request may take, from its first byte to the last of its reply."""
DEFAULT_URL = "https://api.openai.com/v1"
"""Root of the API where none is given."""
_MOST_REPLY_BYTES = 32 * 2**20
"""A reply that is longer is none; a text of a million tokens has a few million bytes."""
_MOST_REDIRECTS = 5
NEUTRAL: Mapping[str, float] = {"top_p": 1.0, "top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
"""Values that change nothing, for arguments that vLLM and SGLang else fill from the model's generation_config.json.

-1 and not 0 for `top_k`: every version of both takes it for all tokens.
"""
_MOST_ADAPTATIONS = 8
"""Times that one request is written anew because the server refuses an argument."""
_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 8.0
_LONGEST_ASKED_WAIT_S = 60.0
"""A server that asks for a longer wait is not waited for."""
_REFUSES = re.compile(
    r"unsupported|not support|unknown|unrecognized|not allowed|only the default|deprecated", re.IGNORECASE
)
"""Words of a server that refuses an argument."""

Body: TypeAlias = dict[str, Any]
"""A chat completion request as JSON."""

Kind: TypeAlias = Literal["answer", "none", "refused", "lost", "late", "elsewhere"]
"""What became of a request.

`answer`: a text. `none`: a reply that is no answer. `refused`: a 4xx that asking again does not mend. `lost`: no
reply for lack of a connection. `late`: none within the deadline. `elsewhere`: a redirect to another host.
"""


@dataclass(frozen=True, slots=True)
class Server:
    """Where a served model lives and how it is asked."""

    model: str
    """The name that the server knows the model by."""
    base_url: str
    """Root of its OpenAI-compatible API, such as `http://localhost:8000/v1`."""
    api_key: str = "none"
    """Key; any text for a local server."""
    concurrency: int = 16
    """Requests under way at once, at least 1."""
    timeout_s: float = DEFAULT_TIMEOUT_S
    """Seconds until a request counts as lost: for the whole of it, once for each try."""
    retries: int = 4
    """Times that it is asked again after a lost connection, 429 or a server's error, waiting longer each time."""

    @property
    def shown_url(self) -> str:
        """The address without what may be secret in it."""
        return shown_url(self.base_url)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one request."""

    kind: Kind
    """In one word."""
    reply: ChatReply
    """The reply; its `failure` says why there is no answer."""
    status: int | None = None
    """The HTTP status of the last try; None where there was none."""


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
    """Whether an argument may be left out: stop strings, which are cut here too, greedy's temperature, what is neutral.

    Never one that a person asked for: the answers would be others than the run says.
    """
    return name == "stop" or value == {"temperature": 0, **NEUTRAL}.get(name)


class ChatClient:
    """Asks one server; used by one thread at a time, with requests under way in a thread of its own."""

    def __init__(
        self, server: Server, *, secrets: Sequence[str] = (), say: Callable[[str], None] = lambda _: None
    ) -> None:
        """Check address and key; nothing is sent yet.

        Args:
            server: Where to ask.
            secrets: Further keys to cut out of replies, beside the server's own.
            say: Takes a line for the person who watches.

        Raises:
            ConfigError: the address or the key cannot be one.
        """
        address = address_of(server.base_url)
        if address is None or address.scheme not in {"http", "https"} or not address.netloc:
            raise ConfigError(
                f"{shown_url(server.base_url)!r} is no address of a server: write it as http://localhost:8000/v1"
            )
        if not server.api_key.isascii() or any(char in server.api_key for char in "\r\n\0"):
            raise ConfigError(
                "the key holds characters that no HTTP header can carry: give the right one with --api-key"
            )
        self.server = server
        self.terms = Terms()
        self._neutral_is_settled = False
        self._address = address
        self._secrets = removable([server.api_key, address.password or "", *secret_values(address), *secrets])
        self._say = say
        self._http: httpx.AsyncClient | None = None
        self._loop = asyncio.new_event_loop()
        # a thread of its own: notebooks have a loop at work already, and a second one cannot run in its thread
        threading.Thread(target=self._loop.run_forever, name="satori-ask", daemon=True).start()

    def ask_each(self, makers: Sequence[Callable[[], Body]]) -> Iterator[tuple[int, Outcome]]:
        """Ask for each request; yield its place and what became of it, as the replies arrive.

        Args:
            makers: Each makes one request under our own names; called in a thread when its turn comes, so that no more
                requests are in memory than are under way.
        """
        arrived: queue.SimpleQueue[tuple[int, Outcome] | BaseException] = queue.SimpleQueue()
        waiting = iter(enumerate(makers))

        async def work() -> None:
            for place, make in waiting:
                arrived.put((place, await self._outcome(await asyncio.to_thread(make))))

        async def work_all() -> None:
            try:
                await asyncio.gather(*(work() for _ in range(min(self.server.concurrency, len(makers)))))
            except BaseException as fault:
                arrived.put(fault)
                raise

        under_way = asyncio.run_coroutine_threadsafe(work_all(), self._loop)
        try:
            for _ in makers:
                found = arrived.get()
                if isinstance(found, BaseException):
                    raise found
                yield found
        finally:
            under_way.cancel()

    def model_names(self) -> list[str]:
        """Return the names that the server lists; none where it keeps no list.

        Raises:
            ConfigError: no server answers, it refuses the key, sends to another host, or is no such API.
        """
        shown = self.server.shown_url
        outcome, listed = self._wait(self._listed())
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
        names = [model.get("id") for model in models]
        return [one_line(name, 200) for name in names if isinstance(name, str)]

    def _wait(self, asked: Coroutine[Any, Any, tuple[Outcome, object]]) -> tuple[Outcome, object]:
        """Wait for something that the other thread does."""
        under_way = asyncio.run_coroutine_threadsafe(asked, self._loop)
        try:
            return under_way.result()
        finally:
            under_way.cancel()

    async def _listed(self) -> tuple[Outcome, object]:
        """Ask for the list of models, as patiently as for anything else."""
        tries = 0
        while True:
            got = await self._send("GET", "models", None)
            outcome = got.outcome(read=False)
            if tries >= self.server.retries or not _helps_to_ask_again(got, outcome):
                return outcome, got.value
            await asyncio.sleep(_wait_s(got, outcome, tries))
            tries += 1

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
        tries = adaptations = 0
        while True:
            written = self.terms.written(body)
            got = await self._send("POST", "chat/completions", written)
            outcome = got.outcome()
            if got.status in {400, 422} and adaptations < _MOST_ADAPTATIONS:
                adaptations += 1
                self._adapt(written, outcome.reply.failure or "")
                if self.terms.written(body) != written:  # learnt just now, or from another request meanwhile
                    continue
            if tries >= self.server.retries or not _helps_to_ask_again(got, outcome):
                return outcome
            await asyncio.sleep(_wait_s(got, outcome, tries))
            tries += 1

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
        """Return the arguments of a request that change nothing."""
        return [name for name, value in NEUTRAL.items() if name in sent and sent[name] == value]

    def _leave_out(self, neutral: Sequence[str], words: str) -> None:
        """Ask without these neutral arguments from here on."""
        new = [name for name in neutral if name not in self.terms.left_out]
        self.terms.left_out.update(new)
        if new:
            self._say(
                f"{self.server.model} refuses {', '.join(new)} ({words}): left out from here on, where the value would "
                "change nothing; this stands in the run's manifest"
            )

    async def _send(self, method: str, path: str, body: Body | None) -> _Got:
        """Send once, within the deadline."""
        try:
            async with asyncio.timeout(self.server.timeout_s):
                return await self._exchange(method, path, body)
        except TimeoutError:
            return _Got("late", words=f"no whole reply within {self.server.timeout_s:g} s (--request-timeout)")
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as fault:
            return _Got("lost", words=self._clean(f"{type(fault).__name__}: {fault.__cause__ or fault}"))

    async def _exchange(self, method: str, path: str, body: Body | None) -> _Got:
        """Send and read the whole reply, going along with redirects on the same host."""
        if self._http is None:
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=self.server.concurrency)
            self._http = httpx.AsyncClient(timeout=None, limits=limits, follow_redirects=False)  # noqa: S113 - see _send
        url = httpx.URL(joined(self._address, path))
        content = None if body is None else json.dumps(body).encode("ascii")
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if self._address.username is None:
            headers["Authorization"] = f"Bearer {self.server.api_key}"
        for _ in range(_MOST_REDIRECTS):
            async with self._http.stream(method, url, content=content, headers=headers) as response:
                if not response.has_redirect_location:
                    return self._read(response, await _bounded_body(response))
                target = url.join(response.headers["location"])
                if not _same_host(url, target):
                    place = one_line(f"{target.scheme}://{target.host}:{target.port or ''}".rstrip(":"), 200)
                    words = self._clean(f"sends the request on to another host, {place}")
                    return _Got("elsewhere", response.status_code, words=words)
                url = target
        return _Got("replied", 508, words=f"more than {_MOST_REDIRECTS} redirects")

    def _read(self, response: httpx.Response, body: bytes | None) -> _Got:
        """Read a reply: JSON without the key in it, or what is wrong with it."""
        wait_s = _header_wait(response.headers)
        if body is None:
            return _Got("replied", response.status_code, words=f"the reply is longer than {_MOST_REPLY_BYTES} bytes")
        try:
            value = without_secrets(cast("object", json.loads(body.decode("utf-8"))), self._secrets)
        except (ValueError, RecursionError) as error:
            # bytes that are no UTF-8 are damage: with marks in their place a text would be scored that nobody wrote
            found = "UTF-8" if isinstance(error, UnicodeDecodeError) else "JSON"
            shown = one_line(self._clean(body.decode("utf-8", errors="replace")), 200) or "nothing"
            return _Got("replied", response.status_code, words=f"the reply is no {found} but {shown}", wait_s=wait_s)
        return _Got("replied", response.status_code, value=value, is_json=True, wait_s=wait_s)

    def _clean(self, text: str) -> str:
        return cast("str", without_secrets(text, self._secrets))


@dataclass(frozen=True, slots=True)
class _Got:
    """What one try brought."""

    how: Literal["replied", "lost", "late", "elsewhere"]
    """Whether there was a reply."""
    status: int | None = None
    """Its HTTP status."""
    value: object = None
    """Its JSON value."""
    is_json: bool = False
    """Whether it was JSON."""
    words: str = ""
    """What is wrong, where it was none."""
    wait_s: float | None = None
    """Seconds that the server asks to wait."""

    def outcome(self, *, read: bool = True) -> Outcome:
        """Say what became of the request; `read`: whether a 200 holds a chat completion."""
        if self.how != "replied":
            return Outcome(self.how, failed(self.words), self.status)
        if self.status is not None and self.status >= 400:
            words = error_words(self.value) if self.is_json else self.words
            shown = f"{self.status}: {words}" if words else f"{self.status} without a word"
            said = failed(shown, self.value, status=self.status, wait_s=self.wait_s)
            return Outcome("none" if self.status in PASSING_STATUSES else "refused", said, self.status)
        if not self.is_json:
            return Outcome("none", failed(self.words), self.status)
        reply = read_reply(self.value) if read else ChatReply()
        return Outcome("answer" if reply.failure is None else "none", reply, self.status)


def _helps_to_ask_again(got: _Got, outcome: Outcome) -> bool:
    """Whether another try may bring an answer. One that was late would be late again, and costs its sample alone."""
    wait_s = got.wait_s or outcome.reply.retry_after_s or 0.0
    return wait_s <= _LONGEST_ASKED_WAIT_S and (got.how == "lost" or outcome.reply.passing)


def _wait_s(got: _Got, outcome: Outcome, tries: int) -> float:
    """Return how long to wait before the next try: what the server asks for, else longer each time."""
    asked = got.wait_s if got.wait_s is not None else outcome.reply.retry_after_s
    return asked if asked is not None else min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2**tries)


def _header_wait(headers: httpx.Headers) -> float | None:
    """Return the seconds to wait that the reply's head names; None for none, and for a date."""
    milliseconds = seconds(headers.get("retry-after-ms", ""))
    return seconds(headers.get("retry-after", "")) if milliseconds is None else milliseconds / 1000


async def _bounded_body(response: httpx.Response) -> bytes | None:
    """Return the whole body; None when it is too long."""
    pieces: list[bytes] = []
    size = 0
    async for piece in response.aiter_bytes():
        size += len(piece)
        if size > _MOST_REPLY_BYTES:
            return None
        pieces.append(piece)
    return b"".join(pieces)


def _same_host(one: httpx.URL, other: httpx.URL) -> bool:
    """Whether a redirect stays where the key may go: on the same host and port, or from http to its https."""
    if one.host != other.host or other.scheme not in {"http", "https"}:
        return False
    same = (one.scheme, one.port) == (other.scheme, other.port)
    return same or (one.scheme == "http" and other.scheme == "https")
