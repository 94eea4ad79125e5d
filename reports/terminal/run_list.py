"""List runs for the terminal and as JSON: when, what came out, how it was asked, and what each run is good for.

Only `manifest.json` and `scores.json` are read, so that a folder of hundreds of runs is listed at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

from harness.errors import IncompleteError
from harness.files import published_files
from harness.runs.lookup import begun_order, called
from harness.runs.manifest import Manifest
from harness.runs.store import RunInfo, StoredRun, list_runs, read_scores
from harness.scoring.formats import format_name
from harness.summary.stored_scores import stored_summaries
from harness.summary.summary_values import TaskSummary
from harness.values import Json
from reports.terminal.tables import Column, TextTable, folded, metric_text
from reports.texts.numbers_shown import DASH, count
from reports.texts.visible import one_line

RUNS_SCHEMA = 1
"""Version of the object of `runs list --json`."""

StateWord: TypeAlias = Literal["complete", "unfinished", "failed", "broken"]
"""`unfinished` runs and those that were given up (`failed`) can be resumed; a `broken` one cannot be read."""

_STATE_WIDTH = 12
"""Columns of a terminal for the state and what else is to be known of a run."""

_STATES: dict[str, Literal["complete", "partial", "corrupt"]] = {
    "complete": "complete",
    "unfinished": "partial",
    "failed": "partial",
    "broken": "corrupt",
}


@dataclass(frozen=True, slots=True)
class ListedRun:
    """One run of a list."""

    path: Path
    """The run folder."""
    state: StateWord
    """How far it is."""
    manifest: Manifest | None
    """What it is; None where that cannot be read."""
    tasks: dict[str, TaskSummary]
    """What it scored, by task; empty unless it is complete."""
    problem: str | None
    """Why it is broken; None otherwise."""

    @property
    def marks(self) -> tuple[str, ...]:
        """What a reader of its scores must know, in a word or two each."""
        if self.manifest is None:
            return ()
        found = ["limited"] if self.manifest.partial else []
        if self.manifest.predictions_only:
            found.append("predictions only" if self.manifest.backend == "predictions" else "imported")
        errors = sum(task.failed_rows for task in self.tasks.values())
        return (*found, f"{errors:,} errors") if errors else tuple(found)

    @property
    def decoding(self) -> str:
        """How answers were drawn; empty where that is not known."""
        temperature = None if self.manifest is None else self.manifest.generation.get("temperature")
        if not isinstance(temperature, int | float) or isinstance(temperature, bool):
            return ""
        return f"sampled {temperature:g}" if temperature > 0 else "greedy"


def listed_runs(folder: Path) -> list[ListedRun]:
    """Return the runs of a folder, those begun last at the end; a run that cannot be read is listed as broken.

    Raises:
        StoreError: The folder cannot be read.
    """
    return [_listed(info) for info in sorted(list_runs(folder), key=begun_order)]


def _listed(info: RunInfo) -> ListedRun:
    if info.state == "corrupt" or info.manifest is None:
        return ListedRun(info.path, "broken", info.manifest, {}, info.problem)
    if info.state == "partial":
        given_up = info.manifest.status == "failed"
        return ListedRun(info.path, "failed" if given_up else "unfinished", info.manifest, {}, None)
    try:
        tasks = stored_summaries(StoredRun(info.path, info.manifest, read_scores(published_files(info.path)), {}))
    except IncompleteError as fault:
        return ListedRun(info.path, "broken", info.manifest, {}, str(fault))
    return ListedRun(info.path, "complete", info.manifest, tasks, None)


def runs_table(runs: Sequence[ListedRun]) -> TextTable:
    """Return the list as a table: scores are each benchmark's headline, in percent where it is a share."""
    columns = (
        Column("run, begun (UTC)"),
        Column("state", worth=9),
        Column("score", worth=8),
        Column("samples", worth=7),
        Column("format", worth=4),
        Column("protocol", worth=4),
        Column("model", worth=3),
        Column("problem", worth=2),
    )
    rows = [_cells(run) for run in runs]
    rare = {"model", "problem"}  # few lists have either
    kept = [n for n, column in enumerate(columns) if column.heading not in rare or any(row[n] != DASH for row in rows)]
    return TextTable(tuple(columns[n] for n in kept), tuple(tuple(row[n] for n in kept) for row in rows))


def _cells(run: ListedRun) -> tuple[str, ...]:
    manifest = run.manifest
    name = one_line(called(run.path.name))
    state = "\n".join(line for text in (run.state, *run.marks) for line in folded(text, _STATE_WIDTH))
    if manifest is None:
        return (name, state, *[DASH] * 5, one_line(run.problem or DASH))
    return (
        "\n".join((name, one_line(manifest.created_utc[:16].replace("T", " ")))),
        state,
        "\n".join(_score_text(task, stored) for task, stored in run.tasks.items()) or DASH,
        "\n".join(filter(None, (_samples_text(manifest), run.decoding))),
        format_name(manifest.format),
        one_line(manifest.scored_by),
        one_line(manifest.model) if manifest.name else DASH,  # else the run is called after it
        one_line(run.problem or DASH),
    )


def _score_text(name: str, task: TaskSummary) -> str:
    """Return a benchmark's headline; the metric is named where it is not accuracy."""
    value = metric_text(task.headline, replace(task.shown, ci_low=None, ci_high=None))
    metric = "" if task.headline == "accuracy" else f" {task.headline}"
    return one_line(f"{name}{metric} {value}")


def _samples_text(manifest: Manifest) -> str:
    asked = sum(task.samples for task in manifest.tasks.values())
    rows = sum(task.rows for task in manifest.tasks.values())
    return f"{count(asked)} of {count(rows)}" if manifest.partial else count(asked)


def runs_json(runs: Sequence[ListedRun]) -> dict[str, Json]:
    """Return the versioned object of `runs list --json`; fractions are unrounded."""
    return {"schema": RUNS_SCHEMA, "runs": [_run_json(run) for run in runs]}


def _run_json(run: ListedRun) -> Json:
    manifest = run.manifest
    facts: dict[str, Json] = {
        "run": str(run.path),
        "name": called(run.path.name),
        "state": _STATES[run.state],
        "status": run.state,
        "marks": list[Json](run.marks),
        "model": None,
        "tasks": [],
        "problem": run.problem,
    }
    if manifest is None:
        return facts
    return facts | {
        "model": manifest.model,
        "tasks": list[Json](manifest.tasks),
        "created_utc": manifest.created_utc,
        "finished_utc": manifest.finished_utc,
        "format": format_name(manifest.format),
        "protocol": manifest.protocol,
        "protocol_version": manifest.scored_by,
        "decoding": run.decoding or None,
        "samples": sum(task.samples for task in manifest.tasks.values()),
        "rows": sum(task.rows for task in manifest.tasks.values()),
        "limited": manifest.partial,
        "predictions_only": manifest.predictions_only,
        "scores": {
            name: {
                "metric": task.headline,
                "value": task.shown.value,
                "ci_low": task.shown.ci_low,
                "ci_high": task.shown.ci_high,
                "n": task.shown.n,
            }
            for name, task in run.tasks.items()
        },
    }
