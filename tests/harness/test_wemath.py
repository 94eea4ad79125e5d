"""We-Math's numbers: what becomes of problems, held to what VLMEvalKit's own functions compute."""

import json
from pathlib import Path

import numpy as np
import pytest

from harness.summary.clusters import task_samples
from harness.summary.counted_units import OUTCOMES, make_units
from harness.summary.means import ScoredRow
from harness.summary.measures import task_measures
from harness.summary.task_summary import summarise
from harness.task_facts import WEMATH_PROBLEMS, facts_of
from harness.values import Components, Sample, Score

CASES = json.loads((Path(__file__).parents[1] / "cases" / "summary_wemath.json").read_text(encoding="utf-8"))
"""Per case problems of two and of three steps, each as 1 and 0 of its steps and then the whole, and the peer's numbers:
`evaluate_calculate_metrics` and `accuracy_update_main_results_df` of `utils/wemath.py` at e8e78f05."""


def rows_of(problems, missing=()):
    rows = []
    for steps, answers in problems.items():
        for number, written in enumerate(answers):
            for place, right in enumerate(written):
                part = "multi" if place == int(steps) else str(place + 1)
                key, problem = f"{steps}steps_{part}", f"{steps}steps_{number}"
                if (problem, key) in missing:
                    continue
                sample = Sample(
                    id=f"{problem}/{key}",
                    task="wemath",
                    answer_rule="choice",
                    answers=("A",),
                    cluster=problem,
                    category=f"{steps} steps",
                    l2_category=f"S{steps}" if part == "multi" else "S1",
                    extra={"key": key},
                )
                value = None if right == "?" else float(right)
                faults = ("needs_judge",) if value is None else ()
                rows.append(ScoredRow(sample, Score(value, None, Components(), faults=faults)))
    return rows


def values(problems, protocol, **options):
    found = summarise("wemath", rows_of(problems, **options), protocol)
    return {name: metric.value for name, metric in found.metrics.items()}


@pytest.mark.parametrize("protocol", ["vlmevalkit", "paper", "lmms-eval"])
@pytest.mark.parametrize("case", CASES)
def test_numbers_are_those_of_the_peer(case, protocol):
    found = values(case["problems"], protocol)

    assert {name: found[name] for name in case["metrics"]} == pytest.approx(case["metrics"], abs=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_strict_divides_by_the_problems_that_are_there(case):
    found, of_525 = values(case["problems"], "strict"), values(case["problems"], "vlmevalkit")
    problems = sum(map(len, case["problems"].values()))

    for name in ("IK", "IG", "CM_strict", "CM_loose"):
        assert found[name] * problems == pytest.approx(of_525[name] * WEMATH_PROBLEMS)
    for name in ("score_strict", "score_loose"):
        assert (1 - found[name]) * problems == pytest.approx((1 - of_525[name]) * WEMATH_PROBLEMS)
    for name in ("RM_strict", "RM_loose", "S1", "S2", "S3"):
        assert found[name] == of_525[name]
    assert found["IK"] + found["IG"] + found["CM_strict"] <= 1 + 1e-9


def test_all_problems_of_the_benchmark_give_the_same_number_under_every_protocol():
    whole = {"2": ["111", "110", "011", "000", "001"] * 72, "3": ["1111", "0111", "1110"] * 55}

    assert sum(map(len, whole.values())) == WEMATH_PROBLEMS
    assert values(whole, "strict") == pytest.approx(values(whole, "lmms-eval"))


OUTCOMES_OF = (
    ("100", "IK"), ("000", "IK"), ("110", "IG"), ("111", "CM_strict"), ("101", "partly"), ("001", "RM_loose"),
)  # fmt: skip


@pytest.mark.parametrize(("written", "became"), OUTCOMES_OF)
def test_what_becomes_of_a_problem(written, became):
    found = values({"2": [written]}, "strict")

    assert found["IK"] == (became == "IK")
    assert found["IG"] == (became == "IG")
    assert found["CM_strict"] == (became == "CM_strict")
    assert found["CM_loose"] == (became in {"CM_strict", "partly"})
    assert found["RM_strict"] == (became in {"partly", "RM_loose"})
    assert found["score_strict"] == {"IG": 0.5, "CM_strict": 1.0}.get(became, 0.0)
    assert found["score_loose"] == {"IG": 0.5, "CM_strict": 1.0, "partly": 1.0}.get(became, 0.0)
    assert (found["S1"], found["S3"]) == (pytest.approx(sum(map(int, written[:2])) / 2), None)


def test_a_problem_without_a_step_or_with_one_unscored_is_left_out():
    three = {"2": ["111", "110", "000"]}

    assert values(three, "strict", missing={("2steps_2", "2steps_1")})["score_strict"] == pytest.approx(0.75)
    assert values({"2": ["111", "110", "0?0"]}, "strict")["score_strict"] == pytest.approx(0.75)
    assert values({"2": ["111", "110", "0?0"]}, "strict")["S1"] == pytest.approx(0.8)


def test_rows_that_do_not_say_which_step_they_are_are_no_problems():
    rows = [ScoredRow(Sample("1", "wemath", "choice", answers=("A",)), Score(1.0, "A", Components()))]
    found = summarise("wemath", rows, "strict")

    assert found.metrics["score_strict"].value is None
    assert "do not say which step" in found.reasons["score_strict"]
    assert found.metrics["accuracy"].value == 1.0


def test_an_interval_holds_the_score_and_counts_problems():
    found = summarise("wemath", rows_of(CASES[4]["problems"]), "strict")
    score = found.metrics["score_loose"]

    assert score.n == sum(map(len, CASES[4]["problems"].values()))
    assert score.ci_low < score.value < score.ci_high
    assert set(found.categories) == {"2 steps", "3 steps"}


def test_a_change_between_runs_counts_problems_that_gained():
    rows = rows_of({"2": ["110", "000", "111", "001", "100"] * 4})
    better = rows_of({"2": ["111", "000", "110", "101", "100"] * 4})
    samples = task_samples("wemath", [row.sample for row in rows])
    measures = {measure.name: measure for measure in task_measures(samples, facts_of("wemath").metrics)}
    units = make_units(samples, "problem")
    before, after = (units.values(np.array([row.score.value for row in side])) for side in (rows, better))
    change = measures["score_loose"].change(before, after, seed=0, draws=200)

    assert len(units.sizes) == 20 * len(OUTCOMES)
    assert (change.n, change.flips_up, change.flips_down) == (20, 8, 4)
    assert change.delta == pytest.approx((0.5 + 0 - 0.5 + 1 + 0) / 5)
