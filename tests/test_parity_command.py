"""`parity` and `submission` as people use them; a run on splits without labels ends well, without a score."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from harness.errors import ExitCode
from harness.runs.store import load_run


def test_parity_prints_tables_json_and_a_summary_and_changes_nothing(command, dressed_run, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in Path(dressed_run).rglob("*")}
    code, out, err = command("parity", dressed_run, "--samples", 1, "--markdown", tmp_path / "parity.md")
    again, found, _ = command("parity", dressed_run, "--protocols", "paper,lmms-eval@0.7.3", "--json")

    assert (code, again, err) == (ExitCode.OK, ExitCode.OK, "")
    assert "the same texts under strict@" in out
    assert "5 · accepted B · answer hotdog" in out
    assert max(map(len, out.split("samples scored alike")[0].splitlines()[:40])) <= 80
    assert json.loads(found)["protocols"] == {"paper": "paper@7faa5b47", "lmms-eval": "lmms-eval@0.7.3"}
    assert "| mmstar accuracy | strict | 62.5" in (tmp_path / "parity.md").read_text(encoding="utf-8")
    assert before == {path: path.stat().st_mtime_ns for path in Path(dressed_run).rglob("*")}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--protocols", "strict"), "at least two protocols"),
        (("--protocols", "strict,vlmevalkit@deadbeef"), "follows, vlmevalkit@e8e78f05"),
        (("--protocols", "strict,vlmeval"), "'vlmeval' is not one of"),
        (("--protocols", "strict", "paper"), "by commas"),
    ],
)
def test_parity_refuses_what_it_cannot_mean(command, dressed_run, words, told):
    code, out, err = command("parity", dressed_run, *words)

    assert (code, out) == (ExitCode.USAGE, "")
    assert told in err


def test_a_protocol_may_be_given_with_its_version(command, dressed_run, tmp_path):
    run = shutil.copytree(dressed_run, tmp_path / "run")
    code, out, _ = command("rescore", run, "--protocol", "vlmevalkit@e8e78f05", "--no-page", "--json")
    refused, _, err = command("rescore", run, "--protocol", "vlmevalkit@e8e78f04", "--no-page")
    compared, table, _ = command("compare", run, f"{run}@vlmevalkit@e8e78f05")

    assert (code, refused, compared) == (ExitCode.OK, ExitCode.USAGE, ExitCode.OK)
    scores = json.loads(out)
    assert (scores["protocol"], scores["protocol_version"]) == ("vlmevalkit", "vlmevalkit@e8e78f05")
    assert "follows, vlmevalkit@e8e78f05" in err
    assert "mmstar" in table
    manifest = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["protocol_version"] == f"strict@{manifest['scorer_version']}"


def test_predictions_for_a_split_without_labels_become_its_file(command, tmp_path):
    rows = [{"id": str(number), "task": "docvqa_test", "prediction": f"page {number}"} for number in range(3)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    code, _, err = command(
        "score", tmp_path / "rows.jsonl", "--format", "plain", "--run", tmp_path / "runs", "--output",
        tmp_path / "out.jsonl", "--no-page",
    )  # fmt: skip
    done, out, said = command("submission", "latest", "--out", tmp_path / "runs", "-o", tmp_path)

    assert (code, done) == (ExitCode.OK, ExitCode.OK)
    assert "docvqa_test: no score, its labels are not public" in err
    assert "error" not in err
    assert out == f"{tmp_path / 'docvqa_test.json'}\n"
    assert "3 answers" in said
    assert json.loads((tmp_path / "docvqa_test.json").read_text())[2] == {"questionId": 2, "answer": "page 2"}


def test_submission_of_a_run_with_labels_is_refused(command, dressed_run):
    code, out, err = command("submission", dressed_run)

    assert (code, out) == (ExitCode.USAGE, "")
    assert "only such a split is handed in" in err


@pytest.mark.slow
def test_a_run_on_splits_without_labels_is_complete_and_has_no_score(command, tiny_qwen2_5_vl, local_data, tmp_path):
    code, out, err = command(
        "run", "--model", tiny_qwen2_5_vl, "--tasks", "submission", "--data-dir", local_data.parquet,
        "--max-new-tokens", 4, "--device", "cpu", "--format", "plain", "--out", tmp_path, "--json",
    )  # fmt: skip

    assert code == ExitCode.OK, err
    scores = json.loads(out)
    assert [*scores["tasks"]] == ["mmbench_en_test", "mmbench_cn_test", "docvqa_test", "infovqa_test"]
    for task, found in scores["tasks"].items():
        assert found["unscored"] == {"no_gold": found["rows"]}, task
        assert {metric["value"] for metric in found["metrics"].values()} == {None}
    done, _, said = command("submission", scores["run"], "-o", tmp_path / "files", "--json")
    assert done == ExitCode.OK, said
    assert sorted(path.name for path in (tmp_path / "files").iterdir()) == [
        "docvqa_test.json", "infovqa_test.json", "mmbench_cn_test.xlsx", "mmbench_en_test.xlsx",
    ]  # fmt: skip
    assert all(record.sample.answers is None for record in load_run(Path(scores["run"])).records())
