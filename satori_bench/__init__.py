"""Evaluate vision-language models that say where they looked: the command, and its face for notebooks.

    import satori_bench as sb

    run = sb.load_run("latest")                     # shows its scores as a table
    run.samples().query("score < 1 and iou > 0.5")  # right place, wrong answer
    sb.compare("base", run).table                   # changes with intervals and p

Nothing is imported before it is used. `satori_bench.face` tells what each name does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from satori_bench.face import Compared, Judged, Run, compare, gate, load_run, run, runs, score

__all__ = ["Compared", "Judged", "Run", "compare", "gate", "load_run", "main", "run", "runs", "score"]


def main() -> NoReturn:
    """Run the command `satori-bench`."""
    from satori_bench.app import main as command

    command()


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from satori_bench import face

    return getattr(face, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
