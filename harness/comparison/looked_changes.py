"""Say how two runs differ in where they looked and in whether it mattered, sample by sample.

Both are compared only where they were asked alike: the same edits with the same controls' seed, or the same layers over
the same cells. A number that either run's control does not support has no difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from harness.comparison.values import Benchmark, LookedChange, LookedScore
from harness.probes.attention_records import AttentionRecord
from harness.probes.fills import Fill, Operation
from harness.probes.probe_summary import FillSummary, StoredProbes
from harness.probes.sample_scores import FORMS, Form, SampleScore
from harness.probes.stepped import PAIRED
from harness.probes.stored import stored_attention, stored_probes
from harness.runs.store import StoredRun
from harness.stats.paired import paired_difference
from harness.summary.means import Metric, null_metric

Clusters: TypeAlias = Mapping[str, str]
"""Of a task's shared samples, by id."""

_SCORES: Final[tuple[tuple[LookedScore, Operation, Callable[[SampleScore], float | None]], ...]] = (
    ("necessity", "remove", lambda score: score.necessity),
    ("sufficiency", "keep", lambda score: score.sufficiency),
    ("dependence", "blank", lambda score: score.dependence),
)
_SIGNED: Final = (-1.0, 1.0)
_SEVERAL = "several seeds of one model were not probed as one"
_OTHER_RULES = "the probes read answers by the rules that the run was first scored with: compare those"


@dataclass(frozen=True, slots=True)
class LookedSide:
    """One side of a pair."""

    runs: tuple[StoredRun, ...]
    """One run, or several seeds of one model."""
    is_rescored: bool
    """Whether later scores are compared, not the first ones."""


@dataclass(frozen=True, slots=True)
class Draw:
    """What fixes the draws of a comparison."""

    seed: int
    """Of the draws."""
    draws: int
    """How many."""


@dataclass(frozen=True, slots=True)
class _About:
    """What a line is about."""

    task: str
    score: LookedScore
    form: str = ""
    fill: str = ""

    def line(self, asked: int, a: float | None, b: float | None, change: Metric) -> LookedChange:
        return LookedChange(self.task, self.score, self.form, self.fill, asked, a, b, change)


def looked_changes(
    a: LookedSide, b: LookedSide, benchmarks: Sequence[Benchmark], clusters: Mapping[str, Clusters], draw: Draw
) -> tuple[LookedChange, ...]:
    """Return the paired differences of every benchmark whose samples both runs probed, or attended to.

    Args:
        a: The side that is subtracted.
        b: The side it is subtracted from.
        benchmarks: The benchmarks of the pair: what may not be subtracted there may not be here.
        clusters: By task the shared samples and what belongs together among them.
        draw: Fixes the intervals.

    Raises:
        DamagedRunError: A file of a run cannot be used.
    """
    probes = [stored_probes(side.runs[0]) for side in (a, b)]
    attended = [stored_attention(side.runs[0]) for side in (a, b)]
    several = _SEVERAL if len(a.runs) > 1 or len(b.runs) > 1 else ""
    found: list[LookedChange] = []
    for benchmark in benchmarks:
        refused = several or _refused(benchmark)
        shared = clusters.get(benchmark.task, {})
        if probes[0] is not None and probes[1] is not None:
            otherwise = _OTHER_RULES if a.is_rescored or b.is_rescored else _asked_otherwise(probes[0], probes[1])
            found += _probed(benchmark.task, probes[0], probes[1], shared, refused or otherwise, draw)
        if attended[0] is not None and attended[1] is not None:
            found += _attended(benchmark.task, attended[0], attended[1], shared, refused, draw)
    return tuple(found)


def _refused(benchmark: Benchmark) -> str:
    """Return why nothing of a benchmark may be subtracted; empty where it may."""
    if benchmark.comparability.reasons:
        return benchmark.comparability.reasons[0]
    headline = benchmark.headline
    return (headline.reason or "not compared") if headline.difference is None else ""


def _asked_otherwise(a: StoredProbes, b: StoredProbes) -> str:
    """Return what differs in how two runs were probed; empty for nothing."""
    mine, theirs = a.plan, b.plan
    told = {
        "fills": (mine.fills, theirs.fills),
        "random regions": (mine.controls, theirs.controls),
        "operations": (mine.operations, theirs.operations),
        "gold boxes": (mine.gold, theirs.gold),
        "seed": (mine.seed, theirs.seed),
        "contrast": (a.contrast, b.contrast),
    }
    names = [name for name, (one, other) in told.items() if one != other]
    return f"probed otherwise: {', '.join(names)} differ" if names else ""


def _probed(
    task: str, a: StoredProbes, b: StoredProbes, clusters: Clusters, refused: str, draw: Draw
) -> Iterator[LookedChange]:
    """Yield a line per score, form and fill of a task that both probed, or the one that says why there is none."""
    if task not in a.tasks or task not in b.tasks:
        return
    mine, theirs = ({(one.fill, one.form, one.id): one for one in side.samples if one.task == task} for side in (a, b))
    if refused:
        both = {name for _, _, name in mine} & {name for _, _, name in theirs} & clusters.keys()
        # one line says it: colours and forms need not even be the same
        yield _change(_About(task, "necessity"), dict.fromkeys(both, (None, None)), clusters, refused, _SIGNED, draw)
        return
    of_b = b.tasks[task].fills
    for fill, found in a.tasks[task].fills.items():
        if fill not in of_b:
            continue
        for form in FORMS:
            ids = [name for name in clusters if (fill, form, name) in mine and (fill, form, name) in theirs]
            for name, operation, value_of in _SCORES:
                if not ids or (operation != "blank" and operation not in a.plan.operations):
                    continue
                withheld = _withheld((found, of_b[fill]), operation)
                pairs = {key: (value_of(mine[fill, form, key]), value_of(theirs[fill, form, key])) for key in ids}
                yield _change(_About(task, name, form, fill), pairs, clusters, withheld, _SIGNED, draw)
    yield from _pasted(task, a, b, clusters, draw)
    yield from _stepped(task, a, b, clusters, draw)


def _pasted(task: str, a: StoredProbes, b: StoredProbes, clusters: Clusters, draw: Draw) -> Iterator[LookedChange]:
    """Yield the line of what was pasted into regions, where both asked it."""
    found = [side.tasks[task].pasted for side in (a, b)]
    mine, theirs = ({one.id: one.follow for one in side.pasted if one.task == task} for side in (a, b))
    pairs = {name: (mine[name], theirs[name]) for name in clusters if name in mine and name in theirs}
    if pairs:
        withheld = next((one.withheld for one in found if one is not None and one.withheld), "")
        yield _change(_About(task, "follow", "same"), pairs, clusters, withheld, _SIGNED, draw)


def _stepped(task: str, a: StoredProbes, b: StoredProbes, clusters: Clusters, draw: Draw) -> Iterator[LookedChange]:
    """Yield a line per form and colour of how much the last step mattered more, where both asked it."""
    mine, theirs = (_last_over_earlier(side, task) for side in (a, b))
    for fill, form in {key[:2]: None for key in mine}:
        keys: dict[str, tuple[Fill, Form, str]] = {name: (fill, form, name) for name in clusters}
        pairs = {name: (mine[key], theirs[key]) for name, key in keys.items() if key in mine and key in theirs}
        steps = [side.tasks[task].steps.get(fill) for side in (a, b)]
        withheld = next((one.withheld for one in steps if one is not None and one.withheld), "")
        if pairs:
            yield _change(_About(task, "last_over_earlier", form, fill), pairs, clusters, withheld, PAIRED, draw)


def _last_over_earlier(side: StoredProbes, task: str) -> dict[tuple[Fill, Form, str], float | None]:
    """Return by colour, form and sample how much more its last step mattered than those before it."""
    return {
        (one.fill, one.form, one.id): None if one.last is None or one.earlier is None else one.last - one.earlier
        for one in side.stepped
        if one.task == task
    }


def _withheld(summaries: Sequence[FillSummary], operation: Operation) -> str:
    """Return why a run's probes give no such number; empty where both do."""
    return next((found.not_interpreted[operation] for found in summaries if operation in found.not_interpreted), "")


def _attended(
    task: str, a: Sequence[AttentionRecord], b: Sequence[AttentionRecord], clusters: Clusters, refused: str, draw: Draw
) -> Iterator[LookedChange]:
    """Yield the line of the density of the rows that wrote the boxes."""
    mine, theirs = ({one.id: one for one in side if one.task == task and one.status == "ok"} for side in (a, b))
    ids = [name for name in clusters if name in mine and name in theirs]
    if not ids:
        return
    if any(_layers(mine[key]) != _layers(theirs[key]) for key in ids):
        refused = refused or "attention of other layers is another number"
    if any(mine[key].grid != theirs[key].grid for key in ids):
        refused = refused or "the pictures' cells differ: density depends on them"
    pairs = {key: (_density(mine[key]), _density(theirs[key])) for key in ids}
    greatest = max((_greatest(one[key]) for one in (mine, theirs) for key in ids), default=0.0)
    yield _change(_About(task, "density"), pairs, clusters, refused, (0.0, greatest), draw)


def _layers(record: AttentionRecord) -> tuple[int, int]:
    return record.layers, record.layers_passed_over


def _density(record: AttentionRecord) -> float | None:
    named = record.spans["boxes"].named if "boxes" in record.spans else None
    return None if named is None else named.density


def _greatest(record: AttentionRecord) -> float:
    """Return the greatest density that a sample's boxes allow: all attention within them."""
    named = record.spans["boxes"].named if "boxes" in record.spans else None
    if named is None or named.density is None:
        return 0.0
    return max(named.density, 1 / named.area_share if named.area_share > 0 else 0.0)


def _change(
    about: _About,
    pairs: Mapping[str, tuple[float | None, float | None]],
    clusters: Clusters,
    refused: str,
    bounds: tuple[float, float],
    draw: Draw,
) -> LookedChange:
    """Return a line with the mean difference of the samples that have both numbers, or with why there is none."""
    there = [
        (one, other, clusters[key]) for key, (one, other) in pairs.items() if one is not None and other is not None
    ]
    if refused or not there:
        return about.line(len(pairs), None, None, null_metric(refused or "no sample has one in both runs"))
    ours, theirs = (np.array([row[place] for row in there], dtype=np.float64) for place in (0, 1))
    names = [cluster for _, _, cluster in there]
    found = paired_difference(ours, theirs, names, seed=draw.seed, draws=draw.draws, bounds=bounds)
    change = Metric(found.delta, found.ci_low, found.ci_high, found.n)
    return about.line(len(pairs), found.a_value, found.b_value, change)
