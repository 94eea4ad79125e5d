"""Looks at a checkpoint folder before any model is loaded: what it is, whether it is whole, how its boxes are read.

Reads JSON and safetensors headers only, so a fault costs milliseconds and not the minutes of a failed load. What was
decided, and why, is kept as sentences for the person who started the run.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeAlias, cast

from harness.errors import ConfigError
from harness.frames import frame_of_model_type
from harness.values import BoxFrame, Json, PixelLimits

JsonObject: TypeAlias = dict[str, Json]
"""One parsed JSON object."""

_GRID_IMAGE_PROCESSORS = re.compile(r"Qwen2(_5_|-)?VLImageProcessor(Fast|Pil)?")
"""Image processors that resize to multiples of a patch group between two pixel limits."""
_GRID_DEFAULTS = {"min_pixels": 56 * 56, "max_pixels": 28 * 28 * 1280, "patch_size": 14, "merge_size": 2}
"""What those processors assume when their file is silent (transformers, image_processing_qwen2_vl.py)."""
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_NOT_FOR_US = ["*.gguf", "*.onnx", "*.pth", "*.msgpack", "*.h5", "original/*", "consolidated*", "onnx/*"]
"""Files of a hub repository that no part of a run reads."""
_HEADER_LIMIT_BYTES = 100_000_000
"""Longest safetensors header that its own library accepts."""
_TORCH_DTYPES = {"BF16": "bfloat16", "F16": "float16", "F32": "float32", "F64": "float64"}
_ADAPTER_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
_MODEL_WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
"""In the order in which transformers looks for them."""
_TOKENIZERS = ("tokenizer.json", "vocab.json", "tokenizer.model", "spiece.model", "vocab.txt", "tekken.json")
_CONFIG_FILES = (
    "config.json",
    "generation_config.json",
    "adapter_config.json",
    "processor_config.json",
    "preprocessor_config.json",
    "video_preprocessor_config.json",
    "chat_template.jinja",
    "chat_template.json",
    "additional_chat_templates/default.jinja",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
    *_TOKENIZERS,
)
"""Files that change what a model answers though they hold no weights."""


class _Hub(Protocol):
    """What is used of the hub client."""

    def snapshot_download(self, repo_id: str, *, revision: str | None, ignore_patterns: list[str]) -> str: ...


class CheckpointError(ConfigError):
    """A checkpoint that cannot be evaluated: what is wrong, where, and how to mend it."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint that is whole and that can be asked about images."""

    path: Path
    """The folder: of the adapter, when it is one."""
    base: Path | None
    """The base model's folder of an adapter; None for a full model."""
    processor_path: Path
    """The folder that processor and tokenizer are loaded from."""
    model_type: str
    """`model_type` of config.json, such as `qwen2_5_vl`."""
    architectures: tuple[str, ...]
    """Class names in config.json; may be empty."""
    dtype: str | None
    """The weights' number format as torch calls it, such as `bfloat16`; None when not known."""
    image_processor: str | None
    """Class name of the image processor; None when its file does not say."""
    pixel_limits: PixelLimits | None
    """Pixel limits of a processor that resizes to a patch grid; None for a family that resizes in another way."""
    box_frame: BoxFrame | None
    """The frame that this family writes boxes in; None when not known."""
    reasons: tuple[str, ...]
    """Sentences that say what was decided and why."""

    @property
    def is_adapter(self) -> bool:
        """Whether the folder holds a LoRA adapter that is merged into its base."""
        return self.base is not None

    @property
    def model_path(self) -> Path:
        """The folder that holds config.json and the model's own weights."""
        return self.base or self.path


@dataclass(frozen=True, slots=True)
class CheckpointHashes:
    """What identifies a checkpoint by content, wherever it lies."""

    weights_hash: str
    """SHA-256 over the weight files (and the adapter's); retrained weights in the same path have another one."""
    config_hash: str
    """SHA-256 over configuration, processor, tokenizer, chat template and generation configuration."""


def inspect_checkpoint(path_or_hub_id: str, *, revision: str | None = None) -> Checkpoint:
    """Look at a checkpoint folder or hub id without loading it.

    A hub id is downloaded first, as `run` needs it anyway; an existing folder always wins over a hub id of that name.

    Raises:
        CheckpointError: the folder is missing, empty or not a checkpoint; the model is text-only; processor,
            tokenizer, chat template, weights, a shard or an adapter's base are missing; a weight file is corrupt.
            All faults that can be seen together are reported together.
    """
    path = resolve_folder(path_or_hub_id, revision=revision)
    adapter = path / "adapter_config.json"
    base = _adapter_base(path, _read_json(adapter)) if adapter.is_file() else None
    model_path = base or path
    config = _read_config(model_path)
    model_type = config.get("model_type")
    if not isinstance(model_type, str):
        raise CheckpointError(f"{model_path / 'config.json'} names no model_type: it is not a transformers model")
    _refuse_text_only(model_type, model_path)
    processor_path = path if _has_processor(path) else model_path
    faults = [*_processor_faults(processor_path), *_weight_faults(model_path)]
    if base is not None:
        faults += _adapter_faults(path)
    if faults:
        raise CheckpointError(f"{path} cannot be evaluated: " + "; ".join(faults))
    image_processor, limits = _pixel_limits(processor_path)
    checkpoint = Checkpoint(
        path=path,
        base=base,
        processor_path=processor_path,
        model_type=model_type,
        architectures=tuple(name for name in _items(config.get("architectures")) if isinstance(name, str)),
        dtype=_dtype(config, model_path),
        image_processor=image_processor,
        pixel_limits=limits,
        box_frame=frame_of_model_type(model_type),
        reasons=(),
    )
    return _with_reasons(checkpoint)


def hash_checkpoint(checkpoint: Checkpoint) -> CheckpointHashes:
    """Hash a checkpoint's files, streamed, in the order of their names; where the folder lies has no part in it."""
    folders = {"model": checkpoint.model_path}
    if checkpoint.is_adapter:
        folders["adapter"] = checkpoint.path
    weights: dict[str, Path] = {}
    configs: dict[str, Path] = {}
    for role, folder in folders.items():
        files = _adapter_files(folder) if role == "adapter" else _weight_files(folder)
        weights |= {f"{role}/{file.name}": file for file in files}
        configs |= {f"{role}/{name}": folder / name for name in _CONFIG_FILES if (folder / name).is_file()}
    return CheckpointHashes(_digest(weights), _digest(configs))


def weights_hash(path_or_hub_id: str) -> str:
    """Return the SHA-256 over the weight files of a checkpoint (base and adapter, for an adapter).

    Raises:
        CheckpointError: as `inspect_checkpoint`.
    """
    return hash_checkpoint(inspect_checkpoint(path_or_hub_id)).weights_hash


def override_limits(checkpoint: Checkpoint, min_pixels: int | None, max_pixels: int | None) -> PixelLimits | None:
    """Return the checkpoint's pixel limits with those that a person gave in their place.

    Raises:
        ConfigError: this family has no pixel limits, or they contradict each other.
    """
    limits = checkpoint.pixel_limits
    if min_pixels is None and max_pixels is None:
        return limits
    if limits is None:
        raise ConfigError(
            f"{checkpoint.path}: the image processor of {checkpoint.model_type} has no pixel limits; "
            "leave --min-pixels and --max-pixels out"
        )
    chosen = PixelLimits(
        limits.min_pixels if min_pixels is None else min_pixels,
        limits.max_pixels if max_pixels is None else max_pixels,
        limits.factor,
    )
    if not limits.factor**2 <= chosen.max_pixels or not 1 <= chosen.min_pixels <= chosen.max_pixels:
        raise ConfigError(
            f"pixel limits {chosen.min_pixels} to {chosen.max_pixels}: the lower one must not be above the upper one, "
            f"which must hold at least one patch group of {limits.factor} x {limits.factor}"
        )
    return chosen


def resolve_folder(path_or_hub_id: str, *, revision: str | None = None) -> Path:
    """Return the local folder of a path or hub id, downloading the latter if it is not there yet.

    Raises:
        CheckpointError: there is no such folder, it is a file or empty, or the hub does not give it.
    """
    path = Path(path_or_hub_id).expanduser()
    if path.is_dir():
        if not any(path.iterdir()):
            raise CheckpointError(f"{path} is empty: give the folder that holds config.json")
        return path
    if path.exists():
        raise CheckpointError(f"{path} is a file: give the folder that holds config.json")
    if _HUB_ID.fullmatch(path_or_hub_id):
        return _download(path_or_hub_id, revision)
    raise CheckpointError(
        f"no folder {path}: give a checkpoint folder, or a hub id such as Qwen/Qwen2.5-VL-3B-Instruct"
    )


def _download(hub_id: str, revision: str | None) -> Path:
    """Bring a hub repository into the local cache and return its folder."""
    import huggingface_hub  # noqa: PLC0415 - only a hub id needs it

    hub = cast("_Hub", huggingface_hub)
    try:
        return Path(hub.snapshot_download(hub_id, revision=revision, ignore_patterns=_NOT_FOR_US))
    except Exception as error:  # the hub client raises a dozen unrelated kinds: offline, missing, gated...
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CheckpointError(
            f"no local folder {hub_id!r}, and the hub does not give a model of that name: {reason} "
            "If this machine has no access to the hub, copy the checkpoint here and pass its folder: "
            f"--model ./{hub_id}"
        ) from error


def _adapter_base(path: Path, adapter: JsonObject) -> Path:
    """Return the folder of an adapter's base model."""
    name = adapter.get("base_model_name_or_path")
    if not isinstance(name, str) or not name:
        raise CheckpointError(
            f"{path / 'adapter_config.json'} names no base model: set base_model_name_or_path to its folder or hub id"
        )
    for folder in (Path(name).expanduser(), path / name):
        if folder.is_dir():
            return folder
    try:
        return resolve_folder(name)
    except CheckpointError as error:
        raise CheckpointError(
            f"{path} is an adapter, and its base model is not to be had: {error}. "
            f"Set base_model_name_or_path in {path / 'adapter_config.json'} to the base's folder"
        ) from error


def _read_config(folder: Path) -> JsonObject:
    """Read config.json, or say what the folder looks like instead."""
    file = folder / "config.json"
    if file.is_file():
        return _read_json(file)
    nested = sorted((inner.parent.name for inner in folder.glob("*/config.json")), key=_natural)
    hint = f" It holds checkpoints: give one of {', '.join(nested[-5:])}" if nested else ""
    if not nested and any(folder.glob("global_step*")):
        hint = " It holds DeepSpeed shards: make model weights of them with its zero_to_fp32.py"
    raise CheckpointError(f"{folder} has no config.json, so it is not a checkpoint folder.{hint}")


def _natural(name: str) -> tuple[str, int]:
    """Order `checkpoint-1000` after `checkpoint-500`."""
    stem, _, number = name.rpartition("-")
    return (stem, int(number)) if number.isdecimal() and len(number) < 20 else (name, -1)


def _refuse_text_only(model_type: str, folder: Path) -> None:
    """Raise CheckpointError for a model that transformers cannot ask about an image."""
    # Imported here: a fault found before this line costs no transformers import.
    from transformers.models.auto import modeling_auto  # noqa: PLC0415 - see the line above

    known = cast("Mapping[str, str]", modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES)
    if model_type in known:
        return
    if model_type.replace("_chat", "") in known:
        raise CheckpointError(
            f"{folder}: model_type {model_type!r} needs code of its own; "
            f"use its transformers conversion (model_type {model_type.replace('_chat', '')!r}, often named *-HF)"
        )
    raise CheckpointError(
        f"{folder}: model_type {model_type!r} cannot be asked about images: it is text-only, or this version of "
        "transformers does not know it. Give a vision-language checkpoint, or upgrade transformers"
    )


def _has_processor(folder: Path) -> bool:
    """Whether processor and tokenizer were saved into the folder."""
    return not _processor_faults(folder)


def _processor_faults(folder: Path) -> list[str]:
    """Name what is missing of processor, tokenizer and chat template."""
    faults: list[str] = []
    if not _image_processor_config(folder):
        faults.append("neither preprocessor_config.json nor an image processor in processor_config.json")
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        faults.append(f"no tokenizer ({', '.join(_TOKENIZERS)})")
    if not _has_chat_template(folder):
        faults.append("no chat template (chat_template.jinja, chat_template.json or in tokenizer_config.json)")
    if faults:
        faults[-1] += f": copy these files from the base model into {folder}, or save its AutoProcessor there"
    return faults


def _image_processor_config(folder: Path) -> JsonObject:
    """Return the image processor's configuration, from where transformers 5 and 4 keep it; empty when there is none."""
    nested = _read_json_if_there(folder / "processor_config.json").get("image_processor")
    return nested if isinstance(nested, dict) else _read_json_if_there(folder / "preprocessor_config.json")


def _has_chat_template(folder: Path) -> bool:
    """Whether a chat template lies in any of the places where it can."""
    if any((folder / name).is_file() for name in _CONFIG_FILES if "chat_template" in name):
        return True
    return any(
        "chat_template" in _read_json_if_there(folder / name)
        for name in ("tokenizer_config.json", "processor_config.json")
    )


def _pixel_limits(folder: Path) -> tuple[str | None, PixelLimits | None]:
    """Return the image processor's name, and its pixel limits if it is one that has them."""
    config = _image_processor_config(folder)
    name = config.get("image_processor_type") or config.get("feature_extractor_type")
    if not isinstance(name, str):
        return None, None
    if not _GRID_IMAGE_PROCESSORS.fullmatch(name):
        return name, None
    size = config.get("size")
    edges = size if isinstance(size, dict) else {}
    # As in transformers: named pixel limits win over `size`, whose edges count pixels here in spite of their name.
    found = {
        "min_pixels": (config.get("min_pixels"), edges.get("min_pixels"), edges.get("shortest_edge")),
        "max_pixels": (config.get("max_pixels"), edges.get("max_pixels"), edges.get("longest_edge")),
        "patch_size": (config.get("patch_size"),),
        "merge_size": (config.get("merge_size"),),
    }
    values: dict[str, int] = {}
    for field, candidates in found.items():
        value = next((candidate for candidate in candidates if candidate is not None), _GRID_DEFAULTS[field])
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise CheckpointError(f"{folder}: the image processor's {field} is {value!r}; set it to a whole number")
        values[field] = value
    factor = values["patch_size"] * values["merge_size"]
    if values["min_pixels"] > values["max_pixels"]:
        raise CheckpointError(
            f"{folder}: the image processor's min_pixels {values['min_pixels']} is above its max_pixels "
            f"{values['max_pixels']}; swap or correct them"
        )
    return name, PixelLimits(values["min_pixels"], values["max_pixels"], factor)


def _weight_faults(folder: Path) -> list[str]:
    """Name missing and corrupt weight files of a full model."""
    first = next((name for name in _MODEL_WEIGHTS if (folder / name).is_file()), None)
    if first is None:
        return [f"no weights ({', '.join(_MODEL_WEIGHTS)}) in {folder}: save the model there with save_pretrained"]
    if not first.endswith(".index.json"):
        return _file_faults(folder / first)
    shards = _shards(folder / first)
    if not shards:
        return [f"{first} names no shard: save or download the model again"]
    missing = [name for name in shards if not (folder / name).is_file()]
    faults = [f"{', '.join(missing)}, named by {first}, missing: download or save the model again"] if missing else []
    for name, tensors in shards.items():
        if name not in missing:
            faults += _file_faults(folder / name, tensors)
    return faults


def _adapter_faults(folder: Path) -> list[str]:
    """Name what is wrong with an adapter's own weights."""
    files = _adapter_files(folder)
    if not files:
        return [f"no adapter weights ({' or '.join(_ADAPTER_WEIGHTS)}): save the adapter again"]
    return _file_faults(files[0])


def _file_faults(file: Path, tensors: frozenset[str] = frozenset()) -> list[str]:
    """Name what is wrong with one weight file; `tensors` must be in it."""
    try:
        if file.suffix != ".safetensors":
            return [] if file.stat().st_size else [f"{file.name} is empty: download or save it again"]
        missing = tensors - _safetensors_header(file).keys()
    except CheckpointError as error:
        return [str(error)]
    if missing:
        return [f"{file.name} lacks {len(missing)} tensors that its index names, such as {min(missing)}: save it again"]
    return []


def _weight_files(folder: Path) -> list[Path]:
    """Return the files that hold a full model's weights."""
    first = next((name for name in _MODEL_WEIGHTS if (folder / name).is_file()), None)
    if first is None:
        return []
    return [folder / name for name in _shards(folder / first)] if first.endswith(".index.json") else [folder / first]


def _adapter_files(folder: Path) -> list[Path]:
    """Return the file that holds an adapter's weights."""
    return [folder / name for name in _ADAPTER_WEIGHTS if (folder / name).is_file()][:1]


def _shards(index: Path) -> dict[str, frozenset[str]]:
    """Return the tensors of each shard that an index names, by shard name in order."""
    mapping = _read_json(index).get("weight_map")
    shards: dict[str, set[str]] = {}
    for tensor, shard in mapping.items() if isinstance(mapping, dict) else ():
        # A name with a path in it would lead out of the folder.
        if not isinstance(shard, str) or Path(shard).name != shard:
            raise CheckpointError(f"{index}: {shard!r} is not a shard's file name; save or download the model again")
        shards.setdefault(shard, set()).add(tensor)
    return {name: frozenset(shards[name]) for name in sorted(shards)}


def _safetensors_header(file: Path) -> JsonObject:
    """Return the header of a safetensors file after checking that the file is as long as it says.

    The layout: eight bytes with the header's length, the header as JSON, then the tensors, end to end
    (https://github.com/huggingface/safetensors#format).
    """
    size = file.stat().st_size
    mend = "it is damaged or still being written: download or save it again"
    with file.open("rb") as stream:
        start = stream.read(8)
        if len(start) < 8:
            raise CheckpointError(f"{file.name} has {size} bytes and no header; {mend}")
        length = struct.unpack("<Q", start)[0]
        if length > min(size - 8, _HEADER_LIMIT_BYTES):
            raise CheckpointError(f"{file.name} ends inside its header ({size} bytes); {mend}")
        header = _parse_json(stream.read(length), f"the header of {file.name}", mend)
    expected = (
        8 + length + max((_tensor_end(entry) for name, entry in header.items() if name != "__metadata__"), default=0)
    )
    if expected != size:
        raise CheckpointError(f"{file.name} has {size} bytes where its header promises {expected}; {mend}")
    return header


def _tensor_end(entry: Json) -> int:
    """Return where a tensor ends, counted from the end of the header; 0 when its entry does not say."""
    offsets = entry.get("data_offsets") if isinstance(entry, dict) else None
    end = offsets[1] if isinstance(offsets, list) and len(offsets) == 2 else 0
    return end if isinstance(end, int) else 0


def _dtype(config: JsonObject, folder: Path) -> str | None:
    """Return the number format from config.json, else that of most tensors of the first weight file."""
    named = config.get("dtype") or config.get("torch_dtype")
    if isinstance(named, str):
        return named.removeprefix("torch.")
    file = _weight_files(folder)[0]
    if file.suffix != ".safetensors":
        return None
    entries = _safetensors_header(file).values()
    formats = Counter(str(entry["dtype"]) for entry in entries if isinstance(entry, dict) and "dtype" in entry)
    return _TORCH_DTYPES.get(formats.most_common(1)[0][0]) if formats else None


def _with_reasons(found: Checkpoint) -> Checkpoint:
    """Return the checkpoint with the sentences that explain it."""
    files = [*_weight_files(found.model_path), *(_adapter_files(found.path) if found.is_adapter else [])]
    gigabytes = sum(file.stat().st_size for file in files) / 1e9
    model = f"model_type {found.model_type} ({', '.join(found.architectures) or 'no class named'})"
    reasons = [
        f"{model}, from {found.model_path / 'config.json'}",
        f"weights in {found.dtype or 'an unnamed format'}, {len(files)} file(s), {gigabytes:.2f} GB, sizes checked",
    ]
    if found.is_adapter:
        reasons.append(f"a LoRA adapter, to be merged into {found.base}; processor from {found.processor_path}")
    processor = found.image_processor or "an image processor that does not name its class"
    if found.pixel_limits is None:
        reasons.append(f"{processor} resizes in its own way: images are handed over as they are")
    else:
        limits = found.pixel_limits
        reasons.append(
            f"{processor} takes {limits.min_pixels} to {limits.max_pixels} pixels, sides in multiples of "
            f"{limits.factor}: images are brought to that grid first"
        )
    if found.box_frame is None:
        reasons.append(
            f"the box frame of {found.model_type} is not known: boxes stay unscored until --box-frame is given"
        )
    else:
        reasons.append(f"boxes are read as {found.box_frame}, the frame that {found.model_type} writes")
    return replace(found, reasons=tuple(reasons))


def _digest(files: Mapping[str, Path]) -> str:
    """Return the SHA-256 over lines of file digest and name, in the order of the names."""
    names = sorted(files)
    # Hashing releases the interpreter lock, so the shards of a large model are read side by side.
    with ThreadPoolExecutor(max_workers=4) as pool:
        digests = pool.map(_file_digest, (files[name] for name in names))
    lines = "".join(f"{digest}  {name}\n" for digest, name in zip(digests, names, strict=True))
    return hashlib.sha256(lines.encode()).hexdigest()


def _file_digest(file: Path) -> str:
    """Return the SHA-256 of one file, read in pieces."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _read_json_if_there(file: Path) -> JsonObject:
    """Read a JSON object; empty when there is no such file."""
    return _read_json(file) if file.is_file() else {}


def _read_json(file: Path) -> JsonObject:
    """Read a JSON object from a file."""
    return _parse_json(file.read_bytes(), str(file), "it is damaged: download or save it again")


def _parse_json(content: bytes, what: str, mend: str) -> JsonObject:
    """Parse a JSON object."""
    try:
        value = cast("Json", json.loads(content))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{what} is not JSON ({error}); {mend}") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{what} holds no JSON object; {mend}")
    return value


def _items(value: Json) -> list[Json]:
    """Return a JSON list; an empty one for any other value."""
    return value if isinstance(value, list) else []
