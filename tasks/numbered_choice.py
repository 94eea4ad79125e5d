"""AI2D and ScienceQA: multiple choice, whose hub rows give the right option by its number, from 0.

Their options are a list on the hub and the columns A, B, C... in VLMEvalKit's TSV, whose answer is a letter. Of
ScienceQA only the questions with a picture are asked, as in lmms-eval's `scienceqa_img`.
"""

from __future__ import annotations

from functools import partial
from string import ascii_uppercase
from typing import Any

from harness.values import Sample
from tasks.adapter import Adapter, cluster_by_image, image_cluster, image_facts_of, image_value, row_id
from tasks.benchmark import Benchmark, embedded
from tasks.cells import Doc, lettered, lettered_columns, list_of, listed, paragraphs, text_of


def choices_of(doc: Doc) -> dict[str, str]:
    """Return the options from their columns, else from the list."""
    columns = (doc.get("options"), doc.get("choices"))
    return lettered_columns(doc) or next((lettered(found) for found in map(list_of, columns) if found), {})


def answer_of(doc: Doc) -> str:
    """Return the right option's letter; a number that stands for none stays as it is, so that a check finds it."""
    answer = text_of(doc, "answer").strip()
    is_number = answer.isascii() and answer.isdigit() and len(answer) <= 2
    return ascii_uppercase[int(answer)] if is_number and int(answer) < len(ascii_uppercase) else answer


def id_of(doc: Doc) -> str:
    """Return the index, else the row's number."""
    return row_id(doc, "index")


def question_text(doc: Doc) -> str:
    """Return hint, question and options."""
    return paragraphs(text_of(doc, "hint"), text_of(doc, "question"), listed(choices_of(doc)))


def sample_of(doc: Doc, task: str) -> Sample:
    """Return the sample of a row; questions about the same image are one cluster."""
    facts = image_facts_of(image_value(doc))
    answer = answer_of(doc)
    return Sample(
        id=id_of(doc),
        task=task,
        answer_rule="choice",
        question=text_of(doc, "question"),
        answers=(answer,) if answer else None,
        choices=choices_of(doc),
        category=text_of(doc, "category"),
        cluster=image_cluster(facts, id_of(doc)),
        image_size=facts.size if facts else None,
        image_sha256=facts.sha256 if facts else "",
    )


def _numbered(name: str, **fields: Any) -> Benchmark:
    """Return one of the two; `fields` are those of `Benchmark`."""
    return embedded(
        name,
        tsv_columns=("index", "image", "question", "answer", "A", "B"),
        adapter=Adapter(partial(sample_of, task=name), question_text, id_of, cluster_by_image(id_of)),
        **fields,
    )


BENCHMARKS = (
    _numbered(
        "ai2d",
        title="AI2D",
        hub_path="lmms-lab-encoder/ai2d",
        hub_columns=("question", "options", "answer", "image"),
        tsv_files=("AI2D_TEST.tsv",),
        rows_expected=3088,
        notes="Letters of the diagram's parts are masked; AI2D_TEST_NO_MASK is another benchmark.",
    ),
    _numbered(
        "scienceqa",
        title="ScienceQA (with a picture)",
        hub_path="lmms-lab-encoder/ScienceQA",
        hub_config="ScienceQA-IMG",
        hub_columns=("question", "choices", "answer", "image"),
        tsv_files=("ScienceQA_TEST.tsv",),
        optional_columns=("hint", "category"),
        rows_expected=2017,
        notes="The hint is asked before the question; the lecture is not.",
    ),
)
"""Where their rows come from: hub path, split and columns of lmms-eval 0.7.3, files and columns of VLMEvalKit."""
