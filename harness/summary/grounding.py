"""Metrics of the stages beside the answer: format, caption, boxes, and right answers in right places."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.stats.intervals import (
    CodeArray,
    FloatArray,
    ratio_interval,
)
from harness.summary.counted_units import ANSWER_RIGHT, IOU_HIT
from harness.summary.means import Metric, column_metric, metric_of, null_metric
from harness.summary.task_columns import TaskRows

_QUADRANTS = (
    "right_answer_right_place",
    "right_answer_wrong_place",
    "wrong_answer_right_place",
    "wrong_answer_wrong_place",
)

_BOX_METRICS = ("mean_iou", "acc@0.5", "matched_iou", "box_precision@0.5", "box_recall@0.5", *_QUADRANTS)


def component_metrics(rows: TaskRows, clusters: CodeArray) -> dict[str, Metric]:
    """Return the mean of each stage's component where any row has it; `clusters` holds a code per row."""
    return {
        name: column_metric(column, clusters) for name, column in rows.components.items() if not np.isnan(column).all()
    }


def box_metrics(rows: TaskRows, clusters: CodeArray) -> dict[str, Metric]:
    """Return the box metrics where any row has gold boxes to score against.

    - `mean_iou`: mean of the union IoU; `acc@0.5`: share of samples where it is at least 0.5;
    - `matched_iou`: mean over samples of the matched pairs' IoU sum / the greater number of boxes, so that a missing
      and a superfluous box both cost;
    - `box_precision@0.5`, `box_recall@0.5`: matched pairs with IoU of at least 0.5 / all predicted, all gold boxes;
    - the answer x place quadrants, as shares of the samples that have both an answer value and an IoU.
    """
    there = np.flatnonzero(np.isfinite(rows.ious))
    if not len(there):
        return _unplaced_box_metrics(rows)
    ious, clusters = rows.ious[there], clusters[there]
    matches = rows.matches[there]
    quadrants: dict[str, Metric] = {}
    if not rows.is_place[there].all():  # else the place is the answer
        quadrants = _quadrants(rows.scores[there], ious, clusters)
    return {
        "mean_iou": column_metric(ious, clusters),
        "acc@0.5": column_metric((ious >= IOU_HIT).astype(np.float64), clusters),
        "matched_iou": column_metric(_matched_ious(matches), clusters),
        **_box_rates(matches, clusters),
        **quadrants,
    }


def step_metrics(rows: TaskRows, clusters: CodeArray) -> dict[str, Metric]:
    """Return how the steps of thoughts go, as far as any row says it; `clusters` holds a code per row.

    - `valid_steps`: steps that look at a place in the image / all steps;
    - `first_step_iou`, `last_step_iou`: mean over samples of the union IoU of the first and of the last step with the
      gold, where the sample has gold boxes and its frame is known;
    - `narrowing_steps`: steps that narrow the one before them / all that have a place and such a one before.
    """
    if not rows.steps:
        return {}
    thoughts, clusters = list(rows.steps.values()), clusters[np.fromiter(rows.steps, dtype=np.int64)]
    valid = _step_rate([sum(step.is_valid for step in steps) for steps in thoughts], list(map(len, thoughts)), clusters)
    narrowing = _step_rate(
        [sum(step.change == "narrows" for step in steps) for steps in thoughts],
        [sum(step.change is not None for step in steps) for steps in thoughts],
        clusters,
    )
    overlaps = {
        name: _column([steps[place].iou for steps in thoughts])
        for name, place in (("first_step_iou", 0), ("last_step_iou", -1))
    }
    found = {
        "valid_steps": valid,
        **{name: column_metric(ious, clusters) for name, ious in overlaps.items() if not np.isnan(ious).all()},
        "narrowing_steps": narrowing,
    }
    return {name: metric for name, metric in found.items() if metric is not None}


def _step_rate(found: Sequence[int], all_steps: Sequence[int], clusters: CodeArray) -> Metric | None:
    """Return a share of all samples' steps together, counted in samples; None where there are no steps."""
    total = sum(all_steps)
    if not total:
        return None
    codes = np.unique(clusters, return_inverse=True)[1]
    sums, sizes = _sums_by_code(codes, found), _sums_by_code(codes, all_steps)
    return metric_of(sum(found) / total, ratio_interval(sums, sizes), sum(map(bool, all_steps)))


def _column(values: Sequence[float | None]) -> FloatArray:
    """Return the values as an array, NaN where there is none."""
    return np.array(values, dtype=np.float64)


def _unplaced_box_metrics(rows: TaskRows) -> dict[str, Metric]:
    """Return null box metrics when gold boxes exist and only the frame is missing, so that the gap is seen."""
    lost = rows.unplaced
    why = f"the frame of the predicted boxes is not known in {lost:,} rows (declare --box-dialect)"
    return dict.fromkeys(_BOX_METRICS, null_metric(why)) if lost else {}


def _matched_ious(matches: FloatArray) -> FloatArray:
    """Return each sample's matched IoU in [0, 1]; NaN when it has no box at all."""
    predicted, gold, iou_sums, _ = matches.T
    boxes = np.maximum(predicted, gold)
    return np.divide(iou_sums, boxes, out=np.full(len(boxes), np.nan), where=boxes > 0)


def _box_rates(matches: FloatArray, clusters: CodeArray) -> dict[str, Metric]:
    """Return precision and recall of boxes: counts of all samples together, divided once."""
    there = np.isfinite(matches[:, 0])
    codes = np.unique(clusters[there], return_inverse=True)[1]
    predicted, gold, _, hits = (np.bincount(codes, weights=column).astype(np.float64) for column in matches[there].T)
    precision, recall = (
        metric_of(float(hits.sum()) / float(boxes.sum()), ratio_interval(hits, boxes), int(there.sum()))
        if boxes.any()
        else None
        for boxes in (predicted, gold)
    )
    return {
        "box_precision@0.5": precision or null_metric("no boxes were predicted"),
        "box_recall@0.5": recall or null_metric("no gold boxes"),
    }


def _quadrants(answers: FloatArray, ious: FloatArray, clusters: CodeArray) -> dict[str, Metric]:
    """Return the shares of right and wrong answers in right and wrong places."""
    both = ~np.isnan(answers)
    right, placed, clusters = answers[both] >= ANSWER_RIGHT, ious[both] >= IOU_HIT, clusters[both]
    quadrants = (right & placed, right & ~placed, ~right & placed, ~right & ~placed)
    return {
        name: column_metric(found.astype(np.float64), clusters)
        for name, found in zip(_QUADRANTS, quadrants, strict=True)
    }


def _sums_by_code(codes: CodeArray, numbers: Sequence[int]) -> FloatArray:
    """Add numbers up by code."""
    return np.bincount(codes, weights=np.array(numbers, dtype=np.float64)).astype(np.float64)
