"""The face for notebooks gives the command's own numbers, as frames."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import warnings

import pytest

import satori_bench as sb
from harness.errors import ConfigError, UserError

pd = pytest.importorskip("pandas")


@pytest.fixture(scope="module")
def folder(invented, tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    questions = invented.shapes_questions(120, pictures=False)
    worse, better = (invented.Answerer("worse", right=0.4), invented.Answerer("better", right=0.8, seed=1))
    for who in (worse, better):
        invented.invent_run(root, who, questions)
    return root


def ask(*arguments: object) -> dict:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "satori_bench", *map(str, arguments), "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    return json.loads(done.stdout)


def test_importing_it_loads_nothing():
    heavy = ("numpy", "pandas", "click", "harness")
    code = f"import sys, satori_bench as sb; dir(sb); print(sorted({set(heavy)} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
    assert set(sb.__all__) <= set(dir(sb))
    with pytest.raises(AttributeError, match="no attribute 'scroe'"):
        sb.scroe  # noqa: B018 - the access is the test


def test_a_run_shows_the_scores_that_are_stored(folder):
    run = sb.load_run("better", folder)
    stored = json.loads((run.path / "scores.json").read_text())["tasks"]["shapes"]["metrics"]

    assert run.scores.loc[("shapes", "accuracy"), "value"] == stored["accuracy"]["value"]
    assert run.scores.index.get_level_values("metric").tolist() == list(stored)
    assert run.scores["headline"].sum() == 1
    assert "<table" in run._repr_html_()


def test_samples_are_the_table_with_structs_taken_apart(folder):
    run = sb.load_run("better", folder)
    frame = run.samples()

    assert len(frame) == 120
    assert frame["score"].mean() == pytest.approx(run.scores.loc[("shapes", "accuracy"), "value"])
    assert frame["components.answer"].equals(frame["score"])
    assert isinstance(frame["extra"].iloc[0], dict)
    assert run.samples(["id", "score"]).columns.tolist() == ["id", "score"]
    with pytest.raises(ConfigError, match=r"no column 'scor' in samples.parquet. Did you mean 'score'"):
        run.samples(["scor"])


def test_parity_is_a_row_for_each_benchmark_and_protocol(dressed_run):
    frame = sb.load_run(dressed_run).parity(["strict", "lmms-eval@0.7.3"])

    assert len(frame) == 2 * 12
    assert frame.loc[("mmstar", "lmms-eval@0.7.3"), ["metric", "n", "alike"]].to_list() == ["accuracy", 48, 0.75]
    assert frame.loc[("shapes", "lmms-eval@0.7.3"), "reason"] == "no rule of its own: as strict"
    with pytest.raises(ConfigError, match="at least two protocols"):
        sb.load_run(dressed_run).parity(["strict"])


def test_a_rescore_shows_its_own_scores(folder):
    with pytest.raises(ConfigError, match="no scores under lmms-eval"):
        sb.load_run("worse@lmms-eval", folder)
    again = sb.load_run("worse", folder).rescore("lmms-eval")

    assert (again.protocol, sb.load_run("worse", folder).protocol) == ("lmms-eval", "strict")
    assert again.samples()["score"].mean() == pytest.approx(again.scores.loc[("shapes", "accuracy"), "value"])
    assert sb.load_run("worse@lmms-eval", folder).scores.equals(again.scores)


def test_a_comparison_is_the_command_s(folder, tmp_path):
    compared = sb.compare("worse", sb.load_run("better", folder), folder=folder)
    (benchmark,) = ask("compare", "worse", "better", "--out", folder)["pairs"][0]["benchmarks"]
    headline = compared.table[compared.table.kind == "headline"].iloc[0]

    assert headline["delta"] == benchmark["headline"]["difference"]["delta"]
    assert (headline["ci_low"], headline["p"]) == tuple(benchmark["headline"]["difference"][k] for k in ("ci_low", "p"))
    assert compared.page(tmp_path / "page.html").read_bytes().startswith(b"<!")
    assert compared.plot().to_dict()["layer"]
    assert "<table" in compared._repr_html_()


def test_flips_are_the_changed_answers_the_greatest_change_first(folder):
    compared = sb.compare("worse", "better", folder=folder)
    flips = compared.flips()

    assert set(flips["change"].abs()) == {1.0}
    assert compared.flips("nobody").empty
    a, b = (sb.load_run(name, folder).samples(["id", "score"]).set_index("id")["score"] for name in ("worse", "better"))
    assert set(flips["id"]) == set(a.index[(a > 0.5) != (b.reindex(a.index) > 0.5)])


def test_a_gate_is_the_command_s(folder):
    judged = sb.gate("worse", "better", folder=folder)

    assert (judged.passed, judged.verdict.outcome) == (False, "regression")
    assert ask("gate", "worse", "--baseline", "better", "--out", folder)["outcome"] == "regression"
    assert sb.gate("better", "worse", folder=folder).passed
    assert judged.table["task"].tolist() == ["shapes"]


def test_rows_in_memory_are_scored_as_a_file_is(tmp_path):
    rows = [
        {"id": "1", "task": "shapes", "answers": ["red"], "prediction": "<answer>red</answer>"},
        {"id": "2", "task": "shapes", "answers": ["red"], "prediction": "<answer>blue</answer>"},
        {"id": "3", "task": "shapes", "answers": ["red"]},
    ]
    frame = sb.score(rows, format="freeform")

    assert frame["score"].tolist()[:2] == [1.0, 0.0]
    assert frame["score"].isna().tolist() == [False, False, True]
    assert "prediction" in frame["reason"].iloc[2]
    assert sb.score([]).empty


def test_runs_are_listed(folder, tmp_path):
    listed = sb.runs(folder)

    assert sorted(listed["model"]) == ["better", "worse"]
    assert set(listed["state"]) == {"complete"}
    assert sb.runs(tmp_path / "none").empty


def test_hostile_names_are_escaped(invented, tmp_path):
    name = "<script>alert(1)</script>"
    invented.invent_run(tmp_path, invented.Answerer(name), invented.shapes_questions(4, pictures=False))

    assert "<script" not in sb.load_run("latest", tmp_path)._repr_html_()


@pytest.mark.parametrize(
    ("options", "told"),
    [({"limt": 3}, "no option 'limt'. Did you mean 'limit'"), ({"tasks": "shapse"}, "shapes")],
)
def test_wrong_options_of_a_run_are_told(options, told):
    before = (logging.getLogger().level, dict(os.environ), list(warnings.filters))

    with pytest.raises(UserError, match=told):
        sb.run("nowhere", **options)
    assert before == (logging.getLogger().level, dict(os.environ), list(warnings.filters))
