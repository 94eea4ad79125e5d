"""Say what attention to a picture's cells tells about a region.

Definitions are ours. The exact formula of the paper's Regional Attention Density is not in its published code; what is
computed here is stated beside every number, and is not called the paper's.

    density = (share of the span's attention to the picture that lies in the region) / (share of the picture that it is)

1 is what attention spread evenly gives, 0 what none in the region gives, and 1 / (share of the picture) is all of it. A
span's attention is the mean over its rows, all heads and all layers with full attention; the row of a token is the one
that predicts it. Attention to a cell that the region covers in part counts by that part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from harness.images.cells import CellGrid, covered_shares
from harness.values import Box

_HALF = 0.5


@dataclass(frozen=True, slots=True)
class AttendedRegion:
    """What a span's attention says about one region."""

    density: float | None
    """Attention in the region over what even attention gives; None where the region is none or all of the grid, or
    where no attention goes to the picture."""
    is_pointed_at: bool | None
    """Whether the cell with most attention belongs to the region; None as for the density. A cell belongs to a region
    that covers half of it or has its middle in it."""
    chance_of_pointing: float
    """Share of the cells that belong to the region."""
    area_share: float
    """Share of the grid that the region covers."""
    is_below_one_cell: bool
    """Whether the region covers less than one cell: the grid cannot tell it from what is beside it."""


def region_attended(attention: NDArray[np.float64], grid: CellGrid, boxes_image_px: Sequence[Box]) -> AttendedRegion:
    """Return what attention to the cells, (rows, columns) of any sum, says about the union of boxes.

    Raises:
        ValueError: The attention is not of the grid's shape.
    """
    if attention.shape != (grid.rows, grid.columns):
        raise ValueError(f"attention of shape {attention.shape} is none of {grid.rows} x {grid.columns} cells")
    shares = covered_shares(grid, boxes_image_px)
    covered, mass = float(shares.sum()), float(attention.sum())
    belongs = (shares >= _HALF) | _holding_middles(grid, boxes_image_px)
    density = pointed = None
    if 0 < covered < grid.cells and mass > 0 and isfinite(mass):
        density = float((attention * shares).sum()) / mass / (covered / grid.cells)
        # of several cells with most, which rounding alone parts, all have to belong
        pointed = bool(belongs[attention >= attention.max() * (1 - 1e-9)].all())
    return AttendedRegion(density, pointed, float(belongs.mean()), covered / grid.cells, 0 < covered < 1)


def _holding_middles(grid: CellGrid, boxes: Sequence[Box]) -> NDArray[np.bool_]:
    """Return which cells hold the middle of a box."""
    left, top, right, bottom = grid.area_image_px
    found = np.zeros((grid.rows, grid.columns), dtype=np.bool_)
    for x1, y1, x2, y2 in boxes:
        if not (x1 < x2 and y1 < y2):
            continue
        across = ((x1 + x2) / 2 - left) / (right - left) * grid.columns
        down = ((y1 + y2) / 2 - top) / (bottom - top) * grid.rows
        if 0 <= across < grid.columns and 0 <= down < grid.rows:
            found[int(down), int(across)] = True
    return found
