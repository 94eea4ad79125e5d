"""Say how a model's texts point at places, whether or not anybody knows the right ones: read, how many, how large.

- `parse_rate`: texts with a box that could be read / texts;
- `boxes_per_text`: mean number of boxes, of those that lie in the image at least in part;
- `area_share`: mean share of the image that a text's boxes cover together, over texts that have any;
- `outside_share`: texts of which a box reaches out of the image / texts that have any.

Rows without a text, those whose boxes cannot be placed, and those that left them out as their format allows, are in no
n. Under the protocol `paper`, whose code reads boxes for its reward alone, a row without gold says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.images.frames import cut_at_image
from harness.scoring.overlap import union_iou
from harness.stats.intervals import CodeArray, FloatArray
from harness.summary.means import Metric, column_metric
from harness.values import Box, Protocol, Sample, Score, Size

BOX_HABITS = ("parse_rate", "boxes_per_text", "area_share", "outside_share")
"""Every number of this file, in the order in which it is shown."""

_NOT_TOLD = float("nan")
_NO_BOX = (0.0, 0.0, _NOT_TOLD, _NOT_TOLD)


def box_habits(habits: FloatArray, clusters: CodeArray) -> dict[str, Metric]:
    """Return the numbers by name; null with a reason where no row says them.

    Args:
        habits: What each row of a task says of each number (rows x `BOX_HABITS`), from `habits_of`.
        clusters: A code per row.
    """
    most = np.nanmax(habits[:, 1], initial=1.0)
    found: dict[str, Metric] = {}
    for place, name in enumerate(BOX_HABITS):
        bounds = (0.0, float(most)) if name == "boxes_per_text" else (0.0, 1.0)
        found[name] = column_metric(habits[:, place], clusters, bounds)
    return found


def habits_of(sample: Sample, score: Score, protocol: Protocol) -> tuple[float, float, float, float]:
    """Return what one row, asked in a format that has boxes, says of each number; NaN where it says nothing.

    Args:
        sample: The sample.
        score: What its text earned.
        protocol: Whose rules read the boxes.
    """
    if score.kept.bbox is False:
        return _NOT_TOLD, _NOT_TOLD, _NOT_TOLD, _NOT_TOLD
    if not (score.faults or score.boxes_image_px or protocol == "paper"):
        return _NO_BOX
    unplaced = "frame_unknown" in score.faults
    if "error" in score.faults or (protocol == "paper" and not sample.boxes_image_px):
        return _NOT_TOLD, _NOT_TOLD, _NOT_TOLD, _NOT_TOLD
    if unplaced:
        # Without gold the fault is given to texts with boxes alone; with gold to all.
        return (_NOT_TOLD if sample.boxes_image_px else 1.0), _NOT_TOLD, _NOT_TOLD, _NOT_TOLD
    boxes, outside = score.boxes_image_px or (), "out_of_image" in score.faults
    size = sample.image_size
    if protocol == "paper" and size is not None:  # whose code cuts nothing
        boxes = cut_at_image(boxes, size)[0]
    if not (boxes or outside):
        return _NO_BOX
    if size is None or size.width < 1 or size.height < 1:
        return 1.0, float(len(boxes)), _NOT_TOLD, _NOT_TOLD
    return 1.0, float(len(boxes)), _area_share(boxes, size), float(outside)


def _area_share(boxes: Sequence[Box], size: Size) -> float:
    """Return the share of an image that boxes within it cover together."""
    if len(boxes) == 1:
        x1, y1, x2, y2 = boxes[0]
        return min(1.0, (x2 - x1) * (y2 - y1) / (size.width * size.height))
    # boxes within the image overlap with the whole of it by just their share of it
    return union_iou(boxes, [(0.0, 0.0, float(size.width), float(size.height))])
