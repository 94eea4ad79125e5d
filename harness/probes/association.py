"""How two columns go together: raw, and within strata, since what is easy is often also well attended.

Questions about pictures with one object are easy, and their regions take all attention there is: without strata a
density "predicts" that an answer is right where it knows nothing of the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.stats.intervals import Interval, cluster_codes

DRAWS = 500
"""Bootstrap draws of whole clusters."""
_LEAST = 8
"""Fewer samples say nothing."""
_TAIL = 0.025

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Association:
    """How a number goes with another."""

    raw: float | None
    """Over all samples; None where it is not defined."""
    raw_interval: Interval | None
    """95 %, over whole clusters; None where all draws give the same."""
    within: float | None
    """Within strata; None where no stratum has two samples to compare."""
    within_interval: Interval | None
    """The same."""
    n: int
    """Samples."""


def auc_of(
    values: Sequence[float], is_right: Sequence[bool], strata: Sequence[str], clusters: Sequence[str], *, seed: int
) -> Association:
    """Return how often a right answer has the larger value, ties half: 0.5 says nothing, 1 all.

    Within strata only pairs of one stratum count.
    """
    numbers, right = np.asarray(values, dtype=np.float64), np.asarray(is_right, dtype=np.bool_)

    def auc(picked: Codes, groups: Codes) -> float:
        return _auc(numbers[picked], right[picked], groups[picked])

    return _associated(len(numbers), auc, strata, clusters, seed)


def rank_correlation(
    values: Sequence[float], others: Sequence[float], strata: Sequence[str], clusters: Sequence[str], *, seed: int
) -> Association:
    """Return Spearman's correlation; within strata of what is left when each stratum's median is taken away."""
    first, second = np.asarray(values, dtype=np.float64), np.asarray(others, dtype=np.float64)

    def correlation(picked: Codes, groups: Codes) -> float:
        return _spearman(_centred(first[picked], groups[picked]), _centred(second[picked], groups[picked]))

    return _associated(len(first), correlation, strata, clusters, seed)


def _associated(
    n: int, statistic: Callable[[Codes, Codes], float], strata: Sequence[str], clusters: Sequence[str], seed: int
) -> Association:
    """Return a statistic over all samples and within strata, with the spread over draws of clusters."""
    if n < _LEAST:
        return Association(None, None, None, None, n)
    one_group = np.zeros(n, dtype=np.intp)
    groups = np.unique(np.asarray(strata), return_inverse=True)[1].astype(np.intp)
    everyone = np.arange(n, dtype=np.intp)
    codes = cluster_codes(list(clusters))
    members: list[Codes] = [np.flatnonzero(codes == code) for code in range(int(codes.max()) + 1)]
    rng = np.random.Generator(np.random.PCG64(seed))
    drawn: list[tuple[float, float]] = []
    for _ in range(DRAWS):
        chosen: list[int] = rng.integers(0, len(members), len(members)).tolist()
        picked: Codes = np.concatenate([members[number] for number in chosen])
        drawn.append((statistic(picked, one_group), statistic(picked, groups)))
    table = np.asarray(drawn)
    raw, within = statistic(everyone, one_group), statistic(everyone, groups)
    return Association(
        _number(raw),
        _interval(raw, table[:, 0], len(members)),
        _number(within),
        _interval(within, table[:, 1], len(members)),
        n,
    )


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _interval(value: float, drawn: Floats, clusters: int) -> Interval | None:
    drawn = drawn[np.isfinite(drawn)]
    if not np.isfinite(value) or clusters < 2 or len(drawn) < DRAWS // 2:
        return None
    low, high = (float(end) for end in np.quantile(drawn, [_TAIL, 1 - _TAIL]))
    low, high = min(low, value), max(high, value)
    # draws of a few samples that one number parts without a fault all give 1: they do not know what others would give
    return Interval(low, high) if low < high else None


def _auc(values: Floats, right: NDArray[np.bool_], groups: Codes) -> float:
    """Return the share of pairs of one group in which the right one has the larger value."""
    wins = pairs = 0.0
    for group in np.unique(groups):
        there = groups == group
        ranks = _ranks(values[there])
        ups = right[there]
        n_right = int(ups.sum())
        n_wrong = len(ups) - n_right
        if n_right and n_wrong:
            wins += float(ranks[ups].sum()) - n_right * (n_right + 1) / 2
            pairs += n_right * n_wrong
    return wins / pairs if pairs else np.nan


def _ranks(values: Floats) -> Floats:
    """Return ranks from 1, the mean of their places for equal values."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2)[places]


def _centred(values: Floats, groups: Codes) -> Floats:
    """Return values less the median of their group."""
    if not len(values) or groups.max() == 0:
        return values
    centred = values.copy()
    for group in np.unique(groups):
        there = groups == group
        centred[there] -= np.median(values[there])
    return centred


def _spearman(first: Floats, second: Floats) -> float:
    one, two = _ranks(first), _ranks(second)
    one, two = one - one.mean(), two - two.mean()
    spread = float(np.sqrt((one @ one) * (two @ two)))
    return float(one @ two) / spread if spread > 0 else np.nan
