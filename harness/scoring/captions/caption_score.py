"""Score a predicted caption against a reference caption: the mean of BLEU-4 and ROUGE-L.

Two modes. `paper` computes what SATORI's released reward does: NLTK's `sentence_bleu` with smoothing method 1 on
lower-cased `word_tokenize` tokens, and `rouge_score`'s ROUGE-L F1 with Porter stems. `strict` is the same mean without
its defects: BLEU's order shrinks with the shorter of the two texts, so that an identical caption scores 1 whatever its
length; words of every script count in ROUGE, and scripts without spaces are compared by character. For ASCII captions
of at least four tokens on one line the two modes give the same number.

Captions come in groups that share a reference, so everything that depends on the reference alone is prepared once and
kept in a bounded cache; no result depends on the cache.
"""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from harness.scoring.captions.nltk_tokens import plain_tokens, word_tokens
from harness.scoring.captions.porter_stems import KNOWN_STEMS, rouge_word

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_CHARS = 10_000
"""Only so many characters of a caption are read; beyond, equality with the paper's number is given up."""

MAX_TOKENS = 2_000
"""Only so many tokens of a caption count; beyond, equality with the paper's number is given up."""

MAX_CACHED_REFERENCES = 256
"""References kept prepared: the groups of a training step, or the neighbours in an evaluation."""

MAX_ORDER = 4
"""Longest n-grams of BLEU, in tokens."""

_EPSILON = 0.1
"""What smoothing method 1 puts for a count of zero (NLTK's default)."""

_MAX_CACHED_TEXT_CHARS = 2_000
"""Words of longer texts are stemmed without the cache, which bounds the cache's memory."""

_MAX_MARKS = 30
"""Combining marks in a row that no real text exceeds (Unicode Standard Annex 15, stream-safe text)."""

_BELOW_ONE = math.nextafter(1.0, 0.0)
_PAPER_WORD = re.compile(r"[a-z0-9]+")
_UNSPACED = re.compile(
    "([\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u1950-\u19ff\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3040-\u30fa"
    "\u30fc-\u312f\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\ua4cf\ua9e0-\ua9ff\uaa60-\uaadf\uf900-\ufaff"
    "\U0001b000-\U0001b16f\U00020000-\U0003ffff])"
)
"""Characters of scripts written without spaces between words: Thai, Lao, Tibetan, Burmese, Khmer, kana, Han, Yi."""


@dataclass(frozen=True, slots=True)
class _Caption:
    """A caption, split for both measures."""

    tokens: list[str]
    """What BLEU compares: words and punctuation, lower case."""
    stems: list[str]
    """What ROUGE-L compares: words without their endings, no punctuation."""


@dataclass(frozen=True, slots=True)
class _Reference:
    """A reference caption, prepared for many comparisons."""

    tokens: list[str]
    """What BLEU compares."""
    token_places: Mapping[str, int]
    """For each token a bit set of where it stands: bit i for the i-th token."""
    stem_count: int
    """Number of words that ROUGE-L compares."""
    stem_places: Mapping[str, int]
    """The same bit sets for the stems."""


def caption_score(predicted: str, reference: str, *, paper: bool) -> float:
    """Return the mean of BLEU-4 and ROUGE-L F1, in [0, 1].

    Args:
        predicted: What the model wrote; outer blanks do not matter. Empty or blank gives 0. Only `MAX_CHARS` characters
            and `MAX_TOKENS` tokens count, in the reference too.
        reference: The caption to compare with. Empty or blank gives 0 as well, whatever was predicted: whether such a
            row is gold at all is for the caller to say.
        paper: Whether to follow SATORI's released reward (NLTK 3.10, rouge_score 0.1.2) bit by bit, or our own rules.
            Under ours a caption scores 1 if and only if it has the reference's tokens, after NFKC, case folding and
            with blanks left aside.
    """
    gold = _prepared(reference[:MAX_CHARS], paper)
    caption = _read(predicted[:MAX_CHARS], paper=paper)
    rouge = _rouge_l(caption.stems, gold)
    if paper:
        return (_bleu(caption.tokens, gold, MAX_ORDER) + rouge) / 2
    if not caption.tokens or not gold.tokens:
        return 0.0
    if caption.tokens == gold.tokens:
        return 1.0
    order = min(MAX_ORDER, len(caption.tokens), len(gold.tokens))
    # Reordered texts can have equal n-grams and equal stems; only equal tokens are equal captions.
    return min((_bleu(caption.tokens, gold, order) + rouge) / 2, _BELOW_ONE)


@lru_cache(maxsize=MAX_CACHED_REFERENCES)
def _prepared(reference: str, paper: bool) -> _Reference:  # positional, as lru_cache then needs no look at names
    """Read a reference and note what every comparison with it needs."""
    caption = _read(reference, paper=paper)
    return _Reference(caption.tokens, _places(caption.tokens), len(caption.stems), _places(caption.stems))


def _places(words: list[str]) -> dict[str, int]:
    """Return for each word the bit set of its places."""
    places: dict[str, int] = {}
    bit = 1
    for word in words:
        places[word] = places.get(word, 0) | bit
        bit += bit
    return places


def _read(text: str, *, paper: bool) -> _Caption:
    """Split a caption for both measures."""
    if not paper and not text.isascii():
        text = _spaced(text)
        return _Caption(word_tokens(text, at_most=MAX_TOKENS), _stems(_words(text)[:MAX_TOKENS], len(text)))
    text = text.lower()
    plain = plain_tokens(text)
    if plain is not None and len(plain) <= MAX_TOKENS and "'" not in text and "-" not in text:
        return _Caption(plain, _stems(text.replace(",", " ").replace(".", " ").split(), len(text)))
    if not paper:
        text = " ".join(text.split())
    return _Caption(word_tokens(text, at_most=MAX_TOKENS), _stems(_PAPER_WORD.findall(text)[:MAX_TOKENS], len(text)))


def _stems(words: list[str], text_chars: int) -> list[str]:
    """Return what ROUGE-L compares of each word: the stem of a longer ASCII word, any other word itself."""
    if text_chars <= _MAX_CACHED_TEXT_CHARS:
        return list(map(KNOWN_STEMS.__getitem__, words))
    return [rouge_word(word) for word in words]


def _spaced(text: str) -> str:
    """Normalise a text of any script (NFKC, case, blanks) and set the characters of unspaced scripts apart."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", _with_short_mark_runs(text)).casefold())
    return " ".join(" ".join(_UNSPACED.split(folded[:MAX_CHARS])).split())


def _with_short_mark_runs(text: str) -> str:
    """Drop combining marks beyond `_MAX_MARKS` in a row: normalising sorts each row, in quadratic time."""
    if not any(map(unicodedata.combining, text)):
        return text
    kept: list[str] = []
    row = 0
    for char in text:
        row = row + 1 if unicodedata.combining(char) else 0
        if row <= _MAX_MARKS:
            kept.append(char)
    return "".join(kept)


def _words(text: str) -> list[str]:
    """Return the runs of letters, marks and digits of any script."""
    return "".join([char if char.isalnum() or unicodedata.category(char)[0] == "M" else " " for char in text]).split()


def _bleu(tokens: list[str], gold: _Reference, max_order: int) -> float:
    """Return sentence BLEU with smoothing method 1 and uniform weights over the orders 1 to `max_order`.

    Follows `nltk/translate/bleu_score.py` operation by operation, so that the last bit agrees.
    """
    matches = _clipped_matches(tokens, gold)[:max_order]
    if not matches[0]:
        return 0.0
    logs = [
        math.log((count or _EPSILON) / max(1, len(tokens) - shorter)) / max_order
        for shorter, count in enumerate(matches)
    ]
    brevity = 1.0 if len(tokens) > len(gold.tokens) else math.exp(1 - len(gold.tokens) / len(tokens))
    return brevity * math.exp(math.fsum(logs))


def _clipped_matches(tokens: list[str], gold: _Reference) -> tuple[int, int, int, int]:
    """Count the n-grams of 1 to 4 tokens that the reference has too, each at most as often as there.

    `ends_n` is the bit set of the places in the reference where the n-gram that ends at the current token ends. Equal
    n-grams have equal sets and different ones disjoint sets, so taking one free place per occurrence clips the counts.
    """
    ends_1 = ends_2 = ends_3 = 0
    taken_1 = taken_2 = taken_3 = taken_4 = 0
    for here in map(gold.token_places.get, tokens):
        if here is None:
            ends_1 = ends_2 = ends_3 = 0
            continue
        ends_4 = ends_3 << 1 & here
        ends_3 = ends_2 << 1 & here
        ends_2 = ends_1 << 1 & here
        ends_1 = here
        free = ends_1 & ~taken_1
        taken_1 |= free & -free
        if ends_2:  # without a pair that matches nothing longer does
            free = ends_2 & ~taken_2
            taken_2 |= free & -free
            if ends_3:
                free = ends_3 & ~taken_3
                taken_3 |= free & -free
                free = ends_4 & ~taken_4
                taken_4 |= free & -free
    return taken_1.bit_count(), taken_2.bit_count(), taken_3.bit_count(), taken_4.bit_count()


def _rouge_l(stems: list[str], gold: _Reference) -> float:
    """Return the F1 of the longest common subsequence of stems; 0 where either side has no words."""
    common = _longest_common_subsequence(stems, gold)
    if not common:
        return 0.0
    precision, recall = common / len(stems), common / gold.stem_count
    return 2 * precision * recall / (precision + recall)


def _longest_common_subsequence(stems: list[str], gold: _Reference) -> int:
    """Return the length of the longest common subsequence, one addition of long integers per stem.

    A bit of `open_places` falls to 0 where the common subsequence grows by one (Hyyrö 2004, bit-parallel LCS).
    """
    open_places = everywhere = (1 << gold.stem_count) - 1
    for here in map(gold.stem_places.get, stems):
        if here is not None:
            met = open_places & here
            open_places = (open_places + met) | (open_places - met)
    return gold.stem_count - (open_places & everywhere).bit_count()
