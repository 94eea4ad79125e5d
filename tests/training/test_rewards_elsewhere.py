"""The rewards for ms-swift, verl and EasyR1, called as these call them, are the numbers of the one scorer."""

from __future__ import annotations

import importlib.util
import json
import logging
import math
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import training.rewards_easyr1 as easyr1
import training.rewards_verl as verl
from harness.errors import ConfigError
from harness.evaluation.predictions import score_lines
from harness.scoring.box_dialects import dialect_named
from harness.scoring.score import score
from harness.values import PixelLimits, Sample, ScoreConfig, Size
from tasks.catalog import BENCHMARKS
from training.data.gold_answers import read_gold_answers
from training.rewards_ms_swift import register
from training.stages.row_rewards import RowRewards, read_options, row_of_gold

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
    found = score(sample, text, ScoreConfig(**config)).components
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


@pytest.mark.parametrize(
    ("text", "stages"),
    [
        ("<answer>red</answer>", 0.0),
        ("<caption>a</caption><answer>red</answer>", -0.02),
        ("<bbox>[[4,4,24,24]]</bbox><answer>red</answer>", -0.3),
        (RIGHT, -0.32),
        ("<caption>a", -0.32),
    ],
)
def test_every_trainer_pays_the_same_price_for_a_stage(text, stages):
    options = {
        "format": "satori-adaptive",
        "weights": {"answer": 1.0, "stages": 1.0},
        "stage_costs": {"caption": 0.02, "bbox": 0.3},
    }
    found = verl_call(text, ROW, **options)
    right = float("<answer>" in text)

    assert found == pytest.approx({"score": (right + stages) / 2, "answer": right, "stages": stages})
    assert easyr1_call({"response": text, "ground_truth": ROW}, **options)["stages"] == pytest.approx(stages)
    (name,) = register({}, object, **(options | {"weights": {"stages": 1.0}}))
    assert name == "satori_stages"


def test_boxes_in_input_pixels_are_placed_by_the_trainers_own_limits_or_sizes():
    limits = {"min_pixels": 4 * 112 * 84, "max_pixels": 8 * 112 * 84}
    text = RIGHT.replace("[[10, 10, 50, 50]]", "[[20, 20, 100, 100]]")

    by_limits = verl_call(text, ROW, box_frame="input_px", **limits)["bbox"]
    by_size = verl_call(text, {**ROW, "input_width": 224, "input_height": 168}, box_frame="input_px")["bbox"]

    config = ScoreConfig("strict", "satori", dialect_named("input_px"), PixelLimits(*limits.values()))
    assert by_limits == expected(text, box_dialect=dialect_named("input_px"), pixel_limits=config.pixel_limits)["bbox"]
    assert by_limits > 0.9
    assert by_size == pytest.approx(1.0, abs=1e-3)


def test_the_papers_rules_can_be_asked_for():
    text = RIGHT.replace("<answer>red</answer>", "<answer>RED</answer>")

    assert verl_call(text, ROW, box_frame="image_px", protocol="paper")["answer"] == 0.0
    assert verl_call(text, ROW, box_frame="image_px")["answer"] == 1.0


FAULTS = [
    ({}, "box_frame is missing"),
    ({"box_frame": "pixels"}, "box_frame: one of image_px, input_px, norm_1000, norm_1 is needed, found 'pixels'"),
    ({"box_dialect": "gema4"}, "Did you mean 'gemma4'"),
    ({"box_dialect": "gemma4", "box_frame": "norm_1"}, "give one"),
    ({"box_frmae": "image_px"}, "unknown option box_frmae. Did you mean 'box_frame'?"),
    ({"box_frame": "image_px", "format": "xml"}, "format: one of"),
    ({"box_frame": "image_px", "protocol": "vlmevalkit"}, "rewards are `strict` or `paper`"),
    ({"box_frame": "image_px", "weights": {"iou": 1}}, "weights.iou: unknown reward"),
    ({"box_frame": "image_px", "weights": {"bbox": -1}}, "weights.bbox: a number from 0 on is needed, found -1"),
    ({"box_frame": "image_px", "weights": ["bbox"]}, "weights: a table of reward to weight is needed"),
    (
        {"format": "satori-adaptive"},
        "a text may leave out caption and bbox, and what is not there earns and loses nothing",
    ),
    ({"format": "satori-adaptive", "weights": {"answer": 1, "bbox": 1}}, "drop bbox and give `stages` a weight"),
    ({"box_frame": "image_px", "weights": {"stages": 1}}, "asks for all of its stages, so that none has a price"),
    (
        {"format": "satori-adaptive", "stage_costs": {"boxes": 1}},
        "stage_costs.boxes: unknown stage. Did you mean 'bbox'?",
    ),
    ({"format": "satori-adaptive", "stage_costs": 0.1}, "stage_costs: a table of stage to cost is needed, found 0.1"),
    ({"format": "satori-adaptive", "stage_costs": {"bbox": "0.1"}}, "stage_costs.bbox: a number from 0 on is needed"),
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


# --- the same gold and the same text earn the same ------------------------------------------------------------------

GOLD_CASES = json.loads((Path(__file__).parents[1] / "cases" / "reward_golds.json").read_text(encoding="utf-8"))


def rewards_of(names: list[str], protocol: str) -> RowRewards:
    """New rewards, which have warned of nothing yet."""
    return RowRewards(read_options({"box_frame": "norm_1", "protocol": protocol, "weights": dict.fromkeys(names, 1)}))


@pytest.fixture(autouse=True)
def logged(caplog):
    """Whatever a command set before in this process: warnings are recorded here."""
    caplog.set_level(logging.WARNING)


def warnings_in(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


@pytest.mark.parametrize("case", GOLD_CASES, ids=[f"{case['kind']}: {case['name']}" for case in GOLD_CASES])
def test_a_ground_truth_is_read_for_what_it_says(case, caplog):
    row = row_of_gold(case["gold"], case.get("beside"))

    found = rewards_of(["answer"], case["protocol"]).column(
        "answer", [f"<answer>{case['says']}</answer>"] * 2, [row] * 2
    )

    assert found == [case["answer"]] * 2
    warned = warnings_in(caplog)
    assert len(warned) == ("warns" in case)
    assert all(f"the answer gold of a row cannot be used ({case['warns']}: " in text for text in warned)


short_texts = st.text(alphabet="aB4? .,'\"[]{}é", max_size=6)
gold_texts = st.lists(short_texts | st.sampled_from(["red", "Red ", "4", "?", "...", "red?", "", " "]), max_size=4)
SPELLINGS = {
    "list": lambda texts: texts,
    "tuple": tuple,
    "array": lambda texts: np.array(texts, dtype=object),
    "JSON text": json.dumps,
    "Python text": repr,
    "text": lambda texts: texts[0] if texts else "",
    "structs": lambda texts: [{"answer": text, "answer_id": 1} for text in texts],
    "struct of a list": lambda texts: {"answer": texts, "answer_id": [1]},
    "absent": lambda _: None,
    "NaN": lambda _: math.nan,
    "nested": lambda texts: [texts],
}
ALIASES = ["possible_answers", "answers", "answer", "solution"]


@st.composite
def golds_and_texts(draw):
    """A gold cell, the ground truth and further columns that hold it, and texts that may say one of its answers."""
    texts = draw(gold_texts)
    cell = draw(st.sampled_from(list(SPELLINGS.values())))(texts)
    alias = draw(st.sampled_from(ALIASES))
    other = draw(st.dictionaries(st.sampled_from(ALIASES), st.just(["blue", "a"]), max_size=3))
    if isinstance(cell, str | list) and draw(st.booleans()):
        truth, beside = cell, other
    elif draw(st.booleans()):
        truth, beside = {alias: cell}, ({} if isinstance(cell, float) or cell is None else other)
    else:
        truth, beside = None, {alias: cell}
    said = draw(st.lists(st.sampled_from(texts) | short_texts if texts else short_texts, min_size=1, max_size=3))
    return cell, truth, beside, [f"<answer>{text}</answer>" for text in said] + ["no stage", "<answer></answer>"]


def benchmark_sample(columns: dict) -> Sample | None:
    """What a benchmark reads of a row; None where it cannot be read, which a benchmark scores as null."""
    try:
        sample = BENCHMARKS["shapes"].adapter.sample_of({"id": "1", "question": "q", **columns})
    except ValueError:
        return None
    return replace(sample, image_size=Size(112, 84))


@pytest.mark.parametrize("protocol", ["strict", "paper"])
@given(drawn=golds_and_texts())
def test_a_reward_is_what_a_benchmark_shows_for_the_same_gold_and_text(protocol, drawn):
    cell, truth, beside, texts = drawn
    sample = benchmark_sample({"answers": cell})
    row = row_of_gold(truth, beside)

    rewarded = rewards_of(["answer", "format"], protocol).column("answer", texts, [row] * len(texts))

    config = ScoreConfig(protocol, "satori", dialect_named("norm_1"))
    assert rewarded == [None if sample is None else score(sample, text, config).components.answer for text in texts]


@pytest.mark.parametrize("protocol", ["strict", "paper"])
@given(golds=gold_texts.filter(lambda texts: texts and all(map(str.strip, texts))), said=gold_texts)
def test_a_reward_is_what_score_shows_for_a_line_of_the_same_gold_and_text(protocol, golds, said):
    """Of golds without blank ones: `score` takes a line's list as it stands, who reads cells leaves them out."""
    texts = [f"<answer>{text or 'x'}</answer>" for text in [*golds, *said]]
    lines = [json.dumps({"id": "1", "task": "vqa_verify", "answers": golds, "prediction": text}) for text in texts]
    shown = [
        line.score.components.answer
        for line in score_lines(lines, ScoreConfig(protocol, "satori", dialect_named("norm_1")))
    ]

    assert rewards_of(["answer"], protocol).column("answer", texts, [{"answers": golds}] * len(texts)) == shown


@pytest.mark.parametrize("protocol", ["strict", "paper"])
@pytest.mark.parametrize(
    "change",
    [
        {"boxes": [[10, 10, 116, 50]]},
        {"boxes": [[-5, 10, 50, 90], [60, 60, 80, 85]]},
        {"boxes": "[10, 10, 50, 50]"},
        {"boxes": None},
        {"boxes": []},
        {"caption": " "},
        {"caption": ""},
        {"caption": "..."},
        {"caption": ["a red block on white paper"]},
        {"caption": {"text": "a red block"}},
        {"caption": math.nan},
        {"caption": None},
    ],
    ids=str,
)
def test_boxes_and_captions_are_rewarded_as_a_benchmark_scores_them(protocol, change):
    columns = {"answers": ["red"], "boxes": [[10, 10, 50, 50]], "caption": "a red block on white paper", **change}
    sample = benchmark_sample(columns)
    written = RIGHT.replace("[[10, 10, 50, 50]]", "[[0.1, 0.1, 0.9, 0.6]]")
    texts = [written, RIGHT, written.replace("a red block on white paper", "..."), ""]
    rewards = rewards_of(["bbox", "caption"], protocol)

    rows = [{**columns, "width": 112, "height": 84}] * len(texts)
    found = {name: rewards.column(name, texts, rows) for name in ("bbox", "caption")}

    scores = [
        score(sample, text, ScoreConfig(protocol, "satori", dialect_named("norm_1"))).components for text in texts
    ]
    assert found == {"bbox": [one.bbox for one in scores], "caption": [one.caption for one in scores]}


@pytest.mark.parametrize("caption", [["one", "two"], {"x": "one"}, {"caption": "one", "id": 3}, b"\xff"], ids=str)
def test_a_caption_that_cannot_be_read_is_named_and_not_rewarded(caption, caplog):
    found = rewards_of(["caption"], "paper").column("caption", [RIGHT], [{"caption": caption}])

    assert found == [None]
    assert ["the caption gold of a row cannot be used (empty_caption: " in text for text in warnings_in(caplog)] == [
        True
    ]


def test_training_data_and_rewards_read_the_same_answers_each_once():
    found = read_gold_answers(["red", "", "red", "Red", " "])

    assert (found.texts, found.has_blank, found.fault) == (("red", "Red"), True, "")


# --- gold boxes in another frame ------------------------------------------------------------------------------------

BIG = (1600, 1200)


def boxes_in(frame: str, count: int) -> list[list[float]]:
    """Gold boxes of drawn things that lie anywhere on big images, written in a frame."""
    rng = np.random.default_rng(5)
    found = []
    for _ in range(count):
        sides = rng.uniform(0.1, 0.6, 2)
        x, y = rng.uniform(0, 1 - sides)
        edges = np.array([x, y, x + sides[0], y + sides[1]])
        if frame == "norm_1000":
            found.append(np.rint(edges * 1000).tolist())
        elif frame == "percent":
            found.append((edges * 100).round(1).tolist())
        elif frame == "norm_1":
            found.append(edges.round(3).tolist())
        elif frame == "xywh":
            found.append(np.rint(np.array([x, y, *sides]) * [*BIG, *BIG]).tolist())
        else:
            found.append(np.rint(edges * [*BIG, *BIG]).tolist())
    return found


def reward_boxes(boxes: list[list[float]], *, times: int = 1) -> None:
    """Let a trainer ask for every reward of each row, as often as it has completions of it."""
    rewards = rewards_of(["bbox", "format"], "strict")
    for box in boxes:
        for _ in range(times):
            rewards.scores(RIGHT, {"bboxs": [box], "width": BIG[0], "height": BIG[1]}, "score")


@pytest.mark.parametrize("frame", ["norm_1000", "percent", "norm_1", "xywh"])
def test_gold_boxes_in_another_frame_are_noticed_once(frame, caplog):
    reward_boxes(boxes_in(frame, 64), times=2)

    said = [text for text in warnings_in(caplog) if text.startswith(f"the gold boxes look like {frame} (")]
    assert len(said) == 1
    assert "data verify" in said[0]


def test_gold_boxes_in_pixels_are_not_doubted(caplog):
    reward_boxes(boxes_in("image_px", 200))

    assert warnings_in(caplog) == []


def test_a_row_that_comes_many_times_is_one_row(caplog):
    """The thousandths of one row alone prove nothing, however many completions it gets."""
    reward_boxes(boxes_in("norm_1000", 4), times=50)

    assert warnings_in(caplog) == []


def test_input_pixels_need_to_be_known():
    with pytest.raises(ConfigError, match="min_pixels and max_pixels as the trainer resizes"):
        verl_call(RIGHT, ROW, box_frame="input_px")


@pytest.mark.slow
def test_the_rewards_load_no_training_library():
    """Beside another trainer satori-bench is installed alone."""
    modules = ["stages.rewards", "stages.row_rewards", "rewards_ms_swift", "rewards_verl", "rewards_easyr1"]
    code = f"""
import sys
for name in {modules!r}:
    __import__("training." + name)
heavy = {{"torch", "transformers", "trl", "peft", "datasets", "accelerate", "lmms_eval", "pydantic", "pyarrow", "PIL"}}
print(sorted(heavy & set(sys.modules)))
"""

    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "[]"


def test_a_family_s_brackets_are_paid_for_only_where_the_options_say_so():
    native = RIGHT.replace("[[", '[{"bbox_2d": [').replace("]]", "]}]")

    assert native != RIGHT
    assert verl_call(native, ROW, box_frame="image_px")["bbox"] == 0.0
    assert (
        verl_call(native, ROW, box_dialect="list:xyxy:image_px")["bbox"]
        == verl_call(RIGHT, ROW, box_frame="image_px")["bbox"]
    )
    assert verl_call(native, ROW, box_dialect="list:xyxy:image_px")["format"] == 0.0
