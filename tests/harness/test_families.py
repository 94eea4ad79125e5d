"""Tiny checkpoints of many families, built from configuration, through the whole of `run`."""

import json

import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor

from harness.models.base import Prompt, Turn
from harness.models.decoding import Decoding
from harness.models.hf import SatoriHF
from harness.scoring.box_dialects import dialect_of_model_type, dialect_words
from harness.values import Size
from tests.tiny_families import FAMILIES, SIZE_KNOWN, build

RUN = ("--tasks", "shapes", "--limit", "8", "--device", "cpu", "--max-new-tokens", "2", "--no-page", "--no-thumbnails")
PICTURES = [Image.effect_noise(size, 60).convert("RGB") for size in ((199, 150), (97, 61), (450, 330))]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained_tokenizer(one_thread):
    from training.loop.tiny_model import train_tokenizer

    return train_tokenizer(
        ["What colour is the circle? a red circle <answer>red</answer> [[0,4,28,32],[8,12,56,52]]"] * 30
    )


@pytest.fixture(params=FAMILIES)
def family(request, tmp_path, trained_tokenizer):
    return request.param, build(request.param, tmp_path / request.param, trained_tokenizer)


def processors_own_size(folder, picture) -> Size:
    """The size that a family's image processor makes of a picture as it is, by the tensor that says it."""
    processor = AutoImageProcessor.from_pretrained(folder)
    made = processor(images=[picture], return_tensors="pt")
    if "image_grid_thw" in made:
        _, rows, columns = made["image_grid_thw"][0].tolist()
        return Size(columns * processor.patch_size, rows * processor.patch_size)
    height, width = made["image_sizes"][0].tolist()
    return Size(width, height)


def test_a_family_runs_with_its_processors_size_and_its_dialect(family, command, tmp_path):
    name, folder = family

    code, _, err = command("run", "--model", folder, *RUN)

    assert code == 0, err
    (run,) = (tmp_path / "runs").iterdir()
    manifest = json.loads((run / "manifest.json").read_text())
    dialect = dialect_of_model_type(name)
    assert manifest["box_dialect"] == (dialect and dialect_words(dialect))
    assert manifest["tasks"]["shapes"]["samples"] == 8
    model = SatoriHF(str(folder), device="cpu")
    prompts = [Prompt("t", row, 0, (Turn("user", (model._open(picture), "Where?")),), Decoding(max_new_tokens=1))
               for row, picture in enumerate(PICTURES)]  # fmt: skip
    sizes = [generation.input_size for generation in model.generate_batch(prompts)]
    expected = [processors_own_size(folder, picture) if name in SIZE_KNOWN else None for picture in PICTURES]
    assert sizes == expected
