"""What a person may choose about a training run: small frozen values, checked before any model loads.

They are read from TOML, and every fault is reported with its field, all together. The defaults are the tiny CPU recipe;
`preset = "paper"` puts the reference's hyperparameters underneath instead (SATORI, qwen2.5_grpo.sh).
`training/stages/trl_arguments.py` is the one place that turns these values into TRL's.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import field, fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, TypeVar, cast, get_args, get_type_hints

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from harness.errors import ConfigError, did_you_mean
from harness.scoring.box_dialects import declared_dialect
from harness.scoring.protocols import protocol_named
from harness.values import BoxDialect, BoxFrame, FreeStage, Protocol, StageFormat
from training.stages.profiles import PROFILES, ProfileName
from training.stages.rewards import REWARD_NAMES, SATORI_REWARDS, STAGE_COSTS, RewardName, reward_faults

Stage: TypeAlias = Literal["sft", "grpo"]
"""Which trainer."""

_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)


def _without_version(words: object) -> object:
    """Return the short word of a protocol that is given with its version; anything else is for pydantic to judge."""
    return protocol_named(words) if isinstance(words, str) and "@" in words else words


ProtocolWord: TypeAlias = Annotated[Protocol, BeforeValidator(_without_version)]
"""A protocol in a file: its short word, or that with the version that is followed here."""
# numbers are strict: TOML tells them from texts and truth values, and `steps = true` is a slip, not one step
_Positive: TypeAlias = Annotated[float, Field(gt=0, strict=True)]
_NotNegative: TypeAlias = Annotated[float, Field(ge=0, strict=True)]
_Share: TypeAlias = Annotated[float, Field(ge=0, le=1, strict=True)]
_Count: TypeAlias = Annotated[int, Field(ge=1, strict=True)]
_Whole: TypeAlias = Annotated[int, Field(ge=0, strict=True)]

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
    warmup: _NotNegative = 0.0
    """Warm-up: steps from 1 on, a share of all steps below 1."""
    adam_beta2: Annotated[float, Field(gt=0, lt=1, strict=True)] = 0.95
    """Adam's second moment decay."""
    weight_decay: _NotNegative = 0.0
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
class Evaluation:
    """Benchmarks that the model in training is asked, without a second copy of it; they change nothing of training."""

    every_steps: _Count
    """Every so many optimiser steps."""
    tasks: str = "shapes"
    """As `run --tasks`."""
    limit: _Count | None = 200
    """About so many samples a task, in whole clusters, the same at each step; None asks every sample."""
    limit_seed: _Whole = 0
    """Draws them by a hash, as `run --limit-seed`."""
    at_start: bool = True
    """Whether the model is asked before its first step too: what later steps are held against."""
    datasets: dict[str, str] = field(default_factory=dict[str, str])
    """As `run --dataset`: task to path, such as shapes to tiny."""
    data_dir: Path | None = None
    """As `run --data-dir`."""
    max_new_tokens: _Count | None = None
    """As `run --max-new-tokens`."""
    batch_size: str = "auto"
    """As `run --batch-size`."""
    out: Path = Path("runs")
    """Folder of run folders."""


@dataclass(frozen=True, slots=True, config=_STRICT)
class Rollouts:
    """How completions are sampled."""

    generations: Annotated[int, Field(ge=2, strict=True)] = 8
    """Completions per prompt: the group that advantages are relative to."""
    temperature: _Positive = 1.0
    """Sampling temperature."""
    top_p: Annotated[float, Field(gt=0, le=1, strict=True)] = 1.0
    """Nucleus share; 1 keeps all."""
    top_k: _Whole = 0
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
    beta: _NotNegative = 0.0
    """Weight of the KL term against the starting model; 0 keeps no reference model."""
    scale_rewards: Literal["group", "batch", "none"] = "group"
    """What advantages are divided by."""
    aggregation: Literal["sum_then_normalize", "normalize_then_sum"] = "normalize_then_sum"
    """Whether rewards are summed before or after normalising them within the group."""
    epsilon: _Positive = 0.2
    """Clip range of the probability ratio."""
    noise_coordinates: _Whole = 2_000
    """Gradient coordinates watched for the in-training noise estimate; 0 switches it off."""


@dataclass(frozen=True, slots=True, config=_STRICT)
class Rewards:
    """What is rewarded, and by which rules."""

    weights: dict[RewardName, _NotNegative] = field(
        default_factory=lambda: dict[RewardName, float].fromkeys(SATORI_REWARDS, 1.0)
    )
    """Weight of each reward; naming some replaces all of the default."""
    stage_costs: dict[FreeStage, _Share] = field(default_factory=lambda: dict(STAGE_COSTS))
    """What the reward `stages` takes off for each stage of `satori-adaptive` that was not left out, where a right
    answer is 1; naming some replaces all of the default."""
    protocol: ProtocolWord = "strict"
    """`strict` (ours) or `paper` (the reference's functions)."""

    @property
    def names(self) -> tuple[RewardName, ...]:
        """The rewards in the order in which TRL logs them: those without weight are not computed."""
        return tuple(name for name, weight in self.weights.items() if weight > 0)


@dataclass(frozen=True, slots=True, config=_STRICT)
class _StageSettings:
    """What both stages are told."""

    model: str
    """Checkpoint folder, hub id or adapter folder to start from."""
    data: str
    """Parquet of `data build`, or `shapes:tiny`, `shapes:full`: the embedded training split."""
    output: Path
    """Checkpoint folder to make."""
    format: StageFormat = "satori"
    """Stages that the model is to write."""
    box_frame: BoxFrame | None = None
    """Frame that the model writes boxes in; None takes that of its model type."""
    box_dialect: str | None = None
    """How boxes are taught and rewarded (`harness/scoring/box_dialects.py`); None: the format's list in that frame."""
    profile: ProfileName = "cpu-tiny"
    """The machine."""
    processes: _Count | None = None
    """Processes that train; None takes the profile's."""
    lora: Lora | None = None
    """An adapter in place of full fine-tuning; None trains all weights."""
    seed: _Whole = 0
    """Of data order, dropout and sampling."""
    tracker: Literal["none", "wandb", "trackio"] = "none"
    """Where metrics go beside the run's own files; none needs no network."""
    evaluation: Evaluation | None = None
    """Benchmarks while training; None asks none."""

    @property
    def declared_dialect(self) -> BoxDialect | None:
        """The dialect that `box_dialect` or `box_frame` declares; None where neither does."""
        return declared_dialect(self.box_dialect, self.box_frame)

    @property
    def process_count(self) -> int:
        """Processes that train."""
        return self.processes or PROFILES[self.profile].processes


@dataclass(frozen=True, slots=True, config=_STRICT)
class SftSettings(_StageSettings):
    """A cold start: the model is taught to write the stages."""

    optimisation: Optimisation = field(default_factory=lambda: Optimisation(steps=700))
    """How weights are changed."""
    checkpoints: Checkpoints = field(default_factory=Checkpoints)
    """What is kept while training."""

    @property
    def stage(self) -> Stage:
        """Which trainer."""
        return "sft"


@dataclass(frozen=True, slots=True, config=_STRICT)
class GrpoSettings(_StageSettings):
    """Reinforcement learning with the scorer's rewards."""

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
    tools: Literal["zoom"] | None = None
    """What the model may call in its rollouts: `zoom` shows it a region closer."""
    tool_turns: Annotated[int, Field(ge=1, le=32, strict=True)] = 6
    """Replies of a tool to one rollout."""
    checkpoints: Checkpoints = field(default_factory=lambda: Checkpoints(every_steps=25))
    """What is kept while training."""

    @property
    def stage(self) -> Stage:
        """Which trainer."""
        return "grpo"


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
        hint = '. Texts stand in quotes, as in model = "NAME"' if "Invalid value" in str(fault) else ""
        raise ConfigError(f"{path} is not valid TOML: {fault}{hint}") from fault


def train_settings(stage: Stage, table: Mapping[str, Any], *, where: str) -> TrainSettings:
    """Build the settings of a stage from a table as TOML gives it; `preset` names values to start from.

    Raises:
        ConfigError: Every unknown key (with the nearest known one), missing field and wrong value, together.
    """
    given = dict(table)
    preset = given.pop("preset", None)
    faults: list[str] = []
    if isinstance(preset, str) and preset in PRESETS:
        given = merge_tables(_preset(stage, preset, given), given)
    elif preset is not None:
        hint = did_you_mean(str(preset), list(PRESETS)) or f" Presets: {', '.join(PRESETS)}"
        faults.append(f"preset: there is none called {_shown(preset)}.{hint}")
    settings, wrong = _checked(_CLASSES[stage], given)
    faults += wrong if settings is None else algebra_faults(settings)
    if settings is None or faults:
        raise ConfigError(f"{where}: " + "; ".join(faults))
    return settings


def _preset(stage: Stage, name: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a preset's values for the machine that a file names.

    A profile of one process does the work of the preset's processes one after the other: as many more micro-batches,
    so that an optimiser step is made of the same number of examples.
    """
    preset = PRESETS[name][stage]
    profile = given.get("profile", preset["profile"])
    alone = profile in [known.name for known in PROFILES.values() if known.launch is None]
    if not alone or "processes" in given:
        return preset
    steps = preset["optimisation"]
    folded = steps | {"accumulation": steps["accumulation"] * preset["processes"]}
    return {key: value for key, value in preset.items() if key != "processes"} | {"optimisation": folded}


def merge_tables(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return two tables as one; where both have a value, `above` wins, and tables are merged key by key."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        # weights replace the default as a whole: a reward left out is a reward switched off
        both = isinstance(old, Mapping) and isinstance(value, Mapping) and key not in {"weights", "stage_costs"}
        merged[key] = merge_tables(cast("Mapping[str, Any]", old), value) if both else value
    return merged


def build(
    kind: type[_Settings], table: Mapping[str, Any], *, where: str, further_paths: Sequence[str] = ()
) -> _Settings:
    """Build a settings value from a table.

    Args:
        kind: The settings class.
        table: As TOML gives it.
        where: Names the file in messages.
        further_paths: Dotted settings that the class takes unseen, as a loop does those of its stages; for hints.

    Raises:
        ConfigError: All faults together, each with its field.
    """
    settings, faults = _checked(kind, table, further_paths)
    if settings is None:
        raise ConfigError(f"{where}: " + "; ".join(faults))
    return settings


def _checked(
    kind: type[_Settings], table: Mapping[str, Any], further_paths: Sequence[str] = ()
) -> tuple[_Settings | None, list[str]]:
    """Return a settings value, or None with every fault of its table."""
    try:
        return TypeAdapter(kind).validate_python(dict(table)), []
    except ValidationError as error:
        return None, list(dict.fromkeys(_fault(kind, fault, further_paths) for fault in error.errors()))


def algebra_faults(settings: TrainSettings) -> list[str]:
    """Return what TRL would reject about batch sizes and rewards, in our words; empty when all is well."""
    faults: list[str] = []
    processes = settings.process_count
    if PROFILES[settings.profile].launch is None and processes != 1:
        faults.append(f"processes: profile {settings.profile} runs in one process, not in {processes}")
    if settings.evaluation is not None and PROFILES[settings.profile].shards:
        faults.append(
            f"evaluation: profile {settings.profile} spreads the weights over its processes, so none can answer: leave "
            "it out, and let `satori-bench watch` evaluate the checkpoints"
        )
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
    rewards = settings.rewards
    faults += [f"rewards.{fault}" for fault in reward_faults(rewards.names, settings.format, rewards.protocol)]
    if "stages" in rewards.names and settings.objective.aggregation != "sum_then_normalize":
        faults.append(
            f"objective.aggregation {settings.objective.aggregation!r}: each reward is brought to the same spread "
            "before they are summed, so that a stage's cost of 0.1 would weigh as much as the answer: with the reward "
            '`stages` set objective.aggregation = "sum_then_normalize"'
        )
    return faults


_EXAMPLES = {
    "model": 'model = "Qwen/Qwen2.5-VL-3B-Instruct", or a checkpoint folder',
    "data": 'data = "train.parquet" of `data build`, or "shapes:full"',
    "output": 'output = "checkpoints/NAME", the folder to make',
    "name": 'name = "NAME", the folder of the loop inside `out`',
}
"""What to write for a field that has no default."""

ALIASES: Mapping[str, str] = {
    "lr": "optimisation.learning_rate",
    "peak_lr": "optimisation.learning_rate",
    "max_steps": "optimisation.steps",
    "num_steps": "optimisation.steps",
    "total_training_steps": "optimisation.steps",
    "num_train_epochs": "optimisation.epochs",
    "num_epochs": "optimisation.epochs",
    "epoch": "optimisation.epochs",
    "total_epochs": "optimisation.epochs",
    "lr_scheduler_type": "optimisation.schedule",
    "lr_scheduler": "optimisation.schedule",
    "scheduler": "optimisation.schedule",
    "warmup_steps": "optimisation.warmup",
    "warmup_ratio": "optimisation.warmup",
    "beta2": "optimisation.adam_beta2",
    "grad_clip": "optimisation.max_grad_norm",
    "gradient_clipping": "optimisation.max_grad_norm",
    "clip_grad": "optimisation.max_grad_norm",
    "per_device_train_batch_size": "optimisation.batch_size",
    "train_batch_size": "optimisation.batch_size",
    "micro_batch_size": "optimisation.batch_size",
    "bs": "optimisation.batch_size",
    "gradient_accumulation_steps": "optimisation.accumulation",
    "gradient_accumulation": "optimisation.accumulation",
    "grad_accum": "optimisation.accumulation",
    "num_generations": "rollouts.generations",
    "group_size": "rollouts.generations",
    "rollout_n": "rollouts.generations",
    "max_completion_length": "rollouts.max_completion_tokens",
    "max_new_tokens": "rollouts.max_completion_tokens",
    "max_tokens": "rollouts.max_completion_tokens",
    "max_response_length": "rollouts.max_completion_tokens",
    "num_iterations": "rollouts.iterations",
    "mu": "rollouts.iterations",
    "loss_type": "objective.loss",
    "kl_coef": "objective.beta",
    "kl_coeff": "objective.beta",
    "kl_loss_coef": "objective.beta",
    "clip_ratio": "objective.epsilon",
    "cliprange": "objective.epsilon",
    "multi_objective_aggregation": "objective.aggregation",
    "reward_weights": "rewards.weights",
    "reward_funcs": "rewards.weights",
    "reward_functions": "rewards.weights",
    "r": "lora.rank",
    "lora_r": "lora.rank",
    "lora_rank": "lora.rank",
    "lora_alpha": "lora.alpha",
    "lora_dropout": "lora.dropout",
    "target_modules": "lora.targets",
    "lora_target_modules": "lora.targets",
    "peft": "lora",
    "peft_config": "lora",
    "save_steps": "checkpoints.every_steps",
    "save_total_limit": "checkpoints.keep",
    "eval_steps": "evaluation.every_steps",
    "evaluate_every_steps": "evaluation.every_steps",
    "evaluate_tasks": "evaluation.tasks",
    "evaluate_limit": "evaluation.limit",
    "model_name_or_path": "model",
    "model_path": "model",
    "pretrained": "model",
    "checkpoint": "model",
    "base_model": "model",
    "dataset": "data",
    "dataset_name": "data",
    "dataset_path": "data",
    "train_file": "data",
    "train_files": "data",
    "data_path": "data",
    "output": "out",
    "output_dir": "output",
    "out_dir": "output",
    "save_dir": "output",
    "num_processes": "processes",
    "num_gpus": "processes",
    "n_gpus": "processes",
    "gpus": "processes",
    "nproc_per_node": "processes",
    "world_size": "processes",
    "report_to": "tracker",
    "logger": "tracker",
    "random_seed": "seed",
    "data_seed": "seed",
    "accuracy": "answer",
    "acc": "answer",
    "correctness": "answer",
    "iou": "bbox",
    "boxes": "bbox",
    "grounding": "bbox",
    "length": "brevity",
    "think": "thinking",
    "benchmarks": "tasks",
    "device": "profile",
    "machine": "profile",
}
"""What other trainers (transformers, TRL, ms-swift, verl, LLaMA-Factory) call a setting or a reward, to our name."""


def _fault(kind: type, fault: Mapping[str, Any], further_paths: Sequence[str]) -> str:
    """Say one of pydantic's faults with its field, what was found, and the nearest known name or the mend."""
    path = [str(part) for part in fault["loc"] if not str(part).endswith("]") or not str(part).startswith("[")]
    name, found, wrong = ".".join(path), fault["input"], fault["type"]
    if wrong in {"unexpected_keyword_argument", "extra_forbidden"}:
        return f"unknown key {name}.{_key_hint(kind, path, further_paths)}"
    if wrong in {"missing", "missing_argument"}:
        return f"{name} is missing" + (f": add {_EXAMPLES[name]}" if name in _EXAMPLES else "")
    if wrong in {"dataclass_type", "dict_type"}:
        return f"{name}: input should be a table, as in [{name}], found {_shown(found)}"
    if wrong == "tuple_type":
        return f"{name}: input should be a list in square brackets, found {_shown(found)}"
    message = str(fault["msg"])
    text = f"{name}: {message[0].lower()}{message[1:]}, found {_shown(found)}"
    if wrong == "literal_error" and isinstance(found, str):
        # pydantic gives the choices as prose: 'a', 'b' or 'c'
        choices = re.findall(r"'([^']*)'", str(fault["ctx"]["expected"]))
        meant = ALIASES.get(found, found)
        text += "." + did_you_mean(meant if meant in choices else found, choices)
    return text.rstrip(".")


def _shown(value: object) -> str:
    """Write what was found, at most 60 characters of it."""
    text = {True: "true", False: "false"}.get(value, repr(value)) if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def _key_hint(kind: type, path: Sequence[str], further_paths: Sequence[str]) -> str:
    """Say what an unknown key may have been: another trainer's name, a setting of another table, or a slip."""
    *table, key = path
    if table[-1:] == ["rewards"] and key in REWARD_NAMES:
        return f" Did you mean 'weights.{key}'?"
    everywhere = [*key_paths(kind), *further_paths]
    word: str | None = key.lower().replace("-", "_")
    while word is not None:
        if meant := [path for path in everywhere if f".{path}".endswith(f".{word}")]:
            return _meant(meant, table)
        word = ALIASES.get(word)
    if hint := did_you_mean(key, known_keys(kind, table)):
        return hint
    leaves = [path.rsplit(".", 1)[-1] for path in everywhere]
    near = get_close_matches(key.lower(), leaves, n=1, cutoff=0.8)
    return _meant([path for path, leaf in zip(everywhere, leaves, strict=True) if leaf in near], table) if near else ""


def _meant(paths: Sequence[str], table: Sequence[str]) -> str:
    """Name the settings that may have been meant, as seen from a table."""
    above = "".join(f"{part}." for part in table)
    return f" Did you mean {' or '.join(repr(path.removeprefix(above)) for path in paths[:2])}?"


def key_paths(kind: type, above: str = "") -> list[str]:
    """Return every setting of a class by its dotted path, tables before what is in them."""
    paths: list[str] = []
    for name in known_keys(kind, []):
        paths.append(above + name)
        inner = _table_class(kind, name)
        paths += key_paths(inner, f"{above}{name}.") if inner is not None else []
    return paths


def known_keys(kind: type, path: Sequence[str]) -> list[str]:
    """Return the keys of the settings class found by following fields from `kind`; empty where a path leads nowhere."""
    for part in path:
        found = _table_class(kind, part)
        if found is None:
            return []
        kind = found
    return [item.name for item in fields(kind)] if is_dataclass(kind) else []


def _table_class(kind: type, name: str) -> type | None:
    """Return the settings class of a field that holds a table; None for any other field."""
    hint = get_type_hints(kind).get(name) if is_dataclass(kind) else None
    options = (hint, *get_args(hint))
    return next((option for option in options if isinstance(option, type) and is_dataclass(option)), None)
