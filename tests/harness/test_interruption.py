"""One press of Ctrl-C is never lost: it waits for the batch in flight, and outlives a destructor that drops it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import harness
from harness.errors import ExitCode
from harness.models.interruption import Interruption

TWICE = """
import os, signal
from harness.models.interruption import Interruption
with Interruption() as interruption, interruption.batch():
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGINT)
    print("still here", flush=True)
"""
IGNORED = """
import os, signal
from harness.models.interruption import Interruption
signal.signal(signal.SIGINT, signal.SIG_IGN)
with Interruption() as interruption:
    with interruption.batch():
        os.kill(os.getpid(), signal.SIGINT)
assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
print("still here")
"""


def press() -> None:
    os.kill(os.getpid(), signal.SIGINT)


class PressesWhenDropped:
    def __del__(self):
        press()


def in_a_process(code: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(harness.__file__).parents[1])}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)


def press_after_a_batch() -> None:
    with Interruption() as interruption:
        with interruption.batch():
            pass
        press()


def press_within_a_batch(done: list[str]) -> None:
    with Interruption() as interruption:
        with interruption.batch():
            press()
            done.append("recorded")
        done.append("next")


def fail_after_a_press_within_a_batch() -> None:
    with Interruption() as interruption, interruption.batch():
        press()
        raise ZeroDivisionError


def test_a_press_between_batches_interrupts_at_once():
    with pytest.raises(KeyboardInterrupt):
        press_after_a_batch()


def test_a_press_within_a_batch_waits_for_its_end():
    done = []
    with pytest.raises(KeyboardInterrupt):
        press_within_a_batch(done)

    assert done == ["recorded"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_press_that_a_destructor_drops_is_raised_before_the_next_batch():
    reached = []
    with Interruption() as interruption:
        dropped = PressesWhenDropped()
        del dropped
        reached.append("after the destructor")
        with pytest.raises(KeyboardInterrupt), interruption.batch():
            reached.append("batch")

    assert reached == ["after the destructor"]


def test_an_error_of_the_batch_is_not_hidden_by_a_press():
    with pytest.raises(ZeroDivisionError):
        fail_after_a_press_within_a_batch()


def test_a_second_press_leaves_at_once():
    done = in_a_process(TWICE)

    assert done.returncode == ExitCode.INTERRUPTED
    assert "still here" not in done.stdout
    assert "finishing the batch in flight" in done.stderr


def test_the_signal_is_given_back():
    before = signal.getsignal(signal.SIGINT)
    with Interruption():
        assert signal.getsignal(signal.SIGINT) != before

    assert signal.getsignal(signal.SIGINT) == before


def test_a_process_that_ignores_the_signal_goes_on_ignoring_it():
    done = in_a_process(IGNORED)

    assert done.stdout == "still here\n", done.stderr
