"""`data verify` and `data build` as people use them."""

import json

import pytest

from harness.errors import ExitCode
from satori_bench.verbs.data import data_verify
from tasks.shapes import PROFILES
from training.data.shapes import LabelNoise, shapes_examples
from training.data.sources import SOURCE_FORMATS
from training.data.store import read_examples


def test_shapes_are_built_with_noise_and_kinds(command, tmp_path):
    code, out, _ = command(
        "data", "build", "shapes", "-o", "a.parquet", "--limit", 12, "--noise", 0.3, "--seed", 2, "--kinds",
        "colour, count", "--json",
    )  # fmt: skip

    table = read_examples(tmp_path / "a.parquet")
    assert code == ExitCode.OK
    assert list(table) == list(shapes_examples("tiny", 12, 2, noise=LabelNoise(), kinds=["colour", "count"]))
    assert json.loads(out)["built"]["data_hash"] == table.data_hash
    assert json.loads(out)["schema"] == 1


def test_verify_of_good_data_is_ok_and_says_so(command, vqa_verify):
    code, out, _ = command("data", "verify", vqa_verify.parquet, vqa_verify.swift)

    assert code == ExitCode.OK
    assert "24 of 24 rows remain" in out
    assert "12 duplicate (kept)" in out


def test_verify_of_faulty_data_exits_with_two_and_a_report(command, vqa_verify, tmp_path):
    (tmp_path / "bad.jsonl").write_text('{"question": "q"}\n\u202e\n')

    code, out, _ = command("data", "verify", "bad.jsonl", "--json")

    assert code == ExitCode.USAGE
    report = json.loads(out)
    assert (report["rows"], report["usable"], report["faulty"]) == (2, 0, 2)
    assert report["files"][0]["faults"] == {"unreadable_row": 1, "no_answer": 1}


def test_a_refused_build_says_why_on_stderr_and_writes_nothing(command, tmp_path):
    (tmp_path / "bad.jsonl").write_text('{"question": "q"}\n')

    code, out, err = command("data", "build", "bad.jsonl", "-o", "out.parquet", "--drop-faulty")

    assert (code, out) == (ExitCode.USAGE, "")
    assert "no row can be used" in err
    assert not (tmp_path / "out.parquet").exists()


def test_overlap_with_a_local_benchmark_is_found(command, local_data, tmp_path):
    import pyarrow.parquet as pq

    [file] = (local_data.parquet / "mmstar").glob("*.parquet")
    image = pq.read_table(file, columns=["image"]).to_pylist()[3]["image"]
    data = image["bytes"] if isinstance(image, dict) else image
    (tmp_path / "stolen.png").write_bytes(data)
    (tmp_path / "a.jsonl").write_text(json.dumps({"image": "stolen.png", "question": "q", "answers": "a"}))

    code, out, _ = command(
        "data", "verify", "a.jsonl", "--benchmarks", "mmstar", "--data-dir", local_data.parquet
    )  # fmt: skip

    assert code == ExitCode.USAGE
    assert "benchmark_image (dropped)" in out
    assert "row 1: of mmstar" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["shape"], "Did you mean 'shapes'"),
        (["data.parquet"], "no such file"),
        (["shapes", "--benchmarks", "mmstr"], "mmstar"),
        (["shapes", "--kinds", "colours"], "Did you mean 'colour'"),
        (["shapes", "--noise", "2"], "0<=x<=1"),
        (["owner/data", "--noise", "0.3"], "for shapes only"),
        (["shapes", "--images", "nowhere", "--limit", "0"], "x>=1"),
        ([], "Missing argument"),
    ],
)
def test_wrong_options_are_told_what_to_do(command, arguments, message):
    code, _, err = command("data", "verify", *arguments)

    assert code == ExitCode.USAGE
    assert message in err


def test_the_command_offers_every_format_and_profile():
    options = {option.name: option for option in data_verify.params}

    assert tuple(options["source_format"].type.choices) == SOURCE_FORMATS
    assert set(options["profile"].type.choices) == set(PROFILES)
