"""Read the gold boxes of a training row, and tell boxes that are in another frame than declared.

A gold box in the wrong frame trains a model to look at the wrong place, and no later step can notice. So a row whose
boxes look like fractions, thousandths or pixels of a resized image is a named fault and never silently converted;
who knows the frame declares it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from harness.boxes import MAX_BOXES
from harness.frames import cut_at_image, to_image_px
from harness.values import Box, BoxFrame, Size
from training.row_faults import FaultName, Finding

_MAX_TEXT_CHARACTERS = 100_000
_LEAST_SIDE_PX = 8
"""On an image with smaller sides a box of one pixel is no sign of another frame."""
_OVERSHOOT = 1.05
"""Annotators miss the edge by a few pixels; beyond this share of a side another frame is likelier."""


@dataclass(frozen=True, slots=True)
class GoldBoxes:
    """What was read."""

    boxes_image_px: tuple[Box, ...] | None = None
    """The boxes, cut at the image's edges; None when there are none or one of them is wrong."""
    findings: tuple[Finding, ...] = ()
    """What is wrong, if anything."""


class _BoxFault(Exception):  # noqa: N818 - a finding on its way up, not an error
    """One box is wrong, so the row's boxes are; never leaves this file."""

    def __init__(self, name: FaultName, detail: str) -> None:
        super().__init__(detail)
        self.finding = Finding(name, detail)


def read_gold_boxes(
    value: object, image_size: Size, declared_size: Size | None, frame: BoxFrame = "image_px"
) -> GoldBoxes:
    """Read boxes from whatever a row holds.

    Args:
        value: A list of [x1, y1, x2, y2], one such box alone, or either as JSON text. None, a blank text and an empty
            list mean that the row has no boxes, which is a finding that drops nothing.
        image_size: True size of the image.
        declared_size: What the row's columns width and height say; None where it has none.
        frame: The declared frame of the numbers. `input_px` means pixels of an image of the declared size.
    """
    try:
        boxes = _parse(value)
        if not boxes:
            return GoldBoxes(None, (Finding("no_boxes", drops=False),))
        for number, box in enumerate(boxes, start=1):
            _check_order(number, box)
        if frame == "image_px":
            _check_declared(declared_size, image_size)
            _check_frame(boxes, image_size)
        return _cut(_placed(boxes, frame, image_size, declared_size), image_size)
    except _BoxFault as fault:
        return GoldBoxes(None, (fault.finding,))


def _parse(value: object) -> list[Box]:
    """Return the boxes as written; none gives an empty list."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return []
    if isinstance(value, str):
        value = _from_json(value)
    if not isinstance(value, list | tuple):
        raise _BoxFault("box_malformed", f"found {type(value).__name__}, not a list")
    items = cast("Sequence[object]", value)
    if len(items) == 4 and not any(isinstance(item, list | tuple) for item in items):
        items = [items]  # one box alone
    if len(items) > MAX_BOXES:
        raise _BoxFault("box_malformed", f"{len(items)} boxes; at most {MAX_BOXES} are read")
    return [_box(number, item) for number, item in enumerate(items, start=1)]


def _from_json(text: str) -> object:
    """Parse boxes that a cell holds as text."""
    if len(text) > _MAX_TEXT_CHARACTERS:
        raise _BoxFault("box_malformed", f"a text of {len(text)} characters")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as fault:
        raise _BoxFault("box_malformed", f"the text is no JSON list: {text[:60]!a}") from fault


def _box(number: int, item: object) -> Box:
    """Return one box of finite numbers."""
    if not isinstance(item, list | tuple) or len(cast("Sequence[object]", item)) != 4:
        raise _BoxFault("box_malformed", f"box {number} is {ascii(item)[:60]}")
    edges: list[float] = []
    for edge in cast("Sequence[Any]", item):
        if isinstance(edge, bool) or not isinstance(edge, int | float):
            raise _BoxFault("box_malformed", f"box {number} holds {ascii(edge)[:60]}, which is no number")
        try:
            edges.append(float(edge))
        except OverflowError:  # an integer beyond the largest float
            edges.append(math.inf)
    if not all(map(math.isfinite, edges)):
        raise _BoxFault("box_non_finite", f"box {number} is {_written(edges)}")
    x1, y1, x2, y2 = edges
    return (x1, y1, x2, y2)


def _check_order(number: int, box: Box) -> None:
    """Refuse a box without area, or with its corners the wrong way round."""
    x1, y1, x2, y2 = box
    if x1 > x2 or y1 > y2:
        raise _BoxFault("box_inverted", f"box {number} is {_written(box)}")
    if x1 == x2 or y1 == y2:
        raise _BoxFault("box_degenerate", f"box {number} is {_written(box)}")


def _check_declared(declared_size: Size | None, image_size: Size) -> None:
    """Refuse boxes of a row whose columns give the image another size."""
    if declared_size is not None and declared_size != image_size:
        raise _BoxFault("size_mismatch", f"columns say {_shown(declared_size)}, the image is {_shown(image_size)}")


def _check_frame(boxes: Sequence[Box], image_size: Size) -> None:
    """Refuse numbers that look like fractions or thousandths of the image."""
    least, most = min(min(box) for box in boxes), max(max(box) for box in boxes)
    detail = f"{_written(boxes[0])} on an image of {_shown(image_size)}"
    if least >= 0 and most <= 1 and min(image_size.width, image_size.height) >= _LEAST_SIDE_PX:
        raise _BoxFault("box_norm_1", detail)
    beyond = any(x2 > image_size.width * _OVERSHOOT or y2 > image_size.height * _OVERSHOOT for _, _, x2, y2 in boxes)
    if least >= 0 and most <= 1000 and beyond:
        raise _BoxFault("box_norm_1000", detail)


def _placed(boxes: Sequence[Box], frame: BoxFrame, image_size: Size, declared_size: Size | None) -> Sequence[Box]:
    """Bring boxes into original pixels."""
    placed = to_image_px(boxes, frame, image_size, declared_size)
    if placed is None:
        raise _BoxFault("size_mismatch", "--box-frame input_px needs whole numbers in the columns width and height")
    return placed


def _cut(boxes: Sequence[Box], image_size: Size) -> GoldBoxes:
    """Cut boxes at the image's edges; one with nothing left is a fault."""
    for number, box in enumerate(boxes, start=1):
        if not cut_at_image([box], image_size)[0]:
            raise _BoxFault("box_outside", f"box {number} is {_written(box)}, the image {_shown(image_size)}")
    kept, over = cut_at_image(boxes, image_size)
    if not over:
        return GoldBoxes(kept)
    written = next(box for box, cut in zip(boxes, kept, strict=True) if box != cut)
    detail = f"{_written(written)} on an image of {_shown(image_size)}"
    return GoldBoxes(kept, (Finding("box_over_edge", detail, drops=False),))


def _shown(size: Size) -> str:
    """Write a size."""
    return f"{size.width}x{size.height}"


def _written(box: Sequence[float]) -> str:
    """Write a box in few characters."""
    return f"[{', '.join(f'{edge:g}' for edge in box)}]"
