"""What several verbs print."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from harness.errors import ConfigError
from reports.terminal.printing import say, say_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.comparison.values import Comparison
    from harness.summary.run_summary import RunSummary
    from harness.summary.summary_values import TaskSummary
    from tasks.run import RunResult


SHOWN_FAILURES = 3
"""Reasons for which samples got no answer that are told, the most frequent ones."""


def name_page(run_folder: Path, *, to_stderr: bool) -> None:
    """Say where a run's page is, and what opens it."""
    from harness.runs.store import PAGE_NAME

    page = run_folder / PAGE_NAME
    if page.is_file():  # a page that could not be made was told of already
        say(f"page: {page}", sys.stderr if to_stderr else sys.stdout)
        say_how_to_view(run_folder)


def say_how_to_view(place: Path) -> None:
    """Say what opens a page."""
    say(f"open it with: satori-bench view {shell_word(place)}", sys.stderr)


def shell_word(path: Path) -> str:
    """Return a path as a word that can be pasted into a shell."""
    import shlex

    return shlex.quote(str(path))


def say_all(lines: Iterable[str], stream: TextIO) -> None:
    """Print lines, one by one."""
    for line in lines:
        say(line, stream)


def warn(summary: RunSummary) -> None:
    """Say what one must know before believing the numbers: boxes that fit another reading, texts that are all alike."""
    for warning in summary.warnings:
        say(f"warning: {warning}", sys.stderr)


def show_incomplete(result: RunResult) -> None:
    """Say how many samples of a run got no answer and why, and what asks them again."""
    share = 100 * result.summary.unexplained_share
    say(
        f"error: {share:.1f} % of the samples got no answer, or none from the judge (faults `error`, "
        f"`judge_error`). {_failures_text(result.summary)}"
        f"Mend the cause, then: satori-bench run --retry {result.folder}",
        sys.stderr,
    )


def _failures_text(summary: RunSummary) -> str:
    """Say the most frequent reasons for which samples got no answer, with how many each; nothing where all did."""
    shown = [f"{count} × {reason}" for reason, count in list(summary.failures.items())[:SHOWN_FAILURES]]
    left = sum(summary.failures.values()) - sum(list(summary.failures.values())[:SHOWN_FAILURES])
    more = [f"{left} for other reasons"] if left else []
    return f"Most frequent: {'; '.join(shown + more)}. " if shown else ""


def show_reasons(tasks: Mapping[str, TaskSummary]) -> None:
    """Say on stderr why a metric is null, or has no interval, once for all metrics of a task that share the reason."""
    from harness.task_facts import facts_of

    for task, summary in tasks.items():
        if facts_of(task).submission is not None:
            say(f"{task}: no score, its labels are not public: satori-bench submission writes its file", sys.stderr)
            continue
        metrics: dict[tuple[str, str], list[str]] = {}
        for metric, reason in summary.reasons.items():
            lacking = "no " if summary.metrics[metric].value is None else ""
            metrics.setdefault((lacking, reason), []).append(metric)
        for (lacking, reason), names in metrics.items():
            say(f"{task}: {lacking}{', '.join(names)}: {reason}", sys.stderr)


def show_scores(summary: RunSummary, *, title: str, as_json: bool, run: Path | None, table_to_stdout: bool) -> None:
    """Print a summary without costs."""
    if as_json:
        found = summary.to_json()
        say_json({**found, "run": str(run)} if run is not None else found, sys.stdout)
        return
    stream = sys.stdout if table_to_stdout else sys.stderr
    show_table(summary.tasks, title=title, protocol=summary.protocol_version, stream=stream)
    if run is not None:
        say(f"run: {run}", stream)
        name_page(run, to_stderr=not table_to_stdout)


def show_table(tasks: Mapping[str, TaskSummary], *, title: str, protocol: str, stream: TextIO) -> None:
    """Print the scores of tasks, without what they cost."""
    from reports.terminal.tables import run_table, write

    write(run_table(list(tasks.values()), {}, f"{title} · protocol {protocol}"), stream)


def write_file(path: Path, content: bytes) -> None:
    """Write a report where a person asked for it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as fault:
        raise ConfigError(f"cannot write {path}: {fault.strerror or fault}") from fault


def show_comparison(comparison: Comparison) -> None:
    """Print one table a pair, and what a reader must know of it."""
    from reports.terminal.tables import write, write_line
    from reports.terminal.verdict_tables import comparison_table, looked_table
    from reports.texts.looked_changes_text import LOOKED_CAUTION
    from reports.texts.verdict_text import gain_lines, pair_lines

    for pair in comparison.pairs:
        write(comparison_table(comparison, pair), sys.stdout)
        for line in pair_lines(comparison, pair):
            write_line(line, sys.stdout)
        if pair.looked:
            write(looked_table(pair), sys.stdout)
            write_line(LOOKED_CAUTION, sys.stdout)
    for line in gain_lines(comparison):
        write_line(line, sys.stdout)
