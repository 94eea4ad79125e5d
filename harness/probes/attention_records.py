"""What `attend` keeps of each sample: a line of `attention.jsonl` beside the run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Final, Literal, TypeAlias, get_args

import msgspec

from harness.probes.attended import AttendedRegion
from harness.values import Box, Count

ATTENTION_NAME: Final = "attention.jsonl"
"""The file, one line a sample, in the order of the run."""
ATTENTION_SCORES_NAME: Final = "attention.json"
"""What the lines come to."""

Span: TypeAlias = Literal["boxes", "caption", "answer"]
"""Part of a text whose rows are read."""
SPANS: Final[tuple[Span, ...]] = get_args(Span)

AttentionStatus: TypeAlias = Literal["ok", "no_text", "no_boxes", "no_tokens", "several_pictures", "no_picture"]
"""Whether a sample could be read, or why not: it has no text, its text no place in the picture, the run kept no tokens,
or its question shows no picture or several, of which a box does not say which it means."""
STATUSES: Final[tuple[AttentionStatus, ...]] = get_args(AttentionStatus)

MAP_LEVELS: Final = 255
"""A map's cells are whole numbers from 0 to this, which the cell with most attention has."""

FiniteNumber: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1e300)]
Level: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=MAP_LEVELS)]


class SpanAttention(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """Where the rows of one span of a text attended."""

    rows: Count
    """Tokens of the span."""
    image_mass: Annotated[float, msgspec.Meta(ge=0, le=1.0001)]
    """Share of its attention that goes to the picture at all."""
    named: AttendedRegion | None = None
    """The boxes that the text itself names; None where it names none."""
    gold: AttendedRegion | None = None
    """The gold boxes; None where there are none."""
    shuffled: FiniteNumber | None = None
    """Density in the named boxes of another sample: what the place of boxes alone gives."""
    other_objects: FiniteNumber | None = None
    """Greatest density in the region of another object of the picture that the question does not ask about."""
    cells: tuple[Level, ...] | None = None
    """Its map, rows first, where one is kept."""


class AttentionRecord(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """Where one sample's text attended."""

    task: str
    """Short task name."""
    id: str
    """Sample id."""
    status: AttentionStatus
    """Whether it could be read."""
    grid: tuple[Count, Count] | None = None
    """Rows and columns of the picture's cells."""
    grid_image_px: tuple[float, float, float, float] | None = None
    """What the cells cover, in pixels of the original image."""
    layers: Count = 0
    """Layers over which it is the mean."""
    layers_passed_over: Count = 0
    """Layers with a sliding window, which are not in it."""
    retokenised: bool = False
    """Whether tokens were made of the text anew, since the run kept none: they may be others than were drawn."""
    spans: Mapping[Span, SpanAttention] = {}
    """By the part of the text."""


_DECODER: Final = msgspec.json.Decoder(AttentionRecord)


def attention_lines(records: Iterable[AttentionRecord]) -> bytes:
    """Return the file's content."""
    return b"".join(msgspec.json.encode(record) + b"\n" for record in records)


def read_attention(content: bytes, where: str) -> list[AttentionRecord]:
    """Return the records of a file's content.

    Raises:
        ValueError: A line is none; names it.
    """
    records: list[AttentionRecord] = []
    for number, line in enumerate(content.splitlines(), start=1):
        try:
            records.append(_DECODER.decode(line))
        except (msgspec.MsgspecError, UnicodeDecodeError) as fault:
            raise ValueError(f"{where} line {number} is no attention record: {fault}") from fault
    return records


def as_boxes(boxes: Iterable[Box]) -> tuple[Box, ...]:
    """Return boxes that have area."""
    return tuple(box for box in boxes if box[0] < box[2] and box[1] < box[3])
