"""`satori_vllm`: a checkpoint that vLLM runs in this process's own engine, asked as a stream.

    lmms-eval --model satori_vllm --model_args pretrained=CKPT,tensor_parallel=2 --batch_size auto --tasks ...

vLLM decodes what it has room for and takes the next sample when one ends, so nobody waits for the longest answer of a
batch. It is given the tokens of the very text that transformers would read and pictures at the model's own grid size;
of a first question its tokens are held against the checkpoint's own processor, of every other their number. Text is
made of the tokens here, as for transformers: which special tokens belong to an answer is no engine's affair.

What vLLM fills in by itself from generation_config.json is switched off (`harness/models/decoding.py`), but for the end
tokens. An adapter is applied by vLLM as it is, never merged.
"""

# vLLM is not installed where this is checked: its own environment pins other versions. What is used of it is annotated.
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import math
import os
import re
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from queue import Queue
from typing import Protocol, cast

import torch
from transformers import AutoConfig, GenerationConfig

from harness.errors import ConfigError, IncompleteError, UserError
from harness.models.answer_probability import AnswerAfter
from harness.models.base import Prompt, RecordingModel
from harness.models.chat_inputs import ChatInputs, first_line
from harness.models.checkpoint import inspect_checkpoint, override_limits, own_limits
from harness.models.checkpoint_files import CheckpointError, read_json
from harness.models.decoding import cut_at_stop, sample_seed
from harness.models.device_options import check_device_options
from harness.models.extra_fields import check_template_kwargs, read_json_object
from harness.models.hf import (
    cannot_answer,
    choose_device,
    choose_dtype,
    end_ids,
    placeholder_ids,
)
from harness.models.processor_files import assemble
from harness.models.token_choice import BrokenLogitsError
from harness.models.vllm_options import DEFAULT_GPU_MEMORY, check_gpu_memory, check_tensor_parallel, lora_rank
from harness.values import Generation, Json, Size

# Finding out about a GPU may use it, and a process that was forked from one that did cannot.
os.environ.setdefault("VLLM_WORKER_MULTIPROC_METHOD", "spawn")
_LIBRARY = import_module("vllm")
_ENGINE_ARGS = import_module("vllm.engine.arg_utils").EngineArgs
_ENGINE = import_module("vllm.v1.engine.llm_engine").LLMEngine
_SAMPLING = import_module("vllm").SamplingParams
_FINAL_ONLY = import_module("vllm.sampling_params").RequestOutputKind.FINAL_ONLY
_LORA_REQUEST = import_module("vllm.lora.request").LoRARequest
_ENGINE_DEAD = cast("type[Exception]", import_module("vllm.v1.engine.exceptions").EngineDeadError)

_BY_TRANSFORMERS = "--backend hf asks it by transformers, with the checkpoint's own processor"
_ON_GPU, _ON_CPU = 256, 32
"""Samples under way at once where nobody says how many."""
_TRIES = 3
"""Times that a request is given to vLLM which it hands back unanswered, such as one whose picture it has forgotten."""
_WAITING_SHARE = 8
"""One sample waits beside so many that are decoded, so that no place stands empty."""
_LOOK_EVERY_S = 1.0
"""So often it is looked whether vLLM's process has died."""
_ANSWERED = frozenset({"stop", "length"})
"""Reasons for which an answer ends by itself; `abort` and `error` are no answers."""
_PICTURE_IDS = ("image_token_id", "image_token_index")
"""Where configurations keep the token that stands for a part of a picture."""
_NAMES_A_PROCESSOR = frozenset({"chat_template.json", "adapter_config.json"})
"""Files whose place is taken by those that `assemble` writes, or that are not the model's."""
_MOST_READ_BYTES = 1 << 20
"""So much is read of the end of vLLM's log."""
_FIT_LENGTH = -1
"""vLLM's word for the longest texts for which there is memory."""
_UNIFORM = 1e-3
"""Difference to the log-probability of one token among all that are alike, by which logits count as the same."""
_GIB = 1 << 30
# What a traceback ends with: `(EngineCore pid=7) ERROR 11-29 [core.py:9] torch.OutOfMemoryError: CUDA out of memory...`
_CAUSE = re.compile(r"\b([A-Z]\w*(?:Error|Exception)): ([^\n]*\S)")
_NO_CAUSES = (
    "Engine core initialization failed",
    "EngineCore encountered an issue",
    "WorkerProc initialization failed",
)
"""What vLLM says of an error further down."""
_MEMORY = re.compile(
    r"(?i)out of memory|outofmemory|no available memory|free memory on device|cannot allocate memory|kv cache"
)


class UnansweredError(RuntimeError):
    """vLLM gave a request back without an answer."""


class _TextConfig(Protocol):
    """What is used of the configuration of a model's text half."""

    vocab_size: int
    tie_word_embeddings: bool


class _Config(Protocol):
    """What is used of a model's configuration."""

    tie_word_embeddings: bool
    is_encoder_decoder: bool

    def get_text_config(self) -> _TextConfig: ...
    def to_dict(self) -> dict[str, object]: ...


@dataclass(frozen=True, slots=True)
class _Holder:
    """Holds a generation configuration, as a model does."""

    generation_config: GenerationConfig
    """Names the end tokens."""


class _LogProbability(Protocol):
    """Of one token."""

    logprob: float


class _Completion(Protocol):
    """What is used of an answer of vLLM's."""

    token_ids: Sequence[int]
    cumulative_logprob: float | None
    logprobs: Sequence[Mapping[int, _LogProbability]] | None
    finish_reason: str | None


class _Output(Protocol):
    """What is used of what vLLM says of a request."""

    request_id: str
    finished: bool
    prompt_token_ids: list[int] | None
    prompt_logprobs: Sequence[Mapping[int, _LogProbability] | None] | None
    outputs: Sequence[_Completion]


class _Resources(Protocol):
    """What vLLM knows of its processes."""

    engine_dead: bool


class _EngineCore(Protocol):
    """The process that holds the weights."""

    resources: _Resources
    outputs_queue: Queue[object]

    def shutdown(self) -> None: ...


class _Engine(Protocol):
    """What is used of vLLM's engine."""

    engine_core: _EngineCore

    def add_request(self, request_id: str, prompt: object, params: object, *, lora_request: object) -> object: ...

    def step(self) -> list[_Output]: ...

    def abort_request(self, request_ids: list[str]) -> None: ...


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is to be asked of vLLM."""

    prompt: Prompt
    """The chat with its pictures."""
    parameters: object
    """How it is decoded."""
    place: int = 0
    """Whatever number the caller knows it by."""
    after: tuple[int, ...] = ()
    """Tokens that the model is made to have written already."""


@dataclass(frozen=True, slots=True)
class _UnderWay:
    """A request that vLLM works on."""

    wanted: _Wanted
    """What was asked."""
    tries: int
    """Times it was given to vLLM."""
    began_at_s: float
    """The clock of shared seconds when it was given first."""


class SatoriVLLM(RecordingModel):
    """A checkpoint in vLLM as an lmms-eval chat model."""

    is_continuous = True

    def __init__(  # noqa: PLR0913 - the names are lmms-eval's --model_args
        self,
        pretrained: str,
        *,
        tensor_parallel: int | str = 1,
        gpu_memory: float | str = DEFAULT_GPU_MEMORY,
        device: str = "auto",
        dtype: str = "auto",
        batch_size: int | str = "auto",
        max_batch_size: int | None = None,
        min_pixels: int | None = None,
        max_pixels: int | None = None,
        trust_remote_code: bool = False,
        revision: str | None = None,
        seed: int = 0,
        chat_template_kwargs: str | Mapping[str, Json] | None = None,
        chat_template: str | Path | None = None,
    ) -> None:
        """Start vLLM on a checkpoint; everything that can be checked without it is checked first.

        Args:
            pretrained: Checkpoint folder, hub id, or LoRA adapter folder.
            tensor_parallel: GPUs that the model is cut over.
            gpu_memory: Share of each GPU's memory that vLLM takes.
            device: `auto`: vLLM takes the GPUs that it sees (CUDA_VISIBLE_DEVICES), or the CPU where it is built so.
            dtype: As for `satori_hf`.
            batch_size: Samples under way at once, or `auto`.
            max_batch_size: Upper bound for `auto`.
            min_pixels: Replaces the checkpoint's lower pixel limit.
            max_pixels: Replaces the checkpoint's upper pixel limit.
            trust_remote_code: Whether code that comes with the checkpoint may run.
            revision: Of a hub id.
            seed: Of sampled decoding.
            chat_template_kwargs: Variables of the chat template; a mapping, or its JSON.
            chat_template: File of a chat template in place of the checkpoint's own.

        Raises:
            CheckpointError: the checkpoint cannot be evaluated, or vLLM cannot load it or answer a question with it.
            ConfigError: an option is wrong, or there is too little memory.
        """
        check_device_options(device, dtype, batch_size)
        if device not in {"auto", "cuda", "cpu"}:
            raise ConfigError(f"vLLM takes the GPUs that it sees, not {device}: choose them with CUDA_VISIBLE_DEVICES")
        super().__init__(batch_size=batch_size, max_batch_size=max_batch_size)
        self.checkpoint = inspect_checkpoint(
            pretrained,
            revision=revision,
            trust_remote_code=trust_remote_code,
            chat_template=None if chat_template is None else Path(chat_template),
        )
        self.device = choose_device("auto")
        on_gpu = self.device.type == "cuda"
        self._shape = read_json(self.checkpoint.model_path / "config.json")
        check_gpu_memory(float(gpu_memory))
        check_tensor_parallel(int(tensor_parallel), self._shape, torch.cuda.device_count() if on_gpu else None)
        rank = lora_rank(self.checkpoint) if self.checkpoint.is_adapter else None
        self.start_batches_at(_ON_GPU if on_gpu else _ON_CPU)
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
        self._read_token_roles(trust_remote_code=trust_remote_code)
        self._folder = tempfile.TemporaryDirectory(prefix="satori-vllm-")
        self._log = Path(self._folder.name) / "log"
        self._given = 0
        self._adapter = None if rank is None else _LORA_REQUEST("adapter", 1, str(self.checkpoint.path))
        arguments: dict[str, object] = {
            "model": str(self._laid_out(trust_remote_code=trust_remote_code)),
            "tensor_parallel_size": int(tensor_parallel),
            "gpu_memory_utilization": float(gpu_memory),
            "dtype": str(choose_dtype(dtype, self.device)).removeprefix("torch."),
            "max_num_seqs": self.batch_size,
            "max_model_len": _FIT_LENGTH,
            "trust_remote_code": trust_remote_code,
            "generation_config": "vllm",
            "enable_prefix_caching": True,
            "mm_processor_kwargs": self._processor_arguments(min_pixels, max_pixels),
            "limit_mm_per_prompt": {"video": 0},
            "seed": 0,
            "disable_log_stats": True,
        }
        if not on_gpu:  # compiling takes longer there than most runs
            arguments |= {"enforce_eager": True, "skip_mm_profiling": True}
            if "VLLM_CPU_KVCACHE_SPACE" not in os.environ:
                arguments["kv_cache_memory_bytes"] = 2 * _GIB
        if rank is not None:
            arguments |= {"enable_lora": True, "max_lora_rank": rank, "max_loras": 1}
        self._closed = threading.Event()
        with self._starting():
            self._engine = cast("_Engine", _ENGINE.from_engine_args(_ENGINE_ARGS(**arguments)))
        if hasattr(self._engine.engine_core, "outputs_queue"):  # it is a process of its own
            threading.Thread(target=self._watch, name="satori-vllm-watch", daemon=True).start()
        try:
            with cannot_answer(self.checkpoint, "vLLM loaded it, but makes no answer", _BY_TRANSFORMERS):
                self._ask_first_question()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the engine's processes, which gives their memory back; the model answers no more."""
        self._closed.set()
        with suppress(Exception):  # it may be dead already
            self._engine.engine_core.shutdown()
        self._folder.cleanup()

    def refusal(self, error: Exception) -> str | None:
        """Return why a sample that ended in this error is not answered; None for what a person has to mend.

        Raises:
            IncompleteError: vLLM's engine is dead, and with it every further sample.
        """
        if isinstance(error, UserError):
            return None
        if isinstance(error, _ENGINE_DEAD):
            cause = _cause(self._said()) or first_line(error)
            mend = (
                ". Give a smaller --batch-size or --max-pixels, or another --gpu-memory"
                if _MEMORY.search(cause)
                else ""
            )
            raise IncompleteError(
                f"vLLM's engine died ({cause}){mend}: what was recorded is kept, and the same command goes on from "
                "there"
            ) from error
        return str(error) if isinstance(error, BrokenLogitsError) else first_line(error)

    def sent_text(self, prompt: Prompt) -> str:
        """Return the prompt after the chat template, before the pictures' tokens are put into it."""
        return self._inputs.render(prompt.turns)

    def generate_batch(self, prompts: Sequence[Prompt]) -> list[Generation]:
        """Answer some prompts; raises what befell the first of them that was not answered."""
        outcomes = {id(prompt): outcome for prompt, outcome in self.answer_stream(iter(prompts))}
        generations: list[Generation] = []
        for prompt in prompts:
            outcome = outcomes[id(prompt)]
            if isinstance(outcome, Exception):
                raise outcome
            generations.append(outcome)
        return generations

    def answer_stream(self, prompts: Iterator[Prompt]) -> Iterator[tuple[Prompt, Generation | Exception]]:
        """Yield each prompt with what came of it, as it ends."""

        def take() -> _Wanted | None:
            prompt = next(prompts, None)
            return None if prompt is None else _Wanted(prompt, self._parameters(prompt))

        for wanted, output, share_s in self._answered(take, self.batch_size + self.batch_size // _WAITING_SHARE):
            outcome = output
            if not isinstance(output, Exception):
                try:
                    outcome = self._generation(wanted.prompt, output, share_s)
                except RuntimeError as error:
                    outcome = error
            yield wanted.prompt, cast("Generation | Exception", outcome)

    @property
    def suppressed_ids(self) -> frozenset[int]:
        """Tokens that are never generated: those that stand for or surround pictures."""
        return self._suppressed_ids

    def ids_of(self, text: str) -> list[int]:
        """Return the tokens that the tokenizer makes of an answer's text; others may have been drawn."""
        return self._inputs.tokens_of(text)

    def text_of(self, token_ids: Sequence[int]) -> str:
        """Return the text of generated tokens, without those that only frame it."""
        return self._inputs.decoded(token_ids, self._dropped_ids)

    def weigh(self, answers: Sequence[AnswerAfter]) -> list[float]:
        """Return the logarithm of the probability of each answer: NaN where vLLM did not take it, or it is none.

        vLLM weighs a prompt's own tokens, so the answer is put at a prompt's end. It does so among all tokens, those
        that are never generated too: where a model would write such a token, an answer weighs less than by
        transformers.

        Raises:
            EngineDeadError: vLLM's, at the engine's end.
        """
        parameters = _SAMPLING(
            temperature=0.0, max_tokens=1, prompt_logprobs=0, detokenize=False, output_kind=_FINAL_ONLY
        )
        waiting = iter(
            [
                _Wanted(answer.prompt, parameters, place, (*answer.before_ids, *answer.answer_ids))
                for place, answer in enumerate(answers)
            ]
        )
        weighed = [math.nan] * len(answers)
        for wanted, output, _ in self._answered(lambda: next(waiting, None), self.batch_size):
            if not isinstance(output, Exception):
                weighed[wanted.place] = sum(_weights(output, answers[wanted.place].answer_ids))
        return weighed

    def _answered(
        self, take: Callable[[], _Wanted | None], room: int
    ) -> Iterator[tuple[_Wanted, _Output | Exception, float]]:
        """Give vLLM what there is room for and yield what ends: the answer or what befell it, and its seconds.

        Seconds are shared among those that are under way at a time, so that all of them together are the wall time.

        Args:
            take: Returns what is to be asked next; None where there is nothing just now.
            room: Requests under way at most.
        """
        under_way: dict[str, _UnderWay] = {}
        clock_s, shared_s = time.perf_counter(), 0.0
        try:
            while True:
                while len(under_way) < room and (wanted := take()) is not None:
                    name = self._next_name()
                    if (refused := self._refused_request(name, wanted)) is not None:
                        yield wanted, refused, 0.0
                    else:
                        under_way[name] = _UnderWay(wanted, 1, shared_s)
                if not under_way:
                    return
                finished = [output for output in self._engine.step() if output.finished]
                now_s = time.perf_counter()
                shared_s += (now_s - clock_s) / len(under_way)
                clock_s = now_s
                for output in finished:
                    ended = under_way.pop(output.request_id)
                    reason = output.outputs[0].finish_reason
                    if reason in _ANSWERED:
                        yield ended.wanted, output, shared_s - ended.began_at_s
                    elif ended.tries < _TRIES:
                        name = self._next_name()
                        self._give(name, ended.wanted)
                        under_way[name] = replace(ended, tries=ended.tries + 1)
                    else:
                        yield ended.wanted, UnansweredError(f"vLLM gave it back {_TRIES} times ({reason})"), 0.0
        finally:
            if under_way:  # somebody stopped listening
                with suppress(Exception):
                    self._engine.abort_request(list(under_way))

    def _give(self, name: str, wanted: _Wanted) -> None:
        """Hand a request to vLLM, which makes its pictures ready and passes it to the engine's process."""
        tokens = self._inputs.token_ids(self._inputs.render(wanted.prompt.turns))
        request: dict[str, object] = {"prompt_token_ids": [*tokens, *wanted.after]}
        if wanted.prompt.images:
            request["multi_modal_data"] = {"image": list(wanted.prompt.images)}
        self._engine.add_request(name, request, wanted.parameters, lora_request=self._adapter)

    def _refused_request(self, name: str, wanted: _Wanted) -> Exception | None:
        """Hand a request to vLLM; returns why it does not take it, which is that sample's own affair.

        Raises:
            EngineDeadError: vLLM's, at the engine's end, whichever sample meets it.
        """
        try:
            self._give(name, wanted)
        except _ENGINE_DEAD:
            raise
        except Exception as error:  # noqa: BLE001 - vLLM's own kinds share no class with Python's
            return error
        return None

    def _next_name(self) -> str:
        self._given += 1
        return str(self._given)

    def _watch(self) -> None:
        """Wake whoever waits for an answer of an engine whose process was killed: vLLM notes it and lets him wait."""
        core = self._engine.engine_core
        while not self._closed.wait(_LOOK_EVERY_S):
            if core.resources.engine_dead:
                core.outputs_queue.put(_ENGINE_DEAD())
                return

    def _parameters(self, prompt: Prompt) -> object:
        """Return how vLLM is to decode a prompt; what a checkpoint's file would fill in is always said.

        Raises:
            ConfigError: beams are asked for.
        """
        decoding = prompt.decoding
        if decoding.num_beams > 1:
            raise ConfigError("num_beams is more than 1: vLLM does not search with beams; use --backend hf")
        sampling: dict[str, object] = {}
        if decoding.sampled:
            sampling = {
                "top_p": decoding.top_p,
                "top_k": decoding.top_k,
                "min_p": decoding.min_p,
                "seed": sample_seed(self._seed, prompt.task, prompt.drawn_by, prompt.repeat),
            }
        return _SAMPLING(
            temperature=decoding.temperature,
            max_tokens=decoding.max_new_tokens,
            repetition_penalty=decoding.repetition_penalty,
            stop=list(decoding.until) or None,
            stop_token_ids=sorted(self._end_ids),
            logit_bias=dict.fromkeys(self._suppressed_ids, float("-inf")) or None,
            # of the tokens themselves: they are not numbers where logits are not
            logprobs=0,
            # text is made here; vLLM needs it to find stop strings alone
            detokenize=bool(decoding.until),
            skip_special_tokens=False,
            spaces_between_special_tokens=False,
            output_kind=_FINAL_ONLY,
            **sampling,
        )

    def _generation(self, prompt: Prompt, output: _Output, share_s: float) -> Generation:
        """Make a generation of an answer.

        Raises:
            BrokenLogitsError: the model's logits were no numbers.
            RuntimeError: vLLM saw other pictures than it was given.
        """
        completion = output.outputs[0]
        if completion.cumulative_logprob is not None and not math.isfinite(completion.cumulative_logprob):
            raise BrokenLogitsError("the model's logits are no finite numbers (NaN or infinite)")
        size = self._seen_size(prompt, output.prompt_token_ids or [])
        written = list(completion.token_ids)
        end = next((place for place, token in enumerate(written) if token in self._end_ids), None)
        text, stopped = cut_at_stop(self._inputs.decoded(written[:end], self._dropped_ids), prompt.decoding.until)
        return Generation(
            text=text,
            input_size=size,
            input_tokens=len(output.prompt_token_ids or []),
            output_tokens=len(written),
            device_s=share_s,
            truncated=end is None and not stopped,
            output_ids=tuple(written),
        )

    def _seen_size(self, prompt: Prompt, read: Sequence[int]) -> Size | None:
        """Return the size of a prompt's first picture as the model saw it; None where its processor does not tell.

        Where pictures were brought to a grid, vLLM must have made as many tokens of them as the grid has places.
        Elsewhere the checkpoint's own processor makes the prompt as well, and vLLM's must be equal.

        Raises:
            RuntimeError: it is another prompt.
        """
        pictures = prompt.images
        if not pictures:
            return None
        if self._tokens_are_places and self.pixel_limits is not None:
            places = sum(picture.width * picture.height for picture in pictures) // self.pixel_limits.factor**2
            found = sum(token in self._picture_ids for token in read)
            if found != places:
                sizes = [picture.size for picture in pictures]
                raise RuntimeError(
                    f"vLLM resized pictures of {sizes}: it read {found} tokens of them and not {places}, so boxes "
                    "would be read in a wrong frame"
                )
            return Size(pictures[0].width, pictures[0].height)
        inputs = self._inputs.tensors([prompt])
        if _first_row(inputs["input_ids"]) != list(read):
            raise RuntimeError("vLLM made another prompt of text and pictures than the checkpoint's own processor")
        return self._inputs.input_sizes([prompt], inputs)[0]

    def _ask_first_question(self) -> None:
        """Ask before all others: tokens must be those of the checkpoint's own processor, logits tell tokens apart.

        Raises:
            RuntimeError: vLLM reads another prompt.
            BrokenLogitsError: the weights hold no working model.
        """
        prompt = self._inputs.trial
        parameters = _SAMPLING(temperature=0.0, max_tokens=1, logprobs=1, detokenize=False, output_kind=_FINAL_ONLY)
        waiting = iter([_Wanted(prompt, parameters)])
        ((_, output, _),) = self._answered(lambda: next(waiting, None), 1)
        if isinstance(output, Exception):
            raise output
        inputs = self._inputs.tensors([prompt])
        own, read = _first_row(inputs["input_ids"]), list(output.prompt_token_ids or [])
        if own != read:
            raise RuntimeError(
                f"vLLM reads {len(read)} tokens of text and picture, the checkpoint's own processor makes {len(own)}"
            )
        self._tokens_are_places = self.pixel_limits is not None and sum(
            token in self._picture_ids for token in own
        ) == (prompt.images[0].width * prompt.images[0].height // self.pixel_limits.factor**2)
        best = max((entry.logprob for entry in (output.outputs[0].logprobs or [{}])[0].values()), default=math.nan)
        if not math.isfinite(best):
            raise BrokenLogitsError("the model's logits are no finite numbers (NaN or infinite)")
        if best + math.log(self._vocabulary) < _UNIFORM:
            raise BrokenLogitsError("the model's logits are the same for every token")

    def _read_token_roles(self, *, trust_remote_code: bool) -> None:
        """Find out which tokens end a text, stand for pictures, or are dropped from a text."""
        folder = self.checkpoint.model_path
        config = cast(
            "_Config",
            AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code),  # pyright: ignore[reportUnknownMemberType]
        )
        holder = _Holder(
            GenerationConfig.from_pretrained(folder)  # pyright: ignore[reportUnknownMemberType]
            if (folder / "generation_config.json").is_file()
            else GenerationConfig.from_model_config(config)  # pyright: ignore[reportUnknownMemberType, reportArgumentType]
        )
        self._end_ids = end_ids(holder, self._inputs.tokenizer)
        placeholders = placeholder_ids(config)
        self._picture_ids = frozenset(
            token for name in _PICTURE_IDS if isinstance(token := getattr(config, name, None), int)
        )
        self._suppressed_ids = placeholders - self._end_ids
        self._dropped_ids = self._inputs.dropped(placeholders | self._end_ids)
        self._vocabulary = config.get_text_config().vocab_size
        self._tokens_are_places = False

    def _laid_out(self, *, trust_remote_code: bool) -> Path:
        """Return the folder that vLLM loads: the weights, beside the very processor files that are read here."""
        if trust_remote_code:
            return self.checkpoint.model_path
        folder = Path(self._folder.name) / self.checkpoint.model_path.resolve().name
        folder.mkdir()
        assemble(self.checkpoint.processor, folder)
        for file in self.checkpoint.model_path.iterdir():
            if file.is_file() and file.name not in _NAMES_A_PROCESSOR and not (folder / file.name).exists():
                (folder / file.name).symlink_to(file.resolve())
        return folder

    def _processor_arguments(self, min_pixels: int | None, max_pixels: int | None) -> dict[str, object]:
        """Return what vLLM tells the image processor, so that a picture of the grid keeps its size."""
        limits = self.pixel_limits
        if limits is None:
            return dict(own_limits(self.checkpoint, min_pixels, max_pixels))
        return {"size": {"shortest_edge": limits.min_pixels, "longest_edge": limits.max_pixels}}

    @contextmanager
    def _starting(self) -> Generator[None]:
        """Start vLLM: what its processes write goes to a file, and names the cause where it does not start.

        They would write to stdout, which is for results, and a line of theirs is no mend for a person.

        Raises:
            ConfigError: there is too little memory.
            CheckpointError: vLLM does not load the checkpoint.
        """
        try:
            with _output_to(self._log):
                yield
        except Exception as error:
            cause = _cause(f"{self._said()}\n{type(error).__name__}: {error}") or first_line(error)
            self.close()
            version = getattr(_LIBRARY, "__version__", "")
            if _MEMORY.search(cause):
                raise ConfigError(
                    f"{self.checkpoint.path} does not fit into memory in vLLM {version} ({cause}): give another "
                    "--gpu-memory, a smaller --batch-size or --max-pixels, or cut it over GPUs with --tensor-parallel"
                ) from error
            raise CheckpointError(
                f"vLLM {version} cannot load {self.checkpoint.path}: {cause}. --backend hf asks it by transformers "
                "(--debug shows where it failed)"
            ) from error

    def _said(self) -> str:
        """Return the end of what vLLM's processes wrote."""
        try:
            return self._log.read_bytes()[-_MOST_READ_BYTES:].decode("utf-8", errors="replace")
        except OSError:
            return ""


@contextmanager
def _output_to(file: Path) -> Generator[None]:
    """Send what this process and those that it starts write to stdout and stderr into a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = {number: os.dup(number) for number in (1, 2)}
    target = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        for number in kept:
            os.dup2(target, number)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, before in kept.items():
            os.dup2(before, number)
            os.close(before)
        os.close(target)


def _cause(said: str) -> str:
    """Return the last error in a log that says what is wrong; empty where there is none."""
    found = [f"{kind}: {words}" for kind, words in _CAUSE.findall(said)]
    telling = [error for error in found if not any(words in error for words in _NO_CAUSES)]
    return telling[-1][:400] if telling else ""


def _weights(output: _Output, tokens: Sequence[int]) -> tuple[float, ...]:
    """Return the log-probabilities of a prompt's last tokens."""
    rows = list(output.prompt_logprobs or [])[-len(tokens) :] if tokens else []
    return tuple((row or {})[token].logprob for row, token in zip(rows, tokens, strict=True))


def _first_row(tokens: torch.Tensor) -> list[int]:
    return cast("list[list[int]]", tokens.tolist())[0]  # pyright: ignore[reportUnknownMemberType]  # untyped
