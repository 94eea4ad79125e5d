"""Read gold boxes from a file beside the data, so that any benchmark can be asked where its answers look.

One JSON object a line: `{"task": "mmstar", "id": "17", "boxes": [[x1, y1, x2, y2], ...]}`. `frame` (or `dialect`) says
what the numbers are: a frame of gold boxes (`image_px`, which is the default, `norm_1`, `norm_1000`, `percent`,
`input_px`, `xywh`, `yxyx`) or any words that `--box-dialect` takes. `width` and `height` are the size of the picture
that the numbers were drawn on. A line without `task` is for the only task of a run.

A line that cannot be read, and a sample that two lines name, refuse the file: nobody knows which gold is meant. What
only the samples tell (an id that is not there, a box outside of its image, a size that is not known) is named and
counted; boxes are never cut, moved or converted by a guess.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, cast, get_args

from harness.errors import ConfigError, did_you_mean
from harness.images.frames import cut_at_image
from harness.scoring.box_dialects import dialect_named
from harness.scoring.gold_boxes import FrameEvidence, GoldBoxError, are_fractions, corners, parse_quads, placed
from harness.values import Box, BoxDialect, Json, Sample, Size
from harness.vocabulary import GOLD_FRAMES, GoldFrame

SHOWN = 5
"""Lines and samples of one kind of fault that are named; all are counted."""

MAX_LINE_CHARACTERS: Final = 1_000_000
_FIELDS = ("task", "id", "boxes", "frame", "dialect", "width", "height")
_OTHER_NAMES = {"sample_id": "id", "bbox": "boxes", "bboxes": "boxes", "box": "boxes", "box_frame": "frame",
                "box_dialect": "dialect"}  # fmt: skip
"""What people call a field elsewhere."""

SideFault: TypeAlias = Literal[
    "unknown_id", "outside", "over_edge", "size_unknown", "other_size", "box_norm_1", "box_norm_1000",
    "several_pictures",
]  # fmt: skip
"""What is wrong between a line and its sample."""

MEANING_OF_FAULT: Mapping[SideFault, str] = {
    "unknown_id": "lines of ids that the data do not have: no sample gets their boxes",
    "outside": "samples with a box wholly outside of their image: nothing can overlap with it",
    "over_edge": "samples with a box that reaches over the edge of their image: what lies within is compared",
    "size_unknown": "samples whose boxes need a size that is not known (of the image, or width and height of the line "
    "for input_px): they get none",
    "other_size": "samples whose line was drawn on a picture of another size: they get none; declare frame input_px",
    "box_norm_1": "samples whose boxes are plainly fractions of the image: they get none; declare frame norm_1",
    "box_norm_1000": "samples whose boxes are plainly thousandths of the image: they get none; declare frame norm_1000",
    "several_pictures": "samples that show several pictures, of which no box says which it lies in: they get none",
}
"""Each fault in words, with the mend."""


@dataclass(frozen=True, slots=True)
class SideLine:
    """What one line says."""

    line: int
    """Its number, from 1."""
    boxes: tuple[Box, ...]
    """Boxes with corners in order, in the frame's own unit; empty where the line says that there is no place."""
    frame: GoldFrame | BoxDialect
    """What their numbers are."""
    declared: bool
    """Whether the line says so itself."""
    drawn_on: Size | None
    """Size of the picture that they were drawn on; None where the line does not say."""


Key: TypeAlias = tuple[str, str]
"""Task and sample id."""


@dataclass(frozen=True, slots=True)
class SideBoxes:
    """A file of gold boxes, read and checked by itself."""

    name: str
    """The file's name, without its folder."""
    sha256: str
    """Hex digest of its content."""
    lines: Mapping[Key, SideLine]
    """Lines by task and sample id; the task is empty where the line names none."""

    def line_of(self, task: str, sample_id: str) -> SideLine | None:
        """Return the line about a sample; None where there is none."""
        return self.lines.get((task, sample_id)) or self.lines.get(("", sample_id))


@dataclass(slots=True)
class SideTally:
    """Gives samples their boxes, and counts what was given and what is wrong."""

    side: SideBoxes
    """Where the boxes come from."""
    given: dict[str, int] = field(default_factory=dict[str, int])
    """Samples that got boxes, by task."""
    replaced: int = 0
    """Samples among them that had gold boxes of their own."""
    faults: dict[SideFault, list[str]] = field(default_factory=dict["SideFault", list[str]])
    """Samples (`task id`) or lines by fault."""
    _met: set[int] = field(default_factory=set[int])
    _evidence: FrameEvidence = field(default_factory=FrameEvidence)

    def with_boxes(self, sample: Sample) -> Sample:
        """Return a sample with the boxes of its line; unchanged where the file does not speak of it."""
        line = self.side.line_of(sample.task, sample.id)
        if line is None:
            return sample
        several: tuple[SideFault, ...] = ("several_pictures",)
        several_shown = bool(sample.pictures and line.boxes)
        boxes, faults = (None, several) if several_shown else boxes_of(line, sample.image_size)
        if line.line not in self._met:
            self._met.add(line.line)
            self._count(sample, line, boxes, faults)
        return replace(sample, boxes_image_px=boxes)

    def close(self, task_ids: Mapping[str, Collection[str]] | None = None) -> None:
        """Count the lines that no sample has asked for.

        Args:
            task_ids: All ids of the data by task, also of samples that are not asked; None: those met are all.
        """
        for (task, sample_id), line in self.side.lines.items():
            known = line.line in self._met if task_ids is None else _is_known(task, sample_id, task_ids)
            if not known:
                self._add("unknown_id", f"{task} {sample_id}".strip() + f" (line {line.line})")

    def check_any(self, ids_there: Sequence[str]) -> None:
        """Refuse a file of which no line is about a sample: it is about other data.

        Raises:
            ConfigError: none is; names ids of both sides.
        """
        if self._met:
            return
        asked = ", ".join(f"{task} {sample_id}".strip() for task, sample_id in list(self.side.lines)[:SHOWN])
        raise ConfigError(
            f"no line of {self.side.name} is about a sample of the data: it has {asked}, the data have "
            f"{', '.join(ids_there[:SHOWN])}. Write `task` and `id` as the data have them"
        )

    def messages(self) -> list[str]:
        """Return what a person must hear: how many samples got boxes, and each kind of fault with its first cases."""
        given = ", ".join(f"{task} {count}" for task, count in self.given.items()) or "none"
        also = f"; {self.replaced} had gold boxes of their own, which these replace" if self.replaced else ""
        told = [f"gold boxes of {self.side.name}: {given} samples{also}"]
        told += [f"warning: {self.side.name}: {self._fault_text(fault)}" for fault in get_args(SideFault)
                 if fault in self.faults]  # fmt: skip
        doubt = self._evidence.suspicion()
        if doubt is not None:
            told.append(
                f"warning: {self.side.name}: the boxes of lines without `frame` look like {doubt.reading} "
                f"({doubt.meaning}): {doubt.why}. Declare it, or `image_px` if they are pixels of the image"
            )
        return told

    def _fault_text(self, fault: SideFault) -> str:
        cases = self.faults[fault]
        more = f" and {len(cases) - SHOWN} more" if len(cases) > SHOWN else ""
        return f"{len(cases)} {MEANING_OF_FAULT[fault]}: {', '.join(cases[:SHOWN])}{more}"

    def to_json(self) -> dict[str, Json]:
        """Return the file's fingerprint and what became of its lines, for manifests and later scores."""
        return {
            "file": self.side.name,
            "sha256": self.side.sha256,
            "lines": len(self.side.lines),
            "samples": dict[str, Json](self.given),
            "replaced": self.replaced,
            "faults": {str(fault): len(cases) for fault, cases in self.faults.items()},
        }

    def _count(
        self, sample: Sample, line: SideLine, boxes: tuple[Box, ...] | None, faults: Sequence[SideFault]
    ) -> None:
        for fault in faults:
            self._add(fault, f"{sample.task} {sample.id}")
        if not boxes:
            return
        self.given[sample.task] = self.given.get(sample.task, 0) + 1
        self.replaced += bool(sample.boxes_image_px)
        if not line.declared and sample.image_size is not None:
            self._evidence.add(boxes, sample.image_size)

    def _add(self, fault: SideFault, case: str) -> None:
        self.faults.setdefault(fault, []).append(case)


def _is_known(task: str, sample_id: str, task_ids: Mapping[str, Collection[str]]) -> bool:
    return any(sample_id in ids for name, ids in task_ids.items() if task in ("", name))


def boxes_of(line: SideLine, image_size: Size | None) -> tuple[tuple[Box, ...] | None, tuple[SideFault, ...]]:
    """Return a line's boxes in pixels of a sample's image, uncut, and what is wrong with them.

    Args:
        line: What the file says.
        image_size: Size of the upright image; None where it is not known: then the line's own counts for it.

    Returns:
        The boxes, None where there are none to score against; and the faults.
    """
    if not line.boxes:
        return None, ()
    in_input_px = line.frame == "input_px" or (isinstance(line.frame, BoxDialect) and line.frame.unit == "input_px")
    size = image_size or (None if in_input_px else line.drawn_on)
    if not in_input_px and line.drawn_on is not None and size != line.drawn_on and _counts_pixels(line.frame):
        return None, ("other_size",)
    boxes = placed(line.boxes, line.frame, size, line.drawn_on)
    if boxes is None:
        return None, ("size_unknown",)
    if size is None:
        return boxes, ()
    if not line.declared and are_fractions(boxes, size):
        return None, ("box_norm_1",)
    # numbers beyond the image may be thousandths or a slip: one row cannot tell, the whole file is doubted instead
    return boxes, _place_faults(boxes, size)


def _place_faults(boxes: Sequence[Box], size: Size) -> tuple[SideFault, ...]:
    """Say how boxes lie to their image, by the scorer's own rule."""
    found: set[SideFault] = set()
    for box in boxes:
        within, sticks_out = cut_at_image([box], size)
        if not within:
            found.add("outside")
        elif sticks_out:
            found.add("over_edge")
    return tuple(sorted(found, reverse=True))


def _counts_pixels(frame: GoldFrame | BoxDialect) -> bool:
    """Return whether numbers count pixels of the image, so that an image of another size is another frame."""
    return frame.unit == "image_px" if isinstance(frame, BoxDialect) else frame in {"image_px", "xywh", "yxyx"}


# --- the file -------------------------------------------------------------------------------------------------------


class _LineError(Exception):
    """A line cannot be read; never leaves the reader."""


def read_side_boxes(path: Path) -> SideBoxes:
    """Read a file of gold boxes.

    Raises:
        ConfigError: The file cannot be read, is empty, a line is none, or two lines are about one sample; all are
            counted, the first are named.
    """
    try:
        content = path.read_bytes()
        text = content.decode("utf-8-sig")
    except OSError as fault:
        raise ConfigError(f"--boxes: cannot read {path}: {fault.strerror or fault}") from fault
    except UnicodeDecodeError as fault:
        raise ConfigError(f"--boxes: {path} is not UTF-8: save it in that encoding") from fault
    lines: dict[Key, SideLine] = {}
    broken: list[str] = []
    twice: list[str] = []
    for number, written in _numbered(text):
        try:
            key, line = _read_line(number, written)
        except _LineError as fault:
            broken.append(f"line {number}: {fault}")
            continue
        if key in lines:
            twice.append(f"{' '.join(key).strip()} in lines {lines[key].line} and {number}")
        lines.setdefault(key, line)
    twice += [
        f"{sample_id} in line {lines['', sample_id].line} without a task and in line {line.line} of {task}"
        for (task, sample_id), line in lines.items()
        if task and ("", sample_id) in lines
    ]
    faults = [*_counted("cannot be read", broken), *_counted("name a sample again", twice)]
    if faults:
        raise ConfigError(f"--boxes: {path}: {'; '.join(faults)}. Nothing was scored: mend the file")
    if not lines:
        raise ConfigError(f'--boxes: {path} has no lines. Write {{"task": ..., "id": ..., "boxes": [[x1,y1,x2,y2]]}}')
    return SideBoxes(path.name, hashlib.sha256(content).hexdigest(), lines)


def check_tasks(side: SideBoxes, tasks: Collection[str]) -> None:
    """Refuse lines without a task where there are several: the same id is another sample in each.

    Raises:
        ConfigError: there are such lines.
    """
    nameless = [line.line for (task, _), line in side.lines.items() if not task]
    if nameless and len(tasks) > 1:
        raise ConfigError(
            f"--boxes: {len(nameless)} lines of {side.name} name no task (the first: line {nameless[0]}), and there "
            f"are {len(tasks)} tasks: add `task` to each"
        )


def _numbered(text: str) -> Iterator[tuple[int, str]]:
    """Yield lines that hold anything, with their numbers; only a newline ends one, whatever an id holds."""
    yield from ((number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip())


def _counted(what: str, cases: Sequence[str]) -> list[str]:
    if not cases:
        return []
    more = f" and {len(cases) - SHOWN} more" if len(cases) > SHOWN else ""
    return [f"{len(cases)} lines {what}: {'; '.join(cases[:SHOWN])}{more}"]


def _read_line(number: int, written: str) -> tuple[Key, SideLine]:
    """Read one line."""
    row = _object(written)
    unknown = [name for name in row if name not in _FIELDS]
    if unknown:
        meant = _OTHER_NAMES.get(unknown[0])
        hint = f" It is called {meant!r} here." if meant else did_you_mean(unknown[0], list(_FIELDS))
        raise _LineError(f"unknown field {unknown[0][:60]!r}.{hint}".rstrip("."))
    if "boxes" not in row:
        raise _LineError("boxes is missing")
    frame, declared = _frame(row)
    try:
        boxes = corners(parse_quads(row["boxes"]), frame)
    except GoldBoxError as fault:
        raise _LineError(f"boxes: {fault}") from fault
    task = row.get("task", "")
    if not isinstance(task, str):
        raise _LineError(f"task must be a text, found {type(task).__name__}")
    return (task, _id(row)), SideLine(number, boxes, frame, declared, _size(row))


def _object(written: str) -> dict[str, Any]:
    if len(written) > MAX_LINE_CHARACTERS:
        raise _LineError(f"it has {len(written):,} characters, more than {MAX_LINE_CHARACTERS:,}")
    try:
        row = json.loads(written)
    except (ValueError, RecursionError) as fault:
        raise _LineError(f"no JSON object: {fault}"[:200]) from fault
    if not isinstance(row, dict):
        raise _LineError(f"no JSON object but {type(row).__name__}")
    return cast("dict[str, Any]", row)


def _id(row: Mapping[str, Any]) -> str:
    """Return the sample's id as text; a whole number counts as its digits, as tables have it."""
    value = row.get("id")
    if isinstance(value, str) and value:
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise _LineError("id is missing" if value in (None, "") else f"id must be a text, found {type(value).__name__}")


def _frame(row: Mapping[str, Any]) -> tuple[GoldFrame | BoxDialect, bool]:
    """Return what the numbers are, and whether the line says so."""
    given = [row[name] for name in ("frame", "dialect") if row.get(name) is not None]
    if not given:
        return "image_px", False
    if len(given) > 1 and given[0] != given[1]:
        raise _LineError(f"frame is {given[0]!r:.60} and dialect {given[1]!r:.60}: both say what the numbers are")
    words = given[0]
    if not isinstance(words, str):
        raise _LineError(f"frame must be a text, found {type(words).__name__}")
    if words in GOLD_FRAMES:
        return words, True
    try:
        return dialect_named(words), True
    except ConfigError as fault:
        raise _LineError(f"frame: {fault}") from fault


def _size(row: Mapping[str, Any]) -> Size | None:
    """Return the size of the picture that the boxes were drawn on; None where neither side is there."""
    sides = (row.get("width"), row.get("height"))
    if sides == (None, None):
        return None
    if not all(isinstance(side, int) and not isinstance(side, bool) and 0 < side <= 10**9 for side in sides):
        raise _LineError("width and height must both be whole numbers of pixels above 0")
    return Size(*cast("tuple[int, int]", sides))
