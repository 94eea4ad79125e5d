"""Tests that a picture is upright everywhere alike: what is asked, sizes, hashes, training files, resumed runs."""

import hashlib
import io
import json
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from harness.errors import ExitCode
from harness.scoring.box_dialects import dialect_named
from harness.values import Generation, Record, Score, Size
from tasks.images import facts_of, image_facts_of, open_image, picture_sha256
from tasks.local_data import open_task_data
from tasks.own import load_own_task
from tasks.rows import DataError
from tasks.run_questions import Question, journalled
from training.data.build import build_examples, check_sources
from training.data.sources import SourceSpec, load_rows
from training.data.store import read_examples
from training.stages.rows import RowMaker

BOX = [24.0, 0.0, 48.0, 16.0]
"""The top right quarter of the upright picture."""


@pytest.fixture
def own_task(tmp_path, turned):
    """Return the YAML file of a benchmark with the picture stored in every way."""
    rows = [
        {
            "id": f"r{orientation}",
            "image": {"bytes": turned.stored(orientation, "JPEG"), "path": None},
            "question": "Where is it green?",
            "answers": "top right",
            "boxes": [BOX],
        }
        for orientation in range(1, 9)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    (tmp_path / "own.yaml").write_text("task: own\nsatori: {answer_rule: accepted, data: rows.parquet}\n", "utf-8")
    return tmp_path / "own.yaml"


def test_what_is_asked_and_its_size_are_upright(own_task, turned):
    benchmark = load_own_task(own_task)
    adapter = benchmark.adapter

    for doc in open_task_data(benchmark):
        sample = adapter.sample_of(doc)
        assert turned.corners_of(open_image(adapter.image_value(doc))) == turned.AS_SEEN
        assert sample.image_size == adapter.image_value(doc).size == Size(*turned.UPRIGHT_SIZE)
        assert sample.boxes_image_px == (tuple(BOX),)


def test_verify_finds_nothing_wrong_with_boxes_of_the_upright_picture(command, own_task):
    code, out, _ = command("tasks", "verify", own_task)

    assert code == ExitCode.OK
    assert "fault" not in out


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "PNG late", "WEBP"])
def test_how_a_picture_is_turned_enters_its_hash_and_nothing_else_does(turned, kind):
    plain, lying = turned.stored(1, kind), turned.stored(6, kind)

    assert facts_of(plain).sha256 == picture_sha256(plain) == hashlib.sha256(plain).hexdigest()
    assert facts_of(lying).sha256 == picture_sha256(lying) != hashlib.sha256(lying).hexdigest()
    assert picture_sha256(b"no picture") == hashlib.sha256(b"no picture").hexdigest()


def test_a_pillow_image_with_a_note_has_upright_facts(turned):
    image = Image.open(io.BytesIO(turned.stored(8, "JPEG")))

    assert image_facts_of(image).size == Size(*turned.UPRIGHT_SIZE)
    assert turned.corners_of(open_image(image)) == turned.AS_SEEN


@pytest.fixture
def training_file(tmp_path, turned):
    lines = []
    for orientation in range(1, 9):
        (tmp_path / f"{orientation}.jpg").write_bytes(turned.stored(orientation, "JPEG"))
        row = {"image": f"{orientation}.jpg", "question": f"Where {orientation}?", "answers": ["there"], "caption": "a"}
        lines.append(row | {"boxes": [BOX], "width": 48, "height": 32})
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path / "rows.jsonl"


def test_training_data_is_upright_from_the_file_to_the_model(training_file, tmp_path, turned):
    spec = SourceSpec(str(training_file))
    build_examples([spec], tmp_path / "built.parquet")
    table = read_examples(tmp_path / "built.parquet")
    maker = RowMaker("sft", "satori", dialect_named("image_px"), None, has_system_role=True)

    assert len(table) == 8
    for example in table:
        [image] = maker.row(example)["images"]
        assert turned.corners_of(image) == turned.AS_SEEN
        assert example.image_size == Size(*image.size) == Size(*turned.UPRIGHT_SIZE)
        assert example.image_sha256 == picture_sha256(example.image)


def test_columns_of_the_lying_picture_are_named_in_training_and_in_a_benchmark(command, training_file, own_task):
    lines = [json.loads(line) | {"width": 32, "height": 48} for line in training_file.read_text().splitlines()]
    training_file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    table = pq.read_table(own_task.with_name("rows.parquet"))
    table = table.append_column("width", pa.array([32] * 8)).append_column("height", pa.array([48] * 8))
    pq.write_table(table, own_task.with_name("rows.parquet"))

    check = check_sources([SourceSpec(str(training_file))], named_rows=1)
    code, out, _ = command("tasks", "verify", own_task)

    assert check.files[0].dropping == {"lying_size": 8}
    assert check.files[0].suspected_frame is None
    assert code == ExitCode.USAGE
    assert "8 rows with gold boxes whose columns width and height are exchanged (lying_size)" in out


def test_a_file_that_was_built_of_lying_pictures_is_refused(training_file, tmp_path):
    build_examples([SourceSpec(str(training_file))], tmp_path / "built.parquet")
    table = pq.read_table(tmp_path / "built.parquet")
    plain = [hashlib.sha256(image["bytes"]).hexdigest() for image in table.column("image").to_pylist()]
    old = table.set_column(table.column_names.index("image_sha256"), "image_sha256", pa.array(plain))
    pq.write_table(old, tmp_path / "old.parquet")
    examples = read_examples(tmp_path / "old.parquet")

    assert examples[0].id == read_examples(tmp_path / "built.parquet")[0].id
    with pytest.raises(DataError, match="was taken as it is stored, lying, and is now shown upright"):
        examples[5]


def test_a_turned_picture_of_a_benchmark_is_known_in_training_data(command, training_file, own_task):
    code, out, _ = command("data", "verify", training_file, "--benchmarks", own_task)

    assert code == ExitCode.USAGE
    assert "8 benchmark_image (dropped)" in out


def test_a_resumed_run_asks_again_about_pictures_that_were_shown_lying(own_task):
    benchmark = load_own_task(own_task)
    adapter, data = benchmark.adapter, open_task_data(benchmark)
    records = []
    for doc in data:
        sample = adapter.sample_of(doc)
        before = hashlib.sha256(doc["image"].bytes).hexdigest()  # the hash that earlier versions wrote
        old = replace(sample, image_sha256=before)
        records.append(Record(sample=old, generation=Generation("text"), score=Score(None, None, None)))

    answered = journalled(records, [Question(benchmark, data, len(data), limited=False)])

    assert list(answered) == [("own", "r1")]
    assert len(list(load_rows(SourceSpec(str(own_task.with_name("rows.parquet")))))) == 8
