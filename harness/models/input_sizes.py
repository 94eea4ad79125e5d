"""How large the model saw each picture, from what its processor returned.

Processors tell it in different ways, each a row here. What is told is the resized picture, so that a box in its pixels
scales back to the original by its two sides. Where a processor fills a picture up to its grid, what it tells is more
than the picture; that is found by showing it a white one, and such a size counts as not known. So do tiles and crops.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Protocol, cast

import torch
from PIL import Image

from harness.values import Size

_RESIZED_SIZES: Final = frozenset({"PixtralImageProcessor", "Apertus1p5ImageProcessor", "Emu3ImageProcessor"})
"""Classes whose `image_sizes` are those after the resize; LLaVA-NeXT's and others' are the originals'."""
_PROBE_SIZES: Final = ((97, 61), (640, 475), (61, 301))
"""Widths and heights of which no grid is a multiple; small and large, since some fill up large pictures alone."""
_CHANNELS: Final = 3


class Tensors(Protocol):
    """Model inputs by name."""

    def __getitem__(self, name: str, /) -> torch.Tensor: ...
    def __contains__(self, name: object, /) -> bool: ...


class ImageProcessor(Protocol):
    """What is used of an image processor."""

    def __call__(self, **arguments: object) -> Tensors:
        """Return a model's inputs of pictures."""
        ...


def _of_grid_thw(rows: Sequence[Sequence[int]], patch_px: int) -> list[Size]:
    return [Size(columns * patch_px, lines * patch_px) for _, lines, columns in rows]


def _of_grid_hw(rows: Sequence[Sequence[int]], patch_px: int) -> list[Size]:
    return [Size(columns * patch_px, lines * patch_px) for lines, columns in rows]


def _of_sizes(rows: Sequence[Sequence[int]], patch_px: int) -> list[Size]:  # noqa: ARG001 - they are in pixels
    return [Size(width, height) for height, width in rows]


_TOLD: Final[Mapping[str, Callable[[Sequence[Sequence[int]], int], list[Size]]]] = MappingProxyType(
    {"image_grid_thw": _of_grid_thw, "image_grid_hw": _of_grid_hw, "image_sizes": _of_sizes}
)
"""By the tensor's name, what its rows say: one row a picture, in the order of the prompts' pictures."""


def told_sizes(inputs: Tensors, image_processor: object) -> list[Size] | None:
    """Return the size of each picture of a batch as its processor told it; None where it told none.

    Padding is not seen here: see `fills_up`.
    """
    patch = getattr(image_processor, "patch_size", None)
    own_class = type(image_processor).__name__.removesuffix("Fast").removesuffix("Pil")
    for name, read in _TOLD.items():
        if name not in inputs or (name == "image_sizes") != (own_class in _RESIZED_SIZES):
            continue
        if name == "image_sizes" or isinstance(patch, int):
            rows = cast("list[list[int]]", inputs[name].tolist())  # pyright: ignore[reportUnknownMemberType]  # untyped
            return read(rows, patch if isinstance(patch, int) else 1)
    return None


def fills_up(image_processor: ImageProcessor) -> bool:
    """Whether an image processor adds pixels beside a picture: a white one then holds more than white.

    Yes where it cannot be found out, so that no size is trusted that may be a canvas's.
    """
    try:
        return any(_holds_more_than_white(image_processor, size) for size in _PROBE_SIZES)
    except Exception:  # noqa: BLE001 - processors raise what they like, some only take a picture with a text
        return True


def _holds_more_than_white(image_processor: ImageProcessor, size: tuple[int, int]) -> bool:
    """Whether a white picture becomes more values than white has after the three channels were normalised."""
    values = image_processor(images=[Image.new("RGB", size, "white")], return_tensors="pt")["pixel_values"]
    scales = [getattr(image_processor, name, None) or (0.0,) for name in ("image_mean", "image_std")]
    white = set(zip(*(scale if len(scale) > 1 else scale * _CHANNELS for scale in scales), strict=True))
    found = torch.unique(values.float().round(decimals=2))  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]  # untyped
    return cast("torch.Tensor", found).numel() > len(white)
