"""What is known of a run's samples before any edited picture is asked about: which are probed, of what, and why not."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from harness.probes.probed_text import ProbedQuestion, answer_in, asks_for_colour, keeps_format
from harness.probes.regions import pixel_boxes
from harness.probes.sample_scores import ProbeStatus
from harness.probes.variants import ProbedRegions, ProbePlan, Variant, planned
from harness.scoring.score import score_generation
from harness.values import Box, Record, ScoreConfig
from harness.vocabulary import PLACE_RULES

Key: TypeAlias = tuple[str, str]
"""Task and sample id."""


@dataclass(frozen=True, slots=True)
class BeforeAsking:
    """A sample of a run, with what is to be asked of it."""

    status: ProbeStatus
    """`ok`, or why it has no score."""
    is_format_ok: bool
    """Whether the run's text keeps to its format."""
    question: ProbedQuestion | None = None
    """What is asked; None where nothing can be."""
    variants: tuple[Variant, ...] = ()
    """Of which pictures."""


def before_asking(record: Record, config: ScoreConfig, plan: ProbePlan, others: Sequence[Box] = ()) -> BeforeAsking:
    """Return what is asked of a sample, or why nothing is.

    Args:
        record: What the run has of it.
        config: How the run's answers became scores.
        plan: What is asked of every sample.
        others: Objects of its picture that the question does not ask about, in pixels.
    """
    own, size = record.sample, record.sample.image_size
    found = score_generation(own, record.generation, config)
    answer = None if record.generation.error is not None else answer_in(found)
    is_format_ok = keeps_format(found)
    reasons: tuple[tuple[bool, ProbeStatus], ...] = (
        (bool(own.pictures), "several_pictures"),
        (size is None, "no_picture"),
        (own.answer_rule in PLACE_RULES, "answer_is_place"),
        (answer is None, "no_answer"),
    )
    status: ProbeStatus | None = next((status for holds, status in reasons if holds), None)
    if status is not None or size is None or answer is None:
        return BeforeAsking("no_answer" if status is None else status, is_format_ok)
    regions = ProbedRegions(
        pixel_boxes(record.score.boxes_image_px or (), size),
        pixel_boxes(own.boxes_image_px or (), size),
        pixel_boxes(others, size),
        asks_for_colour(own.question),
    )
    variants, has_controls = planned(plan, (own.task, own.id), regions, size)
    with_box: ProbeStatus = "ok" if has_controls else "control_impossible"
    question = ProbedQuestion(own, size, answer, regions.named)
    return BeforeAsking(with_box if regions.named else "no_box", is_format_ok, question, variants)


def drawn(keys: Sequence[Key], limit: int | None, seed: int) -> list[int]:
    """Return the places of so many samples in their order, the same for every run of the same data and seed.

    They are those with the least hash of seed, task and id: whoever compares two runs looks at the same ones.
    """
    if limit is None or limit >= len(keys):
        return list(range(len(keys)))

    def hashed(place: int) -> bytes:
        task, sample_id = keys[place]
        return hashlib.sha256(f"{seed}\0{task}\0{sample_id}".encode(errors="surrogatepass")).digest()

    return sorted(sorted(range(len(keys)), key=hashed)[:limit])
