"""A run in the files that lm-evaluation-harness 0.4.13 leaves (`loggers/evaluation_tracker.py`), for what reads those.

    <model>/results_<time>.json
    <model>/samples_<task>_<time>.jsonl

Its numbers have a standard error and no interval. We have the interval alone, so `…_stderr` is `N/A`, as lm-eval writes
where it has none; n and interval stand under a key of ours, `satori_bench`. A metric without a value is left out of
`results` and stands there with its reason; a sample without a score has null.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TextIO, cast

from harness.exports.exported_run import (
    INTERVAL,
    TOOL,
    ExportedRun,
    file_part,
    json_text,
    moment_of,
    sample_metric,
    why_null,
)
from harness.summary.summary_values import TaskSummary
from harness.task_facts import is_native_metric
from harness.values import Json, Record

_Object = dict[str, Json]

_STAGES = ("iou", "format", "caption", "bbox")
"""What a sample's line holds beside the answer's score."""


def write_lm_eval(exported: ExportedRun, folder: Path) -> None:
    """Write a run's results, and its samples, a file a benchmark.

    Args:
        exported: The run.
        folder: An empty folder.

    Raises:
        UserError: A file of the run is not what was published, or cannot be read.
        OSError: The disk refuses.
    """
    place = folder / _sanitised(exported)
    place.mkdir()
    time = (exported.manifest.finished_utc or exported.manifest.created_utc).removesuffix("Z").replace(":", "-")
    hashes: dict[str, list[str]] = {}
    with ExitStack() as open_files:
        files: dict[str, TextIO] = {}
        for record in exported.records():
            task = record.sample.task
            if task not in files:
                path = place / f"samples_{file_part(task)}_{time}.jsonl"
                files[task] = open_files.enter_context(path.open("w", encoding="ascii"))
            line = _line(exported, record, len(hashes.setdefault(task, [])))
            hashes[task].append(f"{line['doc_hash']}{line['prompt_hash']}{line['target_hash']}")
            files[task].write(json_text(line) + "\n")
    digests: _Object = {task: _sha256("".join(found)) for task, found in hashes.items()}
    text = json_text(_results(exported, digests), indent=2)
    (place / f"results_{time}.json").write_text(text + "\n", encoding="ascii")


def _sanitised(exported: ExportedRun) -> str:
    """Return the model's name as lm-eval would call its folder, as far as that can be one."""
    return file_part(re.sub(r"[\"<>:/|\\?*\[\]]+", "__", exported.manifest.model).strip("_"))


def _results(exported: ExportedRun, digests: _Object) -> _Object:
    manifest, tasks = exported.manifest, exported.tasks
    begun, ended = moment_of(manifest.created_utc), moment_of(manifest.finished_utc)
    seconds = (ended - begun).total_seconds() if begun and ended and not manifest.resumed_utc else None
    return {
        "results": {task: _numbers(summary) for task, summary in tasks.items()},
        "group_subtasks": {task: [] for task in tasks},
        "configs": {task: _config(exported, task) for task in tasks},
        "versions": dict.fromkeys(tasks, exported.scored_by),
        "n-shot": dict.fromkeys(tasks, 0),
        "higher_is_better": {
            task: {_key(name)[0]: exported.higher_is_better(task, name) for name in summary.metrics}
            for task, summary in tasks.items()
        },
        "n-samples": {
            task: {
                "original": manifest.tasks[task].rows if task in manifest.tasks else summary.rows,
                "effective": summary.rows,
            }
            for task, summary in tasks.items()
        },
        "config": {
            "model": manifest.backend or None,
            "model_args": {"pretrained": manifest.model},
            "batch_size": None,
            "limit": next((task.limit for task in manifest.tasks.values() if task.limit is not None), None),
            "gen_kwargs": dict(manifest.generation),
            "random_seed": manifest.seed,
        },
        "git_hash": manifest.git_commit,
        "date": begun.timestamp() if begun else None,
        "task_hashes": digests,
        "model_source": TOOL,
        "model_name": manifest.model,
        "model_name_sanitized": _sanitised(exported),
        "total_evaluation_time_seconds": None if seconds is None else str(seconds),
        "satori_bench": {
            "provenance": exported.provenance(),
            "interval": INTERVAL,
            "tasks": {task: _intervals(summary) for task, summary in tasks.items()},
        },
    }


def _key(name: str) -> tuple[str, str]:
    """Return a metric's name and filter; lmms-eval's own have one already."""
    metric, comma, filtered = name.rpartition(",")
    return (metric, filtered) if comma and is_native_metric(name) else (name, "none")


def _numbers(summary: TaskSummary) -> _Object:
    found: _Object = {"name": summary.task, "alias": summary.task, "sample_len": summary.rows}
    for name, metric in summary.metrics.items():
        if metric.value is not None:
            own, filtered = _key(name)
            found |= {f"{own},{filtered}": metric.value, f"{own}_stderr,{filtered}": "N/A"}
    return found


def _intervals(summary: TaskSummary) -> _Object:
    return {
        "headline": summary.headline,
        "metrics": {name: cast("_Object", asdict(metric)) for name, metric in summary.metrics.items()},
        "rows": summary.rows,
        "clusters": summary.clusters,
        "unscored": cast("_Object", dict(summary.unscored)),
        "faults": cast("_Object", dict(summary.faults)),
    }


def _config(exported: ExportedRun, task: str) -> _Object:
    facts = exported.task_facts(task)
    return {
        "task": task,
        "dataset_path": facts.get("dataset"),
        "output_type": "generate_until",
        "metric_list": [
            {"metric": _answer_key(exported, task), "aggregation": "mean", "higher_is_better": True},
            *({"metric": name, "aggregation": "mean", "higher_is_better": True} for name in _STAGES),
        ],
        "generation_kwargs": facts.get("generation"),
        "repeats": 1,
        "metadata": facts,
    }


def _answer_key(exported: ExportedRun, task: str) -> str:
    """Return what the answer's score is called: like the metric that is its mean, where there is one."""
    return sample_metric(task, exported.protocol) or "answer_score"


def _line(exported: ExportedRun, record: Record, number: int) -> _Object:
    sample, generation, score = record.sample, record.generation, record.score
    doc: _Object = {
        "id": sample.id, "question": sample.question, "choices": list(sample.choices.values()) or None,
        "option_letters": list(sample.choices) or None,
        "answers": None if sample.answers is None else list(sample.answers),
        "category": sample.category or None, "l2_category": sample.l2_category or None,
        "boxes": None if sample.boxes_image_px is None else [list(box) for box in sample.boxes_image_px],
        "caption": sample.caption, "image_sha256": sample.image_sha256 or None,
        "pictures": [picture.sha256 for picture in sample.pictures] or None,
    }  # fmt: skip
    asked = sample.question if generation.prompt is None else generation.prompt
    target = json_text(doc["answers"])
    values: Mapping[str, float | None] = {
        _answer_key(exported, sample.task): score.value,
        "iou": score.iou,
        "format": score.components.format,
        "caption": score.components.caption,
        "bbox": score.components.bbox,
    }
    return {
        "doc_id": number,
        "doc": doc,
        "target": target,
        "arguments": {"gen_args_0": {"arg_0": asked, "arg_1": exported.task_facts(sample.task).get("generation")}},
        "resps": [[None if generation.error is not None else generation.text]],
        "filtered_resps": [score.extracted],
        "filter": "none",
        "metrics": list(values),
        "doc_hash": _sha256(json_text(doc)),
        "prompt_hash": _sha256(json_text(asked)),
        "target_hash": _sha256(target),
        **values,
        "repeat": record.repeat,
        "faults": list[Json](score.faults),
        "boxes_image_px": None if score.boxes_image_px is None else [list(box) for box in score.boxes_image_px],
        "why_null": why_null(record) if score.value is None else None,
        "native": {_key(name)[0]: value for name, value in score.native.items()} or None,
    }


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("ascii")).hexdigest()
