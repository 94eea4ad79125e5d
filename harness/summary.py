"""Turn one task's scored rows into its metrics: value, interval, n, and why a number is missing.

Each benchmark is aggregated as its protocol does it (VLMEvalKit and lmms-eval, read in source):

- every task: `accuracy`, the mean over rows, unless said otherwise;
- MMBench: circular. A question counts as right when every pass that is present is right; passes that are missing are
  not asked for, questions without their base pass do not count. `vanilla_accuracy` is the mean over rows;
- MMStar under `lmms-eval`: the mean of the l2 categories' means, as that program averages averages. Nothing else here
  does, but for MME's sum of subtasks;
- MME: per subtask 100 * accuracy over rows + 100 * share of images with both questions right; `perception` sums ten
  subtasks (at most 2000), `cognition` four (at most 800), `total` both;
- OCRBench: `score`, the number of right answers among the full 1,000.

Rows without a value are in no value and no n; `unscored` counts them by cause. The order of the rows changes nothing.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from harness.intervals import (
    CodeArray,
    FloatArray,
    Interval,
    Statistic,
    bootstrap_interval,
    bootstrap_intervals,
    cluster_codes,
    mean_interval,
    ratio_of_sums,
)
from harness.values import FAULTS, PARSE_FAULTS, Fault, Json, Protocol, Sample, Score

if TYPE_CHECKING:
    from harness.values import BoxMatch

IOU_HIT = 0.5
"""An overlap of at least this much is the right place (`acc@0.5`, the quadrants)."""

ANSWER_RIGHT = 0.5
"""An answer of at least this value is right in the answer x place quadrants."""

OCRBENCH_ROWS = 1000
"""Rows of the full OCRBench, so that its score reaches 1000."""

MMBENCH_PASS = 1_000_000
"""MMBench numbers the passes of question q as q, q + 1e6, q + 2e6..."""

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

OCRBENCH_TEXT_RECOGNITION: frozenset[str] = frozenset(
    {
        "Regular Text Recognition",
        "Irregular Text Recognition",
        "Artistic Text Recognition",
        "Handwriting Recognition",
        "Digit String Recognition",
        "Non-Semantic Text Recognition",
    }
)
"""OCRBench categories that its report adds up as Text Recognition."""

_MME_SUBTASK_MAXIMUM = 200.0
_UNSCORED_FAULTS: tuple[Fault, ...] = ("error", "needs_judge", "no_gold", "frame_unknown")
"""Causes of a null value; the causes that concern the answer come before the one that concerns boxes."""
_NOTHING_SCORED = "no scored rows"
_FRACTION = (0.0, 1.0)
_QUADRANTS = (
    "right_answer_right_place",
    "right_answer_wrong_place",
    "wrong_answer_right_place",
    "wrong_answer_wrong_place",
)
_BOX_METRICS = ("mean_iou", "acc@0.5", "matched_iou", "box_precision@0.5", "box_recall@0.5", *_QUADRANTS)
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")


@dataclass(frozen=True, slots=True)
class ScoredRow:
    """One sample and what its answer earned."""

    sample: Sample
    """The question with its gold."""
    score: Score
    """Its score under the protocol that is summarised."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One number of a summary with its 95 % interval."""

    value: float | None
    """The number; None when it cannot be given."""
    ci_low: float | None = None
    """Lower end; None without a value, or with fewer than two clusters."""
    ci_high: float | None = None
    """Upper end; None where `ci_low` is."""
    n: int = 0
    """Samples that the value counts (for MMBench's accuracy questions, each with all its passes)."""
    reason: str | None = None
    """Why there is no value; None where there is one."""


@dataclass(frozen=True, slots=True)
class TaskSummary:
    """One task's metrics and what became of its rows."""

    task: str
    """Short task name."""
    n: int
    """Scored rows; for MMBench questions that could be scored, each with all its passes."""
    rows: int
    """All rows, scored or not."""
    clusters: int
    """Independent clusters among the scored rows."""
    unscored: Mapping[Fault, int]
    """Rows without a value, by cause (`error`, `needs_judge`, `no_gold`, `frame_unknown`)."""
    faults: Mapping[Fault, int]
    """Rows with each fault; a row with two faults counts in both."""
    parse_fault_rows: int
    """Rows whose text did not keep to the format in some way (any fault of `PARSE_FAULTS`)."""
    truncated_rows: int
    """Rows whose text the token budget ended."""
    headline: str
    """Name of the metric to show where there is room for one."""
    metrics: Mapping[str, Metric]
    """Every metric by name, the headline first."""
    categories: Mapping[str, Metric]
    """The answer metric per category: a fraction, for MME the subtask's score out of 200."""
    l2_categories: Mapping[str, Metric]
    """The same per second-level category (for MathVista per skill: a row counts in each of its skills)."""

    @property
    def reasons(self) -> dict[str, str]:
        """Why metrics are null, by metric name."""
        return {name: metric.reason for name, metric in self.metrics.items() if metric.reason is not None}


def summarise(task: str, rows: Sequence[ScoredRow], protocol: Protocol, *, seed: int = 0) -> TaskSummary:
    """Aggregate the rows of one task.

    Rows with the same id count each and fall in one cluster; callers that hold several repeats of a run and want them
    apart summarise each repeat.

    Args:
        task: Short task name; decides the aggregation. A task without one of its own gets `accuracy`.
        rows: The task's rows in any order. Without any the metrics are null.
        protocol: How the benchmark aggregates.
        seed: Fixes the bootstrap's draws.

    Raises:
        ValueError: A row belongs to another task, or holds a number outside [0, 1].
    """
    for row in rows:
        _check(row, task)
    ordered = sorted(rows, key=_order)
    answers = _aggregator(task, protocol)(ordered, protocol, seed)
    faults: Counter[Fault] = Counter(fault for row in ordered for fault in row.score.faults)
    unscored: Counter[Fault] = Counter(_unscored_cause(row.score) for row in ordered if row.score.value is None)
    return TaskSummary(
        task=task,
        n=answers.n,
        rows=len(ordered),
        clusters=len({_cluster(row.sample) for row in ordered if row.score.value is not None}),
        unscored=_in_fixed_order(unscored),
        faults=_in_fixed_order(faults),
        parse_fault_rows=sum(not PARSE_FAULTS.isdisjoint(row.score.faults) for row in ordered),
        truncated_rows=sum("truncated" in row.score.faults for row in ordered),
        headline=next(iter(answers.metrics)),
        metrics={**answers.metrics, **_component_metrics(ordered, seed), **_box_metrics(ordered, seed)},
        categories=answers.categories,
        l2_categories=answers.l2_categories,
    )


def to_json(summary: TaskSummary) -> dict[str, Json]:
    """Return the summary as `score --json` and the run folder's `scores.json` hold it."""
    return {
        "n": summary.n,
        "rows": summary.rows,
        "clusters": summary.clusters,
        "headline": summary.headline,
        "metrics": _metrics_json(summary.metrics),
        "categories": _metrics_json(summary.categories),
        "l2_categories": _metrics_json(summary.l2_categories),
        "reasons": dict[str, Json](summary.reasons),
        "unscored": {str(fault): count for fault, count in summary.unscored.items()},
        "faults": {str(fault): count for fault, count in summary.faults.items()},
        "parse_fault_rows": summary.parse_fault_rows,
        "truncated_rows": summary.truncated_rows,
    }


@dataclass(frozen=True, slots=True)
class AnswerUnits:
    """What the headline of a task counts, as columns: rows, MMBench questions or MME images.

    Which units there are, and in which order, follows from the samples alone, not from their scores: two runs of the
    same samples in the same order have the same units.
    """

    values: FloatArray
    """What each unit earned; NaN when it could not be scored. In [0, 1], for MME's images in [0, 200]."""
    clusters: tuple[str, ...]
    """Units with the same cluster are not independent."""
    categories: tuple[tuple[str, ...], ...]
    """Categories that each unit counts in; an MME image in its subtask."""
    l2_categories: tuple[tuple[str, ...], ...]
    """Second-level categories that each unit counts in."""
    refusal: str | None
    """Why the headline cannot be made of these samples; None when it can."""


def answer_units(task: str, rows: Sequence[ScoredRow], protocol: Protocol) -> AnswerUnits:
    """Return what the task's headline counts.

    Args:
        task: Short task name.
        rows: The task's rows in any order, which the units keep.
        protocol: How the benchmark aggregates.
    """
    refusal: str | None = None
    if task.startswith("mmbench_"):
        units = _mmbench_questions(rows)
        if any(_mmbench_group(row.sample) is None for row in rows):
            refusal = "rows have neither index nor group, so that their passes cannot be put together"
        elif not units:
            refusal = f"no base pass (index below {MMBENCH_PASS:,})"
    elif task == "mme":
        subtasks = _mme_subtasks(rows)
        scales = _mme_scales(subtasks, protocol).items()
        refusal = "; ".join(why for scale, names in scales if (why := _mme_refusal(scale, names, subtasks, protocol)))
        units = [replace(image, categories=(name,)) for name, part in subtasks.items() for image in part.images]
    elif task == "mathvista":
        units = _mathvista_units(rows)
    else:
        units = [_ocrbench_unit(row) if task == "ocrbench" else _row_unit(row) for row in rows]
    return AnswerUnits(
        values=np.array([np.nan if unit.value is None else unit.value for unit in units], dtype=np.float64),
        clusters=tuple(unit.cluster for unit in units),
        categories=tuple(unit.categories for unit in units),
        l2_categories=tuple(unit.l2_categories for unit in units),
        refusal=refusal or None,
    )


@dataclass(frozen=True, slots=True)
class _Unit:
    """One thing that a mean counts: a row, an MMBench question or an MME image."""

    value: float | None
    """What it earned; None when it could not be scored."""
    cluster: str
    """Units with the same cluster are not independent."""
    categories: tuple[str, ...] = ()
    """Categories that it counts in."""
    l2_categories: tuple[str, ...] = ()
    """Second-level categories that it counts in."""


@dataclass(frozen=True, slots=True)
class _Answers:
    """What a task's own aggregation makes of the answers."""

    n: int
    """Scored units of the headline."""
    metrics: Mapping[str, Metric]
    """Metrics by name, the headline first."""
    categories: Mapping[str, Metric]
    """Per category."""
    l2_categories: Mapping[str, Metric]
    """Per second-level category."""


_Aggregate: TypeAlias = Callable[[Sequence[ScoredRow], Protocol, int], _Answers]


def _aggregator(task: str, protocol: Protocol) -> _Aggregate:
    """Return the aggregation of a task's answers under a protocol."""
    if task.startswith("mmbench_"):
        return _mmbench_answers
    if task == "mmstar" and protocol == "lmms-eval":
        return _macro_answers
    return {"mme": _mme_answers, "ocrbench": _ocrbench_answers, "mathvista": _mathvista_answers}.get(
        task, _plain_answers
    )


def _plain_answers(rows: Sequence[ScoredRow], protocol: Protocol, seed: int) -> _Answers:
    """Mean over rows, per category too."""
    del protocol
    return _mean_answers([_row_unit(row) for row in rows], seed)


def _mathvista_answers(rows: Sequence[ScoredRow], protocol: Protocol, seed: int) -> _Answers:
    """Mean over rows, per task and per skill as MathVista reports them; a row counts in each of its skills."""
    del protocol
    return _mean_answers(_mathvista_units(rows), seed)


def _mathvista_units(rows: Sequence[ScoredRow]) -> list[_Unit]:
    """Return the rows under MathVista's tasks and skills."""
    return [
        replace(
            _row_unit(row),
            categories=_names(_column(row.sample, "task")) or _named(row.sample.category),
            l2_categories=_names(_column(row.sample, "skills")) or _named(row.sample.l2_category),
        )
        for row in rows
    ]


def _ocrbench_answers(rows: Sequence[ScoredRow], protocol: Protocol, seed: int) -> _Answers:
    """Number of right answers; `strict` gives it for the full set only, the peers for any set.

    Where rows of the full set could not be scored, `strict` keeps the scale: 1000 * accuracy of the scored ones.
    """
    answers = _mean_answers([_ocrbench_unit(row) for row in rows], seed)
    accuracy = answers.metrics["accuracy"]
    if protocol != "strict" or not accuracy.n:
        score = _times(accuracy, accuracy.n)
    elif len(rows) == OCRBENCH_ROWS:
        score = _times(accuracy, OCRBENCH_ROWS)
    else:
        score = _null(f"needs the full {OCRBENCH_ROWS:,} rows, got {len(rows):,}")
    return replace(answers, metrics={"score": score, "accuracy": accuracy})


def _ocrbench_unit(row: ScoredRow) -> _Unit:
    """Return a row under its OCRBench category and the group that the report adds it to."""
    categories = _named(row.sample.category) or _names(_column(row.sample, "question_type"))
    groups = tuple("Text Recognition" if name in OCRBENCH_TEXT_RECOGNITION else name for name in categories)
    return replace(_row_unit(row), categories=categories, l2_categories=groups)


def _macro_answers(rows: Sequence[ScoredRow], protocol: Protocol, seed: int) -> _Answers:
    """Mean of the l2 categories' means, overall and within each category, as lmms-eval reports MMStar."""
    del protocol
    units = [_row_unit(row) for row in rows]
    categories = _by_name(units, lambda unit: unit.categories)
    l2_categories = _by_name(units, lambda unit: unit.l2_categories)
    return _Answers(
        n=_count_scored(units),
        metrics={"accuracy": _macro_mean(units, seed)},
        categories={name: _macro_mean(members, seed) for name, members in categories.items()},
        l2_categories={name: _mean(members, seed) for name, members in l2_categories.items()},
    )


def _mmbench_answers(rows: Sequence[ScoredRow], protocol: Protocol, seed: int) -> _Answers:
    """Share of questions whose every present pass is right; the protocols agree on this."""
    del protocol
    vanilla = _mean([_row_unit(row) for row in rows], seed)
    homeless = sum(_mmbench_group(row.sample) is None for row in rows)
    if homeless:
        accuracy = _null(f"{homeless:,} rows have neither index nor group, so that their passes cannot be put together")
        return _Answers(0, {"accuracy": accuracy, "vanilla_accuracy": vanilla}, {}, {})
    questions = _mmbench_questions(rows)
    answers = _mean_answers(questions, seed)
    accuracy = answers.metrics["accuracy"]
    if rows and not questions:
        accuracy = _null(f"no base pass (index below {MMBENCH_PASS:,}) among {len(rows):,} rows")
    return replace(answers, metrics={"accuracy": accuracy, "vanilla_accuracy": vanilla})


def _mmbench_questions(rows: Sequence[ScoredRow]) -> list[_Unit]:
    """Return one unit per question that has its base pass, under that pass's categories."""
    passes: dict[str, list[ScoredRow]] = defaultdict(list)
    for row in rows:
        passes[_cluster(row.sample)].append(row)
    questions: list[_Unit] = []
    for group, members in passes.items():
        base = next((row for row in members if _is_base_pass(row.sample)), None)
        if base is not None:
            value = _all_right([row.score.value for row in members])
            questions.append(replace(_row_unit(base), value=value, cluster=group))
    return questions


def _all_right(values: Sequence[float | None]) -> float | None:
    """Return 0 if any value is not 1, else None if any could not be scored, else 1."""
    if any(value is not None and value < 1 for value in values):
        return 0.0
    return None if None in values else 1.0


def _mmbench_group(sample: Sample) -> str | None:
    """Return what the passes of one question share; None when the row does not say."""
    group = _whole(sample.extra.get("g_index"))
    if group is None:
        index = _whole(sample.extra.get("index"))
        group = None if index is None else index % MMBENCH_PASS
    return (sample.cluster or None) if group is None else str(group)


def _is_base_pass(sample: Sample) -> bool:
    """Tell whether the row is its question's first pass; a row without an index may be."""
    index = _whole(sample.extra.get("index"))
    group = _whole(sample.extra.get("g_index"))
    return index is None or (index < MMBENCH_PASS if group is None else index == group)


def _mme_answers(rows: Sequence[ScoredRow], protocol: Protocol, seed: int) -> _Answers:
    """Subtask scores, their sums, and the mean over rows."""
    subtasks = _mme_subtasks(rows)
    row_units = [_row_unit(row) for row in rows]
    return _Answers(
        n=_count_scored(row_units),
        metrics={**_mme_sums(subtasks, protocol, seed), "accuracy": _mean(row_units, seed)},
        categories={name: _mme_subtask_metric(subtask, seed) for name, subtask in subtasks.items() if name},
        l2_categories={},
    )


def _mme_subtasks(rows: Sequence[ScoredRow]) -> dict[str, _MmeSubtask]:
    """Return the subtasks of the rows in the order of their names."""
    images: dict[str, dict[str, list[ScoredRow]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        images[row.sample.category][_cluster(row.sample)].append(row)
    return {name: _mme_subtask(images[name].values()) for name in sorted(images)}


def _mme_sums(subtasks: Mapping[str, _MmeSubtask], protocol: Protocol, seed: int) -> dict[str, Metric]:
    """Return total, perception and cognition; each null, with the reason, when a part of it is missing."""
    scales = _mme_scales(subtasks, protocol)
    refusals = {scale: _mme_refusal(scale, names, subtasks, protocol) for scale, names in scales.items()}
    refusals["total"] = "; ".join(f"{scale}: {why}" for scale, why in refusals.items() if why) or None
    names_of = {"total": [name for names in scales.values() for name in names], **scales}
    metrics: dict[str, Metric] = {}
    for scale, names in names_of.items():
        why = refusals[scale] if subtasks else _NOTHING_SCORED
        metrics[scale] = _null(why) if why else _mme_sum([subtasks[name] for name in names], seed)
    return metrics


@dataclass(frozen=True, slots=True)
class _MmeSubtask:
    """The images of one MME subtask."""

    images: tuple[_Unit, ...]
    """One unit per image that has its two questions; value in [0, 200], None when one of the two is unscored."""
    odd_images: int
    """Images with another number of questions than two."""
    homeless_rows: int
    """Rows that do not say which image they are about."""

    @property
    def scored(self) -> tuple[_Unit, ...]:
        """Images with a value."""
        return tuple(image for image in self.images if image.value is not None)

    @property
    def refusal(self) -> str | None:
        """Why there is no score; None when there is one."""
        if self.homeless_rows:
            return f"{self.homeless_rows:,} rows name no image (group or question_id)"
        if self.odd_images:
            return f"{self.odd_images:,} images have another number of questions than two"
        return None if self.scored else _NOTHING_SCORED


def _mme_subtask(images: Iterable[Sequence[ScoredRow]]) -> _MmeSubtask:
    """Score each image of a subtask: 100 * share of right answers + 100 when both are right."""
    pairs: list[_Unit] = []
    odd = homeless = 0
    for rows in images:
        if _mme_image(rows[0].sample) is None:
            homeless += len(rows)
        elif len(rows) != 2:
            odd += 1
        else:
            pairs.append(_Unit(_mme_image_value([row.score.value for row in rows]), _cluster(rows[0].sample)))
    return _MmeSubtask(tuple(pairs), odd, homeless)


def _mme_image_value(values: Sequence[float | None]) -> float | None:
    """Return an image's contribution to accuracy + accuracy+, in [0, 200]; None when a question is unscored."""
    scored = [value for value in values if value is not None]
    if len(scored) < len(values):
        return None
    return 100.0 * math.fsum(scored) / len(scored) + (100.0 if min(scored) == 1 else 0.0)


def _mme_image(sample: Sample) -> str | None:
    """Return which image the question is about; None when the row does not say."""
    name = sample.extra.get("question_id")
    return sample.cluster or (str(name) if isinstance(name, str | int | float) else None) or None


def _mme_scales(subtasks: Mapping[str, _MmeSubtask], protocol: Protocol) -> dict[str, list[str]]:
    """Return the subtasks that each sum needs.

    lmms-eval adds up what is there and takes every subtask that is not perception for cognition.
    """
    if protocol != "lmms-eval":
        return {"perception": list(MME_PERCEPTION), "cognition": list(MME_COGNITION)}
    return {
        "perception": [name for name in subtasks if name in MME_PERCEPTION],
        "cognition": [name for name in subtasks if name not in MME_PERCEPTION],
    }


def _mme_refusal(
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


def _mme_subtask_metric(subtask: _MmeSubtask, seed: int) -> Metric:
    """Return a subtask's score out of 200; n counts questions."""
    why = subtask.refusal
    if why:
        return _null(why)
    mean = _mean(subtask.images, seed, (0.0, _MME_SUBTASK_MAXIMUM))
    return replace(mean, n=2 * mean.n)


def _mme_sum(subtasks: Sequence[_MmeSubtask], seed: int) -> Metric:
    """Return the sum of subtask scores; n counts questions.

    Images are drawn within their subtask, as the benchmark fixes how many each has.
    """
    images = [image for subtask in subtasks for image in subtask.scored]
    strata = np.repeat(np.arange(len(subtasks)), [len(subtask.scored) for subtask in subtasks])
    values = np.array([image.value for image in images], dtype=np.float64)
    parts = _parts(strata, np.arange(len(images)), values)
    interval = bootstrap_interval(
        lambda counts: _means_of_parts(counts, parts).sum(axis=1),
        len(images),
        seed=seed,
        bounds=(0.0, _MME_SUBTASK_MAXIMUM * len(subtasks)),
        strata=strata,
    )
    return _metric(math.fsum(_means_of_parts(np.ones((1, len(images))), parts)[0]), interval, 2 * len(images))


def _component_metrics(rows: Sequence[ScoredRow], seed: int) -> dict[str, Metric]:
    """Return the mean of each stage's component where any row has it."""
    columns: dict[str, list[_Unit]] = {
        "format": [_Unit(row.score.components.format, _cluster(row.sample)) for row in rows],
        "caption": [_Unit(row.score.components.caption, _cluster(row.sample)) for row in rows],
        "bbox": [_Unit(row.score.components.bbox, _cluster(row.sample)) for row in rows],
    }
    return {name: _mean(units, seed) for name, units in columns.items() if _count_scored(units)}


def _box_metrics(rows: Sequence[ScoredRow], seed: int) -> dict[str, Metric]:
    """Return the box metrics where any row has gold boxes to score against.

    - `mean_iou`: mean of the union IoU; `acc@0.5`: share of samples where it is at least 0.5;
    - `matched_iou`: mean over samples of the matched pairs' IoU sum / the greater number of boxes, so that a missing
      and a superfluous box both cost;
    - `box_precision@0.5`, `box_recall@0.5`: matched pairs with IoU of at least 0.5 / all predicted, all gold boxes;
    - the answer x place quadrants, as shares of the samples that have both an answer value and an IoU.
    """
    placed = [row for row in rows if row.score.iou is not None]
    if not placed:
        return _unplaced_box_metrics(rows)
    overlaps = [_Unit(row.score.iou, _cluster(row.sample)) for row in placed]
    matches = [(row.score.match, _cluster(row.sample)) for row in placed if row.score.match is not None]
    return {
        "mean_iou": _mean(overlaps, seed),
        "acc@0.5": _mean([replace(unit, value=float((unit.value or 0) >= IOU_HIT)) for unit in overlaps], seed),
        "matched_iou": _mean([_Unit(_matched_iou(match), cluster) for match, cluster in matches], seed),
        **_box_rates(matches, seed),
        **_quadrants(placed, seed),
    }


def _unplaced_box_metrics(rows: Sequence[ScoredRow]) -> dict[str, Metric]:
    """Return null box metrics when gold boxes exist and only the frame is missing, so that the gap is seen."""
    lost = sum(bool(row.sample.boxes_image_px) and "frame_unknown" in row.score.faults for row in rows)
    why = f"the frame of the predicted boxes is not known in {lost:,} rows (declare --box-frame)"
    return dict.fromkeys(_BOX_METRICS, _null(why)) if lost else {}


def _matched_iou(match: BoxMatch) -> float | None:
    """Return one sample's matched IoU in [0, 1]; None when it has no box at all."""
    boxes = max(match.predicted, match.gold)
    return match.iou_sum / boxes if boxes else None


def _box_rates(matches: Sequence[tuple[BoxMatch, str]], seed: int) -> dict[str, Metric]:
    """Return precision and recall of boxes: counts of all samples together, divided once."""
    codes = cluster_codes([cluster for _, cluster in matches])
    hits = _sums_by_code(codes, [match.hits_50 for match, _ in matches])
    predicted = _sums_by_code(codes, [match.predicted for match, _ in matches])
    gold = _sums_by_code(codes, [match.gold for match, _ in matches])
    intervals = bootstrap_intervals(
        [ratio_of_sums(hits, predicted), ratio_of_sums(hits, gold)], len(hits), seed=seed, bounds=_FRACTION
    )
    totals = (float(predicted.sum()), float(gold.sum()))
    precision, recall = (
        _metric(float(hits.sum()) / total, interval, len(matches)) if total else None
        for total, interval in zip(totals, intervals, strict=True)
    )
    return {
        "box_precision@0.5": precision or _null("no boxes were predicted"),
        "box_recall@0.5": recall or _null("no gold boxes"),
    }


def _quadrants(rows: Sequence[ScoredRow], seed: int) -> dict[str, Metric]:
    """Return the shares of right and wrong answers in right and wrong places."""
    both: list[tuple[str, str]] = []
    for row in rows:
        if row.score.value is not None and row.score.iou is not None:
            answer = "right" if row.score.value >= ANSWER_RIGHT else "wrong"
            place = "right" if row.score.iou >= IOU_HIT else "wrong"
            both.append((f"{answer}_answer_{place}_place", _cluster(row.sample)))
    return {name: _mean([_Unit(float(name == found), cluster) for found, cluster in both], seed) for name in _QUADRANTS}


def _mean_answers(units: Sequence[_Unit], seed: int) -> _Answers:
    """Return the mean over units as `accuracy`, overall and per category."""
    categories = _by_name(units, lambda unit: unit.categories)
    l2_categories = _by_name(units, lambda unit: unit.l2_categories)
    return _Answers(
        n=_count_scored(units),
        metrics={"accuracy": _mean(units, seed)},
        categories={name: _mean(members, seed) for name, members in categories.items()},
        l2_categories={name: _mean(members, seed) for name, members in l2_categories.items()},
    )


def _mean(units: Sequence[_Unit], seed: int, bounds: tuple[float, float] = _FRACTION) -> Metric:
    """Return the mean over the scored units."""
    scored = [(unit.value, unit.cluster) for unit in units if unit.value is not None]
    if not scored:
        return _null(_NOTHING_SCORED)
    values = np.array([value for value, _ in scored])
    interval = mean_interval(
        values,
        [cluster for _, cluster in scored],
        binary=bool(np.isin(values, bounds).all()),
        seed=seed,
        bounds=bounds,
    )
    return _metric(math.fsum(values) / len(values), interval, len(values))


def _by_name(units: Sequence[_Unit], names_of: Callable[[_Unit], tuple[str, ...]]) -> dict[str, list[_Unit]]:
    """Return the units of each category name, in the order of the names; scored or not."""
    by_name: dict[str, list[_Unit]] = defaultdict(list)
    for unit in units:
        for name in names_of(unit):
            by_name[name].append(unit)
    return {name: by_name[name] for name in sorted(by_name)}


def _macro_mean(units: Sequence[_Unit], seed: int) -> Metric:
    """Return the unweighted mean of the l2 categories' means; a bootstrap draw averages the categories it holds."""
    scored = [unit for unit in units if unit.value is not None]
    if not scored:
        return _null(_NOTHING_SCORED)
    nameless = sum(not unit.l2_categories for unit in scored)
    if nameless:
        return _null(f"{nameless:,} rows have no l2_category to average over")
    codes = cluster_codes([unit.cluster for unit in scored])
    clusters = int(codes.max()) + 1
    names = cluster_codes([unit.l2_categories[0] for unit in scored])
    statistic = _macro_statistic(_parts(names, codes, np.array([unit.value for unit in scored], dtype=np.float64)))
    interval = bootstrap_interval(statistic, clusters, seed=seed, bounds=_FRACTION)
    return _metric(float(statistic(np.ones((1, clusters)))[0]), interval, len(scored))


@dataclass(frozen=True, slots=True)
class _Parts:
    """Data in parts whose means are summed or averaged; an entry is what one cluster has in one part."""

    clusters: CodeArray
    """Cluster of each entry, part after part."""
    sums: FloatArray
    """Sum of the values in each entry."""
    sizes: FloatArray
    """Number of values in each entry."""
    starts: CodeArray
    """First entry of each part."""


def _parts(part_codes: CodeArray, clusters: CodeArray, values: FloatArray) -> _Parts:
    """Add values up by part and cluster; the three arrays have one place per value and at least one."""
    width = int(clusters.max()) + 1
    entries, places = np.unique(part_codes * width + clusters, return_inverse=True)
    return _Parts(
        clusters=entries % width,
        sums=np.bincount(places, weights=values).astype(np.float64),
        sizes=np.bincount(places).astype(np.float64),
        starts=np.flatnonzero(np.diff(entries // width, prepend=-1)),
    )


def _means_of_parts(counts: FloatArray, parts: _Parts) -> FloatArray:
    """Return each part's mean in each draw (draws x parts); NaN where a draw holds nothing of a part."""
    drawn = counts[:, parts.clusters]
    sums = np.add.reduceat(drawn * parts.sums, parts.starts, axis=1)
    sizes = np.add.reduceat(drawn * parts.sizes, parts.starts, axis=1)
    return np.divide(sums, sizes, out=np.full_like(sums, np.nan), where=sizes > 0)


def _macro_statistic(parts: _Parts) -> Statistic:
    """Return the statistic that averages the means of the parts that a draw holds."""
    return lambda counts: np.nanmean(_means_of_parts(counts, parts), axis=1)


def _sums_by_code(codes: CodeArray, numbers: Sequence[int]) -> FloatArray:
    """Add numbers up by code."""
    return np.bincount(codes, weights=np.array(numbers, dtype=np.float64)).astype(np.float64)


def _metric(value: float, interval: Interval | None, n: int) -> Metric:
    """Return a metric that has a value."""
    if interval is None:
        return Metric(value, n=n)
    return Metric(value, interval.low, interval.high, n)


def _times(metric: Metric, factor: int) -> Metric:
    """Return a metric times a factor, without the rounding noise of a count that went through a mean."""
    value, low, high = (
        None if end is None else round(end * factor, 9) for end in (metric.value, metric.ci_low, metric.ci_high)
    )
    return replace(metric, value=value, ci_low=low, ci_high=high)


def _null(reason: str) -> Metric:
    """Return a metric that cannot be given."""
    return Metric(None, reason=reason)


def _metrics_json(metrics: Mapping[str, Metric]) -> dict[str, Json]:
    """Return metrics by name as JSON."""
    return {
        name: {"value": metric.value, "ci_low": metric.ci_low, "ci_high": metric.ci_high, "n": metric.n}
        for name, metric in metrics.items()
    }


def _check(row: ScoredRow, task: str) -> None:
    """Refuse a row of another task or with a number that no scorer gives."""
    sample, score = row.sample, row.score
    if sample.task != task:
        raise ValueError(f"row {sample.id!r} is of task {sample.task!r}, not {task!r}: summarise one task at a time")
    parts = score.components
    for number in (score.value, score.iou, parts.format, parts.caption, parts.bbox):
        if number is not None and not 0 <= number <= 1 + 1e-9:
            raise ValueError(f"row {sample.id!r} of task {task!r} holds the score {number}, which is not in [0, 1]")


def _order(row: ScoredRow) -> tuple[object, ...]:
    """Return a sort key that puts rows in one order, also rows with the same id."""
    sample, score = row.sample, row.score
    parts = score.components
    numbers = (score.value, score.iou, parts.format, parts.caption, parts.bbox)
    return (_cluster(sample), sample.id, sample.category, *(-1.0 if number is None else number for number in numbers))


def _row_unit(row: ScoredRow) -> _Unit:
    """Return a row as a unit of its own."""
    sample = row.sample
    return _Unit(row.score.value, _cluster(sample), _named(sample.category), _named(sample.l2_category))


def _cluster(sample: Sample) -> str:
    """Return what makes rows dependent: MMBench's question, MME's image, else the sample's own cluster."""
    if sample.task.startswith("mmbench_"):
        return _mmbench_group(sample) or sample.id
    if sample.task == "mme":
        return _mme_image(sample) or sample.id
    return sample.cluster_id


def _count_scored(units: Sequence[_Unit]) -> int:
    """Count the units with a value."""
    return sum(unit.value is not None for unit in units)


def _unscored_cause(score: Score) -> Fault:
    """Return why a row has no value; without any stated cause it is an error."""
    for fault in _UNSCORED_FAULTS:
        if fault in score.faults:
            return fault
    return "error"


def _in_fixed_order(counts: Mapping[Fault, int]) -> dict[Fault, int]:
    """Return fault counts in the order of `FAULTS`."""
    return {fault: counts[fault] for fault in FAULTS if counts.get(fault)}


def _column(sample: Sample, name: str) -> Json:
    """Return an official column, also from the `metadata` object in which MathVista's hub rows keep some."""
    value = sample.extra.get(name)
    metadata = sample.extra.get("metadata")
    return metadata.get(name) if value is None and isinstance(metadata, dict) else value


def _names(value: Json) -> tuple[str, ...]:
    """Return the names in a column: a list, a list as VLMEvalKit's TSV writes it, or one name."""
    if isinstance(value, list):
        return tuple(sorted({str(item) for item in value if item}))
    if not isinstance(value, str):
        return ()
    text = value.strip()
    if text.startswith("[") and text.endswith("]"):
        return tuple(sorted({one or other for one, other in _QUOTED.findall(text)}))
    return _named(text)


def _named(name: str) -> tuple[str, ...]:
    """Return a name as a tuple; the empty one names nothing."""
    return (name,) if name else ()


def _whole(value: Json) -> int | None:
    """Return a column's whole number; None when it is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, str):
        text = value.strip()
        return int(text) if len(text) <= 18 and text.isascii() and text.isdigit() else None
    return value if isinstance(value, int) else None


def _listed(names: Sequence[str], most: int = 20) -> str:
    """Return names for a message, with how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(name[:60] for name in names[:most]) + more
