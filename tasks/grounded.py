"""Rows with gold captions and boxes: Shapes, and a benchmark of one's own with any of its columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from harness.task_facts import facts_of
from harness.values import AnswerRule, Box, Json, Sample, Size
from harness.vocabulary import GoldFrame
from tasks.adapter import Adapter, SeenPictures, image_value, row_id, seen_pictures
from tasks.benchmark import embedded
from tasks.cells import (
    CellError,
    Doc,
    answers_of,
    lettered_columns,
    list_of,
    listed,
    options_in,
    paragraphs,
    text_of,
    whole_of,
)
from tasks.gold_places import gold_boxes
from tasks.shown_pictures import shown_by

MOST_NUMBERED = 20
"""Columns of pictures are looked for up to this number."""

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
class Layout:
    """What says which column plays which part."""

    parts: Mapping[str, str]
    """Part to column name."""
    gold_box_frame: GoldFrame | None = None
    """What the numbers of the gold boxes are; None where nobody says it: pixels of the image."""
    names_choices: bool = False
    """Whether somebody said which column holds the options."""
    several_images: bool = False
    """Whether a row may show several pictures: a list in its column, or columns of that name with `_1`, `_2`..."""
    scene_column: str = ""
    """The column that says which rows belong together, before the image; empty where there is none."""


@dataclass(frozen=True, slots=True)
class _Columns:
    """A benchmark's layout, and how its answers are judged."""

    task: str
    """Task name."""
    rule: AnswerRule
    """Answer rule."""
    layout: Layout
    """Which column plays which part."""

    @property
    def parts(self) -> Mapping[str, str]:
        """Part to column name."""
        return self.layout.parts

    @property
    def image_columns(self) -> tuple[str, ...]:
        """Where the pictures may be."""
        name = self.parts["image"]
        numbered = [f"{name}_{number}" for number in range(1, MOST_NUMBERED + 1)] if self.layout.several_images else []
        return (name, *numbered)

    def seen(self, doc: Doc) -> SeenPictures:
        """Return what a sample says of the pictures that the row's question shows."""
        if self.layout.several_images:
            return seen_pictures(shown_by(self.question_text(doc), doc, self.image_columns).images)
        return seen_pictures((image_value(doc, self.image_columns),))

    def id_of(self, doc: Doc) -> str:
        """Return the id column, else the row's number."""
        return row_id(doc, self.parts["id"])

    def cluster_of(self, doc: Doc) -> str:
        """Return the scene of a drawn row, else the image's hash."""
        scene = text_of(doc, self.layout.scene_column) if self.layout.scene_column else ""
        if scene:
            return scene
        return self.seen(doc).image_sha256 or self.id_of(doc)

    def choices_of(self, doc: Doc) -> dict[str, str]:
        """Return the options: an object, a list, or columns A, B, C...; none for other answer rules.

        A column `options`, as MMMU and many others call it, is read in tables that have nothing else: beside columns
        that are known to hold the options it may be anything, such as their number or another order of them.
        """
        if self.rule not in {"choice", "mathvista", "maths", "mmmu", "short"}:
            return {}
        column = self.parts["choices"]
        if self.layout.names_choices or column in doc or "options" not in doc or {"A", "B"} <= doc.keys():
            return options_in(doc.get(column)) or lettered_columns(doc)
        found = options_in(doc["options"])
        return found if len(found) > 1 else {}  # one is no choice, but their number, or one text of them all

    def answers_of(self, doc: Doc) -> tuple[str, ...]:
        """Return the accepted answers; a truth value is a yes or a no where that is asked for."""
        value = doc.get(self.parts["answers"])
        if self.rule == "yes_no" and isinstance(value, bool):
            return ("Yes" if value else "No",)
        return answers_of(value)

    def boxes_of(self, doc: Doc, image_size: Size | None) -> tuple[Box, ...] | None:
        """Return the gold boxes in pixels of the image."""
        frame = self.layout.gold_box_frame or "image_px"
        return gold_boxes(doc.get(self.parts["boxes"]), frame, image_size, declared_size(doc))

    def question_text(self, doc: Doc) -> str:
        """Return the question, with its options where it has some."""
        return paragraphs(text_of(doc, self.parts["question"]), listed(self.choices_of(doc)))

    def sample_of(self, doc: Doc) -> Sample:
        """Return the sample of a row."""
        seen = self.seen(doc)
        answers = self.answers_of(doc)
        caption = text_of(doc, self.parts["caption"])
        return Sample(
            id=self.id_of(doc),
            task=self.task,
            answer_rule=self.rule,
            question=text_of(doc, self.parts["question"]),
            answers=answers or None,
            choices=self.choices_of(doc),
            category=", ".join(list_of(doc.get(self.parts["category"]))),
            cluster=self.cluster_of(doc),
            boxes_image_px=self.boxes_of(doc, seen.image_size),
            caption=caption or None,
            image_size=seen.image_size,
            image_sha256=seen.image_sha256,
            pictures=seen.pictures,
            extra=_extra(doc),
        )


def _extra(doc: Doc) -> dict[str, Json]:
    """Return the official columns that answer rules read, and the scene of a drawn row."""
    names = ("question_type", "answer_type", "precision", "error", "unit", "is_multiple_answer", "scene")
    found = {name: doc.get(name) for name in names}
    return {
        name: cast("Json", value) for name, value in found.items() if isinstance(value, str | int | float) and value
    }


def declared_size(doc: Doc) -> Size | None:
    """Return what the columns width and height say; None where they say nothing, or nothing that is a size."""
    try:
        width, height = whole_of(doc, "width"), whole_of(doc, "height")
    except CellError:
        return None
    return Size(width, height) if width and height else None


def adapter_for(name: str, rule: AnswerRule, layout: Layout) -> Adapter:
    """Return the adapter of a benchmark whose columns play the parts that a layout says."""
    columns = _Columns(name, rule, layout)
    return Adapter(
        columns.sample_of,
        columns.question_text,
        columns.id_of,
        columns.cluster_of,
        image_columns=columns.image_columns,
        several_images=layout.several_images,
    )


BENCHMARKS = (
    embedded(
        "shapes",
        title="Shapes (embedded)",
        hub_split="test",
        hub_columns=("id", "image", "question", "answers", "caption", "boxes"),
        optional_columns=("kind", "width", "height", "scene"),
        rows_expected=1000,
        licence="Apache-2.0 (generated by this package)",
        notes="Needs no data: drawn on the fly, with gold captions and boxes. See tasks/shapes.py.",
        adapter=adapter_for("shapes", facts_of("shapes").answer_rule, Layout(SHAPES_COLUMNS, scene_column="scene")),
        drawn=True,
    ),
)
"""The embedded benchmark that is drawn."""
