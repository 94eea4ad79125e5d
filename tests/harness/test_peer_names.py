"""A peer's name for a benchmark is refused with the one that is meant; what is another benchmark is never offered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.evaluation.predictions import ANSWER_RULES, RowError, prediction_of
from harness.models.peer_names import PEER_NAMES, task_hint
from harness.task_facts import FACTS

CASES = json.loads((Path(__file__).parents[1] / "cases" / "peer_tasks.json").read_text(encoding="utf-8"))
KNOWN = [name for name, facts in FACTS.items() if facts.file is not None]


@pytest.mark.parametrize("case", CASES, ids=[case["word"] for case in CASES])
def test_a_foreign_name_leads_to_ours(case):
    hint = task_hint(case["word"], KNOWN)

    assert case["says"] in hint
    assert hint.endswith((".", "?")) or "by commas: " in hint


def test_no_name_is_given_that_is_not_possible_here():
    for word in PEER_NAMES:
        assert task_hint(word, ["shapes"]) == "."


def test_every_name_leads_to_a_task_that_can_be_scored():
    assert {ours for meant in PEER_NAMES.values() for ours in meant} <= set(ANSWER_RULES)
    assert not set(PEER_NAMES) & set(KNOWN), "a name of ours is never foreign"


def test_a_row_of_predictions_is_told_the_same():
    with pytest.raises(RowError, match=r"task 'MMStar' cannot be scored: here it is called 'mmstar'\. Known tasks: "):
        prediction_of({"id": "1", "task": "MMStar", "prediction": "B"})
