"""Runs beside each other, in where they looked and in whether that mattered: `compare` and the leaderboard."""

import csv
import io
import json

import pytest

from harness.comparison.compare import SideSpec, compare_runs
from harness.comparison.to_json import comparison_to_json
from harness.probes.attended import AttendedRegion
from harness.probes.attention_records import AttentionRecord, SpanAttention, attention_lines
from harness.probes.probe_records import ProbeRecord
from harness.probes.probe_summary import ProbedSample, probe_scores, read_probe_scores, summarise_probes
from harness.probes.variants import ProbePlan
from harness.runs.store import add_files, load_run, scores_bytes
from reports.board.board import leaderboard_json, read_leaderboard
from reports.pages.board_page import leaderboard_csv, leaderboard_view, write_leaderboard
from reports.pages.comparison_view import comparison_view
from reports.texts.looked_changes_text import LOOKED_CAUTION, looked_cells
from reports.texts.markdown import comparison_markdown, neutral

PLAN = ProbePlan(fills=("mean",), controls=1)
PASTED = ProbePlan(fills=("mean",), controls=1, operations=("remove", "paste"), steps=True)
N = 12


def row(number):
    return {
        "id": f"s{number}",
        "task": "shapes",
        "prediction": "<caption>c</caption><bbox>[[0,0,10,10]]</bbox><answer>red</answer>",
        "answers": ["red"],
        "boxes": [[0, 0, 10, 10]],
        "width": 40,
        "height": 20,
        "cluster": f"c{number // 2}",
    }


def probed(records, *, relies_on, plan=PLAN, breaks="", contrast="none"):
    """Return `probes.json` where the first `relies_on` answers go with the named box and no other edit matters."""
    samples = []
    for number, record in enumerate(records):
        rows = tuple(
            ProbeRecord(
                task="shapes", id=record.sample.id, operation=operation, target=target, text="", answer="red",
                is_same=(operation, target) != ("remove", "named") or number >= relies_on,
                is_format_ok=operation != breaks, value=1.0, area_share=0.1, overlap_with_named=0.0,
            )
            for operation, target in (
                ("repeat", "none"), ("blank", "none"), ("remove", "named"), ("remove", "random"), ("keep", "named"),
                ("keep", "random"),
            )
        )  # fmt: skip
        key = ("shapes", record.sample.id)
        samples.append(ProbedSample(key, record.sample.cluster_id, "ok", 1.0, is_format_ok=True, records=rows))
    told = {"contrast": contrast, "backend": "hf"}
    return scores_bytes(probe_scores(summarise_probes(samples, plan), samples, plan, told=told))


def attended(records, density, *, layers=2, grid=(2, 4)):
    region = AttendedRegion(
        density, is_pointed_at=True, chance_of_pointing=0.1, area_share=0.1, is_below_one_cell=False
    )
    spans = {"boxes": SpanAttention(rows=3, image_mass=0.5, named=region)}
    return attention_lines(
        AttentionRecord(task="shapes", id=record.sample.id, status="ok", grid=grid, layers=layers, spans=spans)
        for record in records
    )


@pytest.fixture
def runs(make_run):
    return [make_run(name, [row(number) for number in range(N)]) for name in "ab"]


def compared(folders):
    return compare_runs([SideSpec(folder.name, (load_run(folder),)) for folder in folders], draws=200)


def changes(folders):
    return {found.score: found for found in compared(folders).pairs[0].looked}


def test_differences_are_those_of_the_samples_with_an_interval_over_clusters(runs):
    for folder, relies_on, density in zip(runs, (3, 9), (1.5, 2.0), strict=True):
        records = list(load_run(folder).records())
        content = {"probes.json": probed(records, relies_on=relies_on), "attention.jsonl": attended(records, density)}
        add_files(folder, content)

    found = changes(runs)

    necessity = found["necessity"]
    assert (necessity.a, necessity.b, necessity.change.value) == (0.25, 0.75, 0.5)
    assert (necessity.change.n, necessity.asked) == (N, N)
    assert -2 <= necessity.change.ci_low < 0.5 < necessity.change.ci_high <= 2
    assert found["sufficiency"].change.value == found["dependence"].change.value == 0
    assert found["density"].change.value == pytest.approx(0.5)


def pasted_and_stepped(records, follows, *, plan=PASTED):
    """Return `probes.json` where the first `follows` answers follow a paste, and as many go with their last step."""
    samples = []
    for number, record in enumerate(records):
        goes = number < follows
        edits = (
            ("repeat", "none", 0, True), ("blank", "none", 0, False), ("paste", "named", 0, not goes),
            ("paste", "random", 0, True), ("remove", "step", 1, True), ("remove", "step_random", 1, True),
            ("remove", "step", 2, not goes), ("remove", "step_random", 2, True),
        )  # fmt: skip
        rows = tuple(
            ProbeRecord(
                task="shapes", id=record.sample.id, operation=operation, target=target, step=step, answer="red",
                is_same=stays, is_format_ok=True, follows=not stays if operation == "paste" else None,
                boxes_px=((10 * step, 0, 10 * step + 10, 10),),
            )
            for operation, target, step, stays in edits
        )  # fmt: skip
        key = ("shapes", record.sample.id)
        samples.append(ProbedSample(key, record.sample.cluster_id, "ok", 1.0, True, rows, "ok", 2))
    told = {"contrast": "none", "backend": "hf"}
    return scores_bytes(probe_scores(summarise_probes(samples, plan), samples, plan, told=told))


def test_what_is_pasted_and_what_steps_looked_at_are_subtracted(runs):
    for folder, follows in zip(runs, (3, 9), strict=True):
        add_files(folder, {"probes.json": pasted_and_stepped(load_run(folder).records(), follows)})

    found = changes(runs)

    for name in ("follow", "last_over_earlier"):
        assert (found[name].a, found[name].b, found[name].change.value, found[name].asked) == (0.25, 0.75, 0.5, N)
    assert looked_cells(found["follow"])[1:4] == ("following what is pasted", "same answer", "–")
    assert looked_cells(found["last_over_earlier"])[1:4] == (
        "last step over earlier ones", "same answer", "mean colour",
    )  # fmt: skip


@pytest.mark.parametrize(("field", "number"), [("pasted", "follow"), ("stepped", "last"), ("stepped", "earlier")])
def test_numbers_that_no_paste_and_no_step_gives_are_damage(runs, field, number):
    told = json.loads(pasted_and_stepped(load_run(runs[0]).records(), 3))
    told[field][0][number] = 1e300

    with pytest.raises(ValueError, match=r"has the number 1e\+300"):
        read_probe_scores(json.dumps(told).encode(), "probes.json")


def test_page_json_and_markdown_hold_what_the_terminal_does(runs):
    for folder, relies_on in zip(runs, (3, 9), strict=True):
        add_files(folder, {"probes.json": probed(load_run(folder).records(), relies_on=relies_on)})

    comparison = compared(runs)

    cells = [looked_cells(found) for found in comparison.pairs[0].looked]
    assert cells[0][:6] == ("shapes", "necessity", "same answer", "mean colour", "25.0", "75.0")
    assert cells[0][6].startswith("+50.0 [")
    assert cells[0][7] == "12 of 12"
    assert comparison_view(comparison).looked == tuple(("B against A", row) for row in cells)
    assert json.loads(json.dumps(comparison_to_json(comparison)))["pairs"][0]["looked"][0]["change"]["value"] == 0.5
    markdown = comparison_markdown(comparison)
    assert all(f"| {' | '.join(neutral(cell, 200) for cell in row)} |" in markdown for row in cells)
    assert LOOKED_CAUTION in markdown


def test_a_summary_of_runs_that_nobody_probed_has_no_such_part(runs):
    assert "did it matter" not in comparison_markdown(compared(runs))


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"plan": ProbePlan(fills=("mean",), controls=2)}, "random regions differ"),
        ({"plan": ProbePlan(fills=("mean",), controls=1, seed=1)}, "seed differ"),
        ({"plan": ProbePlan(fills=("mean", "ring"), controls=1)}, "fills differ"),
        ({"plan": ProbePlan(fills=("ring",), controls=1)}, "fills differ"),
        ({"contrast": "objects"}, "contrast differ"),
    ],
)
def test_probes_of_another_kind_are_not_subtracted(runs, how, why):
    for folder, other in zip(runs, ({}, how), strict=True):
        add_files(folder, {"probes.json": probed(load_run(folder).records(), relies_on=3, **other)})

    found = changes(runs)

    assert list(found) == ["necessity"]
    assert (found["necessity"].a, found["necessity"].b, found["necessity"].change.value) == (None, None, None)
    assert found["necessity"].asked == N
    assert why in found["necessity"].change.reason
    assert why in looked_cells(found["necessity"])[6]


def test_what_one_run_withholds_is_not_subtracted(runs):
    for folder, breaks in zip(runs, ("", "keep"), strict=True):
        add_files(folder, {"probes.json": probed(load_run(folder).records(), relies_on=3, breaks=breaks)})

    found = changes(runs)

    assert found["sufficiency"].change.value is None
    assert "not interpretable" in found["sufficiency"].change.reason
    assert found["necessity"].change.value == 0


@pytest.mark.parametrize(("how", "why"), [({"layers": 3}, "other layers"), ({"grid": (3, 4)}, "cells differ")])
def test_densities_of_another_kind_are_not_subtracted(runs, how, why):
    for folder, other in zip(runs, ({}, how), strict=True):
        add_files(folder, {"attention.jsonl": attended(load_run(folder).records(), 1.0, **other)})

    assert why in changes(runs)["density"].change.reason


def test_where_one_run_alone_was_probed_nothing_is_said(runs):
    add_files(runs[0], {"probes.json": probed(load_run(runs[0]).records(), relies_on=3)})

    assert changes(runs) == {}


def test_the_leaderboard_shows_the_numbers_of_probed_runs_with_their_coverage(runs, tmp_path):
    records = list(load_run(runs[0]).records())
    add_files(runs[0], {"probes.json": probed(records[:8], relies_on=4, breaks="keep")})

    board = read_leaderboard(runs)
    view = leaderboard_view(board)

    assert view.looked_heads == (("shapes", "necessity, points"), ("shapes", "sufficiency, points"))
    cells = {entry.link: entry.looked for entry in view.entries}
    necessity, sufficiency = cells[f"runs/{board.entries[0].site_name}/index.html"]
    assert (necessity.value, necessity.about) == ("50.0", "n 8 of 12 · mean colour")
    assert (sufficiency.value, sufficiency.sort) == ("–", "")
    assert "not interpretable for this model" in view.notes[sufficiency.grey - 1]
    assert cells[f"runs/{board.entries[1].site_name}/index.html"] == (None, None)
    entries = {entry["model"]: entry for entry in leaderboard_json(board)["entries"]}
    assert entries["a"]["looked"]["shapes"]["necessity"]["value"] == 0.5
    assert entries["a"]["looked"]["shapes"]["sufficiency"]["value"] is None
    assert entries["b"]["looked"] == {}
    lines = {line["model"]: line for line in csv.DictReader(io.StringIO(leaderboard_csv(board)))}
    assert (lines["a"]["necessity"], lines["a"]["necessity_n"], lines["b"]["necessity"]) == ("0.5", "8", "")
    page = write_leaderboard(board, tmp_path / "site", pictures=False).read_text()
    assert "withheld [" in page


def test_a_leaderboard_of_runs_that_nobody_probed_has_no_such_columns(runs):
    view = leaderboard_view(read_leaderboard(runs))

    assert view.looked_heads == ()
    assert {entry.looked for entry in view.entries} == {()}
