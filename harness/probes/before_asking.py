"""What is known of a run's samples before any edited picture is asked about: which are probed, of what, and why not."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from harness.probes.probed_text import ProbedQuestion, answer_in, asks_for_colour, keeps_format, says
from harness.probes.regions import PixelBox, pixel_boxes
from harness.probes.sample_scores import PasteStatus, ProbeStatus
from harness.probes.variants import ProbedRegions, ProbePlan, Variant, planned
from harness.scoring.score import score_generation
from harness.values import Box, Record, Sample, ScoreConfig, Size
from harness.vocabulary import PLACE_RULES

Key: TypeAlias = tuple[str, str]
"""Task and sample id."""


@dataclass(frozen=True, slots=True)
class Paste:
    """What is pasted into a region."""

    source: tuple[PixelBox, ...]
    """A region for each of its boxes, of that one's shape."""
    expected: tuple[str, ...] = ()
    """Accepted answers to it; empty where they are not known."""


@dataclass(frozen=True, slots=True)
class PastedInto:
    """The region that something is to be pasted into."""

    named: tuple[PixelBox, ...]
    """What the text names."""
    gold: tuple[PixelBox, ...]
    """The gold boxes: nothing of them is pasted."""
    size: Size
    """Of the picture."""
    answer: str
    """The run's answer, as it is compared."""
    says: Callable[[tuple[str, ...]], bool]
    """Whether the run's answer is one of these: what answers alike changes nothing."""
    drawn_by: str
    """What alone the draw depends on."""


PasteFor: TypeAlias = Callable[[Sample, PastedInto], Paste | PasteStatus]
"""Chooses what is pasted into a sample's region, or says why nothing is; what a picture shows its benchmark knows."""


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
    paste: PasteStatus | None = None
    """The same of what is pasted; None where that is not asked."""
    last_step: int = 0
    """Number of the last step of its text that has a place; 0 where none has, or steps are not asked of."""


def before_asking(
    record: Record,
    config: ScoreConfig,
    plan: ProbePlan,
    others: Sequence[Box] = (),
    paste_for: PasteFor | None = None,
) -> BeforeAsking:
    """Return what is asked of a sample, or why nothing is.

    Args:
        record: What the run has of it.
        config: How the run's answers became scores.
        plan: What is asked of every sample.
        others: Objects of its picture that the question does not ask about, in pixels.
        paste_for: Chooses what is pasted, where the plan asks for that.
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
        why: ProbeStatus = "no_answer" if status is None else status
        return BeforeAsking(why, is_format_ok, paste=why if "paste" in plan.operations else None)
    # boxes and steps as the answer is read, by the scorer of today: of an older run the stored ones may be others
    named = pixel_boxes(found.boxes_image_px or (), size)
    gold = pixel_boxes(own.boxes_image_px or (), size)
    paste: Paste | PasteStatus | None = None
    if "paste" in plan.operations and paste_for is not None:
        drawn_by = f"{plan.seed}\0paste\0{own.task}\0{own.id}"
        into = PastedInto(
            named, gold, size, answer, lambda answers: says(own, answers, record.generation, config), drawn_by
        )
        paste = paste_for(own, into)
    steps = tuple(pixel_boxes(step.boxes_image_px, size) for step in found.steps) if plan.steps else ()
    source, expected = (paste.source, paste.expected) if isinstance(paste, Paste) else ((), ())
    regions = ProbedRegions(named, gold, pixel_boxes(others, size), asks_for_colour(own.question), source, steps)
    variants, has_controls = planned(plan, (own.task, own.id), regions, size)
    with_box: Literal["ok", "control_impossible"] = "ok" if has_controls else "control_impossible"
    return BeforeAsking(
        with_box if named else "no_box",
        is_format_ok,
        ProbedQuestion(own, size, answer, named, expected),
        variants,
        with_box if isinstance(paste, Paste) else paste,
        max((number for number, region in enumerate(steps, start=1) if region), default=0),
    )


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
