"""Read single cells of a row: hub columns are typed, TSV columns are text, and both must give the same sample.

Nothing is parsed as a missing value: "None", "N/A", "nan" and "05" stay the text that they are. Only a cell that is
really absent (None, or a float NaN of a typed column) is missing. What is no text and has none that is certainly meant
is a `CellError`: its printed form would be asked, or be the gold that nobody can answer with.
"""

from __future__ import annotations

import ast
import io
import json
import math
import re
import struct
import tokenize
from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import Any, cast

Doc = Mapping[str, Any]
"""One row: column name to value."""

ROW = "_row"
"""Column that our own data access adds: the row's number in its source."""

TEXT_FIELDS = ("answer", "text")
"""Fields of a struct that are its text, as in VQAv2's {answer, answer_confidence, answer_id}."""

_MAX_LITERAL_CHARACTERS = 100_000
_LONG_NUMBER = 12
"""A number written in as many characters has more digits than 32 bits hold."""
_LETTER = re.compile(r"[A-Z]")


class CellError(ValueError):
    """A cell holds something that is no text, such as a struct with several fields; the message says what."""


def text_of(doc: Doc, *columns: str) -> str:
    """Return the first present cell of the named columns as text; the empty text when there is none.

    Raises:
        CellError: The cell holds something nested.
    """
    for column in columns:
        cell = doc.get(column)
        text = cell if isinstance(cell, str) else as_text(cell)
        if text:
            return text
    return ""


def as_text(value: object) -> str:
    """Return a cell as text: missing is empty, whole floats lose their `.0`, text stays as it is.

    A list of one is what it holds, a struct is its field of `TEXT_FIELDS`, bytes are UTF-8 text.

    Raises:
        CellError: The cell holds something else: its printed form would be taken for a text.
    """
    if value is None:
        return ""
    if isinstance(value, str) or type(value) is int:  # before the questions about classes, which take ten times as long
        return str(value)
    if isinstance(value, float):
        if math.isnan(value):
            return ""
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else _shortest(value)
    if isinstance(value, Mapping):
        return as_text(_field_of(cast("Mapping[str, object]", value)))
    if hasattr(value, "tolist"):
        return as_text(cast("Any", value).tolist())
    if isinstance(value, bytes | bytearray):
        return _decoded(bytes(value))
    if isinstance(value, Sequence):
        return _only_text(cast("Sequence[object]", value))
    if isinstance(value, set | frozenset) or value is ...:
        raise CellError(f"{type(value).__name__}, which is no text")
    return str(value)


def _decoded(value: bytes) -> str:
    """Return the text of bytes; raises CellError where they are no UTF-8."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as fault:
        raise CellError(f"bytes that are no UTF-8 text: {value[:20]!r}") from fault


def _only_text(items: Sequence[object]) -> str:
    """Return the text of a list of one, and none of an empty list; raises CellError for others."""
    if len(items) > 1:
        raise CellError(f"a list of {len(items)} things where one text is needed: {ascii(items)[:60]}")
    return as_text(items[0]) if items else ""


def _field_of(fields: Mapping[str, object]) -> object:
    """Return what is the text of a struct; raises CellError where that is not certain."""
    named = [name for name in TEXT_FIELDS if name in fields]
    if len(named) == 1:
        return fields[named[0]]
    names = ", ".join(str(name) for name in fields)[:100] or "no field"
    raise CellError(f"a struct with {names}, of which no field is certainly its text; write the text alone")


def _shortest(value: float) -> str:
    """Return a float's text; of a number that was stored in 32 bits the shortest that 32 bits tell apart.

    A table's 0.1 in 32 bits comes back as 0.10000000149011612, which is no gold that anybody would write.
    """
    text = str(value)
    if len(text) < _LONG_NUMBER or not 1e-30 < abs(value) < 1e30 or _in_32_bits(value) != value:
        return text
    return next((short for digits in range(6, 10) if _in_32_bits(float(short := f"{value:.{digits}g}")) == value), text)


def _in_32_bits(value: float) -> float:
    """Return a number as 32 bits keep it."""
    return struct.unpack("f", struct.pack("f", value))[0]


def whole_of(doc: Doc, *columns: str) -> int | None:
    """Return the first present cell as a whole number; None when there is none."""
    number = number_of(doc, *columns)
    return None if number is None or number != int(number) else int(number)


def number_of(doc: Doc, *columns: str) -> float | None:
    """Return the first present cell as a finite number; None when there is none."""
    text = text_of(doc, *columns).strip()
    if not text or len(text) > 40:
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def list_of(value: object) -> list[str]:
    """Return a cell that holds a list: a real one, a JSON or Python list literal, or one value; missing is empty.

    What is missing inside of the list is an empty text in its place, so that positions stay what they are.

    Raises:
        CellError: An item is something nested, or the text is a printed array.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return []
    if isinstance(value, str):
        parsed = parsed_literal(value)
        if isinstance(parsed, Mapping) and not set(TEXT_FIELDS).intersection(cast("Mapping[str, object]", parsed)):
            parsed = None  # a text in braces is a text, unless it names its answer
        return list_of(parsed) if parsed is not None else ([value] if value else [])
    if isinstance(value, Mapping):  # `datasets` turns a list of structs into a struct of lists
        return list_of(_field_of(cast("Mapping[str, object]", value)))
    if hasattr(value, "tolist"):
        value = cast("Any", value).tolist()
    if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray):
        return [_item(item) for item in cast("Sequence[object]", value)]
    return [as_text(value)]


def _item(value: object) -> str:
    """Return the text of a list's item; raises CellError for a list in the list."""
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        raise CellError(f"a list within a list: {ascii(value)[:60]}")
    return as_text(value)


def answers_of(value: object) -> tuple[str, ...]:
    """Return the accepted answers that a cell holds, without blank ones; raises CellError as `list_of`."""
    return tuple(text for text in list_of(value) if text.strip())


def parsed_literal(text: str) -> list[object] | Mapping[str, object] | None:
    """Read a list or object that a data file (never a model) writes as text, in JSON or in Python; None for others.

    Raises:
        CellError: It is a printed array, `['red' 'blue']`, which Python reads as one text, redblue.
    """
    body = text.strip()
    if body[:1] + body[-1:] not in {"[]", "{}"} or len(body) > _MAX_LITERAL_CHARACTERS:
        return None
    for read in (json.loads, _python_literal):
        try:
            value = read(body)
        except CellError:
            raise
        except (ValueError, SyntaxError, RecursionError, MemoryError, tokenize.TokenError):
            continue
        if isinstance(value, list | dict):
            return cast("list[object] | dict[str, object]", value)
    return None


def _python_literal(text: str) -> object:
    """Read a Python literal; raises CellError for texts that stand side by side, else as `ast.literal_eval`."""
    value = ast.literal_eval(text)
    if value == [...]:
        raise ValueError("three points in brackets are a text")
    before = 0
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == before == tokenize.STRING:
            raise CellError(f"a printed array, whose texts have no commas between them: {ascii(text)[:60]}")
        before = before if token.type in {tokenize.NL, tokenize.NEWLINE} else token.type
    return value


def lettered(options: Sequence[str]) -> dict[str, str]:
    """Return letter to option text, by position, without empty options; raises CellError beyond 26 options."""
    if len(options) > len(ascii_uppercase):
        raise CellError(f"{len(options)} options; there are letters for {len(ascii_uppercase)}")
    pairs = zip(ascii_uppercase, options, strict=False)
    return {letter: text for letter, text in pairs if text.strip()}


def options_in(value: object) -> dict[str, str]:
    """Return letter to option of a cell: a list, an object of letters, or the hub's struct of `label` and `text`.

    Raises:
        CellError: It is a struct of other fields, or as `list_of`.
    """
    parsed = parsed_literal(value) if isinstance(value, str) else value
    if not isinstance(parsed, Mapping):
        return lettered(list_of(value))
    options = cast("Mapping[str, object]", parsed)
    if set(options) == {"label", "text"}:
        options = dict(zip(list_of(options["label"]), cast("Sequence[object]", options["text"]), strict=True))
    if not all(_LETTER.fullmatch(str(name)) for name in options):
        fields = ", ".join(map(str, options))[:100]
        raise CellError(f"a struct with {fields}; options are a list, or an object with letters as its names")
    found = {letter: as_text(text) for letter, text in options.items()}
    return {letter: text for letter, text in found.items() if text.strip()}


def lettered_columns(doc: Doc, missing: frozenset[str] = frozenset({""})) -> dict[str, str]:
    """Return the option columns A, B, C... that a row fills; `missing` names the texts that mean an empty cell."""
    found = {letter: as_text(doc.get(letter)) for letter in "ABCDEFGHIJ"}
    return {letter: text for letter, text in found.items() if text.strip() not in missing}


def listed(choices: Mapping[str, str]) -> str:
    """Write options one a line, as `A. text`; no options give the empty text."""
    return "\n".join(f"{letter}. {text}" for letter, text in choices.items())


def paragraphs(*parts: str) -> str:
    """Join the non-empty parts by line breaks."""
    return "\n".join(part.strip() for part in parts if part.strip())
