"""Keep small pictures of a run's images for its pages: media/<sha256>.webp, at most 256 pixels on the long edge.

Thumbnails are a convenience: whatever is wrong with an image, the run goes on without its picture.
"""

from __future__ import annotations

import os
import re
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

LONG_EDGE_PX = 256
"""Longest side of a thumbnail; smaller images keep their size."""

WEBP_QUALITY = 50
"""WebP's quality, 0 to 100."""


def write_thumbnail(media_dir: Path, image: Image, sha256: str) -> bool:
    """Write `media_dir/<sha256>.webp` unless it is there already; return whether it is there now.

    The image is not changed. The picture shows what `harness.image_grid.to_rgb` makes of it, as the model sees it.

    Args:
        media_dir: The run's media folder; made when missing.
        image: Any image of Pillow's.
        sha256: Hex digest of the image file; anything else (such as the empty text of an unknown one) gives False.

    Returns:
        False when the picture could not be made or written; never an error.
    """
    if not re.fullmatch(r"[0-9a-f]{64}", sha256):
        return False
    path = media_dir / f"{sha256}.webp"
    if path.exists():
        return True
    temporary = media_dir / f"{sha256}-{os.getpid()}-{threading.get_ident()}.tmp"
    try:
        from harness.image_grid import to_rgb  # noqa: PLC0415 - Pillow is loaded only where images are

        media_dir.mkdir(parents=True, exist_ok=True)
        _shrink(to_rgb(image)).save(temporary, format="WEBP", quality=WEBP_QUALITY)
        temporary.replace(path)
    except Exception:  # noqa: BLE001 - Pillow's decoders raise anything on a bad file, and no picture is worth a run
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        return False
    return True


def _shrink(image: Image) -> Image:
    from PIL.Image import Resampling  # noqa: PLC0415 - as above

    scale = LONG_EDGE_PX / max(image.size)
    if scale >= 1:
        return image
    width, height = (max(1, round(side * scale)) for side in image.size)
    return image.resize((width, height), Resampling.BICUBIC, reducing_gap=2.0)
