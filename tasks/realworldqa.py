"""RealWorldQA: photographs of streets and rooms; one option of those in the question, or a number or a word.

The hub's questions list their options on lines of their own (`A. ...`), and end in a sentence that wants the answer
`directly`: of option questions it is left out, as VLMEvalKit leaves it out, since formats of ours want more than a
letter. VLMEvalKit's TSV has the options as columns; some rows lack one there that the hub has (VLMEvalKit issue 677).
"""

from __future__ import annotations

import re
from string import ascii_uppercase

from harness.values import Sample
from tasks.adapter import Adapter, cluster_by_image, image_cluster, image_facts_of, image_value, row_id
from tasks.benchmark import embedded
from tasks.cells import Doc, lettered_columns, listed, paragraphs, text_of

_ONLY_THE_LETTER = re.compile(
    r"\s*Please answer directly with only the letter of the correct option and nothing else\.?\s*\Z"
)
_MARKED = re.compile(r"\(?([A-Z])[.):]\)?\s*(\S.*)")
_UNMARKED = re.compile(r"([B-Z])\s+(\S.*)")
"""An option whose mark is missing, as VLMEvalKit issue 677 has it of some rows; a first option never lacks it."""


def question_of(doc: Doc) -> str:
    """Return the question without the sentence that wants the letter alone."""
    return _ONLY_THE_LETTER.sub("", text_of(doc, "question"))


def choices_in(question: str) -> dict[str, str]:
    """Return the options that stand on lines of their own, in the order of the alphabet; fewer than two are none."""
    found: dict[str, str] = {}
    for line in map(str.strip, question.splitlines()):
        option = _MARKED.fullmatch(line) or (_UNMARKED.fullmatch(line) if found else None)
        if option and option[1] == "A":
            found = {"A": option[2]}
        elif option and option[1] == ascii_uppercase[len(found)]:
            found[option[1]] = option[2]
    return found if len(found) > 1 else {}


def choices_of(doc: Doc) -> dict[str, str]:
    """Return the options from their columns, else from the question's text."""
    return lettered_columns(doc) or choices_in(question_of(doc))


def id_of(doc: Doc) -> str:
    """Return the index, else the row's number."""
    return row_id(doc, "index")


def question_text(doc: Doc) -> str:
    """Return the question with its options, which are added only where the text does not list them itself."""
    question = question_of(doc)
    return question if choices_in(question) else paragraphs(question, listed(choices_of(doc)))


def sample_of(doc: Doc) -> Sample:
    """Return the sample of a row; questions about the same image are one cluster."""
    facts = image_facts_of(image_value(doc))
    answer = text_of(doc, "answer").strip()
    return Sample(
        id=id_of(doc),
        task="realworldqa",
        answer_rule="short",
        question=question_of(doc),
        answers=(answer,) if answer else None,
        choices=choices_of(doc),
        category=text_of(doc, "category"),
        cluster=image_cluster(facts, id_of(doc)),
        image_size=facts.size if facts else None,
        image_sha256=facts.sha256 if facts else "",
    )


BENCHMARKS = (
    embedded(
        "realworldqa",
        title="RealWorldQA",
        hub_path="lmms-lab-encoder/RealWorldQA",
        hub_columns=("image", "question", "answer"),
        tsv_files=("RealWorldQA.tsv",),
        tsv_columns=("index", "image", "question", "answer"),
        rows_expected=765,
        notes="Options stand in the question's text. VLMEvalKit's rule knows options alone: open questions score 0.",
        adapter=Adapter(sample_of, question_text, id_of, cluster_by_image(id_of)),
        groups=("perception",),
    ),
)
"""Where its rows come from: hub path, split and columns of lmms-eval 0.7.3, file of VLMEvalKit."""
