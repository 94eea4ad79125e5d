"""A run of a model that replays text, as a process of its own: the kill tests start it and kill it.

python replay_run.py CHECKPOINT DATA_DIR OUT SECONDS_PER_BATCH
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from harness.model_replay import SatoriReplay
from tasks.run import RunEnvironment, RunSpec, run_benchmarks

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


def main() -> None:
    checkpoint, data_dir, out, seconds = sys.argv[1:5]
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
        load_model=lambda _: SlowReplay(float(seconds)),
    )
    print(f"published {run_benchmarks(spec, environment).folder}", flush=True)


if __name__ == "__main__":
    main()
