"""How a place is asked for: the words that each family of models knows, and words that fit all.

A family's own words are used where the format has no stages (`plain`): there the model answers as it was trained to.
Where a format asks for stages, and for families whose words no source gives, the question is put in neutral words, and
the format says how boxes are written. Whatever is written is read in the run's box dialect.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from harness.values import AnswerRule

_NEUTRAL: Final[Mapping[AnswerRule, str]] = {
    "box": "Give the bounding box of the region that this describes: {what}",
    "point": "Give the point of the screen to click on for this instruction: {what}",
}
"""Words that every family understands."""


@dataclass(frozen=True, slots=True)
class FamilyPrompt:
    """A family's own words for "give the box of ..."."""

    box: str
    """With `{what}` where the thing is named."""
    source: str
    """Where these words are given, or the practice that they follow."""
    point: str | None = None
    """The same for a point; None where no source gives any."""


_QWEN_JSON: Final = FamilyPrompt(
    "Locate {what}, output its bbox coordinates using JSON format.",
    "Qwen2.5-VL's and Qwen3-VL's cookbooks (spatial_understanding.ipynb, 2d_grounding.ipynb)",
)

PROMPTS: Mapping[str, FamilyPrompt] = {
    "qwen2_vl": FamilyPrompt(
        "Find and give the bounding box of <|object_ref_start|>{what}<|object_ref_end|>",
        "its own marks (ms-swift templates/qwen.py), in the words that its users ask with",
    ),
    "qwen2_5_vl": _QWEN_JSON,
    "qwen3_vl": _QWEN_JSON,
    "qwen3_vl_moe": _QWEN_JSON,
    "qwen3_5": _QWEN_JSON,
    "qwen3_5_moe": _QWEN_JSON,
    "internvl": FamilyPrompt(
        "Please provide the bounding box coordinate of the region this sentence describes: <ref>{what}</ref>",
        "OpenGVLab/InternVL internvl_chat/eval/refcoco/evaluate_grounding.py",
    ),
    "paligemma": FamilyPrompt("detect {what}", "the task prefix of Google's PaliGemma model cards"),
    "florence2": FamilyPrompt(
        "Locate the phrases in the caption: {what}", "transformers processing_florence2.py, CAPTION_TO_PHRASE_GROUNDING"
    ),
    "kosmos-2": FamilyPrompt("<grounding><phrase> {what}</phrase>", "transformers' page of Kosmos-2"),
    "llava": FamilyPrompt(
        "Please provide the bounding box coordinate of the region this sentence describes: {what}",
        "haotian-liu/LLaVA, its training data of referring expressions",
    ),
}
"""Model type to its words; those of other families are neutral."""


def place_question(rule: AnswerRule, what: str, model_type: str = "") -> str:
    """Return the request for a place.

    Args:
        rule: `box` or `point`.
        what: The expression or instruction.
        model_type: Whose own words; empty, or a family without any, for neutral ones.
    """
    family = PROMPTS.get("internvl" if model_type.startswith("internvl") else model_type)
    own = None if family is None else family.box if rule == "box" else family.point
    # no str.format: braces in the expression are its own
    return (own or _NEUTRAL[rule]).replace("{what}", what.strip())
