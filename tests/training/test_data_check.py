import json
from dataclasses import replace

import pyarrow.parquet as pq
import pytest

from harness.errors import ConfigError
from tasks.shapes import write_parquet
from training.data.build import FaultyDataError, build_examples, check_sources
from training.data.check import BenchmarkImages, RowChecker, benchmark_images, check_lines
from training.data.row_faults import RowFault
from training.data.shapes import LabelNoise, shapes_examples
from training.data.source_rows import LoadedRow
from training.data.sources import ShapesSpec, SourceSpec, load_rows
from training.data.store import read_examples


def loaded(example, row, file="f"):
    return LoadedRow(file, row, example)


@pytest.fixture(scope="module")
def drawn():
    return list(shapes_examples("full", 6))


@pytest.fixture
def faulty(vqa_verify, tmp_path):
    """The ms-swift file with faults in rows 2 to 6 and 8, and a last row that repeats the first."""
    lines = [json.loads(line) for line in (vqa_verify.swift / "train.jsonl").read_text().splitlines()]
    lines[1]["bboxs"] = [[60, 12, 10, 50]]
    lines[2]["possible_answers"] = []
    lines[3]["images"] = ["pictures/none.png"]
    lines[4]["width"] += 100
    lines[5]["image_caption"] = " "
    lines[7]["bboxs"] = []
    lines.append(lines[0])
    path = tmp_path / "faulty.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + "{broken\n")
    return SourceSpec(str(path), images=vqa_verify.swift)


def test_a_report_counts_every_fault_and_names_the_first_rows(faulty):
    check = check_sources([faulty], named_rows=1)

    [file] = check.files
    assert file.faults == {
        "unreadable_row": 1,
        "no_answer": 1,
        "empty_caption": 1,
        "no_image": 1,
        "no_boxes": 1,
        "box_inverted": 1,
        "size_mismatch": 1,
        "duplicate": 1,
    }
    assert set(file.faults) - set(file.dropping) == {"empty_caption", "no_boxes", "duplicate"}
    assert (check.rows, check.usable, check.faulty, check.images) == (14, 9, 5, 8)
    assert (check.with_boxes, check.with_caption) == (8, 8)
    assert {row.name: row.row for row in file.named} == {
        "unreadable_row": 14,
        "no_answer": 3,
        "empty_caption": 6,
        "no_image": 4,
        "no_boxes": 8,
        "box_inverted": 2,
        "size_mismatch": 5,
        "duplicate": 13,
    }


def test_the_listing_is_capped_and_the_counts_are_not(tmp_path):
    (tmp_path / "a.jsonl").write_text("7\n" * 1000)

    check = check_sources([SourceSpec(str(tmp_path / "a.jsonl"))], named_rows=3)

    assert [row.row for row in check.files[0].named] == [1, 2, 3]
    assert check.files[0].faults == {"unreadable_row": 1000}
    assert "and 997 more" in "\n".join(check_lines(check))


def test_the_text_says_what_is_wrong_where_and_what_remains(faulty):
    text = "\n".join(check_lines(check_sources([faulty], named_rows=5)))

    assert "1 box_inverted (dropped): x1 > x2" in text
    assert "row 2: box 1 is [60, 12, 10, 50]" in text
    assert "row 13: of row 1" in text
    assert "9 of 14 rows remain" in text
    assert "not compared with benchmarks" in text


def test_a_clean_source_has_no_faults(vqa_verify):
    check = check_sources([SourceSpec(str(vqa_verify.parquet))], named_rows=5)

    assert (check.rows, check.usable, check.faulty) == (12, 12, 0)
    assert check.files[0].faults == {}
    assert check.kinds == {"gqa": 6, "textvqa": 6}


def test_the_same_image_with_another_question_is_no_duplicate(drawn):
    checker = RowChecker()
    one = drawn[0]

    admitted = [
        checker.admit(loaded(one, 1)),
        checker.admit(loaded(replace(one, question="What else?", id="b"), 2)),
        checker.admit(loaded(replace(one, question=one.question.upper() + " ", id="c"), 3, "g")),
    ]

    assert None not in admitted
    assert [file.faults for file in checker.report().files] == [{}, {"duplicate": 1}]
    assert checker.report().files[1].named[0].detail == "of row 1"
    assert checker.report().images == 1


def test_duplicates_are_left_out_when_asked_for(drawn):
    checker = RowChecker(drop_duplicates=True)

    assert checker.admit(loaded(drawn[0], 1)) is not None
    assert checker.admit(loaded(replace(drawn[0], id="b"), 2)) is None
    assert checker.report().usable == 1
    assert checker.report().faulty == 0, "a duplicate is no fault"


def test_an_id_that_is_taken_gets_a_number(drawn):
    checker = RowChecker()
    rows = [replace(example, id=name) for example, name in zip(drawn, ["a", "a", "a-2", "a"], strict=False)]

    ids = [checker.admit(loaded(example, row)).id for row, example in enumerate(rows, start=1)]

    assert ids == ["a", "a-2", "a-2-2", "a-3"]
    assert checker.report().files[0].faults == {"duplicate_id": 3}


def test_images_of_benchmarks_are_kept_out(drawn):
    checker = RowChecker(BenchmarkImages({drawn[1].image_sha256: "mmstar"}, {"mmstar": 1}))

    assert checker.admit(loaded(drawn[0], 1)) is not None
    assert checker.admit(loaded(drawn[1], 2)) is None
    assert checker.report().files[0].named == (RowFault("f", 2, "benchmark_image", "of mmstar", drops=True),)
    assert "compared with the images of mmstar (1)" in "\n".join(check_lines(checker.report()))


def test_images_are_hashed_from_local_benchmark_data(local_data):
    images = benchmark_images("mmstar,mme", local_data.parquet)

    assert set(images.counts) == {"mmstar", "mme"}
    assert sum(images.counts.values()) >= len(images.task_of) > 20


def test_shapes_of_the_benchmark_are_known_in_both_profiles(tmp_path):
    images = benchmark_images("shapes")
    for profile in ("tiny", "full"):
        write_parquet(tmp_path / f"{profile}.parquet", "benchmark", 2, 0, profile)
        table = pq.read_table(tmp_path / f"{profile}.parquet")
        pq.write_table(table.drop_columns(["scene"]), tmp_path / f"{profile}.parquet")

        rows = list(load_rows(SourceSpec(str(tmp_path / f"{profile}.parquet"))))

        assert all(row.example is not None for row in rows), "without the scene only the image tells"
        assert all(images.task_of[row.example.image_sha256] == "shapes" for row in rows)
    assert not any(row.image_sha256 in images.task_of for row in shapes_examples("tiny", 300))


def test_no_benchmark_named_means_none_compared():
    assert benchmark_images("").counts == {}


# --- which frame? ---------------------------------------------------------------------------------------------------


def in_thousandths(vqa_verify, tmp_path):
    lines = [json.loads(line) for line in (vqa_verify.swift / "train.jsonl").read_text().splitlines()]
    for number, line in enumerate(lines):
        side = 900 if number % 2 else 80  # every other box could be pixels
        line["bboxs"] = [[10, 10, side, side]]
    (tmp_path / "thousandths.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return SourceSpec(str(tmp_path / "thousandths.jsonl"), images=vqa_verify.swift)


def test_boxes_in_thousandths_are_suspected_of_the_whole_file_and_never_built(vqa_verify, tmp_path):
    spec = in_thousandths(vqa_verify, tmp_path)

    check = check_sources([spec], named_rows=5)

    assert check.files[0].suspected_frame == "norm_1000"
    assert "look like norm_1000" in "\n".join(check_lines(check))
    with pytest.raises(FaultyDataError, match="declare what they are") as refused:
        build_examples([spec], tmp_path / "out.parquet", drop_faulty=True)
    assert "pass --box-frame norm_1000" in "\n".join(check_lines(refused.value.check))
    built = build_examples([replace(spec, box_frame="norm_1000")], tmp_path / "out.parquet")
    assert built.facts.rows == 12
    assert read_examples(tmp_path / "out.parquet")[0].boxes_image_px == (pytest.approx((1.2, 0.9, 9.6, 7.2)),)


def test_a_clean_file_is_under_no_suspicion(vqa_verify):
    assert check_sources([SourceSpec(str(vqa_verify.swift))], named_rows=5).files[0].suspected_frame is None


# --- building -------------------------------------------------------------------------------------------------------


def test_faulty_rows_refuse_a_build_unless_they_are_dropped(faulty, tmp_path):
    with pytest.raises(FaultyDataError, match="--drop-faulty") as refused:
        build_examples([faulty], tmp_path / "out.parquet")
    assert refused.value.check.faulty == 5
    assert not (tmp_path / "out.parquet").exists()

    built = build_examples([faulty], tmp_path / "out.parquet", drop_faulty=True)

    assert (built.facts.rows, built.check.usable) == (9, 9)
    assert built.facts.data_hash == read_examples(tmp_path / "out.parquet").data_hash
    without = build_examples([faulty], tmp_path / "out.parquet", drop_faulty=True, drop_duplicates=True)
    assert without.facts.rows == 8


def test_both_layouts_build_to_the_same_examples(vqa_verify, tmp_path):
    build_examples([SourceSpec(str(vqa_verify.parquet))], tmp_path / "a.parquet")
    build_examples([SourceSpec(str(vqa_verify.swift))], tmp_path / "b.parquet")

    first, second = (
        [replace(example, id="") for example in read_examples(tmp_path / name)] for name in ("a.parquet", "b.parquet")
    )
    assert first == second


def test_several_sources_keep_their_order(vqa_verify, tmp_path):
    shapes = SourceSpec("shapes", limit=5, shapes=ShapesSpec(noise=LabelNoise()))

    build_examples([shapes, SourceSpec(str(vqa_verify.swift))], tmp_path / "a.parquet")

    table = read_examples(tmp_path / "a.parquet")
    assert list(table[:5]) == list(shapes_examples("tiny", 5, noise=LabelNoise()))
    assert table[5].id == "train-1"
    assert len(table) == 17


def test_what_was_built_can_be_checked_and_built_again(vqa_verify, tmp_path):
    first = build_examples([SourceSpec(str(vqa_verify.swift))], tmp_path / "a.parquet")

    second = build_examples([SourceSpec(str(tmp_path / "a.parquet"))], tmp_path / "b.parquet")

    assert first.facts == second.facts


def test_a_source_without_one_usable_row_is_refused(tmp_path):
    (tmp_path / "a.jsonl").write_text("7\n")

    with pytest.raises(FaultyDataError, match="no row can be used"):
        build_examples([SourceSpec(str(tmp_path / "a.jsonl"))], tmp_path / "b.parquet", drop_faulty=True)


def test_a_half_readable_file_refuses_a_build(vqa_verify, tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1")

    with pytest.raises(FaultyDataError, match="--drop-faulty") as refused:
        build_examples([SourceSpec(str(tmp_path)), SourceSpec(str(vqa_verify.swift))], tmp_path / "out" / "b.parquet")
    assert any("unreadable_file" in line for line in check_lines(refused.value.check))


def test_reading_and_writing_one_file_is_refused(vqa_verify, tmp_path):
    path = tmp_path / "a.parquet"
    build_examples([SourceSpec(str(vqa_verify.swift))], path)

    with pytest.raises(ConfigError, match="both read and written"):
        build_examples([SourceSpec(str(path))], tmp_path / "." / "a.parquet")


def test_progress_is_told_row_by_row(faulty):
    seen = []

    check_sources([faulty], named_rows=0, on_row=lambda: seen.append(1))

    assert len(seen) == 14
