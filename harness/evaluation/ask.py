"""Drive lmms-eval's evaluator over prepared tasks, scoring and journalling each answer as it comes.

One call of `simple_evaluate` per task on a shared model: a task's records are complete before the next begins. The
model asks the recorder what is already answered, and hands it each new answer right after its batch. lmms-eval's own
mean of each task is compared with the journal's, since both come from the same scorer.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from harness.evaluation.llm_judge import Judge, ask_all, wants_judge
from harness.evaluation.predictions import rescore_record
from harness.images.thumbnails import LONG_EDGE_PX, SHEET_EDGE_PX, side_by_side, write_thumbnail
from harness.models.evaluator import run_lmms_eval
from harness.scoring.read_text import read_text
from harness.scoring.score import score_generation, selection_for
from harness.values import Generation, Record, Sample, ScoreConfig

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


@dataclass(frozen=True, slots=True)
class TaskTiming:
    """What one task cost in this process."""

    wall_s: float
    """Seconds in lmms-eval's evaluator."""
    asked: int
    """Samples that this process asked; the rest came from the journal."""
    lmms_mean: float | None
    """lmms-eval's own mean over the scored samples; None where it computed none."""


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
        record = Record(sample, generation, score_generation(sample, generation, self._config))
        self._sink.append(record)
        if images and self._media_folder is not None and sample.image_sha256:
            long_edge_px = LONG_EDGE_PX if len(images) == 1 else SHEET_EDGE_PX
            write_thumbnail(self._media_folder, side_by_side(images), sample.image_sha256, long_edge_px=long_edge_px)
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
    results = run_lmms_eval(model, task.lmms_task, seed=seed)
    recorder.finish()
    mean = None if results is None else results["results"][task.lmms_name].get("score,none")
    return TaskTiming(
        wall_s=time.monotonic() - started,
        asked=recorder.asked,
        lmms_mean=float(mean) if isinstance(mean, int | float) and not math.isnan(mean) else None,
    )


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
