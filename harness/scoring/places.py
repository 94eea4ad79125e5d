"""Score an answer that is a place: a region against the gold boxes (`box`), or a point in one of them (`point`).

The place is read in the run's box dialect from the answer; where the answer holds none, from the format's stage of
boxes, in which a model that keeps the format names the same region (not in the steps of a thought, which look at much
before they answer). An answer has no format of its own, so a list may stand in a sentence here. Several boxes are one
region, as everywhere; several points are right only together: five places for one thing are no answer.

- `box`: 1 where the union IoU is at least 0.5 (Acc@0.5 of RefCOCO's evaluations, read in lmms-eval's `refcoco`).
- `point`: 1 where the point, or the centre of a box that was written instead, lies in a gold box, edges included
  (lmms-eval's `screenspot_v2`).

What the sentence denies, leaves open or takes back is no place of it (`denied_places.py`), whatever a stage of boxes
says. No place at all is 0 with the fault that says what is there instead (`point`, `quad`, `malformed`...). Where the
dialect is not known or a size that it needs, nothing can be said of any row: null with `frame_unknown`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from harness.images.frames import cut_at_image
from harness.scoring.box_dialects import read_dialect_boxes
from harness.scoring.denied_places import stated_places
from harness.scoring.overlap import boxes_with_area, match_boxes, union_iou
from harness.scoring.written_boxes import MAX_BOX_CHARACTERS, MAX_BOXES
from harness.values import AnswerCheck, Box, BoxDialect, BoxMatch, Fault, Response, Sample

RIGHT_IOU: Final = 0.5
"""An answer that overlaps as much is right."""

ToImagePx: TypeAlias = Callable[[Sequence[Box]], tuple[Box, ...] | None]
"""Brings boxes from the dialect's unit into pixels of the original image; None where that cannot be done."""

_MOST_SHOWN: Final = 4
_N: Final = r"([-+]?\d{1,12}(?:\.\d{0,12})?)"
_GAP: Final = r"(?:\s{0,4},\s{0,4}|\s{1,4})"
_POINTS: Final = re.compile(
    # in any brackets: Qwen's point_2d, UI-TARS' start_box='(x,y)', Holo's Click(x, y), Kimi's and GLM's lists
    rf"[\[(<{{]\s{{0,4}}{_N}{_GAP}{_N}\s{{0,4}}[\])>}}]"
    rf"|<point>\s{{0,4}}{_N}{_GAP}{_N}\s{{0,4}}</point>"
    # Molmo 2: number of the image, number of the point, x, y
    rf"|\bcoords=[\"']\d{{1,4}} \d{{1,4}} {_N} {_N}[\"']"
)
"""A point by position: the order of its numbers is the dialect's."""
_NAMED_POINTS: Final = re.compile(
    rf"\bx\d?[\"']?\s{{0,4}}[:=]\s{{0,4}}[\"']?{_N}[\"']?[,;\s]{{1,4}}[\"']?y\d?[\"']?\s{{0,4}}[:=]\s{{0,4}}[\"']?{_N}"
)
"""A point by names, as Molmo 1 and JSON objects have it: x says itself that it is x."""


@dataclass(frozen=True, slots=True)
class PlaceScore:
    """What an answer earned that is a place."""

    check: AnswerCheck
    """Value, what was taken for the answer, faults."""
    iou: float | None = None
    """Union IoU of a box; None for points, and where nothing can be said."""
    match: BoxMatch | None = None
    """One-to-one matching; None where `iou` is None."""
    boxes_image_px: tuple[Box, ...] | None = None
    """Boxes that were compared, cut at the image."""


def score_place(sample: Sample, response: Response, dialect: BoxDialect | None, to_image_px: ToImagePx) -> PlaceScore:
    """Score an answer whose rule is `box` or `point`.

    Args:
        sample: Its boxes are the gold.
        response: What the text says.
        dialect: How boxes are written; None where nobody knows.
        to_image_px: Of that dialect.
    """
    size = sample.image_size
    gold = boxes_with_area(sample.boxes_image_px or ())
    if size is not None:
        gold = list(cut_at_image(gold, size)[0])
    if not gold:
        return PlaceScore(AnswerCheck(None, None, ("no_gold",)))
    if dialect is None:
        return _UNPLACED
    said = stated_places(response.answer or "")
    written, faults = _boxes_in(said or "", dialect)
    points = [] if written or sample.answer_rule == "box" else read_points(said or "", dialect)
    if said is not None and not written and not points and response.boxes_written:
        written, faults = response.boxes_written, ()
    if sample.answer_rule == "point":
        return _score_points(points, written, faults, gold, to_image_px)
    placed = to_image_px(written)
    if placed is None:
        return _UNPLACED
    cut: tuple[Fault, ...] = ()
    if size is not None:
        placed, cut = cut_at_image(placed, size)
    iou = union_iou(placed, gold)
    check = AnswerCheck(float(iou >= RIGHT_IOU), shown_places(written), (*faults, *cut))
    return PlaceScore(check, iou, match_boxes(placed, gold), placed)


_UNPLACED: Final = PlaceScore(AnswerCheck(None, None, ("frame_unknown",)))


def _boxes_in(answer: str, dialect: BoxDialect) -> tuple[tuple[Box, ...], tuple[Fault, ...]]:
    """Return the boxes of an answer, and what is wrong where there is none."""
    in_answers = replace(dialect, syntax="list") if dialect.syntax == "satori" else dialect
    reading = read_dialect_boxes(answer, in_answers)
    if reading.boxes:
        # a list in a sentence is as good here as one that stands alone
        return reading.boxes, tuple(fault for fault in reading.faults if fault not in {"other_dialect", "malformed"})
    missing = not answer.strip()  # has a fault of the stage already
    return (), ("no_match",) if missing else (*reading.faults, "no_match")


def _score_points(
    points: Sequence[tuple[float, float]],
    boxes: Sequence[Box],
    faults: tuple[Fault, ...],
    gold: Sequence[Box],
    to_image_px: ToImagePx,
) -> PlaceScore:
    """Score points, or the centres of boxes; `faults` says why there is no box."""
    centres = [((x1 + x2) / 2, (y1 + y2) / 2) for x1, y1, x2, y2 in boxes]
    placed = to_image_px([(x, y, x, y) for x, y in (*points, *centres)])
    if placed is None:
        return _UNPLACED
    if not placed:
        return PlaceScore(AnswerCheck(0.0, None, faults))
    inside = all(_lies_in(gold, x, y) for x, y, _, _ in placed)
    return PlaceScore(AnswerCheck(float(inside), shown_places([*points, *boxes]), faults if boxes else ()))


def _lies_in(boxes: Sequence[Box], x: float, y: float) -> bool:
    """Tell whether a point is in one of the boxes, edges included."""
    return any(left <= x <= right and top <= y <= bottom for left, top, right, bottom in boxes)


def read_points(text: str, dialect: BoxDialect) -> list[tuple[float, float]]:
    """Return the points of a text as x, y in the dialect's unit; of one longer than `MAX_BOX_CHARACTERS` none.

    Numbers by position are y, x where the dialect's boxes have y first.
    """
    if len(text) > MAX_BOX_CHARACTERS:
        return []
    named = [(float(x), float(y)) for x, y in _NAMED_POINTS.findall(text)[:MAX_BOXES]]
    if named:
        return named
    found: list[tuple[float, float]] = []
    for point in _POINTS.finditer(text):
        first, second = (float(number) for number in point.groups() if number is not None)
        found.append((second, first) if dialect.order == "yxyx" else (first, second))
        if len(found) == MAX_BOXES:
            break
    return found


def shown_places(places: Sequence[tuple[float, ...]]) -> str | None:
    """Return places for people, in the dialect's unit; None for none."""
    if not places:
        return None
    more = ", ..." if len(places) > _MOST_SHOWN else ""
    return ", ".join(f"[{', '.join(f'{number:.6g}' for number in place)}]" for place in places[:_MOST_SHOWN]) + more
