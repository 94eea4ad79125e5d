"""Read a stored `scores.json` back into the summaries that it was written from, and say which field is damaged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from harness.errors import IncompleteError
from harness.runs.declared import value_from
from harness.runs.json_text import describe
from harness.runs.store import SCORES_NAME, StoredRun
from harness.summary.summary_values import TaskSummary
from harness.values import FAULTS, Json

_EARLIER: Final[Mapping[str, Json]] = {
    "n": 0, "clusters": 0, "unscored": {}, "faults": {}, "categories": {}, "l2_categories": {},
}  # fmt: skip
"""What stands for fields that an earlier version did not store."""


def stored_summaries(run: StoredRun) -> dict[str, TaskSummary]:
    """Return the benchmarks of a finished run as they were summarised, by task; nothing is computed.

    Raises:
        IncompleteError: A field of `scores.json` is missing or of the wrong kind.
    """
    try:
        tasks = (run.scores or {}).get("tasks")
        if not isinstance(tasks, dict):
            raise ValueError(f"field 'tasks' must be an object, found {describe(tasks)}")  # noqa: TRY004, TRY301 - data, not a type
        return {name: _summary(name, fields, f"tasks.{name}.") for name, fields in tasks.items()}
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


def stored_warnings(run: StoredRun) -> tuple[str, ...] | None:
    """Return what a reader must know before believing the numbers; None where an earlier version did not store it."""
    if "texts" not in (run.scores or {}):
        return None
    warnings = run.manifest.other.get("warnings", [])
    return tuple(map(str, warnings)) if isinstance(warnings, list) else None


def _summary(task: str, fields: Json, at: str) -> TaskSummary:
    """Read one benchmark; `at` is where its fields stand, for messages."""
    if not isinstance(fields, dict):
        raise ValueError(f"field {at[:-1]!r} must be an object, found {describe(fields)}")  # noqa: TRY004 - data, not a type
    known = {group: _known(fields[group]) for group in ("unscored", "faults") if group in fields}
    summary = value_from(TaskSummary, {"task": task, **_EARLIER, **fields, **known}, at)
    if summary.headline not in summary.metrics:
        raise ValueError(f"field '{at}metrics.{summary.headline}' is missing")
    told = fields.get("reasons")
    reasons = {name: str(reason) for name, reason in told.items()} if isinstance(told, dict) else {}
    metrics = {name: replace(metric, reason=reasons.get(name)) for name, metric in summary.metrics.items()}
    return replace(summary, metrics=metrics, n=summary.n if "n" in fields else summary.shown.n)


def _known(counts: Json) -> Json:
    """Leave out counts of faults that a later version may have called otherwise."""
    return {name: count for name, count in counts.items() if name in FAULTS} if isinstance(counts, dict) else counts
