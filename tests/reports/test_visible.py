"""Text that nobody vouches for: what is invisible is shown, what a spreadsheet would run is text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.texts.numbers_shown import count, number, p_text, percent, signed
from reports.texts.visible import csv_cell, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("plain é 漢字 🙂 👩‍💻", "plain é 漢字 🙂 👩‍💻"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("a\u202eb", "a⟦U+202E⟧b"),
        ("nul\x00", "nul⟦U+0000⟧"),
        ("\x1b[31mred", "⟦U+001B⟧[31mred"),
        ("\ud800", "⟦U+D800⟧"),
        ("\ufffe\uffff", "⟦U+FFFE⟧⟦U+FFFF⟧"),
        ("\u2066\u2069\u200b\ufeff", "⟦U+2066⟧⟦U+2069⟧⟦U+200B⟧⟦U+FEFF⟧"),
    ],
)
def test_what_is_invisible_is_shown_as_its_code(text, shown):
    assert shown == visible(text)


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_visible_text_can_always_be_written_and_stays_as_it_is(text):
    shown = visible(text)

    shown.encode("utf-8")
    assert shown == visible(shown)


@pytest.mark.parametrize("start", ["=1+1", "+1", "-1", "@sum(a1)", "\t=1", "\r=1", " =1", "\n=1"])
def test_a_cell_that_a_spreadsheet_would_run_gets_an_apostrophe(start):
    assert str(csv_cell(start)).startswith("'")


def test_numbers_stay_numbers_in_a_cell_and_nothing_is_empty():
    assert (csv_cell(-1.5), csv_cell(3), csv_cell(None), csv_cell("a=1")) == (-1.5, 3, "", "a=1")


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (float("nan"), "–"), (0.04, "0.0"), (-0.04, "0.0"), (-1.25, "−1.2"), (1234.5, "1,234.5")],
)
def test_numbers_round_late_and_are_never_minus_zero(value, text):
    assert text == number(value)


@pytest.mark.parametrize(("value", "text"), [(None, "–"), (0.0, "0.0"), (0.01, "0.0"), (2.0, "+2.0"), (-2.0, "−2.0")])
def test_a_change_carries_its_sign_unless_it_is_none(value, text):
    assert text == signed(value)


def test_a_p_value_is_never_shown_as_zero():
    assert (p_text(0.0001), p_text(0.05), p_text(1.0), p_text(None)) == ("< 0.001", "0.050", "1.000", "–")


def test_a_share_is_none_or_all_only_when_it_is_exactly_so():
    assert tuple(percent(part, whole) for part, whole in [(0, 9), (1, 99_999), (99_998, 99_999), (9, 9), (0, 0)]) == (
        "0.0 %",
        "0.1 %",
        "99.9 %",
        "100.0 %",
        "–",
    )


def test_a_missing_count_is_a_dash():
    assert (count(None), count(1000)) == ("–", "1,000")
