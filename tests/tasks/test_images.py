"""Tests of reading images: every form a row may hold, broken files, bombs, lmms-eval's global switch."""

import base64
import hashlib
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageFile

from harness.values import Size
from tasks.image_files import ImageFiles
from tasks.images import (
    ImageFacts,
    StoredImage,
    UnreadableImageError,
    decode_rgb,
    facts_of,
    image_bytes_of,
    image_facts_of,
    open_image,
)


def encoded(kind: str = "PNG", mode: str = "RGB", size=(40, 30)) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).convert(mode).save(buffer, format=kind)
    return buffer.getvalue()


PNG = encoded()


class OneImage:
    """A source of a single image."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def image_bytes(self, row: int, number: int = 1) -> bytes:
        return self.data

    def image_facts(self, row: int, number: int = 1):
        return facts_of(self.data)


@pytest.mark.parametrize(
    "value",
    [
        PNG,
        bytearray(PNG),
        {"bytes": PNG, "path": "x.png"},
        base64.b64encode(PNG).decode(),
        "data:image/png;base64," + base64.b64encode(PNG).decode(),
        base64.encodebytes(PNG).decode(),
        StoredImage(OneImage(PNG), 0),
        Image.open(io.BytesIO(PNG)),
    ],
    ids=["bytes", "bytearray", "hub", "base64", "data-uri", "base64-lines", "stored", "pil"],
)
def test_every_form_of_an_image_gives_the_same_pixels(value):
    expected = np.asarray(Image.open(io.BytesIO(PNG)).convert("RGB"))

    assert np.array_equal(expected, np.asarray(open_image(value)))


def test_an_image_file_named_by_a_path_is_read(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(PNG)

    for value in ({"bytes": None, "path": "a.png"}, {"path": str(path)}, "a.png", str(path), ["a.png"], "['a.png']"):
        assert image_bytes_of(value, ImageFiles([tmp_path])) == PNG


@pytest.mark.parametrize("mode", ["RGBA", "L", "P", "1", "LA", "I;16"])
def test_every_mode_becomes_rgb(mode):
    data = encoded(mode=mode) if mode != "I;16" else encoded(mode="L")

    assert decode_rgb(data).mode == "RGB"


def saved(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=kind)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("levels", "kind"),
    [
        (np.linspace(0, 65535, 300).astype(np.uint16), "PNG"),
        (np.linspace(0, 65535, 300).astype(np.int32), "TIFF"),
        (np.linspace(0, 1, 300).astype(np.float32), "TIFF"),
    ],
    ids=["16 bits", "32 bits", "float"],
)
def test_a_deep_grey_image_keeps_its_shades(levels, kind):
    data = saved(Image.fromarray(np.tile(levels, (20, 1))), kind)

    for opened in (decode_rgb(data), open_image(Image.open(io.BytesIO(data)))):
        row = np.asarray(opened)[0, :, 0].astype(float)
        assert np.abs(row - np.linspace(0, 255, 300)).max() <= 1


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB"])
def test_what_hides_below_transparency_is_white_for_the_model(mode):
    image = Image.new(mode, (4, 4), 0)
    if mode in {"P", "RGB"}:
        image.info["transparency"] = 0 if mode == "P" else (0, 0, 0)
    data = saved(image, "PNG")

    assert np.asarray(decode_rgb(data)).min() == 255
    assert np.asarray(open_image(Image.open(io.BytesIO(data)))).min() == 255


def test_hashes_are_of_the_file_or_the_undecoded_pixels():
    image = Image.fromarray(np.full((3, 3), 1000, np.uint16))
    data = saved(image, "PNG")

    assert facts_of(data).sha256 == hashlib.sha256(data).hexdigest()
    expected = hashlib.sha256(b"I;16(3, 3)" + image.tobytes()).hexdigest()
    assert image_facts_of(image) == ImageFacts(expected, Size(3, 3))


def test_opening_a_pillow_image_leaves_it_alone():
    image = Image.new("RGB", (3, 3))

    assert open_image(image) is not image


@pytest.mark.parametrize("switch", [True, False])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_truncated_file_is_unreadable_even_after_lmms_eval_allowed_it(kind, switch, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", switch)
    data = encoded(kind, size=(200, 150))

    with pytest.raises(UnreadableImageError, match="cannot be decoded"):
        decode_rgb(data[: len(data) // 2])


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"not an image",
        "not base64!",
        "",
        "AAAA",
        {"bytes": None, "path": None},
        {"bytes": b"", "path": "/nowhere/x.png"},
        {},
        7,
        PNG[:20],
    ],
)
def test_what_is_no_image_is_unreadable_and_has_no_facts(value):
    with pytest.raises(UnreadableImageError):
        open_image(value)
    assert image_facts_of(value) is None


def test_a_decompression_bomb_is_refused_from_its_header():
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))

    with pytest.raises(UnreadableImageError):
        decode_rgb(bomb)


def test_facts_are_those_of_the_stored_file():
    stored = StoredImage(OneImage(PNG), 0)

    assert stored.size == Size(40, 30)
    assert stored.sha256 == hashlib.sha256(PNG).hexdigest()
    assert stored.bytes == PNG


def test_a_broken_stored_image_has_no_size_but_does_not_raise_when_asked_for_it():
    stored = StoredImage(OneImage(b"broken"), 0)

    assert stored.size is None
    with pytest.raises(UnreadableImageError):
        stored.open()
