"""A run as Inspect's logs: one `.eval` a benchmark, which `read_eval_log`, `samples_df` and Inspect's View open.

A `.eval` is a zip of JSON (log version 2; inspect-ai 0.3.285, `log/_recorders/eval.py`): `_journal/start.json`,
`samples/<id>_epoch_<n>.json`, `summaries.json`, `header.json`. It is written by hand, as inspect-ai bounds fsspec
(2026.6 at most). A sample without a score has the value NaN there, which is how Inspect writes one that its metrics
pass over; pictures are the run's thumbnails.

Log schema: https://inspect.aisi.org.uk/eval-logs.html
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from math import nan
from pathlib import Path
from typing import Any, TypeAlias

from harness.exports.exported_run import (
    INTERVAL,
    TOOL,
    ExportedRun,
    file_part,
    json_text,
    plain,
    plain_text,
    sample_metric,
    why_null,
)
from harness.images.thumbnails import LONG_EDGE_PX
from harness.runs.record_codec import record_to_json
from harness.summary.summary_values import Metric, TaskSummary
from harness.values import Json, Record

LOG_VERSION = 2
"""Version of the log's schema."""

_Object: TypeAlias = dict[str, Any]
"""An object of the log. `Any`, as it holds NaN, which is no JSON of ours."""

_EARLIEST = (1980, 1, 1, 0, 0, 0)
"""When an entry of the zip was written: the same bytes for the same run."""

# What may be an entry's name as it is: no way out of a folder it is unpacked to, nothing that a terminal obeys.
_ENTRY = re.compile(r"[\w+=@ .,:-][\w+=@ .,:/-]{0,199}")

_SCORED_STAGES = ("format", "caption", "bbox")
"""Components that are scores of their own beside the answer's."""

_KEPT_FIELDS = (
    "category", "l2_category", "cluster", "answer_rule", "boxes", "boxes_image_px", "caption", "width", "height",
    "input_width", "input_height", "image_sha256", "pictures", "faults", "steps", "device_s", "reply_model",
    "judge_reply", "judge_error", "prompt",
)  # fmt: skip
"""Fields of a record that Inspect has no place of its own for, by the names of the run's own table."""


@dataclass
class _Log:
    """One log while it is written."""

    file: zipfile.ZipFile
    spec: _Object
    summaries: list[_Object] = field(default_factory=list[_Object])
    names: set[str] = field(default_factory=set[str])
    failed: int = 0
    input_tokens: int | None = 0
    """Sum over the samples; None once one of them is not known."""
    output_tokens: int | None = 0


def write_inspect(exported: ExportedRun, folder: Path, *, pictures: bool = True) -> None:
    """Write a log for each benchmark of a run.

    Args:
        exported: The run.
        folder: An empty folder.
        pictures: Whether stored thumbnails go into the messages.

    Raises:
        UserError: A file of the run is not what was published, or cannot be read.
        OSError: The disk refuses.
    """
    with ExitStack() as open_files:
        logs: dict[str, _Log] = {}
        for record in exported.records():
            task = record.sample.task
            if task not in logs:
                file = open_files.enter_context(
                    zipfile.ZipFile(folder / log_name(exported, task), "w", zipfile.ZIP_DEFLATED)
                )
                logs[task] = _Log(file, _spec(exported, task))
                _write(file, "_journal/start.json", {"version": LOG_VERSION, "eval": logs[task].spec, "plan": _PLAN})
            _add(logs[task], exported, record, pictures=pictures)
        for task, log in logs.items():
            _finish(log, exported, task)


def log_name(exported: ExportedRun, task: str) -> str:
    """Return a log's file name, as Inspect would call it: time, task, id."""
    begun = re.sub(r"[^0-9T-]", "-", exported.manifest.created_utc.removesuffix("Z"))[:19]
    return f"{begun}+00-00_{file_part(task).replace('_', '-')}_{_id_of(exported, task)}.eval"


def _id_of(exported: ExportedRun, task: str) -> str:
    return hashlib.sha256(f"{exported.identity}\n{plain_text(task)}".encode()).hexdigest()[:22]


_PLAN: Mapping[str, Any] = {"name": "plan", "steps": [], "config": {}}


def _spec(exported: ExportedRun, task: str) -> _Object:
    manifest, facts = exported.manifest, exported.task_facts(task)
    known = manifest.tasks.get(task)
    own = _id_of(exported, task)
    return {
        "eval_id": own,
        "run_id": exported.identity[:22],
        "created": manifest.created_utc,
        "task": plain_text(task),
        "task_id": own,
        "task_version": 0,
        "dataset": {
            "name": plain_text(task),
            "location": facts.get("dataset"),
            "samples": None if known is None else known.samples,
            "shuffled": False,
        },
        "model": plain_text(manifest.model) or "unknown",
        "model_generate_config": _generate_config(facts.get("generation")),
        "config": {"limit": None if known is None else known.limit},
        "packages": {plain_text(name): plain_text(version) for name, version in manifest.packages.items()},
        "metadata": {**exported.provenance(), **facts},
        "scorers": [{"name": TOOL, "metadata": {"protocol": exported.scored_by}}],
        "headline_metric": _headline(exported, task),
    }


def _headline(exported: ExportedRun, task: str) -> Json:
    summary = exported.tasks.get(task)
    if summary is None or summary.shown.value is None:
        return None
    return {"scorer": TOOL, "score": plain_text(summary.headline), "metric": "value"}


def _generate_config(generation: Json) -> _Object:
    """Return what Inspect has names for of how texts were generated."""
    names = {"temperature": "temperature", "top_p": "top_p", "top_k": "top_k", "max_new_tokens": "max_tokens"}
    given = generation if isinstance(generation, dict) else {}
    return {
        name: given[ours]
        for ours, name in names.items()
        if isinstance(given.get(ours), int | float) and not isinstance(given.get(ours), bool)
    }


def _add(log: _Log, exported: ExportedRun, record: Record, *, pictures: bool) -> None:
    sample = _sample(exported, record, _own_id(log, record), picture=exported.picture(record) if pictures else None)
    _write(log.file, f"samples/{sample['id']}_epoch_{sample['epoch']}.json", sample)
    shown = ("id", "epoch", "choices", "target", "scores", "uuid", "model_usage")
    summary = {name: sample[name] for name in shown}
    error = sample["error"]
    log.summaries.append(
        {
            **summary,
            "input": plain_text(record.sample.question),
            "metadata": {name: sample["metadata"][name] for name in ("sample_id", "category", "faults")},
            "error": None if error is None else error["message"],
            "completed": error is None,
            "message_count": len(sample["messages"]),
        }
    )
    log.failed += error is not None
    generation = record.generation
    log.input_tokens = _plus(log.input_tokens, generation.input_tokens)
    log.output_tokens = _plus(log.output_tokens, generation.output_tokens)


def _plus(total: int | None, more: int | None) -> int | None:
    return None if total is None or more is None else total + more


def _own_id(log: _Log, record: Record) -> str:
    """Return the sample's id as a name in the log: itself where it can be one, else a digest of it."""
    own, epoch = record.sample.id, record.repeat + 1
    name = plain_text(own)
    parts = name.split("/")
    fits = _ENTRY.fullmatch(name) and not {"", ".", ".."} & set(parts) and name == name.strip()
    if not fits or f"{name}\n{epoch}" in log.names:
        name = "sample-" + hashlib.sha256(own.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    log.names.add(f"{name}\n{epoch}")
    return name


def _sample(exported: ExportedRun, record: Record, own_id: str, *, picture: bytes | None) -> _Object:
    sample, generation = record.sample, record.generation
    fields = record_to_json(record)
    content: list[_Object] = []
    if picture is not None:
        image = "data:image/webp;base64," + base64.b64encode(picture).decode("ascii")
        content.append({"type": "image", "image": image})
    content.append({"type": "text", "text": sample.question})
    asked = {"id": f"{own_id}-user", "role": "user", "content": content}
    written: _Object = {
        "id": f"{own_id}-assistant", "role": "assistant", "content": generation.text, "source": "generate",
        "model": exported.manifest.model,
    }  # fmt: skip
    error = generation.error
    usage = _usage(record)
    return {
        "id": own_id,
        "epoch": record.repeat + 1,
        "input": [asked],
        "choices": list(sample.choices.values()) or None,
        "target": list(sample.answers or ()),
        "messages": [asked] if error is not None else [asked, written],
        "output": _output(exported, record, written, usage),
        "scores": _scores(exported, record),
        "metadata": {
            "sample_id": sample.id,
            "option_letters": list(sample.choices) or None,
            "has_gold": sample.answers is not None,
            "picture": _picture_words(picture, record),
            **{name: fields[name] for name in _KEPT_FIELDS},
            "extra": fields["extra"],
        },
        "model_usage": {exported.manifest.model or "unknown": usage} if usage else {},
        "uuid": hashlib.sha256(f"{_id_of(exported, sample.task)}\n{own_id}\n{record.repeat}".encode()).hexdigest()[:22],
        "error": None if error is None else {"message": error, "traceback": "", "traceback_ansi": ""},
    }


def _output(exported: ExportedRun, record: Record, written: _Object, usage: _Object | None) -> _Object:
    if record.generation.error is not None:
        return {"model": exported.manifest.model, "choices": [], "error": record.generation.error}
    # who scores texts made elsewhere does not see how they ended
    ended = "max_tokens" if record.generation.truncated else "stop"
    reason = "unknown" if exported.manifest.predictions_only and ended == "stop" else ended
    choice = {"message": written, "stop_reason": reason}
    return {"model": exported.manifest.model, "choices": [choice], "usage": usage}


def _picture_words(picture: bytes | None, record: Record) -> str:
    """Say what of the picture stands in the log."""
    if picture is None:
        return "not in this log"
    several = f"{len(record.sample.pictures)} pictures side by side, " if record.sample.pictures else ""
    return f"{several}small: a long edge of at most {LONG_EDGE_PX} px each; the model saw it at its input size"


def _usage(record: Record) -> _Object | None:
    """Return the tokens, where both counts are known: Inspect has no place for one alone."""
    read, written = record.generation.input_tokens, record.generation.output_tokens
    if read is None or written is None:
        return None
    return {"input_tokens": read, "output_tokens": written, "total_tokens": read + written}


def _scores(exported: ExportedRun, record: Record) -> _Object:
    """Return the answer's score under its metric's name, and the stages' where the row has gold for them."""
    score = record.score
    name = sample_metric(record.sample.task, exported.protocol) or "answer"
    faults = ", ".join(score.faults) or None
    answer: _Object = {
        "value": nan if score.value is None else score.value,
        "answer": score.extracted,
        "explanation": faults if score.value is not None else why_null(record),
        "metadata": {"protocol": exported.scored_by, "faults": list(score.faults)},
    }
    if score.value is None:
        answer["reason"] = "scoring_failed"
    found: _Object = {name: answer}
    places = json_text([list(box) for box in score.boxes_image_px or ()])
    if score.iou is not None:
        found["iou"] = {"value": score.iou, "answer": places, "explanation": faults}
    for stage in _SCORED_STAGES:
        value = getattr(score.components, stage)
        if value is not None:
            found[stage] = {"value": value, "answer": places if stage == "bbox" else None, "explanation": faults}
    return found | {key: {"value": value} for key, value in score.native.items() if key not in found}


def _finish(log: _Log, exported: ExportedRun, task: str) -> None:
    """Write what only the end knows: the list of samples, and the header with the numbers."""
    manifest, rows = exported.manifest, len(log.summaries)
    summary = exported.tasks.get(task)
    usage: _Object = {}
    if log.input_tokens is not None and log.output_tokens is not None and rows:
        total = log.input_tokens + log.output_tokens
        usage = {"input_tokens": log.input_tokens, "output_tokens": log.output_tokens, "total_tokens": total}
    header = {
        "version": LOG_VERSION,
        "status": "success",
        "eval": log.spec,
        "plan": _PLAN,
        "results": {
            "total_samples": rows,
            "completed_samples": rows - log.failed,
            "scores": [] if summary is None else list(_results(summary)),
            "headline": _headline(exported, task),
        },
        "stats": {
            "started_at": manifest.created_utc,
            "completed_at": manifest.finished_utc or "",
            "model_usage": {manifest.model or "unknown": usage} if usage else {},
        },
    }
    _write(log.file, "summaries.json", log.summaries)
    _write(log.file, "header.json", header)


def _results(summary: TaskSummary) -> Iterator[_Object]:
    """Yield every metric, the headline first; one without a value has its reason in place of a number."""
    unscored = sum(summary.unscored.values())
    for name, metric in summary.metrics.items():
        yield {
            "name": name,
            "scorer": TOOL,
            "scored_samples": metric.n,
            "unscored_samples": unscored,
            "metrics": {number: {"name": number, "value": value} for number, value in _numbers(metric)},
            "metadata": {
                "n": metric.n, "rows": summary.rows, "clusters": summary.clusters, "interval": INTERVAL,
                "reason": metric.reason, "headline": name == summary.headline,
            },
        }  # fmt: skip


def _numbers(metric: Metric) -> Sequence[tuple[str, float]]:
    given = (("value", metric.value), ("ci_low", metric.ci_low), ("ci_high", metric.ci_high))
    return [(name, value) for name, value in given if value is not None]


def _write(file: zipfile.ZipFile, name: str, value: Any) -> None:
    entry = zipfile.ZipInfo(name, date_time=_EARLIEST)
    entry.compress_type = zipfile.ZIP_DEFLATED
    file.writestr(entry, json.dumps(_clean(value), separators=(",", ":")))


def _clean(value: Any) -> Any:
    """Return what UTF-8 and JSON hold, but for NaN, which stands for a score that there is not."""
    if isinstance(value, float):
        return value if value != value else plain(value)  # noqa: PLR0124 - what NaN is
    if isinstance(value, Mapping):
        return {plain_text(str(name)): _clean(item) for name, item in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    return plain(value)
