"""Every verb that takes a run finds it by the same names, in `runs/` or in `--out`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.errors import ExitCode

ROWS = [{"id": f"s{place}", "task": "shapes", "answers": ["red"]} for place in range(40)]


@pytest.fixture
def runs(make_run):
    """Two finished runs in `runs/`, called `base` and `tuned`."""
    return {
        name: make_run(name, [{**row, "prediction": f"<answer>{word}</answer>"} for row in ROWS])
        for name, word in (("base", "blue"), ("tuned", "red"))
    }


VERBS = [
    ["rescore", "tu", "--json"],
    ["compare", "base", "latest", "--json"],
    ["gate", "tuned", "--baseline", "ba", "--json"],
    ["noise", "base", "tu", "--json"],
    ["leaderboard", "base", "latest", "-o", "site", "--json"],
    ["runs", "show", "latest", "--json"],
    ["runs", "page", "tuned"],
    ["runs", "verify", "tuned"],
]
FOLDERS = {"base": "base", "ba": "base", "tu": "tuned", "tuned": "tuned", "latest": "tuned"}


@pytest.mark.parametrize("words", VERBS, ids=" ".join)
@pytest.mark.parametrize("elsewhere", [False, True], ids=["runs", "out"])
def test_a_name_means_its_run_to_every_verb(command, runs, tmp_path, words, elsewhere):
    by_path = command(*[runs[FOLDERS[word]] if word in FOLDERS else word for word in words])
    out = ["--out", "kept here"] if elsewhere else []
    if elsewhere:
        (tmp_path / "runs").rename(tmp_path / "kept here")

    code, printed, err = command(*words, *out)

    assert code == by_path[0] == ExitCode.OK, err
    place = "kept here" if elsewhere else "runs"
    assert printed.replace(f"{place}/", "…/") == by_path[1].replace(f"{tmp_path}/runs/", "…/")


@pytest.mark.parametrize("words", [*VERBS, ["view", "x"], ["run", "--retry", "x"]], ids=" ".join)
def test_what_is_not_clear_is_refused_by_every_verb(command, runs, words):
    for unclear, says in (("20260101T", "means 2 runs in runs"), ("nothing", "there is no 'nothing' here")):
        asked = [unclear if word in {*FOLDERS, "x"} else word for word in words]

        code, out, err = command(*asked)

        assert (code, out) == (ExitCode.USAGE, "")
        assert says in err
        assert len(err.splitlines()) == 1


def test_a_run_and_its_rescore_are_named_by_protocol(command, runs):
    assert command("rescore", "tuned", "--protocol", "paper")[0] == ExitCode.OK

    code, out, err = command("compare", "tuned@strict", "tuned@paper", "--json")

    assert code == ExitCode.OK, err
    name = runs["tuned"].name
    assert [side["label"] for side in json.loads(out)["sides"]] == [name, f"{name}@paper"]
    assert "RUN@PROTOCOL takes" in command("compare", "base", "tuned@papr")[2]


def test_a_variable_names_the_folder_of_runs(command, runs, tmp_path, monkeypatch):
    (tmp_path / "runs").rename(tmp_path / "kept")
    monkeypatch.setenv("SATORI_BENCH_OUT", "kept")

    assert command("runs", "verify", "base")[0] == ExitCode.OK
    assert command("runs", "list", "--json")[1].count('"run"') == 2


def test_a_run_of_predictions_is_named_by_its_model_and_names_its_page(command, tmp_path):
    (tmp_path / "p.jsonl").write_text("".join(json.dumps({**row, "prediction": "red"}) + "\n" for row in ROWS))

    code, out, err = command("score", "p.jsonl", "--format", "plain", "--run", "runs", "--name", "org/Some Model")

    assert code == ExitCode.OK
    [folder] = Path("runs").iterdir()
    assert len(out.splitlines()) == len(ROWS), "nothing but the scored lines"
    assert f"page: {folder}/index.html" in err
    assert f"open it with: satori-bench view {folder}" in err
    assert command("runs", "verify", "Some-Model")[0] == ExitCode.OK


def test_a_comparison_and_a_leaderboard_name_their_page(command, runs):
    assert (
        "open it with: satori-bench view 'my page.html'" in command("compare", "base", "tuned", "-o", "my page.html")[2]
    )
    assert "open it with: satori-bench view site" in command("leaderboard", "runs", "-o", "site")[2]
