"""Ranks of many runs, resampled together."""

from __future__ import annotations

import numpy as np
import pytest

from harness.paired import mean_of_sums
from harness.ranks import rank_sums


def runs(shares, n=1000, seed=0):
    rng = np.random.default_rng(seed)
    hardness = rng.random(n)
    return [(hardness < share).astype(float) for share in shares]


def rank_means(values, codes=None, *, seed=0):
    """Rank runs by their means; each sample is a cluster, unless codes tell."""
    codes = np.arange(len(values[0]) if values else 0) if codes is None else codes
    sums = [np.column_stack([np.bincount(codes, one), np.bincount(codes)]) for one in values]
    return rank_sums(sums, mean_of_sums, seed=seed)


def test_clear_differences_give_clear_ranks():
    ranks = rank_means(runs([0.3, 0.9, 0.6]))

    assert [(r.rank, r.rank_low, r.rank_high, r.tie_group) for r in ranks] == [(3, 3, 3, 2), (1, 1, 1, 0), (2, 2, 2, 1)]
    assert [r.p_best for r in ranks] == [0.0, 1.0, 0.0]


def test_equal_runs_share_rank_chance_and_group():
    one = runs([0.5])[0]

    ranks = rank_means([one, one])

    assert [(r.rank, r.p_best, r.tie_group) for r in ranks] == [(1, 0.5, 0), (1, 0.5, 0)]


def test_close_runs_are_tied():
    rng = np.random.default_rng(1)
    close = [(rng.random(400) < share).astype(float) for share in (0.60, 0.61, 0.62, 0.2)]

    ranks = rank_means(close)

    assert [r.tie_group for r in ranks] == [0, 0, 0, 1]
    assert all(r.rank_low <= r.rank <= r.rank_high for r in ranks)
    assert sum(r.p_best for r in ranks) == pytest.approx(1)


def test_shared_difficulty_narrows_ranks():
    """Runs that differ on a few samples only are told apart, however hard the draw is for both."""
    one = runs([0.5])[0]
    better = one.copy()
    better[np.flatnonzero(one == 0)[:20]] = 1.0

    ranks = rank_means([one, better])

    assert [r.tie_group for r in ranks] == [1, 0]


@pytest.mark.parametrize("clusters", [2, 3, 5, 50])
def test_equal_models_are_seldom_told_apart_by_few_clusters(clusters):
    """By plain percentiles of draws two equal models on two clusters were told apart in 27 of 100 cases."""
    rng = np.random.default_rng(4)
    codes = np.repeat(np.arange(clusters), 20)
    apart = 0
    for seed in range(400):
        chances = rng.beta(1.4, 0.6, size=clusters)[codes]
        pair = [(rng.random(len(codes)) < chances).astype(float) for _ in range(2)]
        one, other = rank_means(pair, codes, seed=seed)
        apart += one.tie_group != other.tie_group

    assert apart / 400 <= 0.08


def test_one_run_is_first_and_none_have_no_ranks():
    assert [r.rank for r in rank_means(runs([0.5]))] == [1]
    assert rank_means([]) == []
