"""Make a benchmark's numbers of its units: one run's value with its interval, and the change between two runs.

`scores.json`, comparisons, the gate, ranks and the loop all take their numbers from here. A measure is sums over
clusters and a way to combine them, so that a resampled benchmark is aggregated as the benchmark itself is: MME adds
subtask means, MMStar under `lmms-eval` averages means, MMBench counts questions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from harness.stats.intervals import (
    CodeArray,
    FloatArray,
    Interval,
    bootstrap_interval,
    cluster_codes,
    ratio_interval,
    sum_of_means_interval,
)
from harness.stats.paired import Combine, PairedDifference, PairedSums, paired_difference, paired_statistic
from harness.stats.paired import Units as UnitCounts
from harness.summary.clusters import TaskSamples
from harness.summary.counted_units import OUTCOMES, Units, make_units
from harness.summary.means import NOTHING_SCORED, Metric, column_metric, metric_of, null_metric
from harness.task_facts import AnswerMetric, Combination, Scale, UnitKind

_DECIMALS = 9
"""Points are rounded here: a count that went through a mean is not quite a whole number any more."""


@dataclass(frozen=True, slots=True)
class Said:
    """What was said to questions of yes or no: columns with one place per unit, from 0 to 1 for the mean of seeds."""

    found: FloatArray
    """Yes, and yes is right."""
    invented: FloatArray
    """Yes, and no is right."""
    denied: FloatArray
    """No, and yes is right."""
    there: FloatArray
    """Yes is right, whatever was said."""
    asked: FloatArray
    """1 for every question."""


RATES: Mapping[Combination, Callable[[Said], tuple[FloatArray, FloatArray]]] = {
    "precision": lambda said: (said.found, said.found + said.invented),
    "recall": lambda said: (said.found, said.there),
    "f1": lambda said: (2 * said.found, said.found + said.invented + said.there),
    "yes_ratio": lambda said: (said.found + said.invented, said.asked),
    "recall_or_0": lambda said: (said.found, said.there),
    "f1_or_0": lambda said: (2 * said.found, said.found + said.invented + said.there),
    # lmms-eval's `pope/utils.py`: only a "no" is a miss, and the yes ratio is counted of the gold answers.
    "recall_of_said": lambda said: (said.found, said.found + said.denied),
    "f1_of_said": lambda said: (2 * said.found, 2 * said.found + said.invented + said.denied),
    "gold_yes_ratio": lambda said: (said.there, said.asked),
}
"""Ratios of sums: what each unit adds to the numerator and to the denominator. F1 is 2 PR / (P + R), written as one
ratio. All are 0 where nothing is in the denominator, as in POPE's own program and in both peers."""


@dataclass(frozen=True, slots=True)
class Became:
    """What became of We-Math's problems: columns with one place per unit, from 0 to 1 for the mean of seeds.

    Each is not 0 but for the units that ask about it.
    """

    insufficient: FloatArray
    """A step and the whole are wrong."""
    inadequate: FloatArray
    """All steps are right, and the whole is wrong."""
    mastered: FloatArray
    """All is right."""
    partly: FloatArray
    """The whole and some steps are right, others wrong."""
    by_rote: FloatArray
    """The whole is right, and no step."""
    asked: FloatArray
    """1 for every problem, at its first unit."""

    @property
    def solved(self) -> FloatArray:
        """The whole is right."""
        return self.mastered + self.partly + self.by_rote


OUTCOME_RATES: Mapping[Combination, Callable[[Became], tuple[FloatArray, FloatArray]]] = {
    # 1 - (0.5 IG + RM + IK) / problems: what is left are the mastered ones, and half of those not generalized.
    "score_strict": lambda became: (became.mastered + 0.5 * became.inadequate, became.asked),
    "score_loose": lambda became: (became.mastered + became.partly + 0.5 * became.inadequate, became.asked),
    "insufficient_knowledge": lambda became: (became.insufficient, became.asked),
    "inadequate_generalization": lambda became: (became.inadequate, became.asked),
    "mastery_strict": lambda became: (became.mastered, became.asked),
    "mastery_loose": lambda became: (became.mastered + became.partly, became.asked),
    "rote_strict": lambda became: (became.partly + became.by_rote, became.solved),
    "rote_loose": lambda became: (became.by_rote, became.solved),
}
"""The same over what became of problems, by We-Math's definitions (Qiao et al. 2024, arXiv 2407.01284, section 2.3, and
`evaluate_calculate_metrics` in VLMEvalKit's `utils/wemath.py`)."""

RATIOS: frozenset[Combination] = frozenset({*RATES, *OUTCOME_RATES})
"""Combinations that are a ratio of sums over clusters."""


MEANS_OF_PARTS: Mapping[Combination, str] = {"mean_of_categories": "category", "mean_of_l2": "l2_category"}
"""Means of means, and the column that names a sample's part."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One number that is made of units."""

    metric: AnswerMetric
    """Its name, and how units are combined."""
    units: Units
    """What it counts."""
    places: CodeArray | None = None
    """The units that it counts; None for all."""
    refusal: str | None = None
    """Why it cannot be given, whatever was answered; None when it can."""
    parts: CodeArray | None = None
    """For a sum or mean of parts each unit's part; -1 for units in none."""
    part_names: tuple[str, ...] = ()
    """Names of the parts, for messages."""
    weights: tuple[float, ...] = ()
    """How much each part counts in a mean of named parts; empty where all that are there count alike."""

    @property
    def name(self) -> str:
        """As in `scores.json`."""
        return self.metric.name

    @property
    def scale(self) -> Scale:
        """How to show it."""
        return self.metric.scale

    @property
    def counted(self) -> CodeArray:
        """The places of the units that it counts."""
        return np.arange(len(self.units.sizes)) if self.places is None else self.places

    def span(self, n: int) -> float:
        """Return greatest less least value of the measure over so many units."""
        if self.metric.combine == "count":
            return self._factor(n)
        width = self.units.bounds[1] - self.units.bounds[0]
        return width * max(1, len(self.part_names)) if self.metric.combine == "sum_of_categories" else width

    def scored(self, values: FloatArray) -> CodeArray:
        """Return the places of the units that count and have a value."""
        return self.counted[np.isfinite(values)[self.counted]]

    def size(self, scored: CodeArray) -> int:
        """Return how many samples (for MMBench questions) units stand for."""
        return int(self.units.sizes[scored].sum())

    def missing(self, scored: CodeArray) -> str | None:
        """Say why the measure cannot be given of the units that have a value; None when it can."""
        if self.refusal is not None:
            return self.refusal
        if not len(scored):
            return NOTHING_SCORED
        full, rows = self.metric.full_rows, len(self.units.sizes)
        if full is not None and rows != full:
            return f"needs the full {full:,} rows, got {rows:,}"
        if self.metric.combine in {"recall", "f1"} and not self._said(np.zeros(len(scored)), scored).there.any():
            return "no scored rows whose answer is yes"
        return self._missing_parts(scored)

    def _missing_parts(self, scored: CodeArray) -> str | None:
        if self.parts is None:
            return None
        if self.metric.combine in MEANS_OF_PARTS and not self.weights:
            nameless = int((self.parts[scored] < 0).sum())
            column = MEANS_OF_PARTS[self.metric.combine]
            return f"{nameless:,} rows have no {column} to average over" if nameless else None
        held = np.bincount(self.parts[scored], minlength=len(self.part_names))
        return next((f"{self.part_names[part]}: {NOTHING_SCORED}" for part in np.flatnonzero(held == 0)), None)

    def _factor(self, n: int) -> float:
        return float(self.metric.full_rows or n) if self.metric.combine == "count" else 1.0

    def value(self, values: FloatArray, scored: CodeArray) -> float:
        """Return the measure without its interval; nothing of it may be missing.

        Args:
            values: What the scored units earned.
            scored: Their places.
        """
        sums = self.sums(values, scored)
        return round(float(sums.combine(sums.rows.sum(axis=0, keepdims=True))[0]), _DECIMALS)

    # --- one run --------------------------------------------------------------------------------------------------

    def number(self, values: FloatArray, *, seed: int) -> Metric:
        """Return the measure of one run with its interval.

        Args:
            values: What each unit earned, from `Units.values`.
            seed: Fixes the draws.
        """
        scored = self.scored(values)
        reason = self.missing(scored)
        if reason is not None:
            return null_metric(reason)
        if self.metric.combine in RATIOS:
            return self._rate(values[scored], scored)
        if self.parts is None:
            return self._mean(values[scored], scored)
        return self._of_parts(values[scored], scored, seed)

    def _rate(self, values: FloatArray, scored: CodeArray) -> Metric:
        rows = self._ratio_rows(values, scored)
        value = float(_ratio(rows.sum(axis=0, keepdims=True))[0])
        interval = ratio_interval(rows[:, 0], rows[:, 0] - rows[:, 1])
        return metric_of(value, interval, self.size(scored))

    def _ratio_rows(self, values: FloatArray, scored: CodeArray) -> FloatArray:
        """Return each cluster's numerator, and its numerator less its denominator.

        Of the two the sum rises with a ratio that is one half, so that it says of a single cluster whether it gained.
        """
        numerators, denominators = self._shares(values, scored)
        codes = cluster_codes(self.units.clusters[scored])
        columns = [np.bincount(codes, weights=own) for own in (numerators, numerators - denominators)]
        return np.column_stack(columns).astype(np.float64)

    def _shares(self, values: FloatArray, scored: CodeArray) -> tuple[FloatArray, FloatArray]:
        """Return what each unit adds to the numerator and to the denominator."""
        if self.metric.combine in RATES:
            return RATES[self.metric.combine](self._said(values, scored))
        became = self._became(values, scored)
        numerators, denominators = OUTCOME_RATES[self.metric.combine](became)
        if self.metric.of_units is None or self.metric.combine in {"rote_strict", "rote_loose"}:
            return numerators, denominators
        # The peers divide by how many problems the benchmark has, and subtract the losses of those that are there.
        all_there = became.asked * (self.metric.of_units / became.asked.sum())
        if self.metric.combine in {"score_strict", "score_loose"}:
            numerators = numerators + all_there - became.asked
        return numerators, all_there

    def _became(self, values: FloatArray, scored: CodeArray) -> Became:
        outcomes = self.units.outcomes
        if outcomes is None:
            raise ValueError(f"{self.name} is made of problems, not of units of the kind {self.units.kind!r}")
        asked_about = outcomes[scored]
        columns = [values * (asked_about == outcome) for outcome in range(len(OUTCOMES))]
        return Became(*columns, asked=(asked_about == 0).astype(np.float64))

    def _said(self, values: FloatArray, scored: CodeArray) -> Said:
        units = self.units
        if units.says_yes is None or units.gold_yes is None:
            raise ValueError(f"{self.name} is made of what was said, not of units of the kind {units.kind!r}")
        says_yes, gold_yes = units.says_yes[scored], units.gold_yes[scored]
        return Said(
            found=values * (says_yes & gold_yes),
            invented=values * (says_yes & ~gold_yes),
            denied=values * (~says_yes & gold_yes),
            there=(says_yes & gold_yes).astype(np.float64),
            asked=says_yes.astype(np.float64),
        )

    def _mean(self, values: FloatArray, scored: CodeArray) -> Metric:
        found = column_metric(values, self.units.clusters[scored], self.units.bounds)
        found = replace(found, n=self.size(scored))
        return found if self.metric.combine != "count" else _times(found, self._factor(len(values)))

    def _of_parts(self, values: FloatArray, scored: CodeArray, seed: int) -> Metric:
        sums = self.sums(values, scored)
        value = float(sums.combine(sums.rows.sum(axis=0, keepdims=True))[0])
        interval: Interval | None
        if sums.strata is not None:
            parts = self._codes(scored)
            interval = sum_of_means_interval(values, parts, bounds=(0.0, self.span(len(values))))
        else:
            interval = bootstrap_interval(
                lambda counts: sums.combine(counts @ sums.rows), len(sums.rows), seed=seed, bounds=self.units.bounds
            )
        return metric_of(value, interval, self.size(scored))

    # --- several runs ---------------------------------------------------------------------------------------------

    def sums(self, values: FloatArray, scored: CodeArray) -> ClusterSums:
        """Return each cluster's sum and size per part, and what makes the measure of them.

        Args:
            values: What the scored units earned.
            scored: Their places.
        """
        if self.metric.combine in RATIOS:
            return ClusterSums(self._ratio_rows(values, scored), _ratio, None)
        codes = cluster_codes(self.units.clusters[scored])
        clusters = int(codes.max()) + 1
        part = self._codes(scored)
        count = int(part.max()) + 1
        cells = codes * count + part
        sums = np.bincount(cells, weights=values, minlength=clusters * count).reshape(clusters, count)
        sizes = np.bincount(cells, minlength=clusters * count).reshape(clusters, count)
        strata = None
        if self.metric.combine == "sum_of_categories":
            # An MME image belongs to one subtask, whose number of images the benchmark fixes.
            strata = np.argmax(sizes > 0, axis=1).astype(np.int64)
        rows = np.hstack([sums, sizes]).astype(np.float64)
        if self.metric.combine == "count":
            factor = self._factor(len(scored))
            return ClusterSums(rows, lambda drawn: _mean_of_means(drawn) * factor, strata)
        if self.weights:
            weights = np.array(self.weights)
            return ClusterSums(rows, lambda drawn: _mean_of_means(drawn, weights), strata)
        return ClusterSums(rows, _sum_of_means if strata is not None else _mean_of_means, strata)

    def _codes(self, scored: CodeArray) -> CodeArray:
        """Return the part of each scored unit, numbered from 0 without gaps."""
        if self.parts is None:
            return np.zeros(len(scored), dtype=np.int64)
        return cluster_codes(self.parts[scored])

    def change(self, a: FloatArray, b: FloatArray, *, seed: int, draws: int) -> PairedDifference | None:
        """Return how the measure changed on the units that both runs have a value for; None where it cannot be given.

        Args:
            a: What each unit earned in the first run; NaN wherever either run has no value.
            b: The same in the second.
            seed: Fixes the draws.
            draws: Sign flips for p.
        """
        scored = self.scored(a)
        if self.missing(scored) is not None:
            return None
        a, b, n = a[scored], b[scored], self.size(scored)
        if self.parts is None and self.metric.combine not in RATIOS:
            clusters = self.units.clusters[scored]
            found = paired_difference(a, b, clusters, seed=seed, draws=draws, bounds=self.units.bounds)
            found = replace(found, n=n)
            return found if self.metric.combine != "count" else _difference_times(found, self._factor(len(a)))
        sums, others = self.sums(a, scored), self.sums(b, scored)
        sizes = np.bincount(cluster_codes(self.units.clusters[scored])).astype(np.float64)
        pair = PairedSums(sums.rows, others.rows, sums.combine, span=self.span(len(a)), strata=sums.strata, sizes=sizes)
        if self.units.outcomes is not None:
            changed = self._shares(b, scored)[0] - self._shares(a, scored)[0]
            gains = changed.reshape(-1, len(OUTCOMES)).sum(axis=1)
        else:
            gains = b - a
        if self.units.says_yes is not None and self.units.gold_yes is not None:
            # A yes less is a gain where no is right; the units of a no are the same answers once more.
            gains = np.where(self.units.gold_yes[scored], gains, -gains) * self.units.says_yes[scored]
        return paired_statistic(
            pair, UnitCounts(n, int((gains < 0).sum()), int((gains > 0).sum())), seed=seed, draws=draws
        )


@dataclass(frozen=True, slots=True)
class ClusterSums:
    """One run's measure as sums over clusters."""

    rows: FloatArray
    """Per cluster the sum and the size of each part (clusters x 2 * parts); for a ratio see `Measure`."""
    combine: Combine
    """Makes the measure of column sums."""
    strata: CodeArray | None
    """A code per cluster, within which clusters are drawn; None draws from all alike."""


def task_measures(samples: TaskSamples, metrics: Sequence[AnswerMetric]) -> tuple[Measure, ...]:
    """Return a task's measures of its answers, the headline first.

    Args:
        samples: The task's samples.
        metrics: From `TaskFacts.metrics_of`.
    """
    units: dict[UnitKind, Units] = {}
    for metric in metrics:
        if metric.unit not in units:
            units[metric.unit] = make_units(samples, metric.unit)
    return tuple(_measure(metric, metrics, units[metric.unit], samples) for metric in metrics)


def headline_measure(samples: TaskSamples, metrics: Sequence[AnswerMetric]) -> Measure:
    """Return the first of a task's measures alone; the arguments are those of `task_measures`."""
    return _measure(metrics[0], metrics, make_units(samples, metrics[0].unit), samples)


def _measure(metric: AnswerMetric, metrics: Sequence[AnswerMetric], units: Units, samples: TaskSamples) -> Measure:
    if metric.combine == "sum_of_categories":
        return _sum_of_categories(metric, metrics, units, samples)
    if metric.parts or metric.adds:
        return _mean_of_named(metric, metrics, units)
    measure = Measure(metric, units, refusal=units.refusal)
    return _by_part(measure) if metric.combine in MEANS_OF_PARTS else measure


def _by_part(measure: Measure) -> Measure:
    units = measure.units
    own_names = units.categories if measure.metric.combine == "mean_of_categories" else units.l2_categories
    names = [own[0] if own else "" for own in own_names]
    known = sorted({name for name in names if name})
    places = {name: part for part, name in enumerate(known)}
    parts = np.array([places.get(name, -1) for name in names], dtype=np.int64)
    return replace(measure, parts=parts, part_names=tuple(known))


def _mean_of_named(metric: AnswerMetric, metrics: Sequence[AnswerMetric], units: Units) -> Measure:
    """Return a mean over the units of named l2 categories: a plain one, or one of their means.

    These weigh alike in a metric, and so do the metrics that it adds up.
    """
    if not len(units.sizes):
        return Measure(metric, units, refusal=NOTHING_SCORED)
    names = [own[0] if own else "" for own in units.l2_categories]
    by_name = {one.name: one for one in metrics}
    known = {name for one in metrics for name in one.parts}
    added = [(f"{name}: ", by_name[name]) for name in metric.adds] or [("", metric)]
    weights: dict[str, float] = {}
    refusals: list[str] = []
    for label, one in added:
        taken, why = _categories_of(one, known, units, sorted(set(names)))
        weights |= {name: 1 / (len(added) * len(taken)) for name in taken}
        refusals += [f"{label}{why}"] if why else []
    places = {name: part for part, name in enumerate(weights)}
    parts = np.array([places.get(name, -1) for name in names], dtype=np.int64)
    measure = Measure(metric, units, np.flatnonzero(parts >= 0), units.refusal or "; ".join(refusals) or None)
    if metric.combine not in MEANS_OF_PARTS:
        return measure
    return replace(measure, parts=parts, part_names=tuple(weights), weights=tuple(weights.values()))


def _sum_of_categories(
    metric: AnswerMetric, metrics: Sequence[AnswerMetric], units: Units, samples: TaskSamples
) -> Measure:
    """Return a sum of categories' means, with what is missing from each of the metrics that it adds up."""
    if not samples.ids:
        return Measure(metric, units, refusal=NOTHING_SCORED)
    by_name = {one.name: one for one in metrics}
    known = {name for one in metrics for name in one.parts}
    added = [(f"{name}: ", by_name[name]) for name in metric.adds] or [("", metric)]
    labels: dict[str, str] = {}
    refusals: list[str] = []
    for label, one in added:
        taken, why = _categories_of(one, known, units, sorted(set(samples.categories)))
        labels |= {name: f"{label}{name or '(none)'}" for name in taken}
        refusals += [f"{label}{why}"] if why else []
    names = sorted(labels)
    places = {name: part for part, name in enumerate(names)}
    parts = np.array([places.get(own[0], -1) for own in units.categories], dtype=np.int64)
    return Measure(
        metric=metric,
        units=units,
        places=np.flatnonzero(parts >= 0),
        refusal="; ".join(refusals) or None,
        parts=parts,
        part_names=tuple(labels[name] for name in names),
    )


def _categories_of(
    metric: AnswerMetric, known: set[str], units: Units, there: Sequence[str]
) -> tuple[Sequence[str], str | None]:
    """Return the categories that a sum or mean takes, and why it cannot take them; None when it can."""
    rule, wanted = metric.part_rule, metric.parts
    names = wanted
    if rule in {"these_if_there", "all_others"}:
        names = tuple(name for name in there if (name in wanted) == (rule == "these_if_there"))
    kind = "subtasks" if metric.combine == "sum_of_categories" else "l2 categories"
    strangers = [name or "(none)" for name in there if name not in known]
    if rule == "these_alone" and strangers:
        return names, f"rows of unknown {kind}: {_listed(strangers)}"
    missing = [name for name in names if name not in there]
    if missing:
        return names, f"no rows of {kind}: {_listed(missing)}"
    if not names:
        return names, f"no rows of any {metric.name} subtask"
    return names, next(
        (f"{name}: {units.category_refusals[name]}" for name in names if name in units.category_refusals), None
    )


def category_measures(headline: Measure, *, second_level: bool = False) -> dict[str, Measure]:
    """Return the measure of each category by name, in the order of the names: the headline's without what sums it up.

    Args:
        headline: The benchmark's first measure.
        second_level: Whether by the second level; that of a mean of second-level means is a plain mean.
    """
    units, metric = headline.units, headline.metric
    if units.refusal:
        return {}
    names = units.l2_categories if second_level else units.categories
    by_name: defaultdict[str, list[int]] = defaultdict(list)
    if not second_level:
        by_name.update({name: [] for name in units.category_refusals})
    for place, own in enumerate(names):
        for name in own:
            by_name[name].append(place)
    averaged = metric.combine == "mean_of_l2" and not headline.weights and not second_level
    if metric.combine == "sum_of_categories":
        own_metric = AnswerMetric("subtask score", metric.unit, most=int(units.bounds[1]))
    elif metric.combine in RATIOS:
        own_metric = metric
    else:
        name = "accuracy" if metric.earned == "answer" else metric.name
        own_metric = AnswerMetric(name, metric.unit, "mean_of_l2" if averaged else "mean", earned=metric.earned)
    return {
        name: Measure(
            metric=own_metric,
            units=units,
            places=np.array(by_name[name], dtype=np.int64),
            refusal=None if second_level else units.category_refusals.get(name),
            parts=headline.parts if averaged else None,
            part_names=headline.part_names if averaged else (),
        )
        for name in sorted(by_name)
        if name
    }


def column_measure(name: str, units: Units) -> Measure:
    """Return the mean of a column over the samples that have it, such as `mean_iou`."""
    return Measure(AnswerMetric(name), units)


def shared_values(units: Units, sides: Sequence[Sequence[FloatArray]]) -> list[FloatArray]:
    """Return what each unit earned in each side, NaN wherever any run has no value for it.

    Several seeds of a side are aggregated one by one and then averaged: the mean of two answers to one pass of an
    MMBench question is no answer.

    Args:
        units: What is counted.
        sides: Per side the samples' scores in each of its runs.
    """
    alone = [units.values(scores) for runs in sides for scores in runs]
    among = np.isfinite(np.array(alone, dtype=np.float64).sum(axis=0))  # a sum with NaN is NaN
    return [_mean([units.values(scores, among) for scores in runs]) for runs in sides]


def _mean(seeds: Sequence[FloatArray]) -> FloatArray:
    return seeds[0] if len(seeds) == 1 else np.array(seeds, dtype=np.float64).sum(axis=0) / len(seeds)


def _sum_of_means(drawn: FloatArray) -> FloatArray:
    return _means(drawn).sum(axis=1)


def _ratio(drawn: FloatArray) -> FloatArray:
    """Return the ratio of the sums that a draw holds; 0 where its denominator is."""
    denominators = drawn[..., 0] - drawn[..., 1]
    return np.divide(drawn[..., 0], denominators, out=np.zeros_like(denominators), where=denominators > 0)


def _mean_of_means(drawn: FloatArray, weights: FloatArray | None = None) -> FloatArray:
    """Return the mean of the parts that a draw holds, as lmms-eval averages.

    Args:
        drawn: Sums and sizes of the parts, a row a draw.
        weights: One a part; None weighs them alike.
    """
    means = _means(drawn)
    held = np.isfinite(means)
    if weights is None:
        return np.where(held, means, 0.0).sum(axis=1) / np.maximum(held.sum(axis=1), 1)
    weighed = held * weights
    sums = weighed.sum(axis=1)
    totals = np.where(held, means * weights, 0.0).sum(axis=1)
    return np.divide(totals, sums, out=np.zeros_like(sums), where=sums > 0)


def _means(drawn: FloatArray) -> FloatArray:
    """Return each part's mean from sums and sizes side by side; NaN where a draw holds nothing of it."""
    count = drawn.shape[1] // 2
    with np.errstate(divide="ignore", invalid="ignore"):
        return drawn[:, :count] / drawn[:, count:]


def _times(metric: Metric, factor: float) -> Metric:
    value, low, high = (_scaled(end, factor) for end in (metric.value, metric.ci_low, metric.ci_high))
    return replace(metric, value=value, ci_low=low, ci_high=high)


def _difference_times(found: PairedDifference, factor: float) -> PairedDifference:
    names = ("a_value", "b_value", "delta", "ci_low", "ci_high", "error", "mde")
    return replace(found, **{name: _scaled(getattr(found, name), factor) for name in names})


def _scaled(number: float | None, factor: float) -> float | None:
    return None if number is None else round(number * factor, _DECIMALS)


def _listed(names: Sequence[str], most: int = 20) -> str:
    """Return names for a message, with how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(name[:60] for name in names[:most]) + more
