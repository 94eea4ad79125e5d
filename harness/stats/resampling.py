"""Draw what chance could have made of clusters: bootstrap sums, and sums under flipped signs.

A statistic of a run is a function of sums over its clusters (a mean is sum / size; F1 is made of three counts; MME's
total of a sum and a size per subtask). So all resampling comes down to drawing sums of rows of a matrix with one row
per cluster. Most clusters look alike (right in both runs, wrong in both), so equal rows are drawn together, as counts:
one multinomial or binomial number in place of thousands of single draws. The distribution is the same.

Very many clusters of very many kinds (IoUs of 100,000 samples) are first put into `MOST_POOLS` pools at random, and
pools are drawn whole. That keeps the expected spread, and a sign-flip test stays exact: it uses fewer of the flips.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.stats.intervals import CodeArray, FloatArray, resampled_counts

BOOTSTRAP_DRAWS = 2000
"""Bootstrap draws: the ends of an interval need no more."""

FLIP_DRAWS = 9999
"""Draws of signs: the least p is 1 / 10,000."""

MOST_POOLS = 2048
"""Clusters of many kinds are pooled down to this many."""

_MOST_KINDS = 256
"""With more kinds of rows than this, counting single draws is faster than one multinomial of all kinds."""
_BYTE_SIGNS = 1.0 - 2.0 * ((np.arange(256)[:, None] >> np.arange(8)) & 1)
"""The eight signs that each byte stands for (256 x 8)."""
_CELLS_AT_ONCE = 100_000
"""Numbers in memory at one time: few enough for a processor's cache."""


@dataclass(frozen=True, slots=True)
class _Kinds:
    """Rows of a matrix, each different row once."""

    rows: FloatArray
    """The different rows (kinds x columns), in sorted order."""
    counts: CodeArray
    """How many rows of each kind there are."""


def bootstrap_sums(
    rows: FloatArray, *, seed: int, draws: int = BOOTSTRAP_DRAWS, strata: CodeArray | None = None
) -> FloatArray:
    """Return the column sums of bootstrap samples of the rows.

    Each sample has one row fewer than there are, which makes the spread of a mean unbiased (Rao and Wu 1988).

    Args:
        rows: One row per cluster (clusters x columns); at least two clusters in each stratum.
        seed: Fixes the draws.
        draws: How many samples.
        strata: A code per cluster; clusters are drawn within each code. None draws from all alike.

    Returns:
        draws x columns; a stratum's sums are not scaled up for the row that is missing, so ratios of sums are meant.

    Raises:
        ValueError: A stratum has fewer than two clusters, or lengths differ.
    """
    clusters = len(rows)
    codes = np.zeros(clusters, dtype=np.int64) if strata is None else strata
    if len(codes) != clusters:
        raise ValueError(f"{len(codes)} stratum codes do not fit {clusters} clusters: give one code per cluster")
    sums = np.zeros((draws, rows.shape[1]))
    rng = np.random.default_rng(seed)
    for code in np.unique(codes):
        sums += _stratum_sums(rows[codes == code], rng, draws)
    return sums


def flipped_sums(changes: FloatArray, *, seed: int, draws: int = FLIP_DRAWS) -> FloatArray:
    """Return the column sums of the rows when each row's sign is drawn by a fair coin.

    Args:
        changes: One row per cluster (clusters x columns); rows of zeros change nothing.
        seed: Fixes the draws.
        draws: How many sums.

    Returns:
        draws x columns; zeros where there is no row.
    """
    changed = changes[np.any(changes != 0, axis=1)]
    if not len(changed):
        return np.zeros((draws, changes.shape[1]))
    rng = np.random.default_rng(seed)
    kinds = _kinds(_first_sign_up(changed))
    if len(kinds.rows) > _MOST_KINDS:
        return _flipped_rows(_pooled(changed, rng), rng, draws)
    ups = rng.binomial(kinds.counts, 0.5, size=(draws, len(kinds.counts)))
    return (2.0 * ups - kinds.counts) @ kinds.rows


def _stratum_sums(rows: FloatArray, rng: np.random.Generator, draws: int) -> FloatArray:
    """Return the sums of bootstrap samples of one stratum."""
    clusters = len(rows)
    if clusters < 2:
        raise ValueError("a bootstrap needs at least two clusters in each stratum")
    kinds = _kinds(rows)
    if len(kinds.rows) <= _MOST_KINDS:
        counts = rng.multinomial(clusters - 1, kinds.counts / clusters, size=draws)
        return counts.astype(np.float64) @ kinds.rows
    pools = _pooled(rows, rng)
    return np.concatenate([counts @ pools for counts in resampled_counts(len(pools), rng, draws)])


def _flipped_rows(changed: FloatArray, rng: np.random.Generator, draws: int) -> FloatArray:
    """Return sums under random signs, eight rows at a time: a random byte picks one of 256 sums made beforehand."""
    blocks = -(-len(changed) // 8)
    padded = np.zeros((blocks * 8, changed.shape[1]))
    padded[: len(changed)] = changed
    sums = np.zeros((draws, changed.shape[1]))
    columns = np.flatnonzero(np.any(changed != 0, axis=0)).tolist()
    # Per column: what each byte makes of each block of eight rows (blocks x 256), end to end.
    tables = {column: (padded[:, column].reshape(blocks, 8) @ _BYTE_SIGNS.T).ravel() for column in columns}
    offsets = np.arange(0, blocks * 256, 256)
    step = max(1, _CELLS_AT_ONCE // blocks)
    for start in range(0, draws, step):
        picked = rng.integers(0, 256, size=(min(step, draws - start), blocks), dtype=np.uint8) + offsets
        for column, table in tables.items():
            sums[start : start + step, column] = table.take(picked).sum(axis=1)
    return sums


def _pooled(rows: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Add rows up in at most `MOST_POOLS` pools of equal size (but for one row), put together by chance."""
    if len(rows) <= MOST_POOLS:
        return rows
    starts = np.linspace(0, len(rows), MOST_POOLS, endpoint=False).astype(np.int64)
    return np.add.reduceat(rows[rng.permutation(len(rows))], starts, axis=0)


def _kinds(rows: FloatArray) -> _Kinds:
    """Return each different row once, with how often it comes."""
    ordered = rows[np.lexsort(rows.T)]
    starts = np.flatnonzero(np.append(True, np.any(ordered[1:] != ordered[:-1], axis=1)))
    return _Kinds(ordered[starts], np.diff(np.append(starts, len(rows))))


def _first_sign_up(rows: FloatArray) -> FloatArray:
    """Return the rows with their sign turned so that the first number that is not 0 is positive."""
    first = np.take_along_axis(rows, np.argmax(rows != 0, axis=1)[:, None], axis=1)
    return rows * np.sign(first)
