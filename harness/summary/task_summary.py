"""Turn one task's scored rows into its metrics: value, interval, n, and why a number is missing.

How a benchmark aggregates its answers stands in `harness/task_facts.py`; `harness/summary/measures.py` makes the
numbers, for a summary and for a comparison alike. Rows without a value are in no value and no n; `unscored` counts them
by cause. The order of the rows changes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np

from harness.runs.native_metrics import NativeMetrics
from harness.stats.intervals import FloatArray, cluster_codes
from harness.summary.baselines import baselines_of
from harness.summary.box_habits import box_habits
from harness.summary.clusters import task_samples
from harness.summary.counted_units import ANSWER_RIGHT, IOU_HIT, earned_of
from harness.summary.grounding import box_metrics, component_metrics, step_metrics
from harness.summary.kept_stages import stage_metrics
from harness.summary.means import ScoredRow
from harness.summary.measures import Measure, category_measures, task_measures
from harness.summary.native import native_answers
from harness.summary.summary_values import Metric, TaskSummary, unexplained_share, unscored_cause
from harness.summary.task_columns import TaskColumns
from harness.task_facts import facts_of, is_native
from harness.values import FAULTS, PARSE_FAULTS, Fault, Json, Protocol

__all__ = ["ANSWER_RIGHT", "IOU_HIT", "Metric", "ScoredRow", "TaskSummary", "summarise", "to_json", "unexplained_share"]


def summarise(
    task: str,
    rows: Sequence[ScoredRow],
    protocol: Protocol,
    *,
    seed: int = 0,
    native: NativeMetrics | None = None,
    places: bool | None = None,
) -> TaskSummary:
    """Aggregate the rows of one task.

    Rows with the same id count each and fall in one cluster; callers that hold several repeats of a run and want them
    apart summarise each repeat.

    Args:
        task: Short task name; decides the aggregation. A task without one of its own gets `accuracy`.
        rows: The task's rows in any order. Without any the metrics are null.
        protocol: How the benchmark aggregates.
        seed: Fixes the bootstrap's draws.
        native: lmms-eval's own aggregates, of a task that is its own.
        places: Whether the texts' format has boxes; None leaves out what a run's summary says beside the scores (how
            its texts point at places, what chance and the commonest answer earn).

    Raises:
        ValueError: A row belongs to another task, or holds a number outside [0, 1].
    """
    if is_native(task):
        return native_summary(task, rows, native or {})
    columns = TaskColumns(task, protocol, baselines=places is not None, habits=bool(places))
    for row in rows:
        columns.add(row.sample, row.score)
    return summarise_columns(columns, protocol, seed=seed)


def summarise_columns(columns: TaskColumns, protocol: Protocol, *, seed: int = 0) -> TaskSummary:
    """Aggregate one task's rows, as `summarise` does.

    Args:
        columns: The rows, with what is to be said beside the scores where that was asked for.
        protocol: How the benchmark aggregates.
        seed: Fixes the bootstrap's draws.

    Raises:
        ValueError: A row holds a number outside [0, 1].
    """
    rows, task = columns.rows(), columns.task
    measures = task_measures(rows.samples, facts_of(task).metrics_of(protocol))
    earned = [
        measure.units.values(earned_of(measure.metric.earned, rows.scores, rows.ious, rows.said))
        for measure in measures
    ]
    headline = earned[0]
    answers = {measure.name: measure.number(own, seed=seed) for measure, own in zip(measures, earned, strict=True)}
    together = Counter(rows.faults)  # few kinds of them, however many rows
    faults = _each_fault(together)
    unscored: Counter[Fault] = Counter(
        unscored_cause(rows.faults[place]) for place in np.flatnonzero(np.isnan(rows.scores)).tolist()
    )
    of_samples = next((measure.units for measure in measures if measure.units.kind == "sample"), None)
    clusters = cluster_codes(rows.samples.clusters) if of_samples is None else of_samples.clusters
    others = {**component_metrics(rows, clusters), **box_metrics(rows, clusters), **step_metrics(rows, clusters)}
    return TaskSummary(
        task=task,
        n=_counted(measures, rows.scores),
        rows=len(rows.faults),
        clusters=len(np.unique(clusters[np.isfinite(rows.scores)])),
        unscored=_in_fixed_order(unscored),
        faults=_in_fixed_order(faults),
        parse_fault_rows=sum(found for own, found in together.items() if not PARSE_FAULTS.isdisjoint(own)),
        truncated_rows=faults["truncated"],
        headline=measures[0].name,
        metrics=_together(answers, others),
        categories={
            name: measure.number(headline, seed=seed) for name, measure in category_measures(measures[0]).items()
        },
        l2_categories={
            name: measure.number(headline, seed=seed)
            for name, measure in category_measures(measures[0], second_level=True).items()
        },
        boxes={} if rows.habits is None else box_habits(rows.habits, clusters),
        stages=stage_metrics(rows.kept, rows.scores, rows.samples.categories, clusters),
        baselines={} if rows.golds is None else baselines_of(rows.golds, measures[0], seed=seed),
    )


def native_summary(task: str, rows: Sequence[ScoredRow], native: NativeMetrics) -> TaskSummary:
    """Return the summary of a task of lmms-eval's own.

    What it gives one sample need be no share of 1, so that a sample without a value is not yet an unscored one: that is
    one that could not be asked, or on which its scorer failed.
    """
    clusters = cluster_codes(task_samples(task, [row.sample for row in rows]).clusters)
    headline, metrics = native_answers(rows, native, clusters)
    scored = np.array(["error" not in row.score.faults for row in rows], dtype=np.bool_)
    faults: Counter[Fault] = Counter(fault for row in rows for fault in row.score.faults)
    return TaskSummary(
        task=task,
        n=int(scored.sum()),
        rows=len(rows),
        clusters=len(np.unique(clusters[scored])),
        unscored=_in_fixed_order({"error": int((~scored).sum())}),
        faults=_in_fixed_order(faults),
        parse_fault_rows=sum(not PARSE_FAULTS.isdisjoint(row.score.faults) for row in rows),
        truncated_rows=sum("truncated" in row.score.faults for row in rows),
        headline=headline,
        metrics=metrics,
        categories={},
        l2_categories={},
    )


def _together(answers: Mapping[str, Metric], others: Mapping[str, Metric]) -> dict[str, Metric]:
    """Return a benchmark's own metrics, then those of the stages; of a name in both its own, or why it is null."""
    reasons = {name: others[name] for name, metric in answers.items() if metric.value is None and name in others}
    return {**answers, **{name: metric for name, metric in others.items() if name not in answers}, **reasons}


def _counted(measures: Sequence[Measure], scores: FloatArray) -> int:
    """Return how many rows, for MMBench questions, could be scored."""
    accuracy = next((measure for measure in measures if measure.name == "accuracy"), measures[0])
    if accuracy.units.samples is not None:
        return int(np.isfinite(scores).sum())
    return 0 if accuracy.refusal else len(accuracy.scored(accuracy.units.values(scores)))


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
        "boxes": _metrics_json(summary.boxes),
        "stages": _metrics_json(summary.stages),
        "baselines": {name: dict[str, Json](asdict(found)) for name, found in summary.baselines.items()},
        "unscored": {str(fault): count for fault, count in summary.unscored.items()},
        "faults": {str(fault): count for fault, count in summary.faults.items()},
        "parse_fault_rows": summary.parse_fault_rows,
        "truncated_rows": summary.truncated_rows,
    }


def _metrics_json(metrics: Mapping[str, Metric]) -> dict[str, Json]:
    """Return metrics by name as JSON."""
    return {
        name: {"value": metric.value, "ci_low": metric.ci_low, "ci_high": metric.ci_high, "n": metric.n}
        for name, metric in metrics.items()
    }


def _each_fault(together: Mapping[tuple[Fault, ...], int]) -> Counter[Fault]:
    """Count rows by each of their faults, from those by all of them together."""
    counts: Counter[Fault] = Counter()
    for faults, rows in together.items():
        counts.update(dict.fromkeys(faults, rows))
    return counts


def _in_fixed_order(counts: Mapping[Fault, int]) -> dict[Fault, int]:
    """Return fault counts in the order of `FAULTS`."""
    return {fault: counts[fault] for fault in FAULTS if counts.get(fault)}
