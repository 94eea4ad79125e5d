"""Show what a run's probes come to on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TextIO

from harness.probes.probe_summary import DEFINITION, ProbeSummary
from reports.terminal.tables import Column, TextTable, write, write_line
from reports.texts.necessity_text import (
    EDIT_HEADINGS,
    LIMITS,
    PASTE_HEADINGS,
    SCORE_HEADINGS,
    STEP_HEADINGS,
    edit_rows,
    paste_rows,
    probe_sentences,
    score_rows,
    step_rows,
)
from reports.texts.visible import one_line


def show_probes(summary: Mapping[str, ProbeSummary], stream: TextIO) -> None:
    """Print tables of scores, and of pastes and of steps, one of what they are made of, then what they say in words."""
    scores = [row for task, found in summary.items() for row in score_rows(task, found)]
    edits = [row for task, found in summary.items() for row in edit_rows(task, found)]
    steps = [row for task, found in summary.items() for row in step_rows(task, found)]
    _table(SCORE_HEADINGS, scores, "probes, points of 100 [95 %]", 3, stream)
    pasted = [row for task, found in summary.items() for row in paste_rows(task, found)]
    _table(PASTE_HEADINGS, pasted, "answers that follow what is pasted, % [95 %]", 2, stream)
    _table(STEP_HEADINGS, steps, "necessity of steps, points of 100 [95 %]", 3, stream)
    _table(EDIT_HEADINGS, edits, "what became of the answers, % [95 %]", 3, stream)
    for task, found in summary.items():
        for sentence in probe_sentences(found):
            write_line(f"{one_line(task)}: {sentence}", stream)
    write_line(DEFINITION, stream)
    write_line(LIMITS, stream)


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]], title: str, words: int, stream: TextIO) -> None:
    """Print a table whose first columns are words."""
    if rows:
        columns = tuple(
            Column(heading, right=place >= words, worth=len(headings) - place) for place, heading in enumerate(headings)
        )
        write(TextTable(columns, tuple(tuple(map(one_line, row)) for row in rows), title), stream)
