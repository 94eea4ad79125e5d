"""Score stored raw text again, and make runs of predictions that were made elsewhere. No model is loaded.

A rescore stands beside the first scores and never replaces them.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from harness.errors import ConfigError, IncompleteError
from harness.evaluation.predictions import ANSWER_RULES, ScoredPrediction, record_of, rescore_record
from harness.evaluation.side_boxes import SHOWN, SideBoxes, SideTally, check_tasks
from harness.runs.journal import StoreError, lock_run
from harness.runs.manifest import SIDE_BOXES, Manifest, TaskManifest, config_of, stamp_hashes
from harness.runs.store import StoredRun, add_scores, move_run, open_run
from harness.scoring.protocols import versioned
from harness.scoring.score import SCORER_VERSION
from harness.summary.run_summary import RunSummariser, RunSummary
from harness.values import NATIVE, BoxDialect, Json, Protocol, Record, ScoreConfig

_HIDDEN = ".scoring-"
_HELD_WITHIN_S = 60.0
"""Whoever makes a hidden folder has its lock long before that."""


def refuse_native(run: StoredRun) -> None:
    """Refuse other rules for a run whose answers lmms-eval's own code scored.

    Raises:
        ConfigError: It is such a run.
    """
    if run.manifest.protocol == NATIVE:
        raise ConfigError(
            f"{run.path} is of tasks of lmms-eval's own, which no rule here scores: for other rules run the benchmark "
            "by its name here, if it has one (satori-bench tasks list)"
        )


def rescore_run(
    run: StoredRun, protocol: Protocol, *, box_dialect: BoxDialect | None = None, gold: SideTally | None = None
) -> RunSummary:
    """Score a finished run's raw texts under a protocol and store the new scores beside the old ones.

    Args:
        run: The run.
        protocol: The rules of the new scores.
        box_dialect: How boxes are read; None: as the run's scores do.
        gold: Gives samples other gold boxes than the run's own, as `side_tally` has checked; None keeps those.

    Raises:
        IncompleteError: The run is not finished; resume it first.
        ConfigError: The run is of tasks of lmms-eval's own.
        StoreError: The disk refuses.
    """
    if not run.finished:
        raise IncompleteError(f"{run.path} is not finished; the command that began it goes on with it")
    refuse_native(run)
    config = config_of(run.manifest, protocol, box_dialect)
    summariser = RunSummariser(config, seed=run.manifest.seed)

    def scores() -> dict[str, Json]:
        return {**summariser.result().to_json(), **({} if gold is None else {SIDE_BOXES: gold.to_json()})}

    add_scores(run.path, protocol, scores, _rescored(run, config, summariser, gold), other_gold=gold is not None)
    return summariser.result()


def side_tally(run: StoredRun, side: SideBoxes) -> SideTally:
    """Return what a file of gold boxes is to a run's samples.

    Raises:
        ConfigError: No line is about a sample of the run, or lines name no task and the run has several.
    """
    check_tasks(side, run.manifest.tasks)
    tally, ids = SideTally(side), list[str]()
    for record in run.records():
        tally.with_boxes(record.sample)
        ids += [f"{record.sample.task} {record.sample.id}"] if len(ids) < SHOWN else []
    tally.check_any(ids)
    tally.close()
    return tally


def _rescored(
    run: StoredRun, config: ScoreConfig, summariser: RunSummariser, gold: SideTally | None
) -> Iterator[Record]:
    """Yield the run's records with new scores, one at a time, and let the summariser see each."""
    for record in run.records():
        if gold is not None:
            record = replace(record, sample=gold.with_boxes(record.sample))  # noqa: PLW2901 - the same with other gold
        again = rescore_record(record, config)
        summariser.add(again)
        yield again


@dataclass(frozen=True, slots=True)
class PredictionSource:
    """Where predictions came from; becomes the run's provenance."""

    name: str
    """Name of the model or system; names the run folder."""
    sha256: str
    """Hex digest of the predictions file."""
    packages: Mapping[str, str]
    """Package versions of the scorer."""


def file_sha256(path: Path) -> str:
    """Return the hex digest of a file.

    Raises:
        ConfigError: It cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as fault:
        raise ConfigError(f"cannot read {path}: {fault.strerror or fault}") from fault


def save_predictions_run(
    root: Path,
    scored: Iterable[ScoredPrediction],
    config: ScoreConfig,
    source: PredictionSource,
    *,
    now: datetime,
    gold: SideTally | None = None,
) -> tuple[Path, RunSummary]:
    """Make a finished run of scored predictions, marked "predictions only"; rows of no known task are left out of it.

    A row whose task and id were met before becomes a further repeat of that sample, which no summary
    counts. `gold` is what gave samples other gold boxes than their rows have; None where nothing did.

    Raises:
        StoreError: The disk refuses.
        ConfigError: No row could be read.
    """
    rows = [row for row in scored if row.task in ANSWER_RULES]
    if not any(row.prediction is not None for row in rows):
        raise ConfigError("no row of the predictions file can be scored, so there is no run to make")
    counts = Counter(row.task for row in rows)
    manifest = stamp_hashes(
        Manifest(
            model=source.name,
            weights_hash=source.sha256,
            adapter_hash=None,
            config_hash="",
            model_type="",
            backend="predictions",
            format=config.format,
            protocol=config.protocol,
            protocol_version=versioned(config.protocol, SCORER_VERSION),
            box_dialect=config.box_dialect,
            box_dialect_reason="given with the predictions",
            pixel_limits=config.pixel_limits,
            generation={},
            tasks={
                str(task): TaskManifest(
                    yaml_hash="", dataset_path="predictions", dataset_revision=None, fingerprint="", rows=n, samples=n
                )
                for task, n in counts.items()
            },
            prompt_hash="",
            seed=0,
            packages=source.packages,
            scorer_version=SCORER_VERSION,
            created_utc="",
            predictions_only=True,
            other={} if gold is None else {SIDE_BOXES: gold.to_json()},
        )
    )
    return publish_records(root, manifest, _with_repeats(rows), config, now=now)


def _with_repeats(rows: Iterable[ScoredPrediction]) -> Iterator[Record]:
    """Yield the records of rows, numbered where several are of one sample."""
    seen: Counter[tuple[str, str]] = Counter()
    for row in rows:
        record = record_of(row, 0)
        key = (record.sample.task, record.sample.id)
        yield replace(record, repeat=seen[key])
        seen[key] += 1


def publish_records(
    root: Path, manifest: Manifest, records: Iterable[Record], config: ScoreConfig, *, now: datetime
) -> tuple[Path, RunSummary]:
    """Make a finished run of records whose texts were written elsewhere.

    Raises:
        StoreError: The disk refuses.
    """
    with staging(root) as hidden, open_run(hidden, manifest, now=now, resume=False) as run:
        for record in records:
            run.journal.append(record)
        summariser = RunSummariser(config)
        run.tabulate(summariser.add)
        summary = summariser.result()
        folder = move_run(run.publish(summary.to_json(), now=now, warnings=summary.warnings), root)
    return folder, summary


@contextmanager
def staging(root: Path) -> Generator[Path]:
    """Give a hidden folder beside the runs: nothing takes such a run up again, so no `.partial` may promise it.

    It is held by a lock while it is in use: those that killed commands left behind are cleared away.

    Raises:
        StoreError: The disk refuses.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=_HIDDEN, dir=root, ignore_cleanup_errors=True) as name:
            folder = Path(name)
            lock = lock_run(folder)
            try:
                _clear_leftovers(root, folder.stat().st_mtime)
                yield folder
            finally:
                lock.release()
    except StoreError:
        raise
    except OSError as fault:
        raise StoreError.of("make a run folder in", root, fault) from fault


def _clear_leftovers(root: Path, now_s: float) -> None:
    """Remove the hidden folders that nobody holds; what cannot be removed is left.

    Args:
        root: The folder of runs.
        now_s: The time by the clock of its disk: a folder may be new, and its lock not yet taken.
    """
    for folder in root.glob(f"{_HIDDEN}*"):
        with suppress(OSError):
            if now_s - folder.stat().st_mtime < _HELD_WITHIN_S:
                continue
            lock = lock_run(folder)
            try:
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                lock.release()
