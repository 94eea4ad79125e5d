"""Whether answers follow what is pasted into the region that a text names.

    follow    follows(pasted into the region) - follows(the same pasted into a control, mean over controls)

Nothing is hidden: the edited picture shows other things where the text said it looked. `follows` is 1 where the answer
is that of what was pasted, or, where nobody knows that answer, where it is another than the run's. Answers alone are
compared: no backend is asked what the new answer weighs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import fsum

from harness.probes.probe_records import ProbeRecord
from harness.probes.probed_sample import NOT_MEANT, SHARE, SIGNED, ProbedSample, mean_of
from harness.probes.sample_scores import LEAST_DEPENDENCE, PASTE_STATUSES, PasteStatus, dependence_of
from harness.summary.means import null_metric
from harness.summary.summary_values import Metric

_SCORED = ("ok", "not_testable")
_NOT_ABOUT = ("not_about_region", "nothing_other")
"""Samples whose answer no paste could change, wherever the text looked."""


@dataclass(frozen=True, slots=True)
class PastedScore:
    """What pasting into one sample's region came to."""

    task: str
    """Short task name."""
    id: str
    """Sample id."""
    status: PasteStatus
    """Whether it counts."""
    is_known: bool = False
    """Whether the answer to what was pasted is known."""
    follows: float | None = None
    """Whether the answer follows what is pasted into the region."""
    follows_control: float | None = None
    """How often it follows the same in a control."""
    follow: float | None = None
    """The first less the second, in [-1, 1]."""


@dataclass(frozen=True, slots=True)
class PastedSummary:
    """What pasting comes to over the samples of a task."""

    statuses: Mapping[PasteStatus, int]
    """Samples by whether they have a score."""
    coverage: Metric
    """Share of samples with a score, of those whose answer a paste could change."""
    known: int
    """Samples with a score whose new answer is known; of the others an answer follows that changes."""
    follows: Metric
    """How often answers follow what is pasted into the region."""
    follows_control: Metric
    """How often they follow the same in a control."""
    follow: Metric
    """The first less the second: mean over samples with controls."""
    follow_testable: Metric
    """Mean over the samples whose answer the blank picture changes alone."""
    follow_strict: Metric
    """Mean over all samples with an answer that a paste could change; one without a score counts 0."""
    withheld: str = ""
    """Why nothing of this is given; empty where it is."""


def pasted_scores(samples: Sequence[ProbedSample]) -> list[PastedScore]:
    """Return the scores of the samples of which pasting was to be asked, in their order."""
    return [_score(sample, sample.paste) for sample in samples if sample.paste is not None]


def summarise_pasted(samples: Sequence[ProbedSample], withheld: str) -> PastedSummary | None:
    """Return what pasting comes to; None where it was not to be asked.

    Args:
        samples: Of one task.
        withheld: Why it is not interpreted; empty where it is.
    """
    meant = [sample for sample in samples if sample.paste is not None]
    scores = pasted_scores(meant)
    if not scores:
        return None
    counted = Counter(score.status for score in scores)
    could = [score.status not in NOT_MEANT and score.status not in _NOT_ABOUT for score in scores]

    def mean(values: Sequence[float | None], bounds: tuple[float, float] = SIGNED) -> Metric:
        return null_metric(withheld) if withheld else mean_of(meant, values, bounds)

    scored = [float(score.status in _SCORED) if there else None for score, there in zip(scores, could, strict=True)]
    return PastedSummary(
        {status: counted[status] for status in PASTE_STATUSES if counted[status]},
        mean_of(meant, scored, SHARE),
        sum(score.is_known for score in scores if score.status in _SCORED),
        follows=mean([score.follows for score in scores], SHARE),
        follows_control=mean([score.follows_control for score in scores], SHARE),
        follow=mean([score.follow for score in scores]),
        follow_testable=mean([score.follow if score.status == "ok" else None for score in scores]),
        follow_strict=mean(
            [(score.follow or 0.0) if there else None for score, there in zip(scores, could, strict=True)]
        ),
        withheld=withheld,
    )


def _score(sample: ProbedSample, status: PasteStatus) -> PastedScore:
    records = [record for record in sample.records if record.operation == "paste"]
    is_known = any(record.expected for record in records)
    if status == "ok":
        status = _status(sample, records)
    named = _followed([record for record in records if record.target == "named"])
    control = _followed([record for record in records if record.target == "random"])
    if status not in _SCORED or named is None or control is None:
        return PastedScore(*sample.key, status, is_known)
    return PastedScore(*sample.key, status, is_known, named, control, named - control)


def _status(sample: ProbedSample, records: Sequence[ProbeRecord]) -> PasteStatus:
    """Return whether what was written counts."""
    if any(record.error is not None for record in sample.records if record.operation in ("paste", "repeat", "blank")):
        return "not_answered"
    if any(record.answer is None for record in records):
        return "format_broken"
    dependence = dependence_of(sample.records, "same")
    return "not_testable" if dependence is not None and dependence <= LEAST_DEPENDENCE else "ok"


def _followed(records: Sequence[ProbeRecord]) -> float | None:
    return fsum(record.follows is True for record in records) / len(records) if records else None
