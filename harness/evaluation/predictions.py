"""Read predictions made elsewhere (one JSON object a line) and score them without a model.

The row format is design.md's "The predictions file of `score`". A bad row never refuses the file: it gives an output
line with the fault `error`, and the reason goes to the caller.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from harness.evaluation.llm_judge import wants_judge
from harness.models.peer_names import task_hint
from harness.scoring.score import score_error, score_generation, score_judge_error
from harness.task_facts import FACTS, facts_of
from harness.values import (
    AnswerRule,
    Box,
    Generation,
    Json,
    Picture,
    Record,
    Sample,
    Score,
    ScoreConfig,
    Size,
)

ANSWER_RULES: Mapping[str, AnswerRule] = {task: facts.answer_rule for task, facts in FACTS.items()}
"""The answer rule of every task that can be scored so far."""

MAX_LINE_CHARACTERS = 32 * 2**20
"""A longer line is a fault: no prediction is that long."""

MAX_SIDE_PX = 10**9
"""A wider or higher image is a mistake in the row. One without pixels can be read: nothing overlaps in it."""

_EXTRA_FIELDS = (
    "question_type", "answer_type", "precision", "error", "index", "question_types", "operation/reasoning",
    "unit", "is_multiple_answer", "source", "key",
)  # fmt: skip
_PREDICTION_NAMES = (
    "response", "pred", "output", "model_output", "completion", "generated_text", "text", "filtered_resps", "resps",
    "answer",
)  # fmt: skip
"""Fields in which other tools keep what a model wrote."""
_SHOWN_FIELDS = 8
_TOP_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _constant(name: str) -> float | None:
    """Read what JSON does not have but tables write: NaN is a cell without a value; infinity stays for the checks."""
    return None if name == "NaN" else float(name)


_DECODER = json.JSONDecoder(parse_constant=_constant)


class RowError(ValueError):
    """A row of a predictions file cannot be read; the message says which field and why."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """One row of a predictions file."""

    sample: Sample
    """The question and its gold, as far as the row carries them."""
    text: str
    """The raw prediction."""
    input_size: Size | None = None
    """Size of the image as the model saw it; None when the row does not say."""
    judge_reply: str | None = None
    """A judge's reply that came with the row."""


@dataclass(frozen=True, slots=True)
class ScoredPrediction:
    """One scored row, or the reason why there is none."""

    line: int
    """Line number in the file, from 1."""
    row_id: str | None
    """The row's id; None when it could not be read."""
    task: str | None
    """The row's task; None when it could not be read."""
    prediction: Prediction | None
    """What was read; None for a bad row."""
    score: Score
    """What it earned; the fault `error` for a bad row."""
    reason: str | None = None
    """Why a bad row is bad; None for a good one."""

    def to_json(self) -> dict[str, Json]:
        """Return the output line of the `score` command."""
        earned = self.score
        components: dict[str, Json] = {
            "format": earned.components.format,
            "caption": earned.components.caption,
            "bbox": earned.components.bbox,
            "answer": earned.components.answer,
        }
        return {
            "id": self.row_id,
            "task": self.task,
            "score": earned.value,
            "extracted": earned.extracted,
            "components": components,
            "iou": earned.iou,
            "faults": list[Json](earned.faults),
        }


def score_lines(
    lines: Iterable[str], config: ScoreConfig, gold: Callable[[Sample], Sample] | None = None
) -> Iterator[ScoredPrediction]:
    """Score a predictions file line by line; blank lines are passed over, bad rows come back as errors.

    Args:
        lines: The file's.
        config: How to score.
        gold: Gives a sample other gold boxes than its row has; None keeps those.
    """
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield _score_line(number, line, config, gold)


def _score_line(
    number: int, line: str, config: ScoreConfig, gold: Callable[[Sample], Sample] | None
) -> ScoredPrediction:
    """Score one line."""
    row: dict[str, Any] = {}
    try:
        row = _load_object(line)
        prediction = prediction_of(row)
    except RowError as fault:
        row_id, task = row.get("id"), row.get("task")
        return ScoredPrediction(
            number,
            None if row_id is None else str(row_id),
            task if isinstance(task, str) else None,
            None,
            score_error(),
            str(fault),
        )
    if gold is not None:
        prediction = replace(prediction, sample=gold(prediction.sample))
    earned = score_prediction(prediction, config)
    return ScoredPrediction(number, prediction.sample.id, prediction.sample.task, prediction, earned)


def score_prediction(prediction: Prediction, config: ScoreConfig) -> Score:
    """Score one read row."""
    generation = Generation(prediction.text, prediction.input_size)
    return score_generation(prediction.sample, generation, config, judge_reply=prediction.judge_reply)


def record_of(scored: ScoredPrediction, repeat: int) -> Record:
    """Make a run's record of a scored row; its costs are unknown, because no model ran here.

    A bad row of a known task becomes an unscored record, so that no mean hides that it is missing.

    Raises:
        ValueError: The row is of no known task, so that there is nothing to record.
    """
    prediction = scored.prediction
    if prediction is None:
        task = scored.task
        if task is None or task not in ANSWER_RULES:
            raise ValueError(f"line {scored.line} is of no known task: {scored.reason}")
        sample = Sample(scored.row_id or f"line {scored.line}", task, ANSWER_RULES[task])
        return Record(sample, Generation(text="", error=scored.reason), scored.score, repeat)
    return Record(
        sample=prediction.sample,
        generation=Generation(text=prediction.text, input_size=prediction.input_size),
        score=scored.score,
        repeat=repeat,
        judge_reply=prediction.judge_reply,
    )


def rescore_record(record: Record, config: ScoreConfig) -> Record:
    """Score a stored record again from its raw text, under another protocol if the configuration says so."""
    earned = score_generation(record.sample, record.generation, config, judge_reply=record.judge_reply)
    # by its fields: every row of a rescore comes here, and `replace` asks for their names each time
    again = Record(record.sample, record.generation, earned, record.repeat, record.judge_reply, record.judge_error)
    if record.judge_error is not None and record.judge_reply is None and wants_judge(again):
        again = replace(again, score=score_judge_error(earned))
    return again


def prediction_of(row: Mapping[str, Any]) -> Prediction:
    """Read one row.

    Raises:
        RowError: A field that the row has is of the wrong kind, or the task is unknown. Missing gold is not an error:
            what needs it stays unscored.
    """
    task = row.get("task")
    if not isinstance(task, str) or task not in ANSWER_RULES:
        known = ", ".join(sorted(ANSWER_RULES))
        hint = task_hint(task, ANSWER_RULES) if isinstance(task, str) else "."
        raise RowError(f"task {task!r} cannot be scored{hint} Known tasks: {known}")
    text = row.get("prediction")
    if text is None and "prediction" not in row:
        raise RowError(f"prediction is missing{_misnamed(row)}")
    if not isinstance(text, str):
        raise RowError(f"prediction must be a string, found {type(text).__name__}")
    width, height = _whole(row, "width"), _whole(row, "height")
    seen_width, seen_height = _whole(row, "input_width"), _whole(row, "input_height")
    reply = row.get("judge_reply")
    if reply is not None and not isinstance(reply, str):
        raise RowError(f"judge_reply must be a string, found {type(reply).__name__}")
    extra = _extra(row)
    pictures = _pictures(row)
    sample = Sample(
        id=_text(row, "id", required=True),
        task=task,
        answer_rule=ANSWER_RULES[task],
        question=_text(row, "question"),
        answers=_answers(row),
        choices=_choices(row),
        category=_text(row, "category"),
        l2_category=_text(row, "l2_category"),
        cluster=_cluster(row, task, extra),
        boxes_image_px=_boxes(row),
        caption=_text(row, "caption") if row.get("caption") is not None else None,
        image_size=None if width is None or height is None or pictures else Size(width, height),
        pictures=pictures,
        extra=extra,
    )
    return Prediction(
        sample=sample,
        text=text,
        input_size=None if seen_width is None or seen_height is None else Size(seen_width, seen_height),
        judge_reply=reply,
    )


def _misnamed(row: Mapping[str, Any]) -> str:
    """Name the fields of a row without a prediction, above all one under which other tools keep the text."""
    known = [name for name in _PREDICTION_NAMES if isinstance(row.get(name), str | list)]
    if known:
        return f": the row has {known[0]!r}, write it as 'prediction', a string"
    names = ", ".join(repr(name) for name in list(row)[:_SHOWN_FIELDS])
    return f"; the row has {names}"[:300] if names else "; the row is empty"


def _load_object(line: str) -> dict[str, Any]:
    """Parse a line as a JSON object."""
    if len(line) > MAX_LINE_CHARACTERS:
        raise RowError(f"the line has {len(line)} characters, more than {MAX_LINE_CHARACTERS}")
    try:
        value = _DECODER.decode(line)
        line.encode()
    except UnicodeEncodeError as fault:
        raise RowError("the line is not UTF-8: save the file in that encoding") from fault
    except (ValueError, RecursionError) as fault:
        raise RowError(f"not a JSON object: {fault}") from fault
    if not isinstance(value, dict):
        raise RowError(f"not a JSON object but {type(value).__name__}")
    return cast("dict[str, Any]", value)


def _text(row: Mapping[str, Any], field: str, *, required: bool = False) -> str:
    """Return a field that may be a string or a number as text; absent gives the empty text."""
    value = row.get(field)
    if value is None:
        if required:
            raise RowError(f"{field} is missing")
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise RowError(f"{field} must be a string, found {type(value).__name__}")


def _whole(row: Mapping[str, Any], field: str) -> int | None:
    """Return a whole number of pixels; absent gives None."""
    value = row.get(field)
    if value is None:
        return None
    whole = value if isinstance(value, int) else _whole_of(value)
    if isinstance(value, bool) or whole is None or abs(whole) > MAX_SIDE_PX:
        raise RowError(f"{field} must be a whole number of pixels, found {value!r}"[:200])
    return whole


def _whole_of(value: object) -> int | None:
    """Return the whole number that a float is, else None."""
    return int(value) if isinstance(value, float) and value.is_integer() else None


def _answers(row: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the accepted answers; absent gives None, an empty list the empty tuple."""
    value = row.get("answers")
    if value is None:
        return None
    if isinstance(value, str):
        raise RowError("answers must be a list of strings: a bare string would make membership a substring test")
    if not isinstance(value, list):
        raise RowError(f"answers must be a list of strings, found {type(value).__name__}")
    items = cast("list[Any]", value)
    if any(isinstance(item, bool) or not isinstance(item, str | int | float) for item in items):
        raise RowError("answers must be a list of strings")
    return tuple(str(item) for item in items)


def _choices(row: Mapping[str, Any]) -> dict[str, str]:
    """Return letter to option text, from `choices` (object or list) or `options` (list, lettered by position)."""
    value = row.get("choices")
    if value is None:
        value = row.get("options")
    if value is None:
        return {}
    if isinstance(value, dict):
        pairs = cast("dict[str, Any]", value)
        return {letter: _option(text) for letter, text in pairs.items() if text is not None}
    if isinstance(value, list):
        items = cast("list[Any]", value)
        if len(items) > len(_TOP_LETTERS):
            raise RowError(f"options has {len(items)} entries; at most {len(_TOP_LETTERS)} letters exist")
        return {_TOP_LETTERS[place]: _option(text) for place, text in enumerate(items) if text is not None}
    raise RowError(f"choices must be an object of letter to text, found {type(value).__name__}")


def _option(value: object) -> str:
    """Return an option's text; a number counts as its text."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise RowError(f"the texts of choices must be strings, found {type(value).__name__}")


def _boxes(row: Mapping[str, Any]) -> tuple[Box, ...] | None:
    """Return the gold boxes in original pixels; absent gives None.

    Gold is written by people, so a broken one is an error and not a fault of the model.
    """
    value = row.get("boxes")
    if value is None:
        return None
    if not isinstance(value, list):
        raise RowError(f"boxes must be a list of [x1, y1, x2, y2], found {type(value).__name__}")
    boxes: list[Box] = []
    for place, item in enumerate(cast("list[Any]", value)):
        if not isinstance(item, list) or len(cast("list[Any]", item)) != 4:
            raise RowError(f"boxes[{place}] must be [x1, y1, x2, y2]")
        numbers = cast("list[Any]", item)
        if any(isinstance(n, bool) or not isinstance(n, int | float) or abs(n) > 1e9 or n != n for n in numbers):  # noqa: PLR0124 - n != n is the test for NaN that also takes big integers
            raise RowError(f"boxes[{place}] must hold four finite numbers below a thousand million")
        x1, y1, x2, y2 = (float(n) for n in numbers)
        if x2 < x1 or y2 < y1:
            raise RowError(f"boxes[{place}] is inverted: {[x1, y1, x2, y2]} (gold boxes are x1, y1, x2, y2)")
        boxes.append((x1, y1, x2, y2))
    return tuple(boxes)


def _pictures(row: Mapping[str, Any]) -> tuple[Picture, ...]:
    """Return the pictures of a question that shows several, as a run's records name them; none for one or for absent.

    No box is scored where there are several: it does not say which of them it lies in.
    """
    value = row.get("pictures")
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in cast("list[Any]", value)):
        raise RowError("pictures must be a list of objects, each with the width and height of one")
    items = cast("list[dict[str, Any]]", value)
    found = tuple(Picture(_text(item, "sha256"), _whole(item, "width"), _whole(item, "height")) for item in items)
    return found if len(found) > 1 else ()


def _extra(row: Mapping[str, Any]) -> dict[str, Json]:
    """Return further official columns: those that the row format names, and what `extra` holds."""
    value = row.get("extra")
    if value is not None and not isinstance(value, dict):
        raise RowError(f"extra must be an object, found {type(value).__name__}")
    extra: dict[str, Json] = dict(cast("dict[str, Json]", value)) if value else {}
    extra.update({field: cast("Json", row[field]) for field in _EXTRA_FIELDS if row.get(field) is not None})
    return extra


def _cluster(row: Mapping[str, Any], task: str, extra: Mapping[str, Json]) -> str:
    """Return the cluster: the row's own, for MMBench its index modulo a million, for We-Math its problem, else none.

    `group` is the field's earlier name. A cluster that goes unread makes every interval too narrow.
    """
    cluster, group = _text(row, "cluster"), _text(row, "group")
    if cluster and group and cluster != group:
        raise RowError(f"cluster is {cluster!r} and group {group!r}: both say what belongs together; give one")
    if cluster or group:
        return cluster or group
    index = extra.get("index")
    index = _whole_of(index) if isinstance(index, float) else index
    facts = facts_of(task)
    if facts.cluster == "question" and isinstance(index, int):
        return str(index % 1_000_000)
    problem, key = extra.get("ID"), extra.get("key")
    if any(metric.unit == "problem" for metric in facts.metrics) and problem is not None and isinstance(key, str):
        # The numbers of problems of two and of three steps may be the same.
        return f"{key.partition('_')[0]}_{problem}"
    return ""
