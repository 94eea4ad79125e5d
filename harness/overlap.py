"""Measure how far predicted and gold boxes overlap: IoU of the two regions, and the best one-to-one matching.

The boxes of both sides must be in the same frame, with finite coordinates. A region is the union of its boxes, so that
area covered twice counts once. A box without area (x1 >= x2 or y1 >= y2) covers nothing. Areas are sums over the pieces
that the edges cut the plane into, without raster or geometry library. Coordinates near the limits of a float are
rescaled by powers of two first, so that no result is ever NaN.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import pairwise, permutations
from math import frexp, ldexp, perm
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from harness.values import Box, BoxMatch

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_MATCHED_BOXES: Final = 1_000
"""Boxes per side that are matched one to one; those beyond it stay unmatched (but are counted)."""

PAPER_EPSILON: Final = 1e-6
"""What SATORI's released reward adds to the area of the union, in square pixels."""

_PREDICTED: Final = 1
_GOLD: Final = 2

_TaggedBox: TypeAlias = tuple[float, float, float, float, int]
"""A box with area, and the side it is on: `_PREDICTED` or `_GOLD`."""

_MAX_SWEPT_BOXES: Final = 40
"""Above this many boxes in all, numpy sweeps faster than plain Python."""
_MAX_MATCHINGS: Final = 60
"""Up to this many matchings, trying every one is faster than importing a solver."""
_SAFE_AREAS: Final = (1e-200, 1e300)
"""A union between these was computed without overflow, and without underflow that could show in a ratio."""


def union_iou(predicted: Sequence[Box], gold: Sequence[Box]) -> float:
    """Return the area of the intersection of both regions over the area of their union.

    In [0, 1] and never NaN; 0.0 where neither side has any area, so also for two empty sides.
    """
    intersection, union, _ = _areas(predicted, gold)
    return intersection / union if union > 0.0 else 0.0


def paper_iou(predicted: Sequence[Box], gold: Sequence[Box]) -> float:
    """Return the overlap as SATORI's released reward computes it (its plugin.py): intersection / (union + 1e-6).

    The corners of an inverted box are put in order first: as a polygon it has its full area there. In [0, 1], never
    NaN; 0.0 when either side is empty.
    """
    intersection, union, exponent = _areas([_ordered(box) for box in predicted], [_ordered(box) for box in gold])
    if intersection <= 0.0:
        return 0.0
    return intersection / (union + _rescaled(PAPER_EPSILON, -exponent))


def match_boxes(predicted: Sequence[Box], gold: Sequence[Box]) -> BoxMatch:
    """Match boxes one to one so that the sum of the IoU is greatest.

    Args:
        predicted: Boxes that count (well-formed, cut at the image). Of more than `MAX_MATCHED_BOXES`, which no parser
            of ours returns, only the first take part.
        gold: Gold boxes; the same limit.

    Returns:
        Counts over the whole of both sides, and the pairs' IoU sum and hits. Either side empty gives zeros. Of equally
        good matchings one is taken, the same for the same input.
    """
    pairs = _best_pairs(boxes_with_area(predicted[:MAX_MATCHED_BOXES]), boxes_with_area(gold[:MAX_MATCHED_BOXES]))
    return BoxMatch(
        predicted=len(predicted),
        gold=len(gold),
        iou_sum=sum(pairs, 0.0),
        hits_50=sum(iou >= 0.5 for iou in pairs),
    )


def _best_pairs(predicted: Sequence[Box], gold: Sequence[Box]) -> list[float]:
    """Return the IoU of each pair of the best matching of boxes that have area; the others add nothing to it."""
    if not predicted or not gold:
        return []
    if len(predicted) == 1 and len(gold) == 1:
        return [_iou_of_two(predicted[0], gold[0])]
    fewer, more = (predicted, gold) if len(predicted) <= len(gold) else (gold, predicted)
    if len(fewer) == 1:
        return [max([_iou_of_two(fewer[0], other) for other in more])]
    if perm(len(more), len(fewer)) > _MAX_MATCHINGS:
        return _best_pairs_of_many(predicted, gold)
    ious = [[_iou_of_two(one, other) for other in more] for one in fewer]
    matchings = (
        [row[column] for row, column in zip(ious, columns, strict=True)]
        for columns in permutations(range(len(more)), len(fewer))
    )
    return max(matchings, key=sum)


def _iou_of_two(one: Box, other: Box) -> float:
    """Return `union_iou` of two single boxes that have area: the same number, with no lists in between."""
    intersection, union = _areas_of_two(one, other)
    low, high = _SAFE_AREAS
    return intersection / union if low < union < high else union_iou((one,), (other,))


def _best_pairs_of_many(predicted: Sequence[Box], gold: Sequence[Box]) -> list[float]:
    """The same by the Hungarian method."""
    # Imported here, as it costs 0.3 s and most samples have one or two boxes; scipy ships no types.
    from scipy.optimize import (  # noqa: PLC0415 # pyright: ignore[reportMissingTypeStubs]
        linear_sum_assignment,  # pyright: ignore[reportUnknownVariableType]
    )

    ious = _iou_matrix(predicted, gold)
    assignment = cast("tuple[NDArray[np.intp], NDArray[np.intp]]", linear_sum_assignment(ious, maximize=True))
    return [float(iou) for iou in ious[assignment]]


def _iou_matrix(predicted: Sequence[Box], gold: Sequence[Box]) -> NDArray[np.float64]:
    """Return the IoU of every pair of boxes, which all have area, shape (predicted, gold)."""
    import numpy as np  # noqa: PLC0415 -- keeps `satori-bench --help` fast

    rescaled_predicted, rescaled_gold, _ = _near_one(predicted, gold)
    boxes_p14 = np.asarray(rescaled_predicted, dtype=np.float64)[:, None, :]
    boxes_1g4 = np.asarray(rescaled_gold, dtype=np.float64)[None, :, :]
    shared_pg2 = np.minimum(boxes_p14[..., 2:], boxes_1g4[..., 2:]) - np.maximum(boxes_p14[..., :2], boxes_1g4[..., :2])
    intersection_pg = shared_pg2.clip(min=0.0).prod(axis=-1)
    area_p1 = (boxes_p14[..., 2:] - boxes_p14[..., :2]).prod(axis=-1)
    area_1g = (boxes_1g4[..., 2:] - boxes_1g4[..., :2]).prod(axis=-1)
    union_pg = area_p1 + area_1g - intersection_pg
    not_lost_pg = union_pg > 0.0  # beside a huge box, the area of two tiny ones can be rounded to 0
    return np.where(not_lost_pg, intersection_pg / np.where(not_lost_pg, union_pg, 1.0), 0.0).clip(max=1.0)


def _areas(predicted: Sequence[Box], gold: Sequence[Box]) -> tuple[float, float, int]:
    """Return intersection, union and an exponent e: both areas are to be multiplied by 2 ** e.

    Intersection <= union, and 0 only where it really is, or is negligible.
    """
    intersection, union = _sweep(predicted, gold)
    low, high = _SAFE_AREAS
    if low < union < high or not (predicted or gold):
        return intersection, union, 0
    rescaled_predicted, rescaled_gold, exponent = _near_one(boxes_with_area(predicted), boxes_with_area(gold))
    return *_sweep(rescaled_predicted, rescaled_gold), exponent


def _sweep(predicted: Sequence[Box], gold: Sequence[Box]) -> tuple[float, float]:
    """Return intersection and union by the cheapest way for this many boxes; may overflow to infinity or NaN."""
    if len(predicted) == 1 and len(gold) == 1:
        return _areas_of_two(predicted[0], gold[0])
    tagged = [(*box, _PREDICTED) for box in boxes_with_area(predicted)]
    tagged += [(*box, _GOLD) for box in boxes_with_area(gold)]
    if len(tagged) > _MAX_SWEPT_BOXES:
        return _sweep_many(tagged)
    return _sweep_few(tagged)


def _areas_of_two(one: Box, other: Box) -> tuple[float, float]:
    """Return intersection and union of two single boxes."""
    ax1, ay1, ax2, ay2 = one
    bx1, by1, bx2, by2 = other
    area_a = (ax2 - ax1) * (ay2 - ay1) if ax1 < ax2 and ay1 < ay2 else 0.0
    area_b = (bx2 - bx1) * (by2 - by1) if bx1 < bx2 and by1 < by2 else 0.0
    if not area_a or not area_b:
        return 0.0, area_a + area_b
    width = (min(bx2, ax2)) - (max(bx1, ax1))
    height = (min(by2, ay2)) - (max(by1, ay1))
    if width <= 0.0 or height <= 0.0:
        return 0.0, area_a + area_b
    # Rounding can make the intersection exceed neither area: each of its factors is at most theirs.
    intersection = width * height
    return intersection, area_a + (area_b - intersection) if area_a > area_b else area_b + (area_a - intersection)


def _sweep_few(tagged: list[_TaggedBox]) -> tuple[float, float]:
    """Cut the plane into strips at every left and right edge, and go up through the horizontal edges in each.

    Both areas are sums over the same pieces in the same order: equal regions give equal areas to the last bit.
    """
    edges_x = sorted({edge for box in tagged for edge in (box[0], box[2])})
    edges_y = sorted(
        [(y1, x1, x2, 1, side) for x1, y1, x2, _, side in tagged]
        + [(y2, x1, x2, -1, side) for x1, _, x2, y2, side in tagged]
    )
    intersection = union = 0.0
    for left, right in pairwise(edges_x):
        both = either = last = 0.0
        predicted = gold = 0  # how many boxes of each side cover the place reached
        for y, x1, x2, step, side in edges_y:
            if x1 > left or x2 < right:
                continue
            if predicted or gold:
                either += y - last
                if predicted and gold:
                    both += y - last
            last = y
            if side == _PREDICTED:
                predicted += step
            else:
                gold += step
        intersection += (right - left) * both
        union += (right - left) * either
    return intersection, union


def _sweep_many(tagged: list[_TaggedBox]) -> tuple[float, float]:
    """The same strips with numpy: a row of counters per side, one for each stretch between horizontal edges."""
    import numpy as np  # noqa: PLC0415 -- keeps `satori-bench --help` fast

    edges_y = sorted({edge for box in tagged for edge in (box[1], box[3])})
    row_of = {edge: row for row, edge in enumerate(edges_y)}
    heights = np.diff(np.asarray(edges_y))
    events = sorted(
        [(x1, 1, row_of[y1], row_of[y2], side) for x1, y1, _, y2, side in tagged]
        + [(x2, -1, row_of[y1], row_of[y2], side) for _, y1, x2, y2, side in tagged]
    )
    covers = {side: np.zeros(len(heights), dtype=np.int32) for side in (_PREDICTED, _GOLD)}
    intersection = union = 0.0
    last = events[0][0]
    for x, step, low, high, side in events:
        if x > last:
            covered_predicted, covered_gold = covers[_PREDICTED] > 0, covers[_GOLD] > 0
            intersection += (x - last) * float(heights @ (covered_predicted & covered_gold))
            union += (x - last) * float(heights @ (covered_predicted | covered_gold))
        last = x
        covers[side][low:high] += step
    return intersection, union


def _ordered(box: Box) -> Box:
    """Return the box with its corners in order."""
    x1, y1, x2, y2 = box
    return (min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))


def boxes_with_area(boxes: Sequence[Box]) -> list[Box]:
    """Return the boxes that cover anything."""
    return [box for box in boxes if box[0] < box[2] and box[1] < box[3]]


def _near_one(predicted: Sequence[Box], gold: Sequence[Box]) -> tuple[list[Box], list[Box], int]:
    """Scale x and y by powers of two so that the greatest coordinate comes to lie in [0.5, 1).

    Returns both sides and the exponent that turns scaled areas back. A power of two changes no digit of a coordinate,
    short of those that are negligible beside the greatest.
    """
    both = [*predicted, *gold]
    shift_x = _exponent_of_largest([edge for box in both for edge in (box[0], box[2])])
    shift_y = _exponent_of_largest([edge for box in both for edge in (box[1], box[3])])
    return _shifted(predicted, shift_x, shift_y), _shifted(gold, shift_x, shift_y), shift_x + shift_y


def _exponent_of_largest(coordinates: Sequence[float]) -> int:
    """Return the binary exponent of the coordinate farthest from 0; 0 when there is none."""
    return frexp(max(map(abs, coordinates), default=0.0))[1]


def _shifted(boxes: Sequence[Box], shift_x: int, shift_y: int) -> list[Box]:
    """Divide coordinates by 2 ** shift."""
    return [
        (
            _rescaled(x1, -shift_x),
            _rescaled(y1, -shift_y),
            _rescaled(x2, -shift_x),
            _rescaled(y2, -shift_y),
        )
        for x1, y1, x2, y2 in boxes
    ]


def _rescaled(number: float, exponent: int) -> float:
    """Return number * 2 ** exponent, at most the largest float."""
    try:
        return ldexp(number, exponent)
    except OverflowError:
        return sys.float_info.max if number > 0.0 else -sys.float_info.max
