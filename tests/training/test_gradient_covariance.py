import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from training.probe.covariance import (
    FEWEST_PROMPTS,
    Estimate,
    PromptGradients,
    compare_reward_sets,
    describe_claim,
    group_advantages,
    sum_components,
)

COUNT = FEWEST_PROMPTS


def under(gradients, *, scale=1.0, rewards=None, dead=None) -> PromptGradients:
    gradients = np.asarray(gradients, dtype=np.float32)
    count = len(gradients)
    return PromptGradients(
        gradients,
        scale,
        np.tile([0.0, 1.0], (count, 1)) if rewards is None else rewards,
        np.zeros(count, dtype=bool) if dead is None else dead,
    )


def drawn(seed, *, count=COUNT, width=20, noise=1.0, signal=1.0):
    """Gradients with known moments: tr Cov = noise, |mean|² = signal."""
    rng = np.random.default_rng(seed)
    mean = np.full(width, math.sqrt(signal / width))
    return mean + rng.standard_normal((count, width)) * math.sqrt(noise / width)


class TestAdvantages:
    @given(arrays.arrays(np.float64, (4, 6), elements=st.sampled_from([0.0, 0.25, 0.5, 1.0, 3.0])))
    def test_they_are_trls(self, rewards):
        import torch

        advantages, dead = group_advantages(rewards, "group")

        # GRPOTrainer._generate_and_score_completions, multi_objective_aggregation="sum_then_normalize"
        grouped = torch.from_numpy(rewards)
        spread = grouped.std(dim=1, keepdim=True)
        theirs = (grouped - grouped.mean(dim=1, keepdim=True)) / (spread + 1e-4)
        assert np.allclose(advantages, theirs.numpy(), atol=1e-9)
        assert dead.tolist() == torch.isclose(spread[:, 0], torch.zeros(4, dtype=torch.float64)).tolist()

    @given(arrays.arrays(np.float64, (3, 5), elements=st.floats(0, 4)), st.sampled_from(["group", "none"]))
    def test_they_sum_to_zero_in_every_group(self, rewards, scale):
        assert np.allclose(group_advantages(rewards, scale)[0].sum(axis=1), 0, atol=1e-6)

    def test_a_dead_group_gets_exactly_zero(self):
        advantages, dead = group_advantages(np.array([[0.1 + 0.2] * 8, [0.0, 1.0] * 4]), "group")

        assert advantages[0].tolist() == [0.0] * 8
        assert dead.tolist() == [True, False]

    def test_unscaled_advantages_keep_the_size_of_rewards(self):
        assert group_advantages(np.array([[0.0, 4.0]]), "none")[0].tolist() == [[-2.0, 2.0]]

    def test_rewards_are_summed_with_equal_weights(self):
        components = {"answer": np.array([[1.0, 0.0]]), "bbox": np.array([[0.25, 0.5]])}

        assert sum_components(components, ["answer", "bbox"]).tolist() == [[1.25, 0.5]]
        assert sum_components(components, ["answer"]).tolist() == [[1.0, 0.0]]


class TestMoments:
    @given(arrays.arrays(np.float32, (COUNT, 3), elements=st.floats(-10, 10, width=32)), st.floats(0.5, 100))
    @settings(max_examples=20)
    def test_trace_and_signal_are_the_textbooks(self, gradients, scale):
        figures, _ = compare_reward_sets({"a": under(gradients, scale=scale)}, "a", seed=0, resamples=1000)["a"]

        exact = gradients.astype(np.float64)
        trace = exact.var(axis=0, ddof=1).sum() * scale
        signal = (exact.mean(axis=0) ** 2).sum() * scale - trace / COUNT
        assert figures.trace.value == pytest.approx(trace, abs=1e-6 * scale)
        assert figures.signal.value == pytest.approx(signal, abs=1e-6 * scale)

    def test_noise_to_signal_is_their_ratio(self):
        figures, _ = compare_reward_sets({"a": under(drawn(1))}, "a", seed=0)["a"]

        assert figures.noise_to_signal.value == pytest.approx(figures.trace.value / figures.signal.value)
        assert figures.noise_to_signal.ci_low < figures.noise_to_signal.value < figures.noise_to_signal.ci_high

    def test_the_figures_do_not_depend_on_the_order_of_coordinates_or_the_sign(self):
        gradients = drawn(2)

        first, second = (
            compare_reward_sets({"a": under(some)}, "a", seed=0)["a"][0] for some in (gradients, -gradients[:, ::-1])
        )

        assert first.trace.value == pytest.approx(second.trace.value, rel=1e-6)
        assert first.noise_to_signal.ci_high == pytest.approx(second.noise_to_signal.ci_high, rel=1e-6)

    def test_the_same_seed_gives_the_same_intervals(self):
        one, again, other = (compare_reward_sets({"a": under(drawn(3))}, "a", seed=seed)["a"][0] for seed in (1, 1, 2))

        assert one == again
        assert one.trace.value == other.trace.value
        assert one.trace.ci_low != other.trace.ci_low


class TestNoSignal:
    def test_without_signal_there_is_no_ratio_but_a_reason(self):
        gradients = drawn(0, signal=0.0)
        gradients -= gradients.mean(axis=0)  # the mean is exactly 0: the debiased signal is below it

        figures, _ = compare_reward_sets({"a": under(gradients)}, "a", seed=0)["a"]

        assert figures.signal.value < 0
        assert figures.noise_to_signal.value is None
        assert figures.noise_to_signal.ci_high is None
        assert "more prompts" in figures.noise_to_signal.reason

    def test_a_signal_that_cannot_be_told_from_zero_leaves_the_ratio_without_an_upper_end(self):
        found = [
            compare_reward_sets({"a": under(drawn(seed, signal=0.01))}, "a", seed=0, resamples=1000)["a"][0]
            for seed in range(8)
        ]

        weak = [item for item in found if item.noise_to_signal.value is not None and item.signal.ci_low <= 0]
        assert weak
        for item in weak:
            assert item.noise_to_signal.ci_low > 0
            assert item.noise_to_signal.ci_high is None
            assert "no upper end" in item.noise_to_signal.reason

    def test_dead_groups_everywhere_give_no_gradient_and_no_ratio(self):
        nothing = under(np.zeros((COUNT, 4)), rewards=np.zeros((COUNT, 2)), dead=np.ones(COUNT, dtype=bool))
        found = compare_reward_sets({"answer": nothing, "all": under(drawn(5))}, "answer", seed=0)

        figures, _ = found["answer"]
        _, changes = found["all"]
        assert figures.dead_share.value == 1
        assert figures.dead_share.ci_low < 1
        assert (figures.trace.value, figures.trace.ci_high) == (0, None)
        assert figures.noise_to_signal == Estimate(None, reason="every group is dead: there is no gradient")
        assert changes.trace.value is None
        assert changes.noise_to_signal.value is None
        assert changes.dead_share.value == -1

    def test_a_set_that_kills_every_group_has_no_ratio_against_a_live_baseline(self):
        nothing = under(np.zeros((COUNT, 4)), rewards=np.zeros((COUNT, 2)), dead=np.ones(COUNT, dtype=bool))

        _, changes = compare_reward_sets({"answer": under(drawn(5)), "bbox": nothing}, "answer", seed=0)["bbox"]

        assert changes.trace == Estimate(-1.0, -1.0, -1.0)
        assert changes.noise_to_signal.value is None

    def test_no_number_in_a_result_is_infinite_or_nan(self):
        sets = {
            "answer": under(drawn(6, signal=0.0)),
            "weak": under(drawn(7, signal=0.005)),
            "dead": under(np.zeros((COUNT, 20)), rewards=np.ones((COUNT, 2)), dead=np.ones(COUNT, dtype=bool)),
            "one alive": under(np.eye(COUNT, 20)[::-1] * 0 + np.outer(np.arange(COUNT) == 3, np.ones(20))),
        }

        found = compare_reward_sets(sets, "answer", seed=0)

        from dataclasses import asdict

        rows = [[asdict(figures), None if changes is None else asdict(changes)] for figures, changes in found.values()]
        json.dumps(rows, allow_nan=False)


class TestPairedChanges:
    def test_a_change_between_signals_that_cannot_be_told_from_zero_has_no_upper_end(self):
        found = []
        for seed in range(12):
            sets = {"answer": under(drawn(seed, signal=0.01)), "all": under(drawn(100 + seed, signal=0.01))}
            figures, changes = compare_reward_sets(sets, "answer", seed=0, resamples=1000)["all"]
            if changes.noise_to_signal.value is not None and figures.noise_to_signal.ci_high is None:
                found.append(changes.noise_to_signal)

        assert found
        for change in found:
            assert change.ci_high is None
            assert change.ci_low == pytest.approx(-1)
            assert "no upper end" in change.reason

    def test_scaling_all_gradients_changes_the_trace_and_not_the_ratio(self):
        gradients = drawn(8)
        _, changes = compare_reward_sets({"answer": under(gradients), "all": under(3 * gradients)}, "answer", seed=0)[
            "all"
        ]

        for end in (changes.trace.value, changes.trace.ci_low, changes.trace.ci_high):
            assert end == pytest.approx(8.0, rel=1e-5)
        for end in (changes.noise_to_signal.value, changes.noise_to_signal.ci_low, changes.noise_to_signal.ci_high):
            assert end == pytest.approx(0.0, abs=1e-5)

    def test_less_noise_around_the_same_mean_is_seen_on_the_same_prompts(self):
        gradients = drawn(9, count=200)
        mean = np.full(20, math.sqrt(1 / 20))
        quieter = mean + (gradients - mean) * math.sqrt(0.73)

        _, changes = compare_reward_sets({"answer": under(gradients), "all": under(quieter)}, "answer", seed=0)["all"]

        assert changes.trace.value == pytest.approx(-0.27, abs=1e-5)
        assert changes.noise_to_signal.ci_low < -0.27 < changes.noise_to_signal.ci_high < 0

    def test_the_baseline_has_no_changes(self):
        assert compare_reward_sets({"a": under(drawn(1))}, "a", seed=0)["a"][1] is None

    @pytest.mark.slow
    @pytest.mark.parametrize("uneven", [False, True])
    def test_intervals_hold_the_truth_about_as_often_as_they_say(self, uneven):
        rng = np.random.default_rng(11)
        held = dict.fromkeys(("trace", "signal", "noise_to_signal", "change"), 0)
        runs, width, truth = 80, 100, 20.0
        mean = np.full(width, math.sqrt(1 / truth / width))
        for run in range(runs):
            noise = rng.standard_normal((100, width)) / math.sqrt(width)
            if uneven:  # half of the groups dead, the others of different strength; the trace stays 1
                noise *= math.sqrt(2) * (rng.random((100, 1)) < 0.5) * rng.gamma(4, 0.25, (100, 1)) / math.sqrt(1.25)
            sets = {"a": under(mean + noise), "b": under(2 * mean + 1.7 * noise)}
            found = compare_reward_sets(sets, "a", seed=run, resamples=1000)
            figures, changes = found["a"][0], found["b"][1]
            for name, estimate, true in (
                ("trace", figures.trace, 1.0),
                ("signal", figures.signal, 1 / truth),
                ("noise_to_signal", figures.noise_to_signal, truth),
                ("change", changes.noise_to_signal, 0.7225 - 1),
            ):
                held[name] += estimate.ci_low <= true <= (math.inf if estimate.ci_high is None else estimate.ci_high)

        assert min(held.values()) / runs >= 0.90, held


class TestWhatTheFiguresSay:
    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (Estimate(-0.3, -0.4, -0.2), "falls; -27 % is inside the interval"),
            (Estimate(2.9, 2.0, 4.0), "rises; -27 % is outside the interval"),
            (Estimate(-0.1, -0.35, 0.2), "no change can be told; -27 % is inside the interval"),
            (Estimate(-0.05, -0.1, 0.02), "no change can be told; -27 % is outside the interval"),
            (Estimate(-0.1, -0.5, None, "no upper end"), "no change can be told; -27 % is inside the interval"),
            (Estimate(None, reason="too few"), "not measurable (too few)"),
            (Estimate(0.0, 0.0, 0.0), "no change can be told; -27 % is outside the interval"),
        ],
    )
    def test_a_claim_is_held_against_the_interval(self, change, words):
        assert describe_claim(change, -0.27) == words


class TestRefusals:
    def test_too_few_prompts(self):
        with pytest.raises(ValueError, match="at least 50"):
            compare_reward_sets({"a": under(drawn(1, count=49))}, "a", seed=0)

    def test_sets_over_different_prompts(self):
        with pytest.raises(ValueError, match="the same prompts"):
            compare_reward_sets({"a": under(drawn(1)), "b": under(drawn(1, count=51))}, "a", seed=0)

    def test_too_few_draws(self):
        with pytest.raises(ValueError, match="1000 draws"):
            compare_reward_sets({"a": under(drawn(1))}, "a", seed=0, resamples=999)
