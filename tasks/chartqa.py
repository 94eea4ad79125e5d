"""ChartQA: questions about charts, written by people (`human`) or made of their captions (`augmented`).

The hub's column `type` says `human_test` or `augmented_test`, VLMEvalKit's `split` `test_human` or `test_augmented`.
The hub's rows have no id: the row number is the id, as in VLMEvalKit's `index`. A gold that is a list of texts, as
VLMEvalKit's file writes it, is several accepted answers, as VLMEvalKit reads it.
"""

from __future__ import annotations

from typing import Final

from harness.values import Sample
from tasks.adapter import Adapter, cluster_by_image, image_cluster, image_facts_of, image_value, row_id
from tasks.benchmark import embedded
from tasks.cells import Doc, answers_of, paragraphs, text_of

SHORT_ANSWER: Final = "Answer the question using a single word or phrase."
"""What VLMEvalKit asks with such questions (`ImageVQADataset.build_prompt`); their measures want the answer alone."""

_PARTS: Final = ("human", "augmented")


def id_of(doc: Doc) -> str:
    """Return the index, else the row's number."""
    return row_id(doc, "index")


def question_text(doc: Doc) -> str:
    """Return the question, and that a short answer is wanted."""
    return paragraphs(text_of(doc, "question"), SHORT_ANSWER)


def category_of(doc: Doc) -> str:
    """Return who made the question, whatever the layout calls it; another name as it is."""
    written = text_of(doc, "type", "split")
    return next((part for part in _PARTS if part in written.split("_")), written)


def sample_of(doc: Doc) -> Sample:
    """Return the sample of a row; questions about the same chart are one cluster."""
    facts = image_facts_of(image_value(doc))
    return Sample(
        id=id_of(doc),
        task="chartqa",
        answer_rule="relaxed",
        question=text_of(doc, "question"),
        answers=answers_of(doc.get("answer")) or None,
        category=category_of(doc),
        cluster=image_cluster(facts, id_of(doc)),
        image_size=facts.size if facts else None,
        image_sha256=facts.sha256 if facts else "",
    )


BENCHMARKS = (
    embedded(
        "chartqa",
        title="ChartQA",
        hub_path="lmms-lab-encoder/ChartQA",
        hub_split="test",
        hub_columns=("image", "question", "answer", "type"),
        tsv_files=("ChartQA_TEST.tsv",),
        tsv_columns=("index", "image", "question", "answer"),
        optional_columns=("type|split",),
        rows_expected=2500,
        notes="A number is right within 5 % of the gold, years too.",
        adapter=Adapter(sample_of, question_text, id_of, cluster_by_image(id_of)),
        groups=("doc",),
    ),
)
"""Where its rows come from: hub path, split and columns of lmms-eval 0.7.3, files and columns of VLMEvalKit."""
