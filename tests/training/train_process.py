"""Training as a process of its own: the kill tests start it and kill it.

python train_process.py sft|grpo|loop SETTINGS.json
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import torch

from tasks.run_spec import RunEnvironment
from training.loop.loop import LoopEnvironment, run_loop
from training.loop.settings import loop_settings
from training.stages.profiles import PROFILES
from training.stages.settings import train_settings
from training.stages.train import TrainEnvironment, train
from training.stages.trainers import Watch


class Announcing:
    """Prints each step, so that a killer knows where training is."""

    def stage_started(self, stage, total_steps, done):
        print(f"stage {stage} {done}/{total_steps}", flush=True)

    def step_logged(self, step, figures):
        print(f"step {step}", flush=True)

    def stage_finished(self):
        print("stage finished", flush=True)

    def task_started(self, task, rows, answered):
        print(f"task {task} {answered}/{rows}", flush=True)

    def sample_recorded(self, record):
        print("sample", flush=True)

    def task_finished(self, task):
        print("task finished", flush=True)

    def loop_started(self, steps):
        print(f"loop of {len(steps)}", flush=True)

    def loop_step_started(self, number):
        print(f"loop step {number}", flush=True)

    def loop_step_finished(self):
        print("loop step finished", flush=True)


def main() -> None:
    torch.set_num_threads(1)
    what, file = sys.argv[1], Path(sys.argv[2])
    table = json.loads(file.read_text(encoding="utf-8"))
    listener = Announcing()
    environment = TrainEnvironment(
        now=lambda: datetime.now(UTC), say=lambda text: print(text, flush=True), packages={}, watch=Watch(listener)
    )
    if "WORLD_SIZE" in os.environ:  # several processes on GPUs, here on a CPU
        PROFILES["multi-gpu"] = replace(PROFILES["multi-gpu"], common=PROFILES["cpu-tiny"].common)
    if what == "loop":
        run = RunEnvironment(environment.now, environment.say, listener, {})
        run_loop(loop_settings(table, where="test"), LoopEnvironment(environment, run, listener))
    else:
        train(train_settings(what, table, where="test"), environment)
    print("done", flush=True)


if __name__ == "__main__":
    main()
