"""We-Math testmini: 525 problems of two or three steps, whose steps are asked alone as well: 1,740 questions.

`key` says which a question is: `2steps_1` is the first of two steps, `2steps_multi` the whole problem; `ID` names the
problem, which is the cluster. The hub writes all options into one text (`A. 5;B. 6; C. ...`), VLMEvalKit's TSV has a
column for each.
"""

from __future__ import annotations

import re
from typing import Final

from harness.values import Json, Sample
from tasks.adapter import Adapter, image_facts_of, image_value, row_id
from tasks.benchmark import embedded
from tasks.cells import Doc, lettered_columns, listed, paragraphs, text_of

IMAGE_COLUMNS: Final = ("image", "image_path")
"""The hub keeps the picture in `image_path`; the TSV has `image`."""

_OPTION: Final = re.compile(r"(?:\A|[;；\n])\s{0,9}([A-H])\s?[.．:、)]\s?")
"""Where an option begins: at its letter, behind a semicolon."""
_STEPS: Final = {"2steps_multi": "S2", "3steps_multi": "S3"}


def choices_of(doc: Doc) -> dict[str, str]:
    """Return the options from their columns, else out of the hub's text."""
    pieces = _OPTION.split(text_of(doc, "option"))  # before, letter, option, letter, option...
    written = {letter: text.strip() for letter, text in zip(pieces[1::2], pieces[2::2], strict=True) if text.strip()}
    return lettered_columns(doc) or written


def id_of(doc: Doc) -> str:
    """Return problem and question, such as `3steps_165/3steps_multi`, else the index."""
    problem, key = text_of(doc, "ID"), text_of(doc, "key")
    return f"{problem}/{key}" if problem and key else row_id(doc, "index")


def cluster_of(doc: Doc) -> str:
    """Return the problem: numbers of problems of two and of three steps may be the same."""
    problem, steps = text_of(doc, "ID"), text_of(doc, "key").partition("_")[0]
    if not problem:
        return id_of(doc)
    return problem if problem.startswith(steps) else f"{steps}_{problem}"


def question_text(doc: Doc) -> str:
    """Return hint, question and options."""
    return paragraphs(text_of(doc, "hint"), text_of(doc, "question"), listed(choices_of(doc)))


def sample_of(doc: Doc) -> Sample:
    """Return the sample of a row: how many steps its problem has is its category, S1 to S3 the second level."""
    facts = image_facts_of(image_value(doc, IMAGE_COLUMNS))
    answer, key = text_of(doc, "answer").strip(), text_of(doc, "key")
    steps = key.partition("steps_")[0]
    extra: dict[str, Json] = {"key": key, "knowledge concept": text_of(doc, "knowledge concept")}
    return Sample(
        id=id_of(doc),
        task="wemath",
        answer_rule="choice",
        question=text_of(doc, "question"),
        answers=(answer,) if answer else None,
        choices=choices_of(doc),
        category=f"{steps} steps" if steps else "",
        l2_category=_STEPS.get(key, "S1") if key else "",
        cluster=cluster_of(doc),
        image_size=facts.size if facts else None,
        image_sha256=facts.sha256 if facts else "",
        extra={name: value for name, value in extra.items() if value},
    )


BENCHMARKS = (
    embedded(
        "wemath",
        title="We-Math testmini",
        hub_path="We-Math/We-Math",
        hub_split="testmini",
        hub_columns=("ID", "key", "question", "option", "answer", "image_path"),
        image_columns=IMAGE_COLUMNS,
        tsv_files=("WeMath.tsv",),
        tsv_columns=("index", "ID", "key", "image", "question", "answer", "A", "B"),
        optional_columns=("knowledge concept",),
        rows_expected=1740,
        licence="CC BY-NC 4.0 (the authors' repository)",
        notes="A problem's score needs all of its steps: under --limit whole problems are asked.",
        adapter=Adapter(sample_of, question_text, id_of, cluster_of, IMAGE_COLUMNS),
        groups=("math", "paper"),
    ),
)
"""Where its rows come from: hub path, split and columns of lmms-eval 0.7.3, files and columns of VLMEvalKit."""
