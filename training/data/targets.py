"""The text that a model is taught to write for an example: its gold, in a format and in a box dialect.

Every target keeps its format and earns full marks under `strict`; where whole numbers are too coarse for a small box,
its overlap is what rounding leaves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from math import ceil, floor
from typing import Literal, TypeAlias

from harness.images.frames import cut_at_image, from_image_px
from harness.scoring.box_dialects import dialect_words
from harness.values import Box, BoxDialect, BoxSyntax, BoxUnit, Size, StageFormat
from training.data.example import Example

GoldPart: TypeAlias = Literal["caption", "boxes"]
"""What an example may lack; answers it always has."""

NEEDED_GOLD: Mapping[StageFormat, tuple[GoldPart, ...]] = {
    "satori": ("caption", "boxes"),
    "satori-think": ("caption", "boxes"),
    "satori-adaptive": (),
    "freeform": ("caption",),
    "plain": (),
}
"""What a format's target is made of beside the answer."""

_FRACTION_DIGITS = 3


def missing_gold(example: Example, form: StageFormat) -> tuple[GoldPart, ...]:
    """Return what the example lacks for a target in this format; empty when it can be taught."""
    has: Mapping[GoldPart, bool] = {"caption": bool(example.caption), "boxes": bool(example.boxes_image_px)}
    return tuple(part for part in NEEDED_GOLD[form] if not has[part])


def target_text(example: Example, form: StageFormat, dialect: BoxDialect, input_size: Size | None = None) -> str:
    """Return the text to teach.

    Stages are joined as the format's prompt asks: those of `satori` without a separator, those of `satori-think` by
    line ends. The thinking stage of `satori-think` says no more than the gold does: that the marked regions decide the
    answer. That of `freeform` is the caption, so that the baseline is taught the same facts but for the boxes. Of
    `satori-adaptive` all four shapes are taught, each by a quarter of the examples, drawn by a hash of their ids:
    caption and boxes are kept or left out independently of each other and of the question, so that a cold start knows
    every shape and prefers none. What an example has no gold for it leaves out.

    Args:
        example: What to teach; its first answer is the one written.
        form: Format of the text; `plain` is the bare answer.
        dialect: How the model writes boxes; `satori` for the format's list.
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
    if form == "satori-adaptive":
        return _adaptive_text(example, dialect, input_size)
    caption = f"<caption>{example.caption}</caption>"
    boxes = gold_boxes(example, dialect, input_size)
    bbox = f"<bbox>{boxes_text(boxes, dialect)}</bbox>"
    if form == "satori":
        return f"{caption}{bbox}{answer}"
    return "\n".join([caption, bbox, f"<thinking>{_thought(len(boxes), example.answers[0])}</thinking>", answer])


def _adaptive_text(example: Example, dialect: BoxDialect, input_size: Size | None) -> str:
    """Return the answer after those of caption and boxes that the example's id keeps."""
    drawn = hashlib.sha256(example.id.encode("utf-8", "surrogatepass")).digest()[0]
    kept = ""
    if drawn & 1 and example.caption:
        kept = f"<caption>{example.caption}</caption>"
    if drawn & 2 and example.boxes_image_px:
        kept += f"<bbox>{boxes_text(gold_boxes(example, dialect, input_size), dialect)}</bbox>"
    return f"{kept}<answer>{example.answers[0]}</answer>"


def gold_boxes(example: Example, dialect: BoxDialect, input_size: Size | None = None) -> tuple[Box, ...]:
    """Return the gold boxes of an example, cut at its image, as x1, y1, x2, y2, unrounded; raises as `target_text`."""
    inside, _ = cut_at_image(example.boxes_image_px or (), example.image_size)
    if not inside:
        raise ValueError(f"example {example.id!r} has no gold box inside its image")
    padded = dialect.padded_to_square
    boxes = from_image_px(inside, dialect.unit, example.image_size, input_size, padded_to_square=padded)
    if boxes is None:
        words = dialect_words(dialect)
        raise ValueError(f"example {example.id!r}: boxes in {words} need the size of the image as the model sees it")
    right, lower = _extent(dialect.unit, example.image_size, input_size)
    # a product of floats can end a hair beyond the edge, and rounding outwards would make a whole unit of it
    return tuple((min(x1, right), min(y1, lower), min(x2, right), min(y2, lower)) for x1, y1, x2, y2 in boxes)


def _extent(unit: BoxUnit, image_size: Size, input_size: Size | None) -> tuple[float, float]:
    """Return the greatest coordinates of a unit, across and down."""
    if not isinstance(unit, str):
        return unit, unit
    size = input_size if unit == "input_px" and input_size is not None else image_size
    return size.width, size.height


_WRITTEN: Mapping[BoxSyntax, tuple[str, str]] = {
    "list": ("[{}]", '{{"bbox_2d": [{0}, {1}, {2}, {3}]}}'),
    "corners": ("{}", "({0},{1}),({2},{3})"),
    "box_tag": ("{}", "<box>{0} {1} {2} {3}</box>"),
    "loc": ("{}", "<loc_{0}><loc_{1}><loc_{2}><loc_{3}>"),
    "xy": ("{}", "<x_{0}><y_{1}><x_{2}><y_{3}>"),
    "named": ("[{}]", '{{"x_min": {0}, "y_min": {1}, "x_max": {2}, "y_max": {3}}}'),
    "satori": ("[{}]", "[{0},{1},{2},{3}]"),
}
"""What is around all boxes, and one box; patch indices are not taught."""


def boxes_text(boxes: Sequence[Box], dialect: BoxDialect) -> str:
    """Write boxes in a dialect: for `satori` `[[x1,y1,x2,y2],[...]]`, without blanks.

    In whole numbers, fractions to 3 decimals. Edges are rounded to the nearest; where that would leave no width or
    height, outwards.

    Raises:
        ValueError: The dialect writes patch indices.
    """
    if dialect.syntax not in _WRITTEN:
        raise ValueError(f"boxes in {dialect_words(dialect)} are not taught: take a dialect with numbers")
    around, one = _WRITTEN[dialect.syntax]
    separator = "," if "[" in around else ""
    return around.format(separator.join(one.format(*_numbers(box, dialect)) for box in boxes))


def _numbers(box: Box, dialect: BoxDialect) -> tuple[str, str, str, str]:
    """Return the four numbers of a box as they are written, in the dialect's order."""
    digits = _FRACTION_DIGITS if dialect.unit == 1 else 0
    scale = 10**digits
    x1, x2 = _rounded(box[0] * scale, box[2] * scale)
    y1, y2 = _rounded(box[1] * scale, box[3] * scale)
    edges = {"xyxy": (x1, y1, x2, y2), "yxyx": (y1, x1, y2, x2), "xywh": (x1, y1, x2 - x1, y2 - y1)}[dialect.order]
    a, b, c, d = (f"{edge / scale:.{digits}f}" for edge in edges)
    return a, b, c, d


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
