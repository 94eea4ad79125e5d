"""Every file under `examples/` passes as it is: planned, verified or gated, on a machine without a GPU or the model."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
STAGES = sorted(EXAMPLES.glob("sft_*.toml")) + sorted(EXAMPLES.glob("grpo_*.toml"))
LOOPS = sorted(EXAMPLES.glob("loop_*.toml"))
GIB_OF_80_GB = 79


def files_under(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))}


@pytest.fixture
def examples(tmp_path, monkeypatch) -> Path:
    """A copy, with an empty hub cache and no GPU."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "no-cache"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    return Path(shutil.copytree(EXAMPLES, tmp_path / "examples"))


def test_there_is_an_example_of_each_kind():
    names = {path.relative_to(EXAMPLES).as_posix() for path in EXAMPLES.rglob("*") if path.is_file()}

    assert names == {
        "sft_3b_full.toml",
        "sft_3b_lora.toml",
        "grpo_3b_full.toml",
        "grpo_3b_lora.toml",
        "loop_3b_lora.toml",
        "gate.toml",
        "easy_vqa/make_table.py",
        "easy_vqa/task.yaml",
        "own_task/task.yaml",
        "own_task/rows.tsv",
        "tour.ipynb",
    }


@pytest.mark.slow
@pytest.mark.parametrize("file", STAGES, ids=lambda path: path.stem)
def test_a_stage_is_planned_fits_one_80_gb_gpu_and_writes_nothing(command, examples, tmp_path, file):
    before = files_under(tmp_path)

    code, out, _ = command(
        "train",
        file.stem.split("_")[0],
        "--config",
        examples / file.name,
        "--dry-run",
        "--gpu-gib",
        GIB_OF_80_GB,
        "--json",
    )

    plan = json.loads(out)
    assert code == 0
    assert plan["fits"] is True
    assert any(
        "3,754,622,976 parameters (sizes as published; the model is not here)" in line for line in plan["memory"]
    )
    assert any("needs a GPU" in note for note in plan["notes"])
    assert files_under(tmp_path) == before


@pytest.mark.slow
@pytest.mark.parametrize("file", LOOPS, ids=lambda path: path.stem)
def test_a_loop_is_planned_fits_and_writes_nothing(command, examples, tmp_path, file):
    before = files_under(tmp_path)

    code, out, _ = command("loop", "--config", examples / file.name, "--dry-run", "--gpu-gib", GIB_OF_80_GB, "--json")

    plan = json.loads(out)
    assert code == 0
    assert plan["fits"] is True
    assert [step["name"].split("]")[0] for step in plan["steps"]] == [f"[{n}/11" for n in range(1, 12)]
    assert files_under(tmp_path) == before


@pytest.mark.slow
@pytest.mark.parametrize("file", [*STAGES, *LOOPS], ids=lambda path: path.stem)
def test_without_its_gpu_an_example_is_refused_and_leaves_nothing(command, examples, tmp_path, file):
    before = files_under(tmp_path)
    verb = ["loop"] if file in LOOPS else ["train", file.stem.split("_")[0]]

    code, out, err = command(*verb, "--config", examples / file.name)

    assert (code, out) == (2, "")
    assert "profile single-gpu needs a GPU" in err
    assert "--dry-run" in err
    assert files_under(tmp_path) == before


def test_the_own_task_verifies_as_it_is(command, examples):
    code, out, _ = command("tasks", "verify", examples / "own_task" / "task.yaml")

    assert code == 0
    assert "drawn_colours: ok, 4 rows" in out


def test_the_gates_policy_is_read_as_it_is():
    from harness.gate.policy import read_policy

    policy = read_policy(EXAMPLES / "gate.toml")

    assert (policy.tolerance, policy.on_inconclusive) == (1.0, "pass")


def test_every_commented_command_names_a_file_that_is_there():
    named = {
        word
        for file in EXAMPLES.rglob("*")
        if file.suffix in {".toml", ".yaml"}
        for line in file.read_text(encoding="utf-8").splitlines()
        if line.startswith("#")
        for word in line.split()
        if word.startswith("examples/")
    }

    assert named
    assert [name for name in sorted(named) if not (EXAMPLES.parent / name).exists()] == []


def test_examples_go_with_the_source_distribution():
    project = (EXAMPLES.parent / "pyproject.toml").read_text(encoding="utf-8")
    sdist = project.split("[tool.hatch.build.targets.sdist]")[1].split("[", 2)[1]

    assert '"examples"' in sdist


def small_package(root: Path) -> Path:
    """Lay six questions about three drawn pictures out as the package easy-vqa has them."""
    from PIL import Image

    images = root / "test" / "images"
    images.mkdir(parents=True)
    for place, colour in enumerate(("red", "teal", "gray")):
        Image.new("RGB", (64, 64), colour).save(images / f"{place}.png")
    questions = [
        ["what is the red shape?", "circle", 0],
        ["is there a blue shape in the image?", "no", 0],
        ["what color is the triangle?", "teal", 1],
        ["is a teal shape present?", "yes", 1],
        ["what is the color of the rectangle?", "gray", 2],
        ["is there not a red shape?", "yes", 2],
    ]
    (root / "test" / "questions.json").write_text(json.dumps(questions), encoding="utf-8")
    return root


def make_easy_vqa(examples: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    script = examples / "easy_vqa" / "make_table.py"
    return subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True, check=False)


def test_the_table_of_easy_vqa_is_made_and_verified(command, examples, tmp_path):
    data = small_package(tmp_path / "data")

    made = make_easy_vqa(examples, "--data", str(data))
    code, out, _ = command("tasks", "verify", examples / "easy_vqa" / "task.yaml")

    assert (made.returncode, code) == (0, 0)
    assert "easy_vqa: ok, 6 rows" in out


def test_whoever_lacks_easy_vqa_is_told_how_to_get_it(examples):
    if find_spec("easy_vqa"):
        pytest.skip("easy-vqa is installed here")

    made = make_easy_vqa(examples)

    assert made.returncode == 1
    assert "pip install easy-vqa==1.0" in made.stderr


def test_the_package_has_all_its_test_questions(command, examples):
    pytest.importorskip("easy_vqa", reason="easy-vqa is none of ours: pip install easy-vqa==1.0 runs this")

    made = make_easy_vqa(examples)
    code, out, _ = command("tasks", "verify", examples / "easy_vqa" / "task.yaml")

    assert (made.returncode, code) == (0, 0)
    assert "easy_vqa: ok, 9673 rows" in out
