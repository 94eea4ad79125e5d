"""Tell what differs between the samples of runs: whatever enters a prompt or a score, part by part.

Parts are coded as numbers that are equal where the parts are, so that many runs are compared pair by pair at the cost
of arrays. What a run does not carry is 0 and says nothing: predictions made elsewhere need not carry a question or its
picture.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from harness.intervals import CodeArray
from harness.records_json import parse_object
from harness.run_table import RunTable, picked
from harness.sample_columns import SCORED_COLUMNS
from harness.values import Json

MOST_DIFFERING = 0.01
"""With more than this share of the shared samples not the same in both, two runs did not answer the same benchmark."""

_ASKED_WORDS = {"image_sha256": "picture", "caption": "reference caption", "answer_rule": "answer rule"}
"""What people call columns of `ASKED_TEXTS`."""


@dataclass(slots=True)
class PartCodes:
    """Gives equal parts of samples equal numbers, in all runs that share it."""

    known: dict[Hashable, int] = field(default_factory=dict[Hashable, int])
    """Code by part, from 1 on."""
    official: dict[str, tuple[int, ...]] = field(default_factory=dict[str, tuple[int, ...]])
    """Codes of the official columns that enter a score, by the text of all of them."""

    def of(self, parts: Iterable[Hashable]) -> CodeArray:
        """Return each part's code; 0 for None."""
        return np.fromiter(
            (0 if part is None else self.known.setdefault(part, len(self.known) + 1) for part in parts), dtype=np.int64
        )

    def of_official(self, texts: Sequence[str]) -> CodeArray:
        """Return the codes of `SCORED_COLUMNS` (columns x samples) in official columns as JSON text."""
        found = [self.official[text] if text in self.official else self._read(text) for text in texts]
        return np.array(found, dtype=np.int64).reshape(-1, len(SCORED_COLUMNS)).T

    def _read(self, text: str) -> tuple[int, ...]:
        fields = parse_object(text)
        codes = self.of(_hashable(fields.get(name)) for name in SCORED_COLUMNS)
        return self.official.setdefault(text, tuple(codes.tolist()))


def sample_parts(table: RunTable, places: CodeArray, codes: PartCodes) -> dict[str, CodeArray]:
    """Return what enters a prompt or a score of the samples at some places of a table: codes by part, 0 for none."""
    width, height = (np.where(np.isfinite(side), side + 1, 0).astype(np.int64) for side in table.image_sizes[places].T)
    columns = (table.answers, table.gold_boxes_image_px, table.choices, table.categories, table.l2_categories)
    answers, boxes, choices, categories, l2_categories = (picked(column, places) for column in columns)
    official = codes.of_official(picked(table.official, places))
    return {
        "answers": codes.of(answers),
        "gold boxes": codes.of(boxes),
        "choices": codes.of(None if text == "{}" else text for text in choices),
        "category": codes.of(text or None for text in categories),
        "l2_category": codes.of(text or None for text in l2_categories),
        **{_ASKED_WORDS.get(name, name): column[places] for name, column in table.asked.items()},
        "width": width,
        "height": height,
        **dict(zip(SCORED_COLUMNS, official, strict=True)),
    }


def differing_parts(one: Mapping[str, CodeArray], other: Mapping[str, CodeArray]) -> dict[str, NDArray[np.bool_]]:
    """Tell for each part of both and for each sample whether both runs carry it and not the same."""
    return {
        name: (codes != other[name]) & (codes != 0) & (other[name] != 0) for name, codes in one.items() if name in other
    }


def any_differs(differing: Mapping[str, NDArray[np.bool_]], samples: int) -> NDArray[np.bool_]:
    """Tell for each of so many samples whether any of its parts differs."""
    return np.any([np.zeros(samples, dtype=np.bool_), *differing.values()], axis=0)


def _hashable(value: Json) -> Hashable:
    """Return a JSON value as one that equals another where they do."""
    if isinstance(value, dict):
        return frozenset((name, _hashable(item)) for name, item in value.items())
    return tuple(map(_hashable, value)) if isinstance(value, list) else value


def too_many_differ(differing: int, shared: int, fields: Sequence[str]) -> str | None:
    """Say that two runs did not answer the same benchmark; None where few enough of the shared samples differ."""
    if differing <= MOST_DIFFERING * shared:
        return None
    return (
        f"{differing:,} of {shared:,} shared samples are not the same in both ({', '.join(fields)}): not the same "
        "benchmark"
    )
