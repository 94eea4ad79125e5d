"""Compute with expressions exactly, and say whether two of them are equal.

Part of the rule `maths` (`harness/scoring/answers/maths.py`). An expression is a quotient of two sums of products of
atoms: letters, pi, e, i, roots of primes, and functions of expressions. Where no function is left, two expressions are
equal just where one times the other's denominator less the other way round is zero: roots of different square-free
numbers, powers of letters and of pi never cancel. With functions they are compared in numbers at fixed points: where
they differ there they are different, and what agrees at all of them to 40 digits is one function (the zeros of an
analytic difference are too sparse to be met three times).

Everything is bounded by `Effort`, as the texts are a model's: nothing is evaluated that could grow without an end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any, Final, NamedTuple, TypeAlias

MAX_BITS: Final = 16_384
"""Of the coefficients, so that 2^1009 is read and 9^(9^9) is not."""
MAX_TERMS: Final = 128
"""Terms of a sum."""
MAX_EFFORT: Final = 12_000
"""Products of terms, those of large numbers counting more."""
MAX_EXPANDED: Final = 12
"""A sum is multiplied out up to this power."""
MAX_EXPONENT: Final = 100_000
"""Of a letter."""
MAX_FACTORIAL: Final = 200
MAX_CHOSEN_FROM: Final = 1_000
"""A binomial of more things is not computed."""
MAX_TRIED_DIVISOR: Final = 2_000
"""Radicands are taken apart by divisors up to here; what is left stays one factor."""
BITS_PER_EFFORT: Final = 256
DIGITS: Final = 50
"""Numbers are computed with so many digits where functions are compared..."""
AGREEING: Final = 40
"""... and must agree in so many."""
MOST_DECADES: Final = 30
"""A larger value is none that a function has where it is defined."""
MOST_MAGNITUDE: Final = 1_000
"""A power of larger exponents is not computed."""


class UnreadableError(Exception):
    """A text is no expression that can be read for certain, or is too large a one."""


@dataclass(slots=True)
class Effort:
    """What may still be spent on an expression, or on comparing two."""

    left: int = MAX_EFFORT
    """Products of terms that are left."""

    def spend(self, amount: int) -> None:
        """Take from what is left.

        Raises:
            UnreadableError: Nothing is left.
        """
        self.left -= amount
        if self.left < 0:
            raise UnreadableError("too large")


class Atom(NamedTuple):
    """What is not taken apart any further."""

    name: str
    """A letter, a constant, a prime in digits, or a function's name."""
    arguments: tuple[Written, ...] = ()
    """What a function is of; nothing else has any."""


Monomial: TypeAlias = tuple[tuple[Atom, Fraction], ...]
"""Atoms with their exponents, in order."""
Sum: TypeAlias = dict[Monomial, Fraction]
"""Products of atoms with their coefficients, none of which is zero."""
Written: TypeAlias = tuple[tuple[tuple[Monomial, Fraction], ...], tuple[tuple[Monomial, Fraction], ...]]
"""A quotient as an atom holds it: it can be compared and hashed."""


class Quotient(NamedTuple):
    """An expression."""

    top: Sum
    """The numerator."""
    bottom: Sum
    """The denominator, never zero."""


PI: Final = Atom("π")
EULER: Final = Atom("e")
IMAGINARY: Final = Atom("i")
INFINITY: Final = Atom("∞")
GROUP: Final = "()"
"""The function that leaves its argument as it is: it holds a sum under a root."""
POWER: Final = "^"
LOGARITHM: Final = "log"
"""To a base that is not said, or to its second argument."""
_POSITIVE: Final = frozenset((PI, EULER))
_CONSTANTS: Final = frozenset((PI, EULER, IMAGINARY, INFINITY))
_ONE: Final = Fraction(1)


def number(value: Fraction | int) -> Quotient:
    """Return a number as an expression."""
    return Quotient({(): Fraction(value)} if value else {}, {(): _ONE})


def atom(it: Atom) -> Quotient:
    """Return an atom as an expression."""
    return Quotient({((it, _ONE),): _ONE}, {(): _ONE})


def function(name: str, *arguments: Quotient) -> Quotient:
    """Return a function of expressions, not evaluated."""
    return atom(Atom(name, tuple(map(_written, arguments))))


def _written(it: Quotient) -> Written:
    return tuple(sorted(it.top.items())), tuple(sorted(it.bottom.items()))


def rational(it: Quotient) -> Fraction | None:
    """Return the number that an expression without atoms is; None for others."""
    if it.bottom.keys() != {()} or not it.top.keys() <= {()}:
        return None
    return it.top.get((), Fraction(0)) / it.bottom[()]


# --- sums and products ------------------------------------------------------------------------------------------------


def _checked(value: Fraction) -> Fraction:
    if value.numerator.bit_length() > MAX_BITS or value.denominator.bit_length() > MAX_BITS:
        raise UnreadableError("too large a number")
    return value


def _bits(value: Fraction) -> int:
    return value.numerator.bit_length() + value.denominator.bit_length()


def _join(first: Monomial, second: Monomial) -> tuple[Monomial, Fraction]:
    """Return the product of two monomials, and the number that falls out of it: √2·√2 is 2, i·i is -1."""
    if not second:
        return first, _ONE
    if not first:
        return second, _ONE
    powers = dict(first)
    for own, exponent in second:
        powers[own] = powers.get(own, Fraction(0)) + exponent
    return _tidied(powers)


def _tidied(powers: Mapping[Atom, Fraction]) -> tuple[Monomial, Fraction]:
    """Return atoms with their exponents as a monomial, and the number that falls out of it."""
    factor = _ONE
    kept: list[tuple[Atom, Fraction]] = []
    for own, power in powers.items():
        exponent = power
        if own.name.isdigit():
            whole = math.floor(exponent)
            if abs(whole) * int(own.name).bit_length() > MAX_BITS:
                raise UnreadableError("too large a power")
            factor *= Fraction(int(own.name)) ** whole
            exponent -= whole
        elif own == IMAGINARY and exponent.denominator == 1:
            quarter = exponent.numerator % 4
            factor *= -1 if quarter >= 2 else 1
            exponent = Fraction(quarter % 2)
        if exponent:
            if abs(exponent) > MAX_EXPONENT:
                raise UnreadableError("too large an exponent")
            kept.append((own, exponent))
    return tuple(sorted(kept)), factor


def _added(first: Sum, second: Sum) -> Sum:
    total = dict(first)
    for monomial, value in second.items():
        if whole := total.pop(monomial, Fraction(0)) + value:
            total[monomial] = _checked(whole)
    if len(total) > MAX_TERMS:
        raise UnreadableError("too many terms")
    return total


def _multiplied(first: Sum, second: Sum, effort: Effort) -> Sum:
    if not first or not second:
        return {}
    largest = max(map(_bits, first.values())) + max(map(_bits, second.values()))
    effort.spend(len(first) * len(second) * (1 + largest // BITS_PER_EFFORT))
    total: Sum = {}
    for monomial, value in first.items():
        for other, factor in second.items():
            joined, fallen = _join(monomial, other)
            if whole := total.pop(joined, Fraction(0)) + value * factor * fallen:
                total[joined] = _checked(whole)
    if len(total) > MAX_TERMS:
        raise UnreadableError("too many terms")
    return total


def add(first: Quotient, second: Quotient, effort: Effort) -> Quotient:
    """Return the sum of two expressions."""
    if first.bottom == second.bottom:
        return Quotient(_added(first.top, second.top), first.bottom)
    top = _added(_multiplied(first.top, second.bottom, effort), _multiplied(second.top, first.bottom, effort))
    return Quotient(top, _multiplied(first.bottom, second.bottom, effort))


def negative(it: Quotient) -> Quotient:
    """Return the expression with the other sign."""
    return Quotient({monomial: -value for monomial, value in it.top.items()}, it.bottom)


def multiply(first: Quotient, second: Quotient, effort: Effort) -> Quotient:
    """Return the product of two expressions."""
    return Quotient(_multiplied(first.top, second.top, effort), _multiplied(first.bottom, second.bottom, effort))


def divide(first: Quotient, second: Quotient, effort: Effort) -> Quotient:
    """Return one expression over another.

    Raises:
        UnreadableError: The other is zero, or the quotient too large.
    """
    if not second.top:
        raise UnreadableError("divided by zero")
    if len(second.top) == 1:
        # One term is divided by term by term, so that no denominator is left.
        ((monomial, value),) = second.top.items()
        inverse, fallen = _tidied({own: -exponent for own, exponent in monomial})
        turned = Quotient(_multiplied(second.bottom, {inverse: fallen / value}, effort), {(): _ONE})
        return multiply(first, turned, effort)
    return multiply(first, Quotient(second.bottom, second.top), effort)


# --- powers -----------------------------------------------------------------------------------------------------------


def power(base: Quotient, exponent: Quotient, effort: Effort) -> Quotient:
    """Return a power; what cannot be taken apart becomes a function.

    Raises:
        UnreadableError: It is too large, or zero to a power that is none.
    """
    to = rational(exponent)
    if to is None:
        return _power_of_letters(base, exponent, effort)
    if not base.top:
        if to > 0:
            return base
        raise UnreadableError("a power of zero")
    if to.denominator != 1:
        return _root(base, to)
    if to < 0:
        base, to = divide(number(1), base, effort), -to
    if len(base.top) == len(base.bottom) == 1:
        return Quotient(_term_power(base.top, int(to)), _term_power(base.bottom, int(to)))
    if to > MAX_EXPANDED:
        raise UnreadableError("too large a power of a sum")
    whole = number(1)
    for _ in range(int(to)):
        whole = multiply(whole, base, effort)
    return whole


def _term_power(term: Sum, to: int) -> Sum:
    ((monomial, value),) = term.items()
    if _bits(value) * to > 2 * MAX_BITS:
        raise UnreadableError("too large a power")
    raised, fallen = _tidied({own: exponent * to for own, exponent in monomial})
    return {raised: _checked(value**to * fallen)}


def _power_of_letters(base: Quotient, exponent: Quotient, effort: Effort) -> Quotient:
    """Return a power whose exponent is no number; a whole number in it is split off: 2^(n+1) is 2·2^n."""
    constant = exponent.top.get((), Fraction(0))
    if exponent.bottom == {(): _ONE} and constant.denominator == 1 and 0 < abs(constant) <= MAX_EXPANDED:
        rest = Quotient({monomial: value for monomial, value in exponent.top.items() if monomial}, exponent.bottom)
        return multiply(function(POWER, base, rest), power(base, number(constant), effort), effort)
    return function(POWER, base, exponent)


def _root(base: Quotient, to: Fraction) -> Quotient:
    """Return a power with a fraction for its exponent; a sum or a letter stays whole under the root."""
    whole = Quotient({((Atom(GROUP, (_written(base),)), to),): _ONE}, {(): _ONE})
    if len(base.top) != 1 or base.bottom != {(): _ONE}:
        return whole
    ((monomial, value),) = base.top.items()
    if any(own not in _POSITIVE and not own.name.isdigit() for own, _ in monomial):
        return whole
    powers = {own: exponent * to for own, exponent in monomial}
    if value < 0:
        if to.denominator == 2:
            powers[IMAGINARY] = Fraction(to.numerator)
        elif to.denominator % 2 == 0:
            return whole
    for prime, times in _factors(abs(value)):
        powers[Atom(str(prime))] = powers.get(Atom(str(prime)), Fraction(0)) + times * to
    if value < 0 and to.denominator % 2 and to.numerator % 2:
        monomial, fallen = _tidied(powers)
        return Quotient({monomial: -fallen}, {(): _ONE})
    monomial, fallen = _tidied(powers)
    return Quotient({monomial: fallen}, {(): _ONE})


def _factors(value: Fraction) -> Iterator[tuple[int, int]]:
    """Yield primes of a positive number with their exponents; what no small divisor takes apart comes as one factor."""
    for part, sign in ((value.numerator, 1), (value.denominator, -1)):
        rest, divisor = part, 2
        if rest.bit_length() > MAX_BITS // 64:
            raise UnreadableError("too large under a root")
        while divisor * divisor <= rest and divisor <= MAX_TRIED_DIVISOR:
            times = 0
            while rest % divisor == 0:
                rest //= divisor
                times += 1
            if times:
                yield divisor, sign * times
            divisor += 1 if divisor == 2 else 2
        if rest > 1:
            side = math.isqrt(rest)
            yield (side, 2 * sign) if side * side == rest else (rest, sign)


# --- equality ---------------------------------------------------------------------------------------------------------


def letters_of(it: Quotient) -> frozenset[str]:
    """Return the letters that an expression holds, constants apart."""
    return frozenset(own.name for own in _all_atoms(_written(it)) if _is_letter(own))


def _is_letter(own: Atom) -> bool:
    return not own.arguments and own not in _CONSTANTS and not own.name.isdigit()


def _all_atoms(it: Written) -> Iterator[Atom]:
    for side in it:
        for monomial, _ in side:
            for own, _ in monomial:
                yield own
                for argument in own.arguments:
                    yield from _all_atoms(argument)


def _is_closed(it: Quotient) -> bool:
    """Return whether an expression is free of functions, so that equality is a matter of algebra alone."""
    return not any(own.arguments for own in _all_atoms(_written(it)))


def equal(first: Quotient, second: Quotient) -> bool:
    """Return whether two expressions are equal wherever both are defined.

    Raises:
        UnreadableError: They are too large to be compared.
    """
    effort = Effort()
    one, other = _multiplied(first.top, second.bottom, effort), _multiplied(second.top, first.bottom, effort)
    if one == other:
        return True
    if _is_closed(first) and _is_closed(second):
        return False
    return _agree(first, second)


def proportional(first: Quotient, second: Quotient) -> bool:
    """Return whether one expression is a constant, not zero, times the other: as sides of equations they say the same.

    What stands below the line takes no part: a quotient is zero where its numerator is.

    Raises:
        UnreadableError: They are too large to be compared.
    """
    if not first.top or not second.top:
        return first.top.keys() == second.top.keys()
    if not (_is_closed(first) and _is_closed(second)):
        return _agree(first, second, up_to_factor=True)
    effort = Effort()
    one, other = _without_common(first.top), _without_common(second.top)
    lead = max(one)
    return lead in other and _multiplied(one, {(): other[lead]}, effort) == _multiplied(other, {(): one[lead]}, effort)


def _without_common(terms: Sum) -> Sum:
    """Return a sum without negative exponents of letters: 1/x - y is as zero as 1 - xy."""
    lowest: dict[Atom, Fraction] = {}
    for monomial in terms:
        for own, exponent in monomial:
            if exponent < lowest.get(own, Fraction(0)) and not own.name.isdigit():
                lowest[own] = exponent
    lift = tuple(sorted((own, -exponent) for own, exponent in lowest.items()))
    lifted: Sum = {}
    for monomial, value in terms.items():
        joined, fallen = _join(monomial, lift)
        lifted[joined] = value * fallen
    return lifted


@cache
def _mpmath() -> Any:
    """Return mpmath's context for complex numbers of `DIGITS` digits."""
    # most answers are compared without it; it has no types
    from mpmath import MPContext  # noqa: PLC0415  # pyright: ignore[reportMissingTypeStubs]

    context = MPContext()
    context.dps = DIGITS
    return context


def value_of(it: Quotient) -> float | None:
    """Return the value of an expression without letters; None where it has letters or no real value."""
    exact = rational(it)
    try:
        if exact is not None:
            return float(exact)
        found = None if letters_of(it) else _value(_written(it), {})
    except _NO_VALUE:
        return None
    if found is None or abs(found.imag) > abs(found.real) * 10**-AGREEING:
        return None
    return float(found.real)


_NO_VALUE: Final = (ValueError, ArithmeticError, UnreadableError)
"""What is raised where a function has no value, or none that can be computed."""
_POINTS: Final = ("0.6180339887498948482", "2.4142135623730950488", "-1.3247179572447460260")
"""Where functions are compared: the first letter is that, each further one a known step from it."""
_STEP: Final = "0.5671432904097838729"


def _agree(first: Quotient, second: Quotient, *, up_to_factor: bool = False) -> bool:
    """Return whether two expressions have the same values, or a constant quotient of them, at all fixed points."""
    context = _mpmath()
    names = sorted(letters_of(first) | letters_of(second))
    met = 0
    factor: Any = None
    for start in _POINTS if names else _POINTS[:1]:
        point = {name: context.mpf(start) + order * context.mpf(_STEP) for order, name in enumerate(names)}
        try:
            one, other = (_moderate_value(side, point) for side in (first, second))
            if up_to_factor:
                one /= other
                other = factor = one if factor is None else factor
        except _NO_VALUE:
            continue
        if abs(one - other) > 10**-AGREEING * max(1, abs(one), abs(other)):
            return False
        met += 1
    return met >= min(2, len(names) + 1)


def _moderate_value(it: Quotient, point: Mapping[str, Any]) -> Any:
    """Return the value at a point.

    Raises:
        UnreadableError: It is not finite, or so large that it stands for infinity: tan(π/2) is 10^50 in 50 digits.
    """
    found = _value(_written(it), point)
    if not _mpmath().isfinite(found) or abs(found) > 10**MOST_DECADES:
        raise UnreadableError("no finite value")
    return found


def _value(it: Written, point: Mapping[str, Any]) -> Any:
    context = _mpmath()
    top, bottom = (
        context.fsum(
            context.mpf(value.numerator)
            / value.denominator
            * context.fprod(_raised(_atom_value(own, point), exponent) for own, exponent in monomial)
            for monomial, value in side
        )
        for side in it
    )
    return context.mpc(top) / bottom


def _raised(base: Any, exponent: Fraction) -> Any:
    context = _mpmath()
    if exponent == 1:
        return base
    if exponent.denominator % 2 and base.imag == 0 and base.real < 0:
        # Odd roots of negative numbers are the real ones, as schools take them.
        root = -((-base) ** (context.mpf(1) / exponent.denominator))
        return root**exponent.numerator
    return base ** (context.mpf(exponent.numerator) / exponent.denominator)


def _atom_value(own: Atom, point: Mapping[str, Any]) -> Any:
    context = _mpmath()
    if own.arguments:
        return _FUNCTIONS[own.name](context, *(_value(argument, point) for argument in own.arguments))
    if own.name.isdigit():
        return context.mpc(int(own.name))
    if own in _CONSTANTS:
        if own == INFINITY:
            raise UnreadableError("infinity has no value")
        return context.mpc({PI: context.pi, EULER: context.e, IMAGINARY: context.j}[own])
    return context.mpc(point[own.name])


def _power_value(_context: Any, base: Any, exponent: Any) -> Any:
    if abs(exponent) > MOST_MAGNITUDE or abs(base) > MOST_MAGNITUDE**MAX_EXPANDED:
        raise UnreadableError("too large a power")
    return base**exponent


def _logarithm(context: Any, of: Any, base: Any = None) -> Any:
    # A base that nobody names is any number: what holds for one holds for all.
    return context.log(of) / context.log(context.mpf("7.38905609893065") if base is None else base)


def _itself(_context: Any, of: Any) -> Any:
    return of


def _factorial(context: Any, of: Any) -> Any:
    if abs(of) > MOST_MAGNITUDE:
        raise UnreadableError("too large a factorial")
    return context.gamma(of + 1)


def _moderate(name: str) -> Callable[..., Any]:
    """Return a function of mpmath for arguments that are no larger than one would write."""

    def compute(context: Any, of: Any) -> Any:
        if abs(of) > MOST_MAGNITUDE**2:
            raise UnreadableError("too large an argument")
        return getattr(context, name)(of)

    return compute


_OF_MPMATH: Final = {
    **{name: name for name in ("sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh")},
    **{f"arc{name}": f"a{name}" for name in ("sin", "cos", "tan", "cot", "sec", "csc")},
    "ln": "log",
    "exp": "exp",
    "abs": "fabs",
    "floor": "floor",
    "ceil": "ceil",
}
_FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    **{name: _moderate(theirs) for name, theirs in _OF_MPMATH.items()},
    GROUP: _itself,
    POWER: _power_value,
    LOGARITHM: _logarithm,
    "fact": _factorial,
}
FUNCTIONS: Final = frozenset(_OF_MPMATH) - {"abs", "floor", "ceil"}
"""Functions that are written by their names before what they are of."""
