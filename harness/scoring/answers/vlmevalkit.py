"""Answer rules of VLMEvalKit: today's (`vlmevalkit`) and those of March 2025, which SATORI's code uses (`paper`).

The rules are facts about another program, right or wrong, and are kept so that scores can be compared with published
ones; `harness/scoring/answers/check.py` has ours. Sources, below `vlmeval/` of VLMEvalKit at e8e78f05 (today) and
7faa5b47 (March 2025): `utils/matching_util.py` (option letter), `dataset/utils/yorn.py` and `vqa_eval.py` (yes or no),
`dataset/image_vqa.py` (OCRBench), `dataset/utils/mathvista.py`.

Departures, all on purpose: no key for a judge is needed (a missing judge scores 0, where MathVista asserts one), an
answer that even the judge cannot place stays wrong (there: an unseeded random option), and answers keep their text
(there: a spreadsheet turns "None" into "nan").
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from harness.values import AnswerCheck, AnswerRule, Sample

Rule: TypeAlias = Callable[[Sample, str, str | None], AnswerCheck]
"""From a sample, an answer text and a judge's reply to what the answer earns."""

HANDWRITTEN_MATHS: Final = "Handwritten Mathematical Expression Recognition"
"""The one OCRBench category that is compared without blanks and with its case."""

MAX_EXTRACTED_CHARACTERS: Final = 500
"""So much of an answer is stored as what was extracted; the raw text is stored whole, elsewhere."""

FAILED: Final = "Failed to obtain answer via API"
"""What both programs put in the place of a reply that never came."""
_REFUSALS: Final = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)
_OPTION_MARKS: Final = ".()[],:;!*#{}"
_ANSWER_IS: Final = re.compile(r"(?i)answer\s+is\s+\**([ABCD])")
_LAST_TOKENS: Final = 4
"""Today's rule believes a letter only when it first occurs among this many last words."""

_YES_NO_MARKS: Final = ';/[]"{}()=+\\_-><@`,?!'
_COMMA_IN_NUMBER: Final = re.compile(r",(?<=\d,)(?=\d)")
_PERIOD: Final = re.compile(r"\.(?!\d)")
_MOST_PERIODS: Final = 32
"""Only so many periods are removed: the original passes a flag of value 32 where the count belongs."""

_MOST_DIGITS: Final = 4_300
"""Python's own limit for `int(text)`; kept here so that no interpreter setting changes a score."""


def infer_option(answer: str, choices: Mapping[str, str], *, paper: bool) -> str | None:
    """Return the option letter that VLMEvalKit finds in an answer, `Z` for a refusal, or None.

    Letters first, option texts second. `paper` is the rule of March 2025: a lone letter counts anywhere, there is no
    "answer is" pattern and no limit on the length of an answer that is searched for option texts.
    """
    return _infer_letter(answer, choices, paper=paper) or _infer_text(answer, choices, paper=paper)


def _infer_letter(answer: str, choices: Mapping[str, str], *, paper: bool) -> str | None:
    """Return the letter that stands alone as a word; case matters."""
    if FAILED in answer:
        return None
    if any(refusal in answer for refusal in _REFUSALS):
        return "Z"
    words = _words(answer) if any(letter in answer for letter in (*choices, "Z")) else []
    present = set(words)
    found = [letter for letter in choices if letter in present]
    if len(found) == 1 and (paper or words.index(found[0]) >= len(words) - _LAST_TOKENS):
        return found[0]
    if not found and "Z" in present:
        return "Z"
    if paper:
        return None
    said = _ANSWER_IS.search(answer)
    letter = said.group(1).upper() if said else None
    return letter if letter in choices else None


def _words(answer: str) -> list[str]:
    """Return the answer's words, some punctuation taken for blanks."""
    for mark in _OPTION_MARKS:
        answer = answer.replace(mark, " ")
    return answer.split()


def _infer_text(answer: str, choices: Mapping[str, str], *, paper: bool) -> str | None:
    """Return the letter of the only option whose text is part of the answer."""
    if any(letter not in string.ascii_uppercase for letter in choices):
        return None  # the original stops with an assertion there
    lowered = answer.lower()
    if not paper and len(lowered) > 2 * sum(map(len, choices.values())):
        return None
    found = [letter for letter, text in choices.items() if text.lower() in lowered]
    return found[0] if len(found) == 1 else None


def infer_yes_no(answer: str) -> str | None:
    """Return `Yes` or `No` when just one of the two is among the answer's words, else None."""
    lowered = answer.lower()
    if not ("y" in lowered or "n" in lowered):
        return None
    words = set(without_marks(lowered).split())
    if ("yes" in words) == ("no" in words):
        return None
    return "Yes" if "yes" in words else "No"


def without_marks(lowered: str, period: re.Pattern[str] = _PERIOD) -> str:
    """Drop or blank punctuation as the VQA evaluation does: a mark beside a blank goes, any other becomes a blank."""
    drop_all = _COMMA_IN_NUMBER.search(lowered) is not None
    text = lowered
    for mark in _YES_NO_MARKS:
        if mark in lowered:
            beside_blank = f"{mark} " in lowered or f" {mark}" in lowered
            text = text.replace(mark, "" if drop_all or beside_blank else " ")
    return period.sub("", text, count=_MOST_PERIODS)


def contains_gold(answer: str, golds: tuple[str, ...], *, handwritten_maths: bool) -> bool:
    """Return whether any gold text is part of the answer, OCRBench's rule. An empty gold is part of any answer."""
    if handwritten_maths:
        written = _without_blanks(answer)
        return any(_without_blanks(gold) in written for gold in golds)
    written = _one_line(answer)
    return any(_one_line(gold) in written for gold in golds)


def shown(answer: str) -> str | None:
    """Return what is stored of an answer that is compared as text: its first characters, None for a blank one."""
    return answer.strip()[:MAX_EXTRACTED_CHARACTERS] or None


def _one_line(text: str) -> str:
    """Return the text in lower case, stripped, with newlines as blanks."""
    return text.lower().strip().replace("\n", " ")


def _without_blanks(text: str) -> str:
    """Return the text without blanks and newlines (other white space stays, as in the original)."""
    return text.strip().replace("\n", "").replace(" ", "")


def python_int(text: str) -> int | None:
    """Return `int(text)` (signs, underscores, digits of any script), or None where Python would refuse."""
    text = text.strip()
    if len(text) - text.count("_") - text[:1].count("-") - text[:1].count("+") > _MOST_DIGITS:
        return None
    try:
        return int(text)
    except ValueError:
        return None


def python_float(text: str) -> float | None:
    """Return `float(text)` (also `nan`, `inf`, underscores), or None where Python would refuse."""
    try:
        return float(text)
    except ValueError:
        return None


def _check_choice(sample: Sample, answer: str, judge_reply: str | None) -> AnswerCheck:
    """Score a multiple-choice answer by today's rule; a judge's reply is read by the same rule."""
    return check_option(sample, answer, judge_reply, paper=False)


def _check_choice_paper(sample: Sample, answer: str, judge_reply: str | None) -> AnswerCheck:
    """Score a multiple-choice answer by the rule of March 2025."""
    return check_option(sample, answer, judge_reply, paper=True)


def check_option(sample: Sample, answer: str, judge_reply: str | None, *, paper: bool) -> AnswerCheck:
    """Score a multiple-choice answer; a judge's reply is read where the answer says nothing."""
    letter = infer_option(answer, sample.choices, paper=paper)
    if letter is None and judge_reply is not None and FAILED not in judge_reply:
        letter = infer_option(judge_reply, sample.choices, paper=paper)
    if letter is None or letter not in sample.choices:
        return AnswerCheck(0.0, letter, ("no_match",))  # `Z`: a refusal
    return AnswerCheck(float(letter in _golds(sample)), letter)


def _check_yes_no(sample: Sample, answer: str, judge_reply: str | None) -> AnswerCheck:
    """Score a yes/no answer; a judge's reply is read by the same rule (`YOrN_auxeval`)."""
    label = infer_yes_no(answer)
    if label is None and judge_reply is not None:
        label = infer_yes_no(judge_reply)
    if label is None:
        return AnswerCheck(0.0, None, ("no_match",))
    golds = {gold.lower() for gold in _golds(sample)}
    return AnswerCheck(float(label.lower() in golds), label)


def _check_ocr(sample: Sample, answer: str, judge_reply: str | None) -> AnswerCheck:
    """Score an OCRBench answer by containment; no judge is ever asked."""
    del judge_reply
    golds = sample.answers or ()
    if contains_gold(answer, golds, handwritten_maths=sample.category == HANDWRITTEN_MATHS):
        return AnswerCheck(1.0, shown(answer))
    return AnswerCheck(0.0, shown(answer), () if answer.strip() else ("no_match",))


def _check_accepted_paper(sample: Sample, answer: str, judge_reply: str | None) -> AnswerCheck:
    """Score by SATORI's answer reward (`plugin.py`): the stripped answer is in the list, exactly."""
    del judge_reply
    return AnswerCheck(float(answer.strip() in (sample.answers or ())), shown(answer))


def _check_mathvista(sample: Sample, answer: str, judge_reply: str | None) -> AnswerCheck:
    """Score a MathVista answer by today's rule; a missing judge scores 0 with the fault `needs_judge`."""
    return _check_maths(sample, answer, judge_reply, paper=False)


def _check_mathvista_paper(sample: Sample, answer: str, judge_reply: str | None) -> AnswerCheck:
    """Score a MathVista answer by the rule of March 2025: only the option rule differs."""
    return _check_maths(sample, answer, judge_reply, paper=True)


def _check_maths(sample: Sample, answer: str, judge_reply: str | None, *, paper: bool) -> AnswerCheck:
    if judge_reply is not None and FAILED in judge_reply:
        judge_reply = ""
    if sample.extra.get("question_type") == "multi_choice":
        return _check_maths_option(sample, answer, judge_reply, paper=paper)
    return _check_maths_value(sample, answer, judge_reply)


def _check_maths_option(sample: Sample, answer: str, judge_reply: str | None, *, paper: bool) -> AnswerCheck:
    """Any letter found in the answer is final, right or wrong; otherwise the judge's reply is read."""
    letter = infer_option(answer, sample.choices, paper=paper)
    if letter is None and judge_reply is None:
        return AnswerCheck(0.0, None, ("needs_judge",))
    if letter is None:
        letter = infer_option(judge_reply or "", sample.choices, paper=paper)
    if letter is None or letter not in sample.choices:
        return AnswerCheck(0.0, letter, ("no_match",))
    return AnswerCheck(float(letter == _gold_letter(sample)), letter)


def _gold_letter(sample: Sample) -> str | None:
    """Return the letter of the gold option, which the hub gives as the option's text."""
    stored = sample.extra.get("answer_option")
    if isinstance(stored, str) and stored in sample.choices:
        return stored
    gold = (sample.answers or ("",))[0]
    by_text = (letter for letter, text in sample.choices.items() if text == gold)
    return next(by_text, gold if gold in sample.choices else None)


def _check_maths_value(sample: Sample, answer: str, judge_reply: str | None) -> AnswerCheck:
    """Believe the answer only when it is right (and, as the original has it, not 0), else read the judge's reply."""
    gold = (sample.answers or ("",))[0]
    kind = sample.extra.get("answer_type")
    value, right = _python_value(answer, gold, kind)
    if right and value:
        return AnswerCheck(1.0, str(value))
    if judge_reply is None:
        return AnswerCheck(0.0, None if value is None else str(value), ("needs_judge",))
    value, right = _python_value(judge_reply, gold, kind)
    if value is None:
        return AnswerCheck(float(right), None, () if right else ("no_match",))
    return AnswerCheck(float(right), str(value))


def _python_value(text: str, gold: str, kind: object) -> tuple[int | float | str | None, bool]:
    """Return what Python makes of the text and whether it equals the gold.

    Any other type than integer and float compares `str(None)` with the gold, whatever was answered.
    """
    if kind == "integer":
        value = python_int(text)
        return value, value is not None and value == python_int(gold)
    if kind == "float":
        number = python_float(text)
        return number, number is not None and number == python_float(gold)
    right = gold == "None"
    return ("None" if right else None), right


def _golds(sample: Sample) -> set[str]:
    """Return the gold answers without outer blanks."""
    return {gold.strip() for gold in sample.answers or ()}


VLMEVALKIT_RULES: Final[Mapping[AnswerRule, Rule]] = {
    "choice": _check_choice,
    "yes_no": _check_yes_no,
    "ocr": _check_ocr,
    "mathvista": _check_mathvista,
}
"""Today's rules; `accepted` and `number` have none there."""

PAPER_RULES: Final[Mapping[AnswerRule, Rule]] = {
    "choice": _check_choice_paper,
    "yes_no": _check_yes_no,
    "ocr": _check_ocr,
    "mathvista": _check_mathvista_paper,
    "accepted": _check_accepted_paper,
}
"""The rules of March 2025 and SATORI's answer reward."""
