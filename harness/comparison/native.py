"""Compare a task of lmms-eval's own in two runs: its aggregates side by side, and a change where they are means.

lmms-eval's aggregate functions are never called again, so that an aggregate that is no mean over the samples has no
change: on a drawn part of the samples nobody knows it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from harness.comparison.benchmark import SharedSamples, incomplete, side_faults
from harness.comparison.values import Benchmark, Comparability, ScoreRow
from harness.stats.intervals import CodeArray, cluster_codes
from harness.stats.paired import PairedDifference, paired_difference
from harness.summary.native import NO_METRIC, NativeColumn, native_columns
from harness.summary.summary_values import Metric

OF_SEVERAL_RUNS = "lmms-eval's aggregates are each of one run: name one run a side"
"""Why there is no aggregate of a side of several seeds."""

_LACKS = Metric(None, None, None, 0, "this side's run has no such metric")


_Sides: TypeAlias = Sequence[Mapping[str, NativeColumn]]
"""The metrics of both sides by lmms-eval's key, the first side first."""


@dataclass(frozen=True, slots=True)
class _Draw:
    """What all rows share."""

    refusal: str | None
    """Why nothing may be subtracted; None when it may."""
    seed: int
    """Fixes the draws."""
    draws: int
    """Sign flips for each p."""


def compare_native(
    shared: SharedSamples, comparability: Comparability, *, seed: int, draws: int, on_shared: bool = False
) -> Benchmark:
    """Compare one task of lmms-eval's own; its arguments are those of `compare_benchmark`."""
    if not on_shared:
        comparability = replace(comparability, reasons=(*comparability.reasons, *incomplete(shared)))
    clusters = cluster_codes(shared.sample.clusters)
    tables = (shared.a, shared.b)
    sides = [
        native_columns(table.native, metrics, len(table.ids))
        for table, metrics in zip(tables, shared.native, strict=True)
    ]
    keys = list(dict.fromkeys(key for side in sides for key in side)) or [NO_METRIC]
    draw = _Draw("; ".join(comparability.reasons) or None, seed, draws)
    rows = [_row(shared, key, sides, clusters, draw) for key in keys]
    first = max(range(len(keys)), key=lambda place: rows[place].a.n)
    headline = rows[first]
    return Benchmark(
        task=shared.task,
        comparability=comparability,
        shared=len(shared.a.ids),
        only_a=shared.left_out.only_a,
        only_b=shared.left_out.only_b,
        gold_differs=shared.left_out.differing,
        differing=shared.left_out.fields,
        headline=headline,
        metrics=tuple(row for row in rows if row is not headline),
        categories=(),
        l2_categories=(),
        grounding=None,
    )


def _row(shared: SharedSamples, key: str, sides: _Sides, clusters: CodeArray, draw: _Draw) -> ScoreRow:
    """Return the row of one metric."""
    a, b = (side.get(key) for side in sides)
    reason = draw.refusal or _no_change(a, b)
    bounds = max((column.bounds for column in (a, b) if column is not None), default=(0.0, 1.0))
    return ScoreRow(
        task=shared.task,
        category=None,
        metric=key,
        scale="points",
        span=bounds[1] - bounds[0],
        a=_LACKS if a is None else a.shown(clusters),
        b=_LACKS if b is None else b.shown(clusters),
        difference=None if reason or a is None or b is None else _change(a, b, clusters, bounds, draw),
        reason=reason,
        holm_p=None,
        q=None,
        a_faults=side_faults(shared.a),
        b_faults=side_faults(shared.b),
    )


def _no_change(a: NativeColumn | None, b: NativeColumn | None) -> str | None:
    """Say why a metric has no change; None where it has one."""
    if a is None or b is None:
        return "only one of the runs has this metric"
    for side in (a, b):
        if side.metric.value is None:
            return side.metric.reason or "lmms-eval gives no number"
        if not side.metric.higher_is_better:
            return "less is better here, and changes are read as more is better"
        if not side.fits:
            return "lmms-eval's aggregate is not the mean of its samples' values: there is nothing to resample"
    if a.no_interval is not None and b.no_interval is not None:
        return a.no_interval.replace("no interval", "no change")
    if not (np.isfinite(a.values) == np.isfinite(b.values)).all():
        return "the runs' samples that give it a number are not the same"
    return None


def _change(
    a: NativeColumn, b: NativeColumn, clusters: CodeArray, bounds: tuple[float, float], draw: _Draw
) -> PairedDifference:
    there = np.isfinite(a.values)
    one, other = a.values[there], b.values[there]
    return paired_difference(one, other, clusters[there], seed=draw.seed, draws=draw.draws, bounds=bounds)
