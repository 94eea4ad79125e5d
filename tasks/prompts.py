"""What the model is asked: a system turn and a suffix per format, around a benchmark's own question text.

The content follows SATORI's prompts (caption, boxes, answer, each in its tags); the wording is ours, but for `paper`,
which is SATORI's own: the one that its checkpoints were trained on. `plain` is the bare question, with no system turn.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

from harness.errors import ConfigError
from harness.scoring.formats import format_name, marked_format
from harness.values import AnyFormat, StageFormat
from tasks.benchmark import Benchmark
from tasks.cells import Doc
from tasks.place_prompts import PROMPTS
from tasks.shown_pictures import Shown

Message: TypeAlias = dict[str, Any]
"""One chat turn in lmms-eval's form: role and a list of typed contents."""

_CAPTION_STEP = "a short caption that describes the whole scene, inside <caption> and </caption>"
_BBOX_STEP = (
    "the regions of the image that matter most for the question, inside <bbox> and </bbox>, as one list of boxes "
    "[[x1,y1,x2,y2], ...] in which (x1,y1) is the upper left and (x2,y2) the lower right corner of a region"
)
_THINKING_STEP = "your reasoning from what those regions show to the answer, inside <thinking> and </thinking>"
_ANSWER_STEP = "the final answer and nothing else, inside <answer> and </answer>"

SYSTEM: Mapping[StageFormat, str] = {
    "satori": (
        "You answer questions about images in three parts. Write, in this order: "
        f"first, {_CAPTION_STEP}; second, {_BBOX_STEP}; third, {_ANSWER_STEP}. Write nothing outside these tags."
    ),
    "satori-think": (
        "You answer questions about images in four parts. Write, in this order: "
        f"first, {_CAPTION_STEP}; second, {_BBOX_STEP}; third, {_THINKING_STEP}; fourth, {_ANSWER_STEP}. "
        "Put each part on a line of its own, and write nothing outside these tags."
    ),
    "satori-adaptive": (
        "You answer questions about images. Always end with the answer; before it you may help yourself with two "
        "parts, and leave out either or both where the question does not need them. Write, in this order: "
        f"if it helps, {_CAPTION_STEP}; if it helps, {_BBOX_STEP}; always, {_ANSWER_STEP}. "
        "Write nothing outside these tags."
    ),
    "freeform": (
        "You answer questions about images. First think the question through step by step, inside <think> and "
        f"</think>; then write {_ANSWER_STEP}."
    ),
    "plain": "",
}
"""System turn of each format of stages; the empty text means that there is none. Others bring their own words."""

SUFFIX: Mapping[StageFormat, str] = {
    "satori": (
        "Describe the scene in <caption> </caption>, list the boxes of the relevant regions as "
        "<bbox>[[x1,y1,x2,y2], ...]</bbox>, then give the final answer in <answer> </answer>."
    ),
    "satori-think": (
        "Describe the scene in <caption> </caption>, list the boxes of the relevant regions as "
        "<bbox>[[x1,y1,x2,y2], ...]</bbox>, reason in <thinking> </thinking>, then give the final answer in "
        "<answer> </answer>."
    ),
    "satori-adaptive": (
        "If it helps, describe the scene in <caption> </caption>; if it helps, list the boxes of the relevant regions "
        "as <bbox>[[x1,y1,x2,y2], ...]</bbox>; always give the final answer in <answer> </answer>."
    ),
    "freeform": "Think in <think> </think>, then give the final answer in <answer> </answer>.",
    "plain": "",
}
"""What is added to the user's text in each format."""

PromptName: TypeAlias = Literal["ours", "paper"]
"""Whose words ask for the stages."""

MAX_PROMPT_CHARACTERS = 20_000
"""A longer system turn or suffix is a file named by mistake."""

_MAX_PATH_CHARACTERS = 1_000
_TEXT_ENDINGS = (".txt", ".md", ".text", ".prompt", ".jinja")
"""A word that ends so is a file's name, although no such file is there."""


@dataclass(frozen=True, slots=True)
class Wording:
    """The words around a benchmark's question."""

    system: str
    """System turn; the empty text means that there is none."""
    suffix: str
    """What follows the question in the user's turn; may be empty."""
    joint: str = "\n"
    """What stands between question and suffix."""


PAPER_WORDING = Wording(
    system=(
        "Given an image and a question, follow these steps: First, generate a brief image caption describing the "
        "overall scene. Provide the caption inside <caption> </caption>. Next, determine the relevant reasoning "
        "process for answering the question by identifying the most relevant image regions. Enclose these coordinates "
        "in <bbox>[[x1,y1,x2,y2], ...]</bbox>. Finally, provide the final answer to the question inside <answer> "
        "</answer> tags."
    ),
    suffix=(
        "First, provide an image caption describing the overall scene inside <caption> </caption>. Then, output the "
        "list of bounding boxes in the format of [[x1,y1,x2,y2], ...] inside <bbox> </bbox>. Finally, give the final "
        "answer in <answer> </answer>."
    ),
    joint=" \n",
)
"""SATORI's own words (justairr/SATORI-R1: prompt.txt, and lines 190-191 of its fork's vlmeval/vlm/qwen2_vl/model.py),
blank before the line end included."""


def wording(
    form: AnyFormat, name: PromptName = "ours", *, system: str | None = None, suffix: str | None = None
) -> Wording:
    """Return the words that a run asks with.

    Args:
        form: The stages that are asked for.
        name: Whose words.
        system: In place of the system turn; the empty text leaves it out. None keeps the words.
        suffix: In place of what follows the question; the empty text leaves it out. None keeps the words.

    Raises:
        ConfigError: The paper has no words for the format.
    """
    if name == "paper" and form != "satori":
        raise ConfigError(
            "--prompt paper asks for SATORI's caption, boxes and answer: it needs --format satori, not "
            f"{format_name(form)}"
        )
    row = marked_format(form)
    if name == "paper":
        words = PAPER_WORDING
    elif row is not None:
        words = Wording(row.system, row.suffix)
    else:
        words = Wording(SYSTEM[cast("StageFormat", form)], SUFFIX[cast("StageFormat", form)])
    return Wording(
        words.system if system is None else system,
        words.suffix if suffix is None else suffix,
        words.joint,
    )


def given_words(text: str | None, option: str) -> str | None:
    """Return the words that an option gives: those of the file that it names, else its own text.

    Raises:
        ConfigError: The file is missing or cannot be read as UTF-8, or the words are too many.
    """
    if text is None:
        return None
    named = Path(text) if len(text) <= _MAX_PATH_CHARACTERS and "\n" not in text and "\0" not in text else None
    words = text
    if named is not None and named.is_file():
        try:
            words = named.read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as fault:
            raise ConfigError(f"{option}: cannot read {named}: {fault}") from fault
    elif named is not None and named.suffix in _TEXT_ENDINGS and not any(map(str.isspace, text)):
        raise ConfigError(f"{option}: there is no file {named}")
    if len(words) > MAX_PROMPT_CHARACTERS:
        raise ConfigError(f"{option} has {len(words):,} characters, more than {MAX_PROMPT_CHARACTERS:,}")
    return words


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
_STAND_FOR_ALL: tuple[StageFormat, ...] = ("satori", "satori-think", "freeform", "plain")
"""The formats whose words are in every run's hash of its prompts."""
_PROBE_KINDS = (
    {"question_type": "multi_choice", "answer_type": "text"},
    {"question_type": "free_form", "answer_type": "integer", "choices": None},
    {"question_type": "free_form", "answer_type": "float", "choices": None},
    {"question_type": "free_form", "answer_type": "list", "choices": None},
)


def user_text(words: Wording, question_text: str) -> str:
    """Return the text of the user's turn."""
    return f"{question_text}{words.joint}{words.suffix}" if words.suffix else question_text


def messages(asked: AnyFormat | Wording, question_text: str, image: object) -> list[Message]:
    """Return the chat turns of one sample, in lmms-eval's form.

    Args:
        asked: The words around the question; a format stands for our own words for it.
        question_text: What the benchmark asks.
        image: Goes into the image content as it is; lmms-eval's models take a PIL image. `Shown` puts several pictures
            where the text names them.
    """
    words = asked if isinstance(asked, Wording) else wording(asked)
    shown = image if isinstance(image, Shown) else Shown((image,))
    user = {"role": "user", "content": shown.content(user_text(words, question_text))}
    if not words.system:
        return [user]
    return [{"role": "system", "content": [{"type": "text", "text": words.system}]}, user]


def prompt_hash(asked: AnyFormat | Wording, benchmark: Benchmark) -> str:
    """Return a hex digest that changes when the wording of a benchmark's prompts does.

    Rendered from made-up rows, so that a change of any adapter's words counts, whatever file it is in.
    """
    question_text = benchmark.adapter.question_text
    renamed = dict(_PROBE)
    if benchmark.own is not None:
        renamed.update({column: _PROBE[part] for part, column in benchmark.own.columns.items() if part in _PROBE})
    rendered = [messages(asked, question_text({**renamed, **kind}), "image") for kind in _PROBE_KINDS]
    return hashlib.sha256(json.dumps(rendered, ensure_ascii=False, sort_keys=True).encode()).hexdigest()


def prompts_hash(form: AnyFormat, words: Wording, benchmark: Benchmark) -> str:
    """Return a hex digest of how a run asks a benchmark.

    Runs of different formats in their own words share it: asking grounded against free-form is a comparison that people
    want. Words of another's do not share it with anything but themselves. Four formats of stages stand for all, so that
    a new one takes no stored run's comparisons: what others ask is part of a run's key, and a person's own of its
    protocol hash.
    """
    asked = [prompt_hash(known, benchmark) for known in _STAND_FOR_ALL]
    if words != wording(form):
        asked.append(prompt_hash(words, benchmark))
    if benchmark.adapter.place_of is not None:
        asked.append(repr(PROMPTS))
    return hashlib.sha256("".join(asked).encode()).hexdigest()
