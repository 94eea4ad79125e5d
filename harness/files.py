"""Open the files of a run folder, which may be a stranger's: no link is followed, nothing blocks, sums are checked.

Everything that reads a run folder goes through `open_regular`, and through `RunFiles` where the run is published: what
`SHA256SUMS` does not vouch for is refused before any of it becomes a number or a page. Sums that a stranger made anew
vouch for anything, so readers check the values as well.

What is written into a run folder goes through `new_file`, whose name nobody could know beforehand.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from harness.errors import IncompleteError

SUMS_NAME = "SHA256SUMS"

TEMPORARY_SUFFIX = ".tmp"
"""Ending of a file that is still being written; what a killed writer leaves of them is removed at publication."""

_SUM_LINE = re.compile(rb"(\\?)([0-9a-f]{64})  (.+)", re.DOTALL)
"""As coreutils writes it; a backslash in front says that the name is escaped."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_INSIDE = _FOLDER | os.O_NOFOLLOW
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

_KINDS: dict[int, str] = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a device",
    stat.S_IFCHR: "a device",
}


class DamagedRunError(IncompleteError):
    """A file of a run is not what was published, or is no plain file; the message names it."""

    @classmethod
    def of(cls, folder: Path, name: str, what: str) -> DamagedRunError:
        """Return the error for a file of a run folder, such as `is a symbolic link`."""
        return cls(
            f"{folder / name} {what}. Restore it from a copy; what else is wrong says: "
            f"satori-bench runs verify {folder}"
        )


def kind_of(path: Path) -> str | None:
    """Say what a name stands for, such as `a symbolic link`; None for a plain file.

    Raises:
        OSError: there is nothing of that name, or it cannot be looked at.
    """
    mode = stat.S_IFMT(path.lstat().st_mode)
    return None if mode == stat.S_IFREG else _KINDS.get(mode, "no plain file")


def open_regular(folder: Path, name: str) -> BufferedReader:
    """Open a plain file below a folder to read. The folder may be a link, as a person named it; nothing below it may.

    Args:
        folder: The run folder.
        name: Relative path with `/`, such as `media/x.webp`.

    Raises:
        DamagedRunError: it, or a folder on the way, is a link or no plain file, or the name leads out.
        OSError: it is missing, or cannot be read.
    """
    *above, own = name.split("/")
    if {"", ".", ".."} & {*above, own}:
        raise DamagedRunError.of(folder, name, "is no name of a file inside the run")
    at = os.open(folder, _FOLDER)
    try:
        for part in above:
            if (found := _mode(part, at)) != stat.S_IFDIR:
                raise DamagedRunError.of(folder, name, f"is not reached: {part!r} is {_KINDS.get(found, 'a file')}")
            inside = os.open(part, _INSIDE, dir_fd=at)
            os.close(at)
            at = inside
        # Looked at first, as to open a device can do something; and again once open, as names can change meanwhile.
        if (found := _mode(own, at)) != stat.S_IFREG:
            raise DamagedRunError.of(folder, name, f"is {_KINDS.get(found, 'no plain file')}")
        file = os.fdopen(os.open(own, _FILE, dir_fd=at), "rb")
    finally:
        os.close(at)
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise DamagedRunError.of(folder, name, "is no plain file")
    return file


def _mode(name: str, at: int) -> int:
    return stat.S_IFMT(os.stat(name, dir_fd=at, follow_symlinks=False).st_mode)


@dataclass(frozen=True, slots=True)
class RunFiles:
    """The files of one run folder, to read."""

    folder: Path
    """The run folder."""
    sums: Mapping[str, str] | None
    """Hex sha256 by name, as published; None while the run is not: then no content can be checked."""

    def open(self, name: str) -> BufferedReader:
        """Open a file, its content checked by the run's sums; it is read from its start.

        Raises:
            DamagedRunError: it is missing, was changed, is not in the sums or is no plain file.
            OSError: it cannot be read.
        """
        file = self._opened(name)
        try:
            if self.sums is not None:
                self._check(name, hashlib.file_digest(file, "sha256").hexdigest())
                file.seek(0)
        except BaseException:
            file.close()
            raise
        return file

    def read(self, name: str, most_bytes: int | None = None) -> bytes:
        """Return a file's content, checked as `open` does; None as the limit is none.

        Raises:
            DamagedRunError: as `open`, or it is longer than it may be.
            OSError: it cannot be read.
        """
        with self._opened(name) as file:
            content = file.read() if most_bytes is None else file.read(most_bytes + 1)
        if most_bytes is not None and len(content) > most_bytes:
            raise DamagedRunError.of(self.folder, name, f"is longer than the {most_bytes:,} bytes that it may have")
        if self.sums is not None:
            self._check(name, hashlib.sha256(content).hexdigest())
        return content

    def holds(self, name: str) -> bool:
        """Whether there is anything of that name, sound or not."""
        return os.path.lexists(self.folder / name)

    def _opened(self, name: str) -> BufferedReader:
        try:
            return open_regular(self.folder, name)
        except FileNotFoundError as error:
            raise DamagedRunError.of(self.folder, name, "is missing") from error

    def _check(self, name: str, found: str) -> None:
        wanted = (self.sums or {}).get(name)
        if wanted is None:
            raise DamagedRunError.of(
                self.folder, name, f"is not in {SUMS_NAME}: it was not there when it was published"
            )
        if wanted != found:
            raise DamagedRunError.of(
                self.folder, name, f"was changed after the run was published: its checksum is not that in {SUMS_NAME}"
            )


def published_files(folder: Path) -> RunFiles:
    """Return the files of a finished run, checked by its sums.

    Raises:
        DamagedRunError: the sums are missing, empty or damaged.
        OSError: they cannot be read.
    """
    sums, problems = read_sums(folder)
    if problems:
        raise DamagedRunError(f"{folder}: {problems[0]}; see: satori-bench runs verify {folder}")
    return RunFiles(folder, sums)


def read_sums(folder: Path) -> tuple[dict[str, str], list[str]]:
    """Return the stored checksums by file name, and everything that is wrong with the file that holds them."""
    try:
        with open_regular(folder, SUMS_NAME) as file:
            content = file.read()
    except (OSError, DamagedRunError) as error:
        return {}, [f"{SUMS_NAME} cannot be read: {getattr(error, 'strerror', None) or error}"]
    sums: dict[str, str] = {}
    problems: list[str] = [] if content else [f"{SUMS_NAME} is empty: nothing says what was published"]
    *lines, rest = content.split(b"\n")
    if rest:
        problems.append(f"{SUMS_NAME} is cut off within line {len(lines) + 1}")
    for number, line in enumerate(lines, start=1):
        found = _SUM_LINE.fullmatch(line)
        if found is None:
            problems.append(f"{SUMS_NAME} line {number} is not a checksum and a file name")
            continue
        name = os.fsdecode(re.sub(rb"\\(.)", _unescape, found[3]) if found[1] else found[3])
        if name in sums:
            problems.append(f"{SUMS_NAME} line {number} names {name!r} again")
        sums[name] = found[2].decode("ascii")
    return sums, problems


def _unescape(found: re.Match[bytes]) -> bytes:
    return {b"n": b"\n", b"r": b"\r"}.get(found[1], found[1])


def sums_bytes(sums: Mapping[str, str]) -> bytes:
    """Return the content of a `SHA256SUMS`, so that `sha256sum --check` of coreutils works without us."""
    return b"".join(_sum_line(sums[name], os.fsencode(name)) for name in sorted(sums))


def _sum_line(digest: str, name: bytes) -> bytes:
    escaped = name.replace(b"\\", b"\\\\").replace(b"\n", b"\\n").replace(b"\r", b"\\r")
    mark = b"" if escaped == name else b"\\"
    return mark + digest.encode("ascii") + b"  " + escaped + b"\n"


def new_file(path: Path) -> tuple[Path, BinaryIO]:
    """Make a file beside a path to write what is to become that path's content; return its path and itself.

    Its name cannot be foreseen, so that no link can wait for it; one that did would be refused, not followed.

    Raises:
        OSError: the disk refuses.
    """
    temporary = path.with_name(f"{path.name[:120]}.{secrets.token_hex(8)}{TEMPORARY_SUFFIX}")
    return temporary, os.fdopen(os.open(temporary, _NEW_FILE, 0o666), "wb")


def put_file(path: Path, content: bytes) -> None:
    """Write a file whole, in place of whatever had its name; not made durable, as a picture need not be.

    Raises:
        OSError: the disk refuses; what was there stands.
    """
    temporary, file = new_file(path)
    try:
        with file:
            file.write(content)
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def make_folder(path: Path) -> None:
    """Make a folder unless it is there.

    Raises:
        FileExistsError: a link or a file has its name: what is written through a link ends up elsewhere.
        OSError: the disk refuses.
    """
    path.mkdir(exist_ok=True)
    if path.is_symlink():
        raise FileExistsError(f"{path} is a symbolic link, which nothing is written through: remove it")
