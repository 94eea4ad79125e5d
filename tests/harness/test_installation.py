"""What is installed is told truly: missing libraries, imports that fail, versions other than the tested ones."""

from __future__ import annotations

import contextlib
import gc
import re
import sys
from pathlib import Path

import pytest

from harness import installation
from harness.errors import ExitCode
from harness.installation import (
    BrokenImport,
    InstallationError,
    broken_imports,
    explain_import,
    missing_modules,
    other_versions,
    require_extra,
    require_imports,
    versions_tested,
    without_collecting,
)

CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """Modules that cannot be imported, each in a way of its own."""
    monkeypatch.syspath_prepend(tmp_path)
    texts = {
        "needs_a_name": "from json import no_such_name",
        "needs_a_part": "import json.no_such_part",
        "needs_a_library": "raise OSError('libcudart.so.13: cannot open shared object file')",
        "says_two_lines": "raise RuntimeError('first\\nsecond')",
        "puts_it_off": "def later():\n    import no_such_library.part\n\ndef at_once():\n    pass",
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.py").write_text(text)
    yield
    for name in texts:
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("part", "reason", "missing"),
    [
        ("no_such_library", "ModuleNotFoundError: No module named 'no_such_library'", "no_such_library"),
        ("needs_a_part", "No module named 'json.no_such_part'", "json"),
        ("needs_a_name", "ImportError: cannot import name 'no_such_name' from 'json'", None),
        ("needs_a_library", "OSError: libcudart.so.13: cannot open shared object file", None),
        ("says_two_lines", "RuntimeError: first", None),
        ("puts_it_off:later", "ModuleNotFoundError: No module named 'no_such_library'", "no_such_library"),
        ("puts_it_off:never", "AttributeError: module 'puts_it_off' has no attribute 'never'", None),
    ],
)
def test_a_part_that_cannot_be_imported_is_named_with_its_reason(modules, part, reason, missing):
    (found,) = broken_imports(["json", part])

    assert (part, missing) == (found.module, found.missing)
    assert reason in found.reason
    assert "\n" not in found.reason


def test_parts_that_work_leave_nothing_to_say(modules):
    assert broken_imports(["json", "puts_it_off", "puts_it_off:at_once"]) == []


def test_what_cannot_be_imported_ends_a_verb_with_the_mend(modules, monkeypatch):
    monkeypatch.setattr(installation, "versions_tested", lambda: {"numpy": "0.1"})

    with pytest.raises(InstallationError, match=r"`satori-bench run` .*needs_a_library.*'numpy==0\.1'") as found:
        require_imports(["needs_a_library"], "run")

    assert found.value.exit_code == ExitCode.USAGE


@pytest.mark.parametrize(("extra", "verb"), [("run", "run"), ("train", "loop")])
def test_a_missing_library_is_named_with_the_extra_that_brings_it(monkeypatch, extra, verb):
    monkeypatch.setitem(sys.modules, "lmms_eval", None)  # as if it were not there

    assert "lmms_eval" in missing_modules(extra)
    with pytest.raises(InstallationError, match=rf"`satori-bench {verb}` needs .*lmms_eval.*'satori-bench\[{extra}\]'"):
        require_extra(extra, verb)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (
            ModuleNotFoundError("No module named 'trl'", name="trl"),
            "pip install torch torchvision 'satori-bench[train]'",
        ),
        (ModuleNotFoundError("No module named 'lmms_eval.x'", name="lmms_eval.x"), "'satori-bench[run]'"),
        (ModuleNotFoundError("No module named 'numpy.gone'", name="numpy.gone"), "numpy.gone'. Mend: pip install"),
        (ImportError("cannot import name 'x' from 'numpy'", name="numpy"), "from 'numpy'. Mend: pip install"),
        (ModuleNotFoundError("No module named 'harness.gone'", name="harness.gone"), ""),
        (ModuleNotFoundError("No module named 'tasks.gone'", name="tasks.gone"), ""),
        (ImportError("cannot import name 'x' from 'training.loop.loop'", name="training.loop.loop"), ""),
        (ImportError("something that a library says by itself"), ""),
    ],
)
def test_only_an_import_of_a_library_is_explained_by_the_installation(monkeypatch, fault, said):
    monkeypatch.setitem(sys.modules, "trl", None)
    monkeypatch.setitem(sys.modules, "lmms_eval", None)
    monkeypatch.setattr(installation, "versions_tested", lambda: {"numpy": "0.1"})

    found = explain_import(fault)

    assert said in found
    assert bool(said) == bool(found)


def test_other_versions_are_those_that_differ_from_the_tested_ones(monkeypatch):
    import numpy as np

    tested = {"numpy": np.__version__, "msgspec": "0.0.1", "not-installed-anywhere": "1"}
    monkeypatch.setattr(installation, "versions_tested", lambda: tested)

    assert [(other.package, other.tested) for other in other_versions()] == [("msgspec", "0.0.1")]


def test_the_versions_tested_tell_pytorch_but_do_not_pin_it():
    told = versions_tested()
    pinned = [line for line in CONSTRAINTS.read_text().splitlines() if not line.startswith("#")]

    assert {"torch", "torchvision", "numpy", "lmms-eval", "trl", "pytest"} <= set(told)
    assert len(told) == len(pinned) + 2
    assert not [line for line in pinned if re.match(r"torch|triton|nvidia|cuda|satori-bench", line)]
    assert [line for line in pinned if not re.fullmatch(r"[a-z0-9-]+==[\w.]+", line)] == [], "no place, no address"


def test_a_broken_import_says_what_and_why():
    parts = [BrokenImport("a", "X: y"), BrokenImport("b", "Z: w"), BrokenImport("c", "X: y")]

    assert installation.broken_text(parts) == "a, c cannot be imported (X: y); b cannot be imported (Z: w)"


@pytest.mark.parametrize("was_on", [True, False])
@pytest.mark.parametrize("raises", [True, False])
def test_dead_objects_are_not_looked_for_within_and_again_after(was_on, raises):
    before = gc.isenabled()
    try:
        gc.enable() if was_on else gc.disable()
        with contextlib.suppress(ValueError), without_collecting():
            within = gc.isenabled()
            if raises:
                raise ValueError("broken")
        after = gc.isenabled()
    finally:
        gc.enable() if before else gc.disable()

    assert (within, after) == (False, was_on)
