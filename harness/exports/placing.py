"""Put the files of an export where a person wants them: whole or not at all, and never over anything else.

They are written into a folder beside the target whose name nobody could know, and linked into place one by one, the
first named last, so that a file that speaks of others comes after them. A name that is taken is left as it is: when it
holds the same bytes the export was there already, else nothing is placed.
"""

from __future__ import annotations

import errno
import filecmp
import os
import secrets
import shutil
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.errors import ConfigError
from harness.files import TEMPORARY_SUFFIX
from harness.runs.journal import StoreError

_NO_LINKS = (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP)
"""What file systems without hard links answer, such as exFAT."""


@contextmanager
def placed(target: Path) -> Generator[Path]:
    """Give an empty folder to write an export into; its files come below `target` when the block ends without error.

    Args:
        target: The folder of the export; made when missing. Other files in it stay.

    Raises:
        ConfigError: A name below it is taken by something else; nothing was placed.
        StoreError: The disk refuses.
    """
    staging = target.parent / f".{target.name[:100]}.{secrets.token_hex(8)}{TEMPORARY_SUFFIX}"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        staging.mkdir()
        try:
            yield staging
            _place(staging, target)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    except StoreError:
        raise
    except OSError as error:
        raise StoreError.of("write", target, error) from error


def _place(staging: Path, target: Path) -> None:
    names = sorted((path.relative_to(staging) for path in staging.rglob("*") if path.is_file()), key=_last_read)
    taken = [name for name in names if os.path.lexists(target / name)]
    if any(not _same(staging / name, target / name) for name in taken):
        other = next(name for name in taken if not _same(staging / name, target / name))
        raise ConfigError(
            f"{target / other} is there already and holds something else; nothing was written: remove it, or name "
            "another folder with -o"
        )
    done: list[Path] = []
    try:
        for name in names:
            if name not in taken:
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                _move(staging / name, target / name)
                done.append(target / name)
    except BaseException:
        for path in done:
            with suppress(OSError):
                path.unlink()
        raise


def _move(written: Path, path: Path) -> None:
    """Give a file its name unless another has it by now."""
    try:
        os.link(written, path)
    except OSError as error:
        if error.errno not in _NO_LINKS or os.path.lexists(path):
            raise
        written.rename(path)


def _last_read(name: Path) -> tuple[bool, str]:
    """Order names so that a file that others hang on, which is what a reader looks for, comes last."""
    speaks_of_others = name.name == "README.md" or (name.suffix == ".json")
    return speaks_of_others, name.as_posix()


def _same(one: Path, other: Path) -> bool:
    return other.is_file() and not other.is_symlink() and filecmp.cmp(one, other, shallow=False)
