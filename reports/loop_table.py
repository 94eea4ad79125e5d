"""Draw a loop's comparison for the terminal: what each metric was, became, and whether that is more than noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from reports.terminal import printable

_HEADINGS = {"decoding": "left", "metric": "left", "A": "right", "B": "right", "change [95 %]": "right", "p": "right"}


def loop_table(title: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return the table of one pair of runs; means in percent, changes in points.

    Args:
        title: Names the two runs.
        rows: Rows of `comparison.json`; none gives a table without lines.
    """
    table = Table(
        title=printable(title), title_justify="left", box=None, padding=(0, 1, 0, 0), header_style="bold underline"
    )
    for heading, side in _HEADINGS.items():
        table.add_column(heading, justify="right" if side == "right" else "left", no_wrap=True)
    table.add_column("n", justify="right", no_wrap=True)
    for row in rows:
        low, high = row["ci_low"], row["ci_high"]
        ends = "" if low is None or high is None else f" [{100 * low:+.1f}, {100 * high:+.1f}]"
        table.add_row(
            printable(row["decoding"]),
            printable(row["metric"]),
            f"{100 * row['a_value']:.1f}",
            f"{100 * row['b_value']:.1f}",
            f"{100 * row['delta']:+.1f}{ends}",
            p_text(row["p"]),
            str(row["n"]),
        )
    return table


def p_text(p: float | None) -> str:
    """Return p with four digits; what is smaller is said to be smaller, never 0."""
    if p is None:
        return "–"
    return "<0.0001" if p < 0.0001 else f"{p:.4f}"
