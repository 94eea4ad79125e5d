"""Rank stored runs on one task: by its headline, on the samples that all of them hold with the same gold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.benchmark_rows import headline_sums
from harness.ranks import RunRank, rank_sums
from harness.run_store import StoredRun
from harness.run_table import RunTable, read_run_table

FEWEST_RANKED_CLUSTERS = 15
"""With fewer clusters there is no ranking: too few."""


def read_tables(runs: Sequence[StoredRun]) -> list[RunTable]:
    """Return the columns of runs under their first scores.

    Raises:
        IncompleteError: A run is not finished, or its table cannot be read.
    """
    return [read_run_table(run) for run in runs]


def rank_task(task: str, runs: Sequence[StoredRun], tables: Sequence[RunTable], *, seed: int) -> list[RunRank] | None:
    """Rank runs that may be compared on a task.

    Args:
        task: Short task name.
        runs: The runs, all with this task and under one protocol.
        tables: Their columns.
        seed: Fixes the draws.

    Returns:
        One rank per run, in their order; None with fewer than two runs, or too few clusters that all share.
    """
    if len(runs) < 2:
        return None
    places = [_places(table, task) for table in tables]
    shared = [key for key, place in places[0].items() if _same_everywhere(key, place, places, tables)]
    taken = [
        table.take(np.array([own[key] for key in shared], dtype=np.int64))
        for table, own in zip(tables, places, strict=True)
    ]
    found = headline_sums(task, runs[0].manifest.protocol, taken) if shared else None
    if found is None or len(found.sums[0]) < FEWEST_RANKED_CLUSTERS:
        return None
    return rank_sums(found.sums, found.combine, seed=seed, strata=found.strata)


def _places(table: RunTable, task: str) -> dict[str, int]:
    return {name: place for place, (own, name) in enumerate(zip(table.tasks, table.ids, strict=True)) if own == task}


def _same_everywhere(key: str, first: int, places: Sequence[dict[str, int]], tables: Sequence[RunTable]) -> bool:
    """Tell whether every run has the sample, with the gold of the first."""
    return all(
        key in own
        and table.answers[own[key]] == tables[0].answers[first]
        and table.gold_boxes_image_px[own[key]] == tables[0].gold_boxes_image_px[first]
        for table, own in zip(tables, places, strict=True)
    )
