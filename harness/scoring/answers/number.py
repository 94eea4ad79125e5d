"""Read the one number that an answer states, exactly, as fractions.

Part of the `strict` answer rules (`harness/scoring/answers/check.py`). Understood: signs, thousands separators,
decimals, plain and LaTeX fractions, mixed numbers, scientific notation, percent, currency, units, digits of any script,
English and Chinese number words, a minus in words or before brackets, |-5|.

A number is read only when all that stands beside it is accounted for: before it a word that says or measures ("is",
"about", "a value of"), after it a unit of the table, a thing that is counted, or the end
(`harness/scoring/answers/units.py`). "step 1", "gcd(5)", "5n", "5 pairs" and "upwards of 5" name, compute or bound
something else. Not understood, hence no number: ranges, several different numbers, the same one twice with two meanings
("5 ft 5 in", "(5, 5)", "3 + 3"), inequalities, negations and what is taken back ("3 is wrong"), questions, roots,
powers and other expressions, hexadecimal, a dozen.

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

from harness.scoring.answers.number_neighbours import SINGULAR_PART, may_follow, may_precede, stands_for_itself
from harness.scoring.answers.number_words import LEFT_OVER, digits_for_words
from harness.scoring.answers.retractions import RETRACTION
from harness.scoring.answers.text import fold, lines, undress_latex, without_marks
from harness.scoring.answers.units import KNOWN_UNITS, SPELLED_LENGTHS

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
_SIGNED_CURRENCY: Final = re.compile(
    # A sign before it belongs to the number; else it only goes.
    rf"([-+]) ?{_CURRENCY} ?(?=[\d.])|{_CURRENCY}"
)
_MONEY_SCALE: Final = re.compile(
    rf"({_CURRENCY} ?[-+]?[\d.,]*\d) ?([KkMmBbTt])[Nn]?(?![A-Za-z\d^/])(?![^$]*\$)"  # a second "$" closes a formula
)
_SCALE_MONEY: Final = re.compile(r"(\d) ?([MmBb])[Nn]? ?(?=[€£¥₹])")
_MONEY_SCALES: Final = {"k": "thousand", "m": "million", "b": "billion", "t": "trillion"}
_UNCLEAR_SCALE: Final = re.compile(
    # "3M", "5 B", "7 mil", "3 Mio", "7 lacs"; "3 k" in lower case, "7T".
    r"\d ?(?:MM?|B|(?i:mil|mio|mln|mn|tn|lacs?))(?![A-Za-zΩ])|\d k(?![A-Za-zΩ])|\dT(?![A-Za-z])"
    # 3만, 3十; 3千三百, 3万多: a scale that more digits in characters follow.
    r"|\d ?[十만억천백십]|\d ?[百千万亿萬億]{1,4}[零〇一二三四五六七八九十两多余]"
)
"""What may scale the number before it: million or molar, "3万5千" in characters. A capital K set apart is kelvin."""
_UNIT_POWER: Final = re.compile(r"(?<![A-Za-z])([A-Za-z]{1,11})\^ ?\{?-?\d{1,2}\}?")
_DEGREES: Final = str.maketrans("º˚", "°°")
_UNIT_PRODUCT: Final = re.compile(r"(\d ?[A-Za-z]{1,3})[·⋅](?=[A-Za-z]{1,3}(?![A-Za-z]))")
"""5 N·m: the point between two units is no product of the number."""
_SUBSCRIPT_BASE: Final = re.compile("[0-9a-fA-F)][₀-₉]")
"""10₈ is eight; Unicode's compatibility form would make 108 of it."""

_BRACED: Final = re.compile(r"\{ ?([-+]?[\d.,]*\d) ?\}")
_ABSOLUTE: Final = re.compile(
    # Between two bars the sign goes.
    r"\| ?[-+]?([\d.,]*\d) ?\|"
)
_SIGNED_BRACKET: Final = re.compile(r"(?<![\w)\]}])([-+]) ?\( ?([\d.,]*\d) ?\)")
"""A sign outside of the brackets belongs to the number inside."""

_PLAIN_NUMBER: Final = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?\Z")
_REAL: Final = r"(?:\d{1,3}(?:,\d{2,3})*,\d{3}(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
_NUMBER: Final = re.compile(
    # The value: "10^5"; "3 1/2"; "1,250", ".25" or "3/4", with "3e8" or "5 x 10^3" behind it. `after`: a power of a
    # number is no number here. The scale: "7k", but not "kg"; "7 percent"; "3 hundred thousand"; 3千万, but not 3千克,
    # which is a unit, nor 百分, which is percent.
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
_SCALE_WORD: Final = re.compile(
    # "2 crores", "7 lakh" beside the usual ones; 万, 亿 and their old forms.
    r"\b(?:hundred|thousand|million|billion|trillion|lakh|crore)s?\b|[万亿萬億]"
)
_NAMED_SET: Final = re.compile(
    # "The sum of the two numbers is 7."; the number follows behind a verb, a sign or a colon.
    r"\b(the|these|those|all|both) (?:two|three|four|five|six) (?=[a-z]+s\b.{0,200}?(?:\bis\b|=|:) ?\S{0,3}\d)",
    re.IGNORECASE,
)
"""How many things a sentence is about, before what it says of them: the sum of the two numbers is 7."""
_NAMED_CONSTANT: Final = re.compile(
    # "π ≈ 3.14" gives the number its name; a number before or behind the name would make a product of it.
    # "pi is about 3.14": in words too.
    r"\A(?:the value of )?(?:π|\\pi|pi) ?(?:[=≈~]|(?:is|equals)(?: about| approximately| roughly)?\b) ?(?=\d)",
    re.IGNORECASE,
)
_VALUE: Final = r"[-+]?\.?\d"
_SIGN_WORD: Final = re.compile(
    # At the beginning, behind a mark that opens ("x = negative 3"), or behind a verb ("The answer is minus 3.").
    r"(^|[\n=:(,≈~\"'\[] ?|\b(?:is|be|are|was|equals|to|of) |[是为])(?:minus|negative|マイナス|마이너스) ?(?=\.?\d)",
    re.IGNORECASE,
)
"""A minus sign in words where no number can stand before it."""
_CHINESE_SIGN: Final = re.compile(
    # The sign in both scripts, and what stands below zero; 正负 is plus or minus.
    r"(?<!正)(?:负|負|零下) ?(?=\.?\d)"
)

TAKEN_BACK: Final = re.compile(
    # "not 8", "neither 7", "hardly a yes", "wrong: 3", "3 is false", "impossible to be 3", "except 3".
    r"\b(?:not|never|neither|nor|cannot|without|hardly|wrong|incorrect|false|unlikely|impossible|except"
    # "5 excluded", "excluding [3, 4]", "5 is eliminated", "rule out 5"; rejected, discarded and omitted as these.
    r"|exclud(?:ed|es|ing)|eliminat(?:ed|es|ing)|rul(?:ed?|ing) out|reject(?:ed|s|ing)?|discard(?:ed|s|ing)?"
    # "unable to see 5".
    r"|omit(?:ted|s|ting)?|unable"
    # "5 is too high", "8 too low", "7 too many", "4 too few".
    r"|too (?:high|low|many|few|much|big|small|large)"
    # "anything but 3", "all but [3, 4]", "5 rather than 6", "5 instead of 6"; "don't", "No doubt 3" states it.
    r"|(?:any|every)(?:thing|one)? but|(?:all|none) but|(?:other|rather) than|instead of)\b|n't\b|(?<!no )\bdoubt"
    # "~~5~~": struck out in Markdown. 不是, 没有, 错：3, 除了B, 排除B; the negations of Japanese and Korean verbs.
    r"|~~|不|没|错|并非|除了|排除|ではな|じゃな|ません|아니|않"
)
"""Words, in lower case, that deny what they stand with."""
_BOUNDED: Final = (
    # "less than 5", "more than 3", "fewer than 8", "up to 7".
    r"\b(?:less than|more than|fewer than|greater than|up to"
    # "at least 7", "at the very most 5", "5 at best"; "7 or more", "7 or fewer".
    r"|at (?:the )?(?:very )?(?:least|most|best|worst)|or (?:more|less|fewer))\b"
    # Before the number alone, as elsewhere these words say where a thing is: "over 8", "under 7", "within 3", "min 5".
    rf"|\b(?:than|over|under|above|below|beneath|beyond|exceed(?:s|ing)?|within|(?:min"
    rf"|max)(?:imum)?(?: of)?) {_VALUE}"
    # "5 downwards"; "5 or so more".
    r"|\d downwards?\b|\d or so (?:fewer|less|more|lower|higher)\b"
    # "7 and up", "5 or above", unless a word follows that they belong to.
    r"|\d (?:[a-z]+ )?(?:and|or) (?:over|under|above|below|up|higher|lower|older|younger)\b"
    r"(?! [a-z])"
    # "7+", "3k+", "3 million+".
    r"|(?:\d|\dk|%|\b(?:bn|(?:hundred|thousand|million|billion|trillion|lakh|crore)s?)|[百千万亿萬億]) ?\+"
    # Unequal as programs write it: !=, /=, =/=, =\=. Then bounds in signs, and in words: 至少7, 最多7个, 超过7, 未满5.
    r"|[!/\\]=|[<>≤≥≠±]|至少|至多|最少|最多(?!的)|起码|超过|少于|多于|大于|小于|高于|低于|未满|除外"
    # 除5, 半5; 3倍半, 5倍多; 5个起: from 5 up, but not in 共5起, where 起 counts cases.
    r"|[除每半]\d|\d ?倍[半多]|(?:^|[^共有\d])\d+ ?[个元块岁人]{0,2}起\W*$"
    # 7以下, 3以上.
    r"|\d ?[个岁年天元名人]?(?:左右)? ?以[上下内]"
)
_CALCULATED: Final = (
    # "sqrt 5", "8*pi", "5 halves", "4 dozen", "3 factorial", "7 divided by x", "7 raised to 2", "3 to the power of 3".
    r"\b(?:sqrt|pi|half|halves|dozens?|quarters?|factorial|(?:multiplied|divided) by|raised to|to the power)\b|[√π∞÷]"
    # "5 fifths", "a third of 7"; "7 plus", "minus 3", not before "sign", which is a thing; "negative 3".
    rf"|\b{SINGULAR_PART}s\b|\b(?:an?|one|1) {SINGULAR_PART}\b|\b(?:plus|minus)\b(?! signs?\b)|\bnegative\W{{0,2}}\d"
    # "twice 7", "double 7", "2 times 5".
    rf"|\b(?:twice|thrice|double|triple|times) {_VALUE}"
    # "square root of 3", "the square of 5", "absolute value of -3".
    rf"|\b(?:root|square|cube|absolute value|reciprocal|inverse|opposite) of {_VALUE}"
    # "log 7", "sin(3)", "abs(5)".
    rf"|\b(?:a(?:rc)?)?(?:sin|cos|tan|cot|sec|csc|log|ln|lg|exp|abs|(?:co)?sine|tangent|logarithm)h?[_\d]{{0,3}}"
    rf"(?: of)? ?[({{]? ?{_VALUE}"
    # "3 squared", "7 cubed"; "7x7", but a power of ten is one number.
    r"|\d ?(?:squared|cubed)\b|\dx(?!10 ?\^)\d"
    # "--5", "0x5", "7_0", "1e3cm", "5.5.5", "7!": other ways of writing, or no number.
    r"|[-+]{2}|\b0x|\d_\d|\de[-+]?\d+[a-z]|\d\.\d+\.\d|\d!"
    # "111 in binary", "101 base 2".
    r"|\b(?:in|to) (?:binary|octal|hex(?:adecimal)?)\b|\bbase[ -]?\d"
    # A place, no count: "#7 on the list", "No. 7 in the ranking", "number 7 of this series".
    r"|(?:#|\bno\. ?|\bnumber )\d{1,9} (?:of|in|on) (?:the|a|this)"
    r" (?:list|series|row|line|queue|rankings?|charts?|menu|sequence)\b"
    # "#3 has a hat", "No. 7 won the race", but "No. 5 is the answer".
    r"|(?:#|\bno\. ?)\d{1,9} (?:is|was|has|wins|won|looks) (?!the (?:\w+ )?answer)"
    # "3 out of 4"; "20 past 5".
    r"|\b(?:\d+|one) (?:in|out of) \d|\d (?:[a-z]+ )?past\b"
    # "I counted 7, then added one more", "I counted 7, then doubled it"; "one less than 5".
    r"|\d[^\d\n]{0,60}\b(?:add(?:s|ed|ing)?|subtract(?:s|ed|ing)?|remov(?:es?|ed|ing)|multipl(?:y|ies)"
    r"|doubl(?:es?|ed)"
    r"|tripled) (?:\d|it|this|that|one|an?|another|the)\b|\bone (?:more|less)\b"
    # "5 - 5", at a beginning "- 5" may be a list; "x-5"; LaTeX that nobody has read by now.
    r"|(?:^|[\n=:(]) ?- [\d.]|(?<![a-z0-9])[a-z] ?[-+*/] ?\d|\\[a-z]"
    # 一半的5; 3的平方, but not of a unit; 正负3; 四分之一, but 百分之 is read elsewhere.
    r"|[一1]半的?\d|根号|平方根|立方根|阶乘|对数|次方|\d ?的(?:平方|立方)(?!米|厘米|毫米)|正[负負]|(?<!百)分之|[乘除]以"
    # 3マイナス3.
    r"|加上|减去|マイナス|마이너스"
)
_UNSURE: Final = (
    # "perhaps 7", "might be 7", "could be 7", "can be 5", but not "Seven dogs can be seen."
    r"\b(?:maybe|perhaps|possibly|might|(?:could|may) be|can be(?! (?:clearly )?(?:seen|found|counted|observed"
    # "could have been 5".
    r"|spotted|identified|recogni[sz]ed)\b)|(?:could|would|might) have been"
    # "used to be 5", "unsure: B", "5 unknown", "7 unless", "It depends, yes", "if 7".
    r"|used to be|unsure|unclear|unknown|unless|depend(?:s|ing)|if|otherwise"
    # "almost 7", "nearly 4", "non-7".
    r"|but|almost|nearly|barely|non|n/a|half"
    # "5, wait, 6", "Yes. Just kidding.", "Scratch that.", "Oops!"; a last word that denies: "A. No". 可能是B, 如果是狗.
    r"|wait|kidding|joking|scratch that|oops)\b|[.,;!\n] ?no(?:pe)?\W*$|可能|也许|如果|几乎|接近|将近"
    # A question without its mark ("is it 8"), and two directions at once ("8 kg heavier or lighter").
    r"|\A\W*(?:(?:is|are|was|were|do|does|did|has|have|had|can|could|would|should|will) (?:it|they|there|that|this"
    r"|these|those|you|we|he|she)|who|why)\b|\b[a-z]{2,}er or [a-z]{2,}er\b"
)
"""Hedges and conditions; "about" and "approximately" state a number, "almost" states that it is another one."""
DENIED: Final = re.compile(
    # The same without bounds and calculations: of formulas these are the answer itself.
    f"{TAKEN_BACK.pattern}|{_UNSURE}|{RETRACTION}"
)
"""Words, in lower case, that take back whatever they stand with, or leave it open."""
_NO_STATEMENT: Final = re.compile(
    # What is denied, is a bound, has to be worked out, is left open or is taken back: each as its part says.
    f"{TAKEN_BACK.pattern}|{_BOUNDED}|{_CALCULATED}|{_UNSURE}|{RETRACTION}"
)
_OPERATORS: Final = re.compile(
    # Signs of operations, of other relations, and of joining; a digit that begins a run of them.
    r"[*×÷^√∑∫∏&@≮≯∉¬+]|(?<![A-Za-z_\d])\d"
)
"""What must not be left once the numbers are taken out of the text: operators, and digits that no number holds."""

_RESTATED: Final = re.compile(
    # "5/2 = 2.5", "0.05 (5%)", "5 cm (5 cm)", "5, 5", and a conclusion: "..., so the answer is 3", "... Total: 3".
    r"(?: ?[a-z°%]+){0,3} ?[=≈(] ?|, "
    # The reason says it again, behind "because" or in brackets.
    r"|[^=]{0,80} because [^=]{0,80}\b(?:is|are|has|have|shows?|counted|see) "
    r"| ?\((?:there|it|that|i|the) [^=()]{0,80}\b(?:is|are|see) "
    # A word that concludes, in a clause of its own.
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
    said = _NAMED_CONSTANT.sub("", said)
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
        if number is None or not may_follow(plain, span[0]) or not may_precede(said, plain, span[1], number.written):
            return None
        if not stands_for_itself(plain, span, number.written):
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
    text = without_marks(text) if "*" in text or "_" in text else text
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
    return found[1] if found[1] in KNOWN_UNITS or found[1].lower() in SPELLED_LENGTHS else found.group()


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
