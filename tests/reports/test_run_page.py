"""The page of a run: added once the run is published, in the checksums, the same bytes each time."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from click.testing import CliRunner

from harness.comparison.verify_run import verify_run
from harness.files import SUMS_NAME
from harness.runs.store import PAGE_NAME, load_run
from reports.pages.run_page import renew_page, stored_run_page
from satori_bench.app import cli


@pytest.fixture
def own_run(invented, tmp_path):
    folder = invented.invent_run(tmp_path, invented.Answerer("model", seed=3), invented.shapes_questions(20))
    renew_page(folder)
    return folder


def test_a_published_run_holds_its_page_and_verifies(own_run):
    assert (own_run / PAGE_NAME).is_file()
    assert f"  {PAGE_NAME}\n" in (own_run / SUMS_NAME).read_text()
    assert verify_run(own_run) == []


def test_the_page_shows_scores_intervals_faults_and_provenance(own_run):
    html = (own_run / PAGE_NAME).read_text(encoding="utf-8")
    scores = load_run(own_run).scores

    accuracy = scores["tasks"]["shapes"]["metrics"]["accuracy"]
    assert f"{100 * accuracy['value']:.1f} <span" in html
    assert f"[{100 * accuracy['ci_low']:.1f}, {100 * accuracy['ci_high']:.1f}]" in html
    for words in ("right answer, wrong place", "protocol hash", "format faults", "mean IoU"):
        assert words in html


def test_a_rescore_adds_the_protocols_and_the_run_still_verifies(own_run):
    done = CliRunner().invoke(cli, ["rescore", str(own_run), "--protocol", "paper"])

    assert done.exit_code == 0, done.output
    assert 'id="parity"' in (own_run / PAGE_NAME).read_text(encoding="utf-8")
    assert verify_run(own_run) == []


def test_the_page_can_be_made_anew_and_stays_the_same(own_run):
    before = (own_run / PAGE_NAME).read_bytes()
    done = CliRunner().invoke(cli, ["runs", "page", str(own_run)])

    assert done.exit_code == 0, done.output
    assert before == (own_run / PAGE_NAME).read_bytes()
    assert verify_run(own_run) == []


def test_a_run_of_predictions_has_a_page_that_says_so(tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"id": "1", "task": "shapes", "prediction": "<answer>red</answer>", "answers": ["red"]}\n')
    done = CliRunner().invoke(cli, ["score", str(rows), "--format", "freeform", "--run", str(tmp_path / "runs")])
    (folder,) = (tmp_path / "runs").iterdir()

    assert done.exit_code == 0, done.output
    assert "predictions only: made elsewhere" in (folder / PAGE_NAME).read_text(encoding="utf-8")
    assert verify_run(folder) == []


def test_hostile_names_and_texts_stay_text(hostile_runs):
    html = stored_run_page(load_run(hostile_runs[0])).decode("utf-8")
    body = re.sub(r"<script type=\"text/plain\".*?</script>", "", html, flags=re.DOTALL)

    assert body.count("<script") == 1
    assert not re.findall("<img|<iframe|<base|<link|<form", body)
    assert not re.findall("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", html)


def test_a_page_and_a_shown_run_load_nothing_that_scores():
    program = (
        "import sys, reports.pages.run_page, reports.pages.charts, harness.summary.stored_scores\n"
        "print(sorted({'altair', 'pandas', 'scipy', 'harness.scoring.score'} & sys.modules.keys()))"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert said == "[]\n"
