"""Draw a loop's comparison for the terminal: what each metric was, became, and whether that is more than noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reports.number_text import DASH
from reports.terminal import Column, TextTable
from reports.visible import one_line

_COLUMNS = (
    Column("decoding"),
    Column("metric", worth=9),
    Column("A", right=True, worth=7),
    Column("B", right=True, worth=7),
    Column("change [95 %]", right=True, worth=8),
    Column("p", right=True, worth=5),
    Column("n", right=True, worth=4),
)


def loop_table(title: str, rows: Sequence[Mapping[str, Any]]) -> TextTable:
    """Return the table of one pair of runs; means in percent, changes in points.

    Args:
        title: Names the two runs.
        rows: Rows of `comparison.json`; none gives a table without lines.
    """
    return TextTable(_COLUMNS, tuple(_cells(row) for row in rows), one_line(title))


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    low, high = row["ci_low"], row["ci_high"]
    ends = "" if low is None or high is None else f" [{100 * low:+.1f}, {100 * high:+.1f}]"
    return (
        one_line(row["decoding"]),
        one_line(row["metric"]),
        f"{100 * row['a_value']:.1f}",
        f"{100 * row['b_value']:.1f}",
        f"{100 * row['delta']:+.1f}{ends}",
        p_text(row["p"]),
        str(row["n"]),
    )


def p_text(p: float | None) -> str:
    """Return p with four digits; what is smaller is said to be smaller, never 0."""
    if p is None:
        return DASH
    return "<0.0001" if p < 0.0001 else f"{p:.4f}"
