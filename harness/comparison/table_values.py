"""Check the values of a table of records, column by column, and name the row that holds what no scorer gives.

Sums that somebody made anew vouch for anything. What a comparison counts with must be in its range all the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.runs.declared import declared_fields
from harness.runs.json_text import parse_object
from harness.runs.record_codec import StoredRecord
from harness.runs.record_table import JSON_COLUMNS, TableError
from harness.stats.intervals import FloatArray
from harness.values import FAULTS, MAX_SHARE, Components

_NEVER_EMPTY = frozenset(name for name, (_, is_required) in declared_fields(StoredRecord).items() if is_required)
_COUNTS = ("repeat", "width", "height")
_COMPONENTS = tuple(declared_fields(Components))


def check_samples(samples: Any) -> None:
    """Check the columns of samples: texts, whole numbers, gold boxes, objects as JSON text, one row a key.

    Raises:
        TableError: a value is missing or out of its range; names column and row, from 1.
    """
    _check_there(samples)
    for name in _COUNTS:
        values = floats(samples.column(name))
        if (wrong := values < 0).any():
            raise _refusal(name, wrong, "negative")
    _check_boxes(samples.column("boxes"))
    answers = samples.column("answers").combine_chunks()
    if (missing := answers.flatten().is_null()).true_count:
        row = int(answers.value_parent_indices().to_numpy()[np.flatnonzero(missing.to_numpy(zero_copy_only=False))[0]])
        raise TableError(f"its column 'answers' holds an empty answer in row {row + 1}")
    for name in JSON_COLUMNS:
        _check_objects(name, samples.column(name))
    _check_keys(samples)


def check_scores(scores: Any) -> None:
    """Check the columns of scores: shares of 1, known faults.

    Raises:
        TableError: a value is out of its range or unknown; names column and row, from 1.
    """
    components = scores.column("components").combine_chunks()
    columns = {name: scores.column(name) for name in ("score", "iou")}
    columns |= {f"components.{name}": components.field(name) for name in _COMPONENTS}
    for name, column in columns.items():
        values = floats(column)
        wrong = ~((values >= 0) & (values <= MAX_SHARE))  # NaN too
        if wrong.any() and (wrong := wrong & ~_nulls(column)).any():
            raise _refusal(name, wrong, "not in [0, 1]")
    _check_there(scores)
    faults = scores.column("faults").combine_chunks()
    names = faults.flatten().dictionary_encode()
    if unknown := [name for name in names.dictionary.to_pylist() if name not in FAULTS]:
        raise TableError(f"its column 'faults' names {str(unknown[0])[:60]!r}, which this satori-bench does not know")
    if names.null_count:
        raise TableError("its column 'faults' holds a fault without a name")


def _check_there(table: Any) -> None:
    for name in table.column_names:
        if name in _NEVER_EMPTY and table.column(name).null_count:
            raise _refusal(name, _nulls(table.column(name)), "empty")


def _check_boxes(column: Any) -> None:
    boxes = column.combine_chunks()
    sides = boxes.flatten()
    numbers = sides.flatten()
    lengths = sides.value_lengths()
    four = set(lengths.unique().to_pylist()) <= {4}
    if sides.null_count or numbers.null_count or not four:
        raise TableError("its column 'boxes' holds a box that is not four numbers")
    finite = np.isfinite(floats(numbers))
    if not finite.all():
        box = int(np.flatnonzero(~finite)[0]) // 4
        row = int(boxes.value_parent_indices().to_numpy()[box])
        raise TableError(f"its column 'boxes' holds a number that is not finite in row {row + 1}")


def _check_objects(name: str, column: Any) -> None:
    """Check a column of JSON text, each text that occurs once: readers look into it long after the file is closed."""
    texts = column.combine_chunks().dictionary_encode()
    for code, text in enumerate(texts.dictionary.to_pylist()):
        try:
            parse_object(text)
        except ValueError as fault:
            wrong = texts.indices.to_numpy() == code
            raise TableError(f"{_refusal(name, wrong, 'no JSON object')}: {fault}") from fault


def _check_keys(samples: Any) -> None:
    keys = integers(samples.column("repeat"))
    for name in ("task", "id"):
        codes = samples.column(name).combine_chunks().dictionary_encode()
        # numbered anew at each step, so that no product of many can overflow
        keys = np.unique(keys, return_inverse=True)[1] * max(1, len(codes.dictionary)) + integers(codes.indices)
    firsts = np.unique(keys, return_index=True)[1]
    if len(firsts) < len(keys):
        row = int(np.setdiff1d(np.arange(len(keys)), firsts)[0])
        task, sample_id = (str(samples.column(name)[row])[:60] for name in ("task", "id"))
        raise TableError(f"its row {row + 1} has the key of an earlier one: task {task!r}, id {sample_id!r}")


def floats(column: Any) -> FloatArray:
    """Return a column of numbers with NaN for null.

    By Python's numbers: Arrow's own `to_numpy` imports pandas wherever there is one, which costs more than all columns.
    """
    return np.array(column.to_pylist(), dtype=np.float64)


def integers(column: Any) -> NDArray[np.int64]:
    """Return a column of whole numbers, of which none may be null."""
    return np.array(column.to_pylist(), dtype=np.int64)


def _nulls(column: Any) -> NDArray[np.bool_]:
    return np.array(column.is_null().to_pylist(), dtype=np.bool_)


def _refusal(name: str, wrong: NDArray[np.bool_], what: str) -> TableError:
    return TableError(f"its column {name!r} is {what} in row {int(np.flatnonzero(wrong)[0]) + 1}")
