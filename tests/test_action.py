"""The GitHub Action's own script, run as GitHub runs it: summary, reports and exit code on stored runs."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
STEPS = {step["name"]: step for step in ACTION["runs"]["steps"]}


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Path]:
    spec = importlib.util.spec_from_file_location("invented_runs", Path(__file__).parent / "invented_runs.py")
    invented = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = invented
    spec.loader.exec_module(invented)
    root = tmp_path_factory.mktemp("runs")
    questions = invented.shapes_questions(60, pictures=False)
    shares = {"good": 0.95, "bad": 0.2}
    return {
        name: invented.invent_run(root, invented.Answerer(name, right=share, near=share, broken=0.0), questions)
        for name, share in shares.items()
    }


def step(name: str, folder: Path, **variables: str) -> tuple[int, dict[str, str], str]:
    """Run a step's script; return exit code, outputs and job summary."""
    output, summary = folder / "output", folder / "summary"
    output.touch()
    summary.touch()
    names = dict.fromkeys(STEPS[name]["env"], "")
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "GITHUB_OUTPUT": str(output),
        "GITHUB_STEP_SUMMARY": str(summary),
        **names,
        **variables,
    }
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", STEPS[name]["run"]]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    found = dict(line.split("=", 1) for line in output.read_text().splitlines())
    return done.returncode, found, summary.read_text()


def test_every_step_takes_its_inputs_as_variables():
    for found in STEPS.values():
        assert "${{" not in found.get("run", "")


@pytest.mark.slow
@pytest.mark.parametrize(("baseline", "candidate", "code"), [("good", "bad", "3"), ("bad", "good", "0")])
def test_the_gate_writes_summary_page_and_junit_and_hands_its_exit_code_on(runs, tmp_path, baseline, candidate, code):
    report = tmp_path / "report"
    returned, outputs, summary = step(
        "Gate", tmp_path, CANDIDATE=str(runs[candidate]), BASELINE=str(runs[baseline]), REPORT=str(report)
    )

    assert (returned, outputs["exit-code"]) == (0, code)
    assert {path.name for path in report.iterdir()} == {"comparison.html", "comparison.txt", "junit.xml", "summary.md"}
    assert summary == (report / "summary.md").read_text(encoding="utf-8")
    assert ("REGRESSION" in summary.upper()) == (code == "3")
    returned, _, _ = step("Verdict", tmp_path, CODE=outputs["exit-code"])
    assert returned == int(code)


@pytest.mark.slow
def test_a_fetched_baseline_is_found_in_its_artifact(runs, tmp_path):
    fetched = tmp_path / "fetched"
    fetched.mkdir()
    (fetched / runs["bad"].name).symlink_to(runs["bad"], target_is_directory=True)
    returned, outputs, _ = step(
        "Gate", tmp_path, CANDIDATE=str(runs["good"]), FETCHED=f"{fetched}/", REPORT=str(tmp_path / "report")
    )

    assert (returned, outputs.get("exit-code")) == (0, "0")


@pytest.mark.parametrize("fetched", [".", "never-fetched"])
def test_no_baseline_is_never_a_pass(runs, tmp_path, fetched):
    returned, outputs, _ = step(
        "Gate", tmp_path, CANDIDATE=str(runs["good"]), FETCHED=str(tmp_path / fetched), REPORT=str(tmp_path / "report")
    )

    assert (returned, outputs) == (5, {})


def test_a_given_candidate_is_taken_and_nothing_at_all_is_refused(runs, tmp_path):
    returned, outputs, _ = step("Evaluate the candidate", tmp_path, GIVEN=str(runs["good"]))
    assert (returned, outputs) == (0, {"folder": str(runs["good"])})
    (tmp_path / "output").unlink()
    returned, outputs, _ = step("Evaluate the candidate", tmp_path)
    assert (returned, outputs) == (2, {})


@pytest.mark.parametrize(
    ("variables", "installed"),
    [
        ({"WHAT": "/action", "GIVEN": "runs/new"}, "/action -c /action/constraints.txt"),
        ({"WHAT": "/action", "MODEL": "ckpt"}, "torch torchvision /action[run] -c /action/constraints.txt"),
        ({"WHAT": "/action", "MODEL": "ckpt", "GIVEN": "runs/new"}, "/action -c /action/constraints.txt"),
        ({"WHAT": "satori-bench[run]==0.1.0", "MODEL": "ckpt"}, "torch torchvision satori-bench[run]==0.1.0"),
    ],
)
def test_what_is_asked_for_decides_what_is_installed(tmp_path, variables, installed):
    says = tmp_path / "python"
    says.write_text('#!/bin/sh\necho "arguments=$*" >> "$GITHUB_OUTPUT"\n')
    says.chmod(0o755)

    returned, outputs, _ = step("Install", tmp_path, PYTHON=str(says), ACTION="/action", **variables)

    assert (returned, outputs["arguments"]) == (0, f"-m pip install --quiet {installed}")
