"""Send one request to a chat server, within its deadline, and read what comes back; nothing is asked twice here.

- A request ends at its deadline, however slowly the server drips its reply.
- The key goes to the given host alone: redirects elsewhere are not followed but named.
- The key is cut out of everything that comes back.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal, TypeAlias, cast

import httpx

from harness.errors import ConfigError
from harness.models.chat_reply import PASSING_STATUSES, ChatReply, error_words, failed, one_line, read_reply, seconds
from harness.models.clock import Clock
from harness.models.pace import MOST_UNDER_WAY
from harness.web_address import address_of, joined, removable, secret_values, shown_url, without_secrets

DEFAULT_TIMEOUT_S = 600.0
"""Seconds that one request may take, from its first byte to the last of its reply."""
DEFAULT_URL = "https://api.openai.com/v1"
"""Root of the API where none is given."""
_MOST_REPLY_BYTES = 32 * 2**20
"""A reply that is longer is none; a text of a million tokens has a few million bytes."""
_MOST_REDIRECTS = 5
_BUSY_STATUSES = frozenset({429, 502, 503, 504, 529})
"""Statuses of a server, or of the proxy before it, that has too much to do."""

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
    concurrency: int = MOST_UNDER_WAY
    """Requests under way at once, at the most and at least 1; how many it really are, the server's speed tells."""
    timeout_s: float = DEFAULT_TIMEOUT_S
    """Seconds until a request counts as lost: for the whole of it, once for each try."""
    retries: int = 4
    """Times that it is asked again after a lost connection, 429 or a server's error, waiting longer each time."""
    takes_calls: bool = False
    """Whether calls that the server files apart are a part of the text: a tool was offered."""

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
    latency_s: float | None = None
    """Seconds from sending the last try to the end of its reply; None where there was none."""


@dataclass(frozen=True, slots=True)
class Got:
    """What one try brought."""

    how: Literal["replied", "lost", "late", "elsewhere"]
    """Whether there was a reply."""
    status: int | None = None
    """Its HTTP status."""
    value: object = None
    """Its JSON value."""
    is_json: bool = False
    """Whether it was JSON."""
    breaks_off: bool = False
    """Whether it looks like JSON of which the end is missing, or nothing came: another try may bring all of it."""
    words: str = ""
    """What is wrong, where it was none."""
    wait_s: float | None = None
    """Seconds that the server's head asks to wait."""

    def outcome(self, *, read: bool = True, takes_calls: bool = False) -> Outcome:
        """Say what became of the request; `read`: whether a 200 holds a chat completion; `takes_calls`: see Server."""
        if self.how != "replied":
            return Outcome(self.how, failed(self.words), self.status)
        if self.status is not None and self.status >= 400:
            words = error_words(self.value) if self.is_json else self.words
            shown = f"{self.status}: {words}" if words else f"{self.status} without a word"
            said = failed(shown, self.value, status=self.status, wait_s=self.wait_s)
            return Outcome("none" if self.status in PASSING_STATUSES else "refused", said, self.status)
        if not self.is_json:
            return Outcome("none", replace(failed(self.words), passing=self.breaks_off), self.status)
        reply = read_reply(self.value, takes_calls=takes_calls) if read else ChatReply()
        return Outcome("answer" if reply.failure is None else "none", reply, self.status)

    def says_busy(self, outcome: Outcome) -> bool:
        """Whether the server has too much to do: it says so, or does not come to answer."""
        within_200 = self.status is not None and self.status < 400 and self.is_json and outcome.reply.passing
        return self.how in {"lost", "late"} or self.status in _BUSY_STATUSES or within_200


class Wire:
    """The connections to one server; lives in one event loop."""

    def __init__(self, server: Server, clock: Clock, secrets: Sequence[str]) -> None:
        """Check address and key; nothing is sent yet.

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
        self._server = server
        self._clock = clock
        self._address = address
        self._secrets = removable([server.api_key, address.password or "", *secret_values(address), *secrets])
        self._http: httpx.AsyncClient | None = None

    async def send(self, method: str, path: str, content: bytes | None, timeout_s: float) -> Got:
        """Send once, within the deadline."""
        try:
            async with self._clock.deadline(timeout_s):
                return await self._exchange(method, path, content)
        except TimeoutError:
            return Got("late", words=f"no whole reply within {timeout_s:g} s (--request-timeout)")
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as fault:
            return Got("lost", words=self._clean(f"{type(fault).__name__}: {fault.__cause__ or fault}"))

    async def _exchange(self, method: str, path: str, content: bytes | None) -> Got:
        """Send and read the whole reply, going along with redirects on the same host."""
        if self._http is None:
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=self._server.concurrency)
            self._http = httpx.AsyncClient(timeout=None, limits=limits, follow_redirects=False)  # noqa: S113 - see send
        url = httpx.URL(joined(self._address, path))
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if self._address.username is None:
            headers["Authorization"] = f"Bearer {self._server.api_key}"
        for _ in range(_MOST_REDIRECTS):
            async with self._http.stream(method, url, content=content, headers=headers) as response:
                if not response.has_redirect_location:
                    return await self._read(response)
                target = url.join(response.headers["location"])
                if not _same_host(url, target):
                    place = one_line(f"{target.scheme}://{target.host}:{target.port or ''}".rstrip(":"), 200)
                    words = self._clean(f"sends the request on to another host, {place}")
                    return Got("elsewhere", response.status_code, words=words)
                url = target
        return Got("replied", 508, words=f"more than {_MOST_REDIRECTS} redirects")

    async def _read(self, response: httpx.Response) -> Got:
        """Read a reply: JSON without the key in it, or what is wrong with it."""
        status, wait_s = response.status_code, _header_wait(response.headers, self._clock.today())
        try:
            body = await _bounded_body(response)
        except httpx.DecodingError as fault:
            packing = one_line(self._clean(response.headers.get("content-encoding", "")), 100)
            words = f"the reply is not packed as it says ({packing}): {one_line(self._clean(str(fault)), 100)}"
            return Got("replied", status, words=words, breaks_off=True, wait_s=wait_s)
        if body is None:
            return Got("replied", status, words=f"the reply is longer than {_MOST_REPLY_BYTES} bytes")
        try:
            value = without_secrets(cast("object", json.loads(body.decode("utf-8"))), self._secrets)
        except (ValueError, RecursionError) as error:
            # bytes that are no UTF-8 are damage: with marks in their place a text would be scored that nobody wrote
            found = "UTF-8" if isinstance(error, UnicodeDecodeError) else "JSON"
            shown = one_line(self._clean(body.decode("utf-8", errors="replace")), 200)
            words = f"the reply is no {found} but {shown}" if shown else "the reply is empty"
            return Got("replied", status, words=words, breaks_off=_breaks_off(body), wait_s=wait_s)
        return Got("replied", status, value=value, is_json=True, wait_s=wait_s)

    def _clean(self, text: str) -> str:
        return cast("str", without_secrets(text, self._secrets))


def _header_wait(headers: httpx.Headers, today: datetime) -> float | None:
    """Return the seconds to wait that the reply's head names, as a number or as the time until when; None for none.

    A time is the server's own: it is taken from the server's own date, where the head has one.
    """
    milliseconds = seconds(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    written = headers.get("retry-after", "")
    until = _date(written)
    return (
        seconds(written)
        if until is None
        else max(0.0, (until - (_date(headers.get("date", "")) or today)).total_seconds())
    )


def _date(written: str) -> datetime | None:
    """Return an HTTP date; None for anything else."""
    try:
        found = parsedate_to_datetime(written[:100])
    except (ValueError, TypeError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


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


def _breaks_off(body: bytes) -> bool:
    """Whether a body that is no JSON looks like the beginning of some, or is empty."""
    text = body.strip()
    return not text or (text[:1] in {b"{", b"["} and text[-1:] not in {b"}", b"]"})


def _same_host(one: httpx.URL, other: httpx.URL) -> bool:
    """Whether a redirect stays where the key may go: on the same host and port, or from http to its https."""
    if one.host != other.host or other.scheme not in {"http", "https"}:
        return False
    same = (one.scheme, one.port) == (other.scheme, other.port)
    return same or (one.scheme == "http" and other.scheme == "https")
