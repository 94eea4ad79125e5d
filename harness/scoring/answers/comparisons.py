"""Compare what an answer states with the gold, for the rules that share it: an option, or a number.

Part of the `strict` answer rules (`harness/scoring/answers/check.py`).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from harness.scoring.answers.boxed import boxed, has_box
from harness.scoring.answers.choice import read_choice
from harness.scoring.answers.maths_stated import concluded
from harness.scoring.answers.number import Number, equal_numbers, read_number
from harness.scoring.answers.option_words import CONDITION
from harness.scoring.answers.options import Options, gold_names, names_other_letter, options_of
from harness.scoring.answers.vlmevalkit import python_float
from harness.values import AnswerCheck, Sample

MAX_DECIMALS: Final = 50
"""Numbers are compared at this many decimals at most."""

NO_MATCH: Final = AnswerCheck(0.0, None, ("no_match",))
"""The model said nothing that can be read."""


def compare_options(sample: Sample, answer: str, judge_reply: str | None, *, texts_first: bool) -> AnswerCheck:
    """Compare the option that the answer (else the judge's reply) states with the gold options.

    Args:
        sample: The question with its options.
        answer: The answer.
        judge_reply: What a judge replied, if one was asked.
        texts_first: Whether a gold that is one option's letter and another one's text means the text.
    """
    pairs = tuple(sample.choices.items())
    options = options_of(pairs)
    name = _option_in(answer, options)
    if name is None and judge_reply is not None:
        name = _option_in(judge_reply, options)
    golds = _gold_names(sample.answers or (), pairs, texts_first=texts_first)
    if not golds:
        return AnswerCheck(None, name, ("no_gold",))  # a gold that is no option: nobody can be right
    if name is None:
        return NO_MATCH
    return AnswerCheck(float(name in golds), name)


def _option_in(text: str, options: Options) -> str | None:
    """Return the option that a text states: as a whole, else in its last box, behind which no other one may stand."""
    name = read_choice(text, options)
    if name is not None or (found := boxed(text)) is None:
        return name
    name = read_choice(found.content, options)
    open_yet = CONDITION.search(found.sentence) or (name and names_other_letter(found.after, name, options))
    return None if open_yet else name


@lru_cache(maxsize=2048)
def _gold_names(golds: tuple[str, ...], pairs: tuple[tuple[str, str], ...], *, texts_first: bool) -> frozenset[str]:
    """Return the gold options' names; remembered, as training scores the same sample many times."""
    return gold_names(golds, options_of(pairs), texts_first=texts_first)


def compare_numbers(sample: Sample, answer: str, judge_reply: str | None, decimals: int | None) -> AnswerCheck:
    """Compare the number that the answer (else the judge's reply) states with the golds.

    Args:
        sample: The question.
        answer: The answer.
        judge_reply: What a judge replied, if one was asked.
        decimals: Compare at so many decimals; None compares values.
    """
    golds = _numbers(sample.answers or ())
    number = number_in(answer)
    if number is None and judge_reply is not None:
        number = number_in(judge_reply)
    extracted = None if number is None else str(number)
    if not golds:
        return AnswerCheck(None, extracted, ("no_gold",))
    if number is None:
        return NO_MATCH
    return AnswerCheck(float(any(equal_numbers(number, gold, decimals) for gold in golds)), extracted)


def number_in(text: str) -> Number | None:
    """Return the number that a text states: as a whole, else in its last box, else at its end, as "the answer"."""
    number = read_number(text)
    if number is not None:
        return number
    if has_box(text):
        found = boxed(text)
        return None if found is None else read_number(found.content)
    said = concluded(text)
    return None if said is None else read_number(said)


@lru_cache(maxsize=2048)
def _numbers(golds: tuple[str, ...]) -> tuple[Number, ...]:
    """Return the gold numbers, without golds that are none."""
    return tuple(number for number in map(read_number, golds) if number is not None)


def decimals_of(sample: Sample) -> int | None:
    """Return the row's precision; None where it has none (the hub stores 1.0, a table "1.0", some rows NaN)."""
    stored = sample.extra.get("precision")
    if isinstance(stored, str):
        stored = python_float(stored)
    if isinstance(stored, bool) or not isinstance(stored, int | float) or not stored >= 0:  # NaN too
        return None
    return int(min(stored, MAX_DECIMALS))
