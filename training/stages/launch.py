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

from harness.errors import ConfigError
from harness.values import Size
from training.data.shapes import LARGEST_CANVAS, shapes_profile
from training.data.store import read_examples
from training.stages.machine import Machine, machine_faults
from training.stages.memory import fit_text, fits, longest, memory_need
from training.stages.model_shape import ModelShape, model_shape, unknown_shape_text
from training.stages.profiles import PROFILES, launch_configuration
from training.stages.settings import GrpoSettings, TrainSettings
from training.stages.trl_arguments import grpo_arguments, sft_arguments


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """What each device holds."""

    lines: tuple[str, ...]
    """In sentences, with the number formats that are trained in and what was assumed."""
    fits: bool | None
    """Whether a GPU has room for it; None on the CPU, and where the model's sizes are not known."""


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
    memory: MemoryPlan
    """What each device holds."""
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
            "memory": list(self.memory.lines),
            "fits": self.memory.fits,
            "arguments": dict(self.arguments),
            "notes": list(self.notes),
        }


def plan_launch(settings: TrainSettings, config_file: Path, machine: Machine) -> LaunchPlan:
    """Lay out a launch; nothing is loaded, downloaded or written.

    Args:
        settings: What is trained.
        config_file: The TOML file that the launched processes read.
        machine: Whose GPU the memory is held against; the plan may be for another one.

    Raises:
        ConfigError: There is no such checkpoint or data, or TRL refuses the configuration.
    """
    profile = PROFILES[settings.profile]
    # the profile may not be the file's own
    options = ("--config", str(config_file), "--profile", settings.profile)
    program = ("-m", "satori_bench", "train", settings.stage, *options)
    accelerate = None
    command = (sys.executable, "-P", *program)
    if profile.launch is not None:
        accelerate = launch_configuration(profile, settings.process_count)
        file = launch_file(settings)
        command = (sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(file), *program)
    lacking = [f"this machine cannot run it: {fault}" for fault in machine_faults(settings, machine)]
    return LaunchPlan(
        command=command,
        environment={"PYTHONSAFEPATH": "1"} if profile.launch is not None else {},
        accelerate=accelerate,
        algebra=tuple(step_algebra(settings)),
        memory=plan_memory(settings, model_shape(settings.model), machine),
        arguments=resolved_arguments(settings),
        notes=tuple(note for note in (profile.note, _vllm_note(settings), *lacking) if note),
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


def step_algebra(settings: TrainSettings) -> list[str]:
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


def plan_memory(settings: TrainSettings, shape: ModelShape | None, machine: Machine) -> MemoryPlan:
    """Reckon what each device holds, and whether that fits.

    Args:
        settings: What is trained.
        shape: The model; None where its sizes are not known.
        machine: Whose GPU it is held against.

    Raises:
        ConfigError: The data are missing or broken.
    """
    sizes = image_sizes(settings.data)
    if shape is None:
        return MemoryPlan((unknown_shape_text(settings.model),), None)
    gpu_gib = machine.gpu_gib
    need = memory_need(settings, shape, longest(settings, shape, sizes), gpu_gib)
    if PROFILES[settings.profile].common.get("use_cpu"):
        return MemoryPlan(need.lines, None)
    return MemoryPlan((*need.lines, fit_text(need, settings, gpu_gib, machine.gpu_words)), fits(need, gpu_gib))


def image_sizes(data: str) -> list[Size]:
    """Return the sizes of the data's images; of what Shapes draws the largest.

    Raises:
        ConfigError: There is no such data.
    """
    profile = shapes_profile(data)
    if profile is not None:
        return [LARGEST_CANVAS[profile]]
    table = read_examples(Path(data))
    return [Size(*size) for size in zip(table.column("width"), table.column("height"), strict=True)]


def resolved_arguments(settings: TrainSettings) -> dict[str, Any]:
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
