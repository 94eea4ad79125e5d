"""How many threads torch computes with: no more than there are cores that nobody else uses.

One thread more than there are free cores makes small models many times slower, as all wait for the one that is not
running; a second free core is worth 1.6x. Whoever set OMP_NUM_THREADS, or gave torch fewer threads, has decided.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch

_CORES: Final = Path("/proc/stat")
_SHARE: Final = Path("/sys/fs/cgroup/cpu.max")
_BUSY_COLUMNS: Final = (0, 1, 2, 5, 6, 7)
"""Of /proc/stat (proc(5)): user, nice, system, irq, softirq, steal; not idle and waiting for disks."""
_LEAST_S: Final = 0.2
"""A shorter look says nothing: the kernel counts in hundredths of a second."""
_ROUNDING: Final = 0.15
"""Part of a core that others use without it being missed."""


@dataclass(frozen=True, slots=True)
class _Used:
    """What was used so far."""

    at_s: float
    """Time of looking."""
    all_s: float
    """Seconds that this process's cores were busy."""
    own_s: float
    """Seconds of this process among them."""


class OthersAtWork:
    """Looks at how busy this machine is with what others do, from its making to a question; no waiting."""

    def __init__(self) -> None:
        """Begin to look."""
        self._before = _used()

    def cores(self) -> float | None:
        """Return how many of this process's cores others have used since, on average; None where that is not known."""
        now = _used()
        if self._before is None or now is None or (passed_s := now.at_s - self._before.at_s) < _LEAST_S:
            return None
        others_s = (now.all_s - self._before.all_s) - (now.own_s - self._before.own_s)
        return max(0.0, others_s / passed_s)


def take_free_threads(others: OthersAtWork, environment: Mapping[str, str]) -> str:
    """Lower torch's number of threads to that of the free cores, and say what was taken and why.

    Args:
        others: Looked at the machine for a while.
        environment: The process's variables; OMP_NUM_THREADS in it is obeyed.
    """
    given = torch.get_num_threads()
    if "OMP_NUM_THREADS" in environment:
        return f"{_threads(given)}, as OMP_NUM_THREADS says"
    used = others.cores()
    if used is None:
        return f"{_threads(given)}; how busy this machine is cannot be seen"
    allowed = _allowed_cores()
    taken = max(1, min(given, int(allowed - used + _ROUNDING)))
    torch.set_num_threads(taken)
    return f"{_threads(taken)} on {allowed} cores, of which others use {used:.1f}"


def _threads(count: int) -> str:
    return f"{count} thread" if count == 1 else f"{count} threads"


def _allowed_cores() -> int:
    """Return how many cores this process may use: those it may run on, or the share that a container is given."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = _SHARE.read_text(encoding="ascii").split()
        return max(1, min(cores, int(quota) // int(period)))
    except (OSError, ValueError):  # no such file, or "max": no limit
        return cores


def _used() -> _Used | None:
    """Look at the clock, this process's cores and this process; None where the system does not tell."""
    try:
        lines = _CORES.read_text(encoding="ascii").splitlines()
        mine = {f"cpu{number}" for number in os.sched_getaffinity(0)}
        ticks = sum(
            int(fields[1 + column])
            for fields in map(str.split, lines)
            if fields and fields[0] in mine
            for column in _BUSY_COLUMNS
        )
    except (OSError, ValueError, IndexError, AttributeError):  # no Linux
        return None
    own = os.times()
    return _Used(time.monotonic(), ticks / os.sysconf("SC_CLK_TCK"), own.user + own.system)
