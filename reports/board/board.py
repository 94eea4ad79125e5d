"""Put stored runs side by side as the values of a leaderboard: models x benchmarks, every score with interval and n.

A cell holds the headline of one benchmark as the run's `scores.json` has it. Within a column only cells that were asked
and scored alike, on the same samples, stand together: the others keep their score but are greyed, with the reason, and
are not ranked. There is no average over benchmarks. Published rows stand apart, marked, and are never ranked either.
"""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, cast

from harness.comparison.task_ranks import TaskRanks, rank_task, read_tables
from harness.comparison.to_json import fields_to_json
from harness.errors import ConfigError, IncompleteError
from harness.probes.fills import Fill
from harness.probes.stored import stored_attention_scores, stored_probes
from harness.runs.manifest import Manifest, blind_of, imported_of, shown_format
from harness.runs.store import MANIFEST_NAME, StoredRun, list_runs, load_run
from harness.stats.ranks import RunRank
from harness.summary.stored_scores import stored_summaries
from harness.summary.summary_values import Metric, TaskSummary
from harness.task_facts import POINT_MAXIMA, is_native_metric
from harness.values import Json
from reports.texts.contamination import contamination

LEADERBOARD_SCHEMA = 1
"""Version of `leaderboard.json`."""

_MOST_NAME_CHARACTERS = 120


@dataclass(frozen=True, slots=True)
class Cell:
    """One model's headline on one benchmark."""

    metric: str
    """Name of the metric."""
    value: float | None
    """The score; None where the run could not give one."""
    ci_low: float | None
    """Lower end of its 95 % interval."""
    ci_high: float | None
    """Upper end."""
    n: int
    """Units that it counts."""
    points: bool
    """Whether it counts the benchmark's own points; else it is a fraction."""
    reason: str | None
    """Why there is no value; None where there is one."""
    incomparable: tuple[str, ...]
    """Why it may not be compared with the rest of the column; empty when it may, and before `rank_board`."""
    contamination: str | None
    """Why the score may be inflated by training data; None where nothing is known."""
    rank: RunRank | None
    """Its rank; None where it is not ranked."""
    rank_n: int | None
    """Units that its rank stands on, those that all ranked runs share; None where it is not ranked."""
    theirs: float | None = None
    """What the program made of the texts whose log was imported, on this scale; None where nothing stands for it."""


@dataclass(frozen=True, slots=True)
class Looked:
    """Whether the boxes that a run names mattered to its answers on one benchmark, and where it attended."""

    necessity: Metric | None
    """By same answers and the first colour; None where nobody probed."""
    sufficiency: Metric | None
    """Likewise."""
    fill: Fill | None
    """The colour; None where nobody probed."""
    density: Metric | None
    """Of attention in the boxes, of the rows that wrote them; None where nobody looked."""
    rows: int
    """All samples of the benchmark."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One row: a run."""

    run: str
    """The run folder's name."""
    site_name: str
    """Its own folder under `runs/` of the site: ASCII letters, digits, `.`, `_` and `-`, unlike every other entry's."""
    path: Path
    """The run folder; never shown."""
    model: str
    """Model id or path as given: untrusted text."""
    weights: str
    """Hash of the weights; empty where they cannot be seen."""
    format: str
    """The stages that were asked for."""
    protocol: str
    """How answers became scores."""
    protocol_version: str
    """The same with the version of those rules."""
    min_pixels: int | None
    """Resolution: least pixels; None when not known."""
    max_pixels: int | None
    """Resolution: most pixels."""
    max_new_tokens: str
    """Token budget; `task default` where each benchmark has its own."""
    seed: int
    """The run's seed."""
    created_utc: str
    """When it was begun."""
    partial: bool
    """Whether `--limit` left samples out."""
    predictions_only: bool
    """Whether the texts were made elsewhere."""
    imported: str | None
    """The program whose log the run was made of, with its version; None where it was not."""
    rows: int
    """All samples."""
    parse_fault_rows: int
    """Samples whose text did not keep to the format."""
    truncated_rows: int
    """Samples whose text the token budget ended."""
    mean_iou: float | None
    """Mean IoU over all samples with gold boxes; None without any."""
    mean_iou_n: int
    """Samples that it counts."""
    cells: Mapping[str, Cell]
    """Cells by task."""
    looked: Mapping[str, Looked] = field(default_factory=dict[str, Looked])
    """By task, those that were probed or attended to alone."""


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """The whole board."""

    tasks: tuple[str, ...]
    """Columns: tasks in the order in which they first appear."""
    entries: tuple[Entry, ...]
    """Rows, best headline of the first column first."""
    barred: tuple[tuple[str, str], ...]
    """Runs that were left out, with the reason."""
    unranked: Mapping[str, str]
    """Why a column has no ranking, by task; empty before `rank_board`."""


def read_leaderboard(paths: Sequence[Path], *, allow_partial: bool = False) -> Leaderboard:
    """Read runs into a board.

    Args:
        paths: Run folders, or folders of run folders.
        allow_partial: Whether runs of `--limit` take part; they are marked.

    Raises:
        ConfigError: No run is named, or one is named twice.
        IncompleteError: A named run is not finished, its `scores.json` is damaged, or no run is left.
    """
    runs = [load_run(path) for path in _run_folders(paths)]
    for run in runs:
        if not run.finished:
            raise IncompleteError(f"{run.path} is not finished; the command that began it goes on with it")
    bars = {run.path: why for run in runs if (why := _bar(run.manifest, allow_partial=allow_partial)) is not None}
    taken = [run for run in runs if run.path not in bars]
    barred = tuple((path.name, why) for path, why in bars.items())
    if not taken:
        raise IncompleteError(
            "no run may be on the leaderboard: "
            + ", ".join(f"{name} is {reason}" for name, reason in barred)
            + ". Run the whole benchmarks with their pictures, or add --allow-partial"
        )
    site_names = _site_names([run.path for run in taken])
    entries = [_entry(run, site_names[run.path]) for run in taken]
    tasks = tuple(dict.fromkeys(task for entry in entries for task in entry.cells))
    return Leaderboard(tasks, tuple(sorted(entries, key=lambda entry: _order(entry, tasks))), barred, {})


def _bar(manifest: Manifest, *, allow_partial: bool) -> str | None:
    """Return why a run may not be on a board; None when it may."""
    if (shown := blind_of(manifest)) is not None:
        return f"blind (--blind): it was asked with {shown}, so that its scores are no model's on these benchmarks"
    if manifest.partial and not allow_partial:
        return "partial (--limit): it does not stand for its benchmarks"
    return None


def rank_board(board: Leaderboard, *, seed: int) -> Leaderboard:
    """Return the board with ranks: in each column the largest group of runs that may be compared with each other.

    The others are greyed, with the reason.

    Raises:
        IncompleteError: A run's table cannot be read.
    """
    runs = {entry.path: load_run(entry.path) for entry in board.entries}
    tables = dict(zip(runs, read_tables(list(runs.values())), strict=True))
    for task in board.tasks:
        paths = [entry.path for entry in board.entries if _has_score(entry.cells.get(task))]
        found = rank_task(task, [runs[path] for path in paths], [tables[path] for path in paths], seed=seed)
        board = _with_ranks(board, task, paths, found)
    return board


def _has_score(cell: Cell | None) -> bool:
    return cell is not None and cell.value is not None


def _with_ranks(board: Leaderboard, task: str, paths: Sequence[Path], found: TaskRanks) -> Leaderboard:
    """Return the board with one column ranked; `paths` are the runs that `found` has places for."""
    places = {path: place for place, path in enumerate(paths)}

    def ranked(entry: Entry) -> Entry:
        if entry.path not in places:
            return entry
        rank, apart = found.ranks[places[entry.path]], found.apart[places[entry.path]]
        cell = replace(entry.cells[task], incomparable=apart, rank=rank, rank_n=found.n if rank else None)
        return replace(entry, cells={**entry.cells, task: cell})

    unranked = {**board.unranked, task: found.reason} if found.reason else board.unranked
    return replace(board, entries=tuple(ranked(entry) for entry in board.entries), unranked=unranked)


def _run_folders(paths: Sequence[Path]) -> list[Path]:
    """Return the run folders that are meant: each as named, or those inside a named folder."""
    found: list[Path] = []
    for path in paths:
        if (path / MANIFEST_NAME).exists():
            found.append(path)
            continue
        # a damaged run is named by whoever opens it: one that is left out without a word would be missed by nobody
        finished = [info.path for info in list_runs(path) if info.state != "partial"]
        if not finished:
            raise ConfigError(f"{path} is neither a run nor a folder of finished runs")
        found += finished
    if not found:
        raise ConfigError("a leaderboard needs at least one run: leaderboard RUNS... -o site/")
    names = Counter(path.resolve() for path in found)
    twice = [str(path) for path, times in names.items() if times > 1]
    if twice:
        raise ConfigError(f"named twice: {', '.join(twice)}")
    return found


def _site_names(paths: Sequence[Path]) -> dict[Path, str]:
    """Return each run folder's name in the site: its own where that is safe, numbered where several are called alike.

    The numbers follow the folders' paths, not the order in which the command names them; case tells no names apart, as
    on some disks it does not.
    """
    ordered = sorted(paths, key=lambda path: path.resolve())
    wanted = {path: _safe_name(path.resolve().name) for path in ordered}
    firsts: dict[str, Path] = {}
    for path, name in wanted.items():
        firsts.setdefault(name.casefold(), path)
    found = {path: wanted[path] for path in firsts.values()}
    taken = set(firsts)
    for path in ordered:
        if path not in found:
            numbered = (f"{wanted[path]}-{number}" for number in itertools.count(2))
            found[path] = next(name for name in numbered if name.casefold() not in taken)
            taken.add(found[path].casefold())
    return found


def _safe_name(name: str) -> str:
    """Return a folder's name as a part of a web address that needs no escapes."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:_MOST_NAME_CHARACTERS] or "run"


def _entry(run: StoredRun, site_name: str) -> Entry:
    manifest, tasks = run.manifest, stored_summaries(run)
    imported = imported_of(manifest)
    theirs = {} if imported is None else imported.compared
    boxed = [
        (found.value, found.n)
        for one in tasks.values()
        if (found := one.metrics.get("mean_iou")) and found.value is not None
    ]
    counted = sum(n for _, n in boxed)
    limits = manifest.pixel_limits
    return Entry(
        run=run.path.resolve().name,
        site_name=site_name,
        path=run.path,
        model=manifest.model,
        weights=manifest.weights_hash,
        format=shown_format(manifest),
        protocol=manifest.protocol,
        protocol_version=manifest.scored_by,
        min_pixels=None if limits is None else limits.min_pixels,
        max_pixels=None if limits is None else limits.max_pixels,
        max_new_tokens=_token_budget(manifest),
        seed=manifest.seed,
        created_utc=manifest.created_utc,
        partial=manifest.partial,
        predictions_only=manifest.predictions_only,
        imported=None if imported is None else imported.program,
        rows=sum(one.rows for one in tasks.values()),
        parse_fault_rows=sum(one.parse_fault_rows for one in tasks.values()),
        truncated_rows=sum(one.truncated_rows for one in tasks.values()),
        # the mean over all samples, from means over parts of them
        mean_iou=sum(value * n for value, n in boxed) / counted if counted else None,
        mean_iou_n=counted,
        cells={
            task: _cell(stored, contamination(manifest.model, task), theirs.get(task, {}))
            for task, stored in tasks.items()
        },
        looked=_looked(run, {task: stored.rows for task, stored in tasks.items()}),
    )


def _looked(run: StoredRun, rows: Mapping[str, int]) -> dict[str, Looked]:
    """Return what a run's probes and attention say, by task.

    Raises:
        DamagedRunError: A file that was put beside the run cannot be used.
    """
    probes, attention = stored_probes(run), stored_attention_scores(run) or {}
    found: dict[str, Looked] = {}
    for task, samples in rows.items():
        density = (
            attention[task].spans["boxes"].density if task in attention and "boxes" in attention[task].spans else None
        )
        fills = probes.tasks[task].fills if probes is not None and task in probes.tasks else {}
        fill, scores = next(((fill, of_fill.scores["same"]) for fill, of_fill in fills.items()), (None, None))
        if density is not None or scores is not None:
            found[task] = Looked(
                necessity=None if scores is None else scores.necessity,
                sufficiency=None if scores is None else scores.sufficiency,
                fill=fill,
                density=density,
                rows=samples,
            )
    return found


def _token_budget(manifest: Manifest) -> str:
    budget = manifest.generation.get("max_new_tokens")
    if manifest.predictions_only and budget is None:
        return "not known"
    return "task default" if budget is None else str(budget)


def _cell(stored: TaskSummary, contaminated: str | None, theirs: Mapping[str, float]) -> Cell:
    name, metric = stored.headline, stored.shown
    return Cell(
        metric=name,
        value=metric.value,
        ci_low=metric.ci_low,
        ci_high=metric.ci_high,
        n=metric.n,
        points=name in POINT_MAXIMA or is_native_metric(name),
        reason=None if metric.value is not None else metric.reason or "no score",
        incomparable=(),
        contamination=contaminated,
        rank=None,
        rank_n=None,
        theirs=theirs.get(name),
    )


def _order(entry: Entry, tasks: Sequence[str]) -> tuple[object, ...]:
    values = [entry.cells[task].value if task in entry.cells else None for task in tasks]
    return (*((value is None, -(value or 0.0)) for value in values), entry.model, entry.run)


@dataclass(frozen=True, slots=True)
class Published:
    """Rows that others reported."""

    source: str
    """Where they stand."""
    mark: str
    """How they are marked."""
    cautions: tuple[str, ...]
    """What one must know."""
    columns: tuple[tuple[str, str | None], ...]
    """Name of each benchmark there, and our task where it is the same; None where it is not."""
    rows: tuple[tuple[str, tuple[float | None, ...]], ...]
    """Model and its values in percent, in the order of the columns."""


def published() -> Published:
    """Return the published rows that the page shows beside ours."""
    data = _data("published.json")
    return Published(
        source=data["source"],
        mark=data["mark"],
        cautions=tuple(data["cautions"]),
        columns=tuple((column["name"], column["task"]) for column in data["columns"]),
        rows=tuple((row["model"], tuple(row["values"])) for row in data["rows"]),
    )


@cache
def _data(name: str) -> dict[str, Any]:
    return cast("dict[str, Any]", json.loads(resources.files("reports").joinpath(name).read_text(encoding="utf-8")))


def leaderboard_json(board: Leaderboard) -> dict[str, Json]:
    """Return the versioned object of `leaderboard.json`: fractions, unrounded, with what stands behind them."""
    reported = published()
    return {
        "schema": LEADERBOARD_SCHEMA,
        "tasks": list[Json](board.tasks),
        "entries": [_entry_json(entry) for entry in board.entries],
        "barred": [{"run": run, "reason": reason} for run, reason in board.barred],
        "unranked": dict[str, Json](board.unranked),
        "reported": {
            "source": reported.source,
            "mark": reported.mark,
            "cautions": list[Json](reported.cautions),
            "columns": [{"name": name, "task": task} for name, task in reported.columns],
            "rows": [{"model": model, "values": list[Json](values)} for model, values in reported.rows],
        },
    }


def _entry_json(entry: Entry) -> Json:
    return {
        "run": entry.run,
        "site_name": entry.site_name,
        "model": entry.model,
        "weights": entry.weights,
        "format": entry.format,
        "protocol": entry.protocol,
        "protocol_version": entry.protocol_version,
        "min_pixels": entry.min_pixels,
        "max_pixels": entry.max_pixels,
        "max_new_tokens": entry.max_new_tokens,
        "seed": entry.seed,
        "created_utc": entry.created_utc,
        "partial": entry.partial,
        "predictions_only": entry.predictions_only,
        "imported": entry.imported,
        "rows": entry.rows,
        "parse_fault_rows": entry.parse_fault_rows,
        "truncated_rows": entry.truncated_rows,
        "mean_iou": entry.mean_iou,
        "mean_iou_n": entry.mean_iou_n,
        "cells": {task: _cell_json(cell) for task, cell in entry.cells.items()},
        "looked": {task: fields_to_json(looked) for task, looked in entry.looked.items()},
    }


def _cell_json(cell: Cell) -> Json:
    rank: Json = None
    if cell.rank is not None:
        rank = {
            "rank": cell.rank.rank,
            "low": cell.rank.rank_low,
            "high": cell.rank.rank_high,
            "tie_group": cell.rank.tie_group,
            "p_best": cell.rank.p_best,
            "n": cell.rank_n,
        }
    return {
        "metric": cell.metric,
        "value": cell.value,
        "ci_low": cell.ci_low,
        "ci_high": cell.ci_high,
        "n": cell.n,
        "scale": "points" if cell.points else "fraction",
        "reason": cell.reason,
        "incomparable": list[Json](cell.incomparable),
        "contamination": cell.contamination,
        "rank": rank,
        "theirs": cell.theirs,
    }
