"""Adapters of every kind of peft, merged and compared with the same adapter unmerged."""

import json
import shutil

import pytest
import torch

from harness.checkpoint import inspect_checkpoint
from harness.checkpoint_files import CheckpointError
from harness.model_hf import SatoriHF

TARGETS = ["q_proj", "v_proj"]
TEXT_LAYERS = r".*language_model.*(q_proj|v_proj)"


def lora(**options):
    from peft import LoraConfig

    return LoraConfig(**{"r": 4, "target_modules": TARGETS, **options})


def ia3():
    from peft import IA3Config

    return IA3Config(target_modules=["v_proj", "down_proj"], feedforward_modules=["down_proj"])


def of_kind(name: str, **options):
    import peft

    return getattr(peft, f"{name}Config")(**{"target_modules": TARGETS, **options})


KINDS = {
    "LoRA": lora,
    "DoRA": lambda: lora(use_dora=True),
    "rank-stabilised": lambda: lora(use_rslora=True),
    "a layer's own rank": lambda: lora(rank_pattern={"v_proj": 2}),
    "all linear layers": lambda: lora(target_modules="all-linear"),
    "text half only": lambda: lora(target_modules=TEXT_LAYERS),
    "biases too": lambda: lora(bias="lora_only"),
    "head saved whole": lambda: lora(modules_to_save=["lm_head"]),
    "embeddings too": lambda: lora(target_modules=[*TARGETS, "embed_tokens"]),
    "embeddings and head": lambda: lora(target_modules=[*TARGETS, "embed_tokens", "lm_head"]),
    "embeddings tied": lambda: lora(target_modules=[*TARGETS, "embed_tokens"], ensure_weight_tying=True),
    "embeddings saved whole": lambda: lora(modules_to_save=["embed_tokens"]),
    "saved whole and tied": lambda: lora(modules_to_save=["embed_tokens"], ensure_weight_tying=True),
    "rows of tokens": lambda: lora(trainable_token_indices=[5, 6]),
    "IA3": ia3,
    "LoHa": lambda: of_kind("LoHa", r=4),
    "LoKr": lambda: of_kind("LoKr", r=4),
    "AdaLoRA": lambda: of_kind("AdaLora", init_r=4, target_r=2, total_step=10, tinit=1, tfinal=1, deltaT=1),
    "OFT": lambda: of_kind("OFT", r=0, oft_block_size=4),
    "HRA": lambda: of_kind("HRA", r=4),
    "VeRA": lambda: of_kind("Vera", r=4, target_modules=["q_proj"]),
    "FourierFT": lambda: of_kind("FourierFT", n_frequency=20),
    "norms": lambda: of_kind("LNTuning", target_modules=["input_layernorm"]),
    "trainable tokens": lambda: of_kind("TrainableTokens", token_indices=[5, 6], target_modules=["embed_tokens"]),
    "MiSS": lambda: of_kind("Miss", r=4),
}


@pytest.fixture
def base(tiny_qwen2_5_vl):
    from transformers import AutoModelForImageTextToText

    return AutoModelForImageTextToText.from_pretrained(tiny_qwen2_5_vl, dtype=torch.float32)


def adapted(base, config):
    """Lay an adapter on a base, and change everything that it trains."""
    from peft import get_peft_model

    model = get_peft_model(base, config)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def logits(model) -> torch.Tensor:
    with torch.inference_mode():
        return model(input_ids=torch.tensor([[5, 6, 20, 30, 40, 50]])).logits


@pytest.mark.parametrize("kind", KINDS)
def test_a_merged_adapter_computes_what_it_does_unmerged(base, tiny_qwen2_5_vl, tmp_path, kind):
    before = logits(base)
    model = adapted(base, KINDS[kind]())
    expected = logits(model)
    model.save_pretrained(tmp_path)

    merged = SatoriHF(str(tmp_path), device="cpu")

    found = logits(merged.module)
    assert not torch.allclose(before, expected, atol=1e-3), "the adapter does something"
    torch.testing.assert_close(found, expected, atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 4}, "PROMPT_TUNING adapter has no weights that could be"),
        ({"peft_type": "PREFIX_TUNING", "num_virtual_tokens": 4}, "PREFIX_TUNING adapter has no weights that could be"),
        ({"peft_type": "P_TUNING"}, "P_TUNING adapter"),
        ({"peft_type": "ADAPTION_PROMPT"}, "ADAPTION_PROMPT adapter"),
        ({"peft_type": None}, "names no peft_type"),
    ],
)
def test_an_adapter_that_cannot_be_merged_is_refused(tmp_path, tiny_adapter, config, said):
    folder = shutil.copytree(tiny_adapter, tmp_path / "adapter")
    file = folder / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **config}))

    with pytest.raises(CheckpointError, match=said):
        inspect_checkpoint(str(folder))


def test_a_kind_that_peft_does_not_know_is_refused_with_its_name(tmp_path, tiny_adapter):
    folder = shutil.copytree(tiny_adapter, tmp_path / "adapter")
    file = folder / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "peft_type": "LORA_OF_TOMORROW"}))

    with pytest.raises(CheckpointError, match=r"cannot load the adapter.*LORA_OF_TOMORROW"):
        SatoriHF(str(folder), device="cpu")


def of_another_layer_list(weights):
    """Some tensors are called as another version of transformers calls its layers."""
    return {name.replace("layers.1.", "h.1."): value for name, value in weights.items()}


def of_more_layers(weights):
    """The base that it was trained on had one layer more."""
    more = {
        name.replace("layers.0.", "layers.7."): value.clone() for name, value in weights.items() if "layers.0." in name
    }
    return {**weights, **more}


def with_a_head(weights):
    """A head was trained whole, which the configuration does not say."""
    return {**weights, "base_model.model.other_head.weight": torch.ones(4, 4)}


def of_another_kind(weights):
    """DoRA's magnitudes, and the configuration is that of a plain LoRA."""
    extra = {
        name.replace("lora_A.weight", "lora_magnitude_vector"): torch.ones(4)
        for name in weights
        if "lora_A" in name and "v_proj" in name
    }
    return {**weights, **extra}


@pytest.mark.parametrize(
    ("edited", "config", "said"),
    [
        (dict, {"target_modules": ["q_proj"]}, r"find no module, such as \S*v_proj.lora_A.weight"),
        (dict, {"target_modules": ["v_proj"]}, r"find no module, such as \S*q_proj.lora_A.weight"),
        (dict, {"target_modules": r".*layers\.0\..*(q_proj|v_proj)"}, r"find no module, such as \S*layers.1"),
        (dict, {"layers_to_transform": [0]}, r"find no module, such as \S*layers.1"),
        (of_more_layers, {}, r"find no module, such as \S*layers.7"),
        (with_a_head, {}, r"1 of its tensors find no module, such as \S*other_head.weight"),
        (of_another_kind, {}, r"find no module, such as \S*v_proj.lora_magnitude_vector"),
        (of_another_layer_list, {}, "does not fit its base"),
    ],
)
def test_an_adapter_of_which_a_part_finds_no_place_is_refused(tmp_path, tiny_adapter, edited, config, said):
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(tiny_adapter, tmp_path / "adapter")
    file = folder / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **config}))
    weights = edited(load_file(folder / "adapter_model.safetensors"))
    save_file(weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})

    with pytest.raises(CheckpointError, match=said):
        SatoriHF(str(folder), device="cpu")


def test_a_pickled_adapter_is_refused(tmp_path, tiny_adapter):
    folder = shutil.copytree(tiny_adapter, tmp_path / "adapter")
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")

    with pytest.raises(CheckpointError, match=r"only pickled weights .adapter_model.bin.*PeftModel"):
        inspect_checkpoint(str(folder))


# Tokens that were added before training.


def with_added_tokens(base, tiny_qwen2_5_vl, folder, config, count=5):
    """Train an adapter on a base with more tokens; returns what the adapter computes."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_qwen2_5_vl)
    tokenizer.add_tokens([f"<new_{number}>" for number in range(count)])
    base.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    model = adapted(base, config(len(tokenizer)))
    model.save_pretrained(folder, save_embedding_layers=True if config(1).trainable_token_indices is None else "auto")
    tokenizer.save_pretrained(folder)
    return logits(model)


@pytest.mark.parametrize(
    "config",
    [
        lambda rows: lora(modules_to_save=["embed_tokens", "lm_head"]),
        lambda rows: lora(modules_to_save=["embed_tokens", "lm_head"], ensure_weight_tying=True),
        lambda rows: lora(),  # told to, peft saves the embeddings beside the adapter
        lambda rows: lora(target_modules=[*TARGETS, "embed_tokens"]),
        lambda rows: lora(trainable_token_indices=list(range(rows - 5, rows))),
    ],
    ids=["both saved", "both saved and tied", "saved beside", "changed too", "rows of tokens"],
)
def test_a_base_is_brought_to_the_tokens_of_its_adapter(base, tiny_qwen2_5_vl, tmp_path, config):
    expected = with_added_tokens(base, tiny_qwen2_5_vl, tmp_path, config)

    merged = SatoriHF(str(tmp_path), device="cpu")

    found = logits(merged.module)
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, atol=2e-4, rtol=1e-3)


def test_added_tokens_whose_rows_were_not_saved_are_refused_with_both_sizes(base, tiny_qwen2_5_vl, tmp_path):
    with_added_tokens(base, tiny_qwen2_5_vl, tmp_path, lambda rows: lora())
    from safetensors.torch import load_file, save_file

    weights = load_file(tmp_path / "adapter_model.safetensors")
    kept = {name: value for name, value in weights.items() if "lora_" in name}
    save_file(kept, tmp_path / "adapter_model.safetensors", metadata={"format": "pt"})
    rows = base.get_input_embeddings().weight.shape[0]

    with pytest.raises(CheckpointError, match=rf"tokenizer has {rows} tokens, its base {rows - 5} rows.*not saved"):
        inspect_checkpoint(str(tmp_path))


# Whose processor.


def test_each_part_of_a_processor_comes_from_the_adapter_where_it_has_it(tmp_path, tiny_adapter, tiny_qwen2_5_vl):
    folder = shutil.copytree(tiny_adapter, tmp_path / "adapter")
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(tiny_qwen2_5_vl / name, folder)
    (folder / "preprocessor_config.json").write_text(json.dumps({"image_processor_type": "GoneImageProcessor"}))

    parts = inspect_checkpoint(str(folder)).processor

    assert parts.tokenizer_folder == parts.template.file.parent == folder
    assert parts.image_folder == tiny_qwen2_5_vl, "the adapter's own is not known"


@pytest.mark.parametrize("files", [["chat_template.jinja"], ["tokenizer.json", "tokenizer_config.json"], []])
def test_an_adapter_with_a_part_of_a_processor_answers(tmp_path, tiny_adapter, tiny_qwen2_5_vl, tiny_answers, files):
    folder = shutil.copytree(tiny_adapter, tmp_path / "adapter")
    for name in files:
        shutil.copy(tiny_qwen2_5_vl / name, folder)
    (folder / "preprocessor_config.json").write_text(
        json.dumps({"image_processor_type": "Qwen2_5_VLImageProcessor", "min_pixels": 784, "max_pixels": 50_176})
    )

    assert tiny_answers(folder) == tiny_answers(tiny_adapter)
