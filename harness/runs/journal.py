"""Keep a run's records in an append-only file that survives kill -9: one JSON line a record, no header.

One record is one `os.write` to a file opened with O_APPEND; `fsync` every 100 records or 5 seconds, and at the end.
A killed writer leaves at most one torn line, at the very end: the next `Journal.open` cuts the file back to its last
newline and goes on. A record written again under the same key (task, id, repeat) replaces the earlier one for every
reader: the later line wins, and the record keeps its earlier place in the order.

    with Journal.open(folder / "samples.jsonl") as journal:
        if sample_key not in journal.done:
            journal.append(record)
"""

from __future__ import annotations

import errno
import os
import re
import threading
import time
from collections.abc import Callable, Container, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Self, TypeAlias

from harness.errors import UserError
from harness.files import DamagedRunError, kind_of, new_file, open_regular
from harness.runs.record_codec import (
    CorruptRecordError,
    object_from_line,
    record_from_json,
    record_from_line,
    record_line,
)
from harness.values import Json, Record

if TYPE_CHECKING:
    from filelock import BaseFileLock

SYNC_RECORDS = 100
"""Records between two `fsync`s."""

SYNC_SECONDS = 5.0
"""Seconds between two `fsync`s while records keep coming."""

LOCK_NAME = ".lock"
"""The lock file in a run folder; no part of the run. One that is left behind tells of a writer that was killed."""

Key: TypeAlias = tuple[str, str, int]
"""Task, sample id, repeat."""

_KEY_AT_START = re.compile(rb'\{"task":"([ !#-\[\]-~]*)","id":"([ !#-\[\]-~]*)","repeat":([0-9]{1,9}),')
"""The key as `record_line` writes it, unless it needs escapes: ten times as fast as reading the whole line."""

_AGAIN = "run the same command again (run goes on where it was)"
"""Of the writers of a journal `run` alone goes on; `score` and `rescore` begin anew and leave nothing behind."""

_MENDS: dict[int, str] = {
    errno.ENOSPC: f"free space on that disk, then {_AGAIN}",
    errno.EDQUOT: f"the disk quota is used up: free some of it, then {_AGAIN}",
    errno.EFBIG: "a file size limit stands in the way: raise it (ulimit -f), then run the same command again",
    errno.EROFS: "the disk is read-only: name a writable folder with --out",
    errno.EACCES: "this user may not write there: name a writable folder with --out",
    errno.EPERM: "this user may not write there: name a writable folder with --out",
    errno.ENOTDIR: "part of that path is a file: name a folder with --out",
    errno.EEXIST: "part of that path is a file: name a folder with --out",
    errno.ENOENT: "the folder is gone: somebody moved or removed it; run the same command again",
}


class StoreError(UserError, OSError):
    """The disk refused something; the message says what, where and how to mend it."""

    @classmethod
    def of(cls, what: str, path: Path | str, error: OSError) -> StoreError:
        """Return the error for an operation that failed, such as `write` on a path."""
        mend = _MENDS.get(error.errno or 0, f"check the disk, then {_AGAIN}")
        refusal = cls(f"cannot {what} {path}: {error.strerror or error}. To mend it: {mend}")
        refusal.errno = error.errno
        return refusal


class RunLockedError(StoreError):
    """Another process is writing this run."""


def lock_run(folder: Path) -> BaseFileLock:
    """Take the run folder's lock at once, or refuse; the lock ends with `release()` or with the process.

    Raises:
        RunLockedError: another writer, in this process or another, holds it.
        StoreError: the folder cannot be written to.
    """
    from filelock import Timeout  # noqa: PLC0415 - readers of runs need no lock, and `--help` no import

    lock = file_lock(folder / LOCK_NAME)
    refuse_links(folder, LOCK_NAME)  # filelock empties what it opens
    try:
        folder.stat()  # filelock would make a missing folder, such as that of a run published a moment ago
        lock.acquire(timeout=0)
    except Timeout as error:
        raise RunLockedError(
            f"another process is writing the run {folder}. Wait until it has ended or stop it, then {_AGAIN}"
        ) from error
    except OSError as error:
        raise StoreError.of("lock", folder, error) from error
    return lock


def refuse_links(folder: Path, *names: str) -> None:
    """Refuse to write to what is there and is no plain file: a link would lead the writing elsewhere.

    Raises:
        DamagedRunError: one is a link, or anything but a plain file.
    """
    for name in names:
        with suppress(OSError):
            if kind := kind_of(folder / name):
                raise DamagedRunError.of(folder, name, f"is {kind}")


def file_lock(path: Path) -> BaseFileLock:
    """Return a lock on a file, not taken yet, which excludes every other, also in this process."""
    from filelock import FileLock  # noqa: PLC0415 - see `lock_run`

    class OwnLock(FileLock):
        """Known to nobody else: lmms-eval's evaluator makes all `FileLock` of one path one lock that may be retaken."""

    return OwnLock(path, thread_local=False)


def remove_lock_file(folder: Path) -> None:
    """Remove the lock file while its lock is still held, so that whoever makes a new one afterwards is alone."""
    with suppress(OSError):
        (folder / LOCK_NAME).unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class JournalIndex:
    """Where the last line of each key lies in a journal."""

    offsets: dict[Key, int]
    """Byte offset of the line that counts, by key; keys in the order of their first line."""
    lines: int
    """Complete lines in the file, repeated keys included."""
    end: int
    """Bytes up to and including the last newline; what lies behind it is a torn line."""
    torn_bytes: int
    """Bytes behind the last newline: 0 unless a writer was killed, or is at work right now."""


class Journal:
    """The one writer of a `samples.jsonl`; made by `Journal.open`. Its methods may be called from many threads."""

    def __init__(
        self, path: Path, fd: int, index: JournalIndex, lock: BaseFileLock, *, clock: Callable[[], float]
    ) -> None:
        self.path = path
        """The file, as it was called when it was opened."""
        self.done: set[Key] = set(index.offsets)
        """Keys that have a record; grows with each `append`."""
        self.torn_bytes = index.torn_bytes
        """Bytes of a torn last line that `open` cut off; 0 after a clean end."""
        self._fd = fd
        self._lock = lock
        self._clock = clock
        self._end = index.end
        self._torn = False
        self._closed = False
        self._unsynced = 0
        self._synced_at_s = clock()
        self._mutex = threading.Lock()

    @classmethod
    def open(cls, path: Path, *, clock: Callable[[], float] = time.monotonic) -> Journal:
        """Open or create a journal to append to, and hold its folder's lock until `close`.

        Every line is read and checked; a torn last line is cut off (`torn_bytes` says how much).

        Args:
            path: The file; its folder must exist.
            clock: Seconds that only grow; decides when to `fsync`.

        Raises:
            RunLockedError: another writer holds the folder.
            CorruptRecordError: a line other than a torn last one is not a record; nothing is changed.
            StoreError: the file cannot be opened, cut or written.
        """
        lock = lock_run(path.parent)
        try:
            refuse_links(path.parent, path.name)
            fd = _open_to_append(path)
        except DamagedRunError:
            lock.release()
            raise
        except OSError as error:
            lock.release()
            raise StoreError.of("open", path, error) from error
        try:
            index = _repair(path, fd)
        except BaseException:
            os.close(fd)
            lock.release()
            raise
        return cls(path, fd, index, lock, clock=clock)

    def append(self, record: Record) -> None:
        """Write one record; a record with a key that is there already replaces it for every reader.

        When the disk refuses, the file is cut back to the record before, so that it stays readable, and a later
        `append` may succeed.

        Raises:
            StoreError: the disk is full, read-only or broken. The record is not in the journal, unless it was the
                `fsync` after it that was refused.
            TypeError: the record's `extra` is not JSON; nothing is written.
            ValueError: the journal is closed.
        """
        line = record_line(record)
        with self._mutex:
            if self._closed:
                raise ValueError(f"the journal {self.path} is closed")
            try:
                self._write_whole(line)
                self.done.add(record.key)
                self._unsynced += 1
                if self._unsynced >= SYNC_RECORDS or self._clock() - self._synced_at_s >= SYNC_SECONDS:
                    self._sync()
            except OSError as error:
                raise StoreError.of("write to", self.path, error) from error

    def leave_out(self, keys: Container[Key]) -> int:
        """Take the records with these keys out of the file, and return how many keys went.

        Raises:
            StoreError: the disk refuses; the file stays as it was.
        """
        with self._mutex:
            going = [key for key in self.done if key in keys]
            if not going:
                return 0
            try:
                with _open_to_read(self.path) as file, replacing(self.path) as kept:
                    for number, line in enumerate(file, start=1):
                        if _key_of_line(line, self.path, number, check_records=False) not in keys:
                            kept.write(line)
                    self._end = kept.tell()
                os.close(self._fd)
                self._fd = _open_to_append(self.path)
            except OSError as error:
                raise StoreError.of("write to", self.path, error) from error
            self.done.difference_update(going)
            return len(going)

    def sync(self) -> None:
        """Make sure that everything appended so far is on the disk.

        Raises:
            StoreError: the disk refuses.
        """
        with self._mutex:
            if self._closed:
                return
            try:
                self._sync()
            except OSError as error:
                raise StoreError.of("write to", self.path, error) from error

    def close(self) -> None:
        """Sync, close and give the folder's lock back; a second call does nothing.

        Raises:
            StoreError: the last `fsync` was refused; the file is closed all the same.
        """
        with self._mutex:
            if self._closed:
                return
            self._closed = True
            try:
                self._sync()
            except OSError as error:
                raise StoreError.of("write to", self.path, error) from error
            finally:
                os.close(self._fd)
                self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _write_whole(self, line: bytes) -> None:
        if self._torn:
            self._cut_back()
        try:
            written = write_bytes(self._fd, line)
            while written < len(line):  # a disk that fills up takes a part first and refuses the next call
                written += write_bytes(self._fd, line[written:])
        except BaseException:  # Ctrl-C between two parts must not leave half a line either
            self._torn = True
            with suppress(OSError):  # then the next append or the next open cuts
                self._cut_back()
            raise
        self._end += len(line)

    def _cut_back(self) -> None:
        os.ftruncate(self._fd, self._end)
        self._torn = False

    def _sync(self) -> None:
        os.fsync(self._fd)
        self._unsynced = 0
        self._synced_at_s = self._clock()


def _repair(path: Path, fd: int) -> JournalIndex:
    """Check every line, cut a torn one off and make the file and its name durable."""
    index = index_journal(path, check_records=True)
    try:
        if index.torn_bytes:
            os.ftruncate(fd, index.end)
        os.fsync(fd)
        sync_folder(path.parent)
    except OSError as error:
        raise StoreError.of("prepare", path, error) from error
    return index


def write_bytes(fd: int, data: bytes) -> int:
    """Write once and return how many bytes were taken; the one place where records meet the disk."""
    return os.write(fd, data)


def sync_folder(folder: Path) -> None:
    """Make the folder's list of names durable, which `fsync` of a file does not."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems cannot sync a folder, and need not
            raise
    finally:
        os.close(fd)


@contextmanager
def replacing(path: Path) -> Generator[BinaryIO]:
    """Open a file to write whole: a reader, or a power cut, meets the old content or the new, nothing between.

    Raises:
        OSError: the disk refuses; the old content stands.
    """
    temporary, file = new_file(path)
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def index_journal(path: Path, *, check_records: bool = False) -> JournalIndex:
    """Read a journal once and find the line that counts for each key; memory grows with the keys alone.

    A torn last line is passed over: it is a record in flight. An empty file gives an empty index.

    Args:
        path: The `samples.jsonl`.
        check_records: Whether to check every field of every line; otherwise the key may be all that is looked at.

    Raises:
        CorruptRecordError: a line that was looked at is not a record; names file and line.
        StoreError: the file cannot be read.
    """
    with _open_to_read(path) as file:
        return _index(file, path, check_records=check_records)


def _index(file: BinaryIO, path: Path, *, check_records: bool) -> JournalIndex:
    offsets: dict[Key, int] = {}
    line_number, start, torn_bytes = 0, 0, 0
    for line in file:
        if not line.endswith(b"\n"):
            torn_bytes = len(line)
            break
        line_number += 1
        offsets[_key_of_line(line, path, line_number, check_records=check_records)] = start
        start += len(line)
    return JournalIndex(offsets=offsets, lines=line_number, end=start, torn_bytes=torn_bytes)


def read_records(path: Path, *, task: str | None = None) -> Iterator[Record]:
    """Yield the records of a journal one by one, once per key, in the order in which the keys first appear.

    The later line of a repeated key wins. A torn last line is passed over, so a run at work can be read. Memory grows
    with the keys, not with the texts.

    Args:
        path: The `samples.jsonl`.
        task: The one whose records are wanted; None for all.

    Raises:
        CorruptRecordError: a line that counts is not a record; names file and line.
        StoreError: the file cannot be read.
    """
    with _open_to_read(path) as file:
        yield from records_in(file, path, task=task)


def records_in(file: BinaryIO, path: Path, *, task: str | None = None) -> Iterator[Record]:
    """Yield the records of an open journal as `read_records` does; `path` is what it is called in messages.

    Raises:
        CorruptRecordError: a line that counts is not a record; names file and line.
    """
    index = _index(file, path, check_records=False)
    position = -1  # wherever the index left off
    for key, offset in index.offsets.items():
        if task is not None and key[0] != task:
            continue
        if offset != position:
            file.seek(offset)
        line = file.readline()
        position = offset + len(line)
        try:
            yield record_from_line(line, path, 0)
        except CorruptRecordError as error:
            raise CorruptRecordError(path, _line_number_at(file, offset), error.why) from error


def _key_of_line(line: bytes, path: Path, line_number: int, *, check_records: bool) -> Key:
    if not check_records and (found := _KEY_AT_START.match(line)):
        return (found[1].decode("ascii"), found[2].decode("ascii"), int(found[3]))
    fields = object_from_line(line, path, line_number)
    try:
        return record_from_json(fields).key if check_records else _key_of(fields)
    except ValueError as error:
        raise CorruptRecordError(path, line_number, str(error)) from error


def _key_of(fields: dict[str, Json]) -> Key:
    task, sample_id, repeat = fields.get("task"), fields.get("id"), fields.get("repeat")
    if isinstance(task, str) and isinstance(sample_id, str) and type(repeat) is int:
        return (task, sample_id, repeat)
    raise ValueError("its key (fields 'task', 'id' and 'repeat') is missing or has the wrong type")


def _line_number_at(file: BinaryIO, offset: int) -> int:
    file.seek(0)
    line_number = 1
    while file.tell() < offset and file.readline():
        line_number += 1
    return line_number


def _open_to_append(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)


def _open_to_read(path: Path) -> BinaryIO:
    try:
        return open_regular(path.parent, path.name)
    except OSError as error:
        raise StoreError.of("read", path, error) from error
