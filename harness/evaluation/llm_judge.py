"""Ask a judge model behind an OpenAI-compatible endpoint, for what rules cannot decide.

Optional in every way: no key is needed anywhere unless a judge is asked for by name. The reply is stored with the
record and scored by the same rules as any answer, so that a rescore needs no judge. A judge that fails is no answer and
no zero: the sample is null with the fault `judge_error`, which keeps the judge's words, and is asked about again. A
reply that was cut off, or that is a thought and nothing else, is no verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from harness.models.chat_reply import ChatReply, one_line, same_model
from harness.scoring.surroundings import bare_answer
from harness.task_facts import facts_of
from harness.values import Record

MAX_ANSWER_CHARACTERS = 4_000
"""The judge reads this much of an answer's end; an answer is not longer than that."""
_MOST_TOKENS = 64
"""Budget of a judge's reply, which is an option letter or a short answer."""
_WHO = "the judge at "
"""Stands before its address where a run ends for its sake."""
_THINKS = ": give a judge that replies without thinking (vLLM serves one so with --default-chat-template-kwargs)"
"""What to do about a judge that does not come to its answer."""


@dataclass(frozen=True, slots=True)
class Judge:
    """Where the judge lives and how it is asked."""

    model: str
    """Name of the judge model; stored with the run."""
    base_url: str | None
    """Root of the OpenAI-compatible API; None for OpenAI's own."""
    api_key: str
    """Key; any text for a local server."""
    concurrency: int = 8
    """Requests under way at once, at the most."""
    timeout_s: float = 60.0
    """Seconds until a request counts as failed."""
    retries: int = 3
    """Times that a failed request is tried again."""


def wants_judge(record: Record) -> bool:
    """Return whether a judge could decide what the rules left open in this record.

    MathVista: extraction of the answer. MMBench: which option a free answer means.
    """
    if not facts_of(record.sample.task).judged or record.judge_reply is not None:
        return False
    if record.generation.error is not None or not record.generation.text.strip():
        return False
    return "needs_judge" in record.score.faults or "no_match" in record.score.faults


def ask_all(
    judge: Judge,
    questions: Iterable[tuple[Record, str]],
    *,
    secrets: Sequence[str] = (),
    say: Callable[[str], None] = lambda _: None,
) -> Iterator[Record]:
    """Ask the judge about each (record, answer text); yield the record with what it said, as the replies arrive.

    A record holds the reply, or why there is none in the server's words; its score is as it was. Asking ends, once what
    came back is yielded, where the judge is gone or many requests in a row fail alike, as asking a served model does.
    A few that fail leave their records unjudged and no more.

    Args:
        judge: Whom to ask.
        questions: What to ask about.
        secrets: Keys to cut out of replies, beside the judge's own.
        say: Takes a line for the person who watches.

    Raises:
        ConfigError: the judge's address or key cannot be one, or it refuses every request for one reason.
        ServerGoneError: nobody is there any more, or a long row of requests failed alike.
    """
    from harness.models.chat_client import ChatClient  # noqa: PLC0415 - an import for judged runs alone
    from harness.models.chat_wire import DEFAULT_URL, Server  # noqa: PLC0415 - as above
    from harness.models.failure_watch import FailureWatch, Flags  # noqa: PLC0415 - as above

    url = judge.base_url or DEFAULT_URL
    server = Server(judge.model, url, judge.api_key, judge.concurrency, judge.timeout_s, judge.retries)
    client = ChatClient(server, secrets=secrets, say=say)
    watch = FailureWatch(server, is_there=client.is_there, flags=Flags("--judge-key", "--judge", "--judge-url", _WHO))
    first: str | None = None
    asked = ((record, partial(_request, judge, record, answer)) for record, answer in questions)
    with closing(client.ask_each(asked)) as outcomes:
        for record, outcome in outcomes:
            reply = outcome.reply
            if outcome.kind == "answer":
                watch.answered()
            else:
                watch.failed(outcome)
            said = (bare_answer(reply.content) or "").strip()
            why = reply.failure or _no_verdict(reply, said)
            if not why and reply.model is not None:
                first = first or reply.model  # a judge may be known by another name; a change of it is another judge
                if not same_model(first, reply.model):
                    why = f"the reply is of another model, {reply.model!r} in place of {first!r}"
            yield replace(record, judge_reply=None if why else said, judge_error=why or None)
            if watch.ending is not None:
                raise watch.ending


def _no_verdict(reply: ChatReply, said: str) -> str:
    """Say why a reply is no verdict, of which `said` is what stands behind its thoughts; nothing where it is one."""
    if reply.truncated:
        return f"the judge's reply was cut off at {_MOST_TOKENS} tokens{_THINKS}"
    if reply.refused:
        return f"the judge refuses: {one_line(reply.content)}"
    if not said and (reply.content.strip() or reply.thought):
        return f"the judge's reply is a thought without an answer{_THINKS}"
    return "" if said else "the judge's reply is empty"


def _request(judge: Judge, record: Record, answer: str) -> dict[str, Any]:
    """Return the request about one record."""
    content = judge_prompt(record, answer)
    message = {"role": "user", "content": content}
    return {"model": judge.model, "messages": [message], "temperature": 0.0, "max_tokens": _MOST_TOKENS}


def judge_prompt(record: Record, answer: str) -> str:
    """Return the words put to the judge for one record."""
    sample = record.sample
    shown = answer[-MAX_ANSWER_CHARACTERS:]
    if sample.choices:
        options = "\n".join(f"{letter}. {text}" for letter, text in sample.choices.items())
        return (
            "Somebody answered a multiple-choice question in their own words. Which option do they mean?\n"
            "Reply with the option letter alone; reply with Z when the answer means none of the options.\n\n"
            f"Question:\n{sample.question}\n\nOptions:\n{options}\n\nAnswer:\n{shown}\n\nOption letter:"
        )
    kind = str(sample.extra.get("answer_type") or "text")
    return (
        "Take the final answer out of a reply to a question. Do not solve the question yourself.\n"
        f"Reply with the answer alone, written as: {kind}. Reply with NONE when the reply gives no answer.\n\n"
        f"Question:\n{sample.question}\n\nReply:\n{shown}\n\nFinal answer:"
    )
