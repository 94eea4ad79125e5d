"""Asks a tiny checkpoint the same questions one by one, in batches and in refilled rows, ending at any step."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from harness.images.grid import fit_to_grid
from harness.models.base import Prompt, Turn
from harness.models.decoding import Decoding
from harness.models.hf import SatoriHF

KINDS = (
    Decoding(max_new_tokens=12),
    Decoding(max_new_tokens=12, temperature=1.5, top_p=0.95),
    Decoding(max_new_tokens=12, repetition_penalty=1.5),
)
QUESTIONS = 8


def end_at_any_step(model: SatoriHF) -> None:
    """Let every ninth token end a text: rows then end at different steps."""
    model._end_ids = model._end_ids | {token for token in range(1, 400) if token % 9 == 4}
    model._model.generation_config.eos_token_id = sorted(model._end_ids)


def questions(model: SatoriHF, decoding: Decoding) -> list[Prompt]:
    """Make questions of different lengths about pictures of different sizes."""
    prompts = []
    for n in range(QUESTIONS):
        drawn = Image.linear_gradient("L").resize((112 + 28 * (n % 3), 84 + 28 * (n % 2))).rotate(50 * n).convert("RGB")
        text = f"What colour is the circle? {'red circle ' * (n * 3 % 7)}{n}"
        prompts.append(Prompt("t", n, 0, (Turn("user", (fit_to_grid(drawn, model.pixel_limits), text)),), decoding))
    return prompts


def single(model: SatoriHF, prompts: Sequence[Prompt], size: int = 1) -> list[tuple[int, ...]]:
    """Return the tokens that are written in batches of a size."""
    batches = [prompts[start : start + size] for start in range(0, len(prompts), size)]
    return [written.token_ids for batch in batches for written in model.write_batch(batch)]


def refilled(model: SatoriHF, prompts: Sequence[Prompt], rows: int) -> list[tuple[int, ...]]:
    """Return the tokens that so many refilled rows write; raises what a row ended in."""
    tokens: dict[int, tuple[int, ...]] = {}
    generation = model._generation

    def kept(row):
        tokens[row.prompt.doc_id] = tuple(row.tokens)
        return generation(row)

    model._generation, model.batch_size = kept, rows
    try:
        for _, outcome in model.answer_stream(iter(prompts)):
            if isinstance(outcome, Exception):
                raise outcome
    finally:
        del model._generation
    return [tokens[prompt.doc_id] for prompt in prompts]
