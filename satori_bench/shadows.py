"""Refuse to start where another folder answers to the name of one of ours. Imports nothing of ours."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

import click


def refuse_shadows(*folders: str) -> None:
    """Leave the command, saying what to do, where `shadow_fault` finds something."""
    fault = shadow_fault(*folders)
    if fault is not None:
        click.echo(f"error: {fault}", err=True)
        sys.exit(2)


def shadow_fault(*folders: str) -> str | None:
    """Say which folder answers to the name of one of ours, and what to do; None where none does.

    A folder without `__init__.py` does not: Python takes it only where no package of that name is found anywhere. The
    text is safe for a terminal: our printer may be what is shadowed, and whoever named the folder may mean to steer it.
    """
    home = Path(__file__).resolve().parents[1]
    for folder in folders:
        spec = find_spec(folder)
        origin = Path(spec.origin).resolve() if spec is not None and spec.origin else home / folder / "__init__.py"
        if origin.parent == home / folder:
            continue
        other = origin.parent if origin.name == "__init__.py" else origin
        on_path = [Path(entry).resolve() for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep)]
        mend = "start `satori-bench`, or `python -P -m satori_bench`"  # without -P the current folder comes first
        if other.parent in on_path:
            mend = f"start `env -u PYTHONPATH satori-bench ...` (PYTHONPATH names {other.parent})"
        told = (
            f"{other} stands before satori-bench's own folder {home / folder}: `import {folder}` finds the "
            f"wrong one. Mend: {mend}, or give {other.name} another name"
        )
        return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in told)
    return None
