"""Ask a judge model behind an OpenAI-compatible endpoint, for what rules cannot decide.

Optional in every way: no key is needed anywhere unless a judge is asked for by name. The reply is stored with the
record and scored by the same rules as any answer, so that a rescore needs no judge. A failed request leaves the sample
as the rules left it and is counted; it is never an answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from harness.values import Record

if TYPE_CHECKING:
    from openai import OpenAI

JUDGED_TASKS = ("mathvista", "mmbench_en_dev", "mmbench_cn_dev")
"""MathVista: extraction of the answer. MMBench: which option a free answer means."""

MAX_ANSWER_CHARACTERS = 4_000
"""The judge reads this much of an answer's end; an answer is not longer than that."""


class JudgeError(RuntimeError):
    """The judge cannot be used at all: no key, or the library is missing."""


@dataclass(frozen=True, slots=True)
class Judge:
    """Where the judge lives and how it is asked."""

    model: str
    """Name of the judge model; stored with the run."""
    base_url: str | None
    """Root of the OpenAI-compatible API; None for the library's default."""
    api_key: str
    """Key; any text for a local server."""
    concurrency: int = 8
    """Requests under way at once."""
    timeout_s: float = 60.0
    """Seconds until a request counts as failed."""


def wants_judge(record: Record) -> bool:
    """Return whether a judge could decide what the rules left open in this record."""
    if record.sample.task not in JUDGED_TASKS or record.judge_reply is not None:
        return False
    if record.generation.error is not None or not record.generation.text.strip():
        return False
    return "needs_judge" in record.score.faults or "no_match" in record.score.faults


def ask_all(judge: Judge, questions: Iterable[tuple[Record, str]]) -> Iterator[tuple[Record, str | None]]:
    """Ask the judge about each (record, answer text); yields the record with its reply, None for a failed request.

    Replies come in the order of the questions, whatever order the server answers in.

    Raises:
        JudgeError: The `openai` library cannot be used.
    """
    client = _client(judge)
    with ThreadPoolExecutor(max_workers=judge.concurrency) as pool:
        pairs = list(questions)
        replies = pool.map(partial(_ask, client, judge), [judge_prompt(record, answer) for record, answer in pairs])
        yield from zip((record for record, _ in pairs), replies, strict=True)


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


def _client(judge: Judge) -> OpenAI:
    """Return a client of the endpoint."""
    try:
        from openai import OpenAI  # noqa: PLC0415 - half a second of import that only a judged run needs
    except ImportError as fault:
        raise JudgeError("a judge needs the package `openai`: pip install openai") from fault
    return OpenAI(api_key=judge.api_key, base_url=judge.base_url, timeout=judge.timeout_s, max_retries=3)


def _ask(client: OpenAI, judge: Judge, prompt: str) -> str | None:
    """Ask once (the library retries); None when the request failed or the reply is empty."""
    from openai import OpenAIError  # noqa: PLC0415 - see `_client`

    try:
        reply = client.chat.completions.create(
            model=judge.model, messages=[{"role": "user", "content": prompt}], temperature=0.0, max_tokens=64
        )
    except OpenAIError:
        return None
    content = reply.choices[0].message.content if reply.choices else None
    return content.strip() if content and content.strip() else None
