"""Build the checkpoint of `satori-bench demo`: a tiny Qwen2.5-VL whose tokenizer knows the tiny Shapes benchmark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.scoring.box_dialects import dialect_of_frame
from harness.values import Size, StageFormat
from tasks.prompts import SUFFIX, SYSTEM
from training.data.shapes import shapes_examples
from training.data.targets import target_text
from training.loop.tiny_model import build_tiny_qwen2_5_vl

CORPUS_ROWS = 2_000
"""Training rows that the tokenizer is trained on; more add no new words."""

_FORMATS: tuple[StageFormat, ...] = ("satori", "satori-think", "freeform")


def shapes_corpus(rows: int, seed: int, formats: Sequence[StageFormat] = _FORMATS) -> Iterator[str]:
    """Yield questions and right answers of the tiny training split in the formats by turns, one text a row."""
    for number, example in enumerate(shapes_examples("tiny", rows, seed)):
        form = formats[number % len(formats)]
        yield f"{example.question} {target_text(example, form, dialect_of_frame('input_px'), Size(56, 56))}"


def build_demo_checkpoint(folder: Path, *, seed: int, formats: Sequence[StageFormat] = _FORMATS) -> Path:
    """Save the tiny checkpoint into `folder`, unless it is there already, and return it.

    The benchmark's instructions become single tokens: the prompts are those of every other model, word for word, and
    cost this one a few tokens instead of five hundred.

    Args:
        folder: Where it goes.
        seed: Of its weights and of the texts that its tokenizer is made of.
        formats: What it will be asked for.
    """
    if not (folder / "config.json").is_file():
        instructions = [text for form in formats for text in (SYSTEM[form], SUFFIX[form])]
        corpus = shapes_corpus(CORPUS_ROWS, seed, formats)
        build_tiny_qwen2_5_vl(folder, corpus, whole_texts=instructions, seed=seed)
    return folder
