"""Settings are checked as a whole, by field, before any model loads; every profile builds TRL's full configuration."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.errors import ConfigError
from training.profiles import PROFILE_NAMES, PROFILES
from training.settings import PRESETS, GrpoSettings, merge_tables, read_toml, train_settings

CASES = json.loads((Path(__file__).parents[1] / "cases" / "train_settings.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CASES, ids=[case["about"] for case in CASES])
def test_faults_are_named_by_field_and_all_together(case):
    if not case["faults"]:
        assert train_settings(case["stage"], case["table"], where="c.toml").model == case["table"]["model"]
        return

    with pytest.raises(ConfigError) as caught:
        train_settings(case["stage"], case["table"], where="c.toml")

    assert str(caught.value).startswith("c.toml: ")
    assert [fault for fault in case["faults"] if fault not in str(caught.value)] == []


def test_the_paper_preset_carries_the_published_values():
    found = train_settings("grpo", {"model": "m", "data": "d", "output": "o", "preset": "paper"}, where="c.toml")

    assert isinstance(found, GrpoSettings)
    chosen, rollouts, objective = found.optimisation, found.rollouts, found.objective
    assert (chosen.learning_rate, chosen.warmup, chosen.batch_size, chosen.accumulation) == (1e-6, 0.01, 4, 2)
    assert (rollouts.generations, rollouts.temperature, rollouts.top_p, rollouts.top_k) == (16, 1.0, 0.9, 50)
    assert (rollouts.max_completion_tokens, rollouts.iterations, objective.beta) == (512, 1, 0.001)
    assert found.process_count == 4
    assert list(found.rewards.weights) == ["format", "bbox", "answer", "caption"]
    assert set(found.rewards.weights.values()) == {1.0}


def test_a_file_wins_over_its_preset_key_by_key():
    table = {"model": "m", "data": "d", "output": "o", "preset": "paper", "rollouts": {"generations": 8}}

    found = train_settings("grpo", table, where="c.toml")

    assert isinstance(found, GrpoSettings)
    assert (found.rollouts.generations, found.rollouts.top_k) == (8, 50)


def test_named_weights_replace_the_default_as_a_whole():
    below = {"rewards": {"weights": {"format": 1, "bbox": 1}, "protocol": "paper"}}

    found = merge_tables(below, {"rewards": {"weights": {"answer": 1}}})

    assert found == {"rewards": {"weights": {"answer": 1}, "protocol": "paper"}}


def test_presets_are_valid_on_their_own():
    for stages in PRESETS.values():
        for stage, table in stages.items():
            train_settings(stage, {"model": "m", "data": "d", "output": "o", **table}, where="preset")


@pytest.mark.parametrize("text", ["model = ", "\xff\xfe"])
def test_a_file_that_is_no_toml_is_a_clear_error(tmp_path, text):
    file = tmp_path / "c.toml"
    file.write_bytes(text.encode("latin-1"))

    with pytest.raises(ConfigError, match="is not valid TOML"):
        read_toml(file)


def test_a_missing_file_is_a_clear_error(tmp_path):
    with pytest.raises(ConfigError, match="cannot read"):
        read_toml(tmp_path / "none.toml")


def test_every_profile_has_its_name():
    assert set(PROFILE_NAMES) == set(PROFILES)
