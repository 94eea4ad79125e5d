"""Judge what stands right before and right after a number: does it leave the number as it is?

Part of the `strict` answer rules (`harness/scoring/answers/number.py`); the words are in
`harness/scoring/answers/units.py`. Before a number stands a word that says or measures it, a mark, or nothing: a noun
there is a label ("step 1"), a name before a bracket a function ("gcd(5)"), a sign before a bracket or quote a sign.
After it stands a unit of the table, a thing that is counted, a mark, or nothing: a short token that is no unit may be a
scale or a variable ("5 cr", "5n"), and some words make another quantity of the number ("5 pairs", "5 fewer", "5 past").
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final

from harness.scoring.answers.units import (
    ABBREVIATED_LABELS,
    CHANGED,
    COLLECTIVES,
    GLUED_UNITS,
    KNOWN_UNITS,
    LEADING_WORDS,
    MEASURED,
    MONTHS,
    PLURALS,
    PRONOUNS,
    RATE_UNITS,
    REACHED,
    REFERRED,
    SAID_OF_ANSWERS,
    SHORT_WORDS,
    STANDING,
    UNREAL,
)

SINGULAR_PART: Final = (
    r"(?:third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth|(?:thir|four|fif|six|seven|eigh"
    r"|nine)teenth"
    r"|twentieth|hundredth|thousandth|(?:m|b|tr)illionth)"
)
_FIRST_CJK: Final = "\u2e80"
_SEEN_CHARACTERS: Final = 48
"""How much beside a number is looked at: a few words."""
_VALUE_AHEAD: Final = re.compile(
    # A number follows the sign, or a letter that ends the text.
    r"[=≈] ?(?:[-+]?\.?\d|[A-Za-z]\Z)"
)
_LEFT_MARKS: Final = frozenset(":=≈~\"'\n,;!?#•∴")
_LABEL_CHARACTERS: Final = frozenset("骤号第图圖表题題步例页頁章节節项項")
_CLOSING_BRACKET: Final = {"(": ")", "[": "]"}
_BEFORE_NO_BRACKET: Final = frozenset(")]-+*/^|")
"""Right before a bracket or quote these make a sign, a factor or an argument of it."""
_LEFT_WORD: Final = re.compile(r"(?:([a-z']+) )?([a-z']+)\Z")
_RIGHT_END: Final = frozenset(".,;!)]}\"'\n")
_RIGHT_WORD: Final = re.compile(r"[^\W\d_\u2e80-\U0010ffff]+")
"""A word of a script that puts blanks between words."""
_CHANGING: Final = re.compile(
    # A half or some more behind the unit; what makes another thing of the number; a point or an hour with its minutes.
    r"[个個年天小时時斤元块里]{0,2}[半多余餘几幾来]|[折成双雙对對打點号號]|点[\d一二三四五六七八九半]"
)
"""5个半 is 5.5, 5折 half the price, 5双 ten, 5号 a label, 5点5 has a point or is a time."""
_PART_WORD: Final = re.compile(rf"{SINGULAR_PART}s?\Z")
_VOWEL: Final = re.compile(r"[aeiouy]", re.IGNORECASE)
_MORE_THAN: Final = re.compile(
    # By how many of a thing that is named: the number itself is stated.
    r" ?(?:more|fewer|less) [a-z]+(?: [a-z]+)? than\b"
)
_TIMES: Final = re.compile(
    # At the end or before a mark it counts; "7 times a day" is a rate and "7 times as many" compares: both state 7.
    r" ?times(?:[.!]?\Z|[.,;] | (?:a|an|per|each|every|as|larger|bigger|greater|more|faster|in|on|the)\b)"
)
_AND_MORE: Final = re.compile(
    # A lone letter may be a sum, "5 and x", but a and i are words; "7 and change", "7 and up", "7 and a half",
    # "7 and counting": another number than the one that was read.
    r" ?and (?:[b-hj-z]|change|fewer|less|lower|up|over|an?|counting|some|then|half|more|above|a bit|beyond|under)\b"
)
_OR_SO: Final = re.compile(
    # "5 or so": about as much.
    r" ?or (?:so|thereabouts)\b"
)
_HYPHENATED: Final = re.compile(
    # "-ish", or a word of three letters and more, but for those that are suffixes of counts and scores.
    r"-(?:ish\b|(?!odd|plus|some|all\b|nil|love)[a-z]{3,})"
)
_VERSION: Final = re.compile(r"\.[a-z](?![\w.])")
_LENGTHS: Final = frozenset(("m", "cm", "mm", "km", "dm", "ft", "in"))
"""Units whose square and cube are written without a caret: 5 m2."""
_SIDE: Final = re.compile(
    # Above or below nothing that is named; before or after at the end, which leaves open what.
    r" ?(?:above|below|under|over)\b(?! (?:the|a|an|this|that|his|her|its|their|it|them)\b)| ?(?:before|after)\W*\Z"
)
"""Where things are ("5 above the line") is no matter; "5 below" and "5 under par" are other numbers."""
_VARIABLE_NEXT: Final = re.compile(r"[^\W\d_]+ (?![AaI])([A-Za-z])(?![\w.'-])")
"""A unit is followed by a lone letter: "5 m x" is a product."""
_GOES_ON: Final = re.compile(
    # Times of day; rates, "5 a day"; what the speaker adds, "I think".
    rf"[ap]\.m\b\.?|o'clock\b|an? (?:{'|'.join(sorted(RATE_UNITS))})\b|i (?:think|guess|believe|suppose)\b",
    re.IGNORECASE,
)
"""Short words that are no abbreviation together with the next one."""
_SHARED_OUT: Final = re.compile(
    # "15 apiece", "15 a piece", "three hundred each"; right behind the number; "7 for each child".
    r" ?(?:[a-z]+ ){0,2}?(?:each|apiece|a ?piece)[.!]?\Z| ?each\b"
    # "8 given to each of them", "8 apples for every child".
    r"| ?(?:[a-z]+ ){0,2}?(?:for|to) (?:each|every|either)\b"
)
"""Of one share among several: "5 each", "5 apples each", "5 a piece", "5 for each child"."""
_CHANGED_UNIT: Final = re.compile(
    # "5% less", "7dB less", "5% more", "5% off".
    r" ?[a-zμ°%]+ (?:or so )?(?:less|more|fewer|extra|additional|over|under|off|short|shy|plus|too (?:many|few"
    r"|much|high|low))"
    r"[.!]?\Z"
)
"""A unit and then a comparison that ends the text: "5 dB less", "5 degrees more" say by how much, not how many."""
_PREDICATE: Final = re.compile(
    # "No. 5 is the tallest": one word or two, of which either may name what answers are.
    r" ?is (?:the|my|our) ([a-z]+)(?: ([a-z]+))?"
)
_NAMED_AFTER: Final = re.compile(r" ?((?:[a-z'-]+ ){0,2}[a-z'-]+)")
_MOST_DAYS: Final = 31
_LEAST_YEAR: Final = 1000
"""A year of fewer digits with its era is no plain number: 5 AD."""
_PER_UNIT: Final = re.compile(r" ?/ ?([A-Za-zμ]+)")
_NUMBERS_ONE: Final = frozenset(
    ("", "the", "a", "is", "total", "correct", "missing", "final", "answer", "only", "whole", "real", "right", "same")
)
"""What stands before "number" when the number itself is meant, not whoever wears it."""
_ANSWERS: Final = re.compile(
    # Behind "number 5": that it is the answer, or where and why it is the number.
    r" (?:(?:is|was) (?:the )?(?:answer|correct|right|missing|result|total)|in|on|at|because)\b"
)
_LEAST_KELVIN: Final = 100
_LEAST_DECADE: Final = 10
_YEAR: Final = re.compile(r"\d{4}(?![\d.,])")


def may_follow(plain: str, start: int) -> bool:
    """Return whether a number may stand after what is written before it."""
    before = plain[max(0, start - _SEEN_CHARACTERS) : start]
    apart = before[-1:] == " "
    before = before.rstrip(" ")
    last = before[-1:]
    if not last:
        return True
    if last == "#" and before[-2:-1].strip():
        return False  # glued to something else
    if last == "#" and before[:-1].strip():
        return may_follow(before[:-1], len(before) - 1)  # "item #5" is numbered, "the answer is #5" is not
    if last in _LEFT_MARKS:
        # "5,5" and "5:5" are one thing, "10/2=5" are two, and a sign outside of quotes is a sign.
        return (apart or last in "=≈" or not before[-2:-1].isdigit()) and not (
            last in "\"'" and before[-2:-1] in _BEFORE_NO_BRACKET
        )
    if last in "([":
        called = before[-2:-1].isalnum() and before[-2] < _FIRST_CJK  # f(5)
        closed = _CLOSING_BRACKET[last] in plain[start : start + _SEEN_CHARACTERS]
        word = _LEFT_WORD.search(before[:-1].rstrip(" ."))
        referred = word is not None and word[2] in REFERRED
        return closed and not called and not referred and before[-2:-1] not in _BEFORE_NO_BRACKET
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
    if word == "number" and previous not in _NUMBERS_ONE:
        return False  # "player number 5"
    if word == "of":
        return previous in MEASURED
    if previous == "of" and word in {"the", "these", "those"}:
        return False  # "none of the 45": the whole that a part is of
    if word == "by":
        return previous in CHANGED
    if word == "to":
        return previous in REACHED
    if word == "at":
        return previous in STANDING
    if word == "year":
        return previous == "the"
    return word in LEADING_WORDS or (previous in PRONOUNS and word not in UNREAL | COLLECTIVES)


def _is_label(plain: str, start: int, end: int, written: Fraction) -> bool:
    """Return whether what stands on both sides makes a name of it: "the 5 key", "number 5 wins", "5 is the label"."""
    after = plain[end : end + _SEEN_CHARACTERS]
    said = _PREDICATE.match(after)
    if said and not {said[1], said[2]} & (SAID_OF_ANSWERS | MEASURED):
        return True
    word = _LEFT_WORD.search(plain[max(0, start - _SEEN_CHARACTERS) : start].rstrip(" "))
    if word is None:
        return False
    if word[2] == "number":
        return after[:1] == " " and after[1:2].isalpha() and not _ANSWERS.match(after)
    following = _NAMED_AFTER.match(after)
    if word[2] not in {"the", "this", "that"} or word[1] in PRONOUNS or written == 1 or following is None:
        return False
    return not any(noun.endswith("s") or noun in PLURALS for noun in following[1].split())


def stands_for_itself(plain: str, span: tuple[int, int], written: Fraction) -> bool:
    """Return whether a number is none of a day, a share, a difference or a name.

    Args:
        plain: The text in lower case.
        span: Where the number stands.
        written: The number.
    """
    after = plain[span[1] : span[1] + _SEEN_CHARACTERS]
    return not (_SHARED_OUT.match(after) or _CHANGED_UNIT.match(after) or _is_label(plain, *span, written))


def may_precede(said: str, plain: str, end: int, written: Fraction) -> bool:
    """Return whether what is written after a number leaves it as it is: a unit, a thing counted, a mark, the end."""
    rest = said[end : end + _SEEN_CHARACTERS]
    apart, bare = rest[:1] == " ", rest.lstrip(" ")
    if not bare:
        return True
    mark = bare[0]
    if mark.isalpha() and (mark < _FIRST_CJK or mark in "℃℉"):
        return _word_may_follow(bare, plain[end : end + _SEEN_CHARACTERS], written, apart=apart)
    if mark.isalpha():
        return not _CHANGING.match(bare)
    if mark in "(=≈":
        return (mark == "(" and (apart or bare[1:2] >= _FIRST_CJK)) or _VALUE_AHEAD.match(bare) is not None
    if mark == "-":
        return not apart and _HYPHENATED.match(rest) is not None
    if mark == "/":
        per = _PER_UNIT.match(bare)
        return per is not None and (per[1] in KNOWN_UNITS or per[1].lower() in RATE_UNITS)
    if mark == "." and _VERSION.match(bare):
        return False
    if bare.startswith(")("):
        return False  # a factor
    if mark in _RIGHT_END:
        return not bare[1:2].isalnum() or (mark not in ",;)'\"" and not bare[1:2].isdigit())
    return mark == "°"


def _dates(word: str, written: Fraction) -> bool:
    """Return whether a word makes a day or an early year of the number before it: 5 May, 5 AD."""
    month = word.lower() in MONTHS and word not in {"may", "march"}
    return (month and 0 < written <= _MOST_DAYS) or (word in {"AD", "CE"} and written < _LEAST_YEAR)


def _word_may_follow(bare: str, plain: str, written: Fraction, *, apart: bool) -> bool:
    """Judge the word after a number, set apart by a blank or glued to it."""
    found = _RIGHT_WORD.match(bare)
    word = found.group() if found else bare[0]
    lower = word.lower()
    if _GOES_ON.match(bare):
        return True
    if (following := _VARIABLE_NEXT.match(bare)) and following[1] not in KNOWN_UNITS:
        return False
    if not apart:
        after = bare[len(word) : len(word) + 1]
        power = after in {"2", "3"} and word in _LENGTHS and not bare[len(word) + 1 : len(word) + 2].isalnum()
        decade = word == "s" and written >= _LEAST_DECADE and written % 10 == 0  # the 90s, 2020s
        return (word in GLUED_UNITS or word == "ish") and not decade and (power or not after.isalnum())
    if _dates(word, written):
        return False
    if word == "K":
        return written >= _LEAST_KELVIN
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
