r"""Find what a text states as its mathematical answer: the last complete one, with no prose around it.

Part of the rule `maths` (`harness/scoring/answers/maths.py`). In this order: the last complete `\boxed{...}` (boxes
joined by commas or "and" are one list, as OlympiadBench's prompt asks for); what follows the last "the answer is"; a
text that is mathematics alone; the mathematics of a sentence. In a sentence a number is put where the mathematics
stands, and `read_number` judges the sentence: whatever denies, bounds, counts or hedges a number does so to any value.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final

from harness.scoring.answers.boxed import (
    BETWEEN,
    SEEN_CHARACTERS,
    SENTENCE_END,
    TAKES_BACK,
    behind_boxes,
    boxed,
    guesses,
    has_box,
)
from harness.scoring.answers.number import DENIED, read_number
from harness.scoring.answers.text import asks, fold, without_marks
from harness.scoring.answers.units import KNOWN_UNITS, SPELLED_LENGTHS, words

_LEAD: Final = re.compile(
    # "The answers are $2$ and $3$.", "Answer:", "answer is *": the stars of an emphasis may stand on either side.
    r"(?:\banswers?(?:\*\*)?(?: to (?:the|this) (?:question|problem))?(?: is| are|:| is:| are:|=)"
    # 答案为$2\sqrt{3}$。
    r"|答案(?:是|为|:|：|应为))"
    r"[ \n*]*",
    re.IGNORECASE,
)
_BEFORE_LEAD: Final = re.compile(
    # The beginning, a mark, a word that concludes or an adjective of the answer: else "whose answers are not public"
    # would state one.
    r"(?:\A|[.!?\n,;。，！？#*>]|\b(?:so|thus|hence|therefore|the|final|correct|my)|[故以此])[ *]*\Z",
    re.IGNORECASE,
)
_LEADS_AWAY: Final = re.compile(
    # What only joins the piece to the text before it: a word that concludes, its sign, an equals sign.
    r"\A(?:so|thus|hence|therefore|∴|\\therefore|=)[ ,:]+(?=\S)|\A[∴=] ?",
    re.IGNORECASE,
)
_FORMULA: Final = re.compile(
    # The three ways in which Markdown and LaTeX set a formula apart: $…$ and $$…$$, \(…\), \[…\].
    r"\$\$?([^$]{1,1000})\$\$?|\\\(((?:(?!\\\)).){1,1000})\\\)|\\\[((?:(?!\\\]).){1,1000})\\\]",
    re.DOTALL,
)
_STATED_LAST: Final = re.compile(
    # Behind the last of these verbs or marks stands what the sentence states.
    r"(?:\b(?:is|are|equals|be)\b|[是为为:：])[ \n]*(?=[^ \n])"
)
_COMMANDS: Final = re.compile(
    # Environments with their names, then any command: neither is prose.
    r"\\(?:begin|end) ?\{[a-z]*\}|\\[A-Za-z]+"
)
_WRAPPED: Final = re.compile(
    # Text within a formula is prose again.
    r"\\(?:text|mathrm|rm|mbox)[a-z]* ?\{([^{}]*)\}"
)
_PROSE: Final = re.compile(
    # A word of three letters; a character of East Asia that does not only say "and" or "or": 以及, 和, 或.
    r"[A-Za-z]{3,}|(?!以及|(?<=以)及|[和或])[\u2e80-\ud7ff]"
)
_NO_PROSE: Final = words("sin cos tan cot sec csc sinh cosh tanh arcsin arccos arctan log exp sqrt and abs")
_PLACEHOLDER: Final = "7"


def stated_piece(text: str) -> str | None:
    """Return what a text states, or None where it states nothing that can be read, or takes it back."""
    text = text.strip()[-SEEN_CHARACTERS:]
    if has_box(text):
        found = boxed(text)
        return _led(without_marks(fold(behind_boxes(text)))) if found is None else found.content
    if asks(text):
        return None
    text = without_marks(fold(text)).strip()
    led = _led(text)
    if led is not None:
        return led
    text = _LEADS_AWAY.sub("", text).strip()
    if not is_prose(text):
        return None if DENIED.search(text.lower()) else text
    return _of_sentence(text)


def concluded(text: str) -> str | None:
    """Return what a text ends with behind "the answer is"; None where it ends otherwise, guesses, or answers twice."""
    text = without_marks(fold(text.strip()[-SEEN_CHARACTERS:])).strip()
    leads = list(_LEAD.finditer(text))
    if len(leads) != 1 or not _BEFORE_LEAD.search(text[: leads[0].start()]):
        return None
    before, said = text[: leads[0].start()], text[leads[0].end() :].strip()
    sentence = SENTENCE_END.split(before)[-1].lower()
    if not said or SENTENCE_END.search(said) or DENIED.search(sentence) or guesses(before):
        return None
    return said


def is_prose(text: str) -> bool:
    """Return whether a text holds words, functions' names and units apart."""
    plain = _COMMANDS.sub(" ", _WRAPPED.sub(lambda found: f" {found[1]} ", text))
    return any(not _is_mathematical(found.group()) for found in _PROSE.finditer(plain))


def _is_mathematical(word: str) -> bool:
    figure = word.isupper() and len(word) <= len("ABCDE")
    return figure or word.lower() in _NO_PROSE or word in KNOWN_UNITS or word.lower() in SPELLED_LENGTHS


def stated_words(text: str) -> str:
    """Return what a text states that answers in words: a box's content, what "the answer is", else all of it."""
    text = text.strip()[-SEEN_CHARACTERS:]
    if (found := boxed(text)) is not None:
        return found.content
    return _behind_lead(without_marks(fold(text)).strip()) or text


def _led(text: str) -> str | None:
    """Return the mathematics behind the last "the answer is", if it stands to the end of its sentence."""
    said = _behind_lead(text)
    return said if said is None or not is_prose(said) else _of_sentence(said)


def _behind_lead(text: str) -> str | None:
    """Return what stands behind the last "the answer is", to the end of its sentence, if it is stated."""
    found = max(_LEAD.finditer(text), key=lambda lead: lead.start(), default=None)
    if found is None or not _BEFORE_LEAD.search(text[: found.start()]):
        return None
    rest = text[found.end() :].strip()
    cut = SENTENCE_END.search(rest)
    said, after = (rest[: cut.start()], rest[cut.start() :]) if cut else (rest, "")
    before = SENTENCE_END.split(text[: found.start()])[-1]
    if not said or DENIED.search(before.lower()) or DENIED.search(said.lower()) or TAKES_BACK.search(after.lower()):
        return None
    return None if asks(said + after[:1]) else said


def _of_sentence(text: str) -> str | None:
    """Return the one formula of a sentence, or what it says last, where the sentence states it."""
    formulas = list(_FORMULA.finditer(text))
    if formulas:
        start, end = formulas[0].start(), formulas[-1].end()
        between = [text[one.end() : two.start()] for one, two in pairwise(formulas)]
        if not all(BETWEEN.fullmatch(piece) for piece in between):
            return None
        said = ", ".join(next(filter(None, found.groups())) for found in formulas)
        if any("or" in piece for piece in between):
            said = said.replace(", ", " or ")
    else:
        ends = list(_STATED_LAST.finditer(text))
        if not ends:
            return None
        start, end = ends[-1].end(), len(text)
        said = text[start:].rstrip(" .")
    if is_prose(said):
        return None
    sentence = f"{text[:start]}{_PLACEHOLDER}{text[end:]}"
    number = read_number(sentence)
    return said if number is not None and str(number) == _PLACEHOLDER else None
