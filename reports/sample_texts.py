"""Make texts of samples ready to be shown: cut to length, with invisible characters visible, boxes rounded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.comparison import SampleDetail, SideDetail
from harness.values import Box, Components, Record, Sample, Size
from reports.visible import visible

MAX_TEXT_CHARACTERS = 20_000
"""A longer text is cut in the page; the run folder has the whole."""

MAX_BOXES = 60
"""More boxes than this are not drawn."""

MAX_COORDINATE = 1e7
"""A box that lies farther out, or at no number at all, is not drawn."""

MAX_NAME_CHARACTERS = 300
"""Longer ids, categories and choices are cut."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One sample as a page shows it."""

    task: str
    """Short task name."""
    id: str
    """The sample's id."""
    question: str
    """The question."""
    choices: str
    """Its options, one a line; empty without any."""
    answers: str
    """The accepted answers."""
    caption: str
    """The reference caption; empty without one."""
    category: str
    """The benchmark's category; empty without one."""
    gold_image_px: tuple[Box, ...]
    """Gold boxes in original pixels."""
    width: int
    """Pixels across; 0 when not known."""
    height: int
    """Pixels down; 0 when not known."""
    image_sha256: str
    """Hash of the image; names its thumbnail."""


@dataclass(frozen=True, slots=True)
class Said:
    """What one run answered to one sample."""

    text: str
    """Raw text, cut where very long."""
    extracted: str | None
    """What was taken for the answer."""
    boxes_image_px: tuple[Box, ...]
    """Predicted boxes in original pixels, rounded to tenths."""
    facts: str
    """Components and costs in words."""


def asked_of(detail: SampleDetail) -> Asked:
    """Return the question of a compared sample."""
    return _asked(
        Sample(
            id=detail.id,
            task=detail.task,
            answer_rule="accepted",  # not shown
            question=detail.question,
            answers=detail.answers,
            choices=detail.choices,
            category=detail.category,
            boxes_image_px=detail.gold_boxes_image_px,
            caption=detail.caption,
            image_size=detail.image_size,
            image_sha256=detail.image_sha256,
        )
    )


def said_of(side: SideDetail) -> Said:
    """Return one side's answer to a compared sample."""
    return Said(
        text=_cut(side.text),
        extracted=None if side.extracted is None else _name(side.extracted),
        boxes_image_px=_boxes(side.boxes_image_px),
        facts=_facts(side.components, side.output_tokens, side.error),
    )


def asked_and_said(record: Record) -> tuple[Asked, Said]:
    """Return question and answer of a record of one run."""
    earned, generation = record.score, record.generation
    said = Said(
        text=_cut(generation.text),
        extracted=None if earned.extracted is None else _name(earned.extracted),
        boxes_image_px=_boxes(earned.boxes_image_px),
        facts=_facts(earned.components, generation.output_tokens, generation.error),
    )
    return _asked(record.sample), said


def _asked(sample: Sample) -> Asked:
    size = sample.image_size or Size(0, 0)
    return Asked(
        task=_name(sample.task),
        id=_name(sample.id),
        question=_cut(sample.question),
        choices=_cut("\n".join(f"{letter}. {text}" for letter, text in sample.choices.items())),
        answers=_cut(" | ".join(sample.answers or ())),
        caption=_cut(sample.caption or ""),
        category=_name(sample.category),
        gold_image_px=_boxes(sample.boxes_image_px),
        width=size.width,
        height=size.height,
        image_sha256=sample.image_sha256,
    )


def _facts(components: Components, output_tokens: int | None, error: str | None) -> str:
    """Return components and costs in words."""
    named = {"format": components.format, "caption": components.caption, "bbox": components.bbox}
    parts = [f"{name} {value:.2f}" for name, value in named.items() if value is not None]
    if output_tokens is not None:
        parts.append(f"{output_tokens} tokens")
    if error:
        parts.append(_name(f"error: {error}"))
    return " · ".join(parts)


def _boxes(boxes: Sequence[Box] | None) -> tuple[Box, ...]:
    """Return boxes to draw: finite ones, rounded to tenths of a pixel, at most `MAX_BOXES`."""
    x1_y1_x2_y2 = [box for box in (boxes or ())[:MAX_BOXES] if all(abs(side) < MAX_COORDINATE for side in box)]
    return tuple((round(x1, 1), round(y1, 1), round(x2, 1), round(y2, 1)) for x1, y1, x2, y2 in x1_y1_x2_y2)


def _name(text: str) -> str:
    shown = visible(text[:MAX_NAME_CHARACTERS])
    return shown if len(text) <= MAX_NAME_CHARACTERS else f"{shown}… (cut)"


def _cut(text: str) -> str:
    if len(text) <= MAX_TEXT_CHARACTERS:
        return visible(text)
    more = len(text) - MAX_TEXT_CHARACTERS
    return f"{visible(text[:MAX_TEXT_CHARACTERS])}… ({more:,} more characters in the run folder)"
