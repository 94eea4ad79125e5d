"""Summaries: tables per benchmark, the peers' own aggregates, and what must hold for any rows."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.stats.intervals import mean_interval
from harness.summary.task_summary import Metric, ScoredRow, TaskSummary, summarise, to_json
from harness.task_facts import MME_COGNITION, MME_PERCEPTION
from harness.values import FAULTS, BoxMatch, Components, Fault, Protocol, Sample, Score

CASES = Path(__file__).parents[1] / "cases"
TASK_CASES: list[dict[str, Any]] = json.loads((CASES / "summary_tasks.json").read_text(encoding="utf-8"))
MMBENCH_CASES: list[dict[str, Any]] = json.loads((CASES / "summary_mmbench.json").read_text(encoding="utf-8"))
PARITY_CASES: list[dict[str, Any]] = [
    case
    for line in (CASES / "parity_core.jsonl").read_text(encoding="utf-8").splitlines()
    if (case := json.loads(line))["about"] in {"mmbench_circular", "mme_rating", "mmstar_report"}
]
PEERS: list[Protocol] = ["vlmevalkit", "paper", "lmms-eval"]


def scored(sample_id: str, value: float | None, task: str = "shapes", **more: Any) -> ScoredRow:
    """Make a row; names of `Sample` fields go to the sample, the others to the score."""
    fields = {name: more.pop(name) for name in ("category", "l2_category", "cluster", "extra") if name in more}
    sample = Sample(id=sample_id, task=task, answer_rule="accepted", **fields)
    score = Score(value, None, more.pop("components", Components()), faults=tuple(more.pop("faults", ())), **more)
    return ScoredRow(sample, score)


def placed(sample_id: str, value: float | None, iou: float, match: BoxMatch | None = None) -> ScoredRow:
    """Make a row with an overlap."""
    return scored(sample_id, value, iou=iou, match=match or BoxMatch(1, 1, iou, int(iou >= 0.5)))


def mme_rows(value_of, subtasks=MME_PERCEPTION + MME_COGNITION, images: int = 2) -> list[ScoredRow]:
    """Make two rows per image and subtask; `value_of(subtask, image, question)` says what each earned."""
    return [
        scored(
            f"{name}-{image}-{question}",
            value_of(name, image, question),
            "mme",
            category=name,
            cluster=f"{name}/{image}.jpg",
        )
        for name in subtasks
        for image in range(images)
        for question in (0, 1)
    ]


def values_of(metrics: dict[str, Metric] | Any) -> dict[str, float | None]:
    return {name: metric.value for name, metric in metrics.items()}


def assert_matches(case: dict[str, Any], summary: TaskSummary) -> None:
    """Compare a summary with whatever a case states of it."""
    for field in ("metrics", "categories", "l2_categories"):
        if field in case:
            expected = {name: value if value is None else pytest.approx(value) for name, value in case[field].items()}
            assert expected == values_of(getattr(summary, field))
    for name, part in case.get("reasons", {}).items():
        assert part in summary.reasons[name]
    for field in ("n", "headline", "clusters", "unscored", "faults"):
        if field in case:
            assert case[field] == getattr(summary, field)


@pytest.mark.parametrize("case", TASK_CASES, ids=lambda case: case["name"])
def test_a_task_is_aggregated_as_its_table_says(case: dict[str, Any]):
    rows = [
        scored(fields.pop("id", f"s{place}"), fields.pop("value"), case["task"], **fields)
        for place, row in enumerate(case["rows"])
        if (fields := dict(row))
    ]

    assert_matches(case, summarise(case["task"], rows, case["protocol"]))


@pytest.mark.parametrize("protocol", ["strict", *PEERS])
@pytest.mark.parametrize("case", MMBENCH_CASES, ids=lambda case: case["name"])
def test_mmbench_is_counted_by_question(case: dict[str, Any], protocol: Protocol):
    rows = [
        scored(f"row-{place}", value, "mmbench_en_dev", extra={"index": index, **(more[0] if more else {})})
        for place, (index, value, *more) in enumerate(case["rows"])
    ]
    summary = summarise("mmbench_en_dev", rows, protocol)

    assert summary.n == case["n"]
    assert summary.metrics["accuracy"].value == case["accuracy"]
    assert summary.metrics["vanilla_accuracy"].value == (
        None if case["vanilla_accuracy"] is None else pytest.approx(case["vanilla_accuracy"])
    )
    assert case.get("reason", "") in summary.reasons.get("accuracy", "")
    assert ("accuracy" in summary.reasons) == (case["accuracy"] is None)


def test_an_mmbench_question_counts_under_its_base_pass():
    rows = [
        scored("a", 1, "mmbench_cn_dev", category="late", l2_category="L", extra={"index": 1000003}),
        scored("b", 1, "mmbench_cn_dev", category="base", l2_category="B", extra={"index": 3}),
    ]
    summary = summarise("mmbench_cn_dev", rows, "strict")

    assert values_of(summary.categories) == {"base": 1.0}
    assert values_of(summary.l2_categories) == {"B": 1.0}


def test_mmbench_rows_without_an_index_are_put_together_by_group():
    rows = [
        scored("a", 1, "mmbench_en_dev", cluster="g1"),
        scored("b", 0, "mmbench_en_dev", cluster="g1"),
        scored("c", 1, "mmbench_en_dev", cluster="g2"),
    ]
    summary = summarise("mmbench_en_dev", rows, "strict")

    assert (summary.n, summary.metrics["accuracy"].value) == (2, 0.5)


def test_mmbench_questions_are_independent_whatever_their_passes():
    rows = [
        scored(f"{place}", float(question % 3 > 0), "mmbench_en_dev", extra={"index": question + 1_000_000 * place})
        for question in range(30)
        for place in range(4)
    ]
    accuracy = summarise("mmbench_en_dev", rows, "strict").metrics["accuracy"]
    expected = mean_interval(np.array([0.0, 1.0, 1.0] * 10), np.arange(30))

    assert expected is not None
    assert (expected.low, expected.high) == pytest.approx((accuracy.ci_low, accuracy.ci_high))


def mark(row: dict[str, Any]) -> float:
    """Score an answer that is the bare letter or word, which is all that the aggregate cases need."""
    return float(row["prediction"] in row["answers"])


@pytest.mark.parametrize("case", PARITY_CASES, ids=lambda case: case["id"])
def test_aggregates_agree_with_the_peers(case: dict[str, Any]):
    task = case["rows"][0]["task"]
    rows = [
        scored(
            row["id"],
            mark(row),
            task,
            category=row["category"],
            l2_category=row.get("l2_category", ""),
            cluster=row.get("group", ""),
            extra={"index": row["index"]} if "index" in row else {},
        )
        for row in case["rows"]
    ]
    metrics = summarise(task, rows, case["protocol"]).metrics

    for name, expected in case["expect"]["metrics"].items():
        assert metrics[name].value == pytest.approx(expected, abs=1e-9)


def test_there_are_parity_cases_of_every_kind():
    assert len(PARITY_CASES) >= 20
    assert {case["protocol"] for case in PARITY_CASES} == {"vlmevalkit", "paper", "lmms-eval"}


def test_a_perfect_mme_reaches_its_maximum():
    summary = summarise("mme", mme_rows(lambda *_: 1.0), "strict")

    assert values_of(summary.metrics) == {"total": 2800.0, "perception": 2000.0, "cognition": 800.0, "accuracy": 1.0}
    assert set(summary.categories) == {*MME_PERCEPTION, *MME_COGNITION}
    assert summary.categories["OCR"].value == 200.0
    assert (summary.n, summary.clusters, summary.metrics["total"].n) == (56, 28, 56)


def test_an_mme_subtask_is_accuracy_plus_the_share_of_images_with_both_right():
    rows = mme_rows(lambda name, image, question: float(name != "OCR" or (image, question) != (1, 1)))
    summary = summarise("mme", rows, "strict")

    assert summary.categories["OCR"].value == pytest.approx(75 + 50)
    assert summary.metrics["perception"].value == pytest.approx(1925)
    assert summary.metrics["cognition"].value == pytest.approx(800)
    assert summary.metrics["total"].value == pytest.approx(2725)


def test_mme_intervals_lie_around_their_value_within_the_scale():
    rng = random.Random(0)
    rows = mme_rows(lambda *_: float(rng.random() < 0.8), images=20)
    metrics = summarise("mme", rows, "strict").metrics

    for name, most in (("perception", 2000), ("cognition", 800), ("total", 2800)):
        metric = metrics[name]
        assert 0 < metric.ci_low < metric.value < metric.ci_high < most


@pytest.mark.parametrize("protocol", ["strict", *PEERS])
def test_an_mme_image_without_its_two_questions_leaves_no_sum(protocol: Protocol):
    rows = mme_rows(lambda *_: 1.0)
    summary = summarise("mme", rows[1:], protocol)

    assert summary.metrics["perception"].value is None
    assert summary.metrics["total"].value is None
    assert summary.metrics["cognition"].value == 800
    assert summary.metrics["accuracy"].value == 1
    assert "OCR: 1 images have another number of questions than two" in summary.reasons["perception"]
    assert summary.reasons["perception"] in summary.reasons["total"]
    assert summary.categories["OCR"].reason == "1 images have another number of questions than two"


@pytest.mark.parametrize(("protocol", "perception"), [("vlmevalkit", 1980.0), ("paper", 1980.0), ("strict", None)])
def test_a_third_question_about_an_mme_image_counts_as_the_protocol_has_it(protocol: Protocol, perception):
    rows = mme_rows(lambda *_: 1.0)
    third = scored("third", 0.0, "mme", category="OCR", cluster="OCR/0.jpg")
    metrics = summarise("mme", [*rows, third], protocol).metrics

    assert (metrics["perception"].value, metrics["cognition"].value) == (perception, 800)
    assert metrics["total"].value == (None if perception is None else perception + 800)
    assert metrics["total"].n == (0 if perception is None else len(rows) + 1)


@pytest.mark.parametrize("protocol", ["strict", "vlmevalkit", "paper"])
def test_a_missing_mme_subtask_is_named(protocol: Protocol):
    rows = mme_rows(lambda *_: 1.0, subtasks=MME_PERCEPTION[2:])
    summary = summarise("mme", rows, protocol)

    assert summary.reasons["perception"] == "no rows of subtasks: OCR, artwork"
    assert summary.reasons["cognition"].startswith("no rows of subtasks: code_reasoning, commonsense_reasoning")
    assert summary.metrics["total"].value is None


def test_lmms_eval_adds_up_the_mme_subtasks_that_are_there():
    summary = summarise("mme", mme_rows(lambda *_: 1.0, subtasks=("OCR", "scene", "my_subtask")), "lmms-eval")

    assert summary.metrics["perception"].value == 400
    assert summary.metrics["cognition"].value == 200
    assert summary.metrics["total"].value == 600


def test_lmms_eval_has_no_mme_total_of_one_scale():
    summary = summarise("mme", mme_rows(lambda *_: 1.0, subtasks=("OCR",)), "lmms-eval")

    assert summary.metrics["perception"].value == 200
    assert summary.reasons["total"] == "cognition: no rows of any cognition subtask"


def test_unknown_mme_subtasks_are_named_by_strict_and_passed_over_by_vlmevalkit():
    rows = [*mme_rows(lambda *_: 1.0), *mme_rows(lambda *_: 0.0, subtasks=("colour", ""))]

    assert summarise("mme", rows, "strict").reasons["total"].startswith("perception: rows of unknown subtasks: (none)")
    assert summarise("mme", rows, "vlmevalkit").metrics["total"].value == 2800


def test_an_unscored_mme_question_leaves_its_image_out():
    rows = mme_rows(lambda name, image, question: None if (name, image, question) == ("OCR", 0, 1) else 1.0)
    summary = summarise("mme", rows, "strict")

    assert (summary.metrics["perception"].value, summary.metrics["perception"].n) == (2000, 38)
    assert summary.categories["OCR"].n == 2
    assert (summary.n, summary.rows) == (55, 56)


def test_mme_images_are_also_found_by_question_id():
    rows = [
        replace(row, sample=replace(row.sample, cluster="", extra={"question_id": row.sample.cluster}))
        for row in mme_rows(lambda *_: 1.0)
    ]
    nowhere = [replace(row, sample=replace(row.sample, extra={})) for row in rows]

    assert summarise("mme", rows, "strict") == summarise("mme", mme_rows(lambda *_: 1.0), "strict")
    assert "rows name no image" in summarise("mme", nowhere, "strict").reasons["perception"]


def test_the_full_ocrbench_has_a_score_out_of_1000():
    rows = [scored(f"{place}", float(place < 673), "ocrbench", cluster=f"{place % 600}") for place in range(1000)]
    score = summarise("ocrbench", rows, "strict").metrics["score"]
    accuracy = summarise("ocrbench", rows, "strict").metrics["accuracy"]

    assert score.value == 673
    assert (1000 * accuracy.ci_low, 1000 * accuracy.ci_high) == pytest.approx((score.ci_low, score.ci_high))


def test_the_full_ocrbench_keeps_its_scale_when_rows_could_not_be_scored():
    rows = [
        scored(f"{place}", 1.0 if place < 500 else 0.0 if place < 800 else None, "ocrbench") for place in range(1000)
    ]

    assert summarise("ocrbench", rows, "strict").metrics["score"].value == 625
    assert summarise("ocrbench", rows, "vlmevalkit").metrics["score"].value == 500


def test_box_metrics_of_a_small_table():
    rows = [
        placed("a", 1, 0.9, BoxMatch(predicted=2, gold=1, iou_sum=0.8, hits_50=1)),
        placed("b", 1, 0.2, BoxMatch(predicted=1, gold=2, iou_sum=0.6, hits_50=1)),
        placed("c", 0, 0.5, BoxMatch(predicted=0, gold=1, iou_sum=0.0, hits_50=0)),
        placed("d", 0, 0.0, BoxMatch(predicted=1, gold=1, iou_sum=0.2, hits_50=0)),
        placed("e", None, 0.4, BoxMatch(predicted=0, gold=1, iou_sum=0.0, hits_50=0)),
        scored("f", 1),
    ]
    metrics = summarise("shapes", rows, "strict").metrics

    assert values_of(metrics) == pytest.approx(
        {
            "accuracy": 0.6,
            "mean_iou": 0.4,
            "acc@0.5": 0.4,
            "matched_iou": (0.4 + 0.3 + 0 + 0.2 + 0) / 5,
            "box_precision@0.5": 2 / 4,
            "box_recall@0.5": 2 / 6,
            "right_answer_right_place": 0.25,
            "right_answer_wrong_place": 0.25,
            "wrong_answer_right_place": 0.25,
            "wrong_answer_wrong_place": 0.25,
        }
    )
    assert [metrics[name].n for name in ("accuracy", "mean_iou", "box_recall@0.5", "right_answer_right_place")] == [
        5,
        5,
        5,
        4,
    ]
    assert all(0 <= metric.ci_low <= metric.value <= metric.ci_high <= 1 for metric in metrics.values())


def test_precision_of_no_boxes_is_null_and_recall_is_zero():
    rows = [placed(f"{place}", 0, 0.0, BoxMatch(0, 1, 0.0, 0)) for place in range(30)]
    summary = summarise("shapes", rows, "strict")

    assert summary.reasons == {"box_precision@0.5": "no boxes were predicted"}
    assert summary.metrics["box_recall@0.5"].value == 0
    assert summary.metrics["box_recall@0.5"].ci_high == pytest.approx(mean_interval(np.zeros(30), np.arange(30)).high)


def test_gold_boxes_in_an_unknown_frame_give_null_box_metrics_with_their_reason():
    row = scored("a", 1, faults=["frame_unknown"])
    rows = [replace(row, sample=replace(row.sample, boxes_image_px=((0.0, 0.0, 9.0, 9.0),))), scored("b", 1)]
    summary = summarise("shapes", rows, "strict")

    assert summary.metrics["mean_iou"].value is None
    assert "not known in 1 rows" in summary.reasons["mean_iou"]
    assert summary.metrics["accuracy"].value == 1
    assert summary.unscored == {}


def test_rows_without_gold_boxes_have_no_box_metrics():
    assert set(summarise("shapes", [scored("a", 1), scored("b", 0)], "strict").metrics) == {"accuracy"}


def test_stage_components_are_averaged_where_rows_have_them():
    rows = [
        scored("a", 1, components=Components(format=1.0, caption=0.5, bbox=0.2, answer=1.0)),
        scored("b", 0, components=Components(format=0.0, caption=None, bbox=0.4, answer=0.0)),
    ]
    metrics = summarise("shapes", rows, "strict").metrics

    assert values_of(metrics) == pytest.approx({"accuracy": 0.5, "format": 0.5, "caption": 0.5, "bbox": 0.3})
    assert [metrics[name].n for name in ("format", "caption")] == [2, 1]
    assert metrics["caption"].ci_low is None


def test_faults_are_counted_per_row():
    rows = [
        scored("a", 0, faults=["unclosed", "truncated", "malformed"]),
        scored("b", 0, faults=["truncated"]),
        scored("c", 0, faults=["out_of_image", "no_match"]),
        scored("d", 1),
    ]
    summary = summarise("shapes", rows, "strict")

    assert list(summary.faults.items()) == [
        ("unclosed", 1),
        ("truncated", 2),
        ("malformed", 1),
        ("out_of_image", 1),
        ("no_match", 1),
    ]
    assert (summary.parse_fault_rows, summary.truncated_rows) == (2, 2)


def test_dependent_rows_widen_the_interval():
    alone = [scored(f"{place}", float(place % 400 < 200)) for place in range(800)]
    together = [replace(row, sample=replace(row.sample, cluster=f"{int(row.sample.id) % 400}")) for row in alone]
    narrow = summarise("shapes", alone, "strict").metrics["accuracy"]
    wide = summarise("shapes", together, "strict").metrics["accuracy"]

    assert narrow.value == wide.value == 0.5
    assert wide.ci_high - wide.ci_low == pytest.approx((narrow.ci_high - narrow.ci_low) * math.sqrt(2), rel=0.02)


def test_rows_of_another_task_are_refused():
    with pytest.raises(ValueError, match="'b' is of task 'mme', not 'shapes'"):
        summarise("shapes", [scored("a", 1), scored("b", 1, "mme")], "strict")


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -0.1, 1.1])
def test_numbers_outside_their_range_are_refused(number: float):
    with pytest.raises(ValueError, match=r"row 'a' of task 'shapes' .* not in \[0, 1\]"):
        summarise("shapes", [scored("a", number)], "strict")
    with pytest.raises(ValueError, match="not in"):
        summarise("shapes", [scored("a", 1, iou=number)], "strict")


def test_the_json_has_value_and_interval_of_each_metric():
    summary = summarise(
        "ocrbench", [scored("a", 1, "ocrbench", category="Doc-oriented VQA"), scored("b", 0, "ocrbench")], "strict"
    )
    found = json.loads(json.dumps(to_json(summary), allow_nan=False))

    accuracy = summary.metrics["accuracy"]
    assert found["n"] == 2
    assert found["metrics"]["accuracy"] == {
        "value": 0.5,
        "ci_low": accuracy.ci_low,
        "ci_high": accuracy.ci_high,
        "n": 2,
    }
    assert found["metrics"]["score"] == {"value": None, "ci_low": None, "ci_high": None, "n": 0}
    assert found["reasons"] == {"score": "needs the full 1,000 rows, got 2"}
    assert found["categories"]["Doc-oriented VQA"]["value"] == 1
    assert found["headline"] == "score"


TASKS: list[str] = ["shapes", "mmstar", "mme", "ocrbench", "mathvista", "mmbench_en_dev"]


@st.composite
def any_rows(draw: st.DrawFn, task: str) -> list[ScoredRow]:
    rows: list[ScoredRow] = []
    for place in range(draw(st.integers(0, 25))):
        iou = draw(st.none() | st.sampled_from([0.0, 0.3, 0.5, 1.0]))
        predicted, gold = draw(st.integers(0, 3)), draw(st.integers(1, 3))
        faults = draw(st.sets(st.sampled_from(FAULTS), max_size=2))
        rows.append(
            scored(
                draw(st.sampled_from([f"s{place}", "same"])),
                draw(st.none() | st.sampled_from([0.0, 0.5, 1.0])),
                task,
                category=draw(st.sampled_from(["", "OCR", "code_reasoning", "ж"])),
                l2_category=draw(st.sampled_from(["", "x", "y"])),
                cluster=draw(st.sampled_from(["", "k1", "k2", "k3"])),
                extra={"index": draw(st.sampled_from([1, 2, 1_000_001, 2_000_002]))},
                faults=sorted(faults, key=FAULTS.index),
                iou=iou,
                match=None
                if iou is None
                else BoxMatch(predicted, gold, iou * min(predicted, gold), min(predicted, gold)),
            )
        )
    return rows


@pytest.mark.parametrize("protocol", ["strict", "lmms-eval"])
@pytest.mark.parametrize("task", TASKS)
@given(data=st.data(), rng=st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=15)
def test_for_any_rows_the_summary_holds_together(
    task: str, protocol: Protocol, data: st.DataObject, rng: random.Random
):
    rows = data.draw(any_rows(task))
    summary = summarise(task, rows, protocol)
    shuffled = rows.copy()
    rng.shuffle(shuffled)

    assert summarise(task, shuffled, protocol) == summary
    assert summary.rows == len(rows)
    assert sum(row.score.value is not None for row in rows) + sum(summary.unscored.values()) == len(rows)
    assert next(iter(summary.metrics)) == summary.headline
    for metric in (*summary.metrics.values(), *summary.categories.values(), *summary.l2_categories.values()):
        assert (metric.value is None) == (metric.reason is not None)
        assert (metric.ci_low is None) == (metric.ci_high is None)
        if metric.value is not None and metric.ci_low is not None:
            assert metric.ci_low <= metric.value + 1e-9
            assert metric.value - 1e-9 <= metric.ci_high
    quadrants = [metric.value for name, metric in summary.metrics.items() if name.endswith("_place")]
    assert not quadrants or None in quadrants or sum(quadrants) == pytest.approx(1)
    json.dumps(to_json(summary), allow_nan=False)


@given(st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=40), st.integers(1, 10))
@settings(deadline=None, max_examples=30)
def test_unscored_rows_change_no_value(values: list[float], lost: int):
    rows = [scored(f"s{place}", value) for place, value in enumerate(values)]
    fault: Fault = "error"
    unscored = [scored(f"u{place}", None, faults=[fault]) for place in range(lost)]
    alone, with_lost = summarise("shapes", rows, "strict"), summarise("shapes", rows + unscored, "strict")

    assert alone.metrics == with_lost.metrics
    assert (alone.n, alone.clusters, {"error": lost}) == (with_lost.n, with_lost.clusters, with_lost.unscored)
