"""kill -9 at random moments: the resumed run equals the uninterrupted one, record for record."""

from __future__ import annotations

import json
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
from harness.comparison.verify_run import verify_run
from harness.runs.journal import read_records
from harness.runs.store import list_runs, load_run
from harness.values import Record

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).with_name("replay_run.py")
CODE_ROOT = Path(harness.__file__).parents[1]
BATCH = 4
REPLAY_KILLS = 8
COMMAND_KILLS = 2


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(CODE_ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


class Replay:
    """Starts runs of the replaying model through one process that has its imports behind it."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "replay.log"
        self._server = subprocess.Popen(
            [sys.executable, "-P", str(SCRIPT)],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def start(self, checkpoint: Path, data: Path, out: Path, seconds_per_batch: float) -> int:
        """Start a run; return its process's id."""
        line = json.dumps([str(checkpoint), str(data), str(out), seconds_per_batch, str(self._log)])
        self._server.stdin.write(f"{line}\n")
        self._server.stdin.flush()
        return int(self._server.stdout.readline())

    def ended(self) -> int:
        """Wait for the run's end; return its exit code, negative for a signal."""
        return int(self._server.stdout.readline())

    def kill(self, arguments: tuple, more_lines: int, rng: random.Random) -> int:
        """Start a run, kill it some time after its journal has grown by `more_lines`; return the journal's lines."""
        out = arguments[2]
        before = lines_in_journals(out)
        process = self.start(*arguments)
        wait_for_lines(out, before + more_lines)
        time.sleep(rng.random() * 0.05)
        os.kill(process, signal.SIGKILL)
        assert self.ended() == -signal.SIGKILL, f"the run ended before it could be killed: {self.printed()[-2000:]}"
        return lines_in_journals(out)

    def finish(self, *arguments) -> str:
        """Run to the end; return what was printed."""
        self.start(*arguments)
        assert self.ended() == 0, self.printed()[-3000:]
        return self.printed()

    def printed(self) -> str:
        return self._log.read_text(errors="replace")

    def close(self) -> None:
        self._server.stdin.close()
        self._server.wait(timeout=60)


@pytest.fixture(scope="module")
def replay(tmp_path_factory):
    server = Replay(tmp_path_factory.mktemp("replay"))
    yield server
    server.close()


def real_command(checkpoint: Path, data: Path, out: Path) -> list[str]:
    return [
        sys.executable, "-P", "-m", "satori_bench", "run", "--model", str(checkpoint), "--tasks", "shapes,mme",
        "--data-dir", str(data), "--dataset", "shapes=tiny", "--limit", "120", "--max-new-tokens", "12",
        "--batch-size", str(BATCH), "--device", "cpu", "--out", str(out),
    ]  # fmt: skip


def lines_in_journals(out: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in out.glob("*.partial/samples.jsonl"))


def wait_for_lines(out: Path, lines: int) -> None:
    deadline = time.monotonic() + 240
    while lines_in_journals(out) < lines:
        assert time.monotonic() < deadline, "the journal does not grow"
        time.sleep(0.005)


def run_and_kill(command: list[str], out: Path, more_lines: int, rng: random.Random) -> None:
    """Start the command, kill it some time after its journal has grown by `more_lines`."""
    before = lines_in_journals(out)
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    wait_for_lines(out, before + more_lines)
    time.sleep(rng.random() * 0.05)
    process.send_signal(signal.SIGKILL)
    err = process.communicate()[1]
    assert process.returncode == -signal.SIGKILL, f"the run ended before it could be killed: {err[-2000:]!r}"


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


def test_a_replaying_run_killed_eight_times_equals_the_uninterrupted_one(tiny_qwen2_5_vl, local_data, tmp_path, replay):
    rng = random.Random(20)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    replay.finish(tiny_qwen2_5_vl, local_data.parquet, whole, 0.0)
    slow = (tiny_qwen2_5_vl, local_data.parquet, killed, 0.05)
    lines = 0
    for _ in range(REPLAY_KILLS):
        now = replay.kill(slow, rng.randint(1, 9), rng)
        assert now > lines, "a resumed run must not lose what was journalled"
        lines = now

    replay.finish(tiny_qwen2_5_vl, local_data.parquet, killed, 0.0)

    assert records_of(killed) == records_of(whole)
    [run] = list_runs(killed)
    asked = sum(1 for _ in (run.path / "samples.jsonl").open("rb"))
    assert asked <= len(records_of(whole)) + REPLAY_KILLS * BATCH, "at most the batch in flight is asked again"


def test_an_answer_to_no_row_of_the_data_is_not_counted(tiny_qwen2_5_vl, local_data, tmp_path, replay):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    replay.finish(tiny_qwen2_5_vl, local_data.parquet, whole, 0.0)
    replay.kill((tiny_qwen2_5_vl, local_data.parquet, killed, 0.05), 3, random.Random(1))
    [journal] = killed.glob("*.partial/samples.jsonl")
    first = journal.read_bytes().split(b"\n", 1)[0]
    record = json.loads(first)
    stranger = json.dumps({**record, "id": "nobody asked this"}).encode()
    journal.write_bytes(stranger + b"\n" + journal.read_bytes())

    replay.finish(tiny_qwen2_5_vl, local_data.parquet, killed, 0.0)

    assert records_of(killed) == records_of(whole)


def test_the_real_command_killed_twice_equals_the_uninterrupted_one(tiny_qwen2_5_vl, local_data, tmp_path):
    rng = random.Random(21)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    finish(real_command(tiny_qwen2_5_vl, local_data.parquet, whole))
    command = real_command(tiny_qwen2_5_vl, local_data.parquet, killed)
    for _ in range(COMMAND_KILLS):
        run_and_kill(command, killed, rng.randint(8, 30), rng)

    finish(command)

    assert records_of(killed) == records_of(whole)


def test_retrained_weights_in_the_same_path_never_reuse_answers(tiny_qwen2_5_vl, local_data, tmp_path, replay):
    import shutil

    import torch
    from safetensors.torch import load_file, save_file

    checkpoint, out = tmp_path / "checkpoint", tmp_path / "runs"
    shutil.copytree(tiny_qwen2_5_vl, checkpoint)
    replay.kill((checkpoint, local_data.parquet, out, 0.05), 6, random.Random(22))
    [file] = checkpoint.glob("*.safetensors")
    weights = load_file(file)
    name = min(weights)
    weights[name] = weights[name] + torch.ones_like(weights[name])
    save_file(weights, file, metadata={"format": "pt"})

    printed = replay.finish(checkpoint, local_data.parquet, out, 0.0)

    assert "resuming" not in printed
    states = sorted(info.state for info in list_runs(out))
    assert states == ["complete", "partial"]
    [partial] = [info.path for info in list_runs(out) if info.state == "partial"]
    assert sum(1 for _ in read_records(partial / "samples.jsonl")) >= 6, "the old weights' answers stay theirs"
