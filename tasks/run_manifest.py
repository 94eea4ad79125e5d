"""What a run's manifest says of its model, its data and its prompts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from harness.models.zoom_words import zoom_facts
from harness.runs.manifest import BLIND, LIMIT_SEED, NUMBER_FORMAT, TOOL, Manifest, TaskManifest, stamp_hashes
from harness.scoring.protocols import versioned
from harness.scoring.score import SCORER_VERSION
from harness.values import Json
from tasks.benchmark import TEMPLATE_PATH
from tasks.blind import SHOWN_IN_PLACE
from tasks.prompts import prompts_hash
from tasks.run_questions import Question
from tasks.run_spec import RunEnvironment, RunSpec
from tasks.run_subject import Subject, number_format_of

if TYPE_CHECKING:
    from tasks.native import NativeTask


def manifest_of(
    spec: RunSpec,
    environment: RunEnvironment,
    subject: Subject,
    questions: Sequence[Question],
    gold: Mapping[str, Json],
) -> Manifest:
    """Return what the run is; `gold` is what it says of gold boxes that a file gives."""
    number_format = number_format_of(spec, environment)
    tasks = {question.benchmark.name: task_manifest(spec, question) for question in questions}
    return stamp_hashes(
        Manifest(
            model=spec.model,
            weights_hash=subject.hashes.weights_hash,
            adapter_hash=subject.hashes.weights_hash if subject.is_adapter else None,
            config_hash=subject.hashes.config_hash,
            model_type=subject.model_type,
            backend=spec.backend,
            format=spec.form,
            protocol=spec.protocol,
            protocol_version=versioned(spec.protocol, SCORER_VERSION),
            box_dialect=subject.box_dialect,
            box_dialect_reason=subject.box_dialect_reason,
            pixel_limits=subject.pixel_limits,
            # None: each task's own budget, which stands in its YAML
            generation={
                "temperature": spec.temperature,
                "max_new_tokens": spec.max_new_tokens,
                **_additions(spec),
                **_limits_of_processor(spec, subject),
            },
            tasks=tasks,
            prompt_hash=_prompts(tasks),
            seed=spec.seed,
            packages=environment.packages,
            scorer_version=SCORER_VERSION,
            created_utc="",
            git_commit=environment.git_commit,
            partial=any(len(question.data) < question.rows for question in questions),
            judge=spec.judge.model if spec.judge is not None else None,
            name=spec.name,
            shard=None if spec.shard is None else str(spec.shard),
            other={"arguments": spec.to_json()}
            | ({} if number_format is None else {NUMBER_FORMAT: number_format})
            | ({BLIND: SHOWN_IN_PLACE[spec.blind]} if spec.blind is not None else {})
            | ({TOOL: zoom_facts(spec.form, spec.tool_turns)} if spec.tool is not None else {})
            | dict(gold),
        )
    )


def _additions(spec: RunSpec) -> dict[str, Json]:
    """Return what a person added to every request; nothing where nothing was, so that older hashes stay."""
    added = {"extra_body": dict(spec.extra_body), "chat_template_kwargs": dict(spec.chat_template_kwargs)}
    return {name: cast("Json", fields) for name, fields in added.items() if fields}


def _limits_of_processor(spec: RunSpec, subject: Subject) -> dict[str, Json]:
    """Return the limits that a person gave to an image processor that resizes by its own rule."""
    if subject.pixel_limits is not None:
        return {}
    given = {"min_pixels": spec.min_pixels, "max_pixels": spec.max_pixels}
    return {name: pixels for name, pixels in given.items() if pixels is not None}


def task_manifest(spec: RunSpec, question: Question) -> TaskManifest:
    """Return what one task asks, and of which data."""
    if question.native is not None:
        return _native_manifest(spec, question, question.native)
    override = spec.datasets.get(question.benchmark.name)
    return TaskManifest(
        yaml_hash=hashlib.sha256(question.benchmark.yaml_path.read_bytes()).hexdigest(),
        dataset_path=question.data.source,
        dataset_revision=override.revision if override is not None else None,
        fingerprint=question.data.fingerprint,
        rows=question.rows,
        samples=len(question.data),
        limit=spec.limit if question.limited else None,
        prompt_hash=prompts_hash(spec.form, spec.wording, question.benchmark),
        generation={
            "temperature": spec.temperature,
            "max_new_tokens": spec.max_new_tokens or question.benchmark.max_new_tokens,
            **_additions(spec),
        },
        template_hash=hashlib.sha256(TEMPLATE_PATH.read_bytes()).hexdigest(),
        other={LIMIT_SEED: spec.limit_seed} if question.limited and spec.limit_seed is not None else {},
    )


def _native_manifest(spec: RunSpec, question: Question, task: NativeTask) -> TaskManifest:
    """Return the same of a task of lmms-eval's own: its words and its scorer are its code, under one hash."""
    source, override = question.benchmark.native, spec.datasets.get(question.benchmark.name)
    assert source is not None, "a native question is of a native benchmark"
    return TaskManifest(
        yaml_hash=source.code_hash,
        dataset_path=question.data.source,
        dataset_revision=override.revision if override is not None else None,
        fingerprint=question.data.fingerprint,
        rows=question.rows,
        samples=len(question.data),
        limit=spec.limit if question.limited else None,
        prompt_hash=source.code_hash,
        generation={**cast("dict[str, Json]", dict(task.config.generation_kwargs or {})), **_additions(spec)},
    )


def _prompts(tasks: Mapping[str, TaskManifest]) -> str:
    """Return a hash over the prompts of every task, whatever their order."""
    parts = sorted({task.prompt_hash for task in tasks.values()})
    return hashlib.sha256("".join(parts).encode()).hexdigest()
