"""Write a verdict as GitHub's workflow commands, which it shows as annotations.

A line that starts with `::` is a command to the runner, so everything that comes from a file is escaped as the runner
escapes it (actions/toolkit, `command.ts`), and stays on one line.
"""

from __future__ import annotations

from harness.gate.verdict import Verdict
from reports.texts.verdict_text import cut, sentence_of
from reports.texts.visible import one_line

_LEVELS = {"regression": "error", "incomparable": "error", "inconclusive": "warning", "ok": "notice"}
_MOST_CHARACTERS = 1000


def verdict_annotations(verdict: Verdict) -> list[str]:
    """Return one command a line: the verdict, every benchmark, the reasons that bar a verdict, the notes."""
    level = "error" if verdict.exit_code else "warning" if verdict.outcome == "inconclusive" else "notice"
    lines = [_command(level, "satori-bench gate", verdict.sentence)]
    for benchmark in verdict.benchmarks:
        fails = benchmark.state == "inconclusive" and verdict.policy.on_inconclusive == "fail"
        own = "error" if fails else _LEVELS[benchmark.state]
        lines.append(_command(own, benchmark.task, sentence_of(benchmark)))
    lines += [_command("error", "satori-bench gate", reason) for reason in verdict.reasons]
    return lines + [_command("notice", "satori-bench gate", f"note: {note}") for note in verdict.notes]


def _command(level: str, title: str, message: str) -> str:
    return f"::{level} title={_property(title)}::{_data(message)}"


def _data(text: str) -> str:
    # with its line breaks shown as codes, nothing but the percent sign is left to escape
    return one_line(cut(text, _MOST_CHARACTERS)).replace("%", "%25")


def _property(text: str) -> str:
    return _data(cut(text)).replace(":", "%3A").replace(",", "%2C")
