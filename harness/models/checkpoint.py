"""Looks at a checkpoint folder before any model is loaded: what it is, whether it is whole, how its boxes are read.

Reads JSON and safetensors headers only, so a fault costs milliseconds and not the minutes of a failed load. What was
decided, and why, is kept as sentences for the person who started the run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from harness.errors import ConfigError
from harness.models.chat_template import template_faults
from harness.models.checkpoint_files import (
    CheckpointError,
    JsonObject,
    adapter_faults,
    adapter_files,
    hash_files,
    items,
    natural_order,
    read_json,
    resolve_folder,
    stored_tensors,
    weight_faults,
    weight_files,
)
from harness.models.loadable import adapter_kind_faults, format_faults, own_code_faults, vocabulary_fit
from harness.models.processor_files import (
    TOKENIZERS,
    ProcessorFiles,
    find_processor,
    image_processor_config,
    pixel_limits,
    written_image_processor,
)
from harness.scoring.box_dialects import dialect_of_model_type, dialect_words
from harness.values import BoxDialect, PixelLimits

_TORCH_DTYPES = {"BF16": "bfloat16", "F16": "float16", "F32": "float32", "F64": "float64"}
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
    *TOKENIZERS,
)
"""Files that change what a model answers though they hold no weights."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint that is whole and that can be asked about images."""

    path: Path
    """The folder: of the adapter, when it is one."""
    base: Path | None
    """The base model's folder of an adapter; None for a full model."""
    processor: ProcessorFiles
    """Where image processor, tokenizer and chat template come from."""
    model_type: str
    """`model_type` of config.json, such as `qwen2_5_vl`."""
    architectures: tuple[str, ...]
    """Class names in config.json; may be empty."""
    adapter_kind: str | None
    """What peft calls the kind of adapter, such as `LORA`; None for a full model."""
    dtype: str | None
    """The weights' number format as torch calls it, such as `bfloat16`; None when not known."""
    pixel_limits: PixelLimits | None
    """Pixel limits of a processor that resizes to a patch grid; None for a family that resizes in another way."""
    box_dialect: BoxDialect | None
    """How this family writes boxes; None when not known."""
    resize_embeddings_to: int | None
    """Rows of embeddings that an adapter's base is brought to first; None where it fits as it is."""
    reasons: tuple[str, ...]
    """Sentences that say what was decided and why."""

    @property
    def is_adapter(self) -> bool:
        """Whether the folder holds an adapter that is merged into its base."""
        return self.base is not None

    @property
    def image_processor(self) -> str | None:
        """Class name of the image processor; None when it is not known."""
        return self.processor.image_processor

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


def inspect_checkpoint(
    path_or_hub_id: str, *, revision: str | None = None, served: bool = False, trust_remote_code: bool = False
) -> Checkpoint:
    """Look at a checkpoint folder or hub id without loading it.

    A hub id is downloaded first, as `run` needs it anyway; an existing folder always wins over a hub id of that name.

    Args:
        path_or_hub_id: The folder, of an adapter too, or the hub's name of it.
        revision: Of a hub id.
        served: A server loads it: what only keeps it from being loaded here is no fault.
        trust_remote_code: Code that comes with the checkpoint may run, so asking for it is no fault.

    Raises:
        CheckpointError: the folder is missing, empty or not a checkpoint; the model is text-only; processor,
            tokenizer, chat template, weights, a shard or an adapter's base are missing; a weight file is corrupt;
            or nothing here can load it: code of its own, pickled or quantised weights, an adapter that cannot be
            merged, a chat template that fails or leaves images out, a tokenizer that is longer than the model.
            All faults that can be seen together are reported together.
    """
    path = resolve_folder(path_or_hub_id, revision=revision)
    adapter = read_json(path / "adapter_config.json") if (path / "adapter_config.json").is_file() else None
    base = _adapter_base(path, adapter) if adapter is not None else None
    model_path = base or path
    folders = (path,) if base is None else (path, base)
    config = _read_config(model_path)
    model_type = config.get("model_type")
    if not isinstance(model_type, str):
        raise CheckpointError(f"{model_path / 'config.json'} names no model_type: it is not a transformers model")
    own_code = own_code_faults(folders)
    if own_code and not served and not trust_remote_code:
        raise CheckpointError(f"{path} cannot be evaluated: {own_code[0]}")
    if not own_code and not any(map(image_processor_config, folders)):
        _refuse_text_only(model_type, model_path)  # a better word for it than that its image processor is missing
    processor, faults = find_processor(folders, model_type, served=served)
    faults += weight_faults(model_path)
    if adapter is not None:
        faults += adapter_faults(path)
    resize_to = None
    if not served:
        faults += format_faults(model_path, config)
        faults += adapter_kind_faults(path, adapter) if adapter is not None else []
        if processor.template is not None:
            faults += template_faults(processor.template, processor.tokenizer_folder, model_type)
    if not served and not faults:  # it reads headers, which are known to be whole only now
        fit = vocabulary_fit(processor.tokenizer_folder, model_path, config, path if adapter is not None else None)
        faults += [fit.fault] if fit.fault is not None else []
        resize_to = fit.resize_to
    if faults:
        raise CheckpointError(f"{path} cannot be evaluated: " + "; ".join(faults))
    if not own_code:
        _refuse_text_only(model_type, model_path)
    checkpoint = Checkpoint(
        path=path,
        base=base,
        processor=processor,
        model_type=model_type,
        architectures=tuple(name for name in items(config.get("architectures")) if isinstance(name, str)),
        adapter_kind=str(adapter.get("peft_type")) if adapter is not None else None,
        dtype=_dtype(config, model_path),
        pixel_limits=pixel_limits(processor.image_folder, processor.image_processor),
        box_dialect=dialect_of_model_type(model_type),
        resize_embeddings_to=resize_to,
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
        files = adapter_files(folder) if role == "adapter" else weight_files(folder)
        weights |= {f"{role}/{file.name}": file for file in files}
        configs |= {f"{role}/{name}": folder / name for name in _CONFIG_FILES if (folder / name).is_file()}
    template = checkpoint.processor.template
    if template is not None and template.file.name not in _CONFIG_FILES:  # a named one, which stands beside the others
        configs[f"template/{template.file.name}"] = template.file
    return CheckpointHashes(hash_files(weights), hash_files(configs))


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


def _adapter_base(path: Path, adapter: JsonObject) -> Path:
    """Return the folder of an adapter's base model, in the revision that it was trained on where it names one."""
    name = adapter.get("base_model_name_or_path")
    if not isinstance(name, str) or not name:
        raise CheckpointError(
            f"{path / 'adapter_config.json'} names no base model: set base_model_name_or_path to its folder or hub id"
        )
    for folder in (Path(name).expanduser(), path / name):
        if folder.is_dir():
            return folder
    revision = adapter.get("revision")
    try:
        return resolve_folder(name, revision=revision if isinstance(revision, str) and revision else None)
    except CheckpointError as error:
        raise CheckpointError(
            f"{path} is an adapter, and its base model is not to be had: {error}. "
            f"Set base_model_name_or_path in {path / 'adapter_config.json'} to the base's folder"
        ) from error


def _read_config(folder: Path) -> JsonObject:
    """Read config.json, or say what the folder looks like instead."""
    file = folder / "config.json"
    if file.is_file():
        return read_json(file)
    nested = sorted((inner.parent.name for inner in folder.glob("*/config.json")), key=natural_order)
    hint = f" It holds checkpoints: give one of {', '.join(nested[-5:])}" if nested else ""
    if not nested and any(folder.glob("global_step*")):
        hint = " It holds DeepSpeed shards: make model weights of them with its zero_to_fp32.py"
    elif not nested and adapter_files(folder):
        hint = " It holds an adapter's weights: save adapter_config.json beside them"
    raise CheckpointError(f"{folder} has no config.json, so it is not a checkpoint folder.{hint}")


def _refuse_text_only(model_type: str, folder: Path) -> None:
    """Raise CheckpointError for a model that transformers cannot ask about an image."""
    # Imported here: it brings torch along, which a fault that is found before this line need not wait for.
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


def _dtype(config: JsonObject, folder: Path) -> str | None:
    """Return the number format from config.json, else that of most tensors of the first weight file."""
    named = config.get("dtype") or config.get("torch_dtype")
    if isinstance(named, str):
        return named.removeprefix("torch.")
    file = weight_files(folder)[0]
    if file.suffix != ".safetensors":
        return None
    formats = Counter(tensor.dtype for tensor in stored_tensors(file).values())
    return _TORCH_DTYPES.get(formats.most_common(1)[0][0]) if formats else None


def _with_reasons(found: Checkpoint) -> Checkpoint:
    """Return the checkpoint with the sentences that explain it."""
    files = [*weight_files(found.model_path), *(adapter_files(found.path) if found.is_adapter else [])]
    gigabytes = sum(file.stat().st_size for file in files) / 1e9
    model = f"model_type {found.model_type} ({', '.join(found.architectures) or 'no class named'})"
    reasons = [
        f"{model}, from {found.model_path / 'config.json'}",
        f"weights in {found.dtype or 'an unnamed format'}, {len(files)} file(s), {gigabytes:.2f} GB, sizes checked",
    ]
    if found.is_adapter:
        reasons.append(_adapter_text(found))
    reasons += found.processor.reasons
    processor = found.image_processor or "an image processor of a class that is not known"
    if written_image_processor(found.processor.image_folder) is None:
        processor += f" (its file names no class; this is the one of {found.model_type})"
    if found.pixel_limits is None:
        reasons.append(f"{processor} resizes in its own way: images are handed over as they are")
    else:
        limits = found.pixel_limits
        reasons.append(
            f"{processor} takes {limits.min_pixels} to {limits.max_pixels} pixels, sides in multiples of "
            f"{limits.factor}: images are brought to that grid first"
        )
    if found.box_dialect is None:
        reasons.append(f"how {found.model_type} writes is not known: boxes stay unscored until --box-dialect is given")
    else:
        reasons.append(f"boxes are read as {dialect_words(found.box_dialect)}, as {found.model_type} writes them")
    return replace(found, reasons=tuple(reasons))


def _adapter_text(found: Checkpoint) -> str:
    """Say what an adapter is merged into, and from where the parts of its processor are."""
    parts = found.processor
    folders = [parts.image_folder, parts.tokenizer_folder, *([parts.template.file.parent] if parts.template else [])]
    origin = " and ".join(str(folder) for folder in dict.fromkeys(folders))
    kind = "LoRA" if found.adapter_kind == "LORA" else found.adapter_kind
    resized = f", its embeddings brought to {found.resize_embeddings_to} rows" if found.resize_embeddings_to else ""
    return f"a {kind} adapter, to be merged into {found.base}{resized}; processor from {origin}"
