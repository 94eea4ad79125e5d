"""What the terminal shows: numbers that never look better than they are, names that cannot steer it."""

from __future__ import annotations

import io

import pytest

from harness.summary import Metric, TaskSummary
from harness.values import Components, Generation, Record, Sample, Score
from reports.progress import LINE_EVERY_S, RunProgress
from reports.terminal import TaskCost, metric_text, plain_table, printable, run_table, share_text, write


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
    assert text == share_text(part, whole)


@pytest.mark.parametrize(
    ("name", "metric", "text"),
    [
        ("accuracy", Metric(0.5, 0.301, 0.7, 8), "50.0 [30.1, 70.0]"),
        ("accuracy", Metric(0.0, 0.0, 0.057, 64), "0.0 [0.0, 5.7]"),
        ("total", Metric(1500.26, 1400.0, 1600.0, 8), "1500.3 [1400.0, 1600.0]"),
        ("mean_iou", Metric(0.12345, None, None, 1), "0.123"),
        ("accuracy", Metric(None, reason="no scored rows"), "–"),
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
        {"mme": TaskCost(12.5, 10.0, 5, 6)},
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
    assert printable("\x1b[2J") == "\\x1b[2J"


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
