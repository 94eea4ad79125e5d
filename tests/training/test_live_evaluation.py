"""Benchmarks of a model in training: ordinary runs, and a training that does not notice."""

from __future__ import annotations

import json
import os
import random
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainerState

from harness.comparison.compare import SideSpec, compare_runs
from harness.comparison.verify_run import verify_run
from harness.errors import ConfigError
from harness.models.live import WeightsHash, alone, answering_module, as_it_was
from harness.runs.store import list_runs, load_run
from tasks.run import run_benchmarks
from tasks.run_spec import RunEnvironment, RunSpec, parse_dataset_overrides
from training.data.shapes import shapes_examples
from training.data.store import write_examples
from training.loop.demo_model import build_demo_checkpoint
from training.stages.live_evaluation import LiveEvaluation
from training.stages.manifest import input_hash
from training.stages.settings import (
    Checkpoints,
    Evaluation,
    GrpoSettings,
    Lora,
    Optimisation,
    Rollouts,
    SftSettings,
    train_settings,
)
from training.stages.train import LOG_NAME, TrainEnvironment, train
from training.stages.trainers import Watch

pytestmark = pytest.mark.slow

SETTINGS = {"model": "m", "data": "d", "output": "o"}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("data") / "train.parquet"
    write_examples(path, shapes_examples("tiny", 24))
    return path


@pytest.fixture(scope="module")
def tiny(tmp_path_factory, one_thread) -> Path:
    return build_demo_checkpoint(tmp_path_factory.mktemp("demo") / "tiny", seed=0)


def environment(said: list[str]) -> TrainEnvironment:
    return TrainEnvironment(now=lambda: datetime.now(UTC), say=said.append, packages={"trl": "x"}, watch=Watch())


def evaluation(out: Path, **other) -> Evaluation:
    return Evaluation(
        every_steps=2, limit=12, limit_seed=3, datasets={"shapes": "tiny"}, max_new_tokens=4, batch_size="4", out=out,
        **other,
    )  # fmt: skip


def sft(model: Path, data: Path, output: Path, **other) -> SftSettings:
    return SftSettings(
        model=str(model), data=str(data), output=output,
        optimisation=Optimisation(steps=4, batch_size=2, accumulation=2),
        checkpoints=Checkpoints(every_steps=2), **other,
    )  # fmt: skip


def grpo(model: Path, data: Path, output: Path, **other) -> GrpoSettings:
    return GrpoSettings(
        model=str(model), data=str(data), output=output,
        optimisation=Optimisation(steps=2, learning_rate=1e-3, batch_size=4, accumulation=2),
        rollouts=Rollouts(generations=4, max_completion_tokens=6), **other,
    )  # fmt: skip


def what_was_learnt(folder: Path) -> tuple[dict[str, torch.Tensor], list[dict]]:
    file = next(folder.glob("*model.safetensors"))
    log = json.loads((folder / LOG_NAME).read_text(encoding="utf-8"))
    timed = ("runtime", "per_second", "step_time")
    return load_file(str(file)), [
        {name: value for name, value in line.items() if not any(word in name for word in timed)} for line in log
    ]


@pytest.fixture(scope="module")
def asked(tiny, data, tmp_path_factory) -> tuple[Path, list[str]]:
    """A folder with a model that was asked while it trained, its runs, and what was said."""
    folder, said = tmp_path_factory.mktemp("asked"), list[str]()
    train(sft(tiny, data, folder / "model", evaluation=evaluation(folder / "runs")), environment(said))
    return folder, said


def test_each_step_leaves_an_ordinary_run(asked):
    folder, said = asked
    runs = [load_run(info.path) for info in list_runs(folder / "runs")]

    assert [run.manifest.other["in_training"]["step"] for run in runs] == [0, 2, 4]
    assert len({run.manifest.weights_hash for run in runs}) == 3
    assert all(run.finished and verify_run(run.path) == [] for run in runs)
    assert [line.partition(":")[0] for line in said] == [f"evaluation at step {step}" for step in (0, 2, 4)]


def test_sft_learns_the_same_bit_for_bit_with_benchmarks_between(tiny, data, asked, tmp_path):
    train(sft(tiny, data, tmp_path / "without"), environment([]))

    assert_the_same_was_learnt(tmp_path / "without", asked[0] / "model")


def test_grpo_with_dropout_draws_and_learns_the_same(tiny, data, tmp_path):
    lora = Lora(rank=2, dropout=0.2)
    train(grpo(tiny, data, tmp_path / "without", lora=lora), environment([]))
    train(grpo(tiny, data, tmp_path / "with", lora=lora, evaluation=evaluation(tmp_path / "runs")), environment([]))

    drawn = [
        [pd.read_parquet(file)["completion"].to_list() for file in sorted((tmp_path / name / "completions").iterdir())]
        for name in ("without", "with")
    ]
    assert drawn[0] == drawn[1]
    assert_the_same_was_learnt(tmp_path / "without", tmp_path / "with")
    assert list_runs(tmp_path / "runs")


def assert_the_same_was_learnt(one: Path, other: Path) -> None:
    (weights, log), (other_weights, other_log) = what_was_learnt(one), what_was_learnt(other)
    assert [name for name in weights if not torch.equal(weights[name], other_weights[name])] == []
    assert log == other_log


def test_the_live_model_answers_as_its_saved_checkpoint_does_and_both_are_compared(asked, tmp_path):
    folder, _ = asked
    live = load_run(list_runs(folder / "runs")[-1].path)
    spec = RunSpec(
        model=str(folder / "model"), tasks="shapes", limit=12, limit_seed=3, max_new_tokens=4, batch_size="4",
        datasets=parse_dataset_overrides(["shapes=tiny"]), out=tmp_path / "saved",
    )  # fmt: skip
    around = RunEnvironment(lambda: datetime.now(UTC), lambda _: None, Silent(), {})
    saved = load_run(run_benchmarks(spec, around).folder)

    texts = [{record.key: record.generation.text for record in run.records()} for run in (live, saved)]
    comparison = compare_runs([SideSpec("live", (live,)), SideSpec("saved", (saved,))])

    assert texts[0] == texts[1]
    assert len(texts[0]) >= 12
    assert comparison.pairs[0].benchmarks[0].headline.difference.delta == 0
    assert live.manifest.other["number_format"] == saved.manifest.other["number_format"] == "float32"


def test_what_is_configured_wrongly_ends_training_before_its_first_step(tiny, tmp_path):
    wrong = LiveEvaluation(replace(evaluation(tmp_path), tasks="nosuch"), base=tiny, name="x")

    with pytest.raises(ConfigError, match=r"^evaluation: .*nosuch"):
        wrong.on_train_begin(None, TrainerState(), None, model=torch.nn.Linear(1, 1))


class OtherTokenizer:
    def get_vocab(self):
        return {"a": 0}

    def __len__(self):
        return 1


def test_a_base_of_other_tokens_is_refused(tiny, tmp_path):
    live = LiveEvaluation(evaluation(tmp_path), base=tiny, name="x")

    with pytest.raises(ConfigError, match=r"is not the one that is trained with \(\d+ and 1 tokens\)"):
        live.on_train_begin(None, TrainerState(), None, model=torch.nn.Linear(1, 1), processing_class=OtherTokenizer())


def test_what_goes_wrong_while_asking_is_told_and_training_goes_on(tiny, tmp_path):
    said: list[str] = []
    broken = LiveEvaluation(evaluation(tmp_path), base=tiny, name="x", say=said.append)

    broken._evaluate(torch.nn.Linear(1, 1), 7)

    assert said == [
        "evaluation at step 7: there is no run: AssertionError: on_train_begin comes first. Training goes on"
    ]


class Silent:
    def task_started(self, task, rows, answered):
        pass

    def sample_recorded(self, record):
        pass

    def task_finished(self, task):
        pass


def old_numpy_state() -> list[int]:
    return np.random.get_state()[1].tolist()  # noqa: NPY002 - what trainers draw from


class Remembering(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = torch.nn.Dropout(0.5)
        self.register_buffer("scale", torch.ones(2))
        self.memory = "before"


def test_whatever_asking_changes_is_put_back():
    module = Remembering().train()
    before = random.getstate(), old_numpy_state(), torch.get_rng_state()

    with as_it_was(module):
        in_block = module.training, module.inner.training
        module.memory, module.further, module.inner.p = "after", 1, 0.0
        module.scale = torch.zeros(2)
        random.seed(1)
        np.random.seed(1)  # noqa: NPY002 - as lmms-eval does
        torch.manual_seed(1)

    assert in_block == (False, False)
    assert (module.training, module.inner.training, module.inner.p) == (True, True, 0.5)
    assert (module.memory, hasattr(module, "further"), module.scale.tolist()) == ("before", False, [1.0, 1.0])
    assert before[0] == random.getstate()
    assert before[1] == old_numpy_state()
    assert torch.equal(before[2], torch.get_rng_state())


def test_equal_weights_have_equal_hashes_and_a_changed_one_another():
    torch.manual_seed(0)
    one, other = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    other.load_state_dict(one.state_dict())
    hashes = WeightsHash()
    one.bias.requires_grad_(False)
    first = hashes.of(one)

    assert first == hashes.of(one) == WeightsHash().of(other)
    with torch.no_grad():
        one.bias[0] += 1  # frozen, and written to all the same
    assert hashes.of(one) == WeightsHash().of(one) != first


def test_a_launched_process_asks_as_if_alone(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    with alone():
        inside = os.environ.get("WORLD_SIZE"), torch.distributed.is_initialized()

    assert inside == (None, False)
    assert (os.environ["WORLD_SIZE"], torch.distributed.is_initialized()) == ("2", True)


def test_weights_that_are_spread_are_refused_with_what_to_do_instead():
    module = torch.nn.Linear(1, 1)
    module.weight.ds_id = 1  # as DeepSpeed marks what it has taken apart

    with pytest.raises(ConfigError, match="satori-bench watch"):
        answering_module(module)


@pytest.mark.parametrize("profile", ["zero3", "fsdp2"])
def test_a_profile_that_spreads_weights_takes_no_evaluation(profile):
    with pytest.raises(ConfigError, match=f"profile {profile} spreads the weights"):
        train_settings("sft", {**SETTINGS, "profile": profile, "evaluation": {"every_steps": 5}}, where="f")


def test_what_is_asked_meanwhile_does_not_make_it_another_training():
    plain = train_settings("sft", SETTINGS, where="f")
    asked = train_settings("sft", {**SETTINGS, "evaluation": {"every_steps": 5}}, where="f")

    assert input_hash(plain, ("a", "b"), "c") == input_hash(asked, ("a", "b"), "c")
