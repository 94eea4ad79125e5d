"""Bring the steps of a thought into the original image, and say how each lies to the gold and to the step before it.

A step may lie in a picture that an earlier one cropped, as Mini-o3's do: its numbers are then fractions of that crop,
and crops of crops are followed back to the image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from harness.images.frames import cut_at_image
from harness.scoring.overlap import boxes_with_area, union_iou
from harness.values import Box, BoxDialect, Fault, Size, Step, StepChange, StepScore, order_faults

MOST_NESTED_CROPS: Final = 32
"""A crop of a crop of a crop is followed so deep; by then nothing of an image is left."""

INSIDE_SHARE: Final = 0.9
"""A step narrows the one before when so much of its region lies in that: boxes are redrawn a little each time."""

Place: TypeAlias = Callable[[tuple[Box, ...]], tuple[Box, ...] | None]
"""Brings boxes that lie in the image into its pixels, uncut; None when frame or sizes are not known."""


def place_steps(
    steps: Sequence[Step],
    place: Place,
    dialect: BoxDialect | None,
    image_size: Size | None,
    gold: Sequence[Box] | None,
) -> tuple[StepScore, ...]:
    """Place each step.

    Args:
        steps: As the text writes them, in order.
        place: Brings boxes of the image itself into its pixels.
        dialect: How boxes are written; numbers that lie in a crop have to be shares of its sides.
        image_size: Size of the image; None when not known, nothing is cut then.
        gold: Gold boxes in original pixels, cut at the image; None without any.

    Returns:
        A step each. Its faults are those of the text, and `no_source` (it lies in a crop that no step before made),
        `frame_unknown` (nobody knows what its numbers mean there) and `out_of_image`. `change` compares its region with
        that of the last step before it that has a place: `narrows` (smaller, and nearly all of it inside), `widens`
        (the other way round), `stays` (the same), else `moves`.
    """
    placed: list[StepScore] = []
    crops: list[tuple[Box, int]] = []  # what each step with a place cropped, and how deep
    before: tuple[Box, ...] | None = None
    for step in steps:
        boxes, faults, depth = _placed(step, place, dialect, crops)
        if boxes:
            if image_size is None:
                boxes = tuple(boxes_with_area(boxes))
            else:
                boxes, cut = cut_at_image(boxes, image_size)
                faults |= set(cut)
        known = "frame_unknown" not in faults
        placed.append(
            StepScore(
                boxes_image_px=boxes,
                iou=union_iou(boxes, gold) if gold and known else None,
                change=_change(before, boxes) if before and boxes else None,
                faults=order_faults({*step.faults, *faults}),
            )
        )
        if boxes:
            crops.append((_around(boxes), depth))
            before = boxes
    return tuple(placed)


def _placed(
    step: Step, place: Place, dialect: BoxDialect | None, crops: Sequence[tuple[Box, int]]
) -> tuple[tuple[Box, ...], set[Fault], int]:
    """Return a step's boxes in original pixels, uncut, what is wrong with them, and how deep a crop they make."""
    if not step.boxes_written:
        return (), set(), 0
    if step.source == 0:
        boxes = place(step.boxes_written)
        return (boxes or (), set() if boxes is not None else {"frame_unknown"}, 1)
    if step.source < 0 or step.source > len(crops) or crops[step.source - 1][1] >= MOST_NESTED_CROPS:
        return (), {"no_source"}, 0
    if dialect is None or isinstance(dialect.unit, str):
        return (), {"frame_unknown"}, 0  # pixels of a crop whose size in pixels nobody told
    crop, depth = crops[step.source - 1]
    return tuple(_within(crop, box, dialect.unit) for box in step.boxes_written), set(), depth + 1


def _within(crop: Box, box: Box, side: float) -> Box:
    """Return a box that lies in a crop, whose sides are written as `side`, in the pixels that the crop is in.

    A box that sticks out of its crop ends with it: a crop shows nothing beyond.
    """
    left, top, right, bottom = crop
    x1, y1, x2, y2 = (min(max(number / side, 0.0), 1.0) for number in box)
    width, height = right - left, bottom - top
    return (left + x1 * width, top + y1 * height, left + x2 * width, top + y2 * height)


def _around(boxes: Sequence[Box]) -> Box:
    """Return the box around boxes: what is cropped for them."""
    return (
        min(box[0] for box in boxes),
        min(box[1] for box in boxes),
        max(box[2] for box in boxes),
        max(box[3] for box in boxes),
    )


def _change(before: tuple[Box, ...], now: tuple[Box, ...]) -> StepChange:
    """Say how a region lies to the one before it, both with area."""
    if before == now:
        return "stays"
    old, new, shared = _area(before), _area(now), _shared_area(before, now)
    if new < old and shared >= INSIDE_SHARE * new:
        return "narrows"
    return "widens" if old < new and shared >= INSIDE_SHARE * old else "moves"


def _area(boxes: tuple[Box, ...]) -> float:
    """Return the area of a region: what it shares with the box around it, which is known."""
    around = _around(boxes)
    return union_iou(boxes, [around]) * (around[2] - around[0]) * (around[3] - around[1])


def _shared_area(one: tuple[Box, ...], other: tuple[Box, ...]) -> float:
    """Return the area that two regions share, of their areas and its ratio to all that they cover."""
    ratio = union_iou(one, other)
    return ratio / (1.0 + ratio) * (_area(one) + _area(other))
