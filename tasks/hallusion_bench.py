"""HallusionBench: yes/no questions about figures, some of them altered, so that the same question has another answer.

A set holds a figure and its altered versions. The hub names set, figure and question in columns and answers with 1 and
0; VLMEvalKit's TSV has Yes and No, and the three numbers as the parts 3 to 5 (from 0, between `_`) of its index, where
its own `Hallusion_rating` (`utils/yorn.py`) reads them. Only questions with a figure are asked, as in both peers.
"""

from __future__ import annotations

from harness.values import Json, Sample
from tasks.adapter import Adapter, image_facts_of, image_value, row_id
from tasks.benchmark import embedded
from tasks.cells import Doc, text_of

_NUMBERS = ("set_id", "figure_id", "question_id")
_FIRST_NUMBER = 3
"""Where the numbers begin in the index of VLMEvalKit's TSV."""
_ANSWERS = {"1": "Yes", "0": "No"}


def subject_of(doc: Doc) -> str:
    """Return category and subcategory as VLMEvalKit's TSV names them, such as `VS_chart`."""
    own = text_of(doc, "subcategory")
    return f"{text_of(doc, 'category')}_{own}" if own else text_of(doc, "l2-category", "l2_category")


def numbers_of(doc: Doc) -> tuple[str, ...]:
    """Return the numbers of set, figure and question; nothing where a row does not say them."""
    parts = text_of(doc, "index").split("_")[_FIRST_NUMBER : _FIRST_NUMBER + len(_NUMBERS)]
    found = tuple(text_of(doc, name) for name in _NUMBERS)
    found = found if all(found) else tuple(parts)
    return found if len(found) == len(_NUMBERS) and all(found) else ()


def cluster_of(doc: Doc) -> str:
    """Return the name of the figure."""
    numbers = numbers_of(doc)
    return "_".join([subject_of(doc), *numbers[:2]]) if numbers else row_id(doc, "index")


def id_of(doc: Doc) -> str:
    """Return the names of figure and question."""
    numbers = numbers_of(doc)
    return "_".join([subject_of(doc), *numbers]) if numbers else row_id(doc, "index")


def question_text(doc: Doc) -> str:
    """Return the question."""
    return text_of(doc, "question")


def sample_of(doc: Doc) -> Sample:
    """Return the sample of a row; questions about the same figure are one cluster."""
    facts = image_facts_of(image_value(doc))
    gold = text_of(doc, "gt_answer", "answer").strip()
    answer = _ANSWERS.get(gold, gold)
    extra: dict[str, Json] = dict(zip(_NUMBERS, numbers_of(doc), strict=False))
    return Sample(
        id=id_of(doc),
        task="hallusion_bench",
        answer_rule="yes_no",
        question=text_of(doc, "question"),
        answers=(answer,) if answer else None,
        category=text_of(doc, "category"),
        l2_category=subject_of(doc),
        cluster=cluster_of(doc),
        image_size=facts.size if facts else None,
        image_sha256=facts.sha256 if facts else "",
        extra=extra,
    )


BENCHMARKS = (
    embedded(
        "hallusion_bench",
        title="HallusionBench",
        hub_path="lmms-lab-encoder/HallusionBench",
        hub_split="image",
        hub_columns=(
            "category", "subcategory", "set_id", "figure_id", "question_id", "question", "gt_answer", "image",
        ),
        tsv_files=("HallusionBench.tsv",),
        tsv_columns=("index", "image", "question", "answer", "category", "l2-category"),
        rows_expected=951,
        notes="fAcc and qAcc want every question of a figure, and of a set, right.",
        adapter=Adapter(sample_of, question_text, id_of, cluster_of),
        groups=("hallucination",),
    ),
)  # fmt: skip
"""Where its rows come from: hub path, split and columns of lmms-eval 0.7.3, files and columns of VLMEvalKit."""
