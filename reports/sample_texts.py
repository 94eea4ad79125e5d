"""Read what runs asked and what they answered, ready to be shown: cut to length, with invisible characters visible.

Rows come under the journal's field names, from a finished run's table (two columns of which may be a later rescore's) or
from records in memory, one at a time.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, TypeAlias, cast

from harness.errors import IncompleteError
from harness.records_json import record_to_json
from harness.records_parquet import SCORE_COLUMNS, read_rows
from harness.run_store import PARQUET_NAME, StoredRun, rescored_name
from harness.values import Box, Protocol, Record
from reports.visible import visible

MAX_TEXT_CHARACTERS = 20_000
"""A longer text is cut in the page; the run folder has the whole."""

MAX_BOXES = 60
"""More boxes than this are not drawn."""

MAX_NAME_CHARACTERS = 300
"""Longer ids, categories and choices are cut."""

Row: TypeAlias = Mapping[str, Any]
"""One record under the journal's field names; `choices` may be JSON text, as the Parquet table holds it."""

_ANSWER_COLUMNS = ["task", "id", "repeat", "extracted", "components", "boxes_image_px", "text", "error", "output_tokens"]
_QUESTION_COLUMNS = [
    "question", "choices", "answers", "category", "boxes", "caption", "width", "height", "image_sha256",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """One sample as a page shows it."""

    task: str
    """Short task name."""
    id: str
    """The sample's id."""
    question: str
    """The question."""
    choices: str
    """Its options, one a line; empty without any."""
    answers: str
    """The accepted answers."""
    caption: str
    """The reference caption; empty without one."""
    category: str
    """The benchmark's category; empty without one."""
    gold_image_px: tuple[Box, ...]
    """Gold boxes in original pixels."""
    width: int
    """Pixels across; 0 when not known."""
    height: int
    """Pixels down; 0 when not known."""
    image_sha256: str
    """Hash of the image; names its thumbnail."""


@dataclass(frozen=True, slots=True)
class Said:
    """What one run answered to one sample."""

    text: str
    """Raw text, cut where very long."""
    extracted: str | None
    """What was taken for the answer."""
    boxes_image_px: tuple[Box, ...]
    """Predicted boxes in original pixels, rounded to tenths."""
    facts: str
    """Components and costs in words."""


def row_of_record(record: Record) -> Row:
    """Return a record as a row, for a run that is not published yet."""
    return record_to_json(record)


def rows_of_run(run: StoredRun, protocol: Protocol, *, questions: bool = True) -> Iterator[Row]:
    """Yield a finished run's rows from its table, with its scores under a protocol, in the order of the table.

    Args:
        run: The run.
        protocol: Its own, or that of a later `rescore`; the later scores win.
        questions: Whether the columns of the question are wanted too.

    Raises:
        IncompleteError: the run is not finished, was not scored under that protocol, or its tables do not fit.
        OSError, ValueError: a table cannot be read.
    """
    if not run.finished:
        raise IncompleteError(f"{run.path} is not finished; the command that began it goes on with it")
    columns = _ANSWER_COLUMNS + (_QUESTION_COLUMNS if questions else [])
    rows = read_rows(run.path / PARQUET_NAME, columns)
    if protocol == run.manifest.protocol and protocol not in run.rescored:
        yield from rows
        return
    if protocol not in run.rescored:
        raise IncompleteError(
            f"{run.path} holds no scores under {protocol!r}; make them with: satori-bench rescore {run.path} "
            f"--protocol {protocol}"
        )
    columns = [name for name in SCORE_COLUMNS if name in _ANSWER_COLUMNS]
    later = read_rows(run.path / rescored_name("samples", protocol, "parquet"), columns)
    for row, scored in zip_longest(rows, later):
        if row is None or scored is None or any(row[name] != scored[name] for name in ("task", "id", "repeat")):
            raise IncompleteError(
                f"the scores of {run.path} under {protocol!r} do not belong to its samples; make them again with: "
                f"satori-bench rescore {run.path} --protocol {protocol}"
            )
        yield {**row, **scored}


def asked_of(row: Row) -> Asked:
    """Return the question of a row."""
    return Asked(
        task=_name(row["task"]),
        id=_name(row["id"]),
        question=_cut(row["question"]),
        choices=_choices(row["choices"]),
        answers=_cut(" | ".join(row["answers"] or ())),
        caption=_cut(row["caption"] or ""),
        category=_name(row["category"]),
        gold_image_px=_boxes(row["boxes"]),
        width=row["width"] or 0,
        height=row["height"] or 0,
        image_sha256=row["image_sha256"],
    )


def said_of(row: Row) -> Said:
    """Return the answer of a row."""
    extracted = row["extracted"]
    return Said(
        text=_cut(row["text"]),
        extracted=None if extracted is None else _name(extracted),
        boxes_image_px=_boxes(row["boxes_image_px"]),
        facts=_facts(row),
    )


def _facts(row: Row) -> str:
    """Return components and costs in words."""
    components = row["components"]
    parts = [
        f"{name} {components[name]:.2f}" for name in ("format", "caption", "bbox") if components[name] is not None
    ]
    if row["output_tokens"] is not None:
        parts.append(f"{row['output_tokens']} tokens")
    if row["error"]:
        parts.append(_name(f"error: {row['error']}"))
    return " · ".join(parts)


def _choices(choices: str | Mapping[str, str]) -> str:
    named: Mapping[str, str] = json.loads(choices) if isinstance(choices, str) else choices
    return _cut("\n".join(f"{letter}. {text}" for letter, text in named.items()))


def _boxes(boxes: Sequence[Sequence[float | None]] | None) -> tuple[Box, ...]:
    """Return boxes to draw: finite ones, rounded to tenths of a pixel, at most `MAX_BOXES`."""
    drawable = [box for box in (boxes or ())[:MAX_BOXES] if len(box) == 4 and _is_finite(box)]
    return tuple(cast("Box", tuple(round(cast("float", side), 1) for side in box)) for box in drawable)


def _is_finite(box: Sequence[float | None]) -> bool:
    return all(side is not None and math.isfinite(side) and abs(side) < 1e7 for side in box)


def _name(text: str) -> str:
    shown = visible(text[:MAX_NAME_CHARACTERS])
    return shown if len(text) <= MAX_NAME_CHARACTERS else f"{shown}… (cut)"


def _cut(text: str) -> str:
    if len(text) <= MAX_TEXT_CHARACTERS:
        return visible(text)
    return f"{visible(text[:MAX_TEXT_CHARACTERS])}… ({len(text) - MAX_TEXT_CHARACTERS:,} more characters in the run folder)"
