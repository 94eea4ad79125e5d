"""Split a lower-cased English text into sentences exactly where NLTK's Punkt does.

The paper's caption reward tokenises with `nltk.word_tokenize`, which splits sentences first. That decides only whether
a period inside the text is a token of its own, yet every n-gram around it hangs on it. The rules follow
`nltk/tokenize/punkt.py` (NLTK 3.10; Kiss and Strunk 2006, section 4) with the English model `punkt_tab`, reduced by
what lower case implies:

- No word is capitalised, so no abbreviation and no ellipsis is ever also the end of a sentence.
- Of 20,365 words with orthographic context only four, `LOWER_CASE_STARTERS`, leave it open whether they start a
  sentence after an initial or a number; every other lower-case word does not start one there.
- The frequent sentence starters ask for a capital, and each of the 36 collocations ends in a lower-case word after an
  initial or a number: neither can change a decision any more.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_WORDS_BEFORE_PERIOD = """
a.a a.c a.d a.g a.h a.m a.m.e a.s a.t adm ala ariz aug ave b.f b.v bros c c.i.t c.o.m.b c.v calif chg cie co col colo
conn corp cos ct d d.c d.h d.w dec dr e e.f e.h e.l e.m f f.g f.j feb fla fri ft g g.d g.f g.k ga gen h h.c h.f h.m
i.m.s ill inc j.b j.c j.j j.k j.p j.r jan jr k kan ky l l.a l.f l.p lt ltd m m.b.a m.d.c m.j maj messrs mg mich minn mr
mrs ms n n.c n.d n.h n.j n.m n.v n.y nev nov oct ok okla ore p p.a.m p.m pa ph.d prof r r.a r.h r.i r.j r.k r.t rep reps
s s.a s.a.y s.c s.g s.p.a s.s sen sept sep sr st sw t t.j tenn tues u.k u.n u.s u.s.a u.s.s.r v va vs vt w w.c w.r w.va
w.w wash wed wis yr
"""
ABBREVIATIONS = frozenset({*_WORDS_BEFORE_PERIOD.split(), ". . "})
"""Word types, without their last period, that the English Punkt model distributed with NLTK holds for abbreviations."""

LOWER_CASE_STARTERS = frozenset({"administrators", "b-week", "r-revised", "z-holiday"})
"""The words that the same model saw in lower case at the start of a sentence and never with a capital."""

_CLOSING = "\u2018\u2019\u201c\u201d\u00ab\u00bb"
_BESIDE_WORDS = rf"[)\";}}\]*:@'({{\[{_CLOSING}?!]"
_RUN_OF_MARKS = r"(?:-{2,}|\.{2,}|(?:\.\s){2,}\.)"

_CANDIDATE = re.compile(
    # A mark that stands beside words follows it, or a blank and the next word.
    rf"[.?!](?=(?P<after>{_BESIDE_WORDS}|\s+(?P<next>\S+)))"
)
"""A mark that may end a sentence, with what follows it."""

_PUNKT_WORD = re.compile(
    # Punkt's three kinds, in its order: several marks in a row; a word, up to a blank, a mark beside words, several
    # marks, or a comma before any of these; any other character.
    rf"{_RUN_OF_MARKS}"
    rf"|[^\s(\"`{{\[:;&#*@)}}\]\-,]\S*?(?=\s|$|{_BESIDE_WORDS}|{_RUN_OF_MARKS}|,(?:$|\s|{_BESIDE_WORDS}|{_RUN_OF_MARKS}))"
    rf"|\S"
)
"""Punkt's words: a period stays with its word, other punctuation mostly does not."""

_CLOSED_AFTER_END = re.compile(
    # Up to a blank, a dash of two, or the end of a line.
    rf"[\"')\]}}{_CLOSING}]+?(?:\s+|(?=--)|$)",
    re.MULTILINE,
)
"""Closing marks that belong to the sentence before them."""

_NUMBER = re.compile(r"-?[.,]?\d[\d,.-]*")
_ASCII_BLANKS = " \t\n\r\v\f"


def split_sentences(text: str) -> Iterator[str]:
    """Yield the sentences of a lower-cased text, without the blanks between them; an empty text gives none.

    Linear, and lazy: who stops early pays for what was read.
    """
    spans = _spans(text)
    start, end = next(spans)
    for next_start, next_end in spans:
        closing = _CLOSED_AFTER_END.match(text, next_start, next_end)
        yield text[start : next_start + len(closing[0].rstrip()) if closing else end]
        start, end = closing.end() if closing else next_start, next_end
    if start < end:
        yield text[start:end]


def is_abbreviation(word: str) -> bool:
    """Tell whether a lower-case word, its period left off, is an abbreviation, by itself or after its last hyphen."""
    return word in ABBREVIATIONS or word.rpartition("-")[2] in ABBREVIATIONS


def _spans(text: str) -> Iterator[tuple[int, int]]:
    """Yield start and end of each sentence; closing quotes and brackets still open the next one."""
    start = 0
    for match, context in _contexts(text):
        if _breaks(context):
            yield start, match.end()
            start = match.start("next") if match["next"] else match.end()
    yield start, len(text.rstrip())


def _contexts(text: str) -> Iterator[tuple[re.Match[str], str]]:
    """Yield each possible end of a sentence with the word before it and what comes after.

    Of several marks on one word ("what?!") only the last counts.
    """
    word_start = word_end = 0
    previous: re.Match[str] | None = None
    for match in _CANDIDATE.finditer(text):
        blank = _last_blank(text[word_end : match.start()])
        # Punkt looks for the blank behind the mark before and takes one at that very place for none.
        start = word_end + blank + 1 if blank > 0 else word_start
        if previous and word_end <= start:
            yield previous, text[word_start:word_end] + previous[0] + previous["after"]
        previous, word_start, word_end = match, start, match.start()
    if previous:
        yield previous, text[word_start:word_end] + previous[0] + previous["after"]


def _last_blank(text: str) -> int:
    """Return the index of the last ASCII blank, or -1."""
    return max(map(text.rfind, _ASCII_BLANKS))


def _breaks(context: str) -> bool:
    """Tell whether a sentence ends before the last word of the context."""
    words = [word for line in context.split("\n") for word in _PUNKT_WORD.findall(line)]
    return any(_ends_sentence(word, following) for word, following in pairwise(words))


def _ends_sentence(word: str, following: str) -> bool:
    """Decide whether a sentence ends between two of Punkt's words."""
    if word in {".", "?", "!"}:
        return True
    if not word.endswith(".") or word.endswith("..") or is_abbreviation(word[:-1]):
        return False
    initial = len(word) == 2 and _is_letter(word[0])
    if initial and following[0].isupper():
        return False  # letters such as U+1D400 have no lower case
    return not ((initial or _NUMBER.fullmatch(word)) and _continues_sentence(following))


def _continues_sentence(word: str) -> bool:
    """Tell whether a word after an initial or a number belongs to the same sentence."""
    if word in {";", ":", ",", ".", "!", "?"}:
        return True
    return word[0].islower() and word.removesuffix(".") not in LOWER_CASE_STARTERS


def _is_letter(char: str) -> bool:
    """Tell whether Punkt takes one character for an initial: letters, marks, letter numbers and connectors."""
    return char.isalpha() or unicodedata.category(char) in {"Mn", "Mc", "Me", "Nl", "Pc"}
