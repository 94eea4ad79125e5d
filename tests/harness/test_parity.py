"""The peers' own answers: every parity case of a core task or of the SATORI rewards agrees with our scorer."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from harness.evaluation.predictions import ScoredPrediction, score_lines
from harness.summary.task_summary import ScoredRow, summarise
from harness.values import ScoreConfig

CASES_FILE = Path(__file__).parents[1] / "cases" / "parity_core.jsonl"
CASES = [json.loads(line) for line in CASES_FILE.read_text(encoding="utf-8").splitlines()]
TOLERANCE = 1e-9
CAPTION_TOLERANCE = 1e-6


def score_case(case: dict) -> list[ScoredPrediction]:
    config = ScoreConfig(protocol=case["protocol"], format=case["format"])
    return list(score_lines((json.dumps(row) for row in case["rows"]), config))


def differences(case: dict) -> list[str]:
    """Return what differs from the peer, in words; nothing when the case agrees."""
    scored = score_case(case)
    expect = case["expect"]
    if "metrics" in expect:
        rows = [ScoredRow(row.prediction.sample, row.score) for row in scored if row.prediction is not None]
        metrics = summarise(rows[0].sample.task, rows, case["protocol"]).metrics
        found = {name: metrics[name].value for name in expect["metrics"]}
        return [] if found == pytest.approx(expect["metrics"], abs=TOLERANCE) else [f"metrics {found}"]
    line = scored[0].to_json()
    wrong = [
        f"{field} {line[field]!r} instead of {expect[field]!r}"
        for field in ("score", "extracted", "iou")
        if field in expect and not same(expect[field], line[field], TOLERANCE)
    ]
    for part, value in expect.get("components", {}).items():
        tolerance = CAPTION_TOLERANCE if part == "caption" else TOLERANCE
        if not same(value, line["components"][part], tolerance):
            wrong.append(f"{part} {line['components'][part]!r} instead of {value!r}")
    if expect.get("fault") == "any" and not line["faults"]:
        wrong.append("no fault is named")
    return wrong


def same(expected: object, found: object, tolerance: float) -> bool:
    if isinstance(expected, int | float) and isinstance(found, int | float):
        return abs(expected - found) <= tolerance
    return expected == found


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_case_agrees_with_the_peer(case):
    assert differences(case) == []


def test_every_core_protocol_and_kind_is_covered():
    counted = Counter((case["protocol"], case["about"]) for case in CASES)

    assert len(CASES) >= 811
    assert {protocol for protocol, _ in counted} == {"vlmevalkit", "paper", "lmms-eval"}
