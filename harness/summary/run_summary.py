"""Turn a run's records into its `scores.json`: per task a summary, its costs, and what its texts look like together.

Records are read once as a stream; only what aggregation needs is kept of each, so that memory grows by a few hundred
bytes a sample.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from harness.images.frames import cut_at_image
from harness.runs.native_metrics import NativeMetrics
from harness.runs.scores_fields import SCORES_SCHEMA
from harness.scoring.box_dialects import optional_words
from harness.scoring.formats import format_name, has_places
from harness.scoring.gold_boxes import FrameEvidence, Suspicion
from harness.scoring.protocols import versioned
from harness.scoring.score import SCORER_VERSION
from harness.summary.frame_audit import FrameAudit, FrameAuditor
from harness.summary.summary_values import MOST_UNEXPLAINED, TaskSummary, unexplained_share
from harness.summary.task_columns import TaskColumns
from harness.summary.task_summary import ScoredRow, native_summary, summarise_columns, to_json
from harness.summary.text_variety import TextVariety, TextVarietyCounter
from harness.task_facts import is_native
from harness.values import Box, Json, Record, Sample, ScoreConfig, Size

_MOST_REASONS = 1_000
"""So many different reasons are counted one by one; memory stays flat where each holds an id of its own."""
_OTHER_REASONS = "other reasons"
_MOST_STORED_REASONS = 10


@dataclass(frozen=True, slots=True)
class TaskCosts:
    """What the answers of one task cost, summed over its records, whichever process asked them."""

    input_tokens: int = 0
    """Prompt tokens, image tokens included."""
    output_tokens: int = 0
    """Generated tokens."""
    device_s: float = 0.0
    """Seconds that the model took."""

    def to_json(self) -> dict[str, Json]:
        """Return the costs for `scores.json`."""
        return {"input_tokens": self.input_tokens, "output_tokens": self.output_tokens, "device_s": self.device_s}


@dataclass(frozen=True, slots=True)
class GoldEdges:
    """Rows of a task whose gold boxes do not lie in their images."""

    over_edge: int
    """Rows with boxes that reach over the edge and are cut there."""
    outside: int
    """Rows with a box of which nothing lies in the image, so that it does not count."""
    first: str
    """The first of them."""

    def warning(self, task: str) -> str:
        """Put it into words."""
        told = [f"in {self.over_edge:,} rows they reach over its edge and are cut there"] if self.over_edge else []
        told += [f"in {self.outside:,} rows one lies outside of it and does not count"] if self.outside else []
        return f"{task}: not all gold boxes lie in their image: {'; '.join(told)} (the first row is {self.first!r})"


@dataclass(frozen=True, slots=True)
class RunSummary:
    """Everything that a run's records say together."""

    config: ScoreConfig
    """How they were scored."""
    tasks: Mapping[str, TaskSummary]
    """Summary by task, in the order in which the tasks first appear."""
    costs: Mapping[str, TaskCosts]
    """Costs by task."""
    values: Mapping[str, tuple[float, ...]]
    """The scored values by task, for the comparison with lmms-eval's mean."""
    audit: FrameAudit | None
    """Mean IoU under every box frame; None where there is nothing to audit."""
    failures: Mapping[str, int] = field(default_factory=dict[str, int])
    """Samples without an answer, or without the judge's, by reason, the most frequent first."""
    texts: TextVariety = field(default_factory=TextVariety)
    """How much the texts differ from each other."""
    gold_doubts: Mapping[str, Suspicion] = field(default_factory=dict[str, Suspicion])
    """What the gold boxes seem to be by task, where that is not pixels of their images."""

    gold_edges: Mapping[str, GoldEdges] = field(default_factory=dict[str, GoldEdges])
    """Gold boxes that do not lie in their images, by task; tasks without any are left out."""

    @property
    def protocol_version(self) -> str:
        """The protocol with the version of its rules."""
        return versioned(self.config.protocol, SCORER_VERSION)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know before believing the numbers, in sentences."""
        found = (
            *(_gold_warning(task, doubt) for task, doubt in self.gold_doubts.items()),
            *(edges.warning(task) for task, edges in self.gold_edges.items()),
            self.audit.warning() if self.audit is not None else None,
            self.texts.warning(),
        )
        return tuple(warning for warning in found if warning)

    @property
    def unexplained_share(self) -> float:
        """Share of all samples that are unscored for the faults `error` and `judge_error`; 0 without samples."""
        return unexplained_share(self.tasks)

    @property
    def is_complete(self) -> bool:
        """Whether few enough samples are unscored without explanation."""
        return self.unexplained_share <= MOST_UNEXPLAINED

    def to_json(self) -> dict[str, Json]:
        """Return the versioned object of `scores.json`."""
        tasks: dict[str, Json] = {
            name: {**to_json(summary), "costs": self.costs[name].to_json()} for name, summary in self.tasks.items()
        }
        return {
            "schema": SCORES_SCHEMA,
            "protocol": self.config.protocol,
            "protocol_version": self.protocol_version,
            "format": format_name(self.config.format),
            "box_dialect": optional_words(self.config.box_dialect),
            "scorer_version": SCORER_VERSION,
            "tasks": tasks,
            "frame_audit": None if self.audit is None else self.audit.to_json(),
            "texts": self.texts.to_json(),
            "failures": dict[str, Json](islice(self.failures.items(), _MOST_STORED_REASONS)),
        }


@dataclass(slots=True)
class _Gathered:
    """What is kept of one task while its records stream by."""

    columns: TaskColumns
    """Its rows."""
    native: list[ScoredRow] = field(default_factory=list[ScoredRow])
    """Its rows instead, where lmms-eval's own code scores it."""
    input_tokens: int = 0
    output_tokens: int = 0
    device_s: float = 0.0
    gold: FrameEvidence = field(default_factory=FrameEvidence)
    gold_over_edge: int = 0
    gold_outside: int = 0
    first_at_edge: str = ""

    def look_at_edges(self, sample_id: str, boxes: Sequence[Box], size: Size) -> None:
        """Count a row whose gold boxes reach over the edge of their image, or lie outside: scoring cuts them there."""
        kept, faults = cut_at_image(boxes, size)
        if faults:
            self.first_at_edge = self.first_at_edge or sample_id
            self.gold_outside += len(kept) < len(boxes)
            self.gold_over_edge += len(kept) == len(boxes)

    @property
    def gold_edges(self) -> GoldEdges | None:
        """What was counted; None where every gold box lies in its image."""
        if not self.first_at_edge:
            return None
        return GoldEdges(self.gold_over_edge, self.gold_outside, self.first_at_edge)


class RunSummariser:
    """Takes records one by one and summarises them at the end.

    Only the first answer to each sample counts (`repeat` 0): further repeats are there to measure noise, and a sample
    that counted twice would make every interval too narrow.
    """

    def __init__(
        self,
        config: ScoreConfig,
        *,
        seed: int = 0,
        gold_is_checked: bool = True,
        native: Mapping[str, NativeMetrics] | None = None,
    ) -> None:
        """Begin with no records.

        Args:
            config: How they were scored.
            seed: Fixes the draws of the intervals.
            gold_is_checked: The gold boxes were looked at where they were read, and perhaps declared: only what is
                plain in single rows speaks against them here.
            native: lmms-eval's own aggregates by task, from a run's manifest.
        """
        self._config = config
        self._native = native or {}
        self._seed = seed
        self._gold_is_checked = gold_is_checked
        self._tasks: dict[str, _Gathered] = {}
        self._auditor = FrameAuditor(config)
        self._texts = TextVarietyCounter(is_plain=config.format == "plain")
        self._failures: Counter[str] = Counter()
        self._result: RunSummary | None = None

    def add(self, record: Record) -> None:
        """Take one record that was scored under the configuration."""
        if record.repeat:
            return
        self._result = None
        sample, generation = record.sample, record.generation
        task = self._tasks.get(sample.task)
        if task is None:
            task = self._tasks[sample.task] = _Gathered(self._columns(sample))
        if sample.answer_rule == "native":
            task.native.append(ScoredRow(_without_texts(sample), record.score))
        else:
            task.columns.add(sample, record.score)
        task.input_tokens += generation.input_tokens or 0
        task.output_tokens += generation.output_tokens or 0
        task.device_s += generation.device_s or 0.0
        reason = generation.error or record.judge_error
        if reason is not None and record.score.value is None:
            known = reason in self._failures or len(self._failures) < _MOST_REASONS
            self._failures[reason if known else _OTHER_REASONS] += 1
        if sample.boxes_image_px and sample.image_size is not None:
            task.gold.add(sample.boxes_image_px, sample.image_size)
            task.look_at_edges(sample.id, sample.boxes_image_px, sample.image_size)
        if sample.boxes_image_px:
            self._auditor.add(record)
        self._texts.add(record)

    def _columns(self, first: Sample) -> TaskColumns:
        """Return the columns of a task that begins; its texts are asked for boxes beside the answer, or as it."""
        points = has_places(self._config.format) or first.answer_rule == "box"
        return TaskColumns(first.task, self._config.protocol, baselines=True, habits=points)

    def _summary(self, name: str, task: _Gathered) -> TaskSummary:
        protocol, seed = self._config.protocol, self._seed
        if is_native(name):
            return native_summary(name, task.native, self._native.get(name, {}))
        return summarise_columns(task.columns, protocol, seed=seed)

    def result(self) -> RunSummary:
        """Return the summary of what was added; nothing added gives a summary without tasks."""
        if self._result is None:
            self._result = self._summarised()
        return self._result

    def _summarised(self) -> RunSummary:
        return RunSummary(
            config=self._config,
            tasks={name: self._summary(name, task) for name, task in self._tasks.items()},
            costs={
                name: TaskCosts(task.input_tokens, task.output_tokens, task.device_s)
                for name, task in self._tasks.items()
            },
            values={name: task.columns.scored_values for name, task in self._tasks.items()},
            audit=self._auditor.result(),
            texts=self._texts.result(),
            failures=dict(self._failures.most_common()),
            gold_doubts={
                name: doubt
                for name, task in self._tasks.items()
                if (doubt := task.gold.suspicion(declared=self._gold_is_checked)) is not None
            },
            gold_edges={name: edges for name, task in self._tasks.items() if (edges := task.gold_edges) is not None},
        )


def summarise_records(
    records: Iterable[Record],
    config: ScoreConfig,
    *,
    seed: int = 0,
    gold_is_checked: bool = True,
    native: Mapping[str, NativeMetrics] | None = None,
) -> RunSummary:
    """Summarise records that were scored under `config`, as `RunSummariser` does."""
    summariser = RunSummariser(config, seed=seed, gold_is_checked=gold_is_checked, native=native)
    for record in records:
        summariser.add(record)
    return summariser.result()


def _gold_warning(task: str, doubt: Suspicion) -> str:
    """Put a doubt about gold boxes into words."""
    return (
        f"{task}: the gold boxes look like {doubt.reading} ({doubt.meaning}): {doubt.why}. They are read as pixels of "
        "the original image, as x1, y1, x2, y2: unless they are, no IoU here means anything"
    )


def _without_texts(sample: Sample) -> Sample:
    """Return the sample with only what is read of one of lmms-eval's own."""
    return Sample(id=sample.id, task=sample.task, answer_rule=sample.answer_rule, cluster=sample.cluster)
