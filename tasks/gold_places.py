"""Read gold boxes as benchmarks with boxes give them, and make the samples that carry them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.scoring.gold_boxes import GoldBoxError, corners, parse_quads, placed
from harness.task_facts import facts_of
from harness.values import Box, Json, Sample, Size
from harness.vocabulary import GoldFrame
from tasks.adapter import image_cluster, image_facts_of, image_value
from tasks.cells import Doc


def gold_boxes(
    value: object, frame: GoldFrame, image_size: Size | None, declared_size: Size | None = None
) -> tuple[Box, ...] | None:
    """Return gold boxes in pixels of the image; None when there are none, or one is broken.

    `verify` names broken gold boxes; a row with them is scored like one without boxes.

    Args:
        value: One box or a list of them, as numbers or as the text of such a list.
        frame: What the numbers are, as the benchmark's authors say.
        image_size: The upright picture's, which fractions need.
        declared_size: What the row's columns width and height say, which `input_px` needs.
    """
    try:
        quads = parse_quads(value)
        return placed(corners(quads, frame), frame, image_size, declared_size) or None
    except GoldBoxError:
        return None


@dataclass(frozen=True, slots=True)
class Asked:
    """What a row says, read by its benchmark."""

    sample_id: str
    """Unique within the task."""
    question: str
    """The question, without prompt wording."""
    boxes: object
    """The cell that holds the gold boxes."""
    frame: GoldFrame = "image_px"
    """What their numbers are."""
    answers: tuple[str, ...] | None = None
    """Accepted answers; None where the row carries none, or the box is the answer."""
    choices: Mapping[str, str] = field(default_factory=dict[str, str])
    """Option letter to option text."""
    category: str = ""
    """The benchmark's category."""
    l2_category: str = ""
    """Its second level."""
    caption: str | None = None
    """Reference caption."""
    extra: Mapping[str, Json] = field(default_factory=dict[str, Json])
    """Further official columns."""


def placed_sample(task: str, doc: Doc, asked: Asked, image_columns: tuple[str, ...] = ("image",)) -> Sample:
    """Return the sample of a row with gold boxes; questions about one image are one cluster."""
    facts = image_facts_of(image_value(doc, image_columns))
    size = facts.size if facts else None
    return Sample(
        id=asked.sample_id,
        task=task,
        answer_rule=facts_of(task).answer_rule,
        question=asked.question,
        answers=asked.answers,
        choices=asked.choices,
        category=asked.category,
        l2_category=asked.l2_category,
        cluster=image_cluster(facts, asked.sample_id),
        boxes_image_px=gold_boxes(asked.boxes, asked.frame, size),
        caption=asked.caption,
        image_size=size,
        image_sha256=facts.sha256 if facts else "",
        extra=asked.extra,
    )
