"""kill -9 at random moments: the resumed run equals the uninterrupted one, record for record."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

import harness
from harness.journal import read_records
from harness.run_store import list_runs, load_run, verify_run
from harness.values import Record

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).with_name("replay_run.py")
CODE_ROOT = Path(harness.__file__).parents[1]
BATCH = 4
REPLAY_KILLS = 8
COMMAND_KILLS = 2


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(CODE_ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def replay_command(checkpoint: Path, data: Path, out: Path, seconds_per_batch: float) -> list[str]:
    return [sys.executable, "-P", str(SCRIPT), str(checkpoint), str(data), str(out), str(seconds_per_batch)]


def real_command(checkpoint: Path, data: Path, out: Path) -> list[str]:
    return [
        sys.executable, "-P", "-m", "satori_bench", "run", "--model", str(checkpoint), "--tasks", "shapes,mme",
        "--data-dir", str(data), "--dataset", "shapes=tiny", "--limit", "120", "--max-new-tokens", "12",
        "--batch-size", str(BATCH), "--device", "cpu", "--out", str(out),
    ]  # fmt: skip


def lines_in_journals(out: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in out.glob("*.partial/samples.jsonl"))


def run_and_kill(command: list[str], out: Path, more_lines: int, rng: random.Random) -> int:
    """Start the command, kill it some time after its journal has grown by `more_lines`; return the journal's lines."""
    before = lines_in_journals(out)
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 240
    while lines_in_journals(out) < before + more_lines:
        if process.poll() is not None:
            raise AssertionError(f"the run ended before it could be killed: {process.stderr.read()[-2000:]!r}")
        assert time.monotonic() < deadline, "the journal does not grow"
        time.sleep(0.005)
    time.sleep(rng.random() * 0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return lines_in_journals(out)


def finish(command: list[str]) -> str:
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def comparable(record: Record) -> Record:
    """Return the record without what differs between two runs of the same thing: the time it took."""
    return replace(record, generation=replace(record.generation, device_s=None))


def records_of(out: Path) -> dict:
    [info] = list_runs(out)
    assert info.state == "complete"
    assert verify_run(info.path) == []
    return {record.key: comparable(record) for record in load_run(info.path).records()}


def test_a_replaying_run_killed_eight_times_equals_the_uninterrupted_one(tiny_qwen2_5_vl, local_data, tmp_path):
    rng = random.Random(20)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    finish(replay_command(tiny_qwen2_5_vl, local_data.parquet, whole, 0.0))
    slow = replay_command(tiny_qwen2_5_vl, local_data.parquet, killed, 0.05)
    lines = 0
    for _ in range(REPLAY_KILLS):
        now = run_and_kill(slow, killed, rng.randint(1, 9), rng)
        assert now > lines, "a resumed run must not lose what was journalled"
        lines = now

    finish(replay_command(tiny_qwen2_5_vl, local_data.parquet, killed, 0.0))

    assert records_of(killed) == records_of(whole)
    [run] = list_runs(killed)
    asked = sum(1 for _ in (run.path / "samples.jsonl").open("rb"))
    assert asked <= len(records_of(whole)) + REPLAY_KILLS * BATCH, "at most the batch in flight is asked again"


def test_the_real_command_killed_twice_equals_the_uninterrupted_one(tiny_qwen2_5_vl, local_data, tmp_path):
    rng = random.Random(21)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    finish(real_command(tiny_qwen2_5_vl, local_data.parquet, whole))
    command = real_command(tiny_qwen2_5_vl, local_data.parquet, killed)
    for _ in range(COMMAND_KILLS):
        run_and_kill(command, killed, rng.randint(8, 30), rng)

    finish(command)

    assert records_of(killed) == records_of(whole)


def test_retrained_weights_in_the_same_path_never_reuse_answers(tiny_qwen2_5_vl, local_data, tmp_path):
    import shutil

    import torch
    from safetensors.torch import load_file, save_file

    checkpoint, out = tmp_path / "checkpoint", tmp_path / "runs"
    shutil.copytree(tiny_qwen2_5_vl, checkpoint)
    run_and_kill(replay_command(checkpoint, local_data.parquet, out, 0.05), out, 6, random.Random(22))
    [file] = checkpoint.glob("*.safetensors")
    weights = load_file(file)
    name = min(weights)
    weights[name] = weights[name] + torch.ones_like(weights[name])
    save_file(weights, file, metadata={"format": "pt"})

    printed = finish(replay_command(checkpoint, local_data.parquet, out, 0.0))

    assert "resuming" not in printed
    states = sorted(info.state for info in list_runs(out))
    assert states == ["complete", "partial"]
    [partial] = [info.path for info in list_runs(out) if info.state == "partial"]
    assert sum(1 for _ in read_records(partial / "samples.jsonl")) >= 6, "the old weights' answers stay theirs"
