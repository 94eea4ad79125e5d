"""Tell where stored numbers are not those that the records give: by their place in the file, number by number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from harness.values import Json

SAME: Final = 1e-6
"""Two values of a number that differ by no more of the larger one are the same."""
INTERVAL_SLACK: Final = 0.25
"""Ends of an interval may differ by this part of its width: draws and rules of another version moved them."""
_ENDS: Final = (("ci_low", "ci_high"), ("low", "high"))
"""What the ends of an interval are called."""
_MOST_SHOWN: Final = 60
"""Characters of a value that a sentence shows."""


def differences(told: Json, own: Json, place: str, slack: float = 0.0) -> Iterator[str]:
    """Yield what stored values say that the records do not give, one place each, such as `necessity.value is 0.9, ...`.

    Args:
        told: What is stored.
        own: What the records give, of the same shape.
        place: Where both stand, in names by dots.
        slack: How far numbers may differ.
    """
    if isinstance(told, dict) and isinstance(own, dict):
        yield from _of_objects(told, own, place, slack)
    elif isinstance(told, list) and isinstance(own, list) and len(told) == len(own):
        for number, (one, other) in enumerate(zip(told, own, strict=True)):
            yield from differences(one, other, f"{place}[{_name_of(own[number], number)}]", slack)
    elif isinstance(told, list) and isinstance(own, list):
        yield f"{place} has {len(told)} entries, its records give {len(own)}"
    elif not _is_same(told, own, slack):
        yield f"{place} is {_shown(told)}, its records give {_shown(own)}"


def _of_objects(told: Mapping[str, Json], own: Mapping[str, Json], place: str, slack: float) -> Iterator[str]:
    widths = _slack_of_ends(own)
    for name, value in own.items():
        if name in told:
            yield from differences(told[name], value, f"{place}.{name}", widths.get(name, slack))
        elif _says_something(value):
            yield f"lacks {place}.{name}, which its records give"
    for name in told:
        if name not in own:
            yield f"has {place}.{name}, which its records do not give"


def _slack_of_ends(own: Mapping[str, Json]) -> dict[str, float]:
    """Return by name how far the ends of an interval may differ."""
    found: dict[str, float] = {}
    for names in _ENDS:
        low, high = (own.get(name) for name in names)
        if isinstance(low, int | float) and isinstance(high, int | float):
            found |= dict.fromkeys(names, INTERVAL_SLACK * (high - low))
    return found


def _is_same(told: Json, own: Json, slack: float) -> bool:
    numbers = (int, float)
    if isinstance(told, bool) or isinstance(own, bool) or not (isinstance(told, numbers) and isinstance(own, numbers)):
        return told == own and isinstance(told, bool) == isinstance(own, bool)
    return abs(told - own) <= SAME * max(1.0, abs(own)) + slack


def _says_something(own: Json) -> bool:
    """Whether a value is more than nothing; what a newer version counts and finds nothing of is no contradiction."""
    if isinstance(own, dict):
        return any(map(_says_something, own.values()))
    if isinstance(own, list):
        return any(map(_says_something, own))
    return isinstance(own, int | float) and own != 0


def _name_of(entry: Json, number: int) -> str:
    """Return what tells an entry from the others: its names where it has any, else its number."""
    if not isinstance(entry, dict):
        return str(number)
    names = [str(entry[name]) for name in ("task", "id", "fill", "form", "operation", "target") if name in entry]
    return " ".join(names) or str(number)


def _shown(value: Json) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)[:_MOST_SHOWN]
