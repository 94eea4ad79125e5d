"""ChartQA, TextVQA, DocVQA and InfographicVQA: what an answer earns, and what is made of scores between 0 and 1."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.comparison.values import quadrant_codes
from harness.scoring.answers.check import check_answer
from harness.scoring.answers.vqa_words import CONTRACTIONS, DIGITS_BY_WORD
from harness.scoring.score import score
from harness.summary.means import ScoredRow
from harness.summary.task_summary import summarise
from harness.task_facts import facts_of
from harness.values import PROTOCOLS, Sample, ScoreConfig

CASES = Path(__file__).parent.parent / "cases"
TASKS = {"chartqa": "relaxed", "textvqa": "vqa", "docvqa": "anls", "infovqa": "anls"}
LENGTHS = {"relaxed": 40, "vqa": 40, "anls": 40}


def rows(name: str) -> list[dict]:
    return json.loads((CASES / f"answers_{name}.json").read_text(encoding="utf-8"))["rows"]


def asked(rule: str, answers: list[str], **more) -> Sample:
    return Sample(id="1", task=more.pop("task", "any"), answer_rule=rule, answers=tuple(answers), **more)


@pytest.mark.parametrize("row", rows("documents"), ids=lambda row: f"{row['rule']}-{row['answer']!r}-{row['answers']}")
def test_strict_gives_what_the_measure_says_and_never_awards_a_guess(row: dict) -> None:
    check = check_answer(asked(row["rule"], row["answers"]), row["answer"], "strict")

    assert (check.value, check.faults) == (pytest.approx(row["value"], abs=1e-9), tuple(row["faults"]))


def test_every_rule_has_its_table() -> None:
    found = [row["rule"] for row in rows("documents")]

    assert {rule: found.count(rule) >= least for rule, least in LENGTHS.items()} == dict.fromkeys(LENGTHS, True)


@pytest.mark.parametrize(
    "row",
    rows("documents_peers"),
    ids=lambda row: f"{row['protocol']}-{row['rule']}-{row['answer']!r}-{row['answers']}",
)
def test_quirks_of_the_peers_are_kept(row: dict) -> None:
    check = check_answer(asked(row["rule"], row["answers"]), row["answer"], row["protocol"])

    assert check.value == pytest.approx(row["value"], abs=1e-9)


@given(
    row=st.sampled_from([row for row in rows("documents") if row["value"] and not row["answer"].startswith("\\")]),
    dress=st.sampled_from([" {} ", "{}\n", "**{}**", "`{}`", '{{"answer": {}}}', "\u200b{}"]),
)
def test_dress_changes_nothing(row: dict, dress: str) -> None:
    sample, answer = asked(row["rule"], row["answers"]), row["answer"].strip()
    if "*" in answer or '"' in answer:
        return
    dressed = dress.format(json.dumps(answer) if "answer" in dress else answer)

    assert check_answer(sample, dressed, "strict").value == check_answer(sample, answer, "strict").value


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("rule", sorted(set(TASKS.values())))
def test_no_text_breaks_a_rule_and_a_score_is_a_share(rule: str, protocol: str) -> None:
    rng = random.Random(3)
    pieces = [
        "5",
        "%",
        ".",
        ",",
        "-",
        "e9",
        "1e999",
        "nan",
        "inf",
        " ",
        "\n",
        "a",
        "the",
        "two",
        "'s",
        "?",
        "½",
        "𝟓",
        "_",
    ]
    for _ in range(150):
        text, *golds = ("".join(rng.choices(pieces, k=rng.randint(0, 6))) for _ in range(rng.randint(1, 6)))
        check = check_answer(asked(rule, golds), text, protocol)
        assert check.value is None or 0 <= check.value <= 1, (text, golds)
        if not golds:
            assert check.faults == ("no_gold",)


@pytest.mark.parametrize("text", ["a" * 1_000_000, "5," * 500_000, "a b " * 250_000, "\u0301" * 1_000_000])
def test_a_long_text_is_unlike_a_short_gold_at_once(text: str) -> None:
    for task, rule in TASKS.items():
        for protocol in PROTOCOLS:
            assert check_answer(asked(rule, ["red"] * 10, task=task), text, protocol).value == 0


# --- scores between 0 and 1, further on -----------------------------------------------------------------------------


SHARES = {"docvqa": [("the university", "university", 1 - 4 / 14), ("abcd", "ab", 0.0), ("abc", "abc", 1.0)]}


@pytest.mark.parametrize("task", ["docvqa", "infovqa"])
def test_the_headline_is_the_mean_of_likenesses_with_an_interval(task: str) -> None:
    scored = []
    for number, (gold, answer, _) in enumerate(SHARES["docvqa"]):
        sample = Sample(id=str(number), task=task, answer_rule="anls", answers=(gold,))
        scored.append(ScoredRow(sample, score(sample, answer, ScoreConfig(format="plain"))))
    summary = summarise(task, scored, "strict")

    assert summary.headline == "anls"
    assert summary.shown.value == pytest.approx(sum(value for *_, value in SHARES["docvqa"]) / 3, abs=1e-6)
    assert summary.shown.ci_low <= summary.shown.value <= summary.shown.ci_high


def test_a_document_counts_in_each_of_its_kinds() -> None:
    scored = []
    for number, kinds in enumerate((["form"], ["form", "table/list"], [])):
        extra = {"question_types": kinds}
        sample = Sample(id=str(number), task="docvqa", answer_rule="anls", answers=("abc",), extra=extra)
        scored.append(ScoredRow(sample, score(sample, ("abc", "abd", "xyz")[number], ScoreConfig(format="plain"))))
    summary = summarise("docvqa", scored, "strict")

    assert {name: metric.n for name, metric in summary.categories.items()} == {"form": 2, "table/list": 1}
    assert summary.categories["table/list"].value == pytest.approx(2 / 3, abs=1e-6)


def test_a_likeness_that_counts_at_all_is_right_beside_a_place() -> None:
    """ANLS leaves nothing between 0 and a half, so that right and wrong part where the measure itself parts them."""
    values = [check_answer(asked("anls", ["abcdefghij"]), "abcdefghij"[:end], "strict").value for end in range(1, 11)]

    assert all(value == 0 or value > 0.5 for value in values)
    codes = quadrant_codes(np.array(values), np.ones(len(values)), 0.5)
    assert [code == 0 for code in codes] == [value > 0 for value in values]


@pytest.mark.parametrize(("task", "rule"), TASKS.items())
def test_facts_name_the_rule_of_each_benchmark(task: str, rule: str) -> None:
    assert facts_of(task).answer_rule == rule


@pytest.mark.slow
def test_words_and_scores_are_those_of_the_installed_lmms_eval() -> None:
    words = pytest.importorskip("lmms_eval.tasks._task_utils.vqa_eval_metric").EvalAIAnswerProcessor
    chartqa = pytest.importorskip("lmms_eval.tasks.chartqa.utils")
    textvqa = pytest.importorskip("lmms_eval.tasks.textvqa.utils")
    anls = pytest.importorskip("lmms_eval.api.metrics").anls
    theirs = {key: word for key, word in words.CONTRACTIONS.items() if key == key.lower() and key != word}
    assert theirs == CONTRACTIONS
    assert words.NUMBER_MAP.items() >= DIGITS_BY_WORD.items()

    rng = random.Random(11)
    pieces = ["5", "14", "%", ".", ",", "-", " ", " ", "red", "Red", "the", "two", "'s", "?", "dont", "a", "\n", "0"]
    for _ in range(2_000):
        answer, gold, other = ("".join(rng.choices(pieces, k=rng.randint(0, 5))) for _ in range(3))
        golds = [gold] * 3 + [other] * 2 + ["red"]
        found = {rule: check_answer(asked(rule, golds), answer, "lmms-eval").value for rule in ("vqa", "anls")}
        relaxed = check_answer(asked("relaxed", [gold]), answer, "lmms-eval").value
        assert relaxed == float(chartqa.relaxed_correctness(answer, gold)), (answer, gold)
        doc = {"answers": list(golds), "question_id": 1}
        assert found["vqa"] == pytest.approx(textvqa.textvqa_process_results(doc, [answer])["exact_match"]), answer
        assert found["anls"] == pytest.approx(anls(golds, [answer.strip()])["anls"]), (answer, golds)
