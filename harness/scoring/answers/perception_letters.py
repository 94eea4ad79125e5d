r"""lmms-eval's ways to read an option letter in HR-Bench, CV-Bench and BLINK.

Facts about another program, right or wrong; `harness/scoring/answers/check.py` has our rule. Sources: lmms-eval 0.7.3,
`lmms_eval/tasks/hrbench/hrbench_evals.py`, `cv_bench/utils.py` and `blink/utils.py`.

Quirks, each where it was seen:

- HR-Bench: VLMEvalKit's rule of March 2025, letter first, then option text; what that cannot read goes to GPT, and
  without a key ends the task in an AttributeError (`hrbench_process_results`). Here it is 0 with `no_match`;
- CV-Bench: the first letter of the text in any case is the answer, so "The answer is B" says T, and "because" B
  (`_extract_answer_letter`, whose class `[A-Z]` ignores case and wants no mark behind it);
- BLINK: a short first line, else the last letter behind "answer", else the last capital in brackets, else the first
  letter of the text if it is an option's, so that "By the look of it" is B (`_extract_answer_letter`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from string import ascii_uppercase
from typing import Final

from harness.scoring.answers.vlmevalkit import infer_option
from harness.values import Sample

_FIRST_LETTER: Final = re.compile(r"[(\s]*([A-Z])", re.IGNORECASE)
_SHORT_LINE: Final = 4
"""BLINK believes a first line of at most so many characters at once."""


def _hr_bench_letter(sample: Sample, answer: str) -> str | None:
    """Return the letter by the rule of March 2025 (`HRBenchEval.can_infer`); `Z` says that it refuses."""
    return infer_option(answer.strip(), sample.choices, paper=True)


def _cv_bench_letter(sample: Sample, answer: str) -> str | None:
    """Return the first letter of the text."""
    del sample
    found = _FIRST_LETTER.match(answer.strip())
    return found[1].upper() if found else None


def _blink_letter(sample: Sample, answer: str) -> str | None:
    """Return the letter of an option by the first of four rules that finds one."""
    letters = ascii_uppercase[: len(sample.choices)] or ascii_uppercase
    text = answer.strip()
    line = text.split("\n", 1)[0].strip()
    short = re.match(rf"\(?([{letters}])\)?[.\s:,)]*\Z", line, re.IGNORECASE) if len(line) <= _SHORT_LINE else None
    if short:
        return short[1].upper()
    # Runs of blanks count as one in the original's patterns, which backtrack over them.
    joined = re.sub(r"\s+", " ", text)
    said = re.findall(rf"answers?(?: is)? ?[:\-]? ?\(?([{letters}])\)?(?![A-Za-z])", joined, re.IGNORECASE)
    said = said or re.findall(rf"\(([{letters}])\)", text)
    if said:
        return str(said[-1]).upper()
    first = re.match(rf"[(\s]*([{letters}])", text, re.IGNORECASE)
    return first[1].upper() if first else None


LMMS_EVAL_LETTERS: Final[Mapping[str, Callable[[Sample, str], str | None]]] = {
    "hr_bench_4k": _hr_bench_letter,
    "hr_bench_8k": _hr_bench_letter,
    "cv_bench": _cv_bench_letter,
    "blink": _blink_letter,
}
"""By task."""
