r"""Part a value from the unit behind it, and compare units.

Part of the rule `maths` (`harness/scoring/answers/maths.py`). Whether a suffix leaves the number as it is, is judged as
for numbers (`number_neighbours.py`): "cm", "\mathrm{~m/s^2}", "square units" and "apples" do, "dozen" and "x" do not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Final

from harness.scoring.answers.number import read_number
from harness.scoring.answers.units import GLUED_UNITS

MAX_CHARACTERS: Final = 60
"""A longer suffix is no unit."""

_WRAPPED: Final = re.compile(
    # A unit as text of a formula; its power; what stands between two units or before the first.
    r"(?:\\(?:text|textrm|mathrm|rm|mbox|operatorname) ?\{[^{}]*\}|\^ ?\{?-?\d\}?|[ ~/·]|\\cdot|\\[,; ])+\Z"
)
_AFTER_BLANK: Final = re.compile(r"(?<=[\d)\]}πi°%A-Za-z])[ ~]+[A-Za-zμΩ°][A-Za-zμΩ°·/^\d \-]*\Z")
_GLUED: Final = re.compile(r"(?<=[\d)}π])[A-Za-zμΩ]{2,4}(?:\^?\{?[23]\}?)?\Z")
_CHINESE: Final = re.compile(r"(?<=[\d)}π]) ?[\u4e00-\u9fff]{1,4}\Z")
_PLAIN: Final = re.compile(
    # What goes from a unit before it is looked up: commands of fonts, braces and ties, thin spaces.
    r"\\(?:text|textrm|mathrm|rm|mbox|operatorname) ?|[{}~]|\\[,; ]"
)
_DRESS: Final = re.compile(
    # What goes before a unit is converted: as above, and dollar signs; a command that only begins so stays.
    r"\\(?:text|textrm|mathrm|rm|mbox|operatorname)(?![a-z])|\\[,; ]|[{}~$]"
)
_SAID: Final = ((r"\Omega", "Ω"), (r"\mu", "μ"), (r"\cdot", "·"), (r"\times", "·"), (" per ", "/"), ("**", "^"))
_PREFIXES: Final = {"": 0, "m": -3, "c": -2, "d": -1, "h": 2, "k": 3, "M": 6, "G": 9, "μ": -6, "n": -9, "p": -12}
_NAMED: Final[Mapping[str, tuple[Fraction, Mapping[str, int]]]] = {
    # A unit in metres, grams, seconds, amperes, kelvins and moles, else in itself: a factor, and the power of each.
    # (The International System of Units, 9th edition, tables 2, 4 and 8.)
    **{
        name: (Fraction(factor), dict(zip(("m", "g", "s", "A"), powers, strict=True)))
        for name, factor, *powers in (
            ("N", 1000, 1, 1, -2, 0), ("J", 1000, 2, 1, -2, 0), ("W", 1000, 2, 1, -3, 0), ("Pa", 1000, -1, 1, -2, 0),
            ("Hz", 1, 0, 0, -1, 0), ("C", 1, 0, 0, 1, 1), ("V", 1000, 2, 1, -3, -1), ("Ω", 1000, 2, 1, -3, -2),
            ("F", "1/1000", -2, -1, 4, 2), ("T", 1000, 0, 1, -2, -1), ("Wb", 1000, 2, 1, -2, -1),
            ("H", 1000, 2, 1, -2, -2), ("L", "1/1000", 3, 0, 0, 0), ("l", "1/1000", 3, 0, 0, 0),
            ("min", 60, 0, 0, 1, 0), ("h", 3600, 0, 0, 1, 0),
        )
    },
    **{name: (Fraction(1), {name: 1}) for name in ("m", "g", "s", "A", "K", "mol", "eV")},
}  # fmt: skip
_UNPREFIXED: Final = frozenset({"min", "h"})
_POWER: Final = re.compile(r" ?\^ ?")
_SYMBOL: Final = re.compile(r"(?P<name>[A-Za-zμΩ\u4e00-\u9fff]+)(?:\^?(?P<power>-?\d))?")
_BRACKETED: Final = re.compile(r" ?\(([^()]*)\) ?")
_JOINED: Final = re.compile(r"[ ·*×.]*")
_SPELLED: Final = {
    "meter": "m", "metre": "m", "centimeter": "cm", "centimetre": "cm", "millimeter": "mm", "millimetre": "mm",
    "kilometer": "km", "kilometre": "km", "gram": "g", "kilogram": "kg", "second": "s", "米": "m", "厘米": "cm",
    "毫米": "mm", "千米": "km", "克": "g", "千克": "kg", "秒": "s", "minute": "min", "hour": "h",
}  # fmt: skip


def split_unit(text: str) -> tuple[str, str] | None:
    """Return what stands before the unit at the end of a text, and the unit; None where there is none."""
    for pattern in (_WRAPPED, _AFTER_BLANK, _GLUED, _CHINESE):
        found = pattern.search(text)
        if found is None or not found.start() > 0 or len(found.group()) > MAX_CHARACTERS:
            continue
        unit = " ".join(_PLAIN.sub(" ", found.group()).split()).replace(" ^", "^")
        stem = text[: found.start()].strip()
        if pattern is _GLUED and re.sub(r"[\^{}\d]", "", unit) not in GLUED_UNITS:
            continue
        if any(mark.isalpha() or mark == "°" for mark in unit) and _leaves_number(unit):
            return stem, unit
    return None


@lru_cache(maxsize=1024)
def _leaves_number(unit: str) -> bool:
    number = read_number(f"7 {unit}")
    return number is not None and str(number) == "7"


def scale_between(unit: str, gold_unit: str) -> Fraction | None:
    """Return what makes a value in one unit a value in the other; None for units of other things.

    Prefixes are converted (cm and m, km/s and m/s), and units that others are made of (N m and J). A unit that is in no
    table, or can be read in two ways (J/kg K), is believed to be the gold's: reading it is no rule's business.
    """
    one, other = _in_bases(unit), _in_bases(gold_unit)
    if one is None or other is None:
        return Fraction(1)
    return one[0] / other[0] if one[1] == other[1] else None


@lru_cache(maxsize=1024)
def _in_bases(unit: str) -> tuple[Fraction, dict[str, int]] | None:
    """Return a unit as a factor and the power of each base; None for what cannot be read, or in two ways."""
    plain = unit
    for written, meant in _SAID:
        plain = plain.replace(written, meant)
    plain = _POWER.sub("^", " ".join(_DRESS.sub(" ", plain).split()))
    power = 2 if plain.startswith("square ") else 3 if plain.startswith("cubic ") else 1
    plain = plain.removeprefix("square ").removeprefix("cubic ")
    over, slash, under = plain.partition("/")
    factor, bases = Fraction(1), dict[str, int]()
    for side, sign in ((over, power), (under, -power)) if slash else ((over, power),):
        bracketed = _BRACKETED.fullmatch(side)
        symbols = _symbols(bracketed[1] if bracketed else side)
        if symbols is None or (sign < 0 and len(symbols) > 1 and not bracketed):
            return None
        for name, exponent in symbols:
            known = _known(name)
            if known is None:
                return None
            factor *= known[0] ** (exponent * sign)
            for base, own in known[1].items():
                bases[base] = bases.get(base, 0) + own * exponent * sign
    return factor, {base: exponent for base, exponent in bases.items() if exponent}


def _symbols(text: str) -> list[tuple[str, int]] | None:
    """Return the names in a product of units, each with its power; None for what is no such product."""
    symbols: list[tuple[str, int]] = []
    end = 0
    for found in _SYMBOL.finditer(text):
        if not _JOINED.fullmatch(text, end, found.start()):
            return None
        symbols.append((found["name"], int(found["power"] or 1)))
        end = found.end()
    return symbols if symbols and _JOINED.fullmatch(text, end) else None


def _known(name: str) -> tuple[Fraction, Mapping[str, int]] | None:
    """Return what one name is in bases, its prefix included."""
    name = _SPELLED.get(name.removesuffix("s") if len(name) > len("kms") else name, name)
    for stem, (factor, bases) in _NAMED.items():
        if name == stem:
            return factor, bases
    for stem, (factor, bases) in _NAMED.items():
        prefix = name.removesuffix(stem)
        if name != prefix and prefix in _PREFIXES and stem not in _UNPREFIXED:
            return factor * Fraction(10) ** _PREFIXES[prefix], bases
    return None
