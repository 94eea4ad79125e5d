"""Charts are SVG that a strict policy lets through: no script, no style, texts escaped, the same bytes each time."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from reports.pages.charts import Change, Curve, CurvePoint, Histogram, curve_chart, forest_chart, histogram_chart


def charts(labels: list[str]) -> dict[str, str]:
    points = (CurvePoint(0.1, 0.2, 0.1, 0.3), CurvePoint(0.5, -0.2, None, None), CurvePoint(0.9, 0.1, 0.0, 0.4))
    title = labels[0]
    changes = [Change(label, 1.5, -1.0, 4.0, 1 + place % 2) for place, label in enumerate(labels)]
    curves = [Curve(label, "var(--run-a)", [6, 3], points) for label in labels]
    return {
        "forest": forest_chart([*changes, Change("b", 0.0, None, None, 2)], {1: title, 2: labels[-1]}, title, title),
        "one line": forest_chart([Change(title, 0.0, 0.0, 0.0, 1)], {1: title}, "x", title),
        "curve": curve_chart([*curves, Curve("p", "var(--gold)", [1, 3], points)], title, title, title),
        "histogram": histogram_chart(
            [*(Histogram(label, 0, (1, 2, 3)) for label in labels), Histogram("B", 1, (0, 0, 0))], title, title
        ),
    }


@pytest.fixture(scope="module")
def plain() -> dict[str, str]:
    return charts(["shapes accuracy"])


def test_charts_are_well_formed_and_named_for_screen_readers(plain):
    for chart in plain.values():
        root = ET.fromstring(chart)

        assert (root.get("role"), root.get("aria-label")) == ("img", "shapes accuracy")


def test_charts_need_neither_script_nor_style(plain):
    for chart in plain.values():
        for element in ET.fromstring(chart).iter():
            name = element.tag.rsplit("}")[-1]
            assert name not in {"script", "style", "foreignObject", "image", "a", "use"}
            assert not [key for key in element.attrib if key == "style" or key.startswith("on") or key.endswith("href")]


def test_charts_take_their_colours_from_the_page(plain):
    for chart in plain.values():
        assert "var(--" in chart
        assert "currentColor" in chart


def test_the_same_numbers_give_the_same_bytes(plain):
    assert plain == charts(["shapes accuracy"])


def test_hostile_labels_are_text(hostile):
    for chart in charts(hostile).values():
        chart.encode("utf-8")
        root = ET.fromstring(chart)
        assert not [element for element in root.iter() if element.tag.rsplit("}")[-1] in {"script", "img", "iframe"}]


def test_a_hostile_title_is_text(hostile):
    for title in hostile[1:27:5]:
        ET.fromstring(forest_chart([Change("a", 0.0, 0.0, 0.0, 1)], {1: title}, title, title))
