"""Lay out a loop before anything runs: every step in order, with its name and what it reads and makes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from harness.values import StageFormat
from training.loop.settings import Arm, DecodingName, LoopSettings, StagePaths, stage_settings
from training.stages.settings import TrainSettings


@dataclass(frozen=True, slots=True)
class BenchmarkStep:
    """One checkpoint, asked in one way."""

    run: str
    """Run name: `<arm>-base`, `<arm>-sft`, `<arm>-grpo`."""
    decoding: DecodingName
    """How it is asked."""
    checkpoint: Path
    """What is asked."""
    format: StageFormat
    """Stages that it is asked for."""

    @property
    def name(self) -> str:
        """Unique within the loop."""
        return f"{self.run}.{self.decoding}"

    @property
    def kind(self) -> str:
        """What takes about equally long."""
        return self.decoding


@dataclass(frozen=True, slots=True)
class TrainStep:
    """One stage of one arm."""

    run: str
    """Name of the checkpoint: `<arm>-sft` or `<arm>-grpo`."""
    settings: TrainSettings
    """How it is trained."""

    @property
    def name(self) -> str:
        """Unique within the loop."""
        return f"{self.run}.train"

    @property
    def kind(self) -> str:
        """What takes about equally long."""
        return self.settings.stage


Step: TypeAlias = BenchmarkStep | TrainStep
"""One thing to do."""


@dataclass(frozen=True, slots=True)
class Chain:
    """The checkpoints of one arm with one seed, from the base to the last stage."""

    arm: str
    """The arm's name with its seed, as its runs begin."""
    base: str
    """Run name of the base; shared by the arms of one format."""
    sft: str
    """Run name of the cold start; another arm's where it is shared."""
    grpo: str
    """Run name of the last stage."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A loop laid out."""

    steps: tuple[Step, ...]
    """In the order in which they are done."""
    chains: tuple[Chain, ...]
    """One per arm and seed, the first arm first."""


@dataclass(frozen=True, slots=True)
class DataPaths:
    """The loop's data files."""

    sft: str
    """Of the cold starts."""
    grpo: str
    """Of reinforcement learning."""


def plan_loop(settings: LoopSettings, data: DataPaths) -> Plan:
    """Lay out a loop: each base once per format, then arm by arm cold start and reinforcement learning.

    Raises:
        ConfigError: A stage's settings are wrong.
    """
    steps: list[Step] = []
    bases: dict[StageFormat, str] = {}
    for arm in settings.arms:
        if arm.format not in bases:
            bases[arm.format] = f"{arm.name}-base"
            steps += _benchmarks(settings, bases[arm.format], Path(settings.model), arm.format)
    chains: list[Chain] = []
    for seed in settings.seeds:
        for arm in settings.arms:
            name = _with_seed(arm.name, seed, settings)
            cold = _with_seed(arm.cold_start or arm.name, seed, settings)
            chain = Chain(arm=name, base=bases[arm.format], sft=f"{cold}-sft", grpo=f"{name}-grpo")
            if arm.cold_start is None:
                steps += _stage(
                    settings, arm, "sft", StagePaths(settings.model, data.sft, _at(settings, chain.sft)), seed
                )
            start = StagePaths(str(_at(settings, chain.sft)), data.grpo, _at(settings, chain.grpo))
            steps += _stage(settings, arm, "grpo", start, seed)
            chains.append(chain)
    return Plan(tuple(steps), tuple(chains))


def stages_of(plan: Plan) -> list[TrainSettings]:
    """Return the settings of every stage that is trained."""
    return [step.settings for step in plan.steps if isinstance(step, TrainStep)]


def _stage(settings: LoopSettings, arm: Arm, stage: Literal["sft", "grpo"], paths: StagePaths, seed: int) -> list[Step]:
    """Return a training step and the benchmarks of what it makes."""
    train = TrainStep(paths.output.name, stage_settings(settings, arm, stage, paths, seed))
    return [train, *_benchmarks(settings, train.run, paths.output, arm.format)]


def _benchmarks(settings: LoopSettings, run: str, checkpoint: Path, form: StageFormat) -> list[Step]:
    """Return a checkpoint's benchmarks, one per way of asking."""
    return [BenchmarkStep(run, decoding, checkpoint, form) for decoding in settings.benchmark.decodings]


def _with_seed(name: str, seed: int, settings: LoopSettings) -> str:
    """Return an arm's name with its seed; the first seed goes without saying."""
    return name if seed == settings.seeds[0] else f"{name}-seed{seed}"


def _at(settings: LoopSettings, run: str) -> Path:
    """Return where a checkpoint lies."""
    return settings.folder / "checkpoints" / run
