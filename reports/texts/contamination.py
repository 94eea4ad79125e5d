"""Say which scores may be inflated by training data: a table of known overlaps, each row with its source.

The table is `reports/contamination.json`. A model is told by a part of its name, so that a renamed checkpoint escapes
it; a row without models is about the benchmark and holds for whoever was trained on the data that it names.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True, slots=True)
class Overlap:
    """One row of the table."""

    models: tuple[str, ...]
    """Parts of model names in small letters, any of which is enough; empty: any model."""
    tasks: tuple[str, ...]
    """Short task names."""
    reason: str
    """Why a score may be inflated."""
    source: str
    """Where that is said."""

    @property
    def text(self) -> str:
        """Reason and source."""
        return f"{self.reason} (source: {self.source})"


@cache
def overlaps() -> tuple[Overlap, ...]:
    """Return the table, a row about single models before those about any."""
    stored = json.loads(resources.files("reports").joinpath("contamination.json").read_text(encoding="utf-8"))
    rows = [
        Overlap(tuple(row["models"]), tuple(row["tasks"]), row["reason"], row["source"]) for row in stored["overlaps"]
    ]
    return tuple(sorted(rows, key=lambda row: not row.models))


def known_overlaps(model: str, task: str) -> tuple[Overlap, ...]:
    """Return the rows that speak of a model's score on a task, those about the model first."""
    name = model.lower()
    return tuple(
        row for row in overlaps() if task in row.tasks and (not row.models or any(m in name for m in row.models))
    )


def contamination(model: str, task: str) -> str | None:
    """Return why a model's score on a task may be inflated, with sources; None where nothing is known."""
    return "; ".join(row.text for row in known_overlaps(model, task)) or None


def overlap_lines(scored: Iterable[tuple[str, str]]) -> list[str]:
    """Return a line for every row of the table that speaks of these models and tasks, with the tasks it is about."""
    told: dict[Overlap, dict[str, None]] = {}
    for model, task in scored:
        for row in known_overlaps(model, task):
            told.setdefault(row, {})[task] = None
    return [f"{', '.join(tasks)}: {row.text}" for row, tasks in told.items()]
