import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.stages.gradient_noise import (
    MEASURES,
    GradientSketch,
    NoEstimate,
    NoiseEstimate,
    noise_to_signal,
    pool_noise,
    why_unsupported,
)


def linear(width: int) -> torch.nn.Linear:
    """A model whose gradient for the loss w·x is x itself."""
    return torch.nn.Linear(width, 1, bias=False)


def backward(model: torch.nn.Linear, wanted_gradient: torch.Tensor) -> None:
    model(wanted_gradient.to(model.weight.dtype)).sum().backward()


def window(model: torch.nn.Linear, sketch: GradientSketch, gradients_km: torch.Tensor) -> NoiseEstimate | NoEstimate:
    """Accumulate as the Trainer does: each micro-batch's loss divided by their number."""
    model.zero_grad()
    for gradient in gradients_km:
        backward(model, gradient / len(gradients_km))
        sketch.add_micro_batch()
    return sketch.finish_window()


class TestOneWindow:
    def test_two_opposite_micro_batches_are_all_noise(self):
        model = linear(3)
        sketch = GradientSketch(model.named_parameters(), coordinates=3)

        found = window(model, sketch, torch.tensor([[1.0, 2.0, 2.0], [-1.0, -2.0, -2.0]]))

        assert isinstance(found, NoiseEstimate)
        assert found.variance == pytest.approx(18)
        assert found.mean2 == pytest.approx(-9)
        assert found.noise_to_signal is None

    def test_equal_micro_batches_are_all_signal(self):
        model = linear(3)
        sketch = GradientSketch(model.named_parameters(), coordinates=3)

        found = window(model, sketch, torch.tensor([[1.0, 2.0, 2.0]] * 4))

        assert isinstance(found, NoiseEstimate)
        assert found.variance == pytest.approx(0, abs=1e-12)
        assert found.mean2 == pytest.approx(9)
        assert found.noise_to_signal == pytest.approx(0, abs=1e-12)

    def test_a_window_begins_anew_after_the_last(self):
        model = linear(3)
        sketch = GradientSketch(model.named_parameters(), coordinates=3)
        window(model, sketch, torch.randn(4, 3))

        found = window(model, sketch, torch.tensor([[1.0, 2.0, 2.0]] * 2))

        assert isinstance(found, NoiseEstimate)
        assert (found.micro_batches, found.variance, found.mean2) == (2, pytest.approx(0, abs=1e-12), pytest.approx(9))

    @given(
        st.lists(
            st.lists(st.floats(-100, 100, width=32), min_size=5, max_size=5),
            min_size=2,
            max_size=6,
        )
    )
    def test_it_equals_numpys_variance_of_the_micro_batches(self, rows):
        gradients_km = torch.tensor(rows, dtype=torch.float64)
        model = linear(5).double()
        sketch = GradientSketch(model.named_parameters(), coordinates=5)

        found = window(model, sketch, gradients_km)

        variance = gradients_km.var(dim=0, unbiased=True).sum().item()
        mean2 = gradients_km.mean(dim=0).square().sum().item() - variance / len(rows)
        assert isinstance(found, NoiseEstimate)
        assert found.variance == pytest.approx(variance, rel=1e-4, abs=1e-2)
        assert found.mean2 == pytest.approx(mean2, rel=1e-4, abs=1e-2)

    @pytest.mark.parametrize("micro_batches", [0, 1])
    def test_fewer_than_two_micro_batches_give_a_reason_and_no_number(self, micro_batches):
        model = linear(3)
        sketch = GradientSketch(model.named_parameters())

        found = window(model, sketch, torch.ones(micro_batches, 3))

        assert isinstance(found, NoEstimate)
        assert "gradient_accumulation_steps" in found.reason

    @pytest.mark.parametrize("bad", [math.nan, math.inf])
    def test_a_gradient_that_is_not_finite_gives_a_reason_and_the_next_window_is_clean(self, bad):
        model = linear(2)
        sketch = GradientSketch(model.named_parameters())

        broken = window(model, sketch, torch.tensor([[bad, 0.0], [1.0, 1.0]]))
        after = window(model, sketch, torch.tensor([[1.0, 1.0], [1.0, 1.0]]))

        assert isinstance(broken, NoEstimate)
        assert isinstance(after, NoiseEstimate)
        assert after.mean2 == pytest.approx(2)


class TestManyWindows:
    """Means over many windows against the covariance that the gradients were drawn with."""

    def test_variance_and_signal_are_unbiased_for_the_true_covariance(self):
        generator = torch.Generator().manual_seed(3)
        width, micro_batches, windows = 40, 4, 2_000
        mean = torch.randn(width, generator=generator) * 0.3
        root = torch.randn(width, width, generator=generator) / width**0.5
        trace, signal = (root @ root.T).trace().item(), mean.square().sum().item()
        model = linear(width)
        sketch = GradientSketch(model.named_parameters(), coordinates=width)

        found = [
            window(model, sketch, mean + torch.randn(micro_batches, width, generator=generator) @ root.T)
            for _ in range(windows)
        ]

        estimates = [estimate for estimate in found if isinstance(estimate, NoiseEstimate)]
        assert len(estimates) == windows
        # 5 standard errors of the mean over the windows
        for values, truth in (([e.variance for e in estimates], trace), ([e.mean2 for e in estimates], signal)):
            column = torch.tensor(values)
            assert abs(column.mean().item() - truth) < 5 * column.std().item() / windows**0.5
        assert pool_noise(estimates) == pytest.approx(trace / signal, rel=0.1)

    def test_a_subset_of_coordinates_is_unbiased_for_all_of_them(self):
        gradients_km = torch.randn(3, 60, generator=torch.Generator().manual_seed(5)) + 0.5
        model = linear(60)
        whole = window(model, GradientSketch(model.named_parameters(), coordinates=60), gradients_km)

        parts = [
            window(model, GradientSketch(model.named_parameters(), coordinates=6, seed=seed), gradients_km)
            for seed in range(800)
        ]

        assert isinstance(whole, NoiseEstimate)
        values = torch.tensor([part.variance for part in parts if isinstance(part, NoiseEstimate)])
        assert abs(values.mean().item() - whole.variance) < 5 * values.std().item() / len(values) ** 0.5


class TestCoordinates:
    def test_the_same_seed_watches_the_same_coordinates(self):
        model = torch.nn.Sequential(torch.nn.Linear(30, 20), torch.nn.Linear(20, 10))
        model(torch.randn(7, 30)).square().sum().backward()

        first, again, other = (
            GradientSketch(model.named_parameters(), coordinates=50, seed=seed).read() for seed in (1, 1, 2)
        )

        assert torch.equal(first, again)
        assert not torch.equal(first, other)

    @given(st.integers(1, 400), st.integers(1, 100), st.integers(0, 1000))
    def test_each_coordinate_is_watched_at_most_once(self, width, coordinates, seed):
        model = linear(width)
        model.weight.grad = torch.arange(width, dtype=torch.float32)[None] + 1

        watched = GradientSketch(model.named_parameters(), coordinates=coordinates, seed=seed).read()

        assert len(watched) == min(width, coordinates)
        assert len(set(watched.tolist())) == len(watched)
        assert watched.tolist() == sorted(watched.tolist())

    def test_frozen_parameters_are_left_out(self):
        model = torch.nn.Sequential(torch.nn.Linear(30, 20), torch.nn.Linear(20, 10))
        model[0].requires_grad_(requires_grad=False)

        sketch = GradientSketch(model.named_parameters(), coordinates=10_000)

        assert (sketch.dimension, sketch.coordinates, sketch.scale) == (210, 210, 1.0)

    def test_a_parameter_without_a_gradient_reads_as_zero(self):
        model = linear(4)

        assert GradientSketch(model.named_parameters()).read().tolist() == [0.0] * 4

    def test_the_global_random_state_is_left_alone(self):
        before = torch.random.get_rng_state()

        GradientSketch(linear(5000).named_parameters(), coordinates=100, seed=9)

        # the layer itself draws its weights; only the sketch must not
        after_layer = torch.random.get_rng_state()
        torch.random.set_rng_state(before)
        linear(5000)
        assert torch.equal(after_layer, torch.random.get_rng_state())

    @pytest.mark.parametrize(("width", "coordinates"), [(0, 5), (5, 0), (5, -1)])
    def test_nothing_to_watch_is_refused(self, width, coordinates):
        parameters = [("w", torch.nn.Parameter(torch.zeros(width)))]

        with pytest.raises(ValueError, match="trainable coordinates"):
            GradientSketch(parameters, coordinates=coordinates)


class TestRatios:
    @pytest.mark.parametrize(
        ("variance", "mean2", "ratio"),
        [(6.0, 2.0, 3.0), (6.0, 0.0, None), (6.0, -1.0, None), (math.nan, 1.0, None), (1.0, math.inf, None)],
    )
    def test_no_signal_means_no_ratio(self, variance, mean2, ratio):
        assert noise_to_signal(variance, mean2) == ratio

    def test_pooled_steps_are_a_ratio_of_means(self):
        steps = [NoiseEstimate(4, 10.0, -1.0, 5, 5), NoiseEstimate(4, 20.0, 4.0, 5, 5)]

        assert pool_noise(steps) == 10.0

    def test_no_steps_have_no_ratio(self):
        assert pool_noise([]) is None

    def test_steps_of_different_windows_are_not_pooled(self):
        with pytest.raises(ValueError, match="different numbers of micro-batches"):
            pool_noise([NoiseEstimate(4, 1.0, 1.0, 5, 5), NoiseEstimate(3, 1.0, 1.0, 5, 5)])


class TestSupport:
    @pytest.mark.parametrize("kind", ["MULTI_GPU", "DEEPSPEED", "FSDP", "MULTI_CPU"])
    def test_more_than_one_process_is_refused_with_the_way_out(self, kind):
        reason = why_unsupported(SimpleNamespace(distributed_type=kind, scaler=None))

        assert reason is not None
        assert kind in reason
        assert "variance-probe" in reason

    def test_a_loss_scaler_is_refused(self):
        assert "fp16" in str(why_unsupported(SimpleNamespace(distributed_type="NO", scaler=object())))

    def test_accelerate_in_one_process_is_supported(self):
        from accelerate import Accelerator

        assert why_unsupported(Accelerator(cpu=True)) is None

    def test_every_measure_is_explained(self):
        assert set(MEASURES) == {"grad_norm_series", "micro_batch_noise", "fixed_policy_probe"}
