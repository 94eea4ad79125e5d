"""Draw the charts of the pages as SVG: Altair describes them, vl-convert renders them, no script reaches the page.

Colours are the style sheet's variables, so that a chart follows light, dark and print; every series has a shape or dash
of its own beside its colour; marks carry ARIA labels, and the page has the same numbers in a table. The SVG has no
style attributes and no style element, so the policy need not allow any.
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
    import altair as alt  # noqa: PLC0415 - half a second, and only pages draw

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
    base = alt.Chart(alt.Data(values=rows)).encode(
        y=alt.Y("what:N", sort=labels, title=None, axis=alt.Axis(labelLimit=320, ticks=False, domain=False)),
        color=alt.Color(
            "side:N",
            scale=alt.Scale(domain=names, range=[COLOURS[place % len(COLOURS)] for place in places]),
            legend=alt.Legend(title=None, orient="top") if several else None,
        ),
    )
    if several:
        base = base.encode(yOffset=alt.YOffset("side:N", sort=names))
    x = alt.X("low:Q", title=_label(axis), scale=alt.Scale(domain=domain, nice=False, zero=False))
    zero = alt.Chart(alt.Data(values=[{"zero": 0}])).mark_rule(color="var(--ink)", strokeDash=[3, 3]).encode(x="zero:Q")
    intervals = base.mark_rule(strokeWidth=2.5, aria=False).encode(x=x, x2="high:Q")
    points = base.mark_point(filled=True, size=85, opacity=1).encode(
        x="change:Q",
        shape=alt.Shape(
            "side:N",
            scale=alt.Scale(domain=names, range=[SHAPES[place % len(SHAPES)] for place in places]),
            legend=alt.Legend(title=None, orient="top") if several else None,
        ),
        description="what:N",
    )
    chart = (zero + intervals + points).properties(
        width=WIDTH_PX - 140, height=alt.Step(16 if several else 26), description=visible(title)
    )
    return _svg(chart, title)


def curve_chart(curves: Sequence[Curve], x_axis: str, y_axis: str, title: str) -> Markup:
    """Draw curves, each with a band for its interval where it has one."""
    import altair as alt  # noqa: PLC0415 - as above

    rows: list[dict[str, object]] = [
        {"x": point.x, "y": point.y, "low": point.low, "high": point.high, "name": _label(curve.name)}
        for curve in curves
        for point in curve.points
    ]
    names = [_label(curve.name) for curve in curves]
    scale = alt.Scale(domain=names, range=[curve.colour for curve in curves])
    colour = alt.Color(
        "name:N",
        scale=scale,
        legend=alt.Legend(title=None, orient="bottom", columns=1, labelLimit=400, symbolSize=300),
    )
    dash = alt.StrokeDash("name:N", scale=alt.Scale(domain=names, range=[list(curve.dash) for curve in curves]))
    base = alt.Chart(alt.Data(values=rows))
    x = alt.X("x:Q", title=_label(x_axis), scale=alt.Scale(domain=[0, 1]))
    # A layer of its own for each band: an encoded fill would take the legend away from the lines.
    bands = [
        alt.Chart(alt.Data(values=[row for row in rows if row["name"] == name and row["low"] is not None]))
        .mark_area(opacity=0.13, fill=curve.colour, aria=False)
        .encode(x=x, y=alt.Y("low:Q", title=_label(y_axis)), y2="high:Q")
        for name, curve in zip(names, curves, strict=True)
    ]
    lines = base.mark_line(strokeWidth=2.2).encode(
        x=x, y=alt.Y("y:Q", title=_label(y_axis)), color=colour, strokeDash=dash
    )
    zero = alt.Chart(alt.Data(values=[{"zero": 0}])).mark_rule(color="var(--rule)").encode(y="zero:Q")
    return _svg(alt.layer(zero, *bands, lines).properties(width=430, height=230, description=visible(title)), title)


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
    import altair as alt  # noqa: PLC0415 - as above

    rows: list[dict[str, object]] = []
    for side in sides:
        bins, name = len(side.counts), _label(side.name)
        rows += [{"x": at / bins, "samples": found, "side": name} for at, found in enumerate(side.counts)]
        rows.append({"x": 1.0, "samples": side.counts[-1], "side": name})
    names = [_label(side.name) for side in sides]
    scale = alt.Scale(domain=names, range=[COLOURS[side.colour] for side in sides])
    dashes = alt.Scale(domain=names, range=[list(DASHES[side.colour]) for side in sides])
    chart = (
        alt.Chart(alt.Data(values=rows))
        .mark_line(interpolate="step-after", strokeWidth=2.2)
        .encode(
            x=alt.X("x:Q", title=_label(x_axis), scale=alt.Scale(domain=[0, 1])),
            y=alt.Y("samples:Q", title="samples", scale=alt.Scale(zero=True)),
            color=alt.Color(
                "side:N", scale=scale, legend=alt.Legend(title=None, orient="bottom", labelLimit=300, symbolSize=300)
            ),
            strokeDash=alt.StrokeDash("side:N", scale=dashes),
        )
        .properties(width=430, height=180, description=visible(title))
    )
    return _svg(chart, title)


def _label(text: str) -> str:
    shown = " ".join(visible(text).split())
    return shown if len(shown) <= MOST_LABEL_CHARACTERS else f"{shown[: MOST_LABEL_CHARACTERS - 1]}…"


_FONT_FAMILY = re.compile(r' font-family="[^"]*"')


def _svg(chart: Any, title: str) -> Markup:
    """Render a chart to SVG that takes its ink and font from the page; words where it cannot be rendered."""
    ink, line = "currentColor", "var(--line)"
    styled = (
        chart.configure(background="transparent", font="sans-serif", padding=14)
        .configure_axis(
            labelColor=ink, titleColor=ink, domainColor="var(--rule)", tickColor="var(--rule)", gridColor=line,
            labelFontSize=12, titleFontSize=12, titleFontWeight="normal",
        )
        .configure_legend(labelColor=ink, titleColor=ink, labelFontSize=12)
        .configure_view(stroke=None)
    )  # fmt: skip
    text = RENDERER.svg(styled.to_dict(validate=False))  # a third of a chart's time; the parts are checked when made
    if text is None:
        return Markup('<p class="note">{}</p>').format(f"{visible(title)}: {NOT_DRAWN}")
    # The page's own font; and a name for the picture as a whole. Vega has escaped every text.
    text = _FONT_FAMILY.sub("", text)
    head, tail = text.split("<svg ", 1)
    named = Markup('role="img" aria-label="{}" ').format(visible(title))
    return Markup(f"{head}<svg {named}{tail}")  # noqa: S704 - Vega's output, every text in it escaped
