"""Have a published run's page written by another process, and outlive its death.

A page needs more memory than a score, and libraries that may end their process: that must cost a page, never a run or
the exit code that says how the run went.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

_PROGRAM = Path(__file__).with_name("process.py")


def page_fault(run_folder: Path) -> str:
    """Write or renew a finished run's page, its checksum included; return what barred it, empty where nothing did."""
    try:
        done = subprocess.run(  # noqa: S603 - our own program, by its full name
            [sys.executable, "-P", str(_PROGRAM), str(run_folder.absolute())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
        )
    except (OSError, MemoryError) as fault:
        return f"no process to write it: {fault}"
    if done.returncode < 0:
        return f"the process that wrote it was ended by {_signal_name(-done.returncode)}"
    lines = done.stderr.decode("utf-8", "replace").strip().split("\n")
    return (lines[-1] or f"the process that wrote it left with {done.returncode}") if done.returncode else ""


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal has a number only
        return f"signal {number}"
