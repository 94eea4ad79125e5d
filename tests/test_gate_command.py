"""The verbs compare, gate and noise on stored runs, by exit code and by what they leave."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner

from harness.errors import UserError
from satori_bench.app import cli


def rows(right: int, n=200, task="shapes") -> list[dict]:
    return [
        {"id": f"s{place}", "task": task, "prediction": f"<answer>{'red' if place < right else 'blue'}</answer>",
         "answers": ["red"]}
        for place in range(n)
    ]  # fmt: skip


def boxed(n=200, gold=200, placed=200) -> list[dict]:
    """Right answers, with a gold box in the first `gold` rows and a box in its place in the first `placed`."""
    texts = [f"<caption>a</caption><bbox>[[{x},0,{x + 9},9]]</bbox><answer>red</answer>" for x in (0, 40)]
    size = {"width": 56, "height": 56, "boxes": [[0, 0, 9, 9]]}
    return [
        {**row, "prediction": texts[place >= placed], **(size if place < gold else {})}
        for place, row in enumerate(rows(n, n))
    ]


def command(*arguments):
    """Return the exit code and stdout; a fault that a person can mend becomes its code, as in `main`."""
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments], standalone_mode=False)
    if isinstance(result.exception, UserError):
        return int(result.exception.exit_code), str(result.exception)
    if result.exception is not None:
        raise result.exception
    return int(result.return_value), result.stdout


@pytest.fixture
def runs(make_run, amend_manifest):
    made = {"base": 120, "worse": 60, "same": 120, "doubtful": 118}
    found = {name: make_run(name, rows(right)) for name, right in made.items()}
    found["partial"] = amend_manifest(make_run("partial", rows(200)), partial=True)
    found["other"] = make_run("other", rows(200, task="vqa_verify"))
    return found


def test_the_example_policy_gates_as_it_is(make_run, runs):
    policy = Path(__file__).parents[1] / "examples" / "gate.toml"
    base = make_run("whole-base", boxed())

    codes = [
        command("gate", candidate, "--baseline", base, "--policy", policy)[0]
        for candidate in (make_run("whole-same", boxed()), runs["worse"], runs["partial"])
    ]

    assert codes == [0, 3, 5]


@pytest.mark.parametrize(
    ("candidate", "policy", "code", "word"),
    [
        ("same", "tolerance = 2", 0, "PASS"),
        ("doubtful", "", 0, "INCONCLUSIVE: 1 inconclusive, which the policy lets pass"),
        ("worse", "", 3, "REGRESSION"),
        ("doubtful", 'on_inconclusive = "fail"', 4, "INCONCLUSIVE"),
        ("partial", "", 5, "INCOMPLETE"),
        ("other", "", 5, "INCOMPLETE"),
        ("same", "tolerence = 2", 2, "Did you mean 'tolerance'"),
        ("same", 'required_tasks = ["mme"]', 5, "INCOMPLETE"),
    ],
)
def test_gate_leaves_with_the_verdicts_code(runs, tmp_path, candidate, policy, code, word):
    (tmp_path / "gate.toml").write_text(policy)

    found, text = command("gate", runs[candidate], "--baseline", runs["base"], "--policy", tmp_path / "gate.toml")

    assert found == code
    assert word in text


@pytest.mark.parametrize(
    ("candidate_lacks", "baseline_lacks", "code"),
    [(0, 0, 0), (2, 0, 0), (0, 100, 5), (0, 2, 0), (3, 0, 5), (100, 0, 5)],
)
def test_a_candidate_that_lost_its_scores_is_no_pass(make_run, candidate_lacks, baseline_lacks, code):
    def without_gold(lacking):
        return [{**row, "answers": None} if place < lacking else row for place, row in enumerate(rows(180))]

    base, new = make_run("base", without_gold(baseline_lacks)), make_run("new", without_gold(candidate_lacks))
    found, text = command("gate", new, "--baseline", base, "--json")
    verdict = json.loads(text)
    reason = verdict["benchmarks"][0]["reason"]

    assert found == code
    assert (f"no score for {max(candidate_lacks, baseline_lacks)} of the 200 samples" in reason) == (code == 5)
    assert ("(no_gold): score it with the gold" in reason) == (code == 5)
    wanted = f"left out: {candidate_lacks} samples that only the baseline has a score for, {baseline_lacks} that only"
    assert any(wanted in note for note in verdict["notes"]) == bool(candidate_lacks or baseline_lacks)


def test_a_candidate_that_lost_the_gated_places_is_no_pass(make_run, tmp_path):
    base, new = make_run("base", boxed()), make_run("new", boxed(gold=150))
    (tmp_path / "gate.toml").write_text('metrics = { shapes = "mean_iou" }')
    code, text = command("gate", new, "--baseline", base, "--policy", tmp_path / "gate.toml")

    assert code == 5
    assert "no score for 50 of the 200 samples" in text


@pytest.mark.parametrize(
    ("gold", "placed", "floor", "code"),
    [(25, 25, 0.13, 3), (25, 25, 0.12, 0), (0, 0, 0.5, 3), (200, 200, 0.5, 0)],
)
def test_the_mean_iou_floor_is_held_to_what_the_candidates_scores_say(make_run, tmp_path, gold, placed, floor, code):
    base, new = make_run("base", boxed(gold=gold)), make_run("new", boxed(placed=placed))
    (tmp_path / "gate.toml").write_text(f"tolerance = 5\nmean_iou_floor = {floor}")
    code_found, text = command("gate", new, "--baseline", base, "--policy", tmp_path / "gate.toml", "--json")
    (check,) = json.loads(text)["benchmarks"][0]["checks"]
    scores = json.loads((new / "scores.json").read_text())

    assert (code_found, check["kept"]) == (code, code == 0)
    assert check["value"] == scores["tasks"]["shapes"]["metrics"]["mean_iou"]["value"] == placed / 200


def test_every_report_of_one_gate_says_the_same(runs, tmp_path):
    junit, markdown = tmp_path / "out" / "gate.xml", tmp_path / "out" / "gate.md"
    code, text = command(
        "gate", runs["worse"], "--baseline", runs["base"], "--junit", junit, "--markdown", markdown, "--json"
    )
    found = json.loads(text)

    assert code == found["exit_code"] == 3
    assert ET.parse(junit).getroot().get("failures") == "1"
    assert markdown.read_text(encoding="utf-8").startswith("**REGRESSION")


def test_exit_zero_reports_without_failing(runs):
    code, text = command("gate", runs["worse"], "--baseline", runs["base"], "--exit-zero", "--output-format", "github")

    assert code == 0
    assert text.startswith("::error title=satori-bench gate::REGRESSION")


def test_a_run_that_is_not_finished_or_missing_is_refused(runs, tmp_path):
    partial = runs["same"].rename(runs["same"].with_name("same.partial"))

    assert command("gate", partial, "--baseline", runs["base"])[0] == 5
    assert command("gate", tmp_path / "nowhere", "--baseline", runs["base"])[0] == 2


def test_a_report_that_cannot_be_written_is_said(runs, tmp_path):
    (tmp_path / "file").touch()

    code, text = command("gate", runs["same"], "--baseline", runs["base"], "--junit", tmp_path / "file" / "x.xml")

    assert code == 2
    assert "cannot write" in text


def test_compare_prints_a_table_or_json_and_writes_markdown(runs, tmp_path):
    code, text = command("compare", runs["base"], runs["worse"], runs["same"], "--markdown", tmp_path / "c.md")
    as_json = json.loads(command("compare", runs["base"], runs["worse"], "--json")[1])

    assert code == 0
    assert "−30.0" in text
    assert "worse against base" in (tmp_path / "c.md").read_text(encoding="utf-8")
    assert as_json["pairs"][0]["benchmarks"][0]["headline"]["difference"]["delta"] == pytest.approx(-0.3)


def test_compare_of_runs_that_share_nothing_is_incomplete(runs):
    assert command("compare", runs["base"], runs["other"])[0] == 5


def test_compare_writes_the_page(runs, tmp_path):
    code, _ = command("compare", runs["base"], runs["worse"], "-o", tmp_path / "page.html")

    assert code == 0
    assert (tmp_path / "page.html").read_bytes().startswith(b"<!")


def test_noise_feeds_the_gate(runs, amend_manifest, tmp_path):
    base = amend_manifest(runs["base"], weights_hash="5" * 64)
    again = amend_manifest(runs["doubtful"], weights_hash="5" * 64, seed=1)
    code, text = command("noise", base, again, "--json")
    (tmp_path / "noise.json").write_text(text)
    noise = json.loads(text)["tasks"]["shapes"]

    verdict = json.loads(command("gate", again, "--baseline", base, "--noise", tmp_path / "noise.json", "--json")[1])

    assert code == 0
    assert (noise["n"], noise["flips"], noise["flip_rate"]) == (200, 2, 0.01)
    assert verdict["benchmarks"][0]["tolerance"] == pytest.approx(max(noise["floor_points"], 1) / 100)


@pytest.mark.parametrize("name", ["base@vlmevalkit", "base@strict", "link@vlmevalkit"])
def test_a_run_is_neither_its_own_candidate_nor_its_own_repetition(runs, monkeypatch, name):
    monkeypatch.chdir(runs["base"].parent)
    Path("base").symlink_to(runs["base"].name)
    Path("link").symlink_to(runs["base"].name)
    for protocol in ("vlmevalkit", "strict"):
        command("rescore", "base", "--protocol", protocol)

    code, text = command("gate", name, "--baseline", "base")
    noise_code, noise_text = command("noise", "base", name)

    assert (code, noise_code) == (5, 2)
    assert "candidate and baseline are the same texts" in text
    assert "whose texts cannot differ" in noise_text


def test_noise_between_two_checkpoints_is_refused(runs, amend_manifest):
    one, other = (amend_manifest(runs[name], weights_hash=digit * 64) for name, digit in (("base", "5"), ("same", "6")))

    assert command("noise", one, other)[0] == 2
