"""Reckon what a training stage holds on each device, in the number formats that it really trains in.

Weights, gradients and Adam's two moments follow from counts and formats. What activations, logits and generation take
depends on lengths, so it is reckoned for the longest sequence that the data and the settings allow, and said with what
was assumed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from harness.frames import smart_resize
from harness.values import PixelLimits, Size
from training.model_shape import ModelShape, Tower
from training.profiles import PROFILES, Profile
from training.settings import GrpoSettings, TrainSettings

_GIB = 2**30
_WIDTHS = {"float32": 4, "bfloat16": 2}
"""Bytes of a number."""
_ADAM_BYTES = 8
"""Two float32 moments a trained parameter."""
_MASTER_BYTES = 4
"""A float32 copy of a trained bfloat16 parameter, which DeepSpeed keeps."""
_LOGIT_BYTES = 12
"""Of one logit while a loss is computed: as written, in float32, its softmax and its gradient."""
_LAYER_COPIES = (16, 4)
"""Tensors of a layer's width and of its MLP's that live while one layer is computed and differentiated."""
_PROMPT_TOKENS = 300
"""Assumed for instructions and question; those of `tasks/prompts.py` have about 200."""
_TAUGHT_TOKENS = 256
"""Assumed for a completion that is taught."""
_IMAGE_TOKENS = 1_024
"""Assumed for an image of a family that resizes in its own way."""
_PATCHES_PER_TOKEN = 4
"""The image encoder works on patches, of which two by two become one token."""
_FRAGMENTED = 1.2
"""What the allocator takes for tensors of changing sizes, relative to the tensors."""
_RESERVED_GIB = 1.0
"""The driver's own share of a GPU."""

_Part: TypeAlias = Literal["weights", "copies", "gradients", "buckets", "Adam", "reference", "vLLM", "work"]


@dataclass(frozen=True, slots=True)
class Formats:
    """The number formats of a stage."""

    trained: str
    """Of the weights that change, and of their gradients."""
    held: str
    """Of the model: as `trained`, or that of a base that LoRA leaves alone."""
    computed: str
    """Of matrix products: mixed precision makes copies of the weights where it differs from `held`."""


def formats(settings: TrainSettings) -> Formats:
    """Return the number formats that a stage trains in."""
    profile = PROFILES[settings.profile]
    return Formats(
        # TRL keeps adapters in the base's format under ZeRO-3, peft keeps them in float32 elsewhere
        trained=profile.dtype,
        held=profile.dtype if settings.lora is None else profile.frozen_dtype,
        computed="bfloat16" if profile.common.get("bf16") else profile.dtype,
    )


@dataclass(frozen=True, slots=True)
class Lengths:
    """The longest sequence of a stage, in tokens."""

    image: int
    """Of the image."""
    completion: int
    """Of the answer."""
    image_source: str
    """Where the image's count is from, in words."""

    @property
    def whole(self) -> int:
        """Of prompt, image and answer together."""
        return self.image + _PROMPT_TOKENS + self.completion


def longest(settings: TrainSettings, shape: ModelShape, sizes: Sequence[Size]) -> Lengths:
    """Return the longest sequence that data and settings allow.

    Args:
        settings: What is trained.
        shape: The model.
        sizes: Sizes of the data's images; empty where they are not known.
    """
    taught = _TAUGHT_TOKENS
    completion = settings.rollouts.max_completion_tokens if isinstance(settings, GrpoSettings) else taught
    if shape.pixel_limits is None or not sizes:
        return Lengths(_IMAGE_TOKENS, completion, "assumed")
    limits = shape.pixel_limits
    return Lengths(max(_tokens(size, limits) for size in set(sizes)), completion, "the data's largest")


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """What a stage holds on each device."""

    parts_gib: dict[_Part, float]
    """By what it is for; `work` is missing where the model's layers are not known."""
    lines: tuple[str, ...]
    """The same in sentences, with what was assumed."""

    @property
    def total_gib(self) -> float:
        """All parts together."""
        return sum(self.parts_gib.values())


def memory_need(settings: TrainSettings, shape: ModelShape, lengths: Lengths, gpu_gib: float) -> MemoryNeed:
    """Reckon what a stage holds on each device.

    Args:
        settings: What is trained.
        shape: The model.
        lengths: The longest sequence.
        gpu_gib: Memory of a GPU, of which vLLM takes a share where it runs beside training.
    """
    profile, used = PROFILES[settings.profile], formats(settings)
    shards = settings.process_count if profile.shards else 1
    adapter = 0 if settings.lora is None else _adapter_parameters(shape, settings.lora.rank)
    trained = shape.parameters if settings.lora is None else adapter
    held, width = _WIDTHS[used.held], _WIDTHS[used.trained]
    master = _MASTER_BYTES if used.trained == "bfloat16" else 0
    parts: dict[_Part, float] = {
        "weights": (shape.parameters * held + adapter * width) / shards,
        "gradients": trained * width / shards,
        "Adam": trained * (_ADAM_BYTES + master) / shards,
    }
    if _replicates(settings, profile):
        parts["buckets"] = parts["gradients"]
    if used.computed != used.held and not profile.shards:  # sharded weights are cast a layer at a time
        parts["copies"] = shape.parameters * _WIDTHS[used.computed]
    if isinstance(settings, GrpoSettings) and settings.objective.beta > 0 and settings.lora is None:
        parts["reference"] = shape.parameters * held / shards
    if settings.stage == "grpo" and profile.grpo.get("vllm_mode") == "colocate":
        parts["vLLM"] = profile.grpo["vllm_gpu_memory_utilization"] * gpu_gib * _GIB
    work = _work(settings, shape, lengths, profile, used)
    if work is not None:
        parts["work"] = work * _FRAGMENTED
    in_gib: dict[_Part, float] = {part: size / _GIB for part, size in parts.items()}
    return MemoryNeed(in_gib, tuple(_sentences(settings, shape, lengths, in_gib, shards)))


def _replicates(settings: TrainSettings, profile: Profile) -> bool:
    """Whether DDP averages the gradients, in buckets that hold a second copy of them."""
    return profile.launch is not None and not profile.shards and settings.process_count > 1


def fits(need: MemoryNeed, gpu_gib: float) -> bool | None:
    """Whether a GPU of this memory has room for a stage; None where what is known fits and the rest is not known."""
    if need.total_gib > gpu_gib - _RESERVED_GIB:
        return False
    return True if "work" in need.parts_gib else None


def fit_text(need: MemoryNeed, settings: TrainSettings, gpu_gib: float, gpu: str) -> str:
    """Say whether a stage fits a GPU, and what would make it fit.

    Args:
        need: What it holds.
        settings: What is trained.
        gpu_gib: The GPU's memory.
        gpu: The GPU in words.
    """
    room = f"{gpu}, {gpu_gib - _RESERVED_GIB:.0f} GiB beside the driver's"
    fitting = fits(need, gpu_gib)
    if fitting is None:
        return (
            f"whether it fits {room}, cannot be told: {need.total_gib:.1f} GiB are without activations, logits and "
            "generation. Try a few steps with the longest rows"
        )
    if fitting:
        return f"it fits {room}"
    mends: list[str] = []
    if "reference" in need.parts_gib:
        mends.append(f"objective.beta = 0 needs no reference model ({need.parts_gib['reference']:.1f} GiB less)")
    if settings.lora is None:
        mends.append("[lora] trains an adapter alone")
    if need.parts_gib.get("work", 0) > need.total_gib / 10 and settings.optimisation.batch_size > 1:
        mends.append("a smaller optimisation.batch_size with more accumulation")
    if not PROFILES[settings.profile].shards:
        mends.append("profile zero3 or fsdp2 spreads the states over several GPUs")
    else:
        mends.append("more processes")
    return f"it does NOT fit {room}. What helps: " + "; ".join(mends)


def _work(
    settings: TrainSettings, shape: ModelShape, lengths: Lengths, profile: Profile, used: Formats
) -> float | None:
    """Return the bytes that computing takes at its peak, in training or in generation; None for unknown layers."""
    if shape.text is None:
        return None
    rows, residual = settings.optimisation.batch_size, _WIDTHS[used.held]
    # FSDP checkpoints activations itself (training/profiles.py)
    kept = bool(profile.common.get("gradient_checkpointing")) or profile.name == "fsdp2"
    activations = _tower_bytes(shape.text, rows * lengths.whole, residual, used, checkpointed=kept)
    if shape.vision is not None:
        patches = rows * lengths.image * _PATCHES_PER_TOKEN
        activations += _tower_bytes(shape.vision, patches, residual, used, checkpointed=kept)
    scored = lengths.completion + 1 if settings.stage == "grpo" else lengths.whole
    logits = rows * scored * shape.vocabulary * _LOGIT_BYTES
    if settings.stage != "grpo" or profile.grpo.get("use_vllm"):
        return activations + logits
    # transformers generates a whole step's completions at once
    together = rows * settings.optimisation.accumulation
    cache = together * lengths.whole * 2 * shape.text.layers * shape.text.key_value * _WIDTHS[used.computed]
    gathered = shape.parameters * _WIDTHS[used.held] if _gathers(settings, profile) else 0
    return max(activations + logits, gathered + cache + together * shape.vocabulary * _LOGIT_BYTES)


def _gathers(settings: TrainSettings, profile: Profile) -> bool:
    """Whether each device holds the whole model while transformers generates: TRL gathers ZeRO-3's shards for it."""
    zero3 = profile.launch is not None and profile.launch["distributed_type"] == "DEEPSPEED"
    return zero3 and settings.stage == "grpo" and settings.process_count > 1 and not profile.grpo.get("use_vllm")


def _tower_bytes(tower: Tower, tokens: int, residual: int, used: Formats, *, checkpointed: bool) -> float:
    """Return the bytes of a stack's activations: its inputs a layer, and the inside of one layer, or of all."""
    wide, inner = _LAYER_COPIES
    inside = tokens * (tower.width * wide + tower.inner * inner) * _WIDTHS[used.computed]
    between = tokens * tower.width * residual * tower.layers
    return between + inside if checkpointed else between + inside * tower.layers


def _adapter_parameters(shape: ModelShape, rank: int) -> int:
    """Return about how many numbers an adapter on all linear layers has; 1 % of the model where layers are unknown."""
    towers = [tower for tower in (shape.text, shape.vision) if tower is not None]
    if not towers:
        return shape.parameters // 100
    # query and output, key and value, and the three matrices of a gated MLP: rank x (rows + columns) each
    return sum(
        tower.layers * rank * (4 * tower.width + 2 * (tower.width + tower.key_value) + 3 * (tower.width + tower.inner))
        for tower in towers
    )


def _tokens(size: Size, limits: PixelLimits) -> int:
    """Return the tokens of an image at the model's grid."""
    grid = smart_resize(size, limits)
    return grid.width * grid.height // limits.factor**2


def _sentences(
    settings: TrainSettings, shape: ModelShape, lengths: Lengths, parts: dict[_Part, float], shards: int
) -> list[str]:
    """Say the parts, each with its number format."""
    used = formats(settings)
    where = "a device" if shards == 1 else f"a device, over {shards} shards"
    lines = [f"memory of {shape.model}: {shape.parameters:,} parameters ({shape.source}), GiB {where}:"]
    adapter = "" if settings.lora is None else f", the adapter on it in {used.trained}"
    lines.append(f"  weights {parts['weights']:.1f} in {used.held}{adapter}")
    if "copies" in parts:
        lines.append(f"  copies of the weights in {used.computed} while computing {parts['copies']:.1f}")
    of = "" if settings.lora is None else " of the adapter"
    master = " and a float32 copy of the weights" if used.trained == "bfloat16" else ""
    lines.append(
        f"  gradients{of} {parts['gradients']:.1f} in {used.trained}, "
        f"Adam {parts['Adam']:.1f} (two moments in float32{master})"
    )
    if "buckets" in parts:
        lines.append(f"  DDP's buckets, a second copy of the gradients {parts['buckets']:.1f}")
    if "reference" in parts:
        lines.append(f"  reference model of the KL term {parts['reference']:.1f} in {used.held}")
    if "vLLM" in parts:
        lines.append(f"  vLLM beside training {parts['vLLM']:.1f}")
    if "work" in parts:
        kind = "an SFT answer, assumed" if settings.stage == "sft" else "max_completion_tokens"
        whole = " by the whole model, gathered" if _gathers(settings, PROFILES[settings.profile]) else ""
        lines.append(
            f"  activations, logits and generation{whole} {parts['work']:.1f}, for {settings.optimisation.batch_size} "
            f"sequences of {lengths.whole} tokens: image {lengths.image} ({lengths.image_source}), "
            f"prompt {_PROMPT_TOKENS} (assumed), answer {lengths.completion} ({kind})"
        )
    else:
        lines.append("  activations, logits and generation: not estimated, the model's layers are not known")
    lines.append(f"  in all {sum(parts.values()):.1f}")
    return lines
