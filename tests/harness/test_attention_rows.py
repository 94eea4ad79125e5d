"""The watched attention of a text decoder, beside eager attention's own matrices."""

import pytest
import torch
from PIL import Image
from tiny_families import FAMILIES as TINY
from tiny_families import build
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

from harness.errors import ConfigError
from harness.models.attention_rows import FAMILIES, WatchedRows, check_watchable, rows_of_spans, watched

pytestmark = pytest.mark.slow

SPANS = [[[-2, -4], [-9, -8, -7], []], [[-1], [-3], [-5, -6]]]
"""Of two samples three spans each, as places from the end; one span has no rows."""


@pytest.fixture(scope="module")
def trained_tokenizer(one_thread):
    from training.loop.tiny_model import train_tokenizer

    return train_tokenizer(["What colour is the circle? a red circle <answer>red</answer> [[0,4,28,32]]"] * 30)


@pytest.fixture(scope="module", params=FAMILIES)
def family(request, tmp_path_factory, trained_tokenizer):
    """A model of grouped heads, and two prompts of other lengths and pictures."""
    folder = build(request.param, tmp_path_factory.mktemp(request.param), trained_tokenizer)
    config = AutoConfig.from_pretrained(folder)
    config.get_text_config().num_key_value_heads = 1
    torch.manual_seed(0)
    model = AutoModelForImageTextToText.from_config(config).eval()
    processor = AutoProcessor.from_pretrained(folder, padding_side="left")
    mark = TINY[request.param].picture or processor.image_token
    pictures = [
        [Image.radial_gradient("L").convert("RGB").resize((112, 84))],
        [Image.linear_gradient("L").convert("RGB").resize(size) for size in ((56, 56), (140, 84))],
    ]
    inputs = processor(
        text=[f"{mark} red", f"{mark} circle {mark} What colour is the circle? red"],
        images=pictures,
        padding=True,
        return_tensors="pt",
    )
    return model, inputs


def eager_spans(model, inputs, spans):
    """The same from the whole matrices of eager attention."""
    model.set_attn_implementation({"text_config": "eager"})
    with torch.inference_mode():
        matrices = model(**inputs, use_cache=False, output_attentions=True).attentions
    whole = torch.stack([matrix.float() for matrix in matrices]).mean(dim=(0, 2))  # (samples, tokens, keys)
    model.set_attn_implementation({"text_config": "sdpa"})
    nothing = torch.zeros(whole.shape[-1])
    return torch.stack(
        [
            torch.stack([whole[number, span].mean(dim=0) if span else nothing for span in sample])
            for number, sample in enumerate(spans)
        ]
    )


def test_equal_to_eager_attention_with_grouped_heads_padding_and_two_pictures(family):
    model, inputs = family
    tokens = inputs["input_ids"].shape[1]
    assert int(inputs["attention_mask"].sum(dim=1).min()) < tokens, "one of the prompts has to be padded"
    spans = [[[place + tokens for place in span] for span in sample] for sample in SPANS]
    model.set_attn_implementation({"text_config": "sdpa"})
    with torch.inference_mode():
        unwatched = model(**inputs, use_cache=False).logits
        with watched(model, *rows_of_spans(spans, torch.device("cpu"))) as seen:
            logits = model(**inputs, use_cache=False).logits

    expected = eager_spans(model, inputs, spans)

    assert torch.equal(logits, unwatched), "watching changes nothing"
    assert (seen.attention - expected).abs().max() < 1e-5
    assert seen.attention[0, 2].sum() == 0
    assert seen.attention[1].sum(dim=-1) == pytest.approx([1, 1, 1], abs=1e-5)
    assert seen.layers == [0, 1]
    assert model.config.get_text_config()._attn_implementation == "sdpa"


def test_rows_are_looked_at_in_pieces_where_many(family, monkeypatch):
    model, inputs = family
    tokens = inputs["input_ids"].shape[1]
    spans = [[[place + tokens for place in span] for span in sample] for sample in SPANS]
    at_once, in_pieces = [], []
    for most, seen_by in ((2**24, at_once), (1, in_pieces)):
        monkeypatch.setattr("harness.models.attention_rows._MOST_SCORES", most)
        with torch.inference_mode(), watched(model, *rows_of_spans(spans, torch.device("cpu"))) as seen:
            model(**inputs, use_cache=False)
        seen_by.append(seen.attention)

    assert torch.allclose(at_once[0], in_pieces[0], atol=1e-6)


def test_what_is_kept_of_a_large_model_is_small():
    rows, weights = rows_of_spans([[range(1000, 1400), range(1400, 1425), range(1500, 1540)]], torch.device("cpu"))
    seen = WatchedRows(rows, weights)
    for layer in range(36):
        seen.add(layer, torch.zeros(1, 3, 1550))

    # eager attention keeps 36 layers x 16 heads x 1,550 x 1,550 numbers of half precision: 2.77 GB
    assert seen.attention.nelement() * seen.attention.element_size() == 3 * 1550 * 4


@pytest.mark.parametrize("model_type", ["", "internvl", "llava_next", "idefics3"])
def test_other_families_are_refused(model_type):
    with pytest.raises(ConfigError, match="cannot be read"):
        check_watchable(model_type)
