"""Check that a stored `scores.json` holds what a summary can say, and name the field that does not.

What is missing is for its readers to miss; what is there must have its kind, be finite and lie in its range.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import cast

from harness.runs.json_text import describe
from harness.task_facts import POINT_MAXIMA, facts_of, is_native_metric
from harness.values import MAX_COUNT, MAX_SHARE, Json

SCORES_SCHEMA = 1
"""Version of the object that `score --json`, `run --json` and `scores.json` share."""

_COUNTS = ("n", "rows", "clusters", "parse_fault_rows", "truncated_rows")


def check_scores(scores: Mapping[str, Json]) -> None:
    """Check the object of a `scores.json`, by any version of the scorer.

    Raises:
        ValueError: the object is of a schema that nobody here knows, or a field is of another kind or out of its
            range; the message names it, such as `tasks.mme.metrics.total.value`.
    """
    if (schema := scores.get("schema", SCORES_SCHEMA)) != SCORES_SCHEMA:
        raise _wrong("schema", f"{SCORES_SCHEMA}, the one that this satori-bench reads", schema)
    _check_count(scores.get("scorer_version", 0), "scorer_version")
    _check_counts(scores, "failures", "")
    for task, value in _object(scores.get("tasks", {}), "tasks").items():
        _check_task(facts_of(task).category_most, _object(value, f"tasks.{task}"), f"tasks.{task}")


def _check_task(category_most: float | None, fields: Mapping[str, Json], at: str) -> None:
    for name in _COUNTS:
        _check_count(fields.get(name, 0), f"{at}.{name}")
    for group in ("metrics", "categories", "l2_categories"):
        for name, metric in _object(fields.get(group, {}), f"{at}.{group}").items():
            most = None if group == "metrics" else category_most
            most = most or _most_of(name, category_most, fields, at)
            _check_metric(metric, f"{at}.{group}.{name}", None if is_native_metric(name) else most)
    for group in ("boxes", "stages"):
        for name, metric in _object(fields.get(group, {}), f"{at}.{group}").items():
            _check_metric(metric, f"{at}.{group}.{name}", MAX_COUNT if name == "boxes_per_text" else MAX_SHARE)
    _check_said(category_most, fields, at)


def _check_said(category_most: float | None, fields: Mapping[str, Json], at: str) -> None:
    """Check what stands beside a task's metrics: baselines, counts by fault, words."""
    for name, baseline in _object(fields.get("baselines", {}), f"{at}.baselines").items():
        most = _most_of(str(fields.get("headline")), category_most, fields, at)
        _check_metric(baseline, f"{at}.baselines.{name}", most)
    for group in ("unscored", "faults"):
        _check_counts(fields, group, f"{at}.")
    for name, reason in _object(fields.get("reasons", {}), f"{at}.reasons").items():
        if not isinstance(reason, str):
            raise _wrong(f"{at}.reasons.{name}", "a text", reason)
    if not isinstance(headline := fields.get("headline", ""), str):
        raise _wrong(f"{at}.headline", "the name of a metric", headline)


def _most_of(name: str, category_most: float | None, fields: Mapping[str, Json], at: str) -> float:
    """Return the greatest value of one of a task's metrics."""
    if not category_most or name not in POINT_MAXIMA:
        return POINT_MAXIMA.get(name, MAX_SHARE)
    # lmms-eval adds up whatever subtasks are there
    return max(POINT_MAXIMA[name], category_most * len(_object(fields.get("categories", {}), f"{at}.categories")))


def _check_counts(fields: Mapping[str, Json], group: str, at: str) -> None:
    for name, count in _object(fields.get(group, {}), f"{at}{group}").items():
        _check_count(count, f"{at}{group}.{name}")


def _check_metric(value: Json, at: str, most: float | None) -> None:
    """Check one number with its interval; `most` is None where it may be anything finite, as with lmms-eval's own."""
    fields = _object(value, at)
    _check_count(fields.get("n", 0), f"{at}.n")
    found = {name: _number(fields.get(name), f"{at}.{name}") for name in ("value", "ci_low", "ci_high")}
    number, low, high = found.values()
    if most is not None and number is not None and not 0 <= number <= most:
        raise _wrong(f"{at}.value", f"from 0 to {most:g}", number)
    if low is not None and high is not None and low > high:
        raise _wrong(f"{at}.ci_low", f"below ci_high {high:g}", low)


def _object(value: Json, at: str) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise _wrong(at, "an object", value)
    return cast("dict[str, Json]", value)


def _number(value: Json, at: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > MAX_COUNT or not isfinite(value):
        raise _wrong(at, "a number or null", value)
    return float(value)


def _check_count(value: Json, at: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_COUNT:
        raise _wrong(at, "a count", value)


def _wrong(at: str, wanted: str, found: Json) -> ValueError:
    return ValueError(f"{at} is {describe(found)}, not {wanted}")
