"""Draw the tables of the terminal: what a run scored, which runs there are.

A table is as wide as its terminal. Where that is too narrow for a row, the columns of least worth are told in lines
below it, by their headings: no cell is cut off, no number is broken, nothing is left out.

Only here are numbers rounded. Model text never reaches a table; names that come from files stay on their line, and what
is invisible in them is shown, before they are measured (reports/terminal/printing.py says the rest).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from harness.summary.summary_values import Metric, TaskSummary
from harness.task_facts import facts_of
from reports.terminal.printing import line_of, say
from reports.texts.beside_scores import HABIT_WORDS, baseline_text, habit_texts
from reports.texts.numbers_shown import DASH, metric_scale, percent
from reports.texts.visible import one_line

BASELINES = ("chance", "majority")
"""What a score is shown beside."""

_NARROW = 80
"""Columns of a terminal that nothing is known of."""

_GAP = 2
"""Blanks between two columns."""

_INDENT = "    "
"""Before what is told below a row."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table."""

    heading: str
    """Stands above it, or before a cell that moved below its row."""
    right: bool = False
    """Whether cells end at one edge, as numbers do."""
    worth: int = 0
    """Which columns stay in the row longest where a terminal is narrow: the highest. The first column always stays."""


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table of texts that fits any width: what finds no room in a row is told below it, and nothing is cut off."""

    columns: tuple[Column, ...]
    """From left to right."""
    rows: tuple[tuple[str, ...], ...]
    """As many cells each; a line break in a cell begins another line of it."""
    title: str = ""
    """Stands above the headings; empty for none."""

    def lines(self, width: int) -> list[str]:
        """Return the table in lines of at most so many columns of a terminal."""
        head, body = self.head_and_body(width)
        return [*head, *body]

    def head_and_body(self, width: int) -> tuple[list[str], list[str]]:
        """Return the lines of title and headings, and those of the rows with what is told below each.

        There are no headings where only the first column finds room.
        """
        widths = self._widths(width)
        head = [self.title] if self.title else []
        head += self._row([column.heading for column in self.columns], widths) if len(widths) > 1 else []
        body: list[str] = []
        for row in self.rows:
            below = [
                f"{column.heading} {cell}".replace("\n", ", ").strip()
                for place, (column, cell) in enumerate(zip(self.columns, row, strict=True))
                if place not in widths and cell not in {"", DASH}
            ]
            body += [*self._row(row, widths), *_joined(below, width)]
        return _all_folded(head, width), _all_folded(body, width)

    def _widths(self, width: int) -> dict[int, int]:
        """Return the width of each column that finds room in a row, by place; those of least worth go first."""
        widths: dict[int, int] = {}
        for place, column in enumerate(self.columns):
            lines = (line for row in self.rows for line in row[place].split("\n"))
            widths[place] = max(cell_len(text) for text in (column.heading, *lines))
        while len(widths) > 1 and sum(widths.values()) + _GAP * (len(widths) - 1) > width:
            least = min(self.columns[place].worth for place in widths if place)
            widths = {n: size for n, size in widths.items() if n == 0 or self.columns[n].worth > least}
        return widths

    def _row(self, row: Sequence[str], widths: Mapping[int, int]) -> list[str]:
        """Return the lines of one row, whose cells stand side by side and may have several lines."""
        lines: list[str] = []
        for texts in zip_longest(*(row[place].split("\n") for place in widths), fillvalue=""):
            padded: list[str] = []
            for (place, size), text in zip(widths.items(), texts, strict=True):
                blanks = " " * (size - cell_len(text))
                padded.append(blanks + text if self.columns[place].right else text + blanks)
            lines.append((" " * _GAP).join(padded).rstrip())
        return lines


def _all_folded(lines: Iterable[str], width: int) -> list[str]:
    return [piece for line in lines for piece in folded(line, width)]


def _joined(parts: Sequence[str], width: int) -> list[str]:
    """Return texts in as few indented lines as they need; each stays whole where it has room in a line of its own."""
    lines: list[str] = []
    for part in parts:
        longer = f"{lines[-1]} · {part}" if lines else ""
        if lines and cell_len(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(f"{_INDENT}{part}")
    return lines


def folded(line: str, width: int) -> list[str]:
    """Return a line in pieces of at most so many columns of a terminal, broken at blanks where there are any."""
    width = max(1, width)  # a terminal of no width would never end
    indent = line[: len(line) - len(line.lstrip(" "))]
    pieces: list[str] = []
    rest = line
    while cell_len(rest) > width:
        room = min(len(rest), 4 * width)
        while room > 1 and cell_len(rest[:room]) > width:
            room -= 1
        blank = rest.rfind(" ", len(indent) + 1, room + 1)
        end = room if blank < 0 or not rest[:blank].strip() else blank
        pieces.append(rest[:end].rstrip())
        rest = indent[: max(0, width - 2)] + rest[end:].lstrip(" ")
    return [*pieces, rest]


def run_table(summaries: Sequence[TaskSummary], wall_s: Mapping[str, float], title: str) -> TextTable:
    """Return the closing table of a run, one line per task and headline metric.

    `mean IoU` is a column only where a task has gold boxes; how texts point at places stands here only where one has
    none, and in `scores.json` and on pages always.

    Args:
        summaries: The tasks.
        wall_s: Seconds from the first to the last answer by task, loading of data included; none where no model ran.
        title: What the run is.
    """
    boxed = any("mean_iou" in summary.metrics for summary in summaries)
    guessed = any(found.value is not None for summary in summaries for found in summary.baselines.values())
    pointing = any(_points_without_gold(summary) for summary in summaries)
    columns = (
        Column("task"),
        Column("score [95 %]", right=True, worth=9),
        Column("n", right=True, worth=8),
        Column("null", right=True, worth=7),
        Column("faulty", right=True, worth=5),
        Column("cut off", right=True, worth=4),
        *([Column("mean IoU", right=True, worth=6)] if boxed else []),
        Column("seconds", right=True, worth=3),
        *([Column("chance", right=True, worth=2), Column("one answer", right=True, worth=2)] if guessed else []),
        *([Column(words, right=True, worth=1) for words in HABIT_WORDS.values()] if pointing else []),
    )
    rows: list[tuple[str, ...]] = []
    for summary in summaries:
        spent_s = wall_s.get(summary.task, 0.0)
        shared = [
            str(summary.n),
            str(sum(summary.unscored.values())),
            percent(summary.parse_fault_rows, summary.rows),
            percent(summary.truncated_rows, summary.rows),
            *([_overlap_text(summary)] if boxed else []),
            f"{spent_s:.1f}" if spent_s else "",
            *([baseline_text(summary.headline, summary.baselines.get(name)) for name in BASELINES] if guessed else []),
            *(habit_texts(summary.boxes if _points_without_gold(summary) else {}) if pointing else []),
        ]
        for place, name in enumerate(facts_of(summary.task).shown or (summary.headline,)):
            score = metric_text(name, summary.metrics.get(name))
            rows.append((f"{one_line(summary.task)} {name}", score, *(shared if place == 0 else [""] * len(shared))))
    return TextTable(columns, tuple(rows), one_line(title))


def task_line(summary: TaskSummary) -> str:
    """Return what a benchmark scored as one line of untrusted names."""
    names = facts_of(summary.task).shown or (summary.headline,)
    scores = [f"{name} {metric_text(name, summary.metrics.get(name))}" for name in names]
    nulls = sum(summary.unscored.values())
    return one_line(f"{summary.task}: {', '.join(scores)}, n {summary.n}{f', null {nulls}' if nulls else ''}")


def _overlap_text(summary: TaskSummary) -> str:
    """Return the mean IoU, and of how many samples where texts may leave their boxes out."""
    found = summary.metrics.get("mean_iou")
    told = metric_text("mean_iou", found)
    return f"{told} of {found.n:,}" if summary.stages and found is not None else told


def _points_without_gold(summary: TaskSummary) -> bool:
    """Whether a task's texts are asked for boxes that nothing tells right from wrong."""
    return bool(summary.boxes) and "mean_iou" not in summary.metrics


def metric_text(name: str, metric: Metric | None) -> str:
    """Return `value [low, high]` in the metric's own scale, as pages show it; a dash where there is no value.

    Both ends are shown: the interval of a score near 0 or 1 is not symmetric, and `0.0 ± 5.7` would promise scores
    below zero.
    """
    if metric is None or metric.value is None:
        return DASH
    scale, digits = metric_scale(name)
    value = f"{metric.value * scale:.{digits}f}"
    if metric.ci_low is None or metric.ci_high is None:
        return value
    return f"{value} [{metric.ci_low * scale:.{digits}f}, {metric.ci_high * scale:.{digits}f}]"


def plain_table(
    headings: Sequence[str], rows: Iterable[Sequence[str]], worths: Mapping[int, int] | None = None
) -> TextTable:
    """Return a table of untrusted texts.

    Args:
        headings: Of the columns.
        rows: As many cells each.
        worths: Worth by place, for columns that stay in a row longer than others; those from left to right follow.
    """
    worths = worths or {}
    columns = tuple(Column(one_line(text), worth=worths.get(place, -place)) for place, text in enumerate(headings))
    return TextTable(columns, tuple(tuple(one_line(cell) for cell in row) for row in rows))


def write(table: TextTable, stream: TextIO) -> None:
    """Write a table to a stream, as wide as its terminal; for 80 columns where there is none, as in a pipe."""
    console = Console(file=stream, width=None if stream.isatty() else _NARROW)
    head, body = table.head_and_body(console.width)
    for place, line in enumerate([*head, *body]):
        text = Text(line_of(line), style="bold" if place < len(head) else "")
        console.print(text, no_wrap=True, overflow="ignore", crop=False)


def write_line(text: str, stream: TextIO) -> None:
    """Write an untrusted sentence, on a terminal broken at blanks; in a pipe it stays one line."""
    shown = one_line(text)
    for line in folded(shown, Console(file=stream).width) if stream.isatty() else [shown]:
        say(line, stream)
