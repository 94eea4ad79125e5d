"""MathVision, its test split and the 304 questions of it that are testmini: competition problems about one picture.

Options are a list on the hub, and a list written as text (`choices`) in VLMEvalKit's TSV, whose question may hold them
as well; a problem without any wants a number or an expression. Where options are in the picture the list has letters
alone. A question names its picture as `<image1>`, which says nothing that the picture before it does not.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any, Final

from harness.values import Json, Sample
from tasks.adapter import Adapter, cluster_by_image, image_cluster, image_facts_of, image_value, row_id
from tasks.benchmark import Benchmark, embedded
from tasks.cells import Doc, lettered, list_of, listed, paragraphs, text_of
from tasks.mathvista import question_of as question_of_query

IMAGE_COLUMNS: Final = ("decoded_image", "image")
"""The hub keeps the picture in `decoded_image` and a path in `image`; the TSV has `image`."""

LETTER_HINT: Final = "Give the letter of the right option."

_MARK: Final = re.compile(r"\s*<image\s?\d{1,2}>\s*")


def choices_of(doc: Doc) -> dict[str, str]:
    """Return letter to option; empty for a problem without any."""
    columns = (doc.get("options"), doc.get("choices"))
    return next((lettered(found) for found in map(list_of, columns) if found), {})


def question_of(doc: Doc) -> str:
    """Return the bare question: without the options that a ready-made query adds, and without marks of pictures."""
    return _MARK.sub("\n", question_of_query(doc)).strip()


def question_text(doc: Doc) -> str:
    """Return the question, its options, and that a letter is wanted where there are any."""
    choices = choices_of(doc)
    in_picture = all(text.strip() == letter for letter, text in choices.items())
    return paragraphs(question_of(doc), "" if in_picture else listed(choices), LETTER_HINT if choices else "")


def id_of(doc: Doc) -> str:
    """Return the problem's number."""
    return row_id(doc, "id", "index")


def sample_of(doc: Doc, *, task: str) -> Sample:
    """Return the sample of a row; questions about the same picture are one cluster."""
    facts = image_facts_of(image_value(doc, IMAGE_COLUMNS))
    answer, level = text_of(doc, "answer").strip(), text_of(doc, "level")
    choices = choices_of(doc)
    extra: dict[str, Json] = {"question_type": "multi_choice" if choices else "free_form"}
    return Sample(
        id=id_of(doc),
        task=task,
        answer_rule="maths",
        question=question_of(doc),
        answers=(answer,) if answer else None,
        choices=choices,
        category=text_of(doc, "subject", "category"),
        l2_category=f"level {level}" if level else "",
        cluster=image_cluster(facts, id_of(doc)),
        image_size=facts.size if facts else None,
        image_sha256=facts.sha256 if facts else "",
        extra=extra,
    )


def _split(split: str, **fields: Any) -> Benchmark:
    """Return one of the two splits; `fields` are those of `Benchmark`."""
    task = f"mathvision_{split}"
    return embedded(
        task,
        hub_path="MathLLMs/MathVision",
        hub_split=split,
        hub_columns=("id", "question", "options", "decoded_image", "answer"),
        image_columns=IMAGE_COLUMNS,
        tsv_columns=("index", "image", "question", "choices", "answer"),
        optional_columns=("subject|category", "level"),
        licence="MIT (the dataset's card)",
        adapter=Adapter(
            partial(sample_of, task=task), question_text, id_of, cluster_by_image(id_of, IMAGE_COLUMNS), IMAGE_COLUMNS
        ),
        **fields,
    )


BENCHMARKS = (
    _split(
        "testmini",
        title="MathVision testmini",
        tsv_files=("MathVision_MINI.tsv",),
        rows_expected=304,
        groups=("math",),
        notes="Part of mathvision_test; published figures are of test, unless they say MINI or testmini.",
    ),
    _split("test", title="MathVision", tsv_files=("MathVision.tsv",), rows_expected=3040, groups=("paper",)),
)
"""Where their rows come from: hub path, splits and columns of lmms-eval 0.7.3, files and columns of VLMEvalKit."""
