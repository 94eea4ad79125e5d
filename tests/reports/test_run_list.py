"""A list of runs tells what each is, what came out, and what it is good for, at any width."""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len

from harness.manifest import read_manifest, stamp_hashes
from harness.run_lookup import find_run
from harness.run_store import open_run
from reports.run_list import listed_runs, runs_json, runs_table


@pytest.fixture(scope="module")
def root(invented, tmp_path_factory, renew_sums):
    """One run of every state."""
    root = tmp_path_factory.mktemp("listed")
    questions = invented.many_questions(20)

    def make(model: str, **changes):
        return invented.invent_run(root, invented.Answerer(f"checkpoints/{model}"), questions, **changes)

    make("whole")
    make("drawn", generation={"temperature": 0.7, "max_new_tokens": 5}, name="my-name")
    make("limited", partial=True)
    make("said", predictions_only=True, backend="predictions", generation={})
    make("fetched", predictions_only=True, backend="lmms-eval", partial=True)
    whole = find_run("whole", root)
    broken = make("scoreless")
    (broken / "scores.json").write_text("{")
    errors = make("errors")
    scores = json.loads((errors / "scores.json").read_text())
    scores["tasks"]["shapes"]["unscored"] = {"error": 3, "no_gold": 2}
    (errors / "scores.json").write_text(json.dumps(scores))
    renew_sums(errors)
    unjudged = make("unjudged")
    scores["tasks"]["shapes"]["unscored"] = {"error": 1, "judge_error": 4}
    (unjudged / "scores.json").write_text(json.dumps(scores))
    renew_sums(unjudged)
    nothing = root / "20260101T000000Z-manifestless-00000000"
    nothing.mkdir()
    (nothing / "manifest.json").write_text('{"model": "\x1b[31m"')
    for number, end in enumerate(("close", "fail")):
        manifest = stamp_hashes(replace(read_manifest(whole / "manifest.json"), seed=7 + number, model=end))
        with open_run(root, manifest, now=invented.NOW) as run:
            if end == "fail":
                run.fail(now=invented.NOW)
    return root


def states(root) -> dict[str, str]:
    return {run["name"].rsplit("-", 1)[0]: run for run in runs_json(listed_runs(root))["runs"]}


@pytest.mark.parametrize(
    ("name", "status", "state", "marks"),
    [
        ("whole", "complete", "complete", []),
        ("my-name", "complete", "complete", []),
        ("limited", "complete", "complete", ["limited"]),
        ("said", "complete", "complete", ["predictions only"]),
        ("fetched", "complete", "complete", ["limited", "imported"]),
        ("errors", "complete", "complete", ["3 errors"]),
        ("unjudged", "complete", "complete", ["5 errors"]),
        ("scoreless", "broken", "corrupt", []),
        ("manifestless", "broken", "corrupt", []),
        ("close", "unfinished", "partial", []),
        ("fail", "failed", "partial", []),
    ],
)
def test_states_are_told_apart(root, name, status, state, marks):
    found = states(root)[name]

    assert (found["status"], found["state"], found["marks"]) == (status, state, marks)
    assert (found["problem"] is None) == (status != "broken")


def test_scores_are_the_stored_headlines(root):
    stored = json.loads((find_run("whole", root) / "scores.json").read_text())["tasks"]["shapes"]["metrics"]["accuracy"]
    found = states(root)["whole"]

    assert {key: found["scores"]["shapes"][key] for key in ("value", "ci_low", "ci_high", "n")} == stored | {
        "n": found["scores"]["shapes"]["n"]
    }
    assert (found["decoding"], found["samples"], found["created_utc"]) == ("greedy", 20, "2026-01-02T03:04:05Z")
    assert states(root)["my-name"]["decoding"] == "sampled 0.7"
    assert states(root)["said"]["decoding"] is None
    assert json.dumps(runs_json(listed_runs(root)), allow_nan=False)


def test_what_a_list_calls_a_run_finds_it(root):
    for run in runs_json(listed_runs(root))["runs"]:
        assert str(find_run(run["name"], root)) == run["run"]


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_a_list_fits_its_terminal_and_cannot_steer_it(root, width):
    lines = runs_table(listed_runs(root)).lines(width)

    assert max(map(cell_len, lines)) <= width
    assert "\x1b" not in "".join(lines)
    for word in ("whole", "limited", "imported", "unfinished", "failed", "broken", "3 errors", "sampled 0.7"):
        assert any(word in line for line in lines)


def test_at_80_columns_a_run_its_state_and_its_score_stand_in_one_line(root):
    lines = runs_table(listed_runs(root)).lines(80)
    [place] = [place for place, line in enumerate(lines) if line.startswith("whole-")]
    line, below = lines[place], lines[place + 1]

    assert below.startswith("2026-01-02 03:04")
    assert below.endswith("greedy")
    assert "complete" in line
    assert "shapes " in line


def test_only_manifest_and_scores_are_read(root, monkeypatch):
    opened = []
    real = os.open

    def open_and_note(file, *rest, **more):
        opened.append(Path(file).name)
        return real(file, *rest, **more)

    monkeypatch.setattr("os.open", open_and_note)

    listed_runs(root)

    folders = {path.name for path in root.iterdir()}
    assert {"manifest.json", "scores.json", "SHA256SUMS"} == set(opened) - folders


def test_three_hundred_runs_are_listed_at_once(root, tmp_path):
    whole = find_run("whole", root)
    for number in range(300):
        folder = tmp_path / f"20260101T000000Z-x{number}-00000000"
        folder.mkdir()
        for name in ("manifest.json", "scores.json"):
            shutil.copyfile(whole / name, folder / name)

    began = time.process_time()
    assert len(listed_runs(tmp_path)) == 300

    assert time.process_time() - began < 2


def test_the_verb_takes_a_folder(command, root, tmp_path):
    code, out, _ = command("runs", "list", root, "--json")
    assert code == 0
    assert len(json.loads(out)["runs"]) == 11

    assert command("runs", "list", "--out", root)[1].startswith("run, begun (UTC) ")
    assert command("runs", "list")[:2] == (0, ""), "no runs yet"
    assert command("runs", "list", root, "--out", root)[0] == 2
