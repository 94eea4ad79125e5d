"""Look at runs that are being written: how far they are and what they have scored so far.

Only manifests and journals are read, and no lock is taken, so that no writer is ever in the way of a reader or has to
wait for one. Shards of one run (`run --shard`, `--num-processes`) are looked at as one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

from harness.errors import UserError
from harness.evaluation.merge import MERGED
from harness.files import DamagedRunError
from harness.runs.journal import index_journal, read_records
from harness.runs.lookup import called
from harness.runs.manifest import Manifest, config_of, protocol_hash, read_manifest, run_key_parts
from harness.runs.native_metrics import native_metrics_of
from harness.runs.store import JOURNAL_NAME, MANIFEST_NAME, PARTIAL_SUFFIX, RunInfo, list_runs
from harness.summary.run_summary import summarise_records
from harness.summary.summary_values import TaskSummary

_MORE_LOOKS = 2
"""Folders are renamed when they are published; so often it is looked again."""

_PARTS = re.compile(r"\.[0-9a-f]+-parts")
"""Folders beside the runs that hold the shards of a run under way: `.KEY-parts/of-8/3/RUN` (tasks/parts.py)."""


@dataclass(frozen=True, slots=True)
class TaskProgress:
    """How far one benchmark is."""

    done: int
    """Samples that have a record."""
    samples: int
    """Samples that are to be asked, of the shards that were begun."""


@dataclass(frozen=True, slots=True)
class Running:
    """A run that is not finished, or the shards of one."""

    name: str
    """What it is called."""
    folders: tuple[Path, ...]
    """Its folders, finished shards among them."""
    manifest: Manifest
    """What the first of them is."""
    shards: tuple[str, ...]
    """Which parts are here, such as `1/4`; none where the run is one."""
    tasks: dict[str, TaskProgress]
    """How far each benchmark is."""
    last_record_s: float
    """When a record was last written, in seconds since 1970."""

    @property
    def done(self) -> int:
        """Samples that have a record."""
        return sum(task.done for task in self.tasks.values())

    @property
    def samples(self) -> int:
        """Samples that are to be asked."""
        return sum(task.samples for task in self.tasks.values())


def running_runs(root: Path) -> list[Running]:
    """Return the runs below a folder of runs that are being written, or were left unfinished.

    Shards that lie in a folder of their own are under way until they are merged and it is gone.

    Raises:
        StoreError: The folder cannot be read.
    """
    found = _running(root)
    for _ in range(_MORE_LOOKS):
        if None not in found:
            break
        found = _running(root)  # a folder was renamed between listing and reading: the next listing has its new name
    return [running for running in found if running is not None]


def _running(root: Path) -> list[Running | None]:
    groups: dict[object, list[RunInfo]] = {}
    under_way: set[object] = set()
    for place in (root, *_parts_of(root)):
        for info in list_runs(place):
            if info.manifest is not None and info.state != "corrupt":
                whose = _whose(info, root if place == root else place.parent)
                groups.setdefault(whose, []).append(info)
                if place != root or info.state == "partial":
                    under_way.add(whose)
    return [_looked_at(group) for whose, group in groups.items() if whose in under_way]


def merged_run(root: Path, shard: Path) -> Path | None:
    """Return the run that a shard was merged into; None where there is none yet."""
    name = shard.name.removesuffix(PARTIAL_SUFFIX)
    for info in reversed(list_runs(root)):
        parts = None if info.manifest is None else info.manifest.other.get(MERGED)
        if isinstance(parts, list) and any(isinstance(part, dict) and part.get("run") == name for part in parts):
            return info.path
    return None


def running_run(folder: Path) -> Running | None:
    """Return how far one unfinished run is; None once its folder is gone, as when it was published.

    Raises:
        ManifestError: It is no run.
    """
    try:
        manifest = read_manifest(folder / MANIFEST_NAME)
    except UserError:
        if folder.is_dir():
            raise
        return None
    return _looked_at([RunInfo(folder, "partial", manifest)])


def scores_so_far(running: Running) -> dict[str, TaskSummary]:
    """Return what has been scored, by the measures of the finished run; empty where nothing can be read right now.

    It is a score of the samples asked first, which are no random part of the benchmark: an interval would not hold.
    """
    records = chain.from_iterable(read_records(folder / JOURNAL_NAME) for folder in running.folders)
    manifest = running.manifest
    with suppress(UserError):
        return dict(
            summarise_records(
                records, config_of(manifest), seed=manifest.seed, native=native_metrics_of(manifest)
            ).tasks
        )
    return {}


def _parts_of(root: Path) -> Iterator[Path]:
    """Yield the folders that hold the shards of runs under way, one each."""
    with suppress(OSError):
        for parts in sorted(path for path in root.iterdir() if _PARTS.fullmatch(path.name)):
            yield from sorted(path for path in parts.glob("of-*/*") if path.is_dir())


def _whose(info: RunInfo, place: Path) -> object:
    """Return what the shards of one run share; unlike for all others."""
    manifest = info.manifest
    if manifest is None or manifest.shard is None:
        return info.path
    tasks = {name: replace(task, samples=0) for name, task in manifest.tasks.items()}
    uncut = replace(manifest, shard=None, partial=False, tasks=tasks)
    return place, manifest.shard.partition("/")[2], protocol_hash(run_key_parts(uncut))


def _looked_at(group: Sequence[RunInfo]) -> Running | None:
    """Return a run, or shards together; None where a folder went between two looks: the next look shows what it is."""
    manifests = [info.manifest for info in group if info.manifest is not None]
    samples: Counter[str] = Counter()
    done: Counter[str] = Counter()
    last_record_s = 0.0
    try:
        for info, manifest in zip(group, manifests, strict=True):
            journal = info.path / JOURNAL_NAME
            samples.update({name: task.samples for name, task in manifest.tasks.items()})
            done.update(task for task, _, repeat in index_journal(journal).offsets if not repeat)
            last_record_s = max(last_record_s, journal.stat().st_mtime)
    except (OSError, DamagedRunError, UserError):
        return None
    shards = tuple(sorted(manifest.shard for manifest in manifests if manifest.shard is not None))
    return Running(
        name=called(group[0].path.name),
        folders=tuple(info.path for info in group),
        manifest=manifests[0],
        shards=shards,
        tasks={name: TaskProgress(done[name], count) for name, count in samples.items()},
        last_record_s=last_record_s,
    )


@dataclass(slots=True)
class Pace:
    """How fast a run goes, seen from outside."""

    window_s: float = 60.0
    """Over the last so many seconds."""
    _seen: list[tuple[float, int]] = field(default_factory=list[tuple[float, int]])

    def see(self, now_s: float, done: int) -> None:
        """Note how many samples are done."""
        self._seen.append((now_s, done))
        while len(self._seen) > 2 and now_s - self._seen[1][0] >= self.window_s:
            self._seen.pop(0)

    @property
    def per_s(self) -> float | None:
        """Samples a second; None before a second look, or while nothing moves."""
        (first_s, first), (last_s, last) = (self._seen[0], self._seen[-1]) if self._seen else ((0.0, 0), (0.0, 0))
        return (last - first) / (last_s - first_s) if last > first and last_s > first_s else None
