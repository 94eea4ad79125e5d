"""Random access to VLMEvalKit's TSV files (base64 images in quoted fields) with flat memory.

One pass notes where each record and its image field begin and end; a row is then read by itself, and without its
image unless that is asked for. Quotes follow the rules of pandas' writer: a field that begins with a quote may hold
tabs, line breaks and doubled quotes. All cells stay text, which is UTF-8: a file in another encoding is refused with
the place of its first wrong byte, since a guess would ask other questions than the file holds.
"""

from __future__ import annotations

import codecs
import hashlib
import os
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tasks.encodings import how_to_mend, marked_encoding, possible_encodings

_CHUNK_BYTES = 1 << 20
_BOM = b"\xef\xbb\xbf"
_QUOTE, _NEWLINE = ord('"'), ord("\n")
_SPECIAL = (b'"', b"\t", b"\n")
_NOTE = 4
"""Offsets noted per row: record start, image start, image end, record end."""


class TsvError(ValueError):
    """A TSV file is broken; the message names the record."""


class TsvEncodingError(TsvError):
    """A TSV file is not UTF-8; the message names the place and the mend."""


@dataclass(frozen=True, slots=True)
class TsvFile:
    """An indexed TSV file."""

    path: Path
    """The file."""
    columns: tuple[str, ...]
    """Column names, in order."""
    offsets: array[int]
    """Four byte offsets a row; empty for an empty table."""
    image_column: str | None
    """The column that is left out of `cells`; None when the file has none."""
    sha256: str
    """Hex digest of the file."""

    def __len__(self) -> int:
        return len(self.offsets) // _NOTE

    def cells(self, row: int) -> dict[str, str]:
        """Return all cells of a row but the image's."""
        start, image_start, image_end, end = self.offsets[row * _NOTE : (row + 1) * _NOTE]
        record = self._read(start, image_start) + self._read(image_end, end)
        values = [_value(record[first:last]) for first, last, _ in _fields_of(record)]
        cells = dict(zip(self.columns, values, strict=True))
        if self.image_column is not None:
            del cells[self.image_column]
        return cells

    def image_text(self, row: int) -> str:
        """Return the image cell of a row: base64 text, or the index of the row whose image is reused."""
        if self.image_column is None:
            return ""
        start, end = self.offsets[row * _NOTE + 1 : row * _NOTE + 3]
        return _value(self._read(start, end))

    def image_characters(self, row: int) -> int:
        """Return the length of a row's image cell, without reading it."""
        start, end = self.offsets[row * _NOTE + 1 : row * _NOTE + 3]
        return end - start

    def _read(self, start: int, end: int) -> bytes:
        """Read a part of the file; opened each time, so that threads never share a position."""
        if end <= start:
            return b""
        with self.path.open("rb") as stream:
            return os.pread(stream.fileno(), end - start, start)


def index_tsv(path: Path, image_columns: tuple[str, ...]) -> TsvFile:
    """Index a TSV file in one pass.

    Raises:
        TsvEncodingError: The file is not UTF-8.
        TsvError: No header, a record with more or fewer fields than it, or a quote that is never closed.
        OSError: The file cannot be read.
    """
    digest = hashlib.sha256()
    offsets: array[int] = array("q")
    with path.open("rb") as stream:
        text = _TextCheck(path.name)
        records = _records(_fields(stream, digest, text))
        header = next(records, None)
        if header is None:
            raise TsvError("the file is empty: it has no header line")
        text.check(stream, header, "the header", ())
        columns = tuple(_value(os.pread(stream.fileno(), end - start, start)) for start, end in header)
        image_column = next((name for name in image_columns if name in columns), None)
        place = columns.index(image_column) if image_column is not None else None
        number = 0
        for record in records:
            text.check(stream, record, f"record {number + 1}", columns)
            if len(record) == 1 and _is_blank(stream, *record[0]):
                continue
            number += 1
            if len(record) != len(columns):
                raise TsvError(f"record {number} has {len(record)} fields, the header has {len(columns)}")
            image = record[place] if place is not None else (record[-1][1], record[-1][1])
            offsets.extend((record[0][0], image[0], image[1], record[-1][1]))
    return TsvFile(path, columns, offsets, image_column, digest.hexdigest())


def _records(fields: Iterator[tuple[int, int, bool]]) -> Iterator[list[tuple[int, int]]]:
    """Group fields into records."""
    record: list[tuple[int, int]] = []
    for start, end, last in fields:
        record.append((start, end))
        if last:
            yield record
            record = []


def _is_blank(stream: BinaryIO, start: int, end: int) -> bool:
    """Say whether a line holds nothing but its end."""
    return end - start <= 1 and os.pread(stream.fileno(), end - start, start) in {b"", b"\r"}


class _TextCheck:
    """Finds the first byte of a file that is no UTF-8 text, and says where it stands."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._whole = True
        self._bad: int | None = None

    def feed(self, chunk: bytes, base: int) -> None:
        """Look at the next bytes of the file, which begin at byte `base`; the last chunk is an empty one."""
        if base == 0 and (found := marked_encoding(chunk)) is not None:
            raise TsvEncodingError(f"the file is {found}, not UTF-8. {how_to_mend(found, self._name)}")
        if self._bad is not None or (self._whole and chunk.isascii() and 0 not in chunk):  # as base64 is
            return
        pending = len(self._decoder.getstate()[0])
        try:
            self._decoder.decode(chunk, final=not chunk)
            self._whole = not self._decoder.getstate()[0]
            if (nul := chunk.find(0)) >= 0:
                self._bad = base + nul
        except UnicodeDecodeError as fault:
            self._bad = base - pending + fault.start

    def check(self, stream: BinaryIO, record: list[tuple[int, int]], what: str, columns: tuple[str, ...]) -> None:
        """Raise TsvEncodingError when the wrong byte stands in this record."""
        bad = self._bad
        if bad is None or record[-1][1] < bad:
            return
        place = next((place for place, (_, end) in enumerate(record) if bad <= end), len(record) - 1)
        start, end = record[place]
        field = os.pread(stream.fileno(), min(end, bad + 200) - start, start)
        column = f", column {columns[place]!r}" if place < len(columns) else ""
        where = f"{what}{column}, byte {bad} of the file (0x{os.pread(stream.fileno(), 1, bad).hex()})"
        names = possible_encodings(field, whole=end <= bad + 200)
        raise TsvEncodingError(
            f"{where}: the text is not UTF-8; it may be {', '.join(names)}. {how_to_mend(names[0], self._name)}"
        )


def _fields(stream: BinaryIO, digest: hashlib._Hash, text: _TextCheck) -> Iterator[tuple[int, int, bool]]:
    """Yield start, end and "ends the record" of every field, reading the file once in chunks."""
    scanner = _Scanner()
    base = 0
    while chunk := stream.read(_CHUNK_BYTES):
        digest.update(chunk)
        text.feed(chunk, base)
        if base == 0 and chunk.startswith(_BOM):
            scanner.field_start = len(_BOM)
        yield from scanner.feed(chunk, base)
        base += len(chunk)
    text.feed(b"", base)
    yield from scanner.finish(base)


def _fields_of(record: bytes) -> Iterator[tuple[int, int, bool]]:
    """Split one record that is in memory."""
    scanner = _Scanner()
    yield from scanner.feed(record, 0)
    yield from scanner.finish(len(record), complete=False)


def _places(chunk: bytes) -> Iterator[int]:
    """Yield where the special bytes are, in order.

    Three searches for one byte each are many times faster than one for a set, and base64 holds none of them.
    """
    end = len(chunk)
    following = [place if place >= 0 else end for place in map(chunk.find, _SPECIAL)]
    while (place := min(following)) < end:
        yield place
        which = following.index(place)
        found = chunk.find(_SPECIAL[which], place + 1)
        following[which] = found if found >= 0 else end


class _Scanner:
    """Follows quotes, tabs and line breaks through a file; the bytes between them are skipped at C speed."""

    def __init__(self) -> None:
        self.field_start = 0
        self._quoted = False
        self._closed_at = -2
        self._record_open = False

    def feed(self, chunk: bytes, base: int) -> Iterator[tuple[int, int, bool]]:
        """Yield the fields that end within a chunk that begins at byte `base`."""
        for place in _places(chunk):
            at = base + place
            if chunk[place] == _QUOTE:
                self._quote(at)
            elif not self._quoted:
                last = chunk[place] == _NEWLINE
                yield self.field_start, at, last
                self.field_start = at + 1
                self._record_open = not last

    def finish(self, end: int, *, complete: bool = True) -> Iterator[tuple[int, int, bool]]:
        """Yield the field that the end of the file ends."""
        if self._quoted:
            raise TsvError("a quote is never closed: the file is cut off or not a TSV file")
        if not complete or self._record_open or end > self.field_start:
            yield self.field_start, end, True

    def _quote(self, at: int) -> None:
        """Meet a quote: it opens a field, closes it, or is one of a doubled pair."""
        if self._quoted:
            self._quoted = False
            self._closed_at = at
        elif at == self.field_start or self._closed_at == at - 1:
            self._quoted = True


def _value(field: bytes) -> str:
    """Return a field's text, without its quotes."""
    text = field.decode("utf-8").removesuffix("\r")
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return text[1:-1].replace('""', '"')
    return text
