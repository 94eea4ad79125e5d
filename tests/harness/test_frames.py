"""Boxes go from every frame to original pixels and back, on the grid that the image processors use."""

import math
import sys

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from harness.images.frames import (
    MAX_ASPECT_RATIO,
    cut_at_image,
    from_image_px,
    smart_resize,
    to_image_px,
)
from harness.values import BOX_FRAMES, PAPER_PIXEL_LIMITS, PixelLimits, Size

sizes = st.builds(Size, st.integers(1, 6000), st.integers(1, 6000))
edges = st.floats(-1e6, 1e6, allow_nan=False)
boxes = st.lists(st.tuples(edges, edges, edges, edges), max_size=5).map(tuple)
any_finite = st.floats(allow_nan=False, allow_infinity=False)
LIMITS = [
    (28, 200_704, 401_408),
    (28, 3136, 1_003_520),
    (28, 200_704, 12_845_056),
    (32, 65_536, 16_777_216),
    (32, 256 * 32 * 32, 1280 * 32 * 32),
    (28, 784, 784),
]


def resized_by_transformers(size, limits):
    from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize as theirs

    height, width = theirs(size.height, size.width, limits.factor, limits.min_pixels, limits.max_pixels)
    return Size(width, height)


@pytest.mark.slow  # imports torch
@settings(max_examples=2000, deadline=None)
@given(sizes, st.sampled_from(LIMITS))
def test_smart_resize_equals_transformers(size, numbers):
    factor, min_pixels, max_pixels = numbers
    limits = PixelLimits(min_pixels, max_pixels, factor)
    assume(max(size.width, size.height) / min(size.width, size.height) <= MAX_ASPECT_RATIO)

    assert resized_by_transformers(size, limits) == smart_resize(size, limits)


@pytest.mark.slow  # imports torch
@pytest.mark.parametrize("side", [14, 27, 28, 29, 42, 70, 98, 126, 154, 448, 560, 634, 635])
def test_smart_resize_equals_transformers_where_halves_are_rounded(side):
    for other in range(1, 701, 7):
        if max(side, other) / min(side, other) <= MAX_ASPECT_RATIO:
            for size in (Size(side, other), Size(other, side)):
                assert resized_by_transformers(size, PAPER_PIXEL_LIMITS) == smart_resize(size, PAPER_PIXEL_LIMITS)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (Size(560, 560), Size(560, 560)),
        (Size(640, 480), Size(644, 476)),
        (Size(1280, 960), Size(728, 532)),
        (Size(224, 224), Size(448, 448)),
        (Size(200, 1), Size(6356, 56)),
    ],
)
def test_smart_resize_under_the_limits_of_the_paper(size, expected):
    assert expected == smart_resize(size, PAPER_PIXEL_LIMITS)


@pytest.mark.parametrize("size", [Size(0, 10), Size(10, 0), Size(0, 0), Size(-5, 10), Size(6000, 20), Size(1, 201)])
def test_an_image_without_a_grid_is_refused(size):
    with pytest.raises(ValueError, match=f"{size.width}x{size.height}"):
        smart_resize(size, PAPER_PIXEL_LIMITS)


@pytest.mark.parametrize("limits", [PixelLimits(100, 99), PixelLimits(0, 0), PixelLimits(1, 100, 0)])
def test_limits_that_contradict_themselves_are_refused(limits):
    with pytest.raises(ValueError, match="PixelLimits"):
        smart_resize(Size(100, 100), limits)


@pytest.mark.parametrize(
    ("frame", "written"),
    [
        ("image_px", (64.0, 48.0, 320.0, 240.0)),
        ("input_px", (64.4, 47.6, 322.0, 238.0)),
        ("norm_1000", (100.0, 100.0, 500.0, 500.0)),
        ("norm_1", (0.1, 0.1, 0.5, 0.5)),
    ],
)
def test_the_same_region_in_each_frame(frame, written):
    image_size, input_size = Size(640, 480), Size(644, 476)
    region_image_px = (64.0, 48.0, 320.0, 240.0)

    assert to_image_px((written,), frame, image_size, input_size) == (pytest.approx(region_image_px),)
    assert from_image_px((region_image_px,), frame, image_size, input_size) == (pytest.approx(written),)


@settings(max_examples=300, deadline=None)
@given(boxes, st.sampled_from(BOX_FRAMES), sizes, sizes)
def test_frames_round_trip(written, frame, image_size, input_size):
    there = to_image_px(written, frame, image_size, input_size)
    back = from_image_px(there, frame, image_size, input_size)

    assert [pytest.approx(box, rel=1e-12, abs=1e-300) for box in written] == list(back)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(*[any_finite] * 4), max_size=4), st.sampled_from(BOX_FRAMES), sizes, sizes)
def test_huge_coordinates_stay_finite(written, frame, image_size, input_size):
    for convert in (to_image_px, from_image_px):
        converted = convert(written, frame, image_size, input_size)
        assert all(math.isfinite(edge) for box in converted for edge in box)
    kept, _ = cut_at_image(to_image_px(written, frame, image_size, input_size), image_size)
    assert all(0 <= x1 < x2 <= image_size.width and 0 <= y1 < y2 <= image_size.height for x1, y1, x2, y2 in kept)


def test_the_largest_float_stays_the_largest():
    huge = sys.float_info.max

    assert to_image_px([(-huge, -huge, huge, huge)], "norm_1", Size(10, 10), None) == ((-huge, -huge, huge, huge),)


@pytest.mark.parametrize("convert", [to_image_px, from_image_px])
@pytest.mark.parametrize(
    ("frame", "image_size", "input_size"),
    [
        ("input_px", None, Size(28, 28)),
        ("input_px", Size(28, 28), None),
        ("input_px", Size(28, 28), Size(0, 28)),
        ("norm_1000", None, Size(28, 28)),
        ("norm_1000", Size(0, 0), None),
        ("norm_1", None, None),
    ],
)
def test_a_frame_without_its_sizes_is_unknown(convert, frame, image_size, input_size):
    assert convert([(1.0, 2.0, 3.0, 4.0)], frame, image_size, input_size) is None
    assert convert([], frame, image_size, input_size) is None


def test_image_px_needs_no_sizes_and_no_boxes_stay_none():
    assert to_image_px([(1.5, 2.0, 3.0, 4.0)], "image_px", None, None) == ((1.5, 2.0, 3.0, 4.0),)
    assert to_image_px([], "norm_1000", Size(10, 10), None) == ()
    assert from_image_px([], "image_px", None, None) == ()


@pytest.mark.parametrize(
    ("box", "kept", "faults"),
    [
        ((10.0, 10.0, 20.0, 20.0), ((10.0, 10.0, 20.0, 20.0),), ()),
        ((0.0, 0.0, 100.0, 50.0), ((0.0, 0.0, 100.0, 50.0),), ()),
        ((-5.0, 10.0, 20.0, 20.0), ((0.0, 10.0, 20.0, 20.0),), ("out_of_image",)),
        ((90.0, 40.0, 110.0, 60.0), ((90.0, 40.0, 100.0, 50.0),), ("out_of_image",)),
        ((100.0, 10.0, 120.0, 20.0), (), ("out_of_image",)),
        ((-20.0, -20.0, -1.0, -1.0), (), ("out_of_image",)),
        ((-1e308, -1e308, 1e308, 1e308), ((0.0, 0.0, 100.0, 50.0),), ("out_of_image",)),
        ((20.0, 20.0, 10.0, 10.0), (), ()),
        ((10.0, 10.0, 10.0, 20.0), (), ()),
        ((120.0, 20.0, 10.0, 10.0), (), ("out_of_image",)),
    ],
)
def test_cut_at_image(box, kept, faults):
    assert (kept, faults) == cut_at_image([box], Size(100, 50))


def test_cutting_keeps_order_and_duplicates_and_names_the_fault_once():
    inside, outside = (1.0, 1.0, 2.0, 2.0), (-1.0, -1.0, 1.0, 1.0)

    kept, faults = cut_at_image([inside, outside, inside, outside], Size(10, 10))

    assert (inside, (0.0, 0.0, 1.0, 1.0), inside, (0.0, 0.0, 1.0, 1.0)) == kept
    assert faults == ("out_of_image",)


def test_cutting_nothing_leaves_nothing():
    assert cut_at_image([], Size(10, 10)) == ((), ())


def test_a_whole_image_box_that_rounding_puts_a_hair_over_the_edge_is_not_out_of_image():
    boxes = to_image_px(((0.0, 0.0, 56.0, 112.0),), "input_px", Size(60, 116), Size(56, 112))
    assert boxes is not None

    kept, faults = cut_at_image(boxes, Size(60, 116))

    assert faults == ()
    assert kept[0] == pytest.approx((0, 0, 60, 116))


def test_numbers_of_a_square_lose_its_bands():
    there = to_image_px([(0.25, 0.5, 0.75, 0.75)], 1.0, Size(400, 200), None, padded_to_square=True)

    assert there == ((100.0, 100.0, 300.0, 200.0),)  # a band of 100 pixels above and below
    assert from_image_px(there, 1.0, Size(400, 200), None, padded_to_square=True) == ((0.25, 0.5, 0.75, 0.75),)


@pytest.mark.parametrize("unit", [1.0, 32.0, 100.0, 500.0, 999.0, 1000.0, 1024.0])
def test_a_whole_side_is_the_unit(unit):
    assert to_image_px([(0, 0, unit, unit)], unit, Size(640, 480), None) == ((0.0, 0.0, 640.0, 480.0),)
