"""ZeroBench: a hundred questions that today's models fail, and the subquestions that lead to their answers.

The hub's splits `zerobench` and `zerobench_subquestions` are a benchmark each. A row may have several pictures. The
authors want the answer in curly braces and compare it as a whole, case aside (README of jonathan-roberts1/zerobench);
their words are asked here, as in VLMEvalKit. The subquestions of a question (`7_1`, `7_2`) are one cluster;
VLMEvalKit's files have no such ids, there it is the first picture.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Final

from harness.values import Sample
from tasks.adapter import Adapter, image_cluster, image_facts_of, row_id, seen_pictures
from tasks.benchmark import Benchmark, embedded
from tasks.cells import Doc, paragraphs, text_of

IN_BRACES: Final = "Let's think step by step and give the final answer in curly braces, like this: {final answer}"
"""What the authors ask with every question."""

_SUBQUESTION = re.compile(r"(.*[^_])_\d{1,3}")
_PICTURES = ("question_images_decoded", "image")


def id_of(doc: Doc) -> str:
    """Return the authors' number, else the index."""
    return row_id(doc, "question_id", "index")


def question_of(doc: Doc) -> str:
    """Return the question."""
    return text_of(doc, "question_text", "question")


def question_text(doc: Doc) -> str:
    """Return the question, and that its answer is wanted in braces."""
    return paragraphs(question_of(doc), IN_BRACES)


def cluster_of(doc: Doc) -> str:
    """Return the question that a subquestion belongs to, else the first picture's hash."""
    part = _SUBQUESTION.fullmatch(text_of(doc, "question_id"))
    return part[1] if part else image_cluster(image_facts_of(_SHOWN.image_value(doc)), id_of(doc))


def sample_of(doc: Doc, task: str) -> Sample:
    """Return the sample of a row."""
    seen = seen_pictures(_SHOWN.shown(doc).images)
    answer = text_of(doc, "question_answer", "answers", "answer").strip()
    return Sample(
        id=id_of(doc),
        task=task,
        answer_rule="short",
        question=question_of(doc),
        answers=(answer,) if answer else None,
        category=text_of(doc, "category"),
        cluster=cluster_of(doc),
        image_size=seen.image_size,
        image_sha256=seen.image_sha256,
        pictures=seen.pictures,
    )


def _adapter(task: str) -> Adapter:
    return Adapter(
        partial(sample_of, task=task), question_text, id_of, cluster_of, image_columns=_PICTURES, several_images=True
    )


_SHOWN = _adapter("zerobench")


def _split(name: str, title: str, tsv_file: str, rows: int) -> Benchmark:
    """Return one of the two splits."""
    return embedded(
        name,
        title=title,
        hub_path="jonathan-roberts1/zerobench",
        hub_split=name,
        hub_columns=("question_id", "question_text", "question_answer", "question_images_decoded"),
        image_columns=_PICTURES,
        tsv_files=(tsv_file,),
        tsv_columns=("index", "image", "question", "answers"),
        rows_expected=rows,
        licence="see the dataset's card: its terms are accepted there before the download",
        notes="Asked once, greedily; its authors' pass@5 and pass^5 are of five sampled answers.",
        adapter=_adapter(name),
        groups=("perception",),
    )


BENCHMARKS = (
    _split("zerobench", "ZeroBench", "zerobench.tsv", 100),
    _split("zerobench_subquestions", "ZeroBench subquestions", "zerobench_sub.tsv", 334),
)
"""Where their rows come from: hub path, splits and columns of the dataset's card, files and columns of VLMEvalKit."""
