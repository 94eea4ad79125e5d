"""Read gold boxes as a data set writes them, and tell over a whole file when they can't be what they are taken for.

A gold box in the wrong frame trains a model to look at the wrong place, or scores a right one with 0, and no later step
can notice. Numbers alone rarely prove their frame, so a single row is judged only where it is plain (all in 0 to 1,
thousandths beyond the image), and the rest over the rows of a file (`FrameEvidence`). Nothing is converted by a guess:
who knows the frame declares it.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, TypeAlias, cast

from harness.images.frames import to_image_px
from harness.scoring.written_boxes import MAX_BOXES
from harness.scoring.written_boxes import corners as in_order
from harness.values import UNIT_OF_FRAME, Box, BoxDialect, Size
from harness.vocabulary import GoldFrame

Reading: TypeAlias = GoldFrame | Literal["other_px"]
"""What boxes seem to be; `other_px` are pixels of an image of another size, which no column gives."""

MEANING_OF_READING: Final[dict[Reading, str]] = {
    "image_px": "pixels of the image",
    "input_px": "pixels of an image of the row's width and height",
    "norm_1": "fractions of the image",
    "norm_1000": "thousandths of the image",
    "percent": "percent of the image",
    "xywh": "left, top, width, height",
    "yxyx": "y before x",
    "other_px": "pixels of an image of another size",
}
"""A reading in words."""

BoxFaultName: TypeAlias = Literal[
    "box_malformed", "box_non_finite", "box_inverted", "box_degenerate", "box_norm_1", "box_norm_1000"
]
"""What is wrong with the boxes of one row."""

_MAX_TEXT_CHARACTERS: Final = 100_000
_LEAST_SIDE_PX: Final = 8
"""On an image with smaller sides a box of one pixel is no sign of another frame."""
OVERSHOOT: Final = 1.05
"""Annotators miss the edge by a few pixels; beyond this share of a side another frame is likelier."""
_SLIGHT_OVERSHOOT: Final = 1.01
"""Up to this share of a side nobody wonders; a third of the rows beyond it is no slip of annotators."""
_SUSPICIOUS_SHARE: Final = 0.1
"""From this share of the rows with boxes on, a sign is the file's and not a row's."""
_SLIGHT_SHARE: Final = 1 / 3
_LEAST_ROWS: Final = 3
"""With fewer rows a slight overshoot is a slip; with no more, thousandths explain numbers beyond the image as well as y
before x does, and are commoner."""

_TELLING_SIDE: Final = {100: 2.0, 1000: 1.1}
"""A side so many times longer than a frame's bound says something when no number passes the bound."""
_LEAST_EVIDENCE: Final = math.log(200)
"""Boxes of their sizes, placed anywhere on their images, stay below the bound less often than once in 200 files."""
_MOST_EVIDENCE_OF_A_SIDE: Final = 3.0
"""One box alone proves nothing, however unlikely its place."""
_LEAST_BOXES: Final = 3
"""Different boxes that are needed: the same box again is no new evidence."""
_NEAREST: Final = 0.75
_NEAR: Final = 0.5
"""Shares of the bound that the longer and the shorter reach of all boxes must come up to: a frame is filled."""
_LARGEST_BOX: Final = {100: 0.4, 1000: 0.3}
"""Share of the bound that some box's longer side must have: a cloud of small boxes in a corner is honest..."""
_LARGEST_WHOLE_PERCENT: Final = 0.65
"""...more of it for percent that are all whole numbers, as pixels are and percent seldom..."""
_OVERWHELMING: Final = 10 * _LEAST_EVIDENCE
_BRIM: Final = 0.95
"""...unless so many of them fill thousandths, and nothing but these, to the brim in both directions."""
_MOST_REMEMBERED: Final = 100_000


class GoldBoxError(Exception):
    """The boxes of a row are wrong; never leaves a reader of rows."""

    def __init__(self, name: BoxFaultName, detail: str) -> None:
        super().__init__(detail)
        self.name: BoxFaultName = name
        """What is wrong."""


def parse_quads(value: object) -> tuple[Box, ...]:
    """Return the four numbers of each box, as written; none for None, a blank text and an empty list.

    Args:
        value: A list of four numbers, a list of such lists, an array, or either as JSON text.

    Raises:
        GoldBoxError: It is something else, or a number is NaN or infinite.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return ()
    if isinstance(value, str):
        value = _from_json(value)
    value = _as_list(value)
    if not isinstance(value, list | tuple):
        raise GoldBoxError("box_malformed", f"found {type(value).__name__}, not a list")
    items = [_as_list(item) for item in cast("Sequence[object]", value)]
    if len(items) == 4 and not any(isinstance(item, list | tuple) for item in items):
        items = [items]  # one box alone
    if len(items) > MAX_BOXES:
        raise GoldBoxError("box_malformed", f"{len(items)} boxes; at most {MAX_BOXES} are read")
    return tuple(_quad(number, item) for number, item in enumerate(items, start=1))


def _from_json(text: str) -> object:
    """Parse boxes that a cell holds as text."""
    if len(text) > _MAX_TEXT_CHARACTERS:
        raise GoldBoxError("box_malformed", f"a text of {len(text)} characters")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as fault:
        raise GoldBoxError("box_malformed", f"the text is no JSON list: {text[:60]!a}") from fault


def _as_list(value: object) -> object:
    """Return an array as a list, anything else as it is."""
    return cast("Any", value).tolist() if hasattr(value, "tolist") else value


def _quad(number: int, item: object) -> Box:
    """Return four finite numbers."""
    if not isinstance(item, list | tuple) or len(cast("Sequence[object]", item)) != 4:
        raise GoldBoxError("box_malformed", f"box {number} is {ascii(cast('object', item))[:60]}")
    edges: list[float] = []
    for edge in cast("Sequence[Any]", item):
        if isinstance(edge, bool) or not isinstance(edge, int | float):
            raise GoldBoxError("box_malformed", f"box {number} holds {ascii(edge)[:60]}, which is no number")
        try:
            edges.append(float(edge))
        except OverflowError:  # an integer beyond the largest float
            edges.append(math.inf)
    if not all(map(math.isfinite, edges)):
        raise GoldBoxError("box_non_finite", f"box {number} is {written_box(edges)}")
    x1, y1, x2, y2 = edges
    return (x1, y1, x2, y2)


def gold_dialect(frame: GoldFrame | BoxDialect) -> BoxDialect:
    """Return order and unit of gold boxes that are declared by a name or by a dialect."""
    if isinstance(frame, BoxDialect):
        return frame
    if frame == "xywh" or frame == "yxyx":  # noqa: PLR1714 - narrows the type
        return BoxDialect("satori", frame, "image_px")
    return BoxDialect("satori", "xyxy", 100.0 if frame == "percent" else UNIT_OF_FRAME[frame])


def corners(quads: Sequence[Box], frame: GoldFrame | BoxDialect) -> tuple[Box, ...]:
    """Return boxes with their corners in the order x1, y1, x2, y2, in the frame's own unit.

    Raises:
        GoldBoxError: A box has no area, or its corners stand the wrong way round.
    """
    ordered = in_order(quads, gold_dialect(frame).order)
    for number, (box, quad) in enumerate(zip(ordered, quads, strict=True), start=1):
        x1, y1, x2, y2 = box
        if x1 > x2 or y1 > y2:
            raise GoldBoxError("box_inverted", f"box {number} is {written_box(quad)}")
        if x1 == x2 or y1 == y2:
            raise GoldBoxError("box_degenerate", f"box {number} is {written_box(quad)}")
    return tuple(ordered)


def placed(
    boxes: Sequence[Box], frame: GoldFrame | BoxDialect, image_size: Size | None, declared_size: Size | None
) -> tuple[Box, ...] | None:
    """Bring the boxes of `corners` into pixels of the image, uncut.

    Args:
        boxes: What `corners` made of the quads.
        frame: The same frame.
        image_size: Size of the upright image.
        declared_size: What the row's columns width and height say.

    Returns:
        The boxes; None when a size that the frame needs is not known.
    """
    how = gold_dialect(frame)
    return to_image_px(boxes, how.unit, image_size, declared_size, padded_to_square=how.padded_to_square)


def refuse_other_frame(boxes: Sequence[Box], image_size: Size) -> None:
    """Raise GoldBoxError for boxes of one row that are plainly fractions or thousandths of the image."""
    least, most = min(min(box) for box in boxes), max(max(box) for box in boxes)
    detail = f"{written_box(boxes[0])} on an image of {written_size(image_size)}"
    if are_fractions(boxes, image_size):
        raise GoldBoxError("box_norm_1", detail)
    if least >= 0 and most <= 1000 and _reach_beyond(boxes, image_size, OVERSHOOT):
        raise GoldBoxError("box_norm_1000", detail)


def are_fractions(boxes: Sequence[Box], image_size: Size) -> bool:
    """Return whether all numbers of some boxes lie in 0 to 1 though the image has pixels enough."""
    least, most = min(min(box) for box in boxes), max(max(box) for box in boxes)
    return _are_fractions(least, most, image_size)


def _are_fractions(least: float, most: float, image_size: Size) -> bool:
    """Return whether all numbers lie in 0 to 1 though the image has pixels enough."""
    return least >= 0 and most <= _SLIGHT_OVERSHOOT and min(image_size.width, image_size.height) >= _LEAST_SIDE_PX


def _reach_beyond(boxes: Sequence[Box], size: Size, share: float) -> bool:
    """Return whether a right or bottom edge lies beyond this share of the image's side."""
    return any(x2 > size.width * share or y2 > size.height * share for _, _, x2, y2 in boxes)


# --- over the file --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Suspicion:
    """What the boxes of a file seem to be, when that is not pixels of their images."""

    reading: Reading
    """What they seem to be."""
    why: str
    """What speaks for it, in words, with an example."""
    is_deniable: bool = False
    """Whether somebody who declares that they are pixels of their images would be believed."""

    @property
    def meaning(self) -> str:
        """The reading in words."""
        return MEANING_OF_READING[self.reading]


_Sign: TypeAlias = Literal["boxes", "fractions", "inverted", "over", "far", "fits_as_sides", "fits_swapped"]
"""What the boxes of one row show."""


@dataclass(slots=True)
class _Bound:
    """How well numbers fit a frame that ends at a bound, of boxes that stay below it."""

    bound: int
    """100 for percent, 1000 for thousandths."""
    evidence: float = 0.0
    """Minus the logarithm of the chance that the boxes, placed anywhere, stay below the bound."""
    px_centres: tuple[float, float] = (0.0, 0.0)
    """Sums of the boxes' middles as shares of the image, were they pixels."""
    boxes: int = 0
    """Different boxes."""

    def add(self, box: Box, size: Size) -> None:
        """Count one box."""
        x1, y1, x2, y2 = box
        self.boxes += 1
        self.evidence += self._of_side(x2 - x1, size.width) + self._of_side(y2 - y1, size.height)
        across, down = self.px_centres
        self.px_centres = (across + (x1 + x2) / 2 / size.width, down + (y1 + y2) / 2 / size.height)

    def _of_side(self, length: float, side: int) -> float:
        """Return what one side says: a box of this length lies anywhere on it, and yet below the bound."""
        if side < self.bound * _TELLING_SIDE[self.bound] or not 0 <= length <= self.bound:
            return 0.0
        chance = (self.bound - length) / (side - length)
        return min(_MOST_EVIDENCE_OF_A_SIDE, -math.log(max(chance, 1e-9)))


@dataclass(slots=True)
class FrameEvidence:
    """Adds up, row by row, what the boxes of a file can and can't be."""

    rows: int = 0
    """Rows with boxes."""
    _counts: Counter[str] = field(default_factory=Counter[str])
    _examples: dict[_Sign, str] = field(default_factory=dict["_Sign", str])
    _least: float = math.inf
    _reach: tuple[float, float] = (0.0, 0.0)
    _largest: float = 0.0
    _has_parts: bool = False
    _centres: tuple[float, float] = (0.0, 0.0)
    _bounds: tuple[_Bound, _Bound] = field(default_factory=lambda: (_Bound(100), _Bound(1000)))
    _seen: set[Box] = field(default_factory=set[Box])

    def add(self, quads: Sequence[Box], size: Size) -> None:
        """Count one row's boxes, as written; none says nothing."""
        if not quads or size.width < 1 or size.height < 1:
            return
        self.rows += 1
        for sign in _signs_of(quads, size):
            self._counts[sign] += 1
            if sign not in self._examples:
                self._examples[sign] = f"{written_box(quads[0])} on an image of {written_size(size)}"
        for box in quads:
            self._least = min(self._least, *box)
            self._add_box(box, size)

    def _add_box(self, box: Box, size: Size) -> None:
        """Count one box among the different ones."""
        if box in self._seen or len(self._seen) >= _MOST_REMEMBERED:
            return
        self._seen.add(box)
        x1, y1, x2, y2 = box
        self._reach = (max(self._reach[0], x2), max(self._reach[1], y2))
        self._largest = max(self._largest, x2 - x1, y2 - y1)
        self._has_parts = self._has_parts or not all(edge.is_integer() for edge in box)
        self._centres = (self._centres[0] + (x1 + x2) / 2, self._centres[1] + (y1 + y2) / 2)
        for bound in self._bounds:
            bound.add(box, size)

    def suspicion(self, *, declared: bool = False) -> Suspicion | None:
        """Return what the boxes seem to be instead of pixels of their images; None when nothing speaks against it.

        Args:
            declared: Somebody says that they are such pixels: only what is plain in single rows speaks against it.
        """
        found = self._suspected(declared=declared)
        if found is None or declared:
            return found
        return replace(found, is_deniable=self._suspected(declared=True) is None)

    def _suspected(self, *, declared: bool) -> Suspicion | None:
        """Return the first suspicion that holds."""
        if not self.rows:
            return None
        if self._is_usual("fractions"):
            return self._named("norm_1", "fractions", "hold numbers in 0 to 1 only")
        if declared:
            return self._beyond() if self._is_usual("far") else None
        if self._is_usual("inverted") and self._counts["fits_as_sides"] == self.rows:
            return self._named("xywh", "inverted", "have x1 > x2 or y1 > y2, and all fit as left, top, width, height")
        slight = self._counts["over"] >= _SLIGHT_SHARE * self.rows and self.rows >= _LEAST_ROWS
        if self._is_usual("far") or slight:
            return self._beyond()
        return next((found for bound in self._bounds if (found := self._below(bound)) is not None), None)

    def _is_usual(self, sign: _Sign) -> bool:
        """Return whether a sign is the file's and not a row's."""
        return self._counts[sign] > 0 and self._counts[sign] >= _SUSPICIOUS_SHARE * self.rows

    def _beyond(self) -> Suspicion | None:
        """Explain boxes that reach beyond their images."""
        beyond = "have boxes that reach beyond their image"
        if self._counts["fits_swapped"] == self.rows > _LEAST_ROWS:
            return self._named("yxyx", "over", f"{beyond}, and all fit with x and y exchanged")
        if self._least >= 0 and max(self._reach) <= 1000:
            # thousandths of many boxes fill their frame; pixels of a larger picture need not
            is_filled = max(self._reach) >= _NEAREST * 1000 and min(self._reach) >= _NEAR * 1000
            or_else = "" if is_filled else " (they may also be pixels of a larger image)"
            return self._named("norm_1000", "over", f"{beyond}, and no number passes 1000{or_else}")
        # one row of few may be a slip, where thousandths could not be
        return self._named("other_px", "over", beyond) if self._counts["over"] > 1 else None

    def _below(self, found: _Bound) -> Suspicion | None:
        """Suspect a frame that ends at a bound when no number passes it, though the images do."""
        bound = float(found.bound)
        enough = found.boxes >= _LEAST_BOXES and found.evidence >= _LEAST_EVIDENCE
        is_filled = max(self._reach) >= _NEAREST * bound and min(self._reach) >= _NEAR * bound
        if self._least < 0 or max(self._reach) > bound * _SLIGHT_OVERSHOOT or not enough or not is_filled:
            return None
        least = _LARGEST_BOX[found.bound]
        if found.bound == 100 and not self._has_parts:
            least = _LARGEST_WHOLE_PERCENT
        is_full = found.bound == 1000 and found.evidence >= _OVERWHELMING and min(self._reach) >= _BRIM * bound
        if self._largest < least * bound and not is_full:
            return None
        # things lie around the middle of pictures, on the whole: the right reading puts them nearer to it
        px = [abs(total / found.boxes - 0.5) for total in found.px_centres]
        framed = [abs(total / found.boxes / bound - 0.5) for total in self._centres]
        if sum(framed) >= sum(px):
            return None
        why = f"no number passes {max(found.bound, *self._reach):g} in {self.rows} rows, though the images do"
        return Suspicion("percent" if found.bound == 100 else "norm_1000", f"{why}: {self._examples['boxes']}")

    def _named(self, reading: Reading, sign: _Sign, what: str) -> Suspicion:
        """Return a suspicion with its count and an example."""
        return Suspicion(reading, f"{self._counts[sign]} of {self.rows} rows {what}: {self._examples[sign]}")


def _signs_of(quads: Sequence[Box], size: Size) -> list[_Sign]:
    """Return what one row's boxes show."""
    signs: list[_Sign] = ["boxes"]
    least = min(map(min, quads))
    if _are_fractions(least, max(map(max, quads)), size):
        signs.append("fractions")
    width, height = size.width * _SLIGHT_OVERSHOOT, size.height * _SLIGHT_OVERSHOOT
    inverted, over, fits_as_sides, fits_swapped = False, False, least >= 0, True
    for x1, y1, x2, y2 in quads:  # one loop by hand: every row of a run comes here
        inverted = inverted or x1 > x2 or y1 > y2
        over = over or x2 > width or y2 > height
        fits_as_sides = fits_as_sides and not (x1 + x2 > width or y1 + y2 > height)
        fits_swapped = fits_swapped and not (y2 > width or x2 > height)
    if inverted:
        signs.append("inverted")
    if over:
        signs.append("over")
        if _reach_beyond(quads, size, OVERSHOOT):
            signs.append("far")
    if fits_as_sides:
        signs.append("fits_as_sides")
    if fits_swapped:
        signs.append("fits_swapped")
    return signs


def written_size(size: Size) -> str:
    """Write a size."""
    return f"{size.width}x{size.height}"


def written_box(box: Sequence[float]) -> str:
    """Write a box in few characters."""
    return f"[{', '.join(f'{edge:g}' for edge in box)}]"
