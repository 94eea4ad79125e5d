"""What every export says of a run: which scores, whose rules, where they come from, and what stays unknown.

An export tells what `scores.json` and the journal say, and computes no score. Every number goes with its n and its
interval, every run with its provenance. What is not known is left out or null, never filled in.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final, cast

from harness.errors import IncompleteError
from harness.files import RunFiles
from harness.images.thumbnails import read_thumbnail
from harness.runs.json_text import json_safe
from harness.runs.lookup import find_scores
from harness.runs.manifest import Manifest, TaskManifest, blind_of
from harness.runs.native_metrics import native_metrics_of
from harness.runs.record_table import utf8_text
from harness.runs.store import JOURNAL_NAME, StoredRun, load_run
from harness.scoring.box_dialects import optional_words
from harness.scoring.formats import format_name
from harness.summary.stored_scores import stored_summaries
from harness.summary.summary_values import TaskSummary, unscored_cause
from harness.task_facts import POINT_MAXIMA, facts_of, is_native, is_native_metric
from harness.values import Json, Protocol, Record

TOOL = "satori-bench"
"""What made the scores."""

LOWER_IS_BETTER = frozenset({"IK", "IG", "RM_strict", "RM_loose", "wrong_answer_wrong_place"})
"""Metrics of ours that count what went wrong."""

NEITHER_IS_BETTER = frozenset(
    {"yes_ratio", "right_answer_wrong_place", "wrong_answer_right_place", "valid_steps", "narrowing_steps"}
)
"""Metrics that describe: a higher number is neither better nor worse."""

INTERVAL: Final = "satori-bench: 95 %, by clusters of samples that belong together"
"""How intervals come about, in words (docs/scores.md has the rest)."""

HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
"""The id of a repository on the Hub: owner and name. A relative path can look like one."""

# As `tasks/local_data.py` names data of the Hub: repository, revision or `newest`, configuration, split.
_HUB_DATA = re.compile(rf"({HUB_ID.pattern})@([^,\s]+), ([^,]+), ([^,\s]+)")


@dataclass(frozen=True, slots=True)
class HubData:
    """Where on the Hub a benchmark's rows were taken from."""

    repository: str
    """Owner and name of the data set."""
    revision: str | None
    """The revision that was asked for; None for the newest of that day."""
    config: str
    """Configuration of the data set."""
    split: str
    """Split of it."""


@dataclass(frozen=True, slots=True)
class ExportedRun:
    """A finished run under the rules that its exported scores follow."""

    run: StoredRun
    """The run on disk."""
    later: Protocol | None
    """The protocol of later scores that are exported (`RUN@PROTOCOL`); None for the run's first ones."""
    manifest: Manifest
    """What the run is."""
    tasks: Mapping[str, TaskSummary]
    """The numbers of each benchmark."""
    files: RunFiles
    """Its files, checked by its sums."""
    identity: str
    """Hex sha256 of its texts, its beginning and its rules: the same run has the same, wherever its folder lies."""

    @property
    def protocol(self) -> Protocol:
        """Whose rules gave the scores."""
        return self.later or self.manifest.protocol

    @property
    def scored_by(self) -> str:
        """The protocol with the version of its rules."""
        if self.later is None:
            return self.manifest.scored_by
        words = self.run.rescored[self.later].get("protocol_version")
        return words if isinstance(words, str) else self.later

    @property
    def name(self) -> str:
        """What its folder is called, with the protocol of later scores."""
        return self.run.path.resolve().name + ("" if self.later is None else f"@{self.later}")

    @property
    def has_pictures(self) -> bool:
        """Whether any thumbnail was stored."""
        return any(name.startswith("media/") for name in self.files.sums or ())

    def records(self) -> Iterator[Record]:
        """Yield the records with the scores that are exported.

        Raises:
            UserError: A file is not what was published, or cannot be read.
        """
        return self.run.records(self.later)

    def picture(self, record: Record) -> bytes | None:
        """Return the stored thumbnail of what a sample shows, as WebP; None where there is none.

        Raises:
            DamagedRunError: It is not what was published.
        """
        return read_thumbnail(self.files, record.sample.image_sha256)

    def provenance(self) -> dict[str, Json]:
        """Return where the numbers come from; null for what is not known. No option, address or key is among it."""
        manifest = self.manifest
        later = {} if self.later is None else self.run.rescored[self.later]
        facts: dict[str, Json] = {
            "tool": TOOL,
            "tool_version": manifest.packages.get(TOOL) or None,
            "lmms_eval_version": manifest.packages.get("lmms-eval") or None,
            "scorer_version": later.get("scorer_version", manifest.scorer_version),
            "run": self.name,
            "run_key": manifest.run_key or None,
            "protocol_hash": manifest.protocol_hash or None,
            "protocol": self.scored_by,
            "format": format_name(manifest.format),
            "box_dialect": later.get("box_dialect", optional_words(manifest.box_dialect)),
            "model": manifest.model or None,
            "model_type": manifest.model_type or None,
            # where the texts were made elsewhere it is theirs: nobody saw the weights
            "weights_hash": None if manifest.predictions_only else manifest.weights_hash or None,
            "texts_hash": manifest.weights_hash or None if manifest.predictions_only else None,
            "adapter_hash": manifest.adapter_hash or None,
            "config_hash": manifest.config_hash or None,
            "backend": manifest.backend or None,
            "judge": manifest.judge,
            "seed": manifest.seed,
            "git_commit": manifest.git_commit,
            "created_utc": manifest.created_utc or None,
            "finished_utc": manifest.finished_utc,
            "limited": manifest.partial,
            "shard": manifest.shard,
            "blind": blind_of(manifest),
            "predictions_only": manifest.predictions_only,
            "imported": _imported(manifest),
            "warnings": manifest.other.get("warnings", []),
        }
        return cast("dict[str, Json]", plain(facts))

    def task_facts(self, task: str) -> dict[str, Json]:
        """Return where a benchmark's rows come from; null for what is not known."""
        known = self.manifest.tasks.get(task)
        if known is None:
            return {}
        facts: dict[str, Json] = {
            "dataset": known.dataset_path or None,
            "dataset_revision": known.dataset_revision,
            "dataset_fingerprint": known.fingerprint or None,
            "dataset_rows": known.rows,
            "asked": known.samples,
            "limit": known.limit,
            "prompt_hash": known.prompt_hash or None,
            "generation": dict(known.generation) or dict(self.manifest.generation) or None,
        }
        return cast("dict[str, Json]", plain(facts))

    def higher_is_better(self, task: str, metric: str) -> bool | None:
        """Tell whether a higher number is better; None where neither is, or nobody says so."""
        if is_native_metric(metric):
            own = native_metrics_of(self.manifest).get(task, {}).get(metric)
            return None if own is None else own.higher_is_better
        return None if metric in NEITHER_IS_BETTER else metric not in LOWER_IS_BETTER


def open_export(text: str, root: Path) -> ExportedRun:
    """Open the run that a text means (`RUN`, `RUN@PROTOCOL`) for an export.

    Raises:
        ConfigError: No run is meant, or several.
        IncompleteError: It is not finished, or was not scored under that protocol.
        UserError: It is damaged.
    """
    path, protocol = find_scores(text, root)
    run = load_run(path)
    if not run.finished:
        raise IncompleteError(f"{path} is not finished; the command that began it goes on with it")
    if protocol == run.manifest.protocol and protocol not in run.rescored:
        protocol = None
    if protocol is not None and protocol not in run.rescored:
        run.records(protocol)  # says how such scores are made
    scored = run if protocol is None else replace(run, scores=run.rescored[protocol])
    files = run.files
    rules = run.manifest.scored_by if protocol is None else protocol
    texts = (files.sums or {}).get(JOURNAL_NAME, "")
    words = f"{run.manifest.run_key}\n{run.manifest.created_utc}\n{texts}\n{rules}"
    return ExportedRun(
        run=run,
        later=protocol,
        manifest=run.manifest,
        tasks=stored_summaries(scored),
        files=files,
        identity=hashlib.sha256(words.encode("utf-8", "backslashreplace")).hexdigest(),
    )


def _imported(manifest: Manifest) -> Json:
    """Return which program's log an imported run was read from; not the settings in it, which may hold anything."""
    told = manifest.other.get("imported")
    if not isinstance(told, dict):
        return None
    return {name: told.get(name) or None for name in ("tool", "version", "created")}


def hub_data(task: TaskManifest | None) -> HubData | None:
    """Return where on the Hub a benchmark's rows come from; None for data that lay elsewhere, or nobody knows where."""
    found = _HUB_DATA.fullmatch(task.dataset_path if task is not None else "")
    if found is None:
        return None
    repository, revision, config, split = found.groups()
    return HubData(repository, None if revision == "newest" else revision, config, split)


def greatest_value(summary: TaskSummary, metric: str) -> float | None:
    """Return the most that a metric can be; None where nobody says, as of lmms-eval's own."""
    if is_native_metric(metric):
        return None
    most = float(POINT_MAXIMA.get(metric, 1))
    categories = facts_of(summary.task).category_most
    # lmms-eval adds up whatever subtasks are there
    return max(most, float(categories * len(summary.categories))) if categories and metric in POINT_MAXIMA else most


def unit_of(metric: str) -> str:
    """Return what a metric counts in."""
    if is_native_metric(metric):
        return "unknown"
    return "points" if metric in POINT_MAXIMA else "proportion"


def sample_metric(task: str, protocol: Protocol) -> str | None:
    """Return the metric that is the mean of the samples' own scores; None where the benchmark has none."""
    if is_native(task):
        return None  # its code may make anything of them
    for metric in facts_of(task).metrics_of(protocol):
        if (metric.unit, metric.combine, metric.earned, metric.parts) == ("sample", "mean", "answer", ()):
            return metric.name
    return None


def why_null(record: Record) -> str:
    """Say why a sample has no score."""
    said = record.generation.error or record.judge_error
    cause = unscored_cause(record.score.faults)
    return plain_text(f"{cause}: {said}" if said else cause)


def plain_text(text: str) -> str:
    r"""Return a text that UTF-8 holds: a lone surrogate is written out as six characters such as `\ud800`."""
    return utf8_text(text)


def plain(value: Json) -> Json:
    """Return a JSON value whose texts UTF-8 holds and whose numbers are finite; what is not becomes null."""
    return _utf8(json_safe(value))


def _utf8(value: Json) -> Json:
    if isinstance(value, str):
        return utf8_text(value)
    if isinstance(value, list):
        return [_utf8(item) for item in value]
    if isinstance(value, dict):
        return {utf8_text(name): _utf8(item) for name, item in value.items()}
    return value


def json_text(value: Json, *, indent: int | None = None) -> str:
    """Return a value as JSON in ASCII, the same for the same value; texts that UTF-8 cannot hold are written out."""
    separators = (",", ":") if indent is None else None
    return json.dumps(plain(value), allow_nan=False, indent=indent, separators=separators)


def words_of(facts: Mapping[str, Json]) -> dict[str, str]:
    """Return facts as texts, for tools that hold nothing else; what is not known is left out, as it is no text."""
    return {
        name: value if isinstance(value, str) else json_text(value)
        for name, value in facts.items()
        if value is not None and value != []
    }


def moment_of(utc: str | None) -> datetime | None:
    """Return a stored moment; None where it is none."""
    try:
        found = datetime.fromisoformat(utc or "")
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def file_part(text: str) -> str:
    """Return a text as a part of a file's name: what is none is replaced, and told apart by a digest."""
    kept = re.sub(r"[^A-Za-z0-9._+-]+", "-", text).strip("-.")[:80]
    if kept == text and kept:
        return kept
    return f"{kept or 'task'}-{hashlib.sha256(text.encode('utf-8', 'backslashreplace')).hexdigest()[:8]}"
