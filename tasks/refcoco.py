"""RefCOCO, RefCOCO+ and RefCOCOg: where is what an expression describes? The box is the answer.

Hub paths, columns and splits are those of lmms-eval 0.7.3 (`refcoco*_bbox_rec_*`): a row is an object with all of its
expressions (`answer`), its box is left, top, width, height in pixels. Every expression is asked for itself, as there;
the published accuracies count expressions too. An id is the row's number and the expression's.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from harness.values import Sample
from tasks.adapter import Adapter, cluster_by_image, row_id
from tasks.benchmark import Benchmark, embedded
from tasks.cells import ROW, Doc, list_of, text_of, whole_of
from tasks.gold_places import Asked, placed_sample
from tasks.place_prompts import place_question

if TYPE_CHECKING:
    from tasks.rows import Rows

_ITEM = "_item"


def expression_of(doc: Doc) -> str:
    """Return the expression that is asked: of a row of several the one that was chosen, else the first."""
    expressions = list_of(doc.get("answer"))
    return expressions[whole_of(doc, _ITEM) or 0] if expressions else ""


def id_of(doc: Doc) -> str:
    """Return the row's number (plain lmms-eval: the object's id) and the expression's."""
    row = text_of(doc, ROW) or row_id(doc, "question_id")
    return f"{row}.{whole_of(doc, _ITEM) or 0}"


def question_text(doc: Doc) -> str:
    """Return what is asked, in words that fit every family."""
    return place_question("box", expression_of(doc))


def sample_of(doc: Doc, task: str) -> Sample:
    """Return the sample of one expression."""
    return placed_sample(task, doc, Asked(id_of(doc), expression_of(doc), doc.get("bbox"), "xywh"))


def every_expression(rows: Rows) -> list[tuple[int, int]]:
    """Return each expression of each row."""
    return [(row, item) for row in range(len(rows)) for item in range(len(list_of(rows.cells(row).get("answer"))))]


def docs(dataset: Any) -> Any:
    """Return a hub data set with a row an expression, for plain lmms-eval (`process_docs`); no picture is copied."""
    counts = [len(list_of(value)) for value in dataset["answer"]]
    chosen = [(row, item) for row, count in enumerate(counts) for item in range(count)]
    return dataset.select([row for row, _ in chosen]).add_column(_ITEM, [item for _, item in chosen])


def _split(name: str, hub: str, split: str) -> Benchmark:
    """Return one split of one of the three."""
    task = f"{name}_{split}"
    title = {"refcoco": "RefCOCO", "refcoco+": "RefCOCO+", "refcocog": "RefCOCOg"}[name]
    return embedded(
        task,
        title=f"{title} {split}",
        hub_path=hub,
        hub_split=split,
        boxes_column="bbox",
        gold_box_frame="xywh",
        hub_columns=("image", "answer", "bbox"),
        optional_columns=("question_id",),
        notes="Every expression of a row is asked; the answer is the box, right at an IoU of 0.5.",
        adapter=Adapter(
            partial(sample_of, task=task), question_text, id_of, cluster_by_image(id_of), place_of=expression_of
        ),
        choose=every_expression,
        groups=("grounding", name),
    )


BENCHMARKS = (
    *(_split("refcoco", "lmms-lab-encoder/RefCOCO", split) for split in ("val", "testA", "testB")),
    *(_split("refcoco+", "lmms-lab-encoder/RefCOCOplus", split) for split in ("val", "testA", "testB")),
    *(_split("refcocog", "lmms-lab-encoder/RefCOCOg", split) for split in ("val", "test")),
)
"""Where their rows come from."""
