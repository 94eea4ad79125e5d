"""Split a lower-cased caption into words exactly as `nltk.word_tokenize` does, without NLTK and its data.

Two steps, as in NLTK 3.10: `harness.scoring.captions.nltk_sentences` finds the sentences, then the rules of
`nltk/tokenize/destructive.py` (Penn Treebank conventions with NLTK's additions) split each. Most captions are plain
words with commas and periods, for which both steps come down to a few string operations; anything else takes the full
rules.
"""

from __future__ import annotations

import re
from itertools import chain, islice
from typing import TYPE_CHECKING

from harness.scoring.captions.nltk_sentences import is_abbreviation, split_sentences

if TYPE_CHECKING:
    from collections.abc import Iterable

_PLAIN_BYTES = b"abcdefghijklmnopqrstuvwxyz0123456789 ,.'-"
"""The characters of plain captions."""

_UNUSUAL_APOSTROPHE = re.compile(
    # Behind no letter or digit; or before anything but an s that ends the word.
    r"(?<![a-z0-9])'|'(?!s(?:[ ,.]|\Z))"
)
"""An apostrophe other than in "man's"."""

_TWO_IN_ONE = frozenset({"cannot", "gimme", "gonna", "gotta", "lemme", "wanna", "d'ye", "more'n"})
"""Words that the Treebank conventions take apart."""

_OPENING_MARKS = "«“‘„"
_CLOSING_MARKS = "»”’"
_BACKTICKS = re.compile("`+")
_OPENING_QUOTE = re.compile(
    # NLTK takes both ways to write it for the same.
    r"([ (\[{<])(?:\"|'')"
)
_LETTER = r"(?:[^\W²³¹¼½¾\u2070\u2074-\u2079\u2080-\u2089\u2150-\u215f\u2460-\u249b]|[\u0300-\u036f])"
"""A word character as the `regex` package sees it: no fractions and small numbers, but accents."""

_OPENING_APOSTROPHE = re.compile(
    # Unless it opens a clitic that ends there: 're, 've, 'll, 'm, 't, 's, 'd, 'n.
    rf"'(?<!{_LETTER}')(?!(?:re|ve|ll|m|t|s|d|n)(?!{_LETTER}))(?={_LETTER})"
)
_MAY_FOLLOW_LAST_PERIOD = "])}>\"' " + _CLOSING_MARKS
_COLON_OR_COMMA = re.compile(r"([:,])(\D)")
_DOTS = re.compile(r"\.{2,}")
_SYMBOLS = ";@#$%&\u2012\u2013\u2014\u2015"
_BRACKETS_AND_DASHES = (*"*][(){}<>", "--")
_LONE_APOSTROPHE = re.compile(r"'(?<=[^']') ")
_CLITIC = re.compile(r"'(?<=[^' ]')([smd]?) ")
_LONG_CLITIC = re.compile(
    # The clitics of two letters; those of one are `_CLITIC`'s.
    r"'(?<=[^' ]')(ll|re|ve) "
)
_NOT_CLITIC = re.compile(r"n't(?<=[^' ]n't) ")
_JOINED = re.compile(
    # The Treebank's words of two, as NLTK lists them: cannot, d'ye, gimme, gonna, gotta, lemme, more'n, wanna.
    r"\b(?:(can)(not)|(d)('ye)|(gim)(me)|(gon)(na)|(got)(ta)|(lem)(me)|(more)('n)|(wan)(na)(?=\s))\b"
)
_TIS = re.compile(
    # And 'tis and 'twas.
    r" ('t)(is|was)\b",
    re.IGNORECASE,
)


def word_tokens(text: str, *, at_most: int | None = None) -> list[str]:
    """Return the first tokens of a text that was lower-cased by the caller, or all; blanks only give none.

    Linear in the text. Equal to `nltk.word_tokenize` (NLTK 3.10, English) but for control characters that only `re`
    takes for blanks (U+001C to U+001F) and rare marks beside an apostrophe.
    """
    plain = plain_tokens(text)
    if plain is not None:
        return plain[:at_most]
    return list(islice(chain.from_iterable(map(_treebank_tokens, split_sentences(text))), at_most))


def plain_tokens(text: str) -> list[str] | None:
    """Split a text of plain ASCII words, or return None when it needs the full rules.

    Here a period either ends a sentence, and is a token, or the word before it makes the text unusual.
    """
    if text.encode("ascii", "replace").translate(None, _PLAIN_BYTES):
        return None  # something is left: a character that plain captions do without
    if "--" in text or _stands_inside(".", text) or _stands_inside(",", text):
        return None
    if "'" in text and _UNUSUAL_APOSTROPHE.search(text):
        return None
    if ". " in text and not all(map(_surely_ends_sentence, text.split(". ")[:-1])):
        return None
    tokens = text.replace(",", " , ").replace(".", " . ").replace("'s", " 's").split()
    if not _TWO_IN_ONE.isdisjoint(tokens):
        return None
    return None if "-" in text and _has_two_in_one(text) else tokens


def _stands_inside(mark: str, text: str) -> bool:
    """Tell whether a mark stands anywhere but before a space or at the end, as in a number."""
    return text.count(mark) != text.count(mark + " ") + text.endswith(mark)


def _surely_ends_sentence(part: str) -> bool:
    """Tell whether a period after this part ends a sentence whatever follows: no initial, number or abbreviation."""
    word = part.rpartition(" ")[2]
    # a single letter is an initial, also behind a hyphen or an apostrophe
    return len(word) > 1 and word[-2:].isalpha() and not is_abbreviation(word)


def _treebank_tokens(sentence: str) -> list[str]:
    """Apply the full rules to one sentence, in NLTK's order, each only where its characters occur."""
    text = _split_opening_quotes(sentence)
    text = _split_last_period(text)
    if "," in text or ":" in text:
        text = _COLON_OR_COMMA.sub(r" \1 \2", text)
        if text.endswith((":", ",")):
            text = f"{text[:-1]} {text[-1]} "
    if ".." in text:
        text = _DOTS.sub(r" \g<0> ", text)
    text = _padded(text, _SYMBOLS)
    text = _padded(text, "?!")
    if "'" in text:
        text = _LONE_APOSTROPHE.sub(" ' ", text)
    text = _padded(text, _BRACKETS_AND_DASHES)
    text = _padded(text, (*_CLOSING_MARKS, "''")).replace('"', " '' ")
    return _split_clitics(text).split()


def _padded(text: str, marks: Iterable[str]) -> str:
    """Put a space on either side of each mark."""
    for mark in marks:
        if mark in text:
            text = text.replace(mark, f" {mark} ")
    return text


def _split_opening_quotes(text: str) -> str:
    """Set opening quotes apart and write straight ones as two backticks."""
    text = _padded(text, _OPENING_MARKS)
    if "`" in text:
        text = _BACKTICKS.sub(r" \g<0> ", text)
    if text.startswith('"'):
        text = "``" + text[1:]
    text = _padded(text, ("``",))
    if '"' in text or "''" in text:
        text = _OPENING_QUOTE.sub(r"\1 `` ", text)
    return _OPENING_APOSTROPHE.sub("' ", text) if "'" in text else text


def _split_last_period(text: str) -> str:
    """Set the period that ends the sentence apart, and the closing marks behind it."""
    whole = text.rstrip()
    head = whole.rstrip(_MAY_FOLLOW_LAST_PERIOD)
    if len(head) < 2 or head[-1] != "." or head[-2] == ".":
        return text
    return f"{head[:-1]} . {whole[len(head) :]} "


def _split_clitics(text: str) -> str:
    """Set endings such as 's and n't, and the halves of words like "cannot", apart."""
    joined = _has_two_in_one(text)
    if "'" in text or joined:
        text = f" {' '.join(text.split())} "
    if "'" in text:
        text = _NOT_CLITIC.sub(" n't ", _CLITIC.sub(r" '\1 ", text))
        text = _LONG_CLITIC.sub(r" '\1 ", text)  # after n't, which does not split from a 've that follows it
    if joined:
        text = _JOINED.sub(_apart, text)
    return _TIS.sub(r" \1 \2 ", text) if "'t" in text else text


def _has_two_in_one(text: str) -> bool:
    """Tell whether the letters of a word to take apart occur anywhere."""
    return any(map(text.__contains__, _TWO_IN_ONE))


def _apart(match: re.Match[str]) -> str:
    """Set the two halves of a joined word apart."""
    first, second = filter(None, match.groups())
    return f" {first} {second} "
