"""Published run folders at an address of fsspec, such as `s3://bucket/shards`, for machines that share no folder.

A run is there once its `SHA256SUMS` is, which comes last; only files that it names are taken from there.
"""

# fsspec has no stubs; what is used of it is annotated there.
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import errno
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, Final, cast

from harness.errors import ConfigError, IncompleteError, UserError
from harness.files import SUMS_NAME, DamagedRunError, read_sums
from harness.runs.journal import StoreError
from harness.web_address import shown_url

_OF_A_DISK: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})
"""Refusals that only a disk gives: what is mended at an address is another thing."""


class RunsAtAddress:
    """Runs below one address, each known by a relative name such as `of-8/3/20261124T005747Z-tiny-9caff88f`."""

    def __init__(self, address: str) -> None:
        """Take an address.

        Raises:
            ConfigError: It is of no known kind, or what reads that kind is not installed.
        """
        import fsspec  # noqa: PLC0415 - of the extra `ray`

        self._shown = shown_url(address)
        try:
            found = cast("tuple[Any, str]", fsspec.url_to_fs(address))  # pyright: ignore[reportUnknownMemberType]
        except (ImportError, ValueError) as fault:  # "Install s3fs to access S3", "Protocol not known: s4"
            raise ConfigError(f"{self._shown} cannot be reached: {fault}") from fault
        self._files, self._root = found

    def write(self, name: str, content: bytes) -> None:
        """Put a small file there.

        Raises:
            UserError: It is refused.
        """
        with self._asked("write to"):
            self._make_folder(name)
            self._files.pipe_file(self._at(name), content)

    def read(self, name: str) -> bytes | None:
        """Return the content of a small file; None where there is none.

        Raises:
            UserError: It cannot be read.
        """
        with self._asked("read"):
            try:
                return bytes(self._files.cat_file(self._at(name)))
            except FileNotFoundError:
                return None

    def runs(self) -> list[str]:
        """Return the names of the runs that are there whole.

        Raises:
            UserError: Nothing can be read there.
        """
        with self._asked("read"):
            self._files.invalidate_cache()
            found: list[str] = self._files.find(self._root)
        below = [PurePosixPath(path.removeprefix(self._root).lstrip("/")) for path in sorted(found)]
        return [str(path.parent) for path in below if path.name == SUMS_NAME]

    def put(self, folder: Path, name: str) -> None:
        """Copy a published run there.

        Raises:
            DamagedRunError: The run is not what was published.
            UserError: It is refused.
        """
        with self._asked("write to"):
            for file in (*_published_names(folder), SUMS_NAME):
                self._make_folder(f"{name}/{file}")
                self._files.put_file(str(folder / file), self._at(f"{name}/{file}"))

    def get(self, name: str, folder: Path) -> None:
        """Copy a run from there; readers check its content by its sums.

        Raises:
            DamagedRunError: Its sums cannot be used, or name a file outside of it.
            UserError: It cannot be read, or the disk here refuses.
        """
        shutil.rmtree(folder, ignore_errors=True)
        with self._asked("read"):
            folder.mkdir(parents=True)
            self._files.get_file(self._at(f"{name}/{SUMS_NAME}"), str(folder / SUMS_NAME))
            for file in _published_names(folder):
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                self._files.get_file(self._at(f"{name}/{file}"), str(folder / file))

    def remove(self) -> None:
        """Remove what is there.

        Raises:
            UserError: It is refused.
        """
        with self._asked("remove what is at"):
            if self._files.exists(self._root):
                self._files.rm(self._root, recursive=True)

    def _at(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    def _make_folder(self, name: str) -> None:
        self._files.makedirs(self._at(name).rpartition("/")[0], exist_ok=True)

    @contextmanager
    def _asked(self, what: str) -> Generator[None]:
        """Turn what the address refuses into an error of ours that says what and where."""
        try:
            yield
        except UserError:
            raise
        except Exception as fault:  # each kind of store has errors of its own
            if isinstance(fault, OSError) and fault.errno in _OF_A_DISK:
                raise StoreError.of(what, self._shown, fault) from fault
            told = (fault.strerror if isinstance(fault, OSError) else None) or f"{type(fault).__name__}: {fault}"
            raise IncompleteError(
                f"cannot {what} {self._shown}: {told}. Mend: see that the address is there, and that your key may "
                "read and write there, then run the same command again"
            ) from fault


def _published_names(folder: Path) -> list[str]:
    """Return the files that a run's sums name.

    Raises:
        DamagedRunError: The sums cannot be used, or name what is no plain file below the run.
    """
    sums, problems = read_sums(folder)
    if problems:
        raise DamagedRunError.of(folder, SUMS_NAME, f"cannot be used: {problems[0]}")
    for name in sums:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name or str(path) != name:
            raise DamagedRunError.of(folder, SUMS_NAME, f"names {name!r}, which is no file of a run")
    return sorted(sums)
