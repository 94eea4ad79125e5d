"""MathVista testmini: multiple choice, whole numbers, decimal numbers, lists and short texts about figures.

The benchmark's ready-made `query` tells the model to put the letter or number "at the end", which contradicts a
format with an answer stage: we build the prompt from the question, its options, unit and kind of number ourselves.
VLMEvalKit's TSV only has such a query as its question, so the question is cut out of it.
"""

from __future__ import annotations

import re

from harness.values import Json, Sample
from tasks.adapter import Adapter, cluster_by_image, image_cluster, image_facts_of, image_value, row_id
from tasks.benchmark import embedded
from tasks.cells import Doc, as_text, lettered, list_of, listed, number_of, paragraphs, text_of

IMAGE_COLUMNS = ("decoded_image", "image")
"""The hub keeps the picture in `decoded_image` and a path in `image`; the TSV has `image`."""

_QUERY = re.compile(r"\AHint:.*?\nQuestion:[ \t]*", re.DOTALL)
_UNIT = re.compile(r"\s*\(Unit: ([^()\n]{1,40})\)\s*\Z")
_LIST_HINT = "Give a list of numbers, such as [1, 2]."


def question_of(doc: Doc) -> str:
    """Return the bare question: without the hint, the options and the unit that a ready-made query adds."""
    text = text_of(doc, "question")
    query = _QUERY.match(text)
    if query is None:
        return text
    body = text[query.end() :].split("\nChoices:", 1)[0].strip()
    return _UNIT.sub("", body)


def unit_of(doc: Doc) -> str:
    """Return the unit, from its column or from a ready-made query; the empty text when there is none."""
    unit = text_of(doc, "unit")
    if unit or not _QUERY.match(text_of(doc, "question")):
        return unit
    found = _UNIT.search(text_of(doc, "question").split("\nChoices:", 1)[0])
    return found[1] if found else ""


def choices_of(doc: Doc) -> dict[str, str]:
    """Return letter to option; empty for free-form questions."""
    return lettered(list_of(doc.get("choices")))


def question_text(doc: Doc) -> str:
    """Return question, unit, options and what kind of answer is wanted."""
    unit = unit_of(doc)
    return paragraphs(
        question_of(doc), f"The unit is {unit}." if unit else "", listed(choices_of(doc)), _kind_hint(doc)
    )


def _kind_hint(doc: Doc) -> str:
    """Say what kind of answer is wanted; nothing for texts."""
    if text_of(doc, "question_type") == "multi_choice":
        return "Give the letter of the right option."
    kind = text_of(doc, "answer_type")
    if kind == "integer":
        return "Give a whole number."
    if kind == "float":
        places = int(number_of(doc, "precision") or 1)
        return f"Give a number with {places} decimal place{'s' if places > 1 else ''}."
    return _LIST_HINT if kind == "list" else ""


def id_of(doc: Doc) -> str:
    """Return the problem's number."""
    return row_id(doc, "pid", "index")


def sample_of(doc: Doc) -> Sample:
    """Return the sample of a row; for multiple choice the accepted answer is the right option's text."""
    facts = image_facts_of(image_value(doc, IMAGE_COLUMNS))
    answer = text_of(doc, "answer")
    metadata = doc.get("metadata")
    about = metadata if isinstance(metadata, dict) else {}
    task = text_of(doc, "task") or as_text(about.get("task"))
    skills = list_of(doc.get("skills") if doc.get("skills") is not None else about.get("skills"))
    return Sample(
        id=id_of(doc),
        task="mathvista",
        answer_rule="mathvista",
        question=question_of(doc),
        answers=(answer,) if answer else None,
        choices=choices_of(doc),
        category=task,
        l2_category=as_text(about.get("category")) or text_of(doc, "category"),
        cluster=image_cluster(facts, id_of(doc)),
        image_size=facts.size if facts else None,
        image_sha256=facts.sha256 if facts else "",
        extra=_extra(doc, task, skills),
    )


def _extra(doc: Doc, task: str, skills: list[str]) -> dict[str, Json]:
    """Return the official columns that scoring and tables need."""
    extra: dict[str, Json] = {
        "question_type": text_of(doc, "question_type"),
        "answer_type": text_of(doc, "answer_type"),
        "unit": unit_of(doc),
        "task": task,
        "skills": list[Json](skills),
        "answer_option": text_of(doc, "answer_option"),
        "precision": _precision_of(doc),
    }
    return {name: value for name, value in extra.items() if value not in ("", None, [])}


def _precision_of(doc: Doc) -> float | None:
    """Return the decimals that count: a float where the hub's column holds one, as lmms-eval scores it otherwise."""
    precision = number_of(doc, "precision")
    if precision is None or isinstance(doc.get("precision"), float) or precision != int(precision):
        return precision
    return int(precision)


BENCHMARKS = (
    embedded(
        "mathvista",
        title="MathVista testmini",
        hub_path="AI4Math/MathVista",
        hub_split="testmini",
        hub_columns=("pid", "question", "decoded_image", "choices", "answer", "question_type", "answer_type"),
        image_columns=IMAGE_COLUMNS,
        tsv_files=("MathVista_MINI.tsv",),
        tsv_columns=("index", "image", "question", "choices", "answer", "question_type", "answer_type"),
        optional_columns=("precision", "unit", "metadata|task"),
        rows_expected=1000,
        notes="Free-form answers that no rule can read are the fault `needs_judge`.",
        adapter=Adapter(sample_of, question_text, id_of, cluster_by_image(id_of, IMAGE_COLUMNS), IMAGE_COLUMNS),
        groups=("core", "paper", "math"),
    ),
)
"""Where its rows come from: hub path, split and columns of lmms-eval 0.7.3, files and columns of VLMEvalKit."""
