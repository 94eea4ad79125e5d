"""The A/A noise floor: which pairs can be measured, and what a floor is worth."""

from __future__ import annotations

import pytest

from harness.compare import compare_runs, open_sides
from harness.errors import IncompleteError
from harness.noise import Noise, measure_noise


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

    def measure(one: list[dict], other: list[dict]) -> Noise:
        folders = (amend_manifest(make_run(name, found), weights_hash="5" * 64, seed=seed)
                   for seed, (name, found) in enumerate((("one", one), ("other", other))))  # fmt: skip
        return measure_noise(compare_runs(open_sides([str(folder) for folder in folders]), draws=99))

    return measure


def test_a_task_that_shares_no_scored_sample_is_left_out_with_its_reason(noise_of):
    found = noise_of(rows(60) + passes(0), rows(60) + passes(1))

    assert [row.task for row in found.tasks] == ["shapes"]
    assert any("mmbench_en_dev is not measured: no sample is scored in both" in note for note in found.notes)


def test_runs_that_share_no_scored_sample_have_nothing_to_measure(noise_of):
    with pytest.raises(IncompleteError, match="nothing to measure: mmbench_en_dev is not measured: no sample"):
        noise_of(passes(0), passes(1))
