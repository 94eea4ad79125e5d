"""Read a stored `scores.json` back into the summaries that it was written from, and say which field is damaged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from harness.errors import IncompleteError
from harness.runs.store import SCORES_NAME, StoredRun
from harness.summary.means import Metric
from harness.summary.task_summary import TaskSummary
from harness.values import FAULTS, Fault, Json


def stored_summaries(run: StoredRun) -> dict[str, TaskSummary]:
    """Return the benchmarks of a finished run as they were summarised, by task; nothing is computed.

    Raises:
        IncompleteError: A field of `scores.json` is missing or of the wrong kind.
    """
    try:
        tasks = _object(run.scores or {}, "tasks", "")
        return {name: _summary(name, _object(tasks, name, "tasks."), f"tasks.{name}.") for name in tasks}
    except ValueError as fault:
        raise IncompleteError(
            f"cannot use {run.path / SCORES_NAME}: {fault}; see: satori-bench runs verify {run.path}"
        ) from fault


def stored_failures(run: StoredRun) -> dict[str, int]:
    """Return why samples got no answer, with how many each; empty where an earlier version did not store it."""
    failures = (run.scores or {}).get("failures")
    return (
        {name: count for name, count in failures.items() if isinstance(count, int)}
        if isinstance(failures, dict)
        else {}
    )


def _summary(task: str, fields: Mapping[str, Json], at: str) -> TaskSummary:
    """Read one benchmark; `at` is where its fields stand, for messages."""
    headline = fields.get("headline")
    if not isinstance(headline, str):
        raise _wrong(fields, "headline", at, "the name of a metric")
    reasons = {name: str(reason) for name, reason in _object_or_none(fields, "reasons", at).items()}
    metrics = _metrics(_object(fields, "metrics", at), f"{at}metrics.", reasons)
    if headline not in metrics:
        raise _wrong(fields, f"metrics.{headline}", at, "an object")
    return TaskSummary(
        task=task,
        n=_count(fields, "n", at) if "n" in fields else metrics[headline].n,
        rows=_count(fields, "rows", at),
        clusters=_count(fields, "clusters", at) if "clusters" in fields else 0,
        unscored=_counts(_object_or_none(fields, "unscored", at), f"{at}unscored."),
        faults=_counts(_object_or_none(fields, "faults", at), f"{at}faults."),
        parse_fault_rows=_count(fields, "parse_fault_rows", at),
        truncated_rows=_count(fields, "truncated_rows", at),
        headline=headline,
        metrics=metrics,
        categories=_metrics(_object_or_none(fields, "categories", at), f"{at}categories.", {}),
        l2_categories=_metrics(_object_or_none(fields, "l2_categories", at), f"{at}l2_categories.", {}),
    )


def _metrics(fields: Mapping[str, Json], at: str, reasons: Mapping[str, str]) -> dict[str, Metric]:
    found: dict[str, Metric] = {}
    for name in fields:
        values, inside = _object(fields, name, at), f"{at}{name}."
        found[name] = Metric(
            value=_number(values, "value", inside),
            ci_low=_number(values, "ci_low", inside),
            ci_high=_number(values, "ci_high", inside),
            n=_count(values, "n", inside),
            reason=reasons.get(name),
        )
    return found


def _counts(fields: Mapping[str, Json], at: str) -> dict[Fault, int]:
    """Return counts by fault; what a later version may have called otherwise is passed over."""
    return {fault: _count(fields, fault, at) for fault in FAULTS if fault in fields}


def _object(fields: Mapping[str, Json], name: str, at: str) -> Mapping[str, Json]:
    value = fields.get(name)
    if not isinstance(value, dict):
        raise _wrong(fields, name, at, "an object")
    return cast("Mapping[str, Json]", value)


def _object_or_none(fields: Mapping[str, Json], name: str, at: str) -> Mapping[str, Json]:
    return _object(fields, name, at) if name in fields else {}


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
