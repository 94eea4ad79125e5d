r"""Find what the last complete `\boxed{...}` of a text states.

Prompts of mathematics ask for it (MathVision's, OlympiadBench's: "end with \boxed{answer}"), and reasoning models write
it unasked behind pages of thought. Part of the `strict` answer rules (`harness/scoring/answers/check.py`): where a
reader finds nothing in the text as a whole, the box is the answer, unless the words beside it deny, hedge or take it
back. Boxes that are listed ("\boxed{2} and \boxed{3}") are one list. A box that is not closed was cut off.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final, NamedTuple

from harness.scoring.answers.maths_parts import closing_brace
from harness.scoring.answers.number import DENIED, TAKEN_BACK, read_number
from harness.scoring.answers.retractions import RETRACTION
from harness.scoring.answers.text import asks
from harness.scoring.answers.unit_suffix import split_unit
from harness.scoring.answers.units import KNOWN_UNITS, SPELLED_LENGTHS

SEEN_CHARACTERS: Final = 16_384
"""So much of a text's end is looked at; what a text states last stands there."""
MOST_BOXES: Final = 64
MOST_SENTENCE: Final = 400
"""So much before a box is its sentence at most."""

_BOX: Final = re.compile(r"\\f?box(?:ed)? ?\{")
BETWEEN: Final = re.compile(
    # Blanks and marks; the ends of formulas: "\(3\)"; a word, plain or as text in a formula: "\text{ and }"; 和, 或.
    r"(?:[ ,;$\n*]|\\[()\[\]]|and|or|\\text ?\{ ?(?:and|or) ?\}|[和或、，])*"
)
"""What stands between things that are listed."""
_CLAUSE: Final = re.compile(r"[.,;:!?\n。，；：！？]")
SENTENCE_END: Final = re.compile(
    # A mark before a blank, so no decimal point; a new line; the marks of East Asia, which no blank follows.
    r"[.!?](?=[ \n])|[\n。！？]"
)
_CONTRASTS: Final = re.compile(r"\A\W*(?:but|yet|however)\b", re.IGNORECASE)
"""What begins a clause that says the contrary of the one before it, and denies nothing itself."""
TAKES_BACK: Final = re.compile(
    # "Correction: …" and other sentences that retract; "5, wait, 6", "Oops!", "Scratch that.", "Not sure", "unsure".
    rf"{RETRACTION}|\b(?:wait|oops|scratch that|not sure|unsure)\b"
)
"""What undoes a statement from any later sentence."""
_GUESSED: Final = re.compile(
    # "Guess: B", "B. Random.", "No idea", "No clue"; "I don't know", "I cannot tell", "unable to see 5".
    r"\b(?:guess\w*|random\w*|no (?:idea|clue)|(?:don't|do not|can't|cannot|can not|unable to) (?:know|tell|see|say"
    # "Cannot determine the answer"; "Not sure", "unsure: B"; 我不确定，选B.
    r"|determine|decide|answer)|not (?:sure|certain)|unsure|uncertain)\b|不知道|不确定|无法"
)
_ANSWERED_AGAIN: Final = re.compile(
    # "The answers are $2$ and $3$.", "Answer:B"; 答案是, 答案：狗.
    r"\banswers?(?: is| are|:)|答案[是为:：]",
    re.IGNORECASE,
)
_CLOSE_BEFORE: Final = 200
"""A guess is told in one of the last sentences before the box."""
_FIRST_WORD: Final = re.compile(r"(?<![\\A-Za-z])[A-Za-zμΩ]+(?!\{)")
_MARKS_BEHIND: Final = " \n$.*)]_`"
_JUDGED_WORDS: Final = 4
"""More words behind a box are a sentence about it, in which anything may stand."""
_PLACEHOLDER: Final = "7"


class Boxed(NamedTuple):
    """What a text states in boxes."""

    content: str
    """What the last box holds, with a unit that stands behind it; of listed boxes all of them."""
    sentence: str
    """What is written before it in the same sentence."""
    after: str
    """What is written behind it."""


def has_box(text: str) -> bool:
    """Return whether a box is opened in a text."""
    return "\\" in text and _BOX.search(text) is not None


def behind_boxes(text: str) -> str:
    """Return what stands behind the last complete box, where an answer may be said once more; empty without a box."""
    complete = _complete_boxes(text)
    return text[complete[-1][2] :] if complete else ""


def boxed(text: str) -> Boxed | None:
    """Return what the last complete box of a text states; None where there is none, or it is not stated."""
    text = text.strip()[-SEEN_CHARACTERS:]
    complete = _complete_boxes(text) if has_box(text) else []
    if not complete:
        return None
    listed = [complete[-1]]
    for box in reversed(complete[:-1]):
        if not BETWEEN.fullmatch(text, box[2], listed[0][0]):
            break
        listed.insert(0, box)
    begins, ends = listed[0][0], listed[-1][2]
    after = text[ends:]
    first = SENTENCE_END.split(after, maxsplit=1)[0]
    if _is_denied(text[:begins].lower(), first.lower(), after.lower()) or asks(text) or asks(text[:ends] + first):
        return None
    joined = " or " if any("or" in text[one[2] : two[0]] for one, two in pairwise(listed)) else ", "
    content = joined.join(text[start : over - 1] for _, start, over in listed)
    sentence = SENTENCE_END.split(text[max(0, begins - MOST_SENTENCE) : begins])[-1]
    return Boxed(content + _unit_behind(first) if len(listed) == 1 else content, sentence, after)


def guesses(before: str) -> bool:
    """Return whether one of the last sentences before an answer calls it a guess."""
    return _GUESSED.search(before[-_CLOSE_BEFORE:].lower()) is not None


def _is_denied(before: str, first: str, after: str) -> bool:
    """Return whether the words beside a box leave it no statement.

    Args:
        before: All that stands before it, in lower case.
        first: What stands behind it in the same sentence.
        after: All that stands behind it.
    """
    clause = _CONTRASTS.sub("", _CLAUSE.split(before[-120:])[-1])
    if DENIED.search(clause) or guesses(before) or TAKEN_BACK.search(first):
        return True
    if first.strip(_MARKS_BEHIND) and len(first.split()) <= _JUDGED_WORDS and not _leaves_value(first):
        return True
    return TAKES_BACK.search(f".{after}") is not None or _ANSWERED_AGAIN.search(after) is not None


def _leaves_value(after: str) -> bool:
    """Return whether a few words behind a box leave what is in it: "cm" and "is the answer" do, "dozen" does not."""
    number = read_number(f"{_PLACEHOLDER} {after.replace('$', '').strip()}")
    return number is not None and str(number) == _PLACEHOLDER


def _unit_behind(after: str) -> str:
    """Return the unit that stands behind a box; empty where what stands there is none."""
    unit = after.replace("$", "").rstrip(" .*")
    word = _FIRST_WORD.search(unit)
    if word is None or (word.group() not in KNOWN_UNITS and word.group().lower() not in SPELLED_LENGTHS):
        return ""
    found = split_unit(f"{_PLACEHOLDER}{unit}")
    return unit if found is not None and found[0] == _PLACEHOLDER else ""


def _complete_boxes(text: str) -> list[tuple[int, int, int]]:
    """Return of the last boxes that close where each begins, where its content begins, and where it is over."""
    openings = [(found.start(), found.end()) for found in _BOX.finditer(text)][-MOST_BOXES:]
    found: list[tuple[int, int, int]] = []
    for begins, start in openings:
        if found and begins < found[-1][2]:
            continue  # within the one before
        end = closing_brace(text, start)
        if end is not None:
            found.append((begins, start, end + 1))
    return found
