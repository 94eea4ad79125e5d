"""The loop of `satori-bench demo`: everything is made on the spot, and it runs on two CPU cores in minutes.

The cold start is taught by a biased annotator (`training.data.shapes.LabelNoise`), who overlooks one of two things in
six of ten scenes: caption, boxes, count and existence then agree that it is not there. Imitation copies that, also at
its most likely answer. Reinforcement learning then has only the scorer, on other scenes with exact gold. So the demo
shows what verifiable rewards are for.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from training.loop.demo_model import build_demo_checkpoint
from training.loop.settings import LoopSettings, loop_settings

BUDGET: dict[str, Any] = {
    "sft": {
        "optimisation": {"steps": 700, "learning_rate": 2e-3, "batch_size": 16},
        "checkpoints": {"every_steps": 100},
    },
    "grpo": {
        "optimisation": {"steps": 100, "learning_rate": 2e-4, "warmup": 5, "batch_size": 32, "accumulation": 2},
        "rollouts": {"generations": 8, "max_completion_tokens": 48},
        "objective": {"aggregation": "normalize_then_sum"},
        "checkpoints": {"every_steps": 25},
    },
}
"""What every arm may spend."""

ARMS: list[dict[str, Any]] = [
    {"name": "satori"},
    {"name": "answer-only", "cold_start": "satori", "grpo": {"rewards": {"weights": {"answer": 1.0}}}},
    {
        "name": "freeform",
        "format": "freeform",
        "grpo": {"rewards": {"weights": {"format": 1.0, "answer": 1.0}}},
    },
]
"""The method, the ablation of its grounding rewards, and the baseline without stages."""


def demo_loop(out: Path, *, arms: str, seed: int) -> LoopSettings:
    """Build the tiny checkpoint under `out` and return the loop over it.

    Args:
        out: Folder of the demo; the loop lies in `out/loop-<seed>`.
        arms: `satori` alone, or `all` three.
        seed: Of the model's weights, its data and its training.
    """
    model = build_demo_checkpoint(out / f"tiny-qwen2_5-vl-{seed}", seed=seed)
    return loop_settings(
        {
            "name": f"loop-{seed}",
            "out": str(out),
            "model": str(model),
            "seeds": [seed],
            "data": {"rows": 8_000, "seed": seed, "weak_labels": {"share": 0.0, "oversight": 0.6}},
            "benchmark": {
                "tasks": "shapes",
                "datasets": {"shapes": "tiny"},
                "max_new_tokens": 48,
                "batch_size": "64",
                "device": "cpu",
            },
            **BUDGET,
            "arms": ARMS if arms == "all" else ARMS[:1],
        },
        where="demo",
    )
