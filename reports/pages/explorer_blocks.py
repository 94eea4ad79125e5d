"""Put samples into the blocks of data that the explorer reads: a small columnar index, questions, texts, pictures.

The index is read at once, so it holds numbers and ids alone; texts are in blocks of `ROWS_A_BLOCK` samples that are
unpacked when one of them is opened. The explorer computes no score: which way an answer went, whether it is right and
which IoU cuts it passes stand in the index as the comparison has them.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple, TypeAlias, cast

import numpy as np

from harness.comparison.values import CUTS, DIRECTIONS, Direction, SampleSide, SampleTable
from harness.files import RunFiles
from harness.images.thumbnails import read_thumbnail
from harness.stats.intervals import FloatArray
from harness.summary.counted_units import ANSWER_RIGHT
from harness.values import FAULTS, Json
from reports.pages.explorer_texts import SampleText
from reports.pages.shell import packed
from reports.texts.addresses import shown_name
from reports.texts.visible import visible

ROWS_A_BLOCK = 250
"""Samples whose texts are unpacked together."""

MOST_INLINE_PICTURES = 500
"""More thumbnails than this do not go into one file."""

MOST_INLINE_CROPS = 500
"""The same of regions that models asked to see closer."""

_IOU_UNITS = 10_000
_VALUE_DIGITS = 4

_Categories: TypeAlias = tuple[tuple[str, ...], tuple[str, ...]]
"""The categories of a sample, by level."""


@dataclass(frozen=True, slots=True)
class ShownSide:
    """One side's name and columns."""

    letter: str
    """A, B, C...: how the page calls it; empty on the page of one run."""
    name: str
    """Its name: untrusted text."""
    colour: int
    """Place of its colour and dash pattern."""
    columns: SampleSide
    """Its values."""


class ShownText(NamedTuple):
    """One sample's texts and what it is found by."""

    image: str
    """Digest of its image; empty without one."""
    categories: tuple[str, ...]
    """The categories that it counts in: untrusted texts."""
    subcategories: tuple[str, ...]
    """The second-level categories that it counts in."""
    text: SampleText
    """What the explorer shows of it."""


@dataclass(frozen=True, slots=True)
class ShownSamples:
    """What one list of the explorer shows: the samples of a run, or those that two sides share."""

    table: SampleTable
    """The samples. For one run its side `b` is its side `a`."""
    sides: tuple[ShownSide, ...]
    """One side or two."""
    texts: Iterable[ShownText]
    """The samples' texts, in order; read once and not kept."""
    directions: tuple[str, ...] = DIRECTIONS
    """Names of the codes in `table.directions`."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """The blocks of one list."""

    index: str
    """Packed index."""
    questions: str
    """Packed questions for list and search."""
    texts: tuple[str, ...]
    """Packed texts, `ROWS_A_BLOCK` samples each."""


def make_blocks(shown: ShownSamples, name: str, pictures: PictureBook) -> Blocks:
    """Return the blocks of one list; pictures that samples want are entered in the book.

    Args:
        shown: The samples.
        name: Number of the list: its blocks are called after it.
        pictures: Numbers the pictures of the page.
    """
    questions: list[Json] = []
    images: list[Json] = []
    texts: list[str] = []
    block: list[Json] = []
    groups: dict[_Categories, int] = {}
    group: list[Json] = []
    for image, categories, subcategories, text in shown.texts:
        questions.append(_first_line(text["question"]))
        images.append(pictures.number(image))
        for side in text["sides"]:
            for crop in side["crops"]:
                crop["image"] = pictures.number_of_crop(crop["sha256"], image)
        group.append(groups.setdefault((categories, subcategories), len(groups)))
        block.append(cast("Json", text))
        if len(block) == ROWS_A_BLOCK:
            texts.append(packed(block))
            block = []
    if block:
        texts.append(packed(block))
    index = packed({**_index(shown), **_category_columns(list(groups)), "group": group, "name": name, "image": images})
    return Blocks(index, packed(questions), tuple(texts))


def _category_columns(groups: Sequence[_Categories]) -> dict[str, Json]:
    """Return the names of both levels, and which of them the samples of each group count in."""
    levels = [sorted(set(chain.from_iterable(group[level] for group in groups))) for level in (0, 1)]
    codes = [{name: code for code, name in enumerate(names)} for names in levels]
    return {
        "categories": [shown_name(name) for name in levels[0]],
        "subcategories": [shown_name(name) for name in levels[1]],
        "groups": [[[codes[level][name] for name in group[level]] for level in (0, 1)] for group in groups],
    }


def _index(shown: ShownSamples) -> dict[str, Json]:
    table = shown.table
    return {
        "samples": len(table),
        "rows_a_block": ROWS_A_BLOCK,
        "tasks": [shown_name(name) for name in table.task_names],
        "task": table.tasks.tolist(),
        "ids": [shown_name(sample_id) for sample_id in table.ids],
        "directions": list[Json](shown.directions),
        "direction": table.directions.tolist(),
        "faults": list[Json](FAULTS),
        "cuts": [round(100 * cut) for cut in CUTS],
        "sides": [_side(side) for side in shown.sides],
    }


def _side(side: ShownSide) -> Json:
    columns = side.columns
    return {
        "letter": side.letter,
        "name": visible(side.name[:200]),
        "colour": side.colour,
        "value": _with_nulls(np.round(columns.values, _VALUE_DIGITS), columns.values),
        "right": np.where(np.isnan(columns.values), -1, columns.values >= ANSWER_RIGHT).astype(int).tolist(),
        "iou": _with_nulls(np.floor(columns.ious * _IOU_UNITS), columns.ious),
        # how many cuts it passes, so that page and comparison agree to the last bit
        "passed": np.searchsorted(np.array(CUTS), columns.ious, side="right").tolist(),
        "faults": columns.faults.tolist(),
    }


def _with_nulls(shown: FloatArray, exact: FloatArray) -> list[Json]:
    missing = np.isnan(exact)
    return [
        None if gap else (int(value) if value == int(value) else value)
        for value, gap in zip(np.where(missing, 0.0, shown).tolist(), missing.tolist(), strict=True)
    ]


def _first_line(question: str) -> str:
    return " ".join(question[:160].split())


class PictureBook:
    """Numbers the thumbnails that a page shows; each image once, however many samples ask about it."""

    def __init__(
        self,
        runs: Sequence[RunFiles],
        wanted: Sequence[str] | None,
        full: Callable[[str], bytes | None] = lambda _: None,
    ) -> None:
        """Take the runs that hold thumbnails, and the digests that may be shown (None: all).

        Args:
            runs: Where thumbnails are.
            wanted: Digests; None for all.
            full: Returns a picture at its own size as WebP, to be shown in place of its thumbnail; None without one.
        """
        self._runs = runs
        self._wanted = None if wanted is None else set(wanted)
        self._full = full
        self._crops_left = MOST_INLINE_CROPS
        self._numbers: dict[str, int] = {}
        self._shown: list[tuple[str, RunFiles]] = []

    def number(self, sha256: str) -> int:
        """Return the number of an image's thumbnail; -1 where it has none or is not to be shown.

        Raises:
            DamagedRunError: the thumbnail is not what was published, or none.
        """
        if not sha256 or (self._wanted is not None and sha256 not in self._wanted):
            return -1
        if sha256 not in self._numbers:
            run = next((run for run in self._runs if read_thumbnail(run, sha256) is not None), None)
            if run is None:
                self._numbers[sha256] = -1
            else:
                self._numbers[sha256] = len(self._shown)
                self._shown.append((sha256, run))
        return self._numbers[sha256]

    def number_of_crop(self, sha256: str, image: str) -> int:
        """Return the number of a region's thumbnail; -1 where it has none, or its image is not to be shown either.

        Raises:
            DamagedRunError: as `number`.
        """
        if self._wanted is None:
            return self.number(sha256)
        if not sha256 or image not in self._wanted:
            return -1
        if sha256 not in self._wanted:
            if self._crops_left == 0:
                return -1
            self._crops_left -= 1
            self._wanted.add(sha256)
        return self.number(sha256)

    @property
    def names(self) -> tuple[str, ...]:
        """The thumbnails' file names by number."""
        return tuple(f"{sha256}.webp" for sha256, _ in self._shown)

    def pictures(self) -> Iterator[tuple[str, bytes]]:
        """Yield each thumbnail's file name and content, by number.

        Raises:
            DamagedRunError: a thumbnail is not what was published, or none.
        """
        for name, (sha256, run) in zip(self.names, self._shown, strict=True):
            yield name, self._full(sha256) or read_thumbnail(run, sha256) or b""

    def inline_blocks(self) -> Iterator[tuple[str, str]]:
        """Yield the thumbnails as blocks: element id and base64."""
        for number, (_, content) in enumerate(self.pictures()):
            yield f"image-{number}", base64.b64encode(content).decode("ascii")


def most_changed(table: SampleTable, direction: Direction) -> list[int]:
    """Return the places of a direction by how much the score changed, then the overlap, then by their order."""
    places = np.flatnonzero(table.directions == DIRECTIONS.index(direction))
    scores = np.abs(table.b.values - table.a.values)[places]
    overlaps = np.nan_to_num(np.abs(table.b.ious - table.a.ious), nan=0.0)[places]
    return places[np.lexsort((places, -overlaps, -scores))].tolist()


def choose_pictures(table: SampleTable, images: Sequence[str], most: int = MOST_INLINE_PICTURES) -> list[str]:
    """Return the images to show where there is not room for all: flips first, then every quadrant in turn.

    Of the flips those that changed most come first, lost and gained in turn: they head the lists of the page.

    Args:
        table: The samples.
        images: One digest per sample; empty for a sample without image.
        most: How many different images there is room for.
    """
    changed = [np.array(most_changed(table, direction), dtype=np.int64) for direction in ("lost", "gained")]
    flips = np.isin(table.directions, [DIRECTIONS.index("lost"), DIRECTIONS.index("gained")])
    quadrants = table.quadrants(table.b)
    groups = [_in_turn(changed)]
    rest = [np.flatnonzero(~flips & (quadrants == code)) for code in range(-1, 4)]
    groups.append(_in_turn(rest))
    chosen: dict[str, None] = {}
    for place in np.concatenate(groups).tolist():
        image = images[int(place)]
        if image:
            chosen[image] = None
            if len(chosen) == most:
                break
    return list(chosen)


def _in_turn(groups: Sequence[np.ndarray]) -> np.ndarray:
    """Return the members of all groups, one of each group after the other."""
    ranks = np.concatenate([np.arange(len(group)) for group in groups])
    members = np.concatenate(groups)
    return members[np.argsort(ranks, kind="stable")].astype(np.int64)


def block_elements(blocks: Mapping[int, Blocks]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the early and the late data blocks of a page by element id, the first list's index and questions early."""
    early: dict[str, str] = {}
    late: dict[str, str] = {}
    for number, found in blocks.items():
        first = early if number == 0 else late
        first[f"index-{number}"] = found.index
        first[f"questions-{number}"] = found.questions
        for place, text in enumerate(found.texts):
            late[f"texts-{number}-{place}"] = text
    return early, late
