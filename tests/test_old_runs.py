"""Runs that commit eb7f11f made stay readable, and give the values that its own `compare` gave."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

CASES = Path(__file__).parent / "cases"
COMPARED = json.loads((CASES / "runs_of_eb7f11f.json").read_text(encoding="utf-8"))


@pytest.fixture
def old(tmp_path):
    with tarfile.open(CASES / "runs_of_eb7f11f.tar.gz") as packed:
        packed.extractall(tmp_path / "old", filter="data")
    return tmp_path / "old"


def test_they_verify_although_intervals_are_made_otherwise_today(command, old):
    for name in ("base", "tuned"):
        assert command("runs", "verify", old / name)[:2] == (0, f"{old / name}: ok\n")


def test_a_changed_score_in_them_is_still_found(command, old, renew_sums):
    file = old / "base" / "scores.json"
    scores = json.loads(file.read_text())
    scores["tasks"]["mmstar"]["metrics"]["accuracy"]["value"] = 0.9
    file.write_text(json.dumps(scores))
    renew_sums(old / "base")

    code, out, _ = command("runs", "verify", old / "base")
    assert code == 5
    assert "mmstar has accuracy 0.9" in out


def test_they_compare_to_the_same_values(command, old):
    _, out, _ = command("compare", old / "base", old / "tuned", "--json")
    (pair,) = json.loads(out)["pairs"]
    found = {
        (benchmark["task"], row["metric"]): row
        for benchmark in pair["benchmarks"]
        for row in (benchmark["headline"], *benchmark["metrics"])
    }

    assert len(COMPARED) == 12
    for row in COMPARED:
        now = found[row["task"], row["metric"]]
        difference = now["difference"] or {}
        shown = (now["a"]["value"], now["b"]["value"], difference.get("delta"), difference.get("p"))
        assert shown == pytest.approx((row["a"], row["b"], row["delta"], row["p"])), row


def test_they_rescore_to_the_same_values_and_open(command, old):
    before = json.loads((old / "tuned" / "scores.json").read_text())["tasks"]
    code, out, _ = command("rescore", old / "tuned", "--json")
    after = json.loads(out)["tasks"]

    assert code == 0
    values = {task: {name: one["value"] for name, one in fields["metrics"].items()} for task, fields in before.items()}
    assert values == {
        task: {name: fields["metrics"][name]["value"] for name in values[task]} for task, fields in after.items()
    }
    assert command("runs", "show", old / "tuned")[0] == 0
    assert command("runs", "page", old / "base")[0] == 0
