"""Caption scores: `paper` equals NLTK and rouge_score to the last bits, `strict` has none of its defects."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.scoring.captions import caption_score as captions
from harness.scoring.captions.caption_score import MAX_CHARS, MAX_TOKENS, caption_score
from harness.scoring.captions.nltk_tokens import word_tokens

BIRD = "The image features a bird perched on a branch with green leaves and red berries."
_WORDS = "a the dog dogs sits sitting runs quickly on red car, car. isn't it's 3.5 mr. stands. (two) end. 猫 Cat"
_captions = st.lists(st.sampled_from(_WORDS.split()), max_size=20).map(" ".join)
_any_text = st.one_of(_captions, st.text(max_size=40))

PAIRS = [(f"a dog number {i % 7} sits", f"the dogs number {i % 400} sat on {i}") for i in range(600)]
HUGE_TEXTS = [
    "a" * 10**6,
    "cat dog. " * 10**5,
    ". " * 500_000,
    "?)" * 500_000,
    'it\'s "so". ' * 10**5,
    "x." * 500_000,
    "a." + " " * 10**6 + "b",
    "a." + ")" * 10**6,
    "'" * 10**6,
    "猫" * 10**6,
    "a" + "\u0301\u0316" * 500_000,  # normalising sorts rows of marks, in quadratic time
    "\ufdfa" * 10**6,  # one character that NFKC makes eighteen of
    "y" * 10**6,
    "\ud800" * 10**6,
]


@cache
def _rouge_scorer():
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rougeL"], use_stemmer=True)


def _nltk_bleu(predicted: list[str], reference: list[str]) -> float:
    from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

    return sentence_bleu([reference], predicted, smoothing_function=SmoothingFunction().method1)


def _reference_score(predicted: str, reference: str) -> float:
    """What the released reward computes, on tokens that `test_word_tokens.py` compares with NLTK's."""
    bleu = _nltk_bleu(word_tokens(predicted.lower()), word_tokens(reference.lower()))
    return (bleu + _rouge_scorer().score(reference, predicted)["rougeL"].fmeasure) / 2


def _lcs_by_table(first: list[str], second: list[str]) -> int:
    row = [0] * (len(second) + 1)
    for word in first:
        above = row
        row = [0]
        for place, other in enumerate(second):
            row.append(above[place] + 1 if word == other else max(row[place], above[place + 1]))
    return row[-1]


class TestPaper:
    @pytest.mark.parametrize(
        ("predicted", "reference", "expected"),
        [
            (BIRD.lower(), BIRD, 1.0),
            ("A bird perched on a branch with green leaves.", BIRD, 0.6229536469894796),
            ("A dog.", BIRD, 0.05971016862681471),
            (f"{BIRD} {BIRD}", BIRD, 0.570488685624948),
            ("The image features a bird. It is perched on a branch with red berries.", BIRD, 0.6824355864041614),
            ("a cat", "a cat", 0.658113883008419),
            ("cat", "cat", 0.5889139705019462),
            ("一只鸟在树枝上", BIRD, 0.0),
            ("一只鸟", "一只鸟", 0.08891397050194615),
            ("$5.00 & 10%", BIRD, 0.0),
            ("", BIRD, 0.0),
            ("", "", 0.0),
            ("a", "", 0.0),
        ],
    )
    def test_measured_scores_of_the_released_reward_come_out(self, predicted, reference, expected):
        assert expected == pytest.approx(caption_score(predicted, reference, paper=True), abs=1e-12)

    @given(_any_text, _any_text)
    @settings(deadline=None, max_examples=300)
    def test_score_equals_nltk_and_rouge_score(self, predicted, reference):
        expected = _reference_score(predicted, reference)

        assert expected == pytest.approx(caption_score(predicted, reference, paper=True), abs=1e-12)

    @given(_captions, st.randoms(use_true_random=False))
    @settings(deadline=None, max_examples=200)
    def test_score_of_an_edited_caption_equals_nltk_and_rouge_score(self, reference, rng):
        words = [
            rng.choice(_WORDS.split()) if rng.random() < 0.2 else word
            for word in reference.split()
            if rng.random() < 0.9
        ]
        predicted = " ".join(words)

        expected = _reference_score(predicted, reference)

        assert expected == pytest.approx(caption_score(predicted, reference, paper=True), abs=1e-12)

    def test_long_captions_within_the_cap_still_equal_the_reference(self):
        rng = random.Random(4)
        predicted, reference = (
            " ".join(rng.choices(["red", "dog", "sits", "on", "a", "car"], k=400)) for _ in range(2)
        )

        expected = _reference_score(predicted, reference)

        assert expected == pytest.approx(caption_score(predicted, reference, paper=True), abs=1e-12)


class TestStrict:
    @pytest.mark.parametrize(
        "text", ["cat", "a cat", "一只鸟", "แมวนั่ง", "猫", "!", "😀", BIRD, "Ｃａｔ", "हिन्दी में", "ﬁne"]
    )
    def test_an_identical_caption_scores_one_whatever_its_length_or_script(self, text):
        assert caption_score(text, text, paper=False) == 1.0

    @given(st.text(min_size=1, max_size=30).filter(str.strip))
    @settings(deadline=None, max_examples=200)
    def test_any_text_scores_one_on_itself_and_with_other_blanks(self, text):
        assert caption_score(text, text, paper=False) == 1.0
        assert caption_score("  " + "\n ".join(text.split()) + "\t", text, paper=False) == 1.0

    @pytest.mark.parametrize(
        ("predicted", "reference"),
        [
            ("A CAT sits", "a cat  sits"),
            ("Ｃａｔ", "cat"),
            ("STRASSE", "straße"),
            ("cafe\u0301", "CAFÉ"),
            ("ﾈｺ", "ネコ"),
        ],
    )
    def test_case_blanks_and_compatibility_forms_do_not_matter(self, predicted, reference):
        assert caption_score(predicted, reference, paper=False) == 1.0

    @pytest.mark.parametrize(
        ("predicted", "reference"),
        [
            ("cats", "cat"),
            ("cat", "cat cat"),
            ("cat cat", "cat"),
            ("cat a", "a cat"),
            ("一只鸟", "一只狗"),
            ("cat.", "cat"),
            ("a b c , a b c . a b c", "a b c . a b c , a b c"),  # equal n-grams and equal words in another order
        ],
    )
    def test_a_caption_that_differs_scores_below_one(self, predicted, reference):
        assert 0 < caption_score(predicted, reference, paper=False) < 1

    @given(_any_text, _any_text)
    @settings(deadline=None, max_examples=300)
    def test_score_is_in_the_unit_interval(self, predicted, reference):
        assert 0 <= caption_score(predicted, reference, paper=False) <= 1

    @pytest.mark.parametrize(("predicted", "reference"), [("", BIRD), (" \n", BIRD), (BIRD, ""), ("", ""), ("", "cat")])
    def test_an_empty_side_scores_zero(self, predicted, reference):
        assert caption_score(predicted, reference, paper=False) == 0.0

    @pytest.mark.parametrize(
        ("predicted", "reference"),
        [("一只鸟在树上", "一只鸟在树枝上"), ("แมวนั่งบนเก้าอี้", "แมวนอนบนเก้าอี้"), ("ねこがすわる", "ねこがねる")],
    )
    def test_scripts_without_spaces_are_compared_by_character(self, predicted, reference):
        assert caption_score(predicted, reference, paper=False) > 0.4

    def test_words_of_every_script_count(self):
        score = caption_score("кошка сидит на столе", "кошка спит на столе", paper=False)

        assert score > 0.4
        assert score > caption_score("кошка сидит на столе", "кошка спит на столе", paper=True) + 0.3

    @given(st.lists(st.sampled_from(BIRD.split()), min_size=4, max_size=15))
    @settings(deadline=None, max_examples=100)
    def test_ascii_captions_of_four_tokens_score_as_under_paper(self, words):
        predicted = " ".join(words)

        assert caption_score(predicted, BIRD, paper=True) == caption_score(predicted, BIRD, paper=False)


class TestBounds:
    @pytest.mark.parametrize("paper", [True, False])
    @pytest.mark.parametrize("text", HUGE_TEXTS, ids=range(len(HUGE_TEXTS)))
    def test_a_megabyte_on_both_sides_costs_no_time(self, text, paper):
        start = time.process_time()
        score = caption_score(text, text[::-1], paper=paper)
        seconds = time.process_time() - start

        assert 0 <= score <= 1
        assert seconds < 1  # about 0.05 s; the slowest naive rule takes minutes

    def test_text_beyond_the_cap_does_not_count(self):
        text = "word " * (MAX_CHARS // 5)

        assert caption_score(text + "other", text, paper=False) == 1.0
        assert len(captions._read("a " * MAX_CHARS, paper=True).tokens) == MAX_TOKENS

    @given(st.lists(st.sampled_from("abcd"), max_size=80), st.lists(st.sampled_from("abcde"), max_size=80))
    @settings(deadline=None, max_examples=200)
    def test_common_subsequence_is_as_long_as_the_table_says(self, first, second):
        gold = captions._Reference([], {}, len(second), captions._places(second))

        assert _lcs_by_table(first, second) == captions._longest_common_subsequence(first, gold)

    @given(st.lists(st.sampled_from("abc"), max_size=40), st.lists(st.sampled_from("abcd"), max_size=40))
    @settings(deadline=None, max_examples=200)
    def test_bleu_of_repetitive_tokens_equals_nltk_s(self, first, second):
        gold = captions._Reference(second, captions._places(second), 0, {})

        assert _nltk_bleu(first, second) == pytest.approx(captions._bleu(first, gold, 4), abs=1e-12)


class TestCaches:
    def test_scores_do_not_depend_on_what_was_scored_before(self):
        captions._prepared.cache_clear()
        first = [caption_score(*pair, paper=paper) for pair in PAIRS for paper in (True, False)]
        again = [caption_score(*pair, paper=paper) for pair in PAIRS for paper in (True, False)]

        assert first == again

    def test_threads_get_the_scores_of_one_thread(self):
        alone = [caption_score(*pair, paper=True) for pair in PAIRS]
        captions._prepared.cache_clear()
        with ThreadPoolExecutor(8) as pool:
            together = list(pool.map(lambda pair: caption_score(*pair, paper=True), PAIRS))

        assert alone == together

    def test_the_reference_cache_is_bounded(self):
        for number in range(captions.MAX_CACHED_REFERENCES + 50):
            caption_score("a dog", f"dog {number}", paper=True)

        assert captions._prepared.cache_info().currsize == captions.MAX_CACHED_REFERENCES
