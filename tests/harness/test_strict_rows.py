"""Under strict no answer earns more, or less, than it states: a table of rows that invite a wrong score."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from harness.evaluation.predictions import ANSWER_RULES, score_lines
from harness.scoring.box_dialects import dialect_named
from harness.values import ScoreConfig

TABLE = json.loads((Path(__file__).parents[1] / "cases" / "strict_rows.json").read_text(encoding="utf-8"))
GROUPS = TABLE["groups"]
BENCHMARKS = (
    *("mmstar", "mmbench_en_dev", "mmbench_cn_dev", "ai2d", "scienceqa", "mme", "pope", "hallusion_bench", "ocrbench"),
    *("mathvista", "chartqa", "textvqa", "docvqa", "infovqa", "shapes", "mathvision", "mathverse", "wemath"),
    *("olympiadbench", "mmmu_val", "mmmu_pro", "realworldqa", "cv_bench", "blink", "hr_bench_4k", "zerobench"),
    *("mmbench_en_dev_v11", "treebench", "vstar", "multihopspatial", "vqa_verify"),
)


def scored(case: dict) -> dict:
    dialect = case["box_frame"] and dialect_named(case["box_frame"])
    config = ScoreConfig(protocol="strict", format=case["format"], box_dialect=dialect)
    (row,) = score_lines([json.dumps({"id": "1", **case["row"]})], config)
    return row.to_json()


@pytest.mark.parametrize("group", GROUPS)
def test_every_row_earns_what_the_table_says(group):
    found = [{name: scored(case)[name] for name in case["expect"]} for case in GROUPS[group]]

    assert [case["expect"] for case in GROUPS[group]] == found


def test_the_table_has_right_wrong_and_unscorable_rows():
    scores = [case["expect"]["score"] for cases in GROUPS.values() for case in cases]

    assert {0.0, 1.0, None} <= set(scores)
    assert len(scores) > 1_000


def test_the_table_has_rows_of_every_answer_rule_and_of_the_benchmarks_of_each():
    tasks = Counter(case["row"]["task"] for cases in GROUPS.values() for case in cases)
    rules = {ANSWER_RULES[task] for task in tasks}

    texts = {"choice", "yes_no", "ocr", "mathvista", "maths", "accepted", "relaxed", "vqa", "anls", "mmmu", "short"}
    assert texts == rules
    assert {task: tasks[task] for task in BENCHMARKS if tasks[task] < 9} == {}


def read_as_numbers_and_options(row: dict) -> bool:
    """Whether a dress leaves what is said: a text that is compared letter for letter keeps some of it."""
    return ANSWER_RULES[row["task"]] in {"choice", "yes_no", "mathvista", "maths", "relaxed", "mmmu"}


@pytest.mark.parametrize(
    "dress",
    ["  {}\n\n", "**{}**", "<answer>{}</answer>", "<Answer> {} </ANSWER>", "\n<answer>\n{}\n</answer>\n", "\u200b{}"],
)
def test_no_dress_changes_what_a_row_earns(dress):
    """Blanks, Markdown, and tags in any case around an answer that has none of them."""
    dressed = [
        case
        for cases in GROUPS.values()
        for case in cases
        if case["format"] == "plain"
        and case["row"]["prediction"].strip()
        and not set(case["row"]["prediction"]) & set("*_`<>#\n\"'$\\")
        and read_as_numbers_and_options(case["row"])
    ]
    assert len(dressed) > 400
    found = [
        scored({**case, "row": {**case["row"], "prediction": dress.format(case["row"]["prediction"])}})["score"]
        for case in dressed
    ]

    assert found == [case["expect"]["score"] for case in dressed]


@pytest.mark.parametrize("caption", ["a cat", "No, it is B: 7", "", "the answer is (A)"])
def test_no_caption_changes_what_a_row_earns(caption):
    """The answer of a staged text is its answer stage's, whatever the caption says."""
    plain = [case for cases in GROUPS.values() for case in cases if case["format"] == "plain" and is_simple(case)]
    assert len(plain) > 400
    staged = "<caption>{}</caption><bbox>[[1,2,3,4]]</bbox><answer>{}</answer>"
    found = [
        scored(
            {
                **case,
                "format": "satori",
                "row": {**case["row"], "prediction": staged.format(caption, case["row"]["prediction"])},
            }
        )["score"]
        for case in plain
    ]

    assert found == [case["expect"]["score"] for case in plain]


def is_simple(case: dict) -> bool:
    """Whether a row's prediction has no tag of its own, and its row no gold boxes."""
    prediction = case["row"]["prediction"]
    return bool(prediction.strip()) and not set(prediction) & set("<>") and "boxes" not in case["row"]
