"""Let Python look for circular garbage rarely while records stream by.

Its collector looks through everything that is alive again and again, as many values are made; records, their texts and
the columns made of them hold no circles, so that this finds nothing and takes a sixth of a command's time.
"""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager

_VALUES_BETWEEN = 200_000
"""New values before the collector looks at the young ones: some ten thousand records'."""


@contextmanager
def rare_collections() -> Generator[None]:
    """Collect rarely inside the block, also as a decorator; afterwards as before."""
    before = gc.get_threshold()
    is_first = not gc.get_freeze_count()  # what somebody else froze stays so
    if is_first:
        gc.freeze()  # what is imported by now stays
    gc.set_threshold(_VALUES_BETWEEN, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        if is_first:
            gc.unfreeze()
