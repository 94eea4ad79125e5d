"""Compare a pair of runs under each protocol: would another program's rules have said the same?

The texts of both runs are scored again in memory, of benchmarks that are small enough together, and each headline's
change is made by the measures of the comparison itself. It is for pages, which must not take long: what is left out is
named, and `parity` has it for one run without a limit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from harness.comparison.benchmark import SharedSamples, headline_row, with_known_clusters
from harness.comparison.columns import RunTable, read_run_table
from harness.comparison.values import FAULT_BITS, Benchmark, Comparison, Pair, RunFacts, ScoreRow
from harness.errors import ConfigError
from harness.runs.manifest import config_of
from harness.runs.store import StoredRun, load_run
from harness.scoring.protocols import versioned
from harness.stats.intervals import FloatArray
from harness.summary.counted_units import said_of
from harness.values import NATIVE, PROTOCOLS, Protocol, ScoreConfig

MOST_SAMPLES = 12_000
"""So many shared samples of a page are scored again at most: some seconds."""

_SAME = 1e-9


@dataclass(frozen=True, slots=True)
class RulesRow:
    """One benchmark under one protocol."""

    protocol: Protocol
    """Whose rules."""
    row: ScoreRow | None
    """Both scores and the change; None where the protocol has no rule of its own."""
    alike: tuple[int, int]
    """Samples of either side that are scored as under the comparison's own protocol."""


@dataclass(frozen=True, slots=True)
class BenchmarkRules:
    """One benchmark under every protocol."""

    task: str
    """Short task name."""
    samples: int
    """Samples that both sides share."""
    rows: tuple[RulesRow, ...]
    """The comparison's own protocol first."""


@dataclass(frozen=True, slots=True)
class OtherRules:
    """A pair's headlines under every protocol."""

    own: Protocol
    """The protocol of the comparison."""
    versions: Mapping[Protocol, str]
    """Each protocol with the version of its rules."""
    benchmarks: tuple[BenchmarkRules, ...]
    """In the comparison's order."""
    left_out: tuple[str, ...]
    """Benchmarks that were too large to be scored again for a page."""


def other_rules(comparison: Comparison, pair: Pair, *, most: int = MOST_SAMPLES) -> OtherRules | None:
    """Score a pair's shared samples again under each other protocol.

    Args:
        comparison: What the pair belongs to.
        pair: Two sides.
        most: So many samples at most; the smallest benchmarks come first.

    Returns:
        None where there is nothing to say: both sides hold the same texts, several seeds, two protocols or
        lmms-eval's own scores, or no sample is shared.
    """
    a, b = comparison.sides[pair.a], comparison.sides[pair.b]
    if a.shares_a_run(b) or len(a.runs) != 1 or len(b.runs) != 1 or a.runs[0].protocol != b.runs[0].protocol:
        return None
    own = a.runs[0].protocol
    if own == NATIVE:
        return None
    taken = _small_enough(pair, most)
    left_out = tuple(item.task for item in pair.benchmarks if item.shared and item not in taken)
    versions: dict[Protocol, str] = {own: a.runs[0].protocol_version}
    if not taken:
        return OtherRules(own, versions, (), left_out) if left_out else None
    from harness.scoring.score import SCORER_VERSION  # noqa: PLC0415 - what scores is loaded where something is scored

    runs = [_Run.of(side.runs[0]) for side in (a, b)]
    others: list[Protocol] = [name for name in PROTOCOLS if name != own and all(name in run.configs for run in runs)]
    versions.update((name, versioned(name, SCORER_VERSION)) for name in others)
    wanted = np.isin(pair.samples.tasks, [pair.samples.task_names.index(item.task) for item in taken])
    places = np.flatnonzero(wanted)
    rescored = [
        run.rescored(side.rows[places].tolist(), others)
        for run, side in zip(runs, (pair.samples.a, pair.samples.b), strict=True)
    ]
    return OtherRules(
        own=own,
        versions=versions,
        benchmarks=tuple(_benchmark_rules(comparison, pair, item, own, rescored) for item in taken),
        left_out=left_out,
    )


def _small_enough(pair: Pair, most: int) -> list[Benchmark]:
    """Return the benchmarks that are scored again, in the comparison's order."""
    left = most
    names: set[str] = set()
    for item in sorted(pair.benchmarks, key=lambda item: item.shared):
        left -= item.shared
        if item.shared and left >= 0:
            names.add(item.task)
    return [item for item in pair.benchmarks if item.task in names]


@dataclass(frozen=True, slots=True)
class _Rescored:
    """Some samples of a run under several protocols."""

    table: RunTable
    """The samples, with the scores that are compared."""
    under: Mapping[Protocol, RunTable]
    """The same with other scores."""
    ruled: Mapping[Protocol, NDArray[np.bool_]]
    """Which of them each protocol has a rule for."""


@dataclass(frozen=True, slots=True)
class _Run:
    """A run that is scored again."""

    facts: RunFacts
    stored: StoredRun
    configs: Mapping[Protocol, ScoreConfig]

    @classmethod
    def of(cls, facts: RunFacts) -> _Run:
        """Open it; protocols that cannot read its format have no configuration."""
        stored = load_run(facts.path)
        configs: dict[Protocol, ScoreConfig] = {}
        for protocol in PROTOCOLS:
            try:
                configs[protocol] = config_of(stored.manifest, protocol)
            except ConfigError:
                continue
        return cls(facts, stored, configs)

    def rescored(self, rows: Sequence[int], protocols: Sequence[Protocol]) -> _Rescored:
        """Score the samples of these rows of `samples.parquet`, in their order.

        The table's rows are the run's records, in order. Reference captions are left aside: no headline reads them.
        """
        from harness.evaluation.predictions import rescore_record  # noqa: PLC0415 - as above
        from harness.scoring.own_rules import has_own_rule  # noqa: PLC0415 - as above

        place_of = {row: place for place, row in enumerate(rows)}
        columns: dict[Protocol, _Columns] = {name: _Columns.of(len(rows)) for name in protocols}
        ruled: dict[Protocol, NDArray[np.bool_]] = {name: np.zeros(len(rows), dtype=np.bool_) for name in protocols}
        for number, record in enumerate(islice(self.stored.records(), max(rows) + 1)):
            place = place_of.get(number)
            if place is None:
                continue
            bare = replace(record, sample=replace(record.sample, caption=None))
            for name in protocols:
                ruled[name][place] = has_own_rule(record.sample, name)
                score = rescore_record(bare, self.configs[name]).score
                found = columns[name]
                found.values[place] = np.nan if score.value is None else score.value
                found.ious[place] = np.nan if score.iou is None else score.iou
                found.said[place] = np.nan if score.value is None else said_of(score.extracted)
                found.faults[place] = sum(FAULT_BITS[fault] for fault in score.faults)
        whole = read_run_table(self.stored, self.facts.protocol if self.facts.rescored else None)
        table = whole.take(np.searchsorted(whole.rows, np.array(rows, dtype=np.int64)))
        under: dict[Protocol, RunTable] = {
            name: replace(table, values=found.values, ious=found.ious, said=found.said, faults=found.faults)
            for name, found in columns.items()
        }
        return _Rescored(table, under, ruled)


@dataclass(frozen=True, slots=True)
class _Columns:
    """Scores of one protocol, a place per sample; NaN until it is scored."""

    values: FloatArray
    ious: FloatArray
    said: FloatArray
    faults: NDArray[np.uint32]

    @classmethod
    def of(cls, samples: int) -> _Columns:
        """Make them for so many samples."""
        empty = (np.full(samples, np.nan) for _ in range(3))
        return cls(*empty, faults=np.zeros(samples, dtype=np.uint32))


def _benchmark_rules(
    comparison: Comparison, pair: Pair, item: Benchmark, own: Protocol, sides: Sequence[_Rescored]
) -> BenchmarkRules:
    places = np.flatnonzero([task == item.task for task in sides[0].table.tasks])
    a, b = (side.table.take(places) for side in sides)
    sample = with_known_clusters(a, [b])
    rows = [RulesRow(own, item.headline, (len(places), len(places)))]
    for protocol in sides[0].under:
        if not any(side.ruled[protocol][places].any() for side in sides):
            rows.append(RulesRow(protocol, None, (0, 0)))
            continue
        under = [side.under[protocol].take(places) for side in sides]
        shared = SharedSamples(item.task, protocol, under[0], under[1], sample)
        found = headline_row(
            shared, item.comparability, seed=comparison.seed, draws=comparison.draws, on_shared=pair.on_shared
        )
        rows.append(RulesRow(protocol, found, (_alike(a, under[0]), _alike(b, under[1]))))
    return BenchmarkRules(item.task, len(places), tuple(rows))


def _alike(one: RunTable, other: RunTable) -> int:
    """Count the samples that two protocols score alike; one that neither can score is one of them."""
    both_null = np.isnan(one.values) & np.isnan(other.values)
    return int((both_null | (np.abs(one.values - other.values) <= _SAME)).sum())
