"""Ask a run's shards on the workers of a Ray cluster; what they leave is merged to one run.

A worker is an actor that holds the model and asks one shard after the other. There are more shards than workers, so
that a worker or a node that dies costs the shard in its hands: another worker goes on with that shard's journal where
the folder is shared, else it asks the shard anew. Where workers are placed and restarted is Ray's affair.

Workers write into the runs' folder, which all nodes share, or each into a folder of its node: then finished shards go
to an address of fsspec, and from there to whoever started the run.
"""

from __future__ import annotations

import logging
import math
import os
import re
import shutil
import socket
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import ConfigError, ExitCode, IncompleteError
from harness.evaluation.merge import differing_settings
from harness.installation import require_extra
from harness.runs.journal import RunLockedError
from harness.runs.manifest import Manifest
from harness.runs.manifest_differences import differences_text
from harness.runs.object_storage import RunsAtAddress
from tasks.parts import (
    Asked,
    Listener,
    Refused,
    Teller,
    Told,
    all_asked,
    begun_cuts,
    cut_folder,
    held_parts,
    merged_result,
    one_fault,
    prepare_whole,
    say_once,
    shard_folder,
)
from tasks.run import PreparedRun, RunResult, ask_prepared, finished_run, loaded_model, part_of, prepare_run
from tasks.run_spec import RunEnvironment, RunSpec, package_versions
from tasks.shards import MOST_SHARDS, Shard

if TYPE_CHECKING:
    from harness.models.base import RecordingModel

SHARDS_PER_WORKER = 8
"""A worker that dies costs about an eighth of its work; each shard costs about a second beside its samples."""
_LEAST_SAMPLES = 32
"""Of a shard: below, batches are half empty."""
_MOST_DEATHS = 3
"""So often in turn a shard's worker may die without one more answer; then the shard itself is to blame."""
_MOST_STARTS = 3
"""So often a worker may die while it starts."""
_LOOK_EVERY_S = 0.5
_SAID_AFTER_S = 30.0
"""After so long without any worker it is said that none has a place."""
_KNOCK_S = 10.0
_MARK_NAME = "held-by"
_PASSED_ON = ("HF_HUB_OFFLINE", "HF_HOME", "HF_HUB_DISABLE_PROGRESS_BARS", "HF_HUB_VERBOSITY", "DATASETS_VERBOSITY",
              "LOGURU_LEVEL", "TQDM_DISABLE", "TRANSFORMERS_VERBOSITY", "TOKENIZERS_PARALLELISM")  # fmt: skip
"""Variables that a worker has from the command, unless its node sets them."""
_AT_ADDRESS = re.compile(r"of-(\d{1,5})/(\d{1,5})/([A-Za-z0-9][\w.-]*)")
"""A shard's run as it is named at an address."""


@dataclass(frozen=True, slots=True)
class RayPlan:
    """How Ray is to ask a run."""

    address: str | None = None
    """Of the cluster, as `ray.init` takes it; None: the one that this machine is in, else one of this machine alone."""
    workers: int | None = None
    """How many; None: one for each GPU, without GPUs one for each node."""
    cpus: float | None = None
    """Of each worker; None: 1 beside a GPU, else its part of the node."""
    gpus: float | None = None
    """Of each worker, also parts of one; None: as many as hold the model, where the cluster has any."""
    parts: str | None = None
    """Address where finished shards go, such as `s3://bucket/parts`; None: all nodes share the folder of runs."""
    wait_s: float = 0.0
    """So long it is waited for a node that a worker fits on; an autoscaler brings one."""


@dataclass(frozen=True, slots=True)
class _Places:
    """What is asked of the cluster."""

    workers: int
    """How many."""
    cpus: float
    """Of each."""
    gpus: float
    """Of each."""


@dataclass(frozen=True, slots=True)
class _Order:
    """What a worker is told when it is made."""

    spec: RunSpec
    """What is asked."""
    parts: Path
    """Folder of shards that all nodes share."""
    address: str | None
    """Where finished shards go instead; None where the folder is shared."""
    mark: str
    """What stands in the folder, or at the address, if it is the same one; also names the board."""
    key: str
    """Names the run's folder on a node that shares none."""
    of: int
    """Into how many shards the run is cut."""
    folder: Path
    """Where the command was started: relative paths begin there."""
    variables: Mapping[str, str]
    """Of the command's environment."""
    git_commit: str | None
    api_key: str
    secrets: tuple[str, ...]
    load_model: Callable[[RunSpec], RecordingModel] | None
    """Makes the model; None: it is loaded as the specification says."""


@dataclass(frozen=True, slots=True)
class _Ready:
    """A worker that has its model."""

    node: str
    """Name of its machine."""
    manifest: Manifest
    """The whole run as that machine sees it."""


def run_by_ray(spec: RunSpec, environment: RunEnvironment, plan: RayPlan, *, again: bool = False) -> RunResult:
    """Ask a run on a Ray cluster and publish one run of all its shards; an equal finished run is returned instead.

    Args:
        spec: What is asked.
        environment: What the run takes from its surroundings; a `load_model` goes to the workers.
        plan: How Ray is to do it.
        again: Whether to make a run though an equal one is finished.

    Raises:
        ConfigError: Something is configured wrongly, or no node has what a worker wants.
        IncompleteError: All workers died; what they recorded is kept.
        RunLockedError: Another command is asking the same run.
    """
    _check(spec)
    require_extra("ray", "run --engine ray")
    spec, environment = replace(spec, out=spec.out.absolute()), say_once(environment)
    prepared = prepare_whole(spec, environment, "--engine ray")
    if not again and (finished := finished_run(prepared, environment)) is not None:
        return finished
    store = None
    if plan.parts is not None:
        store = RunsAtAddress(f"{plan.parts.rstrip('/')}/{prepared.manifest.run_key[:12]}")
    with held_parts(spec.out, prepared.manifest) as parts, _cluster(plan.address):
        places = _places(plan, spec)
        begun = begun_cuts(parts) if store is None else Counter(int(found[1]) for found in _named_at(store))
        of = max(begun, key=begun.__getitem__, default=_cut(prepared, places.workers))
        environment.say(_plan_text(places, of))
        order = _Order(
            spec=spec,
            parts=parts,
            address=None if store is None else f"{(plan.parts or '').rstrip('/')}/{prepared.manifest.run_key[:12]}",
            mark=_mark(parts, store),
            key=prepared.manifest.run_key[:12],
            of=of,
            folder=Path.cwd(),
            variables={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
            git_commit=environment.git_commit,
            api_key=environment.api_key,
            secrets=environment.secrets,
            load_model=environment.load_model,
        )
        crew = _Crew(order, places, plan, prepared, environment)
        try:
            answered = begun.get(of, 0)
            if store is not None:
                _bring(store, cut_folder(parts, of), of)
            if store is not None or all_asked(cut_folder(parts, of), of):
                brought = _good(prepared, environment, cut_folder(parts, of), of)
                crew.done = {number: result.folder for number, result in brought.items()}
                answered = sum(len(task) for result in brought.values() for task in result.summary.values.values())
            rows = sum(len(question.data) for question in prepared.questions)
            environment.listener.task_started(f"{spec.tasks} by {places.workers}", rows, answered)
            finished = crew.ask_all(again=again)
        finally:
            crew.dismiss()
        if finished is not None:
            return finished
        folders = [_here(store, crew.done[number], parts) for number in sorted(crew.done)]
        result = merged_result(folders, prepared, environment, parts)
        if store is not None:
            store.remove()
        return result


def _check(spec: RunSpec) -> None:
    """Refuse what `--engine ray` cannot be given with.

    Raises:
        ConfigError: There is such a thing.
    """
    if spec.shard is not None or spec.processes > 1:
        raise ConfigError("--engine ray cuts the run itself: leave --shard and --num-processes out")
    if spec.boxes is not None:
        raise ConfigError("--engine ray asks in shards: leave --boxes out, and give it to rescore with the merged run")


def _cut(run: PreparedRun, workers: int) -> int:
    """Return into how many shards a run is cut that nobody has begun: none is empty."""
    samples = sum(len(question.data) for question in run.questions)
    return shards_wanted(samples, max(len(set(question.clusters())) for question in run.questions), workers)


def shards_wanted(samples: int, clusters: int, workers: int) -> int:
    """Return into how many shards so many samples are best cut: as many for each worker, and no more than clusters.

    Of seven shards one of two workers would ask four, and the other would wait for it.
    """
    rounds = max(1, min(SHARDS_PER_WORKER, samples // (_LEAST_SAMPLES * workers)))
    return max(1, min(rounds * workers, clusters, MOST_SHARDS))


def _mark(parts: Path, store: RunsAtAddress | None) -> str:
    """Leave a word where workers are to write, by which they know the place."""
    mark = uuid.uuid4().hex
    if store is None:
        (parts / _MARK_NAME).write_text(mark, encoding="ascii")
    else:
        store.write(_MARK_NAME, mark.encode("ascii"))
    return mark


def _named_at(store: RunsAtAddress) -> list[re.Match[str]]:
    """Return the names of the shards that an address holds, taken apart."""
    names = (_AT_ADDRESS.fullmatch(name) for name in store.runs())
    return [name for name in names if name is not None]


def _bring(store: RunsAtAddress, cut: Path, of: int) -> None:
    """Bring the shards that an address holds already."""
    for name in _named_at(store):
        number = int(name[2])
        if int(name[1]) == of and 1 <= number <= of:
            store.get(name[0], shard_folder(cut, number) / name[3])


def _good(run: PreparedRun, environment: RunEnvironment, cut: Path, of: int) -> dict[int, RunResult]:
    """Return the shards that are here and would be asked so now."""
    silent = replace(environment, say=lambda _: None, write_page=None)
    folders = {number: shard_folder(cut, number) for number in range(1, of + 1)}
    found = {
        number: finished_run(part_of(run, Shard(number, of), environment, folder), silent)
        for number, folder in folders.items()
        if folder.is_dir()
    }
    return {number: result for number, result in found.items() if result is not None}


def _here(store: RunsAtAddress | None, folder: Path, parts: Path) -> Path:
    """Return the folder of a finished shard on this machine."""
    if store is None or folder.is_absolute():
        return folder
    store.get(str(folder), parts / folder)
    return parts / folder


# --- the cluster --------------------------------------------------------------------------------------------------


@contextmanager
def _cluster(address: str | None) -> Generator[None]:
    """Be a driver of a cluster.

    Raises:
        ConfigError: There is none at the address.
    """
    import ray  # noqa: PLC0415 - of an extra

    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody is told of a run
    try:
        _knock(os.environ.get("RAY_ADDRESS") if address in (None, "auto") else address)
        ray.init(address=address, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError, RuntimeError) as fault:
        first_line = (str(fault).splitlines() or [""])[0].rstrip(".")
        raise ConfigError(
            f"no Ray cluster can be reached at --address {address or 'auto'}: {first_line}. Start one with "
            "`ray start --head`, name another address, or leave --address out: then this machine alone is the cluster"
        ) from fault
    try:
        yield
    finally:
        ray.shutdown()


def _knock(address: str | None) -> None:
    """Look whether anybody listens at an address: Ray itself tries for minutes.

    Raises:
        OSError: Nobody does.
    """
    found = re.fullmatch(r"(?:ray://)?\[?([\w.:-]+?)\]?:(\d{1,5})", address or "")
    if found is not None:
        socket.create_connection((found[1], int(found[2])), timeout=_KNOCK_S).close()


def _places(plan: RayPlan, spec: RunSpec) -> _Places:
    """Return how many workers of which size there will be.

    Raises:
        ConfigError: No node has what one wants, and none is waited for.
    """
    import ray  # noqa: PLC0415 - of an extra

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    any_gpu = any(node.get("GPU", 0) >= 1 for node in nodes)
    gpus = plan.gpus
    if gpus is None:
        wanted = any_gpu and spec.backend != "openai" and spec.device.partition(":")[0] in ("auto", "cuda")
        gpus = float(spec.tensor_parallel) if wanted else 0.0
    least_cpus = 1.0 if plan.cpus is None else plan.cpus
    usable = [node for node in nodes if node.get("CPU", 0) >= least_cpus and node.get("GPU", 0) >= gpus]
    if not usable and plan.wait_s <= 0:
        raise ConfigError(_no_place(nodes, least_cpus, gpus))
    by_gpus = sum(int(node.get("GPU", 0) // gpus) for node in usable) if gpus else len(usable)
    workers = max(1, by_gpus) if plan.workers is None else plan.workers
    if plan.cpus is not None or gpus or not usable:
        return _Places(workers, least_cpus, gpus)
    smallest = min(node["CPU"] for node in usable)
    return _Places(workers, max(1.0, float(smallest // math.ceil(workers / len(usable)))), gpus)


def _no_place(nodes: Sequence[Mapping[str, float]], cpus: float, gpus: float) -> str:
    """Say what a worker wants and what there is."""
    has = "; ".join(sorted({f"{node.get('CPU', 0):g} CPUs and {node.get('GPU', 0):g} GPUs" for node in nodes}))
    mend = "leave --worker-gpus out to ask on CPUs" if gpus else "lower --worker-cpus"
    return (
        f"a worker wants {cpus:g} CPUs and {gpus:g} GPUs, and no node of the cluster has as much: its "
        f"{len(nodes)} nodes have {has}. Add nodes with `ray start --address`, {mend}, or wait for an autoscaler's "
        "with --node-timeout SECONDS"
    )


def _plan_text(places: _Places, of: int) -> str:
    gpus = f" and {places.gpus:g} GPUs" if places.gpus else ""
    return f"Ray: {of} shards for {places.workers} workers with {places.cpus:g} CPUs{gpus} each"


# --- whoever has the shards asked ----------------------------------------------------------------------------------


@dataclass(slots=True)
class _Deaths:
    """What a shard's workers died of in turn, without one more answer in between."""

    answers: int = 0
    """Answers of the shard when the last one died."""
    count: int = 0
    """How many."""


@dataclass(slots=True)
class _Crew:
    """The workers, and the shard in the hands of each."""

    order: _Order
    places: _Places
    plan: RayPlan
    run: PreparedRun
    environment: RunEnvironment
    done: dict[int, Path] = field(default_factory=dict[int, Path])
    """Finished runs by the number of their shard; relative to the address where they lie there."""
    _waiting: deque[int] = field(default_factory=deque[int])
    _pending: dict[Any, tuple[Any, int | None]] = field(default_factory=dict[Any, tuple[Any, int | None]])
    """Worker and shard by what Ray promised; no shard: the worker is getting ready."""
    _idle: list[Any] = field(default_factory=list[Any])
    _workers: list[Any] = field(default_factory=list[Any])
    _board: Any = None
    _deaths: dict[int, _Deaths] = field(default_factory=dict[int, _Deaths])
    _starts: Counter[int] = field(default_factory=Counter[int])
    """How often each worker has begun to start since it was last ready."""
    _faults: dict[int, Refused] = field(default_factory=dict[int, Refused])
    _given_up: list[Refused] = field(default_factory=list[Refused])
    _manifest: Manifest | None = None
    """The run as the first worker sees it."""
    _said_late: bool = False

    def ask_all(self, *, again: bool) -> RunResult | None:
        """Have every shard asked; return an equal finished run instead, if one is known once a worker is ready.

        Raises:
            UserError: A shard was refused, or no worker is left.
        """
        import ray  # noqa: PLC0415 - of an extra

        listener = Listener(self.environment, self.order.of)
        self._waiting.extend(number for number in range(1, self.order.of + 1) if number not in self.done)
        if self._waiting:
            self._hire()
        until_s = time.monotonic() + self.plan.wait_s
        while self._waiting or any(number is not None for _, number in self._pending.values()):
            while self._waiting and self._idle:
                worker, number = self._idle.pop(), self._waiting.popleft()
                self._pending[worker.ask.remote(number)] = (worker, number)
            if not self._pending:
                raise one_fault({fault.number: fault for fault in self._given_up}, len(self._given_up))
            ready, _ = ray.wait(list(self._pending), num_returns=1, timeout=_LOOK_EVERY_S)
            self._hear(listener)
            for promise in ready:
                self._take(promise, listener)
            if self._manifest is None:
                self._check_placed(until_s)
            elif not again and self._manifest.run_key != self.run.manifest.run_key:
                # computed otherwise than this machine would, such as in half precision
                seen = replace(self.run, manifest=self._manifest)
                if (finished := finished_run(seen, self.environment)) is not None:
                    return finished
                again = True
        if self._faults:
            raise one_fault(self._faults, self.order.of)
        self._hear(listener)
        return None

    def dismiss(self) -> None:
        """End all workers; what they recorded is kept."""
        import ray  # noqa: PLC0415 - of an extra

        for actor in (*self._workers, self._board):
            if actor is not None:
                with suppress(Exception):  # a cluster that is gone has ended them
                    ray.kill(actor)

    def _hire(self) -> None:
        import ray  # noqa: PLC0415 - of an extra
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # noqa: PLC0415 - of an extra

        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        board: Any = ray.remote(num_cpus=0)(_Board)
        self._board = board.options(name=self.order.mark, scheduling_strategy=here).remote()
        kind = ray.remote(
            num_cpus=self.places.cpus,
            num_gpus=self.places.gpus,
            max_restarts=-1,  # where and when is Ray's affair
            max_task_retries=0,  # a shard goes to a worker that is there, not to the one that may come back
            scheduling_strategy="SPREAD",
        )(_Worker)
        for number in range(min(self.places.workers, len(self._waiting))):
            worker = kind.remote(self.order, number)
            self._workers.append(worker)
            self._start(worker)

    def _start(self, worker: Any) -> None:
        """Have a worker get ready, once Ray has a place for it: also one that Ray starts again."""
        self._pending[worker.ready.options(max_task_retries=-1).remote()] = (worker, None)

    def _hear(self, listener: Listener) -> None:
        """Take what workers tell, and give those up that die whenever they start."""
        import ray  # noqa: PLC0415 - of an extra

        for told in ray.get(self._board.take.remote()) if self._board is not None else ():
            if isinstance(told, Told):
                listener.take(told)
            else:
                self._starts[told.worker] += 1
        for number in [number for number, starts in self._starts.items() if starts > _MOST_STARTS]:
            del self._starts[number]
            worker = self._workers[number]
            self._pending = {promise: held for promise, held in self._pending.items() if held[0] is not worker}
            text = f"it died {_MOST_STARTS} times while it loaded the model; `ray logs` on its node shows why"
            self._give_up(worker, Refused(0, int(ExitCode.INCOMPLETE), text))

    def _take(self, promise: Any, listener: Listener) -> None:
        """Take what a worker brings, or that it died."""
        import ray  # noqa: PLC0415 - of an extra
        from ray.exceptions import RayError  # noqa: PLC0415 - of an extra

        worker, number = self._pending.pop(promise)
        try:
            brought, is_there = ray.get(promise), True
        except RayError as fault:
            brought, is_there = _died(number or 0, fault), False
        if isinstance(brought, _Ready):
            del self._starts[self._workers.index(worker)]
            brought = self._compared(brought)
        if isinstance(brought, Asked):
            self.done[brought.number] = brought.folder
        if not isinstance(brought, Refused):
            self._idle.append(worker)
        elif number is None:
            self._give_up(worker, brought)
        elif brought.unexpected:
            self._ask_elsewhere(number, brought, listener.fresh.get(number, 0))
            if is_there:
                ray.kill(worker, no_restart=False)  # its device may be as broken for the next shard
            self._start(worker)
        else:  # what a person has to mend: nothing more is begun
            self._faults[number] = brought
            self._waiting.clear()
            self._idle.append(worker)

    def _compared(self, ready: _Ready) -> _Ready | Refused:
        """Refuse a worker that sees another run than the others: its shards could not be merged with theirs."""
        asked = self.run.manifest if self._manifest is None else self._manifest
        differing = differing_settings(asked, ready.manifest)
        if self._manifest is None:  # a machine without a GPU may start what is computed on some
            differing = tuple(one for one in differing if one.part != "computed")
        if differing:
            text = (
                f"{ready.node} would ask another run than the others, of which {differences_text(differing)}: give all "
                "nodes the same files"
            )
            return Refused(0, int(ExitCode.USAGE), text)
        self._manifest = ready.manifest
        return ready

    def _give_up(self, worker: Any, fault: Refused) -> None:
        """Go on without a worker that cannot start."""
        import ray  # noqa: PLC0415 - of an extra

        ray.kill(worker)
        self._given_up.append(replace(fault, number=len(self._given_up) + 1))
        if self._pending or self._idle:
            self.environment.say(f"a worker could not start: {fault.text}. The others go on")

    def _ask_elsewhere(self, number: int, fault: Refused, answers: int) -> None:
        """Put a shard back whose worker died.

        Raises:
            IncompleteError: Too many died of it.
        """
        deaths = self._deaths.setdefault(number, _Deaths())
        deaths.count = deaths.count + 1 if answers == deaths.answers else 1
        deaths.answers = answers
        if deaths.count >= _MOST_DEATHS:
            raise IncompleteError(
                f"shard {number}/{self.order.of}: {deaths.count} workers in turn were lost over it without one more "
                f"answer, the last so: {fault.text}. What was recorded is kept: the same command goes on from there"
            )
        self._waiting.appendleft(number)
        self.environment.say(f"shard {number}/{self.order.of}: {fault.text}. It is asked again")

    def _check_placed(self, until_s: float) -> None:
        """Refuse to wait for ever for a place that no node has.

        Raises:
            ConfigError: The time is up.
        """
        import ray  # noqa: PLC0415 - of an extra

        late_s = time.monotonic() - until_s
        if not self._said_late and not self._starts and late_s > _SAID_AFTER_S - self.plan.wait_s:
            self._said_late = True
            free = {name: count for name, count in ray.available_resources().items() if name in ("CPU", "GPU")}
            self.environment.say(
                f"no worker has a place yet: free are {free.get('CPU', 0):g} CPUs and {free.get('GPU', 0):g} GPUs"
            )
        if self.plan.wait_s > 0 and late_s > 0:
            nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
            if not any(_fits(node, self.places) for node in nodes):
                raise ConfigError(_no_place(nodes, self.places.cpus, self.places.gpus))


def _fits(node: Mapping[str, float], places: _Places) -> bool:
    return node.get("CPU", 0) >= places.cpus and node.get("GPU", 0) >= places.gpus


def _died(number: int, fault: Exception) -> Refused:
    """Say in a line how a worker ended; Ray's own text has many."""
    lines = [line.strip() for line in str(fault).splitlines() if line.strip()]
    raised = next((line for line in reversed(lines) if re.match(r"[\w.]+(?:Error|Exception): ", line)), None)
    text = f"its worker died ({type(fault).__name__}: {(raised or (lines or [''])[0])[:200]})"
    return Refused(number, int(ExitCode.INCOMPLETE), text, unexpected=True)


# --- whoever asks --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Starting:
    """What a worker tells before it loads its model."""

    worker: int
    """Its number."""


class _Board:
    """Where workers leave what they have to tell."""

    def __init__(self) -> None:
        self._told: list[Told | _Starting] = []

    def put(self, one: Told | _Starting) -> None:
        """Leave one thing."""
        self._told.append(one)

    def take(self) -> list[Told | _Starting]:
        """Return what was left since the last time."""
        told, self._told = self._told, []
        return told


class _Worker:
    """Holds the model and asks shards, one at a time."""

    def __init__(self, order: _Order, number: int) -> None:
        import ray  # noqa: PLC0415 - of an extra

        # by name: Ray warns that an actor which is given another one's handle may not be started again
        self._board = ray.get_actor(order.mark)
        self._order, self._number = order, number
        self._made: tuple[PreparedRun, RecordingModel] | None = None
        self._last: Any = None

    def ready(self) -> _Ready | Refused:
        """Load the model; return the run as it is seen here."""
        self._put(_Starting(self._number))
        self._be_heard()
        try:
            run, _ = self._prepared()
        except Exception as fault:  # noqa: BLE001 - a device may raise anything
            return Refused.of(0, fault)
        return _Ready(socket.gethostname(), run.manifest)

    def ask(self, number: int) -> Asked | Refused:
        """Ask a shard, or what its journal lacks."""
        try:
            folder = self._asked(number)
        except Exception as fault:  # noqa: BLE001 - as above
            return Refused.of(number, fault)
        finally:
            self._be_heard()
        return Asked(number, folder)

    def _asked(self, number: int) -> Path:
        run, model = self._prepared()
        order, shard = self._order, Shard(number, self._order.of)
        environment = self._environment(number)
        parts = order.parts if order.address is None else _folder_of_node(order.key)
        folder = shard_folder(cut_folder(parts, order.of), number)
        part = part_of(run, shard, environment, folder)
        result = finished_run(part, replace(environment, say=lambda _: None))
        if result is None:
            try:
                result = ask_prepared(part, model, environment)
            except RunLockedError:  # by a worker that Ray takes for dead: both may write, each its own
                anew = replace(part, spec=replace(part.spec, resume=False))
                result = ask_prepared(anew, model, environment)
        if order.address is None:
            return result.folder
        name = Path(cut_folder(Path(), order.of), str(number), result.folder.name)
        RunsAtAddress(order.address).put(result.folder, str(name))
        shutil.rmtree(folder, ignore_errors=True)
        return name

    def _prepared(self) -> tuple[PreparedRun, RecordingModel]:
        """Return run and model, made once in a worker's life.

        Raises:
            UserError: Something of it is not there on this node.
        """
        if self._made is None:
            order = self._order
            for name, value in order.variables.items():
                os.environ.setdefault(name, value)
            with suppress(OSError):  # where it is not, absolute paths and names of the hub still hold
                os.chdir(order.folder)
            self._check_mark()
            environment = self._environment(0)
            run = prepare_run(order.spec, environment)
            self._made = run, loaded_model(run, environment)
        return self._made

    def _check_mark(self) -> None:
        """Make sure that what is written here is seen by whoever started the run.

        Raises:
            ConfigError: It would not be.
        """
        order, found = self._order, None
        if order.address is not None:
            content = RunsAtAddress(order.address).read(_MARK_NAME)
            found = None if content is None else content.decode("ascii", "replace")
            where = f"--parts {order.address}"
        else:
            with suppress(OSError):
                found = (order.parts / _MARK_NAME).read_text(encoding="ascii")
            where = f"--out {order.parts.parent}"
        if found != order.mark:
            raise ConfigError(
                f"{socket.gethostname()} does not see {where} as the machine that started the run does: name a folder "
                "that all nodes share with --out, or an address that all reach with --parts, such as s3://bucket/parts"
            )

    def _environment(self, number: int) -> RunEnvironment:
        teller = Teller(number, self._put)
        return RunEnvironment(
            now=lambda: datetime.now(UTC),
            say=teller.say,
            listener=teller,
            packages=package_versions(),
            git_commit=self._order.git_commit,
            api_key=self._order.api_key,
            secrets=self._order.secrets,
            load_model=self._order.load_model,
        )

    def _put(self, told: Told | _Starting) -> None:
        self._last = self._board.put.remote(told)

    def _be_heard(self) -> None:
        """Wait until all that was told has arrived: whoever counts it counts all."""
        import ray  # noqa: PLC0415 - of an extra
        from ray.exceptions import RayError  # noqa: PLC0415 - of an extra

        if self._last is not None:
            with suppress(RayError):
                ray.get(self._last)


def _folder_of_node(key: str) -> Path:
    """Return the folder of a run's shards on a node that shares none: a worker that is started again goes on there."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "satori-bench" / f"{key}-parts"
