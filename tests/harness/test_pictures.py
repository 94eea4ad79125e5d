"""Tests of opening pictures: upright in every format, known formats only, no exception on a broken note."""

import io
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from harness.images.grid import to_rgb
from harness.images.pictures import (
    UnreadablePictureError,
    open_picture,
    read_picture,
    stored_orientation,
    upright,
    upright_size,
)
from harness.images.thumbnails import write_thumbnail
from harness.values import Size

KINDS = ["JPEG", "PNG", "PNG late", "PNG XMP", "WEBP", "TIFF", "MPO"]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_is_upright_whatever_way_it_is_stored(turned, kind, orientation):
    data = turned.stored(orientation, kind)

    with open_picture(data) as image:
        size = upright_size(image, stored_orientation(image, data))
        shown = upright(image)

    assert turned.corners_of(shown) == turned.AS_SEEN
    assert Size(*turned.UPRIGHT_SIZE) == size == Size(*shown.size)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", KINDS)
def test_pillow_agrees_pixel_by_pixel(turned, kind, orientation):
    data = turned.stored(orientation, kind)

    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))

    assert np.array_equal(np.asarray(expected.convert("RGB")), np.asarray(to_rgb(open_picture(data))))


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_turned_twice(turned, kind):
    once = upright(open_picture(turned.stored(6, kind)))

    assert upright(once) is once
    assert turned.corners_of(to_rgb(once.copy())) == turned.AS_SEEN


def note(value: bytes, tag_type: int = 3, count: int = 1) -> bytes:
    """Return an EXIF block whose orientation has any value, type and count."""
    return b"Exif\0\0MM\0*" + struct.pack(">IHHHI", 8, 1, 0x0112, tag_type, count) + value + b"\0\0\0\0"


BROKEN = {
    "nothing": b"",
    "cut in the header": b"Exif\0\0MM",
    "cut in the tag": note(b"\0\x06\0\0")[:20],
    "no byte order": b"Exif\0\0XX\0*\0\0\0\x08\0\0",
    "directory beyond the end": b"Exif\0\0MM\0*\xff\xff\xff\xff",
    "directory that names itself": b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x87\x69\0\x04\0\0\0\x01\0\0\0\x08\0\0\0\x08",
    "orientation 0": note(b"\0\0\0\0"),
    "orientation 9": note(b"\0\x09\0\0"),
    "orientation 65535": note(b"\xff\xff\0\0"),
    "a text": note(b"6\0\0\0", tag_type=2),
    "a fraction beyond the end": note(b"\0\0\xff\xff", tag_type=5),
    "four billion numbers": note(b"\0\x06\0\0", count=2**32 - 1),
    "an unknown type": note(b"\0\x06\0\0", tag_type=99),
    "noise": bytes(range(256)) * 4,
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "PNG late", "WEBP"])
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_note_counts_as_none_and_raises_nothing(turned, name, kind):
    data = turned.with_note(turned.upright_picture(), kind, BROKEN[name])

    with open_picture(data) as image:
        assert stored_orientation(image, data) == 1
        assert turned.corners_of(upright(image)) == turned.AS_SEEN


OTHERS = {
    "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 30\n%%EndComments\nshowpage\n",
    "PDF": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
    "SVG": b'<svg xmlns="http://www.w3.org/2000/svg" width="4" height="3"/>',
    "web page": b"<!DOCTYPE html><html><body>404</body></html>",
    "Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n",
    "JPEG 2000": b"\x00\x00\x00\x0cjP  \r\n\x87\n" + bytes(40),
    "AVIF": b"\x00\x00\x00 ftypavif" + bytes(40),
    "HEIC": b"\x00\x00\x00 ftypheic" + bytes(40),
    "begin as no format": b"hello there, I am no picture",
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_files_are_refused_by_name_and_nothing_is_started(name, monkeypatch):
    def started(*arguments, **options):
        raise AssertionError(f"started {arguments}")

    for starter in ("Popen", "run", "call", "check_call", "check_output"):
        monkeypatch.setattr(subprocess, starter, started)

    with pytest.raises(UnreadablePictureError, match=name) as refused:
        open_picture(OTHERS[name])
    assert "PNG, JPEG, WebP, GIF, BMP and TIFF are opened" in str(refused.value)


@pytest.mark.parametrize("kind", ["EPS", "PPM", "TGA", "PCX", "ICO", "SGI", "DDS", "JPEG2000", "AVIF"])
def test_formats_that_benchmarks_do_not_use_are_refused_though_pillow_reads_them(turned, kind):
    buffer = io.BytesIO()
    try:
        turned.upright_picture().save(buffer, kind)
    except (OSError, KeyError):
        pytest.skip(f"this Pillow cannot write {kind}")

    with pytest.raises(UnreadablePictureError):
        open_picture(buffer.getvalue())


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_formats_of_benchmarks_are_opened(turned, kind):
    buffer = io.BytesIO()
    turned.upright_picture().save(buffer, kind)

    assert open_picture(buffer.getvalue()).size == turned.UPRIGHT_SIZE


def test_a_picture_by_its_path_is_upright_and_a_missing_one_named(turned, tmp_path):
    (tmp_path / "a.jpg").write_bytes(turned.stored(8, "JPEG"))

    assert turned.corners_of(read_picture(tmp_path / "a.jpg")) == turned.AS_SEEN
    with pytest.raises(UnreadablePictureError, match="No such file"):
        read_picture(tmp_path / "b.jpg")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_thumbnail_is_upright(turned, orientation, tmp_path):
    with Image.open(io.BytesIO(turned.stored(orientation, "JPEG"))) as image:
        assert write_thumbnail(tmp_path, image, "ab" * 32)

    with Image.open(Path(tmp_path, f"{'ab' * 32}.webp")) as picture:
        assert turned.corners_of(picture) == turned.AS_SEEN
