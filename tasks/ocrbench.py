"""OCRBench: read text; any accepted answer contained in the answer stage counts.

The hub's rows have no id: the row number is the id, as in VLMEvalKit's `index`. The category is the hub's
`question_type` and the TSV's `category`.
"""

from __future__ import annotations

from harness.values import Json, Sample
from tasks.adapter import Adapter, cluster_by_image, image_cluster, image_facts_of, image_value, row_id
from tasks.benchmark import embedded
from tasks.cells import Doc, answers_of, text_of


def id_of(doc: Doc) -> str:
    """Return the index, else the row's number."""
    return row_id(doc, "index")


def question_text(doc: Doc) -> str:
    """Return the question."""
    return text_of(doc, "question")


def sample_of(doc: Doc) -> Sample:
    """Return the sample of a row; questions about the same image are one cluster."""
    facts = image_facts_of(image_value(doc))
    answers = answers_of(doc.get("answer"))
    category = text_of(doc, "question_type", "category")
    extra: dict[str, Json] = {"question_type": category} if category else {}
    if text_of(doc, "dataset"):
        extra["dataset"] = text_of(doc, "dataset")
    return Sample(
        id=id_of(doc),
        task="ocrbench",
        answer_rule="ocr",
        question=text_of(doc, "question"),
        answers=answers or None,
        category=category,
        cluster=image_cluster(facts, id_of(doc)),
        image_size=facts.size if facts else None,
        image_sha256=facts.sha256 if facts else "",
        extra=extra,
    )


BENCHMARKS = (
    embedded(
        "ocrbench",
        title="OCRBench",
        hub_path="echo840/OCRBench",
        hub_split="test",
        hub_columns=("image", "question", "answer", "question_type"),
        tsv_files=("OCRBench.tsv",),
        tsv_columns=("index", "image", "question", "answer", "category"),
        optional_columns=("dataset",),
        rows_expected=1000,
        adapter=Adapter(sample_of, question_text, id_of, cluster_by_image(id_of)),
        groups=("core",),
    ),
)
"""Where its rows come from: hub path, split and columns of lmms-eval 0.7.3, files and columns of VLMEvalKit."""
