"""The functions that the YAML files name, for use from plain `lmms-eval --include_path`.

They ask in the format `satori` and score with the protocol `strict` through `harness.scoring.score`, like everything
else here. Plain lmms-eval does not know how a model writes boxes, so places stay unscored there unless a YAML says it,
behind the name of the hook: `process_results: !function tasks.hooks.multihopspatial_results:qwen3_vl`, or any other
words that `--box-dialect` takes. `satori-bench run` knows. A hook never raises: lmms-eval would try again for 17
seconds, hide the fault and end the run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple, cast

import numpy as np
from PIL import Image

from harness.runs.record_codec import record_from_json, record_to_json
from harness.scoring.box_dialects import dialect_named
from harness.scoring.score import score, score_error
from harness.summary.counted_units import earned_of, said_of
from harness.summary.means import ScoredRow
from harness.summary.task_summary import summarise
from harness.task_facts import Earned, facts_of
from harness.values import Generation, Json, Record, Sample, Score, ScoreConfig
from tasks.catalog import BENCHMARKS
from tasks.cells import Doc
from tasks.images import open_image
from tasks.prompts import Message, messages, user_text, wording

PLAIN_CONFIG = ScoreConfig(protocol="strict", format="satori", box_dialect=None)
"""How plain lmms-eval scores."""

METRICS: Mapping[str, tuple[str, ...]] = {
    name: (
        *(metric.name for metric in facts_of(name).metrics),
        "format",
        *(["caption"] if facts_of(name).captioned else []),
        *(["mean_iou"] if facts_of(name).placed and facts_of(name).answer_rule != "point" else []),
    )
    for name in BENCHMARKS
}
"""Metrics of each task's YAML, all from `harness.summary.task_summary`."""


class Hooks(NamedTuple):
    """What a YAML file names for one task."""

    messages: Callable[[Doc], list[Message]]
    """Row to chat turns, for chat models."""
    text: Callable[[Doc], str]
    """Row to one text, for simple models."""
    visual: Callable[[Doc], list[Image.Image]]
    """Row to images, for simple models."""
    target: Callable[[Doc], str]
    """Row to the usual right answer, for logs."""
    results: Callable[[Doc, Sequence[str]], dict[str, Any]]
    """Row and model texts to one item per metric."""


@cache
def hooks_of(name: str, dialect: str = "") -> Hooks:
    """Make the hooks of an embedded benchmark; `dialect` says how boxes are written, the empty text that nobody knows.

    Raises:
        ConfigError: There is no such dialect.
    """
    adapter = BENCHMARKS[name].adapter
    config = replace(PLAIN_CONFIG, box_dialect=dialect_named(dialect) if dialect else None)

    def doc_to_messages(doc: Doc) -> list[Message]:
        return messages("satori", adapter.question_text(doc), adapter.shown(doc).each(open_image))

    def doc_to_text(doc: Doc) -> str:
        words = wording("satori")
        return f"{words.system}\n{user_text(words, adapter.question_text(doc))}"

    def doc_to_visual(doc: Doc) -> list[Image.Image]:
        return [open_image(image) for image in adapter.shown(doc).images]

    def doc_to_target(doc: Doc) -> str:
        return (adapter.sample_of(doc).answers or ("",))[0]

    def process_results(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
        text = results[0] if results else ""
        return _items(name, adapter.sample_of, doc, text, config)

    return Hooks(doc_to_messages, doc_to_text, doc_to_visual, doc_to_target, process_results)


def _items(name: str, sample_of: Callable[[Doc], Sample], doc: Doc, text: str, config: ScoreConfig) -> dict[str, Any]:
    """Return what lmms-eval aggregates: per metric the whole record, and the number that its standard errors are of."""
    try:
        sample = sample_of(doc)
        earned = score(sample, text, config)
    except Exception:  # noqa: BLE001 - see the first lines of this file
        sample = Sample(id="unreadable", task=name, answer_rule=BENCHMARKS[name].answer_rule)
        earned = score_error()
    record = record_to_json(Record(sample, Generation(text), earned))
    numbers = {
        metric.name: _earned(metric.earned, earned)
        for metric in facts_of(name).metrics
        if metric.unit == "sample" and metric.combine == "mean"
    }
    numbers |= {
        "format": earned.components.format,
        "caption": earned.components.caption,
        "mean_iou": earned.iou,
    }
    items: dict[str, Any] = {}
    for metric in METRICS[name]:
        number = numbers.get(metric)
        items[metric] = {"cluster": sample.cluster_id, "record": record}
        if number is not None:
            items[metric]["score"] = number
    return items


def _earned(what: Earned, found: Score) -> float | None:
    """Return what one sample gives a metric; None where it could not be told."""
    value, iou = (np.array([math.nan if one is None else one]) for one in (found.value, found.iou))
    number = float(earned_of(what, value, iou, np.array([said_of(found.extracted)]))[0])
    return None if math.isnan(number) else number


def _aggregate(metric: str) -> Callable[[Sequence[Mapping[str, Any]]], float]:
    """Make lmms-eval's aggregation of one metric; NaN when the metric cannot be given (a limited run, no gold)."""

    def aggregate(items: Sequence[Mapping[str, Any]]) -> float:
        records = [record_from_json(cast("Mapping[str, Json]", item["record"])) for item in items]
        rows = [ScoredRow(record.sample, record.score) for record in records]
        found = summarise(rows[0].sample.task, rows, PLAIN_CONFIG.protocol).metrics.get(metric) if rows else None
        return math.nan if found is None or found.value is None else found.value

    return aggregate


_NAMED_OTHERWISE = {
    "format_rate": "format",
    "caption_score": "caption",
    "ocrbench_score": "score",
    "acc_at_50": "acc@0.5",
}
"""Aggregations that the YAML files call by another name than their metric's."""


def __getattr__(name: str) -> Callable[..., Any]:
    """Return what a YAML file names: `<task>_<hook>`, such as `mme_results`, or the aggregation of a metric."""
    hook, _, dialect = name.partition(":")
    task, _, part = hook.rpartition("_")
    if task in BENCHMARKS and part in Hooks._fields:
        return getattr(hooks_of(task, dialect), part)
    metric = _NAMED_OTHERWISE.get(name, name)
    if any(metric in metrics for metrics in METRICS.values()):
        return _aggregate(metric)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
