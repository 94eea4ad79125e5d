"""Reduce English words to their Porter stems, as NLTK's `PorterStemmer` does in its default mode.

The algorithm is Martin Porter's (An algorithm for suffix stripping, Program 14.3, 1980) with NLTK's extensions
(`nltk/stem/porter.py`, NLTK 3.9 and 3.10), which `rouge_score` uses. It is written out here because importing any part
of NLTK loads its whole package, scipy and pandas included, which takes seconds.

Two notions carry the rules. A letter is a vowel if it is one of a, e, i, o, u, or a y after a consonant. The measure of
a stem is how often a vowel is followed by a consonant in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_CACHED_WORDS = 2**14
"""Stems remembered: more than the vocabulary of most caption sets."""

LONGEST_UNSTEMMED = 3
"""`rouge_score` leaves words of up to so many letters as they are."""

_IRREGULAR = {
    "sky": "sky",
    "skies": "sky",
    "dying": "die",
    "lying": "lie",
    "tying": "tie",
    "news": "news",
    "innings": "inning",
    "inning": "inning",
    "outings": "outing",
    "outing": "outing",
    "cannings": "canning",
    "canning": "canning",
    "howe": "howe",
    "proceed": "proceed",
    "exceed": "exceed",
    "succeed": "succeed",
}

_DERIVED_ENDINGS = {
    "ational": "ate",
    "tional": "tion",
    "enci": "ence",
    "anci": "ance",
    "izer": "ize",
    "bli": "ble",
    "alli": "al",
    "entli": "ent",
    "eli": "e",
    "ousli": "ous",
    "ization": "ize",
    "ation": "ate",
    "ator": "ate",
    "alism": "al",
    "iveness": "ive",
    "fulness": "ful",
    "ousness": "ous",
    "aliti": "al",
    "iviti": "ive",
    "biliti": "ble",
    "fulli": "ful",
}
"""Step 2."""

_ADJECTIVE_ENDINGS = {"icate": "ic", "ative": "", "alize": "al", "iciti": "ic", "ical": "ic", "ful": "", "ness": ""}
"""Step 3."""

_LAST_ENDINGS = {
    "al": "",
    "ance": "",
    "ence": "",
    "er": "",
    "ic": "",
    "able": "",
    "ible": "",
    "ant": "",
    "ement": "",
    "ment": "",
    "ent": "",
    "ou": "",
    "ism": "",
    "ate": "",
    "iti": "",
    "ous": "",
    "ive": "",
    "ize": "",
}
"""Step 4, all but -ion."""

_LONGEST_ENDING = 7
_VOWELS = frozenset("aeiou")


def stem(word: str) -> str:
    """Return the stem of a lower-case word of letters and digits; words of up to two characters stay as they are.

    Linear in the word.
    """
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if len(word) <= 2:
        return word
    word = _without_plural(word)
    word = _without_past_or_ing(word)
    if len(word) > 2 and word.endswith("y") and _shape(word[:-1]).endswith("c"):
        word = word[:-1] + "i"
    word = _without_derived_ending(word)
    word = _without_ending(word, _ADJECTIVE_ENDINGS, least_measure=1)
    word = _without_last_ending(word)
    return _tidy_end(word)


def rouge_word(word: str) -> str:
    """Return what `rouge_score` compares of a word: its stem, but a word of up to three letters as it is.

    Its words are of ASCII letters and digits; a word of any other script stays as it is too.
    """
    return stem(word) if len(word) > LONGEST_UNSTEMMED and word.isascii() else word


class _KnownStems(dict[str, str]):
    """Words and what `rouge_word` makes of them, computed when first asked for; emptied when full.

    A dictionary and not `lru_cache`: a list of words is looked up without a call for each.
    """

    def __missing__(self, word: str) -> str:
        """Compute and remember one."""
        if len(self) >= MAX_CACHED_WORDS:
            self.clear()
        found = self[word] = rouge_word(word)
        return found


KNOWN_STEMS = _KnownStems()
"""For words of bounded length, as they stay in memory."""


def _shape(stem: str) -> str:
    """Return one "v" or "c" for each letter: vowel or consonant."""
    shape: list[str] = []
    kind = "v"
    for letter in stem:
        vowel = letter in _VOWELS or (letter == "y" and kind == "c")
        kind = "v" if vowel else "c"
        shape.append(kind)
    return "".join(shape)


def _measure(stem: str) -> int:
    """Return how often a vowel is followed by a consonant."""
    return _shape(stem).count("vc")


def _ends_double_consonant(stem: str) -> bool:
    """Tell whether the stem ends in the same consonant twice."""
    return len(stem) > 1 and stem[-1] == stem[-2] and _shape(stem).endswith("c")


def _ends_short(stem: str) -> bool:
    """Tell whether the stem ends consonant, vowel, consonant other than w, x, y, or is a vowel and a consonant."""
    shape = _shape(stem)
    return shape == "vc" or (shape.endswith("cvc") and stem[-1] not in "wxy")


def _without_plural(word: str) -> str:
    """Step 1a."""
    if word.endswith("ies"):
        return word[:-1] if len(word) == 4 else word[:-2]
    if word.endswith("sses"):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word


def _without_past_or_ing(word: str) -> str:
    """Step 1b."""
    if word.endswith("ied"):
        return word[:-1] if len(word) == 4 else word[:-2]
    if word.endswith("eed"):
        return word[:-1] if _measure(word[:-3]) > 0 else word
    for ending in ("ed", "ing"):
        rest = word.removesuffix(ending)
        if rest != word and "v" in _shape(rest):
            return _mended(rest)
    return word


def _mended(stem: str) -> str:
    """Give a stem that lost -ed or -ing its plain end back: hop(p)ing, fil(e)ing, siz(e)ed."""
    if stem.endswith(("at", "bl", "iz")):
        return stem + "e"
    if _ends_double_consonant(stem):
        return stem if stem[-1] in "lsz" else stem[:-1]
    return stem + "e" if _measure(stem) == 1 and _ends_short(stem) else stem


def _without_derived_ending(word: str) -> str:
    """Step 2."""
    if word.endswith("alli") and _measure(word[:-4]) > 0:
        word = word[:-2]
    if word.endswith("logi"):
        return word[:-1] if _measure(word[:-3]) > 0 else word  # the l counts, so that geo- and theo- qualify
    return _without_ending(word, _DERIVED_ENDINGS, least_measure=1)


def _without_last_ending(word: str) -> str:
    """Step 4."""
    if word.endswith("ion"):
        return word[:-3] if word[:-3].endswith(("s", "t")) and _measure(word[:-3]) > 1 else word
    return _without_ending(word, _LAST_ENDINGS, least_measure=2)


def _without_ending(word: str, endings: Mapping[str, str], *, least_measure: int) -> str:
    """Replace the longest ending of the table, if what stays before it has the measure."""
    for length in range(min(_LONGEST_ENDING, len(word)), 1, -1):
        ending = word[-length:]
        if ending in endings:
            return word[:-length] + endings[ending] if _measure(word[:-length]) >= least_measure else word
    return word


def _tidy_end(word: str) -> str:
    """Step 5: drop a last e and one of two ls."""
    if word.endswith("e"):
        measure = _measure(word[:-1])
        if measure > 1 or (measure == 1 and not _ends_short(word[:-1])):
            word = word[:-1]
    return word[:-1] if word.endswith("ll") and _measure(word[:-1]) > 1 else word
