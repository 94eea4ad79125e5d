"""What is pasted into regions, and whether planted models follow it: on pictures that Shapes draws."""

import io
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from harness.probes.before_asking import Paste, PastedInto, before_asking
from harness.probes.fills import edited
from harness.probes.probe_summary import ProbedSample, probe_scores, read_probe_scores, summarise_probes
from harness.probes.probed_text import ProbedQuestion, answer_in, asks_what_is_there, probe_record, says
from harness.probes.regions import mask_of, region_elsewhere, window_around
from harness.probes.variants import ProbedRegions, ProbePlan, planned
from harness.runs.store import scores_bytes
from harness.scoring.score import score
from harness.values import Generation, Picture, Record, Sample, ScoreConfig, Size
from tasks.pasted_regions import paste_for
from tasks.shapes import generate

PLAN = ProbePlan(fills=("mean",), controls=2, operations=("paste",))
CONFIG = ScoreConfig()
COLOURS = {
    "red": (220, 20, 30),
    "green": (20, 150, 50),
    "blue": (30, 60, 220),
    "yellow": (250, 215, 0),
    "purple": (130, 40, 160),
    "orange": (255, 130, 0),
    "pink": (255, 130, 190),
    "black": (15, 15, 15),
}
ROWS = [*range(0, 72, 6), *range(2, 74, 6)]
"""Of the full profile: questions of colour (0, 6, ...) and of existence (2, 8, ...)."""


def colour_in(pixels, box):
    """Return the colour of which a box shows most; None where it shows ground alone."""
    left, top, right, bottom = box
    inside = pixels[top:bottom, left:right].reshape(-1, 3)
    counts = {name: int((inside == rgb).all(1).sum()) for name, rgb in COLOURS.items()}
    best = max(counts, key=counts.get)
    return best if counts[best] else None


def read(row, pixels, box):
    """Answer a question of colour or of existence from what one box shows: of the latter, whether it is the thing."""
    if row.kind == "colour":
        return colour_in(pixels, box) or "none"
    left, top, right, bottom = box
    rgb = COLOURS[row.question.removesuffix("?").split()[-2]]
    shown, drawn = ((one[top:bottom, left:right] == rgb).all(-1) for one in (pixels, picture_of(row)))
    return "yes" if drawn.any() and (shown == drawn).mean() > 0.9 else "no"


def read_anywhere(row, pixels, box):
    """Answer as the picture has it, and otherwise as soon as anything is changed in it."""
    return row.answers[0] if (pixels == picture_of(row)).all() else "grey"


def read_changed(row, pixels, box):
    """Answer otherwise when the target is changed, but not as it then shows."""
    left, top, right, bottom = box
    changed = (pixels != picture_of(row))[top:bottom, left:right]
    return "grey" if changed.mean() > 0.2 else row.answers[0]


def read_mute(row, pixels, box):
    """Answer nothing as soon as the target is changed."""
    found = read_changed(row, pixels, box)
    return "" if found == "grey" else found


def read_nowhere(row, pixels, box):
    return row.answers[0]


def target(row):
    return row.scene.things[[one.box_image_px for one in row.scene.things].index(row.boxes_image_px[0])]


def other_than(row):
    """Return an object that is no gold; where all are, as where the answer is no, the last."""
    return next((one for one in row.scene.things if one.box_image_px not in row.boxes_image_px), row.scene.things[-1])


@lru_cache
def picture_of(row):
    return np.asarray(Image.open(io.BytesIO(row.png())).convert("RGB"))


PLANTS = {
    # name: of which thing it names the box, how it reads the target's
    "reader": (target, read),
    "looks elsewhere": (other_than, read),
    "blind": (target, read_nowhere),
    "upset": (target, read_anywhere),
    "confused": (target, read_changed),
    "mute": (target, read_mute),
}


def probed(name, number, *, edit=edited, plan=PLAN, box=None):
    row = generate("full", "benchmark", number)
    size, pixels = Size(row.width, row.height), picture_of(row)
    names, reads = PLANTS[name]
    named = (box or names(row).box_image_px,)

    def write(shown):
        answer = reads(row, shown, target(row).box_image_px)
        return f"<caption>c</caption><bbox>{[list(one) for one in named]}</bbox><answer>{answer}</answer>"

    sample = sample_of(row)
    own = Generation(write(pixels))
    answer = answer_in(score(sample, own.text, CONFIG))
    into = PastedInto(named, row.boxes_image_px, size, answer, lambda known: says(sample, known, own, CONFIG), row.id)
    paste = paste_for(sample, into)
    is_paste = isinstance(paste, Paste)
    regions = ProbedRegions(named, source=paste.source if is_paste else ())
    variants, has_controls = planned(plan, ("shapes", row.id), regions, size)
    question = ProbedQuestion(sample, size, answer, named, paste.expected if is_paste else ())
    status = "ok" if has_controls else "control_impossible"
    records = tuple(
        probe_record(
            question,
            one,
            Generation(write(edit(pixels, one.operation, one.boxes_px, one.fill, one.source_px))),
            CONFIG,
        )
        for one in variants
    )
    return ProbedSample(
        ("shapes", row.id), row.scene.sha256, status, 1.0, True, records, status if is_paste else paste
    )  # fmt: skip


def sample_of(row):
    return Sample(
        id=row.id, task="shapes", answer_rule="accepted", question=row.question, answers=row.answers,
        boxes_image_px=tuple(map(tuple, row.boxes_image_px)), image_size=Size(row.width, row.height),
    )  # fmt: skip


def pasted(name, **how):
    return summarise_probes([probed(name, number, **how) for number in ROWS], PLAN)["shapes"].pasted


def test_an_oracle_that_reads_the_region_it_names_follows_what_is_pasted_there():
    found = pasted("reader")

    scored = sum(found.statuses.get(status, 0) for status in ("ok", "not_testable"))
    assert found.follows.value == 1
    assert found.follows_control.value < 0.05
    assert found.follow.ci_low > 0.6
    assert found.follow.n == found.known == scored > 10
    # a "no" has every object for its gold: nothing can be pasted that answers otherwise
    assert found.statuses["nothing_other"] > 0
    assert found.follow_strict.value == pytest.approx(found.follow.value * scored / found.follow_strict.n)


def test_texts_without_an_answer_are_not_taken_for_answers_that_do_not_follow():
    found = pasted("mute")

    assert found.statuses["format_broken"] > 10
    assert found.follow.value is None
    assert found.follow_strict.value is None


@pytest.mark.parametrize("name", ["blind", "looks elsewhere", "confused"])
def test_a_model_that_answers_from_elsewhere_or_nothing_does_not_follow(name):
    found = pasted(name)

    assert found.follows.value == 0
    # a random region may be the place that it looks at, and follows there
    assert found.follow.value == pytest.approx(-found.follows_control.value)
    assert -0.2 < found.follow.value <= 0
    assert found.follow.ci_low <= 0
    assert found.follow.n > 10


def test_where_a_paste_falls_on_the_place_that_is_read_by_chance_the_control_tells():
    assert pasted("looks elsewhere").follows_control.value > 0.05


def test_answers_that_survive_the_blank_picture_are_told_apart():
    found = pasted("blind")

    assert "ok" not in found.statuses
    assert found.statuses["not_testable"] == found.follow.n
    assert found.follow_testable.value is None


def nothing(pixels, operation, boxes, fill, sources):
    return pixels if operation == "paste" else edited(pixels, operation, boxes, fill, sources)


def itself(pixels, operation, boxes, fill, sources):
    return edited(pixels, operation, boxes, fill, boxes if operation == "paste" else sources)


def beside(pixels, operation, boxes, fill, sources):
    away = tuple((0, 0, x2 - x1, y2 - y1) for x1, y1, x2, y2 in boxes) if operation == "paste" else boxes
    return edited(pixels, operation, away, fill, sources)


@pytest.mark.parametrize("edit", [nothing, itself, beside])
def test_an_edit_that_does_not_paste_what_it_says_is_seen_on_the_oracle(edit):
    assert pasted("reader", edit=edit).follow.value < 0.2


def test_a_box_around_the_picture_is_counted_as_nothing():
    samples = [probed("reader", number, box=(0, 0, *_size(number))) for number in ROWS[::4]]
    found = summarise_probes(samples, PLAN)["shapes"].pasted

    assert found.follow.value is None
    assert found.statuses["no_room"] == found.follow_strict.n > 0
    assert found.follow_strict.value == 0
    assert found.coverage.value == 0


def _size(number):
    row = generate("full", "benchmark", number)
    return row.width, row.height


def into(row, named, answer="red", *, says_so=lambda known: False):
    return PastedInto(tuple(named), row.boxes_image_px, Size(row.width, row.height), answer, says_so, "s")


@pytest.mark.parametrize(("kind", "asked"), [(0, True), (1, False), (2, True), (3, False), (4, False), (5, False)])
def test_shapes_asks_where_its_generator_knows_what_the_edit_changes(kind, asked):
    row = generate("full", "benchmark", kind)
    found = paste_for(sample_of(row), into(row, [row.boxes_image_px[0]], says_so=lambda known: known == ("yes",)))

    assert isinstance(found, Paste) == asked
    assert asked or found == "not_about_region"


def test_a_lone_object_gives_way_to_ground_where_existence_is_asked_and_to_nothing_where_colour_is():
    rows = [generate("tiny", "benchmark", number) for number in range(60)]
    lone = {row.kind: row for row in rows if len(row.scene.things) == 1 and row.answers[0] != "no"}

    existence = lone["existence"]
    found = paste_for(sample_of(existence), into(existence, existence.boxes_image_px, "yes"))
    pixels = picture_of(existence)
    assert found.expected == ("no",)
    assert colour_in(pixels, found.source[0]) is None
    assert paste_for(sample_of(lone["colour"]), into(lone["colour"], lone["colour"].boxes_image_px)) == "nothing_other"


@pytest.mark.parametrize(("profile", "numbers"), [("full", range(0, 60, 6)), ("tiny", range(0, 180, 3))])
def test_what_is_pasted_shows_another_object_and_nothing_of_boxes_and_gold(profile, numbers):
    sources = 0
    for number in numbers:
        row = generate(profile, "benchmark", number)
        x1, y1, x2, y2 = row.boxes_image_px[0]
        named = [(x1, y1, x2, y2), (x1 + 3, y1 + 2, x2, y2)] if profile == "full" else [(x1, y1, x1 + 22, y1 + 22)]
        found = paste_for(sample_of(row), into(row, named))
        if not isinstance(found, Paste):
            continue
        sources += 1
        size = Size(row.width, row.height)
        rest = [one.box_image_px for one in row.scene.things if one.colour != found.expected[0]]
        assert not (mask_of(found.source, size) & mask_of([*named, *row.boxes_image_px, *rest], size)).any()
        shapes = [[(b[2] - b[0], b[3] - b[1]) for b in boxes] for boxes in (found.source, named)]
        assert shapes[0] == shapes[1]
        assert {colour_in(picture_of(row), box) for box in found.source} == {found.expected[0]}
    assert sources > 5


@pytest.mark.parametrize(
    ("question", "answer", "named", "expected"),
    [
        ("What colour is the car?", "red", [(4, 4, 20, 20)], Paste),
        ("Which animal stands on the road?", "dog", [(4, 4, 20, 20), (10, 10, 30, 30)], Paste),
        ("Who wears the hat?", "a man", [(0, 0, 9, 9)], Paste),
        ("这是什么?", "猫", [(0, 0, 9, 9)], Paste),
        ("How many dogs are there?", "2", [(0, 0, 9, 9)], "not_about_region"),
        ("What is to the left of the car?", "dog", [(0, 0, 9, 9)], "not_about_region"),
        ("Where is the dog?", "road", [(0, 0, 9, 9)], "not_about_region"),
        ("Which is the largest?", "dog", [(0, 0, 9, 9)], "not_about_region"),
        ("What number of dogs is there?", "2", [(0, 0, 9, 9)], "not_about_region"),
        ("Is there a dog?", "yes", [(0, 0, 9, 9)], "not_about_region"),
        ("Is the car of this color?", "no", [(0, 0, 9, 9)], "nothing_other"),
        ("What is that?", "dog", [], "no_box"),
        ("What is that?", "dog", [(0, 0, 90, 70)], "no_room"),
        ("", "dog", [(0, 0, 9, 9)], "not_about_region"),
    ],
)
def test_other_questions_are_asked_by_their_words(question, answer, named, expected):
    sample = Sample(id="1", task="t", answer_rule="accepted", question=question)
    region = PastedInto(tuple(named), ((30, 30, 40, 40),), Size(96, 80), answer, lambda known: False, "s")

    found = paste_for(sample, region)

    if expected is Paste:
        assert found.expected == ()
        assert asks_what_is_there(question)
    else:
        assert found == expected


@pytest.mark.parametrize(
    ("changes", "text", "expected"),
    [
        (
            {"pictures": (Picture("a"), Picture("b")), "image_size": None},
            "dog",
            "several_pictures",
        ),
        ({"image_size": None}, "dog", "no_picture"),
        ({"answer_rule": "point"}, "dog", "answer_is_place"),
        ({}, "", "no_answer"),
        ({"question": "How many?"}, "dog", "not_about_region"),
        ({}, "dog", "ok"),
    ],
)
def test_what_cannot_be_asked_of_any_region_is_not_asked_of_a_pasted_one(changes, text, expected):
    sample = replace(
        Sample(id="1", task="t", answer_rule="accepted", question="What is that?", image_size=Size(96, 80)), **changes
    )
    generation = Generation(f"<caption>c</caption><bbox>[[4, 4, 20, 20]]</bbox><answer>{text}</answer>")
    record = Record(sample, generation, score(sample, generation.text, CONFIG))

    found = before_asking(record, CONFIG, PLAN, paste_for=paste_for)

    assert found.paste == expected
    assert any(one.operation == "paste" for one in found.variants) == (expected == "ok")
    assert before_asking(record, CONFIG, replace(PLAN, operations=("remove",)), paste_for=paste_for).paste is None


def test_where_the_new_answer_is_not_known_another_one_follows():
    sample = Sample(id="1", task="t", answer_rule="accepted", question="What is that?", answers=("dog",))
    question = ProbedQuestion(sample, Size(96, 80), "dog", ((0, 0, 9, 9),))
    variant = planned(PLAN, ("t", "1"), ProbedRegions(question.named, source=((40, 40, 49, 49),)), question.size)[0][2]

    texts = ["<answer>cat</answer>", "<answer>Dog</answer>", "nothing"]
    follows = [probe_record(question, variant, Generation(text), CONFIG).follows for text in texts]

    assert (variant.operation, variant.target) == ("paste", "named")
    assert follows == [True, False, False]


def test_scores_are_stored_and_read_again_to_the_same_bytes():
    samples = [probed("reader", number) for number in ROWS[:8]]
    content = scores_bytes(probe_scores(summarise_probes(samples, PLAN), samples, PLAN, told={}))
    again = [probed("reader", number) for number in ROWS[:8]]

    assert read_probe_scores(content, "x").tasks == summarise_probes(samples, PLAN)
    assert len(read_probe_scores(content, "x").pasted) == 8
    assert scores_bytes(probe_scores(summarise_probes(again, PLAN), again, PLAN, told={})) == content


def test_a_model_that_any_paste_upsets_has_no_number():
    found = pasted("upset")

    assert found.follow.value is None
    assert "100 % of answers change when a random region is pasted over" in found.withheld


boxes = st.builds(
    lambda x, y, width, height: (x, y, x + width, y + height),
    st.integers(0, 60), st.integers(0, 50), st.integers(1, 30), st.integers(1, 26),
)  # fmt: skip


@given(st.lists(boxes, min_size=1, max_size=3), st.integers(0, 3))
def test_pasted_pixels_are_those_of_the_source_and_the_rest_is_as_it_was(region, seed):
    size = Size(96, 80)
    pixels = np.arange(80 * 96 * 3, dtype=np.uint32).reshape(80, 96, 3).astype(np.uint8)
    sources = region_elsewhere(region, region, size, f"{seed}")
    if sources is None:
        return
    made = edited(pixels, "paste", region, "mean", sources)

    outside = ~mask_of(region, size)
    assert (made[outside] == pixels[outside]).all()
    x1, y1, x2, y2 = region[-1]
    a1, b1, a2, b2 = sources[-1]
    assert (made[y1:y2, x1:x2] == pixels[b1:b2, a1:a2]).all()
    assert not (mask_of(sources, size) & mask_of(region, size)).any()
    assert region_elsewhere(region, region, size, f"{seed}") == sources


def test_a_source_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="1 x 1 pixels cannot be pasted over 4 x 4"):
        edited(np.zeros((9, 9, 3), np.uint8), "paste", [(0, 0, 4, 4)], "mean", [(5, 5, 6, 6)])


@pytest.mark.parametrize(
    ("width", "height", "away_from", "expected"),
    [
        (20, 20, [], (20, 20, 40, 40)),
        (10, 20, [], (25, 20, 35, 40)),
        (10, 10, [], None),
        (30, 20, [], (15, 20, 45, 40)),
        (30, 20, [(44, 0, 60, 80)], (10, 20, 40, 40)),
        (30, 20, [(10, 0, 18, 80)], (20, 20, 50, 40)),
        (30, 20, [(10, 0, 18, 80), (44, 0, 60, 80)], None),
        (60, 20, [], (0, 20, 60, 40)),
        (97, 20, [], None),
    ],
)
def test_a_window_shows_a_thing_and_nothing_that_it_is_to_be_away_from(width, height, away_from, expected):
    assert window_around((20, 20, 40, 40), width, height, away_from, Size(96, 80)) == expected
