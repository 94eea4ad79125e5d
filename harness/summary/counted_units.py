"""Make what a benchmark counts of its samples: the samples themselves, MMBench's questions or MME's images.

Which units there are, and in which order, follows from the samples alone: two runs of the same samples have the same
units, and `Units.values` says what each of them earned in one run.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from harness.stats.intervals import CodeArray, FloatArray, cluster_codes
from harness.summary.clusters import MMBENCH_PASS, TaskSamples, category_names, image_of, is_base_pass, question_of
from harness.task_facts import IMAGE_POINTS, Earned, UnitKind

IOU_HIT = 0.5
"""An overlap of at least this much is the right place (`acc@0.5`, the quadrants)."""

ANSWER_RIGHT = 0.5
"""An answer of at least this value is right in the answer x place quadrants."""

_PAIR = 2
_FULL = IMAGE_POINTS / 2


@dataclass(frozen=True, slots=True)
class Units:
    """What a metric counts, as columns with one place per unit."""

    kind: UnitKind
    """What a unit is."""
    of_sample: CodeArray
    """Each sample's unit; -1 where it is in none."""
    sizes: CodeArray
    """How much each unit adds to n: an MME image its questions, all others one."""
    clusters: CodeArray
    """Units with the same code are not independent."""
    categories: tuple[tuple[str, ...], ...]
    """Categories that each unit counts in."""
    l2_categories: tuple[tuple[str, ...], ...]
    """Second-level categories that each unit counts in."""
    refusal: str | None = None
    """Why the samples cannot be put together to units; None when they can."""
    category_refusals: Mapping[str, str] = field(default_factory=dict[str, str])
    """Why a category has no score, for those that have none whatever was answered."""
    leading: NDArray[np.bool_] | None = None
    """Whether each sample is one of the first two of its image; None but for images."""

    @property
    def bounds(self) -> tuple[float, float]:
        """Least and greatest value of a unit."""
        return (0.0, float(IMAGE_POINTS)) if self.leading is not None else (0.0, 1.0)

    def values(self, scores: FloatArray, among: NDArray[np.bool_] | None = None) -> FloatArray:
        """Return what each unit earned.

        Args:
            scores: Each sample's score in [0, 1]; NaN when unscored.
            among: Units that count, as where two runs are compared on what both could score; None for all.

        Returns:
            One number per unit; NaN where it could not be scored, or does not count.
        """
        if self.kind == "sample":
            return scores if among is None else np.where(among, scores, np.nan)
        inside = self.of_sample >= 0
        codes, earned = self.of_sample[inside], scores[inside]
        missing = self._count(codes, np.isnan(earned)) > 0
        if self.leading is None:
            wrong = self._count(codes, earned < 1) > 0
            values = np.where(wrong, 0.0, np.where(missing, np.nan, 1.0))
        else:
            missing |= False if among is None else ~among
            values = self._image_values(codes, np.nan_to_num(earned), self.leading[inside], missing)
        return values if among is None else np.where(among, values, np.nan)

    def _image_values(
        self, codes: CodeArray, earned: FloatArray, leading: NDArray[np.bool_], missing: NDArray[np.bool_]
    ) -> FloatArray:
        """Return 100 * share of right answers + 100 when the first two are right.

        Right answers are divided by the mean number of questions of the category's images, so that the mean over
        images is the accuracy over questions whatever their numbers are.
        """
        categories = cluster_codes([own[0] for own in self.categories])
        questions = np.bincount(categories, weights=np.where(missing, 0, self.sizes))
        images = np.bincount(categories, weights=~missing)
        mean_count = np.divide(questions, images, out=np.full(len(images), float(_PAIR)), where=images > 0)
        both_right = self._count(codes[leading], earned[leading] == 1) == _PAIR
        sums = np.bincount(codes, weights=earned, minlength=len(self.sizes))
        return np.where(missing, np.nan, _FULL * sums / mean_count[categories] + _FULL * both_right)

    def _count(self, codes: CodeArray, of_those: NDArray[np.bool_]) -> CodeArray:
        """Count samples per unit."""
        return np.bincount(codes[of_those], minlength=len(self.sizes))


def earned_of(earned: Earned, values: FloatArray, ious: FloatArray) -> FloatArray:
    """Return what samples give a metric.

    Args:
        earned: What the metric counts.
        values: Their answers' scores in [0, 1]; NaN when unscored.
        ious: Their union IoUs; NaN where there is none to tell.

    Returns:
        One number in [0, 1] a sample; NaN where it could not be told.
    """
    if earned == "answer":
        return values
    both = (values >= ANSWER_RIGHT) & (ious >= IOU_HIT)
    return np.where(np.isnan(values) | np.isnan(ious), np.nan, both.astype(np.float64))


def make_units(samples: TaskSamples, kind: UnitKind) -> Units:
    """Put samples together to what is counted."""
    if kind == "sample":
        return _single_samples(samples)
    return _questions(samples) if kind == "question" else _images(samples, kind)


def _single_samples(samples: TaskSamples) -> Units:
    categories, l2_categories = category_names(samples)
    count = len(samples.ids)
    return Units(
        kind="sample",
        of_sample=np.arange(count),
        sizes=np.ones(count, dtype=np.int64),
        clusters=cluster_codes(samples.clusters),
        categories=categories,
        l2_categories=l2_categories,
    )


def _questions(samples: TaskSamples) -> Units:
    """Return one unit per MMBench question that has its base pass, under that pass's categories."""
    categories, l2_categories = category_names(samples)
    bases: dict[str, int] = {}
    for place in _by_id(samples):
        if is_base_pass(samples.official(place)):
            bases.setdefault(samples.clusters[place], place)
    names = sorted(bases)
    units = {name: unit for unit, name in enumerate(names)}
    homeless = sum(question_of(group, samples.official(place)) is None for place, group in enumerate(samples.groups))
    refusal = None
    if homeless:
        refusal = f"{homeless:,} rows have neither index nor group, so that their passes cannot be put together"
    elif samples.ids and not bases:
        refusal = f"no base pass (index below {MMBENCH_PASS:,}) among {len(samples.ids):,} rows"
    return Units(
        kind="question",
        of_sample=np.array([units.get(name, -1) for name in samples.clusters], dtype=np.int64),
        sizes=np.ones(len(names), dtype=np.int64),
        clusters=np.arange(len(names)),
        categories=tuple([categories[bases[name]] for name in names]),
        l2_categories=tuple([l2_categories[bases[name]] for name in names]),
        refusal=refusal,
    )


def _images(samples: TaskSamples, kind: UnitKind) -> Units:
    """Return one unit per MME image of a subtask that has its questions.

    An image whose name comes in two subtasks is one in each. VLMEvalKit ends in an error at an image of one question,
    and lmms-eval at one of any other number than two: such a subtask has no score.
    """
    images: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place in _by_id(samples):
        images[samples.categories[place], samples.clusters[place]].append(place)
    taken: list[tuple[str, str]] = []
    odd: dict[str, int] = defaultdict(int)
    homeless: dict[str, int] = defaultdict(int)
    for (category, image), places in sorted(images.items()):
        if image_of(samples.groups[places[0]], samples.official(places[0])) is None:
            homeless[category] += len(places)
        elif len(places) == _PAIR or (kind == "image_of_more" and len(places) > _PAIR):
            taken.append((category, image))
        else:
            odd[category] += 1
    of_sample = np.full(len(samples.ids), -1, dtype=np.int64)
    leading = np.zeros(len(samples.ids), dtype=np.bool_)
    for unit, key in enumerate(taken):
        of_sample[images[key]] = unit
        leading[images[key][:_PAIR]] = True
    return Units(
        kind=kind,
        of_sample=of_sample,
        sizes=np.array([len(images[key]) for key in taken], dtype=np.int64),
        clusters=np.arange(len(taken)),
        categories=tuple([(category,) for category, _ in taken]),
        l2_categories=((),) * len(taken),
        category_refusals={
            **{name: f"{count:,} images have another number of questions than two" for name, count in odd.items()},
            **{name: f"{count:,} rows name no image (group or question_id)" for name, count in homeless.items()},
        },
        leading=leading,
    )


def _by_id(samples: TaskSamples) -> Sequence[int]:
    """Return the samples' places in the order of their ids, whatever order a run has them in."""
    return sorted(range(len(samples.ids)), key=samples.ids.__getitem__)
