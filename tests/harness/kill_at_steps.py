"""Add to a finished run again and again, ending the process before every single thing that it does to a file.

    python kill_at_steps.py RUN WORK WHAT
    python kill_at_steps.py SHARDS WORK merge

In the second form the runs below SHARDS are merged, by a process that ends before a step, or whose disk is full at it.

RUN is a finished run, WORK an empty folder. For each step a copy of RUN is written to by a process that ends there as
by kill -9: nothing is tidied up. Prints a JSON line a step: what was found wrong then, whether the first scores could
be read, and how the copy differs from an undisturbed one once the same is done again.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from harness.comparison.verify_run import verify_run
from harness.evaluation.merge import merge_shards
from harness.runs.journal import LOCK_NAME, StoreError
from harness.runs.manifest import config_of
from harness.runs.store import add_file, add_scores, load_run
from harness.summary.run_summary import summarise_records

NOW = datetime(2026, 1, 2, tzinfo=UTC)
NOT_REACHED = 77
_NEEDS_ROOM = {"os.rename", "os.mkdir", "os.truncate"}
_CHANGES = {*_NEEDS_ROOM, "os.remove", "os.rmdir"}


def again(folder: Path) -> None:
    """Score the run's records again."""
    run = load_run(folder)
    summary = summarise_records(run.records(), config_of(run.manifest, "paper"), seed=run.manifest.seed)
    add_scores(folder, "paper", summary.to_json, run.records())


WHAT: dict[str, Callable[[Path], None]] = {
    "scores": again,
    "page": lambda folder: add_file(folder, "index.html", b"<p>a new page"),
}


def die() -> None:
    os._exit(9)


def refuse() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def stop_before_step(
    number: int, folder: Path, stop: Callable[[], None], changes: set[str] = _CHANGES
) -> Callable[[], bool]:
    """Call `stop` when this process is about to change a file below the folder for the `number`th time, from 0.

    `changes` are the audit events that count beside writing and `fsync`. Returns what tells whether it came to that.
    """
    seen = 0
    sync = os.fsync

    def step(path: object) -> None:
        nonlocal seen
        if str(path).startswith(str(folder)):
            seen += 1
            if seen == number + 1:
                stop()

    def hook(event: str, arguments: tuple) -> None:
        writes = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if writes or event in changes:
            step(arguments[0])

    def synced(fd: int) -> None:
        step(Path(f"/proc/self/fd/{fd}").readlink())
        sync(fd)

    sys.addaudithook(hook)
    os.fsync = synced
    return lambda: seen > number


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def hidden(root: Path) -> list[str]:
    return sorted(path.name for path in root.glob(".*")) if root.is_dir() else []


def published(root: Path) -> list[str]:
    return [] if not root.is_dir() else sorted(path.name for path in root.iterdir() if not path.name.startswith("."))


def merge_at_steps(shards: Path, work: Path) -> None:
    """Print what each process left that was stopped before a step of a merge, and what the next one made of it."""
    folders = sorted(shards.iterdir())
    for how, stop, changes in (("killed", die, _CHANGES), ("full", refuse, _NEEDS_ROOM)):
        for number in range(400):
            root = work / f"{how}-{number}"
            process = os.fork()
            if process == 0:
                reached = stop_before_step(number, root, stop, changes)
                code = merge(folders, root)
                os._exit(code if code or reached() else NOT_REACHED)
            code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
            line = {"how": how, "code": code, "published": published(root), "hidden": len(hidden(root))}
            if line["published"]:
                line["problems"] = verify_run(root / line["published"][0])
            for left in root.glob(".scoring-*"):
                os.utime(left, (0, 0))  # a minute and more ago
            again, _ = merge_shards(folders, root, now=NOW)
            line |= {"problems_after": verify_run(again), "hidden_after": hidden(root)}
            sys.stdout.write(f"{json.dumps(line)}\n")
            if code == NOT_REACHED:
                break


def merge(folders: list[Path], root: Path) -> int:
    """Merge, and return what a process is to end with."""
    try:
        merge_shards(folders, root, now=NOW)
    except StoreError as fault:
        return fault.errno or 1
    except Exception:  # noqa: BLE001 - anything else is a bug, which the test shows
        traceback.print_exc()
        return 1
    return 0


def main() -> None:
    if sys.argv[3] == "merge":
        merge_at_steps(Path(sys.argv[1]), Path(sys.argv[2]))
        return
    run, work, what = Path(sys.argv[1]), Path(sys.argv[2]), WHAT[sys.argv[3]]
    import pyarrow.parquet  # noqa: F401 - before the processes, which share it

    whole = work / "whole"
    shutil.copytree(run, whole)
    what(whole)
    wanted = content(whole)
    for number in range(200):
        folder = work / str(number)
        shutil.copytree(run, folder)
        process = os.fork()
        if process == 0:
            stop_before_step(number, folder, die)
            what(folder)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        problems = verify_run(folder)
        stored = load_run(folder)
        known = {str(name): len(list(stored.records(name))) for name in stored.rescored}
        what(folder)
        found = content(folder)
        differs = sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))
        line = {"code": code, "problems": problems, "first": stored.scores, "later": known, "differs": differs}
        line |= {"problems_after": verify_run(folder), "lock": (folder / LOCK_NAME).exists()}
        sys.stdout.write(f"{json.dumps(line)}\n")
        if code == 0:
            return


if __name__ == "__main__":
    main()
