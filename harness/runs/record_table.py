r"""Write records as a Parquet table for analysis, and read its rows back; the journal stays the source of truth.

Columns are the journal's fields under the same names; `components` and `match` are structs, boxes lists of lists,
`choices`, `extra` and `native` JSON text. Parquet's strings are UTF-8, which has no lone surrogates: one stands there
as six characters such as `\ud800`. Tables of later scores hold the columns `SCORE_COLUMNS` alone.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, is_dataclass
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any, BinaryIO, cast, get_args, get_origin

from harness.runs.declared import declared_fields, without_null
from harness.runs.journal import replacing
from harness.runs.record_codec import StoredRecord, record_to_json, score_to_json
from harness.values import Json, Record

ROW_GROUP_ROWS = 5_000
"""Rows of a row group at most; one group is in memory at a time."""

ROW_GROUP_CHARACTERS = 16_000_000
"""Characters of model text, question and extra columns after which a row group is closed early."""

SCORE_COLUMNS = (
    "task",
    "id",
    "repeat",
    "score",
    "extracted",
    "faults",
    "components",
    "iou",
    "match",
    "boxes_image_px",
    "steps",
    "kept",
    "judge_reply",
    "judge_error",
)
"""The key of a record and what scoring adds to it."""

GOLD_COLUMN = "boxes"
"""The gold boxes of a record, which later scores hold too where they are not the run's own."""

JSON_COLUMNS = ("choices", "extra")
"""Objects of free keys, which stand in the table as JSON text."""
_MAYBE_JSON_COLUMNS = ("native",)
"""The same, null where there is none."""
_ENCODER = json.JSONEncoder(allow_nan=False, separators=(",", ":"))


class TableError(ValueError):
    """A Parquet file is not a table of records, or is damaged; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class AddedColumn:
    """A column of a table that is no field of the journal."""

    name: str
    """What it is called."""
    kind: Callable[[Any], Any]
    """Takes the module `pyarrow` and returns the column's type."""
    value: Callable[[Record], Mapping[str, Any] | None]
    """Returns a record's cell."""
    size: Callable[[Mapping[str, Any]], int]
    """Returns how much memory a cell takes, in characters."""
    metadata: Mapping[str, str]
    """What the file says of it, for those who read its schema."""


def write_parquet(
    path: Path,
    records: Iterable[Record],
    columns: tuple[str, ...] | None = None,
    *,
    added: AddedColumn | None = None,
) -> int:
    """Write records as a Parquet table (zstd), one row group in memory at a time; return the number of rows.

    No records give a table with columns and no rows. Strings that UTF-8 cannot hold are escaped (see above), whole
    numbers beyond 64 bits become null.

    Args:
        path: The file; replaced in one step when complete.
        records: In the order of the rows.
        columns: Which of the journal's fields; None for all.
        added: A column behind them; None for none.

    Raises:
        OSError: the disk refuses; an old file stands.
    """
    pq: Any = importlib.import_module("pyarrow.parquet")  # untyped library, and 0.2 s that only writers pay
    pa: Any = importlib.import_module("pyarrow")
    schema = _arrow_schema(pa, columns)
    names = list(schema.names)
    if added is not None:
        schema = schema.append(pa.field(added.name, added.kind(pa))).with_metadata(dict(added.metadata))
    rows = 0
    options = {"compression": "zstd", "write_page_checksum": True}
    with replacing(path) as file, pq.ParquetWriter(file, schema, **options) as writer:
        for group in _row_groups(records, names, added):
            arrays = [_arrow_array(pa, group[field.name], field.type) for field in schema]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
            rows += len(group["id"])
    return rows


@cache
def _arrow_schema(pa: Any, columns: tuple[str, ...] | None) -> Any:
    types = {name: _arrow_type(pa, hint) for name, (hint, _) in declared_fields(StoredRecord).items()}
    return pa.schema([(name, types[name]) for name in (columns or types)])


def _arrow_type(pa: Any, hint: Any) -> Any:
    """Return the kind of column that holds a field; objects of free keys are JSON text."""
    kind = without_null(hint)
    kind = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    if is_dataclass(kind):
        inner = declared_fields(cast("type", kind))
        return pa.struct([(name, _arrow_type(pa, of_field)) for name, (of_field, _) in inner.items()])
    if get_origin(kind) is tuple:
        return pa.list_(_arrow_type(pa, get_args(kind)[0]))
    return {int: pa.int64(), float: pa.float64(), bool: pa.bool_()}.get(kind, pa.string())


def _row_groups(
    records: Iterable[Record], columns: list[str], added: AddedColumn | None
) -> Iterator[dict[str, list[Any]]]:
    """Yield the columns of one row group after the other, each bounded in rows and in characters."""
    all_columns = columns if added is None else [*columns, added.name]
    group: dict[str, list[Any]] = {name: [] for name in all_columns}
    scores_only = set(columns).issubset(SCORE_COLUMNS)
    json_columns = [name for name in columns if name in (*JSON_COLUMNS, *_MAYBE_JSON_COLUMNS)]
    rows = characters = 0
    for record in records:
        row = _score_row(record) if scores_only else record_to_json(record)
        for name in json_columns:
            row[name] = text = _json_text(row[name])
            characters += len(text or "")
        for name in columns:
            group[name].append(row[name])
        if added is not None:
            group[added.name].append(cell := added.value(record))
            characters += 0 if cell is None else added.size(cell)
        rows += 1
        characters += len(record.generation.text) + len(record.generation.prompt or "") + len(record.sample.question)
        if rows == ROW_GROUP_ROWS or characters >= ROW_GROUP_CHARACTERS:
            yield group
            group = {name: [] for name in all_columns}
            rows = characters = 0
    if rows:
        yield group


def _json_text(value: Json) -> str | None:
    return None if value is None else _ENCODER.encode(value)


def _score_row(record: Record) -> dict[str, Json]:
    """Return the fields of `SCORE_COLUMNS` alone."""
    row = score_to_json(record)
    row["judge_reply"] = record.judge_reply
    row["judge_error"] = record.judge_error
    return row


def _arrow_array(pa: Any, values: list[Json], kind: Any) -> Any:
    try:
        return pa.array(values, type=kind)
    except (UnicodeEncodeError, OverflowError, pa.ArrowInvalid):
        return pa.array([_arrow_safe(value) for value in values], type=kind)


def _arrow_safe(value: Json) -> Json:
    """Return what Arrow can hold: UTF-8 text and 64-bit numbers; the nesting is that of a record, five levels."""
    if isinstance(value, str):
        return utf8_text(value)
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else None
    if isinstance(value, list):
        return [_arrow_safe(item) for item in value]
    if isinstance(value, dict):
        return {name: _arrow_safe(item) for name, item in value.items()}
    return value


def utf8_text(text: str) -> str:
    r"""Return the text with each lone surrogate written out as six characters such as `\ud800`."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def read_rows(source: Path | BinaryIO, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """Yield the rows of a table one by one, one batch in memory at a time.

    Args:
        source: The table: a file of ours by its path, or an open one of a run folder.
        columns: Which columns to read; None for all.

    Raises:
        OSError: the file cannot be read.
        TableError: it is no Parquet file, a damaged one, or its columns are not those of a record.
    """
    table = open_table(source, columns)
    with reading_table(), table:
        for batch in table.iter_batches(batch_size=ROW_GROUP_ROWS, columns=columns):
            yield from cast("list[dict[str, Any]]", batch.to_pylist())


def read_columns(source: BinaryIO, columns: Sequence[str]) -> Any:
    """Read columns of a table as an Arrow table.

    Raises:
        OSError: the file cannot be read.
        TableError: it is no Parquet file, a damaged one, or lacks such columns.
    """
    table = open_table(source, columns)
    with reading_table(), table:
        return table.read(columns=list(columns), use_threads=False)


def table_columns(source: BinaryIO) -> list[str]:
    """Return the names of a table's columns.

    Raises:
        OSError: the file cannot be read.
        TableError: it is no Parquet file, or a damaged one.
    """
    return cast("list[str]", open_table(source).schema_arrow.names)


def open_table(source: Path | BinaryIO, columns: Sequence[str] | None = None) -> Any:
    """Open a Parquet file whose columns are those of records, its page checksums looked at where it has any.

    Args:
        source: The file; nothing but its footer is read.
        columns: Columns that must be there; None: those that are there have the types of a record's.

    Raises:
        OSError: the file cannot be read.
        TableError: it is no Parquet file, or a column is missing or of another type.
    """
    pq: Any = importlib.import_module("pyarrow.parquet")
    pa: Any = importlib.import_module("pyarrow")
    with reading_table():
        table = pq.ParquetFile(source, page_checksum_verification=True)
        found = table.schema_arrow
        if len(set(found.names)) != len(found.names):
            raise TableError("it has two columns of one name")
        for field in _arrow_schema(pa, None):
            if field.name in found.names:
                kind = found.field(field.name).type
                if kind != field.type:
                    raise TableError(f"its column {field.name!r} holds {kind}, not {field.type}")
            elif field.name in (columns or ()):
                raise TableError(f"its column {field.name!r} is missing")
    return table


@contextmanager
def reading_table() -> Generator[None]:
    """Turn what Arrow raises on a damaged file inside the block into a TableError."""
    pa: Any = importlib.import_module("pyarrow")
    try:
        yield
    except TableError:
        raise
    except (pa.ArrowException, OSError, ValueError, KeyError, OverflowError, MemoryError) as error:
        # OSError too: Arrow gives it for a page whose checksum is wrong, and for a stream that ends early
        raise TableError(str(error) or type(error).__name__) from error


def first_difference(source: BinaryIO, records: Iterable[Record], columns: Sequence[str]) -> str | None:
    """Return how a table differs from the records that it was made of; None where it does not.

    Columns that the table lacks are passed over: runs of before had fewer.

    Args:
        source: The table.
        records: What its rows must say, in order.
        columns: Columns that must be there.

    Raises:
        OSError: the file cannot be read.
        TableError: it is no table of records.
    """
    known = _arrow_schema(importlib.import_module("pyarrow"), None).names
    kept = [name for name in open_table(source, columns).schema_arrow.names if name in known]
    pairs = zip_longest(read_rows(source, kept), records)
    for number, (row, record) in enumerate(pairs, start=1):
        if row is None or record is None:
            return f"it has {'fewer' if row is None else 'more'} rows than there are records"
        wanted = record_to_json(record)
        for name in kept:
            value = _json_text(wanted[name]) if name in (*JSON_COLUMNS, *_MAYBE_JSON_COLUMNS) else wanted[name]
            if row[name] not in (value, _arrow_safe(value)):
                return f"its column {name!r} differs in row {number}"
    return None
