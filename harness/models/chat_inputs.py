"""What a checkpoint's own processor makes of prompts: the chat as its template writes it, and the tensors of a batch.

Whoever runs the weights here, transformers or vLLM, asks with the very same texts, tokens and pictures.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, cast

from PIL import Image
from transformers import AutoProcessor, BatchFeature
from transformers import __version__ as transformers_version

from harness.errors import ConfigError, UserError
from harness.images.grid import fit_to_grid
from harness.models.base import Prompt, Turn, is_out_of_memory
from harness.models.checkpoint import Checkpoint, own_limits
from harness.models.checkpoint_files import CheckpointError
from harness.models.control_tokens import ControlTokens, tokens_of_folder
from harness.models.decoding import Decoding
from harness.models.input_sizes import ImageProcessor, fills_up, told_sizes
from harness.models.processor_files import assemble
from harness.models.token_roles import AddedToken, dropped_ids
from harness.values import Json, PixelLimits, Size

KINDS_OF_TOKENS = "mm_token_type_ids"
"""The tensor that says which tokens are text, which stand for pictures and which for videos."""
_PROBE = "satori-bench-system-probe"
_TRIAL_SIDE_PX = 224
"""Side of the picture in the question that is asked before all others: every family takes it."""


class _ImageProcessor(ImageProcessor, Protocol):
    """What is used of an image processor."""

    size: object


class _Tokenizer(Protocol):
    """What is used of a tokenizer."""

    padding_side: str
    pad_token: str | None
    pad_token_id: int | None
    eos_token: str | None
    eos_token_id: int | None
    bos_token: str | None
    all_special_ids: list[int]
    added_tokens_decoder: dict[int, AddedToken]

    def decode(self, token_ids: list[int], *, skip_special_tokens: bool, clean_up_tokenization_spaces: bool) -> str: ...

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]: ...

    def convert_ids_to_tokens(self, ids: int) -> str: ...


class _Processor(Protocol):
    """What is used of a processor."""

    tokenizer: _Tokenizer
    image_processor: _ImageProcessor
    chat_template: object

    def apply_chat_template(
        self, conversation: list[dict[str, object]], *, tokenize: bool, add_generation_prompt: bool, **variables: Json
    ) -> str: ...

    def __call__(self, **arguments: object) -> BatchFeature: ...


class ChatInputs:
    """Makes texts and tensors of prompts, and reads tokens as text again."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        limits: PixelLimits | None,
        *,
        given_limits: tuple[int | None, int | None] = (None, None),
        template_kwargs: Mapping[str, Json],
        trust_remote_code: bool,
    ) -> None:
        """Load a checkpoint's processor.

        Args:
            checkpoint: Whose.
            limits: The grid that pictures are brought to; None where its processor resizes by a rule of its own.
            given_limits: Pixel limits of a person's, lower and upper, for a processor with a rule of its own.
            template_kwargs: Variables of the chat template.
            trust_remote_code: Whether code that comes with the checkpoint may run.

        Raises:
            CheckpointError: as `load_processor`.
        """
        self.processor = load_processor(checkpoint, limits, trust_remote_code=trust_remote_code)
        set_limits(self.processor.image_processor, own_limits(checkpoint, *given_limits))
        self.tokenizer = self.processor.tokenizer
        # Inputs are made in a thread; a tokenizer that another one is using may say "already borrowed".
        self._tokenizer_lock = threading.Lock()
        self.limits = limits
        """The grid; None where there is none."""
        self.template_kwargs = template_kwargs
        """Variables of the chat template."""
        self._fills_up = limits is None and fills_up(self.processor.image_processor)
        self._tokens = ControlTokens(
            {*_placeholder_texts(self.processor), *tokens_of_folder(checkpoint.processor.tokenizer_folder)}
        )
        self._has_system_role = has_system_role(self.processor)

    @property
    def trial(self) -> Prompt:
        """The question that is asked before all others: what fails on it would fail on every sample."""
        picture = Image.linear_gradient("L").resize((_TRIAL_SIDE_PX, _TRIAL_SIDE_PX)).convert("RGB")
        turn = Turn("user", (fit_to_grid(picture, self.limits), "Where is it dark?"))
        return Prompt("trial", 0, 0, (turn,), Decoding(max_new_tokens=1))

    def render(self, turns: Sequence[Turn]) -> str:
        """Write the chat as the model's template does."""
        spoken = turns if self._has_system_role else fold_system_turns(turns)
        conversation: list[dict[str, object]] = [
            {"role": turn.role, "content": [self._template_part(part, turn.role) for part in turn.parts]}
            for turn in spoken
        ]
        return self.processor.apply_chat_template(
            conversation, tokenize=False, add_generation_prompt=True, **self.template_kwargs
        )

    def tensors(self, prompts: Sequence[Prompt]) -> BatchFeature:
        """Make model inputs of a batch, padded on the left, on the CPU."""
        texts = [self.render(prompt.turns) for prompt in prompts]
        arguments: dict[str, object] = {"text": texts, "padding": True, "return_tensors": "pt"}
        if all(map(self._begins_by_itself, texts)):
            arguments["add_special_tokens"] = False
        if _must_be_asked_for_kinds(self.processor):
            arguments[f"return_{KINDS_OF_TOKENS}"] = True
        if prompts[0].images:
            # One list per sample: families that cut images into tiles must know whose they are.
            arguments["images"] = [list(prompt.images) for prompt in prompts]
            return self._processed(**arguments)
        try:
            return self._processed(**arguments)
        except Exception as error:
            raise ValueError(
                f"{type(self.processor).__name__} takes no question without a picture ({first_line(error)}): a blind "
                "run of this family needs --blind grey"
            ) from error

    def _processed(self, **arguments: object) -> BatchFeature:
        with self._tokenizer_lock:
            return self.processor(**arguments)

    def input_sizes(self, prompts: Sequence[Prompt], inputs: BatchFeature) -> list[Size | None]:
        """Return the size of each prompt's first image as the model sees it; None where its processor does not tell.

        Images that were brought to a grid of ours are checked against it.
        """
        seen = told_sizes(inputs, self.processor.image_processor)
        pictures = [image.size for prompt in prompts for image in prompt.images]
        if seen is None or len(seen) != len(pictures) or self._fills_up:
            return [None] * len(prompts)
        if self.limits is not None and seen != [Size(*size) for size in pictures]:
            raise RuntimeError(
                f"the processor resized images from {pictures} to {[(size.width, size.height) for size in seen]}: "
                "boxes would be read in a wrong frame"
            )
        firsts: list[Size | None] = []
        for prompt in prompts:
            count = len(prompt.images)
            firsts.append(seen[0] if count else None)
            seen = seen[count:]
        return firsts

    def token_ids(self, text: str) -> list[int]:
        """Return the tokens of a text that `render` wrote, a mark for each picture."""
        return list(self.tokenizer.encode(text, add_special_tokens=not self._begins_by_itself(text)))

    def tokens_of(self, text: str) -> list[int]:
        """Return the tokens of a text that stands inside of a chat, such as an answer."""
        return list(self.tokenizer.encode(text, add_special_tokens=False))

    def dropped(self, framing: Iterable[int]) -> frozenset[int]:
        """Return the special tokens that decoding drops; `framing` ends a text or stands for pictures."""
        template = written_chat(self.processor, has_system_role=self._has_system_role)
        return dropped_ids(self.tokenizer, framing=framing, template=template)

    def decoded(self, token_ids: Sequence[int], dropped: frozenset[int]) -> str:
        """Return the text of tokens, without those that are dropped."""
        with self._tokenizer_lock:
            return self.tokenizer.decode(
                [token for token in token_ids if token not in dropped],
                skip_special_tokens=False,
                clean_up_tokenization_spaces=False,
            )

    def _begins_by_itself(self, text: str) -> bool:
        """Whether the template wrote the token that begins a text already; twice would be another prompt."""
        bos = self.tokenizer.bos_token
        return bos is not None and bos != "" and text.startswith(bos)

    def _template_part(self, part: object, role: str) -> dict[str, object]:
        """Write one part for the template; a placeholder written in a question must not call for an image."""
        if not isinstance(part, str):
            return {"type": "image"}
        return {"type": "text", "text": self._tokens.taken_apart(part, spoken=role == "assistant")}


def load_processor(checkpoint: Checkpoint, limits: PixelLimits | None, *, trust_remote_code: bool) -> _Processor:
    """Load the processor, pad on the left, and give its image processor the pixel limits.

    Its files are laid together in a folder of their own first, under the names that this transformers knows; a
    checkpoint whose own code runs is loaded as it is.

    Raises:
        CheckpointError: transformers cannot load it, or finds no processor of both texts and images.
    """
    with tempfile.TemporaryDirectory(prefix="satori-processor-") as folder:
        source = Path(folder)
        if trust_remote_code:
            source = checkpoint.processor.tokenizer_folder
        else:
            assemble(checkpoint.processor, source)
        with loading("the processor", checkpoint.processor.tokenizer_folder, read_from=source):
            loaded = cast(
                "object",
                AutoProcessor.from_pretrained(  # pyright: ignore[reportUnknownMemberType]  # transformers leaves it untyped
                    source, trust_remote_code=trust_remote_code, padding_side="left"
                ),
            )
    if not (hasattr(loaded, "tokenizer") and hasattr(loaded, "image_processor")):
        raise CheckpointError(
            f"{checkpoint.path}: transformers {transformers_version} has no processor of texts and images for "
            f"model_type {checkpoint.model_type}, only a {type(loaded).__name__}: name a processor_class that it knows "
            "in processor_config.json"
        )
    processor = cast("_Processor", loaded)
    if checkpoint.processor.template is not None:
        processor.chat_template = checkpoint.processor.template.text
    processor.tokenizer.padding_side = "left"
    if processor.tokenizer.pad_token_id is None:
        # Padding is masked, so any token will do where a tokenizer has neither of the two.
        processor.tokenizer.pad_token = processor.tokenizer.eos_token or processor.tokenizer.convert_ids_to_tokens(0)
    if limits is not None:
        size = type(processor.image_processor.size)
        edges = {"shortest_edge": limits.min_pixels, "longest_edge": limits.max_pixels}
        processor.image_processor.size = size(**edges)
    return processor


def set_limits(image_processor: object, settings: Mapping[str, int | dict[str, int]]) -> None:
    """Give an image processor its settings; those inside of another one change it and leave its others."""
    for name, value in settings.items():
        if not isinstance(value, dict):
            setattr(image_processor, name, value)
            continue
        before = getattr(image_processor, name)  # a dictionary, or transformers' own kind of one
        setattr(image_processor, name, type(before)(**{**dict(before), **value}))


@contextmanager
def loading(what: str, folder: Path, *, read_from: Path | None = None) -> Generator[None]:
    """Turn what transformers or peft raise on a checkpoint into words for whoever gave it.

    Where it is `read_from` another folder than the checkpoint's, nobody knows that one.

    Raises:
        CheckpointError: something was raised.
        ConfigError: memory ran out.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise ConfigError(
                f"{what} of {folder} does not fit into memory: give a smaller --dtype, another --device, or serve it "
                f"over several GPUs and ask it with --backend openai ({first_line(error)})"
            ) from error
        said = first_line(error).replace(str(read_from or folder), str(folder))
        raise CheckpointError(
            f"transformers {transformers_version} cannot load {what} of {folder}: {said}. Save it again "
            "with this version, install what it asks for, or serve it with vLLM or SGLang and ask it with --backend "
            "openai --base-url URL (--debug shows where it failed)"
        ) from error


def first_line(error: BaseException) -> str:
    """Return the kind of an error and the first line of what it says."""
    said = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {said[:300]}" if said else type(error).__name__


def _must_be_asked_for_kinds(processor: object) -> bool:
    """Whether a processor's model needs the kind of each token, and the processor gives it only when it is asked to."""
    needed = KINDS_OF_TOKENS in cast("Sequence[str]", getattr(processor, "model_input_names", ()))
    return needed and not getattr(processor, f"return_{KINDS_OF_TOKENS}", False)


def written_chat(processor: _Processor, *, has_system_role: bool) -> str:
    """Return a short chat with a picture as the template writes it: its special tokens take turns or frame pictures.

    Empty where the template bears no answer in a chat.
    """
    question: dict[str, object] = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": _PROBE}]}
    chat: list[dict[str, object]] = [
        question,
        {"role": "assistant", "content": [{"type": "text", "text": _PROBE}]},
        question,
    ]
    if has_system_role:
        chat.insert(0, {"role": "system", "content": [{"type": "text", "text": _PROBE}]})
    try:
        return processor.apply_chat_template(chat, tokenize=False, add_generation_prompt=False)
    except Exception:  # noqa: BLE001 - a template raises what its author chose
        return ""


def _placeholder_texts(processor: _Processor) -> tuple[str, ...]:
    """Return the texts that a processor replaces by images or videos."""
    texts = (getattr(processor, name, None) for name in ("image_token", "video_token"))
    return tuple(text for text in texts if isinstance(text, str) and len(text) > 1)


def has_system_role(processor: _Processor) -> bool:
    """Whether the chat template writes a system turn; some refuse it, some drop it in silence."""
    turns = [("system", _PROBE), ("user", "?")]
    conversation: list[dict[str, object]] = [
        {"role": role, "content": [{"type": "text", "text": text}]} for role, text in turns
    ]
    try:
        text = processor.apply_chat_template(conversation, tokenize=False, add_generation_prompt=True)
    except Exception:  # noqa: BLE001 - a template raises what its author chose
        return False
    return _PROBE in text


def fold_system_turns(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """Put system turns at the head of the first user turn, for a chat template that has no system role."""
    instructions = [part for turn in turns if turn.role == "system" for part in turn.parts if isinstance(part, str)]
    others = [turn for turn in turns if turn.role != "system"]
    if not instructions or not others:
        return tuple(others)
    first, *rest = others
    return (Turn(first.role, ("\n".join(instructions) + "\n\n", *first.parts)), *rest)
