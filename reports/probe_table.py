"""Show what a variance probe found (the object of `probe.json`) as a table and sentences for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reports.number_text import DASH
from reports.terminal import TextTable, plain_table

_SHORT = {"trace": "tr Cov", "noise_to_signal": "noise/signal"}


def probe_table(found: Mapping[str, Any]) -> TextTable:
    """Return one line per reward set; a missing number is a dash, an end that nothing bounds is ∞."""
    headings = ["rewards", "tr Cov [95 %]", "noise/signal [95 %]", "dead groups %", "mean reward"]
    base = found["baseline"]
    headings += [f"tr Cov, change to {base} %", f"noise/signal, change to {base} %", "dead, change in points"]
    rows: list[Sequence[str]] = []
    for row in found["rows"]:
        change = row["change"]
        cells = [
            row["reward_set"],
            _estimate(row["trace"]),
            _estimate(row["noise_to_signal"]),
            _estimate(row["dead_share"], percent=True),
            _estimate(row["mean_reward"]),
        ]
        cells += [
            _estimate(change[name], percent=True, signed=True) if change else ""
            for name in ("trace", "noise_to_signal", "dead_share")
        ]
        rows.append(cells)
    return plain_table(headings, rows)


def probe_lines(found: Mapping[str, Any]) -> list[str]:
    """Return what the figures are, and what they say about the claimed change."""
    how = found["manifest"]
    lines = [f"fixed-policy probe: {found['measure_is']}"]
    lines.append(
        f"{found['prompts']} prompts x {found['generations']} completions; scale_rewards {how['scale_rewards']}, "
        f"loss type {how['loss_type']}, {how['coordinates']} of {how['dimension']} coordinates"
    )
    claimed = f"{100 * found['claimed_change']:+.0f} %"
    for row in found["rows"]:
        for name, sentence in (row["claim"] or {}).items():
            lines.append(f"{row['reward_set']} against {found['baseline']}, {_SHORT[name]}: {sentence}")
    if any(row["claim"] for row in found["rows"]):
        lines.append(
            f"{claimed} is what SATORI's paper claims for its whole method; how it was measured is not known here"
        )
    return lines


def _estimate(estimate: Mapping[str, Any], *, percent: bool = False, signed: bool = False) -> str:
    """Return `value [low, high]`."""
    value = DASH if estimate["value"] is None else _number(estimate["value"], percent=percent, signed=signed)
    if estimate["ci_low"] is None and estimate["ci_high"] is None:
        return value
    low, high = (
        end if estimate[name] is None else _number(estimate[name], percent=percent, signed=signed)
        for name, end in (("ci_low", "-∞"), ("ci_high", "∞"))
    )
    return f"{value} [{low}, {high}]"


def _number(value: float, *, percent: bool, signed: bool) -> str:
    """Return a number with three significant digits, or as a percentage."""
    sign = "+" if signed else ""
    return f"{100 * value:{sign}.1f}" if percent else f"{value:{sign}.3g}"
