"""Write the addresses of a page's samples: what a link says, and what `static/explorer.js` reads.

An address is the part behind `#`: names and values. `of` and `id` open one sample, by its benchmark and its id, for ids
are unique within a benchmark only. The other names set filters: `list` (which comparison), `task`, `cat`, `sub` (second
level), `flip`, `qa`, `qb`, `fault`, `sort`, `cut`, `q`, `texts`. Whoever writes a name into the explorer's index and
whoever writes a link to it call it by `shown_name`, so that the two can only agree.
"""

from __future__ import annotations

import hashlib
from urllib.parse import urlencode

from reports.visible import visible

MOST_CHARACTERS = 200
"""A longer id or category is cut, and told apart by the first digits of its digest."""


def shown_name(text: str) -> str:
    """Return what a page calls a task, a category or a sample's id; different texts have different names.

    A text that already holds a code such as `⟦U+202E⟧` could be taken for one whose character was made visible.
    """
    if len(text) <= MOST_CHARACTERS and "⟦U+" not in text:
        return visible(text)
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{visible(text[:MOST_CHARACTERS])}…{digest[:8]}"


def filter_link(number: int, **filters: str | int) -> str:
    """Return the address of a list of samples, narrowed by filters.

    Args:
        number: Number of the list; 0 is the first, which an address need not name.
        filters: Values by name; task and category names as `shown_name` gives them.
    """
    listed = {"list": number} if number else {}
    return "#" + urlencode({name: str(value) for name, value in {**listed, **filters}.items()})


def sample_link(number: int, task: str, sample_id: str, **filters: str | int) -> str:
    """Return the address of one sample, by its own task and id."""
    return filter_link(number, **filters, of=shown_name(task), id=shown_name(sample_id))
