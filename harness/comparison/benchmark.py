"""Compare one benchmark in two runs: its headline, further metrics, categories, and where the runs looked.

What the benchmark's metrics are stands in `harness/task_facts.py`; `harness/summary/measures.py` makes the numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from harness.comparison.columns import RunTable
from harness.comparison.grounding import ground
from harness.comparison.sample_differences import too_many_differ
from harness.comparison.values import (
    DEFAULT_CUT,
    FAULT_BITS,
    PARSE_FAULT_BITS,
    Benchmark,
    Comparability,
    Grounding,
    ScoreRow,
    SideFaults,
)
from harness.runs.native_metrics import NativeMetrics
from harness.stats.intervals import CodeArray, FloatArray
from harness.summary.counted_units import Units, earned_of, make_units
from harness.summary.means import NOTHING_SCORED
from harness.summary.measures import (
    ClusterSums,
    Measure,
    category_measures,
    column_measure,
    headline_measure,
    shared_values,
    task_measures,
)
from harness.summary.summary_values import MOST_UNEXPLAINED
from harness.task_facts import Earned, facts_of, is_native
from harness.values import Fault, Protocol

PLACE_METRICS = ("mean_iou", "acc@0.5")
"""Metrics of where a run looked; all others but `caption` and `format` are of its answers."""

_NOTHING_SHARED = "no sample is scored in both sides"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Samples of a task that are not compared."""

    only_a: int = 0
    """Only A has them."""
    only_b: int = 0
    """Only B has them."""
    differing: int = 0
    """Both have them, but not the same ones: gold, question, picture..."""
    fields: tuple[str, ...] = ()
    """What differs in those."""
    ids: tuple[str, ...] = ()
    """The first of those."""


@dataclass(frozen=True, slots=True)
class SharedSamples:
    """The shared samples of one task in two sides; columns in the same order."""

    task: str
    """Short task name."""
    protocol: Protocol
    """How the benchmark aggregates."""
    a: RunTable
    """The first side's columns."""
    b: RunTable
    """The second side's columns."""
    sample: RunTable
    """Whose sample columns (clusters, categories, gold) count: one of the two."""
    left_out: LeftOut = LeftOut()
    """What is not among them."""
    seeds: tuple[int, int] | None = None
    """Fix the draws of each side's own intervals, as those of its `scores.json`; None: the comparison's seed."""
    a_protocol: Protocol | None = None
    """How the first side's numbers are made where another protocol scored it; None: as the second's."""
    native: tuple[NativeMetrics, ...] = ()
    """lmms-eval's own aggregates of the first and of the second side, for a task that is its own."""


def compare_benchmark(
    shared: SharedSamples, comparability: Comparability, *, seed: int, draws: int, on_shared: bool = False
) -> Benchmark:
    """Compare one benchmark; where it is not comparable each side's scores stand, but nothing is subtracted.

    Args:
        shared: The samples of both sides.
        comparability: Whether numbers may be subtracted.
        seed: Fixes the draws.
        draws: Sign flips for each p.
        on_shared: Whether to subtract on the samples that both have alike even where others are left out.
    """
    if not on_shared:
        comparability = replace(comparability, reasons=(*comparability.reasons, *incomplete(shared)))
    maker = _RowMaker(shared, comparability, seed, draws, on_shared=on_shared)
    headline, *others = task_measures(
        shared.sample.samples(shared.task), facts_of(shared.task).metrics_of(shared.protocol)
    )
    own = {other.name for other in others}
    samples = make_units(shared.sample.samples(shared.task), "sample")
    return Benchmark(
        task=shared.task,
        comparability=comparability,
        shared=len(shared.a.ids),
        only_a=shared.left_out.only_a,
        only_b=shared.left_out.only_b,
        gold_differs=shared.left_out.differing,
        differing=shared.left_out.fields,
        headline=maker.answer_row(headline),
        metrics=(
            *(maker.answer_row(other) for other in others),
            *(row for row in _further_rows(shared, maker, samples) if row.metric not in {headline.name, *own}),
        ),
        categories=maker.category_rows(category_measures(headline)),
        l2_categories=maker.category_rows(category_measures(headline, second_level=True)),
        grounding=_grounding(shared, samples.clusters, seed),
    )


def headline_row(
    shared: SharedSamples, comparability: Comparability, *, seed: int, draws: int, on_shared: bool = False
) -> ScoreRow:
    """Return the change of a benchmark's headline alone; the arguments are those of `compare_benchmark`."""
    maker = _RowMaker(shared, comparability, seed, draws, on_shared=on_shared)
    metrics = facts_of(shared.task).metrics_of(shared.protocol)
    return maker.answer_row(headline_measure(shared.sample.samples(shared.task), metrics))


def incomplete(shared: SharedSamples) -> list[str]:
    """Say why the shared samples cannot stand for the benchmark: what is missing, other, or failed."""
    left_out, reasons = shared.left_out, list[str]()
    if left_out.only_a:
        reasons.append(f"the candidate lacks {left_out.only_a:,} of the baseline's samples")
    if left_out.only_b:
        reasons.append(f"the baseline lacks {left_out.only_b:,} of the candidate's samples")
    both = len(shared.a.ids) + left_out.differing
    if left_out.differing and not too_many_differ(left_out.differing, both, left_out.fields):
        shown = ", ".join(left_out.ids)
        more = "..." if left_out.differing > len(left_out.ids) else ""
        reasons.append(
            f"{left_out.differing:,} samples are not the same in both ({', '.join(left_out.fields)}): {shown}{more}"
        )
    for name, side in (("the baseline's", shared.a), ("the candidate's", shared.b)):
        # of several seeds each must hold by itself
        failures = [failure for run in side.runs if (failure := too_many_failed(name, run.faults))]
        reasons += failures[:1]
    return reasons


def too_many_failed(whose: str, faults: NDArray[np.uint32]) -> str | None:
    """Say that too many of a run's samples have no score without explanation to stand for the benchmark; else None.

    Args:
        whose: Whose samples they are, such as "the candidate's".
        faults: The faults of each sample as bits.
    """
    bits = np.uint32(FAULT_BITS["error"] | FAULT_BITS["judge_error"])
    failed = int((faults & bits != 0).sum())
    if failed <= MOST_UNEXPLAINED * len(faults):
        return None
    return (
        f"{failed:,} of {whose} {len(faults):,} samples could not be scored for an error of the model's or the judge's "
        "server"
    )


_MENDS: Mapping[Fault, str] = {
    "no_gold": "score it with the gold that the other was scored with",
    "needs_judge": "give both runs the same judge (--judge)",
    "judge_error": "ask the judge again (run --retry)",
    "frame_unknown": "declare --box-dialect",
    "error": "run it again",
}
"""What to do about each reason for which a sample has no score."""


def scored_once(shared: SharedSamples, column: Literal["values", "ious"]) -> tuple[str, ...]:
    """Say how many samples only one side has a score for; empty when every sample has one in both or in neither."""
    a, b = _known(shared, column)
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    if not (only_a or only_b):
        return ()
    told = (
        f"left out: {only_a:,} samples that only the baseline has a score for, {only_b:,} that only the candidate has"
    )
    return (told,)


def _known(shared: SharedSamples, column: Literal["values", "ious"]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    a, b = (side.ious if column == "ious" else side.values for side in (shared.a, shared.b))
    return np.isfinite(a), np.isfinite(b)


def _too_few_scored(shared: SharedSamples, column: Literal["values", "ious"]) -> str | None:
    """Say why the samples that both sides have a score for cannot stand for the rest; None when they can."""
    a, b = _known(shared, column)
    for missing, there, faults, who, other in (
        (a & ~b, a, shared.b.faults, "candidate", "baseline"),
        (b & ~a, b, shared.a.faults, "baseline", "candidate"),
    ):
        if int(missing.sum()) <= MOST_UNEXPLAINED * int(there.sum()):
            continue
        bits = faults[missing]
        named = {fault: mend for fault, mend in _MENDS.items() if (bits & np.uint32(FAULT_BITS[fault])).any()}
        why = f" ({', '.join(named)})" if named else ""
        return (
            f"the {who} has no score for {int(missing.sum()):,} of the {int(there.sum()):,} samples that the {other} "
            f"has one for{why}: {'; '.join(named.values() or [_MENDS['no_gold']])}"
        )
    return None


@dataclass(frozen=True, slots=True)
class HeadlineSums:
    """One task's headline in several runs as sums over the same clusters."""

    runs: tuple[ClusterSums, ...]
    """Sums of each run."""
    n: int
    """Samples (for MMBench questions) that count: scored in every run."""


def headline_sums(task: str, protocol: Protocol, runs: Sequence[RunTable]) -> HeadlineSums | str:
    """Return a task's headline in several runs on the units that all of them could score, or why there is none.

    There is none of a task of lmms-eval's own, whose aggregates are never made again on part of the samples.

    Args:
        task: Short task name.
        protocol: How the benchmark aggregates.
        runs: At least one, each the same samples of this task in the same order.
    """
    if is_native(task):
        return "lmms-eval's own scores are not ranked"
    sample = with_known_clusters(runs[0], runs[1:])
    measure = headline_measure(sample.samples(task), facts_of(task).metrics_of(protocol))
    if len(sample.ids) != measure.metric.full_rows:
        # A rank needs no scale: a count of right answers is ranked on part of its rows too.
        measure = replace(measure, metric=replace(measure.metric, full_rows=None))
    values = shared_values(measure.units, [[earned_in(run, measure)] for run in runs])
    scored = measure.scored(values[0])
    missing = measure.missing(scored)
    if missing == NOTHING_SCORED:
        return "no sample is scored in all of the runs"
    if missing is not None:
        return f"the benchmark's {measure.name} cannot be made of the samples that the runs share"
    return HeadlineSums(tuple(measure.sums(own[scored], scored) for own in values), measure.size(scored))


def earned_in(run: RunTable, measure: Measure) -> FloatArray:
    """Return what a run's samples give a measure."""
    return earned_of(measure.metric.earned, run.values, run.ious, run.said)


def with_known_clusters(table: RunTable, others: Sequence[RunTable]) -> RunTable:
    """Return the table with the coarsest clusters that it or any other table of the same samples knows.

    Predictions made elsewhere need not say which samples belong together; where another run says it, it holds for all.
    """
    known = min((table, *others), key=lambda one: len(set(one.clusters)))
    if len(set(known.clusters)) == len(set(table.clusters)):
        return table
    return replace(table, groups=known.groups, clusters=known.clusters, extras=known.extras)


def _further_rows(shared: SharedSamples, maker: _RowMaker, samples: Units) -> list[ScoreRow]:
    """Return the rows of places, captions and format, where both sides have any."""
    a, b = shared.a, shared.b
    columns: dict[str, tuple[FloatArray, FloatArray]] = {
        "mean_iou": (a.ious, b.ious),
        "acc@0.5": (_hits(a.ious), _hits(b.ious)),
        **{name: (a.components[name], b.components[name]) for name in ("caption", "format")},
    }
    return [
        maker.row(column_measure(name, samples), shared_values(samples, [[one], [other]]))
        for name, (one, other) in columns.items()
        if np.isfinite(one).any() and np.isfinite(other).any()
    ]


def _hits(ious: FloatArray) -> FloatArray:
    """Return 1 where the IoU reaches the default cut, NaN where there is none."""
    return np.where(np.isnan(ious), np.nan, (ious >= DEFAULT_CUT).astype(np.float64))


def _grounding(shared: SharedSamples, clusters: CodeArray, seed: int) -> Grounding | None:
    """Say where both sides looked; of several seeds the first, since the mean of two boxes' IoU is no place."""
    return ground(shared.a.runs[0], shared.b.runs[0], shared.sample, clusters, seed=seed)


class _RowMaker:
    """Makes the rows of one benchmark, all with the same seed, draws and reasons."""

    def __init__(
        self, shared: SharedSamples, comparability: Comparability, seed: int, draws: int, *, on_shared: bool
    ) -> None:
        self._shared = shared
        self._reason = "; ".join(comparability.reasons) or None
        columns: tuple[Literal["values", "ious"], ...] = ("values", "ious")
        self._too_few = {column: None if on_shared else _too_few_scored(shared, column) for column in columns}
        self._seed = seed
        self._seeds = shared.seeds or (seed, seed)
        self._draws = draws
        self._values: dict[tuple[int, Earned], list[FloatArray]] = {}
        self._own_of_a = _measures_of_a(shared)

    def answer_row(
        self, measure: Measure, category: str | None = None, places: NDArray[np.int64] | None = None
    ) -> ScoreRow:
        """Return the row of a measure of the answers; its arguments are those of `row`."""
        found = self.row(measure, self._answers(measure), category, places)
        own = self._own_of_a.get(measure.name) if category is None else None
        if own is None:
            return found
        number = own.number(self._answers(own)[0], seed=self._seeds[0])
        if number.value == found.a.value:
            return found
        reason = f"{self._shared.a_protocol} and {self._shared.protocol} put answers together in different ways"
        return replace(found, a=number, difference=None, reason=found.reason or reason)

    def _answers(self, measure: Measure) -> list[FloatArray]:
        """Return what each of a measure's units earned in either side."""
        key = (id(measure.units), measure.metric.earned)
        if key not in self._values:
            sides = [[earned_in(run, measure) for run in side.runs] for side in (self._shared.a, self._shared.b)]
            self._values[key] = shared_values(measure.units, sides)
        return self._values[key]

    def row(
        self,
        measure: Measure,
        values: Sequence[FloatArray],
        category: str | None = None,
        places: NDArray[np.int64] | None = None,
    ) -> ScoreRow:
        """Return one row.

        Args:
            measure: What to make of the units.
            values: What each unit earned in either side, from `shared_values`.
            category: Its category; None for the whole benchmark.
            places: The samples whose faults it shows; None for all.
        """
        a, b = values
        scored = measure.scored(a)
        missing = measure.missing(scored)
        of_both = measure.metric.earned == "answer_and_place"
        reason = self._reason or self._too_few["ious" if of_both or measure.name in PLACE_METRICS else "values"]
        reason = reason or (self._too_few["values"] if of_both else None)
        reason = reason or (_NOTHING_SHARED if missing == NOTHING_SCORED else missing)
        return ScoreRow(
            task=self._shared.task,
            category=category,
            metric=measure.name,
            scale=measure.scale,
            span=measure.span(len(scored)),
            a=measure.number(a, seed=self._seeds[0]),
            b=measure.number(b, seed=self._seeds[1]),
            difference=None if reason else measure.change(a, b, seed=self._seed, draws=self._draws),
            reason=reason,
            holm_p=None,
            q=None,
            a_faults=side_faults(self._shared.a, places),
            b_faults=side_faults(self._shared.b, places),
        )

    def category_rows(self, measures: Mapping[str, Measure]) -> tuple[ScoreRow, ...]:
        """Return one row per category, by name; none when there is only one category or none."""
        if len(measures) < 2:
            return ()
        return tuple(
            self.answer_row(measure, name, measure.units.samples_in(measure.counted))
            for name, measure in measures.items()
        )


def _measures_of_a(shared: SharedSamples) -> dict[str, Measure]:
    """Return the measures of the first side by name where its protocol makes numbers in another way; else none."""
    facts = facts_of(shared.task)
    metrics = facts.metrics_of(shared.a_protocol or shared.protocol)
    if metrics == facts.metrics_of(shared.protocol):
        return {}
    return {measure.name: measure for measure in task_measures(shared.sample.samples(shared.task), metrics)}


def side_faults(table: RunTable, places: NDArray[np.int64] | None = None) -> SideFaults:
    """Count what went wrong in a side's texts, at some places (None: all)."""
    faults = table.faults if places is None else table.faults[places]
    values = table.values if places is None else table.values[places]
    by_name: dict[Fault, int] = {fault: int((faults & np.uint32(bit) != 0).sum()) for fault, bit in FAULT_BITS.items()}
    return SideFaults(
        rows=len(values),
        parse=int((faults & np.uint32(PARSE_FAULT_BITS) != 0).sum()),
        truncated=by_name["truncated"],
        unscored=int(np.isnan(values).sum()),
        by_name={fault: count for fault, count in by_name.items() if count},
    )
