"""Evaluate vision-language models that say where they looked: the command, and its face for notebooks."""

from __future__ import annotations

from typing import NoReturn


def main() -> NoReturn:
    """Run the command `satori-bench`."""
    from satori_bench.app import main as command

    command()
