"""Tests of gold boxes: what a file's numbers can't be is told, honest boxes never are, declared frames are placed."""

import json
from pathlib import Path

import numpy as np
import pytest

from harness.scoring.gold_boxes import FrameEvidence, GoldBoxError, corners, parse_quads, placed
from harness.values import Size
from harness.vocabulary import GOLD_FRAMES

CASES = json.loads((Path(__file__).parents[1] / "cases" / "gold_frames.json").read_text(encoding="utf-8"))
SIZES = [(640, 480), (480, 640), (1024, 768), (1600, 1200), (1920, 1080), (4000, 3000), (500, 375), (800, 800)]


def seen(rows) -> FrameEvidence:
    evidence = FrameEvidence()
    for size, boxes in rows:
        evidence.add([tuple(map(float, box)) for box in boxes], Size(*size))
    return evidence


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_a_file_is_suspected_of_what_its_numbers_show(case):
    suspicion = seen(case["rows"]).suspicion()

    assert (suspicion.reading if suspicion else None) == case["seems"]


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_who_declares_pixels_is_contradicted_only_by_what_is_plain(case):
    suspicion = seen(case["rows"]).suspicion(declared=True)

    assert (suspicion.reading if suspicion else None) in {None, case["seems"]}
    if case["seems"] in {"percent", "xywh"}:
        assert suspicion is None


def drawn(rng, kind, size):
    """Draw a box in pixels: of any size, small, or in the middle."""
    width, height = size
    sides = rng.uniform(8, 60, 2) if kind == "small" else rng.uniform(0.05, 0.5, 2) * size
    room = np.array([width, height]) - sides
    corner = room / 2 * (1 + rng.normal(0, 0.15, 2)).clip(0, 2) if kind == "middle" else rng.uniform(0, 1, 2) * room
    return (*corner, *(corner + sides))


@pytest.mark.parametrize("one_size", [True, False])
@pytest.mark.parametrize("rows", [1, 2, 3, 5, 10, 40, 200])
@pytest.mark.parametrize("kind", ["any", "small", "middle"])
def test_honest_boxes_are_never_suspected(kind, rows, one_size):
    rng = np.random.default_rng(rows)
    for _ in range(40):
        first = SIZES[rng.integers(len(SIZES))]
        sizes = [first if one_size else SIZES[rng.integers(len(SIZES))] for _ in range(rows)]
        boxes = [
            (size, [np.rint(drawn(rng, kind, size)) if rng.random() < 0.5 else drawn(rng, kind, size)])
            for size in sizes
        ]

        assert seen(boxes).suspicion() is None


WRITTEN = {
    "norm_1": lambda box, size: np.array(box) / (*size, *size),
    "norm_1000": lambda box, size: np.rint(np.array(box) / (*size, *size) * 1000),
    "percent": lambda box, size: np.array(box) / (*size, *size) * 100,
    "xywh": lambda box, size: (box[0], box[1], box[2] - box[0], box[3] - box[1]),
    "yxyx": lambda box, size: (box[1], box[0], box[3], box[2]),
}


@pytest.mark.parametrize("frame", WRITTEN)
def test_a_file_in_another_frame_is_found_and_its_declaration_places_it(frame):
    rng = np.random.default_rng(7)
    sizes = [SIZES[rng.integers(len(SIZES) - 1)] for _ in range(60)]
    boxes = [drawn(rng, "any", size) for size in sizes]
    rows = [(size, [WRITTEN[frame](box, size)]) for box, size in zip(boxes, sizes, strict=True)]

    suspicion = seen(rows).suspicion()
    back = [placed(corners([tuple(map(float, quads[0]))], frame), frame, Size(*size), None)[0] for size, quads in rows]

    assert suspicion is not None
    assert suspicion.reading == frame
    assert np.allclose(boxes, back, atol=4.0 if frame == "norm_1000" else 1e-6)


@pytest.mark.parametrize("frame", GOLD_FRAMES)
def test_every_frame_places_the_same_box(frame):
    size, declared = Size(200, 100), Size(400, 300)
    written = {
        "image_px": (20, 10, 100, 60),
        "input_px": (40, 30, 200, 180),
        "norm_1": (0.1, 0.1, 0.5, 0.6),
        "norm_1000": (100, 100, 500, 600),
        "percent": (10, 10, 50, 60),
        "xywh": (20, 10, 80, 50),
        "yxyx": (10, 20, 60, 100),
    }[frame]

    boxes = placed(corners(parse_quads(list(written)), frame), frame, size, declared)

    assert boxes == (pytest.approx((20, 10, 100, 60)),)


@pytest.mark.parametrize("frame", [frame for frame in GOLD_FRAMES if frame not in {"image_px", "xywh", "yxyx"}])
def test_a_frame_without_the_size_that_it_needs_places_nothing(frame):
    assert placed([(0.1, 0.1, 0.5, 0.6)], frame, None, None) is None


@pytest.mark.parametrize(
    ("quad", "frame", "name"),
    [
        ([5, 5, 1, 9], "image_px", "box_inverted"),
        ([5, 5, 5, 9], "image_px", "box_degenerate"),
        ([5, 5, -1, 9], "xywh", "box_inverted"),
        ([5, 5, 0, 9], "xywh", "box_degenerate"),
        ([9, 5, 1, 9], "yxyx", "box_inverted"),
    ],
)
def test_a_box_without_area_is_named_in_every_order(quad, frame, name):
    with pytest.raises(GoldBoxError) as refused:
        corners(parse_quads(quad), frame)

    assert refused.value.name == name


def test_the_largest_floats_and_a_huge_file_cost_nothing():
    evidence = FrameEvidence()
    for number in range(2000):
        evidence.add([(-1.7e308, float(number), 1.7e308, 1e308)], Size(10, 10))

    assert evidence.suspicion().reading == "other_px"
