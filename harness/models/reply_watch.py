"""Watches what a server replies, reply by reply, and says when asking on is of no use, and whose words may not count.

A number made of refusals, or half of it of another model, looks like any other. So a run ends, once what came back is
recorded, where nobody is there any more, where every request meets the same refusal, where a key and questions would
have to go to another host, and where another model replies. What is one sample's own costs that sample alone.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping

from harness.errors import ConfigError, IncompleteError, UserError
from harness.models.chat_reply import ChatReply, same_model
from harness.models.chat_wire import Outcome, Server

_CONCERNS_ALL = frozenset({401, 403, 404})
"""Refusals that one sample alone shows to concern every sample, as long as none was answered."""
_MENDS: Mapping[int, str] = {
    401: ". Give the key with --api-key",
    403: ". Give a key that may use the model with --api-key",
    404: ". Is the address right? Most APIs have their root at /v1; the model's name there is --served-name",
}
"""What to do about a refusal that says little by itself."""
_MOST_ALIKE_AT_FIRST = 16
"""So many equal failures, none answered, are no samples' own."""
_MOST_ALIKE = 32
"""So many equal failures in a row are no samples' own, whatever was answered before."""
_MOST_ALIKE_FOR_ALL = 8
"""The same for a refusal of a kind that mostly concerns all."""
_MOST_LATE = 8
"""So many in a row without a reply in time: the server hangs."""
_FIRST_REPLIES = 8
"""So many are looked at for thoughts without an answer."""


class ServerGoneError(IncompleteError, ConnectionError):
    """The server answers no more, or another model does; nothing that was recorded is lost."""


class ReplyWatch:
    """What a server's replies so far say about going on."""

    def __init__(
        self, server: Server, *, is_there: Callable[[], bool], allows_rerouting: bool, say: Callable[[str], None]
    ) -> None:
        """Begin with nothing heard.

        Args:
            server: Who is asked.
            is_there: Asks whether anybody replies at its address at all.
            allows_rerouting: Whether replies of another model count.
            say: Takes a line for the person who watches.
        """
        self.models: Counter[str] = Counter()
        """How many answers each model gave, by the name that replies give it."""
        self.over_budget = 0
        """Answers that are longer than was asked for."""
        self.ending: UserError | None = None
        """Why the run is to end once what came back is recorded; None while it goes on."""
        self._server = server
        self._is_there = is_there
        self._allows_rerouting = allows_rerouting
        self._say = say
        self._failures = 0
        self._alike: tuple[str, int] = ("", 0)
        self._last: Outcome | None = None
        self._late = 0
        self._hollow = self._looked_at = 0

    def take_up(self, model: str | None) -> None:
        """Learn from an answer of a killed run which model gave it; None: the one that is asked."""
        self.models[model or self._server.model] += 1

    def heard(self, outcome: Outcome, budget: int | None = None) -> ChatReply:
        """Hear what became of a request; return its reply, as a failure where another model's may not count.

        Args:
            outcome: What came back.
            budget: Tokens that the answer might have at the most; None: not looked at.

        Raises:
            ServerGoneError: nobody is there any more.
        """
        self._last = outcome
        if outcome.kind == "answer":
            self._failures, self._alike, self._late = 0, ("", 0), 0
            self._look_for_answers(outcome.reply)
            if budget is not None:
                self._check_budget(outcome.reply, budget)
            return self._of_one_model(outcome.reply)
        self._failures += 1
        words = re.sub(r"[0-9a-f-]*[0-9][0-9a-f-]*", "#", outcome.reply.failure or "")  # ids and counts differ
        before, count = self._alike
        self._alike = (words, count + 1 if words == before else 1)
        self._late = self._late + 1 if outcome.kind == "late" else 0
        if (outcome.kind == "lost" and not self._is_there()) or self._late >= _MOST_LATE:
            raise self._gone(outcome)
        self._note_refusal(outcome)
        return outcome.reply

    def ended(self) -> None:
        """Hear that nothing is left to ask, now or of this benchmark.

        Raises:
            UserError: not one of several requests was ever answered, all for one reason.
        """
        self._warn_of_hollow()
        _, count = self._alike
        if self._last is None or self.models or count < 2 or count < self._failures:
            return
        raise self._gone(self._last) if self._last.kind in {"late", "lost"} else self._refusal(self._last)

    def _of_one_model(self, reply: ChatReply) -> ChatReply:
        """Return a reply, or in place of another model's than the first one's why it does not count.

        A server may know a model by another name than it is asked by (a snapshot's date, a deployment): what the first
        reply says is taken for it. A change of name later is another model, such as a router's fallback.
        """
        asked, name = self._server.model, reply.model or self._server.model
        if not self.models and not same_model(asked, name):
            self._say(
                f"warning: asked for {asked!r}, the server replies as {name!r}; its records name it. If that is "
                "another model, stop here"
            )
        expected = self.models.most_common(1)[0][0] if self.models else name
        if same_model(expected, name) or self._allows_rerouting:
            self.models[name] += 1
            return reply
        self._end(
            ServerGoneError(
                f"{self._server.shown_url} answered with another model than {expected!r}: {name!r}, after "
                f"{self.models.total()} of the first. Its reply is not scored. The same command goes on from here; "
                "--allow-rerouting takes such replies and names their model in the records"
            )
        )
        return ChatReply(model=reply.model, failure=f"the reply is of another model, {name!r} in place of {expected!r}")

    def _note_refusal(self, outcome: Outcome) -> None:
        """Note that the run ends where every request so far, or a long row of them, failed with the same words."""
        if outcome.kind == "elsewhere":
            why = f"{self._server.shown_url} {outcome.reply.failure}: neither key nor question was sent there"
            mend = "If the model is there, give that address with --base-url"
            self._end(ServerGoneError(f"{why}. {mend}") if self.models else ConfigError(f"{why}. {mend}"))
            return
        _, count = self._alike
        for_all = outcome.kind == "refused" and outcome.status in _CONCERNS_ALL
        if self.models:
            enough = count >= (_MOST_ALIKE_FOR_ALL if for_all else _MOST_ALIKE)
        else:
            enough = for_all or self._failures == count >= _MOST_ALIKE_AT_FIRST or count >= _MOST_ALIKE
        if enough:
            self._end(self._refusal(outcome))

    def _refusal(self, outcome: Outcome) -> UserError:
        """Return what ends a run in which the same failure is all that comes back."""
        server, (_, count) = self._server, self._alike
        if not self.models and outcome.kind == "refused":
            mend = _MENDS.get(outcome.status or 0, "")
            said = f"{server.shown_url} refuses {server.model}: {outcome.reply.failure}"
            return ConfigError(f"{said} (all {count} requests so far){mend}")
        return ServerGoneError(
            f"{server.shown_url} gives no answer{' any more' if self.models else ''}: {outcome.reply.failure} (the "
            f"last {count} requests). Mend the cause, then run the same command: it goes on from here"
        )

    def _gone(self, outcome: Outcome) -> ServerGoneError:
        return ServerGoneError(
            f"{self._server.shown_url} answers no more ({outcome.reply.failure}). "
            "Start it again, then run the same command: it resumes"
        )

    def _end(self, why: UserError) -> None:
        self.ending = self.ending or why

    def _check_budget(self, reply: ChatReply, budget: int) -> None:
        """Say once that the server writes on where its budget ends: no other backend's answers are as long."""
        if (reply.output_tokens or 0) <= budget:
            return
        if not self.over_budget:
            self._say(
                f"warning: {self._server.model} wrote {reply.output_tokens} tokens where {budget} were asked for: the "
                "server does not keep the budget, and other backends would have cut such answers. How many there are "
                "stands in the run's manifest as over_budget"
            )
        self.over_budget += 1

    def _look_for_answers(self, reply: ChatReply) -> None:
        """Count thoughts alone among the first replies: a server's parser may have filed the answer there."""
        if self.models.total() >= _FIRST_REPLIES or self._looked_at >= _FIRST_REPLIES:
            return
        self._looked_at += 1
        self._hollow += bool(reply.thought and not reply.content.strip() and not reply.truncated)
        if self._looked_at == _FIRST_REPLIES:
            self._warn_of_hollow()

    def _warn_of_hollow(self) -> None:
        """Warn once where the first replies are mostly thoughts."""
        if self._hollow > 1 and 2 * self._hollow > self._looked_at:
            self._say(
                f"warning: {self._hollow} of {self._looked_at} replies hold a thought and no answer, though the model "
                "stopped by itself: the server's reasoning parser may take the answer for a thought. Look at "
                "samples.jsonl; serve without the parser, or see --chat-template-kwargs"
            )
            self._hollow = 0
