"""The peers' rules for ChartQA, TextVQA, DocVQA and InfographicVQA: `relaxed`, `vqa` and `anls`.

Facts about other programs, right or wrong; `harness/scoring/answers/document_answers.py` has ours. Sources: VLMEvalKit
at e8e78f05 (`vlmevalkit`) and 7faa5b47 (`paper`), `vlmeval/dataset/utils/vqa_eval.py` and `process_punctuation` in
`vlmeval/smp/misc.py`; lmms-eval 0.7.3, below `lmms_eval/`: `api/metrics.py` (`anls`), `api/task.py`, and below its
`tasks`: `chartqa/utils.py`, `textvqa/utils.py`, `_task_utils/vqa_eval_metric.py`.

Quirks, each where it was seen:

- relaxed accuracy: a percent sign divides by 100 on either side, so "14%" is wrong for 14 (`relaxed_correctness`, all
  three); a gold of 0 is falsy, so it is compared as a text, and "0" is wrong for "0.0" (all three); numbers are what
  `float` takes: "1,000" is none, "nan" is one and equals nothing (all three);
- March 2025 calls `relaxed_correctness(prediction, gold)`, whose parameters are (target, prediction): the 5 % are those
  of the prediction (`process_line` at 7faa5b47; turned round in 677e30a5);
- VLMEvalKit strips the answer and takes the best of several golds (`process_line`); lmms-eval does neither
  (`chartqa_process_results`): its gold is one text, and several are the text of a list;
- VQA accuracy: an answer is compared with all people's answers but one, in turn, so a gold of one answer is never met
  (all three); articles are dropped also where nothing else is left, so "the" equals "a" (all three);
- a comma between digits anywhere makes every other mark vanish instead of becoming a blank (`process_punctuation`);
  lmms-eval drops commas before that looks for them, question marks with them, and sets "'s" apart (`word_tokenize`);
- a period is dropped unless a digit follows, also behind a digit ("5." is 5), by a pattern with a slip in it;
  VLMEvalKit mended the slip in 928a95b0, since when "5." stays "5.". Only 32 are dropped: a flag stands where the count
  belongs;
- ANLS: the distance is of stripped texts with single blanks, the length that it is divided by that of the texts as they
  came, so blanks around an answer make it more alike; a likeness of just 0.5 counts (`anls_compute`, `anls`). lmms-eval
  strips the answer first (`process_results` of `ConfigurableTask`), and an empty gold equals an empty answer.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from harness.scoring.answers.edit_distance import normalised_distance
from harness.scoring.answers.text import MAX_CHARACTERS
from harness.scoring.answers.vlmevalkit import Rule, python_float, shown, without_marks
from harness.scoring.answers.vqa_words import with_digits
from harness.values import AnswerCheck, AnswerRule, Sample

MOST_RELATIVE_CHANGE: Final = 0.05
"""Relaxed accuracy's tolerance."""
AGREEING: Final = 3
"""So many people who say the same make an answer wholly right."""
_LEAST_LIKENESS: Final = 0.5

_PERIOD_OF_TODAY: Final = re.compile(r"(?<!\d)\.(?!\d)")
_COMMA_OR_QUESTION: Final = str.maketrans("", "", ",?")


def _earned(answer: str, value: float) -> AnswerCheck:
    return AnswerCheck(value, shown(answer), () if value or answer.strip() else ("no_match",))


# --- relaxed accuracy -------------------------------------------------------------------------------------------------


def _relaxed(target: str, prediction: str) -> bool:
    """Return `relaxed_correctness(target, prediction)`: within 5 % of the target, or the same text."""
    wanted, found = _float(target), _float(prediction)
    if found is not None and wanted:
        return abs(found - wanted) / abs(wanted) <= MOST_RELATIVE_CHANGE
    return prediction.lower() == target.lower()


def _float(text: str) -> float | None:
    if not text.endswith("%"):
        return python_float(text)
    number = python_float(text.rstrip("%"))
    return None if number is None else number / 100


def _check_relaxed(sample: Sample, answer: str, judge_reply: str | None) -> AnswerCheck:
    """Score by today's VLMEvalKit: the tolerance is relative to the gold, the best gold counts."""
    del judge_reply
    return _earned(answer, float(any(_relaxed(gold, answer.strip()) for gold in sample.answers or ())))


def _check_relaxed_paper(sample: Sample, answer: str, judge_reply: str | None) -> AnswerCheck:
    """Score by VLMEvalKit of March 2025: gold and prediction are swapped."""
    del judge_reply
    return _earned(answer, float(any(_relaxed(answer.strip(), gold) for gold in sample.answers or ())))


def _check_relaxed_lmms(sample: Sample, answer: str, judge_reply: str | None) -> AnswerCheck:
    """Score by lmms-eval: the answer as it came, against one text."""
    del judge_reply
    golds = sample.answers or ()
    return _earned(answer, float(_relaxed(golds[0] if len(golds) == 1 else str(list(golds)), answer)))


# --- VQA accuracy -----------------------------------------------------------------------------------------------------


def soft_accuracy(answer: str, golds: Sequence[str]) -> float:
    """Return VQA accuracy of comparable texts: the mean over people of how far the others agree, three being enough."""
    if not golds:
        return 0.0
    agreeing = Counter(golds)[answer]
    shares = [min(1.0, (agreeing - (gold == answer)) / AGREEING) for gold in golds]
    return sum(shares) / len(shares)


def _words_of_today(text: str) -> str:
    return with_digits(without_marks(_one_line(text), _PERIOD_OF_TODAY).lower().split())


def _words_of_paper(text: str) -> str:
    return with_digits(without_marks(_one_line(text)).lower().split())


def _words_of_lmms(text: str) -> str:
    text = text.lower().translate(_COMMA_OR_QUESTION).replace("'s", " 's").strip()
    return with_digits(without_marks(_one_line(text)).lower().split())


def _one_line(text: str) -> str:
    return text.replace("\n", " ").replace("\t", " ").strip()


def _vqa_rule(words: Callable[[str], str]) -> Rule:
    def check(sample: Sample, answer: str, judge_reply: str | None) -> AnswerCheck:
        del judge_reply
        return _earned(answer, soft_accuracy(words(answer), [words(gold) for gold in sample.answers or ()]))

    return check


# --- ANLS -------------------------------------------------------------------------------------------------------------


def _check_anls(sample: Sample, answer: str, judge_reply: str | None) -> AnswerCheck:
    """Score by VLMEvalKit's ANLS."""
    del judge_reply
    likeness = 1 - min((_distance(gold, answer) for gold in sample.answers or ()), default=1.0)
    return _earned(answer, 0.0 if likeness < _LEAST_LIKENESS else likeness)


def _check_anls_lmms(sample: Sample, answer: str, judge_reply: str | None) -> AnswerCheck:
    """Score by lmms-eval's ANLS, which is that of a stripped answer."""
    return _check_anls(sample, answer.strip(), judge_reply)


def _distance(gold: str, answer: str) -> float:
    length = max(len(gold.upper()), len(answer.upper()))
    first, second = (" ".join(text.strip().lower().split()) for text in (gold, answer))
    return normalised_distance(first, second, length, MAX_CHARACTERS)


VLMEVALKIT_DOCUMENT_RULES: Final[Mapping[AnswerRule, Rule]] = {
    "relaxed": _check_relaxed,
    "vqa": _vqa_rule(_words_of_today),
    "anls": _check_anls,
}
"""Today's VLMEvalKit."""

PAPER_DOCUMENT_RULES: Final[Mapping[AnswerRule, Rule]] = {
    "relaxed": _check_relaxed_paper,
    "vqa": _vqa_rule(_words_of_paper),
    "anls": _check_anls,
}
"""VLMEvalKit of March 2025."""

LMMS_EVAL_DOCUMENT_RULES: Final[Mapping[AnswerRule, Rule]] = {
    "relaxed": _check_relaxed_lmms,
    "vqa": _vqa_rule(_words_of_lmms),
    "anls": _check_anls_lmms,
}
"""lmms-eval 0.7.3."""
