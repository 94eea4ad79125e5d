"""What is read of a run is what was published, or is refused by name; a stranger's folder leads nowhere."""

from __future__ import annotations

import json
import os
import shutil
import socket
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.comparison.columns import read_run_table
from harness.comparison.verify_run import verify_run
from harness.errors import ExitCode, UserError
from harness.evaluation.rescore import rescore_run
from harness.runs.store import load_run

CASES = json.loads((Path(__file__).parents[1] / "cases" / "damaged_runs.json").read_text(encoding="utf-8"))
QUESTIONS = 24
SECRET = b"a file of somebody else"


@pytest.fixture(scope="module")
def sound(invented, tmp_path_factory) -> dict[str, Path]:
    """Two runs with pages and pictures, the first scored again."""
    from reports.pages.run_page import renew_page

    root = tmp_path_factory.mktemp("sound")
    questions = invented.shapes_questions(QUESTIONS, "tiny")
    found = {
        name: invented.invent_run(
            root,
            invented.Answerer(name, right=right, near=0.5, seed=1),
            questions,
        )
        for name, right in (("one", 0.5), ("other", 0.7))
    }
    for run in found.values():
        renew_page(run)
    rescore_run(load_run(found["one"]), "paper")
    return found


@pytest.fixture
def run(sound, tmp_path) -> Path:
    return shutil.copytree(sound["one"], tmp_path / "stranger", symlinks=True)


@pytest.fixture
def readers(sound, run, tmp_path):
    """The command lines that read a run."""
    other = sound["other"]
    return {
        "compare": ("compare", other, run, "--json"),
        "gate": ("gate", run, "--baseline", other, "--json"),
        "leaderboard": ("leaderboard", run, other, "-o", tmp_path / "site", "--json"),
        "rescore": ("rescore", run, "--json"),
        "runs show": ("runs", "show", run),
        "runs page": ("runs", "page", run),
        "bundle": ("compare", run, other, "--bundle", "-o", tmp_path / "bundle"),
        "page": ("compare", run, other, "-o", tmp_path / "page.html"),
    }


def value_of(to):
    """Return what a case means: JSON has no infinity, and no number of 400 digits that every reader takes."""
    if isinstance(to, list):
        return [value_of(item) for item in to]
    return {"nan": float("nan"), "inf": float("inf"), "10**400": 10**400}.get(to, to) if isinstance(to, str) else to


def damage(folder: Path, case: dict) -> None:
    path, do = folder / case["file"], case.get("do")
    content = path.read_bytes()
    if do in {"empty", "cut", "text", "lists", "deep"}:
        whole = {"empty": b"", "cut": content[: len(content) * 2 // 3], "text": b"\xff no table", "lists": b"[1]\n"}
        path.write_bytes({**whole, "deep": b"[" * 100_000}[do])
    elif case["file"].endswith(".parquet"):
        path.unlink()
        pq.write_table(damaged_table(pq.read_table(pa.BufferReader(content)), case), path)
    else:
        *lines, _ = content.split(b"\n") if path.suffix == ".jsonl" else (content, b"")
        fields = json.loads(lines[0])
        *above, name = case["at"]
        inside = fields
        for key in above:
            inside = inside[key]
        inside[name] = value_of(case["to"])
        path.write_bytes(b"\n".join([json.dumps(fields).encode(), *lines[1:], b""]))


def damaged_table(table: pa.Table, case: dict) -> pa.Table:
    name, do = case.get("column"), case.get("do")
    if do == "repeat a row":
        return pa.concat_tables([table, table.slice(3, 1)])
    if do == "other table":
        return pa.table({"x": [1, 2], "y": ["a", "b"]})
    place = table.schema.get_field_index(name)
    if do == "drop":
        return table.drop_columns([name])
    if do == "double":
        return table.append_column(name, table.column(name))
    if do == "cast":
        return table.set_column(place, name, table.column(name).cast(case["type"]))
    if do == "replace":
        return table.set_column(place, name, pa.array([date(2026, 1, 1)] * len(table)))
    column = table.column(name).to_pylist()
    column[0] = value_of(case["to"])
    table = table.set_column(place, name, pa.array(column, type=table.schema.field(name).type))
    if "task" in case:
        tasks = [case["task"]] * len(table)
        table = table.set_column(table.schema.get_field_index("task"), "task", pa.array(tasks))
    return table


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_damage_with_sums_made_anew_ends_in_5_or_changes_nothing_that_crashes(command, run, readers, renew_sums, case):
    damage(run, case)
    renew_sums(run)
    ends = {name: command(*line) for name, line in readers.items() if name in {*case["refused_by"], "compare", "page"}}
    verified = command("runs", "verify", run)

    assert {name: ends[name][0] for name in case["refused_by"]} == dict.fromkeys(
        case["refused_by"], ExitCode.INCOMPLETE
    )
    assert all(case["says"] in ends[name][2] for name in case["refused_by"])
    assert not any("this is a bug" in err for _, _, err in ends.values())
    assert verified[0] == ExitCode.INCOMPLETE
    assert case.get("verify_says", case["says"]) in verified[1]


def shown(folder: Path) -> list[object]:
    """Return everything that readers take from a run: scores, records, columns, page, pictures."""
    from reports.pages.explorer_blocks import PictureBook
    from reports.pages.run_page import stored_run_page

    stored = load_run(folder)
    book = PictureBook([stored.files], None)
    tables = [read_run_table(stored), read_run_table(stored, "paper")]
    columns = [(one.tasks, one.ids, one.values.tobytes(), one.ious.tobytes(), one.faults.tobytes()) for one in tables]
    return [
        stored.manifest, stored.scores, stored.rescored, list(stored.records()), list(stored.records("paper")),
        columns, stored_run_page(stored, book), list(book.pictures()),
    ]  # fmt: skip


def test_no_flipped_bit_in_any_file_changes_what_is_shown(run):
    expected = shown(run)
    rng = np.random.default_rng(0)
    files = sorted(path for path in run.rglob("*") if path.is_file())
    refused = 0
    media = [path for path in files if path.suffix == ".webp"]
    for path in [path for path in files if path not in media[2:]]:
        content = path.read_bytes()
        for bit in rng.integers(0, 8 * len(content), size=12).tolist():
            flipped = bytearray(content)
            flipped[bit // 8] ^= 1 << bit % 8
            path.write_bytes(flipped)
            try:
                found = shown(run)
            except UserError as fault:
                found = expected if "runs verify" in str(fault) else [fault]
                refused += fault.exit_code == ExitCode.INCOMPLETE
            assert found == expected, (path.name, bit)
        path.write_bytes(content)

    assert refused > 12 * 6, "every file but the page is looked at"
    assert shown(run) == expected


@pytest.mark.parametrize("name", ["samples.parquet", "scores.json", "samples.jsonl", "manifest.json"])
def test_a_changed_file_is_named_with_the_way_to_see_more(command, run, readers, name):
    content = bytearray((run / name).read_bytes())
    content[len(content) // 2] ^= 1
    (run / name).write_bytes(content)
    reading = {
        "samples.parquet": ["compare", "gate", "leaderboard"],
        "samples.jsonl": ["rescore", "runs page", "leaderboard"],
    }.get(name, ["compare", "gate", "leaderboard", "rescore", "runs show", "runs page"])
    ends = [command(*readers[reader]) for reader in reading]

    assert [code for code, _, _ in ends] == [ExitCode.INCOMPLETE] * len(reading)
    assert all(f"{run / name} was changed after the run was published" in err for _, _, err in ends)
    assert all(f"satori-bench runs verify {run}" in err for _, _, err in ends)


def test_a_run_of_a_version_without_page_checksums_is_read(run, renew_sums):
    expected = shown(run)
    for path in run.glob("*.parquet"):
        pq.write_table(pq.read_table(pa.BufferReader(path.read_bytes())), path, compression="zstd")
    renew_sums(run)

    assert shown(run) == expected
    assert verify_run(run) == []


def test_a_page_of_a_table_carries_a_checksum_of_its_own(run, renew_sums):
    """A flip that somebody made sums of is still found by Arrow where it hits a page."""
    path = run / "samples.parquet"
    content = bytearray(path.read_bytes())
    content[200] ^= 1
    path.write_bytes(content)
    renew_sums(run)
    with pytest.raises(UserError, match=r"samples\.parquet cannot be used") as found:
        read_run_table(load_run(run))

    assert found.value.exit_code == ExitCode.INCOMPLETE


class TestVerify:
    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (lambda text: "", "SHA256SUMS is empty"),
            (lambda text: text[: len(text) // 2], "SHA256SUMS is cut off"),
            (lambda text: "\n".join(text.split("\n")[1:]), "is not in SHA256SUMS"),
            (
                lambda text: "\n".join(line for line in text.split("\n") if "scores.json" not in line),
                "'scores.json' is",
            ),
            (lambda text: text + text.split("\n")[0] + "\n", "names 'index.html' again"),
            (lambda text: text.replace("  ", " ", 1), "line 1 is not a checksum and a file name"),
        ],
        ids=["empty", "cut", "first line missing", "scores missing", "a line twice", "no line"],
    )
    def test_a_damaged_list_of_sums_is_found(self, run, command, change, said):
        sums = run / "SHA256SUMS"
        sums.write_text(change(sums.read_text()))
        code, out, _ = command("runs", "verify", run)

        assert code == ExitCode.INCOMPLETE
        assert said in out

    @pytest.mark.parametrize("name", ["samples.jsonl", "samples.parquet", "scores.json", "manifest.json", "SHA256SUMS"])
    @pytest.mark.parametrize("kind", ["link", "pipe", "folder", "socket"])
    def test_what_is_no_plain_file_is_named_and_never_waited_for(self, run, tmp_path, command, readers, name, kind):
        path = run / name
        path.rename(tmp_path / "moved")
        if kind == "link":
            path.symlink_to(tmp_path / "moved")
        elif kind == "pipe":
            os.mkfifo(path)
        elif kind == "folder":
            path.mkdir()
        else:
            with socket.socket(socket.AF_UNIX) as bound:
                os.chdir(run)
                bound.bind(name)
        code, out, _ = command("runs", "verify", run)
        reading = {"samples.parquet": "compare", "samples.jsonl": "rescore"}.get(name, "runs show")
        ends = [command(*readers[reader]) for reader in ("leaderboard", reading)]

        assert code == ExitCode.INCOMPLETE
        assert name in out
        assert [code for code, _, _ in ends] == [ExitCode.INCOMPLETE] * 2
        assert not any("this is a bug" in err for _, _, err in ends)

    def test_a_stray_pipe_and_a_link_to_nowhere_are_found(self, run, command):
        os.mkfifo(run / "media" / "wait")
        (run / "gone").symlink_to("/nowhere")
        (run / "etc").symlink_to("/etc")
        _, out, _ = command("runs", "verify", run)

        assert "'media/wait' is a named pipe" in out
        assert "'gone' is a symbolic link" in out
        assert "'etc' is a symbolic link" in out

    def test_a_text_that_did_not_earn_its_score_is_found(self, run, command, renew_sums):
        lines = [json.loads(line) for line in (run / "samples.jsonl").read_text(encoding="utf-8").splitlines()]
        place = next(number for number, line in enumerate(lines) if line["score"] == 1)
        lines[place]["text"] = "nothing of the kind"
        (run / "samples.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
        table = pq.read_table(pa.BufferReader((run / "samples.parquet").read_bytes()))
        row = table.column("id").to_pylist().index(lines[place]["id"])
        texts = table.column("text").to_pylist()
        texts[row] = "nothing of the kind"
        column = table.schema.get_field_index("text")
        (run / "samples.parquet").unlink()
        pq.write_table(table.set_column(column, "text", pa.array(texts)), run / "samples.parquet")
        renew_sums(run)

        code, out, _ = command("runs", "verify", run)

        assert code == ExitCode.INCOMPLETE
        assert "1 samples whose scores are not those of their texts" in " ".join(out.split())
        assert lines[place]["id"] in out

    def test_a_sound_run_is_ok_and_so_is_one_scored_again(self, sound):
        assert [verify_run(path) for path in sound.values()] == [[], []]


class TestStrangers:
    """A folder of somebody else: whatever lies in it, only checked numbers and pictures come out."""

    @pytest.fixture
    def secret(self, tmp_path) -> Path:
        path = tmp_path / "secret.txt"
        path.write_bytes(SECRET)
        return path

    @pytest.fixture
    def published(self, run, command, readers, renew_sums):
        """The run, and what reads it once its sums are made anew."""

        def read(reader: str):
            renew_sums(run)
            return command(*readers[reader])

        return run, read

    def leaked(self, tmp_path, run) -> list[Path]:
        files = [path for path in tmp_path.rglob("*") if path.is_file() and run not in path.parents]
        return [path for path in files if path.name != "secret.txt" and SECRET in path.read_bytes()]

    def test_a_page_is_rendered_anew(self, run, tmp_path, command, readers, renew_sums):
        (run / "index.html").write_text("<script>stolen()</script>")
        renew_sums(run)
        code, _, err = command(*readers["leaderboard"])
        page = (tmp_path / "site" / "runs" / "stranger" / "index.html").read_text()

        assert code == ExitCode.OK, err
        assert "stolen()" not in page
        assert "samples" in page

    def test_a_linked_page_is_not_published(self, run, secret, tmp_path, command, readers):
        (run / "index.html").unlink()
        (run / "index.html").symlink_to(secret)
        command(*readers["leaderboard"])

        assert self.leaked(tmp_path, run) == []

    @pytest.mark.parametrize("reader", ["leaderboard", "bundle", "page", "runs page"])
    @pytest.mark.parametrize("kind", ["file", "folder"])
    def test_a_linked_picture_is_refused(self, published, secret, tmp_path, reader, kind):
        run, read = published
        picture = next((run / "media").iterdir())
        if kind == "file":
            picture.unlink()
            picture.symlink_to(secret)
        else:
            shutil.copytree(run / "media", tmp_path / "elsewhere")
            (tmp_path / "elsewhere" / picture.name).write_bytes(SECRET)
            shutil.rmtree(run / "media")
            (run / "media").symlink_to(tmp_path / "elsewhere")
        code, _, err = read(reader)

        assert code == ExitCode.INCOMPLETE
        assert "symbolic link" in err
        assert [path for path in self.leaked(tmp_path, run) if "elsewhere" not in path.parts] == []

    @pytest.mark.parametrize("reader", ["leaderboard", "bundle", "page"])
    @pytest.mark.parametrize(
        "content",
        [SECRET, b"RIFF\x10\0\0\0WEBPVP8 " + SECRET, b"<svg onload=alert(1)>", b"", b"RIFF" + bytes(300_000)],
        ids=["text", "more than it says", "svg", "empty", "too long"],
    )
    def test_what_is_no_thumbnail_is_refused(self, published, tmp_path, reader, content):
        run, read = published
        picture = next((run / "media").iterdir())
        picture.write_bytes(content)
        code, _, err = read(reader)

        assert code == ExitCode.INCOMPLETE
        assert picture.name in err
        assert self.leaked(tmp_path, run) == []

    def test_what_else_lies_in_media_is_not_published(self, run, tmp_path, command, readers):
        (run / "media" / "script.js").write_bytes(SECRET)
        (run / "media" / f"{'0' * 64}.webp").write_bytes(SECRET)
        code, _, err = command(*readers["leaderboard"])

        assert code == ExitCode.OK, err
        assert self.leaked(tmp_path, run) == []

    def test_links_that_wait_for_a_temporary_file_are_not_written_through(self, run, secret, command, readers):
        names = ["SHA256SUMS", "index.html", "scores-strict.json", "samples-strict.parquet", "scores-paper.json"]
        for name in names:
            (run / f"{name}.tmp").symlink_to(secret)
        codes = [command(*readers[reader])[0] for reader in ("rescore", "runs page")]

        assert codes == [ExitCode.OK, ExitCode.OK]
        assert secret.read_bytes() == SECRET

    @pytest.mark.parametrize("reader", ["rescore", "runs page"])
    def test_a_linked_lock_is_not_emptied(self, run, secret, command, readers, reader):
        (run / ".lock").symlink_to(secret)
        code, _, err = command(*readers[reader])

        assert secret.read_bytes() == SECRET
        assert code == ExitCode.INCOMPLETE
        assert ".lock is a symbolic link" in err

    def test_a_linked_journal_of_an_unfinished_run_is_not_appended_to(self, invented, sound, secret, tmp_path):
        from harness.runs.store import open_run

        manifest = load_run(sound["one"]).manifest
        with open_run(tmp_path / "runs", manifest, now=datetime(2026, 1, 1, tzinfo=UTC)) as begun:
            folder = begun.folder
        (folder / "samples.jsonl").unlink()
        secret.write_bytes(b"")
        (folder / "samples.jsonl").symlink_to(secret)
        with pytest.raises(UserError, match="symbolic link"):
            open_run(tmp_path / "runs", manifest, now=datetime(2026, 1, 2, tzinfo=UTC))

        assert secret.read_bytes() == b""

    def test_nothing_is_written_through_links_of_an_old_site(self, run, secret, tmp_path, command, readers):
        (tmp_path / "site" / "runs").mkdir(parents=True)
        (tmp_path / "outside").mkdir()
        (tmp_path / "outside" / "keep").write_bytes(SECRET)
        (tmp_path / "site" / "runs" / "stranger").symlink_to(tmp_path / "outside")
        code, _, err = command(*readers["leaderboard"])

        assert code == ExitCode.USAGE
        assert "symbolic link" in err
        assert [path.name for path in (tmp_path / "outside").iterdir()] == ["keep"]


class TestRetry:
    """Whose server a retry asks, and who gets the key."""

    @pytest.fixture
    def asked(self, run, renew_sums) -> Path:
        """A run whose manifest names a server, and that has something to retry."""
        manifest = json.loads((run / "manifest.json").read_text())
        manifest["arguments"] = {"model": "m", "backend": "openai", "base_url": "http://127.0.0.1:9/v1"}
        (run / "manifest.json").write_text(json.dumps(manifest))
        lines = (run / "samples.jsonl").read_text().splitlines()
        lines[0] = json.dumps(json.loads(lines[0]) | {"error": "refused", "score": None, "faults": ["error"]})
        (run / "samples.jsonl").write_text("\n".join(lines) + "\n")
        renew_sums(run)
        return run

    def test_a_key_goes_to_no_address_that_only_the_run_names(self, asked, command, monkeypatch):
        monkeypatch.setenv("OPENAI_API_KEY", "sk-mine")
        code, _, err = command("run", "--retry", asked)

        assert code == ExitCode.USAGE
        assert "add --base-url" in err
        assert "http://127.0.0.1:9/v1" in err
        assert "sk-mine" not in err

    @pytest.mark.parametrize("way", ["flag", "variable", "no key"])
    def test_an_address_that_is_given_or_no_key_goes_on(self, asked, command, monkeypatch, way):
        for name in ("OPENAI_API_KEY", "SATORI_BENCH_API_KEY"):
            monkeypatch.delenv(name, raising=False)
        if way != "no key":
            monkeypatch.setenv("OPENAI_API_KEY", "sk-mine")
        if way == "variable":
            monkeypatch.setenv("SATORI_BENCH_BASE_URL", "http://127.0.0.1:9/v1")
        given = ("--base-url", "http://127.0.0.1:9/v1") if way == "flag" else ()
        _, _, err = command("run", "--retry", asked, *given)

        assert "a key goes only to an address" not in err

    @pytest.mark.parametrize(
        "arguments",
        [
            {"model": 3},
            {},
            {"model": "m", "limit": "all"},
            {"model": "m", "protocol": "mine"},
            {"model": "m", "out": 1},
        ],
    )
    def test_a_configuration_that_run_never_wrote_is_damage(self, asked, command, renew_sums, arguments):
        manifest = json.loads((asked / "manifest.json").read_text()) | {"arguments": arguments}
        (asked / "manifest.json").write_text(json.dumps(manifest))
        renew_sums(asked)
        code, _, err = command("run", "--retry", asked)

        assert code == ExitCode.INCOMPLETE
        assert "`arguments`" in err
