"""Make stored runs of invented answers to real Shapes questions: right or wrong, near or far, with faults.

The runs go through the real scorer and the real run store; only the texts are invented. Loaded by path, as tests are no
package (fixture `invented_runs`).
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from PIL import Image

from harness.images.thumbnails import write_thumbnail
from harness.runs.journal import read_records
from harness.runs.manifest import Manifest, TaskManifest, stamp_hashes
from harness.runs.store import open_run
from harness.scoring.box_dialects import dialect_named
from harness.scoring.score import SCORER_VERSION, score, score_error
from harness.summary.run_summary import summarise_records
from harness.values import Box, Generation, PixelLimits, Record, Sample, ScoreConfig, Size
from tasks.shapes import examples

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@dataclass(frozen=True)
class Question:
    """A sample with its picture."""

    sample: Sample
    png: bytes | None


@dataclass(frozen=True)
class Answerer:
    """How well an invented model does. Shares of samples, in [0, 1]."""

    name: str
    right: float = 0.6
    near: float = 0.6
    together: float = 0.7
    """How often a wrong place makes a wrong answer."""
    broken: float = 0.03
    seed: int = 0
    weights: str = ""
    failed: int = 0
    """How many of the first samples its server does not answer."""


def shapes_questions(n: int, profile: str = "full", *, pictures: bool = True) -> list[Question]:
    """Return the first rows of the Shapes benchmark."""
    found = []
    for example in examples(profile, "benchmark", n):  # type: ignore[arg-type]
        png = example.png() if pictures else None
        sample = Sample(
            id=example.id,
            task="shapes",
            answer_rule="accepted",
            question=example.question,
            answers=example.answers,
            category=example.kind,
            cluster=example.scene.sha256,
            boxes_image_px=tuple(tuple(float(side) for side in box) for box in example.boxes_image_px),  # type: ignore[misc]
            caption=example.caption,
            image_size=Size(example.width, example.height),
            image_sha256=hashlib.sha256(png).hexdigest() if png else "",
        )
        found.append(Question(sample, png))
    return found


def many_questions(n: int) -> list[Question]:
    """Return text-only questions, quickly, on 640 x 480 pictures that nobody has."""
    kinds = ("colour", "count", "existence", "position", "relation")
    found = []
    for number in range(n):
        x, y = 37 * number % 480, 53 * number % 320
        found.append(
            Question(
                Sample(
                    id=f"sample-{number:06d}",
                    task="shapes",
                    answer_rule="accepted",
                    question=f"What is in region {number % 977} of scene {number}, left of mark {number % 89}?",
                    answers=(f"thing {number % 13}",),
                    category=kinds[number % len(kinds)],
                    boxes_image_px=((float(x), float(y), x + 120.0, y + 110.0),),
                    caption=f"a scene of {number % 7 + 2} things on a wooden table beside a window, number {number}",
                    image_size=Size(640, 480),
                ),
                None,
            )
        )
    return found


def invented_text(question: Question, who: Answerer, rng: np.random.Generator) -> str:
    """Return one answer of an invented model."""
    sample = question.sample
    gold = (sample.boxes_image_px or ((0.0, 0.0, 10.0, 10.0),))[0]
    near = rng.random() < who.near
    right = rng.random() < who.right and (near or rng.random() > who.together)
    boxes = [_moved(gold, 0.12 if near else 1.1, rng, sample.image_size or Size(100, 100))]
    answer = (sample.answers or ("?",))[0] if right else str(rng.choice(["red", "two", "left", "I cannot tell"]))
    caption = sample.caption or "" if rng.random() < 0.5 else "some coloured shapes on a plain ground"
    written = [list(map(int, box)) for box in boxes]
    text = f"<caption>{caption}</caption>\n<bbox>{written}</bbox>\n<answer>{answer}</answer>"
    if rng.random() < who.broken:
        text = str(
            rng.choice([text.removesuffix("</answer>"), text.replace("bbox", "box"), answer, text.replace("]]", "]")])
        )
    return text


def invent_run(
    root: Path,
    who: Answerer,
    questions: Sequence[Question],
    *,
    text_of: Callable[[Question, Answerer, np.random.Generator], str] = invented_text,
    config: ScoreConfig | None = None,
    prompt: str | None = None,
    **changes: object,
) -> Path:
    """Store a finished run of invented answers; `changes` replace fields of its manifest."""
    config = config or ScoreConfig(box_dialect=dialect_named("image_px"))
    rng = np.random.default_rng([who.seed, len(who.name)])
    counts: dict[str, int] = {}
    for question in questions:
        counts[question.sample.task] = counts.get(question.sample.task, 0) + 1
    manifest = Manifest(
        model=who.name,
        weights_hash=who.weights or hashlib.sha256(who.name.encode()).hexdigest(),
        adapter_hash=None,
        config_hash="c" * 64,
        model_type="qwen2_5_vl",
        backend="hf",
        format=config.format,
        protocol=config.protocol,
        box_dialect=config.box_dialect,
        box_dialect_reason="given",
        pixel_limits=PixelLimits(200_704, 401_408),
        generation={"temperature": 0.0, "max_new_tokens": 256},
        tasks={
            task: TaskManifest(
                yaml_hash="1" * 64,
                dataset_path="embedded",
                dataset_revision=None,
                fingerprint="2" * 64,
                rows=n,
                samples=n,
            )
            for task, n in counts.items()
        },
        prompt_hash="3" * 64,
        seed=who.seed,
        packages={"satori-bench": "0.1.0"},
        scorer_version=SCORER_VERSION,
        created_utc="",
    )
    manifest = stamp_hashes(replace(manifest, **changes))  # type: ignore[arg-type]
    with open_run(root, manifest, now=NOW, resume=False) as run:
        for place, question in enumerate(questions):
            text = text_of(question, who, rng)
            earned = score(question.sample, text, config)
            generation = Generation(text, output_tokens=len(text) // 4, prompt=prompt)
            if place < who.failed:
                generation, earned = Generation("", error="no reply"), score_error()
            run.journal.append(Record(question.sample, generation, earned))
            if question.png is not None:
                write_thumbnail(run.media_folder, Image.open(io.BytesIO(question.png)), question.sample.image_sha256)
        run.journal.sync()
        summary = summarise_records(read_records(run.journal.path), config, seed=manifest.seed)
        return run.publish(summary.to_json(), now=NOW)


def _moved(box: Box, by: float, rng: np.random.Generator, size: Size) -> Box:
    """Return a box pushed by about `by` of its own width and height, inside the picture."""
    x1, y1, x2, y2 = box
    dx, dy = (x2 - x1) * by * rng.uniform(-1, 1), (y2 - y1) * by * rng.uniform(-1, 1)
    left, top = min(max(x1 + dx, 0), size.width - 2), min(max(y1 + dy, 0), size.height - 2)
    return (left, top, min(max(x2 + dx, left + 1), size.width), min(max(y2 + dy, top + 1), size.height))
