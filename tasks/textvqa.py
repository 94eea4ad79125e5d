"""TextVQA, validation: questions about text in photographs, each with the answers of ten people.

All ten count, so one that is left blank keeps its place: it is one person less who agrees. The test split has ten blank
ones, which is no gold. The hub keeps them in `answers`, VLMEvalKit's file in `answer`.
"""

from __future__ import annotations

from harness.values import Sample
from tasks.adapter import Adapter, cluster_by_image, image_cluster, image_facts_of, image_value, row_id
from tasks.benchmark import embedded
from tasks.cells import Doc, list_of, paragraphs, text_of
from tasks.chartqa import SHORT_ANSWER


def id_of(doc: Doc) -> str:
    """Return the question's id (the hub), else the index."""
    return row_id(doc, "question_id", "index")


def question_text(doc: Doc) -> str:
    """Return the question, and that a short answer is wanted."""
    return paragraphs(text_of(doc, "question"), SHORT_ANSWER)


def answers_of_people(doc: Doc) -> tuple[str, ...] | None:
    """Return the answers of all people; None where nobody said anything."""
    said = tuple(list_of(doc.get("answers")) or list_of(doc.get("answer")))
    return said if any(text.strip() for text in said) else None


def sample_of(doc: Doc) -> Sample:
    """Return the sample of a row; questions about the same picture are one cluster."""
    facts = image_facts_of(image_value(doc))
    return Sample(
        id=id_of(doc),
        task="textvqa",
        answer_rule="vqa",
        question=text_of(doc, "question"),
        answers=answers_of_people(doc),
        cluster=image_cluster(facts, id_of(doc)),
        image_size=facts.size if facts else None,
        image_sha256=facts.sha256 if facts else "",
    )


BENCHMARKS = (
    embedded(
        "textvqa",
        title="TextVQA",
        hub_path="lmms-lab-encoder/textvqa",
        hub_split="validation",
        hub_columns=("image", "question", "answers", "question_id"),
        tsv_files=("TextVQA_VAL.tsv",),
        tsv_columns=("index", "image", "question", "answer"),
        rows_expected=5000,
        licence="CC BY 4.0 for questions and answers, as their page says; the pictures have terms of their own",
        notes="Ten people's answers a question; three that agree make an answer wholly right.",
        adapter=Adapter(sample_of, question_text, id_of, cluster_by_image(id_of)),
        groups=("doc",),
    ),
)
"""Where its rows come from: hub path, split and columns of lmms-eval 0.7.3, files and columns of VLMEvalKit."""
