"""Watches how a server's requests fail, one by one, and says when asking on is of no use.

So a run ends, once what came back is recorded, where nobody is there any more, where every request meets the same
failure, and where a key and questions would have to go to another host. What is one sample's own costs that sample
alone. It serves models and judges alike.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from harness.errors import ConfigError, IncompleteError, UserError
from harness.models.chat_wire import Outcome, Server

_CONCERNS_ALL = frozenset({401, 403, 404})
"""Refusals that one sample alone shows to concern every sample, as long as none was answered."""
_MOST_ALIKE_AT_FIRST = 16
"""So many equal failures, none answered, are no samples' own."""
_MOST_ALIKE = 32
"""So many equal failures in a row are no samples' own, whatever was answered before."""
_MOST_ALIKE_FOR_ALL = 8
"""The same for a refusal of a kind that mostly concerns all."""
_MOST_LATE = 8
"""So many in a row without a reply in time: the server hangs."""


class ServerGoneError(IncompleteError, ConnectionError):
    """The server answers no more, or another model does; nothing that was recorded is lost."""


@dataclass(frozen=True, slots=True)
class Flags:
    """What mends a failure on the command line, and what stands before the server's address in its message."""

    key: str = "--api-key"
    """Gives the key."""
    name: str = "--served-name"
    """Gives the model's name at the server."""
    url: str = "--base-url"
    """Gives the address."""
    who: str = ""
    """Such as `the judge at `; empty for the model itself."""


class FailureWatch:
    """What the failures of a server's requests so far say about going on."""

    def __init__(self, server: Server, *, is_there: Callable[[], bool], flags: Flags) -> None:
        """Begin with nothing heard.

        Args:
            server: Who is asked.
            is_there: Asks whether anybody replies at its address at all.
            flags: What a person mends it with.
        """
        self.ending: UserError | None = None
        """Why the run is to end once what came back is recorded; None while it goes on."""
        self.server = server
        self._is_there = is_there
        self._flags = flags
        self._any_answer = False
        self._failures = 0
        self._alike: tuple[str, int] = ("", 0)
        self._last: Outcome | None = None
        self._late = 0

    def answered(self) -> None:
        """Hear that a request was answered, now or by a killed run."""
        self._any_answer = True
        self._failures, self._alike, self._late = 0, ("", 0), 0

    def failed(self, outcome: Outcome) -> None:
        """Hear that a request was not.

        Raises:
            ServerGoneError: nobody is there any more.
        """
        self._last = outcome
        self._failures += 1
        words = re.sub(r"[0-9a-f-]*[0-9][0-9a-f-]*", "#", outcome.reply.failure or "")  # ids and counts differ
        before, count = self._alike
        self._alike = (words, count + 1 if words == before else 1)
        self._late = self._late + 1 if outcome.kind == "late" else 0
        if (outcome.kind == "lost" and not self._is_there()) or self._late >= _MOST_LATE:
            raise self._gone(outcome)
        self._note_refusal(outcome)

    def ended(self) -> None:
        """Hear that nothing is left to ask, now or of this benchmark.

        Raises:
            UserError: not one of several requests was ever answered, all for one reason.
        """
        _, count = self._alike
        if self._last is None or self._any_answer or count < 2 or count < self._failures:
            return
        raise self._gone(self._last) if self._last.kind in {"late", "lost"} else self._refusal(self._last)

    def end(self, why: UserError) -> None:
        """Have the run end for this reason, where there is no earlier one."""
        self.ending = self.ending or why

    def _note_refusal(self, outcome: Outcome) -> None:
        """Note that the run ends where every request so far, or a long row of them, failed with the same words."""
        if outcome.kind == "elsewhere":
            why = f"{self._shown} {outcome.reply.failure}: neither key nor question was sent there"
            mend = f"If the model is there, give that address with {self._flags.url}"
            self.end(ServerGoneError(f"{why}. {mend}") if self._any_answer else ConfigError(f"{why}. {mend}"))
            return
        _, count = self._alike
        for_all = outcome.kind == "refused" and outcome.status in _CONCERNS_ALL
        if self._any_answer:
            enough = count >= (_MOST_ALIKE_FOR_ALL if for_all else _MOST_ALIKE)
        else:
            enough = for_all or self._failures == count >= _MOST_ALIKE_AT_FIRST or count >= _MOST_ALIKE
        if enough:
            self.end(self._refusal(outcome))

    def _refusal(self, outcome: Outcome) -> UserError:
        """Return what ends a run in which the same failure is all that comes back."""
        _, count = self._alike
        if not self._any_answer and outcome.kind == "refused":
            said = f"{self._shown} refuses {self.server.model}: {outcome.reply.failure}"
            return ConfigError(f"{said} (all {count} requests so far){self._mend(outcome.status)}")
        return ServerGoneError(
            f"{self._shown} gives no answer{' any more' if self._any_answer else ''}: {outcome.reply.failure} (the "
            f"last {count} requests). Mend the cause, then run the same command: it goes on from here"
        )

    def _mend(self, status: int | None) -> str:
        """Return what to do about a refusal that says little by itself."""
        flags = self._flags
        match status:
            case 401:
                return f". Give the key with {flags.key}"
            case 403:
                return f". Give a key that may use the model with {flags.key}"
            case 404:
                return (
                    f". Is the address right? Most APIs have their root at /v1; the model's name there is {flags.name}"
                )
            case _:
                return ""

    def _gone(self, outcome: Outcome) -> ServerGoneError:
        return ServerGoneError(
            f"{self._shown} answers no more ({outcome.reply.failure}). "
            "Start it again, then run the same command: it resumes"
        )

    @property
    def _shown(self) -> str:
        return f"{self._flags.who}{self.server.shown_url}"
