"""Draw on a plot: axes with round numbers, lines, marks and legends as SVG elements; the charts are made of these.

Colours are the style sheet's variables. No element has a style attribute, and every text is escaped.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from reports.texts.visible import visible

PADDING_PX = 14
FONT_PX = 12
_TICKS = 8
"""About so many numbers stand at an axis."""
_ROUND_STEPS = (1.0, 2.0, 5.0, 10.0)
_ALL_ONE = 1e-9
"""Numbers that differ by less of their size are one, for an axis."""
_LEGEND_ROW_PX = 18
_SAMPLE_PX = 26
"""Length of a line in a legend, and of the place for a mark."""

_TICK_LABEL = Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>')
_LINE = Markup('<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" stroke="{}"{}/>')
_PATH = Markup('<path d="{}" {}/>')


@dataclass(frozen=True, slots=True)
class Scale:
    """Takes numbers to places on the page."""

    low: float
    """The number at `begin_px`."""
    high: float
    """The number at `end_px`; another than `low`."""
    begin_px: float
    """Where the axis begins."""
    end_px: float
    """Where it ends; smaller than `begin_px` where numbers grow upwards."""

    def px(self, value: float) -> float:
        """Return where a number lies."""
        return self.begin_px + (value - self.low) / (self.high - self.low) * (self.end_px - self.begin_px)

    @property
    def step(self) -> float:
        """The distance of two round numbers at the axis."""
        rough = (self.high - self.low) / _TICKS
        power = 10.0 ** math.floor(math.log10(rough))
        return next(power * factor for factor in _ROUND_STEPS if power * factor >= rough * (1 - 1e-9))

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Round numbers on the axis, each with how it is written."""
        step = self.step
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
        written = [f"{place * step:,.{decimals}f}" for place in range(first, last + 1)]
        return [
            (place * step, "0" if not place else text.replace("-", "\N{MINUS SIGN}"))
            for place, text in zip(range(first, last + 1), written, strict=True)
        ]


def round_ends(low: float, high: float) -> tuple[float, float]:
    """Return round numbers around two others, for the ends of an axis, and room where they are one number."""
    if high - low <= _ALL_ONE * max(1.0, abs(low), abs(high)):
        return low, low + max(1.0, abs(low))
    step = Scale(low, high, 0.0, 1.0).step
    return math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step


def line(x1: float, y1: float, x2: float, y2: float, colour: str, more: str = "") -> Markup:
    """Return a line; `more`: further attributes, which are ours."""
    return _LINE.format(x1, y1, x2, y2, colour, Markup(f" {more}" if more else ""))  # noqa: S704 - our own words


def block(x: float, y: float, width: float, height: float, colour: str, label: str) -> Markup:
    """Return a filled rectangle, with what a screen reader says of it."""
    drawn = Markup('<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" fill="{}" {}/>')
    said = Markup('role="graphics-symbol" aria-label="{}"').format(visible(label))
    return drawn.format(x, y, width, height, colour, said)


def path(points: Sequence[tuple[float, float]], attributes: str) -> Markup:
    """Return a line through points; `attributes` are ours."""
    drawn = "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return _PATH.format(drawn, Markup(attributes))  # noqa: S704 - our own words


def stroke(colour: str, dash: Sequence[int] = (), width: float = 2.2) -> str:
    """Return the attributes of a line without a fill; a dash of 1 and 0 is none."""
    dashed = f' stroke-dasharray="{" ".join(map(str, dash))}"' if dash and tuple(dash) != (1, 0) else ""
    return f'fill="none" stroke="{colour}" stroke-width="{width}"{dashed}'


SHAPES_DRAWN = ("circle", "square", "diamond", "triangle-up", "cross")
"""Marks that can be told apart without colour."""


def mark(shape: str, x: float, y: float, colour: str, label: str = "") -> Markup:
    """Return the mark of a side, with what a screen reader says of it."""
    r = 5.2
    drawn = {
        "circle": f"M{x - r:.1f},{y:.1f}a{r},{r} 0 1,0 {2 * r},0a{r},{r} 0 1,0 {-2 * r},0Z",
        "square": f"M{x - 4.6:.1f},{y - 4.6:.1f}h9.2v9.2h-9.2Z",
        "diamond": f"M{x:.1f},{y - 6.5:.1f}l5.4,6.5l-5.4,6.5l-5.4,-6.5Z",
        "triangle-up": f"M{x:.1f},{y - 6:.1f}l6.2,10.8h-12.4Z",
        "cross": f"M{x - 2:.1f},{y - 6:.1f}h4v4h4v4h-4v4h-4v-4h-4v-4h4Z",
    }[shape]
    said = Markup(' role="graphics-symbol" aria-label="{}"').format(visible(label)) if label else Markup("")
    return Markup('<path d="{}" fill="{}"{}/>').format(drawn, colour, said)


def text(x: float, y: float, words: str, anchor: str = "start") -> Markup:
    """Return a text, whose middle line is at `y`."""
    return _TICK_LABEL.format(x, y + 0.35 * FONT_PX, anchor, words)


def text_px(words: str) -> float:
    """Return about how wide a text is; no font is known here."""
    wide = sum(unicodedata.east_asian_width(char) in {"W", "F"} for char in words)
    return 0.58 * FONT_PX * (len(words) + 0.75 * wide)


@dataclass(frozen=True, slots=True)
class LegendEntry:
    """One line of a legend."""

    words: str
    """What it says: a label."""
    colour: str
    """A colour of the style sheet."""
    dash: Sequence[int] = ()
    """Its dash pattern, for a line."""
    shape: str | None = None
    """Its mark; None for a line."""

    def drawn(self, x: float, y: float) -> Markup:
        """Return it, its sample first."""
        if self.shape is not None:
            sample = mark(self.shape, x + _SAMPLE_PX / 2, y, self.colour)
        else:
            sample = path([(x, y), (x + _SAMPLE_PX, y)], stroke(self.colour, self.dash))
        return sample + text(x + _SAMPLE_PX + 6, y, self.words)


@dataclass(slots=True)
class Plot:
    """The elements of one chart, in the order in which they are painted, around a plot of a fixed size."""

    x: Scale
    """Across; its places count from the plot's left edge."""
    height_px: float
    """Height of the plot."""
    left_px: float
    """Room for what stands left of it."""
    elements: list[Markup] = field(default_factory=list[Markup])
    """What is drawn, the plot's upper left corner at 0, 0."""
    below_px: float = 0.0
    """Room that is taken below the plot so far."""
    above_px: float = 0.0
    """Room that is taken above it."""

    @property
    def width_px(self) -> float:
        """Width of the plot."""
        return self.x.end_px

    def across(self, title: str) -> None:
        """Draw the horizontal axis: lines up through the plot, numbers, a title."""
        for value, shown in self.x.ticks:
            at = self.x.px(value)
            self.elements.append(line(at, 0, at, self.height_px, "var(--line)"))
            self.elements.append(text(at, self.height_px + 14, shown, "middle"))
        self.elements.append(line(0, self.height_px, self.width_px, self.height_px, "var(--rule)"))
        self.elements.append(text(self.width_px / 2, self.height_px + 34, title, "middle"))
        self.below_px = 44.0

    def upwards(self, scale: Scale, title: str) -> None:
        """Draw the vertical axis: lines across the plot, numbers, a title that runs upwards."""
        for value, shown in scale.ticks:
            at = scale.px(value)
            self.elements.append(line(0, at, self.width_px, at, "var(--line)"))
            self.elements.append(text(-8, at, shown, "end"))
        turned = Markup('<text transform="translate({:.1f},{:.1f}) rotate(-90)" text-anchor="middle">{}</text>')
        self.elements.append(turned.format(-self.left_px + FONT_PX, self.height_px / 2, title))

    def legend_below(self, entries: Sequence[LegendEntry]) -> None:
        """Draw a legend under the plot, a line for each entry."""
        for entry in entries:
            self.elements.append(entry.drawn(0, self.height_px + self.below_px + _LEGEND_ROW_PX / 2))
            self.below_px += _LEGEND_ROW_PX

    def legend_above(self, entries: Sequence[LegendEntry]) -> None:
        """Draw a legend over the plot, as many entries in a row as go in."""
        rows = list(_in_rows(entries, self.width_px))
        self.above_px = _LEGEND_ROW_PX * len(rows) + 6
        for number, row in enumerate(rows):
            for at, entry in row:
                self.elements.append(entry.drawn(at, -self.above_px + _LEGEND_ROW_PX * (number + 0.5)))

    def svg(self, title: str) -> Markup:
        """Return the whole picture."""
        left, top = self.left_px + PADDING_PX, self.above_px + PADDING_PX
        width = left + self.width_px + 2 * PADDING_PX
        height = top + self.height_px + self.below_px + PADDING_PX
        head = Markup(
            '<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{}" width="{:.0f}" height="{:.0f}" '
            'viewBox="0 0 {:.0f} {:.0f}" font-size="{}" fill="currentColor"><g transform="translate({:.1f},{:.1f})">'
        )
        named = head.format(visible(title), width, height, width, height, FONT_PX, left, top)
        return named + Markup("").join(self.elements) + Markup("</g></svg>")


def _in_rows(entries: Sequence[LegendEntry], width_px: float) -> Iterator[list[tuple[float, LegendEntry]]]:
    """Yield the entries of a legend row by row, each with its place across."""
    row: list[tuple[float, LegendEntry]] = []
    at = 0.0
    for entry in entries:
        needs = _SAMPLE_PX + 6 + text_px(entry.words) + 16
        if row and at + needs > width_px:
            yield row
            row, at = [], 0.0
        row.append((at, entry))
        at += needs
    if row:
        yield row
