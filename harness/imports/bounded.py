"""Open files of strangers within bounds: plain files of a sane size, JSON that cannot exhaust memory, zip members.

Nothing is ever unpacked to disk, no link below a named folder is followed, and no pickle is loaded.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Self, cast

from harness.imports.foreign import ForeignLogError
from harness.values import Json

MAX_JSON_BYTES: Final = 256 * 2**20
"""No results file, and no sample of an Inspect log, is that long."""

MAX_LINE_BYTES: Final = 32 * 2**20
"""A longer line is no sample of lmms-eval."""

MAX_LINES: Final = 5_000_000

MAX_MEMBERS: Final = 500_000
MAX_UNPACKED_BYTES: Final = 32 * 2**30
MOST_GROWTH: Final = 250
"""A member that grows more than this is no log: JSON and sheets of real logs grow some tenfold."""
_SMALL_BYTES: Final = 16 * 2**20
"""Growth of less than this harms nobody."""

_OPEN: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_ZSTD: Final = 93
_LOCAL_HEADER_BYTES: Final = 30
_METHODS: Final = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, _ZSTD}


def open_plain(path: Path, *, most: int | None = None) -> Any:
    """Open a plain file to read bytes; links, as a person may name one, are followed, devices and pipes are refused.

    Raises:
        ForeignLogError: It is missing, no plain file, or longer than `most` bytes.
    """
    try:
        handle = os.open(path, _OPEN)
        found = os.fstat(handle)
    except OSError as fault:
        raise ForeignLogError(f"cannot read {path}: {fault.strerror or fault}") from fault
    if not stat.S_ISREG(found.st_mode):
        os.close(handle)
        raise ForeignLogError(f"{path} is no plain file")
    if most is not None and found.st_size > most:
        os.close(handle)
        raise ForeignLogError(f"{path} has {found.st_size:,} bytes, more than a log can have ({most:,})")
    return os.fdopen(handle, "rb")


def sha256_of(path: Path) -> str:
    """Return the hex digest of a file."""
    with open_plain(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def names_in(folder: Path) -> list[str]:
    """Return the names of plain files right in a folder, sorted; links are left out.

    Raises:
        ForeignLogError: It cannot be listed.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if entry.is_file(follow_symlinks=False))
    except OSError as fault:
        raise ForeignLogError(f"cannot list {folder}: {fault.strerror or fault}") from fault


def folders_in(folder: Path) -> list[Path]:
    """Return the folders right in a folder, sorted; links are left out."""
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError as fault:
        raise ForeignLogError(f"cannot list {folder}: {fault.strerror or fault}") from fault


# --- JSON -----------------------------------------------------------------------------------------------------------


def _no_number(name: str) -> None:
    """NaN and infinities, which Python's writers put into JSON, are no values."""
    del name


_DECODER: Final = json.JSONDecoder(parse_constant=_no_number)


def json_of(content: bytes, what: str) -> Any:
    """Read JSON as Python's writers leave it: NaN and infinities become null.

    Raises:
        ForeignLogError: It is no UTF-8 or no JSON, or nested too deeply.
    """
    try:
        return _DECODER.decode(content.decode("utf-8-sig"))
    except UnicodeDecodeError as fault:
        raise ForeignLogError(f"{what} is not UTF-8 (byte {fault.start})") from fault
    except RecursionError as fault:
        raise ForeignLogError(f"{what} is nested too deeply") from fault
    except ValueError as fault:
        raise ForeignLogError(f"{what} is not JSON: {str(fault)[:200]}") from fault


def json_object(content: bytes, what: str) -> dict[str, Any]:
    """Read a JSON object; raises ForeignLogError as `json_of`, and for anything else than an object."""
    value = json_of(content, what)
    if not isinstance(value, dict):
        raise ForeignLogError(f"{what} is no JSON object but {type(value).__name__}")
    return cast("dict[str, Any]", value)


def json_file(path: Path) -> Any:
    """Read a JSON file."""
    with open_plain(path, most=MAX_JSON_BYTES) as file:
        return json_of(file.read(), str(path))


def json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the objects of a file of JSON lines with their line numbers, from 1; blank lines are passed over."""
    with open_plain(path) as file:
        for number in range(1, MAX_LINES + 1):
            line = file.readline(MAX_LINE_BYTES + 1)
            if not line:
                return
            if len(line) > MAX_LINE_BYTES:
                raise ForeignLogError(f"{path}, line {number} has more than {MAX_LINE_BYTES:,} bytes")
            if line.strip():
                yield number, json_object(line, f"{path}, line {number}")
        raise ForeignLogError(f"{path} has more than {MAX_LINES:,} lines")


def as_object(value: object) -> dict[str, Any]:
    """Return an object of JSON; an empty one for anything else."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def as_list(value: object) -> list[Any]:
    """Return a list of JSON; an empty one for anything else."""
    return cast("list[Any]", value) if isinstance(value, list) else []


def as_number(value: object) -> float | None:
    """Return a finite number of JSON; None for anything else, and for `true`."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if abs(found) < float("inf") else None


def as_count(value: object) -> int | None:
    """Return a whole number from 0 on, below a thousand million; None for anything else."""
    found = as_number(value)
    return int(found) if found is not None and found.is_integer() and 0 <= found < 10**9 else None


def plain_settings(value: object, *, most: int = 200) -> Json:
    """Return settings as they may be stored: scalars as they are, all else as its JSON text, cut."""
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= most else text[: most - 1] + "…"


# --- zip ------------------------------------------------------------------------------------------------------------


class ZipMembers:
    """The members of a zip file, read one at a time and never more of one than is asked for."""

    def __init__(self, path: Path) -> None:
        """Read the directory.

        Raises:
            ForeignLogError: It is no zip file, or its directory is not one that a log's writer makes.
        """
        self._path = path
        self._file = open_plain(path)
        try:
            self._zip = zipfile.ZipFile(self._file)
            found = self._zip.infolist()
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as fault:
            self._file.close()
            raise ForeignLogError(
                f"{path} is no whole zip file: {fault}. Was it cut off while being copied?"
            ) from fault
        self.members = {info.filename: info for info in found}
        try:
            self._check(found)
        except ForeignLogError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *fault: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._zip.close()
        self._file.close()

    def _check(self, found: list[zipfile.ZipInfo]) -> None:
        if len(found) > MAX_MEMBERS:
            raise ForeignLogError(f"{self._path} has {len(found):,} members, more than a log can have")
        twice = len(found) - len(self.members)
        if twice:
            raise ForeignLogError(
                f"{self._path} has {twice} members of a name that another has: nobody knows which counts"
            )
        unpacked = 0
        for info in found:
            name = info.filename
            if name.startswith("/") or "\\" in name or ":" in name.split("/")[0] or ".." in name.split("/"):
                raise ForeignLogError(f"{self._path} has a member {name[:100]!r}, which leads out of it")
            if info.flag_bits & 0x1:
                raise ForeignLogError(f"{self._path}: the member {name[:100]!r} is encrypted")
            unpacked += info.file_size
        if unpacked > MAX_UNPACKED_BYTES:
            raise ForeignLogError(f"{self._path} says that it unpacks to {unpacked:,} bytes, more than a log can have")

    def read(self, name: str, *, most: int = MAX_JSON_BYTES) -> bytes:
        """Return a member's content.

        Raises:
            ForeignLogError: There is none of that name, it is longer than `most` bytes or than its directory says,
                damaged, or packed in an unknown way.
        """
        info = self.members.get(name)
        if info is None:
            raise ForeignLogError(f"{self._path} has no member {name[:100]!r}")
        grown = info.file_size > _SMALL_BYTES and info.file_size > MOST_GROWTH * max(1, info.compress_size)
        if info.file_size > most or grown:
            raise ForeignLogError(
                f"{self._path}: the member {name[:100]!r} says that {info.compress_size:,} bytes unpack to "
                f"{info.file_size:,}: no log has such a member"
            )
        if info.compress_type not in _METHODS:
            raise ForeignLogError(f"{self._path}: the member {name[:100]!r} is packed by method {info.compress_type}")
        try:
            content = self._zstd(info) if info.compress_type == _ZSTD else self._plain(info)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as fault:
            raise ForeignLogError(f"{self._path}: the member {name[:100]!r} is damaged: {fault}") from fault
        if len(content) != info.file_size or zlib.crc32(content) != info.CRC:
            raise ForeignLogError(f"{self._path}: the member {name[:100]!r} is not what the file's directory says")
        return content

    def _plain(self, info: zipfile.ZipInfo) -> bytes:
        with self._zip.open(info) as member:
            return member.read(info.file_size + 1)

    def _zstd(self, info: zipfile.ZipInfo) -> bytes:
        """Unpack Zstandard, which Inspect writes and Python's own reader knows from 3.14 on."""
        self._file.seek(info.header_offset)
        header = self._file.read(_LOCAL_HEADER_BYTES)
        if len(header) < _LOCAL_HEADER_BYTES or header[:4] != b"PK\x03\x04":
            raise ValueError("its own header is missing")
        skipped = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
        self._file.seek(info.header_offset + _LOCAL_HEADER_BYTES + skipped)
        packed = self._file.read(info.compress_size)
        parts: list[bytes] = []
        left = info.file_size + 1
        pa: Any = importlib.import_module("pyarrow")  # untyped library; what it raises are OSError and ValueError
        with pa.CompressedInputStream(pa.BufferReader(packed), "zstd") as stream:
            while left > 0 and (part := stream.read(min(left, 2**20))):
                parts.append(part)
                left -= len(part)
        return b"".join(parts)
