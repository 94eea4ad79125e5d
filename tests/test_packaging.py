"""The installed distribution: its names are ours alone, its parts lie side by side, lmms-eval finds the wrapper."""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from harness.installation import IMPORTED_BY_EXTRA, versions_tested

FOLDERS = ("harness", "tasks", "training", "reports")
ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
NEVER_IMPORTED = {
    "torchvision": "transformers' image processors import it",
    "evaluate": "bounded for lmms-eval, which imports it",
    "openai": "bounded for lmms-eval, which imports it",
    "sacrebleu": "bounded for lmms-eval, which imports it",
    "tenacity": "bounded for lmms-eval, which imports it",
    "math-verify": "bounded for lmms-eval, which imports it",
    "lark": "sympy's LaTeX parser imports it",
    "vllm": "TRL imports it",
    "vl-convert-python": "altair imports it to draw SVG",
}
"""Packages that we ask for and do not import, each with its reason."""
HOSTS = {"swift"}
"""Trainers that load a reward adapter of ours: whoever calls it has them, and we never ask for them."""

try:
    metadata.version("satori-bench")
except metadata.PackageNotFoundError:
    pytest.skip("satori-bench is not installed here; tox installs the wheel", allow_module_level=True)


def test_no_other_distribution_ships_our_folders():
    owners = metadata.packages_distributions()

    assert {name: set(owners.get(name, [])) for name in FOLDERS} == {name: {"satori-bench"} for name in FOLDERS}


def test_the_folders_lie_side_by_side_with_the_command():
    places = {Path(importlib.import_module(name).__file__).parents[1] for name in FOLDERS}
    places.add(Path(importlib.import_module("satori_bench").__file__).parents[1])

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


def required(*extras: str) -> dict[str, Requirement]:
    """Return what the core asks for, or what some extras ask for, by normal name."""
    texts = [text for extra in extras for text in PROJECT["optional-dependencies"][extra]] or PROJECT["dependencies"]
    found = map(Requirement, texts)
    return {normal(requirement.name): requirement for requirement in found if requirement.name != "satori-bench"}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def imported() -> set[str]:
    """Return the top-level names of other libraries that our files import, wherever in a file."""
    home = Path(importlib.import_module("harness").__file__).parents[1]
    files = [file for folder in (*FOLDERS, "satori_bench") for file in (home / folder).rglob("*.py")]
    found: set[str] = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - {*FOLDERS, "satori_bench"}


def packages_of(modules: set[str] | tuple[str, ...]) -> set[str]:
    owners = metadata.packages_distributions()
    return {normal(owners[module][0]) for module in modules}


def test_what_is_imported_is_asked_for_and_what_is_asked_for_is_imported():
    asked = {*required(), *required("run", "train", "vllm", "ray", "notebook")}

    assert asked - set(NEVER_IMPORTED) == packages_of(imported() - HOSTS)


@pytest.mark.parametrize("extra", ["run", "train", "ray"])
def test_a_missing_library_is_looked_for_in_the_extra_that_brings_it(extra):
    brought = required("run") if extra == "run" else required("run", extra)
    looked_for = packages_of(IMPORTED_BY_EXTRA[extra])

    assert looked_for == set(brought) - set(required()) - (set(NEVER_IMPORTED) - {"torchvision"})


def test_the_tested_versions_lie_within_the_bounds():
    tested = versions_tested()
    asked = [*required().values(), *required("run", "train", "ray", "dev").values()]

    assert [str(wanted) for wanted in asked if tested[normal(wanted.name)] not in wanted.specifier] == []


def test_every_bound_but_one_has_an_upper_end():
    asked = {**required(), **required("run", "train", "vllm", "ray", "dev")}
    open_ended = {name for name, wanted in asked.items() if not re.search(r"<|==", str(wanted.specifier))}

    assert open_ended == {"pyarrow"}


def shadowed(tmp_path: Path, *arguments: str, start: tuple[str, ...] = ("-P", "-m", "satori_bench")):
    """Run the command in a folder that PYTHONPATH names, too, before our own."""
    home = str(Path(importlib.import_module("harness").__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([".", home])}
    command = [sys.executable, *start, *arguments]
    return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("tasks/__init__.py", ["tasks", "list"]),
        ("tasks.py", ["tasks", "list"]),
        ("tasks/__init__.py", ["score", "rows.jsonl"]),
        ("harness/__init__.py", ["--help"]),
        ("harness.py", ["runs", "list"]),
        ("reports/__init__.py", ["compare", "a", "b"]),
        ("training/__init__.py", ["demo"]),
        ("training/__init__.py", ["train", "sft", "--config", "sft.toml"]),
        ("training/__init__.py", ["data", "verify", "shapes"]),
        ("training.py", ["loop", "--config", "loop.toml"]),
    ],
)
def test_a_folder_that_shadows_ours_is_named_with_the_mend(tmp_path, name, arguments):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()

    done = shadowed(tmp_path, *arguments)

    place = tmp_path / name.removesuffix("/__init__.py")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{place} stands before satori-bench's own folder" in done.stderr
    assert "env -u PYTHONPATH satori-bench" in done.stderr
    assert "bug" not in done.stderr


def test_a_folder_of_the_current_place_is_named_with_another_mend(tmp_path):
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "__init__.py").touch()
    home = str(Path(importlib.import_module("harness").__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": home}

    done = subprocess.run(
        [sys.executable, "-m", "satori_bench", "tasks", "list"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (done.returncode, "python -P -m satori_bench" in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("tasks/mine.yaml", ["tasks", "list"]),  # no package: Python takes ours
        ("reports/2026.csv", ["tasks", "list"]),
        ("training/__init__.py", ["tasks", "list"]),  # a verb that does not look into it
        ("models/__init__.py", ["tasks", "path"]),
    ],
)
def test_a_folder_that_is_in_nobodys_way_is_left_alone(tmp_path, name, arguments):
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).touch()

    done = shadowed(tmp_path, *arguments)

    assert (done.returncode, bool(done.stdout)) == (0, True), done.stderr


def test_the_path_of_the_tasks_is_that_of_their_files(tmp_path):
    done = shadowed(tmp_path, "tasks", "path")

    assert (Path(done.stdout.strip()) / "satori_mmstar.yaml").is_file()


def test_every_pin_takes_the_oldest_python_that_is_promised():
    oldest = PROJECT["requires-python"].removeprefix(">=")
    pins = re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    installed = {re.sub(r"[-_.]+", "-", found.name).lower(): found for found in metadata.distributions()}
    wanted = {
        name: installed[name].metadata.get("Requires-Python") or ""
        for name, version in pins
        if name in installed and installed[name].version == version
    }

    assert len(wanted) > 100, "the environment is that of the constraints"
    assert {name: said for name, said in wanted.items() if oldest not in SpecifierSet(said)} == {}


def test_a_python_that_misreads_our_patterns_is_refused():
    """A stand-in for Python 3.11.4's `re`, which finds nothing where a possessive group holds a choice."""
    misreading = "import re; match = re.fullmatch; re.fullmatch = lambda *given: None; import harness"

    done = subprocess.run([sys.executable, "-c", misreading], capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "satori-bench needs Python 3.11.5 or newer" in done.stderr.splitlines()[-1]
