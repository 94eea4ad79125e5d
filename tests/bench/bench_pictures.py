"""Questions that share a picture: with the memory of picture features, and without it, in the same process.

A random Qwen2.5-VL whose vision tower and text model stand to each other as those of the 3-billion-parameter one do,
pictures of 640x480, four questions each (as MMBench's passes) and two (as MME's pairs), and one, where memory cannot
help and must not cost. Greedy, equal token limits; both arms must give equal tokens. Arms take turns; medians.

    python -P tests/bench/bench_pictures.py
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import torch
from PIL import Image
from skimage import data as photographs

from harness.images.grid import fit_to_grid
from harness.models.base import Prompt, Turn
from harness.models.decoding import Decoding
from harness.models.hf import SatoriHF
from training.loop.tiny_model import TinyShape, build_tiny_qwen2_5_vl

PICTURES = 4
BATCH = 8
NEW_TOKENS = 16
ROUNDS = 3
SHAPE = TinyShape(hidden=512, layers=6, heads=8, feed_forward=1408, vision_layers=6)
LEAST = {4: 2.0, 2: 1.3, 1: 0.95}
"""Questions a picture, and the least ratio that is promised."""


def pictures(model: SatoriHF) -> list[Image.Image]:
    photograph = Image.fromarray(photographs.astronaut()).resize((640, 480))
    return [fit_to_grid(photograph.rotate(9 * n), model.pixel_limits) for n in range(PICTURES)]


def seconds(model: SatoriHF, prompts: list[Prompt], *, remembering: bool) -> tuple[float, list[tuple[int, ...]]]:
    """Ask batch by batch, from an empty memory."""
    model._features.forget()
    model._features.serves = remembering
    started = time.perf_counter()
    tokens = [w.token_ids for n in range(0, len(prompts), BATCH) for w in model.write_batch(prompts[n : n + BATCH])]
    return time.perf_counter() - started, tokens


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        path = build_tiny_qwen2_5_vl(Path(folder), ["Where is it? <answer>A</answer> [[0, 1, 2, 3]]"] * 50, shape=SHAPE)
        model = SatoriHF(str(path), device="cpu")
    shown = pictures(model)
    print("questions a picture   as it was, s   remembering, s   ratio")
    for asked, least in LEAST.items():
        prompts = [
            Prompt("t", asked * n + k, 0, (Turn("user", (shown[n], f"Question {k}?")),), Decoding(NEW_TOKENS))
            for n in range(PICTURES)
            for k in range(asked)
        ]
        rounds = [
            (seconds(model, prompts, remembering=False), seconds(model, prompts, remembering=True))
            for _ in range(ROUNDS)
        ]
        assert all(plain[1] == kept[1] for plain, kept in rounds), "the arms answered differently"
        ratio = statistics.median(plain[0] / kept[0] for plain, kept in rounds)
        plain_s, kept_s = (statistics.median(arm[0] for arm in arms) for arms in zip(*rounds, strict=True))
        print(f"{asked:19}   {plain_s:12.1f}   {kept_s:14.1f}   {ratio:4.2f}x (at least {least}x)")
        assert ratio >= least, f"{ratio:.2f}x, and {least}x is promised"


if __name__ == "__main__":
    main()
