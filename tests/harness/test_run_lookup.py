"""A run is found by path, name, unique beginning or `latest`, and what is not clear is never guessed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from harness.errors import ConfigError
from harness.runs.lookup import MOST_CANDIDATES, called, find_run, find_scores

BASE = "20260101T000000Z-base-aaaaaaaa"
LONG = "20260102T000000Z-base-long-bbbbbbbb"
TUNED = "20260103T000000Z-tuned-cccccccc"
KILLED = "20260104T000000Z-killed-dddddddd.partial"
RENAMED = "my best"


def make(root: Path, folder: str, created_utc: str = "") -> Path:
    """Make what a list of runs takes for a run: its manifest is broken unless a time is given."""
    path = root / folder
    path.mkdir(parents=True)
    (path / "manifest.json").write_text("{")
    (path / "samples.jsonl").write_text("")
    if created_utc:
        (path / "manifest.json").write_text(manifest_text(created_utc))
    return path


def manifest_text(created_utc: str) -> str:
    text = dict.fromkeys(("weights_hash", "config_hash", "model_type", "backend", "box_frame_reason"), "")
    text |= dict.fromkeys(("prompt_hash", "protocol_hash", "run_key"), "")
    fixed = {"format": "plain", "protocol": "strict", "generation": {}, "tasks": {}, "packages": {}}
    numbers = {"schema_version": 1, "seed": 0, "scorer_version": 1}
    unknown = dict.fromkeys(("adapter_hash", "pixel_limits"))
    return json.dumps(
        {**unknown, **text, **fixed, **numbers, "model": "m", "created_utc": created_utc, "status": "complete"}
    )


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in (BASE, LONG, TUNED, KILLED, RENAMED):
        make(tmp_path / "runs", name)
    return Path("runs")


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        ("base", BASE),  # what it is called, though another one begins so
        ("base-aaaaaaaa", BASE),
        (BASE, BASE),
        ("base-l", LONG),
        ("tu", TUNED),
        ("20260103", TUNED),
        ("killed", KILLED),
        (KILLED.removesuffix(".partial"), KILLED),
        ("my", RENAMED),
        ("my best", RENAMED),
        ("runs/tu", TUNED),
        ("runs/base", BASE),
        (f"./runs/{TUNED}", TUNED),
    ],
)
def test_a_name_or_a_unique_beginning_means_its_run(root, text, folder):
    assert find_run(text, root).resolve() == (root / folder).resolve()


@pytest.mark.parametrize("text", ["bas", "2026", "20260", "ba", "2", "base-"])
def test_what_means_several_runs_lists_them(root, text):
    with pytest.raises(ConfigError, match=r"means \d runs in runs: '2026") as caught:
        find_run(text, root)

    assert BASE in str(caught.value)
    assert LONG in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "nothing", "ase", "*", "..x", "runs/nothing", "elsewhere/base", "x" * 5000, "a\0b"]
)
def test_what_means_no_run_is_said_with_what_is_there(root, text):
    with pytest.raises(ConfigError, match=r"there is no .* here, and no run in"):
        find_run(text, root)


def test_the_nearest_name_is_given(root):
    with pytest.raises(ConfigError, match="Did you mean 'tuned'"):
        find_run("tunde", root)


def test_two_runs_of_one_name_are_never_told_apart_by_guess(root):
    make(root, "20260105T000000Z-base-aaaaaaaa")

    with pytest.raises(ConfigError, match="means 2 runs"):
        find_run("base", root)


def test_a_long_list_of_candidates_is_cut(tmp_path):
    for day in range(10, 25):
        make(tmp_path, f"202601{day}T000000Z-x-aaaaaaaa")

    with pytest.raises(ConfigError, match=f"and {15 - MOST_CANDIDATES} more") as caught:
        find_run("x", tmp_path)
    assert str(caught.value).count("-x-") == MOST_CANDIDATES


@pytest.mark.parametrize("name", ["base", "latest", "base@paper"])
def test_a_run_that_exists_always_wins(root, name):
    make(Path(), name)

    assert find_run(name, root) == Path(name)
    assert find_scores(name, root) == (Path(name), None)


@pytest.mark.parametrize("name", ["latest", "bas", "base@paper", "./base", "killed.partial"])
def test_any_other_folder_that_exists_wins(root, name):
    Path(name).mkdir()

    assert find_run(name, root) == Path(name)
    assert find_scores(name, root) == (Path(name), None)


@pytest.mark.parametrize(("name", "folder"), [("base", BASE), ("tuned", TUNED), (RENAMED, RENAMED), (LONG, LONG)])
def test_a_checkpoint_does_not_hide_the_run_that_is_called_so(root, name, folder):
    Path(name).mkdir()
    (Path(name) / "config.json").write_text("{}")

    assert find_run(name, root) == root / folder
    assert find_scores(f"{name}@paper", root) == (root / folder, "paper")
    assert find_scores(name, root) == (root / folder, None)


def test_of_two_runs_that_are_called_as_a_checkpoint_none_is_guessed(root):
    make(root, "20260105T000000Z-base-eeeeeeee")
    Path("base").mkdir()

    with pytest.raises(ConfigError, match="means 2 runs"):
        find_run("base", root)


def test_latest_is_what_was_begun_last_finished_or_not(root):
    assert find_run("latest", root).name == KILLED

    make(root, "aaa", created_utc="2026-02-01T00:00:00Z")

    assert find_run("latest", root).name == "aaa", "the manifest tells, not the folder's name"
    assert find_run("runs/latest", Path("nowhere")).name == "aaa"


def test_of_two_runs_of_one_second_the_later_one_is_latest(tmp_path):
    for name, second in (("20260101T000000Z-z-aaaaaaaa", 10), ("20260101T000000Z-a-bbbbbbbb", 20)):
        os.utime(make(tmp_path, name, created_utc="2026-01-01T00:00:00Z") / "samples.jsonl", (second, second))

    assert find_run("latest", tmp_path).name == "20260101T000000Z-a-bbbbbbbb"


@pytest.mark.parametrize("text", ["latest", "base"])
def test_without_runs_the_folder_is_named(tmp_path, text):
    with pytest.raises(ConfigError, match="none, which does not exist: name a run folder"):
        find_run(text, tmp_path / "none")


@pytest.mark.parametrize(
    ("text", "folder", "protocol"),
    [
        ("base@paper", BASE, "paper"),
        ("latest@vlmevalkit", KILLED, "vlmevalkit"),
        (f"runs/{TUNED}@lmms-eval", TUNED, "lmms-eval"),
        ("tu", TUNED, None),
    ],
)
def test_a_protocol_stands_behind_any_name(root, text, folder, protocol):
    path, found = find_scores(text, root)

    assert (path.name, found) == (folder, protocol)


def test_a_wrong_protocol_is_named(root):
    with pytest.raises(ConfigError, match=r"RUN@PROTOCOL takes strict.*Did you mean 'paper'"):
        find_scores("base@papr", root)


def test_control_characters_of_a_folder_do_not_reach_the_terminal(tmp_path):
    make(tmp_path, "x\x1b[31m1")
    make(tmp_path, "x\x1b[31m2")

    with pytest.raises(ConfigError) as caught:
        find_run("x", tmp_path)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        (BASE, "base-aaaaaaaa"),
        (f"{BASE}-2", "base-aaaaaaaa-2"),
        (KILLED, "killed-dddddddd"),
        (RENAMED, RENAMED),
        ("20260101T000000Z", "20260101T000000Z"),
    ],
)
def test_a_list_calls_a_run_by_what_finds_it(folder, name):
    assert name == called(folder)
