"""Brings images to a model's own pixel grid before any backend sees them.

After this the processor's resize is the identity, so Hugging Face, vLLM and a server see the same pixels, and the input
size, which boxes in `input_px` are written in, is known without asking the backend.
"""

from __future__ import annotations

from PIL import Image

from harness.images.frames import smart_resize
from harness.images.pictures import upright
from harness.values import PixelLimits, Size

_MAX_ROUNDS = 8
"""More roundings than any image needs to settle on a grid size."""
_WHITE_OF_16_BITS = 65535.0


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
    """Return the image upright in 8-bit RGB, such an image as it is: what a model sees, and what a page shows of it.

    Transparency is laid on white: dropping alpha would show whatever hides below it. Grey levels beyond 8 bits are
    scaled down, where Pillow would cut them off at 255 and leave a nearly white image:

    - 16 bits by 257, so that white stays white;
    - whole numbers of 32 bits as they are when 8 bits hold them, as 16 bits when those do, else by their range;
    - floats by 255 when they lie in 0 to 1, as they are when 8 bits hold them, else by their range; NaN is black.

    A range always includes 0, so that only negative levels are darker than 0.
    """
    image = upright(image)
    if image.mode in {"I", "F"} or image.mode.startswith("I;16"):
        return _to_8_bits(image).convert("RGB")
    if image.has_transparency_data:
        coloured = image.convert("RGBA")
        ground = Image.new("RGBA", coloured.size, (255, 255, 255, 255))
        return Image.alpha_composite(ground, coloured).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _to_8_bits(image: Image.Image) -> Image.Image:
    """Scale grey levels to 0 to 255, as `to_rgb` says."""
    import numpy as np  # noqa: PLC0415 - images of this kind are rare

    levels = np.asarray(image.convert("F"))
    known = levels[np.isfinite(levels)]
    lowest, highest = (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)
    black, white = _span(image.mode, lowest, highest)
    shares = (np.nan_to_num(levels, nan=black, posinf=white, neginf=black) - black) / (white - black)
    return Image.fromarray(np.rint(shares.clip(0, 1) * 255).astype(np.uint8))


def _span(mode: str, lowest: float, highest: float) -> tuple[float, float]:
    """Return the grey levels that become black and white."""
    if mode.startswith("I;16"):
        return 0.0, _WHITE_OF_16_BITS
    whites = (1.0, 255.0) if mode == "F" else (255.0, _WHITE_OF_16_BITS)
    if lowest >= 0:
        return 0.0, next((white for white in whites if highest <= white), highest)
    return lowest, max(highest, 0.0)
