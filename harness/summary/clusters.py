"""Read the columns that decide how samples belong together: clusters, MMBench passes, MME images, categories."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.task_facts import facts_of
from harness.values import Json, Sample

MMBENCH_PASS = 1_000_000
"""MMBench numbers the passes of question q as q, q + 1e6, q + 2e6..."""

SCORED_COLUMNS = (
    "question_type", "answer_type", "precision", "unit", "answer_option", "dataset", "index", "g_index", "question_id",
    "set_id", "figure_id", "metadata", "task", "skills", "question_types", "operation/reasoning",
    "error", "is_multiple_answer", "source", "key", "subjects",
)  # fmt: skip
"""The official columns of `extra` that a score, a unit or a category can depend on."""

_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")


_NOTHING: Mapping[str, Json] = {}


@dataclass(frozen=True, slots=True)
class TaskSamples:
    """What aggregation reads of one task's samples, whoever answered them: columns with one place per sample."""

    task: str
    """Short task name."""
    ids: tuple[str, ...]
    """The samples' ids."""
    groups: tuple[str, ...]
    """Their own cluster column; empty where it does not say."""
    clusters: tuple[str, ...]
    """What makes them dependent, from `cluster_of`."""
    categories: tuple[str, ...]
    """The category column."""
    l2_categories: tuple[str, ...]
    """The second level."""
    extras: Mapping[int, Mapping[str, Json]]
    """Official columns by place, for tasks whose facts read them."""
    answers: tuple[tuple[str, ...] | None, ...]
    """Accepted answers; None where the row carries none."""

    def official(self, place: int) -> Mapping[str, Json]:
        """Return a sample's official columns."""
        return self.extras.get(place, _NOTHING)


def task_samples(task: str, samples: Sequence[Sample]) -> TaskSamples:
    """Return samples of one task as columns, in their order."""
    return TaskSamples(
        task=task,
        ids=tuple([sample.id for sample in samples]),
        groups=tuple([sample.cluster for sample in samples]),
        clusters=tuple(clusters_of(task, samples)),
        categories=tuple([sample.category for sample in samples]),
        l2_categories=tuple([sample.l2_category for sample in samples]),
        extras={place: sample.extra for place, sample in enumerate(samples) if sample.extra},
        answers=tuple([sample.answers for sample in samples]),
    )


def clusters_of(task: str, samples: Sequence[Sample]) -> list[str]:
    """Return what makes each of a task's samples dependent, as `cluster_of` has it."""
    if facts_of(task).cluster == "own":  # most tasks: a summary goes through every row
        return [sample.cluster or sample.id for sample in samples]
    return [cluster_of(task, sample.id, sample.cluster, sample.extra) for sample in samples]


def cluster_of(task: str, sample_id: str, group: str, extra: Mapping[str, Json]) -> str:
    """Return what makes a sample dependent: MMBench's question, MME's image, else its own group; alone, its id."""
    kind = facts_of(task).cluster
    found = question_of(group, extra) if kind == "question" else image_of(group, extra) if kind == "image" else group
    return found or sample_id


def question_of(group: str, extra: Mapping[str, Json]) -> str | None:
    """Return what the passes of one MMBench question share; None when the row does not say."""
    number = whole_number(extra.get("g_index"))
    if number is None:
        index = whole_number(extra.get("index"))
        number = None if index is None else index % MMBENCH_PASS
    return (group or None) if number is None else str(number)


def is_base_pass(extra: Mapping[str, Json]) -> bool:
    """Tell whether a row is its MMBench question's first pass; a row without an index may be."""
    index, group = whole_number(extra.get("index")), whole_number(extra.get("g_index"))
    return index is None or (index < MMBENCH_PASS if group is None else index == group)


def image_of(group: str, extra: Mapping[str, Json]) -> str | None:
    """Return which image an MME question is about; None when the row does not say."""
    name = extra.get("question_id")
    return group or (str(name) if isinstance(name, str | int | float) else None) or None


def category_names(samples: TaskSamples) -> tuple[tuple[tuple[str, ...], ...], tuple[tuple[str, ...], ...]]:
    """Return the categories that each sample counts in, and those of the second level."""
    facts = facts_of(samples.task)
    categories = _names(samples, facts.categories)
    if facts.l2_categories or not facts.groups:
        return categories, _names(samples, facts.l2_categories)
    return categories, tuple([tuple([facts.groups.get(name, name) for name in own]) for own in categories])


def _names(samples: TaskSamples, columns: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Return each sample's names in the first of the columns that names any."""
    own = {"category": samples.categories, "l2_category": samples.l2_categories}
    if len(columns) == 1 and columns[0] in own:
        return tuple([(name,) if name else () for name in own[columns[0]]])
    return tuple([_first_names(samples, columns, place) for place in range(len(samples.ids))])


def _first_names(samples: TaskSamples, columns: Sequence[str], place: int) -> tuple[str, ...]:
    own = {"category": samples.categories[place], "l2_category": samples.l2_categories[place]}
    found = (
        one_name(own[name]) if name in own else names_in(official_column(samples.official(place), name))
        for name in columns
    )
    return next((names for names in found if names), ())


def official_column(extra: Mapping[str, Json], name: str) -> Json:
    """Return an official column, also from the `metadata` object in which MathVista's hub rows keep some."""
    value = extra.get(name)
    metadata = extra.get("metadata")
    return metadata.get(name) if value is None and isinstance(metadata, dict) else value


def names_in(value: Json) -> tuple[str, ...]:
    """Return the names in a column: a list, a list as VLMEvalKit's TSV writes it, or one name."""
    if isinstance(value, list):
        return tuple(sorted({str(item) for item in value if item}))
    if not isinstance(value, str):
        return ()
    text = value.strip()
    if text.startswith("[") and text.endswith("]"):
        return tuple(sorted({one or other for one, other in _QUOTED.findall(text)}))
    return one_name(text)


def one_name(name: str) -> tuple[str, ...]:
    """Return a name as a tuple; the empty one names nothing."""
    return (name,) if name else ()


def whole_number(value: Json) -> int | None:
    """Return a column's whole number; None when it is none."""
    if type(value) is int:  # nearly always, and asked several times a row
        return value
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, str):
        text = value.strip()
        return int(text) if len(text) <= 18 and text.isascii() and text.isdigit() else None
    return value if isinstance(value, int) else None
