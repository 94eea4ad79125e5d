"""Short answers of RealWorldQA and ZeroBench, and the letters that peers read in HR-Bench, CV-Bench and BLINK."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.scoring.answers.check import check_answer
from harness.scoring.answers.short import short_rule, without_braces
from harness.scoring.answers.short_peers import last_braces
from harness.scoring.score import score
from harness.task_facts import facts_of
from harness.values import PROTOCOLS, Sample, ScoreConfig

CASES = Path(__file__).parent.parent / "cases"
OPTIONS = {"A": "red car", "B": "blue bus"}


def rows(name: str) -> list[dict]:
    return json.loads((CASES / f"answers_{name}.json").read_text(encoding="utf-8"))["rows"]


def asked(answers: list[str], **more) -> Sample:
    task = more.pop("task", "any")
    rule = "short" if task == "any" else facts_of(task).answer_rule
    return Sample(id="1", task=task, answer_rule=rule, answers=tuple(answers), **more)


@pytest.mark.parametrize("row", rows("short"), ids=lambda row: f"{row['answer']!r}-{row['answers']}")
def test_strict_reads_what_the_row_asks_for(row):
    check = check_answer(asked(row["answers"], choices=row.get("choices", {})), row["answer"], "strict")

    assert (check.value, list(check.faults)) == (row["value"], row["faults"])
    assert row.get("extracted", check.extracted) == check.extracted


@pytest.mark.parametrize(
    "row",
    rows("perception_peers"),
    ids=lambda row: f"{row['protocol']}-{row['task']}-{row['answer']!r}-{row['answers']}",
)
def test_peers_give_what_their_own_functions_give(row):
    sample = asked(row["answers"], task=row["task"], choices=row.get("choices", {}))
    check = check_answer(sample, row["answer"], row["protocol"])

    assert check.value == row["value"]
    assert row.get("extracted", check.extracted) == check.extracted


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_task_of_ones_own_is_read_by_a_peers_rule_for_options_and_ours_without(protocol):
    with_options = check_answer(asked(["B"], choices=OPTIONS), "(B)", protocol)
    without = check_answer(asked(["5"]), "The answer is {5}.", protocol)

    assert (with_options.value, with_options.extracted) == (1.0, "B")
    assert (without.value, without.extracted) == (1.0, "5")


def test_the_paper_has_no_rule_for_zerobench():
    assert check_answer(asked(["5"], task="zerobench"), "{15}", "paper").value == 0.0
    assert check_answer(asked(["5"], task="zerobench"), "{15}", "vlmevalkit").value == 1.0


@pytest.mark.parametrize(
    ("answers", "rule"),
    [
        (["3"], "number"),
        (["1,000"], "number"),
        (["3", "three"], "number"),
        (["3", "red"], "accepted"),
        (["Yes"], "yes_no"),
        ([" no "], "yes_no"),
        (["Yes", "maybe"], "accepted"),
        (["None"], "accepted"),
        (["nan"], "accepted"),
        ([], "accepted"),
    ],
)
def test_the_gold_says_what_is_asked_for(answers, rule):
    assert short_rule(asked(answers)) == rule
    assert short_rule(asked(answers, choices=OPTIONS)) == "choice"


@given(st.text(alphabet="{}ab\n\\5 or", max_size=40))
def test_the_last_braces_are_those_that_the_original_finds(text):
    found = re.findall(r"\{(.*?)\}", text)

    assert last_braces(text) == (found[-1] if found else None)


@given(st.text(max_size=60), st.sampled_from(["5", "red", "Yes"]))
def test_an_answer_without_braces_is_read_as_it_is(text, gold):
    plain = text.replace("{", "")

    assert without_braces(plain) == plain
    assert check_answer(asked([gold]), plain, "strict") == check_answer(
        Sample("1", "any", short_rule(asked([gold])), answers=(gold,)), plain, "strict"
    )


@given(st.sampled_from(["5", "red", "Yes", "-1.5"]), st.sampled_from(["{%s}", " {%s} ", "**{%s}**", "It is {%s}."]))
def test_braces_captions_and_blanks_change_nothing(gold, dress):
    sample, config = asked([gold]), ScoreConfig(protocol="strict", format="satori")
    for caption in ("A drawing.", "Not {7} but {8}.", gold):
        text = f"<caption>{caption}</caption><bbox>[[1,2,30,40]]</bbox><ANSWER>\n{dress % gold} </ANSWER>"
        assert score(sample, text, config).value == 1.0


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("task", ["realworldqa", "zerobench", "cv_bench", "hr_bench_4k"])
@pytest.mark.parametrize("unit", ["{", "{5} ", "answer ", "answer" + " " * 300, "(A", "\\{", "5", "{5} or "])
def test_a_hostile_text_costs_little(protocol, task, unit):
    text = unit * (400_000 // len(unit))
    sample = asked(["5"], task=task, choices={} if task == "zerobench" else OPTIONS)
    started = time.process_time()
    check_answer(sample, text, protocol)

    assert time.process_time() - started < 2
