"""Make a run of a log whose answers have found their questions: scored by our rules, the program's own numbers beside.

What the log does not say stays unknown in the manifest: no prompt hash, no pixel limits, no decoding is made up.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from harness.errors import ConfigError
from harness.evaluation.predictions import rescore_record
from harness.evaluation.rescore import publish_records
from harness.imports.foreign import ForeignAnswer, ForeignLog, ForeignTask, Tool
from harness.imports.their_numbers import compared_numbers
from harness.runs.manifest import IMPORTED, Manifest, TaskManifest, canonical_json, stamp_hashes
from harness.scoring.formats import check_protocol
from harness.scoring.own_rules import has_own_rule
from harness.scoring.protocols import versioned
from harness.scoring.score import SCORER_VERSION, score_generation
from harness.summary.run_summary import RunSummariser, RunSummary
from harness.task_facts import facts_of
from harness.values import Generation, Json, Protocol, Record, Sample, ScoreConfig

RULES_OF_TOOL: Mapping[Tool, Protocol] = {"lmms-eval": "lmms-eval", "vlmevalkit": "vlmevalkit"}
"""Programs whose own rules are a protocol here."""


@dataclass(frozen=True, slots=True)
class Matched:
    """A benchmark of a log, with the question of each answer."""

    task: str
    """Our name of it."""
    foreign: ForeignTask
    """What the log says."""
    samples: Mapping[str, Sample]
    """Questions with gold, by the answers' `place`."""
    faults: Mapping[str, str]
    """Why other places have no question that can be scored."""
    rows: int
    """Questions of the whole split, as far as is known."""
    fingerprint: str = ""
    """Hash over the benchmark's data; empty where gold and questions are the log's own."""
    notes: tuple[str, ...] = ()
    """What a person must hear beside the log's own notes."""

    @property
    def held(self) -> int:
        """Questions that have a first answer."""
        return sum(answer.repeat == 0 for answer in self.foreign.answers)

    @property
    def partial(self) -> bool:
        """Whether these are not the questions of the benchmark: some were left out, or there are more than it has."""
        return self.foreign.partial or self.held != self.rows


@dataclass(frozen=True, slots=True)
class Importing:
    """How a log becomes a run."""

    config: ScoreConfig
    """How to score."""
    packages: Mapping[str, str]
    """Package versions of the scorer."""
    name: str | None = None
    """What a person calls the run; None names it after the model."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One of the program's own numbers beside ours."""

    task: str
    """Our name of the benchmark."""
    metric: str
    """Our name of the number."""
    theirs: float
    """The program's, on our scale."""
    ours: float | None
    """Ours under the run's protocol; None where there is none."""
    by_their_rules: float | None
    """Ours under the protocol of the program's own rules, of all that it scored, failures too; None without one."""


@dataclass(frozen=True, slots=True)
class ImportedRun:
    """What came of an import."""

    folder: Path
    """The run."""
    summary: RunSummary
    """Its scores."""
    differences: tuple[Difference, ...]
    """The program's own numbers that ours can be set against."""


def save_imported_run(
    root: Path, log: ForeignLog, matched: Sequence[Matched], how: Importing, *, now: datetime
) -> ImportedRun:
    """Make a finished run of a log.

    Args:
        root: Folder of run folders.
        log: The log.
        matched: Its benchmarks, at least one.
        how: How to score, and what to call the run.
        now: The time of the import.

    Raises:
        ConfigError: Two benchmarks of the log are one of ours.
        StoreError: The disk refuses.
    """
    tasks = [one.task for one in matched]
    twice = sorted({task for task in tasks if tasks.count(task) > 1})
    if twice:
        names = ", ".join(one.foreign.name for one in matched if one.task == twice[0])
        raise ConfigError(f"{names} are all {twice[0]} here: import them one by one, with --task THEIRS=OURS")
    config = how.config
    manifest = _manifest(log, matched, how)
    their_config = _their_config(log.tool, config)
    by_their_rules = RunSummariser(their_config or config)
    summarised = False

    def records() -> Iterator[Record]:
        nonlocal summarised
        for one in matched:
            for answer in one.foreign.answers:
                record = _record(one, answer, config)
                if their_config is not None and has_own_rule(record.sample, their_config.protocol):
                    by_their_rules.add(rescore_record(_as_they_scored(record, answer), their_config))
                    summarised = True
                yield record

    folder, summary = publish_records(root, manifest, records(), config, now=now)
    theirs = by_their_rules.result() if summarised else None
    return ImportedRun(folder, summary, tuple(_differences(log.tool, matched, summary, theirs)))


def _record(matched: Matched, answer: ForeignAnswer, config: ScoreConfig) -> Record:
    """Return the record of an answer; what has no question or no text is a failure by name."""
    sample = matched.samples.get(answer.place)
    fault = answer.error if sample is not None else matched.faults.get(answer.place, "the log has no such question")
    if sample is None:
        sample = Sample(answer.place, matched.task, facts_of(matched.task).answer_rule)
    generation = _generation(answer, fault)
    return Record(sample, generation, score_generation(sample, generation, config), repeat=answer.repeat)


def _as_they_scored(record: Record, answer: ForeignAnswer) -> Record:
    """Return a record with what the program scored in place of a text that is not the model's."""
    return replace(record, generation=Generation(answer.logged)) if answer.logged else record


def _generation(answer: ForeignAnswer, fault: str | None) -> Generation:
    return Generation(
        text="" if fault is not None else answer.text,
        input_tokens=answer.input_tokens,
        output_tokens=answer.output_tokens,
        truncated=answer.truncated and fault is None,
        error=fault,
    )


def _their_config(tool: Tool, config: ScoreConfig) -> ScoreConfig | None:
    """Return how the program's own rules score; None where they are none of ours, or cannot read the format."""
    protocol = RULES_OF_TOOL.get(tool)
    if protocol is None:
        return None
    try:
        check_protocol(config.format, protocol)
    except ConfigError:
        return None
    return replace(config, protocol=protocol)


def _differences(
    tool: Tool, matched: Sequence[Matched], summary: RunSummary, theirs: RunSummary | None
) -> Iterator[Difference]:
    for one in matched:
        for metric, value in compared_numbers(tool, one.task, one.foreign.theirs).items():
            yield Difference(
                one.task, metric, value, _value(summary, one.task, metric), _value(theirs, one.task, metric)
            )


def _value(summary: RunSummary | None, task: str, metric: str) -> float | None:
    found = summary.tasks.get(task) if summary is not None else None
    number = found.metrics.get(metric) if found is not None else None
    return number.value if number is not None else None


# --- the manifest ---------------------------------------------------------------------------------------------------


def _manifest(log: ForeignLog, matched: Sequence[Matched], how: Importing) -> Manifest:
    config = how.config
    return stamp_hashes(
        Manifest(
            model=log.model,
            weights_hash=hashlib.sha256(canonical_json(dict(sorted(log.files.items())))).hexdigest(),
            adapter_hash=None,
            config_hash="",
            model_type="",
            backend=log.tool,
            format=config.format,
            protocol=config.protocol,
            protocol_version=versioned(config.protocol, SCORER_VERSION),
            box_dialect=config.box_dialect,
            box_dialect_reason="given with the import",
            pixel_limits=config.pixel_limits,
            generation={},
            tasks={one.task: _task_manifest(log.tool, one) for one in matched},
            prompt_hash="",
            seed=0,
            packages=how.packages,
            scorer_version=SCORER_VERSION,
            created_utc="",
            partial=any(one.partial for one in matched),
            predictions_only=True,
            name=how.name,
            other={IMPORTED: _imported(log, matched)},
        )
    )


def _task_manifest(tool: Tool, matched: Matched) -> TaskManifest:
    return TaskManifest(
        yaml_hash="",
        dataset_path=f"{tool}:{matched.foreign.name}",
        dataset_revision=None,
        fingerprint=matched.fingerprint,
        rows=matched.rows,
        samples=matched.held,
        limit=matched.held if matched.partial else None,
        prompt_hash=_prompt_hash(matched),
        generation=matched.foreign.generation,
    )


def _prompt_hash(matched: Matched) -> str:
    """Return a hash over the words of all questions; empty where one is not known, or questions were left out."""
    prompts = {answer.place: answer.prompt for answer in matched.foreign.answers if answer.repeat == 0}
    if matched.partial or any(prompt is None for prompt in prompts.values()):
        return ""
    return hashlib.sha256(canonical_json(dict(sorted(prompts.items())))).hexdigest()


def _imported(log: ForeignLog, matched: Sequence[Matched]) -> dict[str, Json]:
    return {
        "tool": log.tool,
        "version": log.version,
        "created": log.created,
        "files": dict[str, Json](log.files),
        "settings": dict[str, Json](log.settings),
        "refused": dict[str, Json](log.refused),
        "tasks": {
            one.task: {
                "name": one.foreign.name,
                "theirs": dict[str, Json](one.foreign.theirs),
                "compared": dict[str, Json](compared_numbers(log.tool, one.task, one.foreign.theirs)),
                "notes": list[Json]((*one.foreign.notes, *one.notes)),
            }
            for one in matched
        },
    }
