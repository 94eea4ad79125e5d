"""Show what a model is sent for one sample of a benchmark, without a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from harness.errors import ConfigError, did_you_mean
from tasks.catalog import resolve_tasks
from tasks.images import image_facts_of
from tasks.local_data import DatasetOverride, open_task_data
from tasks.prompts import Wording, messages

SHOWN_IDS = 5
"""Ids that are named where one is not found."""


@dataclass(frozen=True, slots=True)
class AskSpec:
    """Which sample, in which words."""

    task: str
    """Name of one task, or the path of a YAML file."""
    row: str | None
    """Sample id; None for the first row."""
    wording: Wording
    """The words around the question."""
    data_dir: Path | None = None
    """Folder with local data."""
    datasets: Mapping[str, DatasetOverride] | None = None
    """Other data, by task."""


class AskedTurn(TypedDict):
    """One turn as text."""

    role: str
    """`system` or `user`."""
    text: str
    """Its text; a picture stands as `<image WxH>`."""


class Asked(TypedDict):
    """What is sent for one sample."""

    task: str
    """Short task name."""
    id: str
    """Sample id."""
    turns: list[AskedTurn]
    """The chat, before the model's template."""


def asked_turns(spec: AskSpec) -> Asked:
    """Return the chat of one sample.

    Raises:
        ConfigError: Several tasks are named, or the row is not there.
        UserError: The data cannot be read.
    """
    benchmarks = resolve_tasks(spec.task)
    if len(benchmarks) > 1:
        raise ConfigError(f"one task is needed, found {', '.join(item.name for item in benchmarks)}")
    benchmark, adapter = benchmarks[0], benchmarks[0].adapter
    rows = open_task_data(benchmark, spec.data_dir, (spec.datasets or {}).get(benchmark.name))
    doc = next((doc for doc in rows if spec.row is None or adapter.id_of(doc) == spec.row), None)
    if doc is None:
        if spec.row is None:
            raise ConfigError(f"{benchmark.name} has no rows")
        ids = [adapter.id_of(doc) for doc in rows]
        shown = ", ".join(ids[:SHOWN_IDS])
        raise ConfigError(
            f"{benchmark.name} has no row {spec.row!r}.{did_you_mean(spec.row, ids)} Its ids: {shown}, ..."
        )
    shown = adapter.shown(doc)
    turns = messages(spec.wording, adapter.question_text(doc), shown)
    end = "" if shown.numbers else "\n"  # a picture within the text stands in its line
    return {
        "task": benchmark.name,
        "id": adapter.id_of(doc),
        "turns": [
            {"role": turn["role"], "text": "".join(_part_text(part, end) for part in turn["content"])} for turn in turns
        ],
    }


def _part_text(part: Mapping[str, Any], end: str) -> str:
    """Return one part of a turn as text, a picture with `end` behind it."""
    if part["type"] == "text":
        return part["text"]
    facts = image_facts_of(part["url"])
    if facts is None:
        return f"<image: none that can be read>{end}"
    return f"<image {facts.size.width}x{facts.size.height}>{end}"
