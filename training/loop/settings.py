"""What a person may choose about a loop: arms, data, benchmark; read from one TOML file and checked as a whole.

name = "shapes"
model = "checkpoints/base"

[data]
sft = "weak.parquet"          # or shapes:tiny, shapes:full
grpo = "exact.parquet"

[benchmark]
tasks = "shapes"
datasets = {shapes = "tiny"}

[sft]                         # as in the file of `train sft`, without model, data and output
optimisation = {steps = 700}

[grpo]
optimisation = {steps = 100, learning_rate = 2e-4, batch_size = 32, accumulation = 4}

[[arms]]
name = "satori"

[[arms]]                      # an ablation: the same cold start, other rewards
name = "answer-only"
cold_start = "satori"
grpo = {rewards = {weights = {answer = 1.0}}}

[[arms]]
name = "freeform"
format = "freeform"
grpo = {rewards = {weights = {format = 1.0, answer = 1.0}}}
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from harness.errors import ConfigError, did_you_mean
from harness.values import BoxFrame, StageFormat
from training.stages.profiles import PROFILES
from training.stages.settings import (
    GrpoSettings,
    ProtocolWord,
    SftSettings,
    Stage,
    TrainSettings,
    build,
    key_paths,
    merge_tables,
    read_toml,
    train_settings,
)

DecodingName: TypeAlias = Literal["greedy", "sampled"]
"""How benchmarks ask a checkpoint."""

_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
_Count: TypeAlias = Annotated[int, Field(ge=1, strict=True)]
_Whole: TypeAlias = Annotated[int, Field(ge=0, strict=True)]
_Share: TypeAlias = Annotated[float, Field(ge=0, le=1, strict=True)]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
_SET_BY_THE_LOOP = ("model", "data", "output", "format", "seed", "box_frame", "box_dialect")
"""Settings of a stage that the loop fills in."""
_STAGE_PATHS = tuple(
    f"{stage}.{path}"
    for stage, kind in (("sft", SftSettings), ("grpo", GrpoSettings))
    for path in key_paths(kind)
    if path not in _SET_BY_THE_LOOP
)
"""What the tables [sft] and [grpo] may hold, checked stage by stage."""


@dataclass(frozen=True, slots=True, config=_STRICT)
class WeakLabels:
    """How the labels of an embedded cold start are spoilt; see `training.data.shapes.LabelNoise`."""

    share: _Share = 0.3
    """Share of careless mistakes."""
    oversight: _Share = 0.0
    """Share of scenes in which a thing is overlooked."""


@dataclass(frozen=True, slots=True, config=_STRICT)
class LoopData:
    """What the arms are trained on; the same for all of them."""

    sft: str = "shapes:tiny"
    """Cold start: parquet of `data build`, `shapes:tiny` or `shapes:full`."""
    grpo: str = "shapes:tiny"
    """Reinforcement learning: as above."""
    rows: _Count = 4_000
    """Examples of each that is drawn from Shapes."""
    weak_labels: WeakLabels | None = None
    """Spoils the labels of a cold start drawn from Shapes; None leaves them right."""
    seed: _Whole = 0
    """Of what is drawn from Shapes."""


@dataclass(frozen=True, slots=True, config=_STRICT)
class LoopBenchmark:
    """How every checkpoint is benchmarked."""

    tasks: str = "shapes"
    """As `run --tasks`."""
    datasets: dict[str, str] = field(default_factory=dict[str, str])
    """As `run --dataset`: task to path, such as shapes to tiny."""
    data_dir: Path | None = None
    """As `run --data-dir`."""
    limit: _Count | None = None
    """As `run --limit`; None asks every sample."""
    decodings: tuple[DecodingName, ...] = ("greedy", "sampled")
    """Each checkpoint is asked once in each way."""
    temperature: Annotated[float, Field(gt=0, strict=True)] = 1.0
    """Of sampled decoding."""
    max_new_tokens: _Count | None = None
    """As `run --max-new-tokens`."""
    batch_size: str = "auto"
    """As `run --batch-size`."""
    protocol: ProtocolWord = "strict"
    """As `run --protocol`."""
    device: str = "auto"
    """As `run --device`."""
    seed: _Whole = 0
    """Of sampling and intervals; the same for all checkpoints, so that differences are paired."""


@dataclass(frozen=True, slots=True, config=_STRICT)
class Arm:
    """One way to train, side by side with others."""

    name: str
    """Begins the names of its runs: letters, digits, `_`, `.` and `-`."""
    format: StageFormat = "satori"
    """Stages that the model writes."""
    cold_start: str | None = None
    """An arm of the same format whose SFT checkpoint this one starts from; None trains its own."""
    sft: dict[str, Any] = field(default_factory=dict[str, Any])
    """Settings that differ from the loop's [sft]."""
    grpo: dict[str, Any] = field(default_factory=dict[str, Any])
    """Settings that differ from the loop's [grpo]."""


@dataclass(frozen=True, slots=True, config=_STRICT)
class LoopSettings:
    """A loop: benchmark, SFT, benchmark, GRPO, benchmark, comparison."""

    name: str
    """Folder of the loop, inside `out`."""
    model: str
    """The checkpoint that every arm starts from."""
    out: Path = Path("loops")
    """Folder of loops."""
    seeds: Annotated[tuple[_Whole, ...], Field(min_length=1)] = (0,)
    """Every arm is trained once with each; the first names no run, the others add `-seed<N>`."""
    box_frame: BoxFrame | None = None
    """Frame of the written boxes; None takes that of the model type."""
    box_dialect: str | None = None
    """How boxes are taught, rewarded and read, in place of `box_frame`; None: the format's list, read as `auto`."""
    data: LoopData = field(default_factory=LoopData)
    """What is trained on."""
    benchmark: LoopBenchmark = field(default_factory=LoopBenchmark)
    """What is measured."""
    sft: dict[str, Any] = field(default_factory=dict[str, Any])
    """As the file of `train sft`, for all arms."""
    grpo: dict[str, Any] = field(default_factory=dict[str, Any])
    """As the file of `train grpo`, for all arms."""
    arms: Annotated[tuple[Arm, ...], Field(min_length=1)] = (Arm("satori"),)
    """What stands side by side; the first is what the others are compared with."""

    @property
    def folder(self) -> Path:
        """Where everything of this loop lies."""
        return self.out / self.name


@dataclass(frozen=True, slots=True)
class StagePaths:
    """Where a training stage reads and writes."""

    model: str
    """Checkpoint that it starts from."""
    data: str
    """Its examples."""
    output: Path
    """Checkpoint that it makes."""


def read_loop(path: Path) -> LoopSettings:
    """Read a loop's TOML file.

    Raises:
        ConfigError: All faults together.
    """
    return loop_settings(read_toml(path), where=str(path))


def loop_settings(table: Mapping[str, Any], *, where: str) -> LoopSettings:
    """Build a loop's settings from a table, and check every stage of every arm.

    Raises:
        ConfigError: All faults together.
    """
    settings = build(LoopSettings, table, where=where, further_paths=_STAGE_PATHS)
    faults = _faults(settings)
    if faults:
        raise ConfigError(f"{where}: " + "; ".join(faults))
    return settings


def stage_settings(settings: LoopSettings, arm: Arm, stage: Stage, paths: StagePaths, seed: int) -> TrainSettings:
    """Return the settings of one stage of one arm.

    Raises:
        ConfigError: A value is wrong; named with the arm and the stage.
    """
    common, own = (settings.sft, arm.sft) if stage == "sft" else (settings.grpo, arm.grpo)
    filled = {
        "model": paths.model,
        "data": paths.data,
        "output": str(paths.output),
        "format": arm.format,
        "seed": seed,
        "box_frame": settings.box_frame,
        "box_dialect": settings.box_dialect,
    }
    merged = merge_tables(merge_tables(common, own), filled)
    if isinstance(asked := merged.get("evaluation"), dict):  # beside the loop's own runs
        merged = merged | {"evaluation": {"out": str(settings.folder / "runs")} | asked}
    return train_settings(stage, merged, where=f"arm {arm.name}, {stage}")


def _faults(settings: LoopSettings) -> list[str]:
    """Return what is wrong across fields."""
    names = [arm.name for arm in settings.arms]
    faults = [
        f"name {name!r}: use letters, digits, _ . and -, at most 40"
        for name in (settings.name, *names)
        if not _NAME.fullmatch(name)
    ]
    faults += [f"arms: {name} comes {count} times" for name, count in Counter(names).items() if count > 1]
    if len(set(settings.seeds)) != len(settings.seeds):
        faults.append("seeds: a seed comes twice")
    if len(set(settings.benchmark.decodings)) != len(settings.benchmark.decodings) or not settings.benchmark.decodings:
        faults.append("benchmark.decodings: name greedy, sampled or both, each once")
    by_name = {arm.name: arm for arm in settings.arms}
    for arm in settings.arms:
        faults += _cold_start_faults(arm, by_name)
        faults += _table_faults(settings, arm)
    if settings.data.weak_labels is not None and not settings.data.sft.startswith("shapes:"):
        faults.append("data.weak_labels: only a cold start drawn from Shapes can be spoilt")
    return faults


def _cold_start_faults(arm: Arm, arms: Mapping[str, Arm]) -> list[str]:
    if arm.cold_start is None:
        return []
    other = arms.get(arm.cold_start)
    if other is None or other is arm:
        hint = did_you_mean(arm.cold_start, [name for name in arms if name != arm.name])
        return [f"arms.{arm.name}.cold_start: no other arm {arm.cold_start!r}.{hint}"]
    if other.cold_start is not None:
        return [f"arms.{arm.name}.cold_start: {other.name} has no SFT of its own; name {other.cold_start}"]
    if other.format != arm.format:
        return [f"arms.{arm.name}.cold_start: {other.name} writes format {other.format}, not {arm.format}"]
    return [f"arms.{arm.name}.sft: it has no SFT of its own, so these do nothing"] if arm.sft else []


def _table_faults(settings: LoopSettings, arm: Arm) -> list[str]:
    """Return the faults of an arm's stages, which are checked as if the files were there."""
    faults: list[str] = []
    stages: dict[Stage, tuple[dict[str, Any], ...]] = {
        "sft": (settings.sft, arm.sft),
        "grpo": (settings.grpo, arm.grpo),
    }
    for stage, tables in stages.items():
        taken = [key for key in _SET_BY_THE_LOOP for table in tables if key in table]
        faults += [f"{stage}.{key}: the loop sets it; leave it out" for key in dict.fromkeys(taken)]
        try:
            checked = stage_settings(settings, arm, stage, StagePaths("model", "data", Path("output")), 0)
            if PROFILES[checked.profile].launch is not None:
                faults.append(
                    f"arm {arm.name}, {stage}: a loop trains in its own process, and profile {checked.profile} is "
                    "started by a launcher: take single-gpu or cpu-tiny, or train such stages with `train`"
                )
        except ConfigError as fault:
            faults.append(str(fault))
    return list(dict.fromkeys(faults))
