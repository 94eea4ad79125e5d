"""The A/A noise floor: which pairs can be measured, and what a floor is worth."""

from __future__ import annotations

import pytest

from harness.comparison.compare import compare_runs, open_sides
from harness.errors import IncompleteError
from harness.gate.noise import Noise, measure_noise


def rows(right: int, n=100, task="shapes") -> list[dict]:
    return [
        {"id": f"s{place}", "task": task, "prediction": f"<answer>{'red' if place < right else 'blue'}</answer>",
         "answers": ["red"]}
        for place in range(n)
    ]  # fmt: skip


def passes(with_gold: int, questions=20) -> list[dict]:
    """MMBench questions of two wrong passes, of which only one has gold: each question has a score, half its rows."""
    choices = {"A": "cat", "B": "dog", "C": "cow", "D": "pig"}
    return [
        {
            "id": f"{question}_{turn}",
            "task": "mmbench_en_dev",
            "prediction": "<answer>B</answer>",
            "choices": choices,
            "index": question + 1_000_000 * turn,
            **({"answers": ["A"]} if turn == with_gold else {}),
        }
        for question in range(questions)
        for turn in range(2)
    ]


@pytest.fixture
def noise_of(make_run, amend_manifest):
    """Measure two lists of rows as runs of one checkpoint."""

    def measure(one: list[dict], other: list[dict], **fields) -> Noise:
        own = {"weights_hash": "5" * 64, **fields}
        made = [make_run(name, found) for name, found in (("one", one), ("other", other))]
        folders = [amend_manifest(folder, seed=seed, **own) for seed, folder in enumerate(made)]
        return measure_noise(compare_runs(open_sides([str(folder) for folder in folders]), draws=99, on_shared=True))

    return measure


def test_a_task_that_shares_no_scored_sample_is_left_out_with_its_reason(noise_of):
    found = noise_of(rows(60) + passes(0), rows(60) + passes(1))

    assert [row.task for row in found.tasks] == ["shapes"]
    assert any("mmbench_en_dev is not measured: no sample is scored in both" in note for note in found.notes)


def test_runs_that_share_no_scored_sample_have_nothing_to_measure(noise_of):
    with pytest.raises(IncompleteError, match="nothing to measure: mmbench_en_dev is not measured: no sample"):
        noise_of(passes(0), passes(1))


@pytest.mark.parametrize(("n", "measured"), [(14, False), (15, True)])
def test_too_few_clusters_give_no_floor(noise_of, n, measured):
    found = noise_of(rows(7, n), rows(8, n))

    assert (found.tasks[0].floor_points is not None) == measured
    assert any(f"shapes has no floor: too few clusters ({n};" in note for note in found.notes) != measured


def test_a_floor_that_no_change_was_seen_for_says_so(noise_of):
    still, moved = noise_of(rows(60), rows(60)), noise_of(rows(59), rows(60))

    assert still.tasks[0].floor_points == pytest.approx(2.77, abs=0.01)
    assert any("no score moved, so its floor of 2.77 points was not measured" in note for note in still.notes)
    assert not any("no score moved" in note for note in moved.notes)


def test_runs_that_differ_beyond_their_flips_are_doubted(noise_of):
    apart, alike = noise_of(rows(90), rows(30)), noise_of(rows(60), rows(59))

    assert any("the runs differ by -60.00 points, beyond the floor" in note for note in apart.notes)
    assert not any("the runs differ" in note for note in alike.notes)


def test_predictions_made_elsewhere_are_measured_and_their_weights_taken_on_trust(make_run):
    folders = [make_run("first", rows(60)), make_run("again", rows(58))]
    found = measure_noise(compare_runs(open_sides([str(folder) for folder in folders]), draws=99, on_shared=True))

    assert found.tasks[0].flips == 2
    assert f"the weights behind {folders[0].name} and {folders[1].name} cannot be seen" in found.notes[0]


@pytest.mark.parametrize(("weights", "noted"), [("", True), ("5" * 64, False)])
def test_weights_that_are_not_known_are_noted(noise_of, weights, noted):
    found = noise_of(rows(60), rows(58), weights_hash=weights)

    assert any("taken on your word" in note for note in found.notes) == noted
