"""Counts the steps and samples that training takes to reach a given reward, from log histories.

A history is transformers' `log_history` (`trainer_state.json`): a list of objects with `step` and metrics, such as
`reward` (training) or one that a held-out benchmark logged. One noisy value above a threshold is not convergence, so
values are smoothed first, over a window that every result names.

    reached = first_reaching(history, "reward", threshold=2.5, window=5, samples_per_step=128)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reached:
    """Where a run first reaches a threshold."""

    step: int
    """Optimiser steps until the end of the first window whose mean is at least the threshold."""
    samples: int | None
    """Training samples until there; None where their number a step was not given."""
    value: float
    """Mean of that window."""
    window: int
    """Logged values that were averaged."""


def first_reaching(
    history: Sequence[Mapping[str, object]],
    metric: str,
    threshold: float,
    window: int,
    *,
    samples_per_step: int | None = None,
) -> Reached | None:
    """Return where the mean of the last `window` values of a metric is first at least a threshold.

    Args:
        history: Log entries in any order. Entries without the metric, and values that are not finite numbers, are left
            out; of entries with one step (a resumed run logs some twice), the last one counts.
        metric: Its key in the entries.
        threshold: In the metric's unit.
        window: Logged values to average, at least 1. A run with fewer values reaches nothing.
        samples_per_step: Completions (GRPO) or examples (SFT) that one optimiser step uses.

    Returns:
        None when the run never gets there.

    Raises:
        ValueError: `window` or `samples_per_step` is below 1.
    """
    if window < 1 or (samples_per_step is not None and samples_per_step < 1):
        raise ValueError(f"window {window} and samples_per_step {samples_per_step} must be at least 1")
    logged = _values(history, metric)
    for end in range(window, len(logged) + 1):
        mean = math.fsum(value for _, value in logged[end - window : end]) / window
        if mean >= threshold:
            step = logged[end - 1][0]
            return Reached(step, None if samples_per_step is None else step * samples_per_step, mean, window)
    return None


def _values(history: Sequence[Mapping[str, object]], metric: str) -> list[tuple[int, float]]:
    """Return steps with their value of the metric, by step."""
    values: dict[int, float] = {}
    for entry in history:
        step, value = entry.get("step"), entry.get(metric)
        if isinstance(step, int) and isinstance(value, int | float) and math.isfinite(value):
            values[step] = float(value)
    return sorted(values.items())
