"""Intervals: against statsmodels and scipy, by property, and at their edges."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from harness.intervals import (
    Interval,
    Statistic,
    bootstrap_interval,
    cluster_codes,
    effective_clusters,
    mean_interval,
    percentile_interval,
    ratio_interval,
    sum_of_means_interval,
    t_quantile,
    wilson_interval,
)

FRACTION = (0.0, 1.0)


def ratio_of_sums(numerators: np.ndarray, denominators: np.ndarray) -> Statistic:
    """Return the statistic sum / sum over the drawn clusters; NaN for a draw whose denominators sum to 0."""

    def statistic(counts: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            return (counts @ numerators) / (counts @ denominators)

    return statistic


def clustered_answers(clusters: int, size: int, seed: int, dependence: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Draw right-or-wrong values whose chance of being right belongs partly to their cluster; the mean is 0.6."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(clusters, 1)) * dependence**0.5
    own = rng.normal(size=(clusters, size)) * (1 - dependence) ** 0.5
    quantile_of_60_percent = 0.2533471031357997
    values = (shared + own < quantile_of_60_percent).astype(float).ravel()
    return values, np.repeat(np.arange(clusters), size)


@st.composite
def values_in_clusters(draw: st.DrawFn) -> tuple[np.ndarray, list[str]]:
    size = draw(st.integers(2, 120))
    levels = draw(st.sampled_from([[0.0, 1.0], [0.0, 0.25, 0.5, 1.0], [1.0], [0.3]]))
    values = draw(st.lists(st.sampled_from(levels), min_size=size, max_size=size))
    groups = draw(st.integers(2, 80))
    names = draw(st.lists(st.integers(0, groups - 1).map("k{:03}".format), min_size=size, max_size=size))
    assume(len(set(names)) > 1)
    return np.array(values), names


@pytest.mark.parametrize(
    ("right", "trials"), [(0, 1), (1, 1), (0, 7), (3, 7), (7, 7), (1, 1000), (999, 1000), (600, 1000)]
)
def test_wilson_interval_equals_statsmodels(right: int, trials: int):
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(right, trials, alpha=0.05, method="wilson")
    found = wilson_interval(right / trials, trials)

    assert (low, high) == pytest.approx((found.low, found.high), abs=1e-12)


@pytest.mark.parametrize(("share", "trials"), [(0.5, 0), (-0.1, 5), (1.1, 5), (float("nan"), 5)])
def test_wilson_interval_refuses_what_is_no_share(share: float, trials: int):
    with pytest.raises(ValueError, match="share"):
        wilson_interval(share, trials)


@pytest.mark.parametrize("right", [0, 3, 600, 997, 1000])
def test_many_right_or_wrong_values_that_stand_alone_get_nearly_wilsons_interval(right: int):
    values = np.array([1.0] * right + [0.0] * (1000 - right))
    expected = wilson_interval(right / 1000, 1000)
    found = mean_interval(values, np.arange(1000))

    assert found is not None
    width = expected.high - expected.low
    assert (expected.low, expected.high) == pytest.approx((found.low, found.high), abs=0.02 * width)


@pytest.mark.parametrize("clusters", [50, 200, 2000])
def test_the_interval_of_many_clusters_is_nearly_the_cluster_robust_one_of_statsmodels(clusters: int):
    import statsmodels.api as sm

    rng = np.random.default_rng(clusters)
    codes = np.concatenate([np.arange(clusters), rng.integers(0, clusters, size=3 * clusters)])
    values = np.clip(rng.random(clusters)[codes] * 0.5 + rng.random(len(codes)) * 0.5, 0, 1)
    fit = sm.OLS(values, np.ones(len(values))).fit(cov_type="cluster", cov_kwds={"groups": codes}, use_t=True)
    low, high = fit.conf_int(0.05)[0]
    found = mean_interval(values, codes)

    assert found is not None
    assert (low, high) == pytest.approx((found.low, found.high), abs=(high - low) * 2 / clusters)


def test_the_bootstrap_agrees_with_scipys_percentile_bootstrap_of_clusters():
    from scipy import stats

    means = np.random.default_rng(3).beta(4, 2, size=45)
    theirs = stats.bootstrap((means,), np.mean, n_resamples=20_000, method="percentile", rng=1).confidence_interval
    ours = bootstrap_interval(ratio_of_sums(means, np.ones(45)), 45, seed=1, bounds=FRACTION)

    assert ours is not None
    assert (ours.low + ours.high) / 2 == pytest.approx((theirs.low + theirs.high) / 2, abs=0.005)
    # Ours is wider by Student's tail and the unbiased spread: 2.015 / 1.960 * sqrt(45 / 44) = 1.04.
    assert ours.high - ours.low == pytest.approx(1.04 * (theirs.high - theirs.low), rel=0.06)


def test_for_clusters_of_one_size_the_variance_is_that_of_their_means():
    """The ends of Wilson's interval are where the distance is t standard errors of the trials that are counted."""
    means = np.array([0.2, 0.5, 0.6, 0.9, 0.4, 0.7])
    found = mean_interval(np.repeat(means, 3), np.repeat(np.arange(6), 3))
    mean = means.mean()
    variance = means.var(ddof=1) / 6 + 0.05 * (mean / 6) ** 2
    trials = mean * (1 - mean) / variance

    assert found is not None
    for end in (found.low, found.high):
        assert abs(end - mean) / (end * (1 - end) / trials) ** 0.5 == pytest.approx(t_quantile(5))


def test_a_cluster_with_half_of_the_data_makes_the_interval_wide():
    """Without the jackknife it would follow that cluster: the residuals of the mean make +-0.07 of these."""
    values = np.array([1.0] * 49 + [0.0, 1.0] * 24 + [1.0])
    found = mean_interval(values, np.array([0] * 49 + list(range(1, 50))))

    assert found is not None
    assert found.low < 0.3


def test_clusters_without_a_say_count_for_nothing():
    hits, boxes = np.array([1.0, 2.0, 0.0, 0.0]), np.array([2.0, 2.0, 0.0, 0.0])

    assert ratio_interval(hits, boxes) == ratio_interval(hits[:2], boxes[:2])
    assert ratio_interval(hits[1:], boxes[1:]) is None


def test_effective_clusters_are_all_of_them_only_where_they_have_one_size():
    assert effective_clusters(np.full(7, 3.0)) == pytest.approx(7)
    assert effective_clusters(np.array([9.0, 1.0])) == pytest.approx(100 / 82)


COVERAGE_DRAWS = 2000
"""At a coverage of 95 % so many draws show less than 93 % once in 40,000 times, at 93 % in half of all."""


@pytest.mark.parametrize("accuracy", [0.5, 0.7, 0.95])
@pytest.mark.parametrize("correlation", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(
    "sizes",
    [(1,) * 2, (1,) * 3, (1,) * 10, (1, 19), (4,) * 3, (20,) * 5, (1, 5, 10, 14, 19), (4,) * 9 + (36,), (20,) * 10],
    ids=str,
)
def test_intervals_of_few_clusters_hold_the_true_mean_as_often_as_they_say(sizes, correlation, accuracy):
    """A percentile bootstrap held it in 73 % of draws of two clusters; the whole table: tests/bench."""
    rng = np.random.default_rng(11)
    codes = np.repeat(np.arange(len(sizes)), sizes)
    shape = (COVERAGE_DRAWS, len(sizes))
    chances = np.full(shape, accuracy)
    if correlation == 1:
        chances = (rng.random(shape) < accuracy).astype(float)
    elif correlation:
        spread = (1 - correlation) / correlation
        chances = rng.beta(accuracy * spread, (1 - accuracy) * spread, size=shape)
    right = (rng.random((COVERAGE_DRAWS, len(codes))) < chances[:, codes]).astype(float)
    found = [mean_interval(values, codes) for values in right]
    held = sum(one is not None and one.low <= accuracy <= one.high for one in found)

    assert held / COVERAGE_DRAWS >= 0.93


@pytest.mark.parametrize("clusters", [2, 3, 5])
def test_a_bootstrap_of_few_clusters_reaches_as_far_as_the_spread_tells(clusters: int):
    """Draws of two clusters are the two alone: their percentiles hold the truth in 73 % of cases."""
    rng = np.random.default_rng(3)
    held = 0
    for seed in range(300):
        chances = rng.beta(0.7 * 7 / 3, 0.3 * 7 / 3, size=clusters)
        means = rng.binomial(20, chances) / 20
        found = bootstrap_interval(ratio_of_sums(means, np.ones(clusters)), clusters, seed=seed, bounds=FRACTION)
        held += found is not None and found.low <= 0.7 <= found.high

    assert held / 300 >= 0.93


def test_percentiles_stay_where_they_reach_farther_than_the_spread():
    drawn = np.concatenate([np.full(1000, 0.5), np.full(100, 0.0)])
    found = percentile_interval(0.5, drawn, t_quantile(999), 1000, FRACTION)

    assert found is not None
    assert found.low == 0.0


def test_ignoring_clusters_would_hold_the_true_mean_too_seldom():
    """The simulation has teeth: rows taken for independent give far too narrow intervals."""
    held = 0
    for seed in range(200):
        values, _ = clustered_answers(60, 10, seed)
        found = wilson_interval(float(values.mean()), len(values))
        held += found.low <= 0.6 <= found.high

    assert held / 200 < 0.8


@given(values_in_clusters(), st.integers(0, 5))
@settings(deadline=None, max_examples=80)
def test_an_interval_holds_the_mean_has_width_and_stays_in_range(data: tuple[np.ndarray, list[str]], seed: int):
    values, names = data
    found = mean_interval(values, names)

    assert found is not None
    assert 0 <= found.low <= values.mean() + 1e-12
    assert values.mean() - 1e-12 <= found.high <= 1
    assert found.high - found.low > 1e-6


@given(values_in_clusters(), st.integers(2, 4))
@settings(deadline=None, max_examples=40)
def test_repeating_every_sample_within_its_cluster_adds_no_certainty(data: tuple[np.ndarray, list[str]], times: int):
    values, names = data
    once = mean_interval(values, names)
    often = mean_interval(np.repeat(values, times), np.repeat(names, times).tolist())

    assert once is not None
    assert often is not None
    assert (once.low, once.high) == pytest.approx((often.low, often.high), abs=1e-9)


@given(values_in_clusters(), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=40)
def test_the_order_of_samples_changes_nothing(data: tuple[np.ndarray, list[str]], random):
    values, names = data
    order = list(range(len(values)))
    random.shuffle(order)
    straight = mean_interval(values, names)
    shuffled = mean_interval(values[order], [names[i] for i in order])

    assert straight is not None
    assert shuffled is not None
    assert (straight.low, straight.high) == pytest.approx((shuffled.low, shuffled.high), abs=1e-12)


@pytest.mark.parametrize("clusters", [30, 300])
def test_other_bounds_scale_the_interval(clusters: int):
    values, codes = clustered_answers(clusters, 2, 0)
    small = mean_interval(values, codes)
    large = mean_interval(200 * values, codes, bounds=(0.0, 200.0))

    assert small is not None
    assert large is not None
    assert (200 * small.low, 200 * small.high) == pytest.approx((large.low, large.high))


@pytest.mark.parametrize("names", [[], ["a"], ["a", "a", "a"]])
def test_fewer_than_two_clusters_have_no_interval(names: list[str]):
    assert mean_interval(np.ones(len(names)), names) is None


@pytest.mark.parametrize("clusters", [2, 10, 49, 50, 400])
@pytest.mark.parametrize("value", [0.0, 0.4, 1.0])
def test_data_without_spread_count_clusters_as_trials(clusters: int, value: float):
    values = np.full(2 * clusters, value)
    found = mean_interval(values, np.repeat(np.arange(clusters), 2))

    assert found is not None
    for end in {found.low, found.high} - {value}:
        assert abs(end - value) / (end * (1 - end) / clusters) ** 0.5 == pytest.approx(t_quantile(clusters - 1))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_values_that_are_no_numbers_are_refused(bad: float):
    with pytest.raises(ValueError, match="finite"):
        mean_interval(np.array([0.0, bad]), ["a", "b"])


def test_one_cluster_per_value_is_asked_for():
    with pytest.raises(ValueError, match="one cluster per value"):
        mean_interval(np.zeros(3), ["a", "b"])


def test_the_seed_fixes_the_draws():
    statistic = ratio_of_sums(np.random.default_rng(1).random(200), np.ones(200))
    first = bootstrap_interval(statistic, 200, seed=0, bounds=FRACTION)

    assert bootstrap_interval(statistic, 200, seed=0, bounds=FRACTION) == first
    assert any(bootstrap_interval(statistic, 200, seed=seed, bounds=FRACTION) != first for seed in range(1, 6))


def test_names_and_codes_of_clusters_mean_the_same():
    values, codes = clustered_answers(20, 3, 1)
    names = [f"image-{code:02}" for code in codes]

    assert mean_interval(values, names) == mean_interval(values, codes)
    assert cluster_codes(["b", "a", "b", "ß"]).tolist() == [1, 0, 1, 2]
    assert cluster_codes(np.array([7, 1_000_007, 7])).tolist() == [0, 1, 0]


def test_draws_that_do_not_define_a_ratio_are_left_out():
    hits, boxes = np.array([1.0, 0.0, 0.0, 0.0]), np.array([1.0, 0.0, 0.0, 2.0])
    found = bootstrap_interval(ratio_of_sums(hits, boxes), 4, seed=0, bounds=FRACTION)

    assert found == Interval(0.0, 1.0)


def test_a_ratio_of_nothing_has_no_interval():
    assert bootstrap_interval(ratio_of_sums(np.zeros(4), np.zeros(4)), 4, seed=0, bounds=FRACTION) is None


def test_an_interval_is_stretched_to_its_statistic():
    """The statistic is 0.9 on the data as they are, and less on every draw."""

    def statistic(counts: np.ndarray) -> np.ndarray:
        return np.where((counts == 1).all(axis=1), 0.9, counts[:, 0] / (10 * counts.sum(axis=1)))

    found = bootstrap_interval(statistic, 30, seed=0, bounds=FRACTION)

    assert found is not None
    assert found.high >= 0.9


def test_a_bootstrap_of_many_clusters_keeps_little_in_memory():
    statistic = ratio_of_sums(np.random.default_rng(0).random(20_000), np.ones(20_000))
    tracemalloc.start()
    bootstrap_interval(statistic, 20_000, seed=0, bounds=FRACTION)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak_bytes < 30_000_000


def test_long_names_of_clusters_do_not_fill_the_memory():
    names = ["x" * 1_000_000, *(f"k{i}" for i in range(2000))]
    tracemalloc.start()
    codes = cluster_codes(names)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert sorted(codes.tolist()) == list(range(2001))
    assert peak_bytes < 5_000_000


def test_importing_intervals_and_summaries_does_not_load_scipy():
    code = "import sys, harness.summary; sys.exit('scipy' in sys.modules or 'pandas' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False).returncode == 0


DRAWN_RUNS = 1500
"""At a coverage of 95 % so many runs show less than 93.3 % once in a thousand times."""


@pytest.mark.parametrize("accuracy", [0.5, 0.7, 0.9, 0.95, (0.5, 0.99), (0.99, 0.5), (0.85, 0.99)], ids=str)
@pytest.mark.parametrize("images", [(2,) * 14, (3,) * 14, (2,) * 10 + (20,) * 4, (30,) * 14], ids=str)
def test_the_total_of_subtasks_with_few_images_covers_the_truth(accuracy, images):
    """A bootstrap within subtasks of two or three images covered 90.3 %."""
    rng = np.random.default_rng(7)
    strata = np.repeat(np.arange(len(images)), images)
    ends = accuracy if isinstance(accuracy, tuple) else (accuracy, accuracy)
    shares = np.linspace(*ends, len(images))
    truth = float((100 * shares + 100 * shares**2).sum())
    covered = 0
    for _ in range(DRAWN_RUNS):
        right = rng.random((len(strata), 2)) < shares[strata][:, None]
        values = 50.0 * right.sum(axis=1) + 100.0 * right.all(axis=1)
        found = sum_of_means_interval(values, strata, bounds=(0.0, 2800.0))
        covered += found.low <= truth <= found.high

    assert covered / DRAWN_RUNS >= 0.93


@pytest.mark.parametrize(
    ("values", "strata", "bounds"),
    [
        ([200.0] * 4, [0, 0, 1, 1], (0.0, 400.0)),
        ([0.0] * 4, [0, 0, 1, 1], (0.0, 400.0)),
        ([0.0, 200.0, 100.0, 100.0], [0, 0, 1, 1], (0.0, 400.0)),
    ],
)
def test_a_sum_of_means_has_an_interval_with_width_within_its_bounds(values, strata, bounds):
    found = sum_of_means_interval(np.array(values), np.array(strata), bounds=bounds)
    total = sum(np.mean([v for v, s in zip(values, strata, strict=True) if s == code]) for code in set(strata))

    assert bounds[0] <= found.low <= total <= found.high <= bounds[1]
    assert found.high - found.low > 10


@pytest.mark.parametrize(("images", "wrong", "least"), [(80, 0, 2780), (80, 1, 2775), (20, 0, 2740), (20, 1, 2720)])
def test_a_nearly_perfect_sum_has_a_narrow_interval(images, wrong, least):
    """The number of trials fell to 0 with the share of what is wrong, and 2800 of 2800 came out as [577, 2800]."""
    strata = np.repeat(np.arange(14), images)
    values = np.full(len(strata), 200.0)
    values[:wrong] = 50.0
    found = sum_of_means_interval(values, strata, bounds=(0.0, 2800.0))

    assert least < found.low < found.high <= 2800


@pytest.mark.parametrize("strata", [[], [0], [0, 0, 1]])
def test_a_stratum_of_one_gives_a_sum_no_interval(strata):
    assert sum_of_means_interval(np.ones(len(strata)), np.array(strata, dtype=np.int64), bounds=(0.0, 9.0)) is None
