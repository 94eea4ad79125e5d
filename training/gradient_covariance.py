"""What per-prompt policy gradients say about noise: covariance trace, noise-to-signal, changes of them, with intervals.

Plain arithmetic on arrays; `training/variance_probe.py` makes the gradients. With M prompts whose gradients are
g_1..g_M (independent: no two share an image), everything follows from their inner products:

- signal: the mean of g_p·g_q over all pairs of different prompts, the unbiased estimate of the squared length of the
  expected gradient. (It equals |mean|² - trace / M.) It can be negative, and then there is no ratio to show.
- trace: the mean of |g_p|² less the signal, the usual unbiased trace of the covariance.
- noise-to-signal: trace / signal: with so many prompts in a step, noise and signal are equally long.

Intervals are percentiles of a bootstrap over prompts, the same draws for all reward sets, so that changes are paired.
A prompt that is drawn twice is never paired with itself: such a pair would put its noise back into the signal, and the
draws of a weak signal would lie far above the estimate. What a ratio does where its denominator is not above zero is
counted as unbounded, so an interval can have no upper end; an end is never made up.

In simulations with gradients as uneven as those of a trained policy (half of the groups dead), 92 to 100 % of the
intervals held the truth: those of a weak signal are wider than they need be, as products of noise with noise are
counted up to three times. Where a prompt in a hundred carries most of the trace, only about 80 % did.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from harness.intervals import mean_interval
from training.gradient_noise import noise_to_signal

FloatArray: TypeAlias = NDArray[np.float64]
"""Real numbers."""

ScaleRewards: TypeAlias = Literal["group", "none"]
"""TRL's `scale_rewards`: whether the advantages of a group are divided by its standard deviation."""

RESAMPLES = 2_000
"""Bootstrap draws."""
FEWEST_RESAMPLES = 1_000
"""With fewer draws the ends of an interval are themselves noise."""
FEWEST_PROMPTS = 50
"""With fewer prompts the signal is nearly always lost in the noise, and a bootstrap says little."""
STD_EPSILON = 1e-4
"""What TRL adds to a group's standard deviation (GRPOTrainer._generate_and_score_completions)."""
_DEAD_STD = 1e-8
"""Spread below which TRL counts a group as dead (torch.isclose with 0)."""
_TAIL = 0.025
_DRAWS_AT_ONCE = 250


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95 % interval, or the reason why there is none."""

    value: float | None
    """The estimate; None where the data do not give one."""
    ci_low: float | None = None
    """Lower end; None where nothing bounds it."""
    ci_high: float | None = None
    """Upper end; None where nothing bounds it."""
    reason: str = ""
    """Why a number or an end is missing; empty when none is."""


@dataclass(frozen=True, slots=True)
class RewardFigures:
    """What one reward set does to the gradient."""

    trace: Estimate
    """Trace of the covariance of a prompt's gradient, over all trainable coordinates."""
    signal: Estimate
    """Squared length of the expected gradient, the noise taken out; unbiased, so it can be negative."""
    noise_to_signal: Estimate
    """trace / signal."""
    dead_share: Estimate
    """Share of prompts whose completions all earn the same: they teach nothing."""
    mean_reward: Estimate
    """Mean summed reward of a completion."""


@dataclass(frozen=True, slots=True)
class Changes:
    """How one reward set differs from the baseline on the same rollouts; paired."""

    trace: Estimate
    """Ratio of the traces less 1: -0.27 is 27 % less."""
    noise_to_signal: Estimate
    """Ratio of the noise-to-signal ratios less 1."""
    dead_share: Estimate
    """Difference of the shares."""


@dataclass(frozen=True, slots=True)
class PromptGradients:
    """Gradients of all prompts under one reward set."""

    gradients: NDArray[np.float32]
    """Prompts x watched coordinates."""
    scale: float
    """Brings sums of squares over the watched coordinates to all of them."""
    rewards: FloatArray
    """Prompts x completions: summed rewards."""
    dead: NDArray[np.bool_]
    """Per prompt: whether its group is dead."""


def group_advantages(rewards: FloatArray, scale_rewards: ScaleRewards) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Return the advantages (prompts x completions) and which groups are dead, as TRL's `sum_then_normalize` does.

    Dead groups get exactly 0, where rounding would leave them 1e-13.
    """
    centred = rewards - rewards.mean(axis=1, keepdims=True)
    spread = rewards.std(axis=1, ddof=1, keepdims=True)
    dead = spread[:, 0] <= _DEAD_STD
    advantages = centred / (spread + STD_EPSILON) if scale_rewards == "group" else centred
    advantages[dead] = 0.0
    return advantages, dead


def compare_reward_sets(
    sets: Mapping[str, PromptGradients], baseline: str, *, seed: int, resamples: int = RESAMPLES
) -> dict[str, tuple[RewardFigures, Changes | None]]:
    """Return the figures of every reward set, and its changes against the baseline (None for the baseline itself).

    Args:
        sets: By name; all over the same prompts in the same order, at least `FEWEST_PROMPTS` of them.
        baseline: Name of one of them.
        seed: Of the bootstrap.
        resamples: Bootstrap draws, at least 1,000.

    Raises:
        ValueError: too few prompts or draws, or sets of different lengths.
    """
    prompts = {len(item.gradients) for item in sets.values()}
    if len(prompts) != 1 or min(prompts) < FEWEST_PROMPTS or resamples < FEWEST_RESAMPLES:
        raise ValueError(
            f"{sorted(prompts)} prompts and {resamples} draws: every set needs the same prompts, at least "
            f"{FEWEST_PROMPTS}, and {FEWEST_RESAMPLES} draws"
        )
    count = prompts.pop()
    moments = {name: _moments(item, count, seed, resamples) for name, item in sets.items()}
    return {
        name: (
            _figures(item, moments[name]),
            None if name == baseline else _changes(item, moments[name], sets[baseline], moments[baseline]),
        )
        for name, item in sets.items()
    }


@dataclass(frozen=True, slots=True)
class _Moments:
    """Trace and signal, of the data and of every draw."""

    trace: float
    signal: float
    trace_drawn: FloatArray
    signal_drawn: FloatArray


def _moments(item: PromptGradients, count: int, seed: int, resamples: int) -> _Moments:
    """Compute trace and signal on the data and on bootstrap draws of prompts."""
    gradients = item.gradients.astype(np.float64)
    products = gradients @ gradients.T * item.scale
    trace, signal = _trace_and_signal(products, np.ones((1, count)))
    drawn = [_trace_and_signal(products, counts) for counts in _draws(count, seed, resamples)]
    return _Moments(
        float(trace[0]),
        float(signal[0]),
        np.concatenate([trace for trace, _ in drawn]),
        np.concatenate([signal for _, signal in drawn]),
    )


def _trace_and_signal(products: FloatArray, counts: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return both for each row of counts (draws x prompts: how often each prompt is in the draw)."""
    squares = np.diag(products)
    total = counts.sum(axis=1)
    pairs = total**2 - (counts**2).sum(axis=1)
    signal = (((counts @ products) * counts).sum(axis=1) - (counts**2) @ squares) / pairs
    return counts @ squares / total - signal, signal


def _draws(count: int, seed: int, resamples: int) -> Iterator[FloatArray]:
    """Yield how often each prompt is drawn, `resamples` draws of `count` prompts in all, in slices."""
    rng = np.random.default_rng(seed)
    chances = np.full(count, 1 / count)
    for start in range(0, resamples, _DRAWS_AT_ONCE):
        yield rng.multinomial(count, chances, size=min(_DRAWS_AT_ONCE, resamples - start)).astype(np.float64)


def _figures(item: PromptGradients, moments: _Moments) -> RewardFigures:
    """Return the figures of one reward set."""
    prompts = np.arange(len(item.dead))
    dead = item.dead.astype(np.float64)
    dead_interval = mean_interval(dead, prompts)
    means = item.rewards.mean(axis=1)
    low, high = _least_and_most(item.rewards)
    reward_interval = mean_interval(means, prompts, bounds=(low, high)) if low < high else None
    alive = not item.dead.all()
    nothing = "every group is dead: there is no gradient"
    return RewardFigures(
        trace=_percentiles(moments.trace, moments.trace_drawn) if alive else Estimate(0.0, reason=nothing),
        signal=_percentiles(moments.signal, moments.signal_drawn) if alive else Estimate(0.0, reason=nothing),
        noise_to_signal=_ratio(moments) if alive else Estimate(None, reason=nothing),
        dead_share=Estimate(
            float(dead.mean()),
            dead_interval.low if dead_interval else None,
            dead_interval.high if dead_interval else None,
        ),
        mean_reward=Estimate(
            float(means.mean()),
            reward_interval.low if reward_interval else None,
            reward_interval.high if reward_interval else None,
            "" if reward_interval else "every completion earns the same",
        ),
    )


def _least_and_most(rewards: FloatArray) -> tuple[float, float]:
    """Return the range of the rewards that were earned."""
    return float(rewards.min()), float(rewards.max())


def _percentiles(value: float, drawn: FloatArray) -> Estimate:
    """Return the percentile interval, stretched to hold the estimate."""
    low, high = _ends(drawn, drawn)
    return Estimate(value, min(low, value), max(high, value))


def _ends(low_drawn: FloatArray, high_drawn: FloatArray) -> tuple[float, float]:
    """Return the outer percentiles; actual draws, because between a number and infinity nothing can be interpolated."""
    return (
        float(np.quantile(low_drawn, _TAIL, method="lower")),
        float(np.quantile(high_drawn, 1 - _TAIL, method="higher")),
    )


def _ratio(moments: _Moments) -> Estimate:
    """Return noise-to-signal. The bootstrap is of its inverse, which passes through zero without a jump."""
    value = noise_to_signal(moments.trace, moments.signal)
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = moments.signal_drawn / moments.trace_drawn
    undefined = np.isnan(inverse)  # a draw of dead groups only says nothing, so it bounds nothing
    low, high = _ends(np.where(undefined, -np.inf, inverse), np.where(undefined, np.inf, inverse))
    ci_low = 1 / high if high > 0 else None
    ci_high = 1 / low if low > 0 else None
    if value is None:
        return Estimate(None, ci_low, None, "no signal is left above the noise: take more prompts")
    ci_low = None if ci_low is None else min(ci_low, value)
    if ci_high is None:
        return Estimate(value, ci_low, None, "the signal cannot be told from 0: no upper end; take more prompts")
    return Estimate(value, ci_low, max(ci_high, value))


def _changes(item: PromptGradients, moments: _Moments, base: PromptGradients, base_moments: _Moments) -> Changes:
    """Return the paired changes against the baseline."""
    dead = item.dead.astype(np.float64) - base.dead.astype(np.float64)
    interval = mean_interval(dead, np.arange(len(dead)), bounds=(-1.0, 1.0))
    dead_change = Estimate(float(dead.mean()), interval.low if interval else None, interval.high if interval else None)
    if base.dead.all():
        nothing = Estimate(None, reason="every group of the baseline is dead: there is nothing to compare with")
        return Changes(nothing, nothing, dead_change)
    with np.errstate(divide="ignore", invalid="ignore"):
        trace_drawn = moments.trace_drawn / base_moments.trace_drawn - 1
    trace = _bounded(moments.trace / base_moments.trace - 1, trace_drawn, trace_drawn)
    return Changes(trace, _ratio_change(moments, base_moments), dead_change)


def _ratio_change(moments: _Moments, base: _Moments) -> Estimate:
    """Return the change of noise-to-signal.

    Draws in which a signal is not above zero stand for every value that they could have: any at all where both are
    gone, without bound where only this one is, -100 % where only the baseline's is.
    """
    ours, theirs = (noise_to_signal(item.trace, item.signal) for item in (moments, base))
    value = None if ours is None or theirs is None else ours / theirs - 1
    alive, base_alive = moments.signal_drawn > 0, base.signal_drawn > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = (moments.trace_drawn * base.signal_drawn) / (moments.signal_drawn * base.trace_drawn) - 1
    low_drawn = np.where(alive & base_alive, ratio, np.where(alive | ~base_alive, -1.0, np.inf))
    high_drawn = np.where(alive & base_alive, ratio, np.where(alive & ~base_alive, -1.0, np.inf))
    if value is None:
        return Estimate(None, reason="a signal is not above its noise: take more prompts")
    return _bounded(value, low_drawn, high_drawn)


def _bounded(value: float, low_drawn: FloatArray, high_drawn: FloatArray) -> Estimate:
    """Return the interval of a change; an end that is infinite, or that no draw defines, is missing."""
    # Not np.nan_to_num, which would turn infinity into the largest float, an end that looks like a number.
    low, high = _ends(
        np.where(np.isnan(low_drawn), -1.0, low_drawn), np.where(np.isnan(high_drawn), np.inf, high_drawn)
    )
    ci_high = max(high, value) if np.isfinite(high) else None
    reason = "" if ci_high is not None else "a signal cannot be told from 0: no upper end; take more prompts"
    return Estimate(value, min(low, value), ci_high, reason)


def describe_claim(change: Estimate, claimed: float) -> str:
    """Return what an interval says about a claimed change, such as -0.27: a sentence without a number of its own.

    A change whose interval holds 0 is not called a rise or a fall.
    """
    if change.value is None:
        return f"not measurable ({change.reason})"
    low = -np.inf if change.ci_low is None else change.ci_low
    high = np.inf if change.ci_high is None else change.ci_high
    direction = "falls" if high < 0 else "rises" if low > 0 else "no change can be told"
    place = "is inside the interval" if low <= claimed <= high else "is outside the interval"
    return f"{direction}; {claimed * 100:+.0f} % {place}"


def sum_components(components: Mapping[str, FloatArray], names: Sequence[str]) -> FloatArray:
    """Return the summed rewards (prompts x completions) of the named components, equal weights."""
    return np.sum([components[name] for name in names], axis=0)
