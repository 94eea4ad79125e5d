"""What the model is asked: a system turn and a suffix per format, around a benchmark's own question text.

The content follows SATORI's prompts (caption, boxes, answer, each in its tags); the wording is ours. `plain` is the
bare question, with no system turn.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, TypeAlias

from harness.values import Format
from tasks.adapters import adapter_of
from tasks.benchmark import Benchmark
from tasks.cells import Doc

Message: TypeAlias = dict[str, Any]
"""One chat turn in lmms-eval's form: role and a list of typed contents."""

_CAPTION_STEP = "a short caption that describes the whole scene, inside <caption> and </caption>"
_BBOX_STEP = (
    "the regions of the image that matter most for the question, inside <bbox> and </bbox>, as one list of boxes "
    "[[x1,y1,x2,y2], ...] in which (x1,y1) is the upper left and (x2,y2) the lower right corner of a region"
)
_THINKING_STEP = "your reasoning from what those regions show to the answer, inside <thinking> and </thinking>"
_ANSWER_STEP = "the final answer and nothing else, inside <answer> and </answer>"

SYSTEM: Mapping[Format, str] = {
    "satori": (
        "You answer questions about images in three parts. Write, in this order: "
        f"first, {_CAPTION_STEP}; second, {_BBOX_STEP}; third, {_ANSWER_STEP}. Write nothing outside these tags."
    ),
    "satori-think": (
        "You answer questions about images in four parts. Write, in this order: "
        f"first, {_CAPTION_STEP}; second, {_BBOX_STEP}; third, {_THINKING_STEP}; fourth, {_ANSWER_STEP}. "
        "Put each part on a line of its own, and write nothing outside these tags."
    ),
    "freeform": (
        "You answer questions about images. First think the question through step by step, inside <think> and "
        f"</think>; then write {_ANSWER_STEP}."
    ),
    "plain": "",
}
"""System turn of each format; the empty text means that there is none."""

SUFFIX: Mapping[Format, str] = {
    "satori": (
        "Describe the scene in <caption> </caption>, list the boxes of the relevant regions as "
        "<bbox>[[x1,y1,x2,y2], ...]</bbox>, then give the final answer in <answer> </answer>."
    ),
    "satori-think": (
        "Describe the scene in <caption> </caption>, list the boxes of the relevant regions as "
        "<bbox>[[x1,y1,x2,y2], ...]</bbox>, reason in <thinking> </thinking>, then give the final answer in "
        "<answer> </answer>."
    ),
    "freeform": "Think in <think> </think>, then give the final answer in <answer> </answer>.",
    "plain": "",
}
"""What is added to the user's text in each format."""

_PROBE: Doc = {
    "index": 7,
    "pid": "7",
    "id": "7",
    "question_id": "count/7.png",
    "category": "c",
    "hint": "Hint.",
    "question": "Which one?",
    "A": "one",
    "B": "two",
    "choices": ["one", "two"],
    "unit": "m",
    "precision": 2.0,
    "answer": "A",
    "answers": ["A"],
}
_PROBE_KINDS = (
    {"question_type": "multi_choice", "answer_type": "text"},
    {"question_type": "free_form", "answer_type": "integer", "choices": None},
    {"question_type": "free_form", "answer_type": "float", "choices": None},
    {"question_type": "free_form", "answer_type": "list", "choices": None},
)


def user_text(format_: Format, question_text: str) -> str:
    """Return the text of the user's turn."""
    suffix = SUFFIX[format_]
    return f"{question_text}\n{suffix}" if suffix else question_text


def messages(format_: Format, question_text: str, image: object) -> list[Message]:
    """Return the chat turns of one sample, in lmms-eval's form.

    Args:
        format_: Decides the words about the answer's form.
        question_text: What the benchmark asks.
        image: Goes into the image content as it is; lmms-eval's models take a PIL image.
    """
    user = {
        "role": "user",
        "content": [{"type": "image", "url": image}, {"type": "text", "text": user_text(format_, question_text)}],
    }
    if not SYSTEM[format_]:
        return [user]
    return [{"role": "system", "content": [{"type": "text", "text": SYSTEM[format_]}]}, user]


def prompt_hash(format_: Format, benchmark: Benchmark) -> str:
    """Return a hex digest that changes when the wording of a benchmark's prompts does.

    Rendered from made-up rows, so that a change of any adapter's words counts, whatever file it is in.
    """
    question_text = adapter_of(benchmark).question_text
    renamed = dict(_PROBE)
    if benchmark.own is not None:
        renamed.update({column: _PROBE[part] for part, column in benchmark.own.columns.items() if part in _PROBE})
    rendered = [messages(format_, question_text({**renamed, **kind}), "image") for kind in _PROBE_KINDS]
    return hashlib.sha256(json.dumps(rendered, ensure_ascii=False, sort_keys=True).encode()).hexdigest()
