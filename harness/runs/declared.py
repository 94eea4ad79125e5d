"""Read a stored object into the value that declares it: names, kinds, ranges and defaults stand once, in the class.

A field that may be null may also be absent, and so may one with a default. Keys that the class does not declare go into
its field `other`, where it has one, and are passed over where it has none. msgspec checks each value; what is wrong is
said in our own words, with the place of the field and what was found there.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Annotated, Any, Literal, TypeAlias, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import msgspec

from harness.runs.record_codec import MAX_COUNT, describe
from harness.values import Json

_Value = TypeVar("_Value")

Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT, description="a whole number from 0 on")]
"""Nothing stored is counted below 0, or in more than 64 bits."""

_OTHER = "other"
_WORDS: Mapping[Any, str] = {
    str: "text",
    bool: "true or false",
    float: "a number",
    tuple[str, ...]: "a list of texts",
    Mapping[str, str]: "an object of texts",
}


def value_from(kind: type[_Value], obj: Mapping[str, Json], at: str = "") -> _Value:
    """Return the value that a JSON object holds.

    Args:
        kind: A dataclass.
        obj: The object.
        at: Where the object stands, with a dot at the end, for messages.

    Raises:
        ValueError: a field is missing, of another kind, or out of its range; the message names it.
    """
    declared = _declared(kind)
    found: dict[str, Any] = {}
    for name, (hint, is_required) in declared.items():
        if name in obj:
            found[name] = _field(hint, obj[name], f"{at}{name}")
        elif _may_be_null(hint):
            found[name] = None
        elif is_required:
            raise ValueError(f"field {at + name!r} is missing")
    if any(item.name == _OTHER for item in fields(cast("Any", kind))):
        found[_OTHER] = {name: value for name, value in obj.items() if name not in declared}
    return kind(**found)


@cache
def _declared(kind: type) -> dict[str, tuple[Any, bool]]:
    """Return the kind of each field, and whether it must be there."""
    hints = get_type_hints(kind, localns={"Json": Any}, include_extras=True)  # msgspec knows no endless types
    return {
        item.name: (hints[item.name], item.default is MISSING and item.default_factory is MISSING)
        for item in fields(cast("Any", kind))
        if item.name != _OTHER
    }


def _field(hint: Any, value: Json, at: str) -> Any:
    """Return one field's value as its kind has it."""
    if value is None and _may_be_null(hint):
        return None
    wanted = _present(hint)
    within = get_args(wanted)[-1] if get_origin(wanted) is Mapping else None
    if is_dataclass(wanted) or within is Any or is_dataclass(within):
        if not isinstance(value, dict):
            raise _wrong(wanted, value, at)
        if within is Any:
            return value
        if within is not None:
            return {name: _field(within, item, f"{at}.{name}") for name, item in value.items()}
        return value_from(cast("type[Any]", wanted), value, f"{at}.")
    try:
        return msgspec.convert(value, wanted)
    except (msgspec.ValidationError, UnicodeEncodeError) as error:  # the latter of a lone surrogate
        raise _wrong(wanted, value, at) from error


def _may_be_null(hint: Any) -> bool:
    return type(None) in get_args(hint)


def _present(hint: Any) -> Any:
    """Return a kind without null."""
    kinds = [kind for kind in get_args(hint) if kind is not type(None)]
    return Union[tuple(kinds)] if get_origin(hint) in (Union, types.UnionType) else hint  # noqa: UP007 - made of a list


def _wrong(wanted: Any, value: Json, at: str) -> ValueError:
    words = next(
        (str(note.description) for note in getattr(wanted, "__metadata__", ())), _WORDS.get(wanted, "an object")
    )
    if get_origin(wanted) is Literal:
        words = f"one of {', '.join(get_args(wanted))}"
    return ValueError(f"field {at!r} must be {words}, found {describe(value)}")
