"""Rank many runs on one benchmark: rank intervals, the chance of being best, and groups that cannot be told apart.

All runs are resampled with the same clusters at once, so that an easy draw is easy for all of them. The tails are
Student's, and two runs are told apart only where the change between them is also more than t standard errors: the draws
of few clusters hold nothing but these few.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from harness.intervals import CodeArray, FloatArray, t_quantile
from harness.paired import Combine
from harness.resampling import bootstrap_sums


@dataclass(frozen=True, slots=True)
class RunRank:
    """Where one run stands."""

    value: float
    """Its score on the shared samples."""
    rank: int
    """1 for the best; runs of equal score share the better rank."""
    rank_low: int
    """Best rank in its 95 % interval."""
    rank_high: int
    """Worst rank in its 95 % interval."""
    p_best: float
    """Share of draws in which it is best; draws with several best are shared out."""
    tie_group: int
    """0 for the runs that cannot be told from the best one, 1 for those not told from the best of the rest..."""


def rank_sums(
    sums: Sequence[FloatArray], combine: Combine, *, seed: int, strata: CodeArray | None = None
) -> list[RunRank]:
    """Rank runs by any statistic of sums over the same clusters.

    Args:
        sums: One matrix per run: clusters x columns.
        combine: Makes the statistic of column sums.
        seed: Fixes the draws.
        strata: A code per cluster, within which clusters are drawn.

    Raises:
        ValueError: There are fewer than two clusters, in any stratum, or shapes differ.
    """
    if not sums:
        return []
    width = sums[0].shape[1]
    values = np.array([combine(run.sum(axis=0, keepdims=True))[0] for run in sums])
    drawn = bootstrap_sums(np.hstack(sums), seed=seed, strata=strata)
    draws = np.column_stack([combine(drawn[:, width * n : width * (n + 1)]) for n in range(len(sums))])
    draws = draws[np.isfinite(draws).all(axis=1)]
    ranks = 1 + (draws[:, None, :] > draws[:, :, None]).sum(axis=2)
    reach = t_quantile(len(sums[0]) - (1 if strata is None else len(np.unique(strata))))
    tail = NormalDist().cdf(-reach)
    low, high = np.quantile(ranks, (tail, 1 - tail), axis=0, method="inverted_cdf")
    best = ranks == 1
    p_best = (best / best.sum(axis=1, keepdims=True)).mean(axis=0)
    groups = _tie_groups(values, draws, reach)
    return [
        RunRank(
            value=float(values[n]),
            rank=1 + int((values > values[n]).sum()),
            rank_low=min(int(low[n]), 1 + int((values > values[n]).sum())),
            rank_high=max(int(high[n]), 1 + int((values > values[n]).sum())),
            p_best=float(p_best[n]),
            tie_group=groups[n],
        )
        for n in range(len(sums))
    ]


def _tie_groups(values: FloatArray, draws: FloatArray, reach: float) -> list[int]:
    """Return each run's group: the best run still without one leads it and takes those it cannot be told from."""
    groups = [-1] * len(values)
    tail = NormalDist().cdf(-reach)
    group = 0
    for leader in np.argsort(-values, kind="stable").tolist():
        if groups[leader] != -1:
            continue
        leads = draws[:, [leader]] - draws
        low, high = np.quantile(leads, (tail, 1 - tail), axis=0)
        tied = (low <= 0) & (high >= 0) | (values[leader] - values <= reach * leads.std(axis=0))
        for n in range(len(values)):
            if groups[n] == -1 and (n == leader or tied[n]):
                groups[n] = group
        group += 1
    return groups
