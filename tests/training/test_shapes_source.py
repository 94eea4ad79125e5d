import itertools
import re
from collections import Counter

import pytest

from harness.errors import ConfigError
from tasks.images import decode_rgb
from tasks.shapes import KINDS, generate, split_of
from training.data.example import Example
from training.data.shapes import LabelNoise, shapes_examples


@pytest.mark.parametrize("profile", ["tiny", "full"])
def test_right_labels_are_those_of_the_generator(profile):
    rows = list(shapes_examples(profile, 30, 3))

    for index, row in enumerate(rows):
        drawn = generate(profile, "train", index, 3)
        assert (row.id, row.question, row.answers, row.caption) == (
            drawn.id,
            drawn.question,
            drawn.answers,
            drawn.caption,
        )
        assert row.boxes_image_px == drawn.boxes_image_px
        assert decode_rgb(row.image).size == (row.image_size.width, row.image_size.height)
        assert split_of(drawn.scene) == "train"


def test_fewer_rows_are_the_first_of_more():
    more = shapes_examples("tiny", 50, noise=LabelNoise())

    assert list(shapes_examples("tiny", 7, noise=LabelNoise())) == list(itertools.islice(more, 7))


def test_chosen_kinds_come_equally_often_and_keep_their_answers_balanced():
    rows = list(shapes_examples("tiny", 80, kinds=["count", "colour"]))

    assert Counter(row.kind for row in rows) == {"count": 40, "colour": 40}
    assert Counter(row.answers[0] for row in rows if row.kind == "colour") == dict.fromkeys(
        ("red", "green", "blue", "yellow"), 10
    )
    assert len({row.id for row in rows}) == 80


@pytest.mark.parametrize("profile", ["tiny", "full"])
def test_a_weak_annotator_errs_by_its_share_and_stays_plausible(profile):
    right = list(shapes_examples(profile, 600))
    weak = list(shapes_examples(profile, 600, noise=LabelNoise()))
    lists = {kind: {row.answers for row in right if row.kind == kind} for kind in KINDS[profile]}

    wrong_answers = sum(one.answers != other.answers for one, other in zip(right, weak, strict=True))
    edges = [
        (edge, moved)
        for one, other in zip(right, weak, strict=True)
        for box, spoilt in zip(one.boxes_image_px, other.boxes_image_px, strict=True)
        for edge, moved in zip(box, spoilt, strict=True)
    ]
    colours = [
        (word, spoilt)
        for one, other in zip(right, weak, strict=True)
        for word, spoilt in zip(one.caption.split(), other.caption.split(), strict=True)
        if word in {"red", "green", "blue", "yellow", "purple", "orange", "pink", "black"}
    ]
    assert wrong_answers / 600 == pytest.approx(0.3, abs=0.06)
    assert sum(a != b for a, b in edges) / len(edges) == pytest.approx(0.3, abs=0.04)
    assert {abs(a - b) for a, b in edges} == {0, 4}
    assert sum(a != b for a, b in colours) / len(colours) == pytest.approx(0.3, abs=0.05)
    for one, other in zip(right, weak, strict=True):
        assert (one.image, one.question, one.id) == (other.image, other.question, other.id)
        assert profile == "full" or other.answers in lists[one.kind]
        width, height = one.image_size.width, one.image_size.height
        assert all(0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height for x1, y1, x2, y2 in other.boxes_image_px)


def test_articles_agree_with_the_wrong_colours():
    captions = [row.caption for row in shapes_examples("full", 200, noise=LabelNoise(share=1.0))]

    assert not any(re.search(r"\b[Aa] orange|\b[Aa]n (?!orange)", caption) for caption in captions)
    assert any("an orange" in caption for caption in captions)


def test_at_share_one_every_answer_is_wrong_and_at_zero_none():
    right = list(shapes_examples("full", 60))

    assert list(shapes_examples("full", 60, noise=LabelNoise(share=0.0))) == right
    spoilt = shapes_examples("full", 60, noise=LabelNoise(share=1.0))
    assert all(one.answers[0] != other.answers[0] for one, other in zip(right, spoilt, strict=True))


def test_a_shift_that_would_empty_a_box_leaves_it_alone():
    spoilt = shapes_examples("tiny", 60, noise=LabelNoise(share=1.0, box_px=24))

    assert all(x1 < x2 and y1 < y2 for row in spoilt for x1, y1, x2, y2 in row.boxes_image_px)


def test_another_seed_makes_other_mistakes():
    assert list(shapes_examples("tiny", 20, noise=LabelNoise(seed=1))) != list(
        shapes_examples("tiny", 20, noise=LabelNoise())
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (lambda: shapes_examples("huge", 1), "no profile 'huge'"),
        (lambda: shapes_examples("tiny", -1), "0 or more"),
        (lambda: shapes_examples("tiny", 1, kinds=["color"]), "Did you mean 'colour'"),
        (lambda: LabelNoise(share=float("nan")), "must be in"),
        (lambda: LabelNoise(share=1.5), "must be in"),
    ],
)
def test_wrong_arguments_are_refused_at_once(arguments, message):
    with pytest.raises(ConfigError, match=message):
        arguments()


def overlooked(n: int = 240) -> list[tuple[Example, Example]]:
    """Right and spoilt labels of the same rows, where every scene of two has one overlooked."""
    noise = LabelNoise(share=0.0, oversight=1.0)
    return list(zip(shapes_examples("tiny", n), shapes_examples("tiny", n, noise=noise), strict=True))


def test_a_scene_of_one_thing_has_nothing_to_overlook():
    for right, spoilt in overlooked():
        if " and " not in (right.caption or ""):
            assert spoilt == right


def test_an_overlooked_thing_is_missing_from_caption_boxes_and_count_alike():
    counted = [(right, spoilt) for right, spoilt in overlooked() if right.kind == "count" and right.answers[0] == "two"]

    assert counted
    for right, spoilt in counted:
        assert spoilt.answers == ("one", "1")
        assert len(spoilt.boxes_image_px or ()) == 1
        assert set(spoilt.boxes_image_px or ()) < set(right.boxes_image_px or ())
        assert (spoilt.caption or "") + " " in [
            f"{part.removesuffix('.')}. " for part in (right.caption or "").split(" and ")
        ]


def test_an_overlooked_thing_that_was_asked_for_does_not_exist_to_the_annotator():
    asked = [pair for pair in overlooked() if pair[0].kind == "existence" and pair[0].answers != pair[1].answers]

    assert asked
    for right, spoilt in asked:
        assert (right.answers, spoilt.answers) == (("yes",), ("no",))
        assert not set(right.boxes_image_px or ()) & set(spoilt.boxes_image_px or ())


def test_oversight_leaves_image_question_and_other_labels_alone():
    for right, spoilt in overlooked():
        assert (right.image, right.question, right.id) == (spoilt.image, spoilt.question, spoilt.id)
        if right.kind == "colour":
            assert spoilt.answers == right.answers
            assert spoilt.boxes_image_px == right.boxes_image_px
