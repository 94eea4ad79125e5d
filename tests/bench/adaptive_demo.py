"""Which stages a tiny model keeps when each has a price: one cold start, GRPO with and without a cost, three seeds.

The cold start is taught `satori-adaptive` on Shapes with exact gold, a quarter of the rows in each of the four shapes
(`training/data/targets.py`). From it GRPO is run with the rewards format, answer and stages, once with a cost for each
stage that is not left out and once with none: the control, which tells what the cost changed from what more training
changed. Each checkpoint is asked the benchmark's questions greedily and by sampling at temperature 1; of the sampled
answers those of a model that has no preference yet come nearest to an experiment.

What is done already is not done again, so that it can be run in pieces; the last prints the table.

    python -P tests/bench/adaptive_demo.py OUT --parts train-0     # cold start, then GRPO with seed 0
    python -P tests/bench/adaptive_demo.py OUT --parts train-1,train-2
    python -P tests/bench/adaptive_demo.py OUT --parts ask
    python -P tests/bench/adaptive_demo.py OUT --parts table
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from pathlib import Path

from harness.comparison.compare import compare_runs, open_sides
from harness.runs.lookup import find_run
from harness.runs.store import load_run
from harness.summary.kept_stages import stage_uses
from harness.summary.stored_scores import stored_summaries
from harness.summary.summary_values import Metric
from training.data.shapes import shapes_examples
from training.data.store import write_examples
from training.loop.demo_model import build_demo_checkpoint

FORM = "satori-adaptive"
SEEDS = (0, 1, 2)
COSTS = {"cost": 0.1, "free": 0.0}
"""Arm to the cost of each stage; a right answer is worth 1."""
SFT_STEPS, GRPO_STEPS = 1_000, 60
ROWS = 8_000
MOST_TOKENS = 48
DECODINGS = ("greedy", "sampled")

SFT = """
format = "{form}"
optimisation = {{steps = {steps}, learning_rate = 2e-3, batch_size = 16}}
checkpoints = {{every_steps = 250}}
"""
GRPO = """
format = "{form}"
seed = {seed}
optimisation = {{steps = {steps}, learning_rate = 2e-4, warmup = 5, batch_size = 32, accumulation = 2}}
rollouts = {{generations = 8, max_completion_tokens = {most_tokens}}}
checkpoints = {{every_steps = 25}}
# the sum of the rewards, by one spread for all: within each group's own, any cost would weigh as much as any other
objective = {{aggregation = "sum_then_normalize", scale_rewards = "batch"}}

[rewards]
weights = {{format = 1.0, answer = 1.0, stages = 1.0}}
stage_costs = {{caption = {cost}, bbox = {cost}}}
"""


def command(*words: str) -> None:
    """Run satori-bench and say how long it took."""
    started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-P", "-m", "satori_bench", *words], check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"[{' '.join(words[:2])}: {time.monotonic() - started:.0f} s, {spent:.0f} s of CPU, exit {done.returncode}]")
    if done.returncode:
        sys.exit(done.returncode)


def train(stage: str, model: Path, data: Path, output: Path, settings: str) -> None:
    """Train a stage by the command, unless its checkpoint is there."""
    if output.is_dir():
        return
    config = output.parent / f"{output.name}.toml"
    config.write_text(f'model = "{model}"\ndata = "{data}"\noutput = "{output}"\n{settings}', encoding="utf-8")
    command("train", stage, "--config", str(config))


def train_all(out: Path, seed: int) -> None:
    """Make the cold start, and from it both arms of a seed."""
    base = build_demo_checkpoint(out / "tiny", seed=0, formats=(FORM,))
    for name, data_seed in (("sft", 0), ("grpo", 1)):
        if not (out / f"{name}.parquet").is_file():
            write_examples(out / f"{name}.parquet", shapes_examples("tiny", ROWS, data_seed))
    cold = out / "cold"
    train("sft", base, out / "sft.parquet", cold, SFT.format(form=FORM, steps=SFT_STEPS))
    for arm, cost in COSTS.items():
        settings = GRPO.format(form=FORM, seed=seed, steps=GRPO_STEPS, most_tokens=MOST_TOKENS, cost=cost)
        train("grpo", cold, out / "grpo.parquet", out / f"{arm}-{seed}", settings)


def models(out: Path) -> list[str]:
    """Return the cold start and what became of it, as folders of `out`, as far as they are there."""
    names = ["cold", *(f"{arm}-{seed}" for seed in SEEDS for arm in COSTS)]
    return [name for name in names if (out / name).is_dir()]


def ask(out: Path) -> None:
    """Ask every checkpoint the benchmark; a run that is there is only named again."""
    for name in models(out):
        for decoding in DECODINGS:
            command(
                *("run", "--model", str(out / name), "--tasks", "shapes", "--dataset", "shapes=tiny", "--format", FORM),
                *("--decoding", decoding, "--max-new-tokens", str(MOST_TOKENS), "--batch-size", "64"),
                *("--device", "cpu", "--out", str(out / decoding), "--name", name),
            )


def shown(metric: Metric) -> str:
    """Return a share in percent with interval and n."""
    if metric.value is None:
        return "-"
    return f"{100 * metric.value:.1f} [{100 * metric.ci_low:.1f}, {100 * metric.ci_high:.1f}] of {metric.n}"


def changes(runs: Path, before: str, now: str) -> str:
    """Return the paired change in accuracy, over all questions and by kind, in points."""
    pair = compare_runs(open_sides([str(find_run(name, runs)) for name in (before, now)])).pairs[0]
    (found,) = pair.benchmarks
    told = [
        f"{row.category or 'all'} {100 * row.difference.delta:+.1f} "
        f"[{100 * row.difference.ci_low:+.1f}, {100 * row.difference.ci_high:+.1f}]"
        for row in (found.headline, *found.categories)
    ]
    return ", ".join(told)


def table(out: Path) -> None:
    """Print what was kept, per kind of question, and how the answers turned out."""
    for decoding in DECODINGS:
        print(f"\n{decoding}")
        for name in models(out):
            run = load_run(find_run(name, out / decoding))
            summary = stored_summaries(run)["shapes"]
            tokens = run.scores["tasks"]["shapes"]["costs"]["output_tokens"] / summary.rows
            overlap = summary.metrics.get("mean_iou")
            placed = "-" if overlap is None else f"{overlap.value:.3f} of {overlap.n}"
            print(f"{name}: accuracy {shown(summary.shown)}, {tokens:.1f} tokens a text, mean IoU {placed}")
            print("   by kind: " + ", ".join(f"{kind} {shown(found)}" for kind, found in summary.categories.items()))
            for use in stage_uses(summary.stages):
                told = f"   {use.stage:8}{use.category or 'all':10} kept {shown(use.kept)}"
                print(f"{told}; right where kept {shown(use.answers_kept)}, left out {shown(use.answers_left_out)}")
        for seed in SEEDS:
            for before, now in (("cold", f"free-{seed}"), ("cold", f"cost-{seed}"), (f"free-{seed}", f"cost-{seed}")):
                if {before, now} <= set(models(out)):
                    print(f"{before} -> {now}: {changes(out / decoding, before, now)}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--parts", default="train-0,train-1,train-2,ask,table")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    for part in given.parts.split(","):
        if part.startswith("train-"):
            train_all(given.out, int(part.removeprefix("train-")))
        elif part == "ask":
            ask(given.out)
        else:
            table(given.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
