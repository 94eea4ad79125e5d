"""What a person can give where a checkpoint does not load by itself, and what is said where nothing was given."""

import json
import shutil

import pytest
from safetensors.torch import save_file
from transformers import AutoModelForImageTextToText

from harness.models.checkpoint import hash_checkpoint, inspect_checkpoint, own_limits
from harness.models.checkpoint_files import CheckpointError
from harness.models.hf import SatoriHF
from harness.values import Size

OWN_CODE = """
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration


class TinyConfig(Qwen2_5_VLConfig):
    pass


class TinyModel(Qwen2_5_VLForConditionalGeneration):
    config_class = TinyConfig
"""


@pytest.fixture
def copy(tmp_path, tiny_qwen2_5_vl):
    return shutil.copytree(tiny_qwen2_5_vl, tmp_path / "ckpt")


def merge(file, fields) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


@pytest.fixture
def with_code(copy):
    (copy / "tiny_code.py").write_text(OWN_CODE)
    # its class has no table of names, so its tensors are called as the live ones are
    weights = AutoModelForImageTextToText.from_pretrained(copy).state_dict()
    save_file({name: value.clone() for name, value in weights.items()}, copy / "model.safetensors", {"format": "pt"})
    named = {"AutoConfig": "tiny_code.TinyConfig", "AutoModelForCausalLM": "tiny_code.TinyModel"}
    merge(copy / "config.json", {"auto_map": named})
    return copy


def test_code_that_comes_with_a_checkpoint_is_not_run_unasked(with_code):
    with pytest.raises(CheckpointError, match=r"code of its own.*--backend openai.*--trust-remote-code"):
        inspect_checkpoint(str(with_code))


def test_code_that_a_person_trusts_loads_the_class_that_it_names(with_code, tiny_qwen2_5_vl, monkeypatch, tmp_path):
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    own = SatoriHF(str(with_code), device="cpu", trust_remote_code=True)
    plain = SatoriHF(str(tiny_qwen2_5_vl), device="cpu")

    assert type(own._model).__name__ == "TinyModel"
    assert own.generate_batch([own._inputs.trial])[0].text == plain.generate_batch([plain._inputs.trial])[0].text


def test_another_code_is_another_configuration(with_code):
    before = hash_checkpoint(inspect_checkpoint(str(with_code), trust_remote_code=True))
    (with_code / "tiny_code.py").write_text(OWN_CODE + "\n# changed\n")

    after = hash_checkpoint(inspect_checkpoint(str(with_code), trust_remote_code=True))

    assert before.config_hash != after.config_hash
    assert before.weights_hash == after.weights_hash


@pytest.mark.parametrize("model_type", ["florence2", "kosmos-2", "fuyu", "paligemma", "git", "blip-2"])
def test_a_family_that_never_chatted_is_told_what_to_do(copy, model_type):
    (copy / "chat_template.jinja").unlink()
    merge(copy / "config.json", {"model_type": model_type})

    with pytest.raises(CheckpointError, match=rf"{model_type} was never.*--chat-template FILE.*--backend openai"):
        inspect_checkpoint(str(copy))


def test_a_chat_template_that_is_given_stands_in_place_of_the_checkpoints(copy, tmp_path):
    given = tmp_path / "task.jinja"
    given.write_text("{% for m in messages %}{% for p in m.content %}{{ '<|image_pad|>' if p.type == 'image' else '' }}"
                     "{% endfor %}{% endfor %}detect: {{ messages[-1].content[-1].text }}")  # fmt: skip
    (copy / "chat_template.jinja").unlink()

    model = SatoriHF(str(copy), device="cpu", chat_template=given)

    assert model._inputs.render(model._inputs.trial.turns) == "<|image_pad|>detect: Where is it dark?"
    without = hash_checkpoint(inspect_checkpoint(str(copy), chat_template=given))
    given.write_text(given.read_text() + "!")
    assert without.config_hash != hash_checkpoint(inspect_checkpoint(str(copy), chat_template=given)).config_hash


@pytest.mark.parametrize(("content", "said"), [(None, "is no file"), (" \n", "is empty")])
def test_a_chat_template_that_cannot_be_used_is_named(copy, tmp_path, content, said):
    given = tmp_path / "task.jinja"
    if content is not None:
        given.write_text(content)

    with pytest.raises(CheckpointError, match=f"--chat-template: {given} {said}"):
        inspect_checkpoint(str(copy), chat_template=given)


def test_a_package_of_one_family_is_asked_for_by_its_name(copy, monkeypatch):
    monkeypatch.setattr("harness.models.loadable._is_installed", lambda module: module != "num2words")
    merge(copy / "config.json", {"model_type": "smolvlm"})

    with pytest.raises(CheckpointError, match="smolvlm needs num2words, which is not there: pip install num2words"):
        inspect_checkpoint(str(copy))


def test_a_server_has_its_own_template_and_code(command, copy):
    served = ("--backend", "openai", "--base-url", "http://127.0.0.1:9/v1", "--tasks", "shapes", "--limit", "8")

    code, _, err = command("run", "--model", copy, *served, "--trust-remote-code", "--chat-template", "x.jinja")

    assert code == 2
    assert "--chat-template is for --backend hf" in err
    assert "--trust-remote-code is for --backend hf" in err


def test_an_upper_pixel_limit_holds_for_a_family_with_a_rule_of_its_own(tiny_glm4v):
    free, held = SatoriHF(str(tiny_glm4v), device="cpu"), SatoriHF(str(tiny_glm4v), device="cpu", max_pixels=12_544)

    sizes = [model.generate_batch([model._inputs.trial])[0].input_size for model in (free, held)]

    assert sizes == [Size(140, 140), Size(112, 112)]
    assert own_limits(free.checkpoint, None, 12_544) == {"size": {"longest_edge": 25_088}}
