"""Watches what a server replies, reply by reply, and says when asking on is of no use, and whose words may not count.

A number made of refusals, or half of it of another model, looks like any other. So a run ends, once what came back is
recorded, as `harness.models.failure_watch` says, and where another model replies. What is one sample's own costs that
sample alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from harness.errors import UserError
from harness.models.chat_reply import ChatReply, same_model
from harness.models.chat_wire import Outcome, Server
from harness.models.failure_watch import FailureWatch, Flags, ServerGoneError

_FIRST_REPLIES = 8
"""So many are looked at for thoughts without an answer."""


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
        self._failures = FailureWatch(server, is_there=is_there, flags=Flags())
        self._server = server
        self._allows_rerouting = allows_rerouting
        self._say = say
        self._hollow = self._looked_at = 0

    @property
    def ending(self) -> UserError | None:
        """Why the run is to end once what came back is recorded; None while it goes on."""
        return self._failures.ending

    def take_up(self, model: str | None) -> None:
        """Learn from an answer of a killed run which model gave it; None: the one that is asked."""
        self.models[model or self._server.model] += 1
        self._failures.answered()

    def heard(self, outcome: Outcome, budget: int | None = None) -> ChatReply:
        """Hear what became of a request; return its reply, as a failure where another model's may not count.

        Args:
            outcome: What came back.
            budget: Tokens that the answer might have at the most; None: not looked at.

        Raises:
            ServerGoneError: nobody is there any more.
        """
        if outcome.kind != "answer":
            self._failures.failed(outcome)
            return outcome.reply
        self._failures.answered()
        self._look_for_answers(outcome.reply)
        if budget is not None:
            self._check_budget(outcome.reply, budget)
        return self._of_one_model(outcome.reply)

    def ended(self) -> None:
        """Hear that nothing is left to ask, now or of this benchmark.

        Raises:
            UserError: not one of several requests was ever answered, all for one reason.
        """
        self._warn_of_hollow()
        self._failures.ended()

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
        self._failures.end(
            ServerGoneError(
                f"{self._server.shown_url} answered with another model than {expected!r}: {name!r}, after "
                f"{self.models.total()} of the first. Its reply is not scored. The same command goes on from here; "
                "--allow-rerouting takes such replies and names their model in the records"
            )
        )
        return ChatReply(model=reply.model, failure=f"the reply is of another model, {name!r} in place of {expected!r}")

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
