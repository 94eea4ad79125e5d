"""Gather the samples of one or more runs in columns: what the explorer, the grounding section and the flips read.

The first run is the one that others are compared with. A sample is in the table when the first run has it and, where
there are several runs, at least one other has it too. Rows come as the journal's fields, from a run's table or from
records in memory, one at a time.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, TypeAlias, cast

from harness.errors import IncompleteError
from harness.records_json import record_to_json
from harness.records_parquet import SCORE_COLUMNS, read_rows
from harness.run_store import PARQUET_NAME, StoredRun, rescored_name
from harness.values import FAULTS, Box, Protocol, Record
from reports.visible import visible

IOU_UNITS = 10_000
"""Overlaps are kept in ten-thousandths, rounded down: every part of a page then draws the same line at a cut."""

MAX_TEXT_CHARACTERS = 20_000
"""A longer text is cut in the page; the run folder has the whole."""

MAX_BOXES = 60
"""More boxes than this are not drawn."""

MAX_NAME_CHARACTERS = 300
"""Longer ids, categories and choices are cut."""

Row: TypeAlias = Mapping[str, Any]
"""One record under the journal's field names; `choices` may be JSON text, as the Parquet table holds it."""

_COLUMNS = [
    "task", "id", "repeat", "score", "extracted", "faults", "components", "iou", "boxes_image_px", "text", "error",
    "output_tokens", "question", "choices", "answers", "category", "cluster", "boxes", "caption", "width", "height",
    "image_sha256",
]  # fmt: skip
_FAULT_BITS = {fault: 1 << place for place, fault in enumerate(FAULTS)}


@dataclass(frozen=True, slots=True)
class Said:
    """What one run answered to one sample."""

    value: float | None
    """The answer's score; None when it could not be scored."""
    iou_units: int | None
    """Overlap in ten-thousandths, rounded down; None without gold boxes or a known frame."""
    fault_bits: int
    """Faults, one bit each in the order of `FAULTS`."""
    text: str
    """Raw text with invisible characters shown, cut where very long."""
    extracted: str | None
    """What was taken for the answer."""
    boxes_image_px: tuple[Box, ...]
    """Predicted boxes in original pixels, rounded to tenths."""
    facts: str
    """Components and costs in words."""


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
    cluster: str
    """What resampling draws."""
    gold_image_px: tuple[Box, ...]
    """Gold boxes in original pixels."""
    width: int
    """Pixels across; 0 when not known."""
    height: int
    """Pixels down; 0 when not known."""
    image_sha256: str
    """Hash of the image; names its thumbnail."""


@dataclass(frozen=True, slots=True)
class SampleTable:
    """Samples with the answers of each run."""

    asked: tuple[Asked, ...]
    """The samples, in the first run's order."""
    said: tuple[tuple[Said | None, ...], ...]
    """Per run, one entry per sample; None where that run was not asked."""


@dataclass(slots=True)
class _Gathered:
    """The first run's samples while the others are read."""

    places: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    asked: list[Asked] = field(default_factory=list[Asked])


def gather(runs: Sequence[Iterable[Row]]) -> SampleTable:
    """Read runs into one table; further repeats of a sample are passed over. No runs give an empty table."""
    first = _Gathered()
    said: list[list[Said | None]] = []
    for number, rows in enumerate(runs):
        answers: list[Said | None] = [] if number == 0 else [None] * len(first.asked)
        for row in rows:
            if row["repeat"]:
                continue
            key = (row["task"], row["id"])
            if number == 0:
                first.places[key] = len(first.asked)
                first.asked.append(_asked(row))
                answers.append(_said(row))
            elif (place := first.places.get(key)) is not None:
                answers[place] = _said(row)
        said.append(answers)
    if len(said) < 2:
        return SampleTable(tuple(first.asked), tuple(tuple(answers) for answers in said))
    shared = [place for place in range(len(first.asked)) if any(answers[place] is not None for answers in said[1:])]
    return SampleTable(
        tuple(first.asked[place] for place in shared),
        tuple(tuple(answers[place] for place in shared) for answers in said),
    )


def rows_of_records(records: Iterable[Record]) -> Iterator[Row]:
    """Yield records as rows, for a run that is not published yet."""
    for record in records:
        yield record_to_json(record)


def rows_of_run(run: StoredRun, protocol: Protocol | None = None) -> Iterator[Row]:
    """Yield a finished run's rows from its table, with the first scores or those of a later `rescore`.

    Raises:
        IncompleteError: the run is not finished, was not scored under that protocol, or its tables do not fit.
        OSError, ValueError: a table cannot be read.
    """
    if not run.finished:
        raise IncompleteError(f"{run.path} is not finished; the command that began it goes on with it")
    rows = read_rows(run.path / PARQUET_NAME, _COLUMNS)
    if protocol is None or (protocol == run.manifest.protocol and protocol not in run.rescored):
        yield from rows
        return
    if protocol not in run.rescored:
        raise IncompleteError(
            f"{run.path} holds no scores under {protocol!r}; make them with: satori-bench rescore {run.path} "
            f"--protocol {protocol}"
        )
    later = read_rows(run.path / rescored_name("samples", protocol, "parquet"), list(SCORE_COLUMNS))
    for row, scored in zip_longest(rows, later):
        if row is None or scored is None or any(row[name] != scored[name] for name in ("task", "id", "repeat")):
            raise IncompleteError(
                f"the scores of {run.path} under {protocol!r} do not belong to its samples; make them again with: "
                f"satori-bench rescore {run.path} --protocol {protocol}"
            )
        yield {**row, **scored}


def fault_bits(faults: Iterable[str]) -> int:
    """Return faults as bits in the order of `FAULTS`; a name that this version does not know is passed over."""
    bits = 0
    for fault in faults:
        bits |= _FAULT_BITS.get(cast("Any", fault), 0)
    return bits


def iou_units(iou: float | None) -> int | None:
    """Return an overlap in ten-thousandths, rounded down, so that 0.5 and only what reaches it passes a cut of 0.5."""
    return None if iou is None else math.floor(iou * IOU_UNITS)


def _asked(row: Row) -> Asked:
    return Asked(
        task=_name(row["task"]),
        id=_name(row["id"]),
        question=_cut(row["question"]),
        choices=_choices(row["choices"]),
        answers=_cut(" | ".join(row["answers"] or ())),
        caption=_cut(row["caption"] or ""),
        category=_name(row["category"]),
        cluster=row["cluster"] or row["id"],
        gold_image_px=_boxes(row["boxes"]),
        width=row["width"] or 0,
        height=row["height"] or 0,
        image_sha256=row["image_sha256"],
    )


def _said(row: Row) -> Said:
    extracted = row["extracted"]
    return Said(
        value=row["score"],
        iou_units=iou_units(row["iou"]),
        fault_bits=fault_bits(row["faults"]),
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
