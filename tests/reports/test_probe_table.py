import io

import pytest

from reports.terminal.probe_table import probe_lines, probe_table
from reports.terminal.tables import write


def estimate(value, low=None, high=None, reason=""):
    return {"value": value, "ci_low": low, "ci_high": high, "reason": reason}


def found(*, noise=None, change=None) -> dict:
    figures = {
        "trace": estimate(0.1234, 0.1, 0.15),
        "signal": estimate(0.001, 0.0, 0.002),
        "noise_to_signal": noise or estimate(123.4, 100.0, 150.0),
        "dead_share": estimate(0.26, 0.2, 0.33),
        "mean_reward": estimate(2.5, 2.4, 2.6),
    }
    changes = {
        "trace": estimate(2.88, 2.0, 4.0),
        "noise_to_signal": change or estimate(-0.103, -0.3, 0.2),
        "dead_share": estimate(-0.28, -0.35, -0.2),
    }
    claim = {"trace": "rises; -27 % is outside the interval", "noise_to_signal": "no change can be told"}
    return {
        "measure_is": "what it is",
        "baseline": "answer",
        "claimed_change": -0.27,
        "prompts": 250,
        "generations": 8,
        "manifest": {"scale_rewards": "group", "loss_type": "grpo", "coordinates": 20_000, "dimension": 1_808_000},
        "rows": [
            {"reward_set": "answer", **figures, "change": None, "claim": None},
            {"reward_set": "all", **figures, "change": changes, "claim": claim},
        ],
    }


def written(**parts) -> str:
    stream = io.StringIO()
    write(probe_table(found(**parts)), stream)
    return stream.getvalue()


@pytest.mark.parametrize(
    "text",
    ["0.123 [0.1, 0.15]", "123 [100, 150]", "26.0 [20.0, 33.0]", "+288.0 [+200.0, +400.0]", "-28.0 [-35.0, -20.0]"],
)
def test_every_number_stands_beside_its_interval(text):
    assert text in written()


def test_the_baseline_is_not_compared_with_itself():
    line = next(line for line in written().splitlines() if "answer  " in line)

    assert "+" not in line


def test_a_ratio_that_does_not_exist_is_a_dash_with_what_bounds_it():
    assert "– [80, ∞]" in written(noise=estimate(None, 80.0, None, "no signal"))
    assert "– [" not in written(noise=estimate(None, None, None, "every group is dead"))


def test_an_end_that_nothing_bounds_is_infinite_and_not_left_out():
    assert "-10.3 [-30.0, ∞]" in written(change=estimate(-0.103, -0.3, None, "no upper end"))


def test_the_lines_say_which_measure_it_is_and_what_it_says_of_the_claim():
    lines = probe_lines(found())

    assert lines[0] == "fixed-policy probe: what it is"
    assert "250 prompts x 8 completions" in lines[1]
    assert "all against answer, tr Cov: rises; -27 % is outside the interval" in lines
    assert lines[-1].startswith("-27 % is what SATORI's paper claims")
