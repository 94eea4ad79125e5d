r"""The peers' rules for MathVision, MathVerse, OlympiadBench and We-Math, right or wrong.

Sources: VLMEvalKit at e8e78f05 (`vlmevalkit`) and 7faa5b47 (`paper`), below `vlmeval/dataset/`: `utils/mathv.py`,
`utils/mathverse.py`, `utils/olympiadbench.py`, `utils/wemath.py`, `image_vqa.py` and `image_mcq.py`; lmms-eval 0.7.3,
below `lmms_eval/tasks/`: `mathvision/`, `mathverse/`, `olympiadbench/`, `wemath/` and `_task_utils/reasoning_utils.py`.
Their tasks are told apart by the sample's; to any other task of the rule `maths` they have none, and ours holds.

Quirks of MathVision in VLMEvalKit that are kept: an answer is handed to Python's `eval` in the scope of the comparing
function, where the gold's value is called `a`. A free answer "A", or \boxed{A}, is therefore right for every gold that
is a number.
`2^3` is 1 to `eval`, and 8 to LaTeX: either is right.

Departures, all on purpose: no key for a judge is needed (both MathVision and MathVerse assert one: what a judge would
have to read scores 0 with `needs_judge`); a text of more than 1,000 characters is no number; every answer is read
alone, where latex2sympy2 reads no letter any more once a text had a differential (`dx`, also of "add") in it; answers
to OlympiadBench in lmms-eval are judged by its own evaluator, as `en_utils.py`, `cn_utils.py` and the tasks of
`olympiadbench_mimo` have it (the two tasks that are named in YAML ask a judge about everything).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from harness.scoring.answers.lmms_eval_rules import LMMS_EVAL_RULES
from harness.scoring.answers.maths import check_maths
from harness.scoring.answers.olympiad_judge import DEFAULT_ERROR, JudgeEndedError, judged_equal
from harness.scoring.answers.peer_arithmetic import Library, close, latex_value, python_value
from harness.scoring.answers.vlmevalkit import (
    PAPER_RULES,
    VLMEVALKIT_RULES,
    Rule,
    infer_option,
    python_float,
    shown,
)
from harness.values import AnswerCheck, AnswerRule, Protocol, Sample

_FAILED: Final = "Failed to obtain answer via API."
_NO_MATCH: Final = AnswerCheck(0.0, None, ("no_match",))

# --- MathVision in VLMEvalKit --------------------------------------------------------------------------------------

_WITHIN: Final = 1e-6
_LIBRARIES: Final[Mapping[bool, Library]] = {False: "latex2sympy2_extended", True: "latex2sympy2"}
_GOLD_NAME: Final = "a"
"""What the comparing function calls the gold's value."""


def _check_mathvision(sample: Sample, answer: str, judge_reply: str | None, *, paper: bool) -> AnswerCheck:
    """Score a MathVision answer: any letter found is final; a free answer is final only where it is right."""
    reply = "" if judge_reply is not None and _FAILED in judge_reply else judge_reply
    gold = (sample.answers or ("",))[0]
    if sample.choices:
        letter = infer_option(answer, sample.choices, paper=paper)
        if letter is None and reply is None:
            return AnswerCheck(0.0, None, ("needs_judge",))
        letter = letter or infer_option(reply or "", sample.choices, paper=paper)
        if letter is None or letter not in sample.choices:
            return AnswerCheck(0.0, letter, ("no_match",))
        return AnswerCheck(float(letter.lower() == gold.lower().strip()), letter)
    if equal_in_vlmevalkit(answer, gold, paper=paper):
        return AnswerCheck(1.0, shown(answer))
    if reply is None:
        return AnswerCheck(0.0, shown(answer), ("needs_judge",))
    return AnswerCheck(float(equal_in_vlmevalkit(reply, gold, paper=paper)), shown(reply))


def equal_in_vlmevalkit(answer: str, gold: str, *, paper: bool) -> bool:
    """Return whether `is_equal` of `utils/mathv.py` holds: as texts, as Python's numbers, or as LaTeX's."""
    answer, gold = answer.lower().strip(), gold.lower().strip()
    if answer == gold:
        return True
    value = python_value(gold)
    if value is not None and close(value, python_value(answer, {_GOLD_NAME: value}), _WITHIN):
        return True
    value = latex_value(gold, _LIBRARIES[paper])
    return value is not None and close(value, latex_value(answer, _LIBRARIES[paper], {_GOLD_NAME: value}), _WITHIN)


# --- MathVision in lmms-eval ---------------------------------------------------------------------------------------

_LETTERS: Final = "ABCDE"
_PHRASES: Final = ("the final answer is", "the answer is", "the correct answer is", "the answer should be")
_DRESSED: Final = tuple(f"{left}{letter}{right}" for left, right in ("()", "{}") for letter in "abcde")
_BOX_CONTENT: Final = re.compile(r"oxed{(.*)}", re.DOTALL)
_CLEANED: Final = (
    (" ", ""), ("\\,", ""), ("∞", "\\infty"), ("+\\infty", "\\infty"), ("\\\\", "\\"), ("\n", ""), ("\\text", ""),
    ("\\mbox", ""), ("bmatrix", "pmatrix"), ("\\left", ""), ("\\right", ""), ("^{\\circ}", ""), ("^\\circ", ""),
    ("{m}^3", ""), ("m^3", ""), ("{units}", ""), ("units", ""), ("{km}", ""), ("km", ""),
    # `_strip_string`
    ("\\!", ""), ("\\\\", "\\"), ("tfrac", "frac"), ("dfrac", "frac"), ("\\$", ""), ("$", ""), ("\\%", ""),
    ("{.", "{0."),
)  # fmt: skip
"""What `find_math_answer` and `_strip_string` replace, in their order."""
_FRACTION: Final = re.compile(r"-?\d+/-?\d+")
_DECIMALS: Final = 2
"""Numbers are compared at so many decimals."""


def _check_mathvision_lmms_eval(sample: Sample, answer: str, judge_reply: str | None) -> AnswerCheck:
    """Score by `mathvision_process_results`: the letter or the option's text, no judge. Nothing is ever unreadable."""
    del judge_reply
    gold = (sample.answers or ("",))[0]
    found = _found_by_lmms_eval(answer.strip())
    right = _equal_in_lmms_eval(gold, found) or _equal_in_lmms_eval(sample.choices.get(gold.strip(), ""), found)
    return AnswerCheck(float(right), shown(found), () if right or found else ("no_match",))


def _found_by_lmms_eval(text: str) -> str:
    """Return what counts as the answer: a letter at an end, a number after "is", what phrases lead to, or a box."""
    for letter in _LETTERS:
        begins = (f"{letter}\n", f"({letter})\n", f"({letter}) {letter}\n")
        if text.endswith((f" {letter}.", f" ({letter}).")) or text.startswith(begins):
            text = letter
    number = text.rpartition("is ")[2].rstrip(".")
    if python_float(number) is not None:
        text = number
    if "oxed{" not in text:
        text = _after_phrases(text)
    elif text.count("oxed{") > 1:
        text = "\\boxed{" + text.rpartition("oxed{")[2]
    found = _cleaned(text)
    for dressed in _DRESSED:
        found = found.replace(dressed, dressed[1])
    return found.rstrip(".").lstrip(":").strip()


def _after_phrases(text: str) -> str:
    for phrase in _PHRASES:
        for said in (phrase, phrase.replace("the", "The")):
            before, text = text, text.rpartition(said)[2].strip()
            if said in before:
                text = text.split("\n")[0].split(". ")[0]
    return text


def _cleaned(text: str) -> str:
    text = text.lower().replace("{}", "")
    boxes = _BOX_CONTENT.findall(text)
    text = boxes[-1] if boxes else text
    if "}" in text and not -1 < text.find("{") < text.find("}"):
        text = text.split("}")[0]
    text = text.rpartition("=")[2].rpartition("\\approx")[2]
    for written, instead in _CLEANED:
        text = text.replace(written, instead)
    if text.startswith("."):
        text = f"0{text}"
    if "sqrt" in text:
        text = _braced_arguments(_braced_arguments(text, "\\sqrt", 1), "\\frac", 2)
    if text == "0.5":
        return "\\frac{1}{2}"
    if _FRACTION.fullmatch(text) and "/".join(str(int(part)) for part in text.split("/")) == text:
        return "\\frac{{{}}}{{{}}}".format(*text.split("/"))
    return text


def _braced_arguments(text: str, command: str, count: int) -> str:
    """Return a text with braces around the one-letter arguments of a command; as it is where arguments are missing."""
    first, *others = text.split(command)
    parts = [first]
    for other in others:
        if other.startswith("{") or (count == 1 and not other):
            parts.append(other)
        elif len(other) < count:
            return text
        elif count == 1 or other[1] == "{":
            parts.append(f"{{{other[0]}}}{other[1:]}")
        else:
            parts.append(f"{{{other[0]}}}{{{other[1]}}}{other[2:]}")
    return command.join(parts)


def _equal_in_lmms_eval(gold: str, answer: str) -> bool:
    """Return whether `is_equal` of `mathvision/eval_utils.py` holds: as texts, element by element, or rounded."""
    gold, answer = gold.lower(), answer.lower()
    if not gold.replace(" ", "") or not answer.replace(" ", ""):
        return False
    if gold.strip() == answer.strip():
        return True
    gold, answer = _elements_rounded(gold), _elements_rounded(answer)
    if gold == answer:
        return True
    values = [latex_value(text, "latex2sympy2") for text in (gold, answer)]
    return None not in values and round(values[0] or 0, _DECIMALS) == round(values[1] or 0, _DECIMALS)


def _elements_rounded(text: str) -> str:
    """Return a tuple or list with its numbers rounded; as it is where an element is no number, or it is neither."""
    elements = text[1:-1].split(",")
    if text[0] + text[-1] not in {"()", "[]"} or len(elements) == 1:
        return text
    shown_elements: list[str] = []
    for element in elements:
        if "infty" in element or element in {"a", "-a"}:
            shown_elements.append(element)
            continue
        value = latex_value(element, "latex2sympy2")
        if value is None:
            return text
        shown_elements.append(str(round(value, _DECIMALS)))
    return f"{text[0]}{','.join(shown_elements)}{text[-1]}"


# --- MathVerse -----------------------------------------------------------------------------------------------------


def _check_mathverse(sample: Sample, answer: str, judge_reply: str | None) -> AnswerCheck:
    """Score a MathVerse answer as VLMEvalKit: the judge's extraction, letter for letter; else a judge compares.

    Without a judge the answer stands for its own extraction: it is right where it is the gold, letter for letter.
    """
    extracted = "" if judge_reply is not None and _FAILED in judge_reply else judge_reply
    gold = (sample.answers or ("",))[0].strip()
    said = (answer if extracted is None else extracted).strip()
    if said == gold:
        return AnswerCheck(1.0, shown(said))
    return AnswerCheck(0.0, shown(said), ("needs_judge",) if extracted is None else ())


def _check_mathverse_lmms_eval(sample: Sample, answer: str, judge_reply: str | None) -> AnswerCheck:
    """Score a MathVerse answer as lmms-eval: a judge compares whole answer and gold; without a key all are wrong."""
    if judge_reply is None:
        return AnswerCheck(0.0, shown(answer), ("needs_judge",))
    return _check_mathverse(sample, answer, judge_reply)


# --- OlympiadBench -------------------------------------------------------------------------------------------------

_LEAD: Final = re.compile("So the final answer is (.*)")
_CHINESE_LEAD: Final = re.compile("所以最终答案是(.*)")


def _is_chinese(sample: Sample) -> bool:
    return "zh" in str(sample.extra.get("source") or sample.category)


def _errors(sample: Sample) -> list[float | None]:
    """Return how far the parts of an answer may be off; raises ValueError where the column holds no number."""
    stored = sample.extra.get("error")
    written = "" if stored is None else str(stored).strip()
    if written in ("", "nan") or "Tuple" in str(sample.extra.get("answer_type")):
        return [DEFAULT_ERROR]
    if "," not in written:
        return [float(written)]
    return [float(one) if one else DEFAULT_ERROR for one in written.split(",")]


def _check_olympiadbench(sample: Sample, answer: str, judge_reply: str | None) -> AnswerCheck:
    """Score an OlympiadBench answer as VLMEvalKit's default, which asks no judge."""
    del judge_reply
    leads = (_CHINESE_LEAD if _is_chinese(sample) else _LEAD).findall(answer)
    said = leads[-1].strip() if leads else answer
    # `final_answer` is a list written as text, of which the outer `['` and `']` are cut off.
    gold = "', '".join(sample.answers or ())
    try:
        errors = _errors(sample)
    except ValueError:
        return AnswerCheck(0.0, shown(said), ("no_match",))
    return _judged(said, gold, errors, compares_values=False)


def _check_olympiadbench_lmms_eval(sample: Sample, answer: str, judge_reply: str | None) -> AnswerCheck:
    """Score an OlympiadBench answer as lmms-eval's `en_utils.py` and `cn_utils.py`, by the first accepted answer."""
    del judge_reply
    said = answer.strip().split("所以最终答案是" if _is_chinese(sample) else "final answer is")[-1]
    said = said.replace('"', "").replace("\n", "").replace(" ", "").strip(".").strip("。")
    # The hub's `error` is a text, which no distance is within; without one nothing may be off.
    has_error = sample.extra.get("error") not in (None, "")
    return _judged(said, (sample.answers or ("",))[0], [None if has_error else 0.0], compares_values=True)


def _judged(said: str, gold: str, errors: Sequence[float | None], *, compares_values: bool) -> AnswerCheck:
    try:
        right = judged_equal(said, gold, errors, compares_values=compares_values)
    except JudgeEndedError:
        return AnswerCheck(0.0, shown(said), ("no_match",))
    return AnswerCheck(float(right), shown(said), () if said.strip() else ("no_match",))


# --- We-Math -------------------------------------------------------------------------------------------------------

_LAST_ANSWER: Final = re.compile(r"[><:.]")
_WEMATH_LETTERS: Final = "ABCDEFGH"


def wemath_letter(answer: str) -> str | None:
    """Return the letter by VLMEvalKit's rule without a judge (`load_and_process_data`), or None.

    What follows the last "Answer", without `<>:.`, begins with it: "Banana" is B, "The Answer is B" and "(B)" nothing.
    """
    text = _LAST_ANSWER.sub("", answer.rpartition("Answer")[2].strip()).strip()
    return text[0] if text and text[0] in _WEMATH_LETTERS else None


def _check_wemath(sample: Sample, letter: str | None) -> AnswerCheck:
    if letter is None:
        return _NO_MATCH
    return AnswerCheck(float(letter in {gold.strip() for gold in sample.answers or ()}), letter)


def with_wemath(rule: Rule, *, lmms_eval: bool) -> Rule:
    """Return a rule for options that reads We-Math's answers in the peer's way, and all others by `rule`.

    With a judge's reply VLMEvalKit reads We-Math as any other benchmark of options.
    """

    def check(sample: Sample, answer: str, judge_reply: str | None) -> AnswerCheck:
        if sample.task != "wemath" or (judge_reply is not None and not lmms_eval):
            return rule(sample, answer, judge_reply)
        return _check_wemath(sample, wemath_letter_lmms_eval(answer) if lmms_eval else wemath_letter(answer))

    return check


_TAGGED: Final = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
_OUTER_MARKS: Final = (",", ".", "!", "?", ";", ":", "'", '"')
_LETTER_DRESSES: Final = (
    (6, "(", ")"), (5, "", "."), (4, "", ":"), (3, "", ")"), (2, "", " "), (1, "", "-"), (1, "", "_"), (1, "", "="),
)  # fmt: skip
_LEADS: Final = (
    "the answer is", "answer is", "the correct answer is", "correct answer is", "the answer", "answer",
    "correct answer", "the correct answer", "the best answer is", "best answer is", "the best answer", "best answer",
    "the option is", "option is", "the correct option is", "correct option is", "the choice is", "choice is",
    "the correct choice is", "correct choice is", "i choose", "i select", "i pick", "my answer is", "my choice is",
)  # fmt: skip
_START, _END, _NUMBERED, _LED = 10, 9, 8, 7


def wemath_letter_lmms_eval(answer: str) -> str | None:
    """Return the letter by lmms-eval's rule (`parse_mcq`), or None: best-believed dress first, then the first place.

    The rule reads what stands in `<answer>`, else in the last box; an answer that was taken out of its tags already
    is read as it is, where lmms-eval, which sees the whole text, would find no tags and take nothing but a number.
    """
    tagged = _TAGGED.search(answer)
    text = (tagged.group(1) if tagged else _last_box(answer)).strip().removesuffix(".").strip()
    if not text:
        return None
    for mark in _OUTER_MARKS:
        text = text.strip(mark)
    core, text = text.strip(), f" {text} "
    found = [*_dressed_letters(text), *_led_letters(text)]
    found += [(_START, 0, letter) for letter in _WEMATH_LETTERS if core.startswith(letter)]
    found += [(_END, len(text) - 1, letter) for letter in _WEMATH_LETTERS if core.endswith(letter)]
    found = found or [(0, text.rfind(letter), letter) for letter in _WEMATH_LETTERS if letter in text]
    return max(found, key=lambda find: (find[0], -find[1]))[2] if found else None


def _last_box(text: str) -> str:
    """Return what stands in the last closed box; the text where there is none."""
    found = text
    for box in re.finditer(r"\\boxed\{", text):
        depth = 1
        for place in range(box.end(), len(text)):
            depth += {"{": 1, "}": -1}.get(text[place], 0)
            if depth == 0:
                found = text[box.end() : place]
                break
    return found


def _dressed_letters(text: str) -> list[tuple[int, int, str]]:
    found = [
        (belief, text.rfind(f"{before}{letter}{after}"), letter)
        for belief, before, after in _LETTER_DRESSES
        for letter in _WEMATH_LETTERS
        if f"{before}{letter}{after}" in text
    ]
    numbered = ((f"{place}. {letter}", letter) for place, letter in enumerate(_WEMATH_LETTERS, start=1))
    return found + [(_NUMBERED, text.rfind(said), letter) for said, letter in numbered if said in text]


def _led_letters(text: str) -> list[tuple[int, int, str]]:
    lowered = text.lower()
    starts = (lowered.find(lead) for lead in _LEADS if lead in lowered)
    spots = ((text.find(letter, start), letter) for start in starts for letter in _WEMATH_LETTERS)
    return [(_LED, spot, letter) for spot, letter in spots if spot >= 0]


# --- by task -------------------------------------------------------------------------------------------------------


def _today(sample: Sample, answer: str, judge_reply: str | None) -> AnswerCheck:
    return _check_mathvision(sample, answer, judge_reply, paper=False)


def _of_march(sample: Sample, answer: str, judge_reply: str | None) -> AnswerCheck:
    return _check_mathvision(sample, answer, judge_reply, paper=True)


_BENCHMARK_RULES: Final[Mapping[Protocol, Mapping[str, Rule]]] = {
    "vlmevalkit": {"mathvision": _today, "mathverse": _check_mathverse, "olympiadbench": _check_olympiadbench},
    "paper": {"mathvision": _of_march, "mathverse": _check_mathverse, "olympiadbench": _check_olympiadbench},
    "lmms-eval": {
        "mathvision": _check_mathvision_lmms_eval,
        "mathverse": _check_mathverse_lmms_eval,
        "olympiadbench": _check_olympiadbench_lmms_eval,
    },
}
"""By the first word of the task's name: `mathvision_test` is scored as `mathvision`."""


def has_maths_rule(task: str, protocol: Protocol) -> bool:
    """Tell whether a peer has a rule of its own for a benchmark of mathematics."""
    return task.partition("_")[0] in _BENCHMARK_RULES[protocol]


def _rule_of(protocol: Protocol) -> Rule:
    rules = _BENCHMARK_RULES[protocol]

    def check(sample: Sample, answer: str, judge_reply: str | None) -> AnswerCheck:
        return rules.get(sample.task.partition("_")[0], check_maths)(sample, answer, judge_reply)

    return check


VLMEVALKIT_MATHS_RULES: Final[Mapping[AnswerRule, Rule]] = {
    "maths": _rule_of("vlmevalkit"),
    "choice": with_wemath(VLMEVALKIT_RULES["choice"], lmms_eval=False),
}
PAPER_MATHS_RULES: Final[Mapping[AnswerRule, Rule]] = {
    "maths": _rule_of("paper"),
    "choice": with_wemath(PAPER_RULES["choice"], lmms_eval=False),
}
LMMS_EVAL_MATHS_RULES: Final[Mapping[AnswerRule, Rule]] = {
    "maths": _rule_of("lmms-eval"),
    "choice": with_wemath(LMMS_EVAL_RULES["choice"], lmms_eval=True),
}
