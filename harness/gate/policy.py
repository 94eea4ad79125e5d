"""Read what a gate demands: `gate.toml` into one frozen policy, all its faults reported together.

tasks = ["shapes", "pope"]         # what is gated; default: every task of the baseline
required_tasks = ["shapes"]        # must be in both runs; default: every gated task
metrics = { pope = "accuracy" }    # instead of a task's headline
alpha = 0.05
tolerance = 1.0                    # points: a drop up to this is allowed (percent of the metric's range)
parse_fault_ceiling = 5.0          # percent of the candidate's texts
mean_iou_floor = 0.3               # of the candidate, on tasks with gold boxes
on_inconclusive = "pass"           # or "fail"
allow_limited = false              # true: runs of --limit are judged, if both asked the very same samples
noise = "noise.json"               # from `satori-bench noise --json`: the tolerance is never below its floor
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeAlias, cast

from harness.errors import ConfigError, did_you_mean
from harness.runs.json_text import describe
from harness.values import Json

NOISE_SCHEMA = 1
"""Version of the object that `noise --json` prints and a policy reads."""

OnInconclusive: TypeAlias = Literal["pass", "fail"]
"""What a benchmark that cannot be told does to the exit code."""


@dataclass(frozen=True, slots=True)
class GatePolicy:
    """What a candidate must keep to."""

    tasks: tuple[str, ...] = ()
    """Tasks that are gated, the family of the tests; empty: every task of the baseline."""
    required_tasks: tuple[str, ...] | None = None
    """Tasks that both runs must have; None: every gated task."""
    metrics: Mapping[str, str] = field(default_factory=dict[str, str])
    """Metric by task, where it is not the headline."""
    alpha: float = 0.05
    """Share of unchanged candidates that may be called a regression, over all tasks together."""
    tolerance: float = 1.0
    """Points that a score may drop: percent of the metric's range (for MME's total 1 is 28 of 2800)."""
    parse_fault_ceiling: float | None = None
    """Greatest percentage of the candidate's texts with a parse fault; None: not looked at."""
    mean_iou_floor: float | None = None
    """Least mean IoU of the candidate's own scores on each task with gold boxes, in [0, 1]; None: not looked at."""
    on_inconclusive: OnInconclusive = "pass"
    """What inconclusive does."""
    noise_floor: Mapping[str, float] = field(default_factory=dict[str, float])
    """Points by task that one checkpoint's score moves from run to run; the tolerance is never below."""
    noise_file: str | None = None
    """Name of the file that `noise_floor` came from (it may hold tasks that no run has); None for the policy's own."""
    allow_limited: bool = False
    """Whether runs of `--limit` are judged, where both asked the very same samples."""

    def tolerance_of(self, task: str) -> float:
        """Return the points that a task's score may drop."""
        return max(self.tolerance, self.noise_floor.get(task, 0.0))


def read_policy(path: Path | None, noise: Path | None = None) -> GatePolicy:
    """Read a policy file.

    Args:
        path: A `gate.toml`; None gives the default policy.
        noise: The output of `noise --json`; None uses the one that the policy names, if any.

    Raises:
        ConfigError: A file cannot be read, or fields are wrong; every fault is named.
    """
    table: dict[str, object] = {}
    if path is not None:
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as fault:
            raise ConfigError(f"cannot read the gate's policy {path}: {fault.strerror or fault}") from fault
        except ValueError as fault:  # TOML and Unicode errors are of this kind
            raise ConfigError(f"{path} is not valid TOML: {fault}") from fault
    named = table.pop("noise", None)
    policy = policy_from(table, str(path))
    if noise is None and named is not None:
        if not isinstance(named, str) or path is None:
            raise ConfigError(f"{path}: noise must be a file name, found {named!r}")
        noise = path.parent / named
    if noise is None:
        return policy
    if policy.noise_floor:
        raise ConfigError(f"{path}: give either noise_floor or a noise file, not both")
    return replace(policy, noise_floor=read_noise_floor(noise), noise_file=noise.name)


def read_noise_floor(path: Path) -> dict[str, float]:
    """Read the floor in points by task from what `noise --json` printed; a task without a floor is left out.

    Raises:
        ConfigError: The file cannot be read, or fields are wrong; every one is named.
    """
    try:
        found = cast("Json", json.loads(path.read_text(encoding="utf-8")))
    except OSError as fault:
        raise ConfigError(f"cannot read the noise file {path}: {fault.strerror or fault}") from fault
    except (ValueError, RecursionError) as fault:  # JSON and Unicode errors are of the first kind
        raise ConfigError(f"the noise file {path} is not valid JSON: {fault}; {_NOISE_MEND}") from fault
    faults = _noise_faults(found)
    if faults:
        raise ConfigError(f"the noise file {path}: {'; '.join(faults)}; {_NOISE_MEND}")
    tasks = cast("dict[str, dict[str, dict[str, float | None]]]", found)["tasks"]
    floor = {task: row["floor_points"] for task, row in tasks.items()}
    return {task: float(points) for task, points in floor.items() if points is not None}


_NOISE_MEND = "make it with: satori-bench noise RUN_A RUN_A2 --json"


def _noise_faults(found: Json) -> list[str]:
    """Say what is wrong with the content of a noise file; nothing for a right one."""
    if not isinstance(found, dict):
        return [f"must hold an object, found {describe(found)}"]
    faults: list[str] = []
    schema, tasks = found.get("schema", NOISE_SCHEMA), found.get("tasks")
    if isinstance(schema, bool) or schema != NOISE_SCHEMA:
        faults.append(f"schema must be {NOISE_SCHEMA}, found {describe(schema)}")
    if not isinstance(tasks, dict):
        return [*faults, f"tasks must be an object of rows by task, found {describe(tasks)}"]
    for task, row in tasks.items():
        field_name = f"tasks.{task if task.isidentifier() else repr(task)[:80]}"
        if not isinstance(row, dict):
            faults.append(f"{field_name} must be an object with floor_points, found {describe(row)}")
        elif "floor_points" not in row:
            faults.append(f"{field_name}.floor_points is missing")
        elif row["floor_points"] is not None and not _is_points(row["floor_points"]):
            faults.append(
                f"{field_name}.floor_points must be points from 0 to 100 or null, found {describe(row['floor_points'])}"
            )
    return faults


def policy_from(table: Mapping[str, object], where: str) -> GatePolicy:
    """Return the policy that a table gives.

    Raises:
        ConfigError: Fields are unknown or wrong; every one is named.
    """
    faults: list[str] = []
    values: dict[str, object] = {}
    for name, value in table.items():
        if name not in _FIELDS:
            faults.append(f"unknown field {name}.{did_you_mean(name, [*_FIELDS, 'noise'])}")
            continue
        wanted, check = _FIELDS[name]
        if not check(value):
            faults.append(f"{name} must be {wanted}, found {value!r:.80}")
            continue
        values[name] = tuple(cast("list[str]", value)) if isinstance(value, list) else value
    tasks = cast("tuple[str, ...]", values.get("tasks", ()))
    for name in ("required_tasks", "metrics", "noise_floor") if tasks else ():
        faults += [
            f"{name} names {task!r}, which is not in tasks.{did_you_mean(task, list(tasks))}"
            for task in cast("tuple[str, ...] | dict[str, object]", values.get(name, ()))
            if task not in tasks
        ]
    if faults:
        raise ConfigError(f"{where}: " + "; ".join(faults))
    return GatePolicy(**values)  # pyright: ignore[reportArgumentType] - each value was checked by its field


def _is_number(low: float, high: float, *, low_itself: bool) -> Callable[[object], bool]:
    def check(value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return (low <= value if low_itself else low < value) and value <= high

    return check


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) and item for item in cast("list[object]", value))


def _is_text_table(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(item, str) for item in cast("dict[str, object]", value).values())


_is_points = _is_number(0, 100, low_itself=True)


def _is_number_table(value: object) -> bool:
    return isinstance(value, dict) and all(map(_is_points, cast("dict[str, object]", value).values()))


_FIELDS: Mapping[str, tuple[str, Callable[[object], bool]]] = {
    "tasks": ("a list of task names", _is_texts),
    "required_tasks": ("a list of task names", _is_texts),
    "metrics": ("a table of task = metric", _is_text_table),
    "alpha": ("a number above 0 and at most 0.5", _is_number(0, 0.5, low_itself=False)),
    "tolerance": ("points from 0 to 100", _is_points),
    "parse_fault_ceiling": ("a percentage from 0 to 100", _is_number(0, 100, low_itself=True)),
    "mean_iou_floor": ("a number from 0 to 1", _is_number(0, 1, low_itself=True)),
    "on_inconclusive": ("'pass' or 'fail'", lambda value: value in ("pass", "fail")),
    "allow_limited": ("true or false", lambda value: isinstance(value, bool)),
    "noise_floor": ("a table of task = points from 0 to 100", _is_number_table),
}
