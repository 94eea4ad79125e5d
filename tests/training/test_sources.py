import base64
import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from harness.errors import ConfigError
from tasks.rows import DataError
from tasks.shapes import write_parquet
from training import sources
from training.row_faults import FAULT_NAMES, MEANINGS
from training.shapes_source import LabelNoise, shapes_examples
from training.sources import ShapesSpec, SourceSpec, load_rows

CASES = json.loads((Path(__file__).parents[1] / "cases" / "training_rows.json").read_text())
GOOD = {
    "image": "pic.png",
    "question": "What is it?",
    "answers": ["red"],
    "caption": "A red block.",
    "boxes": [[10, 10, 50, 40]],
    "width": 100,
    "height": 80,
    "kind": "colour",
}


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder with pictures of 100 x 80 pixels, good and bad ones, and a secret beside it."""
    inside = tmp_path / "data"
    (inside / "images").mkdir(parents=True)
    Image.new("RGB", (100, 80), "red").save(inside / "pic.png")
    whole = (inside / "pic.png").read_bytes()
    (inside / "images" / "inner.png").write_bytes(whole)
    (tmp_path / "secret.png").write_bytes(whole)
    (inside / "cut.png").write_bytes(whole[:-40])
    (inside / "text.png").write_text("no picture")
    (inside / "empty.png").touch()
    Image.new("RGB", (1000, 2)).save(inside / "thin.png")
    return inside


def rows_of(folder: Path, *rows: object, **spec):
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (folder / "rows.jsonl").write_bytes("\n".join(lines).encode("utf-8", "surrogateescape"))
    return list(load_rows(SourceSpec(str(folder / "rows.jsonl"), **spec)))


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_a_row_is_an_example_or_has_the_named_fault(folder, case):
    cells = {key: value for key, value in (GOOD | case["change"]).items() if value != "<absent>"}

    [row] = rows_of(folder, cells, source_format="jsonl", box_frame=case.get("box_frame"))

    assert [fault.name for fault in row.faults] == case["faults"]
    assert (row.example is not None) == case["kept"]
    assert any(fault.drops for fault in row.faults) == (not case["kept"])
    if row.example is not None:
        boxes = None if row.example.boxes_image_px is None else [list(box) for box in row.example.boxes_image_px]
        read = {"boxes": boxes, "answers": list(row.example.answers), "caption": row.example.caption}
        read |= {"question": row.example.question, "kind": row.example.kind}
        expected = {key: value for key, value in case.items() if key in read}
        assert {key: read[key] for key in expected} == expected


NESTED = "[" * 100_000 + "]" * 100_000
HOSTILE = {
    "not JSON": ("{", "unreadable_row"),
    "a list": ("[1, 2]", "unreadable_row"),
    "a number": ("7", "unreadable_row"),
    "NaN": (json.dumps(GOOD | {"boxes": [[float("nan"), 1, 2, 3]]}), "box_non_finite"),
    "1e999": (json.dumps(GOOD).replace("[[10,", "[[1e999,").replace("[[10 ", "[[1e999 "), "box_non_finite"),
    "a number of 400 digits": (json.dumps(GOOD | {"boxes": [[0, 0, 10**400, 1]]}), "box_non_finite"),
    "a number of 5000 digits": (json.dumps(GOOD).replace("50", "5" * 5000), "unreadable_row"),
    "largest floats": (json.dumps(GOOD | {"boxes": [[-1.7e308, -1.7e308, 1.7e308, 1.7e308]]}), "box_over_edge"),
    "deep nesting": (f'{{"boxes": {NESTED}}}', "unreadable_row"),
    "deep nesting in a text": (json.dumps(GOOD | {"boxes": NESTED[:40_000] + NESTED[-40_000:]}), "box_malformed"),
    "deep nesting in the answers": (json.dumps(GOOD | {"answers": NESTED[:9_000] + NESTED[-9_000:]}), None),
    "a question of 1 MB": (json.dumps(GOOD | {"question": "x" * 1_000_000}), "long_text"),
    "an answer of 1 MB": (json.dumps(GOOD | {"answers": "y" * 1_000_000}), "long_text"),
    "a caption of 1 MB": (json.dumps(GOOD | {"caption": "a " * 500_000}), "long_text"),
    "boxes of 1 MB": (json.dumps(GOOD | {"boxes": "[" + "1," * 500_000 + "1]"}), "box_malformed"),
    "a path of 1 MB": (json.dumps(GOOD | {"image": "p/" * 500_000}), "no_image"),
    "2,000 boxes": (json.dumps(GOOD | {"boxes": [[1, 1, 2, 2]] * 2000}), "box_malformed"),
    "no UTF-8": (json.dumps(GOOD).replace("red", "\udcff"), "not_utf8"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_lines_are_named_and_the_next_row_is_read(folder, name):
    line, fault = HOSTILE[name]

    rows = rows_of(folder, GOOD, line, GOOD, source_format="jsonl")

    assert [row.row for row in rows] == [1, 2, 3]
    assert rows[0].example is not None
    assert rows[2].example is not None
    assert fault is None or fault in [found.name for found in rows[1].faults]
    assert all(len(found.detail) < 500 and found.detail.isascii() for found in rows[1].faults)


@pytest.mark.parametrize("encoding", ["gbk", "shift_jis", "big5", "utf-16-le", "utf-16", "utf-32", "utf-16-be"])
@pytest.mark.parametrize("suffix", [".jsonl", ".json"])
def test_a_file_in_another_encoding_is_named_as_that(folder, encoding, suffix):
    row = GOOD | {"question": "色は何ですか" if encoding == "shift_jis" else "是什么" if encoding == "gbk" else "是"}
    text = json.dumps([row] if suffix == ".json" else row, ensure_ascii=False)
    (folder / f"rows{suffix}").write_bytes(text.encode(encoding))

    loaded = list(load_rows(SourceSpec(str(folder / f"rows{suffix}"))))

    assert all(row.example is None for row in loaded)
    assert {fault.name for row in loaded for fault in row.faults} <= {"not_utf8", "unreadable_row", "unreadable_file"}
    details = [fault.detail for row in loaded for fault in row.faults]
    assert encoding in {"utf-16-be", "utf-16-le"} or any("may be" in text or "UTF-" in text for text in details)
    assert all(fault.detail.isascii() for row in loaded for fault in row.faults)


def test_a_picture_of_another_format_costs_its_row_and_says_what_it_is(folder):
    (folder / "drawing.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 30\nshowpage\n")

    rows = rows_of(folder, GOOD, GOOD | {"image": "drawing.png"}, GOOD, source_format="jsonl")

    assert [row.example is None for row in rows] == [False, True, False]
    assert [fault.name for fault in rows[1].faults] == ["unreadable_image"]
    assert "it is PostScript (EPS)" in rows[1].faults[0].detail


def test_blank_lines_count_but_are_no_rows(folder):
    assert [row.row for row in rows_of(folder, "", GOOD, "   ", GOOD, "")] == [2, 4]


def test_a_line_without_end_is_skipped_whole(folder, monkeypatch):
    monkeypatch.setattr(sources, "MAX_LINE_BYTES", 1000)

    rows = rows_of(folder, GOOD, json.dumps(GOOD | {"question": "x" * 5000}), GOOD)

    assert [(row.row, row.example is None) for row in rows] == [(1, False), (2, True), (3, False)]


def test_a_link_in_the_folder_is_followed(folder):
    (folder / "link.png").symlink_to(folder.parent / "secret.png")

    assert rows_of(folder, GOOD | {"image": "link.png"})[0].example is not None


def test_a_named_folder_of_images_is_searched_too(folder):
    assert rows_of(folder, GOOD | {"image": "secret.png"}, images=folder.parent)[0].example is not None
    assert rows_of(folder, GOOD | {"image": "../secret.png"}, images=folder.parent)[0].example is not None


def test_a_data_uri_is_an_image(folder):
    uri = "data:image/png;base64," + base64.b64encode((folder / "pic.png").read_bytes()).decode()

    assert rows_of(folder, GOOD | {"image": uri})[0].example.image == (folder / "pic.png").read_bytes()


def test_an_id_is_kept_and_a_missing_one_is_made_of_file_and_row(folder):
    rows = rows_of(folder, GOOD | {"id": "seven"}, GOOD | {"id": 8}, GOOD)

    assert [row.example.id for row in rows] == ["seven", "8", "rows-3"]


def test_a_misspelt_column_gets_a_hint(folder):
    [row] = rows_of(folder, {("answer" if key == "answers" else key): value for key, value in GOOD.items()})

    assert row.faults[-1].name == "no_answer"
    assert "Did you mean 'answer'" in row.faults[-1].detail


def test_a_json_list_is_read_like_lines(folder):
    (folder / "rows.json").write_text(json.dumps([GOOD, GOOD | {"question": ""}]))

    rows = list(load_rows(SourceSpec(str(folder / "rows.json"))))

    assert [[fault.name for fault in row.faults] for row in rows] == [[], ["no_question"]]


@pytest.mark.parametrize(("name", "data"), [("a.json", b"[1, 2"), ("a.parquet", b"PAR1"), ("b.json", b"[" * 100_000)])
def test_a_broken_file_is_one_fault(folder, name, data):
    (folder / name).write_bytes(data)

    [row] = load_rows(SourceSpec(str(folder / name)))

    assert [(fault.name, fault.row) for fault in row.faults] == [("unreadable_file", 0)]


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.parquet"])
def test_a_file_that_git_lfs_has_not_brought_is_called_that(folder, name):
    (folder / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7\n")

    [row] = load_rows(SourceSpec(str(folder / name)))

    assert [fault.name for fault in row.faults] == ["unreadable_file"]
    assert "git lfs pull" in row.faults[0].detail


def test_an_empty_file_has_no_rows(folder):
    (folder / "a.jsonl").touch()

    assert list(load_rows(SourceSpec(str(folder / "a.jsonl")))) == []


# --- VQA-Verify -----------------------------------------------------------------------------------------------------


def test_both_layouts_of_vqa_verify_give_the_same_examples(vqa_verify):
    hub = [row.example for row in load_rows(SourceSpec(str(vqa_verify.parquet)))]
    swift = [row.example for row in load_rows(SourceSpec(str(vqa_verify.swift)))]

    assert len(hub) == 12, "the test file beside the training file is left out"
    assert [replace(example, id="") for example in hub] == [replace(example, id="") for example in swift]
    assert hub[3].question == "What color is the block?"
    assert hub[3].answers == tuple(vqa_verify.rows[3]["possible_answers"])
    assert hub[3].boxes_image_px == ((13.0, 12.0, 63.0, 53.0),)
    assert hub[3].kind == "gqa"


def test_rows_come_from_the_hub_by_the_same_reader(vqa_verify, monkeypatch, tmp_path):
    import datasets

    parquet = str(vqa_verify.parquet / "data" / "train-00000-of-00001.parquet")
    table = datasets.Dataset.from_parquet(parquet, cache_dir=str(tmp_path / "cache"))
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: table.cast_column("image", datasets.Image()))

    hub = [row.example for row in load_rows(SourceSpec("owner/vqa-verify"))]

    local = [row.example for row in load_rows(SourceSpec(parquet))]
    assert [replace(example, id="") for example in hub] == [replace(example, id="") for example in local]


def test_a_hub_column_of_lists_of_images_is_not_decoded(vqa_verify, monkeypatch):
    import datasets

    image = (vqa_verify.swift / "pictures" / "0.png").read_bytes()
    row = {"messages": [{"role": "user", "content": "<image>What?"}], "possible_answers": ["red"]}
    table = datasets.Dataset.from_list([{**row, "images": [{"bytes": image, "path": None}]}])
    table = table.cast_column("images", datasets.List(datasets.Image()))
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: table)

    [loaded] = load_rows(SourceSpec("owner/vqa-verify@main"))

    assert loaded.example.image == image
    assert loaded.example.question == "What?"


@pytest.mark.parametrize(
    ("messages", "fault"),
    [
        ([], "no_question"),
        ([{"role": "user", "content": "a"}, {"role": "user", "content": "b"}], "no_question"),
        ([{"role": "user", "content": "<image>"}], "no_question"),
        ([{"role": "user", "content": 7}], "no_question"),
        ([7, None, {"role": "assistant"}], "no_question"),
        ({"role": "user"}, "no_question"),
        ([{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What?"}]}], None),
    ],
)
def test_odd_messages_are_named(vqa_verify, tmp_path, messages, fault):
    line = json.loads((vqa_verify.swift / "train.jsonl").read_text().splitlines()[0])
    (tmp_path / "a.jsonl").write_text(json.dumps(line | {"messages": messages}))

    [row] = load_rows(SourceSpec(str(tmp_path / "a.jsonl"), images=vqa_verify.swift))

    assert [found.name for found in row.faults] == ([] if fault is None else [fault])
    assert fault is not None or row.example.question == "What?"


def test_an_object_without_known_columns_says_what_was_found(tmp_path):
    pq.write_table(pa.table({"prompt": ["a"], "\u202ex": [1]}), tmp_path / "a.parquet")

    [row] = load_rows(SourceSpec(str(tmp_path / "a.parquet")))

    assert row.faults[0].detail == "no column question; found prompt, \\u202ex."


# --- Shapes and usage -----------------------------------------------------------------------------------------------


def test_shapes_are_the_generator_s_examples():
    noise = LabelNoise(share=0.5)
    rows = load_rows(SourceSpec("shapes", limit=9, shapes=ShapesSpec("full", 4, noise, ("count",))))

    assert [row.example for row in rows] == list(shapes_examples("full", 9, 4, noise=noise, kinds=["count"]))


def test_a_shapes_file_of_the_benchmark_split_is_refused_and_one_of_the_train_split_read(tmp_path):
    write_parquet(tmp_path / "train.parquet", "train", 3, 0, "tiny")
    write_parquet(tmp_path / "bench.parquet", "benchmark", 3, 0, "tiny")

    train = [row.example for row in load_rows(SourceSpec(str(tmp_path / "train.parquet")))]
    bench = list(load_rows(SourceSpec(str(tmp_path / "bench.parquet"))))

    assert train == list(shapes_examples("tiny", 3))
    assert {fault.name for row in bench for fault in row.faults} == {"benchmark_image"}
    assert all(row.example is None for row in bench)


def test_a_limit_counts_good_and_bad_rows(folder):
    assert [row.example is None for row in rows_of(folder, {}, GOOD, GOOD, limit=2)] == [True, False]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (SourceSpec("shape"), "Did you mean 'shapes'"),
        (SourceSpec("./nowhere.jsonl"), "no such file or folder"),
        (SourceSpec("/nowhere/data"), "no such file or folder"),
        (SourceSpec("shapes", limit=0), "above 0"),
        (SourceSpec("data", "shapes"), "called 'shapes'"),
        (SourceSpec("shapes", shapes=ShapesSpec(kinds=("counts",))), "Did you mean 'count'"),
        (SourceSpec("a/b", images=Path("nowhere")), "no such folder of images"),
    ],
)
def test_a_wrong_source_is_refused_at_once(spec, message):
    with pytest.raises(ConfigError, match=message):
        load_rows(spec)


def test_a_folder_without_data_and_a_file_of_another_kind_are_refused(tmp_path):
    (tmp_path / "a.csv").touch()

    with pytest.raises(ConfigError, match="holds no file"):
        load_rows(SourceSpec(str(tmp_path)))
    with pytest.raises(ConfigError, match="convert or rename"):
        load_rows(SourceSpec(str(tmp_path / "a.csv")))


def test_a_hub_data_set_that_cannot_be_loaded_says_how_to_mend_it(monkeypatch):
    import datasets

    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: (_ for _ in ()).throw(OSError("offline")))

    with pytest.raises(DataError, match=r"owner/name.*offline. Download it"):
        load_rows(SourceSpec("owner/name"))


def test_every_fault_has_a_meaning():
    assert tuple(MEANINGS) == FAULT_NAMES
