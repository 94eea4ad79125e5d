"""Say which stages a model keeps of those that it may leave out, for which questions, and how the answers turn out.

Of each stage, over all rows and in each of the benchmark's categories:

- `kept`: texts that have it / texts of which it can be said;
- `answers_kept`, `answers_left_out`: mean score of the answers whose texts have it, and of those that left it out.

A text without an answer, or with a tag of the stage without its partner, is in no n. The model chooses itself what it
leaves out: the two means are of different questions, and what lies between them is no effect of the stage.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.stats.intervals import CodeArray, FloatArray
from harness.summary.means import NOTHING_SCORED, Metric, column_metric, null_metric
from harness.values import FREE_STAGES, FreeStage, KeptStages

_NUMBERS = ("kept", "answers_kept", "answers_left_out")


@dataclass(frozen=True, slots=True)
class StageUse:
    """What became of one stage that may be left out."""

    stage: FreeStage
    """The stage."""
    category: str | None
    """The benchmark's category; None for all of it together."""
    kept: Metric
    """Share of the texts that have it."""
    answers_kept: Metric
    """Mean score of the answers whose texts have it."""
    answers_left_out: Metric
    """Mean score of the answers whose texts left it out."""


def stage_metrics(
    kept: Mapping[int, KeptStages], scores: FloatArray, categories: Sequence[str], clusters: CodeArray
) -> dict[str, Metric]:
    """Return the numbers by name: `STAGE.NUMBER` over all rows, `STAGE.NUMBER.CATEGORY`; none where all are asked for.

    Args:
        kept: Which stages the texts have, by the place of the row; rows that may leave none out, or of which nothing
            can be said, are not there.
        scores: The answers' scores; NaN when unscored.
        categories: Each row's category; empty where it has none.
        clusters: A code per row.
    """
    if not kept:
        return {}
    order = sorted(kept)
    places = np.array(order, dtype=np.int64)
    of_category: defaultdict[str, list[int]] = defaultdict(list)
    for place in order:
        if categories[place]:
            of_category[categories[place]].append(place)
    found: dict[str, Metric] = {}
    for stage in FREE_STAGES:
        chosen = np.full(len(scores), np.nan)
        chosen[places] = [_share(getattr(kept[place], stage)) for place in order]
        found |= _numbers(stage, "", places, chosen, scores, clusters)
        for name, own in sorted(of_category.items()):
            found |= _numbers(stage, f".{name}", np.array(own, dtype=np.int64), chosen, scores, clusters)
    return found


def stage_uses(metrics: Mapping[str, Metric]) -> tuple[StageUse, ...]:
    """Return the numbers of `stage_metrics` stage by stage, all rows first, then category by category."""
    uses: list[StageUse] = []
    for stage in FREE_STAGES:
        head = f"{stage}.kept"
        for name in metrics:
            if name == head or name.startswith(f"{head}."):
                tail = name.removeprefix(head)
                kept, right, wrong = (
                    metrics.get(f"{stage}.{number}{tail}", null_metric(NOTHING_SCORED)) for number in _NUMBERS
                )
                uses.append(StageUse(stage, tail[1:] if tail else None, kept, right, wrong))
    return tuple(uses)


def _share(kept: bool | None) -> float:
    return float("nan") if kept is None else float(kept)


def _numbers(
    stage: FreeStage, tail: str, places: CodeArray, chosen: FloatArray, scores: FloatArray, clusters: CodeArray
) -> dict[str, Metric]:
    """Return a stage's numbers of some rows."""
    own, answers, codes = chosen[places], scores[places], clusters[places]
    columns = (own, np.where(own == 1, answers, np.nan), np.where(own == 0, answers, np.nan))
    return {
        f"{stage}.{name}{tail}": column_metric(column, codes) for name, column in zip(_NUMBERS, columns, strict=True)
    }
