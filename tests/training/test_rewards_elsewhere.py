"""The rewards for ms-swift, verl and EasyR1, called as these call them, are the numbers of the one scorer."""

from __future__ import annotations

import importlib.util
import json
import math
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

import training.rewards_easyr1 as easyr1
import training.rewards_verl as verl
from harness.errors import ConfigError
from harness.scoring.score import score
from harness.values import PixelLimits, Sample, ScoreConfig, Size
from training.rewards_ms_swift import register

ROW = {
    "possible_answers": ["red", "Red"],
    "bboxs": [[10, 10, 50, 50]],
    "image_caption": "a red block on white paper",
    "width": 112,
    "height": 84,
}
RIGHT = "<caption>a red block on white paper</caption><bbox>[[10, 10, 50, 50]]</bbox><answer>red</answer>"
PARTLY = "<caption>paper</caption><bbox>[[10, 10, 30, 50]]</bbox><answer>blue</answer>"
TEXTS = [RIGHT, PARTLY, "", "no stage at all", "<answer>red</answer>", "[[" * 5_000]
NAMES = ["format", "bbox", "answer", "caption"]


def expected(text: str, **config) -> dict[str, float | None]:
    """What a benchmark shows for the text."""
    sample = Sample(
        id="",
        task="vqa_verify",
        answer_rule="accepted",
        answers=("red", "Red"),
        boxes_image_px=((10.0, 10.0, 50.0, 50.0),),
        caption=str(ROW["image_caption"]),
        image_size=Size(112, 84),
    )
    found = score(sample, text, ScoreConfig(**{"box_frame": "image_px", **config})).components
    return {name: getattr(found, name) for name in NAMES}


def swift(texts: list[str], columns: dict, names: list[str] | None = None, **options) -> dict[str, list]:
    """Call as ms-swift 4.6 does: classes out of a registry, made with `args`, called with completions and columns."""

    class ORM:
        def __init__(self, args=None, **kwargs):
            self.args = args

    orms: dict[str, type] = {"accuracy": ORM}
    entered = register(orms, ORM, **options)
    functions = [orms[name](args=object()) for name in names or entered]
    keywords = {"trainer_state": object(), "messages": [[{"role": "user"}]] * len(texts), **columns}
    return {type(function).__name__: function(texts, **keywords) for function in functions}


def test_ms_swift_gets_a_list_per_reward_equal_to_the_scores():
    columns = {name: [value] * len(TEXTS) for name, value in ROW.items()}

    found = swift(TEXTS, columns, box_frame="image_px")

    assert found == {f"satori_{name}": [expected(text)[name] for text in TEXTS] for name in NAMES}


def test_ms_swift_gets_none_where_a_row_has_no_gold():
    columns = {**{name: [value, value] for name, value in ROW.items()}, "bboxs": [ROW["bboxs"], None]}

    assert swift([RIGHT, RIGHT], columns, box_frame="image_px")["satori_bbox"] == [pytest.approx(1.0), None]


def test_ms_swifts_registry_keeps_what_was_there_and_is_told_the_names():
    orms: dict[str, object] = {"accuracy": 1}

    names = register(orms, object, box_frame="norm_1000", weights={"format": 1, "answer": 2, "bbox": 0})

    assert names == ["satori_format", "satori_answer"]
    assert set(orms) == {"accuracy", *names}


def verl_call(text: str, truth, extra=None, **options):
    """Call as verl 0.9 does: options bound beforehand, the rest by keyword, with arguments of its own."""
    bound = partial(verl.compute_score, **options)
    return bound(
        data_source="vqa_verify",
        solution_str=text,
        ground_truth=truth,
        extra_info={"num_turns": None, "rollout_reward_scores": {}, **(extra or {})},
        reward_router_address="127.0.0.1:1",
        reward_model_tokenizer=object(),
    )


GOLDS = [
    (ROW, {}),
    (json.dumps(ROW), {}),
    ("red", {name: value for name, value in ROW.items() if name != "possible_answers"}),
    (["red", "Red"], {**ROW, "possible_answers": None, "bboxs": np.array([[10, 10, 50, 50]])}),
    (np.array(["red", "Red"], dtype=object), {**ROW, "width": np.int64(112)}),
]  # fmt: skip


@pytest.mark.parametrize(("truth", "extra"), GOLDS)
@pytest.mark.parametrize("text", TEXTS)
def test_verl_gets_a_score_and_each_reward_whatever_the_gold_is_written_as(text, truth, extra):
    found = verl_call(text, truth, extra, box_frame="image_px")

    wanted = expected(text)
    assert list(found) == ["score", *NAMES]
    assert {name: found[name] for name in NAMES} == wanted
    assert found["score"] == pytest.approx(sum(wanted.values()) / 4)
    assert all(isinstance(value, float) for value in found.values())


def test_verl_is_called_from_many_threads_and_never_mixes_them():
    texts = [RIGHT, PARTLY] * 100

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda text: verl_call(text, ROW, box_frame="image_px")["score"], texts))

    assert found == [found[0], found[1]] * 100
    assert found[0] != found[1]


def easyr1_call(inputs, **options):
    """Call as EasyR1 does: the file by its path, the options bound beforehand, one argument by position."""
    spec = importlib.util.spec_from_file_location("custom_reward_fn", easyr1.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.REWARD_TYPE == "batch"
    return partial(module.compute_score, **options)(inputs)


@pytest.mark.parametrize("truth", [ROW, json.dumps(ROW)], ids=["mapping", "text"])
def test_easyr1_gets_a_list_for_a_batch_and_a_mapping_for_one(truth):
    inputs = [{"response": text, "response_length": 9, "ground_truth": truth} for text in TEXTS]

    batch = easyr1_call(inputs, box_frame="image_px")

    assert [{name: one[name] for name in NAMES} for one in batch] == [expected(text) for text in TEXTS]
    assert batch == [easyr1_call(one, box_frame="image_px") for one in inputs]
    assert batch[0]["overall"] == pytest.approx(1.0)


def test_a_reward_without_gold_is_nan_and_left_out_of_the_total():
    found = verl_call("<answer>red</answer>", "red", format="freeform", weights={"answer": 1})
    bare = verl_call(RIGHT, "red", {"width": 112, "height": 84}, box_frame="image_px")

    assert found == {"score": 1.0, "answer": 1.0}
    assert math.isnan(bare["bbox"])
    assert math.isnan(bare["caption"])
    assert bare["score"] == 1.0


def test_weights_count():
    found = verl_call(PARTLY, ROW, box_frame="image_px", weights={"answer": 3, "format": 1, "bbox": 0})

    assert found == {"score": 0.25, "answer": 0.0, "format": 1.0}


def test_boxes_in_input_pixels_are_placed_by_the_trainers_own_limits_or_sizes():
    limits = {"min_pixels": 4 * 112 * 84, "max_pixels": 8 * 112 * 84}
    text = RIGHT.replace("[[10, 10, 50, 50]]", "[[20, 20, 100, 100]]")

    by_limits = verl_call(text, ROW, box_frame="input_px", **limits)["bbox"]
    by_size = verl_call(text, {**ROW, "input_width": 224, "input_height": 168}, box_frame="input_px")["bbox"]

    config = ScoreConfig("strict", "satori", "input_px", PixelLimits(*limits.values()))
    assert by_limits == expected(text, box_frame="input_px", pixel_limits=config.pixel_limits)["bbox"]
    assert by_limits > 0.9
    assert by_size == pytest.approx(1.0, abs=1e-3)


def test_the_papers_rules_can_be_asked_for():
    text = RIGHT.replace("<answer>red</answer>", "<answer>RED</answer>")

    assert verl_call(text, ROW, box_frame="image_px", protocol="paper")["answer"] == 0.0
    assert verl_call(text, ROW, box_frame="image_px")["answer"] == 1.0


FAULTS = [
    ({}, "box_frame is missing"),
    ({"box_frame": "pixels"}, "box_frame: one of image_px, input_px, norm_1000, norm_1 is needed, found 'pixels'"),
    ({"box_frmae": "image_px"}, "unknown option box_frmae. Did you mean 'box_frame'?"),
    ({"box_frame": "image_px", "format": "xml"}, "format: one of"),
    ({"box_frame": "image_px", "protocol": "vlmevalkit"}, "rewards are `strict` or `paper`"),
    ({"box_frame": "image_px", "weights": {"iou": 1}}, "weights.iou: unknown reward"),
    ({"box_frame": "image_px", "weights": {"bbox": -1}}, "weights.bbox: a number from 0 on is needed, found -1"),
    ({"box_frame": "image_px", "weights": ["bbox"]}, "weights: a table of reward to weight is needed"),
    ({"box_frame": "image_px", "weights": {"bbox": 0}}, "no reward has a weight above 0"),
    ({"box_frame": "image_px", "weights": {"brevity": 1}}, "brevity needs the tokens"),
    ({"format": "freeform", "weights": {"caption": 1}}, "format freeform has no stage for caption"),
    ({"box_frame": "input_px", "min_pixels": 5}, "give both or neither"),
    ({"box_frame": "input_px", "min_pixels": 5, "max_pixels": "7"}, "max_pixels: a whole number above 0"),
    ({"box_frame": "input_px", "min_pixels": 9, "max_pixels": 7}, "min_pixels 9 is more than max_pixels 7"),
]


@pytest.mark.parametrize(("options", "fault"), FAULTS, ids=[fault for _, fault in FAULTS])
def test_a_wrong_option_is_refused_by_every_trainers_door(options, fault):
    doors = [
        lambda: register({}, object, **options),
        lambda: verl_call(RIGHT, ROW, **options),
        lambda: easyr1_call([{"response": RIGHT, "ground_truth": ROW}], **options),
    ]
    for door in doors:
        with pytest.raises(ConfigError) as caught:
            door()
        assert fault in str(caught.value)


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ({"question": "q"}, "no accepted answers (column possible_answers or answers or answer or solution)"),
        ({"answers": ["red"], "boxes": [[1, 1, 5, 5]]}, "no size of the image (column width or height)"),
    ],
)
def test_a_column_that_no_row_has_is_named(row, fault):
    with pytest.raises(ConfigError) as caught:
        verl_call(RIGHT, row, box_frame="image_px")

    assert fault in str(caught.value)


@pytest.mark.parametrize(
    "boxes", [[[50, 10, 10, 50]], [[0.1, 0.1, 0.5, 0.5]], "no boxes", [[1, 2, 3]], [[1, 2, 3, math.inf]], []]
)
def test_gold_boxes_that_cannot_be_right_reward_nothing_and_end_no_run(boxes):
    found = verl_call(RIGHT, {**ROW, "bboxs": boxes}, box_frame="image_px")

    assert math.isnan(found["bbox"])
    assert found["score"] == 1.0


def test_input_pixels_need_to_be_known():
    with pytest.raises(ConfigError, match="min_pixels and max_pixels as the trainer resizes"):
        verl_call(RIGHT, ROW, box_frame="input_px")


@pytest.mark.slow
def test_the_rewards_load_no_training_library():
    """Beside another trainer satori-bench is installed alone."""
    modules = ["rewards", "row_rewards", "rewards_ms_swift", "rewards_verl", "rewards_easyr1"]
    code = f"""
import sys
for name in {modules!r}:
    __import__("training." + name)
heavy = {{"torch", "transformers", "trl", "peft", "datasets", "accelerate", "lmms_eval", "pydantic", "pyarrow", "PIL"}}
print(sorted(heavy & set(sys.modules)))
"""

    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "[]"
