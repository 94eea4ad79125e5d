"""The peers' answer rules: values computed by the peers' own functions, and quirks that those do not show."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from pathlib import Path

import pytest

from harness.scoring.answers.check import check_answer
from harness.scoring.answers.edit_distance import edit_distance
from harness.values import Sample

CASES = Path(__file__).parent.parent / "cases"
RULES = {
    "mmstar": "choice",
    **dict.fromkeys(("mme", "pope", "hallusion_bench"), "yes_no"),
    "ocrbench": "ocr",
    "mathvista": "mathvista",
    "satori": "accepted",
}
ABOUT = ("can_infer", "mcq_exact_matching", "mathvista", "ocrbench", "yorn", "satori_vqa", "satori_fork_mcq")
EXPECTED_COUNTS = {
    ("can_infer", "lmms-eval"): 82,
    ("can_infer", "paper"): 82,
    ("can_infer", "vlmevalkit"): 82,
    ("mathvista", "lmms-eval"): 35,
    ("mathvista", "vlmevalkit"): 35,
    ("mcq_exact_matching", "paper"): 3,
    ("mcq_exact_matching", "vlmevalkit"): 3,
    ("ocrbench", "lmms-eval"): 25,
    ("ocrbench", "vlmevalkit"): 25,
    ("satori_fork_mcq", "paper"): 5,
    ("satori_vqa", "paper"): 9,
    ("yorn", "lmms-eval"): 102,
    ("yorn", "vlmevalkit"): 102,
}


def parity_cases() -> list[dict]:
    with (CASES / "parity_core.jsonl").open(encoding="utf-8") as lines:
        cases = [json.loads(line) for line in lines]
    return [case for case in cases if case["about"] in ABOUT and len(case["rows"]) == 1]


def answer_stage(case: dict) -> str | None:
    """What SATORI's code scores of a text: across lines for rewards, on one line (else a blank) for benchmarks."""
    row = case["rows"][0]
    if case["format"] == "plain":
        return row["prediction"]
    reward = row["task"] == "satori"
    found = re.search(r"<answer>(.*?)</answer>", row["prediction"], re.DOTALL if reward else 0)
    if found is None:
        return None if reward else " "
    return found.group(1)


def sample_of(row: dict) -> Sample:
    return Sample(
        id=row["id"],
        task=row["task"],
        answer_rule=RULES[row["task"]],
        answers=tuple(row["answers"]),
        choices=row.get("choices") or dict(zip("ABCDEFGH", row.get("options", []), strict=False)),
        category=row.get("category", ""),
        extra={name: row[name] for name in ("question_type", "answer_type", "precision") if name in row},
    )


@pytest.mark.parametrize("case", parity_cases(), ids=lambda case: case["id"])
def test_agrees_with_the_peer(case: dict) -> None:
    row, expected = case["rows"][0], case["expect"]
    answer = answer_stage(case)
    if answer is None:
        assert expected == {"components": {"answer": 0.0}}  # no answer stage: nothing to check here
        return
    check = check_answer(sample_of(row), answer, case["protocol"], row.get("judge_reply"))

    if "score" in expected:
        assert expected["score"] == check.value
    if "extracted" in expected:
        assert expected["extracted"] == check.extracted
    if "components" in expected:
        assert expected["components"]["answer"] == check.value


def test_every_parity_case_is_there() -> None:
    assert Counter((case["about"], case["protocol"]) for case in parity_cases()) == EXPECTED_COUNTS


PEERS = json.loads((CASES / "answers_peers.json").read_text(encoding="utf-8"))["rows"]


@pytest.mark.parametrize(
    "row", PEERS, ids=lambda row: f"{row['protocol']}-{row['task']}-{row['answer'][:30]!r}-{row.get('judge_reply')}"
)
def test_quirks_are_kept(row: dict) -> None:
    asked = Sample(
        id="1",
        task=row["task"],
        answer_rule=row["rule"],
        answers=None if row["answers"] is None else tuple(row["answers"]),
        choices=row.get("choices", {}),
        extra=row.get("extra", {}),
    )
    check = check_answer(asked, row["answer"], row["protocol"], row.get("judge_reply"))

    assert (row["value"], row["extracted"], tuple(row["faults"])) == (check.value, check.extracted, check.faults)


def test_only_the_first_32_periods_are_dropped_before_yes_and_no_are_looked_for() -> None:
    asked = Sample(id="1", task="mme", answer_rule="yes_no", answers=("Yes",))
    checks = [check_answer(asked, f"{'a. ' * periods}yes.", "vlmevalkit") for periods in (31, 32)]

    assert [check.extracted for check in checks] == ["Yes", None]


def test_a_number_with_a_comma_makes_every_mark_vanish() -> None:
    asked = Sample(id="1", task="mme", answer_rule="yes_no", answers=("Yes",))

    assert check_answer(asked, "is-yes", "vlmevalkit").extracted == "Yes"
    assert check_answer(asked, "is-yes 1,2", "vlmevalkit").extracted is None


def slow_distance(first: str, second: str) -> int:
    """The textbook table, as a reference."""
    above = list(range(len(second) + 1))
    for row, one in enumerate(first, 1):
        current = [row]
        for column, other in enumerate(second, 1):
            current.append(min(above[column] + 1, current[-1] + 1, above[column - 1] + (one != other)))
        above = current
    return above[-1]


def test_edit_distance_equals_the_textbook_table() -> None:
    rng = random.Random(0)
    for _ in range(300):
        first, second = ("".join(rng.choices("ab/1é", k=rng.randint(0, 70))) for _ in range(2))
        assert slow_distance(first, second) == edit_distance(first, second), (first, second)


def random_answers(count: int) -> list[str]:
    rng = random.Random(5)
    pieces = [
        *(
            "A",
            "B",
            "C",
            "D",
            "E",
            "Z",
            "a",
            "b",
            "(A)",
            "(B)",
            "B.",
            "C:",
            "D)",
            "(C).",
            ":A",
            ":B.",
            "B,",
            "AB",
            "A/B",
        ),
        *(
            "the answer is",
            "The answer is",
            "answer is",
            "correct answer is",
            "Answer:",
            "I choose",
            "选B",
            "答案是",
            "옵션",
        ),
        *(
            "cat",
            "dog",
            "teddy bear",
            "hotdog",
            "yes",
            "no",
            "Yes",
            "No.",
            "yes,",
            "no!",
            "not",
            "1,2",
            "...",
            "y",
            "n",
        ),
        *("**A**", "[B]", "'", '"', "\n", "*", "best option is", "Failed to obtain answer via API", "Apple"),
    ]
    joins = [" ", "", " ", "\n", ". "]
    return ["".join(rng.choice(pieces) + rng.choice(joins) for _ in range(rng.randint(0, 8))) for _ in range(count)]


@pytest.mark.slow
def test_random_answers_are_read_as_the_installed_lmms_eval_reads_them() -> None:
    mcq_extract = pytest.importorskip("lmms_eval.tasks._task_utils.mcq_extract")
    mme = pytest.importorskip("lmms_eval.tasks.mme.utils")
    mmbench = pytest.importorskip("lmms_eval.tasks.mmbench.mmbench_evals")
    mmbench.eval_logger.disable("lmms_eval")
    evaluator = mmbench.MMBench_Evaluator()
    choices = {"A": "cat", "B": "dog", "C": "teddy bear", "D": "rabbit"}
    star = Sample(id="1", task="mmstar", answer_rule="choice", answers=("B",), choices=choices)
    bench = Sample(id="1", task="mmbench_en_dev", answer_rule="choice", answers=("B",), choices=choices)
    yes = Sample(id="1", task="mme", answer_rule="yes_no", answers=("Yes",))
    for answer in random_answers(3_000):
        letter = mcq_extract.extract_mcq_answer(answer, list(choices)) or None
        stripped = answer.strip()
        static = evaluator.can_infer(stripped, dict(choices)) or mcq_extract.extract_mcq_answer(stripped, list(choices))
        label = {"yes": "Yes", "no": "No"}.get(mme.parse_pred_ans(answer))
        ours = [check_answer(asked, answer, "lmms-eval").extracted for asked in (star, bench, yes)]
        assert [letter, static or None, label] == ours, answer
