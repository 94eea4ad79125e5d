"""TreeBench: multiple choice about small things in crowded pictures, each with the boxes of all things it asks about.

VLMEvalKit's and the authors' `TreeBench.tsv`: `target_instances` is a list of [x1, y1, x2, y2] in pixels, as text; the
options stand in the columns A to D or in `multi-choice options`; rows about text carry them in the question.
"""

from __future__ import annotations

from harness.values import Sample
from tasks.adapter import Adapter, cluster_by_image, row_id
from tasks.benchmark import embedded
from tasks.cells import Doc, lettered_columns, list_of, listed, paragraphs, text_of
from tasks.gold_places import Asked, placed_sample
from tasks.mmstar import choices_in, options_in_lines

_OPTIONS = "multi-choice options"


def choices_of(doc: Doc) -> dict[str, str]:
    """Return the options: from their columns, from the column that lists them, else from the question."""
    options = "\n".join(list_of(doc.get(_OPTIONS)))
    return lettered_columns(doc) or options_in_lines(options) or choices_in(_question_and_heading(doc))


def _question_and_heading(doc: Doc) -> str:
    """Return the question, with a heading where it lists options without one."""
    question = text_of(doc, "question")
    return question if choices_in(question) else f"Options: {question}"


def id_of(doc: Doc) -> str:
    """Return the index."""
    return row_id(doc, "index")


def question_text(doc: Doc) -> str:
    """Return the question with its options, which are added only where it does not list them itself."""
    question = text_of(doc, "question")
    listed_there = choices_in(_question_and_heading(doc))
    return question if listed_there else paragraphs(question, listed(choices_of(doc)))


def sample_of(doc: Doc) -> Sample:
    """Return the sample of a row."""
    answer = text_of(doc, "answer").strip()
    return placed_sample(
        "treebench",
        doc,
        Asked(
            id_of(doc),
            text_of(doc, "question"),
            doc.get("target_instances"),
            answers=(answer,) if answer else None,
            choices=choices_of(doc),
            category=text_of(doc, "category"),
        ),
    )


BENCHMARKS = (
    embedded(
        "treebench",
        title="TreeBench",
        hub_path="HaochenWang/TreeBench",
        hub_split="test",
        boxes_column="target_instances",
        hub_columns=("index", "image", "question", "answer", "target_instances"),
        tsv_files=("TreeBench.tsv",),
        tsv_columns=("index", "image", "question", "answer", "target_instances"),
        download="Get it with: hf download HaochenWang/TreeBench TreeBench.tsv --repo-type dataset --local-dir DIR.",
        optional_columns=("category", "A", "B", "multi-choice options"),
        rows_expected=405,
        licence="Apache-2.0 (the dataset's card)",
        notes="Right where the answer is right and the union IoU with all target boxes at least 0.5.",
        adapter=Adapter(sample_of, question_text, id_of, cluster_by_image(id_of)),
        groups=("grounding",),
    ),
)
"""Where its rows come from."""
