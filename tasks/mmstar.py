"""MMStar: multiple choice with four options.

The hub's questions carry their options inside the text, as `Options: A: ..., B: ...` or, for questions that came from
MathVista, as `Choices:` with `(A) ...` on lines of their own. VLMEvalKit's TSV has the columns A to D as well.
"""

from __future__ import annotations

import re

from harness.values import Sample
from tasks.adapter import Adapter, cluster_by_image, image_cluster, image_facts_of, image_value, row_id
from tasks.benchmark import embedded
from tasks.cells import Doc, lettered_columns, listed, paragraphs, text_of, whole_of

_HEADING = re.compile(r"(?:^|[\s.?!])(?:options|choices)\s*:", re.IGNORECASE)
_MARKER = re.compile(r"(?:^|(?<=[\s,;.]))(\(?)([A-H])([:.)])")


def choices_in(question: str) -> dict[str, str]:
    """Return the options that a question's text lists behind its last `Options:` or `Choices:`.

    The first marker sets the style, `A:`, `A.`, `A)` or `(A)`; the others follow in the order of the alphabet. Fewer
    than two options give an empty mapping.
    """
    headings = list(_HEADING.finditer(question))
    return options_in_lines(question[headings[-1].end() :]) if headings else {}


def options_in_lines(text: str) -> dict[str, str]:
    """Return the options that a text lists behind markers, as `choices_in` reads them."""
    found: list[re.Match[str]] = []
    for marker in _MARKER.finditer(text):
        style = (marker[1], marker[3])
        if marker[2] == chr(ord("A") + len(found)) and (not found or style == (found[0][1], found[0][3])):
            found.append(marker)
    if len(found) < 2:
        return {}
    ends = [marker.start() for marker in found[1:]] + [len(text)]
    return {
        marker[2]: _trimmed(text[marker.end() : end], last=end == len(text))
        for marker, end in zip(found, ends, strict=True)
    }


def _trimmed(option: str, *, last: bool) -> str:
    """Take off what separates an option from the next one."""
    text = option.strip()
    return text if last else text.removesuffix(",").removesuffix(";").rstrip()


def choices_of(doc: Doc) -> dict[str, str]:
    """Return the options from their columns, else from the question's text."""
    return lettered_columns(doc) or choices_in(text_of(doc, "question"))


def id_of(doc: Doc) -> str:
    """Return the index."""
    return row_id(doc, "index")


def question_text(doc: Doc) -> str:
    """Return the question with its options, which are added only where the text does not list them itself."""
    question = text_of(doc, "question")
    return question if choices_in(question) else paragraphs(question, listed(choices_of(doc)))


def sample_of(doc: Doc) -> Sample:
    """Return the sample of a row; questions about the same image are one cluster."""
    facts = image_facts_of(image_value(doc))
    answer = text_of(doc, "answer").strip()
    index = whole_of(doc, "index")
    return Sample(
        id=id_of(doc),
        task="mmstar",
        answer_rule="choice",
        question=text_of(doc, "question"),
        answers=(answer,) if answer else None,
        choices=choices_of(doc),
        category=text_of(doc, "category"),
        l2_category=text_of(doc, "l2_category", "l2-category"),
        cluster=image_cluster(facts, id_of(doc)),
        image_size=facts.size if facts else None,
        image_sha256=facts.sha256 if facts else "",
        extra={} if index is None else {"index": index},
    )


BENCHMARKS = (
    embedded(
        "mmstar",
        title="MMStar",
        hub_path="Lin-Chen/MMStar",
        hub_split="val",
        hub_columns=("index", "question", "image", "answer"),
        tsv_files=("MMStar.tsv",),
        tsv_columns=("index", "question", "image", "answer", "A", "B"),
        optional_columns=("category", "l2_category|l2-category"),
        rows_expected=1500,
        notes="The hub's questions carry their options inside the question text.",
        adapter=Adapter(sample_of, question_text, id_of, cluster_by_image(id_of)),
        groups=("core", "paper"),
    ),
)
"""Where its rows come from: hub path, split and columns of lmms-eval 0.7.3, files and columns of VLMEvalKit."""
