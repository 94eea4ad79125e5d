"""How the next token of each row is chosen from a model's logits, and when the logits say nothing.

Sampling draws each sample's randomness from a generator of its own: what else is in the batch, and in which order,
changes an answer no more than it changes a greedy one, by rounding only.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers.generation.logits_process import (
    LogitsProcessor,
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from harness.models.decoding import Decoding

_SAME_LOGITS = 0.01
"""Share of the largest logit by which logits that are all the same differ at most: the rounding of bfloat16. Those of a
model that says anything, trained or not, differ by as much as they are large."""


class BrokenLogitsError(RuntimeError):
    """A model's logits tell no token from another: the text that follows from them says nothing about the model."""


NOT_FINITE = "the model's logits are no finite numbers (NaN or infinite)"
ALL_THE_SAME = "the model's logits are the same for every token"


def not_finite(scores: torch.Tensor) -> torch.Tensor:
    """Return which rows of `scores` (rows, vocabulary) hold NaN, or nothing but infinity.

    NaN and infinity come of weights that hold such values, or of a number format that overflows. Suppressed tokens are
    at minus infinity.
    """
    # The largest of a row is NaN where any is, and minus infinity where all are.
    return ~torch.isfinite(scores.amax(dim=-1))


def all_the_same(scores: torch.Tensor) -> torch.Tensor:
    """Return which rows of `scores` (rows, vocabulary) are the same for all tokens that are not suppressed.

    That comes of weights that are all zero, or all one value. Greedy search would write one token for ever.
    """
    highest = scores.amax(dim=-1)
    lowest = torch.where(scores == float("-inf"), highest.unsqueeze(-1), scores).amin(dim=-1)
    return highest - lowest <= _SAME_LOGITS * torch.maximum(highest.abs(), lowest.abs())


def shaping(decoding: Decoding) -> list[LogitsProcessor]:
    """Return what shapes the odds before a token is drawn, in transformers' own order; nothing without sampling."""
    if not decoding.sampled:
        return []
    steps: list[LogitsProcessor] = []
    if decoding.temperature != 1:
        steps.append(TemperatureLogitsWarper(decoding.temperature))
    if decoding.top_k:
        steps.append(TopKLogitsWarper(decoding.top_k))
    if decoding.top_p < 1:
        steps.append(TopPLogitsWarper(decoding.top_p))
    if decoding.min_p:
        steps.append(MinPLogitsWarper(decoding.min_p))
    return steps


def with_noise(scores: torch.Tensor, generators: Sequence[torch.Generator]) -> torch.Tensor:
    """Return `scores` (rows, vocabulary) with each row's own noise, of which the largest is a draw from the softmax.

    The largest of logit + Gumbel noise is distributed so (the Gumbel-max trick); minus the log of an exponential draw
    is Gumbel noise.
    """
    rows = [torch.empty_like(scores[0]).exponential_(generator=generator) for generator in generators]
    return scores - torch.stack(rows).clamp_min(torch.finfo(scores.dtype).tiny).log()


class SeededSampling(LogitsProcessor):
    """Turns the most likely token into a sampled one: greedy search over the returned scores samples."""

    def __init__(self, generators: Sequence[torch.Generator]) -> None:
        """Take one generator per row."""
        self._generators = generators

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:  # noqa: ARG002 - the interface
        """Add each row's noise to `scores` (rows, vocabulary)."""
        return with_noise(scores, self._generators)


class LogitWatch(LogitsProcessor):
    """Looks for logits that no token can be chosen by; what it sees stays on the device until it is asked."""

    def __init__(self) -> None:
        """Begin with nothing seen."""
        self._infinite: torch.Tensor | None = None
        self._constant: torch.Tensor | None = None

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:  # noqa: ARG002 - the interface
        """Look at `scores` (rows, vocabulary), in which suppressed tokens are at minus infinity; change nothing."""
        infinite = not_finite(scores).any()
        if self._constant is None:
            self._constant = all_the_same(scores).any()
        self._infinite = infinite if self._infinite is None else self._infinite | infinite
        return scores

    def check(self) -> None:
        """Say what was seen.

        Raises:
            BrokenLogitsError: a row's logits were not finite at any step, or all the same at the first.
        """
        if self._infinite is not None and bool(self._infinite):
            raise BrokenLogitsError(NOT_FINITE)
        if self._constant is not None and bool(self._constant):
            raise BrokenLogitsError(ALL_THE_SAME)
