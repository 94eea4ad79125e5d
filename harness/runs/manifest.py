"""Say what a run is: the manifest beside its records, and the two hashes that follow from it.

`protocol_hash` covers how questions were asked and scored: it tells which runs may be compared. `run_key` covers the
configuration and the input, weights included: it tells which killed run a command may go on with, and names the folder.
Neither covers time, machine or the path of a checkpoint. `stamp_hashes` computes both from the other fields.

The file is `manifest.json`, schema version 1. Keys that this version does not know are kept as they are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NoReturn, TypeAlias, cast, get_args

from harness.errors import ConfigError, ExitCode, UserError
from harness.files import open_regular
from harness.runs.record_codec import MAX_COUNT, describe, json_safe, parse_object
from harness.scoring.box_dialects import dialect_named, dialect_of_frame, frame_of_dialect, optional_words
from harness.values import BOX_FRAMES, FORMATS, PROTOCOLS, BoxDialect, BoxFrame, Format, Json, PixelLimits, Protocol

SCHEMA_VERSION = 1
"""Raised when an older satori-bench could not read the manifest rightly any more."""

Status: TypeAlias = Literal["running", "complete", "failed"]
"""`running` while being written or after a kill; `complete` once published; `failed` when a person has to look."""

STATUSES: tuple[Status, ...] = get_args(Status)

NUMBER_FORMAT = "number_format"
"""Key of a manifest that names the number format which `--dtype auto` came to."""


class ManifestError(UserError, ValueError):
    """A manifest cannot be read; the message names the file and the field."""


class DamagedManifestError(ManifestError):
    """A manifest is there and is none, or that of another version."""

    exit_code = ExitCode.INCOMPLETE


@dataclass(frozen=True, slots=True)
class TaskManifest:
    """What one task asked, and of which data."""

    yaml_hash: str
    """Hex sha256 of the task's YAML file, without what it includes."""
    dataset_path: str
    """Hub id or local path of the data."""
    dataset_revision: str | None
    """Hub revision; None for local data."""
    fingerprint: str
    """Hash over the data's rows, the same wherever they are stored."""
    rows: int
    """Rows of the whole split."""
    samples: int
    """Rows that were asked."""
    limit: int | None = None
    """The `--limit` that shortened the task; None when it was asked in full."""
    prompt_hash: str = ""
    """Hash over the words that the task was asked in; empty where that is not recorded."""
    generation: Mapping[str, Json] = field(default_factory=dict[str, Json])
    """Generation arguments that were really used, defaults filled in; empty where they are not recorded."""
    template_hash: str = ""
    """Hex sha256 of the settings that all task files include; empty where that is not recorded."""
    other: Mapping[str, Json] = field(default_factory=dict[str, Json])
    """Keys that this version does not know."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything that tells one run from another."""

    model: str
    """Model id or path, as it was given."""
    weights_hash: str
    """Hex sha256 over the weights; empty where they cannot be seen (a served model, predictions made elsewhere)."""
    adapter_hash: str | None
    """Hex sha256 over the adapter's weights; None without an adapter."""
    config_hash: str
    """Hex sha256 over the checkpoint's configuration, processor, tokenizer and chat template; empty when not seen."""
    model_type: str
    """The checkpoint's `model_type`, such as `qwen2_5_vl`; empty when not known."""
    backend: str
    """`hf`, `vllm`, `openai`, or how else the texts came about."""
    format: Format
    """The stages that were asked for."""
    protocol: Protocol
    """The rules of `scores.json`."""
    box_dialect: BoxDialect | None
    """How boxes are read; None when not known."""
    box_dialect_reason: str
    """Why so, in words."""
    pixel_limits: PixelLimits | None
    """The image processor's pixel budget; None when not known."""
    generation: Mapping[str, Json]
    """Generation arguments under their usual names."""
    tasks: Mapping[str, TaskManifest]
    """What was asked, by short task name."""
    prompt_hash: str
    """Hash over the prompt wording of all formats, so that runs in different formats can share it."""
    seed: int
    """The run's seed."""
    packages: Mapping[str, str]
    """Package versions."""
    scorer_version: int
    """`harness.scoring.score.SCORER_VERSION` of the scores."""
    created_utc: str
    """When the run began, as `utc_text` writes it."""
    finished_utc: str | None = None
    """When it was published or given up; None while it runs."""
    resumed_utc: tuple[str, ...] = ()
    """When a killed run was taken up again, oldest first."""
    status: Status = "running"
    """How far the run is."""
    git_commit: str | None = None
    """Commit of the code; None when not known."""
    partial: bool = False
    """Whether `--limit` left samples out; such a run is barred from gate and leaderboard."""
    predictions_only: bool = False
    """Whether the texts were made elsewhere (`score --run`, imports)."""
    judge: str | None = None
    """Name of the judge model; None without one."""
    name: str | None = None
    """What a person called the run (`run --name`); None: its folder is named after the model."""
    protocol_hash: str = ""
    """See `stamp_hashes`."""
    run_key: str = ""
    """See `stamp_hashes`."""
    other: Mapping[str, Json] = field(default_factory=dict[str, Json])
    """Keys that this version does not know."""


def utc_text(moment: datetime) -> str:
    """Return a moment as `2026-01-31T23:59:59Z`.

    Raises:
        ValueError: the moment has no time zone.
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no time zone; pass datetime.now(UTC)")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def canonical_json(value: Json) -> bytes:
    """Return the one way to write a value: sorted keys, no blanks, ASCII; equal values give equal bytes.

    Raises:
        ValueError: there is a NaN or an infinity in it.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def protocol_hash(parts: Mapping[str, Json]) -> str:
    """Return the hex sha256 over what makes two runs comparable (`comparable_parts`, or the caller's own choice).

    Raises:
        ValueError: there is a NaN or an infinity in the parts.
    """
    return hashlib.sha256(canonical_json(dict(parts))).hexdigest()


def comparable_parts(manifest: Manifest) -> dict[str, Json]:
    """Return what two runs must share, beside the task and data hashes of each task, to be compared.

    Left out on purpose: the model and its box dialect, because those are what is compared; the format, because satori
    against free-form is a comparison that people want (`prompt_hash` covers the wording of all formats); and the tasks,
    because runs of different task sets can be compared on the tasks that they share (`task_hash` covers one task).
    Words and generation arguments are a matter of each task where each task records its own.
    """
    parts: dict[str, Json] = {
        "protocol": manifest.protocol,
        "pixel_limits": _pixel_limits_to_json(manifest.pixel_limits),
        "scorer_version": manifest.scorer_version,
        "judge": manifest.judge,
    }
    return parts if tells_per_task(manifest) else parts | whole_run_parts(manifest)


def tells_per_task(manifest: Manifest) -> bool:
    """Tell whether every task records its own words and generation arguments, as runs of before did not."""
    return bool(manifest.tasks) and all(task.prompt_hash and task.generation for task in manifest.tasks.values())


def whole_run_parts(manifest: Manifest) -> dict[str, Json]:
    """Return the words and generation arguments of a run as a whole: all that runs of before recorded of them."""
    return {"prompt_hash": manifest.prompt_hash, "generation": dict(manifest.generation)}


def task_hash(task: TaskManifest) -> str:
    """Return the hex sha256 over a task's YAML, what it includes, data, words and generation arguments.

    With `protocol_hash` it is what makes two results comparable. The number of samples asked is left out: runs are
    compared on the samples that they share.
    """
    parts: dict[str, Json] = {"yaml_hash": task.yaml_hash, "fingerprint": task.fingerprint, "rows": task.rows}
    if task.prompt_hash:
        parts["prompt_hash"] = task.prompt_hash
    if task.generation:
        parts["generation"] = dict(task.generation)
    if task.template_hash:
        parts["template_hash"] = task.template_hash
    return hashlib.sha256(canonical_json(parts)).hexdigest()


def run_key(manifest: Manifest) -> str:
    """Return the hex sha256 over configuration and input: a killed run is taken up only by an equal key."""
    return hashlib.sha256(canonical_json(dict(run_key_parts(manifest)))).hexdigest()


def run_key_parts(manifest: Manifest) -> dict[str, Json]:
    """Return what `run_key` covers, by name.

    The model is known by its weights, not its path; where they cannot be seen, by its name and its server.
    """
    parts: dict[str, Json] = {
        "model": manifest.weights_hash or manifest.model,
        "adapter_hash": manifest.adapter_hash,
        "config_hash": manifest.config_hash,
        "model_type": manifest.model_type,
        "backend": manifest.backend,
        "format": manifest.format,
        "box_dialect": optional_words(manifest.box_dialect),
        "tasks": {name: _asked(task) for name, task in manifest.tasks.items()},
        "seed": manifest.seed,
        "partial": manifest.partial,
        "predictions_only": manifest.predictions_only,
        "comparable": comparable_parts(manifest),
        "computed": _computed(manifest),
    }
    if served := _served(manifest):
        parts["served"] = served
    return parts


def _computed(manifest: Manifest) -> Json:
    """Return how the model was computed: answers in float32 are not those in half precision."""
    arguments = _arguments(manifest)
    if arguments is None:
        return None
    return {
        "dtype": manifest.other.get(NUMBER_FORMAT) or arguments.get("dtype"),
        "attn_implementation": arguments.get("attn_implementation"),
    }


def _served(manifest: Manifest) -> dict[str, Json]:
    """Return what tells a served model from another: its name at the server, and its server where no weights do."""
    arguments = _arguments(manifest) or {}
    name, address = arguments.get("served_name"), arguments.get("base_url")
    served: dict[str, Json] = {}
    if name is not None and name != manifest.model:  # as the model is called is the default
        served["served_name"] = name
    if isinstance(address, str) and not manifest.weights_hash:
        served["base_url"] = address.rstrip("/")
    return served


def _arguments(manifest: Manifest) -> dict[str, Json] | None:
    """Return what a person asked of `run`; None for a run that it did not make."""
    arguments = manifest.other.get("arguments")
    return arguments if isinstance(arguments, dict) else None


def _asked(task: TaskManifest) -> dict[str, Json]:
    return {"hash": task_hash(task), "samples": task.samples, "limit": task.limit}


def stamp_hashes(manifest: Manifest) -> Manifest:
    """Return the manifest with `protocol_hash` and `run_key` computed from its other fields."""
    return replace(manifest, protocol_hash=protocol_hash(comparable_parts(manifest)), run_key=run_key(manifest))


def manifest_to_json(manifest: Manifest) -> dict[str, Json]:
    """Return the manifest as the object of `manifest.json`, known keys first and in a fixed order."""
    known: dict[str, Json] = {
        "schema_version": SCHEMA_VERSION,
        "status": manifest.status,
        "created_utc": manifest.created_utc,
        "finished_utc": manifest.finished_utc,
        "resumed_utc": list(manifest.resumed_utc),
        "model": manifest.model,
        "weights_hash": manifest.weights_hash,
        "adapter_hash": manifest.adapter_hash,
        "config_hash": manifest.config_hash,
        "model_type": manifest.model_type,
        "backend": manifest.backend,
        "format": manifest.format,
        "protocol": manifest.protocol,
        "box_dialect": optional_words(manifest.box_dialect),
        "box_frame": frame_of_dialect(manifest.box_dialect),  # all that older versions read
        "box_frame_reason": manifest.box_dialect_reason,
        "pixel_limits": _pixel_limits_to_json(manifest.pixel_limits),
        "generation": json_safe(dict(manifest.generation)),
        "tasks": {name: _task_to_json(task) for name, task in manifest.tasks.items()},
        "prompt_hash": manifest.prompt_hash,
        "seed": manifest.seed,
        "packages": dict(manifest.packages),
        "scorer_version": manifest.scorer_version,
        "git_commit": manifest.git_commit,
        "partial": manifest.partial,
        "predictions_only": manifest.predictions_only,
        "judge": manifest.judge,
        "name": manifest.name,
        "protocol_hash": manifest.protocol_hash,
        "run_key": manifest.run_key,
    }
    return known | {name: json_safe(value) for name, value in manifest.other.items() if name not in known}


def _pixel_limits_to_json(limits: PixelLimits | None) -> Json:
    if limits is None:
        return None
    return {"min_pixels": limits.min_pixels, "max_pixels": limits.max_pixels, "factor": limits.factor}


def _task_to_json(task: TaskManifest) -> Json:
    known: dict[str, Json] = {
        "yaml_hash": task.yaml_hash,
        "dataset_path": task.dataset_path,
        "dataset_revision": task.dataset_revision,
        "fingerprint": task.fingerprint,
        "rows": task.rows,
        "samples": task.samples,
        "limit": task.limit,
        "prompt_hash": task.prompt_hash,
        "generation": json_safe(dict(task.generation)),
        "template_hash": task.template_hash,
    }
    return known | {name: json_safe(value) for name, value in task.other.items() if name not in known}


class JsonFields:
    """Typed reading of one JSON object: each field is taken once, and `other` is what nobody took.

    A field that may be null may also be absent. Errors are ValueErrors that name the field.
    """

    def __init__(self, fields: Mapping[str, Json]) -> None:
        self.other: dict[str, Json] = dict(fields)
        """What has not been taken yet."""

    def text(self, name: str) -> str:
        """Take a text."""
        value = self._take(name)
        return value if isinstance(value, str) else self._refuse(name, "text", value)

    def optional_text(self, name: str) -> str | None:
        """Take a text or null."""
        return None if self.other.get(name) is None and self._drop(name) else self.text(name)

    def texts(self, name: str) -> tuple[str, ...]:
        """Take a list of texts; absent is an empty one."""
        value = self.other.pop(name, [])
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(cast("list[str]", value))
        return self._refuse(name, "a list of texts", value)

    def word(self, name: str, words: tuple[str, ...]) -> str:
        """Take one of the given words."""
        value = self.text(name)
        return value if value in words else self._refuse(name, f"one of {', '.join(words)}", value)

    def whole(self, name: str) -> int:
        """Take a whole number from 0 on; none of a manifest's is negative, or longer than 64 bits."""
        value = self._take(name)
        return (
            value
            if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_COUNT
            else self._refuse(name, "a whole number from 0 on", value)
        )

    def optional_whole(self, name: str) -> int | None:
        """Take a whole number or null."""
        return None if self.other.get(name) is None and self._drop(name) else self.whole(name)

    def flag(self, name: str) -> bool:
        """Take true or false; absent is false."""
        value = self.other.pop(name, False)
        return value if isinstance(value, bool) else self._refuse(name, "true or false", value)

    def mapping(self, name: str) -> dict[str, Json]:
        """Take an object."""
        value = self._take(name)
        return value if isinstance(value, dict) else self._refuse(name, "an object", value)

    def optional_mapping(self, name: str) -> dict[str, Json] | None:
        """Take an object or null."""
        return None if self.other.get(name) is None and self._drop(name) else self.mapping(name)

    def text_mapping(self, name: str) -> dict[str, str]:
        """Take an object of texts."""
        value = self.mapping(name)
        if all(isinstance(item, str) for item in value.values()):
            return cast("dict[str, str]", value)
        return self._refuse(name, "an object of texts", value)

    def _drop(self, name: str) -> bool:
        self.other.pop(name, None)
        return True

    def _take(self, name: str) -> Json:
        if name not in self.other:
            raise ValueError(f"field {name!r} is missing")
        return self.other.pop(name)

    def _refuse(self, name: str, wanted: str, value: Json) -> NoReturn:
        raise ValueError(f"field {name!r} must be {wanted}, found {describe(value)}")


def manifest_from_json(obj: Mapping[str, Json]) -> Manifest:
    """Return the manifest that `manifest_to_json` wrote, unknown keys included (in `other`).

    Raises:
        ValueError: an unknown schema version, or a field is missing or wrong; the message names it.
    """
    version = obj.get("schema_version")
    if version != SCHEMA_VERSION:
        raise ValueError(
            f"its schema_version is {describe(version)}, and this satori-bench reads {SCHEMA_VERSION}; "
            "use the satori-bench that wrote it, or a newer one"
        )
    fields = JsonFields({name: value for name, value in obj.items() if name != "schema_version"})
    manifest = Manifest(
        model=fields.text("model"),
        weights_hash=fields.text("weights_hash"),
        adapter_hash=fields.optional_text("adapter_hash"),
        config_hash=fields.text("config_hash"),
        model_type=fields.text("model_type"),
        backend=fields.text("backend"),
        format=cast("Format", fields.word("format", FORMATS)),
        protocol=cast("Protocol", fields.word("protocol", PROTOCOLS)),
        box_dialect=_box_dialect_from(fields),
        box_dialect_reason=fields.text("box_frame_reason"),
        pixel_limits=_pixel_limits_from(fields.optional_mapping("pixel_limits")),
        generation=fields.mapping("generation"),
        tasks={name: _task_from(name, task) for name, task in fields.mapping("tasks").items()},
        prompt_hash=fields.text("prompt_hash"),
        seed=fields.whole("seed"),
        packages=fields.text_mapping("packages"),
        scorer_version=fields.whole("scorer_version"),
        created_utc=fields.text("created_utc"),
        finished_utc=fields.optional_text("finished_utc"),
        resumed_utc=fields.texts("resumed_utc"),
        status=cast("Status", fields.word("status", STATUSES)),
        git_commit=fields.optional_text("git_commit"),
        partial=fields.flag("partial"),
        predictions_only=fields.flag("predictions_only"),
        judge=fields.optional_text("judge"),
        name=fields.optional_text("name"),
        protocol_hash=fields.text("protocol_hash"),
        run_key=fields.text("run_key"),
    )
    return replace(manifest, other=fields.other)


def _box_dialect_from(fields: JsonFields) -> BoxDialect | None:
    """Read the words of a dialect; runs of before had a frame alone, of the format's list."""
    frame = None
    if fields.other.get("box_frame") is not None:
        frame = dialect_of_frame(cast("BoxFrame", fields.word("box_frame", BOX_FRAMES)))
    fields.other.pop("box_frame", None)
    words = fields.optional_text("box_dialect")
    try:
        return frame if words is None else dialect_named(words)
    except ConfigError as fault:
        raise ValueError(f"field 'box_dialect': {fault}") from fault


def _pixel_limits_from(obj: dict[str, Json] | None) -> PixelLimits | None:
    if obj is None:
        return None
    fields = JsonFields(obj)
    return PixelLimits(fields.whole("min_pixels"), fields.whole("max_pixels"), fields.whole("factor"))


def _task_from(name: str, obj: Json) -> TaskManifest:
    if not isinstance(obj, dict):
        raise ValueError(f"task {name!r} must be an object, found {describe(obj)}")  # noqa: TRY004 - data, not a type
    fields = JsonFields(obj)
    try:
        task = TaskManifest(
            yaml_hash=fields.text("yaml_hash"),
            dataset_path=fields.text("dataset_path"),
            dataset_revision=fields.optional_text("dataset_revision"),
            fingerprint=fields.text("fingerprint"),
            rows=fields.whole("rows"),
            samples=fields.whole("samples"),
            limit=fields.optional_whole("limit"),
            prompt_hash=fields.optional_text("prompt_hash") or "",
            generation=fields.optional_mapping("generation") or {},
            template_hash=fields.optional_text("template_hash") or "",
        )
    except ValueError as error:
        raise ValueError(f"in task {name!r}, {error}") from error
    return replace(task, other=fields.other)


def manifest_bytes(manifest: Manifest) -> bytes:
    """Return the content of `manifest.json`: indented, ASCII, one newline at the end."""
    return (json.dumps(manifest_to_json(manifest), indent=2, allow_nan=False) + "\n").encode("ascii")


def read_manifest(path: Path) -> Manifest:
    """Read a `manifest.json`.

    Raises:
        ManifestError: missing, unreadable, not JSON, of an unknown schema version, or with a wrong field.
    """
    try:
        with open_regular(path.parent, path.name) as file:
            content = file.read()
        return manifest_from_json(parse_object(content.decode("utf-8")))
    except OSError as error:
        raise ManifestError(f"cannot read {path}: {error.strerror or error}. Is its folder a run?") from error
    except ValueError as error:
        raise DamagedManifestError(f"cannot use {path}: {error}") from error
