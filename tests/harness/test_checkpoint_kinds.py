"""Checkpoints as people have them: names, templates, formats and adapters that do not fit the newest libraries."""

import json
import shutil
from pathlib import Path

import pytest

from harness.checkpoint import inspect_checkpoint
from harness.checkpoint_files import CheckpointError

CASES = json.loads((Path(__file__).parents[1] / "cases" / "checkpoints.json").read_text(encoding="utf-8"))
ABSENT = "__absent__"


def merged(old: dict, new: dict) -> dict:
    """Lay one JSON object over another, level by level."""
    found = dict(old)
    for key, value in new.items():
        if value == ABSENT:
            found.pop(key, None)
        elif isinstance(value, dict) and isinstance(found.get(key), dict):
            found[key] = merged(found[key], value)
        else:
            found[key] = value
    return found


def change(folder: Path, *, delete=(), merge=None, write=None, write_bytes=None) -> Path:
    """Change files of a checkpoint."""
    for name in delete:
        (folder / name).unlink()
    for name, fields in (merge or {}).items():
        file = folder / name
        file.write_text(json.dumps(merged(json.loads(file.read_text()) if file.exists() else {}, fields)))
    for name, content in {**(write or {}), **(write_bytes or {})}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content.encode() if name in (write or {}) else bytes.fromhex(content))
    return folder


def changes_of(case: dict) -> dict:
    return {key: value for key, value in case.items() if key not in ("case", "said")}


@pytest.fixture
def copy(tmp_path, tiny_qwen2_5_vl):
    return shutil.copytree(tiny_qwen2_5_vl, tmp_path / "ckpt")


@pytest.mark.parametrize("case", [case for case in CASES if case["said"]], ids=lambda case: case["case"])
def test_what_cannot_be_loaded_is_refused_before_its_weights(copy, case):
    change(copy, **changes_of(case))

    with pytest.raises(CheckpointError, match=case["said"]):
        inspect_checkpoint(str(copy))


@pytest.mark.parametrize("case", [case for case in CASES if not case["said"]], ids=lambda case: case["case"])
def test_what_can_be_loaded_answers_like_the_checkpoint_of_today(copy, case, tiny_answers):
    change(copy, **changes_of(case))

    assert tiny_answers(copy) == tiny_answers.of_today
