"""Questions about squares, and a tiny Qwen2.5-VL that knows them by heart: untaught it names no box to be probed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import torch
from PIL import Image

from harness.models.attending import with_written
from harness.models.base import Prompt
from harness.models.hf import SatoriHF
from harness.models.replay import SatoriReplay
from harness.values import PixelLimits
from tasks.run import run_benchmarks
from tasks.run_spec import RunEnvironment, RunSpec
from training.loop.tiny_model import build_tiny_qwen2_5_vl

ROWS = 6
SIZE = (112, 84)
SIDE = 28
MOST_PIXELS = 112 * 112
COLOURS = ("red", "green", "blue", "white")
LEARNT_BELOW = 0.01
"""Mean loss of a token at which every greedy token is the taught one."""
MOST_STEPS = 400
LEAST_LETTERS = 20
"""Shorter words are learnt as others."""


class Silent:
    """Listens to nothing."""

    def task_started(self, task, rows, answered):
        pass

    def sample_recorded(self, record):
        pass

    def task_finished(self, task):
        pass


def surroundings(load_model=None) -> RunEnvironment:
    return RunEnvironment(
        now=lambda: datetime.now(UTC), say=lambda _: None, listener=Silent(), packages={}, load_model=load_model
    )


def place_of(row: int) -> list[int]:
    """Return where the square of a row lies, in pixels of its picture."""
    left, top = 28 * (row % 4), 28 * (row // 4 % 2)
    return [left, top, left + SIDE, top + SIDE]


def with_box(prompt: Prompt) -> str:
    row = prompt.doc_id
    return f"<caption>a square</caption><bbox>[{place_of(row)}]</bbox><answer>{COLOURS[row % 4]}</answer>"


def with_call(prompt: Prompt) -> str:
    """Call for the square's place first, and answer when it is shown."""
    if prompt.said:
        return f"<answer>{COLOURS[prompt.doc_id % 4]}</answer>"
    call = {"name": "image_zoom_in_tool", "arguments": {"bbox_2d": place_of(prompt.doc_id), "img_idx": 0}}
    return f"<tool_call>\n{json.dumps(call)}\n</tool_call>"


class Listening(SatoriReplay):
    """Answers as it is told to, and keeps what it was asked."""

    def __init__(self, say: Callable[[Prompt], str]):
        super().__init__(lambda *_: "", pixel_limits=PixelLimits(784, MOST_PIXELS))
        self.say, self.heard = say, []

    def generate_batch(self, prompts):
        self.heard += prompts
        found = super().generate_batch(prompts)
        return [replace(one, text=self.say(prompt)) for one, prompt in zip(found, prompts, strict=True)]


def write_questions(folder: Path) -> Path:
    """Write the benchmark, a picture each."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["id\tquestion\tanswers\tboxes\timage_path"]
    for row in range(ROWS):
        image = Image.linear_gradient("L").resize(SIZE).convert("RGB")
        left, top, *_ = place_of(row)
        image.paste(COLOURS[row % 4], tuple(place_of(row)))
        image.paste((30 * row,) * 3, (left + 4, top + 4, left + 12, top + 12))  # no two squares are alike
        image.save(folder / f"{row}.png")
        lines.append(f"r{row}\tcolour {row}?\t{COLOURS[row % 4]}\t{json.dumps([place_of(row)])}\t{row}.png")
    (folder / "rows.tsv").write_text("\n".join(lines) + "\n")
    (folder / "own.yaml").write_text("task: own\nsatori: {answer_rule: accepted, data: rows.tsv}\n")
    return folder / "own.yaml"


def spec_of(tasks: Path, model: object, out: Path, *, zoom: bool, **changes) -> RunSpec:
    """Return how the questions are asked, with boxes or with the tool."""
    form = {"form": "qwen-zoom", "tool": "zoom"} if zoom else {"form": "satori"}
    asked = {"max_pixels": MOST_PIXELS, "max_new_tokens": 120, **form, **changes}
    return RunSpec(model=str(model), tasks=str(tasks), out=out, **asked)


def teach(folder: Path, tasks: Path) -> Path:
    """Teach a model all questions, as a run asks them, until it knows every token; returns the checkpoint."""
    base = build_tiny_qwen2_5_vl(folder / "base", ["colour"])  # its family tells a run how boxes are written
    model = Listening(with_box)
    run_benchmarks(spec_of(tasks, base, folder / "heard", zoom=False), surroundings(lambda _: model))
    heard = [(prompt, with_box(prompt)) for prompt in model.heard]
    lines = [set("\n".join(_asked(prompt)).splitlines()) for prompt, _ in heard]
    # what all questions have in common costs a model of this size no time as a token a line
    common = sorted(line for line in set.intersection(*lines) if len(line) > LEAST_LETTERS)
    corpus = [*(text for _, text in heard), *(f"colour {row}?" for row in range(ROWS))] * 4
    checkpoint = build_tiny_qwen2_5_vl(folder / "taught", corpus, whole_texts=common)
    _learn(SatoriHF(str(checkpoint), device="cpu"), heard, checkpoint)
    return checkpoint


def _asked(prompt: Prompt) -> list[str]:
    return [part for turn in prompt.turns for part in turn.parts if isinstance(part, str)]


def _learn(model: SatoriHF, heard: Sequence[tuple[Prompt, str]], folder: Path) -> None:
    end = model._inputs.tokenizer.eos_token_id
    inputs = model.model_inputs([prompt for prompt, _ in heard])
    width = inputs["input_ids"].shape[1]
    tensors = with_written(inputs, [[*model.ids_of(text), end] for _, text in heard], model)
    targets = tensors["input_ids"][:, width:].clone()
    targets[tensors["attention_mask"][:, width:] == 0] = -100
    model.module.requires_grad_(True)
    optimizer = torch.optim.AdamW(model.module.parameters(), lr=2e-3)
    for step in range(MOST_STEPS):
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * min(1.0, (step + 1) / 20)
        logits = model.module(**tensors, use_cache=False).logits[:, width - 1 : -1].float()
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100)
        if loss.item() < LEARNT_BELOW:
            break
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.module.parameters(), 1.0)
        optimizer.step()
    else:
        raise AssertionError(f"not learnt: loss {loss.item():.4f}")
    model.module.save_pretrained(folder)
