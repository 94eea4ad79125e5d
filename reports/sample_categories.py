"""Say in which categories a sample counts, as the tables of a page count it: MathVista's skills are several.

Only a few benchmarks have categories in their official columns; of all others a sample's own two names are the whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from harness.means import ScoredRow
from harness.run_table import TASKS_WITH_EXTRA
from harness.sample_columns import one_name
from harness.summary import answer_units
from harness.values import Components, Json, Protocol, Sample, Score

_UNSCORED = Score(None, None, Components())


class SampleCategories(NamedTuple):
    """Where a sample counts."""

    categories: tuple[str, ...]
    """First level."""
    subcategories: tuple[str, ...]
    """Second level."""


def needs_extra(task: str) -> bool:
    """Tell whether a task's categories stand in the official columns of a sample."""
    return task in TASKS_WITH_EXTRA


def sample_categories(
    task: str, names: tuple[str, str], extra: Mapping[str, Json], protocol: Protocol
) -> SampleCategories:
    """Return the categories that a sample counts in.

    Args:
        task: Short task name.
        names: The sample's own category, and its second-level one.
        extra: Its official columns; read only where `needs_extra` says so.
        protocol: How the benchmark aggregates.
    """
    own = SampleCategories(one_name(names[0]), one_name(names[1]))
    if not needs_extra(task):
        return own
    sample = Sample("", task, "accepted", category=names[0], l2_category=names[1], extra=extra)
    units = answer_units(task, [ScoredRow(sample, _UNSCORED)], protocol)
    if len(units.categories) != 1:  # a row that makes no unit of its own, such as half of a pair of MME's
        return own
    return SampleCategories(units.categories[0], units.l2_categories[0])
