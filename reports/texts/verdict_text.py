"""Put scores, changes and verdicts into words: what Markdown, JUnit, annotations and the terminal say alike.

Numbers are rounded here, by `reports/texts/numbers_shown.py`, and nowhere before. Fractions are shown in percent,
overlaps with three digits, a benchmark's own points as they are.
"""

from __future__ import annotations

from collections.abc import Callable

from harness.comparison.values import Comparison, Pair, ScoreRow
from harness.gate.verdict import BenchmarkVerdict, Verdict, verdict_bars
from harness.summary.means import Metric
from harness.task_facts import is_native_metric
from reports.texts.numbers_shown import DASH, count, metric_scale, number, p_text, signed

STATE_WORDS = {
    "regression": "REGRESSION",
    "ok": "OK",
    "inconclusive": "INCONCLUSIVE",
    "incomparable": "INCOMPARABLE",
}
"""How each state of a benchmark is written."""

VERDICT_HEADINGS = (
    "task",
    "verdict",
    "metric",
    "baseline",
    "candidate",
    "change [95 %]",
    "p (Holm)",
    "n",
    "clusters",
    "MDE",
    "flips",
)
"""Heads of the columns that `verdict_cells` fills."""

MOST_NAME_CHARACTERS = 120
"""A name from a file is cut here."""


def cut(text: str, most: int = MOST_NAME_CHARACTERS) -> str:
    """Return at most so many characters of a text, with an ellipsis where some are missing."""
    return text if len(text) <= most else text[: most - 1] + "…"


def _scale(row: ScoreRow) -> tuple[float, int]:
    """Return what a row's numbers are multiplied by, and with how many digits they are shown."""
    return (1.0, 1) if row.scale == "points" and not is_native_metric(row.metric) else metric_scale(row.metric)


def value_text(row: ScoreRow, value: float | None) -> str:
    """Return a number on the row's scale."""
    factor, digits = _scale(row)
    return number(None if value is None else factor * value, digits)


def score_text(row: ScoreRow, score: Metric) -> str:
    """Return `value [low, high]`."""
    value = value_text(row, score.value)
    if score.ci_low is None:
        return value
    return f"{value} [{value_text(row, score.ci_low)}, {value_text(row, score.ci_high)}]"


def change_text(row: ScoreRow) -> str:
    """Return `change [low, high]`; a dash without a change."""
    found = row.difference
    if found is None:
        return DASH
    factor, digits = _scale(row)
    change = signed(factor * found.delta, digits)
    if found.ci_low is None or found.ci_high is None:
        return change
    return f"{change} [{signed(factor * found.ci_low, digits)}, {signed(factor * found.ci_high, digits)}]"


def flips_text(row: ScoreRow) -> str:
    """Return how many units fell and how many rose."""
    found = row.difference
    return DASH if found is None else f"{found.flips_down:,} down, {found.flips_up:,} up"


def mde_text(row: ScoreRow) -> str:
    """Return the least change that could have been seen."""
    return DASH if row.difference is None else value_text(row, row.difference.mde)


def sentence_of(benchmark: BenchmarkVerdict) -> str:
    """Return what the gate says of one benchmark, with its numbers, in one line."""
    row = benchmark.row
    if row is None or row.difference is None:
        return f"{STATE_WORDS[benchmark.state]}: {benchmark.reason}"
    parts = [
        f"{row.metric} {value_text(row, row.a.value)} to {value_text(row, row.b.value)}",
        f"change {change_text(row)}",
        f"p {p_text(benchmark.p_holm)} (one-sided, Holm)",
        f"tolerance {value_text(row, benchmark.tolerance)}",
        f"n {count(row.difference.n)}",
        f"clusters {count(row.difference.clusters)}",
        f"detectable {mde_text(row)}",
    ]
    if benchmark.n_needed is not None:
        parts.append(f"about {count(benchmark.n_needed)} samples would settle it")
    return f"{STATE_WORDS[benchmark.state]}: {benchmark.reason}; {', '.join(parts)}"


def verdict_cells(benchmark: BenchmarkVerdict, shown: Callable[[str], str]) -> list[str]:
    """Return a benchmark's cells under `VERDICT_HEADINGS`; `shown` makes untrusted names safe for where they go."""
    row = benchmark.row
    start = [shown(benchmark.task), STATE_WORDS[benchmark.state]]
    if row is None:
        return [*start, *[DASH] * (len(VERDICT_HEADINGS) - len(start))]
    found = row.difference
    return [
        *start,
        shown(row.metric),
        value_text(row, row.a.value),
        value_text(row, row.b.value),
        change_text(row),
        p_text(benchmark.p_holm),
        count(None if found is None else found.n),
        count(None if found is None else found.clusters),
        mde_text(row),
        flips_text(row),
    ]


def verdict_lines(verdict: Verdict) -> list[str]:
    """Return the verdict, its reasons and its notes as lines, the verdict first."""
    lines = [verdict.sentence]
    lines += [f"not a verdict: {reason}" for reason in verdict.reasons]
    lines += [
        f"{cut(benchmark.task)}: {benchmark.reason}" for benchmark in verdict.benchmarks if benchmark.state != "ok"
    ]
    return lines + [f"note: {note}" for note in verdict.notes]


def gain_lines(comparison: Comparison) -> list[str]:
    """Return what each side's scores owe to seeing, a line a benchmark, beside what chance earns."""
    lines: list[str] = []
    for gain in comparison.visual_gains:
        side = comparison.sides[gain.side]
        for row in gain.rows:
            beside = side.runs[0].beside.get(row.task)
            chance = None if beside is None else beside.baselines.get("chance")
            told = (
                f"{change_text(row)}, n {count(row.a.n)}" if row.difference is not None else f"not known: {row.reason}"
            )
            lines.append(
                f"visual gain of {cut(side.label)} on {cut(row.task)}: {told}; {row.metric} "
                f"{value_text(row, row.b.value)} seeing, {value_text(row, row.a.value)} with {gain.shown}, chance "
                f"{value_text(row, None if chance is None else chance.value)}"
            )
    return lines


def pair_lines(comparison: Comparison, pair: Pair) -> list[str]:
    """Return what a reader must know of a pair: why it cannot be compared, what was left out."""
    a, b = comparison.sides[pair.a].label, comparison.sides[pair.b].label
    lines = [f"not comparable ({cut(a)}, {cut(b)}): {reason}" for reason in pair.comparability.reasons]
    bars = verdict_bars(comparison.sides[pair.a], comparison.sides[pair.b], pair)
    lines += [f"no verdict ({cut(a)}, {cut(b)}): {reason}" for reason in bars]
    lines += [f"note: {note}" for note in pair.comparability.notes]
    for side, tasks in ((a, pair.only_a_tasks), (b, pair.only_b_tasks)):
        if tasks:
            lines.append(f"note: only {cut(side)} has: {cut(', '.join(tasks), 400)}")
    for benchmark in pair.benchmarks:
        own = [reason for reason in benchmark.comparability.reasons if reason not in pair.comparability.reasons]
        lines += [f"{cut(benchmark.task)} is not comparable: {reason}" for reason in own]
        lines += [f"note: {cut(benchmark.task)}: {note}" for note in benchmark.comparability.notes]
    return lines
