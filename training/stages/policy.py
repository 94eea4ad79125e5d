"""Open a checkpoint for training: its processor, its box frame, and the traps that would ruin a run in silence.

Checked before any weight is read: the processor pads on the left (TRL's GRPO mixes left-padded prompts with whatever
the processor does; right padding corrupts a vision batch without an error), the SATORI tags survive decoding, image and
video placeholders are never sampled. A LoRA adapter to start from is merged into its base first, since TRL reloads
models by path.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from transformers import AutoConfig, AutoModelForImageTextToText

from harness.errors import ConfigError
from harness.models.chat_inputs import has_system_role, load_processor
from harness.models.checkpoint import Checkpoint, CheckpointHashes, hash_checkpoint, inspect_checkpoint
from harness.models.hf import merge_adapter, placeholder_ids
from harness.scoring.box_dialects import strict_list_of
from harness.values import BoxDialect, PixelLimits, StageFormat

STAGES_OF_FORMAT: dict[StageFormat, tuple[str, ...]] = {
    "satori": ("caption", "bbox", "answer"),
    "satori-think": ("caption", "bbox", "thinking", "answer"),
    "satori-adaptive": ("caption", "bbox", "answer"),
    "freeform": ("think", "answer"),
    "plain": (),
}
"""Tags that a format writes."""
MERGED_PREFIX = "start-"
"""Begins the name of the folder that an adapter to start from is merged into."""
MOST_TAG_TOKENS = 6
"""A tag of more tokens than this is split badly: rewarded text then costs a large share of a completion's budget."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A checkpoint that is ready to be trained."""

    checkpoint: Checkpoint
    """What was looked at; its `path` is the folder with full weights."""
    hashes: CheckpointHashes
    """What identifies the weights that training starts from, adapter included."""
    processor: Any
    """Processor with a tokenizer that pads on the left; images that fit the limits are not resized by it."""
    box_dialect: BoxDialect | None
    """How boxes are taught and rewarded; None only for formats without boxes."""
    suppressed_ids: tuple[int, ...]
    """Tokens that must never be sampled: image, video and vision placeholders."""
    end_ids: frozenset[int]
    """Tokens that end a completion."""
    has_system_role: bool
    """Whether the chat template writes system turns; without, they go to the head of the user's turn."""
    warnings: tuple[str, ...]
    """What a person should know before training starts."""

    @property
    def pixel_limits(self) -> PixelLimits | None:
        """Pixel budget of the image processor; None for a family that resizes in its own way."""
        return self.checkpoint.pixel_limits


def open_policy(model: str, form: StageFormat, declared: BoxDialect | None, work: Path) -> Policy:
    """Look at a checkpoint and load its processor; an adapter is merged into `work` first.

    Boxes are those of the dialect that is declared, else the format's list in the order and unit that the family knows:
    training pays for the format, not for the brackets that the model should unlearn.

    Raises:
        CheckpointError: It is missing, broken, or no vision-language model.
        ConfigError: The box frame of a grounded format is not known, or a tag would be lost in decoding.
    """
    found = inspect_checkpoint(model)
    hashes = hash_checkpoint(found)
    checkpoint = inspect_checkpoint(str(_merged(found, hashes, work))) if found.is_adapter else found
    own = checkpoint.box_dialect
    dialect = declared or (None if own is None else strict_list_of(own))
    if dialect is None and "bbox" in STAGES_OF_FORMAT[form]:
        raise ConfigError(
            f"the box frame of model_type {checkpoint.model_type} is not known: set box_frame to image_px, input_px, "
            "norm_1000 or norm_1 (or box_dialect), so that gold boxes are taught and rewarded as the model writes them"
        )
    processor = cast("Any", load_processor(checkpoint, checkpoint.pixel_limits, trust_remote_code=False))
    config = AutoConfig.from_pretrained(checkpoint.model_path)
    tokenizer = processor.tokenizer
    ends = {tokenizer.eos_token_id} | _ends_of(checkpoint)
    faults = tag_faults(tokenizer, form)
    if faults:
        raise ConfigError(f"{model}: " + "; ".join(faults))
    return Policy(
        checkpoint=checkpoint,
        hashes=hashes,
        processor=processor,
        box_dialect=dialect,
        suppressed_ids=tuple(sorted(placeholder_ids(cast("Any", config)) - ends)),
        end_ids=frozenset(ends),
        has_system_role=has_system_role(processor),
        warnings=tuple(tag_warnings(tokenizer, form) + padding_warnings(tokenizer)),
    )


def load_weights(policy: Policy, dtype: str) -> Any:
    """Load the policy's model as a trainable instance that knows its path.

    Raises:
        ConfigError: Tensors are missing, so parts of the model would be random.
    """
    return load_whole_model(policy.checkpoint.model_path.resolve(), dtype)


def load_whole_model(folder: Path, dtype: Any) -> Any:
    """Load a folder's model, names mended by transformers, with no tensor left random.

    Raises:
        ConfigError: Tensors are missing.
    """
    loaded: Any = AutoModelForImageTextToText.from_pretrained(str(folder), dtype=dtype, output_loading_info=True)
    model, info = loaded
    missing = sorted(info["missing_keys"])
    if missing:
        raise ConfigError(
            f"{folder} lacks {len(missing)} tensors of its model, such as {missing[0]}: they would be random. Save the "
            "whole model again"
        )
    return model


def tag_faults(tokenizer: Any, form: StageFormat) -> list[str]:
    """Return which tags decoding would drop: TRL decodes completions without special tokens."""
    special = {str(token) for token in tokenizer.all_special_tokens}
    lost = [tag for tag in _tags(form) if tag in special]
    return [
        f"{tag} is a special token of the tokenizer, so decoding drops it and the format reward could never be 1: "
        "add it with special=False"
        for tag in lost
    ]


def tag_warnings(tokenizer: Any, form: StageFormat) -> list[str]:
    """Return which tags the tokenizer splits into many tokens."""
    counts = {tag: len(tokenizer(tag, add_special_tokens=False)["input_ids"]) for tag in _tags(form)}
    return [
        f"the tokenizer writes {tag} in {count} tokens: completions get longer; consider adding the tags as tokens"
        for tag, count in counts.items()
        if count > MOST_TAG_TOKENS
    ]


def padding_warnings(tokenizer: Any) -> list[str]:
    """Return a warning where padding and end are one token: a truncated completion then looks finished."""
    if tokenizer.pad_token_id != tokenizer.eos_token_id:
        return []
    return ["padding and end of text are one token: a truncated completion cannot be told from a finished one"]


def assert_left_padding(processor: Any) -> None:
    """Raise where the tokenizer pads on the right; see the head of this file.

    Raises:
        ConfigError: It does.
    """
    side = processor.tokenizer.padding_side
    if side != "left":
        raise ConfigError(f"the tokenizer pads on the {side}: GRPO on images needs padding_side='left'")


def _tags(form: StageFormat) -> list[str]:
    """Return the tags of a format, opening and closing."""
    return [tag for stage in STAGES_OF_FORMAT[form] for tag in (f"<{stage}>", f"</{stage}>")]


def _ends_of(checkpoint: Checkpoint) -> set[int]:
    """Return the end tokens that the checkpoint's generation configuration names."""
    from transformers import GenerationConfig  # noqa: PLC0415 - only here

    try:
        named = GenerationConfig.from_pretrained(str(checkpoint.model_path)).eos_token_id
    except OSError:
        return set()
    if named is None:
        return set()
    return {named} if isinstance(named, int) else set(cast("list[int]", named))


def _merged(checkpoint: Checkpoint, hashes: CheckpointHashes, work: Path) -> Path:
    """Merge an adapter into its base and return the folder of the whole model.

    The folder is named by the weights, so that what an earlier run of another adapter left is never taken for it, and
    appears by one rename, so that a kill leaves no half of one.
    """
    folder = work / f"{MERGED_PREFIX}{hashes.weights_hash[:12]}"
    if not folder.is_dir():
        aside = work / "merging"
        shutil.rmtree(aside, ignore_errors=True)
        base = load_whole_model(checkpoint.model_path, "auto")
        cast("Any", merge_adapter(base, checkpoint)).save_pretrained(aside)
        processor = load_processor(checkpoint, None, trust_remote_code=False)
        cast("Any", processor).save_pretrained(aside)
        aside.replace(folder)
    return folder
