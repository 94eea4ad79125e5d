"""Rank stored runs on one task: by its headline, on the samples that all ranked runs hold with the same gold.

Ranked together are only runs of which each may be compared with each. The others stand apart: those that were asked or
scored in another way, those that hold other samples, which would shrink what everybody is ranked on, and those in which
too many samples could not be scored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from harness.comparison.benchmark import headline_sums, too_many_failed
from harness.comparison.columns import RunTable, read_run_table
from harness.comparison.comparability import asked_apart, task_comparability
from harness.comparison.sample_differences import PartCodes, any_differs, differing_parts, sample_parts, too_many_differ
from harness.runs.store import StoredRun
from harness.stats.intervals import CodeArray
from harness.stats.ranks import RunRank, rank_sums
from harness.summary.measures import ClusterSums

FEWEST_RANKED_CLUSTERS = 15
"""With fewer clusters there is no ranking: too few."""

LEAST_SHARED = 0.99
"""Two runs that share less than this part of the samples of the larger one are not ranked together."""

LEAST_SCORED = 0.5
"""Nor are those that have both scored less than this part of what the one that scored more has scored."""


@dataclass(frozen=True, slots=True)
class TaskRanks:
    """Where runs stand on a task; tuples have one place per run."""

    ranks: tuple[RunRank | None, ...]
    """None for a run that stands apart, and for all when there is no ranking."""
    apart: tuple[tuple[str, ...], ...]
    """Why a run is not to be compared with those that are ranked; empty when it is."""
    n: int
    """Samples (for MMBench questions) that the ranking stands on; 0 without one."""
    reason: str | None
    """Why there is no ranking; None where there is one."""


@dataclass(frozen=True, slots=True)
class _Samples:
    """One run's samples of a task; arrays have one place for each id that any of the runs has."""

    run: StoredRun
    """The run."""
    places: CodeArray
    """Place in the run's table; -1 where the run has no such sample."""
    scored: NDArray[np.bool_]
    """Whether its answer has a score."""
    parts: Mapping[str, CodeArray]
    """What enters prompts and scores, as `sample_parts` has it; 0 where the run has no such sample or part."""
    failure: str | None
    """Why the run cannot be ranked with any other; None where it can."""

    @property
    def held(self) -> NDArray[np.bool_]:
        """Whether the run has the sample."""
        return self.places >= 0


def read_tables(runs: Sequence[StoredRun]) -> list[RunTable]:
    """Return the columns of runs under their first scores.

    Raises:
        IncompleteError: A run is not finished, or its table cannot be read.
    """
    return [read_run_table(run) for run in runs]


def rank_task(task: str, runs: Sequence[StoredRun], tables: Sequence[RunTable], *, seed: int) -> TaskRanks:
    """Rank the largest group of runs that may be compared pair by pair; the others stand apart, with the reason.

    Args:
        task: Short task name.
        runs: The runs, all with this task; their order decides between groups that are alike in everything else.
        tables: Their columns.
        seed: Fixes the draws.
    """
    samples = _samples(task, runs, tables)
    group = _largest_group(task, samples)
    apart = tuple(() if n in group else _why_apart(task, samples, group, n) for n in range(len(runs)))
    if len(group) < 2:
        return _unranked(apart, "fewer than two runs that may be compared")
    shared = np.flatnonzero(_shared_by_all([samples[n] for n in group]))
    taken = [tables[n].take(samples[n].places[shared]) for n in group]
    found = headline_sums(task, runs[group[0]].manifest.protocol, taken)
    if isinstance(found, str):
        return _unranked(apart, found)
    first = found.runs[0]
    if reason := _too_little(first):
        return _unranked(apart, reason)
    sums = [one.rows for one in found.runs]
    ranks = dict(zip(group, rank_sums(sums, first.combine, seed=seed, strata=first.strata), strict=True))
    return TaskRanks(tuple(ranks.get(place) for place in range(len(runs))), apart, found.n, None)


def _too_little(found: ClusterSums) -> str | None:
    """Return why the samples that all runs share do not carry a ranking; None when they do."""
    clusters = len(found.rows)
    if clusters < FEWEST_RANKED_CLUSTERS:
        return f"the runs share {clusters:,} clusters of samples: a ranking needs {FEWEST_RANKED_CLUSTERS}"
    if found.strata is None:
        return None
    images = np.bincount(found.strata)
    single = int((images == 1).sum())
    if not single:
        return None
    # a draw leaves one image of each subtask out: nothing would be left
    has = "has" if single == 1 else "have"
    return f"{single} of {len(images)} subtasks {has} a single image that all runs could score: a ranking needs two"


def _unranked(apart: tuple[tuple[str, ...], ...], reason: str) -> TaskRanks:
    return TaskRanks((None,) * len(apart), apart, 0, reason)


# --- who may stand together ---------------------------------------------------------------------------------------


def _largest_group(task: str, samples: Sequence[_Samples]) -> list[int]:
    """Return the places of the largest group that is found of runs that may be compared pair by pair, in their order.

    A group is grown from each run in turn: the very largest is only to be had by trying all subsets. Predictions made
    elsewhere join last, as most go with runs that don't go with each other. Of groups of one size that with fewer of
    them is taken, then that with more samples, then that of the run that comes first.
    """
    count = len(samples)
    fit = [n for n, one in enumerate(samples) if one.failure is None]
    if not fit:
        return []
    alike = np.eye(count, dtype=np.bool_)
    for one, other in combinations(fit, 2):
        alike[one, other] = alike[other, one] = not _reasons(task, samples[one], samples[other])
    friends = alike.sum(axis=1)
    elsewhere = [one.run.manifest.predictions_only for one in samples]
    held = [int(one.held.sum()) for one in samples]
    order = sorted(fit, key=lambda n: (elsewhere[n], -int(friends[n])))
    groups = [_grown(first, order, alike) for first in fit]
    return sorted(
        max(groups, key=lambda group: (len(group), -sum(elsewhere[n] for n in group), max(held[n] for n in group)))
    )


def _grown(first: int, order: Sequence[int], alike: NDArray[np.bool_]) -> list[int]:
    """Return a group that a run leads: those that are alike with it and with all that joined before."""
    group = [first]
    welcome = alike[first]
    for n in order:
        if n != first and welcome[n]:
            group.append(n)
            welcome = welcome & alike[n]
    return group


def _why_apart(task: str, samples: Sequence[_Samples], group: Sequence[int], outsider: int) -> tuple[str, ...]:
    """Return what keeps a run out of a group: its own failures, else the reasons against the first of its runs."""
    if failure := samples[outsider].failure:
        return (failure,)
    return next(reasons for n in group if (reasons := _reasons(task, samples[n], samples[outsider])))


def _reasons(task: str, one: _Samples, other: _Samples) -> tuple[str, ...]:
    """Return why two runs may not be compared on a task; empty when they may."""
    return _asked_otherwise(task, one.run, other.run) or _sharing(one, other)


def _asked_otherwise(task: str, one: StoredRun, other: StoredRun) -> tuple[str, ...]:
    """Return what differs in how two runs were asked and scored."""
    reasons = tuple(asked_apart(one.manifest, other.manifest))
    a, b = one.manifest.tasks.get(task), other.manifest.tasks.get(task)
    if a is None or b is None:
        return reasons
    elsewhere = one.manifest.predictions_only or other.manifest.predictions_only
    return reasons + task_comparability(a, b, elsewhere=elsewhere).reasons


def _sharing(one: _Samples, other: _Samples) -> tuple[str, ...]:
    """Return why the samples of two runs are not the same benchmark; empty when they are."""
    both = one.held & other.held
    shared, most = int(both.sum()), max(int(one.held.sum()), int(other.held.sum()))
    if shared < LEAST_SHARED * most:
        return (f"it shares {shared:,} of {most:,} samples with the rest of the column",)
    differing = differing_parts(one.parts, other.parts)
    differs = int(any_differs(differing, len(both)).sum())
    if many := too_many_differ(differs, shared, [name for name, found in differing.items() if found.any()]):
        return (many,)
    scored, most = int((one.scored & other.scored).sum()), max(int(one.scored.sum()), int(other.scored.sum()))
    if scored < LEAST_SCORED * most:
        return (f"it shares {scored:,} of {most:,} samples that could be scored with the rest of the column",)
    return ()


def _shared_by_all(samples: Sequence[_Samples]) -> NDArray[np.bool_]:
    """Tell for each id whether every run has it, and no two of them another one."""
    shared = np.logical_and.reduce([one.held for one in samples])
    for one, other in combinations({id(one.parts): one for one in samples}.values(), 2):
        shared &= ~any_differs(differing_parts(one.parts, other.parts), len(shared))
    return shared


# --- the samples of each ------------------------------------------------------------------------------------------


def _samples(task: str, runs: Sequence[StoredRun], tables: Sequence[RunTable]) -> list[_Samples]:
    members = [_members(table, task) for table in tables]
    ids = {name: place for place, name in enumerate(dict.fromkeys(name for own in members for name in own))}
    codes = PartCodes()
    known: dict[tuple[tuple[str, bytes], ...], Mapping[str, CodeArray]] = {}
    found: list[_Samples] = []
    for run, table, own in zip(runs, tables, members, strict=True):
        one = _samples_of(run, table, own, ids, codes)
        # one value for all runs that ask the same, so that pairs of them need no look at the samples
        parts = known.setdefault(tuple((name, part.tobytes()) for name, part in one.parts.items()), one.parts)
        found.append(replace(one, parts=parts))
    return found


def _members(table: RunTable, task: str) -> dict[str, int]:
    """Return the place of each sample of a task, by id."""
    return {name: place for place, (own, name) in enumerate(zip(table.tasks, table.ids, strict=True)) if own == task}


def _samples_of(
    run: StoredRun, table: RunTable, members: Mapping[str, int], ids: Mapping[str, int], codes: PartCodes
) -> _Samples:
    """Return a run's samples; parts that have no code yet are given one."""
    own = np.fromiter(members.values(), dtype=np.int64, count=len(members))
    columns = np.fromiter((ids[name] for name in members), dtype=np.int64, count=len(members))

    def spread(values: CodeArray, missing: int) -> CodeArray:
        found = np.full(len(ids), missing, dtype=np.int64)
        found[columns] = values
        return found

    scored = spread(np.isfinite(table.values[own]).astype(np.int64), 0) != 0
    # parts that no sample carries would only take room
    parts = {name: spread(part, 0) for name, part in sample_parts(table, own, codes).items() if part.any()}
    return _Samples(run, spread(own, -1), scored, parts, too_many_failed("its", table.faults[own]))
