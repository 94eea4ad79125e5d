"""The tables of image processors, held to the classes of transformers."""

import random
from pathlib import Path

import pytest
import transformers
from PIL import Image

from harness.errors import ConfigError
from harness.images.frames import smart_resize
from harness.images.grid import fit_to_grid
from harness.models.chat_inputs import set_limits
from harness.models.checkpoint_files import CheckpointError
from harness.models.input_sizes import fills_up, told_sizes
from harness.models.pixel_limits import GRIDS, OWN, grid_limits, own_settings
from harness.values import PixelLimits, Size

HERE = Path("here")
LARGE = Image.new("RGB", (1300, 900), "white")


def processor_of(name: str, **settings):
    return getattr(transformers, name)(**settings)


def seen(processor, *pictures) -> list[Size]:
    sizes = told_sizes(processor(images=list(pictures), return_tensors="pt"), processor)
    assert sizes is not None
    return sizes


@pytest.mark.parametrize("name", GRIDS)
def test_what_a_grid_assumes_is_what_its_class_does(name):
    processor = processor_of(name)
    size = processor.size

    limits = PixelLimits(size["shortest_edge"], size["longest_edge"], processor.patch_size * processor.merge_size)

    assert grid_limits({}, name, HERE) == limits
    assert grid_limits({}, name + "Fast", HERE) == limits


@pytest.mark.parametrize("name", GRIDS)
def test_a_picture_at_its_grid_is_not_resized_again(name):
    config = {"size": {"shortest_edge": 64 * 64, "longest_edge": 256 * 256}}
    processor, limits = processor_of(name, **config), grid_limits(config, name, HERE)
    rng = random.Random(name)
    pictures = [Image.new("RGB", (rng.randint(5, 700), rng.randint(5, 700))) for _ in range(40)]

    told = [seen(processor, picture)[0] for picture in pictures]

    # smart_resize once, as the processor does; the grid is where it settles.
    assert told == [smart_resize(Size(*picture.size), limits) for picture in pictures]
    fitted = [fit_to_grid(picture, limits) for picture in pictures]
    assert [Size(*picture.size) for picture in fitted] == seen(processor, *fitted)


@pytest.mark.parametrize("name", GRIDS)
def test_limits_by_name_count_where_the_class_takes_them(name):
    config = {"min_pixels": 64 * 64, "max_pixels": 256 * 256}

    limits = grid_limits(config, name, HERE)

    size = processor_of(name, **config).size
    assert (limits.min_pixels, limits.max_pixels) == (size["shortest_edge"], size["longest_edge"])


@pytest.mark.parametrize("name", GRIDS)
def test_grids_fill_nothing_up(name):
    assert not fills_up(processor_of(name))


@pytest.mark.parametrize(
    ("name", "filled"),
    [
        ("Kimi_K25ImageProcessor", True),
        ("Glm5NextImageProcessor", True),
        ("Inkling2ImageProcessor", True),
        ("Glm4vImageProcessor", False),
        ("Glm46VImageProcessor", False),
        ("GlmgaImageProcessor", False),
        ("Cosmos3EdgeImageProcessor", False),
        ("PaddleOCRVLImageProcessor", False),
        ("MuseGlimmerImageProcessor", False),
        ("NemotronH_Omni_Reasoning_V3ImageProcessor", False),
        ("PixtralImageProcessor", False),
        ("Apertus1p5ImageProcessor", False),
        ("Emu3ImageProcessor", False),
    ],
)
def test_a_canvas_larger_than_its_picture_is_noticed(name, filled):
    assert filled == fills_up(processor_of(name))


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("Glm4vImageProcessor", (644, 476)),
        ("PaddleOCRVLImageProcessor", (644, 476)),
        ("Cosmos3EdgeImageProcessor", (640, 480)),
        ("MuseGlimmerImageProcessor", (644, 476)),
        ("NemotronH_Omni_Reasoning_V3ImageProcessor", (640, 480)),
        ("PixtralImageProcessor", (640, 480)),
        ("Apertus1p5ImageProcessor", (640, 480)),
        ("Emu3ImageProcessor", (640, 480)),
    ],
)
def test_every_way_of_telling_a_size_is_read(name, size):
    processor = processor_of(name)
    small = Image.new("RGB", (97, 61))

    sizes = seen(processor, Image.new("RGB", (640, 480)), small)

    assert sizes == [Size(*size), seen(processor, small)[0]]


@pytest.mark.parametrize("name", ["LlavaNextImageProcessor", "LlavaOnevisionImageProcessor", "CLIPImageProcessor"])
def test_sizes_of_originals_and_crops_are_not_taken_for_what_the_model_saw(name):
    processor = processor_of(name)

    assert told_sizes(processor(images=[LARGE], return_tensors="pt"), processor) is None


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("max_pixels", [64_000, 250_000])
def test_an_upper_limit_holds_where_the_processor_counts_otherwise(name, max_pixels):
    processor = processor_of(name)
    before = seen(processor, LARGE)[0]

    lower = 10_000 if OWN[name].lower else None
    set_limits(processor, own_settings({}, name, lower, max_pixels))
    after = seen(processor, LARGE)[0]

    # Kimi fills up to a patch group after it has counted.
    group = 28 if name.startswith("Kimi") else 0
    assert (after.width - group) * (after.height - group) <= max_pixels < before.width * before.height
    assert after.width * after.height > max_pixels / 2


@pytest.mark.parametrize("name", [name for name, own in OWN.items() if own.lower])
def test_a_lower_limit_holds_where_the_processor_counts_otherwise(name):
    processor = processor_of(name)
    small = Image.new("RGB", (120, 90))

    set_limits(processor, own_settings({}, name, 400_000, 800_000))

    size = seen(processor, small)[0]
    assert size.width * size.height >= 400_000


def test_a_patch_of_another_size_counts_other_units():
    assert own_settings({"patch_size": 28}, "Kimi_K25ImageProcessor", None, 28 * 28 * 9) == {"max_patches": 9}
    assert own_settings({"merge_size": 1}, "MuseGlimmerImageProcessor", None, 14 * 14 * 5) == {"max_image_tokens": 5}


@pytest.mark.parametrize(
    ("name", "low", "high", "said"),
    [
        ("Kimi_K25ImageProcessor", 100, 100_000, "leave --min-pixels out"),
        ("MuseGlimmerImageProcessor", None, 500, "one group of 28 x 28"),
        ("Glm4vImageProcessor", 5000, 4000, "must hold the lower one"),
    ],
)
def test_limits_that_cannot_be_are_refused(name, low, high, said):
    with pytest.raises(ConfigError, match=said):
        own_settings({}, name, low, high)


@pytest.mark.parametrize("value", ["many", 0, -1, True, 1.5])
def test_a_limit_that_is_no_number_is_refused(value):
    with pytest.raises(CheckpointError, match="max_pixels"):
        grid_limits({"max_pixels": value}, "Qwen2VLImageProcessor", HERE)
