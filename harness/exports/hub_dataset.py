"""A run as a data set: a folder that `datasets.load_dataset` opens and the Hub shows, a row a sample.

    README.md    the card: which file is the table, where the numbers come from
    data/samples.parquet    the fields of the run's own table, and the picture of each sample as an `Image`
    scores.json    every metric with n and interval

The features of `datasets` follow from Parquet's own types; that a column is a picture stands in the schema's metadata
under `huggingface`, as `datasets` writes it itself (5.2.0, `Features.from_arrow_schema`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.exports.exported_run import INTERVAL, ExportedRun, json_text, plain_text
from harness.images.thumbnails import LONG_EDGE_PX
from harness.runs.record_table import AddedColumn, write_parquet
from harness.summary.summary_values import Metric
from harness.values import Json, Record

SPLIT = "samples"
"""What `load_dataset` calls the table."""

PICTURE = "image"
"""The column of pictures."""

_TABLE = "data/samples.parquet"


def write_dataset(exported: ExportedRun, folder: Path, *, pictures: bool = True) -> None:
    """Write a run's table, its scores and a card.

    Args:
        exported: The run.
        folder: An empty folder.
        pictures: Whether stored thumbnails go into the table.

    Raises:
        UserError: A file of the run is not what was published, or cannot be read.
        OSError: The disk refuses.
    """
    with_pictures = pictures and exported.has_pictures
    (folder / _TABLE).parent.mkdir()
    rows = write_parquet(folder / _TABLE, exported.records(), added=_pictures(exported) if with_pictures else None)
    scores: dict[str, Json] = {
        "provenance": exported.provenance(),
        "interval": INTERVAL,
        "data": {task: exported.task_facts(task) for task in exported.tasks},
        "scores": _stored_tasks(exported),
    }
    (folder / "scores.json").write_text(json_text(scores, indent=2) + "\n", encoding="ascii")
    (folder / "README.md").write_text(_card(exported, rows, with_pictures=with_pictures), encoding="utf-8")


def _stored_tasks(exported: ExportedRun) -> Json:
    stored = exported.run.scores if exported.later is None else exported.run.rescored[exported.later]
    return (stored or {}).get("tasks")


def _pictures(exported: ExportedRun) -> AddedColumn:
    """Return the column of thumbnails; null where a sample has none."""

    def cell(record: Record) -> Mapping[str, Any] | None:
        content = exported.picture(record)
        return None if content is None else {"bytes": content, "path": f"{record.sample.image_sha256}.webp"}

    features = {"info": {"features": {PICTURE: {"_type": "Image"}}}}
    return AddedColumn(
        name=PICTURE,
        kind=lambda pa: pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
        value=cell,
        size=lambda picture: len(picture["bytes"]),
        metadata={"huggingface": json.dumps(features)},
    )


def _card(exported: ExportedRun, rows: int, *, with_pictures: bool) -> str:
    shown = (
        f"`{PICTURE}` is the run's thumbnail (a long edge of at most {LONG_EDGE_PX} px for each picture of a question) "
        "and not what the model saw; `width` and `height` are the original's, to which boxes refer."
        if with_pictures
        else "No pictures were stored with it; `image_sha256` names them."
    )
    about = (
        f"{rows} samples. A `score` of null could not be scored, which is not 0; `faults` say why. {shown} Objects of "
        "free keys (`choices`, `extra`, `native`) are JSON text. Texts are a model's: untrusted."
    )
    lines = [
        "---",
        "configs:",
        "- config_name: default",
        "  data_files:",
        f"  - split: {SPLIT}",
        f"    path: {_TABLE}",
        "tags:",
        "- satori-bench",
        "---",
        "# Answers and scores of one run of satori-bench",
        "",
        "```python",
        f'samples = datasets.load_dataset("this folder", split="{SPLIT}")',
        "```",
        "",
        about,
        "",
        "Questions, answers and pictures are the benchmarks' and keep their licences.",
        "",
        "| benchmark | metric | value | 95 % interval | n |",
        "| --- | --- | --- | --- | --- |",
        *_score_lines(exported),
        "",
        "## Provenance",
        "",
        "```json",
        json_text(exported.provenance(), indent=2),
        "```",
    ]
    return "\n".join(lines) + "\n"


def _score_lines(exported: ExportedRun) -> Iterator[str]:
    """Yield a line a headline; every other metric stands in `scores.json`."""
    for task, summary in exported.tasks.items():
        metric = summary.shown
        value = "–" if metric.value is None else f"{metric.value:.6g}"
        yield f"| {_cell(task)} | {_cell(summary.headline)} | {value} | {_interval(metric)} | {metric.n} |"


def _interval(metric: Metric) -> str:
    if metric.ci_low is None or metric.ci_high is None:
        return _cell(metric.reason or "–")
    return f"{metric.ci_low:.6g} to {metric.ci_high:.6g}"


def _cell(text: str) -> str:
    """Return a text as a cell of a table: one line, and nothing in it that Markdown or HTML would obey."""
    line = " ".join(plain_text(text).split())
    return re.sub(r"([\\`*_{}\[\]()<>#+!|&~$])", r"\\\1", line)
