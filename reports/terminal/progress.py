"""Show how a run, a training stage or a loop is getting on: a line with a bar on a terminal, elsewhere a line at times.

There is never more than one bar. What is finished stays as a line of text above it, and in a loop the bar says which
step of how many is under way and how long the whole will take, as far as steps of that kind have been seen.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, TextIO

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions
from rich.live import Live
from rich.text import Text

from harness.values import Record
from reports.terminal.printing import line_of, say

LINE_EVERY_S = 30.0
"""Off a terminal, so often at most."""

SHOWN_FIGURES = {
    "reward": "reward",
    "rewards/format/mean": "format",
    "rewards/bbox/mean": "bbox",
    "rewards/answer/mean": "answer",
    "rewards/caption/mean": "caption",
    "loss": "loss",
}
"""What is shown of a training step, under which word; `loss` only where there are no rewards."""

_BAR_CELLS = (8, 30)
"""Narrowest and widest bar; a terminal without room for the narrowest shows none."""
_LEAST_TITLE_CELLS = 12
_REFRESHES_PER_S = 4


@dataclass(slots=True)
class _Task:
    """What is under way."""

    name: str
    unit: str
    total: int
    done: int
    started_s: float
    asked: int = 0
    """What this process did of it; the rest was there."""
    figures: str = ""

    def rate(self, now_s: float) -> float | None:
        """Return units a second; None before the first."""
        elapsed_s = now_s - self.started_s
        return self.asked / elapsed_s if elapsed_s > 0 and self.asked else None

    def left_s(self, now_s: float) -> float | None:
        """Return the seconds that are left at this rate; None before the first unit."""
        rate = self.rate(now_s)
        return None if rate is None else max(0, self.total - self.done) / rate


@dataclass(slots=True)
class _Loop:
    """The steps of a loop and how long those of each kind took."""

    steps: Sequence[tuple[str, str]]
    number: int = 0
    """Of the step under way, from 1; 0 between steps."""
    step_started_s: float = 0.0
    worked: bool = False
    """Whether anything was done in this step: one that was done before says nothing about the others."""
    took_s: dict[str, float] = field(default_factory=dict[str, float])
    """Seconds that the latest step of a kind took."""

    @property
    def title(self) -> str:
        """The step under way and its place."""
        return f"[{self.number}/{len(self.steps)}] {self.steps[self.number - 1][0]}"

    def left_text(self, now_s: float, task: _Task | None) -> str:
        """Return the time left of all steps, a lower bound where a kind has not been seen; empty for nothing known."""
        kinds = [kind for _, kind in self.steps]
        elapsed_s, expected_s = now_s - self.step_started_s, self.took_s.get(kinds[self.number - 1])
        of_task = None if task is None else task.left_s(now_s)
        of_step = None if expected_s is None else max(0.0, expected_s - elapsed_s)
        here = max((left for left in (of_task, of_step) if left is not None), default=None)
        # what is under way tells of its own kind too
        took = self.took_s if here is None else {kinds[self.number - 1]: elapsed_s + here} | self.took_s
        later = kinds[self.number :]
        known = [took[kind] for kind in later if kind in took]
        if here is None and not known:
            return ""
        bound = "" if here is not None and len(known) == len(later) else "at least "
        return f"whole {bound}{duration_text((here or 0.0) + sum(known))} left"


class RunProgress:
    """Listens to runs, stages and loops and writes to one stream; a context manager, so that no bar is left over."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        console = Console(file=stream)
        # stdout is for results, and may be a file
        self._live = Live(
            self, console=console, refresh_per_second=_REFRESHES_PER_S, transient=True, redirect_stdout=False
        )
        self._has_bar = stream.isatty() and not console.is_dumb_terminal
        self._task: _Task | None = None
        self._loop: _Loop | None = None
        self._said_s = 0.0

    def __enter__(self) -> Self:
        if self._has_bar:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._has_bar:
            self._task = self._loop = None
            self._live.stop()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        yield Text(line_of(self.line(options.max_width)), no_wrap=True, overflow="crop")

    def line(self, width: int) -> str:
        """Return what a terminal of so many columns shows; empty when nothing is under way."""
        task, loop = self._task, self._loop
        if task is None:
            return "" if loop is None or not loop.number else fitted_line(width, loop.title, None, self._details())
        return fitted_line(width, self._title(task), (task.done, task.total), self._details())

    def say(self, text: str) -> None:
        """Write a line; above the bar where there is one.

        Whoever has something to say while a bar is shown says it here: a text that goes to the stream on another way
        lands inside the bar.
        """
        if self._has_bar:
            self._live.console.print(Text(line_of(text)))
        else:
            say(text, self._stream)

    # --- of a loop ----------------------------------------------------------------------------------------------

    def loop_started(self, steps: Sequence[tuple[str, str]]) -> None:
        """Begin a loop of steps, each with its name and its kind; steps of one kind take about equally long."""
        self._loop = _Loop(steps)

    def loop_step_started(self, number: int) -> None:
        """Begin a step, numbered from 1."""
        if self._loop is not None:
            self._loop.number, self._loop.step_started_s, self._loop.worked = number, self._clock(), False
            if not self._has_bar:
                self.say(self._loop.title)

    def loop_step_finished(self) -> None:
        """End the step."""
        self._task = None
        loop = self._loop
        if loop is not None and loop.worked:
            loop.took_s[loop.steps[loop.number - 1][1]] = self._clock() - loop.step_started_s
        if loop is not None:
            loop.number = 0

    # --- of a run -----------------------------------------------------------------------------------------------

    def task_started(self, task: str, rows: int, answered: int) -> None:
        """Begin a task of `rows` samples of which `answered` are already in the journal."""
        self._begin(task, "samples", rows, answered)
        if answered and not self._has_bar:
            self.say(f"{task}: {answered} of {rows} already answered")

    def sample_recorded(self, record: Record) -> None:
        """Count one more sample."""
        del record  # the count is enough here; other listeners show scores
        self.advanced()

    def advanced(self) -> None:
        """Count one more step of work that leaves no record."""
        if self._task is not None:
            self._reach(self._task.done + 1)

    def task_finished(self, task: str) -> None:
        """End the task."""
        del task  # the one under way
        self._end()

    # --- of a training stage ------------------------------------------------------------------------------------

    def stage_started(self, stage: str, total_steps: int, done: int) -> None:
        """Begin a training stage of so many optimiser steps, the first `done` of which are behind it."""
        self._begin(stage, "steps", total_steps, done)

    def step_logged(self, step: int, figures: Mapping[str, float]) -> None:
        """Show a step's rewards, or its loss, and the time left."""
        if self._task is not None:
            self._task.figures = figures_text(figures) or self._task.figures
            self._reach(max(step, self._task.done))

    def stage_finished(self) -> None:
        """End the stage."""
        self._end()

    # --- of any -------------------------------------------------------------------------------------------------

    def _begin(self, name: str, unit: str, total: int, done: int) -> None:
        self._task = _Task(name, unit, total, done, self._clock())
        self._said_s = self._clock()

    def _reach(self, done: int) -> None:
        task = self._task
        assert task is not None
        task.asked += done - task.done
        task.done = done
        if self._loop is not None:
            self._loop.worked = True
        if not self._has_bar and self._clock() - self._said_s >= LINE_EVERY_S:
            self._said_s = self._clock()
            self.say(f"{self._title(task)}: {task.done}/{task.total} {', '.join(self._details())}")

    def _end(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            took = duration_text(self._clock() - task.started_s)
            self.say(f"{self._title(task)}: {task.done}/{task.total} {task.unit} done in {took}")

    def _title(self, task: _Task) -> str:
        """Return what is under way: in a loop its step, and a benchmark's task."""
        if self._loop is None or not self._loop.number:
            return task.name
        return self._loop.title if task.unit == "steps" else f"{self._loop.title} {task.name}"

    def _details(self) -> list[str]:
        """Return what is said beside the bar, the most important first."""
        now_s, task, details = self._clock(), self._task, list[str]()
        left_s = None if task is None else task.left_s(now_s)
        if left_s is not None:
            details.append(f"{duration_text(left_s)} left")
        if self._loop is not None and self._loop.number and (whole := self._loop.left_text(now_s, task)):
            details.append(whole)
        if task is None:
            return [*details, "saving" if self._loop is not None and self._loop.worked else "starting"]
        if task.figures:
            details.append(task.figures)
        rate = task.rate(now_s)
        if rate is not None:
            details.append(f"{rate:.1f} {task.unit}/s")
        return details


def fitted_line(width: int, title: str, done: tuple[int, int] | None, details: Sequence[str]) -> str:
    """Return title, bar, count and details in one line of at most `width` columns.

    What does not fit is dropped from the last detail on, then the bar narrows and goes, then the title is cut.

    Args:
        width: Columns of the terminal.
        title: What is under way.
        done: How many of how many; None shows neither bar nor count.
        details: The most important first.
    """
    width -= 1  # a full last column makes some terminals begin a new line
    narrow, wide = _BAR_CELLS
    count = "" if done is None else f"{done[0]}/{done[1]}"
    needed = [part for part in (title, count) if part]
    room = width - sum(cell_len(part) for part in needed) - len(needed) + 1
    bar_cells = narrow + 1 if done is not None else 0
    kept: list[str] = []
    for detail in details:
        if room - bar_cells - sum(cell_len(part) + 2 for part in [*kept, detail]) >= 0:
            kept.append(detail)
    room -= sum(cell_len(part) + 2 for part in kept)
    bar = "" if done is None else _bar(min(wide, room - 1), *done)
    head = " ".join(part for part in (title, bar, count) if part)
    if cell_len(head) > width:
        cut = max(_LEAST_TITLE_CELLS, width - cell_len(count) - 1)
        head = f"{set_cell_size(title, cut - 1).rstrip()}… {count}".rstrip()
    return set_cell_size("  ".join([head, *kept]), width).rstrip()


def _bar(cells: int, done: int, total: int) -> str:
    """Return a bar of so many columns; empty where it would be too narrow to read."""
    if cells < _BAR_CELLS[0]:
        return ""
    filled = cells if total <= 0 else min(cells, cells * done // total)
    return "━" * filled + "─" * (cells - filled)


def duration_text(seconds: float) -> str:
    """Return seconds as `m:ss`, or `h:mm:ss` from an hour on."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def figures_text(figures: Mapping[str, float]) -> str:
    """Return a step's figures as words and numbers; rewards where it has some, else the loss."""
    known = {word: figures[name] for name, word in SHOWN_FIGURES.items() if name in figures}
    if len(known) > 1:
        known.pop("loss", None)
    return " ".join(f"{word} {value:.2f}" for word, value in known.items())
