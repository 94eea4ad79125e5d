"""Read what leaderboard and list of runs show of a run's `scores.json`, and say which field is damaged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from harness.errors import IncompleteError
from harness.runs.store import SCORES_NAME, StoredRun
from harness.summary.means import Metric
from harness.values import Json


@dataclass(frozen=True, slots=True)
class StoredTask:
    """One benchmark of a run."""

    headline: str
    """Name of the metric that the benchmark is known by."""
    metric: Metric
    """That metric."""
    reason: str | None
    """Why it has no value; None where nothing is said."""
    mean_iou: Metric | None
    """Mean IoU; None without gold boxes."""
    rows: int
    """All samples."""
    parse_fault_rows: int
    """Samples whose text did not keep to the format."""
    truncated_rows: int
    """Samples whose text the token budget ended."""
    unscored_errors: int
    """Samples that could not be asked or scored for the faults `error` and `judge_error`."""


def stored_tasks(run: StoredRun) -> dict[str, StoredTask]:
    """Return the benchmarks of a finished run, by task.

    Raises:
        IncompleteError: A field of `scores.json` is missing or of the wrong kind.
    """
    try:
        tasks = _object(run.scores or {}, "tasks", "")
        return {name: _task(_object(tasks, name, "tasks."), f"tasks.{name}.") for name in tasks}
    except ValueError as fault:
        raise IncompleteError(
            f"cannot use {run.path / SCORES_NAME}: {fault}; see: satori-bench runs verify {run.path}"
        ) from fault


def _task(fields: Mapping[str, Json], at: str) -> StoredTask:
    """Read one benchmark; `at` is where its fields stand, for messages."""
    headline = fields.get("headline")
    if not isinstance(headline, str):
        raise _wrong(fields, "headline", at, "the name of a metric")
    metrics = _object(fields, "metrics", at)
    reasons = _object(fields, "reasons", at) if "reasons" in fields else {}
    unscored = _object(fields, "unscored", at) if "unscored" in fields else {}
    reason = reasons.get(headline)
    return StoredTask(
        headline=headline,
        metric=_metric(metrics, headline, f"{at}metrics."),
        reason=None if reason is None else str(reason),
        mean_iou=_metric(metrics, "mean_iou", f"{at}metrics.") if "mean_iou" in metrics else None,
        rows=_count(fields, "rows", at),
        parse_fault_rows=_count(fields, "parse_fault_rows", at),
        truncated_rows=_count(fields, "truncated_rows", at),
        unscored_errors=sum(
            _count(unscored, fault, f"{at}unscored.") for fault in ("error", "judge_error") if fault in unscored
        ),
    )


def _metric(metrics: Mapping[str, Json], name: str, at: str) -> Metric:
    fields, inside = _object(metrics, name, at), f"{at}{name}."
    return Metric(
        value=_number(fields, "value", inside),
        ci_low=_number(fields, "ci_low", inside),
        ci_high=_number(fields, "ci_high", inside),
        n=_count(fields, "n", inside),
    )


def _object(fields: Mapping[str, Json], name: str, at: str) -> Mapping[str, Json]:
    value = fields.get(name)
    if not isinstance(value, dict):
        raise _wrong(fields, name, at, "an object")
    return cast("Mapping[str, Json]", value)


def _number(fields: Mapping[str, Json], name: str, at: str) -> float | None:
    value = fields.get(name)
    if name not in fields or isinstance(value, bool) or not isinstance(value, int | float | None):
        raise _wrong(fields, name, at, "a number or null")
    return value


def _count(fields: Mapping[str, Json], name: str, at: str) -> int:
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise _wrong(fields, name, at, "a count")
    return value


def _wrong(fields: Mapping[str, Json], name: str, at: str, wanted: str) -> ValueError:
    return ValueError(f"{at}{name} is {'not ' + wanted if name in fields else 'missing'}")
