"""Draw the tables of the terminal: what a run scored, which runs there are.

Only here are numbers rounded. Model text never reaches a table; names that come from files are stripped of control
characters, so that a file cannot write escape sequences to a terminal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

from rich.console import Console
from rich.table import Table

from harness.summary import Metric, TaskSummary

HEADLINES: Mapping[str, tuple[str, ...]] = {
    "mme": ("perception", "cognition", "total"),
    "ocrbench": ("score", "accuracy"),
}
"""Metrics that get a line of their own, for tasks with more than one headline."""

_WIDEST = 400
_PERCENT_METRICS = frozenset({"accuracy", "caption", "format"})


@dataclass(frozen=True, slots=True)
class TaskCost:
    """What one task cost."""

    wall_s: float
    """Seconds from the first to the last answer, loading of data included; 0 when no model ran."""
    device_s: float
    """Seconds that the model itself took."""
    input_tokens: int
    """Prompt tokens."""
    output_tokens: int
    """Generated tokens."""


NO_COST = TaskCost(0.0, 0.0, 0, 0)


def run_table(summaries: Sequence[TaskSummary], costs: Mapping[str, TaskCost], title: str) -> Table:
    """Return the closing table of a run, one line per task and headline metric.

    Narrow enough for 80 columns where no task has gold boxes; `mean IoU` is a column only where one has.
    """
    boxed = any("mean_iou" in summary.metrics for summary in summaries)
    table = Table(
        title=printable(title), title_justify="left", box=None, padding=(0, 1, 0, 0), header_style="bold underline"
    )
    table.add_column("task", no_wrap=True)
    for heading in ("score [95 %]", "n", "null", "faulty", "cut off", *(["mean IoU"] if boxed else []), "seconds"):
        table.add_column(heading, justify="right", no_wrap=True)
    for summary in summaries:
        cost = costs.get(summary.task, NO_COST)
        shared = [
            str(summary.n),
            str(sum(summary.unscored.values())),
            share_text(summary.parse_fault_rows, summary.rows),
            share_text(summary.truncated_rows, summary.rows),
            *([metric_text("mean_iou", summary.metrics.get("mean_iou"))] if boxed else []),
            f"{cost.wall_s:.1f}" if cost.wall_s else "",
        ]
        for place, name in enumerate(HEADLINES.get(summary.task, (summary.headline,))):
            score = metric_text(name, summary.metrics.get(name))
            table.add_row(f"{printable(summary.task)} {name}", score, *(shared if place == 0 else []))
    return table


def metric_text(name: str, metric: Metric | None) -> str:
    """Return `value [low, high]` in the metric's own scale; a dash where there is no value.

    Both ends are shown: the interval of a score near 0 or 1 is not symmetric, and `0.0 ± 5.7` would promise scores
    below zero.
    """
    if metric is None or metric.value is None:
        return "–"
    scale, digits = (100.0, 1) if name in _PERCENT_METRICS else (1.0, 1 if _is_points(name) else 3)
    value = f"{metric.value * scale:.{digits}f}"
    if metric.ci_low is None or metric.ci_high is None:
        return value
    return f"{value} [{metric.ci_low * scale:.{digits}f}, {metric.ci_high * scale:.{digits}f}]"


def _is_points(name: str) -> bool:
    """Return whether a metric counts points, not a fraction."""
    return name in {"perception", "cognition", "total", "score"}


def share_text(part: int, whole: int) -> str:
    """Return a share in percent that is 0 % or 100 % only when it is exactly so."""
    if whole == 0:
        return "–"
    percent = 100.0 * part / whole
    if 0 < part < whole:
        percent = min(max(percent, 0.1), 99.9)
    return f"{percent:.1f} %"


def plain_table(headings: Iterable[str], rows: Iterable[Sequence[str]]) -> Table:
    """Return a table of texts."""
    table = Table()
    for heading in headings:
        table.add_column(printable(heading))
    for row in rows:
        table.add_row(*(printable(cell) for cell in row))
    return table


def write(renderable: Table | str, stream: TextIO) -> None:
    """Write a table or a line to a stream, as wide as it is: a cell that is cut off would be a number that is lost."""
    own = Console(file=stream, markup=False, highlight=False, width=None if stream.isatty() else 80)
    wide = Console(file=stream, markup=False, highlight=False, width=_WIDEST)
    wanted = wide.measure(renderable).maximum
    Console(file=stream, markup=False, highlight=False, width=max(own.width, wanted)).print(renderable)


def printable(text: str) -> str:
    r"""Return the text with control characters shown as `\xNN`, so that it cannot steer a terminal."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
