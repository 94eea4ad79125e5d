"""Show a run's scores under several protocols on a terminal: scores, agreement, samples, reasons."""

from __future__ import annotations

from typing import TextIO

from harness.evaluation.parity import RunParity
from reports.terminal.tables import Column, TextTable, write, write_line
from reports.texts.parity_text import (
    AGREEMENT_HEADINGS,
    SCORE_HEADINGS,
    agreement_rows,
    difference_lines,
    disagreement_sentence,
    reason_lines,
    sample_line,
    score_rows,
)
from reports.texts.visible import one_line

_NUMBERS = frozenset({"score [95 %]", "n", "null", "judge", "scored alike", "share"})


def show_parity(parity: RunParity, stream: TextIO) -> None:
    """Print it: two tables, then for each benchmark the samples that were scored differently, and why that may be."""
    versions = parity.versions
    scores = [row for task in parity.tasks for row in score_rows(task)]
    write(_table(SCORE_HEADINGS, scores, parity.run), stream)
    write_line(f"the same texts under {', '.join(versions.values())}", stream)
    for line in (line for task in parity.tasks for line in reason_lines(task)):
        write_line(line, stream)
    for protocol, reason in parity.left_out.items():
        write_line(f"{protocol} is left out: {reason}", stream)
    agreements = [row for task in parity.tasks for row in agreement_rows(task)]
    if agreements:
        write_line("", stream)
        write(_table(AGREEMENT_HEADINGS, agreements, "samples scored alike"), stream)
    for task in parity.tasks:
        write_line("", stream)
        write_line(disagreement_sentence(task), stream)
        for sample in task.shown:
            line = sample_line(sample)
            write_line(f"  {line.id} · accepted {line.golds} · answer {line.answer}", stream)
            write_line(f"    {line.taken}", stream)
        for line in difference_lines(task, versions) if task.disagreeing else ():
            write_line(f"  {line}", stream)


def _table(headings: tuple[str, ...], rows: list[tuple[str, ...]], title: str) -> TextTable:
    columns = tuple(
        Column(heading, right=heading in _NUMBERS, worth=len(headings) - place)
        for place, heading in enumerate(headings)
    )
    return TextTable(columns, tuple(tuple(one_line(cell) for cell in row) for row in rows), one_line(title))
