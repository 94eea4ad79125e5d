"""A predictions file gives one output line a row, whatever is in it; what is no row is an error with a reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.errors import ConfigError
from harness.evaluation.predictions import score_lines
from harness.evaluation.predictions_file import score_file
from harness.evaluation.rescore import PredictionSource, save_predictions_run
from harness.scoring.score import score_error
from harness.values import ScoreConfig

PLAIN = ScoreConfig(protocol="strict", format="plain")
ROW = {"id": "1", "task": "mmstar", "prediction": "B", "choices": {"A": "cat", "B": "dog"}, "answers": ["B"]}
TABLE = json.loads((Path(__file__).parents[1] / "cases" / "prediction_lines.json").read_text(encoding="utf-8"))["rows"]
LONG = {"<1e6 digits>": "9" * 1_000_000, "<4000 digits>": "9" * 4_000, "<deep>": "[" * 100_000}


def line_of(case: dict) -> str:
    """Return the line of a case: its own, or the usual row with some fields changed; long numbers are filled in."""
    if "line" in case:
        line = case["line"]
    else:
        line = json.dumps({name: value for name, value in {**ROW, **case["row"]}.items() if value != "<absent>"})
    for name, text in LONG.items():
        line = line.replace(f'"{name}"', text).replace(name, text)
    return line


@pytest.mark.parametrize("case", TABLE, ids=[case["why"] for case in TABLE])
def test_line(case):
    (row,) = score_lines([line_of(case)], PLAIN)
    found = row.to_json()

    assert case["score"] == found["score"]
    assert ("error" in found["faults"]) == ("reason" in case) == (row.reason is not None)
    assert case.get("reason", "") in (row.reason or "")
    json.dumps(found, allow_nan=False)


def test_we_maths_questions_are_put_together_by_their_official_columns():
    keys = ("2steps_1", "2steps_2", "2steps_multi", "3steps_1")
    rows = [
        {"id": key, "task": "wemath", "prediction": "A", "extra": {"ID": problem, "key": key}}
        for key, problem in zip(keys, (7, 7, 7, "7"), strict=True)
    ]
    found = [row.prediction.sample.cluster for row in score_lines([json.dumps(row) for row in rows], PLAIN)]

    assert found == ["2steps_7"] * 3 + ["3steps_7"]


@pytest.mark.parametrize("field", ["cluster", "group"])
def test_rows_of_one_cluster_count_as_one_piece_of_evidence(field):
    rows = [{**ROW, "id": str(number), field: f"picture {number // 3}"} for number in range(6)]

    found = [row.prediction.sample.cluster for row in score_lines([json.dumps(row) for row in rows], PLAIN)]

    assert found == ["picture 0"] * 3 + ["picture 1"] * 3


@pytest.mark.parametrize("line", ["[]", "{", json.dumps({"task": "mmstar"}), json.dumps({**ROW, "task": "none"})])
def test_a_bad_row_has_the_score_of_a_sample_without_an_answer(line):
    (row,) = score_lines([line], PLAIN)

    assert row.score == score_error()


def test_blank_lines_are_no_rows():
    assert list(score_lines(["", "\n", " \t\r\n"], PLAIN)) == []


@pytest.mark.parametrize(
    ("content", "scores"),
    [
        (b"", []),
        (json.dumps(ROW).encode(), [1.0]),
        (b"\xef\xbb\xbf" + json.dumps(ROW).encode() + b"\r\n\r\n" + json.dumps(ROW).encode() + b"\r\n", [1.0, 1.0]),
        (json.dumps(ROW | {"prediction": "B\u2028"}, ensure_ascii=False).encode() + b"\n", [1.0]),
        (json.dumps(ROW | {"prediction": "B caf\u00e9"}, ensure_ascii=False).encode("latin-1") + b"\n", [None]),
        (json.dumps(ROW).encode("utf-16"), [None]),
        (json.dumps(ROW).encode() + b"\n" + json.dumps(ROW).encode()[:-20], [1.0, None]),
    ],
    ids=["empty", "no last newline", "mark and CRLF", "line separator", "latin-1", "utf-16", "cut off"],
)
def test_file(tmp_path, content, scores):
    path = tmp_path / "predictions.jsonl"
    path.write_bytes(content)

    assert scores == [row.score.value for row in score_file(path, PLAIN, None).rows]


def test_the_predictions_file_is_never_overwritten_by_its_scores(tmp_path):
    path = tmp_path / "predictions.jsonl"
    path.write_text(json.dumps(ROW))
    link = tmp_path / "link.jsonl"
    link.symlink_to(path)

    for output in (path, link):
        with pytest.raises(ConfigError, match="the predictions file itself"):
            score_file(path, PLAIN, output)
    assert json.dumps(ROW) == path.read_text()


def test_bad_rows_of_a_known_task_stay_in_the_run_as_unscored_samples(tmp_path):
    lines = [json.dumps(ROW), json.dumps(ROW | {"id": "2", "answers": "B"}), "{}", '{"task": "mmstar"}']
    source = PredictionSource("system", "0" * 64, {})
    path = tmp_path / "predictions.jsonl"
    path.write_text("\n".join(lines))

    from datetime import UTC, datetime

    made, summary = save_predictions_run(
        tmp_path / "runs", score_lines(lines, PLAIN), PLAIN, source, now=datetime(2026, 1, 1, tzinfo=UTC)
    )

    assert summary.tasks["mmstar"].rows == score_file(path, PLAIN, None).summary.tasks["mmstar"].rows == 3
    assert summary.tasks["mmstar"].unscored == {"error": 2}
    assert (made / "manifest.json").is_file()
