"""Say what a training run is: the manifest beside its checkpoint, and the hash that tells whether it must run again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from harness.errors import ConfigError
from harness.runs.manifest import canonical_json
from harness.runs.store import write_atomically
from harness.scoring.score import SCORER_VERSION
from training.stages.settings import GrpoSettings, Stage, TrainSettings

MANIFEST_NAME = "train_manifest.json"
"""File in the checkpoint folder."""
SCHEMA = 1
"""Raised when an older satori-bench could not read the manifest rightly any more."""

_NOT_INPUT = ("model", "data", "output", "tracker", "checkpoints", "evaluation")
"""Settings that change no weight: where things lie (their content is hashed instead), what is logged, kept and
asked meanwhile."""


@dataclass(frozen=True, slots=True)
class TrainManifest:
    """Everything that tells one training run from another."""

    stage: Stage
    """Which trainer."""
    settings: Mapping[str, Any]
    """All settings, as JSON."""
    base_weights_hash: str
    """Weights that training started from (adapter included)."""
    base_config_hash: str
    """Configuration, processor, tokenizer and chat template that it started from."""
    data_hash: str
    """Content of the training data."""
    data_rows: int
    """Examples in it."""
    input_hash: str
    """Everything that decides the weights; equal inputs are not trained twice."""
    packages: Mapping[str, str]
    """Package versions."""
    git_commit: str | None
    """Commit of the code that trained; None when not known."""
    status: str = "running"
    """`running` until the checkpoint is published, then `complete`."""
    steps: int = 0
    """Optimiser steps done."""
    started_utc: str = ""
    """When training began."""
    finished_utc: str | None = None
    """When the checkpoint was published; None before."""
    train_s: float = 0.0
    """Seconds in the trainer, in the process that finished."""

    def to_json(self) -> dict[str, Any]:
        """Return the object of the file."""
        return {"schema": SCHEMA, **asdict(self)}


def input_hash(settings: TrainSettings, base: tuple[str, str], data_hash: str) -> str:
    """Return the hex sha256 over what decides the weights: settings, base weights, configuration, data, scoring rules.

    Paths are left out, since content is hashed; package versions too, so that an update does not retrain everything:
    they stand in the manifest.
    """
    chosen = {name: value for name, value in settings_json(settings).items() if name not in _NOT_INPUT}
    if chosen.get("tools") is None:  # as in runs of before there were any
        chosen = {name: value for name, value in chosen.items() if name not in ("tools", "tool_turns")}
    if isinstance(settings, GrpoSettings) and "stages" not in settings.rewards.names:  # as before stages had a price
        chosen["rewards"] = {name: value for name, value in chosen["rewards"].items() if name != "stage_costs"}
    parts = {
        "stage": settings.stage,
        "settings": chosen,
        "base": list(base),
        "data": data_hash,
        "scorer": SCORER_VERSION,
    }
    return hashlib.sha256(canonical_json(cast("Any", parts))).hexdigest()


def settings_json(settings: TrainSettings) -> dict[str, Any]:
    """Return settings as JSON values."""
    return json.loads(json.dumps(asdict(settings), default=str))


def write_manifest(folder: Path, manifest: TrainManifest) -> None:
    """Write the manifest into a folder, whole or not at all."""
    text = json.dumps(manifest.to_json(), indent=2, ensure_ascii=True, allow_nan=False) + "\n"
    write_atomically(folder / MANIFEST_NAME, text.encode("ascii"))


def read_train_manifest(folder: Path) -> TrainManifest | None:
    """Read a folder's manifest; None where there is none.

    Raises:
        ConfigError: It is damaged, or of another version.
    """
    path = folder / MANIFEST_NAME
    if not path.is_file():
        return None
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        if fields.pop("schema") != SCHEMA:
            raise ConfigError(f"{path} was written by another version of satori-bench; train again")
        return TrainManifest(**fields)
    except (KeyError, TypeError, ValueError) as fault:
        if isinstance(fault, ConfigError):
            raise
        raise ConfigError(f"{path} is damaged: {fault}. Delete {folder} and train again") from fault
