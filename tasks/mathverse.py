"""MathVerse testmini: 788 problems in five versions each, which move what a problem says from its text to its picture.

The versions are `Text Dominant`, `Text Lite`, `Vision Intensive`, `Vision Dominant` and `Vision Only`, whose question
is in the picture alone. `Text Only` has no picture and is not asked. The hub has question and options in `question`,
and in `question_for_eval` those of the version that says most; VLMEvalKit's TSV has a ready-made query as its question,
and in `metadata` an object that is written as text. All versions of a problem are one cluster.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from harness.values import Json, Sample
from tasks.adapter import Adapter, image_facts_of, image_value, row_id, short_hash
from tasks.benchmark import embedded
from tasks.cells import Doc, as_text, paragraphs, parsed_literal, text_of
from tasks.mathvision import LETTER_HINT

if TYPE_CHECKING:
    from tasks.rows import Rows

VISION_QUESTION: Final = "Answer the question in the picture."

_QUERY: Final = re.compile(r"\A(?:Please|First|According|Hint)\b[^\n]*\nQuestion:[ \t]*")
"""What a ready-made query puts before the question: the version `query_wo` or `query_cot`."""
_CHOICES: Final = re.compile(r"\n[ \t]*Choices?:[ \t]*\n")
_CHOICE: Final = re.compile(r"[ \t]*([A-H])[ \t]*[:.)][ \t]*(.*)")


def choices_of(doc: Doc) -> dict[str, str]:
    """Return letter to option, which stand in lines behind the question; empty for a problem without any."""
    if text_of(doc, "question_type") == "free-form":
        return {}
    text = text_of(doc, "question_for_eval", "question")
    parts = _CHOICES.split(text, maxsplit=1)
    found = map(_CHOICE.fullmatch, parts[-1].splitlines()) if len(parts) > 1 else ()
    return {line[1]: line[2].strip() for line in found if line is not None and line[2].strip()}


def is_in_picture(doc: Doc) -> bool:
    """Say whether the question is in the picture alone."""
    return version_of(doc) == "Vision Only"


def question_of(doc: Doc) -> str:
    """Return the question as the version writes it, with its options; that of the fullest version where it has none."""
    if is_in_picture(doc):
        return VISION_QUESTION
    own = text_of(doc, "question").strip()
    return (_QUERY.sub("", own, count=1) or text_of(doc, "question_for_eval")).strip()


def question_text(doc: Doc) -> str:
    """Return the question, and that a letter is wanted where there are options."""
    has_options = text_of(doc, "question_type") == "multi-choice" or bool(choices_of(doc))
    return paragraphs(question_of(doc), LETTER_HINT if has_options else "")


def version_of(doc: Doc) -> str:
    """Return the name of the problem's version."""
    return text_of(doc, "problem_version")


def id_of(doc: Doc) -> str:
    """Return the row's number in the benchmark."""
    return row_id(doc, "sample_index", "index")


def cluster_of(doc: Doc) -> str:
    """Return the problem's number, else what tells its fullest text from others."""
    full = text_of(doc, "question_for_eval")
    return text_of(doc, "problem_index") or (f"q{short_hash(full)}" if full else id_of(doc))


def subjects_of(doc: Doc) -> list[str]:
    """Return subject and subfield, such as `Plane Geometry` and `Angle`."""
    held = doc.get("metadata")
    about = parsed_literal(held) if isinstance(held, str) else held
    if not isinstance(about, Mapping):
        return []
    names = (as_text(cast("Mapping[str, Any]", about).get(name)) for name in ("subject", "subfield"))
    return list(dict.fromkeys(name for name in names if name))


def sample_of(doc: Doc) -> Sample:
    """Return the sample of a row."""
    facts = image_facts_of(image_value(doc))
    answer, subjects = text_of(doc, "answer").strip(), subjects_of(doc)
    extra: dict[str, Json] = {"question_type": text_of(doc, "question_type"), "subjects": list[Json](subjects)}
    return Sample(
        id=id_of(doc),
        task="mathverse",
        answer_rule="maths",
        question=text_of(doc, "question_for_eval") if is_in_picture(doc) else question_of(doc),
        answers=(answer,) if answer else None,
        choices=choices_of(doc),
        category=version_of(doc),
        l2_category=subjects[0] if subjects else "",
        cluster=cluster_of(doc),
        image_size=facts.size if facts else None,
        image_sha256=facts.sha256 if facts else "",
        extra={name: value for name, value in extra.items() if value},
    )


def with_picture(rows: Rows) -> Sequence[tuple[int, int]]:
    """Choose the rows of the versions that have a picture."""
    return [(row, 0) for row in range(len(rows)) if version_of(rows.cells(row)) != "Text Only"]


BENCHMARKS = (
    embedded(
        "mathverse",
        title="MathVerse testmini",
        hub_path="CaraJ/MathVerse-lmmseval",
        hub_config="testmini",
        hub_split="testmini",
        hub_columns=(
            "sample_index", "problem_index", "problem_version", "question", "image", "answer", "question_type",
            "question_for_eval",
        ),
        choose=with_picture,
        # VLMEvalKit saves what it downloads by the name of its data set; the file's own name is the second.
        tsv_files=("MathVerse_MINI.tsv", "MathVerse_MINIV.tsv"),
        tsv_columns=("index", "image", "question", "answer", "problem_version", "question_for_eval"),
        optional_columns=("metadata", "problem_index", "question_type"),
        rows_expected=3940,
        licence="MIT (the dataset's card)",
        notes="mean_of_versions is ours: no program computes a number over the versions. Both peers ask a judge.",
        adapter=Adapter(sample_of, question_text, id_of, cluster_of),
        groups=("math", "paper"),
    ),
)  # fmt: skip
"""Where its rows come from: hub path, split and columns of lmms-eval 0.7.3, files and columns of VLMEvalKit."""
