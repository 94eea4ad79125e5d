"""TRL's trainers with what they lack: weights that really resume, whole checkpoints, a stop at NaN, noise estimates.

- **Resume.** transformers loads a checkpoint's raw tensors without strictness, and for families whose saved names
  differ from the live ones (Qwen2.5-VL, LLaVA) nothing fits: the optimiser resumes, the weights start anew. Here the
  checkpoint is read by `from_pretrained`, which knows the names, and copied strictly.
- **Checkpoints** are written into a folder beside and renamed when whole, so a kill or a full disk leaves the
  previous one.
- **NaN.** A loss or gradient that is not finite ends the run before the optimiser applies it, naming the last good
  checkpoint.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint, rotate_checkpoints
from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.sft_trainer import SFTTrainer

from harness.errors import ExitCode, UserError
from training.stages.gradient_noise import GradientSketch, NoiseEstimate, why_unsupported
from training.stages.policy import load_whole_model

logger = logging.getLogger(__name__)

UNFINISHED = "unfinished"
"""Folder, beside the checkpoints, that one is written into."""


class TrainingError(UserError, RuntimeError):
    """Training cannot go on; the message says where to go on from."""

    exit_code = ExitCode.INCOMPLETE


class TrainListener(Protocol):
    """Whoever wants to know how training is getting on."""

    def stage_started(self, stage: str, total_steps: int, done: int) -> None:
        """A stage of so many optimiser steps begins, the first `done` of which are behind it."""
        ...

    def step_logged(self, step: int, figures: dict[str, float]) -> None:
        """An optimiser step was logged."""
        ...

    def stage_finished(self) -> None:
        """The stage ended."""
        ...


@dataclass(frozen=True, slots=True)
class Watch:
    """Whom trainers tell what they do."""

    listener: TrainListener | None = None
    """Shows progress; None shows none."""
    on_begin: Callable[[Any], None] | None = None
    """Called with the trainer right before its first step: a test looks at the weights here."""


class Progress(TrainerCallback):
    """Passes steps on to the listener."""

    def __init__(self, stage: str, listener: TrainListener) -> None:
        self._stage = stage
        self._listener = listener

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Begin the stage."""
        del args, control, kwargs
        if state.is_world_process_zero:
            self._listener.stage_started(self._stage, state.max_steps, state.global_step)

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Pass the latest figures on."""
        del args, control, kwargs
        if state.is_world_process_zero and state.log_history:
            figures = {name: float(value) for name, value in state.log_history[-1].items() if _is_number(value)}
            self._listener.step_logged(state.global_step, figures)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """End the stage."""
        del args, control, kwargs
        if state.is_world_process_zero:
            self._listener.stage_finished()


class Begin(TrainerCallback):
    """Shows the trainer to a function right before its first step, weights and all."""

    def __init__(self, look: Callable[[Any], None], trainer: Any) -> None:
        self._look = look
        self._trainer = trainer

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Look."""
        del args, state, control, kwargs
        self._look(self._trainer)


class FiniteGradients(TrainerCallback):
    """Stops before a gradient that is not finite reaches the weights."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Look at the gradient's norm; sharded gradients are left to the loss check."""
        del args, control
        gradients = [parameter.grad for parameter in kwargs["model"].parameters() if parameter.grad is not None]
        plain = [gradient for gradient in gradients if type(gradient) is torch.Tensor]
        if plain and not bool(torch.isfinite(torch.nn.utils.get_total_norm(plain))):
            raise not_finite("gradient", state.global_step, self._folder)


class _Careful:
    """What both trainers do in the same way; comes before TRL's class in the order of inheritance."""

    args: TrainingArguments
    model: Any
    state: TrainerState
    accelerator: Any
    is_deepspeed_enabled: bool
    is_fsdp_enabled: bool
    _saving: bool = False

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        """Run a micro-batch; a loss that is not finite ends the run before it can do harm."""
        loss = super().training_step(model, inputs, num_items_in_batch)  # type: ignore[misc]  # the trainer's own
        if not bool(torch.isfinite(loss)):
            raise not_finite("loss", self.state.global_step, Path(str(self.args.output_dir)))
        return loss

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Load a checkpoint's weights by name, strictly; adapters and sharded models go the library's way."""
        target = model if model is not None else self.model
        plain = not (self.is_deepspeed_enabled or self.is_fsdp_enabled or hasattr(self.model, "peft_config"))
        if not plain:
            super()._load_from_checkpoint(resume_from_checkpoint, model)  # type: ignore[misc]  # the trainer's own
            return
        whole = self.accelerator.unwrap_model(target)
        stored = load_whole_model(Path(resume_from_checkpoint), whole.dtype)
        whole.load_state_dict(stored.state_dict(), strict=True)

    def _get_output_dir(self, trial: Any) -> str:
        """Return where a checkpoint is written: aside, while it is not whole."""
        folder = super()._get_output_dir(trial)  # type: ignore[misc]  # the trainer's own
        return str(Path(folder) / UNFINISHED) if self._saving else folder

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Write a checkpoint aside, then put it in place with one rename."""
        folder = Path(str(self.args.output_dir))
        aside = folder / UNFINISHED
        if self.args.should_save:
            shutil.rmtree(aside, ignore_errors=True)
        self.accelerator.wait_for_everyone()
        self._saving = True
        try:
            super()._save_checkpoint(model, trial)  # type: ignore[misc]  # the trainer's own
        except Exception as fault:
            # safetensors raises an error class of its own for a full disk, torch a RuntimeError
            shutil.rmtree(aside, ignore_errors=True)
            raise TrainingError(
                f"cannot write a checkpoint at step {self.state.global_step}: {fault}. {_last_good(folder)}"
            ) from fault
        finally:
            self._saving = False
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            name = f"checkpoint-{self.state.global_step}"
            shutil.rmtree(folder / name, ignore_errors=True)
            (aside / name).replace(folder / name)
            shutil.rmtree(aside, ignore_errors=True)
            rotate_checkpoints(output_dir=str(folder), save_total_limit=self.args.save_total_limit)
        self.accelerator.wait_for_everyone()

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Write none: the run manifest says what the checkpoint is."""

    def _send_telemetry(self) -> None:
        """Send none."""


class CarefulSFTTrainer(_Careful, SFTTrainer):
    """TRL's SFT with safe checkpoints."""


class CarefulGRPOTrainer(_Careful, GRPOTrainer):
    """TRL's GRPO with safe checkpoints and an estimate of the gradient's noise at each step."""

    _sketch: GradientSketch | None = None

    def watch_noise(self, coordinates: int) -> str | None:
        """Begin to estimate the noise of each step's gradient; return why that cannot be done, or None.

        Nothing is watched where a step has one micro-batch: it has no spread.
        """
        reason = why_unsupported(self.accelerator)
        if coordinates and reason is None and self.args.gradient_accumulation_steps > 1:
            self._sketch = GradientSketch(
                self.model.named_parameters(), coordinates=coordinates, seed=int(self.args.seed)
            )
        return reason

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        """Run a micro-batch and note what it added to the gradient (training/stages/gradient_noise.py)."""
        loss = super().training_step(model, inputs, num_items_in_batch)
        if self._sketch is not None:
            self._sketch.add_micro_batch()
            if self.accelerator.sync_gradients:
                noise = self._sketch.finish_window()
                if isinstance(noise, NoiseEstimate):
                    self._metrics["train"]["gradient_noise/variance"].append(noise.variance)
                    self._metrics["train"]["gradient_noise/signal"].append(noise.mean2)
        return loss


def last_checkpoint(folder: Path) -> Path | None:
    """Return the latest whole checkpoint in a trainer's folder; None where there is none."""
    found = get_last_checkpoint(str(folder)) if folder.is_dir() else None
    return Path(found) if found is not None else None


def not_finite(what: str, step: int, folder: Path) -> TrainingError:
    """Return the error for a loss or gradient that is not finite."""
    return TrainingError(
        f"the {what} is not finite after step {step}: the learning rate is the usual cause. {_last_good(folder)}"
    )


def _last_good(folder: Path) -> str:
    """Say where training can go on from."""
    found = last_checkpoint(folder)
    if found is None:
        return "No checkpoint was written yet; change the settings and start again"
    return f"The last good checkpoint is {found}; the same command goes on from there"


def _is_number(value: object) -> bool:
    """Whether a log entry is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)
