import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.loop.convergence import Reached, first_reaching


def history(*values: object, every: int = 10) -> list[dict[str, object]]:
    return [{"step": every * (place + 1), "reward": value} for place, value in enumerate(values)]


class TestOneRun:
    @pytest.mark.parametrize(
        ("values", "window", "step"),
        [
            ([0.0, 1.0, 2.0, 3.0], 1, 30),
            ([0.0, 1.0, 2.0, 3.0], 2, 40),
            ([2.0, 0.0, 0.0], 1, 10),
            ([2.0, 0.0, 0.0], 2, None),
            ([3.0], 2, None),
            ([], 1, None),
            ([0.0, math.nan, 5.0], 1, 30),
            ([0.0, math.inf, 0.0], 1, None),
            ([0.0, None, "5.0", 2.0], 1, 40),
            ([2.0, 2.0], 2, 20),
        ],
    )
    def test_the_first_window_at_the_threshold_counts(self, values, window, step):
        found = first_reaching(history(*values), "reward", 2.0, window)

        assert (found and found.step) == step

    def test_a_single_lucky_step_is_not_convergence(self):
        assert first_reaching(history(0.0, 5.0, 0.0, 0.0, 2.0, 2.0, 2.0), "reward", 2.0, 3) == Reached(70, None, 2.0, 3)

    def test_samples_are_steps_times_their_size(self):
        found = first_reaching(history(0.0, 2.0), "reward", 2.0, 1, samples_per_step=128)

        assert found == Reached(20, 2560, 2.0, 1)

    def test_order_does_not_matter_and_a_step_logged_again_replaces_the_first(self):
        entries = [{"step": 20, "reward": 9.0}, {"step": 10, "reward": 0.0}, {"step": 20, "reward": 1.0}, {"step": 30}]

        assert first_reaching(entries, "reward", 2.0, 1) is None
        assert first_reaching(entries, "reward", 1.0, 1) == Reached(20, None, 1.0, 1)

    @pytest.mark.parametrize(("window", "samples"), [(0, None), (-1, None), (1, 0)])
    def test_wrong_numbers_are_refused(self, window, samples):
        with pytest.raises(ValueError, match="at least 1"):
            first_reaching(history(1.0), "reward", 1.0, window, samples_per_step=samples)

    @given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.floats(0, 1), st.floats(0, 1), st.integers(1, 5))
    def test_a_higher_threshold_is_never_reached_earlier(self, values, one, other, window):
        low, high = (
            first_reaching(history(*values), "reward", threshold, window) for threshold in sorted((one, other))
        )

        assert high is None or (low is not None and low.step <= high.step)
