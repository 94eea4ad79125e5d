"""Which of a tokenizer's special tokens are no part of what a model wrote: ends, padding, turns and pictures.

Families make very different things special. Some of it frames a text: its end, its padding, whose turn it is, where a
picture stands. The rest is the text: `<box>`, `<|box_start|>`, `<loc_12>`, `<|ref|>`, `<think>`. Dropping all that is
special, as `skip_special_tokens` does, melts two boxes into one row of digits. So what goes is told by its role:

- what the tokenizer itself calls its end, padding, begin and the like;
- the ends of the checkpoint's generation configuration, and the placeholders of its configuration;
- what the chat template writes around turns and pictures;
- what known families call their ends and turns, since a template writes no `<|endoftext|>`; and names of pictures.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Protocol

from harness.models.control_tokens import PLACE_MARK, STAGE_TAGS
from harness.scoring.surroundings import ENDS, MARK_TOKENS

_FRAMING = ("bos_token", "eos_token", "pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
"""Roles that transformers' tokenizers have names for."""

_TURNS = frozenset(
    {
        *("<|im_start|>", "<|im_user|>", "<|im_assistant|>", "<|im_system|>", "<|im_middle|>", "<|startoftext|>"),
        *("<|user|>", "<|assistant|>", "<|system|>", "<|observation|>", "<|begin_of_text|>", "<|begin_of_sentence|>"),
        *("<|start_header_id|>", "<|end_header_id|>", "<|header_start|>", "<|header_end|>", "<|start|>", "<|turn|>"),
        *("<|START_OF_TURN_TOKEN|>", "<|USER_TOKEN|>", "<|CHATBOT_TOKEN|>", "<|SYSTEM_TOKEN|>", "<|start_of_role|>"),
        *("<|end_of_role|>", "<start_of_turn>", "<|turn>", "<|User|>", "<|Assistant|>"),
        *("<｜User｜>", "<｜Assistant｜>", "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"),
        *("[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"),
        *("[gMASK]", "<sop>", "<eop>", "<s>", "</s>", "<bos>", "<pad>", "<unk>", "[PAD]", "[UNK]", "[CLS]", "[SEP]"),
    }
)
"""What families begin turns and texts with, where neither tokenizer nor template tells."""

# A whole word between the signs of a token: <image>, <|video_pad|>, <start_of_image>, <fake_token_around_image>,
# <global-img>, [IMG_BREAK], <IMG_CONTEXT>, <|vision_start|>, <|media_pad|>, <slice>, <row_1_col_2>, <|tile_y|>;
# not <patch_index_0044>: Kosmos-2 writes its boxes so.
_PICTURE = re.compile(
    r"(?i)(?<![a-z])(image|img|im_patch|im_start|im_end|video|vision|audio|media|slice|tile|row_\d+_col_\d+)(?![a-z])"
)


class AddedToken(Protocol):
    """What is used of an added token."""

    content: str
    special: bool


class SpecialTokens(Protocol):
    """What is used of a tokenizer."""

    all_special_ids: list[int]

    @property
    def added_tokens_decoder(self) -> Mapping[int, AddedToken]:
        """Return added tokens by id."""
        ...

    def convert_ids_to_tokens(self, ids: int) -> str:
        """Return a token's text."""
        ...


def dropped_ids(tokenizer: SpecialTokens, *, framing: Iterable[int] = (), template: str = "") -> frozenset[int]:
    """Return the special tokens that decoding drops.

    Args:
        tokenizer: Of the checkpoint.
        framing: Ids that end a text or stand for pictures, as the checkpoint's configuration names them.
        template: A chat as the checkpoint's template writes it, a picture and an answer in it; empty where not known.
    """
    added = {token for token, entry in tokenizer.added_tokens_decoder.items() if entry.special}
    named = {getattr(tokenizer, role, None) for role in _FRAMING}
    framed = frozenset(framing)
    dropped: set[int] = set()
    for token in added | set(tokenizer.all_special_ids):
        text = tokenizer.convert_ids_to_tokens(token)
        if text in STAGE_TAGS or text in MARK_TOKENS or PLACE_MARK.search(text):
            continue  # what is scored, whatever a template writes
        known = text in _TURNS or text in ENDS or _PICTURE.search(text) is not None
        if known or token in framed or text in named or (template and text in template):
            dropped.add(token)
    return frozenset(dropped)
