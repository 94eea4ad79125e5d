"""Draw the charts of the pages as SVG: Vega-Lite describes them, vl-convert renders them, no script reaches the page.

Colours are the style sheet's variables, so that a chart follows light, dark and print; every series has a shape or dash
of its own beside its colour; marks carry ARIA labels, and the page has the same numbers in a table. The SVG has no
style attributes and no style element, so the policy need not allow any.

The descriptions are written out here: a library that builds them costs a page a third of its time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from reports.pages.chart_renderer import RENDERER
from reports.texts.visible import visible

WIDTH_PX = 620
"""Width of a chart's plot; the page scales it down where there is less room."""

COLOURS = ("var(--run-a)", "var(--run-b)", "var(--run-c)", "var(--run-d)", "var(--run-e)")
"""Colour of each side by its place; later sides begin again."""

DASHES = ([6, 3], [2, 3], [8, 3, 2, 3], [12, 4], [1, 0])
"""Dash pattern of each side."""

SHAPES = ("circle", "square", "diamond", "triangle-up", "cross")
"""Mark of each side."""

MOST_LABEL_CHARACTERS = 44

NOT_DRAWN = "this chart could not be drawn here (too little memory for its renderer?); the tables hold its numbers"
"""What stands in a chart's place."""


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
    several = len({change.side for change in changes}) > 1
    rows = [
        {
            "what": _label(change.label),
            "change": change.value,
            "low": change.value if change.low is None else change.low,
            "high": change.value if change.high is None else change.high,
            "side": _label(side_names[change.side]),
        }
        for change in changes
    ]
    ends = [end for row in rows for end in (row["low"], row["high"], 0.0)]
    pad = 0.05 * (max(ends) - min(ends)) or 1.0  # pyright: ignore[reportOperatorIssue] - all are numbers
    domain = [min(ends) - pad, max(ends) + pad]  # pyright: ignore[reportOperatorIssue] - all are numbers
    places = sorted({change.side for change in changes})
    names = [_label(side_names[place]) for place in places]
    legend: dict[str, Any] | None = {"orient": "top", "title": None} if several else None
    colours = {"domain": names, "range": [COLOURS[place % len(COLOURS)] for place in places]}
    shapes = {"domain": names, "range": [SHAPES[place % len(SHAPES)] for place in places]}
    lines = {"domain": False, "labelLimit": 320, "ticks": False}
    shared: dict[str, Any] = {
        "color": _nominal("side", legend=legend, scale=colours),
        "y": _nominal("what", axis=lines, sort=labels, title=None),
    }
    if several:
        shared["yOffset"] = _nominal("side", sort=names)
    scale = {"domain": domain, "nice": False, "zero": False}
    zero = {
        "data": {"values": [{"zero": 0}]},
        "mark": {"type": "rule", "color": "var(--ink)", "strokeDash": [3, 3]},
        "encoding": {"x": _quantity("zero")},
    }
    intervals = {
        "data": {"values": rows},
        "mark": {"type": "rule", "aria": False, "strokeWidth": 2.5},
        "encoding": {**shared, "x": _quantity("low", scale=scale, title=_label(axis)), "x2": {"field": "high"}},
    }
    points = {
        "data": {"values": rows},
        "mark": {"type": "point", "filled": True, "opacity": 1, "size": 85},
        "encoding": {
            **shared,
            "description": _nominal("what"),
            "shape": _nominal("side", legend=legend, scale=shapes),
            "x": _quantity("change"),
        },
    }
    size = {"width": WIDTH_PX - 140, "height": {"step": 16 if several else 26}}
    return _svg({"layer": [zero, intervals, points], **size}, title)


def curve_chart(curves: Sequence[Curve], x_axis: str, y_axis: str, title: str) -> Markup:
    """Draw curves, each with a band for its interval where it has one."""
    rows: list[dict[str, object]] = [
        {"x": point.x, "y": point.y, "low": point.low, "high": point.high, "name": _label(curve.name)}
        for curve in curves
        for point in curve.points
    ]
    names = [_label(curve.name) for curve in curves]
    legend = {"columns": 1, "labelLimit": 400, "orient": "bottom", "symbolSize": 300, "title": None}
    x = _quantity("x", scale={"domain": [0, 1]}, title=_label(x_axis))
    zero = {
        "data": {"values": [{"zero": 0}]},
        "mark": {"type": "rule", "color": "var(--rule)"},
        "encoding": {"y": _quantity("zero")},
    }
    # A layer of its own for each band: an encoded fill would take the legend away from the lines.
    bands = [
        {
            "data": {"values": [row for row in rows if row["name"] == name and row["low"] is not None]},
            "mark": {"type": "area", "aria": False, "fill": curve.colour, "opacity": 0.13},
            "encoding": {"x": x, "y": _quantity("low", title=_label(y_axis)), "y2": {"field": "high"}},
        }
        for name, curve in zip(names, curves, strict=True)
    ]
    colours = {"domain": names, "range": [curve.colour for curve in curves]}
    dashes = {"domain": names, "range": [list(curve.dash) for curve in curves]}
    lines = {
        "data": {"values": rows},
        "mark": {"type": "line", "strokeWidth": 2.2},
        "encoding": {
            "color": _nominal("name", legend=legend, scale=colours),
            "strokeDash": _nominal("name", scale=dashes),
            "x": x,
            "y": _quantity("y", title=_label(y_axis)),
        },
    }
    return _svg({"layer": [zero, *bands, lines], "width": 430, "height": 230}, title)


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
    rows: list[dict[str, object]] = []
    for side in sides:
        bins, name = len(side.counts), _label(side.name)
        rows += [{"x": at / bins, "samples": found, "side": name} for at, found in enumerate(side.counts)]
        rows.append({"x": 1.0, "samples": side.counts[-1], "side": name})
    names = [_label(side.name) for side in sides]
    colours = {"domain": names, "range": [COLOURS[side.colour] for side in sides]}
    dashes = {"domain": names, "range": [list(DASHES[side.colour]) for side in sides]}
    legend = {"labelLimit": 300, "orient": "bottom", "symbolSize": 300, "title": None}
    chart = {
        "data": {"values": rows},
        "mark": {"type": "line", "interpolate": "step-after", "strokeWidth": 2.2},
        "encoding": {
            "color": _nominal("side", legend=legend, scale=colours),
            "strokeDash": _nominal("side", scale=dashes),
            "x": _quantity("x", scale={"domain": [0, 1]}, title=_label(x_axis)),
            "y": _quantity("samples", scale={"zero": True}, title="samples"),
        },
    }
    return _svg({**chart, "width": 430, "height": 180}, title)


def _nominal(field: str, **more: Any) -> dict[str, Any]:
    """Return an encoding by names."""
    return {"field": field, "type": "nominal", **more}


def _quantity(field: str, **more: Any) -> dict[str, Any]:
    """Return an encoding by numbers."""
    return {"field": field, "type": "quantitative", **more}


def _label(text: str) -> str:
    shown = " ".join(visible(text).split())
    return shown if len(shown) <= MOST_LABEL_CHARACTERS else f"{shown[: MOST_LABEL_CHARACTERS - 1]}…"


_FONT_FAMILY = re.compile(r' font-family="[^"]*"')


_SCHEMA = "https://vega.github.io/schema/vega-lite/v6.4.1.json"
"""The language of the descriptions; vl-convert must know its major version."""

_INK, _RULE = "currentColor", "var(--rule)"
_CONFIG: Mapping[str, Any] = {
    "view": {"continuousWidth": 300, "continuousHeight": 300, "stroke": None},
    "axis": {
        "domainColor": _RULE, "gridColor": "var(--line)", "labelColor": _INK, "labelFontSize": 12,
        "tickColor": _RULE, "titleColor": _INK, "titleFontSize": 12, "titleFontWeight": "normal",
    },
    "background": "transparent",
    "font": "sans-serif",
    "legend": {"labelColor": _INK, "labelFontSize": 12, "titleColor": _INK},
    "padding": 14,
}  # fmt: skip
"""How every chart looks: ink and lines are the page's."""


def _svg(chart: Mapping[str, Any], title: str) -> Markup:
    """Render a chart to SVG that takes its ink and font from the page; words where it cannot be rendered."""
    text = RENDERER.svg({"$schema": _SCHEMA, "config": _CONFIG, **chart, "description": visible(title)})
    if text is None:
        return Markup('<p class="note">{}</p>').format(f"{visible(title)}: {NOT_DRAWN}")
    # The page's own font; and a name for the picture as a whole. Vega has escaped every text.
    text = _FONT_FAMILY.sub("", text)
    head, tail = text.split("<svg ", 1)
    named = Markup('role="img" aria-label="{}" ').format(visible(title))
    return Markup(f"{head}<svg {named}{tail}")  # noqa: S704 - Vega's output, every text in it escaped
