"""Say what a benchmark's headline is worth to somebody who sees nothing: by chance, and by always saying the same.

Both follow from the data alone and are aggregated as the benchmark itself is, so that a score can be read beside them:
an MMBench question counts only when chance is right in every pass, MME's points reward pairs, POPE's F1 what is found.

- *Chance*: every question with options is answered by one of them at random, yes or no by a coin; a question without
  options is never met by chance. Where the headline is a plain mean this is an expectation, else the mean over
  `DRAWS` invented runs.
- *Majority*: every question is answered with the answer that is right most often. Ties go to the one that scores best.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.scoring.answers.check import check_answer
from harness.stats.intervals import CodeArray, FloatArray
from harness.summary.clusters import SCORED_COLUMNS
from harness.summary.counted_units import earned_of, said_of
from harness.summary.measures import RATES, Measure
from harness.summary.summary_values import Baseline
from harness.values import AnswerRule, Sample
from harness.vocabulary import PLACE_RULES

DRAWS = 100
"""Invented runs behind the chance level of a headline that is no plain mean."""

MOST_TIED = 8
"""So many answers that are right equally often are tried; the rest earn the same or nearly so."""

_CLOSED: frozenset[AnswerRule] = frozenset({"choice", "yes_no"})
"""Rules under which an answer is one of a few words, right or wrong."""

_NO_PLACE = "a place is part of the benchmark's own score, and nothing here guesses places"
_FREE = "the questions have no options: chance answers none of them"
_NO_OPTIONS = "some rows with options do not say which"
_NO_GOLD = "no row has an accepted answer"
_ALL_DIFFERENT = "no answer is right more than once"


@dataclass(frozen=True, slots=True)
class Golds:
    """The gold of a task's samples: equal gold once, however many samples have it."""

    different: tuple[Sample, ...]
    """One sample of each, without its texts."""
    codes: CodeArray
    """Each sample's place among those; -1 for a sample without gold."""
    placed: bool
    """Whether a place is the answer to any of them."""

    def spread(self, worths: Sequence[float]) -> FloatArray:
        """Return for each sample what its gold is worth; NaN for those without."""
        return np.array([*worths, np.nan], dtype=np.float64)[self.codes]


class GoldCounter:
    """Takes samples one by one and keeps what is right once, however often it is."""

    def __init__(self) -> None:
        """Begin with no samples."""
        self._codes = array("q")
        self._places: dict[object, int] = {}
        self._different: list[Sample] = []
        self._placed = False

    def add(self, sample: Sample) -> None:
        """Take one sample."""
        self._placed = self._placed or sample.answer_rule in PLACE_RULES
        if not sample.answers:
            self._codes.append(-1)
            return
        key = _gold_of(sample)
        code = self._places.get(key)
        if code is None:
            code = self._places[key] = len(self._different)
            self._different.append(_without_texts(sample))
        self._codes.append(code)

    def result(self, order: CodeArray) -> Golds:
        """Return the golds of the samples, these in the given order."""
        return Golds(tuple(self._different), np.array(self._codes, dtype=np.int64)[order], self._placed)


def baselines_of(golds: Golds, measure: Measure, *, seed: int = 0) -> dict[str, Baseline]:
    """Return `chance` and `majority` of a task's headline.

    Args:
        golds: What is right for all samples of the task, in an order that follows from them alone; those without an
            accepted answer count in nothing.
        measure: The headline, made of these samples.
        seed: Fixes the draws.
    """
    placed = measure.metric.earned == "answer_and_place" or golds.placed
    reason = _NO_PLACE if placed else None if golds.different else _NO_GOLD
    if reason is not None:
        return dict.fromkeys(("chance", "majority"), Baseline(None, 0, reason=reason))
    return {"chance": _chance(golds, measure, seed), "majority": _majority(golds, measure)}


def _gold_of(sample: Sample) -> object:
    """Return everything that decides what an answer is worth."""
    if sample.answer_rule in _CLOSED:
        return sample.answer_rule, sample.answers, tuple(sample.choices)
    if not sample.extra:
        return sample.answer_rule, sample.answers, tuple(sample.choices.items())
    official = tuple([str(sample.extra[name]) for name in SCORED_COLUMNS if name in sample.extra])
    return sample.answer_rule, sample.answers, tuple(sample.choices.items()), official


def _without_texts(sample: Sample) -> Sample:
    """Return the sample with only what decides what an answer is worth."""
    return Sample(
        id=sample.id,
        task=sample.task,
        answer_rule=sample.answer_rule,
        category=sample.category,
        answers=sample.answers,
        choices=sample.choices,
        extra=sample.extra,
    )


def _chance(golds: Golds, measure: Measure, seed: int) -> Baseline:
    likely = golds.spread([_chance_of(sample) for sample in golds.different])
    there = golds.codes >= 0
    if np.isnan(likely[there]).any():
        return Baseline(None, 0, reason=_NO_OPTIONS)
    if not likely[there].any():
        return Baseline(None, 0, reason=_FREE)
    if _is_plain_mean(measure):
        return _given(measure, likely, likely)
    yes = golds.spread([said_of(_yes_or_no(sample)) for sample in golds.different])
    rng = np.random.default_rng(seed)
    drawn: list[float] = []
    found = Baseline(None, 0)
    for _ in range(DRAWS):
        right = np.where(there, rng.random(len(likely)) < likely, np.nan)
        found = _given(measure, right, np.where(right > 0, yes, 1 - yes))
        drawn += [] if found.value is None else [found.value]
    return Baseline(float(np.mean(drawn)) if drawn else None, found.n, reason=found.reason)


def _is_plain_mean(measure: Measure) -> bool:
    """Return whether the headline's expectation is the headline of the expectations."""
    alone = measure.units.kind in {"sample", "sample_in_category"}
    return alone and measure.metric.combine not in RATES and measure.metric.earned == "answer"


def _chance_of(sample: Sample) -> float:
    """Return how likely one of the options at random is right; NaN where a row has options and does not say them."""
    if sample.answer_rule == "yes_no":
        return 0.5
    if sample.choices:
        right = {answer.strip().upper() for answer in sample.answers or ()} & {one.upper() for one in sample.choices}
        return max(1, len(right)) / len(sample.choices)
    return float("nan") if sample.answer_rule == "choice" else 0.0


def _majority(golds: Golds, measure: Measure) -> Baseline:
    """Return what the answer earns that is right most often."""
    times = np.bincount(golds.codes[golds.codes >= 0])
    counts: Counter[str] = Counter()
    for sample, count in zip(golds.different, times.tolist(), strict=True):
        counts.update(dict.fromkeys(_accepted(sample), count))
    most = max(counts.values())
    if most == 1 and times.sum() > 1:
        return Baseline(None, 0, reason=_ALL_DIFFERENT)
    tied = sorted(answer for answer, count in counts.items() if count == most)[:MOST_TIED]
    tried = [_always(golds, measure, answer) for answer in tied]
    return max(tried, key=lambda found: -1.0 if found.value is None else found.value)


def _always(golds: Golds, measure: Measure, answer: str) -> Baseline:
    """Return the headline of answering every question alike, by the rules of `strict`."""
    values = golds.spread([_worth(sample, answer) for sample in golds.different])
    found = _given(measure, values, np.where(np.isnan(values), np.nan, said_of(answer)))
    return Baseline(found.value, found.n, answer, found.reason)


def _worth(sample: Sample, answer: str) -> float:
    if sample.answer_rule in _CLOSED:
        return float(answer in _accepted(sample))
    return check_answer(sample, answer, "strict").value or 0.0


def _accepted(sample: Sample) -> frozenset[str]:
    """Return the accepted answers as they are counted: letters, and yes or no, alike in any case."""
    answers = [answer.strip() for answer in sample.answers or ()]
    if sample.answer_rule == "choice":
        answers = [answer.upper() for answer in answers]
    elif sample.answer_rule == "yes_no":
        answers = [answer.rstrip(".").capitalize() for answer in answers]
    return frozenset(answers)


def _yes_or_no(sample: Sample) -> str:
    return min(_accepted(sample)) if sample.answer_rule == "yes_no" else ""


def _given(measure: Measure, values: FloatArray, said: FloatArray) -> Baseline:
    """Return the headline of what every sample is worth and said; NaN for samples that count in nothing."""
    nowhere = np.full(len(values), np.nan)
    earned = measure.units.values(earned_of(measure.metric.earned, values, nowhere, said))
    scored = measure.scored(earned)
    if (reason := measure.missing(scored)) is not None:
        return Baseline(None, 0, reason=reason)
    return Baseline(measure.value(earned[scored], scored), measure.size(scored))
