"""Tests of single cells: whatever a table holds is a text, a list of texts, or a named fault."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.scoring.gold_boxes import GoldBoxError, parse_quads
from tasks.cells import CellError, answers_of, as_text, lettered, list_of, options_in, parsed_literal
from tasks.image_files import ImageFiles
from tasks.images import UnreadableImageError, image_bytes_of, image_facts_of

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30) | st.binary(max_size=20)
names = st.text(max_size=8) | st.sampled_from(["answer", "text", "A", "label"])
cells = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
literals = st.text(alphabet="[]{}'\"`,: ab1.\\\nNone()", max_size=40)


@given(cells | literals)
def test_a_cell_is_texts_or_a_named_fault(value):
    for read in (as_text, list_of, answers_of, options_in):
        try:
            found = read(value)
        except CellError:
            continue
        texts = [found] if isinstance(found, str) else list(found.values()) if isinstance(found, dict) else list(found)
        assert all(isinstance(text, str) for text in texts)


@given(cells | literals)
def test_an_image_cell_is_bytes_or_unreadable(tmp_path_factory, value):
    files = ImageFiles([tmp_path_factory.getbasetemp()])
    for where in (None, files):
        try:
            assert isinstance(image_bytes_of(value, where), bytes)
        except UnreadableImageError:
            continue
    assert image_facts_of(value) is None


@given(cells | literals)
def test_boxes_are_finite_numbers_or_a_named_fault(value):
    try:
        quads = parse_quads(value)
    except GoldBoxError:
        return
    assert all(len(quad) == 4 and all(map(math.isfinite, quad)) for quad in quads)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_number_of_32_bits_keeps_its_value(value):
    import numpy as np

    assert np.float32(as_text(float(value))) == np.float32(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_of_64_bits_keeps_its_value_to_32_bits_at_least(value):
    assert float(as_text(value)) == pytest.approx(value, rel=1e-7)


@pytest.mark.parametrize("size", [10_000, 100_000])
@pytest.mark.parametrize("text", ["[" * 50 + "]" * 50, "['a' ", "{'a': " * 50, "[" + "'a', " * 9, "[\\", "[''''"])
def test_long_texts_that_look_like_lists_cost_nothing(text, size):
    body = (text * (size // len(text)))[: size - 1] + "]"

    try:
        found = list_of(body)
    except CellError:
        return
    assert found


@pytest.mark.parametrize(
    "text", ["[a]", "{a}", "[1, 2", "a]", "[]]", "", "{", "[...]", "[1 for x in y]", "[__import__('os')]"]
)
def test_what_is_no_literal_is_a_text(text):
    assert parsed_literal(text) is None


def test_options_have_letters_by_their_places_whatever_is_missing():
    assert lettered(["cat", "", "dog", " ", "ox"]) == {"A": "cat", "C": "dog", "E": "ox"}
    assert options_in({"A": "cat", "B": None, "C": "dog"}) == {"A": "cat", "C": "dog"}
    with pytest.raises(CellError, match="27 options"):
        lettered(["x"] * 27)


@pytest.mark.parametrize("value", [{"a", "b"}, frozenset({"a"}), ..., ["a", ...], "['a', ..., 'b']", "[{'a', 'b'}]"])
def test_what_is_neither_text_nor_number_is_named(value):
    with pytest.raises(CellError):
        list_of(value)
