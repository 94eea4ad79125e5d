"""Finds and reads the files of a checkpoint folder: JSON, safetensors headers, weight files. No model is loaded.

A hub id is brought into the local cache first; an existing folder always wins over a hub id of that name.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias, cast

from harness.errors import ConfigError
from harness.values import Json

JsonObject: TypeAlias = dict[str, Json]
"""One parsed JSON object."""

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_NOT_FOR_US = ["*.gguf", "*.onnx", "*.pth", "*.msgpack", "*.h5", "original/*", "consolidated*", "onnx/*"]
"""Files of a hub repository that no part of a run reads."""
_ADAPTER_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
_MODEL_WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
"""In the order in which transformers looks for them."""


class _Hub(Protocol):
    """What is used of the hub client."""

    def snapshot_download(self, repo_id: str, *, revision: str | None, ignore_patterns: list[str]) -> str: ...


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """One tensor of a safetensors file."""

    dtype: str
    """Number format in the file's own words, such as `BF16`."""
    shape: tuple[int, ...]
    """Sizes."""


class CheckpointError(ConfigError):
    """A checkpoint that cannot be evaluated: what is wrong, where, and how to mend it."""


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


def natural_order(name: str) -> tuple[str, int]:
    """Order `checkpoint-1000` after `checkpoint-500`."""
    stem, _, number = name.rpartition("-")
    return (stem, int(number)) if number.isdecimal() and len(number) < 20 else (name, -1)


def weight_faults(folder: Path) -> list[str]:
    """Name missing and corrupt weight files of a full model."""
    first = next((name for name in _MODEL_WEIGHTS if (folder / name).is_file()), None)
    if first is None:
        return [_no_weights(folder)]
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


def _no_weights(folder: Path) -> str:
    """Say that a folder holds no weights, and what it holds instead."""
    fault = f"no weights ({', '.join(_MODEL_WEIGHTS)}) in {folder}"
    if any(folder.glob("*.gguf")):
        return f"{fault}, only GGUF: serve that file with llama.cpp and ask it with --backend openai --base-url URL"
    return f"{fault}: save the model there with save_pretrained"


def adapter_faults(folder: Path) -> list[str]:
    """Name what is wrong with an adapter's own weights."""
    files = adapter_files(folder)
    if not files:
        return [f"no adapter weights ({' or '.join(_ADAPTER_WEIGHTS)}): save the adapter again"]
    return _file_faults(files[0])


def _file_faults(file: Path, tensors: frozenset[str] = frozenset()) -> list[str]:
    """Name what is wrong with one weight file; `tensors` must be in it."""
    try:
        if file.suffix != ".safetensors":
            return [] if file.stat().st_size else [f"{file.name} is empty: download or save it again"]
        missing = tensors - stored_tensors(file).keys()
    except CheckpointError as error:
        return [str(error)]
    if missing:
        return [f"{file.name} lacks {len(missing)} tensors that its index names, such as {min(missing)}: save it again"]
    return []


def weight_files(folder: Path) -> list[Path]:
    """Return the files that hold a full model's weights."""
    first = next((name for name in _MODEL_WEIGHTS if (folder / name).is_file()), None)
    if first is None:
        return []
    return [folder / name for name in _shards(folder / first)] if first.endswith(".index.json") else [folder / first]


def adapter_files(folder: Path) -> list[Path]:
    """Return the file that holds an adapter's weights."""
    return [folder / name for name in _ADAPTER_WEIGHTS if (folder / name).is_file()][:1]


def _shards(index: Path) -> dict[str, frozenset[str]]:
    """Return the tensors of each shard that an index names, by shard name in order."""
    mapping = read_json(index).get("weight_map")
    shards: dict[str, set[str]] = {}
    for tensor, shard in mapping.items() if isinstance(mapping, dict) else ():
        # A name with a path in it would lead out of the folder.
        if not isinstance(shard, str) or Path(shard).name != shard:
            raise CheckpointError(f"{index}: {shard!r} is not a shard's file name; save or download the model again")
        shards.setdefault(shard, set()).add(tensor)
    return {name: frozenset(shards[name]) for name in sorted(shards)}


def stored_tensors(file: Path) -> dict[str, StoredTensor]:
    """Return format and shape of every tensor of a safetensors file, without reading any.

    Raises:
        CheckpointError: The file is damaged, or not as long as it says.
    """
    import safetensors  # noqa: PLC0415 - the core does without models

    try:
        with cast("Any", safetensors.safe_open)(file, framework="numpy") as opened:  # its stubs know no methods
            parts: dict[str, Any] = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118 - no mapping
            return {name: StoredTensor(part.get_dtype(), tuple(part.get_shape())) for name, part in parts.items()}
    except (safetensors.SafetensorError, OSError) as error:
        size = file.stat().st_size
        raise CheckpointError(
            f"{file.name} ({size} bytes) is damaged or still being written: {error}. Download or save it again"
        ) from error


def tensor_shapes(files: Iterable[Path]) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor by name, as far as the files are safetensors."""
    tensors = (stored_tensors(file) for file in files if file.suffix == ".safetensors")
    return {name: tensor.shape for found in tensors for name, tensor in found.items() if tensor.shape}


def hash_files(files: Mapping[str, Path]) -> str:
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


def read_json_if_there(file: Path) -> JsonObject:
    """Read a JSON object; empty when there is no such file."""
    return read_json(file) if file.is_file() else {}


def read_json(file: Path) -> JsonObject:
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


def items(value: Json) -> list[Json]:
    """Return a JSON list; an empty one for any other value."""
    return value if isinstance(value, list) else []
