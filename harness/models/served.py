"""`satori_openai`: a model behind any OpenAI-compatible server (vLLM, SGLang, a hosted one), asked over HTTP.

    lmms-eval --model satori_openai --model_args model=NAME,base_url=http://localhost:8000/v1 --tasks ...

Images are sent as PNG, brought to the model's own grid first where its pixel limits are known: a server's processor
then changes nothing. What is no answer is an unscored record that holds the server's words, never an answer. Three
things end the run, once what came back is recorded, so that the same command goes on from there: a server that is gone,
a refusal that every request meets, and replies of another model or of another host.
"""

# lmms-eval has no stubs; what is used of it is annotated in `model_base`.
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import base64
import io
import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from harness.errors import ConfigError, IncompleteError, UserError, did_you_mean
from harness.models.base import Prompt, RecordingModel, Turn, transcript
from harness.models.chat_client import DEFAULT_TIMEOUT_S, NEUTRAL, ChatClient, Outcome, Server
from harness.models.chat_reply import same_model
from harness.models.control_tokens import ControlTokens
from harness.models.decoding import cut_at_stop, sample_seed
from harness.models.extra_fields import check_extra_body, check_template_kwargs, read_json_object
from harness.values import Generation, Json, PixelLimits, Size

if TYPE_CHECKING:
    from PIL import Image

logger = logging.getLogger(__name__)

DEFAULT_CONCURRENCY = 16
"""Requests under way at once."""
_BATCHES_AHEAD = 2
"""Requests of a batch for each that is under way, so that a slow one does not leave the others' places empty."""
_CONCERNS_ALL = frozenset({401, 403, 404})
"""Refusals that one sample alone shows to concern every sample, as long as none was answered."""
_MENDS: Mapping[int, str] = {
    401: ". Give the key with --api-key",
    403: ". Give a key that may use the model with --api-key",
    404: ". Is the address right? Most APIs have their root at /v1; the model's name there is --served-name",
}
"""What to do about a refusal that says little by itself."""
_MOST_ALIKE = 32
"""So many equal refusals in a row are no samples' own, whatever was answered before."""


class ServerGoneError(IncompleteError, ConnectionError):
    """The server answers no more, or another model does; nothing that was recorded is lost."""


class SatoriServed(RecordingModel):
    """Asks a server, several requests at once."""

    def __init__(  # noqa: PLR0913 - lmms-eval hands model arguments over one by one
        self,
        model: str,
        base_url: str,
        *,
        api_key: str = "none",
        concurrency: int | str = DEFAULT_CONCURRENCY,
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
        secrets: Sequence[str] = (),
        say: Callable[[str], None] = logger.warning,
    ) -> None:
        """Reach the server and make sure that it serves the model.

        Args:
            model: The name that the server knows it by.
            base_url: Root of the API.
            api_key: Its key.
            concurrency: Requests under way at once.
            timeout_s: Seconds until a request counts as lost, however much of its reply has come.
            retries: Times that a failed request is tried again.
            batch_size: Samples that are recorded together; `auto` follows the concurrency.
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
            secrets: Keys to cut out of replies, beside `api_key`.
            say: Takes a line for the person who watches.

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
        server = Server(model, base_url, api_key, max(1, int(concurrency)), float(timeout_s), int(retries))
        self._extra = read_json_object(extra_body, "extra_body")
        check_extra_body(self._extra)
        if template := read_json_object(chat_template_kwargs, "chat_template_kwargs"):
            check_template_kwargs(template)
            self._extra["chat_template_kwargs"] = template
        self._tokens = ControlTokens(control_tokens)
        self._seed = int(seed)
        self._allow_rerouting = allow_rerouting
        self._say = say
        self._client = connect(server, secrets=secrets, say=say)
        self._answered = False
        self._reply_models: Counter[str] = Counter()
        self._alike: tuple[str, int] = ("", 0)
        self._ending: UserError | None = None
        self.start_batches_at(_BATCHES_AHEAD * server.concurrency)

    def generate_batch(self, prompts: Sequence[Prompt]) -> list[Generation]:
        """Ask for each prompt; results keep the order of the prompts.

        Raises:
            ConfigError: beams are asked for.
            ServerGoneError: no request of the batch was replied to, however often it was tried.
        """
        if prompts and prompts[0].decoding.num_beams > 1:
            raise ConfigError("num_beams is more than 1: servers do not search with beams; use --backend hf")
        arrived = dict(self._client.ask_each([partial(self._request, prompt) for prompt in prompts]))
        outcomes = [arrived[place] for place in range(len(prompts))]
        self._check_alive(outcomes)
        generations = list(map(self._generation, prompts, outcomes))
        generations = self._of_one_model(generations)
        self._note_refusals(outcomes)
        self._check_thoughts(outcomes)
        return generations

    def sent_text(self, prompt: Prompt) -> str:
        """Return the prompt turn by turn, as the server gets it."""
        return transcript(self._neutral(prompt.turns))

    def batch_recorded(self) -> None:
        """End the run where the batch that was just recorded showed that asking on is of no use.

        Raises:
            UserError: as `_note_refusals` and `_of_one_model` found.
        """
        if self._ending is not None:
            raise self._ending

    def take_up(self, answered: Iterable[Generation]) -> None:
        """Learn from a killed run's answers which model replied."""
        for generation in answered:
            self._answered = True
            self._reply_models[generation.reply_model or self._client.server.model] += 1

    def facts(self) -> dict[str, Json]:
        """Return how the server was asked and which models replied."""
        terms = self._client.terms
        return {
            "budget_field": terms.budget_field,
            "left_out": list[Json](sorted(terms.left_out)),
            "reply_models": dict[str, Json](self._reply_models),
        }

    def _request(self, prompt: Prompt) -> dict[str, Any]:
        """Return the request, neutral values too: servers fill what is left out from the model's own configuration."""
        decoding = prompt.decoding
        body: dict[str, Any] = {
            "model": self._client.server.model,
            "messages": list(map(_message, self._neutral(prompt.turns))),
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
        return body | self._extra

    def _neutral(self, turns: Sequence[Turn]) -> tuple[Turn, ...]:
        """Return a chat in which no text calls for a picture or a turn."""
        apart = self._tokens.taken_apart
        return tuple(
            Turn(turn.role, tuple(apart(part) if isinstance(part, str) else part for part in turn.parts))
            for turn in turns
        )

    def _generation(self, prompt: Prompt, outcome: Outcome) -> Generation:
        """Return what is recorded of one request."""
        reply = outcome.reply
        if reply.failure is not None:
            return Generation(
                text="", error=f"request failed: {reply.failure}", reply_model=self._other_name(reply.model)
            )
        first = prompt.images[0] if prompt.images and self.pixel_limits is not None else None
        content, stopped = cut_at_stop(reply.content, prompt.decoding.until)
        return Generation(
            text=replace(reply, content=content).text,
            input_size=None if first is None else Size(first.width, first.height),
            input_tokens=reply.input_tokens,
            output_tokens=reply.output_tokens,
            truncated=reply.truncated and not stopped,
            reply_model=self._other_name(reply.model),
        )

    def _other_name(self, name: str | None) -> str | None:
        """Return the model that a reply names, where that is not the very name that was asked."""
        return None if name == self._client.server.model else name

    def _of_one_model(self, generations: Sequence[Generation]) -> list[Generation]:
        """Return the batch without the answers of another model than the first that answered, unless they may count.

        A server may know a model by another name than it is asked by (a snapshot's date, a deployment): what the first
        replies say is taken for it. A change of name later is another model, such as a router's fallback.
        """
        asked = self._client.server.model
        names = [generation.reply_model or asked for generation in generations if generation.error is None]
        if names and not self._reply_models:
            expected = asked if any(same_model(asked, name) for name in names) else names[0]
            if not same_model(asked, expected):
                self._say(
                    f"warning: asked for {asked!r}, the server replies as {expected!r}; its records name it. If that "
                    "is another model, stop here"
                )
        else:
            expected = self._reply_models.most_common(1)[0][0] if self._reply_models else asked
        kept: list[Generation] = []
        others: Counter[str] = Counter()
        for generation in generations:
            name = generation.reply_model or asked
            if generation.error is None and not same_model(expected, name) and not self._allow_rerouting:
                others[name] += 1
                why = f"request failed: the reply is of another model, {name!r} in place of {expected!r}"
                kept.append(Generation(text="", error=why, reply_model=generation.reply_model))
                continue
            if generation.error is None:
                self._reply_models[name] += 1
            kept.append(generation)
        if others:
            found = ", ".join(f"{name!r} ({count})" for name, count in others.most_common(3))
            self._ending = ServerGoneError(
                f"{self._client.server.shown_url} answered with another model than {expected!r}: {found} of "
                f"{len(generations)} replies. They are not scored. The same command goes on from here; "
                "--allow-rerouting takes such replies and names their model in the records"
            )
        return kept

    def _check_alive(self, outcomes: Sequence[Outcome]) -> None:
        """Raise where nobody is there any more: no connection, or a whole batch that was late.

        A few late ones, such as the last of a run, may just be slow samples; they cost themselves only.
        """
        kinds = Counter(outcome.kind for outcome in outcomes)
        silent = kinds["lost"] + kinds["late"] == len(outcomes) > 0
        few_late = not kinds["lost"] and (len(outcomes) == 1 or len(outcomes) < self.batch_size)
        if silent and not few_late:
            raise ServerGoneError(
                f"{self._client.server.shown_url} answers no more ({outcomes[0].reply.failure}). "
                "Start it again, then run the same command: it resumes"
            )

    def _note_refusals(self, outcomes: Sequence[Outcome]) -> None:
        """Note that the run ends where every request so far, or a long row of them, was refused with the same words."""
        for outcome in outcomes:
            if outcome.kind == "answer":
                self._answered, self._alike = True, ("", 0)
                continue
            words = re.sub(r"[0-9a-f-]*[0-9][0-9a-f-]*", "#", outcome.reply.failure or "")  # ids and counts differ
            before, count = self._alike
            self._alike = (words, count + 1 if words == before else 1)
        if self._ending is not None or not outcomes:
            return
        last = outcomes[-1]
        _, count = self._alike
        server = self._client.server
        sent = next((outcome for outcome in outcomes if outcome.kind == "elsewhere"), None)
        if sent is not None:
            why = f"{server.shown_url} {sent.reply.failure}: neither key nor question was sent there"
            mend = "If the model is there, give that address with --base-url"
            self._ending = ServerGoneError(f"{why}. {mend}") if self._answered else ConfigError(f"{why}. {mend}")
        elif count < len(outcomes) or (count < 2 and last.status not in _CONCERNS_ALL):
            return
        elif not self._answered and last.kind == "refused":
            mend = _MENDS.get(last.status or 0, "")
            self._ending = ConfigError(
                f"{server.shown_url} refuses {server.model}: {last.reply.failure} (all {count} requests so far){mend}"
            )
        elif count >= _MOST_ALIKE or (last.kind == "refused" and last.status in _CONCERNS_ALL):
            self._ending = ServerGoneError(
                f"{server.shown_url} gives no answer any more: {last.reply.failure} (the last {count} requests). "
                "Mend the cause, then run the same command: it goes on from here"
            )

    def _check_thoughts(self, outcomes: Sequence[Outcome]) -> None:
        """Warn once where the first replies are thoughts alone: a server's parser may have filed the answer there."""
        replies = [outcome.reply for outcome in outcomes if outcome.kind == "answer"]
        hollow = [reply for reply in replies if reply.thought and not reply.content.strip() and not reply.truncated]
        if len(hollow) > 1 and 2 * len(hollow) > len(replies) and self._reply_models.total() == len(replies):
            self._say(
                f"warning: {len(hollow)} of {len(replies)} replies hold a thought and no answer, though the model "
                "stopped by itself: the server's reasoning parser may take the answer for a thought. Look at "
                "samples.jsonl; serve without the parser, or see --chat-template-kwargs"
            )


def connect(server: Server, *, secrets: Sequence[str] = (), say: Callable[[str], None] = logger.warning) -> ChatClient:
    """Return a client of a server that answers and serves the model, before anything is asked.

    A server that keeps no list of its models is taken at its word.

    Raises:
        ConfigError: the address or the key cannot be one; the server cannot be reached, refuses the key, or lists
            other models only.
    """
    client = ChatClient(server, secrets=secrets, say=say)
    listed = client.model_names()
    if listed and server.model not in listed:
        raise ConfigError(
            f"{server.shown_url} does not serve {server.model!r} but {', '.join(sorted(listed)[:10])}."
            f"{did_you_mean(server.model, listed)} Name it with --served-name"
        )
    return client


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
