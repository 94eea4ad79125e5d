"""Regions of a picture that a probe removes or keeps, and others of the same shape that control for the removing.

A region is a union of boxes in whole pixels of the upright original, rounded outward: what it names shows nowhere
beside it. Its complement is everything else, so that a region removed and a region kept part the picture between them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from math import ceil, floor, isfinite
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from harness.values import Box, Size

PixelBox: TypeAlias = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels; right and bottom are the first that it leaves out."""
Mask: TypeAlias = NDArray[np.bool_]
"""(height, width): which pixels belong to a region."""

TRIES: Final = 400
"""Draws of a control before there is none."""
MOST_OVERLAP: Final = 0.1
"""Share of the region that a control may cover."""
AREA_TOLERANCE: Final = 0.1
"""Share of the region's area by which a control's may differ: of boxes that overlap the union is what counts."""


def pixel_boxes(boxes_image_px: Sequence[Box], size: Size) -> tuple[PixelBox, ...]:
    """Return boxes in whole pixels, cut at the picture; those that show none of it, or are no boxes, are left out."""
    found: list[PixelBox] = []
    for box in boxes_image_px:
        if not all(map(isfinite, box)):
            continue
        x1, y1, x2, y2 = box
        if not (x1 < x2 and y1 < y2):
            continue
        left, top = max(0, floor(x1)), max(0, floor(y1))
        right, bottom = min(size.width, ceil(x2)), min(size.height, ceil(y2))
        if left < right and top < bottom:
            found.append((left, top, right, bottom))
    return tuple(found)


def mask_of(boxes: Sequence[PixelBox], size: Size) -> Mask:
    """Return which pixels, (height, width), lie in any of the boxes."""
    mask = np.zeros((size.height, size.width), dtype=np.bool_)
    for left, top, right, bottom in boxes:
        mask[top:bottom, left:right] = True
    return mask


def areas_px(region: Sequence[PixelBox], other: Sequence[PixelBox]) -> tuple[int, int, int]:
    """Return the pixels of two unions of boxes, and of what they share.

    Exact at the cost of the boxes, not of the pixels: between two neighbouring edges nothing changes.
    """
    edges = np.array([*region, *other], dtype=np.int64).reshape(-1, 4)
    across, down = np.unique(edges[:, [0, 2]]), np.unique(edges[:, [1, 3]])
    cells = np.outer(np.diff(down), np.diff(across))

    def covered(boxes: Sequence[PixelBox]) -> Mask:
        inside = np.zeros(cells.shape, dtype=np.bool_)
        for left, top, right, bottom in boxes:
            columns = np.searchsorted(across, [left, right])
            rows = np.searchsorted(down, [top, bottom])
            inside[rows[0] : rows[1], columns[0] : columns[1]] = True
        return inside

    one, two = covered(region), covered(other)
    return int(cells[one].sum()), int(cells[two].sum()), int(cells[one & two].sum())


def control_boxes(region: Sequence[PixelBox], size: Size, drawn_by: str) -> tuple[PixelBox, ...] | None:
    """Return boxes of the same sizes and number elsewhere in the picture; None where there is no room for them.

    Args:
        region: What they control for.
        size: Of the picture.
        drawn_by: What alone the draw depends on: the same text and region give the same boxes, in any run.

    Returns:
        Boxes that cover at most a tenth of the region and have its area within a tenth.
    """
    digest = hashlib.sha256(drawn_by.encode(errors="surrogatepass")).digest()
    rng = np.random.Generator(np.random.PCG64(int.from_bytes(digest[:8], "big")))
    shapes = [(right - left, bottom - top) for left, top, right, bottom in region]
    for _ in range(TRIES if region else 0):
        # Drawn as shares of the room: runs whose boxes differ by a pixel get controls that differ by one.
        shares = rng.random((len(shapes), 2))
        drawn: list[PixelBox] = []
        for (width, height), (across, down) in zip(shapes, shares.tolist(), strict=True):
            left = int(across * (size.width - width + 1))
            top = int(down * (size.height - height + 1))
            drawn.append((left, top, left + width, top + height))
        area, own, shared = areas_px(region, drawn)
        if shared <= MOST_OVERLAP * area and abs(own - area) <= AREA_TOLERANCE * area:
            return tuple(drawn)
    return None
