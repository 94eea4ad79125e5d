"""VQA-Verify, held out: the questions about one picture in twenty, told by the picture's own hash.

VQA-Verify has one split, and it is what SATORI's models are trained on. A picture is held out where the first 32 bits
of the hash of its file are divisible by 20, so that all questions about it are, in whatever file or order they come;
training data leaves those pictures out (`training/data/source_rows.py`, fault `benchmark_image`). A checkpoint that
was trained elsewhere may have seen them all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from harness.values import Sample
from tasks.adapter import Adapter, cluster_by_image, image_value, row_id
from tasks.benchmark import embedded
from tasks.cells import Doc, answers_of, text_of
from tasks.gold_places import Asked, placed_sample

if TYPE_CHECKING:
    from tasks.rows import Rows

HELD_OUT_EVERY: Final = 20
"""One picture in so many is held out."""
IMAGE_COLUMNS: Final = ("image", "images")
"""Where the picture may be."""


def is_held_out(image_sha256: str) -> bool:
    """Tell whether a picture is of the held-out part, by the hash of its file (`tasks.images.picture_sha256`)."""
    return int(image_sha256[:8], 16) % HELD_OUT_EVERY == 0


def held_out_rows(rows: Rows) -> list[tuple[int, int]]:
    """Return the rows about held-out pictures; every picture is read for that. An unreadable one is not among them."""
    from tasks.images import UnreadableImageError  # noqa: PLC0415 - listing benchmarks needs no pictures

    found: list[tuple[int, int]] = []
    for row in range(len(rows)):
        try:
            held_out = is_held_out(rows.image_facts(row).sha256)
        except UnreadableImageError:
            continue
        if held_out:
            found.append((row, 0))
    return found


def docs(dataset: Any) -> Any:
    """Return the held-out rows of a hub data set, for plain lmms-eval (`process_docs`)."""
    from tasks.images import image_facts_of  # noqa: PLC0415 - as above
    from tasks.rows import undecoded  # noqa: PLC0415 - as above

    images = dataset.select_columns([name for name in IMAGE_COLUMNS if name in dataset.column_names])
    facts = (image_facts_of(image_value(row, IMAGE_COLUMNS)) for row in undecoded(images))
    return dataset.select([row for row, found in enumerate(facts) if found is not None and is_held_out(found.sha256)])


def id_of(doc: Doc) -> str:
    """Return the row's own id, else its number."""
    return row_id(doc, "id", "question_id")


def question_text(doc: Doc) -> str:
    """Return the question."""
    return text_of(doc, "question")


def sample_of(doc: Doc) -> Sample:
    """Return the sample of a row."""
    caption = text_of(doc, "image_caption")
    return placed_sample(
        "vqa_verify",
        doc,
        Asked(
            id_of(doc),
            text_of(doc, "question"),
            doc.get("bboxs"),
            answers=answers_of(doc.get("possible_answers")) or None,
            category=text_of(doc, "category", "dataset", "source"),
            caption=caption or None,
        ),
        IMAGE_COLUMNS,
    )


BENCHMARKS = (
    embedded(
        "vqa_verify",
        title="VQA-Verify (held out)",
        hub_path="justairr/VQA-Verify",
        hub_split="train",
        boxes_column="bboxs",
        hub_columns=("question", "possible_answers", "bboxs"),
        image_columns=IMAGE_COLUMNS,
        optional_columns=("image_caption", "width", "height"),
        notes="One picture in twenty, by its hash; training data leaves these out.",
        adapter=Adapter(sample_of, question_text, id_of, cluster_by_image(id_of, IMAGE_COLUMNS), IMAGE_COLUMNS),
        groups=("grounding",),
        choose=held_out_rows,
    ),
)
"""Where its rows come from."""
