"""Tests of finding, opening and cutting benchmark data; what is wrong is named before anything is asked."""

import base64
import io
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from harness.errors import UserError
from harness.values import Size
from tasks.catalog import BENCHMARKS
from tasks.images import StoredImage, UnreadableImageError
from tasks.local_data import DataError, DatasetOverride, TaskData, limit_indices, open_task_data
from tasks.rows import ParquetRows, ShapesRows

CORE = ["mmbench_en_dev", "mmbench_cn_dev", "mmstar", "mme", "ocrbench", "mathvista"]
MMSTAR = BENCHMARKS["mmstar"]
TSV_COLUMNS = ["index", "question", "image", "A", "B", "answer"]


def base64_image(number: int = 0, size=(64, 48)) -> str:
    buffer = io.BytesIO()
    image = Image.new("RGB", size, (number % 250, 10, 20))
    image.save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def write_mmstar(folder, rows, columns=TSV_COLUMNS):
    text = "\n".join("\t".join(str(cell) for cell in row) for row in [columns, *rows])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "MMStar.tsv").write_text(text + "\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", [*CORE, "hallusion_bench", "ai2d", "scienceqa"])
def test_parquet_and_tsv_have_the_same_ids_images_and_clusters(local_data, name):
    benchmark = BENCHMARKS[name]
    adapter = benchmark.adapter
    samples = [
        [adapter.sample_of(doc) for doc in open_task_data(benchmark, folder)]
        for folder in (local_data.parquet, local_data.tsv)
    ]

    assert len(samples[0]) >= 24
    for hub, tsv in zip(*samples, strict=True):
        assert (hub.id, hub.cluster, hub.image_sha256, hub.image_size) == (
            tsv.id,
            tsv.cluster,
            tsv.image_sha256,
            tsv.image_size,
        )
        assert (hub.answers, hub.choices, hub.category, hub.l2_category) == (
            tsv.answers,
            tsv.choices,
            tsv.category,
            tsv.l2_category,
        )


@pytest.mark.parametrize("layout", ["parquet", "tsv"])
@pytest.mark.parametrize("name", CORE)
def test_data_is_a_lazy_sequence_as_lmms_eval_wants_it(local_data, layout, name):
    benchmark = BENCHMARKS[name]
    data = open_task_data(benchmark, getattr(local_data, layout))

    assert len(list(data)) == len(data)
    assert set(data.features.keys()) == set(data.column_names)
    doc = data[len(data) - 1]
    assert isinstance(benchmark.adapter.image_value(doc), StoredImage)
    assert benchmark.adapter.image_value(doc).open().mode == "RGB"
    assert len(data.fingerprint) == 64
    with pytest.raises(IndexError):
        data[len(data)]


def test_images_read_out_of_order_and_from_threads_are_the_right_ones(local_data):
    benchmark = BENCHMARKS["mmbench_en_dev"]
    expected = [benchmark.adapter.sample_of(doc).image_sha256 for doc in open_task_data(benchmark, local_data.tsv)]
    data = open_task_data(benchmark, local_data.parquet)
    seen: dict[int, str] = {}

    def read(places):
        for place in places:
            seen[place] = data[place]["image"].sha256

    orders = [list(range(len(data)))[::step] for step in (1, -1, 3, -3)]
    threads = [threading.Thread(target=read, args=(order,)) for order in orders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert expected == [seen[place] for place in range(len(data))]


def test_reading_rows_for_scoring_reads_no_image(tmp_path):
    rows = [[n, "What?", base64_image(n), "a", "b", "A"] for n in range(3)]
    data = open_task_data(MMSTAR, write_mmstar(tmp_path, rows))
    reads = []
    data.rows.image_bytes = reads.append

    for doc in data:
        MMSTAR.adapter.question_text(doc)
        MMSTAR.adapter.id_of(doc)

    assert reads == []


def test_text_cells_stay_text(tmp_path):
    rows = [["05", "nan", base64_image(), "None", "N/A", "A"], ["1e3", "null", base64_image(), "", "05", "B"]]
    first, second = open_task_data(MMSTAR, write_mmstar(tmp_path, rows))

    sample = MMSTAR.adapter.sample_of(first)
    assert (sample.id, sample.question, dict(sample.choices)) == ("05", "nan", {"A": "None", "B": "N/A"})
    assert MMSTAR.adapter.sample_of(second).choices == {"B": "05"}


def test_a_short_image_cell_reuses_the_image_of_the_row_with_that_index(tmp_path):
    rows = [[10, "q", base64_image(1), "a", "b", "A"], [11, "q", "10", "a", "b", "A"]]
    data = open_task_data(MMSTAR, write_mmstar(tmp_path, rows))

    assert data[0]["image"].sha256 == data[1]["image"].sha256
    assert data[1]["image"].size == Size(64, 48)


@pytest.mark.parametrize("cell", ["99", "", "12"])
def test_a_short_image_cell_that_names_no_image_makes_only_that_row_unreadable(tmp_path, cell):
    rows = [[10, "q", base64_image(), "a", "b", "A"], [11, "q", cell, "a", "b", "A"], [12, "q", "11", "a", "b", "A"]]
    data = open_task_data(MMSTAR, write_mmstar(tmp_path, rows))

    assert data[0]["image"].open().size == (64, 48)
    with pytest.raises(UnreadableImageError):
        data[1]["image"].open()
    sample = MMSTAR.adapter.sample_of(data[1])
    assert (sample.image_size, sample.cluster) == (None, "11")


def test_the_search_order_is_folder_then_parquet_then_tsv_then_the_official_name(local_data, tmp_path):
    official = write_mmstar(tmp_path, [[1, "q", base64_image(), "a", "b", "A"]]) / "MMStar.tsv"
    expected = [str(official)]
    own_tsv = tmp_path / "mmstar.tsv"
    own_tsv.write_bytes(official.read_bytes())
    expected.insert(0, str(own_tsv))
    source = local_data.parquet / "mmstar" / "mmstar.parquet"
    parquet = tmp_path / "mmstar.parquet"
    parquet.write_bytes(source.read_bytes())
    expected.insert(0, str(parquet))
    folder = tmp_path / "mmstar"
    folder.mkdir()
    (folder / "b.parquet").write_bytes(source.read_bytes())
    expected.insert(0, str(folder / "b.parquet"))

    found = []
    for path in expected:
        found.append(open_task_data(MMSTAR, tmp_path).source)
        Path(path).unlink()

    assert expected == found


@pytest.mark.parametrize(
    ("columns", "rows", "words"),
    [
        (["index", "quesion", "image", "A", "B", "answer"], [[1, "q", "x", "a", "b", "A"]], ["question", "quesion"]),
        (["index"], [[1]], ["needs the columns question, image, answer"]),
        (TSV_COLUMNS, [], ["the dataset is empty"]),
        (TSV_COLUMNS, [[1, "q", "x", "a", "b", "A"], [1, "r", "x", "a", "b", "A"]], ["rows 0 and 1", "same id '1'"]),
        (TSV_COLUMNS, [[1, "q"]], ["record 1 has 2 fields"]),
    ],
)
def test_wrong_data_names_the_file_and_what_is_wrong(tmp_path, columns, rows, words):
    folder = write_mmstar(tmp_path, rows, columns)

    with pytest.raises(DataError) as caught:
        open_task_data(MMSTAR, folder)

    assert isinstance(caught.value, UserError)
    assert all(word in str(caught.value) for word in ["MMStar.tsv", *words])


def test_a_parquet_file_without_a_column_names_file_column_and_what_was_found(tmp_path):
    pq.write_table(pa.table({"index": [1], "image": [b"x"], "answer": ["A"]}), tmp_path / "mmstar.parquet")

    with pytest.raises(DataError, match=r"mmstar\.parquet: mmstar needs the column question; found index, image"):
        open_task_data(MMSTAR, tmp_path)


def test_a_damaged_column_of_a_parquet_file_is_named_before_anything_is_asked(data_builder, local_data, tmp_path):
    source = local_data.parquet / "mmstar" / "mmstar.parquet"
    folder = data_builder.with_damaged_pages(source, tmp_path / "mmstar.parquet", "question")

    with pytest.raises(DataError, match=r"mmstar\.parquet: column 'question' is damaged in row group 1: .*Download"):
        open_task_data(MMSTAR, folder)


def test_damaged_images_of_a_parquet_file_are_named_each_time_and_the_others_are_read(
    data_builder, local_data, tmp_path
):
    source = local_data.parquet / "mmstar" / "mmstar.parquet"
    data = open_task_data(MMSTAR, data_builder.with_damaged_pages(source, tmp_path / "mmstar.parquet", "image"))
    good = open_task_data(MMSTAR, local_data.parquet)

    for _ in range(2):
        with pytest.raises(DataError, match=r"mmstar\.parquet: column 'image' is damaged in row group 1: .*Download"):
            MMSTAR.adapter.sample_of(data[10])
        assert data[3]["image"].sha256 == good[3]["image"].sha256
        assert data[23]["image"].sha256 == good[23]["image"].sha256


def test_text_that_is_not_utf_8_in_a_parquet_file_is_a_fault_of_its_column(local_data, tmp_path):
    table = pq.read_table(local_data.parquet / "mmstar" / "mmstar.parquet")
    broken = pa.array([b"\xff\xfe"] * len(table), pa.binary()).view(pa.string())
    place = table.column_names.index("question")
    pq.write_table(table.set_column(place, "question", broken), tmp_path / "mmstar.parquet")

    with pytest.raises(DataError, match=r"column 'question', row 0 .*: the text is not UTF-8 \(byte 0xff\)"):
        open_task_data(MMSTAR, tmp_path)


def test_a_broken_parquet_file_is_named(tmp_path):
    (tmp_path / "mmstar.parquet").write_bytes(b"PAR1 nothing")

    with pytest.raises(DataError, match=r"mmstar\.parquet: cannot be read as parquet"):
        open_task_data(MMSTAR, tmp_path)


def test_shards_with_different_columns_are_refused(tmp_path):
    folder = tmp_path / "mmstar"
    folder.mkdir()
    pq.write_table(pa.table({"index": [1], "question": ["q"]}), folder / "a.parquet")
    pq.write_table(pa.table({"index": [1], "image": [b""]}), folder / "b.parquet")

    with pytest.raises(DataError, match=r"b\.parquet: its columns differ from those of a\.parquet: image, question"):
        open_task_data(MMSTAR, tmp_path)


def test_a_folder_without_the_benchmark_says_what_it_looked_for(tmp_path):
    with pytest.raises(DataError, match=r"no data for mmstar.*MMStar\.tsv.*--dataset mmstar=PATH"):
        open_task_data(MMSTAR, tmp_path)


def test_a_missing_data_folder_is_named(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        open_task_data(MMSTAR, tmp_path / "nowhere")


def test_an_override_names_a_file_a_folder_or_is_missing(local_data, tmp_path):
    file = local_data.parquet / "mmstar" / "mmstar.parquet"

    assert len(open_task_data(MMSTAR, None, DatasetOverride(str(file)))) == 24
    assert len(open_task_data(MMSTAR, tmp_path, DatasetOverride(str(file.parent)))) == 24
    with pytest.raises(DataError, match="does not exist"):
        open_task_data(MMSTAR, None, DatasetOverride(str(tmp_path / "gone.parquet")))
    with pytest.raises(DataError, match=r"no \.parquet or \.tsv file"):
        open_task_data(MMSTAR, None, DatasetOverride(str(tmp_path)))


def test_an_unreachable_hub_says_how_to_pass_local_data(tmp_path):
    code = (
        "from tasks.catalog import BENCHMARKS; from tasks.local_data import DataError, open_task_data\n"
        "try: open_task_data(BENCHMARKS['mmstar'])\n"
        "except DataError as fault: print(fault)\n"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)

    assert "Lin-Chen/MMStar of mmstar cannot be loaded from the hub" in done.stdout
    assert "--data-dir DIR" in done.stdout
    assert "MMStar.tsv" in done.stdout


def test_a_dataset_of_the_datasets_library_reads_like_local_data(local_data):
    import datasets

    from tasks.rows import HubRows

    files = [str(path) for path in sorted((local_data.parquet / "mathvista").glob("*.parquet"))]
    dataset = datasets.Dataset.from_parquet(files).cast_column("decoded_image", datasets.Image())
    hub = TaskData(HubRows(dataset, BENCHMARKS["mathvista"].image_columns, "test"))
    adapter = BENCHMARKS["mathvista"].adapter

    local = [adapter.sample_of(doc) for doc in open_task_data(BENCHMARKS["mathvista"], local_data.parquet)]
    assert local == [adapter.sample_of(doc) for doc in hub]


def test_shapes_needs_no_data_and_takes_a_profile(tmp_path):
    shapes = BENCHMARKS["shapes"]
    full, tiny = open_task_data(shapes, tmp_path), open_task_data(shapes, None, DatasetOverride("tiny"))

    assert (len(full), len(tiny)) == (1000, 1000)
    assert full.fingerprint != tiny.fingerprint
    sample = shapes.adapter.sample_of(tiny[0])
    assert sample.image_size == Size(56, 56)
    assert sample.boxes_image_px
    assert sample.caption
    assert sample.cluster == tiny[0]["scene"]


def test_a_fingerprint_changes_with_the_data(tmp_path):
    one = open_task_data(MMSTAR, write_mmstar(tmp_path / "a", [[1, "q", base64_image(), "a", "b", "A"]]))
    two = open_task_data(MMSTAR, write_mmstar(tmp_path / "b", [[1, "q", base64_image(), "a", "b", "B"]]))

    assert one.fingerprint != two.fingerprint


@pytest.mark.parametrize(("name", "limit", "rows"), [("mmbench_en_dev", 1, 4), ("mmbench_en_dev", 5, 8), ("mme", 3, 4)])
@pytest.mark.parametrize("layout", ["parquet", "tsv"])
def test_a_limit_keeps_clusters_whole(local_data, layout, name, limit, rows):
    benchmark = BENCHMARKS[name]
    data = open_task_data(benchmark, getattr(local_data, layout))
    places = limit_indices(benchmark, data, limit)
    cluster_of = benchmark.adapter.cluster_of
    inside = {cluster_of(data[place]) for place in places}

    assert len(places) == rows
    assert not inside & {cluster_of(data[place]) for place in range(len(data)) if place not in places}


def test_a_limit_finds_members_of_a_cluster_far_behind(tmp_path):
    images = [base64_image(number) for number in (1, 2, 3, 2, 1)]
    rows = [[number, "q", image, "a", "b", "A"] for number, image in enumerate(images)]
    data = open_task_data(MMSTAR, write_mmstar(tmp_path, rows))

    assert [limit_indices(MMSTAR, data, limit) for limit in (1, 2, 3, 5, 9)] == [
        [0, 4],
        [0, 4],
        [0, 1, 3, 4],
        [0, 1, 2, 3, 4],
        [0, 1, 2, 3, 4],
    ]


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_of_nothing_is_refused(local_data, limit):
    with pytest.raises(ValueError, match="above 0"):
        limit_indices(MMSTAR, open_task_data(MMSTAR, local_data.parquet), limit)


def test_a_subset_keeps_ids_and_fingerprint(local_data):
    data = open_task_data(BENCHMARKS["ocrbench"], local_data.parquet)
    some = data.subset([20, 3]).subset([1])
    id_of = BENCHMARKS["ocrbench"].adapter.id_of

    assert [id_of(data[3])] == [id_of(doc) for doc in some]
    assert len(some) == 1
    assert some.fingerprint == data.fingerprint


MEMORY = """
import json, resource, sys
from pathlib import Path
import numpy as np, io
import pyarrow as pa, pyarrow.parquet as pq
from PIL import Image
from tasks.catalog import BENCHMARKS
from tasks.local_data import open_task_data
folder, rows = Path(sys.argv[1]), int(sys.argv[2])
kinds = {"index": pa.int64(), "question": pa.string(), "answer": pa.string(),
         "image": pa.struct([("bytes", pa.binary()), ("path", pa.string())])}
noise = np.random.default_rng(0)
path = folder / f"mmstar_{rows}.parquet"
with pq.ParquetWriter(path, pa.schema(list(kinds.items()))) as writer:
    for first in range(0, rows, 50):
        batch = [{"index": i, "question": "q", "answer": "A",
                  "image": {"bytes": b"\\x89PNG" + noise.bytes(200_000), "path": ""}} for i in range(first, first + 50)]
        writer.write_table(pa.Table.from_pylist(batch, schema=pa.schema(list(kinds.items()))),
                           row_group_size=1_000_000)
del writer, batch
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
data = open_task_data(BENCHMARKS["mmstar"], None, __import__("tasks.local_data").local_data.DatasetOverride(str(path)))
for doc in data:
    assert len(doc["image"].bytes) == 200_004
print(json.dumps([before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]))
"""


@pytest.mark.slow
def test_memory_stays_flat_however_many_images_are_read(tmp_path):
    peaks = {}
    for rows in (200, 1000):
        done = subprocess.run(
            [sys.executable, "-c", MEMORY, str(tmp_path), str(rows)], capture_output=True, text=True, check=True
        )
        peaks[rows] = json.loads(done.stdout)[1]

    assert peaks[1000] < peaks[200] + 100_000, peaks  # kilobytes; 800 more images hold 160 MB


def test_shapes_rows_are_drawn_when_asked_for():
    rows = ShapesRows("full", rows=3)

    assert rows.image_bytes(2) == rows.image_bytes(2)
    assert "image" not in rows.cells(2)


@pytest.mark.parametrize("layout", ["parquet", "tsv"])
def test_the_rows_of_hallucination_say_what_their_numbers_are_made_of(local_data, layout):
    pope, hallusion = (
        [
            BENCHMARKS[name].adapter.sample_of(doc)
            for doc in open_task_data(BENCHMARKS[name], getattr(local_data, layout))
        ]
        for name in ("pope", "hallusion_bench")
    )

    samplings = [name for sample in pope for name in sample.category.split(",")]
    assert {name: samplings.count(name) for name in samplings} == {"adversarial": 16, "popular": 16, "random": 16}
    assert {sample.answers for sample in (*pope, *hallusion)} == {("Yes",), ("No",)}
    assert len({sample.cluster for sample in pope}) == 8
    assert [sample.id for sample in hallusion[:3]] == ["VD_ocr_0_0_0", "VD_ocr_0_0_1", "VD_ocr_0_1_0"]
    assert hallusion[2].extra == {"set_id": "0", "figure_id": "1", "question_id": "0"}
    assert (len(hallusion), len({sample.cluster for sample in hallusion})) == (24, 12)
    assert (hallusion[8].category, hallusion[8].l2_category) == ("VS", "VS_ocr")


def test_small_row_groups_are_read_once_for_a_window_of_questions(tmp_path, monkeypatch):
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"index": list(range(600))}), path, row_group_size=10)
    rows = ParquetRows([path], ("image",))
    read = []
    monkeypatch.setattr(
        rows, "_read_group", lambda *given, real=rows._read_group: read.append(given[1]) or real(*given)
    )

    # a window is asked by size, so its rows come from all groups in turn
    found = [rows.cells(row)["index"] for start in range(10) for row in range(start, 600, 10)]

    assert sorted(found) == list(range(600))
    assert sorted(read) == list(range(60))
