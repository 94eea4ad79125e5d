r"""A process of its own that lets sympy compare what our own reader does not know: sums, integrals, limits, matrices.

`harness/scoring/answers/symbolic.py` starts it as a script and talks to it in lines of JSON: `["gold", "answer"]` in,
a verdict out. Each pair is compared in a child that the kernel ends after `CPU_SECONDS` of computing and
`MEMORY_BYTES` of memory, in whatever library code it is; so nothing that a text sets off can outlive its question, and
each starts from the same state. Texts are parsed by a grammar (sympy's lark backend), never evaluated as a program.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import warnings
from typing import Any, Final

CPU_SECONDS: Final = 0.7
MEMORY_BYTES: Final = 2 << 30
DIGITS: Final = 40
AGREEING: Final = 25
"""Of the digits so many must agree."""
POINTS: Final = ("0.6180339887498948482", "2.4142135623730950488", "1.3247179572447460260")
STEP: Final = "0.5671432904097838729"
PI_FOR_SYMPY: Final = "\\upsilon"
"""Sympy's lark grammar has no \\pi (1.14): it is written as a letter that it knows, and put back afterwards."""


def main() -> None:
    """Answer questions until the other side closes the pipe."""
    warnings.simplefilter("ignore")
    # this process's purpose; it has no types
    import sympy  # noqa: PLC0415  # pyright: ignore[reportMissingTypeStubs]
    from sympy.parsing.latex import parse_latex  # noqa: PLC0415  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]

    library: Any = sympy

    parse_latex("x", backend="lark")  # which loads its grammar
    _say("ready")
    for line in sys.stdin:
        child = os.fork()
        if not child:
            _answer(line, library, parse_latex)
        _, status = os.waitpid(child, 0)
        if status:
            _say("undecided")


def _answer(line: str, sympy: Any, parse_latex: Any) -> None:
    """Compare one pair, say the verdict, and end this process."""
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)  # whose signal ends a process that does not handle it
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        gold, answer = json.loads(line)
        verdict = _verdict(gold, answer, sympy, parse_latex)
    except Exception:  # noqa: BLE001 - whatever a library raises on a model's text, it is no verdict
        verdict = "undecided"
    _say(verdict)
    os._exit(0)


def _say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def _verdict(gold: str, answer: str, sympy: Any, parse_latex: Any) -> str:
    expected = _read(gold, sympy, parse_latex)
    if expected is None:
        return "undecided"
    stated = _read(answer, sympy, parse_latex)
    if stated is None:
        return "unreadable"
    one, other = _cells(expected, sympy), _cells(stated, sympy)
    if one[0] != other[0]:
        return "different"
    verdicts = {_agree(first, second, sympy) for first, second in zip(one[1], other[1], strict=True)}
    return "different" if False in verdicts else "undecided" if None in verdicts else "equal"


def _read(text: str, sympy: Any, parse_latex: Any) -> Any | None:
    """Return the only meaning of a text; None where it has none, or several."""
    if PI_FOR_SYMPY in text:
        return None
    try:
        found = parse_latex(text.replace("\\pi", f"{PI_FOR_SYMPY} "), backend="lark")
    except Exception:  # noqa: BLE001 - the grammar's own errors, and sympy's on what cannot be built
        return None
    letters = {sympy.Symbol("upsilon"): sympy.pi, sympy.Symbol("e"): sympy.E}
    if isinstance(found, sympy.MatrixBase):
        return found.subs(letters)
    return found.subs(letters) if isinstance(found, sympy.Expr) else None


def _cells(it: Any, sympy: Any) -> tuple[tuple[int, ...], list[Any]]:
    """Return an expression as a matrix's shape and cells; of one that is none the shape is empty."""
    return (tuple(it.shape), list(it)) if isinstance(it, sympy.MatrixBase) else ((), [it])


def _agree(first: Any, second: Any, sympy: Any) -> bool | None:
    """Return whether two expressions have the same values at all points; None where they have none."""
    first, second = first.doit(), second.doit()
    letters = sorted(first.free_symbols | second.free_symbols, key=str)
    met = 0
    for start in POINTS if letters else POINTS[:1]:
        point = {
            letter: sympy.Float(start, DIGITS) + order * sympy.Float(STEP, DIGITS)
            for order, letter in enumerate(letters)
        }
        values = [sympy.N(side.subs(point), DIGITS) for side in (first, second)]
        if not all(value.is_number and value.is_finite for value in values):
            continue
        one, other = values
        if abs(one - other) > sympy.Float(10) ** -AGREEING * max(1, abs(one), abs(other)):
            return False
        met += 1
    return True if met >= min(2, len(letters) + 1) else None


if __name__ == "__main__":
    main()
