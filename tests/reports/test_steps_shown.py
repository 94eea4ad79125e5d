"""The explorer shows where a thought looked: its steps in words, and drawn one by one."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from harness.comparison.compare import compare_runs, open_sides
from harness.comparison.sample_texts import read_answers
from harness.evaluation.predictions import score_lines
from harness.evaluation.rescore import PredictionSource, rescore_run, save_predictions_run
from harness.runs.store import load_run
from harness.scoring.formats import format_dialect
from harness.values import ScoreConfig
from reports.pages.explorer_texts import text_of
from reports.pages.run_page import renew_page

LOOKED = ([40, 60, 500, 440], [60, 110, 400, 430], [66, 118, 318, 424])
WORDS = ["IoU 0.439", "IoU 0.706 · narrows", "IoU 0.965 · narrows", "no place · IoU 0.000 · degenerate"]
CONFIG = ScoreConfig(format="treevgr", box_dialect=format_dialect("treevgr"))


def line(name: str) -> str:
    boxes = " ".join(f"<box>{list(box)}</box>" for box in (*LOOKED, [5, 5, 5, 9]))
    row = {"id": name, "task": "satori", "question": "Which colour?", "answers": ["red"]}
    row |= {"boxes": [[64, 120, 320, 420]], "width": 640, "height": 480}
    return json.dumps({**row, "prediction": f"<think>{boxes}</think><answer>red</answer>"})


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    """Two runs whose texts look three times at a place, and once at none."""
    root = tmp_path_factory.mktemp("steps")
    source = {name: PredictionSource(name, "0" * 64, {}) for name in "ab"}
    rows = list(score_lines([line(str(number)) for number in range(4)], CONFIG))
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return [save_predictions_run(root, rows, CONFIG, source[name], now=now)[0] for name in "ab"]


def test_a_record_tells_its_steps_in_order(walked):
    record = next(iter(load_run(walked[0]).records()))
    (side,) = text_of([record])["sides"]

    assert [step["words"] for step in side["steps"]] == WORDS
    assert [step["boxes"] for step in side["steps"]] == [*([list(map(float, box))] for box in LOOKED), []]


def test_a_comparison_reads_the_steps_of_both_sides_from_their_tables(walked):
    rescore_run(load_run(walked[1]), "strict")
    comparison = compare_runs(open_sides([str(walked[0]), f"{walked[1]}@strict"]))
    (records, *_) = read_answers(comparison, comparison.pairs[0], [0])

    assert [[step["words"] for step in side["steps"]] for side in text_of(records)["sides"]] == [WORDS, WORDS]


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (400, "dark")])
def test_steps_are_drawn_one_by_one(walked, chromium, width, scheme):
    renew_page(walked[0])
    context = chromium.new_context(viewport={"width": width, "height": 1000}, color_scheme=scheme)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"file://{walked[0] / 'index.html'}")
    page.wait_for_selector("#explorer[data-ready]")
    page.locator(".row").first.click()
    page.wait_for_selector(".steps button")

    def drawn() -> list[str]:
        return page.eval_on_selector_all(
            "svg [data-step]",
            "groups => groups.filter(one => one.style.display !== 'none')"
            ".map(one => one.dataset.step + (one.classList.contains('passed') ? '-' : ''))",
        )

    everything = drawn()
    page.click(".steps button >> text=2")
    up_to_two = drawn()
    page.click(".steps button >> text=all")

    assert [everything, up_to_two, drawn()] == [["1", "2", "3", "4"], ["1-", "2"], ["1", "2", "3", "4"]]
    assert page.eval_on_selector_all("svg text.tag", "tags => tags.map(tag => tag.textContent)") == ["1", "2", "3"]
    assert complaints == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    context.close()
