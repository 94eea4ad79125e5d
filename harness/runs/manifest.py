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
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

from harness.errors import ConfigError, ExitCode, UserError
from harness.files import open_regular
from harness.runs.declared import value_from
from harness.runs.json_text import describe, json_safe, parse_object
from harness.scoring.box_dialects import dialect_named, dialect_of_frame, frame_of_dialect, optional_words
from harness.scoring.formats import MARKED, check_protocol, definition_hash, definition_of, format_name
from harness.scoring.own_format import format_of_definition
from harness.scoring.protocols import versioned
from harness.values import (
    BOX_FRAMES,
    FORMATS,
    NATIVE,
    AnyFormat,
    BoxDialect,
    Count,
    GroundedFormat,
    Json,
    PixelLimits,
    Protocol,
    ScoreConfig,
)

SCHEMA_VERSION = 1
"""Raised when an older satori-bench could not read the manifest rightly any more."""

Status: TypeAlias = Literal["running", "complete", "failed"]
"""`running` while being written or after a kill; `complete` once published; `failed` when a person has to look."""

_ALWAYS_WRITTEN = ("status", "protocol_hash", "run_key")
"""Keys without which a file is damaged, although a manifest begins without them."""

_STORED_OTHERWISE = ("schema_version", "format", "format_definition", "box_dialect", "box_frame", "box_frame_reason")
"""Keys that are no fields of a manifest as they stand."""

NUMBER_FORMAT = "number_format"
"""Key of a manifest that names the number format which `--dtype auto` came to."""

SIDE_BOXES = "side_boxes"
"""Key of a manifest, and of later scores, that says which file gave the gold boxes, and what became of its lines."""

TOOL = "tool"
"""Key of a manifest that says which tool the model had, with its bound and a digest of its words and rules; it is there
for a run with a tool alone."""

BLIND = "blind"
"""Key of a manifest that says what was shown in place of the pictures; it is there for a blind run alone."""


LIMIT_SEED = "limit_seed"
"""Key of a task that says what drew the samples of its limit; it is not there where the first ones were taken."""


IMPORTED = "imported"
"""Key of a manifest that says which other program's log the texts came from, and what that says; see `imported_of`."""


_MOST_SCORE = 10**9


@dataclass(frozen=True, slots=True)
class Imported:
    """What a manifest says of the log of another program that its run was made of. Untrusted, as all of a manifest."""

    tool: str
    """The program."""
    version: str
    """Its version; empty when the log does not say."""
    theirs: Mapping[str, Mapping[str, float]]
    """By task, the program's own numbers under its own names."""
    compared: Mapping[str, Mapping[str, float]]
    """By task, those among them that one of our metrics stands for, under our name and on our scale."""

    @property
    def program(self) -> str:
        """The program, with its version where that is known."""
        return f"{self.tool} {self.version}".rstrip()


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
    rows: Count
    """Rows of the whole split."""
    samples: Count
    """Rows that were asked."""
    limit: Count | None = None
    """The `--limit` that shortened the task; None when it was asked in full."""
    prompt_hash: str = ""
    """Hash over the words that the task was asked in; empty where that is not recorded."""
    generation: Mapping[str, Json] = field(default_factory=dict[str, Json])
    """Generation arguments that were really used, defaults filled in; empty where they are not recorded."""
    template_hash: str = ""
    """Hex sha256 of the settings that all task files include; empty where that is not recorded."""
    other: Mapping[str, Json] = field(default_factory=dict[str, Json])
    """Keys that this version does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Everything that tells one run from another: the keys of `manifest.json`, in their order."""

    status: Status = "running"
    """How far the run is."""
    created_utc: str
    """When the run began, as `utc_text` writes it."""
    finished_utc: str | None = None
    """When it was published or given up; None while it runs."""
    resumed_utc: tuple[str, ...] = ()
    """When a killed run was taken up again, oldest first."""
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
    format: AnyFormat
    """Where a text holds what is scored: a built-in format's name, or a person's own as a whole."""
    protocol: Protocol
    """The rules of `scores.json`."""
    protocol_version: str = ""
    """The same with the version of those rules, such as `vlmevalkit@e8e78f05`; empty in runs of before."""
    box_dialect: BoxDialect | None
    """How boxes are read; None when not known. Stored in words, beside the frame that older versions read."""
    box_dialect_reason: str
    """Why so, in words; stored as `box_frame_reason`."""
    pixel_limits: PixelLimits | None
    """The image processor's pixel budget; None when not known."""
    generation: Mapping[str, Json]
    """Generation arguments under their usual names."""
    tasks: Mapping[str, TaskManifest]
    """What was asked, by short task name."""
    prompt_hash: str
    """Hash over the prompt wording of all formats, so that runs in different formats can share it."""
    seed: Count
    """The run's seed."""
    packages: Mapping[str, str]
    """Package versions."""
    scorer_version: Count
    """`harness.scoring.score.SCORER_VERSION` of the scores."""
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
    shard: str | None = None
    """Which part of the samples it holds, such as `2/8` (`run --shard`); None: all that were to be asked."""
    protocol_hash: str = ""
    """See `stamp_hashes`."""
    run_key: str = ""
    """See `stamp_hashes`."""
    other: Mapping[str, Json] = field(default_factory=dict[str, Json])
    """Keys that this version does not know."""

    @property
    def scored_by(self) -> str:
        """The protocol with the version of its rules, also where a run of before does not say."""
        return self.protocol_version or versioned(self.protocol, self.scorer_version)


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
    against free-form is a comparison that people want (`prompt_hash` covers the wording of all formats), unless it is a
    person's own, whose name alone says nothing; the tool, for the same reason (a note says that it differs); and the
    tasks,
    because runs of different task sets can be compared on the tasks that they share (`task_hash` covers one task).
    Words and generation arguments are a matter of each task where each task records its own.
    """
    parts: dict[str, Json] = {
        "protocol": manifest.protocol,
        "pixel_limits": _plain(manifest.pixel_limits),
        "scorer_version": manifest.scorer_version,
        "judge": manifest.judge,
    }
    if manifest.protocol == NATIVE:
        parts["lmms_eval"] = manifest.packages.get("lmms-eval")
    if isinstance(manifest.format, GroundedFormat):
        parts["format_definition"] = definition_hash(manifest.format)
    if (shown := blind_of(manifest)) is not None:
        parts[BLIND] = shown
    return parts if tells_per_task(manifest) else parts | whole_run_parts(manifest)


def blind_of(manifest: Manifest) -> str | None:
    """Return what a run was shown in place of its pictures; None for one that saw them."""
    shown = manifest.other.get(BLIND)
    return shown if isinstance(shown, str) else None


def tool_of(manifest: Manifest) -> str | None:
    """Return the tool that a model had, in words such as `zoom, at most 6 replies`; None for a run without one."""
    tool = manifest.other.get(TOOL)
    if not isinstance(tool, dict):
        return None
    return f"{tool.get('name')}, at most {tool.get('turns')} replies (rules {str(tool.get('rules'))[:8]})"


def shown_format(manifest: Manifest) -> str:
    """Return what people call a run's format, with the tool that the model had beside it, such as `deepeyes + zoom`."""
    tool = manifest.other.get(TOOL)
    name = tool.get("name") if isinstance(tool, dict) else None
    return format_name(manifest.format) if name is None else f"{format_name(manifest.format)} + {str(name)[:40]}"


def imported_of(manifest: Manifest) -> Imported | None:
    """Return what a run says of the log that it was imported from; None for one that was not."""
    stored = manifest.other.get(IMPORTED)
    if not isinstance(stored, dict):
        return None
    tasks = stored.get("tasks")
    own = {name: one for name, one in tasks.items() if isinstance(one, dict)} if isinstance(tasks, dict) else {}
    return Imported(
        tool=str(stored.get("tool") or "another program"),
        version=str(stored.get("version") or ""),
        theirs={name: _numbers_in(one.get("theirs")) for name, one in own.items()},
        compared={name: _numbers_in(one.get("compared")) for name, one in own.items()},
    )


def _numbers_in(value: Json) -> dict[str, float]:
    """Return the numbers of an object, but for those that no score is."""
    items = value.items() if isinstance(value, dict) else ()
    numbers = {name: item for name, item in items if isinstance(item, int | float) and not isinstance(item, bool)}
    return {name: float(item) for name, item in numbers.items() if abs(item) < _MOST_SCORE}


def side_boxes_sha256(stored: Mapping[str, Json]) -> str:
    """Return the digest of the file of gold boxes that a manifest's or later scores' `SIDE_BOXES` names; else empty."""
    side = stored.get(SIDE_BOXES)
    digest = side.get("sha256") if isinstance(side, dict) else None
    return digest if isinstance(digest, str) else ""


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
    return hashlib.sha256(canonical_json(task_parts(task))).hexdigest()


def task_parts(task: TaskManifest) -> dict[str, Json]:
    """Return what `task_hash` covers, by name."""
    parts: dict[str, Json] = {"yaml_hash": task.yaml_hash, "fingerprint": task.fingerprint, "rows": task.rows}
    if task.prompt_hash:
        parts["prompt_hash"] = task.prompt_hash
    if task.generation:
        parts["generation"] = dict(task.generation)
    if task.template_hash:
        parts["template_hash"] = task.template_hash
    return parts


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
        "format": format_name(manifest.format),
        "box_dialect": optional_words(manifest.box_dialect),
        "tasks": {name: _asked(task) for name, task in manifest.tasks.items()},
        "seed": manifest.seed,
        "partial": manifest.partial,
        "predictions_only": manifest.predictions_only,
        "comparable": comparable_parts(manifest),
        "computed": _computed(manifest),
    }
    if isinstance(manifest.format, str) and manifest.format in MARKED:
        parts["format_definition"] = definition_hash(MARKED[manifest.format])  # its words may change one day
    if served := _served(manifest):
        parts["served"] = served
    if manifest.shard is not None:
        parts["shard"] = manifest.shard
    if digest := side_boxes_sha256(manifest.other):
        parts[SIDE_BOXES] = digest
    if (tool := manifest.other.get(TOOL)) is not None:
        parts[TOOL] = tool
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
    drawn = {LIMIT_SEED: task.other[LIMIT_SEED]} if LIMIT_SEED in task.other else {}
    return {"hash": task_hash(task), "samples": task.samples, "limit": task.limit, **drawn}


def stamp_hashes(manifest: Manifest) -> Manifest:
    """Return the manifest with `protocol_hash` and `run_key` computed from its other fields."""
    return replace(manifest, protocol_hash=protocol_hash(comparable_parts(manifest)), run_key=run_key(manifest))


def manifest_to_json(manifest: Manifest) -> dict[str, Json]:
    """Return the manifest as the object of `manifest.json`, known keys first and in a fixed order."""
    stored: dict[str, Json] = {"schema_version": SCHEMA_VERSION}
    for name, value in _fields_to_json(manifest).items():
        if name == "box_dialect":
            stored |= {name: value, "box_frame": frame_of_dialect(manifest.box_dialect)}
        else:
            stored["box_frame_reason" if name == "box_dialect_reason" else name] = value
    if isinstance(manifest.format, GroundedFormat):
        stored["format_definition"] = definition_of(manifest.format)
    return stored


def _fields_to_json(value: Manifest | TaskManifest) -> dict[str, Json]:
    known = {item.name: _plain(getattr(value, item.name)) for item in fields(value) if item.name != "other"}
    return known | {name: json_safe(item) for name, item in value.other.items() if name not in known}


def _plain(value: Any) -> Json:
    if isinstance(value, TaskManifest):
        return _fields_to_json(value)
    if isinstance(value, BoxDialect):
        return optional_words(value)
    if isinstance(value, GroundedFormat):
        return format_name(value)
    if isinstance(value, PixelLimits):
        return asdict(value)
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in cast("Mapping[str, Any]", value).items()}
    return json_safe(value)


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
    for name in _ALWAYS_WRITTEN:
        if name not in obj:
            raise ValueError(f"field {name!r} is missing")
    made = {
        "format": _format_from(obj),
        "box_dialect": _box_dialect_from(obj),
        "box_dialect_reason": _reason_from(obj),
    }
    return value_from(Manifest, {name: obj[name] for name in obj if name not in _STORED_OTHERWISE}, made=made)


def _format_from(obj: Mapping[str, Json]) -> AnyFormat:
    """Read a format: by its name, or where the manifest holds a definition that."""
    name, definition = obj.get("format"), obj.get("format_definition")
    if definition is None:
        if name not in FORMATS:
            raise ValueError(f"field 'format' must be one of {', '.join(FORMATS)}, found {describe(name)}")
        return cast("AnyFormat", name)
    if not isinstance(definition, dict):
        raise ValueError(f"field 'format_definition' must be an object, found {describe(definition)}")  # noqa: TRY004 - data
    try:
        form = format_of_definition(definition)
    except ValueError as fault:
        raise ValueError(f"field 'format_definition' is none of a format: {fault}") from fault
    if form.name != name:
        raise ValueError(f"field 'format_definition' defines {form.name!r:.60}, not the format {describe(name)}")
    return form


def _box_dialect_from(obj: Mapping[str, Json]) -> BoxDialect | None:
    """Read the words of a dialect; runs of before had a frame alone, of the format's list."""
    words, frame = obj.get("box_dialect"), obj.get("box_frame")
    if frame is not None and frame not in BOX_FRAMES:
        raise ValueError(f"field 'box_frame' must be one of {', '.join(BOX_FRAMES)} or null, found {describe(frame)}")
    if words is None:
        return None if frame is None else dialect_of_frame(frame)
    if not isinstance(words, str):
        raise ValueError(f"field 'box_dialect' must be text or null, found {describe(words)}")  # noqa: TRY004 - data
    try:
        return dialect_named(words)
    except ConfigError as fault:
        raise ValueError(f"field 'box_dialect': {fault}") from fault


def _reason_from(obj: Mapping[str, Json]) -> str:
    reason = obj.get("box_frame_reason")
    if not isinstance(reason, str):
        raise ValueError(f"field 'box_frame_reason' must be text, found {describe(reason)}")  # noqa: TRY004 - data
    return reason


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


def config_of(
    manifest: Manifest, protocol: Protocol | None = None, box_dialect: BoxDialect | None = None
) -> ScoreConfig:
    """Return how a run's texts are scored: as the manifest says, but for what is given.

    Raises:
        ConfigError: The protocol has no rules for the run's format.
    """
    check_protocol(manifest.format, protocol or manifest.protocol)
    return ScoreConfig(
        protocol=protocol or manifest.protocol,
        format=manifest.format,
        box_dialect=box_dialect or manifest.box_dialect,
        pixel_limits=manifest.pixel_limits,
    )
