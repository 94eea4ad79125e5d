"""Make one run of the shards that several processes or machines asked: what a single process would have left.

Nothing is averaged: the records are put together and the numbers are made of them anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from harness.errors import ConfigError, IncompleteError
from harness.evaluation.rescore import staging
from harness.images.thumbnails import copy_thumbnails
from harness.runs.journal import Key
from harness.runs.manifest import Manifest, TaskManifest, config_of, stamp_hashes
from harness.runs.manifest_differences import FieldDifference, differences_text, manifest_differences
from harness.runs.store import StoredRun, load_run, move_run, open_run
from harness.summary.run_summary import RunSummariser, RunSummary
from harness.values import Json, Record

MERGED = "merged"
"""Key of a manifest that tells what each of its shards was."""
_COUNTS = "judge_counts"


def merge_shards(folders: Sequence[Path], root: Path, *, now: datetime) -> tuple[Path, RunSummary]:
    """Publish one run of all shards of a run; the shards stay as they are.

    Args:
        folders: The shards' run folders, in any order.
        root: Where the run goes.
        now: The present time, with its zone.

    Raises:
        ConfigError: A folder is no shard, one is given twice, or they were not asked alike.
        IncompleteError: A shard is missing or unfinished, or two hold the same sample.
        StoreError: The disk refuses; nothing is left behind.
    """
    shards = _in_order([load_run(folder) for folder in folders])
    manifest = _merged_manifest(shards)
    with staging(root) as hidden, open_run(hidden, manifest, now=now, resume=False) as run:
        for record in _records(shards):
            run.journal.append(record)
        for shard in shards:
            copy_thumbnails(shard.files, run.media_folder)
        summariser = RunSummariser(config_of(manifest), seed=manifest.seed)
        run.tabulate(summariser.add)
        summary = summariser.result()
        folder = move_run(run.publish(summary.to_json(), now=now, warnings=summary.warnings), root)
    return folder, summary


def _in_order(runs: Sequence[StoredRun]) -> list[StoredRun]:
    """Return shards by their number.

    Raises:
        ConfigError: They are no shards of one run.
        IncompleteError: One is missing or unfinished.
    """
    by_shard: dict[str, StoredRun] = {}
    for run in runs:
        if run.manifest.shard is None:
            raise ConfigError(f"{run.path} is no shard: it was not made by run --shard, or is merged already")
        if not run.finished:
            raise IncompleteError(
                f"{run.path} (shard {run.manifest.shard}) is not finished: its command goes on with it"
            )
        if run.manifest.shard in by_shard:
            raise ConfigError(
                f"shard {run.manifest.shard} is given twice: {by_shard[run.manifest.shard].path}, {run.path}"
            )
        by_shard[run.manifest.shard] = run
    counts = {shard.partition("/")[2] for shard in by_shard}
    if len(counts) > 1:
        raise ConfigError(f"shards of different cuts cannot be merged: {', '.join(by_shard)}")
    of = int(counts.pop())
    wanted = [f"{number}/{of}" for number in range(1, of + 1)]
    if missing := [shard for shard in wanted if shard not in by_shard]:
        raise IncompleteError(
            f"{'shards' if len(missing) > 1 else 'shard'} {', '.join(missing)} missing: make "
            f"{'them' if len(missing) > 1 else 'it'} with the same command and --shard {missing[0]}"
        )
    return [by_shard[shard] for shard in wanted]


def _merged_manifest(shards: Sequence[StoredRun]) -> Manifest:
    """Return the manifest that one process would have written.

    Raises:
        ConfigError: The shards were not asked alike.
    """
    first = shards[0].manifest
    for shard in shards[1:]:
        if differing := differing_settings(first, shard.manifest):
            raise ConfigError(
                f"{shards[0].path} and {shard.path} were not asked alike: {differences_text(differing)}. Make one of "
                "them again with the settings of the other"
            )
    tasks = {name: _whole(name, task, shards) for name, task in first.tasks.items()}
    arguments = first.other.get("arguments")
    other = {name: value for name, value in first.other.items() if name not in ("warnings", _COUNTS)}
    if isinstance(arguments, dict):
        other["arguments"] = arguments | {"shard": None}
    other[MERGED] = [_told(shard) for shard in shards]
    if counts := _added_counts(shards):
        other[_COUNTS] = counts
    return stamp_hashes(
        replace(
            first,
            name=first.name if all(shard.manifest.name == first.name for shard in shards) else None,
            shard=None,
            tasks=tasks,
            partial=any(task.samples < task.rows for task in tasks.values()),
            resumed_utc=(),
            other=other,
        )
    )


def differing_settings(one: Manifest, other: Manifest) -> tuple[FieldDifference, ...]:
    """Return what two shards, or a shard and its whole, do not share of all that makes a run what it is."""
    return manifest_differences(_uncut(one), _uncut(other))


def _uncut(manifest: Manifest) -> Manifest:
    """Return a shard's manifest without what is its own."""
    tasks = {name: replace(task, samples=0) for name, task in manifest.tasks.items()}
    return replace(manifest, shard=None, partial=False, tasks=tasks)


def _whole(name: str, task: TaskManifest, shards: Sequence[StoredRun]) -> TaskManifest:
    return replace(task, samples=sum(shard.manifest.tasks[name].samples for shard in shards))


def _told(shard: StoredRun) -> dict[str, Json]:
    """Return what a shard was, for the manifest of the whole."""
    manifest = shard.manifest
    told: dict[str, Json] = {
        "shard": manifest.shard,
        "run": shard.path.name,
        "created_utc": manifest.created_utc,
        "finished_utc": manifest.finished_utc,
        "packages": dict(manifest.packages),
    }
    return told | {name: manifest.other[name] for name in ("server",) if name in manifest.other}


def _added_counts(shards: Sequence[StoredRun]) -> dict[str, Json]:
    """Return the judges' replies and failures of all shards together."""
    added: dict[str, int] = {}
    for shard in shards:
        counts = shard.manifest.other.get(_COUNTS)
        for name, count in counts.items() if isinstance(counts, Mapping) else ():
            added[name] = added.get(name, 0) + (count if isinstance(count, int) else 0)
    return {**added}


def _records(shards: Sequence[StoredRun]) -> Iterator[Record]:
    """Yield every record of the shards.

    Raises:
        IncompleteError: Two shards hold the same sample, or one holds others than it was asked.
    """
    whose: dict[Key, Path] = {}
    for shard in shards:
        asked = {name: task.samples for name, task in shard.manifest.tasks.items() if task.samples}
        held: Counter[str] = Counter()
        for record in shard.records():
            if record.key in whose:
                raise IncompleteError(
                    f"{whose[record.key]} and {shard.path} both hold {record.key[0]} {record.key[1]}: they are no "
                    "parts of one run"
                )
            whose[record.key] = shard.path
            held[record.sample.task] += 1
            yield record
        if held != asked:
            raise IncompleteError(
                f"{shard.path} (shard {shard.manifest.shard}) holds {_counts(held)}, and was asked {_counts(asked)}: "
                "make it again with the same command and --again"
            )


def _counts(samples: Mapping[str, int]) -> str:
    return ", ".join(f"{count} of {name}" for name, count in sorted(samples.items())) or "nothing"
