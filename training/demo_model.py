"""Build the checkpoint of `satori-bench demo`: a tiny Qwen2.5-VL whose tokenizer knows the tiny Shapes benchmark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tasks.shapes import generate
from training.tiny_model import build_tiny_qwen2_5_vl

CORPUS_ROWS = 2_000
"""Training rows that the tokenizer is trained on; more add no new words."""


def shapes_corpus(rows: int, seed: int) -> Iterator[str]:
    """Yield questions and right answers of the tiny training split, one text a row."""
    for index in range(rows):
        row = generate("tiny", "train", index, seed)
        boxes = ",".join(f"[{','.join(str(edge) for edge in box)}]" for box in row.boxes_image_px)
        yield (
            f"{row.question} <caption>{row.caption}</caption><bbox>[{boxes}]</bbox><answer>{row.answers[0]}</answer>"
        )


def build_demo_checkpoint(folder: Path, *, seed: int) -> Path:
    """Save the tiny checkpoint into `folder`, unless it is there already, and return it."""
    if not (folder / "config.json").is_file():
        build_tiny_qwen2_5_vl(folder, shapes_corpus(CORPUS_ROWS, seed), seed=seed)
    return folder
