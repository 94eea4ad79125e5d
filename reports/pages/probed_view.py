"""Whether the regions that a run's texts name mattered to its answers, as a page shows it.

A number that the probes withhold has no bar and no cell: the reason stands in its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from harness.probes.fills import Fill, Operation
from harness.probes.probe_summary import DEFINITION, FillSummary, KindOfEdit, ProbeSummary, StoredProbes
from harness.probes.variants import Target
from reports.pages.charts import ShareBar, share_chart
from reports.texts.necessity_text import (
    EDIT_WORDS,
    FILL_WORDS,
    FORM_WORDS,
    LIMITS,
    PASTE_HEADINGS,
    SCORE_HEADINGS,
    STEP_HEADINGS,
    asked_by,
    paste_rows,
    points,
    probe_sentences,
    result_sentence,
    score_rows,
    step_rows,
)
from reports.texts.numbers_shown import count, number
from reports.texts.verdict_text import cut

WITHHELD = "not interpretable"
"""Stands for a number whose control does not support it."""

_BARS: Final[tuple[tuple[Operation, Target, str], ...]] = (
    ("repeat", "none", "var(--run-b)"),
    ("remove", "named", "var(--run-a)"),
    ("remove", "random", "var(--rule)"),
    ("keep", "named", "var(--run-a)"),
    ("keep", "random", "var(--rule)"),
    ("blank", "none", "var(--run-b)"),
    ("paste", "named", "var(--run-a)"),
    ("paste", "random", "var(--rule)"),
)
"""What bars show, in this order, each in a colour: what was done to the named box, to a random one, to neither."""


@dataclass(frozen=True, slots=True)
class EditRow:
    """What became of all texts under one kind of edit."""

    edit: str
    """What was done."""
    kept: str
    """How often the answer stayed, with interval, or that this is not interpretable."""
    right: str
    """How often it was right, likewise."""
    format_kept: str
    """How often the format was kept."""
    texts: str
    """How many."""
    is_withheld: bool
    """Whether its numbers are not shown."""


@dataclass(frozen=True, slots=True)
class ReliedRow:
    """Samples with a right, or a wrong, answer."""

    answer: str
    """Right or wrong answer."""
    relied: str
    """Those that relied on their box."""
    did_not: str
    """Those that did not."""


@dataclass(frozen=True, slots=True)
class ProbedFillView:
    """What the probes of a benchmark by one colour come to."""

    fill: str
    """By which colour."""
    withheld: tuple[str, ...]
    """What is not interpreted, and why."""
    chart: Markup
    """How often the answer stayed."""
    edits: tuple[EditRow, ...]
    """By kind of edit."""
    relied: tuple[ReliedRow, ...]
    """Answer by reliance; empty where reliance is withheld."""
    relied_by: str
    """The threshold, and in which form it is read."""


@dataclass(frozen=True, slots=True)
class ProbedTaskView:
    """What the probes of one benchmark come to."""

    task: str
    """Short task name."""
    sentences: tuple[str, ...]
    """The same in words."""
    fills: tuple[ProbedFillView, ...]
    """By colour."""


@dataclass(frozen=True, slots=True)
class ProbedView:
    """The part of the section that tells whether looking there mattered."""

    sentence: str
    """The result in one sentence."""
    headings: tuple[str, ...]
    """Of the table of scores."""
    rows: tuple[tuple[str, ...], ...]
    """One a benchmark, form and colour."""
    paste_headings: tuple[str, ...]
    """Of the table of what was pasted."""
    paste_rows: tuple[tuple[str, ...], ...]
    """One a benchmark; none where nothing was."""
    step_headings: tuple[str, ...]
    """Of the table of steps."""
    step_rows: tuple[tuple[str, ...], ...]
    """One a benchmark, form and colour; none where they were not asked of."""
    tasks: tuple[ProbedTaskView, ...]
    """By benchmark."""
    notes: tuple[str, ...]
    """What is meant, and what does not follow."""


def probed_view(found: StoredProbes) -> ProbedView:
    """Return what a page shows of a run's probes."""
    tasks = {cut(task, 100): summary for task, summary in found.tasks.items()}
    return ProbedView(
        sentence=". ".join(f"{task}: {result_sentence(summary)}" for task, summary in tasks.items()),
        headings=SCORE_HEADINGS,
        rows=tuple(row for task, summary in tasks.items() for row in score_rows(task, summary)),
        paste_headings=PASTE_HEADINGS,
        paste_rows=tuple(row for task, summary in tasks.items() for row in paste_rows(task, summary)),
        step_headings=STEP_HEADINGS,
        step_rows=tuple(row for task, summary in tasks.items() for row in step_rows(task, summary)),
        tasks=tuple(_task_view(task, summary, found.relies_above) for task, summary in tasks.items()),
        notes=tuple(filter(None, (asked_by(found), DEFINITION, LIMITS))),
    )


def _task_view(task: str, summary: ProbeSummary, relies_above: float) -> ProbedTaskView:
    return ProbedTaskView(
        task,
        tuple(cut(sentence, 600) for sentence in probe_sentences(summary)),
        tuple(_fill_view(task, fill, of_fill, relies_above) for fill, of_fill in summary.fills.items()),
    )


def _fill_view(task: str, fill: Fill, found: FillSummary, relies_above: float) -> ProbedFillView:
    form = FORM_WORDS["p" if "p" in found.scores else "same"]
    return ProbedFillView(
        fill=FILL_WORDS[fill],
        withheld=tuple(f"{cut(operation, 40)}: {cut(why)}" for operation, why in found.not_interpreted.items()),
        chart=_chart(task, fill, found),
        edits=tuple(_edit_row(edit, is_withheld=edit.gated in found.not_interpreted) for edit in found.edits),
        relied=_relied_rows(found.relied) if "remove" not in found.not_interpreted else (),
        relied_by=f"relied: necessity above {number(100 * relies_above)} points, by {form}; a threshold to count by",
    )


def _chart(task: str, fill: Fill, found: FillSummary) -> Markup:
    by_kind = {(edit.operation, edit.target): edit for edit in found.edits}
    bars = [
        _bar(by_kind[operation, target], colour, is_withheld=operation in found.not_interpreted)
        for operation, target, colour in _BARS
        if (operation, target) in by_kind
    ]
    if not bars:
        return Markup("")
    said = "; ".join(f"{bar.label} {bar.words}" for bar in bars)
    return share_chart(
        bars, "answers that stay the same, %", f"{task}, filled with {FILL_WORDS[fill]}: answers that stay. {said}"
    )


def _bar(edit: KindOfEdit, colour: str, *, is_withheld: bool) -> ShareBar:
    words = EDIT_WORDS[edit.operation, edit.target]
    kept = edit.kept
    if is_withheld or kept.value is None:
        return ShareBar(words, None, None, None, WITHHELD if is_withheld else "not known", colour)
    return ShareBar(words, kept.value, kept.ci_low, kept.ci_high, f"{number(100 * kept.value)} %", colour)


def _edit_row(edit: KindOfEdit, *, is_withheld: bool) -> EditRow:
    return EditRow(
        EDIT_WORDS[edit.operation, edit.target],
        WITHHELD if is_withheld else points(edit.kept),
        WITHHELD if is_withheld else points(edit.accuracy),
        points(edit.format_ok),
        count(edit.texts),
        is_withheld,
    )


def _relied_rows(relied: Mapping[str, int]) -> tuple[ReliedRow, ...]:
    if not relied:
        return ()
    return tuple(
        ReliedRow(
            f"{answer} answer", count(relied.get(f"{answer}, relied", 0)), count(relied.get(f"{answer}, did not", 0))
        )
        for answer in ("right", "wrong")
    )
