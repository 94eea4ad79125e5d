"""The values of a summary: a number with interval, n and reason, and one task's numbers together.

Apart from what computes them, so that whoever shows stored scores loads no statistics.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.values import Count, Fault

MOST_UNEXPLAINED = 0.01
"""A run in which a larger share of samples is unscored for the faults `error` or `judge_error` is not a result."""

_UNSCORED_FAULTS: tuple[Fault, ...] = ("error", "judge_error", "needs_judge", "no_gold", "frame_unknown")
"""Causes of a null value; the causes that concern the answer come before the one that concerns boxes."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One number of a summary with its 95 % interval."""

    value: float | None
    """The number; None when it cannot be given."""
    ci_low: float | None
    """Lower end; None without a value, or with fewer than two clusters."""
    ci_high: float | None
    """Upper end; None where `ci_low` is."""
    n: Count
    """Samples that the value counts (for MMBench's accuracy questions, each with all its passes)."""
    reason: str | None = None
    """Why there is no value, or beside one of lmms-eval's own why it has no interval; None where there is both."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a benchmark's headline is worth to somebody who sees nothing; follows from the data alone."""

    value: float | None
    """The headline, on its own scale; None when it cannot be given."""
    n: Count
    """What it counts."""
    answer: str = ""
    """The one answer that was given to every question; empty for chance."""
    reason: str | None = None
    """Why there is no value; None where there is one."""


@dataclass(frozen=True, slots=True)
class TaskSummary:
    """One task's metrics and what became of its rows."""

    task: str
    """Short task name."""
    n: Count
    """Scored rows; for MMBench questions that could be scored, each with all its passes."""
    rows: Count
    """All rows, scored or not."""
    clusters: Count
    """Independent clusters among the scored rows."""
    unscored: Mapping[Fault, Count]
    """Rows without a value, by cause (`error`, `needs_judge`, `no_gold`, `frame_unknown`)."""
    faults: Mapping[Fault, Count]
    """Rows with each fault; a row with two faults counts in both."""
    parse_fault_rows: Count
    """Rows whose text did not keep to the format in some way (any fault of `PARSE_FAULTS`)."""
    truncated_rows: Count
    """Rows whose text the token budget ended."""
    headline: str
    """Name of the metric to show where there is room for one."""
    metrics: Mapping[str, Metric]
    """Every metric by name, the headline first."""
    categories: Mapping[str, Metric]
    """The answer metric per category: a fraction, for MME the subtask's score out of 200."""
    l2_categories: Mapping[str, Metric]
    """The same per second-level category (for MathVista per skill: a row counts in each of its skills)."""
    boxes: Mapping[str, Metric] = field(default_factory=dict[str, Metric])
    """How the texts point at places, gold or not (`summary/box_habits.py`); empty for a format without boxes."""
    stages: Mapping[str, Metric] = field(default_factory=dict[str, Metric])
    """Which stages the texts keep of those that they may leave out (`summary/kept_stages.py`); empty for others."""
    baselines: Mapping[str, Baseline] = field(default_factory=dict[str, Baseline])
    """`chance` and `majority` of the headline; empty in runs of before."""

    @property
    def shown(self) -> Metric:
        """The headline."""
        return self.metrics[self.headline]

    @property
    def failed_rows(self) -> int:
        """Rows that could not be asked, scored or judged (faults `error`, `judge_error`)."""
        return self.unscored.get("error", 0) + self.unscored.get("judge_error", 0)

    @property
    def reasons(self) -> dict[str, str]:
        """Why metrics are null, or lmms-eval's own without interval, by metric name."""
        return {name: metric.reason for name, metric in self.metrics.items() if metric.reason is not None}


def unexplained_share(tasks: Mapping[str, TaskSummary]) -> float:
    """Return the share of all samples that are unscored for the faults `error` and `judge_error`; 0 without samples."""
    rows = sum(summary.rows for summary in tasks.values())
    return sum(summary.failed_rows for summary in tasks.values()) / rows if rows else 0.0


def unscored_cause(faults: tuple[Fault, ...]) -> Fault:
    """Return why a row with these faults has no value; without any stated cause it is an error."""
    for fault in _UNSCORED_FAULTS:
        if fault in faults:
            return fault
    return "error"
