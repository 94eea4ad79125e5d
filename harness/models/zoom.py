"""`--tool zoom`: a model that asks to see a region closer is shown it, and goes on.

    model.tool = Zoom(form, dialect, limits)      # RecordingModel asks it after each turn

The loop lies above the backends: a turn that holds calls and no answer is followed by another prompt, in which the
user's turn holds what was cut (`harness/images/crops.py` says how). Calls are read by the format's own marks, so that
what is shown is what a score of the transcript takes the model to have looked at. A conversation ends with an answer,
with a turn that calls nothing or that its token budget ended, and when the tool has replied `most_turns` times.

The text that is kept is the whole transcript in the marks of Qwen's chat template, in which these works are written,
whatever template the model has: scores need nothing else. A call may say anything; what cannot be shown is replied to
with the name of an error, one of `ERRORS` (`zoom_words.py`), and costs a turn as any other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from PIL import Image

from harness.images.crops import cut_out, is_too_thin, widened
from harness.images.frames import to_image_px
from harness.images.grid import to_rgb
from harness.images.pictures import DECODER_FAULTS
from harness.models.base import TURN_APART, ImageHandle, Part, Prompt, Turn, part_text
from harness.models.zoom_words import DEFAULT_TURNS, ERRORS, MOST_CALLS, WORDS, Words, format_with_calls
from harness.scoring.marked_text import Call, read_calls
from harness.scoring.steps import place_steps
from harness.values import AnyFormat, Box, BoxDialect, Crop, Generation, PixelLimits, Size, Step

_Number = TypeVar("_Number", int, float)


class Zoom:
    """The tool of one run."""

    def __init__(
        self,
        form: AnyFormat,
        dialect: BoxDialect,
        limits: PixelLimits | None,
        *,
        suffix: str,
        most_turns: int = DEFAULT_TURNS,
        words: Words | None = None,
    ) -> None:
        """Take what calls are read by and pictures are shown by.

        Args:
            form: A format with boxes in marked calls.
            dialect: How boxes are written.
            limits: The model's grid; None where it has none of ours.
            suffix: What follows the question, and is said again where the format's work does so.
            most_turns: Replies after which a conversation ends.
            words: What the tool says around its pictures; None: the format's own.

        Raises:
            ConfigError: The format has no calls.
        """
        self._form = format_with_calls(form)
        self._dialect = dialect
        self._limits = limits
        self._suffix = suffix
        self._most_turns = most_turns
        self._words = words or WORDS.get(self._form.name, Words())

    def __call__(self, prompt: Prompt, generation: Generation) -> Prompt | Generation:
        """Return the next prompt of a conversation, or the conversation as a whole where it has ended."""
        if generation.error is not None:
            return self._whole(prompt, generation)
        calls, answers = read_calls(generation.text, self._form, self._dialect)
        if not calls:
            return self._whole(prompt, generation)
        if answers or generation.truncated or len(prompt.said) >= self._most_turns:
            turn = len(prompt.said) + 1
            unheard = tuple(
                Crop(turn, call.said, 0 if call.step is None else call.step.source, error="ended") for call in calls
            )
            return self._whole(prompt, replace(generation, crops=unheard))
        try:
            reply, crops = self._reply(prompt, generation, calls)
        except DECODER_FAULTS as fault:  # the file is no longer what it was a moment ago
            return self._whole(prompt, Generation("", error=f"the picture cannot be opened again: {fault}"))
        turns = (*prompt.turns, Turn("assistant", (generation.text,)), Turn("user", reply))
        said = (*prompt.said, replace(generation, crops=crops))
        return replace(prompt, turns=turns, said=said, repeat=prompt.repeat + TURN_APART)

    def _reply(
        self, prompt: Prompt, generation: Generation, calls: Sequence[Call]
    ) -> tuple[tuple[Part, ...], tuple[Crop, ...]]:
        """Return the user's turn that replies to calls, and what each of them was shown."""
        pictures = [_opened(original) for original in prompt.originals]
        picture = pictures[0] if len(pictures) == 1 else None  # a box does not say which of several it lies in
        earlier = [step for said in prompt.said for step in self._steps_of(said)]
        asked = self._looked_at(picture, earlier, calls, generation.input_size)
        turn, parts, crops = len(prompt.said), list[Part](), list[Crop]()
        for place, (call, (region, number, error)) in enumerate(zip(calls, asked, strict=True)):
            source = 0 if call.step is None else call.step.source
            wrong = error or ("too_many" if place >= MOST_CALLS else None)
            if picture is None or region is None or wrong is not None:
                why = wrong or "no_source"
                parts.append(self._words.error.format(why=ERRORS[why]))
                crops.append(Crop(turn + 1, call.said, source, error=why))
                continue
            cut = cut_out(picture, region, self._limits)
            said_number = number + self._form.first_crop - 1
            parts += [self._words.before.format(turn=turn, number=said_number), cut, self._words.after]
            crops.append(Crop(turn + 1, call.said, source, region, Size(*cut.size), picture_sha256(cut)))
        parts.append(self._words.end.format(suffix=self._suffix))
        return tuple(_joined(parts)), tuple(crops)

    def _looked_at(
        self, picture: Image.Image | None, earlier: Sequence[Step], calls: Sequence[Call], input_size: Size | None
    ) -> Iterator[tuple[Box | None, int, str | None]]:
        """Yield of each call the region to cut, which crop of the conversation it is, and the error that it makes."""
        if picture is None:
            for call in calls:
                yield None, 0, "no_region" if call.step is None else "no_source"
            return
        size = Size(*picture.size)

        def place(boxes: tuple[Box, ...]) -> tuple[Box, ...] | None:
            padded = self._dialect.padded_to_square
            return to_image_px(boxes, self._dialect.unit, size, input_size, padded_to_square=padded)

        steps = [*earlier, *(call.step for call in calls if call.step is not None)]
        placed = place_steps(steps, place, self._dialect, size, None)
        number = sum(step.is_valid for step in placed[: len(earlier)])
        looked = iter(placed[len(earlier) :])
        for call in calls:
            if call.step is None:
                yield None, 0, "no_region"
                continue
            step = next(looked)
            if not step.is_valid:
                yield None, 0, next((fault for fault in step.faults if fault in ERRORS), "degenerate")
                continue
            number += 1
            x1s, y1s, x2s, y2s = zip(*step.boxes_image_px, strict=True)
            region = (min(x1s), min(y1s), max(x2s), max(y2s))
            if not self._form.source_key:
                region = widened(region, size)
            yield region, number, "too_thin" if is_too_thin(region) else None

    def _steps_of(self, said: Generation) -> list[Step]:
        calls, _ = read_calls(said.text, self._form, self._dialect)
        return [call.step for call in calls if call.step is not None]

    def _whole(self, prompt: Prompt, last: Generation) -> Generation:
        """Return a conversation as what is recorded of it; where its last turn failed, there is no text."""
        said = (*prompt.said, last)
        replies = [turn for turn in prompt.turns[-2 * len(prompt.said) :] if turn.role == "user"] if prompt.said else []
        text = said[0].text
        for reply, answer in zip(replies, said[1:], strict=True):
            text += f"<|im_end|>\n<|im_start|>user\n{_as_text(reply)}<|im_end|>\n<|im_start|>assistant\n{answer.text}"
        return replace(
            last,
            text="" if last.error is not None else text,
            input_size=said[0].input_size,
            output_ids=last.output_ids if len(said) == 1 else None,  # of several turns no one row of tokens
            output_tokens=_total([one.output_tokens for one in said]),
            device_s=_total([one.device_s for one in said]),
            latency_s=_total([one.latency_s for one in said]),
            crops=tuple(crop for one in said for crop in one.crops),
        )


def picture_sha256(picture: Image.Image) -> str:
    """Return the hex digest of a picture's size and pixels."""
    return hashlib.sha256(repr((picture.mode, picture.size)).encode("ascii") + picture.tobytes()).hexdigest()


def _opened(original: Image.Image | ImageHandle) -> Image.Image:
    """Return a picture as the benchmark has it, upright and in RGB."""
    image = original if isinstance(original, Image.Image) else original.open()
    image.load()
    return to_rgb(image)


def _joined(parts: Sequence[Part]) -> Iterator[Part]:
    """Yield parts with texts side by side as one, without empty ones."""
    text = ""
    for part in parts:
        if isinstance(part, str):
            text += part
            continue
        if text:
            yield text
        yield part
        text = ""
    if text:
        yield text


def _as_text(turn: Turn) -> str:
    return "".join(map(part_text, turn.parts))


def _total(values: Sequence[_Number | None]) -> _Number | None:
    """Return a sum; None where any part is not known."""
    known = [value for value in values if value is not None]
    return sum(known[1:], known[0]) if len(known) == len(values) else None
