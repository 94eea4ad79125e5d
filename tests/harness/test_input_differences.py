"""Tests of what tells the input of a run that would be made now from that of a stored one."""

import re
from dataclasses import replace

import pytest

from harness.comparison.comparability import input_differences
from harness.runs.manifest import NUMBER_FORMAT, Manifest, TaskManifest
from harness.scoring.box_dialects import dialect_named
from harness.values import PixelLimits

TASK = TaskManifest(
    "y" * 64, "rows.tsv", None, "f" * 64, rows=20, samples=20, prompt_hash="p" * 64,
    generation={"temperature": 0.0, "max_new_tokens": 64}, template_hash="t" * 64,
)  # fmt: skip
STORED = Manifest(
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
    tasks={"own": TASK},
    prompt_hash="p" * 64,
    seed=0,
    packages={},
    scorer_version=3,
    created_utc="2026-01-01T00:00:00Z",
    other={
        "arguments": {"dtype": "auto", "attn_implementation": None, "base_url": "http://one/v1", "served_name": None},
        NUMBER_FORMAT: "bfloat16",
    },
)


def of_task(**changed):
    return replace(STORED, tasks={"own": replace(TASK, **changed)})


def of_arguments(**changed):
    return replace(STORED, other=STORED.other | {"arguments": STORED.other["arguments"] | changed})


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (replace(STORED, weights_hash="b" * 64), "the model, by its weights"),
        (replace(STORED, adapter_hash="b" * 64), "the adapter differs"),
        (replace(STORED, config_hash="b" * 64), "configuration, processor, tokenizer or chat template"),
        (replace(STORED, model_type="qwen3_vl"), "model type"),
        (replace(STORED, format="freeform"), "format differs: satori and freeform"),
        (replace(STORED, box_dialect=dialect_named("norm_1000")), "box dialect differs: input_px and norm_1000"),
        (replace(STORED, seed=1), "seed differs: 0 and 1"),
        (replace(STORED, protocol="paper"), "protocol differs"),
        (replace(STORED, judge="a judge"), "judge differs"),
        (replace(STORED, pixel_limits=PixelLimits(784, 999)), "pixel limits differ"),
        (of_task(fingerprint="e" * 64), "own: the data differ"),
        (of_task(rows=21), "own: the data differ"),
        (of_task(samples=19, limit=19), r"own: samples differ: 20 and 19 \(--limit 19\)"),
        (of_task(yaml_hash="e" * 64), "own: the task files differ"),
        (of_task(template_hash="e" * 64), "own: the settings that all task files include differ"),
        (of_task(prompt_hash="e" * 64), "own: prompt wording differs"),
        (of_task(generation={"temperature": 1.0, "max_new_tokens": 64}), "own: generation arguments differ"),
        (replace(STORED, tasks={}), "task own is asked by one of them alone"),
        (replace(STORED, tasks={"own": TASK, "mme": TASK}), "task mme is asked by one of them alone"),
        (
            replace(STORED, other=STORED.other | {NUMBER_FORMAT: "float32"}),
            "number format differs: bfloat16 and float32",
        ),
        (of_arguments(attn_implementation="eager"), "attention differs: none and eager"),
        (of_arguments(served_name="lora"), "name at the server differs: none and lora"),
    ],
)
def test_what_was_asked_otherwise_is_named(now, said):
    [found] = input_differences(STORED, now)

    assert re.search(said, found)


@pytest.mark.parametrize(
    "now",
    [
        STORED,
        replace(STORED, scorer_version=4),
        replace(STORED, model="moved/elsewhere", created_utc="2027-01-01T00:00:00Z", packages={"torch": "3"}),
        of_task(dataset_path="moved/rows.tsv"),
        of_arguments(base_url="http://other/v1", concurrency=3, dtype="bfloat16"),
    ],
)
def test_what_leaves_answers_right_is_no_difference(now):
    assert input_differences(STORED, now) == ()


def test_what_a_run_of_before_did_not_record_is_not_held_against_it():
    before = replace(
        of_task(prompt_hash="", generation={}, template_hash=""), other={"arguments": STORED.other["arguments"]}
    )

    assert input_differences(before, replace(STORED, generation=before.generation)) == ()
