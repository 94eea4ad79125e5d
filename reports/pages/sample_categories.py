"""Say in which categories a sample counts, as the tables of a page count it: MathVista's skills are several.

Only a few benchmarks have categories in their official columns; of all others a sample's own two names are the whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from harness.summary.clusters import category_names, task_samples
from harness.task_facts import facts_of
from harness.values import Json, Sample


class SampleCategories(NamedTuple):
    """Where a sample counts."""

    categories: tuple[str, ...]
    """First level."""
    subcategories: tuple[str, ...]
    """Second level."""


@lru_cache(maxsize=256)
def needs_extra(task: str) -> bool:
    """Tell whether a task's categories stand in the official columns of a sample."""
    return facts_of(task).reads_extra


def sample_categories(task: str, names: tuple[str, str], extra: Mapping[str, Json]) -> SampleCategories:
    """Return the categories that a sample counts in.

    Args:
        task: Short task name.
        names: The sample's own category, and its second-level one.
        extra: Its official columns; read only where `needs_extra` says so.
    """
    return _counted_in(task, names, extra) if needs_extra(task) else _counted_in_by_names(task, names)


@lru_cache(maxsize=4096)
def _counted_in_by_names(task: str, names: tuple[str, str]) -> SampleCategories:
    """Return the categories of the samples that have these names: few differ, and every sample of a page asks."""
    return _counted_in(task, names, {})


def _counted_in(task: str, names: tuple[str, str], extra: Mapping[str, Json]) -> SampleCategories:
    sample = Sample("", task, "accepted", category=names[0], l2_category=names[1], extra=extra)
    (categories,), (l2_categories,) = category_names(task_samples(task, [sample]))
    return SampleCategories(categories, l2_categories)
