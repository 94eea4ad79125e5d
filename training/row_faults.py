"""What can be wrong with a row of training data: the names, what they mean and how each is mended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

FaultName: TypeAlias = Literal[
    "unreadable_file",
    "unreadable_row",
    "not_utf8",
    "no_question",
    "no_answer",
    "blank_answer",
    "no_caption",
    "empty_caption",
    "long_text",
    "bad_text",
    "stage_tag",
    "control_token",
    "no_image",
    "unsafe_path",
    "several_images",
    "unreadable_image",
    "thin_image",
    "no_boxes",
    "box_malformed",
    "box_non_finite",
    "box_inverted",
    "box_degenerate",
    "box_norm_1",
    "box_norm_1000",
    "size_mismatch",
    "lying_size",
    "box_outside",
    "box_over_edge",
    "duplicate",
    "duplicate_id",
    "benchmark_image",
]
"""One word for each thing that can be wrong, in the order in which reports list them."""

FAULT_NAMES: tuple[FaultName, ...] = get_args(FaultName)

MEANINGS: Mapping[FaultName, str] = {
    "unreadable_file": "the file, or the rest of it, cannot be read; download or write it again",
    "unreadable_row": "the row is no JSON object; write one object a line",
    "not_utf8": "the text is not UTF-8: save the file as UTF-8, for instance with iconv -f ENCODING -t UTF-8",
    "no_question": "there is no question to ask; fill it in",
    "no_answer": "no accepted answer that a scorer could compare; fill one in",
    "blank_answer": "blank answers among the accepted ones are left out",
    "no_caption": "no reference caption: the row cannot teach or reward captions",
    "empty_caption": "the reference caption has no words and is left out",
    "long_text": "a text is longer than any model is trained on; shorten it",
    "bad_text": "a text holds half a character (a lone surrogate); write the file as UTF-8",
    "stage_tag": "a gold text holds a stage's tag, so no output with it could be read; remove the tag",
    "control_token": "a text holds a token that steers chat models (<|...|>, <image>, </s>); remove it",
    "no_image": "there is no image, or no file where the path points; add it, or pass --images FOLDER",
    "unsafe_path": "the image path leaves the folder of the file; move the image, or pass --images FOLDER",
    "several_images": "the row has several images or places for them, training takes one; join or split them",
    "unreadable_image": "the image is broken; download it again",
    "thin_image": "a side of the image is too many times the other for any model's grid; crop or pad it",
    "no_boxes": "no gold boxes: the row cannot teach or reward boxes",
    "box_malformed": "boxes are not a list of [x1, y1, x2, y2]",
    "box_non_finite": "a coordinate is NaN or infinite",
    "box_inverted": "x1 > x2 or y1 > y2; are these [x, y, width, height]? Then pass --box-frame xywh",
    "box_degenerate": "the box has no area; give it one, or remove it",
    "box_norm_1": "all coordinates lie in 0..1: fractions of the image; pass --box-frame norm_1",
    "box_norm_1000": "coordinates lie in 0..1000 and beyond the image: thousandths; pass --box-frame norm_1000",
    "size_mismatch": (
        "the columns width and height are not the image's size: were the boxes made on a resized image? "
        "Then pass --box-frame input_px, else correct the columns"
    ),
    "lying_size": (
        "the columns width and height are exchanged: were they, and the boxes, taken from a picture that is stored "
        "lying and shown upright? Then turn the boxes as well, else correct the columns"
    ),
    "box_outside": "a box lies outside of the image; correct or remove it",
    "box_over_edge": "a box sticks out of the image and is cut at its edge",
    "duplicate": "the same image with the same question came before; --drop-duplicates leaves it out of a build",
    "duplicate_id": "the id is there already; the row gets another one",
    "benchmark_image": "the image belongs to a benchmark: training on it would spoil the benchmark's scores",
}
"""What a name means, and how to mend it."""


@dataclass(frozen=True, slots=True)
class RowFault:
    """One thing that is wrong with one row."""

    file: str
    """The file, hub data set or generator."""
    row: int
    """Number of the row, from 1; the line of a JSONL file. 0 where the whole file is meant."""
    name: FaultName
    """What is wrong."""
    detail: str
    """What was found, in words; empty where the name says all."""
    drops: bool
    """Whether the row cannot be used as it is."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault before it is known which row it belongs to."""

    name: FaultName
    """What is wrong."""
    detail: str = ""
    """What was found, in words."""
    drops: bool = True
    """Whether the row cannot be used as it is."""
