"""The core by itself: the built wheel in a fresh environment, with no PyTorch, lmms-eval or TRL in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "torchvision", "transformers", "lmms_eval", "trl", "peft", "accelerate", "datasets", "pandas")


@pytest.fixture(scope="module")
def core(tmp_path_factory) -> Path:
    """The scripts' folder of an environment that holds the wheel's core alone."""
    folder = tmp_path_factory.mktemp("core")
    pip("-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT, python=sys.executable)
    (wheel,) = folder.glob("satori_bench-*.whl")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    scripts = folder / "venv" / "bin"
    pip("-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", wheel, python=scripts / "python")
    return scripts


def pip(*arguments: object, python: object) -> None:
    done = subprocess.run([str(python), *map(str, arguments)], env=surroundings(), capture_output=True, text=True)  # noqa: PLW1510
    assert done.returncode == 0, done.stderr[-3000:]


def surroundings() -> dict[str, str]:
    """The environment without what would let a child see this checkout."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


@pytest.fixture
def command(core, tmp_path):
    def run(*arguments: object) -> tuple[int, str, str]:
        command = [str(core / "satori-bench"), *map(str, arguments)]
        done = subprocess.run(command, cwd=tmp_path, env=surroundings(), capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    return run


def predictions(path: Path, *, right: int) -> Path:
    """Write a predictions file of 40 rows with boxes, of which so many are answered rightly."""
    rows = [
        {
            "id": str(number),
            "task": "shapes",
            "answers": ["red"],
            "boxes": [[10, 10, 60, 60]],
            "width": 100,
            "height": 100,
            "prediction": "<caption>a thing</caption><bbox>[[10, 10, 60, 60]]</bbox>"
            f"<answer>{'red' if number < right else 'blue'}</answer>",
        }
        for number in range(40)
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def scored(command, file: Path) -> Path:
    """Score a file into a run and return the run's folder."""
    code, out, err = command("score", file, "--box-frame", "image_px", "--run", "runs", "--json")
    assert code == 0, err
    return file.parent / json.loads(out)["run"]


def test_nothing_heavy_comes_with_the_core(core):
    code = f"from importlib.util import find_spec; print([name for name in {HEAVY} if find_spec(name)])"

    found = subprocess.run(
        [core / "python", "-c", code], capture_output=True, text=True, check=True, env=surroundings()
    )

    assert found.stdout.strip() == "[]"


def test_runs_are_scored_compared_gated_and_ranked(command, tmp_path):
    base, worse, equal = (
        scored(command, predictions(tmp_path / f"{name}.jsonl", right=right))
        for name, right in (("base", 36), ("worse", 4), ("equal", 36))
    )

    compared = command("compare", base, worse, "-o", "page.html")
    assert (compared[0], (tmp_path / "page.html").stat().st_size > 50_000) == (0, True), compared
    assert command("gate", worse, "--baseline", base)[0] == 3
    assert command("gate", equal, "--baseline", base)[0] == 0
    for arguments in (
        ["rescore", worse, "--protocol", "lmms-eval"],
        ["runs", "list", "--out", "runs"],
        ["runs", "show", worse],
        ["runs", "verify", worse],
        ["noise", base, equal],
        ["leaderboard", "runs", "-o", "site", "--allow-partial"],
    ):
        code, _, err = command(*arguments)
        assert code == 0, (arguments, err)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["tasks", "list"],
        ["tasks", "show", "core"],
        ["tasks", "path"],
        ["tasks", "verify", "shapes"],
        ["data", "verify", "shapes", "--limit", "5"],
        ["data", "build", "shapes", "--limit", "5", "-o", "train.parquet"],
        ["run", "--show-config"],
    ],
)
def test_looking_things_up_needs_the_core_alone(command, arguments):
    code, out, err = command(*arguments)

    assert (code, bool(out)) == (0, True), err


def test_a_benchmark_of_ones_own_is_shown(command, tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "task: mine\ndataset_path: owner/mine\nsatori:\n  answer_rule: accepted\n"
        "  columns: {id: id, image: image, question: question, answers: answers}\n"
    )

    code, out, err = command("tasks", "show", "mine.yaml")

    assert (code, "mine" in out) == (0, True), err


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (["run", "--model", "x"], "run"),
        (["run", "--backend", "openai", "--base-url", "http://127.0.0.1:9/v1", "--model", "x"], "run"),
        (["train", "sft", "--config", "x.toml"], "train"),
        (["train", "grpo", "--config", "x.toml", "--dry-run"], "train"),
        (["loop", "--config", "x.toml"], "train"),
        (["variance-probe", "x"], "train"),
        (["demo"], "train"),
        (["doctor", "--tasks", "shapes"], "run"),
        (["tasks", "verify", "mmstar"], "run"),
    ],
)
def test_a_verb_whose_extra_is_missing_says_what_mends_it(command, arguments, extra):
    code, out, err = command(*arguments)

    assert (code, f"'satori-bench[{extra}]'" in out + err) == (2, True), out + err
    assert "bug" not in out + err


def test_the_rewards_are_there(core):
    code = "from training.stages.rewards import RewardSet; import sys; print('torch' in sys.modules)"

    found = subprocess.run(
        [core / "python", "-c", code], capture_output=True, text=True, check=True, env=surroundings()
    )

    assert found.stdout.strip() == "False"


def test_the_wheel_tells_the_versions_tested(core):
    code = "from harness.installation import *; print(len(versions_tested()), other_versions())"

    found = subprocess.run(
        [core / "python", "-c", code], capture_output=True, text=True, check=True, env=surroundings()
    )

    pins = sum("==" in line for line in (ROOT / "constraints.txt").read_text().splitlines())
    assert found.stdout.split(maxsplit=1) == [str(pins), "[]\n"]
