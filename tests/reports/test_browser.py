"""The pages in a real browser: load, filter, search, keys, slider, links, dark, print, no JavaScript, hostility."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import replace

import pytest

pytestmark = pytest.mark.slow


class Visit:
    """One page in a browser context of its own, with everything that it asked for or complained of."""

    def __init__(self, page):
        self.page = page
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: (self.complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))

    def rows(self) -> list[str]:
        """The rows in view, top down."""
        return self.page.eval_on_selector_all(
            ".row", "rows => rows.sort((a, b) => a.offsetTop - b.offsetTop).map(row => row.innerText)"
        )

    def count(self) -> str:
        return self.page.inner_text(".count-now")

    def choose(self, name: str, value: str) -> None:
        """Set a filter and wait until the list has followed."""
        before = self.page.get_attribute("#explorer", "data-settled")
        self.page.select_option(f'[data-filter="{name}"]', value)
        self.settled(before)

    def search(self, words: str) -> None:
        before = self.page.get_attribute("#explorer", "data-settled")
        self.page.fill('[data-filter="q"]', words)
        self.settled(before)

    def settled(self, before: str | None) -> None:
        self.page.wait_for_function(
            "before => document.getElementById('explorer').dataset.settled !== before", arg=before
        )


@pytest.fixture
def visit(chromium):
    @contextmanager
    def open_page(path, fragment="", *, ready=True, **options):
        context = chromium.new_context(viewport={"width": 1440, "height": 900}, **options)
        try:
            context.set_default_timeout(120_000)  # a busy machine is not a fault of the page
            seen = Visit(context.new_page())
            seen.page.goto(f"file://{path}{fragment}")
            if ready:
                seen.page.wait_for_selector("#explorer[data-ready]")
                seen.page.wait_for_selector(".detail h3")
            yield seen
        finally:
            context.close()

    return open_page


def test_a_page_opens_without_a_complaint_and_asks_for_nothing_else(visit, page_file):
    with visit(page_file) as seen:
        assert seen.complaints == []
        assert [url for url in seen.requests if not url.startswith((f"file://{page_file}", "data:", "blob:"))] == []
        assert seen.count() == "60 samples"
        assert seen.page.inner_text(".detail h3").startswith("shapes · ")


def test_the_list_draws_only_rows_in_view(visit, page_file):
    with visit(page_file) as seen:
        assert len(seen.rows()) < 40


def test_filters_narrow_the_list_and_stand_in_the_address(visit, page_file, comparison):
    lost = int((comparison.pairs[0].samples.directions == 0).sum())
    with visit(page_file) as seen:
        seen.choose("flip", "lost")
        assert f"{lost} of 60 samples" == seen.count()
        assert "flip=lost" in seen.page.url
        assert all(row.startswith("▼") for row in seen.rows())

        seen.page.click("[data-reset]")
        seen.page.wait_for_function("document.querySelector('.count-now').textContent === '60 samples'")


def test_a_quadrant_links_to_its_samples(visit, page_file):
    with visit(page_file) as seen:
        seen.page.click("nav a >> text=Grounding")
        link = seen.page.locator("#grounding a.count").first
        wanted = link.inner_text()
        link.click()
        seen.page.wait_for_function(
            "wanted => document.querySelector('.count-now').textContent.startsWith(wanted + ' of ')", arg=wanted
        )


def test_search_finds_questions_and_on_demand_answers(visit, page_file):
    with visit(page_file) as seen:
        seen.search("How many")
        assert re.fullmatch(r"\d+ of 60 samples", seen.count())
        assert all("How many" in row for row in seen.rows())

        seen.search("I cannot tell")
        assert seen.count() == "0 of 60 samples"
        seen.page.check('[data-filter="texts"]')
        seen.page.wait_for_function("/^[1-9]\\d* of 60/.test(document.querySelector('.count-now').textContent)")


def test_keys_walk_through_the_samples(visit, page_file):
    with visit(page_file) as seen:
        heads = [seen.page.inner_text(".detail h3")]
        for key in ("j", "j", "k"):
            seen.page.keyboard.press(key)
            seen.page.wait_for_function(
                "before => document.querySelector('.detail h3').innerText !== before", arg=heads[-1]
            )
            heads.append(seen.page.inner_text(".detail h3"))

        assert heads[0] != heads[1] != heads[2]
        assert heads[1] == heads[3]
        seen.page.keyboard.press("/")
        assert seen.page.evaluate("document.activeElement.dataset.filter") == "q"


def test_the_slider_moves_quadrants_and_transitions(visit, page_file, comparison):
    found = comparison.pairs[0].benchmarks[0].grounding
    with visit(page_file) as seen:
        cells = "#grounding .side table >> nth=0"
        seen.page.click("nav a >> text=Grounding")

        def numbers() -> list[int]:
            return [int(text) for text in seen.page.locator(cells).locator("a.count").all_inner_texts()]

        def expected(place: int) -> list[int]:
            return [side.quadrants[place][quadrant] for quadrant in range(4) for side in (found.a, found.b)]

        assert expected(9) == numbers()
        seen.page.evaluate(
            "() => { const s = document.getElementById('cut'); s.value = '90'; s.dispatchEvent(new Event('input')); }"
        )
        assert expected(17) == numbers()
        assert {"0.90"} == set(seen.page.locator(".cut-now").all_inner_texts())


def test_a_deep_link_opens_its_sample_in_its_list(visit, page_file, comparison):
    sample = comparison.pairs[1].samples.ids[17]
    with visit(page_file, f"#list=1&task=shapes&id={sample}") as seen:
        seen.page.wait_for_function("id => document.querySelector('.detail h3').innerText.endsWith(id)", arg=sample)
        assert seen.page.eval_on_selector('[data-filter="list"]', "box => box.selectedOptions[0].text") == "C against A"
        assert seen.page.inner_text(".answer >> nth=1").startswith("C sft")


def test_boxes_are_drawn_over_the_picture_and_told_apart_without_colour(visit, page_file):
    with visit(page_file) as seen:
        seen.page.wait_for_selector(".picture img")
        assert seen.page.evaluate("document.querySelector('.picture img').naturalWidth") > 0
        dashes = seen.page.eval_on_selector_all(
            ".picture rect:not(.halo)", "all => [...new Set(all.map(r => getComputedStyle(r).strokeDasharray))]"
        )
        assert len(dashes) == 3
        assert "Question: " in (seen.page.get_attribute(".picture img", "alt") or "")


def test_stages_of_the_raw_text_are_marked(visit, page_file):
    with visit(page_file) as seen:
        seen.choose("flip", "kept_right")
        for stage in ("caption", "bbox", "answer"):
            assert seen.page.locator(f".answer .stage-{stage}").count() > 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_follow_the_system_and_the_button(visit, page_file, scheme):
    with visit(page_file, color_scheme=scheme) as seen:
        ground = "getComputedStyle(document.body).backgroundColor"
        colours = {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 26)"}
        assert colours[scheme] == seen.page.evaluate(ground)
        seen.page.click("#theme")  # auto to dark
        assert colours["dark"] == seen.page.evaluate(ground)
        seen.page.click("#theme")
        assert colours["light"] == seen.page.evaluate(ground)


def test_the_page_prints_without_its_controls(visit, page_file):
    with visit(page_file, color_scheme="dark") as seen:
        pdf = seen.page.pdf(format="A4", print_background=True)
        seen.page.emulate_media(media="print")

        assert pdf.startswith(b"%PDF")
        assert len(pdf) > 20_000
        assert not seen.page.is_visible("#explorer")
        assert seen.page.is_visible("#flips table")
        assert seen.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_without_javascript_verdict_tables_and_charts_can_be_read(visit, page_file):
    with visit(page_file, ready=False, java_script_enabled=False) as seen:
        assert "is better than" in seen.page.inner_text(".verdict >> nth=0")
        assert seen.page.is_visible("#summary svg")
        assert not seen.page.is_visible("#grounding table >> nth=0")
        seen.page.click("#grounding > summary")
        assert seen.page.is_visible("#grounding table >> nth=0")
        assert seen.page.is_visible("#flips table")
        assert "needs JavaScript" in seen.page.inner_text("#samples")
        assert not seen.page.is_visible("#explorer")


@pytest.mark.parametrize("width", [400, 1440])
def test_a_page_is_never_wider_than_the_window(visit, page_file, runs, width):
    for path in (page_file, runs["base"] / "index.html"):
        with visit(path) as seen:
            seen.page.set_viewport_size({"width": width, "height": 900})
            assert seen.page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_long_name_without_spaces_makes_no_page_wider_than_the_window(visit, invented, tmp_path):
    from harness.comparison.compare import compare_runs, open_sides
    from reports.board.board import rank_board, read_leaderboard
    from reports.pages.board_page import write_leaderboard
    from reports.pages.comparison_page import write_comparison_page

    questions = invented.many_questions(40)
    models = {"A" * 300: 0.3, "B" * 300: 0.9, "short": 0.6}
    runs = [
        invented.invent_run(tmp_path, invented.Answerer(name, right=right), questions) for name, right in models.items()
    ]
    comparison = compare_runs(open_sides([str(path) for path in runs]))
    page = write_comparison_page(comparison, tmp_path / "page.html")
    board = write_leaderboard(rank_board(read_leaderboard(runs), seed=0), tmp_path / "site")
    for path, ready in ((page, True), (board, False)):
        with visit(path, ready=ready) as seen:
            for width in (400, 1280):
                seen.page.set_viewport_size({"width": width, "height": 900})
                assert seen.page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_bundle_loads_its_shards_and_pictures_from_beside_the_page(visit, comparison, tmp_path):
    from reports.pages.comparison_page import PageOptions, write_comparison_page

    page = write_comparison_page(comparison, tmp_path / "site", PageOptions(bundle=True))
    with visit(page) as seen:
        seen.page.wait_for_selector(".picture img")
        seen.page.wait_for_function("document.querySelector('.picture img').naturalWidth > 0")
        beside = {url.removeprefix(f"file://{page.parent}/").split("/")[0] for url in seen.requests}

        assert seen.complaints == []
        assert {"index.html", "shards", "media"} == beside


def test_a_runs_page_shows_the_pictures_beside_it(visit, runs):
    with visit(runs["grpo"] / "index.html") as seen:
        seen.page.wait_for_function("document.querySelector('.picture img')?.naturalWidth > 0")
        assert seen.complaints == []
        seen.choose("flip", "wrong")
        assert re.fullmatch(r"\d+ of 60 samples", seen.count())


def test_the_leaderboard_sorts_and_filters(visit, runs, tmp_path):
    from reports.board.board import rank_board, read_leaderboard
    from reports.pages.board_page import write_leaderboard

    board = rank_board(read_leaderboard(list(runs.values())), seed=0)
    with visit(write_leaderboard(board, tmp_path / "site"), ready=False) as seen:
        names = "rows => rows.filter(row => !row.hidden).map(row => row.dataset.sort ?? row.cells[0].dataset.sort)"
        shown = lambda: seen.page.eval_on_selector_all("#table tbody tr", names)  # noqa: E731 - read twice
        assert shown() == ["checkpoints/grpo", "checkpoints/sft", "checkpoints/base"]
        seen.page.click("#table thead th >> nth=0 >> button")
        assert shown() == ["checkpoints/base", "checkpoints/grpo", "checkpoints/sft"]
        seen.page.click("#table thead th >> nth=1 >> button")
        assert shown() == ["checkpoints/grpo", "checkpoints/sft", "checkpoints/base"]
        seen.page.fill("#filter", "SFT")
        assert shown() == ["checkpoints/sft"]
        seen.page.click("#table a >> visible=true")
        seen.page.wait_for_selector("#explorer[data-ready]")
        assert seen.complaints == []


def test_rows_are_sorted_by_what_is_chosen(visit, page_file, comparison):
    table = comparison.pairs[0].samples
    with visit(page_file) as seen:
        scores = lambda: [  # noqa: E731 - read for every order
            float(re.search(r"B (?:[✓✗] )?([\d.]+)", row)[1]) for row in seen.rows()
        ]
        seen.choose("sort", "score")
        assert scores() == sorted(scores())
        seen.choose("sort", "score-high")
        assert scores() == sorted(scores(), reverse=True)
        seen.choose("sort", "worse")
        assert all(row.startswith("▼") for row in seen.rows()[: int((table.directions == 0).sum())])
        seen.choose("sort", "iou")
        overlaps = [float(re.findall(r"IoU ([\d.]+)", row)[-1]) for row in seen.rows()]
        assert overlaps == sorted(overlaps)


def test_the_changed_answers_stand_in_the_order_of_the_list(visit, page_file):
    with visit(page_file) as seen:
        flips = seen.page.eval_on_selector_all(
            "#flips > .scroll tbody tr",
            "rows => rows.map(row => [row.cells[1].innerText, row.cells[2].innerText, row.cells[0].textContent])",
        )
        seen.choose("flip", "lost")
        seen.choose("sort", "change")
        lost = [name for pair, change, name in flips if pair == "B against A" and "lost" in change]
        for place, name in enumerate(lost):
            assert name.split(" ", 1)[1] in seen.page.locator(".row").nth(place).inner_text()


def test_the_picture_is_enlarged_and_its_boxes_are_put_away(visit, page_file):
    with visit(page_file) as seen:
        page = seen.page
        page.wait_for_selector(".detail .picture img")
        small = page.locator(".detail .picture").bounding_box()["width"]
        assert small > 300
        shown = lambda which, where: page.is_visible(f'{where} g[data-boxes="{which}"] rect.halo >> nth=0')  # noqa: E731
        for which in ("gold", "A", "B"):
            assert shown(which, ".detail")
            page.uncheck(f'.detail input[data-boxes="{which}"]')
            assert not shown(which, ".detail")
        page.check('.detail input[data-boxes="gold"]')
        page.click(".detail .enlarge")
        assert page.is_visible("dialog.viewer")
        large = page.locator(".viewer .picture").bounding_box()["width"]
        assert large > small
        assert shown("gold", ".viewer")
        assert not shown("A", ".viewer")
        page.keyboard.press("+")
        assert page.locator(".viewer .picture").bounding_box()["width"] == pytest.approx(1.5 * large, rel=0.01)
        page.click(".viewer button >> text=fit")
        assert page.locator(".viewer .picture").bounding_box()["width"] == pytest.approx(large, rel=0.01)
        page.check('.viewer input[data-boxes="A"]')
        page.keyboard.press("Escape")
        assert not page.is_visible("dialog.viewer")
        assert shown("A", ".detail")
        page.keyboard.press("j")
        page.wait_for_selector('.row[aria-posinset="2"][aria-selected="true"]')
        page.wait_for_selector('.detail g[data-boxes="B"]', state="attached")
        assert not shown("B", ".detail")  # what was put away stays away
        assert seen.complaints == []


def exported(seen, kind: str) -> str:
    with seen.page.expect_download() as found:
        seen.page.click(f'[data-export="{kind}"]')
    assert found.value.suggested_filename == f"samples.{kind}"
    return found.value.path().read_text(encoding="utf-8")


def test_the_rows_that_pass_the_filters_are_exported_in_their_order(visit, page_file, comparison):
    import csv
    import io
    import json

    from harness.comparison.sample_texts import read_answers

    pair = comparison.pairs[0]
    gained = [place for place, code in enumerate(pair.samples.directions.tolist()) if code == 1]
    answers = {a.sample.id: (a, b) for a, b in read_answers(comparison, pair, gained)}
    with visit(page_file) as seen:
        seen.choose("flip", "gained")
        seen.choose("sort", "id")
        rows = [json.loads(line) for line in exported(seen, "jsonl").splitlines()]
        table = list(csv.DictReader(io.StringIO(exported(seen, "csv"), newline="")))

        assert seen.complaints == []
    assert [row["id"] for row in rows] == sorted(answers) == [row["id"] for row in table]
    for row, line in zip(rows, table, strict=True):
        a, b = answers[row["id"]]
        assert [answer["text"] for answer in row["answers"]] == [a.generation.text, b.generation.text]
        assert (line["A text"], line["B text"]) == (a.generation.text, b.generation.text)
        assert (float(line["A score"]), float(line["B score"])) == (a.score.value, b.score.value)
        assert row["answers"][1]["faults"] == list(b.score.faults)
        assert row["answers"][0]["iou"] == pytest.approx(a.score.iou, abs=1e-4)


def test_no_exported_cell_is_a_formula(visit, hostile_comparison, tmp_path):
    import csv
    import io

    from reports.pages.comparison_page import write_comparison_page
    from reports.texts.visible import csv_cell

    with visit(write_comparison_page(hostile_comparison, tmp_path / "page.html")) as seen:
        cells = [cell for row in csv.reader(io.StringIO(exported(seen, "csv"), newline="")) for cell in row]
    assert len(cells) > 100
    assert [cell for cell in cells if str(csv_cell(cell)) != cell] == []


def test_the_prompt_is_shown_as_it_was_sent(visit, invented, tmp_path):
    from harness.runs.store import load_run
    from reports.pages.run_page import stored_run_page

    prompt = "<|im_start|>user\nWhat?"
    folder = invented.invent_run(tmp_path, invented.Answerer("asked"), invented.shapes_questions(4), prompt=prompt)
    page = tmp_path / "page.html"
    page.write_bytes(stored_run_page(load_run(folder)))
    with visit(page) as seen:
        seen.page.click(".detail summary >> text=prompt as sent")
        assert seen.page.inner_text(".detail pre.raw") == prompt


def test_a_page_of_one_run_names_no_side(visit, runs):
    with visit(runs["base"] / "index.html") as seen:
        seen.choose("flip", "wrong")
        assert seen.page.locator(".tag").count() == 0
        assert seen.page.inner_text(".answer h4") == "answer"
        assert all(re.match("[✓✗]|unscored", text) for text in seen.page.locator(".row .scores").all_inner_texts())
        labels = seen.page.locator("#explorer label >> visible=true").all_inner_texts()
        assert not [label for label in labels if re.search(r"\bA\b|\bB\b|(first|second) run", label)]


def test_no_page_shows_a_long_digest_or_a_dictionary(visit, invented, tmp_path):
    from harness.comparison.compare import compare_runs, open_sides
    from reports.pages.comparison_page import write_comparison_page
    from reports.pages.run_page import renew_page

    generation = {"temperature": 0.0, "limit_mm_per_prompt": {"image": 1, "video": None}, "stop": ["a", "b"]}
    runs = [
        invented.invent_run(
            tmp_path,
            invented.Answerer(name),
            invented.shapes_questions(20),
            generation=generation,
            adapter_hash="ab" * 32,
        )
        for name in ("one", "other")
    ]
    renew_page(runs[0])
    page = write_comparison_page(compare_runs(open_sides([str(run) for run in runs])), tmp_path / "page.html")
    for path in (page, runs[0] / "index.html"):
        with visit(path) as seen:
            for fold in seen.page.locator("details.part > summary").all():
                fold.click()
            shown = seen.page.inner_text("main")
            assert not re.findall(r"[0-9a-f]{20,}", shown)
            assert not re.findall(r"[{}\[]'|': |None", shown)
            assert "image 1" in shown


def test_the_leaderboard_keeps_its_models_in_view_and_shows_what_sorts(visit, invented, tmp_path):
    from reports.board.board import rank_board, read_leaderboard
    from reports.pages.board_page import write_leaderboard

    questions = invented.many_questions(40)
    dates = {"new": "2026-03-01T00:00:00Z", "old": "2025-01-01T00:00:00Z", "middle": "2026-02-01T00:00:00Z"}
    runs = [
        invented.invent_run(tmp_path / name, invented.Answerer(name, right=0.3 * place), questions)
        for place, name in enumerate(dates, start=1)
    ]
    board = read_leaderboard(runs)
    dated = [replace(entry, created_utc=dates[entry.model]) for entry in board.entries]
    page = write_leaderboard(rank_board(replace(board, entries=tuple(dated)), seed=0), tmp_path / "site")
    with visit(page, ready=False) as seen:
        seen.page.set_viewport_size({"width": 400, "height": 800})
        model = seen.page.locator("#table tbody th >> nth=0")
        before = model.bounding_box()["x"]
        seen.page.eval_on_selector(".scroll", "box => { box.scrollLeft = 300; }")
        assert model.bounding_box()["x"] == pytest.approx(before, abs=1)
        mark = "button => getComputedStyle(button, '::after').content"
        marks = seen.page.locator("#table thead button").evaluate_all(f"all => all.map({mark})")
        assert all("↕" in shown for shown in marks)
        begun = seen.page.locator("#table thead th", has_text="begun")
        assert seen.page.locator("#table tbody tr >> nth=0 >> td").last.inner_text() == dated[0].created_utc[:10]
        begun.locator("button").click()
        assert begun.get_attribute("aria-sort") == "ascending"
        assert "▴" in begun.locator("button").evaluate(mark)
        names = "rows => rows.map(row => row.cells[0].dataset.sort)"
        assert seen.page.eval_on_selector_all("#table tbody tr", names)[:3] == ["old", "middle", "new"]


# --- hostile strings ----------------------------------------------------------------------------------------------


def test_nothing_hostile_runs_and_no_request_leaves(visit, hostile_comparison, hostile_runs, tmp_path):
    from harness.runs.store import add_file, load_run
    from reports.board.board import read_leaderboard
    from reports.pages.board_page import write_leaderboard
    from reports.pages.comparison_page import write_comparison_page
    from reports.pages.run_page import stored_run_page

    add_file(hostile_runs[0], "index.html", stored_run_page(load_run(hostile_runs[0])))
    pages = [
        write_comparison_page(hostile_comparison, tmp_path / "page.html"),
        hostile_runs[0] / "index.html",
        write_leaderboard(read_leaderboard(hostile_runs), tmp_path / "site"),
    ]
    for path in pages:
        with visit(path, ready=False) as seen:
            if path is not pages[-1]:
                seen.page.wait_for_selector(".detail h3")
                for _ in range(len(hostile_comparison.pairs[0].samples)):
                    seen.page.keyboard.press("j")
                seen.search("script")
            seen.page.wait_for_timeout(200)

            assert seen.complaints == []
            assert seen.page.evaluate("window.hacked") is None
            assert [url for url in seen.requests if not url.startswith(("file://", "data:", "blob:"))] == []


def test_the_policy_is_in_force(visit, page_file):
    """What a hole in the escaping would try: an inline script, a handler, a beacon, a fetch, a style."""
    with visit(page_file) as seen:
        blocked = seen.page.evaluate(
            """async () => {
                const blocked = new Set();
                document.addEventListener("securitypolicyviolation", (event) => blocked.add(event.effectiveDirective));
                const add = (tag, values) => document.body.append(Object.assign(document.createElement(tag), values));
                add("script", { textContent: "window.hacked = 1" });
                add("img", { src: "https://beacon.invalid/x.png" });
                add("link", { rel: "stylesheet", href: "https://beacon.invalid/x.css" });
                add("iframe", { src: "https://beacon.invalid/" });
                const holder = document.createElement("div");
                holder.setAttribute("onclick", "window.hacked = 2");
                document.body.append(holder);
                holder.click();
                await fetch("https://beacon.invalid/").catch(() => 0);
                for (let waited = 0; blocked.size < 6 && waited < 300; waited += 1) {
                    await new Promise((resolve) => setTimeout(resolve, 100));
                }
                return [...blocked].sort();
            }"""
        )

        assert blocked == [
            "connect-src",
            "frame-src",
            "img-src",
            "script-src-attr",
            "script-src-elem",
            "style-src-elem",
        ]
        assert seen.page.evaluate("window.hacked") is None
        assert [url for url in seen.requests if "beacon" in url and not url.startswith("https://beacon.invalid")] == []
