"""The seam between a model and the run store: what is already answered, and where a new answer goes.

A model asks `lookup` before it generates and calls `record` for each sample right after its batch, so that a killed run
loses at most the batch in flight. The store lies behind this protocol; a model knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from harness.values import Generation

if TYPE_CHECKING:
    from PIL.Image import Image


@runtime_checkable
class Recorder(Protocol):
    """Remembers generations by task name and document number."""

    def lookup(self, task: str, doc_id: int) -> Generation | None:
        """Return the generation recorded for this document, or None when it is still to be asked."""
        ...

    def record(self, task: str, doc_id: int, generation: Generation, images: Sequence[Image]) -> None:
        """Keep the generation; called once per document, in the order in which batches end.

        `images` are those of the question as the model saw them, in order, for a thumbnail; none where there are none.
        Behind them come the pictures that a tool showed, one for each of `generation.crops` that has one.
        """
        ...
