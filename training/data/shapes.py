"""The training split of Shapes as examples, with right labels or with those of a weak annotator.

Rows are functions of their index and the seeds: the first 100 of 1,000 are the same as 100 asked for alone. No scene of
the benchmark split is among them, whatever the seeds (`tasks/shapes.py`).
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import cast

import numpy as np

from harness.errors import ConfigError, did_you_mean
from harness.values import Box, Size
from tasks.shapes import KINDS, PROFILES, Profile, ShapesExample, caption_of, generate, number_answers
from training.data.example import Example

LARGEST_CANVAS: Mapping[Profile, Size] = {"full": Size(448, 448), "tiny": Size(56, 56)}
"""The largest image of each profile, in pixels."""

_LISTED_TURNS = 16
"""Rows of a kind in which each of its answers comes up: answers take turns, and no kind has more of them."""


@dataclass(frozen=True, slots=True)
class LabelNoise:
    """A weak annotator: how often labels are wrong, and how.

    Careless: a wrong answer is another one from the list of its kind, a wrong coordinate is moved, and a wrong caption
    names another colour. Such mistakes average out, so a model taught with them is unsure but right at its most likely
    answer. Biased: a thing is overlooked, and caption, boxes, count and existence agree that it is not there. Such
    mistakes do not average out. Image and question stay right.
    """

    share: float = 0.3
    """Probability with which each answer, each box coordinate and each colour in a caption is wrong; in [0, 1]."""
    oversight: float = 0.0
    """Probability with which one thing of a scene with several is overlooked; in [0, 1]."""
    box_px: int = 4
    """How far a wrong coordinate is off, in pixels; its box stays inside the canvas and keeps an area."""
    seed: int = 0
    """Another seed makes other mistakes; 0 or more."""

    def __post_init__(self) -> None:
        if not (0 <= self.share <= 1 and 0 <= self.oversight <= 1) or self.box_px < 0 or self.seed < 0:
            raise ConfigError(
                f"label noise: share and oversight must be in [0, 1], box_px and seed 0 or more; found {self}"
            )


def shapes_profile(data: str) -> Profile | None:
    """Return the profile that data such as `shapes:tiny` name; None for a file.

    Raises:
        ConfigError: There is no such profile.
    """
    source, colon, profile = data.partition(":")
    if source != "shapes" or not colon:
        return None
    if profile not in PROFILES:
        known = ", ".join(PROFILES)
        raise ConfigError(f"data {data!r}: Shapes has the profiles {known}.{did_you_mean(profile, list(PROFILES))}")
    return cast("Profile", profile)


def shapes_examples(
    profile: Profile, n: int, seed: int = 0, *, noise: LabelNoise | None = None, kinds: Sequence[str] = ()
) -> Iterator[Example]:
    """Yield the first n rows of the training split.

    Args:
        profile: `full` or `tiny`.
        n: Number of rows, 0 or more.
        seed: 0 or more; another seed gives other rows.
        noise: How labels are spoilt; None leaves them right.
        kinds: Kinds of question to keep, in any order; none given means all of the profile.

    Raises:
        ConfigError: There is no such profile or kind, or a number is negative; raised at once, not at the first row.
    """
    if profile not in PROFILES:
        raise ConfigError(f"Shapes has no profile {profile!r}; choose one of {', '.join(PROFILES)}.")
    if n < 0 or seed < 0:
        raise ConfigError(f"rows and seed must be 0 or more; found {n} and {seed}.")
    known = KINDS[profile]
    for kind in kinds:
        if kind not in known:
            raise ConfigError(
                f"Shapes has no kind {kind!r} in the profile {profile}; it has {', '.join(known)}."
                f"{did_you_mean(kind, list(known))}"
            )
    wanted = frozenset(kinds) or frozenset(known)
    indices = (index for index in itertools.count() if known[index % len(known)] in wanted)
    return (_example(profile, index, seed, noise) for index in itertools.islice(indices, n))


def _example(profile: Profile, index: int, seed: int, noise: LabelNoise | None) -> Example:
    """Return one row."""
    row = generate(profile, "train", index, seed)
    image = row.png()
    example = Example(
        id=row.id,
        question=row.question,
        answers=row.answers,
        image=image,
        image_size=Size(row.width, row.height),
        image_sha256=hashlib.sha256(image).hexdigest(),
        caption=row.caption,
        boxes_image_px=tuple(map(_as_box, row.boxes_image_px)),
        kind=row.kind,
    )
    if noise is None or noise.share == noise.oversight == 0:
        return example
    seeds = np.random.SeedSequence([noise.seed, seed, PROFILES.index(profile), index])
    return _spoilt(example, row, profile, noise, np.random.Generator(np.random.PCG64(seeds)))


def _spoilt(
    example: Example, row: ShapesExample, profile: Profile, noise: LabelNoise, rng: np.random.Generator
) -> Example:
    """Return the example as the weak annotator labels it."""
    if noise.oversight and rng.random() < noise.oversight and len(row.scene.things) > 1:
        example = _overlooked(example, row, profile, int(rng.integers(len(row.scene.things))))
    answers = example.answers
    if rng.random() < noise.share:
        answers = _other(rng, _answers_of(profile, row.kind), answers)
    boxes = tuple(_moved(box, example.image_size, noise, rng) for box in example.boxes_image_px or ())
    caption = _recoloured(example.caption or "", _colours_of(profile), noise, rng)
    return replace(example, answers=answers, boxes_image_px=boxes, caption=caption)


def _overlooked(example: Example, row: ShapesExample, profile: Profile, place: int) -> Example:
    """Return the example as somebody labels it who does not see one of its things.

    A question that is about that thing alone keeps its labels, unless the answer is that there is no such thing.
    """
    lost = row.scene.things[place]
    seen = tuple(thing for thing in row.scene.things if thing is not lost)
    asked = set(row.boxes_image_px)
    left = asked - {lost.box_image_px}
    answers = example.answers
    if row.kind == "count" and lost.box_image_px in asked:
        answers = number_answers(len(left), profile)
    elif row.kind == "existence" and not left:
        answers, left = ("no",), {thing.box_image_px for thing in seen}
    elif not left:
        return example
    caption = caption_of(replace(row.scene, things=seen), places=profile == "full")
    boxes = tuple(_as_box(thing.box_image_px) for thing in seen if thing.box_image_px in left)
    return replace(example, answers=answers, caption=caption, boxes_image_px=boxes or example.boxes_image_px)


def _as_box(edges: tuple[int, int, int, int]) -> Box:
    """Return a drawn box as a value of the scorer."""
    x1, y1, x2, y2 = edges
    return (float(x1), float(y1), float(x2), float(y2))


def _other(rng: np.random.Generator, options: Sequence[tuple[str, ...]], right: tuple[str, ...]) -> tuple[str, ...]:
    """Draw a wrong answer."""
    wrong = [option for option in options if option[0] != right[0]]
    return wrong[int(rng.integers(len(wrong)))]


def _moved(box: Box, canvas: Size, noise: LabelNoise, rng: np.random.Generator) -> Box:
    """Return the box with each coordinate moved or not; the old box where nothing would be left of it."""
    limits = (canvas.width, canvas.height, canvas.width, canvas.height)
    edges: list[float] = []
    for edge, limit in zip(box, limits, strict=True):
        wrong, step = rng.random() < noise.share, noise.box_px if rng.random() < 0.5 else -noise.box_px
        moves = (edge + step, edge - step) if wrong else ()
        edges.append(next((moved for moved in moves if 0 <= moved <= limit), edge))
    x1, y1, x2, y2 = edges
    return (x1, y1, x2, y2) if x1 < x2 and y1 < y2 else box


def _recoloured(caption: str, colours: Sequence[str], noise: LabelNoise, rng: np.random.Generator) -> str:
    """Return the caption with each colour of a thing, and its article, replaced or not."""

    def replacement(found: re.Match[str]) -> str:
        article, colour = found[1], found[2]
        if rng.random() >= noise.share:
            return found[0]
        others = [other for other in colours if other != colour]
        chosen = others[int(rng.integers(len(others)))]
        return f"{article[0]}{'n' if chosen[0] in 'aeiou' else ''} {chosen}"

    return re.sub(rf"\b([Aa]n?) ({'|'.join(colours)})\b", replacement, caption)


@lru_cache(maxsize=32)
def _answers_of(profile: Profile, kind: str) -> tuple[tuple[str, ...], ...]:
    """Return the accepted answers of a kind, each with its other ways to write it."""
    place, kinds = KINDS[profile].index(kind), len(KINDS[profile])
    rows = (generate(profile, "train", place + turn * kinds) for turn in range(_LISTED_TURNS))
    return tuple({row.answers[0]: row.answers for row in rows}.values())


@lru_cache(maxsize=8)
def _colours_of(profile: Profile) -> tuple[str, ...]:
    """Return the colours of things, in the order in which colour questions ask for them."""
    return tuple(answers[0] for answers in _answers_of(profile, "colour"))
