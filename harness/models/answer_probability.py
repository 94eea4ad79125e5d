"""How probable a given answer is after what a model wrote up to its own: one forward, nothing is generated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch

from harness.models.attending import with_written
from harness.models.base import Prompt
from harness.models.hf import SatoriHF


@dataclass(frozen=True, slots=True)
class AnswerAfter:
    """An answer to be weighed."""

    prompt: Prompt
    """The question."""
    before_ids: Sequence[int]
    """What the model wrote up to where its answer begins."""
    answer_ids: Sequence[int]
    """The answer in its place, with the token that ends it."""


@runtime_checkable
class WeighingModel(Protocol):
    """A model that tells of answers how probable they are, a request each, while it answers nothing else."""

    @property
    def suppressed_ids(self) -> frozenset[int]:
        """Tokens that are never generated: those that stand for or surround pictures."""
        ...

    def ids_of(self, text: str) -> list[int]:
        """Return the tokens that the tokenizer makes of an answer's text; others may have been drawn."""
        ...

    def text_of(self, token_ids: Sequence[int]) -> str:
        """Return the text of generated tokens, without those that only frame it."""
        ...

    def weigh(self, answers: Sequence[AnswerAfter]) -> list[float]:
        """Return the logarithm of the probability of each answer; NaN where the model did not take it."""
        ...


def answer_log_probabilities(model: SatoriHF, answers: Sequence[AnswerAfter]) -> list[float]:
    """Return the logarithm of the probability of each answer, with one forward over all of them.

    Tokens that are never generated have no probability, as when the model writes itself.

    Raises:
        ValueError: An answer, or what is before it, has such a token: it would stand for a picture that is not there.
    """
    never = sorted(model.suppressed_ids)
    if any(model.suppressed_ids & {*answer.before_ids, *answer.answer_ids} for answer in answers):
        raise ValueError("a token that stands for a picture is none of a text")
    prompts = [answer.prompt for answer in answers]
    inputs = model.model_inputs(prompts)
    width = inputs["input_ids"].shape[1]
    written = [[*answer.before_ids, *answer.answer_ids] for answer in answers]
    tensors = with_written(inputs, written, model)
    # Rows are padded on the right: the logits from the first that predicts an answer's token on are kept.
    first = min(len(answer.before_ids) for answer in answers)
    kept = max(map(len, written)) - first + 1
    with torch.inference_mode(), model.remembered(prompts):
        logits: torch.Tensor = model.module(**tensors, use_cache=False, logits_to_keep=kept).logits
        begin = width - 1 + first - (tensors["input_ids"].shape[1] - logits.shape[1])
        found: list[float] = []
        for row, answer in enumerate(answers):
            start = begin + len(answer.before_ids) - first
            scores = logits[row, start : start + len(answer.answer_ids)].float()
            if never:
                scores[:, never] = -torch.inf
            targets = torch.tensor(list(answer.answer_ids), device=scores.device)
            found.append(float(scores.log_softmax(-1).gather(1, targets[:, None]).sum()))
    return found
