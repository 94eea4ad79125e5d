"""Compare stored runs: match their samples, then give every benchmark, metric and category its paired change.

    comparison = compare_runs([SideSpec("base", (base,)), SideSpec("trained", (trained,))], seed=0)

Only samples that both sides have count, those left out are counted. A benchmark's headline is what `scores.json` gives
first, made by the same functions (`harness/summary/measures.py`): where it is not a mean over samples (MME's sums,
MMBench's circular accuracy), clusters are resampled and the benchmark's own aggregation is run again on each draw.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from harness.comparison.benchmark import (
    LeftOut,
    SharedSamples,
    compare_benchmark,
    scored_once,
    with_known_clusters,
)
from harness.comparison.columns import RunTable, picked, read_run_table
from harness.comparison.comparability import provenance, run_facts, runs_comparability, task_comparability
from harness.comparison.looked_changes import Draw, LookedSide, looked_changes
from harness.comparison.native import OF_SEVERAL_RUNS, compare_native
from harness.comparison.sample_differences import PartCodes, any_differs, differing_parts, sample_parts, too_many_differ
from harness.comparison.values import (
    DIRECTIONS,
    Benchmark,
    Comparability,
    Comparison,
    Pair,
    ParityRow,
    SampleSide,
    SampleTable,
    ScoreRow,
    SeedSpread,
    Side,
)
from harness.comparison.visual_gain import GainSide, visual_gains
from harness.errors import ConfigError
from harness.runs.lookup import RUNS, find_scores
from harness.runs.manifest import run_key
from harness.runs.native_metrics import NativeMetrics, native_metrics_of
from harness.runs.store import StoredRun, load_run
from harness.stats.intervals import CodeArray, FloatArray
from harness.stats.paired import FEWEST_CLUSTERS, benjamini_hochberg, holm
from harness.stats.resampling import FLIP_DRAWS
from harness.summary.counted_units import ANSWER_RIGHT
from harness.task_facts import is_native
from harness.values import PROTOCOLS, Protocol

SHOWN_IDS = 5
"""Ids that are named of samples that are not the same in both."""


@dataclass(frozen=True, slots=True)
class SideSpec:
    """One side to compare."""

    label: str
    """A short name, unlike every other side's."""
    runs: tuple[StoredRun, ...]
    """One run, or several seeds of one model."""
    protocol: Protocol | None = None
    """None for the runs' first scores, else those of a later rescore."""


# --- what to compare ----------------------------------------------------------------------------------------------


def open_sides(names: Sequence[str], root: Path = RUNS) -> list[SideSpec]:
    """Open what a command names: runs, `RUN@PROTOCOL` for later scores; seeds of one model become one side.

    Args:
        names: What `harness.runs.lookup` finds.
        root: The folder in which names are looked up.

    Raises:
        ConfigError: Fewer than two, the same one twice, or a name that means no run or several.
        UserError: A folder is no finished run.
    """
    opened = [_open(name, root) for name in names]
    if len({(run.path.resolve(), protocol) for run, protocol in opened}) < len(opened):
        raise ConfigError("a run is named twice: compare a run with another one, or FOLDER@PROTOCOL with its rescore")
    if len(opened) < 2:
        raise ConfigError("a comparison needs at least two runs: compare A B")
    groups: dict[object, list[tuple[StoredRun, Protocol | None]]] = {}
    for run, protocol in opened:
        groups.setdefault(_seedless(run, protocol), []).append((run, protocol))
    if len(groups) < 2 or any(_repeats_a_seed(group) for group in groups.values()):
        groups = dict(enumerate([one] for one in opened))
    labels = _labels([group[0] for group in groups.values()])
    return [
        SideSpec(label, tuple(run for run, _ in group), group[0][1])
        for label, group in zip(labels, groups.values(), strict=True)
    ]


def _open(name: str, root: Path) -> tuple[StoredRun, Protocol | None]:
    path, protocol = find_scores(name, root)
    run = load_run(path)
    first = protocol == run.manifest.protocol and protocol not in run.rescored
    return run, None if first else protocol


def _seedless(run: StoredRun, protocol: Protocol | None) -> object:
    """Return what runs of one model with different seeds share; unlike for all others."""
    manifest = run.manifest
    if not manifest.weights_hash or manifest.predictions_only:
        return run.path.resolve(), protocol
    return run_key(replace(manifest, seed=0)), protocol


def _repeats_a_seed(group: Sequence[tuple[StoredRun, Protocol | None]]) -> bool:
    return len({run.manifest.seed for run, _ in group}) < len(group)


def _labels(runs: Sequence[tuple[StoredRun, Protocol | None]]) -> list[str]:
    """Return short names that differ: the model's, else the run folder's, with the protocol where one was named."""
    models = [run.manifest.model.rstrip("/\\").replace("\\", "/").rsplit("/", 1)[-1] for run, _ in runs]
    names = models if len(set(models)) == len(models) and all(models) else _folder_names([run for run, _ in runs])
    return [f"{name}@{protocol}" if protocol else name for name, (_, protocol) in zip(names, runs, strict=True)]


def _folder_names(runs: Sequence[StoredRun]) -> list[str]:
    """Return the ends of the runs' paths, as long as it takes to tell different folders apart."""
    paths = [run.path.resolve() for run in runs]
    names = [path.name for path in paths]
    for length in range(2, max(len(path.parts) for path in paths) + 1):
        if len(set(names)) == len(set(paths)):
            break
        names = ["/".join(path.parts[-length:]) for path in paths]
    return names


# --- the comparison -----------------------------------------------------------------------------------------------


def compare_runs(
    specs: Sequence[SideSpec],
    *,
    pairs: Sequence[tuple[int, int]] | None = None,
    seed: int = 0,
    draws: int = FLIP_DRAWS,
    on_shared: bool = False,
) -> Comparison:
    """Compare sides two by two.

    Args:
        specs: At least two sides, the baseline first.
        pairs: Places of the sides to compare, the baseline of each pair first; None for the first side with each other,
            but for blind sides, which tell the visual gain of theirs.
        seed: Fixes the draws.
        draws: Sign flips for each p.
        on_shared: Whether to subtract on the samples that both runs have alike where some are left out; no verdict
            follows from that.

    Raises:
        ConfigError: Fewer than two sides, or two of one name.
        IncompleteError: A run is not finished, or lacks the scores that are asked for.
    """
    if len(specs) < 2 or len({spec.label for spec in specs}) < len(specs):
        raise ConfigError("a comparison needs at least two sides with different names")
    opened = [(spec, _side_table(spec)) for spec in specs]
    seen = [GainSide(spec.runs, spec.protocol) for spec in specs]

    def compared(a: int, b: int, comparability: Comparability | None = None) -> Pair:
        return _pair(opened, (a, b), comparability, seed=seed, draws=draws, on_shared=on_shared)

    wanted = _default_pairs(seen) if pairs is None else pairs
    found = [compared(*pair) for pair in wanted]
    return Comparison(
        sides=tuple(_side(spec) for spec in specs),
        provenance=provenance([(run, spec.protocol) for spec in specs for run in spec.runs]),
        pairs=_adjusted(found),
        parity=_parity([run for spec in specs for run in spec.runs]),
        seed=seed,
        draws=draws,
        visual_gains=visual_gains(seen, compared),
    )


def _default_pairs(sides: Sequence[GainSide]) -> list[tuple[int, int]]:
    """Return the first side with each other one; blind sides are left out where others can be compared."""
    seeing = [place for place, side in enumerate(sides) if not side.is_blind]
    first, *others = seeing if len(seeing) > 1 else range(len(sides))
    return [(first, place) for place in others]


def _side(spec: SideSpec) -> Side:
    facts = tuple(run_facts(run, spec.protocol) for run in spec.runs)
    return Side(spec.label, facts, _spread(spec) if len(spec.runs) > 1 else ())


def _spread(spec: SideSpec) -> tuple[SeedSpread, ...]:
    """Return how each benchmark's headline varies between the runs of a side."""
    per_run = [_stored_metrics(run, spec.protocol) for run in spec.runs]
    spreads: list[SeedSpread] = []
    for task, metrics in per_run[0].items():
        metric = next(iter(metrics), "accuracy")
        values = tuple(scores.get(task, {}).get(metric) for scores in per_run)
        known = [value for value in values if value is not None]
        sd = float(np.std(known, ddof=1)) if len(known) > 1 else None
        spreads.append(SeedSpread(task, metric, values, sd))
    return tuple(spreads)


def _stored_metrics(run: StoredRun, protocol: Protocol | None) -> dict[str, dict[str, float | None]]:
    """Return the values in a run's `scores.json` (or a rescore's) by task and metric."""
    scores = run.scores if protocol is None else run.rescored.get(protocol)
    tasks = cast(
        "Mapping[str, Mapping[str, Mapping[str, Mapping[str, float | None]]]]", (scores or {}).get("tasks", {})
    )
    return {
        task: {name: metric.get("value") for name, metric in summary.get("metrics", {}).items()}
        for task, summary in tasks.items()
    }


def _parity(runs: Sequence[StoredRun]) -> tuple[ParityRow, ...]:
    """Return the answer metrics of each run that was scored under several protocols."""
    rows: list[ParityRow] = []
    for run in dict.fromkeys(run.path for run in runs):
        stored = next(other for other in runs if other.path == run)
        if not set(stored.rescored) - {stored.manifest.protocol}:
            continue
        by_protocol: dict[Protocol, dict[str, dict[str, float | None]]] = {
            stored.manifest.protocol: _stored_metrics(stored, None)
        }
        by_protocol |= {name: _stored_metrics(stored, name) for name in PROTOCOLS if name in stored.rescored}
        for task, metrics in by_protocol[stored.manifest.protocol].items():
            for metric in dict.fromkeys([next(iter(metrics), "accuracy"), "accuracy"]):
                values: dict[Protocol, float | None] = {
                    name: scores.get(task, {}).get(metric) for name, scores in by_protocol.items()
                }
                rows.append(ParityRow(stored.path.resolve().name, task, metric, values))
    return tuple(rows)


def _side_table(spec: SideSpec) -> RunTable:
    """Return a side's columns; for several seeds the samples that all have, with the mean of their scores."""
    tables = [read_run_table(run, spec.protocol) for run in spec.runs]
    for place in range(1, len(tables)):
        mine, theirs = _matched(tables[0], tables[place])
        tables[:place] = [table.take(mine) for table in tables[:place]]
        tables[place] = tables[place].take(theirs)
    if len(tables) == 1:
        return tables[0]
    first = tables[0]
    return replace(
        with_known_clusters(first, tables[1:]),
        values=np.mean([table.values for table in tables], axis=0),
        ious=np.mean([table.ious for table in tables], axis=0),
        components={name: np.mean([table.components[name] for table in tables], axis=0) for name in first.components},
        native={},
        seeds=tuple(tables),
    )


def _matched(a: RunTable, b: RunTable) -> tuple[CodeArray, CodeArray]:
    """Return the places of the samples that both tables have, in A's order."""
    in_b = {key: place for place, key in enumerate(zip(b.tasks, b.ids, strict=True))}
    found = [(place, in_b[key]) for place, key in enumerate(zip(a.tasks, a.ids, strict=True)) if key in in_b]
    both = np.array(found, dtype=np.int64).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def _pair(
    opened: Sequence[tuple[SideSpec, RunTable]],
    places: tuple[int, int],
    comparability: Comparability | None = None,
    *,
    seed: int,
    draws: int,
    on_shared: bool,
) -> Pair:
    """Compare one side with another, as comparable as it is told; None finds it out."""
    (a_spec, a_table), (b_spec, b_table) = (opened[place] for place in places)
    comparability = comparability or _sides_comparability(a_spec, b_spec)
    a_places, b_places = _matched(a_table, b_table)
    a, b = a_table.take(a_places), b_table.take(b_places)
    benchmarks: list[Benchmark] = []
    kept: list[CodeArray] = []
    clusters: dict[str, dict[str, str]] = {}
    shared_tasks = [task for task in dict.fromkeys(a_table.tasks) if task in set(b_table.tasks)]
    codes, part_codes = _codes(a.tasks, shared_tasks), PartCodes()
    for code, task in enumerate(shared_tasks):
        rows = np.flatnonzero(codes == code)
        differing = differing_parts(*(sample_parts(table, rows, part_codes) for table in (a, b)))
        differs = any_differs(differing, len(rows))
        members = rows[~differs]
        left_out = LeftOut(
            only_a=_count(a_table, task) - len(rows),
            only_b=_count(b_table, task) - len(rows),
            differing=int(differs.sum()),
            fields=tuple(name for name, found in differing.items() if found.any()),
            ids=picked(a.ids, rows[differs][:SHOWN_IDS]),
        )
        ours, theirs = a.take(members), b.take(members)
        sides = (theirs, ours) if _elsewhere(a_spec) and not _elsewhere(b_spec) else (ours, theirs)
        sample = with_known_clusters(sides[0], sides[1:])
        shared = SharedSamples(
            task=task,
            protocol=b_spec.protocol or b_spec.runs[0].manifest.protocol,
            a=ours,
            b=theirs,
            sample=sample,
            left_out=left_out,
            seeds=(_own_seed(a_spec, seed), _own_seed(b_spec, seed)),
            a_protocol=a_spec.protocol or a_spec.runs[0].manifest.protocol,
            native=(_native_metrics(a_spec, task), _native_metrics(b_spec, task)) if is_native(task) else (),
        )
        whole = _task_comparability(a_spec, b_spec, shared)
        both = Comparability(comparability.reasons + whole.reasons, whole.notes)
        compare = compare_native if is_native(task) else compare_benchmark
        benchmarks.append(compare(shared, both, seed=seed, draws=draws, on_shared=on_shared))
        kept.append(members)
        clusters[task] = dict(zip(sample.ids, sample.clusters, strict=True))
    members = np.sort(np.concatenate(kept)) if kept else np.zeros(0, dtype=np.int64)
    has = [dict.fromkeys(table.tasks) for table in (a_table, b_table)]
    return Pair(
        a=places[0],
        b=places[1],
        comparability=comparability,
        benchmarks=tuple(benchmarks),
        only_a_tasks=tuple(task for task in has[0] if task not in has[1]),
        only_b_tasks=tuple(task for task in has[1] if task not in has[0]),
        # of several seeds the first: its texts are what the explorer shows beside these values
        samples=_sample_table(a.take(members).runs[0], b.take(members).runs[0], shared_tasks),
        on_shared=on_shared,
        looked=looked_changes(_looked_side(a_spec), _looked_side(b_spec), benchmarks, clusters, Draw(seed, draws)),
    )


def _looked_side(spec: SideSpec) -> LookedSide:
    return LookedSide(spec.runs, is_rescored=spec.protocol is not None)


def _native_metrics(spec: SideSpec, task: str) -> NativeMetrics:
    """Return lmms-eval's own aggregates of a side; without values for one of several runs, which none of them is."""
    found = native_metrics_of(spec.runs[0].manifest).get(task, {})
    if len(spec.runs) == 1:
        return found
    return {key: replace(metric, value=None, reason=OF_SEVERAL_RUNS) for key, metric in found.items()}


def _own_seed(spec: SideSpec, seed: int) -> int:
    """Return the seed of a run's `scores.json`, so that its interval is the same here; several runs have none."""
    return spec.runs[0].manifest.seed if len(spec.runs) == 1 else seed


def _sides_comparability(a: SideSpec, b: SideSpec) -> Comparability:
    found = [runs_comparability((one, a.protocol), (other, b.protocol)) for one in a.runs for other in b.runs]
    return Comparability(
        tuple(dict.fromkeys(reason for item in found for reason in item.reasons)),
        tuple(dict.fromkeys(note for item in found for note in item.notes)),
    )


def _elsewhere(spec: SideSpec) -> bool:
    return any(run.manifest.predictions_only for run in spec.runs)


def _grouped_by_the_candidate(shared: SharedSamples) -> list[str]:
    """Say that the candidate alone puts samples together, and so many that no change could be seen."""
    ours, theirs = (len(set(side.clusters)) for side in (shared.a, shared.b))
    if any(shared.a.groups) or theirs >= FEWEST_CLUSTERS or ours < FEWEST_CLUSTERS:
        return []
    return [
        (
            f"only the candidate says which samples belong together, and puts {len(shared.b.ids):,} into {theirs:,} "
            "groups: give the baseline's samples their groups too"
        )
    ]


def _task_comparability(a: SideSpec, b: SideSpec, shared: SharedSamples) -> Comparability:
    """Tell whether a task's numbers may be subtracted, and what was left out."""
    task, left_out = shared.task, shared.left_out
    found = [
        task_comparability(
            one.manifest.tasks[task], other.manifest.tasks[task], elsewhere=_elsewhere(a) or _elsewhere(b)
        )
        for one in a.runs
        for other in b.runs
        if task in one.manifest.tasks and task in other.manifest.tasks
    ]
    reasons = [reason for item in found for reason in item.reasons]
    notes: list[str] = []
    if left_out.only_a or left_out.only_b:
        notes.append(
            f"left out: {left_out.only_a:,} samples that only {a.label} has, "
            f"{left_out.only_b:,} that only {b.label} has"
        )
    both = len(shared.a.ids) + left_out.differing
    if many := too_many_differ(left_out.differing, both, left_out.fields):
        reasons.append(many)
    elif left_out.differing:
        notes.append(
            f"left out: {left_out.differing:,} samples that are not the same in both: {', '.join(left_out.fields)}"
        )
    reasons += _grouped_by_the_candidate(shared)
    if not both:
        reasons.append("no sample id is in both runs")
    return Comparability(tuple(dict.fromkeys(reasons)), (*notes, *scored_once(shared, "values")))


def _count(table: RunTable, task: str) -> int:
    return table.tasks.count(task)


def _codes(names: Sequence[str], known: Sequence[str]) -> CodeArray:
    """Return each name's place among the known ones, -1 for others."""
    places = {name: place for place, name in enumerate(known)}
    return np.fromiter((places.get(name, -1) for name in names), dtype=np.int64, count=len(names))


def _sample_table(a: RunTable, b: RunTable, tasks: Sequence[str]) -> SampleTable:
    category_names = sorted(set(a.categories))
    return SampleTable(
        task_names=tuple(tasks),
        tasks=_codes(a.tasks, tasks),
        category_names=tuple(category_names),
        categories=_codes(a.categories, category_names),
        ids=a.ids,
        directions=_directions(a.values, b.values),
        a=SampleSide(a.values, a.ious, a.faults, a.rows),
        b=SampleSide(b.values, b.ious, b.faults, b.rows),
    )


def _directions(a: FloatArray, b: FloatArray) -> NDArray[np.int8]:
    """Return each sample's index in `DIRECTIONS`."""
    was, now = a >= ANSWER_RIGHT, b >= ANSWER_RIGHT
    codes = np.select(
        [np.isnan(a) | np.isnan(b), was & ~now, ~was & now, was & now],
        [DIRECTIONS.index(name) for name in ("unscored", "lost", "gained", "kept_right")],
        DIRECTIONS.index("kept_wrong"),
    )
    return codes.astype(np.int8)


def _adjusted(pairs: Sequence[Pair]) -> tuple[Pair, ...]:
    """Return the pairs with p adjusted: Holm over all headlines, Benjamini and Hochberg over all exploratory rows."""
    headlines = [benchmark.headline for pair in pairs for benchmark in pair.benchmarks]
    others = [row for pair in pairs for benchmark in pair.benchmarks for row in _exploratory(benchmark)]
    holm_of = _by_row(headlines, holm)
    q_of = _by_row(others, benjamini_hochberg)
    return tuple(
        replace(pair, benchmarks=tuple(_with_adjusted(benchmark, holm_of, q_of) for benchmark in pair.benchmarks))
        for pair in pairs
    )


def _exploratory(benchmark: Benchmark) -> tuple[ScoreRow, ...]:
    return (*benchmark.metrics, *benchmark.categories, *benchmark.l2_categories)


def _by_row(rows: Sequence[ScoreRow], adjust: Callable[[Sequence[float]], list[float]]) -> dict[int, float]:
    """Return the adjusted p of each row that has one, by the row's identity."""
    tested = [(id(row), row.difference.p) for row in rows if row.difference is not None]
    known = [(key, p) for key, p in tested if p is not None]
    return dict(zip([key for key, _ in known], adjust([p for _, p in known]), strict=True))


def _with_adjusted(benchmark: Benchmark, holm_of: Mapping[int, float], q_of: Mapping[int, float]) -> Benchmark:
    def with_q(rows: Sequence[ScoreRow]) -> tuple[ScoreRow, ...]:
        return tuple(replace(row, q=q_of.get(id(row))) for row in rows)

    return replace(
        benchmark,
        headline=replace(benchmark.headline, holm_p=holm_of.get(id(benchmark.headline))),
        metrics=with_q(benchmark.metrics),
        categories=with_q(benchmark.categories),
        l2_categories=with_q(benchmark.l2_categories),
    )
