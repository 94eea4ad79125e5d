"""Rows of JSON files, and rows that are asked several times or not at all.

Some benchmarks come as annotations beside folders of pictures: a list of objects, an object a line, or a file a
picture. They are small, so all cells are read at once; pictures are read one by one as everywhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from tasks.image_files import ImageFiles
from tasks.images import ImageFacts, UnreadableImageError, by_number
from tasks.rows import DataError, Rows

FILE = "_file"
"""Column that JSON rows have beside their own: the path of the file that a row stands in, below the folder of data."""

ITEM = "_item"
"""Column that chosen rows have beside their own: which of a row's questions this is, from 0."""

RowMaker = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""Makes the flat columns that an adapter reads of an object as its authors write it."""


class JsonRows(Rows):
    """Rows of `.json` files (a list of objects, or one object) and `.jsonl` files (an object a line)."""

    def __init__(
        self,
        paths: Sequence[Path],
        image_columns: tuple[str, ...],
        *,
        root: Path,
        made: RowMaker | None = None,
        several: bool = False,
    ) -> None:
        super().__init__(several=several)
        self._rows = [_flat(item, path, root, made) for path in paths for item in _objects(path)]
        names = dict.fromkeys(name for row in self._rows for name in row)
        self._picture_columns = self._name_columns(tuple(names), image_columns)
        folders = [place for path in paths for place in (path.parent, path.parent / "images")]
        self.files = ImageFiles(list(dict.fromkeys([*folders, root, root / "images"])))
        self.source = str(paths[0]) if len(paths) == 1 else f"{root}/**/{paths[0].name} and {len(paths) - 1} more files"
        digest = hashlib.sha256()
        for path in paths:
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        self._digest = digest.hexdigest()

    def __len__(self) -> int:
        return len(self._rows)

    def cells(self, row: int) -> dict[str, Any]:
        """Return all cells of a row but the image's."""
        left_out = self._picture_columns if self.several else (self.image_column,)
        return {name: cell for name, cell in self._rows[row].items() if name not in left_out}

    def pictures(self, row: int) -> Sequence[object]:
        """Return what a row holds as its pictures."""
        if not self._picture_columns:
            raise UnreadableImageError(f"there is no column {self.image_column!r}")
        values = [self._rows[row].get(name) for name in self._picture_columns]
        return by_number(self._picture_columns, values) if self.several else values

    def fingerprint(self) -> str:
        """Return a hex digest of the annotations."""
        return self._digest


class ChosenRows(Rows):
    """Some rows of another source, each as often as it has questions."""

    def __init__(self, rows: Rows, chosen: Sequence[tuple[int, int]]) -> None:
        super().__init__(several=rows.several)
        self._inner, self._chosen, self.files = rows, tuple(chosen), rows.files
        self.columns, self.image_column, self.source = (*rows.columns, ITEM), rows.image_column, rows.source

    def __len__(self) -> int:
        return len(self._chosen)

    def cells(self, row: int) -> dict[str, Any]:
        """Return all cells of a row but the image's, and which of its questions this is."""
        inner, item = self._chosen[row]
        return {**self._inner.cells(inner), ITEM: item}

    def pictures(self, row: int) -> Sequence[object]:
        """Return what a row holds as its pictures."""
        return self._inner.pictures(self._chosen[row][0])

    def image_facts(self, row: int, number: int = 1) -> ImageFacts:
        """Return hash and size of a row's image, which is hashed once for all of its questions."""
        return self._inner.image_facts(self._chosen[row][0], number)

    def fingerprint(self) -> str:
        """Return a hex digest that changes when the data or the choice of it does."""
        return hashlib.sha256(f"{self._inner.fingerprint()} {self._chosen}".encode()).hexdigest()


def _objects(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the objects of a file; raises DataError where it holds anything else."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        lines = text.splitlines() if path.suffix == ".jsonl" else [text]
        values = [json.loads(line) for line in lines if line.strip()]
    except (OSError, ValueError, RecursionError) as fault:
        raise DataError(f"{path}: cannot be read as JSON: {fault}. Download or write the file again.") from fault
    if path.suffix != ".jsonl" and len(values) == 1 and isinstance(values[0], list):
        values = cast("list[Any]", values[0])
    for number, value in enumerate(values):
        if not isinstance(value, dict):
            raise DataError(f"{path}: item {number} is no object but {type(value).__name__}")
        yield cast("dict[str, Any]", value)


def _flat(item: Mapping[str, Any], path: Path, root: Path, made: RowMaker | None) -> Mapping[str, Any]:
    """Return the columns of one object."""
    row = {**item, FILE: path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name}
    try:
        return row if made is None else made(row)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as fault:
        raise DataError(
            f"{path}: an object is not in the layout that is expected here ({type(fault).__name__}: {fault}): "
            f"{json.dumps(item)[:200]}"
        ) from fault
