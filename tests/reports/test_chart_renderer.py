"""The process that renders charts may die, hang or refuse: that costs a picture and nothing else."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

import harness
from reports.pages import chart_renderer, charts
from reports.pages.chart_renderer import MOST_DEATHS, ChartRenderer

BARS = {"mark": "bar", "data": {"values": [{"x": 1}]}, "encoding": {"x": {"field": "x", "type": "quantitative"}}}
CHANGE = charts.Change("a", 0.1, 0.0, 0.2, 1)


@pytest.fixture
def renderer():
    made = ChartRenderer()
    yield made
    made.close()


def test_one_process_renders_chart_after_chart(renderer):
    first, second = renderer.svg(BARS), renderer.svg(BARS)

    assert first.startswith("<svg")
    assert first == second


def test_a_chart_that_the_renderer_refuses_leaves_it_alive(renderer):
    assert renderer.svg({"mark": 7}) is None
    assert renderer.svg(BARS).startswith("<svg")


@pytest.mark.parametrize(
    "program", ["import os; os.abort()", "input(); raise SystemExit(3)", "import time; input(); time.sleep(60)"]
)
def test_a_process_that_dies_or_hangs_costs_pictures_and_is_not_started_for_ever(
    renderer, monkeypatch, tmp_path, program
):
    broken = tmp_path / "broken.py"
    broken.write_text(program)
    monkeypatch.setattr(chart_renderer, "_PROGRAM", broken)
    monkeypatch.setattr(chart_renderer, "ANSWER_S", 0.5)
    started = []
    start = renderer._start
    monkeypatch.setattr(renderer, "_start", lambda: started.append(1) or start())

    assert [renderer.svg(BARS) for _ in range(5)] == [None] * 5
    assert len(started) == MOST_DEATHS


def test_words_stand_where_a_chart_could_not_be_drawn(monkeypatch):
    monkeypatch.setattr(charts.RENDERER, "svg", lambda _: None)

    found = charts.forest_chart([CHANGE], {1: "x"}, "axis", "<b>title")

    assert found == f'<p class="note">&lt;b&gt;title: {charts.NOT_DRAWN}</p>'


def test_a_page_is_drawn_under_an_address_space_limit():
    """The JavaScript engine reserves more than batch systems grant, and ended the process by a trap."""
    program = (
        "from reports.pages.charts import Change, forest_chart\n"
        "print(forest_chart([Change('a', 0.1, 0.0, 0.2, 1)], {1: 'x'}, 'axis', 'title')[:16])"
    )
    limit = 4_000_000 * 1024

    done = subprocess.run(
        [sys.executable, "-c", program],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
        env={"PYTHONPATH": str(Path(harness.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, '<p class="note">\n')
