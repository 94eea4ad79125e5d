"""Tests of random access to TSV files: quotes, text that stays text, broken files."""

import csv
import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.tsv import TsvError, index_tsv

CELL = st.text(st.characters(codec="utf-8", exclude_characters="\r\x00"), max_size=12) | st.sampled_from(
    [
        "None",
        "N/A",
        "nan",
        "NA",
        "null",
        "05",
        "1e5",
        'a "quoted" word',
        '5" pipe',
        "line\nbreak",
        "tab\there",
        '""',
        "",
    ]
)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(CELL, CELL, CELL), min_size=1, max_size=8))
def test_every_cell_reads_back_as_the_text_that_was_written(tmp_path, rows):
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter="\t", lineterminator="\n")
    writer.writerow(["index", "image", "question"])
    writer.writerows(rows)
    path = tmp_path / "rows.tsv"
    path.write_bytes(buffer.getvalue().encode())

    table = index_tsv(path, ("image",))

    read = [
        (table.cells(row)["index"], table.image_text(row), table.cells(row)["question"]) for row in range(len(table))
    ]
    assert rows == read


def write(tmp_path, data: bytes):
    path = tmp_path / "rows.tsv"
    path.write_bytes(data)
    return path


def test_cells_are_read_without_the_image(tmp_path):
    table = index_tsv(write(tmp_path, b"index\timage\tquestion\n0\tAAAA\tWhat?\n"), ("image",))

    assert table.cells(0) == {"index": "0", "question": "What?"}


def test_windows_line_ends_a_byte_order_mark_and_a_missing_last_newline_are_fine(tmp_path):
    table = index_tsv(write(tmp_path, b"\xef\xbb\xbfindex\tquestion\r\n1\tWhat?\r\n\r\n2\t\xe4\xbd\xa0"), ("image",))

    assert [table.cells(row) for row in range(len(table))] == [
        {"index": "1", "question": "What?"},
        {"index": "2", "question": "你"},
    ]


def test_a_quote_in_the_middle_of_a_plain_cell_is_text(tmp_path):
    table = index_tsv(write(tmp_path, b'index\tquestion\n1\ta 5" pipe\n2\tb\n'), ("image",))

    assert [table.cells(row)["question"] for row in range(len(table))] == ['a 5" pipe', "b"]


def test_an_image_larger_than_the_read_chunk_is_read_whole(tmp_path):
    image = b"A" * 3_000_001
    table = index_tsv(write(tmp_path, b"index\timage\tq\n1\t" + image + b"\tone\n2\tBBBB\ttwo\n"), ("image",))

    assert table.image_text(0).encode() == image
    assert table.cells(1) == {"index": "2", "q": "two"}


def test_a_header_alone_has_no_rows(tmp_path):
    assert len(index_tsv(write(tmp_path, b"index\timage\n"), ("image",))) == 0


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"a\tb\n1\n", "record 1 has 1 fields, the header has 2"),
        (b"a\tb\n1\t2\n1\t2\t3\n", "record 2 has 3 fields"),
        (b'a\tb\n1\t"never closed\n', "quote is never closed"),
    ],
)
def test_a_broken_file_is_named(tmp_path, data, message):
    with pytest.raises(TsvError, match=message):
        index_tsv(write(tmp_path, data), ("image",))
