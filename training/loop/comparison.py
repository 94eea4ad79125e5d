"""Compare a loop's runs: paired differences between stages and between arms, as JSON and as Markdown.

Every row is a paired comparison of two runs on the samples that both have, resampled by cluster
(`harness/stats/paired.py`). `comparison.json` lists them flat; nothing in it is rounded.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from harness.runs.store import load_run
from harness.stats.paired import paired_difference
from training.loop.learning import Learning, learning_markdown
from training.loop.plan import Chain
from training.loop.settings import DecodingName

SCHEMA = 1
"""Of `comparison.json`."""

MetricName: TypeAlias = Literal["answer", "iou", "caption", "format", "reward"]
"""What is compared. `reward` is the mean of the components that a sample has in both runs, whatever was trained on."""

METRICS: tuple[MetricName, ...] = ("answer", "iou", "caption", "format", "reward")

ComponentName: TypeAlias = Literal["format", "caption", "bbox", "answer"]
"""What a reward is made of."""

SIGNIFICANT = 0.01
"""p below which a change is called one; the rest is called no clear change."""


@dataclass(frozen=True, slots=True)
class LoopRun:
    """One benchmark of the loop."""

    run: str
    """Run name, such as `satori-grpo`."""
    decoding: DecodingName
    """How it was asked."""
    folder: Path
    """Its run folder."""


@dataclass(frozen=True, slots=True)
class Row:
    """How one metric changed from one run to another."""

    a: str
    """Run name of the first."""
    b: str
    """Run name of the second."""
    a_value: float
    """Mean of the first over the shared samples, in [0, 1]."""
    b_value: float
    """Mean of the second."""
    delta: float
    """b_value - a_value."""
    ci_low: float | None
    """Lower end of its 95 % interval; None with too few clusters."""
    ci_high: float | None
    """Upper end."""
    p: float | None
    """Two-sided p of no difference (sign flips of clusters); None with too few clusters."""
    n: int
    """Shared samples that both have a value for."""
    clusters: int
    """Clusters among them."""
    task: str
    """Short task name."""
    metric: MetricName
    """What is compared."""
    decoding: DecodingName
    """How both were asked."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """All rows of a loop."""

    rows: tuple[Row, ...]
    """Pair by pair, greedy before sampled, in the order of `METRICS`."""
    dropped: int
    """Samples left out of some row because one of the two runs has no value for them, summed over rows."""
    seed: int
    """Fixed the draws."""
    learning: tuple[Learning, ...] = ()
    """How the reinforcement learning stages went; empty where they were too short to say."""

    def to_bytes(self) -> bytes:
        """Return `comparison.json`."""
        content = {
            "schema": SCHEMA,
            "seed": self.seed,
            "dropped": self.dropped,
            "rows": [asdict(row) for row in self.rows],
            "learning": [asdict(item) for item in self.learning],
        }
        return (json.dumps(content, indent=1, allow_nan=False) + "\n").encode("ascii")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a row belongs."""

    a: str
    b: str
    task: str
    metric: MetricName
    decoding: DecodingName


@dataclass(frozen=True, slots=True)
class _Earned:
    """What one sample earned in one run."""

    cluster: str
    """Its cluster."""
    iou: float | None
    """Union IoU."""
    components: Mapping[ComponentName, float]
    """The components that it has."""


def pairs_of(chains: Sequence[Chain]) -> list[tuple[str, str]]:
    """Return which runs are compared: each arm's stages, then the last stage of the first arm with every other's."""
    pairs: list[tuple[str, str]] = []
    for chain in chains:
        pairs += [(chain.base, chain.sft), (chain.sft, chain.grpo), (chain.base, chain.grpo)]
    pairs += [(chains[0].grpo, chain.grpo) for chain in chains[1:]]
    return list(dict.fromkeys(pairs))


def compare_loop(pairs: Sequence[tuple[str, str]], runs: Sequence[LoopRun], *, seed: int) -> Comparison:
    """Compare the pairs in every decoding; a metric that a run does not have (boxes of freeform) gives no row."""
    values = {(run.run, run.decoding): _earned_of(run.folder) for run in runs}
    decodings: list[DecodingName] = list(dict.fromkeys(run.decoding for run in runs))
    rows: list[Row] = []
    dropped = 0
    for a, b in pairs:
        for decoding in decodings:
            first, second = values[a, decoding], values[b, decoding]
            for task in first:
                if task not in second:
                    continue
                for metric in METRICS:
                    where = _Place(a, b, task, metric, decoding)
                    row, left_out = _row(where, first[task], second[task], seed)
                    dropped += left_out
                    rows += [row] if row is not None else []
    return Comparison(tuple(rows), dropped, seed)


def _row(
    where: _Place, first: Mapping[str, _Earned], second: Mapping[str, _Earned], seed: int
) -> tuple[Row | None, int]:
    """Compare one metric; also say how many samples only one of the two has a value for."""
    pairs: list[tuple[str, float, float]] = []
    alone = 0
    for sample, a in first.items():
        b = second.get(sample)
        if b is None:
            continue
        left, right = _values(where.metric, a, b)
        if left is not None and right is not None:
            pairs.append((a.cluster, left, right))
        else:
            alone += left is not None or right is not None
    alone += len(first.keys() ^ second.keys())
    if not pairs:
        return None, 0
    clusters, left_values, right_values = zip(*pairs, strict=True)
    found = paired_difference(np.array(left_values), np.array(right_values), clusters, seed=seed)
    row = Row(
        a=where.a,
        b=where.b,
        a_value=found.a_value,
        b_value=found.b_value,
        delta=found.delta,
        ci_low=found.ci_low,
        ci_high=found.ci_high,
        p=found.p,
        n=found.n,
        clusters=found.clusters,
        task=where.task,
        metric=where.metric,
        decoding=where.decoding,
    )
    return row, alone


def _values(metric: MetricName, a: _Earned, b: _Earned) -> tuple[float | None, float | None]:
    """Return a sample's metric in both runs; a reward is made of the same components on both sides."""
    if metric == "iou":
        return a.iou, b.iou
    if metric == "reward":
        shared: list[ComponentName] = [name for name in a.components if name in b.components]
        return _mean(a.components, shared), _mean(b.components, shared)
    return a.components.get(metric), b.components.get(metric)


def _mean(components: Mapping[ComponentName, float], names: Sequence[ComponentName]) -> float | None:
    """Return the mean of the named components; None without any."""
    return math.fsum(components[name] for name in names) / len(names) if names else None


def _earned_of(folder: Path) -> dict[str, dict[str, _Earned]]:
    """Read what a run's samples earned, by task and sample id; only the first answer to each counts."""
    found: dict[str, dict[str, _Earned]] = {}
    for record in load_run(folder).records():
        if record.repeat:
            continue
        parts = record.score.components
        components: dict[ComponentName, float | None] = {
            "format": parts.format,
            "caption": parts.caption,
            "bbox": parts.bbox,
            "answer": parts.answer,
        }
        earned = _Earned(
            cluster=record.sample.cluster_id,
            iou=record.score.iou,
            components={name: value for name, value in components.items() if value is not None},
        )
        found.setdefault(record.sample.task, {})[record.sample.id] = earned
    return found


def comparison_markdown(comparison: Comparison, name: str, chains: Sequence[Chain]) -> str:
    """Return the comparison for people: per arm its stages, then the arms side by side; falls are shown as falls."""
    lines = [f"# Loop {name}", "", _reading()]
    for chain in chains:
        lines += ["", f"## {chain.arm}: from cold start to reinforcement learning", ""]
        lines += _table([row for row in comparison.rows if (row.a, row.b) == (chain.sft, chain.grpo)])
        lines += ["", f"## {chain.arm}: from base to the last stage", ""]
        lines += _table([row for row in comparison.rows if (row.a, row.b) == (chain.base, chain.grpo)])
    others = chains[1:]
    if others:
        lines += ["", f"## Arms side by side, last stage, against {chains[0].arm}", ""]
        wanted = {(chains[0].grpo, chain.grpo) for chain in others}
        lines += _table([row for row in comparison.rows if (row.a, row.b) in wanted])
    lines += learning_markdown(comparison.learning)
    return "\n".join(lines) + "\n"


def change_word(row: Row) -> str:
    """Return `rose`, `fell` or `no clear change`, by the sign of the change and its p."""
    if row.p is None or row.p >= SIGNIFICANT:
        return "no clear change"
    return "rose" if row.delta > 0 else "fell"


def _reading() -> str:
    """Return how to read the tables."""
    return (
        "Means over the samples that both runs have, in percent; changes in points with their 95 % interval (clusters "
        f"resampled); p by sign flips of clusters, two-sided, not adjusted for the number of rows. `rose` and `fell` "
        f"say p < {SIGNIFICANT}. `reward` is the mean of the components that a sample has in both runs."
    )


def _table(rows: Sequence[Row]) -> list[str]:
    """Return rows as a Markdown table; a line that says so where there are none."""
    if not rows:
        return ["No metric that both runs have."]
    head = "| task | decoding | metric | A | B | A % | B % | change [95 %] | p | n | |"
    lines = [head, "|---|---|---|---|---|---:|---:|---|---:|---:|---|"]
    for row in rows:
        ends = (
            "" if row.ci_low is None or row.ci_high is None else f" [{100 * row.ci_low:+.1f}, {100 * row.ci_high:+.1f}]"
        )
        p = "–" if row.p is None else f"{row.p:.4f}"
        lines.append(
            f"| {row.task} | {row.decoding} | {row.metric} | {row.a} | {row.b} | {100 * row.a_value:.1f} | "
            f"{100 * row.b_value:.1f} | {100 * row.delta:+.1f}{ends} | {p} | {row.n} | {change_word(row)} |"
        )
    return lines
