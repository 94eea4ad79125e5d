"""Runs under way as a table, or as lines where there is no terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.evaluation.running import Running
from harness.summary.summary_values import TaskSummary
from harness.values import Json
from reports.terminal.progress import duration_text
from reports.terminal.tables import Column, TextTable
from reports.texts.numbers_shown import DASH, metric_number
from reports.texts.visible import one_line

STALLED_S = 120.0
"""Without a record for so long a run is told to stand still: killed, or at work on one long batch."""


@dataclass(frozen=True, slots=True)
class Look:
    """One run under way as it is shown."""

    running: Running
    """How far it is."""
    scores: Mapping[str, TaskSummary]
    """What it has scored so far, by task; empty before that was reckoned."""
    per_s: float | None
    """Samples a second; None where that is not known."""

    def stands_still(self, now_s: float) -> bool:
        """Tell whether no record has come for long."""
        return now_s - self.running.last_record_s > STALLED_S

    def left_s(self, now_s: float) -> float | None:
        """Return the seconds that are left at this pace; None where that is not known."""
        if self.per_s is None or self.stands_still(now_s):
            return None
        return (self.running.samples - self.running.done) / self.per_s


def running_table(looks: Sequence[Look], now_s: float) -> TextTable:
    """Return all runs, a line a benchmark. Scores so far have no interval: what was asked first is no random part."""
    columns = (
        Column("run"),
        Column("task", worth=9),
        Column("done", right=True, worth=8),
        Column("so far", right=True, worth=7),
        Column("of n", right=True, worth=6),
        Column("pace", right=True, worth=5),
        Column("left", right=True, worth=4),
        Column("last record", right=True, worth=3),
    )
    return TextTable(columns, tuple(row for look in looks for row in _rows(look, now_s)))


def _rows(look: Look, now_s: float) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for place, (task, progress) in enumerate(look.running.tasks.items()):
        first = place == 0
        so_far, n = _so_far(look.scores.get(task))
        rows.append(
            (
                one_line(name_of(look.running)) if first else "",
                one_line(task),
                f"{progress.done}/{progress.samples}",
                so_far,
                n,
                _pace(look) if first else "",
                _left(look, now_s) if first else "",
                _last(look, now_s) if first else "",
            )
        )
    return rows


def running_line(look: Look, now_s: float) -> str:
    """Return one run as a line."""
    tasks = [
        f"{task} {progress.done}/{progress.samples}" + _so_far_words(look.scores.get(task))
        for task, progress in look.running.tasks.items()
    ]
    told = [*tasks, _pace(look), f"{_left(look, now_s)} left", f"last record {_last(look, now_s)}"]
    return one_line(f"{name_of(look.running)}: {', '.join(part for part in told if not part.startswith(DASH))}")


def name_of(running: Running) -> str:
    """Return what a run is called, with the shards that are here."""
    if not running.shards:
        return running.name
    of = running.shards[0].partition("/")[2]
    return f"{running.name} ({len(running.shards)} of {of} shards)"


def look_to_json(look: Look, now_s: float) -> dict[str, Json]:
    """Return one run under way as JSON."""
    running = look.running
    tasks: dict[str, Json] = {}
    for task, progress in running.tasks.items():
        summary = look.scores.get(task)
        metric = None if summary is None else summary.metrics.get(summary.headline)
        tasks[task] = {
            "done": progress.done,
            "samples": progress.samples,
            "metric": None if summary is None else summary.headline,
            "so_far": None if metric is None else metric.value,
            "n": 0 if summary is None else summary.n,
        }
    return {
        "run": str(running.folders[0]),
        "shards": list(running.shards),
        "tasks": tasks,
        "per_s": look.per_s,
        "left_s": look.left_s(now_s),
        "last_record_s_ago": max(0.0, now_s - running.last_record_s),
    }


def _so_far(summary: TaskSummary | None) -> tuple[str, str]:
    if summary is None or not summary.n:
        return DASH, DASH
    metric = summary.metrics.get(summary.headline)
    value = metric_number(summary.headline, None if metric is None else metric.value)
    return f"{summary.headline} {value}", str(summary.n)


def _so_far_words(summary: TaskSummary | None) -> str:
    value, n = _so_far(summary)
    return "" if value == DASH else f" ({value} so far, n {n})"


def _pace(look: Look) -> str:
    return DASH if look.per_s is None else f"{look.per_s:.1f} samples/s"


def _left(look: Look, now_s: float) -> str:
    left_s = look.left_s(now_s)
    return DASH if left_s is None else duration_text(left_s)


def _last(look: Look, now_s: float) -> str:
    ago = f"{duration_text(max(0.0, now_s - look.running.last_record_s))} ago"
    return f"{ago}: it stands still, or was killed" if look.stands_still(now_s) else ago
