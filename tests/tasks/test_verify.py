"""Tests of `tasks verify`: what is missing or broken in local data is named."""

import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.catalog import BENCHMARKS
from tasks.own import load_own_task
from tasks.verify import verify_task_data

CORE = ["mmbench_en_dev", "mmbench_cn_dev", "mmstar", "mme", "ocrbench", "mathvista"]


@pytest.mark.parametrize("layout", ["parquet", "tsv"])
@pytest.mark.parametrize("name", CORE)
def test_good_data_has_no_faults_and_a_warning_about_its_size(local_data, layout, name):
    report = verify_task_data(BENCHMARKS[name], getattr(local_data, layout), images=None)

    assert report.ok, report.faults
    assert report.rows == report.images_checked
    assert str(report.rows_expected) in report.warnings[0]
    assert not [warning for warning in report.warnings[1:] if "optional columns" not in warning]


def test_images_can_be_sampled(local_data):
    report = verify_task_data(BENCHMARKS["mme"], local_data.parquet, images=5)

    assert report.images_checked == 5


def test_missing_data_is_a_fault_and_not_an_exception(tmp_path):
    report = verify_task_data(BENCHMARKS["mme"], tmp_path)

    assert not report.ok
    assert "MME.tsv" in report.faults[0]


def rewritten(source, target, change):
    """Copy a parquet file with its rows changed."""
    table = pq.read_table(source)
    rows = table.to_pylist()
    change(rows)
    target.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.from_pylist(rows, schema=table.schema), target)
    return target.parent


def test_damaged_images_of_a_parquet_file_are_one_fault(data_builder, local_data, tmp_path):
    source = local_data.parquet / "mmstar" / "mmstar.parquet"
    folder = data_builder.with_damaged_pages(source, tmp_path / "mmstar.parquet", "image")
    report = verify_task_data(BENCHMARKS["mmstar"], folder, images=None)

    assert len(report.faults) == 1
    assert "mmstar.parquet: column 'image' is damaged in row group 1" in report.faults[0]


def test_broken_images_and_missing_answers_are_named(local_data, tmp_path):
    def change(rows):
        rows[2]["image"]["bytes"] = rows[2]["image"]["bytes"][:60]
        rows[5]["answer"] = ""

    folder = rewritten(local_data.parquet / "mmstar" / "mmstar.parquet", tmp_path / "mmstar.parquet", change)
    report = verify_task_data(BENCHMARKS["mmstar"], folder, images=None)

    assert [fault.split(" (")[0] for fault in report.faults] == [
        "1 unreadable images: 2",
        "1 rows without an accepted answer, which stay unscored: 5",
    ]


def test_images_too_thin_for_a_pixel_grid_are_a_warning(data_builder, local_data, tmp_path):
    def change(rows):
        for row, size in ((1, (3000, 1)), (2, (1, 3000)), (3, (400, 2))):
            rows[row]["image"]["bytes"] = data_builder.drawing(1, size=size)

    folder = rewritten(local_data.parquet / "mmstar" / "mmstar.parquet", tmp_path / "mmstar.parquet", change)
    report = verify_task_data(BENCHMARKS["mmstar"], folder, images=None)

    assert report.ok
    assert report.warnings[-1] == (
        "2 images with a side over 200 times the other, which models with a pixel grid cannot take: "
        "1 (3000x1), 2 (1x3000)"
    )


def test_an_mme_image_without_its_pair_and_a_missing_subtask_are_named(local_data, tmp_path):
    def change(rows):
        del rows[0]
        rows[:] = [row for row in rows if row["category"] != "posters"]

    folder = rewritten(local_data.parquet / "mme.parquet", tmp_path / "mme.parquet", change)
    report = verify_task_data(BENCHMARKS["mme"], folder)

    assert any("existence/0000.png (1)" in warning for warning in report.warnings)
    assert "subtasks without rows: posters" in report.warnings


def test_an_mmbench_question_without_its_first_pass_is_named(local_data, tmp_path):
    shutil.copytree(local_data.parquet / "mmbench_en_dev", tmp_path / "mmbench_en_dev")

    def change(rows):
        del rows[0]

    shard = tmp_path / "mmbench_en_dev" / "dev-00000-of-00002.parquet"
    rewritten(shard, shard, change)
    report = verify_task_data(BENCHMARKS["mmbench_en_dev"], tmp_path)

    assert "1 questions without their first pass, which do not count: 241" in report.warnings


def test_mmbench_without_rotations_is_said_not_to_be_circular(local_data, tmp_path):
    def change(rows):
        rows[:] = [row for row in rows if row["index"] < 1_000_000]

    source = local_data.parquet / "mmbench_en_dev" / "dev-00000-of-00002.parquet"
    folder = rewritten(source, tmp_path / "mmbench_en_dev.parquet", change)
    report = verify_task_data(BENCHMARKS["mmbench_en_dev"], folder)

    assert any("no circular passes" in warning for warning in report.warnings)


def test_shapes_verifies_without_any_data():
    report = verify_task_data(BENCHMARKS["shapes"], images=3)

    assert report.ok
    assert report.warnings == ()


def test_a_number_where_the_letter_of_an_option_is_wanted_is_a_fault_of_every_row(local_data, tmp_path):
    table = pq.read_table(local_data.parquet / "mmstar" / "mmstar.parquet")
    place = table.column_names.index("answer")
    pq.write_table(table.set_column(place, "answer", pa.array([1] * len(table))), tmp_path / "mmstar.parquet")
    report = verify_task_data(BENCHMARKS["mmstar"], tmp_path)

    assert not report.ok
    fault, about_all = report.faults
    assert about_all.startswith("the answers are numbers from 1 to 1, which seem to be the options' positions")
    assert fault.startswith("24 rows stay unscored: the rule choice needs the letter or the text of one of the row's ")
    assert fault.endswith(": 0 ('1'), 1 ('1'), 2 ('1'), 3 ('1'), 4 ('1') and 19 more")


@pytest.mark.parametrize(
    ("rule", "usable", "unusable"),
    [
        ("choice", ["B", "two"], ["C", "three", "2"]),
        ("yes_no", ["Yes", "no."], ["true", "yes or no"]),
        ("mathvista", ["A", "two"], ["4"]),
        ("accepted", ["text", "7"], ["."]),
        ("number", ["7", "1,000", "2/3"], ["B", "7 or 8"]),
    ],
)
def test_golds_that_a_rule_cannot_use_are_named_and_no_others(tmp_path, rule, usable, unusable):
    rows = [
        {"id": f"{kind}-{gold}", "question": "?", "image": None, "answers": [gold], "choices": ["one", "two"]}
        for kind, golds in (("good", usable), ("bad", unusable))
        for gold in golds
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    (tmp_path / "own.yaml").write_text(
        f"task: t\nsatori: {{answer_rule: {rule}, data: rows.parquet}}\n", encoding="utf-8"
    )
    report = verify_task_data(load_own_task(tmp_path / "own.yaml"), images=0)

    fault = report.faults[0]
    assert fault.startswith(f"{len(unusable)} rows stay unscored: the rule {rule} needs ")
    assert all(f"bad-{gold} (" in fault for gold in unusable)
    assert "good" not in fault


def test_verify_finds_unusable_golds_without_reading_images(local_data, monkeypatch):
    reads = []
    monkeypatch.setattr("tasks.rows.ParquetRows.image_bytes", lambda rows, row: reads.append(row))

    assert verify_task_data(BENCHMARKS["mmstar"], local_data.parquet, images=0).ok
    assert reads == []
