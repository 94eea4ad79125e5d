"""What a probe costs: one request list in batches of one size, weighed at once, against each edited picture anew.

A random Qwen2.5-VL; pictures of two sizes, k = 3, one filling, so ten questions a picture, each with a text and the
probability of a given answer in the middle of it. `anew` asks and weighs one edited picture after another, each from
its prompt; `probe` asks the list as `satori-bench probe` does, and weighs while the features of the pictures are still
known. Both run in this process, taking turns; tokens have to be equal and probabilities within rounding. `overhead` is
what is not the model's own: edits, opening, bookkeeping.

    python -P tests/bench/bench_probes.py
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from skimage import data as photographs

from harness.images.grid import fit_to_grid
from harness.models.answer_probability import AnswerAfter, answer_log_probabilities
from harness.models.base import Prompt, Turn
from harness.models.decoding import Decoding
from harness.models.hf import SatoriHF
from harness.probes.fills import edited
from harness.probes.variants import ProbedRegions, ProbePlan, planned
from harness.values import Size
from training.loop.tiny_model import TinyShape, build_tiny_qwen2_5_vl

SIZES = (Size(320, 240), Size(240, 320))
SAMPLES = 8
BATCH = 8
NEW_TOKENS = 32
ROUNDS = 3
SHAPE = TinyShape(hidden=128, layers=4, heads=4, feed_forward=352, vision_layers=4)
MOST = 0.6
"""Share of the cost of asking anew that is promised."""


def prompts_of(model: SatoriHF) -> tuple[list[Prompt], float]:
    """Return one question an edited picture, pictures of one size together, and the seconds that edits took."""
    made: list[Prompt] = []
    started = time.perf_counter()
    for number in range(SAMPLES):
        size = SIZES[number * len(SIZES) // SAMPLES]
        pixels = np.asarray(
            Image.fromarray(photographs.astronaut()).rotate(9 * number).resize((size.width, size.height))
        )
        box = (40 + 5 * number, 60, 110 + 5 * number, 130)
        variants, _ = planned(ProbePlan(fills=("mean",)), ("t", str(number)), ProbedRegions((box,)), size)
        for variant in variants:
            image = Image.fromarray(edited(pixels, variant.operation, variant.boxes_px, variant.fill))
            turns = (Turn("user", (fit_to_grid(image, model.pixel_limits), f"Question {number}: what is there?")),)
            made.append(Prompt("t", len(made), 0, turns, Decoding(NEW_TOKENS)))
    return made, time.perf_counter() - started


def asked(model: SatoriHF, prompts: list[Prompt], batch: int, *, remembering: bool) -> tuple[float, list, list[float]]:
    """Ask and weigh; return seconds, tokens, logarithms of probabilities."""
    model._features.forget()
    started = time.perf_counter()
    tokens: list[tuple[int, ...]] = []
    logs: list[float] = []
    for first in range(0, len(prompts), batch):
        part = prompts[first : first + batch]
        written = [one.token_ids for one in model.write_batch(part)]
        if not remembering:
            model._features.forget()
        middles = [AnswerAfter(p, ids[: len(ids) // 2], (17, 23)) for p, ids in zip(part, written, strict=True)]
        logs += answer_log_probabilities(model, middles)
        tokens += written
    return time.perf_counter() - started, tokens, logs


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        path = build_tiny_qwen2_5_vl(Path(folder), ["Where is it? <answer>A</answer> [[0, 1, 2, 3]]"] * 50, shape=SHAPE)
        model = SatoriHF(str(path), device="cpu")
    prompts, edits_s = prompts_of(model)
    times: dict[str, list[float]] = {"anew": [], "probe": []}
    for _ in range(ROUNDS):
        anew_s, anew, anew_logs = asked(model, prompts, 1, remembering=False)
        probe_s, probe, probe_logs = asked(model, prompts, BATCH, remembering=True)
        assert anew == probe, "tokens differ"
        assert np.allclose(anew_logs, probe_logs, atol=1e-3), "probabilities differ"
        times["anew"].append(anew_s)
        times["probe"].append(probe_s)
    anew_s, probe_s = (statistics.median(times[arm]) for arm in ("anew", "probe"))
    print(f"{len(prompts)} edited pictures of {SAMPLES} samples: anew {anew_s:.1f} s, probe {probe_s:.1f} s")
    print(f"ratio {probe_s / anew_s:.2f} (at most {MOST}), overhead {edits_s / probe_s:.1%}")
    assert probe_s / anew_s <= MOST, "the probe costs more than is promised"


if __name__ == "__main__":
    main()
