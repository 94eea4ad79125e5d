"""Turn a record into one JSON line and back: the only codec between memory and the journal.

A record is one flat object with readable field names; what it nests is small and fixed (`components`, `match`, boxes).
Every field is always written, so that each line can be read alone and a table of them has the same columns everywhere.

    line = record_line(record)                       # bytes, ASCII, ends in one newline
    record = record_from_line(line[:-1], "samples.jsonl", 1)

JSON has no NaN and no infinity: where a number is not finite, null is written. Text is escaped to ASCII, so that lone
surrogates and NUL survive; two lone surrogates side by side that form a pair are read back as their character.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import isfinite, nan
from pathlib import Path
from sys import float_info
from typing import Annotated, Any, TypeAlias, cast

import msgspec

from harness.errors import ExitCode, UserError
from harness.runs.declared import value_from
from harness.runs.json_text import json_safe, parse_object, text_key
from harness.values import (
    NO_CHOICE,
    Amount,
    AnswerRule,
    Box,
    BoxMatch,
    Components,
    Count,
    Crop,
    Fault,
    Generation,
    Json,
    KeptStages,
    Picture,
    Record,
    Sample,
    Score,
    Share,
    Size,
    StepScore,
)

Side: TypeAlias = Annotated[float, msgspec.Meta(ge=-float_info.max, le=float_info.max)] | None
"""A coordinate; null stands for one that was not finite."""

FiniteNumber: TypeAlias = Annotated[
    float, msgspec.Meta(ge=-float_info.max, le=float_info.max, description="a finite number")
]

StoredBox: TypeAlias = tuple[Side, Side, Side, Side]
Boxes: TypeAlias = Annotated[tuple[StoredBox, ...], msgspec.Meta(description="a list of boxes of four numbers")]
KnownFault: TypeAlias = Annotated[Fault, msgspec.Meta(description="a fault that this satori-bench knows")]


class StoredRecord(msgspec.Struct, kw_only=True):
    """The fields of a record as they are stored, in the order of a line and of a table's columns: names, kinds, ranges.

    What `harness/values.py` says of a value holds for its field. Readers, the columns of Parquet tables and the checks
    of their values follow from this.
    """

    task: str
    id: str
    repeat: Count
    score: Share | None = None
    extracted: str | None = None
    faults: tuple[KnownFault, ...]
    components: Components
    iou: Share | None = None
    match: BoxMatch | None = None
    boxes_image_px: Boxes | None = None
    steps: tuple[StepScore, ...] | None = None
    kept: KeptStages | None = None
    native: Mapping[str, FiniteNumber] | None = None
    text: str
    prompt: str | None = None
    truncated: bool
    error: str | None = None
    input_width: Count | None = None
    input_height: Count | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    output_ids: tuple[Count, ...] | None = None
    device_s: Amount | None = None
    latency_s: Amount | None = None
    crops: tuple[Crop, ...] | None = None
    reply_model: str | None = None
    judge_reply: str | None = None
    judge_error: str | None = None
    question: str
    choices: Mapping[str, str]
    answers: tuple[str, ...] | None = None
    answer_rule: AnswerRule
    category: str
    l2_category: str
    cluster: str
    boxes: Boxes | None = None
    caption: str | None = None
    width: Count | None = None
    height: Count | None = None
    image_sha256: str
    pictures: tuple[Picture, ...] | None = None
    extra: Mapping[str, Any]


_DECODER = msgspec.json.Decoder(StoredRecord)


class CorruptRecordError(UserError, ValueError):
    """A stored line is not a record; the message names the file and the line."""

    exit_code = ExitCode.INCOMPLETE

    def __init__(self, path: Path | str, line_number: int, why: str) -> None:
        self.path = str(path)
        self.line_number = line_number
        self.why = why
        super().__init__(
            f"{path} line {line_number} is not a record: {why}. The file was changed by something else: "
            "restore it from a copy, or delete that line and run the same command again"
        )

    def __reduce__(self) -> str | tuple[object, ...]:
        # The default would call __init__ with the message alone, which breaks on the way out of a worker process.
        return (type(self), (self.path, self.line_number, self.why))


_ENCODER = json.JSONEncoder(allow_nan=False, separators=(",", ":"))


def record_to_json(record: Record) -> dict[str, Json]:
    """Return the record as one flat JSON object; all its numbers are finite.

    Raises:
        TypeError: `extra` holds something that is not JSON.
    """
    sample, generation = record.sample, record.generation
    size, seen = sample.image_size, generation.input_size
    return {
        **score_to_json(record),
        "text": generation.text,
        "prompt": generation.prompt,
        "truncated": generation.truncated,
        "error": generation.error,
        "input_width": None if seen is None else seen.width,
        "input_height": None if seen is None else seen.height,
        "input_tokens": generation.input_tokens,
        "output_tokens": generation.output_tokens,
        "output_ids": None if generation.output_ids is None else list(generation.output_ids),
        "device_s": _finite(generation.device_s),
        "latency_s": _finite(generation.latency_s),
        "crops": [_crop_to_json(crop) for crop in generation.crops] if generation.crops else None,
        "reply_model": generation.reply_model,
        "judge_reply": record.judge_reply,
        "judge_error": record.judge_error,
        "question": sample.question,
        "choices": dict(sample.choices) if sample.choices else {},
        "answers": None if sample.answers is None else list(sample.answers),
        "answer_rule": sample.answer_rule,
        "category": sample.category,
        "l2_category": sample.l2_category,
        "cluster": sample.cluster,
        "boxes": _boxes_to_json(sample.boxes_image_px),
        "caption": sample.caption,
        "width": None if size is None else size.width,
        "height": None if size is None else size.height,
        "image_sha256": sample.image_sha256,
        "pictures": [_picture_to_json(picture) for picture in sample.pictures] if sample.pictures else None,
        "extra": _extra_to_json(sample),
    }


def score_to_json(record: Record) -> dict[str, Json]:
    """Return the record's key and what it earned, as the first fields of its JSON object."""
    score, parts = record.score, record.score.components
    return {
        "task": record.sample.task,
        "id": record.sample.id,
        "repeat": record.repeat,
        "score": _finite(score.value),
        "extracted": score.extracted,
        "faults": list[Json](score.faults),
        "components": {
            "format": _finite(parts.format),
            "caption": _finite(parts.caption),
            "bbox": _finite(parts.bbox),
            "answer": _finite(parts.answer),
        },
        "iou": _finite(score.iou),
        "match": None if score.match is None else _match_to_json(score.match),
        "boxes_image_px": _boxes_to_json(score.boxes_image_px),
        "steps": [_step_to_json(step) for step in score.steps] if score.steps else None,
        "kept": _kept_to_json(score.kept),
        "native": {text_key(name): value for name, value in score.native.items()} if score.native else None,
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and isfinite(value) else None


def _match_to_json(match: BoxMatch) -> Json:
    return {
        "predicted": match.predicted,
        "gold": match.gold,
        "iou_sum": _finite(match.iou_sum),
        "hits_50": match.hits_50,
    }


def _step_to_json(step: StepScore) -> Json:
    return {
        "boxes_image_px": _boxes_to_json(step.boxes_image_px),
        "iou": _finite(step.iou),
        "change": step.change,
        "faults": list[Json](step.faults),
    }


def _kept_to_json(kept: KeptStages) -> Json:
    """Return what a text kept; null where nothing may be left out or nothing can be said, as in most runs."""
    return None if kept.caption is None and kept.bbox is None else {"caption": kept.caption, "bbox": kept.bbox}


def _crop_to_json(crop: Crop) -> Json:
    size = crop.shown_size
    return {
        "turn": crop.turn,
        "text": crop.text,
        "source": crop.source,
        "box_image_px": None if crop.box_image_px is None else _box_to_json(crop.box_image_px),
        "shown_size": None if size is None else {"width": size.width, "height": size.height},
        "sha256": crop.sha256,
        "error": crop.error,
    }


def _picture_to_json(picture: Picture) -> Json:
    return {"sha256": picture.sha256, "width": picture.width, "height": picture.height}


def _boxes_to_json(boxes: tuple[Box, ...] | None) -> Json:
    return None if boxes is None else [_box_to_json(box) for box in boxes]


def _box_to_json(box: Box) -> Json:
    x1, y1, x2, y2 = box
    if isfinite(x1 + y1 + x2 + y2):
        return [x1, y1, x2, y2]
    return [_finite(side) for side in box]  # or the sum of finite sides overflowed; then nothing changes


def _extra_to_json(sample: Sample) -> dict[str, Json]:
    if not sample.extra:
        return {}
    try:
        return {text_key(name): json_safe(value) for name, value in sample.extra.items()}
    except TypeError as error:
        raise TypeError(f"sample {sample.id!r} of {sample.task!r}: in `extra`, {error}") from error


def record_from_json(obj: Mapping[str, Json]) -> Record:
    """Return the record that `record_to_json` wrote; fields that it does not know are passed over.

    A field that may be null may also be absent; a null coordinate of a box is read as NaN.

    Raises:
        ValueError: a field is missing, has the wrong type, or holds what no scorer gives: a share outside of [0, 1], a
            negative count, an unknown fault. The message names it.
    """
    try:
        return _record_of(msgspec.convert(obj, StoredRecord))
    except (msgspec.ValidationError, UnicodeEncodeError, RecursionError):
        return _record_of(value_from(StoredRecord, obj))


def _record_of(stored: StoredRecord) -> Record:
    return Record(
        Sample(
            id=stored.id,
            task=stored.task,
            answer_rule=stored.answer_rule,
            question=stored.question,
            answers=stored.answers,
            choices=stored.choices,
            category=stored.category,
            l2_category=stored.l2_category,
            cluster=stored.cluster,
            boxes_image_px=_boxes_from(stored.boxes),
            caption=stored.caption,
            image_size=_size_from(stored.width, stored.height),
            image_sha256=stored.image_sha256,
            pictures=stored.pictures or (),
            extra=stored.extra,
        ),
        Generation(
            text=stored.text,
            input_size=_size_from(stored.input_width, stored.input_height),
            input_tokens=stored.input_tokens,
            output_tokens=stored.output_tokens,
            output_ids=stored.output_ids,
            prompt=stored.prompt,
            device_s=stored.device_s,
            latency_s=stored.latency_s,
            truncated=stored.truncated,
            error=stored.error,
            reply_model=stored.reply_model,
            crops=stored.crops or (),
        ),
        Score(
            value=stored.score,
            extracted=stored.extracted,
            components=stored.components,
            iou=stored.iou,
            match=stored.match,
            boxes_image_px=_boxes_from(stored.boxes_image_px),
            steps=stored.steps or (),
            kept=stored.kept or NO_CHOICE,
            native=stored.native or {},
            faults=stored.faults,
        ),
        repeat=stored.repeat,
        judge_reply=stored.judge_reply,
        judge_error=stored.judge_error,
    )


def _boxes_from(boxes: tuple[StoredBox, ...] | None) -> tuple[Box, ...] | None:
    if boxes is None:
        return None
    for box in boxes:
        if None in box:
            return tuple(cast("Box", tuple(nan if side is None else side for side in one)) for one in boxes)
    return cast("tuple[Box, ...]", boxes)


def _size_from(width: int | None, height: int | None) -> Size | None:
    if width is None and height is None:
        return None
    if width is None or height is None:
        raise ValueError("the width and the height of an image must be given together")
    return Size(width, height)


def record_line(record: Record) -> bytes:
    r"""Return the record as one line of ASCII bytes that ends in `\n`; there is no other newline in it.

    Raises:
        TypeError: `extra` holds something that is not JSON.
    """
    return _ENCODER.encode(record_to_json(record)).encode("ascii") + b"\n"


def object_from_line(line: bytes, path: Path | str, line_number: int) -> dict[str, Json]:
    """Return the object that one stored line holds.

    Raises:
        CorruptRecordError: the line is not a JSON object; names file and line.
    """
    try:
        return parse_object(line.decode("utf-8"))
    except ValueError as error:
        raise CorruptRecordError(path, line_number, str(error)) from error


def record_from_line(line: bytes, path: Path | str, line_number: int) -> Record:
    """Return the record that one stored line holds; `line_number` counts from 1.

    Raises:
        CorruptRecordError: the line is not a record; names file, line and field.
    """
    try:
        return _record_of(_DECODER.decode(line))
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError, ValueError):
        # as this is: the slow reader takes more, such as lone surrogates, or says what is wrong
        obj = object_from_line(line, path, line_number)
    try:
        return record_from_json(obj)
    except ValueError as error:
        raise CorruptRecordError(path, line_number, str(error)) from error
