"""`satori_openai`: a model behind any OpenAI-compatible server (vLLM, SGLang, a hosted one), asked over HTTP.

    lmms-eval --model satori_openai --model_args model=NAME,base_url=http://localhost:8000/v1 --tasks ...

Images are sent as PNG, brought to the model's own grid first where its pixel limits are known: a server's processor
then changes nothing. A request that fails for good is an unscored record, never an answer; a server that is gone ends
the run, whose journal the same command takes up again.
"""

# lmms-eval has no stubs; what is used of it is annotated in `model_base`.
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import SplitResult, urlsplit

from openai import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    NotFoundError,
    OpenAI,
    OpenAIError,
    PermissionDeniedError,
)

from harness.decoding import cut_at_stop, sample_seed
from harness.errors import ConfigError, IncompleteError, did_you_mean
from harness.model_base import Prompt, RecordingModel, Turn
from harness.values import Generation, PixelLimits, Size

if TYPE_CHECKING:
    from PIL import Image

DEFAULT_CONCURRENCY = 16
"""Requests under way at once."""
_BATCHES_AHEAD = 2
"""Requests of a batch for each that is under way, so that a slow one does not leave the others' places empty."""
_MOST_REASON_CHARACTERS = 300
_MOST_TOKENS = 10**9


class ServerGoneError(IncompleteError, ConnectionError):
    """The server answers no more; nothing that was recorded is lost."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where a served model lives and how it is asked."""

    model: str
    """The name that the server knows the model by."""
    base_url: str
    """Root of its OpenAI-compatible API, such as `http://localhost:8000/v1`."""
    api_key: str = "none"
    """Key; any text for a local server."""
    concurrency: int = DEFAULT_CONCURRENCY
    """Requests under way at once, at least 1."""
    timeout_s: float = 600.0
    """Seconds until a request counts as lost."""
    retries: int = 4
    """Times that the library asks again after a lost connection, 429 or a server's error, waiting longer each time."""


class SatoriServed(RecordingModel):
    """Asks a server, several requests at once."""

    def __init__(  # noqa: PLR0913 - lmms-eval hands model arguments over one by one
        self,
        model: str,
        base_url: str,
        *,
        api_key: str = "none",
        concurrency: int | str = DEFAULT_CONCURRENCY,
        timeout_s: float | str = 600.0,
        retries: int | str = 4,
        batch_size: int | str = "auto",
        max_batch_size: int | None = None,
        min_pixels: int | None = None,
        max_pixels: int | None = None,
        factor: int = 28,
        seed: int = 0,
        device: str | None = None,
    ) -> None:
        """Reach the server and make sure that it serves the model.

        Args:
            model: The name that the server knows it by.
            base_url: Root of the API.
            api_key: Its key.
            concurrency: Requests under way at once.
            timeout_s: Seconds until a request counts as lost.
            retries: Times that a failed request is tried again.
            batch_size: Samples that are recorded together; `auto` follows the concurrency.
            max_batch_size: Upper limit of `auto`.
            min_pixels: With `max_pixels`: images are brought to the grid between these limits; without, sent as is.
            max_pixels: See `min_pixels`.
            factor: Sides of the grid are multiples of this many pixels.
            seed: Each sample's own seed follows from it, for sampled decoding.
            device: Ignored: lmms-eval passes it to every model.

        Raises:
            ConfigError: the server cannot be reached, refuses the key or does not serve the model; one pixel limit is
                missing.
        """
        super().__init__(batch_size=batch_size, max_batch_size=max_batch_size)
        del device
        if (min_pixels is None) != (max_pixels is None):
            raise ConfigError("min_pixels and max_pixels go together: one without the other fixes no image size")
        if min_pixels is not None and max_pixels is not None:
            self.pixel_limits = PixelLimits(int(min_pixels), int(max_pixels), int(factor))
        self._server = Server(model, base_url, api_key, max(1, int(concurrency)), float(timeout_s), int(retries))
        self._seed = int(seed)
        self._client = connect(self._server)
        self.start_batches_at(_BATCHES_AHEAD * self._server.concurrency)

    def generate_batch(self, prompts: Sequence[Prompt]) -> list[Generation]:
        """Ask for each prompt; results keep the order of the prompts.

        Raises:
            ConfigError: the server refuses the key or no longer knows the model, or beams are asked for.
            ServerGoneError: no request of the batch was replied to, however often the library tried.
        """
        if prompts and prompts[0].decoding.num_beams > 1:
            raise ConfigError("num_beams is more than 1: servers do not search with beams; use --backend hf")
        with ThreadPoolExecutor(self._server.concurrency, thread_name_prefix="satori-ask") as pool:
            answers = list(pool.map(self._ask, prompts))
        # One request alone may just be too slow; that costs its own sample only.
        if answers and all(answer.lost for answer in answers) and not (len(answers) == 1 and answers[0].too_slow):
            raise ServerGoneError(
                f"{self._server.base_url} answers no more ({answers[0].generation.error}). "
                "Start it again, then run the same command: it resumes"
            )
        return [answer.generation for answer in answers]

    def _ask(self, prompt: Prompt) -> _Answer:
        """Ask once (the library retries); a request that fails for good has no text but a reason."""
        try:
            # raw: the library's own reading checks nothing and falls over replies that are none
            completions = cast("Any", self._client.chat.completions.with_raw_response)
            reply = completions.create(**self._arguments(prompt))
            written = read_reply(json.loads(reply.http_response.text))
        except (AuthenticationError, PermissionDeniedError, NotFoundError) as fault:
            raise ConfigError(f"{self._server.base_url} refuses {self._server.model}: {_reason(fault)}") from fault
        except OpenAIError as fault:
            return _Answer(_failed(_reason(fault)), isinstance(fault, APIConnectionError), _is_timeout(fault))
        except (ValueError, RecursionError) as fault:
            return _Answer(_failed(f"the reply is no JSON ({_reason(fault)})"))
        if written.error is not None:
            return _Answer(written)
        first = prompt.images[0] if prompt.images and self.pixel_limits is not None else None
        text, stopped = cut_at_stop(written.text, prompt.decoding.until)
        seen = None if first is None else Size(first.width, first.height)
        return _Answer(replace(written, text=text, input_size=seen, truncated=written.truncated and not stopped))

    def _arguments(self, prompt: Prompt) -> dict[str, Any]:
        """Return the request; what is neutral is left out, since hosted servers refuse what they do not know."""
        decoding = prompt.decoding
        arguments: dict[str, Any] = {
            "model": self._server.model,
            "messages": [_message(turn) for turn in prompt.turns],
            "max_tokens": decoding.max_new_tokens,
            "temperature": decoding.temperature,
        }
        if decoding.until:
            arguments["stop"] = list(decoding.until)
        extra: dict[str, Any] = {}
        if decoding.sampled:
            # 31 bits: some servers keep seeds in a C int
            arguments["seed"] = sample_seed(self._seed, prompt.task, prompt.doc_id, prompt.repeat) % 2**31
            arguments["top_p"] = decoding.top_p
            if decoding.top_k:
                extra["top_k"] = decoding.top_k
            if decoding.min_p:
                extra["min_p"] = decoding.min_p
        if decoding.repetition_penalty != 1:
            extra["repetition_penalty"] = decoding.repetition_penalty
        if extra:
            arguments["extra_body"] = extra
        return arguments


@dataclass(frozen=True, slots=True)
class _Answer:
    """What became of one request."""

    generation: Generation
    """The text, or the reason why there is none."""
    lost: bool = False
    """Whether no reply came, for lack of a connection or of time."""
    too_slow: bool = False
    """Whether it was for lack of time."""


def read_reply(reply: object) -> Generation:
    """Read a chat completion, which is as untrusted as any text of a model.

    Args:
        reply: The reply as plain JSON values.

    Returns:
        The text with its token counts; a generation with an error where there is no text to be had.
    """
    fields = _object(reply)
    choices = fields.get("choices")
    if not isinstance(choices, list) or not choices:
        return _failed("the reply has no choices")
    choice = _object(cast("list[object]", choices)[0])
    if choice.get("finish_reason") == "content_filter":
        return _failed("the server's filter withheld the answer")
    message = choice.get("message")
    if not isinstance(message, dict):
        return _failed("the reply has no message")
    content = _object(cast("object", message)).get("content")
    if content is not None and not isinstance(content, str):
        return _failed(f"the reply's content is no text but {type(content).__name__}")
    usage = _object(fields.get("usage"))
    return Generation(
        text=content or "",
        input_tokens=_count(usage.get("prompt_tokens")),
        output_tokens=_count(usage.get("completion_tokens")),
        truncated=choice.get("finish_reason") == "length",
    )


def _object(value: object) -> dict[str, object]:
    """Return a JSON object; an empty one for anything else."""
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def _count(value: object) -> int | None:
    """Return a number of tokens; None for what cannot be one."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_TOKENS else None


def _failed(why: str) -> Generation:
    """Return what stands for an answer that there is none of."""
    return Generation(text="", error=f"request failed: {why}")


def connect(server: Server) -> OpenAI:
    """Return a client of a server that answers and serves the model, before anything is asked.

    A server that keeps no list of its models is taken at its word.

    Raises:
        ConfigError: the address or the key cannot be one; the server cannot be reached, refuses the key, or lists
            other models only.
    """
    address = _address_of(server.base_url)
    if address is None or address.scheme not in {"http", "https"} or not address.netloc:
        raise ConfigError(f"{server.base_url!r} is no address of a server: write it as http://localhost:8000/v1")
    if not server.api_key.isascii():
        raise ConfigError("the key holds characters that no HTTP header can carry: give the right one with --api-key")
    client = OpenAI(
        api_key=server.api_key, base_url=server.base_url, timeout=server.timeout_s, max_retries=server.retries
    )
    listed = _listed_models(client, server)
    if listed and server.model not in listed:
        raise ConfigError(
            f"{server.base_url} does not serve {server.model!r} but {', '.join(sorted(listed)[:10])}."
            f"{did_you_mean(server.model, listed)} Name it with --served-name"
        )
    return client


def _listed_models(client: OpenAI, server: Server) -> list[str]:
    """Return the names that a server lists; none where it keeps no list."""
    try:
        listed = [cast("object", getattr(model, "id", None)) for model in client.models.list()]
    except (AuthenticationError, PermissionDeniedError) as fault:
        raise ConfigError(f"{server.base_url} refuses the key: {_reason(fault)}. Give it with --api-key") from fault
    except APIStatusError:
        return []
    except OpenAIError as fault:
        raise ConfigError(
            f"no server answers at {server.base_url} ({_reason(fault)}). Start one, for instance: vllm serve MODEL"
        ) from fault
    except Exception as fault:  # the library takes an HTML page for a list and falls over it
        raise ConfigError(
            f"{server.base_url} answers, but not as an OpenAI-compatible API does ({_reason(fault)}). "
            "Most have their root at /v1"
        ) from fault
    return [name for name in listed if isinstance(name, str)]


def _address_of(address: str) -> SplitResult | None:
    """Return the parts of an address; None for what cannot be one."""
    try:
        return urlsplit(address)
    except ValueError:
        return None


def _message(turn: Turn) -> dict[str, Any]:
    """Return a turn as the API wants it; a turn of text alone is a plain string, which every server takes."""
    if not turn.images:
        return {"role": turn.role, "content": "".join(part for part in turn.parts if isinstance(part, str))}
    parts: list[dict[str, Any]] = []
    for part in turn.parts:
        if isinstance(part, str):
            parts.append({"type": "text", "text": part})
        else:
            parts.append({"type": "image_url", "image_url": {"url": _png_url(cast("Image.Image", part))}})
    return {"role": turn.role, "content": parts}


def _png_url(image: Image.Image) -> str:
    """Return an image as a data address; PNG keeps every pixel."""
    stream = io.BytesIO()
    image.save(stream, "PNG", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def _is_timeout(fault: OpenAIError) -> bool:
    """Whether a request failed for lack of time."""
    return isinstance(fault, APITimeoutError)


def _reason(fault: Exception) -> str:
    """Return what went wrong in a few words."""
    text = " ".join(str(fault.__cause__ or fault).split())
    return f"{type(fault).__name__}: {text}"[:_MOST_REASON_CHARACTERS]
