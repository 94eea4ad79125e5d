"""The parquet form of examples: what `data build` writes and what training reads.

One file, one row an example. Text is read whole when the file is opened; images are read a row group at a time when
somebody asks for them, so that memory stays flat. The file is also a data set of the `datasets` library, whose image
column decodes by itself. Its bytes depend on the examples and on pyarrow's version alone.

    facts = write_examples(Path("train.parquet"), shapes_examples("tiny", 4_000, seed=0))
    table = read_examples(Path("train.parquet"))
    table[17].boxes_image_px
"""

from __future__ import annotations

import hashlib
import json
import threading
from bisect import bisect_right
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from harness.errors import did_you_mean
from harness.values import Box, Size
from tasks.images import picture_sha256
from tasks.rows import DataError
from training.data.example import Example

_GROUP_ROWS = 256
_GROUP_IMAGE_BYTES = 2 * 2**20
"""A row group ends at this many rows or image bytes: what one random access may have to read."""
_CACHE_IMAGE_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class DatasetFacts:
    """What is in a set of examples."""

    rows: int
    """Examples."""
    data_hash: str
    """Hex digest of all examples in their order, images included; the same wherever they are stored."""
    images: int
    """Distinct images."""
    with_boxes: int
    """Examples with gold boxes."""
    with_caption: int
    """Examples with a reference caption."""
    kinds: Mapping[str, int]
    """Kind of question to number of examples, by name."""


class _FactsSoFar:
    """Counts examples as they pass by."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._images: set[str] = set()
        self._kinds: Counter[str] = Counter()
        self._rows = self._with_boxes = self._with_caption = 0

    def add(self, cells: Mapping[str, Any]) -> None:
        """Count the columns of one example."""
        text = json.dumps([cells[name] for name in _TEXT_COLUMNS], separators=(",", ":"))
        self._digest.update(f"{text}\n".encode())
        self._images.add(cells["image_sha256"])
        self._kinds[cells["kind"]] += 1
        self._rows += 1
        self._with_boxes += cells["boxes"] is not None
        self._with_caption += cells["caption"] is not None

    def facts(self) -> DatasetFacts:
        """Return what was counted."""
        return DatasetFacts(
            rows=self._rows,
            data_hash=self._digest.hexdigest(),
            images=len(self._images),
            with_boxes=self._with_boxes,
            with_caption=self._with_caption,
            kinds=dict(sorted(self._kinds.items())),
        )


def write_examples(path: Path, examples: Iterable[Example]) -> DatasetFacts:
    """Write examples in their order and return what they are; an existing file is replaced only by a whole one.

    Raises:
        DataError: There is no example at all, two have the same id, or the file cannot be written.
    """
    part = path.with_name(f"{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        facts = _write(part, examples, path)
        part.replace(path)
    except OSError as fault:
        raise DataError(
            f"{path}: cannot be written: {fault.strerror or fault}. Make room, or name another file."
        ) from fault
    finally:
        part.unlink(missing_ok=True)
    return facts


def _write(part: Path, examples: Iterable[Example], path: Path) -> DatasetFacts:
    """Write row groups to the unfinished file."""
    ids: set[str] = set()
    so_far = _FactsSoFar()
    with pq.ParquetWriter(part, _schema(), compression="zstd") as writer:
        for group in _groups(examples):
            for example in group:
                if example.id in ids:
                    raise DataError(f"{path}: two examples have the id {example.id!r}. Give them different ids.")
                ids.add(example.id)
            rows = [_cells(example) for example in group]
            for row in rows:
                so_far.add(row)
            writer.write_table(pa.Table.from_pylist(rows, schema=_schema()))
    if not ids:
        raise DataError(f"{path}: there is no example to write. Look at what the source holds with `data verify`.")
    return so_far.facts()


def _groups(examples: Iterable[Example]) -> Iterator[list[Example]]:
    """Cut examples into row groups; none is empty."""
    group: list[Example] = []
    size = 0
    for example in examples:
        group.append(example)
        size += len(example.image)
        if len(group) == _GROUP_ROWS or size >= _GROUP_IMAGE_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _cells(example: Example) -> dict[str, Any]:
    """Return all columns of an example."""
    boxes = example.boxes_image_px
    return {
        "id": example.id,
        "image": {"bytes": example.image, "path": None},
        "question": example.question,
        "answers": list(example.answers),
        "caption": example.caption,
        "boxes": None if boxes is None else [[float(edge) for edge in box] for box in boxes],
        "width": example.image_size.width,
        "height": example.image_size.height,
        "kind": example.kind,
        "image_sha256": example.image_sha256,
    }


class ExampleTable(Sequence[Example]):
    """The examples of a file, by their row; thread-safe, and a pickled copy opens the file again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = _open(path)
        self._text = _text_columns(self._file, path)
        metadata = self._file.metadata
        rows = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
        self._group_starts = [sum(rows[:place]) for place in range(len(rows))]
        self._groups: OrderedDict[int, tuple[int, list[Any]]] = OrderedDict()  # group: image bytes, image structs
        self._held_bytes = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self._text.num_rows

    def __getitem__(self, index: Any) -> Any:
        """Return one example, or a list of them for a slice.

        Raises:
            IndexError: There is no such row.
            DataError: The image is not the one whose hash the row holds, or the file is of a version that showed
                turned pictures lying: its boxes are not those of the upright one.
        """
        if isinstance(index, slice):
            return [self[row] for row in range(*index.indices(len(self)))]
        row = range(len(self))[index]
        cells = self._text.slice(row, 1).to_pylist()[0]
        image = self._image(row)
        if picture_sha256(image) != cells["image_sha256"]:
            lying = hashlib.sha256(image).hexdigest() == cells["image_sha256"]
            what = "was taken as it is stored, lying, and is now shown upright" if lying else "is damaged"
            raise DataError(f"{self.path}: the image of row {row} {what}. Build the file again with `data build`.")
        return Example(
            id=cells["id"],
            question=cells["question"],
            answers=tuple(cells["answers"]),
            image=image,
            image_size=Size(cells["width"], cells["height"]),
            image_sha256=cells["image_sha256"],
            caption=cells["caption"],
            boxes_image_px=_boxes(cells["boxes"]),
            kind=cells["kind"],
        )

    def __iter__(self) -> Iterator[Example]:
        return (self[row] for row in range(len(self)))

    def __reduce__(self) -> tuple[Any, ...]:
        return (ExampleTable, (self.path,))

    @cached_property
    def facts(self) -> DatasetFacts:
        """What is in the file, counted anew; the image's hashes stand for the images."""
        so_far = _FactsSoFar()
        for batch in self._text.to_batches(max_chunksize=_GROUP_ROWS):
            for cells in batch.to_pylist():
                so_far.add(cells)
        return so_far.facts()

    @property
    def data_hash(self) -> str:
        """Hex digest of all examples in their order."""
        return self.facts.data_hash

    def column(self, name: str) -> list[Any]:
        """Return a whole column but the image's, such as `kind` or `image_sha256`."""
        return self._text.column(name).to_pylist()

    def _image(self, row: int) -> bytes:
        """Return the image file of a row, from the groups read last or from the file."""
        group = bisect_right(self._group_starts, row) - 1
        with self._lock:
            if group not in self._groups:
                column = self._file.read_row_group(group, columns=["image"]).column("image")
                self._groups[group] = (column.nbytes, column.to_pylist())
                self._held_bytes += column.nbytes
            self._groups.move_to_end(group)
            while self._held_bytes > _CACHE_IMAGE_BYTES and len(self._groups) > 1:
                self._held_bytes -= self._groups.popitem(last=False)[1][0]
            return self._groups[group][1][row - self._group_starts[group]]["bytes"]


def read_examples(path: Path) -> ExampleTable:
    """Open a file of `write_examples`.

    Raises:
        DataError: There is no such file, it is no parquet, or a column is missing or of another type.
    """
    return ExampleTable(path)


def _open(path: Path) -> pq.ParquetFile:
    """Open the file for reading on demand."""
    try:
        return pq.ParquetFile(path, memory_map=True)
    except FileNotFoundError as fault:
        raise DataError(f"{path}: there is no such file. `data build` writes one.") from fault
    except (pa.ArrowInvalid, OSError) as fault:
        raise DataError(f"{path}: cannot be read as parquet: {fault}. Build it again with `data build`.") from fault


def _text_columns(file: pq.ParquetFile, path: Path) -> pa.Table:
    """Read everything but the images."""
    found = list(file.schema_arrow.names)
    missing = [name for name in _COLUMNS if name not in found]
    if missing:
        hints = "".join(did_you_mean(name, found) for name in missing)
        raise DataError(
            f"{path}: the column{'s' if len(missing) > 1 else ''} {', '.join(missing)} of training data "
            f"{'are' if len(missing) > 1 else 'is'} missing; found {', '.join(found)}.{hints} "
            "Make the file from your data with `data build`."
        )
    try:
        table = file.read(columns=list(_TEXT_COLUMNS)).select(list(_TEXT_COLUMNS))
        return table.cast(pa.schema([pa.field(name, _COLUMNS[name]) for name in _TEXT_COLUMNS]))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as fault:
        raise DataError(f"{path}: {fault}. Make the file from your data with `data build`.") from fault


def _boxes(value: object) -> tuple[Box, ...] | None:
    """Return stored boxes as values."""
    if value is None:
        return None
    return tuple((x1, y1, x2, y2) for x1, y1, x2, y2 in cast("list[list[float]]", value))


# --- the columns ----------------------------------------------------------------------------------------------------

_COLUMNS: Mapping[str, pa.DataType] = {
    "id": pa.string(),
    "image": pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
    "question": pa.string(),
    "answers": pa.list_(pa.string()),
    "caption": pa.string(),
    "boxes": pa.list_(pa.list_(pa.float64())),
    "width": pa.int64(),
    "height": pa.int64(),
    "kind": pa.string(),
    "image_sha256": pa.string(),
}
_TEXT_COLUMNS = tuple(name for name in _COLUMNS if name != "image")


def _schema() -> pa.Schema:
    """Return the columns, with the note that makes `datasets` decode the images."""
    string, whole, real = ({"dtype": name, "_type": "Value"} for name in ("string", "int64", "float64"))
    features: dict[str, Any] = dict.fromkeys(("id", "question", "caption", "kind", "image_sha256"), string)
    features |= dict.fromkeys(("width", "height"), whole)
    features["image"] = {"_type": "Image"}
    features["answers"] = {"feature": string, "_type": "List"}
    features["boxes"] = {"feature": {"feature": real, "_type": "List"}, "_type": "List"}
    note = json.dumps({"info": {"features": {name: features[name] for name in _COLUMNS}}})
    return pa.schema([pa.field(name, kind) for name, kind in _COLUMNS.items()], metadata={"huggingface": note})
