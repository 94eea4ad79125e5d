"""Tests of what a headline is worth to somebody who sees nothing, and of how texts point at places."""

import json
from dataclasses import replace

import numpy as np
import pytest

from harness.scoring.score import score
from harness.summary.run_summary import summarise_records
from harness.task_facts import MME_COGNITION, MME_PERCEPTION
from harness.values import SATORI_LIST, Generation, Record, Sample, ScoreConfig, Size

CONFIG = ScoreConfig(box_dialect=SATORI_LIST)
PLAIN = ScoreConfig(format="plain")


def choice(number, answer, options="ABCD", task="mmstar", **fields):
    return Sample(
        str(number), task, "choice", answers=(answer,), choices={x: f"{x} {number}" for x in options}, **fields
    )


def summary_of(samples, text="", config=PLAIN):
    records = [Record(one, Generation(text), score(one, text, config)) for one in samples]
    return next(iter(summarise_records(records, config).tasks.values()))


def baselines(samples):
    return summary_of(samples).baselines


def test_chance_is_one_of_the_options_row_by_row():
    found = baselines([choice(0, "A"), choice(1, "B", "AB"), choice(2, "C", "ABC")])

    assert found["chance"].value == pytest.approx((1 / 4 + 1 / 2 + 1 / 3) / 3)
    assert found["chance"].n == 3


def test_the_commonest_answer_is_told_with_what_it_earns():
    found = baselines([choice(number, letter) for number, letter in enumerate("BABCBD")])

    assert (found["majority"].answer, found["majority"].value) == ("B", pytest.approx(0.5))


def test_rows_without_gold_count_in_neither():
    found = baselines([choice(0, "A"), replace(choice(1, "B"), answers=None)])

    assert (found["chance"].n, found["majority"].n) == (1, 1)


def test_rows_that_do_not_say_their_options_leave_no_chance_level():
    found = baselines([choice(0, "A"), replace(choice(1, "A"), choices={})])

    assert (found["chance"].value, found["chance"].reason) == (None, "some rows with options do not say which")
    assert found["majority"].value == 1.0


def test_free_answers_have_no_chance_level_and_a_commonest_one():
    rows = [Sample(str(n), "shapes", "accepted", answers=(answer,)) for n, answer in enumerate(["red", "red", "two"])]

    found = baselines(rows)

    assert found["chance"].value is None
    assert (found["majority"].answer, found["majority"].value) == ("red", pytest.approx(2 / 3))


def test_answers_that_are_all_different_have_no_commonest_one():
    found = baselines([Sample(str(n), "shapes", "accepted", answers=(f"thing {n}",)) for n in range(5)])

    assert found["majority"].value is None


def test_the_commonest_answer_earns_by_the_tasks_own_rule():
    rows = [Sample(str(n), "chartqa", "relaxed", answers=(gold,)) for n, gold in enumerate(["100", "100", "103", "50"])]

    found = baselines(rows)

    assert (found["majority"].answer, found["majority"].value) == ("100", pytest.approx(3 / 4))  # 103 is within 5 %


def test_questions_with_and_without_options_are_met_by_chance_where_they_have_some():
    closed = [choice(n, "A", task="mathvista") for n in range(2)]
    free = [Sample(str(n), "mathvista", "mathvista", answers=("7",)) for n in range(2, 4)]

    assert baselines([*closed, *free])["chance"].value == pytest.approx(1 / 8)


def test_chance_must_be_right_in_every_pass_of_mmbench():
    rows = [
        choice(f"{number}-{turn}", "ABCD"[turn], task="mmbench_en_dev", extra={"index": number + turn * 1_000_000})
        for number in range(200)
        for turn in range(4)
    ]

    found = baselines(rows)

    assert found["chance"].n == 200
    assert found["chance"].value == pytest.approx(0.25**4, abs=0.003)
    assert found["majority"].value == 0.0


def test_chance_of_pope_is_its_f1_and_one_answer_to_all_is_the_better_one():
    rows = [
        Sample(f"{number}", "pope", "yes_no", answers=(("yes", "no")[number % 2],), category="random")
        for number in range(400)
    ]

    found = baselines(rows)

    assert found["chance"].value == pytest.approx(0.5, abs=0.02)
    assert (found["majority"].answer, found["majority"].value) == ("Yes", pytest.approx(2 / 3))


def test_chance_on_mme_counts_points_of_questions_and_pairs():
    subtasks = (*MME_PERCEPTION, *MME_COGNITION)
    rows = [
        Sample(f"{name}/{image}/{answer}", "mme", "yes_no", answers=(answer,), category=name,
               extra={"question_id": f"{name}/{image}.png"})
        for name in subtasks
        for image in range(30)
        for answer in ("Yes", "No")
    ]  # fmt: skip

    found = baselines(rows)

    assert found["chance"].value == pytest.approx(14 * (50 + 25), abs=30)
    assert found["majority"].value == pytest.approx(14 * 50)


def test_places_are_not_guessed():
    rows = [Sample("0", "refcoco_val", "box", boxes_image_px=((0, 0, 4, 4),))]

    assert (
        baselines(rows)["chance"].reason
        == "a place is part of the benchmark's own score, and nothing here guesses places"
    )


def test_the_order_of_rows_changes_no_baseline():
    rows = [
        choice(f"{number}-{turn}", "ABCD"[turn], task="mmbench_en_dev", extra={"index": number + turn * 1_000_000})
        for number in range(20)
        for turn in range(4)
    ]
    order = np.random.default_rng(0).permutation(len(rows))

    assert baselines(rows) == baselines([rows[place] for place in order])


# --- how texts point ------------------------------------------------------------------------------------------------

SIZE = Size(100, 50)


def text_of(boxes):
    return f"<caption>a</caption><bbox>{json.dumps(boxes)}</bbox><answer>A</answer>"


def habits(texts, config=CONFIG, *, error=None, **fields):
    fields = {"image_size": SIZE, **fields}
    records = []
    for number, text in enumerate(texts):
        sample = choice(number, "A", **fields)
        records.append(Record(sample, Generation(text), score(sample, text, config)))
    if error is not None:
        from harness.scoring.score import score_error

        records.append(Record(choice("lost", "A", **fields), Generation("", error=error), score_error()))
    return summarise_records(records, config).tasks["mmstar"].boxes


def test_texts_without_gold_say_how_they_point():
    found = habits([
        text_of([[0, 0, 50, 50]]),
        text_of([[0, 0, 10, 50], [10, 0, 30, 50]]),
        text_of([[50, 0, 150, 50]]),
        "<caption>a</caption><answer>A</answer>",
    ])  # fmt: skip

    assert {name: (metric.value, metric.n) for name, metric in found.items()} == {
        "parse_rate": (0.75, 4),
        "boxes_per_text": (1.0, 4),
        "area_share": (pytest.approx((0.5 + 0.3 + 0.5) / 3), 3),
        "outside_share": (pytest.approx(1 / 3), 3),
    }
    assert all(metric.ci_low is not None for metric in found.values())


def test_overlapping_boxes_cover_their_union():
    assert habits([text_of([[0, 0, 60, 50], [40, 0, 80, 50]])])["area_share"].value == pytest.approx(0.8)


def test_a_box_wholly_outside_was_read_and_covers_nothing():
    found = habits([text_of([[200, 0, 300, 50]])])

    assert [found[name].value for name in ("parse_rate", "boxes_per_text", "area_share", "outside_share")] == [
        1,
        0,
        0,
        1,
    ]


def test_failed_samples_count_in_nothing():
    assert habits([text_of([[0, 0, 50, 50]])], error="gone")["parse_rate"].n == 1


def test_boxes_in_an_unknown_frame_were_read_and_have_no_place():
    found = habits([text_of([[0, 0, 50, 50]]), text_of([[1, 1, 9, 9]])], replace(CONFIG, box_dialect=None))

    assert found["parse_rate"].value == 1.0
    assert found["area_share"].value is None


def test_an_image_of_unknown_size_has_no_shares():
    found = habits([text_of([[0, 0, 50, 50]])], image_size=None)

    assert (found["boxes_per_text"].value, found["area_share"].value) == (1.0, None)


def test_the_papers_code_reads_boxes_for_its_reward_alone():
    config = replace(CONFIG, protocol="paper")

    assert habits([text_of([[0, 0, 50, 50]])], config)["parse_rate"].value is None


def test_a_format_without_boxes_says_nothing():
    assert summary_of([choice(0, "A")]).boxes == {}
