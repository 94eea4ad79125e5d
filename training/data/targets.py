"""The text that a model is taught to write for an example: its gold, in a format and in the model's own box frame.

Every target keeps its format and earns full marks under `strict`; where whole numbers are too coarse for a small box,
its overlap is what rounding leaves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, floor
from typing import Literal, TypeAlias

from harness.images.frames import cut_at_image, from_image_px
from harness.values import Box, BoxFrame, Size, StageFormat
from training.data.example import Example

GoldPart: TypeAlias = Literal["caption", "boxes"]
"""What an example may lack; answers it always has."""

NEEDED_GOLD: Mapping[StageFormat, tuple[GoldPart, ...]] = {
    "satori": ("caption", "boxes"),
    "satori-think": ("caption", "boxes"),
    "freeform": ("caption",),
    "plain": (),
}
"""What a format's target is made of beside the answer."""

_FRACTION_DIGITS = 3


def missing_gold(example: Example, form: StageFormat) -> tuple[GoldPart, ...]:
    """Return what the example lacks for a target in this format; empty when it can be taught."""
    has: Mapping[GoldPart, bool] = {"caption": bool(example.caption), "boxes": bool(example.boxes_image_px)}
    return tuple(part for part in NEEDED_GOLD[form] if not has[part])


def target_text(example: Example, form: StageFormat, frame: BoxFrame, input_size: Size | None = None) -> str:
    """Return the text to teach.

    Stages are joined as the format's prompt asks: those of `satori` without a separator, those of `satori-think` by
    line ends. The thinking stage of `satori-think` says no more than the gold does: that the marked regions decide the
    answer. That of `freeform` is the caption, so that the baseline is taught the same facts but for the boxes.

    Args:
        example: What to teach; its first answer is the one written.
        form: Format of the text; `plain` is the bare answer.
        frame: Frame that the model writes boxes in.
        input_size: Size of the image as the model sees it (`harness.images.grid.grid_size`); needed by `input_px` only.

    Raises:
        ValueError: The example lacks gold that the format needs (ask `missing_gold` first), no gold box lies inside
            the image, or the frame needs an input size and none is given.
    """
    if missing := missing_gold(example, form):
        raise ValueError(
            f"example {example.id!r} has no {' and no '.join(missing)}, which a target in the format {form} needs; "
            "leave it out, or train another format"
        )
    answer = f"<answer>{example.answers[0]}</answer>"
    if form == "plain":
        return example.answers[0]
    if form == "freeform":
        return f"<think>{example.caption}</think>{answer}"
    caption = f"<caption>{example.caption}</caption>"
    boxes = gold_boxes(example, frame, input_size)
    bbox = f"<bbox>{boxes_text(boxes, frame)}</bbox>"
    if form == "satori":
        return f"{caption}{bbox}{answer}"
    return "\n".join([caption, bbox, f"<thinking>{_thought(len(boxes), example.answers[0])}</thinking>", answer])


def gold_boxes(example: Example, frame: BoxFrame, input_size: Size | None = None) -> tuple[Box, ...]:
    """Return the gold boxes of an example, cut at its image, in a frame, not rounded; raises as `target_text`."""
    inside, _ = cut_at_image(example.boxes_image_px or (), example.image_size)
    if not inside:
        raise ValueError(f"example {example.id!r} has no gold box inside its image")
    boxes = from_image_px(inside, frame, example.image_size, input_size)
    if boxes is None:
        raise ValueError(f"example {example.id!r}: boxes in {frame} need the size of the image as the model sees it")
    right, lower = _extent(frame, example.image_size, input_size)
    # a product of floats can end a hair beyond the edge, and rounding outwards would make a whole unit of it
    return tuple((min(x1, right), min(y1, lower), min(x2, right), min(y2, lower)) for x1, y1, x2, y2 in boxes)


def _extent(frame: BoxFrame, image_size: Size, input_size: Size | None) -> tuple[int, int]:
    """Return the greatest coordinates of a frame, across and down."""
    if frame in {"norm_1", "norm_1000"}:
        return (1, 1) if frame == "norm_1" else (1000, 1000)
    size = input_size if frame == "input_px" and input_size is not None else image_size
    return size.width, size.height


def boxes_text(boxes: Sequence[Box], frame: BoxFrame) -> str:
    """Write boxes as `[[x1,y1,x2,y2],[...]]`, without blanks: in whole numbers, fractions (`norm_1`) to 3 decimals.

    Edges are rounded to the nearest; where that would leave no width or height, outwards.
    """
    return f"[{','.join(_box_text(box, frame) for box in boxes)}]"


def _box_text(box: Box, frame: BoxFrame) -> str:
    """Write one box."""
    scale = 10**_FRACTION_DIGITS if frame == "norm_1" else 1
    x1, x2 = _rounded(box[0] * scale, box[2] * scale)
    y1, y2 = _rounded(box[1] * scale, box[3] * scale)
    if frame == "norm_1":
        return f"[{','.join(f'{edge / scale:.{_FRACTION_DIGITS}f}' for edge in (x1, y1, x2, y2))}]"
    return f"[{x1},{y1},{x2},{y2}]"


def _rounded(low: float, high: float) -> tuple[int, int]:
    """Round both ends of an interval, which keeps some length and stays above 0 and below the frame's edge."""
    near = floor(low + 0.5), floor(high + 0.5)
    if near[0] < near[1]:
        return near
    outer = floor(low), ceil(high)
    if outer[0] < outer[1]:
        return outer
    end = max(1, outer[1])  # so short that both ends are the same float
    return end - 1, end


def _thought(regions: int, answer: str) -> str:
    """Say in few words what leads to the answer."""
    where = "the marked region shows" if regions == 1 else f"the {regions} marked regions show"
    return f"{where} that the answer is {answer}"
