"""Read a stored object into the value that declares it: names, kinds, ranges and defaults stand once, in the class.

A field with a default may be absent. Keys that the class does not declare go into
its field `other`, where it has one, and are passed over where it has none. msgspec checks each value; what is wrong is
said in our own words, with the place of the field and what was found there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import msgspec

from harness.runs.json_text import describe
from harness.values import Json

_Value = TypeVar("_Value")

_OTHER = "other"
_NO_DEFAULT = (MISSING, msgspec.NODEFAULT)
_MOST_KEY_CHARACTERS = 60
_WORDS: Mapping[Any, str] = {str: "text", bool: "true or false", float: "a number", tuple: "a list"}


def value_from(
    kind: type[_Value], obj: Mapping[str, Json], at: str = "", made: Mapping[str, Any] | None = None
) -> _Value:
    """Return the value that a JSON object holds.

    Args:
        kind: A dataclass, or a struct of msgspec's.
        obj: The object.
        at: Where the object stands, with a dot at the end, for messages.
        made: Fields that are not stored as they are declared, read already.

    Raises:
        ValueError: a field is missing, of another kind, or out of its range; the message names it.
    """
    declared = declared_fields(kind)
    found: dict[str, Any] = dict(made or {})
    for name, (hint, is_required) in declared.items():
        if name in found:
            continue
        if name in obj:
            found[name] = _field(hint, obj[name], f"{at}{name}")
        elif is_required:
            raise ValueError(f"field {at + name!r} is missing")
    if _keeps_others(kind):
        found[_OTHER] = {name: value for name, value in obj.items() if name not in declared}
    return kind(**found)


@cache
def declared_fields(kind: type) -> dict[str, tuple[Any, bool]]:
    """Return the kind of each field as it is annotated, and whether it must be there."""
    hints = get_type_hints(kind, localns={"Json": Any}, include_extras=True)  # msgspec knows no endless types
    found = fields(kind) if is_dataclass(kind) else msgspec.structs.fields(cast("Any", kind))
    return {
        item.name: (hints[item.name], item.default in _NO_DEFAULT and item.default_factory in _NO_DEFAULT)
        for item in found
        if item.name != _OTHER
    }


@cache
def _keeps_others(kind: type) -> bool:
    """Tell whether a value keeps the keys that it does not declare."""
    return _OTHER in get_type_hints(kind, localns={"Json": Any})


@cache
def is_nullable(hint: Any) -> bool:
    """Tell whether a field of this kind may be null."""
    return NoneType in get_args(hint)


@cache
def without_null(hint: Any) -> Any:
    """Return the kind of a field that is not null."""
    kinds = tuple(kind for kind in get_args(hint) if kind is not NoneType)
    return Union[kinds] if get_origin(hint) in (Union, UnionType) else hint  # noqa: UP007 - `|` takes no list of kinds


def _field(hint: Any, value: Json, at: str) -> Any:
    """Return one field's value as its kind has it."""
    if value is None and is_nullable(hint):
        return None
    wanted = without_null(hint)
    kind = get_origin(wanted)
    if wanted is Any:
        return value
    if is_dataclass(wanted) and isinstance(value, dict):
        return value_from(cast("type[Any]", wanted), value, f"{at}.")
    if kind is Mapping and isinstance(value, dict):
        inner = get_args(wanted)[1]
        return {name: _field(inner, item, f"{at}.{name[:_MOST_KEY_CHARACTERS]}") for name, item in value.items()}
    if kind is tuple and get_args(wanted)[-1] is Ellipsis and isinstance(value, list):
        return tuple(_field(get_args(wanted)[0], item, f"{at}[{place}]") for place, item in enumerate(value))
    try:
        asked = cast("Any", dict if kind is Mapping or is_dataclass(wanted) else wanted)
        return msgspec.convert(value, asked)
    except (msgspec.ValidationError, UnicodeEncodeError) as error:  # the latter of a lone surrogate
        null = " or null" if is_nullable(hint) else ""
        raise ValueError(f"field {at!r} must be {_words(wanted)}{null}, found {describe(value)}") from error


def _words(wanted: Any) -> str:
    """Say what a field must hold."""
    if get_origin(wanted) is Annotated:
        return next(note.description for note in wanted.__metadata__ if isinstance(note, msgspec.Meta)) or ""
    if get_origin(wanted) is Literal:
        return f"one of {', '.join(get_args(wanted))}"
    return _WORDS.get(get_origin(wanted) or wanted, "an object")
