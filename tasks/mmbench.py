"""MMBench dev, 1.0 and 1.1, English and Chinese: multiple choice, asked once per rotation of the options.

A row's index is its question's number plus a multiple of 1,000,000 for each rotation, unless a column `g_index` says
the number; the rows of one question are one cluster. The hub writes empty option cells as the text "nan", the TSV
leaves them empty.
"""

from __future__ import annotations

from functools import partial
from typing import Any

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
    """Return the question's number, which all rotations share: `g_index` where a file says it."""
    question = whole_of(doc, "g_index")
    index = whole_of(doc, "index")
    if question is None and index is not None:
        question = index % CIRCULAR_STEP
    return id_of(doc) if question is None else str(question)


def question_text(doc: Doc) -> str:
    """Return hint, question and options."""
    hint = text_of(doc, "hint")
    shown = "" if hint.strip() in _missing(doc) else hint
    return paragraphs(shown, text_of(doc, "question"), listed(choices_of(doc)))


def sample_of(doc: Doc, task: str) -> Sample:
    """Return the sample of a row."""
    facts = image_facts_of(image_value(doc))
    answer = text_of(doc, "answer").strip()
    numbers = {name: whole_of(doc, name) for name in ("index", "g_index")}
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
        extra={name: number for name, number in numbers.items() if number is not None},
    )


def _missing(doc: Doc) -> frozenset[str]:
    """Return the texts that mean an empty cell in this row's layout."""
    return _HUB_MISSING if "L2-category" in doc else _TSV_MISSING


def _dev_split(language: str, name: str, title: str, tsv_file: str, **fields: Any) -> Benchmark:
    """Return the development split in one language."""
    return embedded(
        name,
        title=title,
        hub_config=language,
        hub_split="dev",
        hub_columns=("index", "image", "question", "A", "B", "answer"),
        tsv_files=(tsv_file,),
        tsv_columns=("index", "image", "question", "A", "B", "answer"),
        optional_columns=("hint", "C", "D", "category", "L2-category|l2-category|l2_category"),
        adapter=Adapter(partial(sample_of, task=name), question_text, id_of, cluster_of),
        **fields,
    )


def _first_edition(language: str, title: str) -> Benchmark:
    """Return the split of MMBench 1.0, which the hub has too."""
    return _dev_split(
        language,
        f"mmbench_{language}_dev",
        title,
        f"MMBench_DEV_{language.upper()}.tsv",
        hub_path="lmms-lab-encoder/MMBench",
        rows_expected=4329,
        notes="Circular: the rows of one question (index modulo 1,000,000) count as right only together.",
        groups=("core",),
    )


def _edition_1_1(language: str, title: str) -> Benchmark:
    """Return the split of MMBench 1.1: other questions, and a file of VLMEvalKit's alone."""
    file = f"MMBench_DEV_{language.upper()}_V11.tsv"
    return _dev_split(
        language,
        f"mmbench_{language}_dev_v11",
        title,
        file,
        download=(
            f"It is no data set of the hub's: get {file} from "
            f"https://opencompass.openxlab.space/utils/benchmarks/MMBench/{file} (VLMEvalKit's own address)."
        ),
        notes="Circular, as MMBench 1.0, of which it is a revision: scores of the two are not comparable.",
        groups=("paper",) if language == "en" else (),
    )


BENCHMARKS = (
    _first_edition("en", "MMBench dev (English)"),
    _first_edition("cn", "MMBench dev (Chinese)"),
    _edition_1_1("en", "MMBench 1.1 dev (English)"),
    _edition_1_1("cn", "MMBench 1.1 dev (Chinese)"),
)
"""Where their rows come from: hub path, split and columns of lmms-eval 0.7.3, files and columns of VLMEvalKit."""
