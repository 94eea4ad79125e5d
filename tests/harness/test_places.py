"""Answers that are places: the region or the point that is asked for, in every way of writing it."""

import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.scoring.box_dialects import dialect_named
from harness.scoring.places import read_points
from harness.scoring.score import score
from harness.values import PROTOCOLS, Sample, ScoreConfig, Size

CASES = json.loads((Path(__file__).parents[1] / "cases" / "places.json").read_text(encoding="utf-8"))
GOLD = (20.0, 20.0, 80.0, 60.0)


def sample(rule: str, boxes=(GOLD,)) -> Sample:
    return Sample("1", "t", rule, boxes_image_px=boxes, image_size=Size(200, 100))


def config_of(case: dict) -> ScoreConfig:
    dialect = None if case["dialect"] is None else dialect_named(case["dialect"])
    return ScoreConfig(format=case["format"], box_dialect=dialect)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['rule']}: {case['case']}")
def test_a_place_is_scored_as_a_careful_person_would(case):
    earned = score(sample(case["rule"]), case["text"], config_of(case))
    faults = [fault for fault in earned.faults if fault != "other_dialect"]

    assert (earned.value, faults) == (case["value"], case["faults"])
    assert earned.iou == (None if case["iou"] is None else pytest.approx(case["iou"], abs=0.005))
    assert earned.components.answer == earned.value


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("rule", ["box", "point"])
def test_every_protocol_scores_a_place_by_the_same_rule(rule, protocol):
    answer = "<caption>a box</caption><bbox>[[20,20,80,60]]</bbox>\n<answer>[20, 20, 80, 60]</answer>"

    assert score(sample(rule), answer, ScoreConfig(protocol=protocol)).value == 1


@pytest.mark.parametrize("boxes", [None, (), ((20.0, 20.0, 20.0, 60.0),), ((300.0, 20.0, 400.0, 60.0),)])
@pytest.mark.parametrize("rule", ["box", "point"])
def test_without_a_gold_box_in_the_image_nothing_can_be_said(rule, boxes):
    earned = score(sample(rule, boxes), "[20, 20, 80, 60]", ScoreConfig(format="plain"))

    assert (earned.value, earned.iou, earned.faults) == (None, None, ("no_gold",))


@pytest.mark.parametrize("rule", ["box", "point"])
@pytest.mark.parametrize("text", ["[1, 2] " * 100_000, "(" * 300_000, "x=1 " * 100_000, "1" * 1_000_000, "[9" * 50_000])
def test_an_endless_text_costs_milliseconds(rule, text):
    started = time.perf_counter()
    score(sample(rule), text[:99_999], ScoreConfig(format="plain"))
    score(sample(rule), text, ScoreConfig(format="plain"))

    assert time.perf_counter() - started < 2


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="[](){}<>xy:=,.-0129 \"'point/coords\n", max_size=60))
def test_no_text_raises_and_points_are_numbers(text):
    for order in ("xyxy", "yxyx"):
        points = read_points(text, dialect_named(f"list:{order}:1000"))
        assert all(abs(number) < 1e13 for point in points for number in point)
    for rule in ("box", "point"):
        assert score(sample(rule), text, ScoreConfig(format="plain")).value in {0.0, 1.0}


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_the_order_of_a_point_is_the_dialects(x, y):
    read = [read_points(f"point: [{a}, {b}]", dialect_named(f"list:{order}:1000"))
            for a, b, order in ((x, y, "xyxy"), (y, x, "yxyx"))]  # fmt: skip

    assert read == [[(x, y)], [(x, y)]]
