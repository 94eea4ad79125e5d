"""Ask a training's checkpoints as they appear in its folder, the earliest first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.runs.store import PARTIAL_SUFFIX
from tasks.checkpoint_folders import FolderStamp, checkpoints_in, is_published, stamp_of, why_unfinished
from tasks.many import Outcome


@dataclass(frozen=True, slots=True)
class Until:
    """When watching ends; with nothing given it goes on until a signal ends it."""

    once: bool = False
    """Whether to ask what is whole now and not to wait."""
    checkpoints: int | None = None
    """End after so many were asked, failed ones among them; those removed before they were read are not."""
    idle_s: float | None = None
    """End when no whole checkpoint has appeared for so long."""


@dataclass(frozen=True, slots=True)
class Clock:
    """The time, so that a test can give it."""

    now_s: Callable[[], float]
    """The present time, in seconds since 1970."""
    sleep_s: Callable[[float], None]
    """Waits for so many seconds."""


def watch_folder(
    folder: Path,
    ask: Callable[[Path], Outcome],
    until: Until,
    *,
    every_s: float,
    clock: Clock,
    say: Callable[[str], None],
) -> None:
    """Hand each whole checkpoint over once, and again when its files have changed.

    Args:
        folder: Where a trainer writes `checkpoint-N`; it may not be there yet.
        ask: Asks one checkpoint. One that was removed meanwhile is passed over.
        until: When to end.
        every_s: Seconds between two looks.
        clock: The time.
        say: Takes a line for the person who watches.
    """
    asked: dict[Path, FolderStamp] = {}
    told: set[tuple[Path, str]] = set()
    count, quiet_since_s = 0, clock.now_s()
    while True:
        found = _next(folder, asked, clock.now_s())
        for path, reason in found.waiting:
            if (path, reason) not in told:
                told.add((path, reason))
                say(f"{path.name} is not asked yet: {reason}")
        if found.whole is not None:
            asked[found.whole] = stamp_of(found.whole)
            count += not ask(found.whole).removed
            quiet_since_s = clock.now_s()
            if count == until.checkpoints:
                return
            continue
        if until.once:
            return
        if until.idle_s is not None and clock.now_s() - quiet_since_s >= until.idle_s:
            say(f"no new checkpoint for {until.idle_s:g} s: asked {count}")
            return
        clock.sleep_s(every_s)


@dataclass(frozen=True, slots=True)
class _Found:
    """What one look at the folder showed."""

    whole: Path | None
    """The earliest whole checkpoint that was not asked yet."""
    waiting: tuple[tuple[Path, str], ...]
    """Those before it that are not whole, with the reason."""


def _next(folder: Path, asked: dict[Path, FolderStamp], now_s: float) -> _Found:
    waiting: list[tuple[Path, str]] = []
    for path in candidates(folder):
        if asked.get(path) == (stamp := stamp_of(path)) or not stamp:
            continue
        reason = why_unfinished(path, now_s)
        if reason is None:
            return _Found(path, tuple(waiting))
        waiting.append((path, reason))
    return _Found(None, tuple(waiting))


def candidates(folder: Path) -> list[Path]:
    """Return what may be asked, whole or not: `checkpoint-N` in the folder, and what our own `train` makes.

    That writes its checkpoints into `FOLDER.partial`, and the last one becomes FOLDER itself by one rename.
    """
    home = folder.resolve()  # `.` has no name of its own, and `..` that of no folder
    beside = checkpoints_in(home.with_name(home.name + PARTIAL_SUFFIX)) if home.name else []
    return [*checkpoints_in(folder), *beside, *([folder] if is_published(folder) else [])]
