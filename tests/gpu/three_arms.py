"""What a GPU of a few minutes can tell: three arms on a 3B-shaped random checkpoint, and one step of each training.

    python -P tests/gpu/three_arms.py --out FOLDER                 # on a GPU, about ten minutes on a recent one
    python -P tests/gpu/three_arms.py --out FOLDER --tiny          # every path on a CPU, with a tiny checkpoint

Arms: `run` by transformers, `run` by vLLM, stock lmms-eval's `qwen2_5_vl`, on the same MMStar-shaped samples, greedy,
equal token limits. Steps: one of SFT and one of GRPO in each profile that fits one device. Every part is a process of
its own; one that fails or that lacks a package is named, and the others go on. Exits with 1 where any failed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from harness.comparison.backends import compare_records
from harness.runs.store import load_run
from reports.terminal.backends import backend_lines, backend_table
from reports.terminal.tables import write
from training.loop.tiny_model import build_tiny_qwen2_5_vl, train_tokenizer

sys.path.insert(0, str(Path(__file__).parents[1] / "vllm_cpu"))
from three_ways import picture

CORPUS = ["Which colour has the disc? Options: A: red, B: green <caption>a disc</caption><answer>A</answer>"] * 60
LONGEST_S = 900
"""Seconds that a part may take."""
STOCK_YAML = """
dataset_path: parquet
dataset_kwargs:
  data_files:
    val: {file}
task: stock_mmstar
test_split: val
output_type: generate_until
doc_to_visual: !function lmms_eval.tasks.mmstar.utils.mmstar_doc_to_visual
doc_to_text: !function lmms_eval.tasks.mmstar.utils.mmstar_doc_to_text
doc_to_target: answer
process_results: !function lmms_eval.tasks.mmstar.utils.mmstar_process_results
generation_kwargs:
  max_new_tokens: {tokens}
  temperature: 0
metric_list:
  - metric: average
    aggregation: !function lmms_eval.tasks.mmstar.utils.mmstar_aggregate_results
    higher_is_better: true
lmms_eval_specific_kwargs:
  default:
    pre_prompt: ""
    post_prompt: ""
"""


@dataclass(frozen=True)
class Part:
    """One process."""

    name: str
    """What it does."""
    command: list[str]
    """Its command line."""
    needs: tuple[str, ...] = ()
    """Modules without which it is left out."""


def build_3b(folder: Path) -> Path:
    """Draw random weights in the shape of Qwen2.5-VL-3B, in bfloat16, with a tokenizer trained on the spot."""
    import torch
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    build_tiny_qwen2_5_vl(folder, CORPUS, max_pixels=1280 * 28 * 28)
    tiny = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    tokens = len(train_tokenizer(CORPUS))
    text = {
        **tiny["text_config"],
        "vocab_size": 151_936,
        "hidden_size": 2048,
        "intermediate_size": 11_008,
        "num_hidden_layers": 36,
        "num_attention_heads": 16,
        "num_key_value_heads": 2,
        "max_position_embeddings": 32_768,
        "initializer_range": 0.02,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]},
        "layer_types": ["full_attention"] * 36,
    }
    vision = {
        **tiny["vision_config"],
        "depth": 32,
        "hidden_size": 1280,
        "intermediate_size": 3420,
        "num_heads": 16,
        "out_hidden_size": 2048,
        "fullatt_block_indexes": [7, 15, 23, 31],
        "initializer_range": 0.02,
    }
    config = Qwen2_5_VLConfig(**{**tiny, "text_config": text, "vision_config": vision, "tie_word_embeddings": True})
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
            model = Qwen2_5_VLForConditionalGeneration(config)
    finally:
        torch.set_default_dtype(before)
    with torch.no_grad():  # rows beyond the tokenizer stand for no text
        model.get_input_embeddings().weight[tokens:] = 0
    model.generation_config.eos_token_id = text["eos_token_id"]
    model.generation_config.pad_token_id = text["pad_token_id"]
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder)
    return folder


def write_data(folder: Path, samples: int) -> Path:
    """Write MMStar as the hub keeps it; returns the file."""
    (folder / "mmstar").mkdir(parents=True, exist_ok=True)
    pictures = [{"bytes": picture(number), "path": f"{number}.jpg"} for number in range(samples)]
    table = pa.table(
        {
            "index": list(range(samples)),
            "question": ["Which colour has the largest disc? Options: A: red, B: green, C: blue, D: yellow"] * samples,
            "image": pa.array(pictures, pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
            "answer": ["ABCD"[number % 4] for number in range(samples)],
            "category": ["coarse perception"] * samples,
            "l2_category": ["image scene and topic"] * samples,
        }
    )
    kinds = {
        name: {"dtype": "int64" if name == "index" else "string", "_type": "Value"} for name in table.column_names
    } | {"image": {"_type": "Image"}}
    features = json.dumps({"info": {"features": kinds}})
    file = folder / "mmstar" / "mmstar.parquet"
    pq.write_table(table.replace_schema_metadata({"huggingface": features}), file)
    return file


def arms(given: argparse.Namespace, model: Path, rows: Path) -> Iterator[Part]:
    """Yield the three arms."""
    run = [sys.executable, "-P", "-m", "satori_bench", "run", "--model", str(model), "--tasks", "mmstar", "--again"]
    run += ["--data-dir", str(rows.parents[1]), "--max-new-tokens", str(given.max_new_tokens), "--no-page", "--json"]
    run += ["--format", "plain"]  # one user turn, as stock asks
    yield Part("hf", [*run, "--backend", "hf", "--out", str(given.out / "hf")])
    yield Part("vllm", [*run, "--backend", "vllm", "--out", str(given.out / "vllm")], ("vllm",))
    tasks = given.out / "stock"
    tasks.mkdir(parents=True, exist_ok=True)
    (tasks / "stock_mmstar.yaml").write_text(STOCK_YAML.format(file=rows, tokens=given.max_new_tokens))
    where = ",device=cpu,device_map=cpu" if given.tiny else ""
    stock = [sys.executable, "-P", "-m", "lmms_eval", "--model", "qwen2_5_vl", "--model_args"]
    stock += [f"pretrained={model},min_pixels=784,max_pixels=1003520{where}", "--tasks", "stock_mmstar"]
    stock += ["--include_path", str(tasks), "--batch_size"]
    for batch in ("1",) if given.tiny else ("1", "16"):
        yield Part(f"stock lmms-eval, batch {batch}", [*stock, batch], ("qwen_vl_utils",))


def steps(given: argparse.Namespace, model: Path) -> Iterator[Part]:
    """Yield one step of each stage in each profile that fits one device."""
    profiles = {"cpu-tiny": ()} if given.tiny else {
        "single-gpu": (), "multi-gpu": (), "zero3": ("deepspeed",), "fsdp2": (), "vllm-colocate": ("vllm",)
    }  # fmt: skip
    folder = given.out / "training"
    folder.mkdir(parents=True, exist_ok=True)
    for profile, needs in profiles.items():
        for stage in ("sft", "grpo"):
            if stage == "sft" and profile == "vllm-colocate":
                continue  # it differs from multi-gpu in completions alone
            file = folder / f"{stage}-{profile}.toml"
            lines = [
                f'model = "{model}"',
                f'data = "shapes:{"tiny" if given.tiny else "full"}"',
                f'output = "{folder / f"{stage}-{profile}"}"',
                f'profile = "{profile}"',
                "processes = 1",
                "[lora]",
                "rank = 8",
                "alpha = 16",
                "[optimisation]",
                "steps = 1",
                "batch_size = 4",
            ]
            if stage == "grpo":
                lines += ["[rollouts]", "generations = 4", "max_completion_tokens = 24"]
            file.write_text("\n".join(lines) + "\n", encoding="utf-8")
            command = [sys.executable, "-P", "-m", "satori_bench", "train", stage, "--config", str(file)]
            yield Part(f"{stage}, {profile}", command, needs)


def told(part: Part, log: Path) -> tuple[float, str] | None:
    """Run a part; returns its seconds and its stdout, or None where it failed or was left out."""
    lacking = [name for name in part.needs if importlib.util.find_spec(name) is None]
    if lacking:
        print(f"{part.name}: left out, {', '.join(lacking)} is not installed", flush=True)
        return 0.0, ""
    started = time.perf_counter()
    with log.open("w", encoding="utf-8") as said:
        try:
            done = subprocess.run(
                part.command, stdout=subprocess.PIPE, stderr=said, text=True, timeout=LONGEST_S, check=False
            )
        except subprocess.TimeoutExpired:
            print(f"{part.name}: FAILED, no end after {LONGEST_S} s; see {log}", flush=True)
            return None
    seconds = time.perf_counter() - started
    if done.returncode:
        last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        print(f"{part.name}: FAILED with {done.returncode} after {seconds:.0f} s: {' '.join(last)[:300]}", flush=True)
        return None
    print(f"{part.name}: {seconds:.1f} s for the whole process", flush=True)
    return seconds, done.stdout


def show_run(name: str, stdout: str) -> Path:
    """Print how long a run of ours answered, and which share of that the model had."""
    folder = Path(json.loads(stdout)["run"])
    run = load_run(folder)
    records = list(run.records())
    ended = datetime.fromisoformat(run.manifest.finished_utc or datetime.now(UTC).isoformat())
    answering_s = (ended - datetime.fromisoformat(run.manifest.created_utc)).total_seconds()
    model_s = sum(record.generation.device_s or 0.0 for record in records)
    tokens = sum(record.generation.output_tokens or 0 for record in records)
    print(
        f"    {name}: answering {len(records)} samples took {answering_s:.1f} s, of which the model {model_s:.1f} s "
        f"({100 * model_s / max(answering_s, 1e-9):.0f} %); {tokens} tokens, {tokens / max(answering_s, 1e-9):.0f} a "
        "second"
    )
    return folder


def main() -> None:
    """Run everything, one part after the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tiny", action="store_true", help="a tiny checkpoint on a CPU")
    parser.add_argument("--samples", type=int, default=None, help="256, or 12 where tiny")
    parser.add_argument("--max-new-tokens", type=int, default=64)
    parser.add_argument("--parts", default="arms,steps")
    given = parser.parse_args()
    given.out = given.out.resolve()
    given.out.mkdir(parents=True, exist_ok=True)
    samples = given.samples or (12 if given.tiny else 256)
    model = given.out / "checkpoint"
    if not (model / "config.json").is_file():
        started = time.perf_counter()
        build_tiny_qwen2_5_vl(model, CORPUS) if given.tiny else build_3b(model)
        print(f"the checkpoint was drawn in {time.perf_counter() - started:.0f} s", flush=True)
    rows = write_data(given.out / "data", samples)
    makers: dict[str, Callable[[], Iterator[Part]]] = {
        "arms": lambda: arms(given, model, rows),
        "steps": lambda: steps(given, model),
    }
    failed, runs = False, dict[str, Path]()
    for kind in given.parts.split(","):
        for number, part in enumerate(makers[kind]()):
            found = told(part, given.out / f"{kind}-{number}.log")
            failed = failed or found is None
            if found and part.name in {"hf", "vllm"} and found[1]:
                runs[part.name] = show_run(part.name, found[1])
    if len(runs) == 2:
        pair = compare_records(("hf", "vllm"), *(load_run(run).records() for run in runs.values()), seed=0)
        write(backend_table(pair), sys.stdout)
        print("\n".join(backend_lines(pair)))
        failed = failed or not pair.asks_alike
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
