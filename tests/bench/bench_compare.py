"""Measure how fast runs are compared: 400 paired tests of 10,000 samples, and one comparison of 100,000 samples.

    python -P tests/bench/bench_compare.py [--samples 100000] [--keep FOLDER]

The runs are written straight into the store's Parquet table by its own writer; each phase that counts runs in a process
of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

TESTS = 400
TEST_SAMPLES = 10_000
WORDS = [
    "the",
    "red",
    "circle",
    "lies",
    "left",
    "of",
    "a",
    "small",
    "blue",
    "square",
    "near",
    "the",
    "green",
    "triangle",
]


def records(samples: int, seed: int, *, skill: float, iou: float) -> Iterator:
    """Yield records of three tasks with captions, boxes and answers; the same questions for every seed."""
    from harness.values import BoxMatch, Components, Generation, Record, Sample, Score, Size

    rng = np.random.default_rng(seed)
    for place in range(samples):
        task = ("shapes", "pope", "refcoco")[place % 3]
        right = float(rng.random() < skill)
        x, y = 20 + place % 200, 30 + place % 150
        overlap = float(np.clip(rng.normal(iou, 0.2), 0, 1))
        text = " ".join(WORDS[(place + n) % len(WORDS)] for n in range(90))
        yield Record(
            sample=Sample(
                id=f"sample-{place}",
                task=task,
                answer_rule="accepted",
                question=f"What colour is shape {place}? " + text[:120],
                answers=("red",),
                category=f"category {place % 20}",
                cluster=f"image-{place // 6}",
                boxes_image_px=((float(x), float(y), x + 80.0, y + 60.0),),
                caption=text[:150],
                image_size=Size(640, 480),
                image_sha256=hashlib.sha256(str(place // 6).encode()).hexdigest(),
            ),
            generation=Generation(
                text=f"<caption>{text}</caption><bbox>[[{x}, {y}, {x + 70}, {y + 60}]]</bbox><answer>red</answer>"
            ),
            score=Score(
                value=right,
                extracted="red" if right else "blue",
                components=Components(format=1.0, caption=float(rng.random()), bbox=overlap, answer=right),
                iou=overlap,
                match=BoxMatch(1, 1, overlap, int(overlap >= 0.5)),
                boxes_image_px=((float(x), float(y), x + 70.0, y + 60.0),),
                faults=() if rng.random() < 0.95 else ("missing",),
            ),
        )


def make_run(root: Path, name: str, samples: int, seed: int, *, skill: float, iou: float) -> Path:
    """Write a finished run without its journal: the comparison reads the table only."""
    from harness.files import SUMS_NAME
    from harness.runs.manifest import Manifest, TaskManifest, manifest_bytes, stamp_hashes, utc_text
    from harness.runs.record_table import write_parquet
    from harness.runs.store import MANIFEST_NAME, PARQUET_NAME, SCORES_NAME

    task = TaskManifest(
        yaml_hash="0" * 64,
        dataset_path="made",
        dataset_revision=None,
        fingerprint="1" * 64,
        rows=samples,
        samples=samples,
    )
    manifest = stamp_hashes(
        Manifest(
            model=name, weights_hash=hashlib.sha256(name.encode()).hexdigest(), adapter_hash=None, config_hash="", model_type="",
            backend="hf", format="satori", protocol="strict", box_dialect=None, box_dialect_reason="made", pixel_limits=None,
            generation={}, tasks=dict.fromkeys(("shapes", "pope", "refcoco"), task), prompt_hash="2" * 64, seed=0, packages={},
            scorer_version=1, created_utc=utc_text(datetime(2026, 1, 1, tzinfo=UTC)),
        )
    )  # fmt: skip
    folder = root / name
    folder.mkdir()
    write_parquet(folder / PARQUET_NAME, records(samples, seed, skill=skill, iou=iou))
    (folder / MANIFEST_NAME).write_bytes(manifest_bytes(replace(manifest, status="complete")))
    (folder / SCORES_NAME).write_text(json.dumps({"schema": 1, "tasks": {}}))
    files = sorted(path for path in folder.iterdir())
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (folder / SUMS_NAME).write_text("".join(sums))
    return folder


def time_tests() -> None:
    """Time 400 paired tests of right-or-wrong values, and as many of continuous ones."""
    from harness.stats.paired import paired_difference

    rng = np.random.default_rng(0)
    clusters = np.arange(TEST_SAMPLES)
    for kind, groups in (("right or wrong", 1), ("right or wrong, 4 a cluster", 4), ("continuous (IoU)", 1)):
        spent = spent_cpu = 0.0
        for test in range(TESTS):
            if kind.startswith("right"):
                a = (rng.random(TEST_SAMPLES) < 0.6).astype(np.float64)
                b = np.where(rng.random(TEST_SAMPLES) < 0.1, 1 - a, a)
            else:
                a = rng.random(TEST_SAMPLES)
                b = np.clip(a + rng.normal(0, 0.1, TEST_SAMPLES), 0, 1)
            began, began_cpu = time.perf_counter(), time.process_time()
            paired_difference(a, b, clusters // groups, seed=test)
            spent += time.perf_counter() - began
            spent_cpu += time.process_time() - began_cpu
        print(
            f"{TESTS} paired tests, n = {TEST_SAMPLES:,}, {kind:<28} {spent:6.1f} s, CPU {spent_cpu:5.1f} s   (limit 45 s)"
        )


def time_comparison(folder: Path) -> None:
    """Time one comparison and print its peak memory."""
    from harness.comparison.compare import compare_runs, open_sides

    began, began_cpu = time.perf_counter(), time.process_time()
    comparison = compare_runs(open_sides([str(folder / "base"), str(folder / "trained")]))
    spent, spent_cpu = time.perf_counter() - began, time.process_time() - began_cpu
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    samples = len(comparison.pairs[0].samples)
    print(
        f"comparison of {samples:,} samples: {spent:.1f} s, CPU {spent_cpu:.1f} s (limit 20 s); peak memory {peak_gb:.2f} GB (limit 1.5 GB)"
    )


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--keep", type=Path, help="Leave the two runs in this folder.")
    parser.add_argument("--compare", type=Path, help="Only compare the runs in this folder.")
    options = parser.parse_args()
    if options.compare:
        time_comparison(options.compare)
        return
    time_tests()
    with tempfile.TemporaryDirectory() as temporary:
        root = options.keep or Path(temporary)
        root.mkdir(parents=True, exist_ok=True)
        make_run(root, "base", options.samples, 1, skill=0.60, iou=0.5)
        make_run(root, "trained", options.samples, 2, skill=0.61, iou=0.6)
        sys.stdout.flush()
        subprocess.run([sys.executable, "-P", __file__, "--compare", str(root)], check=True)


if __name__ == "__main__":
    main()
