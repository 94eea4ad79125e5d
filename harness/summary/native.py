"""Summarise a task of lmms-eval's own: its aggregates as lmms-eval made them, with our intervals where these belong.

An aggregate is never computed here. It gets an interval where the values that samples gave it are shares whose mean it
is, and a reason where it does not. Whether it is their mean is plain where the task declares lmms-eval's `mean`; of any
other function only the numbers can tell, and two of them that meet by chance must not look like one:

- the mean of the values must be the aggregate, and the values must not all be the same (then every kind of average
  comes to them);
- no other metric that is made of the same values may have the same aggregate without being declared their mean (POPE
  gives one value to accuracy, precision, recall and F1).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from harness.runs.native_metrics import NativeMetric, NativeMetrics
from harness.stats.intervals import CodeArray, FloatArray
from harness.summary.means import ScoredRow, column_metric, null_metric
from harness.summary.summary_values import Metric

NOT_AGGREGATED = "lmms-eval has not aggregated it: the run is not finished"
"""Why a metric of an unfinished run has no value."""

NO_METRIC = "none,none"
"""Stands for the headline of a task without metrics."""

NO_MEAN = "no interval: lmms-eval's aggregate is not the mean of its samples' values"
_SCALES = ((0.0, 1.0), (0.0, 100.0))
"""Ranges that values are taken to lie in, the first that holds them all: an interval needs their bounds."""


@dataclass(frozen=True, slots=True)
class NativeColumn:
    """One metric of lmms-eval's own with what its samples gave it."""

    metric: NativeMetric
    """The aggregate."""
    values: FloatArray
    """One place per sample; NaN where the sample gives it no number."""
    fits: bool
    """Whether the aggregate is the mean of the values, as far as numbers tell."""
    no_interval: str | None
    """Why it has no interval; None where it has one."""
    bounds: tuple[float, float] = (0.0, 1.0)
    """Range that the values are taken to lie in."""

    def shown(self, clusters: CodeArray) -> Metric:
        """Return the aggregate with its interval, or why there is none; `clusters` holds a code per sample."""
        if self.metric.value is None:
            return null_metric(self.metric.reason or "lmms-eval gives no number")
        if self.no_interval is not None:
            return Metric(self.metric.value, None, None, self.metric.n, self.no_interval)
        return replace(column_metric(self.values, clusters, self.bounds), value=self.metric.value)


def native_columns(given: Mapping[str, FloatArray], metrics: NativeMetrics, samples: int) -> dict[str, NativeColumn]:
    """Put lmms-eval's aggregates and what samples gave them together, by key, in the task's order.

    Args:
        given: What each of so many samples gave each metric; NaN where nothing.
        metrics: The aggregates; without any, as before a run's end, those of the samples' keys are null.
        samples: How many samples there are.
    """
    if not metrics:
        metrics = {key: NativeMetric(None, 0, is_mean=False, reason=NOT_AGGREGATED) for key in given}
    values = {key: given.get(key, np.full(samples, np.nan)) for key in metrics}
    fits = {key: _is_mean(values[key], metric) for key, metric in metrics.items()}
    told = [key for key, metric in metrics.items() if fits[key] and not metric.is_mean]
    columns: dict[str, NativeColumn] = {}
    for key, metric in metrics.items():
        twins = [other for other in told if other != key and _same(values[key], values[other])]
        bounds = next((scale for scale in _SCALES if _within(values[key], scale)), None)
        reason = _no_interval(values[key], metric, fits=fits[key], twins=twins)
        if reason is None and bounds is None:
            reason = "no interval: its samples' values are neither shares of 1 nor of 100, so that their range is open"
        columns[key] = NativeColumn(metric, values[key], fits[key], reason, bounds or _SCALES[0])
    return columns


def _no_interval(values: FloatArray, metric: NativeMetric, *, fits: bool, twins: Sequence[str]) -> str | None:
    """Say why an aggregate cannot be taken for the mean of its samples' values; None where it can."""
    scored = int(np.isfinite(values).sum())
    if metric.value is None:
        return None
    if scored != metric.n:
        return f"no interval: {metric.n - scored:,} of its {metric.n:,} samples give it no number"
    if not fits:
        return NO_MEAN
    if metric.is_mean:
        return None
    if len(np.unique(values[np.isfinite(values)])) == 1:
        return "no interval: all samples give it the same value, so that it cannot be told whether it is their mean"
    if twins:
        return f"no interval: {', '.join(twins)} came to the same of the same values; whose mean it is cannot be told"
    return None


def _is_mean(values: FloatArray, metric: NativeMetric) -> bool:
    known = values[np.isfinite(values)]
    if metric.value is None or len(known) != metric.n or not len(known):
        return False
    return math.isclose(math.fsum(known) / len(known), metric.value, rel_tol=1e-9, abs_tol=1e-12)


def _same(one: FloatArray, other: FloatArray) -> bool:
    return bool(np.array_equal(one, other, equal_nan=True))


def _within(values: FloatArray, scale: tuple[float, float]) -> bool:
    known = values[np.isfinite(values)]
    return bool(((known >= scale[0]) & (known <= scale[1])).all())


def native_answers(
    rows: Sequence[ScoredRow], metrics: NativeMetrics, clusters: CodeArray
) -> tuple[str, dict[str, Metric]]:
    """Return the headline's key and all metrics of a task of lmms-eval's own.

    The headline is the first metric, in the task's order, of those that count the most samples. A task without any
    metric has one that says so.

    Args:
        rows: The task's rows.
        metrics: lmms-eval's aggregates.
        clusters: A code per row.
    """
    given = [row.score.native for row in rows]
    keys = dict.fromkeys(key for one in given for key in one)
    values = {key: np.array([one.get(key, math.nan) for one in given], dtype=np.float64) for key in keys}
    columns = native_columns(values, metrics, len(rows))
    if not columns:
        return NO_METRIC, {NO_METRIC: null_metric("lmms-eval gives the task no metric")}
    headline = max(columns, key=lambda key: columns[key].metric.n)
    shown = {key: column.shown(clusters) for key, column in columns.items()}
    return headline, {headline: shown[headline], **shown}
