"""Decide what an answer text earns: one function for all answer rules and protocols.

`strict` is ours and correct by construction; its rules live here, in `choice.py` (option letters), `yes_no.py`,
`number.py`, `text.py` (equality of texts) and `maths.py` (expressions, sets, intervals, tuples, equations). The peers'
rules, right or wrong, are in `vlmevalkit.py` (`vlmevalkit`, `paper`) and `lmms_eval_rules.py` (`lmms-eval`). Documents
and charts (`relaxed`, `vqa`, `anls`) have theirs in `document_answers.py` and `document_answers_peers.py`, MMMU in
`open_answer.py` and `mmmu_peers.py`, mathematics its peers' in `maths_peers.py`, short answers (RealWorldQA, ZeroBench)
`short.py` and `short_peers.py`.

What each rule asks is its benchmarks': one option (MMBench, Liu et al. 2023, arXiv 2307.06281; MMStar, Chen et al.
2024, arXiv 2403.20330; AI2D; ScienceQA), yes or no (MME, Fu et al. 2023, arXiv 2306.13394; POPE, Li et al. 2023, arXiv
2305.10355; HallusionBench, Guan et al. 2023, arXiv 2310.14566), a text in the answer (OCRBench, Liu et al. 2023, arXiv
2305.07895), a typed answer (MathVista, Lu et al. 2023, arXiv 2310.02255). How it is read is ours.

What a value means is the same everywhere: 1 or 0 when the answer could be read (`vqa` and `anls` also between), 0 with
the fault `no_match` when the model said nothing that can be read, None with `no_gold` or `needs_judge` when it is not
the model's doing. Under a peer's protocol a missing judge scores what the peer scores.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from harness.scoring.answers.boxed import boxed
from harness.scoring.answers.comparisons import NO_MATCH, compare_numbers, compare_options, decimals_of
from harness.scoring.answers.document_answers import DOCUMENT_RULES
from harness.scoring.answers.document_answers_peers import (
    LMMS_EVAL_DOCUMENT_RULES,
    PAPER_DOCUMENT_RULES,
    VLMEVALKIT_DOCUMENT_RULES,
)
from harness.scoring.answers.lmms_eval_rules import LMMS_EVAL_RULES
from harness.scoring.answers.maths import check_maths
from harness.scoring.answers.maths_peers import (
    LMMS_EVAL_MATHS_RULES,
    PAPER_MATHS_RULES,
    VLMEVALKIT_MATHS_RULES,
    has_maths_rule,
)
from harness.scoring.answers.mmmu_peers import (
    LMMS_EVAL_MMMU_RULES,
    PAPER_MMMU_RULES,
    VLMEVALKIT_MMMU_RULES,
    is_open,
)
from harness.scoring.answers.number import TAKEN_BACK, Number, equal_numbers, read_number
from harness.scoring.answers.open_answer import check_open, said_beside
from harness.scoring.answers.short import short_rule, without_braces
from harness.scoring.answers.short_peers import LMMS_EVAL_SHORT, PAPER_SHORT, VLMEVALKIT_SHORT
from harness.scoring.answers.text import MAX_CHARACTERS, asks, fold, json_answer, tagged_answer, text_key, undress
from harness.scoring.answers.vlmevalkit import (
    HANDWRITTEN_MATHS,
    PAPER_RULES,
    VLMEVALKIT_RULES,
    Rule,
    shown,
)
from harness.scoring.answers.yes_no import read_yes_no
from harness.values import AnswerCheck, AnswerRule, Protocol, Sample

MAX_LIST_ELEMENTS: Final = 100
"""A longer list is none that a benchmark asks for."""

_BLANKS: Final = " \n\t\r\f\v\u00a0\u3000"
_BRACKETED: Final = re.compile(r"\[([^\[\]]*)\]")
_LIST_BEFORE: Final = re.compile(
    # The beginning, a mark or the end of a sentence; a verb, as in "the range is [3, 4]" (which is denied elsewhere);
    # the same verb in Chinese.
    r"(?:\A|[:=\n]|[.!](?=[ \n])|\b(?:is|are|was|were|be|equals|list)|[是为])[ \n]*\Z"
)
_LIST_AFTER: Final = re.compile(
    # The end, a mark that no number goes on from, or a new line: "[3, 4]\nThese are the values."
    r"[ \n]*(?:\Z|[.,;!)])(?![.\d])|[ \n]*\n"
)
_LIST_DENIED: Final = re.compile(
    # "all but [3, 4]", "excluding [3, 4]"; "the range is [3, 4]", "the interval [3, 4]", "in [3, 4]", "maybe".
    rf"{TAKEN_BACK.pattern}|\b(?:either|or|between|within|in|inside|outside|from|range|interval|maybe|perhaps|if)\b"
    # An operation, a comparison, another list or number; or, may be, between.
    r"|[-+*/×÷^<>≤≥≠∈∉\[\]?\d]|或|可能|之间"
)
"""What makes another thing of a list: a negation, an interval, an operation, a second number or list, a hedge."""
_LIST_LEAD: Final = re.compile(
    # "The answer is", "Answer:", "my final answer is:".
    r"(?:the |my )?(?:final |correct )?answer(?: is|:| is:) ?",
    re.IGNORECASE,
)
_LIST_AND: Final = re.compile(
    # Between the last two, with a comma before the word or not; between all others.
    r",? and |, ?"
)
_DECIMALS: Final = re.compile(r"\.(\d+)")


def check_answer(sample: Sample, answer: str, protocol: Protocol, judge_reply: str | None = None) -> AnswerCheck:
    """Score the text of an answer.

    Args:
        sample: The question; `answer_rule`, `answers` and `choices` decide, for MathVista also `question_type`,
            `answer_type` and `precision` in `extra`.
        answer: The text of the answer stage, or the whole text where there are no stages. A blank one scores 0.
        protocol: Whose rules.
        judge_reply: What a judge model replied, where one was asked; read by the same rule where the answer itself
            says nothing. Rules that know no judge ignore it.

    Returns:
        The value, what was taken for the answer (also without gold), and the faults. Pure; 1 MB costs milliseconds.
    """
    if protocol == "strict" and sample.answer_rule != "ocr" and answer not in (sample.answers or ()):
        answer = _unwrapped(answer, sample.answer_rule)
        judge_reply = None if judge_reply is None else _unwrapped(judge_reply, sample.answer_rule)
    check = _RULES[protocol][sample.answer_rule](sample, answer, judge_reply)
    if sample.answers or (sample.answers is not None and protocol == "paper" and sample.answer_rule == "accepted"):
        return check  # no accepted answer at all is simply never right in SATORI's reward
    return AnswerCheck(None, check.extracted, ("no_gold",))


def reads_answers_itself(sample: Sample, protocol: Protocol) -> bool:
    """Tell whether a peer reads such answers by a rule of its own; mathematics and short answers go by benchmark."""
    if sample.answer_rule == "maths":
        return has_maths_rule(sample.task, protocol)
    if sample.answer_rule == "short":
        return sample.task in _SHORT_BY_TASK[protocol]
    return _RULES[protocol].get(sample.answer_rule) is not _STRICT.get(sample.answer_rule)


def _unwrapped(answer: str, rule: AnswerRule) -> str:
    """Return an answer without a pair of tags or a JSON object around it; a JSON truth says yes or no.

    A text that is compared letter for letter keeps its tags: nobody asked for them, and they may be part of it.
    """
    inside = answer if rule == "accepted" else tagged_answer(answer)
    said = json_answer(inside)
    return {"true": "Yes", "false": "No"}.get(said, said) if rule == "yes_no" and said != inside.strip() else said


def _check_choice(sample: Sample, answer: str, judge_reply: str | None) -> AnswerCheck:
    """Compare the option that the answer (else the judge's reply) states with the gold option."""
    return compare_options(sample, answer, judge_reply, texts_first=False)


def _check_yes_no(sample: Sample, answer: str, judge_reply: str | None) -> AnswerCheck:
    """Compare yes or no, as the answer states it, with the gold; no judge is needed."""
    del judge_reply
    label = read_yes_no(answer)
    if label is None and (found := boxed(answer)) is not None:
        label = read_yes_no(found.content)
    golds = {gold for gold in map(read_yes_no, sample.answers or ()) if gold}
    if not golds:
        return AnswerCheck(None, label, ("no_gold",))
    if label is None:
        return NO_MATCH
    return AnswerCheck(float(label in golds), label)


def _check_ocr(sample: Sample, answer: str, judge_reply: str | None) -> AnswerCheck:
    """Score by OCRBench's own rule: any gold text is part of the answer. An empty gold is no gold."""
    del judge_reply
    if sample.category == HANDWRITTEN_MATHS or sample.extra.get("dataset") == "HME100k":
        golds, written = [_no_blanks(gold) for gold in sample.answers or ()], _no_blanks(answer)
    else:
        golds, written = [_one_line(gold) for gold in sample.answers or ()], _one_line(answer)
    golds = [gold for gold in golds if gold]
    if not golds:
        return AnswerCheck(None, shown(answer), ("no_gold",))
    if not written:
        return NO_MATCH
    return AnswerCheck(float(any(gold in written for gold in golds)), shown(answer))


def _one_line(text: str) -> str:
    """Return the text in lower case, stripped, with newlines as blanks."""
    return text.lower().strip().replace("\n", " ")


def _no_blanks(text: str) -> str:
    """Return the text without any white space, its case kept."""
    for blank in _BLANKS:
        text = text.replace(blank, "")
    return text


def _check_accepted(sample: Sample, answer: str, judge_reply: str | None) -> AnswerCheck:
    """Score by equality with any accepted answer, case, blanks and outer punctuation aside; "red?" does not say red."""
    del judge_reply
    golds = _keys(sample.answers or ())
    if not golds:
        return AnswerCheck(None, shown(answer), ("no_gold",))
    answer = said_beside(golds, answer, text_key)
    key = text_key(answer)
    if not key:
        return NO_MATCH
    if key in golds and asks(answer) and not any(map(asks, sample.answers or ())):
        return NO_MATCH
    return AnswerCheck(float(key in golds), shown(answer))


@lru_cache(maxsize=2048)
def _keys(texts: tuple[str, ...]) -> frozenset[str]:
    """Return the comparable forms of texts, without blank ones."""
    return frozenset(map(text_key, texts)) - {""}


def _check_number(sample: Sample, answer: str, judge_reply: str | None) -> AnswerCheck:
    """Compare numbers by value, or at `extra["precision"]` decimals where the row has them."""
    return compare_numbers(sample, answer, judge_reply, decimals_of(sample))


def _check_mathvista(sample: Sample, answer: str, judge_reply: str | None) -> AnswerCheck:
    """Score by MathVista's question and answer type; integers by value, floats at the row's precision.

    Without a precision a float is compared at the decimals that the gold is written with.
    """
    kind = _mathvista_kind(sample)
    if kind == "option":
        return compare_options(sample, answer, judge_reply, texts_first=True)
    if kind == "integer":
        return compare_numbers(sample, answer, judge_reply, None)
    if kind == "float":
        decimals = decimals_of(sample)
        written = [len(found[1]) for found in map(_DECIMALS.search, sample.answers or ()) if found]
        return compare_numbers(sample, answer, judge_reply, max(written, default=0) if decimals is None else decimals)
    if kind == "list":
        return _check_list(sample, answer, judge_reply)
    return _check_free_text(sample, answer, judge_reply)


def _check_mmmu(sample: Sample, answer: str, judge_reply: str | None) -> AnswerCheck:
    """Score an option by the rule of options, an open question by `open_answer.py`, which no judge reads."""
    return check_open(sample, answer) if is_open(sample) else _check_choice(sample, answer, judge_reply)


def _mathvista_kind(sample: Sample) -> str:
    """Return `option`, `integer`, `float`, `list` or `text`, by the row's columns, else by its options and gold."""
    question_type, answer_type = sample.extra.get("question_type"), sample.extra.get("answer_type")
    if sample.choices and question_type in ("multi_choice", None, ""):
        return "option"
    if answer_type in ("integer", "float", "list"):
        return str(answer_type)
    if answer_type == "text" or question_type == "multi_choice" or not sample.answers:
        return "text"
    gold = sample.answers[0].strip()
    if gold.startswith("["):
        return "list"
    if read_number(gold) is None:
        return "text"
    return "float" if "." in gold else "integer"


@dataclass(frozen=True, slots=True)
class _Element:
    """One element of a list answer."""

    key: str
    """Its comparable text."""
    number: Number | None
    """Its number, where it is one."""


def _check_list(sample: Sample, answer: str, judge_reply: str | None) -> AnswerCheck:
    """Compare flat lists element by element, in order: numbers as numbers, all else as text."""
    golds = [elements for elements in map(_read_list, sample.answers or ()) if elements is not None]
    elements = _read_list(answer)
    if elements is None and judge_reply is not None:
        elements = _read_list(judge_reply)
    extracted = None if elements is None else shown(f"[{', '.join(element.key for element in elements)}]")
    if not golds:
        return AnswerCheck(None, extracted, ("no_gold",))
    if elements is None:
        return NO_MATCH
    decimals = decimals_of(sample)
    return AnswerCheck(float(any(_equal_lists(elements, gold, decimals) for gold in golds)), extracted)


def _read_list(text: str) -> tuple[_Element, ...] | None:
    """Return the elements of the only bracketed list in a text, or of a text that is a list; None without any.

    What stands around a bracketed list must leave it as it is: before it a lead ("The two years are", "x ="), after it
    the end of the sentence. A list that is denied, negated, an interval ("between [1, 2]") or one of several is none.
    """
    text = text.strip()
    if not text or len(text) > MAX_CHARACTERS:
        return None
    text = undress(fold(text)).strip()
    groups = _BRACKETED.findall(text)
    if groups:
        before, _, rest = text.lower().partition("[")
        after = rest.partition("]")[2]
        stated = len(groups) == 1 and _LIST_BEFORE.search(before) and _LIST_AFTER.match(after)
        body = None if not stated or _LIST_DENIED.search(f"{before} {after}") else str(groups[0])
    else:
        if "[" in text or "]" in text:
            return None  # a list that is not closed may be cut off
        if asks(text):
            return None  # "1, 2?" asks back
        body = _LIST_LEAD.sub("", text, count=1).strip().rstrip(".")
        body = body[1:-1] if body[:1] == "(" and body[-1:] == ")" else body
        body = body if _LIST_AND.search(body) else None
    if body is None or body.count(",") >= MAX_LIST_ELEMENTS:
        return None
    parts = (_LIST_AND if not groups else re.compile(",")).split(body) if body.strip() else []
    return tuple(_Element(text_key(part), read_number(part)) for part in parts)


def _equal_lists(first: tuple[_Element, ...], second: tuple[_Element, ...], decimals: int | None) -> bool:
    """Return whether two lists have equal elements in the same order."""
    return len(first) == len(second) and all(
        _equal_elements(one, other, decimals) for one, other in zip(first, second, strict=True)
    )


def _equal_elements(first: _Element, second: _Element, decimals: int | None) -> bool:
    """Return whether two elements are the same number, or the same text."""
    if first.number is not None and second.number is not None:
        return equal_numbers(first.number, second.number, decimals)
    return first.key == second.key


def _check_free_text(sample: Sample, answer: str, judge_reply: str | None) -> AnswerCheck:
    """Score free text by equality; only a judge could tell a paraphrase from a wrong answer."""
    check = _check_accepted(sample, answer, None)
    if check.value != 0.0 or check.faults:
        return check
    if judge_reply is None:
        return AnswerCheck(None, check.extracted, ("needs_judge",))
    replied = _check_accepted(sample, judge_reply, None)
    return replied if replied.value else AnswerCheck(0.0, replied.extracted, ("no_match",))


def _check_short(sample: Sample, answer: str, judge_reply: str | None) -> AnswerCheck:
    """Score by the rule that the row's own options and gold ask for; what stands in the last braces is the answer."""
    return _STRICT[short_rule(sample)](sample, without_braces(answer), judge_reply)


def _short_as(by_task: Mapping[str, Rule], choice: Rule) -> Rule:
    """Return a peer's rule for short answers: that of the task; elsewhere its rule for options, and ours without."""

    def check(sample: Sample, answer: str, judge_reply: str | None) -> AnswerCheck:
        rule = by_task.get(sample.task) or (choice if sample.choices else _check_short)
        return rule(sample, answer, judge_reply)

    return check


_STRICT: Final[Mapping[AnswerRule, Rule]] = {
    "choice": _check_choice,
    "yes_no": _check_yes_no,
    "ocr": _check_ocr,
    "mathvista": _check_mathvista,
    "mmmu": _check_mmmu,
    "accepted": _check_accepted,
    "number": _check_number,
    "maths": check_maths,
    "short": _check_short,
    **DOCUMENT_RULES,
}
_SHORT_BY_TASK: Final[Mapping[Protocol, Mapping[str, Rule]]] = {
    "vlmevalkit": VLMEVALKIT_SHORT,
    "paper": PAPER_SHORT,
    "lmms-eval": LMMS_EVAL_SHORT,
}
_RULES: Final[Mapping[Protocol, Mapping[AnswerRule, Rule]]] = {
    # What a peer has no rule for (`number`, mostly `accepted`) is scored by ours.
    "strict": _STRICT,
    "vlmevalkit": {
        **_STRICT,
        **VLMEVALKIT_RULES,
        **VLMEVALKIT_DOCUMENT_RULES,
        **VLMEVALKIT_MATHS_RULES,
        **VLMEVALKIT_MMMU_RULES,
        "short": _short_as(VLMEVALKIT_SHORT, VLMEVALKIT_RULES["choice"]),
    },
    "paper": {
        **_STRICT,
        **PAPER_RULES,
        **PAPER_DOCUMENT_RULES,
        **PAPER_MATHS_RULES,
        **PAPER_MMMU_RULES,
        "short": _short_as(PAPER_SHORT, PAPER_RULES["choice"]),
    },
    "lmms-eval": {
        **_STRICT,
        **LMMS_EVAL_RULES,
        **LMMS_EVAL_DOCUMENT_RULES,
        **LMMS_EVAL_MATHS_RULES,
        **LMMS_EVAL_MMMU_RULES,
        "short": _short_as(LMMS_EVAL_SHORT, LMMS_EVAL_RULES["choice"]),
    },
}
