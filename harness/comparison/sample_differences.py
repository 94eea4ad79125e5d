"""Tell what differs between the samples of runs: whatever enters a prompt or a score, part by part.

Parts are coded as numbers that are equal where the parts are, so that many runs are compared pair by pair at the cost
of arrays. What a run does not carry is 0 and says nothing: predictions made elsewhere need not carry a question or its
picture. But what decides how an answer is read (choices, `_HOW_READ`) differs too where only one run carries it, and so
do groups that are not the same sets of samples, whatever they are called: a change is judged by them.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from harness.comparison.columns import RunTable, picked
from harness.runs.json_text import parse_object
from harness.stats.intervals import CodeArray
from harness.summary.clusters import SCORED_COLUMNS
from harness.values import Json

MOST_DIFFERING = 0.01
"""With more than this share of the shared samples not the same in both, two runs did not answer the same benchmark."""

_ASKED_WORDS = {"image_sha256": "picture", "caption": "reference caption", "answer_rule": "answer rule"}
"""What people call columns of `ASKED_TEXTS`."""
_KIND_OF_ANSWER = "answer_type"
_HOW_READ = ("question_type", _KIND_OF_ANSWER, "precision")
"""Parts without which an answer is read by another rule, where a row says of which kind its answer is."""
_GROUP = "group"


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
        _GROUP: codes.of(text or None for text in picked(table.groups, places)),
        **{_ASKED_WORDS.get(name, name): column[places] for name, column in table.asked.items()},
        "width": width,
        "height": height,
        **dict(zip(SCORED_COLUMNS, official, strict=True)),
    }


def differing_parts(one: Mapping[str, CodeArray], other: Mapping[str, CodeArray]) -> dict[str, NDArray[np.bool_]]:
    """Tell for each part and each sample whether the runs do not have the same, by the rules of this file."""
    if one is other:
        return {}
    carried = {name: (codes != 0) & (other[name] != 0) for name, codes in one.items() if name in other}
    found = {name: (one[name] != other[name]) & in_both for name, in_both in carried.items()}
    if _GROUP in carried:
        found[_GROUP] = _grouped_otherwise(one[_GROUP], other[_GROUP])
    for name, differs in _read_otherwise(one, other).items():
        found[name] = found[name] | differs if name in found else differs
    return found


def _read_otherwise(one: Mapping[str, CodeArray], other: Mapping[str, CodeArray]) -> dict[str, NDArray[np.bool_]]:
    """Tell where what decides how an answer is read differs, also where only one run carries it."""
    samples = next((len(codes) for codes in one.values()), 0)
    none = np.zeros(samples, dtype=np.int64)
    there = [np.any([none != 0, *(codes != 0 for codes in run.values())], axis=0) for run in (one, other)]
    of_a_kind = (one.get(_KIND_OF_ANSWER, none) != 0) | (other.get(_KIND_OF_ANSWER, none) != 0)
    where = dict.fromkeys(_HOW_READ, there[0] & there[1] & of_a_kind) | {"choices": there[0] & there[1]}
    return {
        name: (one.get(name, none) != other.get(name, none)) & asked
        for name, asked in where.items()
        if name in one or name in other
    }


def _grouped_otherwise(one: CodeArray, other: CodeArray) -> NDArray[np.bool_]:
    """Tell for each sample whether its group in one run is more than one group, or a part of one, in the other."""
    both = (one != 0) & (other != 0)
    pairs = np.unique(one[both] * (int(other.max(initial=0)) + 1) + other[both])
    sides = np.divmod(pairs, int(other.max(initial=0)) + 1)
    (ours, our_partners), (theirs, their_partners) = (np.unique(side, return_counts=True) for side in sides)
    split = np.isin(one, ours[our_partners > 1]) | np.isin(other, theirs[their_partners > 1])
    return both & split


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
