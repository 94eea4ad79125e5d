"""Tests of what tells in which fields two runs were not asked alike."""

from dataclasses import replace

import pytest

from harness.runs.manifest import NUMBER_FORMAT, Manifest, TaskManifest, run_key
from harness.runs.manifest_differences import differences_text, manifest_differences
from harness.scoring.box_dialects import dialect_named
from harness.values import PixelLimits

TASK = TaskManifest(
    "e" * 64, "rows.tsv", None, "f" * 64, rows=20, samples=20, prompt_hash="d" * 64,
    generation={"temperature": 0.0, "max_new_tokens": 64, "until": ["x"]}, template_hash="b" * 64,
)  # fmt: skip
ONE = Manifest(
    model="checkpoints/one",
    weights_hash="a" * 64,
    adapter_hash=None,
    config_hash="c" * 64,
    model_type="qwen2_5_vl",
    backend="hf",
    format="satori",
    protocol="strict",
    box_dialect=dialect_named("input_px"),
    box_dialect_reason="",
    pixel_limits=PixelLimits(784, 401_408),
    generation={"temperature": 0.0, "max_new_tokens": None},
    tasks=dict.fromkeys(("mme", "mmstar", "pope", "shapes", "chartqa"), TASK),
    prompt_hash="d" * 64,
    seed=0,
    packages={},
    scorer_version=3,
    created_utc="2026-01-01T00:00:00Z",
    other={
        "arguments": {"dtype": "auto", "attn_implementation": None, "base_url": "http://one/v1", "served_name": None},
        NUMBER_FORMAT: "bfloat16",
    },
)


def of_tasks(*names, **changed):
    return replace(ONE, tasks={**ONE.tasks, **{name: replace(TASK, **changed) for name in names or ONE.tasks}})


def of_arguments(**changed):
    return replace(ONE, other=ONE.other | {"arguments": ONE.other["arguments"] | changed})


CASES = [
    (replace(ONE, weights_hash="9" * 64), "weights_hash is aaaaaaaaaaaa and 999999999999"),
    (replace(ONE, weights_hash=""), "model is aaaaaaaaaaaa and checkpoints/one"),
    (replace(ONE, adapter_hash="9" * 64), "adapter_hash is none and 999999999999"),
    (replace(ONE, config_hash=""), "config_hash is cccccccccccc and empty"),
    (replace(ONE, model_type="qwen3_vl"), "model_type is qwen2_5_vl and qwen3_vl"),
    (replace(ONE, backend="vllm"), "backend is hf and vllm"),
    (replace(ONE, format="freeform"), "format is satori and freeform"),
    (replace(ONE, box_dialect=dialect_named("norm_1000")), "box_dialect is input_px and norm_1000"),
    (replace(ONE, box_dialect=None), "box_dialect is input_px and none"),
    (replace(ONE, seed=7), "seed is 0 and 7"),
    (replace(ONE, partial=True), "partial is false and true"),
    (replace(ONE, protocol="paper"), "protocol is strict and paper"),
    (replace(ONE, scorer_version=4), "scorer_version is 3 and 4"),
    (replace(ONE, judge="j"), "judge is none and j"),
    (replace(ONE, pixel_limits=PixelLimits(784, 9_999)), "pixel_limits.max_pixels is 401408 and 9999"),
    (replace(ONE, pixel_limits=None), "pixel_limits.min_pixels is 784 and none"),
    (replace(ONE, other=ONE.other | {NUMBER_FORMAT: "float32"}), "dtype is bfloat16 and float32"),
    (of_arguments(attn_implementation="eager"), "attn_implementation is none and eager"),
    (of_arguments(served_name="other"), "served_name is none and other"),
    (replace(ONE, shard="2/3"), "shard is none and 2/3"),
    (of_tasks("mme", rows=21), "rows of mme is 20 and 21"),
    (of_tasks("mme", "pope", limit=5), "limit of mme, pope is none and 5"),
    (of_tasks(samples=19), "samples of chartqa, mme, mmstar and 2 more is 20 and 19"),
    (of_tasks(prompt_hash="8" * 64), "prompt_hash of chartqa, mme, mmstar and 2 more is dddddddddddd and 888888888888"),
    (of_tasks("mme", yaml_hash="8" * 64), "yaml_hash of mme is eeeeeeeeeeee and 888888888888"),
    (of_tasks("mme", fingerprint="8" * 64), "fingerprint of mme is ffffffffffff and 888888888888"),
    (of_tasks("mme", template_hash=""), "template_hash of mme is bbbbbbbbbbbb and none"),
    (
        of_tasks("mme", generation=TASK.generation | {"until": ["x", "y"]}),
        'generation.until of mme is ["x"] and ["x", "y"]',
    ),
    (of_tasks("pope", generation=TASK.generation | {"top_p": 0.5}), "generation.top_p of pope is none and 0.5"),
    (replace(ONE, tasks={"mme": TASK}), "tasks is chartqa, mme, mmstar, pope, shapes and mme"),
    (replace(ONE, other=ONE.other | {"tool": {"name": "zoom", "turns": 6}}), "tool.name is none and zoom"),
]


@pytest.mark.parametrize(("other", "said"), CASES, ids=[said for _, said in CASES])
def test_each_field_of_a_key_is_named_with_both_values(other, said):
    found = manifest_differences(ONE, other)

    assert run_key(ONE) != run_key(other)
    assert said in differences_text(found)


def test_equal_keys_have_no_difference_whatever_else_differs():
    other = replace(ONE, model="elsewhere/one", created_utc="2026-02-02T00:00:00Z", name="x")

    assert run_key(ONE) == run_key(other)
    assert manifest_differences(ONE, other) == ()


def test_the_first_are_told_and_the_rest_is_counted():
    other = replace(of_tasks(limit=5), seed=7, backend="vllm", model_type="x", protocol="paper")

    text = differences_text(manifest_differences(ONE, other))

    assert (
        text == "model_type is qwen2_5_vl and x; backend is hf and vllm; limit of chartqa, mme, mmstar and 2 more "
        "is none and 5; and 2 more fields"
    )


def test_long_values_are_bounded_and_shown_where_they_part():
    one = of_arguments(served_name="m" * 5_000 + "first" + "z" * 5_000)
    other = of_arguments(served_name="m" * 5_000 + "second" + "z" * 5_000)

    text = differences_text(manifest_differences(one, other))

    assert "…mmmmmmmmfirstzzz" in text
    assert "…mmmmmmmmsecondzzz" in text
    assert len(text) < 200


def test_a_value_that_begins_another_one_is_told_from_it():
    text = differences_text(
        manifest_differences(of_arguments(served_name="m" * 90), of_arguments(served_name="m" * 99))
    )

    assert text == f"served_name is …{'m' * 8} and …{'m' * 17}"


def test_tasks_that_differ_each_in_its_own_way_are_told_one_by_one():
    tasks = {name: replace(TASK, rows=21 + place) for place, name in enumerate(ONE.tasks)}

    text = differences_text(manifest_differences(ONE, replace(ONE, tasks=tasks)))

    assert (
        text == "rows of chartqa is 20 and 25; rows of mme is 20 and 21; rows of mmstar is 20 and 22; and 2 more fields"
    )
