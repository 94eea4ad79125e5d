"""One probed sample of a run, and means over samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from harness.probes.probe_records import ProbeRecord
from harness.probes.sample_scores import PasteStatus, ProbeStatus
from harness.stats.intervals import cluster_codes
from harness.summary.means import column_metric, null_metric
from harness.summary.summary_values import Metric
from harness.values import Record

if TYPE_CHECKING:  # it brings the scorer, which a page of stored numbers does without
    from harness.probes.before_asking import BeforeAsking, Key

NOT_MEANT: Final = frozenset[str]({"no_answer", "no_picture", "several_pictures", "answer_is_place"})
"""Statuses of samples that strict means leave out: nothing could be asked of them whatever the model did with its
boxes, or the run gave no answer."""
SIGNED: Final = (-1.0, 1.0)
"""Bounds of a difference of shares."""
SHARE: Final = (0.0, 1.0)
"""Bounds of a share."""


@dataclass(frozen=True, slots=True)
class ProbedSample:
    """One sample of a run, with what came of its edited pictures."""

    key: Key
    """Task and sample id."""
    cluster: str
    """What belongs together in intervals."""
    status: ProbeStatus
    """What was known before it was asked."""
    value: float | None
    """What the scorer gave the run's own answer."""
    is_format_ok: bool
    """Whether the run's own text keeps to the format."""
    records: tuple[ProbeRecord, ...] = ()
    """By edited picture; none of a sample that was not asked."""
    paste: PasteStatus | None = None
    """What was known of pasting before it was asked; None where that was not to be."""
    steps: int = 0
    """Number of the last step of its text that has a place; 0 where none has, or steps were not to be asked of."""


def probed_sample(record: Record, before: BeforeAsking, records: Sequence[ProbeRecord]) -> ProbedSample:
    """Return a sample of a run with what came of its edited pictures."""
    return ProbedSample(
        (record.sample.task, record.sample.id),
        record.sample.cluster_id,
        before.status,
        record.score.value,
        before.is_format_ok,
        tuple(records),
        before.paste,
        before.last_step,
    )


def mean_of(samples: Sequence[ProbedSample], values: Sequence[float | None], bounds: tuple[float, float]) -> Metric:
    """Return the mean of the values that are there, a value a sample, with an interval over clusters."""
    there = [(value, sample.cluster) for sample, value in zip(samples, values, strict=True) if value is not None]
    if not there:
        return null_metric("no sample has one")
    column = np.array([value for value, _ in there], dtype=np.float64)
    return column_metric(column, cluster_codes([cluster for _, cluster in there]), bounds)
