"""Show how a run is getting on: a bar with rate and time left on a terminal, a line every 30 seconds elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from harness.values import Record

LINE_EVERY_S = 30.0


class RunProgress:
    """Listens to a run and writes to one stream; a context manager, so that a bar never outlives its run."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._bar = _bar(stream) if stream.isatty() else None
        self._bar_id: TaskID | None = None
        self._task = ""
        self._rows = 0
        self._done = 0
        self._asked = 0
        self._started = 0.0
        self._said = 0.0

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def task_started(self, task: str, rows: int, answered: int) -> None:
        """Begin a task of `rows` samples of which `answered` are already in the journal."""
        self._task, self._rows, self._done, self._asked = task, rows, answered, 0
        self._started = self._said = self._clock()
        if self._bar is not None:
            self._bar_id = self._bar.add_task(task, total=rows, completed=answered, rate="")
        elif answered:
            self._line(f"{task}: {answered} of {rows} already answered")

    def sample_recorded(self, record: Record) -> None:
        """Count one more sample."""
        del record  # the count is enough here; other listeners show scores
        self.advanced()

    def advanced(self) -> None:
        """Count one more step of work that leaves no record."""
        self._done += 1
        self._asked += 1
        if self._bar is not None and self._bar_id is not None:
            self._bar.update(self._bar_id, completed=self._done, rate=self._pace())
        elif self._clock() - self._said >= LINE_EVERY_S:
            self._said = self._clock()
            self._line(f"{self._task}: {self._done}/{self._rows} {self._pace()}")

    def task_finished(self, task: str) -> None:
        """End the task."""
        if self._bar is None:
            self._line(f"{task}: {self._done}/{self._rows} done in {self._clock() - self._started:.1f} s")

    def _pace(self) -> str:
        """Return rate and time left, from the samples that this process asked."""
        elapsed = self._clock() - self._started
        if elapsed <= 0 or self._asked == 0:
            return ""
        rate = self._asked / elapsed
        left_s = (self._rows - self._done) / rate
        return f"{rate:.1f} samples/s, {int(left_s) // 60}:{int(left_s) % 60:02d} left"

    def _line(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()


def _bar(stream: TextIO) -> Progress:
    """Return the bar for a terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        console=Console(file=stream),
    )
