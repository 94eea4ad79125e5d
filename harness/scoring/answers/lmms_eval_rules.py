"""Answer rules of lmms-eval 0.7.3 (`lmms-eval`), without a judge unless a reply is given.

The rules are facts about another program, right or wrong, and are kept so that scores can be compared with published
ones; `harness/scoring/answers/check.py` has ours. Sources, below `lmms_eval/tasks/`: `_task_utils/mcq_extract.py`
(MMStar), `mmbench/mmbench_evals.py`, `mme/utils.py`, `ocrbench/utils.py`, `mathvista/mathvista_evals.py`,
`pope/utils.py`, `hallusion_bench/evaluate_hb.py`, `ai2d/utils.py`, `scienceqa/utils.py`.

MMBench follows the variant that needs no judge, `static`: first its own option rule, then MMStar's extractor. With a
judge's reply it follows the other variant (own rule on the answer, then on the reply), except that a reply which fits
no option stays wrong (there: a random letter). It reads the options A to D, and where a row has fewer, the hub's file
holds the text "nan", which an answer may contain ("Unanswerable"). MMStar's letters are the row's, which there are
always A to D.

MathVista's float answers are rounded to the row's `precision`, which has to be a whole number: the hub's column is
`float64`, `round(1.2, 1.0)` raises a TypeError that is swallowed (`normalize_extracted_answer`), and no float answer to
the hub's rows is ever right. A row whose precision is 1 is scored as intended.
"""

from __future__ import annotations

import math
import re
import string
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from harness.scoring.answers.edit_distance import edit_distance
from harness.scoring.answers.perception_letters import LMMS_EVAL_LETTERS
from harness.scoring.answers.vlmevalkit import (
    FAILED,
    HANDWRITTEN_MATHS,
    Rule,
    contains_gold,
    python_float,
    python_int,
    shown,
)
from harness.task_facts import facts_of
from harness.values import AnswerCheck, AnswerRule, Fault, Sample

_DEFAULT_LETTERS: Final = ("A", "B", "C", "D")
_OUTER_MARKS: Final = (",", ".", "!", "?", ";", ":", "'", '"')
_PHRASES: Final = (
    *(f"{start}{noun} is" for noun in ("answer", "choice") for start in ("the ", "", "the correct ", "correct ")),
    *(f"{start}{noun} is" for noun in ("answer", "option") for start in ("the best ", "best ")),
    *(f"{start}option is" for start in ("the correct ", "correct ")),
    *("i choose", "i select", "i pick", "my answer is", "my choice is"),
    *("옵션", "정답은", "답은", "답:", "答案是", "答案为", "选", "答えは"),
)
_START, _END, _PHRASE, _FALLBACK = 10, 9, 7, 0
_DRESSES: Final = ((6, "(", ")"), (5, "", "."), (4, "", ":"), (3, "", ")"), (2, "", " "))
"""How a letter may stand in the text and how much that is believed."""

_MMBENCH_LETTERS: Final = "ABCDE"
_MMBENCH_DRESSES: Final = (
    ("", "."),
    ("", ","),
    ("", ":"),
    ("", ")"),
    ("", ")."),
    ("(", ")"),
    ("(", ")."),
    (":", ""),
    (":", ","),
    (":", "."),
    (":", ")"),
    (":", ")."),
)
_NO_OPTION: Final = "nan"
"""What MMBench's file holds in the place of an option that a question does not have."""
_ARTICLE_WORDS: Final = 3
"""In an answer of more words than this, a lone "A" is taken for an article."""

_YES_NO_PREFIX: Final = 4
"""MME looks at this many first characters."""

_LETTER_AND_PERIOD: Final = re.compile(r"([A-Z])\.")
_NO_PUNCTUATION: Final = dict.fromkeys(map(ord, string.punctuation))
_BRACKETED_LETTER: Final = re.compile(r"\(([a-zA-Z])\)")
_FULL_WIDTH: Final = {chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)} | {"\u3000": " "}

_MOST_DECIMALS: Final = 400
"""Rounding a float to more decimals than this changes nothing."""

MAX_DISTANCE_CHARACTERS: Final = 4_000
"""So much of a judge's reply is compared with the options; it is far shorter (256 tokens there)."""


def extract_letter(answer: str, letters: Sequence[str]) -> str | None:
    """Return the letter that MMStar's extractor finds, or None: best-believed dress first, then the last one."""
    text = answer.strip()
    if not text:
        return None
    for mark in _OUTER_MARKS:
        text = text.strip(mark)
    core = text.strip()
    text = f" {text} "
    letters = [letter for letter in letters if letter in text]
    found = [*_dressed(text, letters), *_after_phrases(text, letters), *_at_the_ends(core, text, letters)]
    if not found:
        found = [(_FALLBACK, text.rfind(letter), letter) for letter in letters if letter in text]
    # Ties go to the earlier find, as a stable sort has it.
    return max(found, key=lambda find: find[:2])[2] if found else None


def _dressed(text: str, letters: Sequence[str]) -> list[tuple[int, int, str]]:
    """Return (belief, position, letter) of each letter in each dress."""
    return [
        (belief, text.rfind(f"{before}{letter}{after}"), letter)
        for belief, before, after in _DRESSES
        for letter in letters
        if f"{before}{letter}{after}" in text
    ]


def _after_phrases(text: str, letters: Sequence[str]) -> list[tuple[int, int, str]]:
    """Return the first occurrence of each letter after the first occurrence of each phrase, also inside a word."""
    lowered = text.lower()
    found: list[tuple[int, int, str]] = []
    for phrase in _PHRASES:
        place = lowered.find(phrase)
        if place >= 0:
            spots = ((text.find(letter, place + len(phrase)), letter) for letter in letters)
            found += [(_PHRASE, spot, letter) for spot, letter in spots if spot >= 0]
    return found


def _at_the_ends(core: str, text: str, letters: Sequence[str]) -> list[tuple[int, int, str]]:
    """Return letters that open or close the text and are not part of a word."""
    found: list[tuple[int, int, str]] = []
    for letter in letters:
        if core.startswith(letter) and not core[1:2].isalpha():
            found.append((_START, 0, letter))
        if core.endswith(letter) and not core[:-1][-1:].isalpha():
            found.append((_END, len(text) - 1, letter))
    return found


def infer_mmbench(answer: str, choices: Mapping[str, str]) -> str | None:
    """Return MMBench's own reading, or None: a letter A to E as a word, else the only option text in the answer."""
    words = answer.split() if any(letter in answer for letter in _MMBENCH_LETTERS) else []
    present = set(words)
    plain = [letter for letter in _MMBENCH_LETTERS if letter in present]
    if FAILED not in answer:
        if len(plain) == 1 and not (plain[0] == "A" and len(words) > _ARTICLE_WORDS):
            return plain[0]
        for before, after in _MMBENCH_DRESSES:
            found = [letter for letter in _MMBENCH_LETTERS if f"{before}{letter}{after}" in present]
            if len(found) == 1:
                return found[0]
    lowered = answer.lower()
    named = [letter for letter in _DEFAULT_LETTERS if choices.get(letter, _NO_OPTION).lower() in lowered]
    return named[0] if len(named) == 1 else None


def infer_yes_no(answer: str) -> str | None:
    """Return `Yes` or `No` by MME's rule (a lone `y` or `n`, else the first four characters), or None."""
    text = answer.lower().strip().replace(".", "")
    if len(text) == 1:
        return {"y": "Yes", "n": "No"}.get(text)
    prefix = text[:_YES_NO_PREFIX]
    if "yes" in prefix:
        return "Yes"
    return "No" if "no" in prefix else None


def _ai2d_letter(answer: str) -> str | None:
    """Return the letter by AI2D's rule (`ai2d/ai2d.yaml`), or None: `B.` at the start, else the whole text.

    The filter's letter (`ai2d/utils.py`, `option_letter_regex`), or what it leaves, is compared without case and
    without ASCII punctuation (`exact_match`), so that "(b)" is B and "The answer is B" is nothing.
    """
    text = answer.strip()
    begun = _LETTER_AND_PERIOD.match(text)
    whole = begun.group(1) if begun else text.translate(_NO_PUNCTUATION).upper()
    return whole if len(whole) == 1 and whole in string.ascii_uppercase else None


def _scienceqa_letter(answer: str) -> str | None:
    """Return the letter by ScienceQA's rule (`sqa_process_results`), or None: alone in any case, or before a period."""
    text = answer.strip()
    stands = len(text) == 1 or (text[:1].isupper() and text[1:2] == ".")
    return text[0].upper() if stands and text[0] in string.ascii_letters else None


_CHOICE_RULES: Final[Mapping[str, Callable[[str], str | None]]] = {
    "ai2d": _ai2d_letter,
    "scienceqa": _scienceqa_letter,
}
"""By task; those of `perception_letters.py` look at the options too. MMStar's extractor for all others but MMBench."""


def _check_choice(sample: Sample, answer: str, judge_reply: str | None) -> AnswerCheck:
    """Score a multiple-choice answer: MMBench's rule for its tasks, those of `_CHOICE_RULES`, else MMStar's."""
    if sample.task in _CHOICE_RULES:
        letter = _CHOICE_RULES[sample.task](answer)
    elif sample.task in LMMS_EVAL_LETTERS:
        letter = LMMS_EVAL_LETTERS[sample.task](sample, answer)
    elif facts_of(sample.task).judge_reads_options:
        letter = _read_mmbench(sample, answer.strip(), judge_reply)
    else:
        letter = extract_letter(answer, tuple(sample.choices) or _DEFAULT_LETTERS)
    if letter is None:
        return AnswerCheck(0.0, None, ("no_match",))
    golds = {gold.strip().upper() for gold in sample.answers or ()}
    return AnswerCheck(float(letter in golds), letter)


def _read_mmbench(sample: Sample, answer: str, judge_reply: str | None) -> str | None:
    """Read an MMBench answer; without a judge's reply what is left goes to MMStar's extractor."""
    letter = infer_mmbench(answer, sample.choices)
    if letter is not None:
        return letter
    if judge_reply is not None:
        return None if FAILED in judge_reply else infer_mmbench(judge_reply.strip(), sample.choices)
    return extract_letter(answer, _DEFAULT_LETTERS)


def _exact_yes_no(answer: str) -> str | None:
    """Return `Yes` or `No` by POPE's rule (`pope/utils.py:17`): the whole text; "Yes." is neither."""
    return {"yes": "Yes", "no": "No"}.get(answer.lower().strip())


def _contained_yes(answer: str) -> str | None:
    """Return `Yes` or `No` by HallusionBench's rule: `yes` anywhere, also in "yesterday"; all else is a no.

    The variant of `evaluate_hb.py:93` that needs no judge. The YAML of 0.7.3 names the other, in which GPT-4 compares
    the answer with `gt_answer_details`; without a key every answer is "unclear" there and wrong.
    """
    return "Yes" if "yes" in answer.lower() else "No"


_YES_NO_RULES: Final[Mapping[str, Callable[[str], str | None]]] = {
    "pope": _exact_yes_no,
    "hallusion_bench": _contained_yes,
}
"""By task; MME's rule for all others."""


def _check_yes_no(sample: Sample, answer: str, judge_reply: str | None) -> AnswerCheck:
    """Score a yes/no answer by the rule of its task; no judge is ever asked."""
    del judge_reply
    label = _YES_NO_RULES.get(sample.task, infer_yes_no)(answer)
    if label is None:
        return AnswerCheck(0.0, None, ("no_match",))
    golds = {gold.lower().strip().replace(".", "") for gold in sample.answers or ()}
    return AnswerCheck(float(label.lower() in golds), label)


def _check_ocr(sample: Sample, answer: str, judge_reply: str | None) -> AnswerCheck:
    """Score an OCRBench answer by containment, full-width letters folded except in handwritten mathematics."""
    del judge_reply
    golds = sample.answers or ()
    maths = sample.extra.get("dataset") == "HME100k" or sample.category == HANDWRITTEN_MATHS
    if maths:
        right = contains_gold(answer, golds, handwritten_maths=True)
    else:
        right = contains_gold(_narrow(answer), tuple(map(_narrow, golds)), handwritten_maths=False)
    return AnswerCheck(float(right), shown(answer), () if right or answer.strip() else ("no_match",))


def _narrow(text: str) -> str:
    """Return the text with full-width ASCII and the ideographic blank folded to ASCII."""
    if not text.isascii():
        for wide, narrow in _FULL_WIDTH.items():
            text = text.replace(wide, narrow)
    return text


def _check_mathvista(sample: Sample, answer: str, judge_reply: str | None) -> AnswerCheck:
    """Score a MathVista answer.

    What cannot be read at once goes to the judge. Without one the extraction is empty, as it is there without a key:
    wrong for numbers, and for options the one nearest to the empty text, that is the shortest. Such a score carries
    the fault `needs_judge`, whatever its value.
    """
    extraction, faults = _extraction(sample, answer.strip(), judge_reply)
    normalised = _normalised(sample, extraction)
    gold = (sample.answers or ("",))[0]
    right = str(normalised).strip() == gold.strip()
    if normalised is None and not right and not faults:
        faults = ("no_match",)
    return AnswerCheck(float(right), normalised or None, faults)


def _extraction(sample: Sample, answer: str, judge_reply: str | None) -> tuple[str, tuple[Fault, ...]]:
    """Return the text that counts as the answer: the answer itself where it can be read at once, else the reply."""
    if not answer:
        return "", ("no_match",)
    if _is_multi_choice(sample) and answer in sample.choices.values():
        return answer, ()
    kind = sample.extra.get("answer_type")
    if kind == "integer" and (whole := python_int(answer)) is not None:
        return str(whole), ()
    if kind == "float" and (number := python_float(answer)) is not None:
        return str(number), ()
    return ("", ("needs_judge",)) if judge_reply is None else (judge_reply.strip(), ())


def _normalised(sample: Sample, extraction: str) -> str | None:
    """Return the extraction as MathVista compares it with the gold, or None where it is of the wrong kind."""
    if _is_multi_choice(sample):
        return _nearest_option(extraction.strip(), tuple(sample.choices.values()))
    kind = sample.extra.get("answer_type")
    if kind not in ("integer", "float"):
        return extraction
    number = python_float(extraction)
    if number is None or (kind == "integer" and not math.isfinite(number)):
        return None
    return str(int(number)) if kind == "integer" else _rounded(number, sample.extra.get("precision", 0))


def _nearest_option(extraction: str, options: tuple[str, ...]) -> str | None:
    """Return the text of the option that the extraction names by letter, else the one at the least edit distance."""
    if not options:
        return None
    bracketed = _BRACKETED_LETTER.search(extraction[:MAX_DISTANCE_CHARACTERS])
    letter = bracketed.group(1).upper() if bracketed else extraction
    place = ord(letter) - ord("A") if len(letter) == 1 else -1
    if 0 <= place < len(options):
        return options[place]
    letter = letter[:MAX_DISTANCE_CHARACTERS]
    return min(options, key=lambda option: edit_distance(option[:MAX_DISTANCE_CHARACTERS], letter))


def _is_multi_choice(sample: Sample) -> bool:
    return sample.extra.get("question_type") == "multi_choice"


def _rounded(number: float, precision: object) -> str | None:
    """Return the number at so many decimals, or None where `round` refuses them: the hub's 1.0, a text."""
    if not isinstance(precision, int):
        return None
    return str(round(number, max(-_MOST_DECIMALS, min(_MOST_DECIMALS, precision))))


LMMS_EVAL_RULES: Final[Mapping[AnswerRule, Rule]] = {
    "choice": _check_choice,
    "yes_no": _check_yes_no,
    "ocr": _check_ocr,
    "mathvista": _check_mathvista,
}
"""Rules by kind of answer; `accepted` and `number` have none there."""
