"""Means with their intervals: over rows, MMBench questions or MME images, and unweighted over categories.

The values that the summaries of all benchmarks are made of.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.intervals import (
    CodeArray,
    FloatArray,
    Interval,
    Statistic,
    bootstrap_interval,
    cluster_codes,
    mean_interval,
)
from harness.sample_columns import cluster_of, one_name
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


@dataclass(frozen=True, slots=True)
class Metric:
    """One number of a summary with its 95 % interval."""

    value: float | None
    """The number; None when it cannot be given."""
    ci_low: float | None = None
    """Lower end; None without a value, or with fewer than two clusters."""
    ci_high: float | None = None
    """Upper end; None where `ci_low` is."""
    n: int = 0
    """Samples that the value counts (for MMBench's accuracy questions, each with all its passes)."""
    reason: str | None = None
    """Why there is no value; None where there is one."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One thing that a mean counts: a row, an MMBench question or an MME image."""

    value: float | None
    """What it earned; None when it could not be scored."""
    cluster: str
    """Units with the same cluster are not independent."""
    categories: tuple[str, ...] = ()
    """Categories that it counts in."""
    l2_categories: tuple[str, ...] = ()
    """Second-level categories that it counts in."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What a task's own aggregation makes of the answers."""

    n: int
    """Scored units of the headline."""
    metrics: Mapping[str, Metric]
    """Metrics by name, the headline first."""
    categories: Mapping[str, Metric]
    """Per category."""
    l2_categories: Mapping[str, Metric]
    """Per second-level category."""


def row_unit(row: ScoredRow) -> Unit:
    """Return a row as a unit of its own."""
    sample = row.sample
    return Unit(row.score.value, cluster_of(sample), one_name(sample.category), one_name(sample.l2_category))


def count_scored(units: Sequence[Unit]) -> int:
    """Count the units with a value."""
    return sum(unit.value is not None for unit in units)


def mean_answers(units: Sequence[Unit]) -> Answers:
    """Return the mean over units as `accuracy`, overall and per category."""
    categories = by_name(units, lambda unit: unit.categories)
    l2_categories = by_name(units, lambda unit: unit.l2_categories)
    return Answers(
        n=count_scored(units),
        metrics={"accuracy": mean_metric(units)},
        categories={name: mean_metric(members) for name, members in categories.items()},
        l2_categories={name: mean_metric(members) for name, members in l2_categories.items()},
    )


def mean_metric(units: Sequence[Unit], bounds: tuple[float, float] = FRACTION) -> Metric:
    """Return the mean over the scored units."""
    scored = [unit for unit in units if unit.value is not None]
    values = np.array([unit.value for unit in scored], dtype=np.float64)
    return column_metric(values, cluster_codes([unit.cluster for unit in scored]), bounds)


def column_metric(values: FloatArray, clusters: CodeArray, bounds: tuple[float, float] = FRACTION) -> Metric:
    """Return the mean of the values that are not NaN, each with the number of its cluster."""
    there = ~np.isnan(values)
    values, clusters = values[there], clusters[there]
    if not len(values):
        return null_metric(NOTHING_SCORED)
    return metric_of(math.fsum(values) / len(values), mean_interval(values, clusters, bounds=bounds), len(values))


def by_name(units: Sequence[Unit], names_of: Callable[[Unit], tuple[str, ...]]) -> dict[str, list[Unit]]:
    """Return the units of each category name, in the order of the names; scored or not."""
    by_name: dict[str, list[Unit]] = defaultdict(list)
    for unit in units:
        for name in names_of(unit):
            by_name[name].append(unit)
    return {name: by_name[name] for name in sorted(by_name)}


def macro_mean(units: Sequence[Unit], seed: int) -> Metric:
    """Return the unweighted mean of the l2 categories' means; a bootstrap draw averages the categories it holds."""
    scored = [unit for unit in units if unit.value is not None]
    if not scored:
        return null_metric(NOTHING_SCORED)
    nameless = sum(not unit.l2_categories for unit in scored)
    if nameless:
        return null_metric(f"{nameless:,} rows have no l2_category to average over")
    codes = cluster_codes([unit.cluster for unit in scored])
    clusters = int(codes.max()) + 1
    names = cluster_codes([unit.l2_categories[0] for unit in scored])
    statistic = _macro_statistic(parts_of(names, codes, np.array([unit.value for unit in scored], dtype=np.float64)))
    interval = bootstrap_interval(statistic, clusters, seed=seed, bounds=FRACTION)
    return metric_of(float(statistic(np.ones((1, clusters)))[0]), interval, len(scored))


@dataclass(frozen=True, slots=True)
class _Parts:
    """Data in parts whose means are summed or averaged; an entry is what one cluster has in one part."""

    clusters: CodeArray
    """Cluster of each entry, part after part."""
    sums: FloatArray
    """Sum of the values in each entry."""
    sizes: FloatArray
    """Number of values in each entry."""
    starts: CodeArray
    """First entry of each part."""


def parts_of(part_codes: CodeArray, clusters: CodeArray, values: FloatArray) -> _Parts:
    """Add values up by part and cluster; the three arrays have one place per value and at least one."""
    width = int(clusters.max()) + 1
    entries, places = np.unique(part_codes * width + clusters, return_inverse=True)
    return _Parts(
        clusters=entries % width,
        sums=np.bincount(places, weights=values).astype(np.float64),
        sizes=np.bincount(places).astype(np.float64),
        starts=np.flatnonzero(np.diff(entries // width, prepend=-1)),
    )


def means_of_parts(counts: FloatArray, parts: _Parts) -> FloatArray:
    """Return each part's mean in each draw (draws x parts); NaN where a draw holds nothing of a part."""
    drawn = counts[:, parts.clusters]
    sums = np.add.reduceat(drawn * parts.sums, parts.starts, axis=1)
    sizes = np.add.reduceat(drawn * parts.sizes, parts.starts, axis=1)
    return np.divide(sums, sizes, out=np.full_like(sums, np.nan), where=sizes > 0)


def _macro_statistic(parts: _Parts) -> Statistic:
    """Return the statistic that averages the means of the parts that a draw holds."""
    return lambda counts: np.nanmean(means_of_parts(counts, parts), axis=1)


def metric_of(value: float, interval: Interval | None, n: int) -> Metric:
    """Return a metric that has a value."""
    if interval is None:
        return Metric(value, n=n)
    return Metric(value, interval.low, interval.high, n)


def null_metric(reason: str) -> Metric:
    """Return a metric that cannot be given."""
    return Metric(None, reason=reason)
