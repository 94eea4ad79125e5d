"""Write numbers for pages: here, and nowhere before, they are rounded. Missing numbers are a dash, never a zero."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping

from harness.task_facts import POINT_MAXIMA, is_native_metric

DASH = "–"
"""Stands where there is no number."""

MINUS = "−"
"""The sign of a negative number; a hyphen is narrower than a plus."""

OVERLAP_METRICS = frozenset({"mean_iou", "matched_iou", "first_step_iou", "last_step_iou"})
"""Means of overlaps, which are shown as overlaps are: with three digits, never in percent."""

_HASH = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{20,}\b")
"""A digest of at least 128 bits inside a text."""


def number(value: float | None, digits: int = 1) -> str:
    """Return a number with so many digits; a dash for None or what is not finite. Never `-0`."""
    if value is None or not math.isfinite(value):
        return DASH
    text = f"{value:,.{digits}f}"
    return text.lstrip("-") if float(text.replace(",", "")) == 0 else text.replace("-", MINUS)


def signed(value: float | None, digits: int = 1) -> str:
    """Return a change with its sign; a change of 0 has none."""
    text = number(value, digits)
    if value is None or not math.isfinite(value) or not float(text.replace(",", "").replace(MINUS, "-")):
        return text
    return text if text.startswith(MINUS) else f"+{text}"


def metric_scale(name: str) -> tuple[float, int]:
    """Return what a metric's values are multiplied by wherever a page shows them, and with how many digits."""
    if is_native_metric(name):
        return 1.0, 4  # as lmms-eval prints it
    if name in POINT_MAXIMA:
        return 1.0, 1
    if name == "boxes_per_text":
        return 1.0, 2
    return (1.0, 3) if name in OVERLAP_METRICS else (100.0, 1)


def metric_number(name: str, value: float | None) -> str:
    """Return a metric's value in its unit; a dash for None."""
    factor, digits = metric_scale(name)
    return number(None if value is None else factor * value, digits)


def percent(part: int, whole: int) -> str:
    """Return a share in percent that is 0 or 100 only when it is exactly so; a dash of nothing."""
    if not whole:
        return DASH
    share = 100 * part / whole
    if 0 < part < whole:
        share = min(max(share, 0.1), 99.9)
    return f"{share:.1f} %"


def p_text(value: float | None) -> str:
    """Return a p value: three digits, never a bare 0; a dash for None."""
    if value is None or not math.isfinite(value):
        return DASH
    return f"< {0.001}" if value < 0.001 else f"{value:.3f}"


def count(value: int | None) -> str:
    """Return a whole number with separators; a dash for None."""
    return DASH if value is None else f"{value:,}"


def short_hash(text: str | None) -> str:
    """Return the first characters of a hex digest; a dash where there is none."""
    return text[:12] if text else DASH


def with_short_hashes(text: str) -> str:
    """Return a text in which every long digest is cut to its first 12 digits: no reader compares 64."""
    return _HASH.sub(r"\1…", text)


def anchor(term: str) -> str:
    """Return the id of a term's entry in the glossary of a page."""
    return "g-" + re.sub(r"[^a-z0-9_]+", "-", term.lower()).strip("-")


FILTERS: Mapping[str, Callable[..., str]] = {
    "number": number,
    "signed": signed,
    "p_text": p_text,
    "count": count,
    "short_hash": short_hash,
    "anchor": anchor,
}
"""What templates may call: writing, no arithmetic."""
