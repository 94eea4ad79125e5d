r"""Part a value from the unit behind it, and compare units.

Part of the rule `maths` (`harness/scoring/answers/maths.py`). Whether a suffix leaves the number as it is, is judged as
for numbers (`number_neighbours.py`): "cm", "\mathrm{~m/s^2}", "square units" and "apples" do, "dozen" and "x" do not.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import Final

from harness.scoring.answers.number import read_number
from harness.scoring.answers.units import GLUED_UNITS

MAX_CHARACTERS: Final = 60
"""A longer suffix is no unit."""

_WRAPPED: Final = re.compile(
    r"(?:\\(?:text|textrm|mathrm|rm|mbox|operatorname) ?\{[^{}]*\}|\^ ?\{?-?\d\}?|[ ~/·]|\\cdot|\\[,; ])+\Z"
)
_AFTER_BLANK: Final = re.compile(r"(?<=[\d)\]}πi°%A-Za-z])[ ~]+[A-Za-zμΩ°][A-Za-zμΩ°·/^\d \-]*\Z")
_GLUED: Final = re.compile(r"(?<=[\d)}π])[A-Za-zμΩ]{2,4}(?:\^?\{?[23]\}?)?\Z")
_CHINESE: Final = re.compile(r"(?<=[\d)}π]) ?[\u4e00-\u9fff]{1,4}\Z")
_PLAIN: Final = re.compile(r"\\(?:text|textrm|mathrm|rm|mbox|operatorname) ?|[{}~]|\\[,; ]")
_NO_UNIT: Final = re.compile(r"[{}^~\s·.]|\\[a-z]+|\*\*")
_BASES: Final = ("mol", "Pa", "Hz", "eV", "m", "g", "s", "W", "V", "A", "J", "N", "Ω", "F", "T", "L", "C", "K")
_PREFIXES: Final = {"": 0, "m": -3, "c": -2, "d": -1, "k": 3, "M": 6, "G": 9, "μ": -6, "n": -9, "p": -12}
_SPELLED: Final = {
    "meter": "m", "metre": "m", "centimeter": "cm", "centimetre": "cm", "millimeter": "mm", "millimetre": "mm",
    "kilometer": "km", "kilometre": "km", "gram": "g", "kilogram": "kg", "second": "s", "米": "m", "厘米": "cm",
    "毫米": "mm", "千米": "km", "克": "g", "千克": "kg", "秒": "s",
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

    Only units of one kind with different prefixes are converted (cm and m, cm² and m²). Compound units that are
    written differently are believed to be the same: "N·m" and "m N" are, and reading them is no rule's business.
    """
    one, other = _parsed(unit), _parsed(gold_unit)
    if one is None or other is None:
        return Fraction(1)
    if one[1:] != other[1:]:
        return None
    return Fraction(10) ** ((one[0] - other[0]) * one[2])


def _parsed(unit: str) -> tuple[int, str, int] | None:
    """Return a unit's prefix as a power of ten, its base and its power; None for what is no single unit."""
    plain = _NO_UNIT.sub("", unit.replace("square ", "").replace("cubic ", ""))
    power = 2 if unit.startswith("square ") else 3 if unit.startswith("cubic ") else 1
    if plain[-1:] in {"2", "3"}:
        plain, power = plain[:-1], int(plain[-1])
    plain = _SPELLED.get(plain.removesuffix("s") if len(plain) > len("kms") else plain, plain)
    for base in _BASES:
        if plain.endswith(base) and plain[: -len(base)] in _PREFIXES:
            return _PREFIXES[plain[: -len(base)]], base, power
    return None
