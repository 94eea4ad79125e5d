"""Which edited pictures a question is asked about again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

from harness.probes.fills import FILLS, Fill, Operation
from harness.probes.regions import PixelBox, control_boxes
from harness.values import Size

Target: TypeAlias = Literal["none", "named", "random", "gold", "gold_random", "other", "step", "step_random"]
"""Whose region it is: nobody's, the boxes that the text names, the k-th control of those, the gold boxes, the k-th
control of those, objects that the question does not ask about, those of one step, or the k-th control of those."""

RegionOperation: TypeAlias = Literal["remove", "keep", "turn", "paste"]
OPERATIONS: Final[tuple[RegionOperation, ...]] = get_args(RegionOperation)

DEFAULT_CONTROLS: Final = 3
MOST_CONTROLS: Final = 50
"""More cannot be asked for, nor be what a stored plan says."""
MOST_STEPS: Final = 12
"""A text with more steps is not probed step by step: each costs as much as the region that it names."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One edited picture."""

    operation: Operation
    """What is done."""
    target: Target = "none"
    """To whose region."""
    k: int = 0
    """Which control, from 1; 0 for what is none."""
    fill: Fill = "mean"
    """By which colour."""
    boxes_px: tuple[PixelBox, ...] = ()
    """The region."""
    source_px: tuple[PixelBox, ...] = ()
    """What is pasted into each box, of its shape."""
    step: int = 0
    """Whose step's it is, or controls for, from 1; 0 for what is no step's."""


@dataclass(frozen=True, slots=True)
class ProbePlan:
    """What is asked of every sample."""

    fills: tuple[Fill, ...] = FILLS
    """By which colours."""
    controls: int = DEFAULT_CONTROLS
    """Controls a region."""
    operations: tuple[RegionOperation, ...] = ("remove", "keep")
    """Remove tells what is necessary, keep what is sufficient, turn whether answers about colour follow a region, paste
    whether answers about what is there do."""
    gold: bool = False
    """Whether gold boxes are probed too, where there are any."""
    seed: int = 0
    """Of the controls."""
    steps: bool = False
    """Whether the region of each step is removed too, where texts have steps."""


@dataclass(frozen=True, slots=True)
class ProbedRegions:
    """The regions of one sample."""

    named: tuple[PixelBox, ...]
    """What its text names."""
    gold: tuple[PixelBox, ...] = ()
    """The gold boxes."""
    other: tuple[PixelBox, ...] = ()
    """What the question does not ask about."""
    is_asked_for_colour: bool = False
    """Whether the question is about colour: colours are turned for such questions alone."""
    source: tuple[PixelBox, ...] = ()
    """What is pasted into each named box, of its shape; empty where nothing is to be."""
    steps: tuple[tuple[PixelBox, ...], ...] = ()
    """What each step looks at; a step without a place has none."""


def planned(
    plan: ProbePlan, key: tuple[str, str], regions: ProbedRegions, size: Size
) -> tuple[tuple[Variant, ...], bool]:
    """Return what is asked of a sample, and whether its named region has all its controls.

    Without them there is no score: what remains is whether the question needs its picture at all.

    Args:
        plan: What is asked of every sample.
        key: Task and sample id, by which controls are drawn.
        regions: Its regions; those named may be none.
        size: Of its picture.
    """
    found = [Variant("repeat"), *(Variant("blank", fill=fill) for fill in plan.fills)]
    named = _controls(plan, key, "named", regions.named, size)
    if named is not None:
        found += _of_region(plan, "named", "random", regions.named, named)
        if "turn" in plan.operations and regions.is_asked_for_colour:
            found.append(Variant("turn", "named", boxes_px=regions.named))
            found += [Variant("turn", "random", k, boxes_px=boxes) for k, boxes in enumerate(named, start=1)]
        if "paste" in plan.operations and regions.source:
            found += [
                Variant("paste", "random" if k else "named", k, boxes_px=boxes, source_px=regions.source)
                for k, boxes in enumerate((regions.named, *named))
            ]
        if "remove" in plan.operations and regions.other:
            found += [Variant("remove", "other", 0, fill, regions.other) for fill in plan.fills]
    if plan.gold and regions.gold:
        gold = _controls(plan, key, "gold", regions.gold, size)
        if gold is not None:
            found += _of_region(plan, "gold", "gold_random", regions.gold, gold)
    if plan.steps and len(regions.steps) <= MOST_STEPS:
        found += _of_steps(plan, key, regions, size)
    return tuple(found), named is not None


def _of_steps(plan: ProbePlan, key: tuple[str, str], regions: ProbedRegions, size: Size) -> list[Variant]:
    """Return each step's region and its controls, removed; nothing of a step that has no place, or not all of them.

    A region that is named as well, or that an earlier step has, has that one's controls: it is asked once.
    """
    found: list[Variant] = []
    for step, region in enumerate(regions.steps, start=1):
        whose = "named" if region == regions.named else f"step{1 + regions.steps.index(region)}"
        controls = _controls(plan, key, whose, region, size)
        found += [
            Variant("remove", "step_random" if k else "step", k, fill, boxes, step=step)
            for fill in plan.fills
            for k, boxes in enumerate((region, *controls) if controls is not None else ())
        ]
    return found


def _controls(
    plan: ProbePlan, key: tuple[str, str], whose: str, region: tuple[PixelBox, ...], size: Size
) -> list[tuple[PixelBox, ...]] | None:
    """Return the controls of a region; None where there is no region, or no room for any of them."""
    if not region:
        return None
    drawn: list[tuple[PixelBox, ...]] = []
    for k in range(1, plan.controls + 1):
        boxes = control_boxes(region, size, f"{plan.seed}\0{whose}\0{key[0]}\0{key[1]}\0{k}")
        if boxes is None:
            return None
        drawn.append(boxes)
    return drawn


def _of_region(
    plan: ProbePlan,
    target: Target,
    control: Target,
    region: tuple[PixelBox, ...],
    controls: Sequence[tuple[PixelBox, ...]],
) -> list[Variant]:
    """Return a region and its controls, under each operation and fill."""
    return [
        variant
        for fill in plan.fills
        for operation in plan.operations
        if operation in ("remove", "keep")
        for variant in (
            Variant(operation, target, 0, fill, region),
            *(Variant(operation, control, k, fill, boxes) for k, boxes in enumerate(controls, start=1)),
        )
    ]
