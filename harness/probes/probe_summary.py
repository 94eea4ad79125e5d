"""What the probes of a run come to: necessity, sufficiency and image dependence with what limits and gates them.

A number that its control does not support is not given: where edits take the model's format away, or any patch upsets
it, the reason stands in its place. What was counted stays beside it, so that nobody has to believe the gate.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, cast

import msgspec
import numpy as np

from harness.probes.fills import WITHOUT_FILL, Fill, Operation
from harness.probes.pasted import PastedScore, PastedSummary, pasted_scores, summarise_pasted
from harness.probes.probe_records import ProbeRecord
from harness.probes.probed_sample import NOT_MEANT, SHARE, SIGNED, ProbedSample, mean_of
from harness.probes.sample_scores import (
    LEAST_DEPENDENCE,
    RELIES_ABOVE,
    STATUSES,
    Form,
    ProbeStatus,
    SampleScore,
    sample_score,
)
from harness.probes.stepped import PAIRED, SteppedScore, StepsSummary, stepped_scores, summarise_steps
from harness.probes.variants import MOST_CONTROLS, OPERATIONS, ProbePlan, Target
from harness.summary.means import metric_of, null_metric
from harness.summary.summary_values import Metric
from harness.values import Json

SCHEMA_VERSION: Final = 2
"""Of `probes.json`: 2 may have what was pasted and what steps came to; what 1 has is read alike."""
DEFINITION: Final = (
    "necessity: how much more often the answer stays when a random region of the same shape is removed than when the "
    "named one is; sufficiency: how much more often it stays with the named region alone than with a random one alone; "
    "image dependence: how much less often it stays when the whole picture is gone"
)
MOST_FORMAT_LOSS: Final = 0.1
"""An operation after which so many texts more than before break the format is not interpreted."""
MOST_RANDOM_FLIPS: Final = 0.3
"""Nor is removing where so many answers change when a random region is removed."""
KINDS_OF_EDIT: Final = frozenset[tuple[Operation, Target]](
    {
        ("repeat", "none"),
        ("blank", "none"),
        ("remove", "named"),
        ("remove", "random"),
        ("remove", "gold"),
        ("remove", "gold_random"),
        ("remove", "other"),
        ("keep", "named"),
        ("keep", "random"),
        ("keep", "gold"),
        ("keep", "gold_random"),
        ("turn", "named"),
        ("turn", "random"),
        ("paste", "named"),
        ("paste", "random"),
        ("remove", "step"),
        ("remove", "step_random"),
    }
)
"""What is done, and to whose region."""
LEAST_ROOM: Final = 0.05
"""A share of what could be reached is given only where at least this can be."""
_MOST_OF_POSSIBLE: Final = 1 / LEAST_ROOM
"""No such share is larger: a number of at most 1 over at least that."""
_RANDOM_PATCHES: Final[Mapping[tuple[Operation, Target], str]] = {
    ("remove", "random"): "removed",
    ("remove", "step_random"): "removed",
    ("paste", "random"): "pasted over",
}
"""Edits of random regions that should leave answers as they are, and what is done to them."""


@dataclass(frozen=True, slots=True)
class KindOfEdit:
    """What became of all texts under one kind of edit."""

    operation: Operation
    """What was done."""
    target: Target
    """To whose region."""
    texts: int
    """How many."""
    kept: Metric
    """How often the answer stayed."""
    accuracy: Metric
    """What the scorer gave them."""
    format_ok: Metric
    """How often the format was kept."""

    @property
    def gated(self) -> str:
        """What its numbers are interpreted with: its operation, or `steps` of what steps looked at."""
        return "steps" if self.target in ("step", "step_random") else self.operation


@dataclass(frozen=True, slots=True)
class ProbeScores:
    """What one form says by one fill."""

    necessity: Metric
    """Mean over samples with controls."""
    sufficiency: Metric
    """The same."""
    dependence: Metric
    """Mean over all samples that were asked, those without a box too."""
    necessity_testable: Metric
    """Mean over the samples whose answer the blank picture changes alone."""
    sufficiency_testable: Metric
    """The same."""
    necessity_strict: Metric
    """Mean over all samples with an answer; one without a score counts 0. A box as large as the picture gains nothing
    here."""
    sufficiency_strict: Metric
    """The same."""
    ceiling: Metric
    """1 less how far answers stay on a blank picture: what necessity comes to where the region is all the evidence.
    Where the edited picture shows something else that answers, as another object does, necessity may pass it."""
    necessity_of_possible: Metric
    """Necessity over what it could be: the sum of kept(control removed) - kept(blank)."""
    sufficiency_of_possible: Metric
    """Sufficiency over what it could be: the sum of kept(nothing changed) - kept(control alone)."""
    gold_necessity: Metric
    """Necessity of the gold boxes."""
    gold_sufficiency: Metric
    """Sufficiency of the gold boxes."""
    over_others: Metric
    """Kept with other objects removed less kept with the region removed."""
    colour_necessity: Metric
    """How much more often an answer about colour changes when the colours of the region are turned than when those of a
    random one are. Nothing is hidden here: the edited picture is an ordinary one."""
    is_artefact: bool
    """Whether necessity lies below 0 beyond its interval: edits anywhere upset the model, or random regions meet
    what it goes by more often than the named one, which lies elsewhere."""


@dataclass(frozen=True, slots=True)
class FillSummary:
    """What the probes by one colour come to."""

    statuses: Mapping[ProbeStatus, int]
    """Samples by whether they have a score; by the form `same`."""
    coverage: Metric
    """Share of samples with a score."""
    edits: tuple[KindOfEdit, ...]
    """By kind of edit."""
    not_interpreted: Mapping[str, str]
    """By operation, and for `steps`, why its scores are not given."""
    scores: Mapping[Form, ProbeScores]
    """By form; `p` only where the backend gives probabilities."""
    relied: Mapping[str, int]
    """Samples by `right` or `wrong` answer and whether they `relied` on their region or `did not`."""
    kept_by_region_alone: Metric
    """How often the answer stays with the region alone and changes without it."""


@dataclass(frozen=True, slots=True)
class ProbeSummary:
    """What the probes of one task come to."""

    samples: int
    """Samples that were looked at."""
    fills: Mapping[Fill, FillSummary]
    """By colour."""
    base_repeat: Metric
    """How often an answer stays when nothing is changed: the noise floor."""
    base_format_ok: Metric
    """How often the run's own texts keep to the format."""
    fills_agree: Metric
    """How often necessity has the same sign by both colours, of samples where it is further than 10 points from 0 by
    one: nearer a sign is rounding."""
    pasted: PastedSummary | None = None
    """What pasting into regions comes to; None where that was not asked."""
    steps: Mapping[Fill, StepsSummary] = field(default_factory=dict[Fill, StepsSummary])
    """What the steps of texts come to, by colour; empty where that was not asked."""


def scores_of(samples: Sequence[ProbedSample], plan: ProbePlan, form: Form) -> dict[Fill, list[SampleScore]]:
    """Return the scores of samples in their order, by colour."""
    return {
        fill: [
            sample_score(sample.records, *sample.key, sample.status, fill, form)
            if sample.records
            else SampleScore(*sample.key, fill, form, sample.status)
            for sample in samples
        ]
        for fill in plan.fills
    }


def summarise_probes(samples: Sequence[ProbedSample], plan: ProbePlan) -> dict[str, ProbeSummary]:
    """Return the summary of each task, in the order of the run.

    Args:
        samples: All that was looked at.
        plan: What was asked.
    """
    tasks: dict[str, list[ProbedSample]] = {}
    for sample in samples:
        tasks.setdefault(sample.key[0], []).append(sample)
    return {task: _of_task(members, plan) for task, members in tasks.items()}


def probe_scores(
    summary: Mapping[str, ProbeSummary],
    samples: Sequence[ProbedSample],
    plan: ProbePlan,
    *,
    told: Mapping[str, Json],
) -> dict[str, Json]:
    """Return the content of `probes.json`.

    Args:
        summary: By task.
        samples: All that was looked at.
        plan: What was asked.
        told: What else its reader has to know, such as a limit.
    """
    rows: list[object] = []
    for form in _forms(samples):
        for scores in scores_of(samples, plan, form).values():
            rows += scores
    stepped = [
        score
        for fill in (plan.fills if plan.steps else ())
        for form in _forms(samples)
        for score in stepped_scores(samples, fill, form)
    ]
    return {
        "schema_version": SCHEMA_VERSION,
        "definition": DEFINITION,
        "least_dependence": LEAST_DEPENDENCE,
        "relies_above": RELIES_ABOVE,
        "plan": cast("Json", msgspec.to_builtins(plan)),
        **told,
        "tasks": cast("Json", msgspec.to_builtins(summary)),
        "samples": cast("Json", msgspec.to_builtins(rows)),
        "pasted": cast("Json", msgspec.to_builtins(pasted_scores(samples))),
        "stepped": cast("Json", msgspec.to_builtins(stepped)),
    }


class StoredProbes(msgspec.Struct, frozen=True):
    """What is read of `probes.json`."""

    schema_version: Literal[1, 2]
    """Of the file."""
    relies_above: float
    """Necessity above which a sample relied on its region."""
    plan: ProbePlan
    """What was asked."""
    tasks: dict[str, ProbeSummary]
    """What it comes to, by task."""
    samples: tuple[SampleScore, ...]
    """The scores of each sample, by form and colour."""
    contrast: str = ""
    """What the harder control removed."""
    backend: str = ""
    """What asked."""
    pasted: tuple[PastedScore, ...] = ()
    """What pasting into the region of each sample came to."""
    stepped: tuple[SteppedScore, ...] = ()
    """What the steps of each sample came to, by form and colour."""


def read_probe_scores(content: bytes, where: str) -> StoredProbes:
    """Return what a `probes.json` holds.

    Raises:
        ValueError: It is none that this satori-bench can read, or has numbers that no probe gives.
    """
    try:
        found = msgspec.json.decode(content, type=StoredProbes)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as fault:
        raise ValueError(f"{where} holds no probes of a run: {fault}") from fault
    if not 1 <= found.plan.controls <= MOST_CONTROLS:
        raise ValueError(f"{where} has a plan of {found.plan.controls} random regions, outside of [1, {MOST_CONTROLS}]")
    for task in found.tasks.values():
        for of_fill in task.fills.values():
            _check_fill(where, of_fill)
        _check_others(where, task)
    for score in found.samples:
        _check(where, SIGNED, score.necessity, score.sufficiency, score.dependence)
    for pasted in found.pasted:
        _check(where, SIGNED, pasted.follows, pasted.follows_control, pasted.follow)
    for stepped in found.stepped:
        _check(where, SIGNED, stepped.last, stepped.earlier, stepped.apart)
    return found


def _check_fill(where: str, found: FillSummary) -> None:
    """Raise ValueError where a summary names an edit that is none, or has numbers that no probe gives."""
    if "same" not in found.scores:
        raise ValueError(f"{where} has no scores of the form same")
    for edit in found.edits:
        if (edit.operation, edit.target) not in KINDS_OF_EDIT:
            raise ValueError(f"{where} has an edit that is none: {edit.operation} of {edit.target}")
        _check(where, SHARE, *_numbers_of(edit.kept, edit.accuracy, edit.format_ok))
    for scores in found.scores.values():
        _check(where, SHARE, scores.ceiling.value)
        shares = (scores.necessity_of_possible.value, scores.sufficiency_of_possible.value)
        _check(where, (-_MOST_OF_POSSIBLE, _MOST_OF_POSSIBLE), *shares)
        _check(where, SIGNED, *_numbers_of(
            scores.necessity, scores.sufficiency, scores.dependence, scores.necessity_testable,
            scores.sufficiency_testable, scores.necessity_strict, scores.sufficiency_strict, scores.gold_necessity,
            scores.gold_sufficiency, scores.over_others, scores.colour_necessity, scores.ceiling,
        ))  # fmt: skip


def _check_others(where: str, found: ProbeSummary) -> None:
    """Raise ValueError where what was pasted, or what steps looked at, has numbers that no probe gives."""
    if (pasted := found.pasted) is not None:
        _check(where, SHARE, *_numbers_of(pasted.coverage, pasted.follows, pasted.follows_control))
        _check(where, SIGNED, *_numbers_of(pasted.follow, pasted.follow_testable, pasted.follow_strict))
    for steps in found.steps.values():
        for numbers in steps.scores.values():
            _check(where, SIGNED, *_numbers_of(numbers.first, numbers.earlier, numbers.last))
            paired = (numbers.last_over_earlier, numbers.last_over_earlier_testable, numbers.last_over_apart)
            _check(where, PAIRED, *_numbers_of(*paired))


def _numbers_of(*metrics: Metric) -> list[float | None]:
    return [number for metric in metrics for number in (metric.value, metric.ci_low, metric.ci_high)]


def _check(where: str, bounds: tuple[float, float], *numbers: float | None) -> None:
    for number in numbers:
        if number is not None and not bounds[0] <= number <= bounds[1]:
            raise ValueError(f"{where} has the number {number}, outside of [{bounds[0]:g}, {bounds[1]:g}]")


def _forms(samples: Sequence[ProbedSample]) -> tuple[Form, ...]:
    """Return the forms that there are numbers for."""
    known = any(record.p_original is not None for sample in samples for record in sample.records)
    return ("p", "same") if known else ("same",)


def _of_task(samples: Sequence[ProbedSample], plan: ProbePlan) -> ProbeSummary:
    by_fill = scores_of(samples, plan, "same")
    forms = _forms(samples)
    base_ok = [float(sample.is_format_ok) for sample in samples if sample.records]
    fills: dict[Fill, FillSummary] = {fill: _of_fill(samples, plan, fill, forms, by_fill[fill]) for fill in plan.fills}
    withheld = next((found.not_interpreted.get("paste", "") for found in fills.values()), "")
    return ProbeSummary(
        len(samples),
        fills,
        mean_of(samples, [_kept_again(sample) for sample in samples], SHARE),
        mean_of([sample for sample in samples if sample.records], base_ok, SHARE),
        _agreement(samples, [scores_of(samples, plan, forms[0])[fill] for fill in plan.fills]),
        summarise_pasted(samples, withheld),
        {
            fill: summarise_steps(samples, fill, forms, found.not_interpreted.get("steps", ""), seed=plan.seed)
            for fill, found in fills.items()
            if plan.steps
        },
    )


def _kept_again(sample: ProbedSample) -> float | None:
    again = next((record for record in sample.records if record.operation == "repeat"), None)
    return None if again is None or again.error is not None else float(again.is_same)


def _of_fill(
    samples: Sequence[ProbedSample],
    plan: ProbePlan,
    fill: Fill,
    forms: Sequence[Form],
    same: Sequence[SampleScore],
) -> FillSummary:
    edits = _edits(samples, fill)
    not_interpreted = _gate(edits, _format_before(samples, fill))
    not_asked = {operation: "not asked" for operation in OPERATIONS if operation not in plan.operations}
    withheld = {**not_interpreted, **not_asked}
    of_both = withheld.get("remove") or withheld.get("keep")
    counted = Counter(score.status for score in same)
    scored = [float(score.status in ("ok", "not_testable")) for score in same]
    alone = [_number(score.is_kept_by_region_alone) for score in same]
    scores: dict[Form, list[SampleScore]] = {form: scores_of(samples, plan, form)[fill] for form in forms}
    return FillSummary(
        {status: counted[status] for status in STATUSES if counted[status]},
        mean_of(samples, scored, SHARE),
        edits,
        not_interpreted,
        {form: _of_form(samples, found, withheld) for form, found in scores.items()},
        {} if "remove" in withheld else _relied(samples, scores[forms[0]]),
        null_metric(of_both) if of_both else mean_of(samples, alone, SHARE),
    )


def _edits(samples: Sequence[ProbedSample], fill: Fill) -> tuple[KindOfEdit, ...]:
    """Return what became of the texts under each kind of edit."""
    kinds: dict[tuple[Operation, Target], list[tuple[ProbedSample, ProbeRecord]]] = {}
    for sample in samples:
        for record in sample.records:
            if record.fill == fill or record.operation in WITHOUT_FILL:
                kinds.setdefault((record.operation, record.target), []).append((sample, record))
    made: list[KindOfEdit] = []
    for (operation, target), pairs in kinds.items():
        asked = [(sample, record) for sample, record in pairs if record.error is None]
        whose = [sample for sample, _ in asked]
        made.append(
            KindOfEdit(
                operation,
                target,
                len(pairs),
                mean_of(whose, [float(record.is_same) for _, record in asked], SHARE),
                # what is right for the picture as it was may be wrong for what is pasted over it
                null_metric("the picture is another")
                if (operation, target) == ("paste", "named")
                else mean_of(whose, [record.value for _, record in asked], SHARE),
                mean_of(whose, [float(record.is_format_ok) for _, record in asked], SHARE),
            )
        )
    return tuple(made)


def _format_before(samples: Sequence[ProbedSample], fill: Fill) -> dict[tuple[Operation, Target], float]:
    """Return by kind of edit how often the run's own texts keep the format, of the samples that it was asked of.

    Texts without a box are asked about no region, and may break the format more often than others: among all they would
    hide what an edit of the others takes away.
    """
    own: dict[tuple[Operation, Target], list[bool]] = {}
    for sample in samples:
        for record in sample.records:
            if record.error is None and (record.fill == fill or record.operation in WITHOUT_FILL):
                own.setdefault((record.operation, record.target), []).append(sample.is_format_ok)
    return {kind: sum(texts) / len(texts) for kind, texts in own.items()}


def _gate(edits: Sequence[KindOfEdit], before: Mapping[tuple[Operation, Target], float]) -> dict[str, str]:
    """Return by operation, and for `steps`, why it is not interpreted."""
    found: dict[str, str] = {}
    for edit in edits:
        kept = edit.format_ok.value
        if edit.operation == "repeat" or kept is None:
            continue
        rate = before[edit.operation, edit.target]
        if rate - kept > MOST_FORMAT_LOSS:
            found.setdefault(
                edit.gated,
                f"not interpretable for this model: {100 * kept:.0f} % of texts keep the format where it was "
                f"{100 * rate:.0f} %",
            )
        changed = None if edit.kept.value is None else 1 - edit.kept.value
        done = _RANDOM_PATCHES.get((edit.operation, edit.target))
        if done is not None and (changed or 0) > MOST_RANDOM_FLIPS:
            found.setdefault(
                edit.gated,
                f"not interpretable for this model: {100 * (changed or 0):.0f} % of answers change when a random "
                f"region is {done}",
            )
    return found


def _of_form(
    samples: Sequence[ProbedSample], scores: Sequence[SampleScore], withheld: Mapping[str, str]
) -> ProbeScores:
    has_answer = [sample.status not in NOT_MEANT for sample in samples]

    def mean(
        operation: Operation, value_of: Callable[[SampleScore], float | None], bounds: tuple[float, float] = SIGNED
    ) -> Metric:
        if operation in withheld:
            return null_metric(withheld[operation])
        return mean_of(samples, [value_of(score) for score in scores], bounds)

    def strict(operation: Operation, value_of: Callable[[SampleScore], float | None]) -> Metric:
        values = [(value_of(score) or 0.0) if there else None for there, score in zip(has_answer, scores, strict=True)]
        return null_metric(withheld[operation]) if operation in withheld else mean_of(samples, values, SIGNED)

    def share(operation: Operation, pair_of: Callable[[SampleScore], tuple[float | None, float | None]]) -> Metric:
        for needed in (operation, "blank"):
            if needed in withheld:
                return null_metric(withheld[needed])
        return _of_possible([pair_of(score) for score in scores])

    counted = mean_of(samples, [score.necessity for score in scores], SIGNED)
    return ProbeScores(
        necessity=mean("remove", lambda score: score.necessity),
        sufficiency=mean("keep", lambda score: score.sufficiency),
        dependence=mean("blank", lambda score: score.dependence),
        necessity_testable=mean("remove", lambda score: score.necessity if score.status == "ok" else None),
        sufficiency_testable=mean("keep", lambda score: score.sufficiency if score.status == "ok" else None),
        necessity_strict=strict("remove", lambda score: score.necessity),
        sufficiency_strict=strict("keep", lambda score: score.sufficiency),
        ceiling=mean("blank", lambda score: None if score.necessity is None else _less(1.0, score.kept_blank), SHARE),
        necessity_of_possible=share(
            "remove", lambda score: (score.necessity, _less(score.kept_control, score.kept_blank))
        ),
        sufficiency_of_possible=share(
            "keep", lambda score: (score.sufficiency, _less(score.kept_full, score.kept_only_control))
        ),
        gold_necessity=mean("remove", lambda score: score.gold_necessity),
        gold_sufficiency=mean("keep", lambda score: score.gold_sufficiency),
        over_others=mean("remove", lambda score: score.over_others),
        colour_necessity=mean("turn", lambda score: score.colour_necessity),
        is_artefact=counted.ci_high is not None and counted.ci_high < 0,
    )


def _of_possible(pairs: Sequence[tuple[float | None, float | None]]) -> Metric:
    """Return a sum over another, of the samples that have both; nothing where the other is next to nothing.

    Without an interval: what bounds the ratio is so far away that an interval within it would say nothing.
    """
    there = [(own, possible) for own, possible in pairs if own is not None and possible is not None]
    if not there:
        return null_metric("no sample has one")
    own, possible = (np.array([row[place] for row in there], dtype=np.float64) for place in (0, 1))
    if possible.sum() / len(there) < LEAST_ROOM:
        return null_metric(f"there is less than {LEAST_ROOM:g} to reach")

    return metric_of(float(own.sum() / possible.sum()), None, len(there))


def _agreement(samples: Sequence[ProbedSample], by_fill: Sequence[Sequence[SampleScore]]) -> Metric:
    if len(by_fill) < 2:
        return null_metric("one fill")
    values: list[float | None] = []
    for scores in zip(*by_fill, strict=True):
        found = [score.necessity for score in scores if score.necessity is not None]
        signs = [np.sign(value) for value in found]
        known = len(found) == len(scores) and any(abs(value) > RELIES_ABOVE for value in found)
        values.append(float(len(set(signs)) == 1) if known else None)
    return mean_of(samples, values, SHARE)


def _relied(samples: Sequence[ProbedSample], scores: Sequence[SampleScore]) -> dict[str, int]:
    """Return counts of samples by right or wrong answer and by whether they relied on their region."""
    counts = {f"{answer}, {relied}": 0 for answer in ("right", "wrong") for relied in ("relied", "did not")}
    for sample, score in zip(samples, scores, strict=True):
        if score.necessity is not None and sample.value is not None:
            answer = "right" if sample.value == 1 else "wrong"
            counts[f"{answer}, {'relied' if score.necessity > RELIES_ABOVE else 'did not'}"] += 1
    return counts


def _less(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else first - second


def _number(value: bool | None) -> float | None:
    return None if value is None else float(value)
