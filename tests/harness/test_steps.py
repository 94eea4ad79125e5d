"""Steps of a thought: where they lie in the image, what they earn, and how each lies to the one before."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.runs.record_codec import record_from_line, record_line
from harness.scoring.formats import format_dialect
from harness.scoring.score import score
from harness.scoring.steps import MOST_NESTED_CROPS, place_steps
from harness.summary.run_summary import summarise_records
from harness.values import BoxDialect, Generation, Record, Sample, ScoreConfig, Size, Step

SIZE = Size(1000, 500)
GOLD = ((100.0, 100.0, 300.0, 300.0),)
SAMPLE = Sample("1", "satori", "accepted", answers=("red",), boxes_image_px=GOLD, image_size=SIZE)
FRACTIONS = BoxDialect("list", "xyxy", 1.0)
MINI_O3 = ScoreConfig(format="mini-o3", box_dialect=format_dialect("mini-o3"))


def placed(*steps, gold=None, dialect=FRACTIONS):
    def in_image(boxes):
        return tuple((x1 * 1000, y1 * 500, x2 * 1000, y2 * 500) for x1, y1, x2, y2 in boxes)

    return place_steps([Step((box,), source) for box, source in steps], in_image, dialect, SIZE, gold)


def zooms(*steps):
    calls = "".join(
        f"<think>a</think><grounding>{json.dumps({'bbox_2d': box, 'source': source})}</grounding>"
        for box, source in steps
    )
    return f"{calls}<think>b</think><answer>red</answer>"


@pytest.mark.parametrize(
    ("before", "now", "change"),
    [
        ((0, 0, 1, 1), (0.2, 0.2, 0.5, 0.5), "narrows"),
        ((0.2, 0.2, 0.5, 0.5), (0, 0, 1, 1), "widens"),
        ((0, 0, 0.4, 0.4), (0.5, 0.5, 0.9, 0.9), "moves"),
        ((0, 0, 0.4, 0.4), (0.2, 0.2, 0.5, 0.5), "moves"),
        ((0, 0, 0.4, 0.4), (0, 0, 0.4, 0.4), "stays"),
        ((0, 0, 0.5, 0.5), (0.02, 0.02, 0.51, 0.5), "narrows"),
        ((0, 0, 0.4, 0.4), (0.01, 0, 0.41, 0.4), "moves"),
    ],
)
def test_a_step_lies_to_the_one_before_it(before, now, change):
    assert (None, change) == tuple(step.change for step in placed((before, 0), (now, 0)))


def test_a_crop_of_a_crop_is_followed_to_the_image():
    steps = placed(((0.5, 0, 1, 1), 0), ((0, 0.5, 0.5, 1), 1), ((0.5, 0.5, 1, 1), 2))

    assert [step.boxes_image_px[0] for step in steps] == [
        (500, 0, 1000, 500),
        (500, 250, 750, 500),
        (625, 375, 750, 500),
    ]


@pytest.mark.parametrize("source", [-1, 2, 7])
def test_a_source_that_is_not_there_is_a_named_fault(source):
    first, second = placed(((0, 0, 0.5, 0.5), 0), ((0, 0, 0.5, 0.5), source), gold=[(0, 0, 250, 250)])

    assert first.is_valid
    assert (second.is_valid, second.faults, second.iou, second.change) == (False, ("no_source",), 0.0, None)


def test_a_call_that_failed_showed_no_crop():
    steps = placed(((2, 2, 3, 3), 0), ((0, 0, 0.5, 0.5), 0), ((0, 0, 0.5, 0.5), 1))

    assert steps[0].faults == ("out_of_image",)
    assert steps[2].boxes_image_px == ((0, 0, 250, 125),)


def test_crops_are_followed_to_a_bounded_depth():
    steps = placed(*[((0.0, 0.0, 0.99, 0.99), place) for place in range(MOST_NESTED_CROPS + 1)])

    assert [step.faults for step in steps] == [()] * MOST_NESTED_CROPS + [("no_source",)]


def test_pixels_of_a_crop_are_in_no_known_frame():
    pixels = BoxDialect("list", "xyxy", "image_px")
    first, second = placed(((0, 0, 0.5, 0.5), 0), ((0, 0, 10, 10), 1), gold=[(0, 0, 10, 10)], dialect=pixels)

    assert first.iou is not None
    assert (second.faults, second.iou) == (("frame_unknown",), None)


@given(st.lists(st.tuples(*[st.floats(-2, 3, width=32)] * 4, st.integers(-1, 4)), max_size=8))
def test_every_place_lies_in_the_image_and_crops_in_what_they_crop(written):
    steps = placed(*[((x1, y1, x2, y2), source) for x1, y1, x2, y2, source in written if x1 < x2 and y1 < y2])

    for step in steps:
        for x1, y1, x2, y2 in step.boxes_image_px:
            assert 0 <= x1 < x2 <= 1000
            assert 0 <= y1 < y2 <= 500


def test_the_last_step_is_the_place_where_crops_follow_each_other():
    earned = score(SAMPLE, zooms(([0, 0, 0.5, 1], "original_image"), ([0.2, 0.2, 0.6, 0.6], "observation_1")), MINI_O3)

    assert earned.boxes_image_px == ((100, 100, 300, 300),)
    assert earned.iou == pytest.approx(1)
    assert [step.change for step in earned.steps] == [None, "narrows"]
    assert earned.faults == ()


def test_a_last_step_without_a_place_is_no_place():
    earned = score(SAMPLE, zooms(([0.1, 0.2, 0.3, 0.6], "original_image"), ([0, 0, 1, 1], "observation_4")), MINI_O3)

    assert (earned.iou, earned.faults, earned.boxes_image_px) == (0.0, ("no_source",), ())


def test_steps_are_stored_with_their_record_and_read_again():
    text = zooms(
        ([0, 0, 0.5, 1], "original_image"), ([0.2, 0.2, 0.6, 0.6], "observation_1"), ([0, 0, 1, 1], "observation_9")
    )
    record = Record(SAMPLE, Generation(text), score(SAMPLE, text, MINI_O3))

    assert record == record_from_line(record_line(record)[:-1], "a", 1)


def test_a_summary_counts_steps_and_says_how_they_go():
    texts = [
        zooms(([0, 0, 0.5, 1], "original_image"), ([0.2, 0.2, 0.6, 0.6], "observation_1")),
        zooms(([0.1, 0.2, 0.3, 0.6], "original_image"), ([0, 0, 1, 1], "observation_3")),
        "<think>a</think><answer>red</answer>",
    ]
    records = [
        Record(sample, Generation(text), score(sample, text, MINI_O3))
        for number, text in enumerate(texts)
        for sample in [replace(SAMPLE, id=str(number))]
    ]
    metrics = summarise_records(records, MINI_O3).tasks["satori"].metrics
    found = {name: (metrics[name].value, metrics[name].n) for name in metrics if "step" in name}

    assert found == {
        "valid_steps": (0.75, 2),
        "first_step_iou": (pytest.approx((40_000 / 250_000 + 1) / 2), 2),
        "last_step_iou": (pytest.approx(0.5), 2),
        "narrowing_steps": (1.0, 1),
    }
