"""Audit how boxes were read: would they overlap much better with the gold in another unit or order of numbers?

A box read in the wrong frame is silently near 0, the commonest grounding bug of all. So after each scoring the mean IoU
is computed again, from the raw texts, for every unit and for the orders that model families write (x1, y1, x2, y2;
y1, x1, y2, x2; x, y, width, height), on the boxes that any syntax finds, and a reading that does much better is named.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import heappush, heappushpop
from math import fsum
from operator import itemgetter
from typing import Final, Literal, TypeAlias

import numpy as np

from harness.images.frames import cut_at_image, smart_resize
from harness.runs.journal import Key
from harness.scoring.box_dialects import (
    NAMES_ITS_NUMBERS,
    PATCHES_A_SIDE,
    dialect_words,
    frame_of_dialect,
    optional_words,
    written_quadruples,
)
from harness.scoring.formats import has_places, marked_format
from harness.scoring.overlap import union_iou
from harness.scoring.read_text import text_of_boxes
from harness.scoring.score import placed_image_px
from harness.scoring.written_boxes import corners, read_boxes
from harness.summary.single_boxes import SingleBoxes, SingleRow, has_plain_area, is_plain
from harness.values import Box, BoxDialect, BoxFrame, BoxOrder, BoxSyntax, BoxUnit, Json, Record, ScoreConfig
from harness.vocabulary import BOX_ORDERS

MUCH_BETTER_IOU: Final = 0.1
"""Another reading is named when its mean IoU is higher by more than this..."""
MUCH_BETTER_RATIO: Final = 1.5
"""...and by more than this factor: small boxes in a wrong frame overlap little in every frame."""
LEAST_IOU_OF_NEW_ORDER: Final = 0.3
"""A reading that is no box frame is named from this mean IoU on: among many readings of a model that points nowhere,
one is always the best."""
LEAST_IOU_OF_OTHER_SIZE: Final = 0.6
"""Pixels of an image of another size are named from this mean IoU on, as one factor is fitted to each row: boxes that
point nowhere win by it too, but not so much."""
NEARLY_EQUAL_IOU: Final = 0.02
"""Readings whose means lie this near to the best one cannot be told from it: all are named, and none is advised."""
AUDITED_RECORDS: Final = 500
"""Records with gold and written boxes that are looked at: a wrong frame shows in far fewer."""

AuditUnit: TypeAlias = BoxUnit | Literal["other_px"]
"""What the numbers count; `other_px` are pixels of the image at a size that nobody told, which nothing is scored in."""

_ORDER_WORDS: Final[dict[BoxOrder, str]] = {"xyxy": "", "yxyx": " with y before x", "xywh": " as x, y, width, height"}


@dataclass(frozen=True, slots=True)
class FrameReading:
    """One way to understand four numbers."""

    unit: AuditUnit
    """What the numbers count."""
    order: BoxOrder = "xyxy"
    """Which number is which."""

    @property
    def name(self) -> str:
        """The reading in words; a frame's own name where it is just that frame."""
        if self.unit == "other_px":
            return "pixels of another size"
        unit = self.unit if isinstance(self.unit, str) else f"norm_{self.unit:.15g}"
        return f"{unit}{_ORDER_WORDS[self.order]}"

    def dialect(self, syntax: BoxSyntax) -> BoxDialect | None:
        """Return the dialect to declare for boxes of a syntax; None for pixels of a size that nobody told."""
        return None if self.unit == "other_px" else BoxDialect(syntax, self.order, self.unit)

    @property
    def frame(self) -> BoxFrame | None:
        """The box frame that says the same of the format's list; None when none does."""
        return frame_of_dialect(self.dialect("satori"))


OTHER_SIZE: Final = FrameReading("other_px")
"""Pixels of the image at another size: what a model writes whose input was resized, when no size of it is known."""
_UNITS: Final[tuple[BoxUnit, ...]] = ("image_px", "input_px", 1000.0, 1.0, 100.0, 500.0, 1024.0)
"""999 is not among them: nothing tells it from 1000."""
CELLS: Final = FrameReading(float(PATCHES_A_SIDE))
"""Cells of a side, for patch indices, which nothing else explains."""
READINGS: Final = (*(FrameReading(unit, order) for order in BOX_ORDERS for unit in _UNITS), CELLS, OTHER_SIZE)


@dataclass(frozen=True, slots=True)
class FrameAudit:
    """Mean IoU of the same texts under each reading."""

    declared: BoxDialect | None
    """The dialect that the texts were scored in."""
    declared_iou: float | None
    """Mean IoU that they were scored with; None where none was."""
    syntax: BoxSyntax
    """How most of their boxes are written; `satori` where the format's list reads them."""
    mean_iou: dict[str, float | None]
    """Mean union IoU per name of a reading over the rows that can be read so; None where no row can."""
    rows: dict[str, int]
    """Rows behind each mean."""

    @property
    def better(self) -> tuple[FrameReading, ...]:
        """The readings that do much better than the declared dialect, the best first; empty when none does.

        More than one only where they cannot be told apart. Without a declared dialect these are the best readings.
        """
        base = self.declared_iou or 0.0
        much = [
            (value, reading)
            for reading in READINGS
            if (value := self.mean_iou.get(reading.name)) is not None
            and value > base + MUCH_BETTER_IOU
            and value > base * MUCH_BETTER_RATIO
            and (reading.frame is not None or value >= LEAST_IOU_OF_NEW_ORDER)
            and (reading != OTHER_SIZE or value >= LEAST_IOU_OF_OTHER_SIZE)
        ]
        # a factor fitted to each row also explains readings with one factor for all: those come first
        plain = [(value, reading) for value, reading in much if reading != OTHER_SIZE]
        fitted = self.mean_iou.get(OTHER_SIZE.name) or 0.0
        if plain and fitted <= max(value for value, _ in plain) + MUCH_BETTER_IOU:
            much = plain
        best = max((value for value, _ in much), default=0.0)
        # a frame with a name stands before a reading that has none: it is the likelier
        near = [(reading.frame is None, -value, reading) for value, reading in much if value > best - NEARLY_EQUAL_IOU]
        return tuple(reading for _, _, reading in sorted(near, key=lambda item: item[:2]))

    @property
    def advised(self) -> BoxDialect | None:
        """The dialect to declare; None when nothing does much better, or several cannot be told apart."""
        if len(self.better) != 1:
            return None
        return self.better[0].dialect(self.syntax)

    def to_json(self) -> dict[str, Json]:
        """Return the audit for `scores.json`."""
        return {
            "declared": optional_words(self.declared),
            "declared_iou": self.declared_iou,
            "syntax": self.syntax,
            "mean_iou": dict[str, Json](self.mean_iou.items()),
            "rows": dict[str, Json](self.rows.items()),
            "better_frame": frame_of_dialect(self.advised),
            "better_dialect": optional_words(self.advised),
            "better_readings": [reading.name for reading in self.better],
        }

    def warning(self) -> str | None:
        """Return what to tell the person who scored the texts; None when nothing is suspicious."""
        if not self.better:
            return None
        best, *others = self.better
        said = "no box dialect is declared"
        if self.declared is not None:
            said = f"{dialect_words(self.declared)} gives {_shown(self.declared_iou)}"
        found = f"read as {best.name}, the boxes reach a mean IoU of {_shown(self.mean_iou[best.name])}, while {said}"
        also = f" ({' and '.join(other.name for other in others)} fit as well)" if others else ""
        if best == OTHER_SIZE:
            mend = (
                "If they are pixels of the resized image that the model saw, score with --box-frame input_px and that "
                "image's size: --min-pixels and --max-pixels, or input_width and input_height in each row."
            )
        elif self.advised is not None:
            words = dialect_words(self.advised)
            option = "--box-frame" if words == best.frame else "--box-dialect"
            mend = f"If the model writes them so, score with {option} {words}."
        else:
            mend = "Nothing here tells them apart: declare the one that the model writes, with --box-dialect."
        return f"box-frame audit: {found}{also}. {mend}"


class FrameAuditor:
    """Picks records, and adds up the IoU that they have under each reading.

    Those with the smallest hashes of their names are picked, so that neither the order of the records nor how they are
    cut into shards changes anything.
    """

    def __init__(self, config: ScoreConfig) -> None:
        self._config = config
        row = marked_format(config.format)
        # numbers that lie in crops, or count in one of two units, are no evidence for one frame
        plain = row is None or not (row.source_key or row.unit_above_one)
        self._active = has_places(config.format) and plain and config.protocol != "paper"
        self._picked: list[tuple[int, Key, Record, str, BoxSyntax, Sequence[Box]]] = []
        """A heap of records with the text of their boxes and the numbers that it holds; the largest hash, as the
        smallest negative, is on top."""

    def add(self, record: Record) -> None:
        """Look at one record; without gold boxes in one picture, or written numbers, it says nothing about frames."""
        if not self._active or not record.sample.boxes_image_px or record.sample.pictures:
            return
        name = f"{record.sample.task}\0{record.sample.id}\0{record.repeat}".encode(errors="surrogatepass")
        rank = -int.from_bytes(hashlib.blake2b(name, digest_size=8).digest())
        full = len(self._picked) >= AUDITED_RECORDS
        if full and rank < self._picked[0][0]:
            return
        text = text_of_boxes(record.generation.text, self._config.format)
        written = written_quadruples(text)
        if written is not None:
            (heappushpop if full else heappush)(self._picked, (rank, record.key, record, text, *written))

    def result(self) -> FrameAudit | None:
        """Return the audit.

        None where nothing could be audited: no record with gold and written numbers, a format without boxes, or the
        protocol `paper`, which fixes its frame.
        """
        found: dict[int, list[float]] = {place: [] for place in range(len(READINGS))}
        syntaxes: Counter[BoxSyntax] = Counter()
        singles: list[SingleRow] = []
        for _, _, record, text, syntax, written in sorted(self._picked, key=itemgetter(0, 1)):
            strict = read_boxes(text)
            syntaxes["satori" if strict.boxes or strict.faults != ("malformed",) else syntax] += 1
            single = self._single(record, syntax, written)
            if single is not None:
                singles.append(single)
                continue
            for place, iou in self._read_every_way(record, syntax, written):
                found[place].append(iou)
        for place, ious in _read_together(singles):
            found[place] += ious
        if not any(found.values()):
            return None
        names = [reading.name for reading in READINGS]
        means = {name: _mean(found[place]) for place, name in enumerate(names)}
        rows = {name: len(found[place]) for place, name in enumerate(names)}
        declared = self._config.box_dialect
        syntax = syntaxes.most_common(1)[0][0]
        if syntax == "satori" and declared is not None:  # whatever the dialect, it reads the format's list first
            syntax = declared.syntax
        scored = [record.score.iou for _, _, record, *_ in self._picked if record.score.iou is not None]
        return FrameAudit(declared, _mean(scored), syntax, means, rows)

    def _single(self, record: Record, syntax: BoxSyntax, written: Sequence[Box]) -> SingleRow | None:
        """Return a record of one box and one gold box, which is read together with its like; None for any other."""
        size, seen = record.sample.image_size, record.generation.input_size
        if len(written) != 1 or syntax in NAMES_ITS_NUMBERS or size is None or min(size.width, size.height) < 1:
            return None
        gold = cut_at_image(record.sample.boxes_image_px or (), size)[0]
        if len(gold) != 1 or not has_plain_area(gold[0]) or not is_plain(written[0]):
            return None
        if seen is None and self._config.pixel_limits is not None:
            try:
                seen = smart_resize(size, self._config.pixel_limits)
            except ValueError:
                seen = None  # no grid exists for such an image
        if seen is not None and min(seen.width, seen.height) < 1:
            seen = None
        return SingleRow(written[0], gold[0], size, seen)

    def _read_every_way(self, record: Record, syntax: BoxSyntax, written: Sequence[Box]) -> Iterator[tuple[int, float]]:
        """Yield places in `READINGS` and the IoU that the boxes have under each, where they can be read so."""
        gold = record.sample.boxes_image_px or ()
        if record.sample.image_size is not None:
            gold = cut_at_image(gold, record.sample.image_size)[0]
        for order in BOX_ORDERS[: 1 if syntax in NAMES_ITS_NUMBERS else None]:
            boxes = [box for box in corners(written, order) if box[0] < box[2] and box[1] < box[3]]
            for place, dialect in _READ_AS[order, syntax == "patch"]:
                placed = self._placed(record, dialect, boxes, gold)
                if placed is not None:
                    # those that lie apart have 0, as most wrong readings do
                    far = not placed or not gold or _lie_apart(placed, gold)
                    yield place, 0.0 if far else union_iou(placed, gold)

    def _placed(
        self, record: Record, dialect: BoxDialect | None, boxes: Sequence[Box], gold: Sequence[Box]
    ) -> Sequence[Box] | None:
        """Return boxes in pixels of the image under a reading; None where it needs a size that is not known."""
        if dialect is None:
            return _fitted(boxes, gold)
        sample, limits = record.sample, self._config.pixel_limits
        placed = placed_image_px(boxes, sample, dialect, record.generation.input_size, limits)
        if placed is not None and sample.image_size is not None:
            placed = cut_at_image(placed, sample.image_size)[0]
        return placed


def _read_together(rows: Sequence[SingleRow]) -> Iterator[tuple[int, list[float]]]:
    """Yield places in `READINGS` with the IoU of the rows that can be read so."""
    if not rows:
        return
    boxes = SingleBoxes(rows)
    for order in BOX_ORDERS:
        corners_4n = np.array(corners([row.written for row in rows], order), dtype=np.float64).T
        for place, dialect in _READ_AS[order, False]:
            if dialect is None:
                yield place, boxes.iou_fitted(corners_4n).tolist()
            else:
                ious_n = boxes.iou_as(dialect.unit, corners_4n)
                yield place, (ious_n[boxes.seen_n] if dialect.unit == "input_px" else ious_n).tolist()


def _mean(values: Sequence[float]) -> float | None:
    """Return the mean, whatever the order of the values; None of nothing."""
    return fsum(values) / len(values) if values else None


_READ_AS: Final = {
    (order, of_patches): [
        (place, reading.dialect("list"))
        for place, reading in enumerate(READINGS)
        if reading.order == order and (reading == CELLS) == of_patches
    ]
    for order in BOX_ORDERS
    for of_patches in (False, True)
}
"""Places in `READINGS` with the dialect of each, by the order of the numbers and by whether they are patches."""


def _fitted(boxes: Sequence[Box], gold: Sequence[Box]) -> tuple[Box, ...]:
    """Bring boxes nearest to the gold by one factor for both directions: least squares over the corners of all."""
    if not boxes or not gold:
        return tuple(boxes)
    hull, aim = _hull(boxes), _hull(gold)
    square = sum(edge * edge for edge in hull)
    factor = sum(edge * wanted for edge, wanted in zip(hull, aim, strict=True)) / square if square else 1.0
    return tuple((x1 * factor, y1 * factor, x2 * factor, y2 * factor) for x1, y1, x2, y2 in boxes)


def _lie_apart(boxes: Sequence[Box], others: Sequence[Box]) -> bool:
    """Return whether boxes lie so far from others that none of them can meet."""
    left, top, right, bottom = _hull(boxes)
    x1, y1, x2, y2 = _hull(others)
    return right <= x1 or x2 <= left or bottom <= y1 or y2 <= top


def _hull(boxes: Sequence[Box]) -> Box:
    """Return the box around boxes."""
    if len(boxes) == 1:
        return boxes[0]
    x1s, y1s, x2s, y2s = zip(*boxes, strict=True)
    return (min(x1s), min(y1s), max(x2s), max(y2s))


def _shown(value: float | None) -> str:
    """Return a mean IoU for a sentence."""
    return "nothing (sizes unknown)" if value is None else f"{value:.3f}"
