r"""Read LaTeX as sympy's own grammar does (`parse_latex` with antlr, sympy 1.14), for OlympiadBench's peers.

VLMEvalKit and lmms-eval compare what `parse_latex` gives with `==`, which compares how a thing is built, not what it
is worth: `x+1` and `1+x` differ, `\frac{1}{2}` and `\frac{2}{4}` too, `2x`, `2\cdot x` and `2 \times x` do not. So a
tree is all that is needed, and no algebra: trees here are equal where sympy's expressions are. `value_at` computes a
tree at numbers for its variables, from which it is told whether equations are multiples of each other.

What the grammar does to a text, seen by running it beside this:

- it takes as much of the beginning as makes an expression: `x)`, `x+(2` and `x^-1` are `x`; a character that it does
  not know (`\%`, `\ `, Chinese letters, `°`) is an error where it is the next to read, and so nothing is equal to it;
- blanks mean nothing, also in numbers: `1 2` is 12, `1,234` is 1234. `x^12` is the power of 12. `.5`, `5.` and `05` are
  errors;
- words are products of letters (`cm` is c * m, `\text{yes}` is text * y * e * s), `e` is a letter and `\pi` a symbol;
- `x` between numbers is a multiplication sign, `f(x)` and `x(y)` are calls, `dx` is one symbol.

Sums, products, integrals, limits, bras and kets are not read: their texts are equal to themselves only.
"""

from __future__ import annotations

import cmath
import math
import re
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from functools import partial
from typing import Final, TypeAlias, cast

Tree: TypeAlias = tuple["str | int | float | Fraction | Tree", ...]
"""An expression: what it is (`number`, `symbol`, `add`, `mul`, `pow`, `call`, `relation`), and of what."""

MAX_CHARACTERS: Final = 2_000
"""A longer text is not read; the peers compare no numbers in texts of more than 300."""
MAX_TOKENS: Final = 400
"""So deep can a tree be at most, and so deep do comparisons of trees go."""
MAX_DEPTH: Final = 25
"""Levels of brackets and the like; each is a dozen calls deep."""
MAX_STEPS: Final = 20_000
"""Tokens taken, those taken back among them: `f(f(f(` would be tried as calls and as products at every level."""

_TOKEN: Final = re.compile(
    # The tokens of latex2sympy2's grammar. Spaces that are typeset, and marks that the grammar passes over.
    r"(?P<skip>\s+|\\[,:;!*\-./\"(=]|\\(?:thinspace|medspace|thickspace|quad|qquad|negthinspace|negmedspace"
    r"|negthickspace|left|right|vrule|vcenter|vbox|vskip|vspace|hfil)(?![a-zA-Z|]))"
    # \left| and \right| are bars, other commands stay whole, \{ and \} are brackets.
    r"|(?P<bar>\\(?:left|right)\|)|(?P<command>\\[a-zA-Z]+)|(?P<brace>\\[{}])"
    # dx and d\theta are one token wherever they stand, also in a word; then letters and digits one by one.
    r"|(?P<differential>d\s*(?:\\[a-zA-Z]+|[a-zA-Z]))|(?P<letter>[a-zA-Z])|(?P<digit>[0-9])"
    # Primes; an equals sign, with the mark of an aligned line on either side; operators and marks.
    r"|(?P<quotes>'+)|(?P<equal>&\s*=|=\s*&|=)|(?P<op>[-+*/()\[\]{}|_^:<>!,.])"
)
_RELATIONS: Final[Mapping[str, str]] = {
    "=": "=", "\\neq": "!=", "<": "<", ">": ">", "\\leq": "<=", "\\le": "<=", "\\leqq": "<=", "\\leqslant": "<=",
    "\\geq": ">=", "\\ge": ">=", "\\geqq": ">=", "\\geqslant": ">=",
}  # fmt: skip
_TIMES: Final = frozenset({"*", "\\times", "\\cdot"})
_OVER: Final = frozenset({"/", "\\div", ":"})
_GROUPS: Final[Mapping[str, str]] = {
    "(": ")", "[": "]", "{": "}", "\\{": "\\}", "|": "|", "\\lfloor": "\\rfloor", "\\lceil": "\\rceil",
}  # fmt: skip
_GROUP_CALLS: Final[Mapping[str, str]] = {"|": "abs", "\\lfloor": "floor", "\\lceil": "ceiling"}
_FRACTIONS: Final = frozenset({"\\frac", "\\dfrac", "\\tfrac"})
_BINOMIALS: Final = frozenset({"\\binom", "\\dbinom", "\\tbinom"})
_POWERED: Final = frozenset({"sin", "cos", "tan", "csc", "sec", "cot", "sinh", "cosh", "tanh"})
_FUNCTIONS: Final[Mapping[str, str]] = {
    **{f"\\{name}": name for name in (*_POWERED, "exp", "log", "ln", "lg")},
    **{f"\\arc{name}": f"a{name}" for name in ("sin", "cos", "tan", "csc", "sec", "cot")},
    **{f"\\ar{name}": f"a{name}" for name in ("sinh", "cosh", "tanh")},
}
_UNREAD: Final = frozenset(
    {"\\int", "\\sum", "\\prod", "\\lim", "\\langle", "\\rangle", "\\rfloor", "\\rceil", "\\to", "\\rightarrow",
     "\\Rightarrow", "\\longrightarrow", "\\Longrightarrow"}
)  # fmt: skip
"""Commands with a place of their own in the grammar: none of them is a symbol."""
_RESERVED: Final = frozenset(
    {*_RELATIONS, *_TIMES, *_OVER, *_GROUPS, *_FRACTIONS, *_BINOMIALS, *_FUNCTIONS, *_UNREAD, "\\sqrt", "\\overline",
     "\\mathit"}
)  # fmt: skip

HALF: Final[Tree] = ("number", Fraction(1, 2))
MINUS_ONE: Final[Tree] = ("number", -1)


class UnreadableLatexError(Exception):
    """The grammar ends in an error at this text."""


class _ElseError(Exception):
    """What was tried is not there; something shorter may be."""


def read_latex(text: str) -> Tree:
    """Return the tree of a text.

    Raises:
        UnreadableLatexError: The grammar does not read it, or it is too long or too deep to be tried.
    """
    if len(text) > MAX_CHARACTERS:
        raise UnreadableLatexError
    try:
        return _Reader(text.strip()).relation()
    except (_ElseError, RecursionError) as fault:
        raise UnreadableLatexError from fault


def _tokens(text: str) -> list[tuple[str, str]]:
    """Return (kind, text) of each token; the kind of a character that is none is empty, and ends the list."""
    found: list[tuple[str, str]] = []
    place = 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None or match.lastgroup is None:
            return [*found, ("", text[place])]
        if match.lastgroup != "skip":
            found.append((match.lastgroup, "=" if match.lastgroup == "equal" else match.group()))
        place = match.end()
    return found


class _Reader:
    """A reader that descends as the grammar does: relation, sum, product, sign, side by side, power, atom."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        if len(self._tokens) > MAX_TOKENS:
            raise UnreadableLatexError
        self._place = self._depth = self._steps = 0
        self._is_in_bars: bool = False

    def relation(self) -> Tree:
        left = self._sum()
        while self._peek() in _RELATIONS:
            sign = _RELATIONS[self._take()]
            left = ("relation", sign, left, self._sum())
        return left

    def _tried(self, read: Callable[[], Tree]) -> Tree | None:
        """Return what is read, or None, with nothing taken, where it is not there to the end."""
        before = self._place, self._depth, self._is_in_bars
        try:
            return read()
        except _ElseError:
            self._place, self._depth, self._is_in_bars = before
            return None

    @property
    def _kind(self) -> str:
        return self._tokens[self._place][0] if self._place < len(self._tokens) else "end"

    def _peek(self) -> str:
        """The next token's text; raises where the next is a character that is no token."""
        if self._place >= len(self._tokens):
            return ""
        kind, word = self._tokens[self._place]
        if not kind:
            raise UnreadableLatexError
        return word

    def _take(self, wanted: str = "") -> str:
        word = self._peek()
        if not word or (wanted and word != wanted):
            raise _ElseError
        self._place += 1
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise UnreadableLatexError
        return word

    def _deeper(self, step: int = 1) -> None:
        self._depth += step
        if self._depth > MAX_DEPTH:
            raise UnreadableLatexError

    def _sum(self) -> Tree:
        self._deeper()
        left = self._product()
        while (sign := self._peek()) in ("+", "-") and (
            right := self._tried(lambda: self._behind(self._product))
        ) is not None:
            left = ("add", left, right if sign == "+" else _subtracted(right))
        self._deeper(-1)
        return left

    def _behind(self, read: Callable[[], Tree]) -> Tree:
        """Take a token, and return what is read behind it."""
        self._take()
        return read()

    def _product(self, *, functions: bool = True) -> Tree:
        left = self._signed(functions=functions)
        while (sign := self._peek()) in _TIMES or sign in _OVER:
            right = self._tried(lambda: self._behind(partial(self._signed, functions=functions)))
            if right is None:
                break
            left = ("mul", left, right if sign in _TIMES else ("pow", right, MINUS_ONE))
        return left

    def _signed(self, *, functions: bool) -> Tree:
        if self._peek() not in ("+", "-"):
            return self._side_by_side(functions=functions)
        self._deeper()
        sign = self._take()
        inner = self._signed(functions=functions)
        self._deeper(-1)
        return inner if sign == "+" else negated(inner)

    def _side_by_side(self, *, functions: bool) -> Tree:
        parts = [self._postfix(functions=True)]
        while self._starts_part(functions=functions):
            part = self._tried(lambda: self._postfix(functions=functions))
            if part is None:
                break
            parts.append(part)
        product = parts[-1]
        for place in range(len(parts) - 2, -1, -1):
            own = parts[place]
            # 3 x 4 is three times four, as long as its neighbours hold no variable.
            if own == ("symbol", "x") and place > 0 and not variables(parts[place - 1]) | variables(parts[place + 1]):
                continue
            product = ("mul", own, product)
        return product

    def _starts_part(self, *, functions: bool) -> bool:
        word, kind = self._peek(), self._kind
        if word == "|":
            return not self._is_in_bars
        if kind in ("letter", "digit", "differential"):
            return True
        if word in _GROUPS or word in _FRACTIONS or word in _BINOMIALS or word == "\\mathit":
            return True
        if word in _FUNCTIONS or word in ("\\sqrt", "\\overline"):
            return functions
        return kind == "command" and word not in _RESERVED

    def _postfix(self, *, functions: bool) -> Tree:
        found = self._power(functions=functions)
        while self._peek() == "!":
            self._take()
            found = ("call", "factorial", found)
        return found

    def _power(self, *, functions: bool) -> Tree:
        base = self._part(functions=functions)
        while self._peek() == "^":
            exponent = self._tried(lambda: self._behind(self._script))
            if exponent is None:
                break
            base = ("pow", base, exponent)
            if self._peek() == "_":
                self._take()
                self._script()
        return base

    def _script(self) -> Tree:
        """Return what stands behind `^` or `_`: an expression in braces, or one atom (12 of `x^12`)."""
        return self._braced() if self._peek() == "{" else self._atom()

    def _braced(self) -> Tree:
        self._take("{")
        found = self._sum()
        self._take("}")
        return found

    def _part(self, *, functions: bool) -> Tree:
        word = self._peek()
        if word in _GROUPS:
            return self._group()
        if functions:
            if word in _FUNCTIONS:
                return self._function()
            if word == "\\sqrt":
                return self._root()
            if word == "\\overline":
                self._take()
                return ("call", "conjugate", self._braced())
        return self._atom(calls=functions)

    def _group(self) -> Tree:
        opening = self._take()
        before, self._is_in_bars = self._is_in_bars, opening == "|"
        found = self._sum()
        self._take(_GROUPS[opening])
        self._is_in_bars = before
        return ("call", _GROUP_CALLS[opening], found) if opening in _GROUP_CALLS else found

    def _root(self) -> Tree:
        self._take("\\sqrt")
        exponent = HALF
        if self._peek() == "[":
            self._take()
            index = self._sum()
            self._take("]")
            whole = index[1] if index[0] == "number" else 0
            exponent = ("pow", index, MINUS_ONE)
            if isinstance(whole, int) and whole:
                exponent = ("number", Fraction(1, whole))
        return ("pow", self._braced(), exponent)

    def _function(self) -> Tree:
        name = _FUNCTIONS[self._take()]
        base: Tree | None = None
        exponent: Tree | None = None
        while self._peek() in ("_", "^"):
            if self._take() == "_":
                base = self._log_base() if self._kind == "digit" else self._script()
            else:
                exponent = self._script()
        argument = self._argument()
        if name in ("log", "ln", "lg"):
            found: Tree = ("call", "log", argument, base or (("number", 10) if name == "lg" else ("symbol", "E")))
        elif name in _POWERED and exponent == MINUS_ONE:
            return ("call", f"a{name}", argument)
        else:
            found = ("call", name, argument)
        return ("pow", found, exponent) if exponent not in (None, ("number", 0)) else found

    def _log_base(self) -> Tree:
        r"""Return a base of digits; the last one in a row is the argument: of `\log_2 38` the base is 23."""
        before, count = self._place, self._digits_ahead(0)
        self._place += count
        has_argument = self._starts_part(functions=True)
        self._place = before
        return ("number", int("".join(self._take() for _ in range(count if has_argument else max(1, count - 1)))))

    def _argument(self) -> Tree:
        """Return a function's first argument: in parentheses, else a product up to the next function."""
        if self._peek() != "(":
            return self._product(functions=False)
        self._take("(")
        first = self._sum()
        while self._peek() == ",":
            self._take()
            self._sum()
        self._take(")")
        return first

    def _atom(self, *, calls: bool = False) -> Tree:
        kind, word = self._kind, self._peek()
        if kind == "digit":
            return self._number()
        if kind == "differential":
            self._take()
            return ("symbol", "d" + word[1:].strip().lstrip("\\"))
        if word in _FRACTIONS:
            return self._fraction()
        if word in _BINOMIALS:
            self._take()
            return ("call", "binomial", self._braced(), self._braced())
        if word == "\\mathit":
            return self._italic()
        if kind == "letter" or (kind == "command" and word not in _RESERVED):
            return self._named(calls=calls)
        raise _ElseError

    def _named(self, *, calls: bool) -> Tree:
        is_letter = self._kind == "letter"
        name: Tree = ("symbol", self._take().lstrip("\\"))
        quotes = self._take() if self._kind == "quotes" else ""
        if self._peek() == "_":
            self._take()
            name = (*name, self._script())
        quotes = quotes or (self._take() if self._kind == "quotes" else "")
        if is_letter and quotes:
            name = (*name, quotes)
        call = self._tried(lambda: self._called(name)) if calls and self._peek() == "(" else None
        return call or (("decimal", math.inf) if name == ("symbol", "infty") else name)

    def _called(self, name: Tree) -> Tree:
        self._take("(")
        arguments = [self._sum()]
        while self._peek() == ",":
            self._take()
            arguments.append(self._sum())
        self._take(")")
        return ("call", name, *arguments)

    def _number(self) -> Tree:
        whole = self._digits()
        while self._peek() == "," and self._digits_ahead(1) >= _THOUSAND:
            self._take()
            whole += "".join(self._take() for _ in range(_THOUSAND))
        if self._peek() == ".":
            self._take()
            return ("decimal", float(f"{whole}.{self._digits()}"))
        if whole.startswith("0") and len(whole) > 1:
            raise UnreadableLatexError  # sympy makes no number of 05
        return ("number", int(whole))

    def _digits(self) -> str:
        found: list[str] = []
        while self._kind == "digit":
            found.append(self._take())
        if not found:
            raise UnreadableLatexError
        return "".join(found)

    def _digits_ahead(self, offset: int) -> int:
        """Return how many digits stand behind the next token."""
        ahead = self._tokens[self._place + offset :]
        return next((count for count, (kind, _) in enumerate(ahead) if kind != "digit"), len(ahead))

    def _fraction(self) -> Tree:
        self._take()
        above, below = self._fraction_part(), self._fraction_part()
        inverse: Tree = ("pow", below, MINUS_ONE)
        return inverse if above == ("number", 1) else ("mul", above, inverse)

    def _fraction_part(self) -> Tree:
        return ("number", int(self._take())) if self._kind == "digit" else self._braced()

    def _italic(self) -> Tree:
        self._take("\\mathit")
        self._take("{")
        letters: list[str] = []
        while self._kind == "letter":
            letters.append(self._take())
        self._take("}")
        return ("symbol", "".join(letters))


_THOUSAND: Final = 3
"""Digits behind a comma in a number."""


_ATOMS: Final = frozenset({"number", "decimal", "symbol"})
_ORDER: Final[Mapping[object, int]] = {"number": 0, "decimal": 0, "symbol": 1, "pow": 2, "mul": 3}
"""How sympy sorts what it adds up itself."""


def _subtracted(tree: Tree) -> Tree:
    """Return what is added for a difference: atoms are negated at once, all else is a product with -1."""
    return negated(tree) if tree[0] in _ATOMS else ("mul", MINUS_ONE, tree)


def negated(tree: Tree) -> Tree:
    """Return what a minus sign makes of an expression: sympy computes here, and so numbers in front become one."""
    kind = tree[0]
    if kind in ("number", "decimal"):
        return (kind, -cast("int | float", tree[1]))
    if kind == "mul":
        return _negated_product(tree)
    if kind == "add":
        parts = [negated(cast("Tree", part)) for part in tree[1:]]
        return ("add", *sorted(parts, key=_rank))
    return ("mul", MINUS_ONE, tree)


def _rank(tree: Tree) -> tuple[int, str]:
    """Return a sort key for what is added up."""
    return (_ORDER.get(tree[0], len(_ORDER)), repr(tree))


def _negated_product(tree: Tree) -> Tree:
    """Return the negative of a product, its factors side by side and its numbers as one in front."""
    number: int | float | Fraction = -1
    others: list[Tree] = []
    waiting: list[Tree] = [tree]
    while waiting:
        part = waiting.pop()
        if part[0] == "mul":
            waiting += [cast("Tree", factor) for factor in reversed(part[1:])]
        elif part[0] in ("number", "decimal"):
            number *= cast("int | float | Fraction", part[1])
        else:
            others.append(part)
    front: Tree = ("decimal" if isinstance(number, float) else "number", number)
    if not others:
        return front
    if front == ("number", 1):
        return others[0] if len(others) == 1 else ("mul", *others)
    if len(others) == 1 and others[0][0] == "add":
        return negated(others[0]) if front == MINUS_ONE else ("mul", front, others[0])
    return ("mul", front, *others)


def _parts_of(tree: Tree) -> Iterator[Tree]:
    """Return an expression and all expressions in it; a symbol's subscript is part of its name."""
    waiting = [tree]
    while waiting:
        part = waiting.pop()
        yield part
        if part[0] != "symbol":
            waiting += [inner for inner in part[1:] if isinstance(inner, tuple)]


def variables(tree: Tree) -> frozenset[Tree]:
    """Return the symbols of an expression."""
    return frozenset(part for part in _parts_of(tree) if part[0] == "symbol")


def has_decimals(tree: Tree) -> bool:
    """Return whether an expression holds a decimal number."""
    return any(part[0] == "decimal" for part in _parts_of(tree))


_CALLS: Final[Mapping[str, Callable[[complex], complex]]] = {
    "sin": cmath.sin, "cos": cmath.cos, "tan": cmath.tan, "sinh": cmath.sinh, "cosh": cmath.cosh, "tanh": cmath.tanh,
    "asin": cmath.asin, "acos": cmath.acos, "atan": cmath.atan, "asinh": cmath.asinh, "acosh": cmath.acosh,
    "atanh": cmath.atanh, "exp": cmath.exp, "abs": abs, "conjugate": lambda value: value.conjugate(),
    "csc": lambda value: 1 / cmath.sin(value), "sec": lambda value: 1 / cmath.cos(value),
    "cot": lambda value: 1 / cmath.tan(value),
    "floor": lambda value: complex(math.floor(value.real), math.floor(value.imag)),
    "ceiling": lambda value: complex(math.ceil(value.real), math.ceil(value.imag)),
}  # fmt: skip


def value_at(tree: Tree, at: Callable[[Tree], complex]) -> complex:
    """Compute an expression.

    Args:
        tree: What to compute.
        at: Gives a symbol's value, and that of a call of a function that nobody knows.

    Raises:
        ArithmeticError: It has no value there, or none that a float can hold.
        ValueError: A function has none there.
    """
    kind, parts = tree[0], tree[1:]
    if kind in ("number", "decimal"):
        return complex(cast("float", parts[0]))
    if kind == "symbol":
        return cmath.e if tree == ("symbol", "E") else at(tree)
    if kind == "relation" or (kind == "call" and parts[0] not in {*_CALLS, "log", "factorial", "binomial"}):
        return at(tree)
    values = [value_at(part, at) for part in parts if isinstance(part, tuple)]
    if kind == "call" and parts[0] in {"factorial", "binomial"} and any(abs(value.imag) > _REAL for value in values):
        return at(tree)  # of variables: the same wherever it stands
    if kind == "add":
        return sum(values)
    if kind == "mul":
        return math.prod(values, start=complex(1))
    if kind == "pow":
        return values[0] ** values[1]
    return _called_value(cast("str", parts[0]), values)


def _called_value(name: str, values: list[complex]) -> complex:
    if name == "log":
        return cmath.log(values[0]) / cmath.log(values[1])
    if name == "factorial":
        return _gamma(values[0] + 1)
    if name == "binomial":
        above, below = values
        return _gamma(above + 1) / (_gamma(below + 1) * _gamma(above - below + 1))
    return _CALLS[name](values[0])


def _gamma(value: complex) -> complex:
    """Return the gamma function of a real number; raises ValueError where it has a pole."""
    return complex(math.gamma(value.real))


_REAL: Final = 1e-12
"""A smaller imaginary part is one of rounding."""
