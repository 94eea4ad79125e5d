"""Run benchmarks on a checkpoint: from a configuration to a published run folder.

Order matters. Everything that can be wrong is checked before any sample is asked: tasks, data, checkpoint, pixel
limits, the output folder; then the model is loaded; only then is a run folder made or a killed one taken up.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.comparison.comparability import input_differences
from harness.errors import ConfigError, IncompleteError
from harness.evaluation.ask import (
    RunRecorder,
    TaskTiming,
    check_mean,
    evaluate_task,
    judged_records,
)
from harness.evaluation.llm_judge import Judge
from harness.evaluation.predictions import rescore_record
from harness.installation import require_extra, require_imports
from harness.models.zoom_words import frame_fault
from harness.runs.journal import read_records
from harness.runs.manifest import SIDE_BOXES, Manifest, config_of
from harness.runs.native_metrics import NATIVE_KEY, native_metrics_json, native_metrics_of
from harness.runs.store import (
    RETRIED,
    OpenRun,
    StoredRun,
    equal_finished_runs,
    load_run,
    open_run,
)
from harness.scoring.formats import format_name
from harness.scoring.score import SCORER_VERSION
from harness.summary.run_summary import RunSummariser, RunSummary, summarise_records
from harness.values import Json, ScoreConfig
from harness.web_address import shown_url
from tasks.benchmark import Benchmark
from tasks.blind import SHOWN_IN_PLACE
from tasks.catalog import resolve_tasks
from tasks.checkpoint_folders import FolderStamp, stamp_of
from tasks.doctor import MODEL_PARTS, RUN_PARTS
from tasks.local_data import without_labels
from tasks.native_benchmarks import native_spec
from tasks.prompts import wording
from tasks.run_manifest import manifest_of
from tasks.run_questions import (
    Question,
    asked_of_these_pictures,
    journalled,
    keys_of_no_row,
    open_question,
    prepared_task,
)
from tasks.run_spec import RunEnvironment, RunSpec, check_overrides, check_spec, refuse_to_send_key, stored_spec
from tasks.run_subject import Subject, find_subject, load_model
from tasks.shards import Shard
from tasks.side_gold import with_side_gold
from tasks.verify import NO_LABELS, gold_box_faults

if TYPE_CHECKING:
    from harness.models.base import RecordingModel
    from harness.models.zoom import Zoom

_PROBE_BYTES = 2**20
"""Room that a run needs at the very least; a full disk is found before anything is asked."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """A finished run."""

    folder: Path
    """The published run folder."""
    model: str
    """The model as it was named."""
    summary: RunSummary
    """What it scored."""
    wall_s: Mapping[str, float]
    """Seconds per task in this process."""


def run_benchmarks(spec: RunSpec, environment: RunEnvironment, *, again: bool = False) -> RunResult:
    """Evaluate a checkpoint on benchmarks and publish the run; a finished run of equal input is returned instead.

    Args:
        spec: What is asked.
        environment: What a run takes from its surroundings.
        again: Whether to make a run though an equal one is finished.

    Raises:
        UserError: Something is configured wrongly, found before any sample was asked; or the disk refuses during the
            run, in which case the journal stays good.
    """
    return _run(spec, environment, again=again)


def retry_run(folder: Path, environment: RunEnvironment, changes: Mapping[str, object] | None = None) -> RunResult:
    """Ask again what stayed unscored for the fault `error` in a run, with the run's own configuration.

    A finished run is never overwritten: the result is a new run that begins with the old one's records. Where nothing
    stayed unscored so, the result is the old run.

    Args:
        folder: The run, finished or not.
        environment: What a run takes from its surroundings.
        changes: Fields of the configuration to change, of those in `RETRY_MAY_CHANGE`.

    Raises:
        ConfigError: The run was not made by `run`.
        IncompleteError: What would be asked now is no longer what the run asked: other weights, data, words...
    """
    stored = load_run(folder)
    asked = stored.manifest.other.get("arguments")
    if not isinstance(asked, dict):
        raise ConfigError(f"{folder} was not made by `run`, so there is no model to ask again")
    if stored.finished and not any(
        record.generation.error is not None or record.judge_error is not None for record in stored.records()
    ):
        environment.say(f"nothing to retry in {folder}: every sample was asked and judged; no run is made")
        return _stored_result(stored)
    # the old run's name is the new one's too, as its model is
    spec = replace(stored_spec(asked, folder), **{"out": folder.parent, **(changes or {})})
    if (spec.judge.model if spec.judge is not None else None) != stored.manifest.judge:
        raise ConfigError(
            f"{folder} was judged by {stored.manifest.judge or 'nobody'}: a retry needs the same judge. "
            f"Give {'--judge ' + stored.manifest.judge if stored.manifest.judge else 'no --judge'}, and its "
            "--judge-url or --judge-key where it needs one"
        )
    refuse_to_send_key(spec, folder, environment, given=bool((changes or {}).get("base_url")))
    return _run(spec, environment, retry_of=stored)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked whichever model answers: opened once for all models of a command."""

    benchmarks: Sequence[Benchmark]
    """The benchmarks that the tasks name."""
    questions: Sequence[Question]
    """The same with their rows."""
    gold: Mapping[str, Json]
    """What the manifest is to say of gold boxes that a file gives; nothing without one."""

    def ready_for(self, spec: RunSpec) -> Sequence[Question]:
        """Return the questions for one more run; a task of lmms-eval's own keeps the state of one: opened anew."""
        return [
            question if question.native is None else open_question(spec, benchmark)
            for question, benchmark in zip(self.questions, self.benchmarks, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class PreparedRun:
    """A run of which everything is known that can be without the model."""

    spec: RunSpec
    """What is asked, with what follows from its tasks."""
    subject: Subject
    """The model."""
    questions: Sequence[Question]
    """The benchmarks with their rows."""
    config: ScoreConfig
    """How answers are scored."""
    manifest: Manifest
    """What the run is."""
    files: FolderStamp = ()
    """The checkpoint's files as they were before they were looked at."""


def open_asked(spec: RunSpec, say: Callable[[str], None]) -> Asked:
    """Open what is asked, for one run or for several models' runs; `spec.model` is not looked at.

    Raises:
        UserError: Something is configured wrongly.
    """
    check_spec(spec)
    benchmarks = resolve_tasks(spec.tasks)
    check_overrides(native_spec(spec, benchmarks), benchmarks)
    _check_writable(spec.out)
    questions, gold = _open_questions(native_spec(spec, benchmarks), benchmarks, say)
    return Asked(benchmarks, questions, gold)


def prepare_run(
    spec: RunSpec, environment: RunEnvironment, asked: Asked | None = None, subject: Subject | None = None
) -> PreparedRun:
    """Check everything that can be wrong before a model is loaded, and say what was decided.

    Args:
        spec: What is asked.
        environment: What the run takes from its surroundings.
        asked: What `open_asked` returned for a specification that differs in model and name alone; None opens it.
        subject: What is known of a model that is in memory already; None looks at `spec.model`.

    Raises:
        UserError: Something is configured wrongly.
    """
    check_spec(spec)
    benchmarks = resolve_tasks(spec.tasks) if asked is None else asked.benchmarks
    spec = native_spec(spec, benchmarks)
    check_overrides(spec, benchmarks)
    files = stamp_of(Path(spec.model))
    if subject is None:
        subject = find_subject(spec)
    _check_writable(spec.out)
    if spec.tool is not None and (
        fault := frame_fault(subject.box_dialect, subject.pixel_limits, served=spec.backend == "openai")
    ):
        raise ConfigError(fault)
    if asked is None:
        questions, gold = _open_questions(spec, benchmarks, environment.say)
    else:
        questions, gold = asked.ready_for(spec), asked.gold
    _say_decisions(spec, subject, questions, environment.say)
    config = ScoreConfig(spec.protocol, spec.form, subject.box_dialect, subject.pixel_limits)
    manifest = manifest_of(spec, environment, subject, questions, gold)
    return PreparedRun(spec, subject, questions, config, manifest, files)


def finished_run(run: PreparedRun, environment: RunEnvironment) -> RunResult | None:
    """Return the finished run of equal input, with its page; None where there is none."""
    equal = _equal_run(run.spec.out, run.manifest, run.questions)
    if equal is None:
        return None
    environment.say(_already_finished(equal, run.spec, run.subject))
    if environment.write_page is not None and not equal.has_page:  # its writer may have been killed
        environment.write_page(equal.path)
    return _stored_result(equal)


def _run(
    spec: RunSpec,
    environment: RunEnvironment,
    *,
    again: bool = False,
    retry_of: StoredRun | None = None,
) -> RunResult:
    """Check, load, ask, judge, publish; a retry begins with the answers of the run that it asks again."""
    return run_prepared(prepare_run(spec, environment), environment, again=again, retry_of=retry_of)


def run_prepared(
    prepared: PreparedRun,
    environment: RunEnvironment,
    *,
    again: bool = False,
    retry_of: StoredRun | None = None,
) -> RunResult:
    """Load, ask, judge, publish; an equal finished run is returned instead.

    Args:
        prepared: What `prepare_run` returned.
        environment: What the run takes from its surroundings.
        again: Whether to make a run though an equal one is finished.
        retry_of: The run whose answers this one begins with.

    Raises:
        UserError: Something is configured wrongly, or the disk refuses.
    """
    start_from = None
    if retry_of is not None:
        manifest, start_from = _as_retry(prepared.manifest, retry_of)
        prepared = replace(prepared, manifest=manifest)
    elif not again and (finished := finished_run(prepared, environment)) is not None:
        return finished
    model = loaded_model(prepared, environment)
    try:
        result = ask_prepared(prepared, model, environment, retry_of=retry_of, start_from=start_from)
    finally:
        if environment.load_model is None:  # whoever gives a model may go on with it
            model.close()
    if environment.write_page is not None:  # only now: whatever a page takes down, the run is safe
        environment.write_page(result.folder)
    return result


def loaded_model(run: PreparedRun, environment: RunEnvironment) -> RecordingModel:
    """Load the model of a prepared run, or reach its server.

    Raises:
        UserError: It cannot be loaded here.
        IncompleteError: The checkpoint was written to while it was read.
    """
    if environment.load_model is not None:
        return environment.load_model(run.spec)
    if run.spec.backend == "vllm":
        require_extra("vllm", "run --backend vllm")
    require_imports([*RUN_PARTS, MODEL_PARTS[run.spec.backend]], "run")
    model = load_model(run.spec, environment, run.subject)
    if stamp_of(Path(run.spec.model)) != run.files:
        raise IncompleteError(
            f"{run.spec.model} was written to while it was read, so nobody knows whose answers these would be: run the "
            "same command again once it is whole"
        )
    return model


def ask_prepared(
    run: PreparedRun,
    model: RecordingModel,
    environment: RunEnvironment,
    *,
    retry_of: StoredRun | None = None,
    start_from: Path | None = None,
) -> RunResult:
    """Ask a model what a prepared run asks, judge and publish; the model may have been asked other things before.

    Args:
        run: What is asked.
        model: The model.
        environment: What the run takes from its surroundings.
        retry_of: The run that is asked again; None for any other.
        start_from: The run whose records a new folder begins with; None for its own.

    Raises:
        UserError: The disk refuses, in which case the journal stays good, or no sample can be asked.
    """
    spec, config = run.spec, run.config
    with open_run(spec.out, run.manifest, now=environment.now(), resume=spec.resume, start_from=start_from) as opened:
        _announce(opened, environment, start_from)
        if retry_of is not None and retry_of.manifest.scorer_version != SCORER_VERSION:
            _score_again(opened, config)
        timings = _ask_all(model, run.questions, opened, config, spec, environment)
        _note_native(opened, timings, environment.say)
        if spec.judge is not None:
            _judge(spec.judge, opened, config, environment)
        summariser = RunSummariser(config, seed=spec.seed, native=native_metrics_of(opened.manifest))
        opened.tabulate(summariser.add)
        summary = summariser.result()
        if spec.judge is None:
            for task, timing in timings.items():
                check_mean(timing, task, summary.values.get(task, ()))
        folder = opened.publish(summary.to_json(), now=environment.now(), warnings=summary.warnings)
    return RunResult(folder, spec.model, summary, {task: timing.wall_s for task, timing in timings.items()})


def part_of(run: PreparedRun, shard: Shard, environment: RunEnvironment, out: Path) -> PreparedRun:
    """Return a shard of a prepared run, as `prepare_run` makes it of `--shard`; its folder goes to `out`.

    Raises:
        ConfigError: It holds no sample.
    """
    spec = replace(run.spec, shard=shard, processes=1, out=out)
    questions = [question.part(shard) for question in run.questions]
    _check_any_sample(spec, questions)
    return replace(
        run, spec=spec, questions=questions, manifest=manifest_of(spec, environment, run.subject, questions, {})
    )


def _open_questions(
    spec: RunSpec, benchmarks: Sequence[Benchmark], say: Callable[[str], None]
) -> tuple[list[Question], dict[str, Json]]:
    """Return what is asked, and what the manifest is to say of gold boxes that a file gives; nothing without one."""
    questions = [open_question(spec, benchmark) for benchmark in benchmarks]
    _check_any_sample(spec, questions)
    if spec.boxes is None:
        return questions, {}
    questions, gold = with_side_gold(spec.boxes, questions)
    for line in gold.messages():
        say(line)
    return questions, {SIDE_BOXES: gold.to_json()}


def _check_any_sample(spec: RunSpec, questions: Sequence[Question]) -> None:
    """Refuse a shard of nothing.

    Raises:
        ConfigError: It is one.
    """
    if spec.shard is not None and not any(len(question.data) for question in questions):
        raise ConfigError(f"--shard {spec.shard} holds no sample: {spec.tasks} has fewer clusters. Use fewer shards")


def _say_decisions(spec: RunSpec, subject: Subject, questions: Sequence[Question], say: Callable[[str], None]) -> None:
    """Say what was decided about the model, its prompts and the data, and what looks doubtful."""
    for question in questions:
        for doubt in gold_box_faults(question.benchmark, question.data):
            say(f"warning: {question.benchmark.name}: {doubt}. A right answer would earn no IoU as it is.")
        if without_labels(question.benchmark, question.data):
            say(f"warning: {question.benchmark.name}: {NO_LABELS}")
    for line in subject.reasons:
        say(line)
    if spec.blind is not None:
        say(f"blind: the questions are asked with {SHOWN_IN_PLACE[spec.blind]} in place of their pictures")
    if spec.tool is not None:
        say(f"tool: the model may ask for regions of the picture, {spec.tool_turns} times a question")
    if spec.wording != wording(spec.form):
        name = format_name(spec.form)
        say(f"asking in other words than format {name}'s own; see them with: satori-bench tasks prompt")


def _equal_run(root: Path, manifest: Manifest, questions: Sequence[Question]) -> StoredRun | None:
    """Return the newest finished run of the same input, pictures included; None where there is none."""
    runs = map(load_run, equal_finished_runs(root, manifest))
    return next((run for run in runs if asked_of_these_pictures(run, questions)), None)


def _as_retry(manifest: Manifest, stored: StoredRun) -> tuple[Manifest, Path | None]:
    """Return the manifest as that of a retry of a run, and the run to copy answers from; None: the run goes on itself.

    Raises:
        IncompleteError: the run was asked something else than would be asked now.
    """
    if differing := input_differences(stored.manifest, manifest):
        raise IncompleteError(
            f"{stored.path} cannot be retried: it was asked something else than would be asked now, and its answers "
            f"would be taken for answers to that. {'; '.join(differing)}. Put back what was changed, or make a new run"
        )
    goes_on = not stored.finished and stored.manifest.run_key == manifest.run_key
    retried = stored.manifest.other.get(RETRIED) if goes_on else stored.path.resolve().name
    named = {} if retried is None else {RETRIED: retried}
    return replace(manifest, other={**manifest.other, **named}), None if goes_on else stored.path


def _score_again(run: OpenRun, config: ScoreConfig) -> None:
    """Score the answers that a run began with by the rules of now; asking takes them as they are."""
    for record in read_records(run.journal.path):
        run.journal.append(rescore_record(record, config))
    run.journal.sync()


def _already_finished(equal: StoredRun, spec: RunSpec, subject: Subject) -> str:
    """Say that a run is not repeated, and what nobody can know of a model whose weights are not seen."""
    said = f"{equal.path} is a finished run of the same input: nothing is asked"
    if spec.name not in (None, equal.manifest.name):
        said += f", and it is not renamed to {spec.name!r}"
    if not subject.hashes.weights_hash:
        model = spec.model if spec.served_name is None else f"{spec.model}, called {spec.served_name}"
        at = "" if spec.base_url is None else f" at {shown_url(spec.base_url)}"
        return f"{said}. The weights of {model}{at} are not seen here: if it has others by now, add --again"
    return f"{said}. --again makes a new run"


def _stored_result(stored: StoredRun) -> RunResult:
    """Return a finished run as if it had been made just now; it took no time."""
    manifest = stored.manifest
    native = native_metrics_of(manifest)
    summary = summarise_records(stored.records(), config_of(manifest), seed=manifest.seed, native=native)
    return RunResult(stored.path, manifest.model, summary, {})


def _check_writable(root: Path) -> None:
    """Make sure that a run folder can be made, before minutes are spent on loading a model; leaves nothing behind."""
    place = root.absolute()
    while not place.exists():
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place) as probe:
            probe.write(bytes(_PROBE_BYTES))
            probe.flush()
    except OSError as fault:
        raise ConfigError(
            f"cannot write to {root}: {fault.strerror or fault}. Name another folder with --out"
        ) from fault


def _announce(run: OpenRun, environment: RunEnvironment, start_from: Path | None) -> None:
    """Say whether this is a new run."""
    if run.resumed:
        environment.say(f"resuming {run.folder} with {len(run.journal.done)} answers in its journal")
    elif start_from is not None:
        environment.say(f"retrying {start_from} as {run.folder}")


def _ask_all(
    model: RecordingModel,
    questions: Sequence[Question],
    run: OpenRun,
    config: ScoreConfig,
    spec: RunSpec,
    environment: RunEnvironment,
) -> dict[str, TaskTiming]:
    """Ask task after task, skipping what the journal has; samples that ended in an error are asked again."""
    if foreign := run.journal.leave_out(keys_of_no_row(run.journal.done, questions)):
        environment.say(f"{foreign} answers in the journal belong to no row of the data: they are left out")
    answered = journalled(read_records(run.journal.path), questions)
    media = run.media_folder if spec.thumbnails else None
    recorder = RunRecorder(run.journal, config, answered, environment.listener, media)
    model.recorder = recorder
    model.tool = None if spec.tool is None else _zoom(spec, config)
    model.batch_guard = environment.batch_guard
    model.take_up(answered.values())
    timings: dict[str, TaskTiming] = {}
    try:
        for question in questions:
            if not len(question.data):
                continue  # a shard may hold no cluster of a small benchmark
            task = prepared_task(question, recorder, spec, run.manifest.model_type)
            timing = evaluate_task(model, task, recorder, seed=spec.seed)
            timings[question.benchmark.name] = timing
            if len(questions) > 1:  # the scores of one alone follow at once
                _tell_task(run, timings, question.benchmark.name, config, environment)
    finally:
        recorder.close()
        if facts := model.facts():
            run.note("server", facts)
    return timings


def _tell_task(
    run: OpenRun, timings: Mapping[str, TaskTiming], ended: str, config: ScoreConfig, environment: RunEnvironment
) -> None:
    """Show what a task scored as soon as it has ended, and keep it in the unfinished folder; a judge comes later."""
    summary = summarise_records(
        read_records(run.journal.path, task=ended),
        config,
        seed=run.manifest.seed,
        native={task: timing.native for task, timing in timings.items() if timing.native},
    )
    run.keep_so_far(summary.to_json())
    if environment.show_task is not None and ended in summary.tasks:
        environment.show_task(summary.tasks[ended])


def _zoom(spec: RunSpec, config: ScoreConfig) -> Zoom:
    """Return the tool that shows a model regions closer."""
    from harness.models.zoom import Zoom  # noqa: PLC0415 - imports torch

    assert config.box_dialect is not None, "whoever prepares a run with a tool has seen to it"
    suffix, most_turns = spec.wording.suffix, spec.tool_turns
    return Zoom(config.format, config.box_dialect, config.pixel_limits, suffix=suffix, most_turns=most_turns)


def _note_native(run: OpenRun, timings: Mapping[str, TaskTiming], say: Callable[[str], None]) -> None:
    """Keep lmms-eval's own aggregates in the manifest, and say on how many samples its scorers failed."""
    if native := {task: timing.native for task, timing in timings.items() if timing.native}:
        run.note(NATIVE_KEY, native_metrics_json(native))
    for task, timing in timings.items():
        if failures := timing.scorer_failures:
            say(f"warning: {task}: lmms-eval's scorer failed on {len(failures)} samples, first with {failures[0]}")


def _judge(judge: Judge, run: OpenRun, config: ScoreConfig, environment: RunEnvironment) -> None:
    """Ask the judge what rules could not decide; each reply goes into the journal as a later line when it arrives."""
    run.journal.sync()
    open_records = list(read_records(run.journal.path))
    replies = failures = 0
    judged = judged_records(judge, open_records, config, secrets=environment.secrets, say=environment.say)
    for record in judged:
        run.journal.append(record)
        replies += record.judge_error is None
        failures += record.judge_error is not None
    kept = sum(record.judge_reply is not None for record in open_records)
    run.note("judge_counts", {"replies": replies + kept, "failures": failures})
    environment.say(f"judge {judge.model}: {replies} replies, {failures} failed requests")
