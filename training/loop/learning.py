"""Read from training logs how arms learned: when they reached a reward, how many groups were dead, how noisy it was.

These are training figures: the answer reward of sampled completions on prompts that were not seen before, while the
policy moves. They say how fast, not how well: that is for the benchmarks.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.loop.convergence import first_reaching
from training.stages.gradient_noise import noise_to_signal
from training.stages.train import LOG_NAME

WATCHED = "rewards/answer/mean"
"""The training metric that every arm has."""
WINDOW = 20
"""Logged steps that are averaged."""


@dataclass(frozen=True, slots=True)
class Learning:
    """How one reinforcement learning stage went."""

    run: str
    """Run name, such as `satori-grpo`."""
    metric: str
    """What is watched."""
    threshold: float | None
    """Half of the first arm's own gain in the metric, the same value for all arms; None where its log shows no gain."""
    window: int
    """Logged steps that are averaged."""
    reached_step: int | None
    """Optimiser steps until the mean of a window is at least the threshold; None when it never is, or there is none."""
    reached_completions: int | None
    """Completions sampled until then."""
    dead_groups: float | None
    """Mean share of groups whose completions all earn the same, as TRL logs it; None where it is not logged."""
    noise_to_signal: float | None
    """In-training micro-batch noise: mean variance over mean squared signal; None when no signal stands above it."""


def learning_of(logs: Mapping[str, Path], completions_per_step: Mapping[str, int]) -> tuple[Learning, ...]:
    """Return how stages went, the first one setting the threshold; empty without stages.

    Args:
        logs: Checkpoint folder by run name, the first arm first.
        completions_per_step: Completions of one optimiser step, by run name.
    """
    histories = {run: _history(folder) for run, folder in logs.items()}
    first = next(iter(histories.values()), [])
    watched = [float(entry[WATCHED]) for entry in first if isinstance(entry.get(WATCHED), int | float)]
    if len(watched) < 2 * WINDOW:
        return ()
    begun, ended = _mean(watched[:WINDOW]), _mean(watched[-WINDOW:])
    # half-way up a hill that is not there would be "reached" at once
    threshold = (begun + ended) / 2 if ended > begun else None
    found: list[Learning] = []
    for run, history in histories.items():
        per_step = completions_per_step[run]
        reached = (
            None
            if threshold is None
            else first_reaching(history, WATCHED, threshold, WINDOW, samples_per_step=per_step)
        )
        variance, signal = _column(history, "gradient_noise/variance"), _column(history, "gradient_noise/signal")
        dead = _column(history, "frac_reward_zero_std")
        found.append(
            Learning(
                run=run,
                metric=WATCHED,
                threshold=threshold,
                window=WINDOW,
                reached_step=None if reached is None else reached.step,
                reached_completions=None if reached is None else reached.samples,
                dead_groups=_mean(dead) if dead else None,
                noise_to_signal=noise_to_signal(_mean(variance), _mean(signal)) if variance and signal else None,
            )
        )
    return tuple(found)


def learning_markdown(found: Sequence[Learning]) -> list[str]:
    """Return the figures as lines of Markdown; empty without any."""
    if not found:
        return []
    first = found[0]
    lines = [
        "",
        "## How they learned (training figures)",
        "",
        _explained(first),
        "",
        "| run | steps | completions | dead groups | noise / signal |",
        "|---|---:|---:|---:|---:|",
    ]
    for item in found:
        never = "–" if item.threshold is None else "never"
        steps = never if item.reached_step is None else str(item.reached_step)
        completions = "–" if item.reached_completions is None else str(item.reached_completions)
        dead = "–" if item.dead_groups is None else f"{100 * item.dead_groups:.1f} %"
        noise = "no signal above noise" if item.noise_to_signal is None else f"{item.noise_to_signal:.1f}"
        lines.append(f"| {item.run} | {steps} | {completions} | {dead} | {noise} |")
    return lines


def _explained(first: Learning) -> str:
    """Say what the table's figures are."""
    if first.threshold is None:
        reached = (
            f"{first.run}'s log shows no gain in its answer reward between its first and last {first.window} steps, so "
            "there is no level to reach."
        )
    else:
        reached = (
            f"Answer reward of sampled completions, mean of {first.window} steps, first at or above "
            f"{100 * first.threshold:.1f} % (half of {first.run}'s own gain)."
        )
    return (
        f"{reached} Noise to signal is the in-training kind: the spread of the micro-batches of one step, while the "
        "policy moves; `variance-probe` compares rewards with the policy held still."
    )


def _history(folder: Path) -> list[dict[str, Any]]:
    """Read a stage's training log."""
    return json.loads((folder / LOG_NAME).read_text(encoding="utf-8"))


def _column(history: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    """Return the logged numbers of a metric."""
    return [float(entry[name]) for entry in history if isinstance(entry.get(name), int | float)]


def _mean(values: Sequence[float]) -> float:
    """Return the mean of at least one value."""
    return math.fsum(values) / len(values)
