"""Shards that are no parts of one run are refused by name, and leave nothing behind."""

from datetime import UTC, datetime

import pytest

from harness.errors import IncompleteError
from harness.evaluation.merge import merge_shards
from harness.runs.store import load_run

NOW = datetime(2026, 1, 2, tzinfo=UTC)
ROWS = [
    {"task": "mmstar", "id": str(number), "prediction": f"<answer>{'AB'[number % 2]}</answer>", "answers": ["A"]}
    for number in range(4)
]


@pytest.mark.parametrize(
    ("held", "asked", "said"),
    [
        ([[0, 1, 2], [2, 3]], None, "both hold mmstar 2: they are no parts of one run"),
        ([[0, 1, 2, 3], [3]], None, "both hold mmstar 3"),
        ([[0, 1], [2]], [2, 2], r"\(shard 2/2\) holds 1 of mmstar, and was asked 2 of mmstar"),
        ([[0], [1, 2]], [1, 1], r"\(shard 2/2\) holds 2 of mmstar, and was asked 1 of mmstar"),
        ([[], [2]], [1, 1], r"\(shard 1/2\) holds nothing, and was asked 1 of mmstar"),
    ],
)
def test_shards_that_overlap_or_lack_samples_are_named(make_run, make_shards, tmp_path, held, asked, said):
    shards = make_shards(load_run(make_run("model", ROWS)), held, asked)

    with pytest.raises(IncompleteError, match=said):
        merge_shards(sorted(shards.iterdir()), tmp_path / "merged", now=NOW)
    assert list((tmp_path / "merged").iterdir()) == []
