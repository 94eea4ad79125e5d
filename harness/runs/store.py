"""Keep runs in folders that survive anything: begin or resume, publish, list, read, verify, rescore beside the old.

    runs/<UTC time>-<model or name>-<hash8>.partial/   while it runs: manifest.json, samples.jsonl, media/
    runs/<UTC time>-<model or name>-<hash8>/   once published by one rename: samples.parquet, scores.json, SHA256SUMS

A `.partial` folder is resumed by the next run with an equal run key; a finished folder is never written over: only
`add_scores` and `add_file` put something beside what is there, and `SHA256SUMS` names it last. A writer that is killed
before that leaves the lock file and files that are no part of the run: readers pass over them, the next writer makes
them anew. `samples.jsonl` stays the source of truth.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TypeAlias

from harness.errors import ConfigError, IncompleteError
from harness.files import (
    SUMS_NAME,
    TEMPORARY_SUFFIX,
    DamagedRunError,
    RunFiles,
    open_regular,
    published_files,
    read_sums,
    sums_bytes,
)
from harness.images.thumbnails import copy_thumbnails
from harness.runs.journal import (
    LOCK_NAME,
    Journal,
    StoreError,
    lock_run,
    read_records,
    records_in,
    remove_lock_file,
    replacing,
    sync_folder,
)
from harness.runs.json_text import json_safe, parse_object
from harness.runs.manifest import Manifest, ManifestError, manifest_bytes, read_manifest, utc_text
from harness.runs.record_codec import CorruptRecordError, record_from_json, record_to_json
from harness.runs.record_table import GOLD_COLUMN, SCORE_COLUMNS, TableError, read_rows, utf8_text, write_parquet
from harness.runs.scores_fields import check_scores
from harness.values import PROTOCOLS, Json, Protocol, Record

MANIFEST_NAME = "manifest.json"
JOURNAL_NAME = "samples.jsonl"
PARQUET_NAME = "samples.parquet"
SCORES_NAME = "scores.json"
PAGE_NAME = "index.html"
MEDIA_NAME = "media"
PARTIAL_SUFFIX = ".partial"

MAX_SLUG_CHARACTERS = 48
"""A model's part of a folder name is cut here; a name that a person gives is no longer."""

LATEST = "latest"
"""Stands for the newest run wherever one is asked for, so no run is called so."""

RETRIED = "retried"
"""Key of a manifest that names the run whose records this one began with (`run --retry`)."""

# Begins and ends with a letter or digit: no option, no hidden file, no `..`; nothing that a shell or a page would read.
_RUN_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")

# Neither hidden nor a path.
_FREE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")

# What `add_scores` and `add_files` put beside a published run.
_ADDED_NAME = re.compile(
    rf"[^/]+\.html|(?:samples|scores)-(?:{'|'.join(PROTOCOLS)})\.(?:parquet|json)|(?:attention|probes)\.jsonl?"
)

RunState: TypeAlias = Literal["complete", "partial", "corrupt"]
"""`partial` is a folder that was not published; `corrupt` one whose manifest cannot be read."""


@dataclass(frozen=True, slots=True)
class RunInfo:
    """One line of a list of runs."""

    path: Path
    """The run folder."""
    state: RunState
    """Whether it is published, unfinished or unreadable."""
    manifest: Manifest | None
    """What the run is; None when corrupt."""
    problem: str | None = None
    """Why it is corrupt; None otherwise."""


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run on disk, finished or not; records are read when asked for."""

    path: Path
    """The run folder."""
    manifest: Manifest
    """What the run is."""
    scores: dict[str, Json] | None
    """`scores.json`; None in a run that is not finished."""
    rescored: Mapping[Protocol, dict[str, Json]]
    """`scores-<protocol>.json` by protocol, where the run was scored again."""

    @property
    def finished(self) -> bool:
        """Whether the run was published."""
        return is_published(self.path, self.manifest)

    @property
    def has_page(self) -> bool:
        """Whether its page is written whole.

        Raises:
            DamagedRunError: as `files`.
        """
        return PAGE_NAME in (self.files.sums or {})

    @property
    def files(self) -> RunFiles:
        """Its files; a published run's are checked by its sums when they are opened.

        Raises:
            DamagedRunError: the sums are missing or damaged.
        """
        return published_files(self.path) if self.finished else RunFiles(self.path, None)

    def records(self, protocol: Protocol | None = None) -> Iterator[Record]:
        """Yield the records in order, with the first scores, or with those of a later `rescore` under a protocol.

        Raises:
            IncompleteError: the run was not scored again under that protocol.
            DamagedRunError: a file is not what was published.
            CorruptRecordError: the stored scores do not belong to the stored records.
            StoreError: a file cannot be read.
        """
        if protocol is None:
            return self._journal_records()
        if protocol not in self.rescored:
            raise IncompleteError(
                f"{self.path} holds no scores under {protocol!r}; make them with: satori-bench rescore "
                f"{self.path} --protocol {protocol}"
            )
        return self._with_scores(rescored_name("samples", protocol, "parquet"))

    def _journal_records(self) -> Iterator[Record]:
        with _disk("read", self.path), self.files.open(JOURNAL_NAME) as file:
            yield from records_in(file, self.path / JOURNAL_NAME)

    def _with_scores(self, name: str) -> Iterator[Record]:
        """Yield the records with the scores of a rescored table, which lists the same keys in the same order."""
        path = self.path / name
        try:
            with _disk("read", path), self.files.open(name) as file:
                rows = read_rows(file)
                for number, (record, row) in enumerate(zip_longest(self._journal_records(), rows), start=1):
                    if record is None or row is None or _stored_key(record) != (row["task"], row["id"], row["repeat"]):
                        raise CorruptRecordError(
                            path, number, f"it does not belong to the same sample as in {JOURNAL_NAME}"
                        )
                    yield _scored_by(record, row, path, number)
        except TableError as error:
            raise DamagedRunError.of(self.path, name, f"cannot be used: {error}") from error


class OpenRun:
    """A run folder that is being written; made by `open_run`. Leaving its `with` block closes it, unpublished."""

    def __init__(self, folder: Path, manifest: Manifest, journal: Journal, *, resumed: bool) -> None:
        self.folder = folder
        """The `.partial` folder; the published one after `publish`."""
        self.manifest = manifest
        """As it stands on disk."""
        self.journal = journal
        """Where records go; its `done` tells which keys are there already."""
        self.resumed = resumed
        """Whether a killed run was taken up."""
        self._tabulated = False
        self._so_far: dict[str, Json] = {}

    @property
    def media_folder(self) -> Path:
        """Where thumbnails go."""
        return self.folder / MEDIA_NAME

    def keep_so_far(self, scores: Mapping[str, Json]) -> None:
        """Keep the scores of tasks that have ended where those of the run will be; each call adds its tasks.

        Nobody takes them for the run's: readers look for scores in published runs alone; `publish` writes them anew.

        Raises:
            StoreError: the disk refuses.
        """
        tasks = scores.get("tasks")
        self._so_far |= tasks if isinstance(tasks, dict) else {}
        with _disk("write to", self.folder):
            write_atomically(self.folder / SCORES_NAME, scores_bytes({**scores, "tasks": dict(self._so_far)}))

    def tabulate(self, seen: Callable[[Record], None] = lambda _: None) -> None:
        """Write the records as a table and let `seen` have each: the one pass over the journal at the end of a run.

        Raises:
            StoreError: the disk refuses.
        """
        self.journal.sync()
        with _disk("publish", self.folder):
            _remove_leftovers(self.folder)
            write_parquet(self.folder / PARQUET_NAME, _shown_to(seen, read_records(self.journal.path)))
        self._tabulated = True

    def publish(self, scores: Mapping[str, Json], *, now: datetime, warnings: Sequence[str] = ()) -> Path:
        """Finish the run: table (unless `tabulate` made it), scores, checksums, then one rename; return the folder.

        `warnings`, what a reader must know before believing the scores, go into the manifest.
        Until the rename nothing but the `.partial` folder exists, and a refused step leaves a run that can be resumed.
        What else is to be in the checksums (thumbnails, index.html) must be in the folder by now.

        Raises:
            StoreError: the disk refuses.
        """
        if not self._tabulated:
            self.tabulate()
        with _disk("publish", self.folder):
            write_atomically(self.folder / SCORES_NAME, scores_bytes(scores))
            said: dict[str, Json] = {"warnings": list(warnings)} if warnings else {}
            other = {name: value for name, value in self.manifest.other.items() if name != "warnings"} | said
            self._write_manifest(replace(self.manifest, status="complete", finished_utc=utc_text(now), other=other))
            _write_sums(self.folder, _checksums(self.folder))
            sync_folder(self.folder)
            stem = self.folder.name.removesuffix(PARTIAL_SUFFIX)
            self.folder = _rename_to_free(self.folder, self.folder.parent, stem, "")
            # Removed while the lock is held: a second writer either meets the lock or finds no `.partial` any more.
            remove_lock_file(self.folder)
        self.journal.close()
        return self.folder

    def note(self, name: str, facts: Mapping[str, Json]) -> None:
        """Keep in the manifest what only the run itself showed, such as how a server replied.

        Raises:
            StoreError: the disk refuses.
        """
        with _disk("write to", self.folder):
            self._write_manifest(replace(self.manifest, other={**self.manifest.other, name: dict(facts)}))

    def fail(self, *, now: datetime) -> None:
        """Note in the manifest that the run was given up; its folder stays `.partial` and can still be resumed.

        Raises:
            StoreError: the disk refuses.
        """
        with _disk("write to", self.folder):
            self._write_manifest(replace(self.manifest, status="failed", finished_utc=utc_text(now)))

    def close(self) -> None:
        """Sync and close the journal; a second call does nothing.

        Raises:
            StoreError: the disk refuses.
        """
        self.journal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _write_manifest(self, manifest: Manifest) -> None:
        write_atomically(self.folder / MANIFEST_NAME, manifest_bytes(manifest))
        self.manifest = manifest


def _shown_to(seen: Callable[[Record], None], records: Iterator[Record]) -> Iterator[Record]:
    """Yield records after somebody has seen them."""
    for record in records:
        seen(record)
        yield record


@contextmanager
def _disk(what: str, path: Path) -> Generator[None]:
    """Turn what the disk refuses inside the block into a StoreError that says what and where."""
    try:
        yield
    except StoreError:
        raise
    except OSError as error:
        raise StoreError.of(what, path, error) from error


def open_run(
    root: Path,
    manifest: Manifest,
    *,
    now: datetime,
    clock: Callable[[], float] = time.monotonic,
    resume: bool = True,
    start_from: Path | None = None,
) -> OpenRun:
    """Begin a run under `root`, or take up the newest `.partial` one with an equal run key.

    A resumed run keeps its folder name and its manifest; only status and `resumed_utc` change.

    Args:
        root: The folder of runs; made when missing.
        manifest: What the run is, with its hashes stamped; `created_utc` and `status` are set here.
        now: The present time, with its zone.
        clock: Seconds that only grow, for the journal's `fsync`.
        resume: Whether to look for a `.partial` run.
        start_from: A run whose records and thumbnails a new folder begins with (`run --retry`). The manifest's
            `RETRIED` names it, so that a killed retry is taken up by the same one.

    Raises:
        RunLockedError: another process is writing the run that would be taken up.
        CorruptRecordError: its journal is damaged; names file and line.
        StoreError: the disk refuses.
        ValueError: the manifest has no run key, or `now` no time zone.
    """
    if not re.fullmatch(r"[0-9a-f]{8,}", manifest.run_key):
        raise ValueError(f"the manifest's run_key is {manifest.run_key!r}; stamp it with manifest.stamp_hashes first")
    folder = _unfinished(_equal_runs(root, manifest), manifest.other.get(RETRIED)) if resume else None
    resumed = folder is not None
    with _disk("make a run folder in", root):
        if folder is None:
            manifest = replace(manifest, status="running", created_utc=utc_text(now), finished_utc=None)
            folder = _make_folder(root, manifest, now, start_from)
        journal = Journal.open(folder / JOURNAL_NAME, clock=clock)
    try:
        run = OpenRun(folder, manifest, journal, resumed=resumed)
        if resumed:
            _note_resumption(run, now)
    except BaseException:
        journal.close()
        raise
    return run


def equal_finished_runs(root: Path, manifest: Manifest) -> list[Path]:
    """Return the finished runs under `root` with the manifest's run key, the newest first.

    The key knows tables, not the pictures that a table names by a path: whoever returns such a run as the present one
    looks at the pictures first.

    Raises:
        StoreError: the folder cannot be read.
    """
    return [info.path for info in reversed(_equal_runs(root, manifest)) if info.state == "complete"]


def _equal_runs(root: Path, manifest: Manifest) -> list[RunInfo]:
    return [info for info in list_runs(root) if info.manifest and info.manifest.run_key == manifest.run_key]


def _unfinished(runs: Sequence[RunInfo], retried: Json) -> Path | None:
    """Return the newest unfinished run that retries the same run, or that retries none."""
    for info in reversed(runs):
        if info.state == "partial" and info.manifest is not None and info.manifest.other.get(RETRIED) == retried:
            return info.path
    return None


def _note_resumption(run: OpenRun, now: datetime) -> None:
    # Read again, now that the lock is held: the last writer may have changed it.
    stored = read_manifest(run.folder / MANIFEST_NAME)
    with _disk("write to", run.folder):
        run._write_manifest(  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - own file
            replace(stored, status="running", finished_utc=None, resumed_utc=(*stored.resumed_utc, utc_text(now)))
        )


def model_slug(model: str) -> str:
    """Return a safe part of a folder name for any model id or path: its last component.

    ASCII letters, digits, `.`, `_` and `-`, at most `MAX_SLUG_CHARACTERS` long; `model` when nothing is left.
    """
    parts = [part for part in re.split(r"[/\\]", model[-4096:]) if part.strip(" .")]
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", parts[-1] if parts else "").strip("-._")
    return slug[:MAX_SLUG_CHARACTERS].rstrip("-._") or "model"


def check_run_name(name: str) -> str:
    """Return a name that a person gives to a run, which becomes a part of its folder's name.

    Raises:
        ConfigError: it is no such part, too long, or taken by `latest`.
    """
    if not _RUN_NAME.fullmatch(name) or len(name) > MAX_SLUG_CHARACTERS:
        raise ConfigError(
            f"{name[:80]!r} cannot name a run: use at most {MAX_SLUG_CHARACTERS} of the letters A-Z and a-z, digits, "
            "'.', '_' and '-', a letter or digit at both ends"
        )
    if name == LATEST or name.endswith(PARTIAL_SUFFIX):
        raise ConfigError(f"{name!r} cannot name a run: it has a meaning of its own; choose another name")
    return name


def _make_folder(root: Path, manifest: Manifest, now: datetime, start_from: Path | None) -> Path:
    """Make a `.partial` folder that has its manifest and journal from its first moment on."""
    root.mkdir(parents=True, exist_ok=True)
    stem = f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{manifest.name or model_slug(manifest.model)}-{manifest.run_key[:8]}"
    nursery = root / f".{stem}-{os.getpid()}{TEMPORARY_SUFFIX}"
    shutil.rmtree(nursery, ignore_errors=True)
    try:
        nursery.mkdir()
        write_atomically(nursery / MANIFEST_NAME, manifest_bytes(manifest))
        if start_from is None:
            (nursery / JOURNAL_NAME).touch()
        else:
            _copy_records(start_from, nursery)
        return _rename_to_free(nursery, root, stem, PARTIAL_SUFFIX)
    finally:
        shutil.rmtree(nursery, ignore_errors=True)


def _rename_to_free(folder: Path, root: Path, stem: str, suffix: str) -> Path:
    """Rename a folder to `stem`, `stem-2`, `stem-3`... plus suffix: the first that no other run has taken."""
    number = 1
    while True:
        name = stem if number == 1 else f"{stem}-{number}"
        number += 1
        taken = {root / name, root / f"{name}{PARTIAL_SUFFIX}"} - {folder}
        if any(os.path.lexists(path) for path in taken):
            continue
        try:
            os.replace(folder, root / f"{name}{suffix}")  # noqa: PTH105 - the one step that publishes, by its own name
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            continue  # somebody else took the name just now; a folder with anything in it is never replaced
        sync_folder(root)
        return root / f"{name}{suffix}"


def move_run(folder: Path, root: Path) -> Path:
    """Put a published run into another folder of runs on the same disk; return where it is now.

    Raises:
        StoreError: the disk refuses.
    """
    with _disk("publish", folder):
        return _rename_to_free(folder, root, folder.name, "")


def _copy_records(source: Path, folder: Path) -> None:
    """Begin with the records and pictures of a run, as far as they are what was published."""
    files = load_run(source).files
    with files.open(JOURNAL_NAME) as journal, (folder / JOURNAL_NAME).open("xb") as copy:
        shutil.copyfileobj(journal, copy)
    copy_thumbnails(files, folder / MEDIA_NAME)


def list_runs(root: Path) -> list[RunInfo]:
    """Return every run under a folder, by name and so by time; an unreadable manifest is shown, not raised.

    A folder that does not exist has no runs; folders without a manifest or a journal are passed over.

    Raises:
        StoreError: the folder cannot be read.
    """
    with _disk("read", root):
        if not os.path.lexists(root):
            return []
        folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
        return [_run_info(path) for path in folders if _looks_like_run(path)]


def _looks_like_run(path: Path) -> bool:
    return (path / MANIFEST_NAME).exists() or (path / JOURNAL_NAME).exists()


def _run_info(path: Path) -> RunInfo:
    try:
        manifest = read_manifest(path / MANIFEST_NAME)
    except (ManifestError, DamagedRunError) as error:
        return RunInfo(path, "corrupt", None, str(error))
    if path.name.endswith(PARTIAL_SUFFIX):
        return RunInfo(path, "partial", manifest)
    if not is_published(path, manifest):
        return RunInfo(
            path, "corrupt", manifest, f"its status is {manifest.status!r}, though its name is a finished run's"
        )
    return RunInfo(path, "complete", manifest)


def is_published(path: Path, manifest: Manifest) -> bool:
    """Whether a run folder is a finished run's."""
    return manifest.status == "complete" and not path.name.endswith(PARTIAL_SUFFIX)


def load_run(path: Path) -> StoredRun:
    """Open a run folder, finished or `.partial`, for reading.

    Raises:
        ManifestError: it is no run, or its manifest cannot be used.
        IncompleteError: a finished run's manifest, scores or checksums are missing or damaged.
    """
    files = RunFiles(path, None)
    if files.holds(SUMS_NAME) and not path.name.endswith(PARTIAL_SUFFIX):
        with _disk("read", path):
            files = published_files(path)
            files.open(MANIFEST_NAME).close()
    manifest = read_manifest(path / MANIFEST_NAME)
    published = is_published(path, manifest)
    if published and files.sums is None:
        raise DamagedRunError.of(path, SUMS_NAME, "is missing")
    unfinished = not_entered(path, files.sums)
    rescored: dict[Protocol, dict[str, Json]] = {
        protocol: read_scores(files, name)
        for protocol in PROTOCOLS
        if files.holds(name := rescored_name("scores", protocol, "json")) and name not in unfinished
    }
    scores = read_scores(files, SCORES_NAME) if published else None
    return StoredRun(path=path, manifest=manifest, scores=scores, rescored=rescored)


def read_scores(files: RunFiles, name: str = SCORES_NAME) -> dict[str, Json]:
    """Read a `scores.json` or `scores-<protocol>.json`.

    Raises:
        IncompleteError: it is missing or damaged.
    """
    with _disk("read", files.folder / name):
        content = files.read(name)
    try:
        scores = parse_object(content.decode("utf-8"))
        check_scores(scores)
    except ValueError as error:
        raise DamagedRunError.of(files.folder, name, f"cannot be used: {error}") from error
    return scores


def add_scores(
    path: Path,
    protocol: Protocol,
    scores: Callable[[], Mapping[str, Json]],
    records: Iterable[Record],
    *,
    other_gold: bool = False,
) -> None:
    """Put new scores beside a finished run's first ones: `scores-<protocol>.json` and `samples-<protocol>.parquet`.

    The first scores are never touched; an earlier rescore under the same protocol is replaced by one that is whole.

    Args:
        path: The run folder.
        protocol: The rules of the new scores.
        scores: Returns the content of `scores.json` under those rules; called when the last record has been read, so
            that whoever makes the records can summarise them on the way.
        records: The run's records with their new scores, in the order of `StoredRun.records`.
        other_gold: Whether their gold boxes are not the run's own, so that they are stored beside the scores.

    Raises:
        ValueError: an unknown protocol.
        IncompleteError: the run is not finished, its checksums are missing, or its journal is not the one that was
            published: nobody knows whose texts would be scored.
        RunLockedError: another process is writing to the run.
        StoreError: the disk refuses.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f"unknown protocol {protocol!r}; known are {', '.join(PROTOCOLS)}")
    parquet, summary = rescored_name("samples", protocol, "parquet"), rescored_name("scores", protocol, "json")
    with _adding_to(path) as sums, _disk("write to", path):
        RunFiles(path, sums).open(JOURNAL_NAME).close()
        columns = (*SCORE_COLUMNS, GOLD_COLUMN) if other_gold else SCORE_COLUMNS
        write_parquet(path / _staged(parquet), records, columns)
        write_atomically(path / _staged(summary), scores_bytes(scores()))
        _enter(path, sums, (parquet, summary))


def add_files(path: Path, contents: Mapping[str, bytes]) -> None:
    """Write or replace pages and what was found out later, such as `index.html`, in a finished run's folder.

    Raises:
        ValueError: a name is a path, hidden, or nothing that is added to a run.
        IncompleteError: the run is not finished, or its checksums are missing.
        RunLockedError: another process is writing to the run.
        StoreError: the disk refuses.
    """
    for name in contents:
        if not _FREE_NAME.fullmatch(name) or not _ADDED_NAME.fullmatch(name):
            raise ValueError(f"{name!r} cannot be added to a run; use a plain file name such as index.html")
    with _adding_to(path) as sums, _disk("write to", path):
        for name, content in contents.items():
            write_atomically(path / _staged(name), content)
        _enter(path, sums, tuple(contents))


def refuse_unwritable(path: Path) -> None:
    """Refuse a folder to which nothing could be added, before hours are spent on what would be.

    Raises:
        StoreError: This user may not write there, or the disk is read-only.
    """
    if not os.access(path, os.W_OK | os.X_OK):
        raise StoreError(
            f"cannot write to {path}, where what is found would be put. Copy the run to a folder that you may write "
            "to, and name that one"
        )


def add_file(path: Path, name: str, content: bytes) -> None:
    """Write or replace one of the files that `add_files` takes."""
    add_files(path, {name: content})


def _staged(name: str) -> str:
    """Return what a file is called that is whole and not yet to be read."""
    return f"{name}{TEMPORARY_SUFFIX}"


def _enter(path: Path, sums: Mapping[str, str], names: Sequence[str]) -> None:
    """Make staged files part of a finished run; a kill between any two steps leaves a run that is sound without them.

    What they replace is first taken out of the checksums: two files cannot be replaced in one step, and one that is
    not what the checksums say is damage to every reader.
    """
    digests = {name: file_sha256(path, _staged(name)) for name in names}
    others = {name: digest for name, digest in sums.items() if name not in digests}
    if len(others) < len(sums):
        _write_sums(path, others)
        sync_folder(path)
    for name in names:
        (path / _staged(name)).replace(path / name)
    _write_sums(path, others | digests)
    sync_folder(path)


def not_entered(path: Path, sums: Mapping[str, str] | None) -> frozenset[str]:
    """Return the names in a published run's folder that are no part of it: a killed writer's, or those of one at work.

    The lock file tells of such a writer. Without one, whatever the checksums do not name was put there by other hands.

    Args:
        path: The run folder.
        sums: Its checksums; None for an unpublished run, which has no such files.
    """
    if sums is None or not os.path.lexists(path / LOCK_NAME):
        return frozenset()
    extra = (name for name in file_names(path) if name not in sums)
    return frozenset(name for name in extra if name.endswith(TEMPORARY_SUFFIX) or _ADDED_NAME.fullmatch(name))


@contextmanager
def _adding_to(path: Path) -> Generator[dict[str, str]]:
    """Hold a finished run's lock and give its checksums as they are, so that damage elsewhere stays visible."""
    if not load_run(path).finished:
        raise IncompleteError(f"{path} is not finished; run its command again first: it resumes")
    lock = lock_run(path)
    try:
        yield dict(published_files(path).sums or {})
    finally:
        with suppress(OSError):  # what cannot be removed now is by the next writer
            _remove_leftovers(path)
        if not not_entered(path, read_sums(path)[0]):
            remove_lock_file(path)
        lock.release()


def rescored_name(what: str, protocol: Protocol, ending: str) -> str:
    """Return the file name of later scores, such as `scores-paper.json`."""
    return f"{what}-{protocol}.{ending}"


def scores_bytes(scores: Mapping[str, Json]) -> bytes:
    """Return the content of a `scores.json`: indented, ASCII, non-finite numbers as null, one newline at the end."""
    return (json.dumps(json_safe(dict(scores)), indent=2, allow_nan=False) + "\n").encode("ascii")


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or a power cut, meets the old content or the new, nothing between.

    Raises:
        OSError: the disk refuses; the old content stands.
    """
    with replacing(path) as file:
        file.write(content)


def file_names(folder: Path) -> list[str]:
    """Return every name below a run folder but folders, as a sorted relative path, without the checksums and the lock.

    Links are names too, and are not followed.
    """
    names: list[str] = []
    for parent, folders, files in os.walk(folder):
        links = [name for name in folders if Path(parent, name).is_symlink()]
        names += [Path(parent, name).relative_to(folder).as_posix() for name in (*files, *links)]
    return sorted(name for name in names if name not in (SUMS_NAME, LOCK_NAME))


def _remove_leftovers(folder: Path) -> None:
    """Remove what a killed writer left of files that it had not finished."""
    for name in file_names(folder):
        if name.endswith(TEMPORARY_SUFFIX):
            (folder / name).unlink(missing_ok=True)


def file_sha256(folder: Path, name: str) -> str:
    """Return the hex digest of a plain file below a run folder.

    Raises:
        DamagedRunError: it is no plain file.
        OSError: it cannot be read.
    """
    with open_regular(folder, name) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _checksums(folder: Path) -> dict[str, str]:
    return {name: file_sha256(folder, name) for name in file_names(folder)}


def _write_sums(folder: Path, sums: Mapping[str, str]) -> None:
    write_atomically(folder / SUMS_NAME, sums_bytes(sums))


_LATER_COLUMNS = {"judge_error", "kept"}
"""A judge's failure, and the stages that texts kept of those that they may leave out."""


def _scored_by(record: Record, row: Mapping[str, Json], path: Path, number: int) -> Record:
    """Return a record with the scores of a table's row; one of before may lack the columns `_LATER_COLUMNS`."""
    missing = set(SCORE_COLUMNS) - _LATER_COLUMNS - row.keys()
    if missing:
        raise DamagedRunError.of(path.parent, path.name, f"has no column {min(missing)!r}")
    try:
        scored = record_from_json(record_to_json(record) | dict(row))
    except ValueError as error:
        raise CorruptRecordError(path, number, str(error)) from error
    sample = record.sample
    if GOLD_COLUMN in row:  # later scores against other gold boxes hold those too
        sample = replace(sample, boxes_image_px=scored.sample.boxes_image_px)
    return replace(
        record, sample=sample, score=scored.score, judge_reply=scored.judge_reply, judge_error=scored.judge_error
    )


def _stored_key(record: Record) -> tuple[str, str, int]:
    task, sample_id, repeat = record.key
    return (utf8_text(task), utf8_text(sample_id), repeat)
