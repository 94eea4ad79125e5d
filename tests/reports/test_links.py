"""Every kind of link in a fresh page: it opens its own sample or samples, scrolls there, and Back leads back."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import replace

import pytest

pytestmark = pytest.mark.slow

SAMPLES = 24
"""Per benchmark; the ids 0 to 23 stand in two of the three."""


def questions(invented):
    """Shapes questions under three benchmarks: two share their ids, one has second levels, one several skills a row."""
    found = []
    for number, question in enumerate(invented.shapes_questions(SAMPLES)):
        sample = question.sample
        skills = [["algebra"], ["algebra", "plane geometry"], ["statistics & charts"]][number % 3]
        levels = (("math", "science & technology")[number % 2], ("numeric", "logic", "biology", "physics")[number % 4])
        theirs = (
            sample,
            replace(sample, id=str(number), task="mmstar", category=levels[0], l2_category=levels[1]),
            replace(
                sample,
                id=str(number),
                task="mathvista",
                category="figure QA",
                l2_category="general-vqa",
                boxes_image_px=None,
                extra={"task": "figure QA", "skills": skills},
            ),
        )
        found += [replace(question, sample=one) for one in theirs]
    return found


@pytest.fixture(scope="module")
def several(invented, tmp_path_factory):
    """A page of three runs over three benchmarks, and the page of one of these runs."""
    from harness.comparison.compare import compare_runs, open_sides
    from reports.pages.comparison_page import write_comparison_page
    from reports.pages.run_page import renew_page

    root = tmp_path_factory.mktemp("several")
    runs = [
        invented.invent_run(root, invented.Answerer(f"m/{name}", right=right, near=right, seed=1), questions(invented))
        for name, right in (("base", 0.4), ("sft", 0.6), ("grpo", 0.9))
    ]
    renew_page(runs[0])
    comparison = compare_runs(open_sides([str(run) for run in runs]))
    return comparison, write_comparison_page(comparison, root / "page.html"), runs[0] / "index.html"


class Visit:
    """One page in a browser context of its own."""

    def __init__(self, page):
        self.page = page
        self.complaints: list[str] = []
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def sample(self) -> str:
        return self.page.inner_text(".detail h3")

    def count(self) -> int:
        return int(re.match(r"\d+", self.page.inner_text(".count-now"))[0])

    def chosen(self, name: str) -> str:
        return self.page.input_value(f'[data-filter="{name}"]')

    def links(self, selector: str) -> list[tuple[str, str]]:
        """Text and address of links."""
        return [(link.text_content(), link.get_attribute("href")) for link in self.page.locator(selector).all()]

    def settled(self, act) -> None:
        """Do something, and wait until the list has followed."""
        before = self.page.get_attribute("#explorer", "data-settled")
        act()
        self.page.wait_for_function("was => document.getElementById('explorer').dataset.settled !== was", arg=before)

    def shows(self, sample: str) -> bool:
        """Tell whether a sample is shown, or will be within a moment."""
        return self._comes_true(
            "said => document.querySelector('.detail h3')?.innerText.replace(' · ', ' ') === said", sample
        )

    def in_view(self, selector: str) -> bool:
        """Tell whether an element's upper part lies in the window, or will within a moment."""
        return self._comes_true(
            "said => { const box = document.querySelector(said)?.getBoundingClientRect();"
            " return box !== undefined && box.height > 0 && box.top >= 0 && box.top < innerHeight - 40; }",
            selector,
        )

    def _comes_true(self, condition: str, given: str) -> bool:
        """Wait for a condition in the page; a page follows its address a moment after a click."""
        from playwright.sync_api import TimeoutError as TooLong

        try:
            self.page.wait_for_function(condition, arg=given, timeout=5_000)
        except TooLong:
            return False
        return True


@pytest.fixture
def visit(chromium):
    @contextmanager
    def open_page(path, fragment="", width=1440, **options):
        context = chromium.new_context(viewport={"width": width, "height": 900}, **options)
        try:
            context.set_default_timeout(120_000)
            seen = Visit(context.new_page())
            seen.page.goto(f"file://{path}{fragment}")
            seen.page.wait_for_selector("#explorer[data-ready]")
            yield seen
        finally:
            context.close()

    return open_page


@pytest.mark.parametrize("task", ["mmstar", "mathvista"])
def test_an_address_with_task_and_id_opens_that_tasks_sample(visit, several, task):
    for path in several[1:]:
        with visit(path, f"#of={task}&id=16") as seen:
            seen.page.wait_for_selector(".detail h3")

            assert seen.sample() == f"{task} · 16"
            assert seen.in_view(".detail h3")
            assert seen.in_view('.row[aria-selected="true"]')
            assert seen.complaints == []


def test_an_id_that_several_benchmarks_have_asks_which(visit, several):
    with visit(several[1], "#id=16") as seen:
        assert "Several benchmarks have a sample “16”" in seen.page.inner_text(".detail")
        assert seen.links(".detail a") == [("mmstar", "#of=mmstar&id=16"), ("mathvista", "#of=mathvista&id=16")]
        seen.page.click(".detail a >> nth=1")
        seen.page.wait_for_selector(".detail h3")
        assert seen.sample() == "mathvista · 16"


@pytest.mark.parametrize(
    ("fragment", "words"),
    [
        ("#of=mathvista&id=nobody", "There is no sample “nobody” of mathvista in this list."),
        ("#of=nothing&id=16", "There is no sample “16” of nothing in this list."),
        ("#list=7&of=mathvista&id=16", "This page has no comparison number 7."),
        ("#task=nothing", "No sample passes these filters."),
        ("#task=mmstar&cat=figure+QA", "No sample passes these filters."),
        ("#fault=nothing", "No sample passes these filters."),
    ],
)
def test_what_is_not_there_is_said_and_no_other_sample_is_shown(visit, several, fragment, words):
    with visit(several[1], fragment) as seen:
        assert seen.page.inner_text(".detail").strip() == words
        assert seen.page.locator(".detail h3").count() == 0
        assert seen.page.locator('.row[aria-selected="true"]').count() == 0
        assert seen.in_view(".detail .warning")


def test_a_sample_that_the_filters_leave_out_is_shown_and_said_to_be(visit, several):
    with visit(several[1], "#task=mmstar&of=mathvista&id=16") as seen:
        seen.page.wait_for_selector(".detail h3")
        assert seen.sample() == "mathvista · 16"
        assert "does not pass the filters" in seen.page.inner_text(".detail .warning")
        assert seen.page.locator('.row[aria-selected="true"]').count() == 0


def test_every_changed_answer_opens_its_own_sample(visit, several):
    with visit(several[1]) as seen:
        links = seen.links("#flips th a")
    assert len(links) > 20
    assert len({address for _, address in links}) == len(links)
    for name, address in links:
        with visit(several[1], address) as seen:
            seen.page.wait_for_selector(".detail h3")
            assert seen.sample().replace(" · ", " ") == name
            assert seen.in_view(".detail h3")
            assert seen.page.locator(".detail .warning").count() == 0


def rows_of_task(table, task):
    return int(table.of_task(task).sum())


def test_benchmarks_and_categories_of_both_levels_list_their_samples(visit, several):
    comparison, page, _ = several
    expected = {}
    for number, pair in enumerate(comparison.pairs):
        for benchmark in pair.benchmarks:
            expected[number, benchmark.task, ""] = rows_of_task(pair.samples, benchmark.task)
            for row in (*benchmark.categories, *benchmark.l2_categories):
                expected[number, benchmark.task, row.category] = row.a.n
    with visit(page) as seen:
        links = seen.links('#summary th a[href*="="], #benchmarks th a[href*="="]')
        assert len(links) > len(expected)
        found = {}
        for _, address in links:
            seen.settled(lambda address=address: seen.page.evaluate("to => { location.hash = to }", address))
            key = (int(seen.chosen("list") or 0), seen.chosen("task"), seen.chosen("cat") or seen.chosen("sub"))
            found[key] = seen.count()
    assert found == expected


def test_second_level_links_work_in_a_fresh_page_and_on_a_runs_page(visit, several):
    _, page, run_page = several
    for path in (page, run_page):
        for fragment, samples in (
            ("#task=mathvista&sub=plane+geometry", SAMPLES // 3),
            ("#task=mathvista&sub=algebra", 2 * SAMPLES // 3),
            ("#task=mmstar&sub=physics", SAMPLES // 4),
            ("#task=mmstar&cat=science+%26+technology", SAMPLES // 2),
        ):
            with visit(path, fragment) as seen:
                assert seen.count() == samples
                assert seen.in_view("#explorer")


def test_the_category_list_holds_what_the_benchmark_has(visit, several):
    with visit(several[1]) as seen:
        options = lambda name: seen.page.eval_on_selector_all(  # noqa: E731 - read thrice
            f'[data-filter="{name}"] option', "all => all.map(option => option.value)"
        )
        seen.settled(lambda: seen.page.select_option('[data-filter="task"]', "mmstar"))
        assert options("cat") == ["", "math", "science & technology"]
        assert options("sub") == ["", "biology", "logic", "numeric", "physics"]
        seen.settled(lambda: seen.page.select_option('[data-filter="cat"]', "math"))
        seen.settled(lambda: seen.page.select_option('[data-filter="task"]', "mathvista"))
        assert seen.chosen("cat") == ""
        assert options("sub") == ["", "algebra", "plane geometry", "statistics & charts"]
        assert seen.count() == SAMPLES


def test_back_and_forward_restore_filters_and_sample(visit, several):
    with visit(several[1]) as seen:
        page = seen.page
        seen.settled(lambda: page.select_option('[data-filter="task"]', "mmstar"))
        seen.settled(lambda: page.select_option('[data-filter="flip"]', "gained"))
        gained = seen.count()
        page.click("nav a >> text=Summary")
        link = page.locator("#flips th a >> visible=true").last
        wanted = link.text_content()
        seen.settled(link.click)
        assert seen.shows(wanted)

        seen.settled(page.go_back)  # to the summary
        assert (seen.chosen("task"), seen.chosen("flip"), seen.count()) == ("mmstar", "gained", gained)
        seen.settled(page.go_back)  # to the list
        assert (seen.chosen("task"), seen.chosen("flip"), seen.count()) == ("mmstar", "gained", gained)
        seen.settled(page.go_back)
        assert (seen.chosen("task"), seen.chosen("flip"), seen.count()) == ("mmstar", "", SAMPLES)
        seen.settled(page.go_back)
        assert (seen.chosen("task"), seen.count()) == ("", 3 * SAMPLES)
        for _ in range(4):
            seen.settled(page.go_forward)
        assert seen.shows(wanted)


def test_a_filter_is_still_there_when_the_page_is_loaded_again(visit, several):
    with visit(several[1]) as seen:
        seen.settled(lambda: seen.page.select_option('[data-filter="task"]', "mathvista"))
        seen.page.keyboard.press("Escape")
        seen.page.click(".row >> nth=2")
        wanted = seen.page.url
        seen.page.reload()
        seen.page.wait_for_selector("#explorer[data-ready]")
        assert seen.chosen("task") == "mathvista"
        assert seen.page.url == wanted
        assert "of=mathvista&id=" in wanted


def test_a_quadrant_at_another_cut_keeps_the_cut_in_its_address(visit, several):
    with visit(several[1]) as seen:
        seen.page.evaluate(
            "() => { const s = document.getElementById('cut'); s.value = '90'; s.dispatchEvent(new Event('input')); }"
        )
        cell = seen.page.locator("#grounding a.count").first
        wanted, address = int(cell.text_content()), cell.get_attribute("href")
    assert "cut=90" in address
    with visit(several[1], address) as seen:
        assert seen.count() == wanted
        assert {"0.90"} == {text.text_content() for text in seen.page.locator(".cut-now").all()}


def test_the_same_link_works_twice(visit, several):
    with visit(several[1]) as seen:
        link = seen.page.locator("#summary th a:not(.term) >> visible=true").first
        for _ in range(2):
            seen.settled(link.click)
            assert seen.in_view("#explorer")
            seen.page.evaluate("scrollTo(0, 0)")


def test_a_tap_on_a_narrow_screen_shows_the_sample_and_back_shows_the_list(visit, several):
    with visit(several[1], "#task=mmstar", width=400, has_touch=True) as seen:
        page = seen.page
        assert page.is_visible(".list")
        assert not page.is_visible(".detail")
        page.tap(".row >> nth=3")
        page.wait_for_selector(".detail h3", state="visible")
        assert not page.is_visible(".list")
        assert seen.in_view(".detail h3")
        assert seen.sample() == "mmstar · 3"
        page.tap('[data-walk="1"]')
        page.wait_for_function("document.querySelector('.detail h3').innerText === 'mmstar · 4'")
        seen.settled(page.go_back)
        assert page.is_visible(".list")
        assert seen.count() == SAMPLES
        page.tap(".row >> nth=1")
        page.tap('[data-walk="list"]')
        assert page.is_visible(".list")


def test_a_link_to_a_sample_shows_it_on_a_narrow_screen(visit, several):
    with visit(several[1], "#of=mathvista&id=7", width=400) as seen:
        page = seen.page
        page.wait_for_selector(".detail h3", state="visible")
        assert seen.sample() == "mathvista · 7"
        assert seen.in_view(".detail h3")


def test_a_fold_opens_for_its_link_and_for_a_word_in_it(visit, several):
    for path in several[1:]:
        with visit(path, "#g-mean_iou") as seen:
            assert seen.page.is_visible("#g-mean_iou")
            assert seen.in_view("#g-mean_iou")
            seen.page.click("nav a >> text=Provenance")
            assert seen.in_view("#provenance table")
            seen.page.click("#summary a.term >> nth=0")
            assert seen.in_view("#glossary dt:target")


def test_every_word_that_is_linked_is_explained(visit, several):
    for path in several[1:]:
        with visit(path) as seen:
            links = {address for _, address in seen.links('a[href^="#"]') if "=" not in address}
            assert links
            assert [link for link in links if seen.page.locator(f'[id="{link[1:]}"]').count() != 1] == []


@pytest.mark.parametrize("table", ["faults", "quadrants"])
def test_counts_on_a_runs_page_list_so_many_samples(visit, several, table):
    with visit(several[2]) as seen:
        cells = {
            "faults": "#summary table:has(caption:has-text('wrong with the texts')) a.count",
            "quadrants": "#benchmarks table:has(caption:has-text('quadrant')) th a, #summary .side td a.count",
        }
        links = seen.links(cells[table])
        shares = []
        for text, address in links:
            seen.settled(lambda address=address: seen.page.evaluate("to => { location.hash = to }", address))
            shares.append((text, seen.count()))
    assert links
    for text, samples in shares:
        expected = {text, f"{100 * samples / SAMPLES:.1f}"} if table == "quadrants" else {f"{samples}"}
        assert text in expected


def test_faults_of_either_side_list_so_many_samples(visit, several):
    comparison, page, _ = several
    with visit(page) as seen:
        for number, pair in enumerate(comparison.pairs):
            for benchmark in pair.benchmarks:
                for which, faults in (("a", benchmark.headline.a_faults), ("b", benchmark.headline.b_faults)):
                    for name, samples in faults.by_name.items():
                        address = f"#list={number}&task={benchmark.task}&fault={which}%3A{name}"
                        seen.settled(lambda to=address: seen.page.evaluate("to => { location.hash = to }", to))
                        assert (address, samples) == (address, seen.count())


def test_the_leaderboards_links_lead_to_runs_and_notes(chromium, several, tmp_path):
    from reports.board.board import rank_board, read_leaderboard
    from reports.pages.board_page import write_leaderboard

    runs = [run.path for run in several[0].runs]
    page = write_leaderboard(rank_board(read_leaderboard(runs), seed=0), tmp_path / "site")
    context = chromium.new_context()
    try:
        tab = context.new_page()
        tab.goto(f"file://{page}")
        addresses = [link.get_attribute("href") for link in tab.locator("#table a").all()]
        assert len([address for address in addresses if address.startswith("runs/")]) == len(runs)
        for address in addresses:
            if address.startswith("#"):
                assert tab.locator(f'[id="{address[1:]}"]').count() == 1
            else:
                tab.goto(f"file://{page.parent}/{address}#of=mathvista&id=5")
                tab.wait_for_selector(".detail h3")
                assert tab.inner_text(".detail h3") == "mathvista · 5"
                tab.goto(f"file://{page}")
    finally:
        context.close()
