"""Read a raw text by its format, whichever file has the rules for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from harness.scoring.formats import marked_format
from harness.scoring.marked_text import marked_boxes_text, marked_spans, read_marked
from harness.scoring.stages import STAGES, Selection, boxes_text, parse, stage_spans
from harness.values import AnyFormat, BoxDialect, Response, StageFormat


def read_text(
    text: str, form: AnyFormat, selection: Selection, dialect: BoxDialect | None, *, truncated: bool = False
) -> Response:
    """Read a raw text: SATORI's stages or the bare text (`stages.parse`), or the marks of a row (`read_marked`).

    Args:
        text: The model's text, unchanged; any string, also an empty one.
        form: Where what is.
        selection: Which stages count; what is in the text is the same under all of them.
        dialect: How its boxes are written; None where that is not known.
        truncated: Whether the token budget ended the text.

    Raises:
        ValueError: The format is not known, or SATORI's released code has no rules for it.
    """
    if isinstance(form, str) and form in STAGES:  # nearly every text: no look-up more than that
        return parse(text, form, selection, truncated=truncated, dialect=dialect)
    row = marked_format(form)
    assert row is not None, "only the formats of stages have no row"
    if selection in {"paper_benchmark", "paper_reward"}:
        raise ValueError(f"SATORI's released code cannot read format {row.name}")
    return read_marked(text, row, selection, dialect, truncated=truncated)


def text_of_boxes(text: str, form: AnyFormat) -> str:
    """Return the text in which a format has its boxes.

    Raises:
        ValueError: The format is not known.
    """
    row = marked_format(form)
    return boxes_text(text, cast("StageFormat", form)) if row is None else marked_boxes_text(text, row)


@dataclass(frozen=True, slots=True)
class WrittenSpans:
    """Where the parts of a raw text lie, each from its first character to behind its last."""

    boxes: tuple[tuple[int, int], ...] = ()
    """Its boxes: those of each step where the format has steps."""
    caption: tuple[int, int] | None = None
    """What it holds; None without one."""
    answer: tuple[int, int] | None = None
    """The answer that counts; None without one, or where nothing marks it."""


def spans_of_text(text: str, form: AnyFormat) -> WrittenSpans:
    """Return where boxes, caption and answer of a raw text lie.

    Raises:
        ValueError: The format is not known.
    """
    row = marked_format(form)
    if row is not None:
        boxes, answer = marked_spans(text, row)
        return WrittenSpans(tuple(boxes), None, answer)
    stages = stage_spans(text, cast("StageFormat", form))
    return WrittenSpans((stages["bbox"],) if "bbox" in stages else (), stages.get("caption"), stages.get("answer"))
