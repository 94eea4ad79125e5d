"""Measure how much one checkpoint's scores move between two runs: the A/A noise floor that a gate must not go below."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from harness.comparison import DIRECTIONS, Benchmark, Comparison, SampleTable
from harness.errors import ConfigError, IncompleteError
from harness.gate_policy import NOISE_SCHEMA
from harness.intervals import CONFIDENCE, wilson_interval
from harness.values import Json


@dataclass(frozen=True, slots=True)
class TaskNoise:
    """How one benchmark moves between two runs of one checkpoint."""

    task: str
    """Short task name."""
    metric: str
    """Its headline metric."""
    n: int
    """Samples that both runs scored."""
    flips: int
    """Samples whose answer turned right or wrong."""
    flip_rate: float
    """flips / n."""
    flip_rate_low: float
    """Lower end of the flip rate's 95 % interval (Wilson)."""
    flip_rate_high: float
    """Upper end."""
    delta: float
    """The second run's score less the first's, in the metric's own unit."""
    floor_points: float | None
    """Points (percent of the metric's range) that 95 % of such repetitions stay within; None with too little data."""


def measure_noise(comparison: Comparison) -> tuple[TaskNoise, ...]:
    """Return the noise of each benchmark that both runs share and score.

    Raises:
        ConfigError: The two runs are not of the same weights.
        IncompleteError: They are not comparable, or share no scored sample.
    """
    pair = comparison.pairs[0]
    one, other = (comparison.sides[side].runs[0] for side in (pair.a, pair.b))
    if one.weights and other.weights and one.weights != other.weights:
        raise ConfigError(
            f"{one.name} and {other.name} are of different weights: noise is measured between two runs of one "
            "checkpoint"
        )
    if not pair.comparability.comparable:
        raise IncompleteError(
            f"{one.name} and {other.name} cannot be compared: {'; '.join(pair.comparability.reasons)}"
        )
    measured = [_task_noise(benchmark, pair.samples) for benchmark in pair.benchmarks]
    found = tuple(noise for noise in measured if noise is not None)
    if not found:
        raise IncompleteError(f"{one.name} and {other.name} share no sample that both could score")
    return found


def _task_noise(benchmark: Benchmark, samples: SampleTable) -> TaskNoise | None:
    difference = benchmark.headline.difference
    if difference is None:
        return None
    directions = samples.directions[samples.tasks == samples.task_names.index(benchmark.task)]
    n = int((directions != DIRECTIONS.index("unscored")).sum())
    flips = int(np.isin(directions, [DIRECTIONS.index("lost"), DIRECTIONS.index("gained")]).sum())
    interval = wilson_interval(flips / n, n)
    reach = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    return TaskNoise(
        task=benchmark.task,
        metric=benchmark.headline.metric,
        n=n,
        flips=flips,
        flip_rate=flips / n,
        flip_rate_low=interval.low,
        flip_rate_high=interval.high,
        delta=difference.delta,
        floor_points=None if difference.error is None else 100 * reach * difference.error / benchmark.headline.span,
    )


def noise_to_json(comparison: Comparison, noise: tuple[TaskNoise, ...]) -> dict[str, Json]:
    """Return the versioned object of `noise --json`, which a gate's policy can name."""
    return {
        "schema": NOISE_SCHEMA,
        "runs": [run.name for run in comparison.runs],
        "tasks": {
            row.task: {
                "metric": row.metric,
                "n": row.n,
                "flips": row.flips,
                "flip_rate": row.flip_rate,
                "flip_rate_low": row.flip_rate_low,
                "flip_rate_high": row.flip_rate_high,
                "delta": row.delta,
                "floor_points": row.floor_points,
            }
            for row in noise
        },
    }
