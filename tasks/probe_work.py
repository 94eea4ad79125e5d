"""What a probe has been answered so far: a file beside the run, which a kill leaves and the same command takes up.

It never lies in the run: a published run holds what is finished. Each line is written whole before the next batch; a
torn last line is left out.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Final

import msgspec

from harness.runs.journal import RunLockedError, StoreError, file_lock, refuse_links

_VERSION: Final = 1


class Answered(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """What a model wrote about one edited picture."""

    key: str
    """Which one; the later of two lines of one key counts."""
    text: str
    """What it wrote."""
    error: str | None = None
    """Why it wrote nothing."""
    truncated: bool = False
    """Whether the token budget ended the text."""
    output_ids: tuple[int, ...] | None = None
    """Its tokens, where the backend tells them."""
    logp_original: float | None = None
    """Logarithm of the probability of the run's answer in its place."""
    is_scored: bool = False
    """Whether that probability was asked for: there may be none."""


class _Head(msgspec.Struct, kw_only=True, frozen=True):
    """First line."""

    version: int
    asked: str
    """What of the run its answers depend on."""


@dataclass(slots=True)
class ProbeWork:
    """The file, open."""

    path: Path
    """Where it lies."""
    answered: dict[str, Answered] = field(default_factory=dict[str, Answered])
    """By key."""
    stream: FileIO | None = None
    """Its end; without a buffer, whose rest a full disk would refuse once more on closing, and hide why."""

    def add(self, lines: Sequence[Answered]) -> None:
        """Keep answers.

        Raises:
            StoreError: the disk refuses.
        """
        assert self.stream is not None, "open"
        try:
            rest = b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
            while rest:  # a disk that is nearly full takes a part, and refuses the next one
                rest = rest[self.stream.write(rest) :]
        except OSError as error:
            raise StoreError.of("write to", self.path, error) from error
        self.answered.update({line.key: line for line in lines})


@contextmanager
def probe_work(folder: Path, asked: str) -> Generator[ProbeWork]:
    """Open what has been answered, alone; removed when the block ends well.

    Args:
        folder: The run.
        asked: What the answers depend on; a file of other answers begins anew.

    Raises:
        RunLockedError: another process probes this run.
        StoreError: the file cannot be written.
    """
    from filelock import Timeout  # noqa: PLC0415 - as in the journal

    folder = folder.resolve()
    path = folder.parent / f".{folder.name}.probe.jsonl"
    refuse_links(path.parent, path.name, f"{path.name}.lock")
    lock = file_lock(path.with_name(f"{path.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise RunLockedError(
            f"another process probes {folder}. Wait until it has ended, then run this again"
        ) from error
    except OSError as error:
        raise StoreError.of("lock", path, error) from error
    try:
        work = ProbeWork(path)
        head = msgspec.json.encode(_Head(version=_VERSION, asked=asked))
        lines = _whole_lines(path)
        if lines and lines[0] == head:
            work.answered = {one.key: one for one in map(_ANSWERS.decode, lines[1:])}
        else:
            lines = [head]
        try:
            _write(path, lines)
            work.stream = path.open("ab", buffering=0)
        except OSError as error:
            raise StoreError.of("write", path, error) from error
        with work.stream:
            yield work
        path.unlink(missing_ok=True)
        lock_path = Path(lock.lock_file)
        lock_path.unlink(missing_ok=True)
    finally:
        lock.release()


_ANSWERS: Final = msgspec.json.Decoder(Answered)


def _whole_lines(path: Path) -> list[bytes]:
    """Return the lines of a file that were written to their end and can be read; none where there is no file."""
    try:
        *lines, _ = path.read_bytes().split(b"\n")
    except OSError:
        return []
    whole = lines[:1]
    for line in lines[1:]:
        try:
            _ANSWERS.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            break
        whole.append(line)
    return whole


def _write(path: Path, lines: Sequence[bytes]) -> None:
    """Put a file in another's place."""
    staged = path.with_name(f"{path.name}.new")
    staged.write_bytes(b"".join(line + b"\n" for line in lines))
    os.replace(staged, path)  # noqa: PTH105 - the name says that it is one step
