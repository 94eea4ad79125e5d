"""Numbers that are no mean over samples: POPE's finds, HallusionBench's figures and questions."""

from __future__ import annotations

import json

import numpy as np
import pytest

from harness.evaluation.predictions import score_lines
from harness.stats.intervals import ratio_interval
from harness.summary.means import ScoredRow
from harness.summary.task_summary import TaskSummary, summarise
from harness.task_facts import facts_of
from harness.values import PROTOCOLS, ScoreConfig
from tasks.hooks import METRICS


def summary(rows: list[dict], protocol: str = "strict") -> TaskSummary:
    scored = score_lines((json.dumps(row) for row in rows), ScoreConfig(protocol=protocol, format="plain"))
    found = [ScoredRow(row.prediction.sample, row.score) for row in scored if row.prediction is not None]
    assert len(found) == len(rows)
    return summarise(found[0].sample.task, found, protocol)


def pope(spec: str, category: str = "random", image: str = "") -> list[dict]:
    """Rows of words such as `Yn`: the gold in a capital, what was said in a small letter (`?`: neither)."""
    words = {"y": "Yes", "n": "No", "?": "perhaps", "Y": "Yes", "N": "No"}
    return [
        {
            "id": f"{category}{image}{place}",
            "task": "pope",
            "answers": [words[gold]],
            "prediction": words[said],
            "category": category,
            "group": f"{image or place}",
        }
        for place, (gold, said) in enumerate(spec.split())
    ]


def values(found: TaskSummary) -> dict[str, float | None]:
    return {name: metric.value for name, metric in found.metrics.items()}


FINDS = {
    # found 2, invented 1, denied 1, neither: once to each
    "all kinds": ("Yy Yy Yn Y? Ny Nn Nn N?", {"f1": 4 / 7, "accuracy": 4 / 8, "precision": 2 / 3, "recall": 2 / 4,
                                              "yes_ratio": 3 / 8}),
    "always yes": ("Yy Ny Yy Ny", {"f1": 2 / 3, "accuracy": 0.5, "precision": 0.5, "recall": 1.0, "yes_ratio": 1.0}),
    "always no": ("Yn Nn Yn Nn", {"f1": 0.0, "accuracy": 0.5, "precision": 0.0, "recall": 0.0, "yes_ratio": 0.0}),
    "never either": ("Y? N?", {"f1": 0.0, "accuracy": 0.0, "precision": 0.0, "recall": 0.0, "yes_ratio": 0.0}),
    "nothing there": ("Ny Nn", {"f1": None, "accuracy": 0.5, "precision": 0.0, "recall": None, "yes_ratio": 0.5}),
}  # fmt: skip


@pytest.mark.parametrize(("spec", "expected"), FINDS.values(), ids=FINDS)
def test_what_was_found_under_strict(spec, expected):
    found = summary(pope(spec))

    assert {name: values(found)[name] for name in expected} == pytest.approx(expected)
    assert (found.headline, found.n, found.metrics["yes_ratio"].n) == ("f1", len(spec.split()), len(spec.split()))
    if expected["f1"] is None:
        assert found.reasons["f1"] == "no scored rows whose answer is yes"


@pytest.mark.parametrize("protocol", [name for name in PROTOCOLS if name != "strict"])
def test_where_nothing_is_there_the_peers_give_0(protocol):
    found = values(summary(pope("Ny Nn"), protocol))

    assert (found["f1"], found["recall"], found["accuracy"]) == (0.0, 0.0, 0.5)
    assert summary(pope("Ny Nn"), protocol).headline == "f1"


def test_what_is_said_is_no_place():
    assert not facts_of("pope").placed
    assert METRICS["pope"] == ("f1", "accuracy", "precision", "recall", "yes_ratio", "format")


def test_lmms_eval_leaves_out_of_recall_what_is_neither_and_counts_the_golds_yes():
    found = values(summary(pope("Yy Yn Y? Y? Y? Ny Nn N?"), "lmms-eval"))

    expected = {"f1": 2 / 4, "accuracy": 2 / 8, "precision": 1 / 2, "recall": 1 / 2, "yes_ratio": 5 / 8}
    assert {name: found[name] for name in expected} == pytest.approx(expected)


@pytest.mark.parametrize("protocol", [name for name in PROTOCOLS if name != "lmms-eval"])
def test_a_question_of_two_samplings_counts_as_two_rows_of_the_hub_do(protocol):
    apart = [*pope("Yy Ny Yn", "popular"), *pope("Yy Ny Yn Nn", "random")]
    joined = [*pope("Yy Ny Yn", "popular,random"), *pope("Yy Ny Yn Nn", "random")[3:]]

    assert values(summary(joined, protocol)) == values(summary(apart, protocol))
    for found in (summary(joined, protocol), summary(apart, protocol)):
        assert {name: metric.value for name, metric in found.categories.items()} == {"popular": 0.5, "random": 0.5}
        assert [metric.n for metric in found.categories.values()] == [3, 4]
    assert (summary(joined, protocol).n, summary(apart, protocol).n) == (4, 7)


def test_questions_about_one_picture_are_one_piece_of_evidence():
    spec = "Yy Yn Ny Nn Yy Nn"
    alone = summary([row for image in range(20) for row in pope(spec, f"c{image}")])
    together = summary([row for image in range(20) for row in pope(spec, f"c{image}", str(image))])

    tilted = [
        *(pope("Yy Nn", image=f"a{place}") for place in range(12)),
        *(pope("Yn Ny", image=f"b{place}") for place in range(8)),
    ]
    interval = summary([row for rows in tilted for row in rows]).metrics["f1"]
    numerators, denominators = np.array([2.0] * 12 + [0.0] * 8), np.array([2.0] * 20)
    expected = ratio_interval(numerators, denominators)

    assert alone.metrics["f1"].value == together.metrics["f1"].value == pytest.approx(2 / 3)
    assert alone.metrics["f1"].ci_low < together.metrics["f1"].ci_low
    assert (interval.value, interval.ci_low, interval.ci_high) == pytest.approx((0.6, expected.low, expected.high))


def figures(right: dict[tuple[int, int, int], bool], subject: str = "VS_ocr") -> list[dict]:
    """Rows by the numbers of set, figure and question; a wrong answer says neither."""
    return [
        {
            "id": f"{subject}_{own}_{figure}_{asked}",
            "task": "hallusion_bench",
            "answers": ["No"],
            "prediction": "No" if is_right else "perhaps",
            "category": subject[:2],
            "l2_category": subject,
            "group": f"{subject}_{own}_{figure}",
            "extra": {"set_id": str(own), "figure_id": str(figure), "question_id": str(asked)},
        }
        for (own, figure, asked), is_right in right.items()
    ]


def test_figures_and_questions_of_a_set_are_right_as_a_whole():
    rows = figures({(0, 1, 0): True, (0, 1, 1): True, (0, 2, 0): False, (0, 2, 1): True, (1, 1, 0): True})
    rows += figures({(0, 1, 0): False, (0, 1, 1): True}, "VD_ocr")  # the same numbers in another category

    for protocol in ("strict", "vlmevalkit", "paper"):
        found = values(summary(rows, protocol))
        assert {name: found[name] for name in ("aAcc", "fAcc", "qAcc")} == pytest.approx(
            {"aAcc": 5 / 7, "fAcc": 2 / 4, "qAcc": 3 / 5}
        )
    # where `yes` is nowhere in the text lmms-eval takes it for a no
    assert values(summary(rows, "lmms-eval"))["qAcc"] == 1.0


def test_without_the_numbers_of_the_figures_only_the_questions_are_counted():
    rows = figures({(0, 1, 0): True, (0, 1, 1): False})
    del rows[1]["extra"]["figure_id"]
    found = summary(rows)

    assert (found.metrics["aAcc"].value, found.metrics["fAcc"].value) == (0.5, None)
    assert found.reasons == {"fAcc": "1 rows have no set_id or no figure_id (extra)"}
