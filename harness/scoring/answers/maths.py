"""Compare mathematical answers by what they mean: the rule `maths` of `strict`.

Source: MathVision (Wang et al. 2024, arXiv 2402.14804), MathVerse (Zhang et al. 2024, arXiv 2403.14624) and
OlympiadBench (He et al. 2024, arXiv 2402.14008, section 3.3) call an answer right that has the gold's value or form;
OlympiadBench within the row's `error`.
"""

from __future__ import annotations

from harness.scoring.answers.comparisons import compare_numbers, compare_options
from harness.values import AnswerCheck, Sample


def check_maths(sample: Sample, answer: str, judge_reply: str | None) -> AnswerCheck:
    """Score a mathematical answer; never raises, and takes a bounded time whatever was written.

    Args:
        sample: The question. With `choices` it asks for an option, unless `extra["question_type"]` is `free_form`.
            Else `answers` hold the gold in LaTeX or plain, and of `extra` these count: `answer_type` (what the gold
            is), `error` (how far a number may be off), `unit` and `is_multiple_answer`.
        answer: The answer.
        judge_reply: What a judge replied, if one was asked; read where the answer itself says nothing.
    """
    if sample.choices and sample.extra.get("question_type") in ("multi_choice", "multi-choice", None, ""):
        return compare_options(sample, answer, judge_reply, texts_first=False)
    return compare_numbers(sample, answer, judge_reply, None)
