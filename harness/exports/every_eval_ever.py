"""A run in the files of Every Eval Ever (schema 0.3.0): one record with every number, and a line a scored sample.

    data/satori-bench/<developer>/<model>/<uuid>.json
    data/satori-bench/<developer>/<model>/<uuid>_samples.jsonl

A line must hold a number, so a sample without a score has none; how many were left out, and why, stands beside the
file's checksum. The UUID is of version 4 by its bits, and made of the run's identity: the same run has the same.

Schemas: https://github.com/evaleval/every_eval_ever, `eval.schema.json` and `instance_level_eval.schema.json`
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from uuid import UUID

from harness.errors import ConfigError
from harness.exports.exported_run import (
    HUB_ID,
    INTERVAL,
    TOOL,
    ExportedRun,
    file_part,
    greatest_value,
    hub_data,
    json_text,
    moment_of,
    plain_text,
    sample_metric,
    unit_of,
    why_null,
    words_of,
)
from harness.summary.summary_values import Metric, TaskSummary, unscored_cause
from harness.values import Json, Record

SCHEMA_VERSION = "0.3.0"
"""Version of Every Eval Ever's schema."""

UNKNOWN = "unknown"
"""What the schema asks to write where something that must be there is not known."""

_OF_THE_MODEL = ("weights_hash", "adapter_hash", "config_hash", "model_type")
"""Facts of a run's provenance that tell its model from others."""

_Object = dict[str, Json]


@dataclass(frozen=True, slots=True)
class _Known:
    """What every part of the record names alike."""

    exported: ExportedRun
    developer: str
    model: str

    @property
    def model_id(self) -> str:
        return f"{self.developer}/{self.model}"

    @property
    def evaluation_id(self) -> str:
        return f"{TOOL}/{self.model_id}/{self.exported.identity[:16]}"


def write_every_eval_ever(exported: ExportedRun, folder: Path, *, model_id: str | None = None) -> list[str]:
    """Write a run's record and samples; return what a reader must know.

    Args:
        exported: The run.
        folder: An empty folder, which becomes the one that holds `data/`.
        model_id: Developer and model as `OWNER/NAME`; None leaves the developer unknown.

    Raises:
        ConfigError: The model's id is none.
        UserError: A file of the run is not what was published, or cannot be read.
        OSError: The disk refuses.
    """
    uuid = UUID(bytes=bytes.fromhex(exported.identity[:32]), version=4)
    if model_id is not None and not HUB_ID.fullmatch(model_id):
        raise ConfigError(f"--model-id {model_id[:80]!r} is no OWNER/NAME")
    known = _Known(exported, *_names(exported, model_id))
    place = f"data/{TOOL}/{file_part(known.developer)}/{file_part(known.model)}"
    (folder / place).mkdir(parents=True)
    samples = f"{place}/{uuid}_samples.jsonl"
    rows, left_out = _write_samples(known, folder / samples)
    record = _aggregate(known)
    why = ", ".join(f"{count} {cause}" for cause, count in sorted(left_out.items()))
    if rows:
        digest = hashlib.sha256((folder / samples).read_bytes()).hexdigest()
        record["detailed_evaluation_results"] = {
            "format": "jsonl", "file_path": samples, "hash_algorithm": "sha256", "checksum": digest, "total_rows": rows,
            "additional_details": {"left_out_without_score": why or "none"},
        }  # fmt: skip
    else:
        (folder / samples).unlink()  # the validator refuses one without a line
    (folder / place / f"{uuid}.json").write_text(json_text(record, indent=1) + "\n", encoding="ascii")
    notes = [] if not left_out else [
        f"{sum(left_out.values())} samples without a score are not among the lines, which must hold a number: {why}"
    ]  # fmt: skip
    nulls = [f"{task}: {name}" for task, summary in exported.tasks.items() for name in _null_metrics(summary)]
    return notes + ([f"without a value, so left out: {', '.join(nulls)}"] if nulls else [])


def _null_metrics(summary: TaskSummary) -> list[str]:
    return [name for name, metric in summary.metrics.items() if metric.value is None]


def _names(exported: ExportedRun, model_id: str | None) -> tuple[str, str]:
    """Return developer and model. What a run was given may be a Hub id or a folder: only a person can tell."""
    if model_id is not None:
        developer, _, model = model_id.partition("/")
        return developer, model
    last = exported.manifest.model.rstrip("/\\").replace("\\", "/").rpartition("/")[2]
    return UNKNOWN, plain_text(last) or UNKNOWN


def _aggregate(known: _Known) -> _Object:
    exported = known.exported
    manifest = exported.manifest
    begun, ended = moment_of(manifest.created_utc), moment_of(manifest.finished_utc)
    facts = words_of(exported.provenance())
    engine = {"hf": "transformers", "vllm": "vllm"}.get(manifest.backend)
    info: _Object = {
        "name": known.model,
        "id": known.model_id,
        "developer": known.developer,
        "additional_details": {
            # whoever asks a server does not know who runs it; weights that lie here may be anybody's
            "deployment_type": "self_deployed" if engine and not manifest.predictions_only else UNKNOWN,
            "model_availability": UNKNOWN,
            **{name: facts[name] for name in _OF_THE_MODEL if name in facts},
        },
    }  # fmt: skip
    if engine is not None:
        version = manifest.packages.get(engine)
        info["inference_engine"] = {"name": engine, "version": version} if version else {"name": engine}
    record: _Object = {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": known.evaluation_id,
        "retrieved_timestamp": str(int(ended.timestamp())) if ended else UNKNOWN,
        "source_metadata": {
            "source_name": TOOL,
            "source_type": "evaluation_run",
            "source_organization_name": UNKNOWN,
            "evaluator_relationship": "other",
            "additional_details": cast("Json", facts),
        },
        "eval_library": {
            "name": TOOL,
            "version": manifest.packages.get(TOOL) or UNKNOWN,
            "additional_details": cast("Json", words_of({"lmms_eval": manifest.packages.get("lmms-eval")})),
        },
        "model_info": info,
        "evaluation_results": [
            _result(exported, summary, name, metric)
            for summary in exported.tasks.values()
            for name, metric in summary.metrics.items()
            if metric.value is not None
        ],
    }
    return record | ({"evaluation_timestamp": str(int(begun.timestamp()))} if begun else {})


def _result(exported: ExportedRun, summary: TaskSummary, name: str, metric: Metric) -> _Object:
    better = exported.higher_is_better(summary.task, name)
    most = greatest_value(summary, name)
    details: _Object = {
        "headline": name == summary.headline,
        "better": {True: "higher", False: "lower", None: "neither, or not known"}[better],
    }
    config: _Object = {
        "metric_id": name if name == "accuracy" else f"{TOOL}.{summary.task}.{name}",
        "metric_name": name,
        "metric_kind": name,
        "metric_unit": unit_of(name),
        "lower_is_better": better is False,
        "additional_details": cast("Json", words_of(details)),
    }
    if most is not None:
        config |= {"score_type": "continuous", "min_score": 0.0, "max_score": most}
    uncertainty: _Object = {"num_samples": metric.n}
    if metric.ci_low is not None and metric.ci_high is not None:
        uncertainty["confidence_interval"] = {
            "lower": metric.ci_low, "upper": metric.ci_high, "confidence_level": 0.95, "method": INTERVAL,
        }  # fmt: skip
    counts: _Object = {
        "n": metric.n, "rows": summary.rows, "clusters": summary.clusters,
        "unscored": cast("_Object", dict(summary.unscored)),
        "no_interval_because": metric.reason if metric.ci_low is None else None,
    }  # fmt: skip
    return {
        "evaluation_result_id": f"{summary.task}.{name}",
        "evaluation_name": summary.task,
        "source_data": _source(exported, summary.task),
        "metric_config": config,
        "score_details": {
            "score": metric.value,
            "details": cast("Json", words_of(counts)),
            "uncertainty": uncertainty,
        },
        "generation_config": _generation(exported, summary.task),
    }


def _source(exported: ExportedRun, task: str) -> _Object:
    facts = exported.task_facts(task)
    details = words_of({name: value for name, value in facts.items() if name != "generation"})
    hub = hub_data(exported.manifest.tasks.get(task))
    source: _Object = {"dataset_name": task, "additional_details": cast("Json", details)}
    if hub is None:
        return source | {"source_type": "other"}
    named: _Object = {"hf_repo": hub.repository, "hf_split": hub.split, "samples_number": facts["dataset_rows"]}
    return source | {"source_type": "hf_dataset"} | named


def _generation(exported: ExportedRun, task: str) -> _Object:
    given = exported.task_facts(task).get("generation")
    settings: Mapping[str, Json] = given if isinstance(given, dict) else {}
    arguments: _Object = {}
    for ours, theirs in (("temperature", "temperature"), ("top_p", "top_p"), ("top_k", "top_k")):
        if _is_number(settings.get(ours)):
            arguments[theirs] = settings[ours]
    most = settings.get("max_new_tokens")
    if isinstance(most, int) and not isinstance(most, bool) and most > 0:
        arguments["max_tokens"] = most
    manifest = exported.manifest
    rules: _Object = {"protocol": exported.scored_by, "judge": manifest.judge, "generation": dict(settings) or None}
    facts = {name: exported.provenance()[name] for name in ("format", "box_dialect", "protocol_hash", "blind")}
    return {"generation_args": arguments, "additional_details": cast("Json", words_of(rules | facts))}


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _write_samples(known: _Known, path: Path) -> tuple[int, Counter[str]]:
    """Write a line a scored sample; return how many, and how many had no score, by cause."""
    rows, left_out = 0, Counter[str]()
    with path.open("w", encoding="ascii") as file:
        for record in known.exported.records():
            if record.score.value is None:
                left_out[unscored_cause(record.score.faults)] += 1
                continue
            file.write(json_text(_instance(known, record)) + "\n")
            rows += 1
    return rows, left_out


def _instance(known: _Known, record: Record) -> _Object:
    exported = known.exported
    sample, generation, score = record.sample, record.generation, record.score
    question: _Object = {
        "raw": plain_text(sample.question),
        "reference": [plain_text(one) for one in sample.answers or ()],
    }
    # the recipe of Every Eval Ever, so that the same question is known across models and tools
    recipe = json.dumps(question, sort_keys=True, separators=(",", ":"))
    linked = sample_metric(sample.task, exported.protocol)
    details: _Object = {
        "repeat": record.repeat, "category": sample.category or None, "l2_category": sample.l2_category or None,
        "cluster": sample.cluster or None, "faults": ", ".join(score.faults) or None, "iou": score.iou,
        "boxes_image_px": _boxes(score.boxes_image_px), "gold_boxes_image_px": _boxes(sample.boxes_image_px),
        "format": score.components.format, "caption": score.components.caption, "bbox": score.components.bbox,
        "native": dict(score.native) or None, "truncated": generation.truncated, "judge_reply": record.judge_reply,
        "image_sha256": sample.image_sha256 or None, "pictures": len(sample.pictures) or None,
        "image_width": sample.image_size.width if sample.image_size else None,
        "image_height": sample.image_size.height if sample.image_size else None,
    }  # fmt: skip
    line: _Object = {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": known.evaluation_id,
        "model_id": known.model_id,
        "evaluation_name": sample.task,
        "sample_id": sample.id,
        "sample_hash": hashlib.sha256(recipe.encode()).hexdigest(),
        "interaction_type": "single_turn",
        "input": {**question, "formatted": generation.prompt, "choices": list(sample.choices.values()) or None},
        "output": {"raw": [generation.text]},
        "answer_attribution": []
        if score.extracted is None
        else [
            {
                "turn_idx": 0, "source": "output.raw", "extracted_value": score.extracted,
                "extraction_method": f"{TOOL} {exported.scored_by}", "is_terminal": True,
            }
        ],
        "evaluation": {"score": score.value, "is_correct": score.value == 1.0},
        "error": why_null(record) if generation.error else None,
        "metadata": cast("Json", words_of(details)),
    }  # fmt: skip
    read, written = generation.input_tokens, generation.output_tokens
    if read is not None and written is not None:
        line["token_usage"] = {"input_tokens": read, "output_tokens": written, "total_tokens": read + written}
    # what counts MMBench's questions or MME's images is no mean of samples' scores, so no line belongs to it
    if linked is not None and linked in exported.tasks[sample.task].metrics:
        line["evaluation_result_id"] = f"{sample.task}.{linked}"
    return line


def _boxes(boxes: tuple[tuple[float, float, float, float], ...] | None) -> Json:
    return None if boxes is None else [list(box) for box in boxes]
