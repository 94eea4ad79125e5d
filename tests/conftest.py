"""Fixtures that several folders of tests share."""

from __future__ import annotations

import gc
import hashlib
import importlib.util
import json
import os
import shutil
import signal
import sys
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import settings

# A shell starts its background jobs with Ctrl-C ignored, and so all their children; what is tested here is a terminal.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples every time: a red run can be repeated, and a green one stays green. HYPOTHESIS_PROFILE=search looks
# for new ones.
settings.register_profile("steady", derandomize=True, deadline=None)
settings.register_profile("search", max_examples=2000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))

_MEMORY = Path("/dev/shm")
_ROOM_BYTES = 8 * 2**30


def pytest_configure(config: pytest.Config) -> None:
    """Keep what tests write in memory where there is plenty of room: a store waits for its disk most of its time."""
    if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ROOM_BYTES:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))


def pytest_collection_finish() -> None:
    """Keep what collecting made out of the garbage collector's sight: each of its rounds would look at all tests."""
    gc.collect()
    gc.freeze()


def _load(name: str) -> ModuleType:
    """Load a module that lies here by its path, since tests are no package."""
    spec = importlib.util.spec_from_file_location(f"{name}_of_tests", Path(__file__).parent / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def data_builder() -> ModuleType:
    """The module that draws local data."""
    return _load("local_data")


@pytest.fixture(scope="session")
def turned() -> ModuleType:
    """The module that stores a picture turned, in any format."""
    return _load("turned_pictures")


@pytest.fixture(scope="session")
def place_builder() -> ModuleType:
    """The module that draws benchmarks with places."""
    return _load("placed_data")


@pytest.fixture(scope="session")
def document_builder() -> ModuleType:
    """The module that draws benchmarks about charts, signs and documents."""
    return _load("document_data")


@pytest.fixture(scope="session")
def several_builder() -> ModuleType:
    """The module that draws benchmarks whose questions show several pictures."""
    return _load("several_data")


@pytest.fixture(scope="session")
def perception_builder() -> ModuleType:
    """The module that draws benchmarks of what is seen."""
    return _load("perception_data")


@pytest.fixture(scope="session")
def draw_data(data_builder, place_builder, document_builder, several_builder, perception_builder):
    """Draw copies of all benchmarks below a folder; `rows` asks for more of those with places, which have but a few."""

    def draw(root: Path, rows: int | None = None):
        data = data_builder.build_local_data(root)
        place_builder.write_places(data.parquet, data.tsv, rows=rows)
        document_builder.write_documents(data.parquet, data.tsv)
        several_builder.write_several(data.parquet, data.tsv)
        perception_builder.write_perception(data.parquet, data.tsv)
        _load("maths_data").write_maths(data.parquet, data.tsv)
        _load("unlabelled_data").write_unlabelled(data.parquet, data.tsv)
        return data

    return draw


@pytest.fixture(scope="session")
def local_data(draw_data, tmp_path_factory):
    """Drawn copies of all benchmarks: `.parquet` and `.tsv` are folders for `--data-dir`."""
    return draw_data(tmp_path_factory.mktemp("benchmarks") / "data")


@pytest.fixture
def through_plain_lmms_eval(local_data, tmp_path, monkeypatch):
    """Give one text for every row of benchmarks to plain lmms-eval, through our YAML files; returns results by name."""
    from lmms_eval import evaluator
    from lmms_eval.api.model import lmms
    from lmms_eval.tasks import TaskManager

    from tasks.benchmark import TEMPLATE_PATH
    from tasks.catalog import BENCHMARKS

    class Replay(lmms):
        is_simple = False
        text = ""

        def generate_until(self, requests):
            return [self.text for _ in requests]

        def generate_until_multi_round(self, requests):
            raise NotImplementedError

        def loglikelihood(self, requests):
            raise NotImplementedError

    def run(names: list[str], text: str) -> dict[str, dict]:
        monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
        folder = tmp_path / "yamls"
        folder.mkdir()
        (folder / TEMPLATE_PATH.name).write_bytes(TEMPLATE_PATH.read_bytes())
        for name in names:
            benchmark = BENCHMARKS[name]
            lines = benchmark.yaml_path.read_text(encoding="utf-8").splitlines()
            lines = [line for line in lines if not line.startswith(("dataset_name", "dataset_path"))]
            if benchmark.hub_files:  # the YAML's own pattern, in a copy of the hub's folder
                lines += [f"dataset_path: {local_data.parquet / name}"]
            else:
                files = sorted(map(str, (local_data.parquet / name).rglob("*.parquet")))
                lines += [
                    "dataset_path: parquet",
                    f"dataset_kwargs: {{data_files: {{{benchmark.hub_split}: {files}}}}}",
                ]
            (folder / benchmark.yaml_path.name).write_text("\n".join(lines) + "\n", encoding="utf-8")
        model = Replay()
        model.text = text
        results = evaluator.simple_evaluate(
            model=model,
            tasks=[BENCHMARKS[name].yaml_name for name in names],
            task_manager=TaskManager(include_path=str(folder), include_defaults=False),
            bootstrap_iters=0,
            log_samples=False,
        )["results"]
        return {name: results[BENCHMARKS[name].yaml_name] for name in names}

    return run


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    """Run the command in this process, in an empty folder; returns exit code, stdout and stderr."""
    import satori_bench

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["satori-bench", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            satori_bench.main()
        captured = capsys.readouterr()
        return int(left.value.code or 0), captured.out, captured.err

    return run


@pytest.fixture(scope="module")
def path_to_command(tmp_path_factory):
    """Let a shell find the command under its own name, whatever environment the tests run in."""
    folder = tmp_path_factory.mktemp("bin")
    command = folder / "satori-bench"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m satori_bench "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        yield


CORPUS = [
    "What colour is the circle? a red circle a blue square a green triangle",
    "<caption>a red circle and a blue square</caption><bbox>[[0,4,28,32],[8,12,56,52]]</bbox><answer>red</answer>",
    "How many shapes are there? one two three yes no left right above below",
] * 30
TEXT_SIZES = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
}
"""The text half of every tiny model."""


@pytest.fixture(scope="session")
def one_thread():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny_qwen2_5_vl(tmp_path_factory, one_thread) -> Path:
    from training.loop.tiny_model import build_tiny_qwen2_5_vl

    return build_tiny_qwen2_5_vl(tmp_path_factory.mktemp("checkpoints") / "tiny-qwen2.5-vl", CORPUS)


@pytest.fixture(scope="session")
def tiny_qwen2_vl(tmp_path_factory, one_thread) -> Path:
    """Boxes in thousandths; the hub's older files: preprocessor_config.json with min_pixels, chat_template.json."""
    import torch
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

    from training.loop.tiny_model import CHAT_TEMPLATE, train_tokenizer

    tokenizer = train_tokenizer(CORPUS)
    ids = tokenizer.convert_tokens_to_ids
    config = Qwen2VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            **TEXT_SIZES,
            "initializer_range": 0.2,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [4, 6, 6]},
            "bos_token_id": None,
            "eos_token_id": tokenizer.eos_token_id,
        },
        vision_config={
            "depth": 1,
            "embed_dim": 32,
            "hidden_size": 64,
            "num_heads": 2,
            "mlp_ratio": 2,
            "patch_size": 14,
            "initializer_range": 0.2,
        },
        image_token_id=ids("<|image_pad|>"),
        video_token_id=ids("<|video_pad|>"),
        vision_start_token_id=ids("<|vision_start|>"),
        vision_end_token_id=ids("<|vision_end|>"),
    )
    folder = tmp_path_factory.mktemp("checkpoints") / "tiny-qwen2-vl"
    torch.manual_seed(1)
    save(Qwen2VLForConditionalGeneration(config), tokenizer, folder)
    tokenizer.save_pretrained(folder)
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": CHAT_TEMPLATE}))
    limits = {"min_pixels": 784, "max_pixels": 100_352, "patch_size": 14, "temporal_patch_size": 2, "merge_size": 2}
    kinds = {"image_processor_type": "Qwen2VLImageProcessor", "processor_class": "Qwen2VLProcessor"}
    (folder / "preprocessor_config.json").write_text(json.dumps({**limits, **kinds}))
    return folder


@pytest.fixture(scope="session")
def tiny_qwen3_vl(tmp_path_factory, one_thread) -> Path:
    """Boxes in thousandths, patches of 16 pixels."""
    import torch
    from transformers import (
        Qwen2VLImageProcessor,
        Qwen3VLConfig,
        Qwen3VLForConditionalGeneration,
        Qwen3VLProcessor,
        Qwen3VLVideoProcessor,
    )

    from training.loop.tiny_model import CHAT_TEMPLATE, train_tokenizer

    tokenizer = train_tokenizer(CORPUS)
    ids = tokenizer.convert_tokens_to_ids
    config = Qwen3VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            **TEXT_SIZES,
            "head_dim": 32,
            "initializer_range": 0.2,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 1e4,
                "mrope_section": [6, 5, 5],
                "mrope_interleaved": True,
            },
            "bos_token_id": None,
            "eos_token_id": tokenizer.eos_token_id,
        },
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "patch_size": 16,
            "out_hidden_size": 64,
            "num_position_embeddings": 64,
            "deepstack_visual_indexes": [0],
            "initializer_range": 0.2,
        },
        image_token_id=ids("<|image_pad|>"),
        video_token_id=ids("<|video_pad|>"),
        vision_start_token_id=ids("<|vision_start|>"),
        vision_end_token_id=ids("<|vision_end|>"),
        tie_word_embeddings=True,
    )
    folder = tmp_path_factory.mktemp("checkpoints") / "tiny-qwen3-vl"
    torch.manual_seed(2)
    save(Qwen3VLForConditionalGeneration(config), tokenizer, folder)
    Qwen3VLProcessor(
        image_processor=Qwen2VLImageProcessor(patch_size=16, merge_size=2, min_pixels=1024, max_pixels=131_072),
        tokenizer=tokenizer,
        video_processor=Qwen3VLVideoProcessor(patch_size=16, merge_size=2),
        chat_template=CHAT_TEMPLATE,
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_llava(tmp_path_factory, one_thread) -> Path:
    """Square crops of 56 pixels, no known box frame, a chat template without a system role."""
    import torch
    from transformers import CLIPImageProcessor, LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor

    from training.loop.tiny_model import train_tokenizer

    tokenizer = train_tokenizer(CORPUS)
    tokenizer.add_special_tokens({"extra_special_tokens": ["<image>"]})
    config = LlavaConfig(
        text_config={
            "model_type": "llama",
            "vocab_size": len(tokenizer),
            **TEXT_SIZES,
            "initializer_range": 0.2,
            "bos_token_id": None,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={
            "model_type": "clip_vision_model",
            "hidden_size": 32,
            "intermediate_size": 64,
            "projection_dim": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 56,
            "patch_size": 14,
        },
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=16,
        vision_feature_layer=-1,
    )
    folder = tmp_path_factory.mktemp("checkpoints") / "tiny-llava"
    torch.manual_seed(3)
    save(LlavaForConditionalGeneration(config), tokenizer, folder)
    LlavaProcessor(
        image_processor=CLIPImageProcessor(size={"shortest_edge": 56}, crop_size={"height": 56, "width": 56}),
        tokenizer=tokenizer,
        patch_size=14,
        num_additional_image_tokens=1,
        vision_feature_select_strategy="default",
        chat_template=(
            "{% for message in messages %}"
            "{% if message['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
            "{{ '<|im_start|>' + message['role'] + '\\n' }}"
            "{% for part in message['content'] %}"
            "{{ '<image>\\n' if part['type'] == 'image' else part['text'] }}"
            "{% endfor %}{{ '<|im_end|>\\n' }}{% endfor %}"
            "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
        ),
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_idefics3(tmp_path_factory, one_thread) -> Path:
    """The architecture of SmolVLM: an image becomes a grid of square tiles and a global view; no known box frame."""
    import torch
    from transformers import Idefics3Config, Idefics3ForConditionalGeneration, Idefics3ImageProcessor, Idefics3Processor

    from training.loop.tiny_model import train_tokenizer

    tokenizer = train_tokenizer(CORPUS)
    marks = ["<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>"]
    tiles = [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)]
    tokenizer.add_special_tokens({"extra_special_tokens": [*marks, *tiles]})
    config = Idefics3Config(
        text_config={
            "model_type": "llama",
            "vocab_size": len(tokenizer),
            **TEXT_SIZES,
            "initializer_range": 0.2,
            "bos_token_id": None,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 56,
            "patch_size": 14,
            "initializer_range": 0.2,
        },
        scale_factor=2,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
    )
    folder = tmp_path_factory.mktemp("checkpoints") / "tiny-idefics3"
    torch.manual_seed(5)
    save(Idefics3ForConditionalGeneration(config), tokenizer, folder)
    Idefics3Processor(
        image_processor=Idefics3ImageProcessor(size={"longest_edge": 112}, max_image_size={"longest_edge": 56}),
        tokenizer=tokenizer,
        image_seq_len=4,
        chat_template=(
            "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}"
            "{% for part in message['content'] %}"
            "{{ '<image>' if part['type'] == 'image' else part['text'] }}"
            "{% endfor %}{{ '<|im_end|>\\n' }}{% endfor %}"
            "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
        ),
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_glm4v(tmp_path_factory, one_thread) -> Path:
    """A grid of its own, whose image processor refuses a picture that is 200 times as long as it is wide."""
    import torch
    from transformers import (
        Glm4vConfig,
        Glm4vForConditionalGeneration,
        Glm4vImageProcessor,
        Glm4vProcessor,
        Glm4vVideoProcessor,
    )

    from training.loop.tiny_model import train_tokenizer

    tokenizer = train_tokenizer(CORPUS)
    marks = [
        "<|image|>",
        "<|video|>",
        "<|begin_of_image|>",
        "<|end_of_image|>",
        "<|begin_of_video|>",
        "<|end_of_video|>",
    ]
    tokenizer.add_special_tokens({"extra_special_tokens": marks})
    ids = dict(zip(("image", "video", "image_start", "image_end", "video_start", "video_end"),
                   tokenizer.convert_tokens_to_ids(marks), strict=True))  # fmt: skip
    config = Glm4vConfig(
        text_config={
            "vocab_size": len(tokenizer),
            **TEXT_SIZES,
            "initializer_range": 0.2,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [4, 6, 6]},
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={
            "depth": 1,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "image_size": 56,
            "out_hidden_size": 64,
        },
        **{f"{name}_token_id": token for name, token in ids.items()},
    )
    folder = tmp_path_factory.mktemp("checkpoints") / "tiny-glm4v"
    torch.manual_seed(7)
    save(Glm4vForConditionalGeneration(config), tokenizer, folder)
    size = {"shortest_edge": 3136, "longest_edge": 50_176}
    Glm4vProcessor(
        image_processor=Glm4vImageProcessor(size=size),
        tokenizer=tokenizer,
        video_processor=Glm4vVideoProcessor(size=size),
        chat_template=(
            "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
            "{% for part in message['content'] %}"
            "{{ '<|begin_of_image|><|image|><|end_of_image|>' if part['type'] == 'image' else part['text'] }}"
            "{% endfor %}{{ '<|im_end|>\n' }}{% endfor %}"
            "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
        ),
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_paligemma(tmp_path_factory, one_thread) -> Path:
    """A text half of Gemma 2, whose attention has no sdpa; its processor puts the picture in front of the text."""
    import torch
    from transformers import (
        PaliGemmaConfig,
        PaliGemmaForConditionalGeneration,
        PaliGemmaProcessor,
        SiglipImageProcessor,
    )

    from training.loop.tiny_model import train_tokenizer

    tokenizer = train_tokenizer(CORPUS)
    tokenizer.add_special_tokens({"bos_token": "<|im_start|>", "extra_special_tokens": ["<image>"]})
    image_processor = SiglipImageProcessor(size={"height": 56, "width": 56})
    image_processor.image_seq_length = 16
    processor = PaliGemmaProcessor(
        image_processor=image_processor,
        tokenizer=tokenizer,
        chat_template="{% for m in messages %}{% for p in m.content %}{{ p.text }}{% endfor %}{% endfor %}",
    )
    config = PaliGemmaConfig(
        text_config={
            "model_type": "gemma2",
            "vocab_size": len(processor.tokenizer),
            **TEXT_SIZES,
            "head_dim": 32,
            "initializer_range": 0.2,
        },
        vision_config={
            "model_type": "siglip_vision_model",
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 56,
            "patch_size": 14,
        },
        image_token_index=processor.tokenizer.convert_tokens_to_ids("<image>"),
        projection_dim=64,
    )
    folder = tmp_path_factory.mktemp("checkpoints") / "tiny-paligemma"
    torch.manual_seed(6)
    save(PaliGemmaForConditionalGeneration(config), processor.tokenizer, folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_text_only(tmp_path_factory, one_thread) -> Path:
    from transformers import LlamaConfig, LlamaForCausalLM

    from training.loop.tiny_model import train_tokenizer

    tokenizer = train_tokenizer(CORPUS)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    folder = tmp_path_factory.mktemp("checkpoints") / "tiny-llama"
    save(LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **sizes)), tokenizer, folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_adapter(tmp_path_factory, tiny_qwen2_5_vl) -> Path:
    """A LoRA adapter on the tiny Qwen2.5-VL that changes what it says."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForImageTextToText

    base = AutoModelForImageTextToText.from_pretrained(tiny_qwen2_5_vl, dtype=torch.float32)
    torch.manual_seed(4)
    adapted = get_peft_model(base, LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False))
    folder = tmp_path_factory.mktemp("checkpoints") / "tiny-adapter"
    adapted.save_pretrained(folder)
    return folder


def save(model, tokenizer, folder: Path) -> None:
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)


@pytest.fixture
def make_run(tmp_path):
    """Store a finished run of predictions made elsewhere: `make_run("base", rows)` returns its folder."""
    from datetime import UTC, datetime

    from harness.evaluation.predictions_file import score_file
    from harness.evaluation.rescore import PredictionSource, save_predictions_run
    from harness.values import ScoreConfig

    def make(name: str, rows: list[dict], *, protocol="strict") -> Path:
        file = tmp_path / "predictions.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        config = ScoreConfig(protocol=protocol)
        source = PredictionSource(name, hashlib.sha256(repr((name, rows)).encode()).hexdigest(), {})
        scored = score_file(file, config, None)
        moment = datetime(2026, 1, 1, tzinfo=UTC)
        return save_predictions_run(tmp_path / "runs", scored.rows, config, source, now=moment)[0]

    return make


@pytest.fixture
def amend_manifest(renew_sums):
    """Change fields of a stored run's manifest, as a run of our own would have them; its hashes are stamped again."""
    from dataclasses import replace

    from harness.runs.manifest import manifest_bytes, read_manifest, stamp_hashes

    def amend(folder: Path, *, yaml_hash="1" * 64, fingerprint="2" * 64, task=None, **fields) -> Path:
        manifest = read_manifest(folder / "manifest.json")
        tasks = {
            name: replace(own, yaml_hash=yaml_hash, fingerprint=fingerprint, **(task or {}))
            for name, own in manifest.tasks.items()
        }
        manifest = stamp_hashes(replace(manifest, **{"tasks": tasks, "predictions_only": False, **fields}))
        (folder / "manifest.json").write_bytes(manifest_bytes(manifest))
        renew_sums(folder)
        return folder

    return amend


@pytest.fixture(scope="session")
def renew_sums():
    """Make a run's checksums anew, as whoever changes its files on purpose would."""
    from harness.files import SUMS_NAME, read_sums, sums_bytes

    def renew(folder: Path) -> None:
        names, _ = read_sums(folder)
        found = {n: hashlib.sha256((folder / n).read_bytes()).hexdigest() for n in names if (folder / n).exists()}
        (folder / SUMS_NAME).write_bytes(sums_bytes(found))

    return renew


@pytest.fixture(scope="session")
def hostile_strings() -> dict[str, str]:
    """Strings that try to take effect in whatever they are written into, by name."""
    cases = json.loads((Path(__file__).parent / "cases" / "hostile_strings.json").read_text(encoding="utf-8"))
    return {case["name"]: case["text"] * case.get("times", 1) for case in cases}


@pytest.fixture(scope="session")
def invented() -> ModuleType:
    """The module that makes runs: loaded by path, since tests are no package."""
    spec = importlib.util.spec_from_file_location("invented_runs", Path(__file__).with_name("invented_runs.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def dressed_run(tmp_path_factory) -> Path:
    """A run of 576 predictions of twelve benchmarks, which protocols score differently; not to be written to."""
    return _dressed(tmp_path_factory.mktemp("dressed"), "dressed", 0)


@pytest.fixture(scope="session")
def other_dressed_run(tmp_path_factory) -> Path:
    """A run of the same questions, a third of them answered otherwise; not to be written to."""
    return _dressed(tmp_path_factory.mktemp("dressed"), "other", 5)


def _dressed(folder: Path, name: str, moved: int) -> Path:
    from datetime import UTC, datetime

    from harness.evaluation.predictions_file import score_file
    from harness.evaluation.rescore import PredictionSource, save_predictions_run
    from harness.values import ScoreConfig

    config = ScoreConfig(format="plain")
    rows = _load("dressed_predictions").write_predictions(folder / "rows.jsonl", moved=moved)
    scored = score_file(rows, config, None)
    source = PredictionSource(name, f"{moved}" * 64, {})
    now = datetime(2026, 1, 2, tzinfo=UTC)
    return save_predictions_run(folder / "runs", scored.rows, config, source, now=now)[0]
