"""Tests of presets: every row of the table, what overrides them, and what a run made of one; and of known overlaps."""

import json
from dataclasses import replace

import pytest

from harness.errors import ConfigError
from harness.runs.manifest import BLIND
from harness.runs.store import load_run
from harness.scoring.formats import check_protocol
from harness.summary.means import Metric
from harness.summary.stored_scores import stored_summaries
from harness.task_facts import FACTS
from reports.board.board import published
from reports.board.reproduction import Figure, Preset, preset_named, presets, reproduction, reproduction_of
from reports.pages.run_page import stored_run_page
from reports.texts.contamination import known_overlaps, overlap_lines, overlaps
from tasks.catalog import BENCHMARKS
from tasks.prompts import wording

PRESETS = [pytest.param(preset, id=name) for name, preset in presets().items()]
SETTINGS = {"model", "form", "prompt", "protocol", "min_pixels", "max_pixels", "max_new_tokens", "decoding"}


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_has_settings_that_a_run_takes_and_figures_with_sources(preset):
    assert preset.settings.keys() <= SETTINGS
    assert preset.tasks
    assert preset.how
    check_protocol(preset.settings["form"], preset.settings["protocol"])
    wording(preset.settings["form"], preset.settings["prompt"])
    for figure in preset.figures:
        assert figure.source
        assert figure.tolerance > 0
        if figure.is_here:
            assert figure.task in BENCHMARKS
            assert figure.metric in {metric.name for metric in FACTS[figure.task].metrics}


def test_the_papers_table_is_not_written_down_twice():
    reported = published()
    values = dict(reported.rows)["Qwen2.5-VL-3B"]
    figures = presets()["qwen2.5-vl-3b@satori-table"].figures

    assert [figure.value for figure in figures] == [value for value in values if value is not None]
    assert {figure.source for figure in figures} == {reported.source}


def test_a_misspelt_preset_is_answered_with_the_nearest():
    assert preset_named("Qwen2.5-VL-3B@satori-table").name == "qwen2.5-vl-3b@satori-table"
    with pytest.raises(ConfigError, match="Did you mean 'qwen2-vl-7b@own-report'"):
        preset_named("qwen2-vl-7b@own-reprot")


PRESET = Preset(
    name="made-up@nowhere",
    how="invented",
    settings={"model": "checkpoints/base", "form": "satori", "max_pixels": 401408, "decoding": "greedy"},
    figures=(Figure("shapes", "accuracy", 40.0, 1.0, "nobody"), Figure("Unheard of", "accuracy", 1.0, 1.0, "nobody")),
    cautions=("all of it is invented",),
)
ARGUMENTS = {"form": "satori", "max_pixels": 401408, "temperature": 0.0}


def held(runs, score=0.405, arguments=None, **changes):
    run = load_run(runs["base"])
    summary = stored_summaries(run)["shapes"]
    summary = replace(summary, metrics={"accuracy": Metric(score, None, None, 60)}, unscored={})
    manifest = replace(
        run.manifest, other={"arguments": {**ARGUMENTS, **(arguments or {})}, **changes.pop("other", {})}
    )
    return reproduction(PRESET, replace(manifest, **changes), {"shapes": summary})


def test_a_run_within_all_tolerances_is_reproduced(runs):
    found = held(runs)

    assert found.is_reproduced
    assert found.sentence == "made-up@nowhere: reproduced, under the preset's settings and within its tolerances"
    assert "shapes accuracy: reported 40.0, here 40.5 (+0.5; within the tolerance of 1.0)" in found.lines
    assert "Unheard of accuracy: reported 1.0; nobody here can ask it" in found.lines


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"score": 0.42}, "here 42.0 (+2.0; beyond the tolerance of 1.0)"),
        ({"score": None}, "no score"),
        ({"arguments": {"max_pixels": 12845056}}, "differs: max_pixels is 12845056, the preset's 401408"),
        ({"arguments": {"min_pixels": 784}}, "differs: min_pixels is 784, the preset leaves it alone"),
        ({"arguments": {"temperature": 0.7}}, "differs: decoding is sampled, the preset's greedy"),
        ({"arguments": {"form": "plain"}}, "differs: form is plain, the preset's satori"),
        ({"model": "checkpoints/other"}, "differs: model is checkpoints/other, the preset's checkpoints/base"),
        ({"other": {BLIND: "no picture"}}, "differs: blind (--blind): asked without the pictures"),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_a_run_is_not_reproduced_and_says_where(runs, changes, says):
    found = held(runs, **changes)

    assert not found.is_reproduced
    assert "not reproduced" in found.sentence
    assert any(says in line for line in found.lines), found.lines


def test_a_model_is_known_by_its_name_wherever_it_lies(runs):
    assert held(runs, model="/elsewhere/Base/").is_reproduced


def test_a_limited_run_reproduces_nothing(runs):
    tasks = {name: replace(task, samples=5) for name, task in load_run(runs["base"]).manifest.tasks.items()}
    preset = replace(PRESET, figures=PRESET.figures[:1])

    manifest = replace(load_run(runs["base"]).manifest, tasks=tasks, other={"arguments": ARGUMENTS})
    found = reproduction(preset, manifest, stored_summaries(load_run(runs["base"])))

    assert "shapes: 5 of 60 rows (--limit)" in found.differing


def test_too_many_unscored_rows_are_no_score(runs):
    run = load_run(runs["base"])
    summary = replace(stored_summaries(run)["shapes"], unscored={"needs_judge": 6})
    manifest = replace(run.manifest, other={"arguments": ARGUMENTS})

    assert reproduction(PRESET, manifest, {"shapes": summary}).checks[0].state == "unscored"


def test_the_page_of_a_run_with_a_preset_says_what_became_of_it(runs):
    run = load_run(runs["base"])
    arguments = {**ARGUMENTS, "preset": "qwen2.5-vl-3b@satori-table"}
    named = replace(run, manifest=replace(run.manifest, other={**run.manifest.other, "arguments": arguments}))

    page = stored_run_page(named).decode()

    assert "qwen2.5-vl-3b@satori-table: not reproduced" in page
    assert "differs: form is satori, the preset" in page
    assert reproduction_of(replace(run.manifest, other={"arguments": {"preset": "<b>"}}), {}) is None
    assert reproduction_of(run.manifest, {}) is None


def test_presets_are_listed_and_shown(command):
    code, out, _ = command("presets", "list", "--json")
    assert (code, json.loads(out)["presets"].keys()) == (0, presets().keys())

    code, out, _ = command("presets", "show", "qwen2.5-vl-3b@satori-table")
    assert code == 0
    assert "reported by others; nobody here has run it" in out
    assert "max_pixels      401408" in out

    code, _, err = command("presets", "show", "qwen")
    assert code == 2
    assert "there is no preset 'qwen'" in err


def test_explicit_options_override_a_preset(command, tmp_path, monkeypatch):
    import tasks.run

    seen = []
    monkeypatch.setattr(tasks.run, "run_benchmarks", lambda spec, *_, **__: seen.append(spec) or 1 / 0)

    command("run", "--preset", "Qwen2.5-VL-3B@satori-table", "--model", "mine", "--max-pixels", "802816")

    (spec,) = seen
    assert (spec.preset, spec.model, spec.max_pixels) == ("qwen2.5-vl-3b@satori-table", "mine", 802816)
    assert (spec.min_pixels, spec.form, spec.protocol, spec.max_new_tokens) == (200704, "plain", "paper", 2048)
    assert spec.tasks == ",".join(presets()["qwen2.5-vl-3b@satori-table"].tasks)


# --- known overlaps -------------------------------------------------------------------------------------------------


def test_every_known_overlap_has_a_source_and_speaks_of_a_task():
    for row in overlaps():
        assert row.reason
        assert row.source
        assert row.tasks
        assert all(name == name.lower() for name in row.models)
        assert {*row.tasks} <= {*BENCHMARKS}


def test_rows_about_a_model_come_before_those_about_any():
    assert [bool(row.models) for row in known_overlaps("SATORI-3B", "ai2d")] == [False]
    assert [bool(row.models) for row in known_overlaps("OpenGVLab/InternVL3-2B", "ai2d")] == [True, False]


def test_one_row_about_several_tasks_is_one_line():
    (line,) = overlap_lines([("satori", "textvqa"), ("satori", "docvqa"), ("satori", "shapes")])

    assert line.startswith("textvqa, docvqa: VQA-Verify")
    assert "source: arXiv 2505.19094" in line
