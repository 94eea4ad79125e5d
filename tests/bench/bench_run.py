"""A whole `run` beside the peers: the same tiny Qwen2.5-VL, the same samples, the same token limit, greedy, on a CPU.

Each arm is a command of its own, with all its processes; arms take turns. Questions are MMStar's columns with photographs
of 640x480: all different, then four questions a picture. Peers: stock lmms-eval's `qwen2_5_vl` at its defaults (bfloat16,
batch 1) and at its best setting on a CPU (float32, batch 8), and an earlier checkout of ours where one is given. Where
others use the machine too, CPU seconds are the column to trust. VLMEvalKit is left out: its Qwen2-VL asks for CUDA and
flash attention in its source.

`alone` is plain transformers: `generate` on inputs that are there already, nothing else counted. What it takes a sample
bounds what any harness can reach with the same model, so the last lines hold the wanted ratios against it.

A profile says what a run does beside the model's own forward, and what lies before the first question and after the last
answer; of stock it says the forward alone. A part's seconds are without those of the parts within it; its CPU seconds
are those of the thread that did it. `start` and `imports` take the time before the first question apart.

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
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

import harness

if "--child" not in sys.argv[1:2]:  # what draws pictures would count as an arm's start
    sys.path.append(str(Path(__file__).parent))  # `-P` leaves it out
    from bench_overhead import STOCK_YAML, write_rows

CODE_ROOT = Path(harness.__file__).parents[1]
NEW_TOKENS = 32
SYSTEM = "You are a helpful assistant."
"""What stock lmms-eval's model says first; all arms ask in the same words."""
ARMS = (
    *("ours", "stock", "stock-best", "earlier", "ours-bfloat16", "alone"),
    *("profile", "profile-stock-best", "start", "start-earlier", "imports"),
)
WANTED = {"stock": 3.0, "stock-best": 1.3}
"""How many times as fast as a peer a run is to be on pictures that are all different."""
WANTED_SHARED = {"stock": 2.0, "stock-best": 2.0}
"""The same where four questions share a picture."""
ALONE = (("float32", 8, False), ("float32", 8, True), ("bfloat16", 1, False), ("bfloat16", 8, True))
"""What the model alone is timed at: number format, batch, whether its tower takes picture by picture as ours does."""
ALONE_SAMPLES = 64
QWEN = "transformers.models.qwen2_5_vl.modeling_qwen2_5_vl"
FORWARD = "the model's own forward"
PARTS = {
    f"{QWEN}:Qwen2_5_VLForConditionalGeneration.forward": FORWARD,
    f"{QWEN}:Qwen2_5_VisionTransformerPretrainedModel.forward": FORWARD,
    "harness.models.refilled_rows:RefilledRows.begin": "around it: positions, masks, choice of tokens",
    "harness.models.refilled_rows:RefilledRows.step": "around it: positions, masks, choice of tokens",
    "harness.models.refilled_rows:RefilledRows.join": "rows that join and leave",
    "harness.models.refilled_rows:RefilledRows.take_ended": "rows that join and leave",
    "harness.models.picture_features:_key": "hashing pixels for remembered features",
    "harness.models.chat_inputs:ChatInputs.tensors": "processor: tokens, patches (thread)",
    "harness.models.base:RecordingModel._opened": "opening pictures (threads)",
    "harness.images.thumbnails:write_thumbnail": "thumbnails (thread)",
    "harness.models.base:RecordingModel._record_answer": "scoring, journal",
    "tasks.run:find_subject": "subject and hash, with imports",
    "tasks.run:_open_questions": "opening data",
    "tasks.run:load_model": "loading the model, with imports",
    "harness.runs.store:OpenRun.publish": "publishing",
}
"""What is timed, by module and name."""


class ArmFailedError(Exception):
    """An arm's process failed: it is left out, and the others are measured."""


def share_pictures(path: Path, shared: Path, questions: int) -> None:
    """Write the same rows again with every picture under so many questions."""
    table = pq.read_table(path)
    images = table["image"].combine_chunks()
    taken = images.take(pa.array([row // questions for row in range(len(images))]))
    pq.write_table(table.set_column(table.schema.get_field_index("image"), table.schema.field("image"), taken), shared)


def command_of(arm: str, checkpoint: Path, rows: Path, out: Path) -> list[str]:
    """Return the command of an arm."""
    own = [sys.executable, "-P", __file__, "--child", arm]
    if arm == "alone":
        return [*own, str(checkpoint), str(rows)]
    if arm == "imports":
        return own
    if "stock" in arm:
        (out / "stock_mmstar.yaml").write_text(STOCK_YAML.format(file=rows))
        size = "8" if arm.endswith("best") else "1"
        model = f"pretrained={checkpoint},device=cpu,device_map=cpu"
        asked = ["--model", "qwen2_5_vl", "--model_args", model, "--batch_size", size, "--tasks", "stock_mmstar"]
        return [*own, *asked, "--include_path", str(out), "--gen_kwargs", f"max_new_tokens={NEW_TOKENS}"]
    asked = ["run", "--model", str(checkpoint), "--tasks", "mmstar", "--dataset", f"mmstar={rows}", "--device", "cpu"]
    asked += ["--max-new-tokens", str(NEW_TOKENS), "--out", str(out / "runs"), "--format", "plain"]
    if arm.endswith("bfloat16"):
        asked += ["--dtype", "bfloat16"]
    # stock's words; an earlier version takes none, and has them written into its own
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
    if done.returncode:
        raise ArmFailedError(f"{arm} ended with {done.returncode}: {done.stderr[-2000:]}")
    return wall_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def child(arm: str, arguments: list[str]) -> None:
    """Be an arm's process."""
    sys.argv = [arm, *arguments]
    if "stock" in arm:
        _stock(full_precision=arm.endswith("best"), profiled=arm.startswith("profile"))
    elif arm == "profile":
        _profiled()
    elif arm == "alone":
        _alone(Path(arguments[0]), Path(arguments[1]))
    elif arm == "imports":
        _imports()
    else:
        if arm.startswith("start"):
            _ended_at_first_batch()
        if arm.endswith("earlier"):
            import tasks.prompts as words

            words.SYSTEM = {**words.SYSTEM, "plain": SYSTEM}
        from satori_bench import main as satori_bench

        satori_bench()


def _imports() -> None:
    """Say what a start imports, whoever makes it: CPU and wall seconds of each library, those before it left out."""
    said = {}
    for library in ("torch", QWEN, "lmms_eval.evaluator", "harness.models.hf", "satori_bench"):
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        importlib.import_module(library)
        said[library.rpartition(".")[2]] = [time.perf_counter() - wall_s, time.process_time() - cpu_s]
    print("IMPORTS " + json.dumps(said))


def _alone(checkpoint: Path, rows: Path) -> None:
    """Time `generate` of plain transformers, inputs made beforehand: CPU and wall milliseconds a sample."""
    import io

    import torch
    from PIL import Image
    from transformers import AutoProcessor, Qwen2_5_VLForConditionalGeneration

    from harness.models.picture_features import PictureFeatures

    table = pq.read_table(rows, columns=["question", "image"]).slice(0, ALONE_SAMPLES).to_pylist()
    pictures = [Image.open(io.BytesIO(row["image"]["bytes"])).convert("RGB") for row in table]
    processor = AutoProcessor.from_pretrained(checkpoint, padding_side="left")
    texts = []
    for row in table:
        question = [{"type": "image"}, {"type": "text", "text": row["question"]}]
        chat = [
            {"role": "system", "content": [{"type": "text", "text": SYSTEM}]},
            {"role": "user", "content": question},
        ]
        texts.append(processor.apply_chat_template(chat, tokenize=False, add_generation_prompt=True))
    said = []
    for dtype, size, one_by_one in ALONE:
        model = Qwen2_5_VLForConditionalGeneration.from_pretrained(checkpoint, dtype=getattr(torch, dtype)).eval()
        tower = PictureFeatures(model) if one_by_one else None
        wall_s = cpu_s = 0.0
        for first in range(-size, len(table), size):  # the first one warms up
            some = slice(max(0, first), max(0, first) + size)
            inputs = processor(text=texts[some], images=pictures[some], padding=True, return_tensors="pt")
            inputs = inputs.to(dtype=getattr(torch, dtype))
            names = () if tower is None else tower.names_of(pictures[some])
            before = time.perf_counter(), time.process_time()
            with torch.inference_mode():
                if tower is None:
                    model.generate(**inputs, max_new_tokens=NEW_TOKENS, do_sample=False)
                else:
                    tower.forget()
                    with tower.asked_about(names):
                        model.generate(**inputs, max_new_tokens=NEW_TOKENS, do_sample=False)
            if first >= 0:
                wall_s += time.perf_counter() - before[0]
                cpu_s += time.process_time() - before[1]
        said.append([dtype, size, one_by_one, 1000 * wall_s / len(table), 1000 * cpu_s / len(table)])
    print("ALONE " + json.dumps(said))


def _ended_at_first_batch() -> None:
    """End this process where a model is first given samples; the one question that tries it out has one row."""
    from transformers.generation.utils import GenerationMixin

    generate = GenerationMixin.generate

    def ended(model: object, *args: object, **options: object) -> object:
        if len(options["input_ids"]) > 1:
            os._exit(0)
        return generate(model, *args, **options)

    GenerationMixin.generate = ended


def _stock(*, full_precision: bool, profiled: bool) -> None:
    """Be lmms-eval's command."""
    watch = Stopwatch()
    import types

    import torch
    import transformers

    # Its model imports a reader of videos before it looks whether there are any.
    sys.modules.setdefault("decord", types.ModuleType("decord"))
    if full_precision:  # it has no option for it
        family = transformers.Qwen2_5_VLForConditionalGeneration
        load = family.from_pretrained
        family.from_pretrained = lambda *args, **options: load(*args, **{**options, "torch_dtype": torch.float32})
    if profiled:
        for place, part in PARTS.items():
            if part == FORWARD:
                watch.replace(place)
        atexit.register(watch.tell)
    from lmms_eval.__main__ import cli_evaluate

    cli_evaluate()


class Stopwatch:
    """What parts of a program took: wall seconds, CPU seconds of the thread that ran them, calls.

    The seconds of a part are without those of the parts that it calls.
    """

    def __init__(self) -> None:
        self.begun = time.perf_counter()
        self.spent: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0, 0])
        self.marks: dict[str, list[float]] = {}
        self._within = threading.local()

    def timed(self, name: str, function: Callable[..., object]) -> Callable[..., object]:
        """Return a function that is timed under a name."""

        @functools.wraps(function)  # its signature is looked at
        def called(*args: object, **options: object) -> object:
            outer: list[float] | None = getattr(self._within, "inner", None)
            self._within.inner = inner = [0.0, 0.0]
            wall_s, cpu_s = time.perf_counter(), time.thread_time()
            try:
                return function(*args, **options)
            finally:
                took = time.perf_counter() - wall_s, time.thread_time() - cpu_s
                row = self.spent[name]
                for column, seconds in enumerate(took):
                    row[column] += seconds - inner[column]
                    if outer is not None:
                        outer[column] += seconds
                row[2] += 1
                self._within.inner = outer

        return called

    def mark(self, name: str) -> None:
        """Note when something was the last time, in wall and CPU seconds since the beginning."""
        self.marks[name] = [time.perf_counter() - self.begun, time.process_time()]

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
        self.mark("whole")
        print("PROFILE " + json.dumps({"marks": self.marks, "spent": self.spent}))


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
        answer, record = model._answer, model._record_answer

        def answered(todo: object) -> object:
            watch.mark("first question")
            return answer(todo)

        def recorded(*args: object) -> object:
            kept = record(*args)
            watch.mark("last answer")
            return kept

        model._answer, model._record_answer = answered, recorded
        return model

    for place in ("tasks.run:find_subject", "tasks.run:_open_questions"):
        watch.replace(place)
    run_module.load_model = loaded
    atexit.register(watch.tell)
    satori_bench()


def said_after(word: str, said: str) -> Any:
    """Return what an arm's process printed after a word of its own."""
    return json.loads(next(line for line in said.splitlines() if line.startswith(word + " "))[len(word) + 1 :])


def show_profile(said: str) -> None:
    """Print what a profiled run spent."""
    found = said_after("PROFILE", said)
    marks, spent = found["marks"], found["spent"]
    whole_s, whole_cpu_s = marks["whole"]
    model_s, model_cpu_s, _ = spent[FORWARD]
    print(f"    {'part':54} {'calls':>6} {'wall s':>7} {'CPU s':>7} {'of CPU':>7}")
    for name, (wall_s, cpu_s, calls) in sorted(spent.items(), key=lambda part: -part[1][1]):
        print(f"    {name:54} {calls:6.0f} {wall_s:7.1f} {cpu_s:7.1f} {cpu_s / whole_cpu_s:7.1%}")
    print(f"    {'whole process':54} {'':6} {whole_s:7.1f} {whole_cpu_s:7.1f}")
    if "first question" in marks:
        (first_s, first_cpu_s), (last_s, last_cpu_s) = marks["first question"], marks["last answer"]
        print(f"    {'  start to first question':54} {'':6} {first_s:7.1f} {first_cpu_s:7.1f}")
        print(f"    {'  last answer to end':54} {'':6} {whole_s - last_s:7.1f} {whole_cpu_s - last_cpu_s:7.1f}")
        between = 1 - model_s / (last_s - first_s), 1 - model_cpu_s / (last_cpu_s - first_cpu_s)
        print(
            f"    beside the forward, between the two: {between[0]:.1%} of the wall, {between[1]:.1%} of the CPU time"
        )
    print(
        f"    beside the forward: {1 - model_s / whole_s:.1%} of the wall time, {1 - model_cpu_s / whole_cpu_s:.1%} of "
        "the CPU time (wanted of ours: at most 15 %)",
        flush=True,
    )


def show_alone(said: str, samples: int) -> float:
    """Print what the model takes by itself; return its least CPU seconds in float32, as the best of peers computes."""
    found = said_after("ALONE", said)
    for dtype, size, one_by_one, wall_ms, cpu_ms in found:
        how = f"{dtype}, batch {size}{', tower picture by picture' if one_by_one else ''}"
        total_s = cpu_ms * samples / 1000
        print(f"    {how:48} {wall_ms:7.1f} ms wall {cpu_ms:7.1f} ms CPU a sample, {total_s:6.1f} s CPU of {samples}")
    return min(row[4] for row in found if row[0] == "float32") * samples / 1000


def show_imports(said: str) -> None:
    """Print what a start imports."""
    for library, (wall_s, cpu_s) in said_after("IMPORTS", said).items():
        print(f"    {library:48} {wall_s:7.2f} s wall {cpu_s:7.2f} s CPU")


def show_ratios(medians: dict[str, list[float]], wanted: dict[str, float], alone_s: float | None) -> None:
    """Print how many times as long as ours the other arms took, and what the model alone leaves possible."""
    if "ours" not in medians:
        return
    ours_wall_s, ours_cpu_s = medians["ours"]
    for arm, (wall_s, cpu_s) in medians.items():
        bar = f" (wanted: at least {wanted[arm]:.1f}x)" if arm in wanted else ""
        print(f"  {arm:18} / ours: {wall_s / ours_wall_s:5.2f}x wall {cpu_s / ours_cpu_s:5.2f}x CPU{bar}")
        if arm in wanted and alone_s is not None:
            needed_s = cpu_s / wanted[arm]
            print(
                f"    that is {needed_s:.1f} s CPU for all; the model alone takes {alone_s:.1f} s in float32",
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
    arms = [arm for arm in filter(None, given.arms.split(",")) if given.earlier is not None or "earlier" not in arm]
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
        for kind in filter(None, given.data.split(",")):
            print(f"{given.samples} samples, {NEW_TOKENS} new tokens, pictures {kind}", flush=True)
            spent: dict[str, list[tuple[float, float]]] = defaultdict(list)
            alone_s: float | None = None
            for _ in range(given.rounds):
                for arm in arms:
                    try:
                        wall_s, cpu_s, said = cost(arm, checkpoint, rows[kind], given.earlier)
                    except ArmFailedError as failed:
                        print(f"  {failed}", flush=True)
                        continue
                    print(f"  {arm:18} {wall_s:7.1f} s wall {cpu_s:7.1f} s CPU", flush=True)
                    if arm.startswith("profile"):
                        show_profile(said)
                    elif arm == "imports":
                        show_imports(said)
                    elif arm == "alone":
                        alone_s = show_alone(said, given.samples)
                    else:
                        spent[arm].append((wall_s, cpu_s))
            medians = {
                arm: [statistics.median(column) for column in zip(*tries, strict=True)] for arm, tries in spent.items()
            }
            show_ratios(medians, WANTED if kind == "different" else WANTED_SHARED, alone_s)


if __name__ == "__main__":
    if "--child" in sys.argv[1:2]:
        child(sys.argv[2], sys.argv[3:])
    else:
        main()
