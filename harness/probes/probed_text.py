"""Read what a model wrote about an edited picture, beside what it wrote in the run."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from harness.probes.probe_records import ProbeRecord
from harness.probes.regions import PixelBox, areas_px
from harness.probes.variants import Variant
from harness.scoring.score import score_generation
from harness.values import Generation, Sample, Score, ScoreConfig, Size

# "colour", "Colors", "coloured"; not "discolour", which no question of colour begins with.
_COLOUR_WORD: Final = re.compile(r"\bcolou?r|颜色", re.IGNORECASE)

# "What", "Who's"; not "whatever", with which nothing is asked. Chinese has no blanks: 什么 what, 哪 which, 谁 who.
_ASKING_WORD: Final = re.compile(r"\b(?:what|which|who|whose|whom)\b|什么|哪|谁", re.IGNORECASE)

# Counting ("how many", "number of"), places ("where", "to the left of", "closest"), comparing ("larger than", "the
# same"). "number on the shirt" counts nothing. Chinese: 多少/几 how many, 哪里/哪边/哪儿 where, 左右 left and right.
_ELSEWHERE_WORD: Final = re.compile(
    r"\bhow (?:many|much)\b|\b(?:number|amount|total|sum) of\b|\bcount\b|\bwhere\b|\b(?:left|right|above|below|under"
    r"|behind|beside|between|position|location|located|direction|side|corner|part)\b|\b(?:most|least|same|different"
    r"|difference|common|than|both|all|each)\b|\b\w+est\b|多少|几|哪里|哪边|哪儿|哪侧|左|右|上面|下面|位置|方向|相同|不同|最",
    re.IGNORECASE,
)


def answer_in(found: Score) -> str | None:
    """Return the answer by which texts are compared: what the benchmark's rule takes from it, else the words.

    Case and space at its ends do not count. None where a text has no answer.
    """
    written = found.extracted
    if written is None and found.response is not None:
        written = found.response.answer
    if written is None or not written.strip():
        return None
    return " ".join(written.split()).casefold()


def asks_for_colour(question: str) -> bool:
    """Whether a question is about colour: it has the word, in English or Chinese."""
    return _COLOUR_WORD.search(question) is not None


def asks_what_is_there(question: str) -> bool:
    """Whether a question is about what stands in a place, by its words, in English or Chinese.

    It has a word for colour, or one that asks what, which or who; and none that counts, places or compares: what such
    a question is about lies in no one region.
    """
    asks = asks_for_colour(question) or _ASKING_WORD.search(question) is not None
    return asks and _ELSEWHERE_WORD.search(question) is None


def keeps_format(found: Score) -> bool:
    """Whether a text keeps to its format; where the format asks for nothing, whether it has an answer."""
    response = found.response
    if response is None or response.format_ok is None:
        return answer_in(found) is not None
    return response.format_ok


def says(sample: Sample, answers: tuple[str, ...], generation: Generation, config: ScoreConfig) -> bool:
    """Whether a text gives one of some answers to a question, as the benchmark's rule reads it."""
    return score_generation(replace(sample, answers=answers), generation, config).value == 1


@dataclass(frozen=True, slots=True)
class ProbedQuestion:
    """A question of the run, with what its edited pictures are compared by."""

    sample: Sample
    """The question."""
    size: Size
    """Of its picture."""
    answer: str
    """The run's answer, as `answer_in` gives it."""
    named: tuple[PixelBox, ...]
    """The region that the run's text names; empty where it names none."""
    expected: tuple[str, ...] = ()
    """Accepted answers to what is pasted into it; empty where they are not known."""


def probe_record(
    question: ProbedQuestion,
    variant: Variant,
    generation: Generation,
    config: ScoreConfig,
    p_original: float | None = None,
) -> ProbeRecord:
    """Return what came of one edited picture.

    Args:
        question: What was asked.
        variant: The edit.
        generation: What the model wrote about it.
        config: How the run's answers become scores.
        p_original: Probability of the run's answer.
    """
    sample, size = question.sample, question.size
    found = score_generation(sample, generation, config)
    answer = None if generation.error is not None else answer_in(found)
    follows: bool | None = None
    if variant.operation == "paste":
        follows = answer is not None and (
            says(sample, question.expected, generation, config) if question.expected else answer != question.answer
        )
    area = overlap = 0.0
    if variant.boxes_px:
        own, region, shared = areas_px(variant.boxes_px, question.named)
        area = own / (size.width * size.height)
        overlap = shared / region if region else 0.0
    return ProbeRecord(
        task=sample.task,
        id=sample.id,
        operation=variant.operation,
        target=variant.target,
        k=variant.k,
        fill=variant.fill,
        step=variant.step,
        boxes_px=variant.boxes_px,
        source_px=variant.source_px,
        expected=question.expected if variant.source_px else (),
        area_share=area,
        overlap_with_named=overlap,
        text=generation.text,
        answer=answer,
        is_same=answer == question.answer,
        follows=follows,
        is_format_ok=generation.error is None and keeps_format(found),
        value=found.value,
        p_original=p_original,
        error=generation.error,
    )
