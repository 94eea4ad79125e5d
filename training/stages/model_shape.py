"""The sizes of a model that its memory follows from: counted from a checkpoint's files, or as published for its name.

Nothing is downloaded: a plan is made on any machine, also on one that does not have the model.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias, cast

from safetensors import safe_open

from harness.errors import did_you_mean
from harness.models.checkpoint import Checkpoint, CheckpointError, inspect_checkpoint
from harness.values import PixelLimits

_Table: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Tower:
    """A stack of transformer layers."""

    layers: int
    """How many."""
    width: int
    """Numbers per token between layers."""
    inner: int
    """Numbers per token inside a layer's MLP."""
    key_value: int
    """Numbers per token in each of a layer's keys and values."""


@dataclass(frozen=True, slots=True)
class ModelShape:
    """What memory is reckoned from."""

    model: str
    """Folder or hub id."""
    parameters: int
    """Numbers in all its weights, those that are shared counted once."""
    text: Tower | None
    """The language model; None where the configuration does not say."""
    vision: Tower | None
    """The image encoder; None where the configuration does not say."""
    vocabulary: int
    """Tokens that a logit is computed for; 0 where the configuration does not say."""
    pixel_limits: PixelLimits | None
    """Pixel budget of an image; None for a family that resizes in its own way."""
    source: str
    """Where these numbers are from, in words."""


def _qwen(parameters: int, text: Tower, vision: Tower, vocabulary: int, limits: PixelLimits) -> ModelShape:
    return ModelShape("", parameters, text, vision, vocabulary, limits, "sizes as published; the model is not here")


_GRID_28 = PixelLimits(56 * 56, 16384 * 28 * 28, 28)
_GRID_32 = PixelLimits(64 * 32 * 32, 16384 * 32 * 32, 32)
_VISION_2 = Tower(32, 1280, 5120, 1280)
_VISION_2_5 = Tower(32, 1280, 3420, 1280)
_VISION_3 = Tower(24, 1024, 4096, 1024)
PUBLISHED: Mapping[str, ModelShape] = {
    "Qwen/Qwen2-VL-2B-Instruct": _qwen(2_208_985_600, Tower(28, 1536, 8960, 256), _VISION_2, 151_936, _GRID_28),
    "Qwen/Qwen2-VL-7B-Instruct": _qwen(8_291_375_616, Tower(28, 3584, 18944, 512), _VISION_2, 152_064, _GRID_28),
    "Qwen/Qwen2.5-VL-3B-Instruct": _qwen(3_754_622_976, Tower(36, 2048, 11008, 256), _VISION_2_5, 151_936, _GRID_28),
    "Qwen/Qwen2.5-VL-7B-Instruct": _qwen(8_292_166_656, Tower(28, 3584, 18944, 512), _VISION_2_5, 152_064, _GRID_28),
    "Qwen/Qwen3-VL-2B-Instruct": _qwen(2_127_532_032, Tower(28, 2048, 6144, 1024), _VISION_3, 151_936, _GRID_32),
    "Qwen/Qwen3-VL-4B-Instruct": _qwen(4_437_815_808, Tower(36, 2560, 9728, 1024), _VISION_3, 151_936, _GRID_32),
    "Qwen/Qwen3-VL-8B-Instruct": _qwen(
        8_767_123_696, Tower(36, 4096, 12288, 1024), Tower(27, 1152, 4304, 1152), 151_936, _GRID_32
    ),
}
"""Models that a plan knows by name; counts and layers follow from the configurations on the hub."""


_BILLIONS = re.compile(r"(?<![A-Za-z0-9.])(\d{1,3}(?:\.\d{1,2})?)[Bb](?![A-Za-z0-9])")
"""A count in a model's name, such as the 3B of InternVL-3B: no letter or digit around it."""


def model_shape(model: str) -> ModelShape | None:
    """Return a model's sizes without downloading it; None for a hub model that is neither here nor known by name.

    Raises:
        CheckpointError: A folder that is missing or no checkpoint.
    """
    path = Path(model).expanduser()
    if path.exists() or model.count("/") != 1:
        return shape_of(inspect_checkpoint(model), model)
    if path.parent.is_dir():
        raise CheckpointError(f"no folder {path}, though there is a folder {path.parent}: check the name")
    cached = _cached(model)
    if cached is not None:
        with suppress(CheckpointError):  # a download that broke off: the hub brings the rest when training starts
            return shape_of(inspect_checkpoint(cached), model)
    if model in PUBLISHED:
        return replace(PUBLISHED[model], model=model)
    named = _BILLIONS.findall(model)
    if len(named) != 1:
        return None
    source = f"assumed from the {named[0]}B in its name; the model is not here"
    return ModelShape(model, round(float(named[0]) * 1e9), None, None, 0, None, source)


def unknown_shape_text(model: str) -> str:
    """Say why a model's memory cannot be estimated, and what to do."""
    near = did_you_mean(model, list(PUBLISHED))
    return (
        f"memory: not estimated, since {model} is not on this machine and its sizes are not known.{near} Give a "
        f"checkpoint folder, or bring the model here first: hf download {model}"
    )


def shape_of(checkpoint: Checkpoint, model: str) -> ModelShape:
    """Count a checkpoint's parameters from the headers of its safetensors files, and read its layers."""
    config = cast("_Table", json.loads((checkpoint.model_path / "config.json").read_text(encoding="utf-8")))
    text = cast("_Table", config.get("text_config") or config)
    vision = cast("_Table", config.get("vision_config") or {})
    return ModelShape(
        model=model,
        parameters=parameter_count(checkpoint),
        text=_tower(text, text.get("hidden_size")),
        # Qwen2-VL calls the width embed_dim, and hidden_size what it hands to the language model
        vision=_tower(vision, vision.get("embed_dim") or vision.get("hidden_size")),
        vocabulary=_count(text.get("vocab_size") or config.get("vocab_size")),
        pixel_limits=checkpoint.pixel_limits,
        source="counted from its files",
    )


def parameter_count(checkpoint: Checkpoint) -> int:
    """Count a checkpoint's parameters from the headers of its safetensors files; 0 where it has none."""
    count = 0
    for file in sorted(checkpoint.model_path.glob("*.safetensors")):
        with safe_open(str(file), framework="numpy") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - not a mapping
                count += math.prod(tensors.get_slice(name).get_shape())
    return count


def _cached(hub_id: str) -> str | None:
    """Return the folder of a hub model that was downloaded before; None where it was not."""
    import huggingface_hub  # noqa: PLC0415 - only a hub id needs it

    try:
        return str(huggingface_hub.snapshot_download(hub_id, local_files_only=True))
    except (OSError, ValueError):  # not here, or no name of the hub's
        return None


def _tower(config: _Table, width: object) -> Tower | None:
    """Read a stack of layers; None where the configuration does not say how large it is."""
    layers = _count(config.get("num_hidden_layers") or config.get("depth"))
    wide = _count(width)
    inner = _count(config.get("intermediate_size")) or round(wide * float(config.get("mlp_ratio") or 4))
    heads = _count(config.get("num_attention_heads") or config.get("num_heads")) or 1
    head = _count(config.get("head_dim")) or wide // heads
    if not layers or not wide:
        return None
    return Tower(layers, wide, inner, (_count(config.get("num_key_value_heads")) or heads) * head)


def _count(value: object) -> int:
    """Return a number of a configuration; 0 for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
