"""Write numbers that are said in words as digits: "forty five", "three hundred and five", 五, 二十一.

Part of the `strict` answer rules (`harness/scoring/answers/number.py`). A run of number words is read as a whole or not
at all: "two thirty" is a time of day, 三千五 is short for something else, "hundreds" is no number. What is not read
keeps no part that could be taken for a number: the reader of numbers then refuses the text.

Fractions and decimals in words ("one half", "zero point five", 二分之一, 零点五) are read where nothing is taken of
them but the thing itself: "one half", "a third of the cake", never "half of 5", "half past", "half a dozen".

Rules of English numbers: a smaller unit follows a larger one ("twenty one", never "one twenty"), `hundred` scales what
stands before it, larger scales close a group and fall from left to right, `and` stands only before the last group.
"""

from __future__ import annotations

import re
from typing import Final

_UP_TO_NINETEEN: Final = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen
nineteen
"""
_ONES: Final = {word: value for value, word in enumerate(_UP_TO_NINETEEN.split())}
_TENS: Final = {
    word: 10 * value
    for value, word in enumerate(
        ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"), start=2
    )
}
_SCALES: Final = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_BEYOND_SCALES: Final = 10**15
_SMALL: Final = _ONES | _TENS
_MOST_WORDS: Final = 24
"""A number of more words is none that a benchmark asks for."""

_WORD: Final = "|".join((*_ONES, *_TENS, "hundred", *_SCALES))
_RUN: Final = re.compile(
    # "a hundred" is one hundred. A hyphen or letter at either end makes another word: "five-year", "twenty-first".
    rf"(?<![\w.-])(?:(?<![\w-])(?P<a>an?) (?=hundred\b|thousand\b|million\b|billion\b|trillion\b))?"
    rf"(?P<run>(?:{_WORD})(?![a-z])(?:(?:-| |,? and )(?:{_WORD})(?![a-z]))*+)(?!\w|-(?!ish\b))",
    re.IGNORECASE,
)
_NAMES_A_NUMBER: Final = "|".join(word for word in (*_ONES, *_TENS, "hundred", *_SCALES) if word != "one")
LEFT_OVER: Final = re.compile(
    # Any of them but "one", which is mostly a pronoun; that only in a compound.
    rf"(?<![a-z])(?:{_NAMES_A_NUMBER}|one-\w)(?![a-z])"
)
"""A number word, in lower case, that was no part of a number that could be read."""
_AND_AFTER_SMALL: Final = re.compile(
    # "seven and eight": below a hundred nothing is joined by "and", so these are two numbers.
    rf"(?:{'|'.join(_SMALL)}),? and "
)
_SEPARATOR: Final = re.compile(
    # "one hundred and twenty", also behind a comma; "twenty one", "twenty-one".
    r",? and |[ -]",
    re.IGNORECASE,
)
_ONE: Final = re.compile(
    # A lone "one" is mostly a pronoun. It counts as the whole answer with at most one noun, or after there is, only...
    r"\A(?:(?:the )?(?:final |correct )?answer(?: is:?|:) ?)?(?P<first>one)"
    # The noun ends the text, and is no word that makes a pronoun of it ("one of", "one more") or a time.
    r"(?= (?!of\b|more\b|or\b|and\b|can\b|could\b|should\b|another\b|day\b)[a-z]+[.!]?\Z|[.!]?\Z)"
    # "there is one", "exactly one", "just one", "negative one"; "5 (one)".
    r"|(?P<lead>(?:\b(?:there is|there's|only|exactly|just|minus|negative)|[=(]) ?)(?P<later>one)\b"
    r"(?! (?:of|another)\b)",
    re.IGNORECASE,
)
_SCALED_DIGITS: Final = re.compile(r"[\d.]\s*\Z")

_PARTS: Final = {
    **dict.fromkeys(("half", "halves"), 2),
    **dict.fromkeys(("quarter", "quarters"), 4),
    **{
        f"{word}{ending}": value
        for value, word in enumerate(
            ("third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh", "twelfth"), start=3
        )
        for ending in ("", "s")
    },
    **dict.fromkeys(("hundredth", "hundredths"), 100),
    **dict.fromkeys(("thousandth", "thousandths"), 1000),
}
"""What a part of a whole is called, to how many of them make the whole."""
_SAID_BEFORE: Final = (
    r"(?:\A|(?<=[\n:=≈(*\"'])|(?<=[:=≈] )|(?<=\bis )|(?<=\bbe )|(?<=\bare )|(?<=\babout )|(?<=\bonly ))"
)
"""Where a part in words may begin: the text, or behind what says a value; behind a number it belongs to that."""
_SAID_AFTER: Final = (
    # The end, a mark, a digit form in brackets; or a whole that is named without another number ("of the cake").
    r"(?=[\"'*)]{0,3}(?:[.!;)]?\s*\Z|\n| ?\(|, | of (?:the|a|an|all|its|this|these"
    r"|those) (?:[a-z]+ ){0,2}[a-z]+[.!]?\Z))"
)
_UNITS_OR_TENS: Final = "|".join(word for word in _SMALL if word != "zero")
_ONE_PART: Final = re.compile(
    # "one half", "a third", "three quarters", "half" by itself: how many parts, then what a part is called.
    rf"{_SAID_BEFORE}(?:(?:(?P<whole>{_UNITS_OR_TENS}) and )?"
    rf"(?P<count>an?|{'|'.join(word for word in _ONES if word != 'zero')})(?: "
    rf"|-)(?P<part>{'|'.join(_PARTS)})"
    rf"|(?P<half>half)){_SAID_AFTER}",
    re.IGNORECASE,
)
_POINT: Final = re.compile(
    # "zero point five", "twelve point two five", "point five": whole numbers, then digits one by one.
    rf"(?<![\w.-])(?P<whole>(?:{_WORD})(?:[ -](?:{_WORD}))*+ )?point (?P<digits>(?:{'|'.join(list(_ONES)[:10])})"
    rf"(?: (?:{'|'.join(list(_ONES)[:10])}))*+)(?![\w-]| (?:{_WORD})\b)",
    re.IGNORECASE,
)
_CHINESE_DIGITS: Final = {numeral: value for value, numeral in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_COUNTING: Final = (
    "个個只条张名位块元岁年人辆本支枝颗粒朵头匹座栋间家件米度次种类组杯瓶盒袋包把台架艘棵根幅厘毫公秒小天倍つ枚円歳匹"
)
_CHINESE: Final = re.compile(
    # After a beginning, a mark or a word of saying, before an end, a mark or a word that counts: 五, 五只猫, 有十五个.
    r"(?:(?<=[是为有共约答案得数到负負:=(\s,.])|\A)[零〇一二两三四五六七八九十百千万亿]{1,16}"
    rf"(?=\s*(?:\Z|[.,!?;)(\n%]|[{_COUNTING}]|分(?!之)))"
)
_CHINESE_PART: Final = re.compile(
    # 二分之一 is 1/2; 百分之 is a percentage and stays. After it only the end or a mark: 二分之一的10 is another.
    r"(?:(?<=[是为有共约得到:=(\s,.])|\A)([零一二两三四五六七八九十]{1,3})分之([零一二两三四五六七八九十百]{1,5})(?=\s*(?:\Z|[.,!;)\n]))"
)
_CHINESE_POINT: Final = re.compile(
    # 零点五, 三点一四: digits one by one behind the point, up to the end or a mark; 三点五分 is a time of day.
    r"(?:(?<=[是为有共约得到:=(\s,.负])|\A)([零〇一二两三四五六七八九十百千]{1,8})点([零〇一二三四五六七八九]{1,12})"
    rf"(?=\s*(?:\Z|[.,!;)(\n%]|[{_COUNTING.translate({ord('时'): None, ord('小'): None, ord('分'): None})}]))"
)
_CHINESE_GROUPS: Final = re.compile(r"(?:([^万亿]+)亿)?(?:([^万亿]+)万)?([^万亿]*)")
_DIGIT: Final = "[一二两三四五六七八九]"
_CHINESE_GROUP: Final = re.compile(rf"(?:({_DIGIT})千)?零?(?:({_DIGIT})百)?零?(?:({_DIGIT}?)(十))?零?({_DIGIT})?")
_CHINESE_SHORT: Final = re.compile(rf"[百千万亿]{_DIGIT}\Z")
"""三千五 leaves a unit out: 3500, or a slang of it."""


def digits_for_words(text: str) -> str:
    """Return a text with every number in words written in digits; those that are no number stay.

    "one" is written so only where it is plainly a count. Linear in the text.
    """
    if not text.isascii():
        text = _CHINESE_POINT.sub(_chinese_decimal, _CHINESE_PART.sub(_chinese_part, text))
        text = _CHINESE.sub(_chinese_digits, text)
    text = _ONE_PART.sub(_english_part, _POINT.sub(_english_decimal, text))
    text = _RUN.sub(_english_digits, text)
    return _ONE.sub(lambda found: f"{found['lead'] or ''}1" if found["later"] else found.group()[:-3] + "1", text)


def _english_digits(found: re.Match[str]) -> str:
    """Return the digits of a run of number words, or the run itself where it is none or scales the digits before it."""
    words = _SEPARATOR.split(found["run"].lower())
    after_digits = _SCALED_DIGITS.search(found.string, max(0, found.start() - 2), found.start())
    if words == ["one"] or len(words) > _MOST_WORDS or (after_digits and not found["a"]):
        return found.group()
    value = english_number((["one"] if found["a"] else []) + words, found["run"].lower())
    return found.group() if value is None else str(value)


def _english_part(found: re.Match[str]) -> str:
    """Return a part of a whole, said in words, as a fraction in digits."""
    if found["half"]:
        return "1/2"
    whole = f"{_SMALL[found['whole'].lower()]} " if found["whole"] else ""
    return f"{whole}{_ONES.get(found['count'].lower(), 1)}/{_PARTS[found['part'].lower()]}"


def _english_decimal(found: re.Match[str]) -> str:
    """Return a decimal that is said in words in digits, or the words where no number stands before the point."""
    spoken = (found["whole"] or "zero ").lower().strip()
    whole = english_number(_SEPARATOR.split(spoken), spoken)
    decimals = "".join(str(_ONES[digit]) for digit in found["digits"].lower().split())
    return found.group() if whole is None else f"{whole}.{decimals}"


def english_number(words: list[str], written: str) -> int | None:
    """Return the value of lower-case number words, or None where they are no one number.

    Args:
        words: The words without "and".
        written: The same as written; "and" counts only after hundred or a larger scale ("five and six" is two numbers).
    """
    if _AND_AFTER_SMALL.search(written):
        return None
    total, group, last_scale = 0, None, _BEYOND_SCALES
    for word in words:
        if word in _SCALES:
            if group is None or _SCALES[word] >= last_scale:
                return None
            total, group, last_scale = total + group * _SCALES[word], None, _SCALES[word]
        elif word == "hundred":
            if group is None or group % 10 == 0 or group >= 100:
                return None  # "twenty hundred", "hundred hundred"
            group *= 100
        elif group is None:
            group = _SMALL[word]
        elif _SMALL[word] and (group % 100 == 0 < group or (group % 100 in _TENS.values() and _SMALL[word] < 10)):
            group += _SMALL[word]
        else:
            return None  # "two thirty", "five five"
    return total + (group or 0)


def _chinese_digits(found: re.Match[str]) -> str:
    """Return the digits of Chinese numerals, or the numerals where they are no one number."""
    value = chinese_number(found.group())
    return found.group() if value is None else str(value)


def _chinese_part(found: re.Match[str]) -> str:
    """Return a fraction in Chinese numerals, which says the lower number first, in digits."""
    bottom, top = chinese_number(found[1]), chinese_number(found[2])
    return found.group() if top is None or not bottom else f"{top}/{bottom}"


def _chinese_decimal(found: re.Match[str]) -> str:
    """Return a decimal in Chinese numerals in digits."""
    whole = chinese_number(found[1])
    decimals = "".join(str(_CHINESE_DIGITS[digit]) for digit in found[2])
    return found.group() if whole is None else f"{whole}.{decimals}"


def chinese_number(numerals: str) -> int | None:
    """Return the value of Chinese numerals with each unit said out, or None where they are no one number."""
    if numerals in {"零", "〇"}:
        return 0
    groups = _CHINESE_GROUPS.fullmatch(numerals)
    if groups is None or _CHINESE_SHORT.search(numerals):
        return None
    total = 0
    for group, scale in zip(groups.groups(""), (10**8, 10**4, 1), strict=True):
        written = _CHINESE_GROUP.fullmatch(group)
        if written is None:
            return None  # 二〇二〇: digits read out one by one, 五六: five or six
        thousands, hundreds, tens, ten, ones = (_CHINESE_DIGITS.get(part or "", 0) for part in written.groups())
        del ten
        tens = 1 if written[4] and not written[3] else tens
        total += scale * (1000 * thousands + 100 * hundreds + 10 * tens + ones)
    return total
