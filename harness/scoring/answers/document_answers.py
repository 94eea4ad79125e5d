"""Our rules (`strict`) for answers read off charts, photographs and documents: `relaxed`, `vqa` and `anls`.

Sources of the measures: relaxed accuracy, Masry et al. 2022 (ChartQA, arXiv 2203.10244, section 5.1); VQA accuracy,
Antol et al. 2015 and the written rules of visualqa.org/evaluation, as TextVQA takes them (Singh et al. 2019, arXiv
1904.08920); ANLS, Biten et al. 2019 (ST-VQA, arXiv 1905.13648, equation 1), as DocVQA and InfographicVQA take it
(Mathew et al., arXiv 2007.00398, 2104.12756).

What the measures say is kept, and what evaluation programs make of them besides is not: see
`document_answers_peers.py` for theirs. What dresses an answer (Markdown, quotes, a closing full stop) is taken off
first, as everywhere under `strict`; an answer that asks back or hedges earns nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Final

from harness.scoring.answers.comparisons import number_in
from harness.scoring.answers.document_answers_peers import soft_accuracy
from harness.scoring.answers.edit_distance import normalised_distance
from harness.scoring.answers.number import Number, read_number
from harness.scoring.answers.open_answer import said_beside
from harness.scoring.answers.text import MAX_CHARACTERS, asks, fold, text_key, undress
from harness.scoring.answers.vlmevalkit import Rule, shown
from harness.scoring.answers.vqa_words import ARTICLES, CONTRACTIONS, DIGITS_BY_WORD
from harness.values import AnswerCheck, AnswerRule, Sample

TOLERANCE: Final = Fraction(1, 20)
"""A number is right within so much of the gold."""
LEAST_ANSWERS: Final = 4
"""Of fewer people's answers no three others can agree with one, so that nobody could be wholly right."""
MOST_DISTANCE: Final = 0.5
"""ANLS's threshold: a text is nothing like the gold from here on (in the equation below it; peers let it count)."""

_NO_MATCH: Final = AnswerCheck(0.0, None, ("no_match",))
_HEDGE: Final = re.compile(
    # An answer of many words is hardly farther from its gold by one of these; what it says is another thing.
    # "not 7", "neither A nor B", "isn't 7", "cannot tell"; "unsure: B", "unreadable"; "perhaps 7", "3 or", "except 3",
    # "without sugar", "B instead of C", "Guess: B", "wrong: 3".
    r"\b(?:not|no|never|neither|nor|isn't|wasn't|aren't|don't|doesn't|can't|cannot|unsure|unclear|unknown|unreadable"
    r"|illegible|maybe|perhaps|possibly|probably|might|or|either|except|without|instead|rather|guess|wrong|incorrect)\b"
)
_NUMBER_WORDS: Final = {word: digits for word, digits in DIGITS_BY_WORD.items() if word != "none"}
"""The written rules turn number words into digits; that "none" is one of them stands in the program alone."""
_MARKS: Final = re.compile(
    # All marks of the written rules become blanks but the minus of a number: -5 is not 5, while 10-20 is 10 20.
    r"[;/\[\]\"{}()=+\\_><@`,?!]|-(?!\d)|(?<=[^\s(])-"
)
_COMMA_IN_NUMBER: Final = re.compile(r"(?<=\d),(?=\d)")
_PERIOD: Final = re.compile(
    # Before no digit; or behind a letter, whatever follows.
    r"\.(?!\d)|(?<=[^\W\d])\."
)
"""A period that is no decimal point: none before a digit, or one behind a letter."""


def _stated(sample: Sample, answer: str) -> bool:
    """Return whether an answer states something: it is not blank, too long, or a question where no gold is one."""
    if not text_key(answer):
        return False
    return not asks(answer) or any(map(asks, sample.answers or ()))


# --- relaxed accuracy -------------------------------------------------------------------------------------------------


def _check_relaxed(sample: Sample, answer: str, judge_reply: str | None) -> AnswerCheck:
    """Score by relaxed accuracy: the same text, or a number within 5 % of the gold, which for a gold of 0 is 0.

    Numbers are what `read_number` reads as one, exactly, so that a percent sign says either of its two values.
    """
    del judge_reply
    golds = [gold for gold in sample.answers or () if text_key(gold)]
    if not golds:
        return AnswerCheck(None, shown(answer), ("no_gold",))
    if not _stated(sample, answer):
        return _NO_MATCH
    answer = said_beside(set(map(_relaxed_key, golds)), answer, _relaxed_key)
    if _relaxed_key(answer) in set(map(_relaxed_key, golds)):
        return AnswerCheck(1.0, shown(answer))
    numbers = [number for number in map(_gold_number, golds) if number is not None]
    if not numbers:
        return AnswerCheck(0.0, shown(answer))
    number = number_in(answer)
    if number is None:
        # Words, where every gold is a number, say nothing that could be read; a text beside them is just another.
        return _NO_MATCH if len(numbers) == len(golds) else AnswerCheck(0.0, shown(answer))
    return AnswerCheck(float(any(_is_near(number, gold) for gold in numbers)), str(number))


def _relaxed_key(text: str) -> str:
    """Return the form in which texts are compared; a list is the same with and without its brackets."""
    return text_key(text).strip("[]")


@lru_cache(maxsize=2048)
def _gold_number(gold: str) -> Number | None:
    return read_number(gold)


def _is_near(number: Number, gold: Number) -> bool:
    return any(abs(one - other) <= TOLERANCE * abs(other) for one in number.readings for other in gold.readings)


# --- VQA accuracy -----------------------------------------------------------------------------------------------------


def _check_vqa(sample: Sample, answer: str, judge_reply: str | None) -> AnswerCheck:
    """Score by VQA accuracy: how far people agree with the answer, three of the others being enough."""
    del judge_reply
    golds = sample.answers or ()
    if len(golds) < LEAST_ANSWERS or not any(map(text_key, golds)):
        return AnswerCheck(None, shown(answer), ("no_gold",))
    if not _stated(sample, answer):
        return _NO_MATCH
    keys = [_vqa_key(gold) for gold in golds]
    answer = said_beside(keys, answer, _vqa_key)
    return AnswerCheck(soft_accuracy(_vqa_key(answer), keys), shown(answer))


def _vqa_key(text: str) -> str:
    """Return the form in which answers of people and models are compared, after the written rules of the evaluation.

    Lower case, no articles, digits for number words, no period that is no decimal point, an apostrophe in each
    contraction, blanks for other marks. Where nothing is left of a text, such as of a lone "a" or "+", it stays itself.
    """
    text = text.strip()
    if len(text) > MAX_CHARACTERS:
        return ""
    plain = undress(fold(text)).lower()
    marked = _PERIOD.sub("", _MARKS.sub(" ", _COMMA_IN_NUMBER.sub("", plain)))
    words = (_NUMBER_WORDS.get(word, word) for word in marked.split())
    key = " ".join(CONTRACTIONS.get(word, word) for word in words if word not in ARTICLES)
    return key or " ".join(plain.split()).strip("\"'.")


# --- ANLS -------------------------------------------------------------------------------------------------------------


def _check_anls(sample: Sample, answer: str, judge_reply: str | None) -> AnswerCheck:
    """Score by ANLS: 1 less the edit distance over the longer text's length, of the nearest gold; 0 from a half on."""
    del judge_reply
    golds = [gold for gold in sample.answers or () if text_key(gold)]
    if not golds:
        return AnswerCheck(None, shown(answer), ("no_gold",))
    if not _stated(sample, answer):
        return _NO_MATCH
    hedges = _hedges(answer)
    answer = said_beside(set(map(text_key, golds)), answer, text_key)
    if text_key(answer) in set(map(text_key, golds)):
        return AnswerCheck(1.0, shown(answer))
    text = _plain(answer)
    likenesses = [_likeness(_plain(gold), text) for gold in golds if hedges <= _hedges(gold)]
    if not likenesses:
        return _NO_MATCH
    return AnswerCheck(max(likenesses), shown(answer))


def _plain(text: str) -> str:
    """Return a text as it is compared: without dress, in lower case, with single blanks."""
    return " ".join(undress(fold(text.strip())).lower().split())


def _hedges(text: str) -> set[str]:
    """Return the words that take a text back, leave it open, or deny it."""
    return set(_HEDGE.findall(fold(text).lower()))


def _likeness(gold: str, text: str) -> float:
    distance = normalised_distance(gold, text, max(len(gold), len(text)), MAX_CHARACTERS)
    return 1 - distance if distance < MOST_DISTANCE else 0.0


DOCUMENT_RULES: Final[Mapping[AnswerRule, Rule]] = {"relaxed": _check_relaxed, "vqa": _check_vqa, "anls": _check_anls}
"""The strict rules by kind of answer."""
