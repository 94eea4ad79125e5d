"""Builds a tiny Qwen2.5-VL checkpoint from configuration: random weights, a tokenizer trained on the spot, no network.

The sizes are those that learn the tiny Shapes profile on two CPU cores in minutes. They were found together with
`initializer_range` 0.06: with the library's 0.02, models this small stayed at the plateau "format and prior".

    build_tiny_qwen2_5_vl(Path("tiny"), corpus=["Where is the red circle?", "[[0,4,28,32]]"])
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

END_OF_TEXT = "<|endoftext|>"
"""Padding. Never the end token: with one token for both, a truncated text would look finished."""
TURN_START = "<|im_start|>"
"""Opens a turn of the chat."""
TURN_END = "<|im_end|>"
"""Closes a turn of the chat and ends generation."""
IMAGE_TOKEN = "<|image_pad|>"  # noqa: S105  (a token of the vocabulary, not a secret)
"""Stands for one patch group of an image."""
VISION_TOKENS = ("<|vision_start|>", "<|vision_end|>", IMAGE_TOKEN, "<|video_pad|>")
"""What surrounds and stands for images and videos in a prompt."""
STAGE_TAGS = tuple(
    f"<{slash}{stage}>" for stage in ("caption", "bbox", "thinking", "think", "answer") for slash in ("", "/")
)
"""The SATORI tags. Not special: decoding must keep them, or the format could never be right."""
COORDINATES_PX = tuple(range(0, 57, 4))
"""Coordinates of the tiny Shapes canvas; each is one token, so that a box costs nine."""
BOX_PUNCTUATION = ("[[", "]]", "],[")
"""Brackets of a box list; each is one token."""
PATCH_PX = 14
"""Side of a vision patch."""
MERGE = 2
"""Patches per side that become one token."""

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}{{ '<|vision_start|><|image_pad|><|vision_end|>' }}"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}"
    "{{ '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
"""Turns of any role, in order; images where their parts stand."""


@dataclass(frozen=True, slots=True)
class TinyShape:
    """Sizes of the tiny model; the defaults have about 1.8 million parameters."""

    hidden: int = 128
    """Width of the text and of the vision model."""
    layers: int = 4
    """Layers of the text model."""
    heads: int = 4
    """Attention heads of both; the head's width must be a multiple of 16 for the three rotary sections."""
    feed_forward: int = 384
    """Inner width of both feed-forward blocks."""
    vision_layers: int = 2
    """Layers of the vision model, all with full attention."""
    initializer_range: float = 0.06
    """Standard deviation of the random weights."""

    @property
    def rotary_sections(self) -> list[int]:
        """Rotary frequencies for time, height and width; they sum to half a head's width, as 4, 6 and 6 do for 32."""
        half = self.hidden // self.heads // 2
        if half % 8:
            raise ValueError(f"a head of {2 * half} cannot be cut into rotary sections: choose a multiple of 16")
        return [half // 4, 3 * half // 8, 3 * half // 8]


DEFAULT_SHAPE = TinyShape()
"""What `demo` trains."""


def train_tokenizer(
    corpus: Iterable[str], whole_texts: Sequence[str] = (), vocabulary_size: int = 512
) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer on the corpus: any text can be encoded, what the corpus repeats is short.

    Args:
        corpus: Lines of text. An empty corpus gives bytes, the tags and the coordinates.
        whole_texts: Texts that become one token each, such as the benchmark's own instructions: hundreds of tokens
            that are the same in every prompt would cost a model of this size most of its time.
        vocabulary_size: Upper bound on the vocabulary, all added tokens included.

    Raises:
        ValueError: the vocabulary is too small to give each coordinate and bracket a token of its own.
    """
    chat_tokens = [END_OF_TEXT, TURN_START, TURN_END, *VISION_TOKENS]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size - len(STAGE_TAGS) - len(whole_texts),
        special_tokens=chat_tokens,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    lines = list(corpus)
    tokenizer.train_from_iterator(itertools.chain(map(_without_tags, lines), _coordinate_lines(len(lines))), trainer)
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in (*STAGE_TAGS, *whole_texts)])
    _check_single_tokens(tokenizer, whole_texts)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=TURN_END,
        pad_token=END_OF_TEXT,
        extra_special_tokens=[TURN_START, *VISION_TOKENS],
        padding_side="left",
        model_max_length=4096,
    )


def build_tiny_qwen2_5_vl(
    folder: Path,
    corpus: Iterable[str],
    *,
    whole_texts: Sequence[str] = (),
    seed: int = 0,
    shape: TinyShape = DEFAULT_SHAPE,
    max_pixels: int = 512 * 28 * 28,
) -> Path:
    """Save a tiny Qwen2.5-VL with its processor into `folder` and return it; the same arguments, the same bytes.

    Args:
        folder: Made if missing; files of an older checkpoint in it are overwritten.
        corpus: What the tokenizer is trained on: questions, captions and answers of the data to come.
        whole_texts: Texts that become one token each.
        seed: Of the random weights. The global random state is left as it was.
        shape: Sizes of the model.
        max_pixels: Upper pixel limit of the image processor; the lower one is a single token (28 x 28), so that the
            tiny 56 x 56 canvas is not enlarged.
    """
    tokenizer = train_tokenizer(corpus, whole_texts)
    config = _configuration(tokenizer, shape)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen2_5_VLForConditionalGeneration(config)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    image_processor = Qwen2VLImageProcessor(
        patch_size=PATCH_PX, merge_size=MERGE, min_pixels=(PATCH_PX * MERGE) ** 2, max_pixels=max_pixels
    )
    Qwen2_5_VLProcessor(
        image_processor=image_processor,
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(patch_size=PATCH_PX, merge_size=MERGE),
        chat_template=CHAT_TEMPLATE,
    ).save_pretrained(folder)
    return folder


def _configuration(tokenizer: PreTrainedTokenizerFast, shape: TinyShape) -> Qwen2_5_VLConfig:
    """Write the configuration of a model of this shape for this tokenizer."""
    token_id = cast("Callable[[str], int]", tokenizer.convert_tokens_to_ids)
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": shape.hidden,
        "intermediate_size": shape.feed_forward,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.heads,
        "max_position_embeddings": 4096,
        "initializer_range": shape.initializer_range,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10_000.0,
            "mrope_section": shape.rotary_sections,
        },
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "tie_word_embeddings": True,
    }
    vision = {
        "depth": shape.vision_layers,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.feed_forward,
        "num_heads": shape.heads,
        "out_hidden_size": shape.hidden,
        "patch_size": PATCH_PX,
        "spatial_merge_size": MERGE,
        "window_size": 112,
        "fullatt_block_indexes": list(range(shape.vision_layers)),
        "initializer_range": shape.initializer_range,
    }
    return Qwen2_5_VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=token_id(IMAGE_TOKEN),
        video_token_id=token_id("<|video_pad|>"),
        vision_start_token_id=token_id("<|vision_start|>"),
        vision_end_token_id=token_id("<|vision_end|>"),
        tie_word_embeddings=True,
    )


def _without_tags(line: str) -> str:
    """Take the tags out of a training line: they are added as whole tokens, so pieces of them would waste merges."""
    for tag in STAGE_TAGS:
        line = line.replace(tag, "\n")
    return line


def _coordinate_lines(corpus_lines: int) -> Iterator[str]:
    """Yield box lists often enough that every coordinate and bracket earns a merge beside such a corpus."""
    numbers = ",".join(map(str, COORDINATES_PX))
    return itertools.repeat(f"[[{numbers}],[{numbers}]]", 16 + corpus_lines)


def _check_single_tokens(tokenizer: Tokenizer, whole_texts: Sequence[str]) -> None:
    """Raise unless each coordinate, bracket, tag and whole text is one token."""
    texts = [*map(str, COORDINATES_PX), *BOX_PUNCTUATION, *STAGE_TAGS, *whole_texts]
    split = [text for text in texts if len(tokenizer.encode(text).ids) != 1]
    if split:
        raise ValueError(f"the vocabulary is too small for {split} as single tokens: raise vocabulary_size")
