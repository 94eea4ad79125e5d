"""Ask a run's samples in several processes of one machine, a shard each; what they leave is merged to one run.

Each process loads the model on a device of its own and writes the journal of its shard into a hidden folder, and is
taken up there by the same command after a kill. A process that dies costs its batch in flight.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from harness.errors import ConfigError, ExitCode
from harness.models.interruption import Interruption
from tasks.parts import (
    Asked,
    Listener,
    Refused,
    Teller,
    Told,
    begun_cuts,
    cut_folder,
    held_parts,
    merged_result,
    one_fault,
    prepare_whole,
    say_once,
    shard_folder,
)
from tasks.run import PreparedRun, RunResult, finished_run, run_benchmarks
from tasks.run_spec import RunEnvironment, RunSpec
from tasks.shards import Shard

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

_LOOK_EVERY_S = 0.5
"""So often it is looked whether a process has died that left somebody with its end of the line."""

_Line: TypeAlias = "Connection[Any, Any]"
"""On which a process tells `Told`, and at its end `Asked` or `Refused`."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What a process is given of its starter's surroundings."""

    packages: dict[str, str]
    git_commit: str | None
    api_key: str
    secrets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Worker:
    """A process that asks a shard."""

    shard: Shard
    """Its part."""
    process: BaseProcess
    """The process."""


def run_by_processes(spec: RunSpec, environment: RunEnvironment, *, again: bool = False) -> RunResult:
    """Ask every shard in a process of its own and publish one run of all; an equal finished run is returned instead.

    Args:
        spec: What is asked; `processes` says by how many.
        environment: What the run takes from its surroundings.
        again: Whether to make a run though an equal one is finished.

    Raises:
        ConfigError: Something is configured wrongly, or this model or task cannot be handed to other processes.
        IncompleteError: A process died; what it recorded is kept.
        RunLockedError: Another command is asking the same run.
    """
    if environment.load_model is not None:
        raise ConfigError("a model that is given as an object cannot be handed to --num-processes: leave that out")
    environment = say_once(environment)
    prepared = prepare_whole(spec, environment, "--num-processes")
    if not again and (finished := finished_run(prepared, environment)) is not None:
        return finished
    with held_parts(spec.out, prepared.manifest) as parts:
        begun = begun_cuts(parts)
        for of, answers in begun.items():
            if of != spec.processes:
                environment.say(f"{answers} answers of a cut into {of} shards are left aside, not {spec.processes}")
        _announce(prepared, environment, begun.get(spec.processes, 0))
        folders = _ask_all(spec, environment, cut_folder(parts, spec.processes))
        return merged_result(folders, prepared, environment, parts)


def _announce(run: PreparedRun, environment: RunEnvironment, answered: int) -> None:
    rows = sum(len(question.data) for question in run.questions)
    environment.listener.task_started(f"{run.spec.tasks} by {run.spec.processes}", rows, answered)


def _ask_all(spec: RunSpec, environment: RunEnvironment, cut: Path) -> list[Path]:
    """Start a process for every shard and return their finished runs, below `cut`.

    Raises:
        UserError: A process refused, or died.
    """
    context = get_context("spawn")
    known = _Known(dict(environment.packages), environment.git_commit, environment.api_key, environment.secrets)
    lines: dict[_Line, _Worker] = {}
    for number in range(1, spec.processes + 1):
        shard = Shard(number, spec.processes)
        its_spec = replace(spec, shard=shard, processes=1, out=shard_folder(cut, number))
        # a line for each: one that is killed while it tells something harms no other
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_ask, args=(its_spec, known, theirs))
        process.start()
        theirs.close()
        lines[ours] = _Worker(shard, process)
    try:
        return _followed(lines, environment, spec.processes)
    except KeyboardInterrupt:
        for worker in lines.values():
            if worker.process.pid is not None and worker.process.is_alive():
                os.kill(worker.process.pid, signal.SIGINT)  # each ends after its batch
        for line in lines:
            _listen_out(line)
        for worker in lines.values():
            worker.process.join()
        raise


def _listen_out(line: _Line) -> None:
    """Take what is still told, so that nobody waits to be heard."""
    try:
        while True:
            line.recv()
    except (EOFError, OSError):
        return


def _followed(lines: Mapping[_Line, _Worker], environment: RunEnvironment, of: int) -> list[Path]:
    """Pass on what the processes tell until all have ended; return the shards' folders.

    Raises:
        UserError: A process refused, or died.
    """
    listener = Listener(environment, of)
    ends: dict[int, Asked | Refused] = {}
    open_lines = dict(lines)
    while open_lines:
        ready = wait(list(open_lines), timeout=_LOOK_EVERY_S)
        for line, worker in list(open_lines.items()):
            if line in ready and _heard(line, listener, ends):
                continue
            if line not in ready and (worker.process.is_alive() or line.poll()):
                continue
            del open_lines[line]
            worker.process.join()
            number = worker.shard.number
            end = ends.setdefault(number, _death(worker))
            if isinstance(end, Refused) and open_lines:
                environment.say(f"shard {worker.shard}: {end.text}. The other processes go on")
    faults = {number: end for number, end in ends.items() if isinstance(end, Refused)}
    if faults:
        raise one_fault(faults, of)
    return [end.folder for _, end in sorted(ends.items()) if isinstance(end, Asked)]


def _heard(line: _Line, listener: Listener, ends: dict[int, Asked | Refused]) -> bool:
    """Take one thing from a line; False where nothing more will come."""
    try:
        told = line.recv()
    except (EOFError, OSError):  # also one that was killed in the middle of a word
        return False
    if isinstance(told, Told):
        listener.take(told)
    else:
        ends[told.number] = told
    return True


def _death(worker: _Worker) -> Refused:
    """Say how a process ended that told no end."""
    code = worker.process.exitcode or 0
    end = f"signal {-code}" if code < 0 else f"exit code {code}"
    text = f"its process was ended ({end}); what it recorded is kept: the same command goes on from there"
    return Refused(worker.shard.number, int(ExitCode.INCOMPLETE), text)


def _ask(spec: RunSpec, known: _Known, line: _Line) -> None:
    """Ask one shard: the life of a process."""
    assert spec.shard is not None, "each process has its part"
    os.setsid()  # Ctrl-C goes to the process that started it, and from there once to each
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // spec.shard.of)))
    teller = Teller(spec.shard.number, line.send)
    with Interruption() as interruption:
        environment = RunEnvironment(
            now=lambda: datetime.now(UTC),
            say=teller.say,
            listener=teller,
            packages=known.packages,
            git_commit=known.git_commit,
            api_key=known.api_key,
            secrets=known.secrets,
            batch_guard=interruption.batch,
        )
        try:
            _choose_device(spec)
            line.send(Asked(spec.shard.number, run_benchmarks(spec, environment).folder))
        except KeyboardInterrupt:
            pass
        except Exception as fault:  # noqa: BLE001 - a device may raise anything; whoever started this process says it
            line.send(Refused.of(spec.shard.number, fault))
    line.close()


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
