"""What a run's manifest says of its model, its data and its prompts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import cast

from harness.runs.manifest import NUMBER_FORMAT, Manifest, TaskManifest, stamp_hashes
from harness.scoring.protocols import versioned
from harness.scoring.score import SCORER_VERSION
from harness.values import Json
from tasks.benchmark import TEMPLATE_PATH
from tasks.prompts import prompts_hash
from tasks.run_questions import Question
from tasks.run_spec import RunEnvironment, RunSpec
from tasks.run_subject import Subject, number_format_of


def manifest_of(
    spec: RunSpec,
    environment: RunEnvironment,
    subject: Subject,
    questions: Sequence[Question],
) -> Manifest:
    """Return what the run is."""
    number_format = number_format_of(spec, environment)
    tasks = {question.benchmark.name: _task_manifest(spec, question) for question in questions}
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
            other={"arguments": spec.to_json()} | ({} if number_format is None else {NUMBER_FORMAT: number_format}),
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


def _task_manifest(spec: RunSpec, question: Question) -> TaskManifest:
    """Return what one task asks, and of which data."""
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
    )


def _prompts(tasks: Mapping[str, TaskManifest]) -> str:
    """Return a hash over the prompts of every task, whatever their order."""
    parts = sorted({task.prompt_hash for task in tasks.values()})
    return hashlib.sha256("".join(parts).encode()).hexdigest()
