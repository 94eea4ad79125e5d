"""The real vLLM beside transformers, on tiny checkpoints; skipped where vLLM is not installed.

In an environment of its own (docs/run.md says how it is made):

    VLLM_CPU_KVCACHE_SPACE=1 python -m pytest tests/vllm_cpu -q
"""

import importlib.util
import json
import math
from pathlib import Path

import pytest

if importlib.util.find_spec("vllm") is None:
    pytest.skip(
        "vllm is not installed: it pins its own torch, so it is tried in an environment of its own (docs/run.md)",
        allow_module_level=True,
    )

import torch
from PIL import Image

from harness.errors import ConfigError, IncompleteError
from harness.models.answer_probability import AnswerAfter, answer_log_probabilities
from harness.models.base import Prompt, Turn
from harness.models.checkpoint_files import CheckpointError
from harness.models.decoding import Decoding
from harness.models.hf import SatoriHF
from training.loop.tiny_model import build_tiny_qwen2_5_vl

CORPUS = ["Where is the red circle? <caption>a red circle</caption><bbox>[[0,4,28,32]]</bbox><answer>red</answer>"] * 40
GREEDY = Decoding(max_new_tokens=24)


def prompts(count, decoding=GREEDY):
    ground = Image.linear_gradient("L").convert("RGB")
    return [
        Prompt(
            "t",
            n,
            0,
            (Turn("user", (ground.rotate(13 * n).resize((84, 28 * (1 + n % 4))), f"Where is {n}?")),),
            decoding,
        )
        for n in range(count)
    ]


def texts(model, asked):
    found = {one.doc_id: outcome for one, outcome in model.answer_stream(iter(asked))}
    return [found[one.doc_id].text for one in asked]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return build_tiny_qwen2_5_vl(tmp_path_factory.mktemp("vllm") / "base", CORPUS)


@pytest.fixture(scope="module")
def adapter(checkpoint, tmp_path_factory):
    """A LoRA adapter with changes large enough to be seen in a greedy text."""
    from peft import LoraConfig, get_peft_model
    from transformers import Qwen2_5_VLForConditionalGeneration

    base = Qwen2_5_VLForConditionalGeneration.from_pretrained(checkpoint, dtype=torch.float32)
    targets = r".*language_model.*\.(q_proj|v_proj|up_proj|down_proj)"
    model = get_peft_model(base, LoraConfig(r=4, lora_alpha=8, target_modules=targets, init_lora_weights=False))
    folder = tmp_path_factory.mktemp("vllm") / "adapter"
    model.save_pretrained(folder)
    config = json.loads((folder / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = str(checkpoint)
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def by_transformers(checkpoint):
    return SatoriHF(str(checkpoint), device="cpu", batch_size=8)


@pytest.fixture(scope="module")
def by_vllm(checkpoint):
    from harness.models.vllm_model import SatoriVLLM

    model = SatoriVLLM(str(checkpoint), batch_size=8)
    yield model
    model.close()


def answered(model, asked):
    return [generation.text for n in range(0, len(asked), 8) for generation in model.generate_batch(asked[n : n + 8])]


def test_pictures_reach_vllm_unchanged(by_vllm):
    """Its own processor, asked with our options, makes the very patches that transformers' makes, level by level."""
    one = prompts(3)[2]
    tokens = by_vllm._inputs.token_ids(by_vllm._inputs.render(one.turns))
    engine = by_vllm._engine
    # a picture that was never sent: of a known one it would tell the hash alone
    request = {"prompt_token_ids": tokens, "multi_modal_data": {"image": [one.images[0].rotate(90, expand=True)]}}
    made = engine.input_processor.process_inputs(
        "looked-at", request, by_vllm._parameters(one), supported_tasks=engine.get_supported_tasks()
    )
    shown = Prompt("t", 0, 0, (Turn("user", (one.images[0].rotate(90, expand=True), one.turns[0].parts[1])),), GREEDY)
    own = by_vllm._inputs.tensors([shown])

    assert made.prompt_token_ids == own["input_ids"][0].tolist()
    patches = made.mm_features[0].data["pixel_values"].data
    processor = by_vllm._inputs.processor.image_processor
    mean, std = (torch.tensor(values)[:, None] for values in (processor.image_mean, processor.image_std))
    levels = own["pixel_values"].float().unflatten(1, (3, -1)) * std + mean  # channels are a patch's outermost axis
    assert patches.dtype == torch.uint8  # it normalises them where the model is
    assert torch.equal((levels * 255).round().flatten(1), patches.float())
    engine.reset_mm_cache()


def test_greedy_texts_sizes_and_tokens_are_those_of_transformers(by_transformers, by_vllm):
    asked = prompts(24)
    own = [g for n in range(0, 24, 8) for g in by_transformers.generate_batch(asked[n : n + 8])]
    found = {one.doc_id: outcome for one, outcome in by_vllm.answer_stream(iter(asked))}
    theirs = [found[n] for n in range(24)]

    assert [g.input_size for g in own] == [g.input_size for g in theirs]
    assert [g.input_tokens for g in own] == [g.input_tokens for g in theirs]
    assert [g.output_tokens for g in own] == [g.output_tokens for g in theirs]
    assert [g.truncated for g in own] == [g.truncated for g in theirs]
    assert [g.text for g in own] == [g.text for g in theirs]


def test_a_question_without_a_picture_is_answered_alike(by_transformers, by_vllm):
    asked = [Prompt("t", 0, 0, (Turn("user", ("Where?",)),), GREEDY)]

    assert answered(by_transformers, asked) == texts(by_vllm, asked)


def test_stop_strings_cut_where_transformers_cuts(by_transformers, by_vllm):
    asked = prompts(8)
    stop = answered(by_transformers, asked)[0][6:9]
    stopped = prompts(8, Decoding(max_new_tokens=24, until=(stop,)))

    assert answered(by_transformers, stopped) == texts(by_vllm, stopped)


def test_sampled_answers_do_not_depend_on_what_else_is_asked(by_vllm):
    asked = prompts(12, Decoding(max_new_tokens=12, temperature=1.0))

    together, alone = texts(by_vllm, asked), [texts(by_vllm, [one])[0] for one in asked[:4]]

    assert together[:4] == alone
    assert len(set(together)) > 6


def test_an_answer_weighs_what_transformers_gives_it(by_transformers, by_vllm, monkeypatch):
    monkeypatch.setattr(by_transformers, "_suppressed_ids", frozenset())  # vLLM weighs among all tokens
    one = prompts(2)[1]
    texts_before = ("<caption>a red circle</caption>", "", "<caption>red</caption>")
    before = [tuple(by_vllm.ids_of(text)) for text in texts_before]
    answers = [AnswerAfter(one, ids, tuple(by_vllm.ids_of("<answer>red</answer>"))) for ids in before]

    assert by_vllm.weigh(answers) == pytest.approx(answer_log_probabilities(by_transformers, answers), abs=2e-3)


def test_a_prompt_beyond_the_model_costs_itself_alone(by_vllm):
    long = Prompt("t", 99, 0, (Turn("user", ("far " * 5000,)),), GREEDY)

    found = {one.doc_id: outcome for one, outcome in by_vllm.answer_stream(iter([*prompts(2), long]))}

    assert "4096" in by_vllm.refusal(found[99])
    assert found[0].text


def test_an_adapter_is_applied_as_transformers_merges_it(adapter, by_transformers):
    from harness.models.vllm_model import SatoriVLLM

    asked = prompts(8)
    merged, model = SatoriHF(str(adapter), device="cpu", batch_size=8), SatoriVLLM(str(adapter), batch_size=8)
    try:
        own, theirs = answered(merged, asked), texts(model, asked)
    finally:
        model.close()

    assert own == theirs
    assert own != answered(by_transformers, asked)


def test_weights_that_are_no_numbers_are_refused(checkpoint, tmp_path):
    from harness.models.vllm_model import SatoriVLLM

    folder = _with_weights(checkpoint, tmp_path / "nan", lambda tensor: tensor * math.nan)

    with pytest.raises(CheckpointError, match="holds no working model"):
        SatoriVLLM(str(folder), batch_size=4)


def test_heads_that_do_not_divide_are_refused_at_once(checkpoint):
    from harness.models.vllm_model import SatoriVLLM

    with pytest.raises(ConfigError, match="--tensor-parallel 3 does not divide"):
        SatoriVLLM(str(checkpoint), tensor_parallel=3)


def test_an_engine_that_was_killed_ends_the_run(checkpoint):
    import psutil

    from harness.models.vllm_model import SatoriVLLM

    model = SatoriVLLM(str(checkpoint), batch_size=2)
    stream = model.answer_stream(iter(prompts(12, Decoding(max_new_tokens=400))))
    next(stream)
    for child in psutil.Process().children(recursive=True):
        child.kill()

    with pytest.raises(Exception, match="EngineCore") as died:
        list(stream)
    with pytest.raises(IncompleteError, match="vLLM's engine died"):
        model.refusal(died.value)
    model.close()


def _with_weights(checkpoint: Path, folder: Path, change) -> Path:
    from safetensors.torch import load_file, save_file

    folder.mkdir()
    for file in checkpoint.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    tensors = load_file(folder / "model.safetensors")
    name = next(name for name in tensors if "embed_tokens" in name)
    tensors[name] = change(tensors[name])
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder
