"""Several checkpoints through the command: opened once, asked once, compared, gated; the model replays text."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

import tasks.run
from harness.comparison.verify_run import verify_run
from harness.models.replay import SatoriReplay
from harness.runs.store import list_runs, load_run
from harness.values import Generation
from tasks.catalog import resolve_tasks
from tasks.run_manifest import task_manifest
from tasks.run_questions import open_question
from tasks.run_spec import RunSpec, parse_dataset_overrides

pytestmark = pytest.mark.slow

ASKED = ["--dataset", "shapes=tiny", "--limit", "40", "--no-page", "--no-thumbnails", "--format", "plain"]
POLICY = "allow_limited = true\ntolerance = 0.0\n"


class Answers(SatoriReplay):
    """Answers `one` where the checkpoint is good, else nothing; counts what it is asked."""

    def __init__(self, asked: list[str], model: str, act=lambda: None) -> None:
        super().__init__(lambda *_: "one" if "bad" not in Path(model, "name").read_text() else "", batch_size=8)
        self._asked, self._model, self._act = asked, model, act

    def generate_batch(self, prompts) -> list[Generation]:
        self._asked += [Path(self._model).name] * len(prompts)
        self._act()
        return super().generate_batch(prompts)


@pytest.fixture
def training(tiny_qwen2_5_vl, tmp_path, command):
    """Write checkpoints of a training into `out/`, each with weights of its own."""

    def write(number: int, name: str = "good") -> Path:
        folder = Path("out") / f"checkpoint-{number}"
        shutil.copytree(tiny_qwen2_5_vl, folder)
        weights = bytearray((folder / "model.safetensors").read_bytes())
        weights[-4 * number] ^= 1
        (folder / "model.safetensors").write_bytes(weights)
        (folder / "trainer_state.json").write_text('{"global_step": 1}')
        (folder / "name").write_text(name)
        return folder

    return write


@pytest.fixture
def asked(monkeypatch) -> list[str]:
    """The checkpoints that were asked, once a sample."""
    found: list[str] = []
    monkeypatch.setattr(tasks.run, "load_model", lambda spec, *_: Answers(found, spec.model))
    return found


def test_a_folder_is_asked_run_by_run_with_data_opened_once(training, asked, command, monkeypatch):
    for number, name in ((20, "bad"), (3, "good")):
        training(number, name)
    broken = training(30)
    (broken / "config.json").write_text("{")
    opened = []
    monkeypatch.setattr(tasks.run, "open_question", lambda *given: opened.append(given) or open_question(*given))

    code, out, err = command("run", "--model", "out", "--tasks", "shapes", *ASKED)

    # runs begun in one second are listed by their models' names
    runs = sorted(
        (load_run(info.path) for info in list_runs(Path("runs"))),
        key=lambda run: asked.index(Path(run.manifest.model).name),
    )
    assert code == 5
    assert [Path(run.manifest.model).name for run in runs] == ["checkpoint-3", "checkpoint-20"]
    assert all(verify_run(run.path) == [] for run in runs)
    assert len(opened) == 1
    assert "change: against checkpoint-3" in out
    assert "out/checkpoint-30: no run: " in out
    assert "[3/3] out/checkpoint-30" in err

    count = len(asked)
    code, out, _ = command("run", "--model", "out", "--tasks", "shapes", "--json", *ASKED)

    found = json.loads(out)
    assert (code, found["schema"], len(asked)) == (5, 1, count)
    assert [(run["model"], run["exit_code"], run["run"]) for run in found["runs"]] == [
        ("out/checkpoint-3", 0, str(runs[0].path)), ("out/checkpoint-20", 0, str(runs[1].path)),
        ("out/checkpoint-30", 2, None),
    ]  # fmt: skip
    assert found["comparison"]["pairs"][0]["benchmarks"][0]["headline"]["difference"]["delta"] < 0


def test_each_benchmark_is_told_as_it_ends_with_the_score_of_the_finished_run(training, asked, command, local_data):
    training(1)

    code, out, err = command("run", "--model", "out", "--tasks", "mmstar,shapes", "--data-dir", local_data.parquet,
                             *ASKED)  # fmt: skip

    told = [line for line in err.splitlines() if line.startswith(("mmstar: accuracy", "shapes: accuracy"))]
    stored = load_run(list_runs(Path("runs"))[0].path).scores["tasks"]
    assert code == 0
    assert [line.partition(":")[0] for line in told] == ["mmstar", "shapes"]
    for line in told:
        task = line.partition(":")[0]
        assert f"accuracy {100 * stored[task]['metrics']['accuracy']['value']:.1f} [" in line
    assert "shapes accuracy" in out


def test_watching_gates_each_and_asks_nothing_twice(training, asked, command):
    training(1), training(2, "bad")
    Path("gate.toml").write_text(POLICY)
    watch = ["watch", "out", "--tasks", "shapes", "--gate", "gate.toml", "--once", *ASKED]

    first = command(*watch)
    count = len(asked)
    training(3)
    again = command(*watch)

    assert first[0] == 3
    assert [line.partition(":")[0] for line in first[1].splitlines()] == ["checkpoint-1", "checkpoint-2"]
    assert "checkpoint-2: REGRESSION on a fixed subset (--limit): 1 regressed; shapes accuracy 0.0" in first[1]
    assert again[0] == 0, "the last one is what counts"
    assert set(asked[count:]) == {"checkpoint-3"}
    assert len(list_runs(Path("runs"))) == 3


def test_a_named_baseline_is_what_each_is_held_against(training, asked, command):
    training(1), training(2, "bad")
    command("run", "--model", "out/checkpoint-1", "--tasks", "shapes", "--name", "base", *ASKED)
    shutil.rmtree("out/checkpoint-1")  # as a trainer removes its older ones

    Path("gate.toml").write_text(POLICY)

    code, out, _ = command("watch", "out", "--tasks", "shapes", "--baseline", "base", "--gate", "gate.toml", "--json",
                           "--once", *ASKED)  # fmt: skip

    (line,) = out.splitlines()
    assert code == 3
    assert json.loads(line)["verdict"]["outcome"] == "regression"


def test_one_that_is_removed_while_it_is_read_is_passed_over(training, asked, command, monkeypatch):
    training(1), training(2)

    def load(spec, *_):
        if spec.model.endswith("-1"):
            shutil.rmtree(spec.model)
            raise FileNotFoundError(spec.model)
        return Answers(asked, spec.model)

    monkeypatch.setattr(tasks.run, "load_model", load)
    code, out, err = command("watch", "out", "--tasks", "shapes", "--until", "1", *ASKED)

    assert code == 0
    assert out.startswith("checkpoint-2: ")
    assert "out/checkpoint-1 is passed over: it was removed while it was read" in err


def test_one_that_is_written_to_while_it_is_read_is_not_scored(training, asked, command, monkeypatch):
    folder = training(1)

    def load(spec, *_):
        weights = (folder / "model.safetensors").read_bytes()
        (folder / "model.safetensors").write_bytes(weights[:-1] + b"!")
        return Answers(asked, spec.model)

    monkeypatch.setattr(tasks.run, "load_model", load)
    code, _, err = command("run", "--model", folder, "--tasks", "shapes", *ASKED)

    assert code == 5
    assert "was written to while it was read" in err
    assert list_runs(Path("runs")) == []
    assert asked == []


def test_a_signal_while_waiting_leaves_with_the_verdicts_so_far(training, asked, command):
    training(1)

    def end():
        while not list_runs(Path("runs")) or list_runs(Path("runs"))[0].state != "complete":
            time.sleep(0.02)
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=end, daemon=True).start()
    code, out, err = command("watch", "out", "--tasks", "shapes", *ASKED)

    assert code == 0
    assert out.startswith("checkpoint-1: shapes: accuracy ")
    assert "stopped: no checkpoint was under way" in err


def test_a_draw_of_samples_is_another_run_and_the_same_each_time():
    drawn = {}
    for seed in (None, 3, 4):
        spec = RunSpec(
            "m", tasks="shapes", limit=40, limit_seed=seed, datasets=parse_dataset_overrides(["shapes=tiny"])
        )
        question = open_question(spec, resolve_tasks("shapes")[0])
        task = task_manifest(spec, question)
        ids = [question.benchmark.adapter.id_of(doc) for doc in question.data]
        drawn[seed] = frozenset(ids), task.other.get("limit_seed")
        assert len(ids) >= 40
        assert open_question(spec, question.benchmark).data.fingerprint == question.data.fingerprint
        more = open_question(replace(spec, limit=80), question.benchmark)
        assert set(ids) < {question.benchmark.adapter.id_of(doc) for doc in more.data}

    assert [seed for _, seed in drawn.values()] == [None, 3, 4]
    assert len({ids for ids, _ in drawn.values()}) == 3
