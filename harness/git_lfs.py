"""What a clone without Git LFS leaves in a large file's place: a few lines that only say where it is."""

from __future__ import annotations

from pathlib import Path
from typing import Final

POINTER_START: Final = b"version https://git-lfs"
"""First bytes of a pointer (https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md)."""
POINTER_MEND: Final = "the pointer of Git LFS: run `git lfs pull`"
"""What it is and what to do, for messages."""


def is_lfs_pointer(path: Path) -> bool:
    """Whether a file is a pointer; raises OSError where it cannot be read."""
    with path.open("rb") as stream:
        return stream.read(len(POINTER_START)) == POINTER_START
