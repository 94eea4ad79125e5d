"""A pair under other rules says what a comparison of the rescored runs says, within a bound on the work."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from harness.comparison.compare import compare_runs, open_sides
from harness.comparison.other_rules import other_rules
from harness.evaluation.rescore import rescore_run
from harness.runs.store import load_run
from harness.values import PROTOCOLS
from reports.pages.comparison_page import write_comparison_page

OTHERS = [name for name in PROTOCOLS if name != "strict"]


@pytest.fixture(scope="module")
def rescored(dressed_run, other_dressed_run, tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("rescored")
    runs = [shutil.copytree(run, folder / run.name) for run in (dressed_run, other_dressed_run)]
    for run in runs:
        for protocol in OTHERS:
            rescore_run(load_run(run), protocol)
    return runs


@pytest.fixture(scope="module")
def comparison(rescored):
    return compare_runs(open_sides([str(run) for run in rescored]))


@pytest.fixture(scope="module")
def rules(comparison):
    return other_rules(comparison, comparison.pairs[0])


@pytest.mark.parametrize("protocol", OTHERS)
def test_a_change_is_that_of_the_rescored_runs(rescored, rules, protocol):
    pair = compare_runs(open_sides([f"{run}@{protocol}" for run in rescored])).pairs[0]
    expected = {item.task: item.headline for item in pair.benchmarks}

    found = {item.task: next(row for row in item.rows if row.protocol == protocol) for item in rules.benchmarks}
    assert [*found] == [*expected]
    assert {task for task, one in found.items() if one.row is None} == (set() if protocol == "paper" else {"shapes"})
    for task, one in found.items():
        if one.row is None:
            continue
        ours, theirs = one.row, expected[task]
        assert (ours.a, ours.b, ours.reason) == (theirs.a, theirs.b, theirs.reason), task
        assert ours.difference == theirs.difference, task


def test_samples_scored_alike_are_counted_for_each_side(rules):
    mmstar = rules.benchmarks[0]

    assert (mmstar.task, mmstar.samples, rules.left_out) == ("mmstar", 48, ())
    assert [row.protocol for row in mmstar.rows] == ["strict", *OTHERS]
    assert [row.alike[0] for row in mmstar.rows] == [48, 36, 33, 36]


def test_the_smallest_benchmarks_come_first_and_the_others_are_named(comparison):
    pair = comparison.pairs[0]
    some = other_rules(comparison, pair, most=100)

    assert [item.task for item in some.benchmarks] == ["mmstar", "mmbench_en_dev"]
    assert some.left_out == tuple(item.task for item in pair.benchmarks[2:])
    none = other_rules(comparison, pair, most=1)
    assert (none.benchmarks, len(none.left_out)) == ((), 12)


def test_two_protocols_of_one_run_have_no_other_rules(rescored):
    comparison = compare_runs(open_sides([str(rescored[0]), f"{rescored[0]}@paper"]))
    across = compare_runs(open_sides([str(rescored[0]), f"{rescored[1]}@paper"]))

    assert other_rules(comparison, comparison.pairs[0]) is None
    assert other_rules(across, across.pairs[0]) is None


def test_the_page_has_the_section_folded_with_what_the_values_say(comparison, tmp_path):
    page = write_comparison_page(comparison, tmp_path / "page.html").read_text(encoding="utf-8")

    [section] = re.findall(r'<details class="part" id="rules">.*?</details>', page, re.DOTALL)
    assert "Under other rules" in section
    assert "here also under paper@7faa5b47, vlmevalkit@e8e78f05, lmms-eval@0.7.3" in section
    assert section.count("no rule of its own: as strict") == 2
    assert "mme, strict, paper, vlmevalkit: perception: no rows" in section
    assert "75.0 %" in section
    assert '<a href="#rules">' in page


def test_what_is_too_large_for_the_page_is_said_there(comparison, tmp_path, monkeypatch):
    monkeypatch.setattr("reports.pages.comparison_page.MOST_SAMPLES", 50)
    page = write_comparison_page(comparison, tmp_path / "page.html").read_text(encoding="utf-8")

    assert "Too large to be scored again for a page: mmbench_en_dev, ai2d" in page
