"""Probes on planted models: functions of the picture whose reliance on a region is known.

Pictures are noise with two squares, one red or blue, one green; the question asks whether the first is red.
"""

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.probes.fills import FILLS, edited
from harness.probes.probe_records import probe_lines, read_probes
from harness.probes.probe_summary import ProbedSample, probe_scores, scores_of, summarise_probes
from harness.probes.probed_text import ProbedQuestion, answer_in, asks_for_colour, probe_record
from harness.probes.regions import areas_px, control_boxes, mask_of, pixel_boxes
from harness.probes.variants import ProbedRegions, ProbePlan, planned
from harness.scoring.score import score
from harness.values import Generation, Sample, ScoreConfig, Size
from reports.texts.necessity_text import probe_sentences

SIZE = Size(96, 80)
CONFIG = ScoreConfig()
PLAN = ProbePlan()
SIDE = 16
N = 40


def scene(number):
    """Return the pixels of a picture, the boxes of its target and of the other object, and whether the target is red.

    Both colours differ by one channel only, and everything is noisy: nothing is flat before a patch is.
    """
    rng = np.random.default_rng(number)
    pixels = rng.integers(100, 140, (SIZE.height, SIZE.width, 3)).astype(np.uint8)
    red = bool(rng.integers(2))
    target = (int(rng.integers(4, 28)), int(rng.integers(4, 60)))
    other = (int(rng.integers(50, 76)), int(rng.integers(4, 60)))
    boxes = [(x, y, x + SIDE, y + SIDE) for x, y in (target, other)]
    for (left, top, right, bottom), channel in zip(boxes, (0 if red else 2, 1), strict=True):
        pixels[top:bottom, left:right, channel] = rng.integers(220, 256, (SIDE, SIDE))
        for rest in {0, 1, 2} - {channel}:
            pixels[top:bottom, left:right, rest] = rng.integers(0, 40, (SIDE, SIDE))
    return pixels, boxes[0], boxes[1], red


def share_of(pixels, channel):
    """Return how many target-sized squares of one colour the picture shows."""
    rest = [number for number in range(3) if number != channel]
    return float(((pixels[..., channel] > 200) & (pixels[..., rest] < 60).all(-1)).sum()) / SIDE**2


def sees_red(pixels):
    return share_of(pixels, 0) > 0.5


def is_patched(pixels):
    """Whether an 8 x 8 block is of one colour."""
    blocks = pixels.reshape(10, 8, 12, 8, 3)
    return bool((blocks.max((1, 3)) == blocks.min((1, 3))).all(-1).any())


def counts_both(pixels):
    return share_of(pixels, 1) > 0.5 and max(share_of(pixels, 0), share_of(pixels, 2)) > 0.5


BACKGROUND = (40, 2, 48, 10)
WHOLE = (0, 0, 96, 80)
PLANTS = {
    # name: what it answers of the picture, which box it names of (target, other)
    "oracle": (sees_red, lambda target, other: target),
    "wrong object": (sees_red, lambda target, other: other),
    "wrong background": (sees_red, lambda target, other: BACKGROUND),
    "hard blind": (lambda pixels: True, lambda target, other: other),
    "right box, blind answer": (lambda pixels: True, lambda target, other: target),
    "whole image": (sees_red, lambda target, other: WHOLE),
    "brittle": (lambda pixels: sees_red(pixels) != is_patched(pixels), lambda target, other: target),
    "global": (counts_both, lambda target, other: target),
}


def text_of(answer, box):
    return f"<caption>squares</caption><bbox>[{list(box)}]</bbox><answer>{'yes' if answer else 'no'}</answer>"


def probed(answers, names, number, plan=PLAN, *, with_p=False, write=text_of):
    """Ask a planted model about all edits of one picture."""
    pixels, target, other, red = scene(number)
    box = names(target, other)
    sample = Sample(
        id=f"s{number}",
        task="plants",
        answer_rule="yes_no",
        answers=("yes" if red else "no",),
        boxes_image_px=(target,),
        image_size=SIZE,
    )
    own = write(answers(pixels), box)
    original = answer_in(score(sample, own, CONFIG))
    named = pixel_boxes([box], SIZE)
    gold, beside = pixel_boxes([target], SIZE), pixel_boxes([other], SIZE)
    regions = ProbedRegions(named, gold, beside, is_asked_for_colour=True)
    variants, has_controls = planned(plan, (sample.task, sample.id), regions, SIZE)
    question = ProbedQuestion(sample, SIZE, original, named)
    records = []
    for variant in variants:
        answer = answers(edited(pixels, variant.operation, variant.boxes_px, variant.fill))
        p = 0.9 if ("yes" if answer else "no") == original else 0.1
        written = Generation(write(answer, box))
        records.append(probe_record(question, variant, written, CONFIG, p if with_p else None))
    status = "ok" if has_controls else "control_impossible"
    return ProbedSample((sample.task, sample.id), f"c{number}", status, 1.0, True, tuple(records))


@pytest.fixture(scope="module")
def planted():
    """What each plant's probes come to, by name: the samples and the summary."""
    made = {}
    for name, (answers, names) in PLANTS.items():
        samples = [probed(answers, names, number) for number in range(N)]
        made[name] = samples, summarise_probes(samples, PLAN)["plants"]
    return made


def numbers(planted, name, fill="mean"):
    return planted[name][1].fills[fill].scores["same"]


def necessities(planted, name):
    found = [one.necessity for one in scores_of(planted[name][0], PLAN, "same")["mean"]]
    return [value for value in found if value is not None]


@pytest.mark.parametrize("fill", FILLS)
def test_an_oracle_that_names_where_it_looked_reaches_all_that_can_be_reached(planted, fill):
    found = numbers(planted, "oracle", fill)

    assert 0.95 <= found.necessity_of_possible.value <= 1.05
    assert 0.95 <= found.sufficiency_of_possible.value <= 1.05
    assert found.necessity_of_possible.ci_low is None
    assert found.necessity.ci_low > 0.2
    assert found.necessity.value == pytest.approx(found.ceiling.value, abs=0.02)
    assert found.necessity_testable.value == pytest.approx(1, abs=0.05)
    assert planted["oracle"][1].fills_agree.value == 1
    assert planted["oracle"][1].base_repeat.value == 1


@pytest.mark.parametrize("name", ["wrong object", "wrong background"])
def test_naming_another_place_than_the_answer_came_from_has_no_necessity(planted, name):
    found = numbers(planted, name)

    assert found.necessity.ci_low <= 0
    assert found.necessity.value < 0.05
    assert found.sufficiency.ci_low <= 0
    assert found.dependence.ci_low > 0


@pytest.mark.parametrize("name", ["hard blind", "right box, blind answer"])
def test_answers_that_no_picture_changes_have_scores_of_exactly_0_and_are_not_testable(planted, name):
    found = numbers(planted, name)

    assert planted[name][1].fills["mean"].statuses == {"not_testable": N}
    assert (found.necessity.value, found.sufficiency.value, found.dependence.value) == (0, 0, 0)
    assert found.necessity_testable.value is None
    assert found.necessity_of_possible.value is None


def test_a_box_around_the_whole_picture_has_no_control_and_gains_nothing(planted):
    found = numbers(planted, "whole image")

    assert planted["whole image"][1].fills["mean"].statuses == {"control_impossible": N}
    assert found.necessity.value is None
    assert (found.necessity_strict.value, found.necessity_strict.n) == (0, N)
    assert found.dependence.value > 0.2


def test_a_model_that_any_patch_upsets_does_not_look_grounded(planted):
    of_fill = planted["brittle"][1].fills["mean"]
    kept = {(edit.operation, edit.target): edit.kept.value for edit in of_fill.edits}

    assert 1 - kept["remove", "named"] > 0.3
    assert np.mean(necessities(planted, "brittle")) <= 0
    assert of_fill.scores["same"].necessity.value is None
    assert "when a random region is removed" in of_fill.not_interpreted["remove"]
    assert of_fill.scores["same"].is_artefact


def test_an_answer_from_all_of_the_picture_needs_each_part_and_has_enough_with_none(planted):
    found = numbers(planted, "global")

    assert found.necessity.ci_low > 0.3
    assert abs(found.sufficiency.value) < 0.05


def test_probabilities_are_scored_beside_answers():
    samples = [probed(*PLANTS["oracle"], number, with_p=True) for number in range(20)]

    found = summarise_probes(samples, PLAN)["plants"].fills["mean"].scores

    assert found["p"].necessity.value == pytest.approx(0.8 * found["same"].necessity.value)


def test_removing_what_the_question_does_not_ask_about_is_a_control_too(planted):
    assert numbers(planted, "oracle").over_others.value == pytest.approx(numbers(planted, "oracle").necessity.value)


@pytest.mark.parametrize(("name", "least", "is_elsewhere"), [("oracle", 0.3, False), ("wrong object", -0.05, True)])
def test_gold_boxes_are_probed_where_they_are_asked_for(name, least, is_elsewhere):
    plan = ProbePlan(fills=("mean",), gold=True)
    samples = [probed(*PLANTS[name], number, plan) for number in range(30)]

    summary = summarise_probes(samples, plan)["plants"]
    found = summary.fills["mean"].scores["same"]
    (said,) = [sentence for sentence in probe_sentences(summary) if "removing the gold box" in sentence]

    assert found.gold_necessity.value > 0.3
    assert least <= found.necessity.value <= least + 0.6
    assert said.endswith("answers go with the gold region more than with the box named") == is_elsewhere


@pytest.mark.parametrize(("name", "least", "most"), [("oracle", 0.3, 1), ("wrong object", -0.05, 0.05)])
def test_answers_about_colour_follow_the_region_that_they_came_from(name, least, most):
    plan = ProbePlan(fills=("mean", "ring"), operations=("turn",), controls=2)
    samples = [probed(*PLANTS[name], number, plan) for number in range(20)]

    found = summarise_probes(samples, plan)["plants"].fills["ring"].scores["same"]

    assert all(len(sample.records) == 3 + 3 for sample in samples)
    assert least <= found.colour_necessity.value <= most
    assert (found.necessity.value, found.necessity_strict.value) == (None, None)
    assert found.necessity_strict.reason == "not asked"


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What color is the circle?", True),
        ("Which COLOUR has the car?", True),
        ("Are the coloured balls left?", True),
        ("这辆车是什么颜色的?", True),
        ("Is it discolored?", False),
        ("How many balls?", False),
        ("", False),
    ],
)
def test_questions_about_colour_have_the_word(question, expected):
    assert asks_for_colour(question) == expected


def test_turned_colours_come_round_and_leave_the_rest():
    pixels, target, _, _ = scene(1)
    once = edited(pixels, "turn", [target], "mean")
    mask = mask_of([target], SIZE)

    assert (once[~mask] == pixels[~mask]).all()
    assert (once[mask] != pixels[mask]).any()
    assert (edited(edited(once, "turn", [target], "mean"), "turn", [target], "mean") == pixels).all()


def test_texts_without_format_take_the_score_away_and_say_why():
    def write(answer, box):
        return text_of(answer, box) if answer else "no idea"

    samples = [probed(lambda pixels: not is_patched(pixels), PLANTS["oracle"][1], n, write=write) for n in range(8)]
    found = summarise_probes(samples, PLAN)["plants"].fills["mean"]

    assert found.statuses == {"format_broken": 8}
    assert found.scores["same"].sufficiency.value is None
    assert "keep the format" in found.scores["same"].sufficiency.reason


def test_questions_about_one_picture_are_one_cluster():
    samples = [probed(*PLANTS["oracle"], number) for number in range(20)]
    together = [replace(sample, cluster=f"c{place // 5}") for place, sample in enumerate(samples)]

    one = summarise_probes(samples, PLAN)["plants"].fills["mean"].scores["same"].necessity
    other = summarise_probes(together, PLAN)["plants"].fills["mean"].scores["same"].necessity

    assert one.value == other.value
    assert one.ci_high - one.ci_low < other.ci_high - other.ci_low


def test_order_of_samples_changes_nothing(planted):
    samples, summary = planted["oracle"]

    assert summarise_probes(samples[::-1], PLAN)["plants"] == summary


def test_records_and_scores_are_json(planted):
    samples, summary = planted["oracle"]
    records = [record for sample in samples for record in sample.records]

    assert read_probes(probe_lines(records), "x") == records
    assert msgspec.json.encode(probe_scores({"plants": summary}, samples, PLAN, told={}))
    with pytest.raises(ValueError, match="x line 1 is no probe record"):
        read_probes(b"{}\n", "x")


@st.composite
def _regions(draw):
    count = draw(st.integers(1, 3))
    numbers = st.integers(0, 95)
    boxes = [
        sorted(draw(st.tuples(numbers, numbers))) + sorted(draw(st.tuples(numbers, numbers))) for _ in range(count)
    ]
    return pixel_boxes([(x1, y1, x2, y2) for x1, x2, y1, y2 in boxes], SIZE)


@given(_regions(), st.sampled_from(FILLS))
def test_removed_and_kept_part_the_picture_and_leave_the_rest_as_it_was(boxes, fill):
    pixels = scene(0)[0]
    mask = mask_of(boxes, SIZE)
    removed, kept = (edited(pixels, operation, boxes, fill) for operation in ("remove", "keep"))

    assert (removed[~mask] == pixels[~mask]).all()
    assert (kept[mask] == pixels[mask]).all()
    assert len(np.unique(removed[mask], axis=0)) <= 1
    assert len(np.unique(kept[~mask], axis=0)) <= 1
    assert (edited(pixels, "repeat", boxes, fill) == pixels).all()


@given(_regions(), _regions())
def test_areas_are_those_of_the_pixels(region, other):
    one, two = mask_of(region, SIZE), mask_of(other, SIZE)

    assert areas_px(region, other) == (one.sum(), two.sum(), (one & two).sum())


@given(_regions(), st.integers(0, 3))
def test_a_control_has_the_shape_of_its_region_and_lies_elsewhere(region, k):
    drawn = control_boxes(region, SIZE, f"s\0{k}")

    assert drawn == control_boxes(region, SIZE, f"s\0{k}")
    if drawn is None:
        return
    area, own, shared = areas_px(region, drawn)
    assert [(x2 - x1, y2 - y1) for x1, y1, x2, y2 in drawn] == [(x2 - x1, y2 - y1) for x1, y1, x2, y2 in region]
    assert all(x1 >= 0 and y1 >= 0 and x2 <= SIZE.width and y2 <= SIZE.height for x1, y1, x2, y2 in drawn)
    assert shared <= 0.1 * area
    assert abs(own - area) <= 0.1 * area


@pytest.mark.parametrize(
    ("boxes", "expected"),
    [
        ([(1.2, 1.2, 3.1, 3.1)], [(1, 1, 4, 4)]),
        ([(-5, -5, 500, 500)], [(0, 0, 96, 80)]),
        ([(90, 70, 96.0, 80.0)], [(90, 70, 96, 80)]),
        ([(200, 10, 210, 20)], []),
        ([(-9, 0, -1, 10)], []),
        ([(5, 5, 5, 9)], []),
        ([(9, 9, 5, 5)], []),
        ([(float("nan"), 0, 5, 5)], []),
        ([(0, 0, float("inf"), 5)], []),
        ([(10, 10, 10.4, 10.4), (0, 0, 2, 2)], [(10, 10, 11, 11), (0, 0, 2, 2)]),
    ],
)
def test_boxes_are_rounded_outward_and_cut_at_the_picture(boxes, expected):
    assert pixel_boxes(boxes, SIZE) == tuple(expected)


def test_a_ring_takes_the_colour_around_what_is_removed_and_of_the_edge_around_what_is_kept():
    pixels = np.full((80, 96, 3), 10, np.uint8)
    pixels[20:60, 20:60] = 200
    inside = [(30, 30, 50, 50)]

    assert edited(pixels, "remove", inside, "ring")[40, 40, 0] == 200
    assert edited(pixels, "keep", inside, "ring")[0, 0, 0] == 10
    assert edited(pixels, "blank", (), "ring")[40, 40, 0] == 10


def test_answers_are_compared_as_the_benchmark_reads_them():
    sample = Sample(id="1", task="t", answer_rule="yes_no", answers=("yes",))

    def read(text):
        return answer_in(score(sample, text, CONFIG))

    assert read("<answer>Yes</answer>") == read("<answer> yes.</answer>") is not None
    assert read("<answer></answer>") is None
    assert read("") is None
