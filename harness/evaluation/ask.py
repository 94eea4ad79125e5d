"""Drive lmms-eval's evaluator over prepared tasks, scoring and journalling each answer as it comes.

One call of `simple_evaluate` per task on a shared model: a task's records are complete before the next begins. The
model asks the recorder what is already answered, and hands it each new answer right after its batch. lmms-eval's own
mean of each task is compared with the journal's, since both come from the same scorer.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from harness.evaluation.llm_judge import Judge, ask_all, wants_judge
from harness.evaluation.predictions import rescore_record
from harness.images.thumbnails import LONG_EDGE_PX, SHEET_EDGE_PX, side_by_side, write_thumbnail
from harness.models.evaluator import run_lmms_eval
from harness.runs.native_metrics import NativeMetric, NativeMetrics
from harness.scoring.read_text import read_text
from harness.scoring.score import score_error, score_generation, selection_for
from harness.values import Components, Fault, Generation, Record, Sample, Score, ScoreConfig

if TYPE_CHECKING:
    from PIL.Image import Image


class RecordSink(Protocol):
    """Where records go; the journal of a run."""

    def append(self, record: Record) -> None:
        """Keep one record."""
        ...


class RunListener(Protocol):
    """Whoever wants to know how a run is getting on."""

    def task_started(self, task: str, rows: int, answered: int) -> None:
        """A task of `rows` samples begins, `answered` of which are already in the journal."""
        ...

    def sample_recorded(self, record: Record) -> None:
        """One more sample was recorded."""
        ...

    def task_finished(self, task: str) -> None:
        """A task ended."""
        ...


@dataclass(slots=True)
class NativeSample:
    """What lmms-eval's own scorer said of one sample."""

    values: dict[str, float] = field(default_factory=dict[str, float])
    """Numbers by lmms-eval's key of the metric, in the task's order."""
    taken: str | None = None
    """The text that the scorer was given; None where it was never called."""
    failure: str | None = None
    """What the scorer raised; None where it did not."""


class NativeScorer(Protocol):
    """The scorer of a task of lmms-eval's own, beside the task object that lmms-eval's evaluator is given."""

    def begin(self, failed: Callable[[int], bool]) -> None:
        """Take how to tell whether a document got no answer, and so is left out."""
        ...

    def arguments(self) -> AbstractContextManager[object]:
        """Return what lmms-eval's command line hands to its tasks, for the time of the evaluation."""
        ...

    def samples(self) -> Sequence[NativeSample]:
        """Return what was said of each document, once all are evaluated."""
        ...

    def metrics(self, results: Mapping[str, Any]) -> NativeMetrics:
        """Return lmms-eval's aggregates, of what its evaluator returned."""
        ...


@dataclass(frozen=True, slots=True)
class PreparedTask:
    """One task, ready to be asked."""

    name: str
    """Short name, such as `mmstar`."""
    lmms_name: str
    """Name under which lmms-eval knows it, such as `satori_mmstar`."""
    lmms_task: object
    """lmms-eval's task object."""
    sample_ids: tuple[str, ...]
    """Sample ids by document number."""
    sample_at: Callable[[int], Sample]
    """Document number to sample."""
    native: NativeScorer | None = None
    """Set for a task of lmms-eval's own, whose answers its own code scores when all are there."""


@dataclass(frozen=True, slots=True)
class TaskTiming:
    """What one task cost in this process."""

    wall_s: float
    """Seconds in lmms-eval's evaluator."""
    asked: int
    """Samples that this process asked; the rest came from the journal."""
    lmms_mean: float | None
    """lmms-eval's own mean over the scored samples; None where it computed none."""
    native: NativeMetrics = field(default_factory=dict[str, NativeMetric])
    """lmms-eval's own aggregates, of a task that is its own."""
    scorer_failures: tuple[str, ...] = ()
    """What lmms-eval's own scorer raised, once a sample."""


class RunRecorder:
    """Scores each answer and appends it to the journal; remembers what a resumed run has already answered.

    One recorder serves one run. It implements `harness.models.recorder.Recorder` for the model and gives lmms-eval its
    hook.
    """

    def __init__(
        self,
        sink: RecordSink,
        config: ScoreConfig,
        answered: Mapping[tuple[str, str], Generation],
        listener: RunListener,
        media_folder: Path | None = None,
    ) -> None:
        """Begin with what the journal has; thumbnails go to `media_folder`, None keeps none."""
        self._sink = sink
        self._config = config
        self._media_folder = media_folder
        self._answered = dict(answered)
        self._values: dict[tuple[str, str], float | None] = {}
        self._listener = listener
        self._task: PreparedTask | None = None
        self.asked = 0

    def begin(self, task: PreparedTask) -> None:
        """Make `task` the one that answers belong to."""
        self._task = task
        self.asked = 0
        answered = sum((task.name, sample_id) in self._answered for sample_id in task.sample_ids)
        self._listener.task_started(task.name, len(task.sample_ids), answered)

    def lookup(self, task: str, doc_id: int) -> Generation | None:
        """Return the journalled answer to a document, or None."""
        current = self._current(task)
        return self._answered.get((current.name, current.sample_ids[doc_id]))

    def record(self, task: str, doc_id: int, generation: Generation, images: Sequence[Image] = ()) -> None:
        """Score one answer, journal it, keep a thumbnail, tell the listener."""
        current = self._current(task)
        sample = current.sample_at(doc_id)
        earned = (
            score_generation(sample, generation, self._config) if current.native is None else native_score(generation)
        )
        record = Record(sample, generation, earned)
        self._sink.append(record)
        if self._media_folder is not None:
            _keep_pictures(self._media_folder, sample, generation, images)
        self._answered[current.name, sample.id] = generation
        self._values[current.name, sample.id] = record.score.value
        self.asked += 1
        self._listener.sample_recorded(record)

    def hook_value(self, task: str, sample_id: str, sample: Callable[[], Sample]) -> float | None:
        """Return what a document earned, for lmms-eval: the value that was journalled.

        lmms-eval strips the text before its hook sees it, so nothing is taken from there. Only what an earlier process
        journalled is scored again, by the same function.
        """
        key = (task, sample_id)
        if key not in self._values:
            self._values[key] = score_generation(sample(), self._answered[key], self._config).value
        return self._values[key]

    def is_unanswered(self, doc_id: int) -> bool:
        """Tell whether a document of the current task got no answer."""
        return self._answer(doc_id).error is not None

    def record_native(self, doc_id: int, said: NativeSample) -> None:
        """Journal a document of the current task once more, with what lmms-eval's own scorer said of it."""
        assert self._task is not None, "begin() names the task first"
        generation = self._answer(doc_id)
        self._sink.append(Record(self._task.sample_at(doc_id), generation, native_score(generation, said)))

    def _answer(self, doc_id: int) -> Generation:
        assert self._task is not None, "begin() names the task first"
        return self._answered[self._task.name, self._task.sample_ids[doc_id]]

    def finish(self) -> None:
        """End the current task."""
        if self._task is not None:
            self._listener.task_finished(self._task.name)
        self._task = None

    def _current(self, lmms_name: str) -> PreparedTask:
        """Return the current task; lmms-eval never asks about another one within a call."""
        assert self._task is not None, "begin() names the task before the model is asked"
        assert self._task.lmms_name == lmms_name, f"asked about {lmms_name} during {self._task.lmms_name}"
        return self._task


def _keep_pictures(folder: Path, sample: Sample, generation: Generation, images: Sequence[Image]) -> None:
    """Keep thumbnails of what a question showed, and of what a tool showed after it."""
    shown = [crop for crop in generation.crops if crop.sha256]
    asked, cut = images[: len(images) - len(shown)], images[len(images) - len(shown) :]
    if asked and sample.image_sha256:
        long_edge_px = LONG_EDGE_PX if len(asked) == 1 else SHEET_EDGE_PX
        write_thumbnail(folder, side_by_side(asked), sample.image_sha256, long_edge_px=long_edge_px)
    for crop, picture in zip(shown, cut, strict=False):  # none where a model is not asked with pictures
        write_thumbnail(folder, picture, crop.sha256)


def evaluate_task(model: object, task: PreparedTask, recorder: RunRecorder, *, seed: int) -> TaskTiming:
    """Ask a model every open sample of one task.

    Args:
        model: An lmms-eval model whose `recorder` is the given one.
        task: What is asked.
        recorder: Where answers go.
        seed: For lmms-eval's own random states.

    Returns:
        What it cost, and lmms-eval's own mean score for `check_mean`.
    """
    recorder.begin(task)
    started = time.monotonic()
    if task.native is not None:
        return _evaluate_native(model, task, task.native, recorder, seed=seed)
    results = run_lmms_eval(model, task.lmms_task, seed=seed)
    recorder.finish()
    mean = None if results is None else results["results"][task.lmms_name].get("score,none")
    return TaskTiming(
        wall_s=time.monotonic() - started,
        asked=recorder.asked,
        lmms_mean=float(mean) if isinstance(mean, int | float) and not math.isnan(mean) else None,
    )


def _evaluate_native(
    model: object, task: PreparedTask, scorer: NativeScorer, recorder: RunRecorder, *, seed: int
) -> TaskTiming:
    """Ask a model a task of lmms-eval's own, let lmms-eval score it, and journal what it says of each sample."""
    started = time.monotonic()
    scorer.begin(recorder.is_unanswered)
    with scorer.arguments() as arguments:
        results = run_lmms_eval(model, task.lmms_task, seed=seed, arguments=arguments)
    said = scorer.samples()
    for doc_id, sample in enumerate(said):
        recorder.record_native(doc_id, sample)
    recorder.finish()
    return TaskTiming(
        wall_s=time.monotonic() - started,
        asked=recorder.asked,
        lmms_mean=None,
        native={} if results is None else scorer.metrics(results),
        scorer_failures=tuple(sample.failure for sample in said if sample.failure is not None),
    )


def native_score(generation: Generation, said: NativeSample | None = None) -> Score:
    """Return the score of an answer to a task of lmms-eval's own.

    Its value, for lists of right and wrong answers, is the first share of 1 that the sample gives a metric.

    Args:
        generation: The answer.
        said: What lmms-eval's scorer said of it; None where it has not been called yet: null, without a fault.
    """
    if generation.error is not None or (said is not None and said.failure is not None):
        return score_error()
    values: Mapping[str, float] = {} if said is None else said.values
    value = next((one for one in values.values() if 0 <= one <= 1), None)
    taken = None if said is None or said.taken == generation.text else said.taken
    faults: tuple[Fault, ...] = ("truncated",) if generation.truncated else ()
    return Score(value, taken, Components(answer=value), faults=faults, native=dict(values))


def check_mean(timing: TaskTiming, task: str, values: Sequence[float]) -> None:
    """Compare lmms-eval's mean of a task with the mean over the journal's records.

    Raises:
        RuntimeError: They differ, so one of the two lost or doubled a sample.
    """
    if timing.lmms_mean is None or not values:
        return
    ours = math.fsum(values) / len(values)
    if not math.isclose(timing.lmms_mean, ours, rel_tol=0.0, abs_tol=1e-9):
        raise RuntimeError(f"{task}: lmms-eval's mean score is {timing.lmms_mean!r}, the journal's {ours!r}: a bug")


def judged_records(
    judge: Judge,
    records: Sequence[Record],
    config: ScoreConfig,
    *,
    secrets: Sequence[str] = (),
    say: Callable[[str], None] = lambda _: None,
) -> Iterator[Record]:
    """Ask the judge about the records that rules could not decide; yield each anew as its reply arrives.

    A record without an answer stage is not asked about: the judge would read the caption as the answer. One whose judge
    failed is null with the fault `judge_error`.
    """
    questions: list[tuple[Record, str]] = []
    for record in records:
        if wants_judge(record):
            selection = selection_for(record.sample, config)
            answer = read_text(record.generation.text, config.format, selection, config.box_dialect).answer
            if answer is not None and answer.strip():
                questions.append((record, answer))
    for record in ask_all(judge, questions, secrets=secrets, say=say):
        yield rescore_record(record, config)
