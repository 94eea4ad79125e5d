"""Read what a checkpoint attended to while it wrote a text: one forward over the prompt and the tokens that it wrote.

Nothing is generated: the tokens are those of the run. A forward over all of them gives the rows that generation had,
so the run may have been made anywhere, as long as its tokens were kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Any, Final, cast

import numpy as np
import torch
from numpy.typing import NDArray

from harness.images.cells import CellGrid, grid_of_middle, grid_of_whole_image
from harness.models.attention_rows import check_watchable, rows_of_spans, watched
from harness.models.base import Prompt
from harness.models.hf import SatoriHF
from harness.models.input_sizes import Tensors
from harness.values import Size

_OF_TOKENS: Final = ("mm_token_type_ids", "token_type_ids")
"""Tensors beside the mask that say something of each token; 0 is text."""


@dataclass(frozen=True, slots=True)
class AttentionOfText:
    """Where the rows of one text's spans attended."""

    grid: CellGrid
    """The cells of its picture."""
    spans: tuple[NDArray[np.float64] | None, ...]
    """For each span its attention to the cells, (rows, columns); its sum is the share of the attention that goes to the
    picture at all. None for a span without tokens."""
    layers: int
    """Layers over which it is the mean."""
    layers_passed_over: int
    """Layers with a sliding window, which are not in it."""


@dataclass(frozen=True, slots=True)
class WrittenText:
    """A text to be read."""

    prompt: Prompt
    """Its question, about one picture."""
    image_size: Size
    """Of the original picture."""
    output_ids: Sequence[int]
    """What the model wrote."""
    spans: Sequence[Sequence[int]]
    """Places in `output_ids` of the tokens of each span; as many spans for all texts of a batch."""


def attention_of_texts(model: SatoriHF, texts: Sequence[WrittenText]) -> list[AttentionOfText]:
    """Return where the spans of texts attended, with one forward over all of them.

    The row of a token is the one that predicts it.

    Raises:
        ConfigError: The family's attention cannot be read.
        RuntimeError: The picture's tokens are none of the grid that the processor tells.
    """
    check_watchable(model.checkpoint.model_type)
    inputs = model.model_inputs([text.prompt for text in texts])
    width = inputs["input_ids"].shape[1]
    tensors = with_written(inputs, [text.output_ids for text in texts], model)
    spans = [[[width + place - 1 for place in span] for span in text.spans] for text in texts]
    rows, weights = rows_of_spans(spans, model.device)
    with (
        torch.inference_mode(),
        model.remembered([text.prompt for text in texts]),
        watched(model.module, rows, weights) as seen,
    ):
        model.module(**tensors, use_cache=False, logits_to_keep=1)
    attention = seen.attention
    found: list[AttentionOfText] = []
    for number, text in enumerate(texts):
        columns = (inputs["input_ids"][number] == _picture_token(model)).nonzero()[:, 0]
        grid = _grid(model, inputs, number, len(columns), text.image_size)
        maps = attention[number][:, columns].double().numpy().reshape(-1, grid.rows, grid.columns)
        kept = tuple(one if span else None for one, span in zip(maps, text.spans, strict=True))
        found.append(AttentionOfText(grid, kept, len(seen.layers), len(seen.passed_over)))
    return found


def with_written(inputs: Tensors, output_ids: Sequence[Sequence[int]], model: SatoriHF) -> dict[str, Any]:
    """Return a batch's inputs on the device with what was written behind the prompts, padded on the right."""
    tensors: dict[str, torch.Tensor] = model.on_device(cast("Any", inputs))
    longest = max(map(len, output_ids))
    written = torch.zeros((len(output_ids), longest), dtype=torch.long)
    mask = torch.zeros((len(output_ids), longest), dtype=torch.long)
    for number, ids in enumerate(output_ids):
        written[number, : len(ids)] = torch.tensor(list(ids), dtype=torch.long)
        mask[number, : len(ids)] = 1
    behind: Mapping[str, torch.Tensor] = {"input_ids": written, "attention_mask": mask}
    for name, tensor in behind.items():
        tensors[name] = torch.cat([tensors[name], tensor.to(tensors[name])], dim=1)
    for name in _OF_TOKENS:
        if name in tensors:
            tensors[name] = torch.cat([tensors[name], torch.zeros_like(written).to(tensors[name])], dim=1)
    return tensors


def _picture_token(model: SatoriHF) -> int:
    """Return the token that stands for a cell of a picture."""
    config = cast("Any", model.module).config
    named = getattr(config, "image_token_id", None)
    return cast("int", config.image_token_index if named is None else named)


def _grid(model: SatoriHF, inputs: Tensors, number: int, tokens: int, image: Size) -> CellGrid:
    """Return the cells of a prompt's one picture."""
    settings = cast("Any", model.image_processor)
    if "image_grid_thw" in inputs:
        frames, rows, columns = cast("list[int]", inputs["image_grid_thw"][number].tolist())  # pyright: ignore[reportUnknownMemberType]  # untyped
        merge = cast("int", settings.merge_size)
        if frames != 1 or rows * columns != tokens * merge**2:
            raise RuntimeError(f"{tokens} tokens of a picture are no grid of {rows} x {columns} patches")
        return grid_of_whole_image(rows // merge, columns // merge, image)
    side = isqrt(tokens)
    if side * side != tokens:
        raise RuntimeError(f"{tokens} tokens of a picture are no square")
    if not getattr(settings, "do_center_crop", False):
        return grid_of_whole_image(side, side, image)
    crop = Size(int(settings.crop_size["width"]), int(settings.crop_size["height"]))
    return grid_of_middle(side, side, image, shortest_edge=int(settings.size["shortest_edge"]), crop=crop)
