"""Speed of a rescore: stored lines read, decoded and scored again, per second; then the whole `rescore` beside it.

Measured in seconds of this process on a CPU, so that what else the machine does counts little.

Two kinds of rows, each in a journal of its own: multiple choice with a caption and a box in the text but no gold for
them (MMStar), and Shapes with gold caption, two written boxes and gold boxes. No text and no reference occurs twice.

    python -P tests/bench/bench_rescore.py
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from harness.evaluation.predictions import rescore_record
from harness.evaluation.rescore import rescore_run
from harness.runs.journal import read_records
from harness.runs.manifest import Manifest, TaskManifest, stamp_hashes
from harness.runs.store import load_run, open_run
from harness.scoring.box_dialects import dialect_named
from harness.scoring.score import score
from harness.summary.run_summary import summarise_records
from harness.values import Generation, Record, Sample, ScoreConfig, Size
from tasks.shapes import ShapesExample, examples

ROWS = 10_000
REPEATS = 3
CONFIG = ScoreConfig(protocol="strict", format="satori", box_dialect=dialect_named("input_px"))
WORDS = [
    "a",
    "the",
    "small",
    "large",
    "red",
    "old",
    "wooden",
    "metal",
    "man",
    "woman",
    "dog",
    "near",
    "behind",
    "table",
    "street",
    "window",
    "holding",
    "with",
    "and",
]


def mmstar_records(rng: random.Random) -> Iterator[Record]:
    """Yield multiple-choice rows."""
    for place in range(ROWS):
        choices = {letter: f"{rng.choice(WORDS)} {rng.choice(WORDS)} {place % 97}" for letter in "ABCD"}
        sample = Sample(
            id=str(place), task="mmstar", answer_rule="choice", question=f"Which of these is number {place}?",
            answers=(rng.choice("ABCD"),), choices=choices, category="coarse perception", l2_category="image scene",
            image_size=Size(640, 480), image_sha256=f"{place:064x}", extra={"index": place},
        )  # fmt: skip
        letter = rng.choice("ABCD")
        answer = rng.choice([letter, f"{letter}.", f"{letter}. {choices[letter]}", choices[letter], "I am not sure"])
        said = " ".join(rng.choice(WORDS) for _ in range(16))
        box = [rng.randint(0, 300), rng.randint(0, 200), rng.randint(301, 640), rng.randint(201, 470)]
        text = f"<caption>{said}.</caption>\n<bbox>[{box}]</bbox>\n<answer>{answer}</answer>"
        yield scored(sample, text, Size(644, 476))


def shapes_records(rng: random.Random) -> Iterator[Record]:
    """Yield grounded rows: a caption that is nearly right, and two boxes."""
    for example in examples("full", "benchmark", ROWS):
        size = Size(example.width, example.height)
        sample = Sample(
            id=example.id, task="shapes", answer_rule="accepted", question=example.question, answers=example.answers,
            category=example.kind, cluster=example.scene.sha256, caption=example.caption, image_size=size,
            boxes_image_px=tuple((float(a), float(b), float(c), float(d)) for a, b, c, d in example.boxes_image_px),
            image_sha256=example.scene.sha256, extra={"scene": example.scene.sha256},
        )  # fmt: skip
        yield scored(sample, _reply(rng, example), Size(448, 448))


def _reply(rng: random.Random, example: ShapesExample) -> str:
    said = " ".join(rng.choice(WORDS) if rng.random() < 0.2 else word for word in example.caption.split())
    boxes = [list(box) for box in example.boxes_image_px][:2]
    boxes += [[9, 9, 90, 90]] * (2 - len(boxes))
    shifted = [[max(0, edge + rng.randint(-8, 8)) for edge in box] for box in boxes]
    answer = rng.choice([example.answers[0], "red", "2", "no"])
    return f"<caption>{said}</caption>\n<bbox>{shifted}</bbox>\n<answer>{answer}</answer>"


def scored(sample: Sample, text: str, seen: Size) -> Record:
    """Return the record of one answer."""
    earned = score(sample, text, CONFIG, input_size=seen)
    return Record(sample, Generation(text, seen, 321, 64, 0.0123), earned)


def measure(name: str, records: Iterator[Record], root: Path) -> dict[str, float]:
    """Store the records as a run; return the rates."""
    kept = list(records)
    manifest = stamp_hashes(
        Manifest(
            model=name, weights_hash="0" * 64, adapter_hash=None, config_hash="", model_type="qwen2_5_vl", backend="hf",
            format=CONFIG.format, protocol=CONFIG.protocol, box_dialect=CONFIG.box_dialect, box_dialect_reason="given",
            pixel_limits=None, generation={}, prompt_hash="", seed=0, packages={}, scorer_version=1, created_utc="",
            tasks={name: TaskManifest("", "", None, "", len(kept), len(kept))},
        )
    )  # fmt: skip
    with open_run(root, manifest, now=datetime.now(UTC)) as run:
        for record in kept:
            run.journal.append(record)
        folder = run.publish(summarise_records(kept, CONFIG).to_json(), now=datetime.now(UTC))
    journal = folder / "samples.jsonl"
    stored = list(read_records(journal))
    rates = {
        "read": _rate(lambda: sum(1 for _ in read_records(journal))),
        "score": _rate(lambda: [rescore_record(record, CONFIG) for record in stored]),
        "read and score": _rate(lambda: sum(1 for record in read_records(journal) if rescore_record(record, CONFIG))),
        "whole rescore": _rate(lambda: rescore_run(load_run(folder), "strict")),
    }
    assert all(rescore_record(record, CONFIG) == record for record in stored), "a rescore changed a value"
    return rates


def _rate(work: Callable[[], object]) -> float:
    """Return samples per second, the best of some repeats."""
    times: list[float] = []
    for _ in range(REPEATS):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return ROWS / min(times)


def main() -> None:
    """Measure both kinds and print the table."""
    with tempfile.TemporaryDirectory() as scratch:
        found = {
            "mmstar": measure("mmstar", mmstar_records(random.Random(1)), Path(scratch)),
            "shapes": measure("shapes", shapes_records(random.Random(2)), Path(scratch)),
        }
    print(f"rescore, {ROWS:,} rows each, samples a second   (wanted: 5,000)")
    for what in next(iter(found.values())):
        print(f"  {what:<16}" + "".join(f"  {name} {rates[what]:9,.0f}" for name, rates in found.items()))


if __name__ == "__main__":
    main()
