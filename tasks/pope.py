"""POPE: is a thing in the picture? Yes or no, for things drawn in three ways.

The hub has 9,000 rows, 3,000 of each sampling (`adversarial`, `popular`, `random`), whose `question_id` starts anew in
each. VLMEvalKit's TSV has a question once and joins its samplings by commas. The hub answers in lower case.
"""

from __future__ import annotations

from harness.values import Sample
from tasks.adapter import Adapter, cluster_by_image, image_cluster, image_facts_of, image_value, row_id
from tasks.benchmark import embedded
from tasks.cells import Doc, text_of


def id_of(doc: Doc) -> str:
    """Return sampling and number of a hub row, else the index."""
    number, category = text_of(doc, "question_id"), text_of(doc, "category")
    return f"{category}/{number}" if number and category else row_id(doc, "index", "id")


def question_text(doc: Doc) -> str:
    """Return the question."""
    return text_of(doc, "question")


def sample_of(doc: Doc) -> Sample:
    """Return the sample of a row; questions about the same image are one cluster."""
    facts = image_facts_of(image_value(doc))
    answer = text_of(doc, "answer").strip().capitalize()
    return Sample(
        id=id_of(doc),
        task="pope",
        answer_rule="yes_no",
        question=text_of(doc, "question"),
        answers=(answer,) if answer else None,
        category=text_of(doc, "category"),
        cluster=image_cluster(facts, id_of(doc)),
        image_size=facts.size if facts else None,
        image_sha256=facts.sha256 if facts else "",
    )


BENCHMARKS = (
    embedded(
        "pope",
        title="POPE",
        hub_path="lmms-lab-encoder/POPE",
        hub_split="test",
        hub_columns=("question_id", "question", "answer", "image", "category"),
        tsv_files=("POPE.tsv",),
        tsv_columns=("index", "image", "question", "answer", "category"),
        rows_expected=9000,
        notes="VLMEvalKit's TSV has fewer rows: it joins the samplings that a question comes in.",
        adapter=Adapter(sample_of, question_text, id_of, cluster_by_image(id_of)),
        groups=("hallucination",),
    ),
)
"""Where its rows come from: hub path, split and columns of lmms-eval 0.7.3, files and columns of VLMEvalKit."""
