"""Necessity of the steps of a thought, on planted models of which it is known what they look at."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from harness.probes.fills import edited
from harness.probes.probe_summary import ProbedSample, probe_scores, read_probe_scores, summarise_probes
from harness.probes.probed_text import ProbedQuestion, answer_in, probe_record
from harness.probes.regions import pixel_boxes
from harness.probes.stepped import stepped_scores
from harness.probes.variants import MOST_STEPS, ProbedRegions, ProbePlan, planned
from harness.runs.store import scores_bytes
from harness.scoring.score import score
from harness.values import Generation, Sample, ScoreConfig, Size

SIZE = Size(120, 96)
SIDE = 14
CONFIG = ScoreConfig(format="treevgr")
PLAN = ProbePlan(fills=("mean",), controls=2, steps=True)
N = 16


def scene(number):
    """Return noise with three squares, red or blue each, and their boxes."""
    rng = np.random.default_rng(number)
    pixels = rng.integers(100, 140, (SIZE.height, SIZE.width, 3)).astype(np.uint8)
    boxes = []
    for place in range(3):
        left, top = 2 + 40 * place + int(rng.integers(20)), int(rng.integers(SIZE.height - SIDE))
        pixels[top : top + SIDE, left : left + SIDE] = (230, 20, 20) if rng.integers(2) else (20, 20, 230)
        boxes.append((left, top, left + SIDE, top + SIDE))
    return pixels, boxes


def colour_of(pixels, box):
    """Return red or blue, or neither where less than half of the box is."""
    left, top, right, bottom = box
    inside = pixels[top:bottom, left:right].astype(int)
    redder = inside[..., 0] - inside[..., 2]
    if np.mean(np.abs(redder) > 100) < 0.5:
        return "neither"
    return "red" if redder.sum() > 0 else "blue"


def text_of(answer, boxes):
    looked = " then ".join(f"<box>[{','.join(map(str, box))}]</box>" for box in boxes)
    return f"<think>{looked}</think><answer>{answer}</answer>"


def larger(box, by=8):
    x1, y1, x2, y2 = box
    return max(0, x1 - by), max(0, y1 - by), min(SIZE.width, x2 + by), min(SIZE.height, y2 + by)


def three(boxes):
    return boxes


PLANTS = {
    # name: what it answers from, of the boxes of the squares; what its thought names
    "last": (lambda pixels, boxes: colour_of(pixels, boxes[-1]), three),
    "first": (lambda pixels, boxes: colour_of(pixels, boxes[0]), three),
    "none": (lambda pixels, boxes: colour_of(pixels, boxes[1]), lambda boxes: [boxes[0], boxes[2]]),
    "blind": (lambda pixels, boxes: "red", three),
    "closer": (lambda pixels, boxes: colour_of(pixels, boxes[2]), lambda boxes: [boxes[0], larger(boxes[2]), boxes[2]]),
}


def probed(name, number, *, plan=PLAN, named=None, write=text_of):
    answers, names = PLANTS[name]
    pixels, squares = scene(number)
    looked = (named or names)(squares)
    sample = Sample(id=f"s{number}", task="plants", answer_rule="accepted", answers=("red",), image_size=SIZE)
    own = score(sample, text_of(answers(pixels, squares), looked), CONFIG)
    steps = tuple(pixel_boxes(step.boxes_image_px, SIZE) for step in own.steps)
    regions = ProbedRegions(pixel_boxes(own.boxes_image_px or (), SIZE), steps=steps)
    variants, _ = planned(plan, ("plants", sample.id), regions, SIZE)
    question = ProbedQuestion(sample, SIZE, answer_in(own), regions.named)
    records = tuple(
        probe_record(
            question,
            variant,
            Generation(write(answers(edited(pixels, variant.operation, variant.boxes_px, "mean"), squares), looked)),
            CONFIG,
        )
        for variant in variants
    )
    last = max((place for place, step in enumerate(steps, 1) if step), default=0)
    return ProbedSample(("plants", sample.id), f"c{number}", "ok", 1.0, is_format_ok=True, records=records, steps=last)


def steps_of(name, *, samples=N, **how):
    samples = [probed(name, number, **how) for number in range(samples)]
    return summarise_probes(samples, PLAN)["plants"].steps["mean"]


def test_a_model_that_answers_from_its_last_place_has_its_necessity_there_alone():
    found = steps_of("last")

    numbers = found.scores["same"]
    assert numbers.last.value > 0.8
    assert abs(numbers.first.value) < 0.1
    assert numbers.last_over_earlier.ci_low > 0.5
    assert numbers.last_over_earlier.n == N
    assert found.coverage.value == 1
    assert found.statuses == {"ok": N}


def test_a_model_that_answers_from_its_first_place_has_less_at_its_last():
    numbers = steps_of("first").scores["same"]

    assert numbers.first.value > 0.8
    assert abs(numbers.last.value) < 0.1
    assert numbers.last_over_earlier.ci_high < -0.2
    # of two steps before the last one mattered
    assert numbers.earlier.value == pytest.approx(numbers.first.value / 2, abs=0.05)


@pytest.mark.parametrize("name", ["none", "blind"])
def test_a_model_that_answers_from_none_of_its_places_has_no_difference(name):
    numbers = steps_of(name).scores["same"]

    assert abs(numbers.last.value) < 0.1
    assert abs(numbers.earlier.value) < 0.1
    assert numbers.last_over_earlier.ci_low <= 0 <= numbers.last_over_earlier.ci_high


def test_what_is_not_testable_is_told_apart():
    found = steps_of("blind")

    assert found.statuses == {"not_testable": N}
    assert found.scores["same"].last_over_earlier.value == 0
    assert found.scores["same"].last_over_earlier_testable.value is None


def test_an_earlier_place_around_the_last_takes_it_away_with_itself():
    numbers = steps_of("closer").scores["same"]

    # the one around matters as much; the one that lies apart does not
    assert numbers.last_over_earlier.value == pytest.approx(numbers.last.value / 2, abs=0.1)
    assert numbers.last_over_apart.value == pytest.approx(numbers.last.value, abs=0.05)


def statuses(named):
    return steps_of("last", samples=2, named=named).statuses


def test_what_cannot_be_compared_says_why():
    beyond = (500, 500, 520, 520)

    assert statuses(lambda boxes: boxes[:1]) == {"one_step": 2}
    assert statuses(lambda boxes: []) == {"no_step": 2}
    assert statuses(lambda boxes: [beyond]) == {"no_step": 2}
    assert statuses(lambda boxes: [boxes[0], (0, 0, SIZE.width, SIZE.height)]) == {"control_impossible": 2}
    assert statuses(lambda boxes: boxes[:1] * (MOST_STEPS + 1)) == {"too_many_steps": 2}
    # a place beyond the picture is none: the one before it is the last
    assert statuses(lambda boxes: [*boxes, beyond]) == {"ok": 2}


def test_a_step_is_asked_once_where_its_region_is_another_s_too():
    pixels, squares = scene(0)
    del pixels
    regions = ProbedRegions((squares[0],), steps=((squares[1],), (squares[0],), (squares[1],)))
    variants, _ = planned(PLAN, ("plants", "s0"), regions, SIZE)

    removed = {(one.boxes_px, one.fill) for one in variants if one.operation == "remove"}
    assert len(removed) == 2 * (1 + PLAN.controls)
    assert [one.step for one in variants if one.target == "step"] == [1, 2, 3]


def test_steps_change_nothing_of_the_other_numbers_even_where_their_texts_are_broken():
    samples = [probed("last", number) for number in range(N)]
    without = [
        replace(sample, records=tuple(one for one in sample.records if one.step == 0), steps=0) for sample in samples
    ]
    broken = [replace(sample, records=tuple(map(without_answer_of_steps, sample.records))) for sample in samples]

    expected = summarise_probes(without, replace(PLAN, steps=False))["plants"].fills["mean"]
    for found in (summarise_probes(given, PLAN)["plants"].fills["mean"] for given in (samples, broken)):
        assert (found.scores, found.statuses) == (expected.scores, expected.statuses)


def without_answer_of_steps(record):
    return msgspec.structs.replace(record, answer=None, is_format_ok=False, is_same=False) if record.step else record


def test_texts_without_an_answer_take_the_steps_away_alone():
    def write(answer, boxes):
        return "no idea" if answer == "neither" else text_of(answer, boxes)

    found = [replace(probed("last", number, write=write), is_format_ok=True) for number in range(N)]
    summary = summarise_probes(found, PLAN)["plants"].steps["mean"]

    assert "keep the format" in summary.withheld
    assert summary.scores["same"].last_over_earlier.value is None
    assert summary.statuses["format_broken"] > 0


def test_scores_of_steps_are_stored_and_read_again():
    samples = [probed("last", number) for number in range(N)]
    summary = summarise_probes(samples, PLAN)
    content = scores_bytes(probe_scores(summary, samples, PLAN, told={}))

    found = read_probe_scores(content, "probes.json")

    assert found.tasks == summary
    assert list(found.stepped) == stepped_scores(samples, "mean", "same")
    assert content == scores_bytes(probe_scores(summary, samples, PLAN, told={}))
