"""Answers lmms-eval's requests in batches of similar size, or as a stream; a backend only has to generate.

Shared by every backend: reading requests and messages, skipping what is already recorded, opening images a little ahead
of the model, batches that halve when memory runs out, and recording each sample right after its batch, in a stream as
soon as it ends. Memory stays flat however many requests there are: beside the texts, nothing outlives its batch.
"""

# lmms-eval has no stubs; what is used of it is annotated there.
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import abc
import gc
import logging
import os
import re
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, replace
from itertools import chain, groupby
from pathlib import Path
from typing import Protocol, TypeAlias, cast, runtime_checkable

import torch
from lmms_eval.api.instance import GenerationResult, Instance, TokenCounts
from lmms_eval.api.model import lmms
from PIL import Image
from tqdm import tqdm

from harness.errors import ConfigError
from harness.images.grid import fit_to_grid, to_rgb
from harness.images.pictures import UnreadablePictureError, read_picture
from harness.models.decoding import Decoding, read_decoding
from harness.models.device_options import read_batch_size
from harness.models.opened_pictures import OpenedPictures
from harness.models.recorder import Recorder
from harness.values import Generation, Json, PixelLimits, Size

logger = logging.getLogger(__name__)

FIRST_AUTO_BATCH = 8
"""Where `batch_size=auto` starts when the backend has no better guess."""
_OPENERS = min(4, os.cpu_count() or 1)
"""Threads that open images while the model works; Pillow decodes without holding the interpreter."""
TURN_APART = 2**20
"""What a further turn adds to the number that randomness goes by beside the row: it is drawn anew."""
_SMALLEST_WINDOW = 64
"""Requests that are looked at together to make batches of similar size."""
_SAME_PICTURE_WINDOW = 4096
"""Requests among which those about one picture are brought together: MMBench's passes over it lie 1,164 rows apart. The
pictures' hashes, which say what is the same, each record wants anyway."""


@runtime_checkable
class ImageHandle(Protocol):
    """An image that is not opened yet; a task's messages carry these so that memory stays flat.

    It may also have a `size` (a `Size`, a tuple or None) that is known without opening, for better batches at no cost,
    and a `sha256`, for what is asked of one picture to be asked together: of those whose `sha256` are equal any may be
    opened for all.
    """

    def open(self) -> Image.Image:
        """Return the decoded image."""
        ...


@dataclass(frozen=True, slots=True)
class ImageAtPath:
    """A local image file named by a path or a file: address."""

    path: Path
    """Where the file lies."""

    def open(self) -> Image.Image:
        """Return the decoded image, upright; raises UnreadablePictureError."""
        return read_picture(self.path)


Part: TypeAlias = str | Image.Image | ImageHandle
"""A piece of a turn: text, or an image, opened or not."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a chat."""

    role: str
    """`system`, `user` or `assistant`."""
    parts: tuple[Part, ...]
    """Texts and images in order."""

    @property
    def images(self) -> tuple[Image.Image, ...]:
        """The opened images, in order."""
        return tuple(part for part in self.parts if isinstance(part, Image.Image))


@dataclass(frozen=True, slots=True)
class Ask:
    """One request of lmms-eval; nothing is opened yet."""

    position: int
    """Its place among the requests, which the results keep."""
    task: str
    """lmms-eval task name."""
    split: str
    """Data split."""
    doc_id: int
    """Row number within the split."""
    repeat: int
    """0 for the first request about this document in the call, 1 for the second..."""
    decoding: Decoding
    """How to generate."""
    doc_to_messages: Callable[[object], object]
    """Makes the chat of the document."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One sample made ready for a backend: images opened and at the model's own grid size."""

    task: str
    """lmms-eval task name."""
    doc_id: int
    """Row number within the split."""
    repeat: int
    """0 for the first answer to a document, 1 for the second...; each turn after a tool's adds `TURN_APART`."""
    turns: tuple[Turn, ...]
    """The chat; every part is text or an opened RGB image."""
    decoding: Decoding
    """How to generate; the same for all prompts of a batch."""
    row: int | None = None
    """Row number in the whole of the data, where the split is a part of it; None: `doc_id`."""
    originals: tuple[Image.Image | ImageHandle, ...] = ()
    """The pictures of the question as the benchmark has them, to be opened again; only where there is a tool."""
    said: tuple[Generation, ...] = ()
    """What the model said in the turns before this one, where a tool asks on."""

    @property
    def drawn_by(self) -> int:
        """The row that randomness goes by: a sample is drawn alike in a part of the data and in all of it."""
        return self.doc_id if self.row is None else self.row

    @property
    def images(self) -> tuple[Image.Image, ...]:
        """All images of the chat, in order."""
        return tuple(image for turn in self.turns for image in turn.images)


class _ChatRequest(Protocol):
    """What is read of one of lmms-eval's chat requests."""

    @property
    def args(self) -> tuple[str, Callable[[object], object], Mapping[str, object], int, str, str]:
        """Context, function from document to messages, generation arguments, row number, task and split."""
        ...


class RecordingModel(lmms, abc.ABC):
    """An lmms-eval chat model that records each sample; a backend adds `generate_batch`, or `answer_stream` as well."""

    is_simple = False
    is_continuous: bool = False
    """Whether prompts go to `answer_stream`, which takes them as it has room: batches are then the backend's affair."""
    tool: Callable[[Prompt, Generation], Prompt | Generation] | None = None
    """Told what came of a prompt, a refusal included: returns what is asked next about the same row, which then comes
    before all others, or what is recorded of it in the end."""
    task_dict: dict[str, Mapping[str, Sequence[object]]]
    """Documents by task and split; lmms-eval fills it."""
    recorder: Recorder | None = None
    """Where answers are looked up and kept; None: nothing is kept beyond the returned list."""
    pixel_limits: PixelLimits | None = None
    """Images are brought to this grid; None: they are handed over as they are."""

    def __init__(self, *, batch_size: int | str = 1, max_batch_size: int | None = None) -> None:
        """Set the batch size: a whole number, or `auto` for the backend's guess.

        Raises:
            ConfigError: the batch size is neither.
        """
        super().__init__()
        self._max_batch_size = _read_batch_size(max_batch_size, "max_batch_size") if max_batch_size else None
        size = FIRST_AUTO_BATCH if batch_size == "auto" else _read_batch_size(batch_size, "batch_size")
        self.batch_size_is_automatic = batch_size == "auto"
        self.batch_guard: Callable[[], AbstractContextManager[object]] = nullcontext
        """Holds each batch, from generating to recording; an interruption waits for its end."""
        self.batch_size = min(size, self._max_batch_size or size)
        self._has_answered = False
        self._refusals: list[str] = []
        self._pictures = OpenedPictures()

    @abc.abstractmethod
    def generate_batch(self, prompts: Sequence[Prompt]) -> list[Generation]:
        """Return one generation per prompt, in order.

        All prompts share one `decoding`, and either all or none of them have images. Out-of-memory errors may be
        raised: the batch is asked again in halves. So is it after an error that `refusal` has a reason for, until the
        samples are found that it comes from. Any other error ends the run.
        """

    def answer_stream(self, prompts: Iterator[Prompt]) -> Iterator[tuple[Prompt, Generation | Exception]]:
        """Yield each prompt, the very object, with what came of it as soon as it ends, in any order.

        Only where `is_streamed` says so. All prompts of a stream share one `decoding`; some may have images and others
        none. Each is taken from `prompts` only when there is room for it (`batch_size` is what a person or a lack of
        memory allows), in the thread that iterates here. After the end of `prompts` more may come while any is in
        flight: the tool asks on. What is left when a stream ends is answered by another one.

        An exception is yielded where it is one prompt's own. What is raised is everybody's: where memory ran out,
        `batch_size` is halved and a new stream begins with all that was not answered; where `refusal` has a reason for
        it, those in flight are asked again each in a stream of its own; anything else ends the run.

        Ctrl-C ends a stream wherever it is; what must not be cut short stands in a `with self.batch_guard():`, which
        holds no `yield`.
        """
        raise NotImplementedError(f"{type(self).__name__} answers in batches")

    def is_streamed(self, decoding: Decoding) -> bool:  # noqa: ARG002 - for backends that can stream some only
        """Whether prompts that are decoded so are answered by `answer_stream`; others are by `generate_batch`."""
        return self.is_continuous

    def refusal(self, error: Exception) -> str | None:  # noqa: ARG002 - for backends that can tell
        """Return why a sample is not answered that ended in this error alone; None when the error ends the run."""
        return None

    def batch_recorded(self) -> None:
        """Called when a batch has been recorded; a backend may end the run here, at no loss."""

    def facts(self) -> dict[str, Json]:
        """Return what the manifest is to say about how the run was answered; nothing for most backends."""
        return {}

    def take_up(self, answered: Iterable[Generation]) -> None:
        """Called before a run that was killed goes on, with what it has been answered."""

    def sent_text(self, prompt: Prompt) -> str:
        """Return the prompt as it is sent, with marks for its pictures: here turn by turn, as a server gets it."""
        return transcript(prompt.turns)

    def close(self) -> None:
        """Give back what the model holds, such as processes of its own; it answers no more."""

    def release_memory(self) -> None:
        """Give back what a failed batch left behind; called before a smaller one is tried."""
        self._pictures.forget()
        gc.collect()

    def start_batches_at(self, guess: int) -> None:
        """Set the first batch size of `auto`; a batch size that was given stays."""
        if self.batch_size_is_automatic:
            self.batch_size = max(1, min(guess, self._max_batch_size or guess))

    # lmms-eval declares texts, and takes texts with token counts (its api/instance.py).
    def generate_until(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, requests: list[Instance]
    ) -> list[GenerationResult]:
        """Answer every request; results come in request order.

        Raises:
            ConfigError: a generation argument or a message cannot be understood, or every sample that was asked is
                refused for the same reason.
        """
        asks = list(self._read_requests(requests))
        results: dict[int, GenerationResult] = {}
        first_positions: dict[tuple[str, str, int], int] = {}
        todo: list[Ask] = []
        for ask in asks:
            done = self.recorder.lookup(ask.task, ask.doc_id) if self.recorder and not ask.repeat else None
            if done is not None:
                self._has_answered = True
                results[ask.position] = _result(done)
            elif ask.repeat and not ask.decoding.sampled:
                continue  # greedy answers to one document are the same: asked once, copied below
            else:
                todo.append(ask)
            first_positions.setdefault((ask.task, ask.split, ask.doc_id), ask.position)
        # A recorder's owner shows progress over the whole run; two bars would fight.
        quiet = self.recorder is not None or self.rank != 0
        with tqdm(total=len(todo), desc="answering", unit="sample", disable=quiet) as bar:
            for ask, generation in self._answer(todo):
                results[ask.position] = _result(generation)
                bar.update()
        self._check_refusals(least=1)
        return [
            results[ask.position if ask.position in results else first_positions[ask.task, ask.split, ask.doc_id]]
            for ask in asks
        ]

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        """Refuse: nothing here is scored by likelihood."""
        raise NotImplementedError(f"{type(self).__name__} generates text; use a task with output_type: generate_until")

    def generate_until_multi_round(self, requests: list[Instance]) -> list[str]:
        """Refuse: nothing here is asked in rounds."""
        raise NotImplementedError(f"{type(self).__name__} answers in one round; use output_type: generate_until")

    def clean(self) -> None:
        """Keep the model: lmms-eval would delete it after each task, and the next task needs it."""

    def _read_requests(self, requests: Sequence[Instance]) -> Iterator[Ask]:
        """Take the requests apart; a task's generation arguments are read once."""
        seen: Counter[tuple[str, str, int]] = Counter()
        decodings: dict[str, Decoding] = {}
        for position, request in enumerate(requests):
            _, doc_to_messages, arguments, doc_id, task, split = cast("_ChatRequest", request).args
            written = f"{task}\0{sorted(arguments.items())}"
            if written not in decodings:
                decodings[written] = read_decoding(arguments, f"generation_kwargs of task {task}")
            repeat = seen[task, split, doc_id]
            seen[task, split, doc_id] += 1
            yield Ask(position, task, split, doc_id, repeat, decodings[written], doc_to_messages)

    def _answer(self, todo: Sequence[Ask]) -> Iterator[tuple[Ask, Generation]]:
        """Answer asks, recording each; yield what was recorded."""
        with ThreadPoolExecutor(_OPENERS, thread_name_prefix="satori-open") as pool:

            def opening(looked: _LookedAt) -> Future[_Opened]:
                return pool.submit(self._opened, looked)

            for decoding, batches in groupby(self._batches(todo), key=lambda batch: batch[0].ask.decoding):
                if self.is_streamed(decoding):
                    yield from self._answer_stream(_Feed(chain.from_iterable(batches), opening))
                else:
                    yield from self._answer_batches(batches, opening)
        self._pictures.forget()

    def _answer_batches(
        self, batches: Iterable[list[_LookedAt]], opening: Callable[[_LookedAt], Future[_Opened]]
    ) -> Iterator[tuple[Ask, Generation]]:
        """Answer batch after batch.

        While the model works on one batch, the images of the next are opened: two batches are in memory, never more.
        """
        ahead: list[Future[_Opened]] = []
        for batch in batches:
            opened = list(map(opening, batch))
            yield from self._answer_batch(ahead)
            ahead = opened
        yield from self._answer_batch(ahead)

    def _answer_stream(self, feed: _Feed) -> Iterator[tuple[Ask, Generation]]:
        """Answer prompts as they end."""
        with closing(self._outcomes(feed)) as outcomes:
            for prompt, outcome in outcomes:
                ask = feed.answered(prompt)
                if isinstance(outcome, Exception):
                    generation = self._refused(prompt, outcome)
                else:
                    self._has_answered = True
                    generation = outcome
                following = generation if self.tool is None else self.tool(prompt, generation)
                if isinstance(following, Prompt):
                    feed.put_first(ask, following)
                else:
                    with self.batch_guard():
                        recorded = self._record_answer(ask, prompt, following)
                        self.batch_recorded()
                    yield recorded
                yield from self._recorded_unreadable(feed)
                self._check_refusals(least=_SMALLEST_WINDOW)
        yield from self._recorded_unreadable(feed)

    def _recorded_unreadable(self, feed: _Feed) -> Iterator[tuple[Ask, Generation]]:
        """Record what a feed had to pass over."""
        while feed.unreadable:
            opened = feed.unreadable.popleft()
            yield self._recorded(opened.ask, Generation(text="", error=opened.reason))

    def _outcomes(self, feed: _Feed) -> Generator[tuple[Prompt, Generation | Exception]]:
        """Yield what comes of each prompt of a feed, in one stream where nothing goes wrong.

        When memory runs out, the batch size is halved for good and a stream begins with what was not answered.
        """
        while feed.has_more:
            feed.ahead, taken = self.batch_size, feed.taken
            try:
                yield from _lack_of_memory_raised(self.answer_stream(feed))
            except Exception as error:
                if feed.fault is not None:
                    raise
                fits = not is_out_of_memory(error)
                if not fits:
                    _refuse_single(feed.unanswered[: self.batch_size], error)
                if not feed.unanswered or (fits and self.refusal(error) is None):
                    raise
            else:
                if feed.unanswered or (feed.has_more and feed.taken == taken):
                    raise RuntimeError(f"{type(self).__name__} ended its stream with prompts that are not answered")
                continue
            # Outside of the handler, so that the error no longer holds the stream's tensors.
            self.release_memory()
            if fits:
                yield from self._each_alone(feed.unanswered)
            else:
                self.batch_size = max(1, min(self.batch_size, len(feed.unanswered)) // 2)
                logger.warning(
                    "out of memory with %d samples in flight: going on with %d", len(feed.unanswered), self.batch_size
                )
                feed.ask_again()

    def _each_alone(self, prompts: Sequence[Prompt]) -> Iterator[tuple[Prompt, Generation | Exception]]:
        """Yield what comes of prompts one of which made a stream fail; only a stream of one tells whose an error is."""
        for prompt in prompts:
            try:
                yield from _lack_of_memory_raised(self.answer_stream(iter([prompt])))
            except Exception as error:  # noqa: BLE001 - whoever takes it asks what it means
                if is_out_of_memory(error):
                    _refuse_single([prompt], error)
                yield prompt, error

    def _batches(self, todo: Sequence[Ask]) -> Iterator[list[_LookedAt]]:
        """Yield batches of similar size, window by window; nothing is opened yet.

        The first window is small: nobody waits for the first answer until thousands of pictures are hashed.
        """
        starts = [0, *range(_SMALLEST_WINDOW, len(todo), _SAME_PICTURE_WINDOW)]
        for first, end in zip(starts, [*starts[1:], len(todo)], strict=True):
            if first < end:
                yield from self._batches_of_one_size(self._same_pictures_together(todo[first:end]))

    def _same_pictures_together(self, asks: Sequence[Ask]) -> Sequence[Ask]:
        """Return asks so that those about the same pictures follow each other: a backend may know a picture still.

        Where the pictures come decoded, asks stay as they are: nobody decodes a benchmark twice for its order.
        """
        if not self._pictures_of(asks[0]):
            return asks
        groups: dict[object, list[Ask]] = {}
        for ask in asks:
            groups.setdefault((self._pictures_of(ask) or ask.position, str(ask.decoding)), []).append(ask)
        return [ask for group in groups.values() for ask in group]

    def _pictures_of(self, ask: Ask) -> tuple[str, ...]:
        """Return the hashes of the pictures that an ask shows; nothing where any is not known."""
        hashes = [_sha256(part) for turn in self._turns(ask) for part in turn.parts if not isinstance(part, str)]
        return tuple(sha256 for sha256 in hashes if sha256) if all(hashes) else ()

    def _batches_of_one_size(self, todo: Sequence[Ask]) -> Iterator[list[_LookedAt]]:
        start = 0
        while start < len(todo):
            window = _window(todo, start, self.batch_size)
            start += len(window)
            waiting = sorted(map(self._looked_at, window), key=lambda looked: looked.cost, reverse=True)
            while waiting:
                batch = _head_of_one_kind(waiting, self.batch_size)
                del waiting[: len(batch)]
                yield batch

    def _opened(self, looked: _LookedAt) -> _Opened:
        """Open the images of one ask, in a thread. An image that cannot be read costs its own sample only."""
        ask, turns = looked.ask, looked.turns or self._turns(looked.ask)
        try:
            opened = self.opened(turns)
        except Exception as error:  # noqa: BLE001 - decoders raise anything on a damaged file
            return _Opened(ask, None, f"unreadable image: {type(error).__name__}: {error}")
        rows = cast("Sequence[int] | None", getattr(self.task_dict[ask.task][ask.split], "indices", None))
        row = None if rows is None else rows[ask.doc_id]
        pictures = [part for turn in turns for part in turn.parts if not isinstance(part, str)]
        originals = () if self.tool is None else tuple(pictures)
        return _Opened(ask, Prompt(ask.task, ask.doc_id, ask.repeat, opened, ask.decoding, row, originals))

    def _looked_at(self, ask: Ask) -> _LookedAt:
        """Find out how much work an ask is. A chat is kept only if it holds no decoded image."""
        turns = self._turns(ask)
        parts = [part for turn in turns for part in turn.parts]
        pixels = [_pixels(part, self.pixel_limits) for part in parts if not isinstance(part, str)]
        cost = (bool(pixels), sum(pixels), sum(len(part) for part in parts if isinstance(part, str)))
        decoded = any(isinstance(part, Image.Image) for part in parts)
        return _LookedAt(ask, cost, None if decoded and self.batch_size > 1 else turns)

    def _turns(self, ask: Ask) -> tuple[Turn, ...]:
        """Make the chat of an ask; images stay unopened."""
        messages = ask.doc_to_messages(self.task_dict[ask.task][ask.split][ask.doc_id])
        return read_turns(messages, f"doc_to_messages of task {ask.task}, row {ask.doc_id}")

    def _answer_batch(self, batch: Sequence[Future[_Opened]]) -> Iterator[tuple[Ask, Generation]]:
        """Generate for a batch whose images are being opened, and record it."""
        prompts: list[tuple[Ask, Prompt]] = []
        for opened in (opening.result() for opening in batch):
            if opened.prompt is None:
                yield self._recorded(opened.ask, Generation(text="", error=opened.reason))
            else:
                prompts.append((opened.ask, opened.prompt))
        while prompts:
            piece = prompts[: self.batch_size]
            with self.batch_guard():
                generations = self._generate([prompt for _, prompt in piece])
                if generations is None:
                    continue  # the batch size was halved
                following: list[tuple[Ask, Prompt]] = []
                recorded: list[tuple[Ask, Generation]] = []
                for (ask, prompt), generation in zip(piece, generations, strict=True):
                    next_one = generation if self.tool is None else self.tool(prompt, generation)
                    if isinstance(next_one, Prompt):
                        following.append((ask, next_one))
                    else:
                        recorded.append(self._record_answer(ask, prompt, next_one))
                self.batch_recorded()
            yield from recorded
            prompts[: len(piece)] = following
            self._check_refusals(least=_SMALLEST_WINDOW)

    def _generate(self, prompts: list[Prompt]) -> list[Generation] | None:
        """Generate one batch, in ever smaller parts where a sample in it is refused.

        When memory runs out, the batch size is halved for good and None returned.
        """
        try:
            generations = self.generate_batch(prompts)
        except Exception as error:
            if is_out_of_memory(error):
                _refuse_single(prompts, error)
                fits = False
            else:
                if len(prompts) == 1:
                    return [self._refused(prompts[0], error)]
                if self.refusal(error) is None:
                    raise
                fits = True
        else:
            self._has_answered = True
            return generations
        # Outside of the handler, so that the error no longer holds the batch's tensors.
        self.release_memory()
        middle = len(prompts) // 2
        if fits:
            halves = [self._generate(prompts[:middle]), self._generate(prompts[middle:])]
            found = [half for half in halves if half is not None]
            return [generation for half in found for generation in half] if len(found) == len(halves) else None
        self.batch_size = middle
        logger.warning("out of memory with a batch of %d: going on with %d", len(prompts), self.batch_size)
        return None

    def _refused(self, prompt: Prompt, error: Exception) -> Generation:
        """Return what is recorded of a sample that ended in an error; raises it where it ends the run."""
        reason = self.refusal(error)
        if reason is None:
            raise error
        logger.warning("%s row %d is not answered: %s", prompt.task, prompt.doc_id, reason)
        self._refusals.append(reason)
        return Generation(text="", error=reason)

    def _check_refusals(self, *, least: int) -> None:
        """End the run when at least so many samples were refused alike and none was ever answered.

        Raises:
            ConfigError: that is so; nothing of such a run would be a result.
        """
        if self._has_answered or len(self._refusals) < least:
            return
        # Counts and sizes differ from sample to sample; what is left of a message is its kind.
        kinds = {re.sub(r"\d+", "#", reason) for reason in self._refusals}
        if len(kinds) == 1:
            raise ConfigError(
                f"every sample is refused for the same reason ({len(self._refusals)} asked, none answered): "
                f"{self._refusals[0]}. Mend it in the checkpoint or the data; the same command then asks them again"
            )

    def opened(self, turns: Sequence[Turn]) -> tuple[Turn, ...]:
        """Return a chat with its images opened, in RGB and at the model's grid size; raises what decoders raise."""
        return tuple(Turn(turn.role, tuple(map(self._open, turn.parts))) for turn in turns)

    def _open(self, part: Part) -> Part:
        """Return text as it is, and an image opened, in RGB and at the model's grid size."""
        if isinstance(part, str):
            return part
        sha256 = _sha256(part)
        if sha256 is None:
            return self._as_seen(part)
        return self._pictures.opened((sha256, self.pixel_limits), lambda: self._as_seen(part))

    def _as_seen(self, picture: Image.Image | ImageHandle) -> Image.Image:
        """Return a picture opened, in RGB and at the model's grid size."""
        image = picture if isinstance(picture, Image.Image) else picture.open()
        image.load()
        return fit_to_grid(to_rgb(image), self.pixel_limits)

    def _record_answer(self, ask: Ask, prompt: Prompt, generation: Generation) -> tuple[Ask, Generation]:
        """Hand what came of a prompt to the recorder, with the text that was sent."""
        return self._recorded(ask, replace(generation, prompt=self.sent_text(prompt)), prompt.images)

    def _recorded(self, ask: Ask, generation: Generation, images: Sequence[Image.Image] = ()) -> tuple[Ask, Generation]:
        """Hand a generation to the recorder. Repeats are not recorded: the seam has one answer per document."""
        if self.recorder is not None and not ask.repeat:
            self.recorder.record(ask.task, ask.doc_id, generation, images)
        return ask, generation


@dataclass(frozen=True, slots=True)
class _LookedAt:
    """An ask and how much work it is."""

    ask: Ask
    cost: tuple[bool, int, int]
    """Whether it has images, their pixels, characters of text: what is alike stands side by side when sorted."""
    turns: tuple[Turn, ...] | None
    """Its chat; None when that holds decoded images, and is made again for the batch to keep memory flat."""


@dataclass(frozen=True, slots=True)
class _Opened:
    """An ask whose images were opened, or the reason why they could not be."""

    ask: Ask
    prompt: Prompt | None
    """None when an image could not be read."""
    reason: str | None = None
    """Why there is no prompt; None when there is one."""


class _Feed(Iterator[Prompt]):
    """The prompts of a stream: opened ahead in threads, a bounded number, and remembered until they are answered."""

    def __init__(self, waiting: Iterator[_LookedAt], opening: Callable[[_LookedAt], Future[_Opened]]) -> None:
        """Begin with nothing opened.

        Args:
            waiting: Asks of one decoding, in the order in which they are to be answered.
            opening: Begins to open one.
        """
        self.ahead = 1
        """How many are opened before they are asked for."""
        self.taken = 0
        """Prompts that were handed out so far."""
        self.fault: Exception | None = None
        """What went wrong here, such as in a task's messages: no prompt and no backend is to blame."""
        self.unreadable: deque[_Opened] = deque()
        """Asks that were passed over because an image could not be read; whoever records them takes them out."""
        self._waiting = waiting
        self._opening = opening
        self._opened_ahead: deque[Future[_Opened]] = deque()
        self._first: deque[tuple[Ask, Prompt]] = deque()
        self._in_flight: dict[int, tuple[Ask, Prompt]] = {}

    def __next__(self) -> Prompt:
        """Return the next prompt; waits where it is still being opened."""
        try:
            ask, prompt = self._first.popleft() if self._first else self._next_opened()
        except StopIteration:
            raise
        except Exception as error:
            self.fault = error
            raise
        self._in_flight[id(prompt)] = ask, prompt
        self.taken += 1
        return prompt

    @property
    def has_more(self) -> bool:
        """Whether another prompt may come."""
        self._open_ahead()
        return bool(self._first or self._opened_ahead)

    @property
    def unanswered(self) -> list[Prompt]:
        """The prompts that were handed out and not answered, in order."""
        return [prompt for _, prompt in self._in_flight.values()]

    def answered(self, prompt: Prompt) -> Ask:
        """Return whose prompt this is; it is no longer in flight."""
        ask, _ = self._in_flight.pop(id(prompt))
        return ask

    def put_first(self, ask: Ask, prompt: Prompt) -> None:
        """Hand a prompt out before all others."""
        self._first.appendleft((ask, prompt))

    def ask_again(self) -> None:
        """Hand out once more what was not answered, before all others."""
        self._first.extendleft(reversed(self._in_flight.values()))
        self._in_flight.clear()

    def _next_opened(self) -> tuple[Ask, Prompt]:
        while self.has_more:
            opened = self._opened_ahead.popleft().result()
            self._open_ahead()
            if opened.prompt is not None:
                return opened.ask, opened.prompt
            self.unreadable.append(opened)
        raise StopIteration

    def _open_ahead(self) -> None:
        """Begin to open as many as may be open ahead."""
        while len(self._opened_ahead) < self.ahead and (looked := next(self._waiting, None)) is not None:
            self._opened_ahead.append(self._opening(looked))


def read_turns(messages: object, where: str) -> tuple[Turn, ...]:
    """Read lmms-eval chat messages: `[{"role", "content": text | [{"type": "text"|"image", "text"|"url"|"image"}]}]`.

    Raises:
        ConfigError: a message has another form, or holds video or audio.
    """
    listed = _listed(messages)
    if not listed:
        raise ConfigError(f"{where}: expected a list of messages, found {str(messages)[:200]}")
    return tuple(_read_turn(message, where) for message in listed)


def transcript(turns: Sequence[Turn]) -> str:
    """Return a chat as text: each turn after its role in brackets, a picture as `<image>`."""
    return "\n".join(f"[{turn.role}] " + "".join(map(part_text, turn.parts)) for turn in turns)


def part_text(part: Part) -> str:
    """Return a piece of a turn as text, a picture as a mark."""
    return part if isinstance(part, str) else "<image>"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU or on the CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text)


def _read_turn(message: object, where: str) -> Turn:
    """Read one message."""
    fields = _fields(message)
    role, content = fields.get("role"), fields.get("content")
    if not isinstance(role, str) or not isinstance(content, str | list | tuple):
        raise ConfigError(f"{where}: a message needs a role and a content, found {str(fields)[:200]}")
    if isinstance(content, str):
        return Turn(role, (content,))
    return Turn(role, tuple(_read_part(part, where) for part in cast("Sequence[object]", content)))


def _listed(value: object) -> Sequence[object]:
    """Return the items of a list; none for anything else."""
    return cast("Sequence[object]", value) if isinstance(value, list | tuple) else ()


def _fields(value: object) -> dict[str, object]:
    """Return the fields of a JSON-like object; none for anything else."""
    return dict(cast("Mapping[str, object]", value)) if isinstance(value, Mapping) else {}


def _read_part(part: object, where: str) -> Part:
    """Read one part of a message."""
    fields = _fields(part)
    kind = fields.get("type")
    if kind == "text" and isinstance(text := fields.get("text"), str):
        return text
    if kind == "image":
        source = fields.get("url", fields.get("image"))
        if isinstance(source, str):
            return ImageAtPath(Path(source.removeprefix("file://")))
        if isinstance(source, Image.Image | ImageHandle):
            return source
    raise ConfigError(
        f"{where}: a part must be text or an image (PIL, handle or local path), found {str(fields)[:200]}"
    )


def _lack_of_memory_raised(
    outcomes: Iterable[tuple[Prompt, Generation | Exception]],
) -> Iterator[tuple[Prompt, Generation | Exception]]:
    """Yield what comes of prompts; raise where memory ran out for one: others in flight may leave it no room."""
    for prompt, outcome in outcomes:
        if isinstance(outcome, Exception) and is_out_of_memory(outcome):
            raise outcome
        yield prompt, outcome


def _refuse_single(prompts: Sequence[Prompt], error: Exception) -> None:
    """Raise ConfigError where memory ran out on a single sample: no smaller batch can be tried."""
    if len(prompts) == 1:
        width, height = prompts[0].images[0].size if prompts[0].images else (0, 0)
        raise ConfigError(
            f"out of memory on a single sample ({prompts[0].task} row {prompts[0].doc_id}, image "
            f"{width}x{height} as the model sees it): lower --max-pixels or --max-new-tokens ({error})"
        ) from error


def _read_batch_size(value: int | str, name: str) -> int:
    """Return a batch size.

    Raises:
        ConfigError: it is none.
    """
    size = read_batch_size(value)
    if size is None:
        raise ConfigError(f"{name} is {value!r}; give a whole number of at least 1, or auto for batch_size")
    return size


def _window(todo: Sequence[Ask], start: int, batch_size: int) -> Sequence[Ask]:
    """Return the next asks to sort by size: a bounded number, all generated in the same way."""
    if batch_size == 1:
        return todo[start : start + 1]
    longest = todo[start : start + max(_SMALLEST_WINDOW, 8 * batch_size)]
    same = next((i for i, ask in enumerate(longest) if ask.decoding != longest[0].decoding), len(longest))
    return longest[:same]


def _head_of_one_kind(waiting: Sequence[_LookedAt], batch_size: int) -> list[_LookedAt]:
    """Return the first asks that make a batch: all with images, or all without (processors want one or the other)."""
    return [looked for looked in waiting[:batch_size] if looked.cost[0] == waiting[0].cost[0]]


def _pixels(image: Image.Image | ImageHandle, limits: PixelLimits | None) -> int:
    """Return about how many pixels the model will see; 0 when that is not known before opening."""
    # Asked once: a protocol check would ask as well, and a handle may read a file's header to answer.
    size = cast("Size | tuple[int, int] | None", getattr(image, "size", None))
    if size is None:
        return 0
    width, height = (size.width, size.height) if isinstance(size, Size) else size
    return min(max(width * height, limits.min_pixels), limits.max_pixels) if limits else width * height


def _sha256(image: Image.Image | ImageHandle) -> str | None:
    """Return what tells a picture from others without opening it; None where that is not known."""
    try:
        return cast("str | None", getattr(image, "sha256", None)) or None
    except UnreadablePictureError:
        return None  # told when it is opened


def _result(generation: Generation) -> GenerationResult:
    """Return what lmms-eval wants of a generation."""
    counts = TokenCounts(input_tokens=generation.input_tokens, output_tokens=generation.output_tokens)
    return GenerationResult(text=generation.text, token_counts=counts)
