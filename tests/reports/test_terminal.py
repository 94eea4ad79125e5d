"""What the terminal shows: numbers that never look better than they are, names that cannot steer it."""

from __future__ import annotations

import io
import time

import pytest
from rich.cells import cell_len

from harness.summary.task_summary import Metric, TaskSummary
from harness.values import Components, Generation, Record, Sample, Score
from reports.terminal.progress import LINE_EVERY_S, RunProgress
from reports.terminal.tables import (
    Column,
    TextTable,
    metric_text,
    plain_table,
    run_table,
    write,
)
from reports.texts.numbers_shown import percent


def summary(task: str, headline: str = "accuracy", **metrics: Metric) -> TaskSummary:
    return TaskSummary(task, 8, 26, 8, {"error": 2}, {}, 1, 0, headline, metrics, {}, {})


def written(renderable) -> str:
    stream = io.StringIO()
    write(renderable, stream)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [(0, 10, "0.0 %"), (10, 10, "100.0 %"), (1, 100_000, "0.1 %"), (99_999, 100_000, "99.9 %"), (0, 0, "–")],
)
def test_a_share_is_none_or_all_only_when_it_is_exactly_so(part, whole, text):
    assert text == percent(part, whole)


@pytest.mark.parametrize(
    ("name", "metric", "text"),
    [
        ("accuracy", Metric(0.5, 0.301, 0.7, 8), "50.0 [30.1, 70.0]"),
        ("accuracy", Metric(0.0, 0.0, 0.057, 64), "0.0 [0.0, 5.7]"),
        ("total", Metric(1500.26, 1400.0, 1600.0, 8), "1500.3 [1400.0, 1600.0]"),
        ("mean_iou", Metric(0.12345, None, None, 1), "0.123"),
        ("accuracy", Metric(None, None, None, 0, "no scored rows"), "–"),
        ("accuracy", None, "–"),
    ],
)
def test_a_metric_shows_both_ends_of_its_interval(name, metric, text):
    assert text == metric_text(name, metric)


def test_no_cell_is_cut_off_on_a_narrow_stream():
    table = run_table(
        [
            summary("mmbench_en_dev", accuracy=Metric(0.5, 0.3, 0.7, 8)),
            summary("mme", "total", perception=Metric(1500.5, 1300.0, 1700.0, 8)),
            summary("shapes", accuracy=Metric(0.25, 0.2, 0.3, 8), mean_iou=Metric(0.5, 0.4, 0.6, 8)),
        ],
        {"mme": 12.5},
        "model",
    )

    text = written(table)

    assert "…" not in text
    for cell in ("mmbench_en_dev accuracy", "1500.5 [1300.0, 1700.0]", "0.500 [0.400, 0.600]", "12.5", "mme cognition"):
        assert cell in text


def test_the_overlap_column_is_there_only_where_there_is_gold():
    assert "mean IoU" not in written(run_table([summary("mmstar", accuracy=Metric(0.5, 0.3, 0.7, 8))], {}, "model"))


def test_names_from_files_cannot_steer_the_terminal():
    text = written(plain_table(["run"], [["\x1b[31mred\x07\u202e"]]))

    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "⟦U+001B⟧[31mred⟦U+0007⟧⟦U+202E⟧" in text


def test_progress_says_a_line_every_thirty_seconds_off_a_terminal():
    now = [0.0]
    stream = io.StringIO()
    record = Record(Sample("1", "mmstar", "choice"), Generation(""), Score(None, None, Components()))
    with RunProgress(stream, clock=lambda: now[0]) as progress:
        progress.task_started("mmstar", rows=100, answered=40)
        for _ in range(30):
            now[0] += LINE_EVERY_S / 10
            progress.sample_recorded(record)
        progress.task_finished("mmstar")

    lines = stream.getvalue().splitlines()
    assert lines[0] == "mmstar: 40 of 100 already answered"
    assert lines[1] == "mmstar: 50/100 2:30 left, 0.3 samples/s"
    assert len(lines) == 5
    assert lines[-1] == "mmstar: 70/100 samples done in 1:30"


WIDE = plain_table(
    ["task", "metric", "base", "a rather long name of a model", "change [95 %]", "n", "flips"],
    [
        [
            "shapes",
            "accuracy",
            "60.0 [53.1, 66.6]",
            "30.0 [23.9, 36.8]",
            "−30.0 [−39.2, −20.8]",
            "200",
            "60 down, 0 up",
        ],
        ["数学の問題集", "mean_iou", "0.123", "–", "", "1,000", "0 down, 0 up"],
        ["a/very/long/name/without/any/blank/" * 4, "x", "y", "z", "w", "v", "u"],
    ],
    {1: 9, 4: 8, 2: 7, 3: 7},
)


@pytest.mark.parametrize("width", [0, 1, 2, 7, 20, 40, 60, 80, 120, 200, 400])
def test_no_line_is_wider_than_the_terminal_and_no_cell_is_lost(width):
    lines = WIDE.lines(width)
    told = "".join("".join(line.split()) for line in lines)

    assert max(cell_len(line) for line in lines) <= max(width, 2), "one wide character needs two columns"
    for row in WIDE.rows:
        for cell in row:
            assert cell == "–" or "".join(cell.split()) in told


@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_number_and_its_interval_are_never_torn(width):
    for cell in WIDE.rows[0]:
        assert sum(cell in line for line in WIDE.lines(width)) >= 1


def test_what_finds_no_room_in_a_row_is_told_below_it_by_its_heading():
    table = plain_table(
        ["task", "a", "b", "n"], [["x", "1 [0, 2]", "3 [2, 4]", "7"], ["y", "–", "", "8"]], {1: 2, 2: 2}
    )

    assert table.lines(27) == [
        "task  a         b         n",
        "x     1 [0, 2]  3 [2, 4]  7",
        "y     –                   8",
    ]
    assert table.lines(26) == ["task  a         b", "x     1 [0, 2]  3 [2, 4]", "    n 7", "y     –", "    n 8"]
    assert table.lines(23) == ["x", "    a 1 [0, 2]", "    b 3 [2, 4] · n 7", "y", "    n 8"], "both or neither"


def test_a_cell_may_have_several_lines():
    table = TextTable((Column("run"), Column("score", worth=1), Column("n", right=True)), (("r", "a 1\nb 2", "3"),))

    assert table.lines(80) == ["run  score  n", "r    a 1    3", "     b 2"]
    assert table.lines(11) == ["run  score", "r    a 1", "     b 2", "    n 3"]
    assert table.lines(9) == ["r", "    score", "    a 1,", "    b 2", "    n 3"]


def test_a_colon_word_of_a_name_becomes_no_picture():
    assert ":tada:" in written(plain_table(["run"], [[":tada: [bold]x[/bold]"]]))


def test_a_long_table_is_laid_out_in_time_that_grows_with_its_rows():
    cells = [[f"run {place}", "complete", "shapes 50.0", "1,000"] for place in range(5_000)]

    began = time.process_time()
    assert len(plain_table(["run", "state", "score", "n"], cells).lines(80)) == 5_001

    assert time.process_time() - began < 2
