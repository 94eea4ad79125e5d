"""Samples completions from a frozen checkpoint, scores them, and differentiates their log-probabilities.

A completion's score function (the gradient of its log-probability) does not depend on rewards, and a prompt's policy
gradient is linear in its advantages:

    g_p = 1/G * sum_i  A_i * w_i * grad log pi(completion_i | prompt)        w_i by the loss type, see `LossType`

so one backward pass per completion serves every reward set exactly.

This is the gradient of TRL's first update on fresh rollouts: the importance ratio is 1, nothing is clipped, and there
is no KL term. One choice is ours: picture tokens, which sampling never draws, are left out of the policy's
probabilities, so that the expected score function is 0, as it must be. All parameters count, those of a vision tower
and of a merged adapter's base too.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from harness.errors import ConfigError
from harness.images.grid import fit_to_grid
from harness.models.base import Prompt, Turn, is_out_of_memory, read_turns
from harness.models.decoding import Decoding
from harness.models.hf import SatoriHF, Written
from harness.scoring.score import score_generation
from harness.values import Score, ScoreConfig, StageFormat
from tasks.images import decode_rgb
from tasks.prompts import messages
from tasks.rows import DataError
from training.data.example import TRAINING_TASK, Example
from training.probe.covariance import FloatArray, PromptGradients, group_advantages
from training.probe.spec import COMPONENTS, ProbeSpec
from training.stages.gradient_noise import GradientSketch


class ProbeListener(Protocol):
    """Hears how far a probe is."""

    def task_started(self, task: str, rows: int, answered: int) -> None:
        """Begin a stage of so many steps."""
        ...

    def advanced(self) -> None:
        """Count one step."""
        ...

    def task_finished(self, task: str) -> None:
        """End the stage."""
        ...


@dataclass(frozen=True, slots=True)
class Rollout:
    """One sampled completion and what it earned."""

    text: str
    """The raw text."""
    token_ids: tuple[int, ...]
    """Its tokens, the end token included; at least one."""
    score: Score
    """The score under the probe's protocol."""


def sample_rollouts(
    model: SatoriHF, examples: Sequence[Example], spec: ProbeSpec, config: ScoreConfig, listener: ProbeListener
) -> list[list[Rollout]]:
    """Return G scored completions for each example.

    Each completion has randomness of its own, by (seed, row, repeat): the batch size changes it by rounding only.

    Raises:
        DataError: an image cannot be read.
        ConfigError: a batch does not fit into memory.
    """
    decoding = Decoding(max_new_tokens=spec.max_new_tokens, temperature=spec.temperature)
    wanted = [(row, repeat) for row in range(len(examples)) for repeat in range(spec.generations)]
    rollouts: list[list[Rollout]] = [[] for _ in examples]
    listener.task_started("sampling completions", len(wanted), 0)
    for start in range(0, len(wanted), model.batch_size):
        batch = wanted[start : start + model.batch_size]
        chats = {row: _chat(model, examples[row], spec.form) for row in {row for row, _ in batch}}
        prompts = [Prompt(TRAINING_TASK, row, repeat, chats[row], decoding) for row, repeat in batch]
        for (row, _), written in zip(batch, _write(model, prompts), strict=True):
            generation = written.generation
            earned = score_generation(examples[row].sample(), generation, config)
            rollouts[row].append(Rollout(generation.text, written.token_ids, earned))
            listener.advanced()
    listener.task_finished("sampling completions")
    return rollouts


def _write(model: SatoriHF, prompts: Sequence[Prompt]) -> list[Written]:
    """Generate one batch."""
    try:
        return model.write_batch(prompts)
    except Exception as fault:
        if is_out_of_memory(fault):
            raise ConfigError(
                f"out of memory with a batch of {len(prompts)}: lower --batch-size, --max-pixels or --max-new-tokens"
            ) from fault
        raise


def _chat(model: SatoriHF, example: Example, form: StageFormat) -> tuple[Turn, ...]:
    """Return an example as the model is asked about it, its image at the model's own grid size."""
    try:
        image = fit_to_grid(decode_rgb(example.image), model.pixel_limits)
    except Exception as fault:  # decoders raise anything on a damaged file
        raise DataError(
            f"example {example.id}: unreadable image: {type(fault).__name__}: {fault}. Leave it out of the data."
        ) from fault
    return read_turns(messages(form, example.question, image), f"example {example.id}")


def reward_components(rollouts: Sequence[Sequence[Rollout]]) -> dict[str, FloatArray]:
    """Return each component as an array (prompts x completions).

    A component that could not be scored is NaN here; as gold and frame are checked first.
    """
    return {
        name: np.array(
            [[_number(getattr(rollout.score.components, name)) for rollout in group] for group in rollouts],
            dtype=np.float64,
        )
        for name in COMPONENTS
    }


def _number(value: float | None) -> float:
    """Return NaN for a component that was not scored."""
    return math.nan if value is None else value


# --- gradients ------------------------------------------------------------------------------------------------------


def prompt_gradients(
    model: SatoriHF,
    examples: Sequence[Example],
    rollouts: Sequence[Sequence[Rollout]],
    rewards: Mapping[str, FloatArray],
    spec: ProbeSpec,
    listener: ProbeListener,
) -> tuple[dict[str, PromptGradients], GradientSketch]:
    """Return every prompt's policy gradient under every reward set, and the sketch that they were read with.

    A group that is dead under every set has no gradient, and completions that repeat are differentiated once.

    Raises:
        ConfigError: a reward is not a number, or a completion does not fit into memory.
    """
    for name, values in rewards.items():
        if not np.isfinite(values).all():
            raise ConfigError(f"{int((~np.isfinite(values)).sum())} completions have no {name} reward: check the data")
    model.module.requires_grad_(requires_grad=True)
    sketch = GradientSketch(model.module.named_parameters(), coordinates=spec.coordinates, seed=spec.seed)
    advantages = {name: group_advantages(values, spec.scale_rewards) for name, values in rewards.items()}
    alive = ~np.all([dead for _, dead in advantages.values()], axis=0)
    lengths = np.array([[len(rollout.token_ids) for rollout in group] for group in rollouts], dtype=np.float64)
    divisors = lengths if spec.loss_type == "grpo" else np.full_like(lengths, lengths.mean())
    found = {name: np.zeros((len(examples), sketch.coordinates), dtype=np.float32) for name in rewards}
    listener.task_started("gradients of prompts", len(examples), 0)
    for row, group in enumerate(rollouts):
        if alive[row]:
            inputs = _alone(model, examples[row], spec)
            scores_gm = score_functions(model, inputs, [rollout.token_ids for rollout in group], spec, sketch)
            for name, (advantages_mg, _) in advantages.items():
                weights = advantages_mg[row] / divisors[row] / len(group)
                found[name][row] = weights @ scores_gm
        listener.advanced()
    listener.task_finished("gradients of prompts")
    model.module.requires_grad_(requires_grad=False)
    gradients = {
        name: PromptGradients(found[name], sketch.scale, rewards[name], dead) for name, (_, dead) in advantages.items()
    }
    return gradients, sketch


def _alone(model: SatoriHF, example: Example, spec: ProbeSpec) -> dict[str, torch.Tensor]:
    """Return the model's inputs for one prompt, without padding, on its device."""
    inputs = model.model_inputs([Prompt(TRAINING_TASK, 0, 0, _chat(model, example, spec.form), Decoding())])
    on_device = inputs.to(model.device, next(model.module.parameters()).dtype)
    return {name: on_device[name] for name in on_device.keys()}  # noqa: SIM118 - not a mapping


def score_functions(
    model: SatoriHF,
    inputs: Mapping[str, torch.Tensor],
    completions: Sequence[Sequence[int]],
    spec: ProbeSpec,
    sketch: GradientSketch,
) -> FloatArray:
    """Return the watched gradient of log pi(completion | prompt) of each completion (completions x coordinates)."""
    known: dict[tuple[int, ...], FloatArray] = {}
    for token_ids in map(tuple, completions):
        if token_ids in known:
            continue
        model.module.zero_grad(set_to_none=True)
        try:
            log_probability(model, inputs, token_ids, spec.temperature).backward()
        except Exception as fault:
            if is_out_of_memory(fault):
                raise ConfigError(
                    f"out of memory in the backward pass of a completion of {len(token_ids)} tokens: lower "
                    "--max-pixels or --max-new-tokens, or give --dtype bfloat16"
                ) from fault
            raise
        known[token_ids] = sketch.read().numpy()
    model.module.zero_grad(set_to_none=True)
    return np.stack([known[tuple(token_ids)] for token_ids in completions])


def log_probability(
    model: SatoriHF, inputs: Mapping[str, torch.Tensor], token_ids: Sequence[int], temperature: float
) -> torch.Tensor:
    """Return log pi(completion | prompt) of the policy that sampled: at its temperature, without suppressed tokens.

    Args:
        model: With gradients switched on.
        inputs: Of one prompt, without padding.
        token_ids: At least one.
        temperature: Above 0.
    """
    written = torch.tensor([list(token_ids)], device=model.device)
    extended = dict(inputs)
    extended["input_ids"] = torch.cat([inputs["input_ids"], written], dim=1)
    for name, values in inputs.items():
        if name != "input_ids" and values.shape == inputs["input_ids"].shape:
            # Masks are 1 where there is text; token types (which mark images) are 0 there.
            more = torch.ones_like(written) if name == "attention_mask" else torch.zeros_like(written)
            extended[name] = torch.cat([values, more.to(values.dtype)], dim=1)
    keep = {}
    if "logits_to_keep" in inspect.signature(model.module.forward).parameters:
        keep["logits_to_keep"] = len(token_ids) + 1
    logits = model.module(**extended, use_cache=False, **keep).logits[0, -len(token_ids) - 1 : -1].float() / temperature
    if model.suppressed_ids:
        suppressed = torch.tensor(sorted(model.suppressed_ids), device=logits.device)
        logits = logits.index_fill(1, suppressed, -torch.inf)
    return torch.log_softmax(logits, dim=-1).gather(1, written[0, :, None]).sum()
