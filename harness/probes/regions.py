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
    rng = _generator(drawn_by)
    shapes = [(right - left, bottom - top) for left, top, right, bottom in region]
    for _ in range(TRIES if region else 0):
        # Drawn as shares of the room: runs whose boxes differ by a pixel get controls that differ by one.
        shares = rng.random((len(shapes), 2))
        drawn: list[PixelBox] = []
        for (width, height), (across, down) in zip(shapes, shares.tolist(), strict=True):
            drawn.append(_placed(width, height, size, across, down))
        area, own, shared = areas_px(region, drawn)
        if shared <= MOST_OVERLAP * area and abs(own - area) <= AREA_TOLERANCE * area:
            return tuple(drawn)
    return None


def region_elsewhere(
    region: Sequence[PixelBox], away_from: Sequence[PixelBox], size: Size, drawn_by: str
) -> tuple[PixelBox, ...] | None:
    """Return a box of the same shape for each box, which shares no pixel with what it is to be away from.

    Args:
        region: Whose shapes they have; each is drawn for itself, so that they may overlap one another.
        away_from: What they show nothing of.
        size: Of the picture.
        drawn_by: What alone the draw depends on.

    Returns:
        None where so many tries find no room for one of them.
    """
    rng = _generator(drawn_by)
    found: list[PixelBox] = []
    for left, top, right, bottom in region:
        tries = (_placed(right - left, bottom - top, size, *rng.random(2).tolist()) for _ in range(TRIES))
        box = next((box for box in tries if not _meets(box, away_from)), None)
        if box is None:
            return None
        found.append(box)
    return tuple(found)


def window_around(
    thing: PixelBox, width: int, height: int, away_from: Sequence[PixelBox], size: Size
) -> PixelBox | None:
    """Return a box of a given shape that shows a thing, and nothing of what it is to be away from.

    A box that is larger than the thing holds it whole: in the middle, else at one of its edges. A smaller one lies in
    the middle of the thing.

    Returns:
        None where less than half of the thing fits in it, or where there is no such box in the picture.
    """
    left, top, right, bottom = thing
    shown = min(width, right - left) * min(height, bottom - top)
    if 2 * shown < (right - left) * (bottom - top):
        return None
    places = [
        (x, y, x + width, y + height)
        for y in _places(top, bottom, height)
        for x in _places(left, right, width)
        if x >= 0 and y >= 0 and x + width <= size.width and y + height <= size.height
    ]
    return next((box for box in places if not _meets(box, away_from)), None)


def _places(low: int, high: int, side: int) -> tuple[int, ...]:
    """Return where a side may begin that shows an extent from low to high: about its middle first."""
    middle = (low + high - side) // 2
    return (middle, low, high - side) if side > high - low else (middle,)


def _meets(box: PixelBox, others: Sequence[PixelBox]) -> bool:
    """Whether a box shares a pixel with one of others."""
    left, top, right, bottom = box
    return any(left < x2 and x1 < right and top < y2 and y1 < bottom for x1, y1, x2, y2 in others)


def _placed(width: int, height: int, size: Size, across: float, down: float) -> PixelBox:
    """Return a box of a shape at a share of the room that it has in the picture."""
    left, top = int(across * (size.width - width + 1)), int(down * (size.height - height + 1))
    return left, top, left + width, top + height


def _generator(drawn_by: str) -> np.random.Generator:
    """Return what draws by a text alone."""
    digest = hashlib.sha256(drawn_by.encode(errors="surrogatepass")).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:8], "big")))
