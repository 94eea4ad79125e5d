"""What the edited pictures of one sample say about its region: necessity, sufficiency, image dependence.

    necessity    kept(a control removed, mean over controls) - kept(the region removed)
    sufficiency  kept(only the region kept) - kept(only a control kept, mean over controls)
    dependence   kept(nothing changed) - kept(all of the picture gone)

`kept` is the probability of the run's answer (form `p`), or 1 where the answer written anew is the same and 0 where it
is not (form `same`). Each lies in [-1, 1]. The control is what makes them say anything of the region: a model that any
patch upsets changes its answer as often when a patch lies elsewhere, and necessity is about 0, or below it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import fsum
from typing import Final, Literal, TypeAlias, get_args

from harness.probes.fills import WITHOUT_FILL, Fill, Operation
from harness.probes.probe_records import ProbeRecord
from harness.probes.variants import Target

Form: TypeAlias = Literal["p", "same"]
"""What is compared: the probability of the run's answer, or whether the answer stays."""
FORMS: Final[tuple[Form, ...]] = get_args(Form)

ProbeStatus: TypeAlias = Literal[
    "ok",
    "not_testable",
    "format_broken",
    "no_box",
    "control_impossible",
    "no_answer",
    "not_answered",
    "several_pictures",
    "no_picture",
    "answer_is_place",
]
"""Why a sample has no score, or `ok`. Only `not_testable` has one: its answer survives a blank picture, so no region
can matter to it. `format_broken`: a text about an edited picture has no answer. `no_answer`: the run's own has none.
`control_impossible`: its boxes leave no room for boxes of the same size elsewhere. `answer_is_place`: the region is
the answer itself."""
STATUSES: Final[tuple[ProbeStatus, ...]] = get_args(ProbeStatus)

PasteStatus: TypeAlias = Literal[
    "ok",
    "not_testable",
    "not_about_region",
    "nothing_other",
    "no_box",
    "control_impossible",
    "no_room",
    "format_broken",
    "no_answer",
    "not_answered",
    "several_pictures",
    "no_picture",
    "answer_is_place",
]
"""The same of what is pasted into a region, and: the question is not about what stands in one (`not_about_region`); all
that could be pasted would answer as the run did (`nothing_other`); no region of that shape lies apart from boxes and
gold (`no_room`)."""
PASTE_STATUSES: Final[tuple[PasteStatus, ...]] = get_args(PasteStatus)

LEAST_DEPENDENCE: Final = 0.1
"""A sample whose image dependence is not above this is not testable."""
RELIES_ABOVE: Final = 0.1
"""A sample whose necessity is above this relied on its region. A threshold to show counts by, nothing more."""


@dataclass(frozen=True, slots=True)
class SampleScore:
    """What one sample's edited pictures come to, by one fill and in one form."""

    task: str
    """Short task name."""
    id: str
    """Sample id."""
    fill: Fill
    """By which colour."""
    form: Form
    """What is compared."""
    status: ProbeStatus
    """Whether the scores count."""
    necessity: float | None = None
    """In [-1, 1]; None where it was not asked or the status takes it away."""
    sufficiency: float | None = None
    """The same."""
    dependence: float | None = None
    """The same; of samples without a box too."""
    kept_blank: float | None = None
    """How far the answer is kept on a blank picture."""
    kept_control: float | None = None
    """How far it is kept when a control is removed."""
    kept_full: float | None = None
    """How far it is kept on the picture as it is, asked once more."""
    kept_only_control: float | None = None
    """How far it is kept when a control alone is left."""
    gold_necessity: float | None = None
    """Necessity of the gold boxes."""
    gold_sufficiency: float | None = None
    """Sufficiency of the gold boxes."""
    over_others: float | None = None
    """Kept when what the question does not ask about is removed, less kept when the region is: a harder control."""
    colour_necessity: float | None = None
    """Kept when the colours of a random region are turned, less kept when those of the region are; of questions about
    colour alone."""
    is_kept_by_region_alone: bool | None = None
    """Whether the answer stays with the region alone and changes without it (as FPVG asks of annotated regions)."""


def sample_score(
    records: Sequence[ProbeRecord], task: str, sample_id: str, status: ProbeStatus, fill: Fill, form: Form
) -> SampleScore:
    """Return the scores of one sample.

    Args:
        records: What came of its edited pictures, by any fills.
        task: Short task name.
        sample_id: Sample id.
        status: What was known before it was asked: `ok`, `no_box` or `control_impossible` of those that were, others
            of those that were not.
        fill: By which colour.
        form: What is compared.
    """
    own = [
        record
        for record in records
        if (record.fill == fill or record.operation in WITHOUT_FILL)
        # what is pasted, and what steps looked at, have scores of their own: they take none away here
        and record.operation != "paste"
        and record.step == 0
    ]
    if any(record.error is not None for record in own):
        return SampleScore(task, sample_id, fill, form, "not_answered")

    def kept(operation: Operation, target: Target = "none") -> float | None:
        return _mean(own, operation, target, form)

    full, blank = kept("repeat"), kept("blank")
    dependence = dependence_of(own, form)
    if status == "ok" and _is_broken(own):
        status = "format_broken"
    elif status == "ok" and dependence is not None and dependence <= LEAST_DEPENDENCE:
        status = "not_testable"
    if status not in ("ok", "not_testable"):
        return SampleScore(task, sample_id, fill, form, status, dependence=dependence, kept_blank=blank, kept_full=full)
    removed, alone = kept("remove", "named"), kept("keep", "named")
    others = kept("remove", "other")
    control, only_control = kept("remove", "random"), kept("keep", "random")
    return SampleScore(
        task,
        sample_id,
        fill,
        form,
        status,
        necessity=_less(control, removed),
        sufficiency=_less(alone, only_control),
        dependence=dependence,
        kept_blank=blank,
        kept_control=control,
        kept_full=full,
        kept_only_control=only_control,
        gold_necessity=_less(kept("remove", "gold_random"), kept("remove", "gold")),
        gold_sufficiency=_less(kept("keep", "gold"), kept("keep", "gold_random")),
        over_others=_less(others, removed),
        colour_necessity=_less(kept("turn", "random"), kept("turn", "named")),
        is_kept_by_region_alone=_is_kept_by_region_alone(own),
    )


def dependence_of(records: Sequence[ProbeRecord], form: Form) -> float | None:
    """Return how much further an answer is kept with nothing changed than with all gone; None where not known."""
    return _less(_mean(records, "repeat", "none", form), _mean(records, "blank", "none", form))


def mean_kept(records: Sequence[ProbeRecord], form: Form) -> float | None:
    """Return how far an answer is kept, mean over edits; None where there is none, or one is not known."""
    values = [value for value in map(_KEPT[form], records) if value is not None]
    return fsum(values) / len(values) if values and len(values) == len(records) else None


def _mean(records: Sequence[ProbeRecord], operation: Operation, target: Target, form: Form) -> float | None:
    """Return how far an answer is kept under one kind of edit; None where it was not asked or is not known."""
    return mean_kept([one for one in records if one.operation == operation and one.target == target], form)


def _probability(record: ProbeRecord) -> float | None:
    return record.p_original


def _sameness(record: ProbeRecord) -> float:
    return float(record.is_same)


_KEPT: Final[dict[Form, Callable[[ProbeRecord], float | None]]] = {"p": _probability, "same": _sameness}


def _less(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else first - second


def _is_broken(records: Sequence[ProbeRecord]) -> bool:
    """Whether a text that necessity or sufficiency counts has no answer: the model was lost, not the evidence."""
    return any(record.answer is None for record in records if record.operation in ("remove", "keep"))


def _is_kept_by_region_alone(records: Sequence[ProbeRecord]) -> bool | None:
    alone, removed = (_mean(records, operation, "named", "same") for operation in ("keep", "remove"))
    return None if alone is None or removed is None else alone == 1 and removed == 0
