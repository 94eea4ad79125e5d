"""Read the one number that an answer states, exactly, as fractions.

Part of the `strict` answer rules (`harness/answers.py`). Understood: signs, thousands separators, decimals, plain and
LaTeX fractions, mixed numbers, scientific notation, percent, currency, units, digits of any script, the English words
zero to twenty ("one" only where it is plainly a count), a minus in words. Not understood, hence no number: ranges,
several different numbers, the same one as operand twice ("3 + 3"), inequalities, negations and what is taken back ("3
is wrong"), roots, powers and other expressions, hexadecimal, a dozen, a half, fifths.

A percentage has two readings, the number as written (the unit is asked for) and its value: "5%" is 5 and 0.05. Either
may equal the gold; both state the same fact. A scale is part of the number: "5 million", "5k" and "5万" are never 5.
What may be a scale or a unit ("5M", "5 K") is not read.
"""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Final

from harness.answers_text import fold, lines, undress_latex

MAX_CHARACTERS: Final = 4_096
"""A longer answer is not read: it states more than one number, or none."""
MAX_DIGITS: Final = 60
"""A number with more digits is none that a benchmark asks for."""
MAX_EXPONENT: Final = 300
"""Same for powers of ten."""
MAX_STATEMENTS: Final = 64
"""A text that writes a number more often than this states nothing, even if it is the same one."""

_SPACED_GROUPS: Final = re.compile("(?<![\\d.,])\\d{1,3}(?:[\u00a0\u2009\u202f]\\d{3})+(?!\\d)")
_GROUP_SPACE: Final = re.compile("[\u00a0\u2009\u202f]")

_CURRENCY: Final = r"(?:(?:US)?[$€£¥₹]|(?<![A-Za-z])[Rr][Ss]\.?(?= ?-?\.?\d))"
_SIGNED_CURRENCY: Final = re.compile(rf"([-+]) ?{_CURRENCY} ?(?=[\d.])|{_CURRENCY}")
_MONEY_SCALE: Final = re.compile(
    rf"({_CURRENCY} ?[-+]?[\d.,]*\d) ?([KkMmBbTt])[Nn]?(?![A-Za-z\d^/])(?![^$]*\$)"  # a second "$" closes a formula
)
_SCALE_MONEY: Final = re.compile(r"(\d) ?([MmBb])[Nn]? ?(?=[€£¥₹])")
_MONEY_SCALES: Final = {"k": "thousand", "m": "million", "b": "billion", "t": "trillion"}
_UNCLEAR_SCALE: Final = re.compile(
    r"\d ?(?:MM?|B|(?i:mil|mio|mln|mn|tn|lacs?))(?![A-Za-zΩ])|\d k(?![A-Za-zΩ])|\dT(?![A-Za-z])"
    r"|\d ?[十만억천백십]|\d ?[百千万亿萬億]{1,4}[零〇一二三四五六七八九十两多余]"
)
"""What may scale the number before it: million or molar, "3万5千" in characters. A capital K set apart is kelvin."""
_UNIT_POWER: Final = re.compile(r"(?<=[A-Za-z])\^ ?\{?-?\d{1,2}\}?")

_PLAIN_NUMBER: Final = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?\Z")
_REAL: Final = r"(?:\d{1,3}(?:,\d{2,3})*,\d{3}(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
_NUMBER: Final = re.compile(
    rf"""(?<![a-z0-9_.^])(?P<sign>(?<![)\]%])[-+])?
    (?: 10\ ?\^\ ?\{{?(?P<power>[-+]?\d+)\}}?
      | (?P<whole>\d+)\ (?P<part>\d+)\ ?/\ ?(?P<parts>\d+)
      | (?P<top>{_REAL})(?:\ ?/\ ?(?P<bottom>{_REAL}))?
        (?:e(?P<exponent>[-+]?\d+)(?![\da-z])|\ ?[×x*]\ ?10\ ?\^\ ?\{{?(?P<tens>[-+]?\d+)\}}?)?
    )
    (?P<after>\ ?\^)?
    (?P<scale>k(?![a-zω\d])|\ ?(?:%|(?:percent|per\ cent|bn|(?:hundred|thousand|million|billion|trillion|lakh|crore)s?)
      (?![a-z\d])|(?:千(?![克米瓦卡帕伏焦赫安牛])|百(?!帕|分)|[万亿萬億]){{1,3}}))?""",
    re.VERBOSE,
)
_PERCENT: Final = frozenset({"%", "percent", "per cent"})
_SCALES: Final = {
    "k": 10**3,
    "hundred": 10**2,
    "thousand": 10**3,
    "lakh": 10**5,
    "million": 10**6,
    "crore": 10**7,
    "bn": 10**9,
    "billion": 10**9,
    "trillion": 10**12,
}
_CHARACTER_SCALES: Final = {"百": 10**2, "千": 10**3, "万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8}
_SCALE_WORD: Final = re.compile(r"\b(?:hundred|thousand|million|billion|trillion|lakh|crore)s?\b|[万亿萬億]")
_WORD_LIST: Final = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
_WORDS: Final = {word: Fraction(value) for value, word in enumerate(_WORD_LIST.split())}
_NUMBER_WORD: Final = re.compile(rf"(?<![\w-])(?:{'|'.join(word for word in _WORDS if word != 'one')})(?![\w-])")
_COMPOUND_WORD: Final = re.compile(
    rf"(?:{'|'.join(_WORDS)}|(?:thir|for|fif|six|seven|eigh|nine)ty)-\w|\w-(?:{'|'.join(_WORDS)})\b|\bpoint\b"
)
_ONE: Final = re.compile(
    r"\A(?:(?:the )?(?:final |correct )?answer(?: is:?|:) ?)?(?P<first>one)"
    r"(?: (?!of\b|more\b|or\b|and\b|can\b|could\b|should\b)[a-z]+)?[.!]?\Z"
    r"|\b(?:there is|there's|only|exactly|just) (?P<later>one)\b(?! of\b)"
)

_WORD: Final = "|".join(_WORDS)
_VALUE: Final = rf"(?:[-+]?\.?\d|(?:{_WORD})\b)"
_SIGN_WORD: Final = re.compile(
    rf"(^|[\n=:(,≈~\"'\[] ?|\b(?:is|be|are|was|equals|to|of) |[是为])(?:minus|negative|マイナス|마이너스) ?"
    rf"(?:({_WORD})(?![\w-])|(?=\.?\d))"
)
"""A minus sign in words where no number can stand before it."""
_CHINESE_SIGN: Final = re.compile(r"(?<!正)(?:负|負|零下) ?(?=\.?\d)")

TAKEN_BACK: Final = re.compile(
    r"\b(?:not|never|neither|nor|cannot|without|hardly|wrong|incorrect|false|unlikely|impossible|except|excluding"
    r"|(?:any|every)(?:thing|one)? but|(?:all|none) but|(?:other|rather) than|instead of)\b|n't\b|(?<!no )\bdoubt"
    r"|不|没|错|并非|除了|排除|ではな|じゃな|ません|아니|않"
)
"""Words, in lower case, that deny what they stand with."""
_BOUNDED: Final = (
    r"\b(?:less than|more than|fewer than|greater than|at least|at most|up to|or (?:more|less|fewer))\b"
    rf"|\b(?:than|over|under|above|below|beneath|beyond|exceed(?:s|ing)?|within|(?:min|max)(?:imum)?(?: of)?) {_VALUE}"
    rf"|(?:\d|\b(?:{_WORD})) (?:[a-z]+ )?(?:and|or) (?:over|under|above|below|up|higher|lower|older|younger)\b"
    r"(?! [a-z])"
    r"|(?:\d|\dk|%|\b(?:bn|(?:hundred|thousand|million|billion|trillion|lakh|crore)s?)|[百千万亿萬億]) ?\+"
    r"|[<>≤≥≠±]|至少|至多|超过|少于|多于|大于|小于|高于|低于|[\d个岁] ?以[上下内]"
)
_SINGULAR_PART: Final = (
    r"(?:third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth|(?:thir|four|fif|six|seven|eigh|nine)teenth"
    r"|twentieth|hundredth|thousandth|millionth)"
)
_CALCULATED: Final = (
    r"\b(?:sqrt|pi|half|halves|dozens?|quarters?|factorial|(?:multiplied|divided) by|raised to|to the power)\b|[√π∞÷]"
    rf"|\b{_SINGULAR_PART}s\b|\b(?:an?|one|1) {_SINGULAR_PART}\b|\b(?:plus|minus)\b(?! signs?\b)|\bnegative\W{{0,2}}\d"
    rf"|\b(?:twice|thrice|double|triple|times) {_VALUE}"
    rf"|\b(?:root|square|cube|absolute value|reciprocal|inverse|opposite) of {_VALUE}"
    rf"|\b(?:a(?:rc)?)?(?:sin|cos|tan|cot|sec|csc|log|ln|lg|exp|abs|(?:co)?sine|tangent|logarithm)h?[_\d]{{0,3}}"
    rf"(?: of)? ?[({{]? ?{_VALUE}"
    rf"|(?:\d|\b(?:{_WORD})) ?(?:squared|cubed)\b|(?<![a-z])[a-z]\([-.]?\d|\|-\d|\dx(?!10 ?\^)\d"
    r"|[-+]{2}|\b0x|\d_\d|\de[-+]?\d+[a-z]|\d\.\d+\.\d|\d!"
    r"|(?:^|[\n=:(]) ?- [\d.]|(?<![a-z0-9])[a-z] ?[-+*/] ?\d|\\[a-z]"
    r"|根号|平方根|立方根|阶乘|对数|次方|\d ?的(?:平方|立方)(?!米|厘米|毫米)|正[负負]|(?<!百)分之|[乘除]以"
    r"|加上|减去|マイナス|마이너스"
)
_NO_STATEMENT: Final = re.compile(f"{TAKEN_BACK.pattern}|{_BOUNDED}|{_CALCULATED}")
_JOINED: Final = re.compile(
    r" ?(?:[a-z°%/]{1,4} )?[)\]]? ?(?:[-+×x*^/~]|to|by|through|till|until|versus|vs\.?|over|per|(?:out )?of(?: the)?"
    r"|[至到加减乘除比]) ?[(\[]?| ?|:| : |[)\]] ?[(\[]"
)
"""What between two equal numbers makes them operands or the ends of a range, and not one number said twice."""


@dataclass(frozen=True, slots=True)
class Number:
    """One stated number."""

    readings: frozenset[Fraction]
    """The values that the statement can mean; one, or two with a percent sign."""
    written: Fraction
    """The number as written, the unit and the percent sign aside."""

    def __str__(self) -> str:
        """Return the number as written: digits where it ends, else a fraction."""
        return _decimal_text(self.written)


def read_number(text: str) -> Number | None:
    """Return the one number that a text states, or None when it states none, several different ones, or none clearly.

    Costs at most milliseconds: longer texts than `MAX_CHARACTERS` are not read.
    """
    text = text.strip()
    if _PLAIN_NUMBER.match(text):
        value = Fraction(text)
        return Number(frozenset({value}), value)
    if not text or len(text) > MAX_CHARACTERS:
        return None
    written = _undressed(text)
    if _UNCLEAR_SCALE.search(written):
        return None
    plain = _with_signs(written.lower())
    if _NO_STATEMENT.search(plain):
        return None
    stated: Number | None = None
    end = None
    for span, number in _candidates(plain):
        if number is None:
            return None
        if end is not None and _JOINED.fullmatch(plain, end, span[0]):
            return None
        end = span[1]
        common = number.readings if stated is None else stated.readings & number.readings
        if not common:
            return None
        stated = (
            number if stated is None else Number(common, stated.written if stated.written in common else min(common))
        )
    return stated


def equal_numbers(first: Number, second: Number, decimals: int | None) -> bool:
    """Return whether a reading of the one equals a reading of the other.

    Args:
        first: A number.
        second: Another one.
        decimals: Compare after rounding both to so many decimals, ties away from zero, exactly; None compares values.
    """
    if decimals is None:
        return not first.readings.isdisjoint(second.readings)
    return not {_rounded(value, decimals) for value in first.readings}.isdisjoint(
        _rounded(value, decimals) for value in second.readings
    )


def _rounded(value: Fraction, decimals: int) -> int:
    """Return the value in units of the last decimal, rounded half away from zero."""
    doubled = abs(value) * 10**decimals * 2 + 1
    whole = doubled.numerator // (doubled.denominator * 2)
    return -whole if value < 0 else whole


def _undressed(text: str) -> str:
    """Return the text with plain digits and marks, without LaTeX and currency; its case may matter to a scale."""
    if not text.isascii():
        text = _SPACED_GROUPS.sub(lambda found: _GROUP_SPACE.sub("", found.group()), text)
        text = "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in fold(text)).replace("·", "×")
    if "\\" in text or "{,}" in text:
        text = undress_latex(text).replace("\\approx", " ").replace("\\sim", " ").replace("\\$", "$")
    text = text.replace("°K", " ").replace("°", " ").replace("**", " ").replace("`", " ")
    for scaled in (_MONEY_SCALE, _SCALE_MONEY):
        text = scaled.sub(lambda found: f"{found[1]} {_MONEY_SCALES[found[2].lower()]} ", text)
    text = _SIGNED_CURRENCY.sub(lambda found: found.group(1) or " ", text)
    return _UNIT_POWER.sub("", lines(text))


def _with_signs(text: str) -> str:
    """Write a minus that is said in words as a sign."""
    text = _SIGN_WORD.sub(lambda found: f"{found[1]}-{_WORDS[found[2]] if found[2] else ''}", text)
    return text if text.isascii() else _CHINESE_SIGN.sub("-", text)


def _candidates(plain: str) -> list[tuple[tuple[int, int], Number | None]]:
    """Return every number in the text with its place, in order; None for one that cannot be read."""
    scale_words = 0
    stated: list[tuple[tuple[int, int], Number | None]] = []
    for found in _NUMBER.finditer(plain):
        scale_words += len(_SCALE_WORD.findall(found["scale"] or ""))
        stated.append((found.span(), _number_of(found)))
        if len(stated) > MAX_STATEMENTS:
            return [((0, 0), None)]
    if _COMPOUND_WORD.search(plain) or len(_SCALE_WORD.findall(plain)) != scale_words:
        return [((0, 0), None)]  # "twenty-one", "five hundred": only a part of it would be read
    words = [(found.span(), found.group()) for found in _NUMBER_WORD.finditer(plain)]
    one = _ONE.search(plain)
    if one:
        words.append((one.span(one.lastgroup or 0), "one"))
    if len(stated) + len(words) > MAX_STATEMENTS:
        return [((0, 0), None)]
    stated.extend((span, Number(frozenset({_WORDS[word]}), _WORDS[word])) for span, word in words)
    return sorted(stated, key=lambda each: each[0])


def _number_of(found: re.Match[str]) -> Number | None:
    """Return the value of a match, or None where it is too long, a power, or divided by zero."""
    if len(found.group()) > MAX_DIGITS or found["after"]:
        return None
    exponent = int(found["power"] or found["exponent"] or found["tens"] or 0)
    if abs(exponent) > MAX_EXPONENT:
        return None
    try:
        value = _magnitude(found) * Fraction(10) ** exponent
    except ZeroDivisionError:
        return None
    if found["sign"] == "-":
        value = -value
    scale = (found["scale"] or "").strip()
    if scale in _PERCENT:
        return Number(frozenset({value, value / 100}), value)
    value *= _scale(scale)
    return Number(frozenset({value}), value)


def _scale(word: str) -> int:
    """Return what a scale stands for; 1 for none."""
    return _SCALES.get(word.removesuffix("s")) or math.prod(_CHARACTER_SCALES.get(character, 1) for character in word)


def _magnitude(found: re.Match[str]) -> Fraction:
    """Return the match's value without sign and power of ten."""
    if found["power"]:
        return Fraction(1)
    if found["whole"]:
        return int(found["whole"]) + Fraction(int(found["part"]), int(found["parts"]))
    top = Fraction(found["top"].replace(",", ""))
    return top / Fraction(found["bottom"].replace(",", "")) if found["bottom"] else top


def _decimal_text(value: Fraction) -> str:
    """Return the value in digits where its decimals end, else as `a/b`."""
    if value.denominator == 1:
        return str(value.numerator)
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    if rest != 1:
        return f"{value.numerator}/{value.denominator}"
    with localcontext() as context:
        context.prec = 2 * (MAX_DIGITS + MAX_EXPONENT)
        return format((Decimal(value.numerator) / Decimal(value.denominator)).normalize(), "f")
