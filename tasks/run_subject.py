"""What a run evaluates: a checkpoint with its hashes, frame and sizes, or a model that a server knows by name."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import ConfigError
from harness.installation import require_imports, without_collecting
from harness.models.checkpoint import Checkpoint, CheckpointHashes, hash_checkpoint, inspect_checkpoint, override_limits
from harness.models.checkpoint_files import read_json
from harness.models.control_tokens import tokens_of_folder
from harness.models.vllm_options import check_tensor_parallel, lora_rank
from harness.scoring.box_dialects import dialect_words
from harness.scoring.formats import format_dialect, format_name
from harness.values import BoxDialect, PixelLimits
from harness.web_address import shown_url
from tasks.doctor import MODEL_PARTS, RUN_PARTS
from tasks.run_spec import RunEnvironment, RunSpec

if TYPE_CHECKING:
    from harness.models.base import RecordingModel


@dataclass(frozen=True, slots=True)
class Subject:
    """What is known of the model before it is asked."""

    model_type: str
    """The checkpoint's; empty when not known."""
    box_dialect: BoxDialect | None
    """How it writes boxes; None when not known."""
    box_dialect_reason: str
    """Why so, in words."""
    pixel_limits: PixelLimits | None
    """Images are brought to the grid between these; None: they are asked as they are."""
    hashes: CheckpointHashes
    """What identifies it; empty texts where its files cannot be seen."""
    is_adapter: bool
    """Whether it is an adapter on a base."""
    reasons: tuple[str, ...]
    """Sentences that say what was decided and why."""
    control_tokens: frozenset[str] = frozenset()
    """Special tokens that its folder declares; none where only a server has it."""


@without_collecting()
def find_subject(spec: RunSpec) -> Subject:
    """Find out what the model is, without loading it: from its files, or for a served name from what was given."""
    if spec.backend == "openai" and not Path(spec.model).exists():
        return _served_by_name(spec)
    checkpoint = inspect_checkpoint(
        spec.model,
        served=spec.backend == "openai",
        trust_remote_code=spec.trust_remote_code,
        chat_template=spec.chat_template,
    )
    limits = override_limits(checkpoint, spec.min_pixels, spec.max_pixels)
    reason = f"follows from model_type {checkpoint.model_type}"
    if checkpoint.box_dialect is None:
        reason = f"not known for model_type {checkpoint.model_type}; boxes stay unscored until --box-dialect is given"
    reasons = list(checkpoint.reasons)
    if limits is not None and limits != checkpoint.pixel_limits:
        low, high = limits.min_pixels, limits.max_pixels
        reasons.append(f"pixel limits {low} to {high}: given by --min-pixels/--max-pixels")
    if limits is None and (spec.min_pixels or spec.max_pixels):
        if spec.backend == "openai":
            raise ConfigError(
                f"a server resizes pictures for {checkpoint.model_type} by the checkpoint's own rule: change its "
                "image processor's file there, and leave --min-pixels and --max-pixels out"
            )
        reasons.append("the image processor is told the limits of --min-pixels/--max-pixels, and resizes by its rule")
    if checkpoint.code:
        reasons.append(f"code that comes with it runs: {', '.join(file.name for file in checkpoint.code)}")
    if spec.backend == "vllm":
        _check_for_vllm(spec, checkpoint)
    if spec.backend == "openai":
        own = checkpoint.pixel_limits
        if (
            limits is not None
            and own is not None
            and (limits.min_pixels < own.min_pixels or limits.max_pixels > own.max_pixels)
        ):
            raise ConfigError(
                f"a server resizes to the checkpoint's own {own.min_pixels} to {own.max_pixels} pixels: beyond them "
                "the size that the model sees, and with it the frame of its boxes, is not known"
            )
        reasons.append(f"{shown_url(spec.base_url or '')} is taken at its word that it serves these weights")
    return _with_given_dialect(
        spec,
        Subject(
            model_type=checkpoint.model_type,
            box_dialect=checkpoint.box_dialect,
            box_dialect_reason=reason,
            pixel_limits=limits,
            hashes=hash_checkpoint(checkpoint),
            is_adapter=checkpoint.is_adapter,
            reasons=tuple(reasons),
            control_tokens=tokens_of_folder(checkpoint.processor.tokenizer_folder),
        ),
    )


def _check_for_vllm(spec: RunSpec, checkpoint: Checkpoint) -> None:
    """Refuse what vLLM could not do with a checkpoint, or would leave out in silence.

    Raises:
        ConfigError: there is such a thing.
    """
    check_tensor_parallel(spec.tensor_parallel, read_json(checkpoint.model_path / "config.json"), None)
    if checkpoint.is_adapter:
        lora_rank(checkpoint)


def _served_by_name(spec: RunSpec) -> Subject:
    """Return what is known of a model that only its server has."""
    if spec.box_dialect is not None and spec.box_dialect.unit == "input_px":
        raise ConfigError(
            f"boxes in {dialect_words(spec.box_dialect)} need the size that the model sees, which a served name does "
            "not tell: give --model the checkpoint's folder"
        )
    if (spec.min_pixels is None) != (spec.max_pixels is None):
        raise ConfigError("--min-pixels and --max-pixels go together for a served name: one alone fixes no image size")
    limits = None
    if spec.min_pixels is not None and spec.max_pixels is not None:
        limits = PixelLimits(spec.min_pixels, spec.max_pixels)
    return _with_given_dialect(
        spec,
        Subject(
            model_type="",
            box_dialect=None,
            box_dialect_reason="not known for a served name; boxes stay unscored until --box-dialect is given",
            pixel_limits=limits,
            hashes=CheckpointHashes("", ""),
            is_adapter=False,
            reasons=(
                f"{spec.model} is no folder here: its weights are not seen, so a killed run is taken up by name alone",
                "images are sent as they are" if limits is None else "pixel limits given by --min-pixels/--max-pixels",
            ),
        ),
    )


def _with_given_dialect(spec: RunSpec, subject: Subject) -> Subject:
    """Return the subject with the dialect that a person gave, else with that of the format, if it has one."""
    dialect, reason = spec.box_dialect, "given by --box-dialect or --box-frame"
    if dialect is None:
        dialect, reason = format_dialect(spec.form), f"that of format {format_name(spec.form)}"
    if dialect is None:
        return subject
    said = f"boxes are read as {dialect_words(dialect)}: {reason}"
    return replace(subject, box_dialect=dialect, box_dialect_reason=reason, reasons=(*subject.reasons, said))


def number_format_of(spec: RunSpec, environment: RunEnvironment) -> str | None:
    """Return the number format that a checkpoint is computed in here; None where it is somebody else's.

    What `auto` means follows from the device: answers in float32 on a CPU are not those in half precision on a GPU.

    Raises:
        ConfigError: there is no such device, or what asks it is not installed.
    """
    if spec.backend == "openai" or environment.load_model is not None:
        return None
    if spec.dtype != "auto":
        return spec.dtype
    require_imports([*RUN_PARTS, MODEL_PARTS["hf"]], "run")
    from harness.models.hf import choose_device, choose_dtype  # noqa: PLC0415 - torch takes seconds to import

    return str(choose_dtype(spec.dtype, choose_device(spec.device))).removeprefix("torch.")


@without_collecting()
def load_model(spec: RunSpec, environment: RunEnvironment, subject: Subject) -> RecordingModel:
    """Load a checkpoint by transformers or vLLM, or reach the server that serves the model."""
    limits = subject.pixel_limits
    low, high = (spec.min_pixels, spec.max_pixels) if limits is None else (limits.min_pixels, limits.max_pixels)
    if spec.backend == "openai":
        from harness.models.served import SatoriServed  # noqa: PLC0415 - as below

        assert spec.base_url is not None, "whoever makes the configuration gives a server's address"
        return SatoriServed(
            spec.served_name or spec.model,
            spec.base_url,
            api_key=environment.api_key,
            concurrency="auto" if spec.concurrency is None else spec.concurrency,
            batch_size=spec.batch_size,
            min_pixels=low,
            max_pixels=high,
            factor=limits.factor if limits is not None else 28,
            seed=spec.seed,
            timeout_s=spec.request_timeout_s,
            extra_body=spec.extra_body,
            chat_template_kwargs=spec.chat_template_kwargs,
            control_tokens=subject.control_tokens,
            allow_rerouting=spec.allow_rerouting,
            takes_calls=spec.tool is not None,
            secrets=environment.secrets,
            say=environment.say,
        )
    if spec.backend == "vllm":
        from harness.models.vllm_model import SatoriVLLM  # noqa: PLC0415 - as below

        return SatoriVLLM(
            spec.model,
            tensor_parallel=spec.tensor_parallel,
            gpu_memory=spec.gpu_memory,
            device=spec.device,
            dtype=spec.dtype,
            trust_remote_code=spec.trust_remote_code,
            batch_size=spec.batch_size,
            min_pixels=low,
            max_pixels=high,
            seed=spec.seed,
            chat_template_kwargs=spec.chat_template_kwargs,
            chat_template=spec.chat_template,
        )
    from harness.models.cpu_threads import OthersAtWork, take_free_threads  # noqa: PLC0415 - torch takes seconds
    from harness.models.hf import SatoriHF  # noqa: PLC0415 - to import, faults come first

    others = OthersAtWork()
    model = SatoriHF(
        spec.model,
        device=spec.device,
        dtype=spec.dtype,
        attn_implementation=spec.attn_implementation,
        trust_remote_code=spec.trust_remote_code,
        batch_size=spec.batch_size,
        min_pixels=low,
        max_pixels=high,
        seed=spec.seed,
        chat_template_kwargs=spec.chat_template_kwargs,
        chat_template=spec.chat_template,
    )
    if model.device.type == "cpu":
        environment.say(f"computing on the CPU with {take_free_threads(others, os.environ)}")
    if model.why_batches is not None:
        environment.say(f"answers wait for the longest of their batch: rows cannot be refilled, as {model.why_batches}")
    return model
