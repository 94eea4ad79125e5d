"""What the rewards cost of a tiny GRPO step: the wanted share is below 5 %. Prints a table.

python -P tests/bench/bench_rewards.py
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from training.data.shapes import shapes_examples
from training.data.store import write_examples
from training.loop.demo_model import build_demo_checkpoint
from training.stages.rewards import RewardSet
from training.stages.settings import GrpoSettings, Optimisation, Rollouts, SftSettings
from training.stages.train import LOG_NAME, TrainEnvironment, train

STEPS = 6
WANTED_SHARE = 0.05


def main() -> None:
    spent: list[float] = []
    scored = RewardSet.completions

    def timed(self, completions, **columns):
        started = time.perf_counter()
        found = scored(self, completions, **columns)
        spent.append(time.perf_counter() - started)
        return found

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        model = build_demo_checkpoint(root / "tiny", seed=0)
        data = root / "data.parquet"
        write_examples(data, shapes_examples("tiny", 400))
        environment = TrainEnvironment(now=lambda: datetime.now(UTC), say=lambda _: None, packages={})
        # a short cold start, so that completions look like answers and not like noise
        sft = SftSettings(model=str(model), data=str(data), output=root / "sft", optimisation=Optimisation(steps=60))
        train(sft, environment)
        RewardSet.completions = timed  # type: ignore[method-assign]
        grpo = GrpoSettings(
            model=str(root / "sft"),
            data=str(data),
            output=root / "grpo",
            optimisation=Optimisation(steps=STEPS, learning_rate=2e-4, batch_size=32, accumulation=2),
            rollouts=Rollouts(max_completion_tokens=48),
        )
        train(grpo, environment)
        log = json.loads((root / "grpo" / LOG_NAME).read_text(encoding="utf-8"))
    steps_s = [entry["step_time"] for entry in log if "step_time" in entry]
    rewards_s = sum(spent) / STEPS
    share = sum(spent) / sum(steps_s)
    print(f"GRPO step, 64 completions   {sum(steps_s) / STEPS:8.3f} s")
    print(f"all rewards of a step       {rewards_s:8.4f} s")
    print(
        f"share                       {100 * share:8.2f} %   wanted < {100 * WANTED_SHARE:.0f} %   {'ok' if share < WANTED_SHARE else 'MISSED'}"
    )


if __name__ == "__main__":
    main()
