"""Make texts of samples ready to be shown: cut to length, with invisible characters visible, boxes rounded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, TypedDict

from harness.values import Box, Components, Crop, Generation, Picture, Record, Score, Size, StepScore
from reports.texts.numbers_shown import number
from reports.texts.visible import visible

MAX_TEXT_CHARACTERS = 20_000
"""A longer text is cut in the page; the run folder has the whole."""

MAX_BOXES = 60
"""More boxes than this are not drawn."""

MAX_CROPS = 40
"""More regions of one answer than this are not shown."""

MAX_PICTURES = 20
"""More pictures of one question than this are counted and not listed."""

MAX_COORDINATE = 1e7
"""A box that lies farther out, or at no number at all, is not drawn."""

MAX_NAME_CHARACTERS = 300
"""Longer ids, categories and choices are cut."""


_NO_SIZE: Final = Size(0, 0)


class StepText(TypedDict):
    """One step of a thought, as the explorer reads it."""

    boxes: list[list[float]]
    """Where it looks, in original pixels, rounded to tenths; none where it has no place."""
    words: str
    """How it lies to the gold and to the step before it, and what is wrong with it."""


class CropText(TypedDict):
    """One region that a model asked to see closer, as the explorer reads it."""

    sha256: str
    """Digest of what it was shown; empty where nothing was."""
    image: int
    """Number of that picture in the page; -1 where it has none."""
    words: str
    """Which turn it was, where the region lies, and how large it was shown; or why it was not."""


class SideText(TypedDict):
    """What one run answered to one sample, as the explorer reads it."""

    text: str
    """Raw text, cut where very long."""
    extracted: str | None
    """What was taken for the answer."""
    boxes: list[list[float]]
    """Predicted boxes in original pixels, rounded to tenths."""
    steps: list[StepText]
    """The places that its thought looked at, in order; empty without steps."""
    crops: list[CropText]
    """The regions that it asked to see closer, in order; empty without a tool."""
    facts: str
    """Components and costs in words."""
    prompt: str
    """The prompt as it was sent, cut where very long; empty where the run does not hold it."""


class SampleText(TypedDict):
    """One sample as the explorer reads it."""

    question: str
    """The question."""
    choices: str
    """Its options, one a line; empty without any."""
    answers: str
    """The accepted answers."""
    caption: str
    """The reference caption; empty without one."""
    boxes: list[list[float]]
    """Gold boxes in original pixels."""
    width: int
    """Pixels across; 0 when not known."""
    height: int
    """Pixels down; 0 when not known."""
    pictures: str
    """Sizes and hashes of several pictures, which one thumbnail shows side by side; empty where there is one."""
    sides: list[SideText]
    """The answers, one per side."""


def text_of(records: Sequence[Record]) -> SampleText:
    """Return the texts of one sample, of which each record holds an answer."""
    sample = records[0].sample
    size = sample.image_size or _NO_SIZE
    return {
        "question": _cut(sample.question),
        "choices": _choices(sample.choices),
        "answers": _cut(" | ".join(sample.answers or ())),
        "caption": _cut(sample.caption or ""),
        "boxes": _boxes(sample.boxes_image_px),
        "width": size.width,
        "height": size.height,
        "pictures": _pictures(sample.pictures),
        "sides": [_side(record.generation, record.score) for record in records],
    }


def _pictures(pictures: Sequence[Picture]) -> str:
    """Return the pictures of a question that shows several, such as `2 pictures: 64 × 48 px (9f86d081), ...`."""
    if not pictures:
        return ""
    named = ", ".join(
        f"{picture.width} × {picture.height} px ({picture.sha256[:8]})" if picture.width else "unreadable"
        for picture in pictures[:MAX_PICTURES]
    )
    more = ", ..." if len(pictures) > MAX_PICTURES else ""
    return f"{len(pictures)} pictures in the benchmark, each once in the order shown: {named}{more}"


def _side(generation: Generation, earned: Score) -> SideText:
    return {
        "text": _cut(generation.text),
        "extracted": None if earned.extracted is None else short_name(earned.extracted),
        "boxes": _boxes(earned.boxes_image_px),
        "steps": _steps(earned.steps),
        "crops": [_crop(crop) for crop in generation.crops[:MAX_CROPS]],
        "facts": _facts(earned.components, generation.output_tokens, generation.error),
        "prompt": _cut(generation.prompt or ""),
    }


def _choices(choices: Mapping[str, str]) -> str:
    return _cut("\n".join(f"{letter}. {text}" for letter, text in choices.items())) if choices else ""


def _facts(components: Components, output_tokens: int | None, error: str | None) -> str:
    """Return components and costs in words."""
    named = {"format": components.format, "caption": components.caption, "bbox": components.bbox}
    parts = [f"{name} {value:.2f}" for name, value in named.items() if value is not None]
    if output_tokens is not None:
        parts.append(f"{output_tokens} tokens")
    if error:
        parts.append(short_name(f"error: {error}"))
    return " · ".join(parts)


def _boxes(boxes: Sequence[Box] | None) -> list[list[float]]:
    """Return boxes to draw: finite ones, rounded to tenths of a pixel, at most `MAX_BOXES`."""
    if not boxes:
        return []
    most = MAX_COORDINATE
    return [
        [side if side % 1 == 0 else round(side, 1) for side in (x1, y1, x2, y2)]  # most are whole; rounding takes long
        for x1, y1, x2, y2 in boxes[:MAX_BOXES]
        if -most < x1 < most and -most < y1 < most and -most < x2 < most and -most < y2 < most  # so of no NaN
    ]


def _steps(steps: Sequence[StepScore]) -> list[StepText]:
    return [{"boxes": _boxes(step.boxes_image_px), "words": _step_words(step)} for step in steps[:MAX_BOXES]]


def _crop(crop: Crop) -> CropText:
    """Return a region that was asked for; the page that shows it numbers its picture."""
    parts = [f"turn {crop.turn}"]
    if crop.source > 0:
        parts.append(f"within region {crop.source}")
    if crop.error is not None:
        parts.append(f"not shown: {short_name(crop.error)}")
    if crop.box_image_px is not None:
        parts.append(f"[{', '.join(number(side, 0) for side in crop.box_image_px)}]")
    if crop.shown_size is not None:
        parts.append(f"shown as {crop.shown_size.width} × {crop.shown_size.height} px")
    return {"sha256": crop.sha256, "image": -1, "words": " · ".join(parts)}


def _step_words(step: StepScore) -> str:
    """Say how a step lies, such as `IoU 0.412 · narrows`."""
    overlap = "" if step.iou is None else f"IoU {number(step.iou, 3)}"
    place = "" if step.is_valid else "no place"
    return " · ".join(filter(None, (place, overlap, step.change or "", *step.faults)))


def short_name(text: str) -> str:
    """Return a name that is safe to show, cut where very long."""
    shown = visible(text[:MAX_NAME_CHARACTERS])
    return shown if len(text) <= MAX_NAME_CHARACTERS else f"{shown}… (cut)"


def _cut(text: str) -> str:
    if len(text) <= MAX_TEXT_CHARACTERS:
        return visible(text)
    more = len(text) - MAX_TEXT_CHARACTERS
    return f"{visible(text[:MAX_TEXT_CHARACTERS])}… ({more:,} more characters in the run folder)"
