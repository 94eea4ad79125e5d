"""Make constraints.txt anew: the newest versions that the bounds in pyproject.toml allow, transitive ones too.

`tox -e lock` runs it. What it writes counts as tested once `tox` has passed with it.
"""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
OURS = "satori-bench"
TOLD = ("torch", "torchvision")
"""Which build of PyTorch fits is for the machine to say: its versions are told and not pinned."""
LEFT_OUT = re.compile(r"torch|torchvision|triton|nvidia-.*|cuda-.*")
"""PyTorch, and the parts that come and go with its build."""


def resolve() -> dict[str, str]:
    """Return name and version of every package that pip would install for the tests; nothing is installed."""
    wanted = ["torch", "torchvision", f"{ROOT}[dev]"]
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet", "--report", "-"]
    done = subprocess.run([*command, *wanted], stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603 - a fixed command
    packages = [entry["metadata"] for entry in json.loads(done.stdout)["install"]]
    # the standard's normal form of a name, so that a file made again differs only where a version does
    return {re.sub(r"[-_.]+", "-", package["name"]).lower(): package["version"] for package in packages}


def written(versions: dict[str, str]) -> str:
    """Return the file's text."""
    python = platform.python_version()
    lines = [
        f"# Every version of an environment in which the whole test suite passed (Linux, Python {python}).",
        "# Made by `tox -e lock`; install with `pip install -c constraints.txt ...`.",
        "# PyTorch is left to the machine. The suite passed with:",
        *(f"#   {name}=={versions[name]}" for name in TOLD),
    ]
    pinned = sorted(name for name in versions if name != OURS and not LEFT_OUT.fullmatch(name))
    return "\n".join([*lines, *(f"{name}=={versions[name]}" for name in pinned)]) + "\n"


if __name__ == "__main__":
    (ROOT / "constraints.txt").write_text(written(resolve()), encoding="utf-8")
