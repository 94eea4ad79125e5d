"""A record becomes a JSON line and comes back equal, whatever a model or a data set put into it."""

from __future__ import annotations

import json
import math
import pickle
import time
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.runs.json_text import json_safe, parse_object
from harness.runs.record_codec import (
    CorruptRecordError,
    record_from_json,
    record_from_line,
    record_line,
    record_to_json,
)
from harness.values import (
    FAULTS,
    AnswerRule,
    BoxMatch,
    Components,
    Generation,
    Record,
    Sample,
    Score,
    Size,
)

BARE = Record(Sample("1", "mmstar", "choice"), Generation("B"), Score(None, None, Components()))
FULL = Record(
    Sample(
        id="12",
        task="mmstar",
        answer_rule="choice",
        question="What?",
        answers=("B",),
        choices={"B": "dog", "A": "cat"},
        category="perception",
        l2_category="colour",
        cluster="image-7",
        boxes_image_px=((1.0, 2.5, 3.0, 4.0),),
        caption="a dog",
        image_size=Size(640, 480),
        image_sha256="ab" * 32,
        extra={"index": 3, "nested": [1, None, {"x": "y"}], "share": 0.1},
    ),
    Generation("<answer>B</answer>", Size(644, 476), 400, 8, 0.125, truncated=True),
    Score(
        value=1.0,
        extracted="B",
        components=Components(1.0, 0.25, 0.5, 1.0),
        iou=0.5,
        match=BoxMatch(2, 1, 0.5, 1),
        boxes_image_px=((0.0, 1e-9, 1e300, 4.0),),
        faults=("out_of_image", "no_match"),
    ),
    repeat=2,
    judge_reply="B\u2028",
    judge_error="429: busy",
)

HOSTILE_TEXTS = json.loads((Path(__file__).parents[1] / "cases" / "hostile_texts.json").read_text(encoding="utf-8"))


def round_trip(record):
    return record_from_line(record_line(record)[:-1], "samples.jsonl", 1)


def paired(text):
    """Return the text with side-by-side surrogates joined, as any JSON reader joins them."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


texts = st.text(alphabet=st.characters(exclude_categories=()), max_size=20).map(paired)
shares = st.none() | st.floats(0, 1)
seconds = st.none() | st.floats(0, 1e9)
counts = st.none() | st.integers(0, 2**40)
boxes = st.none() | st.lists(st.tuples(*[st.floats(allow_nan=False, allow_infinity=False)] * 4), max_size=3).map(tuple)
sizes = st.none() | st.builds(Size, st.integers(1, 10**6), st.integers(1, 10**6))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
records = st.builds(
    Record,
    st.builds(
        Sample,
        id=texts,
        task=texts,
        answer_rule=st.sampled_from(get_args(AnswerRule)),
        question=texts,
        answers=st.none() | st.lists(texts, max_size=3).map(tuple),
        choices=st.dictionaries(texts, texts, max_size=3),
        category=texts,
        l2_category=texts,
        cluster=texts,
        boxes_image_px=boxes,
        caption=st.none() | texts,
        image_size=sizes,
        image_sha256=texts,
        extra=st.dictionaries(texts, json_values, max_size=3),
    ),
    st.builds(
        Generation,
        text=texts,
        input_size=sizes,
        input_tokens=counts,
        output_tokens=counts,
        device_s=seconds,
        latency_s=seconds,
        truncated=st.booleans(),
        error=st.none() | texts,
    ),
    st.builds(
        Score,
        value=shares,
        extracted=st.none() | texts,
        components=st.builds(Components, shares, shares, shares, shares),
        iou=shares,
        match=st.none()
        | st.builds(BoxMatch, st.integers(0, 99), st.integers(0, 99), st.floats(0, 99), st.integers(0, 99)),
        boxes_image_px=boxes,
        faults=st.lists(st.sampled_from(FAULTS), max_size=3).map(tuple),
    ),
    repeat=st.integers(0, 10**6),
    judge_reply=st.none() | texts,
    judge_error=st.none() | texts,
)


@settings(deadline=None, max_examples=200)
@given(records)
def test_every_record_comes_back_equal_from_one_ascii_line(record):
    line = record_line(record)

    assert line.isascii()
    assert line.index(b"\n") == len(line) - 1
    assert record_from_line(line[:-1], "samples.jsonl", 1) == record


@pytest.mark.parametrize("record", [BARE, FULL])
def test_bare_and_full_records_come_back_equal(record):
    assert round_trip(record) == record


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
def test_hostile_text_survives_in_every_text_field(text):
    record = Record(
        replace(
            FULL.sample, id=text, task=text, question=text, answers=(text,), choices={text: text}, extra={text: text}
        ),
        replace(FULL.generation, text=text, error=text),
        replace(FULL.score, extracted=text),
        judge_reply=text,
    )

    assert round_trip(record) == record


def test_order_of_choices_is_kept():
    assert list(round_trip(FULL).sample.choices) == ["B", "A"]


def test_none_and_empty_stay_apart():
    empty = replace(BARE, sample=replace(BARE.sample, answers=(), boxes_image_px=()))

    assert round_trip(empty) == empty
    assert round_trip(BARE).sample.answers is None


def test_side_by_side_surrogates_are_read_back_as_their_character():
    record = replace(BARE, generation=Generation("\ud83d\ude00"))

    assert round_trip(record).generation.text == "\U0001f600"


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_non_finite_numbers_are_written_as_null(bad):
    record = Record(
        replace(FULL.sample, extra={"a": bad, "b": [bad, 1]}, boxes_image_px=((bad, 1.0, 2.0, 3.0),)),
        replace(FULL.generation, device_s=bad, latency_s=bad),
        Score(bad, None, Components(bad, bad, bad, bad), bad, BoxMatch(1, 1, bad, 0)),
    )
    fields = json.loads(record_line(record), parse_constant=pytest.fail)

    assert fields["extra"] == {"a": None, "b": [None, 1]}
    assert fields["boxes"] == [[None, 1.0, 2.0, 3.0]]
    assert fields["score"] is None
    assert (fields["device_s"], fields["latency_s"]) == (None, None)


def test_null_coordinate_is_read_as_nan():
    record = replace(BARE, sample=replace(BARE.sample, boxes_image_px=((math.inf, 1.0, 2.0, 3.0),)))
    (box,) = round_trip(record).sample.boxes_image_px

    assert math.isnan(box[0])
    assert box[1:] == (1.0, 2.0, 3.0)


def test_finite_sides_whose_sum_overflows_are_kept():
    record = replace(BARE, sample=replace(BARE.sample, boxes_image_px=((1e308, 1e308, 1e308, -0.5),)))

    assert round_trip(record) == record


def test_extra_that_no_reader_could_read_becomes_null():
    deep = value = []
    for _ in range(100_000):
        value.append([])
        value = value[0]
    record = replace(BARE, sample=replace(BARE.sample, extra={"deep": deep, "huge": 10**5000}))
    back = round_trip(record).sample.extra

    assert back["huge"] is None
    assert isinstance(back["deep"], list)


@pytest.mark.parametrize("bad", [{1, 2}, b"bytes", object(), {1: "x"}])
def test_extra_that_is_no_json_is_an_error_that_names_the_sample(bad):
    record = replace(BARE, sample=replace(BARE.sample, extra={"x": bad}))

    with pytest.raises(TypeError, match="sample '1' of 'mmstar'"):
        record_line(record)


def test_json_safe_does_not_change_its_input():
    value = {"a": [math.nan]}
    json_safe(value)

    assert math.isnan(value["a"][0])


def test_whole_numbers_for_floats_are_read_as_floats():
    value = record_from_json(record_to_json(FULL) | {"score": 1, "iou": 0}).score

    assert (value.value, type(value.value), value.iou) == (1.0, float, 0.0)


def test_unknown_fields_are_passed_over_and_nullable_ones_may_be_absent():
    fields = {name: value for name, value in record_to_json(BARE).items() if value is not None}

    assert record_from_json(fields | {"from_the_future": 1}) == BARE


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("task", 3, "'task' must be text, found 3"),
        ("text", None, "'text' must be text, found null"),
        ("repeat", True, "'repeat' must be a whole number from 0 on, found True"),
        ("repeat", 1.0, "'repeat' must be a whole number"),
        ("truncated", 1, "'truncated' must be true or false"),
        ("score", "1", "'score' must be a number from 0 to 1 or null, found '1'"),
        ("score", 1e400, "'score' must be a number from 0 to 1 or null, found inf"),
        ("score", 10**400, "'score' must be a number from 0 to 1 or null, found a huge number"),
        ("answers", ["a", 1], r"'answers\[1\]' must be text, found 1"),
        ("answers", "abc", "'answers' must be a list or null, found 'abc'"),
        ("choices", {"A": 1}, "'choices.A' must be text, found 1"),
        ("boxes", [[1, 2, 3]], "'boxes' must be a list of boxes of four numbers or null, found a list of 1"),
        ("boxes", [[1, 2, 3, "4"]], "'boxes'"),
        ("boxes", [1, 2, 3, 4], "'boxes'"),
        ("faults", ["not_a_fault"], "'not_a_fault'"),
        ("faults", [["no_match"]], r"'faults\[0\]' must be a fault that this satori-bench knows, found a list of 1"),
        ("answer_rule", "guess", "'guess'"),
        ("components", None, "'components'"),
        ("components", {"format": "x"}, "'components.format' must be a number from 0 to 1 or null, found 'x'"),
        ("match", {"gold": 1}, "'match.predicted' is missing"),
        ("width", None, "together"),
        ("text", ["x" * 10**6], "a list of 1"),
    ],
)
def test_wrong_field_is_an_error_that_names_it(field, value, why):
    with pytest.raises(ValueError, match=why) as caught:
        record_from_json(record_to_json(FULL) | {field: value})

    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("field", ["task", "id", "text", "answer_rule", "repeat", "extra"])
def test_absent_field_is_an_error_that_names_it(field):
    fields = record_to_json(FULL)
    del fields[field]

    with pytest.raises(ValueError, match=f"'{field}' is missing"):
        record_from_json(fields)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b'{"task": NaN}',
        b"\xff\xfe",
        b"\x00" * 100,
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b'{"id": ' + b"9" * 5000 + b"}",
        record_line(FULL)[:-20],
    ],
)
def test_corrupt_line_is_an_error_that_names_file_and_line(line):
    with pytest.raises(CorruptRecordError, match=r"runs/x/samples\.jsonl line 17 is not a record") as caught:
        record_from_line(line, "runs/x/samples.jsonl", 17)

    assert (caught.value.path, caught.value.line_number) == ("runs/x/samples.jsonl", 17)


def test_corrupt_record_error_survives_pickling():
    error = CorruptRecordError("a.jsonl", 3, "why")

    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_parse_object_refuses_what_is_no_object():
    with pytest.raises(ValueError, match="a list of 2, not an object"):
        parse_object("[1, 2]")


def exact(value):
    """Tell apart what compares equal: 1 and 1.0 and True, 0.0 and -0.0; keys in order."""
    if isinstance(value, dict):
        return [(key, exact(item)) for key, item in value.items()]
    return [exact(item) for item in value] if isinstance(value, list) else (type(value), repr(value))


@settings(max_examples=400, deadline=None)
@given(
    st.dictionaries(
        st.text(max_size=5),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
            lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
            max_leaves=12,
        ),
        max_size=6,
    ),
    st.booleans(),
)
def test_an_object_is_read_as_the_standard_library_reads_it(value, ascii_only):
    text = json.dumps(value, ensure_ascii=ascii_only)

    assert exact(parse_object(text)) == exact(json.loads(text))


@pytest.mark.parametrize(
    "text",
    [
        r'{"a": "\ud800"}',
        '{"a": 123456789012345678901234567890123456789012345678901234567890}',
        '{"a": 1, "a": 2}',
        '{"a": 0.1234567890123456789, "b": 5e-324, "c": 1.7976931348623157e308, "d": -0.0, "e": 1E5}',
        ' {"a" : [ ] }\t',
        r'{"\ud83d\ude00": "\u0000"}',
        '{"a": ' + "[" * 200 + "]" * 200 + "}",
    ],
)
def test_odd_but_legal_json_is_read_as_the_standard_library_reads_it(text):
    assert exact(parse_object(text)) == exact(json.loads(text))


@pytest.mark.parametrize(
    "text",
    ['{"a": NaN}', '{"a": -Infinity}', '{"a": 01}', '{"a": 1,}', '{"a": "\x01"}', "{'a': 1}", "", '{"a": 1} x',
     '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}"],
)  # fmt: skip
def test_what_is_no_json_is_refused(text):
    with pytest.raises(ValueError, match=r"not JSON|nested too deeply"):
        parse_object(text)


def test_a_megabyte_of_text_costs_milliseconds():
    record = replace(BARE, generation=Generation("\ud800<answer>\x00" * 100_000))
    began_s = time.process_time()
    back = round_trip(record)

    assert back == record
    assert time.process_time() - began_s < 10


def test_field_names_are_the_documented_ones():
    expected = (
        "task id repeat score extracted faults components iou match boxes_image_px steps kept native text prompt "
        "truncated error input_width input_height input_tokens output_tokens output_ids device_s latency_s crops "
        "reply_model judge_reply judge_error question choices answers answer_rule category l2_category cluster boxes "
        "caption width height image_sha256 pictures extra"
    )

    assert list(record_to_json(BARE)) == expected.split()
