"""Open a finished run's questions again, for what looks at its answers with the model at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from harness.errors import ConfigError, IncompleteError
from harness.probes.before_asking import drawn
from harness.runs.store import StoredRun, load_run, refuse_unwritable
from harness.values import Record
from tasks.adapter import seen_pictures
from tasks.benchmark import Benchmark
from tasks.catalog import resolve_tasks
from tasks.cells import Doc
from tasks.prompts import messages
from tasks.run_questions import Question, open_question
from tasks.run_spec import RunSpec, stored_spec
from tasks.run_subject import Subject, find_subject

if TYPE_CHECKING:
    from harness.models.base import Turn


@dataclass(frozen=True, slots=True)
class AskedSample:
    """One sample of a run, with the row that it was asked of."""

    record: Record
    """What came of it."""
    benchmark: Benchmark
    """Its benchmark."""
    doc: Doc
    """Its row."""


@dataclass(frozen=True, slots=True)
class AskedRun:
    """A finished run whose questions can be asked again."""

    stored: StoredRun
    """The run."""
    spec: RunSpec
    """How it was asked, with what was changed since (where its data and its model lie)."""
    subject: Subject
    """Its model, with the weights that it had."""
    samples: tuple[AskedSample, ...]
    """In the order of the run."""

    def turns(self, sample: AskedSample) -> tuple[Turn, ...]:
        """Return the chat of a sample as the run asked it; its pictures are not opened."""
        from harness.models.base import read_turns  # noqa: PLC0415 - imports torch

        adapter = sample.benchmark.adapter
        chat = messages(self.spec.wording, adapter.question_text(sample.doc), adapter.shown(sample.doc))
        return read_turns(chat, f"{sample.record.sample.task} {sample.record.sample.id}")


def open_asked_run(folder: Path, changes: Mapping[str, object]) -> AskedRun:
    """Open a run's questions again, as it asked them.

    Args:
        folder: A finished run of one of our backends.
        changes: Fields of its configuration that may differ: where the model and its data lie, and the device.

    Raises:
        ConfigError: The run is none that `run` made of a benchmark of ours, or was asked blind or with a tool.
        IncompleteError: It is not finished; its model has other weights by now, or its data are others.
        StoreError: Nothing can be written beside it.
    """
    stored = load_run(folder)
    refuse_unwritable(folder)
    asked = stored.manifest.other.get("arguments")
    if not stored.finished:
        raise IncompleteError(f"{folder} is not finished: run its command again first")
    if not isinstance(asked, dict):
        raise ConfigError(f"{folder} was not made by `run`: there is no model to look at")
    spec = replace(stored_spec(cast("Mapping[str, object]", asked), folder), **changes)  # pyright: ignore[reportArgumentType]  # it checks them
    if spec.blind is not None:
        raise ConfigError(f"{folder} was asked blind: its questions showed no picture to look at")
    if spec.tool is not None:
        raise ConfigError(
            f"{folder} was asked with a tool: what its model saw in its last turn is not asked again here"
        )
    subject = find_subject(spec)
    if stored.manifest.weights_hash and subject.hashes.weights_hash != stored.manifest.weights_hash:
        raise IncompleteError(
            f"{spec.model} has other weights than when {folder} was made: name the checkpoint of that run with --model"
        )
    questions = [open_question(spec, benchmark) for benchmark in resolve_tasks(spec.tasks)]
    if native := [question.benchmark.name for question in questions if question.native is not None]:
        raise ConfigError(f"{', '.join(native)}: asked by lmms-eval's own task, which places no box")
    return AskedRun(stored, spec, subject, tuple(_samples(stored, questions)))


def _samples(stored: StoredRun, questions: Sequence[Question]) -> list[AskedSample]:
    """Return the run's samples with their rows.

    Raises:
        IncompleteError: A sample has no row any more, or its picture is another.
    """
    rows = {
        (question.benchmark.name, question.benchmark.adapter.id_of(doc)): (question.benchmark, doc)
        for question in questions
        for doc in question.data
    }
    samples: list[AskedSample] = []
    for record in stored.records():
        sample = record.sample
        if (sample.task, sample.id) not in rows:
            raise IncompleteError(f"{sample.task} has no row {sample.id!r} any more, which {stored.path} asked")
        benchmark, doc = rows[sample.task, sample.id]
        if seen_pictures(benchmark.adapter.shown(doc).images).image_sha256 != sample.image_sha256:
            raise IncompleteError(f"the picture of {sample.task} {sample.id} is another than {stored.path} showed")
        samples.append(AskedSample(record, benchmark, doc))
    return samples


def picked(samples: Sequence[AskedSample], limit: int | None, seed: int) -> list[AskedSample]:
    """Return so many samples in the order of the run, the same for every run of the same data and seed."""
    keys = [(sample.record.sample.task, sample.record.sample.id) for sample in samples]
    return [samples[place] for place in drawn(keys, limit, seed)]
