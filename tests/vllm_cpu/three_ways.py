"""One checkpoint on the same samples three ways: transformers, vLLM in this process, and a real `vllm serve` over HTTP.

    python -P tests/vllm_cpu/three_ways.py --samples 240 --out FOLDER [--model CKPT] [--ways hf,vllm,openai]

Runs in an environment that has vLLM; on a CPU `vllm-cpu`, which wants AVX-512. Where no checkpoint is given, a random
Qwen2.5-VL is drawn that is large enough for the model to rule the time, with an end token that it writes now and then:
lengths of answers are then mixed, as those of a model that thinks. Samples are MMStar-shaped, a picture each, none
twice, of several sizes up to 640x480.

What is checked: sizes of pictures as the model saw them and prompt tokens are equal in all samples, and scores differ
by no more than noise. What is printed: texts that are equal, scores, seconds. The server's start is printed apart.
"""

from __future__ import annotations

import argparse
import base64
import csv
import io
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib import metadata
from itertools import combinations
from pathlib import Path

import psutil
from PIL import Image, ImageDraw

from harness.comparison.backends import compare_records
from harness.runs.store import load_run
from reports.terminal.backends import backend_lines, backend_table
from reports.terminal.tables import write

SIZES = ((640, 480), (480, 640), (512, 384), (336, 252), (224, 224))
COLOURS = ("red", "green", "blue", "yellow", "purple", "orange")
START_S = 300
"""Seconds that a server may take to load."""
LOOK_EVERY_S = 0.2
"""So often is it looked up what processes have cost."""
LONGER_END = 1.9
"""So much longer is the end token's row: about every fortieth token is it, where the others draw evenly."""


def build_checkpoint(folder: Path) -> Path:
    """Draw a random Qwen2.5-VL whose answers end by themselves here and there."""
    import torch
    from safetensors.torch import load_file, save_file

    from training.loop.tiny_model import TinyShape, build_tiny_qwen2_5_vl

    shape = TinyShape(hidden=512, layers=8, heads=8, feed_forward=1408, vision_layers=4)
    corpus = ["Which colour has the disc? Options: A: red, B: green <caption>a disc</caption><answer>A</answer>"] * 60
    build_tiny_qwen2_5_vl(folder, corpus, shape=shape)
    end = json.loads((folder / "generation_config.json").read_text())["eos_token_id"]
    file = folder / "model.safetensors"
    tensors = load_file(file)
    name = next(name for name in tensors if name.endswith("embed_tokens.weight"))
    with torch.no_grad():
        tensors[name][end] *= LONGER_END
    save_file(tensors, file, metadata={"format": "pt"})
    return folder


def picture(number: int) -> bytes:
    """Draw a picture that is like no other: noise, discs, a number."""
    rng = random.Random(number)
    width, height = SIZES[number % len(SIZES)]
    image = Image.effect_noise((width, height), 40 + number % 50).convert("RGB")
    pen = ImageDraw.Draw(image)
    for _ in range(4):
        left, top, side = rng.randrange(width - 60), rng.randrange(height - 60), rng.randrange(20, 60)
        pen.ellipse((left, top, left + side, top + side), fill=rng.choice(COLOURS))
    pen.text((8, 8), f"no {number}", fill="white")
    file = io.BytesIO()
    image.save(file, "JPEG", quality=92)
    return file.getvalue()


def write_data(folder: Path, samples: int) -> Path:
    """Write MMStar as VLMEvalKit keeps it."""
    folder.mkdir(parents=True, exist_ok=True)
    fields = ["index", "question", "image", *"ABCD", "answer", "category", "l2_category"]
    with (folder / "MMStar.tsv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.DictWriter(file, fields, delimiter="\t")
        rows.writeheader()
        for number in range(samples):
            options = dict(zip("ABCD", (COLOURS[(number + step) % 6] for step in range(4)), strict=True))
            rows.writerow(
                {
                    "index": number,
                    "question": "Which colour has the largest disc?" + " Look twice." * (number % 5),
                    "image": base64.b64encode(picture(number)).decode("ascii"),
                    **options,
                    "answer": "ABCD"[number % 4],
                    "category": "coarse perception",
                    "l2_category": "image scene and topic",
                }
            )
    return folder


@contextmanager
def server(model: Path, out: Path, *options: str) -> Iterator[str]:
    """Serve the checkpoint by `vllm serve`; yields the root of its API.

    Args:
        model: The checkpoint.
        out: Folder for what the server says.
        options: More words of its command line.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("vllm")), "serve", str(model)]
    command += ["--served-model-name", "checkpoint", "--host", "127.0.0.1", "--port", str(port), "--enforce-eager"]
    command += ["--dtype", "float32", "--max-num-seqs", "32", "--generation-config", "vllm", "--max-model-len", "4096"]
    command += options
    print(" ".join(command), flush=True)
    started = time.perf_counter()
    named = tempfile.TemporaryDirectory(prefix="vllm-named-")
    paths = os.pathsep.join(filter(None, [named_as_vllm(Path(named.name)), os.environ.get("PYTHONPATH")]))
    log = (out / "server.log").open("wb")
    process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "PYTHONPATH": paths})
    try:
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2):
                    break
            except OSError:
                if process.poll() is not None or time.perf_counter() - started > START_S:
                    raise SystemExit(f"the server did not start (exit code {process.poll()})") from None
                time.sleep(1)
        print(f"the server was ready after {time.perf_counter() - started:.0f} s", flush=True)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
        log.close()
        named.cleanup()


def named_as_vllm(folder: Path) -> str | None:
    """Return a path by which the package for CPUs is also known as `vllm`; None where that is installed.

    Its console script is vLLM's own, asks for the version of a distribution `vllm` before it reads a word of the
    command line, and ends where there is none.
    """
    with suppress(metadata.PackageNotFoundError):
        metadata.version("vllm")
        return None
    version = f"{metadata.version('vllm-cpu')}+cpu"  # by this ending it knows that it is built for CPUs
    facts = folder / f"vllm-{version}.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}\n")
    return str(folder)


def run(way: str, options: list[str], out: Path) -> tuple[Path, float, float, tuple[float, float]]:
    """Run one way; returns the run folder, seconds of answering, of the whole process, and CPU seconds of both.

    On a machine that others use as well, CPU seconds are what can be compared: of the whole process, and of answering.
    A server's own are not among them.
    """
    command = [sys.executable, "-P", "-m", "satori_bench", "run", *options, "--backend", way, "--out", str(out / way)]
    told = out / f"{way}.json"
    started = time.perf_counter()
    with (
        told.open("wb") as stdout,
        subprocess.Popen([*command, "--json", "--no-page", "--again"], stdout=stdout) as run,
    ):
        spent = _cpu_until_its_end(run, out / way)
    wall_s = time.perf_counter() - started
    if run.returncode not in {0, 5}:
        raise SystemExit(f"{way}: exit code {run.returncode}")
    folder = Path(json.loads(told.read_text())["run"])
    # a run folder is made once the model is loaded
    loaded = datetime.fromisoformat(load_run(folder).manifest.created_utc)
    return folder, (datetime.now(UTC) - loaded).total_seconds(), wall_s, spent


def _cpu_until_its_end(run: subprocess.Popen[bytes], out: Path) -> tuple[float, float]:
    """Return CPU seconds of a process and all that it starts: in all, and since its run folder was made.

    Looked up while they live: vLLM's worker is nobody's awaited child, so no sum of children has its seconds.
    """
    spent: dict[tuple[int, float], float] = {}
    known, at_load = set(out.glob("*.partial")), None
    root = psutil.Process(run.pid)
    while run.poll() is None:
        with suppress(psutil.Error):
            for process in (root, *root.children(recursive=True)):
                with suppress(psutil.Error):
                    times = process.cpu_times()
                    spent[process.pid, process.create_time()] = times.user + times.system
        if at_load is None and set(out.glob("*.partial")) - known:
            at_load = sum(spent.values())
        time.sleep(LOOK_EVERY_S)
    total = sum(spent.values())
    return total, total - (at_load or 0.0)


def main() -> None:
    """Run the ways that are asked for, and hold each against the others."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=240)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", type=Path, default=None)
    parser.add_argument("--tasks", default="mmstar")
    parser.add_argument("--dataset", default=None, help="as for `run`")
    parser.add_argument("--ways", default="hf,vllm,openai")
    parser.add_argument("--max-new-tokens", type=int, default=192)
    given = parser.parse_args()
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    model = given.model or given.out / "checkpoint"
    if given.model is None and not (model / "config.json").is_file():
        build_checkpoint(model)
    options = ["--model", str(model), "--tasks", given.tasks, "--max-new-tokens", str(given.max_new_tokens)]
    if given.tasks == "mmstar":
        options += ["--data-dir", str(write_data(given.out / "data", given.samples))]
    else:
        options += ["--limit", str(given.samples)]
    if given.dataset is not None:
        options += ["--dataset", given.dataset]
    (given.out / "ways").mkdir(parents=True, exist_ok=True)
    known = given.out / "ways" / "found.json"
    found = json.loads(known.read_text()) if known.is_file() else {}
    for way in given.ways.split(","):
        if way == "openai":
            with server(model, given.out) as url:
                there = ["--base-url", url, "--served-name", "checkpoint", "--concurrency", "32"]
                folder, answering_s, wall_s, cpu_s = run(way, [*options, *there], given.out)
        else:
            folder, answering_s, wall_s, cpu_s = run(way, options, given.out)
        found[way] = [str(folder), answering_s, wall_s, cpu_s]
        known.write_text(json.dumps(found))  # ways may be run one at a time
    records = {way: list(load_run(Path(folder)).records()) for way, (folder, *_) in found.items()}
    for way, (_, answering_s, wall_s, (cpu_s, answering_cpu_s)) in found.items():
        tokens = sorted(record.generation.output_tokens or 0 for record in records[way])
        print(
            f"{way}: {len(tokens)} samples, whole process {wall_s:.1f} s ({cpu_s:.1f} s of CPU), answering "
            f"{answering_s:.1f} s ({answering_cpu_s:.1f} s of CPU), answers of {tokens[len(tokens) // 10]} to "
            f"{tokens[-1 - len(tokens) // 10]} tokens (8 of 10), {sum(tokens)} in all"
        )
    alike = True
    for one, other in combinations(found, 2):
        pair = compare_records((one, other), records[one], records[other], seed=0)
        write(backend_table(pair), sys.stdout)
        print("\n".join(backend_lines(pair)))
        alike = alike and pair.asks_alike and pair.scores_alike
    sys.exit(0 if alike else 1)


if __name__ == "__main__":
    main()
