"""The grounded formats: what is read of texts of their own kind; nothing a model writes raises or takes long."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import ConfigError
from harness.scoring.formats import MARKED, check_protocol, format_dialect, format_named, has_places, marked_format
from harness.scoring.marked_text import MAX_STEPS
from harness.scoring.read_text import read_text, text_of_boxes
from harness.scoring.score import score
from harness.values import FORMATS, STAGE_FORMATS, BoxDialect, GroundedFormat, Sample, ScoreConfig, Size
from harness.vocabulary import MARKED_FORMATS

CASES = json.loads((Path(__file__).parents[1] / "cases" / "formats.json").read_text(encoding="utf-8"))
LIST = BoxDialect("list")
SAMPLE = Sample(
    id="1", task="satori", answer_rule="accepted", answers=("red",), boxes_image_px=((10, 20, 300, 200),),
    image_size=Size(1000, 500),
)  # fmt: skip
MARKS = {
    mark
    for form in MARKED.values()
    for pairs in (form.answer, form.thought, form.boxes)
    for pair in pairs
    for mark in (*pair, form.box_key)
}
FRAGMENTS = sorted(
    MARKS
    | {'{"bbox_2d": [1, 2, 30, 40]', '"source": "observation_1"}', '"target_image": 2}', "[1, 2, 3, 4]", "0.5,", "[["}
    | {"]", "{", "}", "<tool_response>", "</tool_response>", "<|im_start|>user", "<|im_start|>assistant"}
    | {'"answer": "', "\\", "\ud83d", "nan", "1e999"}
)
WEAR = [
    *("<think>", "<think></think>", "<answer>a</answer>", "<answer>", "<box>[1,2,3,4]</box>", "\\boxed{", "\\boxed{}"),
    *('"answer":"\\', "Answer:\n", '<tool_call>"bbox_2d"[0,0,1,1]"target_image":9</tool_call>', "<|im_start|>user"),
    *('{"bbox_2d":', "(1,2),(3,4)"),
]


def dialect_of(form):
    return format_dialect(form) or LIST


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['format']}: {case['about']}")
def test_a_text_of_its_own_kind_is_read(case):
    read = read_text(case["text"], case["format"], "strict", dialect_of(case["format"]))

    assert case["answer"] == read.answer
    boxes = None if read.boxes_written is None else [list(box) for box in read.boxes_written]
    assert case["boxes"] == boxes
    steps = [[[list(box) for box in step.boxes_written], step.source] for step in read.steps]
    assert (case["steps"] or []) == steps
    assert set(case["faults"]) == set(read.faults)
    assert read.format_ok is (not case["faults"])


def test_every_published_format_has_rows_of_its_own_and_six_that_are_wrong():
    wrong = Counter(case["format"] for case in CASES if case["faults"])
    right = Counter(case["format"] for case in CASES if not case["faults"])

    assert tuple(MARKED) == MARKED_FORMATS
    assert all(wrong[form] >= 6 and right[form] >= 1 for form in MARKED_FORMATS)


def test_a_cut_text_says_so_and_keeps_its_steps():
    read = read_text("<think>I see <box>[10,20,300,200]</box> and", "treevgr", "strict", LIST, truncated=True)

    assert read.faults == ("missing", "unclosed", "truncated")[1:]
    assert len(read.steps) == 1


@pytest.mark.parametrize("form", MARKED_FORMATS)
@given(pieces=st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=6), max_size=30))
@settings(max_examples=60, deadline=None)
def test_nothing_a_model_writes_raises(form, pieces):
    text = "".join(pieces)
    config = ScoreConfig(format=form, box_dialect=dialect_of(form))
    earned = score(SAMPLE, text, config, input_size=Size(500, 250))

    assert earned == score(SAMPLE, text, config, input_size=Size(500, 250))
    assert earned.iou is None or 0 <= earned.iou <= 1
    assert len(earned.steps) == len(earned.response.steps)
    assert all(step.is_valid or step.change is None for step in earned.steps)
    for selection in ("last", "lmms_eval"):
        read_text(text, form, selection, None)
    text_of_boxes(text, form)


@pytest.mark.parametrize("form", MARKED_FORMATS)
def test_a_megabyte_of_anything_takes_milliseconds(form):
    dialect = dialect_of(form)
    for piece in WEAR:
        text = piece * (1_000_000 // len(piece))
        began = time.process_time()
        read = read_text(text, form, "strict", dialect)
        taken_s = time.process_time() - began

        assert taken_s < 1.5, piece  # mostly 0.1; what grows with the square takes minutes
        assert len(read.steps) <= MAX_STEPS


@pytest.mark.parametrize("label", ["cat", "a [1, 2] b", "x, y; z", "Katze \u732b"])
@pytest.mark.parametrize("blank", ["", " ", "\n  "])
def test_label_and_blanks_change_no_box(label, blank):
    written = json.dumps({"bbox_2d": [10, 20, 300, 200], "label": label}).replace(", ", f",{blank}")
    text = f"<think>{blank}a</think>{blank}<tool_call>{blank}{written}{blank}</tool_call><answer>red</answer>"

    assert read_text(text, "deepeyes", "strict", LIST).boxes_written == ((10, 20, 300, 200),)


def test_an_unknown_format_is_named_with_what_was_meant_and_all_there_are():
    with pytest.raises(ConfigError) as caught:
        format_named("tree-vgr")

    assert "Did you mean 'treevgr'?" in str(caught.value)
    assert all(name in str(caught.value) for name in FORMATS)


def test_the_formats_of_stages_have_no_row():
    assert [marked_format(form) for form in STAGE_FORMATS] == [None] * len(STAGE_FORMATS)
    assert [has_places(form) for form in STAGE_FORMATS] == [True, True, True, False, False]
    with pytest.raises(ValueError, match="is not known"):
        marked_format("tree")


def test_the_papers_code_reads_no_other_format():
    with pytest.raises(ConfigError, match="cannot read format grit"):
        check_protocol("grit", "paper")
    check_protocol("plain", "paper")
    with pytest.raises(ValueError, match="cannot read format grit"):
        read_text("x", "grit", "paper_reward", LIST)


def test_a_format_of_marks_of_ones_own_is_read_by_them():
    mine = GroundedFormat(
        "mine", answer=(("ANSWER:", "\n"),), thought=(("[[", "]]"),), boxes=(("<<", ">>"),), boxes_in="thought"
    )
    text = "[[I look at <<[10, 20, 300, 200]>>]]\nanswer: red\nbye"
    earned = score(SAMPLE, text, ScoreConfig(format=mine, box_dialect=LIST))

    assert (earned.value, earned.iou, earned.faults) == (1.0, 1.0, ())
    assert len(earned.steps) == 1


def test_boxes_in_bins_and_in_a_padded_square_find_their_place():
    chart = "<box>10,40,300,400</box><grounding-sep>red"
    square = "[0.01, 0.27, 0.3, 0.45]\nred"  # of 1000 x 1000, with 250 rows above the picture

    for text, form in ((chart, "refchartqa"), (square, "visual-cot")):
        earned = score(SAMPLE, text, ScoreConfig(format=form, box_dialect=format_dialect(form)))
        assert earned.iou == pytest.approx(1, abs=0.01)
        assert earned.value == 1
