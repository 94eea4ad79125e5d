"""Say what two runs are, where they differ, and whether their numbers may be subtracted.

Two runs are comparable where the parts of `protocol_hash` agree, and on each task where `task_hash` does. Predictions
made elsewhere carry neither prompts nor a hash of the data: what is not known is not held against them, the note says
so, and the samples' gold is compared one by one instead. Two protocols of one run are always comparable: the texts are
the same, and the rules are what is compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

from harness.comparison import Comparability, ProvenanceField, RunFacts
from harness.manifest import Manifest, TaskManifest, comparable_parts, task_hash
from harness.run_store import StoredRun
from harness.values import BOX_FRAMES, BoxFrame, Json, Protocol

SHOWN_DIGITS = 12
"""Digits of a hash that a table shows."""

_PART_DIFFERS = {
    "protocol": "protocol differs",
    "prompt_hash": "prompt wording differs",
    "generation": "generation arguments differ",
    "pixel_limits": "pixel limits differ",
    "scorer_version": "scorer version differs",
    "judge": "judge differs",
}


def run_facts(run: StoredRun, protocol: Protocol | None) -> RunFacts:
    """Return what a page says of a run whose scores under `protocol` (None: its first ones) are compared."""
    manifest = run.manifest
    weights = manifest.weights_hash[:SHOWN_DIGITS]
    return RunFacts(
        name=run.path.resolve().name,
        path=run.path,
        model=manifest.model,
        weights=f"{weights}+{manifest.adapter_hash[:SHOWN_DIGITS]}" if manifest.adapter_hash else weights,
        protocol=protocol or manifest.protocol,
        rescored=protocol is not None,
        format=manifest.format,
        seed=manifest.seed,
        partial=manifest.partial,
        predictions_only=manifest.predictions_only,
        created_utc=manifest.created_utc,
        mean_ious=_mean_ious(run, protocol),
    )


def _mean_ious(run: StoredRun, protocol: Protocol | None) -> dict[str, float | None]:
    """Return the mean IoU in a run's `scores.json` (or a rescore's) by task, where the task has gold boxes."""
    scores = run.scores if protocol is None else run.rescored.get(protocol)
    tasks = cast(
        "Mapping[str, Mapping[str, Mapping[str, Mapping[str, float | None]]]]", (scores or {}).get("tasks", {})
    )
    found = {task: summary["metrics"].get("mean_iou") for task, summary in tasks.items()}
    return {task: metric.get("value") for task, metric in found.items() if metric is not None}


def provenance(runs: Sequence[tuple[StoredRun, Protocol | None]]) -> tuple[ProvenanceField, ...]:
    """Return the table of provenance of some runs, each under one protocol; values in their order."""
    manifests = [_as_scored(run, protocol) for run, protocol in runs]
    fields = [_field(name, manifests, text, must_agree=must) for name, text, must in _FIELDS]
    arguments = sorted({name for manifest in manifests for name in manifest.generation})
    fields += [
        _field(f"generation: {name}", manifests, lambda m, name=name: _plain(m.generation.get(name)), must_agree=True)
        for name in arguments
    ]
    for task in dict.fromkeys(task for manifest in manifests for task in manifest.tasks):
        fields += [
            _field(f"{task}: data", manifests, lambda m, task=task: _data_text(m.tasks.get(task)), must_agree=True),
            _field(f"{task}: samples", manifests, lambda m, task=task: _samples_text(m.tasks.get(task))),
        ]
    packages = sorted({name for manifest in manifests for name in manifest.packages})
    fields += [
        _field(f"package: {name}", manifests, lambda m, name=name: m.packages.get(name, "")) for name in packages
    ]
    return tuple(fields)


def _as_scored(run: StoredRun, protocol: Protocol | None) -> Manifest:
    """Return a run's manifest with the protocol and the box frame of the scores that are compared."""
    if protocol is None:
        return run.manifest
    frames: dict[str, BoxFrame] = {frame: frame for frame in BOX_FRAMES}
    frame = frames.get(str(run.rescored.get(protocol, {}).get("box_frame")), run.manifest.box_frame)
    return replace(run.manifest, protocol=protocol, box_frame=frame)


def _field(
    name: str, manifests: Sequence[Manifest], text: Callable[[Manifest], str], *, must_agree: bool = False
) -> ProvenanceField:
    values = tuple(text(manifest) for manifest in manifests)
    return ProvenanceField(name, values, differs=len(set(values)) > 1, must_agree=must_agree)


def _plain(value: Json) -> str:
    return "" if value is None else str(value)


def _pixels(manifest: Manifest) -> str:
    limits = manifest.pixel_limits
    return "" if limits is None else f"{limits.min_pixels} to {limits.max_pixels}, sides multiples of {limits.factor}"


def _data_text(task: TaskManifest | None) -> str:
    if task is None:
        return "not asked"
    revision = f"@{task.dataset_revision[:SHOWN_DIGITS]}" if task.dataset_revision else ""
    return f"{task.dataset_path.rsplit('/', 1)[-1]}{revision} {task.fingerprint[:SHOWN_DIGITS]} ({task.rows} rows)"


def _samples_text(task: TaskManifest | None) -> str:
    if task is None:
        return ""
    return f"{task.samples}" if task.limit is None else f"{task.samples} (--limit {task.limit})"


_FIELDS: tuple[tuple[str, Callable[[Manifest], str], bool], ...] = (
    ("model", lambda m: m.model, False),
    ("weights", lambda m: m.weights_hash[:SHOWN_DIGITS], False),
    ("adapter", lambda m: (m.adapter_hash or "")[:SHOWN_DIGITS], False),
    ("model type", lambda m: m.model_type, False),
    ("backend", lambda m: m.backend, False),
    ("format", lambda m: m.format, False),
    ("box frame", lambda m: m.box_frame or "", False),
    ("seed", lambda m: str(m.seed), False),
    ("protocol", lambda m: m.protocol, True),
    ("prompt wording", lambda m: m.prompt_hash[:SHOWN_DIGITS], True),
    ("pixel limits", _pixels, True),
    ("scorer version", lambda m: str(m.scorer_version), True),
    ("judge", lambda m: m.judge or "", True),
    ("partial (--limit)", lambda m: "yes" if m.partial else "no", False),
    ("predictions only", lambda m: "yes" if m.predictions_only else "no", False),
    ("began", lambda m: m.created_utc, False),
    ("commit", lambda m: (m.git_commit or "")[:SHOWN_DIGITS], False),
)


def runs_comparability(a: tuple[StoredRun, Protocol | None], b: tuple[StoredRun, Protocol | None]) -> Comparability:
    """Tell whether two runs were asked and scored alike."""
    reasons: list[str] = []
    notes: list[str] = []
    same_run = _same_folder(a[0].path, b[0].path)
    scored = [_as_scored(run, protocol) for run, protocol in (a, b)]
    parts = [comparable_parts(manifest) for manifest in scored]
    elsewhere = [run.path.resolve().name for run, _ in (a, b) if run.manifest.predictions_only]
    if same_run:
        told_apart = [
            f"{manifest.protocol}, boxes read as {manifest.box_frame or 'nothing: frame not known'}"
            for manifest in scored
        ]
        notes.append(f"both sides are the same texts, scored twice: {' against '.join(told_apart)}")
    else:
        for name in parts[0]:
            one, other = parts[0][name], parts[1][name]
            if one != other and not (elsewhere and _not_recorded(name, a[0].manifest, b[0].manifest)):
                reasons.append(f"{_PART_DIFFERS[name]}: {_difference_text(one, other)}")
        if elsewhere:
            notes.append(
                f"predictions made elsewhere ({', '.join(elsewhere)}): how the questions were asked is not recorded, "
                "so samples are matched by id and by the gold that both carry, nothing else"
            )
    for run, _ in (a, b):
        if run.manifest.partial:
            notes.append(f"{run.path.resolve().name} is partial (--limit): it does not stand for its benchmarks")
    return Comparability(tuple(reasons), tuple(dict.fromkeys(notes)))


def task_comparability(a: TaskManifest, b: TaskManifest, *, elsewhere: bool) -> Comparability:
    """Tell whether two runs asked the same rows of a task in the same way; predictions made elsewhere cannot say."""
    if elsewhere or task_hash(a) == task_hash(b):
        return Comparability()
    reasons: list[str] = []
    if a.fingerprint != b.fingerprint or a.rows != b.rows:
        reasons.append(
            f"the data differ: {a.rows} rows ({a.fingerprint[:SHOWN_DIGITS]}) and {b.rows} rows "
            f"({b.fingerprint[:SHOWN_DIGITS]})"
        )
    if a.yaml_hash != b.yaml_hash:
        reasons.append(f"the task files differ: {a.yaml_hash[:SHOWN_DIGITS]} and {b.yaml_hash[:SHOWN_DIGITS]}")
    return Comparability(tuple(reasons))


def _same_folder(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()


def _not_recorded(part: str, a: Manifest, b: Manifest) -> bool:
    """Tell whether a run of predictions made elsewhere simply does not know a part."""
    recorded: Mapping[str, Callable[[Manifest], bool]] = {
        "prompt_hash": lambda m: bool(m.prompt_hash),
        "generation": lambda m: bool(m.generation),
        "pixel_limits": lambda m: m.pixel_limits is not None,
    }
    return part in recorded and any(m.predictions_only and not recorded[part](m) for m in (a, b))


def _difference_text(one: Json, other: Json) -> str:
    """Return both sides; of objects only the fields that differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        names = [name for name in {**one, **other} if one.get(name) != other.get(name)]
        one, other = (", ".join(f"{name} {side.get(name, 'none')}" for name in names) for side in (one, other))
    return f"{_part_text(one)} and {_part_text(other)}"


def _part_text(part: Json) -> str:
    text = "none" if part in (None, "", {}) else str(part)
    return text if len(text) <= 120 else text[:120] + "..."
