"""The closed sets of words that are stored and typed everywhere: protocols, formats, boxes, answer rules, faults.

Apart from `harness.values`, which offers them too, so that the command can list them without building any class.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, get_args

Protocol: TypeAlias = Literal["strict", "paper", "vlmevalkit", "lmms-eval", "lmms-eval native"]
"""How a raw answer becomes a score; see `harness/scoring/score.py`. The last is no rule of ours: a task of lmms-eval's
own (`run --tasks lmms:NAME`), scored by lmms-eval's own code."""

StageFormat: TypeAlias = Literal["satori", "satori-think", "satori-adaptive", "freeform", "plain"]
"""SATORI's stages, and the bare text: the formats that `harness/scoring/stages.py` reads and training writes."""

FreeStage: TypeAlias = Literal["caption", "bbox"]
"""A stage that a text in `satori-adaptive` may leave out."""

MarkedFormat: TypeAlias = Literal[
    "qwen-json",
    "treevgr",
    "grit",
    "deepeyes",
    "qwen-zoom",
    "mini-o3",
    "ground-r1",
    "pixel-reasoner",
    "chain-of-focus",
    "rex-thinker",
    "multihopspatial",
    "refchartqa",
    "bbox-docvqa",
    "visual-cot",
]
"""The published formats of other works: rows of `harness/scoring/formats.py`."""

Format: TypeAlias = StageFormat | MarkedFormat
"""Where a text holds answer, thought and boxes; decides prompt and parser."""

BoxFrame: TypeAlias = Literal["image_px", "input_px", "norm_1000", "norm_1"]
"""The frames that have a name of their own: what `--box-frame` and training data say of a list x1, y1, x2, y2."""

BoxSyntax: TypeAlias = Literal["satori", "list", "corners", "box_tag", "loc", "xy", "named", "patch"]
"""How a box is written; see `harness/scoring/box_dialects.py`. `satori` is the format's own strict list alone."""

BoxOrder: TypeAlias = Literal["xyxy", "yxyx", "xywh"]
"""What the four numbers of a box are, in written order: two corners, corners with y first, or a corner and a size."""

GoldFrame: TypeAlias = BoxFrame | Literal["percent", "xywh", "yxyx"]
"""What the four numbers of a gold box are: corners in a frame; corners in percent of the sides; or, in pixels of the
image, left, top, width, height (`xywh`) or top, left, bottom, right (`yxyx`). `input_px` are pixels of an image of the
size that the row's columns width and height say."""

AnswerRule: TypeAlias = Literal[
    "choice", "yes_no", "ocr", "mathvista", "maths", "mmmu", "accepted", "number", "short", "relaxed", "vqa", "anls",
    "box", "point", "native",
]  # fmt: skip
"""What kind of answer a sample wants; decides the rule of `harness/scoring/answers/check.py`.

`choice`: one option letter. `yes_no`: yes or no. `ocr`: OCRBench's containment. `mathvista`: MathVista's typed answers.
`maths`: an expression, set, interval, tuple or equation of the gold's value, or an option where there are some.
`mmmu`: MMMU's, an option letter where the row has options, else a number or a short text.
`accepted`: equality with any accepted answer (Shapes, VQA-Verify, the bare SATORI rewards). `number`: one number.
`short`: by the row, an option where it has any, else yes or no, a number, or a text (RealWorldQA, ZeroBench).
`relaxed`: ChartQA's relaxed accuracy. `vqa`: agreement with people's answers (TextVQA). `anls`: likeness of texts by
edit distance (DocVQA, InfographicVQA).
`box`: the region itself, right at an IoU of 0.5 with the gold boxes. `point`: a point in one of the gold boxes.
`native`: none of ours; the sample belongs to a task of lmms-eval's own, whose code alone scores it.
"""

Fault: TypeAlias = Literal[
    # parse
    "missing",
    "empty",
    "unclosed",
    "multiple",
    "truncated",
    "bad_order",
    # boxes
    "malformed",
    "non_finite",
    "degenerate",
    "inverted",
    "out_of_image",
    "frame_unknown",
    "other_dialect",
    "point",
    "quad",
    "no_source",
    # score
    "no_match",
    "no_gold",
    "needs_judge",
    "judge_error",
    "error",
]
"""Why a score is not simply right or wrong. The names are stored, so they are API."""

PLACE_RULES: frozenset[AnswerRule] = frozenset({"box", "point"})
"""Rules whose gold are the sample's boxes."""
NATIVE: Final = "lmms-eval native"
"""The protocol of tasks of lmms-eval's own."""
PROTOCOLS: tuple[Protocol, ...] = tuple(name for name in get_args(Protocol) if name != NATIVE)
"""Those with rules here, which any stored text can be scored by."""
STAGE_FORMATS: tuple[StageFormat, ...] = get_args(StageFormat)
MARKED_FORMATS: tuple[MarkedFormat, ...] = get_args(MarkedFormat)
FREE_STAGES: tuple[FreeStage, ...] = get_args(FreeStage)
FORMATS: tuple[Format, ...] = (*STAGE_FORMATS, *MARKED_FORMATS)
BOX_FRAMES: tuple[BoxFrame, ...] = get_args(BoxFrame)
BOX_SYNTAXES: tuple[BoxSyntax, ...] = get_args(BoxSyntax)
BOX_ORDERS: tuple[BoxOrder, ...] = get_args(BoxOrder)
GOLD_FRAMES: tuple[GoldFrame, ...] = (*BOX_FRAMES, "percent", "xywh", "yxyx")
FAULTS: tuple[Fault, ...] = get_args(Fault)
PARSE_FAULTS: frozenset[Fault] = frozenset(
    {
        "missing",
        "empty",
        "unclosed",
        "multiple",
        "truncated",
        "bad_order",
        "malformed",
        "non_finite",
        "degenerate",
        "inverted",
        "other_dialect",
        "point",
        "quad",
    }
)
"""Faults that say that the text itself did not keep to the format."""
