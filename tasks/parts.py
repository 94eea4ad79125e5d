"""What the engines share that have a run asked shard by shard: where shards lie, what is told of them, one run of all.

    runs/.<key>-parts/of-8/3/   shard 3/8, a run folder or the unfinished one that the next command goes on with

The hidden folder belongs to one command at a time, whichever engine it uses, and goes when the run is published.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

from harness.errors import ConfigError, ExitCode, IncompleteError, UserError
from harness.evaluation.merge import merge_shards
from harness.runs.journal import Key, StoreError, lock_run, read_records
from harness.runs.manifest import Manifest
from harness.runs.store import JOURNAL_NAME, RunInfo, list_runs
from harness.values import Record
from tasks.run import PreparedRun, RunResult, prepare_run
from tasks.run_spec import RunEnvironment, RunSpec

_CUT = "of-{}"
"""Folder of the shards of one cut."""

_Kind: TypeAlias = Literal["said", "answered", "record"]


@dataclass(frozen=True, slots=True)
class Told:
    """What whoever asks a shard tells the command that has it asked."""

    number: int
    """Of the shard."""
    kind: _Kind
    """Words for the person, how many answers a journal held already, a record."""
    what: Any
    """Text, count or record."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A shard that was asked to its end."""

    number: int
    """Of the shard."""
    folder: Path
    """Its published run."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A shard that could not be asked to its end."""

    number: int
    """Of the shard."""
    code: int
    """Exit code of the fault."""
    text: str
    """The fault in words."""
    unexpected: bool = False
    """Whether it is none of a person's making, such as a broken device: elsewhere the shard may be asked."""

    @classmethod
    def of(cls, number: int, fault: Exception) -> Refused:
        """Return what a fault makes of a shard; one that is no user's, such as a broken device's, is named by type."""
        if isinstance(fault, UserError):
            return cls(number, int(fault.exit_code), str(fault))
        first_line = (str(fault).splitlines() or [""])[0]
        return cls(
            number, int(ExitCode.INCOMPLETE), f"unexpected {type(fault).__name__}: {first_line}", unexpected=True
        )


class Sink(Protocol):
    """Takes what is told."""

    def __call__(self, told: Told, /) -> object:
        """Take one thing."""
        ...


class Teller:
    """Listens to a shard's run, and tells it on."""

    def __init__(self, number: int, sink: Sink) -> None:
        self._number, self._sink = number, sink
        self._one_at_a_time = threading.Lock()

    def tell(self, kind: _Kind, what: object) -> None:
        """Tell one thing, from any thread."""
        with self._one_at_a_time:
            self._sink(Told(self._number, kind, what))

    def say(self, text: str) -> None:
        """Tell words for the person."""
        self.tell("said", text)

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


class Listener:
    """Hears what all shards tell, and passes it on as one run's progress; a record that is made again counts once."""

    def __init__(self, environment: RunEnvironment, of: int) -> None:
        self._environment, self._of = environment, of
        self._seen: set[Key] = set()
        self.fresh: dict[int, int] = {}
        """Records by the number of the shard, without those that were made before."""

    def take(self, one: Told) -> None:
        """Pass on what was told."""
        if one.kind == "said":
            self._environment.say(one.what)
        elif one.kind == "answered":
            self._environment.say(f"shard {one.number}/{self._of} goes on after {one.what} answers")
        elif one.what.key not in self._seen:
            self._seen.add(one.what.key)
            self.fresh[one.number] = self.fresh.get(one.number, 0) + 1
            self._environment.listener.sample_recorded(one.what)


def say_once(environment: RunEnvironment) -> RunEnvironment:
    """Return surroundings in which a text is said once: all workers say the same of the model."""
    said: set[str] = set()

    def say(text: str) -> None:
        if text not in said:
            said.add(text)
            environment.say(text)

    return replace(environment, say=say)


def prepare_whole(spec: RunSpec, environment: RunEnvironment, option: str) -> PreparedRun:
    """Check everything that can be wrong with a run before its shards are given to others.

    Args:
        spec: What is asked.
        environment: What the run takes from its surroundings.
        option: The option that has it asked in shards.

    Raises:
        ConfigError: It is configured wrongly, or has a task that cannot be cut.
    """
    prepared = prepare_run(spec, environment)
    if any(question.native is not None for question in prepared.questions):
        raise ConfigError(f"tasks of lmms-eval's own are summed up by it over all rows: leave {option} out")
    return prepared


@contextmanager
def held_parts(out: Path, manifest: Manifest) -> Generator[Path]:
    """Give the folder of a run's shards to this command alone, whatever engine another one would ask them with.

    Raises:
        RunLockedError: Another command has it.
        StoreError: The disk refuses.
    """
    folder = out / f".{manifest.run_key[:12]}-parts"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise StoreError.of("make a folder for the shards in", out, fault) from fault
    lock = lock_run(folder)
    try:
        yield folder
    finally:
        lock.release()


def cut_folder(parts: Path, of: int) -> Path:
    """Return where the shards of a cut lie."""
    return parts / _CUT.format(of)


def shard_folder(cut: Path, number: int) -> Path:
    """Return the folder of runs of one shard."""
    return cut / str(number)


def begun_cuts(parts: Path) -> dict[int, int]:
    """Return the cuts that have answers, with how many each."""
    cuts: dict[int, int] = {}
    for folder in parts.glob(_CUT.format("*")):
        of = folder.name.removeprefix(_CUT.format(""))
        if of.isdecimal() and (answers := _answers_below(folder)):
            cuts[int(of)] = answers
    return cuts


def all_asked(cut: Path, of: int) -> bool:
    """Whether every shard of a cut is finished, as when only the merge was refused."""
    folders = [shard_folder(cut, number) for number in range(1, of + 1)]
    return all(any(run.state == "complete" for run in list_runs(folder)) for folder in folders)


def _answers_below(cut: Path) -> int:
    return sum(max(map(_answers, list_runs(folder)), default=0) for folder in cut.iterdir() if folder.is_dir())


def _answers(run: RunInfo) -> int:
    """Return how many samples of a shard need not be asked again."""
    if run.manifest is None:
        return 0
    if run.state == "complete":
        return sum(task.samples for task in run.manifest.tasks.values())
    return sum(record.generation.error is None for record in read_records(run.path / JOURNAL_NAME))


def merged_result(folders: Sequence[Path], run: PreparedRun, environment: RunEnvironment, parts: Path) -> RunResult:
    """Make one run of all shards, clear them away and write its page.

    Raises:
        UserError: They do not belong together, or the disk refuses; the shards stay then.
    """
    spec = run.spec
    environment.listener.task_finished(spec.tasks)
    folder, summary = merge_shards(folders, spec.out, now=environment.now())
    shutil.rmtree(parts, ignore_errors=True)
    if environment.write_page is not None:
        environment.write_page(folder)
    return RunResult(folder, spec.model, summary, {})


def one_fault(faults: Mapping[int, Refused], of: int) -> UserError:
    """Return the faults of all shards as one, each text once."""
    whose: dict[str, list[str]] = {}
    for number, fault in sorted(faults.items()):
        whose.setdefault(fault.text, []).append(str(number))
    said = "; ".join(
        text if len(numbers) == of else f"shard {', '.join(numbers)} of {of}: {text}" for text, numbers in whose.items()
    )
    incomplete = any(fault.code == ExitCode.INCOMPLETE for fault in faults.values())
    return IncompleteError(said) if incomplete else ConfigError(said)
