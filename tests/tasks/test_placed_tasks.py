"""Benchmarks whose numbers count places: rows in their authors' layouts, right texts, and answer and place together."""

import json
from dataclasses import replace

import pytest
from PIL import Image

from harness.runs.journal import record_line
from harness.runs.record_codec import record_from_line
from harness.scoring.box_dialects import dialect_named
from harness.scoring.score import score
from harness.summary.means import ScoredRow
from harness.summary.task_summary import summarise
from harness.task_facts import FACTS, facts_of
from harness.values import Generation, Record, ScoreConfig
from harness.vocabulary import PLACE_RULES
from tasks import hooks, multihopspatial, vstar
from tasks.catalog import BENCHMARKS, resolve_tasks
from tasks.images import open_image
from tasks.local_data import DataError, DatasetOverride, open_task_data
from tasks.place_prompts import PROMPTS, place_question
from tasks.vqa_verify import is_held_out
from training.data.sources import SourceSpec, load_rows

PLACED = [name for name in BENCHMARKS if FACTS[name].placed]
TOGETHER = [name for name in PLACED if FACTS[name].answer_rule not in PLACE_RULES]
THOUSANDTHS = ScoreConfig(box_dialect=dialect_named("norm_1000"))


def samples_of(name, local_data):
    benchmark = BENCHMARKS[name]
    return [benchmark.adapter.sample_of(doc) for doc in open_task_data(benchmark, local_data.parquet)]


def text_of(sample, answer=None, boxes=None):
    """A text in the format: the right answer at the right place, in thousandths, unless others are given."""
    size = sample.image_size
    scales = (1000 / size.width, 1000 / size.height) * 2
    written = [[round(edge * scale) for edge, scale in zip(box, scales, strict=True)] for box in sample.boxes_image_px]
    boxes = json.dumps(written) if boxes is None else boxes
    if answer is None:
        answer = boxes if sample.answer_rule in PLACE_RULES else sample.answers[0]
    return f"<caption>A board.</caption><bbox>{boxes}</bbox><answer>{answer}</answer>"


def summary_of(name, samples, texts, config=THOUSANDTHS):
    scores = [score(sample, text, config) for sample, text in zip(samples, texts, strict=True)]
    return summarise(name, [ScoredRow(*row) for row in zip(samples, scores, strict=True)], "strict")


GOLD_BOXES = {
    "refcoco_val": [[(20, 20, 80, 60)], [(20, 20, 80, 60)], [(100, 40, 180, 80)], *[[(60, 20, 140, 80)]] * 2],
    "screenspot_v2": [[(20, 20, 80, 60)], [(100, 40, 180, 80)], [(60, 20, 140, 80)]],
    "multihopspatial": [[(20, 20, 80, 60)], [(100, 40, 180, 80)], [(60, 20, 140, 80)], [(20, 40, 100, 80)]],
    "treebench": [
        [(20, 20, 80, 60), (120, 20, 180, 40)],
        [(100, 40, 180, 80), (120, 20, 180, 40)],
        [(60, 20, 140, 80), (120, 20, 180, 40)],
    ],
    "vstar": [[(20, 20, 80, 60)], [(100, 40, 180, 80)], [(60, 20, 140, 80), (120, 20, 180, 40)]],
    "vqa_verify": [[(20, 20, 80, 60)]] * 6,
    "visual_cot_vsr": [[(20, 20, 80, 60)], [(100, 40, 180, 80)]],
}
"""Gold boxes of each benchmark's rows in pixels, as they were drawn."""


@pytest.mark.parametrize("name", GOLD_BOXES)
def test_gold_boxes_are_pixels_of_the_picture_whatever_the_file_calls_them(name, local_data):
    found = [[tuple(map(round, box)) for box in sample.boxes_image_px] for sample in samples_of(name, local_data)]

    assert found == GOLD_BOXES[name]


@pytest.mark.parametrize("name", PLACED)
def test_the_right_answer_at_the_right_place_earns_everything(name, local_data):
    samples = samples_of(name, local_data)
    summary = summary_of(name, samples, map(text_of, samples))

    assert summary.headline == facts_of(name).headline
    assert (summary.shown.value, summary.shown.n) == (1, len(samples))
    if name != "screenspot_v2":
        assert summary.metrics["mean_iou"].value == pytest.approx(1, abs=0.01)


WAYS = [
    ("right answer, wrong place", {"boxes": "[[0, 0, 10, 10]]"}, 0.0, 1.0),
    ("right answer, no box", {"boxes": "nowhere"}, 0.0, 1.0),
    ("right answer, an empty list", {"boxes": "[]"}, 0.0, 1.0),
    ("right answer, a point", {"boxes": "[[250, 400]]"}, 0.0, 1.0),
    ("wrong answer, right place", {"answer": "something else"}, 0.0, 0.0),
]


@pytest.mark.parametrize(("way", "change", "together", "answers"), WAYS, ids=[way[0] for way in WAYS])
@pytest.mark.parametrize("name", ["multihopspatial", "treebench", "vstar", "vqa_verify", "visual_cot_vsr"])
def test_half_of_it_is_not_both(name, way, change, together, answers, local_data):
    samples = samples_of(name, local_data)
    summary = summary_of(name, samples, [text_of(sample, **change) for sample in samples])

    assert (summary.shown.value, summary.metrics["accuracy"].value) == (together, answers)
    assert summary.shown.n == len(samples)


@pytest.mark.parametrize("name", ["multihopspatial", "treebench", "vstar", "vqa_verify", "visual_cot_vsr"])
def test_where_nobody_knows_how_boxes_are_written_both_is_null_and_the_answer_stands(name, local_data):
    samples = samples_of(name, local_data)
    config = replace(THOUSANDTHS, box_dialect=None)
    summary = summary_of(name, samples, map(text_of, samples), config)

    assert summary.shown.value is None
    assert "is not known" in summary.reasons["right_answer_right_place"]
    assert summary.metrics["accuracy"].value == 1


def test_both_right_is_counted_with_its_interval_by_one_way(local_data):
    samples = samples_of("multihopspatial", local_data)
    changes = [{}, {"answer": "a"}, {"boxes": "[[0, 0, 9, 9]]"}, {}]
    summary = summary_of("multihopspatial", samples, [text_of(s, **c) for s, c in zip(samples, changes, strict=True)])

    shown = summary.metrics["right_answer_right_place"]
    assert (shown.value, shown.n) == (0.5, 4)
    assert shown.ci_low < 0.5 < shown.ci_high
    assert [summary.metrics[name].value for name in ("accuracy", "acc@0.5")] == [0.75, 0.75]
    assert summary.categories["1hop"].value == summary.categories["2hop"].value == 0.5


# --- what each benchmark is careful about ---------------------------------------------------------------------------


def test_every_expression_of_an_object_is_a_question_of_its_own(local_data):
    samples = samples_of("refcoco_val", local_data)

    assert [sample.id for sample in samples] == ["0.0", "1.1", "2.0", "3.0", "4.1"]
    assert [sample.question for sample in samples][:2] == ["the red box", "box {left}"]
    assert len({sample.cluster for sample in samples}) == 3


def test_screens_in_the_authors_own_files_have_the_same_golds(place_builder, local_data, tmp_path):
    place_builder.write_screenspot_json(tmp_path)
    benchmark = BENCHMARKS["screenspot_v2"]
    own = [benchmark.adapter.sample_of(doc) for doc in open_task_data(benchmark, tmp_path)]

    for sample, again in zip(samples_of("screenspot_v2", local_data), own, strict=True):
        assert again.boxes_image_px[0] == pytest.approx(sample.boxes_image_px[0])
        assert replace(again, boxes_image_px=sample.boxes_image_px) == sample


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Which? (a) one (b) two", {"A": "one", "B": "two"}),
        ("Which?\n(a) one,\n(b) two;\n(c) three", {"A": "one", "B": "two", "C": "three"}),
        ("Which? (A) a box (of wood) (B) two", {"A": "a box (of wood)", "B": "two"}),
        ("The <ATT>red</ATT> one? (a) one (b) two", {"A": "one", "B": "two"}),
        ("Which of (b) and (a)?", {}),
        ("Which?", {}),
    ],
)  # fmt: skip
def test_the_options_of_multihopspatial_stand_in_its_question(question, expected):
    assert multihopspatial.choices_of({"question": question}) == expected
    assert "ATT" not in multihopspatial.question_text({"question": question})


def test_the_right_option_of_vstar_is_not_always_first(local_data):
    options = [f"option {number}" for number in range(4)]
    docs = [{"id": f"direct_attributes/sa_{number}", "options": options, "question": "?"} for number in range(400)]
    samples = [BENCHMARKS["vstar"].adapter.sample_of(doc) for doc in docs]
    counts = {letter: sum(sample.answers == (letter,) for sample in samples) for letter in "ABCD"}

    assert min(counts.values()) > 60
    assert all(sample.choices[sample.answers[0]] == "option 0" for sample in samples)
    assert samples == [BENCHMARKS["vstar"].adapter.sample_of(doc) for doc in docs]


def test_a_rescore_of_vstar_knows_the_order_that_was_asked(local_data, monkeypatch):
    sample = samples_of("vstar", local_data)[1]
    text = text_of(sample)
    line = record_line(Record(sample, Generation(text), score(sample, text, THOUSANDTHS)))
    monkeypatch.setattr(vstar, "OPTIONS_SEED", 7)
    again = record_from_line(line, "journal", 1)

    assert again.sample.extra["options_seed"] == 0
    assert again.sample.choices == sample.choices
    assert score(again.sample, text, THOUSANDTHS).value == 1


def test_no_picture_is_asked_that_is_trained_on(local_data):
    asked = {sample.image_sha256 for sample in samples_of("vqa_verify", local_data)}
    rows = list(load_rows(SourceSpec(str(local_data.parquet / "vqa_verify"))))
    taught = {row.example.image_sha256 for row in rows if row.example is not None}

    assert (len(asked), len(taught)) == (2, 2)
    assert not asked & taught
    assert sum("benchmark_image" in {fault.name for fault in row.faults} for row in rows) == 6


def test_one_picture_in_twenty_is_held_out():
    digests = [f"{number * 2654435761 % 2**32:08x}" + "0" * 56 for number in range(20_000)]

    assert 900 < sum(map(is_held_out, digests)) < 1100


@pytest.mark.parametrize("name", ["vstar", "treebench", "visual_cot_vsr"])
def test_what_the_hubs_loader_does_not_give_is_told_with_how_to_get_it(name):
    with pytest.raises(DataError, match=r"hf download|Clone"):
        open_task_data(BENCHMARKS[name])


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", "cannot be read as JSON"), ("[1]", "is no object"), ('[{"image": "a.png"}]', "not in the layout")],
)
def test_a_broken_annotation_file_is_named(text, said, tmp_path):
    place = tmp_path / "viscot_benchmark" / "benchmark"
    place.mkdir(parents=True)
    (place / "vsr.json").write_text(text)

    with pytest.raises(DataError, match=said):
        open_task_data(BENCHMARKS["visual_cot_vsr"], tmp_path)


def test_a_file_of_annotations_can_be_named_itself(local_data):
    file = local_data.parquet / "viscot_benchmark" / "benchmark" / "vsr.json"
    folder = local_data.parquet / "vstar_bench"

    assert len(open_task_data(BENCHMARKS["visual_cot_vsr"], None, DatasetOverride(str(file)))) == 2
    assert len(open_task_data(BENCHMARKS["vstar"], None, DatasetOverride(str(folder)))) == 3


# --- one's own, prompts, hooks --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rule", "answer"), [("box", "[100, 200, 400, 600]"), ("point", "(250, 400)")])
def test_a_place_can_be_the_answer_of_a_benchmark_of_ones_own(rule, answer, tmp_path):
    Image.new("RGB", (200, 100)).save(tmp_path / "a.png")
    (tmp_path / "rows.tsv").write_text("question\timage_path\tbox\nWhere is it?\ta.png\t[20, 20, 60, 40]\n")
    (tmp_path / "own.yaml").write_text(
        f"task: mine\nsatori:\n  answer_rule: {rule}\n  data: rows.tsv\n  columns: {{boxes: box}}\n"
        "  gold_box_frame: xywh\n"
    )
    (benchmark,) = resolve_tasks(str(tmp_path / "own.yaml"))
    sample = benchmark.adapter.sample_of(open_task_data(benchmark)[0])

    assert (benchmark.headline, sample.answer_rule) == ("accuracy", rule)
    assert score(sample, answer, replace(THOUSANDTHS, format="plain")).value == 1


def test_a_benchmark_of_ones_own_without_gold_boxes_is_refused(tmp_path):
    Image.new("RGB", (200, 100)).save(tmp_path / "a.png")
    (tmp_path / "rows.tsv").write_text("question\timage_path\tanswers\nWhere is it?\ta.png\tleft\n")
    (tmp_path / "own.yaml").write_text("task: mine\nsatori: {answer_rule: box, data: rows.tsv}\n")
    (benchmark,) = resolve_tasks(str(tmp_path / "own.yaml"))

    with pytest.raises(DataError, match="needs the column boxes"):
        open_task_data(benchmark)


@pytest.mark.parametrize("family", ["", "nobody_knows", *PROMPTS])
def test_every_family_is_asked_for_the_thing_itself(family):
    assert "{b} \\1 [x]" in place_question("box", " {b} \\1 [x] ", family)
    assert place_question("point", "it", family).endswith("instruction: it")
    assert all(prompt.source and prompt.box.count("{what}") == 1 for prompt in PROMPTS.values())


@pytest.mark.parametrize(("dialect", "expected"), [("", None), (":norm_1000", 1.0), (":list:yxyx:1000", 0.0)])
def test_a_yaml_says_behind_the_hook_how_boxes_are_written(dialect, expected, local_data):
    benchmark = BENCHMARKS["multihopspatial"]
    doc = open_task_data(benchmark, local_data.parquet)[0]
    items = getattr(hooks, f"multihopspatial_results{dialect}")(doc, [text_of(benchmark.adapter.sample_of(doc))])

    assert items["right_answer_right_place"].get("score") == expected
    assert items["accuracy"]["score"] == 1


def test_pictures_are_found_where_each_layout_has_them(local_data):
    for name in ("vstar", "visual_cot_gqa", "treebench"):
        doc = open_task_data(BENCHMARKS[name], local_data.parquet)[0]
        assert open_image(BENCHMARKS[name].adapter.image_value(doc)).size == (200, 100)
