"""What summaries are made of: a scored row, and means of rows with interval, n and reason."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from harness.stats.intervals import CodeArray, FloatArray, Interval, mean_interval
from harness.summary.summary_values import Metric
from harness.values import Sample, Score

NOTHING_SCORED = "no scored rows"
"""Why a metric is null where nothing has a value."""

FRACTION = (0.0, 1.0)
"""Bounds of a share."""


@dataclass(frozen=True, slots=True)
class ScoredRow:
    """One sample and what its answer earned."""

    sample: Sample
    """The question with its gold."""
    score: Score
    """Its score under the protocol that is summarised."""


def column_metric(values: FloatArray, clusters: CodeArray, bounds: tuple[float, float] = FRACTION) -> Metric:
    """Return the mean of the values that are not NaN, each with the number of its cluster."""
    there = ~np.isnan(values)
    values, clusters = values[there], clusters[there]
    if not len(values):
        return null_metric(NOTHING_SCORED)
    return metric_of(math.fsum(values) / len(values), mean_interval(values, clusters, bounds=bounds), len(values))


def metric_of(value: float, interval: Interval | None, n: int) -> Metric:
    """Return a metric that has a value."""
    if interval is None:
        return Metric(value, None, None, n)
    return Metric(value, interval.low, interval.high, n)


def null_metric(reason: str) -> Metric:
    """Return a metric that cannot be given."""
    return Metric(None, None, None, 0, reason)
