"""Boxes that were read in a wrong frame or order are noticed, and the reading that fits is named."""

import json
import random

import pytest

from harness.evaluation.predictions import record_of, score_lines
from harness.scoring.box_dialects import dialect_named, dialect_words
from harness.scoring.score import score
from harness.summary.frame_audit import CELLS, OTHER_SIZE, READINGS, FrameAuditor, FrameReading
from harness.values import Generation, PixelLimits, Record, Sample, ScoreConfig, Size


def _of_side(side):
    return lambda box, w, h: [side * box[0] / w, side * box[1] / h, side * box[2] / w, side * box[3] / h]


WRITTEN = {
    "image_px": lambda box, w, h: box,
    **{float(side): _of_side(side) for side in (1, 100, 500, 1000, 1024)},
    "input_px": lambda box, w, h: [box[0] * 0.5, box[1] * 0.5, box[2] * 0.5, box[3] * 0.5],
}
ORDERED = {
    "xyxy": lambda box: box,
    "yxyx": lambda box: [box[1], box[0], box[3], box[2]],
    "xywh": lambda box: [box[0], box[1], box[2] - box[0], box[3] - box[1]],
}


def audited(write, *, declared="image_px", rows=20, seed=0, form="satori", protocol="strict", dress=json.dumps):
    """Audit predictions in which `write(box, width, height)` gives the numbers of each box."""
    rng = random.Random(seed)
    lines = []
    for place in range(rows):
        width, height = rng.choice([(640, 480), (1600, 1200), (300, 500)])
        x1, y1 = rng.uniform(0.05, 0.5) * width, rng.uniform(0.05, 0.5) * height
        gold = [x1, y1, x1 + rng.uniform(0.1, 0.45) * width, y1 + rng.uniform(0.1, 0.45) * height]
        text = f"<caption>a</caption><bbox>{dress([write(gold, width, height)])}</bbox><answer>a</answer>"
        row = {"id": str(place), "task": "satori", "prediction": text, "answers": ["a"], "boxes": [gold]}
        row |= {"width": width, "height": height, "input_width": width // 2, "input_height": height // 2}
        lines.append(json.dumps(row))
    config = ScoreConfig(protocol=protocol, format=form, box_dialect=declared and dialect_named(declared))
    auditor = FrameAuditor(config)
    for scored in score_lines(lines, config):
        auditor.add(record_of(scored, 0))
    return auditor.result()


DECLARABLE = [reading for reading in READINGS if reading not in {OTHER_SIZE, CELLS}]


@pytest.mark.parametrize("reading", DECLARABLE, ids=lambda reading: reading.name)
def test_the_reading_that_a_model_writes_is_named_first_wherever_another_was_declared(reading):
    def write(box, w, h):
        return ORDERED[reading.order](WRITTEN[reading.unit](box, w, h))

    declared = {"image_px": "list:xyxy:1000"}.get(reading.name, "image_px")
    if reading == FrameReading(1024.0):  # as thousandths they overlap too well to be noticed
        declared = "norm_1"
    found = audited(write, declared=declared)

    assert reading == found.better[0]
    assert found.mean_iou[reading.name] == pytest.approx(1.0, abs=1e-6)
    assert reading.name in found.warning()
    assert found.advised == reading.dialect("satori" if declared != "list:xyxy:1000" else "list")
    assert dialect_words(found.advised) in found.warning()


def test_boxes_in_the_declared_frame_give_no_warning():
    found = audited(WRITTEN[1000.0], declared="norm_1000")

    assert found.better == ()
    assert found.warning() is None


@pytest.mark.parametrize("seed", range(20))
def test_a_model_that_points_nowhere_gives_no_warning(seed):
    rng = random.Random(1000 + seed)

    def anywhere(box, w, h):
        x1, x2 = sorted(rng.uniform(0, w) for _ in range(2))
        y1, y2 = sorted(rng.uniform(0, h) for _ in range(2))
        return [x1, y1, x2, y2]

    assert audited(anywhere, rows=60, seed=seed).warning() is None


@pytest.mark.parametrize("factor", [0.25, 0.6, 0.75, 1.5, 3.0])
def test_pixels_of_an_image_of_an_unknown_size_are_named_with_what_is_missing(factor):
    found = audited(lambda box, w, h: [edge * factor for edge in box])

    assert found.better == (OTHER_SIZE,)
    assert found.advised is None
    assert "pixels of another size" in found.warning()
    assert "--box-frame input_px" in found.warning()
    assert "--min-pixels" in found.warning()


def test_another_size_may_differ_from_row_to_row():
    found = audited(lambda box, w, h: [edge * 448 / max(w, h) for edge in box])

    assert found.better == (OTHER_SIZE,)


@pytest.mark.parametrize("slip", [0.97, 1.0, 1.03])
def test_slightly_wrong_boxes_are_no_pixels_of_another_size(slip):
    assert audited(lambda box, w, h: [edge * slip for edge in box]).warning() is None


def test_without_a_declared_frame_the_fitting_one_is_advised():
    assert "--box-frame norm_1000" in audited(WRITTEN[1000.0], declared=None).warning()


def test_readings_that_cannot_be_told_apart_are_all_named():
    config = ScoreConfig(protocol="strict", format="satori", box_dialect=dialect_named("norm_1"))
    text = "<caption>a</caption><bbox>[[200, 200, 600, 600]]</bbox><answer>a</answer>"
    row = {"id": "1", "task": "satori", "prediction": text, "boxes": [[200, 200, 600, 600]], "width": 1000}
    auditor = FrameAuditor(config)
    for scored in score_lines([json.dumps(row | {"height": 1000})], config):
        auditor.add(record_of(scored, 0))
    found = auditor.result()

    names = [reading.name for reading in found.better]
    assert names[:2] == ["image_px", "norm_1000"], "what can be declared stands first"
    assert "norm_1000 with y before x" in names
    assert "fit as well" in found.warning()
    assert found.advised is None, "nothing is advised that another reading explains as well"


def test_boxes_in_another_syntax_are_audited_though_none_was_read():
    found = audited(
        WRITTEN[1000.0], dress=lambda boxes: json.dumps([{"box_2d": [box[1], box[0], box[3], box[2]]} for box in boxes])
    )

    assert found.declared_iou == 0.0
    assert found.advised == dialect_named("list:yxyx:1000")
    assert "--box-dialect list:yxyx:1000" in found.warning()


def test_corners_are_advised_as_corners():
    found = audited(WRITTEN[1000.0], dress=lambda boxes: "".join(f"({a},{b}),({c},{d})" for a, b, c, d in boxes))

    assert found.advised == dialect_named("corners:xyxy:1000")


def test_a_declared_dialect_that_reads_the_boxes_gives_no_warning():
    found = audited(WRITTEN[1000.0], declared="qwen3_vl", dress=lambda boxes: json.dumps([{"bbox_2d": boxes[0]}]))

    assert found.declared_iou == pytest.approx(1.0, abs=1e-6)
    assert found.warning() is None


@pytest.mark.parametrize(
    "text",
    ["", "[]", "[[1, 2, 3]]", "[[nan, 1, 2, 3]]", "[[1e999, 0, 1, 1]]", "[" * 5000, "[[1,2,3,4]," * 2000],
)  # fmt: skip
def test_texts_without_four_numbers_are_not_audited(text):
    config = ScoreConfig(protocol="strict", format="satori", box_dialect=dialect_named("image_px"))
    row = {"id": "1", "task": "satori", "prediction": f"<bbox>{text}</bbox>", "boxes": [[0, 0, 5, 5]]}
    auditor = FrameAuditor(config)
    for scored in score_lines([json.dumps(row)], config):
        auditor.add(record_of(scored, 0))

    assert auditor.result() is None


@pytest.mark.parametrize(("form", "protocol"), [("plain", "strict"), ("freeform", "strict"), ("satori", "paper")])
def test_formats_without_boxes_and_the_paper_are_not_audited(form, protocol):
    assert audited(WRITTEN[1.0], form=form, protocol=protocol) is None


def numbers(rng):
    """Draw what a model might write for a box: near, far, none, inverted, huge, tiny."""
    kind = rng.randrange(8)
    corners = [rng.uniform(-50, 1700) for _ in range(4)]
    if kind < 4:
        corners = [*sorted(corners[:2]), *sorted(corners[2:])]
        corners = [corners[0], corners[2], corners[1], corners[3]]
    factor = [1.0, 0.001, 1e-120, 1e150, 0.0, 1e-5][rng.choice([0, 0, 0, 1, 1, 2, 3, 4, 5])]
    return [number * factor for number in corners]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("limits", [None, PixelLimits(784, 50_176)])
def test_rows_read_together_give_the_very_numbers_that_they_give_one_by_one(monkeypatch, seed, limits):
    rng = random.Random(seed)
    config = ScoreConfig(protocol="strict", format="satori", box_dialect=dialect_named("image_px"), pixel_limits=limits)

    def audit():
        rng.seed(seed)
        auditor = FrameAuditor(config)
        for place in range(80):
            size = Size(rng.choice([1, 640, 1600]), rng.choice([1, 480, 1200])) if rng.random() < 0.9 else None
            width, height = (size.width, size.height) if size else (640, 480)
            gold = [(0.0, 0.0, rng.random() * width, rng.random() * height)]
            gold += [(0.0, 0.0, width / 2, height / 3)] if rng.random() < 0.2 else []
            written = [numbers(rng) for _ in range(rng.choice([1, 1, 1, 2]))]
            if rng.random() < 0.3:
                written = [[side * rng.choice([1.0, 0.5, 1000 / width]) for side in gold[0]]]
            sample = Sample(
                str(place), "t", "short", question="?", answers=("a",), boxes_image_px=tuple(gold), image_size=size
            )
            seen = rng.choice([None, Size(max(1, width // 2), max(1, height // 2)), Size(0, 3)])
            text = f"<caption>a</caption><bbox>{json.dumps(written)}</bbox><answer>a</answer>"
            auditor.add(Record(sample, Generation(text, input_size=seen), score(sample, text, config)))
        return auditor.result()

    together = audit()
    monkeypatch.setattr(FrameAuditor, "_single", lambda *_: None)

    assert audit() == together
    assert max(value for value in together.mean_iou.values() if value is not None) > 0
