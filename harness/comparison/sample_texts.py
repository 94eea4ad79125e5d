"""Read from disk what the explorer shows of single samples: question, gold, both raw texts, boxes, scores, faults.

A comparison holds numbers only. This file reads the row groups of `samples.parquet` in which the wanted samples lie,
each once when they are asked for in the order of the table, so that memory stays at a few row groups whatever the size.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from harness.comparison.values import Comparison, Pair, RunFacts
from harness.errors import IncompleteError
from harness.files import DamagedRunError, published_files
from harness.runs.declared import value_from
from harness.runs.json_text import parse_object
from harness.runs.record_table import TableError, open_table, reading_table
from harness.runs.store import PARQUET_NAME, rescored_name
from harness.values import Box, Components, Crop, Generation, Picture, Record, Sample, Score, Size, StepScore

_GROUPS_KEPT = 3
_CHUNK_ROWS = 256
"""Rows that are turned into Python values at once: one by one costs ten times as much."""
_CHUNKS_KEPT = 8
_SAMPLE_COLUMNS = (
    "task", "id", "question", "choices", "answers", "answer_rule", "category", "l2_category", "cluster", "boxes",
    "caption", "width", "height", "image_sha256", "text", "truncated", "output_tokens", "error",
)  # fmt: skip
_SCORE_COLUMNS = ("score", "extracted", "faults", "components", "iou", "boxes_image_px")
SHOWN_COLUMNS = (*_SAMPLE_COLUMNS, *_SCORE_COLUMNS)
"""Columns without which a run's samples cannot be shown."""
_LATER_COLUMNS = ("prompt", "steps", "crops", "pictures")
"""Columns that are shown too, and that runs of before lack."""


def read_answers(comparison: Comparison, pair: Pair, places: Sequence[int]) -> Iterator[tuple[Record, Record]]:
    """Yield what the first run of each side holds of some samples, in the order asked for.

    Both records have one sample: what both runs say of it is taken from A, or from B where A does not know. Ascending
    places read each part of a file once.

    Args:
        comparison: What the pair belongs to.
        pair: Two sides.
        places: Places in `pair.samples`.

    Raises:
        IncompleteError: A run's table cannot be read.
    """
    a = _RowReader(comparison.sides[pair.a].runs[0])
    b = _RowReader(comparison.sides[pair.b].runs[0])
    for place in places:
        one, other = a.row(int(pair.samples.a.rows[place])), b.row(int(pair.samples.b.rows[place]))
        try:
            sample = _sample(one, other)
            yield _record(sample, one), _record(sample, other)
        except ValueError as fault:  # a cell of JSON, or a box, that is none
            which = f"sample {one['id'][:60]!r} of {a.folder} and {b.folder}"
            raise IncompleteError(f"cannot show {which}: {fault}") from fault


class _RowReader:
    """Reads rows of one run's table by their number, a row group at a time."""

    def __init__(self, run: RunFacts) -> None:
        self.folder = run.path
        later = rescored_name("samples", run.protocol, "parquet") if run.rescored else None
        self._samples = self._grouped(PARQUET_NAME, _SAMPLE_COLUMNS)
        self._scores = None if later is None else self._grouped(later, _SCORE_COLUMNS)

    def row(self, number: int) -> dict[str, Any]:
        """Return one row with the scores of the run's protocol."""
        try:
            row = self._samples.row(number)
            if self._scores is not None:
                later = self._scores.row(number)
                row = row | {name: later[name] for name in _SCORE_COLUMNS} | {"steps": later.get("steps")}
        except TableError as fault:
            raise DamagedRunError.of(self.folder, PARQUET_NAME, f"cannot be read: {fault}") from fault
        return row

    def _grouped(self, name: str, columns: Sequence[str]) -> _GroupedFile:
        try:
            return _GroupedFile(open_table(published_files(self.folder).open(name), columns))
        except (OSError, TableError) as fault:
            raise DamagedRunError.of(self.folder, name, f"cannot be read: {fault}") from fault


class _GroupedFile:
    """A Parquet file, of which the row groups read last are kept."""

    def __init__(self, file: Any) -> None:
        self._file = file
        counts = [file.metadata.row_group(group).num_rows for group in range(file.metadata.num_row_groups)]
        self._starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        self._columns = [name for name in file.schema_arrow.names if name in (*SHOWN_COLUMNS, *_LATER_COLUMNS)]
        self._kept: OrderedDict[int, Any] = OrderedDict()
        self._chunks: OrderedDict[int, list[dict[str, Any]]] = OrderedDict()
        self._last: tuple[int, list[dict[str, Any]]] = (0, [])

    def row(self, number: int) -> dict[str, Any]:
        """Return one row."""
        start, rows = self._last
        if not start <= number < start + len(rows):
            self._last = start, rows = self._chunk_with(number)
        return rows[number - start]

    def _chunk_with(self, number: int) -> tuple[int, list[dict[str, Any]]]:
        """Return the rows around a number, and the number of the first of them."""
        group = int(np.searchsorted(self._starts, number, side="right")) - 1
        first = int(self._starts[group])
        start = (number - first) // _CHUNK_ROWS * _CHUNK_ROWS
        if first + start not in self._chunks:
            with reading_table():
                self._chunks[first + start] = self._group(group).slice(start, _CHUNK_ROWS).to_pylist()
            while len(self._chunks) > _CHUNKS_KEPT:
                self._chunks.popitem(last=False)
        return first + start, self._chunks[first + start]

    def _group(self, group: int) -> Any:
        if group not in self._kept:
            self._kept[group] = self._file.read_row_group(group, columns=self._columns, use_threads=False)
            while len(self._kept) > _GROUPS_KEPT:
                self._kept.popitem(last=False)
        return self._kept[group]


def _sample(a: Mapping[str, Any], b: Mapping[str, Any]) -> Sample:
    """Return the sample of two rows."""
    answers = a["answers"] if a["answers"] is not None else b["answers"]
    sized = a if a["width"] is not None else b
    return Sample(
        id=a["id"],
        task=a["task"],
        answer_rule=a["answer_rule"],
        question=a["question"] or b["question"],
        answers=None if answers is None else tuple(answers),
        choices=_choices(a["choices"]) or _choices(b["choices"]),
        category=a["category"] or b["category"],
        l2_category=a["l2_category"] or b["l2_category"],
        cluster=a["cluster"] or b["cluster"],
        boxes_image_px=_boxes(a["boxes"] if a["boxes"] is not None else b["boxes"]),
        caption=a["caption"] if a["caption"] is not None else b["caption"],
        image_size=None if sized["width"] is None else Size(sized["width"], sized["height"]),
        image_sha256=a["image_sha256"] or b["image_sha256"],
        pictures=tuple(value_from(Picture, one) for one in a.get("pictures") or b.get("pictures") or ()),
    )


def _record(sample: Sample, row: Mapping[str, Any]) -> Record:
    if row["text"] is None:
        raise ValueError("there is no text to show")
    return Record(
        sample,
        Generation(
            text=row["text"],
            output_tokens=row["output_tokens"],
            truncated=row["truncated"],
            error=row["error"],
            prompt=row.get("prompt"),  # runs of before prompts were kept lack the column
            crops=tuple(value_from(Crop, crop) for crop in row.get("crops") or ()),  # and these
        ),
        Score(
            value=row["score"],
            extracted=row["extracted"],
            components=Components(**row["components"]),
            iou=row["iou"],
            boxes_image_px=_boxes(row["boxes_image_px"]),
            steps=tuple(
                value_from(StepScore, step) for step in row.get("steps") or ()
            ),  # runs of before lack the column
            faults=tuple(row["faults"]),
        ),
    )


def _choices(text: str) -> dict[str, str]:
    if text == "{}":
        return {}
    return {letter: str(choice) for letter, choice in parse_object(text).items()}


def _boxes(boxes: Sequence[Sequence[float]] | None) -> tuple[Box, ...]:
    try:
        return tuple([(x1, y1, x2, y2) for x1, y1, x2, y2 in boxes or ()])
    except ValueError:
        raise ValueError("a box that is not four numbers") from None
