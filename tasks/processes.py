"""Ask a run's samples in several processes of one machine, a shard each; what they leave is merged to one run.

Each process loads the model on a device of its own, writes the journal of its shard into a hidden folder beside the
runs, and is taken up there by the same command after a kill. A process that dies costs its batch in flight.
"""

from __future__ import annotations

import os
import queue
import shutil
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from harness.errors import ConfigError, ExitCode, IncompleteError, UserError
from harness.evaluation.merge import merge_shards
from harness.models.interruption import Interruption
from harness.values import Record
from tasks.run import RunResult, finished_run, prepare_run, run_benchmarks
from tasks.run_spec import RunEnvironment, RunSpec
from tasks.shards import Shard

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

_LOOK_EVERY_S = 0.5
"""So often it is looked whether a process has died."""

_Kind: TypeAlias = Literal["said", "answered", "record", "published", "refused"]


@dataclass(frozen=True, slots=True)
class _Told:
    """What a process tells the one that started it."""

    number: int
    """Of its shard."""
    kind: _Kind
    """Words for the person, answers that a journal held already, a record, the folder of a finished shard, a fault."""
    what: Any
    """Text, count, record, path, or exit code and text."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What a process is given of its starter's surroundings."""

    packages: dict[str, str]
    git_commit: str | None
    api_key: str
    secrets: tuple[str, ...]


def run_by_processes(spec: RunSpec, environment: RunEnvironment, *, again: bool = False) -> RunResult:
    """Ask every shard in a process of its own and publish one run of all; an equal finished run is returned instead.

    Args:
        spec: What is asked; `processes` says by how many.
        environment: What the run takes from its surroundings.
        again: Whether to make a run though an equal one is finished.

    Raises:
        ConfigError: Something is configured wrongly, or this model or task cannot be handed to other processes.
        IncompleteError: A process died; what it recorded is kept.
    """
    if environment.load_model is not None:
        raise ConfigError("a model that is given as an object cannot be handed to --num-processes: leave that out")
    said: set[str] = set()

    def say_once(text: str) -> None:  # all processes say the same of the model
        if text not in said:
            said.add(text)
            say(text)

    say, environment = environment.say, replace(environment, say=say_once)
    prepared = prepare_run(spec, environment)
    if any(question.native is not None for question in prepared.questions):
        raise ConfigError("tasks of lmms-eval's own are summed up by it over all rows: leave --num-processes out")
    if not again and (finished := finished_run(prepared, environment)) is not None:
        return finished
    parts = spec.out / f".{prepared.manifest.run_key[:12]}-of-{spec.processes}"
    environment.listener.task_started(
        f"{spec.tasks} by {spec.processes}", sum(len(question.data) for question in prepared.questions), 0
    )
    folders = _ask_all(spec, environment, parts)
    environment.listener.task_finished(spec.tasks)
    folder, summary = merge_shards(folders, spec.out, now=environment.now())
    shutil.rmtree(parts, ignore_errors=True)
    if environment.write_page is not None:
        environment.write_page(folder)
    return RunResult(folder, spec.model, summary, {})


def _ask_all(spec: RunSpec, environment: RunEnvironment, parts: Path) -> list[Path]:
    """Start a process for every shard and return their finished runs, below `parts`.

    Raises:
        UserError: A process refused, or died.
    """
    context = get_context("spawn")
    told: Any = context.Queue()
    known = _Known(dict(environment.packages), environment.git_commit, environment.api_key, environment.secrets)
    shards = [Shard(number, spec.processes) for number in range(1, spec.processes + 1)]
    workers = [
        context.Process(target=_ask, args=(replace(spec, shard=shard, processes=1, out=parts), known, told))
        for shard in shards
    ]
    for worker in workers:
        worker.start()
    try:
        return _followed(workers, told, environment)
    except KeyboardInterrupt:
        for worker in workers:
            if worker.pid is not None and worker.is_alive():
                os.kill(worker.pid, signal.SIGINT)  # each ends after its batch
        for worker in workers:
            worker.join()
        raise


def _followed(workers: Sequence[BaseProcess], told: Any, environment: RunEnvironment) -> list[Path]:
    """Pass on what the processes tell until all have ended; return the shards' folders.

    Raises:
        UserError: A process refused, or died.
    """
    taken = _Taken(environment, len(workers))
    while any(worker.is_alive() for worker in workers):
        _drain(told, taken.take)
    for worker in workers:
        worker.join()
    _drain(told, taken.take)
    for number, worker in enumerate(workers, 1):
        if number not in taken.folders and number not in taken.faults:
            code = worker.exitcode or 0
            end = f"signal {-code}" if code < 0 else f"exit code {code}"
            taken.faults[number] = (
                ExitCode.INCOMPLETE,
                f"its process was ended ({end}); what it recorded is kept: the same command goes on from there",
            )
    if taken.faults:
        raise _one_fault(taken.faults, len(workers))
    return [taken.folders[number] for number in sorted(taken.folders)]


class _Taken:
    """What the processes have told so far."""

    def __init__(self, environment: RunEnvironment, of: int) -> None:
        self._environment, self._of = environment, of
        self.folders: dict[int, Path] = {}
        """Finished runs by the number of their shard."""
        self.faults: dict[int, tuple[int, str]] = {}
        """Exit codes and words by the number of their shard."""

    def take(self, one: _Told) -> None:
        """Keep or pass on what was told."""
        if one.kind == "said":
            self._environment.say(one.what)
        elif one.kind == "answered":
            self._environment.say(f"shard {one.number}/{self._of} goes on after {one.what} answers")
        elif one.kind == "record":
            self._environment.listener.sample_recorded(one.what)
        elif one.kind == "published":
            self.folders[one.number] = one.what
        elif one.kind == "refused":
            self.faults[one.number] = one.what


def _one_fault(faults: Mapping[int, tuple[int, str]], of: int) -> UserError:
    """Return the faults of all processes as one, each text once."""
    whose: dict[str, list[str]] = {}
    for number, (_, text) in faults.items():
        whose.setdefault(text, []).append(str(number))
    said = "; ".join(
        text if len(numbers) == of else f"shard {', '.join(numbers)} of {of}: {text}" for text, numbers in whose.items()
    )
    incomplete = any(code == ExitCode.INCOMPLETE for code, _ in faults.values())
    return IncompleteError(said) if incomplete else ConfigError(said)


def _drain(told: Any, take: Callable[[_Told], None]) -> None:
    """Take what is told, as long as something comes."""
    while True:
        try:
            one = told.get(timeout=_LOOK_EVERY_S)
        except queue.Empty:
            return
        take(one)


class _Teller:
    """Listens to a shard's run, and tells it on."""

    def __init__(self, number: int, told: Any) -> None:
        self._number, self._told = number, told

    def tell(self, kind: _Kind, what: object) -> None:
        """Tell one thing."""
        self._told.put(_Told(self._number, kind, what))

    def task_started(self, task: str, rows: int, answered: int) -> None:
        """Tell what was answered before."""
        del task, rows
        if answered:
            self.tell("answered", answered)

    def sample_recorded(self, record: Record) -> None:
        """Tell a record."""
        self.tell("record", record)

    def task_finished(self, task: str) -> None:
        """The bar is one over all tasks."""


def _ask(spec: RunSpec, known: _Known, told: Any) -> None:
    """Ask one shard: the life of a process."""
    assert spec.shard is not None, "each process has its part"
    os.setsid()  # Ctrl-C goes to the process that started it, and from there once to each
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // spec.shard.of)))
    teller = _Teller(spec.shard.number, told)
    with Interruption() as interruption:
        _choose_device(spec)
        environment = RunEnvironment(
            now=lambda: datetime.now(UTC),
            say=lambda text: teller.tell("said", text),
            listener=teller,
            packages=known.packages,
            git_commit=known.git_commit,
            api_key=known.api_key,
            secrets=known.secrets,
            batch_guard=interruption.batch,
        )
        try:
            teller.tell("published", run_benchmarks(spec, environment).folder)
        except UserError as error:
            teller.tell("refused", (int(error.exit_code), str(error)))
        except KeyboardInterrupt:
            pass
    told.close()
    told.join_thread()


def _leave_with_parent() -> None:
    """End with the process that started this one: what is recorded is kept, and nobody waits for the rest."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(ExitCode.INTERRUPTED)


def _choose_device(spec: RunSpec) -> None:
    """Give each process a GPU of its own, in turn; `choose_device` reads the variable."""
    if spec.backend != "hf" or spec.device not in ("auto", "cuda") or spec.shard is None:
        return
    import torch  # noqa: PLC0415 - heavy, and a served model needs none

    if count := torch.cuda.device_count():
        os.environ["LOCAL_RANK"] = str((spec.shard.number - 1) % count)
