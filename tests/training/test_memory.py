"""The memory of a stage is reckoned in the formats that it really trains in, and said not to fit where it does not."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from harness.checkpoint import inspect_checkpoint
from harness.checkpoint_files import CheckpointError
from harness.values import PixelLimits, Size
from training.launch import image_sizes, plan_memory
from training.machine import Machine
from training.memory import Lengths, MemoryNeed, fits, formats, longest, memory_need
from training.model_shape import PUBLISHED, ModelShape, Tower, model_shape, parameter_count
from training.profiles import PROFILE_NAMES
from training.settings import train_settings
from training.shapes_source import LARGEST_CANVAS, shapes_examples

GIB = 2**30
MODEL = "Qwen/Qwen2.5-VL-3B-Instruct"
SHAPE = PUBLISHED[MODEL]
BILLION = ModelShape("m", 10**9, None, None, 0, None, "made up")
LENGTHS = Lengths(256, 512, "given")
GPU_80 = Machine(0, 79.0, "an 80 GB GPU", has_bfloat16=False, torch="2", has_package=bool, answers=lambda *_: False)


def settings(stage: str = "grpo", **other):
    return train_settings(stage, {"model": MODEL, "data": "shapes:full", "output": "out", **other}, where="c.toml")


def need(stage: str = "grpo", shape: ModelShape = BILLION, gpu_gib: float = 79.0, **other) -> MemoryNeed:
    return memory_need(settings(stage, **other), shape, LENGTHS, gpu_gib)


def billions_of_bytes(found: MemoryNeed) -> dict[str, float]:
    return {part: round(size * GIB / 1e9, 3) for part, size in found.parts_gib.items()}


LORA = {"lora": {"rank": 16}}
KL = {"objective": {"beta": 0.001}}
EIGHT = {"processes": 8}
TWO = {"processes": 2}
CASES = [
    # one GPU keeps float32 weights, gradients, moments, and casts the weights while it computes
    ("single-gpu", {}, {"weights": 4, "gradients": 4, "Adam": 8, "copies": 2}),
    ("single-gpu", KL, {"weights": 4, "gradients": 4, "Adam": 8, "copies": 2, "reference": 4}),
    # LoRA leaves the base alone, in the format that is computed with; an adapter is about a hundredth here
    ("single-gpu", LORA, {"weights": 2.04, "gradients": 0.04, "Adam": 0.08}),
    ("single-gpu", LORA | KL, {"weights": 2.04, "gradients": 0.04, "Adam": 0.08}),
    # DDP averages gradients in buckets of their own
    ("multi-gpu", EIGHT, {"weights": 4, "gradients": 4, "buckets": 4, "Adam": 8, "copies": 2}),
    ("multi-gpu", TWO | LORA, {"weights": 2.04, "gradients": 0.04, "buckets": 0.04, "Adam": 0.08}),
    ("multi-gpu", {"processes": 1}, {"weights": 4, "gradients": 4, "Adam": 8, "copies": 2}),
    # bfloat16, the float32 masters and moments of DeepSpeed, all over two devices
    ("zero3", TWO, {"weights": 1, "gradients": 1, "Adam": 6}),
    ("zero3", TWO | KL, {"weights": 1, "gradients": 1, "Adam": 6, "reference": 1}),
    ("fsdp2", TWO, {"weights": 2, "gradients": 2, "Adam": 4}),
    ("fsdp2", TWO | LORA, {"weights": 2.02, "gradients": 0.02, "Adam": 0.04}),
    ("vllm-colocate", EIGHT, {"weights": 4, "gradients": 4, "buckets": 4, "Adam": 8, "copies": 2, "vLLM": 30}),
    ("vllm-server", TWO, {"weights": 4, "gradients": 4, "buckets": 4, "Adam": 8, "copies": 2}),
    ("cpu-tiny", {}, {"weights": 4, "gradients": 4, "Adam": 8}),
]


@pytest.mark.parametrize(("profile", "other", "bytes_by_part"), CASES)
def test_each_part_is_counted_in_its_own_format(profile, other, bytes_by_part):
    found = need(gpu_gib=100e9 / GIB, profile=profile, optimisation={"batch_size": 8}, **other)

    assert billions_of_bytes(found) == bytes_by_part


def test_the_papers_grpo_on_one_gpu_is_reckoned_not_to_fit():
    plan = plan_memory(settings(preset="paper", profile="single-gpu"), SHAPE, GPU_80)
    text = "\n".join(plan.lines)

    assert plan.fits is False
    assert "weights 14.0 in float32" in text
    assert "reference model of the KL term 14.0 in float32" in text
    assert "it does NOT fit an 80 GB GPU" in text
    assert "objective.beta = 0 needs no reference model (14.0 GiB less)" in text
    assert "[lora]" in text


@pytest.mark.parametrize(
    ("other", "gpu_gib", "fitting"),
    [({}, 79, True), ({}, 47, False), (LORA, 47, True), (LORA, 24, True), (LORA, 7, False)],
)
def test_the_same_stage_fits_one_gpu_and_not_another(other, gpu_gib, fitting):
    """Reckoned, not seen on these machines."""
    machine = replace(GPU_80, gpu_gib=float(gpu_gib))

    plan = plan_memory(settings("sft", profile="single-gpu", optimisation={"batch_size": 2}, **other), SHAPE, machine)

    assert plan.fits is fitting


def test_a_model_of_unknown_sizes_is_not_estimated_and_that_is_said():
    plan = plan_memory(settings(profile="single-gpu"), None, GPU_80)

    assert plan.fits is None
    assert "not estimated" in plan.lines[0]


@pytest.mark.parametrize(("gpu_gib", "fitting"), [(79, None), (24, None), (16, False), (1, False)])
@pytest.mark.parametrize("stage", ["sft", "grpo"])
def test_a_model_of_unknown_layers_is_never_said_to_fit(stage, gpu_gib, fitting):
    machine = replace(GPU_80, gpu_gib=float(gpu_gib))

    plan = plan_memory(settings(stage, profile="single-gpu"), BILLION, machine)

    assert plan.fits is fitting
    assert ("cannot be told" in plan.lines[-1]) == (fitting is None)
    assert not any(line.startswith("it fits") for line in plan.lines)


@pytest.mark.parametrize(
    ("profile", "stage", "other", "gathered"),
    [
        ("zero3", "grpo", TWO, True),
        ("zero3", "grpo", TWO | LORA, True),
        ("zero3", "grpo", EIGHT, True),
        ("zero3", "sft", TWO, False),
        ("fsdp2", "grpo", TWO, False),
        ("multi-gpu", "grpo", TWO, False),
    ],
)
def test_zero3_gathers_the_whole_model_to_generate(profile, stage, other, gathered):
    chosen = settings(stage, profile=profile, optimisation={"batch_size": 8}, **other)
    small, large = (
        memory_need(chosen, replace(SHAPE, parameters=count), Lengths(16, 16, "given"), 79.0).parts_gib["work"]
        for count in (10**10, 2 * 10**10)
    )

    assert (large > small) == gathered
    assert not gathered or math.isclose((large - small) * GIB, 1.2 * 2 * 10**10)


def test_what_computing_takes_grows_with_each_length():
    text = Tower(layers=4, width=64, inner=256, key_value=16)
    shape = ModelShape("m", 10**6, text, text, 1_000, PixelLimits(56 * 56, 10**7, 28), "made up")

    def work(batch: int = 8, tokens: int = 64, image: int = 16) -> float:
        chosen = settings(profile="single-gpu", optimisation={"batch_size": batch}, rollouts={"generations": 8})
        return memory_need(chosen, shape, Lengths(image, tokens, "given"), 79.0).parts_gib["work"]

    assert work() < work(batch=16)
    assert work() < work(tokens=128)
    assert work() < work(image=32)


def test_the_longest_image_of_the_data_decides():
    sizes = [Size(280, 280), Size(2800, 2800), Size(28, 28)]
    limited = replace(SHAPE, pixel_limits=PixelLimits(56 * 56, 512 * 28 * 28, 28))

    assert longest(settings(), SHAPE, sizes).image == 10_000
    assert 480 <= longest(settings(), limited, sizes).image <= 512
    assert longest(settings(), replace(SHAPE, pixel_limits=None), sizes).image_source == "assumed"


@pytest.mark.parametrize("profile", ["full", "tiny"])
def test_no_canvas_of_shapes_is_larger_than_said(profile):
    sizes = {example.image_size for example in shapes_examples(profile, 300)}

    assert image_sizes(f"shapes:{profile}") == [LARGEST_CANVAS[profile]]
    assert max(size.width for size in sizes) == LARGEST_CANVAS[profile].width
    assert max(size.height for size in sizes) == LARGEST_CANVAS[profile].height


def test_parameters_and_layers_are_read_from_a_folder(tiny_qwen2_5_vl):
    shape = model_shape(str(tiny_qwen2_5_vl))

    assert shape is not None
    assert shape.parameters == parameter_count(inspect_checkpoint(str(tiny_qwen2_5_vl))) > 0
    assert shape.text is not None
    assert shape.vision is not None
    assert shape.source == "counted from its files"


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        (MODEL, 3_754_622_976),
        ("someone/InternVL-8B-hf", 8_000_000_000),
        ("someone/model-0.5b", 500_000_000),
        ("someone/llava-v1.6-mistral-7b", 7_000_000_000),
        ("someone/3B-of-7B", None),
        ("someone/model-a3b4", None),
        ("someone/large", None),
    ],
)
def test_a_model_that_is_not_here_is_known_or_assumed_by_name(name, parameters, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    shape = model_shape(name)

    assert (None if shape is None else shape.parameters) == parameters
    assert shape is None or "not here" in shape.source


@pytest.mark.parametrize("name", ["none", "./none", "checkpoints/none", "/none/none/none"])
def test_a_folder_that_is_not_there_is_no_hub_model(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "checkpoints").mkdir()

    with pytest.raises(CheckpointError, match="no folder"):
        model_shape(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_count_is_that_of_the_model_built_from_its_layers(name):
    import torch
    from transformers import AutoConfig, AutoModelForImageTextToText

    shape = PUBLISHED[name]
    text, vision = shape.text, shape.vision
    assert text is not None
    assert vision is not None
    tied = any(f"-{size}B" in name for size in (2, 3, 4))
    head = 128
    language = {
        "num_hidden_layers": text.layers,
        "hidden_size": text.width,
        "intermediate_size": text.inner,
        "vocab_size": shape.vocabulary,
        "num_attention_heads": 32 if "Qwen3" in name and text.width > 2048 else text.width // head,
        "num_key_value_heads": text.key_value // head,
        "tie_word_embeddings": tied,
    }
    image = {"depth": vision.layers, "hidden_size": vision.width, "intermediate_size": vision.inner}
    model_type, further = {
        "Qwen/Qwen2-VL": ("qwen2_vl", {"embed_dim": vision.width, "hidden_size": text.width}),
        "Qwen/Qwen2.5-VL": ("qwen2_5_vl", {"out_hidden_size": text.width}),
        "Qwen/Qwen3-VL": ("qwen3_vl", {"out_hidden_size": text.width, "num_heads": 16}),
    }[name.rsplit("-", 2)[0]]
    language |= {"head_dim": head} if model_type == "qwen3_vl" else {}
    config = AutoConfig.for_model(
        model_type, text_config=language, vision_config=image | further, tie_word_embeddings=tied
    )
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config)
    model.tie_weights()

    assert sum(weight.numel() for weight in model.parameters()) == shape.parameters


@pytest.mark.parametrize("profile", PROFILE_NAMES)
def test_formats_are_named_for_every_profile(profile):
    found = formats(settings(profile=profile))

    assert {found.trained, found.held, found.computed} <= {"float32", "bfloat16"}


def test_room_is_what_the_driver_leaves():
    assert fits(MemoryNeed({"weights": 22.0, "work": 1.0}, ()), 24.0) is True
    assert fits(MemoryNeed({"weights": 22.0, "work": 1.1}, ()), 24.0) is False
    assert math.isclose(MemoryNeed({"weights": 1.5, "Adam": 2.5}, ()).total_gib, 4.0)
