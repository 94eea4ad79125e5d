"""What stands where a region of a picture was: one colour taken from the picture itself, or another part of it.

Noise and blur were measured and left out: noise takes the model's format away, blur leaves the colours of what it is
meant to hide.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from harness.probes.regions import Mask, PixelBox, mask_of
from harness.values import Size

Fill: TypeAlias = Literal["mean", "ring"]
"""Where the colour comes from: all of the picture, or what lies around what is filled."""
FILLS: Final[tuple[Fill, ...]] = get_args(Fill)

Operation: TypeAlias = Literal["remove", "keep", "blank", "repeat", "turn", "paste"]
"""The region is filled, all but the region is, all of the picture is, or nothing: the same question once more. Or the
region keeps its shapes and its colours are turned: red to green, green to blue, blue to red. Or the pixels of another
region of the same shape are pasted over it."""

WITHOUT_FILL: Final = frozenset[Operation]({"repeat", "turn", "paste"})
"""What is done without a colour that stands in."""

Pixels: TypeAlias = NDArray[np.uint8]
"""(height, width, 3), RGB."""

_TURNED: Final = (2, 0, 1)
"""Which channel each takes its values from."""
_BAND: Final = 16
"""A ring is a band of the picture's shorter side over this, at least 2 pixels."""


def edited(
    pixels: Pixels, operation: Operation, boxes: Sequence[PixelBox], fill: Fill, sources: Sequence[PixelBox] = ()
) -> Pixels:
    """Return a copy of a picture in which a region is filled, turned or pasted over; what is not keeps its bytes.

    Args:
        pixels: The picture.
        operation: What is done.
        boxes: The region.
        fill: By which colour.
        sources: What is pasted into each box, of its shape.

    Raises:
        ValueError: A source has not the shape of its box.
    """
    if operation == "paste":
        return _pasted(pixels, boxes, sources)
    size = Size(pixels.shape[1], pixels.shape[0])
    if operation == "turn":
        mask = mask_of(boxes, size)
        turned = pixels.copy()
        turned[mask] = pixels[mask][:, _TURNED]
        return turned
    hidden = _hidden(operation, boxes, size)
    if not hidden.any():
        return pixels.copy()
    made = pixels.copy()
    made[hidden] = _colour(pixels, operation, boxes, fill)
    return made


def _pasted(pixels: Pixels, boxes: Sequence[PixelBox], sources: Sequence[PixelBox]) -> Pixels:
    """Copy sources into boxes, pixel by pixel: all from the picture as it was, a later box over an earlier one."""
    made = pixels.copy()
    for (left, top, right, bottom), (x1, y1, x2, y2) in zip(boxes, sources, strict=True):
        if (right - left, bottom - top) != (x2 - x1, y2 - y1):
            raise ValueError(f"{x2 - x1} x {y2 - y1} pixels cannot be pasted over {right - left} x {bottom - top}")
        made[top:bottom, left:right] = pixels[y1:y2, x1:x2]
    return made


def _hidden(operation: Operation, boxes: Sequence[PixelBox], size: Size) -> Mask:
    """Return which pixels are filled."""
    if operation == "blank":
        return np.ones((size.height, size.width), dtype=np.bool_)
    if operation == "repeat":
        return np.zeros((size.height, size.width), dtype=np.bool_)
    mask = mask_of(boxes, size)
    return mask if operation == "remove" else ~mask


def _colour(pixels: Pixels, operation: Operation, boxes: Sequence[PixelBox], fill: Fill) -> Pixels:
    """Return the colour of a fill, (3,)."""
    everything = pixels.reshape(-1, 3)
    if fill == "mean":
        return np.rint(everything.mean(axis=0)).astype(np.uint8)
    height, width, _ = pixels.shape
    band = max(2, min(height, width) // _BAND)
    if operation == "remove":
        size = Size(width, height)
        grown = [
            (max(0, left - band), max(0, top - band), min(width, right + band), min(height, bottom + band))
            for left, top, right, bottom in boxes
        ]
        ring = mask_of(grown, size) & ~mask_of(boxes, size)
        if ring.any():
            return np.median(pixels[ring], axis=0).astype(np.uint8)
    # Of what is kept the colour would paint the background as the object; the picture's own edge is background.
    inner = np.zeros((height, width), dtype=np.bool_)
    inner[band : height - band, band : width - band] = True
    return np.median(pixels[~inner], axis=0).astype(np.uint8)
