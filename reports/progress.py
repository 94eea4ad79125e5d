"""Show how a run or a training stage is getting on: a bar on a terminal, a line every 30 seconds elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from harness.values import Record

LINE_EVERY_S = 30.0


SHOWN_FIGURES = {
    "reward": "reward",
    "rewards/format/mean": "format",
    "rewards/bbox/mean": "bbox",
    "rewards/answer/mean": "answer",
    "rewards/caption/mean": "caption",
    "loss": "loss",
}
"""What is shown of a training step, under which word; `loss` only where there are no rewards."""


class RunProgress:
    """Listens to runs and training stages and writes to one stream; a context manager, so that no bar is left over."""

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

    def stage_started(self, stage: str, total_steps: int, done: int) -> None:
        """Begin a training stage of so many optimiser steps, the first `done` of which are behind it."""
        self._task, self._rows, self._done, self._asked = stage, total_steps, done, 0
        self._started = self._said = self._clock()
        if self._bar is not None:
            self._bar_id = self._bar.add_task(stage, total=total_steps, completed=done, rate="")

    def step_logged(self, step: int, figures: Mapping[str, float]) -> None:
        """Show a step's rewards, or its loss, and the time left."""
        self._asked += max(0, step - self._done)
        self._done = max(step, self._done)
        text = f"{figures_text(figures)} {self._pace('steps')}"
        if self._bar is not None and self._bar_id is not None:
            self._bar.update(self._bar_id, completed=self._done, rate=text)
        elif self._clock() - self._said >= LINE_EVERY_S:
            self._said = self._clock()
            self._line(f"{self._task}: step {self._done}/{self._rows} {text}")

    def stage_finished(self) -> None:
        """End the stage."""
        if self._bar is None:
            self._line(f"{self._task}: {self._done}/{self._rows} steps done in {self._clock() - self._started:.1f} s")

    def _pace(self, unit: str = "samples") -> str:
        """Return rate and time left, from what this process did."""
        elapsed = self._clock() - self._started
        if elapsed <= 0 or self._asked == 0:
            return ""
        rate = self._asked / elapsed
        left_s = (self._rows - self._done) / rate
        return f"{rate:.1f} {unit}/s, {int(left_s) // 60}:{int(left_s) % 60:02d} left"

    def _line(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()


def figures_text(figures: Mapping[str, float]) -> str:
    """Return a step's figures as words and numbers; rewards where it has some, else the loss."""
    known = {word: figures[name] for name, word in SHOWN_FIGURES.items() if name in figures}
    if len(known) > 1:
        known.pop("loss", None)
    return " ".join(f"{word} {value:.2f}" for word, value in known.items())


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
