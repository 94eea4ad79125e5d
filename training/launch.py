"""Say how a training run would be launched, before it is: command, batch algebra, memory, every resolved argument.

The same plan starts the profiles that need several processes. Nothing here needs a GPU: TRL's arguments are built as
they would be there, with the device check alone switched off, and accelerate reads back the configuration it would get.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from safetensors import safe_open

from harness.checkpoint import Checkpoint, inspect_checkpoint
from harness.errors import ConfigError
from training.profiles import PROFILES, launch_configuration
from training.settings import GrpoSettings, TrainSettings
from training.trl_arguments import grpo_arguments, sft_arguments

_GIB = 2**30


@dataclass(frozen=True, slots=True)
class LaunchPlan:
    """What would be started."""

    command: tuple[str, ...]
    """The exact command; the program itself where no launcher is needed."""
    environment: Mapping[str, str]
    """Variables that are set beside it."""
    accelerate: Mapping[str, Any] | None
    """Content of accelerate's configuration file; None without a launcher."""
    algebra: tuple[str, ...]
    """How many prompts and completions a step has, in sentences."""
    memory: tuple[str, ...]
    """What weights, gradients and optimiser states need per device, in sentences."""
    arguments: Mapping[str, Any]
    """TRL's configuration, resolved."""
    notes: tuple[str, ...]
    """What to know before starting."""

    def to_json(self) -> dict[str, Any]:
        """Return the versioned JSON object."""
        return {
            "schema": 1,
            "command": list(self.command),
            "environment": dict(self.environment),
            "accelerate": None if self.accelerate is None else dict(self.accelerate),
            "algebra": list(self.algebra),
            "memory": list(self.memory),
            "arguments": dict(self.arguments),
            "notes": list(self.notes),
        }


def plan_launch(settings: TrainSettings, config_file: Path) -> LaunchPlan:
    """Lay out a launch.

    Args:
        settings: What is trained.
        config_file: The TOML file that the launched processes read.

    Raises:
        ConfigError: The checkpoint cannot be trained, or accelerate or TRL refuse the configuration.
    """
    profile = PROFILES[settings.profile]
    checkpoint = inspect_checkpoint(settings.model)
    program = ("-m", "satori_bench", "train", settings.stage, "--config", str(config_file))
    accelerate = None
    command = (sys.executable, "-P", *program)
    if profile.launch is not None:
        accelerate = launch_configuration(profile, settings.process_count)
        file = launch_file(settings)
        command = (sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(file), *program)
    return LaunchPlan(
        command=command,
        environment={"PYTHONSAFEPATH": "1"} if profile.launch is not None else {},
        accelerate=accelerate,
        algebra=tuple(_algebra(settings)),
        memory=tuple(_memory(settings, checkpoint)),
        arguments=_resolved(settings),
        notes=tuple(note for note in (profile.note, _vllm_note(settings)) if note),
    )


def launch_file(settings: TrainSettings) -> Path:
    """Return where accelerate's configuration of a run is written."""
    return settings.output.with_name(f"{settings.output.name}.accelerate.yaml")


def write_launch_file(plan: LaunchPlan, settings: TrainSettings) -> Path:
    """Write accelerate's configuration and let accelerate read it back.

    Raises:
        ConfigError: accelerate does not accept it.
    """
    from accelerate.commands.config.config_args import load_config_from_file  # noqa: PLC0415 - takes a second

    file = launch_file(settings)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(dict(plan.accelerate or {}), sort_keys=True), encoding="utf-8")
    try:
        load_config_from_file(str(file))
    except (KeyError, TypeError, ValueError) as fault:
        raise ConfigError(f"accelerate does not accept {file}: {fault}") from fault
    return file


def launch(plan: LaunchPlan) -> int:
    """Start the processes, wait for them, and return their exit code."""
    return subprocess.run(plan.command, env={**os.environ, **plan.environment}, check=False).returncode  # noqa: S603 - our own command


def is_launched() -> bool:
    """Whether this process was started by a launcher."""
    return "WORLD_SIZE" in os.environ


def parameter_count(checkpoint: Checkpoint) -> int:
    """Count a checkpoint's parameters from the headers of its safetensors files; 0 where it has none."""
    count = 0
    for file in sorted(checkpoint.model_path.glob("*.safetensors")):
        with safe_open(str(file), framework="numpy") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - not a mapping
                size = 1
                for side in tensors.get_slice(name).get_shape():
                    size *= side
                count += size
    return count


def _algebra(settings: TrainSettings) -> list[str]:
    """Say how a step is made up."""
    chosen, processes = settings.optimisation, settings.process_count
    rows = chosen.batch_size * chosen.accumulation * processes
    product = f"{chosen.batch_size} per device x {chosen.accumulation} micro-batches x {processes} processes = {rows}"
    if not isinstance(settings, GrpoSettings):
        return [f"examples per optimiser step: {product}"]
    group = settings.rollouts.generations
    return [
        f"completions per optimiser step: {product}",
        f"prompts per optimiser step: {rows} / {group} generations = {rows // group}",
        f"generated tokens per optimiser step, at most: {rows * settings.rollouts.max_completion_tokens}",
    ]


def _memory(settings: TrainSettings, checkpoint: Checkpoint) -> list[str]:
    """Estimate what each device holds besides activations."""
    profile = PROFILES[settings.profile]
    count = parameter_count(checkpoint)
    width = 2 if profile.dtype == "bfloat16" else 4
    shards = settings.process_count if profile.shards else 1
    trained = 0 if settings.lora is not None else count
    weights, gradients = count * width / shards, trained * width / shards
    # Adam keeps two float32 numbers a parameter; a sharded bfloat16 model also keeps a float32 master
    states = trained * (8 + (4 if width == 2 else 0)) / shards
    held = f"weights {weights / _GIB:.2f} GiB, gradients {gradients / _GIB:.2f} GiB, Adam {states / _GIB:.2f} GiB"
    lines = [f"{count:,} parameters in {profile.dtype}, over {shards} shard(s): {held} a device"]
    if settings.lora is not None:
        lines.append("LoRA: gradients and Adam states of the adapter alone, a small share of the weights, not counted")
    reference = 0.0
    if isinstance(settings, GrpoSettings) and settings.objective.beta > 0 and settings.lora is None:
        reference = count * width / shards
        lines.append(f"reference model for the KL term (beta > 0): {reference / _GIB:.2f} GiB a device")
    total = weights + gradients + states + reference
    lines.append(f"in all {total / _GIB:.2f} GiB a device before activations and generation, which depend on lengths")
    return lines


def _resolved(settings: TrainSettings) -> dict[str, Any]:
    """Return TRL's configuration as it would be on the profile's machine.

    Raises:
        ConfigError: TRL refuses it.
    """
    work = settings.output.with_name(settings.output.name + ".partial")
    overrides: dict[str, Any] = {"use_cpu": True}  # the device is checked where the run starts, not here
    there: dict[str, Any] = {"use_cpu": bool(PROFILES[settings.profile].common.get("use_cpu"))}
    try:
        if isinstance(settings, GrpoSettings):
            chosen = settings.optimisation
            # TRL multiplies by the processes that it sees, which here is one
            whole_step = chosen.batch_size * chosen.accumulation * settings.process_count
            there["steps_per_generation"] = chosen.accumulation
            arguments = grpo_arguments(settings, work, [], {**overrides, "generation_batch_size": whole_step})
        else:
            arguments = sft_arguments(settings, work, overrides)
    except (TypeError, ValueError) as fault:
        raise ConfigError(f"TRL does not accept these settings: {fault}") from fault
    resolved = {name: value for name, value in arguments.to_dict().items() if _is_plain(value)}
    return resolved | there


def _vllm_note(settings: TrainSettings) -> str:
    """Warn where vLLM may see other prompts than the trainer."""
    if not (isinstance(settings, GrpoSettings) and PROFILES[settings.profile].grpo.get("use_vllm")):
        return ""
    return (
        "TRL 1.16 hands vLLM prompts whose image tokens are already expanded; some families are expanded twice (trl "
        "issue 6294). Before a long run compare vLLM's greedy texts with `satori-bench run` on eight samples"
    )


def _is_plain(value: object) -> bool:
    """Whether a value can stand in JSON."""
    return value is None or isinstance(value, bool | int | float | str | list | dict)
