"""Turn one row of a data file into an example, or into the names of what is wrong with it.

Rows come from strangers' files: nothing in them raises, and every reading is bounded. What is only missing (a caption,
boxes) leaves the row usable and is counted; what would teach or reward the wrong thing drops it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

from harness.errors import did_you_mean
from harness.images.frames import MAX_ASPECT_RATIO
from harness.models.control_tokens import ControlTokens
from harness.scoring.answers.text import text_key
from harness.scoring.captions.caption_score import caption_score
from harness.scoring.gold_boxes import GoldFrame
from harness.values import Box, BoxDialect, Size
from tasks.cells import as_text
from tasks.image_files import ImageFiles, NoImageFileError, UnsafePathError
from tasks.images import UnreadableImageError, decode_rgb, image_bytes_of, picture_sha256
from tasks.shapes import split_of_digest
from tasks.vqa_verify import is_held_out
from training.data.example import Example
from training.data.gold_answers import read_gold_answers
from training.data.gold_boxes import read_gold_boxes, size_mismatch
from training.data.row_faults import FaultName, Finding, RowFault

Layout: TypeAlias = Literal["vqa-verify", "jsonl"]
"""Which columns play which part."""

MAX_TEXT_CHARACTERS = 20_000
"""A longer question, answer or caption is a fault: it fits no model's training length."""

COLUMNS: Mapping[Layout, Mapping[str, tuple[str, ...]]] = {
    "vqa-verify": {
        "question": ("question", "messages"),
        "answers": ("possible_answers",),
        "caption": ("image_caption",),
        "boxes": ("bboxs",),
        "image": ("image", "images"),
        "id": ("id", "question_id"),
        "kind": ("kind", "category", "dataset", "source"),
    },
    "jsonl": {
        "question": ("question",),
        "answers": ("answers",),
        "caption": ("caption",),
        "boxes": ("boxes",),
        "image": ("image",),
        "id": ("id",),
        "kind": ("kind",),
    },
}
"""Part to column names, best first; `width`, `height` and `scene` are the same in both layouts."""

SHARED_COLUMNS = ("width", "height", "scene")
"""Columns that every layout has under the same name."""

_PLACEHOLDER = "<image>"
_STAGE_TAG = re.compile(r"</?(?:caption|bbox|thinking|think|answer)>", re.IGNORECASE)
_CONTROL_TOKENS = ControlTokens()
"""Of every known family: a benchmark takes them apart in a question, which would then not be the one that is taught."""
_SCENE = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class LoadedRow:
    """One row of a source: an example, or what is wrong with it."""

    file: str
    """The file, hub data set or generator."""
    row: int
    """Number of the row, from 1; the line of a JSONL file. 0 where the whole file is meant."""
    example: Example | None
    """The example; None when a fault drops the row."""
    faults: tuple[RowFault, ...] = ()
    """What is wrong with it; an example may have some that drop nothing."""
    boxes_written: tuple[Box, ...] = ()
    """The four numbers of each gold box as the file has them, also of a row that is dropped; for `FrameEvidence`."""
    image_size: Size | None = None
    """Size of the image, where it was read."""
    box_frame: GoldFrame | BoxDialect | None = None
    """Declared frame of these boxes, if any."""


@dataclass(frozen=True, slots=True)
class RowPlace:
    """Where a row stands and how it is to be read."""

    file: str
    """The file or hub data set."""
    row: int
    """Number of the row, from 1."""
    layout: Layout
    """Which columns play which part."""
    box_frame: GoldFrame | BoxDialect | None = None
    """Declared frame of the boxes; None where nobody declares any."""
    columns: tuple[str, ...] = ()
    """All columns of the file, for messages."""


class _RowFault(Exception):  # noqa: N818 - a finding on its way up, not an error
    """The row cannot be used; never leaves this file."""

    def __init__(self, name: FaultName, detail: str = "") -> None:
        super().__init__(detail)
        self.finding = Finding(name, detail)


def layout_of(columns: Sequence[str]) -> Layout:
    """Return the layout that columns are in: VQA-Verify's where any of its own names is among them."""
    return "vqa-verify" if {"possible_answers", "image_caption", "bboxs", "messages"}.intersection(columns) else "jsonl"


def failed_row(file: str, row: int, name: FaultName, detail: str) -> LoadedRow:
    """Return a row that could not even be taken apart."""
    return LoadedRow(file, row, None, (RowFault(file, row, name, detail, drops=True),))


@dataclass(slots=True)
class _RowSoFar:
    """What is known of a row while it is read."""

    findings: list[Finding] = field(default_factory=list[Finding])
    boxes_written: tuple[Box, ...] = ()
    image_size: Size | None = None


def read_row(cells: Mapping[str, Any], place: RowPlace, images: TrainingImages) -> LoadedRow:
    """Turn the cells of a row into an example, or name what is wrong with it.

    The findings stop at the first that drops the row, in the order question, answers, caption, image, boxes.
    """
    row = _RowSoFar()
    try:
        example = _example(cells, place, images, row)
    except _RowFault as fault:
        example = None
        row.findings.append(fault.finding)
    faults = tuple(RowFault(place.file, place.row, found.name, found.detail, found.drops) for found in row.findings)
    return LoadedRow(place.file, place.row, example, faults, row.boxes_written, row.image_size, place.box_frame)


def _example(cells: Mapping[str, Any], place: RowPlace, images: TrainingImages, row: _RowSoFar) -> Example:
    """Read all parts of a row."""
    question = _question(cells, place)
    answers = _answers(cells, place, row.findings)
    caption = _caption(cells, place, row.findings)
    data, size = _image(cells, place, images)
    row.image_size = size
    declared = _declared_size(cells)
    gold = read_gold_boxes(_cell(cells, place, "boxes"), size, declared, place.box_frame)
    row.boxes_written = gold.written
    for found in gold.findings:
        if found.drops:
            raise _RowFault(found.name, found.detail)
        row.findings.append(found)
    if gold.boxes_image_px is None and declared is not None and declared != size:  # harmless without boxes
        row.findings.append(size_mismatch(declared, size, drops=False))
    scene = cells.get("scene")
    if isinstance(scene, str) and _SCENE.fullmatch(scene) and split_of_digest(scene) == "benchmark":
        raise _RowFault("benchmark_image", "its scene is of the benchmark split of Shapes")
    digest = picture_sha256(data)
    if "possible_answers" in place.columns and is_held_out(digest):
        raise _RowFault("benchmark_image", "it is of the held-out part of VQA-Verify (tasks/vqa_verify.py)")
    return Example(
        id=_short_text(cells, place, "id") or f"{Path(place.file).stem}-{place.row}",
        question=question,
        answers=answers,
        image=data,
        image_size=size,
        image_sha256=digest,
        caption=caption,
        boxes_image_px=gold.boxes_image_px,
        kind=_short_text(cells, place, "kind"),
    )


def _cell(cells: Mapping[str, Any], place: RowPlace, part: str) -> Any:
    """Return the first present cell of a part; None when there is none."""
    return next((cells[name] for name in COLUMNS[place.layout][part] if cells.get(name) is not None), None)


def _absent(place: RowPlace, part: str) -> str:
    """Say which column is missing, or that it is empty."""
    names = COLUMNS[place.layout][part]
    if not place.columns or any(name in place.columns for name in names):
        return ""
    found = ", ".join(ascii(name)[1:-1][:40] for name in place.columns[:12])
    return f"no column {' or '.join(names)}; found {found}.{did_you_mean(names[0], list(place.columns[:100]))}"


# --- texts ----------------------------------------------------------------------------------------------------------


def _checked(text: str, what: str) -> str:
    """Return a text without outer blanks, refusing what cannot be stored or would steer a chat model."""
    text = text.strip()
    if len(text) > MAX_TEXT_CHARACTERS:
        raise _RowFault("long_text", f"the {what} has {len(text)} characters; at most {MAX_TEXT_CHARACTERS} are read")
    try:
        text.encode()
    except UnicodeEncodeError as fault:
        raise _RowFault("bad_text", f"the {what}, character {fault.start + 1}") from fault
    if token := _CONTROL_TOKENS.first_in(text):
        raise _RowFault("control_token", f"the {what} holds {ascii(token)[1:-1]}")
    return text


def _gold(text: str, what: str) -> str:
    """Return a checked text that a model is to write."""
    text = _checked(text, what)
    if found := _STAGE_TAG.search(text):
        raise _RowFault("stage_tag", f"the {what} holds {found[0]}")
    return text


def _question(cells: Mapping[str, Any], place: RowPlace) -> str:
    """Return the question, from its column or from the user's turn of `messages`."""
    value = _cell(cells, place, "question")
    if value is not None and not isinstance(value, str):
        value = _user_text(value)
    text = value or ""
    if (places := text.count(_PLACEHOLDER)) > 1:
        raise _RowFault("several_images", f"the question has {places} places for images ({_PLACEHOLDER})")
    text = _checked(text.replace(_PLACEHOLDER, "", 1), "question")
    if not text:
        raise _RowFault("no_question", _absent(place, "question"))
    return text


def _user_text(messages: object) -> str:
    """Return the text of the only user turn of a conversation."""
    if not isinstance(messages, list | tuple):
        raise _RowFault("no_question", f"found {type(messages).__name__}, not a text")
    turns = [
        cast("Mapping[str, Any]", turn).get("content")
        for turn in cast("Sequence[object]", messages)
        if isinstance(turn, Mapping) and cast("Mapping[str, Any]", turn).get("role") == "user"
    ]
    if len(turns) != 1:
        raise _RowFault("no_question", f"messages hold {len(turns)} user turns; training takes exactly one")
    content = turns[0]
    if isinstance(content, list | tuple):
        parts = (part for part in cast("Sequence[object]", content) if isinstance(part, Mapping))
        texts = (cast("Mapping[str, Any]", part).get("text") for part in parts)
        content = "\n".join(text for text in texts if isinstance(text, str))
    if not isinstance(content, str):
        raise _RowFault("no_question", f"the user turn holds {type(content).__name__}, not a text")
    return content


def _answers(cells: Mapping[str, Any], place: RowPlace, findings: list[Finding]) -> tuple[str, ...]:
    """Return the accepted answers, each once, without those that no scorer could compare."""
    value = _cell(cells, place, "answers")
    if isinstance(value, str) and len(value) > MAX_TEXT_CHARACTERS:
        raise _RowFault("long_text", f"the answers have {len(value)} characters")
    found = read_gold_answers(value)
    written = [_gold(text, "answer") for text in found.texts]
    answers = tuple(dict.fromkeys(text for text in written if text_key(text)))
    if not answers:
        nothing = found.fault or _absent(place, "answers") or ("none that could be compared" if written else "")
        raise _RowFault("no_answer", nothing)
    if found.has_blank or not all(map(text_key, written)):
        findings.append(Finding("blank_answer", drops=False))
    return answers


def _caption(cells: Mapping[str, Any], place: RowPlace, findings: list[Finding]) -> str | None:
    """Return the reference caption; None for none, or one without a word to compare."""
    value = _cell(cells, place, "caption")
    if value is None:
        findings.append(Finding("no_caption", _absent(place, "caption"), drops=False))
        return None
    if not isinstance(value, str):
        findings.append(Finding("empty_caption", f"found {type(value).__name__}, not a text", drops=False))
        return None
    text = _gold(value, "caption")
    if caption_score(text, text, paper=False) < 1.0:
        findings.append(Finding("empty_caption", drops=False))
        return None
    return text


def _short_text(cells: Mapping[str, Any], place: RowPlace, part: str) -> str:
    """Return an id or a kind as text of at most 200 characters; empty for none, or for something nested."""
    value = _cell(cells, place, part)
    if not isinstance(value, str | int | float):
        return ""
    return as_text(value).encode(errors="replace").decode().strip()[:200]


def _declared_size(cells: Mapping[str, Any]) -> Size | None:
    """Return what the columns width and height say; None where they say nothing, zeros where it is nonsense."""
    values = [cells.get("width"), cells.get("height")]
    if values == [None, None]:
        return None
    whole = [
        int(value)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 10**6 and value == int(value)
        else 0
        for value in values
    ]
    return Size(*whole)


# --- the image ------------------------------------------------------------------------------------------------------


def _image(cells: Mapping[str, Any], place: RowPlace, images: TrainingImages) -> tuple[bytes, Size]:
    """Return the row's image file and its upright size, fully decoded once."""
    value = _cell(cells, place, "image")
    if isinstance(value, list | tuple):
        items = cast("Sequence[object]", value)
        if len(items) > 1:
            raise _RowFault("several_images", f"{len(items)} images")
        value = items[0] if items else None
    if value is None or value == "":
        raise _RowFault("no_image", _absent(place, "image"))
    if not isinstance(value, Mapping | str | bytes):
        raise _RowFault("no_image", f"found {type(value).__name__}, neither a path nor bytes")
    try:
        data = images.bytes_of(cast("Mapping[str, Any] | str | bytes", value))
        size = images.size_of(data)
    except UnsafePathError as fault:
        raise _RowFault("unsafe_path", str(fault)[:200]) from fault
    except NoImageFileError as fault:
        raise _RowFault("no_image", str(fault)[:200]) from fault
    except UnreadableImageError as fault:
        raise _RowFault("unreadable_image", str(fault)[:200]) from fault
    if max(size.width, size.height) > MAX_ASPECT_RATIO * min(size.width, size.height):
        raise _RowFault("thin_image", f"{size.width}x{size.height}; at most {MAX_ASPECT_RATIO} times as long")
    return data, size


class TrainingImages:
    """The images of a file's rows; remembers which were found whole."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._files = ImageFiles(folders)
        self._sizes: dict[bytes, Size] = {}

    def bytes_of(self, value: Mapping[str, Any] | str | bytes) -> bytes:
        """Return the image file that a cell holds or points to; raises UnreadableImageError."""
        if isinstance(value, str) and not value.startswith("data:"):
            return self._files.read(value)  # in training data a text is always a path
        return image_bytes_of(value, self._files)

    def size_of(self, data: bytes) -> Size:
        """Return the upright size of an image whose every pixel can be decoded; raises UnreadableImageError."""
        digest = hashlib.sha256(data).digest()
        if digest not in self._sizes:
            with decode_rgb(data) as image:
                self._sizes[digest] = Size(*image.size)
        return self._sizes[digest]
