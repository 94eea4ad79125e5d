"""Collecting rarely ends with the block, however it ends."""

from __future__ import annotations

import gc

import pytest

from harness.garbage import rare_collections


def test_inside_of_the_block_young_values_are_looked_at_rarely():
    with rare_collections():
        assert gc.isenabled()
        assert gc.get_threshold()[0] >= 100_000


def test_afterwards_it_is_as_before_also_after_an_error():
    before = gc.get_threshold(), gc.get_freeze_count()
    with pytest.raises(KeyError), rare_collections():
        raise KeyError

    assert before == (gc.get_threshold(), gc.get_freeze_count())
