r"""OlympiadBench's judge of answers, as VLMEvalKit and lmms-eval run it.

Sources: `MathJudger` in VLMEvalKit's `vlmeval/dataset/utils/olympiadbench.py` (alike at e8e78f05 and 7faa5b47) and
`OlympiadBenchEvaluator` in lmms-eval 0.7.3's `olympiadbench/olympiadbench_evals.py`. Quirks that are kept:

- the answer is handed over where the gold is expected, so that a hundredth or a hundred times the answer may be the
  gold: 0.5 is right for 50, and 50 for 0.5;
- `sympy_sub_pi` is commented out in VLMEvalKit but still called: its comparison of values ends in an AttributeError
  that is swallowed, and only expressions that are built alike are equal (0.5 is no `\frac{1}{2}`, `\sqrt{12}` is no
  `2\sqrt{3}`). Two intervals or tuples of which one place is not built alike are wrong at once. lmms-eval compares
  values;
- intervals and tuples are compared up to the shorter one: (1,2) equals (1,2,3);
- equations are equal where one is a whole multiple of the other; decimals in them make no whole number;
- several answers are paired in any order, but the allowed errors are taken by place and removed by value;
- lmms-eval hands the allowed error over as the text that it is in the data, so that every comparison within it fails.
"""

from __future__ import annotations

import cmath
import math
import re
import zlib
from collections.abc import Sequence
from typing import Final

from harness.scoring.answers.peer_latex import Tree, UnreadableLatexError, has_decimals, read_latex, value_at, variables
from harness.scoring.answers.vlmevalkit import python_float

DEFAULT_ERROR: Final = 1e-8
"""How far numbers may be apart where a row does not say."""
MAX_PARTS: Final = 50
"""More answers in one are none that anybody compares."""

_BOX: Final = "\\boxed{"
_REWRITTEN: Final = (
    ("\\left", ""), ("\\right", ""), ("∶", ":"), ("，", ","), ("$", ""), ("\\approx", "="), ("\\simeq", "="),
    ("\\sim", "="), ("^\\prime", "'"), ("^{\\prime}", "'"), ("^\\circ", ""), ("%", ""),
)  # fmt: skip
_OUTER: Final = "\n$,.:;^_=+`!@#$%^&*~，。"
_FONT: Final = re.compile(
    # The two fonts that `MathJudger` takes off.
    r"\\(?:mathrm|mathbf)\{~?([^}]*)\}"
)
_CHINESE: Final = re.compile(r"[\u4e00-\u9fff]+")
_FORMULA: Final = re.compile(r"\$(.*?)\$")
_LONG: Final = 300
"""Longer expressions are compared by their build alone."""
_LARGEST_EXPONENT: Final = 1000
_POINTS: Final = 3
"""Places at which two expressions are compared; that they agree by accident at one is next to impossible."""
_SAME: Final = 1e-9
"""What counts as agreeing, relative to the size of the numbers."""
_SYMBOLIC_ERROR: Final = 1e-3
"""How far apart expressions with variables may be (lmms-eval)."""
_PI: Final[Tree] = ("symbol", "pi")


class JudgeEndedError(Exception):
    """The peer's program ends in an error at this answer: the whole evaluation stops there."""


def judged_equal(answer: str, gold: str, errors: Sequence[float | None], *, compares_values: bool) -> bool:
    """Return whether the judge calls an answer right.

    Args:
        answer: What was answered, from the last "So the final answer is" on.
        gold: The right answer.
        errors: How far numbers may be apart: one for all parts, or one a part; None is one that nothing is within.
        compares_values: Whether expressions are compared by value (lmms-eval), not by how they are built alone.

    Raises:
        JudgeEndedError: There are fewer errors than parts, which ends the peer's program.
    """
    try:
        answer, gold = _prepared(answer), _prepared(gold)
    except ValueError:
        return False
    if answer == gold:
        return True
    parts, golds = (_parts(_CHINESE.sub("", text)) for text in (answer, gold))
    if len(parts) != len(golds) or len(parts) > MAX_PARTS:
        return False
    return _paired(parts, golds, list(errors) * len(parts) if len(errors) <= 1 else list(errors), compares_values)


def _paired(parts: list[str], golds: list[str], errors: list[float | None], compares_values: bool) -> bool:
    place = -1
    while parts:
        place = (place + 1) % len(parts)
        if place >= len(errors):
            raise JudgeEndedError
        judge = _Judge(errors[place], compares_values)
        own = parts[place]
        match = next((gold for gold in golds if judge.equal(own, gold)), None)
        if match is None:
            return False
        parts.remove(own)
        golds.remove(match)
        errors.remove(judge.error)
    return True


def _prepared(text: str) -> str:
    """Return what stands in the boxes (else in the formulas of the last line, else the text), without ornaments.

    Raises:
        ValueError: A box is not closed.
    """
    text = _boxed(text)
    if "\\in " in text:
        text = text.split("\\in ")[1]
    for written, instead in _REWRITTEN:
        text = text.replace(written, instead)
    return _FONT.sub(r"\1", text.strip(_OUTER))


def _boxed(text: str) -> str:
    found: list[str] = []
    start = text.find(_BOX)
    while start >= 0:
        begin = start + len(_BOX)
        found.append(text[begin : _closing(text, begin)] + ",")
        start = text.find(_BOX, begin)  # a box within a box counts as well
    if "".join(found):
        return "".join(found)
    formulas = _FORMULA.findall(text.strip().rpartition("\n")[2])
    return "".join(f"{formula}," for formula in formulas) if formulas else text


def _closing(text: str, begin: int) -> int:
    depth = 1
    for place in range(begin, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return place
    raise ValueError("a box that is not closed")


def _parts(text: str) -> list[str]:
    r"""Return the answers that commas outside of brackets separate, one with `\pm` as two."""
    parts: list[str] = []
    depth = begin = 0
    for place, letter in enumerate(text):
        depth += (letter in "([") - (letter in ")]")
        if letter == "," and depth == 0:
            parts.append(text[begin:place].strip())
            begin = place + 1
    if begin < len(text):
        parts.append(text[begin:].strip())
    signed = ((part.replace("\\pm", "+"), part.replace("\\pm", "-")) if "\\pm" in part else (part,) for part in parts)
    return [one for several in signed for one in several]


class _Judge:
    """Compares one part with one gold, within one error."""

    def __init__(self, error: float | None, compares_values: bool) -> None:
        self.error = error
        self._compares_values = compares_values

    def equal(self, own: str, gold: str) -> bool:
        if own == gold and own:
            return True
        if _is_interval(own) and _is_interval(gold):
            equal = self._intervals_equal(own, gold)
            if equal is not False:
                return equal is True
        return (
            self._numbers_equal(own, gold)
            or (not ("=" in own and "=" in gold) and self._expressions_equal(own, gold) is True)
            or _equations_equal(own, gold)
        )

    def _within(self, distance: float) -> bool:
        return self.error is not None and distance <= self.error * 1.01

    def _numbers_equal(self, own: str, gold: str) -> bool:
        value, wanted = python_float(own), python_float(gold)
        if value is None or wanted is None:
            return False
        return any(self._within(abs(one - wanted)) for one in (value / 100, value, value * 100))

    def _intervals_equal(self, own: str, gold: str) -> bool | None:
        """Return whether intervals are equal; None where the peer's program ends in an error that it swallows."""
        owns, golds = own.split("\\cup"), gold.split("\\cup")
        if len(owns) != len(golds):
            return False
        for one, other in zip(owns, golds, strict=True):
            if not one or not other:
                return None
            if one[0] != other[0] or one[-1] != other[-1]:
                return False
            ends = zip(one.strip("[]()").split(","), other.strip("[]()").split(","), strict=False)
            for first, second in ends:
                equal = self._expressions_equal(first, second)
                if not equal:
                    return equal
        return True

    def _expressions_equal(self, own: str, gold: str) -> bool | None:
        """Return whether what stands behind the equals signs is equal; None where the program ends in an error."""
        own, gold = (text.split("=")[1].strip() if "=" in text else text.strip() for text in (own, gold))
        try:
            first, second = read_latex(own), read_latex(gold)
        except UnreadableLatexError:
            return None
        if first == second:
            return True
        if not self._compares_values or "relation" in (first[0], second[0]):
            return None
        return self._values_equal(first, second, max(len(own), len(gold)) > _LONG)

    def _values_equal(self, first: Tree, second: Tree, is_long: bool) -> bool:
        has_variables = [bool(variables(tree) - {_PI}) for tree in (first, second)]
        if has_variables[0] != has_variables[1] or is_long or not (_is_computable(first) and _is_computable(second)):
            return False
        differences = _differences(first, second)
        if differences is None:
            return False
        if has_variables[0]:
            return all(abs(difference) < _SYMBOLIC_ERROR for difference, _ in differences)
        difference, size = differences[0]
        # sympy computes to 15 digits, of which the last ones agree.
        return self._within(0.0 if abs(difference) <= 1e-15 * size else abs(difference))


def _is_interval(text: str) -> bool:
    return text.startswith(("(", "[")) and text.endswith((")", "]"))


def _is_computable(tree: Tree) -> bool:
    """Return whether a number is no power with an exponent beyond 1000, which the peers do not compute."""
    if tree[0] != "pow" or variables(tree) - {_PI}:
        return True
    exponent = tree[2]
    value = _valued(exponent, 0) if isinstance(exponent, tuple) else None
    return value is not None and abs(value) <= _LARGEST_EXPONENT


def _point(tree: Tree, turn: int) -> complex:
    """Return the number that stands for a variable at a turn: the same for the same variable, unlike all others."""
    if tree == _PI:
        return complex(math.pi)
    mixed = zlib.crc32(repr((turn, tree)).encode())
    return cmath.rect(0.6 + (mixed & 0xFFFF) / 0x10000, (mixed >> 16) / 0x10000 * 2 * math.pi)


def _valued(tree: Tree, turn: int, *, pi_is_symbol: bool = False) -> complex | None:
    """Return the value of an expression at a turn's points; None where it has none that can be computed."""

    def at(symbol: Tree) -> complex:
        return _point(("symbol", "pi", "itself") if pi_is_symbol and symbol == _PI else symbol, turn)

    try:
        value = value_at(tree, at)
    except (ArithmeticError, ValueError, RecursionError):
        return None
    return value if cmath.isfinite(value) else None


def _differences(first: Tree, second: Tree) -> list[tuple[complex, float]] | None:
    """Return the difference of two expressions at each point, and how large they are there."""
    found: list[tuple[complex, float]] = []
    for turn in range(_POINTS):
        one, other = _valued(first, turn), _valued(second, turn)
        if one is None or other is None:
            return None
        found.append((one - other, max(abs(one), abs(other), 1.0)))
    return found


def _equations_equal(own: str, gold: str) -> bool:
    """Return whether two equations, all brought to one side, are whole multiples of each other."""
    sides = [_sides(own), _sides(gold)]
    if sides[0] is None or sides[1] is None:
        return False
    first, second = sides[0], sides[1]
    if not variables(first) or not variables(second):
        return False  # sympy decides 1 = 1 at once, and what is decided has no sides
    if has_decimals(first) or has_decimals(second):
        return first == second  # a quotient of decimals is no Integer
    return _is_whole_multiple(first, second) or _is_whole_multiple(second, first)


def _sides(text: str) -> Tree | None:
    """Return the left side of an equation less its right side; None where it is none."""
    parts = text.split("=")
    if len(parts) != _TWO:
        return None
    try:
        left, right = map(read_latex, parts)
    except UnreadableLatexError:
        return None
    return None if "relation" in (left[0], right[0]) else ("add", left, ("mul", ("number", -1), right))


_TWO: Final = 2


def _is_whole_multiple(first: Tree, second: Tree) -> bool:
    ratios: list[complex] = []
    for turn in range(_POINTS):
        values = [_valued(tree, turn, pi_is_symbol=True) for tree in (first, second)]
        if values[0] is None or values[1] is None or abs(values[1]) < _SAME:
            return False
        ratios.append(values[0] / values[1])
    whole = round(ratios[0].real)
    return whole != 0 and all(abs(ratio - whole) <= _SAME * abs(whole) for ratio in ratios)
