"""The gate: its policy, its three answers, and what can never be a pass."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.comparison.benchmark import LeftOut, SharedSamples, compare_benchmark
from harness.comparison.columns import RunTable
from harness.comparison.values import Comparability, Comparison, Pair, RunFacts, SampleSide, SampleTable, Side
from harness.errors import ConfigError, ExitCode
from harness.gate.policy import GatePolicy, read_policy
from harness.gate.verdict import VERDICT_SCHEMA, judge, verdict_to_json
from harness.stats.paired import holm
from harness.values import FAULTS

NOTHING = LeftOut()


def columns(values, *, ious=None, faulty=0, fault="missing", cluster=1) -> RunTable:
    n = len(values)
    nothing = np.full(n, np.nan)
    faults = np.zeros(n, dtype=np.uint32)
    faults[:faulty] = 1 << FAULTS.index(fault)
    return RunTable(
        tasks=("t",) * n,
        ids=tuple(map(str, range(n))),
        rows=np.arange(n),
        values=np.array(values, dtype=float),
        ious=nothing if ious is None else np.array(ious, dtype=float),
        said=nothing,
        components={"format": nothing, "caption": nothing, "bbox": nothing},
        faults=faults,
        groups=("",) * n,
        clusters=tuple(str(place // cluster) for place in range(n)),
        categories=("",) * n,
        l2_categories=("",) * n,
        gold_boxes_image_px=(None,) * n,
        answers=(None,) * n,
        choices=("{}",) * n,
        image_sizes=np.full((n, 2), np.nan),
        extras={},
        asked={},
        official=("{}",) * n,
    )


def benchmark(name, a: RunTable, b: RunTable, comparability=None, left_out=NOTHING):
    shared = SharedSamples(name, "strict", a, b, a, left_out)
    return compare_benchmark(shared, comparability or Comparability(), seed=0, draws=999)


def comparison(*benchmarks, only_a=(), partial=False, reasons=(), mean_ious=((), ())):
    """Return a comparison of two nameless runs; `mean_ious` is each run's own, by task."""
    from pathlib import Path

    facts = RunFacts("run", Path("run"), "model", "", "strict", "strict@0", False, "plain", 0, partial, False, "")
    base, new = (
        replace(facts, path=Path(name), mean_ious=dict(own))
        for name, own in zip(("base", "new"), mean_ious, strict=True)
    )
    empty, none = np.zeros(0), np.zeros(0, dtype=np.int64)
    side = SampleSide(empty, empty, np.zeros(0, dtype=np.uint32), none)
    samples = SampleTable((), none, (), none, (), np.zeros(0, dtype=np.int8), side, side)
    pair = Pair(0, 1, Comparability(reasons), tuple(benchmarks), tuple(only_a), (), samples)
    return Comparison((Side("base", (base,), ()), Side("new", (new,), ())), (), (pair,), (), 0, 999)


def right(n, share):
    return [1.0] * round(n * share) + [0.0] * (n - round(n * share))


def changed(name="t", n=2000, was=0.6, now=0.6, **options):
    return benchmark(name, columns(right(n, was)), columns(right(n, now), **options))


def test_a_clear_drop_beyond_tolerance_is_a_regression():
    verdict = judge(comparison(changed(now=0.55)), GatePolicy())

    assert (verdict.outcome, verdict.exit_code, verdict.benchmarks[0].state) == ("regression", 3, "regression")


def test_a_clear_drop_within_tolerance_is_none():
    verdict = judge(comparison(changed(n=20_000, now=0.595)), GatePolicy())

    assert verdict.benchmarks[0].p_holm < 0.05
    assert (verdict.outcome, verdict.benchmarks[0].state) == ("pass", "ok")


def test_a_drop_that_chance_explains_is_inconclusive_and_says_what_would_settle_it():
    benchmarks = [benchmark("t", columns([1.0, 0.0] * 50), columns([0.0, 1.0] * 20 + [1.0, 0.0] * 30))]
    verdict = judge(comparison(*benchmarks), GatePolicy())
    found = verdict.benchmarks[0]

    assert (verdict.outcome, verdict.exit_code, found.state) == ("inconclusive", ExitCode.OK, "inconclusive")
    assert verdict.sentence == "INCONCLUSIVE: 1 inconclusive, which the policy lets pass"
    assert found.n_needed == found.difference.n_needed(0.01)
    assert found.n_needed > 100


def test_inconclusive_fails_only_when_asked():
    verdict = judge(comparison(changed(n=100)), GatePolicy(on_inconclusive="fail"))

    assert (verdict.outcome, verdict.exit_code) == ("inconclusive", ExitCode.INCONCLUSIVE)


@pytest.mark.parametrize(
    ("clusters", "fallen", "state"),
    [
        (14, 14, "regression"),
        (5, 5, "regression"),
        (4, 4, "inconclusive"),  # 1/16: a fair coin does that
        (14, 11, "regression"),
        (14, 2, "inconclusive"),
        (14, 0, "inconclusive"),
        (1, 1, "inconclusive"),
    ],
)
def test_a_collapse_of_few_clusters_is_a_regression_where_an_exact_sign_test_says_so(clusters, fallen, state):
    a = columns([1.0] * 10 * clusters, cluster=10)
    b = columns([0.0] * 10 * fallen + [1.0] * 10 * (clusters - fallen), cluster=10)
    verdict = judge(comparison(benchmark("t", a, b)), GatePolicy())

    assert verdict.benchmarks[0].state == state
    assert verdict.sentence.startswith(state.upper())
    assert verdict.exit_code == (ExitCode.REGRESSION if state == "regression" else ExitCode.OK)


def test_with_few_clusters_nothing_is_ruled_out():
    a, b = columns([1.0] * 140, cluster=10), columns([1.0] * 140, cluster=10)

    assert "too few clusters (14)" in judge(comparison(benchmark("t", a, b)), GatePolicy()).benchmarks[0].reason


def test_several_collapses_of_few_clusters_are_adjusted_for_their_number():
    few = [benchmark(name, columns([1.0] * 5), columns([0.0] * 5)) for name in ("t", "u")]

    assert judge(comparison(*few), GatePolicy()).outcome == "inconclusive"


def limited(*, a_rows=200, b_rows=200, left_out=NOTHING, partial=(True, True)):
    """Two runs of --limit on a task of 1,500 rows."""
    found = comparison(benchmark("t", columns(right(a_rows, 0.5)), columns(right(b_rows, 0.9)), left_out=left_out))
    sides = tuple(
        replace(side, runs=(replace(side.runs[0], partial=own, task_rows={"t": 1500}),))
        for side, own in zip(found.sides, partial, strict=True)
    )
    return replace(found, sides=sides)


def test_a_policy_may_allow_runs_of_limit_that_asked_the_same_samples_and_every_word_says_so():
    verdict = judge(limited(), GatePolicy(allow_limited=True))

    assert verdict.exit_code == ExitCode.OK
    assert verdict.sentence == "PASS on a fixed subset (--limit): 1 ok"
    assert "judged on a fixed subset (--limit), which the policy allows: t 200 of 1,500 samples" in verdict.notes


@pytest.mark.parametrize(
    ("found", "allowed"),
    [
        (limited(), False),
        (limited(left_out=LeftOut(only_a=1)), True),
        (limited(left_out=LeftOut(only_b=1)), True),
        (limited(partial=(True, False)), True),
        (limited(partial=(False, True)), True),
    ],
    ids=["not allowed", "lacks a sample", "has one more", "whole candidate", "whole baseline"],
)
def test_other_selections_stay_incomplete(found, allowed):
    assert judge(found, GatePolicy(allow_limited=allowed)).exit_code == ExitCode.INCOMPLETE


def test_what_is_incomparable_shows_no_change():
    found = comparison(benchmark("t", columns(right(99, 0.5)), columns(right(99, 0.9)), left_out=LeftOut(only_a=1)))
    verdict = judge(found, GatePolicy())

    assert verdict.benchmarks[0].state == "incomparable"
    assert verdict.benchmarks[0].difference is None
    assert found.pairs[0].benchmarks[0].headline.difference is None


def test_a_broken_floor_is_incomparable_without_a_change():
    found = comparison(changed(), mean_ious=({"t": 0.5}, {"t": None}))
    verdict = judge(found, GatePolicy(mean_iou_floor=0.3))

    assert (verdict.benchmarks[0].state, verdict.benchmarks[0].difference) == ("incomparable", None)


def test_p_is_adjusted_over_all_gated_benchmarks():
    benchmarks = [changed(f"t{n}", now=0.6 - 0.004 * n) for n in range(5)]
    verdict = judge(comparison(*benchmarks), GatePolicy())
    raw = [item.headline.difference.p_drop for item in benchmarks]

    assert [item.p_holm for item in verdict.benchmarks] == holm(raw)


def test_only_the_gated_tasks_make_the_family():
    benchmarks = [changed(f"t{n}", now=0.58) for n in range(5)]
    verdict = judge(comparison(*benchmarks), GatePolicy(tasks=("t1",)))

    assert [item.task for item in verdict.benchmarks] == ["t1"]
    assert verdict.benchmarks[0].p_holm == benchmarks[1].headline.difference.p_drop


def test_tolerance_is_never_below_the_noise_floor():
    drop = changed(now=0.57)

    assert judge(comparison(drop), GatePolicy()).outcome == "regression"
    assert judge(comparison(drop), GatePolicy(noise_floor={"t": 4.0})).benchmarks[0].state != "regression"
    assert judge(comparison(drop), GatePolicy(noise_floor={"t": 0.1})).benchmarks[0].tolerance == pytest.approx(0.01)


def test_a_tolerance_that_the_noise_floor_raised_is_noted():
    raised, kept = (judge(comparison(changed()), GatePolicy(noise_floor={"t": floor})).notes for floor in (19.8, 1.0))

    assert raised == ("t: the noise floor raises the tolerance from 1 to 19.8 points",)
    assert kept == ()


@pytest.mark.parametrize(
    "found",
    [
        comparison(changed(), partial=True),
        comparison(changed(), reasons=("protocol differs",)),
        comparison(benchmark("t", columns(right(99, 0.5)), columns(right(99, 0.9)), Comparability(("data differ",)))),
        comparison(benchmark("t", columns(right(99, 0.5)), columns(right(99, 0.9)), left_out=LeftOut(only_a=1))),
        comparison(
            benchmark(
                "t",
                columns(right(99, 0.5)),
                columns(right(99, 0.9)),
                left_out=LeftOut(differing=1, fields=("precision",), ids=("7",)),
            )
        ),
        comparison(changed(now=0.9), only_a=("other",)),
        comparison(),
        comparison(benchmark("t", columns([np.nan] * 50), columns(right(50, 0.9)))),
        comparison(changed(n=100, now=0.9, faulty=2, fault="error")),
    ],
    ids=["partial", "protocol", "data", "samples", "gold", "task", "nothing", "unscored", "errors"],
)
def test_what_is_incomplete_or_incomparable_is_never_a_pass(found):
    verdict = judge(found, GatePolicy())

    assert (verdict.outcome, verdict.exit_code) == ("incomplete", ExitCode.INCOMPLETE)
    assert verdict.sentence.startswith("INCOMPLETE")


def test_a_missing_required_task_is_incomplete_even_beside_a_regression():
    verdict = judge(comparison(changed(now=0.5)), GatePolicy(tasks=("t", "mme")))

    assert {item.task: item.state for item in verdict.benchmarks} == {"t": "regression", "mme": "incomparable"}
    assert verdict.exit_code == ExitCode.INCOMPLETE


def test_a_task_that_is_not_required_may_be_missing():
    verdict = judge(comparison(changed()), GatePolicy(tasks=("t", "mme"), required_tasks=("t",)))

    assert verdict.outcome == "pass"
    assert "mme: in neither run" in verdict.notes


@pytest.mark.parametrize(
    ("policy", "name"),
    [(GatePolicy(metrics={"shaps": "accuracy"}), "metrics"), (GatePolicy(noise_floor={"shaps": 3.0}), "noise_floor")],
)
def test_settings_of_a_task_in_neither_run_are_refused_with_the_nearest(policy, name):
    with pytest.raises(ConfigError, match=rf"{name} names 'shaps', which neither run has. Did you mean 'shapes'\?"):
        judge(comparison(changed("shapes")), policy)

    assert judge(comparison(changed("shapes"), only_a=("shaps",)), policy).exit_code == ExitCode.INCOMPLETE
    assert (
        judge(comparison(changed("shapes")), replace(policy, required_tasks=("shaps",))).exit_code
        == ExitCode.INCOMPLETE
    )


def test_a_required_task_in_neither_run_is_incomplete_with_the_nearest():
    (_, missing) = judge(comparison(changed("shapes")), GatePolicy(required_tasks=("shaps",))).benchmarks

    assert (missing.state, missing.reason) == ("incomparable", "required, but in neither run. Did you mean 'shapes'?")


def test_a_noise_file_may_hold_other_tasks_but_says_when_it_holds_no_gated_one():
    policy = GatePolicy(noise_floor={"u": 3.0}, noise_file="noise.json")

    assert any("noise.json has no floor" in note for note in judge(comparison(changed()), policy).notes)
    assert not any("no floor" in note for note in judge(comparison(changed(), changed("u")), policy).notes)


def test_parse_faults_above_the_ceiling_fail():
    found = comparison(changed(n=1000, now=0.7, faulty=60))

    assert judge(found, GatePolicy(parse_fault_ceiling=6.0)).outcome == "pass"
    assert judge(found, GatePolicy(parse_fault_ceiling=5.9)).exit_code == ExitCode.REGRESSION


def test_mean_iou_below_the_floor_fails():
    found = comparison(changed(n=1000, now=0.7), mean_ious=({"t": 0.4}, {"t": 0.4}))

    assert judge(found, GatePolicy(mean_iou_floor=0.4)).outcome == "pass"
    assert judge(found, GatePolicy(mean_iou_floor=0.41)).exit_code == ExitCode.REGRESSION


@pytest.mark.parametrize("own", [({"t": 0.9}, {"t": 0.9}), ({"t": 0.9}, ()), ((), {"t": 0.9})])
def test_no_floor_is_held_to_texts_that_chose_where_to_have_boxes(own):
    found = comparison(changed(n=1000, now=0.7), mean_ious=own)
    base, new = found.sides
    chosen = replace(new, runs=tuple(replace(run, format="satori-adaptive") for run in new.runs))
    verdict = judge(replace(found, sides=(base, chosen)), GatePolicy(mean_iou_floor=0.4))

    assert verdict.exit_code == ExitCode.INCOMPLETE
    assert "texts that may leave their boxes out" in verdict.benchmarks[0].reason
    assert judge(replace(found, sides=(base, chosen)), GatePolicy()).outcome == "pass"


def test_the_floor_is_held_to_all_of_the_candidates_boxes_not_to_the_shared_ones():
    both = [columns(right(1000, 0.6), ious=[1.0] * 1000) for _ in range(2)]
    found = comparison(benchmark("t", *both), mean_ious=({"t": 1.0}, {"t": 0.125}))
    verdict = judge(found, GatePolicy(mean_iou_floor=0.5))

    assert verdict.exit_code == ExitCode.REGRESSION
    assert [(check.value, check.kept) for check in verdict.benchmarks[0].checks] == [(0.125, False)]
    assert "mean IoU 0.125" in verdict.benchmarks[0].reason


def test_the_floor_is_held_to_boxes_that_the_baseline_has_no_gold_for():
    found = comparison(changed("t"), changed("u"), mean_ious=({"t": 0.9}, {"t": 0.9, "u": 0.0}))
    verdict = judge(found, GatePolicy(mean_iou_floor=0.5))

    assert {item.task: item.state for item in verdict.benchmarks} == {"t": "ok", "u": "regression"}
    assert verdict.exit_code == ExitCode.REGRESSION


def test_the_floor_of_several_seeds_is_held_to_their_mean():
    found = comparison(changed(), mean_ious=((), {"t": 0.4}))
    seeds = tuple(replace(found.sides[1].runs[0], mean_ious={"t": value}) for value in (0.4, 0.6))
    both = replace(found, sides=(found.sides[0], replace(found.sides[1], runs=seeds)))

    assert judge(both, GatePolicy(mean_iou_floor=0.5)).outcome == "pass"
    assert judge(both, GatePolicy(mean_iou_floor=0.51)).exit_code == ExitCode.REGRESSION


@pytest.mark.parametrize(
    ("found", "mean_ious"),
    [
        (changed(), ((), ())),
        (changed(faulty=3, fault="frame_unknown"), ((), ())),
        (changed(), ({"t": 0.9}, {"t": None})),
        (changed(), ({"t": 0.9}, {"other": 0.9})),
    ],
    ids=["no boxes", "unknown frame", "null in the scores", "gold in the baseline only"],
)
def test_a_floor_that_cannot_be_held_to_anything_is_incomplete(found, mean_ious):
    verdict = judge(comparison(found, mean_ious=mean_ious), GatePolicy(mean_iou_floor=0.3))

    assert verdict.exit_code == ExitCode.INCOMPLETE


def test_another_metric_can_be_gated():
    both = [columns(right(1000, 0.6), ious=[iou] * 1000) for iou in (0.8, 0.4)]
    verdict = judge(comparison(benchmark("t", *both)), GatePolicy(metrics={"t": "mean_iou"}))

    assert (verdict.benchmarks[0].metric, verdict.outcome) == ("mean_iou", "regression")


def test_a_metric_that_does_not_exist_is_named_with_the_nearest():
    with pytest.raises(ConfigError, match="Did you mean 'accuracy'"):
        judge(comparison(changed()), GatePolicy(metrics={"t": "acuracy"}))


@settings(max_examples=25)
@given(
    st.lists(st.sampled_from([0.3, 0.5, 0.59, 0.6, 0.61, 0.8]), min_size=1, max_size=5),
    st.sampled_from(["pass", "fail"]),
)
def test_one_verdict_gives_one_exit_code(shares, on_inconclusive):
    verdict = judge(
        comparison(*(changed(f"t{n}", n=200, now=share) for n, share in enumerate(shares))),
        GatePolicy(on_inconclusive=on_inconclusive),
    )
    states = [item.state for item in verdict.benchmarks]
    expected = 3 if "regression" in states else 4 if "inconclusive" in states and on_inconclusive == "fail" else 0

    assert verdict.exit_code == expected
    assert verdict_to_json(verdict)["exit_code"] == expected


def test_json_of_a_verdict_is_plain_and_versioned():
    found = verdict_to_json(judge(comparison(changed(now=0.5)), GatePolicy()))

    assert found["schema"] == VERDICT_SCHEMA
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["benchmarks"][0]["row"]["difference"]["delta"] == pytest.approx(-0.1)


def test_the_drop_is_judged_without_looking_at_the_interval():
    found = changed(now=0.55)
    row = replace(found.headline, difference=replace(found.headline.difference, ci_low=-0.5, ci_high=0.5))

    assert judge(comparison(replace(found, headline=row)), GatePolicy()).outcome == "regression"


# --- the policy file ----------------------------------------------------------------------------------------------


def test_every_field_of_a_policy_is_read(tmp_path):
    (tmp_path / "noise.json").write_text(
        json.dumps({"tasks": {"shapes": {"floor_points": 2.5}, "mme": {"floor_points": None}}})
    )
    file = tmp_path / "gate.toml"
    file.write_text(
        'tasks = ["shapes", "pope"]\nrequired_tasks = ["shapes"]\nmetrics = { pope = "accuracy" }\nalpha = 0.01\n'
        'tolerance = 2\nparse_fault_ceiling = 5\nmean_iou_floor = 0.3\non_inconclusive = "fail"\nnoise = "noise.json"\n'
        "allow_limited = true\n"
    )

    assert read_policy(file) == GatePolicy(
        ("shapes", "pope"), ("shapes",), {"pope": "accuracy"}, 0.01, 2, 5, 0.3, "fail", {"shapes": 2.5}, "noise.json",
        allow_limited=True,
    )  # fmt: skip


def test_no_policy_is_the_default_one():
    assert read_policy(None) == GatePolicy()


def test_all_faults_of_a_policy_are_reported_together(tmp_path):
    file = tmp_path / "gate.toml"
    file.write_text(
        'tasks = ["shapes"]\nrequired_tasks = ["shaps"]\nalfa = 0.1\nalpha = 0\ntolerance = -1\nmean_iou_floor = true\n'
        'on_inconclusive = "maybe"\nmetrics = ["x"]\n'
    )

    with pytest.raises(ConfigError) as caught:
        read_policy(file)

    parts = ["'shaps'", "Did you mean 'shapes'", "alfa", "Did you mean 'alpha'"]
    parts += [f"{name} must be" for name in ("alpha", "tolerance", "mean_iou_floor", "on_inconclusive", "metrics")]
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"tasks": {"mmstar": {"floor_points": "abc"}}}', ["tasks.mmstar.floor_points", "found 'abc'"]),
        ('{"tasks": {"mmstar": {"floor_points": true}}}', ["tasks.mmstar.floor_points", "found True"]),
        ('{"tasks": {"mmstar": {"floor_points": [1]}}}', ["tasks.mmstar.floor_points", "found a list of 1"]),
        ('{"tasks": {"mmstar": {"floor_points": NaN}}}', ["tasks.mmstar.floor_points", "found nan"]),
        ('{"tasks": {"mmstar": {"floor_points": Infinity}}}', ["tasks.mmstar.floor_points", "found inf"]),
        ('{"tasks": {"mmstar": {"floor_points": -1}}}', ["tasks.mmstar.floor_points", "found -1"]),
        ('{"tasks": {"mmstar": {"floor_points": 100.1}}}', ["tasks.mmstar.floor_points", "found 100.1"]),
        ('{"tasks": {"a": {}, "b": 3, "c": {"floor_points": 1}}}', ["tasks.a.floor_points is missing", "found 3"]),
        ('{"tasks": [1]}', ["tasks must be an object", "found a list of 1"]),
        ("[1]", ["must hold an object", "found a list of 1"]),
        ('{"schema": 2, "tasks": {}}', ["schema must be 1", "found 2"]),
        ('{"schema": true, "tasks": {}}', ["schema must be 1", "found True"]),
        ("{", ["not valid JSON"]),
        ("[" * 100_000, ["not valid JSON"]),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else None,
)
def test_a_wrong_noise_file_is_named_with_field_and_what_was_found(tmp_path, content, says):
    file = tmp_path / "noise.json"
    file.write_text(content)

    with pytest.raises(ConfigError) as caught:
        read_policy(None, file)

    for part in [str(file), *says, "satori-bench noise RUN_A RUN_A2 --json"]:
        assert part in str(caught.value)


@pytest.mark.parametrize("content", [None, b"tasks = [", b"\xff\xfe", b'noise = "missing.json"', b"noise = 3"])
def test_a_policy_that_cannot_be_read_is_a_fault_of_usage(tmp_path, content):
    file = tmp_path / "gate.toml"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(ConfigError):
        read_policy(file)
