"""The comparison page: it says what the comparison says, its bytes are the same each time, nothing breaks out."""

from __future__ import annotations

import base64
import gzip
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from harness.comparison import CUTS, DIRECTIONS, QUADRANTS
from harness.errors import ConfigError
from reports.comparison_page import PageOptions, write_comparison_page
from reports.comparison_view import comparison_view, significant
from reports.sample_blocks import choose_pictures, most_changed


class Elements(HTMLParser):
    """Collects start tags and the texts of scripts by id."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.blocks: dict[str, str] = {}
        self._block: str | None = None
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._block = dict(attrs).get("id") if tag == "script" else None

    def handle_endtag(self, tag):
        self._block = None

    def handle_data(self, data):
        if self._block is not None:
            self.blocks[self._block] = self.blocks.get(self._block, "") + data


def unpacked(text: str):
    return json.loads(gzip.decompress(base64.b64decode(text)))


@pytest.fixture(scope="module")
def view(comparison):
    return comparison_view(comparison)


@pytest.fixture(scope="module")
def elements(page_file) -> Elements:
    return Elements(page_file.read_text(encoding="utf-8"))


def test_sides_are_lettered_in_order_and_compared_with_the_first(view):
    assert [(side.letter, side.label) for side in view.sides] == [("A", "base"), ("B", "grpo"), ("C", "sft")]
    assert [(pair.a.letter, pair.b.letter) for pair in view.pairs] == [("A", "B"), ("A", "C")]


def test_the_verdict_follows_from_the_adjusted_p_of_the_headlines(comparison, view):
    for pair, shown in zip(comparison.pairs, view.pairs, strict=True):
        worth = [significant(item.headline) for item in pair.benchmarks]
        expected = {1: "better", -1: "worse", 0: "undecided"}[worth[0]]

        assert expected == shown.verdict.kind


def test_a_large_change_is_called_better(view):
    assert view.pairs[0].verdict.kind == "better"
    assert view.pairs[0].verdict.lead == "B (grpo) is better than A (base): better on 1 of 1 benchmark."


def test_a_row_shows_the_numbers_of_the_comparison(comparison, view):
    row, shown = comparison.pairs[0].benchmarks[0].headline, view.pairs[0].headlines[0]

    assert f"{100 * row.a.value:.1f}" == shown.a
    assert f"▲ +{100 * row.difference.delta:.1f}" == shown.change
    assert f"{row.difference.flips_down} / {row.difference.flips_up}" == shown.flips
    assert str(row.difference.clusters) == shown.clusters


def test_a_benchmark_that_may_not_be_compared_shows_the_reason_and_no_change(comparison):
    pair = comparison.pairs[0]
    benchmark = pair.benchmarks[0]
    barred = replace(
        benchmark, headline=replace(benchmark.headline, difference=None, reason="the data differ", holm_p=None)
    )
    view = comparison_view(replace(comparison, pairs=(replace(pair, benchmarks=(barred,)),)))

    assert (view.pairs[0].headlines[0].change, view.pairs[0].headlines[0].reason) == ("–", "the data differ")
    assert "not comparable on 1" in view.pairs[0].verdict.lead


def test_where_the_gate_gives_no_verdict_the_page_gives_none(comparison):
    side = comparison.sides[1]
    limited = replace(side, runs=tuple(replace(run, partial=True) for run in side.runs))
    partial = comparison_view(replace(comparison, sides=(comparison.sides[0], limited, *comparison.sides[2:])))
    pair = comparison.pairs[0]
    shared = replace(pair, on_shared=True, benchmarks=tuple(replace(item, only_a=1) for item in pair.benchmarks))
    on_shared = comparison_view(replace(comparison, pairs=(shared, *comparison.pairs[1:])))

    for view in (partial, on_shared):
        assert view.pairs[0].verdict.lead.startswith("No verdict on")
        assert "better" not in view.pairs[0].verdict.lead
    assert "partial (--limit)" in partial.pairs[0].verdict.lines[0]
    assert "--on-shared" in on_shared.pairs[0].verdict.lines[0]


def test_the_slider_puts_the_comparisons_counts_into_the_cells(comparison, view):
    grounding = comparison.pairs[0].benchmarks[0].grounding
    shown = view.pairs[0].benchmarks[0].grounding
    for place, cut in enumerate(CUTS):
        cells = {element: text for element, text, _ in view.cuts[str(round(100 * cut))]}
        for quadrant, (_, a, b) in enumerate(shown.quadrants):
            assert cells[a.element] == f"{grounding.a.quadrants[place][quadrant]:,}"
            assert cells[b.element] == f"{grounding.b.quadrants[place][quadrant]:,}"
        for row, (_, columns) in enumerate(shown.transitions):
            for column, cell in enumerate(columns):
                assert cells[cell.element] == f"{grounding.transitions[place][row][column]:,}"


def test_every_cell_of_the_slider_is_in_the_page(view, elements):
    ids = {attributes.get("id") for _, attributes in elements.tags}

    assert {element for cells in view.cuts.values() for element, _, _ in cells} <= ids


def test_the_explorers_index_holds_the_comparisons_columns(comparison, elements):
    table = comparison.pairs[0].samples
    index = unpacked(elements.blocks["index-0"])

    assert list(table.ids) == index["ids"]
    assert table.directions.tolist() == index["direction"]
    assert [None if np.isnan(value) else value for value in table.b.values] == index["sides"][1]["value"]


@pytest.mark.parametrize("percent", [5, 35, 50, 55, 95])
def test_the_explorers_quadrants_are_those_of_the_comparison_at_every_cut(comparison, elements, percent):
    table = comparison.pairs[0].samples
    index = unpacked(elements.blocks["index-0"])
    place = index["cuts"].index(percent)
    for side, columns in zip(index["sides"], (table.a, table.b), strict=True):
        codes = [
            -1 if right < 0 or iou is None else (0 if right else 2) + (0 if passed > place else 1)
            for right, iou, passed in zip(side["right"], side["iou"], side["passed"], strict=True)
        ]

        assert table.quadrants(columns, CUTS[place]).tolist() == codes


def test_texts_and_pictures_of_every_sample_are_in_the_one_file(comparison, elements, runs):
    index = unpacked(elements.blocks["index-0"])
    texts = unpacked(elements.blocks["texts-0-0"])
    digests = {path.stem for path in (runs["base"] / "media").iterdir()}

    assert len(comparison.pairs[0].samples) == len(texts) == len(index["image"])
    assert len(digests) == len({number for number in index["image"] if number >= 0})
    assert all(f"image-{number}" in elements.blocks for number in index["image"])


def test_the_same_comparison_gives_the_same_bytes(comparison, page_file, tmp_path):
    again = write_comparison_page(comparison, tmp_path / "again.html")

    assert page_file.read_bytes() == again.read_bytes()


def test_the_page_asks_for_nothing_from_elsewhere(elements):
    for tag, attributes in elements.tags:
        assert tag not in {"link", "iframe", "object", "embed", "base", "form", "img"}
        assert not [name for name in attributes if name.startswith("on") or name in {"src", "style", "srcdoc"}]
        assert (attributes.get("href") or "#").startswith("#")


def test_the_policy_names_style_and_script_by_hash_and_blocks_the_rest(elements):
    policy = next(
        attributes["content"] for tag, attributes in elements.tags if tag == "meta" and "http-equiv" in attributes
    )

    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert re.search(r"style-src 'sha256-[^']+'; img-src data:; connect-src 'none'", policy)


def test_tables_have_captions_and_heads_with_a_scope(page_file):
    html = page_file.read_text(encoding="utf-8")

    assert html.count("<table") == html.count("<caption>")
    assert not re.findall(r"<th(?![^>]*scope=)[ >]", html)


def test_no_images_leaves_pictures_out(comparison, tmp_path):
    page = write_comparison_page(comparison, tmp_path / "page.html", PageOptions(pictures=False))
    elements = Elements(page.read_text(encoding="utf-8"))

    assert not [name for name in elements.blocks if name and name.startswith("image-")]
    assert {-1} == set(unpacked(elements.blocks["index-0"])["image"])


def test_a_bundle_keeps_texts_and_pictures_beside_the_page(comparison, tmp_path, runs):
    out = tmp_path / "site"
    page = write_comparison_page(comparison, out, PageOptions(bundle=True))
    elements = Elements(page.read_text(encoding="utf-8"))

    assert out / "index.html" == page
    assert not [name for name in elements.blocks if name and name.startswith(("texts-", "image-"))]
    assert {"texts-0-0.js", "texts-1-0.js"} == {path.name for path in (out / "shards").iterdir()}
    assert {path.name for path in (runs["base"] / "media").iterdir()} == {
        path.name for path in (out / "media").iterdir()
    }


def test_a_bundle_is_never_written_into_a_run(comparison, runs):
    with pytest.raises(ConfigError, match="is a run folder"):
        write_comparison_page(comparison, runs["base"], PageOptions(bundle=True))


def test_a_folder_is_no_page(comparison, tmp_path):
    with pytest.raises(ConfigError, match=r"name a file such as .*page\.html"):
        write_comparison_page(comparison, tmp_path)


def test_pictures_of_changed_samples_come_first(comparison):
    table = comparison.pairs[0].samples
    images = [f"{place:064x}" for place in range(len(table))]
    lost, gained = most_changed(table, "lost"), most_changed(table, "gained")
    flips = len(lost) + len(gained)
    chosen = choose_pictures(table, images, most=flips + 4)

    assert {images[place] for place in (*lost, *gained)} == set(chosen[:flips])
    assert [images[lost[0]], images[gained[0]]] == chosen[:2]
    assert len(chosen) == flips + 4


def test_pairs_take_their_pictures_in_turn_until_the_page_is_full(comparison, tmp_path):
    page = write_comparison_page(comparison, tmp_path / "page.html", PageOptions(most_pictures=7))
    elements = Elements(page.read_text(encoding="utf-8"))
    shown = [name for name in elements.blocks if name and name.startswith("image-")]
    per_pair = [set(unpacked(elements.blocks[f"index-{number}"])["image"]) - {-1} for number in (0, 1)]

    assert len(shown) == 7
    assert all(len(found) >= 3 for found in per_pair)


def test_there_are_as_many_quadrants_as_the_page_has_words_for(view):
    assert len(QUADRANTS) == len(view.pairs[0].benchmarks[0].grounding.quadrants)


@pytest.fixture(scope="module")
def staged(comparison, runs):
    """The comparison with the last stage against the one before it, as a loop makes it."""
    from harness.compare import compare_runs, open_sides

    places = {side.label: place for place, side in enumerate(comparison.sides)}
    (pair,) = compare_runs(open_sides([str(runs["sft"]), str(runs["grpo"])])).pairs
    return replace(comparison, pairs=(*comparison.pairs, replace(pair, a=places["sft"], b=places["grpo"])))


def test_a_change_from_the_stage_before_stands_beside_that_from_the_first(staged):
    view = comparison_view(staged)
    (row,) = view.sides_rows
    base, grpo, sft = row.cells

    assert (row.task, row.metric) == ("shapes", "accuracy")
    assert base.changes == ()
    assert [text.rsplit(" ", 1)[1] for text, _, _ in grpo.changes] == ["A", "C"]
    assert [text.rsplit(" ", 1)[1] for text, _, _ in sft.changes] == ["A"]
    for cell, pair in ((grpo, staged.pairs[0]), (sft, staged.pairs[1])):
        assert cell.score == f"{100 * pair.benchmarks[0].headline.b.value:.1f}"
    stage = staged.pairs[2].benchmarks[0].headline
    assert f"{100 * stage.difference.delta:+.1f} against C" in grpo.changes[1][0]


def test_every_pair_has_a_list_of_its_own_and_a_line_in_the_chart(staged, tmp_path):
    page = write_comparison_page(staged, tmp_path / "page.html")
    elements = Elements(page.read_text(encoding="utf-8"))
    (chart, title) = comparison_view(staged).forests[0]

    assert json.loads(elements.blocks["lists"])["lists"] == ["B against A", "C against A", "B against C"]
    assert [side["name"] for side in unpacked(elements.blocks["index-2"])["sides"]] == ["sft", "grpo"]
    assert "Change against" not in title
    assert all(f"{pair}" in chart for pair in ("B against A", "C against A", "B against C"))


def test_two_runs_need_no_table_of_stages(comparison):
    view = comparison_view(replace(comparison, sides=comparison.sides[:2], pairs=comparison.pairs[:1]))

    assert view.sides_rows == ()


def test_changed_answers_come_by_how_much_they_changed(comparison):
    table = comparison.pairs[0].samples
    partly = table.b.values.copy()
    gained = np.flatnonzero(table.directions == DIRECTIONS.index("gained"))
    partly[gained[0]] = 0.6
    changed = replace(table, b=replace(table.b, values=partly))
    places = most_changed(changed, "gained")
    overlap = [abs(changed.b.ious[place] - changed.a.ious[place]) for place in places[:-1]]

    assert gained[0] == places[-1]
    assert sorted(places) == gained.tolist()
    assert overlap == sorted(overlap, reverse=True)


def test_where_they_looked_is_told_in_the_comparisons_numbers(comparison, view):
    for row, pair in zip(view.places, comparison.pairs, strict=True):
        found = pair.benchmarks[0].grounding
        assert row.mean_iou == (f"{found.a.mean_iou.value:.3f}", f"{found.b.mean_iou.value:.3f}")
        assert [a for a, _, _ in row.quadrants] == [f"{100 * n / found.n:.1f} %" for n in found.a.quadrants[9]]


# --- hostile strings ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hostile_page(hostile_comparison, tmp_path_factory):
    return write_comparison_page(hostile_comparison, tmp_path_factory.mktemp("hostile") / "page.html")


def test_hostile_strings_add_no_element_and_no_attribute(hostile_page, elements):
    known = {(tag, name) for tag, attributes in elements.tags for name in ["", *attributes]}
    found = {
        (tag, name) for tag, attributes in Elements(hostile_page.read_text("utf-8")).tags for name in ["", *attributes]
    }

    assert found - known <= {("tr", "class"), ("td", "colspan")}


def test_hostile_strings_leave_nothing_invisible_in_the_page(hostile_page):
    text = hostile_page.read_bytes().decode("utf-8")

    assert not re.findall("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff]", text)


def test_a_megabyte_of_text_is_cut_in_the_page(hostile_page):
    assert hostile_page.stat().st_size < 2_000_000
