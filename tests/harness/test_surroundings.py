"""Thoughts and marks around an answer are not the answer, whoever wrote them; a peer takes away what it knows."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.parse import parse
from harness.predictions import score_lines
from harness.score import score
from harness.surroundings import ENDS, MARKED_ANSWERS, THOUGHTS, bare_answer, strip_as_lmms_eval
from harness.values import Sample, ScoreConfig

TABLE = json.loads((Path(__file__).parents[1] / "cases" / "surroundings.json").read_text(encoding="utf-8"))
PLAIN = ScoreConfig(protocol="strict", format="plain")
CHOICES = {"A": "a heron", "B": "a gull", "C": "a stork", "D": "no bird"}
SAMPLES = [
    Sample(id="1", task="mmstar", answer_rule="choice", answers=("C",), choices=CHOICES),
    Sample(id="2", task="mme", answer_rule="yes_no", answers=("No",)),
    Sample(id="3", task="ocrbench", answer_rule="ocr", answers=("EXIT",)),
    Sample(id="4", task="mathvista", answer_rule="mathvista", answers=("12",), extra={"answer_type": "integer"}),
    Sample(id="5", task="satori", answer_rule="accepted", answers=("green",)),
]
ANSWERS = [
    "C",
    "(A)",
    "a stork",
    "The answer is C.",
    "No",
    "no.",
    "Yes",
    "EXIT",
    "exit now",
    "12",
    "x < 3",
    "7",
    "green",
    "A or C",
    "?",
]
WORDS = ["C", "A", "Yes", "No", "EXIT", "12", "7", "green", "a stork", "The answer is A.", "\n", "x < 3", "<b>", "hm"]
MARKS = [
    *(mark for pair in (*THOUGHTS, *MARKED_ANSWERS) for mark in pair),
    *ENDS,
    *("<s>", "</s>", "<|channel|>analysis<|message|>", "<|channel|>final<|message|>", "<answer>", "</answer>", "`"),
    *("<|im_start|>assistant\n", "<|im_start|>user\n"),
]
thoughts = st.lists(st.sampled_from(WORDS), max_size=5).map(" ".join)
soups = st.lists(st.sampled_from([*WORDS, *MARKS, *MARKS, " ", "\ud83d", "\0", "İ"]), max_size=14).map("".join)


@pytest.mark.parametrize("group", TABLE["answers"])
def test_the_answer_is_what_the_table_says(group):
    rows = TABLE["answers"][group]

    assert rows == [{"text": row["text"], "answer": parse(row["text"], "plain", "strict").answer} for row in rows]


@pytest.mark.parametrize("case", TABLE["scored"], ids=lambda case: f"{case['protocol']}-{case['row']['prediction']!a}")
def test_a_row_earns_what_its_protocol_gives(case):
    config = ScoreConfig(protocol=case["protocol"], format=case["format"])
    (scored,) = score_lines([json.dumps({"id": "1", **case["row"]})], config)
    found = scored.to_json()
    found["format"] = found["components"]["format"]

    assert case["expect"] == {name: found[name] for name in case["expect"]}


def earned(text: str) -> list[tuple[float | None, str | None]]:
    return [(found.value, found.extracted) for found in (score(sample, text, PLAIN) for sample in SAMPLES)]


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(ANSWERS), st.sampled_from(THOUGHTS), thoughts, st.sampled_from(["before", "behind", "template"]))
def test_a_thought_in_any_spelling_changes_no_score(answer, pair, thought, where):
    opening, closing = pair
    text = {
        "before": f"{opening}{thought}{closing}\n{answer}",
        "behind": f"{answer}\n{opening}{thought}{closing}",
        "template": f"{thought}{closing}\n{answer}",
    }[where]

    assert earned(answer) == earned(text)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(ANSWERS), st.lists(st.sampled_from(ENDS), min_size=1, max_size=3), thoughts)
def test_whatever_follows_the_end_of_a_turn_changes_no_score(answer, ends, more):
    assert earned(answer) == earned(f"{answer}{''.join(ends)}")
    assert earned(answer) == earned(f"{answer}{ends[0]}\n{more}")


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(ANSWERS), st.sampled_from(MARKED_ANSWERS))
def test_marks_of_the_answer_change_no_score(answer, pair):
    assert earned(answer) == earned(f"{pair[0]}{answer}{pair[1]}")


@settings(max_examples=300, deadline=None)
@given(thoughts, st.sampled_from(THOUGHTS))
def test_a_thought_that_never_ends_earns_nothing_by_name(thought, pair):
    for sample in SAMPLES:
        found = score(sample, f"{pair[0]}{thought}", PLAIN)
        assert (found.value, found.extracted, found.faults) == (0.0, None, ("unclosed",))


@settings(max_examples=800, deadline=None)
@given(st.one_of(soups, st.text(max_size=40)))
def test_nothing_a_model_writes_raises_or_earns_beyond_one(text):
    for sample in SAMPLES:
        for form in ("plain", "freeform", "satori-think"):
            found = score(sample, text, ScoreConfig(protocol="strict", format=form))
            assert found.value is None or 0 <= found.value <= 1
            assert found == score(sample, text, ScoreConfig(protocol="strict", format=form))


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=st.characters(exclude_characters="<[◁"), max_size=60))
def test_a_text_without_marks_comes_back_as_it_was(text):
    if not text.lstrip().lower().startswith(("here", "analysis")):
        assert bare_answer(text) is text


MEGABYTE = 1_000_000
HOSTILE = [
    *{mark * (MEGABYTE // len(mark)) for mark in MARKS},
    *{f"{mark}x" * (MEGABYTE // (len(mark) + 1)) for mark in MARKS},
    "<think></think>" * (MEGABYTE // 15),
    "<s></s>" * (MEGABYTE // 7),
    "<think>x</think>" + "<answer>" * (MEGABYTE // 8),
    "`<think>`" * (MEGABYTE // 9),
    "<" * MEGABYTE,
    "< " * (MEGABYTE // 2),
    "<" + " " * MEGABYTE,
    ("</s>" + " " * 996) * (MEGABYTE // 1000),
    "<|start_header_id|>" + " " * MEGABYTE,
    "<|im_start|>" + "a" * MEGABYTE,
    "<|channel|>" + "a" * MEGABYTE,
    "Here is my thought process:" * (MEGABYTE // 27),
    "analysisA" + "assistantfinal" * (MEGABYTE // 14),
    "<thi" * (MEGABYTE // 8) + "<think></think>nk></think>" * (MEGABYTE // 52),
    "<t<think></think>" * (MEGABYTE // 40) + "hink></think>" * (MEGABYTE // 40),
]


MOST_S = 4


@pytest.mark.parametrize("read", [bare_answer, strip_as_lmms_eval])
def test_a_megabyte_of_anything_is_read_in_one_pass(read):
    """A second or less on an idle machine; a reader that goes back over the text would take minutes."""
    for text in HOSTILE:
        spent_s = []
        for _ in range(3):  # the best of three: other programs on the machine are not what is measured
            started = time.process_time()
            read(text)
            spent_s.append(time.process_time() - started)
            if spent_s[-1] < MOST_S:
                break

        assert min(spent_s) < MOST_S, text[:40]


LMMS_EVAL_TAGS = [["<think>", "</think>"], ["<analysis>", "</analysis>"]]
"""What `--reasoning_tags` of lmms-eval 0.7.3 is by default."""


def test_thoughts_are_cut_out_as_the_installed_lmms_eval_cuts_them():
    reasoning = pytest.importorskip("lmms_eval.api.reasoning")
    rng = random.Random(9)
    pieces = [tag for pair in LMMS_EVAL_TAGS for tag in pair] * 2
    pieces += [
        "<thi",
        "nk>",
        "<",
        "/think>",
        "</",
        "<t",
        "hink>",
        "<a",
        "nalysis>",
        "<THINK>",
        "</Think>",
        " ",
        "\n",
        "B",
        "\u3000",
    ]
    tables = [row["text"] for rows in TABLE["answers"].values() for row in rows]
    for text in tables + ["".join(rng.choices(pieces, k=rng.randrange(14))) for _ in range(30_000)]:
        assert reasoning.strip_reasoning_tags(text, LMMS_EVAL_TAGS) == strip_as_lmms_eval(text), text


def test_the_tags_are_those_of_the_installed_command_line():
    command = pytest.importorskip("lmms_eval.__main__")

    assert f"default='{json.dumps(LMMS_EVAL_TAGS)}'" in Path(command.__file__).read_text(encoding="utf-8")
