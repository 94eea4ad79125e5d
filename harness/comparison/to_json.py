"""Write a comparison as a versioned JSON object: numbers as they are, NaN as null, texts unchanged.

It is a plain tree of the values' own field names, so that a name in JSON is the name in the code; a verdict is written
by the same rule.
"""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from harness.comparison.values import Comparison, SampleTable
from harness.values import Json

COMPARISON_SCHEMA = 1
"""Version of the object of `compare --json`."""


def comparison_to_json(comparison: Comparison) -> dict[str, Json]:
    """Return a comparison without its samples, of which only the number stands there."""
    return {"schema": COMPARISON_SCHEMA, **fields_to_json(comparison)}


def fields_to_json(value: Any) -> dict[str, Json]:
    """Return the fields of a value that is made of others, by their names."""
    return {item.name: _plain(getattr(value, item.name)) for item in fields(value)}


def _plain(value: Any) -> Json:
    """Return one field as JSON."""
    if isinstance(value, SampleTable):
        return len(value)
    if isinstance(value, Path):
        return value.name  # where a run lies is nobody's business but its owner's
    if isinstance(value, Enum):
        return _plain(value.value)
    if is_dataclass(value) and not isinstance(value, type):
        return fields_to_json(value)
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    assert value is None or isinstance(value, str | int | float), f"{type(value).__name__} has no form in JSON"
    return value
