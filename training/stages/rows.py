"""Turn examples into the rows that TRL's trainers read: the benchmark's own prompt, the image at the model's grid.

A row is made when it is asked for, so memory stays flat. Prompts are those of `tasks/prompts.py`, word for word: a
model is benchmarked with what it was trained on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from datasets import Dataset

from harness.images.grid import fit_to_grid, to_rgb
from harness.values import SATORI_LIST, BoxDialect, PixelLimits, Size, StageFormat
from tasks.images import decode_rgb
from tasks.prompts import messages
from training.data.example import Example
from training.data.targets import target_text

Row: TypeAlias = dict[str, Any]
"""What TRL reads of one example."""


@dataclass(frozen=True, slots=True)
class RowMaker:
    """How examples become rows."""

    stage: Literal["sft", "grpo"]
    """SFT rows have a completion to learn, GRPO rows the sample that rewards need."""
    format: StageFormat
    """Stages that are asked for."""
    box_dialect: BoxDialect | None
    """How the model is to write boxes; None only for formats without boxes."""
    pixel_limits: PixelLimits | None
    """The model's grid; None hands images over as they are."""
    has_system_role: bool
    """Whether system turns stay turns of their own."""
    keeps_originals: bool = False
    """Whether rows hold the picture as the data have it too, for a tool that cuts regions out of it."""

    def row(self, example: Example) -> Row:
        """Return the row of one example."""
        original = to_rgb(decode_rgb(example.image))
        image = fit_to_grid(original, self.pixel_limits)
        input_size = Size(*image.size)
        row: Row = {"prompt": prompt_turns(self.format, example.question, folds_system=not self.has_system_role)}
        row["images"] = [image]
        if self.stage == "sft":
            text = target_text(example, self.format, self.box_dialect or SATORI_LIST, input_size)
            row["completion"] = [{"role": "assistant", "content": [{"type": "text", "text": text}]}]
        else:
            row["sample"] = example.sample()
            row["input_size"] = input_size
        if self.keeps_originals:
            row["original"] = original
        return row


def prompt_turns(form: StageFormat, question: str, *, folds_system: bool) -> list[dict[str, Any]]:
    """Return the chat turns of a prompt in TRL's form: the image is a placeholder that TRL fills.

    `folds_system` puts the instructions at the head of the user's turn, as `harness/models/chat_inputs.py` does for a
    chat template without a system role.
    """
    turns = [
        {"role": turn["role"], "content": [_part(part) for part in turn["content"]]}
        for turn in messages(form, question, None)
    ]
    if folds_system and turns[0]["role"] == "system":
        system, user = turns
        instructions = {"type": "text", "text": system["content"][0]["text"] + "\n\n"}
        return [{"role": "user", "content": [instructions, *user["content"]]}]
    return turns


def as_dataset(examples: Sequence[Example], maker: RowMaker, chosen: Sequence[int] | None = None) -> Dataset:
    """Return examples as the data set that TRL wants, rows made on the fly.

    Args:
        examples: Where examples come from.
        maker: How they become rows.
        chosen: Numbers of the examples to use, in this order; None uses all.
    """
    numbers = list(chosen) if chosen is not None else list(range(len(examples)))
    return Dataset.from_dict({"number": numbers}).with_transform(_Transform(examples, maker))


class _Transform:
    """Makes rows of example numbers, a batch at a time."""

    def __init__(self, examples: Sequence[Example], maker: RowMaker) -> None:
        self._examples = examples
        self._maker = maker

    def __call__(self, batch: Mapping[str, Sequence[int]]) -> dict[str, list[Any]]:
        # GRPO asks for a prompt once per completion, one after the other: its image is decoded once
        made = {number: self._maker.row(self._examples[number]) for number in dict.fromkeys(batch["number"])}
        rows = [made[number] for number in batch["number"]]
        return {name: [_own(row[name]) for row in rows] for name in rows[0]} if rows else {}


def _own(value: Any) -> Any:
    """Return a list of one's own: TRL fills images into the turns that it is given."""
    return [dict(item) if isinstance(item, dict) else item for item in value] if isinstance(value, list) else value


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    """Return a content part without the image itself."""
    return {"type": "image"} if part["type"] == "image" else {"type": "text", "text": part["text"]}
