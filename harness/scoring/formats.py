"""The grounded formats: where a text holds its thought, its answer and its boxes, a row each.

`harness/scoring/stages.py` reads SATORI's stages and the bare text, `harness/scoring/marked_text.py` every other row. A
row is data, and so is a person's own (`harness/scoring/own_format.py`): no work has code of its own here.

What a row says of its work was looked up in the places that its `source` names. Words that a checkpoint was trained on
are its authors'; all others are ours.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final, cast

from harness.errors import ConfigError, did_you_mean
from harness.scoring.box_dialects import dialect_words
from harness.values import (
    FORMATS,
    STAGE_FORMATS,
    AnyFormat,
    BoxDialect,
    Format,
    GroundedFormat,
    Json,
    Protocol,
)

_THINK: Final = ("<think>", "</think>")
_ANSWER: Final = ("<answer>", "</answer>")
_TOOL_CALL: Final = ("<tool_call>", "</tool_call>")
_LIST_OF_INPUT: Final = BoxDialect("list", "xyxy", "input_px")
_FRACTIONS: Final = BoxDialect("list", "xyxy", 1.0)

_ZOOM_SYSTEM: Final = (
    "You answer questions about an image. You may look closer: the function image_zoom_in_tool crops a region of the "
    "image and shows it larger. To call it, write "
    '<tool_call>{"name": "image_zoom_in_tool", "arguments": {"bbox_2d": [x1, y1, x2, y2], "label": "what is there"}}'
    "</tool_call>, in which (x1, y1) is the upper left and (x2, y2) the lower right corner of the region in pixels of "
    "the image."
)
_SIGNATURE: Final = (
    '{"type":"function","function":{"name":"image_zoom_in_tool","description":"Zoom in on a specific region of an '
    'image by cropping it based on a bounding box (bbox) and an optional object label%s","parameters":{"type":"object",'
    '"properties":{"bbox_2d":{"type":"array","items":{"type":"number"},"minItems":4,"maxItems":4,"description":"The '
    "bounding box of the region to zoom in, as [x1, y1, x2, y2], where (x1, y1) is the top-left corner and (x2, y2) is "
    'the bottom-right corner%s"},"label":{"type":"string","description":"The name or label of the object in the '
    'specified bounding box%s"}%s},"required":[%s]}}}'
)
_TOOLS: Final = (
    "# Tools\n%sYou may call one or more functions to assist with the user query.\n%s"
    "You are provided with function signatures within <tools></tools> XML tags:\n<tools>\n%s\n</tools>\n\n%s "
    "within <tool_call></tool_call> XML tags:\n<tool_call>\n"
    '{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call>'
)
_DEEPEYES_SYSTEM: Final = (
    "You are a helpful assistant.\n\n"
    + _TOOLS
    % (
        "",
        "",
        _SIGNATURE % (".", ".", " (optional).", "", '"bbox"'),
        "# How to call a tool\nReturn a json object with function name and arguments",
    )
    + '\n\n**Example**:  \n<tool_call>  \n{"name": "image_zoom_in_tool", "arguments": {"bbox_2d": [10, 20, 100, 200], '
    '"label": "the apple on the desk"}}  \n</tool_call>'
)
_QWEN_SYSTEM: Final = _TOOLS % (
    "\n",
    "\n",
    _SIGNATURE
    % (
        "",
        "",
        "",
        ',"img_idx":{"type":"number","description":"The index of the zoomed-in image (starting from 0)"}',
        '"bbox_2d","label","img_idx"',
    ),
    "For each function call, return a json object with function name and arguments",
)

_ROWS: Final = (
    GroundedFormat(
        name="qwen-json",
        box_key="bbox_2d",
        suffix=(
            "List the regions of the image that matter most for the question as a JSON list of objects "
            '{"bbox_2d": [x1, y1, x2, y2], "label": "what is there"}, then give the final answer on a line of its own.'
        ),
        source="How Qwen2.5-VL and Qwen3-VL write boxes (QwenLM/Qwen3-VL, 2d_grounding.ipynb). Words are ours",
    ),
    GroundedFormat(
        name="treevgr",
        thought=(_THINK,),
        answer=(_ANSWER,),
        boxes=(("<box>", "</box>"),),
        boxes_in="thought",
        dialect=BoxDialect("list", "xyxy", "image_px"),
        suffix=(
            "Think inside <think> and </think>; behind each object that you speak of there, write where it is as "
            "<box>[x1,y1,x2,y2]</box>. Then give the final answer inside <answer> and </answer>."
        ),
        source=(
            "TreeVGR (arXiv 2507.07999; Haochen-Wang409/TreeVGR): its reward compares the numbers with gold pixels as "
            "they are. Words are ours"
        ),
    ),
    GroundedFormat(
        name="grit",
        thought=(_THINK, ("<rethink>", "</rethink>")),
        answer=(_ANSWER, ("<answer>", "")),
        boxes_in="thought",
        box_key="bbox_2d",
        suffix=(
            "First, think between <think> and </think> while output necessary coordinates needed to answer the "
            "question in JSON with key 'bbox_2d'. Then, based on the thinking contents and coordinates, rethink "
            "between <rethink> </rethink> and then answer the question after <answer>."
        ),
        source="GRIT (arXiv 2505.15879; eric-ai-lab/GRIT): the words that its checkpoints were trained on",
    ),
    GroundedFormat(
        name="deepeyes",
        thought=(_THINK,),
        answer=(_ANSWER,),
        boxes=(_TOOL_CALL,),
        boxes_in="calls",
        box_key="bbox_2d",
        boxes_needed=False,
        counted="last",
        dialect=_LIST_OF_INPUT,
        system=_DEEPEYES_SYSTEM,
        suffix=(
            "Think first, call **image_zoom_in_tool** if needed, then answer. Format strictly as:  <think>...</think>  "
            "<tool_call>...</tool_call> (if tools needed)  <answer>...</answer>"
        ),
        source=(
            "DeepEyes (arXiv 2505.14362; Visual-Agent/DeepEyes, prompt.py, version 2): boxes are pixels of the image "
            "that was sent; the words are its authors'"
        ),
    ),
    GroundedFormat(
        name="qwen-zoom",
        answer=(_ANSWER,),
        boxes=(_TOOL_CALL,),
        boxes_in="calls",
        box_key="bbox_2d",
        boxes_needed=False,
        counted="last",
        source_key="img_idx",
        source_image=("0",),
        system=_QWEN_SYSTEM,
        suffix=(
            "Call image_zoom_in_tool where you have to look closer; once you are sure, give the final answer inside "
            "<answer> and </answer>."
        ),
        source=(
            "The zoom tool of Qwen3-VL (QwenLM/Qwen3-VL, think_with_images.ipynb; QwenLM/Qwen-Agent, "
            "image_zoom_in_qwen3vl.py): its signature in the words of Qwen's chat template, the answer's marks ours. "
            "Boxes are written as the model's family does; image 0 is the one that is asked about"
        ),
    ),
    GroundedFormat(
        name="mini-o3",
        thought=(_THINK,),
        answer=(_ANSWER,),
        boxes=(("<grounding>", "</grounding>"),),
        boxes_in="calls",
        box_key="bbox_2d",
        boxes_needed=False,
        counted="last",
        source_key="source",
        source_image=("original_image",),
        source_crop="observation_",
        dialect=_FRACTIONS,
        system=(
            "You are a helpful assistant. Answer the user's question based on the image provided. Output your thinking "
            "process within the <think> and </think> tags. Whenever you find anything unclear, you can zoom in a "
            "specific region in the given image to see more clearly by outputing "
            '<grounding>{"bbox_2d": [x0, y0, x1, y1], "source": "original_image"}</grounding>, where (x0, y0) and '
            "(x1, y1) are the top-left and bottom-right coordinates of the region that you want to zoom in, "
            "respectively (suppose the width and height of the image are 1.0), and 'source' refers to the image that "
            "you zoom in and could be either 'original_image' or 'observation_i'. Once the final answer is confirmed, "
            "put it within <answer> and </answer>."
        ),
        source=(
            "Mini-o3 (arXiv 2509.07969; Mini-o3/Mini-o3): the system turn that its checkpoints were trained on. The "
            "first crop is observation 1; a call that fails shows none"
        ),
    ),
    GroundedFormat(
        name="ground-r1",
        thought=(_THINK,),
        answer=(_ANSWER,),
        boxes=(("<box>", "</box>"),),
        boxes_in="calls",
        counted="last",
        dialect=_LIST_OF_INPUT,
        suffix=(
            "Think inside <think> and </think>. Then name the region that shows the answer as <box>[x1,y1,x2,y2]</box> "
            "in pixels of the image. Then give the final answer inside <answer> and </answer>."
        ),
        source="Ground-R1 (zzzhhzzzz/Ground-R1): pixels of the resized image, whose size it tells. Words are ours",
    ),
    GroundedFormat(
        name="pixel-reasoner",
        answer=(("\\boxed{", "}"),),
        boxes=(_TOOL_CALL,),
        boxes_in="calls",
        box_key="bbox_2d",
        boxes_needed=False,
        counted="last",
        source_key="target_image",
        source_image=("1",),
        first_crop=2,
        dialect=_FRACTIONS,
        system=(
            "You answer questions about an image. You may look closer: the function crop_image_normalized crops a "
            "region of an image and shows it as the next one. To call it, write "
            '<tool_call>{"name": "crop_image_normalized", "arguments": {"bbox_2d": [x1, y1, x2, y2], '
            '"target_image": 1}}</tool_call>, in which the numbers are fractions of the sides of that image, and image '
            "1 is the one that you are given."
        ),
        suffix="Reason step by step, look closer where you are not sure, and put the final answer inside \\boxed{}.",
        source="Pixel Reasoner (arXiv 2505.15966; TIGER-AI-Lab/Pixel-Reasoner): images count from 1. Words are ours",
    ),
    GroundedFormat(
        name="chain-of-focus",
        thought=(_THINK,),
        answer=(_ANSWER,),
        boxes=(("<|box_start|>", "<|box_end|>"), _TOOL_CALL),
        boxes_in="calls",
        boxes_needed=False,
        counted="last",
        system=_ZOOM_SYSTEM,
        suffix=(
            "Think in the mind first, and then decide whether to call tools one or more times OR provide final answer. "
            "Format strictly as: <think>...</think> <tool_call>...</tool_call> <tool_call>...</tool_call> (if any "
            "tools needed) OR <answer>...</answer> (if no tools needed)."
        ),
        source=(
            "Chain-of-Focus (xtong-zhang/Chain-of-Focus): pixels, of which size of the image no source says, so they "
            "are read as the model's family writes; the suffix is its authors', the system turn ours"
        ),
    ),
    GroundedFormat(
        name="rex-thinker",
        thought=(_THINK,),
        answer=(_ANSWER,),
        boxes_in="answer",
        box_key="bbox_2d",
        boxes_needed=False,
        dialect=_LIST_OF_INPUT,
        system=(
            "A conversation between User and Assistant. The user asks a question, and the Assistant solves it. The "
            "assistant first thinks about the reasoning process in the mind and then provides the user with the "
            "answer. The reasoning process and answer are enclosed within <think> </think> and <answer> </answer> "
            "tags, respectively, i.e., <think> reasoning process here </think><answer> answer here </answer>."
        ),
        suffix=(
            'Give the answer as a JSON list of objects {"bbox_2d": [x1, y1, x2, y2], "label": "what is there"}; say so '
            "in words where there is no such object."
        ),
        source=(
            "Rex-Thinker (arXiv 2506.04034; IDEA-Research/Rex-Thinker): pixels of the resized image; the system turn "
            "is its authors', the suffix ours"
        ),
    ),
    GroundedFormat(
        name="multihopspatial",
        answer=(("Answer:", "\n"),),
        boxes=(("Bounding Box:", ""),),
        unit_above_one=1000.0,
        dialect=_FRACTIONS,
        suffix=(
            "\nPlease respond in the following format:\n"
            'Answer: (your choice, e.g., "(a) object name")\n'
            'Bounding Box: {"bbox_2d": [x1, y1, x2, y2]}\n\n'
            "Important: Use NORMALIZED coordinates (0.0 to 1.0).\n"
            'Example: {"bbox_2d": [0.25, 0.1, 0.75, 0.8]}'
        ),
        source=(
            "MultihopSpatial (arXiv 2603.18892; youngwanLEE/multihopspatial): the words of the benchmark; a box with a "
            "number above 1 is read in thousandths there"
        ),
    ),
    GroundedFormat(
        name="refchartqa",
        answer=(("<grounding-sep>", ""),),
        boxes=(("<box>", "</box>"),),
        dialect=BoxDialect("box_tag", "xyxy", 999.0),
        suffix=(
            "First write each region of the chart that shows the answer as <box>x1,y1,x2,y2</box>, in whole numbers "
            "from 0 to 999 across and down the image; then <grounding-sep>; then the final answer and nothing else."
        ),
        source="RefChartQA (evaluate.py of its release): bins from 0 to 999. Words are ours",
    ),
    GroundedFormat(
        name="bbox-docvqa",
        answer_key="answer",
        boxes=(('"bboxes"', ""), ("'bboxes'", "")),
        dialect=BoxDialect("list", "xyxy", "image_px"),
        suffix=(
            'Answer with one JSON object and nothing else: {"bboxes": [[[x1, y1, x2, y2]]], "answer": "the final '
            'answer"}, in which "bboxes" lists for each page the regions that show the answer, in pixels of the page.'
        ),
        source="BBox-DocVQA (Yuwh07/BBox_DocVQA_Bench): pixels of each page. Words are ours",
    ),
    GroundedFormat(
        name="visual-cot",
        dialect=BoxDialect("list", "xyxy", 1.0, padded_to_square=True),
        suffix=(
            "Please provide the bounding box coordinate of the region that can help you answer the question better, "
            "as [x1, y1, x2, y2] in fractions of the sides; then give the final answer on a line of its own."
        ),
        source=(
            "Visual-CoT (arXiv 2403.16999; deepcs233/Visual-CoT): fractions of the image padded to a square. Its box "
            "is a turn of its own, the answer the next: both are read from one text, one behind the other"
        ),
    ),
)

MARKED: Final[Mapping[str, GroundedFormat]] = {row.name: row for row in _ROWS}
"""The published formats by name, in the order of `MARKED_FORMATS`."""


def marked_format(form: AnyFormat) -> GroundedFormat | None:
    """Return the row that `marked_text.py` reads by; None for the formats of `stages.py`.

    Raises:
        ValueError: There is no format of that name.
    """
    if isinstance(form, GroundedFormat):
        return form
    row = MARKED.get(form)
    if row is None and form not in STAGE_FORMATS:
        raise ValueError(f"format {form!r} is not known; choose one of {', '.join(FORMATS)}")
    return row


def format_name(form: AnyFormat) -> str:
    """Return what people call a format."""
    return form.name if isinstance(form, GroundedFormat) else form


def format_named(name: str) -> Format:
    """Return the built-in format of a name.

    Raises:
        ConfigError: There is none; says which is near, and lists all.
    """
    if name in FORMATS:
        return name
    raise ConfigError(
        f"format {name[:60]!r} is not known.{did_you_mean(name, list(FORMATS))} Choose one of {', '.join(FORMATS)}, "
        "or give a file of your own, whose name ends in .toml"
    )


def format_dialect(form: AnyFormat) -> BoxDialect | None:
    """Return how a format has its boxes written; None where that is the model's matter."""
    row = marked_format(form)
    return None if row is None else row.dialect


def has_places(form: AnyFormat) -> bool:
    """Return whether a format asks for boxes: those of `freeform` and `plain` would be read nowhere."""
    return isinstance(form, GroundedFormat) or form not in {"freeform", "plain"}


def check_protocol(form: AnyFormat, protocol: Protocol) -> None:
    """Refuse SATORI's released code for a text that it has no rules for.

    Raises:
        ConfigError: The format is none of those that it reads.
    """
    if protocol == "paper" and marked_format(form) is not None:
        raise ConfigError(
            f"protocol paper is SATORI's released code, which cannot read format {format_name(form)}: take strict, or "
            f"one of the formats {', '.join(STAGE_FORMATS)}"
        )


def definition_of(form: GroundedFormat) -> dict[str, Json]:
    """Return a format as a JSON object, all fields in order: what a manifest stores of a person's own.

    `own_format.format_of_definition` is the way back.
    """
    definition: dict[str, Json] = {}
    for field in fields(form):
        value = getattr(form, field.name)
        definition[field.name] = dialect_words(value) if isinstance(value, BoxDialect) else _as_json(value)
    return definition


def _as_json(value: Any) -> Json:
    """Return a field with lists in place of tuples."""
    if isinstance(value, tuple):
        return [_as_json(item) for item in cast("tuple[Any, ...]", value)]
    return value


def definition_hash(form: GroundedFormat) -> str:
    """Return a hex digest of everything that a format says, its words included."""
    written = json.dumps(definition_of(form), sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(written.encode()).hexdigest()
