"""CPU and wall seconds of `leaderboard`, `rescore` and `compare` with page, alone or beside an older checkout's.

Each tree makes its own runs (by its own `tests/invented_runs.py`, which is not timed) and works on them, in turn with the
other, each command in a process of its own. CPU seconds are user and system time of that process and of those it started.

    git worktree add --detach /tmp/older COMMIT
    python -P tests/bench/bench_commands.py --old /tmp/older [--rounds 3] [--only leaderboard,rescore] [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parents[2]
MAKE = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1] + "/tests")
import invented_runs
root = Path(sys.argv[2])
questions = invented_runs.many_questions(20_000)
for name, right in (("base", 0.4), ("sft", 0.7)):
    invented_runs.invent_run(root / "two", invented_runs.Answerer(name, right, right), questions)
for folder, samples in (("fifty-1000", 1_000), ("fifty-200", 200)):
    questions = invented_runs.many_questions(samples)
    for number in range(50):
        who = invented_runs.Answerer(f"m{number}", 0.3 + 0.01 * number, 0.5, seed=number)
        invented_runs.invent_run(root / folder, who, questions)
"""


@dataclass(frozen=True)
class Case:
    """One command that is timed."""

    name: str
    arguments: Callable[[Path, Path], list[str]]
    """What follows `satori-bench`, given the folder of runs and a scratch folder."""
    wanted: float | None = None
    """How many times faster than the older tree it is to be, where that was asked for."""


def _run(root: Path, name: str) -> str:
    return str(next((root / "two").glob(f"*-{name}-*")))


CASES = (
    Case(
        "leaderboard of 50 x 1,000, pages rendered",
        lambda runs, out: ["leaderboard", str(runs / "fifty-1000"), "-o", str(out / "board")],
        5.0,
    ),
    Case(
        "leaderboard of 50 x 200, pages rendered",
        lambda runs, out: ["leaderboard", str(runs / "fifty-200"), "-o", str(out / "board")],
        5.0,
    ),
    Case("rescore of 20,000 by paper", lambda runs, _: ["rescore", _run(runs, "base"), "--protocol", "paper"], 1.8),
    Case(
        "compare 2 x 20,000 with page",
        lambda runs, out: ["compare", _run(runs, "base"), _run(runs, "sft"), "-o", str(out / "page.html")],
        2.0,
    ),
    Case("compare 2 x 20,000, --json", lambda runs, _: ["compare", _run(runs, "base"), _run(runs, "sft"), "--json"]),
)


def environment(tree: Path, scratch: Path) -> dict[str, str]:
    """Return the environment in which a tree's own sources are imported, compiled once."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPATH": str(tree), "PYTHONPYCACHEPREFIX": str(scratch / "compiled"), "OMP_NUM_THREADS": "1"}


def make_runs(tree: Path, folder: Path) -> None:
    """Make a tree's runs with its own code, unless they are there."""
    if (folder / "made").exists():
        return
    subprocess.run(
        [sys.executable, "-P", "-c", MAKE, str(tree), str(folder)], env=environment(tree, folder), check=True
    )
    (folder / "made").touch()


def timed(tree: Path, folder: Path, case: Case) -> tuple[float, float]:
    """Run a command once on runs as they were made; return its CPU and wall seconds."""
    runs, out = folder / "copy", folder / "out"
    for path in (runs, out):
        shutil.rmtree(path, ignore_errors=True)
    out.mkdir()
    for name in ("two", "fifty-1000", "fifty-200"):  # what a command stores beside a run is not there the next time
        shutil.copytree(folder / name, runs / name)
    command = [sys.executable, "-P", "-m", "satori_bench", *case.arguments(runs, out)]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, env=environment(tree, folder), capture_output=True, text=True, check=False)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{tree}: {' '.join(command)} left with {done.returncode}: {done.stderr[-1000:]}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def main() -> None:
    """Time all cases in turn and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--old", type=Path, help="A checkout of the older commit; without it there is nothing beside.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="Cases whose names begin with one of these, by commas.")
    parser.add_argument("--keep", type=Path, help="Keep the runs here, and use those that are there.")
    given = parser.parse_args()
    wanted = tuple(given.only.split(","))
    with tempfile.TemporaryDirectory() as scratch:
        root = given.keep or Path(scratch)
        sides = {"new": (HERE, root / "new")}
        if given.old is not None:
            sides = {"old": (given.old.resolve(), root / "old"), **sides}
        for tree, folder in sides.values():
            folder.mkdir(parents=True, exist_ok=True)
            make_runs(tree, folder)
        print(f"least of {given.rounds}, s{'':38}" + "".join(f"{side:>9} CPU     wall" for side in sides), flush=True)
        for case in (case for case in CASES if case.name.startswith(wanted)):
            found: dict[str, list[tuple[float, float]]] = {side: [] for side in sides}
            for place in range(given.rounds + 1):
                for side, (tree, folder) in sides.items():
                    spent = timed(tree, folder, case)
                    if place:  # the first round compiles
                        found[side].append(spent)
            print(row(case, {side: (min(cpu), min(wall)) for side, (cpu, wall) in columns(found)}), flush=True)


def columns(found: dict[str, list[tuple[float, float]]]) -> list[tuple[str, tuple[tuple[float, ...], ...]]]:
    """Return each side's CPU seconds and wall seconds."""
    return [(side, tuple(zip(*spent, strict=True))) for side, spent in found.items()]


def row(case: Case, least: dict[str, tuple[float, float]]) -> str:
    """Return one line of the table."""
    line = f"{case.name:<48}" + "".join(f"{cpu:>13.2f} {wall:>8.2f}" for cpu, wall in least.values())
    if "old" in least:
        cpu, wall = (old / new for old, new in zip(least["old"], least["new"], strict=True))
        line += f"   {cpu:.2f}x CPU, {wall:.2f}x wall"
        line += f"   (wanted {case.wanted:.1f}x)" if case.wanted else ""
    return line


if __name__ == "__main__":
    main()
