"""The peers' rules for MMMU and MMMU-Pro: options, and the open questions of MMMU.

The rules are facts about other programs, right or wrong; `harness/scoring/answers/check.py` has ours. Sources:

- VLMEvalKit (`vlmevalkit` at e8e78f05, `paper` at 7faa5b47), `vlmeval/dataset/utils/multiple_choice.py`:
  `MMMU_preproc` makes options of an open question, A its answer and B "Other Answers", and `mcq_vanilla_eval` takes A
  for right, unless the answer is itself a capital letter, which it then takes for the option of that name.
- lmms-eval 0.7.3: `lmms_eval/tasks/_task_utils/mmmu_mcq_utils.py` (options), `mmmu/utils.py` (open questions, which are
  MMMU's own rule), `mmmu_pro/utils.py`, where the variant `vision` compares the whole text with the letter.

Departures, all on purpose: an answer that names no option is wrong with `no_match`, where lmms-eval draws a random
option from a global, unseeded state, so that its own figure is no fact about an answer (it lies above ours by about the
share of such answers, divided by the number of options); and an open answer of more than `MAX_OPEN_CHARACTERS` is not
searched. Both peers read an answer of several accepted ones, which the files write as a list in a text, as one text.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from harness.scoring.answers.vlmevalkit import Rule, check_option, python_float, shown
from harness.values import AnswerCheck, AnswerRule, Sample

MAX_OPEN_CHARACTERS: Final = 20_000
"""A longer answer to an open question earns nothing under `lmms-eval`."""

VISION: Final = "mmmu_pro_vision"
"""The task whose question is part of the picture."""

_OTHER_ANSWERS: Final = "Other Answers"
_OUTER_MARKS: Final = (",", ".", "!", "?", ";", ":", "'")
_WORDS_FOR_TEXTS: Final = 5
"""The texts of options are looked for in answers of more words than this."""

_INDICATORS: Final = ("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ")
_TRIVIAL: Final = frozenset(":,.!?;'")
_NUMBERS: Final = (
    # The three patterns of `extract_numbers`, in its order.
    re.compile(r"-?\b\d{1,3}(?:,\d{3})+\b"),
    re.compile(r"-?\d+(?:\.\d+)?[eE][+-]?\d+"),
    re.compile(r"-?(?:\d+\.\d+|\.\d+|\d+\b)(?![eE][+-]?\d+)(?![,\d])"),
)
"""With thousands commas, scientific, plain: each looked for in the whole text."""
_DIGITS: Final = re.compile(r"\d+")
_MOST_DIGITS: Final = 400
"""A longer run of digits is beyond what a float holds; the patterns above take its square in steps."""
_DECIMALS: Final = 2


def is_open(sample: Sample) -> bool:
    """Tell whether a row of MMMU is answered by a text or a number, not by an option."""
    kind = sample.extra.get("question_type")
    if sample.choices or kind == "multiple-choice":
        return False
    gold = (sample.answers or ("",))[0]
    return kind == "open" or not (len(gold) == 1 and gold in string.ascii_uppercase)


def gold_text(sample: Sample) -> str:
    """Return the answer as the files hold it: several accepted ones are a list in a text."""
    answers = sample.answers or ("",)
    return answers[0] if len(answers) == 1 else repr(list(answers))


def _check_vlmevalkit(sample: Sample, answer: str, judge_reply: str | None) -> AnswerCheck:
    """Score by today's rule."""
    return check_option(_with_options(sample), answer, judge_reply, paper=False)


def _check_paper(sample: Sample, answer: str, judge_reply: str | None) -> AnswerCheck:
    """Score by the rule of March 2025: only the option rule differs."""
    return check_option(_with_options(sample), answer, judge_reply, paper=True)


def _with_options(sample: Sample) -> Sample:
    """Return an open question as one of two options."""
    if not is_open(sample):
        return sample
    gold = gold_text(sample)
    right = gold if len(gold) == 1 and gold in string.ascii_uppercase else "A"
    return replace(sample, choices={"A": gold, "B": _OTHER_ANSWERS}, answers=(right,))


def _check_lmms_eval(sample: Sample, answer: str, judge_reply: str | None) -> AnswerCheck:
    """Score by lmms-eval's rule; no judge is asked."""
    del judge_reply
    said = answer.strip()
    if is_open(sample):
        right = is_in_open_answer(gold_text(sample), said)
        return AnswerCheck(float(right), shown(said), () if right or said else ("no_match",))
    letter = (said or None) if sample.task == VISION else option_in(said, sample.choices)
    if letter is None or (sample.choices and letter not in sample.choices):
        return AnswerCheck(0.0, None, ("no_match",))
    return AnswerCheck(float(letter in (sample.answers or ())), letter)


def option_in(response: str, choices: Mapping[str, str]) -> str | None:
    """Return the letter that lmms-eval finds in an answer, or None where it draws one.

    Letters in brackets come before letters with a blank behind them, which also end a word ("a MAGMA rock" says A), and
    these before letters with a full stop. Of several the last one counts, in brackets or between blanks; where none
    stands so, as before a full stop, the first in the order of the alphabet. Of option texts, the last one counts.
    """
    for mark in _OUTER_MARKS:
        response = response.strip(mark)
    response = f" {response} "
    for before, after in (("(", ")"), ("", " "), ("", ".")):
        found = [letter for letter in choices if f"{before}{letter}{after}" in response]
        if found:
            left, right = (before, after) if before else (" ", " ")
            return max(found, key=lambda letter: response.rfind(f"{left}{letter}{right}"))  # of equal ones the first
    if len(response.split()) <= _WORDS_FOR_TEXTS:
        return None
    lowered = response.lower()
    found = [letter for letter, text in choices.items() if text.lower() in lowered]
    return max(found, key=lambda letter: lowered.rfind(choices[letter].lower())) if found else None


def is_in_open_answer(gold: str, response: str) -> bool:
    """Tell whether lmms-eval finds the gold in an answer to an open question: as a number, or as part of a text."""
    if len(response) > MAX_OPEN_CHARACTERS:
        return False
    golds = _normalised(gold)
    texts = [one for one in golds if isinstance(one, str)]
    return any(
        any(one in said for one in texts) if isinstance(said, str) else said in golds for said in _said_in(response)
    )


def _said_in(response: str) -> list[str | float]:
    """Return the texts and numbers that may be the answer: what stands behind the last indicator of each line.

    Sentences are not told apart, though they are meant to be: the text is in lower case before capitals are looked for.
    """
    response = response.strip().strip(".").lower()
    lines = response.split("\n")
    tails = (_tail(line, is_last=place == len(lines)) for place, line in enumerate(lines, start=1))
    kept = [tail for tail in tails if tail and tail not in _TRIVIAL] or [response]
    numbers = [number for tail in kept for number in _numbers_in(tail)]
    return [said for text in (*kept, *numbers) for said in _normalised(text)]


def _tail(line: str, *, is_last: bool) -> str:
    """Return the shortest text behind an indicator; empty without any. In the last line "=" is one too."""
    indicators = (*_INDICATORS, "=") if is_last else _INDICATORS
    tails = [line.rsplit(indicator, maxsplit=1)[-1].strip() for indicator in indicators if indicator in line]
    shortest = ""
    for tail in tails:  # an empty one gives way to whatever comes next
        if not shortest or len(tail) < len(shortest):
            shortest = tail
    return shortest


def _numbers_in(text: str) -> list[str]:
    """Return the numbers of a text, as they are written."""
    if any(len(digits) > _MOST_DIGITS for digits in _DIGITS.findall(text)):
        return []
    return [number for pattern in _NUMBERS for number in pattern.findall(text)]


def _normalised(text: str) -> list[str | float]:
    """Return what a text is compared as: a number at two decimals, else lower case; one character beside a blank."""
    text = text.strip()
    number = python_float(text.replace(",", ""))
    if number is not None:
        return [round(number, _DECIMALS)]
    lowered = text.lower()
    return [f" {lowered}", f"{lowered} "] if len(lowered) == 1 else [lowered]


VLMEVALKIT_MMMU_RULES: Final[Mapping[AnswerRule, Rule]] = {"mmmu": _check_vlmevalkit}
PAPER_MMMU_RULES: Final[Mapping[AnswerRule, Rule]] = {"mmmu": _check_paper}
LMMS_EVAL_MMMU_RULES: Final[Mapping[AnswerRule, Rule]] = {"mmmu": _check_lmms_eval}
