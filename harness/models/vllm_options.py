"""What vLLM is told of a checkpoint, and what it cannot do with it: found in JSON files and headers before it starts.

vLLM says such things after a minute of loading, or in the log of another process alone: it leaves an adapter's changes
to the vision tower out and answers.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.errors import ConfigError
from harness.models.checkpoint import Checkpoint
from harness.models.checkpoint_files import CheckpointError, JsonObject, adapter_files, read_json, stored_tensors

DEFAULT_GPU_MEMORY = 0.9
"""Share of a GPU that vLLM takes where nothing else is said: weights, pictures and the cache of what was read."""
_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""Ranks that vLLM makes room for; an adapter's own is rounded up to one."""
_LORA_TENSORS = (".lora_A.weight", ".lora_B.weight")
_VISION = frozenset(
    {
        *("visual", "vision_tower", "vision_model", "vision_encoder", "vision_embed_tokens"),
        *("multi_modal_projector", "mm_projector", "connector", "merger", "mlp1", "aligner"),
    }
)
"""What families call the half that sees, and what lies between it and the text half."""
_HF_MERGES = "--backend hf merges an adapter of any kind into its base; or merge it where it was trained"


def check_gpu_memory(share: float) -> None:
    """Refuse a share of a GPU's memory that is none.

    Raises:
        ConfigError: it is not above 0 and at most 1.
    """
    if not 0 < share <= 1:
        raise ConfigError(
            f"--gpu-memory is {share:g}: give a share of the GPU's memory above 0, at most 1, such as 0.9"
        )


def check_tensor_parallel(size: int, config: JsonObject, devices: int | None) -> None:
    """Refuse to cut a model over GPUs where its attention heads cannot be dealt out evenly.

    Args:
        size: GPUs to cut it over.
        config: The model's config.json.
        devices: GPUs that there are; None where vLLM runs on a CPU.

    Raises:
        ConfigError: heads do not divide, or there are fewer GPUs.
    """
    if size < 1:
        raise ConfigError(f"--tensor-parallel is {size}: give a whole number of at least 1")
    if size == 1:
        return
    if devices is not None and size > devices:
        raise ConfigError(
            f"--tensor-parallel {size} needs {size} GPUs and {devices} can be seen here: give at most {devices}"
        )
    heads = {name: count for name, count in _head_counts(config).items() if count % size}
    if heads:
        fitting = [number for number in range(1, size) if not any(n % number for n in _head_counts(config).values())]
        named = " and ".join(f"{count} {name}" for name, count in heads.items())
        raise ConfigError(
            f"--tensor-parallel {size} does not divide the model's {named}: give {' or '.join(map(str, fitting))}"
        )


def lora_rank(checkpoint: Checkpoint) -> int:
    """Return the rank that vLLM must make room for, for an adapter that it takes as it is.

    Raises:
        CheckpointError: it is an adapter that vLLM does not take, or would apply in part.
    """
    adapter = read_json(checkpoint.path / "adapter_config.json")
    names = [name for file in adapter_files(checkpoint.path) for name in stored_tensors(file)]
    ranks = [adapter.get("r"), *_values(adapter.get("rank_pattern"))]
    whole = [rank for rank in ranks if isinstance(rank, int)]
    faults = _lora_faults(checkpoint.adapter_kind or "", adapter, names)
    if not whole or max(whole) > _RANKS[-1]:
        faults.append(f"its rank is {max(whole, default=None)}, and vLLM takes 1 to {_RANKS[-1]}")
    if faults:
        raise CheckpointError(f"vLLM cannot apply the adapter {checkpoint.path}: {'; '.join(faults)}. {_HF_MERGES}")
    return next(rank for rank in _RANKS if rank >= max(whole))


def _lora_faults(kind: str, adapter: JsonObject, names: Sequence[str]) -> list[str]:
    """Name what in an adapter vLLM refuses late, or leaves out in silence."""
    if kind.upper() != "LORA":
        return [f"it is of kind {kind}, and vLLM takes LoRA alone"]
    faults = ["it is DoRA, which vLLM does not compute"] if adapter.get("use_dora") else []
    if adapter.get("bias") not in (None, "none") or adapter.get("lora_bias"):
        faults.append("it changes biases")
    others = [name for name in names if not name.endswith(_LORA_TENSORS)]
    if others:
        faults.append(f"it holds {len(others)} whole tensors beside its low-rank ones, such as {others[0]}")
    seeing = [name for name in names if _VISION & set(name.split("."))]
    if seeing:
        faults.append(f"it changes the half that sees ({seeing[0]} and {len(seeing) - 1} more), which vLLM leaves out")
    return faults


def _head_counts(config: JsonObject) -> dict[str, int]:
    """Return how many attention heads each half has, by its name in words; what is not told is not checked."""
    text, vision = config.get("text_config"), config.get("vision_config")
    text_half = {**config, **(text if isinstance(text, dict) else {})}
    seeing: JsonObject = vision if isinstance(vision, dict) else {}
    counts = {
        "attention heads": text_half.get("num_attention_heads"),
        "attention heads of its vision tower": seeing.get("num_heads") or seeing.get("num_attention_heads"),
    }
    return {name: count for name, count in counts.items() if isinstance(count, int)}


def _values(value: object) -> list[object]:
    return list(value.values()) if isinstance(value, dict) else []  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  # of JSON
