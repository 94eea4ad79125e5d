"""A stage that may be left out is no fault and no 0: what is kept is counted, and told with the answers' scores."""

import json
import random
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from harness.comparison.compare import compare_runs, open_sides
from harness.comparison.verify_run import false_scores, verify_run
from harness.evaluation.predictions import score_lines
from harness.evaluation.rescore import PredictionSource, rescore_run, save_predictions_run
from harness.runs.store import load_run
from harness.scoring.box_dialects import dialect_named
from harness.scoring.score import score
from harness.summary.kept_stages import stage_uses
from harness.summary.run_summary import summarise_records
from harness.summary.stored_scores import stored_summaries
from harness.values import Generation, KeptStages, PixelLimits, Record, Sample, ScoreConfig, Size
from reports.pages.run_page import renew_page
from reports.terminal.tables import run_table

CONFIG = ScoreConfig(format="satori-adaptive", box_dialect=dialect_named("image_px"))
SAMPLE = Sample(
    id="1", task="shapes", answer_rule="accepted", answers=("red",), category="color",
    boxes_image_px=((10.0, 10.0, 50.0, 40.0),), caption="a red circle.", image_size=Size(100, 50),
)  # fmt: skip
CAPTION, BOXES, ANSWER = "<caption>a red circle.</caption>", "<bbox>[[10,10,50,40]]</bbox>", "<answer>red</answer>"


@pytest.mark.parametrize(
    ("text", "kept", "components", "iou", "faults"),
    [
        (CAPTION + BOXES + ANSWER, (True, True), (1.0, 1.0, 1.0, 1.0), 1.0, ()),
        (CAPTION + ANSWER, (True, False), (1.0, 1.0, None, 1.0), None, ()),
        (BOXES + ANSWER, (False, True), (1.0, None, 1.0, 1.0), 1.0, ()),
        (ANSWER, (False, False), (1.0, None, None, 1.0), None, ()),
        ("<answer>blue</answer>", (False, False), (1.0, None, None, 0.0), None, ()),
        ("<bbox>[[60,10,90,40]]</bbox>" + ANSWER, (False, True), (1.0, None, 0.0, 1.0), 0.0, ()),
        ("<bbox>[]</bbox>" + ANSWER, (False, True), (0.0, None, 0.0, 1.0), 0.0, ("empty",)),
        ("<bbox>[[9,9" + ANSWER, (False, None), (0.0, None, 0.0, 1.0), 0.0, ("unclosed",)),
        ("a red one</caption>" + ANSWER, (None, False), (0.0, 0.0, None, 1.0), None, ("unclosed",)),
        (CAPTION, (True, None), (0.0, 1.0, 0.0, 0.0), 0.0, ("missing",)),
        ("red", (None, None), (0.0, 0.0, 0.0, 0.0), 0.0, ("missing",)),
        ("", (None, None), (0.0, 0.0, 0.0, 0.0), 0.0, ("missing",)),
    ],
)
@pytest.mark.parametrize("protocol", ["strict", "vlmevalkit", "lmms-eval"])
def test_what_is_left_out_is_null_and_what_is_broken_is_0(text, kept, components, iou, faults, protocol):
    earned = score(SAMPLE, text, replace(CONFIG, protocol=protocol))
    parts = earned.components

    assert KeptStages(*kept) == earned.kept
    assert components == (parts.format, parts.caption, parts.bbox, parts.answer)
    assert (iou, faults) == (earned.iou, earned.faults)


def test_satoris_own_rewards_leave_out_what_the_text_does():
    paper = replace(CONFIG, protocol="paper", pixel_limits=PixelLimits(1, 10_000))

    assert score(SAMPLE, ANSWER, paper).components.bbox is None
    assert score(SAMPLE, ANSWER, paper).components.caption is None
    assert score(SAMPLE, "", paper).components.bbox == 0


def test_boxes_in_the_models_own_brackets_outside_of_any_stage_are_kept():
    config = replace(CONFIG, box_dialect=dialect_named("list:xyxy:image_px"))
    earned = score(SAMPLE, '{"bbox_2d": [10, 10, 50, 40]}' + ANSWER, config)

    assert (earned.kept.bbox, earned.iou, earned.faults) == (True, 1.0, ("bad_order", "other_dialect"))


def test_the_same_text_in_the_strict_format_lacks_its_stages():
    earned = score(SAMPLE, ANSWER, replace(CONFIG, format="satori"))

    assert KeptStages() == earned.kept
    assert (earned.iou, earned.components.caption, earned.faults) == (0.0, 0.0, ("missing",))


def records(texts, **fields):
    found = []
    for number, (category, text) in enumerate(texts):
        sample = replace(SAMPLE, id=str(number), category=category, **fields)
        found.append(Record(sample, Generation(text), score(sample, text, CONFIG)))
    return found


TEXTS = [
    ("color", BOXES + ANSWER),
    ("color", "<bbox>[[60,10,90,40]]</bbox><answer>blue</answer>"),
    ("color", ANSWER),
    ("count", CAPTION + BOXES + ANSWER),
    ("count", ANSWER),
    ("count", ANSWER),
    ("count", "<answer>blue</answer>"),
    ("count", "no answer at all"),
    ("", "<caption>half of one <answer>blue</answer>"),
]


def test_what_is_kept_is_told_by_category_with_the_answers():
    summary = summarise_records(records(TEXTS), CONFIG).tasks["shapes"]
    told = {
        (use.stage, use.category): (
            (use.kept.value, use.kept.n), (use.answers_kept.value, use.answers_kept.n),
            (use.answers_left_out.value, use.answers_left_out.n),
        )
        for use in stage_uses(summary.stages)
    }  # fmt: skip

    assert told == {
        ("caption", None): ((1 / 7, 7), (1.0, 1), (4 / 6, 6)),
        ("caption", "color"): ((0.0, 3), (None, 0), (2 / 3, 3)),
        ("caption", "count"): ((0.25, 4), (1.0, 1), (2 / 3, 3)),
        ("bbox", None): ((3 / 8, 8), (2 / 3, 3), (3 / 5, 5)),
        ("bbox", "color"): ((2 / 3, 3), (0.5, 2), (1.0, 1)),
        ("bbox", "count"): ((0.25, 4), (1.0, 1), (2 / 3, 3)),
    }
    assert summary.stages["bbox.kept"].ci_low < 3 / 8 < summary.stages["bbox.kept"].ci_high


def test_overlap_is_of_the_texts_that_have_boxes_or_broke_them():
    metrics = summarise_records(records(TEXTS), CONFIG).tasks["shapes"].metrics

    # right, wrong and right boxes, and the text without an answer; those that left boxes out are in no n
    assert (metrics["mean_iou"].value, metrics["mean_iou"].n) == (0.5, 4)
    assert metrics["accuracy"].n == len(TEXTS)


def test_where_every_text_left_its_boxes_out_there_is_no_overlap_and_no_0():
    summary = summarise_records(records([("color", ANSWER)] * 5), CONFIG).tasks["shapes"]

    assert not {"mean_iou", "acc@0.5", "bbox", "caption"} & summary.metrics.keys()
    assert (summary.stages["bbox.kept"].value, summary.stages["bbox.answers_kept"].value) == (0.0, None)
    assert summary.boxes["parse_rate"].value is None


def test_categories_of_any_name_are_told_apart():
    names = ["a.b", "kept", "caption.kept", ".", "answers_kept.x"]
    summary = summarise_records(records([(name, ANSWER) for name in names]), CONFIG).tasks["shapes"]

    found = [use.category for use in stage_uses(summary.stages) if use.stage == "bbox"]
    assert [None, *sorted(names)] == found
    assert all(use.kept.n == 1 for use in stage_uses(summary.stages) if use.category)


def test_the_order_of_the_records_changes_no_byte():
    found = records(TEXTS * 5)
    again = [replace(one, sample=replace(one.sample, id=f"{number}")) for number, one in enumerate(found)]
    first = json.dumps(summarise_records(again, CONFIG).to_json())
    random.Random(3).shuffle(again)

    assert first == json.dumps(summarise_records(again, CONFIG).to_json())


def test_formats_that_ask_for_all_stages_say_nothing_of_them():
    strict = replace(CONFIG, format="satori")
    found = [Record(SAMPLE, Generation(ANSWER), score(SAMPLE, ANSWER, strict))]

    assert summarise_records(found, strict).tasks["shapes"].stages == {}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run in the adaptive format, and one of the same questions whose texts all have boxes."""
    root = tmp_path_factory.mktemp("kept")
    found = []
    whole = [(kind, CAPTION + BOXES + ANSWER) for kind, _ in TEXTS]
    for form, texts in (("satori-adaptive", TEXTS), ("satori", whole)):
        config = replace(CONFIG, format=form)
        rows = [
            {"id": str(number), "task": "shapes", "question": "Which colour?", "answers": ["red"], "category": kind,
             "boxes": [[10, 10, 50, 40]], "caption": "a red circle.", "width": 100, "height": 50, "prediction": text}
            for number, (kind, text) in enumerate(texts)
        ]  # fmt: skip
        scored = list(score_lines(map(json.dumps, rows), config))
        source = PredictionSource(form, "0" * 64, {})
        found.append(save_predictions_run(root, scored, config, source, now=datetime(2026, 1, 1, tzinfo=UTC))[0])
    return found


def test_a_stored_run_keeps_it_and_is_found_in_order(runs):
    run = load_run(runs[0])

    assert [one.score.kept for one in run.records()] == [one.score.kept for one in records(TEXTS)]
    assert stored_summaries(run)["shapes"].stages.keys() == run.scores["tasks"]["shapes"]["stages"].keys()
    assert verify_run(runs[0]) == []


def test_scores_of_another_protocol_keep_it_too(runs):
    rescore_run(load_run(runs[0]), "vlmevalkit")

    assert [one.score.kept for one in load_run(runs[0]).records("vlmevalkit")] == [
        one.score.kept for one in records(TEXTS)
    ]
    assert verify_run(runs[0]) == []


def test_scores_that_say_something_else_are_found():
    summary = summarise_records(records(TEXTS), CONFIG)
    told = json.loads(json.dumps(summary.to_json()))
    told["tasks"]["shapes"]["stages"]["bbox.kept.count"]["value"] = 1.0

    (problem,) = false_scores(told, summary)
    assert "bbox.kept.count 1, its records give 0.25" in problem


def test_the_page_shows_it_as_what_goes_together_and_no_effect(runs):
    for run in runs:
        renew_page(run)
    page, other = ((run / "index.html").read_text(encoding="utf-8") for run in runs)
    section = page.split('id="stages"')[1].split("</details>")[0]

    assert "is no effect of it" in section
    assert section.count("<tr><th") == 1 + 6
    assert "25.0" in section
    assert "0.500 of 4" in page
    assert 'id="stages"' not in other


def test_the_table_says_of_how_many_the_overlap_is(runs):
    summaries = list(stored_summaries(load_run(runs[0])).values())
    table = run_table(summaries, {}, "run")

    assert any(cell.endswith("of 4") and cell.startswith("0.500 [") for cell in table.rows[0])


def test_a_comparison_looks_at_places_where_both_have_one(runs):
    comparison = compare_runs(open_sides([str(path) for path in runs]))
    (benchmark,) = comparison.pairs[0].benchmarks

    assert benchmark.grounding.n == 4
    assert {row.metric: row.a.n for row in benchmark.metrics if row.metric in {"mean_iou", "caption"}} == {
        "mean_iou": 4, "caption": 3,
    }  # fmt: skip
