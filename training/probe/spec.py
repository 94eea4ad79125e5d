"""What a variance probe is asked to do, checked as far as possible before anything is loaded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from harness.errors import ConfigError, did_you_mean
from harness.models.device_options import device_option_faults
from harness.scoring.formats import has_places
from harness.scoring.stages import may_leave_out
from harness.values import BoxFrame, StageFormat
from harness.values import Protocol as ScoreProtocol
from training.probe.covariance import FEWEST_PROMPTS, FEWEST_RESAMPLES, RESAMPLES, ScaleRewards

LossType: TypeAlias = Literal["grpo", "dapo"]
"""`grpo`: each completion's log-probability is divided by its own length, as SATORI's code and TRL's `loss_type=grpo`
do. `dapo`: by the mean length of all completions, so that every token weighs the same."""

COMPONENTS = ("format", "caption", "bbox", "answer")
"""The four rewards."""
BASELINE = "answer"
"""The reward set that the others are compared with."""
ALL = "all"
"""Short for all four."""
GROUNDED_SETS = ("answer", "answer+format", "answer+bbox", "answer+caption", ALL)
"""What is compared by default in a format with caption and boxes."""
CLAIMED_CHANGE = -0.27
"""What SATORI's paper reports of policy-gradient variance, against answer-only training in free form."""
ENOUGH_PROMPTS = 250
"""With fewer prompts the signal of a trained model is usually lost in the noise."""
DEFAULT_COORDINATES = 20_000
"""Gradient coordinates that are kept of each prompt."""


@dataclass(frozen=True, slots=True)
class ProbeSpec:
    """What a probe is asked to do."""

    checkpoint: str
    """Checkpoint folder, hub id or adapter folder."""
    data: str = "shapes:tiny"
    """A parquet file of training examples, or `shapes:PROFILE` for the training split of Shapes."""
    prompts: int = ENOUGH_PROMPTS
    """M, all with different images."""
    generations: int = 8
    """G, completions a prompt; at least 2."""
    temperature: float = 1.0
    """Of sampling; above 0."""
    max_new_tokens: int = 512
    """Token budget of a completion."""
    form: StageFormat = "satori"
    """Format of prompts and answers."""
    protocol: ScoreProtocol = "strict"
    """How completions are scored: `strict` or `paper`."""
    box_frame: BoxFrame | None = None
    """Frame of the written boxes; None takes the model family's."""
    min_pixels: int | None = None
    """Replaces the checkpoint's lower pixel limit."""
    max_pixels: int | None = None
    """Replaces the checkpoint's upper pixel limit."""
    reward_sets: tuple[str, ...] = ()
    """Reward sets such as `answer+bbox`; none given takes the format's usual ones. The baseline is always one."""
    scale_rewards: ScaleRewards = "group"
    """How advantages are scaled."""
    loss_type: LossType = "grpo"
    """How lengths count."""
    coordinates: int = DEFAULT_COORDINATES
    """Gradient coordinates that are kept."""
    resamples: int = RESAMPLES
    """Bootstrap draws."""
    seed: int = 0
    """Of the choice of prompts and coordinates, of sampling, and of the bootstrap."""
    batch_size: int | Literal["auto"] = "auto"
    """Completions that are sampled at once."""
    device: str = "auto"
    """Where to compute."""
    dtype: str = "auto"
    """Number format of the model."""
    out: Path | None = None
    """Folder for `probe.json` and `rollouts.jsonl`; None writes nothing."""


def parse_reward_sets(texts: Sequence[str], form: StageFormat) -> dict[str, tuple[str, ...]]:
    """Read reward sets such as `answer+bbox` or `all`; the baseline comes first, whether it was named or not.

    Args:
        texts: Names of components joined by `+`, in any order; none given means the usual ones of the format.
        form: Formats without caption and boxes have no rewards for them, and `plain` has none for its format either.

    Raises:
        ConfigError: a component is unknown or repeated, a set is repeated, or the format has no such reward.
    """
    known, usual = _rewards_of(form)
    sets: dict[str, tuple[str, ...]] = {BASELINE: (BASELINE,)}
    faults: list[str] = []
    for text in texts or usual:
        names = known if text == ALL else tuple(part.strip() for part in text.split("+"))
        for name in names:
            if name not in COMPONENTS:
                faults.append(f"unknown reward {name!r} in {text!r}.{did_you_mean(name, [*COMPONENTS, ALL])}")
            elif name not in known:
                faults.append(f"{text!r}: the format {form} has no {name} reward; leave it out")
        if len(set(names)) < len(names):
            faults.append(f"{text!r} names a reward twice")
        sets[text] = tuple(name for name in COMPONENTS if name in names)
    if len(set(sets.values())) < len(sets):
        faults.append("two reward sets are the same")
    if faults:
        raise ConfigError("--reward-sets: " + "; ".join(faults))
    return sets


def _rewards_of(form: StageFormat) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the rewards that a format has, and the reward sets that are usually compared in it."""
    if has_places(form) and not may_leave_out(form):  # a stage that was left out has no reward
        return COMPONENTS, GROUNDED_SETS
    return (("answer",), (BASELINE,)) if form == "plain" else (("format", "answer"), (BASELINE, "answer+format"))


def check_probe(spec: ProbeSpec) -> None:
    """Raise ConfigError with everything that is wrong with the specification."""
    rules = {
        f"--prompts {spec.prompts}: at least {FEWEST_PROMPTS} are needed and {ENOUGH_PROMPTS} advised: with fewer, the "
        "mean gradient is all noise, and its ratio a number without meaning": spec.prompts >= FEWEST_PROMPTS,
        f"--generations {spec.generations}: a group of one has no spread; give at least 2": spec.generations >= 2,
        f"--temperature {spec.temperature}: must be above 0; greedy completions are all alike": (
            math.isfinite(spec.temperature) and spec.temperature > 0
        ),
        f"--max-new-tokens {spec.max_new_tokens}: must be at least 1": spec.max_new_tokens >= 1,
        f"--coordinates {spec.coordinates}: must be at least 1": spec.coordinates >= 1,
        f"--resamples {spec.resamples}: an interval needs at least {FEWEST_RESAMPLES}": (
            spec.resamples >= FEWEST_RESAMPLES
        ),
        f"--protocol {spec.protocol}: rewards are scored as strict or paper": spec.protocol in ("strict", "paper"),
        f"--out {spec.out}: holds a finished probe; name another folder or delete it": (
            spec.out is None or not (spec.out / "probe.json").exists()
        ),
    }
    broken = [rule for rule, kept in rules.items() if not kept]
    broken += device_option_faults(spec.device, spec.dtype, spec.batch_size)
    if broken:
        raise ConfigError("; ".join(broken))
