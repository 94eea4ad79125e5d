"""Simulate the gate: how often it cries wolf, how often it finds a true drop, how often intervals hold the truth.

    python -P tests/bench/bench_gate.py            1,000 repetitions of each setting
    python -P tests/bench/bench_gate.py --quick    400, and the two hardest settings: for CI

Every repetition goes through `compare_benchmark` and `judge`, the code that judges real runs. Ten benchmarks of 1,000
clusters, of 1, 2 or 4 samples each; no true change: a share of samples is undecided and falls by a coin in each run, half
of them by one coin for the whole cluster. Beside it stands a gate that fails on any drop of more than one point. Exits 1
when a figure misses its mark.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from harness.comparison.benchmark import SharedSamples, compare_benchmark
from harness.comparison.columns import RunTable
from harness.comparison.values import Comparability, Comparison, Pair, RunFacts, SampleSide, SampleTable, Side
from harness.gate.policy import GatePolicy
from harness.gate.verdict import judge
from harness.stats.intervals import FloatArray

BENCHMARKS = 10
CLUSTERS = 1000
DRAWS = 999
ACCURACY = 0.6
DROP = 0.03
FIXED_GATE = 0.01
POLICY = GatePolicy()
NO_TOLERANCE = GatePolicy(tolerance=0.0)


@dataclass(frozen=True)
class Setting:
    """One line of the table."""

    clusters: int
    size: int
    flips: float
    drop: float = 0.0


@dataclass(frozen=True)
class Result:
    """What the repetitions of a setting gave."""

    alarms: int
    strict_alarms: int
    fixed_alarms: int
    found: int
    covered: int
    intervals: int
    repetitions: int
    seconds: float


def columns(setting: Setting) -> RunTable:
    """Return the columns that all repetitions share."""
    n = setting.clusters * setting.size
    nothing = np.full(n, np.nan)
    return RunTable(
        tasks=("task",) * n,
        ids=tuple(str(place) for place in range(n)),
        rows=np.arange(n),
        values=nothing,
        ious=nothing,
        said=nothing,
        components=dict.fromkeys(("format", "caption", "bbox"), nothing),
        faults=np.zeros(n, dtype=np.uint32),
        groups=("",) * n,
        clusters=tuple(str(place // setting.size) for place in range(n)),
        categories=("",) * n,
        l2_categories=("",) * n,
        gold_boxes_image_px=(None,) * n,
        answers=(None,) * n,
        choices=("{}",) * n,
        image_sizes=np.full((n, 2), np.nan),
        extras={},
        asked={},
        official=("{}",) * n,
    )


def two_runs(rng: np.random.Generator, setting: Setting, drop: float) -> tuple[FloatArray, FloatArray]:
    """Return right-or-wrong values of two runs whose true scores differ by `drop`."""
    n = setting.clusters * setting.size
    settled = rng.random(n) < ACCURACY
    undecided = rng.random(n) < 2 * setting.flips
    together = rng.random(n) < 0.5
    runs = []
    for _ in range(2):
        cluster_coins = np.repeat(rng.random(setting.clusters) < 0.5, setting.size)
        coins = np.where(together, cluster_coins, rng.random(n) < 0.5)
        runs.append(np.where(undecided, coins, settled))
    score = 2 * setting.flips * 0.5 + (1 - 2 * setting.flips) * ACCURACY
    lost = runs[1] & (rng.random(n) < drop / score)
    return runs[0].astype(np.float64), (runs[1] & ~lost).astype(np.float64)


def comparison_of(benchmarks, seed: int) -> Comparison:
    """Return a comparison of two nameless runs."""
    facts = RunFacts("run", Path("run"), "model", "", "strict", "strict@0", False, "plain", 0, False, False, "")
    empty = np.zeros(0)
    side = SampleSide(empty, empty, np.zeros(0, dtype=np.uint32), np.zeros(0, dtype=np.int64))
    none = np.zeros(0, dtype=np.int64)
    samples = SampleTable((), none, (), none, (), np.zeros(0, dtype=np.int8), side, side)
    pair = Pair(0, 1, Comparability(), tuple(benchmarks), (), (), samples)
    sides = tuple(Side(name, (replace(facts, path=Path(name)),), ()) for name in ("a", "b"))
    return Comparison(sides, (), (pair,), (), seed, DRAWS)


def simulate(setting: Setting, repetitions: int, seed: int) -> Result:
    """Run a setting; with a drop, the first benchmark has it and the others have none."""
    began = time.perf_counter()
    rng = np.random.default_rng(seed)
    table = columns(setting)
    alarms = strict_alarms = fixed_alarms = found = covered = intervals = 0
    for repetition in range(repetitions):
        benchmarks = []
        for number in range(BENCHMARKS):
            a, b = two_runs(rng, setting, setting.drop if number == 0 else 0.0)
            shared = SharedSamples(f"task{number}", "strict", replace(table, values=a), replace(table, values=b), table)
            benchmarks.append(compare_benchmark(shared, Comparability(), seed=repetition, draws=DRAWS))
        comparison = comparison_of(benchmarks, repetition)
        verdict, strict = judge(comparison, POLICY), judge(comparison, NO_TOLERANCE)
        differences = [benchmark.headline.difference for benchmark in benchmarks]
        truths = [-setting.drop if number == 0 else 0.0 for number in range(BENCHMARKS)]
        unchanged = range(1 if setting.drop else 0, BENCHMARKS)
        alarms += any(verdict.benchmarks[number].state == "regression" for number in unchanged)
        strict_alarms += any(strict.benchmarks[number].state == "regression" for number in unchanged)
        fixed_alarms += any(differences[number].delta < -FIXED_GATE for number in unchanged)
        found += bool(setting.drop) and verdict.benchmarks[0].state == "regression"
        covered += sum(d.ci_low <= truth <= d.ci_high for d, truth in zip(differences, truths, strict=True))
        intervals += BENCHMARKS
    return Result(
        alarms, strict_alarms, fixed_alarms, found, covered, intervals, repetitions, time.perf_counter() - began
    )


def main() -> int:
    """Print the table; return 1 when a figure misses its mark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="400 repetitions of two settings.")
    parser.add_argument("--repetitions", type=int)
    options = parser.parse_args()
    repetitions = options.repetitions or (400 if options.quick else 1000)
    null = [Setting(CLUSTERS, size, flips) for flips in (0.02, 0.05) for size in (1, 2, 4)]
    if options.quick:
        null = [Setting(CLUSTERS, 1, 0.05), Setting(CLUSTERS, 4, 0.05)]
    drops = [Setting(4000, 1, flips, DROP) for flips in ((0.05,) if options.quick else (0.02, 0.05))]
    missed = []
    covered = intervals = 0
    print(
        f"{BENCHMARKS} benchmarks, {DRAWS} draws; family false alarms of: this gate / the same with no tolerance / a fixed gate at 1 point; coverage of 95 % intervals"
    )
    for number, setting in enumerate(null):
        result = simulate(setting, repetitions, seed=number)
        rate = result.alarms / repetitions
        slack = 2 * math.sqrt(0.05 * 0.95 / repetitions)
        coverage = result.covered / result.intervals
        covered, intervals = covered + result.covered, intervals + result.intervals
        print(
            f"{setting.clusters} clusters of {setting.size}, {setting.flips:.0%} flips, no change, {repetitions} times: "
            f"false alarms {rate:.1%} (limit 5 % + {slack:.1%}) / {result.strict_alarms / repetitions:.1%} / {result.fixed_alarms / repetitions:.1%}; "
            f"coverage {coverage:.1%}; {result.seconds:.0f} s"
        )  # fmt: skip
        sys.stdout.flush()
        rate = max(rate, result.strict_alarms / repetitions)
        if rate > 0.05 + slack:
            missed.append(f"false alarms {rate:.1%} in {setting}")
    for number, setting in enumerate(drops):
        times = max(200, repetitions // 4)
        result = simulate(setting, times, seed=100 + number)
        power = result.found / times
        covered, intervals = covered + result.covered, intervals + result.intervals
        print(
            f"n = {setting.clusters}, {setting.flips:.0%} flips, one true drop of {DROP:.0%}, {times} times: found {power:.1%} "
            f"(at least 80 %); false alarms elsewhere {result.alarms / times:.1%}; coverage {result.covered / result.intervals:.1%}; "
            f"{result.seconds:.0f} s"
        )  # fmt: skip
        sys.stdout.flush()
        if power < 0.8:
            missed.append(f"found {power:.1%} in {setting}")
    coverage = covered / intervals
    print(f"coverage of all {intervals:,} intervals: {coverage:.2%} (95 ± 1.5 %)")
    if abs(coverage - 0.95) > 0.015:
        missed.append(f"coverage {coverage:.2%}")
    print("missed: " + "; ".join(missed) if missed else "every figure meets its mark")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
