"""Checkpoints as people have them: names, templates, formats and adapters that do not fit the newest libraries."""

import json
import shutil
import signal
from pathlib import Path

import pytest

from harness.models.checkpoint import inspect_checkpoint
from harness.models.checkpoint_files import CheckpointError

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


RUN = ("--tasks", "shapes", "--dataset", "shapes=tiny", "--limit", "4", "--device", "cpu", "--max-new-tokens", "6")


def test_a_refused_checkpoint_leaves_no_run_behind(command, copy, tmp_path):
    from safetensors.torch import load_file, save_file

    weights = {name: value * float("nan") for name, value in load_file(copy / "model.safetensors").items()}
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})

    code, out, err = command("run", "--model", copy, *RUN)

    assert (code, out) == (2, "")
    assert "holds no working model" in err
    assert "this is a bug" not in err
    assert not (tmp_path / "runs").exists()


def test_a_run_of_empty_texts_says_so_on_terminal_manifest_and_page(command, copy, tmp_path):
    vocabulary = json.loads((copy / "config.json").read_text())["text_config"]["vocab_size"]
    change(copy, merge={"generation_config.json": {"eos_token_id": list(range(vocabulary))}})

    code, _, err = command("run", "--model", copy, *RUN)

    said = "texts are empty: nothing that can be read was written"
    (folder,) = (tmp_path / "runs").iterdir()
    assert code == 0
    assert said in err
    assert any(said in warning for warning in json.loads((folder / "manifest.json").read_text())["warnings"])
    assert said in (folder / "index.html").read_text()
    assert json.loads((folder / "scores.json").read_text())["texts"]["empty"] == 8


@pytest.mark.parametrize(
    "loop",
    [
        "{% for i in range(2000) %}{% for j in range(1000) %}{% endfor %}{% endfor %}",
        "{% for i in range(99000) if i < 0 %}{% endfor %}" * 9,  # where Jinja2 itself fails on the alarm
        "{% macro spin() %}{% for i in range(9000) %}{% endfor %}{% endmacro %}" + "{{ spin() }}" * 900,
    ],
    ids=["in a loop", "one after the other", "in a macro"],
)
def test_a_template_that_takes_too_long_is_refused_in_time(copy, monkeypatch, loop):
    monkeypatch.setattr("harness.models.chat_template._LIMIT_S", 0.01)
    template = copy / "chat_template.jinja"
    template.write_text(loop + template.read_text())
    before, (timer_s, _) = signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)

    with pytest.raises(CheckpointError, match=r"does not come to an end: not done after 0\.01 s"):
        inspect_checkpoint(str(copy))

    assert signal.getsignal(signal.SIGALRM) is before
    assert (signal.getitimer(signal.ITIMER_REAL)[0] > 0) == (timer_s > 0)


@pytest.mark.parametrize("options", [{"eos_token": None, "pad_token": None}, {"pad_token": None}])
def test_a_tokenizer_without_end_or_padding_answers(copy, tiny_answers, options):
    change(copy, merge={"tokenizer_config.json": options})

    assert len(tiny_answers(copy)) == 2


def test_a_server_may_load_what_nothing_here_can(copy):
    change(
        copy,
        delete=["chat_template.jinja"],
        merge={"config.json": {"quantization_config": {"quant_method": "awq"}, "auto_map": {"AutoConfig": "x.X"}}},
    )

    assert inspect_checkpoint(str(copy), served=True).pixel_limits is not None
