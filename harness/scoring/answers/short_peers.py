r"""The peers' rules for RealWorldQA and ZeroBench (`short`).

Facts about other programs, right or wrong; `harness/scoring/answers/check.py` has ours. Sources: VLMEvalKit at
e8e78f05, `vlmeval/dataset/image_mcq.py` (RealWorldQA is an `ImageMCQDataset`) and `image_vqa.py` (`ZEROBench`);
lmms-eval 0.7.3, `lmms_eval/tasks/realworldqa/utils.py` and `zerobench/utils.py`. VLMEvalKit of March 2025 has no
ZeroBench.

Quirks, each where it was seen:

- RealWorldQA in VLMEvalKit is multiple choice and nothing else: in a row without options nothing can be inferred, and
  without a judge nothing earns (`eval_vanilla`). Its file lacks options that the question had (VLMEvalKit issue 677);
- RealWorldQA in lmms-eval: a gold A to D is looked for by MMStar's extractor, all else is compared whole, case and
  closing periods aside; "three" is not 3, as no YAML names its filter for that (`realworldqa_process_results`);
- ZeroBench in VLMEvalKit: right where the gold is a *part* of the last pair of braces, so that `{15}` is right for 5;
  LaTeX's braces count, and without any nothing is right (`ZEROBench.evaluate`). Its authors compare for equality
  (README of jonathan-roberts1/zerobench);
- ZeroBench in lmms-eval: the whole answer, of which braces are a part; plain decimals are compared by value, without
  commas; "5 cm" is no number (`_is_exact_match`). Its prompt asks for the answer alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from harness.scoring.answers.lmms_eval_rules import extract_letter
from harness.scoring.answers.vlmevalkit import PAPER_RULES, VLMEVALKIT_RULES, Rule, shown
from harness.values import AnswerCheck, Sample

_LETTERS: Final = ("A", "B", "C", "D")
_DECIMAL: Final = re.compile(
    # 2.5, 2, .5; nothing after them, and no exponent.
    r"-?(?:\d+\.\d+|\d+|\.\d+)"
)
_MOST_DIGITS: Final = 4_300
"""Python reads no longer whole number from a text."""


def last_braces(text: str) -> str | None:
    r"""Return what `re.findall(r"\{(.*?)\}", text)` finds last, in linear time; None where it finds nothing."""
    found: str | None = None
    for line in text.split("\n"):
        end = 0
        while (start := line.find("{", end)) >= 0 and (end := line.find("}", start)) >= 0:
            found = line[start + 1 : end]
            end += 1
        # an opening brace without a closing one on its line is none
    return found


def _zerobench_vlmevalkit(sample: Sample, answer: str, judge_reply: str | None) -> AnswerCheck:
    """Return whether the gold is part of the last pair of braces."""
    del judge_reply
    braced = last_braces(answer.strip().lower())
    right = any(gold.strip().lower() in (braced or "") for gold in sample.answers or ())
    return AnswerCheck(float(right), shown(braced or ""), () if right or braced is not None else ("no_match",))


def _zerobench_lmms_eval(sample: Sample, answer: str, judge_reply: str | None) -> AnswerCheck:
    """Return whether the answer equals the gold as a decimal, or as a text."""
    del judge_reply
    said = _normalised(answer)
    golds = [_normalised(gold) for gold in sample.answers or ()]
    right = any(_equal(said, gold) for gold in golds)
    return AnswerCheck(float(right), shown(said), () if right or said else ("no_match",))


def _equal(said: str, gold: str) -> bool:
    numbers = [_decimal(said), _decimal(gold)]
    return said == gold if None in numbers else numbers[0] == numbers[1]


def _normalised(text: str) -> str:
    text = " ".join(text.strip().lower().strip("\"'`").split())
    return text[:-1].rstrip() if text.endswith(".") else text


def _decimal(text: str) -> Decimal | None:
    text = text.replace(",", "")
    return Decimal(text) if len(text) <= _MOST_DIGITS and _DECIMAL.fullmatch(text) else None


def _realworldqa_lmms_eval(sample: Sample, answer: str, judge_reply: str | None) -> AnswerCheck:
    """Return whether the extracted letter, or the whole answer, is the gold."""
    del judge_reply
    gold = (sample.answers or ("",))[0].strip()
    if gold.upper() in _LETTERS:
        letter = extract_letter(answer, _LETTERS)
        return AnswerCheck(float(letter == gold.upper()), letter, () if letter else ("no_match",))
    said = answer.lower().strip().rstrip(".")
    return AnswerCheck(float(said == gold.lower()), shown(said), () if said else ("no_match",))


VLMEVALKIT_SHORT: Final[Mapping[str, Rule]] = {
    "realworldqa": VLMEVALKIT_RULES["choice"],
    **dict.fromkeys(("zerobench", "zerobench_subquestions"), _zerobench_vlmevalkit),
}
"""Today's rules, by task."""

PAPER_SHORT: Final[Mapping[str, Rule]] = {"realworldqa": PAPER_RULES["choice"]}
"""The rules of March 2025, by task."""

LMMS_EVAL_SHORT: Final[Mapping[str, Rule]] = {
    "realworldqa": _realworldqa_lmms_eval,
    **dict.fromkeys(("zerobench", "zerobench_subquestions"), _zerobench_lmms_eval),
}
"""lmms-eval's, by task."""
