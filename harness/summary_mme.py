"""MME: per subtask 100 * accuracy over questions + 100 * share of images with both right, and the sums of subtasks.

An image has two questions. VLMEvalKit takes more: all count for the accuracy, the first two for "both right". With one
it ends in an error, as lmms-eval does with any other number than two; there is no score then.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from harness.intervals import sum_of_means_interval
from harness.means import (
    NOTHING_SCORED,
    Answers,
    Metric,
    ScoredRow,
    Unit,
    count_scored,
    mean_metric,
    means_of_parts,
    metric_of,
    null_metric,
    parts_of,
    row_unit,
)
from harness.sample_columns import cluster_of, mme_image
from harness.values import Protocol

MME_PERCEPTION: tuple[str, ...] = (
    "OCR",
    "artwork",
    "celebrity",
    "color",
    "count",
    "existence",
    "landmark",
    "position",
    "posters",
    "scene",
)
"""Subtasks of MME's perception score."""

MME_COGNITION: tuple[str, ...] = (
    "code_reasoning",
    "commonsense_reasoning",
    "numerical_calculation",
    "text_translation",
)
"""Subtasks of MME's cognition score."""

_MME_SUBTASK_MAXIMUM = 200.0
_PAIR = 2
_MORE_QUESTIONS: tuple[Protocol, ...] = ("vlmevalkit", "paper")
"""Protocols under which an image may have more questions than two."""


def mme_answers(rows: Sequence[ScoredRow], protocol: Protocol, seed: int) -> Answers:
    """Subtask scores, their sums, and the mean over rows."""
    del seed
    subtasks = mme_subtasks(rows, protocol)
    row_units = [row_unit(row) for row in rows]
    return Answers(
        n=count_scored(row_units),
        metrics={**_mme_sums(subtasks, protocol), "accuracy": mean_metric(row_units)},
        categories={name: _mme_subtask_metric(subtask) for name, subtask in subtasks.items() if name},
        l2_categories={},
    )


def mme_subtasks(rows: Sequence[ScoredRow], protocol: Protocol = "strict") -> dict[str, _MmeSubtask]:
    """Return the subtasks of the rows in the order of their names; the rows of an image in the benchmark's order."""
    images: dict[str, dict[str, list[ScoredRow]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        images[row.sample.category][cluster_of(row.sample)].append(row)
    more_than_two = protocol in _MORE_QUESTIONS
    return {name: _mme_subtask(images[name].values(), more_than_two=more_than_two) for name in sorted(images)}


def _mme_sums(subtasks: Mapping[str, _MmeSubtask], protocol: Protocol) -> dict[str, Metric]:
    """Return total, perception and cognition; each null, with the reason, when a part of it is missing."""
    scales = mme_scales(subtasks, protocol)
    refusals = {scale: mme_refusal(scale, names, subtasks, protocol) for scale, names in scales.items()}
    refusals["total"] = "; ".join(f"{scale}: {why}" for scale, why in refusals.items() if why) or None
    names_of = {"total": [name for names in scales.values() for name in names], **scales}
    metrics: dict[str, Metric] = {}
    for scale, names in names_of.items():
        why = refusals[scale] if subtasks else NOTHING_SCORED
        metrics[scale] = null_metric(why) if why else _mme_sum([subtasks[name] for name in names])
    return metrics


@dataclass(frozen=True, slots=True)
class _MmeSubtask:
    """The images of one MME subtask."""

    images: tuple[Unit, ...]
    """One unit per image that has its questions; None when one of them is unscored. The subtask's score is their mean.

    A value lies in [0, 200] where every image has two questions.
    """
    questions: int
    """Questions about the images with a value."""
    odd_images: int
    """Images with a number of questions that the protocol does not score."""
    homeless_rows: int
    """Rows that do not say which image they are about."""

    @property
    def scored(self) -> tuple[Unit, ...]:
        """Images with a value."""
        return tuple(image for image in self.images if image.value is not None)

    @property
    def refusal(self) -> str | None:
        """Why there is no score; None when there is one."""
        if self.homeless_rows:
            return f"{self.homeless_rows:,} rows name no image (group or question_id)"
        if self.odd_images:
            return f"{self.odd_images:,} images have another number of questions than two"
        return None if self.scored else NOTHING_SCORED


def _mme_subtask(images: Iterable[Sequence[ScoredRow]], *, more_than_two: bool) -> _MmeSubtask:
    """Score each image of a subtask: 100 * share of right answers + 100 when both are right."""
    taken: list[tuple[str, list[float | None]]] = []
    odd = homeless = 0
    for rows in images:
        if mme_image(rows[0].sample) is None:
            homeless += len(rows)
        elif len(rows) == _PAIR or (more_than_two and len(rows) > _PAIR):
            taken.append((cluster_of(rows[0].sample), [row.score.value for row in rows]))
        else:
            odd += 1
    counts = [len(values) for _, values in taken if None not in values]
    questions = sum(counts)
    mean_count = questions / len(counts) if counts else float(_PAIR)
    units = [Unit(_mme_image_value(values, mean_count), image) for image, values in taken]
    return _MmeSubtask(tuple(units), questions, odd, homeless)


def _mme_image_value(values: Sequence[float | None], mean_count: float) -> float | None:
    """Return an image's contribution to accuracy + accuracy+; None when a question is unscored.

    Right answers are divided by the images' mean number of questions, so that the mean over images is the accuracy
    over questions whatever their numbers are.
    """
    scored = [value for value in values if value is not None]
    if len(scored) < len(values):
        return None
    return 100.0 * math.fsum(scored) / mean_count + (100.0 if min(scored[:_PAIR]) == 1 else 0.0)


def mme_scales(subtasks: Mapping[str, _MmeSubtask], protocol: Protocol) -> dict[str, list[str]]:
    """Return the subtasks that each sum needs.

    lmms-eval adds up what is there and takes every subtask that is not perception for cognition.
    """
    if protocol != "lmms-eval":
        return {"perception": list(MME_PERCEPTION), "cognition": list(MME_COGNITION)}
    return {
        "perception": [name for name in subtasks if name in MME_PERCEPTION],
        "cognition": [name for name in subtasks if name not in MME_PERCEPTION],
    }


def mme_refusal(
    scale: str, names: Sequence[str], subtasks: Mapping[str, _MmeSubtask], protocol: Protocol
) -> str | None:
    """Say why a sum of subtasks cannot be given; None when it can."""
    strangers = [name or "(none)" for name in subtasks if name not in MME_PERCEPTION + MME_COGNITION]
    if protocol == "strict" and strangers:
        return f"rows of unknown subtasks: {_listed(strangers)}"
    missing = [name for name in names if name not in subtasks]
    if missing:
        return f"no rows of subtasks: {_listed(missing)}"
    if not names:
        return f"no rows of any {scale} subtask"
    return next((f"{name}: {why}" for name in names if (why := subtasks[name].refusal)), None)


def _mme_subtask_metric(subtask: _MmeSubtask) -> Metric:
    """Return a subtask's score out of 200; n counts questions."""
    why = subtask.refusal
    if why:
        return null_metric(why)
    mean = mean_metric(subtask.images, (0.0, _MME_SUBTASK_MAXIMUM))
    return replace(mean, n=subtask.questions)


def _mme_sum(subtasks: Sequence[_MmeSubtask]) -> Metric:
    """Return the sum of subtask scores; n counts questions.

    Images vary within their subtask only, as the benchmark fixes how many each has.
    """
    images = [image for subtask in subtasks for image in subtask.scored]
    strata = np.repeat(np.arange(len(subtasks)), [len(subtask.scored) for subtask in subtasks])
    values = np.array([image.value for image in images], dtype=np.float64)
    parts = parts_of(strata, np.arange(len(images)), values)
    interval = sum_of_means_interval(values, strata, bounds=(0.0, _MME_SUBTASK_MAXIMUM * len(subtasks)))
    questions = sum(subtask.questions for subtask in subtasks)
    return metric_of(math.fsum(means_of_parts(np.ones((1, len(images))), parts)[0]), interval, questions)


def _listed(names: Sequence[str], most: int = 20) -> str:
    """Return names for a message, with how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(name[:60] for name in names[:most]) + more
