"""`satori_openai`: a model behind any OpenAI-compatible server (vLLM, SGLang, a hosted one), asked over HTTP.

    lmms-eval --model satori_openai --model_args model=NAME,base_url=http://localhost:8000/v1 --tasks ...

Images are sent as PNG, brought to the model's own grid first where its pixel limits are known: a server's processor
then changes nothing. Each reply is recorded as it comes, and the next request takes its place. What is no answer is an
unscored record that holds the server's words, never an answer. `harness.models.reply_watch` says when a run ends: then
what came back is recorded, and the same command goes on from there.
"""

# lmms-eval has no stubs; what is used of it is annotated in `model_base`.
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import base64
import io
import logging
import struct
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from harness.errors import ConfigError, did_you_mean
from harness.models.base import Part, Prompt, RecordingModel, Turn, transcript
from harness.models.chat_client import KEEPS_TOKENS, NEUTRAL, ChatClient
from harness.models.chat_reply import ChatReply
from harness.models.chat_wire import DEFAULT_TIMEOUT_S, Outcome, Server
from harness.models.clock import Clock
from harness.models.control_tokens import ControlTokens
from harness.models.decoding import cut_at_stop, sample_seed
from harness.models.extra_fields import check_extra_body, check_template_kwargs, read_json_object
from harness.models.pace import FIRST_LIMIT, MOST_UNDER_WAY
from harness.models.reply_watch import ReplyWatch
from harness.values import Generation, Json, PixelLimits, Size
from harness.web_address import is_this_machine

if TYPE_CHECKING:
    from PIL import Image

logger = logging.getLogger(__name__)

_MOST_PIXELS_UNDER_WAY = 2**27
"""Pictures of requests under way are held to this many pixels together: some 400 MiB, and as much for what is sent."""
_PNG_LEVEL = 1
"""How hard pictures are packed for a server elsewhere; on this machine time is dearer than bytes."""


class SatoriServed(RecordingModel):
    """Asks a server, as many requests at once as it likes."""

    is_continuous = True

    def __init__(  # noqa: PLR0913 - lmms-eval hands model arguments over one by one
        self,
        model: str,
        base_url: str,
        *,
        api_key: str = "none",
        concurrency: int | str = MOST_UNDER_WAY,
        timeout_s: float | str = DEFAULT_TIMEOUT_S,
        retries: int | str = 4,
        batch_size: int | str = "auto",
        max_batch_size: int | None = None,
        min_pixels: int | None = None,
        max_pixels: int | None = None,
        factor: int = 28,
        seed: int = 0,
        device: str | None = None,
        extra_body: str | Mapping[str, Json] | None = None,
        chat_template_kwargs: str | Mapping[str, Json] | None = None,
        control_tokens: Iterable[str] = (),
        allow_rerouting: bool = False,
        takes_calls: bool = False,
        secrets: Sequence[str] = (),
        say: Callable[[str], None] = logger.warning,
        clock: Clock | None = None,
    ) -> None:
        """Reach the server and make sure that it serves the model.

        Args:
            model: The name that the server knows it by.
            base_url: Root of the API.
            api_key: Its key.
            concurrency: Requests under way at once, at the most.
            timeout_s: Seconds until a request counts as lost, however much of its reply has come.
            retries: Times that a failed request is tried again.
            batch_size: The same bound under the other backends' name; `auto` for none.
            max_batch_size: Upper limit of `auto`.
            min_pixels: With `max_pixels`: images are brought to the grid between these limits; without, sent as is.
            max_pixels: See `min_pixels`.
            factor: Sides of the grid are multiples of this many pixels.
            seed: Each sample's own seed follows from it, for sampled decoding.
            device: Ignored: lmms-eval passes it to every model.
            extra_body: Further fields of each request.
            chat_template_kwargs: What the server hands to its chat template, such as `enable_thinking`.
            control_tokens: Special tokens of the checkpoint, taken apart in questions beside those of known families.
            allow_rerouting: Whether replies of another model count; they are named in their records.
            takes_calls: Whether calls that the server files apart are a part of the text, as where there is a tool.
            secrets: Keys to cut out of replies, beside `api_key`.
            say: Takes a line for the person who watches.
            clock: The time; None for the machine's own.

        Raises:
            ConfigError: the server cannot be reached, refuses the key or does not serve the model; one pixel limit is
                missing; an extra field cannot be one.
        """
        super().__init__(batch_size=batch_size, max_batch_size=max_batch_size)
        del device
        if (min_pixels is None) != (max_pixels is None):
            raise ConfigError("min_pixels and max_pixels go together: one without the other fixes no image size")
        if min_pixels is not None and max_pixels is not None:
            self.pixel_limits = PixelLimits(int(min_pixels), int(max_pixels), int(factor))
        most = MOST_UNDER_WAY if concurrency == "auto" else max(1, int(concurrency))
        if not self.batch_size_is_automatic:
            most = min(most, self.batch_size)
        server = Server(model, base_url, api_key, most, float(timeout_s), int(retries), takes_calls)
        self._extra = read_json_object(extra_body, "extra_body")
        check_extra_body(self._extra)
        if template := read_json_object(chat_template_kwargs, "chat_template_kwargs"):
            check_template_kwargs(template)
            self._extra["chat_template_kwargs"] = template
        self._tokens = ControlTokens(control_tokens)
        self._seed = int(seed)
        self._client = connect(server, secrets=secrets, say=say, clock=clock)
        self._watch = ReplyWatch(server, is_there=self._client.is_there, allows_rerouting=allow_rerouting, say=say)
        self._latencies_s = array("d")
        self._png = _stored_png if is_this_machine(base_url) else _packed_png
        self.start_batches_at(FIRST_LIMIT)

    def generate_batch(self, prompts: Sequence[Prompt]) -> list[Generation]:
        """Ask for each prompt; results keep the order of the prompts.

        Raises:
            UserError: as `answer_stream`.
        """
        found = {id(prompt): generation for prompt, generation in self.answer_stream(iter(prompts))}
        return [found[id(prompt)] for prompt in prompts]

    def answer_stream(self, prompts: Iterator[Prompt]) -> Iterator[tuple[Prompt, Generation]]:
        """Ask for each prompt as the server has room; yield each with what came of it, as the replies arrive.

        Raises:
            ConfigError: beams are asked for; none of several requests was answered, all refused for one reason.
            ServerGoneError: nobody is there any more, or none of several requests was answered.
        """
        under_way = _UnderWay(prompts)
        with closing(self._client.ask_each(map(self._asked, under_way))) as outcomes:
            for prompt, outcome in outcomes:
                under_way.ended(prompt)
                if outcome.latency_s is not None:
                    self._latencies_s.append(outcome.latency_s)
                reply = self._watch.heard(outcome, prompt.decoding.max_new_tokens)
                yield prompt, self._generation(prompt, reply, outcome)
        self._watch.ended()

    def sent_text(self, prompt: Prompt) -> str:
        """Return the prompt turn by turn, as the server gets it."""
        return transcript(self._neutral(prompt.turns))

    def batch_recorded(self) -> None:
        """End the run where what was just recorded showed that asking on is of no use.

        Raises:
            UserError: as the watch found.
        """
        if self._watch.ending is not None:
            raise self._watch.ending

    def take_up(self, answered: Iterable[Generation]) -> None:
        """Learn from a killed run's answers which model replied."""
        for generation in answered:
            self._watch.take_up(generation.reply_model)

    def facts(self) -> dict[str, Json]:
        """Return how the server was asked, how fast it was and which models replied."""
        client, latencies_s = self._client, sorted(self._latencies_s)
        return {
            "budget_field": client.terms.budget_field,
            "left_out": list[Json](sorted(client.terms.left_out)),
            "reply_models": dict[str, Json](self._watch.models),
            "over_budget": self._watch.over_budget,
            "requests": client.tries,
            "most_under_way": client.gate.most_under_way,
            "latency_s": {
                name: round(latencies_s[int(share * (len(latencies_s) - 1))], 3) if latencies_s else None
                for name, share in {"median": 0.5, "p95": 0.95, "most": 1.0}.items()
            },
        }

    def _asked(self, prompt: Prompt) -> tuple[Prompt, Callable[[], dict[str, Any]]]:
        return prompt, partial(self._request, prompt)

    def _request(self, prompt: Prompt) -> dict[str, Any]:
        """Return the request, neutral values too: servers fill what is left out from the model's own configuration."""
        decoding = prompt.decoding
        if decoding.num_beams > 1:
            raise ConfigError("num_beams is more than 1: servers do not search with beams; use --backend hf")
        body: dict[str, Any] = {
            "model": self._client.server.model,
            "messages": [_message(turn, self._png) for turn in self._neutral(prompt.turns)],
            "max_tokens": decoding.max_new_tokens,
            "temperature": decoding.temperature,
            **NEUTRAL,
        }
        if decoding.until:
            body["stop"] = list(decoding.until)
        if decoding.sampled:
            # 31 bits: some servers keep seeds in a C int
            body["seed"] = sample_seed(self._seed, prompt.task, prompt.drawn_by, prompt.repeat) % 2**31
            body["top_p"] = decoding.top_p
            body["top_k"] = decoding.top_k or NEUTRAL["top_k"]
            body["min_p"] = decoding.min_p
        body["repetition_penalty"] = decoding.repetition_penalty
        if self._client.engine:
            body |= KEEPS_TOKENS
        return body | self._extra

    def _neutral(self, turns: Sequence[Turn]) -> tuple[Turn, ...]:
        """Return a chat in which no text calls for a picture or a turn."""

        def neutral(turn: Turn, part: Part) -> Part:
            return self._tokens.taken_apart(part, spoken=turn.role == "assistant") if isinstance(part, str) else part

        return tuple(Turn(turn.role, tuple(neutral(turn, part) for part in turn.parts)) for turn in turns)

    def _generation(self, prompt: Prompt, reply: ChatReply, outcome: Outcome) -> Generation:
        """Return what is recorded of one request."""
        if reply.failure is not None:
            return Generation(
                text="",
                error=f"request failed: {reply.failure}",
                reply_model=self._other_name(reply.model),
                latency_s=outcome.latency_s,
            )
        first = prompt.images[0] if prompt.images and self.pixel_limits is not None else None
        content, stopped = cut_at_stop(reply.content, prompt.decoding.until)
        used_up = not reply.tells_end and (reply.output_tokens or 0) >= prompt.decoding.max_new_tokens
        return Generation(
            text=replace(reply, content=content).text,
            input_size=None if first is None else Size(first.width, first.height),
            input_tokens=reply.input_tokens,
            output_tokens=reply.output_tokens,
            truncated=(reply.truncated or used_up) and not stopped,
            reply_model=self._other_name(reply.model),
            latency_s=outcome.latency_s,
        )

    def _other_name(self, name: str | None) -> str | None:
        """Return the model that a reply names, where that is not the very name that was asked."""
        return None if name == self._client.server.model else name


class _UnderWay(Iterator[Prompt]):
    """Prompts of a stream, no more at once than their pictures' pixels allow; one at least."""

    def __init__(self, prompts: Iterator[Prompt]) -> None:
        self._prompts = prompts
        self._pixels = 0

    def __next__(self) -> Prompt:
        """Return the next prompt; StopIteration also where there is no room for it until another has ended."""
        if self._pixels >= _MOST_PIXELS_UNDER_WAY:
            raise StopIteration
        prompt = next(self._prompts)
        self._pixels += _pixels_of(prompt)
        return prompt

    def ended(self, prompt: Prompt) -> None:
        """Make the room of a prompt free."""
        self._pixels -= _pixels_of(prompt)


def _pixels_of(prompt: Prompt) -> int:
    return sum(image.width * image.height for image in prompt.images)


def connect(
    server: Server,
    *,
    secrets: Sequence[str] = (),
    say: Callable[[str], None] = logger.warning,
    clock: Clock | None = None,
) -> ChatClient:
    """Return a client of a server that answers and serves the model, before anything is asked.

    A server that keeps no list of its models is taken at its word.

    Raises:
        ConfigError: the address or the key cannot be one; the server cannot be reached, refuses the key, or lists
            other models only.
    """
    client = ChatClient(server, secrets=secrets, say=say, clock=clock)
    listed = client.model_names()
    if listed and server.model not in listed:
        raise ConfigError(
            f"{server.shown_url} does not serve {server.model!r} but {', '.join(sorted(listed)[:10])}."
            f"{did_you_mean(server.model, listed)} Name it with --served-name"
        )
    return client


def _message(turn: Turn, png: Callable[[Image.Image], bytes]) -> dict[str, Any]:
    """Return a turn as the API wants it; a turn of text alone is a plain string, which every server takes."""
    if not turn.images:
        return {"role": turn.role, "content": "".join(part for part in turn.parts if isinstance(part, str))}
    parts: list[dict[str, Any]] = []
    for part in turn.parts:
        if isinstance(part, str):
            parts.append({"type": "text", "text": part})
        else:
            packed = base64.b64encode(png(cast("Image.Image", part))).decode("ascii")
            parts.append({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{packed}"}})
    return {"role": turn.role, "content": parts}


def _packed_png(image: Image.Image) -> bytes:
    """Return an image as PNG, which keeps every pixel."""
    stream = io.BytesIO()
    image.save(stream, "PNG", compress_level=_PNG_LEVEL)
    return stream.getvalue()


def _stored_png(image: Image.Image) -> bytes:
    """Return an RGB image as PNG with its pixels as they are: an eighth of the time that Pillow takes without packing.

    The format is that of the PNG specification: signature, then chunks of length, kind, data and checksum.
    """
    assert image.mode == "RGB", "prompts hold RGB images"
    pixels, row = image.tobytes(), 3 * image.width
    lines = b"".join(b"\0" + pixels[start : start + row] for start in range(0, len(pixels), row))
    head = struct.pack(">IIBBBBB", image.width, image.height, 8, 2, 0, 0, 0)  # 8 bits of each of three colours
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(lines, 0)), (b"IEND", b""))
    made = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(made)
