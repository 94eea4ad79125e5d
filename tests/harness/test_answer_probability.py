"""How probable an answer is after what a model wrote, held to what the model gave while it wrote."""

import pytest
import torch
from PIL import Image

from harness.images.grid import fit_to_grid
from harness.models.answer_probability import AnswerAfter, answer_log_probabilities
from harness.models.base import Prompt, Turn
from harness.models.decoding import Decoding
from harness.models.hf import SatoriHF
from tasks.probe_asking import before_ids

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(tiny_qwen2_5_vl, one_thread):
    return SatoriHF(str(tiny_qwen2_5_vl), device="cpu")


def asked(model, size, question):
    picture = Image.radial_gradient("L").convert("RGB").resize(size)
    turns = (Turn("user", (fit_to_grid(picture, model.pixel_limits), question)),)
    return Prompt("t", 0, 0, turns, Decoding(max_new_tokens=7))


def while_writing(model, prompt):
    """Return the tokens that a model writes, and the logarithms of all tokens' probabilities at each."""
    inputs = model.model_inputs([prompt])
    with torch.inference_mode():
        made = model._model.generate(
            **model.on_device(inputs),
            **model._generation_arguments(prompt.decoding),
            return_dict_in_generate=True,
            output_scores=True,
        )
    ids = made.sequences[0, inputs["input_ids"].shape[1] :].tolist()
    return ids, [step[0].log_softmax(-1) for step in made.scores]


def test_probabilities_are_those_of_writing_alone_and_in_a_batch(model):
    prompts = [asked(model, (112, 84), "Where?"), asked(model, (84, 140), "What colour is the circle on the left?")]
    written = [while_writing(model, prompt) for prompt in prompts]
    answers = [
        AnswerAfter(prompts[0], written[0][0][:5], written[0][0][5:7]),
        AnswerAfter(prompts[1], written[1][0][:2], written[1][0][2:3]),
        AnswerAfter(prompts[1], written[1][0][:3], [17 + (written[1][0][3] == 17)]),
    ]
    expected = [
        sum(float(written[row][1][step][token]) for step, token in enumerate(answer.answer_ids, start=start))
        for row, start, answer in zip((0, 1, 1), (5, 2, 3), answers, strict=True)
    ]

    together = answer_log_probabilities(model, answers)

    assert together == pytest.approx(expected, abs=1e-4)
    for answer, value in zip(answers, together, strict=True):
        assert answer_log_probabilities(model, [answer]) == pytest.approx([value], abs=1e-4)


def test_a_token_that_stands_for_a_picture_is_refused(model):
    prompt = asked(model, (112, 84), "Where?")

    with pytest.raises(ValueError, match="stands for a picture"):
        answer_log_probabilities(model, [AnswerAfter(prompt, [5], sorted(model.suppressed_ids)[:1])])


@pytest.mark.parametrize("text", ["<caption>a b</caption><answer>yes</answer>", "<answer>A", "<answer></answer>"])
def test_what_was_written_before_an_answer_is_kept_token_by_token(model, text):
    ids = model.ids_of(text)
    begin = text.index("<answer>") + len("<answer>")

    kept = before_ids(model, text, ids, begin)

    assert model.text_of(kept) == text[:begin]
    assert before_ids(model, text, None, begin) == tuple(model.ids_of(text[:begin]))
