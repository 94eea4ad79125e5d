"""Rows of several sources one after another: a benchmark whose halves are files of their own."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from tasks.images import ImageFacts
from tasks.rows import Rows


class JoinedRows(Rows):
    """All rows of the first source, then those of the second, and so on; columns are those that all have."""

    def __init__(self, parts: Sequence[Rows]) -> None:
        super().__init__(several=parts[0].several)
        self._parts = tuple(parts)
        self._starts = [0, *accumulate(map(len, self._parts))]
        self.image_column = self._parts[0].image_column
        shared = set(self._parts[0].columns).intersection(*(part.columns for part in self._parts))
        self.columns = tuple(name for name in self._parts[0].columns if name in shared)
        self.source = " and ".join(part.source for part in self._parts)

    def __len__(self) -> int:
        return self._starts[-1]

    def cells(self, row: int) -> dict[str, Any]:
        """Return all cells of a row but the image's."""
        part, own = self._place_of(row)
        return part.cells(own)

    def pictures(self, row: int) -> Sequence[object]:
        """Return what a row holds as its pictures."""
        part, own = self._place_of(row)
        return part.pictures(own)

    def image_bytes(self, row: int, number: int = 1) -> bytes:
        """Return the image file of a row, its `number`-th; raises UnreadableImageError."""
        part, own = self._place_of(row)
        return part.image_bytes(own, number)

    def image_facts(self, row: int, number: int = 1) -> ImageFacts:
        """Return hash and size of a row's image."""
        part, own = self._place_of(row)
        return part.image_facts(own, number)

    def fingerprint(self) -> str:
        """Return a hex digest of all parts, in their order."""
        return hashlib.sha256(" ".join(part.fingerprint() for part in self._parts).encode()).hexdigest()

    def _place_of(self, row: int) -> tuple[Rows, int]:
        """Return the part that holds a row, and the row's number there."""
        place = bisect_right(self._starts, row) - 1
        return self._parts[place], row - self._starts[place]
