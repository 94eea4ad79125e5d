"""Keep of a task's records what aggregation reads, as columns: a summary goes through every record of every run.

A row costs a few numbers and references to texts that are shared: no object of its own, so that a hundred thousand
records take neither memory nor the time in which Python looks for objects that nobody needs any more.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from harness.stats.intervals import CodeArray, FloatArray
from harness.summary.baselines import GoldCounter, Golds
from harness.summary.box_habits import BOX_HABITS, habits_of
from harness.summary.clusters import TaskSamples, cluster_of
from harness.summary.counted_units import NEITHER, said_of
from harness.task_facts import facts_of
from harness.values import MAX_SHARE, NO_CHOICE, Fault, Json, KeptStages, Protocol, Sample, Score, StepScore
from harness.vocabulary import PLACE_RULES

_Value = TypeVar("_Value")

MATCH_COUNTS = ("predicted", "gold", "iou_sum", "hits_50")
"""What is kept of a box matching."""
_NO_MATCH = (math.nan,) * len(MATCH_COUNTS)

_NUMBERS = ("score", "iou", "format", "caption", "bbox")


@dataclass(frozen=True, slots=True)
class TaskRows:
    """One task's scored rows as columns, in one order whatever order they came in."""

    samples: TaskSamples
    """What aggregation reads of the samples."""
    scores: FloatArray
    """The answers' scores; NaN when unscored."""
    ious: FloatArray
    """Union IoUs; NaN where there is none."""
    components: Mapping[str, FloatArray]
    """`format`, `caption` and `bbox` by name; NaN where there is none."""
    said: FloatArray
    """What answers said, where the task counts it, else `NEITHER`; NaN when unscored."""
    faults: Sequence[tuple[Fault, ...]]
    """Each row's faults."""
    matches: FloatArray
    """One-to-one box matchings (rows x `MATCH_COUNTS`); NaN where there is none."""
    steps: Mapping[int, tuple[StepScore, ...]]
    """Steps of thoughts by place, where there are any."""
    kept: Mapping[int, KeptStages]
    """Which stages texts have by place, where the format lets any be left out."""
    is_place: NDArray[np.bool_]
    """Whether the place is the answer."""
    unplaced: int
    """Rows with gold boxes that boxes of an unknown frame cannot be compared with."""
    golds: Golds | None
    """What is right, for baselines; None where nobody asked for them."""
    habits: FloatArray | None
    """How each text points at places (rows x `BOX_HABITS`); None where nobody asked."""


class TaskColumns:
    """Takes one task's scored samples one by one."""

    def __init__(self, task: str, protocol: Protocol, *, baselines: bool = False, habits: bool = False) -> None:
        """Begin with no rows.

        Args:
            task: Short task name.
            protocol: Whose rules scored them.
            baselines: Whether to keep what is right, for baselines.
            habits: Whether to keep how texts point at places.
        """
        facts = facts_of(task)
        self.task = task
        self._protocol: Protocol = protocol
        self._reads_answers, self._reads_extra = facts.reads_answers, facts.reads_extra
        self._shared: dict[str, str] = {}
        self._ids: list[str] = []
        self._groups: list[str] = []
        self._clusters: list[str] = []
        self._categories: list[str] = []
        self._l2_categories: list[str] = []
        self._extras: list[Mapping[str, Json]] = []
        self._answers: list[tuple[str, ...] | None] = []
        self._numbers = tuple(array("d") for _ in _NUMBERS)
        self._absent = [0] * len(_NUMBERS)
        self._said = array("d")
        self._faults: list[tuple[Fault, ...]] = []
        self._fault_sets: dict[tuple[Fault, ...], tuple[Fault, ...]] = {}
        self._matches = array("d")
        self._steps: dict[int, tuple[StepScore, ...]] = {}
        self._kept: dict[int, KeptStages] = {}
        self._answered_by_place: set[int] = set()
        self._unplaced = 0
        self._golds = GoldCounter() if baselines else None
        self._habits = array("d") if habits else None

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def scored_values(self) -> tuple[float, ...]:
        """The scores of the rows that have one, in the order in which they came."""
        return tuple([value for value in self._numbers[0] if value == value])  # noqa: PLR0124 - NaN is unlike itself

    def add(self, sample: Sample, score: Score) -> None:
        """Take one row.

        Raises:
            ValueError: It belongs to another task.
        """
        if sample.task != self.task:
            told = f"is of task {sample.task!r}, not {self.task!r}: summarise one task at a time"
            raise ValueError(f"row {sample.id!r} {told}")
        place, shared = len(self._ids), self._shared
        self._ids.append(sample.id)
        group = shared.setdefault(sample.cluster, sample.cluster)
        self._groups.append(group)
        if self._reads_extra:
            self._clusters.append(cluster_of(self.task, sample.id, group, sample.extra))
            self._extras.append(sample.extra)
        else:
            self._clusters.append(group or sample.id)
        self._categories.append(shared.setdefault(sample.category, sample.category))
        self._l2_categories.append(shared.setdefault(sample.l2_category, sample.l2_category))
        if self._reads_answers:
            self._answers.append(sample.answers)
            self._said.append(said_of(score.extracted))
        parts = score.components
        values, ious, formats, captions, bboxes = self._numbers
        # one by one: a loop over the five takes twice the time, and every row of a run comes here
        values.append(self._none(0) if (number := score.value) is None else number)
        ious.append(self._none(1) if (number := score.iou) is None else number)
        formats.append(self._none(2) if (number := parts.format) is None else number)
        captions.append(self._none(3) if (number := parts.caption) is None else number)
        bboxes.append(self._none(4) if (number := parts.bbox) is None else number)
        self._faults.append(self._fault_sets.setdefault(score.faults, score.faults))
        match = score.match
        counts = _NO_MATCH if match is None else (match.predicted, match.gold, match.iou_sum, match.hits_50)
        self._matches.extend(counts)
        if score.steps:
            self._steps[place] = score.steps
        if score.kept is not NO_CHOICE:
            self._kept[place] = score.kept
        if sample.answer_rule in PLACE_RULES:
            self._answered_by_place.add(place)
        if score.faults and sample.boxes_image_px and "frame_unknown" in score.faults:
            self._unplaced += 1
        if self._golds is not None:
            self._golds.add(sample)
        if self._habits is not None:
            self._habits.extend(habits_of(sample, score, self._protocol))

    def _none(self, column: int) -> float:
        """Count a number that is not there, and return what stands for it."""
        self._absent[column] += 1
        return math.nan

    def rows(self) -> TaskRows:
        """Return the rows in one order, also those with the same id.

        Raises:
            ValueError: A row holds a number outside [0, 1].
        """
        numbers = [np.array(column, dtype=np.float64) for column in self._numbers]
        self._check(numbers)
        order = self._order(numbers)
        places = np.array(order, dtype=np.int64)
        values, ious, *components = (column[places] for column in numbers)
        said = np.array(self._said)[places] if self._reads_answers else np.full(len(order), NEITHER)
        habits = None
        if self._habits is not None:
            habits = np.array(self._habits).reshape(-1, len(BOX_HABITS))[places]
        return TaskRows(
            samples=self._samples(order),
            scores=values,
            ious=ious,
            components=dict(zip(_NUMBERS[2:], components, strict=True)),
            said=np.where(np.isnan(values), np.nan, said),
            faults=[self._faults[place] for place in order],
            matches=np.array(self._matches).reshape(-1, len(MATCH_COUNTS))[places],
            steps=_placed_anew(self._steps, places),
            kept=_placed_anew(self._kept, places),
            is_place=np.isin(places, list(self._answered_by_place)),
            unplaced=self._unplaced,
            golds=None if self._golds is None else self._golds.result(places),
            habits=habits,
        )

    def _samples(self, order: Sequence[int]) -> TaskSamples:
        extras = {new: self._extras[old] for new, old in enumerate(order) if self._extras[old]} if self._extras else {}
        answers = [self._answers[place] for place in order] if self._answers else [None] * len(order)
        return TaskSamples(
            task=self.task,
            ids=tuple([self._ids[place] for place in order]),
            groups=tuple([self._groups[place] for place in order]),
            clusters=tuple([self._clusters[place] for place in order]),
            categories=tuple([self._categories[place] for place in order]),
            l2_categories=tuple([self._l2_categories[place] for place in order]),
            extras=extras,
            answers=tuple(answers),
        )

    def _check(self, numbers: Sequence[FloatArray]) -> None:
        """Refuse a number that no scorer gives."""
        for column, absent in zip(numbers, self._absent, strict=True):
            wrong = ~((column >= 0) & (column <= MAX_SHARE))  # NaN too, which also stands for what is not there
            if int(wrong.sum()) != absent:
                outside = np.flatnonzero((column < 0) | (column > MAX_SHARE))
                place = int(outside[0] if len(outside) else np.flatnonzero(wrong)[0])
                held = f"holds the score {column[place]}, which is not in [0, 1]"
                raise ValueError(f"row {self._ids[place]!r} of task {self.task!r} {held}")

    def _order(self, numbers: Sequence[FloatArray]) -> list[int]:
        """Return the rows' places in one order: by cluster and id, rows with the same id by all else."""
        if len(set(self._ids)) == len(self._ids):
            pairs = list(zip(self._clusters, self._ids, strict=True))
            return sorted(range(len(pairs)), key=pairs.__getitem__)
        known: list[list[float]] = [np.where(np.isnan(column), -1.0, column).tolist() for column in numbers]
        keys = list(zip(self._clusters, self._ids, self._categories, *known, strict=True))
        return sorted(range(len(keys)), key=keys.__getitem__)


def _placed_anew(values: Mapping[int, _Value], places: CodeArray) -> dict[int, _Value]:
    """Return values by place in the new order, in that order."""
    if not values:
        return {}
    return {new: values[old] for new, old in enumerate(places.tolist()) if old in values}
