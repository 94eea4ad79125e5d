"""Our rule (`strict`) for a short answer without options, as MMMU's open questions want it: a number or a few words.

MMMU (Yue et al. 2024, arXiv 2311.16502; `eval/eval_utils.py`) compares numbers at two decimals, and takes a text that
is part of the answer for right, which "not acidic" is for "acidic" too. Here numbers are read as everywhere under
`strict`, so that one that is hedged, denied or one of several is none, and a text is equal or it is not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container
from functools import lru_cache
from typing import Final

from harness.scoring.answers.boxed import boxed, guesses
from harness.scoring.answers.number import Number, equal_numbers, read_number
from harness.scoring.answers.text import MAX_CHARACTERS, asks, fold, text_key, undress
from harness.scoring.answers.vlmevalkit import shown
from harness.values import AnswerCheck, Sample

LEAST_DECIMALS: Final = 2
"""Numbers are compared at the decimals that the gold is written with, and at no fewer than MMMU's two."""

_NUMERIC: Final = re.compile(
    # A gold that is nothing but a number: 1,000; -0.25; 24/7; $5; 12%. With a unit behind it, it is a text: 5 km is
    # no 5 m.
    r"[-+]?\$?\d{1,30}(?:,\d{3}){0,9}(?:\.(?P<decimals>\d{1,30}))?(?:/\d{1,30})?%?"
)
_LEAD: Final = re.compile(
    # "So the answer is", "Final answer:"; the colon may stand behind "is".
    r"(?:(?:so|thus|hence|therefore),? )?(?:the |my )?(?:final |correct |right )?answer(?: is\b:?|:) ?"
    # 所以答案是, 最终答案：, 答案为: the same in Chinese, with or without a word that concludes.
    r"|(?:所以|因此|故)?,? ?(?:最终|正确)?答案(?:是|为|应为|:) ?",
    re.IGNORECASE,
)


def check_open(sample: Sample, answer: str) -> AnswerCheck:
    """Score an answer to a question without options: equal to any accepted one, as a number or as a text."""
    golds = [gold for gold in sample.answers or () if text_key(gold)]
    if not golds:
        return AnswerCheck(None, shown(answer), ("no_gold",))
    if read_number(answer) is None and (found := boxed(answer)) is not None:
        answer = found.content
    stated = stated_text(answer)
    number = read_number(answer)
    if stated is None and number is None:
        return AnswerCheck(0.0, None, ("no_match",))
    right = any(_is_equal(gold, stated, number) for gold in golds)
    extracted = str(number) if number is not None and any(map(_NUMERIC.fullmatch, golds)) else stated
    return AnswerCheck(float(right), extracted if extracted is None else shown(extracted))


def stated_text(answer: str) -> str | None:
    """Return the text that an answer gives, without what leads to it; None where it is blank, too long or asks back.

    Of several lines the last one counts, if it says that it is the answer, and those before it do not call it a guess.
    """
    if not answer.strip() or len(answer) > MAX_CHARACTERS or asks(answer):
        return None
    lines = _lines(answer)
    led = _behind_lead(lines)
    said = "\n".join(lines) if led is None else led
    return said if text_key(said) else None


def said_beside(golds: Container[str], answer: str, key: Callable[[str], str]) -> str:
    """Return an answer without what leads to it; as it is where nothing does, or where it is one of the golds.

    Args:
        golds: The golds' comparable forms.
        answer: The answer.
        key: Makes a text's comparable form.
    """
    if len(answer) > MAX_CHARACTERS or key(answer) in golds or asks(answer):
        return answer
    return _behind_lead(_lines(answer)) or answer


def _lines(answer: str) -> list[str]:
    """Return an answer's lines without dress, blank ones left out."""
    return [line.strip() for line in undress(fold(answer)).split("\n") if line.strip()]


def _behind_lead(lines: list[str]) -> str | None:
    """Return what the last line gives for the answer; None where it does not, or a line before calls it a guess."""
    lead = None if not lines or guesses(" ".join(lines[:-1])) else _LEAD.match(lines[-1])
    return None if lead is None else lines[-1][lead.end() :]


def _is_equal(gold: str, stated: str | None, number: Number | None) -> bool:
    """Tell whether an answer is equal to one gold."""
    if stated is not None and text_key(stated) == text_key(gold):
        return True
    written = _NUMERIC.fullmatch(gold.strip())
    if written is None or number is None:
        return False
    wanted = _number(gold)
    decimals = max(LEAST_DECIMALS, len(written["decimals"] or ""))
    return wanted is not None and equal_numbers(number, wanted, decimals)


@lru_cache(maxsize=2048)
def _number(gold: str) -> Number | None:
    """Return a gold's number; remembered, as the same sample is scored many times."""
    return read_number(gold)
