"""The trained plant of a wrong box: a model that answers right and names another place, and what the probes say of it.

Two tiny Qwen2.5-VL of the demo are taught the same rows with the same budget. One gets the gold boxes. The other gets
the same captions and answers with the box of something else: of the object that the question does not ask about, or
where there is none, of an empty place of the same shape. Both are benchmarked, probed and attended to. The plant has to
keep its accuracy, its boxes have to be wrong, and the probes have to say that removing what it names matters no more than
removing any other place, that removing the gold boxes does, and of the rightly taught model that its own boxes matter.

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
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from harness.probes.probe_summary import ProbeScores, StoredProbes
from harness.probes.stored import stored_attention_scores, stored_probes
from harness.runs.store import load_run
from harness.scoring.overlap import union_iou
from harness.stats.intervals import cluster_codes
from harness.stats.paired import paired_difference
from harness.summary.means import column_metric
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
MOST_IOU = 0.2
"""A model that is taught to name the other object takes the asked one for it now and then."""
MOST_NECESSITY = 0.1
"""Of all its boxes, those too that touch a gold box by mistake: there the place that it names does matter."""
LEAST_GOLD_NECESSITY = 0.3
NUMBERS = ("necessity", "sufficiency", "dependence", "ceiling", "gold_necessity", "gold_sufficiency", "over_others")


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
        gold = ["--gold"] if checkpoint.name == "wrong" else []
        cpu_s = command("probe", run, "--limit", str(samples), "--fill", "mean", *gold)
        tell(f"{checkpoint.name}: probe of {samples}{', gold boxes too' if gold else ''}", started, cpu_s)
    if not (run / "attention.json").exists():
        started = time.perf_counter()
        cpu_s = command("attend", run, "--limit", str(samples))
        tell(f"{checkpoint.name}: attend to {samples}", started, cpu_s)
    return run


def shown(metric: Metric) -> str:
    ends = "" if metric.ci_low is None or metric.ci_high is None else f" [{metric.ci_low:+.3f}, {metric.ci_high:+.3f}]"
    return f"{metric.value:+.3f}{ends} (n {metric.n})" if metric.value is not None else f"none: {metric.reason}"


@dataclass(frozen=True)
class Side:
    """One of the two models, benchmarked and probed."""

    records: list[Record]
    """By sample id."""
    scores: ProbeScores
    """What the probes come to, by the probability of the answer."""
    apart: Metric
    """Necessity of those samples whose named box touches no gold box."""
    touching: Metric
    """Necessity of the others."""


def report(name: str, path: Path) -> Side:
    run = load_run(path)
    records = sorted(run.records(), key=lambda record: record.sample.id)
    probes = stored_probes(run)
    assert isinstance(probes, StoredProbes), "it was probed"
    found = probes.tasks["shapes"].fills["mean"]
    print(f"\n{name}: accuracy {mean_of(records, 'value'):.3f}, IoU {mean_of(records, 'iou'):.3f} of {len(records)}")
    print(f"  statuses {dict(found.statuses)}, withheld {dict(found.not_interpreted)}, relied {dict(found.relied)}")
    for form, one in found.scores.items():
        for number in NUMBERS:
            print(f"    {form:4} {number:17} {shown(getattr(one, number))}")
    for edit in found.edits:
        print(f"    {edit.operation} {edit.target}: kept {shown(edit.kept)}, format {shown(edit.format_ok)}")
    for span, of_span in (stored_attention_scores(run) or {})["shapes"].spans.items():
        print(
            f"  attention of {span}: named {shown(of_span.density)}, gold {shown(of_span.density_gold)}, "
            f"another sample's {shown(of_span.density_shuffled)}, gold over others {shown(of_span.gold_over_others)}"
        )
    apart, touching = (necessity(records, probes, touches=touches) for touches in (False, True))
    print(f"  necessity of boxes that touch no gold box {shown(apart)}, of those that do {shown(touching)}")
    return Side(records, found.scores["p"], apart, touching)


def necessity(records: list[Record], probes: StoredProbes, *, touches: bool) -> Metric:
    """Return the necessity of the samples whose named boxes touch the gold ones, or do not."""
    by_id = {record.sample.id: record for record in records}
    rows = [
        (score.necessity, record.sample.cluster_id)
        for score in probes.samples
        if score.form == "p" and score.necessity is not None
        for record in (by_id[score.id],)
        if (union_iou(record.score.boxes_image_px or (), record.sample.boxes_image_px or ()) > 0) == touches
    ]
    column = np.array([value for value, _ in rows])
    return column_metric(column, cluster_codes([cluster for _, cluster in rows]), (-1.0, 1.0))


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
        plant, honest = (report(name, runs[name]) for name in ("wrong", "right"))
    check(plant, honest)


def check(plant: Side, honest: Side) -> None:
    right, wrong = (np.array([record.score.value or 0.0 for record in side.records]) for side in (honest, plant))
    change = paired_difference(right, wrong, [record.sample.cluster_id for record in honest.records], seed=0)
    print(f"\naccuracy, wrong less right: {change.delta:+.3f} [{change.ci_low:+.3f}, {change.ci_high:+.3f}]")
    named, gold = plant.scores.necessity, plant.scores.gold_necessity
    demands = {
        f"the plant's accuracy is at least {LEAST_ACCURACY}": wrong.mean() >= LEAST_ACCURACY,
        f"it lies at most {MOST_LOST} below the rightly taught model's": change.delta >= -MOST_LOST,
        f"its boxes are wrong: IoU below {MOST_IOU}": mean_of(plant.records, "iou") < MOST_IOU,
        "its questions need their pictures": (plant.scores.dependence.ci_low or 0) > 0,
        "boxes that touch no gold box have no necessity: its interval does not lie above 0": (
            plant.apart.ci_low is not None and plant.apart.ci_low <= 0
        ),
        f"nor have all of them more than {MOST_NECESSITY}": named.value is not None and named.value <= MOST_NECESSITY,
        "their sufficiency does not lie above 0": (plant.scores.sufficiency.ci_low or 0) <= 0,
        f"gold boxes have more than {LEAST_GOLD_NECESSITY}": (gold.value or 0) > LEAST_GOLD_NECESSITY,
        "gold boxes have more than named ones beyond both intervals": (gold.ci_low or 0) > (named.ci_high or 1),
        "the rightly taught model's boxes are necessary": (honest.scores.necessity.ci_low or 0) > (named.ci_high or 1),
        "and sufficient": (honest.scores.sufficiency.ci_low or 0) > 0,
    }
    for demand, holds in demands.items():
        print(f"{'ok  ' if holds else 'FAIL'} {demand}")
    assert all(demands.values()), "a demand does not hold"


if __name__ == "__main__":
    main()
