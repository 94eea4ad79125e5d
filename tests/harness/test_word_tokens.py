"""Word tokens equal NLTK's: a stored table made with the full English Punkt model, and NLTK's own code run live."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.scoring.captions.nltk_sentences import ABBREVIATIONS, LOWER_CASE_STARTERS, split_sentences
from harness.scoring.captions.nltk_tokens import _treebank_tokens, plain_tokens, word_tokens

CASES = json.loads((Path(__file__).parents[1] / "cases" / "word_tokens.json").read_text(encoding="utf-8"))
"""Texts with the tokens of `nltk.word_tokenize` (NLTK 3.10.4, punkt_tab)."""

_WRITTEN_PIECES = """
a the man dog isn't it's they'll dogs' 'tis d'ye more'n cannot gonna shouldn't've o'clock t-shirt x j. b. mr. mr etc.
p.m. u.s. ave x-co. 3 3.5 5. 1,000 -5. '90s $5.00 10% #1 a&b administrators z-holiday www.foo.com 猫 一只鸟。 café ½
“stop” «exit» ‘go’ — – ... .. . , ; : ? ! ?! .) ." .'' ' '' " ` `` ( ) [ ] -- --- * / 😀
"""
_texts = st.lists(
    st.tuples(st.sampled_from(_WRITTEN_PIECES.split()), st.sampled_from([" ", " ", " ", "", "  ", "\n", "\t"])),
    max_size=25,
).map(lambda parts: "".join(piece + blank for piece, blank in parts))
_soup = st.text(alphabet="ab.c,:;'\"!?()-` \n5$sdtmnre’”“*<%", max_size=30)


@cache
def _nltk_treebank():
    from nltk.tokenize.destructive import NLTKWordTokenizer

    return NLTKWordTokenizer()


@cache
def _nltk_punkt():
    """NLTK's sentence splitter on the part of the English model that lower-cased text can touch."""
    from nltk.tokenize.punkt import PunktSentenceTokenizer

    punkt = PunktSentenceTokenizer()
    punkt._params.abbrev_types = set(ABBREVIATIONS)
    punkt._params.ortho_context.update(
        dict.fromkeys(LOWER_CASE_STARTERS, 1 << 4)
    )  # seen first in a sentence, in lower case
    return punkt


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_tokens_equal_those_of_nltk_with_its_full_model(case):
    assert case["tokens"] == word_tokens(case["text"])


def test_the_table_visits_the_short_and_the_full_rules():
    plain = [case["text"] for case in CASES if re.fullmatch(r"[a-z0-9 ,.'-]*", case["text"])]
    short = [text for text in plain if plain_tokens(text) is not None]

    assert len(short) > 50
    assert len(CASES) - len(short) > 200


@given(st.one_of(_texts, _soup))
@settings(deadline=None, max_examples=300)
def test_one_sentence_splits_as_nltk_splits_it(text):
    assert _nltk_treebank().tokenize(text) == _treebank_tokens(text)


@given(st.one_of(_texts, _soup))
@settings(deadline=None, max_examples=300)
def test_sentences_end_where_those_of_nltk_end(text):
    assert [sentence for sentence in _nltk_punkt().tokenize(text) if sentence] == list(split_sentences(text))


@given(st.text(alphabet="ab mrcnot.,'s-5 ", max_size=40))
@settings(deadline=None, max_examples=300)
def test_plain_texts_take_the_short_way_to_the_same_tokens(text):
    full = [token for sentence in split_sentences(text) for token in _treebank_tokens(sentence)]

    assert full == word_tokens(text)


def test_the_paper_s_example_splits_the_period_between_sentences():
    assert word_tokens("a bird. it sits.") == ["a", "bird", ".", "it", "sits", "."]


@pytest.mark.parametrize("text", ["", " ", "\n\t ", "\u3000"])
def test_blanks_give_no_tokens(text):
    assert word_tokens(text) == []


@pytest.mark.parametrize("text", ["a dog. " * 9, "it's (really) big. " * 9])
def test_at_most_cuts_the_tokens_not_their_split(text):
    assert word_tokens(text)[:7] == word_tokens(text, at_most=7)
