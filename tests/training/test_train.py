"""Real TRL on tiny models: SFT, GRPO, LoRA, two families, resume with the true weights, NaN, a full disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText, TrainerCallback

from harness.comparison.verify_run import verify_run
from harness.errors import ConfigError, UserError
from harness.models.checkpoint import hash_checkpoint, inspect_checkpoint
from harness.runs.store import list_runs, load_run
from harness.scoring.box_dialects import dialect_named, dialect_words
from harness.scoring.score import score
from harness.values import ScoreConfig, Size
from training.data.build import build_examples
from training.data.shapes import shapes_examples
from training.data.sources import SourceSpec
from training.data.store import read_examples, write_examples
from training.loop.demo_model import build_demo_checkpoint
from training.stages.manifest import input_hash, read_train_manifest, settings_json
from training.stages.memory import Lengths, memory_need
from training.stages.model_shape import model_shape
from training.stages.policy import open_policy
from training.stages.profiles import PROFILES
from training.stages.settings import (
    Checkpoints,
    GrpoSettings,
    Lora,
    Optimisation,
    Rewards,
    Rollouts,
    SftSettings,
)
from training.stages.train import LOG_NAME, TrainEnvironment, data_faults, train
from training.stages.trainers import CarefulSFTTrainer, TrainingError, Watch, last_checkpoint

pytestmark = pytest.mark.slow


def weights_hash(folder: str) -> str:
    return hash_checkpoint(inspect_checkpoint(folder)).weights_hash


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("data") / "train.parquet"
    write_examples(path, shapes_examples("tiny", 60))
    return path


@pytest.fixture(scope="module")
def tiny(tmp_path_factory, one_thread) -> Path:
    return build_demo_checkpoint(tmp_path_factory.mktemp("demo") / "tiny", seed=0)


@pytest.fixture(scope="module")
def taught(tiny, data, tmp_path_factory) -> Path:
    """A checkpoint after five steps of SFT."""
    output = tmp_path_factory.mktemp("sft") / "sft"
    train(sft(tiny, data, output), quiet())
    return output


def quiet(**watch) -> TrainEnvironment:
    return TrainEnvironment(
        now=lambda: datetime.now(UTC), say=lambda _: None, packages={"trl": "x"}, watch=Watch(**watch)
    )


def sft(model: Path, data: Path, output: Path, steps: int = 5, **other) -> SftSettings:
    return SftSettings(
        model=str(model), data=str(data), output=output, optimisation=Optimisation(steps=steps, batch_size=4), **other
    )


def grpo(model: Path, data: Path, output: Path, steps: int = 3, **other) -> GrpoSettings:
    return GrpoSettings(
        model=str(model),
        data=str(data),
        output=output,
        optimisation=Optimisation(steps=steps, learning_rate=1e-3, batch_size=8, accumulation=2),
        rollouts=Rollouts(generations=4, max_completion_tokens=12),
        **other,
    )


def log_of(folder: Path) -> list[dict]:
    return json.loads((folder / LOG_NAME).read_text(encoding="utf-8"))


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(str(folder / "model.safetensors"))


def assert_equal_weights(left: Path, right: Path) -> None:
    a, b = tensors(left), tensors(right)
    assert a.keys() == b.keys()
    assert [name for name in a if not torch.equal(a[name], b[name])] == []


def test_sft_learns_and_publishes_a_checkpoint_that_can_be_evaluated(tiny, taught):
    found = inspect_checkpoint(str(taught))

    assert found.model_type == "qwen2_5_vl"
    assert dialect_words(found.box_dialect) == "list:xyxy:input_px"
    assert weights_hash(str(taught)) != weights_hash(str(tiny))
    assert not list(taught.glob("checkpoint-*"))
    assert not taught.with_name("sft.partial").exists()


def test_the_manifest_says_what_was_trained(tiny, data, taught):
    manifest = read_train_manifest(taught)

    assert manifest is not None
    assert (manifest.status, manifest.steps, manifest.data_rows) == ("complete", 5, 60)
    assert manifest.base_weights_hash == weights_hash(str(tiny))
    assert manifest.data_hash == read_examples(data).data_hash
    assert manifest.settings["optimisation"]["steps"] == 5


def test_equal_inputs_are_not_trained_twice(tiny, data, taught):
    again = train(sft(tiny, data, taught), quiet())

    assert again.reused


def test_an_output_of_other_inputs_is_never_overwritten(tiny, data, taught):
    before = weights_hash(str(taught))

    with pytest.raises(ConfigError, match="was not made from these settings"):
        train(sft(tiny, data, taught, steps=6), quiet())

    assert weights_hash(str(taught)) == before


def test_grpo_logs_rewards_kinds_faults_noise_and_completions(taught, data, tmp_path):
    output = tmp_path / "grpo"

    train(grpo(taught, data, output), quiet())

    steps = [entry for entry in log_of(output) if "reward" in entry]
    assert [entry["step"] for entry in steps] == [1, 2, 3]
    wanted = {"rewards/format/mean", "rewards/bbox/mean", "rewards/answer/mean", "rewards/caption/mean"}
    assert wanted <= steps[0].keys()
    assert "frac_reward_zero_std" in steps[0]
    assert "gradient_noise/variance" in steps[0]
    assert any(name.startswith("kinds/") for name in steps[0])
    assert any(name.startswith("faults/") for name in steps[0])
    tables = sorted((output / "completions").glob("*.parquet"))
    assert len(tables) == 3
    table = pd.read_parquet(tables[0])
    assert len(table) == 16
    assert {"format", "bbox", "answer", "caption", "boxes_image_px", "faults", "text", "advantage"} <= set(
        table.columns
    )


def test_a_prompt_group_never_mixes_images_and_rewards_are_benchmark_scores(taught, data, tmp_path):
    output = tmp_path / "grpo"
    samples = {example.id: example.sample() for example in read_examples(data)}

    train(grpo(taught, data, output, steps=2), quiet())

    config = ScoreConfig("strict", "satori", dialect_named("input_px"))
    for file in sorted((output / "completions").glob("*.parquet")):
        table = pd.read_parquet(file)
        for group in range(0, len(table), 4):
            assert len(set(table["sample_id"][group : group + 4])) == 1
        for row in table.to_dict("records"):
            parts = score(samples[row["sample_id"]], row["text"], config, input_size=Size(56, 56)).components
            earned = (row["format"], row["bbox"], row["answer"], row["caption"])
            assert earned == pytest.approx((parts.format, parts.bbox, parts.answer, parts.caption), abs=1e-6)


def test_the_same_seed_gives_the_same_weights(taught, data, tmp_path):
    train(grpo(taught, data, tmp_path / "a", steps=2), quiet())
    train(grpo(taught, data, tmp_path / "b", steps=2), quiet())

    assert_equal_weights(tmp_path / "a", tmp_path / "b")


def test_no_image_or_vision_token_is_ever_sampled(tiny, data, tmp_path):
    # the untrained model samples all over its vocabulary, placeholders included unless they are suppressed
    train(grpo(tiny, data, tmp_path / "grpo", steps=2), quiet())


class StoppedError(Exception):
    """Stands for a kill."""


class StopAfterSave(TrainerCallback):
    """Ends training right after the checkpoint of a step was written."""

    def __init__(self, step: int) -> None:
        self._step = step

    def on_save(self, args, state, control, **kwargs):
        if state.global_step == self._step:
            raise StoppedError


@pytest.mark.parametrize("family", ["tiny_qwen2_5_vl", "tiny_qwen3_vl"])
def test_a_resumed_run_starts_from_the_checkpoints_weights(family, data, tmp_path, request):
    model = request.getfixturevalue(family)
    output = tmp_path / "sft"
    settings = replace(sft(model, data, output, steps=4), checkpoints=Checkpoints(every_steps=2))
    with pytest.raises(StoppedError):
        train(settings, quiet(on_begin=lambda trainer: trainer.add_callback(StopAfterSave(2))))
    checkpoint = last_checkpoint(output.with_name("sft.partial"))
    assert checkpoint is not None
    stored = AutoModelForImageTextToText.from_pretrained(checkpoint).state_dict()
    initial = AutoModelForImageTextToText.from_pretrained(model).state_dict()
    seen: dict[str, torch.Tensor] = {}

    def look(trainer):
        seen.update({name: value.clone() for name, value in trainer.model.state_dict().items()})
        assert trainer.state.global_step == 2

    train(settings, quiet(on_begin=look))

    assert [name for name in stored if not torch.equal(seen[name], stored[name])] == []
    assert any(not torch.equal(seen[name], initial[name]) for name in initial)


def test_a_resumed_grpo_run_ends_with_the_weights_of_an_uninterrupted_one(taught, data, tmp_path):
    settings = replace(grpo(taught, data, tmp_path / "whole", steps=3), checkpoints=Checkpoints(every_steps=1))
    train(settings, quiet())
    broken = replace(settings, output=tmp_path / "broken")
    with pytest.raises(StoppedError):
        train(broken, quiet(on_begin=lambda trainer: trainer.add_callback(StopAfterSave(2))))

    train(broken, quiet())

    assert_equal_weights(tmp_path / "whole", tmp_path / "broken")
    assert [entry["step"] for entry in log_of(tmp_path / "broken") if "reward" in entry] == [1, 2, 3]


def test_checkpoints_of_other_inputs_are_not_resumed_from(tiny, data, tmp_path):
    settings = replace(sft(tiny, data, tmp_path / "sft", steps=4), checkpoints=Checkpoints(every_steps=2))
    with pytest.raises(StoppedError):
        train(settings, quiet(on_begin=lambda trainer: trainer.add_callback(StopAfterSave(2))))
    begun = []

    train(replace(settings, seed=1), quiet(on_begin=lambda trainer: begun.append(trainer.state.global_step)))

    assert begun == [0]


def test_lora_trains_an_adapter_that_can_be_evaluated_and_trained_further(taught, data, tmp_path):
    adapter = tmp_path / "adapter"
    train(sft(taught, data, adapter, steps=2, lora=Lora(rank=4)), quiet())

    found = inspect_checkpoint(str(adapter))
    assert found.is_adapter
    assert (adapter / "adapter_model.safetensors").is_file()

    train(grpo(adapter, data, tmp_path / "grpo", steps=1, lora=Lora(rank=4)), quiet())
    further = inspect_checkpoint(str(tmp_path / "grpo"))
    assert further.is_adapter
    assert further.base is not None
    assert further.base.parent == tmp_path / "grpo"


@pytest.mark.parametrize("stage", [sft, grpo])
@pytest.mark.parametrize("lora", [None, Lora(rank=4)], ids=["whole", "adapter"])
def test_memory_is_reckoned_in_the_formats_that_are_held(taught, data, tmp_path, monkeypatch, stage, lora):
    """The formats of a GPU's profile, on a CPU: bytes of weights, gradients and Adam's moments as they are."""
    on_cpu = replace(PROFILES["single-gpu"], name="cpu-tiny", common=PROFILES["cpu-tiny"].common | {"bf16": True})
    monkeypatch.setitem(PROFILES, "cpu-tiny", on_cpu)
    chosen, seen = stage(taught, data, tmp_path / "out", steps=1, lora=lora), []
    shape = model_shape(str(taught))
    need = memory_need(chosen, shape, Lengths(4, 12, "given"), 79.0)

    train(chosen, quiet(on_begin=seen.append))

    model, states = seen[0].model, seen[0].optimizer.state
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    moments = [states[weight][name] for weight in trained for name in ("exp_avg", "exp_avg_sq")]
    held = {
        "weights": sum(weight.nbytes for weight in model.parameters()),
        "gradients": sum(weight.nbytes for weight in trained),
        "Adam": sum(moment.nbytes for moment in moments),
    }
    about = 0.001 if lora is None else 0.25  # an adapter's size follows from the layers, the fused ones too
    assert {moment.dtype for moment in moments} == {torch.float32}
    assert {weight.dtype for weight in trained} == {torch.float32}
    assert {part: need.parts_gib[part] * 2**30 for part in held} == pytest.approx(held, rel=about)


def test_two_processes_train_one_output(taught, tmp_path):
    """As a launcher starts them for two GPUs: one lock, one set of drawn data, one checkpoint; each asks its shard."""
    table = {
        "model": str(taught),
        "data": "shapes:tiny",
        "output": str(tmp_path / "new" / "out"),
        "profile": "multi-gpu",
        "processes": 2,
        "optimisation": {"steps": 2, "batch_size": 2},
        "evaluation": {
            "every_steps": 2, "limit": 8, "datasets": {"shapes": "tiny"}, "max_new_tokens": 2,
            "out": str(tmp_path / "runs"),
        },
    }  # fmt: skip
    file = tmp_path / "c.json"
    file.write_text(json.dumps(table), encoding="utf-8")
    launcher = [sys.executable, "-P", "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]

    found = subprocess.run(
        [*launcher, str(Path(__file__).with_name("train_process.py")), "sft", str(file)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        check=False,
    )

    assert found.returncode == 0, found.stderr[-2000:]
    assert found.stdout.splitlines().count("step 2") == 1
    assert inspect_checkpoint(str(tmp_path / "new" / "out")).model_type == "qwen2_5_vl"
    assert read_train_manifest(tmp_path / "new" / "out").steps == 2
    runs = [load_run(info.path) for info in list_runs(tmp_path / "runs")]
    assert [run.manifest.other["in_training"]["step"] for run in runs] == [0, 2]
    assert [[part["shard"] for part in run.manifest.other["merged"]] for run in runs] == [["1/2", "2/2"]] * 2
    assert [(verify_run(run.path), run.manifest.shard) for run in runs] == [([], None)] * 2
    assert len(list((tmp_path / "runs").iterdir())) == 2, "the shards are cleared away"


REFUSED = [
    ({"data": "none.parquet"}, "there is no such file"),
    ({"data": "shapes:huge"}, "Shapes has the profiles full, tiny"),
    ({"model": "nowhere"}, "no folder nowhere"),
]


@pytest.mark.parametrize(("other", "fault"), REFUSED, ids=[str(other) for other, _ in REFUSED])
def test_what_is_refused_leaves_nothing_behind(taught, data, tmp_path, other, fault):
    settings = replace(sft(taught, data, tmp_path / "new" / "out"), **other)

    with pytest.raises(UserError, match=fault):
        train(settings, quiet())

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("form", "lacking"), [("satori", 2), ("satori-think", 2), ("freeform", 1), ("satori-adaptive", 0), ("plain", 0)]
)
def test_a_cold_start_wants_the_gold_that_its_format_is_taught_with(tmp_path, form, lacking):
    bare = [replace(one, caption=None, boxes_image_px=None) for one in shapes_examples("tiny", 3)]
    write_examples(tmp_path / "bare.parquet", bare)
    settings = replace(sft(tmp_path, tmp_path / "bare.parquet", tmp_path / "out"), format=form)

    assert len(data_faults(settings, read_examples(tmp_path / "bare.parquet"))) == lacking


def test_what_a_stage_costs_is_input_only_where_stages_have_a_price(tmp_path):
    free = grpo(tmp_path, tmp_path / "data.parquet", tmp_path / "out")
    priced = replace(
        free,
        format="satori-adaptive",
        objective=replace(free.objective, aggregation="sum_then_normalize"),
        rewards=Rewards(weights={"answer": 1.0, "stages": 1.0}),
    )
    hashes = {
        name: [
            input_hash(replace(one, rewards=replace(one.rewards, stage_costs={"bbox": cost})), ("w", "c"), "d")
            for cost in (0.1, 0.2)
        ]
        for name, one in (("free", free), ("priced", priced))
    }

    assert len(set(hashes["free"])) == 1
    assert len(set(hashes["priced"])) == 2
    assert settings_json(priced)["rewards"]["stage_costs"] == {"caption": 0.1, "bbox": 0.1}


def test_another_adapter_is_never_trained_on_the_merge_of_the_one_before(taught, data, tmp_path):
    work = tmp_path / "merge"
    for name, seed in (("one", 0), ("two", 1)):
        train(sft(taught, data, tmp_path / name, steps=2, lora=Lora(rank=4), seed=seed), quiet())

    one = open_policy(str(tmp_path / "one"), "satori", None, work).checkpoint.model_path
    two = open_policy(str(tmp_path / "two"), "satori", None, work).checkpoint.model_path

    assert one != two
    assert weights_hash(str(one)) != weights_hash(str(two))
    assert not (work / "merging").exists()


def test_a_kl_term_keeps_the_starting_model_as_reference_even_after_a_resume(taught, data, tmp_path):
    settings = replace(grpo(taught, data, tmp_path / "grpo", steps=2), checkpoints=Checkpoints(every_steps=1))
    settings = replace(settings, objective=replace(settings.objective, beta=0.1))
    start = AutoModelForImageTextToText.from_pretrained(taught).state_dict()
    with pytest.raises(StoppedError):
        train(settings, quiet(on_begin=lambda trainer: trainer.add_callback(StopAfterSave(1))))
    references = []

    train(settings, quiet(on_begin=lambda trainer: references.append(trainer.ref_model.state_dict())))

    assert [name for name in start if not torch.equal(references[0][name], start[name])] == []
    assert "kl" in log_of(tmp_path / "grpo")[0]


def test_a_loss_that_is_not_finite_stops_with_the_last_good_checkpoint_named(tiny, data, tmp_path):
    settings = replace(sft(tiny, data, tmp_path / "sft", steps=4), checkpoints=Checkpoints(every_steps=1))

    def poison(trainer):
        trainer.add_callback(Poison(2))

    with pytest.raises(TrainingError, match=r"not finite after step 2.*checkpoint-2"):
        train(settings, quiet(on_begin=poison))

    kept = AutoModelForImageTextToText.from_pretrained(tmp_path / "sft.partial" / "checkpoint-2").state_dict()
    assert all(bool(torch.isfinite(value).all()) for value in kept.values())


class Poison(TrainerCallback):
    """Makes a weight NaN after a step, as an overflow would."""

    def __init__(self, step: int) -> None:
        self._step = step

    def on_step_begin(self, args, state, control, **kwargs):
        if state.global_step == self._step:
            next(kwargs["model"].parameters()).data.fill_(float("nan"))


def test_a_full_disk_at_a_checkpoint_keeps_the_previous_one(tiny, data, tmp_path, monkeypatch):
    settings = replace(sft(tiny, data, tmp_path / "sft", steps=3), checkpoints=Checkpoints(every_steps=1))
    save = CarefulSFTTrainer.save_model

    def full_at_two(self, output_dir=None, _internal_call=False):
        save(self, output_dir, _internal_call)
        if self.state.global_step == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(CarefulSFTTrainer, "save_model", full_at_two)

    with pytest.raises(TrainingError, match=r"No space left.*checkpoint-1"):
        train(settings, quiet())

    work = tmp_path / "sft.partial"
    assert last_checkpoint(work) == work / "checkpoint-1"
    assert not (work / "unfinished").exists()


def test_vqa_verify_shaped_data_train_a_model_of_thousandths(tiny_qwen2_vl, vqa_verify, tmp_path):
    path = tmp_path / "vqa.parquet"
    build_examples([SourceSpec(str(vqa_verify.parquet), "vqa-verify")], path, drop_faulty=True)

    train(sft(tiny_qwen2_vl, path, tmp_path / "sft", steps=2), quiet())

    assert read_train_manifest(tmp_path / "sft").data_rows == len(vqa_verify.rows)


def test_data_without_boxes_name_the_reward_to_drop(taught, data, tmp_path):
    bare = tmp_path / "bare.parquet"
    write_examples(bare, (replace(example, boxes_image_px=None) for example in read_examples(data)))

    with pytest.raises(ConfigError, match=r"60 of 60 examples have no gold boxes.*drop the reward `bbox`"):
        train(grpo(taught, bare, tmp_path / "grpo"), quiet())

    weights = Rewards(weights={"format": 1.0, "answer": 1.0})
    train(grpo(taught, bare, tmp_path / "grpo", steps=1, rewards=weights), quiet())


def test_a_text_only_model_is_refused_before_anything_is_written(data, tmp_path):
    folder = tmp_path / "text"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"]}')

    with pytest.raises(ConfigError, match="text-only"):
        train(sft(folder, data, tmp_path / "sft"), quiet())

    assert not (tmp_path / "sft").exists()
