"""Open picture files of strangers: only formats that benchmarks use, in bounded size, and turned upright.

A camera stores a picture lying and notes beside it (EXIF, XMP) how it is to be turned. Whoever drew a gold box saw it
upright, and `datasets` shows it so since 2.19. So every place that opens a picture turns it, by the same function:
evaluation, training, sizes, thumbnails. A note that is broken counts as none.
"""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Final

from PIL import Image

from harness.git_lfs import POINTER_MEND, POINTER_START
from harness.values import Size

PICTURE_FORMATS: Final = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
"""What is opened, in Pillow's names: the formats that benchmarks store. MPO, which phones write as .jpg, is JPEG here.

Pillow knows many more, some of which start programs from outside (EPS) or are read by rarely tested code.
"""
MAX_PICTURE_PIXELS: Final = 89_478_485
"""A larger picture is refused as a decompression bomb (the number from which Pillow warns)."""

DECODER_FAULTS: Final = (
    Image.DecompressionBombError,
    EOFError,
    IndexError,
    KeyError,
    MemoryError,
    OSError,
    OverflowError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What Pillow's decoders raise on broken files."""

_ORIENTATION: Final = 0x0112
"""The tag of EXIF and TIFF that says how a picture is turned (EXIF 2.32, 4.6.4; 1 is upright)."""
_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""Orientation to what makes the picture upright."""
_LYING: Final = frozenset({5, 6, 7, 8})
"""Orientations whose upright picture has width and height exchanged."""
_NOTES: Final = ("exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp")
"""Where Pillow keeps such a note; taken off what was turned, so that nobody turns it again."""
_NOTES_OF_PNG: Final = (b"eXIf", b"Raw profile type exif", b"XML:com.adobe.xmp")
"""How such a note begins in a PNG file, where it may stand behind the pixels."""

_STARTS: Final = (
    (b"%!PS", "PostScript (EPS)"),
    (b"\xc5\xd0\xd3\xc6", "PostScript (EPS)"),
    (b"%PDF", "a PDF"),
    (b"<svg", "an SVG drawing"),
    (b"<?xml", "an XML text"),
    (b"<!doctype", "a web page"),
    (b"<html", "a web page"),
    (POINTER_START, POINTER_MEND),
    (b"8BPS", "a Photoshop file"),
    (b"\x00\x00\x00\x0cjP", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\x00\x00\x01\x00", "an icon"),
    (b"\xd7\xcd\xc6\x9a", "a Windows metafile"),
)
"""First bytes, in any case, to what people hand in by mistake; only for messages."""


class UnreadablePictureError(OSError):
    """A picture is missing or broken: its sample becomes an unscored record, the run goes on."""


def open_picture(data: bytes) -> Image.Image:
    """Open a picture file without decoding its pixels; it is not turned yet.

    Raises:
        UnreadablePictureError: The bytes are no picture of `PICTURE_FORMATS`, a broken one, or a decompression bomb.
    """
    if not data:
        raise UnreadablePictureError("the image cannot be read: it has no bytes")
    try:
        image = Image.open(io.BytesIO(data), formats=PICTURE_FORMATS)
    except Image.UnidentifiedImageError as fault:
        raise UnreadablePictureError(f"the image cannot be read: {_found(data)}") from fault
    except DECODER_FAULTS as fault:
        raise UnreadablePictureError(f"the image cannot be read: {str(fault).split(' <')[0]}") from fault
    width, height = image.size
    if width < 1 or height < 1 or width * height > MAX_PICTURE_PIXELS:
        image.close()
        raise UnreadablePictureError(
            f"the image has {width} x {height} pixels; at most {MAX_PICTURE_PIXELS} are allowed"
        )
    return image


def read_picture(path: Path) -> Image.Image:
    """Return the decoded, upright picture in a file.

    Raises:
        UnreadablePictureError: There is no such file, or it is no picture that can be opened.
    """
    try:
        data = path.read_bytes()
    except OSError as fault:
        raise UnreadablePictureError(f"the image file {path} cannot be read: {fault.strerror or fault}") from fault
    with open_picture(data) as image:
        try:
            return upright(image)
        except DECODER_FAULTS as fault:
            raise UnreadablePictureError(f"the image file {path} cannot be decoded: {fault}") from fault


def stored_orientation(image: Image.Image, data: bytes) -> int:
    """Return how the pixels of an opened file are to be turned, 1 to 8, decoding them only where that is needed.

    Args:
        image: What `open_picture` made of the file.
        data: The file.
    """
    if image.format == "TIFF":
        return 1  # Pillow turns these itself: their size and pixels are upright already
    if image.format == "PNG":
        # Pillow decodes a PNG whole to look for a note behind the pixels; a search of the bytes costs far less.
        return _orientation(image) if any(mark in data for mark in _NOTES_OF_PNG) else 1
    return _orientation(image)


def upright_size(image: Image.Image, orientation: int) -> Size:
    """Return the size of an opened picture once it is turned by its orientation."""
    width, height = image.size
    return Size(height, width) if orientation in _LYING else Size(width, height)


def upright(image: Image.Image) -> Image.Image:
    """Return a picture turned as its note says; the same object where there is nothing to turn.

    Raises:
        One of `DECODER_FAULTS` where the pixels cannot be decoded.
    """
    image.load()  # a TIFF is turned here by Pillow, which also takes the note off
    turn = _TURNS.get(_orientation(image))
    if turn is None:
        return image
    turned = image.transpose(turn)
    for note in _NOTES:
        turned.info.pop(note, None)
    return turned


def _orientation(image: Image.Image) -> int:
    """Return what a picture's note says, 1 where there is none or a broken one."""
    try:
        value = image.getexif().get(_ORIENTATION)
        return int(value) if value in _TURNS else 1
    except Exception:  # noqa: BLE001 - a note is bytes from anywhere, and Pillow's reader raises anything on bad ones
        return 1


def _found(data: bytes) -> str:
    """Say what a file is that is no picture of a known format."""
    start = data[:64].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    found = next((name for mark, name in _STARTS if start.startswith(mark.lower())), None)
    if found is None and data[4:8] == b"ftyp":
        found = "AVIF" if data[8:12] in {b"avif", b"avis"} else "HEIC or a film"
    what = f"it is {found}" if found else "cannot identify image file: its bytes begin as no format that is known here"
    return f"{what}. PNG, JPEG, WebP, GIF, BMP and TIFF are opened; convert it, or download it again"
