"""What a run asks: rows made into lmms-eval's tasks, and which of them a journal has answered."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import ConfigError
from harness.evaluation.ask import (
    PreparedTask,
    RunRecorder,
)
from harness.runs.journal import Key
from harness.runs.store import (
    StoredRun,
)
from harness.values import Generation, Record, Sample
from tasks.adapter import seen_pictures
from tasks.benchmark import LOCAL_BUILDERS, Benchmark, NativeSource
from tasks.cells import Doc
from tasks.local_data import TaskData, folder_files, limit_indices, named_files, open_task_data
from tasks.run_spec import RunSpec
from tasks.shards import Shard, shard_indices

if TYPE_CHECKING:
    from tasks.native import NativeTask


@dataclass(frozen=True, slots=True)
class Question:
    """One benchmark with its rows."""

    benchmark: Benchmark
    """The benchmark."""
    data: TaskData
    """What is asked of it."""
    rows: int
    """Rows of the whole split."""
    limited: bool
    """Whether `--limit` shortened it."""
    native: NativeTask | None = None
    """lmms-eval's task object, for a task that is its own."""

    def part(self, shard: Shard) -> Question:
        """Return a shard of it, in whole clusters."""
        return replace(self, data=self.data.subset(shard_indices(self.benchmark.name, self.clusters(), shard)))

    def clusters(self) -> Iterator[str]:
        """Yield the cluster of each row."""
        return map(self.benchmark.adapter.cluster_of, self.data)


def asked_of_these_pictures(run: StoredRun, questions: Sequence[Question]) -> bool:
    """Tell whether every sample of a finished run was asked of the picture that would be shown now.

    A table's hash covers no picture that the table names by its path, nor how earlier versions turned one.
    """
    asked = {(record.sample.task, record.sample.id): record.sample.image_sha256 for record in run.records()}
    return all(asked.get(key) == sha256 for key, sha256 in _pictures_now(questions))


def open_question(spec: RunSpec, benchmark: Benchmark) -> Question:
    """Open a benchmark's rows, cut down to the limit, and to the shard."""
    if benchmark.native is not None:
        return _open_native(spec, benchmark, benchmark.native)
    data = open_task_data(benchmark, spec.data_dir, spec.datasets.get(benchmark.name))
    rows = len(data)
    if spec.limit is not None and spec.limit < rows:
        data = data.subset(limit_indices(benchmark, data, spec.limit, spec.limit_seed))
    limited = len(data) < rows
    question = Question(benchmark, data, rows, limited)
    return question if spec.shard is None else question.part(spec.shard)


def _open_native(spec: RunSpec, benchmark: Benchmark, source: NativeSource) -> Question:
    """Open the rows of a task of lmms-eval's own; a limit takes its first rows, as lmms-eval's does.

    Raises:
        DataError: They cannot be loaded, or a folder of local data has none.
        ConfigError: No model here can be asked so.
    """
    from tasks.native import Changes, adapter_of, check_native, open_native  # noqa: PLC0415 - imports lmms-eval

    if spec.shard is not None:
        raise ConfigError(f"{benchmark.name} is summed up by lmms-eval over all its rows: no --shard cuts it")
    if spec.limit_seed is not None:
        raise ConfigError(f"{benchmark.name} is cut by lmms-eval, which takes the first rows: leave --limit-seed out")
    check_native(source.found)
    override, generation = spec.datasets.get(benchmark.name), dict[str, Any]()
    if spec.max_new_tokens is not None:
        generation["max_new_tokens"] = spec.max_new_tokens
    if spec.temperature > 0:  # else the task's own, which may sample
        generation |= {"temperature": spec.temperature, "do_sample": True}
    files: Sequence[Path] = ()
    if override is not None:
        files = named_files(benchmark, override.path)
    elif spec.data_dir is not None and benchmark.hub_path not in LOCAL_BUILDERS:
        files = folder_files(benchmark, spec.data_dir)
    hub_path = override.path if override is not None and not files else None
    revision = None if override is None else override.revision
    task, rows = open_native(source.found, Changes(tuple(files), hub_path, revision, generation), spec.limit)
    columns = (rows.image_column,)
    opened = replace(benchmark, adapter=adapter_of(task, benchmark.name, columns), image_columns=columns)
    return Question(opened, TaskData(rows), task.whole, len(rows) < task.whole, task)


def keys_of_no_row(done: Iterable[Key], questions: Sequence[Question]) -> set[Key]:
    """Return the keys of a journal whose task and id no row of the data has: they were never asked by this run."""
    rows = {
        (question.benchmark.name, question.benchmark.adapter.id_of(doc))
        for question in questions
        for doc in question.data
    }
    return {key for key in done if key[:2] not in rows}


def journalled(records: Iterable[Record], questions: Sequence[Question]) -> dict[tuple[str, str], Generation]:
    """Return the answers that a resumed run need not ask for again: no errors, and about pictures as they are shown.

    An earlier version may have shown a picture lying that is shown upright now; its hash says so.
    """
    generations: dict[tuple[str, str], Generation] = {}
    pictures: dict[tuple[str, str], str] = {}
    for record in records:
        key = (record.sample.task, record.sample.id)
        if record.generation.error is None:
            generations[key], pictures[key] = record.generation, record.sample.image_sha256
    wanted = {key for key, sha256 in pictures.items() if sha256}
    for key, sha256 in _pictures_now(questions, wanted):
        if sha256 not in ("", pictures[key]):  # a picture that cannot be read now leaves its answer as it was
            del generations[key]
    return generations


def _pictures_now(
    questions: Sequence[Question], wanted: Container[tuple[str, str]] | None = None
) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield task and id of the samples, all or those wanted, with the hash of the picture that would be shown.

    It is empty where the picture cannot be read, as in a record. The hashes are kept with the rows, so that asking does
    not take them once more.
    """
    for question in questions:
        adapter = question.benchmark.adapter
        for doc in question.data:
            key = (question.benchmark.name, adapter.id_of(doc))
            if wanted is None or key in wanted:
                yield key, seen_pictures(adapter.shown(doc).images).image_sha256


def prepared_task(question: Question, recorder: RunRecorder, spec: RunSpec, model_type: str) -> PreparedTask:
    """Build lmms-eval's task object around our rows and our scorer; `model_type` is empty where it is not known."""
    from tasks.build import BuildOptions, build_task  # noqa: PLC0415 - imports lmms-eval, which takes seconds
    from tasks.native import NativeTaskScorer  # noqa: PLC0415 - the same

    benchmark, data = question.benchmark, question.data
    adapter = benchmark.adapter

    def sample_at(doc_id: int) -> Sample:
        return adapter.sample_of(data[doc_id])

    if question.native is not None:
        return PreparedTask(
            name=benchmark.name,
            lmms_name=benchmark.yaml_name,
            lmms_task=question.native,
            sample_ids=tuple(adapter.id_of(doc) for doc in data),
            sample_at=sample_at,
            native=NativeTaskScorer(question.native),
        )

    def hook(doc: Doc, _text: str) -> float | None:
        return recorder.hook_value(benchmark.name, adapter.id_of(doc), lambda: adapter.sample_of(doc))

    arguments: dict[str, Any] = {"temperature": spec.temperature, "do_sample": spec.temperature > 0}
    if spec.max_new_tokens is not None:
        arguments["max_new_tokens"] = spec.max_new_tokens
    options = BuildOptions(spec.wording, hook, arguments, model_type, spec.blind)
    return PreparedTask(
        name=benchmark.name,
        lmms_name=benchmark.yaml_name,
        lmms_task=build_task(benchmark, data, options),
        sample_ids=tuple(adapter.id_of(doc) for doc in data),
        sample_at=sample_at,
    )
