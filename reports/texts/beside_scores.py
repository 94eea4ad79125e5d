"""Write what stands beside a score: chance, the commonest answer, how texts point at places, which stages they keep."""

from __future__ import annotations

from collections.abc import Mapping

from harness.summary.box_habits import BOX_HABITS
from harness.summary.summary_values import Baseline, Metric
from harness.values import FreeStage
from reports.texts.numbers_shown import DASH, metric_scale, number
from reports.texts.visible import one_line

HABIT_WORDS: Mapping[str, str] = {
    "parse_rate": "boxes read",
    "boxes_per_text": "boxes a text",
    "area_share": "area",
    "outside_share": "outside",
}
"""Heads of columns."""

STAGE_WORDS: Mapping[FreeStage, str] = {"caption": "caption", "bbox": "boxes"}
"""What a stage is called that may be left out."""

_MOST_ANSWER_CHARACTERS = 30


def interval_text(name: str, metric: Metric | None) -> str:
    """Return `value [low, high] of n` in the metric's own scale; a dash where there is no value."""
    if metric is None or metric.value is None:
        return DASH
    factor, digits = metric_scale(name)
    value, low, high = (None if end is None else end * factor for end in (metric.value, metric.ci_low, metric.ci_high))
    ends = "" if low is None or high is None else f" [{number(low, digits)}, {number(high, digits)}]"
    return f"{number(value, digits)}{ends} of {metric.n:,}"


def habit_texts(habits: Mapping[str, Metric]) -> tuple[str, ...]:
    """Return a task's habits under the heads of `HABIT_WORDS`, with interval and n."""
    return tuple(interval_text(name, habits.get(name)) for name in BOX_HABITS)


def baseline_text(headline: str, baseline: Baseline | None) -> str:
    """Return what a headline is worth to who sees nothing, with the answer that earns it; a dash where nobody knows."""
    if baseline is None or baseline.value is None:
        return DASH
    factor, digits = metric_scale(headline)
    answer = one_line(baseline.answer)
    cut = answer if len(answer) <= _MOST_ANSWER_CHARACTERS else f"{answer[: _MOST_ANSWER_CHARACTERS - 1]}…"
    return number(factor * baseline.value, digits) + (f" ({cut})" if cut else "")
