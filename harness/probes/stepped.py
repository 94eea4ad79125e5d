"""Whether the places that a thought looked at one after another matter, and whether the last is the one that does.

    necessity of a step    kept(a control of its shape removed, mean over controls) - kept(its region removed)
    last over earlier      necessity of the last step - mean necessity of those before it

A step's region is removed alone, wherever the others are. Where an earlier region holds the last one, as a look closer
does, it takes that away with itself: both have its necessity. So the difference is also given against the earlier
steps that lie apart from the last.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from typing import Final, Literal, TypeAlias, get_args

import numpy as np

from harness.probes.fills import Fill
from harness.probes.probe_records import ProbeRecord
from harness.probes.probed_sample import NOT_MEANT, SHARE, SIGNED, ProbedSample, mean_of
from harness.probes.regions import MOST_OVERLAP, areas_px
from harness.probes.sample_scores import LEAST_DEPENDENCE, Form, dependence_of, mean_kept
from harness.probes.variants import MOST_STEPS
from harness.stats.paired import paired_difference
from harness.summary.means import null_metric
from harness.summary.summary_values import Metric

StepsStatus: TypeAlias = Literal[
    "ok",
    "not_testable",
    "no_step",
    "one_step",
    "too_many_steps",
    "control_impossible",
    "format_broken",
    "no_answer",
    "not_answered",
    "several_pictures",
    "no_picture",
    "answer_is_place",
]
"""Whether a sample's last step is compared with those before it. `one_step`: there is none before it that has a place
and controls. `control_impossible`: the last has none."""
STEPS_STATUSES: Final[tuple[StepsStatus, ...]] = get_args(StepsStatus)

PAIRED: Final = (2 * SIGNED[0], 2 * SIGNED[1])
"""Bounds of a difference of necessities: one alone decides, and removing the other alone mends what is wrong."""
_SCORED = ("ok", "not_testable")


@dataclass(frozen=True, slots=True)
class StepNecessity:
    """What removing one step's region came to."""

    step: int
    """Which, from 1."""
    necessity: float
    """In [-1, 1]."""
    shared_with_last: float
    """Share of the last step's region that it covers."""


@dataclass(frozen=True, slots=True)
class SteppedScore:
    """What the steps of one sample come to, by one colour and in one form."""

    task: str
    """Short task name."""
    id: str
    """Sample id."""
    fill: Fill
    """By which colour."""
    form: Form
    """What is compared."""
    status: StepsStatus
    """Whether the difference counts."""
    steps: tuple[StepNecessity, ...] = ()
    """Those with a place and controls, in written order."""
    last: float | None = None
    """Necessity of the last step; None where the difference does not count."""
    earlier: float | None = None
    """Mean necessity of those before it."""
    apart: float | None = None
    """Mean necessity of those before it that cover at most a tenth of its region; None without any."""


@dataclass(frozen=True, slots=True)
class StepNumbers:
    """What one form says of steps."""

    first: Metric
    """Necessity of the first step, of samples with several."""
    earlier: Metric
    """Mean necessity of all but the last, of the same samples."""
    last: Metric
    """Necessity of the last, of the same samples."""
    last_over_earlier: Metric
    """How much more the last matters than those before it, paired sample by sample."""
    last_over_earlier_testable: Metric
    """The same of the samples whose answer the blank picture changes alone."""
    last_over_apart: Metric
    """The same against the earlier steps that lie apart from the last."""


@dataclass(frozen=True, slots=True)
class StepsSummary:
    """What the steps of a task's texts come to, by one colour."""

    statuses: Mapping[StepsStatus, int]
    """Samples by whether the difference counts; by the form `same`."""
    coverage: Metric
    """Share of samples in which the last step is compared with earlier ones, of those with an answer."""
    scores: Mapping[Form, StepNumbers]
    """By form."""
    withheld: str = ""
    """Why nothing of this is given; empty where it is."""


def stepped_scores(samples: Sequence[ProbedSample], fill: Fill, form: Form) -> list[SteppedScore]:
    """Return the scores of samples in their order."""
    return [_score(sample, fill, form) for sample in samples]


def summarise_steps(
    samples: Sequence[ProbedSample], fill: Fill, forms: Sequence[Form], withheld: str, *, seed: int
) -> StepsSummary:
    """Return what steps come to.

    Args:
        samples: Of one task.
        fill: By which colour.
        forms: In which forms there are numbers.
        withheld: Why they are not interpreted; empty where they are.
        seed: Fixes the intervals of differences.
    """
    same = stepped_scores(samples, fill, "same")
    counted = Counter(score.status for score in same)
    covered = [None if score.status in NOT_MEANT else float(score.status in _SCORED) for score in same]
    return StepsSummary(
        {status: counted[status] for status in STEPS_STATUSES if counted[status]},
        mean_of(samples, covered, SHARE),
        {form: _numbers(samples, stepped_scores(samples, fill, form), withheld, seed) for form in forms},
        withheld,
    )


def _numbers(samples: Sequence[ProbedSample], scores: Sequence[SteppedScore], withheld: str, seed: int) -> StepNumbers:
    def mean(value_of: Callable[[SteppedScore], float | None]) -> Metric:
        return null_metric(withheld) if withheld else mean_of(samples, [value_of(score) for score in scores], SIGNED)

    def over(first_of: Callable[[SteppedScore], float | None]) -> Metric:
        """Return how much further the last lies above something, of the samples that have both."""
        pairs = [(first_of(score), score.last) for score in scores]
        return null_metric(withheld) if withheld else _paired(samples, pairs, seed)

    return StepNumbers(
        first=mean(lambda score: None if score.last is None else score.steps[0].necessity),
        earlier=mean(lambda score: score.earlier),
        last=mean(lambda score: score.last),
        last_over_earlier=over(lambda score: score.earlier),
        last_over_earlier_testable=over(lambda score: score.earlier if score.status == "ok" else None),
        last_over_apart=over(lambda score: score.apart),
    )


def _paired(samples: Sequence[ProbedSample], pairs: Sequence[tuple[float | None, float | None]], seed: int) -> Metric:
    """Return the mean difference of the samples that have both numbers, with an interval over clusters."""
    there = [
        (one, other, sample.cluster)
        for sample, (one, other) in zip(samples, pairs, strict=True)
        if one is not None and other is not None
    ]
    if not there:
        return null_metric("no sample has one")
    first, second = (np.array([row[place] for row in there], dtype=np.float64) for place in (0, 1))
    found = paired_difference(first, second, [cluster for _, _, cluster in there], seed=seed, bounds=SIGNED)
    if found.ci_low is None or found.ci_high is None:
        return Metric(found.delta, None, None, found.n)
    return Metric(found.delta, max(found.ci_low, PAIRED[0]), min(found.ci_high, PAIRED[1]), found.n)


def _score(sample: ProbedSample, fill: Fill, form: Form) -> SteppedScore:
    if sample.status in NOT_MEANT:
        return SteppedScore(*sample.key, fill, form, _not_meant(sample))
    records = [record for record in sample.records if record.target in ("step", "step_random") and record.fill == fill]
    steps = _necessities(records, sample.steps, form)
    status = _status(sample, records, fill, form)
    if status not in _SCORED or len(steps) < 2:  # a probability may not be known
        return SteppedScore(*sample.key, fill, form, status, steps if status == "one_step" else ())
    *before, last = steps
    apart = [step.necessity for step in before if step.shared_with_last <= MOST_OVERLAP]
    return SteppedScore(
        *sample.key,
        fill,
        form,
        status,
        steps,
        last.necessity,
        fsum(step.necessity for step in before) / len(before),
        fsum(apart) / len(apart) if apart else None,
    )


def _not_meant(sample: ProbedSample) -> StepsStatus:
    """Return the status of a sample that was not to be asked: it is called the same here."""
    return next(status for status in STEPS_STATUSES if status == sample.status)


def _status(sample: ProbedSample, records: Sequence[ProbeRecord], fill: Fill, form: Form) -> StepsStatus:
    """Return whether the last step of a sample is compared with those before it."""
    if sample.steps == 0:
        return "no_step"
    if sample.steps > MOST_STEPS:
        return "too_many_steps"
    asked = [
        record
        for record in sample.records
        if record.operation == "repeat" or (record.operation == "blank" and record.fill == fill)
    ]
    if any(record.error is not None for record in (*asked, *records)):
        return "not_answered"
    if any(record.answer is None for record in records):
        return "format_broken"
    if not any(record.step == sample.steps for record in records):
        return "control_impossible"
    if len({record.step for record in records}) < 2:
        return "one_step"
    dependence = dependence_of(asked, form)
    return "not_testable" if dependence is not None and dependence <= LEAST_DEPENDENCE else "ok"


def _necessities(records: Sequence[ProbeRecord], last: int, form: Form) -> tuple[StepNecessity, ...]:
    """Return the necessity of each step that was asked, in order; of none where a number of one is not known."""
    by_step: dict[int, list[ProbeRecord]] = {}
    for record in records:
        by_step.setdefault(record.step, []).append(record)
    region_of_last = next((record.boxes_px for record in by_step.get(last, ()) if record.target == "step"), ())
    found: list[StepNecessity] = []
    for step in sorted(by_step):
        removed = [record for record in by_step[step] if record.target == "step"]
        controls = [record for record in by_step[step] if record.target == "step_random"]
        kept, kept_control = mean_kept(removed, form), mean_kept(controls, form)
        if kept is None or kept_control is None:
            return ()
        shared = 0.0
        if region_of_last:
            _, area, both = areas_px(removed[0].boxes_px, region_of_last)
            shared = both / area
        found.append(StepNecessity(step, kept_control - kept, shared))
    return tuple(found)
