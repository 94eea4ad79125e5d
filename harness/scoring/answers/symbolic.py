r"""Ask sympy, in a process of its own, whether two LaTeX expressions are equal.

Part of the rule `maths` (`harness/scoring/answers/maths.py`), for the few texts that our own reader does not know:
`\sum`, `\int`, `\lim`, matrices, binomials of letters. `symbolic_worker.py` is started once, ends each question after a
second of computing, and is started anew when it says nothing. What is asked is bounded before: sympy computes some
powers and factorials while it parses.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import selectors
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Final, Literal, TypeAlias

from harness.errors import UserError

Verdict: TypeAlias = Literal["equal", "different", "unreadable", "undecided"]
"""`unreadable`: sympy does not know the answer, or reads it in several ways. `undecided`: it does not know the gold, or
found nothing out in time."""

MAX_CHARACTERS: Final = 200
SECONDS: Final = 1.6
"""For one answer, after which the process is ended. It ends its own questions earlier, by computing time."""
MOST_REMEMBERED: Final = 4_096
START_SECONDS: Final = 60.0
"""For loading sympy, which waits for a busy disk."""

_TOO_LARGE: Final = re.compile(
    # "1000000"; "99999!"; a factorial of a group, or of a factorial; 2^{1008}; 9^9^9^9, and a power in an exponent.
    r"\d{7}|\d{4}\.?\d* ?!|\} ?!|\) ?! ?!|\^ ?\{? ?-?\d{4}|\^[^^]{0,40}\^[^^]{0,40}\^|\^ ?\{[^{}]*\d[^{}]*\^"
    # Sums, products, integrals and limits inside of each other; many binomials.
    r"|(?:\\(?:sum|prod|int|lim).*){3}|(?:\\binom.*){4}"
)
"""What sympy would compute on while it reads: long numbers, factorials of them, towers of powers."""
_CALLED: Final = re.compile(r"(?<![A-Za-z\\])([A-Za-z]) ?(?=\()")
"""A letter before a bracket, which sympy would take for a function's name: n(n+1) is a product."""
_KNOWN: Final = re.compile(r"[\x20-\x7e]*\Z")


def compare(gold: str, answer: str) -> Verdict:
    """Return what sympy finds; the gold and the answer are LaTeX without dress.

    Raises:
        UserError: Sympy or lark cannot be loaded here.
    """
    if _is_too_large(gold):
        return "undecided"
    if _is_too_large(answer):
        return "unreadable"
    return _process().ask(*(_CALLED.sub(r"\1 \\cdot ", text) for text in (gold, answer)))


def _is_too_large(text: str) -> bool:
    return len(text) > MAX_CHARACTERS or _TOO_LARGE.search(text) is not None or not _KNOWN.match(text)


class _Process:
    """The worker, as this process knows it."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self._lock = threading.Lock()
        self._running: subprocess.Popen[bytes] | None = None
        self._ready = False
        self._known: dict[tuple[str, str], Verdict] = {}

    def ask(self, gold: str, answer: str) -> Verdict:
        """Return the worker's verdict, remembered; `undecided`, which is not, where it gives none in time."""
        verdict = self._known.get((gold, answer)) or self._asked(gold, answer)
        if verdict != "undecided":
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            self._known[gold, answer] = verdict
        return verdict

    def _asked(self, gold: str, answer: str) -> Verdict:
        with self._lock:
            worker = self._started()
            assert worker.stdin is not None, "opened as a pipe"
            try:
                worker.stdin.write(f"{json.dumps([gold, answer])}\n".encode())
                worker.stdin.flush()
                said = self._line(worker, SECONDS)
            except OSError:
                said = ""
            if said in {"equal", "different", "unreadable", "undecided"}:
                return said  # pyright: ignore[reportReturnType] - one of the four
            self._end()
            self._launch()  # it loads sympy while others are scored
            return "undecided"

    def _started(self) -> subprocess.Popen[bytes]:
        worker = self._running
        if worker is None or worker.poll() is not None:
            self._end()
            worker = self._launch()
        if not self._ready:
            if self._line(worker, START_SECONDS) != "ready":
                self._end()
                raise UserError(
                    "sympy and lark, which compare mathematical answers, cannot be loaded: pip install sympy lark"
                )
            self._ready = True
        return worker

    def _launch(self) -> subprocess.Popen[bytes]:
        script = Path(__file__).with_name("symbolic_worker.py")
        self._ready = False
        self._running = subprocess.Popen(  # noqa: S603 - a script of ours, without any text of a model
            [sys.executable, "-P", str(script)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0, start_new_session=True,
        )  # fmt: skip
        return self._running

    def _line(self, worker: subprocess.Popen[bytes], seconds: float) -> str:
        """Return the next line that the worker says; empty where it says none in time."""
        assert worker.stdout is not None, "opened as a pipe"
        ends = time.monotonic() + seconds
        said = b""
        with selectors.DefaultSelector() as selector:
            selector.register(worker.stdout, selectors.EVENT_READ)
            while not said.endswith(b"\n") and (left := ends - time.monotonic()) > 0:
                if selector.select(left):
                    piece = os.read(worker.stdout.fileno(), 64)
                    if not piece:
                        return ""
                    said += piece
        return said.decode().strip() if said.endswith(b"\n") else ""

    def _end(self) -> None:
        worker, self._running = self._running, None
        if worker is None:
            return
        with_children = worker.pid if worker.poll() is None else None
        if with_children is not None:
            os.killpg(with_children, 9)
        worker.wait()
        for pipe in (worker.stdin, worker.stdout):
            if pipe is not None:
                pipe.close()

    def close(self) -> None:
        """End the worker, if it is this process's own."""
        if self.owner == os.getpid():
            self._end()


_STARTED: list[_Process] = []


def _process() -> _Process:
    """Return this process's worker; a forked child has one of its own, as two cannot share a pipe."""
    if not _STARTED or _STARTED[0].owner != os.getpid():
        _STARTED[:] = [_Process()]
        atexit.register(_STARTED[0].close)
    return _STARTED[0]
