"""Comparisons, verdicts and noise as tables for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from harness.comparison.values import Comparison, Pair, ScoreRow
from harness.gate.noise import TaskNoise
from harness.gate.verdict import Verdict
from reports.terminal.tables import TextTable, plain_table
from reports.texts.looked_changes_text import LOOKED_HEADINGS, looked_cells
from reports.texts.numbers_shown import count, number, p_text, percent
from reports.texts.verdict_text import VERDICT_HEADINGS, change_text, cut, flips_text, score_text, verdict_cells


def verdict_table(verdict: Verdict) -> TextTable:
    """Return the gate's table for a terminal."""
    rows = [verdict_cells(benchmark, cut) for benchmark in verdict.benchmarks]
    # verdict, change, metric, then both scores together: one without the other says little
    return plain_table(VERDICT_HEADINGS, rows, {1: 9, 5: 8, 2: 7, 3: 6, 4: 6})


def comparison_table(comparison: Comparison, pair: Pair) -> TextTable:
    """Return a pair's headlines and metrics for a terminal."""
    a, b = comparison.sides[pair.a].label, comparison.sides[pair.b].label
    headings = ["task", "metric", cut(a, 40), cut(b, 40), "change [95 %]", "p", "Holm", "n", "flips", "faulty"]
    rows = [row for benchmark in pair.benchmarks for row in (benchmark.headline, *benchmark.metrics)]
    # metric, change, then both scores together: one without the other says little
    return plain_table(headings, [_comparison_cells(row) for row in rows], {1: 9, 4: 8, 2: 7, 3: 7})


def _comparison_cells(row: ScoreRow) -> Sequence[str]:
    found = row.difference
    return [
        cut(row.task),
        cut(row.metric),
        score_text(row, row.a),
        score_text(row, row.b),
        change_text(row),
        p_text(None if found is None else found.p),
        p_text(row.holm_p),
        count(row.a.n),
        flips_text(row),
        f"{percent(row.a_faults.parse, row.a_faults.rows)} → {percent(row.b_faults.parse, row.b_faults.rows)}",
    ]


def looked_table(pair: Pair) -> TextTable:
    """Return how a pair differs in where it looked and in whether that mattered."""
    return plain_table(LOOKED_HEADINGS, [looked_cells(row) for row in pair.looked], {1: 9, 6: 8, 2: 7})


def noise_table(noise: Sequence[TaskNoise]) -> TextTable:
    """Return how much each benchmark moves between two runs of one checkpoint."""
    headings = ["task", "metric", "n", "flips", "flip rate [95 %]", "noise floor (points)"]
    return plain_table(headings, [_noise_cells(row) for row in noise], {1: 9, 5: 8})


def _noise_cells(row: TaskNoise) -> Sequence[str]:
    rate, low, high = (number(100 * share, 2) for share in (row.flip_rate, row.flip_rate_low, row.flip_rate_high))
    return [
        cut(row.task),
        cut(row.metric),
        count(row.n),
        count(row.flips),
        f"{rate} % [{low}, {high}]",
        number(row.floor_points, 2),
    ]
