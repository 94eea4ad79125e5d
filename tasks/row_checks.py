"""Look at the cells of a benchmark's rows before anything is asked.

Found are texts that were something else once, and rows that no ordinary answer can win.

A cell turns silently into another on its way through tables: a missing value becomes the text "nan", a byte string its
printed form, an option's letter its position, 3 becomes "3.0". Some of it shows in one row, some only over all.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from harness.scoring.answers.check import check_answer
from harness.scoring.answers.maths import golds_of
from harness.scoring.answers.mmmu_peers import is_open
from harness.scoring.answers.options import gold_names, options_of
from harness.scoring.answers.short import short_rule
from harness.scoring.read_text import read_text
from harness.values import Sample
from tasks.cells import Doc, as_text, list_of

_PLAIN: Final = re.compile(r"[A-Za-z0-9 .,()%$'-]+")
"""Texts of these characters alone are the same within an answer stage as outside of one."""
_OPTION_RULES: Final = frozenset({"choice", "mmmu"})
"""Rules whose answer is one of the row's options, where it has any."""
_MISSING: Final = frozenset({"nan", "<na>", "nat"})
"""Texts that a missing value leaves behind, in lower case; "None", "N/A" and "null" are also what people mean."""
_PRINTED: Final = re.compile(
    r"b'[^']*'|b\"[^\"]*\""  # bytes, as Python prints them
    r"|(?:array|tensor|dict_\w+|Decimal)\(.*\)"
    r"|<[\w.]+ (?:object at 0x|image mode=).*>",
    re.DOTALL,
)
"""Printed forms of values that are no texts, as a whole text."""
_PRINTED_STRUCT: Final = re.compile(r"\{ ?['\"]\w+['\"]:.*\}", re.DOTALL)
"""The printed form of a struct; a question may hold one, an answer or an option hardly."""
_REPLACEMENT: Final = "\ufffd"
_WHOLE_AS_FLOAT: Final = re.compile(r"-?\d+\.0")
_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?")
_LEAST_NUMBERS: Final = 3
"""So many numbers, every one with `.0`, are no precision but a column of whole numbers that passed through floats."""
_LONGEST_SHOWN: Final = 40
_ROW_COLUMNS: Final = frozenset({"index", "g_index", "question_id", "set_id", "figure_id"})
"""Official columns that say which row it is: no answer is worth more or less for them."""
_MOST_TRIED: Final = 20_000
"""So many different golds are remembered; what is tried of others is tried again."""


_LETTERED: Final = tuple(
    tuple(re.compile(rf"(?:\A|[\s(（]){letter}\s?(?:[.:)、．：）]|[-–]\s)") for letter in letters)
    for letters in ("AB", "ab")
)
"""The first two options written into a question's own text, as some tables have it: `A. red`, `(a) red`, `A - red`.

Both are looked for, since a text may speak of a Figure B.
"""


@dataclass(slots=True)
class CellChecks:
    """What the rows show, by kind of finding; row by row."""

    found: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """Finding that is a fault, in words, to the rows that have it."""
    doubtful: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """The same for findings that may be meant."""
    _golds: Counter[str] = field(default_factory=Counter[str])
    _positions: int = 0
    _most_options: int = 0
    _no_letter: int = 0
    _numbers: list[str] = field(default_factory=list[str])

    def add(self, sample: Sample, gold: object) -> None:
        """Look at one row.

        Args:
            sample: What the adapter made of the row.
            gold: The cell that holds its answers.
        """
        self._look_at_texts(sample)
        if not sample.question.strip() or sample.question.strip().casefold() in _MISSING:
            _note(self.found, "rows without a question", sample)
        if isinstance(gold, bool) and sample.answer_rule != "yes_no":
            _note(self.doubtful, "answers are truth values, compared as the texts True and False", sample)
        wants_option = sample.answer_rule in _OPTION_RULES and not is_open(sample)
        if wants_option and not sample.choices and not _is_lettered(sample.question):
            _note(self.found, "rows without options, whose answer is one of them: name their column as choices", sample)
        if sample.choices:
            texts = [text.strip().casefold() for text in sample.choices.values()]
            if len(set(texts)) < len(texts):
                _note(self.doubtful, "rows with the same option twice", sample)
            if len(texts) == 1 and sample.answer_rule in _OPTION_RULES:
                _note(self.doubtful, "rows with one option only", sample)
            self._look_at_position(sample)
        if sample.answer_rule in {"accepted", "ocr"}:
            self._numbers.extend(text for text in sample.answers or () if _NUMBER.fullmatch(text.strip()))

    def _look_at_texts(self, sample: Sample) -> None:
        """Find texts that a value left behind."""
        options, answers = list(sample.choices.values()), list(sample.answers or ())
        if any(text.strip().casefold() in _MISSING for text in options):
            _note(self.found, 'options that are the text "nan" or the like, of a missing value: leave the cell empty',
                  sample)  # fmt: skip
        if sum(text.strip().casefold() == "none" for text in options) > 1:
            _note(self.found, 'several options that are the text "None": leave the cells empty', sample)
        if any(text.strip().casefold() in _MISSING for text in answers):
            _note(self.found, 'answers that are the text "nan" or the like, of a missing value', sample)
        if any(map(_PRINTED.fullmatch, map(str.strip, (sample.question, *options, *answers)))) or any(
            map(_PRINTED_STRUCT.fullmatch, map(str.strip, (*options, *answers)))
        ):
            _note(self.found, "texts that are the printed form of bytes, an array or a struct", sample)
        texts = (sample.question, *options, *answers)
        if any(_REPLACEMENT in text for text in texts):
            _note(self.found, "texts with replacement characters: they were read in another encoding than they have",
                  sample)  # fmt: skip
        garbled = next((text for text in texts if _ungarbled(text) is not None), None)
        if garbled is not None:
            what = "texts that look like UTF-8 read as Latin-1"
            shown = f"{garbled[:_LONGEST_SHOWN]!r} for {(_ungarbled(garbled) or '')[:_LONGEST_SHOWN]!r}"
            self.doubtful.setdefault(what, []).append(f"{sample.id} ({shown})")

    def _look_at_position(self, sample: Sample) -> None:
        """Count golds that may be the position of an option instead of its letter."""
        self._most_options = max(self._most_options, len(sample.choices))
        if sample.answer_rule in _OPTION_RULES and len(sample.answers or ()) > 1:
            _note(self.doubtful, "rows with several right options, of which any one counts", sample)
        for gold in sample.answers or ():
            if gold.strip().isascii() and gold.strip().isdecimal():
                self._golds[gold.strip()] += 1
                self._positions += 1
                if not gold_names((gold,), options_of(tuple(sample.choices.items())), texts_first=True):
                    self._no_letter += 1
            else:
                self._golds["other"] += 1

    def over_all(self) -> Iterator[str]:
        """Yield what only all rows together show, as faults."""
        if self._positions and self._no_letter and not self._golds["other"]:
            numbers = sorted({int(gold[:9]) for gold in self._golds})
            counted = "0" if numbers[0] == 0 else "1" if numbers[-1] >= self._most_options else "0 or 1"
            if numbers[-1] <= self._most_options - (numbers[0] == 0):
                yield (
                    f"the answers are numbers from {numbers[0]} to {numbers[-1]}, which seem to be the options' "
                    f"positions, counted from {counted}: write letters. Where an option's text is such a number, it "
                    "is taken for the answer"
                )
        if len(self._numbers) >= _LEAST_NUMBERS and all(
            _WHOLE_AS_FLOAT.fullmatch(text.strip()) for text in self._numbers
        ):
            yield (
                f"all {len(self._numbers)} answers that are numbers end in .0, such as {self._numbers[0].strip()!r}: "
                "a column of whole numbers that passed through floats, and an answer without .0 is not equal"
            )


def _is_lettered(question: str) -> bool:
    """Whether a question's own text holds options with letters."""
    return any(all(mark.search(question) for mark in marks) for marks in _LETTERED)


def _note(findings: dict[str, list[str]], what: str, sample: Sample) -> None:
    """Add a row to a finding."""
    findings.setdefault(what, []).append(sample.id)


def _ungarbled(text: str) -> str | None:
    """Return the text that was UTF-8 and was read as Latin-1 or Windows-1252; None for other texts."""
    if text.isascii():
        return None
    for encoding in ("cp1252", "latin-1"):
        try:
            return text.encode(encoding).decode("utf-8")
        except UnicodeError:
            continue
    return None


# --- the right answer in every usual dress ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Dresses:
    """How a row's right answer fares in every usual dress."""

    lost: tuple[str, ...]
    """Dresses that do not earn 1."""
    is_winnable: bool
    """Whether a plain one does: of options one that says the letter, which is what is asked for."""


class DressTrials:
    """Tries the dresses of right answers, of those that many rows share once."""

    def __init__(self) -> None:
        """Begin with nothing tried."""
        self._tried: dict[object, Dresses | None] = {}

    def of(self, sample: Sample) -> Dresses | None:
        """Return how a row's right answer fares; None where its gold is nothing that could be met."""
        official = tuple([(name, repr(value)) for name, value in sample.extra.items() if name not in _ROW_COLUMNS])
        key = (sample.answer_rule, sample.answers, tuple(sample.choices.items()), sample.category, official)
        if key in self._tried:
            return self._tried[key]
        unmet = not sample.answers or "no_gold" in check_answer(sample, sample.answers[0], "strict").faults
        found = None if unmet else try_dresses(sample)
        if len(self._tried) < _MOST_TRIED:
            self._tried[key] = found
        return found


def try_dresses(sample: Sample) -> Dresses:
    """Put every usual dress of a row's right answer through the scorer; none is lost where the gold says nothing."""
    gold, most = _best_gold(sample)
    if gold is None:
        return Dresses((), is_winnable=True)
    plain, others = _dresses_of(sample, gold)
    lost = [text for text in plain if not _wins(sample, text, most)]
    is_winnable = len(lost) < len(plain) or not plain
    return Dresses((*lost, *(text for text in others if not _wins(sample, text, most))), is_winnable)


def _best_gold(sample: Sample) -> tuple[str | None, float]:
    """Return the right answer, and what it earns: less than 1 where people disagree."""
    texts = golds_of(sample) if sample.answer_rule == "maths" else sample.answers or ()
    golds = [gold.strip() for gold in texts if gold.strip()]
    if sample.answer_rule != "vqa" or not golds:
        return next(iter(golds), None), 1.0
    earned = {gold: check_answer(sample, gold, "strict").value or 0.0 for gold in dict.fromkeys(golds)}
    best = max(golds, key=lambda gold: earned[gold])
    return best, earned[best] or 1.0  # nobody can be right where the best earns nothing


def _wins(sample: Sample, text: str, most: float) -> bool:
    """Return whether a text earns `most` as a whole, and in an answer stage."""
    if check_answer(sample, text, "strict").value != most:
        return False
    staged = _staged(text)
    if staged == text:  # as nearly always: it is the same answer
        return True
    return staged is not None and check_answer(sample, staged, "strict").value == most


@lru_cache(maxsize=4096)
def _staged(text: str) -> str | None:
    """Return what is scored of a text in an answer stage; None where it is taken for none.

    Words, numbers and ordinary punctuation hold no mark that a reader of stages looks for.
    """
    if _PLAIN.fullmatch(text):
        return text.strip()
    return read_text(f"<answer>{text}</answer>", "satori", "strict", None).answer


def _dresses_of(sample: Sample, gold: str) -> tuple[list[str], list[str]]:
    """Return how people and models usually write the right answer: plainly, and with or as an option's text."""
    rule = short_rule(sample) if sample.answer_rule == "short" else sample.answer_rule
    if sample.choices and rule in {*_OPTION_RULES, "mathvista", "maths"}:
        pairs = tuple(sample.choices.items())
        names = gold_names((gold,), options_of(pairs), texts_first=rule == "mathvista")
        if not names:
            return [], []
        name = min(names)
        return _of_letter(name), [f"{name}. {sample.choices[name]}", sample.choices[name]]
    if rule in _OPTION_RULES and not is_open(sample):
        return _of_letter(gold), []
    dresses = [gold, f"{gold}."]
    if rule == "yes_no":
        explained = f"{gold}, it is not." if gold.lower() == "no" else f"{gold}, it is."
        dresses += [gold.lower(), explained, rf"\boxed{{{gold}}}", f"The answer is {gold}."]
    if rule in {"number", "maths"} or sample.extra.get("answer_type") in ("integer", "float"):
        dresses += [rf"\boxed{{{gold}}}", f"${gold}$", f"The answer is {gold}."]
    return dresses, []


def _of_letter(letter: str) -> list[str]:
    """Return how an option's letter is usually given."""
    return [letter, f"({letter})", f"{letter}.", f"Option {letter}", rf"\boxed{{{letter}}}", f"The answer is {letter}."]


def gold_cell(doc: Doc, columns: tuple[str, ...]) -> object:
    """Return the first of these columns that a row fills."""
    return next((doc[column] for column in columns if list_of(doc.get(column))), None)


def shown_cell(cell: object) -> str:
    """Return a cell for a message."""
    texts = list_of(cell)
    return as_text(texts[0] if len(texts) == 1 else str(texts))[:_LONGEST_SHOWN]
