"""Tests of what `tasks verify` says of cells that are no longer what they were, and of rows that nobody can win."""

import json
import math
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ExitCode
from harness.scoring.read_text import read_text
from tasks import row_checks
from tasks.local_data import DataError, open_task_data
from tasks.own import load_own_task

CASES = json.loads((Path(__file__).parents[1] / "cases" / "benchmark_cells.json").read_text(encoding="utf-8"))


def cell(value):
    """Return what stands for a cell that JSON cannot hold."""
    if value == "<nan>":
        return math.nan
    if isinstance(value, str) and value.startswith("<bytes>"):
        return value.removeprefix("<bytes>").encode()
    if isinstance(value, str) and value.startswith("<latin-1>"):
        return value.removeprefix("<latin-1>").encode("latin-1")
    return value


@pytest.fixture
def own_task(tmp_path, data_builder):
    """Write rows as a benchmark of one's own; returns its YAML file."""

    def write(rows, rule="accepted", extra="") -> Path:
        picture = {"bytes": data_builder.drawing(1), "path": None}
        full = [
            {"id": f"r{number}", "image": picture, "question": "Why?"}
            | {name: cell(value) for name, value in row.items()}
            for number, row in enumerate(rows)
        ]
        pq.write_table(pa.Table.from_pylist(full), tmp_path / "rows.parquet")
        path = tmp_path / "own.yaml"
        path.write_text(f"task: own\nsatori: {{answer_rule: {rule}, data: rows.parquet{extra}}}\n", encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_verify_names_what_a_cell_has_become_and_nothing_else(command, own_task, case):
    path = own_task(case["rows"], case["rule"])

    code, out, _ = command("tasks", "verify", path, "--json")

    [report] = json.loads(out)["tasks"]
    faults, warnings = "\n".join(report["faults"]), "\n".join(report["warnings"])
    assert all(words in faults for words in case["says"]), faults
    assert bool(report["faults"]) == bool(case["says"]), faults
    assert code == (ExitCode.USAGE if case["says"] else ExitCode.OK)
    assert all(words in warnings for words in case.get("warns", [])), warnings
    assert case["says"] or bool(warnings) == bool(case.get("warns")), warnings


@pytest.mark.parametrize(
    "case", [case for case in CASES if "accepted" in case or "asked" in case], ids=lambda case: case["name"]
)
def test_what_is_read_is_what_the_cell_means(own_task, case):
    benchmark = load_own_task(own_task(case["rows"], case["rule"]))

    doc = open_task_data(benchmark)[0]

    adapter = benchmark.adapter
    assert case.get("accepted", list(adapter.sample_of(doc).answers)) == list(adapter.sample_of(doc).answers)
    assert case.get("asked", adapter.question_text(doc)) == adapter.question_text(doc)


def test_a_number_of_32_bits_is_the_one_that_was_written(tmp_path, data_builder, own_task):
    path = own_task([{"answers": "0"}], "number")
    table = pq.read_table(tmp_path / "rows.parquet")
    for written in (0.1, 2.675, 1e-5, 123456.79, 0.3333333):
        column = pa.array([written], type=pa.float32())
        pq.write_table(
            table.set_column(table.column_names.index("answers"), "answers", column), tmp_path / "rows.parquet"
        )

        benchmark = load_own_task(path)
        answers = benchmark.adapter.sample_of(open_task_data(benchmark)[0]).answers

        assert float(answers[0]) == written


def test_a_run_refuses_what_verify_refuses(own_task):
    benchmark = load_own_task(own_task([{"answers": [{"label": "red", "score": 1.0}]}]))

    with pytest.raises(DataError, match="Write the text itself into the cell"):
        open_task_data(benchmark)


WORDS = [
    "the",
    "answer",
    "is",
    "A",
    "B",
    "(A)",
    "A.",
    "think",
    "so",
    "Option",
    "No",
    "no",
    "yes",
    "Final",
    "12",
    "3.5%",
    "$4",
    "it's",
    "-",
    "--",
    "...",
    "I",
    "Wait,",
    "therefore",
    "Answer",
    "Response",
    "assistant",
    "user",
    "dog",
    "not",
    "-1",
    "()",
    "''",
    "Thought",
    "reasoning",
    "begin_of_box",
    "im_end",
    "end",
    "Thus",
    "boxed",
    "(",
    ")",
    "So",
]


@given(st.lists(st.sampled_from([*WORDS, " "]), min_size=1, max_size=8).map(" ".join))
def test_plain_texts_are_the_same_within_an_answer_stage(text):
    assert row_checks._staged(text) == read_text(f"<answer>{text}</answer>", "satori", "strict", None).answer
