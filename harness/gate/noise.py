"""Measure how much one checkpoint's scores move between two runs: the A/A noise floor that a gate must not go below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from harness.comparison.values import DIRECTIONS, Benchmark, Comparison, SampleTable
from harness.errors import ConfigError, IncompleteError
from harness.gate.policy import NOISE_SCHEMA
from harness.stats.intervals import CONFIDENCE, wilson_interval
from harness.stats.paired import FEWEST_CLUSTERS
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
    clusters: int
    """Independent clusters among them."""
    changed_clusters: int
    """Clusters in which any score moved; with none the floor is what so few clusters cannot rule out."""
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
    delta_points: float
    """The same in points (percent of the metric's range)."""
    floor_points: float | None
    """Points (percent of the metric's range) that 95 % of such repetitions stay within; None with too little data."""

    @property
    def note(self) -> str:
        """What a reader must know of the floor; empty where it was measured."""
        if self.floor_points is None:
            return (
                f"{self.task} has no floor: too few clusters ({self.clusters}; at least {FEWEST_CLUSTERS}, and two in "
                "each part of its score)"
            )
        if not self.changed_clusters:
            return (
                f"{self.task}: no score moved, so its floor of {self.floor_points:.2f} points was not measured: it is "
                f"what {self.clusters:,} clusters cannot rule out; more samples lower it"
            )
        if abs(self.delta_points) > self.floor_points:
            return (
                f"{self.task}: the runs differ by {self.delta_points:+.2f} points, beyond the floor that their flips "
                "give: 19 of 20 pairs of runs of one checkpoint do not; make sure that these are"
            )
        return ""


@dataclass(frozen=True, slots=True)
class Noise:
    """How one checkpoint's scores move between two runs."""

    tasks: tuple[TaskNoise, ...]
    """Every benchmark that both runs share and score."""
    notes: tuple[str, ...]
    """What a reader must know, such as a benchmark that could not be measured."""


def measure_noise(comparison: Comparison) -> Noise:
    """Return the noise of each benchmark that both runs share and score.

    Raises:
        ConfigError: The two runs are not of the same weights, or are one run under two protocols.
        IncompleteError: They are not comparable, or share no scored sample.
    """
    pair = comparison.pairs[0]
    sides = [comparison.sides[side] for side in (pair.a, pair.b)]
    one, other = (side.runs[0] for side in sides)
    if sides[0].shares_a_run(sides[1]):
        raise ConfigError(
            f"both are the run {one.name}, whose texts cannot differ: noise is measured between two runs of one "
            "checkpoint under one protocol; run it again"
        )
    # The hash in a run of predictions made elsewhere is that of their file, not of any weights.
    unseen = [run.name for run in (one, other) if run.predictions_only or not run.weights]
    if not unseen and one.weights != other.weights:
        raise ConfigError(
            f"{one.name} and {other.name} are of different weights: noise is measured between two runs of one "
            "checkpoint"
        )
    if not pair.comparability.comparable:
        raise IncompleteError(
            f"{one.name} and {other.name} cannot be compared: {'; '.join(pair.comparability.reasons)}"
        )
    measured = [_task_noise(benchmark, pair.samples) for benchmark in pair.benchmarks]
    found = tuple(noise for noise in measured if isinstance(noise, TaskNoise))
    missing = [noise for noise in measured if isinstance(noise, str)]
    if not found:
        why = "; ".join(missing) or "they share no task"
        raise IncompleteError(f"{one.name} and {other.name} share nothing to measure: {why}")
    notes = [_unseen_note(unseen)] if unseen else []
    notes += [*pair.comparability.notes, *missing, *(row.note for row in found if row.note)]
    return Noise(found, tuple(notes))


def _unseen_note(names: Sequence[str]) -> str:
    return (
        f"the weights behind {' and '.join(names)} cannot be seen: that both runs are of one checkpoint is taken on "
        "your word; what two different ones differ by is no noise"
    )


def _task_noise(benchmark: Benchmark, samples: SampleTable) -> TaskNoise | str:
    """Return a benchmark's noise, or why there is none."""
    difference = benchmark.headline.difference
    directions = samples.directions[samples.of_task(benchmark.task)]
    n = int((directions != DIRECTIONS.index("unscored")).sum())
    if difference is None or not n:
        # A headline of whole questions can have a change although no single sample is scored in both runs.
        reason = benchmark.headline.reason or "no sample is scored in both runs"
        return f"{benchmark.task} is not measured: {reason}"
    flips = int(np.isin(directions, [DIRECTIONS.index("lost"), DIRECTIONS.index("gained")]).sum())
    interval = wilson_interval(flips / n, n)
    reach = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    error = None if difference.too_few else difference.error
    return TaskNoise(
        task=benchmark.task,
        metric=benchmark.headline.metric,
        n=n,
        clusters=difference.clusters,
        changed_clusters=difference.changed_clusters,
        flips=flips,
        flip_rate=flips / n,
        flip_rate_low=interval.low,
        flip_rate_high=interval.high,
        delta=difference.delta,
        delta_points=100 * difference.delta / benchmark.headline.span,
        floor_points=None if error is None else 100 * reach * error / benchmark.headline.span,
    )


def noise_to_json(comparison: Comparison, noise: Noise) -> dict[str, Json]:
    """Return the versioned object of `noise --json`, which a gate's policy can name."""
    return {
        "schema": NOISE_SCHEMA,
        "runs": [run.name for run in comparison.runs],
        "tasks": {
            row.task: {
                "metric": row.metric,
                "n": row.n,
                "clusters": row.clusters,
                "changed_clusters": row.changed_clusters,
                "flips": row.flips,
                "flip_rate": row.flip_rate,
                "flip_rate_low": row.flip_rate_low,
                "flip_rate_high": row.flip_rate_high,
                "delta": row.delta,
                "delta_points": row.delta_points,
                "floor_points": row.floor_points,
            }
            for row in noise.tasks
        },
        "notes": list(noise.notes),
    }
