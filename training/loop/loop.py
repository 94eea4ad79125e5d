"""Close the circle on disk: benchmark, SFT, benchmark, GRPO, benchmark, comparison; every step resumable.

`loops/<name>/` holds `loop.json` (steps, hashes, state), `data/`, `checkpoints/<arm>-<stage>/`, `runs/`,
`comparison.json`, `comparison.md` and `index.html`. A step is skipped when its output is there and its inputs' hashes
agree; after a kill the same command goes on, in the middle of a benchmark (its journal) or of a training stage (its
last checkpoint).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol, cast

from filelock import Timeout

from harness.errors import ConfigError, IncompleteError
from harness.models.checkpoint import hash_checkpoint, inspect_checkpoint
from harness.runs.journal import file_lock
from harness.runs.manifest import canonical_json, utc_text
from harness.runs.store import load_run, write_atomically
from harness.scoring.box_dialects import declared_dialect
from harness.scoring.score import SCORER_VERSION
from tasks.catalog import resolve_tasks
from tasks.local_data import open_task_data
from tasks.run import run_benchmarks
from tasks.run_spec import RunEnvironment, RunSpec, parse_dataset_overrides
from training.data.shapes import LabelNoise, shapes_examples, shapes_profile
from training.data.store import read_examples, write_examples
from training.loop.comparison import LoopComparison, LoopRun, compare_loop, pairs_of
from training.loop.learning import Learning, learning_of
from training.loop.plan import BenchmarkStep, DataPaths, Plan, Step, TrainStep, plan_loop
from training.loop.settings import LoopSettings
from training.stages.settings import GrpoSettings
from training.stages.train import TrainEnvironment, train

SCHEMA = 1
"""Of `loop.json`."""


@dataclass(frozen=True, slots=True)
class StepState:
    """What is known of one step."""

    name: str
    """As in the plan."""
    kind: Literal["benchmark", "train"]
    """What it does."""
    status: Literal["waiting", "running", "done"] = "waiting"
    """How far it is."""
    input_hash: str | None = None
    """Hash over its inputs when it ran."""
    output: str | None = None
    """Path of what it made, relative to the loop's folder."""
    started_utc: str | None = None
    """When it began, the last time."""
    finished_utc: str | None = None
    """When it was done."""


class LoopListener(Protocol):
    """Whoever wants to know how a loop is getting on; its runs and stages have listeners of their own."""

    def loop_started(self, steps: Sequence[tuple[str, str]]) -> None:
        """A loop of steps begins, each with its name and its kind; steps of one kind take about equally long."""
        ...

    def loop_step_started(self, number: int) -> None:
        """A step begins, numbered from 1."""
        ...

    def loop_step_finished(self) -> None:
        """The step ended."""
        ...


@dataclass(frozen=True, slots=True)
class LoopEnvironment:
    """What a loop takes from its surroundings."""

    train: TrainEnvironment
    """For training stages; its clock and voice serve the loop too."""
    run: RunEnvironment
    """For benchmarks."""
    listener: LoopListener
    """Who follows the steps."""
    write_report: Callable[[LoopComparison, Path], None] | None = None
    """Writes the comparison for people into the loop's folder; None writes nothing but `comparison.json`."""


@dataclass(frozen=True, slots=True)
class LoopResult:
    """A finished loop."""

    folder: Path
    """Where everything lies."""
    comparison: LoopComparison
    """What the arms and stages have done."""
    runs: tuple[LoopRun, ...]
    """Every benchmark."""


@dataclass(slots=True)
class _Ledger:
    """`loop.json`, kept up to date on disk."""

    path: Path
    settings: LoopSettings
    states: dict[str, StepState] = field(default_factory=dict[str, StepState])

    def note(self, state: StepState) -> None:
        """Take over a step's state and write the file."""
        self.states[state.name] = state
        self.write("running")

    def write(self, status: str) -> None:
        """Write the file, whole or not at all."""
        content = {
            "schema": SCHEMA,
            "name": self.settings.name,
            "status": status,
            "settings": json.loads(json.dumps(asdict(self.settings), default=str)),
            "stages": [asdict(state) for state in self.states.values()],
        }
        write_atomically(self.path, (json.dumps(content, indent=2) + "\n").encode("ascii"))


def run_loop(settings: LoopSettings, environment: LoopEnvironment) -> LoopResult:
    """Do every step that is not done, then compare.

    Raises:
        UserError: A step cannot be done; the loop goes on from there once the cause is mended.
        IncompleteError: Another process runs this loop.
    """
    check_loop(settings)
    folder = settings.folder
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with file_lock(folder / ".lock").acquire(timeout=0):
            return _run(settings, environment)
    except Timeout as fault:
        raise IncompleteError(f"another process runs the loop {folder}; wait for it or stop it") from fault


def check_loop(settings: LoopSettings) -> None:
    """Look at the data, the benchmarks' names and the model before anything is written or asked.

    Raises:
        ConfigError: One of them is missing or broken.
    """
    for data in (settings.data.sft, settings.data.grpo):
        if shapes_profile(data) is None:
            read_examples(Path(data))
    resolve_tasks(settings.benchmark.tasks)
    inspect_checkpoint(settings.model)


def _run(settings: LoopSettings, environment: LoopEnvironment) -> LoopResult:
    plan = plan_loop(settings, _prepare_data(settings))
    ledger = _open_ledger(settings, plan)
    runs: list[LoopRun] = []
    environment.listener.loop_started([(step.name, step.kind) for step in plan.steps])
    for number, step in enumerate(plan.steps, start=1):
        environment.listener.loop_step_started(number)
        if isinstance(step, TrainStep):
            _train_step(step, ledger, environment)
        else:
            runs.append(_benchmark_step(step, ledger, environment))
        environment.listener.loop_step_finished()
    environment.train.say("comparing")
    by_decoding = compare_loop(pairs_of(plan.chains), runs, seed=settings.benchmark.seed)
    comparison = LoopComparison(settings.name, by_decoding, _learning(plan))
    write_atomically(settings.folder / "comparison.json", comparison.to_bytes())
    if environment.write_report is not None:
        environment.write_report(comparison, settings.folder)
    ledger.write("complete")
    return LoopResult(settings.folder, comparison, tuple(runs))


def _learning(plan: Plan) -> tuple[Learning, ...]:
    """Return how the reinforcement learning stages went."""
    stages = {
        step.run: step.settings
        for step in plan.steps
        if isinstance(step, TrainStep) and isinstance(step.settings, GrpoSettings)
    }
    per_step = {
        run: chosen.optimisation.batch_size * chosen.optimisation.accumulation * chosen.process_count
        for run, chosen in stages.items()
    }
    return learning_of({run: chosen.output for run, chosen in stages.items()}, per_step)


def _open_ledger(settings: LoopSettings, plan: Plan) -> _Ledger:
    """Read what is known of the plan's steps; steps that are no longer in the plan are forgotten."""
    path = settings.folder / "loop.json"
    known: dict[str, StepState] = {}
    if path.is_file():
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            known = {state["name"]: StepState(**state) for state in stored["stages"]}
        except (KeyError, TypeError, ValueError) as fault:
            raise ConfigError(f"{path} is damaged: {fault}. Delete it; finished checkpoints and runs stay") from fault
    kinds: dict[type[Step], Literal["benchmark", "train"]] = {BenchmarkStep: "benchmark", TrainStep: "train"}
    states = {step.name: known.get(step.name) or StepState(step.name, kinds[type(step)]) for step in plan.steps}
    ledger = _Ledger(path, settings, states)
    ledger.write("running")
    return ledger


def _prepare_data(settings: LoopSettings) -> DataPaths:
    """Draw what comes from Shapes into the loop's folder; other data are read where they are."""
    folder, data = settings.folder / "data", settings.data
    weak = data.weak_labels
    noise = LabelNoise(share=weak.share, oversight=weak.oversight, seed=data.seed) if weak is not None else None
    return DataPaths(
        sft=_drawn(data.sft, folder / "sft.parquet", data.rows, data.seed, noise),
        # other scenes than the cold start's: what is rewarded was not taught
        grpo=_drawn(data.grpo, folder / "grpo.parquet", data.rows, data.seed + 1, None),
    )


def _drawn(source: str, path: Path, rows: int, seed: int, noise: LabelNoise | None) -> str:
    """Return the path of a data file, drawn first where it comes from Shapes; the same arguments, the same bytes."""
    profile = shapes_profile(source)
    if profile is None:
        return source
    wanted = {"source": source, "rows": rows, "seed": seed, "noise": None if noise is None else asdict(noise)}
    mark = path.with_suffix(".json")
    text = json.dumps(wanted, sort_keys=True)
    if not path.is_file() or not mark.is_file() or mark.read_text(encoding="utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_examples(path, shapes_examples(profile, rows, seed, noise=noise))
        write_atomically(mark, text.encode("utf-8"))
    return str(path)


def _train_step(step: TrainStep, ledger: _Ledger, environment: LoopEnvironment) -> None:
    """Train a stage; `train` itself knows whether that is done."""
    now = environment.train.now
    before = ledger.states[step.name]
    ledger.note(replace(before, status="running", started_utc=utc_text(now())))
    trained = train(step.settings, environment.train)
    if trained.reused:
        environment.train.say(f"{step.run}: already trained from the same inputs")
    ledger.note(
        replace(
            ledger.states[step.name],
            status="done",
            input_hash=trained.manifest.input_hash,
            output=_relative(trained.folder, ledger),
            started_utc=trained.manifest.started_utc,
            finished_utc=trained.manifest.finished_utc,
        )
    )


def _benchmark_step(step: BenchmarkStep, ledger: _Ledger, environment: LoopEnvironment) -> LoopRun:
    """Benchmark a checkpoint, unless a finished run of the same inputs is there."""
    spec = _run_spec(step, ledger.settings)
    wanted = _benchmark_hash(spec)
    before = ledger.states[step.name]
    if before.status == "done" and before.input_hash == wanted and before.output is not None:
        folder = ledger.settings.folder / before.output
        if folder.is_dir() and load_run(folder).finished:
            environment.train.say(f"{step.name}: already benchmarked")
            return LoopRun(step.run, step.decoding, folder)
    now = environment.train.now
    ledger.note(StepState(step.name, "benchmark", "running", wanted, None, utc_text(now())))
    result = run_benchmarks(spec, environment.run)
    ledger.note(
        replace(
            ledger.states[step.name],
            status="done",
            output=_relative(result.folder, ledger),
            finished_utc=utc_text(now()),
        )
    )
    return LoopRun(step.run, step.decoding, result.folder)


def _run_spec(step: BenchmarkStep, settings: LoopSettings) -> RunSpec:
    """Return what `run` is asked for one checkpoint."""
    chosen = settings.benchmark
    return RunSpec(
        model=str(step.checkpoint),
        tasks=chosen.tasks,
        form=step.format,
        protocol=chosen.protocol,
        box_dialect=declared_dialect(settings.box_dialect, settings.box_frame),
        max_new_tokens=chosen.max_new_tokens,
        temperature=chosen.temperature if step.decoding == "sampled" else 0.0,
        limit=chosen.limit,
        seed=chosen.seed,
        batch_size=chosen.batch_size,
        device=chosen.device,
        datasets=parse_dataset_overrides([f"{task}={path}" for task, path in chosen.datasets.items()]),
        data_dir=chosen.data_dir,
        out=settings.folder / "runs",
    )


def _benchmark_hash(spec: RunSpec) -> str:
    """Return the hex sha256 over a benchmark's inputs: checkpoint and data by content, all that is asked, the rules."""
    hashes = hash_checkpoint(inspect_checkpoint(spec.model))
    asked: dict[str, Any] = {
        name: value for name, value in spec.to_json().items() if name not in {"model", "out", "name"}
    }
    data = {
        benchmark.name: open_task_data(benchmark, spec.data_dir, spec.datasets.get(benchmark.name)).fingerprint
        for benchmark in resolve_tasks(spec.tasks)
    }
    parts = {
        "weights": hashes.weights_hash,
        "config": hashes.config_hash,
        "asked": asked,
        "data": data,
        "scorer": SCORER_VERSION,
    }
    return hashlib.sha256(canonical_json(cast("Any", parts))).hexdigest()


def _relative(path: Path, ledger: _Ledger) -> str:
    """Return a path relative to the loop's folder."""
    return path.resolve().relative_to(ledger.settings.folder.resolve()).as_posix()
