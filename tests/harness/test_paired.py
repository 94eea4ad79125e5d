"""The paired statistics, held to statsmodels and scipy and to what must hold for any data."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.paired import (
    PairedSums,
    Units,
    benjamini_hochberg,
    holm,
    mcnemar_p,
    mean_of_sums,
    paired_difference,
    paired_statistic,
    sign_test,
)
from harness.resampling import MOST_POOLS, bootstrap_sums, flipped_sums


def two_runs(n=600, size=1, share=0.1, seed=0, drop=0.0):
    rng = np.random.default_rng(seed)
    a = (rng.random(n) < 0.6).astype(float)
    b = np.where(rng.random(n) < share, 1 - a, a)
    b = np.where((b == 1) & (rng.random(n) < drop), 0.0, b)
    return a, b, np.arange(n) // size


def test_change_is_mean_of_b_less_mean_of_a():
    found = paired_difference(np.array([1.0, 0, 1, 1]), np.array([0.0, 0, 1, 0]), ["a", "b", "c", "d"], seed=0)

    assert (found.a_value, found.b_value, found.delta, found.flips_down, found.flips_up) == (0.75, 0.25, -0.5, 2, 0)


@pytest.mark.parametrize(("down", "up"), [(0, 0), (1, 0), (3, 9), (40, 22), (500, 431)])
def test_mcnemar_agrees_with_statsmodels(down, up):
    from statsmodels.stats.contingency_tables import mcnemar

    expected = mcnemar([[100, down], [up, 100]], exact=True).pvalue if down + up else 1.0

    assert mcnemar_p(down, up) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=50)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_holm_and_benjamini_hochberg_agree_with_statsmodels(p_values):
    from statsmodels.stats.multitest import multipletests

    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])
    assert benjamini_hochberg(p_values) == pytest.approx(multipletests(p_values, method="fdr_bh")[1])


def test_an_empty_family_has_no_adjusted_p():
    assert (holm([]), benjamini_hochberg([])) == ([], [])


def test_sign_flips_of_binary_singletons_give_mcnemars_p():
    a, b, clusters = two_runs(drop=0.03, seed=3)

    found = paired_difference(a, b, clusters, seed=1)

    assert found.p == pytest.approx(found.mcnemar_p, abs=4 * math.sqrt(0.25 / 9999))
    assert found.mcnemar_p == mcnemar_p(found.flips_down, found.flips_up)


@pytest.mark.parametrize("size", [1, 3])
def test_sign_flips_agree_with_scipys_permutation_test(size):
    from scipy.stats import permutation_test

    rng = np.random.default_rng(5)
    a = rng.random(120)
    b = np.clip(a + rng.normal(0.012, 0.1, 120), 0, 1)
    clusters = np.arange(120) // size
    changes = np.bincount(clusters, weights=b - a)

    found = paired_difference(a, b, clusters, seed=2)
    expected = permutation_test(
        (changes,), lambda x, axis: x.sum(axis=axis), permutation_type="samples", n_resamples=9999,
        rng=np.random.default_rng(6),
    )  # fmt: skip

    assert found.p == pytest.approx(expected.pvalue, abs=6 * math.sqrt(0.25 / 9999))


def test_interval_agrees_with_scipys_bootstrap():
    from scipy.stats import bootstrap

    rng = np.random.default_rng(8)
    a = rng.random(800)
    b = np.clip(a + rng.normal(0.02, 0.2, 800), 0, 1)

    found = paired_difference(a, b, np.arange(800), seed=2)
    expected = bootstrap((b - a,), np.mean, n_resamples=9999, method="percentile", rng=np.random.default_rng(9))
    low, high = expected.confidence_interval

    width = high - low
    assert found.ci_low == pytest.approx(low, abs=0.06 * width)
    assert found.ci_high == pytest.approx(high, abs=0.06 * width)


@pytest.mark.parametrize("size", [2, 5])
def test_standard_error_agrees_with_statsmodels_clustered_errors(size):
    import statsmodels.api as sm

    rng = np.random.default_rng(4)
    clusters = np.arange(1000) // size
    shift = np.repeat(rng.normal(0, 0.2, 1000 // size), size)
    a = rng.random(1000)
    b = np.clip(a + shift, 0, 1)
    fit = sm.OLS(b - a, np.ones(1000)).fit(cov_type="cluster", cov_kwds={"groups": clusters})

    found = paired_difference(a, b, clusters, seed=0)

    assert found.error == pytest.approx(float(fit.bse[0]), rel=0.06)


def test_clusters_of_dependent_samples_widen_the_interval():
    a, b, _ = two_runs(n=200, seed=1)
    four_times = [np.repeat(run, 4) for run in (a, b)]

    alone = paired_difference(a, b, np.arange(200), seed=0)
    copied = paired_difference(*four_times, np.repeat(np.arange(200), 4), seed=0)

    assert copied.ci_high - copied.ci_low == pytest.approx(alone.ci_high - alone.ci_low, rel=0.05)
    assert copied.clusters == 200


@pytest.mark.parametrize("change", [1.0, -1.0, 0.25])
def test_the_same_change_everywhere_gives_the_rule_of_three_within_the_bounds(change):
    a = np.full(1000, 0.0 if change > 0 else 1.0)

    found = paired_difference(a, a + change, np.arange(1000), seed=0)

    expected = (max(-1.0, change - 0.003), min(1.0, change + 0.003))
    assert (found.ci_low, found.ci_high) == pytest.approx(expected, abs=1e-12)
    assert found.mde > 0


def test_no_change_at_all_gives_the_rule_of_three():
    a = np.array([1.0, 0.0] * 50)

    found = paired_difference(a, a, np.arange(100), seed=0)

    assert (found.delta, found.ci_low, found.ci_high, found.p, found.mcnemar_p) == (0.0, -0.03, 0.03, 1.0, 1.0)


def test_one_change_among_hundred_does_not_narrow_the_interval():
    a = np.array([1.0, 0.0] * 50)
    b = a.copy()
    b[1] = 1.0

    found = paired_difference(a, b, np.arange(100), seed=0)

    assert found.ci_low < -0.01
    assert found.ci_high > 0.03


def test_fewer_than_fifteen_clusters_have_an_exact_sign_test():
    from scipy.stats import binomtest

    a, b, _ = two_runs(n=140)
    found = paired_difference(a, b, np.arange(140) // 10, seed=0)
    changes = (b - a).reshape(14, 10).sum(axis=1)
    rose, moved = int((changes > 0).sum()), int((changes != 0).sum())

    assert found.too_few
    assert found.p == pytest.approx(binomtest(rose, moved).pvalue)
    assert found.p_drop == pytest.approx(binomtest(rose, moved, alternative="less").pvalue)
    assert found.ci_low is not None


@pytest.mark.parametrize(("fallen", "rose"), [(0, 0), (1, 0), (5, 0), (14, 0), (7, 7), (2, 9)])
def test_the_sign_test_is_that_of_scipy(fallen, rose):
    from scipy.stats import binomtest

    p, p_drop = sign_test(np.array([[-1.0, 0.0]] * fallen + [[1.0, 0.0]] * rose + [[0.0, 0.0]] * 3))

    expected = binomtest(rose, fallen + rose) if fallen + rose else None
    assert p == pytest.approx(1.0 if expected is None else expected.pvalue)
    lower = 1.0 if expected is None else binomtest(rose, fallen + rose, alternative="less").pvalue
    assert p_drop == pytest.approx(lower)


def test_one_cluster_has_no_interval():
    found = paired_difference(np.array([1.0, 0.0]), np.array([0.0, 0.0]), ["x", "x"], seed=0)

    assert (found.ci_low, found.ci_high, found.mde, found.p) == (None, None, None, 1.0)


@pytest.mark.parametrize(
    ("a", "b", "clusters"),
    [
        ([], [], []),
        ([1.0], [1.0, 0.0], ["x"]),
        ([1.0], [0.0], []),
        ([math.nan], [0.0], ["x"]),
        ([1.0], [math.inf], ["x"]),
    ],
)
def test_bad_input_is_refused(a, b, clusters):
    with pytest.raises(ValueError, match=r"one of each|finite"):
        paired_difference(np.array(a), np.array(b), clusters, seed=0)


def test_detectable_change_shrinks_with_the_root_of_n():
    small = paired_difference(*two_runs(n=1000), seed=0)
    large = paired_difference(*two_runs(n=16000), seed=0)

    flips = [(found.flips_down + found.flips_up) / found.n for found in (small, large)]
    assert small.mde / large.mde == pytest.approx(4 * math.sqrt(flips[0] / flips[1]), rel=0.02)
    assert small.n_needed(small.mde / 2) == pytest.approx(4000, rel=0.01)


def test_detectable_change_is_as_the_normal_approximation_says():
    found = paired_difference(*two_runs(n=1000), seed=0)
    flips = found.flips_down + found.flips_up

    expected = (1.960 + 0.842) * math.sqrt((flips + 2) / 1000 - found.delta**2) / math.sqrt(1000)

    assert found.mde == pytest.approx(expected, rel=0.05)


runs = st.integers(15, 60).flatmap(
    lambda n: st.tuples(
        st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=n, max_size=n),
        st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=n, max_size=n),
        st.lists(st.integers(0, 30), min_size=n, max_size=n),
    )
)


@settings(max_examples=25)
@given(runs)
def test_swapping_the_runs_turns_the_change_round(data):
    a, b, clusters = np.array(data[0]), np.array(data[1]), np.array(data[2])

    one, other = (
        paired_difference(a, b, clusters, seed=0, draws=199),
        paired_difference(b, a, clusters, seed=0, draws=199),
    )

    assert one.delta == pytest.approx(-other.delta)
    assert (one.flips_down, one.flips_up) == (other.flips_up, other.flips_down)
    assert one.p == other.p


@settings(max_examples=25)
@given(runs, st.randoms())
def test_order_and_names_of_clusters_change_nothing(data, random):
    a, b, clusters = (np.array(column) for column in data)
    order = list(range(len(a)))
    random.shuffle(order)

    found = paired_difference(a, b, clusters, seed=0, draws=99)
    again = paired_difference(a[order], b[order], clusters[order], seed=0, draws=99)

    assert found.p == again.p
    assert (found.ci_low, found.ci_high) == pytest.approx((again.ci_low, again.ci_high))


@settings(max_examples=25)
@given(runs)
def test_the_interval_holds_the_change_and_stays_in_range(data):
    found = paired_difference(*(np.array(column) for column in data), seed=0, draws=99)
    if found.ci_low is None:
        return

    assert -1 <= found.ci_low <= found.delta <= found.ci_high <= 1


def test_p_is_never_zero_and_never_above_one():
    found = paired_difference(np.ones(400), np.zeros(400), np.arange(400), seed=0)

    assert found.p == found.p_drop == 1 / 10_000


def test_drawing_by_kinds_and_row_by_row_have_the_same_spread():
    rng = np.random.default_rng(0)
    kinds = np.column_stack([(rng.random(3000) < 0.3).astype(float), np.ones(3000)])
    rows = kinds.copy()
    rows[:, 0] += rng.normal(0, 1e-9, 3000)  # as many kinds as rows, and more than are drawn singly

    assert len(rows) > MOST_POOLS
    by_kinds, by_rows = bootstrap_sums(kinds, seed=1), bootstrap_sums(rows, seed=1)
    flips, row_flips = flipped_sums(kinds[:, :1], seed=1), flipped_sums(rows[:, :1], seed=1)

    ratio = np.std(by_kinds[:, 0] / by_kinds[:, 1]) / np.std(by_rows[:, 0] / by_rows[:, 1])
    assert ratio == pytest.approx(1, abs=0.1)
    assert np.std(flips) / np.std(row_flips) == pytest.approx(1, abs=0.1)


def test_a_ratio_of_counts_is_resampled_as_it_is_aggregated():
    rng = np.random.default_rng(2)
    a = np.column_stack([rng.integers(0, 5, 200), rng.integers(5, 9, 200)]).astype(float)
    b = a.copy()
    b[:60, 0] = np.minimum(b[:60, 0] + 1, b[:60, 1])

    found = paired_statistic(PairedSums(a, b, mean_of_sums), Units(200, 0, 60), seed=0)

    assert found.delta == pytest.approx(b[:, 0].sum() / b[:, 1].sum() - a[:, 0].sum() / a[:, 1].sum())
    assert found.ci_low > 0
    assert found.p < 0.001


def test_a_statistic_that_is_not_defined_is_refused():
    with pytest.raises(ValueError, match="not defined"):
        paired_statistic(PairedSums(np.zeros((20, 2)), np.zeros((20, 2)), mean_of_sums), Units(0, 0, 0), seed=0)
