"""Blocks of a page: the same bytes as Python's own JSON writer makes, whatever the texts hold."""

from __future__ import annotations

import base64
import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.pages.shell import packed

EVERY_CHARACTER = st.text(alphabet=st.characters(exclude_categories=()))
ROUNDED = st.floats(-1e7, 1e7).map(lambda value: round(value, 1))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | ROUNDED | EVERY_CHARACTER,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(EVERY_CHARACTER, inner, max_size=4),
    max_leaves=12,
)


def _unpacked(block):
    return gzip.decompress(base64.b64decode(block))


def _as_python_writes(value):
    return json.dumps(value, separators=(",", ":")).encode("ascii")


@given(VALUES)
def test_a_block_holds_what_python_writes(value):
    assert _as_python_writes(value) == _unpacked(packed(value))


@pytest.mark.parametrize(
    "text",
    [
        "".join(map(chr, range(0x500))),
        "".join(map(chr, range(0x4E00, 0x4F00))),
        "\ud800",
        "🙂 · 🙂",
        "\\u007f \x7f",
        "</script>",
    ],
)
def test_characters_are_escaped_as_python_does_however_many_different_ones_there_are(text):
    assert _as_python_writes([text, text]) == _unpacked(packed([text, text]))
