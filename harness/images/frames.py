"""Bring boxes from the unit that a model writes into original pixels and back, and cut them at the image's edge.

The units (`BoxUnit`): `image_px` are pixels of the original image, `input_px` pixels of the resized image that the
model saw, a number is what the whole width and the whole height are written as; `norm_1000` and `norm_1` are names of
1000 and 1. Where the image was padded to a square, its longer side is what both of them refer to.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from math import ceil, floor, inf, sqrt
from typing import Final, Literal

from harness.values import UNIT_OF_FRAME, Box, BoxFrame, BoxUnit, Fault, PixelLimits, Size

MAX_ASPECT_RATIO: Final = 200
"""Greatest ratio of the longer to the shorter side for which a grid exists (Qwen2-VL's image processor)."""

_LARGEST: Final = sys.float_info.max
_ROUNDING: Final = 1e-9
"""Share of an image's side by which the products of a change of frames may miss its edge."""


def smart_resize(size: Size, limits: PixelLimits) -> Size:
    """Return the size that a Qwen-VL image processor resizes an image to.

    Both sides become multiples of `limits.factor`, the number of pixels comes to lie within the limits, and the aspect
    ratio stays as near as the grid allows. Follows transformers, models/qwen2_vl/image_processing_qwen2_vl.py: halves
    round to even, and a long thin image can end above `max_pixels`, as no side becomes 0.

    Args:
        size: Size of the image, in pixels.
        limits: Pixel budget and grid.

    Raises:
        ValueError: A side is below 1, one side is more than `MAX_ASPECT_RATIO` times the other, or the limits
            contradict themselves.
    """
    width, height, factor = size.width, size.height, limits.factor
    if width < 1 or height < 1:
        raise ValueError(f"image of {width}x{height} pixels: both sides must be at least 1 pixel")
    if max(width, height) / min(width, height) > MAX_ASPECT_RATIO:
        raise ValueError(
            f"image of {width}x{height} pixels: a side is more than {MAX_ASPECT_RATIO} times the other; crop or pad it"
        )
    if factor < 1 or limits.min_pixels > limits.max_pixels or limits.max_pixels < 1:
        raise ValueError(f"{limits}: needs factor >= 1 and 1 <= max_pixels >= min_pixels")
    columns, rows = round(width / factor), round(height / factor)
    if columns * rows * factor * factor > limits.max_pixels:
        shrink = sqrt((height * width) / limits.max_pixels)
        columns, rows = max(1, floor(width / shrink / factor)), max(1, floor(height / shrink / factor))
    elif columns * rows * factor * factor < limits.min_pixels:
        grow = sqrt(limits.min_pixels / (height * width))
        columns, rows = ceil(width * grow / factor), ceil(height * grow / factor)
    return Size(columns * factor, rows * factor)


def to_image_px(
    boxes: Sequence[Box],
    unit: BoxUnit | BoxFrame,
    image_size: Size | None,
    input_size: Size | None,
    *,
    padded_to_square: bool = False,
) -> tuple[Box, ...] | None:
    """Bring boxes from a unit into pixels of the original image, uncut.

    Args:
        boxes: Boxes with finite coordinates, in `unit`; empty gives empty.
        unit: What the numbers count.
        image_size: Original image; needed by every unit but `image_px`.
        input_size: Image as the model saw it; needed by `input_px` only.
        padded_to_square: Whether they count on the image padded evenly to a square.

    Returns:
        The boxes, finite (a coordinate too large for a float stays at the largest), or None when a size that the unit
        needs is not known or has no pixels: the caller names that `frame_unknown`.
    """
    if unit == "image_px" and not padded_to_square:
        return tuple(boxes)
    units = _units(unit, image_size, input_size, padded_to_square=padded_to_square)
    if units is None:
        return None
    placed = _scaled(boxes, units[0], units[1])
    return _moved(placed, image_size, -1) if padded_to_square else placed


def from_image_px(
    boxes: Sequence[Box],
    unit: BoxUnit | BoxFrame,
    image_size: Size | None,
    input_size: Size | None,
    *,
    padded_to_square: bool = False,
) -> tuple[Box, ...] | None:
    """Bring boxes from pixels of the original image into a unit: the inverse of `to_image_px`, with its rules."""
    if unit == "image_px" and not padded_to_square:
        return tuple(boxes)
    units = _units(unit, image_size, input_size, padded_to_square=padded_to_square)
    if units is None:
        return None
    return _scaled(_moved(boxes, image_size, 1) if padded_to_square else boxes, 1.0 / units[0], 1.0 / units[1])


def _units(
    unit: BoxUnit | BoxFrame, image_size: Size | None, input_size: Size | None, *, padded_to_square: bool
) -> tuple[float, float] | None:
    """Return how many original pixels one unit is, across and down; None where that is not known."""
    if image_size is None or image_size.width < 1 or image_size.height < 1:
        return None
    side = UNIT_OF_FRAME[unit] if isinstance(unit, str) else unit
    if side == "image_px":
        return 1.0, 1.0
    if side != "input_px":
        width, height = image_size.width, image_size.height
        if padded_to_square:
            width = height = max(width, height)
        return width / side, height / side
    if padded_to_square or input_size is None or input_size.width < 1 or input_size.height < 1:
        return None
    return image_size.width / input_size.width, image_size.height / input_size.height


def _moved(boxes: Sequence[Box], image_size: Size | None, sign: Literal[-1, 1]) -> tuple[Box, ...]:
    """Move boxes from the image onto its square (1) or back (-1); the bands on both sides are equal."""
    assert image_size is not None, "whoever found the unit had it"
    side = max(image_size.width, image_size.height)
    right, down = sign * (side - image_size.width) / 2, sign * (side - image_size.height) / 2
    return tuple((x1 + right, y1 + down, x2 + right, y2 + down) for x1, y1, x2, y2 in boxes)


def _scaled(boxes: Sequence[Box], scale_x: float, scale_y: float) -> tuple[Box, ...]:
    """Multiply coordinates, and bring those that overflow back to the largest float."""
    scaled = [(x1 * scale_x, y1 * scale_y, x2 * scale_x, y2 * scale_y) for x1, y1, x2, y2 in boxes]
    return tuple(_without_infinity(box) if inf in box or -inf in box else box for box in scaled)


def _without_infinity(box: Box) -> Box:
    """Return the box with infinite coordinates replaced by the largest float of their sign."""
    x1, y1, x2, y2 = (max(-_LARGEST, min(_LARGEST, coordinate)) for coordinate in box)
    return (x1, y1, x2, y2)


def _sticks_out(box: Box, width: int, height: int) -> bool:
    """Whether a box reaches beyond its image by more than the rounding of a change of frames."""
    x1, y1, x2, y2 = box
    hair = _ROUNDING * max(width, height)
    return min(x1, x2, y1, y2) < -hair or max(x1, x2) > width + hair or max(y1, y2) > height + hair


def cut_at_image(boxes: Sequence[Box], image_size: Size) -> tuple[tuple[Box, ...], tuple[Fault, ...]]:
    """Cut boxes in original pixels at the edges of their image.

    Args:
        boxes: Boxes in pixels of the original image; empty gives empty.
        image_size: Size of that image.

    Returns:
        What is left of each box, in order, without those that have no area left (also those that had none before);
        and `out_of_image` when any box stuck out, else no fault.
    """
    width, height = image_size.width, image_size.height
    kept: list[Box] = []
    faults: tuple[Fault, ...] = ()
    for box in boxes:
        x1, y1, x2, y2 = box
        if 0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height:
            kept.append(box)
            continue
        if _sticks_out(box, width, height):
            faults = ("out_of_image",)
        x1, y1, x2, y2 = max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height))
        if x1 < x2 and y1 < y2:
            kept.append((x1, y1, x2, y2))
    return tuple(kept), faults
