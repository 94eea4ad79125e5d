"""The loop closes on disk: planned whole, skipped where done, resumed after kill -9 with the same weights and rows."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from harness.errors import ConfigError
from tasks.run_spec import RunEnvironment
from training.loop.comparison import LoopRun, compare_loop, pairs_of
from training.loop.demo import demo_loop
from training.loop.demo_model import build_demo_checkpoint
from training.loop.loop import LoopEnvironment, run_loop
from training.loop.plan import DataPaths, plan_loop
from training.loop.settings import loop_settings
from training.stages.train import TrainEnvironment

PROCESS = Path(__file__).parent / "train_process.py"

ARMS = [
    {"name": "satori"},
    {"name": "answer-only", "cold_start": "satori", "grpo": {"rewards": {"weights": {"answer": 1.0}}}},
]


def table(model: Path | str, out: Path, **other) -> dict:
    """A loop that takes seconds: five steps of each stage, forty samples."""
    return {
        "name": "small",
        "out": str(out),
        "model": str(model),
        "data": {"rows": 60, "weak_labels": {"share": 0.3, "oversight": 0.6}},
        "benchmark": {
            "datasets": {"shapes": "tiny"},
            "limit": 40,
            "max_new_tokens": 8,
            "batch_size": "8",
            "device": "cpu",
        },
        "sft": {"optimisation": {"steps": 4, "batch_size": 4}, "checkpoints": {"every_steps": 1}},
        "grpo": {
            "optimisation": {"steps": 3, "learning_rate": 1e-3, "batch_size": 8},
            "rollouts": {"generations": 4, "max_completion_tokens": 8},
            "checkpoints": {"every_steps": 1},
        },
        **other,
    }


class Silent:
    """Listens to nothing."""

    def task_started(self, task, rows, answered): ...
    def sample_recorded(self, record): ...
    def task_finished(self, task): ...
    def loop_started(self, steps): ...
    def loop_step_started(self, number): ...
    def loop_step_finished(self): ...


def numbers(result) -> list:
    """Return every headline and metric that a loop compared."""
    comparisons = json.loads(result.comparison.to_bytes())["comparisons"]
    pairs = [pair for found in comparisons.values() for pair in found["pairs"]]
    return [(pair["a"], pair["b"], item["headline"], item["metrics"]) for pair in pairs for item in pair["benchmarks"]]


def environment(said: list[str], reports: list | None = None) -> LoopEnvironment:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    train = TrainEnvironment(now=lambda: now, say=said.append, packages={})
    run = RunEnvironment(now=lambda: now, say=said.append, listener=Silent(), packages={})
    return LoopEnvironment(
        train, run, Silent(), None if reports is None else lambda found, folder: reports.append((found, folder))
    )


FAULTS = [
    ({"arms": [{"name": "a b"}]}, "name 'a b': use letters"),
    ({"arms": [{"name": "a"}, {"name": "a"}]}, "a comes 2 times"),
    ({"arms": [{"name": "satori"}, {"name": "x", "cold_start": "satory"}]}, "Did you mean 'satori'?"),
    (
        {"arms": [{"name": "satori"}, {"name": "x", "cold_start": "satori", "format": "freeform"}]},
        "writes format satori",
    ),
    ({"arms": [{"name": "x", "format": "freeform"}]}, "arm x, grpo: rewards.weights: format freeform has no stage"),
    ({"sft": {"model": "m"}}, "sft.model: the loop sets it"),
    ({"grpo": {"optimisation": {"stepz": 1}}}, "unknown key optimisation.stepz. Did you mean 'steps'?"),
    ({"seeds": [1, 1]}, "seeds: a seed comes twice"),
    ({"benchmrk": {}}, "unknown key benchmrk. Did you mean 'benchmark'?"),
    ({"data": {"sft": "x.parquet", "weak_labels": {}}}, "only a cold start drawn from Shapes can be spoilt"),
]


@pytest.mark.parametrize(("other", "fault"), FAULTS, ids=[fault for _, fault in FAULTS])
def test_faults_are_found_before_anything_runs(tmp_path, other, fault):
    with pytest.raises(ConfigError) as caught:
        loop_settings({**table("m", tmp_path), **other}, where="loop.toml")

    assert fault in str(caught.value)


def test_the_plan_asks_each_base_once_and_shares_a_cold_start(tmp_path, monkeypatch):
    monkeypatch.setattr("training.loop.demo.build_demo_checkpoint", lambda folder, seed: folder)

    plan = plan_loop(demo_loop(tmp_path, arms="all", seed=0), DataPaths("a", "b"))

    trained = [step.run for step in plan.steps if step.name.endswith(".train")]
    assert trained == ["satori-sft", "satori-grpo", "answer-only-grpo", "freeform-sft", "freeform-grpo"]
    assert [step.name for step in plan.steps].count("satori-base.greedy") == 1
    assert pairs_of(plan.chains)[-2:] == [("satori-grpo", "answer-only-grpo"), ("satori-grpo", "freeform-grpo")]


def test_further_seeds_name_their_runs(tmp_path):
    settings = loop_settings(table("m", tmp_path, seeds=[3, 4]), where="x")

    runs = [step.run for step in plan_loop(settings, DataPaths("a", "b")).steps if step.name.endswith(".train")]

    assert runs == ["satori-sft", "satori-grpo", "satori-seed4-sft", "satori-seed4-grpo"]


@pytest.fixture(scope="module")
def model(tmp_path_factory, one_thread) -> Path:
    return build_demo_checkpoint(tmp_path_factory.mktemp("demo") / "tiny", seed=0)


@pytest.fixture(scope="module")
def finished(model, tmp_path_factory):
    """A loop that was never interrupted, with its settings and what it said."""
    out = tmp_path_factory.mktemp("loops")
    settings = loop_settings(table(model, out, arms=ARMS), where="test")
    said: list[str] = []
    reports: list = []
    return settings, run_loop(settings, environment(said, reports)), said, reports


@pytest.mark.slow
def test_a_loop_leaves_everything_that_the_contract_names(finished):
    settings, result, _, reports = finished
    folder = settings.folder

    assert (folder / "data" / "sft.parquet").is_file()
    assert sorted(path.name for path in (folder / "checkpoints").iterdir() if path.is_dir()) == [
        "answer-only-grpo", "satori-grpo", "satori-sft"
    ]  # fmt: skip
    state = json.loads((folder / "loop.json").read_text(encoding="utf-8"))
    assert state["status"] == "complete"
    assert {stage["status"] for stage in state["stages"]} == {"done"}
    comparison = json.loads((folder / "comparison.json").read_text(encoding="utf-8"))
    assert list(comparison["comparisons"]) == ["greedy", "sampled"]
    for found in comparison["comparisons"].values():
        labels = [side["label"] for side in found["sides"]]
        assert labels == ["satori-base", "satori-sft", "satori-grpo", "answer-only-grpo"]
        assert [(labels[pair["a"]], labels[pair["b"]]) for pair in found["pairs"]] == [
            ("satori-base", "satori-sft"),
            ("satori-sft", "satori-grpo"),
            ("satori-base", "satori-grpo"),
            ("satori-sft", "answer-only-grpo"),
            ("satori-base", "answer-only-grpo"),
            ("satori-grpo", "answer-only-grpo"),
        ]
        assert all(pair["benchmarks"][0]["headline"]["metric"] == "accuracy" for pair in found["pairs"])
    assert reports == [(result.comparison, folder)]
    assert len(result.runs) == 8


@pytest.mark.slow
def test_a_finished_loop_does_nothing_again(finished):
    settings, result, _, _ = finished
    said: list[str] = []

    again = run_loop(settings, environment(said))

    assert sum("already benchmarked" in line for line in said) == len(result.runs)
    assert sum("already trained" in line for line in said) == 3
    assert numbers(again) == numbers(result)


@pytest.mark.slow
def test_a_run_compared_with_itself_shows_no_change(finished):
    run = next(run for run in finished[1].runs if run.run == "satori-base")

    same = compare_loop([("satori-base", "again")], [run, replace(run, run="again")], seed=0)

    headline = same[run.decoding].pairs[0].benchmarks[0].headline
    assert (headline.difference.delta, headline.difference.changed_clusters) == (0.0, 0)


@pytest.mark.slow
def test_a_benchmark_of_other_inputs_is_asked_again(finished):
    settings, result = finished[0], finished[1]
    ledger = settings.folder / "loop.json"
    state = json.loads(ledger.read_text(encoding="utf-8"))
    stage = next(stage for stage in state["stages"] if stage["name"] == "satori-base.greedy")
    stage["input_hash"] = "of other weights"
    ledger.write_text(json.dumps(state), encoding="utf-8")
    said: list[str] = []

    again = run_loop(settings, environment(said))

    assert "satori-base.greedy: already benchmarked" not in said
    assert sum("already benchmarked" in line for line in said) == len(result.runs) - 1
    assert numbers(again) == numbers(result)


def kill_when(said: str, count: int, settings_file: Path) -> None:
    """Run the loop in a process of its own and kill it when it has said something so many times."""
    process = subprocess.Popen(
        [sys.executable, "-P", str(PROCESS), "loop", str(settings_file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
    )
    assert process.stdout is not None
    for line in process.stdout:
        count -= line.startswith(said)
        if count == 0:
            process.send_signal(signal.SIGKILL)
            break
    process.wait()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.slow
def test_a_loop_killed_in_every_stage_ends_like_one_that_was_not(finished, model, tmp_path):
    whole, result, _, _ = finished
    arms = json.loads(
        json.dumps([{"name": arm.name, "cold_start": arm.cold_start, "grpo": arm.grpo} for arm in whole.arms])
    )
    plain = table(model, tmp_path, arms=arms)
    file = tmp_path / "loop.json"
    file.write_text(json.dumps(plain), encoding="utf-8")
    kill_when("sample", 60, file)  # in a benchmark
    kill_when("step", 2, file)  # in the cold start
    kill_when("stage grpo", 1, file)  # at the beginning of reinforcement learning
    settings = loop_settings(plain, where="test")

    resumed = run_loop(settings, environment([]))

    for name in ("satori-sft", "satori-grpo", "answer-only-grpo"):
        left = load_file(str(whole.folder / "checkpoints" / name / "model.safetensors"))
        right = load_file(str(settings.folder / "checkpoints" / name / "model.safetensors"))
        assert [key for key in left if not torch.equal(left[key], right[key])] == []
    assert numbers(resumed) == numbers(result)
    assert isinstance(resumed.runs[0], LoopRun)
