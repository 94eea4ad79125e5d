"""The zoom tool in GRPO's rollouts: what a call is shown, and real TRL training with it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image

from harness.errors import ConfigError
from harness.images.crops import cut_out
from harness.models.zoom import picture_sha256
from harness.scoring.box_dialects import dialect_named
from harness.values import PixelLimits, Size
from training.data.shapes import shapes_examples
from training.data.store import write_examples
from training.stages.manifest import input_hash
from training.stages.rewards import _text_of
from training.stages.settings import GrpoSettings, Objective, Optimisation, Rollouts, train_settings
from training.stages.train import LOG_NAME, TrainEnvironment, train
from training.stages.trainers import Watch
from training.stages.zoom_environment import ZoomEnvironment

LIMITS = PixelLimits(784, 50_176)
PICTURE = Image.linear_gradient("L").resize((400, 200)).convert("RGB")


@pytest.fixture
def environment() -> ZoomEnvironment:
    made = ZoomEnvironment(dialect_named("list:xyxy:1000"), LIMITS)
    made.reset(images=[PICTURE.resize((196, 112))], original=PICTURE, input_size=Size(196, 112), prompt=[], sample=None)
    return made


def test_a_call_is_shown_the_region_of_the_picture_as_the_data_have_it(environment):
    (block,) = environment.image_zoom_in_tool([250, 250, 500, 750], label="a")

    assert block["type"] == "image"
    assert picture_sha256(block["image"]) == picture_sha256(cut_out(PICTURE, (100, 50, 200, 150), LIMITS))


@pytest.mark.parametrize(
    "box", [[1, 2, 3], [], "a", None, [9, 9, 1, 1], [float("nan")] * 4, [2000, 0, 3000, 9], {"x": 1}]
)
def test_what_cannot_be_shown_is_said(environment, box):
    (block,) = environment.image_zoom_in_tool(box)

    assert block["type"] == "text"
    assert block["text"].startswith("Error: ")


def test_a_reset_forgets_the_rollout_before(environment):
    for _ in range(40):
        last = environment.image_zoom_in_tool([250, 250, 500, 750])
    assert last == [{"type": "text", "text": "Error: the conversation had ended."}]

    environment.reset(images=[PICTURE], original=PICTURE, input_size=Size(400, 200))

    assert environment.image_zoom_in_tool([250, 250, 500, 750])[0]["type"] == "image"


@pytest.mark.parametrize(
    ("turns", "text"),
    [
        ([{"role": "assistant", "content": "a"}], "a"),
        ([{"role": "assistant", "content": "call"}, {"role": "tool", "content": [{"type": "image"}]}], ""),
        ([{"role": "tool", "content": "x"}, {"role": "assistant", "content": [{"type": "text", "text": "b"}]}], "b"),
        ([{"role": "assistant", "content": None, "tool_calls": []}], ""),
        ([{"role": "assistant", "content": "b", "reasoning_content": "t"}], "<think>t</think>\nb"),
    ],
)
def test_the_last_turn_of_the_model_is_rewarded(turns, text):
    assert text == _text_of(turns)


def settings_of(model: Path, data: Path, output: Path, **other) -> GrpoSettings:
    return GrpoSettings(
        model=str(model),
        data=str(data),
        output=output,
        optimisation=Optimisation(steps=2, learning_rate=1e-3, batch_size=4, accumulation=1),
        rollouts=Rollouts(generations=4, max_completion_tokens=600),
        objective=Objective(noise_coordinates=0),
        tools="zoom",
        **other,
    )


def test_a_tool_is_a_setting_and_runs_without_one_stay_what_they_were(tmp_path):
    given = {"model": "m", "data": "shapes:tiny", "output": "o"}
    plain, zoom = (train_settings("grpo", given | tools, where="t") for tools in ({}, {"tools": "zoom"}))

    hashes = [input_hash(one, ("w", "c"), "d") for one in (plain, zoom, replace(zoom, tool_turns=2))]
    assert len(set(hashes)) == 3
    assert hashes[0] == input_hash(replace(plain, tool_turns=2), ("w", "c"), "d")
    with pytest.raises(ConfigError, match="tools"):
        train_settings("grpo", given | {"tools": "python"}, where="t")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("data") / "train.parquet"
    write_examples(path, shapes_examples("tiny", 8))
    return path


def quiet(**watch) -> TrainEnvironment:
    return TrainEnvironment(now=lambda: datetime.now(UTC), say=lambda _: None, packages={}, watch=Watch(**watch))


@pytest.mark.slow
def test_a_template_without_tools_is_refused(tiny_qwen3_vl, data, tmp_path):
    with pytest.raises(ConfigError, match="writes no tools"):
        train(settings_of(tiny_qwen3_vl, data, tmp_path / "grpo"), quiet())


@pytest.mark.slow
def test_trl_trains_on_rollouts_that_look_closer(tiny_qwen3_vl, data, tmp_path):
    from trl.chat_template_utils import qwen3_vl_chat_template

    model = tmp_path / "model"
    shutil.copytree(tiny_qwen3_vl, model)
    (model / "chat_template.json").write_text(json.dumps({"chat_template": qwen3_vl_chat_template}))
    pictures: list[list[int]] = []

    def script(trainer):
        """Make half of the first turns calls: an untrained model would never write one."""
        arguments = '{"bbox_2d": [100, 100, 600, 600], "label": "a"}'
        call = f'<tool_call>\n{{"name": "image_zoom_in_tool", "arguments": {arguments}}}\n</tool_call><|im_end|>'
        tokens = trainer.processing_class.tokenizer(call, add_special_tokens=False)["input_ids"]
        generate = trainer._generate_single_turn

        def scripted(prompt_ids, images, fields, num_generations, has_tool_images=False):
            pictures.append([len(shown) for shown in images])
            ids, logprobs = generate(prompt_ids, images, fields, num_generations, has_tool_images)
            ids = [written[:8] for written in ids]
            if not has_tool_images:
                ids = [tokens if place % 2 else written for place, written in enumerate(ids)]
            return ids, logprobs

        trainer._generate_single_turn = scripted

    train(settings_of(model, data, tmp_path / "grpo"), quiet(on_begin=script))

    log = json.loads((tmp_path / "grpo" / LOG_NAME).read_text())
    steps = [entry for entry in log if "reward" in entry]
    assert len(steps) == 2
    assert [entry["tools/call_frequency"] for entry in steps] == [0.5, 0.5]
    assert [entry["tools/failure_frequency"] for entry in steps] == [0.0, 0.0]
    assert [1] * 4 in pictures
    assert [2] * 2 in pictures, "those that called are shown the region beside the picture"
