"""Images of samples: whatever a row holds becomes bytes, a size, a hash or RGB pixels.

Pixels are used as stored: an EXIF orientation is not applied, as hub datasets decode them too, so that gold boxes and
other systems' scores keep their frame. Colours are those of `harness.image_grid.to_rgb`: transparency is laid on white,
and grey levels beyond 8 bits are scaled. Sizes and hashes are those of the file as stored, whatever its colours become.
"""

from __future__ import annotations

import binascii
import hashlib
import io
import re
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from PIL import Image, ImageFile

from harness.image_grid import to_rgb
from harness.values import Size

MAX_IMAGE_PIXELS = 89_478_485
"""A larger image is refused as a decompression bomb (the number from which Pillow warns)."""

_DECODER_FAULTS = (
    Image.DecompressionBombError,
    EOFError,
    IndexError,
    KeyError,
    MemoryError,
    OSError,
    OverflowError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What Pillow's decoders raise on broken files."""

_DATA_URI = re.compile(r"data:[^,]{0,100},")


class UnreadableImageError(OSError):
    """An image is missing or broken: its sample becomes an unscored record, the run goes on."""


UnreadableImage = UnreadableImageError
"""Short name."""


class ImageSource(Protocol):
    """Whatever can hand out the bytes of a row's image."""

    def image_bytes(self, row: int) -> bytes:
        """Return the image file of a row as stored; raises UnreadableImageError."""
        ...

    def image_facts(self, row: int) -> ImageFacts:
        """Return hash and size of a row's image; raises UnreadableImageError."""
        ...


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What scoring needs to know of an image, without its pixels."""

    sha256: str
    """Hex digest of the image file as stored."""
    size: Size
    """Width and height in pixels."""


@dataclass(frozen=True, slots=True)
class StoredImage:
    """A row's image that is read only when somebody looks at it."""

    source: ImageSource
    """Where the bytes are."""
    row: int
    """Row number in the source."""

    @property
    def bytes(self) -> bytes:
        """The image file as stored; read anew each time, raises UnreadableImageError."""
        return self.source.image_bytes(self.row)

    @property
    def sha256(self) -> str:
        """Hex digest of the image file; raises UnreadableImageError."""
        return self.source.image_facts(self.row).sha256

    @property
    def size(self) -> Size | None:
        """Width and height in pixels, without decoding the pixels; None when the image is unreadable."""
        try:
            return self.source.image_facts(self.row).size
        except UnreadableImageError:
            return None

    def open(self) -> Image.Image:
        """Decode the image to RGB; raises UnreadableImageError."""
        return decode_rgb(self.bytes)


def facts_of(data: bytes) -> ImageFacts:
    """Hash an image file and read its size from the header; raises UnreadableImageError."""
    with _header(data) as image:
        return ImageFacts(hashlib.sha256(data).hexdigest(), Size(*image.size))


def decode_rgb(data: bytes) -> Image.Image:
    """Decode an image file to RGB pixels; a truncated file is unreadable, never silently grey.

    Raises:
        UnreadableImageError: The bytes are no image, a broken one, or a decompression bomb.
    """
    # lmms-eval switches this global on at import, which fills the missing part of a truncated file with grey. It is
    # set back before every decoding and not restored after it: other threads may be decoding at the same time.
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    with _header(data) as image:
        return _pixels_of(image)


def open_image(value: object) -> Image.Image:
    """Return RGB pixels of whatever a row holds: a stored or PIL image, `{bytes, path}`, bytes, or base64 text.

    Raises:
        UnreadableImageError: There is no image, or it is broken.
    """
    if isinstance(value, Image.Image):
        return _pixels_of(value)
    return decode_rgb(image_bytes_of(value))


def _pixels_of(image: Image.Image) -> Image.Image:
    """Return a new image with the decoded RGB pixels; raises UnreadableImageError."""
    try:
        rgb = to_rgb(image)
        return rgb.copy() if rgb is image else rgb
    except _DECODER_FAULTS as fault:
        raise UnreadableImageError(f"the image cannot be decoded: {fault}") from fault


def image_facts_of(value: object) -> ImageFacts | None:
    """Return hash and size of whatever a row holds, or None where that is unreadable.

    A fault of the whole file that a stored image lies in is not the image's, and goes up.
    """
    if isinstance(value, StoredImage):
        try:
            return value.source.image_facts(value.row)
        except UnreadableImageError:
            return None
    try:
        if isinstance(value, Image.Image):  # already decoded elsewhere: the file's bytes are gone, hash the pixels
            digest = hashlib.sha256(f"{value.mode}{value.size}".encode() + value.tobytes())
            return ImageFacts(digest.hexdigest(), Size(*value.size))
        return facts_of(image_bytes_of(value))
    except (UnreadableImageError, *_DECODER_FAULTS):
        return None


def image_bytes_of(value: object) -> bytes:
    """Return the image file of whatever a row holds, as stored; a PIL image is encoded as PNG.

    Raises:
        UnreadableImageError: There is no image, or base64 text that is none.
    """
    if isinstance(value, StoredImage):
        return value.bytes
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, str):
        return _from_base64(value)
    if isinstance(value, Image.Image):
        buffer = io.BytesIO()
        value.save(buffer, format="PNG")
        return buffer.getvalue()
    if isinstance(value, Mapping):
        return _from_mapping(cast("Mapping[str, Any]", value))
    raise UnreadableImageError("the row has no image" if value is None else f"{type(value).__name__} is no image")


def _from_mapping(value: Mapping[str, Any]) -> bytes:
    """Read the hub's image struct."""
    data, path = value.get("bytes"), value.get("path")
    if data:
        return bytes(data)
    if path and Path(str(path)).is_file():
        try:
            return Path(str(path)).read_bytes()
        except OSError as fault:
            raise UnreadableImageError(f"the image file {path} cannot be read: {fault}") from fault
    raise UnreadableImageError(f"the image has no bytes, and its path is {path!r}")


def _from_base64(text: str) -> bytes:
    """Decode base64 text, with or without a data-URI prefix and line breaks."""
    prefix = _DATA_URI.match(text)
    body = text[prefix.end() :] if prefix else text
    try:
        try:
            data = binascii.a2b_base64(body, strict_mode=True)
        except binascii.Error:  # line breaks are rare, and a second try is cheaper than looking for them
            data = binascii.a2b_base64("".join(body.split()), strict_mode=True)
    except (binascii.Error, ValueError) as fault:
        raise UnreadableImageError(f"the image is not base64 text: {fault}") from fault
    if not data:
        raise UnreadableImageError("the row has no image")
    return data


def _header(data: bytes) -> Image.Image:
    """Open an image file without decoding its pixels."""
    try:
        image = Image.open(io.BytesIO(data))
    except _DECODER_FAULTS as fault:
        reason = "it has no bytes" if not data else str(fault).split(" <")[0]
        raise UnreadableImageError(f"the image cannot be read: {reason}") from fault
    width, height = image.size
    if width < 1 or height < 1 or width * height > MAX_IMAGE_PIXELS:
        image.close()
        raise UnreadableImageError(f"the image has {width} x {height} pixels; at most {MAX_IMAGE_PIXELS} are allowed")
    return image
