"""Read boxes out of a `<bbox>` stage's text, `[[x1, y1, x2, y2], ...]`: strictly, or as SATORI's released code does.

Both readers are hand-written, never raise and never call a general evaluator. They read in one pass over the text, so
that whatever a model writes costs milliseconds: what is longer than `MAX_BOX_CHARACTERS` or holds more than `MAX_BOXES`
boxes is not read at all and named `malformed`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite
from typing import Final, Literal, TypeAlias

from harness.values import Box, BoxOrder, Fault, order_faults

MAX_BOX_CHARACTERS: Final = 100_000
"""Longest text that is read, in characters: room for `MAX_BOXES` boxes with every digit of a float."""

MAX_BOXES: Final = 1_000
"""Most boxes (or pieces that should have been boxes) in one text; a sensible answer has one to five."""

MAX_PAPER_NESTING: Final = 200
"""Most brackets and parentheses open at once in `read_boxes_paper`: the limit of Python's own tokeniser."""


@dataclass(frozen=True, slots=True)
class BoxReading:
    """What a bbox stage says."""

    boxes: tuple[Box, ...]
    """The boxes that count, in written order and in the frame of the text."""
    faults: tuple[Fault, ...] = ()
    """What is wrong with the text or with single boxes, each name once, in the order of `FAULTS`."""
    nested: bool = False
    """Whether the text is a list of lists, as the format asks; a flat `[x1, y1, x2, y2]` is not."""

    @property
    def keeps_format(self) -> bool:
        """Whether this is a list of lists with at least one well-formed box; what else is in it is named as a fault."""
        return self.nested and bool(self.boxes)


_EMPTY = BoxReading((), ("empty",))
_MALFORMED = BoxReading((), ("malformed",))
_NON_FINITE = BoxReading((), ("non_finite",))

BLANK: Final = r"[^\S\x1c-\x1f]"
"""White space as `float` takes it: the four separators of ASCII are white space to `re`, but no part of a number."""
_FINITE = r"(?:[0-9]++(?:\.[0-9]*+)?+|\.[0-9]++)(?:[eE][+-]?+[0-9]++)?+"
NUMBER: Final = rf"[+-]?+(?:{_FINITE}|[nN][aA][nN]|[iI][nN][fF](?:[iI][nN][iI][tT][yY])?+)"
"""What `float` takes for a number, without blanks: a possessive pattern, so that no digit is looked at twice."""
_SPACED = rf"{BLANK}*+{NUMBER}{BLANK}*+"
_FOUR_NUMBERS = rf"{_SPACED}(?:,{_SPACED}){{3}}+"
_BOX = re.compile(_FOUR_NUMBERS)
_BOXES = re.compile(rf"{BLANK}*+\[{_FOUR_NUMBERS}\]{BLANK}*+(?:,{BLANK}*+\[{_FOUR_NUMBERS}\]{BLANK}*+)*+")
"""Items of the outer list that are all lists of four numbers: nearly every text, read without taking it apart."""
_PIECE = re.compile(
    # An inner list, else what holds no bracket; up to a comma or the end.
    r"\s*+(?:\[([^\[\]]*+)\]\s*+|[^\[\],]*+)(,|\Z)"
)
"""One item of the outer list: a list without lists in it (group 1), or anything else without brackets."""


def read_boxes(text: str, order: BoxOrder = "xyxy") -> BoxReading:
    """Read boxes strictly.

    The dialect is JSON's list of lists of four numbers, with blanks anywhere, and in numbers (of ASCII digits) also a
    leading `+`, leading zeros, `1.` and `.5`. A flat list of four numbers is taken as one box, but named `malformed`.

    Args:
        text: The text of the stage, without its tags.
        order: Which of the four numbers is which.

    Returns:
        The well-formed boxes as x1, y1, x2, y2 (finite, x1 < x2, y1 < y2; outside of an image is allowed here). The
        others are left out and named: `non_finite` (NaN, infinite, or too large for a float, such as 400 digits),
        `degenerate` (x1 = x2 or y1 = y2), `inverted` (x1 > x2 or y1 > y2), `malformed` (an item that is not a list of
        four numbers). A text that is no list of items at all, is nested deeper, or is beyond the limits gives no boxes
        and `malformed`. A blank text and an empty list give no boxes and `empty`.
    """
    text = text.strip()
    if not text:
        return _EMPTY
    if len(text) > MAX_BOX_CHARACTERS or len(text) == 1 or text[0] != "[" or text[-1] != "]":
        return _MALFORMED
    inner = text[1:-1]
    if "[" not in inner:
        return _read_flat(inner, order)
    return _read_nested(inner, order)


def _read_flat(inner: str, order: BoxOrder) -> BoxReading:
    """Read what stands between the brackets of a flat list."""
    if not inner or inner.isspace():
        return _EMPTY
    if _BOX.fullmatch(inner) is None:
        return _MALFORMED
    boxes, faults = well_formed(_boxes_of(inner), order)
    return BoxReading(boxes, order_faults({*faults, "malformed"}))


def _read_nested(inner: str, order: BoxOrder) -> BoxReading:
    """Read the items between the outer brackets."""
    if inner.count("[") > MAX_BOXES:
        return _MALFORMED
    if _BOXES.fullmatch(inner) is not None:
        boxes, faults = well_formed(_boxes_of(inner), order)
        return BoxReading(boxes, order_faults(faults), nested=True)
    pieces = _pieces(inner)
    if pieces is None:
        return _MALFORMED
    boxes, faults = well_formed([box for piece in pieces for box in _boxes_of(piece)], order)
    return BoxReading(boxes, order_faults({*faults, "malformed"}), nested=True)


def _pieces(inner: str) -> list[str] | None:
    """Return the items that are four numbers, without brackets; None for no list, or one of more than `MAX_BOXES`."""
    pieces: list[str] = []
    position = 0
    for _ in range(MAX_BOXES):
        piece = _PIECE.match(inner, position)
        if piece is None:
            return None
        if piece[1] is not None and _BOX.fullmatch(piece[1]) is not None:
            pieces.append(piece[1])
        if not piece[2]:
            return pieces
        position = piece.end()
    return None


def _boxes_of(numbers: str) -> list[Box]:
    """Return the boxes of a text of four numbers each, already checked; brackets in it count as blanks."""
    coordinates = map(float, numbers.replace("[", " ").replace("]", " ").split(","))
    return list(zip(coordinates, coordinates, coordinates, coordinates, strict=True))


def corners(quadruples: Sequence[Box], order: BoxOrder) -> Sequence[Box]:
    """Return four numbers each as x1, y1, x2, y2, whatever they come to."""
    if order == "yxyx":
        return [(x1, y1, x2, y2) for y1, x1, y2, x2 in quadruples]
    if order == "xywh":
        return [(x, y, x + width, y + height) for x, y, width, height in quadruples]
    return quadruples


def well_formed(quadruples: Sequence[Box], order: BoxOrder = "xyxy") -> tuple[tuple[Box, ...], set[Fault]]:
    """Return the boxes that count as x1, y1, x2, y2, and why the others do not."""
    kept: list[Box] = []
    faults: set[Fault] = set()
    for box in quadruples if order == "xyxy" else corners(quadruples, order):
        x1, y1, x2, y2 = box
        if -inf < x1 < x2 < inf and -inf < y1 < y2 < inf:
            kept.append(box)
        elif not (isfinite(x1) and isfinite(y1) and isfinite(x2) and isfinite(y2)):
            faults.add("non_finite")
        else:
            faults.add("degenerate" if x1 == x2 or y1 == y2 else "inverted")
    return tuple(kept), faults


_DIGITS = r"[0-9](?:_?[0-9])*+"
_TOKEN = re.compile(
    r"(?:[ \t\f\n]|\\\n|\#[^\n]*+)*+"  # blanks, continued lines and comments: what separates tokens inside brackets
    r"(?:(?P<mark>[\[\](),+-])"
    r"|(?P<radix>0(?:[xX](?:_?[0-9a-fA-F])++|[oO](?:_?[0-7])++|[bB](?:_?[01])++))"
    rf"|(?P<decimal>(?:{_DIGITS}(?:\.(?:{_DIGITS})?+)?+|\.{_DIGITS})(?:[eE][+-]?+{_DIGITS})?+)"
    r"|(?P<bool>True|False))"
)
_PLAIN_NUMBER = r"[ \n]*+-?+(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+[ \n]*+"
_PLAIN_FOUR = rf"{_PLAIN_NUMBER}(?:,{_PLAIN_NUMBER}){{3}}+"
_PLAIN_BOXES = re.compile(rf"[ ]*+\[[ \n]*+(\[{_PLAIN_FOUR}\][ \n]*+(?:,[ \n]*+\[{_PLAIN_FOUR}\][ \n]*+)*+)\][ ]*+\n*+")
"""Plain decimal numbers in a list of lists: nearly every text, read without taking it apart."""
_LEADING_ZERO = re.compile(r"0[0_]*+[1-9][0-9_]*+")
"""A decimal integer such as `01`, which Python refuses; `00` and `01.5` are fine."""

_BLANK_LINES = re.compile(
    # Python's tokeniser: lines of blanks, continued ones and comments, up to the last of them, which may end the text.
    r"(?:(?:[ \t\f]|\\\n)*+(?:\n|\#[^\n]*+(?:\n|\Z)))*+"
)
_INDENT = re.compile(
    # Blanks, also over a continued line.
    r"(?:[ \t\f]|\\\n)*+"
)
_REST_OF_LINE = re.compile(
    # Blanks (group 1), a comment, and what ends the line (2).
    r"((?:[ \t\f]|\\\n)*+)(?:\#[^\n]*+)?+(\n|\Z)"
)

_Value: TypeAlias = tuple[Literal["unsigned", "signed"], float] | tuple[Literal["box"], Box] | Literal["list"]
"""A finished expression: a number that may still take a sign, one that may not, an inner list, the outer list."""


class _NoBoxesError(Exception):
    """The text is not a list of boxes; never leaves this file."""


def read_boxes_paper(text: str) -> BoxReading:
    """Read boxes as SATORI's released reward does (its plugin.py hands the stage to Python's `ast.literal_eval`).

    The grammar is the part of Python's literals that can come out as a list of lists of four real numbers: decimal,
    hexadecimal, octal and binary integers with underscores, floats, `True` and `False`, one sign, trailing commas,
    parentheses, comments, continued lines, and Python's rules of indentation (3.11's) around it. Anything else counts
    as nothing, as it does there: one wrong item and the whole text has no boxes. Inverted and degenerate boxes stay in.

    Args:
        text: The text of the stage, without its tags and not stripped.

    Returns:
        The boxes, or none with one fault: `empty` (blank text or empty list), `malformed` (whatever the reference
        scores 0 for its shape, or crashes on), `non_finite` (a number or an area too large for a float: the reference
        crashes or returns NaN). Beyond `MAX_BOX_CHARACTERS` or `MAX_BOXES`, which the reference does not know, the
        text is `malformed` as well.
    """
    if not text or text.isspace():
        return _EMPTY
    if len(text) > MAX_BOX_CHARACTERS or "\0" in text or not _is_encodable(text):
        return _MALFORMED
    plain = _PLAIN_BOXES.fullmatch(text)
    if plain is not None and plain[1].count("[") <= MAX_BOXES:
        return _finite_or_none(_boxes_of(plain[1]), nested=True)
    source = text.lstrip(" \t")
    if "\r" in source:
        source = source.replace("\r\n", "\n").replace("\r", "\n")
    start = _line_start(source, 0)
    if start is None:
        return _MALFORMED
    reader = _LiteralReader()
    try:
        end = reader.read(source, start)
    except _NoBoxesError:
        return _MALFORMED
    return reader.reading() if _ends_cleanly(source, end) else _MALFORMED


def _is_encodable(text: str) -> bool:
    """Return whether the text can be Python source: a lone surrogate cannot, even in a comment."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _line_start(source: str, position: int) -> int | None:
    """Skip blank and comment lines; return where the next line's text starts.

    None when that line is indented, or is continued by one that never comes.
    """
    blank = _BLANK_LINES.match(source, position)
    assert blank is not None  # the pattern matches the empty string
    indent = _INDENT.match(source, blank.end())
    assert indent is not None  # the same
    return None if _is_indented(indent[0]) or _is_left_open(source, indent[0], indent.end()) else indent.end()


def _is_left_open(source: str, blanks: str, end: int) -> bool:
    """Return whether the source ends in blanks of which the last is a continuation."""
    return end == len(source) and blanks.endswith("\\\n")


def _is_indented(blanks: str) -> bool:
    """Return whether leading blanks leave the column at other than 0, as Python's tokeniser counts.

    A form feed sets the column back to 0. Of lines continued by a backslash the first that is indented counts.
    """
    column = ""
    for line in blanks.split("\\\n"):
        column = (column + line).rpartition("\f")[2]
        if column:
            return True
    return False


def _ends_cleanly(source: str, position: int) -> bool:
    """Return whether after the expression only blanks, comments and blank lines follow."""
    rest = _REST_OF_LINE.match(source, position)
    if rest is None:
        return False
    if not rest[2]:
        return not _is_left_open(source, rest[1], rest.end(1))
    return _line_start(source, rest.end()) == len(source)


class _LiteralReader:
    """One pass over the tokens of a nested list of numbers, with its own stack: depth costs no recursion."""

    __slots__ = ("_boxes", "_flat", "_inner", "_open_lists", "_sign", "_stack")

    def __init__(self) -> None:
        self._stack: list[tuple[str, str]] = []  # open brackets, each with the sign written before it
        self._open_lists = 0  # how many of those are square
        self._sign = ""  # written before the expression that is awaited
        self._boxes: list[Box] = []
        self._flat: list[float] = []  # numbers that stand in the outer list itself
        self._inner: list[float] = []  # numbers of the inner list, while one is open

    def read(self, source: str, position: int) -> int:
        """Read one expression and return where it ends.

        Raises:
            _NoBoxesError: It is not a list of lists of four numbers, nor a list of four numbers.
        """
        value: _Value | None = None  # the expression just finished; None while one is awaited
        while self._stack or value is None:
            token = _TOKEN.match(source, position)
            if token is None:
                raise _NoBoxesError
            value = self._begin(token) if value is None else self._continue(value, token)
            position = token.end()
        if value != "list":
            raise _NoBoxesError
        return position

    def reading(self) -> BoxReading:
        """Return what was read, after `read` found the text in order."""
        if self._flat:
            x1, y1, x2, y2 = self._flat
            return _finite_or_none([(x1, y1, x2, y2)], nested=False)
        return _finite_or_none(self._boxes, nested=True) if self._boxes else _EMPTY

    def _begin(self, token: re.Match[str]) -> _Value | None:
        """Take a token where an expression is awaited; return the expression when the token finishes it."""
        sign, mark = self._sign, token["mark"]
        if mark is None:
            self._sign = ""
            return _signed(sign, _number(token))
        if mark in "[(":
            self._open(mark)
        elif mark in "+-" and not sign:
            self._sign = mark
        elif mark == "]" and not sign:  # an empty list, or a comma before the bracket
            return self._close_list()
        else:
            raise _NoBoxesError
        return None

    def _continue(self, value: _Value, token: re.Match[str]) -> _Value | None:
        """Take a token behind a finished expression; return the expression that the token finishes, if any."""
        mark = token["mark"]
        if mark == ")" and self._stack[-1][0] == "(":
            return _signed(self._stack.pop()[1], value)
        if mark == ",":
            self._append(value)
            return None
        if mark == "]":
            self._append(value)
            return self._close_list()
        raise _NoBoxesError

    def _open(self, mark: str) -> None:
        """Open a list or a parenthesis."""
        if len(self._stack) == MAX_PAPER_NESTING or (mark == "[" and (self._sign or self._open_lists == 2)):
            raise _NoBoxesError
        self._open_lists += mark == "["
        self._stack.append((mark, self._sign))
        self._sign = ""

    def _append(self, value: _Value) -> None:
        """Append a value to the list that is open here; in a parenthesis a comma would make a tuple."""
        if self._stack[-1][0] != "[" or value == "list":
            raise _NoBoxesError
        if value[0] == "box":
            self._boxes.append(value[1])
        elif self._open_lists == 2:
            self._inner.append(value[1])
        else:
            self._flat.append(value[1])
        too_many = len(self._inner) > 4 or len(self._flat) > 4 or len(self._boxes) > MAX_BOXES
        if too_many or (self._flat and self._boxes):
            raise _NoBoxesError

    def _close_list(self) -> _Value:
        """Close the list that is open here."""
        if not self._stack or self._stack.pop()[0] != "[":
            raise _NoBoxesError
        self._open_lists -= 1
        if self._open_lists == 0:
            if len(self._flat) not in {0, 4}:
                raise _NoBoxesError
            return "list"
        if len(self._inner) != 4:
            raise _NoBoxesError
        x1, y1, x2, y2 = self._inner
        self._inner.clear()
        return ("box", (x1, y1, x2, y2))


def _signed(sign: str, value: _Value) -> _Value:
    """Apply a sign, if there is one; Python's literals allow none on a signed number, a bool or a list."""
    if not sign:
        return value
    if value == "list" or value[0] != "unsigned":
        raise _NoBoxesError
    return ("signed", -value[1] if sign == "-" else value[1])


def _number(token: re.Match[str]) -> _Value:
    """Return the number of a token; infinite when it is too large for a float."""
    if token["bool"] is not None:
        return ("signed", float(token["bool"] == "True"))
    if token["radix"] is not None:
        return ("unsigned", _integer_of_radix(token["radix"]))
    if _LEADING_ZERO.fullmatch(token["decimal"]):
        raise _NoBoxesError
    return ("unsigned", float(token["decimal"]))


def _integer_of_radix(written: str) -> float:
    """Return a hexadecimal, octal or binary integer; infinite when it is too large for a float."""
    digits = written[2:].replace("_", "").lstrip("0")
    if len(digits) > sys.float_info.max_exp:  # too many even for binary digits; bounds the work of int()
        return inf
    try:
        return float(int(digits or "0", {"x": 16, "o": 8, "b": 2}[written[1].lower()]))
    except OverflowError:
        return inf


def _finite_or_none(boxes: list[Box], *, nested: bool) -> BoxReading:
    """Return the boxes, or none of them when the area of any one is no finite float."""
    for x1, y1, x2, y2 in boxes:
        if not isfinite((x2 - x1) * (y2 - y1)):
            return _NON_FINITE
    return BoxReading(tuple(boxes), nested=nested)
