"""Training figures of arms: one threshold for all, never a number where there is none."""

from __future__ import annotations

import json

import pytest

from training.loop.learning import WATCHED, learning_markdown, learning_of
from training.stages.train import LOG_NAME


def write(folder, values, **other):
    folder.mkdir()
    log = [{"step": step, WATCHED: value, **other} for step, value in enumerate(values, start=1)]
    (folder / LOG_NAME).write_text(json.dumps([*log, {"train_runtime": 1.0, "step": len(values)}]))
    return folder


def test_the_first_arm_sets_the_threshold_for_all(tmp_path):
    logs = {
        "satori-grpo": write(tmp_path / "a", [0.2] * 20 + [0.6] * 20, frac_reward_zero_std=0.25),
        "freeform-grpo": write(tmp_path / "b", [0.3] * 40),
    }

    first, second = learning_of(logs, {"satori-grpo": 64, "freeform-grpo": 64})

    assert first.threshold == second.threshold == pytest.approx(0.4)
    assert (first.reached_step, first.reached_completions) == (30, 1920)
    assert (second.reached_step, second.reached_completions) == (None, None)
    assert (first.dead_groups, second.dead_groups) == (0.25, None)


def test_noise_without_a_signal_is_no_number(tmp_path):
    noise = {"gradient_noise/variance": 2.0, "gradient_noise/signal": -0.1}
    logs = {"satori-grpo": write(tmp_path / "a", [0.2] * 40, **noise)}

    (found,) = learning_of(logs, {"satori-grpo": 64})

    assert found.noise_to_signal is None
    assert "no signal above noise" in learning_markdown([found])[-1]


def test_a_stage_too_short_to_say_anything_says_nothing(tmp_path):
    assert learning_of({"a": write(tmp_path / "a", [0.5] * 5)}, {"a": 64}) == ()
    assert learning_of({}, {}) == ()
    assert learning_markdown([]) == []


def test_a_first_arm_without_a_gain_sets_no_threshold(tmp_path):
    logs = {"satori-grpo": write(tmp_path / "a", [0.7] * 20 + [0.6] * 20)}

    (found,) = learning_of(logs, {"satori-grpo": 64})

    assert (found.threshold, found.reached_step, found.reached_completions) == (None, None, None)
    assert "shows no gain" in "\n".join(learning_markdown([found]))
