"""Read single cells of a row: hub columns are typed, TSV columns are text, and both must give the same sample.

Nothing is parsed as a missing value: "None", "N/A", "nan" and "05" stay the text that they are. Only a cell that is
really absent (None, or a float NaN of a typed column) is missing.
"""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

Doc = Mapping[str, Any]
"""One row: column name to value."""

ROW = "_row"
"""Column that our own data access adds: the row's number in its source."""

_MAX_LITERAL_CHARACTERS = 100_000


def text_of(doc: Doc, *columns: str) -> str:
    """Return the first present cell of the named columns as text; the empty text when there is none."""
    for column in columns:
        text = as_text(doc.get(column))
        if text:
            return text
    return ""


def as_text(value: object) -> str:
    """Return a cell as text: missing is empty, whole floats lose their `.0`, text stays as it is."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        if math.isnan(value):
            return ""
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else str(value)
    return str(value)


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
    """Return a cell that holds a list: a real one, a JSON or Python list literal, or one value; missing is empty."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return []
    if isinstance(value, str):
        parsed = _parse_list(value)
        return [as_text(item) for item in parsed] if parsed is not None else ([value] if value else [])
    if hasattr(value, "tolist"):
        value = cast("Any", value).tolist()
    if isinstance(value, Sequence):
        return [as_text(item) for item in cast("Sequence[object]", value)]
    return [as_text(value)]


def _parse_list(text: str) -> list[object] | None:
    """Read a list literal of a data file (never a model's text); None when it is none."""
    body = text.strip()
    if not (body.startswith("[") and body.endswith("]")) or len(body) > _MAX_LITERAL_CHARACTERS:
        return None
    for read in (json.loads, ast.literal_eval):
        try:
            value = read(body)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(value, list):
            return cast("list[object]", value)
    return None


def lettered(options: Sequence[str]) -> dict[str, str]:
    """Return letter to option text, by position; at most 26 options have letters."""
    return dict(zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", options, strict=False))


def lettered_columns(doc: Doc, missing: frozenset[str] = frozenset({""})) -> dict[str, str]:
    """Return the option columns A, B, C... that a row fills; `missing` names the texts that mean an empty cell."""
    found = {letter: as_text(doc.get(letter)) for letter in "ABCDEFGHI"}
    return {letter: text for letter, text in found.items() if text.strip() not in missing}


def listed(choices: Mapping[str, str]) -> str:
    """Write options one a line, as `A. text`; no options give the empty text."""
    return "\n".join(f"{letter}. {text}" for letter, text in choices.items())


def paragraphs(*parts: str) -> str:
    """Join the non-empty parts by line breaks."""
    return "\n".join(part.strip() for part in parts if part.strip())
