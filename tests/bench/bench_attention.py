"""What watching attention costs beside the forward that it watches, and beside eager attention.

A random Qwen2.5-VL, pictures of 640x480 (391 tokens) and texts of 200 tokens, of which the rows of boxes and answer (40)
and, apart, those of the caption too (160) are watched. One forward each: under sdpa without watching, watched, and eager
with its matrices kept. CPU seconds; arms take turns; medians. The vision tower ran before: the text model alone is what is watched.

    python -P tests/bench/bench_attention.py
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
from PIL import Image
from skimage import data as photographs

from harness.images.grid import fit_to_grid
from harness.models.attending import WrittenText, _with_written, attention_of_texts
from harness.models.base import Prompt, Turn
from harness.models.decoding import Decoding
from harness.models.hf import SatoriHF
from harness.values import Size
from training.loop.tiny_model import TinyShape, build_tiny_qwen2_5_vl

TEXTS = 4
TOKENS = 200
ROUNDS = 5
MOST = 1.15
SHAPE = TinyShape(hidden=512, layers=6, heads=8, feed_forward=1408, vision_layers=6)
SPANS = {
    "boxes and answer": (range(100, 130), range(190, 200)),
    "caption too": (range(120), range(130, 160), range(190, 200)),
}


def texts(model: SatoriHF, spans: tuple[range, ...]) -> list[WrittenText]:
    photograph = Image.fromarray(photographs.astronaut()).resize((640, 480))
    ids = model.ids_of("Where is it? <answer>A</answer>")
    written = (ids * TOKENS)[:TOKENS]
    return [
        WrittenText(
            Prompt("t", n, 0, (Turn("user", (fit_to_grid(photograph.rotate(9 * n), model.pixel_limits), "Where?")),), Decoding(1)),
            Size(640, 480), written, spans,
        )
        for n in range(TEXTS)
    ]  # fmt: skip


def forward(model: SatoriHF, batch: list[WrittenText], *, eager: bool) -> int:
    """Ask without watching; returns the bytes of attention that eager keeps."""
    prompts = [text.prompt for text in batch]
    tensors = _with_written(model.model_inputs(prompts), batch, model)
    with torch.inference_mode(), model.remembered(prompts):
        found = model.module(**tensors, use_cache=False, logits_to_keep=1, output_attentions=eager)
    return sum(one.nelement() * one.element_size() for one in found.attentions) if eager else 0


def main() -> int:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        path = build_tiny_qwen2_5_vl(Path(folder), ["Where is it? <answer>A</answer> [[0, 1, 2, 3]]"] * 50, shape=SHAPE)
        model = SatoriHF(str(path), device="cpu")
    failed = 0
    print("watched            rows   forward, s   watched, s   ratio   eager, s   kept   eager keeps")
    for name, spans in SPANS.items():
        batch, spent = texts(model, spans), {"plain": [], "watched": [], "eager": []}
        kept_bytes = eager_bytes = 0
        for _ in range(ROUNDS):
            for arm, seconds in spent.items():
                if arm == "eager":
                    model.module.set_attn_implementation({"text_config": "eager"})
                started = time.process_time()
                if arm == "watched":
                    found = attention_of_texts(model, batch)
                    kept_bytes = sum(span.nbytes for text in found for span in text.spans)
                else:
                    eager_bytes = forward(model, batch, eager=arm == "eager") or eager_bytes
                seconds.append(time.process_time() - started)
                model.module.set_attn_implementation({"text_config": "sdpa"})
        plain, watching, eager = (statistics.median(seconds) for seconds in spent.values())
        ratio = watching / plain
        rows = sum(map(len, spans))
        print(
            f"{name:17} {rows:5}   {plain:10.2f}   {watching:10.2f}   {ratio:5.3f}   {eager:8.2f}"
            f"   {kept_bytes / 1024:.0f} KiB   {eager_bytes / 2**20:.0f} MiB"
        )
        failed += ratio > MOST
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
