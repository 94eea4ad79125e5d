"""`satori_hf`: any vision-language checkpoint that transformers can load, asked in batches that are refilled.

    lmms-eval --model satori_hf --model_args pretrained=CKPT,max_pixels=401408 --batch_size auto --tasks ...

Images are brought to the model's own grid first and the size that the model saw is checked against the processor's.
Nothing is filled in from the checkpoint's generation_config.json but the end and padding tokens, see
`harness/models/decoding.py`. Image and video placeholders are never generated: an untrained checkpoint would otherwise
fill its text with tokens that stand for pictures.

A row that ends makes room for the next question (`refill.py`) where the model's memory is a plain cache of keys and
values; models of another kind, and searches with beams, are asked in batches that end with their longest answer.
Sampling draws each sample's randomness from a generator of its own, seeded by (seed, task, row, repeat).
"""

from __future__ import annotations

import inspect
import os
import time
import warnings
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Protocol, TypedDict, cast

import torch
import transformers
from transformers import BatchFeature, GenerationConfig, PreTrainedTokenizerBase
from transformers.generation.logits_process import LogitsProcessor, LogitsProcessorList

from harness.errors import ConfigError, IncompleteError, UserError
from harness.models.base import FIRST_AUTO_BATCH, Prompt, RecordingModel, is_out_of_memory
from harness.models.chat_inputs import KINDS_OF_TOKENS, ChatInputs, first_line, loading
from harness.models.checkpoint import Checkpoint, inspect_checkpoint, override_limits
from harness.models.checkpoint_files import CheckpointError, adapter_files, stored_tensors
from harness.models.decoding import Decoding, cut_at_stop, sample_seed
from harness.models.device_options import DTYPES, check_device_options
from harness.models.extra_fields import check_template_kwargs, read_json_object
from harness.models.picture_features import PictureFeatures
from harness.models.refill import Group, Steps, answers
from harness.models.refilled_rows import Ends, NotRefillableError, RefilledRows, Row
from harness.models.token_choice import BrokenLogitsError, LogitWatch, SeededSampling, shaping
from harness.values import Generation, Json

_PLACEHOLDER_IDS = (
    "image_token_id",
    "image_token_index",
    "video_token_id",
    "video_token_index",
    "vision_start_token_id",
    "vision_end_token_id",
    "vision_token_id",
    "boi_token_index",
    "eoi_token_index",
)
"""Where configurations keep the tokens that stand for or surround pictures."""
OF_OTHERS = (
    "Processor, chat template, configuration and weights may not be of one model: compare them with those of its base"
)
_OR_ATTENTION = "; or the attention is not for this family: try --attn-implementation eager"
"""What may be wrong with a checkpoint that cannot answer a first question."""
_ADAPTER = "default"
"""What peft calls an adapter that is given no name."""
_GIB = 1 << 30
_FREE_BEFORE_READING = MappingProxyType({"cpu": 2})
"""New prompts are read when one in so many rows is free, by the kind of device; any other: 8. One by one, what
`generate` costs beside the model outweighs short answers (8 rows of 24 tokens: 1.28 times as long); a GPU's steps cost
as much with few rows as with many, so that it does not wait for half of them."""
_MOST_AUTO_BATCH = 64
"""Larger batches gain little and make a kill cost more."""


class _Rows(Protocol):
    """An integer tensor of two dimensions, as far as it is read."""

    def tolist(self) -> list[list[int]]: ...


class _LoadingInfo(TypedDict):
    """What transformers says of a load."""

    missing_keys: Iterable[str]
    mismatched_keys: Iterable[tuple[str, tuple[int, ...], tuple[int, ...]]]


class _Ends(Protocol):
    """What is kept of a checkpoint's generation configuration."""

    eos_token_id: int | list[int] | None


class _HasEnds(Protocol):
    """Something that a checkpoint's generation configuration belongs to."""

    @property
    def generation_config(self) -> object: ...


class _HasEndToken(Protocol):
    """A tokenizer, as far as it names what ends a text."""

    eos_token_id: int | None


class _AdapterLoader(Protocol):
    """What is used of peft's model class."""

    def from_pretrained(self, model: torch.nn.Module, model_id: str) -> _Adapted: ...


class _TokenLayers(Protocol):
    """A model that tells by which layers tokens go in and come out."""

    def get_input_embeddings(self) -> object: ...
    def get_output_embeddings(self) -> object: ...


class _Resizable(Protocol):
    """A model whose embeddings can be given other rows."""

    def resize_token_embeddings(self, new_num_tokens: int, *, mean_resizing: bool) -> object: ...


class _LoadedKeys(Protocol):
    """What peft says of laying an adapter's tensors on a model."""

    unexpected_keys: list[str]


class _Adapted(Protocol):
    """A model with its adapter on top."""

    def load_adapter(self, model_id: str, adapter_name: str) -> _LoadedKeys: ...
    def merge_and_unload(self) -> torch.nn.Module: ...


class _Config(Protocol):
    """What is used of a model configuration."""

    tie_word_embeddings: bool
    is_encoder_decoder: bool

    def get_text_config(self) -> _TextConfig: ...
    def to_dict(self) -> dict[str, object]: ...


class _TextConfig(Protocol):
    """What is used of the configuration of a model's text half."""

    vocab_size: int
    tie_word_embeddings: bool


class _Model(Protocol):
    """What is used of a model."""

    config: _Config
    generation_config: _Ends
    dtype: torch.dtype

    def eval(self) -> object: ...
    def forward(self, **arguments: object) -> object: ...
    def generate(self, **arguments: object) -> torch.Tensor: ...


@dataclass(frozen=True, slots=True)
class Written:
    """What a model wrote to one prompt, as text and as tokens."""

    generation: Generation
    """The text and its costs."""
    token_ids: tuple[int, ...]
    """The new tokens as they were drawn, the end token included, padding not."""


class SatoriHF(RecordingModel):
    """A transformers checkpoint as an lmms-eval chat model."""

    def __init__(  # noqa: PLR0913 - the names are lmms-eval's --model_args
        self,
        pretrained: str,
        *,
        device: str = "auto",
        dtype: str = "auto",
        batch_size: int | str = 1,
        max_batch_size: int | None = None,
        min_pixels: int | None = None,
        max_pixels: int | None = None,
        attn_implementation: str | None = None,
        trust_remote_code: bool = False,
        revision: str | None = None,
        seed: int = 0,
        chat_template_kwargs: str | Mapping[str, Json] | None = None,
        chat_template: str | Path | None = None,
        module: torch.nn.Module | None = None,
    ) -> None:
        """Load a checkpoint; everything that can be checked without loading is checked first.

        Args:
            pretrained: Checkpoint folder, hub id, or adapter folder (merged into its base).
            device: `auto` (a GPU if there is one), or as torch writes it.
            dtype: `auto` (bfloat16 on a GPU that has it, else float16; float32 on a CPU), or as torch writes it.
            batch_size: Samples a batch, or `auto`: a guess that halves when memory runs out.
            max_batch_size: Upper bound for `auto`.
            min_pixels: Replaces the checkpoint's lower pixel limit.
            max_pixels: Replaces the checkpoint's upper pixel limit.
            attn_implementation: As in transformers; None leaves it to transformers, which knows what a family bears.
            trust_remote_code: Whether code that comes with the checkpoint may run.
            revision: Of a hub id.
            seed: Of sampled decoding.
            chat_template_kwargs: Variables of the chat template, such as `enable_thinking`; a mapping, or its JSON.
            chat_template: File of a chat template in place of the checkpoint's own.
            module: The checkpoint's model, in memory already, such as one in training (`harness/models/live.py`); None
                loads it.

        Raises:
            CheckpointError: the checkpoint cannot be evaluated, or what was loaded cannot answer a question.
            ConfigError: device, dtype, batch size or pixel limits are wrong.
        """
        check_device_options(device, dtype, batch_size, attn_implementation)
        super().__init__(batch_size=batch_size, max_batch_size=max_batch_size)
        self.device = choose_device(device)
        self.checkpoint = inspect_checkpoint(
            pretrained,
            revision=revision,
            trust_remote_code=trust_remote_code,
            chat_template=None if chat_template is None else Path(chat_template),
        )
        self.pixel_limits = override_limits(self.checkpoint, min_pixels, max_pixels)
        self._seed = seed
        template_kwargs = read_json_object(chat_template_kwargs, "chat_template_kwargs")
        check_template_kwargs(template_kwargs)
        self._inputs = ChatInputs(
            self.checkpoint,
            self.pixel_limits,
            given_limits=(min_pixels, max_pixels),
            template_kwargs=template_kwargs,
            trust_remote_code=trust_remote_code,
        )
        tokenizer = self._inputs.tokenizer
        with cannot_answer(self.checkpoint, "its processor makes no input", OF_OTHERS):
            self.model_inputs([self._inputs.trial])
        if module is None:
            self._model = _load_model(
                self.checkpoint,
                self.device,
                choose_dtype(dtype, self.device),
                attn_implementation=attn_implementation,
                trust_remote_code=trust_remote_code,
            )
        else:
            self._model = cast("_Model", module)
        self._features = PictureFeatures(self.module)
        self._end_ids = end_ids(self._model, tokenizer)
        neutral = GenerationConfig(eos_token_id=sorted(self._end_ids) or None, pad_token_id=tokenizer.pad_token_id)
        # With what a decoder beside an encoder begins; it has no prompt of its own.
        neutral.decoder_start_token_id = _decoder_start(self._model)
        self._model.generation_config = cast("_Ends", neutral)
        placeholders = placeholder_ids(self._model.config)
        self._suppressed_ids = placeholders - self._end_ids
        self._dropped_ids = self._inputs.dropped(placeholders | self._end_ids)
        self._ends: Ends | None = None
        self.why_batches = self._why_not_refillable()
        """Why answers come in batches that end with their longest; None where rows are refilled as they end."""
        if self.why_batches is not None:
            with cannot_answer(self.checkpoint, "it was loaded, but makes no answer", f"{OF_OTHERS}{_OR_ATTENTION}"):
                self.write_batch([self._inputs.trial])
        self.start_batches_at(_guess_batch_size(self.device))

    def refusal(self, error: Exception) -> str | None:
        """Return why a sample that ended in this error is not answered; None for what a person has to mend.

        Raises:
            IncompleteError: the device is lost, and with it every further sample.
        """
        if isinstance(error, UserError):
            return None
        if _is_device_lost(error):
            raise IncompleteError(
                f"the device gave up ({first_line(error)}): what was recorded is kept, and the same command goes on "
                "from there"
            ) from error
        return str(error) if isinstance(error, BrokenLogitsError) else first_line(error)

    def generate_batch(self, prompts: Sequence[Prompt]) -> list[Generation]:
        """Generate for one batch. Seconds on the device are shared evenly among its samples."""
        return [written.generation for written in self.write_batch(prompts)]

    def write_batch(self, prompts: Sequence[Prompt]) -> list[Written]:
        """Generate for one batch and keep the tokens, which the text alone does not give back."""
        decoding = prompts[0].decoding
        group = self._group(prompts)
        watch = LogitWatch()
        started = time.perf_counter()
        with torch.inference_mode(), self._on_device(group) as inputs:
            sequences = self._model.generate(
                **inputs,
                **self._generation_arguments(decoding),
                **self._stop_arguments(decoding),
                logits_processor=LogitsProcessorList([watch, *self._sampling(prompts)]),
            )
        # The copy to the host waits for the device, so the clock stops after it.
        token_rows = cast("_Rows", new_tokens(sequences, group.inputs["input_ids"], self._model.config)).tolist()
        share_s = (time.perf_counter() - started) / len(prompts)
        watch.check()
        return [
            self._written(row, decoding, Generation("", size, counted, None, share_s))
            for row, size, counted in zip(token_rows, group.input_sizes, group.input_tokens, strict=True)
        ]

    def is_streamed(self, decoding: Decoding) -> bool:
        """Whether rows are refilled as they end: not where a search with beams keeps several of each together."""
        return self.why_batches is None and decoding.num_beams == 1

    def answer_stream(self, prompts: Iterator[Prompt]) -> Iterator[tuple[Prompt, Generation | Exception]]:
        """Answer prompts in rows that are refilled; each has its share of the seconds on the device."""
        steps = Steps(self._group, self._begin, self._generation, self.batch_guard)
        together = max(1, self.batch_size // _FREE_BEFORE_READING.get(self.device.type, 8))
        for prompt, outcome in answers(prompts, steps, most_rows=self.batch_size, together=together):
            if isinstance(outcome, NotRefillableError):  # not as the first question was: one without a picture, say
                yield prompt, self.generate_batch([prompt])[0]
            else:
                yield prompt, outcome

    def _why_not_refillable(self) -> str | None:
        """Return why rows of this model cannot be refilled; None where they can, as the first question shows."""
        try:
            rows = self._begin(self._group([self._inputs.trial]))
            rows.step()
            self._generation(rows.rows[0])
        except NotRefillableError as why:
            return str(why)
        except Exception as error:  # noqa: BLE001 - asked again as a batch, which says what is wrong
            return first_line(error)
        return None

    def _group(self, prompts: Sequence[Prompt]) -> Group:
        """Make the inputs of prompts that are read together."""
        inputs = self.model_inputs(prompts)
        mask = inputs["attention_mask"]
        if not bool(mask[:, -1].all()):
            raise RuntimeError("the processor padded on the right; generation would continue the padding")
        input_tokens = cast("list[int]", mask.sum(dim=1).tolist())
        return Group(
            prompts, inputs, self._inputs.input_sizes(prompts, inputs), input_tokens, self._names_of_pictures(prompts)
        )

    @contextmanager
    def _on_device(self, group: Group) -> Generator[dict[str, torch.Tensor]]:
        """Lend inputs on the device, floats in the model's format, while it is known which pictures they are of."""
        with self._features.asked_about(group.picture_names):
            yield self.on_device(group.inputs)

    def _begin(self, group: Group) -> RefilledRows:
        """Read prompts and write the first token of each."""
        decoding = group.prompts[0].decoding
        rows = [
            Row(prompt, size, counted, generator)
            for prompt, size, counted, generator in zip(
                group.prompts, group.input_sizes, group.input_tokens, self._generators(group.prompts), strict=True
            )
        ]
        # Made once: stop strings are looked up in the whole vocabulary.
        if self._ends is None or (self._ends.decoding, self._ends.end_ids) != (decoding, self._end_ids):
            tokenizer = cast("PreTrainedTokenizerBase", self._inputs.tokenizer)
            self._ends = Ends.of(decoding, self._end_ids, tokenizer)
        with self._on_device(group) as inputs:
            return RefilledRows.begin(self.module, rows, inputs, self._generation_arguments(decoding), self._ends)

    def _generation(self, row: Row) -> Generation:
        """Make a generation of a row that has ended.

        Raises:
            BrokenLogitsError: its logits tell no token from another.
        """
        if row.broken is not None:
            raise BrokenLogitsError(row.broken)
        costs = Generation("", row.input_size, row.input_tokens, None, row.device_s)
        return self._written(row.tokens, row.prompt.decoding, costs).generation

    def _is_taken(self, name: str) -> bool:
        """Whether the model takes a tensor of its processor; some processors make kinds of tokens for no model."""
        return name != KINDS_OF_TOKENS or KINDS_OF_TOKENS in inspect.signature(type(self._model).forward).parameters

    @property
    def module(self) -> torch.nn.Module:
        """The model itself, in evaluation mode and with every gradient switched off."""
        return cast("torch.nn.Module", self._model)

    @property
    def image_processor(self) -> object:
        """What makes patches of pictures."""
        return self._inputs.processor.image_processor

    def on_device(self, inputs: BatchFeature) -> dict[str, torch.Tensor]:
        """Return a batch of inputs as the model takes them, on its device."""
        moved = cast("Mapping[str, torch.Tensor]", inputs.to(self.device, self._model.dtype))  # pyright: ignore[reportUnknownMemberType]  # untyped
        return {name: tensor for name, tensor in moved.items() if self._is_taken(name)}

    def remembered(self, prompts: Sequence[Prompt]) -> AbstractContextManager[None]:
        """Return a block in which the features of these prompts' pictures are kept, and taken from what is kept."""
        return self._features.asked_about(self._names_of_pictures(prompts))

    def _names_of_pictures(self, prompts: Sequence[Prompt]) -> tuple[bytes, ...]:
        """Return what tells the prompts' pictures apart, in order."""
        return self._features.names_of([image for prompt in prompts for image in prompt.images])

    @property
    def suppressed_ids(self) -> frozenset[int]:
        """Tokens that are never generated: those that stand for or surround pictures."""
        return self._suppressed_ids

    def release_memory(self) -> None:
        """Give cached GPU memory back before a smaller batch is tried."""
        super().release_memory()
        self._features.forget()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def model_inputs(self, prompts: Sequence[Prompt]) -> BatchFeature:
        """Make model inputs of a batch, padded on the left, on the CPU."""
        return self._inputs.tensors(prompts)

    def sent_text(self, prompt: Prompt) -> str:
        """Return the prompt after the chat template, before the processor puts the picture's tokens into it."""
        return self._inputs.render(prompt.turns)

    def _generation_arguments(self, decoding: Decoding) -> dict[str, object]:
        """Return what `generate` is told; sampling is done by `SeededSampling` on top of greedy search."""
        arguments: dict[str, object] = {
            "max_new_tokens": decoding.max_new_tokens,
            "do_sample": False,
            "num_beams": decoding.num_beams,
            "repetition_penalty": decoding.repetition_penalty,
        }
        if self._suppressed_ids:
            arguments["suppress_tokens"] = sorted(self._suppressed_ids)
        return arguments

    def _stop_arguments(self, decoding: Decoding) -> dict[str, object]:
        """Return what `generate` is told of stop strings."""
        if not decoding.until:
            return {}
        return {"stop_strings": list(decoding.until), "tokenizer": self._inputs.tokenizer}

    def _sampling(self, prompts: Sequence[Prompt]) -> list[LogitsProcessor]:
        """Return what shapes and draws each token of a batch; nothing for greedy and beam search."""
        decoding = prompts[0].decoding
        drawn = [generator for generator in self._generators(prompts) if generator is not None]
        return [*shaping(decoding), SeededSampling(drawn)] if decoding.sampled else []

    def _generators(self, prompts: Sequence[Prompt]) -> list[torch.Generator | None]:
        """Return what each prompt's tokens are drawn by; None where they are not drawn."""
        if not prompts[0].decoding.sampled:
            return [None] * len(prompts)
        seeds = [sample_seed(self._seed, prompt.task, prompt.drawn_by, prompt.repeat) for prompt in prompts]
        return [torch.Generator(self.device).manual_seed(seed) for seed in seeds]

    def _written(self, row: Sequence[int], decoding: Decoding, costs: Generation) -> Written:
        """Make a generation of one row of new tokens: cut at its end, decode, find out why it ended."""
        end = next((i for i, token in enumerate(row) if token in self._end_ids), None)
        written = list(row) if end is None else list(row[:end])
        if end is None:  # ended by a stop string, then padded up to the longest row; or by the budget
            pad = self._inputs.tokenizer.pad_token_id
            while written and written[-1] == pad:
                written.pop()
        text, stopped = cut_at_stop(self.text_of(written), decoding.until)
        generation = Generation(
            text=text,
            input_size=costs.input_size,
            input_tokens=costs.input_tokens,
            output_tokens=len(written) + (end is not None),
            device_s=costs.device_s,
            truncated=end is None and not stopped,
        )
        # Only stop strings pad a row that has no end token: elsewhere a padding token in it was drawn like any other.
        drawn = written if end is None and decoding.until else row[: None if end is None else end + 1]
        return Written(replace(generation, output_ids=tuple(drawn)), tuple(drawn))

    def ids_of(self, text: str) -> list[int]:
        """Return the tokens that the tokenizer makes of an answer's text; others may have been drawn."""
        return self._inputs.tokens_of(text)

    def text_of(self, token_ids: Sequence[int]) -> str:
        """Return the text of generated tokens, without those that only frame it."""
        return self._inputs.decoded(token_ids, self._dropped_ids)


def new_tokens(sequences: torch.Tensor, prompts: torch.Tensor, config: _Config) -> torch.Tensor:
    """Return what was generated, (prompts, new tokens).

    Most families return the prompt before it. A decoder with an encoder returns its start token; some families that
    turn their prompt into embeddings return nothing before it.
    """
    if getattr(config, "is_encoder_decoder", False):
        return sequences[:, 1:]
    width = prompts.shape[1]
    begins_with_prompt = sequences.shape[1] >= width and torch.equal(sequences[:, :width].cpu(), prompts.cpu())
    return sequences[:, width:] if begins_with_prompt else sequences


def choose_device(device: str) -> torch.device:
    """Return the device to run on; with one process per GPU, this process's own.

    Raises:
        ConfigError: there is no such device.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise ConfigError(f"device {device!r} is not known: give auto, cpu, cuda or cuda:1") from error
    if chosen.type == "cuda":
        if not torch.cuda.is_available():
            raise ConfigError(f"device {device!r}: this machine has no usable GPU; give --device cpu")
        return chosen if ":" in device else torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return chosen


def choose_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """Return the number format to compute in; on a CPU `auto` is float32, where half formats are slow.

    Raises:
        ConfigError: the format is not known.
    """
    if dtype == "auto":
        if device.type != "cuda":
            return torch.float32
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    if dtype not in DTYPES:
        raise ConfigError(f"dtype {dtype!r} is not known: give auto, {', '.join(DTYPES)}")
    return cast("torch.dtype", getattr(torch, dtype))


def _load_model(
    checkpoint: Checkpoint,
    device: torch.device,
    dtype: torch.dtype,
    *,
    attn_implementation: str | None,
    trust_remote_code: bool,
) -> _Model:
    """Load the model, merge the adapter if it is one, and put it on the device."""
    with loading("the model", checkpoint.model_path):
        model, info = cast(
            "tuple[torch.nn.Module, _LoadingInfo]",
            getattr(transformers, checkpoint.auto_class).from_pretrained(
                checkpoint.model_path,
                dtype=dtype,
                attn_implementation=attn_implementation,
                trust_remote_code=trust_remote_code,
                device_map={"": device},
                ignore_mismatched_sizes=True,  # refused below, with both sizes
                output_loading_info=True,
            ),
        )
    mismatched = sorted(info["mismatched_keys"])
    if mismatched:
        name, stored, wanted = mismatched[0]
        raise CheckpointError(
            f"{checkpoint.model_path}: {len(mismatched)} tensors have other sizes than config.json asks for, such as "
            f"{name}: {tuple(stored)} in the weights, {tuple(wanted)} by the configuration. Take the config.json that "
            "was saved with these weights"
        )
    missing = sorted(info["missing_keys"])
    if missing:
        raise CheckpointError(
            f"{checkpoint.model_path} lacks {len(missing)} tensors of its model, such as {missing[0]}: they would be "
            "random. Save the whole model, or give an adapter folder as an adapter (with adapter_config.json)"
        )
    if checkpoint.is_adapter:
        model = merge_adapter(model, checkpoint)
    model.requires_grad_(requires_grad=False)
    loaded = cast("_Model", model)
    loaded.eval()
    return loaded


def merge_adapter(model: torch.nn.Module, checkpoint: Checkpoint) -> torch.nn.Module:
    """Merge an adapter into its base, which is brought to the adapter's number of tokens first.

    Raises:
        CheckpointError: peft cannot lay the adapter on this base, or cannot merge it.
    """
    from peft import PeftModel  # noqa: PLC0415 - only adapters need it

    with warnings.catch_warnings(), loading("the adapter", checkpoint.path):
        if checkpoint.resize_embeddings_to is not None:
            # Whatever rows this adds are the adapter's own a line below; their first values do not matter.
            cast("_Resizable", model).resize_token_embeddings(checkpoint.resize_embeddings_to, mean_resizing=False)
        # peft only warns when an adapter's tensors find no place, and the base would be scored in the adapter's name.
        warnings.filterwarnings("error", message="Found missing adapter keys")
        ends = _token_layers(model)
        try:
            adapted = cast("_AdapterLoader", PeftModel).from_pretrained(model, str(checkpoint.path))
        except UserWarning as error:
            raise CheckpointError(
                f"the adapter {checkpoint.path} does not fit its base {checkpoint.base}: {str(error)[:300]}. "
                "Save it again with this version of transformers and peft, or merge it where it was trained"
            ) from error
        # Of tensors that find no module it says nothing at all, and part of an adapter would be scored as the whole.
        # Only this call tells; it lays the same tensors on the same modules once more.
        left = _left_over(adapted.load_adapter(str(checkpoint.path), _ADAPTER).unexpected_keys, checkpoint.path)
        if left:
            raise CheckpointError(
                f"the adapter {checkpoint.path} does not fit its base {checkpoint.base}: {len(left)} of its tensors "
                f"find no module, such as {left[0]}. Save it again with this version of "
                "transformers and peft, or merge it where it was trained"
            )
        if _token_layers(model) != ends:
            _untie(model)
        return adapted.merge_and_unload()


def _left_over(names: Iterable[str], adapter: Path) -> list[str]:
    """Return an adapter's tensors that found no module, as its file calls them.

    Told to save embeddings, peft writes a layer that is trained whole twice: as `lm_head.weight`, which it lays on the
    model, and as `lm_head.modules_to_save.weight`, which it does not.
    """
    stored = {name for file in adapter_files(adapter) for name in stored_tensors(file)}
    left = sorted(name.replace(f".{_ADAPTER}", "") for name in names)
    return [name for name in left if name.replace(".modules_to_save", "") not in stored - {name}]


def _token_layers(model: torch.nn.Module) -> tuple[object, object]:
    """Return the layers that tokens go in and come out by."""
    layers = cast("_TokenLayers", model)
    return layers.get_input_embeddings(), layers.get_output_embeddings()


def _untie(model: torch.nn.Module) -> None:
    """Give every layer a weight of its own where embeddings and head share one.

    An adapter is trained beside the base's weights: what it adds to the embeddings is none of the head's. Merged into
    a shared weight it would change both.
    """
    seen: set[int] = set()
    for module in model.modules():
        weight = dict(module.named_parameters(recurse=False)).get("weight")
        if weight is not None and id(weight) in seen:
            module.register_parameter("weight", torch.nn.Parameter(weight.detach().clone(), requires_grad=False))
        elif weight is not None:
            seen.add(id(weight))
    configuration = cast("_Model", model).config
    for part in (configuration, configuration.get_text_config()):
        part.tie_word_embeddings = False


@contextmanager
def cannot_answer(checkpoint: Checkpoint, found: str, mend: str) -> Generator[None]:
    """Say that the question before all others failed, and why.

    Raises:
        CheckpointError: it did.
        ConfigError: memory ran out.
    """
    try:
        yield
    except UserError:
        raise
    except BrokenLogitsError as error:
        raise CheckpointError(
            f"{checkpoint.path} holds no working model: on a first question, {error}. A training that diverged saves "
            "such weights: take an earlier checkpoint; where half precision overflows, give --dtype float32 or bfloat16"
        ) from error
    except Exception as error:
        if is_out_of_memory(error):
            raise ConfigError(
                f"{checkpoint.path}: out of memory on a first question with one small picture ({first_line(error)}): "
                "give another --device or a smaller --dtype"
            ) from error
        raise CheckpointError(
            f"{checkpoint.path} cannot be asked about pictures: {found} of a question with one ({first_line(error)}). "
            f"{mend} (--debug shows where it failed)"
        ) from error


def _is_device_lost(error: BaseException) -> bool:
    """Whether a GPU can no longer be used by this process: after such an error every call fails."""
    text = str(error)
    return isinstance(error, RuntimeError) and ("CUDA error" in text or "device-side assert" in text)


def end_ids(model: _HasEnds, tokenizer: _HasEndToken) -> frozenset[int]:
    """Return the tokens that end a text: the checkpoint's, and the tokenizer's."""
    named = cast("_Ends", model.generation_config).eos_token_id
    ends = {named} if isinstance(named, int) else set(named or ())
    if tokenizer.eos_token_id is not None:
        ends.add(tokenizer.eos_token_id)
    return frozenset(ends)


def _decoder_start(model: _Model) -> int | None:
    """Return the token that a decoder beside an encoder begins with; None for a decoder alone."""
    if not getattr(model.config, "is_encoder_decoder", False):
        return None
    found = getattr(model.generation_config, "decoder_start_token_id", None)
    return found if found is not None else getattr(model.config.get_text_config(), "decoder_start_token_id", None)


def placeholder_ids(config: _Config) -> frozenset[int]:
    """Return the tokens that stand for or surround pictures, as far as the configuration names them."""
    named = config.to_dict()
    vocabulary = config.get_text_config().vocab_size
    ids = (named.get(name) for name in _PLACEHOLDER_IDS)
    return frozenset(token for token in ids if isinstance(token, int) and 0 <= token < vocabulary)


def _guess_batch_size(device: torch.device) -> int:
    """Return where `auto` starts: a sample of a 3-billion-parameter model takes about a GiB beside its weights."""
    if device.type != "cuda":
        return FIRST_AUTO_BATCH
    free_bytes, _ = torch.cuda.mem_get_info(device)
    return max(1, min(int(free_bytes // _GIB), _MOST_AUTO_BATCH))
