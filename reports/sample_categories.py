"""Say in which categories a sample counts, as the tables of a page count it: MathVista's skills are several.

Only a few benchmarks have categories in their official columns; of all others a sample's own two names are the whole.
"""

from __future__ import annotations

from typing import NamedTuple

from harness.means import ScoredRow
from harness.run_table import TASKS_WITH_EXTRA
from harness.sample_columns import one_name
from harness.summary import answer_units
from harness.values import Components, Protocol, Sample, Score

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


def sample_categories(sample: Sample, protocol: Protocol) -> SampleCategories:
    """Return the categories that a sample counts in under a protocol."""
    own = SampleCategories(one_name(sample.category), one_name(sample.l2_category))
    if not needs_extra(sample.task):
        return own
    units = answer_units(sample.task, [ScoredRow(sample, _UNSCORED)], protocol)
    if len(units.categories) != 1:  # a row that makes no unit of its own, such as half of a pair of MME's
        return own
    return SampleCategories(units.categories[0], units.l2_categories[0])
