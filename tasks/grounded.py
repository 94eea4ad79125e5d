"""Rows with gold captions and boxes: Shapes, and a benchmark of one's own with any of its columns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from harness.values import AnswerRule, Box, Json, Sample
from tasks.adapter import Adapter, image_cluster, image_value, row_id
from tasks.benchmark import Benchmark
from tasks.cells import Doc, as_text, lettered, lettered_columns, list_of, listed, paragraphs, text_of
from tasks.images import image_facts_of

SHAPES_COLUMNS: Mapping[str, str] = {
    "id": "id",
    "question": "question",
    "image": "image",
    "answers": "answers",
    "choices": "",
    "category": "kind",
    "boxes": "boxes",
    "caption": "caption",
}
"""Part to column name of the Shapes generator."""


@dataclass(frozen=True, slots=True)
class _Columns:
    """A layout: which column plays which part, and how answers are judged."""

    task: str
    """Task name."""
    rule: AnswerRule
    """Answer rule."""
    parts: Mapping[str, str]
    """Part to column name."""

    def id_of(self, doc: Doc) -> str:
        """Return the id column, else the row's number."""
        return row_id(doc, self.parts["id"])

    def cluster_of(self, doc: Doc) -> str:
        """Return the scene of a drawn row, else the image's hash."""
        scene = text_of(doc, "scene") if self.task == "shapes" else ""
        if scene:
            return scene
        return image_cluster(image_facts_of(image_value(doc, (self.parts["image"],))), self.id_of(doc))

    def choices_of(self, doc: Doc) -> dict[str, str]:
        """Return the options: an object, a list, or columns A, B, C...; none for other answer rules."""
        if self.rule not in {"choice", "mathvista"}:
            return {}
        value = doc.get(self.parts["choices"])
        if isinstance(value, dict):
            options = cast("dict[str, Any]", value)
            return {letter: as_text(text) for letter, text in options.items() if text is not None}
        return lettered(list_of(value)) or lettered_columns(doc)

    def question_text(self, doc: Doc) -> str:
        """Return the question, with its options where it has some."""
        return paragraphs(text_of(doc, self.parts["question"]), listed(self.choices_of(doc)))

    def sample_of(self, doc: Doc) -> Sample:
        """Return the sample of a row."""
        facts = image_facts_of(image_value(doc, (self.parts["image"],)))
        answers = tuple(list_of(doc.get(self.parts["answers"])))
        caption = text_of(doc, self.parts["caption"])
        return Sample(
            id=self.id_of(doc),
            task=self.task,
            answer_rule=self.rule,
            question=text_of(doc, self.parts["question"]),
            answers=answers or None,
            choices=self.choices_of(doc),
            category=text_of(doc, self.parts["category"]),
            cluster=self.cluster_of(doc),
            boxes_image_px=boxes_of(doc.get(self.parts["boxes"])),
            caption=caption or None,
            image_size=facts.size if facts else None,
            image_sha256=facts.sha256 if facts else "",
            extra=_extra(doc),
        )


def boxes_of(value: object) -> tuple[Box, ...] | None:
    """Return gold boxes from a list of [x1, y1, x2, y2] or its text; None when there is none, or a broken one.

    `verify` names broken gold boxes; a row with them is scored like one without boxes.
    """
    if value is None:
        return None
    if isinstance(value, str):
        return boxes_of(_numbers_in(value)) if value.strip() else None
    items = cast("Any", value).tolist() if hasattr(value, "tolist") else value
    if not isinstance(items, Sequence):
        return None
    boxes = [_box_of(item) for item in cast("Sequence[object]", items)]
    return tuple(box for box in boxes if box is not None) if boxes and None not in boxes else None


def _numbers_in(text: str) -> object:
    """Parse boxes that a TSV holds as text."""
    import json  # noqa: PLC0415 - only text cells need it

    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _box_of(value: object) -> Box | None:
    """Return one box, or None for a broken one."""
    items = cast("Any", value).tolist() if hasattr(value, "tolist") else value
    if not isinstance(items, Sequence) or isinstance(items, str) or len(cast("Sequence[object]", items)) != 4:
        return None
    numbers = cast("Sequence[object]", items)
    if any(isinstance(number, bool) or not isinstance(number, int | float) for number in numbers):
        return None
    x1, y1, x2, y2 = (float(cast("float", number)) for number in numbers)
    right_way = math.isfinite(x1 + y1 + x2 + y2) and x1 < x2 and y1 < y2
    return (x1, y1, x2, y2) if right_way else None


def _extra(doc: Doc) -> dict[str, Json]:
    """Return the official columns that answer rules read, and the scene of a drawn row."""
    names = ("question_type", "answer_type", "precision", "scene")
    found = {name: doc.get(name) for name in names}
    return {
        name: cast("Json", value) for name, value in found.items() if isinstance(value, str | int | float) and value
    }


def adapter_for(benchmark: Benchmark) -> Adapter:
    """Return the adapter of Shapes or of a benchmark of one's own."""
    parts = benchmark.own.columns if benchmark.own is not None else SHAPES_COLUMNS
    columns = _Columns(benchmark.name, benchmark.answer_rule, parts)
    return Adapter(
        columns.sample_of, columns.question_text, columns.id_of, columns.cluster_of, image_columns=(parts["image"],)
    )
