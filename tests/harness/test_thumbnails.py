"""A thumbnail is made of any image, once, and nothing that is wrong with an image stops a run."""

from __future__ import annotations

import hashlib
import threading

import numpy as np
import pytest
from PIL import Image, ImageFile

from harness.images import thumbnails
from harness.images.thumbnails import MAX_BYTES, SHEET_EDGE_PX, ThumbnailThread, side_by_side, write_thumbnail

SHA = hashlib.sha256(b"image").hexdigest()


def gradient(mode):
    """Return a 640 x 480 image that runs from black on the left to white on the right."""
    levels = np.tile(np.linspace(0, 1, 640), (480, 1))
    if mode.startswith("I;16"):
        order = ">u2" if mode == "I;16B" else "<u2"
        return Image.frombytes(mode, (640, 480), (levels * 65535).astype(order).tobytes())
    if mode == "I":
        return Image.fromarray((levels * 65535).astype(np.int32))
    if mode == "F":
        return Image.fromarray(levels.astype(np.float32))
    return Image.fromarray((levels * 255).astype(np.uint8)).convert("RGB").convert(mode)


def thumbnail_of(folder, image):
    assert write_thumbnail(folder, image, SHA)
    with Image.open(folder / f"{SHA}.webp") as picture:
        return picture.format, picture.convert("RGB")


@pytest.mark.parametrize(
    "mode", ["RGB", "RGBA", "L", "LA", "P", "PA", "1", "CMYK", "YCbCr", "HSV", "LAB", "I;16", "I;16B", "I", "F", "RGBX"]
)
def test_every_mode_becomes_a_small_webp_that_looks_the_same(tmp_path, mode):
    image = gradient("RGBA").convert(mode) if mode == "PA" else gradient(mode)
    kind, picture = thumbnail_of(tmp_path / "media", image)
    columns = np.asarray(picture.convert("L")).mean(axis=0)

    assert (kind, picture.size) == ("WEBP", (256, 192))
    assert columns[:20].mean() < 40
    assert columns[-20:].mean() > 215
    assert abs(columns.mean() - 127) < 12


def test_transparent_parts_become_white(tmp_path):
    _, picture = thumbnail_of(tmp_path, Image.new("RGBA", (50, 50), (0, 0, 0, 0)))

    assert np.asarray(picture).min() > 250


def test_transparent_colour_of_a_palette_becomes_white(tmp_path):
    image = Image.new("P", (50, 50), 3)
    image.info["transparency"] = 3
    _, picture = thumbnail_of(tmp_path, image)

    assert np.asarray(picture).min() > 250


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((1, 1), (1, 1)),
        ((256, 256), (256, 256)),
        ((257, 10), (256, 10)),
        ((480, 640), (192, 256)),
        ((10_000, 1), (256, 1)),
        ((1, 10_000), (1, 256)),
    ],
)
def test_long_edge_is_256_pixels_at_most_and_small_images_keep_their_size(tmp_path, size, expected):
    assert thumbnail_of(tmp_path, Image.new("RGB", size))[1].size == expected


def test_image_is_not_changed(tmp_path):
    image = gradient("RGB")
    before = image.tobytes()
    write_thumbnail(tmp_path, image, SHA)

    assert (image.size, image.mode, image.tobytes()) == ((640, 480), "RGB", before)


def test_thumbnail_that_is_there_is_left_alone(tmp_path):
    (tmp_path / f"{SHA}.webp").write_bytes(b"mine")

    assert write_thumbnail(tmp_path, gradient("RGB"), SHA)
    assert (tmp_path / f"{SHA}.webp").read_bytes() == b"mine"


def test_nothing_but_the_thumbnail_is_left(tmp_path):
    write_thumbnail(tmp_path, gradient("RGB"), SHA)

    assert [path.name for path in tmp_path.iterdir()] == [f"{SHA}.webp"]


@pytest.mark.parametrize(
    "sha256", ["", "..", "../" * 20 + "x", SHA[:-1], SHA.upper(), SHA + "\n", "\x00" * 64, "é" * 64]
)
def test_what_is_no_digest_makes_no_file(tmp_path, sha256):
    assert not write_thumbnail(tmp_path / "media", gradient("RGB"), sha256)
    assert list(tmp_path.iterdir()) == []


def truncated_png(tmp_path):
    path = tmp_path / "cut.png"
    gradient("RGB").save(path)
    path.write_bytes(path.read_bytes()[:200])
    return Image.open(path)


@pytest.mark.parametrize(
    "bad",
    [truncated_png, lambda tmp_path: Image.new("RGB", (0, 5)), lambda tmp_path: None, lambda tmp_path: object()],
    ids=["truncated", "empty", "none", "no image"],
)
def test_bad_image_is_false_and_leaves_nothing(tmp_path, bad, monkeypatch):
    # lmms-eval makes Pillow accept cut-off files for the whole process; what an opened image says is not our matter
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", False)
    image = bad(tmp_path)

    assert write_thumbnail(tmp_path / "media", image, SHA) is False
    assert not (tmp_path / "media").exists()


def test_image_of_nan_is_no_error(tmp_path):
    assert write_thumbnail(tmp_path, Image.fromarray(np.full((5, 5), np.nan, np.float32)), SHA) in (True, False)


def test_folder_that_cannot_be_made_is_false(tmp_path):
    (tmp_path / "media").touch()

    assert write_thumbnail(tmp_path / "media", gradient("RGB"), SHA) is False


@pytest.mark.parametrize(
    ("sizes", "sheet"),
    [
        ([(30, 20)], (30, 20)),
        ([(30, 20), (10, 40)], (48, 40)),
        ([(30, 20)] * 3, (106, 20)),
        ([(30, 20)] * 4, (68, 48)),
        ([(30, 20)] * 7, (106, 76)),
        ([(2560, 10), (10, 2560)], (256 + 8 + 1, 256)),
    ],
)
def test_several_pictures_stand_side_by_side_in_few_lines(sizes, sheet):
    assert side_by_side([Image.new("RGB", size, "red") for size in sizes]).size == sheet


def test_a_sheet_of_many_pictures_is_small_enough_to_be_read_again(tmp_path):
    rng = np.random.default_rng(5)
    noise = [Image.fromarray(rng.integers(0, 256, (600, 600, 3), np.uint8)) for _ in range(9)]

    assert write_thumbnail(tmp_path, side_by_side(noise), SHA, long_edge_px=SHEET_EDGE_PX)
    path = tmp_path / f"{SHA}.webp"
    assert Image.open(path).size == (SHEET_EDGE_PX, SHEET_EDGE_PX)
    assert path.stat().st_size <= MAX_BYTES


def digest(number):
    return hashlib.sha256(f"{number}".encode()).hexdigest()


def test_thread_makes_the_bytes_that_would_be_made_at_once(tmp_path):
    questions = [(digest(n), [gradient("RGB")] * n) for n in (1, 1, 2, 5, 7)]
    beside = ThumbnailThread(tmp_path / "beside")
    for sha256, images in questions:
        beside.add(images, sha256)
        edge_px = thumbnails.LONG_EDGE_PX if len(images) == 1 else SHEET_EDGE_PX
        write_thumbnail(tmp_path / "at once", side_by_side(images), sha256, long_edge_px=edge_px)
    beside.close()
    made, expected = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("beside", "at once")
    )

    assert len(made) == 4
    assert made == expected


@pytest.mark.parametrize("bad", [[None], [object()], [Image.new("RGB", (0, 5))], [Image.new("RGB", (9, 9)), None]])
def test_thread_goes_on_after_a_picture_that_fails(tmp_path, bad):
    beside = ThumbnailThread(tmp_path)
    for number in range(12):
        beside.add(bad if number % 2 else [gradient("L")], digest(number))
    beside.close()

    assert {path.stem for path in tmp_path.iterdir()} == {digest(number) for number in range(0, 12, 2)}


def test_few_pictures_wait_in_memory(tmp_path, monkeypatch):
    held = threading.Event()
    monkeypatch.setattr(thumbnails, "write_thumbnail", lambda *_, **__: held.wait(10))
    beside = ThumbnailThread(tmp_path)
    added = []

    def add_many():
        for number in range(20):
            beside.add([gradient("L")], digest(number))
            added.append(number)

    adding = threading.Thread(target=add_many)
    adding.start()
    adding.join(0.3)
    waited_after = len(added)
    held.set()
    adding.join(10)
    beside.close()

    assert (waited_after, len(added)) == (4, 20)


def test_nothing_to_do_starts_no_thread(tmp_path):
    before = threading.active_count()
    ThumbnailThread(tmp_path / "media").close()

    assert (threading.active_count(), list(tmp_path.iterdir())) == (before, [])
