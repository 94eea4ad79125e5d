"""Read the gold boxes of a training row; what can be told of one row alone is a named fault of the row.

What only the whole file tells is added up beside it (`harness.scoring.gold_boxes.FrameEvidence`, in
`training/data/check.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.images.frames import cut_at_image
from harness.scoring.gold_boxes import (
    GoldBoxError,
    GoldFrame,
    corners,
    parse_quads,
    placed,
    refuse_other_frame,
    written_box,
    written_size,
)
from harness.values import Box, BoxDialect, Size
from training.data.row_faults import Finding


@dataclass(frozen=True, slots=True)
class GoldBoxes:
    """What was read."""

    boxes_image_px: tuple[Box, ...] | None = None
    """The boxes, cut at the image's edges; None when there are none or one of them is wrong."""
    findings: tuple[Finding, ...] = ()
    """What is wrong, if anything."""
    written: tuple[Box, ...] = ()
    """The four numbers of each box as the row has them; none where they cannot be read."""


def read_gold_boxes(
    value: object, image_size: Size, declared_size: Size | None, frame: GoldFrame | BoxDialect | None = None
) -> GoldBoxes:
    """Read boxes from whatever a row holds.

    Args:
        value: What `harness.scoring.gold_boxes.parse_quads` takes. A row without boxes is a finding that drops nothing.
        image_size: True size of the upright image.
        declared_size: What the row's columns width and height say; None where it has none.
        frame: What the numbers are; None takes them for pixels of the image. Numbers that are plainly no pixels are
            refused also where somebody says that they are.
    """
    written: tuple[Box, ...] = ()
    try:
        written = parse_quads(value)
        if not written:
            return GoldBoxes(None, (Finding("no_boxes", drops=False),))
        boxes = corners(written, frame or "image_px")
        if (
            frame not in {"input_px", "norm_1", "norm_1000", "percent"}
            and declared_size
            and declared_size != image_size
        ):
            return GoldBoxes(None, (size_mismatch(declared_size, image_size, drops=True),), written)
        if frame in {None, "image_px"}:
            refuse_other_frame(boxes, image_size)
        in_px = placed(boxes, frame or "image_px", image_size, declared_size)
        if in_px is None:
            detail = "--box-frame input_px needs whole numbers in the columns width and height"
            return GoldBoxes(None, (Finding("size_mismatch", detail),), written)
        return _cut(in_px, image_size, written)
    except GoldBoxError as fault:
        return GoldBoxes(None, (Finding(fault.name, str(fault)),), written)


def size_mismatch(declared_size: Size, image_size: Size, *, drops: bool) -> Finding:
    """Say how the columns and the upright image differ."""
    lying = declared_size == Size(image_size.height, image_size.width)
    detail = f"columns say {written_size(declared_size)}, the image is {written_size(image_size)}"
    return Finding("lying_size" if lying else "size_mismatch", detail, drops)


def _cut(boxes: Sequence[Box], image_size: Size, written: tuple[Box, ...]) -> GoldBoxes:
    """Cut boxes at the image's edges; one with nothing left is a fault."""
    for number, box in enumerate(boxes, start=1):
        if not cut_at_image([box], image_size)[0]:
            detail = f"box {number} is {written_box(box)}, the image {written_size(image_size)}"
            return GoldBoxes(None, (Finding("box_outside", detail),), written)
    kept, over = cut_at_image(boxes, image_size)
    if not over:
        return GoldBoxes(kept, (), written)
    uncut = next(box for box, cut in zip(boxes, kept, strict=True) if box != cut)
    detail = f"{written_box(uncut)} on an image of {written_size(image_size)}"
    return GoldBoxes(kept, (Finding("box_over_edge", detail, drops=False),), written)
