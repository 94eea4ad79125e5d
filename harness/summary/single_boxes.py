"""Read rows of one box and one gold box in many ways at once: what `frame_audit` does row by row, on arrays.

Most rows of most benchmarks are such rows, and the audit reads each in more than twenty ways. Every number comes about
by the same operations in the same order as there, so that it is the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.values import Box, Size

MOST_COORDINATE = 1e100
"""Rows with larger numbers are left to the way that looks after overflow."""
LEAST_SIDE = 1e-90
"""Rows with a smaller side are left to the way that looks after underflow."""


@dataclass(frozen=True, slots=True)
class SingleRow:
    """One row: a written box, a gold box, and what places the one beside the other."""

    written: Box
    """The four numbers, as they are written."""
    gold: Box
    """In pixels of the image, cut at its edge."""
    image: Size
    """Size of the image, not empty."""
    seen: Size | None
    """Its size as the model saw it, not empty; None when that is not known."""


def is_plain(box: Box) -> bool:
    """Whether numbers are neither so large nor so small that products of them could be lost."""
    return all(number == 0.0 or LEAST_SIDE < abs(number) < MOST_COORDINATE for number in box)


def has_plain_area(box: Box) -> bool:
    """Whether the same holds of a box and its area."""
    x1, y1, x2, y2 = box
    return is_plain(box) and (x2 - x1) * (y2 - y1) > LEAST_SIDE


class SingleBoxes:
    """Rows as arrays; each reading gives the IoU of all rows."""

    def __init__(self, rows: Sequence[SingleRow]) -> None:
        """Take the rows, at least one."""
        self._gold_4n = np.array([row.gold for row in rows], dtype=np.float64).T
        self._width_n = np.array([row.image.width for row in rows], dtype=np.float64)
        self._height_n = np.array([row.image.height for row in rows], dtype=np.float64)
        self.seen_n = np.array([row.seen is not None for row in rows])
        """Of which rows the size is known that the model saw."""
        seen = [row.seen or Size(1, 1) for row in rows]
        self._seen_width_n = np.array([size.width for size in seen], dtype=np.float64)
        self._seen_height_n = np.array([size.height for size in seen], dtype=np.float64)

    def scales(self, unit: object) -> tuple[np.ndarray, np.ndarray]:
        """Return how many pixels of the image one unit is, across and down."""
        if unit == "image_px":
            return np.ones_like(self._width_n), np.ones_like(self._height_n)
        if unit == "input_px":
            return self._width_n / self._seen_width_n, self._height_n / self._seen_height_n
        assert isinstance(unit, float)
        return self._width_n / unit, self._height_n / unit

    def iou_as(self, unit: object, boxes_4n: np.ndarray) -> np.ndarray:
        """Return the IoU of corners that count in a unit, cut at the image; 0 for what is no box."""
        across_n, down_n = self.scales(unit)
        x1, y1, x2, y2 = boxes_4n * np.stack([across_n, down_n, across_n, down_n])
        x1, y1 = np.maximum(x1, 0.0), np.maximum(y1, 0.0)
        x2, y2 = np.minimum(x2, self._width_n), np.minimum(y2, self._height_n)
        return self._iou(np.stack([x1, y1, x2, y2]), _are_boxes(boxes_4n))

    def iou_fitted(self, boxes_4n: np.ndarray) -> np.ndarray:
        """Return the IoU of corners that one factor a row brings nearest to the gold; 0 for what is no box."""
        squares, products = boxes_4n * boxes_4n, boxes_4n * self._gold_4n
        square_n = ((squares[0] + squares[1]) + squares[2]) + squares[3]
        product_n = ((products[0] + products[1]) + products[2]) + products[3]
        factor_n = np.where(square_n > 0.0, product_n / np.where(square_n > 0.0, square_n, 1.0), 1.0)
        return self._iou(boxes_4n * factor_n, _are_boxes(boxes_4n))

    def _iou(self, boxes_4n: np.ndarray, counts_n: np.ndarray) -> np.ndarray:
        ax1, ay1, ax2, ay2 = boxes_4n
        bx1, by1, bx2, by2 = self._gold_4n
        counts_n = counts_n & _are_boxes(boxes_4n)
        area_a = np.where(counts_n, (ax2 - ax1) * (ay2 - ay1), 0.0)
        area_b = (bx2 - bx1) * (by2 - by1)
        width = np.minimum(bx2, ax2) - np.maximum(bx1, ax1)
        height = np.minimum(by2, ay2) - np.maximum(by1, ay1)
        meet_n = counts_n & (width > 0.0) & (height > 0.0)
        intersection = np.where(meet_n, width * height, 0.0)
        union = np.maximum(area_a, area_b) + (np.minimum(area_a, area_b) - intersection)
        return np.where(meet_n, intersection / np.where(union > 0.0, union, 1.0), 0.0)


def _are_boxes(boxes_4n: np.ndarray) -> np.ndarray:
    return (boxes_4n[0] < boxes_4n[2]) & (boxes_4n[1] < boxes_4n[3])
