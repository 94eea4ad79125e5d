"""Make what a benchmark counts of its samples: the samples themselves, or what several of them are put together to.

Which units there are, and in which order, follows from the samples alone: two runs of the same samples have the same
units, and `Units.values` says what each of them earned in one run.
"""

from __future__ import annotations

import re
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

NEITHER = 0.5
"""What an answer said that says neither yes (1) nor no (0)."""

OUTCOMES = ("a step and the whole wrong", "the whole wrong", "all right", "some steps wrong", "all steps wrong")
"""What can become of a We-Math problem: in the last three the whole is right."""

_PAIR = 2
_FULL = IMAGE_POINTS / 2


@dataclass(frozen=True, slots=True)
class Units:
    """What a metric counts, as columns with one place per unit."""

    kind: UnitKind
    """What a unit is."""
    of_sample: CodeArray
    """Each sample's unit; -1 where it is in none, or where `samples` says it."""
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
    samples: CodeArray | None = None
    """Each unit's sample, where a sample may be in several units; None where no sample is."""
    says_yes: NDArray[np.bool_] | None = None
    """Whether a unit asks if yes was said to its sample, not if no was; None but for what was said."""
    gold_yes: NDArray[np.bool_] | None = None
    """Whether yes is right for a unit's sample, not no; None but for what was said."""
    outcomes: CodeArray | None = None
    """Which of `OUTCOMES` each unit asks its problem about, all of a problem's in a row; None but for problems, where
    `of_sample` says each sample's problem."""
    is_whole: NDArray[np.bool_] | None = None
    """Whether each sample is the whole of its problem, not a step; None but for problems."""

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
        if self.outcomes is not None:
            own = self._outcome_values(scores)
            return own if among is None else np.where(among, own, np.nan)
        if self.samples is not None:
            own = scores[self.samples]
            if self.says_yes is not None:
                own = np.where(np.isnan(own), np.nan, own == np.where(self.says_yes, 1.0, 0.0))
            return own if among is None else np.where(among, own, np.nan)
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

    def samples_in(self, places: CodeArray) -> CodeArray:
        """Return the places of the samples that some units are made of."""
        if self.samples is not None:
            return np.unique(self.samples[places])
        if self.outcomes is not None:
            places = places // len(OUTCOMES)
        return np.flatnonzero(np.isin(self.of_sample, places))

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

    def _outcome_values(self, scores: FloatArray) -> FloatArray:
        """Return 1 for the unit that asks about what became of its problem, 0 for its others; NaN where unscored."""
        if self.is_whole is None:
            raise ValueError("units of problems that do not say which samples are whole ones")
        inside = self.of_sample >= 0
        codes, earned, is_whole = self.of_sample[inside], scores[inside], self.is_whole[inside]
        problems = len(self.sizes) // len(OUTCOMES)

        def count(of_those: NDArray[np.bool_]) -> CodeArray:
            return np.bincount(codes[of_those], minlength=problems)

        wrong, right = count(~is_whole & (earned < 1)), count(~is_whole & (earned == 1))
        wholly_right = count(is_whole & (earned == 1)) > 0
        # In the order of `OUTCOMES`.
        became = np.where(wholly_right, np.where(wrong == 0, 2, np.where(right > 0, 3, 4)), np.where(wrong > 0, 0, 1))
        became = np.where(count(np.isnan(earned)) > 0, np.nan, became)
        asked = np.repeat(became, len(OUTCOMES))
        return np.where(np.isnan(asked), np.nan, asked == self.outcomes)

    def _count(self, codes: CodeArray, of_those: NDArray[np.bool_]) -> CodeArray:
        """Count samples per unit."""
        return np.bincount(codes[of_those], minlength=len(self.sizes))


def said_of(extracted: str | None) -> float:
    """Return what an answer said, from what was taken for it: 1 for yes, 0 for no, else `NEITHER`."""
    return {"Yes": 1.0, "No": 0.0}.get(extracted or "", NEITHER)


def earned_of(earned: Earned, values: FloatArray, ious: FloatArray, said: FloatArray) -> FloatArray:
    """Return what samples give a metric.

    Args:
        earned: What the metric counts.
        values: Their answers' scores in [0, 1]; NaN when unscored.
        ious: Their union IoUs; NaN where there is none to tell.
        said: What they said, of `said_of`; NaN when unscored.

    Returns:
        One number in [0, 1] a sample; NaN where it could not be told.
    """
    if earned == "answer":
        return values
    if earned == "said":
        return said
    both = (values >= ANSWER_RIGHT) & (ious >= IOU_HIT)
    return np.where(np.isnan(values) | np.isnan(ious), np.nan, both.astype(np.float64))


def make_units(samples: TaskSamples, kind: UnitKind) -> Units:
    """Put samples together to what is counted."""
    if kind == "sample":
        return _single_samples(samples)
    if kind == "question":
        return _questions(samples)
    if kind in {"figure", "question_of_set"}:
        return _figures(samples, kind)
    if kind == "problem":
        return _problems(samples)
    return _images(samples, kind) if kind in {"image_of_two", "image_of_more"} else _several_of_a_sample(samples, kind)


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


def _figures(samples: TaskSamples, kind: UnitKind) -> Units:
    """Return one unit per HallusionBench figure with all its questions, or per question with all figures of its set.

    A set holds a picture and its altered versions, of which the same questions are asked: what is right on a question
    of one figure hangs together with the others, so the set is the cluster of a question, and each figure its own.
    Names are those of VLMEvalKit (`utils/yorn.py`, `Hallusion_rating`) and lmms-eval (`hallusion_bench/utils.py`).
    """
    categories, l2_categories = category_names(samples)
    column = "figure_id" if kind == "figure" else "question_id"
    groups: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    homeless = 0
    for place in _by_id(samples):
        extra = samples.official(place)
        own, part = extra.get("set_id"), extra.get(column)
        homeless += own is None or part is None
        subject = samples.l2_categories[place] or samples.categories[place]
        groups[subject, str(own), str(part)].append(place)
    names = sorted(groups)
    of_sample = np.full(len(samples.ids), -1, dtype=np.int64)
    for unit, name in enumerate(names):
        of_sample[groups[name]] = unit
    first = [groups[name][0] for name in names]
    sets = [" ".join(name[:2]) for name in names]
    return Units(
        kind=kind,
        of_sample=of_sample,
        sizes=np.ones(len(names), dtype=np.int64),
        clusters=np.arange(len(names)) if kind == "figure" else cluster_codes(sets),
        categories=tuple([categories[place] for place in first]),
        l2_categories=tuple([l2_categories[place] for place in first]),
        refusal=f"{homeless:,} rows have no set_id or no {column} (extra)" if homeless else None,
    )


_PROBLEM_KEY = re.compile(r"([23])steps_(?:([123])|multi)")
"""What We-Math calls a question: how many steps its problem has, and which of them it is, or the whole."""


def _problems(samples: TaskSamples) -> Units:
    """Return five units per We-Math problem that has all its steps and the whole: one for each of `OUTCOMES`.

    The peers join a problem's questions by `ID` and `key` (`process_steps_data`); here the cluster is the problem.
    """
    categories, l2_categories = category_names(samples)
    parts: dict[str, dict[str, int]] = defaultdict(dict)
    wanted: dict[str, int] = {}
    homeless = 0
    for place in _by_id(samples):
        found = _PROBLEM_KEY.fullmatch(str(samples.official(place).get("key")))
        homeless += found is None
        if found is not None:
            parts[samples.clusters[place]][found[2] or "whole"] = place
            wanted[samples.clusters[place]] = int(found[1]) + 1
    names = sorted(name for name, own in parts.items() if len(own) == wanted[name])
    of_sample = np.full(len(samples.ids), -1, dtype=np.int64)
    is_whole = np.zeros(len(samples.ids), dtype=np.bool_)
    for problem, name in enumerate(names):
        for part, place in parts[name].items():
            of_sample[place], is_whole[place] = problem, part == "whole"
    wholes = [parts[name]["whole"] for name in names]
    refusal = None
    if homeless:
        refusal = f"{homeless:,} rows do not say which step they are (key, such as 2steps_1 or 3steps_multi)"
    elif samples.ids and not names:
        refusal = "no problem has all its steps and the whole"
    each = len(OUTCOMES)
    return Units(
        kind="problem",
        of_sample=of_sample,
        sizes=np.tile(np.eye(1, each, dtype=np.int64)[0], len(names)),
        clusters=np.repeat(np.arange(len(names)), each),
        categories=tuple([categories[place] for place in wholes for _ in range(each)]),
        l2_categories=tuple([l2_categories[place] for place in wholes for _ in range(each)]),
        refusal=refusal,
        outcomes=np.tile(np.arange(each), len(names)),
        is_whole=is_whole,
    )


def _several_of_a_sample(samples: TaskSamples, kind: UnitKind) -> Units:
    """Return one unit per sample and category, or two of what was said: whether yes, and whether no.

    Categories are joined by commas where a question is asked in several samplings, as VLMEvalKit's POPE has it
    (`utils/yorn.py`, `POPE_rating`). A sample whose gold is neither yes nor no is no find and no miss.
    """
    said = kind in {"said", "said_in_category"}
    golds = [_gold_yes(answers) for answers in samples.answers]
    found = [
        (place, category, says_yes)
        for place, own in enumerate(samples.categories)
        if not said or golds[place] is not None
        for category in ((own,) if kind == "said" else own.split(","))
        for says_yes in ((True, False) if said else (True,))
    ]
    places = np.array([place for place, _, _ in found], dtype=np.int64)
    says = np.array([says_yes for _, _, says_yes in found], dtype=np.bool_)
    return Units(
        kind=kind,
        of_sample=np.full(len(samples.ids), -1, dtype=np.int64),
        sizes=says.astype(np.int64),
        clusters=cluster_codes(samples.clusters)[places],
        categories=tuple([(category,) if category else () for _, category, _ in found]),
        l2_categories=((),) * len(found),
        samples=places,
        says_yes=says if said else None,
        gold_yes=np.array([golds[place] for place, _, _ in found], dtype=np.bool_) if said else None,
    )


def _gold_yes(answers: Sequence[str] | None) -> bool | None:
    """Return whether the gold is yes; None where it is neither yes nor no."""
    gold = answers[0].strip().rstrip(".").lower() if answers else ""
    return {"yes": True, "no": False}.get(gold)


def _by_id(samples: TaskSamples) -> Sequence[int]:
    """Return the samples' places in the order of their ids, whatever order a run has them in."""
    return sorted(range(len(samples.ids)), key=samples.ids.__getitem__)
