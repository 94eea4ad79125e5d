"""Show what a run's attention comes to on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TextIO

from harness.probes.attention_summary import DEFINITION, AttentionSummary
from reports.terminal.tables import Column, TextTable, write, write_line
from reports.texts.attention_text import (
    ATTENTION_HEADINGS,
    NOT_CAUSE,
    SPAN_WORDS,
    association_sentences,
    attention_rows,
    status_sentence,
)
from reports.texts.visible import one_line


def show_attention(summary: Mapping[str, AttentionSummary], stream: TextIO) -> None:
    """Print a table of densities, then how they go with answers and places, and what is meant by it."""
    rows = [row for task, found in summary.items() for row in attention_rows(task, found)]
    columns = tuple(
        Column(heading, right=place > 1, worth=len(ATTENTION_HEADINGS) - place)
        for place, heading in enumerate(ATTENTION_HEADINGS)
    )
    if rows:
        cells = tuple(tuple(one_line(cell) for cell in row) for row in rows)
        write(TextTable(columns, cells, "density of attention (1: spread evenly)"), stream)
    for task, found in summary.items():
        write_line(f"{one_line(task)}: {status_sentence(found)}", stream)
        for span, of_span in found.spans.items():
            for sentence in association_sentences(of_span):
                write_line(f"  {SPAN_WORDS[span]}: {sentence}", stream)
    write_line(DEFINITION, stream)
    write_line(NOT_CAUSE, stream)
