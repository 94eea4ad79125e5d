"""MMBench dev, English and Chinese: multiple choice, asked once per rotation of the options.

A row's index is its question's number plus a multiple of 1,000,000 for each rotation; the rows of one question are one
cluster. The hub writes empty option cells as the text "nan", the TSV leaves them empty.
"""

from __future__ import annotations

from functools import partial

from harness.values import Sample
from tasks.adapter import Adapter, image_facts_of, image_value, row_id
from tasks.benchmark import Benchmark, embedded
from tasks.cells import Doc, lettered_columns, listed, paragraphs, text_of, whole_of

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


def _dev_split(language: str, title: str, tsv_files: tuple[str, ...]) -> Benchmark:
    """Return the development split in one language."""
    name = f"mmbench_{language}_dev"
    return embedded(
        name,
        title=title,
        hub_path="lmms-lab-encoder/MMBench",
        hub_config=language,
        hub_split="dev",
        hub_columns=("index", "image", "question", "A", "B", "answer"),
        tsv_files=tsv_files,
        tsv_columns=("index", "image", "question", "A", "B", "answer"),
        optional_columns=("hint", "C", "D", "category", "L2-category|l2-category|l2_category"),
        rows_expected=4329,
        notes="Circular: the rows of one question (index modulo 1,000,000) count as right only together.",
        adapter=Adapter(partial(sample_of, task=name), question_text, id_of, cluster_of),
        groups=("core",),
    )


BENCHMARKS = (
    _dev_split("en", "MMBench dev (English)", ("MMBench_DEV_EN.tsv", "MMBench_DEV_EN_V11.tsv")),
    _dev_split("cn", "MMBench dev (Chinese)", ("MMBench_DEV_CN.tsv", "MMBench_DEV_CN_V11.tsv")),
)
"""Where their rows come from: hub path, split and columns of lmms-eval 0.7.3, files and columns of VLMEvalKit."""
