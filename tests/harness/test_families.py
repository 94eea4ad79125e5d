"""Tiny checkpoints of many families, built from configuration, through the whole of `run`."""

import pytest
from PIL import Image
from refilled_answers import KINDS, end_at_any_step, questions, refilled, single
from tiny_families import FAMILIES, IN_BATCHES, LOADED_ALONE, SIZE_KNOWN, build
from transformers import AutoProcessor

from harness.models.hf import SatoriHF
from harness.runs.store import load_run
from harness.scoring.box_dialects import dialect_of_model_type
from harness.values import Size

RUN = (
    "--tasks",
    "shapes",
    "--limit",
    "8",
    "--device",
    "cpu",
    "--batch-size",
    "4",
    "--max-new-tokens",
    "2",
    "--no-page",
    "--no-thumbnails",
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained_tokenizer(one_thread):
    from training.loop.tiny_model import train_tokenizer

    return train_tokenizer(
        ["What colour is the circle? a red circle <answer>red</answer> [[0,4,28,32],[8,12,56,52]]"] * 30
    )


def processors_own_size(folder, name: str, size: Size) -> Size:
    """The size that a family's processor makes of a picture as it is, by the tensor that says it."""
    processor = AutoProcessor.from_pretrained(folder)
    mark = FAMILIES[name].picture or processor.image_token
    made = processor(text=[mark], images=[[Image.new("RGB", (size.width, size.height))]], return_tensors="pt")
    if "image_grid_thw" in made:
        _, rows, columns = made["image_grid_thw"][0].tolist()
        patch_px = processor.image_processor.patch_size
        return Size(columns * patch_px, rows * patch_px)
    height, width = made["image_sizes"][0].tolist()
    return Size(width, height)


@pytest.mark.parametrize("name", [name for name in FAMILIES if name not in LOADED_ALONE])
def test_a_family_runs_with_its_processors_size_and_its_dialect(name, command, tmp_path, trained_tokenizer):
    folder = build(name, tmp_path / name, trained_tokenizer)

    code, _, err = command("run", "--model", folder, *RUN)

    assert code == 0, err
    assert ("wait for the longest of their batch" in err) == (name in IN_BATCHES), err
    run = load_run(next((tmp_path / "runs").iterdir()))
    records = list(run.records())
    assert run.manifest.box_dialect == dialect_of_model_type(name)
    assert all(record.generation.error is None for record in records)
    for record in records:
        expected = processors_own_size(folder, name, record.sample.image_size) if name in SIZE_KNOWN else None
        assert record.generation.input_size == expected


@pytest.mark.parametrize("name", sorted(LOADED_ALONE))
def test_a_family_of_a_tried_kind_loads_and_answers(name, tmp_path, trained_tokenizer):
    model = SatoriHF(str(build(name, tmp_path, trained_tokenizer)), device="cpu")

    (answer,) = model.generate_batch([model._inputs.trial])

    assert (answer.input_size is not None) == (name in SIZE_KNOWN)
    assert (model.why_batches is not None) == (name in IN_BATCHES), model.why_batches


@pytest.mark.parametrize("name", ["gemma3", "ernie4_5_vl_moe"])
def test_rows_of_other_kinds_are_refilled_with_equal_answers(name, tmp_path, trained_tokenizer):
    """Layers that look at a window of eight tokens; positions in three dimensions, and kinds of tokens."""
    model = SatoriHF(str(build(name, tmp_path, trained_tokenizer)), device="cpu")
    end_at_any_step(model)

    for decoding in KINDS:
        prompts = questions(model, decoding)
        assert refilled(model, prompts, rows=3) == single(model, prompts), decoding


def test_as_many_families_are_tried_as_are_promised():
    assert len(FAMILIES.keys() - LOADED_ALONE) >= 35


def test_the_page_of_families_is_that_of_the_tables():
    from families_page import PAGE, page

    assert PAGE.read_text(encoding="utf-8") == page(), "write it anew: python tests/families_page.py"
