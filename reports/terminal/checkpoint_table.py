"""Several checkpoints' scores in one table, each with its change against the first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from harness.comparison.values import Comparison, Pair, ScoreRow
from reports.terminal.tables import TextTable, plain_table
from reports.texts.numbers_shown import DASH, count, p_text
from reports.texts.verdict_text import change_text, cut, score_text
from reports.texts.visible import one_line

_MOST_LABEL = 40


def checkpoint_table(comparison: Comparison) -> TextTable:
    """Return each benchmark's headline of all sides beside the first one's; scores are those of shared samples."""
    headings = ["task", "checkpoint", "score [95 %]", "change [95 %]", "p (Holm)", "n"]
    table = plain_table(headings, list(_rows(comparison)), {1: 9, 2: 8, 3: 7})
    return replace(table, title=one_line(f"change: against {cut(comparison.sides[0].label, _MOST_LABEL)}"))


def _rows(comparison: Comparison) -> Iterator[list[str]]:
    pairs = [pair for pair in comparison.pairs if pair.a == 0]
    shown: dict[str, list[list[str]]] = {}
    for pair in pairs:
        for benchmark in pair.benchmarks:
            row = benchmark.headline
            if row.task not in shown:
                shown[row.task] = [_cells(comparison, 0, row, of_first=True)]
            shown[row.task].append(_cells(comparison, pair.b, row, of_first=False))
    for rows in shown.values():
        yield from rows


def _cells(comparison: Comparison, side: int, row: ScoreRow, *, of_first: bool) -> list[str]:
    score = row.a if of_first else row.b
    return [
        f"{cut(row.task)} {cut(row.metric)}",
        cut(comparison.sides[side].label, _MOST_LABEL),
        score_text(row, score),
        DASH if of_first else change_text(row),
        DASH if of_first else p_text(row.holm_p),
        count(score.n),
    ]


def change_line(pair: Pair) -> str:
    """Return a pair's headlines as one line: what a person who watches a training wants to see."""
    parts: list[str] = []
    for benchmark in pair.benchmarks:
        row = benchmark.headline
        change = f" ({change_text(row)})" if row.difference is not None else f" (no change: {row.reason})"
        parts.append(f"{cut(row.task)} {cut(row.metric)} {score_text(row, row.b)}{change}")
    return "; ".join(parts)
