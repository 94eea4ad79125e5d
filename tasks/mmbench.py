"""MMBench dev, English and Chinese: multiple choice, asked once per rotation of the options.

A row's index is its question's number plus a multiple of 1,000,000 for each rotation; the rows of one question are one
cluster. The hub writes empty option cells as the text "nan", the TSV leaves them empty.
"""

from __future__ import annotations

from functools import partial

from harness.values import Sample
from tasks.adapter import Adapter, image_value, row_id
from tasks.cells import Doc, lettered_columns, listed, paragraphs, text_of, whole_of
from tasks.images import image_facts_of

CIRCULAR_STEP = 1_000_000
"""Indexes of the same question differ by multiples of this."""

_HUB_MISSING = frozenset({"", "nan"})
_TSV_MISSING = frozenset({""})


def choices_of(doc: Doc) -> dict[str, str]:
    """Return the options that the row fills; only the hub's layout writes an empty cell as `nan`."""
    return lettered_columns(doc, _missing(doc))


def id_of(doc: Doc) -> str:
    """Return the index."""
    return row_id(doc, "index")


def cluster_of(doc: Doc) -> str:
    """Return the question's number, which all rotations share."""
    index = whole_of(doc, "index")
    return id_of(doc) if index is None else str(index % CIRCULAR_STEP)


def question_text(doc: Doc) -> str:
    """Return hint, question and options."""
    hint = text_of(doc, "hint")
    shown = "" if hint.strip() in _missing(doc) else hint
    return paragraphs(shown, text_of(doc, "question"), listed(choices_of(doc)))


def sample_of(doc: Doc, task: str) -> Sample:
    """Return the sample of a row."""
    facts = image_facts_of(image_value(doc))
    answer = text_of(doc, "answer").strip()
    index = whole_of(doc, "index")
    return Sample(
        id=id_of(doc),
        task=task,
        answer_rule="choice",
        question=text_of(doc, "question"),
        answers=(answer,) if answer not in _missing(doc) else None,
        choices=choices_of(doc),
        category=text_of(doc, "category"),
        l2_category=text_of(doc, "L2-category", "l2-category", "l2_category"),
        cluster=cluster_of(doc),
        image_size=facts.size if facts else None,
        image_sha256=facts.sha256 if facts else "",
        extra={} if index is None else {"index": index},
    )


def _missing(doc: Doc) -> frozenset[str]:
    """Return the texts that mean an empty cell in this row's layout."""
    return _HUB_MISSING if "L2-category" in doc else _TSV_MISSING


EN = Adapter(partial(sample_of, task="mmbench_en_dev"), question_text, id_of, cluster_of)
CN = Adapter(partial(sample_of, task="mmbench_cn_dev"), question_text, id_of, cluster_of)
