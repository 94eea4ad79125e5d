"""Presets for repeating a published number, and what a run made of one: reproduced, or not and where it differs.

The table is `reports/presets.json`: which settings, which figures, their tolerance and their source; the figures of the
paper's table are those of `reports/published.json`. Everything in it was reported by others, and nobody here ran it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal, TypeAlias, cast

from harness.errors import ConfigError, did_you_mean
from harness.runs.manifest import SIDE_BOXES, Manifest, blind_of
from harness.summary.summary_values import MOST_UNEXPLAINED, TaskSummary
from harness.task_facts import FACTS, facts_of
from harness.values import Json
from reports.board.board import published
from reports.texts.numbers_shown import DASH, metric_scale, number, signed

State: TypeAlias = Literal["within", "beyond", "not run", "no score", "unscored", "not here"]
"""How a figure and a run's score lie: within the tolerance or beyond it; the run has no such task, no score on it, or
too many of its rows unscored; or nobody here can ask the benchmark."""

_WHY_NOT: Mapping[State, str] = {
    "not run": "not run",
    "no score": "no score",
    "unscored": "no score that stands for it: too many rows are unscored (without a judge, or for errors)",
    "not here": "nobody here can ask it",
}


@dataclass(frozen=True, slots=True)
class Figure:
    """A published number."""

    task: str
    """Our short task name, or the benchmark's name where nobody here can ask it."""
    metric: str
    """Our name of the metric."""
    value: float
    """As published: percent, or the benchmark's own points."""
    tolerance: float
    """How far from it is near enough, on the same scale."""
    source: str
    """Where it stands."""

    @property
    def is_here(self) -> bool:
        """Whether the benchmark can be asked."""
        facts = FACTS.get(self.task)
        return facts is not None and facts.file is not None


@dataclass(frozen=True, slots=True)
class Preset:
    """What to run, and what it should give."""

    name: str
    """What people call it."""
    how: str
    """Where the settings come from."""
    settings: Mapping[str, Json]
    """Options of `run` by their names in the program, such as `max_pixels`."""
    figures: tuple[Figure, ...]
    """What it should give."""
    cautions: tuple[str, ...]
    """What a reader must know."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """The benchmarks that can be asked."""
        return tuple(figure.task for figure in self.figures if figure.is_here)


@cache
def presets() -> Mapping[str, Preset]:
    """Return every preset by name."""
    return {row["name"]: _preset(row) for row in _table()["presets"]}


def mark() -> str:
    """Return how every figure here is marked."""
    return str(_table()["mark"])


def preset_named(name: str) -> Preset:
    """Return a preset; case does not matter.

    Raises:
        ConfigError: There is none of that name.
    """
    found = {known.lower(): preset for known, preset in presets().items()}.get(name.lower())
    if found is None:
        hint = did_you_mean(name, list(presets()))
        raise ConfigError(f"there is no preset {name[:80]!r}.{hint} Known presets: {', '.join(presets())}")
    return found


@cache
def _table() -> dict[str, Any]:
    return cast("dict[str, Any]", json.loads(resources.files("reports").joinpath("presets.json").read_text("utf-8")))


def _preset(row: Mapping[str, Any]) -> Preset:
    cautions = tuple(row["cautions"])
    if "published_row" in row:
        figures, told = _of_table(row["published_row"], row["tolerance"])
        cautions += told
    else:
        figures = tuple(
            Figure(one["task"], one["metric"], one["value"], one.get("tolerance", row["tolerance"]),
                   one.get("source", row["source"]))
            for one in row["figures"]
        )  # fmt: skip
    return Preset(row["name"], row["how"], row["settings"], figures, cautions)


def _of_table(model: str, tolerance: float) -> tuple[tuple[Figure, ...], tuple[str, ...]]:
    """Return a row of the published table as figures, with its cautions."""
    reported = published()
    values = dict(reported.rows)[model]
    figures = tuple(
        Figure(task or name, facts_of(task or name).headline, value, tolerance, reported.source)
        for (name, task), value in zip(reported.columns, values, strict=True)
        if value is not None
    )
    return figures, reported.cautions


# --- after a run ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FigureCheck:
    """One figure beside a run's score."""

    figure: Figure
    """What was published."""
    score: float | None
    """The run's, on the figure's scale; None where there is none."""
    state: State
    """How they lie."""

    @property
    def text(self) -> str:
        """Both numbers and their difference."""
        digits = metric_scale(self.figure.metric)[1]
        told = f"{self.figure.task} {self.figure.metric}: reported {number(self.figure.value, digits)}"
        if self.score is None:
            return f"{told}; {_WHY_NOT[self.state]}"
        change = signed(self.score - self.figure.value, digits)
        return (
            f"{told}, here {number(self.score, digits)} ({change}; {self.state} the tolerance of "
            f"{number(self.figure.tolerance, 1)})"
        )


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What a run made of a preset."""

    preset: Preset
    """What was to be repeated."""
    checks: tuple[FigureCheck, ...]
    """Every figure."""
    differing: tuple[str, ...]
    """Settings in which the run is not the preset, in words."""

    @property
    def is_reproduced(self) -> bool:
        """Whether every figure that can be asked was, under the preset's settings, and lies within its tolerance."""
        asked = [check for check in self.checks if check.state != "not here"]
        return bool(asked) and not self.differing and all(check.state == "within" for check in asked)

    @property
    def sentence(self) -> str:
        """What to say of it in a line."""
        if self.is_reproduced:
            return f"{self.preset.name}: reproduced, under the preset's settings and within its tolerances"
        counts = {state: sum(check.state == state for check in self.checks) for state in ("within", "beyond")}
        ran = counts["within"] + counts["beyond"]
        missed = sum(check.state in {"not run", "no score", "unscored"} for check in self.checks)
        told = [f"{counts['within']} of {ran} figures within tolerance" if ran else "no figure was run"]
        told += [f"{missed} without a score"] if missed else []
        told += [f"{len(self.differing)} settings differ" if len(self.differing) > 1 else "one setting differs"] if (
            self.differing
        ) else ["no setting differs"]  # fmt: skip
        return f"{self.preset.name}: not reproduced ({', '.join(told)})"

    @property
    def lines(self) -> tuple[str, ...]:
        """Sentence, figures and differing settings, a line each."""
        return (
            self.sentence,
            *(check.text for check in self.checks),
            *(f"differs: {setting}" for setting in self.differing),
            f"where the settings come from: {self.preset.how}",
            *(f"caution: {caution}" for caution in self.preset.cautions),
        )


def reproduction_of(manifest: Manifest, tasks: Mapping[str, TaskSummary]) -> Reproduction | None:
    """Return what a run made of the preset that it was made with; None where it names none that is known."""
    asked = manifest.other.get("arguments")
    name = asked.get("preset") if isinstance(asked, dict) else None
    preset = presets().get(name) if isinstance(name, str) else None
    return None if preset is None else reproduction(preset, manifest, tasks)


def reproduction(preset: Preset, manifest: Manifest, tasks: Mapping[str, TaskSummary]) -> Reproduction:
    """Hold a run against a preset."""
    checks = tuple(_check(figure, tasks.get(figure.task)) for figure in preset.figures)
    return Reproduction(preset, checks, tuple(_differing(preset, manifest)))


def _check(figure: Figure, summary: TaskSummary | None) -> FigureCheck:
    if not figure.is_here:
        return FigureCheck(figure, None, "not here")
    if summary is None:
        return FigureCheck(figure, None, "not run")
    metric = summary.metrics.get(figure.metric)
    if metric is None or metric.value is None:
        return FigureCheck(figure, None, "no score")
    if sum(summary.unscored.values()) > MOST_UNEXPLAINED * summary.rows:
        return FigureCheck(figure, None, "unscored")
    score = metric.value * metric_scale(figure.metric)[0]
    return FigureCheck(figure, score, "within" if abs(score - figure.value) <= figure.tolerance else "beyond")


def _differing(preset: Preset, manifest: Manifest) -> list[str]:
    """Say in which settings a run is not the preset, and what else keeps its numbers from standing for it."""
    asked = manifest.other.get("arguments")
    arguments = dict(asked) if isinstance(asked, dict) else {}
    arguments["decoding"] = "sampled" if arguments.get("temperature") else "greedy"
    arguments["model"] = manifest.model
    told = [
        f"{name} is {_shown(arguments.get(name))}, the preset's {_shown(wanted)}"
        for name, wanted in preset.settings.items()
        if not _is_same(name, arguments.get(name), wanted)
    ]
    told += [f"{name} is {_shown(arguments[name])}, the preset leaves it alone" for name in _LEFT_ALONE
             if arguments.get(name) and name not in preset.settings]  # fmt: skip
    told += [f"{name}: {task.samples} of {task.rows} rows (--limit)" for name, task in manifest.tasks.items()
             if task.samples < task.rows and name in preset.tasks]  # fmt: skip
    told += ["blind (--blind): asked without the pictures"] if blind_of(manifest) is not None else []
    told += ["gold boxes of a file (--boxes)"] if SIDE_BOXES in manifest.other else []
    return told


_LEFT_ALONE = ("min_pixels", "max_pixels", "max_new_tokens", "system_prompt", "prompt_suffix", "chat_template", "tool")
"""Arguments that no run under a preset has unless the preset gives them."""


def _is_same(name: str, given: Json, wanted: Json) -> bool:
    """Tell whether a run has a preset's setting; a model is known by the last part of its name, wherever it lies."""
    if name == "model" and isinstance(given, str) and isinstance(wanted, str):
        return _last_part(given) == _last_part(wanted)
    return given == wanted


def _last_part(name: str) -> str:
    return name.rstrip("/\\").replace("\\", "/").rsplit("/", 1)[-1].lower()


def _shown(value: Json) -> str:
    return DASH if value is None else str(value)
