"""The values that walk through satori-bench: sample, response, score, record.

Everything here is frozen and plain, so that a score can be computed anywhere (lmms-eval's hook, a GRPO reward, a
rescore on a laptop) and compared byte for byte. Names carry their frame: `image_px` is pixels of the original image,
`input_px` pixels of the resized image that the model saw.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal, TypeAlias

import msgspec

from harness.vocabulary import (
    BOX_FRAMES,
    FAULTS,
    FORMATS,
    FREE_STAGES,
    NATIVE,
    PARSE_FAULTS,
    PROTOCOLS,
    STAGE_FORMATS,
    AnswerRule,
    BoxFrame,
    BoxOrder,
    BoxSyntax,
    Fault,
    Format,
    FreeStage,
    Protocol,
    StageFormat,
)

__all__ = [
    "BOX_FRAMES",
    "FAULTS",
    "FORMATS",
    "FREE_STAGES",
    "MAX_COUNT",
    "MAX_SHARE",
    "NATIVE",
    "NO_CHOICE",
    "PAPER_PIXEL_LIMITS",
    "PARSE_FAULTS",
    "PROTOCOLS",
    "SATORI_LIST",
    "STAGE_FORMATS",
    "UNIT_OF_FRAME",
    "Amount",
    "AnswerCheck",
    "AnswerRule",
    "AnyFormat",
    "Box",
    "BoxDialect",
    "BoxFrame",
    "BoxMatch",
    "BoxOrder",
    "BoxSyntax",
    "BoxUnit",
    "Components",
    "Count",
    "Fault",
    "Format",
    "FreeStage",
    "Generation",
    "GroundedFormat",
    "Json",
    "KeptStages",
    "Marks",
    "Picture",
    "PixelLimits",
    "Protocol",
    "Record",
    "Response",
    "Sample",
    "Score",
    "ScoreConfig",
    "Share",
    "Size",
    "StageFormat",
    "Step",
    "StepChange",
    "StepScore",
    "order_faults",
]

Box: TypeAlias = tuple[float, float, float, float]
"""x1, y1, x2, y2 in the frame that the variable's name says."""

Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None
"""What a JSON file can hold."""

MAX_COUNT = 2**63 - 1
"""What Parquet's whole numbers hold."""

Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT, description="a whole number from 0 on")]
"""A number of things. What is stored is held to such ranges when it is read."""

Amount: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=MAX_COUNT, description="a number from 0 on")]
"""Seconds, or a sum of shares."""

MAX_SHARE = 1.0 + 1e-9
"""Scores, overlaps and their components are shares of 1; a sum in another order may exceed it by the last digits."""

Share: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=MAX_SHARE, description="a number from 0 to 1")]
"""A share of 1."""


@dataclass(frozen=True, slots=True)
class Size:
    """Width and height of an image, in whole pixels."""

    width: int
    """Pixels across."""
    height: int
    """Pixels down."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One of several pictures that a question shows."""

    sha256: str
    """Hex digest of the image file as stored; empty when it cannot be read."""
    width: Count | None = None
    """Pixels across; None when not known."""
    height: Count | None = None
    """Pixels down; None when not known."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One question about one image or several, with everything that scoring its answer needs."""

    id: str
    """Unique within the task."""
    task: str
    """Short task name, such as `mmstar`."""
    answer_rule: AnswerRule
    """What kind of answer is wanted."""
    question: str = ""
    """The question, without prompt wording."""
    answers: tuple[str, ...] | None = None
    """Accepted answers (for `choice`: the right letter); None when the row carries none, so it cannot be scored."""
    choices: Mapping[str, str] = field(default_factory=dict[str, str])
    """Option letter to option text, in order; empty where there are none."""
    category: str = ""
    """The benchmark's own category; empty where there is none."""
    l2_category: str = ""
    """The benchmark's second category level; empty where there is none."""
    cluster: str = ""
    """Samples with the same cluster are not independent; intervals resample clusters. Empty means: its own id."""
    boxes_image_px: tuple[Box, ...] | None = None
    """Gold boxes in original pixels; None when the row has none to score against."""
    caption: str | None = None
    """Reference caption; None when the row has none."""
    image_size: Size | None = None
    """Size of the original image; None when not known, and where there are several."""
    image_sha256: str = ""
    """Hex digest of the image file as stored, of several that of their digests; empty when not known."""
    pictures: tuple[Picture, ...] = ()
    """The pictures where there are several, each once, in the order shown; empty where there is one.

    A box does not say which of them it lies in, so none is placed or scored (`no_source`)."""
    extra: Mapping[str, Json] = field(default_factory=dict[str, Json])
    """Further official columns under their hub names, such as `question_type`, `precision` or `index`."""

    @property
    def cluster_id(self) -> str:
        """The cluster, or the id of a sample that stands alone."""
        return self.cluster or self.id


@dataclass(frozen=True, slots=True)
class Step:
    """One place that a text looked at on its way to the answer, as it writes it."""

    boxes_written: tuple[Box, ...] = ()
    """Well-formed boxes; none where the step has none."""
    source: int = 0
    """What the boxes lie in: 0 the image, n what the n-th step with a place cropped; -1 a name of no picture."""
    faults: tuple[Fault, ...] = ()
    """What is wrong with what it writes."""


StepChange: TypeAlias = Literal["narrows", "widens", "moves", "stays"]
"""How a step's region lies to that of the step before it; see `harness/scoring/steps.py`."""


@dataclass(frozen=True, slots=True)
class StepScore:
    """Where a step looked, and how well."""

    boxes_image_px: tuple[Box, ...] = ()
    """Its boxes in original pixels, cut at the image; none where it has no place there."""
    iou: float | None = None
    """Union IoU with the gold; None without gold boxes or without a known frame."""
    change: StepChange | None = None
    """How it lies to the last step before it that has a place; None without one."""
    faults: tuple[Fault, ...] = ()
    """Why it has no place, or less of one."""

    @property
    def is_valid(self) -> bool:
        """Whether it looks at a place in the image."""
        return bool(self.boxes_image_px)


@dataclass(frozen=True, slots=True)
class KeptStages:
    """Which stages a text has of those that it may leave out: True kept, False left out.

    None where the format asks for the stage always, and where nothing can be said: the text has no answer, or a tag of
    the stage without its partner.
    """

    caption: bool | None = None
    """Whether it has a caption."""
    bbox: bool | None = None
    """Whether it has boxes."""


NO_CHOICE: Final = KeptStages()
"""Nothing may be left out, or nothing can be said."""


@dataclass(frozen=True, slots=True)
class Response:
    """What a model's text says, stage by stage; nothing in it is judged yet."""

    answer: str | None
    """The text to score, by the protocol's choice of stage; None when there is no such stage."""
    caption: str | None = None
    """Text of the caption stage; None when there is no complete one."""
    thinking: str | None = None
    """Text of the thinking stage; None when there is no complete one."""
    boxes_written: tuple[Box, ...] | None = None
    """Well-formed boxes as x1, y1, x2, y2 in the unit of the box dialect; None when there is no complete box stage."""
    format_ok: bool | None = None
    """Whether the whole text keeps the format; None for `plain`, which has none."""
    faults: tuple[Fault, ...] = ()
    """Parse and box faults, each once, in a fixed order."""
    steps: tuple[Step, ...] = ()
    """The places that the text looked at one after another, in written order; empty where the format has no steps."""
    kept: KeptStages = NO_CHOICE
    """Which of the stages it has that its format lets it leave out."""


@dataclass(frozen=True, slots=True)
class Components:
    """One number in [0, 1] per stage; None where there is nothing to score it against."""

    format: Share | None = None
    """1 when the whole text keeps the format, else 0; None for `plain`."""
    caption: Share | None = None
    """Caption score against the reference caption."""
    bbox: Share | None = None
    """Overlap of predicted and gold regions (the reward)."""
    answer: Share | None = None
    """The answer's score."""


@dataclass(frozen=True, slots=True)
class BoxMatch:
    """One-to-one matching of predicted and gold boxes, as counts: rates are computed late."""

    predicted: Count
    """Number of predicted boxes that count (well-formed, inside the image after cutting)."""
    gold: Count
    """Number of gold boxes."""
    iou_sum: Amount
    """Sum of the IoU over the pairs of the best one-to-one matching."""
    hits_50: Count
    """Pairs of that matching with IoU of at least 0.5."""


@dataclass(frozen=True, slots=True)
class Score:
    """What one text earned under one protocol, and why."""

    value: float | None
    """The answer's score in [0, 1]; None when it could not be scored, which is not 0."""
    extracted: str | None
    """What was taken for the answer (option letter, Yes/No, number, text); None when nothing was."""
    components: Components
    """Per-stage scores."""
    iou: float | None = None
    """Union IoU without epsilon; None without gold boxes or without a known frame."""
    match: BoxMatch | None = None
    """One-to-one box matching; None where `iou` is None."""
    boxes_image_px: tuple[Box, ...] | None = None
    """The predicted boxes that were compared, in original pixels, cut at the image; None where there are none."""
    steps: tuple[StepScore, ...] = ()
    """The steps of the text, in written order; empty where the format has none or the text none of them."""
    kept: KeptStages = NO_CHOICE
    """Which of the stages the text has that its format lets it leave out; those left out have no component."""
    faults: tuple[Fault, ...] = ()
    """Every fault met, each once, in the order of `FAULTS`."""
    native: Mapping[str, float] = field(default_factory=dict[str, float])
    """What the sample gave each metric of lmms-eval's own scorer, by lmms-eval's key; empty under our rules."""
    response: Response | None = field(default=None, compare=False, repr=False)
    """What the text says, as it was scored; None where there was no text, and in a score that was read from disk."""


@dataclass(frozen=True, slots=True)
class AnswerCheck:
    """What an answer rule says of one answer text."""

    value: float | None
    """Score in [0, 1]; None when it could not be scored."""
    extracted: str | None
    """What was taken for the answer; None when nothing was."""
    faults: tuple[Fault, ...] = ()
    """Why, when the value is not simply right or wrong."""


@dataclass(frozen=True, slots=True)
class PixelLimits:
    """The pixel budget of a model's image processor; images are resized to lie within it."""

    min_pixels: Count
    """Least number of pixels, inclusive."""
    max_pixels: Count
    """Greatest number of pixels, inclusive."""
    factor: Count = 28
    """Sides are multiples of this many pixels (patch size times merge size)."""


PAPER_PIXEL_LIMITS = PixelLimits(min_pixels=200_704, max_pixels=401_408)
"""What SATORI's released reward assumes (plugin.py): 256 and 512 tokens of 28 x 28."""


BoxUnit: TypeAlias = Literal["image_px", "input_px"] | float
"""What a number of a written box counts: pixels of the original image, pixels of the image that the model saw, or a
number: what a whole side is written as (1, 100, 500, 999, 1000, 1024; cells of a side for patch indices)."""

UNIT_OF_FRAME: Final[Mapping[BoxFrame, BoxUnit]] = {
    "image_px": "image_px",
    "input_px": "input_px",
    "norm_1000": 1000.0,
    "norm_1": 1.0,
}
"""The unit that each frame with a name counts in."""


@dataclass(frozen=True, slots=True)
class BoxDialect:
    """How a model writes a box: the marks around its numbers, which number is which, and what they count."""

    syntax: BoxSyntax
    """The marks: a row of `harness.scoring.box_dialects.SYNTAX`, or `satori` for the format's strict list alone."""
    order: BoxOrder = "xyxy"
    """Which number is which."""
    unit: BoxUnit = "image_px"
    """What the numbers count."""
    padded_to_square: bool = False
    """Whether the numbers refer to the image padded evenly to a square, as LLaVA-1.5's do."""


SATORI_LIST: Final = BoxDialect("satori")
"""The list that the format asks for, in pixels of the original image: what is read unless another is declared."""


Marks: TypeAlias = tuple[str, str]
"""Opening and closing mark, literal, in any case. A closing mark that is a line break ends with the line, an empty one
with the text; `{` and `}` count those between them."""


@dataclass(frozen=True, slots=True)
class GroundedFormat:
    """Where a text holds thought, answer and boxes: a row of `harness/scoring/formats.py`, or a person's own.

    Its words ask for it. Marks are literal: whatever a person gives, reading stays linear.
    """

    name: str
    """What people call it."""
    answer: tuple[Marks, ...] = ()
    """Marks of the answer; without any it is what is left beside thought and boxes. Of several pairs with one opening
    mark the first that closes counts."""
    answer_key: str = ""
    """The key of the answer where the text is JSON; empty where it is not."""
    thought: tuple[Marks, ...] = ()
    """Marks of the thought; none where the format asks for none."""
    boxes: tuple[Marks, ...] = ()
    """Marks around boxes; without any every box in the place that `boxes_in` says counts."""
    boxes_in: Literal["thought", "calls", "answer", "text"] = "text"
    """Where boxes are: in the thought, or in calls between thoughts (both are steps); in the answer; or beside it."""
    box_key: str = ""
    """What stands beside every box: a marked piece without it is about something else, and a text that has it and no
    box has one that went wrong. Empty where nothing does."""
    boxes_needed: bool = True
    """Whether a text without boxes breaks the format."""
    counted: Literal["all", "last"] = "all"
    """Which steps are the place that is compared with the gold: all of them, or the one that it came to."""
    source_key: str = ""
    """The key that says which picture a box lies in; empty where all lie in the image."""
    source_image: tuple[str, ...] = ()
    """What that key says of the image itself."""
    source_crop: str = ""
    """What stands before the number of a crop there."""
    first_crop: int = 1
    """The number of the first crop."""
    unit_above_one: float | None = None
    """What a whole side is written as in a box with a number above 1, where the dialect counts in fractions."""
    dialect: BoxDialect | None = None
    """How boxes are written; None: as the run's model does."""
    system: str = ""
    """The system turn that asks for it; empty where there is none."""
    suffix: str = ""
    """What follows the question; may be empty."""
    source: str = ""
    """Who published it, and where layout and words stand."""

    @property
    def has_steps(self) -> bool:
        """Whether boxes stand in the thought, or in calls between thoughts: they are steps, in written order."""
        return self.boxes_in in {"thought", "calls"}


AnyFormat: TypeAlias = Format | GroundedFormat
"""A format by its name, or a person's own by what it is."""


@dataclass(frozen=True, slots=True)
class ScoreConfig:
    """How texts are to be scored; part of a run's protocol hash."""

    protocol: Protocol = "strict"
    """The rules."""
    format: AnyFormat = "satori"
    """Where a text holds what is scored."""
    box_dialect: BoxDialect | None = SATORI_LIST
    """How boxes are written; None when not known: boxes stay unscored with the fault `frame_unknown`."""
    pixel_limits: PixelLimits | None = None
    """Used for `input_px` where a sample's own input size was not recorded."""


@dataclass(frozen=True, slots=True)
class Crop:
    """A region that a model asked to see closer (`run --tool zoom`), and what it was shown."""

    turn: Count
    """The model's turn in which it asked, from 1."""
    text: str
    """What the model wrote in that turn up to the end of this call, from the end of the call before it."""
    source: int = 0
    """What it asked to have cut: 0 the image, n the n-th region that it named; -1 a name of no picture."""
    box_image_px: Box | None = None
    """What was cut, in pixels of the original image; None where nothing was shown."""
    shown_size: Size | None = None
    """Size of the picture that the model was shown; None where nothing was."""
    sha256: str = ""
    """Hex digest of that picture's pixels, which its thumbnail is called after; empty where nothing was shown."""
    error: str | None = None
    """Name of the reason why nothing was shown (`harness/models/zoom_words.py` lists them); None where it was."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One model output with its costs, as a backend reports it."""

    text: str
    """Raw text, unchanged; empty when `error` is set. Of a conversation with a tool the whole transcript."""
    input_size: Size | None = None
    """Size of the (first) image as the model saw it; None when the backend does not know."""
    input_tokens: int | None = None
    """Prompt tokens, image tokens included; None when unknown. Of a conversation those of its last turn."""
    output_tokens: int | None = None
    """Generated tokens, of all turns; None when unknown."""
    device_s: float | None = None
    """This sample's share of its batch's time on the device, in seconds."""
    latency_s: float | None = None
    """Seconds from sending the request to the end of its reply, of the last try; None where no server was asked."""
    truncated: bool = False
    """Whether the token budget ended the text."""
    error: str | None = None
    """Why there is no text (unreadable image, failed request); None when there is."""
    reply_model: str | None = None
    """The model that a server says wrote the text, where that is not the name that was asked; None otherwise."""
    prompt: str | None = None
    """The prompt as it was sent: after the chat template, or turn by turn where a server applies it; pictures are
    marks. None when it was never made, or the text was written elsewhere. Of a conversation that of its last turn."""
    output_ids: tuple[int, ...] | None = None
    """The tokens of the text as they were drawn, the end token included, as the model's tokenizer numbers them; None
    where only text came back. Texts do not give them back: the same text can be other tokens."""
    crops: tuple[Crop, ...] = ()
    """The regions that the model asked to see closer, in order; none without a tool."""


@dataclass(frozen=True, slots=True)
class Record:
    """One line of a run: what was asked, what came back, what it earned."""

    sample: Sample
    """The question and its gold."""
    generation: Generation
    """The raw text and its costs."""
    score: Score
    """The score under the run's protocol."""
    repeat: int = 0
    """0 for the first answer to a sample, 1 for the second..."""
    judge_reply: str | None = None
    """What a judge model answered, where one was asked; None otherwise."""
    judge_error: str | None = None
    """Why a judge that was asked gave no answer; None otherwise."""

    @property
    def key(self) -> tuple[str, str, int]:
        """Task, sample id and repeat: unique within a run."""
        return (self.sample.task, self.sample.id, self.repeat)


def order_faults(faults: set[Fault]) -> tuple[Fault, ...]:
    """Return the faults in the fixed order of `FAULTS`; an empty set gives an empty tuple."""
    return tuple(fault for fault in FAULTS if fault in faults) if faults else ()
