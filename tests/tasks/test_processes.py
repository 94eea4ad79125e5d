"""Several processes ask a run together, and lose nothing when one of them is killed."""

import multiprocessing
import os
import signal
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from harness.comparison.verify_run import verify_run
from harness.errors import ConfigError, IncompleteError
from harness.runs.store import load_run
from tasks.processes import run_by_processes
from tasks.run import run_benchmarks
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
