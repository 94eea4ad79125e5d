import pytest

from training.loop.tiny_model import (
    BOX_PUNCTUATION,
    COORDINATES_PX,
    STAGE_TAGS,
    TinyShape,
    build_tiny_qwen2_5_vl,
    train_tokenizer,
)

TEXT = "<caption>a red circle</caption>\n<bbox>[[0,4,28,32],[8,12,56,52]]</bbox>\n<answer>red</answer>"
CORPUS = [TEXT, "What colour is the circle?"] * 20


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return build_tiny_qwen2_5_vl(tmp_path_factory.mktemp("built") / "tiny", iter(CORPUS))


@pytest.fixture(scope="module")
def tokenizer(built):
    from transformers import AutoProcessor

    return AutoProcessor.from_pretrained(built).tokenizer


def test_the_checkpoint_loads_back_whole(built):
    import torch
    from transformers import AutoModelForImageTextToText

    model, info = AutoModelForImageTextToText.from_pretrained(built, dtype=torch.float32, output_loading_info=True)

    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert type(model).__name__ == "Qwen2_5_VLForConditionalGeneration"
    assert 1.7e6 < sum(parameter.numel() for parameter in model.parameters()) < 2e6


def test_the_processor_loads_back_with_its_pixel_limits(built):
    from harness.models.checkpoint import inspect_checkpoint
    from harness.values import PixelLimits

    assert inspect_checkpoint(str(built)).pixel_limits == PixelLimits(784, 401_408, 28)


def test_the_same_arguments_give_the_same_bytes(built, tmp_path):
    again = build_tiny_qwen2_5_vl(tmp_path / "again", CORPUS)

    names = sorted(file.name for file in built.iterdir())
    assert names == sorted(file.name for file in again.iterdir())
    assert all((built / name).read_bytes() == (again / name).read_bytes() for name in names)


def test_another_seed_gives_other_weights(built, tmp_path):
    other = build_tiny_qwen2_5_vl(tmp_path / "other", CORPUS, seed=1)

    assert (built / "model.safetensors").read_bytes() != (other / "model.safetensors").read_bytes()
    assert (built / "tokenizer.json").read_bytes() == (other / "tokenizer.json").read_bytes()


def test_building_leaves_the_global_random_state_alone(tmp_path):
    import torch

    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    build_tiny_qwen2_5_vl(tmp_path / "tiny", CORPUS)

    assert torch.equal(expected, torch.rand(3))


@pytest.mark.parametrize("text", [*map(str, COORDINATES_PX), *BOX_PUNCTUATION, *STAGE_TAGS])
def test_coordinates_brackets_and_tags_are_single_tokens(tokenizer, text):
    assert len(tokenizer(text).input_ids) == 1


def test_a_box_costs_nine_tokens(tokenizer):
    assert len(tokenizer("[[0,4,28,32]]").input_ids) == 9


@pytest.mark.parametrize("text", [TEXT, "", "naïve 答案 🙂", "100 440 7 [[[", "  two  blanks\n\n"])
def test_any_text_survives_the_tokenizer(tokenizer, text):
    ids = tokenizer(text).input_ids

    assert tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False) == text


def test_the_end_token_is_not_the_padding(tokenizer, built):
    import json

    generation = json.loads((built / "generation_config.json").read_text())

    assert tokenizer.eos_token == "<|im_end|>"
    assert tokenizer.eos_token_id != tokenizer.pad_token_id
    assert (generation["eos_token_id"], generation["pad_token_id"]) == (tokenizer.eos_token_id, tokenizer.pad_token_id)


def test_the_vocabulary_stays_small(tokenizer):
    assert len(tokenizer) <= 512
    assert len(train_tokenizer(CORPUS * 50 + [f"word{i} and number {i}" for i in range(2000)])) <= 512


def test_an_empty_corpus_still_gives_a_tokenizer():
    assert len(train_tokenizer([])("<bbox>[[0,4,28,32]]</bbox>").input_ids) == 11


def test_a_vocabulary_too_small_is_refused():
    with pytest.raises(ValueError, match="raise vocabulary_size"):
        train_tokenizer(CORPUS, vocabulary_size=280)


@pytest.mark.parametrize(
    ("hidden", "heads", "sections"), [(128, 4, [4, 6, 6]), (128, 8, [2, 3, 3]), (256, 4, [8, 12, 12])]
)
def test_rotary_sections_fill_half_a_head(hidden, heads, sections):
    assert TinyShape(hidden=hidden, heads=heads).rotary_sections == sections


def test_a_head_that_cannot_be_cut_into_sections_is_refused():
    with pytest.raises(ValueError, match="multiple of 16"):
        _ = TinyShape(hidden=96, heads=4).rotary_sections


def test_the_template_writes_system_user_and_images_in_order(built):
    from transformers import AutoProcessor

    chat = [
        {"role": "system", "content": [{"type": "text", "text": "S"}]},
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Q"}]},
        {"role": "assistant", "content": "A"},
    ]

    text = AutoProcessor.from_pretrained(built).apply_chat_template(chat, add_generation_prompt=True)

    assert text == (
        "<|im_start|>system\nS<|im_end|>\n"
        "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>Q<|im_end|>\n"
        "<|im_start|>assistant\nA<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
