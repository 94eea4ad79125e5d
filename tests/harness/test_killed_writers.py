"""kill -9 at every step of what adds to a finished run: the run stays sound, and done again it ends as a first time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import harness
from harness.comparison.verify_run import verify_run
from harness.runs.journal import LOCK_NAME
from harness.runs.store import add_file, add_scores, load_run

SCRIPT = Path(__file__).with_name("kill_at_steps.py")
ROWS = [
    {"task": "mmstar", "id": str(number), "prediction": f"<answer>{'AB'[number % 2]}</answer>", "answers": ["A"]}
    for number in range(4)
]


def steps(run: Path, work: Path, what: str) -> list[dict]:
    """Return what was found after each kill; the last writer came to its end."""
    environment = {**os.environ, "PYTHONPATH": str(Path(harness.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-P", str(SCRIPT), run, work, what],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("before", ["nothing", "older"])
@pytest.mark.parametrize("what", ["scores", "page"])
def test_a_writer_that_is_killed_at_any_step_leaves_a_sound_run(make_run, tmp_path, what, before):
    run = make_run("model", ROWS)
    first = load_run(run).scores
    if before == "older":
        add_scores(run, "paper", lambda: {"older": 1}, load_run(run).records())
        add_file(run, "index.html", b"<p>an older page")

    *killed, last = steps(run, tmp_path, what)

    assert len(killed) >= 8
    assert {step["code"] for step in killed} == {9}
    assert last["code"] == 0
    for number, step in enumerate([*killed, last]):
        assert (number, step["problems"], step["first"]) == (number, [], first)
        assert set(step["later"].values()) <= {len(ROWS)}
        assert (number, step["differs"], step["problems_after"], step["lock"]) == (number, [], [], False)


@pytest.fixture
def shards(make_run, make_shards):
    """A run in two shards, made of one of predictions."""
    return make_shards(load_run(make_run("model", ROWS)), [[0, 2], [1, 3]])


def test_a_merge_that_is_killed_or_has_no_room_at_any_step_leaves_its_shards_and_no_half_run(shards, tmp_path):
    (tmp_path / "merged").mkdir()

    found = steps(shards, tmp_path / "merged", "merge")

    for how, code in (("killed", 9), ("full", 28)):
        *stopped, last = [step for step in found if step["how"] == how]
        assert len(stopped) >= 20
        assert last["code"] == 77
        for number, step in enumerate([*stopped, last]):
            whole = bool(step["published"])
            assert (how, number, step["problems"] if whole else []) == (how, number, [])
            assert (how, number, step["problems_after"], step["hidden_after"]) == (how, number, [], [])
        # only what comes after the one rename may be stopped and leave the run
        assert {step["code"] for step in stopped if not step["published"]} == {code}
        assert sum(bool(step["published"]) for step in stopped) <= 4
    assert sum(step["hidden"] for step in found if step["how"] == "killed") >= 20, "killed merges leave their folders"
    assert sum(step["hidden"] for step in found if step["how"] == "full") == 0, "others clear them away"


def test_what_other_hands_put_beside_a_run_is_told(make_run):
    run = make_run("model", ROWS)
    (run / "scores-paper.json").write_text("{}")

    assert verify_run(run) == ["'scores-paper.json' is not in SHA256SUMS: it was added later"]


def test_a_lock_left_behind_excuses_only_what_a_writer_makes(make_run):
    run = make_run("model", ROWS)
    (run / LOCK_NAME).touch()
    for name in ("scores-paper.json", "index.html", "index.html.0a.tmp"):
        (run / name).touch()
    assert verify_run(run) == []

    (run / "notes.txt").touch()
    (run / "samples-mine.parquet").touch()
    assert verify_run(run) == [
        "'notes.txt' is not in SHA256SUMS: it was added later",
        "'samples-mine.parquet' is not in SHA256SUMS: it was added later",
    ]


def test_scores_that_a_refused_rescore_would_have_replaced_stay(make_run):
    run = make_run("model", ROWS)
    add_scores(run, "paper", lambda: {"older": 1}, load_run(run).records())

    def refused():
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        add_scores(run, "paper", refused, load_run(run).records())

    assert load_run(run).rescored == {"paper": {"older": 1}}
    assert verify_run(run) == []
