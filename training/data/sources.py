"""Read training data from Shapes, VQA-Verify or a JSONL with images: every row an example or a named fault.

What a source is called on the command line:

- `shapes`: the training split of the embedded generator (a folder of that name is `./shapes`).
- a file, or a folder with files, in one of two layouts:
  - VQA-Verify's: `possible_answers`, `image_caption`, `bboxs`, `width`, `height`, beside `image` and `question`;
    or ms-swift's `messages` (one user turn, `<image>` in its text) and `images` (one) in place of the last two.
  - our JSONL: `image` (a path, a data URI, or `{bytes, path}`), `question`, `answers` (a text or a list), and where
    there are any `caption`, `boxes` ([[x1, y1, x2, y2], ...]), `width`, `height`, `id`, `kind`. The parquet files of
    `data build` and of Shapes are in this layout too.
  Files end in .parquet, .jsonl or .json. Of a folder the parquet files are read, also in folders below it; where there
  are none the .jsonl files, else the .json files. Where some are named `train*`, only those.
- anything else of the form `owner/name[@revision]`: the split `train` of a data set of the hub.

Boxes are x1, y1, x2, y2 in pixels of the upright image unless another frame is declared. Image paths are looked up in
the images folder if one is given, beside the file, in `images/` beside the file, and in the folder that was named; a
path that leads out of all of these is refused.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast, get_args

from harness.errors import ConfigError, did_you_mean
from harness.git_lfs import POINTER_MEND, is_lfs_pointer
from harness.scoring.gold_boxes import GoldFrame
from harness.values import BoxDialect
from tasks.encodings import how_to_mend, marked_encoding, possible_encodings
from tasks.rows import DataError, undecoded
from tasks.shapes import Profile
from training.data.row_faults import RowFault
from training.data.shapes import LabelNoise, shapes_examples
from training.data.source_rows import (
    COLUMNS,
    SHARED_COLUMNS,
    Layout,
    LoadedRow,
    RowPlace,
    TrainingImages,
    failed_row,
    layout_of,
    read_row,
)

__all__ = ["SOURCE_FORMATS", "LoadedRow", "RowFault", "ShapesSpec", "SourceFormat", "SourceSpec", "load_rows"]

SourceFormat: TypeAlias = Literal["shapes", "vqa-verify", "jsonl"]
"""What a source is."""

SOURCE_FORMATS: tuple[SourceFormat, ...] = get_args(SourceFormat)

SHAPES_ROWS = 4_000
"""Rows of Shapes where no limit is given."""
MAX_LINE_BYTES = 64 * 2**20
"""A longer line of a JSONL file is skipped as unreadable."""

_SUFFIXES = (".parquet", ".jsonl", ".json")
_BATCH_ROWS = 32


@dataclass(frozen=True, slots=True)
class ShapesSpec:
    """Which rows of Shapes."""

    profile: Profile = "tiny"
    """How large and how hard."""
    seed: int = 0
    """0 or more; another seed gives other rows."""
    noise: LabelNoise | None = None
    """How labels are spoilt; None leaves them right."""
    kinds: tuple[str, ...] = ()
    """Kinds of question to keep; none given means all of the profile."""


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """One source of training data."""

    location: str
    """`shapes`, a file, a folder, or a data set of the hub as `owner/name[@revision]`."""
    source_format: SourceFormat | None = None
    """What it is; None tells by the location, and by the columns of each file."""
    limit: int | None = None
    """Read at most this many rows, good and bad ones; None reads all, of Shapes `SHAPES_ROWS`."""
    images: Path | None = None
    """Folder of images beside those where they are looked up anyway."""
    box_frame: GoldFrame | BoxDialect | None = None
    """Frame of the boxes in the files; None where nobody declares any: pixels, and suspicious of anything else."""
    shapes: ShapesSpec = ShapesSpec()
    """Which rows, when it is Shapes."""

    @property
    def is_shapes(self) -> bool:
        """Whether the embedded generator is meant."""
        return self.source_format == "shapes" or (self.source_format is None and self.location == "shapes")


def load_rows(spec: SourceSpec) -> Iterator[LoadedRow]:
    """Yield the rows of a source in their order, images and all; memory stays flat.

    Raises:
        ConfigError: The location or an option is wrong; raised at once.
        DataError: The hub cannot be reached, or has no such data set; raised at once.
    """
    rows = _rows(spec)
    return rows if spec.limit is None else itertools.islice(rows, spec.limit)


def _rows(spec: SourceSpec) -> Iterator[LoadedRow]:
    """Find out what the source is."""
    if spec.limit is not None and spec.limit < 1:
        raise ConfigError(f"a limit is a whole number above 0, found {spec.limit}")
    if spec.is_shapes:
        if spec.location != "shapes":
            raise ConfigError(f"the source of the format shapes is called 'shapes', found {spec.location!r}")
        return _shapes_rows(spec.shapes, spec.limit or SHAPES_ROWS)
    if spec.images is not None and not spec.images.is_dir():
        raise ConfigError(f"{spec.images}: there is no such folder of images")
    path = Path(spec.location)
    if path.is_dir():
        files = _files_in(path)
        return itertools.chain.from_iterable(_file_rows(file, path, spec) for file in files)
    if path.is_file():
        if path.suffix not in _SUFFIXES:
            raise ConfigError(f"{path}: training data ends in {', '.join(_SUFFIXES)}; convert or rename the file")
        return _file_rows(path, path.parent, spec)
    if path.is_absolute() or path.suffix in _SUFFIXES or spec.location.count("/") != 1 or spec.location[0] in ".~":
        hint = did_you_mean(spec.location, ["shapes"])
        raise ConfigError(
            f"{spec.location}: there is no such file or folder.{hint} A source is 'shapes', a file, a folder, "
            "or owner/name of a hub data set."
        )
    return _hub_rows(spec)


def _files_in(folder: Path) -> list[Path]:
    """Return the data files of a folder, in the order of their names."""
    for suffix in _SUFFIXES:
        files = sorted(path for path in folder.rglob(f"*{suffix}") if path.is_file())
        if files:
            return [path for path in files if path.name.startswith("train")] or files
    raise ConfigError(f"{folder}: holds no file that ends in {', '.join(_SUFFIXES)}")


def _shapes_rows(shapes: ShapesSpec, n: int) -> Iterator[LoadedRow]:
    """Draw rows."""
    name = f"shapes ({shapes.profile}, train split, seed {shapes.seed})"
    examples = shapes_examples(shapes.profile, n, shapes.seed, noise=shapes.noise, kinds=shapes.kinds)
    return (LoadedRow(name, number, example) for number, example in enumerate(examples, start=1))


# --- files ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Reading:
    """How the rows of one file are read."""

    file: str
    """Its name in messages."""
    layout: Layout | None
    """Which columns play which part; None tells by the columns."""
    box_frame: GoldFrame | BoxDialect | None
    """Declared frame of the boxes, if any."""
    images: TrainingImages
    """Where images may be."""

    def row(self, number: int, cells: dict[str, Any], columns: Sequence[str]) -> LoadedRow:
        """Read one row."""
        layout = self.layout or layout_of(columns)
        return read_row(cells, RowPlace(self.file, number, layout, self.box_frame, tuple(columns)), self.images)


def _layout(spec: SourceSpec) -> Layout | None:
    """Return the layout that was asked for, if any."""
    return None if spec.source_format in {None, "shapes"} else cast("Layout", spec.source_format)


def _file_rows(file: Path, root: Path, spec: SourceSpec) -> Iterator[LoadedRow]:
    """Yield the rows of one local file."""
    folders = [file.parent, file.parent / "images", root]
    images = TrainingImages([spec.images, *folders] if spec.images is not None else folders)
    reading = _Reading(str(file), _layout(spec), spec.box_frame, images)
    try:
        if is_lfs_pointer(file):
            return iter([failed_row(reading.file, 0, "unreadable_file", f"it is {POINTER_MEND} there")])
    except OSError as fault:
        return iter([failed_row(reading.file, 0, "unreadable_file", str(fault)[:200])])
    if file.suffix == ".parquet":
        return _parquet_rows(file, reading)
    return _json_rows(file, reading)


def _parquet_rows(file: Path, reading: _Reading) -> Iterator[LoadedRow]:
    """Yield the rows of a parquet file, a few at a time."""
    import pyarrow as pa  # noqa: PLC0415 - heavy; the command line imports this module for its names
    import pyarrow.parquet as pq  # noqa: PLC0415 - see above

    number = 0
    try:
        parquet = pq.ParquetFile(file, memory_map=True)
        columns = parquet.schema_arrow.names
        known = {name for parts in COLUMNS.values() for names in parts.values() for name in names}
        wanted = [name for name in columns if name in known or name in SHARED_COLUMNS]
        for batch in parquet.iter_batches(batch_size=_BATCH_ROWS, columns=wanted):
            for cells in batch.to_pylist():
                number += 1
                yield reading.row(number, cells, columns)
    except (pa.ArrowException, OSError, ValueError) as fault:
        reason = (str(fault).splitlines() or [type(fault).__name__])[0][:200]
        yield failed_row(reading.file, 0, "unreadable_file", f"after {number} rows: {reason}")


def _json_rows(file: Path, reading: _Reading) -> Iterator[LoadedRow]:
    """Yield the rows of a file of JSON lines, or of one JSON list."""
    try:
        with file.open("rb") as stream:
            head = stream.read(1024).removeprefix(b"\xef\xbb\xbf").lstrip()
            stream.seek(0)
            if (encoding := marked_encoding(head)) is not None:
                detail = f"the file is {encoding}. {how_to_mend(encoding, file.name)}"
                yield failed_row(reading.file, 0, "unreadable_file", ascii(detail)[1:-1])
                return
            is_list = head.startswith(b"[")
            for number, value in enumerate(_json_list(stream.read()), start=1) if is_list else _json_lines(stream):
                yield _json_row(number, value, reading)
    except UnicodeDecodeError as fault:
        yield failed_row(reading.file, 0, "unreadable_file", f"it is not UTF-8: {_wrong_byte(fault)}")
    except (OSError, ValueError, RecursionError) as fault:
        yield failed_row(reading.file, 0, "unreadable_file", str(fault)[:200])


def _wrong_byte(fault: UnicodeDecodeError) -> str:
    """Say which byte of a line or file is wrong, and what its text may be."""
    near = fault.object[fault.object.rfind(b'"', 0, fault.start) + 1 : fault.start + 100]
    found = f"byte {fault.start} (0x{fault.object[fault.start]:02x})"
    return f"{found}; it may be {', '.join(possible_encodings(near, whole=False))}"


def _json_row(number: int, value: object, reading: _Reading) -> LoadedRow:
    """Read one parsed line."""
    if isinstance(value, _Unreadable):
        return failed_row(reading.file, number, value.name, value.reason)
    if not isinstance(value, dict):
        return failed_row(reading.file, number, "unreadable_row", f"found {type(value).__name__}, not an object")
    cells = cast("dict[str, Any]", value)
    return reading.row(number, cells, list(cells))


@dataclass(frozen=True, slots=True)
class _Unreadable:
    """A line that is no JSON."""

    reason: str
    """Why."""
    name: Literal["unreadable_row", "not_utf8"] = "unreadable_row"
    """The fault that it is."""


def _json_list(data: bytes) -> list[Any]:
    """Parse a whole file; raises ValueError or RecursionError."""
    value = json.loads(data.decode("utf-8-sig"))
    if not isinstance(value, list):
        raise ValueError("the file is no JSON list of objects")  # noqa: TRY004 - of a file, not of an argument
    return cast("list[Any]", value)


def _json_lines(stream: Any) -> Iterator[tuple[int, object]]:
    """Yield number and parsed value of each line that is not blank."""
    for number in itertools.count(1):
        line = stream.readline(MAX_LINE_BYTES)
        if not line:
            return
        if len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
            while (rest := stream.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
                pass
            yield number, _Unreadable(f"the line is longer than {MAX_LINE_BYTES} bytes")
        elif line.strip():
            yield number, _parsed(line, first=number == 1)


def _parsed(line: bytes, *, first: bool) -> object:
    """Parse one line."""
    try:
        return json.loads(line.decode("utf-8-sig" if first else "utf-8"))
    except RecursionError:
        return _Unreadable("nested too deeply")
    except UnicodeDecodeError as fault:
        return _Unreadable(_wrong_byte(fault), "not_utf8")
    except ValueError as fault:  # no JSON, or an integer of thousands of digits
        return _Unreadable(str(fault)[:200])


# --- the hub --------------------------------------------------------------------------------------------------------


def _hub_rows(spec: SourceSpec) -> Iterator[LoadedRow]:
    """Yield the rows of the split `train` of a data set of the hub, or of its local cache."""
    import datasets  # noqa: PLC0415 - slow to import, and only the hub needs it

    name, _, revision = spec.location.partition("@")
    try:
        dataset: Any = datasets.load_dataset(name, split="train", revision=revision or None)
    except Exception as fault:  # the hub's client raises a dozen kinds of its libraries' errors
        reason = (str(fault).splitlines() or [type(fault).__name__])[0][:300]
        raise DataError(
            f"{spec.location}: there is no such file or folder, and as a data set of the hub it cannot be loaded: "
            f"{reason}. Download it, and name its folder."
        ) from fault
    dataset = undecoded(dataset)
    images = TrainingImages([spec.images] if spec.images is not None else [])
    reading = _Reading(spec.location, _layout(spec), spec.box_frame, images)
    columns = dataset.column_names
    return (reading.row(number, cells, columns) for number, cells in enumerate(dataset, start=1))
