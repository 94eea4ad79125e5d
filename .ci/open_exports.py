"""Open a run's exports with the tools that they are for, and hold what those read against the run's own scores.

Run by `.ci/open_exports.sh` with a Python that has the tools and nothing of ours: this is what anybody reads.

    python open_exports.py RUN FOLDER    # FOLDER/<kind>/ as `satori-bench export` wrote them
"""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any

import datasets
from inspect_ai.analysis import samples_df
from inspect_ai.log import list_eval_logs, read_eval_log, read_eval_log_sample
from lm_eval import utils
from trackio import Api
from trackio.sqlite_storage import SQLiteStorage

datasets.disable_progress_bars()


class Records:
    """The samples of a run. Two ids may be one where a tool holds no lone surrogate."""

    def __init__(self, run: Path) -> None:
        lines = [json.loads(line) for line in (run / "samples.jsonl").read_text("utf-8").splitlines()]
        latest = {(row["task"], row["id"], row["repeat"]): row for row in lines}  # later lines win
        self._by_key: dict[tuple[str, str, int], list[dict[str, Any]]] = {}
        for row in latest.values():
            self._by_key.setdefault((plain(row["task"]), plain(row["id"]), row["repeat"]), []).append(row)
        self.count = len(latest)

    def find(self, task: str, sample_id: str, repeat: int, text: str) -> dict[str, Any]:
        """Return the sample that this is, by its key and by its text."""
        return next(row for row in self._by_key[task, sample_id, repeat] if plain(row["text"]) == text)


def plain(text: str) -> str:
    r"""Return a text with lone surrogates written out, such as `\ud800`."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def open_inspect(folder: Path, scores: dict[str, Any], records: Records) -> None:
    """Read every log and every sample; a sample without a score is NaN there."""
    seen = 0
    for info in list_eval_logs(str(folder)):
        log = read_eval_log(info)
        wanted = next(value for task, value in scores.items() if plain(task) == log.eval.task)
        found = {score.name: {name: one.value for name, one in score.metrics.items()} for score in log.results.scores}
        assert log.status == "success"
        for name, metric in wanted["metrics"].items():
            numbers = {"value": metric["value"], "ci_low": metric["ci_low"], "ci_high": metric["ci_high"]}
            assert found[plain(name)] == {key: number for key, number in numbers.items() if number is not None}
        assert (log.results.headline is None) == (wanted["metrics"][wanted["headline"]]["value"] is None)
        for sample in log.samples:
            text = sample.output.completion
            row = records.find(log.eval.task, sample.metadata["sample_id"], sample.epoch - 1, text)
            value = next(iter(sample.scores.values())).value
            assert value == row["score"] or (row["score"] is None and math.isnan(value)), (value, row["score"])
            assert (sample.error is None) == (row["error"] is None)
            assert read_eval_log_sample(info, id=sample.id, epoch=sample.epoch).uuid == sample.uuid
            seen += 1
    assert len(samples_df(str(folder))) == seen == records.count
    print(
        f"inspect-ai {version('inspect-ai')}: {len(scores)} logs, {seen} samples, every metric and score as in the run"
    )


def open_lm_eval(folder: Path, scores: dict[str, Any], records: Records) -> None:
    """Find the files as lm-eval finds its own, print its table, load the samples."""
    files = [str(path) for path in folder.rglob("*") if path.is_file()]
    (results,) = utils.get_results_filenames(files)
    samples = utils.get_sample_results_filenames(files)
    stored = json.loads(Path(results).read_text("utf-8"))
    lines = utils.make_table(stored).count("\n")
    rows = 0
    for file in samples:
        assert utils.get_file_datetime(Path(file).name) == utils.get_file_datetime(Path(results).name)[: -len(".json")]
        opened = datasets.load_dataset("json", data_files=file, split="train", cache_dir=str(folder.parent / "cache"))
        rows += len(opened)
    assert rows == records.count
    for task, value in scores.items():
        kept = stored["satori_bench"]["tasks"][plain(task)]["metrics"][plain(value["headline"])]["value"]
        assert kept == value["metrics"][value["headline"]]["value"]
    print(f"lm-eval {version('lm-eval')}: a table of {lines} lines, {rows} samples in {len(samples)} files")


def open_dataset(folder: Path, records: Records) -> None:
    """Load the folder as a data set, with its pictures."""
    opened = datasets.load_dataset(str(folder), split="samples", cache_dir=str(folder.parent / "cache"))
    pictures = sum(row["image"] is not None for row in opened) if "image" in opened.features else 0
    for row in opened:
        assert row["score"] == records.find(row["task"], row["id"], row["repeat"], row["text"])["score"]
    assert len(opened) == records.count
    print(f"datasets {version('datasets')}: {len(opened)} rows, {pictures} pictures")


def open_trackio(scores: dict[str, Any]) -> None:
    """Read what Trackio stored."""
    (run,) = Api().runs("satori-bench")
    (logged,) = SQLiteStorage.get_logs("satori-bench", run.name)
    numbers: Counter[str] = Counter()
    for task, value in scores.items():
        for name, metric in value["metrics"].items():
            at = plain(f"{task}/{name}")
            assert logged.get(at) == metric["value"]
            numbers["given" if at in logged else "without a value"] += 1
    print(f"trackio {version('trackio')}: metrics {dict(numbers)}")


if __name__ == "__main__":
    run, exports = map(Path, sys.argv[1:3])
    stored_scores = json.loads((run / "scores.json").read_text("utf-8"))["tasks"]
    stored_records = Records(run)
    open_inspect(exports / "inspect", stored_scores, stored_records)
    open_lm_eval(exports / "lm-eval", stored_scores, stored_records)
    open_dataset(exports / "datasets", stored_records)
    open_trackio(stored_scores)
