import json
import shutil
import struct
import subprocess
import sys

import pytest

from harness.errors import ExitCode, UserError
from harness.models.checkpoint import hash_checkpoint, inspect_checkpoint
from harness.models.checkpoint_files import CheckpointError
from harness.scoring.box_dialects import optional_words
from harness.values import PixelLimits


@pytest.fixture
def copy(tmp_path, tiny_qwen2_5_vl):
    """A copy of the tiny Qwen2.5-VL to damage."""
    return shutil.copytree(tiny_qwen2_5_vl, tmp_path / "ckpt")


@pytest.fixture
def sharded(copy):
    """The same weights in two shards."""
    from safetensors.torch import load_file, save_file

    weights = load_file(copy / "model.safetensors")
    names = sorted(weights)
    halves = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for shard, part in halves.items():
        save_file({name: weights[name] for name in part}, copy / shard, metadata={"format": "pt"})
    mapping = {name: shard for shard, part in halves.items() for name in part}
    (copy / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": mapping}))
    (copy / "model.safetensors").unlink()
    return copy


def edit(file, **fields):
    file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))


def refused(path, match):
    with pytest.raises(CheckpointError, match=match) as caught:
        inspect_checkpoint(str(path))
    return str(caught.value)


@pytest.mark.parametrize(
    ("family", "model_type", "dialect", "processor", "limits"),
    [
        ("tiny_qwen2_5_vl", "qwen2_5_vl", "list:xyxy:input_px", "Qwen2VLImageProcessor", PixelLimits(784, 401_408, 28)),
        ("tiny_qwen2_vl", "qwen2_vl", "corners:xyxy:1000", "Qwen2VLImageProcessor", PixelLimits(784, 100_352, 28)),
        ("tiny_qwen3_vl", "qwen3_vl", "list:xyxy:1000", "Qwen2VLImageProcessor", PixelLimits(1024, 131_072, 32)),
        ("tiny_llava", "llava", None, "CLIPImageProcessor", None),
    ],
)
def test_each_family_is_recognised(request, family, model_type, dialect, processor, limits):
    found = inspect_checkpoint(str(request.getfixturevalue(family)))

    assert (model_type, dialect, limits) == (found.model_type, optional_words(found.box_dialect), found.pixel_limits)
    assert found.image_processor.startswith(processor)
    assert found.dtype == "float32"
    assert not found.is_adapter


def test_the_reasons_say_what_was_decided_and_why(tiny_qwen2_5_vl, tiny_llava):
    known = " / ".join(inspect_checkpoint(str(tiny_qwen2_5_vl)).reasons)
    unknown = " / ".join(inspect_checkpoint(str(tiny_llava)).reasons)

    assert "boxes are read as list:xyxy:input_px, as qwen2_5_vl writes them" in known
    assert "784 to 401408 pixels, sides in multiples of 28" in known
    assert "boxes stay unscored until --box-dialect is given" in unknown
    assert "handed over as they are" in unknown


def test_an_adapter_leads_to_its_base(tiny_adapter, tiny_qwen2_5_vl):
    found = inspect_checkpoint(str(tiny_adapter))

    assert found.is_adapter
    assert (found.path, found.base) == (tiny_adapter, tiny_qwen2_5_vl)
    assert found.processor.image_folder == found.processor.tokenizer_folder == tiny_qwen2_5_vl
    assert found.model_type == "qwen2_5_vl"
    assert any("LoRA adapter" in reason for reason in found.reasons)


def test_an_adapter_that_brings_its_processor_keeps_it(tmp_path, tiny_adapter, tiny_qwen2_5_vl):
    folder = shutil.copytree(tiny_adapter, tmp_path / "adapter")
    for name in ("processor_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(tiny_qwen2_5_vl / name, folder)

    parts = inspect_checkpoint(str(folder)).processor
    assert parts.image_folder == parts.tokenizer_folder == parts.template.file.parent == folder


@pytest.mark.parametrize(
    "fault", ["no configuration", "quantised", "template", "own code", "pickled", "long tokenizer"]
)
def test_a_fault_is_found_without_torch(copy, fault):
    if fault == "no config":
        (copy / "config.json").unlink()
    elif fault == "quantised":
        edit(copy / "config.json", quantization_config={"quant_method": "awq"})
    elif fault == "template":
        (copy / "chat_template.jinja").write_text("{{ messages[0].content[1].text }}")
    elif fault == "own code":
        edit(copy / "config.json", auto_map={"AutoConfig": "configuration_x.X"})
    elif fault == "pickled":
        (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    else:
        with_token(copy, 5000)
    code = (
        "import sys; from harness.models.checkpoint import inspect_checkpoint\n"
        "from harness.models.checkpoint_files import CheckpointError\n"
        "try: inspect_checkpoint(sys.argv[1])\n"
        "except CheckpointError: print('torch' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code, str(copy)], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"


def with_token(copy, number):
    """Add one token of this id to a checkpoint's tokenizer."""
    tokenizer = json.loads((copy / "tokenizer.json").read_text())
    tokenizer["added_tokens"].append({**tokenizer["added_tokens"][0], "id": number, "content": "<new>"})
    (copy / "tokenizer.json").write_text(json.dumps(tokenizer))
    return json.loads((copy / "config.json").read_text())["text_config"]["vocab_size"]


def test_a_tokenizer_longer_than_its_model_is_refused_with_both_sizes(copy):
    rows = with_token(copy, 5000)

    refused(copy, f"tokenizer has 5001 tokens and its model {rows} rows of embeddings.*1 tokens, such as '<new>'")


def test_an_end_token_without_a_row_is_refused(copy):
    with_token(copy, 5000)
    edit(copy / "config.json", eos_token_id=5000)

    refused(copy, "tokenizer has 5001 tokens")


def test_a_placeholder_needs_no_row(copy):
    with_token(copy, 5000)
    edit(copy / "config.json", audio_token_id=5000)

    assert inspect_checkpoint(str(copy)).model_type == "qwen2_5_vl"


def test_rows_above_the_tokenizer_are_padding(copy):
    tokenizer = json.loads((copy / "tokenizer.json").read_text())
    tokenizer["added_tokens"] = tokenizer["added_tokens"][:3]
    tokenizer["model"]["vocab"] = {token: n for token, n in tokenizer["model"]["vocab"].items() if n < 100}
    (copy / "tokenizer.json").write_text(json.dumps(tokenizer))

    assert inspect_checkpoint(str(copy)).resize_embeddings_to is None


# Damage.


def test_a_missing_folder_is_refused(tmp_path):
    refused(tmp_path / "nowhere", "no folder .*nowhere")


def test_an_empty_folder_is_refused(tmp_path):
    refused(tmp_path, "is empty")


def test_a_file_is_refused(tmp_path):
    (tmp_path / "model.safetensors").touch()

    refused(tmp_path / "model.safetensors", "is a file: give the folder")


def test_a_training_folder_names_the_checkpoints_in_it(tmp_path):
    for step in (500, 1000):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}" / "config.json").write_text("{}")

    refused(tmp_path, "no config.json.*checkpoint-500, checkpoint-1000")


def test_deepspeed_shards_name_the_tool_that_merges_them(tmp_path):
    (tmp_path / "global_step100").mkdir()

    refused(tmp_path, "zero_to_fp32")


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "\xff", "[" * 100_000])
def test_a_damaged_configuration_is_refused(copy, content):
    (copy / "config.json").write_text(content, encoding="latin-1")

    refused(copy, r"config.json (is not JSON|holds no JSON object).*download or save it again")


def test_a_text_only_model_is_refused(tiny_text_only):
    refused(tiny_text_only, "'llama' cannot be asked about images: it is text-only")


def test_a_model_of_an_unknown_type_is_refused(copy):
    edit(copy / "config.json", model_type="internvl_chat")

    refused(copy, "needs code of its own.*'internvl'.*-HF")


def test_a_configuration_without_a_type_is_refused(copy):
    (copy / "config.json").write_text("{}")

    refused(copy, "names no model_type")


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("processor_config.json", "neither preprocessor_config.json nor an image processor"),
        ("tokenizer.json", "no tokenizer"),
        ("chat_template.jinja", "no chat template"),
        ("model.safetensors", "no weights"),
    ],
)
def test_each_missing_file_is_named(copy, file, said):
    (copy / file).unlink()

    refused(copy, said)


def test_all_faults_are_reported_together(copy):
    for file in ("tokenizer.json", "chat_template.jinja", "processor_config.json", "model.safetensors"):
        (copy / file).unlink()

    message = refused(copy, "cannot be evaluated")

    assert all(said in message for said in ("no tokenizer", "no chat template", "preprocessor_config", "no weights"))
    assert "copy these files from the base model" in message


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda content: b"", "0 bytes. is damaged or still being written: .*header too small"),
        (lambda content: content[:7], "7 bytes. is damaged or still being written: .*header too small"),
        (lambda content: content[:100], "100 bytes. is damaged"),
        (lambda content: content[:-1], "is damaged or still being written: .*not fully covered"),
        (lambda content: content + b"\0", "is damaged or still being written: .*not fully covered"),
        (lambda content: content[:8] + b"X" * (len(content) - 8), "is damaged or still being written: .*invalid JSON"),
        (lambda content: struct.pack("<Q", 2**63) + content[8:], "is damaged"),
        (lambda content: b"<!DOCTYPE html>" * 20, "is damaged"),
    ],
)
def test_corrupt_safetensors_are_refused(copy, damage, said):
    file = copy / "model.safetensors"
    file.write_bytes(damage(file.read_bytes()))

    message = refused(copy, said)

    assert "model.safetensors" in message
    assert "Download or save it again" in message


def test_whole_shards_are_accepted(sharded):
    assert inspect_checkpoint(str(sharded)).model_type == "qwen2_5_vl"


def test_a_missing_shard_is_named(sharded):
    (sharded / "model-00002-of-00002.safetensors").unlink()

    refused(sharded, "model-00002-of-00002.safetensors, named by model.safetensors.index.json, missing")


def test_a_corrupt_shard_is_named(sharded):
    shard = sharded / "model-00002-of-00002.safetensors"
    shard.write_bytes(shard.read_bytes()[:-10])

    refused(sharded, "model-00002-of-00002.safetensors .* is damaged")


def test_a_shard_without_its_tensors_is_named(sharded):
    shutil.copy(sharded / "model-00001-of-00002.safetensors", sharded / "model-00002-of-00002.safetensors")

    refused(sharded, "model-00002-of-00002.safetensors lacks")


@pytest.mark.parametrize("shard", ["../outside.safetensors", "/etc/passwd", 5])
def test_an_index_that_leads_out_of_the_folder_is_refused(sharded, shard):
    edit(sharded / "model.safetensors.index.json", weight_map={"a": shard})

    refused(sharded, "is not a shard's file name")


def test_an_empty_index_is_refused(sharded):
    edit(sharded / "model.safetensors.index.json", weight_map={})

    refused(sharded, "names no shard")


def test_an_adapter_without_a_named_base_is_refused(tmp_path, tiny_adapter):
    folder = shutil.copytree(tiny_adapter, tmp_path / "adapter")
    edit(folder / "adapter_config.json", base_model_name_or_path=None)

    refused(folder, "names no base model")


def test_an_adapter_whose_base_is_gone_is_refused(tmp_path, tiny_adapter):
    folder = shutil.copytree(tiny_adapter, tmp_path / "adapter")
    edit(folder / "adapter_config.json", base_model_name_or_path=str(tmp_path / "gone"))

    refused(folder, "is an adapter, and its base model is not to be had.*Set base_model_name_or_path")


@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_an_adapter_without_whole_weights_is_refused(tmp_path, tiny_adapter, damage):
    folder = shutil.copytree(tiny_adapter, tmp_path / "adapter")
    weights = folder / "adapter_model.safetensors"
    if damage == "missing":
        weights.unlink()
    else:
        weights.write_bytes(weights.read_bytes()[:-4])

    refused(folder, "adapter_model.safetensors")


def test_a_hub_that_cannot_be_reached_says_how_to_pass_a_folder(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)

    refused("satori-bench-tests/no-such-model", "no local folder.*--model ./satori-bench-tests/no-such-model")


def test_a_folder_wins_over_a_hub_id_of_its_name(monkeypatch, copy):
    monkeypatch.chdir(copy.parent.parent)

    assert inspect_checkpoint(f"{copy.parent.name}/ckpt").model_type == "qwen2_5_vl"


def test_refusals_are_errors_of_usage():
    assert issubclass(CheckpointError, UserError)
    assert issubclass(CheckpointError, ValueError)
    assert CheckpointError.exit_code is ExitCode.USAGE


# Pixel limits.


def limits_of(copy, **image_processor):
    config = {"image_processor_type": "Qwen2VLImageProcessor", **image_processor}
    edit(copy / "processor_config.json", image_processor=config)
    return inspect_checkpoint(str(copy)).pixel_limits


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({}, PixelLimits(3136, 1_003_520, 28)),
        ({"min_pixels": 784, "max_pixels": 1568}, PixelLimits(784, 1568, 28)),
        ({"size": {"shortest_edge": 784, "longest_edge": 1568}}, PixelLimits(784, 1568, 28)),
        (
            {"size": {"shortest_edge": 1, "longest_edge": 2}, "min_pixels": 784, "max_pixels": 1568},
            PixelLimits(784, 1568),
        ),
        ({"size": {"min_pixels": 784, "max_pixels": 1568}}, PixelLimits(784, 1568)),
        ({"min_pixels": None, "max_pixels": None, "size": None}, PixelLimits(3136, 1_003_520, 28)),
        ({"patch_size": 16, "merge_size": 2}, PixelLimits(3136, 1_003_520, 32)),
        ({"image_processor_type": "Qwen2VLImageProcessorFast", "min_pixels": 784}, PixelLimits(784, 1_003_520)),
        ({"image_processor_type": "Glm4vImageProcessor", "min_pixels": 784}, None),
    ],
)
def test_pixel_limits_are_read_as_transformers_reads_them(copy, written, expected):
    assert limits_of(copy, **written) == expected


@pytest.mark.parametrize("written", [{"min_pixels": "many"}, {"max_pixels": -1}, {"patch_size": True}])
def test_pixel_limits_that_are_no_numbers_are_refused(copy, written):
    with pytest.raises(CheckpointError, match="set it to a whole number"):
        limits_of(copy, **written)


def test_contradicting_pixel_limits_are_refused(copy):
    with pytest.raises(CheckpointError, match="min_pixels 5000 is above"):
        limits_of(copy, min_pixels=5000, max_pixels=4000)


# Hashes.


def test_a_copy_has_the_hashes_of_the_original(copy, tiny_qwen2_5_vl):
    original, copied = (hash_checkpoint(inspect_checkpoint(str(path))) for path in (tiny_qwen2_5_vl, copy))

    assert original == copied
    assert len(original.weights_hash) == len(original.config_hash) == 64


def test_retrained_weights_in_the_same_path_have_another_hash(copy):
    before = hash_checkpoint(inspect_checkpoint(str(copy)))
    content = bytearray((copy / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (copy / "model.safetensors").write_bytes(content)

    after = hash_checkpoint(inspect_checkpoint(str(copy)))

    assert before.weights_hash != after.weights_hash
    assert before.config_hash == after.config_hash


@pytest.mark.parametrize(
    "file", ["chat_template.jinja", "generation_config.json", "processor_config.json", "tokenizer.json"]
)
def test_what_changes_answers_changes_the_configuration_hash(copy, file):
    before = hash_checkpoint(inspect_checkpoint(str(copy)))
    (copy / file).write_text((copy / file).read_text() + "\n")

    after = hash_checkpoint(inspect_checkpoint(str(copy)))

    assert before.config_hash != after.config_hash
    assert before.weights_hash == after.weights_hash


def test_what_training_leaves_beside_the_weights_changes_no_hash(copy):
    before = hash_checkpoint(inspect_checkpoint(str(copy)))
    for file in ("optimizer.pt", "training_args.bin", "trainer_state.json", "README.md"):
        (copy / file).write_text("x")

    assert hash_checkpoint(inspect_checkpoint(str(copy))) == before


def test_swapped_shards_have_another_hash(sharded):
    before = hash_checkpoint(inspect_checkpoint(str(sharded))).weights_hash
    first, second = (sharded / f"model-0000{n}-of-00002.safetensors" for n in (1, 2))
    index = json.loads((sharded / "model.safetensors.index.json").read_text())
    swap = {first.name: second.name, second.name: first.name}
    edit(sharded / "model.safetensors.index.json", weight_map={k: swap[v] for k, v in index["weight_map"].items()})
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)

    assert hash_checkpoint(inspect_checkpoint(str(sharded))).weights_hash != before


@pytest.fixture
def hub_cache(monkeypatch, tmp_path, tiny_qwen2_5_vl):
    """A cache of the hub with two revisions of one model: `main`, and `stage-2`, which has other weights."""
    repository = tmp_path / "hub" / "models--someone--base"
    (repository / "refs").mkdir(parents=True)
    for commit, ref in (("1" * 40, "main"), ("2" * 40, "stage-2")):
        (repository / "refs" / ref).write_text(commit)
        shutil.copytree(tiny_qwen2_5_vl, repository / "snapshots" / commit)
    weights = repository / "snapshots" / ("2" * 40) / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return repository / "snapshots"


@pytest.mark.parametrize(
    ("revision", "commit"),
    [("stage-2", "2"), ("2" * 40, "2"), ("main", "1"), (None, "1"), ("", "1")],
)
def test_an_adapter_stands_on_the_revision_of_its_base_that_it_names(
    hub_cache, tiny_adapter, tmp_path, revision, commit
):
    folder = shutil.copytree(tiny_adapter, tmp_path / "adapter")
    edit(folder / "adapter_config.json", base_model_name_or_path="someone/base", revision=revision)

    checkpoint = inspect_checkpoint(str(folder))

    assert checkpoint.base == hub_cache / (commit * 40)


def test_a_revision_of_the_base_that_is_not_there_is_refused(hub_cache, tiny_adapter, tmp_path):
    folder = shutil.copytree(tiny_adapter, tmp_path / "adapter")
    edit(folder / "adapter_config.json", base_model_name_or_path="someone/base", revision="stage-3")

    with pytest.raises(CheckpointError, match="its base model is not to be had"):
        inspect_checkpoint(str(folder))


def test_an_adapter_has_hashes_of_its_own_and_of_its_base(tiny_adapter, tiny_qwen2_5_vl, tmp_path):
    adapter = hash_checkpoint(inspect_checkpoint(str(tiny_adapter)))
    base = hash_checkpoint(inspect_checkpoint(str(tiny_qwen2_5_vl)))
    other_base = shutil.copytree(tiny_qwen2_5_vl, tmp_path / "base")
    content = bytearray((other_base / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (other_base / "model.safetensors").write_bytes(content)
    moved = shutil.copytree(tiny_adapter, tmp_path / "adapter")
    edit(moved / "adapter_config.json", base_model_name_or_path=str(other_base))

    on_other_base = hash_checkpoint(inspect_checkpoint(str(moved)))

    assert len({adapter.weights_hash, base.weights_hash, on_other_base.weights_hash}) == 3
