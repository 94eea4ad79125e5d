"""`tasks verify` finds each kind of fault that is planted into good rows, says it in words, and exits with 2 for it.

Every row of the table changes a copy of drawn rows that have no fault.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.errors import ExitCode

BROKEN = {"bytes": b"no picture", "path": "x.png"}


@dataclass(frozen=True)
class Planted:
    """One fault and what is said of it."""

    task: str
    says: str
    change: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Row to its changed cells."""
    drop: tuple[int, ...] = ()
    """Rows that are taken out."""
    leave: tuple[str, ...] = ()
    """Columns that are taken out."""
    every: dict[str, Any] = field(default_factory=dict)
    """Cells of all rows."""
    warns: bool = False
    """Whether it is a warning."""


PLANTED = {
    # rows as such
    "a column is missing": Planted("mmmu_val", "needs the column options", leave=("options",)),
    "an id twice": Planted("mmmu_val", "rows 0 and 3 have the same id 'validation_Accounting_0'",
                           {3: {"id": "validation_Accounting_0"}}),
    "an id twice, as a number": Planted("mmstar", "rows 2 and 9 have the same id '2'", {9: {"index": 2}}),
    "no rows": Planted("mmmu_pro", "the dataset is empty", drop=tuple(range(24))),
    "fewer rows than the split has": Planted("mmmu_pro", "23 rows; the full split has 1730", drop=(3,), warns=True),
    # labels
    "no labels": Planted("mmmu_pro", "no row has a right answer", every={"answer": "?"}),
    "no labels, as empty cells": Planted("mmstar", "no row has a right answer", every={"answer": None}),
    "no column of labels": Planted("mmmu_pro", "this may be a split without labels", leave=("answer",)),
    "another split": Planted("mmmu_val", "its 24 rows are of the split test", every={"id": "test_Art_3"}),
    "a row without an answer": Planted("mmmu_val", "1 rows without an accepted answer", {5: {"answer": ""}}),
    "an answer outside of the options": Planted("mmmu_pro", "2 rows stay unscored: the rule mmmu needs the letter",
                                                {2: {"answer": "K"}, 4: {"answer": "sepia"}}),
    "an answer outside of the options, other rule": Planted(
        "mmstar", "1 rows stay unscored: the rule choice needs the letter", {7: {"answer": "H"}}),
    "an answer that is neither yes nor no": Planted("mme", "1 rows stay unscored: the rule yes_no needs Yes or No",
                                                    {1: {"answer": "maybe"}}),
    "positions in place of letters": Planted("mmmu_pro", "seem to be the options' positions", every={"answer": "3"}),
    # texts
    "a missing value as an option": Planted("mmmu_pro", 'options that are the text "nan"',
                                            {1: {"options": "['red', 'nan', 'green']", "answer": "A"}}),
    "missing values as options": Planted("mmmu_pro", 'several options that are the text "None"',
                                         {1: {"options": "['red', 'None', 'None']", "answer": "A"}}),
    "a missing value as an answer": Planted("mmmu_val", 'answers that are the text "nan"',
                                            {5: {"answer": "nan"}}),
    "the same option twice": Planted("mmmu_pro", "rows with the same option twice",
                                     {1: {"options": "['red', 'red', 'green']", "answer": "A"}}, warns=True),
    "one option": Planted("mmmu_pro", "rows with one option only",
                          {1: {"options": "['red']", "answer": "A"}}, warns=True),
    "options within options": Planted("mmmu_pro", "row 1, column 'options', holds a list within a list",
                                      {1: {"options": "[['red'], ['green']]"}}),
    "a printed array": Planted("mmmu_pro", "holds a printed array", {1: {"options": "['red' 'green']"}}),
    "no options": Planted("mmmu_pro", "rows without options, whose answer is one of them", {1: {"options": "[]"}}),
    "no question": Planted("mmmu_val", "rows without a question", {0: {"question": " "}}),
    "replacement characters": Planted("mmmu_val", "texts with replacement characters", {0: {"question": "Caf\ufffd?"}}),
    "text of another encoding": Planted("mmmu_val", "look like UTF-8 read as Latin-1",
                                        {0: {"question": "<image 1> CafÃ©?"}}, warns=True),
    "printed bytes": Planted("mmmu_val", "printed form of bytes", {5: {"answer": "b'salt'"}}),
    # pictures
    "a broken picture": Planted("mmmu_pro_vision", "1 unreadable images: test_Art_Theory_1", {1: {"image": BROKEN}}),
    "no picture": Planted("mmmu_pro_vision", "1 unreadable images: test_Art_Theory_1 (the row has no picture 1)",
                          {1: {"image": None}}),
    "one of several pictures missing": Planted(
        "mmmu_val", "1 unreadable images: validation_Art_Theory_1 (the row has no picture 2)", {1: {"image_2": None}}),
    "one of several pictures broken": Planted(
        "mmmu_val", "1 unreadable images: validation_Biology_2 (", {2: {"image_4": BROKEN}}),
    "a picture named that is not there": Planted(
        "mmmu_val", "validation_Accounting_0 (the row has no picture 9)", {0: {"question": "<image 9>, <image 1>?"}}),
    "a picture in an option that is not there": Planted(
        "mmmu_val", "validation_Biology_2 (the row has no picture 5)",
        {2: {"options": "['<image 1>', '<image 2>', '<image 5>']"}}),
    "a picture that no text names": Planted("mmmu_val", "pictures that their text never names",
                                            {2: {"options": "['<image 1>', '<image 2>', '<image 3>']"}}, warns=True),
    # how rows belong together
    "a pass whose right option is another": Planted(
        "mmbench_en_dev_v11", "1 questions whose passes have different right", {5: {"answer": "A"}}, warns=True),
    "no first pass": Planted("mmbench_en_dev_v11", "1 questions without their first pass", drop=(0,), warns=True),
    "no passes": Planted("mmbench_cn_dev_v11", "no circular passes",
                         drop=tuple(row for row in range(24) if row % 4), warns=True),
    "a question of a pair": Planted("mme", "images without exactly two questions", drop=(0,), warns=True),
    "people's answers": Planted("textvqa", "the rule vqa needs a text of each of at least four people",
                                {0: {"answers": ["red", "blue"]}}),
    # gold boxes
    "a gold box over the edge": Planted("shapes", "1 rows whose gold boxes reach over the edge",
                                        {1: {"boxes": [[327, 154, 441, 206]]}}, warns=True),
    "a gold box outside": Planted("shapes", "1 rows with a gold box outside of the image (box_outside)",
                                  {1: {"boxes": [[4.0, 4.0, 40.0, 40.0], [900.0, 900.0, 950.0, 960.0]]}}),
    "an inverted gold box": Planted("shapes", "rows with broken gold boxes", {1: {"boxes": [[40.0, 4.0, 4.0, 40.0]]}}),
    "gold boxes as fractions": Planted("shapes", "gold boxes look like norm_1",
                                       every={"boxes": [[0.1, 0.1, 0.5, 0.6]]}),
}  # fmt: skip


@pytest.fixture(scope="module")
def good_rows(local_data, tmp_path_factory):
    """Rows of a drawn benchmark and their schema, by its name; 24 rows or so."""
    from tasks.shapes import write_parquet

    shapes = tmp_path_factory.mktemp("good") / "shapes.parquet"
    write_parquet(shapes, split="benchmark", n=12, seed=0, profile="full")

    def read(task):
        folder = local_data.parquet / task
        files = sorted(folder.glob("*.parquet")) if folder.is_dir() else [local_data.parquet / f"{task}.parquet"]
        table = pq.read_table(shapes) if task == "shapes" else pa.concat_tables(map(pq.read_table, files))
        return table.to_pylist(), table.schema

    return read


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found_and_named(command, good_rows, tmp_path, name):
    planted = PLANTED[name]
    rows, schema = good_rows(planted.task)
    rows = [row | planted.every for row in rows]
    for place, cells in planted.change.items():
        rows[place] |= cells
    rows = [row for place, row in enumerate(rows) if place not in planted.drop]
    kept = pa.schema([field for field in schema if field.name not in planted.leave])
    folder = tmp_path / "data" / planted.task
    folder.mkdir(parents=True)
    table = pa.Table.from_pylist([{key: row[key] for key in kept.names} for row in rows], schema=kept)
    pq.write_table(table, folder / "data.parquet", row_group_size=10)

    code, out, _ = command("tasks", "verify", planted.task, "--data-dir", tmp_path / "data", "--all-images", "--json")
    [report] = json.loads(out)["tasks"]

    assert planted.says in "\n".join(report["warnings" if planted.warns else "faults"]), report
    assert code == (ExitCode.OK if planted.warns else ExitCode.USAGE)
    if planted.warns:
        assert report["faults"] == []


@pytest.mark.parametrize("task", sorted({planted.task for planted in PLANTED.values()}))
def test_rows_into_which_nothing_was_planted_have_no_fault(command, good_rows, tmp_path, task):
    rows, schema = good_rows(task)
    folder = tmp_path / "data" / task
    folder.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), folder / "data.parquet")

    code, out, _ = command("tasks", "verify", task, "--data-dir", tmp_path / "data", "--all-images", "--json")

    assert (code, json.loads(out)["tasks"][0]["faults"]) == (ExitCode.OK, [])
