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
from math import inf, isfinite, nan
from pathlib import Path
from types import NoneType
from typing import Any, cast, get_args

import msgspec

from harness.errors import ExitCode, UserError
from harness.values import (
    FAULTS,
    AnswerRule,
    Box,
    BoxMatch,
    Components,
    Fault,
    Generation,
    Json,
    Record,
    Sample,
    Score,
    Size,
    StepChange,
    StepScore,
)

MAX_DEPTH = 100
"""Lists and objects nested deeper than this are stored as null: Python's own reader gives up soon after."""

MAX_INT_BITS = 14_000
"""Whole numbers of more bits are stored as null: Python refuses to read more than 4,300 digits."""

MAX_SHARE = 1.0 + 1e-9
"""Scores, overlaps and their components are shares of 1; a sum in another order may exceed it by the last digits."""

MAX_COUNT = 2**63 - 1
"""What Parquet's whole numbers hold."""

_ANSWER_RULES: dict[str, AnswerRule] = {rule: rule for rule in get_args(AnswerRule)}
_FAULTS_BY_NAME: dict[str, Fault] = {fault: fault for fault in FAULTS}
_STEP_CHANGES: tuple[StepChange, ...] = get_args(StepChange)
_FAULT_NAMES: dict[str, Json] = {fault: fault for fault in FAULTS}

_TEXT: frozenset[type] = frozenset({str})
_OPTIONAL_TEXT: frozenset[type] = frozenset({str, NoneType})
_WHOLE: frozenset[type] = frozenset({int})
_OPTIONAL_WHOLE: frozenset[type] = frozenset({int, NoneType})
_NUMBER: frozenset[type] = frozenset({float, int, NoneType})
_FLAG: frozenset[type] = frozenset({bool})
_LIST: frozenset[type] = frozenset({list})
_OPTIONAL_LIST: frozenset[type] = frozenset({list, NoneType})
_OBJECT: frozenset[type] = frozenset({dict})
_OPTIONAL_OBJECT: frozenset[type] = frozenset({dict, NoneType})
_TYPE_WORDS: dict[type, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
    NoneType: "null",
}

_RECORD_TYPES: dict[str, frozenset[type]] = {
    "task": _TEXT,
    "id": _TEXT,
    "repeat": _WHOLE,
    "score": _NUMBER,
    "extracted": _OPTIONAL_TEXT,
    "faults": _LIST,
    "components": _OBJECT,
    "iou": _NUMBER,
    "match": _OPTIONAL_OBJECT,
    "boxes_image_px": _OPTIONAL_LIST,
    "steps": _OPTIONAL_LIST,
    "text": _TEXT,
    "prompt": _OPTIONAL_TEXT,
    "truncated": _FLAG,
    "error": _OPTIONAL_TEXT,
    "input_width": _OPTIONAL_WHOLE,
    "input_height": _OPTIONAL_WHOLE,
    "input_tokens": _OPTIONAL_WHOLE,
    "output_tokens": _OPTIONAL_WHOLE,
    "device_s": _NUMBER,
    "reply_model": _OPTIONAL_TEXT,
    "judge_reply": _OPTIONAL_TEXT,
    "judge_error": _OPTIONAL_TEXT,
    "question": _TEXT,
    "choices": _OBJECT,
    "answers": _OPTIONAL_LIST,
    "answer_rule": _TEXT,
    "category": _TEXT,
    "l2_category": _TEXT,
    "cluster": _TEXT,
    "boxes": _OPTIONAL_LIST,
    "caption": _OPTIONAL_TEXT,
    "width": _OPTIONAL_WHOLE,
    "height": _OPTIONAL_WHOLE,
    "image_sha256": _TEXT,
    "extra": _OBJECT,
}
_COMPONENT_TYPES: dict[str, frozenset[type]] = {
    "format": _NUMBER,
    "caption": _NUMBER,
    "bbox": _NUMBER,
    "answer": _NUMBER,
}
_MATCH_TYPES: dict[str, frozenset[type]] = {
    "predicted": _WHOLE,
    "gold": _WHOLE,
    "iou_sum": _NUMBER,
    "hits_50": _WHOLE,
}

_STEP_TYPES: dict[str, frozenset[type]] = {
    "boxes_image_px": _LIST,
    "iou": _NUMBER,
    "change": _OPTIONAL_TEXT,
    "faults": _LIST,
}

_COUNTS = ("repeat", "input_width", "input_height", "input_tokens", "output_tokens", "device_s", "width", "height")
_MATCH_COUNTS = ("predicted", "gold", "iou_sum", "hits_50")


class CorruptRecordError(UserError, ValueError):
    """A stored line is not a record; the message names the file and the line."""

    exit_code = ExitCode.INCOMPLETE

    def __init__(self, path: Path | str, line_number: int, why: str) -> None:
        self.path = str(path)
        self.line_number = line_number
        super().__init__(
            f"{path} line {line_number} is not a record: {why}. The file was changed by something else: "
            "restore it from a copy, or delete that line and run the same command again"
        )

    def __reduce__(self) -> str | tuple[object, ...]:
        # The default would call __init__ with the message alone, which breaks on the way out of a worker process.
        return (_corrupt_with_message, (self.path, self.line_number, str(self)))


def _corrupt_with_message(path: str, line_number: int, message: str) -> CorruptRecordError:
    error = CorruptRecordError(path, line_number, "")
    error.args = (message,)
    return error


def _refuse_constant(name: str) -> Json:
    raise ValueError(f"{name} is not JSON")


_ENCODER = json.JSONEncoder(allow_nan=False, separators=(",", ":"))
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
_FAST_DECODER: msgspec.json.Decoder[Any] = msgspec.json.Decoder()
"""Gives what `_DECODER` gives in half the time, but refuses some of what it takes, such as lone surrogates."""


def parse_object(text: str) -> dict[str, Json]:
    """Read one JSON object.

    Raises:
        ValueError: not JSON, not an object, nested too deeply, or with a NaN or an infinity in it.
    """
    try:
        value = _decoded(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON ({error.msg} at character {error.pos})") from error
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError(f"{describe(value)}, not an object")  # noqa: TRY004 - it is the text that is wrong, not a type
    return value


def _decoded(text: str) -> Json:
    """Read JSON; what the fast reader refuses goes to the slow one, which takes it or says what is wrong."""
    try:
        return cast("Json", _FAST_DECODER.decode(text))
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        return cast("Json", _DECODER.decode(text))


def json_safe(value: Json, depth: int = 0) -> Json:
    """Return a copy that JSON can hold: non-finite numbers, endless ones and what lies too deep become null.

    Raises:
        TypeError: something that is no JSON at all, such as a numpy integer: whoever made it must convert it.
    """
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int):
        return value if value.bit_length() <= MAX_INT_BITS else None
    if isinstance(value, float):
        return value if isfinite(value) else None
    if depth == MAX_DEPTH:
        return None
    if isinstance(value, list | tuple):
        return [json_safe(item, depth + 1) for item in value]
    if isinstance(value, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] - adapters are not always typed
        return {_text_key(key): json_safe(item, depth + 1) for key, item in value.items()}
    raise TypeError(f"{value!r} ({type(value).__name__}) cannot be stored as JSON; convert it to a plain value first")


def _text_key(key: object) -> str:
    if not isinstance(key, str):
        raise TypeError(f"the key {key!r} ({type(key).__name__}) cannot be stored as JSON; keys must be text")
    return key


def describe(value: Json) -> str:
    """Say in a few words what a JSON value is, without quoting what may be a megabyte of it."""
    if value is None:
        return "null"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return f"an object of {len(value)} fields"
    shown = repr(value) if not isinstance(value, int) or value.bit_length() < 200 else "a huge number"
    return shown if len(shown) <= 60 else shown[:60] + "..."


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
        "device_s": _finite(generation.device_s),
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
        "faults": [_FAULT_NAMES[fault] for fault in score.faults],
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
        "faults": [_FAULT_NAMES[fault] for fault in step.faults],
    }


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
        return {_text_key(name): json_safe(value) for name, value in sample.extra.items()}
    except TypeError as error:
        raise TypeError(f"sample {sample.id!r} of {sample.task!r}: in `extra`, {error}") from error


def record_from_json(obj: Mapping[str, Json]) -> Record:
    """Return the record that `record_to_json` wrote; fields that it does not know are passed over.

    A field that may be null may also be absent; a null coordinate of a box is read as NaN.

    Raises:
        ValueError: a field is missing, has the wrong type, or holds what no scorer gives: a share outside of [0, 1], a
            negative count, an unknown fault. The message names it.
    """
    fields = _checked(obj, _RECORD_TYPES)
    rule, match = fields["answer_rule"], fields.get("match")
    _refuse_negative(fields, _COUNTS)
    if rule not in _ANSWER_RULES:
        raise ValueError(f"field 'answer_rule' is {describe(rule)}, which is none of {', '.join(_ANSWER_RULES)}")
    get = fields.get
    return Record(
        Sample(
            id=fields["id"],
            task=fields["task"],
            answer_rule=_ANSWER_RULES[rule],
            question=fields["question"],
            answers=_texts_from(get("answers"), "answers"),
            choices=_choices_from(fields["choices"]),
            category=fields["category"],
            l2_category=fields["l2_category"],
            cluster=fields["cluster"],
            boxes_image_px=_boxes_from(get("boxes"), "boxes"),
            caption=get("caption"),
            image_size=_size_from(get("width"), get("height")),
            image_sha256=fields["image_sha256"],
            extra=fields["extra"],
        ),
        Generation(
            text=fields["text"],
            input_size=_size_from(get("input_width"), get("input_height")),
            input_tokens=get("input_tokens"),
            output_tokens=get("output_tokens"),
            prompt=get("prompt"),
            device_s=_number_from(get("device_s"), "device_s"),
            truncated=fields["truncated"],
            error=get("error"),
            reply_model=get("reply_model"),
        ),
        Score(
            value=_share_from(get("score"), "score"),
            extracted=get("extracted"),
            components=_components_from(fields["components"]),
            iou=_share_from(get("iou"), "iou"),
            match=None if match is None else _match_from(match),
            boxes_image_px=_boxes_from(get("boxes_image_px"), "boxes_image_px"),
            steps=steps_from(get("steps")),
            faults=_faults_from(fields["faults"]),
        ),
        repeat=fields["repeat"],
        judge_reply=get("judge_reply"),
        judge_error=get("judge_error"),
    )


def _checked(obj: Mapping[str, Json], types: Mapping[str, frozenset[type]]) -> dict[str, Any]:
    """Return the object, its fields now known to have the types of the table: 33 look-ups instead of 33 calls."""
    for name, allowed in types.items():
        if type(obj.get(name)) not in allowed:
            if name not in obj:
                raise ValueError(f"field {name!r} is missing")
            wanted = " or ".join(sorted(_TYPE_WORDS[kind] for kind in allowed))
            raise ValueError(f"field {name!r} must be {wanted}, found {describe(obj[name])}")
    return cast("dict[str, Any]", obj)


def _number_from(value: float | None, name: str) -> float | None:
    if value is None or (type(value) is float and isfinite(value)):
        return value
    try:
        number = float(value)  # JSON may say 1 for 1.0
    except OverflowError:
        number = inf
    if not isfinite(number):
        raise ValueError(f"field {name!r} is not a finite number")
    return number


def _share_from(value: float | None, name: str) -> float | None:
    number = _number_from(value, name)
    if number is not None and not 0 <= number <= MAX_SHARE:
        raise ValueError(f"field {name!r} is {describe(number)}, which is not in [0, 1]")
    return number


def _refuse_negative(fields: Mapping[str, Any], counts: tuple[str, ...]) -> None:
    for name in counts:
        value = fields.get(name)
        if value is not None and not 0 <= value <= MAX_COUNT:
            raise ValueError(f"field {name!r} is {describe(value)}, which is no count")


def _texts_from(value: list[Any] | None, name: str) -> tuple[str, ...] | None:
    if value is None:
        return None
    for item in value:
        if type(item) is not str:
            raise ValueError(f"field {name!r} must be a list of texts, found {describe(item)} in it")
    return tuple(value)


def _choices_from(value: dict[str, Any]) -> dict[str, str]:
    for text in value.values():
        if type(text) is not str:
            raise ValueError(f"field 'choices' must be an object of texts, found {describe(text)} in it")
    return value


def _boxes_from(value: list[Any] | None, name: str) -> tuple[Box, ...] | None:
    return None if value is None else tuple([_box_from(item, name) for item in value])


def _box_from(value: Any, name: str) -> Box:
    if type(value) is list and len(sides := cast("list[Any]", value)) == 4:
        x1, y1, x2, y2 = sides
        if type(x1) is type(y1) is type(x2) is type(y2) is float and isfinite(x1 + y1 + x2 + y2):
            return (x1, y1, x2, y2)  # nearly all are like this
        return (_side_from(x1, name), _side_from(y1, name), _side_from(x2, name), _side_from(y2, name))
    raise ValueError(f"field {name!r} must be a list of boxes of four numbers")


def _side_from(value: Any, name: str) -> float:
    if type(value) not in _NUMBER:
        raise ValueError(f"field {name!r} must be a list of boxes of four numbers, found {describe(value)} in one")
    number = _number_from(value, name)
    return nan if number is None else number


def _components_from(value: dict[str, Json]) -> Components:
    get = _checked(value, _COMPONENT_TYPES).get
    return Components(
        format=_share_from(get("format"), "format"),
        caption=_share_from(get("caption"), "caption"),
        bbox=_share_from(get("bbox"), "bbox"),
        answer=_share_from(get("answer"), "answer"),
    )


def _match_from(value: dict[str, Json]) -> BoxMatch:
    fields = _checked(value, _MATCH_TYPES)
    _refuse_negative(fields, _MATCH_COUNTS)
    iou_sum = _number_from(fields.get("iou_sum"), "iou_sum")
    return BoxMatch(
        predicted=fields["predicted"],
        gold=fields["gold"],
        iou_sum=nan if iou_sum is None else iou_sum,
        hits_50=fields["hits_50"],
    )


def steps_from(value: list[Any] | None) -> tuple[StepScore, ...]:
    """Return the steps that a record or a row of its table holds.

    Raises:
        ValueError: one is none; the message names the field.
    """
    return tuple([_step_from(step) for step in value]) if value else ()


def _step_from(value: Json) -> StepScore:
    if not isinstance(value, dict):
        raise ValueError(f"field 'steps' must be a list of objects, found {describe(value)} in it")  # noqa: TRY004 - data
    fields = _checked(value, _STEP_TYPES)
    change = fields.get("change")
    if change is not None and change not in _STEP_CHANGES:
        raise ValueError(f"field 'change' is {describe(change)}, which is none of {', '.join(_STEP_CHANGES)}")
    return StepScore(
        boxes_image_px=_boxes_from(fields["boxes_image_px"], "boxes_image_px") or (),
        iou=_share_from(fields.get("iou"), "iou"),
        change=change,
        faults=_faults_from(fields["faults"]),
    )


def _faults_from(names: list[Any]) -> tuple[Fault, ...]:
    if not names:
        return ()
    for name in names:
        if type(name) is not str or name not in _FAULTS_BY_NAME:
            raise ValueError(f"field 'faults' names {describe(name)}, which this satori-bench does not know")
    return tuple([_FAULTS_BY_NAME[name] for name in names])


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
        return record_from_json(object_from_line(line, path, line_number))
    except CorruptRecordError:
        raise
    except ValueError as error:
        raise CorruptRecordError(path, line_number, str(error)) from error
