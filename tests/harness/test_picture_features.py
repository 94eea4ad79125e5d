"""A picture goes through the vision tower once, and answers stay what they are without that memory."""

import pytest
import torch
from PIL import Image
from tiny_families import build

from harness.images.grid import fit_to_grid
from harness.models.base import Prompt, Turn
from harness.models.decoding import Decoding
from harness.models.hf import SatoriHF

pytestmark = pytest.mark.slow

SERVED = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_5", "glm4v")


@pytest.fixture(scope="module")
def trained_tokenizer(one_thread):
    from training.loop.tiny_model import train_tokenizer

    return train_tokenizer(["What colour is the circle? a red circle <answer>red</answer> 0 1 2 3"] * 30)


def load(name, folder, tokenizer) -> SatoriHF:
    return SatoriHF(str(build(name, folder / name, tokenizer)), device="cpu")


def asks(model: SatoriHF, shown: list[tuple[int, ...]]) -> list[Prompt]:
    """Make a question a tuple, about the pictures of those numbers."""
    turns = []
    for number, pictures in enumerate(shown):
        parts = [part for n in pictures for part in (fit_to_grid(picture(n), model.pixel_limits), "and")]
        turns.append((Turn("user", (*parts, f"What colour is the circle? {number}")),))
    return [Prompt("t", n, 0, turn, Decoding(max_new_tokens=5)) for n, turn in enumerate(turns)]


def picture(number: int) -> Image.Image:
    """Draw a picture; every number gives another, some of them of one size."""
    return Image.linear_gradient("L").resize((112, 84 + 28 * (number % 2))).rotate(50 * number).convert("RGB")


def pictures_seen(model: SatoriHF, prompts: list[Prompt]) -> tuple[list[tuple[int, ...]], int]:
    """Ask in batches of three; return the tokens and how many pictures the tower was shown."""
    seen = []
    base = model.module.base_model
    tower = base.visual.register_forward_pre_hook(
        lambda _module, _args, kwargs: seen.append(len(kwargs["grid_thw"])), with_kwargs=True
    )
    try:
        pieces = [model.write_batch(prompts[start : start + 3]) for start in range(0, len(prompts), 3)]
    finally:
        tower.remove()
    return [written.token_ids for piece in pieces for written in piece], sum(seen)


@pytest.mark.parametrize("name", SERVED)
def test_each_picture_is_looked_at_once_and_answers_are_equal(name, tmp_path, trained_tokenizer):
    model = load(name, tmp_path, trained_tokenizer)
    prompts = asks(model, [(0,), (1,), (0,), (2,), (1, 0), (2, 2)])
    model._features.serves = False
    plain, shown = pictures_seen(model, prompts)
    model._features.serves = True

    first, first_seen = pictures_seen(model, prompts)
    again, again_seen = pictures_seen(model, prompts)

    assert plain == first == again
    assert (shown, first_seen, again_seen) == (8, 3, 0)


def test_pictures_of_other_weights_are_looked_at_anew(tmp_path, trained_tokenizer):
    model = load("qwen2_5_vl", tmp_path, trained_tokenizer)
    prompts = asks(model, [(0,), (1,)])
    pictures_seen(model, prompts)

    with torch.no_grad():
        next(model.module.parameters()).mul_(1.0)

    assert pictures_seen(model, prompts)[1] == 2


def test_no_more_is_kept_than_was_said_and_the_oldest_goes_first(tmp_path, trained_tokenizer):
    model = load("qwen2_5_vl", tmp_path, trained_tokenizer)
    features = model._features
    features.forget()  # the question before all others had a picture too
    pictures_seen(model, asks(model, [(0,)]))
    features._most_bytes = features._kept_bytes * 2  # room for two pictures of that size

    for shown, looked_at in (((0,), 0), ((2,), 1), ((0,), 0), ((4,), 1), ((0,), 0), ((2,), 1)):
        assert pictures_seen(model, asks(model, [shown]))[1] == looked_at, shown
    assert features._kept_bytes <= features._most_bytes
    model.release_memory()
    assert features._kept_bytes == 0
    assert pictures_seen(model, asks(model, [(0,)]))[1] == 1


def test_a_family_of_other_inputs_is_left_alone(tmp_path, trained_tokenizer):
    model = load("llava", tmp_path, trained_tokenizer)

    assert not model._features.serves
    assert len(model.write_batch(asks(model, [(0,), (0,)]))) == 2
