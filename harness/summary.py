"""Turn one task's scored rows into its metrics: value, interval, n, and why a number is missing.

Each benchmark is aggregated as its protocol does it (VLMEvalKit and lmms-eval, read in source):

- every task: `accuracy`, the mean over rows, unless said otherwise;
- MMBench: circular. A question counts as right when every pass that is present is right; passes that are missing are
  not asked for, questions without their base pass do not count. `vanilla_accuracy` is the mean over rows;
- MMStar under `lmms-eval`: the mean of the l2 categories' means, as that program averages averages. Nothing else here
  does, but for MME's sum of subtasks;
- MME: per subtask 100 * accuracy over rows + 100 * share of images with both questions right; `perception` sums ten
  subtasks (at most 2000), `cognition` four (at most 800), `total` both;
- OCRBench: `score`, the number of right answers among the full 1,000.

Rows without a value are in no value and no n; `unscored` counts them by cause. The order of the rows changes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from harness.intervals import FloatArray
from harness.means import (
    Answers,
    Metric,
    ScoredRow,
    Unit,
    by_name,
    count_scored,
    macro_mean,
    mean_answers,
    mean_metric,
    null_metric,
    row_unit,
)
from harness.sample_columns import MMBENCH_PASS, cluster_of, mmbench_group, names_in, official_column, one_name
from harness.summary_grounding import ANSWER_RIGHT, IOU_HIT, box_metrics, component_metrics
from harness.summary_mmbench import mmbench_answers, mmbench_questions
from harness.summary_mme import MME_COGNITION, MME_PERCEPTION, mme_answers, mme_refusal, mme_scales, mme_subtasks
from harness.values import FAULTS, PARSE_FAULTS, Fault, Json, Protocol, Score

__all__ = [
    "ANSWER_RIGHT",
    "IOU_HIT",
    "MMBENCH_PASS",
    "MME_COGNITION",
    "MME_PERCEPTION",
    "OCRBENCH_ROWS",
    "AnswerUnits",
    "Metric",
    "ScoredRow",
    "TaskSummary",
    "answer_units",
    "summarise",
    "to_json",
]

OCRBENCH_ROWS = 1000
"""Rows of the full OCRBench, so that its score reaches 1000."""

OCRBENCH_TEXT_RECOGNITION: frozenset[str] = frozenset(
    {
        "Regular Text Recognition",
        "Irregular Text Recognition",
        "Artistic Text Recognition",
        "Handwriting Recognition",
        "Digit String Recognition",
        "Non-Semantic Text Recognition",
    }
)
"""OCRBench categories that its report adds up as Text Recognition."""

_UNSCORED_FAULTS: tuple[Fault, ...] = ("error", "judge_error", "needs_judge", "no_gold", "frame_unknown")
"""Causes of a null value; the causes that concern the answer come before the one that concerns boxes."""


@dataclass(frozen=True, slots=True)
class TaskSummary:
    """One task's metrics and what became of its rows."""

    task: str
    """Short task name."""
    n: int
    """Scored rows; for MMBench questions that could be scored, each with all its passes."""
    rows: int
    """All rows, scored or not."""
    clusters: int
    """Independent clusters among the scored rows."""
    unscored: Mapping[Fault, int]
    """Rows without a value, by cause (`error`, `needs_judge`, `no_gold`, `frame_unknown`)."""
    faults: Mapping[Fault, int]
    """Rows with each fault; a row with two faults counts in both."""
    parse_fault_rows: int
    """Rows whose text did not keep to the format in some way (any fault of `PARSE_FAULTS`)."""
    truncated_rows: int
    """Rows whose text the token budget ended."""
    headline: str
    """Name of the metric to show where there is room for one."""
    metrics: Mapping[str, Metric]
    """Every metric by name, the headline first."""
    categories: Mapping[str, Metric]
    """The answer metric per category: a fraction, for MME the subtask's score out of 200."""
    l2_categories: Mapping[str, Metric]
    """The same per second-level category (for MathVista per skill: a row counts in each of its skills)."""

    @property
    def reasons(self) -> dict[str, str]:
        """Why metrics are null, by metric name."""
        return {name: metric.reason for name, metric in self.metrics.items() if metric.reason is not None}


def summarise(task: str, rows: Sequence[ScoredRow], protocol: Protocol, *, seed: int = 0) -> TaskSummary:
    """Aggregate the rows of one task.

    Rows with the same id count each and fall in one cluster; callers that hold several repeats of a run and want them
    apart summarise each repeat.

    Args:
        task: Short task name; decides the aggregation. A task without one of its own gets `accuracy`.
        rows: The task's rows in any order. Without any the metrics are null.
        protocol: How the benchmark aggregates.
        seed: Fixes the bootstrap's draws.

    Raises:
        ValueError: A row belongs to another task, or holds a number outside [0, 1].
    """
    for row in rows:
        _check(row, task)
    ordered = sorted(rows, key=_order)
    answers = _aggregator(task, protocol)(ordered, protocol, seed)
    faults: Counter[Fault] = Counter(fault for row in ordered for fault in row.score.faults)
    unscored: Counter[Fault] = Counter(_unscored_cause(row.score) for row in ordered if row.score.value is None)
    return TaskSummary(
        task=task,
        n=answers.n,
        rows=len(ordered),
        clusters=len({cluster_of(row.sample) for row in ordered if row.score.value is not None}),
        unscored=_in_fixed_order(unscored),
        faults=_in_fixed_order(faults),
        parse_fault_rows=sum(not PARSE_FAULTS.isdisjoint(row.score.faults) for row in ordered),
        truncated_rows=sum("truncated" in row.score.faults for row in ordered),
        headline=next(iter(answers.metrics)),
        metrics={**answers.metrics, **component_metrics(ordered), **box_metrics(ordered)},
        categories=answers.categories,
        l2_categories=answers.l2_categories,
    )


def to_json(summary: TaskSummary) -> dict[str, Json]:
    """Return the summary as `score --json` and the run folder's `scores.json` hold it."""
    return {
        "n": summary.n,
        "rows": summary.rows,
        "clusters": summary.clusters,
        "headline": summary.headline,
        "metrics": _metrics_json(summary.metrics),
        "categories": _metrics_json(summary.categories),
        "l2_categories": _metrics_json(summary.l2_categories),
        "reasons": dict[str, Json](summary.reasons),
        "unscored": {str(fault): count for fault, count in summary.unscored.items()},
        "faults": {str(fault): count for fault, count in summary.faults.items()},
        "parse_fault_rows": summary.parse_fault_rows,
        "truncated_rows": summary.truncated_rows,
    }


@dataclass(frozen=True, slots=True)
class AnswerUnits:
    """What the headline of a task counts, as columns: rows, MMBench questions or MME images.

    Which units there are, and in which order, follows from the samples alone, not from their scores: two runs of the
    same samples in the same order have the same units.
    """

    values: FloatArray
    """What each unit earned; NaN when it could not be scored. In [0, 1], for MME's pairs in [0, 200]."""
    clusters: tuple[str, ...]
    """Units with the same cluster are not independent."""
    categories: tuple[tuple[str, ...], ...]
    """Categories that each unit counts in; an MME image in its subtask."""
    l2_categories: tuple[tuple[str, ...], ...]
    """Second-level categories that each unit counts in."""
    refusal: str | None
    """Why the headline cannot be made of these samples; None when it can."""


def answer_units(task: str, rows: Sequence[ScoredRow], protocol: Protocol) -> AnswerUnits:
    """Return what the task's headline counts.

    Args:
        task: Short task name.
        rows: The task's rows in any order, which the units keep.
        protocol: How the benchmark aggregates.
    """
    refusal: str | None = None
    if task.startswith("mmbench_"):
        units = mmbench_questions(rows)
        if any(mmbench_group(row.sample) is None for row in rows):
            refusal = "rows have neither index nor group, so that their passes cannot be put together"
        elif not units:
            refusal = f"no base pass (index below {MMBENCH_PASS:,})"
    elif task == "mme":
        subtasks = mme_subtasks(rows, protocol)
        scales = mme_scales(subtasks, protocol).items()
        refusal = "; ".join(why for scale, names in scales if (why := mme_refusal(scale, names, subtasks, protocol)))
        units = [replace(image, categories=(name,)) for name, part in subtasks.items() for image in part.images]
    elif task == "mathvista":
        units = _mathvista_units(rows)
    else:
        units = [_ocrbench_unit(row) if task == "ocrbench" else row_unit(row) for row in rows]
    return AnswerUnits(
        values=np.array([np.nan if unit.value is None else unit.value for unit in units], dtype=np.float64),
        clusters=tuple(unit.cluster for unit in units),
        categories=tuple(unit.categories for unit in units),
        l2_categories=tuple(unit.l2_categories for unit in units),
        refusal=refusal or None,
    )


_Aggregate: TypeAlias = Callable[[Sequence[ScoredRow], Protocol, int], Answers]


def _aggregator(task: str, protocol: Protocol) -> _Aggregate:
    """Return the aggregation of a task's answers under a protocol."""
    if task.startswith("mmbench_"):
        return mmbench_answers
    if task == "mmstar" and protocol == "lmms-eval":
        return _macro_answers
    return {"mme": mme_answers, "ocrbench": _ocrbench_answers, "mathvista": _mathvista_answers}.get(
        task, _plain_answers
    )


def _plain_answers(rows: Sequence[ScoredRow], protocol: Protocol, seed: int) -> Answers:
    """Mean over rows, per category too."""
    del protocol, seed
    return mean_answers([row_unit(row) for row in rows])


def _mathvista_answers(rows: Sequence[ScoredRow], protocol: Protocol, seed: int) -> Answers:
    """Mean over rows, per task and per skill as MathVista reports them; a row counts in each of its skills."""
    del protocol, seed
    return mean_answers(_mathvista_units(rows))


def _mathvista_units(rows: Sequence[ScoredRow]) -> list[Unit]:
    """Return the rows under MathVista's tasks and skills."""
    return [
        replace(
            row_unit(row),
            categories=names_in(official_column(row.sample, "task")) or one_name(row.sample.category),
            l2_categories=names_in(official_column(row.sample, "skills")) or one_name(row.sample.l2_category),
        )
        for row in rows
    ]


def _ocrbench_answers(rows: Sequence[ScoredRow], protocol: Protocol, seed: int) -> Answers:
    """Number of right answers; `strict` gives it for the full set only, the peers for any set.

    Where rows of the full set could not be scored, `strict` keeps the scale: 1000 * accuracy of the scored ones.
    """
    del seed
    answers = mean_answers([_ocrbench_unit(row) for row in rows])
    accuracy = answers.metrics["accuracy"]
    if protocol != "strict" or not accuracy.n:
        score = _times(accuracy, accuracy.n)
    elif len(rows) == OCRBENCH_ROWS:
        score = _times(accuracy, OCRBENCH_ROWS)
    else:
        score = null_metric(f"needs the full {OCRBENCH_ROWS:,} rows, got {len(rows):,}")
    return replace(answers, metrics={"score": score, "accuracy": accuracy})


def _ocrbench_unit(row: ScoredRow) -> Unit:
    """Return a row under its OCRBench category and the group that the report adds it to."""
    categories = one_name(row.sample.category) or names_in(official_column(row.sample, "question_type"))
    groups = tuple("Text Recognition" if name in OCRBENCH_TEXT_RECOGNITION else name for name in categories)
    return replace(row_unit(row), categories=categories, l2_categories=groups)


def _macro_answers(rows: Sequence[ScoredRow], protocol: Protocol, seed: int) -> Answers:
    """Mean of the l2 categories' means, overall and within each category, as lmms-eval reports MMStar."""
    del protocol
    units = [row_unit(row) for row in rows]
    categories = by_name(units, lambda unit: unit.categories)
    l2_categories = by_name(units, lambda unit: unit.l2_categories)
    return Answers(
        n=count_scored(units),
        metrics={"accuracy": macro_mean(units, seed)},
        categories={name: macro_mean(members, seed) for name, members in categories.items()},
        l2_categories={name: mean_metric(members) for name, members in l2_categories.items()},
    )


def _times(metric: Metric, factor: int) -> Metric:
    """Return a metric times a factor, without the rounding noise of a count that went through a mean."""
    value, low, high = (
        None if end is None else round(end * factor, 9) for end in (metric.value, metric.ci_low, metric.ci_high)
    )
    return replace(metric, value=value, ci_low=low, ci_high=high)


def _metrics_json(metrics: Mapping[str, Metric]) -> dict[str, Json]:
    """Return metrics by name as JSON."""
    return {
        name: {"value": metric.value, "ci_low": metric.ci_low, "ci_high": metric.ci_high, "n": metric.n}
        for name, metric in metrics.items()
    }


def _check(row: ScoredRow, task: str) -> None:
    """Refuse a row of another task or with a number that no scorer gives."""
    sample, score = row.sample, row.score
    if sample.task != task:
        raise ValueError(f"row {sample.id!r} is of task {sample.task!r}, not {task!r}: summarise one task at a time")
    parts = score.components
    for number in (score.value, score.iou, parts.format, parts.caption, parts.bbox):
        if number is not None and not 0 <= number <= 1 + 1e-9:
            raise ValueError(f"row {sample.id!r} of task {task!r} holds the score {number}, which is not in [0, 1]")


def _order(row: ScoredRow) -> tuple[object, ...]:
    """Return a sort key that puts rows in one order, also rows with the same id."""
    sample, score = row.sample, row.score
    parts = score.components
    numbers = (score.value, score.iou, parts.format, parts.caption, parts.bbox)
    return (cluster_of(sample), sample.id, sample.category, *(-1.0 if number is None else number for number in numbers))


def _unscored_cause(score: Score) -> Fault:
    """Return why a row has no value; without any stated cause it is an error."""
    for fault in _UNSCORED_FAULTS:
        if fault in score.faults:
            return fault
    return "error"


def _in_fixed_order(counts: Mapping[Fault, int]) -> dict[Fault, int]:
    """Return fault counts in the order of `FAULTS`."""
    return {fault: counts[fault] for fault in FAULTS if counts.get(fault)}
