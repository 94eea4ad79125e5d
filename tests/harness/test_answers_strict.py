"""The `strict` answer rules: tables of dresses, hostile texts, and what holds for every text."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.scoring.answers.check import check_answer
from harness.scoring.answers.choice import read_choice
from harness.scoring.answers.number import read_number
from harness.scoring.answers.options import options_of
from harness.scoring.answers.text import fold, text_key
from harness.scoring.answers.yes_no import read_yes_no
from harness.scoring.score import score
from harness.values import FAULTS, PROTOCOLS, AnswerRule, Sample, ScoreConfig
from harness.vocabulary import PLACE_RULES

CASES = Path(__file__).parent.parent / "cases"
ANIMALS = {"A": "cat", "B": "dog", "C": "teddy bear", "D": "rabbit"}


def table(name: str) -> dict:
    return json.loads((CASES / f"answers_{name}.json").read_text(encoding="utf-8"))


def rows(name: str) -> list[dict]:
    return table(name)["rows"]


TEXT_RULES = [rule for rule in get_args(AnswerRule) if rule not in {*PLACE_RULES, "native"}]
"""Answers that are places have tables of their own, tests/cases/places.json; native ones are lmms-eval's to score."""


def sample(rule: AnswerRule, answers: list[str] | None, **more) -> Sample:
    return Sample(id="1", task="any", answer_rule=rule, answers=None if answers is None else tuple(answers), **more)


def mathvista(row: dict) -> Sample:
    multi_choice = row["kind"] == "multi_choice"
    extra = {
        "question_type": "multi_choice" if multi_choice else "free_form",
        "answer_type": "text" if multi_choice else row["kind"],
        "precision": row.get("precision"),
    }
    return sample(
        "mathvista", [row["gold"]], extra=extra, choices=dict(zip("ABCDEF", row.get("options", []), strict=False))
    )


CHOICE = table("choice")


@pytest.mark.parametrize("row", CHOICE["rows"], ids=lambda row: f"{row['options']}-{row['answer'][:40]!r}")
def test_a_choice_is_read_only_where_it_is_stated(row: dict) -> None:
    choices = CHOICE["option_sets"][row["options"]]

    assert row["extracted"] == read_choice(row["answer"], options_of(tuple(choices.items())))


@pytest.mark.parametrize("row", rows("yes_no"), ids=lambda row: repr(row["answer"]))
def test_yes_or_no_is_the_only_one_of_the_two_words(row: dict) -> None:
    check = check_answer(sample("yes_no", ["Yes"]), row["answer"], "strict")

    assert (row["extracted"], float(row["extracted"] == "Yes")) == (check.extracted, check.value)


@pytest.mark.parametrize("row", rows("number"), ids=lambda row: repr(row["text"][:40]))
def test_a_number_is_read_only_where_one_is_stated(row: dict) -> None:
    number = read_number(row["text"])

    assert row["number"] == (None if number is None else str(number))


@pytest.mark.parametrize("row", rows("mathvista"), ids=lambda row: f"{row['kind']}-{row['answer']!r}-{row['gold']}")
def test_mathvista_scores_by_the_kind_of_answer(row: dict) -> None:
    check = check_answer(mathvista(row), row["answer"], "strict", row.get("judge_reply"))

    assert (row["value"], tuple(row["faults"])) == (check.value, check.faults)
    if "extracted" in row:
        assert row["extracted"] == check.extracted


@pytest.mark.parametrize("row", rows("texts"), ids=lambda row: f"{row['rule']}-{row['answer']!r}-{row['answers']}")
def test_texts_score_by_equality_and_ocr_by_containment(row: dict) -> None:
    asked = sample(row["rule"], row["answers"], category=row.get("category", ""))
    check = check_answer(asked, row["answer"], "strict")

    assert (row["value"], tuple(row["faults"])) == (check.value, check.faults)


@pytest.mark.parametrize(("gold", "value"), [("B", 1.0), ("b", 1.0), (" B ", 1.0), ("dog", 1.0), ("A", 0.0)])
def test_the_gold_option_is_a_letter_or_its_text(gold: str, value: float) -> None:
    assert value == check_answer(sample("choice", [gold], choices=ANIMALS), "B", "strict").value


def test_a_gold_that_is_no_option_cannot_be_scored() -> None:
    check = check_answer(sample("choice", ["E"], choices=ANIMALS), "B", "strict")

    assert (check.value, check.extracted, check.faults) == (None, "B", ("no_gold",))


@pytest.mark.parametrize(("reply", "value", "faults"), [("B", 1.0, ()), ("C", 0.0, ()), ("Z", 0.0, ("no_match",))])
def test_a_judge_decides_only_what_the_answer_left_open(reply: str, value: float, faults: tuple) -> None:
    asked = sample("choice", ["B"], choices=ANIMALS)
    check = check_answer(asked, "a canine", "strict", reply)

    assert (value, faults) == (check.value, check.faults)
    assert check_answer(asked, "C", "strict", reply).value == 0.0


@pytest.mark.parametrize(
    ("answer", "gold", "precision", "value"),
    [
        ("5%", "5", None, 1.0),
        ("5%", "0.05", None, 1.0),
        ("5%", "0.5", None, 0.0),
        ("5 million", "5000000", None, 1.0),
        ("1.004", "1", 2, 1.0),
        ("1.005", "1", 2, 0.0),
        ("1.004", "1", None, 0.0),
        ("1.0", "1", None, 1.0),
        ("0.1", "1/10", None, 1.0),
        ("0.30000000000000004", "0.3", None, 0.0),
    ],
)
def test_numbers_compare_exactly_at_the_given_precision(
    answer: str, gold: str, precision: int | None, value: float
) -> None:
    asked = sample("number", [gold], extra={"precision": precision})

    assert value == check_answer(asked, answer, "strict").value


def test_mathvista_without_type_columns_goes_by_options_and_gold() -> None:
    checks = [
        check_answer(sample("mathvista", ["8/11"], choices={"A": "3/11", "B": "8/11"}), "B", "strict"),
        check_answer(sample("mathvista", ["5"]), "5.0", "strict"),
        check_answer(sample("mathvista", ["1.2"]), "1.24", "strict"),
        check_answer(sample("mathvista", ["[1, 2]"]), "1, 2", "strict"),
        check_answer(sample("mathvista", ["cat"]), "Cat", "strict"),
    ]

    assert [1.0] * len(checks) == [check.value for check in checks]


@pytest.mark.parametrize("rule", TEXT_RULES)
@pytest.mark.parametrize("answers", [None, []])
def test_without_gold_nothing_is_scored_but_the_answer_is_still_read(rule: AnswerRule, answers: list | None) -> None:
    check = check_answer(sample(rule, answers, choices=ANIMALS if rule == "choice" else {}), "5 B", "strict")

    assert (check.value, check.faults) == (None, ("no_gold",))
    assert check_answer(sample("choice", answers, choices=ANIMALS), "B", "strict").extracted == "B"


MANY = 100_000


@pytest.mark.parametrize(
    "texts", [["x"] * MANY, [f"option {place}" for place in range(MANY)]], ids=["equal", "different"]
)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_hundred_thousand_choices_cost_a_second(texts: list[str], protocol: str) -> None:
    asked = sample("choice", ["B"], choices={str(place): text for place, text in enumerate(texts)})
    start = time.process_time()
    for answer in ("B", "B. It has floppy ears", "The answer is B. Option A is wrong.", "option 77"):
        check_answer(asked, answer, protocol)

    assert time.process_time() - start < 5


UP_TO_NINETEEN = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen
nineteen
"""


def in_words(number: int) -> str:
    """Say a number below a million."""
    if number < 20:
        return UP_TO_NINETEEN.split()[number]
    if number < 100:
        tens = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")[number // 10 - 2]
        return tens if number % 10 == 0 else f"{tens}-{in_words(number % 10)}"
    above, scale = (number // 1000, "thousand") if number >= 1000 else (number // 100, "hundred")
    rest = number % 1000 if number >= 1000 else number % 100
    return f"{in_words(above)} {scale}" + ("" if rest == 0 else f"{' and' if rest < 100 else ''} {in_words(rest)}")


@settings(deadline=None, max_examples=300)
@given(
    number=st.integers(2, 999_999), apart=st.booleans(), frame=st.sampled_from(["{}", "There are {} cats.", "-({})"])
)
def test_a_number_in_words_is_the_number(number: int, apart: bool, frame: str) -> None:
    said = in_words(number).replace("-", " ") if apart else in_words(number)

    assert read_number(frame.format(number)) == read_number(frame.format(said))


def test_what_is_stored_of_a_text_answer_is_bounded() -> None:
    check = check_answer(sample("accepted", ["red"]), "x" * 10_000, "strict")

    assert check.extracted == "x" * 500


MEGABYTE = 1_000_000
HOSTILE = {
    "A": "A" * MEGABYTE,
    "A blank": "A " * (MEGABYTE // 2),
    "(": "(" * MEGABYTE,
    "(A": "(A" * (MEGABYTE // 2),
    "boxed": "\\boxed{" * 100_000,
    "frac": "\\frac{" * 100_000,
    "9": "9" * MEGABYTE,
    "Arabic 5": "\u0665" * MEGABYTE,
    "-": "-" * MEGABYTE,
    ".": "." * MEGABYTE,
    "blank": " " * MEGABYTE,
    "newline": "\n" * MEGABYTE,
    "*_": "*_" * (MEGABYTE // 2),
    "$": "$" * MEGABYTE,
    "#": "#" * MEGABYTE,
    "1,": "1," * (MEGABYTE // 2),
    "1/": "1/" * (MEGABYTE // 2),
    "1.1": "1.1" * (MEGABYTE // 3),
    "10^": "10^" * (MEGABYTE // 3),
    "[1,": "[1," * (MEGABYTE // 3),
    "yes": "yes " * (MEGABYTE // 4),
    "dog": "dog" * (MEGABYTE // 3),
    "marks": "a" + "\u0301\u0316" * (MEGABYTE // 2),
    "ligature": "\ufdfa" * MEGABYTE,
    "answer is": "answer is " * (MEGABYTE // 10),
    "answer blank": "answer" + " " * MEGABYTE,
    "answer is *": "answer is " + "*" * MEGABYTE,
    "the answer is A": "The answer is A. " * (MEGABYTE // 17),
    "dots x": "." * 16_000 + "x",
    **{
        unit.strip(): unit * (MEGABYTE // len(unit))
        for unit in (
            *("five hundred and ", "twenty-one ", "one and ", "a hundred ", "十五 ", "1 234 ", "|5|", "-(5) ", "(5, "),
            *("all two as ", "5 ft 5 in ", "5 more cats than ", "cm^2 ", "&lt;", "x=5, ", "fig. 5", "= 5 ", "5 cm ("),
            *("<b>", "<b>x</b>", "_a", " _a", "*a ", "**a", "`a", "```", '{"answer":', "{'answer': '", "\\frac1{"),
            *("no, ", "there is no ", "in the picture, there is no ", "so, yes ", "not ", "if "),
            *("Option A is wrong. ", "B. dog ", "wait, the answer is A. ", "* A: x\n", "答案是A，", "A不对，"),
        )
    },
}
ASKED = {
    "choice": sample("choice", ["B"], choices=ANIMALS),
    "mmbench": Sample(id="1", task="mmbench_en_dev", answer_rule="choice", answers=("B",), choices=ANIMALS),
    "yes_no": sample("yes_no", ["Yes"]),
    "ocr": sample("ocr", ["stop"]),
    "handwriting": sample("ocr", ["x = 1"], category="Handwritten Mathematical Expression Recognition"),
    "accepted": sample("accepted", ["red"]),
    "number": sample("number", ["5"]),
    "integer": mathvista({"kind": "integer", "gold": "5"}),
    "float": mathvista({"kind": "float", "gold": "1.2", "precision": 1}),
    "list": mathvista({"kind": "list", "gold": "[1, 2]"}),
    "text": mathvista({"kind": "text", "gold": "cat"}),
    "option": mathvista({"kind": "multi_choice", "gold": "8/11", "options": ["3/11", "8/11"]}),
}


def cpu_ms(asked: Sample, answer: str, protocol: str, reply: str | None) -> float:
    """CPU time of one check, best of three: what else runs on the machine is not measured."""
    spent = []
    for _ in range(3):
        start = time.process_time()
        check_answer(asked, answer, protocol, reply)
        spent.append((time.process_time() - start) * 1e3)
        if spent[-1] < 25:
            break
    return min(spent)


@pytest.mark.parametrize(
    ("protocol", "shortened"),
    [*((protocol, 2 * MEGABYTE) for protocol in PROTOCOLS), ("strict", 16_000), ("strict", 4_000)],
)
def test_hostile_texts_cost_milliseconds(protocol: str, shortened: int) -> None:
    slow = {
        (rule, name): spent
        for rule, asked in ASKED.items()
        for name, text in HOSTILE.items()
        if (spent := cpu_ms(asked, text[:shortened], protocol, None)) > (500 if protocol == "strict" else 1000)
    }

    assert slow == {}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_hostile_judge_replies_cost_milliseconds(protocol: str) -> None:
    slow = {
        (rule, name): spent
        for rule in ("mmbench", "integer", "float", "list", "text", "option")
        for name, text in HOSTILE.items()
        if (spent := cpu_ms(ASKED[rule], "I cannot say", protocol, text)) > (500 if protocol == "strict" else 1000)
    }

    assert slow == {}


PIECES = st.sampled_from(
    [
        *(
            "twenty",
            "-one",
            "hundred",
            "and",
            "or",
            "5",
            "mW",
            "MW",
            "K",
            "x",
            "pairs",
            "more",
            "than",
            "about",
            "up to",
        ),
        *(
            "Step",
            "五",
            "十",
            "是",
            "不是",
            "|",
            "(",
            ")",
            "~~",
            "<b>",
            "</b>",
            "_",
            "`",
            '{"answer": "',
            '"}',
            "&lt;",
            "‰",
        ),
        *(
            "Option A",
            "wrong",
            "Wait,",
            "is correct",
            "?",
            "I",
            "think",
            "Probably",
            "because",
            "but",
            "if",
            "there is",
        ),
        *(
            "A",
            "B",
            "b",
            "(B)",
            "B.",
            "**",
            "\\boxed{",
            "}",
            "$",
            "\\frac{1}{2}",
            "dog",
            "cat",
            "answer is ",
            "选",
            "not ",
        ),
        *(
            "yes",
            "no",
            "5",
            "-",
            "1,000",
            "%",
            " ",
            "\n",
            ".",
            "½",
            "³",
            "e9",
            "/",
            "[",
            "]",
            ",",
            "million",
            "one",
            "٥",
        ),
    ]
)
TEXTS = st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=8).map("".join))


@settings(deadline=None, max_examples=400)
@given(
    answer=TEXTS,
    reply=st.none() | TEXTS,
    rule=st.sampled_from(sorted(ASKED)),
    protocol=st.sampled_from(PROTOCOLS),
)
def test_every_text_gets_a_value_or_a_reason(answer: str, reply: str | None, rule: str, protocol: str) -> None:
    check = check_answer(ASKED[rule], answer, protocol, reply)

    assert check.value in {None, 0.0, 1.0}
    assert set(check.faults) <= set(FAULTS)
    assert check.value is not None or check.faults
    assert check == check_answer(ASKED[rule], answer, protocol, reply)


@settings(deadline=None, max_examples=300)
@given(
    answer=TEXTS,
    answers=st.lists(TEXTS, max_size=3),
    choices=st.dictionaries(st.sampled_from("ABCDxy") | st.text(max_size=3), TEXTS, max_size=4),
    extra=st.fixed_dictionaries(
        {
            "question_type": st.sampled_from(["multi_choice", "free_form", None, 7]),
            "answer_type": st.sampled_from(["integer", "float", "list", "text", None, []]),
            "precision": st.none() | st.floats() | st.integers() | st.text(max_size=5),
        }
    ),
    rule=st.sampled_from(TEXT_RULES),
    protocol=st.sampled_from(PROTOCOLS),
)
def test_odd_gold_never_raises(answer, answers, choices, extra, rule, protocol) -> None:
    asked = sample(rule, answers, choices=choices, extra=extra)

    value = check_answer(asked, answer, protocol, answer).value
    assert value in {None, 0.0, 1.0} or (rule in {"vqa", "anls"} and 0 < value < 1)


@settings(deadline=None, max_examples=200)
@given(answer=TEXTS, blank=st.sampled_from(["", " ", "\n", "\t", "\u3000"]))
def test_outer_blanks_never_change_a_strict_score(answer: str, blank: str) -> None:
    for rule, asked in ASKED.items():
        plain, padded = (check_answer(asked, text, "strict") for text in (answer, f"{blank}{answer}{blank}"))
        assert (plain.value, plain.faults) == (padded.value, padded.faults), rule


@settings(deadline=None, max_examples=200)
@given(whole=st.integers(-(10**12), 10**12), decimals=st.integers(0, 6))
def test_written_numbers_are_read_back_exactly(whole: int, decimals: int) -> None:
    text = f"{whole:,}" if decimals == 0 else f"{whole / 10**decimals:,.{decimals}f}"
    number = read_number(f"The value is {text} cm.")

    assert number is not None
    assert read_number(text.replace(",", "")) == number


@settings(deadline=None, max_examples=200)
@given(text=st.text(max_size=80))
def test_a_text_key_is_its_own_key_under_case_and_blanks(text: str) -> None:
    assert text_key(text) == text_key(f"  {text}\n")


def test_the_sample_is_never_changed() -> None:
    choices = {"A": "Cat", "B": "Dog"}
    asked = sample("choice", ["B"], choices=MappingProxyType(choices))
    for protocol in PROTOCOLS:
        check_answer(asked, "the dog", protocol)

    assert choices == {"A": "Cat", "B": "Dog"}


def test_threads_agree() -> None:
    answers = [row["answer"] for row in CHOICE["rows"]]
    asked = ASKED["choice"]
    alone = [check_answer(asked, answer, "strict") for answer in answers]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda answer: check_answer(asked, answer, "strict"), answers * 4))

    assert alone * 4 == together


def test_a_pile_of_combining_marks_is_left_alone() -> None:
    pile = "a" + "\u0301\u0316" * 8_000

    assert pile == fold(pile)


TAILS = json.loads((CASES / "retractions.json").read_text(encoding="utf-8"))
STATED = {
    "choice": ("The answer is B.", Sample("1", "t", "choice", answers=("B",), choices={"A": "a cat", "B": "a dog"})),
    "yes_no": ("Yes, it is.", Sample("1", "t", "yes_no", answers=("Yes",))),
    "number": ("The answer is 5.", Sample("1", "t", "number", answers=("5",))),
}


@pytest.mark.parametrize("rule", STATED)
@pytest.mark.parametrize(("kind", "tail"), [(kind, tail) for kind, tails in TAILS.items() for tail in tails])
def test_a_sentence_that_takes_back_undoes_every_kind_of_answer(rule, kind, tail):
    said, sample = STATED[rule]

    assert check_answer(sample, said, "strict").value == 1.0
    assert check_answer(sample, f"{said} {tail}", "strict").value == (1.0 if kind == "kept" else 0.0)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Yes, there are none.", None),
        ("Yes, nothing is there.", None),
        ("Yes - nope", None),
        ("No, there is none.", "No"),
        ("No, nothing is there.", "No"),
    ],
)
def test_a_yes_that_says_there_is_nothing_is_none(text, label):
    assert read_yes_no(text) == label


@pytest.mark.parametrize("text", ["1, 2?", "a, b?", "[1, 2]?"])
def test_a_list_that_asks_is_no_answer(text):
    gold = text.rstrip("?")
    sample = Sample("1", "mathvista", "mathvista", answers=(gold,), extra={"answer_type": "list"})

    assert check_answer(sample, gold, "strict").value == 1.0
    assert check_answer(sample, text, "strict").value == 0.0


@pytest.mark.parametrize("rule", ["choice", "number"])
def test_a_judge_may_reply_in_json_as_a_model_may(rule):
    _, sample = STATED[rule]
    reply = json.dumps({"answer": sample.answers[0]})

    assert check_answer(sample, "I cannot tell", "strict", reply).value == 1.0


@pytest.mark.parametrize(
    ("rule", "answers", "choices"),
    [
        ("choice", ("Z",), {"A": "a cat", "B": "a dog"}),
        ("choice", (), {"A": "a cat"}),
        ("number", ("many",), {}),
        ("yes_no", ("perhaps",), {}),
        ("accepted", (" ",), {}),
        ("accepted", (), {}),
    ],
)
@pytest.mark.parametrize("text", ["I give up", "<answer>B</answer>", "<answer>B"])
def test_where_nobody_can_be_right_a_missing_answer_is_no_zero(rule, answers, choices, text):
    sample = Sample("1", "t", rule, answers=answers, choices=choices)

    found = score(sample, text, ScoreConfig(protocol="strict", format="satori"))
    assert found.value is None
    assert "no_gold" in found.faults
