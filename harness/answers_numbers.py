"""Read the one number that an answer states, exactly, as fractions.

Part of the `strict` answer rules (`harness/answers.py`). Understood: signs, thousands separators, decimals, plain and
LaTeX fractions, mixed numbers, scientific notation, percent, currency, units, digits of any script, English and Chinese
number words, a minus in words or before brackets, |-5|.

A number is read only when all that stands beside it is accounted for: before it a word that says or measures ("is",
"about", "a value of"), after it a unit of the table, a thing that is counted, or the end (`harness/units.py`). "step
1", "gcd(5)", "5n", "5 pairs" and "upwards of 5" name, compute or bound something else. Not understood, hence no number:
ranges, several different numbers, the same one twice with two meanings ("5 ft 5 in", "(5, 5)", "3 + 3"), inequalities,
negations and what is taken back ("3 is wrong"), questions, roots, powers and other expressions, hexadecimal, a dozen,
a half, fifths.

A percentage has two readings, the number as written (the unit is asked for) and its value: "5%" is 5 and 0.05. Either
may equal the gold; both state the same fact. A scale is part of the number: "5 million", "5k" and "5万" are never 5.
What may be a scale or a unit ("5M", "5 K") is not read; from 100 on a K set apart is kelvin.
"""

from __future__ import annotations

import html
import math
import re
import unicodedata
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Final

from harness.answers_text import fold, lines, undress_latex, without_marks
from harness.number_words import LEFT_OVER, digits_for_words
from harness.units import (
    ABBREVIATED_LABELS,
    CHANGED,
    COLLECTIVES,
    GLUED_UNITS,
    KNOWN_UNITS,
    LEADING_WORDS,
    MEASURED,
    PRONOUNS,
    RATE_UNITS,
    REACHED,
    SHORT_WORDS,
    STANDING,
    UNREAL,
)

MAX_CHARACTERS: Final = 4_096
"""A longer answer is not read: it states more than one number, or none."""
MAX_DIGITS: Final = 60
"""A number with more digits is none that a benchmark asks for."""
MAX_EXPONENT: Final = 300
"""Same for powers of ten."""
MAX_STATEMENTS: Final = 64
"""A text that writes a number more often than this states nothing, even if it is the same one."""

_SPACED_GROUPS: Final = re.compile(
    "(?<![\\w.,/+*^-])(?<![\\d.,/] )-?\\d{1,3}(?:([ \u00a0\u2009\u202f])\\d{3}(?:\\1\\d{3})*)(?![\\w/]| ?\\d)"
)
"""1 234 567 with any blank between the thousands, the same one everywhere."""
_GROUP_SPACE: Final = re.compile("[ \u00a0\u2009\u202f]")

_CURRENCY: Final = r"(?:(?:US|HK|NT|NZ|[ACSR])?[$€£¥₹₽₩₫₺₴₱฿₪¢]|(?<![A-Za-z])[Rr][Ss]\.?(?= ?-?\.?\d))"
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
_UNIT_POWER: Final = re.compile(r"(?<![A-Za-z])([A-Za-z]{1,4})\^ ?\{?-?\d{1,2}\}?")
_DEGREES: Final = str.maketrans("º˚", "°°")
_UNIT_PRODUCT: Final = re.compile(r"(\d ?[A-Za-z]{1,3})[·⋅](?=[A-Za-z]{1,3}(?![A-Za-z]))")
"""5 N·m: the point between two units is no product of the number."""
_SUBSCRIPT_BASE: Final = re.compile("[0-9a-fA-F)][₀-₉]")
"""10₈ is eight; Unicode's compatibility form would make 108 of it."""

_BRACED: Final = re.compile(r"\{ ?([-+]?[\d.,]*\d) ?\}")
_ABSOLUTE: Final = re.compile(r"\| ?[-+]?([\d.,]*\d) ?\|")
_SIGNED_BRACKET: Final = re.compile(r"(?<![\w)\]}])([-+]) ?\( ?([\d.,]*\d) ?\)")
"""A sign outside of the brackets belongs to the number inside."""

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
    (?P<scale>k(?![a-zω\d])|\ ?(?:%|‰|(?:percent|per\ cent)(?![a-z\d])
      |(?:(?:bn|(?:hundred|thousand|million|billion|trillion|lakh|crore)s?)(?![a-z\d])\ ?){{1,3}}(?<!\ )
      |(?:千(?![克米瓦卡帕伏焦赫安牛])|百(?!帕|分)|[万亿萬億]){{1,3}}))?""",
    re.VERBOSE,
)
_PERCENT: Final = frozenset({"%", "percent", "per cent"})
_PER_MILLE: Final = "‰"
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
_NAMED_SET: Final = re.compile(
    r"\b(the|these|those|all|both) (?:two|three|four|five|six) (?=[a-z]+s\b.{0,200}?(?:\bis\b|=|:) ?\S{0,3}\d)",
    re.IGNORECASE,
)
"""How many things a sentence is about, before what it says of them: the sum of the two numbers is 7."""
_VALUE: Final = r"[-+]?\.?\d"
_SIGN_WORD: Final = re.compile(
    r"(^|[\n=:(,≈~\"'\[] ?|\b(?:is|be|are|was|equals|to|of) |[是为])(?:minus|negative|マイナス|마이너스) ?(?=\.?\d)",
    re.IGNORECASE,
)
"""A minus sign in words where no number can stand before it."""
_CHINESE_SIGN: Final = re.compile(r"(?<!正)(?:负|負|零下) ?(?=\.?\d)")

TAKEN_BACK: Final = re.compile(
    r"\b(?:not|never|neither|nor|cannot|without|hardly|wrong|incorrect|false|unlikely|impossible|except"
    r"|exclud(?:ed|es|ing)|eliminat(?:ed|es|ing)|rul(?:ed?|ing) out|reject(?:ed|s|ing)?|discard(?:ed|s|ing)?"
    r"|omit(?:ted|s|ting)?|unable"
    r"|too (?:high|low|many|few|much|big|small|large)"
    r"|(?:any|every)(?:thing|one)? but|(?:all|none) but|(?:other|rather) than|instead of)\b|n't\b|(?<!no )\bdoubt"
    r"|~~|不|没|错|并非|除了|排除|ではな|じゃな|ません|아니|않"
)
"""Words, in lower case, that deny what they stand with."""
_BOUNDED: Final = (
    r"\b(?:less than|more than|fewer than|greater than|up to"
    r"|at (?:the )?(?:very )?(?:least|most|best|worst)|or (?:more|less|fewer))\b"
    rf"|\b(?:than|over|under|above|below|beneath|beyond|exceed(?:s|ing)?|within|(?:min|max)(?:imum)?(?: of)?) {_VALUE}"
    r"|\d (?:[a-z]+ )?(?:and|or) (?:over|under|above|below|up|higher|lower|older|younger)\b"
    r"(?! [a-z])"
    r"|(?:\d|\dk|%|\b(?:bn|(?:hundred|thousand|million|billion|trillion|lakh|crore)s?)|[百千万亿萬億]) ?\+"
    r"|[<>≤≥≠±]|至少|至多|超过|少于|多于|大于|小于|高于|低于|[\d个岁] ?以[上下内]"
)
_SINGULAR_PART: Final = (
    r"(?:third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth|(?:thir|four|fif|six|seven|eigh|nine)teenth"
    r"|twentieth|hundredth|thousandth|(?:m|b|tr)illionth)"
)
_CALCULATED: Final = (
    r"\b(?:sqrt|pi|half|halves|dozens?|quarters?|factorial|(?:multiplied|divided) by|raised to|to the power)\b|[√π∞÷]"
    rf"|\b{_SINGULAR_PART}s\b|\b(?:an?|one|1) {_SINGULAR_PART}\b|\b(?:plus|minus)\b(?! signs?\b)|\bnegative\W{{0,2}}\d"
    rf"|\b(?:twice|thrice|double|triple|times) {_VALUE}"
    rf"|\b(?:root|square|cube|absolute value|reciprocal|inverse|opposite) of {_VALUE}"
    rf"|\b(?:a(?:rc)?)?(?:sin|cos|tan|cot|sec|csc|log|ln|lg|exp|abs|(?:co)?sine|tangent|logarithm)h?[_\d]{{0,3}}"
    rf"(?: of)? ?[({{]? ?{_VALUE}"
    r"|\d ?(?:squared|cubed)\b|\dx(?!10 ?\^)\d"
    r"|[-+]{2}|\b0x|\d_\d|\de[-+]?\d+[a-z]|\d\.\d+\.\d|\d!"
    r"|\b(?:in|to) (?:binary|octal|hex(?:adecimal)?)\b|\bbase[ -]?\d"
    r"|\b(?:\d+|one) (?:in|out of) \d|\d (?:[a-z]+ )?past\b"
    r"|\d[^\d\n]{0,60}\b(?:add(?:s|ed|ing)?|subtract(?:s|ed|ing)?|remov(?:es?|ed|ing)|multipl(?:y|ies)|doubl(?:es?|ed)"
    r"|tripled) (?:\d|it|this|that|one|an?|another|the)\b|\bone (?:more|less)\b"
    r"|(?:^|[\n=:(]) ?- [\d.]|(?<![a-z0-9])[a-z] ?[-+*/] ?\d|\\[a-z]"
    r"|根号|平方根|立方根|阶乘|对数|次方|\d ?的(?:平方|立方)(?!米|厘米|毫米)|正[负負]|(?<!百)分之|[乘除]以"
    r"|加上|减去|マイナス|마이너스"
)
_FIRST_CJK: Final = "\u2e80"
_SEEN_CHARACTERS: Final = 48
"""How much beside a number is looked at: a few words."""
_VALUE_AHEAD: Final = re.compile(r"[=≈] ?(?:[-+]?\.?\d|[A-Za-z]\Z)")
_UNSURE: Final = (
    r"\b(?:maybe|perhaps|possibly|might|(?:could|may|can) be|(?:could|would|might) have been"
    r"|used to be|unsure|unclear|unknown|unless|depend(?:s|ing)|if|otherwise"
    r"|but|almost|nearly|barely|non|n/a|half"
    r"|wait|kidding|joking|scratch that|oops)\b|[.,;!\n] ?no(?:pe)?\W*$|可能|也许|如果|几乎|接近|将近"
)
"""Hedges and conditions; "about" and "approximately" state a number, "almost" states that it is another one."""
_NO_STATEMENT: Final = re.compile(f"{TAKEN_BACK.pattern}|{_BOUNDED}|{_CALCULATED}|{_UNSURE}")
_OPERATORS: Final = re.compile(r"[*×÷^√∑∫∏&@≮≯∉¬+]|(?<![A-Za-z_\d])\d")
"""What must not be left once the numbers are taken out of the text: operators, and digits that no number holds."""

_LEFT_MARKS: Final = frozenset(":=≈~\"'\n,;!?#•∴")
_LABEL_CHARACTERS: Final = frozenset("骤号第图圖表题題步例页頁章节節项項")
_CLOSING_BRACKET: Final = {"(": ")", "[": "]"}
_BEFORE_NO_BRACKET: Final = frozenset(")]-+*/^|")
"""Right before a bracket or quote these make a sign, a factor or an argument of it."""
_LEFT_WORD: Final = re.compile(r"(?:([a-z']+) )?([a-z']+)\Z")

_RIGHT_END: Final = frozenset(".,;!)]}\"'\n")
_RIGHT_WORD: Final = re.compile(r"[^\W\d_⺀-\U0010ffff]+")
"""A word of a script that puts blanks between words."""
_CHANGING: Final = re.compile(
    r"[个個年天小时時斤元块里]{0,2}[半多余餘几幾来]|[折成双雙对對打點]|点[\d一二三四五六七八九半]"
)
"""5个半 is 5.5, 5折 half the price, 5双 ten, 5点5 has a point or is a time."""
_PART_WORD: Final = re.compile(rf"{_SINGULAR_PART}s?\Z")
_VOWEL: Final = re.compile(r"[aeiouy]", re.IGNORECASE)
_MORE_THAN: Final = re.compile(r" ?(?:more|fewer|less) [a-z]+(?: [a-z]+)? than\b")
_TIMES: Final = re.compile(
    r" ?times(?:[.!]?\Z|[.,;] | (?:a|an|per|each|every|as|larger|bigger|greater|more|faster|in|on|the)\b)"
)
_AND_MORE: Final = re.compile(
    r" ?and (?:[b-hj-z]|change|fewer|less|lower|up|over|an?|counting|some|then|half|more|above|a bit|beyond|under)\b"
)
_OR_SO: Final = re.compile(r" ?or (?:so|thereabouts)\b")
_HYPHENATED: Final = re.compile(r"-(?:ish\b|(?!odd|plus|some|all\b|nil|love)[a-z]{3,})")
_VERSION: Final = re.compile(r"\.[a-z](?![\w.])")
_LENGTHS: Final = frozenset(("m", "cm", "mm", "km", "dm", "ft", "in"))
"""Units whose square and cube are written without a caret: 5 m2."""
_SIDE: Final = re.compile(
    r" ?(?:above|below|under|over)\b(?! (?:the|a|an|this|that|his|her|its|their|it|them)\b)| ?(?:before|after)\W*\Z"
)
"""Where things are ("5 above the line") is no matter; "5 below" and "5 under par" are other numbers."""
_VARIABLE_NEXT: Final = re.compile(r"[^\W\d_]+ (?![AaI])([A-Za-z])(?![\w.'-])")
"""A unit is followed by a lone letter: "5 m x" is a product."""
_GOES_ON: Final = re.compile(
    rf"[ap]\.m\b\.?|o'clock\b|an? (?:{'|'.join(sorted(RATE_UNITS))})\b|i (?:think|guess|believe|suppose)\b",
    re.IGNORECASE,
)
"""Short words that are no abbreviation together with the next one."""
_PER_UNIT: Final = re.compile(r" ?/ ?([A-Za-zμ]+)")
_LEAST_KELVIN: Final = 100
_LEAST_DECADE: Final = 10
_YEAR: Final = re.compile(r"\d{4}(?![\d.,])")

_RESTATED: Final = re.compile(
    # "5/2 = 2.5", "0.05 (5%)", "5 cm (5 cm)", "5, 5", and a conclusion: "..., so the answer is 3", "... Total: 3".
    r"(?: ?[a-z°%]+){0,3} ?[=≈(] ?|, "
    r"|[^=]{0,80} because [^=]{0,80}\b(?:is|are|has|have|shows?|counted|see) "
    r"| ?\((?:there|it|that|i|the) [^=()]{0,80}\b(?:is|are|see) "
    r"|[^=]*[.,;!\n)][^=]*\b(?:answer|total|result|so|therefore|thus|hence|namely|altogether|sum)\b[^=]*"
)
"""What between two equal numbers makes them one number said twice; whatever else stands there makes them two."""


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
    said = _undressed(text)
    if said is None or _UNCLEAR_SCALE.search(said):
        return None
    said = _with_signs(_without_brackets(digits_for_words(_NAMED_SET.sub(r"\1 ", said))))
    plain = said.lower()
    if len(plain) != len(said) or plain.rstrip(" \"')").endswith("?") or _NO_STATEMENT.search(plain):
        return None
    return _only_number(said, plain)


def _only_number(said: str, plain: str) -> Number | None:
    """Return the number that all numbers in the text state; each must be accounted for on both of its sides.

    Args:
        said: The undressed text, in its case.
        plain: The same in lower case.
    """
    stated: Number | None = None
    last: tuple[int, int] | None = None
    for span, number in _candidates(plain):
        if number is None or not _may_follow(plain, span[0]) or not _may_precede(said, plain, span[1], number):
            return None
        if last is not None and not _restates(plain, last, span[0]):
            return None
        last = span
        common = number.readings if stated is None else stated.readings & number.readings
        if not common:
            return None
        stated = (
            number if stated is None else Number(common, stated.written if stated.written in common else min(common))
        )
    return stated


def _restates(plain: str, last: tuple[int, int], start: int) -> bool:
    """Return whether a number says the one before it once more; a pair in brackets are two."""
    if not _RESTATED.fullmatch(plain, last[1], start):
        return False
    return "," not in plain[last[1] : start] or plain[: last[0]].rstrip(" ")[-1:] not in {"(", "["}


def _may_follow(plain: str, start: int) -> bool:
    """Return whether a number may stand after what is written before it."""
    before = plain[max(0, start - _SEEN_CHARACTERS) : start]
    apart = before[-1:] == " "
    before = before.rstrip(" ")
    last = before[-1:]
    if not last:
        return True
    if last in _LEFT_MARKS:
        # "5,5" and "5:5" are one thing, and a sign outside of quotes is a sign.
        return (apart or not before[-2:-1].isdigit()) and not (last in "\"'" and before[-2:-1] in _BEFORE_NO_BRACKET)
    if last in "([":
        called = before[-2:-1].isalnum() and before[-2] < _FIRST_CJK  # f(5)
        closed = _CLOSING_BRACKET[last] in plain[start : start + _SEEN_CHARACTERS]
        return closed and not called and before[-2:-1] not in _BEFORE_NO_BRACKET
    if last == ".":
        return _sentence_ends(before)
    if not last.isalpha():
        return False
    if last >= _FIRST_CJK:
        return last not in _LABEL_CHARACTERS
    return _leads(before) or (before.endswith("year") and _YEAR.match(plain, start) is not None)


def _sentence_ends(before: str) -> bool:
    """Return whether the full stop at the end closes a sentence, or an abbreviation that may lead to a number."""
    word = _LEFT_WORD.search(before[:-1])
    if word is None:
        return not before[-2:-1].isdigit()
    if f"{word[2]}." in LEADING_WORDS:
        return True
    return word[2] not in ABBREVIATED_LABELS and len(word[2]) > 1 and _VOWEL.search(word[2]) is not None


def _leads(before: str) -> bool:
    """Return whether the word at the end says or measures the number that follows it, rather than being numbered."""
    found = _LEFT_WORD.search(before)
    if found is None:
        return False
    previous, word = found[1] or "", found[2]
    if word == "of":
        return previous in MEASURED
    if word == "by":
        return previous in CHANGED
    if word == "to":
        return previous in REACHED
    if word == "at":
        return previous in STANDING
    if word == "year":
        return previous == "the"
    return word in LEADING_WORDS or (previous in PRONOUNS and word not in UNREAL | COLLECTIVES)


def _may_precede(said: str, plain: str, end: int, number: Number) -> bool:
    """Return whether what is written after a number leaves it as it is: a unit, a thing counted, a mark, the end."""
    rest = said[end : end + _SEEN_CHARACTERS]
    bare = rest.lstrip(" ")
    if not bare:
        return True
    mark = bare[0]
    if mark.isalpha() and (mark < _FIRST_CJK or mark in "℃℉"):
        return _word_may_follow(rest, bare, plain[end : end + _SEEN_CHARACTERS], number)
    if mark.isalpha():
        return not _CHANGING.match(bare)
    if mark in "(=≈":
        return (mark == "(" and (bare is not rest or bare[1:2] >= _FIRST_CJK)) or _VALUE_AHEAD.match(bare) is not None
    if mark == "-":
        return bare is rest and _HYPHENATED.match(rest) is not None
    if mark == "/":
        per = _PER_UNIT.match(bare)
        return per is not None and (per[1] in KNOWN_UNITS or per[1].lower() in RATE_UNITS)
    if mark == "." and _VERSION.match(bare):
        return False
    if mark in _RIGHT_END:
        return not bare[1:2].isalnum() or (mark not in ",;)'\"" and not bare[1:2].isdigit())
    return mark == "°"


def _word_may_follow(rest: str, bare: str, plain: str, number: Number) -> bool:
    """Judge the word after a number."""
    found = _RIGHT_WORD.match(bare)
    word = found.group() if found else bare[0]
    lower = word.lower()
    if _GOES_ON.match(bare):
        return True
    if (following := _VARIABLE_NEXT.match(bare)) and following[1] not in KNOWN_UNITS:
        return False
    if bare is rest:
        power = rest[len(word) : len(word) + 1] in {"2", "3"} and word in _LENGTHS
        decade = word == "s" and number.written >= _LEAST_DECADE and number.written % 10 == 0  # the 90s, 2020s
        return (
            (word in GLUED_UNITS or word == "ish")
            and not decade
            and (power or not rest[len(word) : len(word) + 1].isalnum())
        )
    if word == "K":
        return number.written >= _LEAST_KELVIN
    short = len(word) < len("cat") or (word.isupper() and len(word) <= len("ABCD")) or not _VOWEL.search(word)
    if short and lower != "or":
        plural = word[-1] == "s" and word[:-1].isupper() and len(word) > len("Vs")
        return word in KNOWN_UNITS or lower in SHORT_WORDS or plural
    if lower in {"more", "fewer", "less"}:
        return _MORE_THAN.match(plain) is not None
    if lower == "times":
        return _TIMES.match(plain) is not None
    if lower == "or":
        return _OR_SO.match(plain) is not None
    changed = _PART_WORD.match(lower) or _AND_MORE.match(plain) or _SIDE.match(plain)
    return lower not in COLLECTIVES and not changed


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


def _undressed(text: str) -> str | None:
    """Return the text with plain digits and marks, without LaTeX, Markdown and currency; None where folding would lie.

    Its case stays, which may matter to a scale.
    """
    if "&" in text:
        text = html.unescape(text)
    if not text.isascii():
        text = _UNIT_PRODUCT.sub(r"\1 ", text.translate(_DEGREES))
        if _SUBSCRIPT_BASE.search(text):
            return None
        text = "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in fold(text)).replace("·", "×")
    text = _SPACED_GROUPS.sub(lambda found: _GROUP_SPACE.sub("", found.group()), text)
    if "\\" in text or "{,}" in text:
        text = undress_latex(text).replace("\\approx", " ").replace("\\sim", " ").replace("\\$", "$")
    text = without_marks(text.replace("°K", " ").replace("°", " "))
    for scaled in (_MONEY_SCALE, _SCALE_MONEY):
        text = scaled.sub(lambda found: f"{found[1]} {_MONEY_SCALES[found[2].lower()]} ", text)
    text = _SIGNED_CURRENCY.sub(lambda found: found.group(1) or " ", text)
    return _UNIT_POWER.sub(_without_power, lines(text))


def _without_power(found: re.Match[str]) -> str:
    """Drop the power of a unit; that of a variable stays."""
    return found[1] if found[1] in KNOWN_UNITS else found.group()


def _without_brackets(text: str) -> str:
    """Return the text without brackets around one number, which takes a sign before them; |-5| is 5."""
    return _ABSOLUTE.sub(r"\1", _SIGNED_BRACKET.sub(r"\1\2", _BRACED.sub(r"\1", text)))


def _with_signs(text: str) -> str:
    """Write a minus that is said in words as a sign."""
    text = _SIGN_WORD.sub(r"\1-", text)
    return text if text.isascii() else _CHINESE_SIGN.sub("-", text)


def _candidates(plain: str) -> list[tuple[tuple[int, int], Number | None]]:
    """Return every number in the text with its place, in order; None for one that cannot be read.

    So is a text with a part of a number in words ("two thirty", "in thousands: 3") or an operator outside of numbers.
    """
    stated: list[tuple[tuple[int, int], Number | None]] = []
    between: list[str] = []
    end = 0
    for found in _NUMBER.finditer(plain):
        between.append(plain[end : found.start()])
        end = found.end()
        stated.append((found.span(), _number_of(found)))
        if len(stated) > MAX_STATEMENTS:
            return [((0, 0), None)]
    others = " ".join((*between, plain[end:]))
    if stated and (_OPERATORS.search(others) or LEFT_OVER.search(others) or _SCALE_WORD.search(others)):
        return [((0, 0), None)]
    return stated


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
    value = value / 1000 if scale == _PER_MILLE else value * math.prod(map(_scale, scale.split()))
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
