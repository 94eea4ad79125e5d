r"""Read one mathematical expression, in LaTeX or as people type it.

Part of the rule `maths` (`harness/scoring/answers/maths.py`). Understood: numbers, fractions, mixed numbers, roots,
powers, brackets, products without a sign, letters with subscripts, Greek letters, pi, e, i, elementary functions,
factorials, binomials, absolute values, degrees, percent.

What people read in two ways is not read at all: `1/2x` (over x or times x?), `x^1/2`, `\sin x/2`, `2 3`. Nor is a run
of three letters or more that is no function's name: it is a word.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Final

from harness.scoring.answers.algebra import (
    EULER,
    FUNCTIONS,
    IMAGINARY,
    INFINITY,
    LOGARITHM,
    MAX_CHOSEN_FROM,
    MAX_FACTORIAL,
    PI,
    Atom,
    Effort,
    Quotient,
    UnreadableError,
    add,
    atom,
    divide,
    function,
    multiply,
    negative,
    number,
    power,
    rational,
)

MAX_CHARACTERS: Final = 400
"""A longer expression is none that a benchmark asks for."""
MAX_DEPTH: Final = 24
"""Brackets, groups, exponents and signs within each other."""
MAX_CHOSEN: Final = 6
"""Of letters: such a binomial is multiplied out."""
MAX_DIGITS: Final = 300
"""Of one number as written."""

_BLANKS: Final = re.compile(
    # Blanks, and spaces of LaTeX of every width.
    r"(?:[ \n]|\\[ ,;:!]|\\q?quad(?![A-Za-z])|~)*"
)
_NUMBER: Final = re.compile(
    # 2, 2.5 and .5; 2. is a number and a full stop.
    r"\d+(?:\.\d+)?|\.\d+"
)
_COMMAND: Final = re.compile(
    # \sqrt; \{ and other marks.
    r"\\([A-Za-z]+|.)"
)
_WORD: Final = re.compile(r"[A-Za-z]+")
_LETTER: Final = re.compile(r"[^\W\d_]")
_SUBSCRIPT: Final = re.compile(
    # x_1; x_{10}, x_{i, j}; x_{\text{max}}.
    r"_(?:([A-Za-z0-9])|\{ ?([\w, ]{1,12}) ?\}|\{ ?\\(?:text|mathrm|rm) ?\{([\w ]{1,12})\} ?\})"
)
_NAMED_FUNCTION: Final = re.compile(
    # \operatorname is what names one; upright fonts are used for it too.
    r"\\(?:operatorname|mathrm|text|rm) ?\{ ?([A-Za-z]{1,7}) ?\}"
)
_LOGARITHMS: Final = frozenset(("log", "lg"))
_PLAIN_FUNCTION: Final = re.compile(
    # All functions that are known by name, the longest first: sinh is no sin.
    rf"(?:{'|'.join(sorted(FUNCTIONS | {'log', 'lg'}, key=len, reverse=True))})(?![a-z])"
)
_SMALL_FRACTION: Final = re.compile(
    # \frac{1}{2}; \frac12; 1/2, but not before more digits of a decimal.
    r"\\[dtc]?frac ?\{ ?(\d{1,9}) ?\} ?\{ ?(\d{1,9}) ?\}|\\[dtc]?frac ?(\d) ?(\d)|(\d{1,9})/(\d{1,9})(?![\d.])"
)
_FRACTIONS: Final = frozenset(("frac", "dfrac", "tfrac", "cfrac", "nicefrac"))
_BINOMIALS: Final = frozenset(("binom", "dbinom", "tbinom"))
_TIMES: Final = frozenset(("times", "cdot", "ast"))
_GREEK_LETTERS: Final = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "ζ": "zeta", "η": "eta", "θ": "theta",
    "ι": "iota", "κ": "kappa", "λ": "lambda", "μ": "mu", "ν": "nu", "ξ": "xi", "ρ": "rho", "σ": "sigma", "τ": "tau",
    "υ": "upsilon", "φ": "phi", "χ": "chi", "ψ": "psi", "ω": "omega", "Γ": "Gamma", "Δ": "Delta", "Θ": "Theta",
    "Λ": "Lambda", "Ξ": "Xi", "Π": "Pi", "Σ": "Sigma", "Φ": "Phi", "Ψ": "Psi", "Ω": "Omega", "ℓ": "ell", "ℏ": "hbar",
}  # fmt: skip
_ALIASES: Final[Mapping[str, str]] = {"varepsilon": "epsilon", "vartheta": "theta", "varphi": "phi", "varrho": "rho"}
_GREEK: Final = frozenset(_GREEK_LETTERS.values()) | _ALIASES.keys()
_FOREIGN: Final = frozenset(("sum", "prod", "int", "lim", "begin", "det", "overline", "min", "max"))
"""What sympy's grammar knows besides."""
_BARS: Final = frozenset(("vert", "lvert", "rvert", "mid"))
_ROUND: Final[Mapping[str, tuple[str, str]]] = {"lfloor": ("rfloor", "floor"), "lceil": ("rceil", "ceil")}
_CLOSING: Final[Mapping[str, str]] = {"(": ")", "[": "]", "{": "}"}
_DEGREE: Final = "°"


class ForeignError(UnreadableError):
    """An expression holds a command that sympy knows and we do not."""


def read_expression(text: str) -> Quotient:
    """Return the expression that the whole text is.

    Raises:
        UnreadableError: It is none, can be read in two ways, or is too large.
    """
    if len(text) > MAX_CHARACTERS:
        raise UnreadableError("too long")
    return _Reader(text).whole()


class _Reader:
    """Reads a text from left to right, one function for each level of binding."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0
        self._bars = 0
        self._effort = Effort()

    def whole(self) -> Quotient:
        """Return the whole text as one expression."""
        found = self._sum()
        if self._skipped() < len(self._text):
            raise UnreadableError("something is left")
        return found

    # --- where the reader stands ---

    def _skipped(self) -> int:
        """Go past blanks, and return the place."""
        blanks = _BLANKS.match(self._text, self._at)
        assert blanks is not None, "the pattern matches the empty text"
        self._at = blanks.end()
        return self._at

    def _next(self) -> str:
        """Return the character after blanks; empty at the end."""
        self._skipped()
        return self._text[self._at : self._at + 1]

    def _command(self) -> str:
        """Return the LaTeX command that stands here, without its backslash; empty where none does."""
        found = _COMMAND.match(self._text, self._skipped())
        return found[1] if found else ""

    def _take(self, mark: str) -> bool:
        """Go past a mark or command, if it stands here."""
        if self._next() and self._text.startswith(mark, self._at):
            self._at += len(mark)
            return True
        return False

    def _needs(self, mark: str) -> None:
        if not self._take(mark):
            raise UnreadableError(f"no {mark}")

    # --- sums and products ---

    def _sum(self) -> Quotient:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise UnreadableError("too deep")
        total = self._product()
        while (sign := self._next()) in {"+", "-"} and sign:
            self._at += 1
            term = self._product()
            total = add(total, term if sign == "+" else negative(term), self._effort)
        self._depth -= 1
        return total

    def _product(self) -> Quotient:
        sign = self._next()
        if sign in {"+", "-"} and sign:
            self._at += 1
            found = self._product_after_sign()
            return found if sign == "+" else negative(found)
        return self._product_after_sign()

    def _product_after_sign(self) -> Quotient:
        begun = self._skipped()
        total = self._mixed_number() or self._factor()
        divided = False
        while True:
            plain = self._text[begun : self._at].strip()
            if self._takes_times():
                divided = False
                begun = self._skipped()
                total = multiply(total, self._signed_factor(), self._effort)
            elif self._take("/") or self._take("\\div") or self._take("÷"):
                begun = self._skipped()
                total = divide(total, self._signed_factor(), self._effort)
                divided = True
            elif self._begins_factor():
                if divided:
                    raise UnreadableError("a/bc can be read in two ways")
                begun = self._skipped()
                if plain[-1:].isdigit() and (self._text[begun] in ".0123456789"):
                    raise UnreadableError("two numbers side by side")
                total = multiply(total, self._factor(), self._effort)
            else:
                return total

    def _takes_times(self) -> bool:
        if self._next() in {"*", "×", "·", "⋅", "∙"} and self._next():
            self._at += 1
            return True
        command = self._command()
        if command in _TIMES:
            self._at += 1 + len(command)
            return True
        return False

    def _signed_factor(self) -> Quotient:
        """Read a factor behind an operator, where a sign may stand: 2·-3."""
        return negative(self._factor()) if self._take("-") else self._factor()

    def _begins_factor(self) -> bool:
        mark = self._next()
        if not mark:
            return False
        if mark == "|":
            return not self._bars
        if mark == "\\":
            command = self._command()
            return not (command in _BARS and self._bars) and command not in {"rfloor", "rceil", "rvert", "}"}
        return mark.isalnum() or mark in "([{√.∞"

    def _mixed_number(self) -> Quotient | None:
        r"""Read a whole number with a proper fraction behind it: 2\frac{1}{2} and 2 1/2 are two and a half."""
        whole = re.compile(r"\d{1,9}(?=[ \\~])").match(self._text, self._at)
        if whole is None:
            return None
        blanks = _BLANKS.match(self._text, whole.end())
        part = _SMALL_FRACTION.match(self._text, blanks.end() if blanks else whole.end())
        if part is None:
            return None
        top, bottom = (int(group) for group in part.groups() if group is not None)
        if not 0 < top < bottom:
            return None
        self._at = part.end()
        return number(int(whole.group()) + Fraction(top, bottom))

    # --- factors ---

    def _factor(self) -> Quotient:
        """Read what binds together: a thing with its exponent and the marks behind it."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise UnreadableError("too deep")
        found = self._thing()
        raised = False
        while mark := self._next():
            if mark == "^" and not raised:
                self._at += 1
                found = power(found, self._exponent(), self._effort)
                raised = True
            elif mark == "!":
                self._at += 1
                found = self._factorial(found)
            elif mark == _DEGREE:
                self._at += 1
                found = multiply(found, divide(atom(PI), number(180), self._effort), self._effort)
            elif mark == "%" or self._command() == "%":
                self._at += 1 if mark == "%" else 2
                found = divide(found, number(100), self._effort)
            else:
                break
        self._depth -= 1
        return found

    def _exponent(self) -> Quotient:
        if self._next() == "{":
            return self._group()
        negated = self._take("-")
        digits = _NUMBER.match(self._text, self._skipped())
        if digits:
            self._at = digits.end()
            if digits.group() == "1" and self._next() == "/":
                raise UnreadableError("x^1/2 can be read in two ways")
            found = self._as_number(digits.group())
        else:
            found = self._thing()
        return negative(found) if negated else found

    def _group(self) -> Quotient:
        """Read what braces hold."""
        self._needs("{")
        return self._in_brackets("}")

    def _in_brackets(self, closing: str) -> Quotient:
        bars, self._bars = self._bars, 0
        found = self._sum()
        self._needs(closing)
        self._bars = bars
        return found

    def _argument(self) -> Quotient:
        r"""Read what a LaTeX command takes: braces, or a single digit, letter or command."""
        if self._next() == "{":
            return self._group()
        if self._next().isdigit():
            self._at += 1
            return number(int(self._text[self._at - 1]))
        return self._thing()

    def _as_number(self, digits: str) -> Quotient:
        if len(digits) > MAX_DIGITS:
            raise UnreadableError("too many digits")
        return number(Fraction(digits))

    def _thing(self) -> Quotient:
        mark = self._next()
        if digits := _NUMBER.match(self._text, self._at):
            self._at = digits.end()
            return self._as_number(digits.group())
        if mark in _CLOSING and mark:
            self._at += 1
            return self._in_brackets(_CLOSING[mark])
        if mark == "|":
            return self._absolute("|")
        if mark == "√":
            self._at += 1
            return power(
                self._argument() if self._next() != "(" else self._thing(), number(Fraction(1, 2)), self._effort
            )
        if mark == "∞":
            self._at += 1
            return atom(INFINITY)
        if mark == "\\":
            return self._of_command()
        if found := _PLAIN_FUNCTION.match(self._text, self._at):
            self._at = found.end()
            return self._function(found.group())
        return self._letter()

    def _absolute(self, bar: str) -> Quotient:
        self._needs(bar)
        self._bars += 1
        found = self._sum()
        self._bars -= 1
        self._needs("\\rvert" if bar == "\\lvert" else bar)
        value = rational(found)
        return function("abs", found) if value is None else number(abs(value))

    def _letter(self) -> Quotient:
        word = _WORD.match(self._text, self._at)
        if word and len(word.group()) > len("ab"):
            if word.group() == "sqrt":
                self._at = word.end()
                if self._next() not in {"(", "{"} and not self._next().isdigit():
                    raise UnreadableError("a root of what?")
                return power(self._thing(), number(Fraction(1, 2)), self._effort)
            raise UnreadableError("a word")
        if word and word.group() == "pi":
            self._at = word.end()
            return atom(PI)
        found = _LETTER.match(self._text, self._at)
        if found is None:
            raise UnreadableError("no expression")
        self._at = found.end()
        if found.group() == "π":
            return atom(PI)
        if found.group() > "\u2e80":
            raise UnreadableError("a word")
        return self._named(_GREEK_LETTERS.get(found.group(), found.group()))

    def _named(self, name: str) -> Quotient:
        """Return a letter with its subscript and primes; e and i are constants without any."""
        if subscript := _SUBSCRIPT.match(self._text, self._at):
            self._at = subscript.end()
            name += "_" + "".join(filter(None, subscript.groups())).replace(" ", "")
        while self._text.startswith("'", self._at):
            self._at += 1
            name += "'"
        return atom({"e": EULER, "i": IMAGINARY}.get(name) or Atom(name))

    # --- commands and functions ---

    def _of_command(self) -> Quotient:
        if named := _NAMED_FUNCTION.match(self._text, self._at):
            return self._of_upright(named)
        command = self._command()
        self._at += 1 + len(command)
        if command in _GREEK:
            return self._named(_ALIASES.get(command, command))
        if command in _BARS:
            self._at -= 1 + len(command)
            return self._absolute(f"\\{command}")
        if command in _ROUND:
            closing, name = _ROUND[command]
            return function(name, self._in_brackets(f"\\{closing}"))
        if command in FUNCTIONS or command in _LOGARITHMS:
            return self._function(command)
        return self._of_structure(command)

    def _of_structure(self, command: str) -> Quotient:
        """Read what follows a command that takes arguments, or is a constant."""
        if command in _FRACTIONS:
            top = self._argument()
            return divide(top, self._argument(), self._effort)
        if command == "sqrt":
            return self._root()
        if command in _BINOMIALS:
            return self._binomial(self._argument(), self._argument())
        if command == "pi":
            return atom(PI)
        if command == "infty":
            return atom(INFINITY)
        if command in _FOREIGN:
            raise ForeignError(f"\\{command}")
        raise UnreadableError(f"\\{command}")

    def _of_upright(self, named: re.Match[str]) -> Quotient:
        """Read a function's name, or one letter, that is set upright."""
        self._at = named.end()
        name = named[1]
        if name in FUNCTIONS or name in _LOGARITHMS:
            return self._function(name)
        if len(name) > 1:
            raise UnreadableError("a word")
        return self._named(name)

    def _root(self) -> Quotient:
        degree = 2
        if self._take("["):
            digits = re.compile(r" ?(\d{1,2}) ?\]").match(self._text, self._at)
            if digits is None or not int(digits[1]):
                raise UnreadableError("a root of no degree")
            degree = int(digits[1])
            self._at = digits.end()
        return power(self._argument(), number(Fraction(1, degree)), self._effort)

    def _function(self, name: str) -> Quotient:
        exponent: Quotient | None = None
        base: Quotient | None = None
        if name in _LOGARITHMS and self._take("_"):
            base = self._argument()
        elif name == "lg":
            base = number(10)
        if self._take("^"):
            exponent = self._exponent()
        of = self._function_argument()
        if exponent is not None and rational(exponent) == -1:
            if name not in {"sin", "cos", "tan", "cot", "sec", "csc"}:
                raise UnreadableError("an inverse of what?")
            name, exponent = f"arc{name}", None
        if name == "exp":
            found = power(atom(EULER), of, self._effort)
        elif name in _LOGARITHMS:
            found = function(LOGARITHM, of) if base is None else function(LOGARITHM, of, base)
        else:
            found = function(name, of)
        return found if exponent is None else power(found, exponent, self._effort)

    def _function_argument(self) -> Quotient:
        r"""Read what a function is of: brackets, or the product up to the next operator or function: \sin 2x \cos x."""
        if self._next() in {"(", "{", "["} and self._next():
            return self._thing()
        found = self._factor()
        while self._begins_factor() and not self._begins_function():
            found = multiply(found, self._factor(), self._effort)
        if self._next() == "/":
            raise UnreadableError("sin x/2 can be read in two ways")
        return found

    def _begins_function(self) -> bool:
        return (
            self._command() in FUNCTIONS | _LOGARITHMS
            or self._next() in {"(", "["}
            or _PLAIN_FUNCTION.match(self._text, self._at) is not None
        )

    def _factorial(self, of: Quotient) -> Quotient:
        value = rational(of)
        if value is None:
            return function("fact", of)
        if value.denominator != 1 or not 0 <= value <= MAX_FACTORIAL:
            raise UnreadableError("too large a factorial")
        return number(math.factorial(int(value)))

    def _binomial(self, of: Quotient, chosen: Quotient) -> Quotient:
        first, second = rational(of), rational(chosen)
        if first is None and second is not None and second.denominator == 1 and 0 <= second <= MAX_CHOSEN:
            found = number(1)
            for step in range(int(second)):
                factor = divide(add(of, number(-step), self._effort), number(step + 1), self._effort)
                found = multiply(found, factor, self._effort)
            return found
        if first is None or second is None:
            raise ForeignError("a binomial of letters")
        if not (first.denominator == second.denominator == 1 and 0 <= second <= first <= MAX_CHOSEN_FROM):
            raise UnreadableError("too large a binomial")
        return number(math.comb(int(first), int(second)))
