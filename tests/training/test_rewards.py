"""The rewards are the benchmark's own scores, in TRL's calling convention, and never break a run."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from harness.evaluation.predictions import score_lines
from harness.scoring.box_dialects import dialect_named
from harness.scoring.score import score
from harness.values import Sample, ScoreConfig, Size
from training.stages import rewards
from training.stages.rewards import SATORI_REWARDS, RewardSet, batch_metrics

PARITY = Path(__file__).parents[1] / "cases" / "parity_core.jsonl"
SATORI_CASES = [
    case
    for case in map(json.loads, PARITY.read_text(encoding="utf-8").splitlines())
    if case["rows"][0]["task"] == "satori" and case["protocol"] == "paper"
]
SAMPLE = Sample(
    id="1",
    task="vqa_verify",
    answer_rule="accepted",
    answers=("red",),
    category="colour",
    boxes_image_px=((4.0, 4.0, 24.0, 24.0),),
    caption="a red circle.",
    image_size=Size(56, 56),
)
RIGHT = "<caption>a red circle.</caption><bbox>[[4,4,24,24]]</bbox><answer>red</answer>"
STRICT = ScoreConfig("strict", "satori", dialect_named("input_px"))


def call(reward_set: RewardSet, texts, samples=None, ids=None, **extra) -> dict[str, list[float | None]]:
    """Call every reward as TRL 1.16 does."""
    completions = [[{"role": "assistant", "content": text}] for text in texts]
    columns = {
        "prompts": [[] for _ in texts],
        "completion_ids": ids or [[1, 2, 3] for _ in texts],
        "sample": samples or [SAMPLE] * len(texts),
        "input_size": [Size(56, 56)] * len(texts),
        "images": [None] * len(texts),
        "trainer_state": None,
        **extra,
    }
    return {function.__name__: function(completions=completions, **columns) for function in reward_set.functions}


def test_a_right_completion_earns_one_of_everything():
    found = call(RewardSet(SATORI_REWARDS, STRICT, most_tokens=64), [RIGHT])

    assert found == {"format": [1.0], "bbox": [1.0], "answer": [1.0], "caption": [1.0]}


@pytest.mark.parametrize(
    "text", ["<think>It is round.</think><answer>red</answer>", "It is round.\n</think>\n<answer>red</answer>"]
)
def test_a_thought_that_the_chat_template_opened_keeps_the_format(text):
    found = call(
        RewardSet(("format", "answer", "thinking"), ScoreConfig("strict", "freeform", None), most_tokens=64), [text]
    )

    assert found == {"format": [1.0], "answer": [1.0], "thinking": [1.0]}


def test_functions_are_named_for_the_logs_and_keep_the_given_order():
    functions = RewardSet(("answer", "format"), STRICT, most_tokens=64).functions

    assert [function.__name__ for function in functions] == ["answer", "format"]


@pytest.mark.parametrize("names", [(), ("answer", "answer"), ("answr",)])
def test_wrong_names_are_refused(names):
    with pytest.raises(ValueError, match="name at least one of format"):
        RewardSet(names, STRICT, most_tokens=64)


@pytest.mark.parametrize("case", SATORI_CASES, ids=[case["id"] for case in SATORI_CASES])
def test_paper_rewards_are_what_the_reference_gives(case):
    config = ScoreConfig("paper", case["format"])
    line = next(iter(score_lines([json.dumps(case["rows"][0])], config)))
    sample = line.prediction.sample
    reward_set = RewardSet(SATORI_REWARDS, config, most_tokens=1024)

    found = call(reward_set, [case["rows"][0]["prediction"]], [sample])

    for part, value in case["expect"].get("components", {}).items():
        assert found[part][0] == pytest.approx(value, abs=1e-6), part


def test_a_stage_without_gold_is_not_applicable():
    bare = Sample(id="2", task="vqa_verify", answer_rule="accepted", answers=("red",), image_size=Size(56, 56))

    found = call(RewardSet(SATORI_REWARDS, STRICT, most_tokens=64), [RIGHT], [bare])

    assert found == {"format": [1.0], "bbox": [None], "answer": [1.0], "caption": [None]}


HOSTILE = [
    "",
    "\x00",
    "<bbox>[[1e999,0,1,1]]</bbox><answer>red</answer>",
    "<bbox>[[" + "9" * 400 + ",0,1,1]]</bbox>",
    "<bbox>" + "[" * 50_000,
    "<answer>" + "-" * 1_000_000,
    "<caption>" * 10_000,
    "\ud800<answer>\ud800</answer>",
    "<bbox>[[nan,nan,nan,nan]]</bbox>",
]


@pytest.mark.parametrize("protocol", ["strict", "paper"])
def test_no_text_makes_a_reward_raise_or_be_nan(protocol):
    names = (*SATORI_REWARDS, "thinking", "brevity", "repetition")
    reward_set = RewardSet(names, ScoreConfig(protocol, "satori-think", dialect_named("input_px")), most_tokens=64)

    found = call(reward_set, HOSTILE)

    assert reward_set.errors == 0
    for values in found.values():
        assert len(values) == len(HOSTILE)
        assert all(value is not None and math.isfinite(value) for value in values)


def test_a_scorer_that_fails_costs_a_completion_and_not_the_run(monkeypatch):
    def broken(sample, text, *args, **kwargs):
        if text == "bad":
            raise RuntimeError("a bug")
        return score(sample, text, *args, **kwargs)

    monkeypatch.setattr(rewards, "score", broken)
    metrics: dict[str, float] = {}
    reward_set = RewardSet(("answer",), STRICT, most_tokens=64)

    found = call(reward_set, ["bad", RIGHT], log_metric=metrics.__setitem__)

    assert found == {"answer": [None, 1.0]}
    assert metrics["rewards/errors"] == 1.0


def test_a_batch_is_scored_once_for_all_rewards(monkeypatch):
    calls = []
    monkeypatch.setattr(rewards, "score", lambda *args, **kwargs: calls.append(1) or score(*args, **kwargs))

    call(RewardSet(SATORI_REWARDS, STRICT, most_tokens=64), [RIGHT, RIGHT, RIGHT])

    assert len(calls) == 3


def test_two_batches_of_equal_texts_are_scored_against_their_own_samples():
    reward_set = RewardSet(("answer",), STRICT, most_tokens=64)
    blue = Sample(id="3", task="vqa_verify", answer_rule="accepted", answers=("blue",))

    assert call(reward_set, [RIGHT]) == {"answer": [1.0]}
    assert call(reward_set, [RIGHT], [blue]) == {"answer": [0.0]}


def test_a_budget_spent_without_an_end_token_is_truncated():
    reward_set = RewardSet(("answer",), STRICT, most_tokens=3, end_ids=frozenset({9}))
    extra: dict[str, list] = {}

    call(reward_set, [RIGHT, RIGHT, RIGHT], ids=[[1, 2, 3], [1, 2, 9], [1, 9]], log_extra=extra.__setitem__)

    assert ["truncated" in faults for faults in extra["faults"]] == [True, False, False]


def test_the_completions_table_gets_what_was_asked_found_and_missed():
    extra: dict[str, list] = {}

    call(RewardSet(SATORI_REWARDS, STRICT, most_tokens=64), [RIGHT, "nothing"], log_extra=extra.__setitem__)

    assert extra["sample_id"] == ["1", "1"]
    assert extra["boxes_image_px"] == ["[[4.0, 4.0, 24.0, 24.0]]", "[]"]
    assert extra["gold_boxes_image_px"] == ["[[4.0, 4.0, 24.0, 24.0]]"] * 2
    assert extra["iou"] == [1.0, 0.0]
    assert extra["faults"][0] == ""
    assert "missing" in extra["faults"][1]


ADAPTIVE = ScoreConfig("strict", "satori-adaptive", dialect_named("input_px"))


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("<answer>red</answer>", 0.0),
        ("<answer>blue</answer>", 0.0),
        ("<caption>a red circle.</caption><answer>red</answer>", 0.1),
        ("<bbox>[[4,4,24,24]]</bbox><answer>red</answer>", 0.1),
        (RIGHT, 0.2),
        ("<bbox>[]</bbox><answer>red</answer>", 0.1),
        ("<caption>a red circle.<answer>red</answer>", 0.1),
        ("<answer></answer>", 0.2),
        ("<answer>red", 0.2),
        ("red", 0.2),
        ("", 0.2),
    ],
)
def test_a_stage_costs_unless_an_answer_came_without_it(text, taken):
    found = call(RewardSet(("answer", "stages"), ADAPTIVE, most_tokens=64), [text])

    assert found["stages"] == [pytest.approx(-taken)]


def test_costs_are_those_that_were_configured_and_none_named_is_none():
    for costs, taken in (({"bbox": 0.5}, 0.5), ({}, 0.0), ({"caption": 0.0, "bbox": 0.0}, 0.0)):
        found = call(RewardSet(("stages",), ADAPTIVE, most_tokens=64, stage_costs=costs), [RIGHT])
        assert found == {"stages": [-taken]}


def test_what_was_kept_is_logged_per_kind():
    samples = [SAMPLE, SAMPLE, replace(SAMPLE, category="count")]
    reward_set = RewardSet(("stages",), ADAPTIVE, most_tokens=64)
    call(reward_set, texts := [RIGHT, "<answer>red</answer>", "red"], samples)
    completions = [[{"role": "assistant", "content": text}] for text in texts]
    scored = reward_set.completions(
        completions, completion_ids=[[1]] * 3, sample=samples, input_size=[Size(56, 56)] * 3
    )

    kept = {name: value for name, value in batch_metrics(scored).items() if name.endswith("_kept")}
    assert kept == {"kinds/colour/bbox_kept": 0.5, "kinds/colour/caption_kept": 0.5}


def test_means_per_kind_and_per_fault_are_logged():
    reward_set = RewardSet(SATORI_REWARDS, STRICT, most_tokens=64)
    columns = {"completion_ids": [[1]] * 2, "sample": [SAMPLE] * 2, "input_size": [Size(56, 56)] * 2}

    found = batch_metrics(reward_set.completions([RIGHT, "nothing"], **columns))

    assert found == {"kinds/colour/answer": 0.5, "faults/missing": 0.5}


def test_no_completion_gives_no_metric():
    assert batch_metrics([]) == {}
    assert batch_metrics([None]) == {}


@pytest.mark.parametrize(
    ("name", "text", "tokens", "wanted"),
    [
        ("thinking", "<answer>red</answer>", 3, 0.0),
        ("thinking", "<thinking>it is red</thinking>", 3, 1.0),
        ("thinking", "<thinking>red</thinking>", 3, 1 / 3),
        ("thinking", f"<thinking>{'red ' * 512}</thinking>", 3, 0.5),
        ("brevity", RIGHT, 32, 0.0),
        ("brevity", RIGHT, 48, -0.5),
        ("brevity", RIGHT, 64, -1.0),
        ("repetition", "one two three", 3, 0.0),
        ("repetition", "one two three four five", 3, 0.0),
        ("repetition", "a a a a a a a", 3, -0.75),
    ],
)
def test_optional_rewards(name, text, tokens, wanted):
    reward_set = RewardSet((name,), ScoreConfig("strict", "satori-think", dialect_named("input_px")), most_tokens=64)

    found = call(reward_set, [text], ids=[list(range(tokens))])

    assert found[name][0] == pytest.approx(wanted)
