"""What tensors give back stays in the process for the next ones, unless somebody has decided otherwise."""

import platform
import subprocess
import sys

import pytest

from harness.models.freed_memory import keep_freed_memory

PAGES_ASKED_ANEW = """
import resource, sys
from harness.models.freed_memory import keep_freed_memory

def faults() -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        [bytearray(1_000_000) for _ in range(10)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

before = faults()
assert keep_freed_memory({})
faults()
print(before, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told")
def test_blocks_that_come_again_cost_the_kernel_nothing():
    command = [sys.executable, "-P", "-c", PAGES_ASKED_ANEW]
    before, after = map(int, subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())

    assert (before > 50 * 1_000, after < before / 10) == (True, True), (before, after)


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({}, True),
        ({"MALLOC_ARENA_MAX": "2"}, True),
        ({"MALLOC_TRIM_THRESHOLD_": "0"}, False),
        ({"MALLOC_MMAP_THRESHOLD_": "131072"}, False),
        ({"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}, False),
        ({"LD_PRELOAD": "/usr/lib/libjemalloc.so.2"}, False),
    ],
)
def test_whoever_set_it_has_decided(environment, told, monkeypatch):
    set_to = []

    class Library:
        @staticmethod
        def mallopt(parameter: int, value: int) -> int:
            set_to.append(parameter)
            return 1

    monkeypatch.setattr("ctypes.CDLL", lambda _: Library)

    assert (keep_freed_memory(environment), bool(set_to)) == (told, told)


@pytest.mark.parametrize("library", [object(), None])
def test_a_system_without_such_a_setting_is_left_alone(library, monkeypatch):
    monkeypatch.setattr("ctypes.CDLL", lambda _: library)

    assert not keep_freed_memory({})
