import hashlib
import io
import pickle
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from harness.values import Size
from tasks.rows import DataError
from training.data.example import Example
from training.data.store import read_examples, write_examples


def picture(number: int = 0) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), (number % 256, number // 256, 7)).save(buffer, format="PNG")
    return buffer.getvalue()


def example(number: int = 0, **changes) -> Example:
    image = picture(number)
    made = Example(
        id=f"row-{number}",
        question="what is it?",
        answers=("a cat", "cat"),
        image=image,
        image_size=Size(40, 30),
        image_sha256=hashlib.sha256(image).hexdigest(),
        caption="a cat.",
        boxes_image_px=((1.0, 2.5, 30.0, 29.0), (0.1, 0.2, 0.30000000000000004, 4.0)),
        kind="animal",
    )
    return replace(made, **changes)


MANY = [example(number) for number in range(600)]


def test_what_is_written_is_read_by_any_row_in_any_order(tmp_path):
    write_examples(tmp_path / "many.parquet", MANY)

    table = read_examples(tmp_path / "many.parquet")

    assert len(table) == 600
    assert [table[row] for row in (599, 0, 256, 255, 512, -1)] == [MANY[row] for row in (599, 0, 256, 255, 512, -1)]
    assert table[254:258] == MANY[254:258]
    assert list(table) == MANY


@pytest.mark.parametrize(
    "odd",
    [
        {"caption": None, "boxes_image_px": None, "kind": ""},
        {"boxes_image_px": ()},
        {"caption": "", "question": "", "answers": ("",)},
        {"question": "\u202eשלום 答案 🙂 \x00 \n", "answers": ("né", "né"), "id": "../../x"},
        {"question": "x" * 1_000_000},
        {"boxes_image_px": ((1e-300, -0.0, 1.7e308, 5.0),)},
    ],
    ids=["nothing optional", "no boxes", "empty text", "unicode", "huge text", "extreme numbers"],
)
def test_odd_examples_survive(tmp_path, odd):
    write_examples(tmp_path / "odd.parquet", [example(0, **odd)])

    assert read_examples(tmp_path / "odd.parquet")[0] == example(0, **odd)


def test_the_same_examples_give_the_same_bytes_and_hash_wherever_they_are(tmp_path):
    first = write_examples(tmp_path / "one.parquet", MANY)
    second = write_examples(tmp_path / "elsewhere" / "two.parquet", iter(MANY))

    assert first == second
    assert read_examples(tmp_path / "one.parquet").data_hash == first.data_hash
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "elsewhere" / "two.parquet").read_bytes()


@pytest.mark.parametrize(
    "change",
    [
        {"question": "what?"},
        {"answers": ("cat", "a cat")},
        {"answers": ("a cat",)},
        {"caption": None},
        {"boxes_image_px": None},
        {"boxes_image_px": ((1.0, 2.5, 30.0, 29.0),)},
        {"kind": "other"},
        {"id": "x"},
        {"image": picture(3), "image_sha256": hashlib.sha256(picture(3)).hexdigest()},
    ],
)
def test_any_change_and_any_other_order_changes_the_hash(tmp_path, change):
    base = write_examples(tmp_path / "a.parquet", [example(0), example(1)]).data_hash

    assert write_examples(tmp_path / "b.parquet", [example(0), example(1, **change)]).data_hash != base
    assert write_examples(tmp_path / "c.parquet", [example(1), example(0)]).data_hash != base


def test_facts_count_what_is_there(tmp_path):
    rows = [example(0), example(1, image=picture(0), image_sha256=example(0).image_sha256, caption=None), example(2)]
    rows[2] = replace(rows[2], boxes_image_px=None, kind="")

    facts = write_examples(tmp_path / "a.parquet", rows)

    assert (facts.rows, facts.images, facts.with_boxes, facts.with_caption) == (3, 2, 2, 2)
    assert facts.kinds == {"": 1, "animal": 2}
    assert read_examples(tmp_path / "a.parquet").facts == facts


def test_a_pickled_table_reads_on(tmp_path):
    write_examples(tmp_path / "a.parquet", MANY[:3])

    assert pickle.loads(pickle.dumps(read_examples(tmp_path / "a.parquet")))[2] == MANY[2]


def test_the_datasets_library_decodes_the_images(tmp_path, monkeypatch):
    import datasets

    write_examples(tmp_path / "a.parquet", MANY[:2])

    rows = datasets.Dataset.from_parquet(str(tmp_path / "a.parquet"), cache_dir=str(tmp_path / "cache"))

    assert rows[1]["image"].size == (40, 30)
    assert rows[1]["boxes"] == [list(box) for box in MANY[1].boxes_image_px]


def test_large_images_end_a_row_group_early(tmp_path):
    noise = bytes(700_000)
    rows = [example(n, image=noise, image_sha256=hashlib.sha256(noise).hexdigest()) for n in range(7)]

    write_examples(tmp_path / "a.parquet", rows)

    assert pq.ParquetFile(tmp_path / "a.parquet").metadata.num_row_groups == 3
    assert read_examples(tmp_path / "a.parquet")[6] == rows[6]


def test_a_damaged_image_is_named_with_its_row(tmp_path):
    write_examples(tmp_path / "a.parquet", [example(0), example(1, image=b"other")])

    table = read_examples(tmp_path / "a.parquet")

    assert table[0] == example(0)
    with pytest.raises(DataError, match="row 1 is damaged"):
        _ = table[1]


def test_a_row_beyond_the_end_is_an_index_error(tmp_path):
    write_examples(tmp_path / "a.parquet", [example(0)])

    with pytest.raises(IndexError):
        _ = read_examples(tmp_path / "a.parquet")[1]


def failing():
    yield example(0)
    raise ValueError("broken off")


@pytest.mark.parametrize(
    ("examples", "message"),
    [(list, "no example"), (lambda: [example(0), example(0)], "id 'row-0'"), (failing, "broken off")],
)
def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, examples, message):
    write_examples(tmp_path / "a.parquet", [example(5)])

    with pytest.raises(ValueError, match=message):
        write_examples(tmp_path / "a.parquet", examples())

    assert read_examples(tmp_path / "a.parquet")[0] == example(5)
    assert [path.name for path in tmp_path.iterdir()] == ["a.parquet"]


def test_a_file_that_is_none_is_named(tmp_path):
    (tmp_path / "text.parquet").write_text("no parquet")
    pq.write_table(pa.table({"id": ["1"], "captions": ["x"]}), tmp_path / "columns.parquet")
    pq.write_table(
        pq.ParquetFile(written(tmp_path)).read().set_column(0, "id", pa.array([["list"]])), tmp_path / "types.parquet"
    )

    with pytest.raises(DataError, match=r"nowhere.parquet: there is no such file"):
        read_examples(tmp_path / "nowhere.parquet")
    with pytest.raises(DataError, match="cannot be read as parquet"):
        read_examples(tmp_path / "text.parquet")
    with pytest.raises(DataError, match="Did you mean 'captions'"):
        read_examples(tmp_path / "columns.parquet")
    with pytest.raises(DataError, match=r"types.parquet: "):
        read_examples(tmp_path / "types.parquet")


def written(folder):
    write_examples(folder / "good.parquet", [example(0)])
    return folder / "good.parquet"
