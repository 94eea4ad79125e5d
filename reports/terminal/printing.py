"""The one printer: everything that a person or CI reads on stdout and stderr goes through here.

Names, categories, paths and messages come from files that nobody vouches for. A line that is printed stays one line,
shows its control, invisible and text-turning characters as codes, and is no command to a CI runner. What is printed
never decides how a verb ends: a stream that is closed, full or read no further loses text, not the exit code.
"""

from __future__ import annotations

import errno
import io
import json
import os
import re
import select
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TextIO

from reports.texts.visible import code_of, one_line

# GitHub takes `::name::` for a command after any blanks at the beginning of a line (actions/runner,
# ActionCommand.TryParseV2), and `##[name]` anywhere in it (TryParse); Azure Pipelines `##vso[name]` and TeamCity
# `##teamcity[name]` alike. The first mark is shown as its code.
_CI_COMMAND = re.compile(r"^(\s*):(?=:)|#(?=#[A-Za-z]*\[)")


def line_of(text: str) -> str:
    """Return a text as one line that steers neither a terminal nor a CI runner."""
    return _CI_COMMAND.sub(lambda found: f"{found[1] or ''}{code_of(found[0][-1])}", one_line(text))


def say(text: str, stream: TextIO) -> None:
    """Print a text as one line, whatever it holds."""
    stream.write(line_of(text) + "\n")
    stream.flush()


def say_paragraphs(text: str, stream: TextIO) -> None:
    """Print a text whose line breaks are meant, such as a prompt; each of its lines is one of `say`'s."""
    for line in text.split("\n"):
        say(line, stream)


def say_json(found: Mapping[str, Any], stream: TextIO, *, indent: int | None = 2) -> None:
    r"""Print a JSON object; what would steer a terminal or a CI runner is escaped, as JSON can: `##` is `\u0023#`."""
    stream.write(json.dumps(found, indent=indent, allow_nan=False).replace("##", r"\u0023#") + "\n")
    stream.flush()


def say_commands(commands: Iterable[str], stream: TextIO) -> None:
    """Print commands to a CI runner, one a line; whoever makes them has escaped them (reports/texts/github.py)."""
    stream.writelines(one_line(command) + "\n" for command in commands)
    stream.flush()


class _Outlet(io.RawIOBase):
    """A descriptor that never fails its writer: once it takes no more, what is written is lost."""

    def __init__(self, descriptor: int | None, on_loss: Callable[[str], None]) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._on_loss = on_loss
        self._lost = False

    def writable(self) -> bool:
        """Say that it takes bytes, if only to lose them."""
        return True

    def fileno(self) -> int:
        """Return the descriptor, for whoever asks a terminal for its size."""
        return super().fileno() if self._descriptor is None else self._descriptor

    def isatty(self) -> bool:
        """Say whether it is a terminal."""
        return self._descriptor is not None and os.isatty(self._descriptor)

    def write(self, data: Any, /) -> int:
        """Write bytes, or lose them; returns how many are done with."""
        size = len(data)
        if self._descriptor is None:
            self._lose("it is closed")
            return size
        while not self._lost:
            try:
                return os.write(self._descriptor, data)
            except BlockingIOError:  # a pipe that its other end made non-blocking is only slow
                select.select([], [self._descriptor], [])
            except BrokenPipeError:  # the reader has seen enough: `| head -1`
                self._lost = True
            except OSError as fault:
                # a descriptor that is closed only now says so by EBADF
                self._lose("it is closed" if fault.errno == errno.EBADF else fault.strerror or str(fault))
        return size

    def _lose(self, why: str) -> None:
        if not self._lost:
            self._lost = True
            self._on_loss(why)


def outlast_readers() -> None:
    """Put streams in place of stdout and stderr that lose text rather than raise, so that exit codes hold.

    Python's own raise where the reader of a pipe is gone or a disk is full, at the latest at exit, and end the process
    with 1 or 120 whatever it had found. Text that stdout loses is told of on stderr, but for a reader that went away
    by choice. Streams that somebody else put in place, as a test does, stay.
    """
    missing = [number for number, stream in enumerate((sys.stdin, sys.stdout, sys.stderr)) if stream is None]
    for number in missing:  # else the next file that is opened becomes stdout, and takes what is printed
        spare = os.open(os.devnull, os.O_RDWR)
        if spare != number:
            os.dup2(spare, number)
            os.close(spare)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _lasting(sys.stderr, 2, lambda _: None)
    if sys.stdout is sys.__stdout__:
        sys.stdout = _lasting(sys.stdout, 1, _tell_of_loss)


def _lasting(stream: TextIO | None, descriptor: int, on_loss: Callable[[str], None]) -> TextIO:
    """Return a stream in place of the process's own; a character that its encoding lacks is shown as an escape."""
    outlet = _Outlet(None if stream is None else descriptor, on_loss)
    return io.TextIOWrapper(
        io.BufferedWriter(outlet),
        encoding="utf-8" if stream is None else stream.encoding,
        errors="backslashreplace",
        line_buffering=isinstance(stream, io.TextIOWrapper) and stream.line_buffering,
        write_through=isinstance(stream, io.TextIOWrapper) and stream.write_through,
    )


def _tell_of_loss(why: str) -> None:
    say(f"warning: stdout takes no more ({why}): text is missing there; the exit code holds", sys.stderr)
