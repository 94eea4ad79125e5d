"""The installed distribution: its names are ours alone, its parts lie side by side, lmms-eval finds the wrapper."""

from __future__ import annotations

import importlib
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

FOLDERS = ("harness", "tasks", "training", "reports")

try:
    metadata.version("satori-bench")
except metadata.PackageNotFoundError:
    pytest.skip("satori-bench is not installed here; tox installs the wheel", allow_module_level=True)


def test_no_other_distribution_ships_our_folders():
    owners = metadata.packages_distributions()

    assert {name: set(owners.get(name, [])) for name in FOLDERS} == {name: {"satori-bench"} for name in FOLDERS}


def test_the_folders_lie_side_by_side_with_the_command():
    places = {Path(importlib.import_module(name).__file__).parents[1] for name in FOLDERS}
    places.add(Path(importlib.import_module("satori_bench").__file__).parent)

    assert len(places) == 1


def test_the_wheel_carries_the_task_files():
    import tasks

    names = {path.name for path in Path(tasks.__file__).parent.iterdir()}

    assert {"_satori_template", "satori_mmstar.yaml", "satori_shapes.yaml", "satori_core.yaml"} <= names


def test_the_wheel_carries_what_pages_are_made_of():
    import reports

    folder = Path(reports.__file__).parent
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}

    assert {"static/page.css", "static/explorer.js", "templates/comparison.html.j2", "published.json"} <= names


@pytest.mark.slow
def test_plain_lmms_eval_finds_the_model_wrappers():
    names = "'satori_hf', 'satori_openai'"
    code = f"from lmms_eval.models import get_model; print(*(get_model(name).__name__ for name in ({names})))"

    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=300, check=False)

    assert done.stdout.split()[-2:] == ["SatoriHF", "SatoriServed"], done.stderr[-2000:]
