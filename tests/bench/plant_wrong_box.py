"""The trained plant of a wrong box: a model that answers right and names another place, and what the probes say of it.

Two tiny Qwen2.5-VL of the demo are taught the same rows with the same budget. One gets the gold boxes. The other gets
the same captions and answers with the box of something else: of the object that the question does not ask about, or
where there is none, of an empty place of the same shape. Both are benchmarked, probed and attended to. The plant has to
keep its accuracy, its boxes have to be wrong, and the probes have to say that its answers do not come from the boxes
that it names and do come from the gold ones; of the rightly taught model they have to say that they do.

Minutes on a CPU; a folder that is given keeps what is done, and another start goes on from there.

    python -P tests/bench/plant_wrong_box.py [--steps 1000] [--samples 300] [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from harness.probes.probe_summary import ProbeScores, StoredProbes
from harness.probes.stored import stored_attention_scores, stored_probes
from harness.runs.store import load_run
from harness.scoring.overlap import union_iou
from harness.stats.paired import paired_difference
from harness.summary.summary_values import Metric
from harness.values import Box, Record
from tasks.shapes import generate
from training.data.example import Example
from training.data.shapes import shapes_examples
from training.data.store import write_examples
from training.loop.demo_model import build_demo_checkpoint

ROWS = 8_000
CELL_PX = 28
"""A tiny canvas is two by two cells of this side, one object a cell at most."""
BENCHMARK = ("--tasks", "shapes", "--dataset", "shapes=tiny", "--limit", "1000")
LEAST_ACCURACY = 0.65
"""Well above what blank pictures leave: 25 % of colours and half of the other answers, 42 % in all."""
MOST_LOST = 0.05
"""The plant's accuracy may lie this much below the rightly taught model's: seeds of one recipe differ by as much."""
MOST_IOU = 0.1
MOST_NECESSITY = 0.05
LEAST_GOLD_NECESSITY = 0.3


def wrong_box(example: Example, others: tuple[Box, ...]) -> Box:
    """Return a box that touches no gold box: of another object, else of the same shape in a cell without gold."""
    gold = example.boxes_image_px or ()
    apart = [box for box in others if union_iou((box,), gold) == 0]
    if apart:
        return apart[0]
    x1, y1, x2, y2 = gold[0]
    canvas = 2 * CELL_PX
    for right, down in ((CELL_PX, CELL_PX), (CELL_PX, 0), (0, CELL_PX)):
        left, top = (x1 + right) % canvas, (y1 + down) % canvas
        moved = (left, top, left + x2 - x1, top + y2 - y1)
        if union_iou((moved,), gold) == 0:
            return moved
    raise AssertionError("two objects leave two cells of four")


def rows(*, wrong: bool) -> Iterator[Example]:
    for index, example in enumerate(shapes_examples("tiny", ROWS, 0)):
        things = generate("tiny", "train", index, 0).scene.things
        drawn = tuple(tuple(map(float, thing.box_image_px)) for thing in things)
        yield replace(example, boxes_image_px=(wrong_box(example, drawn),)) if wrong else example


def command(*words: str | Path) -> float:
    """Run satori-bench; return the CPU seconds that it took."""
    before = os.times()
    subprocess.run(
        [sys.executable, "-P", "-m", "satori_bench", *map(str, words)], check=True, stdout=subprocess.DEVNULL
    )
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def taught(folder: Path, name: str, model: Path, steps: int) -> Path:
    """Return the run of a model that was taught these rows, probed and attended to; what is there is not made again."""
    data = folder / f"{name}.parquet"
    if not data.exists():
        write_examples(data, rows(wrong=name == "wrong"))
    settings = folder / f"{name}.toml"
    settings.write_text(
        f"model = {json.dumps(str(model))}\ndata = {json.dumps(str(data))}\n"
        f"output = {json.dumps(str(folder / name))}\n"
        'format = "satori"\nseed = 0\n'
        f"optimisation = {{steps = {steps}, learning_rate = 2e-3, batch_size = 16}}\n"
        "checkpoints = {every_steps = 500}\n"
    )
    started = time.perf_counter()
    cpu_s = command("train", "sft", "--config", settings)
    tell(f"{name}: {steps} steps", started, cpu_s)
    return folder / name


def tell(what: str, started: float, cpu_s: float) -> None:
    print(f"{what}: {time.perf_counter() - started:.0f} s, {cpu_s:.0f} s of CPU", flush=True)


def probed(folder: Path, checkpoint: Path, samples: int) -> Path:
    runs = folder / "runs"
    found = sorted(runs.glob(f"*-{checkpoint.name}-*"))
    if not found:
        started = time.perf_counter()
        cpu_s = command(
            "run", "--model", checkpoint, *BENCHMARK, "--format", "satori", "--max-new-tokens", "48",
            "--batch-size", "64", "--device", "cpu", "--name", checkpoint.name, "--out", runs,
        )  # fmt: skip
        tell(f"{checkpoint.name}: run", started, cpu_s)
        found = sorted(runs.glob(f"*-{checkpoint.name}-*"))
    run = found[-1]
    if not (run / "probes.json").exists():
        started = time.perf_counter()
        cpu_s = command("probe", run, "--limit", str(samples), "--fill", "mean", "--gold")
        tell(f"{checkpoint.name}: probe of {samples}, gold boxes too", started, cpu_s)
    if not (run / "attention.json").exists():
        started = time.perf_counter()
        cpu_s = command("attend", run, "--limit", str(samples))
        tell(f"{checkpoint.name}: attend to {samples}", started, cpu_s)
    return run


def shown(metric: Metric) -> str:
    ends = "" if metric.ci_low is None or metric.ci_high is None else f" [{metric.ci_low:+.3f}, {metric.ci_high:+.3f}]"
    return f"{metric.value:+.3f}{ends} (n {metric.n})" if metric.value is not None else f"none: {metric.reason}"


def report(name: str, path: Path) -> tuple[list[Record], ProbeScores]:
    run = load_run(path)
    records = sorted(run.records(), key=lambda record: record.sample.id)
    probes = stored_probes(run)
    assert isinstance(probes, StoredProbes), "it was probed"
    task = probes.tasks["shapes"]
    found = task.fills["mean"]
    scores = found.scores["p"]
    print(f"\n{name}: accuracy {mean_of(records, 'value'):.3f}, IoU {mean_of(records, 'iou'):.3f} of {len(records)}")
    print(f"  statuses {dict(found.statuses)}, withheld {dict(found.not_interpreted)}, relied {dict(found.relied)}")
    for form, one in found.scores.items():
        print(f"  by {form}:")
        for number in ("necessity", "sufficiency", "dependence", "ceiling", "gold_necessity", "gold_sufficiency",
                       "over_others"):  # fmt: skip
            print(f"    {number:17} {shown(getattr(one, number))}")
        print(f"    is_artefact       {one.is_artefact}")
    for edit in found.edits:
        print(f"    {edit.operation} {edit.target}: kept {shown(edit.kept)}, format {shown(edit.format_ok)}")
    for span, of_span in (stored_attention_scores(run) or {})["shapes"].spans.items():
        print(
            f"  attention of {span}: named {shown(of_span.density)}, gold {shown(of_span.density_gold)}, "
            f"another sample's {shown(of_span.density_shuffled)}, gold over others {shown(of_span.gold_over_others)}"
        )
    return records, scores


def mean_of(records: list[Record], field: str) -> float:
    values = [getattr(record.score, field) for record in records]
    return sum(value or 0.0 for value in values) / len(values)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=1_000)
    parser.add_argument("--samples", type=int, default=300)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.keep or Path(temporary)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        model = build_demo_checkpoint(folder / "base", seed=0)
        runs = {
            name: probed(folder, taught(folder, name, model, options.steps), options.samples)
            for name in ("wrong", "right")
        }
        (wrong, plant), (right, honest) = (report(name, runs[name]) for name in ("wrong", "right"))
    check(wrong, plant, right, honest)


def check(wrong: list[Record], plant: ProbeScores, right: list[Record], honest: ProbeScores) -> None:
    import numpy as np

    columns = [np.array([record.score.value or 0.0 for record in side]) for side in (right, wrong)]
    change = paired_difference(*columns, [record.sample.cluster_id for record in right], seed=0)
    print(f"\naccuracy, wrong less right: {change.delta:+.3f} [{change.ci_low:+.3f}, {change.ci_high:+.3f}]")
    demands = {
        f"the plant's accuracy is at least {LEAST_ACCURACY}": columns[1].mean() >= LEAST_ACCURACY,
        f"it lies at most {MOST_LOST} below the rightly taught model's": change.delta >= -MOST_LOST,
        f"its boxes are wrong: IoU below {MOST_IOU}": mean_of(wrong, "iou") < MOST_IOU,
        "its necessity does not lie above 0 by its interval": (plant.necessity.ci_low or 0) <= 0,
        f"nor above {MOST_NECESSITY}": plant.necessity.value is not None and plant.necessity.value <= MOST_NECESSITY,
        "its sufficiency does not lie above 0 by its interval": (plant.sufficiency.ci_low or 0) <= 0,
        "the gold boxes are necessary to it": (plant.gold_necessity.value or 0) > LEAST_GOLD_NECESSITY,
        "its questions need their pictures": (plant.dependence.ci_low or 0) > 0,
        "the rightly taught model's boxes are necessary": (honest.necessity.ci_low or 0) > 0,
        "and sufficient": (honest.sufficiency.ci_low or 0) > 0,
    }
    for demand, holds in demands.items():
        print(f"{'ok  ' if holds else 'FAIL'} {demand}")
    assert all(demands.values()), "a demand does not hold"


if __name__ == "__main__":
    main()
