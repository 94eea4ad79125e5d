"""What `scores.json` holds is read back as it was summarised."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from harness.comparison.verify_run import verify_run
from harness.errors import IncompleteError
from harness.evaluation.rescore import rescore_run
from harness.runs.store import load_run
from harness.summary.run_summary import summarise_records
from harness.summary.stored_scores import stored_failures, stored_summaries
from harness.task_facts import FACTS, MME_COGNITION, MME_PERCEPTION
from harness.values import PROTOCOLS, Generation, ScoreConfig

ROWS = [
    {"task": "mmstar", "id": str(n), "prediction": f"<answer>{'AB'[n % 2]}</answer>", "answers": ["A"], "category": "x"}
    for n in range(6)
]


def as_stored(tasks):
    """Why a category has no number is not stored, nor why a number of boxes is none."""
    groups = ("categories", "l2_categories", "boxes")
    without = {
        name: {
            group: {key: replace(metric, reason=None) for key, metric in getattr(task, group).items()}
            for group in groups
        }
        for name, task in tasks.items()
    }
    return {name: replace(task, **without[name]) for name, task in tasks.items()}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_summaries_are_read_back_whole(make_run, protocol):
    stored = load_run(make_run("model", ROWS))
    records = list(stored.records())
    records[0] = replace(
        records[0],
        generation=Generation("", error="no picture"),
        score=replace(records[0].score, value=None, faults=("error",)),
    )
    summary = summarise_records(records, ScoreConfig(protocol=protocol))
    again = SimpleNamespace(scores=json.loads(json.dumps(summary.to_json())), path=stored.path)

    assert stored_summaries(again) == as_stored(summary.tasks)
    assert stored_failures(again) == {"no picture": 1}


def test_every_benchmark_is_read_back(make_run):
    stored = load_run(make_run("model", ROWS))
    for task in FACTS:
        record = next(iter(stored.records()))
        summary = summarise_records([replace(record, sample=replace(record.sample, task=task))], ScoreConfig())
        again = SimpleNamespace(scores=json.loads(json.dumps(summary.to_json())), path=stored.path)
        assert stored_summaries(again) == as_stored(summary.tasks), task


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda task: task.pop("headline"), "'tasks.mmstar.headline' is missing"),
        (lambda task: task.update(headline="nothing"), "'tasks.mmstar.metrics.nothing' is missing"),
        (
            lambda task: task["metrics"]["accuracy"].update(value="1"),
            "'tasks.mmstar.metrics.accuracy.value' must be a number or null, found '1'",
        ),
        (lambda task: task.update(rows=-1), "'tasks.mmstar.rows' must be a whole number from 0 on, found -1"),
        (lambda task: task.update(unscored=[]), "'tasks.mmstar.unscored' must be an object, found a list of 0"),
    ],
)
def test_a_damaged_field_is_named(make_run, change, told):
    stored = load_run(make_run("model", ROWS))
    scores = json.loads(json.dumps(stored.scores))
    change(scores["tasks"]["mmstar"])

    with pytest.raises(IncompleteError, match=told):
        stored_summaries(SimpleNamespace(scores=scores, path=stored.path))


@pytest.mark.parametrize("failures", [{}, None, [], {"a": "b"}])
def test_runs_of_earlier_versions_store_no_reasons(failures):
    assert stored_failures(SimpleNamespace(scores={"failures": failures})) == {}
    assert stored_failures(SimpleNamespace(scores=None)) == {}


def test_sums_that_take_in_unknown_subtasks_can_be_read_again(make_run):
    """lmms-eval adds up whatever subtasks are there: 15 full ones are 3000 points."""
    rows = [
        {"task": "mme", "id": f"{name}{n}{turn}", "category": name, "group": f"{name}{n}", "answers": [answer],
         "prediction": f"<answer>{answer}</answer>"}
        for name in (*MME_PERCEPTION, *MME_COGNITION, "another")
        for n in range(2)
        for turn, answer in enumerate(("Yes", "No"))
    ]  # fmt: skip
    run = make_run("model", rows)
    summary = rescore_run(load_run(run), "lmms-eval")

    assert summary.tasks["mme"].metrics["total"].value == 3000
    assert load_run(run).rescored["lmms-eval"]["tasks"]["mme"]["metrics"]["total"]["value"] == 3000
    assert verify_run(run) == []


def test_a_run_whose_file_repeats_rows_is_sound(make_run):
    row = {"task": "shapes", "id": "1", "answers": ["red"], "prediction": "<answer>red</answer>"}

    assert verify_run(make_run("model", [row, row, {**row, "id": "2"}])) == []
