"""Cost of a run outside the model: ours against stock lmms-eval, on the same samples, in the same process.

Both ask a model that replays text. Stock: lmms-eval's own MMStar task functions on a local parquet file, its default
settings, a chat model that reads each document's messages. Ours: `run_benchmarks` with thumbnails off, from the first
check to the published run folder. Two sizes of data are measured and subtracted, so that fixed costs (imports, set-up)
fall out and what is left is the cost of a sample.

    python -P tests/bench/bench_overhead.py
"""

from __future__ import annotations

import cProfile
import io
import os
import pstats
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from skimage import data as photographs

SMALL, LARGE = 60, 260
WIDTH, HEIGHT = 640, 480
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
  until: ["ASSISTANT:"]
metric_list:
  - metric: average
    aggregation: !function lmms_eval.tasks.mmstar.utils.mmstar_aggregate_results
    higher_is_better: true
lmms_eval_specific_kwargs:
  default:
    pre_prompt: ""
    post_prompt: ""
metadata:
  - version: 0.0
"""
REPLY = "<caption>a photograph of several things</caption><bbox>[[10,20,110,220]]</bbox><answer>B</answer>"


class Silent:
    """Listens to nothing."""

    def task_started(self, task: str, rows: int, answered: int) -> None:
        """Say nothing."""

    def sample_recorded(self, record: object) -> None:
        """Say nothing."""

    def task_finished(self, task: str) -> None:
        """Say nothing."""


def write_rows(path: Path, rows: int) -> None:
    """Write MMStar's columns with photographs, each a little different, as 640x480 PNG files."""
    pictures = [Image.fromarray(picture()).convert("RGB").resize((WIDTH, HEIGHT)) for picture in _pictures()]
    images = []
    for row in range(rows):
        picture = pictures[row % len(pictures)].copy()
        picture.putpixel((row % WIDTH, 7), (row % 256, 1, 2))
        stream = io.BytesIO()
        picture.save(stream, format="PNG")
        images.append({"bytes": stream.getvalue(), "path": f"{row}.png"})
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    question = "What is it? Options: A: a cat, B: a dog, C: a cup, D: a star"
    table = pa.table(
        {
            "index": list(range(rows)),
            "question": [question] * rows,
            "image": pa.array(images, kind),
            "answer": ["ABCD"[row % 4] for row in range(rows)],
            "category": ["math"] * rows,
            "l2_category": ["geometry"] * rows,
        }
    )
    features = '{"info": {"features": {"index": {"dtype": "int64", "_type": "Value"}, "question": {"dtype": "string", '
    features += '"_type": "Value"}, "image": {"_type": "Image"}, "answer": {"dtype": "string", "_type": "Value"}, '
    features += (
        '"category": {"dtype": "string", "_type": "Value"}, "l2_category": {"dtype": "string", "_type": "Value"}}}}'
    )
    pq.write_table(table.replace_schema_metadata({"huggingface": features}), path, row_group_size=100)


def _pictures() -> list[Callable[[], object]]:
    return [photographs.astronaut, photographs.coffee, photographs.chelsea]


def stock_s(folder: Path, rows_file: Path) -> float:
    """Run stock lmms-eval and return its seconds."""
    from lmms_eval.api.model import lmms
    from lmms_eval.evaluator import simple_evaluate
    from lmms_eval.tasks import TaskManager

    class StockReplay(lmms):
        """A chat model that reads each document's messages and replays a text."""

        is_simple = False

        def generate_until(self, requests: list) -> list[str]:
            texts = []
            for request in requests:
                _, doc_to_messages, _, doc_id, task, split = request.args
                messages = doc_to_messages(self.task_dict[task][split][doc_id])
                assert messages
                texts.append(REPLY)
            return texts

        def loglikelihood(self, requests: list) -> list:
            raise NotImplementedError

        def generate_until_multi_round(self, requests: list) -> list:
            raise NotImplementedError

    tasks_dir = folder / f"stock-{rows_file.stem}"
    tasks_dir.mkdir(exist_ok=True)
    (tasks_dir / "stock_mmstar.yaml").write_text(STOCK_YAML.format(file=rows_file))
    manager = TaskManager("ERROR", include_path=str(tasks_dir), include_defaults=False, model_name="replay")
    started = time.perf_counter()
    simple_evaluate(model=StockReplay(), tasks=["stock_mmstar"], task_manager=manager, batch_size=1)
    return time.perf_counter() - started


def ours_s(folder: Path, checkpoint: Path, rows_file: Path, *, thumbnails: bool) -> float:
    """Run ours and return its seconds."""
    from harness.models.replay import SatoriReplay
    from tasks.local_data import DatasetOverride
    from tasks.run import run_benchmarks
    from tasks.run_spec import RunEnvironment, RunSpec

    spec = RunSpec(
        model=str(checkpoint),
        tasks="mmstar",
        datasets={"mmstar": DatasetOverride(str(rows_file))},
        out=folder / "runs",
        thumbnails=thumbnails,
        resume=False,
    )
    environment = RunEnvironment(
        now=lambda: datetime.now(UTC),
        say=lambda _: None,
        listener=Silent(),
        packages={},
        load_model=lambda _: SatoriReplay(lambda task, doc_id: REPLY, batch_size=8),
    )
    started = time.perf_counter()
    run_benchmarks(spec, environment)
    return time.perf_counter() - started


def tiny_checkpoint(folder: Path) -> Path:
    """Build the checkpoint that the replaying run is said to be of."""
    from training.loop.tiny_model import build_tiny_qwen2_5_vl

    return build_tiny_qwen2_5_vl(folder / "tiny", ["one two three"] * 5)


def per_sample_ms(measure: Callable[[Path], float], small: Path, large: Path) -> float:
    """Return milliseconds a sample: the difference of two sizes, the better of two tries each."""
    slow = min(measure(large) for _ in range(2))
    fast = min(measure(small) for _ in range(2))
    return 1000 * (slow - fast) / (LARGE - SMALL)


def main() -> dict[str, float]:
    """Measure, print the table, return its figures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["HF_DATASETS_CACHE"] = str(folder / "cache")
        small, large = folder / "small.parquet", folder / "large.parquet"
        write_rows(small, SMALL)
        write_rows(large, LARGE)
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            checkpoint = tiny_checkpoint(folder)
            stock_s(folder, small)
            ours_s(folder, checkpoint, small, thumbnails=False)
            stock = per_sample_ms(lambda file: stock_s(folder, file), small, large)
            ours = per_sample_ms(lambda file: ours_s(folder, checkpoint, file, thumbnails=False), small, large)
            thumbs = per_sample_ms(lambda file: ours_s(folder, checkpoint, file, thumbnails=True), small, large)
            profile = cProfile.Profile()
            profile.enable()
            ours_s(folder, checkpoint, large, thumbnails=False)
            profile.disable()
    figures = {"stock_ms": stock, "ours_ms": ours, "ratio": ours / stock, "thumbnails_ms": thumbs - ours}
    print(f"overhead outside the model, {WIDTH}x{HEIGHT} PNG photographs, ms a sample")
    print(f"  stock lmms-eval       {stock:7.2f}")
    print(f"  ours, thumbnails off  {ours:7.2f}")
    print(f"  ratio                 {ours / stock:7.2f}   (wanted: at most 0.5)")
    print(f"  thumbnails add        {thumbs - ours:7.2f}")
    print(f"  what is left, from a profile of {LARGE} samples:")
    lines = io.StringIO()
    pstats.Stats(profile, stream=lines).sort_stats("tottime").print_stats(12)
    for line in lines.getvalue().splitlines():
        if "ncalls" in line or ("." in line and line.strip()[:1].isdigit()):
            print(f"    {line.strip()[:110]}")
    return figures


if __name__ == "__main__":
    main()
