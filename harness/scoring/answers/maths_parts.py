r"""Take a mathematical statement apart: what is listed in it, bracketed, related or united.

Part of the rule `maths` (`harness/scoring/answers/maths.py`). A statement is a list of parts, mostly of one: a value
(whatever it is worth), brackets around parts (a tuple, an interval, a set in braces), a union of them, or sides with
signs between them (an equation, an inequality). `x = \pm 2` are two parts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, TypeAlias

from harness.scoring.answers.text import fold, without_marks

MAX_CHARACTERS: Final = 1_000
"""A longer statement is none that a benchmark asks for."""
MAX_PARTS: Final = 64
MAX_DEPTH: Final = 8
"""Brackets within brackets."""

SET_OPENS: Final = "⦃"
SET_CLOSES: Final = "⦄"
_COMMANDS: Final = {
    "{": SET_OPENS, "}": SET_CLOSES, "lbrace": SET_OPENS, "rbrace": SET_CLOSES, "%": "%", "$": "", "(": "", ")": "",
    "le": "≤", "leq": "≤", "leqslant": "≤", "ge": "≥", "geq": "≥", "geqslant": "≥", "lt": "<", "gt": ">", "ne": "≠",
    "neq": "≠", "approx": "≈", "simeq": "≈", "doteq": "≈", "cup": "∪", "in": "∈", "pm": "±", "infty": "∞",
    "emptyset": "∅", "varnothing": "∅", "colon": ":", "lbrack": "[", "rbrack": "]", "lparen": "(", "rparen": ")",
    "displaystyle": "", "limits": "", "quad": " ", "qquad": " ", "!": "", "[": "", "]": "", "therefore": "",
    "because": "",
}  # fmt: skip
_COMMAND: Final = re.compile(
    # Commands by letters; escaped marks, and those that set formulas apart.
    r"\\([A-Za-z]+|[{}%$()\[\]!])"
)
_SIZED: Final = re.compile(
    # \left and \right, and the sizes \big to \Biggr; a point stands for no bracket.
    r"\\(?:left|right|[bB]igg?[lr]?)(?![A-Za-z]) ?\.?"
)
_SEPARATORS: Final = ",;\ue001\ue002"
_WRAPPER: Final = re.compile(
    # A box, fonts, a line below, and what only makes sure that its content is a formula.
    r"\\(?:boxed|fbox|mathbf|boldsymbol|bm|mathit|textbf|textit|underline|ensuremath) ?\{"
)
_SPOKEN: Final = re.compile(
    # "1-\sqrt2 \text{ and } 1+\sqrt2"; the word outside of a formula; the same in Chinese.
    r"\\(?:text|textrm|mathrm|mbox) ?\{[ ~]*(and|or|和|或)[ ~]*\}|(?<![A-Za-z\\])(and|or)(?![A-Za-z])|(以及|[和或])"
)
_AND: Final = "\ue001"
_OR: Final = "\ue002"
"""What stands for a word between parts, in a plane of Unicode that no writing uses."""
_DEGREE: Final = re.compile(
    # ^{\circ}, ^\circ; ^{} and ^{°}, which are left where a command was folded before; ^°, ^∘; \degree; a bare \circ.
    r"\^ ?(?:\{ ?\\circ ?\}|\\circ(?![A-Za-z])|\{ ?°? ?\}|°|∘|\{∘\})|\\degree(?![A-Za-z])|\\circ(?![A-Za-z])"
)
_SPACE: Final = re.compile(r"(?<!\\)\\[,;:> ]")
"""A space of LaTeX, whose mark separates nothing."""
_THOUSANDS: Final = re.compile(
    # 1{,}000; 1,\!000; 1\,000; 1\ 000; 1,\,000; 1~000.
    r"(?<=\d)(?:\{,\}|,\\!|\\,|\\ |,\\,|~)(?=\d{3}(?!\d))"
)
_GROUPED: Final = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])")
_PLUS_MINUS: Final = re.compile("[±∓]")
_ENDS: Final = " .。,;:\n"
_SIGNS: Final = "=≈≤≥<>≠"
_OPENS: Final = f"([{{{SET_OPENS}"
_CLOSES: Final = f")]}}{SET_CLOSES}"
_NAME_BEFORE: Final = re.compile(
    # An index, with braces or without, or a dash: A_1(1, 2), A'(1, 2).
    r"\A[A-Z](?:_?\{?\w\}?|')?(?= ?\()"
)
"""The name of a point before its place: A(1, 2)."""
_MEMBER: Final = re.compile(
    # A letter or a Greek one by its command, with an index or a dash, ∈, and what opens a set or an interval.
    r"\A(?:[A-Za-z]|\\[a-z]{2,7})(?:_\{?\w{1,3}\}?|')? ?∈ ?(?=[(\[⦃∅])"
)
"""What is said to lie in an interval or a set."""
_BARE: Final = re.compile(
    # a blank between letters or digits is none that can go: 1 2 is not 12
    # Spaces of LaTeX, \left and \right, and the size of a fraction (\dfrac, \tfrac) change no value.
    r"(?<![A-Za-z\d])[ \n~]|[ \n~](?![A-Za-z\d])|\\[ ,;:!]|\\left(?![A-Za-z])|\\right(?![A-Za-z])|(?<=\\)[dt](?=frac)"
)
_BARE_GROUP: Final = re.compile(r"\{(\w)\}")


@dataclass(frozen=True, slots=True)
class Value:
    """A part that is worth something."""

    text: str
    """What is written."""


@dataclass(frozen=True, slots=True)
class Bracketed:
    """Parts in brackets."""

    opens: str
    """The opening bracket."""
    parts: tuple[Part, ...]
    """What is inside, in order."""
    closes: str
    """The closing bracket."""


@dataclass(frozen=True, slots=True)
class United:
    """Several intervals or sets as one."""

    parts: tuple[Part, ...]
    """What is united."""


@dataclass(frozen=True, slots=True)
class Related:
    """Sides with signs between them."""

    sides: tuple[Part, ...]
    """The sides, in order."""
    signs: str
    """The sign after each side but the last."""


Part: TypeAlias = Value | Bracketed | United | Related


@dataclass(frozen=True, slots=True)
class Statement:
    """What a text states."""

    parts: tuple[Part, ...]
    """What is listed, in order; mostly one part."""
    alternatives: bool
    """Whether the order cannot matter: the parts are joined by "or", or come from one ±."""
    text: str
    """The text without dress."""


def read_statement(text: str, *, several: bool = False) -> Statement | None:
    """Return what a text states; None where it is blank, too long, or its brackets do not close.

    Args:
        text: The text, in LaTeX or plain, with no prose around it.
        several: Whether several answers are asked for, so that 1,234 are two numbers and no thousand.
    """
    if len(text) > MAX_CHARACTERS:
        return None
    plain = undressed(text)
    if not several and "," in plain and not any(mark in plain for mark in "([⦃"):
        plain = _GROUPED.sub(lambda found: found.group().replace(",", ""), plain)
    pieces = _split(plain, _SEPARATORS)
    if pieces is None:
        return None
    texts, marks = pieces
    parts: list[Part] = []
    alternatives = _OR in marks
    for piece in texts:
        if not piece.strip(_ENDS):
            continue
        signed = _both_signs(piece)
        alternatives = alternatives or (len(signed) > 1 and len(texts) == 1)
        for one in signed:
            part = _part(one.strip(_ENDS), 0)
            if part is None or len(parts) >= MAX_PARTS:
                return None
            parts.append(part)
    shown = " ".join(plain.replace(_AND, " and ").replace(_OR, " or ").split())
    return Statement(tuple(parts), alternatives, shown) if parts else None


def undressed(text: str) -> str:
    """Return a text without the dress of LaTeX and Markdown, its relations, brackets and separators as single marks."""
    text = (
        without_marks(fold(text))
        .replace("\\$", "")
        .replace("$", "")
        .replace("∘", "°")
        .replace("⩽", "≤")
        .replace("⩾", "≥")
    )
    text = _SPOKEN.sub(lambda found: _OR if found[found.lastindex or 0] in {"or", "或"} else _AND, text)
    if "\\" in text:
        text = _SPACE.sub(" ", _SIZED.sub("", _THOUSANDS.sub("", _DEGREE.sub("°", text))))
        text = _COMMAND.sub(lambda found: _COMMANDS.get(found[1], found.group()), text)
        for _ in range(3):
            text = _unwrapped(text)
    elif "^" in text or "{,}" in text:
        text = _THOUSANDS.sub("", _DEGREE.sub("°", text))
    return " ".join(text.split()).strip(_ENDS)


def _unwrapped(text: str) -> str:
    """Return a text without the first wrapper of each kind that closes: bold, boxed."""
    found = _WRAPPER.search(text)
    if found is None:
        return text
    end = closing_brace(text, found.end())
    return text if end is None else text[: found.start()] + text[found.end() : end] + text[end + 1 :]


def closing_brace(text: str, start: int, most: int = MAX_CHARACTERS) -> int | None:
    """Return where the brace closes that opened before `start`; None where it does not within `most` characters."""
    depth = 1
    at = start
    end = min(len(text), start + most)
    while at < end:
        mark = text[at]
        if mark == "\\":
            at += 2
            continue
        depth += (mark == "{") - (mark == "}")
        if not depth:
            return at
        at += 1
    return None


def bare(text: str) -> str:
    """Return a statement as it is compared letter for letter: without blanks, and braces around one letter."""
    return _BARE_GROUP.sub(r"\1", _BARE.sub("", text))


def _both_signs(text: str) -> tuple[str, ...]:
    """Return a text with ± as the two texts that it stands for; with several of them as it is."""
    if len(_PLUS_MINUS.findall(text)) != 1 or "±" not in text:
        return (text,)
    return text.replace("±", "+"), text.replace("±", "-")


def _split(text: str, marks: str) -> tuple[list[str], str] | None:
    """Return a text's pieces between marks outside of brackets, and those marks; None where brackets do not close."""
    pieces: list[str] = []
    found = ""
    depth = start = 0
    for at, mark in enumerate(text):
        if mark in _OPENS:
            depth += 1
        elif mark in _CLOSES:
            depth -= 1
            if depth < 0:
                return None
        elif not depth and mark in marks:
            pieces.append(text[start:at])
            found += mark
            start = at + 1
    return None if depth else ([*pieces, text[start:]], found)


def _part(text: str, depth: int) -> Part | None:
    """Return a text as one part."""
    text = _NAME_BEFORE.sub("", _MEMBER.sub("", text)).strip() if "∈" in text or "," in text else text
    if not text or depth > MAX_DEPTH:
        return None
    for marks in (_SIGNS, "∪", ":"):
        pieces = _split(text, marks)
        if pieces is None:
            return None
        if len(pieces[0]) > 1:
            inner = tuple(_part(piece.strip(), depth + 1) for piece in pieces[0])
            if any(part is None for part in inner):
                return None
            parts = tuple(part for part in inner if part is not None)
            if marks == _SIGNS:
                return Related(parts, pieces[1])
            return United(parts) if marks == "∪" else Bracketed(":", parts, ":")
    return _bracketed(text, depth) or Value(text)


def _bracketed(text: str, depth: int) -> Part | None:
    """Return a text in brackets, where they hold several parts or are a set's; None for other texts.

    Bare braces group in LaTeX, and group no list there: `{1, 2}` is a set whose backslashes were left out.
    """
    if text[0] not in _OPENS or text[-1] not in _CLOSES or _closes_early(text):
        return None
    if text[0] == "{":
        inside = _split(text[1:-1], _SEPARATORS)
        if inside is None or len(inside[0]) == 1:
            return None
        text = f"{SET_OPENS}{text[1:-1]}{SET_CLOSES}"
    if text[0] == SET_OPENS and (described := _described(text[1:-1], depth)):
        return described
    pieces = _split(text[1:-1], _SEPARATORS)
    if pieces is None or (len(pieces[0]) == 1 and text[0] != SET_OPENS):
        return None
    inner = [_part(one.strip(), depth + 1) for piece in pieces[0] if piece.strip() for one in _both_signs(piece)]
    if any(part is None for part in inner) or len(inner) > MAX_PARTS:
        return None
    return Bracketed(text[0], tuple(part for part in inner if part is not None), text[-1])


def _closes_early(text: str) -> bool:
    """Return whether the bracket at the beginning closes before the end: (1, 2)(3, 4)."""
    depth = 0
    for mark in text[:-1]:
        depth += (mark in _OPENS) - (mark in _CLOSES)
        if not depth:
            return True
    return False


def _described(inner: str, depth: int) -> Part | None:
    """Return the condition of a set that is described by one: {x | x > 2}."""
    # The three marks behind which the condition stands.
    found = re.compile(r"\A *([A-Za-z]) *(?:\||:|\\mid) *(.+)\Z").match(inner)
    part = _part(found[2].strip(), depth + 1) if found else None
    return part if isinstance(part, Related) else None
