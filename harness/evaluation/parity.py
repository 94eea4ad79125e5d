"""Score a run's stored texts under several protocols at once, in memory, and say where and why they part.

Nothing is written and no model is loaded. Scores come from the one scorer and are put together as `scores.json` is, so
a number here is the number that `rescore` would store. A protocol without a rule of its own for a benchmark gets no
score there: it would be `strict`'s under another name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from harness.errors import ConfigError, IncompleteError
from harness.evaluation.predictions import rescore_record
from harness.evaluation.rescore import refuse_native
from harness.runs.manifest import config_of
from harness.runs.store import StoredRun
from harness.scoring.own_rules import has_own_rule
from harness.scoring.protocol_differences import Difference, differences_of
from harness.scoring.protocols import versioned
from harness.scoring.score import SCORER_VERSION
from harness.summary.run_summary import RunSummariser
from harness.summary.summary_values import TaskSummary
from harness.values import PROTOCOLS, Fault, Protocol, Record, Score, ScoreConfig

NO_RULE = "no rule of its own: as strict"
"""Why a protocol has no score of a benchmark."""

SHOWN_SAMPLES = 20
"""Samples of a benchmark that are told one by one; how many more there are is said."""

MOST_ANSWER_CHARACTERS = 500
"""So much of an answer, and of each accepted one, is told."""

MOST_GOLDS = 10
"""Accepted answers that are told of a sample."""

_SAME = 1e-9
"""Scores that are as near are one score, written with other roundings."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What one protocol made of one answer."""

    extracted: str | None
    """What it took for the answer; None when nothing was."""
    value: float | None
    """What that earned; None when it could not be scored."""
    faults: tuple[Fault, ...]
    """Every fault."""


@dataclass(frozen=True, slots=True)
class DisagreedSample:
    """A sample that protocols score differently."""

    id: str
    """Its id."""
    golds: tuple[str, ...]
    """The first accepted answers, cut."""
    answer: str | None
    """The text that the first of the protocols read as the answer, cut; None where there was no answer stage."""
    taken: Mapping[Protocol, Taken]
    """What each protocol made of it."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two protocols agree on the samples of a benchmark."""

    a: Protocol
    """One."""
    b: Protocol
    """The other."""
    alike: int
    """Samples with the same score under both; one that neither could score is one of them."""
    samples: int
    """All."""

    @property
    def share(self) -> float | None:
        """Share of samples scored alike; None without samples."""
        return self.alike / self.samples if self.samples else None


@dataclass(frozen=True, slots=True)
class TaskParity:
    """One benchmark under several protocols."""

    task: str
    """Short task name."""
    scores: Mapping[Protocol, TaskSummary | None]
    """Its numbers under each protocol, in the order asked for; None where that has no rule of its own."""
    agreements: tuple[Agreement, ...]
    """Every two protocols that have rules."""
    disagreeing: int
    """Samples that not all of them score alike."""
    shown: tuple[DisagreedSample, ...]
    """The first of those, in the run's order."""
    differences: Mapping[Protocol, tuple[Difference, ...]]
    """How each protocol's rules part from `strict`, as far as its rows' kinds of answers go."""

    @property
    def left_out(self) -> int:
        """Samples scored differently that are not shown."""
        return self.disagreeing - len(self.shown)


@dataclass(frozen=True, slots=True)
class RunParity:
    """One run's texts under several protocols."""

    run: str
    """The run folder's name."""
    protocols: tuple[Protocol, ...]
    """What they were scored under, in the order asked for."""
    left_out: Mapping[Protocol, str]
    """Protocols that were not asked for by name and cannot read the run's format, with the reason."""
    tasks: tuple[TaskParity, ...]
    """By benchmark, in the run's order."""

    @property
    def versions(self) -> dict[Protocol, str]:
        """Each protocol with the version of its rules."""
        return {protocol: versioned(protocol, SCORER_VERSION) for protocol in self.protocols}


def run_parity(
    run: StoredRun, protocols: Sequence[Protocol] | None = None, *, shown_samples: int = SHOWN_SAMPLES
) -> RunParity:
    """Score a finished run's texts under several protocols.

    Args:
        run: The run.
        protocols: At least two; None for all that can read the run's format.
        shown_samples: So many samples of each benchmark are told one by one.

    Raises:
        ConfigError: Fewer than two protocols, one cannot read the run's format, or the run is lmms-eval's own.
        IncompleteError: The run is not finished.
        StoreError: It cannot be read.
    """
    if not run.finished:
        raise IncompleteError(f"{run.path} is not finished; the command that began it goes on with it")
    refuse_native(run)
    configs, left_out = _configs(run, protocols)
    tasks = records_parity(run.records(), configs, seed=run.manifest.seed, shown_samples=shown_samples)
    return RunParity(run.path.resolve().name, tuple(configs), left_out, tasks)


def _configs(
    run: StoredRun, protocols: Sequence[Protocol] | None
) -> tuple[dict[Protocol, ScoreConfig], dict[Protocol, str]]:
    """Return how to score under each protocol, and why others are left out."""
    if protocols is not None and len(set(protocols)) < 2:
        raise ConfigError("parity needs at least two protocols, such as --protocols strict,vlmevalkit")
    configs: dict[Protocol, ScoreConfig] = {}
    left_out: dict[Protocol, str] = {}
    for protocol in PROTOCOLS if protocols is None else dict.fromkeys(protocols):
        try:
            configs[protocol] = config_of(run.manifest, protocol)
        except ConfigError as fault:
            if protocols is not None:
                raise
            left_out[protocol] = str(fault)
    return configs, left_out


def records_parity(
    records: Iterable[Record],
    configs: Mapping[Protocol, ScoreConfig],
    *,
    seed: int,
    shown_samples: int = SHOWN_SAMPLES,
) -> tuple[TaskParity, ...]:
    """Score records under several protocols, in one pass; of each sample the first answer counts.

    Args:
        records: Of any tasks.
        configs: How to score, by protocol.
        seed: Fixes the draws of intervals.
        shown_samples: So many samples of each benchmark are told one by one.
    """
    summarisers: dict[Protocol, RunSummariser] = {
        protocol: RunSummariser(config, seed=seed) for protocol, config in configs.items()
    }
    tasks: dict[str, _Gathered] = {}
    for record in records:
        if record.repeat:
            continue
        rescored: dict[Protocol, Record] = {
            protocol: rescore_record(record, config) for protocol, config in configs.items()
        }
        for protocol, again in rescored.items():
            summarisers[protocol].add(again)
        scores: dict[Protocol, Score] = {protocol: again.score for protocol, again in rescored.items()}
        tasks.setdefault(record.sample.task, _Gathered(shown_samples)).add(record, scores)
    return tuple(
        found.parity(task, {protocol: one.result().tasks[task] for protocol, one in summarisers.items()})
        for task, found in tasks.items()
    )


@dataclass(slots=True)
class _Gathered:
    """What is kept of one task while its records stream by."""

    most: int
    rows: int = 0
    ruled: dict[Protocol, None] = field(default_factory=dict[Protocol, None])
    apart: dict[tuple[Protocol, Protocol], int] = field(default_factory=dict[tuple[Protocol, Protocol], int])
    disagreeing: int = 0
    shown: list[DisagreedSample] = field(default_factory=list[DisagreedSample])
    differences: dict[Protocol, dict[Difference, None]] = field(default_factory=dict[Protocol, dict[Difference, None]])

    def add(self, record: Record, scores: Mapping[Protocol, Score]) -> None:
        """Take one sample's scores under each protocol; those without a rule for its kind of answer do not count."""
        sample = record.sample
        own: dict[Protocol, Score] = {
            protocol: score for protocol, score in scores.items() if has_own_rule(sample, protocol)
        }
        self.rows += 1
        for protocol in own:
            self.ruled[protocol] = None
            if found := differences_of(sample.task, sample.answer_rule, protocol):
                self.differences.setdefault(protocol, {}).update(dict.fromkeys(found))
        pairs: list[tuple[Protocol, Protocol]] = [
            pair for pair in combinations(own, 2) if not _alike(own[pair[0]], own[pair[1]])
        ]
        for pair in pairs:
            self.apart[pair] = self.apart.get(pair, 0) + 1
        if pairs:
            self.disagreeing += 1
            if len(self.shown) < self.most:
                self.shown.append(_disagreed(record, own))

    def parity(self, task: str, summaries: Mapping[Protocol, TaskSummary]) -> TaskParity:
        """Return what was found."""
        ruled: list[Protocol] = [protocol for protocol in summaries if protocol in self.ruled]
        told: dict[Protocol, tuple[Difference, ...]] = {name: tuple(found) for name, found in self.differences.items()}
        return TaskParity(
            task=task,
            scores={protocol: summaries[protocol] if protocol in self.ruled else None for protocol in summaries},
            agreements=tuple(
                Agreement(a, b, self.rows - self.apart.get((a, b), 0), self.rows) for a, b in combinations(ruled, 2)
            ),
            disagreeing=self.disagreeing,
            shown=tuple(self.shown),
            differences=told,
        )


def _alike(one: Score, other: Score) -> bool:
    if one.value is None or other.value is None:
        return one.value is None and other.value is None
    return abs(one.value - other.value) <= _SAME


def _disagreed(record: Record, scores: Mapping[Protocol, Score]) -> DisagreedSample:
    read = next(iter(scores.values())).response
    answer = None if read is None else read.answer
    return DisagreedSample(
        id=record.sample.id,
        golds=tuple(_cut(gold) for gold in (record.sample.answers or ())[:MOST_GOLDS]),
        answer=None if answer is None else _cut(answer),
        taken={protocol: Taken(score.extracted, score.value, score.faults) for protocol, score in scores.items()},
    )


def _cut(text: str) -> str:
    return text if len(text) <= MOST_ANSWER_CHARACTERS else text[:MOST_ANSWER_CHARACTERS] + "…"
