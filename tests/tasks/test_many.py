"""Several checkpoints of one training: which are whole, each asked once, and what becomes of those that are not."""

from __future__ import annotations

import json
import os
import shutil
import signal
import struct
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harness.errors import ConfigError, ExitCode, IncompleteError
from harness.models.interruption import Interruption
from harness.runs.journal import StoreError
from satori_bench.verbs.watch import Session
from tasks.checkpoint_folders import checkpoints_in, models_of, stamp_of, why_unfinished
from tasks.many import Outcome, ask_checkpoint, exit_code_of
from tasks.run_spec import RunEnvironment, RunSpec, check_spec
from tasks.watch import Clock, Until, candidates, watch_folder

OLD_S = 1_000_000.0
"""When files were last written, in seconds since 1970."""
LATER_S = OLD_S + 3600


def weights(tensors: int = 1) -> bytes:
    """The bytes of a safetensors file of so many numbers."""
    header = {f"w{n}": {"dtype": "F32", "shape": [1], "data_offsets": [4 * n, 4 * n + 4]} for n in range(tensors)}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(4 * tensors)


def write(folder: Path, *, when_s: float = OLD_S, **files: bytes | None) -> Path:
    """Write a checkpoint as the Trainer leaves it, but for the files that are given; None leaves one out."""
    folder.mkdir(parents=True, exist_ok=True)
    whole = {"config.json": b"{}", "model.safetensors": weights(), "trainer_state.json": b'{"global_step": 1}'}
    for name, content in (whole | {name.replace("__", "."): content for name, content in files.items()}).items():
        if content is not None:
            (folder / name).write_bytes(content)
            os.utime(folder / name, (when_s, when_s))
    os.utime(folder, (when_s, when_s))
    return folder


INDEX = json.dumps({"weight_map": {"w0": "a.safetensors", "w1": "b.safetensors"}}).encode()
CASES = {
    "as the Trainer leaves it": ({}, LATER_S, None),
    "just written, its last file too": ({}, OLD_S + 1, None),
    "the last file is not there": ({"trainer_state__json": None}, OLD_S + 1, "which is written last"),
    "the last file is cut off": ({"trainer_state__json": b'{"glob'}, OLD_S + 1, "which is written last"),
    "the last file is empty": ({"trainer_state__json": b""}, OLD_S + 1, "which is written last"),
    "no such file, and quiet": ({"trainer_state__json": None}, LATER_S, None),
    "killed while its weights were written": (
        {"trainer_state__json": None, "model__safetensors": weights()[:-2]}, LATER_S, "it is not whole",
    ),
    "killed before its weights": ({"trainer_state__json": None, "model__safetensors": None}, LATER_S, "no weights"),
    "copied, the last file first": ({"model__safetensors": weights()[:-2]}, OLD_S + 1, "still being written"),
    "copied, without weights yet": ({"model__safetensors": None}, OLD_S + 1, "still being written"),
    "broken and quiet: who reads it says why": ({"model__safetensors": weights()[:-2]}, LATER_S, None),
    "a shard of its index is missing": (
        {"model__safetensors": None, "model__safetensors__index__json": INDEX, "a__safetensors": weights()},
        OLD_S + 1, "b.safetensors",
    ),
    "every shard of its index is there": (
        {
            "model__safetensors": None, "model__safetensors__index__json": INDEX, "a__safetensors": weights(),
            "b__safetensors": weights(2),
        },
        OLD_S + 1, None,
    ),
    "an adapter": (
        {"config__json": None, "adapter_config__json": b"{}", "model__safetensors": None,
         "adapter_model__safetensors": weights()}, OLD_S + 1, None,
    ),
    "an adapter without its weights": (
        {"config__json": None, "adapter_config__json": b"{}", "model__safetensors": None}, OLD_S + 1, "adapter weights",
    ),
}  # fmt: skip
"""Files that differ from a whole checkpoint, the time of the look, and what is said (None: it is whole)."""


@pytest.mark.parametrize(("files", "now_s", "said"), CASES.values(), ids=CASES)
def test_a_checkpoint_is_whole_by_the_rule(tmp_path, files, now_s, said):
    folder = write(tmp_path / "checkpoint-1", **files)

    reason = why_unfinished(folder, now_s)

    assert reason is None if said is None else said in (reason or "")


def test_a_folder_stands_for_its_checkpoints_by_their_numbers(tmp_path):
    for number in (100, 9, 20):
        write(tmp_path / f"checkpoint-{number}")
    write(tmp_path / "checkpoint-30", trainer_state__json=None, model__safetensors=None)
    (tmp_path / "checkpoint-40").write_text("a file")
    for name in ("checkpoint-best", "checkpoint-", "unfinished"):
        write(tmp_path / name)

    found = models_of([str(tmp_path), "owner/name", str(tmp_path / "checkpoint-9")], LATER_S)

    assert [Path(name).name for name in found.names] == ["checkpoint-9", "checkpoint-20", "checkpoint-100", "name"]
    assert len(found.passed_over) == 1
    assert "checkpoint-30 is passed over: " in found.passed_over[0]
    assert checkpoints_in(tmp_path / "nowhere") == []


def test_a_checkpoint_that_holds_others_is_itself_alone(tmp_path):
    write(tmp_path / "out")
    write(tmp_path / "out" / "checkpoint-1")

    assert models_of([str(tmp_path / "out")], LATER_S).names == (str(tmp_path / "out"),)


def test_a_folder_in_which_none_is_whole_is_refused_with_the_reasons(tmp_path):
    write(tmp_path / "checkpoint-1", trainer_state__json=None, when_s=LATER_S)

    with pytest.raises(ConfigError, match=r"holds no whole checkpoint: checkpoint-1: it has no whole trainer_state"):
        models_of([str(tmp_path)], LATER_S)


def test_a_stamp_tells_weights_that_were_written_anew(tmp_path):
    folder = write(tmp_path / "checkpoint-1")
    before = stamp_of(folder)
    (folder / "train.log").write_text("more")
    with_log = stamp_of(folder)
    write(folder, model__safetensors=weights(), when_s=OLD_S + 5)

    assert before == with_log != stamp_of(folder)
    assert stamp_of(tmp_path / "nowhere") == ()


def environment() -> RunEnvironment:
    return RunEnvironment(lambda: datetime.now(UTC), lambda _: None, None, {})


def raising(fault):
    def ask(spec, around):
        raise fault

    return ask


FAULTS = {
    "a configuration": (ConfigError("no template"), "no template", ExitCode.USAGE),
    "an incomplete one": (IncompleteError("was written to"), "was written to", ExitCode.INCOMPLETE),
    "what nobody foresaw": (KeyError("w"), "unexpected KeyError: 'w'", ExitCode.CRASH),
}


@pytest.mark.parametrize(("fault", "said", "code"), FAULTS.values(), ids=FAULTS)
def test_one_that_fails_is_told_and_leaves_the_others(tmp_path, fault, said, code):
    outcome = ask_checkpoint(RunSpec(str(write(tmp_path / "checkpoint-1"))), environment(), raising(fault))

    assert (outcome.fault, outcome.exit_code, outcome.removed) == (said, code, False)


@pytest.mark.parametrize("fault", [StoreError("disk full"), KeyboardInterrupt()])
def test_what_would_stop_all_of_them_ends_the_command(fault):
    with pytest.raises(type(fault)):
        ask_checkpoint(RunSpec("m"), environment(), raising(fault))


def test_one_that_is_removed_while_it_is_read_is_told_as_that(tmp_path):
    folder = write(tmp_path / "checkpoint-1")

    def rotate(spec, around):
        shutil.rmtree(folder)
        raise FileNotFoundError(folder / "model.safetensors")

    assert ask_checkpoint(RunSpec(str(folder)), environment(), rotate).removed


class Ended:
    """A run as far as an exit code asks."""


CODES = [
    ([], 0),
    ([0, 0], 0),
    ([0, 2], 5),
    ([2, 2], 2),
    ([5, 0], 5),
    ([1, 0], 1),
    ([2, 1], 2),
]


@pytest.mark.parametrize(("codes", "expected"), CODES)
def test_the_exit_code_of_several(codes, expected):
    outcomes = [Outcome("m", None if code else Ended(), exit_code=ExitCode(code)) for code in codes]

    assert exit_code_of(outcomes) == expected


class Training:
    """A trainer that writes while the watcher sleeps: the acts of each second, in order."""

    def __init__(self, folder: Path, *acts) -> None:
        self.folder, self.acts = folder, list(acts)
        self.asked: list[str] = []
        self.said: list[str] = []
        self.now_s = OLD_S

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        if self.acts:
            self.acts.pop(0)(self)

    def ask(self, path: Path) -> Outcome:
        self.asked.append(path.name)
        return Outcome(str(path), removed=path.name.endswith("666"))

    def watched(self, until: Until, folder: Path | None = None) -> list[str]:
        clock = Clock(lambda: self.now_s, self.sleep)
        watch_folder(folder or self.folder, self.ask, until, every_s=10, clock=clock, say=self.said.append)
        return self.asked


def writing(number: int, **files):
    return lambda training: write(training.folder / f"checkpoint-{number}", when_s=training.now_s, **files)


def test_checkpoints_are_asked_as_they_become_whole(tmp_path):
    training = Training(
        tmp_path / "out",
        writing(5, trainer_state__json=None, model__safetensors=weights()[:-1]),
        writing(5, trainer_state__json=None),
        writing(5),
        writing(10),
        writing(15, trainer_state__json=None, model__safetensors=None),
    )

    asked = training.watched(Until(idle_s=200))

    assert asked == ["checkpoint-5", "checkpoint-10"]
    told = [line.partition(" is not asked yet")[0] for line in training.said]
    assert told == ["checkpoint-5", "checkpoint-15", "checkpoint-15", "no new checkpoint for 200 s: asked 2"]
    assert "nobody has written to it for a minute, and it is not whole" in training.said[-2]


def test_a_slow_writer_without_the_last_file_is_asked_after_a_quiet_minute(tmp_path):
    slow = writing(1, trainer_state__json=None)
    training = Training(tmp_path, *[slow] * 9)

    training.watched(Until(checkpoints=1))

    assert training.now_s - OLD_S > 9 * 10 + 60


def test_each_is_asked_once_and_again_when_its_weights_changed(tmp_path):
    training = Training(tmp_path, writing(1), lambda _: None, writing(1, model__safetensors=weights(2)))

    assert training.watched(Until(idle_s=50)) == ["checkpoint-1", "checkpoint-1"]


def test_one_that_was_removed_does_not_count(tmp_path):
    training = Training(tmp_path, writing(666), writing(667))

    assert training.watched(Until(checkpoints=1)) == ["checkpoint-666", "checkpoint-667"]


def test_once_asks_what_is_there_in_the_order_of_numbers(tmp_path):
    for number in (30, 4, 200):
        write(tmp_path / f"checkpoint-{number}")

    assert Training(tmp_path).watched(Until(once=True)) == ["checkpoint-4", "checkpoint-30", "checkpoint-200"]


def test_what_our_own_training_leaves_is_found_beside_and_at_its_end(tmp_path):
    write(tmp_path / "out.partial" / "checkpoint-1")
    beside = candidates(tmp_path / "out")
    write(tmp_path / "out")
    without = candidates(tmp_path / "out")
    write(tmp_path / "out", trainer_state__json=None, train_manifest__json=b'{"status": "complete"}', when_s=LATER_S)
    (tmp_path / "out" / "trainer_state.json").unlink()

    assert [path.name for path in beside] == [path.name for path in without] == ["checkpoint-1"]
    assert [path.name for path in candidates(tmp_path / "out")] == ["checkpoint-1", "out"]
    assert why_unfinished(tmp_path / "out", LATER_S + 1) is None, "it appears by one rename"


@pytest.mark.parametrize("called", [".", "../out", "deeper/..", "./"])
def test_the_folder_in_which_one_stands_is_watched_as_by_its_name(called, tmp_path, monkeypatch):
    write(tmp_path / "out" / "checkpoint-2")
    write(tmp_path / "out.partial" / "checkpoint-3")
    (tmp_path / "out" / "deeper").mkdir()
    monkeypatch.chdir(tmp_path / "out")

    assert [path.name for path in candidates(Path(called))] == ["checkpoint-2", "checkpoint-3"]


def test_the_root_of_all_folders_has_none_beside_it():
    assert not [path for path in candidates(Path("/")) if path.parent != Path("/")]


def test_a_draw_needs_a_limit():
    with pytest.raises(ConfigError, match="--limit-seed draws the samples of --limit"):
        check_spec(RunSpec("m", limit_seed=3))


def test_a_service_is_ended_as_by_control_c():
    with Interruption(signal.SIGTERM) as interruption:
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        assert interruption.requested

    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_training_that_leaves_no_checkpoint_is_no_pass(command):
    code, out, err = command("watch", "nowhere", "--tasks", "shapes", "--dataset", "shapes=tiny", "--idle", "0")

    assert (code, out) == (5, "")
    assert "no new checkpoint for 0 s: asked 0" in err
    assert "error: no whole checkpoint was found in nowhere: nothing was asked" in err


WATCHED = [
    ([], 5, 5),
    ([0, 0], 0, 0),
    ([3, 0], 0, 3),
    ([0, 3], 3, 3),
    ([4, 3, 0], 0, 3),
    ([3, 4], 4, 3),
    ([5, 0], 5, 5),
    ([0, 5], 5, 5),
    ([5, 3], 3, 3),
    ([2, 2], 2, 2),
    ([2, 0], 5, 5),
]
"""Codes of checkpoints in their order, and the exit code of the last one and of any."""


@pytest.mark.parametrize(("codes", "last", "worst"), WATCHED)
def test_the_exit_code_of_a_watched_training(codes, last, worst):
    session = Session(seed=0, as_json=False, codes=[ExitCode(code) for code in codes])

    assert session.exit_code(any_counts=False) == last
    assert session.exit_code(any_counts=True) == worst
