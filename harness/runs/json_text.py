"""Read JSON objects of strangers, and bring values into what JSON can hold and every reader can read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import isfinite
from typing import Any, cast

import msgspec

from harness.values import Json

MAX_DEPTH = 100
"""Lists and objects nested deeper than this are stored as null: Python's own reader gives up soon after."""

MAX_INT_BITS = 14_000
"""Whole numbers of more bits are stored as null: Python refuses to read more than 4,300 digits."""


def _refuse_constant(name: str) -> Json:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
_FAST_DECODER: msgspec.json.Decoder[Any] = msgspec.json.Decoder()
"""Gives what `_DECODER` gives in half the time, but refuses some of what it takes, such as lone surrogates."""


def parse_object(text: str) -> dict[str, Json]:
    """Read one JSON object.

    Raises:
        ValueError: not JSON, not an object, nested too deeply, or with a NaN or an infinity in it.
    """
    try:
        value = _decoded(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON ({error.msg} at character {error.pos})") from error
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError(f"{describe(value)}, not an object")  # noqa: TRY004 - it is the text that is wrong, not a type
    return value


def _decoded(text: str) -> Json:
    """Read JSON; what the fast reader refuses goes to the slow one, which takes it or says what is wrong."""
    try:
        return cast("Json", _FAST_DECODER.decode(text))
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        return cast("Json", _DECODER.decode(text))


def json_safe(value: Json, depth: int = 0) -> Json:
    """Return a copy that JSON can hold: non-finite numbers, endless ones and what lies too deep become null.

    Raises:
        TypeError: something that is no JSON at all, such as a numpy integer: whoever made it must convert it.
    """
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int):
        return value if value.bit_length() <= MAX_INT_BITS else None
    if isinstance(value, float):
        return value if isfinite(value) else None
    if depth == MAX_DEPTH:
        return None
    if isinstance(value, list | tuple):
        return [json_safe(item, depth + 1) for item in value]
    if isinstance(value, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] - adapters are not always typed
        return {text_key(key): json_safe(item, depth + 1) for key, item in value.items()}
    raise TypeError(f"{value!r} ({type(value).__name__}) cannot be stored as JSON; convert it to a plain value first")


def text_key(key: object) -> str:
    """Return a key of an object; one that is no text is an error, a TypeError."""
    if not isinstance(key, str):
        raise TypeError(f"the key {key!r} ({type(key).__name__}) cannot be stored as JSON; keys must be text")
    return key


def describe(value: Json) -> str:
    """Say in a few words what a JSON value is, without quoting what may be a megabyte of it."""
    if value is None:
        return "null"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return f"an object of {len(value)} fields"
    shown = repr(value) if not isinstance(value, int) or value.bit_length() < 200 else "a huge number"
    return shown if len(shown) <= 60 else shown[:60] + "..."
