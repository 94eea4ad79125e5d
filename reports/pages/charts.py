"""Draw the charts of the pages as SVG, by hand: four kinds, made of what `reports.pages.plot` draws.

Colours are the style sheet's variables, so that a chart follows light, dark and print; every series has a shape or dash
of its own beside its colour; marks carry ARIA labels, and the page has the same numbers in a table. The SVG has no
style attributes and no style element, so the policy need not allow any.

A library that draws them brings a JavaScript engine: a second of start for every command, and half the time of a page.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from reports.pages.plot import (
    SHAPES_DRAWN,
    LegendEntry,
    Plot,
    Scale,
    block,
    line,
    mark,
    path,
    round_ends,
    stroke,
    text,
    text_px,
)
from reports.texts.visible import visible

WIDTH_PX = 480
"""Width of a forest plot without its labels; the page scales it down where there is less room."""
SHARES_PX = 260
"""Width of bars without their labels."""
CURVE_PX, CURVE_HEIGHT_PX, HISTOGRAM_HEIGHT_PX = 430, 230, 180

COLOURS = ("var(--run-a)", "var(--run-b)", "var(--run-c)", "var(--run-d)", "var(--run-e)")
"""Colour of each side by its place; later sides begin again."""

DASHES = ([6, 3], [2, 3], [8, 3, 2, 3], [12, 4], [1, 0])
"""Dash pattern of each side."""

MOST_LABEL_CHARACTERS = 44
_BAR_PX = 14
_ROW_PX, _SIDE_PX = 26, 16
"""Height of a line of a forest plot; of each side's where there are several."""


@dataclass(frozen=True, slots=True)
class Change:
    """One line of a forest plot: a change or a score."""

    label: str
    """What it is of: untrusted text."""
    value: float
    """The number, as it is to be drawn."""
    low: float | None
    """Lower end of its interval."""
    high: float | None
    """Upper end."""
    side: int
    """Place of the side that is compared with the first."""


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One point of a curve."""

    x: float
    """Across."""
    y: float
    """Up."""
    low: float | None = None
    """Lower end of its interval."""
    high: float | None = None
    """Upper end."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One named curve."""

    name: str
    """What the legend says: untrusted text."""
    colour: str
    """A colour of the style sheet."""
    dash: Sequence[int]
    """Its dash pattern."""
    points: tuple[CurvePoint, ...]
    """From left to right."""


def forest_chart(changes: Sequence[Change], side_names: Mapping[int, str], axis: str, title: str) -> Markup:
    """Draw changes, or scores, with their intervals and a line at zero; the order of the lines is kept.

    Args:
        changes: At least one.
        side_names: Names of the sides by place.
        axis: What the horizontal axis counts.
        title: What a screen reader says of the chart.
    """
    labels = list(dict.fromkeys(_label(change.label) for change in changes))
    places = sorted({change.side for change in changes})
    several = len(places) > 1
    row_px = 10 + _SIDE_PX * len(places) if several else _ROW_PX
    ends = [end for change in changes for end in (change.value, *_ends(change), 0.0)]
    pad = 0.05 * (max(ends) - min(ends)) or 1.0
    plot = Plot(
        Scale(min(ends) - pad, max(ends) + pad, 0.0, WIDTH_PX),
        height_px=row_px * len(labels),
        left_px=8 + max(map(text_px, labels)),
    )
    plot.across(_label(axis))
    zero = plot.x.px(0.0)
    plot.elements.append(line(zero, 0, zero, plot.height_px, "var(--ink)", 'stroke-dasharray="3 3"'))
    plot.elements += [text(-8, row_px * (row + 0.5), label, "end") for row, label in enumerate(labels)]
    rows = {label: row for row, label in enumerate(labels)}
    for change in changes:
        offset = _SIDE_PX * (places.index(change.side) - (len(places) - 1) / 2)
        y = row_px * (rows[_label(change.label)] + 0.5) + offset
        colour, shape = COLOURS[change.side % len(COLOURS)], SHAPES_DRAWN[change.side % len(SHAPES_DRAWN)]
        low, high = map(plot.x.px, _ends(change))
        plot.elements.append(line(low, y, high, y, colour, 'stroke-width="2.5"'))
        plot.elements.append(mark(shape, plot.x.px(change.value), y, colour, _label(change.label)))
    if several:
        plot.legend_above(
            [
                LegendEntry(
                    _label(side_names[place]),
                    COLOURS[place % len(COLOURS)],
                    shape=SHAPES_DRAWN[place % len(SHAPES_DRAWN)],
                )
                for place in places
            ]
        )
    return plot.svg(title)


def _ends(change: Change) -> tuple[float, float]:
    """Return the ends of an interval; the value itself where there is none, or nothing bounds it."""
    low, high = change.low, change.high
    return (
        change.value if low is None or not math.isfinite(low) else low,
        change.value if high is None or not math.isfinite(high) else high,
    )


@dataclass(frozen=True, slots=True)
class ShareBar:
    """One bar: a share, or words in its place."""

    label: str
    """What it is of."""
    share: float | None
    """In [0, 1]; None where it is not shown."""
    low: float | None
    """Lower end of its interval."""
    high: float | None
    """Upper end."""
    words: str
    """The number, or why there is none: stands beside the label."""
    colour: str
    """A colour of the style sheet."""


def share_chart(bars: Sequence[ShareBar], axis: str, title: str) -> Markup:
    """Draw shares as bars from 0 to 100 % with their intervals, label and number beside each; the order is kept.

    Args:
        bars: At least one.
        axis: What the horizontal axis counts.
        title: What a screen reader says of the chart.
    """
    labels = [_label(f"{bar.label}: {bar.words}") for bar in bars]
    plot = Plot(Scale(0.0, 100.0, 0.0, SHARES_PX), height_px=_ROW_PX * len(bars), left_px=8 + max(map(text_px, labels)))
    plot.across(_label(axis))
    for row, (bar, label) in enumerate(zip(bars, labels, strict=True)):
        y = _ROW_PX * (row + 0.5)
        plot.elements.append(text(-8, y, label, "end"))
        if bar.share is None:
            continue
        plot.elements.append(block(0, y - _BAR_PX / 2, plot.x.px(100 * bar.share), _BAR_PX, bar.colour, label))
        if bar.low is not None and bar.high is not None:
            low, high = plot.x.px(100 * bar.low), plot.x.px(100 * bar.high)
            plot.elements.append(line(low, y, high, y, "var(--ink)", 'stroke-width="1.5"'))
            plot.elements += [line(end, y - 4, end, y + 4, "var(--ink)") for end in (low, high)]
    return plot.svg(title)


def curve_chart(curves: Sequence[Curve], x_axis: str, y_axis: str, title: str) -> Markup:
    """Draw curves, each with a band for its interval where it has one."""
    ends = [0.0]
    for curve in curves:
        for point in curve.points:
            ends += [value for value in (point.y, point.low, point.high) if value is not None]
    y = Scale(*round_ends(min(ends), max(ends)), CURVE_HEIGHT_PX, 0.0)
    plot = _unit_plot(CURVE_HEIGHT_PX, x_axis, y, y_axis)
    plot.elements.append(line(0, y.px(0.0), plot.width_px, y.px(0.0), "var(--rule)"))
    for curve in curves:
        band = [point for point in curve.points if point.low is not None and point.high is not None]
        if band:
            upper = [(plot.x.px(point.x), y.px(point.high or 0.0)) for point in band]
            lower = [(plot.x.px(point.x), y.px(point.low or 0.0)) for point in reversed(band)]
            plot.elements.append(path([*upper, *lower], f'fill="{curve.colour}" opacity="0.13"'))
    for curve in curves:
        points = [(plot.x.px(point.x), y.px(point.y)) for point in curve.points]
        plot.elements.append(path(points, stroke(curve.colour, curve.dash)))
    plot.legend_below([LegendEntry(_label(curve.name), curve.colour, curve.dash) for curve in curves])
    return plot.svg(title)


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts of one side over equal bins of [0, 1]."""

    name: str
    """What the legend says: untrusted text."""
    colour: int
    """Place of its colour and dash pattern."""
    counts: tuple[int, ...]
    """Samples per bin."""


def histogram_chart(sides: Sequence[Histogram], x_axis: str, title: str) -> Markup:
    """Draw histograms as step lines, one per side."""
    y = Scale(*round_ends(0.0, float(max(max(side.counts) for side in sides))), HISTOGRAM_HEIGHT_PX, 0.0)
    plot = _unit_plot(HISTOGRAM_HEIGHT_PX, x_axis, y, "samples")
    for side in sides:
        bins = len(side.counts)
        points = [
            (plot.x.px(edge / bins), y.px(found)) for at, found in enumerate(side.counts) for edge in (at, at + 1)
        ]
        plot.elements.append(path(points, stroke(COLOURS[side.colour], DASHES[side.colour])))
    plot.legend_below([LegendEntry(_label(side.name), COLOURS[side.colour], DASHES[side.colour]) for side in sides])
    return plot.svg(title)


def _unit_plot(height_px: float, x_axis: str, y: Scale, y_axis: str) -> Plot:
    """Return a plot over [0, 1] with both axes."""
    numbers_px = max(text_px(shown) for _, shown in y.ticks)
    plot = Plot(Scale(0.0, 1.0, 0.0, CURVE_PX), height_px=height_px, left_px=numbers_px + 30)
    plot.across(_label(x_axis))
    plot.upwards(y, _label(y_axis))
    return plot


def _label(text: str) -> str:
    shown = " ".join(visible(text).split())
    return shown if len(shown) <= MOST_LABEL_CHARACTERS else f"{shown[: MOST_LABEL_CHARACTERS - 1]}…"
