"""Make text that nobody vouches for safe to look at: what is invisible is shown, what a spreadsheet would run is text.

Escaping is the templates' business (autoescape) and the explorer's (textContent). This file deals with what escaping
leaves as it is: control characters, NUL, lone surrogates and the bidi controls that can make a line read backwards.
"""

from __future__ import annotations

import re

# U+FFFE and U+FFFF are no characters: XML forbids them, and a chart is XML.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ufeff\uffa0\ufff9-\ufffb\ufffe\uffff\ud800-\udfff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e007f]"
)
_INVISIBLE_ASCII = re.compile("[\x00-\x08\x0b-\x1f\x7f]")
"""The same of texts that have nothing beyond ASCII, looked for in half the time: nearly every text of a page."""

MAX_CELL_CHARACTERS = 32_000
"""Spreadsheets hold 32,767 characters in a cell; a longer text is cut."""

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def visible(text: str) -> str:
    """Return the text with each invisible or text-turning character as its code, such as `⟦U+202E⟧`.

    Newlines, tabs and the joiners that scripts and emoji need stay. The result can always be written as UTF-8.
    """
    if not text.isascii():
        return _INVISIBLE.sub(_code, text) if _INVISIBLE.search(text) else text
    # of a single line the first says at once that there is nothing to do
    return text if text.isprintable() or not _INVISIBLE_ASCII.search(text) else _INVISIBLE_ASCII.sub(_code, text)


def one_line(text: str) -> str:
    """Return the text as one line: as `visible` shows it, with newlines and tabs as codes too."""
    return visible(text).replace("\n", code_of("\n")).replace("\t", code_of("\t"))


def code_of(character: str) -> str:
    """Return how a character that must not take effect is shown, such as `⟦U+202E⟧`."""
    return f"⟦U+{ord(character):04X}⟧"


def _code(found: re.Match[str]) -> str:
    return code_of(found[0])


def csv_cell(value: str | float | None) -> str | float:
    """Return a cell that no spreadsheet takes for a formula: a text that starts like one gets an apostrophe before it.

    The rule is OWASP's on CSV injection. Numbers stay numbers; None is the empty text.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        return value
    shown = visible(value[:MAX_CELL_CHARACTERS])
    return f"'{shown}" if shown.lstrip(" \n").startswith(_FORMULA_STARTS) or value.startswith(("\t", "\r")) else shown
