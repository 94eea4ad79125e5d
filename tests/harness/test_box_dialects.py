"""The ways in which model families write boxes: one place, many texts, the same box."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ConfigError
from harness.scoring.box_dialects import (
    DIALECT,
    SYNTAX,
    dialect_named,
    dialect_of_model_type,
    dialect_words,
    read_dialect_boxes,
    written_quadruples,
)
from harness.scoring.score import score
from harness.values import SATORI_LIST, BoxDialect, Sample, ScoreConfig, Size

# One place, 48 ways


CASES = json.loads((Path(__file__).parent.parent / "cases" / "box_dialects.json").read_text(encoding="utf-8"))


def scored(case, prediction):
    sample = Sample(
        id="1",
        task="satori",
        answer_rule="accepted",
        answers=("red",),
        boxes_image_px=tuple(tuple(box) for box in case["gold_image_px"]),
        image_size=Size(*case["image"]),
    )
    config = ScoreConfig(box_dialect=dialect_named(case["dialect"]))
    return score(sample, prediction, config, input_size=Size(*case["input"]))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_place_is_found_whichever_way_it_is_written(case):
    found = scored(case, f"<caption>a</caption><bbox>{case['text']}</bbox><answer>red</answer>")

    assert case["iou_min"] <= found.iou
    assert len(case["gold_image_px"]) == found.match.predicted
    assert (found.components.format, "other_dialect" in found.faults) in {(1.0, False), (0.0, True), (0.0, False)}
    assert case["native"] == (found.components.format == 0.0)
    assert found.value == 1.0


@pytest.mark.parametrize("case", CASES[::8], ids=lambda case: case["id"])
def test_place_is_found_outside_of_the_stage_and_costs_the_format(case):
    found = scored(case, f"<caption>a</caption>{case['text']}<answer>red</answer>")

    assert "missing" in found.faults or "unclosed" in found.faults
    if dialect_named(case["dialect"]).syntax == "satori":
        assert found.iou == 0.0, "the strict list is a stage, or nothing"
    else:
        assert case["iou_min"] <= found.iou


@pytest.mark.parametrize("case", CASES[::8], ids=lambda case: case["id"])
def test_boxes_of_a_thought_or_an_answer_are_no_place(case):
    found = scored(case, f"<think>{case['text']}</think><caption>a</caption><answer>{case['text']}</answer>")

    assert found.iou == 0.0


# One box among other things


@pytest.mark.parametrize(
    ("dialect", "text", "boxes", "faults"),
    [
        (
            "qwen3_vl",
            '[{"bbox_2d": [1, 2, 3]}, {"bbox_2d": [1, 2, 3, 4]}]',
            ((1, 2, 3, 4),),
            ("malformed", "other_dialect"),
        ),
        (
            "qwen3_vl",
            '[{"bbox_2d": [1, 2, 3, 4], "bbox_2d": [5, 6, 7, 8]}]',
            ((1, 2, 3, 4), (5, 6, 7, 8)),
            ("other_dialect",),
        ),
        ("qwen3_vl", '{"bbox_2d": [5, 6, 1, 2]}', (), ("inverted",)),
        ("qwen3_vl", '{"bbox_2d": [5, 6, 5, 9]}', (), ("degenerate",)),
        ("qwen3_vl", "[[5, 6, 1, 2]]", (), ("inverted",)),
        ("qwen3_vl", '{"bbox_2d": "[1, 2, 3, 4]"}', ((1, 2, 3, 4),), ("other_dialect",)),
        ("qwen3_vl", '{"bbox_2d": [-5, 2.5, 1203, 4e2]}', ((-5, 2.5, 1203, 400),), ("other_dialect",)),
        ("qwen3_vl", '{"label": "[1, 2, 3, 4]"}', (), ("malformed",)),
        ("glm4v", "<|begin_of_box|>1, 2, 3, 4<|end_of_box|>", ((1, 2, 3, 4),), ("other_dialect",)),
        ("qwen3_vl", "1, 2, 3, 4", ((1, 2, 3, 4),), ("other_dialect",)),
        ("qwen3_vl", "I see 1, 2, 3, 4", (), ("malformed",)),
        ("qwen3_vl", '{"bbox_2d": [1, 2, 3, 4', (), ("malformed",)),  # the last number may be cut off as well
        ("qwen3_vl", "no boxes here", (), ("malformed",)),
        ("qwen3_vl", "```json\n[]\n```", (), ("empty",)),
        ("qwen3_vl", "", (), ("empty",)),
        ("qwen3_vl", '[{"point_2d": [1, 2], "label": "a"}]', (), ("point",)),
        ("qwen3_vl", '<points coords="1 1 300 562">x</points>', (), ("point",)),
        ("qwen3_vl", "<point>300 562</point>", (), ("point",)),
        ("minicpmv4_6", "<ref>x</ref><point>300 562</point>", (), ("point",)),
        ("qwen3_vl", "click(point='<point>300 562</point>')", (), ("point",)),
        ("qwen3_vl", "click(start_box='(30,40)')", (), ("point",)),
        ("qwen3_vl", "Click(30, 40)", (), ("point",)),
        ("qwen2_vl", "(1,2)", (), ("point",)),
        ("qwen2_vl", "<|quad_start|>(1,2),(3,2),(3,4),(1,4)<|quad_end|>", (), ("quad",)),
        ("qwen2_vl", "cat(1,2),(3,4)dog(5,6),(7,8)", ((1, 2, 3, 4), (5, 6, 7, 8)), ("other_dialect",)),
        (
            "qwen2_vl",
            "(1,2) (3,4)\n[5,6],[7,8]\n(9,10,11,12)",
            ((1, 2, 3, 4), (5, 6, 7, 8), (9, 10, 11, 12)),
            ("other_dialect",),
        ),
        ("glm4v", "[[1,2],[3,2],[3,4],[1,4]]", (), ("quad",)),
        ("glm4v", "[1,2,3,2,3,4,1,4]", (), ("quad",)),
        ("loc:xyxy:1000", "x" + "<|LOC_7|>" * 8, (), ("quad",)),
        ("loc:xyxy:1000", "<loc_1><loc_2><loc_3><loc_4><loc_5>", ((1, 2, 3, 4),), ("malformed", "other_dialect")),
        ("minicpmv", "<box>1 2 3 4 5</box>", (), ("malformed",)),
        ("minicpmv", "<box>1, 2, 3, 4</box><box>[[5,6,7,8]]</box>", ((1, 2, 3, 4), (5, 6, 7, 8)), ("other_dialect",)),
        ("minicpmv", "t-shirt 1 2 3 4", ((1, 2, 3, 4),), ("other_dialect",)),
        ("minicpmv", "player 7 1 2 3 4", (), ("malformed",)),
        ("minicpmv", "1 2 3 4 and so on", (), ("malformed",)),
        ("muse_spark", "x_min=1, y_min=2, x_max=3", (), ("malformed",)),
        (
            "muse_spark",
            '{"x_min": 9, "x_min": 1, "y_min": 2, "x_max": 3, "y_max": 4}',
            ((1, 2, 3, 4),),
            ("other_dialect",),
        ),
        ("kosmos-2", "<patch_index_0000><patch_index_1023>", ((0.5, 0.5, 31.5, 31.5),), ("other_dialect",)),
        ("kosmos-2", "<patch_index_0033><patch_index_0033>", ((1, 1, 2, 2),), ("other_dialect",)),
        ("kosmos-2", "<patch_index_0033><patch_index_1024>", (), ("non_finite",)),
        ("satori", '[{"bbox_2d": [1, 2, 3, 4]}]', (), ("malformed",)),
        ("satori", "[[1, 2]]", (), ("malformed",)),
        ("list:xywh:1", "[[0.25, 0.5, 0.25, 0.25]]", ((0.25, 0.5, 0.5, 0.75),), ()),
        ("list:xywh:1", "[[0.25, 0.5, 0, 0.25]]", (), ("degenerate",)),
        ("paligemma", "[[2, 1, 4, 3]]", ((1, 2, 3, 4),), ()),  # the family's order holds for SATORI's list too
    ],
)
def test_text_is_read_in_its_dialect(dialect, text, boxes, faults):
    reading = read_dialect_boxes(text, dialect_named(dialect))

    assert (boxes, faults) == (reading.boxes, reading.faults)


@given(st.text(alphabet="[](){}<>\"'\\:,. 0123456789-ex_bloc|/\n", max_size=400), st.sampled_from(sorted(SYNTAX)))
def test_reader_is_total(text, syntax):
    reading = read_dialect_boxes(text, BoxDialect(syntax, "xyxy", 32.0))

    assert bool(reading.boxes) or bool(reading.faults)


COORDINATES = st.tuples(*[st.integers(0, 499)] * 2, *[st.integers(500, 1000)] * 2)
WRITERS = {
    "qwen3_vl": '{{"bbox_2d": [{0},{b}{1},{2},{b}{3}], "label": "{label}"}}',
    "glm4v": "<|begin_of_box|>[[{0}, {1},{b}{2}, {3}]]<|end_of_box|>",
    "internvl": "<ref>{label}</ref><box>[[{0}, {1},{b}{2}, {3}]]</box>",
    "minicpmv": "<ref>{label}</ref><box>{0} {1}{b} {2} {3}{b}</box>",
    "qwen2_vl": "<|object_ref_start|>{label}<|object_ref_end|><|box_start|>({0},{b}{1}),{b}({2},{3})<|box_end|>",
    "kosmos-2.5": "<x_{0}><y_{1}>{b}<x_{2}><y_{3}>{label}",
    "muse_spark": '{{"label": "{label}", "x_min":{b}{0}, "y_min": {1}, "x_max": {2},{b}"y_max": {3}}}',
    "florence2": "{label}<loc_{0}><loc_{1}>{b}<loc_{2}><loc_{3}>",
}


@given(
    st.sampled_from(sorted(WRITERS)),
    COORDINATES,
    st.text(alphabet="abc 12(),.[]:ä", max_size=12),
    st.sampled_from(["", " ", "\n", "\t "]),
    st.sampled_from(["{}", "```json\n{}\n```", "Here: {}", "{} That is all."]),
)
def test_dress_label_and_blanks_do_not_change_a_box(family, box, label, blank, dress):
    text = dress.format(WRITERS[family].format(*box, label=label, b=blank))

    assert (tuple(map(float, box)),) == read_dialect_boxes(text, dialect_named(family)).boxes


# Whatever a model writes costs milliseconds


HOSTILE = (
    "[" * 99_999,
    "[1," * 30_000,
    "[1 " * 30_000,
    '"a":"' * 19_000,
    "a" + " " * 99_000 + "b",
    "<loc_1>" * 14_000,
    "x1=1 " * 19_000,
    "(1,2)    " * 10_000,
    "1" * 99_999,
    "<patch_index_1>" * 6_000,
    "<ref>" * 19_000,
    "[1" + " ," * 45_000,
    "<|quad_start|>" * 7_000,
    "<box>1 " * 14_000,
    "- " * 45_000,
    "[[" + "], [".join(["1, 2, 3, 4"] * 10_000) + "]]",
    "(1,2),(3,4)" * 10_000,
    "<box>1 2 3 4</box>" * 10_000,
    "<loc_1><loc_2><loc_3><loc_4>" * 10_000,
    "<x_1><y_2><x_3><y_4>" * 10_000,
    '{"x_min": 1, "y_min": 2, "x_max": 3, "y_max": 4}' * 10_000,
    "<patch_index_0000><patch_index_1023>" * 10_000,
)


@pytest.mark.parametrize("syntax", sorted(SYNTAX))
def test_hostile_texts_cost_milliseconds(syntax):
    dialect = BoxDialect(syntax, "xyxy", 32.0)
    begin = time.process_time()
    for text in HOSTILE:
        read_dialect_boxes(text, dialect)
        written_quadruples(text)

    assert time.process_time() - begin < 0.2 * len(HOSTILE)


MANY_DIGITS = "9" * 400


@pytest.mark.parametrize(
    ("syntax", "text"),
    [
        ("list", f'{{"bbox": [1, 2, 3, {MANY_DIGITS}]}}'),
        ("corners", f"(1,2),(3,{MANY_DIGITS})"),
        ("box_tag", f"<box>1 2 3 {MANY_DIGITS}</box>"),
        ("loc", f"<loc_1><loc_2><loc_3><loc_{MANY_DIGITS}>"),
        ("xy", f"<x_1><y_2><x_3><y_{MANY_DIGITS}>"),
        ("named", f"x_min=1 y_min=2 x_max=3 y_max={MANY_DIGITS}"),
        ("patch", f"<patch_index_0><patch_index_{MANY_DIGITS}>"),
    ],
)
def test_numbers_too_large_for_a_float_are_named(syntax, text):
    assert read_dialect_boxes(text, BoxDialect(syntax, "xyxy", 32.0)).faults == ("non_finite",)


# Names


def test_every_family_says_where_its_dialect_comes_from():
    assert all(row.source for row in DIALECT.values())


@pytest.mark.parametrize("dialect", sorted({dialect_words(row.dialect) for row in DIALECT.values()}))
def test_words_of_a_dialect_name_it(dialect):
    assert dialect == dialect_words(dialect_named(dialect))


@pytest.mark.parametrize(
    ("words", "dialect"),
    [
        ("satori", SATORI_LIST),
        ("norm_1000", BoxDialect("satori", "xyxy", 1000.0)),
        ("input_px", BoxDialect("satori", "xyxy", "input_px")),
        ("Qwen2.5-VL", BoxDialect("list", "xyxy", "input_px")),
        ("kosmos2", BoxDialect("patch", "xyxy", 32.0)),
        ("list:yxyx:1024", BoxDialect("list", "yxyx", 1024.0)),
        ("list:xyxy:norm_1", BoxDialect("list", "xyxy", 1.0)),
        ("list:xyxy:1:square", BoxDialect("list", "xyxy", 1.0, padded_to_square=True)),
    ],
)
def test_names_of_dialects(words, dialect):
    assert dialect == dialect_named(words)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("qwen2_5vll", "Did you mean 'qwen2_5_vl'"),
        ("", "is not known"),
        ("list:xyxy", "SYNTAX:ORDER:UNIT is needed"),
        ("lst:xyxy:1", "Did you mean 'list'"),
        ("list:xxyy:1", "is no order"),
        ("list:xyxy:input", "Did you mean 'input_px'"),
        ("list:xyxy:0", "above 0"),
        ("list:xyxy:nan", "above 0"),
        ("list:xyxy:1e9", "above 0"),
        ("list:xyxy:input_px:square", "padded image"),
        ("named:yxyx:1000", "named:xyxy:1000"),
        ("patch:xyxy:image_px", "patch:xyxy:32"),
        ("list:xyxy:1:round", "SYNTAX:ORDER:UNIT is needed"),
    ],
)
def test_words_that_name_no_dialect_are_told(words, said):
    with pytest.raises(ConfigError, match="box dialect") as told:
        dialect_named(words)

    assert said in str(told.value)


@pytest.mark.parametrize("model_type", ["gemma3", "kimi_k25", "llava", "qwen4_exp", "idefics3", "paddleocr_vl", ""])
def test_family_without_an_established_unit_is_never_guessed(model_type):
    assert dialect_of_model_type(model_type) is None


def test_same_key_is_read_in_the_order_of_its_family():
    text = '[{"box_2d": [1, 2, 3, 4]}]'

    assert read_dialect_boxes(text, dialect_named("glm46v")).boxes == ((1, 2, 3, 4),)
    assert read_dialect_boxes(text, dialect_named("gemma4")).boxes == ((2, 1, 4, 3),)
