"""Metrics of the stages beside the answer: format, caption, boxes, and right answers in right places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from harness.intervals import CodeArray, FloatArray, bootstrap_intervals, cluster_codes, ratio_of_sums
from harness.means import FRACTION, Metric, ScoredRow, Unit, count_scored, mean_metric, metric_of, null_metric
from harness.sample_columns import cluster_of
from harness.values import BoxMatch

IOU_HIT = 0.5
"""An overlap of at least this much is the right place (`acc@0.5`, the quadrants)."""

ANSWER_RIGHT = 0.5
"""An answer of at least this value is right in the answer x place quadrants."""

_QUADRANTS = (
    "right_answer_right_place",
    "right_answer_wrong_place",
    "wrong_answer_right_place",
    "wrong_answer_wrong_place",
)

_BOX_METRICS = ("mean_iou", "acc@0.5", "matched_iou", "box_precision@0.5", "box_recall@0.5", *_QUADRANTS)


def component_metrics(rows: Sequence[ScoredRow], seed: int) -> dict[str, Metric]:
    """Return the mean of each stage's component where any row has it."""
    columns: dict[str, list[Unit]] = {
        "format": [Unit(row.score.components.format, cluster_of(row.sample)) for row in rows],
        "caption": [Unit(row.score.components.caption, cluster_of(row.sample)) for row in rows],
        "bbox": [Unit(row.score.components.bbox, cluster_of(row.sample)) for row in rows],
    }
    return {name: mean_metric(units, seed) for name, units in columns.items() if count_scored(units)}


def box_metrics(rows: Sequence[ScoredRow], seed: int) -> dict[str, Metric]:
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
    overlaps = [Unit(row.score.iou, cluster_of(row.sample)) for row in placed]
    matches = [(row.score.match, cluster_of(row.sample)) for row in placed if row.score.match is not None]
    return {
        "mean_iou": mean_metric(overlaps, seed),
        "acc@0.5": mean_metric([replace(unit, value=float((unit.value or 0) >= IOU_HIT)) for unit in overlaps], seed),
        "matched_iou": mean_metric([Unit(_matched_iou(match), cluster) for match, cluster in matches], seed),
        **_box_rates(matches, seed),
        **_quadrants(placed, seed),
    }


def _unplaced_box_metrics(rows: Sequence[ScoredRow]) -> dict[str, Metric]:
    """Return null box metrics when gold boxes exist and only the frame is missing, so that the gap is seen."""
    lost = sum(bool(row.sample.boxes_image_px) and "frame_unknown" in row.score.faults for row in rows)
    why = f"the frame of the predicted boxes is not known in {lost:,} rows (declare --box-frame)"
    return dict.fromkeys(_BOX_METRICS, null_metric(why)) if lost else {}


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
        [ratio_of_sums(hits, predicted), ratio_of_sums(hits, gold)], len(hits), seed=seed, bounds=FRACTION
    )
    totals = (float(predicted.sum()), float(gold.sum()))
    precision, recall = (
        metric_of(float(hits.sum()) / total, interval, len(matches)) if total else None
        for total, interval in zip(totals, intervals, strict=True)
    )
    return {
        "box_precision@0.5": precision or null_metric("no boxes were predicted"),
        "box_recall@0.5": recall or null_metric("no gold boxes"),
    }


def _quadrants(rows: Sequence[ScoredRow], seed: int) -> dict[str, Metric]:
    """Return the shares of right and wrong answers in right and wrong places."""
    both: list[tuple[str, str]] = []
    for row in rows:
        if row.score.value is not None and row.score.iou is not None:
            answer = "right" if row.score.value >= ANSWER_RIGHT else "wrong"
            place = "right" if row.score.iou >= IOU_HIT else "wrong"
            both.append((f"{answer}_answer_{place}_place", cluster_of(row.sample)))
    return {
        name: mean_metric([Unit(float(name == found), cluster) for found, cluster in both], seed) for name in _QUADRANTS
    }


def _sums_by_code(codes: CodeArray, numbers: Sequence[int]) -> FloatArray:
    """Add numbers up by code."""
    return np.bincount(codes, weights=np.array(numbers, dtype=np.float64)).astype(np.float64)
