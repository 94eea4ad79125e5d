"""Say what two runs are, where they differ, and whether their numbers may be subtracted.

Two runs are comparable where the parts of `protocol_hash` agree, and on each task where `task_hash` does. Predictions
made elsewhere carry neither prompts nor a hash of the data: what is not known is not held against them, the note says
so, and the samples' gold is compared one by one instead. A run that was imported from another program's log is known to
have been asked in that program's words, so it is compared with imports from the same program alone. Two protocols of
one run are always comparable: the texts are the same, and the rules are what is compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias, cast

from harness.comparison.values import BesideScore, Comparability, ProvenanceField, RunFacts
from harness.errors import ConfigError
from harness.runs.manifest import (
    BLIND,
    SIDE_BOXES,
    TOOL,
    Manifest,
    TaskManifest,
    blind_of,
    comparable_parts,
    imported_of,
    run_key_parts,
    shown_format,
    side_boxes_sha256,
    task_hash,
    tells_per_task,
    tool_of,
    whole_run_parts,
)
from harness.runs.store import StoredRun
from harness.scoring.box_dialects import dialect_named, optional_words
from harness.scoring.formats import format_name
from harness.summary.summary_values import Baseline, Metric
from harness.values import Json, Protocol

SHOWN_DIGITS = 12
"""Digits of a hash that a table shows."""

UNKNOWN_SCORER = 0
"""Stands for the version of the rules behind later scores that do not name it; real ones begin at 1."""

_PART_DIFFERS = {
    "protocol": "protocol differs",
    "prompt_hash": "prompt wording differs",
    "generation": "generation arguments differ",
    "pixel_limits": "pixel limits differ",
    "scorer_version": "scorer version differs",
    "judge": "judge differs",
    BLIND: "what was shown in place of the pictures (--blind) differs",
    "lmms_eval": "version of lmms-eval, whose own code scores, differs",
    "format_definition": "a format of a person's own differs (its definition's digest)",
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
        protocol_version=_as_scored(run, protocol).scored_by,
        rescored=protocol is not None,
        format=shown_format(manifest),
        seed=manifest.seed,
        partial=manifest.partial,
        predictions_only=manifest.predictions_only,
        created_utc=manifest.created_utc,
        task_rows={name: task.rows for name, task in manifest.tasks.items()},
        mean_ious=_mean_ious(_stored_tasks(run, protocol)),
        beside={task: _beside(fields) for task, fields in _stored_tasks(run, protocol).items()},
        blind=blind_of(manifest),
        imported=_program(manifest),
    )


_StoredTask: TypeAlias = Mapping[str, Mapping[str, Mapping[str, float | None]]]


def _stored_tasks(run: StoredRun, protocol: Protocol | None) -> Mapping[str, _StoredTask]:
    """Return the tasks in a run's `scores.json` (or a rescore's)."""
    scores = run.scores if protocol is None else run.rescored.get(protocol)
    return cast("Mapping[str, _StoredTask]", (scores or {}).get("tasks") or {})


def _mean_ious(tasks: Mapping[str, _StoredTask]) -> dict[str, float | None]:
    """Return the mean IoU by task, where the task has gold boxes."""
    found = {task: (summary.get("metrics") or {}).get("mean_iou") for task, summary in tasks.items()}
    return {task: metric.get("value") for task, metric in found.items() if metric is not None}


def _beside(fields: _StoredTask) -> BesideScore:
    """Return a task's headline and baselines as they are stored; what runs of before do not have is not known."""
    metrics = fields.get("metrics") or {}
    name = str(fields.get("headline") or next(iter(metrics), "accuracy"))
    stored = metrics.get(name) or {}
    score = Metric(stored.get("value"), stored.get("ci_low"), stored.get("ci_high"), int(stored.get("n") or 0))
    baselines = {
        what: Baseline(found.get("value"), int(found.get("n") or 0), str(found.get("answer") or ""))
        for what, found in (fields.get("baselines") or {}).items()
    }
    return BesideScore(name, score, baselines)


def provenance(runs: Sequence[tuple[StoredRun, Protocol | None]]) -> tuple[ProvenanceField, ...]:
    """Return the table of provenance of some runs, each under one protocol; values in their order."""
    manifests = [_as_scored(run, protocol) for run, protocol in runs]
    fields = [_field(name, manifests, text, must_agree=must) for name, text, must in _FIELDS]
    for task in dict.fromkeys(task for manifest in manifests for task in manifest.tasks):
        fields += [
            _field(f"{task}: data", manifests, lambda m, task=task: _data_text(m.tasks.get(task)), must_agree=True),
            _field(f"{task}: samples", manifests, lambda m, task=task: _samples_text(m.tasks.get(task))),
            _field(f"{task}: prompt wording", manifests, lambda m, task=task: _words_text(m, task), must_agree=True),
            _field(f"{task}: generation", manifests, lambda m, task=task: _generation_text(m, task), must_agree=True),
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
    later = run.rescored.get(protocol, {})
    words = later.get("box_dialect", later.get("box_frame"))  # runs of before have a frame alone
    try:
        dialect = dialect_named(words) if isinstance(words, str) else run.manifest.box_dialect
    except ConfigError:  # scores that somebody has changed
        dialect = run.manifest.box_dialect
    version = later.get("scorer_version")
    scorer = version if isinstance(version, int) else UNKNOWN_SCORER
    words = later.get("protocol_version")
    rules = words if isinstance(words, str) else ""
    given = {name: value for name, value in run.manifest.other.items() if name != SIDE_BOXES}
    given |= {SIDE_BOXES: later[SIDE_BOXES]} if SIDE_BOXES in later else {}
    return replace(
        run.manifest,
        protocol=protocol,
        protocol_version=rules,
        box_dialect=dialect,
        scorer_version=scorer,
        other=given,
    )


def _field(
    name: str, manifests: Sequence[Manifest], text: Callable[[Manifest], str], *, must_agree: bool = False
) -> ProvenanceField:
    values = tuple(text(manifest) for manifest in manifests)
    return ProvenanceField(name, values, differs=len(set(values)) > 1, must_agree=must_agree)


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


def _words_text(manifest: Manifest, task: str) -> str:
    """Return a task's hash of words; in a run of before, that of all its tasks together."""
    found = manifest.tasks.get(task)
    return "" if found is None else (found.prompt_hash or manifest.prompt_hash)[:SHOWN_DIGITS]


def _generation_text(manifest: Manifest, task: str) -> str:
    """Return the arguments that a task's answers were generated with."""
    found = manifest.tasks.get(task)
    arguments: Mapping[str, Json] = {} if found is None else found.generation or manifest.generation
    return ", ".join(f"{name} {value}" for name, value in sorted(arguments.items()) if value is not None)


def _dialect(manifest: Manifest) -> str:
    return optional_words(manifest.box_dialect) or ""


def _program(manifest: Manifest) -> str | None:
    found = imported_of(manifest)
    return None if found is None else found.program


def _their_numbers(manifest: Manifest) -> str:
    """Return what the program of an imported run made of its texts, as far as ours can be set against it."""
    found = imported_of(manifest)
    return (
        ""
        if found is None
        else "; ".join(
            f"{task} {name} {value:.4g}" for task, own in found.compared.items() for name, value in own.items()
        )
    )


_FIELDS: tuple[tuple[str, Callable[[Manifest], str], bool], ...] = (
    ("model", lambda m: m.model, False),
    ("weights", lambda m: m.weights_hash[:SHOWN_DIGITS], False),
    ("adapter", lambda m: (m.adapter_hash or "")[:SHOWN_DIGITS], False),
    ("model type", lambda m: m.model_type, False),
    ("backend", lambda m: m.backend, False),
    ("format", lambda m: format_name(m.format), False),
    ("box dialect", _dialect, False),
    ("seed", lambda m: str(m.seed), False),
    ("protocol", lambda m: m.scored_by, True),
    ("pixel limits", _pixels, True),
    ("scorer version", lambda m: str(m.scorer_version), True),
    ("judge", lambda m: m.judge or "", True),
    ("gold boxes (--boxes)", lambda m: side_boxes_sha256(m.other)[:SHOWN_DIGITS], False),
    ("blind (--blind)", lambda m: blind_of(m) or "no", True),
    ("tool (--tool)", lambda m: tool_of(m) or "none", False),
    ("partial (--limit)", lambda m: "yes" if m.partial else "no", False),
    ("predictions only", lambda m: "yes" if m.predictions_only else "no", False),
    ("imported from", lambda m: _program(m) or "", False),
    ("that program's own numbers", _their_numbers, False),
    ("began", lambda m: m.created_utc, False),
    ("commit", lambda m: (m.git_commit or "")[:SHOWN_DIGITS], False),
)


def runs_comparability(a: tuple[StoredRun, Protocol | None], b: tuple[StoredRun, Protocol | None]) -> Comparability:
    """Tell whether two runs were asked and scored alike."""
    reasons: list[str] = []
    notes: list[str] = []
    same_run = a[0].path == b[0].path or a[0].path.resolve() == b[0].path.resolve()
    scored = [_as_scored(run, protocol) for run, protocol in (a, b)]
    elsewhere = [run.path.resolve().name for run, _ in (a, b) if _of_a_file(run.manifest)]
    if same_run:
        told_apart = [
            f"{manifest.protocol}, boxes read as {_dialect(manifest) or 'nothing: dialect not known'}"
            for manifest in scored
        ]
        notes.append(f"both sides are the same texts, scored twice: {' against '.join(told_apart)}")
    else:
        reasons += asked_apart(*scored)
        notes += [_imported_note(run) for run, _ in (a, b) if imported_of(run.manifest) is not None]
        if elsewhere:
            notes.append(
                f"predictions made elsewhere ({', '.join(elsewhere)}): how the questions were asked is not recorded, "
                "so samples are matched by id and by the gold that both carry, nothing else"
            )
        notes += _told_apart(*scored)
        if all(map(_samples_unasked, scored)):
            notes.append("both runs' servers refuse temperature 0: what is called greedy was sampled")
    for run, _ in (a, b):
        if run.manifest.partial:
            notes.append(f"{run.path.resolve().name} is partial (--limit): it does not stand for its benchmarks")
    return Comparability(tuple(reasons), tuple(dict.fromkeys(notes)))


def asked_apart(a: Manifest, b: Manifest) -> list[str]:
    """Say why two runs were not asked and scored alike, tasks aside; empty where they were."""
    reasons = _asked_by_others(a, b) + _asked_otherwise(a, b)
    if _samples_unasked(a) != _samples_unasked(b):
        reasons.append("one run's server refuses temperature 0 and samples as it likes, the other run is as asked")
    return reasons


def _asked_by_others(a: Manifest, b: Manifest) -> list[str]:
    """Say that two runs were asked by different programs; predictions of a file may have been asked by anybody's."""
    if _of_a_file(a) or _of_a_file(b):
        return []
    tools = [None if (found := imported_of(manifest)) is None else found.tool for manifest in (a, b)]
    if tools[0] == tools[1]:
        return []
    one, other = (_program(manifest) or "satori-bench" for manifest in (a, b))
    told = f"asked by different programs, {one} and {other}"
    return [f"{told}: prompt wording, pixels and decoding were each program's own, and a log does not say all of them"]


def _of_a_file(manifest: Manifest) -> bool:
    """Tell whether a run is of a predictions file, which says nothing of how it was made."""
    return manifest.predictions_only and imported_of(manifest) is None


def _imported_note(run: StoredRun) -> str:
    """Say what the log does not say that an imported run was made of."""
    manifest = run.manifest
    tasks = manifest.tasks.values()
    unknown = {
        "the words of its prompts": all(task.prompt_hash for task in tasks),
        "how its texts were decoded": all(task.generation for task in tasks),
        "which pixels the model saw": manifest.pixel_limits is not None,
    }
    told = ", ".join(what for what, known in unknown.items() if not known)
    return (
        f"{run.path.resolve().name} is imported from {_program(manifest)}; not recorded: {told or 'nothing of that'}. "
        "Samples are matched by id and by the gold that both carry"
    )


def _asked_otherwise(a: Manifest, b: Manifest) -> list[str]:
    """Say what differs in how two runs were asked and scored, tasks aside, as far as it is known."""
    parts = [comparable_parts(manifest) for manifest in (a, b)]
    if not (tells_per_task(a) and tells_per_task(b)):
        parts = [part | whole_run_parts(manifest) for part, manifest in zip(parts, (a, b), strict=True)]
    reasons = [
        f"{_PART_DIFFERS[name]}: {_difference_text(parts[0].get(name), parts[1].get(name))}"
        for name in parts[0] | parts[1]
        if parts[0].get(name) != parts[1].get(name) and not _not_recorded(name, a, b)
    ]
    if (a.protocol, a.scorer_version) == (b.protocol, b.scorer_version) and a.scored_by != b.scored_by:
        reasons.append(f"version of the protocol differs: {_difference_text(a.scored_by, b.scored_by)}")
    return reasons


def input_differences(stored: Manifest, now: Manifest) -> tuple[str, ...]:
    """Say in what a run that would be made now is no longer what was asked of a stored one; empty when it is the same.

    Left out is what leaves the stored answers right: the version of the scorer, by which they can be scored again; the
    address of a server; and what a run of before did not record.
    """
    stored = replace(stored, scorer_version=now.scorer_version, protocol_version=now.protocol_version)
    before, after = _flat_key_parts(stored), _flat_key_parts(now)
    differing = [
        f"{words} differs: {_difference_text(before.get(name), after.get(name))}"
        for name, words in _INPUT_WORDS.items()
        # runs of before did not record what `auto` came to
        if before.get(name) != after.get(name) and (name, before.get(name)) != ("dtype", "auto")
    ]
    differing += _asked_otherwise(stored, now)
    for task in dict.fromkeys((*stored.tasks, *now.tasks)):
        one, other = stored.tasks.get(task), now.tasks.get(task)
        if one is None or other is None:
            differing.append(f"task {task} is asked by one of them alone")
            continue
        differing += [f"{task}: {reason}" for reason in task_comparability(one, other, elsewhere=False).reasons]
        if (one.samples, one.limit) != (other.samples, other.limit):
            differing.append(f"{task}: samples differ: {_samples_text(one)} and {_samples_text(other)}")
    return tuple(dict.fromkeys(differing))


_INPUT_WORDS = {
    "model": "the model, by its weights where they are seen,",
    "adapter_hash": "the adapter",
    "config_hash": "the checkpoint's configuration, processor, tokenizer or chat template",
    "model_type": "model type",
    "backend": "backend",
    "format": "format",
    "format_definition": "definition of the format",
    "box_dialect": "box dialect",
    "seed": "seed",
    "dtype": "number format",
    "attn_implementation": "attention",
    "served_name": "name at the server",
    SIDE_BOXES: "file of gold boxes (--boxes)",
    TOOL: "tool (--tool)",
}
"""What people call the parts of a run key that `_asked_otherwise` and the tasks do not name."""


def _flat_key_parts(manifest: Manifest) -> dict[str, Json]:
    """Return the parts of a run key, with those inside of its objects beside them."""
    parts = run_key_parts(manifest)
    inner = [part for name in ("computed", "served") if isinstance(part := parts.get(name), dict)]
    return {**parts, **{name: value for part in inner for name, value in part.items()}}


def _samples_unasked(manifest: Manifest) -> bool:
    """Tell whether a server answered at a temperature of its own, as it refused the one that was asked for."""
    server = manifest.other.get("server")
    left_out = server.get("left_out") if isinstance(server, dict) else None
    return isinstance(left_out, list) and "temperature" in left_out


def _told_apart(a: Manifest, b: Manifest) -> list[str]:
    """Say in what two runs differ that may differ, but that a reader of a verdict must know."""
    found = {
        "format": (format_name(a.format), format_name(b.format)),
        "box dialect": (_dialect(a), _dialect(b)),
        "backend": (a.backend, b.backend),
        "tool (--tool)": (tool_of(a) or "none", tool_of(b) or "none"),
    }
    return [
        f"{name} differs: {one or 'not known'} and {other or 'not known'}"
        for name, (one, other) in found.items()
        if one != other
    ]


def task_comparability(a: TaskManifest, b: TaskManifest, *, elsewhere: bool) -> Comparability:
    """Tell whether two runs asked the same rows of a task in the same way.

    Predictions made elsewhere cannot say which rows, and words and arguments only where another program's log did.
    """
    if task_hash(a) == task_hash(b):
        return Comparability()
    reasons = [] if elsewhere else _other_rows(a, b)
    if a.prompt_hash and b.prompt_hash and a.prompt_hash != b.prompt_hash:
        reasons.append(f"prompt wording differs: {a.prompt_hash[:SHOWN_DIGITS]} and {b.prompt_hash[:SHOWN_DIGITS]}")
    if a.generation and b.generation and a.generation != b.generation:
        told = _difference_text(dict(a.generation), dict(b.generation))
        reasons.append(f"{_PART_DIFFERS['generation']}: {told}")
    return Comparability(tuple(reasons))


def _other_rows(a: TaskManifest, b: TaskManifest) -> list[str]:
    """Say in what data and task files of two runs differ."""
    reasons: list[str] = []
    if a.fingerprint != b.fingerprint or a.rows != b.rows:
        reasons.append(
            f"the data differ: {a.rows} rows ({a.fingerprint[:SHOWN_DIGITS]}) and {b.rows} rows "
            f"({b.fingerprint[:SHOWN_DIGITS]})"
        )
    if a.template_hash and b.template_hash and a.template_hash != b.template_hash:
        reasons.append(
            f"the settings that all task files include differ: {a.template_hash[:SHOWN_DIGITS]} and "
            f"{b.template_hash[:SHOWN_DIGITS]}"
        )
    if a.yaml_hash != b.yaml_hash:
        reasons.append(f"the task files differ: {a.yaml_hash[:SHOWN_DIGITS]} and {b.yaml_hash[:SHOWN_DIGITS]}")
    return reasons


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
