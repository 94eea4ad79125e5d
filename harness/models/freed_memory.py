"""Have the C library keep the memory that tensors give back, for the tensors of the next step.

glibc gives large blocks back as they become free, and the end of its heap as soon as that is twice as large as the
largest of them; the kernel then clears each page anew. 3 to 6 % of the CPU time of a small model on a CPU. What is kept
is at most what was in use at once.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Final

_LARGEST_BYTES: Final = 2**25
"""Blocks up to this size are kept: glibc's own bound on a 64-bit system (malloc.c, HEAP_MAX_SIZE / 2)."""
_KEPT_BYTES: Final = 2**30
"""Free memory at the end of the heap that is kept."""
_SETTINGS: Final = ((-3, _LARGEST_BYTES), (-1, _KEPT_BYTES))
"""M_MMAP_THRESHOLD and M_TRIM_THRESHOLD (mallopt(3))."""
_DECIDED_BY: Final = ("GLIBC_TUNABLES", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "LD_PRELOAD")
"""Variables of whoever has decided how memory is handed out."""


def keep_freed_memory(environment: Mapping[str, str]) -> bool:
    """Set it for this process; return whether that was done: not where another library hands memory out.

    Args:
        environment: The process's variables; those that set the same are obeyed.
    """
    if any(name in environment for name in _DECIDED_BY):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # no glibc
        return False
    return all(mallopt(parameter, value) == 1 for parameter, value in _SETTINGS)
