"""The official file of a split without labels holds every answer, under its number, as a text; a score is nowhere."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from dataclasses import replace
from datetime import UTC, datetime

import openpyxl
import pytest

from harness.errors import ConfigError, IncompleteError
from harness.evaluation.predictions import score_lines
from harness.evaluation.rescore import PredictionSource, save_predictions_run
from harness.evaluation.submission import submissions_of
from harness.runs.store import load_run
from harness.values import ScoreConfig

OPTIONS = {"A": "None", "B": "N/A", "C": "cat"}
TEXTS = [
    "B",
    "=1+1",
    "None",
    "05",
    "",
    "two\nlines",
    "a\x00b\x1f",
    "A\tB",
    '"quoted"',
    "<b>&amp;</b>",
    "  B  ",
    "答案是B",
]
"""What spreadsheets turn into something else, and what breaks a table."""


def run_of(tmp_path, rows, form="plain"):
    config = ScoreConfig(format=form)
    scored = list(score_lines((json.dumps(row) for row in rows), config))
    assert [row.reason for row in scored] == [None] * len(rows)
    source = PredictionSource("handed-in", "0" * 64, {})
    folder, summary = save_predictions_run(tmp_path, scored, config, source, now=datetime(2026, 1, 2, tzinfo=UTC))
    assert all(task.shown.value is None for task in summary.tasks.values())
    return load_run(folder)


def mmbench_row(place, text, **fields):
    return {
        "id": str(place), "task": "mmbench_en_test", "prediction": text, "question": "Which?", "choices": OPTIONS,
        "index": place, "category": "c", "l2_category": "l", **fields,
    }  # fmt: skip


def read_xlsx(content):
    return [list(row) for row in openpyxl.load_workbook(io.BytesIO(content)).active.iter_rows(values_only=True)]


def test_mmbench_becomes_a_table_whose_texts_stay_texts(tmp_path):
    run = run_of(tmp_path, [mmbench_row(3_000_000 + place, text) for place, text in enumerate(TEXTS)])

    [one] = submissions_of(run)
    head, *rows = read_xlsx(one.content)
    assert (one.name, one.answers, one.failed) == ("mmbench_en_test.xlsx", len(TEXTS), 0)
    assert head == ["index", "question", "A", "B", "C", "D", "prediction", "category", "l2-category"]
    assert [row[0] for row in rows] == [3_000_000 + place for place in range(len(TEXTS))]
    shown = [text.strip().replace("\x00", " ").replace("\x1f", " ") for text in TEXTS]
    assert [row[6] or "" for row in rows] == shown
    assert {tuple(row[2:6]) for row in rows} <= {("None", "N/A", "cat", ""), ("None", "N/A", "cat", None)}
    cells = openpyxl.load_workbook(io.BytesIO(one.content)).active["G"]
    assert {cell.data_type for cell in cells} <= {"s", "inlineStr", "n"}  # none is a formula; an empty one is "n"


def test_the_same_run_gives_the_same_bytes_and_a_table_of_tabs_the_same_cells(tmp_path):
    run = run_of(tmp_path, [mmbench_row(place, text) for place, text in enumerate(TEXTS)])
    first, again, [tabs] = (*(submissions_of(run)[0] for _ in range(2)), submissions_of(run, table="tsv"))

    assert first.content == again.content
    assert zipfile.ZipFile(io.BytesIO(first.content)).testzip() is None
    rows = list(csv.reader(io.StringIO(tabs.content.decode("utf-8"), newline=""), delimiter="\t"))
    assert tabs.name == "mmbench_en_test.tsv"
    assert [[str(cell or "") for cell in row] for row in read_xlsx(first.content)] == [
        ["" if cell == "0" and not place else cell for place, cell in enumerate(row)] for row in rows
    ]


def test_documents_become_the_list_of_the_competition(tmp_path):
    rows = [
        {"id": str(60000 + place), "task": task, "prediction": text}
        for task in ("docvqa_test", "infovqa_test")
        for place, text in enumerate(TEXTS)
    ]
    first, second = submissions_of(run_of(tmp_path, rows))

    assert (first.name, second.name) == ("docvqa_test.json", "infovqa_test.json")
    assert json.loads(first.content) == [
        {"questionId": 60000 + place, "answer": text.strip()} for place, text in enumerate(TEXTS)
    ]
    assert first.empty == 1


def test_only_the_answer_stage_is_handed_in(tmp_path):
    text = "<caption>A page.</caption><bbox>[[1,2,3,4]]</bbox><answer> 12 March </answer>"
    rows = [
        {"id": "1", "task": "docvqa_test", "prediction": text},
        {"id": "2", "task": "docvqa_test", "prediction": "<caption>A page.</caption> 12 March"},
    ]
    [one] = submissions_of(run_of(tmp_path, rows, "satori"))

    assert [row["answer"] for row in json.loads(one.content)] == ["12 March", ""]
    assert (one.answers, one.empty) == (2, 1)


def test_labels_that_somebody_adds_change_nothing_in_the_file(tmp_path):
    rows = [mmbench_row(1, "B")]
    [plain] = submissions_of(run_of(tmp_path / "one", rows))
    config = ScoreConfig(format="plain")
    scored = list(score_lines([json.dumps({**rows[0], "answers": ["B"]})], config))
    folder, _ = save_predictions_run(
        tmp_path / "two", scored, config, PredictionSource("x", "", {}), now=datetime(2026, 1, 2, tzinfo=UTC)
    )

    [labelled] = submissions_of(load_run(folder))
    assert labelled.content == plain.content
    assert b"score" not in labelled.content


@pytest.mark.parametrize(
    ("rows", "tasks", "told"),
    [
        ([{"id": "1", "task": "mmstar", "prediction": "B"}], (), "has no split without labels"),
        (
            [{"id": "1", "task": "docvqa_test", "prediction": "B"}],
            ("mmstar",),
            "Splits without labels: mmbench_en_test",
        ),
        ([{"id": "one", "task": "docvqa_test", "prediction": "B"}], (), "called by no number"),
        ([{"id": "q1", "task": "mmbench_en_test", "prediction": "B"}], (), "has no index"),
    ],
)
def test_what_cannot_be_handed_in_is_refused_with_the_mend(tmp_path, rows, tasks, told):
    run = run_of(tmp_path, rows)

    with pytest.raises(ConfigError, match=told):
        submissions_of(run, tasks)


def test_a_part_of_the_split_is_refused_unless_asked_for(tmp_path):
    run = run_of(tmp_path, [{"id": "1", "task": "docvqa_test", "prediction": "B"}])
    task = run.manifest.tasks["docvqa_test"]
    for shorter in (replace(task, rows=5188), replace(task, limit=1)):
        part = replace(run, manifest=replace(run.manifest, tasks={"docvqa_test": shorter}))

        with pytest.raises(IncompleteError, match="run it without --limit"):
            submissions_of(part)
        assert submissions_of(part, incomplete=True)[0].answers == 1


def test_samples_without_a_text_are_refused_or_counted(invented, tmp_path):
    question = invented.many_questions(3)
    rows = [
        replace(one, sample=replace(one.sample, task="docvqa_test", id=str(place), answer_rule="anls", answers=None))
        for place, one in enumerate(question)
    ]
    run = load_run(invented.invent_run(tmp_path, invented.Answerer("cut", failed=1), rows))

    with pytest.raises(IncompleteError, match="run --retry"):
        submissions_of(run)
    [one] = submissions_of(run, incomplete=True)
    assert (one.answers, one.failed) == (3, 1)
    assert json.loads(one.content)[0] == {"questionId": 0, "answer": ""}


def test_a_text_too_long_for_a_cell_is_cut_and_counted(tmp_path):
    [one] = submissions_of(run_of(tmp_path, [mmbench_row(1, "x" * 40_000)]))

    assert one.cut == 1
    assert len(read_xlsx(one.content)[1][6]) == 32_767
