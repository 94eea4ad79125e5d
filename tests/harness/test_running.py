"""Runs under way are seen from outside: their journals alone, shards as one, and no writer notices."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from invented_runs import Answerer, invented_text, shapes_questions
from numpy.random import default_rng

from harness.evaluation.merge import merge_shards
from harness.evaluation.running import Pace, running_run, running_runs, scores_so_far
from harness.runs.journal import RunLockedError, lock_run, read_records
from harness.runs.manifest import Manifest, TaskManifest, stamp_hashes
from harness.runs.store import OpenRun, list_runs, load_run, open_run
from harness.scoring.box_dialects import dialect_named
from harness.scoring.score import SCORER_VERSION, score
from harness.summary.run_summary import summarise_records
from harness.values import Generation, PixelLimits, Record, ScoreConfig
from reports.terminal.running_table import Look, look_to_json, running_line, running_table
from reports.terminal.tables import task_line
from satori_bench.running import Follower, ended_line

NOW = datetime(2026, 11, 29, tzinfo=UTC)
CONFIG = ScoreConfig(box_dialect=dialect_named("image_px"))
QUESTIONS = shapes_questions(40, "tiny", pictures=False)


def begin(
    root: Path, *, samples: int = 40, shard: str | None = None, model: str = "tuned", tasks=("shapes", "mme")
) -> OpenRun:
    task = TaskManifest("1" * 64, "embedded", None, "2" * 64, rows=40, samples=samples)
    manifest = Manifest(
        model=model, weights_hash=model.ljust(64, "0"), adapter_hash=None, config_hash="c" * 64,
        model_type="qwen2_5_vl", backend="hf", format="satori", protocol="strict", box_dialect=CONFIG.box_dialect,
        box_dialect_reason="given",
        pixel_limits=PixelLimits(784, 7840), generation={"temperature": 0.0}, tasks=dict.fromkeys(tasks, task),
        prompt_hash="3" * 64, seed=0, packages={}, scorer_version=SCORER_VERSION, created_utc="", shard=shard,
    )  # fmt: skip
    return open_run(root, stamp_hashes(manifest), now=NOW)


def answer(run: OpenRun, *places: int, repeat: int = 0) -> None:
    for place in places:
        question = QUESTIONS[place]
        text = invented_text(question, Answerer("a", right=0.6), default_rng(place))
        earned = score(question.sample, text, CONFIG)
        run.journal.append(Record(question.sample, Generation(text), earned, repeat=repeat))


def test_each_benchmark_is_counted_and_scored_by_its_own_measure(tmp_path):
    with begin(tmp_path) as run:
        answer(run, *range(12), 3, 4)
        answer(run, 0, repeat=1)
        (found,) = running_runs(tmp_path)
        so_far = scores_so_far(found)
        final = summarise_records(read_records(run.journal.path), CONFIG)

    assert {task: (one.done, one.samples) for task, one in found.tasks.items()} == {"shapes": (12, 40), "mme": (0, 40)}
    assert (found.done, found.samples, found.shards) == (12, 80, ())
    assert so_far["shapes"].metrics == final.tasks["shapes"].metrics
    assert so_far["shapes"].n == 12


def test_a_line_that_is_being_written_is_passed_over(tmp_path):
    with begin(tmp_path) as run:
        answer(run, 0, 1)
        run.journal.sync()
        with run.journal.path.open("ab") as file:
            file.write(b'{"task":"shapes","id":"2')
        (found,) = running_runs(tmp_path)

        assert found.tasks["shapes"].done == 2
        assert scores_so_far(found)["shapes"].n == 2


def test_looking_takes_no_lock_and_changes_no_byte(tmp_path):
    with begin(tmp_path) as run:
        answer(run, 0, 1)
        run.journal.sync()
        before = {path: path.stat().st_mtime_ns for path in sorted(run.folder.rglob("*"))}

        scores_so_far(running_runs(tmp_path)[0])

        assert {path: path.stat().st_mtime_ns for path in sorted(run.folder.rglob("*"))} == before
        with pytest.raises(RunLockedError):
            lock_run(run.folder)
        answer(run, 2)
    lock_run(run.folder).release()


def test_shards_are_seen_as_one_run_wherever_they_are_written(tmp_path):
    hidden = tmp_path / ".0123456789ab-parts" / "of-2"
    parts = [begin(hidden / str(number), samples=20, shard=f"{number}/2") for number in (1, 2)]
    by_hand = begin(tmp_path, samples=10, shard="1/4", model="other")
    answer(parts[0], 0, 1, 2)
    answer(parts[1], 20)
    parts[1].publish({"schema": 1}, now=NOW)

    found = {running.manifest.model: running for running in running_runs(tmp_path)}

    assert found["tuned"].shards == ("1/2", "2/2")
    assert (found["tuned"].done, found["tuned"].samples) == (4, 80)
    assert scores_so_far(found["tuned"])["shapes"].n == 4
    assert found["other"].shards == ("1/4",)
    for run in (*parts, by_hand):
        run.close()


def test_shards_are_under_way_until_they_are_merged_and_then_that_run_is_named(tmp_path):
    hidden = tmp_path / ".0123456789ab-parts"
    folders = []
    for number in (1, 2):
        place = hidden / "of-2" / str(number)
        with begin(place, samples=20, shard=f"{number}/2", tasks=("shapes",)) as run:
            answer(run, *range(20 * number - 20, 20 * number))
            summary = summarise_records(read_records(run.journal.path), CONFIG)
            folders.append(run.publish(summary.to_json(), now=NOW))
    finished_but_not_merged = running_runs(tmp_path)
    folder, summary = merge_shards(folders, tmp_path, now=NOW)
    shutil.rmtree(hidden)

    line = ended_line(folders[0].with_name(f"{folders[0].name}.partial"))

    assert [running.done for running in finished_but_not_merged] == [40]
    assert running_runs(tmp_path) == []
    assert line == f"{folder}: {task_line(summary.tasks['shapes'])}"
    assert summary.tasks["shapes"].n == 40


def test_shards_of_other_settings_are_no_part_of_it(tmp_path):
    runs = [begin(tmp_path, shard="1/2"), begin(tmp_path, shard="2/2", model="other")]

    assert {running.shards for running in running_runs(tmp_path)} == {("1/2",), ("2/2",)}
    for run in runs:
        run.close()


def test_a_run_that_was_published_is_no_longer_under_way(tmp_path):
    run = begin(tmp_path)
    folder = run.folder
    answer(run, 0)
    during = running_run(folder)
    summary = summarise_records(read_records(run.journal.path), CONFIG)
    published = run.publish(summary.to_json(), now=NOW)

    assert during is not None
    assert running_run(folder) is None
    assert running_runs(tmp_path) == []
    assert ended_line(folder).startswith(f"{published}: shapes: accuracy ")
    assert "no longer here" in ended_line(tmp_path / "gone.partial")


def test_scores_so_far_lie_in_the_unfinished_folder_and_are_no_ones_scores(tmp_path):
    with begin(tmp_path) as run:
        answer(run, 0, 1)
        run.keep_so_far(summarise_records(read_records(run.journal.path, task="shapes"), CONFIG).to_json())
        run.keep_so_far({"schema": 1, "tasks": {"mme": {"n": 1}}})
        stored = (run.folder / "scores.json").read_text()

        assert '"shapes"' in stored
        assert '"mme"' in stored
        assert load_run(run.folder).scores is None
        assert list_runs(tmp_path)[0].state == "partial"
        published = run.publish({"schema": 1, "tasks": {}}, now=NOW)
    assert '"mme"' not in (published / "scores.json").read_text()


def test_records_of_one_task_are_read_alone(tmp_path):
    with begin(tmp_path) as run:
        answer(run, 0, 1, 0)
        run.journal.sync()

        assert [record.sample.id for record in read_records(run.journal.path, task="shapes")] == [
            QUESTIONS[0].sample.id,
            QUESTIONS[1].sample.id,
        ]
        assert list(read_records(run.journal.path, task="mme")) == []


PACES = [
    ([], None),
    ([(0.0, 5)], None),
    ([(0.0, 5), (10.0, 5)], None),
    ([(0.0, 5), (10.0, 25)], 2.0),
    ([(0.0, 0), (30.0, 300), (60.0, 330), (90.0, 360)], 1.0),
    ([(0.0, 9), (5.0, 3)], None),
]


@pytest.mark.parametrize(("seen", "expected"), PACES)
def test_the_pace_is_that_of_the_last_minute(seen, expected):
    pace = Pace()
    for now_s, done in seen:
        pace.see(now_s, done)

    assert pace.per_s == expected


@pytest.fixture
def look(tmp_path):
    with begin(tmp_path) as run:
        answer(run, *range(10))
        (found,) = running_runs(tmp_path)
        return Look(replace(found, last_record_s=1000.0), scores_so_far(found), 2.0)


def test_a_table_and_a_line_say_how_far_a_run_is(look):
    table = "\n".join(running_table([look], 1003.0).lines(150))
    line = running_line(look, 1003.0)

    assert "10/40" in table
    assert "0:35" in table
    assert "[" not in table, "what was asked first is no random part: no interval"
    assert line.startswith(f"{look.running.name}: shapes 10/40 (accuracy ")
    assert line.endswith("so far, n 10), mme 0/40, 2.0 samples/s, 0:35 left, last record 0:03 ago")
    assert look_to_json(look, 1003.0)["left_s"] == 35.0


def test_a_run_that_stands_still_promises_no_end(look):
    line = running_line(look, 1500.0)

    assert "left" not in line
    assert line.endswith("last record 8:20 ago: it stands still, or was killed")


def test_scores_are_not_reckoned_more_often_than_they_cost(tmp_path, monkeypatch):
    reckoned, now = [], [0.0]

    def slowly(running):
        reckoned.append(running.done)
        now[0] += 2.0
        return {}

    monkeypatch.setattr("satori_bench.running.scores_so_far", slowly)
    with begin(tmp_path) as run:
        follower = Follower(lambda: running_runs(tmp_path), clock=lambda: now[0])
        for place in range(6):
            answer(run, place)
            follower.look()
            now[0] += 10.0

    assert reckoned == [1, 5], "two seconds of work, then forty of none"


def test_the_command_shows_a_run_and_ends_with_it(tmp_path, command, monkeypatch):
    run = begin(tmp_path / "runs")
    answer(run, 0, 1)
    once = command("runs", "watch", "--once")
    as_json = command("runs", "watch", "--json")
    monkeypatch.setattr(time, "sleep", lambda _: run.publish({"schema": 1, "tasks": {}}, now=NOW))
    ended = command("runs", "watch", "tuned")
    empty = command("runs", "watch", "--once")

    assert once[0] == as_json[0] == ended[0] == empty[0] == 0
    assert "2/40" in once[1]
    assert '"done": 2' in as_json[1]
    assert len(ended[1].splitlines()) == 2
    assert "no run is under way in runs" in empty[2]
    assert list(Path("runs").iterdir()) == [Path("runs", run.folder.name)]
