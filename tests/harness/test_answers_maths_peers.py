"""Answers to MathVision, MathVerse, OlympiadBench and We-Math as the peers' own functions score them."""

import contextlib
import json
import random
import time
from pathlib import Path

import pytest

from harness.scoring.answers.check import check_answer
from harness.scoring.answers.peer_arithmetic import latex_value, python_value
from harness.scoring.answers.peer_latex import UnreadableLatexError, read_latex
from harness.values import PROTOCOLS, Sample

CASES = json.loads((Path(__file__).parents[1] / "cases" / "answers_maths_peers.json").read_text(encoding="utf-8"))[
    "rows"
]


def sample_of(task, gold, choices=(), **extra):
    return Sample(
        id="1",
        task=task,
        answer_rule="choice" if task == "wemath" else "maths",
        answers=(gold,),
        choices=dict(zip("ABCDEFG", choices or (), strict=False)),
        extra={name: value for name, value in extra.items() if value is not None},
    )


@pytest.mark.parametrize("case", CASES, ids=[f"{case['task']}:{case['answer'][:30]!a}" for case in CASES])
def test_an_answer_earns_what_the_peer_gives(case):
    sample = sample_of(case["task"], case["gold"], case.get("choices"), error=case.get("error"))

    assert check_answer(sample, case["answer"], case["protocol"]).value == case["value"]


def test_the_table_holds_every_peer_and_both_outcomes():
    held = {(case["task"], case["protocol"], case["value"]) for case in CASES}

    assert len(CASES) >= 600
    assert len(held) == 2 * 7


DIFFERENT = (
    # Both libraries read words as products of letters, and `eval` finds b in the comparing function: "(B) 0" is b * 0.
    ("vlmevalkit", "(B) 0", "0", 1),
    ("paper", "(B) 0", "0", 1),
    # Whole numbers beside a product of nothing: 1_0 is 1 to latex2sympy2, which stops at what it does not know.
    ("paper", "1_0", "1", 1),
)


@pytest.mark.parametrize(("protocol", "answer", "gold", "peer"), DIFFERENT)
def test_where_the_peers_program_stumbles_we_do_not_follow(protocol, answer, gold, peer):
    assert check_answer(sample_of("mathvision_test", gold), answer, protocol).value == 1 - peer


@pytest.mark.parametrize("protocol", ["vlmevalkit", "paper"])
def test_a_free_answer_is_right_only_without_a_judge_where_it_is_equal(protocol):
    sample = sample_of("mathvision_testmini", "12")

    assert check_answer(sample, "about twelve", protocol).faults == ("needs_judge",)
    assert check_answer(sample, "about twelve", protocol, "12.0").value == 1.0
    assert check_answer(sample, "about twelve", protocol, "Failed to obtain answer via API.").faults == ()
    assert check_answer(sample, "12", protocol, "13").value == 1.0


def test_a_letter_found_is_final_and_else_a_judge_is_read():
    sample = sample_of("mathvision_test", "B", ("red", "green", "blue"))

    assert check_answer(sample, "C", "vlmevalkit", "B").value == 0.0
    assert check_answer(sample, "I like it", "vlmevalkit").faults == ("needs_judge",)
    assert check_answer(sample, "I like it", "vlmevalkit", "B").value == 1.0
    assert check_answer(sample, "Z", "vlmevalkit").faults == ("no_match",)


def test_python_calls_the_golds_value_a():
    assert check_answer(sample_of("mathvision_test", "17"), "A", "vlmevalkit").value == 1.0
    assert check_answer(sample_of("mathvision_test", "17"), "A", "strict").value != 1.0


@pytest.mark.parametrize(
    ("protocol", "answer", "reply", "value", "faults"),
    [
        ("vlmevalkit", "60°", None, 1.0, ()),
        ("vlmevalkit", "It is 60°", None, 0.0, ("needs_judge",)),
        ("vlmevalkit", "It is 60°", "60°", 1.0, ()),
        ("vlmevalkit", "60°", "61°", 0.0, ()),
        ("lmms-eval", "60°", None, 0.0, ("needs_judge",)),
        ("lmms-eval", "It is 60°", "60°", 1.0, ()),
    ],
)
def test_mathverse_is_judged_there(protocol, answer, reply, value, faults):
    check = check_answer(sample_of("mathverse", "60°"), answer, protocol, reply)

    assert (check.value, check.faults) == (value, faults)


def test_a_judge_reads_we_math_as_any_other_options():
    sample = sample_of("wemath", "B", ("red", "green"))

    assert check_answer(sample, "(B)", "vlmevalkit").value == 0.0
    assert check_answer(sample, "(B)", "vlmevalkit", "A").value == 1.0
    assert check_answer(sample, "well", "vlmevalkit", "B").value == 1.0


def test_errors_of_olympiadbench_by_part_and_more_parts_than_errors():
    several = sample_of("olympiadbench", "5,6", error="0.1,")

    assert check_answer(several, "\\boxed{5.05,6}", "vlmevalkit").value == 1.0
    assert check_answer(several, "\\boxed{5.2,6}", "vlmevalkit").value == 0.0
    assert check_answer(sample_of("olympiadbench", "5,6,7", error="0.1,0.1"), "5,6,7.01", "vlmevalkit").value == 0.0
    assert check_answer(sample_of("olympiadbench", "5", error="?"), "5", "vlmevalkit").faults == ("no_match",)


def test_a_chinese_answer_is_read_behind_its_own_words():
    said = "……\n所以最终答案是$\\boxed{5}$。\n因此"

    for protocol in ("vlmevalkit", "lmms-eval"):
        assert check_answer(sample_of("olympiadbench", "5", source="OE_MM_maths_zh_CEE"), said, protocol).value == 1.0


@pytest.mark.parametrize("rule", ["accepted", "maths"])
def test_a_task_of_ones_own_is_scored_by_our_rule_under_every_protocol(rule):
    sample = Sample(id="1", task="lamps", answer_rule=rule, answers=("12",))

    assert {check_answer(sample, "12", protocol).value for protocol in PROTOCOLS} == {1.0}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1/2", 0.5), ("2**10", 1024), ("2^3", 1), ("-3", -3), ("+-3", -3), ("1_000", 1000), ("1e1", 10.0), (".5", 0.5),
        ("5.", 5.0), ("0x10", 16), ("7//2", 3), ("-7//2", -4), ("7 % 4", 3), ("~5", -6), ("4|1", 5), ("1<<3", 8),
        ("3 or 4", 3), ("0 or 4", 4), ("3 and 4", 4), ("0 and 9", 0), ("not 5", 0), ("5 > 3", 1), ("1 < 3 < 2", 0),
        ("2 == 2.0", 1), ("(0 or 4) + 1", 5), ("3 or", None), ("or 3", None),
        ("(1+2)*3", 9), ("2**-1", 0.5), ("-2**2", -4), ("2**3**2", 512), ("12 # apples", 12), (" 5", 5), ("5\n", 5),
        ("007", None), ("08", None), ("5 6", None), ("5,6", None), ("", None), ("five", None), ("3j", None),
        ("1/0", None), ("(5", None), ("9**9**9", None), ("9**99999", None), ("1<<99999999", None), ("(-8)**0.5", None),
        ("5!", None), ("[5]", None), ("abs(5)", None), ("__import__('os')", None), ("1e999", float("inf")),
    ],
)  # fmt: skip
def test_arithmetic_as_python_reads_it(text, value):
    assert python_value(text) == value


@pytest.mark.parametrize("value", ["9" * 900, "(" * 400, "2^" * 400 + "2", "\\frac{" * 150, "-" * 900, "9^{9^{9^9}}"])
def test_hostile_numbers_are_none_in_no_time(value):
    started = time.perf_counter()
    for library in ("latex2sympy2", "latex2sympy2_extended"):
        latex_value(value, library)
    python_value(value)
    python_value(value.replace("^", "**"))

    assert time.perf_counter() - started < 0.5


@pytest.mark.parametrize(
    "text", ["f(" * 300, "x+(" * 300, "{" * 1000, "|" * 900, "5(" * 500, "\\sqrt{" * 200, "x^" * 700, "-" * 1900]
)
def test_hostile_latex_ends_soon(text):
    started = time.perf_counter()
    with contextlib.suppress(UnreadableLatexError):
        read_latex(text)

    assert time.perf_counter() - started < 1.0


def test_no_text_makes_a_peers_rule_raise_or_wait():
    """Thousands of texts of what these rules look for, put together at random."""
    rng = random.Random(13)
    pieces = [
        "5", "0.5", "1,000", "\\frac{1}{2}", "\\boxed{", "}", "{", "(", ")", "[", "]", "x", "a", "=", "+", "-", "^",
        "_", "\\pm", "\\cup", "$", ",", " ", "\n", "Answer", "So the final answer is ", "The answer is ", "。", "|",
        "\\sqrt", "\\infty", "°", "\\in ", "%", "!", "\\log_2", "\\left", "d", "\\mathrm{", "B", "(B)", "\\text{",
        "é", "\x00", "\ud800",
    ]  # fmt: skip
    golds = ["5", "\\frac{1}{2}", "(-\\infty, 2]", "y=2x+1", "1,2", "B", "\\pm 2"]
    started = time.perf_counter()
    for _ in range(3000):
        text = "".join(rng.choices(pieces, k=rng.randrange(12)))
        gold = rng.choice(golds)
        for task in ("mathvision_test", "olympiadbench", "wemath", "mathverse"):
            error = rng.choice([None, "0.1", "0.1,0.2", "x"])
            sample = sample_of(task, gold, "wxyz" if gold == "B" else (), error=error)
            for protocol in ("vlmevalkit", "paper", "lmms-eval"):
                assert check_answer(sample, text, protocol).value in (0.0, 1.0)

    assert time.perf_counter() - started < 20
