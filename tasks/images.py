"""Images of samples: whatever a row holds becomes bytes, a size, a hash or RGB pixels.

Pixels, sizes and therefore gold boxes are those of the upright picture (`harness.images.pictures`), as `datasets` and
other loaders show it. Colours are those of `harness.images.grid.to_rgb`: transparency is laid on white, and grey levels
beyond 8 bits are scaled. A hash is that of the file as stored, whatever its colours become; where a file says that it
is turned, how it is turned enters the hash too (`picture_sha256`).
"""

from __future__ import annotations

import binascii
import hashlib
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from PIL import Image, ImageFile

from harness.images.grid import to_rgb
from harness.images.pictures import (
    DECODER_FAULTS,
    UnreadablePictureError,
    open_picture,
    stored_orientation,
    upright,
    upright_size,
)
from harness.values import Size
from tasks.cells import CellError, list_of
from tasks.image_files import ImageFiles, looks_like_a_path

_DATA_URI = re.compile(r"data:[^,]{0,100},")
"""What stands before the base64 text of a data URI, its media type and parameters."""

_NUMBERED = re.compile(r"_(\d{1,2})\Z")
"""How the name of a column ends that holds the picture of that number, such as MMMU's `image_3`."""

_LISTED_TEXT = re.compile(r"""\s{0,9}(?:'(?P<single>[^'\\\]]*)'|"(?P<double>[^"\\\]]*)"|None)\s{0,9}(?:,|(?=\]\Z))""")
"""One text of a list, in quotes of its own, and the comma or the end behind it."""

UnreadableImageError = UnreadablePictureError
"""An image is missing or broken: its sample becomes an unscored record, the run goes on."""


class ImageSource(Protocol):
    """Whatever can hand out the bytes of a row's image."""

    def image_bytes(self, row: int, number: int = 1) -> bytes:
        """Return the image file of a row as stored, its `number`-th from 1; raises UnreadableImageError."""
        ...

    def image_facts(self, row: int, number: int = 1) -> ImageFacts:
        """Return hash and size of a row's image; raises UnreadableImageError."""
        ...

    def image_numbers(self, row: int) -> tuple[int, ...]:
        """Return the numbers of the images that a row holds, from 1; raises UnreadableImageError."""
        ...


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What scoring needs to know of an image, without its pixels."""

    sha256: str
    """Hex digest of the image file as `picture_sha256` makes it."""
    size: Size
    """Width and height of the upright picture, in pixels."""


PICTURES = "_pictures"
"""Column of a row that may show several pictures: a `StoredImages`, in place of the columns that hold them."""


@dataclass(frozen=True, slots=True)
class StoredImage:
    """A row's image that is read only when somebody looks at it."""

    source: ImageSource
    """Where the bytes are."""
    row: int
    """Row number in the source."""
    number: int = 1
    """Which of the row's images, from 1."""

    @property
    def bytes(self) -> bytes:
        """The image file as stored; read anew each time, raises UnreadableImageError."""
        return self.source.image_bytes(self.row, self.number)

    @property
    def sha256(self) -> str:
        """Hex digest of the image file; raises UnreadableImageError."""
        return self.source.image_facts(self.row, self.number).sha256

    @property
    def size(self) -> Size | None:
        """Width and height in pixels, without decoding the pixels; None when the image is unreadable."""
        try:
            return self.source.image_facts(self.row, self.number).size
        except UnreadableImageError:
            return None

    def open(self) -> Image.Image:
        """Decode the image to RGB, upright; raises UnreadableImageError."""
        return decode_rgb(self.bytes)


@dataclass(frozen=True, slots=True)
class StoredImages:
    """A row's images, each read only when somebody looks at it."""

    source: ImageSource
    """Where the bytes are."""
    row: int
    """Row number in the source."""

    def at(self, number: int) -> StoredImage:
        """Return the image of a number, from 1; one that the row does not hold is unreadable."""
        return StoredImage(self.source, self.row, number)

    def numbers(self) -> tuple[int, ...]:
        """Return the numbers of the images that the row holds; of a row that cannot be read 1 alone."""
        try:
            return self.source.image_numbers(self.row)
        except UnreadableImageError:
            return (1,)


def facts_of(data: bytes) -> ImageFacts:
    """Hash an image file and read its upright size from the header; raises UnreadableImageError."""
    with open_picture(data) as image:
        orientation = stored_orientation(image, data)
        return ImageFacts(_digest(data, orientation), upright_size(image, orientation))


def picture_sha256(data: bytes) -> str:
    """Return what tells an image file from others: its SHA-256, and of a turned picture also how it is turned.

    Earlier versions showed such pictures lying: the hash keeps their answers, thumbnails and built training files apart
    from those of now, and leaves every other picture's hash as it was.
    """
    try:
        return facts_of(data).sha256
    except UnreadableImageError:
        return _digest(data, 1)


def _digest(data: bytes, orientation: int) -> str:
    """Hash a file and, where it is not upright, its orientation."""
    digest = hashlib.sha256(data)
    if orientation != 1:
        digest.update(f"shown upright from orientation {orientation}".encode())
    return digest.hexdigest()


def decode_rgb(data: bytes) -> Image.Image:
    """Decode an image file to upright RGB pixels; a truncated file is unreadable, never silently grey.

    Raises:
        UnreadableImageError: The bytes are no image, a broken one, or a decompression bomb.
    """
    # lmms-eval switches this global on at import, which fills the missing part of a truncated file with grey. It is
    # set back before every decoding and not restored after it: other threads may be decoding at the same time.
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    with open_picture(data) as image:
        return _pixels_of(image)


def open_image(value: object) -> Image.Image:
    """Return upright RGB pixels of whatever a row holds: a stored or PIL image, `{bytes, path}`, bytes, base64 text.

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
    except DECODER_FAULTS as fault:
        raise UnreadableImageError(f"the image cannot be decoded: {fault}") from fault


def image_facts_of(value: object) -> ImageFacts | None:
    """Return hash and size of whatever a row holds, or None where that is unreadable.

    A fault of the whole file that a stored image lies in is not the image's, and goes up.
    """
    if isinstance(value, StoredImage):
        try:
            return value.source.image_facts(value.row, value.number)
        except UnreadableImageError:
            return None
    try:
        if isinstance(value, Image.Image):  # already decoded elsewhere: the file's bytes are gone, hash the pixels
            shown = upright(value)
            digest = hashlib.sha256(f"{shown.mode}{shown.size}".encode() + shown.tobytes())
            return ImageFacts(digest.hexdigest(), Size(*shown.size))
        return facts_of(image_bytes_of(value))
    except (UnreadableImageError, *DECODER_FAULTS):
        return None


def image_bytes_of(value: object, files: ImageFiles | None = None) -> bytes:
    """Return the image file of whatever a row holds, as stored; a PIL image is encoded as PNG.

    Args:
        value: A stored or PIL image, bytes, base64 text, a data URI, the hub's `{bytes, path}`, a path, or a list with
            exactly one of these.
        files: Where paths may lead to; None for a source without a folder, whose paths are faults.

    Raises:
        UnreadableImageError: There is no image, there are several, or it cannot be read.
    """
    if isinstance(value, StoredImage):
        return value.bytes
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, str):
        return _from_text(value, files)
    if isinstance(value, Image.Image):
        buffer = io.BytesIO()
        upright(value).save(buffer, format="PNG")
        return buffer.getvalue()
    if isinstance(value, Mapping):
        return _from_mapping(cast("Mapping[str, Any]", value), files)
    if isinstance(value, Sequence):
        return image_bytes_of(_the_only_one(cast("Sequence[object]", value)), files)
    raise UnreadableImageError("the row has no image" if value is None else f"{type(value).__name__} is no image")


def by_number(columns: Sequence[str], values: Sequence[object]) -> list[object]:
    """Return pictures by their number from 1, None where one is missing.

    Args:
        columns: Where they were: columns that end in their number, or one that holds them all.
        values: What stands there.

    Raises:
        UnreadableImageError: A text begins like a list and is none.
    """
    if len(columns) == 1 and _NUMBERED.search(columns[0]) is None:
        return [held if held != "" else None for held in pictures_in(values[0])]
    numbered: dict[int, object] = {}
    for place, (name, value) in enumerate(zip(columns, values, strict=True), start=1):
        found = _NUMBERED.search(name)
        numbered.setdefault(int(found[1]) if found else place, value if value != "" else None)
    return [numbered.get(number) for number in range(1, max(numbered) + 1)]


def pictures_in(value: object) -> list[object]:
    """Return the images of a cell that may hold several: a list, or one written as text; all else is one image.

    A missing one is None, so that the others keep their numbers.

    Raises:
        UnreadableImageError: A text begins like a list and is none.
    """
    if isinstance(value, str) and value.lstrip().startswith("["):
        return list(_texts_in_list(value.strip()))
    if hasattr(value, "tolist"):
        value = cast("Any", value).tolist()
    if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray | memoryview):
        return list(cast("Sequence[object]", value))
    return [value]


def _texts_in_list(text: str) -> list[str | None]:
    """Read a list that is written as text; raises UnreadableImageError.

    VLMEvalKit writes all pictures of a row so, as base64. They are cut out at their quotes: a reader of Python's or
    JSON's grammar takes seconds for the megabytes of one row.
    """
    items: list[str | None] = []
    place, end = 1, len(text) - 1
    while place < end and (found := _LISTED_TEXT.match(text, place)) is not None:
        items.append(found["single"] if found["single"] is not None else found["double"])
        place = found.end()
    if place == end and text.endswith("]"):
        return items
    try:
        listed = list_of(text)
    except CellError as fault:
        raise UnreadableImageError(f"the image is {fault}") from fault
    if listed == [text] or any(item.lstrip().startswith("[") for item in listed):
        raise UnreadableImageError("the image is a list that cannot be read, or a list of lists")
    return [item or None for item in listed]


def _the_only_one(images: Sequence[object]) -> object:
    """Return the image of a list of one; raises UnreadableImageError for several."""
    present = [image for image in images if image is not None]
    if len(present) > 1:
        raise UnreadableImageError(
            f"the row has {len(present)} images, and one is asked about: say several_images: true, or split the row"
        )
    return present[0] if present else None


def _from_mapping(value: Mapping[str, Any], files: ImageFiles | None) -> bytes:
    """Read the hub's image struct."""
    data, path = value.get("bytes"), value.get("path")
    if data:
        return bytes(data)
    if isinstance(path, str) and path and files is not None:
        return files.read(path)
    raise UnreadableImageError(f"the image has no bytes, and its path is {path!r}")


def _from_text(text: str, files: ImageFiles | None) -> bytes:
    """Read a cell of text: base64, a list in which one image stands, or a path."""
    text = text.strip()
    if text.startswith("["):
        item = _the_only_one(_texts_in_list(text))
        if not isinstance(item, str):
            raise UnreadableImageError("the row has no image")
        return _from_text(item, files)
    if looks_like_a_path(text) or (files is not None and files.holds(text)):
        if files is None:
            raise UnreadableImageError(f"the image is a path, {text[:100]!r}, and there is no folder to look it up in")
        return files.read(text)
    return _from_base64(text)


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
        raise UnreadableImageError(f"the image is neither base64 text nor a known path: {fault}") from fault
    if not data:
        raise UnreadableImageError("the row has no image")
    return data
