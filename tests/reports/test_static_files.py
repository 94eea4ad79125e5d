"""What holds of our own static files: no way to run text as code, types that check, colours that can be read."""

from __future__ import annotations

import re
import shutil
import subprocess
from importlib import resources
from itertools import product
from pathlib import Path

import pytest

STATIC = Path(str(resources.files("reports").joinpath("static")))
SCRIPTS = sorted(STATIC.glob("*.js"))
SINKS = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|srcdoc|\beval\b|new Function|"
    r"setTimeout\(\s*[\"'`]|DOMParser|setHTML|\.on\w+ = |[\"']on\w+[\"']:"
)
TEXT_ON_GROUND = [
    *product(["ink", "muted", "link", "good", "bad"], ["bg", "panel"]),
    ("good", "good-wash"),
    ("bad", "bad-wash"),
    ("ink", "warn-wash"),
    ("muted", "warn-wash"),
    *product(["ink"], ["stage-caption", "stage-bbox", "stage-thinking", "stage-answer"]),
]
MARKS = ["run-a", "run-b", "run-c", "run-d", "run-e", "gold", "rule"]


def test_there_are_scripts_to_check():
    assert {"explorer.js", "leaderboard.js"} <= {script.name for script in SCRIPTS}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_no_script_has_a_way_to_run_text_as_code(script):
    allowed = "script.onerror = "  # a handler that is a function of ours
    text = script.read_text(encoding="utf-8").replace(allowed, "")

    assert SINKS.findall(text) == []


@pytest.mark.parametrize(
    "sample", ["x.innerHTML = y", "eval(x)", "a.onclick = f", 'make("a", {"onclick": x})', "new Function(x)"]
)
def test_the_check_for_sinks_finds_them(sample):
    assert SINKS.search(sample)


@pytest.mark.slow
def test_the_scripts_types_check(tmp_path):
    tsc = shutil.which("tsc")
    if tsc is None:
        pytest.skip("no tsc on PATH: npm install -g typescript")
    done = subprocess.run([tsc, "-p", str(STATIC / "jsconfig.json")], capture_output=True, text=True, check=False)

    assert done.stdout + done.stderr == ""


def colours() -> dict[str, tuple[str, str]]:
    text = (STATIC / "page.css").read_text(encoding="utf-8")
    return {
        name: (light, dark) for name, light, dark in re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", text)
    }


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("text", "ground"), TEXT_ON_GROUND)
def test_text_has_a_contrast_of_at_least_4_5(text, ground, scheme):
    known = colours()

    assert contrast(known[text][scheme], known[ground][scheme]) >= 4.5


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("mark", MARKS)
def test_marks_of_charts_have_a_contrast_of_at_least_3(mark, scheme):
    known = colours()

    assert contrast(known[mark][scheme], known["bg"][scheme]) >= 3
