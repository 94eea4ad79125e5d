"""Tests of runs at an address: a refusal says whether a disk or the address is to be mended."""

import errno

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from harness.errors import ConfigError, IncompleteError
from harness.runs.journal import StoreError
from harness.runs.object_storage import RunsAtAddress

ADDRESS = "Mend: see that the address is there"


class NoKeyError(Exception):
    """What a store of its own kind raises."""


@pytest.mark.parametrize(
    ("fault", "kind", "says"),
    [
        (FileNotFoundError("The specified bucket does not exist"), IncompleteError, ADDRESS),
        (PermissionError("Forbidden"), IncompleteError, "Forbidden. Mend: see"),
        (PermissionError(errno.EACCES, "Access Denied"), IncompleteError, "Access Denied. Mend: see"),
        (OSError(errno.EIO, "An error occurred (503)"), IncompleteError, "An error occurred (503). Mend: see"),
        (NoKeyError("Unable to locate credentials"), IncompleteError, "NoKeyError: Unable to locate credentials. Mend"),
        (OSError(errno.ENOSPC, "No space left on device"), StoreError, "free space on that disk"),
        (OSError(errno.EROFS, "Read-only file system"), StoreError, "the disk is read-only"),
    ],
)
def test_a_refusal_says_what_is_to_be_mended(monkeypatch, fault, kind, says):
    def refuse(*_, **__):
        raise fault

    monkeypatch.setattr(MemoryFileSystem, "find", refuse)
    monkeypatch.setattr(MemoryFileSystem, "pipe_file", refuse)
    place = RunsAtAddress("memory://bucket/parts")

    for ask in (place.runs, lambda: place.write("mark", b"1")):
        with pytest.raises(kind) as told:
            ask()
        assert says in str(told.value)
        assert "memory://bucket/parts" in str(told.value)


def test_an_address_of_no_known_kind_is_refused():
    with pytest.raises(ConfigError, match="Protocol not known: s4"):
        RunsAtAddress("s4://bucket/parts")
