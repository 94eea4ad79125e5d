"""Brings images to a model's own pixel grid before any backend sees them.

After this the processor's resize is the identity, so Hugging Face, vLLM and a server see the same pixels, and the input
size, which boxes in `input_px` are written in, is known without asking the backend.
"""

from __future__ import annotations

from PIL import Image

from harness.frames import smart_resize
from harness.values import PixelLimits, Size

_MAX_ROUNDS = 8
"""More roundings than any image needs to settle on a grid size."""


def grid_size(size: Size, limits: PixelLimits) -> Size:
    """Return the size that smart_resize gives and keeps: applied to it again, smart_resize changes nothing.

    One application is not always enough: an image as thin as one patch, or limits that lie close together, can be
    rounded over the other limit, and the processor would resize once more.

    Raises:
        ValueError: the image is too thin for the grid, or no grid size lies between the limits.
    """
    target = size
    for _ in range(_MAX_ROUNDS):
        before, target = target, smart_resize(target, limits)
        if before == target:
            return target
    raise ValueError(
        f"a {size.width}x{size.height} image fits no size between {limits.min_pixels} and {limits.max_pixels} pixels "
        f"with sides in multiples of {limits.factor}: raise --max-pixels or lower --min-pixels"
    )


def fit_to_grid(image: Image.Image, limits: PixelLimits | None) -> Image.Image:
    """Return the image at its grid size (bicubic); unchanged when it has that size or the model has no grid.

    Args:
        image: In mode RGB.
        limits: The model's pixel limits; None for a family that resizes in another way (square crops, tiles).

    Raises:
        ValueError: as `grid_size`.
    """
    if limits is None:
        return image
    target = grid_size(Size(image.width, image.height), limits)
    if (target.width, target.height) == image.size:
        return image
    return image.resize((target.width, target.height), Image.Resampling.BICUBIC)


def to_rgb(image: Image.Image) -> Image.Image:
    """Return the image in mode RGB, transparency laid on white: dropping alpha would show whatever hides below it."""
    if image.mode == "RGB":
        return image
    if image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info:
        coloured = image.convert("RGBA")
        ground = Image.new("RGBA", coloured.size, (255, 255, 255, 255))
        return Image.alpha_composite(ground, coloured).convert("RGB")
    return image.convert("RGB")
