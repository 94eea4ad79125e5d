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

from harness.scoring.answers.maths_parts import closing_brace
from harness.scoring.answers.number import DENIED, TAKEN_BACK, read_number
from harness.scoring.answers.retractions import RETRACTION
from harness.scoring.answers.text import asks, fold, without_marks
from harness.scoring.answers.unit_suffix import split_unit
from harness.scoring.answers.units import KNOWN_UNITS, SPELLED_LENGTHS, words

SEEN_CHARACTERS: Final = 16_384
"""So much of a text's end is looked at; what a text states last stands there."""
MOST_BOXES: Final = 64

_BOX: Final = re.compile(r"\\f?box(?:ed)? ?\{")
_BETWEEN_BOXES: Final = re.compile(r"(?:[ ,;$\n*]|\\[()\[\]]|and|or|\\text ?\{ ?(?:and|or) ?\}|[和或、，])*")
_CLAUSE: Final = re.compile(r"[.,;:!?\n。，；：！？]")
_SENTENCE_END: Final = re.compile(r"[.!?](?=[ \n])|[\n。！？]")
_LEAD: Final = re.compile(
    r"(?:\banswers?(?:\*\*)?(?: to (?:the|this) (?:question|problem))?(?: is| are|:| is:| are:|=)"
    r"|答案(?:是|为|:|：|应为))"
    r"[ \n*]*",
    re.IGNORECASE,
)
_BEFORE_LEAD: Final = re.compile(
    r"(?:\A|[.!?\n,;。，！？#*>]|\b(?:so|thus|hence|therefore|the|final|correct|my)|[故以此])[ *]*\Z", re.IGNORECASE
)
_LEADS_AWAY: Final = re.compile(r"\A(?:so|thus|hence|therefore|∴|\\therefore|=)[ ,:]+(?=\S)|\A[∴=] ?", re.IGNORECASE)
_FORMULA: Final = re.compile(
    r"\$\$?([^$]{1,1000})\$\$?|\\\(((?:(?!\\\)).){1,1000})\\\)|\\\[((?:(?!\\\]).){1,1000})\\\]", re.DOTALL
)
_STATED_LAST: Final = re.compile(r"(?:\b(?:is|are|equals|be)\b|[是为为:：])[ \n]*(?=[^ \n])")
_COMMANDS: Final = re.compile(r"\\(?:begin|end) ?\{[a-z]*\}|\\[A-Za-z]+")
_WRAPPED: Final = re.compile(r"\\(?:text|mathrm|rm|mbox)[a-z]* ?\{([^{}]*)\}")
_PROSE: Final = re.compile(r"[A-Za-z]{3,}|[\u2e80-\ud7ff]")
_NO_PROSE: Final = words("sin cos tan cot sec csc sinh cosh tanh arcsin arccos arctan log exp sqrt and abs")
_TAKES_BACK: Final = re.compile(rf"{RETRACTION}|\b(?:wait|oops|scratch that|not sure|unsure)\b")
"""What undoes a statement from any later sentence."""
_FIRST_WORD: Final = re.compile(r"(?<![\\A-Za-z])[A-Za-zμΩ]+(?!\{)")
_MARKS_BEHIND: Final = " \n$.*)]_`"
_JUDGED_WORDS: Final = 4
"""More words behind a box are a sentence about it, in which anything may stand."""
_PLACEHOLDER: Final = "7"


def stated_piece(text: str) -> str | None:
    """Return what a text states, or None where it states nothing that can be read, or takes it back."""
    text = text.strip()[-SEEN_CHARACTERS:]
    if "\\" in text and _BOX.search(text):
        return _boxed(text)
    if asks(text):
        return None
    text = without_marks(fold(text)).strip()
    led = _led(text)
    if led is not None:
        return led
    text = _LEADS_AWAY.sub("", text).strip()
    if not is_prose(text):
        return None if TAKEN_BACK.search(text) else text
    return _of_sentence(text)


def is_prose(text: str) -> bool:
    """Return whether a text holds words, functions' names and units apart."""
    plain = _COMMANDS.sub(" ", _WRAPPED.sub(lambda found: f" {found[1]} ", text))
    return any(not _is_mathematical(found.group()) for found in _PROSE.finditer(plain))


def _is_mathematical(word: str) -> bool:
    figure = word.isupper() and len(word) <= len("ABCDE")
    return figure or word.lower() in _NO_PROSE or word in KNOWN_UNITS or word.lower() in SPELLED_LENGTHS


def _boxed(text: str) -> str | None:
    """Return what the last complete box holds, with those before it that are listed with it."""
    complete = _complete_boxes(text)
    if not complete:
        return None
    listed = [complete[-1]]
    for box in reversed(complete[:-1]):
        if not _BETWEEN_BOXES.fullmatch(text, box[2], listed[0][0]):
            break
        listed.insert(0, box)
    begins, ends = listed[0][0], listed[-1][2]
    before = _CLAUSE.split(text[max(0, begins - 120) : begins])[-1]
    after = text[ends:]
    first = _SENTENCE_END.split(after, maxsplit=1)[0]
    if DENIED.search(before.lower()) or TAKEN_BACK.search(first.lower()) or _TAKES_BACK.search(f".{after.lower()}"):
        return None
    if first.strip(_MARKS_BEHIND) and len(first.split()) <= _JUDGED_WORDS and not _leaves_value(first):
        return None
    if asks(text[:ends] + first) or asks(text):
        return None
    joined = " or " if any("or" in text[one[2] : two[0]] for one, two in pairwise(listed)) else ", "
    content = joined.join(text[start:end] for _, start, end in _contents(listed))
    return content + _unit_behind(first) if len(listed) == 1 else content


def _leaves_value(after: str) -> bool:
    """Return whether a few words behind a box leave what is in it: "cm" and "is the answer" do, "dozen" does not."""
    number = read_number(f"{_PLACEHOLDER} {after.replace('$', '').strip()}")
    return number is not None and str(number) == _PLACEHOLDER


def _unit_behind(after: str) -> str:
    """Return the unit that stands behind a box; empty where what stands there is none."""
    unit = after.replace("$", "").rstrip(" .*")
    word = _FIRST_WORD.search(unit)
    if word is None or not _is_mathematical(word.group()):
        return ""
    found = split_unit(f"{_PLACEHOLDER}{unit}")
    return unit if found is not None and found[0] == _PLACEHOLDER else ""


def _contents(boxes: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    return [(begins, start, after - 1) for begins, start, after in boxes]


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


def _led(text: str) -> str | None:
    """Return the mathematics behind the last "the answer is", if it stands to the end of its sentence."""
    found = max(_LEAD.finditer(text), key=lambda lead: lead.start(), default=None)
    if found is None or not _BEFORE_LEAD.search(text[: found.start()]):
        return None
    rest = text[found.end() :].strip()
    cut = _SENTENCE_END.search(rest)
    said, after = (rest[: cut.start()], rest[cut.start() :]) if cut else (rest, "")
    before = _SENTENCE_END.split(text[: found.start()])[-1]
    if not said or DENIED.search(before.lower()) or DENIED.search(said.lower()) or _TAKES_BACK.search(after.lower()):
        return None
    if asks(said + after[:1]):
        return None
    return said if not is_prose(said) else _of_sentence(said)


def _of_sentence(text: str) -> str | None:
    """Return the one formula of a sentence, or what it says last, where the sentence states it."""
    formulas = list(_FORMULA.finditer(text))
    if formulas:
        start, end = formulas[0].start(), formulas[-1].end()
        between = [text[one.end() : two.start()] for one, two in pairwise(formulas)]
        if not all(_BETWEEN_BOXES.fullmatch(piece) for piece in between):
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
