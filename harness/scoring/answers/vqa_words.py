"""The words of the VQA evaluation: which words are digits, which are articles, which contractions lack an apostrophe.

Facts of the published evaluation (`PythonEvaluationTools/vqaEvaluation/vqaEval.py` of GT-Vision-Lab/VQA, and MMF's
`EvalAIAnswerProcessor`), which VLMEvalKit and lmms-eval keep as they are. A contraction is listed there without its
apostrophe, or, where it has several, without any one of them. Entries with a capital letter are left out: they are
looked up in lower-case text, and so never found.
"""

from __future__ import annotations

from typing import Final

ARTICLES: Final = frozenset({"a", "an", "the"})

_NUMBER_WORDS: Final = "zero one two three four five six seven eight nine ten"
DIGITS_BY_WORD: Final = {"none": "0"} | {word: str(digit) for digit, word in enumerate(_NUMBER_WORDS.split())}
"""Number words that become digits; `none` is 0 there."""

_ONE_APOSTROPHE: Final = (
    "ain't aren't can't could've couldn't didn't doesn't don't hadn't hasn't haven't he'd he's how'd how'll "
    "how's isn't it'd it'll ma'am might've mightn't must've mustn't needn't not've o'clock oughtn't shan't "
    "should've shouldn't somebody'll somebody's someone'd someone'll someone's something'd something'll that's "
    "there'd there're there's they'd they'll they're they've 'twas wasn't we've weren't what'll what're what's "
    "what've when's where'd where's where've who'd who'll who's who've why'll why're why's won't would've "
    "wouldn't y'all you'd you'll you're you've"
)
_SEVERAL_APOSTROPHES: Final = (
    "couldn't've hadn't've he'd've it'd've mightn't've 'ow's'at she'd've shouldn't've somebody'd've "
    "someone'd've something'd've there'd've they'd've we'd've who'd've wouldn't've y'all'll y'all'd've "
    "you'd've"
)


def _without_one(word: str) -> list[str]:
    """Return the word without each of its apostrophes in turn."""
    return [word[:place] + word[place + 1 :] for place, mark in enumerate(word) if mark == "'"]


CONTRACTIONS: Final = {
    **{word.replace("'", ""): word for word in _ONE_APOSTROPHE.split()},
    **{key: word for word in _SEVERAL_APOSTROPHES.split() for key in _without_one(word)},
    "somebody'd": "somebodyd",  # so in the original: the wrong way round
}
"""Contraction as people write it without an apostrophe, to what is compared."""


def with_digits(words: list[str]) -> str:
    """Return words of a lower-case text as they are compared: digits for number words, no articles, apostrophes."""
    kept = (word for word in (DIGITS_BY_WORD.get(word, word) for word in words) if word not in ARTICLES)
    return " ".join(CONTRACTIONS.get(word, word) for word in kept)
