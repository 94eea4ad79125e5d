"""One bar at a time, on one line that fits; in a loop with step, stage and the time left of the whole."""

from __future__ import annotations

import io
import re

import pytest
from rich.cells import cell_len

from harness.values import Components, Generation, Record, Sample, Score
from reports.terminal.progress import LINE_EVERY_S, RunProgress, duration_text, figures_text, fitted_line

RECORD = Record(Sample("1", "shapes", "accepted"), Generation(""), Score(None, None, Components()))
STEPS = [
    ("satori-base.greedy", "greedy"),
    ("satori-sft.train", "sft"),
    ("satori-sft.greedy", "greedy"),
    ("satori-grpo.train", "grpo"),
    ("satori-grpo.greedy", "greedy"),
]
FIGURES = {"reward": 2.4, "rewards/format/mean": 0.9, "rewards/bbox/mean": 0.5, "rewards/answer/mean": 1.0, "loss": 0.1}


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Clock:
    """Time that stands until it is moved."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    def pass_s(self, seconds: float) -> None:
        self.now_s += seconds


def benchmark(progress: RunProgress, clock: Clock, rows: int = 10, row_s: float = 1.0, *, until: int | None = None):
    progress.task_started("shapes", rows=rows, answered=0)
    for _ in range(rows if until is None else until):
        clock.pass_s(row_s)
        progress.sample_recorded(RECORD)
    if until is None:
        progress.task_finished("shapes")


def stage(progress: RunProgress, clock: Clock, steps: int, step_s: float, *, until: int | None = None):
    progress.stage_started("grpo", steps, 0)
    for step in range(1, (steps if until is None else until) + 1):
        clock.pass_s(step_s)
        progress.step_logged(step, FIGURES)
    if until is None:
        progress.stage_finished()


def started(number: int, terminal: io.StringIO, clock: Clock) -> RunProgress:
    """Progress of a loop that is at a step: benchmarks took 10 s each, the cold start 100 s."""
    progress = RunProgress(terminal, clock)
    progress.loop_started(STEPS)
    for place in range(1, number):
        progress.loop_step_started(place)
        if STEPS[place - 1][1] == "greedy":
            benchmark(progress, clock)
        else:
            stage(progress, clock, 10, 10.0)
        progress.loop_step_finished()
    progress.loop_step_started(number)
    return progress


def test_a_loop_shows_its_step_its_stage_and_the_time_left_of_the_whole():
    clock = Clock()
    progress = started(4, Terminal(), clock)
    stage(progress, clock, 20, 3.0, until=5)

    line = progress.line(120)

    assert line.startswith("[4/5] satori-grpo.train ━")
    assert " 5/20  0:45 left  whole 0:55 left  reward 2.40" in line  # 15 steps of 3 s, and a benchmark of 10 s


@pytest.mark.parametrize(
    ("number", "whole"),
    [
        (1, "whole at least 0:25 left"),  # 5 s of this benchmark, and two more of 10 s; training was not seen yet
        (3, "whole at least 0:15 left"),  # 5 s of this one, and one more
        (5, "whole 0:05 left"),
    ],
)
def test_the_whole_is_a_lower_bound_until_every_kind_was_seen(number, whole):
    clock = Clock()
    progress = started(number, Terminal(), clock)
    benchmark(progress, clock, until=5)

    assert whole in progress.line(120)


def test_steps_that_were_done_before_tell_nothing_about_the_others():
    clock = Clock()
    progress = RunProgress(Terminal(), clock)
    progress.loop_started(STEPS)
    for number in (1, 2):
        progress.loop_step_started(number)
        progress.loop_step_finished()
    progress.loop_step_started(3)

    assert progress.line(80) == "[3/5] satori-sft.greedy  starting"


@pytest.mark.parametrize("width", [20, 40, 60, 79, 80, 81, 120, 200])
@pytest.mark.parametrize("number", [1, 4])
@pytest.mark.parametrize("begun", [False, True])
def test_the_line_never_passes_the_terminals_width(width, number, begun):
    clock = Clock()
    progress = started(number, Terminal(), clock)
    if begun:
        stage(progress, clock, 123_456, 3.0, until=5)

    line = progress.line(width)

    assert cell_len(line) < width
    assert "\n" not in line


def test_at_eighty_columns_the_times_stay_and_the_rewards_go():
    clock = Clock()
    progress = started(4, Terminal(), clock)
    stage(progress, clock, 20, 3.0, until=5)

    line = progress.line(80)

    assert re.fullmatch(r"\[4/5\] satori-grpo\.train [━─]{8,} 5/20  0:45 left  whole 0:55 left  [0-9.]+ steps/s", line)


@pytest.mark.parametrize("title", ["x" * 200, "基準" * 60, "a b"])
def test_a_long_title_is_cut_and_the_count_stays(title):
    line = fitted_line(80, title, (5, 20), ["0:45 left"])

    assert cell_len(line) < 80
    assert "5/20" in line


def test_there_is_one_bar_at_a_time_and_what_is_done_stays_as_text():
    clock, terminal = Clock(), Terminal()
    with started(1, terminal, clock) as progress:
        for number in range(1, 6):
            progress.loop_step_started(number)
            if number % 2:
                benchmark(progress, clock)
            else:
                stage(progress, clock, 10, 10.0)
            progress.loop_step_finished()
            assert progress.line(200).count("━") == 0
    shown = terminal.getvalue()

    finished = [line for line in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown).splitlines() if " done in " in line]
    assert [line.strip() for line in finished] == [
        "[1/5] satori-base.greedy shapes: 10/10 samples done in 0:10",
        "[2/5] satori-sft.train: 10/10 steps done in 1:40",
        "[3/5] satori-sft.greedy shapes: 10/10 samples done in 0:10",
        "[4/5] satori-grpo.train: 10/10 steps done in 1:40",
        "[5/5] satori-grpo.greedy shapes: 10/10 samples done in 0:10",
    ]


def test_what_is_said_stands_on_lines_of_its_own_above_the_bar():
    clock, terminal = Clock(), Terminal()
    with started(4, terminal, clock) as progress:
        progress.say("boxes are read as input_px, the frame that qwen2_5_vl writes")
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "\n", terminal.getvalue())

    assert "boxes are read as input_px, the frame that qwen2_5_vl writes" in [
        line.strip() for line in shown.splitlines()
    ]


def test_between_steps_nothing_is_under_way():
    clock = Clock()
    progress = started(4, Terminal(), clock)
    progress.loop_step_finished()

    assert progress.line(80) == ""


def test_a_step_that_has_worked_is_saving():
    clock = Clock()
    progress = started(4, Terminal(), clock)
    assert progress.line(80).endswith("starting")
    stage(progress, clock, 2, 1.0)

    assert progress.line(80).endswith("saving")


def test_off_a_terminal_a_loop_writes_a_line_every_thirty_seconds_and_no_bar():
    clock, stream = Clock(), io.StringIO()
    with started(4, stream, clock) as progress:
        stream.truncate(0)
        stream.seek(0)
        stage(progress, clock, 20, LINE_EVERY_S / 2)

    lines = stream.getvalue().splitlines()
    assert len(lines) == 11
    assert lines[0] == (
        "[4/5] satori-grpo.train: 2/20 4:30 left, whole 4:40 left, "
        "reward 2.40 format 0.90 bbox 0.50 answer 1.00, 0.1 steps/s"
    )
    assert lines[-1] == "[4/5] satori-grpo.train: 20/20 steps done in 5:00"
    assert "━" not in stream.getvalue()


def test_off_a_terminal_each_step_is_named_as_it_begins():
    stream = io.StringIO()
    started(2, stream, Clock())

    assert [line for line in stream.getvalue().splitlines() if "done" not in line] == [
        "[1/5] satori-base.greedy",
        "[2/5] satori-sft.train",
    ]


def test_a_dumb_terminal_gets_lines(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    terminal = Terminal()
    clock = Clock()
    with RunProgress(terminal, clock) as progress:
        benchmark(progress, clock)

    assert terminal.getvalue() == "shapes: 10/10 samples done in 0:10\n"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (59.9, "0:59"), (61, "1:01"), (3599, "59:59"), (3600, "1:00:00"), (9e4, "25:00:00")],
)
def test_durations_read_as_a_clock(seconds, text):
    assert duration_text(seconds) == text


def test_the_loss_is_shown_where_there_are_no_rewards():
    assert figures_text({"loss": 0.123, "grad_norm": 3}) == "loss 0.12"
    assert figures_text({"loss": 0.123, "reward": 1}) == "reward 1.00"
