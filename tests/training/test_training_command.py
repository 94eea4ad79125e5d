"""The verbs train, loop and demo as a person meets them: one line of error, exit 2, only the result on stdout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.errors import ExitCode, UserError
from satori_bench import _PROFILE_NAMES, cli
from training.demo_model import build_demo_checkpoint
from training.example_store import write_examples
from training.profiles import PROFILE_NAMES
from training.shapes_source import shapes_examples


def satori_bench(*arguments: object, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "satori_bench", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        check=False,
    )


FAULTS = [
    ("train", "sft", "model = 'm'\ndata = 'd'\n", "output is missing"),
    ("train", "grpo", "model = 'm'\ndata = 'd'\noutput = 'o'\nrewrds = {}\n", "Did you mean 'rewards'?"),
    ("train", "sft", "model = 'none'\ndata = 'shapes:tiny'\noutput = 'o'\n", "no folder none"),
    ("train", "sft", "model = 'm'\ndata = 'none.parquet'\noutput = 'o'\n", "there is no such file"),
    ("train", "sft", "model = 'm'\ndata = 'shapes:huge'\noutput = 'o'\n", "Shapes has the profiles full, tiny"),
    ("loop", None, "name = 'a b'\nmodel = 'm'\n", "use letters, digits"),
    ("loop", None, "name = 'a'\nmodel = 'none'\n", "no folder none"),
    ("loop", None, "name = 'a'\nmodel = 'm'\n[[arms]]\nname = 'x'\ncold_start = 'y'\n", "no other arm 'y'"),
]


@pytest.mark.parametrize(("verb", "stage", "text", "fault"), FAULTS, ids=[fault for *_, fault in FAULTS])
def test_a_wrong_configuration_is_refused_and_nothing_is_written(tmp_path, monkeypatch, verb, stage, text, fault):
    monkeypatch.chdir(tmp_path)
    Path("c.toml").write_text(text, encoding="utf-8")

    found = CliRunner().invoke(cli, [verb, *([stage] if stage else []), "--config", "c.toml"], standalone_mode=False)

    assert isinstance(found.exception, UserError)
    assert found.exception.exit_code == ExitCode.USAGE
    assert fault in str(found.exception)
    assert found.stdout == ""
    assert not list(Path().glob("o/*"))


@pytest.mark.slow
def test_a_fault_is_one_line_and_exit_2(tmp_path):
    (tmp_path / "c.toml").write_text("modle = 'm'\n", encoding="utf-8")

    found = satori_bench("train", "sft", "--config", "c.toml", folder=tmp_path)

    assert found.returncode == 2
    assert found.stdout == ""
    assert "unknown key modle. Did you mean 'model'?" in found.stderr
    assert found.stderr.strip().count("\n") == 0


@pytest.mark.slow
def test_train_prints_its_checkpoint_and_only_that(tmp_path):
    build_demo_checkpoint(tmp_path / "tiny", seed=0)
    write_examples(tmp_path / "train.parquet", shapes_examples("tiny", 20))
    (tmp_path / "sft.toml").write_text(
        "model = 'tiny'\ndata = 'train.parquet'\noutput = 'sft'\noptimisation = {steps = 2, batch_size = 4}\n",
        encoding="utf-8",
    )

    found = satori_bench("train", "sft", "--config", "sft.toml", "--json", folder=tmp_path)

    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout) == {"schema": 1, "checkpoint": "sft", "steps": 2, "reused": False}
    assert (tmp_path / "sft" / "config.json").is_file()
    again = satori_bench("train", "sft", "--config", "sft.toml", "--json", folder=tmp_path)
    assert json.loads(again.stdout)["reused"] is True


def files_under(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["sft", "grpo"])
@pytest.mark.parametrize("profile", [name for name in PROFILE_NAMES if name != "cpu-tiny"])
def test_a_profile_without_its_gpus_is_refused_and_leaves_nothing(
    command, tiny_qwen2_5_vl, tmp_path, monkeypatch, stage, profile
):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    (tmp_path / "tiny").symlink_to(tiny_qwen2_5_vl)
    settings = "model = 'tiny'\ndata = 'shapes:tiny'\noutput = 'made/out'\nprocesses = 1\n"
    (tmp_path / "c.toml").write_text(settings, encoding="utf-8")
    before = files_under(tmp_path)

    code, out, err = command("train", stage, "--config", "c.toml", "--profile", profile)

    assert (code, out) == (2, "")
    assert f"profile {profile} needs a GPU" in err
    assert err.count("\n") == 1
    assert files_under(tmp_path) == before


def test_the_command_offers_every_profile():
    assert tuple(_PROFILE_NAMES) == PROFILE_NAMES


PLANNED = [
    ("model = 'tiny'\ndata = 'shapes:tiny'\noutput = 'o'\n", 0, ""),
    ("model = 'tiny'\ndata = 'none.parquet'\noutput = 'o'\n", 2, "none.parquet: there is no such file"),
    ("model = 'tiny'\ndata = 'shapes:huge'\noutput = 'o'\n", 2, "Shapes has the profiles"),
    ("model = 'tyni'\ndata = 'shapes:tiny'\noutput = 'o'\n", 2, "no folder tyni"),
    ("model = 'tiny/none'\ndata = 'shapes:tiny'\noutput = 'o'\n", 2, "no folder tiny/none"),
]


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["sft", "grpo"])
@pytest.mark.parametrize("profile", PROFILE_NAMES)
@pytest.mark.parametrize("case", PLANNED, ids=[fault or "whole" for *_, fault in PLANNED])
def test_a_plan_writes_nothing_whatever_it_says(command, tiny_qwen2_5_vl, tmp_path, stage, profile, case):
    text, code, fault = case
    (tmp_path / "tiny").symlink_to(tiny_qwen2_5_vl)
    (tmp_path / "c.toml").write_text(text, encoding="utf-8")
    before = files_under(tmp_path)

    found, _, err = command("train", stage, "--config", "c.toml", "--profile", profile, "--dry-run")

    assert found == code
    assert fault in err
    assert files_under(tmp_path) == before


@pytest.mark.slow
@pytest.mark.parametrize("dry_run", [(), ("--dry-run",)])
@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("model = 'tyni'\n", "no folder tyni"),
        ("model = 'tiny'\ndata = {sft = 'none.parquet'}\n", "none.parquet: there is no such file"),
        ("model = 'tiny'\ndata = {grpo = 'shapes:huge'}\n", "Shapes has the profiles"),
        ("model = 'tiny'\nbenchmark = {tasks = 'shappes'}\n", "shappes"),
    ],
)
def test_a_loop_that_cannot_run_is_refused_and_leaves_nothing(command, tiny_qwen2_5_vl, tmp_path, dry_run, text, fault):
    (tmp_path / "tiny").symlink_to(tiny_qwen2_5_vl)
    (tmp_path / "c.toml").write_text(f"name = 'x'\n{text}", encoding="utf-8")
    before = files_under(tmp_path)

    code, _, err = command("loop", "--config", "c.toml", *dry_run)

    assert code == 2
    assert fault in err
    assert files_under(tmp_path) == before
