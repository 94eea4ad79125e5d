"""Compare two runs on the same samples: the change, its interval, its p, and what change could have been seen.

The unit is the cluster, never the sample: two questions about one image rise and fall together. The interval comes from
a bootstrap of clusters, p from flipping the sign of whole clusters' changes by a fair coin (under no difference, which
run gave which answer is arbitrary), as (k + 1) / (draws + 1).

Few changes are little evidence, and a bootstrap cannot draw a change that was never seen. So each interval also reaches
t standard errors to each side. Their variance is the jackknife's over clusters (see `harness/intervals.py`), scaled by
1 + 2 / changed clusters: as if one cluster more had gone up and one more down (Bonett and Price, "Adjusted Wald
confidence interval for a difference of binomial proportions based on paired data", 2012). Where all changes were small
that adds next to nothing, so `UNSEEN` of a cluster that rose from bound to bound and of one that fell is added as well.
When nothing changed at all, or everything by the same amount, the rule of three answers: 3 / clusters to each side.
tests/bench/bench_intervals.py simulates how often the intervals hold the truth.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from harness.intervals import CONFIDENCE, UNSEEN, CodeArray, FloatArray, cluster_codes, effective_clusters, t_quantile
from harness.resampling import BOOTSTRAP_DRAWS, FLIP_DRAWS, bootstrap_sums, flipped_sums

FEWEST_CLUSTERS = 15
"""With fewer clusters p is that of an exact sign test: flips of so few signs leave too few different values."""

POWER = 0.8
"""Share of true changes as large as the minimum detectable effect that a two-sided test at 5 % finds."""

Combine: TypeAlias = Callable[[FloatArray], FloatArray]
"""A statistic of sums: draws x columns to one number per draw; unchanged when a row is multiplied by a number."""

_RULE_OF_THREE = 3.0
_ROUNDING = 1e-9
"""Sums that differ by less than this share of the observed one are equal but for rounding."""


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """How a score changed from run A to run B on the samples that both have. Fractions, not percent."""

    a_value: float
    """The score of A."""
    b_value: float
    """The score of B."""
    delta: float
    """b_value - a_value."""
    ci_low: float | None
    """Lower end of the 95 % interval of delta; None with fewer than two clusters."""
    ci_high: float | None
    """Upper end; None where `ci_low` is."""
    p: float | None
    """Two-sided p of no difference; of an exact sign test of clusters where `too_few`."""
    p_drop: float | None
    """One-sided p of no drop (small: B is worse than A), of the same test."""
    n: int
    """Units compared: samples, or for MMBench questions."""
    clusters: int
    """Independent clusters among them."""
    flips_down: int
    """Units that lost (for right-or-wrong values: right in A, wrong in B), McNemar's b."""
    flips_up: int
    """Units that gained, McNemar's c."""
    changed_clusters: int
    """Clusters whose sums differ between A and B at all."""
    error: float | None
    """Standard error of delta; None with fewer than two clusters."""
    mde: float | None
    """Least true change that a test on as many clusters finds with a power of 80 %; None with fewer than two."""
    mcnemar_p: float | None
    """McNemar's exact two-sided p for right-or-wrong values in clusters of one; None for all others."""
    seed: int
    """Fixed the draws."""
    draws: int
    """Sign flips drawn for p."""

    @property
    def too_few(self) -> bool:
        """Whether there are too few clusters to flip signs: p is an exact sign test's, and nothing can be ruled out."""
        return self.clusters < FEWEST_CLUSTERS

    def n_needed(self, change: float) -> int | None:
        """Return how many units would make `change` detectable; None where that cannot be said.

        Raises:
            ValueError: the change is not above 0.
        """
        if change <= 0:
            raise ValueError(f"a change of {change} cannot be detected: give one above 0")
        return None if self.mde is None else max(1, math.ceil(self.n * (self.mde / change) ** 2))


@dataclass(frozen=True, slots=True)
class PairedSums:
    """Two runs as sums per cluster, from which a statistic of each run is made."""

    a: FloatArray
    """Run A: clusters x columns."""
    b: FloatArray
    """Run B: clusters x columns."""
    combine: Combine
    """Makes the statistic of column sums."""
    span: float = 1.0
    """Greatest less least value that the statistic can have."""
    strata: CodeArray | None = None
    """A code per cluster, within which clusters are drawn; None draws from all alike."""
    sizes: FloatArray | None = None
    """Units in each cluster; None for as many in all."""

    @property
    def equal_clusters(self) -> float:
        """As how many clusters of equal size all of them weigh."""
        return float(len(self.a)) if self.sizes is None else effective_clusters(self.sizes)


@dataclass(frozen=True, slots=True)
class Units:
    """How many things the sums count, for the record."""

    n: int
    """Units compared."""
    flips_down: int
    """Units that lost."""
    flips_up: int
    """Units that gained."""
    mcnemar: bool = False
    """Whether McNemar's test applies: right-or-wrong values in clusters of one."""


def paired_difference(
    a: FloatArray,
    b: FloatArray,
    clusters: Sequence[str] | CodeArray,
    *,
    seed: int,
    draws: int = FLIP_DRAWS,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> PairedDifference:
    """Compare the means of two runs over the same samples.

    Args:
        a: One finite number per sample, of run A.
        b: The same samples' numbers of run B, in the same order.
        clusters: The cluster of each sample, as names or whole numbers.
        seed: Fixes the draws.
        draws: Sign flips for p; its least value is 1 / (draws + 1).
        bounds: Least and greatest value of a sample.

    Raises:
        ValueError: There are no samples, lengths differ, or a value is not finite.
    """
    if not len(a) == len(b) == len(clusters) or not len(a):
        raise ValueError(f"{len(a)} and {len(b)} values with {len(clusters)} clusters: give one of each per sample")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("values must be finite: leave out samples that either run could not score")
    codes = cluster_codes(clusters)
    sizes = np.bincount(codes).astype(np.float64)
    a_sums: FloatArray = np.column_stack([np.bincount(codes, weights=a).astype(np.float64), sizes])
    b_sums: FloatArray = np.column_stack([np.bincount(codes, weights=b).astype(np.float64), sizes])
    singles = len(sizes) == len(a)
    binary = bool(np.isin(a, bounds).all() and np.isin(b, bounds).all())
    return paired_statistic(
        PairedSums(a_sums, b_sums, mean_of_sums, span=bounds[1] - bounds[0], sizes=sizes),
        Units(len(a), int((b < a).sum()), int((b > a).sum()), mcnemar=singles and binary),
        seed=seed,
        draws=draws,
    )


def paired_statistic(sums: PairedSums, units: Units, *, seed: int, draws: int = FLIP_DRAWS) -> PairedDifference:
    """Compare a statistic of two runs that is made of sums over the same clusters.

    Args:
        sums: What each cluster adds in each run; at least one cluster, on which the statistic is defined.
        units: Counts for the record.
        seed: Fixes the draws.
        draws: Sign flips for p.

    Raises:
        ValueError: There is no cluster, shapes differ, or the statistic is not defined on the data.
    """
    if sums.a.shape != sums.b.shape or not len(sums.a):
        raise ValueError(f"sums of shapes {sums.a.shape} and {sums.b.shape}: give the same clusters for both runs")
    a_value = _value(sums.combine, sums.a)
    b_value = _value(sums.combine, sums.b)
    if not (math.isfinite(a_value) and math.isfinite(b_value)):
        raise ValueError("the statistic is not defined on the data: leave such a comparison out")
    delta = b_value - a_value
    clusters = len(sums.a)
    changed = int(np.any(sums.a != sums.b, axis=1).sum())
    error, low, high = _spread(sums, delta, changed, seed)
    if clusters >= FEWEST_CLUSTERS:
        p, p_drop = _p_values(sums, delta, seed, draws)
    else:
        p, p_drop = sign_test(sums.b - sums.a)
    return PairedDifference(
        a_value=a_value,
        b_value=b_value,
        delta=delta,
        ci_low=low,
        ci_high=high,
        p=p,
        p_drop=p_drop,
        n=units.n,
        clusters=clusters,
        flips_down=units.flips_down,
        flips_up=units.flips_up,
        changed_clusters=changed,
        error=error,
        mde=None if error is None else (_z((1 + CONFIDENCE) / 2) + _z(POWER)) * error,
        mcnemar_p=mcnemar_p(units.flips_down, units.flips_up) if units.mcnemar else None,
        seed=seed,
        draws=draws,
    )


def sign_test(changes: FloatArray) -> tuple[float, float]:
    """Return the exact two-sided p of a sign test of clusters, and the one-sided p of no drop.

    Each cluster counts as one that rose or fell by the sum of its columns; those without a change count for nothing.
    Exact at any number of clusters: with five that all fell p of no drop is 1/32. Both are 1 where nothing changed.
    """
    from scipy import special  # noqa: PLC0415 # pyright: ignore[reportMissingTypeStubs] - late, for a fast --help; untyped

    totals = changes.sum(axis=1)
    fell, rose = int((totals < -_ROUNDING).sum()), int((totals > _ROUNDING).sum())
    if not fell + rose:
        return 1.0, 1.0
    at_most = cast("Callable[[int, int, float], float]", special.bdtr)
    as_low = float(at_most(rose, fell + rose, 0.5))  # so many rises or fewer, among fair coins
    as_high = float(at_most(fell, fell + rose, 0.5))
    return min(1.0, 2.0 * min(as_low, as_high)), as_low


def mean_of_sums(sums: FloatArray) -> FloatArray:
    """Return first column / second column; NaN where the second is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return sums[:, 0] / sums[:, 1]


def mcnemar_p(flips_down: int, flips_up: int) -> float:
    """Return McNemar's exact two-sided p: how odd a split of the flips a fair coin would make; 1 without flips."""
    from scipy import special  # noqa: PLC0415 # pyright: ignore[reportMissingTypeStubs] - late, for a fast --help; untyped

    flips = flips_down + flips_up
    if not flips:
        return 1.0
    below = cast("Callable[[int, int, float], float]", special.bdtr)
    return min(1.0, 2.0 * float(below(min(flips_down, flips_up), flips, 0.5)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p adjusted for its family by Holm's step-down rule, in the order given; empty for an empty family."""
    ordered = sorted(range(len(p_values)), key=lambda place: p_values[place])
    adjusted = [0.0] * len(p_values)
    greatest = 0.0
    for rank, place in enumerate(ordered):
        greatest = max(greatest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = greatest
    return adjusted


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Return q values by Benjamini and Hochberg's step-up rule, in the order given; empty for an empty family."""
    ordered = sorted(range(len(p_values)), key=lambda place: p_values[place])
    adjusted = [0.0] * len(p_values)
    least = 1.0
    for rank in range(len(ordered), 0, -1):
        place = ordered[rank - 1]
        least = min(least, len(p_values) / rank * p_values[place])
        adjusted[place] = least
    return adjusted


def _value(combine: Combine, rows: FloatArray) -> float:
    return float(combine(rows.sum(axis=0, keepdims=True))[0])


def _spread(sums: PairedSums, delta: float, changed: int, seed: int) -> tuple[float | None, float | None, float | None]:
    """Return the standard error of delta and the ends of its interval; None each with fewer than two clusters."""
    clusters = len(sums.a)
    strata = 1 if sums.strata is None else len(np.unique(sums.strata))
    smallest = clusters if sums.strata is None else int(np.unique(sums.strata, return_counts=True)[1].min())
    if smallest < 2:
        return None, None, None
    if not changed:
        return _without_spread(delta, clusters, sums.span)
    variance = _jackknife_variance(sums)
    if not math.isfinite(variance):
        return None, None, None
    columns = sums.a.shape[1]
    drawn = bootstrap_sums(np.hstack([sums.a, sums.b]), seed=seed, draws=BOOTSTRAP_DRAWS, strata=sums.strata)
    changes = sums.combine(drawn[:, columns:]) - sums.combine(drawn[:, :columns])
    changes = changes[np.isfinite(changes)]
    if len(changes) < BOOTSTRAP_DRAWS // 2:
        return None, None, None
    if float(np.ptp(changes)) <= _ROUNDING * sums.span:
        return _without_spread(delta, clusters, sums.span)
    # Of a cluster that rose from bound to bound, and of one that fell: (span - delta)^2 + (span + delta)^2.
    unseen = UNSEEN * 2 * (sums.span**2 + delta**2) / sums.equal_clusters**2
    error = math.sqrt(variance * (1 + 2 / changed) + unseen)
    t = t_quantile(max(sums.equal_clusters - strata, 1.0))
    tail = NormalDist().cdf(-t)
    low, high = (float(end) for end in np.quantile(changes, [tail, 1 - tail]))
    low, high = min(low, delta - t * error), max(high, delta + t * error)
    return error, max(low, -sums.span), min(high, sums.span)


def _jackknife_variance(sums: PairedSums) -> float:
    """Return the variance of delta from leaving out each cluster in turn; NaN where delta then is not defined."""
    codes = np.zeros(len(sums.a), dtype=np.int64) if sums.strata is None else cluster_codes(sums.strata)
    sizes = np.bincount(codes)
    changes = sums.combine(sums.b.sum(axis=0) - sums.b) - sums.combine(sums.a.sum(axis=0) - sums.a)
    means = np.bincount(codes, weights=changes) / sizes
    squares = np.bincount(codes, weights=(changes - means[codes]) ** 2)
    return float(((sizes - 1) / sizes * squares).sum())


def _without_spread(delta: float, clusters: int, span: float) -> tuple[float, float, float]:
    """Return error and interval of a change that no cluster contradicts: what was not seen is rare, not impossible."""
    reach = _RULE_OF_THREE * span / clusters
    return math.sqrt(2) * span / clusters, max(delta - reach, -span), min(delta + reach, span)


def _p_values(sums: PairedSums, delta: float, seed: int, draws: int) -> tuple[float, float]:
    """Return the two-sided p of no difference and the one-sided p of no drop."""
    both = (sums.a + sums.b).sum(axis=0)
    flipped = flipped_sums(sums.b - sums.a, seed=seed, draws=draws)
    # Under flipped signs the runs swap a cluster: A has (a + b - s (b - a)) / 2 of it, B the rest.
    changes = _defined(sums.combine((both + flipped) / 2) - sums.combine((both - flipped) / 2))
    slack = _ROUNDING * max(abs(delta), sums.span * _ROUNDING)
    two_sided = int((np.abs(changes) >= abs(delta) - slack).sum())
    as_low = int((changes <= delta + slack).sum())
    return (two_sided + 1) / (draws + 1), (as_low + 1) / (draws + 1)


def _defined(changes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the changes with 0 for a draw that leaves a run without a value: it says nothing for a difference."""
    return np.where(np.isfinite(changes), changes, 0.0)


def _z(share: float) -> float:
    return NormalDist().inv_cdf(share)
