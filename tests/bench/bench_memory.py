"""Memory from 1,000 to 10,000 samples, and the speed of a rescore.

A model that replays text runs over Shapes (drawn on the fly), each size in a process of its own; peak resident memory
must stay flat. The 10,000-sample run is then scored again.

    python -P tests/bench/bench_memory.py
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import harness

SIZES = (1_000, 10_000)
CODE_ROOT = Path(harness.__file__).parents[1]


class Silent:
    """Listens to nothing."""

    def task_started(self, task: str, rows: int, answered: int) -> None:
        """Say nothing."""

    def sample_recorded(self, record: object) -> None:
        """Say nothing."""

    def task_finished(self, task: str) -> None:
        """Say nothing."""


def reply(task: str, doc_id: int) -> str:
    """A typical text of some 200 characters."""
    caption = f"a picture of {doc_id} red circles beside a large blue square under a small green triangle"
    boxes = f"[[{doc_id % 90},12,{doc_id % 90 + 60},80],[20,30,90,{100 + doc_id % 50}]]"
    return f"<caption>{caption}</caption>\n<bbox>{boxes}</bbox>\n<answer>{'two' if doc_id % 2 else 'red'}</answer>"


def child(folder: Path, rows: int) -> None:
    """Run `rows` samples in this process and print peak memory and seconds."""
    from harness.models.replay import SatoriReplay
    from harness.runs.store import load_run
    from tasks.local_data import DatasetOverride
    from tasks.run import run_benchmarks
    from tasks.run_spec import RunEnvironment, RunSpec
    from tasks.shapes import write_parquet
    from training.loop.tiny_model import build_tiny_qwen2_5_vl

    data = folder / f"shapes-{rows}.parquet"
    if not data.is_file():
        write_parquet(data, split="train", n=rows, seed=1, profile="tiny")
        build_tiny_qwen2_5_vl(folder / "tiny", ["one two three"] * 5)
        print("{}")
        return
    spec = RunSpec(
        model=str(folder / "tiny"),
        tasks="shapes",
        datasets={"shapes": DatasetOverride(str(data))},
        out=folder / f"runs-{rows}",
        thumbnails=False,
    )
    environment = RunEnvironment(
        now=lambda: datetime.now(UTC),
        say=lambda _: None,
        listener=Silent(),
        packages={},
        load_model=lambda _: SatoriReplay(reply, batch_size=16),
    )
    started = time.perf_counter()
    result = run_benchmarks(spec, environment)
    run_s = time.perf_counter() - started
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    rescore_s, records = _rescore(load_run(result.folder))
    print(json.dumps({"peak_mib": peak_mib, "run_s": run_s, "rescore_s": rescore_s, "records": records}))


def _rescore(run: object) -> tuple[float, int]:
    from harness.evaluation.predictions import rescore_record
    from harness.runs.manifest import config_of

    config = config_of(run.manifest, "vlmevalkit")
    started = time.perf_counter()
    records = sum(1 for record in run.records() if rescore_record(record, config).score is not None)
    return time.perf_counter() - started, records


def rescored_core_per_s(folder: Path, rows: int = 10_000) -> float:
    """Return samples a second of a rescore of MMStar rows: reading the journal, parsing, scoring."""
    from harness.evaluation.predictions import score_lines
    from harness.evaluation.rescore import PredictionSource, save_predictions_run
    from harness.runs.store import load_run
    from harness.values import ScoreConfig

    choices = {"A": "a cat", "B": "a dog", "C": "a cup", "D": "a star"}
    lines = (
        json.dumps(
            {"id": str(row), "task": "mmstar", "prediction": reply("", row).replace("two", "B. a dog"),
             "question": "What is it?", "choices": choices, "answers": ["ABCD"[row % 4]]}
        )
        for row in range(rows)
    )  # fmt: skip
    scored = score_lines(lines, ScoreConfig())
    made, _ = save_predictions_run(
        folder, scored, ScoreConfig(), PredictionSource("bench", "0", {}), now=datetime.now(UTC)
    )
    seconds, records = _rescore(load_run(made))
    return records / seconds


def measure(folder: Path, rows: int) -> dict[str, float]:
    """Run one size in a process of its own; the data are made by another, so that they do not count."""
    command = [sys.executable, "-P", __file__, str(folder), str(rows)]
    environment = {**os.environ, "PYTHONPATH": str(CODE_ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    for _ in range(2):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> dict[str, float]:
    """Measure, print the table, return its figures."""
    with tempfile.TemporaryDirectory() as name:
        found = {rows: measure(Path(name), rows) for rows in SIZES}
        core_per_s = rescored_core_per_s(Path(name) / "core")
    small, large = (found[rows] for rows in SIZES)
    growth = large["peak_mib"] / small["peak_mib"] - 1
    rescored_per_s = large["records"] / large["rescore_s"]
    print("memory and rescore, a model that replays text on Shapes, thumbnails off")
    for rows, values in found.items():
        print(f"  {rows:6d} samples: peak {values['peak_mib']:6.0f} MiB, run {values['run_s']:6.1f} s")
    print(f"  growth           {100 * growth:+.1f} %        (wanted: within 10 %)")
    print(f"  rescore, MMStar  {core_per_s:,.0f} samples/s (wanted: 5,000)")
    print(f"  rescore, Shapes  {rescored_per_s:,.0f} samples/s (two boxes and a caption each)")
    return {"growth": growth, "core_per_s": core_per_s, "rescored_per_s": rescored_per_s}


if __name__ == "__main__":
    if len(sys.argv) == 3:
        child(Path(sys.argv[1]), int(sys.argv[2]))
    else:
        main()
