"""Simulate how often the 95 % intervals of means and of changes hold the truth, from two clusters up.

    python -P tests/bench/bench_intervals.py              2,000 draws of each setting, as Markdown tables
    python -P tests/bench/bench_intervals.py --quick      400, of means and changes over up to 10 clusters

Right-or-wrong values in clusters: each cluster has a chance of its own to be right, drawn from a beta distribution of
mean p and the intra-cluster correlation given (0: all clusters have the chance p; 1: all answers of a cluster agree).
Changes: each cluster has chances of its own to rise, fall or stay, drawn from a Dirichlet distribution. All go through
`mean_interval` and `paired_difference`, the code that every table and page uses. Exits 1 when a coverage is below 93 %
by more than two standard errors.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from harness.intervals import mean_interval
from harness.paired import paired_difference

Sizes: TypeAlias = NDArray[np.int64]
"""Samples of each cluster."""

AT_LEAST = 0.93
CLUSTERS = (2, 3, 5, 10, 20, 30, 50)
QUICK_CLUSTERS = (2, 3, 5, 10)
CORRELATIONS = (0.0, 0.3, 1.0)
ACCURACIES = (0.5, 0.7, 0.95)
CHANGES = ((0.1, 0.1), (0.3, 0.1), (0.2, 0.0), (0.05, 0.0))
"""Shares of samples that rise and that fall."""


def alone(clusters: int) -> Sizes:
    """Return clusters of one sample."""
    return np.ones(clusters, dtype=np.int64)


def fours(clusters: int) -> Sizes:
    """Return clusters of 4 samples."""
    return np.full(clusters, 4)


def twenties(clusters: int) -> Sizes:
    """Return clusters of 20 samples."""
    return np.full(clusters, 20)


def rising(clusters: int) -> Sizes:
    """Return clusters of 1 to 19 samples in even steps."""
    return np.round(np.linspace(1, 19, clusters)).astype(np.int64)


def one_half(clusters: int) -> Sizes:
    """Return clusters of 4 samples and one that has half of all."""
    return np.append(np.full(clusters - 1, 4), 4 * (clusters - 1))


SHAPES: dict[str, Callable[[int], Sizes]] = {
    "1 each": alone,
    "4 each": fours,
    "20 each": twenties,
    "1 to 19": rising,
    "one has half": one_half,
}


@dataclass(frozen=True)
class Coverage:
    """How many intervals hold the truth."""

    held: int
    """Intervals that do."""
    drawn: int
    """All."""
    width: float
    """Their mean width."""

    @property
    def share(self) -> float:
        """Share that does."""
        return self.held / self.drawn

    @property
    def error(self) -> float:
        """Standard error of the share."""
        return math.sqrt(self.share * (1 - self.share) / self.drawn)


def mean_coverage(sizes: Sizes, correlation: float, accuracy: float, draws: int, seed: int) -> Coverage:
    """Return the coverage of the interval of a mean."""
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(len(sizes)), sizes)
    held, width = 0, 0.0
    for _ in range(draws):
        chances = np.full(len(sizes), accuracy)
        if correlation == 1:
            chances = (rng.random(len(sizes)) < accuracy).astype(np.float64)
        elif correlation:
            spread = (1 - correlation) / correlation
            chances = rng.beta(accuracy * spread, (1 - accuracy) * spread, size=len(sizes))
        values = (rng.random(len(codes)) < chances[codes]).astype(np.float64)
        found = mean_interval(values, codes)
        held += found is not None and found.low <= accuracy <= found.high
        width += 0.0 if found is None else found.high - found.low
    return Coverage(held, draws, width / draws)


def change_coverage(sizes: Sizes, correlation: float, change: tuple[float, float], draws: int, seed: int) -> Coverage:
    """Return the coverage of the interval of a change between two runs."""
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(len(sizes)), sizes)
    rise, fall = change
    chances = np.array([rise, fall, 1 - rise - fall])
    held, width = 0, 0.0
    for _ in range(draws):
        of_cluster = np.tile(chances, (len(sizes), 1))
        if correlation == 1:
            of_cluster = rng.multinomial(1, chances, size=len(sizes)).astype(np.float64)
        elif correlation:
            parts = rng.gamma(chances * (1 - correlation) / correlation, size=of_cluster.shape)
            of_cluster = parts / parts.sum(axis=1, keepdims=True)
        drawn, still = rng.random(len(codes)), rng.random(len(codes)) < 0.6
        rose = drawn < of_cluster[codes, 0]
        fell = ~rose & (drawn < of_cluster[codes, 0] + of_cluster[codes, 1])
        a, b = np.where(rose | fell, fell, still), np.where(rose | fell, rose, still)
        found = paired_difference(a.astype(np.float64), b.astype(np.float64), codes, seed=0, draws=1)
        low, high = found.ci_low, found.ci_high
        held += low is not None and high is not None and low <= rise - fall + 1e-12 and rise - fall - 1e-12 <= high
        width += 0.0 if low is None or high is None else high - low
    return Coverage(held, draws, width / draws)


def table(
    title: str,
    columns: Sequence[str],
    coverage_of: Callable[[Sizes, float, int], Coverage],
    clusters: Sequence[int],
) -> int:
    """Print one Markdown table; return how many figures miss the mark."""
    missed = 0
    print(f"\n### {title}\n\n| clusters | sizes | correlation | {' | '.join(columns)} |")
    print("|---|---|---|" + "---|" * len(columns))
    for count in clusters:
        for shape, sizes_of in SHAPES.items():
            for correlation in CORRELATIONS[:1] if shape == "1 each" else CORRELATIONS:
                cells = [coverage_of(sizes_of(count), correlation, place) for place in range(len(columns))]
                missed += sum(cell.share + 2 * cell.error < AT_LEAST for cell in cells)
                texts = [f"{100 * c.share:.1f} ± {100 * c.error:.1f} (width {c.width:.2f})" for c in cells]
                print(f"| {count} | {shape} | {correlation:g} | {' | '.join(texts)} |", flush=True)
    return missed


def main() -> int:
    """Print the tables; return 1 when a figure misses its mark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="400 draws, up to 10 clusters.")
    parser.add_argument("--draws", type=int)
    parser.add_argument("--only", choices=("means", "changes"))
    parser.add_argument("--clusters", type=int, nargs="+", help="Only so many clusters.")
    options = parser.parse_args()
    draws = options.draws or (400 if options.quick else 2000)
    clusters = options.clusters or (QUICK_CLUSTERS if options.quick else CLUSTERS)
    missed = 0
    if options.only != "changes":
        missed += table(
            f"Means: coverage in %, {draws:,} draws",
            [f"p = {accuracy:g}" for accuracy in ACCURACIES],
            lambda sizes, correlation, place: mean_coverage(sizes, correlation, ACCURACIES[place], draws, seed=place),
            clusters,
        )
    if options.only != "means":
        missed += table(
            f"Changes: coverage in %, {draws:,} draws",
            [f"{rise:.0%} rise, {fall:.0%} fall" for rise, fall in CHANGES],
            lambda sizes, correlation, place: change_coverage(sizes, correlation, CHANGES[place], draws, seed=place),
            clusters,
        )
    verdict = f"{missed} figures are" if missed else "no figure is"
    print(f"\n{verdict} below {AT_LEAST:.0%} by more than two standard errors")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
