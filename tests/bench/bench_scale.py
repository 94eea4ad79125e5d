"""Workers and growth: two processes and two Ray workers against one process, and 1,000 to 50,000 samples.

Workers: a random Qwen2.5-VL that dominates the time, pictures that are all different, greedy. Each arm is a command of
its own, from the first check to the published run, with a thread for each process. Start-up is the time to the first
record and is printed apart; what is compared is the rest, merging and publishing included, and all arms must leave the
same texts. It wants a machine with two free cores, and runs of two minutes and more (`--minutes 2`, of one process).

Growth: a model that replays text over Shapes, each size in a process of its own. What a sample costs between 10,000
and 50,000 is compared with what it costs between 1,000 and 10,000, and so is the peak of memory.

    python -P tests/bench/bench_scale.py workers --minutes 2
    python -P tests/bench/bench_scale.py growth --sizes 1000 10000 50000
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import harness

HOME = Path(harness.__file__).parents[1]
SIZES = (1_000, 10_000, 50_000)
TRIAL = 24
"""Samples of the run that tells how many fit into the minutes."""
NEW_TOKENS = 32
ARMS = ("one process", "2 processes", "Ray, 2 workers")
LEAST_OF_TWO = 1.8
MOST_OF_RAY = 1.1
MOST_OF_LINEAR = 1.05
MOST_OF_MEMORY = 1.1


class Clock:
    """Listens for the first record."""

    def __init__(self) -> None:
        """Begin before it."""
        self.first_s: float | None = None

    def task_started(self, task: str, rows: int, answered: int) -> None:
        """Say nothing."""

    def sample_recorded(self, record: object) -> None:
        """Look at the clock once."""
        self.first_s = self.first_s or time.perf_counter()

    def task_finished(self, task: str) -> None:
        """Say nothing."""


def reply(task: str, doc_id: int) -> str:
    """Return a typical text of some 200 characters."""
    caption = f"a picture of {doc_id} red circles beside a large blue square under a small green triangle"
    boxes = f"[[{doc_id % 90},12,{doc_id % 90 + 60},80],[20,30,90,{100 + doc_id % 50}]]"
    return f"<caption>{caption}</caption>\n<bbox>{boxes}</bbox>\n<answer>{'two' if doc_id % 2 else 'red'}</answer>"


def make_model(folder: Path, *, large: bool) -> None:
    """Build the checkpoint that is asked."""
    from training.loop.tiny_model import DEFAULT_SHAPE, TinyShape, build_tiny_qwen2_5_vl

    shape = TinyShape(hidden=512, layers=6, heads=8, feed_forward=1408, vision_layers=6) if large else DEFAULT_SHAPE
    build_tiny_qwen2_5_vl(folder / "model", ["Where is it? <answer>red</answer> [[0, 1, 2, 3]]"] * 50, shape=shape)


def make_data(folder: Path, rows: int) -> None:
    """Draw small pictures, so that those of 50,000 samples are drawn once."""
    from tasks.shapes import write_parquet

    write_parquet(folder / f"shapes-{rows}.parquet", split="train", n=rows, seed=1, profile="tiny")


def ask(folder: Path, arm: str, rows: int) -> None:
    """Do one run in this process and print what it took."""
    from harness.models.replay import SatoriReplay
    from harness.runs.store import load_run
    from tasks.local_data import DatasetOverride
    from tasks.processes import run_by_processes
    from tasks.ray_workers import RayPlan, run_by_ray
    from tasks.run import run_benchmarks
    from tasks.run_spec import RunEnvironment, RunSpec

    started_s = time.perf_counter()
    clock = Clock()
    environment = RunEnvironment(now=lambda: datetime.now(UTC), say=lambda _: None, listener=clock, packages={})
    spec = RunSpec(
        model=str(folder / "model"), tasks="shapes", limit=rows, max_new_tokens=NEW_TOKENS, batch_size="8",
        device="cpu", thumbnails=False, out=folder / f"{arm}-{rows}",
    )  # fmt: skip
    if arm == "replay":
        spec = replace(spec, datasets={"shapes": DatasetOverride(str(folder / f"shapes-{rows}.parquet"))}, limit=None)
        environment = replace(environment, load_model=lambda _: SatoriReplay(reply, batch_size=16))
    if arm == ARMS[1]:
        made = run_by_processes(replace(spec, processes=2), environment)
    elif arm == ARMS[2]:
        made = run_by_ray(spec, environment, RayPlan(address="local", workers=2))
    else:
        made = run_benchmarks(spec, environment)
    ended_s, first_s = time.perf_counter(), clock.first_s or started_s
    texts = sorted((record.sample.id, record.generation.text) for record in load_run(made.folder).records())
    print(
        json.dumps(
            {
                "start_s": first_s - started_s, "work_s": ended_s - first_s, "texts": hash_of(texts), "n": len(texts),
                "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        )
    )  # fmt: skip


def hash_of(texts: Sequence[tuple[str, str]]) -> str:
    """Return a digest of texts."""
    import hashlib

    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()


def child(*arguments: object) -> dict:
    """Do something in a process of its own; return what it prints last, if anything."""
    env = {**os.environ, "PYTHONPATH": str(HOME), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}
    command = [sys.executable, "-P", __file__, *map(str, arguments)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr[-3000:])
    return json.loads(done.stdout.splitlines()[-1]) if done.stdout.strip() else {}


def workers(minutes: float) -> bool:
    """Compare the arms; return whether all figures are met."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        child("make-model", folder, "large")
        trial = child("ask", folder, ARMS[0], TRIAL)
        rows = max(4 * TRIAL, int(60 * minutes * TRIAL / trial["work_s"]))
        found = {arm: child("ask", folder, arm, rows) for arm in ARMS}
    if len({(one["texts"], one["n"]) for one in found.values()}) != 1:
        sys.exit("the arms answered differently")
    alone_s = found[ARMS[0]]["work_s"]
    print(f"{rows} samples, load before: {os.getloadavg()[1]:.1f} on {os.cpu_count()} cores")
    print(f"{'':16}{'start-up, s':>12}{'then, s':>10}{'ratio':>8}")
    for arm, one in found.items():
        print(f"{arm:16}{one['start_s']:12.1f}{one['work_s']:10.1f}{alone_s / one['work_s']:7.2f}x")
    two_s, ray_s = (found[arm]["work_s"] for arm in ARMS[1:])
    print(f"Ray over 2 processes: {ray_s / two_s:.2f} (at most {MOST_OF_RAY}); each at least {LEAST_OF_TWO}x one")
    return alone_s / two_s >= LEAST_OF_TWO and alone_s / ray_s >= LEAST_OF_TWO and ray_s / two_s <= MOST_OF_RAY


def growth(sizes: Sequence[int]) -> bool:
    """Compare the sizes; return whether all figures are met."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        child("make-model", folder, "small")
        found = {}
        for rows in sizes:
            child("make-data", folder, rows)
            found[rows] = child("ask", folder, "replay", rows)
    small, middle, large = ({**found[rows], "rows": rows} for rows in sizes)
    print(f"{'samples':>8}{'whole run, s':>14}{'peak, MiB':>11}")
    for one in (small, middle, large):
        print(f"{one['rows']:8}{one['start_s'] + one['work_s']:14.1f}{one['peak_mib']:11.0f}")
    each_s = [
        (b["start_s"] + b["work_s"] - a["start_s"] - a["work_s"]) / (b["rows"] - a["rows"])
        for a, b in ((small, middle), (middle, large))
    ]
    linear, memory = each_s[1] / each_s[0], large["peak_mib"] / middle["peak_mib"]
    print(
        f"a sample: {1000 * each_s[0]:.2f} ms, then {1000 * each_s[1]:.2f} ms: {linear:.2f} (at most {MOST_OF_LINEAR})"
    )
    print(f"peak at {sizes[2]:,} over {sizes[1]:,}: {memory:.2f} (at most {MOST_OF_MEMORY})")
    return linear <= MOST_OF_LINEAR and memory <= MOST_OF_MEMORY


def main() -> None:
    """Measure what is asked for, or be a child."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["workers", "growth", "ask", "make-model", "make-data"])
    parser.add_argument("rest", nargs="*")
    parser.add_argument("--minutes", type=float, default=2.0, help="of one process")
    parser.add_argument("--sizes", type=int, nargs=3, default=SIZES, help="of growth")
    given = parser.parse_args()
    if given.what == "workers":
        sys.exit(0 if workers(given.minutes) else 1)
    if given.what == "growth":
        sys.exit(0 if growth(given.sizes) else 1)
    folder = Path(given.rest[0])
    if given.what == "ask":
        ask(folder, given.rest[1], int(given.rest[2]))
    elif given.what == "make-model":
        make_model(folder, large=given.rest[1] == "large")
    else:
        make_data(folder, int(given.rest[1]))


if __name__ == "__main__":
    main()
