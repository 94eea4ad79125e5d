"""Keep what a question says from steering the model: control tokens written in its text are taken apart.

A question may hold the very text that a model family uses for a picture, a turn or the end of a text. Written as it
is, a processor or a server counts one picture more than it got, refuses, or ends the turn; so a blank goes in after its
first character, which no tokenizer takes for the token. Both backends use this one function with the same tokens, so
that both ask the same: those of every known family, and the checkpoint's own where its folder is at hand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import cast

_BARRED = r"<\|[^\s|<>]{1,64}\|>|<｜[^\s｜<>]{1,64}｜>"
"""What Qwen, Llama, Phi, GLM, ERNIE, Kimi and DeepSeek write theirs like: `<|image_pad|>`, `<｜User｜>`."""

_NAMED = (
    # a picture, a video or a sound, or their borders
    "<image>", "</image>", "<video>", "</video>", "<image_placeholder>", "<image_soft_token>", "<audio_soft_token>",
    "<start_of_image>", "<end_of_image>", "<IMG_CONTEXT>", "<img>", "</img>", "<im_start>", "<im_end>", "<im_patch>",
    "<fake_token_around_image>", "<global-img>", "<image_start>", "<image_end>", "<image_newline>", "<vision_start>",
    "<vision_end>", "<patch>", "<audio>", "[IMG]", "[IMG_BREAK]", "[IMG_END]",
    # a turn, or the end of a text
    "<start_of_turn>", "<end_of_turn>", "<end_of_utterance>", "<bos>", "<eos>", "<s>", "</s>", "<pad>", "<unk>",
    "[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[gMASK]", "<sop>", "<eop>",
)  # fmt: skip
"""Those of families that write them otherwise: LLaVA, InternVL, Gemma, Idefics, SmolVLM, Mistral, MiniCPM, GLM."""

STAGE_TAGS = frozenset(
    f"<{slash}{stage}>" for stage in ("caption", "bbox", "thinking", "think", "answer") for slash in ("", "/")
)
"""Our own prompts name these, whatever a tokenizer makes of them."""


# What marks a place or what is spoken of: <box>, </ref>, <|box_start|>, <|object_ref_start|>, <|det|>, <loc_12>,
# <loc0123>, <|LOC_1|>, <x_52>, <patch_index_0044>, <quad>, <|point_start|>, <phrase>, <bbox>. A template that explains
# them to the model doesn't make them marks of a turn.
PLACE_MARK = re.compile(
    r"(?i)(?<![a-z])(b?box|quad|poly(?:gon)?|points?|ref|det|loc|[xy]_?\d+|patch_index|phrase|object|grounding)(?![a-z])"
)


class ControlTokens:
    """The texts that are taken apart in a prompt."""

    def __init__(self, own: Iterable[str] = ()) -> None:
        """Take every known family's, and those of one checkpoint."""
        named = {*_NAMED, *(token for token in own if _is_control(token))}
        # the longest first: a token may begin another
        alternatives = [re.escape(token) for token in sorted(named, key=lambda token: (-len(token), token))]
        self._pattern = re.compile("|".join([_BARRED, *alternatives]))

    def taken_apart(self, text: str, *, spoken: bool = False) -> str:
        """Return the text with a blank after the first character of each control token; any other text as it is.

        Args:
            text: What a question says, or a model.
            spoken: Whether a model said it in an earlier turn: its marks of places stay what they are.
        """
        return self._pattern.sub(
            lambda found: found[0] if spoken and PLACE_MARK.search(found[0]) else f"{found[0][0]} {found[0][1:]}", text
        )

    def first_in(self, text: str) -> str | None:
        """Return the first control token in a text; None for a text that is asked as it is."""
        found = self._pattern.search(text)
        return found[0] if found else None


def _is_control(token: str) -> bool:
    """Whether a checkpoint's special token can be told from ordinary words, and is none of our tags."""
    return len(token) > 1 and token == token.strip() and not token.isalnum() and token not in STAGE_TAGS


def tokens_of_folder(folder: Path) -> frozenset[str]:
    """Return the special tokens that a checkpoint's folder declares; none where it declares none that can be read.

    Read from `tokenizer.json` and `tokenizer_config.json`, without any library, so that a served checkpoint and the
    same one loaded here are asked alike.
    """
    found: set[str] = set()
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        try:
            found.update(_declared(json.loads((folder / name).read_text(encoding="utf-8"))))
        except (OSError, ValueError, RecursionError):
            continue  # not there, or damaged: loading the checkpoint says so
    return frozenset(found)


def _declared(value: object) -> Iterator[str]:
    """Yield the special tokens of one of a tokenizer's files."""
    fields = cast("dict[str, object]", value) if isinstance(value, dict) else {}
    added = fields.get("added_tokens")
    listed = cast("list[object]", added) if isinstance(added, list) else []
    decoder = fields.get("added_tokens_decoder")
    listed += list(cast("dict[str, object]", decoder).values()) if isinstance(decoder, dict) else []
    for entry in listed:
        token = cast("dict[str, object]", entry) if isinstance(entry, dict) else {}
        if token.get("special") is True and isinstance(token.get("content"), str):
            yield cast("str", token["content"])
    for name, token in fields.items():
        if name.endswith("_token"):
            text = cast("dict[str, object]", token).get("content") if isinstance(token, dict) else token
            if isinstance(text, str):
                yield text
    more = fields.get("additional_special_tokens", fields.get("extra_special_tokens"))
    for token in cast("list[object]", more) if isinstance(more, list) else []:
        if isinstance(token, str):
            yield token
