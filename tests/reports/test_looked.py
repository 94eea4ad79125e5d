"""The section of a run's page that tells where its texts attended."""

import json
import re

import msgspec
import numpy as np
import pytest

from harness.files import DamagedRunError
from harness.images.cells import grid_of_whole_image
from harness.probes.attended import region_attended
from harness.probes.attention_records import AttentionRecord, SpanAttention, attention_lines
from harness.probes.attention_summary import attention_scores, summarise_attention
from harness.probes.probe_records import ProbeRecord, probe_lines
from harness.probes.probe_summary import ProbedSample, probe_scores, read_probe_scores, summarise_probes
from harness.probes.variants import ProbePlan
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


@pytest.mark.parametrize("name", ["attention.json", "attention.jsonl", "probes.json"])
@pytest.mark.parametrize("content", [b"{}", b'{"schema_version": 2, "tasks": {}}', b"[" * 10_000, b"\xff"])
def test_a_file_that_is_none_of_ours_is_damage(looked_at, name, content):
    add_files(looked_at, {name: content})

    with pytest.raises(DamagedRunError, match=name):
        stored_run_page(load_run(looked_at))


PROBES = ProbePlan(fills=("mean",), controls=1)


def probes_of(records, *, is_format_ok=lambda operation: True, task=None, backend="hf"):
    """Return the content of `probes.json` where every second answer goes with the named box, none with a random one."""
    probed = []
    for number, record in enumerate(records):
        key = (task or record.sample.task, record.sample.id)
        rows = []
        for operation, target, stays in (
            ("repeat", "none", True),
            ("blank", "none", False),
            ("remove", "named", number % 2 == 0),
            ("remove", "random", True),
            ("keep", "named", True),
            ("keep", "random", False),
        ):
            rows.append(
                ProbeRecord(
                    task=key[0], id=key[1], operation=operation, target=target, text="", answer="red", is_same=stays,
                    is_format_ok=is_format_ok(operation), value=float(stays), area_share=0.1, overlap_with_named=0.0,
                )
            )  # fmt: skip
        probed.append(ProbedSample(key, record.sample.cluster_id, "ok", 1.0, is_format_ok=True, records=tuple(rows)))
    found = summarise_probes(probed, PROBES)
    return scores_bytes(probe_scores(found, probed, PROBES, told={"contrast": "none", "backend": backend}))


def section(page):
    return re.search(r'<details class="part" id="looked".*?</details>', page, re.DOTALL)[0]


def test_with_probes_the_section_says_whether_looking_there_mattered(looked_at):
    run = load_run(looked_at)
    add_files(looked_at, {"probes.json": probes_of(run.records())})

    shown = section(stored_run_page(load_run(looked_at)).decode())

    assert "Where did it look, and did it matter?" in shown
    assert "removing the box it named changed the answer 50.0 points more often than removing a random box" in shown
    assert "10 of 10 samples have a score" in shown
    assert "named box removed: 50.0 %" in shown
    assert "necessity above 10.0 points, by same answer" in shown
    assert '<th scope="row">right answer</th><td class="num">5</td><td class="num">5</td>' in shown
    assert "times as dense" in shown
    assert not re.search(r"proves|understands|explains|faithful", shown)


def test_probes_alone_have_the_section_too(make_run):
    folder = make_run("probed", [row(number) for number in range(10)])
    content = probes_of(load_run(folder).records(), task=HOSTILE)
    add_files(folder, {"probes.json": content})

    page = stored_run_page(load_run(folder)).decode()

    assert "Did the named region matter?" in section(page)
    assert "Attention" not in section(page)
    assert HOSTILE not in page


@pytest.mark.parametrize(
    ("backend", "words"),
    [
        ("hf", "through transformers; no probabilities were asked for."),
        ("vllm", "through vLLM; no probabilities were asked for."),
        ("openai", "through a server, which gives answers and no probabilities."),
    ],
)
def test_what_asked_is_named_and_what_it_does_not_give(looked_at, backend, words):
    add_files(looked_at, {"probes.json": probes_of(load_run(looked_at).records(), backend=backend)})

    assert f"The edited pictures were asked about {words}" in section(stored_run_page(load_run(looked_at)).decode())


def test_a_number_that_is_withheld_is_nowhere_shown_as_one(looked_at):
    content = probes_of(load_run(looked_at).records(), is_format_ok=lambda operation: operation != "keep")
    add_files(looked_at, {"probes.json": content})

    shown = section(stored_run_page(load_run(looked_at)).decode())

    assert "named box alone: not interpretable" in shown
    assert "Withheld, keep: not interpretable for this model: 0 % of texts keep the format where it was 100 %" in shown
    kept = re.search(r'<th scope="row">named box alone</th>(.*?)</tr>', shown)[1]
    assert re.findall(r">([^<]+)</td>", kept)[:2] == ["not interpretable"] * 2
    assert "sufficiency: not interpretable for this model" in shown
    assert "named box removed: 50.0 %" in shown


@pytest.mark.parametrize(
    "spoil",
    [
        lambda found: found.update(schema_version=3),
        lambda found: found["tasks"]["shapes"]["fills"]["mean"]["scores"].clear(),
        lambda found: found["tasks"]["shapes"]["fills"]["mean"]["edits"][0].update(target="named"),
        lambda found: found["tasks"]["shapes"]["fills"]["mean"]["edits"][0]["kept"].update(value=1.5),
        lambda found: found["tasks"]["shapes"]["fills"]["mean"]["scores"]["same"]["necessity"].update(ci_low=-7),
        lambda found: found["tasks"]["shapes"]["fills"].update(purple={}),
        lambda found: found["samples"][0].update(necessity=1e300),
        lambda found: found["samples"][0].update(status="fine"),
    ],
)
def test_probes_that_no_probe_gives_are_damage(looked_at, spoil):
    found = json.loads(probes_of(load_run(looked_at).records()))
    spoil(found)
    add_files(looked_at, {"probes.json": json.dumps(found).encode()})

    with pytest.raises(DamagedRunError, match=r"probes\.json"):
        stored_run_page(load_run(looked_at))


class OneThumbnail:
    """Stands for the thumbnails of a run whose samples all show one picture."""

    names = ("one.webp",)

    def number(self, sha256):
        return 0

    def number_of_crop(self, sha256, image):
        return -1


def edit_lines(records):
    """Return `probes.jsonl` of all samples: hostile answers, boxes that overlap and one that is none."""
    rows = []
    for record in records:
        for operation, target in (("repeat", "none"), ("remove", "named"), ("remove", "random"), ("keep", "named")):
            boxes = () if operation == "repeat" else ((0, 0, 10, 10), (5, 5, 15, 15), (9, 9, 3, 3))
            rows.append(
                ProbeRecord(
                    task="shapes", id=record.sample.id, operation=operation, target=target, boxes_px=boxes,
                    answer=HOSTILE, is_same=operation == "repeat",
                )
            )  # fmt: skip
    return probe_lines(rows)


def test_lines_that_no_probe_writes_are_damage(looked_at):
    add_files(looked_at, {"probes.json": probes_of(load_run(looked_at).records()), "probes.jsonl": b"{}\n"})

    with pytest.raises(DamagedRunError, match=r"probes\.jsonl"):
        stored_run_page(load_run(looked_at))


def test_some_samples_are_drawn_as_they_were_asked_about(looked_at):
    records = list(load_run(looked_at).records())
    add_files(looked_at, {"probes.json": probes_of(records), "probes.jsonl": edit_lines(records)})

    page = stored_run_page(load_run(looked_at), OneThumbnail()).decode()

    shown = section(page)
    samples = shown.count('<clipPath id="kept-')
    assert 2 <= samples <= 6
    assert len(set(re.findall(r'clipPath id="(kept-\d+)"', shown))) == samples
    assert shown.count("strongest necessity</a>") == shown.count("weakest necessity</a>") == 1
    assert shown.count("named box alone: &lt;script&gt;") == samples
    assert shown.count('<rect class="filled" x=') == 2 * 2 * samples
    assert HOSTILE not in page


def test_a_pasted_region_is_drawn_as_large_as_the_box_that_it_covers(looked_at):
    records = list(load_run(looked_at).records())
    lines = [
        ProbeRecord(
            task="shapes", id=record.sample.id, operation="paste", target="named", answer=HOSTILE,
            boxes_px=((0, 0, 10, 8), (1, 1, 5, 5)), source_px=((20, 5, 30, 13),),
        )
        for record in records
    ]  # fmt: skip
    add_files(looked_at, {"probes.json": probes_of(records), "probes.jsonl": probe_lines(lines)})

    page = stored_run_page(load_run(looked_at), OneThumbnail()).decode()

    shown = section(page)
    ids = re.findall(r'<clipPath id="(pasted-\d+-\d+)"><rect class="" x="0" y="0" width="10" height="8"', shown)
    assert len(set(ids)) == len(ids) >= 2
    # the source at 20, 5 comes to lie at 0, 0
    moved = r'x="-20" y="-5" width="40" height="20" preserveAspectRatio="none" clip-path="url\(#(pasted-\d+-\d+)\)"'
    assert re.findall(moved, shown) == ids
    assert "named box pasted over:<br>&lt;script" in shown
    assert HOSTILE not in page


def test_where_necessity_is_withheld_no_sample_is_drawn_by_it(looked_at):
    records = list(load_run(looked_at).records())
    content = probes_of(records, is_format_ok=lambda operation: operation != "remove")
    add_files(looked_at, {"probes.json": content, "probes.jsonl": edit_lines(records)})

    assert "Some samples, edited" not in stored_run_page(load_run(looked_at), OneThumbnail()).decode()


def test_what_a_probe_stores_is_read_again(looked_at):
    found = read_probe_scores(probes_of(load_run(looked_at).records()), "probes.json")

    assert found.plan == PROBES
    assert found.tasks["shapes"].fills["mean"].scores["same"].necessity.value == 0.5
    assert len(found.samples) == 10


def test_what_a_probe_stored_before_there_were_pastes_and_steps_is_read(looked_at):
    content = probes_of(load_run(looked_at).records())
    old = json.loads(content) | {"schema_version": 1}
    for name in ("pasted", "stepped"):
        del old[name]
    for task in old["tasks"].values():
        del task["pasted"], task["steps"]
    del old["plan"]["steps"]

    found = read_probe_scores(json.dumps(old).encode(), "probes.json")

    assert msgspec.structs.replace(found, schema_version=2) == read_probe_scores(content, "probes.json")


@pytest.mark.parametrize("name", ["../attention.json", "samples.jsonl", "attention.txt", ".attention.json", ""])
def test_nothing_else_is_added_to_a_run(looked_at, name):
    with pytest.raises(ValueError, match="cannot be added"):
        add_files(looked_at, {name: b""})
