"""Sources of rows: TSV and parquet files, the hub, and the Shapes generator, each read row by row.

Cells are read without images, and images one by one, so that memory stays flat however many rows there are.
"""

from __future__ import annotations

import hashlib
import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from harness.errors import UserError
from tasks.image_files import ImageFiles, looks_like_a_path
from tasks.images import ImageFacts, UnreadableImageError, by_number, facts_of, image_bytes_of, pictures_in
from tasks.shapes import BENCHMARK_ROWS, BENCHMARK_SEED, GENERATOR_VERSION, Profile, generate
from tasks.tsv import TsvEncodingError, TsvError, TsvFile, index_tsv

SHORT_IMAGE_CHARACTERS = 64
"""VLMEvalKit's rule: an image cell no longer than this is the index of the row whose image is reused."""

STAND_INS = ("images", "image_path", "image_paths")
"""Columns that hold the picture in some tables that have no column `image`: a list of one, or a path."""

_OF_PATHS = ("_path", "_paths")
"""How the names of columns end that hold paths and never the index of another row."""
_IMAGE_BATCH_ROWS = 16
_IMAGE_CACHE_BYTES = 96 * 2**20
_IMAGE_CACHE_BATCHES = 16
_TEXT_CACHE_GROUPS = 4
_TEXT_CACHE_ROWS = 8192  # two windows of questions about the same pictures


class DataError(UserError, ValueError):
    """A benchmark's data is missing or wrong; the message names file, column and mend."""


class Rows(ABC):
    """Rows of one source. Reading is thread-safe."""

    columns: tuple[str, ...]
    """Column names; the picture's is among them also where another column stands in for it."""
    image_column: str
    """The column that the picture is known by; the first of several."""
    several: bool
    """Whether a row may show several pictures: in numbered columns, or in one that holds a list."""
    source: str
    """Where the rows come from, for manifests and messages."""
    files: ImageFiles | None = None
    """Where paths of pictures may lead to; None where there are none."""

    def __init__(self, *, several: bool = False) -> None:
        self.several = several
        self._facts: dict[tuple[int, int], ImageFacts] = {}

    def _name_columns(self, columns: Sequence[str], image_columns: Sequence[str]) -> tuple[str, ...]:
        """Set the names; return the columns that pictures are read from, none where there is none."""
        own = tuple(name for name in image_columns if name in columns)
        own = own if self.several else own[:1]
        stand_ins = () if own else tuple(name for name in _stand_ins(image_columns) if name in columns)[:1]
        self.image_column = own[0] if own else image_columns[0]
        self.columns = (*columns, self.image_column) if stand_ins else tuple(columns)
        return own or stand_ins

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def cells(self, row: int) -> dict[str, Any]:
        """Return all cells of a row but the images'."""

    @abstractmethod
    def pictures(self, row: int) -> Sequence[object]:
        """Return what a row holds as its pictures, by number from 1, None where one is missing.

        Raises:
            UnreadableImageError: What holds them cannot be read.
        """

    def image_bytes(self, row: int, number: int = 1) -> bytes:
        """Return the image file of a row, its `number`-th; raises UnreadableImageError."""
        held = self.pictures(row)
        value = held[number - 1] if number <= len(held) else None
        if self.several and value is None:
            raise UnreadableImageError(f"the row has no picture {number}")
        return image_bytes_of(value, self.files)

    @abstractmethod
    def fingerprint(self) -> str:
        """Return a hex digest that changes when the data does."""

    def image_facts(self, row: int, number: int = 1) -> ImageFacts:
        """Return hash and size of a row's image, remembered (some 200 bytes an image)."""
        facts = self._facts.get((row, number))
        if facts is None:
            facts = self._facts[row, number] = facts_of(self.image_bytes(row, number))
        return facts

    def image_numbers(self, row: int) -> tuple[int, ...]:
        """Return the numbers of the images that a row holds, from 1; raises UnreadableImageError."""
        return tuple(number for number, held in enumerate(self.pictures(row), start=1) if held is not None)


class TsvRows(Rows):
    """Rows of one of VLMEvalKit's TSV files."""

    def __init__(self, path: Path, image_columns: tuple[str, ...], *, several: bool = False) -> None:
        super().__init__(several=several)
        try:
            self._file: TsvFile = index_tsv(path, (*image_columns, *_stand_ins(image_columns)))
        except TsvEncodingError as fault:
            raise DataError(f"{path}: {fault}") from fault
        except (TsvError, OSError) as fault:
            raise DataError(f"{path}: {fault}. Download or write the file again.") from fault
        pictures = self._name_columns(self._file.columns, image_columns)
        if len(pictures) > 1:
            raise DataError(
                f"{path}: its pictures stand in {', '.join(pictures)}; in a TSV file they are one column 'image' "
                "that holds a list, as VLMEvalKit writes them. Write it so, or as parquet"
            )
        found = self._file.image_column
        self._holds_paths = found is not None and found.endswith(_OF_PATHS)
        self.files = self._beside = ImageFiles.beside(path)
        self.source = str(path)
        self._rows_by_index: dict[str, int] | None = None
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._file)

    def cells(self, row: int) -> dict[str, Any]:
        """Return all cells of a row but the image's."""
        cells: dict[str, Any] = dict(self._file.cells(row))
        if self._holds_paths and self._file.image_column != self.image_column:
            cells[str(self._file.image_column)] = self._file.image_text(row)  # MME's ids are made of it
        return cells

    def pictures(self, row: int) -> Sequence[object]:
        """Return what a row holds as its pictures; a list of them is written as text."""
        text = self._file.image_text(self._home_of(row))
        return pictures_in(text) if self.several else [text]

    def image_facts(self, row: int, number: int = 1) -> ImageFacts:
        """Return hash and size of a row's image."""
        # rows that reuse an image share its facts: it is hashed once
        return super().image_facts(self._home_of(row), number)

    def fingerprint(self) -> str:
        """Return a hex digest of the data."""
        return self._file.sha256

    def _home_of(self, row: int) -> int:
        """Return the row that holds this row's image: itself, or the one that its short cell names."""
        if self._holds_paths or self._file.image_characters(row) > SHORT_IMAGE_CHARACTERS + 2:
            return row
        text = self._file.image_text(row).strip()
        if len(text) > SHORT_IMAGE_CHARACTERS:
            return row
        if not text:
            raise UnreadableImageError("the row has no image")
        home = self._by_index().get(text)
        if home is None:
            if text.startswith("[") or looks_like_a_path(text) or self._beside.holds(text):
                return row
            raise UnreadableImageError(
                f"the image cell is {text!r}, which is neither a row's index nor a file beside the table"
            )
        named = self._file.image_text(home)
        if len(named) <= SHORT_IMAGE_CHARACTERS and not looks_like_a_path(named):
            raise UnreadableImageError(f"the image cell names the row with index {text!r}, which has no image either")
        return home

    def _by_index(self) -> dict[str, int]:
        """Return index to row number, built when the first reused image is met."""
        with self._lock:
            if self._rows_by_index is None:
                indexes = (self._file.cells(row).get("index", "") for row in range(len(self._file)))
                self._rows_by_index = {index: row for row, index in enumerate(indexes)}
            return self._rows_by_index


class ParquetRows(Rows):
    """Rows of one or several parquet files, read group by group; images in small batches."""

    def __init__(self, paths: Sequence[Path], image_columns: tuple[str, ...], *, several: bool = False) -> None:
        super().__init__(several=several)
        import pyarrow.parquet as pq  # noqa: PLC0415 - heavy, and not needed for TSV files and Shapes

        self._paths = tuple(paths)
        self._open = pq.ParquetFile
        self._groups: list[tuple[Path, int, int, int]] = []  # file, group in it, first row, rows
        first = 0
        first_names: tuple[str, ...] = ()
        for path in self._paths:
            parquet = self._file(path)
            names = tuple(parquet.schema_arrow.names)
            if path == self._paths[0]:
                first_names = names
            elif set(names) != set(first_names):
                odd = sorted(set(names) ^ set(first_names))
                raise DataError(f"{path}: its columns differ from those of {self._paths[0].name}: {', '.join(odd)}")
            for group in range(parquet.metadata.num_row_groups):
                rows = parquet.metadata.row_group(group).num_rows
                self._groups.append((path, group, first, rows))
                first += rows
        self._length = first
        found = self._picture_columns = self._name_columns(first_names, image_columns)
        keeps_paths = _are_paths_in_their_place(found, self.image_column)
        self._text_columns = [name for name in first_names if name not in found or keeps_paths]
        self.files = ImageFiles([place for path in self._paths for place in (path.parent, path.parent / "images")])
        self.source = str(self._paths[0]) if len(self._paths) == 1 else f"{self._paths[0].parent}/*.parquet"
        self._texts: OrderedDict[int, list[dict[str, Any]]] = OrderedDict()
        self._images: OrderedDict[int, tuple[int, list[Any]]] = OrderedDict()  # first row: bytes, images
        self._images_bytes = 0
        self._cursor: tuple[int, int, Iterator[Any]] | None = None  # group, next row, batches
        self._digest: str | None = None
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return self._length

    def cells(self, row: int) -> dict[str, Any]:
        """Return all cells of a row but the image's."""
        place = self._group_of(row)
        with self._lock:
            group = self._texts.get(place)
            if group is None:
                path, number, _, _ = self._groups[place]
                group = self._read_group(path, number, self._text_columns)
                self._texts[place] = group
                # questions are asked in the order of a window of thousands: small groups would be read for each of them
                while len(self._texts) > _TEXT_CACHE_GROUPS and self._held_rows() > _TEXT_CACHE_ROWS:
                    self._texts.popitem(last=False)
            else:
                self._texts.move_to_end(place)
            return dict(group[row - self._groups[place][2]])

    def _held_rows(self) -> int:
        return sum(map(len, self._texts.values()))

    def pictures(self, row: int) -> Sequence[object]:
        """Return what a row holds as its pictures."""
        if not self._picture_columns:
            raise UnreadableImageError(f"there is no column {self.image_column!r}")
        with self._lock:
            first = self._batch_start(row)
            if first not in self._images:
                self._read_until(row)
            self._images.move_to_end(first)
            values = self._images[first][1][row - first]
        return by_number(self._picture_columns, values) if self.several else values

    def fingerprint(self) -> str:
        """Return a hex digest of the data."""
        with self._lock:
            if self._digest is None:
                parts = [_file_sha256(path) for path in self._paths]
                self._digest = parts[0] if len(parts) == 1 else hashlib.sha256("".join(parts).encode()).hexdigest()
            return self._digest

    def _file(self, path: Path) -> Any:
        """Open a parquet file; the read buffer keeps whole column chunks out of memory."""
        with _parquet_faults(path, "cannot be read as parquet"):
            return self._open(path, buffer_size=1 << 20)

    def _read_group(self, path: Path, number: int, names: Sequence[str]) -> list[dict[str, Any]]:
        """Return a row group's cells; where that fails, read column by column to say which one is damaged."""
        try:
            with _parquet_faults(path, f"row group {number} is damaged"):
                return self._file(path).read_row_group(number, columns=names).to_pylist()
        except DataError:
            for name in names:
                with _parquet_faults(path, f"column {name!r} is damaged in row group {number}"):
                    cells = self._file(path).read_row_group(number, columns=[name]).column(0)
                    _refuse_other_encodings(path, name, cells)
                    cells.to_pylist()
            raise

    def _group_of(self, row: int) -> int:
        """Return the place of the group that holds a row."""
        low, high = 0, len(self._groups) - 1
        while low < high:
            middle = (low + high + 1) // 2
            if self._groups[middle][2] <= row:
                low = middle
            else:
                high = middle - 1
        return low

    def _batch_start(self, row: int) -> int:
        """Return the first row of the image batch that holds a row."""
        first = self._groups[self._group_of(row)][2]
        return first + (row - first) // _IMAGE_BATCH_ROWS * _IMAGE_BATCH_ROWS

    def _read_until(self, row: int) -> None:
        """Read image batches onward until that of the row is there; a jump back begins the group again."""
        place = self._group_of(row)
        path, number, first, _ = self._groups[place]
        cursor, self._cursor = self._cursor, None  # stays forgotten when reading fails: the batches end there
        named = f"column{'s' if len(self._picture_columns) > 1 else ''} {', '.join(map(repr, self._picture_columns))}"
        with _parquet_faults(path, f"{named} is damaged in row group {number}"):
            if cursor is None or cursor[0] != place or cursor[1] > row:
                batches = self._file(path).iter_batches(
                    batch_size=_IMAGE_BATCH_ROWS, row_groups=[number], columns=list(self._picture_columns)
                )
                cursor = (place, first, iter(batches))
            _, at, batches = cursor
            while at <= row:
                batch = next(batches, None)
                if batch is None:
                    raise DataError(f"{path}: row group {number} ends before its last row. Download the file again.")
                held = [batch.column(name).to_pylist() for name in self._picture_columns]
                self._keep(at, batch.nbytes, list(zip(*held, strict=True)))
                at += len(batch)
            self._cursor = (place, at, batches)

    def _keep(self, first: int, size: int, images: list[Any]) -> None:
        """Keep a batch, and forget the oldest ones above the budget.

        The budget covers the window that models look at together to batch images of similar size, so that reading it
        twice and in another order reads the file once.
        """
        held = self._images.pop(first, None)
        self._images_bytes += size - (held[0] if held else 0)
        self._images[first] = (size, images)
        while len(self._images) > 1 and (
            self._images_bytes > _IMAGE_CACHE_BYTES or len(self._images) > _IMAGE_CACHE_BATCHES
        ):
            _, (freed, _) = self._images.popitem(last=False)
            self._images_bytes -= freed


class HubRows(Rows):
    """Rows of a dataset of the hub, as the `datasets` library keeps them on disk."""

    def __init__(self, dataset: Any, image_columns: tuple[str, ...], source: str, *, several: bool = False) -> None:
        super().__init__(several=several)
        from datasets import config  # noqa: PLC0415 - slow to import, and only the hub needs it

        found = self._picture_columns = self._name_columns(dataset.column_names, image_columns)
        self._fingerprint = str(dataset._fingerprint)  # noqa: SLF001 - the library's only identity of a dataset
        self._texts, self._images = dataset, None
        if found:
            self._images = undecoded(dataset.select_columns(list(found)))
            if not _are_paths_in_their_place(found, self.image_column):
                self._texts = dataset.remove_columns(list(found))
        # files that the library has downloaded and unpacked lie in its own folders
        self.files = ImageFiles([Path(config.HF_CACHE_HOME), Path(config.HF_DATASETS_CACHE)])
        self.source = source

    def __len__(self) -> int:
        return len(self._texts)

    def cells(self, row: int) -> dict[str, Any]:
        """Return all cells of a row but the image's."""
        return dict(self._texts[row])

    def pictures(self, row: int) -> Sequence[object]:
        """Return what a row holds as its pictures."""
        if self._images is None:
            raise UnreadableImageError(f"there is no column {self.image_column!r}")
        held = self._images[row]
        values = [held[name] for name in self._picture_columns]
        return by_number(self._picture_columns, values) if self.several else values

    def fingerprint(self) -> str:
        """Return a hex digest of the data."""
        return hashlib.sha256(f"{self.source} {self._fingerprint}".encode()).hexdigest()


def undecoded(dataset: Any) -> Any:
    """Return a dataset of the hub whose images, also those in lists, come as stored files and not as pixels."""
    import datasets  # noqa: PLC0415 - slow to import, and only the hub needs it

    for column, feature in dict(dataset.features).items():
        if isinstance(feature, datasets.Image):
            dataset = dataset.cast_column(column, datasets.Image(decode=False))
        elif isinstance(feature, datasets.List) and isinstance(feature.feature, datasets.Image):
            dataset = dataset.cast_column(column, datasets.List(datasets.Image(decode=False)))
    return dataset


class ShapesRows(Rows):
    """Rows of the benchmark split of Shapes, drawn when asked for."""

    columns = ("id", "image", "question", "kind", "answers", "caption", "boxes", "width", "height", "scene")
    image_column = "image"

    def __init__(self, profile: Profile, rows: int = BENCHMARK_ROWS) -> None:
        super().__init__()
        self._rows = rows
        # a run asks for the same row several times; an example is some 2 KB, its picture is drawn anew
        self._example = lru_cache(maxsize=BENCHMARK_ROWS)(
            lambda row: generate(profile, "benchmark", row, BENCHMARK_SEED)
        )
        self.source = f"shapes generator {GENERATOR_VERSION}, profile {profile}, benchmark split"

    def __len__(self) -> int:
        return self._rows

    def cells(self, row: int) -> dict[str, Any]:
        """Return all cells of a row but the image's."""
        return self._example(row).cells()

    def pictures(self, row: int) -> Sequence[object]:
        """Return the picture of a row, as PNG."""
        return [self._example(row).png()]

    def fingerprint(self) -> str:
        """Return a hex digest of the data."""
        return hashlib.sha256(f"{self.source}, seed {BENCHMARK_SEED}, {self._rows} rows".encode()).hexdigest()


def _are_paths_in_their_place(found: Sequence[str], image_column: str) -> bool:
    """Tell whether the pictures are read from a column of paths that stands in for the one that was asked for.

    Such a column is a text as well: ids are made of it.
    """
    return len(found) == 1 and found[0] != image_column and found[0].endswith(_OF_PATHS)


def _stand_ins(image_columns: Sequence[str]) -> tuple[str, ...]:
    """Return what may stand in for these columns: nothing where another than `image` was named.

    Whoever misspells a name wants the column that they meant, and no other picture.
    """
    return STAND_INS if "image" in image_columns else ()


@contextmanager
def _parquet_faults(path: Path, what: str) -> Generator[None]:
    """Turn whatever reading a damaged parquet file raises into a fault that names the file."""
    from pyarrow import ArrowException  # noqa: PLC0415 - heavy, and not needed for TSV files and Shapes

    try:
        yield
    except DataError:
        raise
    except (ArrowException, OSError, ValueError) as fault:  # ValueError: text that is not UTF-8, dates out of range
        reason = " ".join(str(fault).split())[:300].rstrip(".")
        raise DataError(f"{path}: {what}: {reason}. Download the file again.") from fault


def _refuse_other_encodings(path: Path, name: str, cells: Any) -> None:
    """Raise DataError at the first cell whose text is not UTF-8; `cells` is an Arrow column."""
    for place, cell in enumerate(cells):
        try:
            cell.as_py()
        except UnicodeDecodeError as fault:
            raise DataError(
                f"{path}: column {name!r}, row {place} of its row group: the text is not UTF-8 "
                f"(byte 0x{fault.object[fault.start]:02x}). Write the file again with its text decoded."
            ) from fault


def _file_sha256(path: Path) -> str:
    """Hash a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
