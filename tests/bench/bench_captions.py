"""Time the caption score against the reference way, in one run: `python -P tests/bench/bench_captions.py`.

2,000 captions of 10 to 30 words in groups of 8 per reference, as a GRPO step makes them: most are edited copies of the
reference, some have two sentences, quotes, clitics or numbers. The reference way does everything per call: NLTK's Punkt
and word tokenizer, `sentence_bleu`, and a `RougeScorer` with stemmer. Punkt's model is not at hand without a download;
NLTK's own code runs here on the part of it that lower-cased text can touch (`harness/scoring/captions/nltk_sentences.py`).
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from harness.scoring.captions import caption_score as captions
from harness.scoring.captions.caption_score import caption_score
from harness.scoring.captions.nltk_sentences import ABBREVIATIONS, LOWER_CASE_STARTERS
from harness.scoring.captions.porter_stems import KNOWN_STEMS

if TYPE_CHECKING:
    from collections.abc import Callable

GROUPS = 250
GROUP_SIZE = 8
REPEATS = 3

_VOCABULARY = """
the a an of on in with and is are next to under above standing sitting holding wearing riding looking walking playing
man woman child children people dog cat horse bird elephant giraffe boy girl player skateboarder surfer street table
chair window building kitchen bathroom counter plate pizza sandwich bowl vegetables broccoli train station platform bus
car truck motorcycle bicycle traffic light sign stop parking meter bench park field grass trees mountain beach ocean
surfboard snowboard skis tennis racket baseball bat ball glove kite umbrella handbag suitcase laptop keyboard mouse
remote television clock vase flowers scissors teddy bear toothbrush red blue green yellow white black brown large small
several two three many colorful wooden old young crowded sunny cloudy beautiful reflecting parked painted decorated
displayed surrounded filled covered placed facing brightly quickly carefully various different together behind between
"""
_WORDS = _VOCABULARY.split()
_UNUSUAL = [
    "the man's", "isn't", "“stop”", '"exit"', "3.5", "$5.00", "(left)", "50%", "mr. smith", "o'clock", "t-shirt", "e.g."
]  # fmt: skip


def caption_groups(rng: random.Random) -> list[tuple[str, list[str]]]:
    """Return `GROUPS` references, each with the `GROUP_SIZE` captions that are scored against it."""
    groups: list[tuple[str, list[str]]] = []
    for _ in range(GROUPS):
        words = rng.choices(_WORDS, k=rng.randint(10, 30))
        groups.append((_written(words, rng), [_written(_edited(words, rng), rng) for _ in range(GROUP_SIZE)]))
    return groups


def _edited(words: list[str], rng: random.Random) -> list[str]:
    """Return a rewording of a caption: some words replaced, some dropped; one in eight is about something else."""
    if rng.random() < 1 / 8:
        return rng.choices(_WORDS, k=rng.randint(10, 30))
    kept = [word if rng.random() > 0.2 else rng.choice(_WORDS) for word in words if rng.random() > 0.1]
    if rng.random() < 0.2:
        kept.insert(rng.randrange(len(kept) + 1), rng.choice(_UNUSUAL))
    return kept


def _written(words: list[str], rng: random.Random) -> str:
    """Write words as a caption: one or two sentences, a comma now and then."""
    text = [word + "," if rng.random() < 0.05 else word for word in words]
    if rng.random() < 0.3:
        half = len(text) // 2
        text[half : half + 1] = [text[half].rstrip(",") + ".", "The image shows"]
    return " ".join(text).capitalize() + "."


def reference_way() -> Callable[[str, str], float]:
    """Return the paper's caption reward as its code computes it, on NLTK and rouge_score."""
    from nltk.tokenize.destructive import NLTKWordTokenizer
    from nltk.tokenize.punkt import PunktSentenceTokenizer
    from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
    from rouge_score.rouge_scorer import RougeScorer

    punkt = PunktSentenceTokenizer()
    punkt._params.abbrev_types = set(ABBREVIATIONS)
    punkt._params.ortho_context.update(dict.fromkeys(LOWER_CASE_STARTERS, 1 << 4))
    treebank = NLTKWordTokenizer()

    def tokens(text: str) -> list[str]:
        return [token for sentence in punkt.tokenize(text) for token in treebank.tokenize(sentence)]

    def score(predicted: str, reference: str) -> float:
        smoothing = SmoothingFunction().method1
        bleu = sentence_bleu([tokens(reference.lower())], tokens(predicted.lower()), smoothing_function=smoothing)
        rouge = RougeScorer(["rougeL"], use_stemmer=True).score(reference, predicted)["rougeL"].fmeasure
        return (bleu + rouge) / 2

    return score


def timed(score: Callable[[str, str], float], groups: list[tuple[str, list[str]]]) -> tuple[float, list[float]]:
    """Score every caption once; return the microseconds per caption and the scores."""
    start = time.perf_counter()
    scores = [score(predicted, reference) for reference, group in groups for predicted in group]
    return (time.perf_counter() - start) * 1e6 / len(scores), scores


def forget() -> None:
    """Empty the caches."""
    captions._prepared.cache_clear()
    KNOWN_STEMS.clear()


def main() -> None:
    """Print the table."""
    groups = caption_groups(random.Random(0))
    theirs_us, theirs = timed(reference_way(), groups)
    print(f"{GROUPS * GROUP_SIZE} captions in groups of {GROUP_SIZE}; reference way: {theirs_us:.0f} us per caption")
    print(f"{'ours':<34}{'us/caption':>12}{'ratio':>8}{'max |difference|':>18}")
    for name, paper in (("paper", True), ("strict", False)):

        def ours(predicted: str, reference: str, *, paper: bool = paper) -> float:
            return caption_score(predicted, reference, paper=paper)

        forget()
        cold_us, scores = timed(ours, groups)
        captions._prepared.cache_clear()
        stems_us = min(_after_forgetting_references(ours, groups) for _ in range(REPEATS))
        warm_us = min(timed(ours, groups)[0] for _ in range(REPEATS))
        worst = max(abs(ours - theirs) for ours, theirs in zip(scores, theirs, strict=True))
        for state, us in (("cold", cold_us), ("new references", stems_us), ("warm", warm_us)):
            print(f"{name + ', ' + state:<34}{us:>12.1f}{theirs_us / us:>8.1f}{worst:>18.1e}")


def _after_forgetting_references(score: Callable[[str, str], float], groups: list[tuple[str, list[str]]]) -> float:
    """Time a pass in which words are known and references are not, as from the second training step on."""
    captions._prepared.cache_clear()
    return timed(score, groups)[0]


if __name__ == "__main__":
    main()
