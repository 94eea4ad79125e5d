r"""Tell what kind of short answer a row wants, and find the answer that stands in curly braces.

Part of the `strict` answer rules (`harness/scoring/answers/check.py`), for benchmarks that mix option questions with
questions for a number, yes or no, or a word (RealWorldQA), and for those that ask for `{final answer}` (ZeroBench): the
last pair of braces is the answer there, as its authors have it. Braces of LaTeX (`\frac{1}{2}`, `x^{2}`) are none, and
nothing stands in braces that another pair, or a sentence behind it, takes back.
"""

from __future__ import annotations

import re
from typing import Final

from harness.scoring.answers.number import read_number
from harness.scoring.answers.retractions import RETRACTION
from harness.scoring.answers.text import MAX_CHARACTERS
from harness.values import AnswerRule, Sample

_BRACED: Final = re.compile(r"(?<![\w}^\\])\{([^{}\n]{0,400})\}")
"""Braces with a text on one line in them, that no command, letter or power stands before."""
_EITHER: Final = re.compile(
    # A comma or a stroke; a word; the same in Chinese.
    r"[\s$*]*(?:,|/|or|and|或|和)[\s$*]*"
)
"""What stands between two pairs of braces that are offered together."""
_TAKEN_BACK: Final = re.compile(
    # "My mistake." and other sentences that retract; "is wrong", "is not right", "is not correct".
    rf"{RETRACTION}|\b(?:is|was) (?:wrong|incorrect|not (?:right|correct))\b",
    re.IGNORECASE,
)


def short_rule(sample: Sample) -> AnswerRule:
    """Return the rule that a row's own options and gold ask for."""
    if sample.choices:
        return "choice"
    golds = [gold.strip() for gold in sample.answers or ()]
    if golds and all(gold.casefold() in {"yes", "no"} for gold in golds):
        return "yes_no"
    return "number" if golds and all(read_number(gold) is not None for gold in golds) else "accepted"


def without_braces(answer: str) -> str:
    """Return what the last pair of braces holds; the answer as it is where there is none, or it is taken back."""
    if "{" not in answer or len(answer) > MAX_CHARACTERS:
        return answer
    found = list(_BRACED.finditer(answer))
    if not found or _TAKEN_BACK.search(answer, found[-1].end()):
        return answer
    if answer.startswith("{", found[-1].end()):
        return ""  # {42}{43}: the second pair is none by itself, and neither is what is asked for
    offered = len(found) > 1 and _EITHER.fullmatch(answer, found[-2].end(), found[-1].start())
    return answer if offered and found[-2][1].strip() != found[-1][1].strip() else found[-1][1]
