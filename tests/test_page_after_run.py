"""A run is published before its page is written: whatever ends the page, the run is whole and its exit code holds."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.comparison.verify_run import verify_run
from harness.runs.store import PAGE_NAME, load_run

ROOT = Path(__file__).parents[1]
ROWS = [{"id": str(n), "task": "shapes", "prediction": "<answer>red</answer>", "answers": ["red"]} for n in range(40)]
ENDS = {
    "raises": ("sys.modules['reports.pages.run_page'] = None", "reports.pages.run_page"),
    "leaves": ("os._exit(7)", "left with 7"),
    "is killed": ("os.kill(os.getpid(), signal.SIGKILL)", "ended by SIGKILL"),
    "traps": ("os.abort()", "ended by SIGABRT"),
    "runs out of memory": ("resource.setrlimit(resource.RLIMIT_AS, (2**25, 2**25))", "the page was not written"),
    "finds the disk full": (
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (99, 99))",
        "File too large",
    ),
}


@pytest.fixture
def ending(tmp_path, monkeypatch):
    """Have the process that writes a page do something at its start: `ending("os.abort()")`."""

    def write(code: str) -> None:
        early = tmp_path / "early"
        early.mkdir()
        (early / "sitecustomize.py").write_text(
            "import os, resource, signal, sys\n"
            f"if any('pages/process.py' in word for word in sys.orig_argv):\n    {code}\n"
        )
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(early), str(ROOT)]))
        # Python puts a .pyc in its place whatever came of writing it: under a limit of file sizes it is torn, and every
        # later process that imports the checkout ends with "marshal data too short"
        monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")

    return write


@pytest.fixture
def rows_file(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def whole(runs: Path) -> Path:
    """Return the one run of a folder, which is published, verifies and holds every answer."""
    (run,) = [path for path in runs.iterdir() if not path.name.startswith(".")]
    assert not run.name.endswith(".partial")
    assert verify_run(run) == []
    assert len(list(load_run(run).records())) == len(ROWS)
    return run


@pytest.mark.parametrize(("code", "said"), ENDS.values(), ids=ENDS)
def test_a_page_that_ends_in_any_way_leaves_a_whole_run_and_its_code(command, rows_file, ending, tmp_path, code, said):
    ending(code)

    left, _, err = command("score", rows_file, "--format", "freeform", "--run", "made")

    run = whole(tmp_path / "made")
    assert left == 0
    assert said in err
    assert f"satori-bench runs page made/{run.name}" in err
    assert "page: " not in err.replace("warning: the page", "")
    assert not (run / PAGE_NAME).exists()


def test_the_page_can_be_made_later(command, rows_file, ending, tmp_path, monkeypatch):
    ending("os.abort()")
    command("score", rows_file, "--format", "freeform", "--run", "made")
    run = whole(tmp_path / "made")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    code, out, _ = command("runs", "page", run)

    assert (code, out) == (0, f"{run / PAGE_NAME}\n")
    assert "predictions only" in (run / PAGE_NAME).read_text(encoding="utf-8")
    assert verify_run(run) == []


def test_a_command_that_is_killed_while_its_page_is_written_has_published(rows_file, ending, tmp_path):
    ending("os.kill(os.getppid(), signal.SIGKILL); os.kill(os.getpid(), signal.SIGKILL)")

    done = subprocess.run(
        [sys.executable, "-m", "satori_bench", "score", rows_file, "--format", "freeform", "--run", tmp_path / "made"],
        cwd=tmp_path, capture_output=True, check=False,
    )  # fmt: skip

    assert done.returncode == -signal.SIGKILL
    whole(tmp_path / "made")


def test_a_rescore_keeps_its_scores_and_the_old_page_where_the_new_one_fails(command, make_run, ending, monkeypatch):
    run = make_run("model", ROWS)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    assert command("runs", "page", run)[0] == 0
    before = (run / PAGE_NAME).read_bytes()
    ending("os.kill(os.getpid(), signal.SIGKILL)")

    code, _, err = command("rescore", run, "--protocol", "paper")

    assert code == 0
    assert "ended by SIGKILL" in err
    assert "paper" in load_run(run).rescored
    assert before == (run / PAGE_NAME).read_bytes()
    assert verify_run(run) == []


def test_no_page_is_written_where_none_is_asked_for(command, rows_file, make_run, tmp_path):
    scored, _, err = command("score", rows_file, "--format", "freeform", "--run", "made", "--no-page")
    other = make_run("model", ROWS)
    again, *_ = command("rescore", other, "--protocol", "paper", "--no-page")

    assert (scored, again) == (0, 0)
    assert "page:" not in err
    assert "runs page" not in err
    assert not (whole(tmp_path / "made") / PAGE_NAME).exists()
    assert not (other / PAGE_NAME).exists()


@pytest.mark.slow
def test_an_address_space_limit_of_batch_systems_costs_pictures_at_most(rows_file, tmp_path):
    limit = 8_000_000 * 1024  # ulimit -v 8000000

    done = subprocess.run(
        [sys.executable, "-m", "satori_bench", "score", rows_file, "--format", "freeform", "--run", tmp_path / "made"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )  # fmt: skip

    run = whole(tmp_path / "made")
    assert done.returncode == 0, done.stderr
    assert "100.0" in (run / PAGE_NAME).read_text(encoding="utf-8")
