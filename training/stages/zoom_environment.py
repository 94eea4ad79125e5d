"""`tools = "zoom"`: in GRPO's rollouts a model may ask to see a region closer, as in `run --tool zoom`.

TRL keeps an environment for each rollout, whose public methods are the tools: the chat template writes their signatures
into the prompt, and reads calls out of what the model writes. What a call is shown follows from
`harness/models/zoom.py`, so that a model is trained with the tool that it is evaluated with. In the words of TRL the
picture goes back as a content block, and counts into `rollouts.max_completion_tokens` with all that is said after it: a
reply for which there is no room left is dropped, and the rollout ends before it.
"""

from __future__ import annotations

import json
from typing import Any, cast

from trl.chat_template_utils import add_response_schema, supports_tool_calling

from harness.errors import ConfigError
from harness.models.base import Prompt, Turn
from harness.models.decoding import Decoding
from harness.models.zoom import Zoom
from harness.models.zoom_words import MOST_TURNS, Words
from harness.values import BoxDialect, Generation, PixelLimits, Size

_BARE = Words(before="", after="", end="", error="Error: {why}.")
"""The chat template writes the marks of a tool's reply."""


class ZoomEnvironment:
    """The picture of one rollout, and what was cut out of it so far."""

    def __init__(self, dialect: BoxDialect, limits: PixelLimits | None) -> None:
        """Take how boxes are written and pictures are shown; TRL resets it for each rollout."""
        self._zoom = Zoom("qwen-zoom", dialect, limits, suffix="", most_turns=MOST_TURNS, words=_BARE)
        self._prompt: Prompt | None = None
        self._input_size: Size | None = None

    def reset(self, **row: Any) -> None:
        """Take a row's picture: `original` as the data have it, and `input_size` as the model sees it."""
        turns = (Turn("user", (row["images"][0],)),)
        self._prompt = Prompt("rollout", 0, 0, turns, Decoding(), originals=(row["original"],))
        self._input_size = cast("Size", row["input_size"])

    def image_zoom_in_tool(self, bbox_2d: list[float], label: str = "") -> list[dict[str, Any]]:
        """Zoom in on a specific region of an image by cropping it based on a bounding box (bbox).

        Args:
            bbox_2d: The bounding box of the region to zoom in, as [x1, y1, x2, y2], where (x1, y1) is the top-left
                corner and (x2, y2) is the bottom-right corner
            label: The name or label of the object in the specified bounding box (optional)

        Returns:
            The region, larger; or an error in words.
        """
        assert self._prompt is not None, "TRL resets an environment before a rollout"
        arguments = {"bbox_2d": bbox_2d, "label": label}
        called = f"<tool_call>{json.dumps({'name': 'image_zoom_in_tool', 'arguments': arguments})}</tool_call>"
        following = self._zoom(self._prompt, Generation(called, input_size=self._input_size))
        if isinstance(following, Generation):  # more calls than any conversation is given
            return [{"type": "text", "text": "Error: the conversation had ended."}]
        self._prompt = following
        return [
            {"type": "text", "text": part} if isinstance(part, str) else {"type": "image", "image": part}
            for part in following.turns[-1].parts
        ]


def check_tools(processor: Any, model: str) -> None:
    """Refuse a checkpoint whose chat template knows no tools, before its weights are loaded.

    Raises:
        ConfigError: It knows none, or TRL cannot read calls in its syntax.
    """
    mend = "train a family whose template has them, such as Qwen3-VL, or leave tools out"
    if not supports_tool_calling(processor):
        raise ConfigError(f"tools: the chat template of {model} writes no tools and no replies of theirs: {mend}")
    if getattr(processor.tokenizer, "response_template", None) is None:
        try:
            add_response_schema(processor)
        except ValueError as fault:
            raise ConfigError(f"tools: TRL does not know how {model} writes calls ({fault}): {mend}") from fault
