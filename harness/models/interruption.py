"""Take Ctrl-C so that no press is lost: the first ends a run after the batch in flight, the second ends it at once.

Python's own way, a KeyboardInterrupt wherever the program happens to be, drops the press when that place is a
destructor, and can leave a library half-way through something. Here the first press is remembered, and raised again
before the next batch if it was dropped.

    with Interruption() as interruption:
        model.batch_guard = interruption.batch
"""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import Self

from harness.errors import ExitCode

_WAIT = b"\ninterrupted: finishing the batch in flight; press Ctrl-C again to leave at once\n"
_LEAVE = b"\ninterrupted twice; what was recorded is kept, the same command goes on from there\n"
_SHOW_CURSOR = b"\x1b[?25h"


class Interruption:
    """Holds SIGINT while its `with` block runs, in the main thread; a process that ignores SIGINT goes on doing so."""

    def __init__(self, *also: signal.Signals) -> None:
        """Begin with no press; further signals count as one, such as the SIGTERM by which services are ended."""
        self.requested = False
        """Whether Ctrl-C was pressed."""
        self._in_batch = False
        self._signals = (signal.SIGINT, *also)
        self._previous: dict[signal.Signals, signal.Handlers | int | object | None] = {}

    def __enter__(self) -> Self:
        """Take the signals."""
        for number in self._signals:
            before = signal.getsignal(number)
            if before != signal.SIG_IGN:
                self._previous[number] = before
                signal.signal(number, self._pressed)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Give the signals back to whoever had them."""
        for number, before in self._previous.items():
            if callable(before) or isinstance(before, signal.Handlers):
                signal.signal(number, before)
        self._previous.clear()

    @contextmanager
    def batch(self) -> Generator[None]:
        """Guard the work of one batch: a press inside waits for the end of the block.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed before the block, or in it once it is through.
        """
        self._raise_if_requested()
        self._in_batch = True
        try:
            yield
        finally:
            self._in_batch = False
        self._raise_if_requested()

    def _raise_if_requested(self) -> None:
        if self.requested:
            raise KeyboardInterrupt

    def _pressed(self, number: int, frame: FrameType | None) -> None:
        """Handle SIGINT; writes to the descriptor itself, as a stream may be in the middle of a write."""
        del number, frame
        if self.requested:
            # The journal survives any end of the process, so nothing has to be tidied up first.
            _tell(_LEAVE)
            os._exit(ExitCode.INTERRUPTED)
        self.requested = True
        if not self._in_batch:
            raise KeyboardInterrupt
        _tell(_WAIT)


def _tell(message: bytes) -> None:
    """Write to the terminal, and give it its cursor back, which a progress bar hides."""
    with suppress(OSError):  # whoever closed stderr wants to hear nothing
        os.write(2, message + (_SHOW_CURSOR if os.isatty(2) else b""))
