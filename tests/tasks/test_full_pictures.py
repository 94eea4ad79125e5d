"""A run's page with the pictures of the data at their own size: found by content, or left small and said so."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from harness.files import sums_bytes
from harness.runs.store import file_names, file_sha256
from tasks.full_pictures import find_full_pictures


@pytest.fixture(scope="module")
def questions(invented):
    """Questions with pictures that are larger than thumbnails, and one whose picture is in no data."""
    found = [one for one in invented.shapes_questions(60) if max(one.sample.image_size.width, 1) > 256][:5]
    content = io.BytesIO()
    Image.new("RGB", (300, 20), "red").save(content, format="PNG")
    digest = hashlib.sha256(content.getvalue()).hexdigest()
    return [*found, replace(found[0], sample=replace(found[0].sample, id="elsewhere", image_sha256=digest))]


@pytest.fixture(scope="module")
def run(invented, questions, tmp_path_factory) -> Path:
    return invented.invent_run(tmp_path_factory.mktemp("runs"), invented.Answerer("base"), questions)


def edges(folder: Path) -> dict[str, tuple[int, int]]:
    return {path.stem: Image.open(path).size for path in (folder / "media").iterdir()}


def test_the_page_has_the_pictures_at_their_own_size(run, questions, tmp_path, command):
    code, out, said = command("runs", "page", run, "-o", tmp_path / "page")
    shown = edges(tmp_path / "page")

    assert (code, out.strip()) == (0, str(tmp_path / "page" / "index.html"))
    for question in questions[:5]:
        size = question.sample.image_size
        assert shown[question.sample.image_sha256] == (size.width, size.height)
    assert max(shown[questions[5].sample.image_sha256]) == 256  # its thumbnail
    assert "1 of 6 pictures are not in shapes generator" in said
    assert "the run asked shapes of embedded: say where that is with --data-dir or --dataset" in said
    assert max(map(max, edges(run).values())) == 256


def test_without_the_data_pictures_stay_small_and_the_reason_is_said(run, tmp_path):
    wanted = {"mmstar": {"a" * 64}, "satori": {"b" * 64}}

    found, notes = find_full_pictures(wanted, tmp_path)
    assert found.webp("a" * 64) is None
    assert [note.partition(":")[0] for note in notes] == ["mmstar", "satori"]


def test_pictures_of_benchmarks_are_found_in_their_files(local_data):
    from tasks.catalog import BENCHMARKS
    from tasks.local_data import open_task_data

    data = open_task_data(BENCHMARKS["mmstar"], local_data.parquet)
    image = data[0][data.rows.image_column]

    found, notes = find_full_pictures({"mmstar": {image.sha256}}, local_data.parquet)
    content = found.webp(image.sha256)
    assert notes == []
    assert Image.open(io.BytesIO(content)).size == (image.size.width, image.size.height)


def test_a_run_folder_is_not_written_into_and_a_blind_run_has_none(run, tmp_path, command):
    assert command("runs", "page", run, "-o", run)[0] == 2
    assert command("runs", "page", run, "--data-dir", tmp_path)[0] == 2
    blind = tmp_path / run.name
    shutil.copytree(run, blind)
    manifest = json.loads((blind / "manifest.json").read_text("utf-8"))
    (blind / "manifest.json").write_text(json.dumps(manifest | {"blind": "grey"}), encoding="utf-8")
    (blind / "SHA256SUMS").write_bytes(sums_bytes({name: file_sha256(blind, name) for name in file_names(blind)}))

    code, _, said = command("runs", "page", blind, "-o", tmp_path / "page")
    assert (code, (tmp_path / "page").exists()) == (2, False)
    assert "without its pictures" in said
