"""Under strict no answer earns more, or less, than it states: a table of rows that invite a wrong score."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.evaluation.predictions import score_lines
from harness.scoring.box_dialects import dialect_named
from harness.values import ScoreConfig

TABLE = json.loads((Path(__file__).parents[1] / "cases" / "strict_rows.json").read_text(encoding="utf-8"))
GROUPS = TABLE["groups"]


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

    assert {0.0, 1.0, None} == set(scores)
    assert len(scores) > 500
