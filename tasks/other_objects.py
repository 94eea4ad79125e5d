"""Where a picture shows what a question does not ask about: the control for looking at objects at all."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import cast

from harness.scoring.overlap import union_iou
from harness.values import Box, Record, Sample
from tasks.shapes import PROFILES, SPLITS, Profile, ShapesExample, Split, generate

_SHAPES_ID = re.compile(r"shapes-([a-z]{1,10})-([a-z]{1,10})-([0-9]{1,9})-([0-9]{1,9})")


def other_objects(records: Sequence[Record]) -> dict[tuple[str, str], tuple[Box, ...]]:
    """Return the boxes of objects that a question's gold does not touch, by task and id; none where none are known.

    Of Shapes all that is drawn is known; of other benchmarks what other questions ask about on the same picture.
    """
    by_picture: dict[tuple[str, str], set[Box]] = {}
    for record in records:
        sample = record.sample
        if sample.image_sha256 and sample.boxes_image_px:
            by_picture.setdefault((sample.task, sample.image_sha256), set()).update(sample.boxes_image_px)
    found: dict[tuple[str, str], tuple[Box, ...]] = {}
    for record in records:
        sample = record.sample
        gold = sample.boxes_image_px
        if not gold:
            continue
        row = shapes_row(sample)
        drawn = () if row is None else tuple(_as_box(thing.box_image_px) for thing in row.scene.things)
        others = drawn or sorted(by_picture.get((sample.task, sample.image_sha256), ()))
        apart = tuple(box for box in others if union_iou((box,), gold) == 0)
        if apart:
            found[sample.task, sample.id] = apart
    return found


def shapes_row(sample: Sample) -> ShapesExample | None:
    """Return the row that Shapes drew; None of another benchmark, or where the id is none that Shapes gives."""
    named = _SHAPES_ID.fullmatch(sample.id)
    if sample.task != "shapes" or named is None or named[1] not in PROFILES or named[2] not in SPLITS:
        return None
    return generate(cast("Profile", named[1]), cast("Split", named[2]), int(named[4]), int(named[3]))


def _as_box(box: tuple[int, int, int, int]) -> Box:
    x1, y1, x2, y2 = box
    return float(x1), float(y1), float(x2), float(y2)
