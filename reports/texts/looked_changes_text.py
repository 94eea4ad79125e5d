"""How two runs differ in where they looked, as words and cells of tables, the same on a terminal and on a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from harness.comparison.values import LookedChange
from reports.texts.necessity_text import FILL_WORDS, FORM_WORDS
from reports.texts.numbers_shown import DASH, count, number, signed
from reports.texts.verdict_text import cut

LOOKED_HEADINGS: Final = ("benchmark", "number", "by", "filled with", "before", "now", "change [95 %]", "n")

LOOKED_CAUTION: Final = (
    "necessity, sufficiency and image dependence in points of 100, of samples that both runs probed; density of "
    "attention in the boxes named: it goes with answers or not, and causes none"
)

SCORE_WORDS: Final[Mapping[str, str]] = {
    "necessity": "necessity",
    "sufficiency": "sufficiency",
    "dependence": "image dependence",
    "follow": "following what is pasted",
    "last_over_earlier": "last step over earlier ones",
    "density": "density of attention",
}


def looked_cells(row: LookedChange) -> tuple[str, ...]:
    """Return the cells of one change, in points of 100 but for densities, which are times what even attention gives."""
    return (
        cut(row.task, 100),
        SCORE_WORDS[row.score],
        next((words for form, words in FORM_WORDS.items() if form == row.form), DASH),
        next((words for fill, words in FILL_WORDS.items() if fill == row.fill), DASH),
        _number(row, row.a),
        _number(row, row.b),
        _change(row),
        f"{count(row.change.n)} of {count(row.asked)}",
    )


def _scale(row: LookedChange) -> tuple[float, int]:
    return (1.0, 2) if row.score == "density" else (100.0, 1)


def _number(row: LookedChange, value: float | None) -> str:
    scale, digits = _scale(row)
    return number(None if value is None else scale * value, digits)


def _change(row: LookedChange) -> str:
    """Return the change with its interval, or why there is none."""
    scale, digits = _scale(row)
    found = row.change
    if found.value is None:
        return cut(found.reason or DASH)
    said = signed(scale * found.value, digits)
    if found.ci_low is None or found.ci_high is None:
        return said
    return f"{said} [{signed(scale * found.ci_low, digits)}, {signed(scale * found.ci_high, digits)}]"
