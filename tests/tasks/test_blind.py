"""Tests of runs without pictures, of their visual gain, and of gold boxes that a file gives to a run's samples."""

import io
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from PIL import Image

from harness.comparison.compare import compare_runs, open_sides
from harness.comparison.verify_run import verify_run
from harness.errors import ConfigError, IncompleteError
from harness.gate.policy import GatePolicy
from harness.gate.verdict import judge
from harness.models.replay import SatoriReplay
from harness.runs.manifest import blind_of
from harness.runs.store import load_run
from reports.board.board import read_leaderboard
from reports.pages.comparison_view import comparison_view
from reports.texts.verdict_text import gain_lines
from tasks.blind import GREY, GreyPicture, without_pictures
from tasks.run import retry_run, run_benchmarks
from tasks.run_spec import RunEnvironment, RunSpec

COLOURS = ("red", "green", "blue", "white")
ROWS = 40


class Silent:
    """Listens to nothing."""

    def task_started(self, task, rows, answered):
        pass

    def sample_recorded(self, record):
        pass

    def task_finished(self, task):
        pass


class Seeing(SatoriReplay):
    """Names the colour that it is shown, with a box; without a picture it says red, and that every time."""

    def __init__(self):
        super().__init__(lambda *_: "", batch_size=4)
        self.shown = []

    def generate_batch(self, prompts):
        self.shown += [prompt.images for prompt in prompts]
        found = super().generate_batch(prompts)
        return [replace(one, text=_answer(prompt.images)) for one, prompt in zip(found, prompts, strict=True)]


def _answer(images):
    colours = {Image.new("RGB", (1, 1), name).getpixel((0, 0)): name for name in COLOURS}
    answer = colours.get(images[0].getpixel((0, 0)), "red") if images else "red"
    return f"<caption>a</caption><bbox>[[0, 0, 16, 20]]</bbox><answer>{answer}</answer>"


@pytest.fixture
def model():
    return Seeing()


@pytest.fixture
def environment(model):
    said = []
    made = RunEnvironment(
        now=lambda: datetime.now(UTC), say=said.append, listener=Silent(), packages={}, load_model=lambda _: model
    )
    return made, said


@pytest.fixture
def spec(tmp_path):
    """A run of 40 questions about pictures of 32 x 20 pixels, each of one colour and a file of its own."""
    lines = ["id\tquestion\tanswers\timage_path"]
    for row in range(ROWS):
        image = Image.new("RGB", (32, 20), COLOURS[row % 4])
        image.putpixel((31, 19), (row, 1, 2))
        stream = io.BytesIO()
        image.save(stream, format="PNG")
        (tmp_path / f"{row}.png").write_bytes(stream.getvalue())
        lines.append(f"r{row}\tWhich colour?\t{COLOURS[row % 4]}\t{row}.png")
    (tmp_path / "rows.tsv").write_text("\n".join(lines) + "\n")
    (tmp_path / "own.yaml").write_text("task: own\nsatori: {answer_rule: accepted, data: rows.tsv}\n")
    return RunSpec(
        model="served", backend="openai", base_url="http://one/v1", tasks=str(tmp_path / "own.yaml"),
        out=tmp_path / "runs", thumbnails=False,
    )  # fmt: skip


def compared(*folders):
    return compare_runs(open_sides([str(folder) for folder in folders]), draws=500)


def test_a_blind_run_is_asked_without_pictures(spec, model, environment):
    result = run_benchmarks(replace(spec, blind="none"), environment[0])

    assert model.shown == [()] * ROWS
    assert blind_of(load_run(result.folder).manifest) == "no picture"
    assert any("asked with no picture in place of their pictures" in line for line in environment[1])
    assert result.summary.tasks["own"].metrics["accuracy"].value == 0.25
    assert verify_run(result.folder) == []


def test_a_grey_picture_stands_in_where_a_family_needs_one(spec, model, environment):
    result = run_benchmarks(replace(spec, blind="grey"), environment[0])

    assert {(image.size, image.getpixel((0, 0))) for (image,) in model.shown} == {((32, 20), GREY)}
    assert blind_of(load_run(result.folder).manifest) == "an even grey picture of the same size"


def test_a_blind_run_is_never_taken_for_one_that_saw(spec, environment):
    seeing = run_benchmarks(spec, environment[0])
    blind = run_benchmarks(replace(spec, blind="none"), environment[0])
    grey = run_benchmarks(replace(spec, blind="grey"), environment[0])

    assert len({seeing.folder, blind.folder, grey.folder}) == 3
    for candidate in (blind, grey):
        verdict = judge(compared(seeing.folder, candidate.folder), GatePolicy())
        assert verdict.exit_code == 5
        assert "what was shown in place of the pictures (--blind) differs" in verdict.reasons[0]
    with pytest.raises(IncompleteError, match="blind"):
        read_leaderboard([blind.folder])
    assert [run for run, _ in read_leaderboard([seeing.folder, blind.folder]).barred] == [blind.folder.name]


def test_the_visual_gain_is_the_score_less_the_blind_score(spec, environment):
    seeing = run_benchmarks(spec, environment[0])
    blind = run_benchmarks(replace(spec, blind="none"), environment[0])

    for folders in ((seeing.folder, blind.folder), (blind.folder, seeing.folder)):
        comparison = compared(*folders)
        (gain,) = comparison.visual_gains
        (row,) = gain.rows
        assert (row.a.value, row.b.value, row.difference.delta, row.difference.n) == (0.25, 1.0, 0.75, ROWS)
        assert 0.5 < row.difference.ci_low < 0.75 < row.difference.ci_high <= 1
        assert folders[gain.side] == seeing.folder
        assert not comparison.pairs[0].benchmarks[0].is_compared
    assert "visual gain of" in gain_lines(comparison)[0]
    assert "+75.0 [" in gain_lines(comparison)[0]
    (row,) = [row for row in comparison_view(comparison).beside if row.gain != "–"]
    assert (row.blind, row.gain, row.one_answer) == ("25.0", "+75.0", "25.0 (blue)")


def test_a_blind_run_beside_two_that_saw_leaves_them_comparable(spec, environment):
    runs = [run_benchmarks(one, environment[0]) for one in (spec, replace(spec, seed=1), replace(spec, blind="none"))]
    sides = open_sides([str(run.folder) for run in runs])

    comparison = compare_runs(sides, draws=200)

    assert [(pair.a, pair.b) for pair in comparison.pairs] == [(0, 1)]
    assert comparison.pairs[0].comparability.comparable
    assert {gain.side for gain in comparison.visual_gains} == {0, 1}


def test_the_blind_run_of_another_model_says_nothing(spec, environment):
    seeing = run_benchmarks(spec, environment[0])
    other = run_benchmarks(replace(spec, model="other", blind="none"), environment[0])

    assert compared(seeing.folder, other.folder).visual_gains == ()


def test_a_gain_needs_runs_that_differ_in_nothing_else(spec, environment):
    seeing = run_benchmarks(spec, environment[0])
    blind = run_benchmarks(replace(spec, blind="none", max_new_tokens=7), environment[0])

    (row,) = compared(seeing.folder, blind.folder).visual_gains[0].rows

    assert row.difference is None
    assert "generation arguments differ" in row.reason


def test_every_picture_of_a_turn_is_left_out_and_every_text_stays():
    class Hidden:
        size = None

        def open(self):
            return Image.new("RGB", (3, 5))

    parts = [{"type": "text", "text": "one"}, {"type": "image", "url": Hidden()}, {"type": "text", "text": "two"}]
    turns = [{"role": "user", "content": [*parts, {"type": "image", "url": Hidden()}]}]

    (none,), (grey,) = without_pictures(turns, "none"), without_pictures(turns, "grey")

    assert none["content"] == [parts[0], parts[2]]
    assert [type(part.get("url")) for part in grey["content"]] == [type(None), GreyPicture, type(None), GreyPicture]
    assert grey["content"][1]["url"].open().size == (3, 5)


def test_tasks_of_lmms_evals_own_are_not_asked_blind(spec):
    from tasks.run_spec import check_overrides

    class Stock:
        name = "lmms:mmstar"

    check_overrides(spec, [Stock()])
    with pytest.raises(ConfigError, match="lmms:mmstar asks as lmms-eval does"):
        check_overrides(replace(spec, blind="none"), [Stock()])


# --- gold boxes of a file -------------------------------------------------------------------------------------------


def boxes_file(tmp_path, rows=ROWS, **more):
    path = tmp_path / "boxes.jsonl"
    lines = [{"id": f"r{row}", "boxes": [[0, 0, 500, 1000]], "frame": "norm_1000", **more} for row in range(rows)]
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return path


def test_a_run_takes_gold_boxes_of_a_file_for_a_task_that_has_none(spec, environment, tmp_path):
    from harness.scoring.box_dialects import dialect_named

    spec = replace(spec, boxes=boxes_file(tmp_path, rows=ROWS + 2), box_dialect=dialect_named("image_px"))

    result = run_benchmarks(spec, environment[0])

    metrics = result.summary.tasks["own"].metrics
    assert (metrics["mean_iou"].value, metrics["right_answer_right_place"].value) == (1.0, 1.0)
    side = load_run(result.folder).manifest.other["side_boxes"]
    assert (side["samples"], side["faults"]) == ({"own": ROWS}, {"unknown_id": 2})
    assert any("gold boxes of boxes.jsonl: own 40 samples" in line for line in environment[1])
    assert any("2 lines of ids that the data do not have" in line for line in environment[1])
    assert verify_run(result.folder) == []


def test_ids_that_a_limit_leaves_out_are_not_unknown(spec, environment, tmp_path):
    result = run_benchmarks(replace(spec, boxes=boxes_file(tmp_path), limit=8), environment[0])

    side = load_run(result.folder).manifest.other["side_boxes"]
    assert (side["samples"], side["faults"]) == ({"own": 8}, {})


def test_other_gold_boxes_are_another_run_and_no_retry(spec, environment, tmp_path):
    spec = replace(spec, boxes=boxes_file(tmp_path))
    first = run_benchmarks(spec, environment[0])
    assert run_benchmarks(spec, environment[0]).folder == first.folder

    boxes_file(tmp_path, width=32, height=20)
    second = run_benchmarks(spec, environment[0])

    assert second.folder != first.folder


def test_a_retry_against_other_gold_boxes_is_refused(spec, environment, tmp_path, model):
    model.generate_batch = lambda prompts: [
        replace(one, text="", error="gone") if place == 0 else replace(one, text=_answer(prompts[place].images))
        for place, one in enumerate(SatoriReplay.generate_batch(model, prompts))
    ]
    run = run_benchmarks(replace(spec, boxes=boxes_file(tmp_path)), environment[0])
    boxes_file(tmp_path, width=32, height=20)

    with pytest.raises(IncompleteError, match=r"file of gold boxes \(--boxes\) differs"):
        retry_run(run.folder, environment[0])


def test_a_file_about_other_data_stops_before_anything_is_asked(spec, environment, tmp_path, model):
    path = tmp_path / "boxes.jsonl"
    path.write_text('{"task": "mme", "id": "a", "boxes": [[0, 0, 4, 4]]}', encoding="utf-8")

    with pytest.raises(ConfigError, match=r"no line of boxes\.jsonl is about a sample"):
        run_benchmarks(replace(spec, boxes=path), environment[0])

    assert model.shown == []
