"""Settings are checked as a whole, by field, before any model loads; every profile builds TRL's full configuration."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.errors import ConfigError
from training.loop.settings import LoopSettings, loop_settings
from training.stages.profiles import PROFILE_NAMES, PROFILES
from training.stages.rewards import REWARD_NAMES
from training.stages.settings import (
    ALIASES,
    PRESETS,
    GrpoSettings,
    SftSettings,
    key_paths,
    merge_tables,
    read_toml,
    train_settings,
)

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
    assert [word for word in case.get("not_said", []) if word in str(caught.value)] == []


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


@pytest.mark.parametrize("stage", ["sft", "grpo"])
def test_the_paper_preset_in_one_process_makes_steps_of_as_many_examples(stage):
    table = {"model": "m", "data": "d", "output": "o", "preset": "paper"}

    many = train_settings(stage, table, where="c.toml")
    one = train_settings(stage, {**table, "profile": "single-gpu"}, where="c.toml")

    assert (many.process_count, one.process_count) == (4, 1)
    assert many.optimisation.batch_size == one.optimisation.batch_size
    assert many.optimisation.accumulation * many.process_count == one.optimisation.accumulation


@pytest.mark.parametrize("kind", [SftSettings, GrpoSettings, LoopSettings])
def test_every_alias_leads_to_a_setting_of_some_stage(kind):
    paths = {path for some in (SftSettings, GrpoSettings, LoopSettings) for path in key_paths(some)}

    assert not [alias for alias in ALIASES if alias in key_paths(kind) and "." in ALIASES[alias]]
    targets = set(ALIASES.values()) - set(REWARD_NAMES)
    assert [target for target in targets if not any(f".{path}".endswith(f".{target}") for path in paths)] == []


@pytest.mark.parametrize(
    ("table", "hint"),
    [
        ({"lr": 1e-5}, "'sft.optimisation.learning_rate' or 'grpo.optimisation.learning_rate'"),
        ({"output_dir": "x"}, "'out'"),
        ({"limit": 3}, "'benchmark.limit'"),
        ({"num_generations": 8}, "'grpo.rollouts.generations'"),
        ({"grpo": {"kl_coef": 1}}, "'objective.beta'"),
        ({"benchmark": {"task": "shapes"}}, "'tasks'"),
    ],
)
def test_a_loops_unknown_keys_are_looked_for_in_its_stages_too(table, hint):
    with pytest.raises(ConfigError, match=f"Did you mean {hint}"):
        loop_settings({"name": "n", "model": "m", **table}, where="loop.toml")


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
