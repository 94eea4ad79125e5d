"""A whole `run` beside the peers: the same tiny Qwen2.5-VL, the same samples, the same token limit, greedy, on a CPU.

Each arm is a command of its own, with all its processes; arms take turns. Questions are MMStar's columns with photographs
of 640x480: all different, then four questions a picture. Peers: stock lmms-eval's `qwen2_5_vl` at its defaults (bfloat16,
batch 1) and at its best setting on a CPU (float32, batch 8), and an earlier checkout of ours where one is given. Where
others use the machine too, CPU seconds are the column to trust. VLMEvalKit is left out: its Qwen2-VL asks for CUDA and
flash attention in its source.

The profile says what a run does beside the model's own forward, and what lies before the first question. Its CPU seconds
are those of the thread that did the part.

    python -P tests/bench/bench_run.py [--samples 400] [--arms ours,stock] [--earlier FOLDER] [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import atexit
import functools
import importlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

import harness

sys.path.append(str(Path(__file__).parent))  # `-P` leaves it out
from bench_overhead import STOCK_YAML, write_rows

CODE_ROOT = Path(harness.__file__).parents[1]
NEW_TOKENS = 32
SYSTEM = "You are a helpful assistant."
"""What stock lmms-eval's model says first; all arms ask in the same words."""
ARMS = ("ours", "earlier", "stock", "stock-best", "start", "start-earlier", "profile")
QWEN = "transformers.models.qwen2_5_vl.modeling_qwen2_5_vl"
FORWARD = "the model's own forward"
PARTS = {
    f"{QWEN}:Qwen2_5_VLForConditionalGeneration.forward": FORWARD,
    f"{QWEN}:Qwen2_5_VisionTransformerPretrainedModel.forward": FORWARD,
    "harness.models.chat_inputs:ChatInputs.tensors": "processor: tokens, patches",
    "harness.models.base:RecordingModel._opened": "opening pictures",
    "harness.images.thumbnails:write_thumbnail": "thumbnails",
    "harness.evaluation.ask:RunRecorder.record": "scoring, journal",
    "tasks.run:find_subject": "subject and hash, with imports",
    "tasks.run:_open_questions": "opening data",
    "tasks.run:load_model": "loading the model, with imports",
    "harness.runs.store:OpenRun.publish": "publishing",
}
"""What is timed, by module and name."""


def share_pictures(path: Path, shared: Path, questions: int) -> None:
    """Write the same rows again with every picture under so many questions."""
    table = pq.read_table(path)
    images = table["image"].combine_chunks()
    taken = images.take(pa.array([row // questions for row in range(len(images))]))
    pq.write_table(table.set_column(table.schema.get_field_index("image"), table.schema.field("image"), taken), shared)


def command_of(arm: str, checkpoint: Path, rows: Path, out: Path) -> list[str]:
    """Return the command of an arm."""
    own = [sys.executable, "-P", __file__, "--child", arm]
    if arm.startswith("stock"):
        (out / "stock_mmstar.yaml").write_text(STOCK_YAML.format(file=rows))
        size = "8" if arm == "stock-best" else "1"
        model = f"pretrained={checkpoint},device=cpu,device_map=cpu"
        asked = ["--model", "qwen2_5_vl", "--model_args", model, "--batch_size", size, "--tasks", "stock_mmstar"]
        return [*own, *asked, "--include_path", str(out), "--gen_kwargs", f"max_new_tokens={NEW_TOKENS}"]
    asked = ["run", "--model", str(checkpoint), "--tasks", "mmstar", "--dataset", f"mmstar={rows}", "--device", "cpu"]
    asked += ["--max-new-tokens", str(NEW_TOKENS), "--out", str(out / "runs"), "--format", "plain"]
    # stock's words; an earlier version may not take any
    words = [] if arm.endswith("earlier") else ["--system-prompt", SYSTEM, "--prompt-suffix", ""]
    return [*own, *asked, *words]


def cost(arm: str, checkpoint: Path, rows: Path, earlier: Path | None) -> tuple[float, float, str]:
    """Run an arm; return its wall and CPU seconds and what it said on its standard output."""
    root = earlier if arm.endswith("earlier") else CODE_ROOT
    with tempfile.TemporaryDirectory() as folder:
        command = command_of(arm, checkpoint, rows, Path(folder))
        environment = {**os.environ, "PYTHONPATH": str(root), "HF_DATASETS_CACHE": f"{folder}/cache"}
        environment |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        wall_s, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, f"{arm}: {done.stderr[-2000:]}"
    return wall_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def child(arm: str, arguments: list[str]) -> None:
    """Be an arm's process."""
    sys.argv = [arm, *arguments]
    if arm.startswith("stock"):
        _stock(full_precision=arm == "stock-best")
    elif arm == "profile":
        _profiled()
    else:
        if arm.startswith("start"):
            _ended_at_first_batch()
        from satori_bench import main as satori_bench

        satori_bench()


def _ended_at_first_batch() -> None:
    """End this process where a model is first given samples; the one question that tries it out has one row."""
    from transformers.generation.utils import GenerationMixin

    generate = GenerationMixin.generate

    def ended(model: object, *args: object, **options: object) -> object:
        if len(options["input_ids"]) > 1:
            os._exit(0)
        return generate(model, *args, **options)

    GenerationMixin.generate = ended


def _stock(*, full_precision: bool) -> None:
    """Be lmms-eval's command."""
    import types

    import torch
    import transformers

    # Its model imports a reader of videos before it looks whether there are any.
    sys.modules.setdefault("decord", types.ModuleType("decord"))
    if full_precision:  # it has no option for it
        family = transformers.Qwen2_5_VLForConditionalGeneration
        load = family.from_pretrained
        family.from_pretrained = lambda *args, **options: load(*args, **{**options, "torch_dtype": torch.float32})
    from lmms_eval.__main__ import cli_evaluate

    cli_evaluate()


class Stopwatch:
    """What parts of a program took: wall seconds, CPU seconds of the thread that ran them, calls.

    A part that is called within itself is counted once.
    """

    def __init__(self) -> None:
        self.begun = time.perf_counter()
        self.spent: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0, 0])
        self.first: dict[str, float] = {}
        self._inside: set[tuple[int, str]] = set()

    def timed(self, name: str, function: Callable[..., object]) -> Callable[..., object]:
        """Return a function that is timed under a name."""

        @functools.wraps(function)  # its signature is looked at
        def called(*args: object, **options: object) -> object:
            call = threading.get_ident(), name
            if call in self._inside:
                return function(*args, **options)
            self._inside.add(call)
            wall_s, cpu_s = time.perf_counter(), time.thread_time()
            try:
                return function(*args, **options)
            finally:
                self._inside.discard(call)
                row = self.spent[name]
                row[0] += time.perf_counter() - wall_s
                row[1] += time.thread_time() - cpu_s
                row[2] += 1

        return called

    def replace(self, place: str) -> None:
        """Time what lies at a place of `PARTS`."""
        module, path = place.split(":")
        *parents, last = path.split(".")
        owner = importlib.import_module(module)
        for parent in parents:
            owner = getattr(owner, parent)
        setattr(owner, last, self.timed(PARTS[place], getattr(owner, last)))

    def tell(self) -> None:
        """Print all of it as a line."""
        whole = [time.perf_counter() - self.begun, time.process_time()]
        print("PROFILE " + json.dumps({"whole": whole, "first": self.first, "spent": self.spent}))


def _profiled() -> None:
    """Be our command, and say what its parts took and when the first question was asked."""
    watch = Stopwatch()
    import tasks.run as run_module
    from satori_bench import main as satori_bench

    load = watch.timed(PARTS["tasks.run:load_model"], run_module.load_model)

    def loaded(*args: object) -> object:
        """Load, and time from now on what brings heavy libraries along."""
        for place in PARTS:
            if not place.startswith("tasks.run:"):
                watch.replace(place)
        model = load(*args)
        answer = model._answer

        def answered(todo: object) -> object:
            watch.first.update(wall_s=time.perf_counter() - watch.begun, cpu_s=time.process_time())
            return answer(todo)

        model._answer = answered
        return model

    for place in ("tasks.run:find_subject", "tasks.run:_open_questions"):
        watch.replace(place)
    run_module.load_model = loaded
    atexit.register(watch.tell)
    satori_bench()


def show_profile(said: str) -> None:
    """Print what a profiled run spent."""
    found = json.loads(next(line for line in said.splitlines() if line.startswith("PROFILE "))[8:])
    whole_s, whole_cpu_s = found["whole"]
    first = found["first"]
    print(f"  {'part':58} {'calls':>6} {'wall s':>7} {'CPU s':>7} {'of CPU':>7}")
    for name, (wall_s, cpu_s, calls) in found["spent"].items():
        print(f"  {name:58} {calls:6.0f} {wall_s:7.1f} {cpu_s:7.1f} {cpu_s / whole_cpu_s:7.1%}")
    model = found["spent"][FORWARD]
    print(f"  {'whole process':58} {1:6} {whole_s:7.1f} {whole_cpu_s:7.1f}")
    print(f"  start to first question: {first['wall_s']:.1f} s wall, {first['cpu_s']:.1f} s CPU")
    print(
        f"  beside it: {1 - model[0] / whole_s:.1%} of the wall time, {1 - model[1] / whole_cpu_s:.1%} of the "
        f"CPU time; after the start {1 - model[0] / (whole_s - first['wall_s']):.1%} and "
        f"{1 - model[1] / (whole_cpu_s - first['cpu_s']):.1%} (wanted: at most 15 %)",
        flush=True,
    )


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--samples", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--arms", default=",".join(ARMS))
    parser.add_argument("--data", default="different,shared")
    parser.add_argument("--earlier", type=Path)
    parser.add_argument("--keep", type=Path, help="Where data and checkpoint lie between calls.")
    given = parser.parse_args()
    arms = [arm for arm in given.arms.split(",") if given.earlier is not None or "earlier" not in arm]
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.keep or Path(scratch)
        checkpoint = folder / "tiny"
        rows = {"different": folder / f"different-{given.samples}.parquet"}
        rows["shared"] = folder / f"shared-{given.samples}.parquet"
        if not rows["shared"].is_file():
            write_rows(rows["different"], given.samples)
            share_pictures(rows["different"], rows["shared"], 4)
        if not checkpoint.is_dir():
            from training.loop.tiny_model import build_tiny_qwen2_5_vl

            questions = pq.read_table(rows["different"], columns=["question"])["question"].to_pylist()
            build_tiny_qwen2_5_vl(checkpoint, [SYSTEM, *questions] * 50)
        for kind in given.data.split(","):
            print(f"{given.samples} samples, {NEW_TOKENS} new tokens, pictures {kind}", flush=True)
            spent: dict[str, list[tuple[float, float]]] = defaultdict(list)
            for _ in range(given.rounds):
                for arm in arms:
                    wall_s, cpu_s, said = cost(arm, checkpoint, rows[kind], given.earlier)
                    if arm.startswith("profile"):
                        print(f"  {arm}")
                        show_profile(said)
                        continue
                    spent[arm].append((wall_s, cpu_s))
                    print(f"  {arm:12} {wall_s:7.1f} s wall {cpu_s:7.1f} s CPU", flush=True)
            medians = {
                arm: [statistics.median(column) for column in zip(*tries, strict=True)] for arm, tries in spent.items()
            }
            for arm, (wall_s, cpu_s) in medians.items():
                if "ours" in medians:
                    ours_wall_s, ours_cpu_s = medians["ours"]
                    print(f"  {arm:12} / ours: {wall_s / ours_wall_s:5.2f}x wall {cpu_s / ours_cpu_s:5.2f}x CPU")


if __name__ == "__main__":
    if "--child" in sys.argv[1:2]:
        child(sys.argv[2], sys.argv[3:])
    else:
        main()
