"""A model that replays text: for tests and for measuring everything but the model.

It walks the same path as a real backend (messages, images, batches, recorder) and generates nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from harness.models.base import Part, Prompt, RecordingModel
from harness.models.decoding import cut_at_stop
from harness.values import Generation, PixelLimits, Size

Replies = Mapping[tuple[str, int], str] | Callable[[str, int], str]
"""The text for a task name and row number."""


class SatoriReplay(RecordingModel):
    """Answers from a table or a function."""

    def __init__(
        self,
        replies: Replies,
        *,
        open_images: bool = True,
        batch_size: int | str = 8,
        pixel_limits: PixelLimits | None = None,
    ) -> None:
        """Replay `replies`.

        Args:
            replies: The texts; a missing key of a mapping is a KeyError.
            open_images: Whether images are opened and resized, as a real model needs them.
            batch_size: Samples that are recorded together.
            pixel_limits: The grid that images are brought to; None leaves them as they are.
        """
        super().__init__(batch_size=batch_size)
        self._replies = replies
        self._open_images = open_images
        self.pixel_limits = pixel_limits

    def generate_batch(self, prompts: Sequence[Prompt]) -> list[Generation]:
        """Return the stored texts, cut at stop strings, words counted as tokens."""
        return [self._replay(prompt) for prompt in prompts]

    def _replay(self, prompt: Prompt) -> Generation:
        """Look one text up."""
        task, doc_id = prompt.task, prompt.doc_id
        reply = self._replies(task, doc_id) if callable(self._replies) else self._replies[task, doc_id]
        text, _ = cut_at_stop(reply, prompt.decoding.until)
        first = prompt.images[0] if prompt.images and self.pixel_limits else None
        return Generation(
            text=text,
            input_size=Size(first.width, first.height) if first else None,
            output_tokens=len(text.split()),
            device_s=0.0,
        )

    def _open(self, part: Part) -> Part:
        """Open images only when asked to."""
        return super()._open(part) if self._open_images else part
