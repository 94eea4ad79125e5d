"""Overlap is area counted once, the same from both sides, and never NaN."""

import itertools
import json
import math
import random
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.frames import smart_resize
from harness.overlap import match_boxes, paper_iou, union_iou
from harness.parse import parse
from harness.values import PAPER_PIXEL_LIMITS, BoxMatch, Size

PARITY = Path(__file__).parents[1] / "cases" / "parity_core.jsonl"
HUGE = sys.float_info.max
TINY = 5e-324


def boxes_from(edges, **sizes):
    """Lists of boxes with x1 <= x2 and y1 <= y2."""
    pair = st.tuples(edges, edges).map(sorted)
    return st.lists(st.tuples(pair, pair).map(lambda xy: (xy[0][0], xy[1][0], xy[0][1], xy[1][1])), **sizes)


whole_boxes = boxes_from(st.integers(0, 12).map(float), max_size=6)
pixel_boxes = boxes_from(st.floats(-100, 4000, allow_nan=False).map(lambda edge: round(edge, 3)), max_size=6)
wild_boxes = st.lists(st.tuples(*[st.floats(allow_nan=False, allow_infinity=False)] * 4), max_size=5)


def has_area(boxes):
    return any(x1 < x2 and y1 < y2 for x1, y1, x2, y2 in boxes)


def shapely_areas(predicted, gold):
    from shapely.geometry import box
    from shapely.ops import unary_union

    ours, theirs = (unary_union([box(*corners) for corners in boxes]) for boxes in (predicted, gold))
    return ours.intersection(theirs).area, ours.union(theirs).area


def random_boxes(rng, count, *, grid):
    edge = (lambda: float(rng.randrange(12))) if grid else (lambda: rng.uniform(-50.0, 2000.0))
    return [
        (min(a, b), min(c, d), max(a, b), max(c, d))
        for a, b, c, d in ([edge() for _ in range(4)] for _ in range(count))
    ]


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.tuples(whole_boxes, whole_boxes), st.tuples(pixel_boxes, pixel_boxes)))
def test_iou_is_symmetric_and_between_0_and_1(sides):
    predicted, gold = sides

    assert 0.0 <= union_iou(predicted, gold) <= 1.0
    assert union_iou(gold, predicted) == union_iou(predicted, gold)


@settings(max_examples=300, deadline=None)
@given(st.one_of(whole_boxes, pixel_boxes, wild_boxes))
def test_a_region_overlaps_itself_completely(boxes):
    assert (1.0 if has_area(boxes) else 0.0) == union_iou(boxes, boxes)


@settings(max_examples=200, deadline=None)
@given(whole_boxes, whole_boxes, st.integers(-1000, 1000), st.integers(-1000, 1000))
def test_a_shift_changes_nothing(predicted, gold, dx, dy):
    moved = [[(x1 + dx, y1 + dy, x2 + dx, y2 + dy) for x1, y1, x2, y2 in boxes] for boxes in (predicted, gold)]

    assert union_iou(*moved) == pytest.approx(union_iou(predicted, gold), abs=1e-12)


@settings(max_examples=200, deadline=None)
@given(whole_boxes, whole_boxes, st.floats(1e-100, 1e100), st.floats(1e-100, 1e100))
def test_a_scale_changes_nothing(predicted, gold, sx, sy):
    scaled = [[(x1 * sx, y1 * sy, x2 * sx, y2 * sy) for x1, y1, x2, y2 in boxes] for boxes in (predicted, gold)]

    assert union_iou(*scaled) == pytest.approx(union_iou(predicted, gold), abs=1e-12)


@settings(max_examples=200, deadline=None)
@given(whole_boxes, whole_boxes, st.randoms(use_true_random=False))
def test_order_and_duplicates_change_nothing(predicted, gold, rng):
    shuffled = predicted + predicted
    rng.shuffle(shuffled)

    assert union_iou(predicted, gold) == union_iou(shuffled, gold)


@settings(max_examples=500, deadline=None)
@given(wild_boxes, wild_boxes)
def test_no_finite_box_gives_nan(predicted, gold):
    match = match_boxes(predicted, gold)

    assert 0.0 <= union_iou(predicted, gold) <= 1.0
    assert 0.0 <= paper_iou(predicted, gold) <= 1.0
    assert 0.0 <= match.iou_sum <= min(len(predicted), len(gold))


@pytest.mark.parametrize(
    ("predicted", "gold", "iou"),
    [
        ([], [], 0.0),
        ([], [(0, 0, 1, 1)], 0.0),
        ([(0, 0, 1, 1)], [], 0.0),
        ([(0, 0, 0, 0)], [(0, 0, 0, 0)], 0.0),
        ([(0, 0, 1, 0)], [(0, 0, 1, 1)], 0.0),
        ([(2, 2, 1, 1)], [(1, 1, 2, 2)], 0.0),
        ([(0, 0, 1, 1)], [(1, 0, 2, 1)], 0.0),
        ([(0, 0, 2, 2)], [(1, 1, 3, 3)], 1 / 7),
        ([(0, 0, 1, 2), (1, 0, 2, 2)], [(0, 0, 2, 2)], 1.0),
        ([(0, 0, 2, 2), (0, 0, 2, 2), (0, 0, 1, 1)], [(0, 0, 2, 2)], 1.0),
        ([(0, 0, 1, 1), (5, 5, 6, 6)], [(0, 0, 1, 1), (8, 8, 9, 9)], 1 / 3),
        ([(-HUGE, -HUGE, HUGE, HUGE)], [(-HUGE, -HUGE, HUGE, HUGE)], 1.0),
        ([(-HUGE, -HUGE, HUGE, HUGE)], [(0, 0, HUGE, HUGE)], 0.25),
        ([(-HUGE, -HUGE, HUGE, HUGE)], [(0, 0, 1, 1)], 0.0),
        ([(0, 0, TINY, TINY)], [(0, 0, TINY, TINY)], 1.0),
        ([(0, 0, 1e-200, 1e-200)], [(0, 0, 1e-200, 2e-200)], 0.5),
        ([(0, 0, 1e300, 1e-300)], [(0, 0, 1e300, 2e-300)], 0.5),
        ([(0, 0, 1e200, 1e200)] * 50, [(0, 0, 1e200, 2e200)], 0.5),
    ],
)
def test_iou_of_known_regions(predicted, gold, iou):
    assert union_iou(predicted, gold) == pytest.approx(iou, abs=1e-15)


def test_union_of_overlapping_boxes_counts_area_once():
    assert union_iou([(0, 0, 2, 2), (1, 0, 3, 2)], [(0, 0, 3, 1)]) == 3 / 6


@pytest.mark.slow
def test_iou_equals_shapely_on_ten_thousand_random_sets():
    rng = random.Random(20250519)
    for number in range(10_000):
        predicted, gold = (random_boxes(rng, rng.randint(1, 6), grid=number % 3 == 0) for _ in range(2))
        intersection, union = shapely_areas(predicted, gold)

        assert union_iou(predicted, gold) == pytest.approx(intersection / union if union else 0.0, abs=1e-9)
        assert paper_iou(predicted, gold) == pytest.approx(intersection / (union + 1e-6), abs=1e-9)


@pytest.mark.parametrize("count", [7, 20, 21, 40, 120])
@pytest.mark.parametrize("grid", [True, False])
def test_many_boxes_equal_shapely(count, grid):
    rng = random.Random(count)
    predicted, gold = random_boxes(rng, count, grid=grid), random_boxes(rng, count, grid=grid)
    intersection, union = shapely_areas(predicted, gold)

    assert union_iou(predicted, gold) == pytest.approx(intersection / union, rel=1e-9)
    assert union_iou(predicted, predicted) == 1.0
    assert union_iou(predicted, gold) == union_iou(gold, predicted)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 4000).map(lambda edge: edge / 4)] * 4), min_size=1, max_size=5))
def test_paper_iou_is_shapelys_whatever_the_order_of_the_corners(predicted):
    gold = [(100.0, 100.0, 300.0, 300.0)]
    intersection, union = shapely_areas(predicted, gold)

    assert paper_iou(predicted, gold) == pytest.approx(intersection / (union + 1e-6), abs=1e-9)


def test_an_inverted_box_has_full_credit_on_paper_and_none_with_us():
    inverted, gold = [(200.0, 200.0, 100.0, 100.0)], [(100.0, 100.0, 200.0, 200.0)]

    assert paper_iou(inverted, gold) == 0.9999999999
    assert union_iou(inverted, gold) == 0.0


@pytest.mark.parametrize(
    "case",
    [case for case in map(json.loads, PARITY.read_text().splitlines()) if case["about"] == "satori_bbox"],
    ids=lambda case: case["note"] or case["id"],
)
def test_box_reward_of_the_reference(case):
    (row,) = case["rows"]
    response = parse(row["prediction"], "satori", "paper_reward")
    size = Size(row["width"], row["height"])
    try:
        seen = smart_resize(size, PAPER_PIXEL_LIMITS)
    except ValueError:
        assert "fault" in case["expect"]  # the reference crashes as well
        return
    scale_x, scale_y = size.width / seen.width, size.height / seen.height
    predicted = [
        (x1 * scale_x, y1 * scale_y, x2 * scale_x, y2 * scale_y) for x1, y1, x2, y2 in response.boxes_written or ()
    ]

    assert paper_iou(predicted, row["boxes"]) == pytest.approx(case["expect"]["components"]["bbox"], abs=1e-12)
    assert response.faults or "fault" not in case["expect"]


def greatest_sum(predicted, gold):
    """The greatest IoU sum over all matchings, by trying them all."""
    fewer, more = sorted((predicted, gold), key=len)
    return max(
        (
            sum(union_iou([one], [other]) for one, other in zip(fewer, chosen, strict=True))
            for chosen in itertools.permutations(more, len(fewer))
        ),
        default=0.0,
    )


@settings(max_examples=150, deadline=None)
@given(whole_boxes, boxes_from(st.integers(0, 12).map(float), max_size=4))
def test_matching_is_the_best_one_to_one(predicted, gold):
    match = match_boxes(predicted, gold)

    assert (len(predicted), len(gold)) == (match.predicted, match.gold)
    assert match.iou_sum == pytest.approx(greatest_sum(predicted, gold), abs=1e-9)
    assert match.iou_sum == pytest.approx(match_boxes(gold, predicted).iou_sum, abs=1e-9)
    assert 0 <= match.hits_50 <= min(len(predicted), len(gold))


@pytest.mark.parametrize(
    ("predicted", "gold", "match"),
    [
        ([], [], BoxMatch(0, 0, 0.0, 0)),
        ([], [(0, 0, 1, 1)], BoxMatch(0, 1, 0.0, 0)),
        ([(0, 0, 1, 1)], [], BoxMatch(1, 0, 0.0, 0)),
        ([(0, 0, 2, 1)], [(0, 0, 1, 1)], BoxMatch(1, 1, 0.5, 1)),
        ([(0, 0, 1, 1)] * 3, [(0, 0, 1, 1)], BoxMatch(3, 1, 1.0, 1)),
        ([(5, 5, 6, 6), (0, 0, 1, 1)], [(0, 0, 1, 1), (5, 5, 6, 6)], BoxMatch(2, 2, 2.0, 2)),
        # The best single pair (second box, first gold) leaves a poor one: the two others are better together.
        ([(0, 0, 10, 1), (3, 0, 13, 1)], [(2, 0, 12, 1), (6, 0, 16, 1)], BoxMatch(2, 2, 8 / 12 + 7 / 13, 2)),
        ([(3, 3, 3, 9), (0, 0, 1, 1)], [(0, 0, 1, 1)], BoxMatch(2, 1, 1.0, 1)),
    ],
)
def test_known_matchings(predicted, gold, match):
    found = match_boxes(predicted, gold)

    assert (match.predicted, match.gold, match.hits_50) == (found.predicted, found.gold, found.hits_50)
    assert match.iou_sum == pytest.approx(found.iou_sum)


@pytest.mark.slow  # imports torch
def test_pairwise_iou_is_torchvisions():
    import torch
    from torchvision.ops import box_iou

    rng = random.Random(7)
    predicted, gold = random_boxes(rng, 30, grid=False), random_boxes(rng, 20, grid=False)
    theirs = box_iou(torch.tensor(predicted, dtype=torch.float64), torch.tensor(gold, dtype=torch.float64)).tolist()

    ours = [[union_iou([one], [other]) for other in gold] for one in predicted]
    assert [pytest.approx(row, abs=1e-12) for row in theirs] == ours


def test_the_solver_and_trying_all_find_the_same():
    rng = random.Random(3)
    for _ in range(20):
        predicted, gold = random_boxes(rng, 6, grid=False), random_boxes(rng, 5, grid=False)

        assert match_boxes(predicted, gold).iou_sum == pytest.approx(greatest_sum(predicted, gold), abs=1e-12)


def test_boxes_beyond_the_cap_are_counted_but_not_matched():
    far = [(1e6, 1e6, 1e6 + 1, 1e6 + 1)] * 1000

    assert match_boxes([*far, (0, 0, 1, 1)], [(0, 0, 1, 1)]) == BoxMatch(1001, 1, 0.0, 0)


def test_a_thousand_boxes_take_tens_of_milliseconds():
    rng = random.Random(1)
    predicted, gold = random_boxes(rng, 1000, grid=False), random_boxes(rng, 4, grid=False)
    union_iou(predicted, gold)  # numpy and scipy are imported once per process, not per sample
    match_boxes(predicted, gold)
    started = time.process_time()
    iou = union_iou(predicted, gold)
    match = match_boxes(predicted, gold)

    assert time.process_time() - started < 2
    assert 0.0 < iou < 1.0
    assert math.isfinite(match.iou_sum)
