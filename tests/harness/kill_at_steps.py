"""Add to a finished run again and again, ending the process before every single thing that it does to a file.

    python kill_at_steps.py RUN WORK WHAT

RUN is a finished run, WORK an empty folder. For each step a copy of RUN is written to by a process that ends there as
by kill -9: nothing is tidied up. Prints a JSON line a step: what was found wrong then, whether the first scores could
be read, and how the copy differs from an undisturbed one once the same is done again.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from harness.comparison.verify_run import verify_run
from harness.runs.journal import LOCK_NAME
from harness.runs.manifest import config_of
from harness.runs.store import add_file, add_scores, load_run
from harness.summary.run_summary import summarise_records

_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"}


def again(folder: Path) -> None:
    """Score the run's records again."""
    run = load_run(folder)
    summary = summarise_records(run.records(), config_of(run.manifest, "paper"), seed=run.manifest.seed)
    add_scores(folder, "paper", summary.to_json, run.records())


WHAT: dict[str, Callable[[Path], None]] = {
    "scores": again,
    "page": lambda folder: add_file(folder, "index.html", b"<p>a new page"),
}


def die_before_step(number: int, folder: Path) -> None:
    """End this process when it is about to change a file below the folder for the `number`th time, from 0."""
    seen = 0
    sync = os.fsync

    def step(path: object) -> None:
        nonlocal seen
        if str(path).startswith(str(folder)):
            if seen == number:
                os._exit(9)
            seen += 1

    def hook(event: str, arguments: tuple) -> None:
        writes = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if writes or event in _CHANGES:
            step(arguments[0])

    def synced(fd: int) -> None:
        step(Path(f"/proc/self/fd/{fd}").readlink())
        sync(fd)

    sys.addaudithook(hook)
    os.fsync = synced


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def main() -> None:
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
            die_before_step(number, folder)
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
