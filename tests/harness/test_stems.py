"""Stems equal those of NLTK's PorterStemmer, which rouge_score uses."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.scoring.captions.porter_stems import (
    _ADJECTIVE_ENDINGS,
    _DERIVED_ENDINGS,
    _IRREGULAR,
    _LAST_ENDINGS,
    KNOWN_STEMS,
    MAX_CACHED_WORDS,
    stem,
)

_MORE_ENDINGS = "s es ies ed ied eed ing y ll e ion logi at bl iz"
_ENDINGS = [*_DERIVED_ENDINGS, *_ADJECTIVE_ENDINGS, *_LAST_ENDINGS, *_MORE_ENDINGS.split()]
_KNOWN_WORDS = """
caresses ponies ties dies cats agreed feed plastered bled motoring sing conflated troubled sized hopping tanned falling
hissing fizzed failing filing happy sky enjoy spied died radically geology theologi relational rational adoption
replacement probate rate cease controlling roll syzygy toy y yy yyyy 1990s 3d as is a
"""
_words = st.builds(
    lambda head, endings: head + "".join(endings),
    st.text(alphabet="aeiouybcdlstrwx1", max_size=5),
    st.lists(st.sampled_from(_ENDINGS), max_size=3),
)


@cache
def _porter():
    from nltk.stem.porter import PorterStemmer

    return PorterStemmer()


@given(st.lists(_words, min_size=50, max_size=50))
@settings(deadline=None, max_examples=60)
def test_stems_of_invented_words_equal_nltk_s(words):
    assert [_porter().stem(word) for word in words] == [stem(word) for word in words]


@pytest.mark.parametrize("word", [*_IRREGULAR, *_KNOWN_WORDS.split()])
def test_stems_of_known_words_equal_nltk_s(word):
    assert _porter().stem(word) == stem(word)


@pytest.mark.parametrize("word", ["y" * 100_000, "ing" * 30_000, "alli" * 25_000])
def test_a_huge_word_is_stemmed_without_recursion(word):
    assert len(stem(word)) >= len(word) - 10


def test_the_cache_gives_the_same_stem_and_leaves_short_words_and_other_scripts():
    assert stem("standing") == KNOWN_STEMS["standing"] == KNOWN_STEMS["standing"] == "stand"
    assert [KNOWN_STEMS[word] for word in ("horses", "as", "его", "приходящий")] == ["hors", "as", "его", "приходящий"]


def test_the_cache_is_bounded():
    for number in range(MAX_CACHED_WORDS + 10):
        assert KNOWN_STEMS[f"word{number}"] == f"word{number}"

    assert len(KNOWN_STEMS) <= MAX_CACHED_WORDS
