"""What the attention of a run's texts comes to: densities with their controls, and how they go with answers and places.

Correlation is not cause: that attention lies in a region says nothing of whether the answer came from there. `probe`
asks that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal, cast

import msgspec
import numpy as np

from harness.probes.association import Association, auc_of, rank_correlation
from harness.probes.attention_records import SPANS, STATUSES, AttentionRecord, AttentionStatus, Span, SpanAttention
from harness.stats.intervals import cluster_codes
from harness.summary.means import column_metric, null_metric
from harness.summary.summary_values import Metric
from harness.values import Json, Record

DEFINITION: Final = (
    "density: attention of the rows that predict the span's tokens (mean over rows, heads and full-attention layers), "
    "its share within the region over the region's share of the picture; ours, not the paper's formula"
)
SCHEMA_VERSION: Final = 1
"""Of `attention.json`."""
BINS: Final = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, float("inf"))
"""Edges of the densities between which answers are counted."""


@dataclass(frozen=True, slots=True)
class AccuracyBin:
    """Answers of samples whose density lies in a range."""

    low: float
    """Least density, inclusive."""
    high: float | None
    """Greatest density, exclusive; None without end."""
    accuracy: Metric
    """Mean score of their answers."""


@dataclass(frozen=True, slots=True)
class SpanSummary:
    """What one span's attention comes to over a run."""

    density: Metric
    """In the boxes that the text names."""
    density_gold: Metric
    """In the gold boxes."""
    density_shuffled: Metric
    """In the boxes of another sample: the control of the place alone, about 1."""
    gold_over_others: Metric
    """How often the gold region has more than every other object of the picture; 0.5 of two objects says nothing."""
    pointing: Metric
    """How often the cell with most attention belongs to the named boxes."""
    pointing_chance: Metric
    """How often a cell drawn at random does."""
    image_mass: Metric
    """Share of the attention that goes to the picture at all."""
    right_answers: Association
    """Density in the named boxes and right answers: AUC, 0.5 says nothing."""
    overlap: Association
    """Density in the named boxes and their IoU with the gold: Spearman, 0 says nothing."""
    bins: tuple[AccuracyBin, ...]
    """Accuracy by density."""
    below_one_cell: int
    """Samples whose boxes are smaller than a cell."""


@dataclass(frozen=True, slots=True)
class AttentionSummary:
    """What the attention of one task's texts comes to."""

    statuses: Mapping[AttentionStatus, int]
    """Samples by whether they could be read."""
    spans: Mapping[Span, SpanSummary]
    """By the part of the text."""
    layers: int
    """Layers over which it is the mean."""
    layers_passed_over: int
    """Layers with a sliding window, which are not in it."""
    retokenised: int
    """Samples whose tokens were made of their text anew."""


def summarise_attention(
    records: Sequence[Record], attended: Sequence[AttentionRecord], *, seed: int
) -> dict[str, AttentionSummary]:
    """Return the summary of each task, in the order of the run.

    Args:
        records: The run's records; samples that were not attended are passed over.
        attended: Their attention.
        seed: Of the draws for intervals.
    """
    by_key = {(record.sample.task, record.sample.id): record for record in records if not record.repeat}
    tasks: dict[str, list[tuple[Record, AttentionRecord]]] = {}
    for found in attended:
        if (record := by_key.get((found.task, found.id))) is not None:
            tasks.setdefault(found.task, []).append((record, found))
    return {task: _of_task(pairs, seed) for task, pairs in tasks.items()}


def attention_scores(
    summary: Mapping[str, AttentionSummary], *, seed: int, limit: int | None, samples: int
) -> dict[str, Json]:
    """Return the content of `attention.json`.

    Args:
        summary: By task.
        seed: Of draws.
        limit: Samples that were looked at; None: all.
        samples: Samples of the run.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "definition": DEFINITION,
        "seed": seed,
        "limit": limit,
        "samples_of_run": samples,
        "tasks": cast("Json", msgspec.to_builtins(summary)),
    }


def read_attention_scores(content: bytes, where: str) -> dict[str, AttentionSummary]:
    """Return the summaries that an `attention.json` holds, by task.

    Raises:
        ValueError: It is none that this satori-bench can read.
    """
    try:
        return msgspec.json.decode(content, type=_Stored).tasks
    except (msgspec.MsgspecError, UnicodeDecodeError) as fault:
        raise ValueError(f"{where} holds no attention of a run: {fault}") from fault


class _Stored(msgspec.Struct):
    """What is read of `attention.json`."""

    schema_version: Literal[1]
    tasks: dict[str, AttentionSummary]


def _of_task(pairs: Sequence[tuple[Record, AttentionRecord]], seed: int) -> AttentionSummary:
    counted = Counter(found.status for _, found in pairs)
    spans: dict[Span, SpanSummary | None] = {
        span: _of_span([(record, found.spans[span]) for record, found in pairs if span in found.spans], seed)
        for span in SPANS
    }
    read = [found for _, found in pairs if found.status == "ok"]
    return AttentionSummary(
        {status: counted[status] for status in STATUSES if counted[status]},
        {span: made for span, made in spans.items() if made is not None},
        max((found.layers for found in read), default=0),
        max((found.layers_passed_over for found in read), default=0),
        sum(found.retokenised for found in read),
    )


def _of_span(pairs: Sequence[tuple[Record, SpanAttention]], seed: int) -> SpanSummary | None:
    if not pairs:
        return None
    clusters = [record.sample.cluster_id for record, _ in pairs]
    densities = (0.0, _greatest_density([found for _, found in pairs]))

    def mean(
        value_of: Callable[[Record, SpanAttention], float | None], bounds: tuple[float, float] = densities
    ) -> Metric:
        values = [value_of(record, found) for record, found in pairs]
        there = [(value, cluster) for value, cluster in zip(values, clusters, strict=True) if value is not None]
        if not there:
            return null_metric("no sample has one")
        column = np.array([value for value, _ in there], dtype=np.float64)
        return column_metric(column, cluster_codes([cluster for _, cluster in there]), bounds)

    dense = [(record, found) for record, found in pairs if _named(record, found) is not None]
    return SpanSummary(
        density=mean(_named),
        density_gold=mean(lambda _, found: None if found.gold is None else found.gold.density),
        density_shuffled=mean(lambda _, found: found.shuffled),
        gold_over_others=mean(_gold_over_others, (0.0, 1.0)),
        pointing=mean(lambda _, found: _share(found.named and found.named.is_pointed_at), (0.0, 1.0)),
        pointing_chance=mean(lambda _, found: _chance(found), (0.0, 1.0)),
        image_mass=mean(lambda _, found: min(found.image_mass, 1.0), (0.0, 1.0)),
        right_answers=_right_answers(dense, seed),
        overlap=_overlap(dense, seed),
        bins=tuple(_bins(dense)),
        below_one_cell=sum(found.named is not None and found.named.is_below_one_cell for _, found in pairs),
    )


def _greatest_density(spans: Sequence[SpanAttention]) -> float:
    """Return what a density could be at most: all attention in the smallest region, for the bounds of intervals."""
    regions = [region for found in spans for region in (found.named, found.gold) if region is not None]
    possible = [1 / region.area_share for region in regions if region.area_share > 0]
    seen = [density for found in spans for density in (found.shuffled, found.other_objects) if density is not None]
    return max([1.0, *possible, *seen])


def _named(_: Record, found: SpanAttention) -> float | None:
    return None if found.named is None else found.named.density


def _share(value: bool | None) -> float | None:
    return None if value is None else float(value)


def _chance(found: SpanAttention) -> float | None:
    known = found.named is not None and found.named.is_pointed_at is not None
    return found.named.chance_of_pointing if known and found.named is not None else None


def _gold_over_others(_: Record, found: SpanAttention) -> float | None:
    if found.gold is None or found.gold.density is None or found.other_objects is None:
        return None
    if found.gold.density == found.other_objects:
        return 0.5
    return float(found.gold.density > found.other_objects)


def _stratum(record: Record) -> str:
    """Return what makes samples alike: the benchmark's category, and how many regions there are to look at."""
    sample = record.sample
    boxes = sample.boxes_image_px if sample.boxes_image_px is not None else record.score.boxes_image_px
    return f"{sample.category}\0{sample.l2_category}\0{len(boxes or ())}"


def _right_answers(pairs: Sequence[tuple[Record, SpanAttention]], seed: int) -> Association:
    there = [
        (density, record)
        for record, found in pairs
        if (density := _named(record, found)) is not None and record.score.value is not None
    ]
    return auc_of(
        [density for density, _ in there],
        [record.score.value == 1 for _, record in there],
        [_stratum(record) for _, record in there],
        [record.sample.cluster_id for _, record in there],
        seed=seed,
    )


def _overlap(pairs: Sequence[tuple[Record, SpanAttention]], seed: int) -> Association:
    there = [
        (density, record.score.iou, record)
        for record, found in pairs
        if (density := _named(record, found)) is not None and record.score.iou is not None
    ]
    return rank_correlation(
        [density for density, _, _ in there],
        [iou for _, iou, _ in there],
        [_stratum(record) for _, _, record in there],
        [record.sample.cluster_id for _, _, record in there],
        seed=seed,
    )


def _bins(pairs: Sequence[tuple[Record, SpanAttention]]) -> list[AccuracyBin]:
    """Return the accuracy between every two edges that hold a sample."""
    made: list[AccuracyBin] = []
    for low, high in pairwise(BINS):
        inside = [
            (record.score.value, record.sample.cluster_id)
            for record, found in pairs
            if (density := _named(record, found)) is not None
            and low <= density < high
            and record.score.value is not None
        ]
        if inside:
            values = np.array([value for value, _ in inside], dtype=np.float64)
            above = None if high == BINS[-1] else high
            made.append(AccuracyBin(low, above, column_metric(values, cluster_codes([name for _, name in inside]))))
    return made
