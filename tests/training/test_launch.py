"""A launch is laid out before it happens: command, algebra, memory, configurations that TRL and accelerate accept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from accelerate.commands.config.config_args import load_config_from_file
from click.testing import CliRunner

from satori_bench.app import cli
from training.stages.launch import plan_launch, step_algebra, write_launch_file
from training.stages.machine import Machine
from training.stages.profiles import PROFILE_NAMES, PROFILES
from training.stages.settings import train_settings

BARE = Machine(0, 79.0, "an 80 GB GPU", has_bfloat16=False, torch="2", has_package=bool, answers=lambda *_: False)
"""No GPU."""


def settings(model: Path, folder: Path, stage: str = "grpo", **other):
    table = {"model": str(model), "data": "shapes:tiny", "output": str(folder / "out"), **other}
    return train_settings(stage, table, where="c.toml")


@pytest.mark.parametrize("name", PROFILE_NAMES)
@pytest.mark.parametrize("stage", ["sft", "grpo"])
def test_every_profile_builds_trls_whole_configuration(tiny_qwen2_5_vl, tmp_path, stage, name):
    plan = plan_launch(settings(tiny_qwen2_5_vl, tmp_path, stage, profile=name), Path("c.toml"), BARE)

    json.dumps(plan.to_json())
    assert plan.arguments["report_to"] in ("none", [], ["none"])
    assert plan.arguments["push_to_hub"] is False
    assert plan.arguments["remove_unused_columns"] is False
    assert plan.arguments["bf16"] is (name != "cpu-tiny")


@pytest.mark.parametrize("name", [name for name in PROFILE_NAMES if PROFILES[name].launch is not None])
def test_accelerate_reads_a_launched_profiles_configuration_back(tiny_qwen2_5_vl, tmp_path, name):
    chosen = settings(tiny_qwen2_5_vl, tmp_path, profile=name, processes=4)
    plan = plan_launch(chosen, Path("c.toml"), BARE)

    file = write_launch_file(plan, chosen)

    found = load_config_from_file(str(file))
    assert found.num_processes == 4
    assert yaml.safe_load(file.read_text(encoding="utf-8")) == plan.accelerate
    assert str(file) in plan.command
    assert plan.environment == {"PYTHONSAFEPATH": "1"}


def test_the_algebra_counts_prompts_and_completions_over_all_processes(tiny_qwen2_5_vl, tmp_path):
    chosen = settings(
        tiny_qwen2_5_vl,
        tmp_path,
        profile="zero3",
        processes=4,
        optimisation={"batch_size": 4, "accumulation": 2},
        rollouts={"generations": 16, "max_completion_tokens": 512},
    )

    algebra = step_algebra(chosen)

    assert algebra == [
        "completions per optimiser step: 4 per device x 2 micro-batches x 4 processes = 32",
        "prompts per optimiser step: 32 / 16 generations = 2",
        "generated tokens per optimiser step, at most: 16384",
    ]


def test_vllm_profiles_warn_of_images_that_are_expanded_twice(tiny_qwen2_5_vl, tmp_path):
    plan = plan_launch(settings(tiny_qwen2_5_vl, tmp_path, profile="vllm-colocate"), Path("c.toml"), BARE)

    assert any("issue 6294" in note for note in plan.notes)
    assert plan.arguments["use_vllm"] is True
    assert plan.arguments["vllm_mode"] == "colocate"


def test_a_dry_run_prints_command_algebra_memory_and_arguments(tiny_qwen2_5_vl, tmp_path):
    file = tmp_path / "grpo.toml"
    file.write_text(
        f'model = "{tiny_qwen2_5_vl}"\ndata = "shapes:tiny"\noutput = "{tmp_path}/out"\npreset = "paper"\n',
        encoding="utf-8",
    )

    result = CliRunner().invoke(
        cli, ["train", "grpo", "--config", str(file), "--profile", "zero3", "--dry-run"], standalone_mode=False
    )

    assert result.exception is None
    assert result.stdout.startswith("PYTHONSAFEPATH=1 ")
    assert "accelerate.commands.launch" in result.stdout
    assert "--profile zero3" in result.stdout.splitlines()[0]
    assert "prompts per optimiser step: 32 / 16 generations = 2" in result.stdout
    assert '"learning_rate": 1e-06' in result.stdout
    assert '"zero_stage": 3' in result.stdout
    assert list(tmp_path.iterdir()) == [file]
