"""What is written as TOML is read back as the same value."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from satori_bench.toml_text import toml_value

TEXTS = st.text(st.characters(exclude_categories=("Cs",)))
PLAIN = st.one_of(st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXTS)


@given(st.one_of(PLAIN, st.lists(PLAIN)))
def test_every_plain_value_comes_back(value):
    found = tomllib.loads(f"x = {toml_value(value)}  # where it came from")["x"]

    assert found == value
    assert type(found) is type(value)


def test_paths_and_tuples_become_texts_and_lists():
    assert toml_value((Path("a b"), Path('c"\\'))) == '["a b", "c\\"\\\\"]'


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), "\udce9", ["a", None], object()])
def test_what_toml_cannot_hold_is_none(value):
    assert toml_value(value) is None
