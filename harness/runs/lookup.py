"""Find the run that a person means: a path, a run folder's name, a unique beginning of it, or `latest`.

A path that exists wins, but for a folder that is no run (`base/`, a checkpoint) where a run is called so. Else the text
is looked up among the runs of a folder (`runs/`, or `--out`); where it holds a slash, among those of the folder before
the last one: `old/base` is the run of `old/` that begins with `base`.
A run `20261124T005747Z-base-9caff88f` is called `base`, `base-9caff88f`, and by its whole name; whatever begins one of
these means it, unless another run is meant as well. A text that *is* what a run is called never means a longer one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from harness.errors import ConfigError, did_you_mean
from harness.runs.store import JOURNAL_NAME, LATEST, MANIFEST_NAME, PARTIAL_SUFFIX, RunInfo, list_runs
from harness.scoring.protocols import protocol_named
from harness.values import PROTOCOLS, Protocol

RUNS = Path("runs")
"""The folder of runs where no other is named."""

MOST_CANDIDATES = 8
"""Runs that a message names; a person with more of them needs a longer text, not a longer list."""

# What `run_store` makes of a run's start, its model or name, its key, and a number where folders would clash.
_FOLDER_NAME = re.compile(r"(?P<time>\d{8}T\d{6}Z)-(?P<called>.+)-(?P<key>[0-9a-f]{8})(?:-\d+)?")


def find_run(text: str, root: Path) -> Path:
    """Return the folder of the run that a text means.

    A folder that exists is returned as it is: whether it is a run, and finished, is for its reader to say. Only where
    it holds no manifest and a run is called as it is, that run is meant.

    Args:
        text: A path, a name, the beginning of one, or `latest`: the run that was begun last, finished or not.
        root: The folder whose runs are looked up; one that does not exist has none.

    Raises:
        ConfigError: No run is meant, or more than one; the message lists them.
        StoreError: The folder cannot be read.
    """
    if _exists(text) and not _is_namesake(text, root):
        return Path(text)
    before, slash, name = text.rstrip("/").rpartition("/")
    place = Path(before or "/") if slash else root
    runs = list_runs(place)
    if name == LATEST and runs:
        return max(runs, key=begun_order).path
    found = _meant(name, runs) if name else []
    if len(found) == 1:
        return found[0].path
    if found:
        raise ConfigError(f"{text!r} means {len(found)} runs in {place}: {_listed(found)}. Write more of the name")
    raise ConfigError(_nothing(text, name, place, runs))


def find_scores(text: str, root: Path) -> tuple[Path, Protocol | None]:
    """Return the run that a text means, as `find_run` does, and the protocol of `RUN@PROTOCOL`; None without one.

    The protocol may be given with its version, as in `RUN@vlmevalkit@e8e78f05`.

    Raises:
        ConfigError: As `find_run`; or what stands behind `@` is no protocol, or another version of one.
        StoreError: The folder cannot be read.
    """
    if _exists(text):
        return find_run(text, root), None
    before, at, ending = text.rpartition("@")
    if name := next((known for known in PROTOCOLS if before.endswith(f"@{known}")), None):
        before, ending = before.removesuffix(f"@{name}"), f"{name}@{ending}"  # RUN@vlmevalkit@e8e78f05
    if at and ending.partition("@")[0] in PROTOCOLS:
        return find_run(before, root), protocol_named(ending)
    try:
        return find_run(text, root), None
    except ConfigError as fault:
        if not at:
            raise
        hint = did_you_mean(ending, list(PROTOCOLS))
        raise ConfigError(
            f"{fault}. If {ending!r} is to be a protocol: RUN@PROTOCOL takes {', '.join(PROTOCOLS)}.{hint}"
        ) from fault


def begun_order(info: RunInfo) -> tuple[str, int, str]:
    """Return what orders runs by their beginning.

    Manifest and folder name tell the second; of two runs of one second the later one wrote to its journal last.
    """
    parts = _FOLDER_NAME.fullmatch(info.path.name.removesuffix(PARTIAL_SUFFIX))
    from_name = "" if parts is None else parts["time"]
    begun = info.manifest.created_utc if info.manifest is not None else from_name
    try:
        written_ns = (info.path / JOURNAL_NAME).stat().st_mtime_ns
    except OSError:
        written_ns = 0
    return re.sub(r"[-:]", "", begun), written_ns, info.path.name


def called(folder_name: str) -> str:
    """Return what a run is called in a list: its folder's name without the time and without `.partial`."""
    stem = folder_name.removesuffix(PARTIAL_SUFFIX)
    parts = _FOLDER_NAME.fullmatch(stem)
    return stem if parts is None else stem[parts.start("called") :]


def _exists(text: str) -> bool:
    return os.path.exists(text)  # noqa: PTH110 - False, not an error, for a text that can be no path, such as a long one


def _is_namesake(text: str, root: Path) -> bool:
    """Whether a folder is no run, though one is called so: `base/` is often the checkpoint that `base` asked."""
    path = Path(text)
    is_run = "/" in text or not path.is_dir() or (path / MANIFEST_NAME).exists()
    return not is_run and any(text in _names(info) for info in list_runs(root))


def _names(info: RunInfo) -> tuple[str, ...]:
    """Return every name of a run, the shortest first."""
    stem = info.path.name.removesuffix(PARTIAL_SUFFIX)
    parts = _FOLDER_NAME.fullmatch(stem)
    short = () if parts is None else (parts["called"], called(stem))
    return (*short, stem, info.path.name)


def _meant(name: str, runs: Sequence[RunInfo]) -> list[RunInfo]:
    """Return the runs that are called so; where none is, those one of whose names begins so."""
    exact = [info for info in runs if name in _names(info)]
    return exact or [info for info in runs if any(one.startswith(name) for one in _names(info))]


def _listed(runs: Sequence[RunInfo]) -> str:
    names = ", ".join(repr(info.path.name) for info in runs[:MOST_CANDIDATES])
    more = len(runs) - MOST_CANDIDATES
    return names if more <= 0 else f"{names} and {more} more"


def _nothing(text: str, name: str, place: Path, runs: Sequence[RunInfo]) -> str:
    """Say that no run is meant, with what is there."""
    what = f"there is no {text[:200]!r} here, and no run in {place}"
    if not runs:
        hint = "" if place.is_dir() else ", which does not exist"
        return f"{what}{hint}: name a run folder, or the folder of runs with --out"
    near = did_you_mean(name, [one for info in runs for one in _names(info)])
    last = list(dict.fromkeys(repr(called(info.path.name)) for info in sorted(runs, key=begun_order, reverse=True)))
    return f"{what} is called so or begins so.{near} The last ones: {', '.join(last[:MOST_CANDIDATES])}"
