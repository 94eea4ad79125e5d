"""The section of a run's page that tells where its texts attended."""

import numpy as np
import pytest

from harness.files import DamagedRunError
from harness.images.cells import grid_of_whole_image
from harness.probes.attended import region_attended
from harness.probes.attention_records import AttentionRecord, SpanAttention, attention_lines
from harness.probes.attention_summary import attention_scores, summarise_attention
from harness.runs.store import add_files, load_run, scores_bytes
from harness.values import Size
from reports.pages.run_page import stored_run_page

HOSTILE = "<script>alert(1)</script>"


def row(number: int) -> dict:
    return {
        "id": f"{HOSTILE}{number}",
        "task": "shapes",
        "prediction": "<caption>c</caption><bbox>[[0,0,10,10]]</bbox><answer>red</answer>",
        "answers": ["red"],
        "boxes": [[0, 0, 10, 10]],
        "width": 40,
        "height": 20,
        "category": HOSTILE,
    }


@pytest.fixture
def looked_at(make_run):
    """A run of ten samples with attention of all, most of it in the box of the first."""
    folder = make_run("looked", [row(number) for number in range(10)])
    run = load_run(folder)
    records = list(run.records())
    grid = grid_of_whole_image(2, 4, Size(40, 20))
    attended = []
    for number, record in enumerate(records):
        cells = np.full((2, 4), 0.01)
        cells[0, 0] = 0.5 / (number + 1)
        region = region_attended(cells, grid, record.score.boxes_image_px)
        levels = tuple(int(cell / cells.max() * 255) for cell in cells.ravel())
        span = SpanAttention(rows=3, image_mass=float(cells.sum()), named=region, gold=region, cells=levels)
        attended.append(
            AttentionRecord(
                task="shapes", id=record.sample.id, status="ok", grid=(2, 4), grid_image_px=grid.area_image_px,
                layers=2, spans={"boxes": span},
            )
        )  # fmt: skip
    scores = attention_scores(summarise_attention(records, attended, seed=0), seed=0, limit=None, samples=10)
    add_files(folder, {"attention.jsonl": attention_lines(attended), "attention.json": scores_bytes(scores)})
    return folder


def test_the_section_shows_densities_and_maps_and_escapes_what_a_run_says(looked_at):
    page = stored_run_page(load_run(looked_at)).decode()

    assert "Where did it look?" in page
    assert page.count('<svg class="map"') == 8
    assert page.count('class="named-box"') == 8
    assert HOSTILE not in page
    assert "times as dense" in page
    assert "never says that the answer came from there" in page


def test_a_run_that_nobody_looked_at_has_no_section(make_run):
    page = stored_run_page(load_run(make_run("plain", [row(0)]))).decode()

    assert "Where did it look?" not in page


@pytest.mark.parametrize("name", ["attention.json", "attention.jsonl"])
@pytest.mark.parametrize("content", [b"{}", b'{"schema_version": 2, "tasks": {}}', b"[" * 10_000, b"\xff"])
def test_a_file_that_is_none_of_ours_is_damage(looked_at, name, content):
    add_files(looked_at, {name: content})

    with pytest.raises(DamagedRunError, match=name):
        stored_run_page(load_run(looked_at))


@pytest.mark.parametrize("name", ["../attention.json", "samples.jsonl", "attention.txt", ".attention.json", ""])
def test_nothing_else_is_added_to_a_run(looked_at, name):
    with pytest.raises(ValueError, match="cannot be added"):
        add_files(looked_at, {name: b""})
