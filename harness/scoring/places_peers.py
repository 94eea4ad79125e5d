"""How VLMEvalKit and lmms-eval read the box that answers RefCOCO; `harness/scoring/places.py` has our rule.

Facts about other programs, right or wrong. Sources: VLMEvalKit at e8e78f05, `vlmeval/dataset/refcoco.py`; lmms-eval
0.7.3, `lmms_eval/tasks/refcoco/utils_rec.py` (`refcoco_bbox_rec_*`). VLMEvalKit of March 2025 has no RefCOCO. Neither
asks in which dialect a model writes; the run's is not looked at.

Quirks, each where it was seen:

- VLMEvalKit takes the first four numbers in square brackets, with commas or blanks between them, else the first four
  numbers of the text, "2" of "bbox_2d" too (`_parse_prediction`);
- up to 1.5 they are fractions of the sides, up to 1000 thousandths, above that pixels (`_to_absolute`): a box in pixels
  of an image of 640 x 480 is read as thousandths. They are cut at the image, then brought in order;
- lmms-eval takes the first four numbers in brackets with commas between them, as fractions of the sides, whatever their
  size; without any, the empty box at the upper left corner (`parse_float_sequence_within`). They are neither cut nor
  brought in order, so an inverted box overlaps with nothing (`compute_iou`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from harness.scoring.places import RIGHT_IOU, PlaceScore, shown_places
from harness.values import AnswerCheck, Box, BoxMatch, Protocol, Sample, Size

_CORNERS: Final = 4
_MOST_OF_FRACTIONS: Final = 1.5
_MOST_OF_THOUSANDTHS: Final = 1000
_N: Final = r"[-+]?(?>\d++\.\d++|\.\d++|\d++)(?>(?:[eE][-+]?\d++)?)"
_GAP: Final = r"(?:\s*+,\s*+|\s++)"
_NUMBER: Final = re.compile(_N)
_BRACKETED: Final = re.compile(rf"\[\s*+({_N}){_GAP}({_N}){_GAP}({_N}){_GAP}({_N})\s*+\]")
_DECIMAL: Final = r"(-?\d++(?:\.\d++)?)"
_WITH_COMMAS: Final = re.compile(rf"\[\s*+{_DECIMAL},\s*+{_DECIMAL},\s*+{_DECIMAL},\s*+{_DECIMAL}\s*+\]")

_Reading: TypeAlias = tuple[Box, Box]
"""The box as written, and in pixels of the image."""


def reads_places_itself(sample: Sample, protocol: Protocol) -> bool:
    """Tell whether a peer reads the place that answers a sample by a rule of its own."""
    return sample.task.startswith("refcoco") and sample.answer_rule == "box" and protocol in _READERS


def peer_place(sample: Sample, answer: str | None, protocol: Protocol) -> PlaceScore | None:
    """Score the box of an answer as a peer does; None where the protocol has no rule for the task.

    Args:
        sample: Its first box is the gold, in pixels of the image, whose size is needed.
        answer: The text of the answer; None where there is none.
        protocol: Whose rule.
    """
    if not reads_places_itself(sample, protocol):
        return None
    read = _READERS[protocol]
    if not sample.boxes_image_px:
        return PlaceScore(AnswerCheck(None, None, ("no_gold",)))
    if sample.image_size is None:
        return PlaceScore(AnswerCheck(None, None, ("frame_unknown",)))
    gold = sample.boxes_image_px[0]
    found = read(answer or "", sample.image_size)
    if found is None:
        return PlaceScore(AnswerCheck(0.0, None, ("no_match",)), 0.0, BoxMatch(0, 1, 0.0, 0), ())
    written, placed = found
    iou = _iou(placed, gold)
    check = AnswerCheck(float(iou >= RIGHT_IOU), shown_places((written,)))
    has_area = placed[0] < placed[2] and placed[1] < placed[3] and all(map(math.isfinite, placed))
    return PlaceScore(check, iou, BoxMatch(1, 1, iou, int(iou >= RIGHT_IOU)), (placed,) if has_area else ())


def _vlmevalkit(answer: str, size: Size) -> _Reading | None:
    """Read four numbers, in brackets or not; None where there are fewer."""
    bracketed = _BRACKETED.search(answer)
    numbers = bracketed.groups() if bracketed else _NUMBER.findall(answer)[:_CORNERS]
    if len(numbers) < _CORNERS:
        return None
    x1, y1, x2, y2 = written = _box(numbers)
    most = max(map(abs, written))
    unit = 1 if most <= _MOST_OF_FRACTIONS else _MOST_OF_THOUSANDTHS
    if most <= _MOST_OF_THOUSANDTHS:
        x1, x2 = (x / unit * size.width for x in (x1, x2))
        y1, y2 = (y / unit * size.height for y in (y1, y2))
    x1, x2 = sorted(min(max(x, 0.0), float(size.width)) for x in (x1, x2))
    y1, y2 = sorted(min(max(y, 0.0), float(size.height)) for y in (y1, y2))
    return written, (x1, y1, x2, y2)


def _lmms_eval(answer: str, size: Size) -> _Reading | None:
    """Read fractions in brackets; None without any: the empty box overlaps with nothing."""
    found = _WITH_COMMAS.search(answer)
    if found is None:
        return None
    x1, y1, x2, y2 = written = _box(found.groups())
    return written, (x1 * size.width, y1 * size.height, x2 * size.width, y2 * size.height)


def _iou(box: Box, gold: Box) -> float:
    """Return the IoU of two boxes as both peers compute it; that of an inverted box is 0."""
    width, height = min(box[2], gold[2]) - max(box[0], gold[0]), min(box[3], gold[3]) - max(box[1], gold[1])
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / (_area(box) + _area(gold) - width * height)


def _box(numbers: tuple[str, ...] | list[str]) -> Box:
    x1, y1, x2, y2 = map(float, numbers)
    return x1, y1, x2, y2


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


_READERS: Final[Mapping[Protocol, Callable[[str, Size], _Reading | None]]] = {
    "vlmevalkit": _vlmevalkit,
    "lmms-eval": _lmms_eval,
}
"""By protocol; `paper` has no RefCOCO."""
