"""Find the checkpoints that a training leaves in a folder, and tell a whole one from one that is still being written.

transformers' Trainer writes `checkpoint-N` file by file: weights, processor, optimiser, and `trainer_state.json` last
(`Trainer._save_checkpoint` of 5.24), and removes old ones (`save_total_limit`) in any order of their files. So one is
whole when

- its `trainer_state.json` is there and is JSON (or our own `train` published it, by one rename), and its weights are as
  long as their headers say, every shard that an index names among them; or
- it has none (another trainer wrote it, or somebody removed it), the weights are whole all the same, and nothing in it
  has changed for a minute.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from harness.errors import ConfigError
from harness.models.checkpoint_files import CheckpointError, adapter_faults, weight_faults

QUIET_S = 60.0
"""A checkpoint without `trainer_state.json` in which nothing has changed for so long is no longer being written."""
_STATE_NAME = "trainer_state.json"
_TRAIN_MANIFEST = "train_manifest.json"
_ADAPTER_NAME = "adapter_config.json"
_NUMBERED = re.compile(r"checkpoint-([0-9]{1,18})")

FolderStamp: TypeAlias = tuple[tuple[str, int, int, int], ...]
"""Name, inode, bytes and nanosecond of the last change of each file that a model is made of: equal while nobody writes
any."""

_MODEL_SUFFIXES = frozenset({".safetensors", ".bin", ".json", ".jinja", ".model", ".txt", ".py"})
"""Of files that enter a model; a training may write its log beside them at any time."""


@dataclass(frozen=True, slots=True)
class Models:
    """What a person's list of models comes to."""

    names: tuple[str, ...]
    """Folders and hub ids, in the order in which they were given; those of one folder by their numbers."""
    passed_over: tuple[str, ...]
    """Checkpoints that are not whole yet, with the reason, a sentence each."""


def models_of(given: Sequence[str], now_s: float) -> Models:
    """Return the models that names stand for; a folder that is no checkpoint but holds some stands for those.

    Args:
        given: Folders and hub ids.
        now_s: The present time, in seconds since 1970.

    Raises:
        ConfigError: A folder holds checkpoints, and none of them is whole.
    """
    names: list[str] = []
    passed_over: list[str] = []
    for name in given:
        folder = Path(name)
        held = [] if is_checkpoint(folder) else checkpoints_in(folder)
        unfinished = {path: reason for path in held if (reason := why_unfinished(path, now_s)) is not None}
        if held and len(unfinished) == len(held):
            reasons = "; ".join(f"{path.name}: {reason}" for path, reason in unfinished.items())
            raise ConfigError(f"{folder} holds no whole checkpoint: {reasons}")
        passed_over += [f"{path} is passed over: {reason}" for path, reason in unfinished.items()]
        names += [str(path) for path in held if path not in unfinished] or [name]
    return Models(tuple(dict.fromkeys(names)), tuple(passed_over))


def is_checkpoint(folder: Path) -> bool:
    """Whether a folder is itself a checkpoint, of a model or of an adapter, whole or not."""
    return (folder / "config.json").is_file() or (folder / _ADAPTER_NAME).is_file()


def is_numbered(folder: Path) -> bool:
    """Whether a folder is called as the checkpoints of a training are."""
    return _NUMBERED.fullmatch(folder.name) is not None


def checkpoints_in(folder: Path) -> list[Path]:
    """Return the folders `checkpoint-N` right in a folder by their numbers; none where there is no such folder."""
    try:
        found = [(int(name[1]), path) for path in folder.iterdir() if (name := _NUMBERED.fullmatch(path.name))]
    except OSError:
        return []
    return [path for _, path in sorted(found) if path.is_dir()]


def why_unfinished(folder: Path, now_s: float) -> str | None:
    """Return why a checkpoint is not whole, or not yet; None for one that is, by the rule at the head of this file.

    One with `trainer_state.json` whose weights are damaged though nobody has written for a minute is not unfinished:
    who reads it says what is wrong.
    """
    is_quiet = now_s - _changed_s(folder) > QUIET_S
    faults = _weight_faults(folder)
    if not _has_state(folder):
        if not is_quiet:
            return f"it has no whole {_STATE_NAME}, which is written last, and was written to less than a minute ago"
        return f"nobody has written to it for a minute, and it is not whole: {faults[0]}" if faults else None
    return f"it is still being written: {faults[0]}" if faults and not is_quiet else None


def stamp_of(folder: Path) -> FolderStamp:
    """Return what tells a folder's model from what anybody makes of it later; empty where there is no folder."""
    stamps: list[tuple[str, int, int, int]] = []
    try:
        for path in folder.iterdir():
            if path.suffix in _MODEL_SUFFIXES and path.is_file():
                found = path.stat()
                stamps.append((path.name, found.st_ino, found.st_size, found.st_mtime_ns))
    except OSError:  # it is being removed: whatever was read of it is no stamp of a whole one
        return ()
    return tuple(sorted(stamps))


def _changed_s(folder: Path) -> float:
    """Return when anything in a folder last changed, in seconds since 1970."""
    try:
        return max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))
    except OSError:  # somebody is changing it right now
        return float("inf")


def is_published(folder: Path) -> bool:
    """Whether a folder is one that our own `train` put in place whole, by one rename."""
    return _object(folder / _TRAIN_MANIFEST).get("status") == "complete"


def _has_state(folder: Path) -> bool:
    return bool(_object(folder / _STATE_NAME)) or is_published(folder)


def _object(path: Path) -> dict[str, object]:
    """Return a file's JSON object; an empty one where it is none, or not yet."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _weight_faults(folder: Path) -> list[str]:
    try:
        return adapter_faults(folder) if (folder / _ADAPTER_NAME).is_file() else weight_faults(folder)
    except (OSError, CheckpointError) as fault:  # a file that went between two looks, an index that is cut off
        return [str(fault)]
