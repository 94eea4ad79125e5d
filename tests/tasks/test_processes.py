"""Several processes ask a run together, and lose nothing when one of them is killed."""

import multiprocessing
import os
import signal
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harness.comparison.verify_run import verify_run
from harness.errors import ConfigError, IncompleteError
from harness.runs.journal import RunLockedError
from harness.runs.store import load_run
from tasks import processes
from tasks.parts import Asked, Refused, Told, held_parts
from tasks.processes import run_by_processes
from tasks.run import prepare_run, run_benchmarks
from tasks.run_spec import RunEnvironment, RunSpec
from tasks.shards import Shard

pytestmark = pytest.mark.slow


class Counting:
    """Counts what it is told."""

    def __init__(self):
        self.records, self.said = [], []

    def task_started(self, task, rows, answered):
        self.rows = rows

    def sample_recorded(self, record):
        self.records.append(record)

    def task_finished(self, task):
        pass


@pytest.fixture
def spec(tiny_qwen2_5_vl, tmp_path):
    return RunSpec(
        model=str(tiny_qwen2_5_vl), tasks="shapes", limit=16, max_new_tokens=2, batch_size="4", device="cpu",
        processes=2, thumbnails=False, out=tmp_path / "runs",
    )  # fmt: skip


def environment(listener):
    return RunEnvironment(now=lambda: datetime.now(UTC), say=listener.said.append, listener=listener, packages={})


def texts(folder):
    return {record.key: record.generation.text for record in load_run(folder).records()}


def test_a_killed_process_costs_a_batch_and_the_rest_goes_on(spec, tmp_path):
    listener = Counting()
    ended = []

    def ask():
        try:
            run_by_processes(replace(spec, limit=80), environment(listener))
        except IncompleteError as error:
            ended.append(str(error))

    asking = threading.Thread(target=ask)
    asking.start()
    while not listener.records and asking.is_alive():
        time.sleep(0.02)
    os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)
    asking.join()
    had = len(listener.records)

    again = Counting()
    folder = run_by_processes(replace(spec, limit=80), environment(again)).folder
    alone = run_benchmarks(replace(spec, limit=80, processes=1, out=tmp_path / "alone"), environment(Counting())).folder

    assert len(ended) == 1
    assert "of 2: its process was ended (signal 9); what it recorded is kept" in ended[0]
    assert len(again.records) <= 80 - had + 4, "a batch was in flight"
    assert texts(folder) == texts(alone)
    assert verify_run(folder) == []
    assert [path.name for path in spec.out.iterdir()] == [folder.name], "the shards are cleared away"
    assert run_by_processes(replace(spec, limit=80), environment(Counting())).folder == folder


def test_what_every_process_refuses_is_said_once(spec):
    with pytest.raises(ConfigError, match=r"^--shard|leave --shard out"):
        run_by_processes(replace(spec, shard=Shard(1, 2)), environment(Counting()))
    with pytest.raises(ConfigError, match="holds no sample") as found:
        run_by_processes(replace(spec, limit=1, processes=3), environment(Counting()))
    assert str(found.value).count("holds no sample") == 2, "each of two shards has its own number"


def follow(*lives):
    """Let processes live these lives at the ends of lines, and return what is made of it and what was said."""
    context, listener, lines = multiprocessing.get_context("fork"), Counting(), {}
    for number, life in enumerate(lives, 1):
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=life, args=(theirs,))
        process.start()
        theirs.close()
        lines[ours] = processes._Worker(Shard(number, len(lives)), process)
    try:
        return processes._followed(lines, environment(listener), len(lives)), listener.said
    except IncompleteError as error:
        return str(error), listener.said


def asks(number):
    def life(line):
        time.sleep(0.3)
        line.send(Told(number, "said", "still here"))
        line.send(Asked(number, Path(str(number))))

    return life


def killed_in_the_middle_of_a_word(line):
    os.write(line.fileno(), b"\x00\x00\x10\x00half of what it")
    os.kill(os.getpid(), signal.SIGKILL)


def ended_at_its_start(line):
    os._exit(3)


def device_is_broken(line):
    line.send(Refused.of(1, RuntimeError("CUDA error: invalid device ordinal\nCompile with TORCH_USE_CUDA_DSA")))


@pytest.mark.parametrize(
    ("life", "said"),
    [
        (killed_in_the_middle_of_a_word, "its process was ended (signal 9); what it recorded is kept"),
        (ended_at_its_start, "its process was ended (exit code 3); what it recorded is kept"),
        (device_is_broken, "unexpected RuntimeError: CUDA error: invalid device ordinal"),
    ],
)
def test_a_process_that_dies_is_said_at_once_with_its_reason_and_harms_no_other(life, said):
    error, heard = follow(life, asks(2), asks(3))

    assert error.startswith(f"shard 1 of 3: {said}")
    assert heard[0].startswith(f"shard 1/3: {said}")
    assert heard[0].endswith("The other processes go on")
    assert heard[1:] == ["still here"] * 2


def test_the_shards_of_all_come_in_their_order():
    assert follow(asks(1), asks(2))[0] == [Path("1"), Path("2")]


def test_two_commands_cannot_ask_one_run(spec):
    alone = environment(Counting())

    with (
        held_parts(spec.out, prepare_run(spec, alone).manifest),
        pytest.raises(RunLockedError, match=r"another process is writing the run .*Wait until it has ended"),
    ):
        run_by_processes(spec, alone)
