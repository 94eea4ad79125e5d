"""Tell whether a protocol has a rule of its own for a sample; what it has none for is scored as under `strict`."""

from __future__ import annotations

from harness.scoring.answers.check import reads_answers_itself
from harness.scoring.places_peers import reads_places_itself
from harness.values import Protocol, Sample
from harness.vocabulary import PLACE_RULES


def has_own_rule(sample: Sample, protocol: Protocol) -> bool:
    """Return whether a protocol reads the answer to a sample by a rule of its own; `strict` always does."""
    if protocol == "strict":
        return True
    reads_itself = reads_places_itself if sample.answer_rule in PLACE_RULES else reads_answers_itself
    return reads_itself(sample, protocol)
