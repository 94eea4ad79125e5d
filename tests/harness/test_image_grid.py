import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from harness.images.frames import smart_resize
from harness.images.grid import fit_to_grid, grid_size, to_rgb
from harness.values import PAPER_PIXEL_LIMITS, PixelLimits, Size

sides = st.integers(1, 4000)
limits_with_room = st.builds(
    lambda least, more, factor: PixelLimits(least * factor**2, (least + more) * 4 * factor**2, factor),
    st.integers(1, 300),
    st.integers(1, 1000),
    st.sampled_from([28, 32]),
)


@given(width=sides, height=sides, limits=limits_with_room)
@settings(deadline=None, max_examples=300)
def test_a_grid_size_is_kept_by_the_processors_own_resize(width, height, limits):
    try:
        size = grid_size(Size(width, height), limits)
    except ValueError:
        assert max(width, height) / min(width, height) > 10, "only thin images have no grid size"
        return

    assert smart_resize(size, limits) == size
    assert size.width % limits.factor == size.height % limits.factor == 0


@pytest.mark.parametrize(
    ("size", "limits", "expected"),
    [
        ((640, 480), PixelLimits(3136, 12_845_056), (644, 476)),
        ((4000, 3000), PAPER_PIXEL_LIMITS, (728, 532)),
        ((56, 56), PixelLimits(784, 401_408), (56, 56)),
        ((56, 56), PAPER_PIXEL_LIMITS, (448, 448)),
        ((1, 1), PixelLimits(784, 401_408), (28, 28)),
        ((64, 64), PixelLimits(1024, 131_072, factor=32), (64, 64)),
    ],
)
def test_images_are_brought_to_the_grid(size, limits, expected):
    assert fit_to_grid(Image.new("RGB", size), limits).size == expected


def test_the_size_agrees_with_transformers_processor():
    from transformers import Qwen2VLImageProcessor

    limits = PixelLimits(784, 401_408)
    processor = Qwen2VLImageProcessor(min_pixels=limits.min_pixels, max_pixels=limits.max_pixels)
    for size in [(97, 61), (320, 240), (640, 480), (1200, 900), (30, 200), (1999, 10), (5, 5)]:
        image = fit_to_grid(Image.new("RGB", size), limits)

        _, rows, columns = processor(image, return_tensors="pt")["image_grid_thw"][0].tolist()

        assert image.size == (columns * 14, rows * 14)


def test_the_processor_leaves_fitted_pixels_alone(photos):
    import torch
    from transformers import Qwen2VLImageProcessor

    processor = Qwen2VLImageProcessor(min_pixels=784, max_pixels=401_408)
    image = fit_to_grid(photos[1], PixelLimits(784, 401_408))

    resized = processor(image, return_tensors="pt")["pixel_values"]
    untouched = processor(image, do_resize=False, return_tensors="pt")["pixel_values"]

    assert torch.equal(resized, untouched)


def test_without_limits_the_image_is_handed_over_as_it_is():
    image = Image.new("RGB", (123, 7))

    assert fit_to_grid(image, None) is image


def test_an_image_of_grid_size_is_handed_over_as_it_is():
    image = Image.new("RGB", (56, 84))

    assert fit_to_grid(image, PixelLimits(784, 401_408)) is image


def test_fitting_leaves_the_original_alone():
    image = Image.new("RGB", (100, 100), "red")

    fit_to_grid(image, PixelLimits(784, 784))

    assert (image.size, image.getpixel((50, 50))) == ((100, 100), (255, 0, 0))


@pytest.mark.parametrize("size", [(2010, 10), (10, 2010)])
def test_an_image_thinner_than_the_grid_allows_is_named(size):
    with pytest.raises(ValueError, match=f"{size[0]}x{size[1]}"):
        fit_to_grid(Image.new("RGB", size), PixelLimits(784, 401_408))


def test_limits_without_a_grid_size_between_them_say_how_to_mend_it():
    with pytest.raises(ValueError, match="--max-pixels"):
        grid_size(Size(100, 77), PixelLimits(401_000, 401_000))


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "I;16", "YCbCr", "RGB"])
def test_any_mode_becomes_rgb(mode):
    assert to_rgb(Image.new(mode, (3, 3))).mode == "RGB"


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_what_is_transparent_becomes_white(mode):
    assert to_rgb(Image.new(mode, (3, 3))).getpixel((1, 1)) == (255, 255, 255)


def test_a_transparent_colour_of_an_rgb_image_becomes_white():
    image = Image.new("RGB", (2, 1), "red")
    image.putpixel((0, 0), (0, 0, 255))
    image.info["transparency"] = (0, 0, 255)

    assert np.asarray(to_rgb(image)).tolist() == [[[255, 255, 255], [255, 0, 0]]]


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        (np.array([0, 257, 128 * 257, 65535], np.uint16), [0, 1, 128, 255]),
        (np.array([0, 100, 200, 255], np.uint16), [0, 0, 1, 1]),
        (np.array([0, 1, 128, 255], np.int32), [0, 1, 128, 255]),
        (np.array([0, 257, 128 * 257, 60000], np.int32), [0, 1, 128, 233]),
        (np.array([0, 1_000_000, 2_000_000], np.int32), [0, 128, 255]),
        (np.array([-100, 0, 100], np.int32), [0, 128, 255]),
        (np.array([0, 0.25, 1], np.float32), [0, 64, 255]),
        (np.array([0, 1.5, 255], np.float32), [0, 2, 255]),
        (np.array([0, 500, 1000], np.float32), [0, 128, 255]),
        (np.array([-1, 0, 1], np.float32), [0, 128, 255]),
        (np.array([-2, -1], np.float32), [0, 128]),
        (np.array([0, 1, np.nan, np.inf, -np.inf], np.float32), [0, 255, 0, 255, 0]),
        (np.array([np.nan, np.nan], np.float32), [0, 0]),
        (np.array([0, 0], np.float32), [0, 0]),
    ],
)
def test_grey_levels_beyond_8_bits_are_scaled(levels, expected):
    grey = np.asarray(to_rgb(Image.fromarray(levels[None, :])))

    assert grey.shape == (1, len(levels), 3)
    assert grey[0, :, 0].tolist() == expected
    assert np.ptp(grey, axis=2).max() == 0
