"""Read what a comparison needs of a run's samples as columns, without building a record of each.

Only the first answer to each sample is read (`repeat` 0), as everywhere where scores are counted. Texts stay on disk.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from harness.comparison.table_values import check_samples, check_scores, floats, integers
from harness.errors import IncompleteError
from harness.files import DamagedRunError
from harness.runs.json_text import parse_object
from harness.runs.record_table import GOLD_COLUMN, TableError, read_columns, reading_table, table_columns
from harness.runs.store import PARQUET_NAME, StoredRun, rescored_name
from harness.stats.intervals import CodeArray, FloatArray
from harness.summary.clusters import TaskSamples, cluster_of
from harness.summary.counted_units import NEITHER, said_of
from harness.task_facts import facts_of
from harness.values import FAULTS, NATIVE, Json, Protocol

_Item = TypeVar("_Item")

ASKED_TEXTS = ("question", "caption", "answer_rule", "image_sha256")
"""Columns of text that enter a prompt or a score and are looked at only to tell whether two runs hold the same."""

_SAMPLE_COLUMNS = (
    "task", "id", "repeat", "cluster", "category", "l2_category", "answers", "choices", "boxes", "extra", *ASKED_TEXTS,
)  # fmt: skip
_SCORE_COLUMNS = ("score", "extracted", "iou", "faults", "components")
_SIZE_COLUMNS = ("width", "height")


@dataclass(frozen=True, slots=True)
class RunTable:
    """A run's samples as columns, one place each, in the order of the run."""

    tasks: tuple[str, ...]
    """Short task names."""
    ids: tuple[str, ...]
    """Unique within a task."""
    rows: CodeArray
    """Row in `samples.parquet`."""
    values: FloatArray
    """The answer's score; NaN when unscored."""
    ious: FloatArray
    """Union IoU; NaN where there is none."""
    said: FloatArray
    """What the answer said: 1 for yes, 0 for no, `NEITHER` for all else; NaN when unscored."""
    components: Mapping[str, FloatArray]
    """`format`, `caption` and `bbox` by name; NaN where there is none."""
    faults: NDArray[np.uint32]
    """Faults as bits, in the order of `FAULTS`."""
    groups: tuple[str, ...]
    """The samples' own cluster column; empty where it does not say."""
    clusters: tuple[str, ...]
    """What makes samples dependent: MMBench's question, MME's image, else the group; alone, a sample has its own id."""
    categories: tuple[str, ...]
    """The benchmark's categories; empty where there are none."""
    l2_categories: tuple[str, ...]
    """Second level."""
    gold_boxes_image_px: tuple[tuple[tuple[float, ...], ...] | None, ...]
    """Gold boxes; None where there are none to score against."""
    answers: tuple[tuple[str, ...] | None, ...]
    """Accepted answers; None where the row carries none."""
    choices: tuple[str, ...]
    """Choices as JSON text; `{}` where there are none."""
    image_sizes: NDArray[np.float64]
    """Width and height of each image in pixels (samples x 2); NaN where not known."""
    extras: Mapping[int, Mapping[str, Json]]
    """Official columns by place, for the tasks whose aggregation reads them."""
    asked: Mapping[str, NDArray[np.int64]]
    """The texts of `ASKED_TEXTS` as numbers that are equal where the texts are, in this process; 0 where empty."""
    official: tuple[str, ...]
    """`extra` as JSON text."""
    native: Mapping[str, FloatArray] = field(default_factory=dict[str, FloatArray])
    """What samples gave the metrics of lmms-eval's own scorer, by its key; NaN where nothing."""
    seeds: tuple[RunTable, ...] = ()
    """The tables of single seeds whose scores were averaged into this one, in its order; empty for one run."""

    @property
    def runs(self) -> tuple[RunTable, ...]:
        """The tables of single runs behind this one: itself, where it is one."""
        return self.seeds or (self,)

    def samples(self, task: str) -> TaskSamples:
        """Return what aggregation reads of the samples, all of one task."""
        return TaskSamples(
            task=task,
            ids=self.ids,
            groups=self.groups,
            clusters=self.clusters,
            categories=self.categories,
            l2_categories=self.l2_categories,
            extras=self.extras,
            answers=self.answers,
        )

    def take(self, places: CodeArray) -> RunTable:
        """Return the samples at some places, in that order."""
        if np.array_equal(places, np.arange(len(self.ids))):
            return self
        return RunTable(
            tasks=picked(self.tasks, places),
            ids=picked(self.ids, places),
            rows=self.rows[places],
            values=self.values[places],
            ious=self.ious[places],
            said=self.said[places],
            components={name: column[places] for name, column in self.components.items()},
            faults=self.faults[places],
            groups=picked(self.groups, places),
            clusters=picked(self.clusters, places),
            categories=picked(self.categories, places),
            l2_categories=picked(self.l2_categories, places),
            gold_boxes_image_px=picked(self.gold_boxes_image_px, places),
            answers=picked(self.answers, places),
            choices=picked(self.choices, places),
            image_sizes=self.image_sizes[places],
            extras={new: self.extras[old] for new, old in enumerate(places.tolist()) if old in self.extras},
            asked={name: column[places] for name, column in self.asked.items()},
            official=picked(self.official, places),
            native={key: column[places] for key, column in self.native.items()},
            seeds=tuple(seed.take(places) for seed in self.seeds),
        )


def read_run_table(run: StoredRun, protocol: Protocol | None = None) -> RunTable:
    """Read a finished run.

    Args:
        run: The run.
        protocol: None for the run's first scores, else those of a later rescore.

    Raises:
        IncompleteError: The run is not finished, was not scored under the protocol, or its table is damaged.
    """
    if not run.finished:
        raise IncompleteError(f"{run.path} is not finished; the command that began it goes on with it")
    name = PARQUET_NAME
    try:
        with reading_table():
            own = () if protocol else (*_SCORE_COLUMNS, *(["native"] if run.manifest.protocol == NATIVE else []))
            samples = _read(run, name, [*_SAMPLE_COLUMNS, *_SIZE_COLUMNS, *own])
            check_samples(samples)
            scores = samples
            if protocol is not None:
                name = rescored_name("samples", protocol, "parquet")
                scores = _rescored(run, protocol, name, samples)
                samples = _with_later_gold(samples, scores)
            check_scores(scores)
            first = np.flatnonzero(integers(samples.column("repeat")) == 0)
            if len(first) < samples.num_rows:
                samples, scores = samples.take(first), scores.take(first)
            return _run_table(samples, scores, first)
    except TableError as fault:
        raise DamagedRunError.of(run.path, name, f"cannot be used: {fault}") from fault


def _run_table(samples: Any, scores: Any, first: CodeArray) -> RunTable:
    """Return the columns of checked tables, whose rows stand at `first` in the run's own."""
    tasks, official = _texts(samples, "task"), _texts(samples, "extra")
    extras = _extras(tasks, official)
    ids, groups = _texts(samples, "id"), _texts(samples, "cluster")
    components = scores.column("components").combine_chunks()
    values = floats(scores.column("score"))
    return RunTable(
        tasks=tasks,
        ids=ids,
        rows=first.astype(np.int64),
        values=values,
        ious=floats(scores.column("iou")),
        said=_said(scores.column("extracted"), values),
        components={part: floats(components.field(part)) for part in ("format", "caption", "bbox")},
        faults=_fault_bits(scores.column("faults").combine_chunks()),
        groups=groups,
        clusters=_clusters(tasks, ids, groups, extras),
        categories=_texts(samples, "category"),
        l2_categories=_texts(samples, "l2_category"),
        gold_boxes_image_px=_boxes(samples),
        answers=tuple(None if item is None else tuple(item) for item in samples.column("answers").to_pylist()),
        choices=_texts(samples, "choices"),
        image_sizes=np.column_stack([floats(samples.column(side)) for side in _SIZE_COLUMNS]),
        extras=extras,
        asked={name: _numbered(samples, name) for name in ASKED_TEXTS},
        official=official,
        native=_native(scores.column("native")) if "native" in scores.column_names else {},
    )


def picked(column: Sequence[_Item], places: CodeArray) -> tuple[_Item, ...]:
    """Return what stands at some places of a column, in their order."""
    return tuple([column[place] for place in cast("list[int]", places.tolist())])


def _read(run: StoredRun, name: str, columns: Sequence[str]) -> Any:
    """Read columns of one of a run's tables as an Arrow table, the file checked by the run's sums."""
    with run.files.open(name) as file:
        return read_columns(file, columns)


def _rescored(run: StoredRun, protocol: Protocol, name: str, samples: Any) -> Any:
    """Read later scores, whose rows must be those of the run."""
    if protocol not in run.rescored:
        raise IncompleteError(
            f"{run.path} holds no scores under {protocol!r}; make them with: satori-bench rescore {run.path} "
            f"--protocol {protocol}"
        )
    keys = ["task", "id", "repeat"]
    with run.files.open(name) as file:
        later_gold = [GOLD_COLUMN] if GOLD_COLUMN in table_columns(file) else []
    scores = _read(run, name, [*keys, *_SCORE_COLUMNS, *later_gold])
    if not scores.select(keys).equals(samples.select(keys)):
        raise TableError(f"the scores under {protocol!r} do not belong to the same samples; rescore the run again")
    return scores


def _with_later_gold(samples: Any, scores: Any) -> Any:
    """Return the samples with the gold boxes of later scores, where those hold others than the run's own."""
    if GOLD_COLUMN not in scores.column_names:
        return samples
    place = samples.column_names.index(GOLD_COLUMN)
    return samples.set_column(place, GOLD_COLUMN, scores.column(GOLD_COLUMN))


def _extras(tasks: Sequence[str], official: Sequence[str]) -> dict[int, Mapping[str, Json]]:
    """Read `extra` of the tasks that need it."""
    return {place: parse_object(official[place]) for place, task in enumerate(tasks) if facts_of(task).reads_extra}


def _numbered(table: Any, name: str) -> NDArray[np.int64]:
    """Return a column of texts as numbers that are equal where the texts are; 0 for an empty or missing text.

    Python's own hash of 64 bits: fast, and good for nothing but telling texts of one process apart.
    """
    texts = cast("list[str | None]", table.column(name).to_pylist())
    return np.fromiter((hash(text.strip()) if text else 0 for text in texts), dtype=np.int64, count=len(texts))


def _clusters(
    tasks: Sequence[str], ids: Sequence[str], groups: Sequence[str], extras: Mapping[int, Mapping[str, Json]]
) -> tuple[str, ...]:
    """Return what makes each sample dependent, as the summary of a run has it."""
    found = [group or own for group, own in zip(groups, ids, strict=True)]
    for place, extra in extras.items():
        found[place] = cluster_of(tasks[place], ids[place], groups[place], extra)
    return tuple(found)


def _native(column: Any) -> dict[str, FloatArray]:
    """Read what samples gave lmms-eval's own metrics; what is no finite number is an error of the file."""
    given = [parse_object(text) if text else {} for text in cast("list[str | None]", column.to_pylist())]
    columns = {key: np.full(len(given), np.nan) for key in dict.fromkeys(key for one in given for key in one)}
    for row, one in enumerate(given):
        for key, value in one.items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise TableError(f"its column 'native' holds no finite number for {key[:60]!r} in row {row + 1}")
            columns[key][row] = value
    return columns


def _texts(table: Any, name: str) -> tuple[str, ...]:
    return tuple(cast("list[str]", table.column(name).to_pylist()))


def _said(column: Any, values: FloatArray) -> FloatArray:
    """Return what answers said, from what was taken for them; NaN where they have no score."""
    words = column.combine_chunks().dictionary_encode()
    by_code = {code: said_of(word) for code, word in enumerate(words.dictionary.to_pylist())}
    said = np.array([by_code.get(code, NEITHER) for code in words.indices.to_pylist()], dtype=np.float64)
    return np.where(np.isnan(values), np.nan, said)


def _boxes(table: Any) -> tuple[tuple[tuple[float, ...], ...] | None, ...]:
    column = table.column("boxes")
    if column.null_count == len(column):
        return (None,) * len(column)
    return tuple(None if item is None else tuple(tuple(box) for box in item) for item in column.to_pylist())


def _fault_bits(column: Any) -> NDArray[np.uint32]:
    """Return each list of fault names as bits; a name that this version does not know is an error of the file."""
    names = column.flatten().dictionary_encode()
    bits = {fault: np.uint32(1 << place) for place, fault in enumerate(FAULTS)}
    by_code = np.array([bits[name] for name in names.dictionary.to_pylist()], dtype=np.uint32)
    found = np.zeros(len(column), dtype=np.uint32)
    if len(names):
        places = integers(column.value_parent_indices())
        np.bitwise_or.at(found, places, by_code[integers(names.indices)])
    return found
