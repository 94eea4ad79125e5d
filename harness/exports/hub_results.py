"""A run's headlines as the Hub's evaluation results: `.eval_results/<benchmark>.yaml` for the model's repository.

An entry names a data set of the Hub and a task of its `eval.yaml`; the Hub shows it where that data set is on its list
of benchmarks. Neither the list nor the file can be seen from here: a person says which task is meant, and a result
whose rows did not come from the Hub, or that is not of the whole benchmark, is not written. Fractions are written in
percent, as on the boards there; the notes say so, with n, interval and protocol.

Specification: https://huggingface.co/docs/hub/eval-results
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from harness.errors import ConfigError
from harness.exports.exported_run import HUB_ID, TOOL, ExportedRun, file_part, hub_data, plain_text, unit_of
from harness.summary.summary_values import MOST_UNEXPLAINED, TaskSummary

FOLDER = ".eval_results"
"""The folder in a model's repository that the Hub reads."""

# TASK=OWNER/NAME, then perhaps :TASK_ID, then perhaps @REVISION
_OPTION = re.compile(
    rf"(?P<task>[^=]+)=(?P<dataset>{HUB_ID.pattern})(?::(?P<hub_task>[\w.+-]+))?(?:@(?P<revision>[\w./-]+))?"
)


@dataclass(frozen=True, slots=True)
class HubBenchmark:
    """A benchmark as the Hub knows it."""

    dataset: str
    """Owner and name of its data set."""
    task_id: str = "default"
    """The task of the data set's `eval.yaml`."""
    revision: str | None = None
    """Git revision of the data; None where nobody knows."""


def read_benchmarks(texts: tuple[str, ...]) -> dict[str, HubBenchmark]:
    """Read `TASK=OWNER/NAME[:TASK_ID][@REVISION]`.

    Raises:
        ConfigError: A text is none.
    """
    found: dict[str, HubBenchmark] = {}
    for text in texts:
        parts = _OPTION.fullmatch(text)
        if parts is None:
            raise ConfigError(
                f"--benchmark {text[:120]!r} is not TASK=OWNER/NAME[:TASK_ID][@REVISION], such as "
                "mmstar=Lin-Chen/MMStar:default"
            )
        found[parts["task"]] = HubBenchmark(parts["dataset"], parts["hub_task"] or "default", parts["revision"])
    return found


def write_hub_results(
    exported: ExportedRun, folder: Path, benchmarks: Mapping[str, HubBenchmark] | None = None
) -> list[str]:
    """Write an entry for each headline of the whole of a benchmark of the Hub; return what was left out, and why.

    Args:
        exported: The run.
        folder: An empty folder.
        benchmarks: What a person says of benchmarks, by task; others are known by where their rows came from.

    Raises:
        ConfigError: A named task is not in the run, no result can be written, or huggingface_hub is missing.
        OSError: The disk refuses.
    """
    hub = _library()
    given = dict(benchmarks or {})
    unknown = sorted(set(given) - set(exported.tasks))
    if unknown:
        raise ConfigError(f"--benchmark {unknown[0]}: the run has {', '.join(exported.tasks)}")
    left_out: dict[str, str] = {}
    entries: dict[str, HubBenchmark] = {}
    for task, summary in exported.tasks.items():
        known = given.get(task) or _from_rows(exported, task)
        why = _unfit(exported, summary) or (None if known else _NOT_OF_THE_HUB)
        if why is None and known is not None:
            entries[task] = known
        else:
            left_out[task] = why or _NOT_OF_THE_HUB
    for task, same in _clashes(entries).items():
        left_out[task] = (
            f"{same} has the same data set and task there: say which task each is with --benchmark "
            f"{task}={entries[task].dataset}:TASK_ID"
        )
    entries = {task: known for task, known in entries.items() if task not in left_out}
    by_reason: dict[str, list[str]] = {}
    for task, why in left_out.items():
        by_reason.setdefault(why, []).append(task)
    notes = [f"{', '.join(tasks)}: not written: {why}" for why, tasks in by_reason.items()]
    if not entries:
        raise ConfigError("no result of this run is one for the Hub. " + ". ".join(notes))
    (folder / FOLDER).mkdir()
    for task, known in entries.items():
        entry = hub.EvalResultEntry(**_fields(exported, exported.tasks[task], known))
        text = yaml.safe_dump(
            hub.eval_result_entries_to_yaml([entry]), sort_keys=False, allow_unicode=False, width=10_000
        )
        (folder / FOLDER / f"{file_part(task)}.yaml").write_text(text, encoding="ascii")
    guessed = [task for task in entries if task not in given]
    if guessed:
        notes.append(f"{', '.join(guessed)}: written for the task 'default' of the data set; --benchmark says another")
    names = ", ".join(sorted({known.dataset for known in entries.values()}))
    return [*notes, f"the Hub shows them where {names} is on its list of benchmarks, which cannot be seen from here"]


_NOT_OF_THE_HUB = (
    "its rows did not come from the Hub, so which data set they equal is for you to say: --benchmark TASK=OWNER/NAME"
)


def _library() -> Any:
    try:
        return importlib.import_module("huggingface_hub")
    except ImportError as missing:
        raise ConfigError(
            "the Hub's entries are made by huggingface_hub, which is not installed. Mend: "
            "pip install 'huggingface-hub>=1.0,<3'"
        ) from missing


def _from_rows(exported: ExportedRun, task: str) -> HubBenchmark | None:
    rows = hub_data(exported.manifest.tasks.get(task))
    return None if rows is None else HubBenchmark(rows.repository, revision=rows.revision)


def _unfit(exported: ExportedRun, summary: TaskSummary) -> str | None:
    """Say why a headline is no result of its benchmark; None where it is one."""
    manifest = exported.manifest
    known = manifest.tasks.get(summary.task)
    if summary.shown.value is None:
        return summary.shown.reason or "it has no value"
    if manifest.shard is not None:
        return f"the run is the shard {manifest.shard}; merge it first (satori-bench runs merge)"
    if exported.provenance()["blind"] is not None:
        return "the model saw no pictures"
    if known is None or known.limit is not None or known.samples < known.rows or summary.rows < known.rows:
        return "not all of its samples were asked"
    if sum(summary.unscored.values()) > MOST_UNEXPLAINED * summary.rows:
        causes = ", ".join(f"{count} {cause}" for cause, count in summary.unscored.items())
        return f"too many of its samples have no score ({causes}, of {summary.rows})"
    return None


def _clashes(entries: Mapping[str, HubBenchmark]) -> dict[str, str]:
    """Return the tasks that are one and the same for the Hub, each with another of them."""
    return {
        task: other
        for task, known in entries.items()
        for other, same in entries.items()
        if task != other and (known.dataset, known.task_id) == (same.dataset, same.task_id)
    }


def _fields(exported: ExportedRun, summary: TaskSummary, known: HubBenchmark) -> dict[str, Any]:
    metric, manifest = summary.shown, exported.manifest
    unit = unit_of(summary.headline)
    times = 100.0 if unit == "proportion" else 1.0
    numbers = [
        None if number is None else round(number * times, 4) for number in (metric.value, metric.ci_low, metric.ci_high)
    ]
    value, low, high = numbers
    words = {"proportion": f"{summary.headline} in percent", "points": f"{summary.headline} in points"}
    interval = "no interval" if low is None else f"95 % interval {low:g} to {high:g}"
    notes = [
        words.get(unit, f"{summary.headline} of lmms-eval"), interval, f"n={metric.n}",
        *([f"{sum(summary.unscored.values())} samples without a score left out"] if summary.unscored else []),
        f"{TOOL} {manifest.packages.get(TOOL) or 'of unknown version'}", f"protocol {exported.scored_by}",
        f"format {exported.provenance()['format']}", *([f"judge {manifest.judge}"] if manifest.judge else []),
    ]  # fmt: skip
    return {
        "dataset_id": known.dataset,
        "task_id": known.task_id,
        "value": value,
        "dataset_revision": known.revision,
        "date": manifest.finished_utc,
        "notes": plain_text("; ".join(notes)),
    }
