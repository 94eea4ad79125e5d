"""torch computes with as many threads as there are free cores, and whoever set a number has decided."""

import os

import pytest
import torch

from harness.models import cpu_threads
from harness.models.cpu_threads import OthersAtWork, take_free_threads

CORES = "".join(f"cpu{name} 0 0 0 500 0 0 0 0 0 0\n" for name in ("", "0", "1", "2", "3"))


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine of four cores: what others and this process do in ten seconds, and how many threads torch has."""

    def made(others_s: float, own_s: float = 0.0, share: str = "max 100000", given: int = 4) -> OthersAtWork:
        stat, limit = tmp_path / "stat", tmp_path / "cpu.max"
        clock, times = [0.0], [0.0]
        limit.write_text(share)
        stat.write_text(CORES)
        monkeypatch.setattr(cpu_threads, "_CORES", stat)
        monkeypatch.setattr(cpu_threads, "_SHARE", limit)
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
        monkeypatch.setattr(os, "sysconf", lambda _: 100)
        monkeypatch.setattr(os, "times", lambda: type("Times", (), {"user": times[0], "system": 0.0}))
        monkeypatch.setattr("time.monotonic", lambda: clock[0])
        monkeypatch.setattr(torch, "get_num_threads", lambda: taken[-1])
        monkeypatch.setattr(torch, "set_num_threads", taken.append)
        taken[:] = [given]
        looking = OthersAtWork()
        clock[0], times[0] = 10.0, own_s
        ticks = int(100 * (others_s + own_s)) // 2
        stat.write_text(CORES.replace("cpu1 0", f"cpu1 {ticks}").replace("cpu2 0", f"cpu2 {ticks}"))
        return looking

    taken: list[int] = []
    made.taken = taken
    return made


@pytest.mark.parametrize(
    ("arguments", "threads"),
    [
        ({"others_s": 0}, 4),
        ({"others_s": 0, "own_s": 10}, 4),
        ({"others_s": 1}, 4),
        ({"others_s": 5}, 3),
        ({"others_s": 10, "own_s": 9}, 3),
        ({"others_s": 31}, 1),
        ({"others_s": 40}, 1),
        ({"others_s": 0, "share": "250000 100000"}, 2),
        ({"others_s": 0, "share": "50000 100000"}, 1),
        ({"others_s": 10, "share": "200000 100000"}, 1),
        ({"others_s": 0, "given": 1}, 1),
    ],
)
def test_threads_are_those_that_nobody_else_needs(machine, arguments, threads):
    said = take_free_threads(machine(**arguments), {})

    assert machine.taken[-1] == threads
    assert said.startswith(f"{threads} thread")
    assert f"others use {arguments['others_s'] / 10:.1f}" in said


def test_a_number_that_was_given_is_left(machine):
    said = take_free_threads(machine(others_s=40), {"OMP_NUM_THREADS": "4"})

    assert machine.taken == [4]
    assert said == "4 threads, as OMP_NUM_THREADS says"


@pytest.mark.parametrize("content", ["", "cpu1 a b", "cpu1 1 2"])
def test_where_the_machine_does_not_tell_nothing_is_changed(machine, monkeypatch, tmp_path, content):
    looking = machine(others_s=40)
    (tmp_path / "stat").write_text(content) if content else (tmp_path / "stat").unlink()

    said = take_free_threads(looking, {})

    assert machine.taken == [4]
    assert "cannot be seen" in said


def test_this_machine_is_looked_at_without_a_fault():
    looking = OthersAtWork()

    assert looking.cores() is None, "no time has passed"
