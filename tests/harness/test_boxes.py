"""Boxes are read as the dialect says: strictly by our own rules, and as Python's literals for the paper's protocol."""

import ast
import json
import math
import random
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.scoring.written_boxes import MAX_BOX_CHARACTERS, MAX_BOXES, read_boxes, read_boxes_paper
from harness.values import FAULTS

pytestmark = pytest.mark.filterwarnings("ignore::SyntaxWarning")  # literal_eval on `1or 2`

CASES = Path(__file__).parents[1] / "cases"
STRICT_CASES = json.loads((CASES / "boxes_strict.json").read_text())
PAPER_CASES = json.loads((CASES / "boxes_paper.json").read_text())  # boxes recorded from Python 3.11's literal_eval


def boxes_of(case):
    return tuple(tuple(map(float, box)) for box in case["boxes"])


def literal_eval_boxes(text):
    """What the reference makes of a text: literal_eval, then lists of exactly four real numbers; () for nothing."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return ()
    if not isinstance(value, list):
        return ()
    rows = value if any(isinstance(item, list) for item in value) else [value]
    if not all(isinstance(row, list) and len(row) == 4 for row in rows):
        return ()
    if not all(isinstance(number, int | float) for row in rows for number in row):
        return ()
    try:
        boxes = tuple(tuple(float(number) for number in row) for row in rows)
    except OverflowError:
        return ()
    return boxes if all(math.isfinite((x2 - x1) * (y2 - y1)) for x1, y1, x2, y2 in boxes) else ()


@pytest.mark.parametrize("case", STRICT_CASES, ids=lambda case: ascii(case["text"][:40]))
def test_strict_table(case):
    reading = read_boxes(case["text"])

    assert (boxes_of(case), tuple(case["faults"]), case["nested"]) == (reading.boxes, reading.faults, reading.nested)


@pytest.mark.parametrize("case", PAPER_CASES, ids=lambda case: ascii(case["text"][:40]))
def test_paper_table(case):
    reading = read_boxes_paper(case["text"])

    assert (boxes_of(case), tuple(case["faults"])) == (reading.boxes, reading.faults)


NUMBER_WRITINGS = (
    "0|1|7|00|0_0|01|1.|.5|1e5|01.5|07e1|0x1F|0X_f|0o17|0B11|1_0|1__0|1_|1e|True|False|None|1j|-1|+2|--1|-+1|(1)|-(2)|"
    "(-3)|+(+1)|-True|(True)|1+2|1-2j|0xg|1.5.5|1e400|-1e400|1e-400|nan|inf|...|'1'|[1]|()|1or|12|12abc|-0|- 1|1 2|"
    f"{'1' * 320}|0x{'f' * 256}|-\n1|-\\\n1|1\\\n2"
).split("|")
BLANKS_INSIDE = [
    "",
    "",
    "",
    "",
    " ",
    "\n",
    "\t",
    "\f",
    "\\\n",
    "#x]\n",
    "\r",
    "\r\n",
    "\x0b",
    "\xa0",
    "\\",
    "\\ \n",
    "\0",
]
BLANKS_AROUND = ["", "", " ", "\t", "\n", "\n", "\f", "\\\n", "#é\n", "#", "#\\\n", "\r\n", "\x0b", "\\"]


def random_list(rng, parts):
    """A list display of the parts, now and then with other brackets, separators and blanks."""
    usual = rng.random() < 0.8
    separator = "," if usual else rng.choice([", ", ",\n", ",#c\n", " ,\\\n", ",,", ";", " "])
    left, right = "[]" if rng.random() < 0.97 else rng.choice(["()", "[)", "{}", "[ "])
    inside = rng.choice(BLANKS_INSIDE) if rng.random() < 0.1 else ""
    after = rng.choice([",", ",,", " ", *BLANKS_INSIDE]) if rng.random() < 0.1 else ""
    text = left + inside + separator.join(parts) + after + right
    return f"({text}{rng.choice([')', ')', ',)'])}" if rng.random() < 0.05 else text


def random_literal(rng):
    """A text that is often a list of boxes in Python's eyes, and often nearly one."""
    boxes = []
    for _ in range(rng.choice([1, 1, 2, 3])):
        size = 4 if rng.random() < 0.97 else rng.choice([0, 3, 5])
        odd = rng.random() < 0.5
        boxes.append(
            random_list(
                rng,
                [
                    rng.choice(NUMBER_WRITINGS) if odd and rng.random() < 0.3 else str(rng.randrange(-9, 999))
                    for _ in range(size)
                ],
            )
        )
    return boxes[0] if rng.random() < 0.1 else random_list(rng, boxes)


def test_paper_reads_what_literal_eval_reads():
    rng = random.Random(20250519)
    with_boxes = 0
    for _ in range(6_000):
        text = random_literal(rng)
        expected = literal_eval_boxes(text)
        with_boxes += bool(expected)

        assert (text, expected) == (text, read_boxes_paper(text).boxes)
    assert 2_000 < with_boxes < 5_000  # neither side of the comparison is idle


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="indentation around an expression differs between Pythons")
@settings(max_examples=1000, deadline=None)
@given(st.lists(st.sampled_from(BLANKS_AROUND), max_size=4), st.lists(st.sampled_from(BLANKS_AROUND), max_size=4))
def test_paper_lays_out_lines_as_python_does(before, after):
    text = "".join(before) + "[[1,2,3,4]]" + "".join(after)

    assert literal_eval_boxes(text) == read_boxes_paper(text).boxes


@settings(max_examples=1000, deadline=None)
@given(st.text(alphabet="[[[]]](),,,.+-_0123456789eExXoObBjTrueFals \n\t\f\\#", max_size=40))
def test_paper_agrees_with_literal_eval_on_soup(text):
    if not text.strip():  # literal_eval has nothing to read either, but fails by another name
        assert read_boxes_paper(text).faults == ("empty",)
        return
    reading = read_boxes_paper(text)
    if sys.version_info[:2] == (3, 11) or "\n" not in text:
        assert literal_eval_boxes(text) == reading.boxes


literals = st.integers(0, 2**32).map(lambda seed: random_literal(random.Random(seed)))


@settings(max_examples=500, deadline=None)
@given(st.one_of(st.text(max_size=60), literals, st.text(alphabet="[],.-+e019nainf \n", max_size=40)))
def test_nothing_is_read_without_boxes_or_a_fault(text):
    for reading in (read_boxes(text), read_boxes_paper(text)):
        assert reading.boxes or reading.faults
        assert set(reading.faults) <= set(FAULTS)
        assert all(math.isfinite(edge) for box in reading.boxes for edge in box)


@settings(max_examples=300, deadline=None)
@given(st.one_of(literals, st.text(alphabet="[[[]]],,.-+e019nainf \n", max_size=40)))
def test_strict_boxes_are_well_formed(text):
    reading = read_boxes(text)

    assert all(x1 < x2 and y1 < y2 for x1, y1, x2, y2 in reading.boxes)
    assert reading.keeps_format == bool(reading.boxes and reading.nested)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(*[st.floats(-1e9, 1e9)] * 2, *[st.floats(1e-3, 1e9)] * 2), min_size=1, max_size=6))
def test_json_text_of_boxes_reads_back_exactly(corners_and_sizes):
    boxes = [(x, y, x + w, y + h) for x, y, w, h in corners_and_sizes if x < x + w and y < y + h]
    text = json.dumps(boxes)

    assert tuple(boxes) == read_boxes(text).boxes
    assert tuple(boxes) == read_boxes_paper(text).boxes


@pytest.mark.parametrize("read", [read_boxes, read_boxes_paper])
def test_as_many_boxes_as_allowed_are_read_and_one_more_is_malformed(read):
    full = "[" + ",".join(["[1,2,3,4]"] * MAX_BOXES) + "]"
    above = "[" + ",".join(["[1,2,3,4]"] * (MAX_BOXES + 1)) + "]"
    above_in_pieces = "[" + ",".join(["[1,2,3,0x4]"] * MAX_BOXES) + ",[1,2,3,4]]"

    assert len(read(full).boxes) == MAX_BOXES
    for text in (above, above_in_pieces):
        assert (read(text).boxes, read(text).faults) == ((), ("malformed",))


@pytest.mark.parametrize("read", [read_boxes, read_boxes_paper])
def test_text_beyond_the_length_limit_is_malformed(read):
    padding = " " * MAX_BOX_CHARACTERS

    assert read("[[1,2,3,4" + padding + "]]").faults == ("malformed",)


HOSTILE = {
    "a megabyte of minus signs": ("-" * 1_000_000, "malformed"),
    "twenty thousand minus signs": ("[[1,2,3," + "-" * 20_000 + "1]]", "malformed"),
    "ten thousand boxes": ("[" + ",".join(["[1,2,3,4]"] * 10_000) + "]", "malformed"),
    "depth 100,000": ("[" * 100_000 + "]" * 100_000, "malformed"),
    "depth 40,000": ("[" * 40_000 + "]" * 40_000, "malformed"),
    "parentheses, depth 40,000": ("(" * 40_000 + ")" * 40_000, "malformed"),
    "400 digits": ("[[1,2,3," + "1" * 400 + "]]", "non_finite"),
    "90,000 digits": ("[[1,2,3," + "1" * 90_000 + ".5]]", "non_finite"),
    "a megabyte of letters": ("x" * 1_000_000, "malformed"),
    "commas": ("[" + "," * 90_000 + "[]]", "malformed"),
    "unclosed lists": ("[[1,2,3,4]," * 9_000, "malformed"),
    "comments": ("#\n" * 45_000, "malformed"),
    "continued lines": ("\\\n" * 45_000 + "[[", "malformed"),
    "zeros": ("[[" + "0" * 90_000, "malformed"),
    "underscores": ("[[1" + "_" * 90_000, "malformed"),
    "blanks in lists": ("[[" + " " * 90_000 + "1", "malformed"),
    "exponents": ("[[1" + "e1" * 45_000, "malformed"),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("read", [read_boxes, read_boxes_paper])
def test_hostile_text_costs_milliseconds_and_has_a_named_fault(read, name):
    text, fault = HOSTILE[name]
    started = time.process_time()
    reading = read(text)
    spent_s = time.process_time() - started

    assert ((), (fault,)) == (reading.boxes, reading.faults)
    assert spent_s < 1
