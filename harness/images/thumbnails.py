"""Keep small pictures of a run's images for its pages: media/<sha256>.webp, at most 256 pixels on the long edge.

Thumbnails are a convenience: whatever is wrong with an image, the run goes on without its picture. They are made beside
the model, in a thread; a process that is killed leaves the few without a picture that were still waiting.
"""

from __future__ import annotations

import io
import math
import re
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from harness.files import DamagedRunError, RunFiles, make_folder, put_file

if TYPE_CHECKING:
    from PIL.Image import Image

LONG_EDGE_PX = 256
"""Longest side of a thumbnail; smaller images keep their size."""

WEBP_QUALITY = 50
"""WebP's quality, 0 to 100."""

_WEBP_METHOD = 2
"""How long WebP looks for a shorter file, 0 to 6: its usual 4 takes 3.7 ms a photograph; 2 takes 1.7, and 6 % more."""

MAX_BYTES = 256 * 1024
"""More than the pixels of a thumbnail take when they are not compressed at all, and those of a sheet compressed."""

SHEET_EDGE_PX = 512
"""Longest side of a thumbnail that shows several pictures."""

_GAP_PX = 8
"""White between pictures that stand side by side."""

_MOST_IN_A_LINE = 3
"""More pictures than this stand in several lines."""

_MOST_WAITING = 4
"""Questions whose pictures wait for their thumbnail at most: they are held in memory whole."""

_DIGEST = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"media/([0-9a-f]{64})\.webp")


def side_by_side(images: Sequence[Image]) -> Image:
    """Return one picture of several, line by line from left to right; one alone is returned as it is.

    Pictures that are shown twice stand there twice. Each is made small first, so that memory stays that of thumbnails.
    """
    if len(images) == 1:
        return images[0]
    from PIL import Image as pictures  # noqa: N813, PLC0415 - as below; the name is a module's there

    small = [_shrink(image, LONG_EDGE_PX) for image in images]
    columns = len(small) if len(small) <= _MOST_IN_A_LINE else math.ceil(math.sqrt(len(small)))
    lines = [small[first : first + columns] for first in range(0, len(small), columns)]
    width = max(sum(image.width for image in line) + _GAP_PX * (len(line) - 1) for line in lines)
    heights = [max(image.height for image in line) for line in lines]
    sheet = pictures.new("RGB", (width, sum(heights) + _GAP_PX * (len(lines) - 1)), "white")
    top = 0
    for line, height in zip(lines, heights, strict=True):
        left = 0
        for image in line:
            sheet.paste(image, (left, top))
            left += image.width + _GAP_PX
        top += height + _GAP_PX
    return sheet


def write_thumbnail(media_dir: Path, image: Image, sha256: str, *, long_edge_px: int = LONG_EDGE_PX) -> bool:
    """Write `media_dir/<sha256>.webp` unless it is there already; return whether it is there now.

    The image is not changed. The picture shows what `harness.images.grid.to_rgb` makes of it, as the model sees it.

    Args:
        media_dir: The run's media folder; made when missing.
        image: Any image of Pillow's.
        sha256: Hex digest of the image file; anything else (such as the empty text of an unknown one) gives False.
        long_edge_px: Longest side; a sheet of several pictures may have `SHEET_EDGE_PX`.

    Returns:
        False when the picture could not be made or written; never an error.
    """
    if not _DIGEST.fullmatch(sha256):
        return False
    path = media_dir / f"{sha256}.webp"
    if path.is_file() and not path.is_symlink():
        return True
    try:
        from harness.images.grid import to_rgb  # noqa: PLC0415 - Pillow is loaded only where images are

        content = io.BytesIO()
        _shrink(to_rgb(image), long_edge_px).save(content, format="WEBP", quality=WEBP_QUALITY, method=_WEBP_METHOD)
        media_dir.parent.mkdir(parents=True, exist_ok=True)
        make_folder(media_dir)
        put_file(path, content.getvalue())
    except Exception:  # noqa: BLE001 - Pillow's decoders raise anything on a bad file, and no picture is worth a run
        return False
    return True


class ThumbnailThread:
    """Makes a run's thumbnails in a thread of its own, so that the model needn't wait; Pillow works beside Python."""

    def __init__(self, media_dir: Path) -> None:
        """Begin with nothing to do; the thread starts with the first picture."""
        self._media_dir = media_dir
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="satori-thumbnails")
        self._waiting: deque[Future[bool]] = deque()
        self._begun: set[str] = set()

    def add(self, images: Sequence[Image], sha256: str) -> None:
        """Have a thumbnail made of a question's pictures, unless it is being made; waits where too many wait.

        Args:
            images: The pictures in order, at least one; nobody may change them from now on.
            sha256: Hex digest that names them; anything else makes no file.
        """
        if sha256 in self._begun:
            return
        self._begun.add(sha256)
        if len(self._waiting) == _MOST_WAITING:
            self._waiting.popleft().exception()  # no picture is worth a run
        self._waiting.append(self._pool.submit(self._made, tuple(images), sha256))

    def finish(self) -> None:
        """Wait until every thumbnail is there."""
        while self._waiting:
            self._waiting.popleft().exception()

    def close(self) -> None:
        """Wait, and end the thread."""
        self.finish()
        self._pool.shutdown()

    def _made(self, images: Sequence[Image], sha256: str) -> bool:
        edge_px = LONG_EDGE_PX if len(images) == 1 else SHEET_EDGE_PX
        return write_thumbnail(self._media_dir, side_by_side(images), sha256, long_edge_px=edge_px)


def read_thumbnail(files: RunFiles, sha256: str) -> bytes | None:
    """Return a run's thumbnail of an image; None where the run has none.

    Args:
        files: The run's files, which may be a stranger's.
        sha256: Hex digest of the image file; anything else has no thumbnail.

    Raises:
        DamagedRunError: what has its name is a link, was changed, or is no WebP file of a thumbnail's size.
        OSError: it cannot be read.
    """
    name = f"media/{sha256}.webp"
    if not _DIGEST.fullmatch(sha256) or not files.holds(name):  # nothing but a digest may become a path
        return None
    content = files.read(name, MAX_BYTES)
    if not _is_webp(content):
        raise DamagedRunError.of(files.folder, name, "is no WebP picture")
    return content


def _is_webp(content: bytes) -> bool:
    """Tell whether this is one RIFF container of WebP, from its first byte to its last."""
    begins = content[:4] == b"RIFF" and content[8:12] == b"WEBP" and content[12:16] in (b"VP8 ", b"VP8L", b"VP8X")
    return begins and len(content) == 8 + int.from_bytes(content[4:8], "little")


def copy_thumbnails(files: RunFiles, media_dir: Path) -> None:
    """Copy the thumbnails that a published run vouches for; nothing else of its media folder.

    Raises:
        DamagedRunError: one is not what was published.
        OSError: the disk refuses.
    """
    for name in sorted(files.sums or ()):
        if found := _NAME.fullmatch(name):
            content = read_thumbnail(files, found[1])
            if content is not None:
                make_folder(media_dir)
                put_file(media_dir / f"{found[1]}.webp", content)


def _shrink(image: Image, long_edge_px: int) -> Image:
    from PIL.Image import Resampling  # noqa: PLC0415 - as above

    scale = long_edge_px / max(image.size)
    if scale >= 1:
        return image
    width, height = (max(1, round(side * scale)) for side in image.size)
    return image.resize((width, height), Resampling.BICUBIC, reducing_gap=2.0)
