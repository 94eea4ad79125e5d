"""Runs of a model that replays text, each a process of its own: the kill tests start them and kill them.

    python replay_run.py

imports what a run needs once, which takes most of a short run's time, and then forks a process for every line that it
reads: a JSON list of checkpoint, data folder, output folder, seconds per batch and a file for what the run prints. It
answers with the process's id, and with its exit code once it has ended.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path

import lmms_eval.evaluator
import scipy.special  # noqa: F401 - imported once, for all runs

import tasks.build  # noqa: F401 - the same
from harness.models.replay import SatoriReplay
from tasks.run import run_benchmarks
from tasks.run_spec import RunEnvironment, RunSpec

assert lmms_eval.evaluator, "the same"

BATCH = 4


class Silent:
    """Listens to nothing."""

    def task_started(self, task, rows, answered):
        print(f"{task} {rows} {answered}", flush=True)

    def sample_recorded(self, record):
        pass

    def task_finished(self, task):
        pass


class SlowReplay(SatoriReplay):
    """Takes its time over each batch, so that a kill can fall into it."""

    def __init__(self, seconds: float) -> None:
        super().__init__(reply, batch_size=BATCH)
        self._seconds = seconds

    def generate_batch(self, prompts):
        time.sleep(self._seconds)
        return super().generate_batch(prompts)


def reply(task: str, doc_id: int) -> str:
    """A text that depends on the question alone, with every kind of answer and box."""
    boxes = [[doc_id % 7, 3, 20 + doc_id % 50, 40]] if doc_id % 5 else []
    answers = ["A", "yes", "The answer is (B).", "no", "2", "", "\u4e24\u4e2a \u2028 \ud83d\ude00"]
    return (
        f"<caption>{task} row {doc_id}</caption>\n<bbox>{boxes}</bbox>\n"
        f"<answer>{answers[doc_id % len(answers)]}</answer>"
    )


def run(checkpoint: str, data_dir: str, out: str, seconds: float) -> None:
    spec = RunSpec(
        model=checkpoint,
        tasks="mmstar,mme,shapes",
        data_dir=Path(data_dir),
        out=Path(out),
        limit=60,
        max_new_tokens=32,
        thumbnails=False,
    )
    environment = RunEnvironment(
        now=lambda: datetime.now(UTC),
        say=lambda text: print(text, flush=True),
        listener=Silent(),
        packages={},
        load_model=lambda _: SlowReplay(seconds),
    )
    print(f"published {run_benchmarks(spec, environment).folder}", flush=True)


def run_and_leave(log: str, arguments: list) -> None:
    """Run in a process that was just forked, printing to a file."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    code = 1
    try:
        run(*arguments)
        code = 0
    except BaseException:  # noqa: BLE001 - whatever it is, this process must not go on as the parent
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main() -> None:
    for line in sys.stdin:
        *arguments, log = json.loads(line)
        process = os.fork()
        if process == 0:
            run_and_leave(log, arguments)
        print(process, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
