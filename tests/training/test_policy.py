"""The traps that would ruin a run in silence are found before it starts, and training asks what benchmarks ask."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Tokenizer, models
from transformers import AutoModelForImageTextToText, AutoProcessor, PreTrainedTokenizerFast
from trl.data_utils import prepare_multimodal_messages

from harness.errors import ConfigError
from harness.models.base import Prompt, Turn
from harness.models.checkpoint_files import CheckpointError
from harness.models.decoding import Decoding
from harness.models.hf import SatoriHF
from harness.scoring.box_dialects import dialect_named
from tasks.prompts import messages
from training.data.shapes import shapes_examples
from training.loop.demo_model import build_demo_checkpoint
from training.loop.tiny_model import train_tokenizer
from training.stages.policy import assert_left_padding, open_policy, padding_warnings, tag_faults, tag_warnings
from training.stages.rows import RowMaker, as_dataset, prompt_turns

FORMATS = ["satori", "satori-think", "satori-adaptive", "freeform", "plain"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory, one_thread) -> Path:
    return build_demo_checkpoint(tmp_path_factory.mktemp("demo") / "tiny", seed=0)


@pytest.fixture(scope="module")
def examples():
    return list(shapes_examples("tiny", 6))


def test_a_tiny_checkpoint_is_opened_without_any_warning(tiny, tmp_path):
    policy = open_policy(str(tiny), "satori", None, tmp_path)

    assert policy.box_dialect == dialect_named("input_px")
    assert policy.warnings == ()
    tokenizer = policy.processor.tokenizer
    names = {tokenizer.convert_ids_to_tokens(token) for token in policy.suppressed_ids}
    assert names == {"<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>"}
    assert tokenizer.eos_token_id in policy.end_ids


@pytest.mark.parametrize("lost", ["self_attn.q_proj", "mlp.down_proj", "visual.merger"])
def test_an_adapter_on_a_base_that_lacks_tensors_is_refused(tiny, tmp_path, lost):
    model = AutoModelForImageTextToText.from_pretrained(tiny)
    get_peft_model(model, LoraConfig(r=2, target_modules=["v_proj"])).save_pretrained(tmp_path / "adapter")
    base = shutil.copytree(tiny, tmp_path / "base")
    weights = load_file(base / "model.safetensors")
    kept = {name: value for name, value in weights.items() if lost not in name}
    save_file(kept, base / "model.safetensors", metadata={"format": "pt"})
    file = tmp_path / "adapter" / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "base_model_name_or_path": str(base)}))

    with pytest.raises(ConfigError, match=rf"lacks \d+ tensors of its model, such as \S*{lost}.*would be random"):
        open_policy(str(tmp_path / "adapter"), "satori", None, tmp_path / "work")


def test_right_padding_is_refused(tiny):
    processor = AutoProcessor.from_pretrained(tiny, padding_side="right")
    processor.tokenizer.padding_side = "right"

    with pytest.raises(ConfigError, match="pads on the right"):
        assert_left_padding(processor)


def test_a_tag_that_decoding_would_drop_is_refused(tiny):
    tokenizer = AutoProcessor.from_pretrained(tiny).tokenizer
    assert tag_faults(tokenizer, "satori-think") == []
    tokenizer.add_special_tokens({"extra_special_tokens": [AddedToken("<answer>", special=True)]})

    (fault,) = tag_faults(tokenizer, "satori")

    assert fault.startswith("<answer> is a special token")


def test_a_tag_that_is_split_into_many_tokens_is_named_with_their_number():
    assert tag_warnings(train_tokenizer(["red"]), "satori") == []
    vocabulary = {letter: number for number, letter in enumerate("?</>abcinoprstwx")}
    by_letter = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="?"))
    plain = PreTrainedTokenizerFast(tokenizer_object=by_letter)

    found = tag_warnings(plain, "satori")

    assert any("<caption> in 9 tokens" in line for line in found)


def test_one_token_for_padding_and_end_is_named(tiny):
    tokenizer = AutoProcessor.from_pretrained(tiny).tokenizer
    assert padding_warnings(tokenizer) == []
    tokenizer.pad_token = tokenizer.eos_token

    assert len(padding_warnings(tokenizer)) == 1


def test_an_unknown_box_frame_must_be_given_for_a_grounded_format(tiny_llava, tmp_path):
    with pytest.raises(ConfigError, match="box frame of model_type llava is not known"):
        open_policy(str(tiny_llava), "satori", None, tmp_path)

    assert open_policy(str(tiny_llava), "freeform", None, tmp_path).box_dialect is None
    declared = dialect_named("norm_1000")
    assert open_policy(str(tiny_llava), "satori", declared, tmp_path).box_dialect == declared


def test_a_missing_checkpoint_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="no folder"):
        open_policy(str(tmp_path / "none"), "satori", None, tmp_path)


@pytest.mark.parametrize("form", FORMATS)
def test_training_asks_token_for_token_what_benchmarks_ask(tiny, examples, form, tmp_path):
    policy = open_policy(str(tiny), form, None, tmp_path)
    maker = RowMaker("grpo", form, policy.box_dialect, policy.pixel_limits, has_system_role=policy.has_system_role)
    row = maker.row(examples[0])
    trained = policy.processor.apply_chat_template(
        [prepare_multimodal_messages(row["prompt"], images=row["images"])],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )
    model = SatoriHF(str(tiny), device="cpu")
    asked = messages(form, examples[0].question, row["images"][0])
    turns = tuple(
        Turn(turn["role"], tuple(part.get("text") or part["url"] for part in turn["content"])) for turn in asked
    )

    benchmarked = model.model_inputs([Prompt("t", 0, 0, turns, Decoding(max_new_tokens=8))])

    assert trained["input_ids"].tolist() == benchmarked["input_ids"].tolist()
    assert bool((trained["pixel_values"] == benchmarked["pixel_values"]).all())


def test_a_template_without_a_system_role_gets_the_instructions_in_the_users_turn():
    (turn,) = prompt_turns("satori", "What color is it?", folds_system=True)

    assert turn["role"] == "user"
    assert [part["type"] for part in turn["content"]] == ["text", "image", "text"]
    assert turn["content"][0]["text"].endswith("\n\n")


def test_rows_of_one_prompt_share_the_image_but_no_list(examples):
    maker = RowMaker("grpo", "satori", "input_px", None, has_system_role=True)
    dataset = as_dataset(examples, maker, [0, 0, 1])

    first, second, third = dataset[0:3]["prompt"], dataset[0:3]["images"], dataset[0:3]["sample"]

    assert first[0] == first[1]
    assert first[0] is not first[1]
    assert second[0] is not second[1]
    assert second[0][0] is second[1][0]
    assert [sample.id for sample in third] == [examples[0].id, examples[0].id, examples[1].id]
