"""Count answer and place together: quadrants, their moves from A to B, and whether right answers go with right places.

Everything is made of one table per cluster: how many of its samples are right or wrong in each of twenty IoU bins. So a
bootstrap draws those counts, and every cut is read off the same draws.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from harness.comparison.columns import RunTable, picked
from harness.comparison.values import (
    CUTS,
    DEFAULT_CUT,
    QUADRANTS,
    BoxPrior,
    CouplingPoint,
    Grounding,
    PriorCoupling,
    SideGrounding,
    quadrant_codes,
)
from harness.scoring.overlap import union_iou
from harness.stats.intervals import CodeArray, FloatArray, cluster_codes, mean_interval, percentile_interval, t_quantile
from harness.stats.resampling import bootstrap_sums
from harness.summary.counted_units import ANSWER_RIGHT
from harness.summary.means import Metric

BINS = len(CUTS) + 1
"""IoU bins; a cut is the lower edge of a bin."""

_EDGES = np.array(CUTS)


def ground(a: RunTable, b: RunTable, sample: RunTable, clusters: CodeArray, *, seed: int) -> Grounding | None:
    """Return the grounding block of one benchmark; None when no sample has answer and IoU in both sides.

    Args:
        a: Answers and places of A.
        b: Those of B, the same samples in the same order.
        sample: What both say of the samples: their gold boxes and images.
        clusters: Code of each sample's cluster.
        seed: Fixes the draws.
    """
    numbers = np.column_stack([a.values, a.ious, b.values, b.ious])
    kept = np.flatnonzero(np.isfinite(numbers).all(axis=1))
    if not len(kept):
        return None
    a_values, a_ious, b_values, b_ious = numbers[kept].T
    codes = cluster_codes(clusters[kept])
    priors = _prior_ious(picked(sample.gold_boxes_image_px, kept), sample.image_sizes[kept])
    return Grounding(
        n=len(kept),
        a=_side(a_values, a_ious, codes, priors, seed),
        b=_side(b_values, b_ious, codes, priors, seed),
        transitions=tuple(_transitions(a_values, a_ious, b_values, b_ious, cut) for cut in CUTS),
        priors=tuple(
            BoxPrior(name, float(ious.mean()), float((ious >= DEFAULT_CUT).mean())) for name, ious in priors.items()
        ),
    )


def _side(
    values: FloatArray, ious: FloatArray, codes: CodeArray, priors: dict[str, FloatArray], seed: int
) -> SideGrounding:
    quadrants = [np.bincount(quadrant_codes(values, ious, cut), minlength=len(QUADRANTS)) for cut in CUTS]
    interval = mean_interval(ious, codes)
    low, high = (None, None) if interval is None else (interval.low, interval.high)
    return SideGrounding(
        quadrants=tuple((int(q[0]), int(q[1]), int(q[2]), int(q[3])) for q in quadrants),
        iou_histogram=tuple(int(count) for count in np.bincount(_bins(ious), minlength=BINS)),
        mean_iou=Metric(float(ious.mean()), low, high, len(ious)),
        coupling=_coupling(values, ious, codes, seed),
        prior_coupling=tuple(
            PriorCoupling(name, _coupling(values, prior, codes, seed)) for name, prior in priors.items()
        ),
    )


def _transitions(
    a_values: FloatArray, a_ious: FloatArray, b_values: FloatArray, b_ious: FloatArray, cut: float
) -> tuple[tuple[int, ...], ...]:
    """Return how many samples went from each quadrant in A (row) to each in B (column)."""
    side = len(QUADRANTS)
    moves = side * quadrant_codes(a_values, a_ious, cut).astype(np.int64) + quadrant_codes(b_values, b_ious, cut)
    return tuple(tuple(row) for row in np.bincount(moves, minlength=side * side).reshape(side, side).tolist())


def _coupling(values: FloatArray, ious: FloatArray, codes: CodeArray, seed: int) -> tuple[CouplingPoint, ...]:
    """Return P(right | IoU >= cut) - P(right | IoU < cut) for every cut, with its interval."""
    clusters = int(codes.max()) + 1
    # One row per cluster: wrong answers in each bin, then right ones.
    cells = codes * (2 * BINS) + (values >= ANSWER_RIGHT) * BINS + _bins(ious)
    table = np.bincount(cells, minlength=clusters * 2 * BINS).reshape(clusters, 2 * BINS).astype(np.float64)
    total = table.sum(axis=0, keepdims=True)
    values_at_cuts = _coupling_of(total)[0]
    drawn = _coupling_of(bootstrap_sums(table, seed=seed)) if clusters > 1 else None
    below = np.cumsum(total[0, :BINS] + total[0, BINS:])[:-1]
    return tuple(
        _coupling_point(cut, place, values_at_cuts, drawn, clusters, (int(below[place]), len(values)))
        for place, cut in enumerate(CUTS)
    )


def _coupling_point(
    cut: float,
    place: int,
    values: FloatArray,
    drawn: FloatArray | None,
    clusters: int,
    below_and_all: tuple[int, int],
) -> CouplingPoint:
    below, n = below_and_all
    value = float(values[place])
    interval = None
    if drawn is not None and np.isfinite(value):
        interval = percentile_interval(value, drawn[:, place], t_quantile(clusters - 1), clusters, (-1.0, 1.0))
    return CouplingPoint(
        cut=cut,
        value=value if np.isfinite(value) else None,
        ci_low=None if interval is None else interval.low,
        ci_high=None if interval is None else interval.high,
        n_at_or_above=n - below,
        n_below=below,
    )


def _coupling_of(sums: FloatArray) -> FloatArray:
    """Return the difference for every cut (draws x cuts) from counts (draws x 2 * bins); NaN where a set is empty."""
    right_below = np.cumsum(sums[:, BINS:], axis=1)
    all_below = np.cumsum(sums[:, :BINS] + sums[:, BINS:], axis=1)
    right_above = right_below[:, -1:] - right_below[:, :-1]
    all_above = all_below[:, -1:] - all_below[:, :-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        return right_above / all_above - right_below[:, :-1] / all_below[:, :-1]


def _bins(ious: FloatArray) -> CodeArray:
    """Return the bin of each IoU, so that `IoU >= cut` is exactly `bin >= place of the cut + 1`."""
    return np.searchsorted(_EDGES, ious, side="right").astype(np.int64)


def _prior_ious(gold: Sequence[tuple[tuple[float, ...], ...] | None], sizes: FloatArray) -> dict[str, FloatArray]:
    """Return the IoUs of boxes that need no look; empty where any image size or gold box is missing."""
    if not np.isfinite(sizes).all() or any(boxes is None for boxes in gold):
        return {}
    empty = np.zeros_like(sizes)
    return {
        "whole image": _ious_with(np.hstack([empty, sizes]), gold),
        "centre box": _ious_with(np.hstack([sizes / 4, sizes * 3 / 4]), gold),
    }


def _ious_with(boxes: FloatArray, gold: Sequence[tuple[tuple[float, ...], ...] | None]) -> FloatArray:
    """Return the union IoU of one box per sample with the sample's gold boxes."""
    ious = np.empty(len(boxes))
    single = np.array([item is not None and len(item) == 1 for item in gold], dtype=np.bool_)
    ones = np.array([item[0] for item in gold if item is not None and len(item) == 1], dtype=np.float64).reshape(-1, 4)
    ious[single] = _box_ious(boxes[single], ones)
    for place in np.flatnonzero(~single).tolist():
        x1, y1, x2, y2 = (float(edge) for edge in boxes[place])
        several = [(g[0], g[1], g[2], g[3]) for g in gold[place] or ()]
        ious[place] = union_iou([(x1, y1, x2, y2)], several)
    return ious


def _box_ious(one: NDArray[np.float64], other: NDArray[np.float64]) -> FloatArray:
    """Return the IoU of each box with its partner (samples x 4 each)."""
    sides = np.minimum(one[:, 2:], other[:, 2:]) - np.maximum(one[:, :2], other[:, :2])
    shared = np.maximum(sides, 0).prod(axis=1)
    union = (one[:, 2:] - one[:, :2]).prod(axis=1) + (other[:, 2:] - other[:, :2]).prod(axis=1) - shared
    return np.divide(shared, union, out=np.zeros(len(one)), where=union > 0)
