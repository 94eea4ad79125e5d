r"""Compare mathematical answers by what they mean: the rule `maths` of `strict`.

Sources: MathVision (Wang et al. 2024, arXiv 2402.14804), MathVerse (Zhang et al. 2024, arXiv 2403.14624) and
OlympiadBench (He et al. 2024, arXiv 2402.14008, section 3.3 and its `math_judger.py`: numbers within `error`, intervals
by ends and brackets, several answers in any order, expressions and equations by algebra).

An answer is right when it states the gold: an expression of the same value for all letters; of a tuple or interval the
same things in the same order and brackets; of a set, or of several answers, the same things in any order; an equation
with the same solutions up to a constant factor. `x = 5` states 5. A number may be off by `error` where the row has
one, and else must be exact; only a root, a power of pi or a function's value may stand for a gold of three digits and
more that is its rounding. 50 % is 50 and 0.5, 30° is 30 and π/6, as far as each is asked for.

What two people would read in two ways earns nothing (`no_match`), and so does what is too large to be compared. Where
it is the gold that no rule can read, or where time runs out, the value is None with `needs_judge`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from typing import Final

from harness.scoring.answers.algebra import (
    Effort,
    Quotient,
    UnreadableError,
    add,
    equal,
    letters_of,
    negative,
    proportional,
    rational,
    value_of,
)
from harness.scoring.answers.comparisons import NO_MATCH, compare_options
from harness.scoring.answers.expressions import ForeignError, read_expression
from harness.scoring.answers.maths_parts import (
    SET_OPENS,
    Bracketed,
    Part,
    Related,
    Statement,
    United,
    Value,
    bare,
    read_statement,
    undressed,
)
from harness.scoring.answers.maths_stated import is_prose, stated_piece, stated_words
from harness.scoring.answers.number import Number, read_number
from harness.scoring.answers.symbolic import compare
from harness.scoring.answers.text import asks, text_key
from harness.scoring.answers.unit_suffix import scale_between, split_unit
from harness.scoring.answers.vlmevalkit import python_float, shown
from harness.values import AnswerCheck, Sample

_OF_OPTIONS: Final = frozenset((None, "", "multi_choice", "multi-choice", "multiple_choice"))
_SIGNIFICANT: Final = 3
"""A gold of fewer digits may be exact by itself; of as many it can be known for a rounding."""
_ABOUT: Final = Fraction(1, 50)
"""What stands behind ≈ is as near as that."""
_FLIPPED: Final = str.maketrans("<>≤≥", "><≥≤")
_NAME: Final = re.compile(
    # A letter; an index; a command; a power of one digit; a mark of a name, of a sum of names, of a condition; an index
    # without braces; an argument that is a number.
    r"(?:[^\W\d]|_\{?\w+\}?|\\[A-Za-z]+|\^\{?\d\}?|[ '()°△∠+{}|,]|_\d+|\(-?\d+\))+\Z"
)
"""What is given a value: x, S_1, \\angle ABC, f(x), AB + CD; a number before it would ask for something else."""
_AROUND_LISTS: Final = ("()", "[]", "⦃⦄")
_OF_A_FUNCTION: Final = re.compile(
    # With or without the backslash, which many forget.
    r"\\?(?:sin|cos|tan|cot|sec|csc|log|ln|lg|exp)"
)
"""The degrees or percent behind it are its argument's."""
_EMPTY: Final = "∅"
_ANY_BRACKETS: Final = frozenset("([")


@dataclass(frozen=True, slots=True)
class _Gold:
    """One accepted answer."""

    text: str
    """As the row has it."""
    key: str
    """As a text is compared."""
    number: Number | None
    """Its number, where it is one."""
    statement: Statement | None
    """What it states, if it can be taken apart."""
    unit: str
    """In what it is measured, where that is said."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a row asks for."""

    golds: tuple[_Gold, ...]
    """Any of them is right; where several answers are asked for there is one, which lists them."""
    errors: tuple[Fraction, ...]
    """How far a number may be off: nothing, one distance, or one for each of several answers."""
    several: bool
    """Whether the answer is a list."""
    answer_type: str
    """What the gold is, in lower case; empty where the row does not say."""


def check_maths(sample: Sample, answer: str, judge_reply: str | None) -> AnswerCheck:
    """Score a mathematical answer; never raises for what is written, and takes a bounded time.

    Args:
        sample: The question. With `choices` it asks for an option, unless `extra["question_type"]` is another one than
            a choice. Else `answers` hold the golds in LaTeX or plain, and of `extra` these count: `answer_type` (what
            the gold is, as OlympiadBench names it), `error` (how far a number may be off), `unit`, and
            `is_multiple_answer` (all golds together are the answer, in any order).
        answer: The answer.
        judge_reply: What a judge replied, if one was asked; read where the answer itself says nothing.
    """
    if sample.choices and sample.extra.get("question_type") in _OF_OPTIONS:
        return compare_options(sample, answer, judge_reply, texts_first=False)
    extra = sample.extra
    asked = _asked(
        golds_of(sample),
        str(extra.get("error") or ""),
        str(extra.get("unit") or ""),
        _wants_several(sample),
        str(extra.get("answer_type") or "").lower(),
    )
    check = _check(asked, answer)
    if judge_reply is None or check.value or not check.faults:
        return check
    replied = _check(asked, judge_reply)
    return AnswerCheck(0.0, replied.extracted, ("no_match",)) if replied.value is None and asked.golds else replied


def golds_of(sample: Sample) -> tuple[str, ...]:
    """Return the texts any of which is a whole right answer: of several answers the one that lists them."""
    texts = tuple(gold for gold in sample.answers or () if gold.strip())
    return (", ".join(texts),) if len(texts) > 1 and _wants_several(sample) else texts


def _wants_several(sample: Sample) -> bool:
    return str(sample.extra.get("is_multiple_answer") or "").lower() in {"true", "1"}


@lru_cache(maxsize=2048)
def _asked(golds: tuple[str, ...], error: str, unit: str, several: bool, answer_type: str) -> _Asked:
    """Return what a row asks for, remembered: training scores the same one many times."""
    return _Asked(tuple(_gold(text, unit, several=several) for text in golds), _tolerances(error), several, answer_type)


def _gold(text: str, unit: str, *, several: bool) -> _Gold:
    plain = text.strip()
    statement = read_statement(plain, several=several)
    related = statement is not None and isinstance(statement.parts[0], Related)
    number = None if several or related else read_number(plain)
    if not unit and statement is not None and len(statement.parts) == 1:
        found = split_unit(statement.text)
        unit = found[1] if found else ""
    return _Gold(text, text_key(plain), number, statement, unit)


def _tolerances(error: str) -> tuple[Fraction, ...]:
    """Return how far numbers may be off, as a row says it: "1e-1", or "1e-1,5e-2" for two answers."""
    values = [python_float(part) for part in error.split(",") if part.strip()]
    if any(value is None or not math.isfinite(value) for value in values):
        return ()
    return tuple(abs(Fraction(repr(value))) for value in values)


def _check(asked: _Asked, answer: str) -> AnswerCheck:
    """Score one text."""
    if not asked.golds:
        return AnswerCheck(None, shown(answer), ("no_gold",))
    if answer.strip() in {gold.text.strip() for gold in asked.golds}:
        return AnswerCheck(1.0, shown(answer))
    piece = stated_piece(answer)
    number = None if asked.several else read_number(piece if piece is not None and "box" in answer else answer)
    statement = None if piece is None else read_statement(piece, several=asked.several)
    if number is None and (statement is None or asks(piece or "")):
        return _of_text(asked, answer)
    extracted = str(number) if statement is None else shown(statement.text)
    undecided = unread = False
    for gold in asked.golds:
        try:
            if _states(gold, asked, number, statement, answer.strip() if piece is None else piece):
                return AnswerCheck(1.0, extracted)
        except _UndecidedError:
            undecided = True
        except UnreadableError:
            unread = True
    if undecided:
        return AnswerCheck(None, extracted, ("needs_judge",))
    return NO_MATCH if unread else AnswerCheck(0.0, extracted)


class _UndecidedError(Exception):
    """No rule can tell whether an answer states the gold."""


def _of_text(asked: _Asked, answer: str) -> AnswerCheck:
    """Score a text that states nothing mathematical: right where it is a gold's text, as where the gold is words."""
    words = stated_words(answer)
    keys = {text_key(answer), text_key(words), bare(undressed(words))} - {""}
    if not asks(answer) and any({gold.key, bare(undressed(gold.text))} & keys for gold in asked.golds):
        return AnswerCheck(1.0, shown(answer))
    if keys and all(_is_words(gold) for gold in asked.golds):
        return AnswerCheck(None, shown(answer), ("needs_judge",))
    return NO_MATCH


def _is_words(gold: _Gold) -> bool:
    return gold.number is None and (gold.statement is None or is_prose(gold.statement.text))


def _states(gold: _Gold, asked: _Asked, number: Number | None, statement: Statement | None, answer: str) -> bool:
    """Return whether an answer states the gold.

    Raises:
        _UndecidedError: Only a judge can tell.
        UnreadableError: The answer can be read in no way, or in several.
    """
    if statement is not None and gold.statement is not None and bare(statement.text) == bare(gold.statement.text):
        return True
    if _is_words(gold) and gold.key and text_key(answer) == gold.key:
        return True
    if number is not None and gold.number is not None:
        scale = _scale(gold.unit, answer)
        return scale is not None and any(
            _is_near(one * scale, other, asked.errors) for one in number.readings for other in gold.number.readings
        )
    if _is_words(gold) or gold.statement is None:
        raise _UndecidedError
    if statement is None:
        # A number in a sentence, compared with what is no number by itself.
        assert number is not None, "one of the two is there"
        statement = read_statement(str(number))
        assert statement is not None, "a number can be taken apart"
    return _Comparison(asked, gold.unit).statements(gold.statement, statement)


def _scale(unit: str, answer: str) -> Fraction | None:
    """Return by what an answer is multiplied to be in the gold's unit; one without a unit is in the gold's."""
    found = split_unit(undressed(answer)) if unit else None
    return Fraction(1) if found is None else scale_between(found[1], unit)


def _is_near(value: Fraction, gold: Fraction, errors: tuple[Fraction, ...]) -> bool:
    return abs(value - gold) <= min(errors, default=0)


@dataclass(frozen=True, slots=True)
class _Comparison:
    """Compares an answer's parts with a gold's."""

    asked: _Asked
    """What the row asks for."""
    unit: str
    """The gold's unit, if there is one."""

    def statements(self, gold: Statement, answer: Statement) -> bool:
        """Return whether an answer states a gold."""
        golds, parts = gold.parts, answer.parts
        if len(golds) == 1:
            only = golds[0]
            if len(parts) == 1:
                return self.part(only, parts[0])
            if not isinstance(only, Bracketed):
                return False
            if only.opens == SET_OPENS:
                return self.any_order(only.parts, parts)
            # "1, 2" for (1, 2), and "a = 1, b = 2" where the names are in order
            return (
                only.opens == "(" and _in_order(parts) and not answer.alternatives and self.in_order(only.parts, parts)
            )
        listed = parts[0] if len(parts) == 1 else None
        if isinstance(listed, Bracketed) and not any(isinstance(it, Bracketed) for it in golds):
            if listed.opens + listed.closes not in _AROUND_LISTS:
                return False
            parts = listed.parts
        if self.asked.several or gold.alternatives or all(isinstance(it, Related) for it in golds):
            return self.any_order(golds, parts)
        return self.in_order(golds, parts)

    def in_order(self, golds: Sequence[Part], parts: Sequence[Part]) -> bool:
        """Return whether parts are the golds, one by one."""
        return len(golds) == len(parts) and all(
            self.within(order, len(golds)).part(gold, part)
            for order, (gold, part) in enumerate(zip(golds, parts, strict=True))
        )

    def within(self, order: int, count: int) -> _Comparison:
        """Return the comparison with one of several golds, for which the row may have a tolerance of its own."""
        errors = self.asked.errors
        if len(errors) != count or count == 1:
            return self
        return replace(self, asked=replace(self.asked, errors=errors[order : order + 1]))

    def any_order(self, golds: Sequence[Part], parts: Sequence[Part]) -> bool:
        """Return whether each part is another gold, and none is left."""
        left = list(parts)
        if len(golds) != len(left):
            return False
        for order, gold in enumerate(golds):
            within = self.within(order, len(golds))
            found = next((at for at, part in enumerate(left) if within.part(gold, part)), None)
            if found is None:
                return False
            del left[found]
        return True

    def part(self, gold: Part, part: Part) -> bool:
        """Return whether a part is the gold's."""
        if isinstance(part, Related) and not isinstance(gold, Related):
            return self.related_to_value(gold, part)
        if isinstance(gold, Related):
            return self.relation(gold, part)
        if isinstance(gold, United):
            return isinstance(part, United) and self.any_order(gold.parts, part.parts)
        if isinstance(gold, Bracketed):
            return isinstance(part, Bracketed) and self.bracketed(gold, part)
        return isinstance(part, Value) and self.value(gold.text, part.text)

    def bracketed(self, gold: Bracketed, part: Bracketed) -> bool:
        """Return whether two things in brackets are the same: of a set in any order, else in order and brackets.

        A tuple may stand in square brackets; two ends of an interval may not.
        """
        if gold.opens == SET_OPENS:
            return part.opens == SET_OPENS and self.any_order(gold.parts, part.parts)
        same = (gold.opens, gold.closes) == (part.opens, part.closes)
        tuples = self.asked.answer_type == "tuple" or len(gold.parts) > len("ab")
        loose = tuples and gold.opens in _ANY_BRACKETS and part.opens in _ANY_BRACKETS
        return (same or loose) and self.in_order(gold.parts, part.parts)

    # --- equations and inequalities ---

    def related_to_value(self, gold: Part, part: Related) -> bool:
        """Return whether what an answer gives for equal to a name, or to itself, is the gold."""
        if set(part.signs) <= {"=", "≈"}:
            return self.chain(gold, part)
        interval = _interval(part)
        return interval is not None and not isinstance(gold, Value) and self.part(gold, interval)

    def chain(self, gold: Part, part: Related) -> bool:
        """Return whether "x = 6/2 = 3" states the gold: some side is it, and no other one contradicts."""
        sides = part.sides
        first = sides[0]
        if isinstance(first, Value) and _NAME.match(first.text) and not _is_constant(first.text):
            sides = sides[1:]
            signs = part.signs[1:]
        else:
            signs = part.signs
            if len(sides) == 2 and not _is_constant_part(first):
                return False
        if not any(self.part(gold, side) for side in sides if not isinstance(side, Related)):
            return False
        return all(_follows(one, other, sign) for (one, other), sign in zip(pairwise(sides), signs, strict=True))

    def relation(self, gold: Related, part: Part) -> bool:
        """Return whether an answer is the gold's equation or inequality."""
        if set(gold.signs) != {"="}:
            return self.inequality(gold, part)
        left, right = gold.sides[0], gold.sides[-1]
        if len(gold.signs) > 1:  # a chain: what its last side is worth
            return self.part(right, part)
        if isinstance(part, Value | Bracketed | United):
            named = isinstance(left, Value) and _NAME.match(left.text) is not None
            return (
                named and (self.asked.answer_type != "equation" or _is_constant_part(right)) and self.part(right, part)
            )
        if set(part.signs) != {"="}:
            return False
        if not all(isinstance(side, Value) for side in (*gold.sides, *part.sides)):
            return bare(_text_of(left)) == bare(_text_of(part.sides[0])) and self.part(right, part.sides[-1])
        texts = [_text_of(side) for side in part.sides]
        if any(not equal(read_expression(one), read_expression(other)) for one, other in pairwise(texts[1:])):
            return False
        return proportional(_difference(_text_of(left), _text_of(right)), _difference(texts[0], texts[-1]))

    def inequality(self, gold: Related, part: Part) -> bool:
        """Return whether an answer is the gold's inequality: the same sides, or the same interval."""
        interval = _interval(gold)
        if isinstance(part, Related):
            sides, signs = part.sides, part.signs
            turned = tuple(reversed(sides)), signs[::-1].translate(_FLIPPED)
            for one, its_signs in ((sides, signs), turned):
                if its_signs == gold.signs and self.in_order(gold.sides, one):
                    return True
            other = _interval(part)
        else:
            other = part
        return interval is not None and other is not None and self.part(interval, other)

    # --- values ---

    def value(self, gold: str, text: str) -> bool:
        """Return whether two values are equal in any of their readings."""
        if bare(gold) == bare(text):
            return True
        if _EMPTY in {gold, text}:
            return False
        faults: list[UnreadableError] = []
        for one in _readings(gold, faults):
            for other in _readings(text, faults):
                scale = scale_between(other.unit, self.unit) if other.unit and self.unit else Fraction(1)
                if scale is not None and self.same(one.worth, other.worth, scale, gold):
                    return True
        if not faults:
            return False
        if any(not isinstance(fault, ForeignError) for fault in faults):
            raise faults[0]
        return _by_sympy(gold, text)

    def same(self, gold: Quotient, worth: Quotient, scale: Fraction, written: str) -> bool:
        """Return whether two expressions are the same value, or near enough where that is enough."""
        exact = rational(gold)
        if exact is not None and (number := rational(worth)) is not None:
            return _is_near(number * scale, exact, self.asked.errors)
        if scale == 1 and equal(gold, worth):
            return True
        if self.asked.errors:
            return _is_within(gold, worth, scale, min(self.asked.errors))
        return scale == 1 and exact is not None and _rounds_to(worth, written)


def _is_within(gold: Quotient, worth: Quotient, scale: Fraction, error: Fraction) -> bool:
    one, other = value_of(worth), value_of(gold)
    return one is not None and other is not None and abs(one * float(scale) - other) <= float(error)


def _rounds_to(worth: Quotient, written: str) -> bool:
    """Return whether a value that no decimal can write is rounded to the gold: 1.73 is √3's rounding."""
    digits = re.compile(r"-?\d*\.(\d+)\Z").match(written)
    if digits is None or len(written.lstrip("-0.").replace(".", "")) < _SIGNIFICANT or rational(worth) is not None:
        return False
    value = value_of(worth)
    return value is not None and abs(value - float(written)) <= 0.5 * 10 ** -len(digits[1])


@dataclass(frozen=True, slots=True)
class _Reading:
    """One of the things that a value can mean."""

    worth: Quotient
    """What it is worth."""
    unit: str = ""
    """In what unit; empty for none."""


def _readings(text: str, faults: list[UnreadableError]) -> Iterator[_Reading]:
    """Yield what a value can mean: all of it, or what stands before a percent sign, a degree sign or a unit.

    What cannot be read at all is told in `faults`.
    """
    found = list(_whole_and_parts(text))
    if not found:
        try:
            read_expression(text)
        except UnreadableError as fault:
            faults.append(fault)
    yield from found


def _whole_and_parts(text: str) -> Iterator[_Reading]:
    stem, unit = text, ""
    if (whole := _read(text)) is not None:
        yield _Reading(whole)
    if (split := split_unit(text)) is not None:
        stem, unit = split
        if (worth := _read(stem)) is not None:
            yield _Reading(worth, unit)
    if stem[-1:] in {"%", "°"} and not _OF_A_FUNCTION.search(stem) and (worth := _read(stem[:-1])) is not None:
        yield _Reading(worth, unit)


@lru_cache(maxsize=512)
def _read(text: str) -> Quotient | None:
    try:
        return read_expression(text)
    except UnreadableError:
        return None


def _by_sympy(gold: str, text: str) -> bool:
    """Return what sympy says of two values of which our own reader does not know one."""
    if is_prose(text):
        raise UnreadableError("words")
    verdict = compare(gold, text)
    if verdict == "unreadable":
        raise UnreadableError("sympy cannot read it either")
    if verdict == "undecided":
        raise _UndecidedError
    return verdict == "equal"


def _difference(one: str, other: str) -> Quotient:
    return add(read_expression(one), negative(read_expression(other)), Effort())


def _text_of(part: Part) -> str:
    return part.text if isinstance(part, Value) else ""


def _is_constant(text: str) -> bool:
    worth = _read(text)
    return worth is not None and not letters_of(worth)


def _is_constant_part(part: Part) -> bool:
    if isinstance(part, Value):
        return _is_constant(part.text)
    return isinstance(part, Bracketed) and all(map(_is_constant_part, part.parts))


def _follows(one: Part, other: Part, sign: str) -> bool:
    """Return whether a side is what the one before it is said to equal; sides that are no values are believed."""
    if not (isinstance(one, Value) and isinstance(other, Value)):
        return True
    pairs = [(first, second) for first in _readings(one.text, []) for second in _readings(other.text, [])]
    if not pairs:
        return True
    if sign == "=":
        return any(equal(first.worth, second.worth) or _writes(second.worth, first.worth) for first, second in pairs)
    return any(_is_about(first.worth, second.worth) for first, second in pairs)


def _is_about(one: Quotient, other: Quotient) -> bool:
    first, second = value_of(one), value_of(other)
    return (
        first is not None and second is not None and abs(first - second) <= float(_ABOUT) * max(abs(first), abs(second))
    )


_writes: Callable[[Quotient, Quotient], bool] = _is_about
"""Many write = before a rounding."""


def _in_order(parts: Sequence[Part]) -> bool:
    """Return whether names that parts give to values are in the order of the alphabet, or there are none."""
    names = [bare(_text_of(part.sides[0])) for part in parts if isinstance(part, Related)]
    return not names or (len(names) == len(parts) and names == sorted(names))


def _interval(part: Related) -> Bracketed | None:
    """Return the interval that an inequality of one name says; None for others."""
    sides, signs = part.sides, part.signs
    if any(sign in signs for sign in "≠=≈"):
        return None
    if len(sides) == 2:
        if _is_name(sides[1]):
            sides, signs = (sides[1], sides[0]), signs.translate(_FLIPPED)
        if not _is_name(sides[0]):
            return None
        closed = signs in "≤≥"
        if signs in "<≤":
            return Bracketed("(", (Value("-∞"), sides[1]), "]" if closed else ")")
        return Bracketed("[" if closed else "(", (sides[1], Value("∞")), ")")
    if len(sides) != 3 or not _is_name(sides[1]):
        return None
    if set(signs) <= {">", "≥"}:
        sides, signs = tuple(reversed(sides)), signs[::-1].translate(_FLIPPED)
    if not set(signs) <= {"<", "≤"}:
        return None
    return Bracketed("[" if signs[0] == "≤" else "(", (sides[0], sides[2]), "]" if signs[1] == "≤" else ")")


def _is_name(part: Part) -> bool:
    return isinstance(part, Value) and _NAME.match(part.text) is not None and not _is_constant(part.text)
