"""Lay a picture's tokens over the picture: which share of each cell boxes cover.

A vision-language model sees a picture as a grid of tokens. Each is a cell of the picture, rows first; a grid may leave
a border of the picture out (LLaVA-1.5 cuts the middle square).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import numpy as np
from numpy.typing import NDArray

from harness.values import Box, Size


@dataclass(frozen=True, slots=True)
class CellGrid:
    """The cells of a picture's tokens."""

    rows: int
    """Cells down."""
    columns: int
    """Cells across."""
    area_image_px: Box
    """What all of them cover, in pixels of the original image."""

    @property
    def cells(self) -> int:
        """How many there are."""
        return self.rows * self.columns


def grid_of_whole_image(rows: int, columns: int, image: Size) -> CellGrid:
    """Return the grid of a model that sees all of a picture, resized to a multiple of its cells."""
    return CellGrid(rows, columns, (0.0, 0.0, float(image.width), float(image.height)))


def grid_of_middle(rows: int, columns: int, image: Size, *, shortest_edge: int, crop: Size) -> CellGrid:
    """Return the grid of a model that scales a picture's shorter side and cuts the middle out.

    Args:
        rows: Cells down.
        columns: Cells across.
        image: The original picture.
        shortest_edge: What the shorter side is scaled to, in pixels.
        crop: What is cut out of the middle then, in pixels.
    """
    scale = min(image.width, image.height) / shortest_edge
    width, height = crop.width * scale, crop.height * scale
    left, top = (image.width - width) / 2, (image.height - height) / 2
    return CellGrid(rows, columns, (left, top, left + width, top + height))


def covered_shares(grid: CellGrid, boxes_image_px: Sequence[Box]) -> NDArray[np.float64]:
    """Return which share of each cell the union of boxes covers, (rows, columns), each in [0, 1].

    What lies outside of the grid covers nothing; nor does a box without area.
    """
    left, top, right, bottom = grid.area_image_px
    across = np.linspace(left, right, grid.columns + 1)
    down = np.linspace(top, bottom, grid.rows + 1)
    covered = np.zeros((grid.rows, grid.columns))
    for x1, y1, x2, y2 in _apart(boxes_image_px):
        covered += np.outer(_within(down, y1, y2), _within(across, x1, x2))
    cell = (right - left) / grid.columns * ((bottom - top) / grid.rows)
    return np.clip(covered / cell, 0.0, 1.0) if cell > 0 else covered


def cell_boxes(grid: CellGrid) -> list[Box]:
    """Return the cells as boxes in pixels of the original image, rows first."""
    left, top, right, bottom = grid.area_image_px
    across = cast("list[float]", np.linspace(left, right, grid.columns + 1).tolist())
    down = cast("list[float]", np.linspace(top, bottom, grid.rows + 1).tolist())
    return [(x1, y1, x2, y2) for y1, y2 in pairwise(down) for x1, x2 in pairwise(across)]


def _within(edges: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """Return how much of each interval between edges lies between two values."""
    return np.clip(np.minimum(edges[1:], high) - np.maximum(edges[:-1], low), 0.0, None)


def _apart(boxes: Sequence[Box]) -> Iterator[Box]:
    """Yield boxes of the same union that do not overlap: strips between neighbouring left and right sides."""
    solid = [box for box in boxes if box[0] < box[2] and box[1] < box[3]]
    for x1, x2 in pairwise(sorted({side for box in solid for side in (box[0], box[2])})):
        reached = None
        for top, bottom in sorted((box[1], box[3]) for box in solid if box[0] <= x1 and box[2] >= x2):
            begin = top if reached is None else max(top, reached)
            if begin < bottom:
                yield (x1, begin, x2, bottom)
                reached = bottom
