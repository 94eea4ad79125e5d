"""Tests of tables as people have them: in other encodings, with paths to pictures, with lists of pictures."""

import base64
import os
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.errors import ExitCode
from tasks.catalog import BENCHMARKS
from tasks.images import UnreadableImageError, image_bytes_of
from tasks.local_data import DataError, open_task_data
from tasks.own import load_own_task
from tasks.tsv import _CHUNK_BYTES, TsvEncodingError, TsvError, index_tsv


@pytest.fixture
def picture(data_builder) -> bytes:
    return data_builder.drawing(3)


@pytest.fixture
def own_task(tmp_path):
    """Return the YAML file of a benchmark whose rows are a file beside it."""

    def write(data: str, **columns: str):
        said = ", ".join(f"{part}: {column}" for part, column in columns.items())
        (tmp_path / "own.yaml").write_text(
            f"task: own\nsatori: {{answer_rule: accepted, data: {data}, columns: {{{said}}}}}\n", encoding="utf-8"
        )
        return tmp_path / "own.yaml"

    return write


def table_of(*rows: tuple[str, ...]) -> str:
    return "".join("\t".join(row) + "\n" for row in rows)


# --- encodings -------------------------------------------------------------------------------------------------------

ENCODED = [
    ("gbk", "这是什么颜色？", "GB18030"),
    ("gb18030", "图中有几只猫？", "GB18030"),
    ("shift_jis", "これは何色ですか。", "CP932"),
    ("cp932", "犬は何匹いますか", "CP932"),
    ("big5", "這是什麼顏色", "BIG5"),
    ("euc_kr", "무슨 색입니까", "EUC_KR"),
    ("latin-1", "Où est la forêt ?", ""),
    ("latin-1", "Un café", "it may be CP1252, LATIN-1. Save it as UTF-8, for instance with: iconv -f CP1252"),
    ("cp1252", "Naïveté", "iconv -f CP1252"),
    ("cp1252", "Where is the “red” one – here?", ""),
    ("utf-16", "What colour is it?", "UTF-16LE"),
    ("utf-16-be", "\ufeffWhat colour is it?", "UTF-16BE"),
    ("utf-16-le", "What colour is it?", "UTF-16"),
    ("utf-32-le", "What colour is it?", "UTF-16"),
]


@pytest.mark.parametrize(
    ("encoding", "question", "named"), ENCODED, ids=[f"{case[0]} {place}" for place, case in enumerate(ENCODED)]
)
def test_a_table_in_another_encoding_is_refused_with_the_place(command, own_task, tmp_path, encoding, question, named):
    header = ("index", "image", "question", "answer")
    text = table_of(header, ("1", "aGk=", "What is it?", "red"), ("2", "aGk=", question, "blue"))
    if question.startswith("\ufeff"):
        text = "\ufeff" + text
    (tmp_path / "rows.tsv").write_bytes(text.encode(encoding))

    code, out, _ = command("tasks", "verify", own_task("rows.tsv", answers="answer", id="index"))
    ran, _, err = command("run", "--model", "m", "--backend", "openai", "--base-url", "http://127.0.0.1:9/v1",
                          "--tasks", "own.yaml")  # fmt: skip

    assert (code, ran) == (ExitCode.USAGE, ExitCode.USAGE)
    for said in (out, err):
        assert "UTF-8" in said
        assert "iconv -f " in said
        assert named in said
    assert "\ufffd" not in out + err
    if encoding not in {"utf-16", "utf-16-be", "utf-16-le", "utf-32-le"}:
        assert "record 2, column 'question', byte " in out
        place = int(re.search(r"byte (\d+)", out)[1])
        assert (tmp_path / "rows.tsv").read_bytes()[place] >= 0x80


def test_text_of_every_kind_that_is_utf_8_is_read(tmp_path):
    words = ["颜色", "色", "무슨", "forêt", "“red”", "🙂", "a\u0301"]
    (tmp_path / "a.tsv").write_bytes(b"\xef\xbb\xbf" + table_of(("index", "question"), *enumerate_rows(words)).encode())

    table = index_tsv(tmp_path / "a.tsv", ("image",))

    assert words == [table.cells(row)["question"] for row in range(len(table))]
    assert table.columns[0] == "index"


def enumerate_rows(words):
    return [(str(number), word) for number, word in enumerate(words)]


@pytest.mark.parametrize("before", [_CHUNK_BYTES - 2, _CHUNK_BYTES - 1, _CHUNK_BYTES, 3 * _CHUNK_BYTES + 1])
def test_a_character_across_two_chunks_is_whole_and_a_wrong_byte_is_found_where_it_is(tmp_path, before):
    head = b"index\tquestion\n1\t"
    filler = b"x" * (before - len(head))
    (tmp_path / "good.tsv").write_bytes(head + filler + "猫".encode() + b"\n2\tb\n")
    (tmp_path / "bad.tsv").write_bytes(head + filler + b"\xe7\x8cA\n2\tb\n")

    assert index_tsv(tmp_path / "good.tsv", ("image",)).cells(0)["question"].endswith("x猫")
    with pytest.raises(TsvEncodingError, match=f"record 1, column 'question', byte {before} of the file"):
        index_tsv(tmp_path / "bad.tsv", ("image",))


@pytest.mark.parametrize("name", ["header", "end"])
def test_a_wrong_byte_in_the_header_or_at_the_very_end_is_found(tmp_path, name):
    data = b"index\tquesti\xf6n\n1\tb\n" if name == "header" else b"index\tquestion\n1\tcaf\xc3"
    (tmp_path / "a.tsv").write_bytes(data)

    with pytest.raises(TsvEncodingError, match="the header" if name == "header" else "record 1, column 'question'"):
        index_tsv(tmp_path / "a.tsv", ("image",))


def test_a_broken_table_is_still_named_as_broken(tmp_path):
    (tmp_path / "a.tsv").write_bytes(b"index\tquestion\n1\tb\tc\n")

    with pytest.raises(TsvError, match="record 1 has 3 fields"):
        index_tsv(tmp_path / "a.tsv", ("image",))


# --- paths -----------------------------------------------------------------------------------------------------------

PATHS = [
    "pics/a.png",
    "./pics/a.png",
    "pics/../pics/a.png",
    "inner.jpg",
    "pics\\a.png",
    "['pics/a.png']",
    "pics/a",
    "pics/" + "long" * 30 + ".png",
]
ESCAPES = [
    "../secret.png",
    "..\\secret.png",
    "pics/../../secret.png",
    "{outside}/secret.png",
    "/etc/hostname",
    "/etc/hostname.png",
]
MISSING = {
    "pics/none.png": "no file pics/none.png",
    "https://example.org/a.png": "is an address",
    "s3://bucket/a.png": "is an address",
    "file:///etc/a.png": "is an address",
    "['pics/a.png', 'pics/b.png']": "has 2 images",
    "pics": "a",
}


@pytest.fixture
def folder(tmp_path, picture):
    """A folder for tables with pictures beside them, and a secret picture outside of it."""
    inside = tmp_path / "data"
    (inside / "pics").mkdir(parents=True)
    (inside / "images").mkdir()
    for name in ("pics/a.png", "pics/b.png", "pics/a", "images/inner.jpg", "pics/" + "long" * 30 + ".png"):
        (inside / name).write_bytes(picture)
    (tmp_path / "secret.png").write_bytes(picture)
    return inside


def written(folder, column: str, kind: str, paths: list[str]):
    """Write a table of paths with a benchmark of one's own; returns its YAML file."""
    if kind == "tsv":
        rows = [("index", column, "question", "answer")]
        rows += [(f"i{number}", path, "Why?", "red") for number, path in enumerate(paths)]
        (folder / "rows.tsv").write_text(table_of(*rows), encoding="utf-8")
    else:
        rows = [{"index": f"i{n}", column: path, "question": "Why?", "answer": "red"} for n, path in enumerate(paths)]
        if kind == "parquet struct":
            rows = [row | {column: {"bytes": None, "path": row[column]}} for row in rows]
        pq.write_table(pa.Table.from_pylist(rows), folder / "rows.parquet")
    image = "" if column in {"image", "image_path"} else f", image: {column}"
    (folder / "own.yaml").write_text(
        f"task: own\nsatori: {{answer_rule: accepted, data: rows.{kind.split(maxsplit=1)[0]}, "
        f"columns: {{answers: answer, id: index{image}}}}}\n",
        encoding="utf-8",
    )
    return folder / "own.yaml"


@pytest.mark.parametrize("kind", ["tsv", "parquet", "parquet struct"])
@pytest.mark.parametrize("column", ["image_path", "image", "picture"])
def test_pictures_are_read_beside_the_table(folder, picture, column, kind):
    paths = PATHS if kind != "parquet struct" else [path for path in PATHS if path[0] != "["]
    benchmark = load_own_task(written(folder, column, kind, paths))

    data = open_task_data(benchmark)
    adapter = benchmark.adapter

    assert [picture] * len(paths) == [image_bytes_of(adapter.image_value(doc)) for doc in data]
    assert len({adapter.sample_of(doc).image_sha256 for doc in data}) == 1


@pytest.mark.parametrize("kind", ["tsv", "parquet", "parquet struct"])
@pytest.mark.parametrize("other", ["images", "image_path", "image_paths", "image"])
@pytest.mark.parametrize("named", ["image_crp", "crop", "Image"])
def test_no_other_picture_is_taken_for_a_column_that_was_named_and_is_not_there(folder, named, other, kind):
    yaml = written(folder, other, kind, ["pics/a.png", "pics/b.png"])
    plain = yaml.read_text().replace(f", image: {other}", "")
    yaml.write_text(plain.replace("id: index", f"id: index, image: {named}"))

    with pytest.raises(DataError, match=f"needs the column {named}; found .*{other}"):
        open_task_data(load_own_task(yaml))


@pytest.mark.parametrize("kind", ["tsv", "parquet", "parquet struct"])
@pytest.mark.parametrize("path", ESCAPES)
def test_no_path_leads_out_of_the_tables_folder(command, folder, path, kind):
    yaml = written(folder, "image_path", kind, [path.format(outside=folder.parent), "pics/a.png"])

    code, out, _ = command("tasks", "verify", yaml)

    assert code == ExitCode.USAGE
    assert "1 unreadable images: i0 (no file" in out
    assert "leads out of the table's folder" in out


@pytest.mark.parametrize("path", MISSING)
def test_what_a_path_cannot_give_is_said(command, folder, path):
    code, out, _ = command("tasks", "verify", written(folder, "image_path", "tsv", [path, "pics/a.png"]))

    assert code == ExitCode.USAGE
    assert "1 unreadable images: i0 (" in out
    assert MISSING[path] in out


def test_a_link_that_stands_in_the_folder_is_followed_and_a_pipe_is_not_opened(command, folder):
    (folder / "linked").symlink_to(folder / "pics", target_is_directory=True)
    os.mkfifo(folder / "pipe.png")

    code, out, _ = command("tasks", "verify", written(folder, "image_path", "tsv", ["linked/a.png", "pipe.png"]))

    assert code == ExitCode.USAGE
    assert "1 unreadable images: i1 (no file pipe.png)" in out


def test_a_short_cell_is_first_the_index_of_another_row(folder, picture):
    rows = [("index", "image", "question", "answer"), ("a.png", base64.b64encode(picture).decode(), "?", "red")]
    (folder / "rows.tsv").write_text(table_of(*rows, ("2", "a.png", "?", "red")), encoding="utf-8")
    (folder / "a.png").write_bytes(b"another")
    (folder / "own.yaml").write_text(
        "task: own\nsatori: {answer_rule: accepted, data: rows.tsv, columns: {answers: answer, id: index}}\n", "utf-8"
    )

    assert [picture] * 2 == [doc["image"].bytes for doc in open_task_data(load_own_task(folder / "own.yaml"))]


def test_a_cell_that_is_neither_an_index_nor_a_path_is_named_as_that(command, folder):
    _, out, _ = command("tasks", "verify", written(folder, "image", "tsv", ["17", "pics/a.png"]))

    assert "i0 (the image cell is '17', which is neither a row's index nor a file beside the table)" in out


def test_a_benchmarks_own_table_may_hold_paths_too(folder, picture):
    header = ("index", "question", "answer", "category", "image_path", "A", "B")
    rows = [(str(n), "Why?", "A", "c", f"pics/{name}.png", "one", "two") for n, name in enumerate("ab")]
    (folder / "MMStar.tsv").write_text(table_of(header, *rows), encoding="utf-8")

    data = open_task_data(BENCHMARKS["mmstar"], folder)

    assert [picture] * 2 == [image_bytes_of(BENCHMARKS["mmstar"].adapter.image_value(doc)) for doc in data]


def test_mme_keeps_its_ids_when_its_table_holds_paths(folder):
    header = ("index", "question", "answer", "category", "image_path")
    rows = [(str(n), f"Is it {n}?", "Yes", "color", "pics/a.png") for n in range(2)]
    (folder / "MME.tsv").write_text(table_of(header, *rows), encoding="utf-8")

    data = open_task_data(BENCHMARKS["mme"], folder)

    assert {"pics/a.png"} == {BENCHMARKS["mme"].adapter.cluster_of(doc) for doc in data}
    assert set({doc["image"].size for doc in data}) == {data[0]["image"].size}


# --- lists of pictures -----------------------------------------------------------------------------------------------


def of_pictures(tmp_path, column, cells):
    rows = [{"id": f"r{n}", column: value, "question": "Why?", "answers": "red"} for n, value in enumerate(cells)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    (tmp_path / "own.yaml").write_text("task: own\nsatori: {answer_rule: accepted, data: rows.parquet}\n", "utf-8")
    return tmp_path / "own.yaml"


@pytest.mark.parametrize("column", ["images", "image"])
def test_a_list_of_one_picture_is_that_picture(command, tmp_path, picture, column):
    struct = {"bytes": picture, "path": None}
    yaml = of_pictures(tmp_path, column, [[struct], [struct, None], [None, struct]])

    code, _, _ = command("tasks", "verify", yaml)

    assert code == ExitCode.OK
    assert [picture] * 3 == [doc["image"].bytes for doc in open_task_data(load_own_task(yaml))]


@pytest.mark.parametrize("form", ["structs", "bytes", "texts"])
def test_several_pictures_and_none_are_refused_by_name(command, tmp_path, picture, form):
    one = {"structs": {"bytes": picture, "path": None}, "bytes": picture, "texts": base64.b64encode(picture).decode()}[
        form
    ]

    code, out, _ = command("tasks", "verify", of_pictures(tmp_path, "images", [[one], [one, one], [one] * 3, [], None]))

    assert code == ExitCode.USAGE
    assert "4 unreadable images: r1 (the row has 2 images, and one is asked about: say several_images: true, " in out
    assert "r2 (the row has 3 images" in out
    assert "r3 (the row has no image), r4 (the row has no image)" in out


@pytest.mark.parametrize("value", ["[[", "['a", "[['x.png']]", "[1, 2]", "['a.png' 'b.png']", "[]", "[None]"])
def test_a_text_that_begins_as_a_list_is_unreadable_and_no_exception(value):
    with pytest.raises(UnreadableImageError):
        image_bytes_of(value)


def test_a_table_without_any_picture_says_which_column_is_missing(tmp_path):
    rows = [{"question": "Why?", "answers": "red", "photo": "a.png"}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    (tmp_path / "own.yaml").write_text("task: own\nsatori: {answer_rule: accepted, data: rows.parquet}\n", "utf-8")

    with pytest.raises(DataError, match="needs the column image; found question, answers, photo"):
        open_task_data(load_own_task(tmp_path / "own.yaml"))


def test_a_bad_row_of_a_picture_costs_a_row(command, tmp_path, picture):
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 30\nshowpage\n"
    cells = [{"bytes": data, "path": None} for data in (picture, eps, picture[:60], b"", picture)]

    code, out, _ = command("tasks", "verify", of_pictures(tmp_path, "image", cells))

    assert code == ExitCode.USAGE
    assert "5 rows" in out
    assert "3 unreadable images: r1 (the image cannot be read: it is PostScript (EPS). PNG, JPEG" in out
