"""Doctor and the verbs that need a model try the same imports, and say the same before any weights are read."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import harness
from tasks.doctor import RUN_PARTS

pytestmark = pytest.mark.slow

CODE_ROOT = Path(harness.__file__).parents[1]

# What filelock 4.3 did to lmms-eval 0.7.3: a module is gone that the evaluator imports when it begins to evaluate.
OTHER_FILELOCK = "import filelock, sys; sys.modules['filelock._api'] = None; "
WITHOUT_A_LATE_IMPORT = "import sys; sys.modules['lmms_eval.models.model_utils.gen_metrics'] = None; "
WITHOUT_AN_EARLY_IMPORT = "import sys; sys.modules['sacrebleu'] = None; "
WITHOUT_TRL_PARTS = "import sys; sys.modules['trl.trainer.grpo_trainer'] = None; "


def satori_bench(folder: Path, *arguments: object, before: str = "") -> tuple[int, str, str]:
    """Run the command in a process whose libraries were spoiled before."""
    code = before + "import satori_bench; satori_bench.main()"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(CODE_ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def doctor(folder: Path, before: str) -> tuple[int, dict[str, dict[str, str]]]:
    code, out, err = satori_bench(folder, "doctor", "--tasks", "shapes", "--json", before=before)
    assert out.startswith("{"), err
    return code, {check["name"]: check for check in json.loads(out)["checks"]}


@pytest.mark.parametrize(
    ("before", "lacking"),
    [
        (OTHER_FILELOCK, "filelock._api"),
        (WITHOUT_A_LATE_IMPORT, "gen_metrics"),
        (WITHOUT_AN_EARLY_IMPORT, "sacrebleu"),
    ],
)
def test_doctor_fails_where_a_run_would(tmp_path, before, lacking):
    code, checks = doctor(tmp_path, before)

    assert (code, checks["run"]["state"]) == (2, "fail")
    assert lacking in checks["run"]["found"]
    assert "pip install" in checks["run"]["mend"] or "fresh environment" in checks["run"]["mend"]


def test_doctor_passes_where_a_run_would_and_names_what_else_cannot_work(tmp_path):
    code, checks = doctor(tmp_path, "import sys; sys.modules['decord'] = None; ")

    assert (code, checks["run"]["state"], checks["train"]["state"]) == (0, "ok", "ok")
    assert "qwen2_5_vl" in checks["lmms-eval's own chat wrappers"]["found"]
    assert "(lacks decord)" in checks["lmms-eval's own chat wrappers"]["found"]
    assert checks["lmms-eval with math_verify"]["state"] in {"ok", "warn"}


def test_doctor_warns_where_only_training_would_fail(tmp_path):
    code, checks = doctor(tmp_path, WITHOUT_TRL_PARTS)

    assert (code, checks["run"]["state"], checks["train"]["state"]) == (0, "ok", "warn")
    assert "trl.trainer.grpo_trainer" in checks["train"]["found"]


@pytest.mark.parametrize("before", [WITHOUT_A_LATE_IMPORT, WITHOUT_AN_EARLY_IMPORT])
def test_a_run_that_cannot_work_ends_before_weights_and_leaves_nothing(tmp_path, tiny_qwen2_5_vl, before):
    code, _, err = satori_bench(tmp_path, "run", "--model", tiny_qwen2_5_vl, "--tasks", "shapes", before=before)

    assert (code, "`satori-bench run` cannot work here" in err) == (2, True), err
    assert "bug" not in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("before", [WITHOUT_A_LATE_IMPORT, WITHOUT_TRL_PARTS])
def test_a_demo_that_cannot_work_ends_at_once(tmp_path, before):
    code, _, err = satori_bench(tmp_path, "demo", before=before)

    assert (code, "cannot work here" in err, "bug" in err) == (2, True, False), err
    assert list(tmp_path.iterdir()) == []


def test_what_lmms_eval_imports_late_is_tried():
    """Its `ssl` is Python's; what `_enable_reentrant_filelocks` imports is tried by calling it."""
    spec = importlib.util.find_spec("lmms_eval")
    tree = ast.parse((Path(spec.submodule_search_locations[0]) / "evaluator.py").read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    late = {
        f"lmms_eval.evaluator:{function.name}" if function.name.startswith("_enable") else name
        for function in functions
        for node in ast.walk(function)
        for name in modules_of(node)
    }

    assert late - set(sys.stdlib_module_names) <= set(RUN_PARTS)


def modules_of(node: ast.AST) -> list[str]:
    """Return the modules that a statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
