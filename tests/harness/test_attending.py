"""What a checkpoint attended to while it wrote a text, read from one forward over its tokens."""

import numpy as np
import pytest
import torch
from PIL import Image

from harness.images.grid import fit_to_grid
from harness.models.attending import WrittenText, attention_of_texts
from harness.models.base import Prompt, Turn
from harness.models.decoding import Decoding
from harness.models.hf import SatoriHF
from harness.values import Size

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["tiny_qwen2_5_vl", "tiny_llava"])
def model(request, one_thread):
    return SatoriHF(str(request.getfixturevalue(request.param)), device="cpu")


def text_about(model, size, question, tokens) -> WrittenText:
    picture = Image.radial_gradient("L").convert("RGB").resize((size.width, size.height))
    prompt = Prompt(
        "t",
        0,
        0,
        (Turn("user", (fit_to_grid(picture, model.pixel_limits), question)),),
        Decoding(max_new_tokens=tokens),
    )
    (written,) = model.generate_batch([prompt])
    ids = written.output_ids
    assert len(ids) == written.output_tokens
    return WrittenText(prompt, size, ids, [range(len(ids)), range(min(2, len(ids))), range(0)])


def test_texts_of_a_batch_are_read_as_each_alone(model):
    texts = [
        text_about(model, Size(112, 84), "Where?", 6),
        text_about(model, Size(84, 140), "What colour is the small circle on the left?", 3),
    ]

    together = attention_of_texts(model, texts)

    for text, found in zip(texts, together, strict=True):
        (alone,) = attention_of_texts(model, [text])
        assert alone.grid == found.grid
        assert found.spans[2] is None
        for one, other in zip(alone.spans[:2], found.spans[:2], strict=True):
            assert np.abs(one - other).max() < 1e-6
        assert 0 < found.spans[0].sum() < 1
        assert found.layers > 0
        assert found.layers_passed_over == 0


def test_rows_are_those_of_generating(model):
    text = text_about(model, Size(112, 84), "Where?", 4)
    (found,) = attention_of_texts(model, [text])
    inputs = model.model_inputs([text.prompt])
    module = model.module
    module.set_attn_implementation({"text_config": "eager"})
    generated = module.generate(
        **inputs,
        max_new_tokens=4,
        do_sample=False,
        suppress_tokens=sorted(model.suppressed_ids),
        output_attentions=True,
        return_dict_in_generate=True,
    )
    module.set_attn_implementation({"text_config": "sdpa"})
    width = inputs["input_ids"].shape[1]
    assert generated.sequences[0, width:].tolist() == list(text.output_ids)
    rows = [torch.stack(step).mean(dim=(0, 2))[0, -1] for step in generated.attentions]  # (keys)
    is_picture = inputs["input_ids"][0] == module.config.image_token_id

    expected = torch.stack([row[:width][is_picture] for row in rows]).mean(dim=0)

    assert np.abs(found.spans[0].ravel() - expected.double().numpy()).max() < 1e-5


def test_a_grid_covers_the_picture(model):
    text = text_about(model, Size(112, 84), "Where?", 2)

    (found,) = attention_of_texts(model, [text])

    cells = found.grid.rows * found.grid.columns
    assert found.spans[0].size == cells
