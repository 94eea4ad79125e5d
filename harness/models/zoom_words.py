"""What `--tool zoom` says to a model, its bounds, and the formats that have it; no model library is loaded for these.

A reply stands in the user's turn: for each call a picture with words around it, or an error by name, and then what the
work of the format says at the end of each reply.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from harness.errors import ConfigError
from harness.images.crops import LEAST_CELLS, LEAST_SIDE_PX, MOST_RATIO
from harness.scoring.formats import format_name, marked_format
from harness.values import AnyFormat, BoxDialect, GroundedFormat, Json, PixelLimits

ToolName: TypeAlias = Literal["zoom"]
"""The tools that a model can be given."""

DEFAULT_TURNS: Final = 6
"""Replies of the tool after which a conversation ends."""
MOST_TURNS: Final = 32
"""More replies than this cannot be asked for."""
MOST_CALLS: Final = 8
"""Calls of one turn that are replied to with a picture."""

ERRORS: Final = {
    "no_region": "the call names no region: give bbox_2d as four numbers",
    "malformed": "the region cannot be read: give it as four numbers",
    "non_finite": "the region cannot be read: give it as four finite numbers",
    "inverted": "the region is inverted: x1 must be less than x2, and y1 less than y2",
    "degenerate": "the region has no area",
    "point": "a point is no region: give four numbers",
    "quad": "a quadrilateral is no region: give four numbers",
    "out_of_image": "the region lies outside of the image",
    "no_source": "there is no such image",
    "frame_unknown": "a region of that image cannot be placed: name one of the original image",
    "too_thin": "the region is too thin to be shown",
    "too_many": f"only {MOST_CALLS} calls of a turn are carried out",
    "ended": "the conversation had ended",
}
"""Why a call is not carried out: the name, which is stored, and what the model is told. `ended` stands for calls that
nobody replied to: there was an answer beside them, or the turns or the tokens were spent."""


@dataclass(frozen=True, slots=True)
class Words:
    """What the tool says around its pictures; `{turn}` counts from 0, `{number}` is what the format calls the crop."""

    before: str = "<tool_response>"
    """Before a picture."""
    after: str = "</tool_response>"
    """Behind a picture."""
    end: str = "\n{suffix}"
    """Behind all of them; `{suffix}` is what follows the question as well."""
    error: str = "Error: {why}."
    """In place of a picture."""


WORDS: Final = {
    # Visual-Agent/DeepEyes, visual_toolbox_v2.py: as the default
    # Mini-o3/Mini-o3: the words of its checkpoints, slips included
    "mini-o3": Words(
        before="After the above Action {turn}, here is the the zoom-in image (Observation {number}):\n",
        after=".\n",
        end=(
            "Continue your reasoning process inside <think> and </think>. If needed, you can continue to zoom in on "
            "the original image or any of the observations, by outputting <grounding> and </grounding> as before. If "
            "the final answer is confirmed, put your final answer inside <answer> and </answer>."
        ),
        error=(
            "Error: {why}. Please analyze the error information obtained from the function tool and adjust your "
            "response. Countinue your reasoning process inside <think> and </think>.\n"
        ),
    ),
    "pixel-reasoner": Words(before="Here is the cropped image (image {number}):\n", after="\n", end="{suffix}"),
}
"""Where a work's own words are known, or must name the picture; else the default."""


def format_with_calls(form: AnyFormat) -> GroundedFormat:
    """Return a format as a row that has calls and marks of its answer.

    Raises:
        ConfigError: It has none.
    """
    row = marked_format(form)
    if row is None or row.boxes_in != "calls" or not row.boxes or not row.answer:
        raise ConfigError(
            f"--tool zoom needs a format in which a model calls for a region, which {format_name(form)} is not: give "
            "--format qwen-zoom for any model, or that of the checkpoint's work (deepeyes, mini-o3, pixel-reasoner, "
            'chain-of-focus, ground-r1), or one of your own with boxes_in = "calls" and marks of boxes and answer'
        )
    return row


def zoom_facts(form: AnyFormat, most_turns: int) -> dict[str, Json]:
    """Return what a manifest says of the tool: its name, its bound, and a digest of its words and rules."""
    words = WORDS.get(format_name(form), Words())
    rules: list[Json] = [words.before, words.after, words.end, words.error, dict(ERRORS), MOST_CALLS]
    rules += [LEAST_SIDE_PX, MOST_RATIO, LEAST_CELLS]
    digest = hashlib.sha256(json.dumps(rules, sort_keys=True).encode("ascii")).hexdigest()
    return {"name": "zoom", "turns": most_turns, "rules": digest}


def frame_fault(dialect: BoxDialect | None, limits: PixelLimits | None, *, served: bool) -> str | None:
    """Return why no region that a model names could be cut out; None where it can.

    Args:
        dialect: How the model writes boxes; None where that is not known.
        limits: The model's grid; None where it has none of ours.
        served: Whether a server shows the pictures, and so only the grid tells in which size.
    """
    if dialect is None:
        return "--tool zoom cuts out what the model names, and how it writes boxes is not known: give --box-dialect"
    if served and dialect.unit == "input_px" and limits is None:
        return (
            "--tool zoom cuts out what the model names in pixels of what it sees, whose size a server does not tell: "
            "give --model the checkpoint's folder, or --min-pixels and --max-pixels"
        )
    return None
