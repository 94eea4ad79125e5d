"""What lmms-eval's own aggregate functions came to in a run of its own tasks: kept in the manifest, never made again.

Such a function may do anything: add to counts that its module keeps, write files, ask a server. It is called once, when
the run ends, and what it returned stands in the manifest beside the records with each sample's part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from typing import TypeAlias, cast

from harness.runs.declared import value_from
from harness.runs.json_text import describe
from harness.runs.manifest import DamagedManifestError, Manifest
from harness.values import Count, Json

NATIVE_KEY = "lmms_eval_native"
"""Key of a manifest that holds the aggregates, by task and by lmms-eval's key of the metric."""


@dataclass(frozen=True, slots=True)
class NativeMetric:
    """One aggregate of lmms-eval's own."""

    value: float | None
    """What the function returned; None where that was no finite number, or it failed."""
    n: Count
    """Items that it was given."""
    is_mean: bool
    """Whether the task declares lmms-eval's own `mean`, so that no more need be seen to know what it is."""
    higher_is_better: bool = True
    """What the task says of it."""
    reason: str | None = None
    """Why there is no value; None where there is one."""


NativeMetrics: TypeAlias = Mapping[str, NativeMetric]
"""Aggregates by lmms-eval's key, `metric,filter`, in the task's order."""


def native_metrics_json(metrics: Mapping[str, NativeMetrics]) -> dict[str, Json]:
    """Return aggregates by task as the manifest keeps them."""
    return {
        task: {key: cast("dict[str, Json]", asdict(metric)) for key, metric in own.items()}
        for task, own in metrics.items()
    }


def native_metrics_of(manifest: Manifest) -> dict[str, dict[str, NativeMetric]]:
    """Return the aggregates that a manifest keeps, by task; empty for a run of other tasks, and before its end.

    Raises:
        DamagedManifestError: a field is missing or of the wrong kind; the message names it.
    """
    stored = manifest.other.get(NATIVE_KEY, {})
    try:
        return {
            task: {key: _metric(_object(metric), f"{task}.{key}.") for key, metric in _object(own).items()}
            for task, own in _object(stored).items()
        }
    except ValueError as fault:
        raise DamagedManifestError(f"cannot use the manifest: in {NATIVE_KEY!r}, {fault}") from fault


def _metric(fields: Mapping[str, Json], at: str) -> NativeMetric:
    metric = value_from(NativeMetric, fields, at)
    if metric.value is not None and not isfinite(metric.value):
        raise ValueError(f"field '{at}value' is not finite")
    return metric


def _object(value: Json) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise ValueError(f"an object is needed, found {describe(value)}")  # noqa: TRY004 - data, not a type
    return value
