"""Tests of gold boxes from a file: what a line says of a sample, what refuses the file, and what becomes of scores."""

import json
from pathlib import Path

import pytest

from harness.comparison.compare import SideSpec, compare_runs
from harness.comparison.verify_run import verify_run
from harness.errors import ConfigError
from harness.evaluation.rescore import rescore_run, side_tally
from harness.evaluation.side_boxes import SideTally, boxes_of, check_tasks, read_side_boxes
from harness.runs.store import load_run
from harness.values import Sample, Size

CASES = json.loads((Path(__file__).parents[1] / "cases" / "side_boxes.json").read_text(encoding="utf-8"))


def written(tmp_path, *rows):
    path = tmp_path / "boxes.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("case", CASES["placed"], ids=lambda case: case["name"])
def test_a_line_gives_boxes_in_pixels_of_the_image_uncut_and_names_what_is_wrong(tmp_path, case):
    side = read_side_boxes(written(tmp_path, {"id": "17", **case["line"]}))
    size = None if case["size"] is None else Size(*case["size"])

    boxes, faults = boxes_of(side.lines["", "17"], size)

    wanted = None if case["boxes"] is None else [pytest.approx(box) for box in case["boxes"]]
    assert (boxes if boxes is None else list(boxes), list(faults)) == (wanted, case.get("faults", []))


@pytest.mark.parametrize("case", CASES["refused"], ids=lambda case: case["name"])
def test_a_file_that_says_no_one_thing_is_refused_with_what_and_where(tmp_path, case):
    path = tmp_path / "boxes.jsonl"
    path.write_text(case["text"], encoding="utf-8")

    with pytest.raises(ConfigError, match=r"--boxes") as fault:
        read_side_boxes(path)

    assert case["says"] in str(fault.value)


def test_a_file_that_is_missing_or_not_utf8_is_refused(tmp_path):
    (tmp_path / "wide").write_bytes("{}".encode("utf-16"))

    for name, says in (("nowhere", "cannot read"), ("wide", "not UTF-8")):
        with pytest.raises(ConfigError, match=says):
            read_side_boxes(tmp_path / name)


def test_lines_without_a_task_are_for_the_only_one(tmp_path):
    side = read_side_boxes(written(tmp_path, {"id": "1", "boxes": [[0, 0, 4, 4]]}))

    check_tasks(side, ["mmstar"])
    with pytest.raises(ConfigError, match="add `task` to each"):
        check_tasks(side, ["mmstar", "mme"])


def test_ids_that_the_data_lack_are_named_and_counted(tmp_path):
    rows = [{"task": "mmstar", "id": str(number), "boxes": [[0, 0, 4, 4]]} for number in range(9)]
    tally = SideTally(read_side_boxes(written(tmp_path, *rows)))

    tally.with_boxes(Sample("0", "mmstar", "choice"))
    tally.close({"mmstar": {"0", "1"}})

    assert tally.to_json()["faults"] == {"unknown_id": 7}
    assert any(
        "7 lines of ids" in line and "mmstar 2 (line 3)" in line and "2 more" in line for line in tally.messages()
    )


def test_a_file_about_other_samples_is_refused(tmp_path):
    tally = SideTally(read_side_boxes(written(tmp_path, {"task": "mme", "id": "a", "boxes": [[0, 0, 4, 4]]})))

    tally.with_boxes(Sample("0", "mmstar", "choice"))

    with pytest.raises(ConfigError, match=r"it has mme a, the data have mmstar 0"):
        tally.check_any(["mmstar 0"])


def test_boxes_that_look_like_another_frame_over_the_file_are_doubted_unless_declared(tmp_path):
    def told(**frame):
        rows = [{"id": str(n), "boxes": [[30 * n, 20 * n, 30 * n + 300, 20 * n + 350]], **frame} for n in range(20)]
        tally = SideTally(read_side_boxes(written(tmp_path, *rows)))
        for number in range(20):
            tally.with_boxes(Sample(str(number), "mmstar", "choice", image_size=Size(4000, 3000)))
        return " ".join(tally.messages())

    assert "look like norm_1000" in told()
    assert "look like" not in told(frame="image_px")


# --- runs -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def unplaced(invented, tmp_path):
    """Two runs of questions without gold boxes, whose texts write some."""
    from dataclasses import replace

    questions = [
        replace(one, sample=replace(one.sample, boxes_image_px=None))
        for one in invented.shapes_questions(24, pictures=False)
    ]
    answerers = [
        invented.Answerer("base", right=0.4, seed=1),
        invented.Answerer("trained", right=0.8, seed=2),
    ]
    return questions, [invented.invent_run(tmp_path / "runs", who, questions) for who in answerers]


def boxes_for(tmp_path, questions, shift, name="boxes.jsonl"):
    path = tmp_path / name
    rows = [
        {"task": "shapes", "id": one.sample.id, "boxes": [[4 + shift, 4, 40 + shift, 40]], "frame": "image_px"}
        for one in questions
    ]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def rescored(folder, boxes):
    stored = load_run(folder)
    return rescore_run(stored, "strict", gold=side_tally(stored, read_side_boxes(boxes)))


def test_a_rescore_against_side_boxes_has_places_and_is_sound(unplaced, tmp_path):
    questions, (base, _) = unplaced
    assert "mean_iou" not in load_run(base).scores["tasks"]["shapes"]["metrics"]

    summary = rescored(base, boxes_for(tmp_path, questions, 0))

    found = summary.tasks["shapes"].metrics
    later = load_run(base)
    assert {"mean_iou", "acc@0.5", "right_answer_right_place"} <= found.keys()
    assert later.rescored["strict"]["side_boxes"]["samples"] == {"shapes": 24}
    assert all(record.sample.boxes_image_px == ((4.0, 4.0, 40.0, 40.0),) for record in later.records("strict"))
    assert all(record.sample.boxes_image_px is None for record in later.records())
    assert verify_run(base) == []


def test_runs_against_other_side_boxes_are_not_subtracted(unplaced, tmp_path):
    questions, (base, trained) = unplaced
    rescored(base, boxes_for(tmp_path, questions, 0))
    rescored(trained, boxes_for(tmp_path, questions, 0))
    sides = [SideSpec(name, (load_run(path),), "strict") for name, path in (("base", base), ("trained", trained))]
    alike = compare_runs(sides, draws=200).pairs[0].benchmarks[0]

    rescored(trained, boxes_for(tmp_path, questions, 7, "others.jsonl"))
    sides[1] = SideSpec("trained", (load_run(trained),), "strict")
    apart = compare_runs(sides, draws=200)

    assert any(row.metric == "mean_iou" and row.difference is not None for row in alike.metrics)
    assert not apart.pairs[0].benchmarks[0].is_compared
    assert apart.pairs[0].benchmarks[0].differing == ("gold boxes",)
    line = next(line for line in apart.provenance if line.name == "gold boxes (--boxes)")
    assert line.differs
    assert all(line.values)


def test_a_rescore_without_side_boxes_goes_back_to_the_runs_own_gold(unplaced, tmp_path):
    questions, (base, _) = unplaced
    rescored(base, boxes_for(tmp_path, questions, 0))

    rescore_run(load_run(base), "strict")

    later = load_run(base)
    assert "side_boxes" not in later.rescored["strict"]
    assert "mean_iou" not in later.rescored["strict"]["tasks"]["shapes"]["metrics"]


def test_score_takes_side_boxes_for_rows_without_gold(command, tmp_path):
    rows = [
        {
            "id": str(number), "task": "mmstar", "choices": {"A": "a", "B": "b"}, "answers": ["A"], "width": 64,
            "height": 48, "prediction": "<caption>x</caption><bbox>[[8,8,40,30]]</bbox><answer>A</answer>",
        }
        for number in range(4)
    ]  # fmt: skip
    (tmp_path / "p.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    boxes = [
        {"task": "mmstar", "id": "0", "boxes": [[8, 8, 40, 30]]},
        {"task": "mmstar", "id": "1", "boxes": [[60, 8, 90, 30]]},
        {"task": "mmstar", "id": "2", "boxes": [[70, 8, 90, 30]]},
        {"task": "mmstar", "id": "9", "boxes": [[8, 8, 40, 30]]},
    ]
    path = written(tmp_path, *boxes)

    code, out, err = command("score", tmp_path / "p.jsonl", "--boxes", path, "--run", tmp_path / "runs", "--no-page")

    ious = [json.loads(line)["iou"] for line in out.splitlines() if line.startswith("{")]
    assert (code, ious) == (0, [1.0, 0.0, None, None])
    for says in ("mmstar 3 samples", "1 samples with a box wholly outside", "1 samples with a box that reaches over",
                 "1 lines of ids that the data do not have", "mmstar 9 (line 4)"):  # fmt: skip
        assert says in err
    manifest = load_run(next((tmp_path / "runs").glob("*"))).manifest
    assert manifest.other["side_boxes"]["faults"] == {"over_edge": 1, "outside": 1, "unknown_id": 1}
