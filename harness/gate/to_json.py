"""Write a comparison and a verdict as versioned JSON objects: numbers as they are, NaN as null, texts unchanged.

Both are plain trees of the values' own field names, so that a name in JSON is the name in the code.
"""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from harness.comparison.values import Comparison, SampleTable
from harness.gate.verdict import Verdict
from harness.values import Json

COMPARISON_SCHEMA = 1
"""Version of the object of `compare --json`."""

VERDICT_SCHEMA = 1
"""Version of the object of `gate --json`."""


def comparison_to_json(comparison: Comparison) -> dict[str, Json]:
    """Return a comparison without its samples, of which only the number stands there."""
    found = _plain(comparison)
    assert isinstance(found, dict)
    return {"schema": COMPARISON_SCHEMA, **found}


def verdict_to_json(verdict: Verdict) -> dict[str, Json]:
    """Return a verdict with its exit code and its sentence."""
    found = _plain(verdict)
    assert isinstance(found, dict)
    return {
        "schema": VERDICT_SCHEMA,
        "exit_code": int(verdict.exit_code),
        "sentence": verdict.sentence,
        **found,
    }


def _plain(value: Any) -> Json:
    """Return a value of this folder as JSON."""
    if isinstance(value, SampleTable):
        return len(value)
    if isinstance(value, Path):
        return value.name  # where a run lies is nobody's business but its owner's
    if isinstance(value, Enum):
        return _plain(value.value)
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: _plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    assert value is None or isinstance(value, str | int | float), f"{type(value).__name__} has no form in JSON"
    return value
