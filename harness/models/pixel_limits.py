"""Between how many pixels an image processor keeps a picture: read from its files, and set as a person asks.

Two kinds, each a table. Those of the first resize as Qwen2-VL's does, to multiples of a patch group between two numbers
of pixels; `harness/images/frames.py` has the same arithmetic, so pictures are brought to that grid before anybody sees
them. Those of the second resize by a rule of their own between limits that are counted in pixels, patches or tokens:
their pictures are handed over as they are, and only the setting is changed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from harness.errors import ConfigError
from harness.models.checkpoint_files import CheckpointError, JsonObject
from harness.values import Json, PixelLimits


@dataclass(frozen=True, slots=True)
class _Grid:
    """What an image processor assumes where its file is silent."""

    min_pixels: int
    """Least pixels after the resize."""
    max_pixels: int
    """Most pixels after the resize."""
    patch_px: int
    """Side of a patch."""
    merge: int
    """Patches that become one token, along a side."""
    takes_names: bool = True
    """Whether `min_pixels` and `max_pixels` of its file count; ERNIE's goes by `size` alone."""


# transformers 5.24, models/*/image_processing_*.py; tests/harness/test_pixel_limits.py holds them to the classes.
GRIDS: Final[Mapping[str, _Grid]] = MappingProxyType(
    {
        "Qwen2VLImageProcessor": _Grid(56 * 56, 28 * 28 * 1280, 14, 2),
        "CohereCompassImageProcessor": _Grid(56 * 56, 28 * 28 * 1280, 14, 2),
        "Ernie4_5_VLMoeImageProcessor": _Grid(56 * 56, 28 * 28 * 6177, 14, 2, takes_names=False),
        "HunYuanVLImageProcessor": _Grid(512 * 512, 2048 * 2048, 16, 2),
        "HYV4VLImageProcessor": _Grid(512 * 512, 2048 * 2048, 16, 2),
        "MiniMaxM3VLImageProcessor": _Grid(56 * 56, 28 * 28 * 576, 14, 2),
        "VideoLlama3ImageProcessor": _Grid(56 * 56, 28 * 28 * 1280, 14, 1),
    }
)
"""Image processors that resize as Qwen2-VL's does, by class."""


@dataclass(frozen=True, slots=True)
class _Own:
    """How an image processor that resizes by its own rule is told its limits."""

    lower: str | None
    """Setting of the least, with a dot where it is inside of another one; None where there is none."""
    upper: str
    """Setting of the most."""
    patch_px: int = 1
    """Side of a patch where the file is silent, and limits count patches or tokens; 1 where they count pixels."""
    merge: int = 1
    """Patches that become one token, along a side, where limits count tokens."""
    frames: int = 1
    """Frames that a picture counts for, where limits count those of a video."""


OWN: Final[Mapping[str, _Own]] = MappingProxyType(
    {
        "Glm4vImageProcessor": _Own("size.shortest_edge", "size.longest_edge", frames=2),
        "Glm46VImageProcessor": _Own("size.shortest_edge", "size.longest_edge", frames=2),
        "GlmgaImageProcessor": _Own("size.shortest_edge", "size.longest_edge", frames=2),
        "Cosmos3EdgeImageProcessor": _Own("size.shortest_edge", "size.longest_edge"),
        "PaddleOCRVLImageProcessor": _Own("size.shortest_edge", "size.longest_edge"),
        "Apertus1p5ImageProcessor": _Own("size.min_pixels", "size.max_pixels"),
        "Kimi_K25ImageProcessor": _Own(None, "max_patches", patch_px=14),
        "NemotronH_Omni_Reasoning_V3ImageProcessor": _Own("min_num_patches", "max_num_patches", patch_px=16),
        "Glm5NextImageProcessor": _Own("min_image_tokens", "max_image_tokens", patch_px=14, merge=2),
        "MuseGlimmerImageProcessor": _Own(None, "max_image_tokens", patch_px=14, merge=2),
    }
)
"""Image processors that resize by a rule of their own between limits, by class."""

# What transformers calls the same class for other backends.
_BACKEND: Final = re.compile(r"(Fast|Pil)\Z")


def grid_limits(config: JsonObject, name: str | None, folder: Path) -> PixelLimits | None:
    """Return the pixel limits of an image processor that resizes as Qwen2-VL's does; None for any other.

    Args:
        config: The image processor's file.
        name: Its class, as transformers calls it now; None when not known.
        folder: Where the file lies, for the words of an error.

    Raises:
        CheckpointError: the limits are no numbers, or contradict each other.
    """
    usual = GRIDS.get(_class(name))
    if usual is None:
        return None
    size = config.get("size")
    edges = size if isinstance(size, dict) else {}
    # As in transformers: named pixel limits win over `size`, whose edges count pixels here in spite of their name.
    named = config if usual.takes_names else {}
    low = _whole("min_pixels", folder, named.get("min_pixels"), edges.get("min_pixels"), edges.get("shortest_edge"),
                 usual.min_pixels)  # fmt: skip
    high = _whole("max_pixels", folder, named.get("max_pixels"), edges.get("max_pixels"), edges.get("longest_edge"),
                  usual.max_pixels)  # fmt: skip
    factor = _whole("patch_size", folder, config.get("patch_size"), usual.patch_px) * _whole(
        "merge_size", folder, config.get("merge_size"), usual.merge
    )
    if low > high:
        raise CheckpointError(
            f"{folder}: the image processor's min_pixels {low} is above its max_pixels {high}; swap or correct them"
        )
    return PixelLimits(low, high, factor)


def has_own_limits(name: str | None) -> bool:
    """Whether an image processor resizes by a rule of its own between limits that can be set."""
    return _class(name) in OWN


def own_settings(
    config: JsonObject, name: str, min_pixels: int | None, max_pixels: int | None
) -> dict[str, int | dict[str, int]]:
    """Return the settings that hold an image processor with limits of its own to these numbers of pixels.

    Settings inside of another one are given inside of a dictionary of its name, the others by theirs.

    Raises:
        ConfigError: the limits contradict each other, hold no patch group, or the class has no lower one.
    """
    own = OWN[_class(name)]
    patch_px, merge = config.get("patch_size"), config.get("merge_size")
    group_px = 1
    if own.patch_px > 1:
        group_px = patch_px if isinstance(patch_px, int) and patch_px > 0 else own.patch_px
    if own.merge > 1:
        group_px *= merge if isinstance(merge, int) and merge > 0 else own.merge
    if min_pixels is not None and own.lower is None:
        raise ConfigError(f"{name} has an upper limit alone: leave --min-pixels out")
    if max_pixels is not None and max_pixels < max(min_pixels or 1, group_px * group_px):
        raise ConfigError(
            f"pixel limits {min_pixels or 1} to {max_pixels}: the upper one must hold the lower one, and one group of "
            f"{group_px} x {group_px} pixels"
        )
    settings: dict[str, int | dict[str, int]] = {}
    for setting, pixels in ((own.lower, min_pixels), (own.upper, max_pixels)):
        if setting is None or pixels is None:
            continue
        units = max(1, pixels * own.frames // (group_px * group_px))
        outer, _, inner = setting.partition(".")
        if inner:
            held = settings.setdefault(outer, {})
            assert isinstance(held, dict), "a setting is a number or holds numbers, never both"
            held[inner] = units
        else:
            settings[outer] = units
    return settings


def _class(name: str | None) -> str:
    """Return the class that stands in the tables; empty where none is known."""
    return _BACKEND.sub("", name or "")


def _whole(field: str, folder: Path, *candidates: Json) -> int:
    """Return the first value that is given.

    Raises:
        CheckpointError: it is no whole number above 0.
    """
    value = next(candidate for candidate in candidates if candidate is not None)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise CheckpointError(f"{folder}: the image processor's {field} is {value!r}; set it to a whole number")
    return value
