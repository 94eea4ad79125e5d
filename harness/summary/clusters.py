"""Read the official columns that decide how rows belong together: clusters, MMBench passes, MME images, categories."""

from __future__ import annotations

import re

from harness.values import Json, Sample

MMBENCH_PASS = 1_000_000
"""MMBench numbers the passes of question q as q, q + 1e6, q + 2e6..."""

SCORED_COLUMNS = (
    "question_type", "answer_type", "precision", "unit", "answer_option", "dataset", "index", "g_index", "question_id",
    "metadata", "task", "skills",
)  # fmt: skip
"""The official columns of `extra` that a score, a unit or a category can depend on."""

_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")


def cluster_of(sample: Sample) -> str:
    """Return what makes rows dependent: MMBench's question, MME's image, else the sample's own cluster."""
    if sample.task.startswith("mmbench_"):
        return mmbench_group(sample) or sample.id
    if sample.task == "mme":
        return mme_image(sample) or sample.id
    return sample.cluster_id


def mmbench_group(sample: Sample) -> str | None:
    """Return what the passes of one question share; None when the row does not say."""
    group = whole_number(sample.extra.get("g_index"))
    if group is None:
        index = whole_number(sample.extra.get("index"))
        group = None if index is None else index % MMBENCH_PASS
    return (sample.cluster or None) if group is None else str(group)


def mme_image(sample: Sample) -> str | None:
    """Return which image the question is about; None when the row does not say."""
    name = sample.extra.get("question_id")
    return sample.cluster or (str(name) if isinstance(name, str | int | float) else None) or None


def official_column(sample: Sample, name: str) -> Json:
    """Return an official column, also from the `metadata` object in which MathVista's hub rows keep some."""
    value = sample.extra.get(name)
    metadata = sample.extra.get("metadata")
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
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, str):
        text = value.strip()
        return int(text) if len(text) <= 18 and text.isascii() and text.isdigit() else None
    return value if isinstance(value, int) else None
