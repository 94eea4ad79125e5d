"""Pictures for tests: one with four different corners, stored turned in any of the eight ways and in any format."""

import io
import struct
import zlib

from PIL import Image

CORNERS = {
    "top left": (220, 30, 30),
    "top right": (30, 200, 30),
    "bottom left": (30, 30, 220),
    "bottom right": (250,) * 3,
}
UPRIGHT_SIZE = (48, 32)

_TURN = Image.Transpose
STORED_BY = {
    1: None,
    2: _TURN.FLIP_LEFT_RIGHT,
    3: _TURN.ROTATE_180,
    4: _TURN.FLIP_TOP_BOTTOM,
    5: _TURN.TRANSPOSE,
    6: _TURN.ROTATE_90,
    7: _TURN.TRANSVERSE,
    8: _TURN.ROTATE_270,
}
"""Orientation to how the upright picture is turned before it is stored: the reverse of what a viewer does."""


def upright_picture(size=UPRIGHT_SIZE) -> Image.Image:
    """Return the picture as people see it: its four quarters in four colours."""
    image = Image.new("RGB", size)
    width, height = size[0] // 2, size[1] // 2
    for (left, top), colour in zip(((0, 0), (width, 0), (0, height), (width, height)), CORNERS.values(), strict=True):
        image.paste(colour, (left, top, left + width, top + height))
    return image


def exif_of(orientation: int) -> bytes:
    """Return an EXIF block with nothing but an orientation."""
    return b"Exif\0\0MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def stored(orientation: int, kind: str, size=UPRIGHT_SIZE) -> bytes:
    """Return the file of the picture, stored turned with its note: JPEG, PNG, PNG late, PNG XMP, WEBP, TIFF or MPO."""
    image = upright_picture(size)
    if STORED_BY[orientation] is not None:
        image = image.transpose(STORED_BY[orientation])
    return with_note(image, kind, exif_of(orientation), orientation)


def with_note(image: Image.Image, kind: str, exif: bytes, orientation: int = 0) -> bytes:
    """Return an image's file with an EXIF block beside it (for TIFF and XMP: with the orientation itself)."""
    buffer = io.BytesIO()
    if kind == "TIFF":
        tags = Image.Exif()
        tags[0x0112] = orientation
        image.save(buffer, "TIFF", exif=tags)
    elif kind == "MPO":
        image.save(buffer, "MPO", exif=exif, save_all=True, append_images=[image], quality=95)
    elif kind.startswith("PNG"):
        image.save(buffer, "PNG")
        chunk = _chunk(b"eXIf", exif.removeprefix(b"Exif\0\0"))
        if kind == "PNG XMP":
            note = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="{orientation}"/></x:xmpmeta>'
            chunk = _chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + note.encode())
        data = buffer.getvalue()
        place = len(data) - 12 if kind == "PNG late" else 33  # before the last chunk, or after the first
        return data[:place] + chunk + data[place:]
    elif kind == "WEBP":
        image.save(buffer, "WEBP", exif=exif, lossless=True)
    else:
        image.save(buffer, kind, exif=exif, quality=95)
    return buffer.getvalue()


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def corners_of(image: Image.Image) -> dict[str, str]:
    """Return where each corner's colour is: the name of the colour's own corner, by the nearest of the four."""
    right, bottom = image.width - 3, image.height - 3
    places = {"top left": (2, 2), "top right": (right, 2), "bottom left": (2, bottom), "bottom right": (right, bottom)}
    return {name: _nearest(image.convert("RGB").getpixel(place)) for name, place in places.items()}


def _nearest(pixel) -> str:
    return min(CORNERS, key=lambda name: sum(abs(a - b) for a, b in zip(CORNERS[name], pixel, strict=True)))


AS_SEEN = {name: name for name in CORNERS}
"""What `corners_of` says of an upright picture."""
