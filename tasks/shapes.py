"""Shapes: a deterministic generator of grounded questions about coloured shapes on a canvas.

Two profiles. `full`: canvases of 211 to 448 pixels, two to six shapes, six kinds of question. `tiny`: 56 x 56 pixels
(four 28-pixel cells), one or two shapes, coordinates in multiples of 4, three kinds of question that a model of two
million parameters can learn on a CPU.

A row is a function of profile, split, seed and index alone. Which split a scene belongs to is decided by the hash of
the scene, so that a benchmark scene can't occur in the training split, whatever the seeds. Answers are balanced by
the index: every kind comes equally often, and within it every answer of its list. Gold boxes are x1, y1, x2, y2 in
pixels with x2 and y2 exclusive, exact to the drawn shape, and mark what one must look at: for "is there a...?" that
is the shape itself, or every shape where the answer is no.

No edge is smoothed, so that the pixels are the same everywhere.

To write a file that plain lmms-eval can read:
`write_parquet(Path("shapes.parquet"), split="benchmark", n=1000, seed=0, profile="full")`.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    import pyarrow as pa

Profile: TypeAlias = Literal["full", "tiny"]
"""How large and how hard."""

Split: TypeAlias = Literal["train", "benchmark"]
"""The two disjoint halves."""

PROFILES: tuple[Profile, ...] = get_args(Profile)
SPLITS: tuple[Split, ...] = get_args(Split)
GENERATOR_VERSION = 1
"""Raised whenever the same arguments can give another row."""
BENCHMARK_ROWS = 1000
"""Rows of the benchmark split."""
BENCHMARK_SEED = 0
"""Seed of the benchmark split."""
BENCHMARK_SHARE = 4
"""One scene in this many belongs to the benchmark split."""

KINDS: Mapping[Profile, tuple[str, ...]] = {
    "full": ("colour", "count", "existence", "position", "comparison", "relation"),
    "tiny": ("colour", "count", "existence"),
}
"""Question kinds of a profile; row i asks kind i modulo their number."""

_BLANK_COLOURS: Mapping[str, tuple[int, int, int]] = {
    "white": (255, 255, 255),
    "gray": (214, 214, 214),
    "beige": (245, 235, 214),
}
_COLOURS: Mapping[str, tuple[int, int, int]] = {
    "red": (220, 20, 30),
    "green": (20, 150, 50),
    "blue": (30, 60, 220),
    "yellow": (250, 215, 0),
    "purple": (130, 40, 160),
    "orange": (255, 130, 0),
    "pink": (255, 130, 190),
    "black": (15, 15, 15),
}
_PALETTE = tuple({**_BLANK_COLOURS, **_COLOURS})
_PALETTE_BYTES = [channel for colour in {**_BLANK_COLOURS, **_COLOURS}.values() for channel in colour]
_TINY_COLOURS = ("red", "green", "blue", "yellow")
_SHAPES = ("circle", "square", "triangle", "cross")
_TINY_SHAPES = ("circle", "square", "triangle")
_NUMBER_WORDS = ("zero", "one", "two", "three", "four", "five", "six")
_PLACES = (
    "top left",
    "top center",
    "top right",
    "middle left",
    "center",
    "middle right",
    "bottom left",
    "bottom center",
    "bottom right",
)
_CORNERS = (0, 2, 6, 8)
_OTHER_NAMES: Mapping[str, tuple[str, ...]] = {"purple": ("violet",)}
_GRID = 3
_OFF_GRID_PX = 13
_TINY_CANVAS = 56
_TINY_CELL = 28
_TINY_STEP = 4
_IMAGE_ROWS_PER_GROUP = 100


@dataclass(frozen=True, slots=True)
class Thing:
    """One drawn shape."""

    shape: str
    """circle, square, triangle or cross."""
    colour: str
    """Colour name."""
    x1: int
    """Left edge in pixels."""
    y1: int
    """Upper edge in pixels."""
    side: int
    """Width and height in pixels."""
    cell: int
    """Grid cell that it stands in, in reading order."""

    @property
    def name(self) -> str:
        """Colour and shape."""
        return f"{self.colour} {self.shape}"

    @property
    def box_image_px(self) -> tuple[int, int, int, int]:
        """x1, y1, x2, y2, the latter exclusive."""
        return (self.x1, self.y1, self.x1 + self.side, self.y1 + self.side)


@dataclass(frozen=True, slots=True)
class Scene:
    """A canvas with its shapes, in reading order."""

    width: int
    """Pixels across."""
    height: int
    """Pixels down."""
    background: str
    """Colour name of the canvas."""
    things: tuple[Thing, ...]
    """The shapes, by grid cell."""

    @property
    def sha256(self) -> str:
        """Hex digest of what is drawn; equal scenes have equal digests."""
        things = sorted((thing.shape, thing.colour, *thing.box_image_px) for thing in self.things)
        text = json.dumps([self.width, self.height, self.background, things], separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a scene with its gold."""

    text: str
    """The question."""
    answers: tuple[str, ...]
    """Accepted answers, the usual one first."""
    things: tuple[Thing, ...]
    """What one must look at."""


@dataclass(frozen=True, slots=True)
class ShapesExample:
    """One row."""

    id: str
    """Unique within profile, split and seed."""
    kind: str
    """Kind of question."""
    question: str
    """The question."""
    answers: tuple[str, ...]
    """Accepted answers, the usual one first."""
    caption: str
    """One sentence that describes the scene."""
    boxes_image_px: tuple[tuple[int, int, int, int], ...]
    """Gold boxes: x1, y1, x2, y2 in pixels, the latter two exclusive."""
    scene: Scene
    """What is drawn."""

    @property
    def width(self) -> int:
        """Pixels across."""
        return self.scene.width

    @property
    def height(self) -> int:
        """Pixels down."""
        return self.scene.height

    def png(self) -> bytes:
        """Draw the scene as a PNG file."""
        return draw(self.scene)

    def cells(self) -> dict[str, Any]:
        """Return the columns of the row but its image."""
        return {
            "id": self.id,
            "question": self.question,
            "kind": self.kind,
            "answers": list(self.answers),
            "caption": self.caption,
            "boxes": [list(box) for box in self.boxes_image_px],
            "width": self.width,
            "height": self.height,
            "scene": self.scene.sha256,
        }


def generate(profile: Profile, split: Split, index: int, seed: int = 0) -> ShapesExample:
    """Return the row at an index of a split.

    Args:
        profile: `full` or `tiny`.
        split: `train` or `benchmark`; no scene is in both, whatever the seeds.
        index: 0 or more; rows are independent of each other.
        seed: 0 or more; another seed gives other rows.

    Raises:
        ValueError: An argument is none of these.
    """
    if profile not in PROFILES or split not in SPLITS or index < 0 or seed < 0:
        raise ValueError(
            f"no such row: profile {profile!r} ({', '.join(PROFILES)}), split {split!r} ({', '.join(SPLITS)}), "
            f"index {index} and seed {seed} (0 or more)"
        )
    kinds = KINDS[profile]
    kind, turn = kinds[index % len(kinds)], index // len(kinds)
    rng = np.random.Generator(
        np.random.PCG64(np.random.SeedSequence([seed, PROFILES.index(profile), SPLITS.index(split), index]))
    )
    ask = _MAKERS[profile, kind]
    while True:
        scene, question = ask(rng, turn)
        if split_of(scene) == split:
            break
    return ShapesExample(
        id=f"shapes-{profile}-{split}-{seed}-{index:06d}",
        kind=kind,
        question=question.text,
        answers=question.answers,
        caption=caption_of(scene, places=profile == "full"),
        boxes_image_px=tuple(thing.box_image_px for thing in question.things),
        scene=scene,
    )


def split_of(scene: Scene) -> Split:
    """Return the split that a scene belongs to, by its hash."""
    return split_of_digest(scene.sha256)


def split_of_digest(scene_sha256: str) -> Split:
    """Return the split that a scene belongs to, given its hash as the column `scene` holds it."""
    return "benchmark" if int(scene_sha256[:8], 16) % BENCHMARK_SHARE == 0 else "train"


def examples(profile: Profile, split: Split, n: int, seed: int = 0) -> Iterator[ShapesExample]:
    """Yield the first n rows of a split."""
    return (generate(profile, split, index, seed) for index in range(n))


def write_parquet(path: Path, split: Split, n: int, seed: int = 0, profile: Profile = "full") -> None:
    """Write the first n rows of a split as parquet, in the hub's layout; the same arguments give the same bytes.

    Raises:
        ValueError: n is below 1, or an argument of `generate` is wrong.
    """
    import pyarrow as pa  # noqa: PLC0415 - heavy; drawing and scoring need none of it
    import pyarrow.parquet as pq  # noqa: PLC0415 - see above

    if n < 1:
        raise ValueError(f"a data file needs at least one row, asked for {n}")
    schema = _schema()
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for first in range(0, n, _IMAGE_ROWS_PER_GROUP):
            last = min(n, first + _IMAGE_ROWS_PER_GROUP)
            rows = [_row(generate(profile, split, index, seed)) for index in range(first, last)]
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))


def draw(scene: Scene) -> bytes:
    """Draw a scene as a PNG file with a palette."""
    pixels = np.full((scene.height, scene.width), _PALETTE.index(scene.background), dtype=np.uint8)
    for thing in scene.things:
        x1, y1, x2, y2 = thing.box_image_px
        pixels[y1:y2, x1:x2][_mask(thing.shape, thing.side)] = _PALETTE.index(thing.colour)
    buffer = io.BytesIO()
    _paletted(pixels).save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()


def _paletted(pixels: np.ndarray) -> Image.Image:
    """Make a palette image of colour numbers."""
    image = Image.frombytes("P", (pixels.shape[1], pixels.shape[0]), pixels.tobytes())
    image.putpalette(_PALETTE_BYTES)
    return image


@lru_cache(maxsize=1024)
def _mask(shape: str, side: int) -> np.ndarray:
    """Return which pixels of a square of this side the shape covers; it touches all four edges.

    Whole numbers only: twice the distance of a pixel's middle from the middle of the square.
    """
    place = 2 * np.arange(side) + 1 - side
    across, down = np.meshgrid(np.abs(place), place)
    if shape == "square":
        return np.ones((side, side), dtype=bool)
    if shape == "circle":
        return across**2 + down**2 <= side**2
    if shape == "triangle":  # its tip above, its base below
        return 2 * across <= down + side + 1
    arm = max(2, side // 3)
    return (across < arm) | (np.abs(down) < arm)


# --- what is in a scene ---------------------------------------------------------------------------------------------

_Looks: TypeAlias = tuple[str, str]
"""Shape and colour."""
_Maker: TypeAlias = Callable[[np.random.Generator, int], tuple[Scene, Question]]
"""Makes a scene and its question; the number (how often the kind came before) picks the answer."""


def _pick(rng: np.random.Generator, options: Sequence[str]) -> str:
    """Draw one."""
    return options[int(rng.integers(len(options)))]


def _looks(
    rng: np.random.Generator, count: int, allowed: Callable[[_Looks], bool], *, tiny: bool = False
) -> list[_Looks]:
    """Draw shape and colour of some things, no pair twice, from those allowed."""
    shapes, colours = (_TINY_SHAPES, _TINY_COLOURS) if tiny else (_SHAPES, tuple(_COLOURS))
    pool = [(shape, colour) for shape in shapes for colour in colours if allowed((shape, colour))]
    chosen = rng.permutation(len(pool))[:count]
    return [pool[int(place)] for place in chosen]


def _scene(
    rng: np.random.Generator, looks: Sequence[_Looks], cells: Sequence[int] | None = None, scale: Sequence[float] = ()
) -> tuple[Scene, list[Thing]]:
    """Place things on a full canvas, one a grid cell; the list keeps the order of `looks`.

    `cells` fixes the cells of the first things, `scale` their side as a share of the cell.
    """
    columns, rows = (int(n) for n in rng.integers(8, 17, size=2))
    # every other canvas is off the grid of Qwen2-VL, so that pixels of the canvas can be told from those of the
    # image that such a model sees
    off = _OFF_GRID_PX * ((columns + rows) % 2)
    width, height = 28 * columns - off, 28 * rows - off
    taken = list(cells or ())
    free = [cell for cell in map(int, rng.permutation(_GRID * _GRID)) if cell not in taken]
    taken.extend(free[: len(looks) - len(taken)])
    cell_width, cell_height = width // _GRID, height // _GRID
    room = min(cell_width, cell_height)
    things: list[Thing] = []
    for place, (shape, colour) in enumerate(looks):
        share = scale[place] if place < len(scale) else 0.35 + 0.55 * float(rng.random())
        side = max(12, int(room * share))
        column, row = taken[place] % _GRID, taken[place] // _GRID
        # one free pixel on every side keeps neighbours apart
        x1 = column * cell_width + 1 + int(rng.integers(cell_width - side - 1))
        y1 = row * cell_height + 1 + int(rng.integers(cell_height - side - 1))
        things.append(Thing(shape, colour, x1, y1, side, taken[place]))
    background = _pick(rng, tuple(_BLANK_COLOURS))
    ordered = tuple(sorted(things, key=lambda thing: thing.cell))
    return Scene(width, height, background, ordered), things


def colour_answers(canonical: str) -> tuple[str, ...]:
    """Return a colour with the other ways to write it."""
    return (canonical, *_OTHER_NAMES.get(canonical, ()))


def number_answers(count: int, profile: Profile) -> tuple[str, ...]:
    """Return the accepted answers to "how many?": figure and word, the usual one of the profile first."""
    figure, word = str(count), _NUMBER_WORDS[count]
    return (word, figure) if profile == "tiny" else (figure, word)


def _yes_no(*, yes: bool) -> tuple[str, ...]:
    """Return the accepted answers of a yes/no question."""
    return ("yes",) if yes else ("no",)


# --- the questions of the full profile ------------------------------------------------------------------------------


def _ask_colour(rng: np.random.Generator, turn: int) -> tuple[Scene, Question]:
    """Ask for the colour of the only shape of its kind."""
    colour = tuple(_COLOURS)[turn % len(_COLOURS)]
    shape = _pick(rng, _SHAPES)
    others = _looks(rng, int(rng.integers(1, 6)), lambda looks: looks[0] != shape)
    scene, things = _scene(rng, [(shape, colour), *others])
    return scene, Question(f"What color is the {shape}?", colour_answers(colour), (things[0],))


def _ask_count(rng: np.random.Generator, turn: int) -> tuple[Scene, Question]:
    """Ask how many things share a shape or a colour: one to four."""
    count = 1 + turn % 4
    by_shape = (turn // 4) % 2 == 0
    side, word = (0, _pick(rng, _SHAPES)) if by_shape else (1, _pick(rng, tuple(_COLOURS)))
    counted = _looks(rng, count, lambda looks: looks[side] == word)
    others = _looks(rng, int(rng.integers(max(0, 2 - count), 7 - count)), lambda looks: looks[side] != word)
    scene, things = _scene(rng, [*counted, *others])
    what = _plural(word) if by_shape else f"{word} shapes"
    return scene, Question(f"How many {what} are there?", number_answers(count, "full"), tuple(things[:count]))


def _ask_existence(rng: np.random.Generator, turn: int) -> tuple[Scene, Question]:
    """Ask for a coloured shape; a no has its colour and its shape elsewhere in the scene."""
    yes = turn % 2 == 0
    shape, colour = _pick(rng, _SHAPES), _pick(rng, tuple(_COLOURS))
    same_shape = _looks(rng, 1, lambda looks: looks[0] == shape and looks[1] != colour)
    same_colour = _looks(rng, 1, lambda looks: looks[0] != shape and looks[1] == colour)
    near = [*same_shape, *same_colour]
    others = _looks(rng, int(rng.integers(0, 4)), lambda looks: looks not in near and looks != (shape, colour))
    looks = [(shape, colour), *near, *others] if yes else [*near, *others]
    scene, things = _scene(rng, looks)
    seen = (things[0],) if yes else scene.things
    return scene, Question(f"Is there {_article(colour)} {shape}?", _yes_no(yes=yes), seen)


def _ask_position(rng: np.random.Generator, turn: int) -> tuple[Scene, Question]:
    """Ask which corner of the image a thing is in."""
    cell = _CORNERS[turn % len(_CORNERS)]
    looks = _looks(rng, int(rng.integers(2, 7)), lambda _: True)
    scene, things = _scene(rng, looks, cells=[cell])
    row, column = _PLACES[cell].split(" ")
    upper = "upper" if row == "top" else "lower"
    text = f"In which part of the image is the {things[0].name}: top left, top right, bottom left or bottom right?"
    answers = (f"{row} {column}", f"{row}-{column}", f"{upper} {column}", f"{upper}-{column}")
    return scene, Question(text, answers, (things[0],))


def _ask_comparison(rng: np.random.Generator, turn: int) -> tuple[Scene, Question]:
    """Ask which of two things is larger; the larger one has at least 1.5 times the side and the area."""
    shape = _SHAPES[turn % len(_SHAPES)]
    large_first = (turn // len(_SHAPES)) % 2 == 0
    looks = _looks(rng, int(rng.integers(2, 7)), lambda _: True)
    home = next((place for place, (name, _) in enumerate(looks) if name == shape), None)
    if home is None:
        looks[0] = (shape, looks[0][1])
        looks = list(dict.fromkeys(looks))
        home = 0
    looks[0], looks[home] = looks[home], looks[0]
    large = 0.8 + 0.1 * float(rng.random())
    small = large * (0.4 + 0.1 * float(rng.random()))
    scene, things = _scene(rng, looks, scale=[large, small])
    first, second = (things[0], things[1]) if large_first else (things[1], things[0])
    text = f"Which is larger, the {first.name} or the {second.name}?"
    return scene, Question(text, (things[0].name, f"the {things[0].name}"), (first, second))


def _ask_relation(rng: np.random.Generator, turn: int) -> tuple[Scene, Question]:
    """Ask whether a thing is left of, or above, another; they stand in different columns, or rows."""
    yes, sideways = turn % 2 == 0, (turn // 2) % 2 == 0
    near, far = sorted(int(n) for n in rng.permutation(_GRID)[:2])
    free = [int(n) for n in rng.integers(_GRID, size=2)]
    if sideways:
        cells = [free[0] * _GRID + near, free[1] * _GRID + far]
    else:
        cells = [near * _GRID + free[0], far * _GRID + free[1]]
    looks = _looks(rng, int(rng.integers(2, 7)), lambda _: True)
    scene, things = _scene(rng, looks, cells=cells)
    first, second = (things[0], things[1]) if yes else (things[1], things[0])
    where = "to the left of" if sideways else "above"
    return scene, Question(f"Is the {first.name} {where} the {second.name}?", _yes_no(yes=yes), (first, second))


# --- the questions of the tiny profile ------------------------------------------------------------------------------


def _tiny_scene(rng: np.random.Generator, looks: Sequence[_Looks]) -> tuple[Scene, list[Thing]]:
    """Place one or two things, one a 28-pixel cell, at multiples of 4."""
    cells = [int(n) for n in rng.permutation(4)[: len(looks)]]
    things: list[Thing] = []
    for cell, (shape, colour) in zip(cells, looks, strict=True):
        side = _TINY_STEP * int(rng.integers(4, 7))
        steps = (_TINY_CELL - side) // _TINY_STEP + 1
        x1 = (cell % 2) * _TINY_CELL + _TINY_STEP * int(rng.integers(steps))
        y1 = (cell // 2) * _TINY_CELL + _TINY_STEP * int(rng.integers(steps))
        things.append(Thing(shape, colour, x1, y1, side, cell))
    ordered = tuple(sorted(things, key=lambda thing: thing.cell))
    return Scene(_TINY_CANVAS, _TINY_CANVAS, "white", ordered), things


def _ask_tiny_colour(rng: np.random.Generator, turn: int) -> tuple[Scene, Question]:
    """Ask for the colour of the only shape of its kind."""
    colour = _TINY_COLOURS[turn % len(_TINY_COLOURS)]
    shape = _pick(rng, _TINY_SHAPES)
    others = _looks(rng, int(rng.integers(2)), lambda looks: looks[0] != shape, tiny=True)
    scene, things = _tiny_scene(rng, [(shape, colour), *others])
    return scene, Question(f"what color is the {shape}?", (colour,), (things[0],))


def _ask_tiny_count(rng: np.random.Generator, turn: int) -> tuple[Scene, Question]:
    """Ask how many shapes there are: one or two."""
    count = 1 + turn % 2
    scene, _ = _tiny_scene(rng, _looks(rng, count, lambda _: True, tiny=True))
    return scene, Question("how many shapes are there?", number_answers(count, "tiny"), scene.things)


def _ask_tiny_existence(rng: np.random.Generator, turn: int) -> tuple[Scene, Question]:
    """Ask for a colour; yes and no come with one and with two things equally often."""
    yes, count = turn % 2 == 0, 1 + (turn // 2) % 2
    colour = _pick(rng, _TINY_COLOURS)
    others = _looks(rng, count - yes, lambda looks: looks[1] != colour, tiny=True)
    looks = [(_pick(rng, _TINY_SHAPES), colour), *others] if yes else others
    scene, things = _tiny_scene(rng, looks)
    seen = (things[0],) if yes else scene.things
    return scene, Question(f"is there a {colour} shape?", _yes_no(yes=yes), seen)


_MAKERS: Mapping[tuple[Profile, str], _Maker] = {
    ("full", "colour"): _ask_colour,
    ("full", "count"): _ask_count,
    ("full", "existence"): _ask_existence,
    ("full", "position"): _ask_position,
    ("full", "comparison"): _ask_comparison,
    ("full", "relation"): _ask_relation,
    ("tiny", "colour"): _ask_tiny_colour,
    ("tiny", "count"): _ask_tiny_count,
    ("tiny", "existence"): _ask_tiny_existence,
}


# --- words ----------------------------------------------------------------------------------------------------------


def _article(colour: str) -> str:
    """Put `a` or `an` before a colour."""
    return f"an {colour}" if colour == "orange" else f"a {colour}"


def _plural(shape: str) -> str:
    """Return the plural of a shape."""
    return "crosses" if shape == "cross" else f"{shape}s"


def caption_of(scene: Scene, *, places: bool) -> str:
    """Describe a scene in one sentence, in reading order."""
    if not places:
        return " and ".join(f"{_article(thing.colour)} {thing.shape}" for thing in scene.things) + "."
    parts = [f"{_article(thing.colour)} {thing.shape} at the {_PLACES[thing.cell]}" for thing in scene.things]
    sentence = parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
    return f"{sentence[0].upper()}{sentence[1:]} on a {scene.background} background."


# --- the file -------------------------------------------------------------------------------------------------------


def _row(example: ShapesExample) -> dict[str, Any]:
    """Return all columns of a row."""
    return {**example.cells(), "image": {"bytes": example.png(), "path": f"{example.id}.png"}}


def _schema() -> pa.Schema:
    """Return the columns, with the note that makes `datasets` decode the images."""
    import pyarrow as pa  # noqa: PLC0415 - heavy; drawing and scoring need none of it

    def value(kind: str) -> dict[str, str]:
        return {"dtype": kind, "_type": "Value"}

    def listed(feature: dict[str, Any]) -> dict[str, Any]:
        return {"feature": feature, "_type": "List"}

    features = {
        "id": value("string"),
        "image": {"_type": "Image"},
        "question": value("string"),
        "kind": value("string"),
        "answers": listed(value("string")),
        "caption": value("string"),
        "boxes": listed(listed(value("int64"))),
        "width": value("int64"),
        "height": value("int64"),
        "scene": value("string"),
    }
    kinds = {
        "id": pa.string(),
        "image": pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
        "question": pa.string(),
        "kind": pa.string(),
        "answers": pa.list_(pa.string()),
        "caption": pa.string(),
        "boxes": pa.list_(pa.list_(pa.int64())),
        "width": pa.int64(),
        "height": pa.int64(),
        "scene": pa.string(),
    }
    note = json.dumps({"info": {"features": features}}, sort_keys=True)
    return pa.schema([pa.field(name, kind) for name, kind in kinds.items()], metadata={"huggingface": note})
