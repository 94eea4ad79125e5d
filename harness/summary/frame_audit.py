"""Audit how boxes were read: would they overlap much better with the gold in another frame or order of numbers?

A box read in the wrong frame is silently near 0, the commonest grounding bug of all. So after each scoring the mean IoU
is computed again, from the raw texts, for every frame and for the orders that model families write (x1, y1, x2, y2;
y1, x1, y2, x2; x, y, width, height), and a reading that does much better is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias, get_args

from harness.images.frames import cut_at_image
from harness.scoring.overlap import union_iou
from harness.scoring.score import predicted_boxes_image_px
from harness.scoring.stages import stage_text
from harness.scoring.written_boxes import quadruples
from harness.values import BOX_FRAMES, Box, BoxFrame, Json, Record, ScoreConfig

BoxOrder: TypeAlias = Literal["xyxy", "yxyx", "xywh"]
"""What the four numbers of a box are, in written order: two corners, corners with y first, or a corner and a size."""

MUCH_BETTER_IOU: Final = 0.1
"""Another reading is named when its mean IoU is higher by more than this..."""
MUCH_BETTER_RATIO: Final = 1.5
"""...and by more than this factor: small boxes in a wrong frame overlap little in every frame."""
LEAST_IOU_OF_NEW_ORDER: Final = 0.3
"""A reading that `--box-frame` has no name for is named from this mean IoU on: among many readings of a model that
points nowhere, one is always the best."""
LEAST_IOU_OF_OTHER_SIZE: Final = 0.6
"""Pixels of an image of another size are named from this mean IoU on, as one factor is fitted to each row: boxes that
point nowhere win by it too, but not so much."""
NEARLY_EQUAL_IOU: Final = 0.02
"""Readings whose means lie this near to the best one cannot be told from it: both are named."""
AUDITED_RECORDS: Final = 1_000
"""Records with gold and written boxes that are looked at, the first of a run: a wrong frame shows in far fewer."""

_ORDER_WORDS: Final[dict[BoxOrder, str]] = {"xyxy": "", "yxyx": " with y before x", "xywh": " as x, y, width, height"}


@dataclass(frozen=True, slots=True)
class FrameReading:
    """One way to understand four numbers."""

    unit: BoxFrame | Literal["norm_100", "other_px"]
    """What the numbers count; `norm_100` are percent of the image's sides, `other_px` pixels of the image at a size
    that nobody told, which are no frames that are scored in."""
    order: BoxOrder = "xyxy"
    """Which number is which."""

    @property
    def name(self) -> str:
        """The reading in words; a frame's own name where it is just that frame."""
        return "pixels of another size" if self.unit == "other_px" else f"{self.unit}{_ORDER_WORDS[self.order]}"

    @property
    def frame(self) -> BoxFrame | None:
        """The frame to declare for it; None when no frame says this."""
        if self.unit == "norm_100" or self.unit == "other_px" or self.order != "xyxy":  # noqa: PLR1714 - narrows the type
            return None
        return self.unit


OTHER_SIZE: Final = FrameReading("other_px")
"""Pixels of the image at another size: what a model writes whose input was resized, when no size of it is known."""
READINGS: Final = (
    *(FrameReading(unit, order) for order in get_args(BoxOrder) for unit in (*BOX_FRAMES, "norm_100")),
    OTHER_SIZE,
)


@dataclass(frozen=True, slots=True)
class FrameAudit:
    """Mean IoU of the same texts under each reading."""

    declared: BoxFrame | None
    """The frame that the texts were scored in."""
    mean_iou: dict[str, float | None]
    """Mean union IoU per name of a reading over the rows that can be read so; None where no row can."""
    rows: dict[str, int]
    """Rows behind each mean."""

    @property
    def better(self) -> tuple[FrameReading, ...]:
        """The readings that do much better than the declared frame, the best first; empty when none does.

        More than one only where they cannot be told apart. Without a declared frame these are the best readings, as
        advice for `--box-frame`.
        """
        base = (self.mean_iou.get(self.declared) or 0.0) if self.declared is not None else 0.0
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
        # a frame that can be declared stands before one that cannot: the advice is to declare it
        near = [(reading.frame is None, -value, reading) for value, reading in much if value > best - NEARLY_EQUAL_IOU]
        return tuple(reading for _, _, reading in sorted(near, key=lambda item: item[:2]))

    @property
    def better_frame(self) -> BoxFrame | None:
        """The frame that would do much better; None when there is none, or none that can be declared."""
        return self.better[0].frame if self.better else None

    def to_json(self) -> dict[str, Json]:
        """Return the audit for `scores.json`."""
        return {
            "declared": self.declared,
            "mean_iou": dict[str, Json](self.mean_iou.items()),
            "rows": dict[str, Json](self.rows.items()),
            "better_frame": self.better_frame,
            "better_readings": [reading.name for reading in self.better],
        }

    def warning(self) -> str | None:
        """Return what to tell the person who scored the texts; None when nothing is suspicious."""
        if not self.better:
            return None
        best, *others = self.better
        declared = self.mean_iou.get(self.declared) if self.declared is not None else None
        said = "no frame is declared" if self.declared is None else f"{self.declared} gives {_shown(declared)}"
        found = f"read as {best.name}, the boxes reach a mean IoU of {_shown(self.mean_iou[best.name])}, while {said}"
        also = f" ({' and '.join(other.name for other in others)} fit as well)" if others else ""
        mend = "No --box-frame reads that: bring the boxes into one of its frames, as x1, y1, x2, y2."
        if best.frame is not None:
            mend = f"If the model writes {best.frame}, score with --box-frame {best.frame}."
        elif best == OTHER_SIZE:
            mend = (
                "If they are pixels of the resized image that the model saw, score with --box-frame input_px and that "
                "image's size: --min-pixels and --max-pixels, or input_width and input_height in each row."
            )
        return f"box-frame audit: {found}{also}. {mend}"


class FrameAuditor:
    """Adds up, record by record, the IoU under each reading."""

    def __init__(self, config: ScoreConfig) -> None:
        self._config = config
        active = config.format in {"satori", "satori-think"} and config.protocol != "paper"
        self._left = AUDITED_RECORDS if active else 0
        self._configs: dict[BoxFrame, ScoreConfig] = {frame: replace(config, box_frame=frame) for frame in BOX_FRAMES}
        self._totals = dict.fromkeys(READINGS, 0.0)
        self._rows = dict.fromkeys(READINGS, 0)

    def add(self, record: Record) -> None:
        """Count one record; without gold boxes or written numbers it says nothing about frames."""
        sample = record.sample
        if not self._left or not sample.boxes_image_px:
            return
        stage = stage_text(record.generation.text, self._config.format, "bbox")
        written = quadruples(stage) if stage is not None else ()
        if not written:
            return
        self._left -= 1
        gold = sample.boxes_image_px
        if sample.image_size is not None:
            gold = cut_at_image(gold, sample.image_size)[0]
        for reading in READINGS:
            read = _corners(written, reading.order)
            boxes = _fitted(read, gold) if reading == OTHER_SIZE else self._placed(read, reading, record)
            if boxes is not None:
                self._totals[reading] += union_iou(boxes, gold)
                self._rows[reading] += 1

    def _placed(self, boxes: Sequence[Box], reading: FrameReading, record: Record) -> tuple[Box, ...] | None:
        """Bring boxes of a unit into original pixels, cut at the image; None when a size is not known."""
        assert reading.unit != "other_px", "has no size to place it by"
        if reading.unit == "norm_100":
            hundredths = [(x1 / 100, y1 / 100, x2 / 100, y2 / 100) for x1, y1, x2, y2 in boxes]
            boxes, frame = hundredths, "norm_1"
        else:
            frame = reading.unit
        size = record.sample.image_size
        placed = predicted_boxes_image_px(boxes, record.sample, self._configs[frame], record.generation.input_size)
        return placed if placed is None or size is None else cut_at_image(placed, size)[0]

    def result(self) -> FrameAudit | None:
        """Return the audit.

        None where nothing could be audited: no record with gold and written numbers, a format without boxes, or the
        protocol `paper`, which fixes its frame.
        """
        if not any(self._rows.values()):
            return None
        means = {
            reading.name: self._totals[reading] / count if count else None for reading, count in self._rows.items()
        }
        rows = {reading.name: count for reading, count in self._rows.items()}
        return FrameAudit(self._config.box_frame, means, rows)


def _corners(written: Sequence[Box], order: BoxOrder) -> list[Box]:
    """Return the boxes with area that the quadruples are in an order of numbers, as x1, y1, x2, y2."""
    if order == "yxyx":
        written = [(x1, y1, x2, y2) for y1, x1, y2, x2 in written]
    elif order == "xywh":
        written = [(x, y, x + width, y + height) for x, y, width, height in written]
    return [box for box in written if box[0] < box[2] and box[1] < box[3]]


def _fitted(boxes: Sequence[Box], gold: Sequence[Box]) -> tuple[Box, ...]:
    """Bring boxes nearest to the gold by one factor for both directions: least squares over the corners of all."""
    if not boxes or not gold:
        return tuple(boxes)
    hull, aim = _hull(boxes), _hull(gold)
    square = sum(edge * edge for edge in hull)
    factor = sum(edge * wanted for edge, wanted in zip(hull, aim, strict=True)) / square if square else 1.0
    return tuple((x1 * factor, y1 * factor, x2 * factor, y2 * factor) for x1, y1, x2, y2 in boxes)


def _hull(boxes: Sequence[Box]) -> Box:
    """Return the box around boxes."""
    x1s, y1s, x2s, y2s = zip(*boxes, strict=True)
    return (min(x1s), min(y1s), max(x2s), max(y2s))


def _shown(value: float | None) -> str:
    """Return a mean IoU for a sentence."""
    return "nothing (sizes unknown)" if value is None else f"{value:.3f}"
