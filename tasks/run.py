"""Run benchmarks on a checkpoint: from a configuration to a published run folder.

Order matters. Everything that can be wrong is checked before any sample is asked: tasks, data, checkpoint, pixel
limits, the output folder; then the model is loaded; only then is a run folder made or a killed one taken up.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import tempfile
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_type_hints

import msgspec

from harness.checkpoint import CheckpointHashes, hash_checkpoint, inspect_checkpoint, override_limits
from harness.control_tokens import tokens_of_folder
from harness.device_options import check_device_options
from harness.errors import ConfigError, IncompleteError
from harness.evaluate import (
    PreparedTask,
    RunListener,
    RunRecorder,
    TaskTiming,
    check_mean,
    evaluate_task,
    judged_records,
)
from harness.extra_fields import check_extra_body, check_template_kwargs
from harness.installation import require_imports
from harness.journal import read_records
from harness.judge import Judge
from harness.manifest import NUMBER_FORMAT, Manifest, TaskManifest, stamp_hashes
from harness.peer_names import task_hint
from harness.predictions import rescore_record
from harness.provenance import input_differences
from harness.rescore import config_of
from harness.run_files import DamagedRunError
from harness.run_store import (
    MANIFEST_NAME,
    RETRIED,
    OpenRun,
    StoredRun,
    check_run_name,
    equal_finished_runs,
    load_run,
    open_run,
)
from harness.run_summary import RunSummary, summarise_records
from harness.score import SCORER_VERSION
from harness.values import BoxFrame, Format, Generation, Json, PixelLimits, Protocol, Record, Sample, ScoreConfig
from harness.web_address import shown_url
from tasks.adapters import adapter_of
from tasks.benchmark import TEMPLATE_PATH, Benchmark
from tasks.catalog import resolve_tasks
from tasks.cells import Doc
from tasks.doctor import MODEL_PARTS, RUN_PARTS
from tasks.images import image_facts_of
from tasks.local_data import DatasetOverride, TaskData, limit_indices, open_task_data
from tasks.prompts import PromptName, Wording, prompts_hash, wording
from tasks.verify import gold_box_faults

if TYPE_CHECKING:
    from harness.model_base import RecordingModel

PACKAGES = ("satori-bench", "lmms-eval", "torch", "transformers", "accelerate", "peft", "datasets", "pillow", "numpy")
"""Packages whose versions can change a number."""

RETRY_MAY_CHANGE = (
    "base_url", "concurrency", "request_timeout_s", "allow_rerouting", "batch_size", "device", "data_dir", "out",
    "name",
)  # fmt: skip
"""What a retry may do otherwise than its run: where and how fast it asks, never what."""

NO_KEY = "none"
"""Stands for the key of a server that wants none: client libraries insist on a word."""

_PROBE_BYTES = 2**20
"""Room that a run needs at the very least; a full disk is found before anything is asked."""


@dataclass(frozen=True, slots=True)
class RunSpec:
    """What a person asks of a run; the command line builds one."""

    model: str
    """Checkpoint folder, hub id or adapter folder."""
    tasks: str = "core"
    """Tasks, groups and YAML files, by commas."""
    backend: str = "hf"
    """What runs the model: `hf` is transformers, `openai` a server."""
    base_url: str | None = None
    """Root of the API of the server that serves the model; None for other backends."""
    served_name: str | None = None
    """What the server calls the model; None: as `model`."""
    concurrency: int = 16
    """Requests under way at a server at once."""
    request_timeout_s: float = 600.0
    """Seconds that one request to a server may take as a whole."""
    allow_rerouting: bool = False
    """Whether a server's replies of another model count."""
    extra_body: Mapping[str, Json] = field(default_factory=dict[str, Json])
    """Further fields of each request to a server."""
    chat_template_kwargs: Mapping[str, Json] = field(default_factory=dict[str, Json])
    """Variables of the chat template, such as `enable_thinking`, here or at the server."""
    form: Format = "satori"
    """Format: decides prompt and parser."""
    prompt: PromptName = "ours"
    """Whose words ask for the stages."""
    system_prompt: str | None = None
    """In place of the system turn; the empty text leaves it out, None keeps the words."""
    prompt_suffix: str | None = None
    """In place of what follows the question; the empty text leaves it out, None keeps the words."""
    protocol: Protocol = "strict"
    """How answers become scores."""
    box_frame: BoxFrame | None = None
    """Overrides the frame that follows from the model type."""
    min_pixels: int | None = None
    """Overrides the checkpoint's lower pixel limit."""
    max_pixels: int | None = None
    """Overrides the checkpoint's upper pixel limit."""
    max_new_tokens: int | None = None
    """Overrides the tasks' token budgets."""
    temperature: float = 0.0
    """0 is greedy; above, sampled."""
    limit: int | None = None
    """About so many samples a task, in whole clusters; None for all."""
    seed: int = 0
    """Of sampling and intervals."""
    batch_size: str = "auto"
    """Samples at once, or `auto`."""
    device: str = "auto"
    """As torch calls it, or `auto`."""
    dtype: str = "auto"
    """As torch calls it, or `auto`."""
    attn_implementation: str | None = None
    """As transformers calls it; None leaves it to transformers."""
    datasets: Mapping[str, DatasetOverride] = field(default_factory=dict[str, DatasetOverride])
    """Other data, by task."""
    data_dir: Path | None = None
    """Folder with local data."""
    out: Path = Path("runs")
    """Folder of run folders."""
    name: str | None = None
    """Names the run's folder; None: the model does."""
    resume: bool = True
    """Whether a killed run of equal input is taken up."""
    thumbnails: bool = True
    """Whether small images are kept in the run folder."""
    judge: Judge | None = None
    """A judge for what rules cannot decide."""

    @property
    def wording(self) -> Wording:
        """The words around each question.

        Raises:
            ConfigError: The format has none of that name.
        """
        return wording(self.form, self.prompt, system=self.system_prompt, suffix=self.prompt_suffix)

    def to_json(self) -> dict[str, Json]:
        """Return the configuration for the manifest; keys are never written, nor passwords in an address."""
        fields = {name: value for name, value in asdict(self).items() if name != "judge"}
        if self.base_url is not None:
            fields["base_url"] = shown_url(self.base_url)
        return cast("dict[str, Json]", json.loads(json.dumps(fields, default=str)))


@dataclass(frozen=True, slots=True)
class RunEnvironment:
    """What a run takes from its surroundings, so that a test can give it."""

    now: Callable[[], datetime]
    """The present time, with its zone."""
    say: Callable[[str], None]
    """Takes a line for the person who watches."""
    listener: RunListener
    """Shows progress."""
    packages: Mapping[str, str]
    """Package versions for the manifest."""
    git_commit: str | None = None
    """Commit of the checkpoint's training code, or whatever the caller wants to pin; None when not known."""
    batch_guard: Callable[[], AbstractContextManager[object]] = nullcontext
    """Holds each batch, so that an interruption waits for its end."""
    api_key: str = NO_KEY
    """Key of a server; never stored."""
    secrets: tuple[str, ...] = ()
    """Every key that is known, to be cut out of what servers reply."""
    load_model: Callable[[RunSpec], RecordingModel] | None = None
    """Makes the model; None for a transformers checkpoint. A model that replays text comes in here."""
    write_page: Callable[[Path], None] | None = None
    """Adds the page to the folder of a published run, and never raises; None for no page."""


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


@dataclass(frozen=True, slots=True)
class _Subject:
    """What is known of the model before it is asked."""

    model_type: str
    """The checkpoint's; empty when not known."""
    box_frame: BoxFrame | None
    """Frame that it writes boxes in; None when not known."""
    box_frame_reason: str
    """Why that frame, in words."""
    pixel_limits: PixelLimits | None
    """Images are brought to the grid between these; None: they are asked as they are."""
    hashes: CheckpointHashes
    """What identifies it; empty texts where its files cannot be seen."""
    is_adapter: bool
    """Whether it is an adapter on a base."""
    reasons: tuple[str, ...]
    """Sentences that say what was decided and why."""
    control_tokens: frozenset[str] = frozenset()
    """Special tokens that its folder declares; none where only a server has it."""


@dataclass(frozen=True, slots=True)
class _Question:
    """One benchmark with its rows."""

    benchmark: Benchmark
    data: TaskData
    rows: int


def package_versions() -> dict[str, str]:
    """Return the versions of what can change a number; a package that is not installed is left out."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def parse_dataset_overrides(texts: Sequence[str]) -> dict[str, DatasetOverride]:
    """Read `TASK=PATH[@REVISION]` texts.

    Raises:
        ConfigError: A text has no task or no path, or a task is named twice; all faults together.
    """
    overrides: dict[str, DatasetOverride] = {}
    faults: list[str] = []
    for text in texts:
        task, equals, place = text.partition("=")
        path, _, revision = place.partition("@")
        if not (task and equals and path):
            faults.append(f"--dataset {text!r} is not TASK=PATH[@REVISION]")
        elif task in overrides:
            faults.append(f"--dataset names {task} twice")
        else:
            overrides[task] = DatasetOverride(path, revision or None)
    if faults:
        raise ConfigError("; ".join(faults))
    return overrides


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
    spec = replace(_spec_from(asked, folder), **{"out": folder.parent, **(changes or {})})
    if (spec.judge.model if spec.judge is not None else None) != stored.manifest.judge:
        raise ConfigError(
            f"{folder} was judged by {stored.manifest.judge or 'nobody'}: a retry needs the same judge. "
            f"Give {'--judge ' + stored.manifest.judge if stored.manifest.judge else 'no --judge'}, and its "
            "--judge-url or --judge-key where it needs one"
        )
    _refuse_to_send_key(spec, folder, environment, given=bool((changes or {}).get("base_url")))
    return _run(spec, environment, retry_of=stored)


def _refuse_to_send_key(spec: RunSpec, folder: Path, environment: RunEnvironment, *, given: bool) -> None:
    """Refuse to send a key to an address that only a run folder names, which may be a stranger's.

    Raises:
        ConfigError: there is a key, and the address was not given with it.
    """
    if spec.base_url is not None and not given and environment.api_key != NO_KEY:
        raise ConfigError(
            f"{folder} asks the server {spec.base_url}, and a key goes only to an address that you give yourself: add "
            f"--base-url with the address that is to have it, or leave the key out (--api-key and its variables)"
        )


def _spec_from(asked: Mapping[str, Json], folder: Path) -> RunSpec:
    """Return the configuration that a manifest holds.

    Raises:
        DamagedRunError: it is not one that `run` writes.
    """
    kinds = get_type_hints(RunSpec, {**globals(), "Json": Any})  # what is JSON has nothing to be checked
    given = {name: asked[name] for name in kinds if name in asked and name != "judge"}
    try:
        return RunSpec(**{name: _argument(name, kinds[name], value) for name, value in given.items()})
    except (ValueError, TypeError) as fault:
        raise DamagedRunError.of(folder, MANIFEST_NAME, f"cannot be used: in `arguments`, {fault}") from fault


def _argument(name: str, kind: Any, value: Json) -> Any:
    """Return one field of a configuration; a type that JSON does not have, such as a path, is made of its text.

    Raises:
        ValueError: the value is of another kind; names the field.
    """
    try:
        return msgspec.convert(value, kind, dec_hook=lambda made, text: made(text))
    except (msgspec.ValidationError, TypeError) as fault:
        raise ValueError(f"{name}: {fault}") from fault


def _run(
    spec: RunSpec,
    environment: RunEnvironment,
    *,
    again: bool = False,
    retry_of: StoredRun | None = None,
) -> RunResult:
    """Check, load, ask, judge, publish; a retry begins with the answers of the run that it asks again."""
    _check_spec(spec)
    benchmarks = resolve_tasks(spec.tasks)
    _check_overrides(spec, benchmarks)
    subject = _subject(spec)
    _check_writable(spec.out)
    questions = [_open(spec, benchmark) for benchmark in benchmarks]
    _say_decisions(spec, subject, questions, environment.say)
    config = ScoreConfig(spec.protocol, spec.form, subject.box_frame, subject.pixel_limits)
    manifest = _manifest(spec, environment, subject, questions)
    start_from = None
    if retry_of is not None:
        manifest, start_from = _as_retry(manifest, retry_of)
    elif not again and (equal := _equal_run(spec.out, manifest, questions)) is not None:
        environment.say(_already_finished(equal.path, spec, subject))
        if environment.write_page is not None and not equal.has_page:  # its writer may have been killed
            environment.write_page(equal.path)
        return _stored_result(equal)
    require_imports([*RUN_PARTS, MODEL_PARTS[spec.backend]], "run")
    model = environment.load_model(spec) if environment.load_model is not None else _load(spec, environment, subject)
    with open_run(spec.out, manifest, now=environment.now(), resume=spec.resume, start_from=start_from) as run:
        _announce(run, environment, start_from)
        if retry_of is not None and retry_of.manifest.scorer_version != SCORER_VERSION:
            _score_again(run, config)
        timings = _ask_all(model, questions, run, config, spec, environment)
        if spec.judge is not None:
            _judge(spec.judge, run, config, environment)
        run.journal.sync()
        summary = summarise_records(read_records(run.journal.path), config, seed=spec.seed)
        if spec.judge is None:
            for task, timing in timings.items():
                check_mean(timing, task, summary.values.get(task, ()))
        folder = run.publish(summary.to_json(), now=environment.now(), warnings=summary.warnings)
    if environment.write_page is not None:  # only now: whatever a page takes down, the run is safe
        environment.write_page(folder)
    return RunResult(folder, spec.model, summary, {task: timing.wall_s for task, timing in timings.items()})


def _check_spec(spec: RunSpec) -> None:
    """Refuse what is wrong with a configuration by itself, before any file is looked at."""
    if spec.name is not None:
        check_run_name(spec.name)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError("several processes cannot write one run yet: start one process without a launcher")
    check_device_options(spec.device, spec.dtype, spec.batch_size, spec.attn_implementation)
    check_extra_body(spec.extra_body)
    check_template_kwargs(spec.chat_template_kwargs)
    wording(spec.form, spec.prompt)


def _say_decisions(
    spec: RunSpec, subject: _Subject, questions: Sequence[_Question], say: Callable[[str], None]
) -> None:
    """Say what was decided about the model, its prompts and the data, and what looks doubtful."""
    for question in questions:
        for doubt in gold_box_faults(question.benchmark, question.data):
            say(f"warning: {question.benchmark.name}: {doubt}. A right answer would earn no IoU as it is.")
    for line in subject.reasons:
        say(line)
    if spec.wording != wording(spec.form):
        say(f"asking in other words than format {spec.form}'s own; see them with: satori-bench tasks prompt")


def _equal_run(root: Path, manifest: Manifest, questions: Sequence[_Question]) -> StoredRun | None:
    """Return the newest finished run of the same input, pictures included; None where there is none."""
    runs = map(load_run, equal_finished_runs(root, manifest))
    return next((run for run in runs if _asked_of_these_pictures(run, questions)), None)


def _asked_of_these_pictures(run: StoredRun, questions: Sequence[_Question]) -> bool:
    """Tell whether every sample of a finished run was asked of the picture that would be shown now.

    A table's hash covers no picture that the table names by its path, nor how earlier versions turned one.
    """
    asked = {(record.sample.task, record.sample.id): record.sample.image_sha256 for record in run.records()}
    return all(asked.get(key) == sha256 for key, sha256 in _pictures_now(questions))


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


def _already_finished(equal: Path, spec: RunSpec, subject: _Subject) -> str:
    """Say that a run is not repeated, and what nobody can know of a model whose weights are not seen."""
    said = f"{equal} is a finished run of the same input: nothing is asked"
    if not subject.hashes.weights_hash:
        model = spec.model if spec.served_name is None else f"{spec.model}, called {spec.served_name}"
        at = "" if spec.base_url is None else f" at {shown_url(spec.base_url)}"
        return f"{said}. The weights of {model}{at} are not seen here: if it has others by now, add --again"
    return f"{said}. --again makes a new run"


def _stored_result(stored: StoredRun) -> RunResult:
    """Return a finished run as if it had been made just now; it took no time."""
    manifest = stored.manifest
    summary = summarise_records(stored.records(), config_of(manifest), seed=manifest.seed)
    return RunResult(stored.path, manifest.model, summary, {})


def _check_overrides(spec: RunSpec, benchmarks: Sequence[Benchmark]) -> None:
    """Refuse data for a task that is not run: the person meant something that would not happen."""
    unknown = sorted(set(spec.datasets) - {benchmark.name for benchmark in benchmarks})
    if unknown:
        hint = task_hint(unknown[0], [benchmark.name for benchmark in benchmarks])
        raise ConfigError(f"--dataset names {', '.join(unknown)}, which --tasks {spec.tasks} does not run{hint}")


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


def _open(spec: RunSpec, benchmark: Benchmark) -> _Question:
    """Open a benchmark's rows, cut down to the limit."""
    data = open_task_data(benchmark, spec.data_dir, spec.datasets.get(benchmark.name))
    rows = len(data)
    if spec.limit is not None and spec.limit < rows:
        data = data.subset(limit_indices(benchmark, data, spec.limit))
    return _Question(benchmark, data, rows)


def _subject(spec: RunSpec) -> _Subject:
    """Find out what the model is, without loading it: from its files, or for a served name from what was given."""
    if spec.backend == "openai" and not Path(spec.model).exists():
        return _served_by_name(spec)
    checkpoint = inspect_checkpoint(spec.model, served=spec.backend == "openai")
    limits = override_limits(checkpoint, spec.min_pixels, spec.max_pixels)
    reason = f"follows from model_type {checkpoint.model_type}"
    if checkpoint.box_frame is None:
        reason = f"not known for model_type {checkpoint.model_type}; boxes stay unscored until --box-frame is given"
    reasons = list(checkpoint.reasons)
    if limits is not None and limits != checkpoint.pixel_limits:
        low, high = limits.min_pixels, limits.max_pixels
        reasons.append(f"pixel limits {low} to {high}: given by --min-pixels/--max-pixels")
    if spec.backend == "openai":
        own = checkpoint.pixel_limits
        if (
            limits is not None
            and own is not None
            and (limits.min_pixels < own.min_pixels or limits.max_pixels > own.max_pixels)
        ):
            raise ConfigError(
                f"a server resizes to the checkpoint's own {own.min_pixels} to {own.max_pixels} pixels: beyond them "
                "the size that the model sees, and with it the frame of its boxes, is not known"
            )
        reasons.append(f"{shown_url(spec.base_url or '')} is taken at its word that it serves these weights")
    return _with_given_frame(
        spec,
        _Subject(
            model_type=checkpoint.model_type,
            box_frame=checkpoint.box_frame,
            box_frame_reason=reason,
            pixel_limits=limits,
            hashes=hash_checkpoint(checkpoint),
            is_adapter=checkpoint.is_adapter,
            reasons=tuple(reasons),
            control_tokens=tokens_of_folder(checkpoint.processor.tokenizer_folder),
        ),
    )


def _served_by_name(spec: RunSpec) -> _Subject:
    """Return what is known of a model that only its server has."""
    if spec.box_frame == "input_px":
        raise ConfigError(
            "--box-frame input_px needs the size that the model sees, which a served name does not tell: "
            "give --model the checkpoint's folder"
        )
    if (spec.min_pixels is None) != (spec.max_pixels is None):
        raise ConfigError("--min-pixels and --max-pixels go together for a served name: one alone fixes no image size")
    limits = None
    if spec.min_pixels is not None and spec.max_pixels is not None:
        limits = PixelLimits(spec.min_pixels, spec.max_pixels)
    return _with_given_frame(
        spec,
        _Subject(
            model_type="",
            box_frame=None,
            box_frame_reason="not known for a served name; boxes stay unscored until --box-frame is given",
            pixel_limits=limits,
            hashes=CheckpointHashes("", ""),
            is_adapter=False,
            reasons=(
                f"{spec.model} is no folder here: its weights are not seen, so a killed run is taken up by name alone",
                "images are sent as they are" if limits is None else "pixel limits given by --min-pixels/--max-pixels",
            ),
        ),
    )


def _with_given_frame(spec: RunSpec, subject: _Subject) -> _Subject:
    """Return the subject with the frame that a person gave, if one was given."""
    if spec.box_frame is None:
        return subject
    said = f"box frame {spec.box_frame}: given by --box-frame"
    return replace(
        subject,
        box_frame=spec.box_frame,
        box_frame_reason="given by --box-frame",
        reasons=(*subject.reasons, said),
    )


def _manifest(
    spec: RunSpec,
    environment: RunEnvironment,
    subject: _Subject,
    questions: Sequence[_Question],
) -> Manifest:
    """Return what the run is."""
    number_format = _number_format(spec, environment)
    tasks = {question.benchmark.name: _task_manifest(spec, question) for question in questions}
    return stamp_hashes(
        Manifest(
            model=spec.model,
            weights_hash=subject.hashes.weights_hash,
            adapter_hash=subject.hashes.weights_hash if subject.is_adapter else None,
            config_hash=subject.hashes.config_hash,
            model_type=subject.model_type,
            backend=spec.backend,
            format=spec.form,
            protocol=spec.protocol,
            box_frame=subject.box_frame,
            box_frame_reason=subject.box_frame_reason,
            pixel_limits=subject.pixel_limits,
            # None: each task's own budget, which stands in its YAML
            generation={"temperature": spec.temperature, "max_new_tokens": spec.max_new_tokens, **_additions(spec)},
            tasks=tasks,
            prompt_hash=_prompts(tasks),
            seed=spec.seed,
            packages=environment.packages,
            scorer_version=SCORER_VERSION,
            created_utc="",
            git_commit=environment.git_commit,
            partial=any(len(question.data) < question.rows for question in questions),
            judge=spec.judge.model if spec.judge is not None else None,
            name=spec.name,
            other={"arguments": spec.to_json()} | ({} if number_format is None else {NUMBER_FORMAT: number_format}),
        )
    )


def _number_format(spec: RunSpec, environment: RunEnvironment) -> str | None:
    """Return the number format that a checkpoint is computed in here; None where it is somebody else's.

    What `auto` means follows from the device: answers in float32 on a CPU are not those in half precision on a GPU.

    Raises:
        ConfigError: there is no such device, or what asks it is not installed.
    """
    if spec.backend != "hf" or environment.load_model is not None:
        return None
    if spec.dtype != "auto":
        return spec.dtype
    require_imports([*RUN_PARTS, MODEL_PARTS[spec.backend]], "run")
    from harness.model_hf import choose_device, choose_dtype  # noqa: PLC0415 - torch takes seconds to import

    return str(choose_dtype(spec.dtype, choose_device(spec.device))).removeprefix("torch.")


def _additions(spec: RunSpec) -> dict[str, Json]:
    """Return what a person added to every request; nothing where nothing was, so that older hashes stay."""
    added = {"extra_body": dict(spec.extra_body), "chat_template_kwargs": dict(spec.chat_template_kwargs)}
    return {name: cast("Json", fields) for name, fields in added.items() if fields}


def _task_manifest(spec: RunSpec, question: _Question) -> TaskManifest:
    """Return what one task asks, and of which data."""
    override = spec.datasets.get(question.benchmark.name)
    return TaskManifest(
        yaml_hash=hashlib.sha256(question.benchmark.yaml_path.read_bytes()).hexdigest(),
        dataset_path=question.data.source,
        dataset_revision=override.revision if override is not None else None,
        fingerprint=question.data.fingerprint,
        rows=question.rows,
        samples=len(question.data),
        limit=spec.limit if len(question.data) < question.rows else None,
        prompt_hash=prompts_hash(spec.form, spec.wording, question.benchmark),
        generation={
            "temperature": spec.temperature,
            "max_new_tokens": spec.max_new_tokens or question.benchmark.max_new_tokens,
            **_additions(spec),
        },
        template_hash=hashlib.sha256(TEMPLATE_PATH.read_bytes()).hexdigest(),
    )


def _prompts(tasks: Mapping[str, TaskManifest]) -> str:
    """Return a hash over the prompts of every task, whatever their order."""
    parts = sorted({task.prompt_hash for task in tasks.values()})
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def _load(spec: RunSpec, environment: RunEnvironment, subject: _Subject) -> RecordingModel:
    """Load a transformers checkpoint, or reach the server that serves the model."""
    limits = subject.pixel_limits
    low, high = (None, None) if limits is None else (limits.min_pixels, limits.max_pixels)
    if spec.backend == "openai":
        from harness.model_served import SatoriServed  # noqa: PLC0415 - as below

        assert spec.base_url is not None, "whoever makes the configuration gives a server's address"
        return SatoriServed(
            spec.served_name or spec.model,
            spec.base_url,
            api_key=environment.api_key,
            concurrency=spec.concurrency,
            batch_size=spec.batch_size,
            min_pixels=low,
            max_pixels=high,
            factor=limits.factor if limits is not None else 28,
            seed=spec.seed,
            timeout_s=spec.request_timeout_s,
            extra_body=spec.extra_body,
            chat_template_kwargs=spec.chat_template_kwargs,
            control_tokens=subject.control_tokens,
            allow_rerouting=spec.allow_rerouting,
            secrets=environment.secrets,
            say=environment.say,
        )
    from harness.model_hf import SatoriHF  # noqa: PLC0415 - torch takes seconds to import, faults come first

    return SatoriHF(
        spec.model,
        device=spec.device,
        dtype=spec.dtype,
        attn_implementation=spec.attn_implementation,
        batch_size=spec.batch_size,
        min_pixels=low,
        max_pixels=high,
        seed=spec.seed,
        chat_template_kwargs=spec.chat_template_kwargs,
    )


def _announce(run: OpenRun, environment: RunEnvironment, start_from: Path | None) -> None:
    """Say whether this is a new run."""
    if run.resumed:
        environment.say(f"resuming {run.folder} with {len(run.journal.done)} answers in its journal")
    elif start_from is not None:
        environment.say(f"retrying {start_from} as {run.folder}")


def _ask_all(
    model: RecordingModel,
    questions: Sequence[_Question],
    run: OpenRun,
    config: ScoreConfig,
    spec: RunSpec,
    environment: RunEnvironment,
) -> dict[str, TaskTiming]:
    """Ask task after task, skipping what the journal has; samples that ended in an error are asked again."""
    answered = _journalled(read_records(run.journal.path), questions)
    media = run.media_folder if spec.thumbnails else None
    recorder = RunRecorder(run.journal, config, answered, environment.listener, media)
    model.recorder = recorder
    model.batch_guard = environment.batch_guard
    model.take_up(answered.values())
    timings: dict[str, TaskTiming] = {}
    try:
        for question in questions:
            task = _prepare(question, recorder, spec)
            timings[question.benchmark.name] = evaluate_task(model, task, recorder, seed=spec.seed)
    finally:
        if facts := model.facts():
            run.note("server", facts)
    return timings


def _journalled(records: Iterable[Record], questions: Sequence[_Question]) -> dict[tuple[str, str], Generation]:
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
    questions: Sequence[_Question], wanted: Container[tuple[str, str]] | None = None
) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield task and id of the samples, all or those wanted, with the hash of the picture that would be shown.

    It is empty where the picture cannot be read, as in a record. The hashes are kept with the rows, so that asking does
    not take them once more.
    """
    for question in questions:
        adapter = adapter_of(question.benchmark)
        for doc in question.data:
            key = (question.benchmark.name, adapter.id_of(doc))
            if wanted is None or key in wanted:
                facts = image_facts_of(adapter.image_value(doc))
                yield key, "" if facts is None else facts.sha256


def _prepare(question: _Question, recorder: RunRecorder, spec: RunSpec) -> PreparedTask:
    """Build lmms-eval's task object around our rows and our scorer."""
    from tasks.build import BuildOptions, build_task  # noqa: PLC0415 - imports lmms-eval, which takes seconds

    benchmark, data = question.benchmark, question.data
    adapter = adapter_of(benchmark)

    def sample_at(doc_id: int) -> Sample:
        return adapter.sample_of(data[doc_id])

    def hook(doc: Doc, text: str) -> float | None:
        return recorder.hook_value(adapter.sample_of(doc), text)

    arguments: dict[str, Any] = {"temperature": spec.temperature, "do_sample": spec.temperature > 0}
    if spec.max_new_tokens is not None:
        arguments["max_new_tokens"] = spec.max_new_tokens
    options = BuildOptions(asked=spec.wording, hook=hook, generation_kwargs=arguments)
    return PreparedTask(
        name=benchmark.name,
        lmms_name=benchmark.yaml_name,
        lmms_task=build_task(benchmark, data, options),
        sample_ids=tuple(adapter.id_of(doc) for doc in data),
        sample_at=sample_at,
    )


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
