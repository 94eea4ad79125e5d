"""In which fields two runs were not asked alike, each with both values: all that a run key covers, hashes opened.

A hash of a task says only that something differs; what it is made of says what. Names are those of `manifest.json`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from harness.runs.manifest import Manifest, run_key_parts, task_parts
from harness.values import Json

_MOST_TOLD = 3
"""So many differing fields are told; the rest is counted."""
_MOST_NAMES = 3
"""So many tasks are named that share a difference."""
_MOST_CHARACTERS = 60
"""Of a value, so much is shown."""
_BEFORE = 8
"""Of what two long values share, so many characters are shown before the place where they part."""
_SHOWN_DIGITS = 12
"""Of a hash."""
_HASH = re.compile(r"[0-9a-f]{40,}")
_OPENED = ("comparable", "computed", "served")
"""Parts of a run key that only put fields together; they are no fields of a manifest."""


@dataclass(frozen=True, slots=True)
class FieldDifference:
    """One field that two runs do not share."""

    part: str
    """The part of the run key that it is in, such as `tasks` or `computed`."""
    field: str
    """Its name, such as `seed` or `generation.max_new_tokens`."""
    tasks: tuple[str, ...]
    """The tasks that differ in it so; empty for what is the run's."""
    one: Json
    """The first one's value; None where it has none."""
    other: Json
    """The other one's."""


def manifest_differences(one: Manifest, other: Manifest) -> tuple[FieldDifference, ...]:
    """Return every field of two runs' keys that they do not share; empty where the keys are equal.

    Tasks that differ alike are one difference. A task that one of them alone was asked is told of by `tasks`, and its
    fields are not.
    """
    mine, theirs = run_key_parts(one), run_key_parts(other)
    found: list[FieldDifference] = []
    for part in mine | theirs:
        if part == "tasks":
            found += _of_tasks(_opened(one, mine), _opened(other, theirs))
        elif mine.get(part) != theirs.get(part):
            name = _field_of(part, one, other)
            found += [
                FieldDifference(part, field, (), *values) for field, values in _parted(name, mine, theirs, part).items()
            ]
    return tuple(found)


def _field_of(part: str, one: Manifest, other: Manifest) -> str:
    """Return what a manifest calls a part of the key; empty for a part that only puts fields together."""
    if part == "model" and one.weights_hash and other.weights_hash:
        return "weights_hash"
    return "" if part in _OPENED else part


def _opened(manifest: Manifest, key: Mapping[str, Json]) -> dict[str, Json]:
    """Return how each task was asked, with what its hash is made of in place of the hash."""
    asked = key["tasks"]
    assert isinstance(asked, dict), "run_key_parts makes it so"
    opened: dict[str, Json] = {}
    for name, task in manifest.tasks.items():
        drawn = asked[name]
        assert isinstance(drawn, dict), "run_key_parts makes it so"
        opened[name] = {**{field: value for field, value in drawn.items() if field != "hash"}, **task_parts(task)}
    return opened


def _of_tasks(mine: Mapping[str, Json], theirs: Mapping[str, Json]) -> list[FieldDifference]:
    """Return in what the tasks differ: first which they are, then what most of them differ in."""
    names = [", ".join(sorted(side)) for side in (mine, theirs)]
    found = [FieldDifference("tasks", "tasks", (), *names)] if names[0] != names[1] else []
    alike: dict[str, tuple[FieldDifference, list[str]]] = {}
    for task in sorted(mine.keys() & theirs.keys()):
        for field, values in _parted("", mine, theirs, task).items():
            difference = FieldDifference("tasks", field, (), *values)
            alike.setdefault(repr(difference), (difference, []))[1].append(task)
    found += [replace(difference, tasks=tuple(tasks)) for difference, tasks in alike.values()]
    return sorted(found, key=lambda difference: (difference.field != "tasks", -len(difference.tasks)))


def _parted(name: str, mine: Mapping[str, Json], theirs: Mapping[str, Json], part: str) -> dict[str, tuple[Json, Json]]:
    """Return the fields inside of a part in which two sides differ, with both values."""
    one, other = _leaves(name, mine.get(part)), _leaves(name, theirs.get(part))
    return {
        field or part: (one.get(field), other.get(field)) for field in one | other if one.get(field) != other.get(field)
    }


def _leaves(name: str, value: Json) -> dict[str, Json]:
    """Return the values inside of objects by their dotted names."""
    if not isinstance(value, dict):
        return {name: value}
    leaves: dict[str, Json] = {}
    for key, inner in value.items():
        leaves |= _leaves(f"{name}.{key}" if name else key, inner)
    return leaves


def differences_text(differences: Sequence[FieldDifference]) -> str:
    """Say the first differing fields with both values, and how many there are beside them."""
    told = "; ".join(map(_told, differences[:_MOST_TOLD]))
    left = len(differences) - _MOST_TOLD
    return told if left <= 0 else f"{told}; and {left} more {'fields' if left > 1 else 'field'}"


def _told(difference: FieldDifference) -> str:
    names = ", ".join(difference.tasks[:_MOST_NAMES])
    left = len(difference.tasks) - _MOST_NAMES
    of_tasks = f" of {names}{f' and {left} more' if left > 0 else ''}" if names else ""
    one, other = _both(*map(_written, (difference.one, difference.other)))
    return f"{difference.field}{of_tasks} is {one} and {other}"


def _written(value: Json) -> str:
    if value is None:
        return "none"
    if isinstance(value, str):
        return value[:_SHOWN_DIGITS] if _HASH.fullmatch(value) else value or "empty"
    return json.dumps(value, ensure_ascii=False)


def _both(one: str, other: str) -> tuple[str, str]:
    """Return two values at a bounded length, long ones from shortly before the place where they part."""
    if max(len(one), len(other)) <= _MOST_CHARACTERS:
        return one, other
    shared = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    start = max(0, shared - _BEFORE) if shared > _MOST_CHARACTERS // 2 else 0
    return _window(one, start), _window(other, start)


def _window(text: str, start: int) -> str:
    end = start + _MOST_CHARACTERS
    return f"{'…' if start else ''}{text[start:end]}{'…' if len(text) > end else ''}"
