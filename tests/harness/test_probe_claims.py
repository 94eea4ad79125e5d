"""Tests of what probes and attention claim: no more than their samples show, and by what they were asked of."""

import json
from dataclasses import replace

import msgspec
import pytest

from harness.probes.association import auc_of, rank_correlation
from harness.probes.before_asking import before_asking
from harness.probes.probe_records import ProbeRecord
from harness.probes.probe_summary import probe_scores, read_probe_scores, summarise_probes
from harness.probes.probed_sample import ProbedSample
from harness.probes.variants import ProbePlan
from harness.scoring.box_dialects import dialect_named
from harness.scoring.score import score
from harness.summary.summary_values import Metric
from harness.values import Generation, Record, Sample, ScoreConfig, Size
from reports.texts.necessity_text import probe_sentences

PLAN = ProbePlan(fills=("mean",), controls=1)
EDITS = (
    ("repeat", "none"),
    ("blank", "none"),
    ("remove", "named"),
    ("remove", "random"),
    ("keep", "named"),
    ("keep", "random"),
)


def sample(number, *, has_box=True, is_format_ok=True, keeps=True, stays=("repeat", "remove random", "keep named")):
    """A sample whose texts about edits keep the format, or do not, and whose answer stays under some of them."""
    edits = EDITS if has_box else EDITS[:2]
    records = tuple(
        ProbeRecord(
            task="t", id=str(number), operation=operation, target=target, k=int(target == "random"), answer="a",
            is_same=operation in stays or f"{operation} {target}" in stays, value=1.0,
            is_format_ok=keeps if target != "none" else is_format_ok,
        )
        for operation, target in edits
    )  # fmt: skip
    return ProbedSample(("t", str(number)), str(number), "ok" if has_box else "no_box", 1.0, is_format_ok, records)


def summary_of(samples):
    return summarise_probes(samples, PLAN)["t"]


@pytest.mark.parametrize(
    ("without_box", "lost", "is_given"),
    [
        (0, 0, True),
        (0, 1, True),
        (0, 3, False),
        (10, 0, True),
        (10, 1, True),
        (10, 3, False),  # 17 of 20 keep it where 20 did; among all 30, 20 did: 85 % where it was 67 %
        (40, 3, False),
        (40, 20, False),
    ],
)
def test_what_edits_take_from_the_format_is_told_by_the_samples_that_were_asked(without_box, lost, is_given):
    samples = [sample(number, keeps=number >= lost) for number in range(20)]
    samples += [sample(100 + number, has_box=False, is_format_ok=False) for number in range(without_box)]

    found = summary_of(samples).fills["mean"]

    assert (found.scores["same"].necessity.value is not None) == is_given
    assert ("remove" in found.not_interpreted) == ("keep" in found.not_interpreted) == (not is_given)
    if not is_given:
        assert found.not_interpreted["remove"].endswith("% of texts keep the format where it was 100 %")


def test_texts_that_never_kept_the_format_lose_nothing():
    samples = [sample(number, is_format_ok=False, keeps=False) for number in range(20)]

    assert summary_of(samples).fills["mean"].not_interpreted == {}


def test_how_many_answers_change_with_all_gone_is_a_share():
    ceiling = summary_of([sample(number) for number in range(3)]).fills["mean"].scores["same"].ceiling

    assert ceiling.value == 1
    assert 0 <= ceiling.ci_low <= ceiling.ci_high == 1


def sentences(**metrics):
    """What is said where some numbers of a summary are others."""
    summary = summary_of([sample(number) for number in range(20)])
    found = summary.fills["mean"]
    scores = replace(found.scores["same"], **{name: Metric(*ends, 20) for name, ends in metrics.items()})
    return probe_sentences(replace(summary, fills={"mean": replace(found, scores={"same": scores})}))


@pytest.mark.parametrize(
    ("ends", "says"),
    [
        ((0.5, -0.066, 0.822), "too few samples to tell whether these questions need the image"),
        ((0.0, -0.3, 0.3), "too few samples to tell whether these questions need the image"),
        ((0.0, -0.02, 0.02), "these questions do not need the image"),
        ((0.03, -0.01, 0.1), "these questions do not need the image"),
        ((-0.04, -0.2, 0.05), "changed 4.0 points less often [−20.0, 5.0]: these questions do not need the image"),
        ((0.5, 0.3, 0.7), "changed 50.0 points more often [30.0, 70.0]"),
        ((0.05, 0.01, 0.09), "changed 5.0 points more often [1.0, 9.0]"),
    ],
)
def test_that_questions_need_no_image_is_said_where_it_was_shown(ends, says):
    (said,) = [one for one in sentences(dependence=ends) if "without the picture" in one]

    assert said.endswith(says)
    assert ("image" in said) == (ends[1] <= 0)


@pytest.mark.parametrize(
    ("named", "gold", "is_elsewhere"),
    [
        ((0.20, -0.01, 0.41), (0.25, 0.02, 0.48), False),
        ((0.02, -0.20, 0.24), (0.40, 0.20, 0.60), False),
        ((0.00, -0.05, 0.05), (0.40, 0.20, 0.60), True),
        ((-0.1, -0.15, -0.05), (0.40, 0.20, 0.60), True),
        ((0.10, 0.02, 0.18), (0.60, 0.40, 0.80), True),
        ((0.00, -0.05, 0.05), (0.10, -0.1, 0.30), False),
    ],
)
def test_that_answers_go_with_the_gold_box_more_is_said_where_the_intervals_part(named, gold, is_elsewhere):
    (said,) = [one for one in sentences(necessity=named, gold_necessity=gold) if "the gold box" in one]

    assert said.endswith("answers go with the gold region more than with the box named") == is_elsewhere


def test_what_parts_a_few_samples_without_a_fault_has_no_interval():
    values, right = [float(number) for number in range(20)], [number > 0 for number in range(20)]
    names = [str(number) for number in range(20)]

    parted = auc_of(values, right, ["one"] * 20, names, seed=0)
    alike = rank_correlation(values, values, ["one"] * 20, names, seed=0)
    mixed = auc_of(values, [number % 3 > 0 for number in range(20)], ["one"] * 20, names, seed=0)

    assert (parted.raw, parted.raw_interval, parted.within, parted.within_interval) == (1, None, 1, None)
    assert (alike.raw, alike.raw_interval) == (pytest.approx(1), None)
    assert mixed.raw_interval.low < mixed.raw < mixed.raw_interval.high


def stored():
    samples = [sample(number) for number in range(8)]
    told = probe_scores(summarise_probes(samples, PLAN), samples, PLAN, told={})
    return json.loads(msgspec.json.encode(told))


@pytest.mark.parametrize(
    ("score", "value"),
    [
        ("ceiling", 1e308), ("ceiling", -0.5), ("over_others", -40), ("necessity_of_possible", 1e300),
        ("sufficiency_of_possible", -21), ("gold_necessity", 1.5), ("colour_necessity", -2), ("necessity_strict", 7),
        ("sufficiency_testable", 3), ("gold_sufficiency", 1.01),
    ],
)  # fmt: skip
def test_numbers_that_no_probe_gives_are_damage(score, value):
    told = stored()
    told["tasks"]["t"]["fills"]["mean"]["scores"]["same"][score]["value"] = value

    with pytest.raises(ValueError, match=r"probes\.json has the number .*, outside of"):
        read_probe_scores(json.dumps(told).encode(), "probes.json")


@pytest.mark.parametrize("controls", [-3, 0, 51, 10**15])
def test_a_plan_of_more_random_regions_than_can_be_asked_is_damage(controls):
    told = stored()
    told["plan"]["controls"] = controls

    with pytest.raises(ValueError, match=f"a plan of {controls} random regions"):
        read_probe_scores(json.dumps(told).encode(), "probes.json")


def test_what_was_stored_is_read():
    assert read_probe_scores(json.dumps(stored()).encode(), "probes.json").plan == PLAN


def test_the_boxes_that_are_probed_are_read_by_the_scorer_that_reads_the_answers():
    question = Sample("1", "t", "short", answers=("red",), image_size=Size(100, 100))
    text = "<caption>a</caption><bbox>[[10, 20, 30, 40]]</bbox><answer>red</answer>"
    config = ScoreConfig(box_dialect=dialect_named("image_px"))
    today = score(question, text, config)
    of_then = Record(question, Generation(text), replace(today, boxes_image_px=((50.0, 50.0, 90.0, 90.0),)))

    before = before_asking(of_then, config, PLAN)

    assert before.question.named == ((10, 20, 30, 40),)
    assert before.question.answer == "red"
