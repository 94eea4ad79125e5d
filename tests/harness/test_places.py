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
def test_every_protocol_scores_a_place_by_the_same_rule_where_no_peer_has_one(rule, protocol):
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


PEER_CASES = json.loads((Path(__file__).parents[1] / "cases" / "places_peers.json").read_text(encoding="utf-8"))["rows"]


PEER_SIZE = Size(640, 480)


def refcoco(boxes=((100.0, 50.0, 300.0, 250.0),), size=PEER_SIZE) -> Sample:
    return Sample("1", "refcoco_val", "box", boxes_image_px=boxes, image_size=size)


@pytest.mark.parametrize("case", PEER_CASES, ids=lambda case: f"{case['protocol']}: {case['text']!r}")
def test_peers_read_the_box_of_refcoco_as_their_own_functions_do(case):
    for dialect in (None, dialect_named("list:xyxy:1000")):
        earned = score(refcoco(), case["text"], ScoreConfig(case["protocol"], format="plain", box_dialect=dialect))
        assert (earned.value, earned.iou) == (float(case["iou"] >= 0.5), pytest.approx(case["iou"], abs=1e-9))


@pytest.mark.parametrize("protocol", ["vlmevalkit", "lmms-eval"])
def test_a_peers_reading_names_what_it_cannot_say(protocol):
    config, answer = ScoreConfig(protocol), "<answer>[0.15, 0.10, 0.47, 0.52]</answer>"
    unknown_size = score(refcoco(size=None), answer, config)
    no_gold = score(refcoco(boxes=()), answer, config)
    no_box = score(refcoco(), "<answer>there</answer>", config)
    no_answer = score(refcoco(), "<bbox>[[100, 50, 300, 250]]</bbox>", config)

    assert (unknown_size.value, unknown_size.faults) == (None, ("missing", "frame_unknown"))
    assert (no_gold.value, no_gold.faults) == (None, ("missing", "no_gold"))
    assert (no_box.value, no_box.iou, "no_match" in no_box.faults) == (0.0, 0.0, True)
    assert (no_answer.value, "missing" in no_answer.faults) == (0.0, True)


@pytest.mark.parametrize("protocol", ["strict", "paper"])
def test_protocols_without_a_rule_of_their_own_read_the_runs_dialect(protocol):
    config = ScoreConfig(protocol, format="plain", box_dialect=dialect_named("list:xyxy:image_px"))

    assert score(refcoco(), "[100, 50, 300, 250]", config).value == 1.0


@pytest.mark.parametrize("protocol", ["vlmevalkit", "lmms-eval"])
@pytest.mark.parametrize("unit", ["1", "[1", "[1 ", "[ ", "1 , ", "1e", "-", ".", "[1,1,1,", "9" * 400 + ","])
def test_a_hostile_text_costs_peers_milliseconds(protocol, unit):
    started = time.process_time()
    earned = score(refcoco(), "[" + unit * (1_000_000 // len(unit)), ScoreConfig(protocol, format="plain"))

    assert time.process_time() - started < 2
    assert earned.iou is not None
    assert 0.0 <= earned.iou <= 1.0
