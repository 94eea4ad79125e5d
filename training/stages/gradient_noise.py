"""Estimates, while a model trains, how noisy each optimiser step's gradient is, from the micro-batches that make it up.

In a `GRPOTrainer` subclass, with `gradient_accumulation_steps` of at least 2 (4 or more is worth looking at):

    self._sketch = GradientSketch(self.model.named_parameters(), seed=self.args.seed)    # after super().__init__()
    self._no_noise = why_unsupported(self.accelerator)                                   # say it once if not None

    def training_step(self, model, inputs, num_items_in_batch):
        loss = super().training_step(model, inputs, num_items_in_batch)                  # the backward pass is done
        if self._no_noise is None:
            self._sketch.add_micro_batch()
            if self.accelerator.sync_gradients:                                          # the window's last micro-batch
                noise = self._sketch.finish_window()                                     # before clipping
                if isinstance(noise, NoiseEstimate):
                    self._metrics["train"]["gradient_noise/variance"].append(noise.variance)
                    self._metrics["train"]["gradient_noise/signal"].append(noise.mean2)
        return loss

Log variance and signal, not their ratio: TRL averages a metric over the logging steps, and a mean of ratios is not the
ratio of means. `noise_to_signal` makes the ratio of any two such means.

What is estimated. transformers' Trainer (`Trainer._run_epoch`) adds the gradients of K micro-batches up, each already
divided: by K (`loss_type` grpo, bnpo, dr_grpo, luspo, sapo) or by the tokens of the whole window (dapo, cispo, vespo);
GRPOTrainer._compute_loss does it, and `loss_is_scaled_for_ga` keeps the Trainer from doing it again. So the window's
gradient is the mean of the K vectors h_k = K * (gradient that micro-batch k added), and

- `variance` is the unbiased estimate of tr Cov(h_k), the noise of one micro-batch; the window's gradient has K times
  less. For the token-normalised losses it holds the spread of the micro-batches' lengths too.
- `mean2` is the squared length of the window's gradient less the noise in it: variance / K. Before that subtraction it
  is the square of the `grad_norm` that the Trainer logs, up to the choice of coordinates.

Two things it is not. TRL shuffles completions over the micro-batches, and the advantages of one prompt sum to zero, so
micro-batches that share a prompt are not independent: the figure compares steps of runs with equal settings, and is not
the variance over prompts (`training/probe/probe.py` measures that). And it moves with the policy: two runs differ in
where they are, not only in their rewards.

One process only. Under DDP the last micro-batch's gradient is averaged over the processes and the others' are not;
DeepSpeed and FSDP keep shards. `why_unsupported` says so, and nothing is measured there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

import torch

Measure: TypeAlias = Literal["grad_norm_series", "micro_batch_noise", "fixed_policy_probe"]
"""The three things that people call gradient variance."""

MEASURES: Mapping[Measure, str] = {
    "grad_norm_series": (
        "spread of the logged grad_norm over steps: free, and no evidence, because reward scale, clipping and learning "
        "rate move it"
    ),
    "micro_batch_noise": (
        "spread of the micro-batch gradients within one optimiser step, while the policy moves; compares steps of runs "
        "with equal batch settings"
    ),
    "fixed_policy_probe": (
        "spread of per-prompt policy gradients over prompts, the same frozen rollouts under different rewards"
    ),
}
"""What each of them is, in words; every figure says which one it shows."""

DEFAULT_COORDINATES = 2_000
"""Gradient coordinates that are watched during training."""


@dataclass(frozen=True, slots=True)
class NoiseEstimate:
    """How noisy the gradient of one optimiser step is."""

    micro_batches: int
    """K, the micro-batches of the step; at least 2."""
    variance: float
    """Unbiased tr Cov of a micro-batch's gradient over all coordinates, on the scale of the step's gradient; ≥ 0."""
    mean2: float
    """Squared length of the expected gradient over all coordinates, the noise taken out; unbiased, so it can be
    negative."""
    coordinates: int
    """Coordinates that were watched."""
    dimension: int
    """All trainable coordinates; both figures are scaled to them."""

    @property
    def noise_to_signal(self) -> float | None:
        """Variance / mean2; None when no signal is left above the noise."""
        return noise_to_signal(self.variance, self.mean2)


@dataclass(frozen=True, slots=True)
class NoEstimate:
    """Why a step has no estimate."""

    reason: str
    """A sentence for the log."""


class Accelerator(Protocol):
    """What is asked of accelerate's Accelerator."""

    @property
    def distributed_type(self) -> str:
        """A `DistributedType`, which is a text."""
        ...

    @property
    def scaler(self) -> object | None:
        """The loss scaler of fp16 training, if there is one."""
        ...


class GradientSketch:
    """Reads a fixed random subset of gradient coordinates, and splits an accumulated gradient into its micro-batches.

    The subset is drawn once, uniformly without replacement, so that sums of squares times dimension / coordinates are
    unbiased for the whole gradient. Parameters that do not require a gradient when it is drawn are left out for good.
    """

    def __init__(
        self,
        named_parameters: Iterable[tuple[str, torch.nn.Parameter]],
        *,
        coordinates: int = DEFAULT_COORDINATES,
        seed: int = 0,
    ) -> None:
        """Draw the subset.

        Args:
            named_parameters: In a fixed order, each parameter once, as `Module.named_parameters` gives them.
            coordinates: How many to watch; all of them when there are fewer.
            seed: Of the draw. The global random state is not touched.

        Raises:
            ValueError: no parameter requires a gradient, or `coordinates` is below 1.
        """
        trained = [parameter for _, parameter in named_parameters if parameter.requires_grad]
        self.dimension = sum(parameter.numel() for parameter in trained)
        """All trainable coordinates."""
        if coordinates < 1 or not self.dimension:
            raise ValueError(f"cannot watch {coordinates} of {self.dimension} trainable coordinates: both must be ≥ 1")
        self.coordinates = min(coordinates, self.dimension)
        """Coordinates that are watched."""
        chosen = _draw(self.dimension, self.coordinates, seed)
        self._places: list[tuple[torch.nn.Parameter, torch.Tensor]] = []
        start = 0
        for parameter in trained:
            inside = chosen[(chosen >= start) & (chosen < start + parameter.numel())] - start
            if len(inside):
                self._places.append((parameter, inside))
            start += parameter.numel()
        self._micro_batches: list[torch.Tensor] = []
        self._accumulated = torch.zeros(self.coordinates, dtype=torch.float64)

    @property
    def scale(self) -> float:
        """Factor that brings a sum of squares over the watched coordinates to all of them."""
        return self.dimension / self.coordinates

    def read(self) -> torch.Tensor:
        """Return the watched coordinates of the gradient as it stands, float64 on the CPU; 0 where there is none."""
        pieces = [
            torch.zeros(len(places), device=parameter.device)
            if parameter.grad is None
            else parameter.grad.detach().reshape(-1)[places.to(parameter.device)].float()
            for parameter, places in self._places
        ]
        # One copy to the host per device, so that a GPU is waited for once and not once a parameter.
        if len({piece.device for piece in pieces}) == 1:
            return torch.cat(pieces).cpu().double()
        return torch.cat([piece.cpu() for piece in pieces]).double()

    def add_micro_batch(self) -> None:
        """Note what the backward pass that just ended has added to the gradient."""
        accumulated = self.read()
        self._micro_batches.append(accumulated - self._accumulated)
        self._accumulated = accumulated

    def finish_window(self) -> NoiseEstimate | NoEstimate:
        """Return the estimate of the micro-batches noted since the last call, and begin a new window.

        Call it before the optimiser clears the gradient. What cannot be measured (fewer than two micro-batches, a
        gradient that is not finite) is a value with its reason, never a number.
        """
        added, self._micro_batches = self._micro_batches, []
        self._accumulated = torch.zeros_like(self._accumulated)
        if len(added) < 2:
            return NoEstimate(
                f"a step of {len(added)} micro-batch has no spread: set gradient_accumulation_steps to 2 or more"
            )
        gradients_km = torch.stack(added) * len(added)
        if not bool(torch.isfinite(gradients_km).all()):
            return NoEstimate("a gradient is not finite")
        mean_m = gradients_km.mean(dim=0)
        variance = float((gradients_km - mean_m).square().sum()) / (len(added) - 1) * self.scale
        mean2 = float(mean_m.square().sum()) * self.scale - variance / len(added)
        return NoiseEstimate(len(added), variance, mean2, self.coordinates, self.dimension)


def why_unsupported(accelerator: Accelerator) -> str | None:
    """Return why micro-batch gradients cannot be told apart in this kind of training; None when they can."""
    kind = str(getattr(accelerator.distributed_type, "value", accelerator.distributed_type))
    if kind != "NO":
        return (
            f"micro-batch noise is measured in one process only, not under {kind}: there, gradients are averaged or "
            "sharded between micro-batches. Use satori-bench variance-probe on the checkpoints"
        )
    if accelerator.scaler is not None:
        return "micro-batch noise is not measured in fp16: its gradients carry a changing loss scale. Use bf16 or fp32"
    return None


def noise_to_signal(variance: float, mean2: float) -> float | None:
    """Return variance / mean2; None when mean2 is not above 0, because the ratio then says nothing."""
    if not (math.isfinite(variance) and math.isfinite(mean2)) or mean2 <= 0:
        return None
    return variance / mean2


def pool_noise(estimates: Sequence[NoiseEstimate]) -> float | None:
    """Return the noise-to-signal ratio over several steps of one run: mean variance over mean signal.

    Steps without signal of their own (mean2 ≤ 0) belong in it: both means stay unbiased. None for no steps, or when the
    pooled signal is not above 0.

    Raises:
        ValueError: the steps have different numbers of micro-batches, so their variances are of different things.
    """
    if len({estimate.micro_batches for estimate in estimates}) > 1:
        raise ValueError("steps with different numbers of micro-batches cannot be pooled: leave the last one out")
    return noise_to_signal(
        math.fsum(estimate.variance for estimate in estimates), math.fsum(estimate.mean2 for estimate in estimates)
    )


def _draw(dimension: int, count: int, seed: int) -> torch.Tensor:
    """Draw `count` different whole numbers below `dimension`, sorted; memory stays near `count`, not `dimension`."""
    if 4 * count >= dimension:
        return torch.randperm(dimension, generator=torch.Generator().manual_seed(seed))[:count].sort().values
    generator = torch.Generator().manual_seed(seed)
    drawn: dict[int, None] = {}
    while len(drawn) < count:
        more = torch.randint(dimension, (count,), generator=generator).tolist()
        drawn.update(dict.fromkeys(more))
    return torch.tensor(list(drawn)[:count]).sort().values
