"""MMMU's answers: options and open questions, by our rule and by the peers'."""

import json
import random
import time
from ast import literal_eval
from pathlib import Path

import pytest

from harness.scoring.answers.check import check_answer
from harness.scoring.answers.mmmu_peers import is_in_open_answer, option_in
from harness.scoring.answers.open_answer import stated_text
from harness.values import PROTOCOLS, Sample

CASES = json.loads((Path(__file__).parents[1] / "cases" / "answers_mmmu.json").read_text(encoding="utf-8"))["rows"]
DRAWS = "draws"


def sample_of(case, task="mmmu_val"):
    gold = case["gold"]
    return Sample(
        id="1",
        task=task,
        answer_rule="mmmu",
        answers=tuple(literal_eval(gold)) if gold.startswith("[") else (gold,),
        choices=case["choices"],
        extra={"question_type": "multiple-choice" if case["choices"] else "open"},
    )


@pytest.mark.parametrize("case", CASES, ids=[f"{case['gold']}<-{case['answer']!a}" for case in CASES])
def test_an_answer_earns_what_each_protocol_says(case):
    found = {protocol: check_answer(sample_of(case), case["answer"], protocol) for protocol in PROTOCOLS}

    values = {protocol: 0 if value == DRAWS else value for protocol, value in case["value"].items()}
    assert {protocol: check.value for protocol, check in found.items()} == values
    if case["value"]["lmms-eval"] == DRAWS:
        assert (found["lmms-eval"].extracted, found["lmms-eval"].faults) == (None, ("no_match",))


def test_the_table_holds_every_kind():
    assert len(CASES) >= 130
    assert sum(case["value"]["lmms-eval"] == DRAWS for case in CASES) >= 10
    assert sum(not case["choices"] for case in CASES) >= 60


@pytest.mark.parametrize(
    ("answer", "value"),
    [("B", 1.0), (" B\n", 1.0), ("B.", 0.0), ("(B)", 0.0), ("The answer is B", 0.0), ("b", 0.0), ("", 0.0), ("C", 0.0)],
)
def test_lmms_eval_takes_a_letter_alone_where_the_question_is_in_the_picture(answer, value):
    sample = sample_of({"gold": "B", "choices": {"A": "one", "B": "two", "C": "three"}}, "mmmu_pro_vision")

    assert check_answer(sample, answer, "lmms-eval").value == value
    assert check_answer(sample, "The answer is B.", "strict").value == 1.0


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_row_without_an_answer_is_not_scored(protocol):
    for answers in (None, ()):
        sample = Sample("1", "mmmu_val", "mmmu", answers=answers)
        check = check_answer(sample, "B", protocol)
        assert (check.value, check.faults) == (None, ("no_gold",))


def test_a_row_of_predictions_without_its_options_is_read_as_one_with_options():
    sample = Sample("1", "mmmu_val", "mmmu", answers=("B",))

    assert check_answer(sample, "(B)", "strict").value == 1.0
    assert check_answer(sample, "bee", "strict").value == 0.0


def test_a_strict_open_answer_is_unchanged_by_what_surrounds_it():
    for gold in ("7", "24/7", "catalysis"):
        sample = Sample("1", "mmmu_val", "mmmu", answers=(gold,), extra={"question_type": "open"})
        dresses = (gold, f" {gold} ", f"{gold}.", f"**{gold}**", f"<answer>{gold}</answer>", f"The answer is {gold}.",
                   f"Answer: {gold}", f'{{"answer": "{gold}"}}', gold.upper())  # fmt: skip
        assert {check_answer(sample, dress, "strict").value for dress in dresses} == {1.0}


def test_the_stated_text_is_the_last_line_that_says_it_is_the_answer():
    assert stated_text("Because of it.\nThe answer is salt") == "salt"
    assert stated_text("one\ntwo") == "one\ntwo"
    assert stated_text("is it salt?") is stated_text(" ") is stated_text("x" * 100_000) is None


@pytest.mark.parametrize("piece", ["1", "1,234,", "1.", "e+", "is ", "a\n", "(A", "-", "=", "\u0663", "is is so "])
def test_long_texts_are_read_in_bounded_time(piece):
    text = piece * (1_000_000 // len(piece))
    begun = time.perf_counter()
    for protocol in PROTOCOLS:
        for choices in ({}, {"A": "one", "B": "two"}):
            sample = Sample("1", "mmmu_val", "mmmu", answers=("7",), choices=choices, extra={"question_type": "open"})
            check_answer(sample, text, protocol)
            check_answer(sample, text[:19_999], protocol)

    assert time.perf_counter() - begun < 10


def test_any_text_is_read_without_an_error():
    rng = random.Random(7)
    pieces = (
        "A",
        "(B)",
        "7",
        "1,000",
        "e5",
        "\n",
        ".",
        " ",
        "is ",
        "=",
        "\ud83d",
        "\x00",
        "答案",
        "nan",
        "inf",
        "-",
        "\\frac{",
    )
    for _ in range(2_000):
        text = "".join(rng.choice(pieces) for _ in range(rng.randint(0, 20)))
        option_in(text, {"A": "one", "B": ""})
        is_in_open_answer(rng.choice(pieces), text)
        for protocol in PROTOCOLS:
            check_answer(
                Sample("1", "mmmu_val", "mmmu", answers=("7",), extra={"question_type": "open"}), text, protocol
            )
