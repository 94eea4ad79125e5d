"""Addresses, names and the glossary: different texts have different names, and every word has its sentence."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import parse_qsl

import pytest

from harness.values import FAULTS
from reports.pages.sample_categories import sample_categories
from reports.texts.addresses import MOST_CHARACTERS, filter_link, sample_link, shown_name
from reports.texts.glossary import GLOSSARY
from reports.texts.numbers_shown import anchor, metric_number, with_short_hashes

HOSTILE = [
    case["text"] for case in json.loads((Path(__file__).parents[1] / "cases" / "hostile_strings.json").read_text())
]


def test_names_that_are_alike_in_front_stay_different():
    front = "x" * MOST_CHARACTERS
    names = [front, f"{front}1", f"{front}2", "a\u202eb", "a⟦U+202E⟧b", "\u200b", "", "a b", "a\tb", "a\nb"]

    assert len({shown_name(name) for name in names}) == len(names)


@pytest.mark.parametrize("text", [*HOSTILE, "\ud800", "a&b=c#d+e %", "分類 é"])
def test_an_address_gives_back_what_was_put_in(text):
    address = sample_link(3, text, f"{text}1", flip="lost")

    assert address.isascii()
    assert dict(parse_qsl(address[1:], keep_blank_values=True)) == {
        "list": "3",
        "flip": "lost",
        "of": shown_name(text),
        "id": shown_name(f"{text}1"),
    }


def test_the_first_list_needs_no_number():
    assert filter_link(0, task="mmstar") == "#task=mmstar"


def test_every_fault_is_explained_and_no_two_words_share_an_entry():
    words = [name for part in GLOSSARY for name, _ in part.entries]

    assert set(FAULTS) <= set(words)
    assert len({anchor(word) for word in words}) == len(words)


def test_every_metric_of_the_harness_is_explained(runs):
    words = {name for part in GLOSSARY for name, _ in part.entries}
    metrics = json.loads((runs["base"] / "scores.json").read_text())["tasks"]["shapes"]["metrics"]
    quadrants = {name for name in metrics if name.endswith("_place")}

    assert set(metrics) - quadrants <= words


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("accuracy", 0.125, "12.5"),
        ("mean_iou", 0.5, "0.500"),
        ("matched_iou", 0.25, "0.250"),
        ("acc@0.5", 0.25, "25.0"),
        ("total", 1234.56, "1,234.6"),
        ("score", 512, "512.0"),
        ("format", None, "–"),
        ("accuracy", 0.0, "0.0"),
    ],
)
def test_a_metric_has_one_unit(name, value, shown):
    assert metric_number(name, value) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ab" * 32, "abababababab…"),
        (f"model@{'0123456789abcdef' * 2}/x", "model@0123456789ab…/x"),
        ("0123456789abcdef", "0123456789abcdef"),
        ("no digest here", "no digest here"),
        ("3" * 64, "333333333333…"),
    ],
)
def test_long_digests_are_cut(text, shown):
    assert with_short_hashes(text) == shown


@pytest.mark.parametrize(
    ("task", "extra", "expected"),
    [
        ("mmstar", {}, (("c",), ("d",))),
        ("mathvista", {}, (("c",), ("d",))),
        ("mathvista", {"task": "t", "skills": ["b", "a"]}, (("t",), ("a", "b"))),
        ("mathvista", {"metadata": {"task": "t", "skills": ["a"]}}, (("t",), ("a",))),
        ("ocrbench", {"question_type": "ignored"}, (("c",), ("c",))),
    ],
)
def test_a_sample_counts_where_the_tables_count_it(task, extra, expected):
    assert tuple(sample_categories(task, ("c", "d"), extra)) == expected


def test_a_sample_without_categories_counts_in_none():
    assert tuple(sample_categories("shapes", ("", ""), {})) == ((), ())
