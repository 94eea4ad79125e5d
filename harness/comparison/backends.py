"""Whether two backends ask one checkpoint alike: the same samples by both, held against each other one by one.

Pictures and prompt tokens have to be the same in every sample. Texts differ where two programs round otherwise and two
tokens are nearly as likely; what that does to scores is shown beside its noise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from harness.errors import IncompleteError
from harness.stats.paired import PairedDifference, paired_difference
from harness.values import Record

_NAMED = 3
"""Samples that are named where backends differ."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """In how many samples two backends agree about one thing."""

    what: str
    """What is compared."""
    same: int
    """Samples in which both have the same."""
    known: int
    """Samples in which both tell it."""
    differing: tuple[str, ...] = ()
    """The first few samples that differ: task and id."""

    @property
    def is_whole(self) -> bool:
        """Whether both tell it at all, and nowhere otherwise."""
        return 0 < self.known == self.same


@dataclass(frozen=True, slots=True)
class BackendComparison:
    """Two backends on the same samples."""

    backends: tuple[str, str]
    """Their names."""
    samples: int
    """Samples that both were asked."""
    unanswered: tuple[int, int]
    """Samples that each left unanswered."""
    pictures: Agreement
    """Size in pixels of each sample's picture as the model saw it."""
    prompt_tokens: Agreement
    """Number of prompt tokens, those of pictures included."""
    texts: Agreement
    """What was written."""
    scores: Agreement
    """What that earned."""
    difference: PairedDifference | None
    """Of the mean scores, with its noise; None where nothing was scored by both."""

    @property
    def asks_alike(self) -> bool:
        """Whether both were asked the same, everywhere, and both answered."""
        return self.pictures.is_whole and self.prompt_tokens.is_whole and not any(self.unanswered)

    @property
    def scores_alike(self) -> bool:
        """Whether the scores differ by no more than their noise."""
        found = self.difference
        if found is None or found.ci_low is None or found.ci_high is None:
            return found is None or found.delta == 0
        return found.ci_low <= 0 <= found.ci_high


def compare_records(
    backends: tuple[str, str], first: Iterable[Record], second: Iterable[Record], *, seed: int
) -> BackendComparison:
    """Hold two runs' records against each other.

    Raises:
        IncompleteError: they are not of the same samples.
    """
    ones, others = ({record.key: record for record in records} for records in (first, second))
    if ones.keys() != others.keys() or not ones:
        raise IncompleteError(
            f"{backends[0]} has {len(ones)} samples and {backends[1]} {len(others)}, of which "
            f"{len(ones.keys() & others.keys())} are the same: nothing can be compared"
        )
    pairs = [(ones[key], others[key]) for key in sorted(ones)]
    answered = [pair for pair in pairs if not any(record.generation.error for record in pair)]
    return BackendComparison(
        backends=backends,
        samples=len(pairs),
        unanswered=(_unanswered(ones), _unanswered(others)),
        pictures=_agreement("picture as the model saw it", answered, lambda record: record.generation.input_size),
        prompt_tokens=_agreement("prompt tokens", answered, lambda record: record.generation.input_tokens),
        texts=_agreement("texts", answered, lambda record: record.generation.text),
        scores=_agreement("scores", answered, lambda record: record.score.value),
        difference=_difference(pairs, seed),
    )


def _unanswered(records: Mapping[tuple[str, str, int], Record]) -> int:
    return sum(record.generation.error is not None for record in records.values())


def _agreement(what: str, pairs: list[tuple[Record, Record]], read: Callable[[Record], object]) -> Agreement:
    """Count the samples in which both say the same; what is None is not told."""
    told = [(a, read(a), read(b)) for a, b in pairs]
    known = [(record, one, other) for record, one, other in told if one is not None and other is not None]
    differing = [f"{record.sample.task} {record.sample.id}" for record, one, other in known if one != other]
    return Agreement(what, len(known) - len(differing), len(known), tuple(differing[:_NAMED]))


def _difference(pairs: list[tuple[Record, Record]], seed: int) -> PairedDifference | None:
    """Return the change of the mean score over the samples that both scored."""
    scored = [
        (a.score.value, b.score.value, f"{a.sample.task} {a.sample.cluster_id}")
        for a, b in pairs
        if a.score.value is not None and b.score.value is not None
    ]
    if not scored:
        return None
    ones, others, clusters = zip(*scored, strict=True)
    return paired_difference(np.array(ones), np.array(others), clusters, seed=seed)
