"""The journal loses at most the record in flight, whatever kills its writer, and refuses a second writer."""

from __future__ import annotations

import errno
import json
import os
import random
import subprocess
import sys
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest

from harness.runs import journal as journal_file
from harness.runs.journal import (
    LOCK_NAME,
    SYNC_RECORDS,
    Journal,
    RunLockedError,
    StoreError,
    index_journal,
    lock_run,
    read_records,
    replacing,
)
from harness.runs.record_codec import CorruptRecordError, record_line
from harness.values import Components, Generation, Record, Sample, Score

HOUSE = Path(__file__).parents[2]
HOSTILE_TEXTS = json.loads((Path(__file__).parents[1] / "cases" / "hostile_texts.json").read_text(encoding="utf-8"))


def record_of(sample_id, text="<answer>B</answer>", repeat=0, value=1.0):
    return Record(
        Sample(str(sample_id), "mmstar", "choice"), Generation(text), Score(value, "B", Components()), repeat=repeat
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "samples.jsonl"


def write(path, *records):
    with Journal.open(path) as journal:
        for record in records:
            journal.append(record)


def test_records_are_read_back_in_order(path):
    records = [record_of(number) for number in (3, 1, 2)]
    write(path, *records)

    assert list(read_records(path)) == records


def test_empty_journal_has_no_records(path):
    write(path)

    assert path.read_bytes() == b""
    assert list(read_records(path)) == []


def test_there_is_one_line_a_record_and_no_header(path):
    records = [record_of(1), record_of(2)]
    write(path, *records)

    assert path.read_bytes() == b"".join(map(record_line, records))


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
def test_hostile_text_stays_on_one_line(path, text):
    records = [record_of(text, text), record_of("after")]
    write(path, *records)

    assert list(read_records(path)) == records


def test_records_can_be_left_out_and_others_appended(path):
    write(path, *(record_of(number) for number in (1, 2, 3)), record_of(2, "later"))
    with Journal.open(path) as journal:
        assert journal.leave_out({("mmstar", "7", 0)}) == 0
        assert journal.leave_out({("mmstar", "2", 0), ("mmstar", "7", 0)}) == 1
        assert ("mmstar", "2", 0) not in journal.done
        journal.append(record_of(4))

    assert list(read_records(path)) == [record_of(1), record_of(3), record_of(4)]
    assert [name.name for name in path.parent.iterdir() if name.name != LOCK_NAME] == [path.name]


def test_reopened_journal_knows_its_keys_and_appends(path):
    write(path, record_of(1))
    with Journal.open(path) as journal:
        known = set(journal.done)
        journal.append(record_of(2))

    assert known == {("mmstar", "1", 0)}
    assert journal.done == known | {("mmstar", "2", 0)}
    assert [record.sample.id for record in read_records(path)] == ["1", "2"]


def test_later_line_wins_and_keeps_the_earlier_place(path):
    write(path, record_of(1, "old"), record_of(2), record_of(1, "same sample again", repeat=1))
    write(path, record_of(1, "new"))

    assert [(r.sample.id, r.repeat, r.generation.text) for r in read_records(path)] == [
        ("1", 0, "new"),
        ("2", 0, "<answer>B</answer>"),
        ("1", 1, "same sample again"),
    ]
    assert index_journal(path).lines == 4


@pytest.mark.parametrize("torn", [b"{", b'{"task": "mmstar"', b"\x00" * 4096, record_line(record_of(9))[:-1]])
def test_torn_tail_is_passed_over_by_readers_and_cut_off_by_the_next_writer(path, torn):
    write(path, record_of(1))
    whole = path.read_bytes()
    path.write_bytes(whole + torn)

    assert list(read_records(path)) == [record_of(1)]
    with Journal.open(path) as journal:
        assert journal.torn_bytes == len(torn)
        journal.append(record_of(2))
    assert list(read_records(path)) == [record_of(1), record_of(2)]
    with Journal.open(path) as journal:
        assert journal.torn_bytes == 0


@pytest.mark.parametrize("bad", [b"\n", b"{}\n", b"{\n", b"\xff\n", record_line(record_of(9))[:-9] + b"\n"])
def test_corrupt_line_inside_is_an_error_that_names_it_and_changes_nothing(path, bad):
    content = record_line(record_of(1)) + bad + record_line(record_of(2)) + b"{"
    path.write_bytes(content)

    with pytest.raises(CorruptRecordError, match=r"samples\.jsonl line 2 "):
        Journal.open(path)
    with pytest.raises(CorruptRecordError, match=r"samples\.jsonl line 2 "):
        list(read_records(path))
    assert path.read_bytes() == content


def test_wrong_field_of_a_later_line_is_named_with_its_line_when_read(path):
    broken = record_line(record_of(3)).replace(b'"truncated":false', b'"truncated":"no"')
    path.write_bytes(record_line(record_of(1)) + record_line(record_of(2)) + broken)

    with pytest.raises(CorruptRecordError, match=r"samples\.jsonl line 3 .*'truncated'"):
        list(read_records(path))


@pytest.mark.parametrize("text", [*HOSTILE_TEXTS, "plain", "~ !#$[]^_`", "a\x7fb", "\\", "é", '","id":"x","repeat":5,'])
@pytest.mark.parametrize("repeat", [0, 7, 10**12])
def test_key_is_the_same_whether_the_whole_line_is_read_or_its_start(path, text, repeat):
    record = record_of(text, repeat=repeat)
    write(path, replace(record, sample=replace(record.sample, task=text)))

    assert list(index_journal(path).offsets) == list(index_journal(path, check_records=True).offsets)
    assert list(index_journal(path).offsets) == [(text, text, repeat)]


def test_missing_journal_is_a_store_error(path):
    with pytest.raises(StoreError, match=r"cannot read .*samples\.jsonl"):
        list(read_records(path))


def test_second_writer_is_refused_at_once_and_does_no_harm(path):
    with Journal.open(path) as journal:
        journal.append(record_of(1))
        began_s = time.monotonic()
        with pytest.raises(RunLockedError, match="another process is writing the run"):
            Journal.open(path)
        assert time.monotonic() - began_s < 1.0
        journal.append(record_of(2))

    assert len(list(read_records(path))) == 2


def test_second_writer_in_another_process_is_refused(path):
    program = (
        "import sys; from pathlib import Path; from harness.runs.journal import Journal, RunLockedError\n"
        "try:\n    Journal.open(Path(sys.argv[1]))\nexcept RunLockedError as error:\n    print(error)"
    )
    with Journal.open(path):
        done = subprocess.run(
            [sys.executable, "-c", program, str(path)], cwd=HOUSE, capture_output=True, text=True, check=True
        )

    assert "another process is writing the run" in done.stdout


def test_lock_ends_with_close_and_its_file_is_harmless(path):
    write(path, record_of(1))
    (path.parent / LOCK_NAME).touch()
    lock_run(path.parent).release()
    write(path, record_of(2))

    assert len(list(read_records(path))) == 2


def test_failed_opening_gives_the_lock_back(path):
    path.write_bytes(b"not a record\n")
    with pytest.raises(CorruptRecordError):
        Journal.open(path)
    path.unlink()

    write(path, record_of(1))


def test_closed_journal_refuses_records_and_closes_twice(path):
    journal = Journal.open(path)
    journal.close()
    journal.close()
    journal.sync()

    with pytest.raises(ValueError, match="closed"):
        journal.append(record_of(1))


class FullDisk:
    """A disk that takes `room` more bytes, some of them in a short write, and then refuses."""

    def __init__(self, room):
        self.room = room

    def __call__(self, fd, data):
        if self.room <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = os.write(fd, data[: self.room])
        self.room -= taken
        return taken


@pytest.mark.parametrize("room", [0, 1, 100, len(record_line(record_of(2))) - 1])
def test_full_disk_leaves_whole_lines_and_says_how_to_mend_it(path, monkeypatch, room):
    with Journal.open(path) as journal:
        journal.append(record_of(1))
        monkeypatch.setattr(journal_file, "write_bytes", FullDisk(room))
        with pytest.raises(StoreError, match=r"No space left on device.*free space") as caught:
            journal.append(record_of(2))
        assert path.read_bytes() == record_line(record_of(1))
        assert ("mmstar", "2", 0) not in journal.done

        monkeypatch.undo()
        journal.append(record_of(3))
    assert caught.value.errno == errno.ENOSPC
    assert [record.sample.id for record in read_records(path)] == ["1", "3"]


def test_short_writes_are_completed(path, monkeypatch):
    monkeypatch.setattr(journal_file, "write_bytes", lambda fd, data: os.write(fd, data[:7]))
    write(path, record_of(1), record_of(2))

    assert list(read_records(path)) == [record_of(1), record_of(2)]


def test_interrupt_between_two_parts_of_a_line_leaves_whole_lines(path, monkeypatch):
    def interrupted(fd, data):
        os.write(fd, data[:10])
        raise KeyboardInterrupt

    with Journal.open(path) as journal:
        journal.append(record_of(1))
        monkeypatch.setattr(journal_file, "write_bytes", interrupted)
        with pytest.raises(KeyboardInterrupt):
            journal.append(record_of(2))

    assert path.read_bytes() == record_line(record_of(1))


def test_line_that_could_not_be_cut_back_at_once_is_cut_by_the_next_append(path, monkeypatch):
    with Journal.open(path) as journal:
        journal.append(record_of(1))
        monkeypatch.setattr(journal_file, "write_bytes", FullDisk(10))
        monkeypatch.setattr(os, "ftruncate", FullDisk(0))
        with pytest.raises(StoreError):
            journal.append(record_of(2))
        monkeypatch.undo()
        journal.append(record_of(3))

    assert [record.sample.id for record in read_records(path)] == ["1", "3"]


def test_real_file_size_limit_leaves_whole_lines(path):
    program = """
import resource, sys
from pathlib import Path
from harness.runs.journal import Journal, StoreError
from harness.values import Components, Generation, Record, Sample, Score
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
with Journal.open(Path(sys.argv[1])) as journal:
    try:
        for number in range(100):
            sample = Sample(str(number), "mmstar", "choice")
            journal.append(Record(sample, Generation("B"), Score(1.0, "B", Components())))
    except StoreError as error:
        print(len(journal.done), error)
"""
    done = subprocess.run(
        # -B: a .pyc that is beyond the limit would stay, torn
        [sys.executable, "-B", "-c", program, str(path)],
        cwd=HOUSE,
        capture_output=True,
        text=True,
        check=True,
    )
    written, message = done.stdout.split(" ", 1)

    assert "File too large" in message
    assert 0 < int(written) == len(list(read_records(path)))
    assert path.read_bytes().endswith(b"\n")


def test_folder_that_cannot_be_written_is_a_store_error(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(StoreError, match="name a folder with --out"):
        Journal.open(tmp_path / "file" / "samples.jsonl")
    with pytest.raises(StoreError, match="cannot lock"):
        Journal.open(tmp_path / "missing" / "samples.jsonl")


def test_read_only_folder_is_a_store_error(tmp_path):
    as_root = os.geteuid() == 0
    folder = tmp_path / "sealed"
    folder.mkdir()
    folder.chmod(0o555)
    program = (
        "import os, sys; from pathlib import Path; import filelock\n"
        "from harness.runs.journal import Journal, StoreError\n"
        "os.chdir(sys.argv[1])\n"
        + ("os.setuid(65534)\n" if as_root else "")
        + "try:\n    Journal.open(Path('samples.jsonl'))\nexcept StoreError as error:\n    print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder)], cwd=HOUSE, capture_output=True, text=True, check=True
    )

    assert "Permission denied" in done.stdout
    assert "name a writable folder with --out" in done.stdout


def count_syncs(monkeypatch):
    calls = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (calls.append(fd), real(fd))[1])
    return calls


def test_records_are_synced_every_hundred(path, monkeypatch):
    with Journal.open(path, clock=lambda: 0.0) as journal:
        calls = count_syncs(monkeypatch)
        for number in range(2 * SYNC_RECORDS + 1):
            journal.append(record_of(number))
        assert len(calls) == 2
    assert len(calls) == 3


def test_records_are_synced_every_five_seconds(path, monkeypatch):
    now_s = [0.0]
    with Journal.open(path, clock=lambda: now_s[0]) as journal:
        calls = count_syncs(monkeypatch)
        syncs = []
        for now_s[0] in (1.0, 4.9, 5.0, 6.0, 9.9, 10.0):
            journal.append(record_of(now_s[0]))
            syncs.append(len(calls))

    assert syncs == [0, 0, 1, 1, 1, 2]


def test_many_threads_write_whole_lines(path):
    from concurrent.futures import ThreadPoolExecutor

    records = [record_of(number, "x" * (number % 97)) for number in range(400)]
    with Journal.open(path) as journal, ThreadPoolExecutor(8) as pool:
        list(pool.map(journal.append, records))

    assert sorted(read_records(path), key=lambda record: int(record.sample.id)) == records


WRITER = """
import sys
from pathlib import Path
from harness.runs.journal import Journal
from harness.values import Components, Generation, Record, Sample, Score
with Journal.open(Path(sys.argv[1])) as journal:
    print("ready", len(journal.done), journal.torn_bytes, flush=True)
    for number in range(len(journal.done), 10**9):
        sample = Sample(str(number), "mmstar", "choice")
        journal.append(Record(sample, Generation("x" * (number % 5000)), Score(1.0, "B", Components())))
        print(number, flush=True)
"""


def test_kill_9_loses_at_most_the_record_in_flight_and_the_next_writer_goes_on(path):
    rng = random.Random(7)
    acknowledged = -1
    for _ in range(5):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], cwd=HOUSE, stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline().split()[:2] == [b"ready", str(acknowledged + 1).encode()]
            for _ in range(rng.randrange(1, 200)):
                writer.stdout.readline()
            time.sleep(rng.uniform(0, 0.01))
            writer.kill()
            said = [int(line) for line in writer.stdout.read().splitlines(keepends=True) if line.endswith(b"\n")]
        ids = [int(record.sample.id) for record in read_records(path)]
        assert ids == list(range(len(ids)))
        # What was acknowledged is there; at most one more, written but not yet acknowledged.
        assert not said or len(ids) - 1 - said[-1] in (0, 1)
        acknowledged = len(ids) - 1

    assert acknowledged > 5


def test_replacing_leaves_the_old_content_when_the_writer_fails(tmp_path):
    path = tmp_path / "page.html"
    path.write_bytes(b"old")

    def write_half():
        with replacing(path) as file:
            file.write(b"ne")
            raise RuntimeError("half")

    with pytest.raises(RuntimeError, match="half"):
        write_half()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_reading_does_not_hold_the_texts_in_memory(path):
    record = record_of(0, "x" * 20_000)
    path.write_bytes(
        b"".join(record_line(replace(record, sample=replace(record.sample, id=str(n)))) for n in range(500))
    )
    tracemalloc.start()
    try:
        count = sum(1 for _ in read_records(path))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert count == 500
    assert peak < path.stat().st_size / 10
