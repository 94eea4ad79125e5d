import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from harness.errors import ConfigError
from harness.installation import InstallationError, require_extra
from harness.models.checkpoint import inspect_checkpoint
from harness.models.checkpoint_files import CheckpointError
from harness.models.vllm_options import check_gpu_memory, check_tensor_parallel, lora_rank

QWEN_7B = {"num_attention_heads": 28, "num_key_value_heads": 4, "vision_config": {"num_heads": 16}}
NESTED = {"text_config": {"num_attention_heads": 16}, "vision_config": {"num_attention_heads": 12}}


@pytest.mark.parametrize(
    ("size", "config", "devices"),
    [(1, QWEN_7B, 1), (2, QWEN_7B, 8), (4, QWEN_7B, 4), (4, NESTED, 4), (2, {}, 2), (4, QWEN_7B, None), (1, {}, None)],
)
def test_heads_that_divide_are_cut(size, config, devices):
    check_tensor_parallel(size, config, devices)


@pytest.mark.parametrize(
    ("size", "config", "devices", "said"),
    [
        (8, QWEN_7B, 8, "28 attention heads: give 1 or 2 or 4"),
        (3, QWEN_7B, 8, "28 attention heads and 16 attention heads of its vision tower: give 1 or 2"),
        (8, NESTED, 8, "12 attention heads of its vision tower: give 1 or 2 or 4"),
        (4, QWEN_7B, 2, "needs 4 GPUs and 2 can be seen here"),
        (5, {"num_attention_heads": 16}, None, "16 attention heads: give 1 or 2 or 4"),
        (0, QWEN_7B, 8, "at least 1"),
    ],
)
def test_heads_that_do_not_divide_are_refused_with_what_would(size, config, devices, said):
    with pytest.raises(ConfigError, match=said):
        check_tensor_parallel(size, config, devices)


@pytest.mark.parametrize("share", [0.0, -0.5, 1.01, float("nan")])
def test_a_share_of_memory_that_is_none_is_refused(share):
    with pytest.raises(ConfigError, match="--gpu-memory"):
        check_gpu_memory(share)


@pytest.fixture(scope="module")
def base(tiny_qwen2_5_vl):
    return inspect_checkpoint(str(tiny_qwen2_5_vl))


@pytest.fixture
def adapter(base, tmp_path):
    """Write an adapter of these tensors; returns what inspection says of it."""

    def write(names, **settings):
        config = {"peft_type": "LORA", "base_model_name_or_path": str(base.path), "r": 8, **settings}
        (tmp_path / "adapter_config.json").write_text(json.dumps(config))
        save_file({name: torch.zeros(8, 8) for name in names}, tmp_path / "adapter_model.safetensors")
        return replace(base, path=tmp_path, base=base.path, adapter_kind=config["peft_type"])

    return write


TEXT = "base_model.model.model.language_model.layers.0.self_attn.q_proj"
SIGHT = "base_model.model.model.visual.blocks.0.attn.qkv"


def low_rank(module):
    return [f"{module}.lora_A.weight", f"{module}.lora_B.weight"]


@pytest.mark.parametrize(
    ("settings", "rank"),
    [
        ({"r": 1}, 1),
        ({"r": 8}, 8),
        ({"r": 9}, 16),
        ({"r": 200}, 256),
        ({"r": 4, "rank_pattern": {"q_proj": 33}}, 64),
        ({"r": 512, "use_rslora": True}, 512),
    ],
)
def test_a_plain_adapter_gets_room_for_its_greatest_rank(adapter, settings, rank):
    assert rank == lora_rank(adapter(low_rank(TEXT), **settings))


@pytest.mark.parametrize(
    ("names", "settings", "said"),
    [
        (low_rank(TEXT), {"use_dora": True}, "DoRA"),
        (low_rank(TEXT), {"bias": "all"}, "biases"),
        (low_rank(TEXT), {"lora_bias": True}, "biases"),
        (low_rank(TEXT), {"r": 1024}, "rank is 1024"),
        (low_rank(TEXT), {"peft_type": "LOHA"}, "kind LOHA"),
        ([*low_rank(TEXT), *low_rank(SIGHT)], {}, "the half that sees"),
        (low_rank("base_model.model.model.visual.merger.mlp.0"), {}, "the half that sees"),
        ([*low_rank(TEXT), "base_model.model.model.language_model.norm.weight"], {}, "1 whole tensors"),
        ([*low_rank(TEXT), f"{TEXT}.lora_magnitude_vector"], {}, "1 whole tensors"),
    ],
)
def test_what_vllm_would_leave_out_of_an_adapter_is_refused_before_it_starts(adapter, names, settings, said):
    with pytest.raises(CheckpointError, match=f"{said}.*--backend hf merges"):
        lora_rank(adapter(names, **settings))


def test_a_missing_vllm_names_what_brings_it(monkeypatch):
    monkeypatch.setattr("harness.installation.find_spec", lambda name: None if name == "vllm" else object())

    with pytest.raises(
        InstallationError, match=r"needs vllm, not installed here.*pip install .*'satori-bench\[vllm\]'"
    ):
        require_extra("vllm", "run --backend vllm")
