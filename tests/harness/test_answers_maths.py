"""The rule `maths`: a table of answers, their dresses, what bounds the reading, and the process that asks sympy."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.scoring.answers import symbolic
from harness.scoring.answers.algebra import UnreadableError, equal
from harness.scoring.answers.check import check_answer
from harness.scoring.answers.expressions import read_expression
from harness.scoring.answers.maths_stated import is_prose
from harness.values import AnswerCheck, Sample

ROWS = json.loads((Path(__file__).parents[1] / "cases" / "answers_maths.json").read_text(encoding="utf-8"))["rows"]
PIECES = (
    "1", "2", "12", "0.5", "x", "n", r"\pi", "e", "i", r"\frac{1}{2}", r"\sqrt{3}", "(", ")", "[", "]", "{", "}", r"\{",
    r"\}", "+", "-", "*", "/", "^", "_", "=", "<", r"\le", r"\cup", r"\in", ",", ";", " ", r"\boxed{", "$", r"\sin",
    r"\log_2", r"\frac", r"\sqrt", r"\text{ cm}", "%", r"^\circ", "!", "|", r"\pm", r"\infty", "\\", "9" * 40, "^{99}",
    "^{9^{9}}", "e9", " and ", " or ", "not ", "cm", "½", "²", "三", "是", "\n", "**", r"\left", r"\right.", "&",
    r"\binom{9}{3}", "answer is ", "\ue000", "\ud800",
)  # fmt: skip
GOLDS = ("5", r"\frac{1}{2}", r"2\sqrt{3}", "(1,2)", r"\{1,2\}", "[1,2)", "y=2x+1", r"\sin x+1", "1,2", "x>3", "30°")


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """Wait for the worker on a busy machine too: it ends its questions by computing time."""
    monkeypatch.setattr(symbolic, "SECONDS", 30.0)


def asked(gold: str | list[str], **extra: object) -> Sample:
    answers = (gold,) if isinstance(gold, str) else tuple(gold)
    return Sample(id="1", task="any", answer_rule="maths", answers=answers, extra=extra)


def checked(gold: str | list[str], answer: str, **extra: object) -> AnswerCheck:
    return check_answer(asked(gold, **extra), answer, "strict")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['gold']} | {row['answer'][:40]}")
def test_an_answer_earns_what_it_states(row):
    check = checked(row["gold"], row["answer"], **row.get("extra", {}))

    assert (check.value, list(check.faults)) == (row["value"], row.get("faults", []))


def test_the_table_is_of_every_kind():
    values = [(row["value"], bool(row.get("faults"))) for row in ROWS]

    assert {(1.0, False), (0.0, False), (0.0, True), (None, True)} == set(values)
    assert len(ROWS) > 400


DRESSES = ("  {}\n", "${}$", "$$ {} $$", r"\({}\)", r"\[{}\]", r"\boxed{{{}}}", r"$\boxed{{{}}}$.", "**${}$**", "{} .")
LEADS = ("The answer is ${}$.", "So the final answer is ${}$", "Therefore, the answer is: ${}$.", "答案是${}$。")


@pytest.mark.parametrize("dress", [*DRESSES, *LEADS])
def test_no_dress_changes_what_a_formula_earns(dress):
    formulas = [
        row
        for row in ROWS
        if row["value"] in {0.0, 1.0}
        and not row.get("faults")
        and not any(mark in row["answer"] for mark in ("$", "\\(", "\\[", "boxed", "*", "和", "、", "sum", "begin"))
        and not is_prose(row["answer"])
        and not row["answer"].endswith(("!", "."))
    ]
    assert len(formulas) > 200
    found = {
        (row["gold"], row["answer"]): checked(row["gold"], dress.format(row["answer"]), **row.get("extra", {})).value
        for row in formulas
    }

    assert found == {(row["gold"], row["answer"]): row["value"] for row in formulas}


@pytest.mark.parametrize(
    ("golds", "answer", "extra", "value"),
    [
        (["5", "6"], "6", {}, 1),
        (["5", "6"], "5, 6", {}, 0),
        (["5", "6"], "6, 5", {"is_multiple_answer": True}, 1),
        (["5", "6"], "6", {"is_multiple_answer": True}, 0),
        (["5", "6"], "6, 5", {"is_multiple_answer": "True"}, 1),
        (["5"], "5.4", {"error": "0.5"}, 1),
        (["5"], "5.4", {"error": 0.5}, 1),
        (["5"], "5.4", {"error": "none"}, 0),
        (["5"], "5.4", {"error": None}, 0),
        (["1.5, 2.5"], "2.42, 1.52", {"is_multiple_answer": True, "error": "5e-2,1e-1"}, 1),
        (["1.5, 2.5"], "2.38, 1.52", {"is_multiple_answer": True, "error": "5e-2,1e-1"}, 0),
        (["1.5, 2.5"], "2.5, 1.58", {"is_multiple_answer": True, "error": "5e-2,1e-1"}, 0),
        (["(1.5, 2.5)"], "(1.5, 2.58)", {"error": "5e-2,1e-1"}, 1),
        (["5"], "5.4", {"error": "1e999999999"}, 0),
        (["5"], "5.4", {"error": float("nan")}, 0),
    ],
)
def test_the_columns_of_a_row_decide(golds, answer, extra, value):
    assert checked(golds, answer, **extra).value == value


def test_a_row_with_options_asks_for_one():
    choices = {"A": "2", "B": "3"}
    options = Sample("1", "any", "maths", answers=("A",), choices=choices)
    free = Sample("1", "any", "maths", answers=("2",), choices=choices, extra={"question_type": "free-form"})

    assert [check_answer(options, text, "strict").value for text in ("A", "(A)", "2", "B")] == [1, 1, 1, 0]
    assert [check_answer(free, text, "strict").value for text in ("A", "2")] == [0, 1]


def test_a_judge_reads_what_the_answer_does_not_say():
    long = "First we look at the picture, and then it is plain."

    assert check_answer(asked("5"), long, "strict").faults == ("no_match",)
    assert check_answer(asked("5"), long, "strict", judge_reply="5").value == 1
    assert check_answer(asked("5"), "6", "strict", judge_reply="5").value == 0
    assert checked([], "5").faults == ("no_gold",)
    assert checked([" "], "5").faults == ("no_gold",)


# --- algebra ----------------------------------------------------------------------------------------------------------

SMALL = st.integers(-9, 9)


@settings(max_examples=60, deadline=None)
@given(SMALL, SMALL, st.integers(1, 9), st.integers(2, 30))
def test_a_binomial_squared_is_its_square(a, b, c, d):
    """(a + b√d)² / c, multiplied out and not."""
    one = read_expression(rf"\frac{{({a}+({b})\sqrt{{{d}}})^2}}{{{c}}}")
    other = read_expression(rf"\frac{{{a * a + b * b * d}}}{{{c}}} + \frac{{{2 * a * b}\sqrt{{{d}}}}}{{{c}}}")
    more = read_expression(rf"\frac{{{a * a + b * b * d + 1}}}{{{c}}} + \frac{{{2 * a * b}\sqrt{{{d}}}}}{{{c}}}")

    assert equal(one, other)
    assert not equal(one, more)


@settings(max_examples=60, deadline=None)
@given(SMALL, SMALL, SMALL)
def test_a_product_of_sums_is_its_sum(a, b, c):
    one = read_expression(f"(x+{a})(x-({b}))*y^{{{c}}}")
    other = read_expression(f"(x^2 + ({a}-({b}))x - {a}*({b}))/y^{{{-c}}}")

    assert equal(one, other)
    assert not equal(one, read_expression(f"(x+{a})(x-({b}))*y^{{{c}}}+z"))


@pytest.mark.parametrize("text", ["1/2x", "x^1/2", r"\sin x/2", "2 3", "dog", "(1", "x^2^3", "", "1..2", r"\foo", "+"])
def test_what_can_be_read_in_two_ways_or_none_is_not_read(text):
    with pytest.raises(UnreadableError):
        read_expression(text)


# --- bounds -----------------------------------------------------------------------------------------------------------

ENDLESS = (
    "9" * 100_000, "(" * 10_000, "((((1" * 2_000, "9^{9^{9^{9}}}", "9^9^9^9", "(x+1)^{999}", "(1+x+y+z)^{12}" * 6,
    "2^{99999999}", "99999!", "9!!!!!", r"\frac{1}{" * 500, r"\sqrt{" * 500, "x+" * 200, "{" * 5_000 + "}" * 5_000,
    r"\boxed{" * 3_000, "$1$" * 3_000, ",".join("1" * 400), "answer is " * 2_000, r"\binom{999}{499}" * 20,
    "e^{e^{e^{9}}}", r"\sin" * 100 + "1", "|" * 300, "=".join("12" * 100), "1" * 300 + "^{1" * 30, "\\" * 3_000,
    r"\sqrt[99]{" + "7" * 299 + "}", "0.0000001^{-999}", r"\log_{1} 2", r"\frac{1}{0}", "0^0", "0^{-1}",
)  # fmt: skip


@pytest.mark.parametrize("text", ENDLESS, ids=lambda text: f"{text[:20]}... {len(text)}")
def test_no_text_costs_much(text):
    for gold in GOLDS:
        started = time.perf_counter()
        check = checked(gold, text, is_multiple_answer=gold == "1,2")

        assert time.perf_counter() - started < 2
        assert check.value in {0.0, None}


def fuzzed(count: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    texts = ["".join(draw.choice(PIECES) for _ in range(draw.randint(1, 14))) for _ in range(count)]
    return [text * draw.randint(2, 40) if draw.random() < 0.05 else text for text in texts]


def test_fuzzed_formulas_take_a_bounded_time_and_earn_no_guess():
    texts = fuzzed(3_000, 7)
    worst = 0.0
    for number, text in enumerate(texts):
        gold = GOLDS[number % len(GOLDS)]
        started = time.perf_counter()
        check = checked(gold, text, is_multiple_answer=gold == "1,2")
        worst = max(worst, time.perf_counter() - started)
        assert check.value in {0.0, 1.0, None}

    assert worst < 2


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=40))
def test_no_text_raises(text):
    assert checked(r"2\sqrt{3}", text).value in {0.0, None}


# --- sympy in a process of its own ------------------------------------------------------------------------------------


def test_sympy_compares_what_is_not_read_here():
    assert symbolic.compare(r"\sum_{k=1}^{n} k", r"\frac{n(n+1)}{2}") == "equal"
    assert symbolic.compare(r"\sum_{k=1}^{n} k", r"\frac{n(n-1)}{2}") == "different"
    assert symbolic.compare(r"\int_0^1 x dx", r"\frac{1}{2}") == "equal"
    assert symbolic.compare(r"\sum_{k=1}^{4} k\pi", r"10\pi") == "equal"
    assert symbolic.compare(r"\sum_{k=1}^{n} k", r"\frac{1") == "unreadable"
    assert symbolic.compare(r"\sum_{k=1", "1") == "undecided"


def test_a_worker_that_says_nothing_is_replaced(monkeypatch):
    assert symbolic.compare("1", "1") == "equal"
    process = symbolic._process()
    with monkeypatch.context() as hurried:
        hurried.setattr(symbolic, "SECONDS", 0.0)
        assert symbolic.compare("1", "2") == "undecided"
    first = process._running

    assert symbolic.compare("1", "2") == "different"
    assert first is process._running
    first.kill()
    first.wait()
    assert symbolic.compare("2", "2") == "equal"
    assert process._running.pid != first.pid


def test_a_computation_that_does_not_end_is_undecided():
    assert symbolic.compare("1", "1") == "equal"
    started = time.perf_counter()
    verdict = symbolic._process().ask(r"\sum_{k=1}^{999999} \sin(k^2)", "1")

    assert (verdict, time.perf_counter() - started < 20) == ("undecided", True)
    assert symbolic.compare("3", "3") == "equal"


def _asked_in_a_child(results) -> None:
    results.put((os.getpid(), symbolic.compare(r"\int_0^1 x dx", "0.5")))


@pytest.mark.slow
def test_a_forked_child_has_a_worker_of_its_own():
    assert symbolic.compare("1", "1") == "equal"
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    child = context.Process(target=_asked_in_a_child, args=(results,))
    child.start()

    assert results.get(timeout=60)[1] == "equal"
    child.join(timeout=60)
    assert symbolic.compare("1", "3") == "different"


def test_two_of_a_kind_are_compared_the_same_way_each_time():
    pairs = [(gold, text) for gold in GOLDS for text in fuzzed(40, 11)]
    first = [checked(gold, text) for gold, text in pairs]

    assert first == [checked(gold, text) for gold, text in pairs]
