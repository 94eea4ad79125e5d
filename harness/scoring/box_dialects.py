"""Read boxes as model families write them: two tables, how a box is written and which family writes it so.

`SYNTAX` has one pattern a way of writing one box, `DIALECT` one row a family, with its source. Order and unit belong to
the family and not to the marks: the key `box_2d` means y first for Gemma and x first for GLM. So whatever a family
writes is read in its order and its unit, SATORI's own list too: a checkpoint that was trained to write `[[a, b, c, d]]`
keeps the numbers that its base model learned.

The format's strict list (`read_boxes`) always comes first. Where it finds no box, the syntax of the declared dialect is
looked for in the text, and what it finds is named `other_dialect`: it counts as a place and not as the format. Every
pattern is bounded, possessive and linear, under the size limits of `written_boxes.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from math import inf
from typing import Final

from harness.errors import ConfigError, did_you_mean
from harness.scoring.written_boxes import (
    BLANK,
    MAX_BOX_CHARACTERS,
    MAX_BOXES,
    NUMBER,
    BoxReading,
    read_boxes,
    well_formed,
)
from harness.values import SATORI_LIST, UNIT_OF_FRAME, Box, BoxDialect, BoxUnit, Fault, order_faults
from harness.vocabulary import BOX_FRAMES, BOX_ORDERS, BOX_SYNTAXES, BoxFrame, BoxSyntax

# How a box is written


_N: Final = rf"{BLANK}*+({NUMBER}){BLANK}*+"
"""One number of a box, in a group of its own, with the blanks around it."""
_ANY: Final = rf"{BLANK}*+{NUMBER}{BLANK}*+"
_BETWEEN: Final = r"(?:,|(?<=\s))"
"""What parts two numbers: a comma, or blanks alone, which `_N` has eaten. Digits never fall into two numbers."""
_STRING: Final = r"""(?:"(?:[^"\\]|\\.){0,2000}+(?:"|\Z)|'(?:[^'\\]|\\.){0,2000}+(?:'|\Z))"""
"""A text in JSON's quotes or Python's, also one that the token budget cut off."""
_OTHER_KEY: Final = r"(?![^\"'\\]{0,32}(?:[bB][oO][xX]|coord|position|region|rect))"
_LABEL: Final = (
    # a JSON field that holds a text, whatever numbers and brackets are in it; not where its key says that it is a box
    rf"\"(?=[^\"\\]{{0,64}}+\"\s*+:\s*+[\"']){_OTHER_KEY}[^\"\\]{{0,64}}+\"\s*+:\s*+{_STRING}"
    rf"|'(?=[^'\\]{{0,64}}+'\s*+:\s*+[\"']){_OTHER_KEY}[^'\\]{{0,64}}+'\s*+:\s*+{_STRING}"
    # what InternVL and MiniCPM, Qwen2-VL, DeepSeek and Kosmos-2 put around the name of a thing
    r"|<ref>[^<]{0,2000}+</ref>|<\|object_ref_start\|>[^<]{0,2000}+<\|object_ref_end\|>"
    r"|<\|ref\|>[^<]{0,2000}+<\|/ref\|>|<phrase>[^<]{0,2000}+</phrase>"
)
"""Names of things: read first, so that numbers in them are never taken for a box."""
_LOC: Final = r"<\|?+[lL][oO][cC]_?+([0-9]++)\|?+>\s*+"


_NEXT_FIELD: Final = r"[,\s\"']*+"


def _field(axis: str, end: str) -> str:
    """Return the pattern of one named field with its number in a group."""
    return rf"{axis}_?+{end}[\"']?+\s*+[:=]\s*+[\"']?+({NUMBER})"


# a pattern of many branches first asks whether a character begins any of them: most of a text's begin none
SYNTAX: Final[Mapping[BoxSyntax, str]] = {
    "list": (
        rf"(?=[\"'\[(<{{])(?:{_LABEL}"
        # [a, b, c, d], also as a value of bbox_2d, box_2d, bbox, box; GLM-V's README: "bracket style may vary"
        rf"|[\[(<{{]{_N}{_BETWEEN}{_N}{_BETWEEN}{_N}{_BETWEEN}{_N},?+\s*+[\])>}}]"
        rf"|([\[(<{{]{_ANY}(?:{_BETWEEN}{_ANY})*+,?+\s*+[\])>}}])"  # numbers of another count: a point, a quad, a slip
        r")"
    ),
    "corners": (
        rf"(?=[\"'\[(<])(?:{_LABEL}"
        # (a,b),(c,d), also without the comma between, with square brackets, or all four in one pair of them
        rf"|[\[(]{_N},{_N}(?:,|[\])]\s*+[,;]?+\s*+[\[(]){_N},{_N}[\])]"
        # Qwen2-VL's four corners; and a lone point
        rf"|(<\|quad_start\|>[^<]{{0,2000}}+|[\[(]{_ANY}(?:,{_ANY})*+[\])]))"
    ),
    "box_tag": (
        # <box>a b c d</box>, with commas or brackets, also without the end of the tag; a fifth number is a slip
        rf"<box>[\s\[(]*+{_N}(?:[,;)(\]\[\s]++|(?<=\s)){_N}(?:[,;)(\]\[\s]++|(?<=\s)){_N}"
        rf"(?:[,;)(\]\[\s]++|(?<=\s)){_N}(?![\s,;]*+[-+.0-9])"
        r"|(<box>|<quad>[^<]{0,2000}+)"
    ),
    "loc": (
        # <loc0001>, <loc_1> or <|LOC_1|>, four times; but eight of the last are PaddleOCR-VL's four corners
        rf"(?!(?:<\|LOC_[0-9]++\|>\s*+){{8}}){_LOC}{_LOC}{_LOC}{_LOC}"
        r"|((?:<\|LOC_[0-9]++\|>\s*+){8}|<\|?+[lL][oO][cC]_?+[0-9]++\|?+>)"
    ),
    "xy": (
        rf"<x_({NUMBER})>\s*+<y_({NUMBER})>\s*+<x_({NUMBER})>\s*+<y_({NUMBER})>"  # Kosmos-2.5's tokens
        rf"|(<[xy]_{NUMBER}>)"
    ),
    "named": (
        rf"(?=[\"'<xylrtb])(?:{_LABEL}"
        # "x_min": a, "y_min": b, "x_max": c, "y_max": d, with a comma or blanks between, in the usual order
        rf"|\b{_field('x', 'min')}{_NEXT_FIELD}{_field('y', 'min')}"
        rf"{_NEXT_FIELD}{_field('x', 'max')}{_NEXT_FIELD}{_field('y', 'max')}"
        # one field at a time, as any order and other fields between are fine: 'xmin': a, x1=a, "left": a
        r"|\b(?:(x_?+min|x1|left)|(y_?+min|y1|top)|(x_?+max|x2|right)|(y_?+max|y2|bottom))"
        rf"[\"']?+\s*+[:=]\s*+[\"']?+({NUMBER}))"
    ),
    "patch": (
        r"<patch_index_([0-9]++)>\s*+<patch_index_([0-9]++)>"  # Kosmos-2: cell of the first and of the last corner
        r"|(<patch_index_[0-9]++>)"
    ),
}
"""One way of writing a box a row: groups for its numbers in written order; the last group is a piece that is no box."""

_FOUR: Final = rf"{_N}{_BETWEEN}{_N}{_BETWEEN}{_N}{_BETWEEN}{_N}"
_BARE: Final[Mapping[BoxSyntax, str]] = {
    "box_tag": rf"(?:[^0-9.+-]|[.+-](?![0-9.]))*+{_FOUR}",  # a name without digits may stand before
    "list": rf"(?:<[^<>]{{0,40}}+>\s*+)*+{_FOUR}(?:<[^<>]{{0,40}}+>\s*+)*+",
}
"""Four numbers that are all there is, where the brackets were left out or decoding dropped the tags."""
NAMES_ITS_NUMBERS: Final[frozenset[BoxSyntax]] = frozenset({"named", "xy", "patch"})
"""Syntaxes in which the marks say which number is which, so that no order but xyxy makes sense."""
PATCHES_A_SIDE: Final = 32
"""Cells of a side of Kosmos-2's grid."""

_NOTHING: Final = re.compile(r"(?:```[a-zA-Z]{0,10})?+\s*+(?:\[\s*+\]|\{\s*+\})?+\s*+(?:```)?+")
"""An empty list or object, in a fence or not."""
_QUAD: Final = (
    r"<\|quad_start\|>|<quad>|(?:<\|LOC_[0-9]++\|>\s*+){8}"
    rf"|[\[(<{{]{_ANY}(?:{_BETWEEN}{_ANY}){{7}}+,?+\s*+[\])>}}]"  # eight numbers in one list
    rf"|(?:[\[(]{_ANY},{_ANY}[\])],?+\s*+){{4}}+"  # four points in a row
)
_POINT: Final = (
    r"<points?[\s>]|\b(?:point(?:_2d|s)?|coords|start_box)[\"']?+\s*+[:=]"  # Molmo, Qwen's point_2d, UI-TARS
    rf"|[\[(<{{]{_ANY}{_BETWEEN}{_ANY},?+\s*+[\])>}}]"  # two numbers in brackets
    rf"|\b[cC]lick\({_ANY},{_ANY}"
)


# Which family writes it so


@dataclass(frozen=True, slots=True)
class FamilyDialect:
    """What a family of checkpoints was trained to write."""

    dialect: BoxDialect
    """Its syntax, order and unit."""
    source: str
    """Where that is said."""
    is_established: bool = True
    """Whether a checkpoint of this `model_type` may be read so unasked; else only where a person names the family."""


_JSON_1000: Final = BoxDialect("list", "xyxy", 1000.0)
_LIST_1: Final = BoxDialect("list", "xyxy", 1.0)
_LIST_999: Final = BoxDialect("list", "xyxy", 999.0)
_CORNERS_1000: Final = BoxDialect("corners", "xyxy", 1000.0)
_TAG_1000: Final = BoxDialect("box_tag", "xyxy", 1000.0)
_GLM: Final = "zai-org/GLM-V README and examples/gui-agent/glm-41v/agent.md; GLM-V#114"
_QWEN_3: Final = "QwenLM/Qwen3-VL#1427 (maintainer), #1741"
_QWEN_3_5: Final = "ms-swift Qwen3_8-Best-Practice.md; QwenLM/Qwen3.8-Flash-Next#4 (maintainer)"
_MINICPM: Final = "OpenBMB/MiniCPM-V#982, #772 (maintainers)"
_INTERNVL: Final = "OpenGVLab/InternVL streamlit_demo/app.py, evaluate_grounding.py; InternVL#227"
_MUSE: Final = "roboflow/inference meta_vlm/v1.py, muse_detection_parsing.py"
_DEEPSEEK: Final = "deepseek-ai/DeepSeek-OCR-2 run_dpsk_ocr2_image.py (/ 999); roboflow/supervision vlm.py"

DIALECT: Final[Mapping[str, FamilyDialect]] = {
    "qwen2_vl": FamilyDialect(_CORNERS_1000, "ms-swift templates/qwen.py; QwenLM/Qwen3-VL#866"),
    "qwen2_5_vl": FamilyDialect(
        BoxDialect("list", "xyxy", "input_px"), "QwenLM/Qwen3-VL#676, #940 (maintainers); ms-swift norm_bbox='none'"
    ),
    "qwen3_vl": FamilyDialect(_JSON_1000, _QWEN_3),
    "qwen3_vl_moe": FamilyDialect(_JSON_1000, _QWEN_3),
    "qwen3_5": FamilyDialect(_JSON_1000, _QWEN_3_5),
    "qwen3_5_moe": FamilyDialect(_JSON_1000, _QWEN_3_5),
    "glm4v": FamilyDialect(_JSON_1000, _GLM),
    "glm4v_moe": FamilyDialect(_JSON_1000, _GLM),
    "glm46v": FamilyDialect(_JSON_1000, _GLM),
    "glmga": FamilyDialect(_JSON_1000, _GLM),
    "internvl": FamilyDialect(_JSON_1000, _INTERNVL),
    "internvl_chat": FamilyDialect(_JSON_1000, _INTERNVL),
    "ernie4_5_vl_moe": FamilyDialect(_JSON_1000, "PaddlePaddle/ERNIE#1364 (maintainer)"),
    "minicpmv": FamilyDialect(_TAG_1000, _MINICPM),
    "minicpmv4_6": FamilyDialect(_TAG_1000, _MINICPM),
    "minicpmv4_7": FamilyDialect(_TAG_1000, _MINICPM),
    "hunyuan_vl": FamilyDialect(_CORNERS_1000, "Tencent-Hunyuan/HunyuanOCR utils.py"),
    "deepseek_vl_v2": FamilyDialect(_LIST_999, _DEEPSEEK),
    "deepseek_ocr2": FamilyDialect(_LIST_999, _DEEPSEEK),
    "unlimited_ocr": FamilyDialect(_LIST_999, "transformers processing_unlimited_ocr.py: normalized to [0, 999]"),
    "perception_lm": FamilyDialect(_LIST_999, "facebookresearch/perception_models core/transforms/region_transform.py"),
    "gemma4": FamilyDialect(
        BoxDialect("list", "yxyx", 1000.0), "huggingface/blog gemma4.md (1000x1000; order as in Gemini's documentation)"
    ),
    "medgemma": FamilyDialect(  # its model_type is gemma3, whose own boxes nobody has confirmed
        BoxDialect("list", "yxyx", 1000.0, padded_to_square=True),
        "harpreetsahota204/medgemma_1_5 zoo.py, README (FiftyOne)",
        is_established=False,
    ),
    "paligemma": FamilyDialect(
        BoxDialect("loc", "yxyx", 1024.0), "transformers processing_paligemma.py; roboflow/supervision vlm.py"
    ),
    "florence2": FamilyDialect(  # the processor takes the middle of a bin: half a thousandth further
        BoxDialect("loc", "xyxy", 1000.0), "transformers processing_florence2.py"
    ),
    "kosmos-2": FamilyDialect(BoxDialect("patch", "xyxy", 32.0), "transformers processing_kosmos2.py"),
    "kosmos-2.5": FamilyDialect(
        BoxDialect("xy", "xyxy", "input_px"), "transformers modeling_kosmos2_5.py, the docstring's example"
    ),
    "fuyu": FamilyDialect(BoxDialect("box_tag", "yxyx", "image_px"), "transformers processing_fuyu.py"),
    "kimi_vl": FamilyDialect(_LIST_1, "MoonshotAI/Kimi-VL#56; FiftyOne Kimi_VL_A3B zoo.py"),
    "kimi_k25": FamilyDialect(_LIST_1, "as kimi_vl; MoonshotAI/Kimi-K2.5#15 asks, no answer", is_established=False),
    "ovis2_5": FamilyDialect(BoxDialect("corners", "xyxy", 1.0), "AIDC-AI/Ovis2.5 model card"),
    "lfm2_vl": FamilyDialect(_LIST_1, "LiquidAI LFM2-VL model card (boxes are trained); prompts of its users"),
    "minimax_m3_vl": FamilyDialect(_LIST_1, "FiftyOne minimax_m3 minimax_parser.py"),
    "muse_glimmer": FamilyDialect(BoxDialect("named", "xyxy", 1000.0), _MUSE),
    "muse_spark": FamilyDialect(BoxDialect("named", "xyxy", 1000.0), _MUSE),
    "isaac": FamilyDialect(_CORNERS_1000, "users of PerceptronAI/Isaac-0.1 (0 to 1000)", is_established=False),
    "granite_docling": FamilyDialect(
        BoxDialect("loc", "xyxy", 500.0), "docling-core DocumentToken.get_location (xsize=500, ysize=500)"
    ),
    "smoldocling": FamilyDialect(  # its model_type is idefics3, as of models that write no boxes
        BoxDialect("loc", "xyxy", 500.0),
        "docling-core DocumentToken.get_location (xsize=500, ysize=500)",
        is_established=False,
    ),
    "llava": FamilyDialect(  # not unasked: whether a checkpoint's processor pads or crops is its own matter
        BoxDialect("list", "xyxy", 1.0, padded_to_square=True),
        "haotian-liu/LLaVA#606 (LLaVA-1.5)",
        is_established=False,
    ),
    "visual_cot": FamilyDialect(
        BoxDialect("list", "xyxy", 1.0, padded_to_square=True),
        "deepcs233/Visual-CoT, LLaVA-1.5's frame: fractions of the image padded to a square",
        is_established=False,
    ),
}
"""What each family writes, by the `model_type` of its configuration, or the name that people know it by.

A family that is missing has no established unit: its boxes stay unscored (`frame_unknown`) until a person declares one.
"""


def dialect_of_model_type(model_type: str) -> BoxDialect | None:
    """Return what checkpoints of a `model_type` write boxes in; None where no source establishes it."""
    row = DIALECT.get("internvl" if model_type.startswith("internvl") else model_type)
    return row.dialect if row is not None and row.is_established else None


# Names of dialects


_MAX_SIDE: Final = 1_000_000.0
"""A side is written as at most this; more is a slip of the keyboard."""
_SQUARE: Final = "square"


def dialect_named(words: str) -> BoxDialect:
    """Return the dialect that a person named.

    Args:
        words: `satori` (the format's list in pixels of the image), a family of `DIALECT` (case and punctuation do not
            matter), a box frame (the format's list in that frame), or `SYNTAX:ORDER:UNIT` such as `list:yxyx:1000`;
            with `:square` behind it where the numbers refer to the image padded to a square.

    Raises:
        ConfigError: It is none of these, or the three do not go together.
    """
    if words == "satori":
        return SATORI_LIST
    if words in BOX_FRAMES:
        return dialect_of_frame(words)
    if ":" in words:
        return _dialect_in_words(words)
    families = {_letters(family): row.dialect for family, row in DIALECT.items()}
    found = families.get(_letters(words))
    if found is None:
        known = ["satori", *BOX_FRAMES, *DIALECT]
        raise ConfigError(
            f"box dialect {words[:60]!r} is not known.{did_you_mean(words, known)} Choose satori, a family "
            f"({', '.join(DIALECT)}), a frame ({', '.join(BOX_FRAMES)}), or SYNTAX:ORDER:UNIT such as list:yxyx:1000"
        )
    return found


def strict_list_of(dialect: BoxDialect) -> BoxDialect:
    """Return the format's list alone, in the order and unit of a dialect; cells of patch indices are kept as unit."""
    return replace(dialect, syntax="satori")


def declared_dialect(words: str | None, frame: BoxFrame | None, model_type: str | None = None) -> BoxDialect | None:
    """Return the dialect that a person declared, by its words or by a frame; None where nothing is declared.

    Args:
        words: What `dialect_named` reads, or `auto`: what the family of the checkpoint writes.
        frame: A box frame, the short form.
        model_type: The family that `auto` stands for; None where there is no checkpoint to ask, empty for one that is
            not known.

    Raises:
        ConfigError: Both are given, the words name nothing, or `auto` finds no family.
    """
    if words is not None and frame is not None:
        raise ConfigError(f"box frame {frame} is short for a box dialect, and {words[:60]!r} is given too: give one")
    if frame is not None:
        return dialect_of_frame(frame)
    if words is None or words != "auto":
        return None if words is None else dialect_named(words)
    found = dialect_of_model_type(model_type or "")
    if found is None:
        family = (
            f"how {model_type} writes boxes is not known" if model_type else "no checkpoint says which family it is"
        )
        raise ConfigError(f"box dialect auto: {family}; name a family, or SYNTAX:ORDER:UNIT such as list:yxyx:1000")
    return found


def dialect_of_frame(frame: BoxFrame) -> BoxDialect:
    """Return what a box frame alone says: the format's strict list, x1, y1, x2, y2, in the frame's unit."""
    return BoxDialect("satori", "xyxy", UNIT_OF_FRAME[frame])


def frame_of_dialect(dialect: BoxDialect | None) -> BoxFrame | None:
    """Return the box frame that a dialect's numbers are in; None where no frame says it."""
    if dialect is None or dialect.order != "xyxy" or dialect.padded_to_square:
        return None
    return next((frame for frame, unit in UNIT_OF_FRAME.items() if unit == dialect.unit), None)


def dialect_words(dialect: BoxDialect) -> str:
    """Return the words that `dialect_named` reads as this dialect, the same for equal ones.

    A box frame's name for the format's list in that frame, else `SYNTAX:ORDER:UNIT`.
    """
    frame = frame_of_dialect(dialect)
    if frame is not None and dialect == dialect_of_frame(frame):
        return frame
    unit = dialect.unit if isinstance(dialect.unit, str) else f"{dialect.unit:.15g}"
    return f"{dialect.syntax}:{dialect.order}:{unit}" + (f":{_SQUARE}" if dialect.padded_to_square else "")


def optional_words(dialect: BoxDialect | None) -> str | None:
    """Return the words of a dialect; None where none is known."""
    return None if dialect is None else dialect_words(dialect)


def _letters(name: str) -> str:
    """Return a name without case and punctuation."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _dialect_in_words(words: str) -> BoxDialect:
    """Read `SYNTAX:ORDER:UNIT` or `SYNTAX:ORDER:UNIT:square`."""
    said = f"box dialect {words[:60]!r}"
    parts = words.split(":")
    padded = len(parts) == 4 and parts[3] == _SQUARE
    if len(parts) != 3 and not padded:
        raise ConfigError(f"{said}: SYNTAX:ORDER:UNIT is needed, such as list:yxyx:1000 (or list:xyxy:1:{_SQUARE})")
    syntax, order, unit = parts[:3]
    if syntax not in BOX_SYNTAXES:
        near = did_you_mean(syntax, list(BOX_SYNTAXES))
        raise ConfigError(f"{said}: {syntax!r} is no syntax.{near} Choose one of {', '.join(BOX_SYNTAXES)}")
    if order not in BOX_ORDERS:
        near = did_you_mean(order, list(BOX_ORDERS))
        raise ConfigError(f"{said}: {order!r} is no order.{near} Choose one of {', '.join(BOX_ORDERS)}")
    if syntax in NAMES_ITS_NUMBERS and order != "xyxy":
        raise ConfigError(f"{said}: {syntax} says itself which number is which: write {syntax}:xyxy:{unit}")
    dialect = BoxDialect(syntax, order, _unit_named(unit, said), padded)
    if syntax == "patch" and not (isinstance(dialect.unit, float) and dialect.unit.is_integer()):
        raise ConfigError(f"{said}: patch counts whole cells of a side: write patch:xyxy:32")
    if padded and dialect.unit == "input_px":
        raise ConfigError(f"{said}: pixels of the padded image are not known: give what its whole side is written as")
    return dialect


def _unit_named(unit: str, said: str) -> BoxUnit:
    """Read a unit: a frame's name, or what a whole side is written as."""
    if unit in BOX_FRAMES:
        return UNIT_OF_FRAME[unit]
    try:
        side = float(unit)
    except ValueError:
        near = did_you_mean(unit, list(BOX_FRAMES))
        raise ConfigError(
            f"{said}: {unit!r} is no unit.{near} Give {', '.join(BOX_FRAMES)}, or the number that a whole side is "
            "written as (1, 100, 500, 999, 1000, 1024)"
        ) from None
    if not 0 < side <= _MAX_SIDE:
        raise ConfigError(f"{said}: a whole side must be written as a number above 0 and up to {_MAX_SIDE:.0f}")
    return side


# Reading


_MALFORMED: Final = BoxReading((), ("malformed",))
_OTHER_DIALECT: Final[tuple[Fault, ...]] = ("other_dialect",)


def read_dialect_boxes(text: str, dialect: BoxDialect) -> BoxReading:
    """Read boxes: the format's strict list, or what the dialect's syntax finds in the text.

    Args:
        text: A stage without its tags, or any other text that may hold boxes.
        dialect: How the model writes; its order and unit hold for the strict list as well.

    Returns:
        The well-formed boxes as x1, y1, x2, y2 in the dialect's unit. Where the strict list has none and the dialect's
        syntax has, they carry `other_dialect`, and `malformed` where a piece beside them is no box. Without any box:
        `point` or `quad` where the text holds such, else what `read_boxes` says.
    """
    strict = read_boxes(text, dialect.order)
    if strict.boxes or dialect.syntax == "satori":
        return strict
    native = _read_native(text, dialect)
    if native.boxes or strict.faults == ("malformed",):
        return native
    return strict


def written_quadruples(text: str) -> tuple[BoxSyntax, tuple[Box, ...]] | None:
    """Return the numbers of every box that the first fitting syntax finds, in written order; None where none does.

    For checks that ask what the numbers could be; None also beyond the limits of `read_boxes`. Patch indices come as
    column and row of their cells, of 32 a side.
    """
    if len(text) > MAX_BOX_CHARACTERS:
        return None
    # a syntax's own marks say more than numbers without any
    marked: list[tuple[BoxSyntax, bool]] = [(syntax, False) for syntax in SYNTAX]
    unmarked: list[tuple[BoxSyntax, bool]] = [(syntax, True) for syntax in SYNTAX if syntax in _BARE]
    for syntax, bare in (*marked, *unmarked):
        quadruples, _ = _found(text, syntax, PATCHES_A_SIDE, bare=bare)
        if len(quadruples) > MAX_BOXES:
            return None
        boxes = tuple(box for box in quadruples if all(-inf < number < inf for number in box))
        if boxes:
            return syntax, boxes
    return None


def _read_native(text: str, dialect: BoxDialect) -> BoxReading:
    """Read what the dialect's syntax finds anywhere in a text."""
    if len(text) > MAX_BOX_CHARACTERS:
        return _MALFORMED
    cells = int(dialect.unit) if isinstance(dialect.unit, float) else PATCHES_A_SIDE
    quadruples, others = _found(text, dialect.syntax, cells)
    if len(quadruples) > MAX_BOXES:
        return _MALFORMED
    boxes, faults = well_formed(quadruples, dialect.order)
    if boxes and not faults and not others:  # nearly every text
        return BoxReading(boxes, _OTHER_DIALECT)
    if boxes:
        faults.add("other_dialect")
        if any(_kind_of_piece(piece) == "malformed" for piece in others):
            faults.add("malformed")
    elif not faults:
        faults.add("empty" if _NOTHING.fullmatch(text.strip()) is not None else _kind_of_piece(text))
    return BoxReading(boxes, order_faults(faults))


@cache
def _pattern(written: str) -> re.Pattern[str]:
    """Compile a row of the tables at its first text: commands that only name dialects start without."""
    return re.compile(written)


def _kind_of_piece(text: str) -> Fault:
    """Name what is written where a box was wanted."""
    if _pattern(_QUAD).search(text) is not None:
        return "quad"
    return "point" if _pattern(_POINT).search(text) is not None else "malformed"


def _found(text: str, syntax: BoxSyntax, cells: int, *, bare: bool = True) -> tuple[Sequence[Box], list[str]]:
    """Return the numbers of each box of a syntax, as written, and the pieces that are none.

    With `bare`, four numbers that are all there is are a box of the syntaxes in `_BARE`.
    """
    if syntax == "named":
        return _named_boxes(text), []
    rows = _pattern(SYNTAX[syntax]).findall(text)
    others: list[str] = [row[-1] for row in rows if row[-1]]
    if syntax == "patch":
        return [_cells(float(row[0]), float(row[1]), cells) for row in rows if row[0]], others
    boxes = [(float(a), float(b), float(c), float(d)) for a, b, c, d, _ in rows if a]
    if bare and not boxes and not others and syntax in _BARE:
        numbers = _pattern(_BARE[syntax]).fullmatch(text.strip())
        if numbers is not None:
            a, b, c, d = map(float, numbers.groups())
            return [(a, b, c, d)], []
    return boxes, others


def _cells(first: float, last: float, cells: int) -> Box:
    """Return the box that reaches from one cell to another, in cells; infinite for cells that do not exist.

    As transformers' processing_kosmos2.py reads it: from the middle of one cell to the middle of the other, as a corner
    may lie anywhere in its cell; of cells in one row or column, to their outer edges.
    """
    if not (first < cells * cells and last < cells * cells):
        return (inf, inf, inf, inf)
    top, left = divmod(int(first), cells)
    bottom, right = divmod(int(last), cells)
    if top == bottom or left == right:
        return (float(left), float(top), right + 1.0, bottom + 1.0)
    return (left + 0.5, top + 0.5, right + 0.5, bottom + 0.5)


def _named_boxes(text: str) -> list[Box]:
    """Return the boxes of named fields, in any order: four different names in a row are a box."""
    boxes: list[Box] = []
    fields: dict[int, str] = {}
    for a, b, c, d, *names, number in _pattern(SYNTAX["named"]).findall(text):
        if a:
            boxes.append((float(a), float(b), float(c), float(d)))
        elif number:  # else the name of a thing
            which = next(place for place, name in enumerate(names) if name)
            if which in fields:  # the box before has a field too few
                fields = {}
            fields[which] = number
            if len(fields) == 4:
                boxes.append((float(fields[0]), float(fields[1]), float(fields[2]), float(fields[3])))
                fields = {}
    return boxes
