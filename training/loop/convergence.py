"""Counts the steps and samples that training takes to reach a given reward, from log histories.

A history is transformers' `log_history` (`trainer_state.json`): a list of objects with `step` and metrics, such as
`reward` (training) or one that a held-out benchmark logged. One noisy value above a threshold is not convergence, so
values are smoothed first, over a window that every result names.

    reached = first_reaching(history, "reward", threshold=2.5, window=5, samples_per_step=128)
    over_seeds = reaching_over_seeds([first, second, third], "reward", threshold=2.5, window=5)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_TAIL = 0.025


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


@dataclass(frozen=True, slots=True)
class ReachedOverSeeds:
    """When the middle one of several runs reaches a threshold. A run that never does counts as later than any."""

    median_step: int | None
    """Steps of the middle run (the lower of two middle ones); None when it never gets there."""
    ci_low: int | None
    """Lower end of the 95 % bootstrap interval over runs; None when even that one never gets there."""
    ci_high: int | None
    """Upper end; None when that one never gets there."""
    coverage_at_most: float
    """The largest probability with which any interval between runs can hold the true median: 0.75 with three runs."""
    runs: int
    """Number of runs."""
    reached: int
    """Runs that get there."""
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


def reaching_over_seeds(
    histories: Sequence[Sequence[Mapping[str, object]]], metric: str, threshold: float, window: int
) -> ReachedOverSeeds:
    """Return when the middle one of several runs (seeds) reaches a threshold, with an interval.

    The interval is the percentile interval of a bootstrap over runs, computed exactly and not by drawing: the median
    of n draws is at most the k-th smallest run when at least half of the draws are among the k smallest.

    Args:
        histories: One per run, at least one.
        metric: As in `first_reaching`.
        threshold: As in `first_reaching`.
        window: As in `first_reaching`.

    Raises:
        ValueError: there are no runs, or `window` is below 1.
    """
    if not histories:
        raise ValueError("no runs: give one history per seed")
    found = [first_reaching(history, metric, threshold, window) for history in histories]
    steps = sorted(math.inf if reached is None else reached.step for reached in found)
    count, middle = len(steps), (len(steps) + 1) // 2
    at_most = [_chance_of_at_least(middle, count, rank / count) for rank in range(1, count + 1)]
    low = next(rank for rank, chance in enumerate(at_most) if chance > _TAIL)
    high = next(rank for rank, chance in enumerate(at_most) if chance >= 1 - _TAIL)
    return ReachedOverSeeds(
        median_step=_finite(steps[middle - 1]),
        ci_low=_finite(steps[low]),
        ci_high=_finite(steps[high]),
        coverage_at_most=1 - 2 ** (1 - count),
        runs=count,
        reached=sum(reached is not None for reached in found),
        window=window,
    )


def _values(history: Sequence[Mapping[str, object]], metric: str) -> list[tuple[int, float]]:
    """Return steps with their value of the metric, by step."""
    values: dict[int, float] = {}
    for entry in history:
        step, value = entry.get("step"), entry.get(metric)
        if isinstance(step, int) and isinstance(value, int | float) and math.isfinite(value):
            values[step] = float(value)
    return sorted(values.items())


def _chance_of_at_least(successes: int, trials: int, chance: float) -> float:
    """Return the probability of at least so many successes in independent trials."""
    return math.fsum(
        math.comb(trials, k) * chance**k * (1 - chance) ** (trials - k) for k in range(successes, trials + 1)
    )


def _finite(step: float) -> int | None:
    """Return a step, or None for never."""
    return int(step) if math.isfinite(step) else None
