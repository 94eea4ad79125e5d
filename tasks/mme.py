"""MME: two yes/no questions about every image.

`question_id` (the hub) and `image_path` (the TSV) both name the image, and both questions share it, so a row's id
adds a hash of question and answer. The image is the cluster.
"""

from __future__ import annotations

from harness.values import Sample
from tasks.adapter import Adapter, image_facts_of, image_value, row_id, short_hash
from tasks.benchmark import embedded
from tasks.cells import Doc, text_of


def cluster_of(doc: Doc) -> str:
    """Return the name of the image, in its category."""
    name = row_id(doc, "question_id", "image_path", "index")
    category = text_of(doc, "category")
    return name if "/" in name or not category else f"{category}/{name}"


def id_of(doc: Doc) -> str:
    """Return the image's name and a hash of question and answer."""
    return f"{cluster_of(doc)}#{short_hash(text_of(doc, 'question') + chr(10) + text_of(doc, 'answer'))}"


def question_text(doc: Doc) -> str:
    """Return the question, which ends in "Please answer yes or no." by itself."""
    return text_of(doc, "question")


def sample_of(doc: Doc) -> Sample:
    """Return the sample of a row."""
    facts = image_facts_of(image_value(doc))
    answer = text_of(doc, "answer").strip()
    return Sample(
        id=id_of(doc),
        task="mme",
        answer_rule="yes_no",
        question=text_of(doc, "question"),
        answers=(answer,) if answer else None,
        category=text_of(doc, "category"),
        cluster=cluster_of(doc),
        image_size=facts.size if facts else None,
        image_sha256=facts.sha256 if facts else "",
        extra={"question_id": cluster_of(doc)},
    )


BENCHMARKS = (
    embedded(
        "mme",
        title="MME",
        hub_path="lmms-lab-encoder/MME",
        hub_split="test",
        hub_columns=("question_id", "image", "question", "answer", "category"),
        tsv_files=("MME.tsv",),
        tsv_columns=("image", "question", "answer", "category", "image_path"),
        rows_expected=2374,
        notes="Two questions an image: perception (0-2000) and cognition (0-800) need both halves of every pair.",
        adapter=Adapter(sample_of, question_text, id_of, cluster_of),
        groups=("core",),
    ),
)
"""Where its rows come from: hub path, split and columns of lmms-eval 0.7.3, files and columns of VLMEvalKit."""
