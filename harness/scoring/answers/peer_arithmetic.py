r"""What the peers' programs make of a written number: Python's `eval`, and `latex2sympy` printed and read by `eval`.

VLMEvalKit's `dataset/utils/mathv.py` and lmms-eval's `mathvision/eval_utils.py` hand a model's words to `eval`. Nothing
is evaluated here: two small parsers read the arithmetic that comes out of it as a plain number, and only that. A name,
a function, a list, a comparison or a root is no plain number there either: `eval` meets `sqrt(4)`, `pi` or `Eq(x, 5)`
as sympy prints them and stops at a name that it does not know.

Two libraries are called latex2sympy. VLMEvalKit at e8e78f05 asks for latex2sympy2_extended (1.11.0 was run beside
this), at 7faa5b47 for latex2sympy2, as lmms-eval 0.7.3 does (1.9.1 was run). What they make of the same text:

===================== ======================= =================
text                  latex2sympy2_extended   latex2sympy2
===================== ======================= =================
`\boxed{5}`           5                       nothing
`2\frac{1}{2}`        2.5, a mixed number     1.0, a product
`3(4)`                7, mixed as well        12
`50\%`                nothing, an error       0.5
`12^\circ`            12                      nothing
`x=5`                 an equation: nothing    5
`5. So it is`         nothing                 5
===================== ======================= =================
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Literal, TypeAlias

Plain: TypeAlias = int | float
"""A number as Python holds it."""

Library: TypeAlias = Literal["latex2sympy2", "latex2sympy2_extended"]
"""Whose reading of LaTeX."""

MAX_CHARACTERS: Final = 1_000
"""A longer text is no number; nobody writes one so long, and reading is bounded by it."""
MAX_DEPTH: Final = 60
"""Brackets within brackets."""
MAX_BITS: Final = 20_000
"""A greater whole number is none: the peers would compute for seconds and print thousands of digits."""


class _NoNumberError(Exception):
    """The text is no plain number."""


def close(first: Plain | None, second: Plain | None, within: float) -> bool:
    """Return whether two numbers are there and less than `within` apart."""
    try:
        return first is not None and second is not None and abs(first - second) < within
    except OverflowError:  # a whole number beyond the floats, beside a float
        return False


# --- Python ------------------------------------------------------------------------------------------------------

_PYTHON_TOKEN: Final = re.compile(
    r"[ \t\f]*(?:"
    r"(?P<hex>0[xX](?:_?[0-9a-fA-F])+)|(?P<bin>0[bB](?:_?[01])+)|(?P<oct>0[oO](?:_?[0-7])+)"
    # Python reads 1_000 and 1e-3, but no 007; 1. and .5 are floats.
    r"|(?P<float>(?:\d+(?:_\d+)*)?\.\d+(?:_\d+)*(?:[eE][+-]?\d+)?|\d+(?:_\d+)*(?:\.(?:[eE][+-]?\d+)?|[eE][+-]?\d+))"
    r"|(?P<int>0(?:_?0)*(?!\d)|[1-9]\d*(?:_\d+)*)"
    r"|(?P<name>[A-Za-z_]\w*)|(?P<op>\*\*|//|<<|>>|<=|>=|==|!=|[-+*/%()~&|^<>])|(?P<end>(?:#[^\n]*)?[ \t\f\n]*\Z))"
)
_BINARY: Final[Mapping[str, int]] = {
    "|": 1, "^": 2, "&": 3, "<<": 4, ">>": 4, "+": 5, "-": 5, "*": 6, "/": 6, "//": 6, "%": 6, "**": 8,
}  # fmt: skip
"""How tightly an operator binds; signs bind at 7."""
_SIGN: Final = 7


def python_value(text: str, names: Mapping[str, Plain] | None = None) -> Plain | None:
    """Return the number that Python's `eval` would make of a text; None where it would fail or make anything else.

    Args:
        text: Anything; arithmetic of Python is read, with `or`, `and`, `not`, comparisons and comments.
        names: What a name stands for.
    """
    if len(text) > MAX_CHARACTERS:
        return None
    try:
        return _Python(text, names or {}).value()
    except (_NoNumberError, ZeroDivisionError, OverflowError, ValueError):
        return None


class _Python:
    """A reader of arithmetic by precedence."""

    def __init__(self, text: str, names: Mapping[str, Plain]) -> None:
        self._text, self._names = text.lstrip(" \t"), names
        self._place = self._depth = 0
        self._kind, self._word = "", ""
        self._next()

    def value(self) -> Plain:
        found = self._either()
        if self._kind != "end":
            raise _NoNumberError
        return found

    def _either(self) -> Plain:
        """Return the first of "3 or 4" that is not 0, as `or` has it; "3 and 4" is 4."""
        self._deeper()
        found = self._both()
        while self._word == "or":
            self._next()
            other = self._both()
            found = found or other
        self._depth -= 1
        return found

    def _both(self) -> Plain:
        found = self._denied()
        while self._word == "and":
            self._next()
            other = self._denied()
            found = found and other
        return found

    def _denied(self) -> Plain:
        if self._word != "not":
            return self._compared()
        self._deeper()
        self._next()
        found = not self._denied()
        self._depth -= 1
        return int(found)

    def _compared(self) -> Plain:
        """Return 1 or 0 for a comparison: True is a number to Python."""
        left = self._expression(0)
        if self._word not in _COMPARISONS:
            return left
        is_so = True
        while self._word in _COMPARISONS:
            holds = _COMPARISONS[self._take()]
            right = self._expression(0)
            is_so, left = is_so and holds(left, right), right
        return int(is_so)

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _NoNumberError

    def _next(self) -> None:
        match = _PYTHON_TOKEN.match(self._text, self._place)
        if match is None or match.lastgroup is None:
            raise _NoNumberError
        self._kind, self._word, self._place = match.lastgroup, match.group(match.lastgroup), match.end()

    def _take(self) -> str:
        word = self._word
        self._next()
        return word

    def _expression(self, least: int) -> Plain:
        self._deeper()
        left = self._operand()
        while self._kind == "op" and _BINARY.get(self._word, -1) >= least:
            sign = self._take()
            # Powers bind to the right, and a sign may follow: 2**-1.
            right = self._expression(_SIGN if sign == "**" else _BINARY[sign] + 1)
            left = _apply(sign, left, right)
        self._depth -= 1
        return left

    def _operand(self) -> Plain:
        kind, word = self._kind, self._word
        self._next()
        if kind == "op" and word in "+-~":
            inner = self._expression(_SIGN)
            return _signed(word, inner)
        if kind == "op" and word == "(":
            inner = self._either()
            if self._word != ")":
                raise _NoNumberError
            self._next()
            return inner
        if kind == "name" and word in self._names:
            return self._names[word]
        return _python_literal(kind, word)


_COMPARISONS: Final[Mapping[str, Callable[[Plain, Plain], bool]]] = {
    "<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip


def _python_literal(kind: str, word: str) -> Plain:
    if kind == "float":
        return float(word)
    bases = {"hex": 16, "bin": 2, "oct": 8, "int": 10}
    if kind not in bases:
        raise _NoNumberError
    return int(word, bases[kind])


def _signed(sign: str, value: Plain) -> Plain:
    if sign == "~":
        return ~_whole(value)
    return -value if sign == "-" else +value


def _whole(value: Plain) -> int:
    if not isinstance(value, int):
        raise _NoNumberError
    return value


_OPERATIONS: Final[Mapping[str, Callable[[Plain, Plain], Plain]]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "//": lambda a, b: a // b,
    "%": lambda a, b: a % b,
    "&": lambda a, b: _whole(a) & _whole(b),
    "|": lambda a, b: _whole(a) | _whole(b),
    # `eval` takes 2^3 for "either bit": 1. Both peers go on to LaTeX where that is not the gold.
    "^": lambda a, b: _whole(a) ^ _whole(b),
    ">>": lambda a, b: _whole(a) >> min(_whole(b), MAX_BITS),
}


def _apply(sign: str, left: Plain, right: Plain) -> Plain:
    if sign == "**":
        return power(left, right)
    if sign == "<<":
        return power(2, min(_whole(right), MAX_BITS)) * _whole(left) if _whole(right) >= 0 else _no_number()
    return _bounded(_OPERATIONS[sign](left, right))


def _no_number() -> int:
    raise _NoNumberError


def _bounded(value: Plain) -> Plain:
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise _NoNumberError
    return value


def power(base: Plain, exponent: Plain) -> Plain:
    """Return `base ** exponent` as Python has it; raises where the result is complex, undefined or too large."""
    if isinstance(base, int) and isinstance(exponent, int) and exponent > 0:
        if base.bit_length() * exponent > MAX_BITS and abs(base) > 1:
            raise _NoNumberError
        return base**exponent
    value = base**exponent
    if isinstance(value, complex):
        raise _NoNumberError
    return value


# --- LaTeX -------------------------------------------------------------------------------------------------------

_BLANKS: Final[Mapping[Library, re.Pattern[str]]] = {
    # What each grammar skips: blanks and spaces of LaTeX, \displaystyle, dollar signs; the older one does not know
    # \: \; and \!, and takes ~ for a blank.
    "latex2sympy2_extended": re.compile(r"\s|\\[,:;!]|\\q?quad(?![a-zA-Z])|\\displaystyle(?![a-zA-Z])|\$"),
    "latex2sympy2": re.compile(r"\s|\\,|\\q?quad(?![a-zA-Z])|\\displaystyle(?![a-zA-Z])|[$~]"),
}
_LATEX_TOKEN: Final = re.compile(
    # Numbers, with commas between thousands, or without a whole part; commands; escaped marks; a line break; marks.
    r"\d+(?:,\d{3})*(?:\.\d+)?|\.\d+|\\[a-zA-Z]+|\\[%{}]|\\\\|[-+*/:^=(){}\[\].a-z]"
)
_FRACTIONS: Final = frozenset({"\\frac", "\\dfrac", "\\tfrac", "\\cfrac"})
_TIMES: Final = frozenset({"*", "\\times", "\\cdot"})
_OVER: Final = frozenset({"/", ":", "\\div"})
_BRACKETS: Final[Mapping[str, str]] = {"(": ")", "[": "]", "{": "}", "\\{": "\\}"}
_STOPS: Final = frozenset({".", "}", "\\\\", ")", "]"})
"""Where latex2sympy2 stops reading and is content with what came before: "5. So it is" is 5."""
_UNREADABLE: Final = "?"
"""The token of what neither library knows."""
_WRAPPERS: Final = re.compile(
    # Fonts of formulas and of text; those that the library takes off.
    r"\\(?:math(?:rm|it|bf)|text(?:bf|it|rm|normal)?)\s*\{([^{}:]*)\}"
)
_LEFT_RIGHT: Final = re.compile(
    # Before a bracket only; before anything else it stays, and is no token.
    r"\\(?:left|right)(?=[(){}\[\]|\\])"
)
_COMMA_NUMBER: Final = re.compile(r"[\s$]*-?\d{1,3}(?:,\d{3})+(?:\.\d+)?[\s$]*\Z")
_ASSIGNED: Final = re.compile(
    # A letter but e, which is a number, or a command, with an index or without.
    r"[\s$~]*(?:[a-df-z]|\\[a-z]+)(?:_(?:\w|\{\w+\}))?\s*="
)
_REWRITTEN: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    # Delimiters of formulas, quotation marks, degrees.
    (re.compile(r"\\[$()]|[\"']|\^\s*(?:\\circ\b|\{\s*\\circ\s*\})"), ""),
    (re.compile(r"\s*\{\s*,\s*\}"), ","),
    (re.compile(r"(?<!\\)\\\s"), " "),
    (_WRAPPERS, r"(\1)"),
    (re.compile("\u2212"), "-"),
)
"""What latex2sympy2_extended writes anew (`math_normalization.py`), as far as it concerns numbers."""
_BOX: Final = re.compile(
    # \boxed is what prompts ask for; \fbox is its like outside of formulas.
    r"\\(?:boxed|fbox)\s*"
)


@dataclass(frozen=True, slots=True)
class _Value:
    """A number as sympy holds it before it is printed."""

    number: Fraction | float
    """Exact where the text is."""
    is_atom: bool = False
    """Whether it is a number of its own, and no operation still to be done."""


def latex_value(text: str, library: Library, names: Mapping[str, Plain] | None = None) -> Plain | None:
    """Return the number that a text is when `eval` reads what sympy prints of it; None where that is none.

    Args:
        text: LaTeX, in lower case as the peers have it.
        library: Whose reading.
        names: What a letter stands for, where `eval` knows it.
    """
    if len(text) > MAX_CHARACTERS:
        return None
    try:
        value = _Latex(_rewritten(text, library), library, names or {}).value()
    except (_NoNumberError, ZeroDivisionError, OverflowError, ValueError):
        return None
    if isinstance(value, Fraction):
        return value.numerator if value.denominator == 1 else value.numerator / value.denominator
    return value


def _rewritten(text: str, library: Library) -> str:
    """Return a text as the library rewrites it before it reads, and without an assignment that it passes over."""
    if library == "latex2sympy2":
        # x = 5 is 5: the value of an assignment to one symbol.
        return _LEFT_RIGHT.sub("", _ASSIGNED.sub("", text, count=1) if _ASSIGNED.match(text) else text)
    text = _boxed(text)
    if text.lstrip().startswith(("{", "\\{")):
        raise _NoNumberError  # a set of one
    for pattern, instead in _REWRITTEN:
        text = pattern.sub(instead, text)
    about, is_approximate, value = text.partition("\\approx")
    if is_approximate and about.strip():
        text = about if any(map(str.isdigit, about)) else value
    return _LEFT_RIGHT.sub("", text)


def _boxed(text: str) -> str:
    """Return what stands in the boxes of a text, joined by commas; the text where it has none."""
    found: list[str] = []
    for box in _BOX.finditer(text):
        if text[box.end() : box.end() + 1] != "{":
            return text[box.end() :]
        depth, end = 0, box.end()
        for end in range(box.end(), len(text)):
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            if depth == 0:
                break
        else:
            return text[box.end() :]  # never closed: what follows begins with a brace, and is nothing
        content = text[box.end() + 1 : end].strip()
        if not found or found[-1] != content:
            found.append(content)
    return ",".join(found) if found else text


class _Latex:
    """A reader of LaTeX arithmetic: sums of products of signed, side by side written powers."""

    def __init__(self, text: str, library: Library, names: Mapping[str, Plain]) -> None:
        self._is_extended = library == "latex2sympy2_extended"
        self._names = names
        self._tokens = _latex_tokens(text, _BLANKS[library])
        if any("," in token for token in self._tokens) and not _COMMA_NUMBER.match(text) and self._is_extended:
            raise _NoNumberError  # 1,234 + 1 is a set there
        self._place = self._depth = 0

    def value(self) -> Fraction | float:
        found = self._sum()
        if self._peek() and (self._is_extended or self._peek() not in _STOPS):
            raise _NoNumberError
        return found.number

    def _peek(self) -> str:
        return self._tokens[self._place] if self._place < len(self._tokens) else ""

    def _take(self, *wanted: str) -> str:
        word = self._peek()
        if not word or (wanted and word not in wanted):
            raise _NoNumberError
        self._place += 1
        return word

    def _sum(self) -> _Value:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _NoNumberError
        left = self._product()
        while self._peek() in {"+", "-"}:
            sign = self._take()
            right = self._product().number
            left = _Value(_sane(left.number + (right if sign == "+" else -right)))
        self._depth -= 1
        return left

    def _product(self) -> _Value:
        left = self._signed()
        while self._peek() in _TIMES | _OVER:
            is_product = self._take() in _TIMES
            right = self._signed()
            number = left.number * right.number if is_product else left.number / right.number
            # The extended library makes one number of two whole ones, 1/2, and so of 2 1/2 a mixed one.
            left = _Value(_sane(number), not is_product and left.is_atom and right.is_atom and self._is_extended)
        return left

    def _signed(self) -> _Value:
        if self._peek() in {"+", "-"}:
            self._depth += 1
            if self._depth > MAX_DEPTH:
                raise _NoNumberError
            sign = self._take()
            inner = self._signed()
            self._depth -= 1
            return inner if sign == "+" else _Value(-inner.number, inner.is_atom)
        return self._side_by_side()

    def _side_by_side(self) -> _Value:
        parts = [self._power()]
        while self._starts_operand():
            parts.append(self._power())
        last = parts.pop()
        while parts:
            last = self._joined(parts.pop(), last)
        return last

    def _joined(self, left: _Value, right: _Value) -> _Value:
        whole = left.is_atom and isinstance(left.number, Fraction) and left.number.denominator == 1
        if self._is_extended and whole and right.is_atom and isinstance(right.number, Fraction) and right.number > 0:
            number = left.number - right.number if left.number < 0 else left.number + right.number
            return _Value(number, is_atom=True)
        return _Value(_sane(left.number * right.number))

    def _starts_operand(self) -> bool:
        word = self._peek()
        begins = {*_BRACKETS, *_FRACTIONS, "\\sqrt", "\\binom", *self._names}
        return word[:1].isdigit() or word[1:2].isdigit() or word in begins

    def _power(self) -> _Value:
        base = self._atom()
        while self._peek() == "^":
            self._take()
            exponent = self._bracketed("{") if self._peek() == "{" else self._atom()
            base = _Value(_sane(_power_of(base.number, exponent)))
        if self._peek() == "\\%":
            if self._is_extended:
                raise _NoNumberError  # its own reader of percent ends in an AttributeError
            self._take()
            return _Value(base.number / 100, base.is_atom)
        return base

    def _atom(self) -> _Value:
        word = self._peek()
        if word in _BRACKETS:
            return self._bracketed(word)
        if word in _FRACTIONS:
            self._take()
            above, below = self._bracketed("{"), self._bracketed("{")
            both = above.is_atom and below.is_atom
            return _Value(_sane(above.number / below.number), both and self._is_extended)
        if word == "\\sqrt":
            return self._root()
        if word == "\\binom":
            self._take()
            above, below = self._bracketed("{").number, self._bracketed("{").number
            return _Value(_choose(above, below), is_atom=True)
        self._take()
        if word in self._names:
            value = self._names[word]
            return _Value(Fraction(value) if isinstance(value, int) else value)
        return _Value(_written_number(word, is_extended=self._is_extended), is_atom=True)

    def _bracketed(self, opening: str) -> _Value:
        self._take(opening)
        inner = self._sum()
        self._take(_BRACKETS[opening])
        return inner

    def _root(self) -> _Value:
        """Return a root with an index, which is printed as a power; a square root is printed by its name."""
        self._take("\\sqrt")
        if self._peek() != "[":
            raise _NoNumberError
        index = self._bracketed("[").number
        radicand = self._bracketed("{").number
        return _Value(_sane(_power_of(radicand, _Value(Fraction(1) / index, is_atom=True))))


def _latex_tokens(text: str, blank: re.Pattern[str]) -> list[str]:
    """Return the tokens up to the first thing that no library knows, which is one more."""
    tokens: list[str] = []
    place = 0
    while place < len(text):
        skipped = blank.match(text, place)
        found = None if skipped else _LATEX_TOKEN.match(text, place)
        if skipped is None:
            tokens.append(found.group() if found else _UNREADABLE)
        place = skipped.end() if skipped else found.end() if found else len(text)
    return tokens


def _written_number(word: str, *, is_extended: bool) -> Fraction | float:
    if not (word[0].isdigit() or word[0] == "."):
        raise _NoNumberError
    if is_extended and "," in word and word.startswith("0"):
        word = word.replace(",", ".")
    word = word.replace(",", "")
    if "." not in word:
        return Fraction(int(word))
    return float(word) if is_extended else Fraction(word if word[0] != "." else f"0{word}")


def _sane(number: Fraction | float) -> Fraction | float:
    if isinstance(number, Fraction):
        if max(number.numerator.bit_length(), number.denominator.bit_length()) > MAX_BITS:
            raise _NoNumberError
        return number
    if not math.isfinite(number):
        raise _NoNumberError
    return number


def _choose(above: Fraction | float, below: Fraction | float) -> Fraction:
    if not isinstance(above, Fraction) or not isinstance(below, Fraction) or not 0 <= below <= above <= MAX_CHARACTERS:
        raise _NoNumberError
    if above.denominator != 1 or below.denominator != 1:
        raise _NoNumberError
    return Fraction(math.comb(int(above), int(below)))


def _power_of(base: Fraction | float, exponent: _Value) -> Fraction | float:
    """Return a power; one of exactly one half is printed as a square root, which is no plain number."""
    if isinstance(exponent.number, float):
        return power(float(base), exponent.number)
    if exponent.is_atom and exponent.number == Fraction(1, 2):
        raise _NoNumberError
    if isinstance(base, float) or exponent.number.denominator != 1:
        return power(float(base), float(exponent.number))
    whole = int(exponent.number)
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if bits * abs(whole) > MAX_BITS and abs(base) != 1:
        raise _NoNumberError
    return base**whole
