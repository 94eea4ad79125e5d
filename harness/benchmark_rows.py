"""Compare one benchmark in two runs: its headline, further metrics, categories, and where the runs looked.

A metric here is sums over clusters and a way to combine them, so that a resampled benchmark is aggregated as the
benchmark itself does: MME adds subtask means, MMStar under `lmms-eval` averages means, MMBench counts questions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from harness.comparison import (
    DEFAULT_CUT,
    FAULT_BITS,
    PARSE_FAULT_BITS,
    Benchmark,
    Comparability,
    Grounding,
    Scale,
    ScoreRow,
    SideFaults,
    SideScore,
)
from harness.grounding import PlacedAnswers, ground
from harness.intervals import (
    CodeArray,
    FloatArray,
    Interval,
    bootstrap_interval,
    cluster_codes,
    mean_interval,
    sum_of_means_interval,
)
from harness.paired import Combine, PairedDifference, PairedSums, Units, paired_difference, paired_statistic
from harness.run_summary import MOST_UNEXPLAINED
from harness.run_table import TASKS_WITH_EXTRA, RunTable, picked
from harness.sample_differences import too_many_differ
from harness.summary import MME_COGNITION, MME_PERCEPTION, OCRBENCH_ROWS, ScoredRow, answer_units
from harness.values import Components, Fault, Protocol, Sample, Score

PLACE_METRICS = ("mean_iou", "acc@0.5")
"""Metrics of where a run looked; all others but `caption` and `format` are of its answers."""

_MME_SUBTASK_MAXIMUM = 200.0
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
    clusters: CodeArray
    """Code of each sample's cluster."""
    left_out: LeftOut = LeftOut()
    """What is not among them."""


@dataclass(frozen=True, slots=True)
class _Units:
    """What a metric counts, in both sides; arrays and tuples have one place per unit."""

    a: FloatArray
    """Values of A; NaN when unscored."""
    b: FloatArray
    """Values of B."""
    clusters: CodeArray
    """Units with the same code are not independent."""
    categories: tuple[tuple[str, ...], ...]
    """Categories of each unit; empty where no category is asked for."""
    l2_categories: tuple[tuple[str, ...], ...]
    """Second-level categories of each unit; empty likewise."""
    kind: Literal["sample", "question", "image"] = "sample"
    """Whether a unit is a sample, an MMBench question with its passes, or an MME image with its two questions."""
    refusal: str | None = None
    """Why the benchmark's own headline cannot be made of the samples; None when it can."""

    def take(self, places: NDArray[np.int64]) -> _Units:
        """Return the units at some places."""
        return replace(
            self,
            a=self.a[places],
            b=self.b[places],
            clusters=self.clusters[places],
            categories=picked(self.categories, places) if self.categories else (),
            l2_categories=picked(self.l2_categories, places) if self.l2_categories else (),
        )

    def of_categories(self, names: Sequence[str]) -> _Units:
        """Return the units of some categories."""
        return self.take(np.array([n for n, own in enumerate(self.categories) if own[0] in names], dtype=np.int64))

    @property
    def bounds(self) -> tuple[float, float]:
        """Least and greatest value of a unit."""
        return (0.0, _MME_SUBTASK_MAXIMUM) if self.kind == "image" else (0.0, 1.0)

    @property
    def scored(self) -> _Units:
        """The units that both sides could score."""
        both = np.isfinite(self.a) & np.isfinite(self.b)
        return self if both.all() else self.take(np.flatnonzero(both))


@dataclass(frozen=True, slots=True)
class _Metric:
    """A metric's name and how it is made of units."""

    name: str
    """As in `scores.json`."""
    scale: Scale
    """How to show it."""
    parts: str = "none"
    """`none`: the mean over units; `categories`: the sum of the categories' means (MME), drawn within categories;
    `l2_categories`: the mean of the l2 categories' means (MMStar under `lmms-eval`)."""
    factor: float = 1.0
    """Multiplies the result: 1000 for OCRBench's score."""
    refusal: str | None = None
    """Why it cannot be given, as `scores.json` says; None when it can."""


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
        comparability = replace(comparability, reasons=(*comparability.reasons, *_incomplete(shared)))
    maker = _RowMaker(shared, comparability, seed, draws, on_shared=on_shared)
    units = _answer_units(shared)
    headline, *others = _answer_metrics(shared, units)
    return Benchmark(
        task=shared.task,
        comparability=comparability,
        shared=len(shared.a.ids),
        only_a=shared.left_out.only_a,
        only_b=shared.left_out.only_b,
        gold_differs=shared.left_out.differing,
        differing=shared.left_out.fields,
        headline=maker.row(*headline),
        metrics=(*(maker.row(*other) for other in others), *_further_rows(shared, maker)),
        categories=maker.category_rows(_category_metric(headline[0], units), units, units.categories),
        l2_categories=maker.category_rows(_l2_metric(headline[0], units), units, units.l2_categories),
        grounding=_grounding(shared, seed),
    )


def _incomplete(shared: SharedSamples) -> list[str]:
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
    "no_gold": "score it with the gold that the baseline was scored with",
    "needs_judge": "give both runs the same judge (--judge)",
    "judge_error": "ask the judge again (run --retry)",
    "frame_unknown": "declare --box-frame",
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
    missing = a & ~b
    if int(missing.sum()) <= MOST_UNEXPLAINED * int(a.sum()):
        return None
    bits = shared.b.faults[missing]
    faults = {fault: mend for fault, mend in _MENDS.items() if (bits & np.uint32(FAULT_BITS[fault])).any()}
    why = f" ({', '.join(faults)})" if faults else ""
    mends = faults.values() or [_MENDS["no_gold"]]
    return (
        f"the candidate has no score for {int(missing.sum()):,} of the {int(a.sum()):,} samples that the baseline "
        f"has one for{why}: {'; '.join(mends)}"
    )


@dataclass(frozen=True, slots=True)
class HeadlineSums:
    """One task's headline in several runs as sums over the same clusters."""

    sums: tuple[FloatArray, ...]
    """Per run clusters x columns."""
    combine: Combine
    """Makes the headline of column sums."""
    strata: CodeArray | None
    """A code per cluster, within which clusters are drawn; None draws from all alike."""
    n: int
    """Units that count: scored in every run."""


def headline_sums(task: str, protocol: Protocol, runs: Sequence[RunTable]) -> HeadlineSums | None:
    """Return a task's headline in several runs on the units that all of them could score; None without any.

    Args:
        task: Short task name.
        protocol: How the benchmark aggregates.
        runs: At least one, each the same samples of this task in the same order.
    """
    sample = with_known_clusters(runs[0], runs[1:])
    clusters = cluster_codes(sample.clusters)
    shared = [SharedSamples(task, protocol, runs[0], run, sample, clusters) for run in runs]
    units = [_answer_units(pair) for pair in shared]
    scored = np.flatnonzero(np.isfinite(np.array([one.b for one in units])).all(axis=0))
    metric = _answer_metrics(shared[0], units[0])[0][0]
    if not len(scored) or metric.refusal:
        return None
    made = [_sums(metric, one, one.b, _part_codes(metric, one)) for one in (every.take(scored) for every in units)]
    return HeadlineSums(tuple(sums for sums, _, _ in made), made[0][1], made[0][2], len(scored))


def with_known_clusters(table: RunTable, others: Sequence[RunTable]) -> RunTable:
    """Return the table with the coarsest clusters that it or any other table of the same samples knows.

    Predictions made elsewhere need not say which samples belong together; where another run says it, it holds for all.
    """
    known = min((table, *others), key=lambda one: len(set(one.clusters)))
    if len(set(known.clusters)) == len(set(table.clusters)):
        return table
    return replace(table, groups=known.groups, clusters=known.clusters, extras=known.extras)


def _answer_units(shared: SharedSamples) -> _Units:
    """Return what the headline counts; the samples where the benchmark's own units cannot be made of them.

    Several seeds of a side are aggregated one by one and then averaged: the mean of two answers to one pass of an
    MMBench question is no answer.
    """
    task = shared.task
    rows = _row_units(shared, shared.a.values, shared.b.values, named=True)
    if task not in TASKS_WITH_EXTRA and not task.startswith("mmbench_"):
        return rows
    a, b = (
        [answer_units(task, _scored_rows(shared, run.values), shared.protocol) for run in side.runs]
        for side in (shared.a, shared.b)
    )
    first = a[0]
    assert all(one.clusters == first.clusters for one in (*a, *b)), "units follow from the samples alone"
    if first.refusal:
        return replace(rows, refusal=first.refusal)
    kind = "image" if task == "mme" else "question" if task.startswith("mmbench_") else "sample"
    return _Units(
        a=_mean([one.values for one in a]),
        b=_mean([one.values for one in b]),
        # an image is drawn within its subtask, as `scores.json` has it, also where two subtasks use one name
        clusters=np.arange(len(first.clusters)) if kind == "image" else cluster_codes(first.clusters),
        categories=first.categories,
        l2_categories=first.l2_categories,
        kind=kind,
    )


def _mean(seeds: Sequence[FloatArray]) -> FloatArray:
    """Return the mean of several seeds' values, NaN where any of them has none."""
    return np.array(seeds, dtype=np.float64).sum(axis=0) / len(seeds)


def _row_units(shared: SharedSamples, a: FloatArray, b: FloatArray, *, named: bool = False) -> _Units:
    """Return the samples as units, with their categories if asked."""
    names = (shared.sample.categories, shared.sample.l2_categories) if named else ((), ())
    categories, l2_categories = (tuple([(name,) if name else () for name in column]) for column in names)
    return _Units(a, b, shared.clusters, categories, l2_categories)


def _scored_rows(shared: SharedSamples, values: FloatArray) -> list[ScoredRow]:
    """Return the samples with one run's values as the summary reads them."""
    sample = shared.sample
    return [
        ScoredRow(
            Sample(
                id=sample.ids[place],
                task=shared.task,
                answer_rule="choice",
                category=sample.categories[place],
                l2_category=sample.l2_categories[place],
                cluster=sample.groups[place],
                extra=sample.extras.get(place, {}),
            ),
            Score(None if value != value else value, None, Components()),  # noqa: PLR0124 - NaN is unscored
        )
        for place, value in enumerate(values.tolist())
    ]


def _answer_metrics(shared: SharedSamples, units: _Units) -> list[tuple[_Metric, _Units]]:
    """Return the benchmark's answer metrics with what they count, the headline first."""
    accuracy = _Metric("accuracy", "fraction")
    rows = _row_units(shared, shared.a.values, shared.b.values)
    if units.kind == "image":
        scales = {"perception": MME_PERCEPTION, "cognition": MME_COGNITION}
        parts = [(_sum_of_means(name), units.of_categories(names)) for name, names in scales.items()]
        return [(_sum_of_means("total"), units), *(part for part in parts if len(part[1].a)), (accuracy, rows)]
    if shared.task.startswith("mmbench_"):
        vanilla = (_Metric("vanilla_accuracy", "fraction"), rows)
        return [(replace(accuracy, refusal=units.refusal), units), vanilla]
    if shared.task == "mmstar" and shared.protocol == "lmms-eval":
        refusal = None if all(units.l2_categories) else "some rows have no l2_category to average over"
        return [(replace(accuracy, parts="none" if refusal else "l2_categories", refusal=refusal), units)]
    if shared.task == "ocrbench" and len(units.a) == OCRBENCH_ROWS:
        return [(_Metric("score", "points", factor=float(OCRBENCH_ROWS)), units), (accuracy, units)]
    return [(accuracy, units)]


def _sum_of_means(name: str) -> _Metric:
    return _Metric(name, "points", "categories")


def _category_metric(headline: _Metric, units: _Units) -> _Metric:
    """Return the metric of one category: MME's subtask score, else the headline without what sums it up."""
    if units.kind == "image":
        return _Metric("subtask score", "points")
    return _Metric("accuracy", "fraction", headline.parts)


def _l2_metric(headline: _Metric, units: _Units) -> _Metric:
    return replace(_category_metric(headline, units), parts="none")


def _further_rows(shared: SharedSamples, maker: _RowMaker) -> list[ScoreRow]:
    """Return the rows of places, captions and format, where both sides have any."""
    a, b = shared.a, shared.b
    columns: dict[str, tuple[FloatArray, FloatArray]] = {
        "mean_iou": (a.ious, b.ious),
        "acc@0.5": (_hits(a.ious), _hits(b.ious)),
        **{name: (a.components[name], b.components[name]) for name in ("caption", "format")},
    }
    return [
        maker.row(_Metric(name, "fraction"), _row_units(shared, *both))
        for name, both in columns.items()
        if np.isfinite(both[0]).any() and np.isfinite(both[1]).any()
    ]


def _hits(ious: FloatArray) -> FloatArray:
    """Return 1 where the IoU reaches the default cut, NaN where there is none."""
    return np.where(np.isnan(ious), np.nan, (ious >= DEFAULT_CUT).astype(np.float64))


def _grounding(shared: SharedSamples, seed: int) -> Grounding | None:
    """Say where both sides looked; of several seeds the first, since the mean of two boxes' IoU is no place."""
    a, b = shared.a.runs[0], shared.b.runs[0]
    return ground(
        PlacedAnswers(
            a_values=a.values,
            a_ious=a.ious,
            b_values=b.values,
            b_ious=b.ious,
            clusters=shared.clusters,
            gold_boxes_image_px=shared.sample.gold_boxes_image_px,
            image_sizes=shared.sample.image_sizes,
        ),
        seed=seed,
    )


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
        self._draws = draws

    def row(
        self, metric: _Metric, units: _Units, category: str | None = None, places: NDArray[np.int64] | None = None
    ) -> ScoreRow:
        """Return one row.

        Args:
            metric: What to make of the units.
            units: The units of the row.
            category: Its category; None for the whole benchmark.
            places: The samples whose faults it shows; None for all.
        """
        scored = units.scored
        parts = _part_codes(metric, scored)
        span = _span(metric, scored, parts)
        empty = SideScore(None, None, None, 0)
        a = b = empty
        difference: PairedDifference | None = None
        reason = self._reason or self._too_few["ious" if metric.name in PLACE_METRICS else "values"] or metric.refusal
        if len(scored.a) and metric.refusal is None:
            difference = self._difference(metric, scored, parts, span)
            a, b = (self._side_score(metric, scored, values, parts, span) for values in (scored.a, scored.b))
        return ScoreRow(
            task=self._shared.task,
            category=category,
            metric=metric.name,
            scale=metric.scale,
            span=span,
            a=a,
            b=b,
            difference=None if reason else difference,
            reason=reason or (None if difference else _NOTHING_SHARED),
            holm_p=None,
            q=None,
            a_faults=side_faults(self._shared.a, places),
            b_faults=side_faults(self._shared.b, places),
        )

    def category_rows(self, metric: _Metric, units: _Units, names: Sequence[tuple[str, ...]]) -> tuple[ScoreRow, ...]:
        """Return one row per category, by name; none when there is only one category or none."""
        by_name = _places_by_name(names)
        if len(by_name) < 2:
            return ()
        own = len(names) == len(self._shared.a.ids)
        samples = by_name if own else _places_by_name([(name,) for name in self._shared.sample.categories])
        return tuple(
            self.row(metric, units.take(places), name, samples.get(name, places[:0]))
            for name, places in by_name.items()
        )

    def _difference(
        self, metric: _Metric, units: _Units, parts: NDArray[np.int64] | None, span: float
    ) -> PairedDifference:
        if parts is None and metric.factor == 1:
            return paired_difference(
                units.a, units.b, units.clusters, seed=self._seed, draws=self._draws, bounds=units.bounds
            )
        a, combine, strata = _sums(metric, units, units.a, parts)
        b, _, _ = _sums(metric, units, units.b, parts)
        counts = Units(len(units.a), int((units.b < units.a).sum()), int((units.b > units.a).sum()))
        sizes = np.bincount(cluster_codes(units.clusters)).astype(np.float64)
        return paired_statistic(
            PairedSums(a, b, combine, span=span, strata=strata, sizes=sizes),
            counts,
            seed=self._seed,
            draws=self._draws,
        )

    def _side_score(
        self, metric: _Metric, units: _Units, values: FloatArray, parts: NDArray[np.int64] | None, span: float
    ) -> SideScore:
        if parts is None:
            interval = mean_interval(values, units.clusters, bounds=units.bounds)
            return _score(float(values.mean()), interval, len(values), metric.factor)
        sums, combine, _ = _sums(metric, units, values, parts)
        if metric.parts == "categories":
            interval = sum_of_means_interval(values, parts, bounds=(0.0, span))
        else:
            interval = bootstrap_interval(
                lambda counts: combine(counts @ sums), len(sums), seed=self._seed, bounds=(0.0, span)
            )
        return _score(float(combine(sums.sum(axis=0, keepdims=True))[0]), interval, len(values), 1.0)


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


def _score(value: float, interval: Interval | None, n: int, factor: float) -> SideScore:
    low, high = (None, None) if interval is None else (interval.low * factor, interval.high * factor)
    return SideScore(value * factor, low, high, n)


def _places_by_name(names: Sequence[tuple[str, ...]]) -> dict[str, NDArray[np.int64]]:
    """Return the places of each name, by name."""
    places: dict[str, list[int]] = {}
    for place, own in enumerate(names):
        for name in own:
            places.setdefault(name, []).append(place)
    return {name: np.array(places[name], dtype=np.int64) for name in sorted(places)}


def _part_codes(metric: _Metric, units: _Units) -> NDArray[np.int64] | None:
    """Return the part of each unit whose mean counts; None when the metric has no parts."""
    if metric.parts == "none":
        return None
    names = units.categories if metric.parts == "categories" else units.l2_categories
    return cluster_codes([own[0] for own in names])


def _span(metric: _Metric, units: _Units, parts: NDArray[np.int64] | None) -> float:
    """Return greatest less least value of the metric."""
    several = len(np.unique(parts)) if parts is not None and metric.parts == "categories" else 1
    return (units.bounds[1] - units.bounds[0]) * max(1, several) * metric.factor


def _sums(
    metric: _Metric, units: _Units, values: FloatArray, parts: NDArray[np.int64] | None
) -> tuple[FloatArray, Combine, NDArray[np.int64] | None]:
    """Return each cluster's sum and size per part, what makes the metric of them, and the strata to draw within."""
    codes = cluster_codes(units.clusters)
    clusters = int(codes.max()) + 1
    part = np.zeros(len(values), dtype=np.int64) if parts is None else parts
    count = int(part.max()) + 1
    cells = codes * count + part
    sums = np.bincount(cells, weights=values, minlength=clusters * count).reshape(clusters, count)
    sizes = np.bincount(cells, minlength=clusters * count).reshape(clusters, count)
    table = np.hstack([sums, sizes]).astype(np.float64)

    def combine(drawn: FloatArray) -> FloatArray:
        with np.errstate(divide="ignore", invalid="ignore"):
            means = drawn[:, :count] / drawn[:, count:]
        if metric.parts == "categories":
            return means.sum(axis=1)
        # as lmms-eval: the mean of the categories that a draw holds
        held = np.isfinite(means)
        return np.where(held, means, 0.0).sum(axis=1) / np.maximum(held.sum(axis=1), 1) * metric.factor

    strata = None
    if metric.parts == "categories":
        # An MME image belongs to one subtask, whose number of images the benchmark fixes.
        strata = np.argmax(sizes > 0, axis=1).astype(np.int64)
    return table, combine, strata
