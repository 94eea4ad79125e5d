"""What a person may choose about a training run: small frozen values, checked before any model loads.

They are read from TOML, and every fault is reported with its field, all together. The defaults are the tiny CPU recipe;
`preset = "paper"` puts the reference's hyperparameters underneath instead (SATORI, qwen2.5_grpo.sh).
`training/trl_arguments.py` is the one place that turns these values into TRL's.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import field, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, TypeVar, cast, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from harness.errors import ConfigError, did_you_mean
from harness.values import BoxFrame, Format, Protocol
from training.profiles import PROFILES, ProfileName
from training.rewards import SATORI_REWARDS, RewardName

Stage: TypeAlias = Literal["sft", "grpo"]
"""Which trainer."""

_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
_Positive: TypeAlias = Annotated[float, Field(gt=0)]
_Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]
_Count: TypeAlias = Annotated[int, Field(ge=1)]

_Settings = TypeVar("_Settings")


@dataclass(frozen=True, slots=True, config=_STRICT)
class Optimisation:
    """How weights are changed."""

    steps: _Count | None = None
    """Optimiser steps; None trains for `epochs`."""
    epochs: _Positive = 1.0
    """Passes over the data, where `steps` is None."""
    learning_rate: _Positive = 2e-3
    """Peak learning rate."""
    schedule: Literal["constant", "constant_with_warmup", "linear", "cosine"] = "constant_with_warmup"
    """Learning rate over time, as transformers names it."""
    warmup: Annotated[float, Field(ge=0)] = 0.0
    """Warm-up: steps from 1 on, a share of all steps below 1."""
    adam_beta2: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """Adam's second moment decay."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Decoupled weight decay."""
    max_grad_norm: _Positive = 1.0
    """Gradients are clipped to this norm."""
    batch_size: _Count = 16
    """Per device and micro-batch: examples (SFT) or completions (GRPO, as TRL counts them)."""
    accumulation: _Count = 1
    """Micro-batches per optimiser step."""


@dataclass(frozen=True, slots=True, config=_STRICT)
class Lora:
    """A LoRA adapter in place of full fine-tuning."""

    rank: _Count = 16
    """Rank of the update."""
    alpha: _Positive = 32.0
    """Scale of the update times the rank."""
    dropout: _Share = 0.0
    """Dropout on the adapter's input."""
    targets: str = "all-linear"
    """peft's target modules: `all-linear`, or names by commas."""


@dataclass(frozen=True, slots=True, config=_STRICT)
class Checkpoints:
    """What is kept while training."""

    every_steps: _Count = 100
    """A checkpoint that training can go on from, every so many optimiser steps."""
    keep: _Count = 2
    """How many of them are kept."""


@dataclass(frozen=True, slots=True, config=_STRICT)
class Rollouts:
    """How completions are sampled."""

    generations: Annotated[int, Field(ge=2)] = 8
    """Completions per prompt: the group that advantages are relative to."""
    temperature: _Positive = 1.0
    """Sampling temperature."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Nucleus share; 1 keeps all."""
    top_k: Annotated[int, Field(ge=0)] = 0
    """Most likely tokens kept; 0 keeps all."""
    max_completion_tokens: _Count = 48
    """Token budget of a completion."""
    iterations: _Count = 1
    """Updates per generated batch (mu in the GRPO paper)."""


@dataclass(frozen=True, slots=True, config=_STRICT)
class Objective:
    """What GRPO maximises."""

    loss: Literal["dapo", "grpo", "dr_grpo", "bnpo", "cispo"] = "dapo"
    """Loss normalisation, as TRL names it."""
    beta: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the KL term against the starting model; 0 keeps no reference model."""
    scale_rewards: Literal["group", "batch", "none"] = "group"
    """What advantages are divided by."""
    aggregation: Literal["sum_then_normalize", "normalize_then_sum"] = "normalize_then_sum"
    """Whether rewards are summed before or after normalising them within the group."""
    epsilon: _Positive = 0.2
    """Clip range of the probability ratio."""
    noise_coordinates: Annotated[int, Field(ge=0)] = 2_000
    """Gradient coordinates watched for the in-training noise estimate; 0 switches it off."""


@dataclass(frozen=True, slots=True, config=_STRICT)
class Rewards:
    """What is rewarded, and by which rules."""

    weights: dict[RewardName, Annotated[float, Field(ge=0)]] = field(
        default_factory=lambda: dict[RewardName, float].fromkeys(SATORI_REWARDS, 1.0)
    )
    """Weight of each reward; naming some replaces all of the default."""
    protocol: Protocol = "strict"
    """`strict` (ours) or `paper` (the reference's functions)."""

    @property
    def names(self) -> tuple[RewardName, ...]:
        """The rewards in the order in which TRL logs them: those without weight are not computed."""
        return tuple(name for name, weight in self.weights.items() if weight > 0)


@dataclass(frozen=True, slots=True, config=_STRICT)
class SftSettings:
    """A cold start: the model is taught to write the stages."""

    model: str
    """Checkpoint folder, hub id or adapter folder to start from."""
    data: str
    """Parquet of `data build`, or `shapes:tiny`, `shapes:full`: the embedded training split."""
    output: Path
    """Checkpoint folder to make."""
    format: Format = "satori"
    """Stages that the model learns to write."""
    box_frame: BoxFrame | None = None
    """Frame that the model writes boxes in; None takes that of its model type."""
    profile: ProfileName = "cpu-tiny"
    """The machine."""
    processes: _Count | None = None
    """Processes that train; None takes the profile's."""
    optimisation: Optimisation = field(default_factory=lambda: Optimisation(steps=700))
    """How weights are changed."""
    lora: Lora | None = None
    """An adapter in place of full fine-tuning; None trains all weights."""
    checkpoints: Checkpoints = field(default_factory=Checkpoints)
    """What is kept while training."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of data order and dropout."""
    tracker: Literal["none", "wandb", "trackio"] = "none"
    """Where metrics go beside the run's own files; none needs no network."""

    @property
    def stage(self) -> Stage:
        """Which trainer."""
        return "sft"

    @property
    def process_count(self) -> int:
        """Processes that train."""
        return self.processes or PROFILES[self.profile].processes


@dataclass(frozen=True, slots=True, config=_STRICT)
class GrpoSettings:
    """Reinforcement learning with the scorer's rewards."""

    model: str
    """Checkpoint folder, hub id or adapter folder to start from."""
    data: str
    """As in `SftSettings`."""
    output: Path
    """Checkpoint folder to make."""
    format: Format = "satori"
    """Stages that the model is asked for."""
    box_frame: BoxFrame | None = None
    """Frame that the model writes boxes in; None takes that of its model type."""
    profile: ProfileName = "cpu-tiny"
    """The machine."""
    processes: _Count | None = None
    """Processes that train; None takes the profile's."""
    optimisation: Optimisation = field(
        default_factory=lambda: Optimisation(steps=100, learning_rate=2e-4, warmup=5, batch_size=128)
    )
    """How weights are changed."""
    rollouts: Rollouts = field(default_factory=Rollouts)
    """How completions are sampled."""
    objective: Objective = field(default_factory=Objective)
    """What is maximised."""
    rewards: Rewards = field(default_factory=Rewards)
    """What is rewarded."""
    lora: Lora | None = None
    """As in `SftSettings`."""
    checkpoints: Checkpoints = field(default_factory=lambda: Checkpoints(every_steps=25))
    """What is kept while training."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of data order and sampling."""
    tracker: Literal["none", "wandb", "trackio"] = "none"
    """As in `SftSettings`."""

    @property
    def stage(self) -> Stage:
        """Which trainer."""
        return "grpo"

    @property
    def process_count(self) -> int:
        """Processes that train."""
        return self.processes or PROFILES[self.profile].processes


TrainSettings: TypeAlias = SftSettings | GrpoSettings
"""Either stage."""

PAPER: Mapping[Stage, Mapping[str, Any]] = {
    "sft": {
        "profile": "zero3",
        "processes": 4,
        "optimisation": {
            "epochs": 1.0, "learning_rate": 1e-5, "schedule": "cosine", "warmup": 0.03, "adam_beta2": 0.95,
            "batch_size": 4, "accumulation": 2,
        },
    },
    "grpo": {
        "profile": "zero3",
        "processes": 4,
        "optimisation": {
            "epochs": 1.0, "learning_rate": 1e-6, "schedule": "cosine", "warmup": 0.01, "adam_beta2": 0.95,
            "batch_size": 4, "accumulation": 2, "weight_decay": 0.1,
        },
        "rollouts": {
            "generations": 16, "temperature": 1.0, "top_p": 0.9, "top_k": 50, "max_completion_tokens": 512,
            "iterations": 1,
        },
        "objective": {"loss": "grpo", "beta": 0.001, "scale_rewards": "group", "aggregation": "sum_then_normalize"},
        "rewards": {"protocol": "paper"},
    },
}  # fmt: skip
"""The reference's hyperparameters for Qwen2.5-VL-3B on four GPUs.

Published for GRPO: four processes, learning rate, warm-up, batch, accumulation, generations, sampling, KL weight, one
epoch, 512 new tokens, equal reward weights (its ZeRO-2 is ZeRO-3 here). The rest (Adam's beta2, decay, schedule, and
the whole cold start, which the reference does not have) follows ms-swift's defaults.
"""
PRESETS: Mapping[str, Mapping[Stage, Mapping[str, Any]]] = {"paper": PAPER}
"""Named sets of values that a file can start from."""

_CLASSES: Mapping[Stage, type[SftSettings | GrpoSettings]] = {"sft": SftSettings, "grpo": GrpoSettings}


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        ConfigError: It cannot be read or is no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as fault:
        raise ConfigError(f"cannot read {path}: {fault.strerror or fault}") from fault
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise ConfigError(f"{path} is not valid TOML: {fault}") from fault


def train_settings(stage: Stage, table: Mapping[str, Any], *, where: str) -> TrainSettings:
    """Build the settings of a stage from a table as TOML gives it; `preset` names values to start from.

    Raises:
        ConfigError: Every unknown key (with the nearest known one), missing field and wrong value, together.
    """
    given = dict(table)
    preset = given.pop("preset", None)
    if preset is not None and preset not in PRESETS:
        raise ConfigError(f"{where}: unknown preset {preset!r}.{did_you_mean(str(preset), list(PRESETS))}")
    merged = merge_tables(PRESETS[preset][stage], given) if preset is not None else given
    settings = build(_CLASSES[stage], merged, where=where)
    faults = algebra_faults(settings)
    if faults:
        raise ConfigError(f"{where}: " + "; ".join(faults))
    return settings


def merge_tables(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return two tables as one; where both have a value, `above` wins, and tables are merged key by key."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        # weights replace the default as a whole: a reward left out is a reward switched off
        both = isinstance(old, Mapping) and isinstance(value, Mapping) and key != "weights"
        merged[key] = merge_tables(cast("Mapping[str, Any]", old), value) if both else value
    return merged


def build(kind: type[_Settings], table: Mapping[str, Any], *, where: str) -> _Settings:
    """Build a settings value from a table.

    Raises:
        ConfigError: All faults together, each with its field.
    """
    try:
        return TypeAdapter(kind).validate_python(dict(table))
    except ValidationError as error:
        faults = [_fault(kind, fault["loc"], fault["type"], fault["msg"]) for fault in error.errors()]
        raise ConfigError(f"{where}: " + "; ".join(dict.fromkeys(faults))) from error


def algebra_faults(settings: TrainSettings) -> list[str]:
    """Return what TRL would reject about batch sizes and rewards, in our words; empty when all is well."""
    faults: list[str] = []
    processes = settings.process_count
    if PROFILES[settings.profile].launch is None and processes != 1:
        faults.append(f"processes: profile {settings.profile} runs in one process, not in {processes}")
    if isinstance(settings, SftSettings):
        return faults
    size, parts, group = (
        settings.optimisation.batch_size,
        settings.optimisation.accumulation,
        settings.rollouts.generations,
    )
    if size * parts * processes % group:
        faults.append(
            f"optimisation.batch_size x accumulation x processes = {size} x {parts} x {processes} = "
            f"{size * parts * processes} completions a step are not whole groups of rollouts.generations = {group}: "
            "make one a multiple of the other"
        )
    if not settings.rewards.names:
        faults.append("rewards.weights: no reward has a weight above 0, so there is nothing to learn from")
    grounded = {"bbox", "caption"} & set(settings.rewards.names)
    if settings.format in {"freeform", "plain"} and grounded:
        faults.append(
            f"rewards.weights: format {settings.format} has no stage for {' and '.join(sorted(grounded))}; drop "
            f"{'it' if len(grounded) == 1 else 'them'}, for instance rewards.weights = {{format = 1.0, answer = 1.0}}"
        )
    if settings.format == "plain" and "format" in settings.rewards.names:
        faults.append("rewards.weights: format plain has no tags to keep; drop the reward `format`")
    if "thinking" in settings.rewards.names and settings.format not in {"satori-think", "freeform"}:
        faults.append(f"rewards.weights: format {settings.format} has no thinking stage; drop the reward `thinking`")
    if settings.rewards.protocol not in {"strict", "paper"}:
        faults.append(f"rewards.protocol {settings.rewards.protocol!r}: rewards are `strict` or `paper`")
    return faults


def _fault(kind: type, loc: Sequence[int | str], fault: str, message: str) -> str:
    """Say one fault with its field, and the nearest known name for an unknown one."""
    path = [str(part) for part in loc if not str(part).endswith("]") or not str(part).startswith("[")]
    name = ".".join(path)
    if fault in {"unexpected_keyword_argument", "extra_forbidden"}:
        return f"unknown key {name}.{did_you_mean(path[-1], known_keys(kind, path[:-1]))}"
    if fault in {"missing", "missing_argument"}:
        return f"{name} is missing"
    return f"{name}: {message[0].lower()}{message[1:]}"


def known_keys(kind: type, path: Sequence[str]) -> list[str]:
    """Return the keys of the settings class found by following fields from `kind`; empty where a path leads nowhere."""
    for part in path:
        hint = get_type_hints(kind).get(part) if is_dataclass(kind) else None
        options = [hint, *get_args(hint)] if get_origin(hint) is not None or hint is not None else []
        found = next((option for option in options if isinstance(option, type) and is_dataclass(option)), None)
        if found is None:
            return []
        kind = found
    return [item.name for item in fields(kind)] if is_dataclass(kind) else []
