"""Cut a region out of a picture for a model that asks to see it closer, and say how large it is shown.

The rules, which a run's documentation states:

- A region is cut at the picture's edge. One of which nothing lies in the picture, or that has no area, shows nothing.
- Where a side is shorter than `LEAST_SIDE_PX`, or than 1/`MOST_RATIO` of the other, it is made that long about its
  middle, as far as the picture goes: a model sees nothing in a sliver. Not where a format's regions may lie in what
  was cut before: their numbers would then count on more than the model named.
- It is cut out of the picture as the benchmark has it, not out of what the model was shown, and goes to the model's own
  grid in one step: enlarged to at least `LEAST_CELLS` cells of the grid, or as many as the model's limits allow, as the
  tool of Qwen3-VL does (QwenLM/Qwen-Agent, image_zoom_in_qwen3vl.py). A model without a grid of ours gets it in its own
  size. Edges between two pixels stay where they are, so that numbers that count on a cut region are exact.
"""

from __future__ import annotations

from math import sqrt
from typing import Final

from PIL import Image

from harness.images.frames import MAX_ASPECT_RATIO
from harness.images.grid import grid_size
from harness.values import Box, PixelLimits, Size

LEAST_SIDE_PX: Final = 28.0
"""A shorter side of a region is made this long."""
MOST_RATIO: Final = 50.0
"""A side is made at least one of so many parts of the other."""
LEAST_CELLS: Final = 256
"""A region is enlarged to so many cells of the model's grid."""


def widened(region: Box, size: Size) -> Box:
    """Return a region with both sides long enough to show something.

    Args:
        region: In pixels of the picture, with area, and cut at its edges.
        size: Size of the picture.
    """
    x1, y1, x2, y2 = region
    least = max(LEAST_SIDE_PX, max(x2 - x1, y2 - y1) / MOST_RATIO)
    left, right = _long_enough(x1, x2, least, size.width)
    top, bottom = _long_enough(y1, y2, least, size.height)
    return left, top, right, bottom


def is_too_thin(region: Box) -> bool:
    """Whether no grid holds a region, as one side is too many times the other."""
    width, height = region[2] - region[0], region[3] - region[1]
    return max(width, height) > MAX_ASPECT_RATIO * min(width, height)


def size_shown(region: Box, limits: PixelLimits | None) -> Size:
    """Return the size in which a region is shown; its own in whole pixels without limits.

    Raises:
        ValueError: the region is too thin for a grid, or no grid size lies between the limits.
    """
    width, height = region[2] - region[0], region[3] - region[1]
    if limits is None:
        return Size(max(1, round(width)), max(1, round(height)))
    wanted = min(LEAST_CELLS * limits.factor**2, limits.max_pixels)
    scale = max(1.0, sqrt(wanted / (width * height)))
    return grid_size(Size(max(1, round(width * scale)), max(1, round(height * scale))), limits)


def cut_out(picture: Image.Image, region: Box, limits: PixelLimits | None) -> Image.Image:
    """Return a region of a picture in mode RGB as a model is shown it.

    Raises:
        ValueError: as `size_shown`.
    """
    shown = size_shown(region, limits)
    return picture.resize((shown.width, shown.height), Image.Resampling.BICUBIC, box=region)


def _long_enough(low: float, high: float, least: float, most: float) -> tuple[float, float]:
    """Return a side that is at least so long, about its middle, within 0 to `most`."""
    wanted = min(least, most)
    if high - low >= wanted:
        return low, high
    low = min(max(0.0, (low + high - wanted) / 2), most - wanted)
    return low, min(low + wanted, most)
