"""Axes have round numbers, and a number lies where its axis says."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.pages.charts import Change, Histogram, forest_chart, histogram_chart
from reports.pages.plot import SHAPES_DRAWN, LegendEntry, Plot, Scale, mark, round_ends, text_px

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize(
    ("low", "high", "written"),
    [
        (0.0, 1.0, ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (-5.0, 5.0, ["−4", "−2", "0", "2", "4"]),
        (0.0, 4000.0, ["0", "500", "1,000", "1,500", "2,000", "2,500", "3,000", "3,500", "4,000"]),
        (-0.03, 0.04, ["−0.03", "−0.02", "−0.01", "0", "0.01", "0.02", "0.03", "0.04"]),
        (97.2, 99.9, ["97.5", "98.0", "98.5", "99.0", "99.5"]),
    ],
)
def test_numbers_at_an_axis_are_round(low, high, written):
    assert [shown for _, shown in Scale(low, high, 0.0, 100.0).ticks] == written


FINITE = st.floats(-1e9, 1e9)


@given(FINITE, st.floats(1e-6, 1e9))
def test_some_numbers_stand_at_every_axis_and_within_it(low, width):
    scale = Scale(low, low + max(width, abs(low) * 1e-6), 0.0, 480.0)

    assert 3 <= len(scale.ticks) <= 9
    assert all(-0.01 <= scale.px(value) <= 480.01 for value, _ in scale.ticks)


@given(FINITE, st.floats(0.0, 1e9))
def test_round_ends_hold_what_lies_between(low, width):
    high = low + (width if width > abs(low) * 1e-6 else 0.0)
    begin, end = round_ends(low, high)
    slack = 1e-6 * max(1.0, abs(low), abs(high))

    assert begin <= low + slack
    assert high <= end + slack
    assert begin < end


def test_marks_of_a_forest_plot_lie_where_their_numbers_are():
    changes = [Change("one", 10.0, 5.0, 15.0, 1), Change("two", -10.0, None, math.inf, 1)]
    root = ET.fromstring(forest_chart(changes, {1: "b"}, "points", "t"))

    [one, two] = [float(path.get("d")[1:].split(",")[0]) for path in root.iter(f"{SVG}path")]
    lines = [[float(line.get(end)) for end in ("x1", "x2")] for line in root.iter(f"{SVG}line")]
    intervals = [ends for ends, line in zip(lines, root.iter(f"{SVG}line"), strict=True) if line.get("stroke-width")]
    zero = next(
        ends[0] for ends, line in zip(lines, root.iter(f"{SVG}line"), strict=True) if line.get("stroke-dasharray")
    )
    half_px = 4.6  # a square's
    assert one + half_px - zero == pytest.approx(zero - two - half_px, abs=0.2)
    assert intervals[0] == pytest.approx([zero + (one + half_px - zero) * share for share in (0.5, 1.5)], abs=0.2)
    assert intervals[1][0] == intervals[1][1], "an end that nothing bounds is not drawn"


def test_a_histogram_is_as_high_as_its_counts():
    root = ET.fromstring(histogram_chart([Histogram("b", 1, (0, 10, 5))], "IoU", "t"))

    drawn = next(path.get("d") for path in root.iter(f"{SVG}path"))
    points = [tuple(map(float, point.split(","))) for point in drawn[1:].split("L")]
    heights = [180 - y for _, y in points]
    assert heights == pytest.approx([0, 0, 180, 180, 90, 90], abs=0.1)
    assert [x for x, _ in points] == pytest.approx([0, 143.3, 143.3, 286.7, 286.7, 430], abs=0.1)


@pytest.mark.parametrize("counts", [(0,), (0, 0, 0), (1,), (10**9, 0)])
def test_a_histogram_of_nothing_is_drawn(counts):
    assert ET.fromstring(histogram_chart([Histogram("b", 0, counts)], "IoU", "t")).get("role") == "img"


def test_a_legend_takes_as_many_rows_as_it_needs():
    plot = Plot(Scale(0.0, 1.0, 0.0, 480.0), 100.0, 50.0)
    plot.legend_above([LegendEntry("a long name of a checkpoint", "var(--run-a)", shape="circle")] * 5)

    assert plot.above_px == 18 * 3 + 6


def test_wide_characters_take_more_room():
    assert text_px("模型模型") > 1.5 * text_px("abcd")


@pytest.mark.parametrize("shape", SHAPES_DRAWN)
def test_every_mark_is_drawn_and_says_what_it_is_of(shape):
    element = ET.fromstring(mark(shape, 10, 10, "var(--run-a)", '<"a">'))

    assert element.get("aria-label") == '<"a">'
